"""Faster ways to the numbers of the reference scan, and which of them training takes.

The reference, `jaxrnn.scan.unroll` as it is, is one cell called once a step, and its gradient is JAX's own: at every
step of the backward pass it forms the gradient of each weight and adds it to a sum as large as the weight. The other
schemes give the same values and gradients, to rounding, by a backward pass of their own. Of each step the forward pass
keeps ``h_{t-1}`` and the gates; the backward pass works out the gradients of the steps' sums, ``d a_x`` and ``d a_h``,
step after step, and then forms each weight's gradient of all steps at once, as one large product:

    d W_h = sum_t h_{t-1}^T d a_h,t        (t * b, h)^T (t * b, g)
    d W_x = sum_t x_t^T d a_x,t            (t * b, d)^T (t * b, g)

They are for cells that have their line in `GRADIENTS`, and for derivatives in reverse mode only.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp

from jaxrnn.cells import FEW, AffineCell, Cell, ElmanCell, GRUCell, LSTMCell, product
from jaxrnn.typing import Array, Bool, Carry, Float, Shaped

Scheme = Literal["reference", "stepwise", "collected", "ahead"]
"""``reference``: JAX's gradient. ``stepwise``: that written out, the weights' gradients summed step by step.
``collected``: those of all steps at once. ``ahead``: likewise, and the inputs of all steps are projected at once too,
before the first of them."""


class Gradient(NamedTuple):
    """The elementwise part of a cell's backward step, from what its forward step keeps."""

    keep: Callable[[Carry, dict[str, Array], Array], tuple[Array, ...]]
    """``keep(carry, step, a_h)``: what `pull` reads, of the carry before and of what the step computed."""
    pull: Callable[..., tuple[Carry, Array, Array]]
    """``pull(cell, h_{t-1}, kept, d_carry_t)``: the gradients of what the step hands on past its weights, in the form
    of the carry, of ``a_x`` and of ``a_h``; the latter two the same array where the step reads their sum alone."""


def _elman_pull(cell: Any, before: Array, kept: tuple[Array], d_h: Array) -> tuple[Carry, Array, Array]:
    (h,) = kept
    d_a = d_h * (1 - h * h) if cell.activation == "tanh" else jnp.where(h > 0, d_h, 0)
    return jnp.zeros_like(d_h), d_a, d_a


def _gru_pull(cell: Any, before: Array, kept: tuple[Array, ...], d_h: Array) -> tuple[Carry, Array, Array]:
    r, z, n, h_n = kept
    d_n = d_h * (1 - z) * (1 - n * n)
    d_z = d_h * (before - n) * z * (1 - z)
    d_r = d_n * h_n * r * (1 - r)
    return d_h * z, jnp.concatenate([d_r, d_z, d_n], axis=-1), jnp.concatenate([d_r, d_z, d_n * r], axis=-1)


def _lstm_pull(cell: Any, before: Array, kept: tuple[Array, ...], d_carry: Carry) -> tuple[Carry, Array, Array]:
    c, i, f, g, o = kept
    d_h, d_c = d_carry
    tanh = jnp.tanh(g * i + c * f)
    d_c = d_c + d_h * o * (1 - tanh * tanh)
    d_i, d_f, d_g = d_c * g * i * (1 - i), d_c * c * f * (1 - f), d_c * i * (1 - g * g)
    d_a = jnp.concatenate([d_i, d_f, d_g, d_h * tanh * o * (1 - o)], axis=-1)
    return (jnp.zeros_like(d_h), d_c * f), d_a, d_a


GRADIENTS: dict[type[Cell], Gradient] = {
    ElmanCell: Gradient(lambda h, step, a_h: (step["h"],), _elman_pull),
    GRUCell: Gradient(lambda h, step, a_h: (step["r"], step["z"], step["n"], jnp.split(a_h, 3, axis=-1)[2]), _gru_pull),
    LSTMCell: Gradient(lambda carry, step, a_h: (carry[1], *(step[gate] for gate in "ifgo")), _lstm_pull),
}
"""By the very class of a cell, not by those that it inherits from: a subclass may compute something else."""


