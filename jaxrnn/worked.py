"""The papers' worked examples: their weights in the library's own cells, and every number on the way to the result.

Vectors are rows here and columns in the papers: ``x W`` is the papers' ``W^T x``, so a matrix that a paper gives as
input x hidden is a cell's as it stands. The numbers are as precise as JAX's floats are when a function is called: in
double precision under ``jax.enable_x64(True)``.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from jaxrnn.cells import ElmanCell, JordanCell
from jaxrnn.layers import Recurrent, Stack
from jaxrnn.models import Classifier
from jaxrnn.scan import unroll
from jaxrnn.theory import gate_trace
from jaxrnn.typing import Array, ArrayLike, Bias, Float


class Weights(NamedTuple):
    """A network with one recurrent layer, in NTU's letters; every matrix is (what it reads, what it gives)."""

    u: Any
    """``(d, m)``, from the input to the hidden layer."""
    w: Any
    """What is fed back, to the hidden layer: ``(m, m)`` from the hidden layer, ``(k, m)`` from the output."""
    b: Any
    """``(m,)``, the bias of the hidden layer."""
    v: Any
    """``(m, k)``, from the hidden layer to the output."""
    c: Any
    """``(k,)``, the bias of the output layer."""


NTU_INPUTS = np.array([[1.0, 2, -1], [-1, 1, -2], [0, 3, 1], [2, -1, 0]])
"""x(1) to x(4) of NTU's question 1."""

_U = [[-1.0, 0.5], [0.5, 0.1], [0.2, -2.0]]
NTU_ELMAN = Weights(u=_U, w=[[2.0, 1.3], [1.5, 0.0]], b=[0.2, 0.2], v=[[2.0], [-1.5]], c=[0.5])
NTU_JORDAN = NTU_ELMAN._replace(w=[[2.0, 1.3]])
"""The slides print V^T with a third entry, 0.2, in the Jordan network: a slip, as there are two hidden units only, and
without it the outputs are those that they print."""

NTU_PRINTED: dict[str, dict[str, np.ndarray]] = {
    "elman": {
        "h": np.array([[0.0, 0.99], [0.99, 1.0], [1.0, -0.21], [-0.54, 0.98]]),
        "y": np.array([0.27, 0.73, 0.94, 0.11]),
    },
    "jordan": {
        "h": np.array([[0.0, 0.99], [0.95, 1.0], [1.0, -0.52], [-0.36, 0.98]]),
        "y": np.array([0.27, 0.71, 0.96, 0.16]),
    },
}
"""What the slides print, h(t) and y(t) of both networks, to two decimals."""

IST_INPUTS = np.array([[4.0, 0, 0, 0], [0, 8, 2, 0]])
"""x_1 and x_2 of IST's question 1."""

IST_TARGETS = np.array([[1.0, 0], [0, 1]])
"""The gold outputs e_y1 and e_y2."""

IST = Weights(u=np.full((4, 3), 0.1), w=np.full((3, 3), 0.1), b=np.full(3, 0.1), v=np.full((3, 2), 0.1), c=[0.1, 0.1])
"""All weights and biases 0.1. The text does not say how many biases there are: one a layer is meant here."""


def elman(weights: Weights, *, bias: Bias = "single") -> Classifier:
    """The Elman network of these weights, with a linear output that is read at every step (`at_every_step`).

        h(t) = tanh(U^T x(t) + W^T h(t-1) + b)
        logits(t) = V^T h(t) + c

    ``bias="torch"`` makes the mistake of giving b to both of PyTorch's bias vectors, so that it counts twice.
    """
    (d, m), k = np.shape(weights.u), np.shape(weights.v)[1]

    def make():
        rngs = nnx.Rngs(0)
        return Classifier(Stack([Recurrent(ElmanCell(d, m, bias=bias, rngs=rngs))]), k, rngs=rngs)

    network = nnx.eval_shape(make)  # shapes alone: every weight is set here
    cell = cell_of(network)
    _set(cell, w_x=weights.u, w_h=weights.w, b_x=weights.b, **({"b_h": weights.b} if bias == "torch" else {}))
    _set(network.head, kernel=weights.v, bias=weights.c)
    return network


def jordan(weights: Weights, *, bias: Bias = "single") -> JordanCell:
    """The Jordan network of these weights: the cell itself, as it holds its output layer.

        h(t) = tanh(U^T x(t) + W^T y(t-1) + b)
        y(t) = sigmoid(V^T h(t) + c)

    ``bias="torch"`` gives b to both bias vectors of the hidden layer, as in `elman`.
    """
    (d, m), k = np.shape(weights.u), np.shape(weights.v)[1]
    cell = nnx.eval_shape(lambda: JordanCell(d, k, hidden=m, bias=bias, rngs=nnx.Rngs(0)))
    second = {"b_y": weights.b} if bias == "torch" else {}
    _set(cell, w_x=weights.u, w_y=weights.w, b_x=weights.b, v=weights.v, c=weights.c, **second)
    return cell


