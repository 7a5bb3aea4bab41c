"""The contract of a cell, as functions: ``check(make)`` fails where the cells that ``make`` makes break a law of it.

``make(in_features, features, *, rngs)`` makes a cell, as the entries of `jaxrnn.cells.CELLS` do. `CONTRACT` lists the
checks; `test_cells.py` runs all of them on all of the registry, so a new cell needs no test of its own to be held to
them. Everything here is worked in float64, so that a law holds to rounding or does not hold.
"""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from jax.flatten_util import ravel_pytree

from jaxrnn.cells import Cell, Fixed
from jaxrnn.layers import Bidirectional
from jaxrnn.scan import unroll

D, H, T = 3, 4, 4
"""Input features, hidden units and time steps: one small shape for all, because every new shape is compiled anew."""

ROWS = (2, 2)
"""The batch dimensions: two, so that whatever counts on a single one is found."""

float64 = partial(jax.enable_x64, True)
"""``with float64():`` new arrays, and what is computed from them, are in double precision."""

soon = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
"""`jax.jit` for programs that run a handful of times: compiled in half the time."""

few = partial(settings, deadline=None, derandomize=True, database=None)
"""Settings of a property test: the same examples on every machine, and no law about time."""


# --- things to hold to the laws ---------------------------------------------------------------------------------------


def numbers(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Normal draws, always the same ones for a seed."""
    return np.random.default_rng(seed).normal(size=shape)


def perturbed(tree: Any, seed: int = 0, scale: float = 0.5) -> Any:
    """``tree`` with noise on every leaf: no bias is left at zero, no two weights equal, to hide a mistake behind.

    What is `Fixed` is left as it is: noise would make a rate one that no wrapper takes.
    """
    rng = np.random.default_rng(seed)

    def noisy(node):
        if isinstance(node, Fixed):
            return node
        return jax.tree.map(lambda leaf: leaf + (scale * rng.normal(size=leaf.shape)).astype(leaf.dtype), node)

    return jax.tree.map(noisy, tree, is_leaf=lambda node: isinstance(node, Fixed))


def takes(make: Callable, option: str) -> bool:
    made = make.func if isinstance(make, partial) else make
    return option in inspect.signature(made.__init__ if isinstance(made, type) else made).parameters


def cell_of(make: Callable, seed: int = 0, **options: Any) -> Any:
    """A cell with all parameters random, its initial carry among them where it can be learned."""
    if takes(make, "learn_carry"):
        options = {"learn_carry": True, **options}
    return perturbed(make(D, H, rngs=nnx.Rngs(seed), **options), seed)


def carry_like(cell: Any, batch_shape: tuple[int, ...] = ROWS, seed: int = 1) -> Any:
    """A random carry of the cell, unlike its initial one."""
    return perturbed(cell.initial_carry(batch_shape), seed)


def weights_like(tree: Any, seed: int = 2) -> Any:
    """Random numbers of the shapes of ``tree``: weighed with them, all of an output's entries tell in one loss."""
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda leaf: rng.normal(size=leaf.shape), tree)


def weighed(tree: Any, weights: Any) -> jax.Array:
    pairs = zip(jax.tree.leaves(tree), jax.tree.leaves(weights), strict=True)
    return sum((jnp.sum(leaf * weight) for leaf, weight in pairs), jnp.asarray(0.0))


def assert_close(actual: Any, expected: Any, tolerance: float = 1e-12) -> None:
    """Like trees whose leaves differ by no more than ``tolerance`` times a leaf's largest number (or 1)."""
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    for (path, leaf), other in zip(jax.tree_util.tree_leaves_with_path(expected), jax.tree.leaves(actual), strict=True):
        bound = tolerance * max(1.0, np.max(np.abs(leaf), initial=0.0))
        np.testing.assert_allclose(
            np.asarray(other), np.asarray(leaf), rtol=0, atol=bound, strict=True, err_msg=jax.tree_util.keystr(path)
        )


def loop(cell: Any, xs: Any, carry: Any) -> tuple[Any, Any]:
    """What `unroll` means: the cell called step by step, in Python."""
    ys = []
    for t in range(xs.shape[-2]):
        carry, y = cell(carry, xs[..., t, :])
        ys.append(y)
    return carry, jnp.stack(ys, axis=-2) if ys else jnp.zeros((*xs.shape[:-1], cell.features))


