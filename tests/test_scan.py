"""The scan over time: what the contract of every cell leaves to say about masks, resets, keys, steps that are computed
again for the gradient, and mistakes."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given
from jax.flatten_util import ravel_pytree

from contract import (
    ROWS,
    D,
    H,
    Noisy,
    T,
    assert_close,
    carry_like,
    cell_of,
    few,
    flags,
    float64,
    loop,
    masks,
    numbers,
    soon,
    weighed,
    weights_like,
)
from jaxrnn.cells import CELLS, Cell, ElmanCell, GRUCell, LSTMCell
from jaxrnn.scan import lengths_to_mask, unroll
from jaxrnn.wrappers import Zoneout

every_cell = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name == "elman_relu" else []) for name in CELLS]
)
either_end = pytest.mark.parametrize("reverse", [False, True])


def gru():
    return cell_of(GRUCell)


# --- masks ------------------------------------------------------------------------------------------------------------


def test_lengths_to_mask():
    expected = [[False, False, False], [True, False, False], [True, True, True]]
    np.testing.assert_array_equal(lengths_to_mask(np.array([0, 1, 3]), 3), expected)
    np.testing.assert_array_equal(lengths_to_mask(2, 3), [True, True, False])
    assert lengths_to_mask(np.ones((2, 2), int), 0).shape == (2, 2, 0)


@either_end
def test_lengths_are_the_mask_of_padding_at_the_end(reverse):
    """Lengths, plain or traced, are what the mask that they stand for is, with resets too."""
    cell = gru()
    xs, reset = numbers((*ROWS, T, D)).astype("float32"), numbers((*ROWS, T), seed=1) > 0.5
    lengths = np.array([[0, T], [1, 3]])
    by_mask = unroll(cell, xs, mask=np.arange(T) < lengths[..., None], reset=reset, reverse=reverse)
    by_lengths = unroll(cell, xs, lengths=lengths, reset=reset, reverse=reverse)
    traced = jax.jit(lambda lengths: unroll(cell, xs, lengths=lengths, reset=reset, reverse=reverse))(lengths)
    assert_close(by_lengths, by_mask, 0.0)
    assert_close(traced, by_mask, 1e-6)


@every_cell
@either_end
def test_masked_steps_hold_the_carry_and_put_out_zero(name, reverse):
    """To the bit: nothing of a masked step is left, also where the cell's own output would be NaN."""
    cell = cell_of(CELLS[name])
    mask = np.array([[0, 0, 0, 0], [0, 1, 0, 1]], bool)
    xs = np.where(mask[..., None], numbers((2, T, D)), np.nan).astype("float32")
    start = carry_like(cell, (2,))
    carry, ys = unroll(cell, xs, carry=start, mask=mask, reverse=reverse)
    np.testing.assert_array_equal(ys[~mask], 0.0)
    assert np.all(np.isfinite(ys)) and np.any(ys[mask])
    assert_close(*(jax.tree.map(lambda leaf: leaf[0], tree) for tree in (carry, start)), 0.0)
    carry, _ = unroll(cell, xs, mask=mask, reverse=reverse)
    assert_close(*(jax.tree.map(lambda leaf: leaf[0], tree) for tree in (carry, cell.initial_carry((2,)))), 0.0)


def test_factor_changes_nothing_under_masks_and_resets():
    with float64():
        cell, xs = gru(), numbers((*ROWS, T, D))
        mask, reset = numbers((*ROWS, T), seed=1) > 0, numbers((*ROWS, T), seed=2) > 0
        plain = unroll(cell, xs, mask=mask, reset=reset)
        assert_close(unroll(cell, xs, mask=mask, reset=reset, factor=3), plain)


class TimedCell(Cell):
    """A cell whose inputs are a dict: features, and the whole number of ticks since the last step."""

    def __init__(self, in_features, features, *, rngs):
        self.in_features, self.features = in_features, features
        self.w = nnx.Param(jax.random.normal(rngs.params(), (in_features, features)))
        self.rate = nnx.Param(jnp.linspace(0.1, 1.0, features))

    def __call__(self, carry, x):
        gap = jnp.sqrt(x["gap"]) + x["ticks"]  # the square root has no derivative at 0, where masked gaps are put
        h = jnp.tanh(carry * jnp.exp(-self.rate[...] * gap) + x["features"] @ self.w[...])
        return h, h

    def initial_carry(self, batch_shape):
        return jnp.zeros((*batch_shape, self.features), self.w.dtype)