def scan(
    scheme: Scheme,
    cell: Any,
    carry: Carry,
    xs: Shaped[Array, "t *b d"],
    mask: Bool[Array, "t *b"] | None,
    reset: Bool[Array, "t *b"] | None,
    start: Carry | None,
    *,
    reverse: bool,
    factor: int,
) -> tuple[Carry, Float[Array, "t *b h"]]:
    """The scan of `jaxrnn.scan.unroll`, time first, under a scheme that is not the reference.

    What is in the padding of ``xs`` is finite. Where there are resets, ``start`` is what the carry then becomes. A
    learned initial carry has its gradient by way of ``carry`` and ``start``.
    """
    if reset is not None and mask is not None:
        reset = reset & mask
    gradient = GRADIENTS[type(cell)]
    # the caller's: the backward pass is traced when the caller has returned
    precision = jax.config.jax_default_matmul_precision  # type: ignore[attr-defined]
    steps = partial(jax.lax.scan, reverse=reverse, unroll=factor)
    steps_back = partial(jax.lax.scan, reverse=not reverse, unroll=factor)

    def forward(cell, carry, start, xs, flags, *, keep):
        ahead = scheme == "ahead"

        def step(carry, given):
            x, (real, again) = given
            if again is not None:
                carry = where(again, start, carry)
            h = cell.output(carry)
            a_h = cell.recur(h)
            made = cell.combine(carry, x if ahead else cell.project(x), a_h)
            kept = (h, gradient.keep(carry, made, a_h)) if keep else None
            new, y = cell.after(made), made["h"]
            if real is not None:
                new, y = where(real, new, carry), where(real, y, 0)
            return new, (y, kept)

        carry, (ys, kept) = steps(step, carry, (cell.project(xs) if ahead else xs, flags))
        return (carry, ys), (cell, xs, flags, kept)

    @jax.custom_vjp
    def run(cell, carry, start, xs, flags):
        return forward(cell, carry, start, xs, flags, keep=False)[0]

    def backward(kept, d_out):
        cell, xs, flags, (hs, kept) = kept
        stepwise = scheme == "stepwise"
        w_h_transposed = cell.w_h[...].T  # here, once, and not by every step's product

        def step(d, given):
            (d_carry, d_start, d_cell), (x, h, kept, d_y, (real, again)) = d, given
            d_new = _with_output(d_carry, d_y)
            if real is not None:
                d_new = where(real, d_new, 0)
            d_before, d_x, d_h = gradient.pull(cell, h, kept, d_new)
            d_before = _with_output(d_before, product(d_h, w_h_transposed))
            if real is not None:
                d_before = where(real, d_before, d_carry)
            if again is not None:
                d_start = jax.tree.map(jnp.add, d_start, where(again, d_before, 0))
                d_before = where(again, zero, d_before)
            if stepwise:
                d_cell = jax.tree.map(jnp.add, d_cell, _of_weights(cell, x, h, d_x, d_h))
            # of one array both times, one is handed on
            return (d_before, d_start, d_cell), (d_x, None if stepwise or d_x is d_h else d_h)

        with jax.default_matmul_precision(precision):
            zero = jax.tree.map(jnp.zeros_like, d_out[0])
            begin = (
                d_out[0],
                None if start is None else zero,
                jax.tree.map(jnp.zeros_like, cell) if stepwise else None,
            )
            given = (xs if stepwise else None, hs, kept, d_out[1], flags)
            (d_carry, d_start, d_cell), (d_x, d_h) = steps_back(step, begin, given)
            if not stepwise:
                d_cell = _of_weights(cell, xs, hs, d_x, d_x if d_h is None else d_h)
            d_xs = None if jnp.issubdtype(xs.dtype, jnp.integer) else product(d_x, cell.w_x[...].T)
        return d_cell, d_carry, d_start, d_xs, None

    run.defvjp(partial(forward, keep=True), backward)
    return run(cell, carry, start, xs, (mask, reset))


def _of_weights(cell: AffineCell, xs: Array, hs: Array, d_x: Array, d_h: Array) -> AffineCell:
    """The gradients of the weights of a cell, the sums over all rows and steps that there are."""
    xs, hs, d_x, d_h = (values.reshape(-1, values.shape[-1]) for values in (xs, hs, d_x, d_h))
    found = jax.tree.map(jnp.zeros_like, cell)
    if jnp.issubdtype(xs.dtype, jnp.integer):
        found.w_x[...] = found.w_x[...].at[xs[:, 0]].add(d_x)
    else:
        found.w_x[...] = _summed(xs, d_x)
    found.w_h[...] = _summed(hs, d_h)
    for bias, d in ((found.b_x, d_x), (found.b_h, d_h)):
        if bias is not None:
            bias[...] = d.sum(0)
    return found