class Noisy(Cell):
    """A cell that draws random numbers: each step's output is multiplied by noise that also enters the carry."""

    random = True

    def __init__(self, in_features: int, features: int, *, rngs: nnx.Rngs):
        self.in_features, self.features = in_features, features
        self.w_x = nnx.Param(jax.random.normal(rngs.params(), (in_features, features)))

    def __call__(self, carry, x, key=None):
        h = 0.5 * carry + x @ self.w_x[...]
        if key is not None:
            h = h * jnp.exp(jax.random.normal(key, h.shape))
        return h, h

    def initial_carry(self, batch_shape):
        return jnp.zeros((*batch_shape, self.features))


# --- the laws of a step and of the scan -------------------------------------------------------------------------------


def leaves_are_floats(make):
    """`jax.jit` drops what is written to any other leaf, silently."""
    leaves = jax.tree.leaves(make(D, H, rngs=nnx.Rngs(0)))
    assert leaves and all(isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jnp.floating) for leaf in leaves)


def carries_lead_with_the_batch(make):
    """The carry keeps its structure, shapes and dtypes from step to step, and ``output`` reads the step's output."""
    cell = make(D, H, rngs=nnx.Rngs(0))
    assert (cell.in_features, cell.features) == (D, H)
    for batch_shape in ((), (2,), (2, 3)):
        start = cell.initial_carry(batch_shape)
        end, y = jax.eval_shape(cell, start, jnp.zeros((*batch_shape, D)))
        assert y.shape == (*batch_shape, H)
        assert jax.eval_shape(cell.output, end).shape == y.shape
        assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), start) == jax.tree.map(
            lambda leaf: (leaf.shape, leaf.dtype), end
        )
        for leaf in jax.tree.leaves(start):
            assert leaf.shape[: len(batch_shape)] == batch_shape
            assert jnp.issubdtype(leaf.dtype, jnp.floating)


def scan_is_a_loop(make):
    """The scan, compiled or not, is the loop over time; so are its chunks, each started where the last one ended."""
    with float64():
        cell = cell_of(make)
        xs, start = jnp.asarray(numbers((*ROWS, T, D))), carry_like(cell)
        expected = loop(cell, xs, start)
        compiled = jax.jit(unroll)
        assert_close(unroll(cell, xs, carry=start), expected)
        assert_close(compiled(cell, xs, carry=start), expected)
        for cuts in ((1, 2, 3), (1,)):
            carry, chunks = start, []
            for chunk in np.split(xs, cuts, axis=-2):
                carry, ys = compiled(cell, chunk, carry=carry)
                chunks.append(ys)
            assert_close((carry, jnp.concatenate(chunks, axis=-2)), expected)


def reverse_is_flipped(make):
    """The scan from the end is the scan of the flipped inputs, its outputs flipped back."""
    with float64():
        cell = cell_of(make)
        xs, start = jnp.asarray(numbers((*ROWS, T, D))), carry_like(cell)
        carry, ys = loop(cell, xs[..., ::-1, :], start)
        assert_close(unroll(cell, xs, carry=start, reverse=True), (carry, ys[..., ::-1, :]))


def factor_changes_nothing(make):
    """Laying out several steps in one turn of the loop, a divisor of their number or not, is invisible."""
    with float64():
        cell = cell_of(make)
        xs = jnp.asarray(numbers((*ROWS, T, D)))
        expected = unroll(cell, xs)
        for factor in (3, T):
            assert_close(unroll(cell, xs, factor=factor), expected)


def weights_changed_in_place_are_seen(make):
    """The next unroll of the same cell object works with its new weights, compiled or not."""

    def change(cell):
        for variable in jax.tree.leaves(cell, is_leaf=lambda leaf: isinstance(leaf, nnx.Variable)):
            variable[...] = variable[...] * 1.5 + 0.25

    def twice(cell, xs):
        first = unroll(cell, xs)
        change(cell)
        return first, unroll(cell, xs)

    with float64():
        cell, xs = cell_of(make), jnp.asarray(numbers((*ROWS, T, D)))
        compiled = jax.jit(unroll)
        before = loop(cell, xs, cell.initial_carry(ROWS))
        inside = jax.jit(twice)(cell, xs)
        assert_close(unroll(cell, xs), before)
        assert_close(compiled(cell, xs), before)
        change(cell)
        after = loop(cell, xs, cell.initial_carry(ROWS))
        assert np.max(np.abs(after[1] - before[1])) > 0.01
        assert_close(unroll(cell, xs), after)
        assert_close(compiled(cell, xs), after)
        assert_close(inside, (before, after))