@either_end
def test_masks_clean_every_leaf_of_the_inputs(reverse):
    """Of a pytree of inputs, rubbish in any leaf's padding reaches neither values nor gradients."""
    with float64():
        cell = TimedCell(D, H, rngs=nnx.Rngs(0))
        mask = np.array([[True, False, True, True], [False, False, True, False]])
        clean = {
            "features": numbers((2, T, D)),
            "gap": np.abs(numbers((2, T, 1), seed=1)),
            "ticks": np.arange(2 * T).reshape(2, T, 1),
        }
        rubbish = {"features": np.nan, "gap": np.inf, "ticks": np.iinfo(np.int64).max}
        dirty = {name: np.where(mask[..., None], leaf, rubbish[name]) for name, leaf in clean.items()}
        weights = numbers((2, T, H), seed=2)

        def loss(cell, floats, ticks, mask, weights):
            carry, ys = unroll(cell, {**floats, "ticks": ticks}, mask=mask, reverse=reverse)
            return jnp.sum(ys * weights) + jnp.sum(carry), (carry, ys)

        work = jax.grad(loss, argnums=(0, 1), has_aux=True)
        floats = {name: dirty[name] for name in ("features", "gap")}
        (d_cell, d_floats), (carry, ys) = jax.jit(work)(cell, floats, dirty["ticks"], mask, weights)

        total = jax.tree.map(jnp.zeros_like, cell)
        for row, real in enumerate(mask):
            floats = {name: clean[name][row][real] for name in ("features", "gap")}
            (d_cell_row, d_row), (end, y) = work(cell, floats, clean["ticks"][row][real], None, weights[row][real])
            total = jax.tree.map(jnp.add, total, d_cell_row)
            assert_close((carry[row], ys[row][real]), (end, y))
            for name, leaf in d_row.items():
                assert_close(d_floats[name][row][real], leaf)
                np.testing.assert_array_equal(d_floats[name][row][~real], 0.0)
        assert_close(d_cell, total)


# --- resets -----------------------------------------------------------------------------------------------------------


@every_cell
def test_a_reset_starts_anew_in_scan_order(name):
    """Before step t, whichever way the scan goes: forward t begins a part, in reverse it does too."""
    with float64():
        cell, xs = cell_of(CELLS[name]), jnp.asarray(numbers((*ROWS, T, D)))
        reset, start = np.zeros((*ROWS, T), bool), carry_like(cell)
        reset[..., 1] = True
        _, first = loop(cell, xs[..., :1, :], start)
        end, last = loop(cell, xs[..., 1:, :], cell.initial_carry(ROWS))
        assert_close(unroll(cell, xs, carry=start, reset=reset), (end, jnp.concatenate([first, last], axis=-2)))
        _, first = loop(cell, xs[..., :1:-1, :], start)
        end, last = loop(cell, xs[..., 1::-1, :], cell.initial_carry(ROWS))
        ys = jnp.concatenate([first, last], axis=-2)[..., ::-1, :]
        assert_close(unroll(cell, xs, carry=start, reset=reset, reverse=True), (end, ys))


def test_a_reset_row_starts_from_the_learned_carry():
    """All of a row's gradient to the initial carry: from its start, its resets, and its having no step at all."""
    with float64():
        cell, xs = gru(), jnp.asarray(numbers((T, D)))
        weights = weights_like(jax.eval_shape(unroll, cell, xs))
        reset = np.array([False, True, True, False])

        def through(cell, xs, **options):
            return jax.grad(lambda cell: weighed(unroll(cell, xs, **options), weights))(cell)

        elsewhere = carry_like(cell, ())
        assert np.all(np.abs(through(cell, xs, carry=elsewhere, reset=reset).h_0[...]) > 0)
        assert not np.any(through(cell, xs, carry=elsewhere).h_0[...])
        empty = through(cell, xs, lengths=0)
        np.testing.assert_array_equal(empty.h_0[...], jax.tree.leaves(weights)[0])


