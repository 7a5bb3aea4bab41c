"""What the papers derive, as functions: slopes of activations, backpropagation through time in closed form, how the
gradient flows back through a cell, how many numbers a cell has, and what each gate does step by step.

Letters as in the papers. In the part on backpropagation vectors are columns, as there: ``W_hx`` is ``(h, d)``.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple, get_args

import jax
import jax.numpy as jnp

from jaxrnn.cells import Cell
from jaxrnn.scan import unroll
from jaxrnn.typing import Array, ArrayLike, Bias, Carry, Float

# --- slopes of activations (ECE1508, assignment 4, written question 2) ------------------------------------------------

CROSSOVER_APPROX = 2 / math.sqrt(5)
"""``sigmoid_slope_approx(e) <= tanh_slope_approx(e)`` where ``|e| <= 2/sqrt(5)``.

    1/4 - e^2/16 <= 1 - e^2   <=>   15/16 e^2 <= 3/4   <=>   e^2 <= 4/5
"""

CROSSOVER = 2 * math.acosh((1 + math.sqrt(3)) / 2)
"""``sigmoid_slope(e) <= tanh_slope(e)`` where ``|e| <= 2 arccosh((1 + sqrt 3)/2)``; there both are 1 - sqrt(3)/2.

With ``c = cosh(e/2)``, so that ``cosh(e) = 2 c^2 - 1``:

    1/(4 c^2) <= 1/cosh(e)^2   <=>   2 c^2 - 1 <= 2 c   <=>   c <= (1 + sqrt 3)/2
"""


def sigmoid_slope(e: Float[ArrayLike, "*b"]) -> Float[Array, "*b"]:
    """``s'(e) = s(e) (1 - s(e)) = 1 / (4 cosh^2(e/2))``, ``s`` the logistic sigmoid; to full precision at any ``e``."""
    return jax.nn.sigmoid(e) * jax.nn.sigmoid(-jnp.asarray(e))  # 1 - s(e) = s(-e), which does not cancel


def tanh_slope(e: Float[ArrayLike, "*b"]) -> Float[Array, "*b"]:
    """``tanh'(e) = 1 - tanh^2(e) = 1 / cosh^2(e)``; to full precision at any ``e``."""
    return 4 * sigmoid_slope(2 * jnp.asarray(e))  # tanh(e) = 2 s(2e) - 1


def sigmoid_slope_approx(e: Float[ArrayLike, "*b"]) -> Float[Array, "*b"]:
    """The slope ``s (1 - s)`` with the linear ``s(e) ~ 1/2 + e/4`` put in (TOR Q2.1); its error is of order e^4.

    (1/2 + e/4) (1/2 - e/4) = 1/4 - e^2/16
    """
    return 1 / 4 - jnp.square(e) / 16


def tanh_slope_approx(e: Float[ArrayLike, "*b"]) -> Float[Array, "*b"]:
    """The slope ``1 - tanh^2`` with the linear ``tanh(e) ~ e`` put in (TOR Q2.1): ``1 - e^2``; its error is of order
    e^4.
    """
    return 1 - jnp.square(e)


def rho_approx(e: Float[ArrayLike, "*b"]) -> Float[Array, "*b"]:
    """The ratio of the approximated slopes (TOR Q2.3).

    rho_approx(e) = (1/4 - e^2/16) / (1 - e^2) = (4 - e^2) / (16 (1 - e^2))
    """
    square = jnp.square(e)
    return (4 - square) / (16 * (1 - square))


def rho(e: Float[ArrayLike, "*b"]) -> Float[Array, "*b"]:
    """The ratio of the true slopes (TOR Q2.3, where the dot over the lower tanh is lost).

    rho(e) = s'(e) / tanh'(e) = cosh^2(e) / (4 cosh^2(e/2))
    """
    return jnp.exp(log_rho(e))


def log_rho(e: Float[ArrayLike, "*b"]) -> Float[Array, "*b"]:
    """``log rho(e)``, finite for every ``e``: ``T log rho`` says what ``rho^T`` is where that is below all floats."""

    def log_cosh(x):
        return jnp.abs(x) + jnp.log1p(jnp.exp(-2 * jnp.abs(x))) - math.log(2)

    e = jnp.asarray(e)
    return 2 * (log_cosh(e) - log_cosh(e / 2)) - math.log(4)


def rho_printed(e: Float[ArrayLike, "*b"]) -> Float[Array, "*b"]:
    """The ratio as TOR Q2.3 prints it, ``s'(e) / tanh(e)``: about ``1/(4e)``, so its powers grow for small ``e``."""
    return sigmoid_slope(e) / jnp.tanh(e)