def derivatives_are_right(make):
    """First and second derivatives, to parameters, inputs and carry at once, are what finite differences measure."""
    with float64():
        cell, xs = cell_of(make), numbers((*ROWS, T, D))
        weights = weights_like(jax.eval_shape(unroll, cell, xs))
        point, build = ravel_pytree((cell, xs, carry_like(cell)))
        direction, step = numbers(point.shape, seed=3), 1e-5

        def f(point):
            cell, xs, carry = build(point)
            return weighed(unroll(cell, xs, carry=carry), weights)

        gradient = soon(jax.value_and_grad(f))
        value_ahead, ahead = gradient(point + step * direction)
        value_behind, behind = gradient(point - step * direction)
        slope = soon(lambda point: jax.jvp(f, (point,), (direction,))[1])(point)
        hessian = soon(jax.hessian(f))(point)
        assert_close(slope, jnp.vdot(gradient(point)[1], direction))
        assert_close(slope, (value_ahead - value_behind) / (2 * step), 1e-7)
        assert_close(hessian, hessian.T)
        assert_close(hessian @ direction, (ahead - behind) / (2 * step), 1e-7)


def vmap_over_parameters_is_a_loop(make):
    """Many cells of one shape are worked at once by `jax.vmap` over their parameters, in value and gradient."""

    def work(cell, xs):
        out = unroll(cell, xs)
        return out, jax.grad(lambda cell: weighed(unroll(cell, xs), out))(cell)

    with float64():
        cells, xs = [cell_of(make, seed) for seed in range(3)], jnp.asarray(numbers((*ROWS, T, D)))
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *cells)
        together = soon(jax.vmap(work, in_axes=(0, None)))(stacked, xs)
        alone = soon(work)
        assert_close(together, jax.tree.map(lambda *leaves: jnp.stack(leaves), *(alone(cell, xs) for cell in cells)))


def batch_dimensions_agree(make):
    """Two batch dimensions, one, and none: every row is worked alike."""
    with float64():
        cell, xs = cell_of(make), jnp.asarray(numbers((*ROWS, T, D)))
        two = unroll(cell, xs)
        one = unroll(cell, xs.reshape(-1, T, D))
        assert_close(jax.tree.map(lambda leaf: leaf.reshape(*ROWS, *leaf.shape[1:]), one), two)
        for row in np.ndindex(ROWS):
            assert_close(unroll(cell, xs[row]), _at(row, two))


def no_steps_give_the_initial_carry(make):
    """A time axis of length 0 returns the carry it was given, or the initial one, and outputs of length 0."""
    with float64():
        cell, xs = cell_of(make), jnp.zeros((*ROWS, 0, D))
        start = carry_like(cell)
        assert_close(unroll(cell, xs), (cell.initial_carry(ROWS), jnp.zeros((*ROWS, 0, H))))
        assert_close(unroll(cell, xs, carry=start, reverse=True), (start, jnp.zeros((*ROWS, 0, H))))


def the_last_carry_holds_the_last_output(make):
    """``output(carry after the last step) == ys[..., -1, :]``, from either end."""
    with float64():
        cell, xs = cell_of(make), jnp.asarray(numbers((*ROWS, T, D)))
        carry, ys = unroll(cell, xs)
        assert_close(cell.output(carry), ys[..., -1, :])
        carry, ys = unroll(cell, xs, reverse=True)
        assert_close(cell.output(carry), ys[..., 0, :])