@either_end
def test_a_reset_on_a_masked_step_does_nothing(reverse):
    cell, xs = gru(), numbers((*ROWS, T, D)).astype("float32")
    compiled = jax.jit(lambda mask, reset: unroll(cell, xs, mask=mask, reset=reset, reverse=reverse))

    @few(max_examples=20)
    @given(mask=masks(), reset=flags)
    def law(mask, reset):
        assert_close(compiled(mask, reset), compiled(mask, reset & mask), 0.0)

    law()


# --- randomness -------------------------------------------------------------------------------------------------------


def noise(key, **options):
    """The random factor of every step of a `Noisy` cell: its outputs where the inputs are zero and the carry is not."""
    cell = Noisy(D, H, rngs=nnx.Rngs(0))
    _, ys = unroll(cell, jnp.zeros((2, T, D)), carry=jnp.ones((2, H)), key=key, **options)
    before = jnp.concatenate([jnp.ones((2, 1, H)), ys[:, :-1]], axis=1)
    return ys / (0.5 * before)


def test_every_step_draws_its_own_noise():
    drawn = noise(jax.random.key(0))
    assert len(np.unique(np.round(drawn, 4))) == drawn.size


def test_a_key_names_its_noise():
    first, again, other = (noise(jax.random.key(seed)) for seed in (0, 0, 1))
    assert_close(again, first, 0.0)
    assert np.abs(other - first).min() > 1e-4
    assert_close(noise(jax.random.key(0), factor=2), first, 1e-6)
    assert_close(jax.jit(noise)(jax.random.key(0)), first, 1e-6)


def test_no_key_means_no_noise():
    np.testing.assert_array_equal(noise(None), np.ones((2, T, H)))


@either_end
def test_noise_respects_masks(reverse):
    """A masked step draws, but nothing of it is left."""
    cell, xs = Noisy(D, H, rngs=nnx.Rngs(0)), np.full((2, T, D), np.nan, "float32")
    start = jnp.ones((2, H))
    carry, ys = unroll(cell, xs, carry=start, lengths=np.array([0, 0]), key=jax.random.key(0), reverse=reverse)
    np.testing.assert_array_equal(carry, start)
    np.testing.assert_array_equal(ys, 0.0)


@every_cell
def test_plain_cells_pay_a_key_no_heed(name):
    cell, xs = cell_of(CELLS[name]), numbers((*ROWS, T, D)).astype("float32")
    assert_close(unroll(cell, xs, key=jax.random.key(0)), unroll(cell, xs), 0.0)


# --- steps computed again for the gradient ----------------------------------------------------------------------------

LONG = 6
"""Steps that 1 and 2 divide, 4 does not, and 9 lies beyond."""


def zoned_out(in_features, features, *, learn_carry=False, rngs):
    return Zoneout(GRUCell(in_features, features, learn_carry=learn_carry, rngs=rngs), 0.3)


@partial(soon, static_argnames=("reverse", "factor", "remat"))
def worked(cell, xs, carry, weights, **options):
    """What `unroll` gives, and the loss gradient to the cell, the inputs (those that are floats) and the carry."""

    def loss(cell, xs, carry):
        out = unroll(cell, xs, carry=carry, **options)
        return weighed(out, weights), out

    gradients, out = jax.grad(loss, argnums=(0, 1, 2), has_aux=True, allow_int=True)(cell, xs, carry)
    floats = [leaf for leaf in jax.tree.leaves(gradients) if leaf.dtype != jax.dtypes.float0]
    return out, floats


@pytest.mark.parametrize(
    "make, remat, reverse",
    [
        *((ElmanCell, remat, False) for remat in (1, 4, 9)),
        *((ElmanCell, remat, True) for remat in (2, 4)),
        (zoned_out, 4, False),
        *(pytest.param(make, 4, True, marks=pytest.mark.slow) for make in (LSTMCell, Noisy, zoned_out)),
    ],
)
def test_remat_changes_nothing(make, remat, reverse):
    """In value or in gradient, with masks, resets and random numbers; and what is in the padding reaches neither."""
    with float64():
        cell = cell_of(make)
        mask, reset = numbers((*ROWS, LONG), seed=1) > -0.5, numbers((*ROWS, LONG), seed=2) > 0.5
        assert np.any(~mask) and np.any(reset & mask)
        xs = np.where(mask[..., None], numbers((*ROWS, LONG, D)), np.nan)
        weights = weights_like((carry_like(cell), np.zeros((*ROWS, LONG, H))))
        options = {"mask": mask, "reset": reset, "key": jax.random.key(0), "reverse": reverse}
        plain = worked(cell, xs, carry_like(cell), weights, **options)
        assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(plain))
        assert_close(worked(cell, xs, carry_like(cell), weights, **options, remat=remat), plain)