def cell_of(network: Classifier) -> ElmanCell:
    """The recurrent cell of such a network."""
    layer: Any = network.layers.layers[0]
    return layer.cell


def _set(module: nnx.Module, **arrays: Any) -> None:
    for name, value in arrays.items():
        value, place = jnp.asarray(value, float), getattr(module, name)
        if value.shape != place.shape:
            raise ValueError(f"{name} of {type(module).__name__} must have shape {place.shape}, not {value.shape}")
        setattr(module, name, nnx.Param(value))


class _ByHand:
    """A cell whose carry is rounded after every step, as by someone who writes it down."""

    def __init__(self, cell: Any, decimals: int):
        self.cell, self.decimals = cell, decimals

    def __call__(self, carry, x):
        carry, _ = self.cell(carry, x)
        carry = jax.tree.map(lambda leaf: jnp.round(leaf, self.decimals), carry)
        return carry, self.cell.output(carry)

    def initial_carry(self, batch_shape):
        return self.cell.initial_carry(batch_shape)


def ntu_elman(weights: Weights = NTU_ELMAN, *, bias: Bias = "single") -> dict[str, Array]:
    """NTU's question 1(a): the pre-activations ``a (4, 2)``, the states ``h (4, 2)`` and the outputs ``y (4, 1)``."""
    network = elman(weights, bias=bias)
    trace = gate_trace(cell_of(network), jnp.asarray(NTU_INPUTS, float))
    return trace | {"y": jax.nn.sigmoid(network.at_every_step(jnp.asarray(NTU_INPUTS, float)))}


def ntu_jordan(weights: Weights = NTU_JORDAN, *, bias: Bias = "single") -> dict[str, Array]:
    """NTU's question 1(b): ``a (4, 2)``, ``h (4, 2)`` and ``y (4, 1)`` of the Jordan network."""
    return gate_trace(jordan(weights, bias=bias), jnp.asarray(NTU_INPUTS, float))


def ntu_by_hand(decimals: int = 2) -> dict[str, Float[Array, "t 1"]]:
    """The outputs of both networks where what is fed back, h(t) or y(t), is rounded at every step, as by hand."""
    xs, network = jnp.asarray(NTU_INPUTS, float), elman(NTU_ELMAN)
    rounded: Any = _ByHand(cell_of(network), decimals)
    _, states = unroll(rounded, xs)
    rounded = _ByHand(jordan(NTU_JORDAN), decimals)
    _, outputs = unroll(rounded, xs)
    return {"elman": jax.nn.sigmoid(network.head(states)), "jordan": outputs}


def ist(*, bias: Bias = "single", h_0: float = 0.0) -> dict[str, Array]:
    """IST's question 1, forward, every intermediate.

        a_t = U^T x_t + W^T h_{t-1} + b,    h_t = tanh(a_t)
        logits_t = V^T h_t + c,    p_t = softmax(logits_t)
        CE_t = - sum_k e_{y_t, k} log p_{t, k}

    Gives ``a (2, 3)``, ``h (2, 3)``, ``logits (2, 2)``, ``p (2, 2)`` and ``ce (2,)`` in nats. ``h_0`` is the initial
    state of every unit: 0 in the text, and 0.1 for those who take it for one of the weights.
    """
    network, xs = elman(IST, bias=bias), jnp.asarray(IST_INPUTS, float)
    start = jnp.full(3, h_0, float)
    logits = network.at_every_step(xs, carry=(start,))
    return gate_trace(cell_of(network), xs, carry=start) | {
        "logits": logits,
        "p": jax.nn.softmax(logits),
        "ce": optax.softmax_cross_entropy(logits, jnp.asarray(IST_TARGETS, float)),
    }


def elman_in_numpy(weights: Weights, xs: np.ndarray, h: np.ndarray) -> list[np.ndarray]:
    """The network of `elman` as a loop in NumPy alone, from the papers' equations with their column vectors.

    Gives pre-activations, states and logits, each with a leading time axis; ``h`` is the state before the first step.
    """
    u, w, b, v, c = map(np.asarray, weights)
    steps = []
    for x in xs:
        a = u.T @ x + w.T @ h + b
        h = np.tanh(a)
        steps.append((a, h, v.T @ h + c))
    return [np.array(column) for column in zip(*steps, strict=True)]


def ist_in_numpy(weights: Weights = IST, h_0: float = 0.0) -> dict[str, np.ndarray]:
    """What `ist` gives, in NumPy alone."""
    a, h, logits = elman_in_numpy(weights, IST_INPUTS, np.full(3, h_0))
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return {"a": a, "h": h, "logits": logits, "p": p, "ce": -(IST_TARGETS * np.log(p)).sum(axis=1)}


def ist_loss(network: Classifier) -> Float[Array, ""]:
    """The total cross-entropy of IST's sequence, in nats: the sum over both steps, of which the mean is half."""
    logits = network.at_every_step(jnp.asarray(IST_INPUTS, float))
    return optax.softmax_cross_entropy(logits, jnp.asarray(IST_TARGETS, float)).sum()