# --- products of Jacobians --------------------------------------------------------------------------------------------


def log_jacobian_norms(
    step: Callable[[Float[Array, "h"], Float[Array, "d"]], Float[Array, "h"]],
    h_0: Float[Array, "h"],
    xs: Float[Array, "t d"],
) -> Float[Array, "t"]:
    """The size of ``dh_t/dh_0`` for ``t = 1..T`` along ``h_t = step(h_{t-1}, x_t)``, as a natural logarithm.

        dh_t/dh_0 = J_t J_{t-1} ... J_1,    J_t = dh_t/dh_{t-1},    size = ||dh_t/dh_0||_F / sqrt(h)

    The size is the root mean square of the singular values: by so much a perturbation of ``h_0`` in a random direction
    has grown at step t (1 before the first). The product is scaled as it goes along, so that it neither vanishes nor
    overflows however long the sequence; the size of a product that is zero is ``-inf``.
    """

    def advance(state, x):
        h, columns, log_size = state
        h, push = jax.linearize(lambda h: step(h, x), h)
        columns = jax.vmap(push)(columns)
        size = jnp.sqrt(jnp.sum(jnp.square(columns)) / h.shape[0])
        log_size += jnp.log(size)
        return (h, columns / jnp.where(size > 0, size, 1), log_size), log_size

    start = h_0, jnp.eye(h_0.shape[0], dtype=h_0.dtype), jnp.zeros((), h_0.dtype)
    return jax.lax.scan(advance, start, xs)[1]


# --- backpropagation through time in closed form (UVA, question 1.1) --------------------------------------------------


class VanillaRNN(NamedTuple):
    """The network of UVA's equations 1 and 2, with its output after the last step alone.

    h^(t) = tanh(W_hx x^(t) + W_hh h^(t-1) + b_h),    p^(t) = W_ph h^(t) + b_p,    yhat = softmax(p^(T))
    """

    w_hx: Float[Array, "*t h d"]
    w_hh: Float[Array, "*t h h"]
    b_h: Float[Array, "*t h"]
    w_ph: Float[Array, "*t k h"]
    b_p: Float[Array, "*t k"]


def last_step_loss(
    network: VanillaRNN, xs: Float[Array, "t d"], y: Float[Array, "k"], h_init: Float[Array, "h"] | None = None
) -> Float[Array, ""]:
    """The cross-entropy of the last step alone, UVA's equation 3: ``L = - sum_k y_k log yhat_k``, in nats.

    ``y`` is one-hot (or any distribution), ``h_init`` zeros where not given. A ``network`` whose every weight has a
    leading time axis is the unfolded one, with weights of its own in every copy.
    """
    _, _, log_prediction = _forward(network, xs, h_init)
    return -jnp.sum(y * log_prediction)


def copies_of(network: Any, time: int) -> Any:
    """The network unfolded (IST, introduction): each of its weights ``time`` times, along a leading time axis."""
    return jax.tree.map(lambda weight: jnp.broadcast_to(weight, (time, *weight.shape)), network)


def _forward(network: VanillaRNN, xs, h_init):
    """States ``h^(0)..h^(T-1)``, ``h^(1)..h^(T)``, and the log-probabilities after the last step."""
    copies = network if network.w_hh.ndim == 3 else copies_of(network, xs.shape[0])
    h_init = jnp.zeros(network.w_hh.shape[-1], xs.dtype) if h_init is None else h_init

    def step(h, inputs):
        copy, x = inputs
        new = jnp.tanh(copy.w_hx @ x + copy.w_hh @ h + copy.b_h)
        return new, (h, new)

    h, (before, after) = jax.lax.scan(step, h_init, (copies, xs))
    return before, after, jax.nn.log_softmax(copies.w_ph[-1] @ h + copies.b_p[-1])