@pytest.mark.parametrize("batch_shape, reverse", [((), True), pytest.param((2,), False, marks=pytest.mark.slow)])
def test_remat_changes_nothing_of_any_inputs(batch_shape, reverse):
    """Pytrees of them, integers among them, with one batch dimension or none; with lengths, and with ``factor``."""
    with float64():
        cell, shape = TimedCell(D, H, rngs=nnx.Rngs(0)), (*batch_shape, LONG)
        xs = {
            "features": numbers((*shape, D)),
            "gap": np.abs(numbers((*shape, 1), seed=1)),
            "ticks": np.arange(np.prod(shape)).reshape(*shape, 1) % 3,
        }
        start = numbers((*batch_shape, H), seed=3)
        weights = weights_like((start, np.zeros((*shape, H))))
        options = {"lengths": np.full(batch_shape, LONG - 1), "reverse": reverse, "factor": 3}
        plain = worked(cell, xs, start, weights, **options)
        assert_close(worked(cell, xs, start, weights, **options, remat=4), plain)


def test_remat_of_no_steps_changes_nothing():
    with float64():
        cell, xs, start = gru(), np.zeros((*ROWS, 0, D)), carry_like(gru())
        weights = weights_like((start, np.zeros((*ROWS, 0, H))))
        assert_close(worked(cell, xs, start, weights, remat=3), worked(cell, xs, start, weights))


def test_remat_changes_no_higher_derivative():
    """Forward over reverse, so forward derivatives too."""
    with float64():
        cell, xs = cell_of(ElmanCell), numbers((LONG, D))
        point, build = ravel_pytree((cell, xs, carry_like(cell, ())))
        weights = weights_like(jax.eval_shape(unroll, cell, xs))

        def f(point, remat):
            cell, xs, carry = build(point)
            return weighed(unroll(cell, xs, carry=carry, remat=remat), weights)

        slope = soon(lambda point, remat: jax.jvp(lambda p: f(p, remat), (point,), (point,))[1], static_argnums=1)
        hessian = soon(jax.hessian(f), static_argnums=1)
        assert np.any(hessian(point, None))
        assert_close(slope(point, 4), slope(point, None))
        assert_close(hessian(point, 4), hessian(point, None))


def test_remat_under_vmap_over_parameters_changes_nothing():
    with float64():
        xs, start = numbers((*ROWS, LONG, D)), numbers((*ROWS, H), seed=1)
        cells = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(cell_of(ElmanCell, seed) for seed in range(3)))
        weights = weights_like((start, np.zeros((*ROWS, LONG, H))))

        def together(**options):
            return jax.vmap(lambda cell: worked(cell, xs, start, weights, **options))(cells)

        assert_close(together(remat=4), together())


def test_remat_sees_weights_changed_in_place():
    with float64():
        cell, xs = cell_of(ElmanCell), numbers((LONG, D))
        before = unroll(cell, xs, remat=4)
        cell.w_h[...] = cell.w_h[...] * 1.5
        after = unroll(cell, xs, remat=4)
        assert np.max(np.abs(after[1] - before[1])) > 0.01
        assert_close(after, unroll(cell, xs))


def test_remat_spares_memory():
    cell = jax.eval_shape(lambda: GRUCell(8, 8, rngs=nnx.Rngs(0)))

    def bytes_of(remat):
        gradient = jax.grad(lambda cell, xs: jnp.sum(unroll(cell, xs, remat=remat)[1][:, -1]), argnums=(0, 1))
        compiled = soon(gradient).lower(cell, jax.ShapeDtypeStruct((16, 512, 8), jnp.float32)).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    assert 0 < bytes_of(16) < bytes_of(None) / 2