def learned_carry_is_learned(make):
    """A learned initial carry starts as the plain one does, starts every row, and gets every row's gradient."""
    if not takes(make, "learn_carry"):
        return

    with float64():
        plain, fresh = (make(D, H, learn_carry=learn, rngs=nnx.Rngs(0)) for learn in (False, True))
        assert len(jax.tree.leaves(fresh)) > len(jax.tree.leaves(plain))
        assert_close(fresh.initial_carry(ROWS), plain.initial_carry(ROWS))

        cell, xs = cell_of(make), jnp.asarray(numbers((*ROWS, T, D)))
        start, pull = jax.vjp(lambda cell: cell.initial_carry(ROWS), cell)
        for leaf in jax.tree.leaves(start):
            assert np.all(np.abs(leaf) > 0)
        weights = weights_like(jax.eval_shape(unroll, cell, xs))

        def loss(cell, carry):
            return weighed(unroll(cell, xs, carry=carry), weights)

        with_respect_to_cell, with_respect_to_start = jax.grad(loss, argnums=(0, 1))(cell, start)
        (through_start,) = pull(with_respect_to_start)
        assert all(np.any(leaf) for leaf in jax.tree.leaves(with_respect_to_start))
        learned = sum(bool(np.any(leaf)) for leaf in jax.tree.leaves(through_start))
        assert learned == len(jax.tree.leaves(fresh)) - len(jax.tree.leaves(plain))
        expected = jax.tree.map(jnp.add, with_respect_to_cell, through_start)
        assert_close(jax.grad(loss)(cell, None), expected)


# --- the mask contract ------------------------------------------------------------------------------------------------
#
# A batch with masks and resets is worked in one scan (`masked`), and again as what it means (`parted`): the real steps
# of each row, parted at its resets, each part a sequence of its own without any padding, stepped through in Python.


def _forward(cells, xs, carries, **options):
    carry, ys = unroll(*cells, xs, carry=None if carries is None else carries[0], **options)
    return (carry,), ys


DIRECTIONS: dict[str, Callable] = {
    "forward": _forward,
    "reverse": partial(_forward, reverse=True),
    "bidirectional": lambda cells, xs, carries, **options: Bidirectional(*cells)(xs, carry=carries, **options),
}


@partial(soon, static_argnames="direction")
def masked(direction, cells, xs, carries, weights, mask, reset):
    """Carries and outputs of the batch, and the loss gradient to cells, inputs and carries."""

    def loss(cells, xs, carries):
        out = DIRECTIONS[direction](cells, xs, carries, mask=mask, reset=reset)
        return weighed(out, weights), out

    gradients, out = jax.grad(loss, argnums=(0, 1, 2), has_aux=True)(cells, xs, carries)
    return out, gradients


@soon
def step(cell, carry, x):
    return cell(carry, x)


@soon
def step_back(cell, carry, x, d_out):
    return jax.vjp(lambda cell, carry, x: cell(carry, x), cell, carry, x)[1](d_out)


@soon
def start_back(cell, d_carry):
    return jax.vjp(lambda cell: cell.initial_carry(()), cell)[1](d_carry)[0]


def part(cell, xs, carry, d_end, d_ys):
    """One part of one row, there and back: from ``carry`` where one is given, else from the initial carry."""
    carries, ys = [cell.initial_carry(()) if carry is None else carry], []
    for x in xs:
        end, y = step(cell, carries[-1], x)
        carries.append(end)
        ys.append(y)
    d_cell, d_carry, d_xs = jax.tree.map(np.zeros_like, cell), d_end, np.zeros_like(xs)
    for t in reversed(range(len(xs))):
        d_step, d_carry, d_xs[t] = step_back(cell, carries[t], xs[t], (d_carry, d_ys[t]))
        d_cell = jax.tree.map(np.add, d_cell, d_step)
    if carry is None:
        d_cell = jax.tree.map(np.add, d_cell, start_back(cell, d_carry))
    return (carries[-1], ys), (d_cell, d_xs, d_carry)


def parts_of(mask: np.ndarray, reset: np.ndarray, direction: str) -> list[np.ndarray]:
    """The real steps of one row in scan order, cut into parts: the first starts from the carry given."""
    real = np.flatnonzero(mask)
    order = real[::-1] if direction == "reverse" else real
    parts = np.split(order, np.flatnonzero(reset[order]))
    if direction != "backward":
        return parts
    # of a bidirectional layer: the same parts from the other end, where a reset of a row's first step parts nothing
    return [part[::-1] for part in reversed(parts) if part.size] or parts[:1]