def bptt_copies(
    network: VanillaRNN, xs: Float[Array, "t d"], y: Float[Array, "k"], h_init: Float[Array, "h"] | None = None
) -> tuple[VanillaRNN, Float[Array, "t h"]]:
    """The terms of backpropagation through time, from the equations: one for each of the copies of the weights.

        dL/dp^(T)  = yhat - y
        dL/dh^(T)  = W_ph^T (yhat - y)
        dL/dh^(k)  = (prod_{j=k+1..T} diag(1 - h^(j)^2) W_hh)^T dL/dh^(T)
        delta^(k)  = diag(1 - h^(k)^2) dL/dh^(k)

    The term of step k is ``delta^(k) h^(k-1)^T`` for ``W_hh``, ``delta^(k) x^(k)^T`` for ``W_hx``, ``delta^(k)`` for
    ``b_h``. Of ``W_ph`` and ``b_p`` only the last step has one that is not zero, ``(yhat - y) h^(T)^T`` and
    ``yhat - y``.

    Returns the terms, each weight with a leading time axis, and ``dL/dh^(k)`` for ``k = 1..T``, ``(t, h)``. Works by
    scans; nothing is differentiated automatically.
    """
    before, after, log_prediction = _forward(network, xs, h_init)
    d_p = jnp.exp(log_prediction) - y

    def back(d_h, h):
        delta = (1 - jnp.square(h)) * d_h
        return network.w_hh.T @ delta, (d_h, delta)

    _, (d_hs, deltas) = jax.lax.scan(back, network.w_ph.T @ d_p, after, reverse=True)
    last = (jnp.arange(xs.shape[0]) == xs.shape[0] - 1).astype(d_p.dtype)

    def outer(left, right):
        return left[:, :, None] * right[:, None, :]

    d_ps = last[:, None] * d_p
    return VanillaRNN(
        w_hx=outer(deltas, xs), w_hh=outer(deltas, before), b_h=deltas, w_ph=outer(d_ps, after), b_p=d_ps
    ), d_hs


def bptt(
    network: VanillaRNN, xs: Float[Array, "t d"], y: Float[Array, "k"], h_init: Float[Array, "h"] | None = None
) -> VanillaRNN:
    """The gradient of `last_step_loss` in closed form (UVA Q1.1): the terms of `bptt_copies`, summed over time.

    dL/dW_ph = (yhat - y) h^(T)^T
    dL/dW_hh = sum_{k=1..T} diag(1 - h^(k)^2) (prod_{j=k+1..T} diag(1 - h^(j)^2) W_hh)^T W_ph^T (yhat - y) h^(k-1)^T
    dL/dW_hx = the same with x^(k)^T in place of h^(k-1)^T
    """
    terms, _ = bptt_copies(network, xs, y, h_init)
    return jax.tree.map(lambda term: term.sum(0), terms)


# --- gradients through any cell ---------------------------------------------------------------------------------------


def unroll_copies(copies: Cell, xs: Float[Array, "*b t d"]) -> Float[Array, "*b t h"]:
    """The outputs of the unfolded network (IST, introduction): step t is worked by the t-th copy of the cell.

    ``copies`` is a cell whose every parameter has a leading time axis, as `copies_of` makes it of any cell of
    `jaxrnn.cells`; the first copy gives the initial carry. With equal copies it is `jaxrnn.scan.unroll`; the gradient
    of the shared weights is then the sum over time of the gradient of the copies.
    """
    batch_shape = xs.shape[:-2]
    first = jax.tree.map(lambda weight: weight[0], copies)

    def step(carry, inputs):
        copy, x = inputs
        return copy(carry, x)

    _, ys = jax.lax.scan(step, first.initial_carry(batch_shape), (copies, jnp.moveaxis(xs, -2, 0)))
    return jnp.moveaxis(ys, 0, -2)


def carry_gradients(
    cell: Cell, xs: Float[Array, "*b t d"], loss: Callable[[Float[Array, "*b t h"]], Float[Array, ""]]
) -> Carry:
    """``dL/dh_k`` for every step k of any cell: how much the loss depends on what is handed on after step k.

        L = loss(y_1, ..., y_T),    h_k = step(h_{k-1}, x_k) + nudge_k,    dL/dh_k = dL/d(nudge_k) at nudge = 0

    Every leaf of the carry gets a gradient of its own, the others held: of an LSTM ``(dL/dh_k, dL/dc_k)``. The result
    is a pytree like the carry whose leaves have a time axis after the batch dimensions, ``(*b, t, h)``; one pass
    forward and one back. ``loss`` gives one number; where it is a sum over rows, each row's gradient is its own.
    The output of a step is read from the nudged carry by ``cell.output``.
    """
    batch = xs.ndim - 2
    start = cell.initial_carry(xs.shape[:-2])

    def total(nudges):
        def step(carry, inputs):
            x, nudge = inputs
            carry = jax.tree.map(jnp.add, cell(carry, x)[0], nudge)
            return carry, cell.output(carry)

        _, ys = jax.lax.scan(step, start, (jnp.moveaxis(xs, batch, 0), nudges))
        return loss(jnp.moveaxis(ys, 0, batch))

    nudges = jax.tree.map(lambda leaf: jnp.zeros((xs.shape[batch], *leaf.shape), leaf.dtype), start)
    return jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 0, batch), jax.grad(total)(nudges))