def ist_gradient(network: Classifier) -> dict[str, Array]:
    """The gradient of `ist_loss`, in the shapes that the paper's column vectors ask for.

    ``W_x (3, 4)``, ``W_h (3, 3)`` and ``b (3,)`` of the hidden layer, ``W_y (2, 3)`` and ``b_y (2,)`` of the output.
    """
    slopes = jax.grad(ist_loss)(network)
    cell, head = cell_of(slopes), slopes.head
    arrays = {"W_x": cell.w_x, "W_h": cell.w_h, "b": cell.b_x, "W_y": head.kernel, "b_y": head.bias}
    return {name: slope[...].T for name, slope in arrays.items()}


def ist_closed_form(biases: int = 1, h_0: float = 0.0) -> dict[str, tuple[float, float]]:
    """IST's numbers by the pocket calculator: the three units are equal, so each quantity is one number a step.

        a_t = 0.1 sum(x_t) + 0.1 biases + 0.3 h_{t-1},    h_t = tanh(a_t),    logit_t = 0.3 h_t + 0.1

    Both logits of a step are equal, so p = 1/2 and CE = ln 2.
    """
    a_1 = 0.4 + 0.1 * biases + 0.3 * h_0
    a_2 = 1.0 + 0.1 * biases + 0.3 * math.tanh(a_1)
    h = math.tanh(a_1), math.tanh(a_2)
    return {
        "a": (a_1, a_2),
        "h": h,
        "logits": (0.3 * h[0] + 0.1, 0.3 * h[1] + 0.1),
        "p": (0.5, 0.5),
        "ce": (math.log(2), math.log(2)),
    }


def ist_gradient_closed_form() -> dict[str, np.ndarray]:
    """What `ist_gradient` must give: +-(h_2 - h_1) / 2 in W_y, + in the row of the first class, and 0 in all else.

    The error in the logits is p - e_y = (-1/2, 1/2), then (1/2, -1/2). It comes to the hidden layer through the rows of
    W_y, which are equal, so that nothing of it is left there.
    """
    h_1, h_2 = ist_closed_form()["h"]
    slope = (h_2 - h_1) / 2
    zeros = {name: np.zeros(shape) for name, shape in (("W_x", (3, 4)), ("W_h", (3, 3)), ("b", 3), ("b_y", 2))}
    return zeros | {"W_y": np.array([[slope] * 3, [-slope] * 3])}


def ist_drawn(key: Array) -> Classifier:
    """IST's network with weights that are drawn as PyTorch draws them, and not all 0.1."""
    rngs = nnx.Rngs(key)
    (d, m), k = np.shape(IST.u), np.shape(IST.v)[1]
    cell = ElmanCell(d, m, bias="single", init="pytorch", rngs=rngs)
    return Classifier(Stack([Recurrent(cell)]), k, init="pytorch", rngs=rngs)


def ist_descent(network: Classifier, steps: int, learning_rate: ArrayLike) -> tuple[Classifier, dict[str, Array]]:
    """Gradient descent on `ist_loss`: the network after ``steps`` updates, and what was there before each of them.

        weights <- weights - learning_rate * d loss / d weights

    By name, each ``(steps,)``: the ``loss``; ``hidden_gradient``, the largest magnitude in the gradients of the hidden
    layer (W_x, W_h and b); and ``difference``, the largest difference of a weight of one hidden unit to the same weight
    of another (see `unit_difference`). Pure: `jax.jit` and `jax.vmap` take it, ``steps`` being static.
    """

    def step(network, _):
        loss, gradient = jax.value_and_grad(ist_loss)(network)
        hidden = max_magnitude(cell_of(gradient))
        seen = {"loss": loss, "hidden_gradient": hidden, "difference": unit_difference(network)}
        return jax.tree.map(lambda weight, slope: weight - learning_rate * slope, network, gradient), seen

    return jax.lax.scan(step, network, None, length=steps)


def max_magnitude(tree: Any) -> Float[Array, ""]:
    """The largest absolute value in a pytree."""
    return jnp.max(jnp.stack([jnp.max(jnp.abs(leaf)) for leaf in jax.tree.leaves(tree)]))


def unit_difference(network: Classifier) -> Float[Array, ""]:
    """How far the hidden units of `elman`'s network are from being one unit: 0 where they are copies of each other.

    The largest difference between two units in what they read (columns of U and W, entries of b) and in what others
    read of them (rows of W and V).
    """
    cell = cell_of(network)
    assert cell.b_x is not None
    by_unit = [cell.w_x[...].T, cell.w_h[...].T, cell.b_x[...][:, None], cell.w_h[...], network.head.kernel[...]]
    return jnp.max(jnp.stack([jnp.max(jnp.ptp(weights, axis=0)) for weights in by_unit]))