def _summed(xs: Float[Array, "n d"], d: Float[Array, "n g"]) -> Float[Array, "d g"]:
    """The sum of ``x^T d`` over the rows; of few weights, as `product` has it."""
    few = xs.shape[-1] * d.shape[-1] <= FEW
    return jnp.sum(xs[:, :, None] * d[:, None, :], axis=0) if few else xs.T @ d


def _with_output(carry: Carry, y: Array) -> Carry:
    """A carry's gradient with that of the output ``h`` added, the first of its states."""
    return (carry[0] + y, *carry[1:]) if isinstance(carry, tuple) else carry + y


def where(flags: Bool[Array, "*b"], tree: Any, other: Any) -> Any:
    """``tree`` in the rows whose flag is true, ``other`` (a like tree, or one number) elsewhere."""

    def pick(leaf, alternative):
        return jnp.where(flags.reshape(flags.shape + (1,) * (leaf.ndim - flags.ndim)), leaf, alternative)

    if isinstance(other, int):
        return jax.tree.map(lambda leaf: pick(leaf, other), tree)
    return jax.tree.map(pick, tree, other)


# Which scheme training takes.

_automatic: ContextVar[bool] = ContextVar("automatic", default=False)


@contextmanager
def automatic() -> Iterator[None]:
    """Within, `unroll` takes the scheme that `fastest` names where it is not told which: so training is traced."""
    token = _automatic.set(True)
    try:
        yield
    finally:
        _automatic.reset(token)


def chosen(cell: Cell, rows: int) -> Scheme:
    """The scheme of an `unroll` that is not told which."""
    return fastest(cell, rows) if _automatic.get() else "reference"


def check(scheme: Scheme, cell: Cell) -> None:
    """Raises ValueError for a scheme that there is not, or that is not for this cell."""
    if scheme not in get_args(Scheme):
        raise ValueError(f"scheme must be one of {', '.join(map(repr, get_args(Scheme)))}, not {scheme!r}")
    if type(cell) not in GRADIENTS:
        known = ", ".join(kind.__name__ for kind in GRADIENTS)
        raise ValueError(f"scheme={scheme!r} is for {known}, not for {type(cell).__name__}: leave it out")


Size = Literal["tiny", "small", "few rows", "many rows"]
"""What decides: recurrent weights so few that they are no matrix product (`jaxrnn.cells.FEW`), up to 32 units, or more
of them with fewer than 48 rows on a device, or with 48 and more."""

SIZES: tuple[Size, ...] = get_args(Size)

FASTEST_ON_CPU: dict[type[Cell], dict[Size, Scheme]] = {
    ElmanCell: {"tiny": "collected", "small": "ahead", "few rows": "ahead", "many rows": "collected"},
    GRUCell: {"tiny": "collected", "small": "collected", "few rows": "collected", "many rows": "stepwise"},
    LSTMCell: {"tiny": "collected", "small": "collected", "few rows": "collected", "many rows": "collected"},
}
"""The fastest scheme, as ``python -m experiments.benchmark --rows schemes`` measures it.

Of a small cell a step is mostly the time from one operation to the next: the fewer of them in it, the better. Of a
larger one it is products, and of few rows the sums of the weights' gradients, which are as large as the weights however
few the rows: to collect spares them. With many rows a sum at every step costs little, and what is collected is as much
to write and read: that of the GRU most, as its ``d a_x`` and ``d a_h`` are two. To project ahead pays where a step has
one gate only: of several, what is projected is as much to write and read again.

Measured on two cores and not kept: the inputs of 2, 4 or 7 steps projected at a time (1.0 to 0.6 times as fast as the
reference), 2 to 10 steps laid out in a turn of the loop (1.0 to 0.5 times), and the weights' gradients of 2 to 20 steps
at a time (as fast as the better of every step and all steps).
"""


def size(cell: Any, rows: int) -> Size:
    """The size of an Elman, GRU or LSTM cell that reads so many rows at once."""
    if cell.w_h.size <= FEW:
        return "tiny"
    return "small" if cell.features <= 32 else "few rows" if rows < 48 else "many rows"


def fastest(cell: Cell, rows: int) -> Scheme:
    """The scheme that training takes for so many rows at once on a device; on accelerators, the one with the fewest
    operations in a step: on an NVIDIA H200 the fastest of every cell and size (the tiny was not measured), 1.24 to 1.53
    times as fast as the reference."""
    if type(cell) not in GRADIENTS:
        return "reference"
    return FASTEST_ON_CPU[type(cell)][size(cell, rows)] if jax.default_backend() == "cpu" else "ahead"