# --- what the equations of a cell say (UVA, question 1.5) ---------------------------------------------------------

_BIASES: dict[str, int] = {"torch": 2, "single": 1, "none": 0}
"""The bias vectors of a gate, by convention."""


def _gated(gates: int) -> Callable[[int, int, int], int]:
    return lambda d, n, biases: gates * (n * d + n**2 + biases * n)


def _jordan(d: int, n: int, biases: int) -> int:
    return (n * d + n**2 + biases * n) + (n**2 + min(biases, 1) * n)


COUNTS: dict[str, Callable[[int, int, int], int]] = {
    "elman": _gated(1),
    "elman_relu": _gated(1),
    "jordan": _jordan,
    "gru": _gated(3),
    "lstm": _gated(4),
    "time_gated_lstm": lambda d, n, biases: _gated(4)(d, n, biases) + 3 * n,
}
"""By the name in `jaxrnn.cells.CELLS`, the formula of `parameter_count` in d, n and the bias vectors of a gate."""


def parameter_count(cell: str, d: int, n: int, *, bias: Bias = "torch", classes: int = 0) -> int:
    """The trainable numbers of a cell of ``n`` units on ``d`` features, in closed form (UVA, question 1.5b).

        Elman                     nd + n^2 + Bn
        Jordan (n outputs too)   (nd + n^2 + Bn) + (n^2 + Cn)
        GRU                    3 (nd + n^2 + Bn)
        LSTM                   4 (nd + n^2 + Bn)
        time-gated LSTM        4 (nd + n^2 + Bn) + 3n

    with B = 2, 1, 0 bias vectors a gate for ``bias="torch"``, ``"single"``, ``"none"``, and C = 1, 1, 0 for the Jordan
    cell's output layer. So the assignment's LSTM, equations (4) to (9), has 4 (nd + n^2 + n) of them: neither the
    sequence length T nor the batch size m is in it. ``classes`` (K) adds the output map p = W_ph h + b_p of equation
    (10), which the question may or may not mean: Kn + K more. A learned initial carry is not counted.

    Raises:
        ValueError: a cell or a convention without a formula, or sizes that are not positive.
    """
    if cell not in COUNTS:
        raise ValueError(f"cell must be one of {', '.join(COUNTS)}, not {cell!r}")
    if bias not in get_args(Bias):
        raise ValueError(f"bias must be 'torch', 'single' or 'none', not {bias!r}")
    if d < 1 or n < 1 or classes < 0:
        raise ValueError(f"d and n must be at least 1 and classes at least 0, not {d}, {n} and {classes}")
    return COUNTS[cell](d, n, _BIASES[bias]) + classes * (n + 1)


class _Watched:
    """A cell whose output at each step is all that it computes there."""

    def __init__(self, cell: Cell):
        self.cell = cell

    def __call__(self, carry, x):
        after, _ = self.cell(carry, x)
        return after, self.cell.intermediates(carry, x)

    def initial_carry(self, batch_shape):
        return self.cell.initial_carry(batch_shape)


def gate_trace(cell: Cell, xs: Any, **options: Any) -> dict[str, Float[Array, "*b t h"]]:
    """Every gate of a cell, and its states, at every step of sequences, by the letters of the cell's equations.

        GRU       r, z, n (candidate), h
        LSTM      i, f, g (input modulation: a tanh, no gate, though the assignment counts four), o, c, h
                  and, time-gated, k before c
        Elman     a (what tanh or ReLU acts on), h
        Jordan    a, h, y

    Each is ``(*b, t, h)`` for ``xs (*b, t, d)``. The options are those of `jaxrnn.scan.unroll` (``carry``, ``lengths``,
    ``mask``, ``reset``, ``reverse``): a masked step is zero in all of them.

    Raises:
        TypeError: a cell that does not name what it computes (see `jaxrnn.cells.Cell.intermediates`).
        ValueError: what `unroll` refuses.
    """
    if not hasattr(cell, "intermediates"):
        raise TypeError(f"{type(cell).__name__} does not name what it computes: define intermediates(carry, x)")
    watched: Any = _Watched(cell)
    trace: Any
    _, trace = unroll(watched, xs, **options)
    return trace