# --- mistakes ---------------------------------------------------------------------------------------------------------

ONES = np.ones((2, T), bool)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"lengths": np.array([1, 2]), "mask": ONES}, "give lengths or mask, not both"),
        ({"mask": ONES[0]}, r"mask must be booleans of shape \(2, 4\).*not bool of shape \(4,\)"),
        ({"mask": ONES[:, :3]}, r"mask must be booleans of shape \(2, 4\).*not bool of shape \(2, 3\)"),
        ({"mask": ONES.astype("float32")}, r"mask must be booleans.*not float32 of shape \(2, 4\)"),
        ({"reset": ONES[..., None]}, r"reset must be booleans of shape \(2, 4\).*not bool of shape \(2, 4, 1\)"),
        ({"reset": ONES.astype("int32")}, r"reset must be booleans.*not int32 of shape \(2, 4\)"),
        ({"lengths": np.array([1, 5])}, "lengths must lie between 0 and the 4 steps of xs, not between 1 and 5"),
        ({"lengths": np.array([-1, 4])}, "lengths must lie between 0 and the 4 steps of xs, not between -1 and 4"),
        ({"lengths": np.array([1.0, 4.0], "float32")}, r"lengths must be integers of shape \(2,\).*not float32"),
        ({"lengths": np.array([True, False])}, r"lengths must be integers.*not bool"),
        ({"lengths": np.array(3)}, r"lengths must be integers of shape \(2,\).* of shape \(\)"),
        ({"lengths": np.array([[1, 2]])}, r"lengths must be integers of shape \(2,\).* of shape \(1, 2\)"),
        ({"carry": np.zeros((3, H))}, r"carry must lead with the batch dimensions \(2,\).*has shape \(3, 4\)"),
        ({"carry": np.zeros(H)}, r"carry must lead with the batch dimensions \(2,\).*has shape \(4,\)"),
        ({"carry": np.zeros((2, 1))}, r"carry must have the shapes .* initial one, \(2, 4\), not \(2, 1\)"),
        ({"carry": (np.zeros((2, H)),)}, r"initial one, \(2, 4\), not \(\(2, 4\),\)"),
        ({"remat": 0}, "remat must be at least 1.*not 0"),
        ({"remat": -2}, "remat must be at least 1.*not -2"),
    ],
)
def test_options_that_do_not_fit_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        unroll(gru(), np.zeros((2, T, D), "float32"), **options)


def test_the_carry_leaf_without_batch_dimensions_is_named():
    cell = cell_of(CELLS["lstm"])
    with pytest.raises(ValueError, match=r"carry\[1\] has shape \(\)"):
        unroll(cell, np.zeros((2, T, D), "float32"), carry=(np.zeros((2, H)), np.float32(0)))


@pytest.mark.parametrize(
    "xs, message",
    [
        (np.zeros(D), r"xs must be \(\*batch, time, features\).*not shapes \[\(3,\)\]"),
        ({}, r"xs must be \(\*batch, time, features\).*not shapes \[\]"),
        ({"a": np.zeros((2, T, D)), "b": np.zeros((2, T))}, "must share their batch and time axes"),
        ((np.zeros((2, T, D)), np.zeros((2, 5, D))), r"must share.*not shapes \[\(2, 4, 3\), \(2, 5, 3\)\]"),
    ],
)
def test_inputs_that_do_not_fit_are_named(xs, message):
    with pytest.raises(ValueError, match=message):
        unroll(gru(), xs)


def test_plain_lists_are_taken_as_arrays():
    cell = GRUCell(2, 3, rngs=nnx.Rngs(0))
    xs = jax.random.normal(jax.random.key(0), (2, 3, 2))
    _, expected = unroll(cell, xs, lengths=jnp.array([3, 1]), reset=jnp.zeros((2, 3), bool).at[0, 1].set(True))
    _, ys = unroll(cell, xs, lengths=[3, 1], reset=[[False, True, False], [False, False, False]])
    np.testing.assert_array_equal(ys, expected)
    _, ys = unroll(cell, xs, mask=[[True] * 3, [True, False, False]], reset=np.array([[0, 1, 0], [0, 0, 0]], bool))
    np.testing.assert_array_equal(ys, expected)