def parted(direction, cells, xs, carries, weights, mask, reset):
    """What `masked` gives, from every part of every row on its own."""
    carry_weights, y_weights = weights
    ends, ys, d_carries = jax.tree.map(lambda leaf: np.zeros(leaf.shape), (carry_weights, y_weights, carry_weights))
    d_cells, d_xs = list(jax.tree.map(np.zeros_like, cells)), np.zeros_like(xs)
    for number, cell in enumerate(cells):
        columns = slice(number * H, (number + 1) * H)
        for row in np.ndindex(ROWS):
            parts = parts_of(mask[row], reset[row], "backward" if number == 1 else direction)
            for place, steps in enumerate(parts):
                given = carries is not None and place == 0
                last = float(place == len(parts) - 1)
                (end, y), (d_cell, d_x, d_start) = part(
                    cell,
                    xs[row][steps],
                    _at(row, carries[number]) if given else None,
                    jax.tree.map(lambda leaf, last=last: last * leaf, _at(row, carry_weights[number])),
                    y_weights[row][steps, columns],
                )
                if steps.size:
                    ys[row][steps, columns] = y
                d_xs[row][steps] += d_x
                d_cells[number] = jax.tree.map(np.add, d_cells[number], d_cell)
                if given:
                    _add_at(row, d_carries[number], d_start)
            _add_at(row, ends[number], end)
    return (ends, ys), (tuple(d_cells), d_xs, None if carries is None else d_carries)


def _at(row: tuple[int, ...], tree: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf[row], tree)


def _add_at(row: tuple[int, ...], tree: Any, values: Any) -> None:
    for leaf, value in zip(jax.tree.leaves(tree), jax.tree.leaves(values), strict=True):
        leaf[row] += value


flags = arrays(bool, (*ROWS, T), fill=st.nothing())
"""Any true or false for every step."""


@st.composite
def masks(draw) -> np.ndarray:
    """Padding anywhere, at the end of every row, or at the start."""
    real = draw(flags)
    side = draw(st.sampled_from(["anywhere", "right", "left"]))
    if side == "anywhere":
        return real
    left = np.sort(real, axis=-1)
    return left if side == "left" else left[..., ::-1]


def rows_are_worked_on_their_own(make, direction):
    """Padded equals unpadded and a row with resets equals its parts: in value, and in gradient to all there is."""
    with float64():
        cells = tuple(cell_of(make, seed) for seed in range(2 if direction == "bidirectional" else 1))
        carries = tuple(carry_like(cell, seed=5 + seed) for seed, cell in enumerate(cells))
        weights = weights_like((carries, jnp.zeros((*ROWS, T, H * len(cells)))))
    none = np.zeros((*ROWS, T), bool)

    @few(max_examples=12)
    @given(
        mask=masks(),
        reset=flags,
        seed=st.integers(0, 99),
        rubbish=st.sampled_from([np.nan, np.inf, -np.inf, 1e300]),
    )
    def law(mask, reset, seed, rubbish):
        with float64():
            xs = np.where(mask[..., None], numbers((*ROWS, T, D), seed), rubbish)
            for start, again in ((None, None), (carries, reset)):
                actual = masked(direction, cells, xs, start, weights, mask, again)
                meant = parted(direction, cells, xs, start, weights, mask, none if again is None else again)
                assert_close(actual, meant)

    law()


def _named(check: Callable, direction: str) -> Callable:
    named = partial(check, direction=direction)
    named.__name__ = f"{check.__name__}_{direction}"  # type: ignore[attr-defined]
    return named


CONTRACT: list[Callable] = [
    leaves_are_floats,
    carries_lead_with_the_batch,
    scan_is_a_loop,
    reverse_is_flipped,
    factor_changes_nothing,
    weights_changed_in_place_are_seen,
    derivatives_are_right,
    vmap_over_parameters_is_a_loop,
    batch_dimensions_agree,
    no_steps_give_the_initial_carry,
    the_last_carry_holds_the_last_output,
    learned_carry_is_learned,
    *(_named(rows_are_worked_on_their_own, direction) for direction in DIRECTIONS),
]
"""Every law that every cell keeps."""

SLOW = [check for check in CONTRACT if check.__name__.startswith(("derivatives", "vmap"))]
"""Those of them that compile many programs."""
