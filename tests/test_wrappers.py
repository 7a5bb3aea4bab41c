"""A wrapped cell is a cell: it keeps the contract, is the plain one at rate 0, and changes what it says and no more."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from hypothesis import given
from hypothesis import strategies as st

from contract import (
    CONTRACT,
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
    masks,
    numbers,
    soon,
    weighed,
)
from jaxrnn import wrappers
from jaxrnn.cells import CELLS, Cell, ElmanCell, GRUCell, LSTMCell, TimeGatedLSTMCell
from jaxrnn.layers import stack
from jaxrnn.models import Classifier, parameter_count
from jaxrnn.scan import unroll
from jaxrnn.theory import gate_trace
from jaxrnn.train import Hparams, Task, cross_entropy, segment, start
from jaxrnn.wrappers import EPSILON, WRAPPERS, LayerNorm, VariationalDropout, Zoneout

RATE = 0.3


def everything(cell, rate=RATE):
    """All wrappers, one around the other."""
    return Zoneout(LayerNorm(VariationalDropout(cell, rate)), rate)


WRAPS = {
    "variational_dropout": partial(VariationalDropout, rate=RATE),
    "zoneout": partial(Zoneout, rate=RATE),
    "layer_norm": LayerNorm,
    "everything": everything,
}
every_wrap = pytest.mark.parametrize("wrap", WRAPS.values(), ids=WRAPS)
each_and_all = pytest.mark.parametrize(
    "wrap",
    [
        pytest.param(wrap, id=name, marks=[pytest.mark.slow] if name in ("variational_dropout", "zoneout") else [])
        for name, wrap in WRAPS.items()
    ],
)
"""Every wrapper, by default those that are random in one."""

one_cell = pytest.mark.parametrize(
    "make",
    [
        pytest.param(make, id=name, marks=[] if name == "time_gated_lstm" else [pytest.mark.slow])
        for name, make in CELLS.items()
    ],
)
"""Every cell, the default tests the one that has the most about it."""

scan = soon(unroll)
step = soon(lambda cell, carry, x, key=None: cell(carry, x) if key is None else cell(carry, x, key=key))


def maker(wrap, make):
    """What makes wrapped cells, as the entries of `CELLS` make plain ones."""

    def made(in_features, features, *, learn_carry=False, rngs):
        return wrap(make(in_features, features, learn_carry=learn_carry, rngs=rngs))

    return made


def inputs(seed=0, shape=(*ROWS, T, D)):
    return jnp.asarray(numbers(shape, seed))


def at(row, tree):
    return jax.tree.map(lambda leaf: leaf[row], tree)


class Linear:
    """``h_t = h_{t-1}/2 + x_t W + read V``, of a class that inherits nothing: means go through it as they are."""

    def __init__(self, seed=0):
        self.in_features, self.features = D, H
        self.w, self.v = jnp.asarray(numbers((D, H), seed)), 0.3 * jnp.asarray(numbers((H, H), seed + 1))

    def __call__(self, carry, x, *, read=None):
        h = carry / 2 + x @ self.w + (carry if read is None else read) @ self.v
        return h, h

    def initial_carry(self, batch_shape):
        return jnp.ones((*batch_shape, H))

    def output(self, carry):
        return carry

    def mix(self, function, old, new):
        return function(old, new)


# --- the contract -----------------------------------------------------------------------------------------------------

NEAR = {
    ("variational_dropout", "gru", "rows_are_worked_on_their_own_forward"),
    ("zoneout", "time_gated_lstm", "rows_are_worked_on_their_own_forward"),
    ("layer_norm", "gru", "learned_carry_is_learned"),
}
"""Which laws of the contract the default tests hold a wrapped cell to: those of the rest say nearly the same."""


@pytest.mark.parametrize(
    "name, cell, check",
    [
        pytest.param(
            name,
            cell,
            check,
            id=f"{name}-{cell}-{check.__name__}",
            marks=[] if (name, cell, check.__name__) in NEAR else [pytest.mark.slow],
        )
        for name in WRAPS
        for cell in (["time_gated_lstm"] if name == "everything" else ["gru", "time_gated_lstm"])
        for check in CONTRACT
    ],
)
def test_contract(name, cell, check):
    check(maker(WRAPS[name], CELLS[cell]))


def test_every_public_wrapper_is_registered():
    public = {
        value
        for name, value in vars(wrappers).items()
        if isinstance(value, type) and value.__module__ == wrappers.__name__ and not name.startswith("_")
    }
    assert public == set(WRAPPERS.values()) and len(public) == len(WRAPPERS)
    assert set(WRAPPERS) | {"everything"} == set(WRAPS)
    assert all(issubclass(wrapper, Cell) for wrapper in public)


# --- no more than they say --------------------------------------------------------------------------------------------


@one_cell
def test_at_rate_zero_a_wrapped_cell_is_the_plain_one(make):
    """Under a key, with masks and resets, in value and gradient."""
    with float64():
        cell, xs, key = cell_of(make), inputs(), jax.random.key(0)
        options = {"mask": numbers((*ROWS, T), 1) > -1, "reset": numbers((*ROWS, T), 2) > 1}
        weights = numbers((*ROWS, T, H), 3)

        @soon
        def work(cell):
            def loss(cell):
                ys = unroll(cell, xs, key=key, **options)[1]
                return weighed(ys, weights), ys

            return jax.grad(loss, has_aux=True)(cell)

        gradient, ys = work(cell)
        wrapped = Zoneout(VariationalDropout(cell, 0.0), 0.0)
        of_wrapped, zs = work(wrapped)
        assert_close(zs, ys, 1e-14)
        assert_close(of_wrapped.cell.cell, gradient)


@each_and_all
def test_without_a_key_nothing_is_random(wrap):
    """The steps of a random cell need a key to differ; without one they are those of the expected mix, or plain."""
    with float64():
        cell, xs = wrap(cell_of(LSTMCell)), inputs()
        quiet = scan(cell, xs)
        assert_close(scan(cell, xs), quiet, 0.0)
        one, again, other = (scan(cell, xs, key=jax.random.key(seed)) for seed in (0, 0, 1))
        assert_close(again, one, 0.0)
        for loud in (one, other):
            assert (np.abs(loud[1] - quiet[1]).max() > 0.01) == cell.random
        assert (np.abs(one[1] - other[1]).max() > 0.01) == cell.random == (wrap is not LayerNorm)


def test_variational_dropout_without_a_key_is_the_plain_cell_and_draws_nothing():
    """Whatever masks the carry holds: those of a chunk of training, say."""
    with float64():
        plain, xs = cell_of(GRUCell), inputs()
        cell, expected = VariationalDropout(plain, 0.9), scan(plain, xs)
        (end, *undrawn), ys = scan(cell, xs)
        assert_close((end, ys), expected, 1e-14)
        assert all(np.all(mask == -1) for mask in undrawn)
        _, *drawn = scan(cell, xs, key=jax.random.key(0))[0]
        (end, *kept), ys = scan(cell, xs, carry=(plain.initial_carry(ROWS), *drawn))
        assert_close((end, ys, kept), (*expected, drawn), 1e-14)


@pytest.mark.parametrize(
    "wrap", [everything, *(pytest.param(w, marks=pytest.mark.slow) for w in (VariationalDropout, Zoneout))]
)
def test_a_traced_rate_is_the_number_that_it_stands_for(wrap):
    """One program for many rates, the wrapped cells made inside it."""
    with float64():
        plain, xs, rates = cell_of(ElmanCell), inputs(), jnp.asarray([0.0, 0.3, 0.9])
        swept = soon(jax.vmap(lambda rate: unroll(wrap(plain, rate), xs, key=jax.random.key(0))))(rates)
        for number, rate in enumerate(rates):
            assert_close(at(number, swept), scan(wrap(plain, float(rate)), xs, key=jax.random.key(0)))


# --- masks and resets -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["everything", *(pytest.param(name, marks=pytest.mark.slow) for name in ("zoneout", "variational_dropout"))]
)
def test_under_a_key_a_scan_is_the_loop_of_its_real_steps(name):
    """With resets, and with rubbish in the padding, which reaches neither values nor gradients."""
    with float64():
        cell, weights = WRAPS[name](cell_of(TimeGatedLSTMCell)), numbers((*ROWS, T, H), 9)
        start = cell.initial_carry(ROWS)

        def loss(cell, xs, mask, reset, key):
            carry, ys = unroll(cell, xs, mask=mask, reset=reset, key=key)
            return weighed(ys, weights), (carry, ys)

        work = soon(jax.grad(loss, argnums=(0, 1), has_aux=True))

    def looped(xs, mask, reset, key):
        def pick(flags, tree, other):
            return jax.tree.map(lambda a, b: np.where(flags[..., None], a, b), tree, other)

        carry, ys = start, []
        for t, step_key in enumerate(jax.random.split(key, T)):
            before = pick(mask[..., t] & reset[..., t], start, carry)
            after, y = step(cell, before, xs[..., t, :], step_key)
            carry = pick(mask[..., t], after, before)
            ys.append(np.where(mask[..., t, None], y, 0))
        return carry, np.stack(ys, -2)

    @few(max_examples=8)
    @given(mask=masks(), reset=flags, seed=st.integers(0, 99))
    def law(mask, reset, seed):
        with float64():
            clean, key = numbers((*ROWS, T, D), seed), jax.random.key(seed)
            (gradient, d_xs), out = work(cell, np.where(mask[..., None], clean, np.nan), mask, reset, key)
            assert_close(out, looped(clean, mask, reset, key))
            assert_close((gradient, d_xs), work(cell, clean, mask, reset, key)[0], 0.0)
            np.testing.assert_array_equal(d_xs[~mask], 0.0)

    law()


def test_a_padded_row_is_the_unpadded_one_with_its_masks():
    """They are the masks that the key of its first real step gives it, whatever comes after; a row without a real step
    draws none."""
    with float64():
        plain = cell_of(LSTMCell)
        cell, xs, key = VariationalDropout(plain, RATE), inputs(), jax.random.key(3)
        real = np.array([[[0, 0, 0, 0], [0, 1, 0, 1]], [[1, 1, 1, 0], [0, 0, 0, 1]]], bool)
        carry, ys = scan(cell, jnp.where(real[..., None], xs, jnp.nan), mask=real, key=key)
        keys = jax.random.split(key, T)
        for row in np.ndindex(ROWS):
            steps = np.flatnonzero(real[row])
            own = at(row, carry[1:])
            start = cell.initial_carry(ROWS)
            if not steps.size:
                assert_close(at(row, carry), at(row, start), 0.0)
                continue
            drawn, _ = step(cell, start, xs[..., 0, :], keys[steps[0]])
            assert_close(own, at(row, drawn[1:]), 0.0)
            alone = (plain.initial_carry(()), *own)
            for t in steps:
                alone, y = step(cell, alone, xs[row][t], jax.random.key(8))
                assert_close(ys[row][t], y)
            assert_close(at(row, carry), alone)


def test_masks_stay_until_a_reset():
    """From step to step and from chunk to chunk, under other keys; a reset row draws others, the rest keep theirs."""
    with float64():
        cell = VariationalDropout(cell_of(GRUCell), 0.5)
        xs, keys = inputs(0, (20, T, D)), jax.random.split(jax.random.key(0), 2)
        reset = np.zeros((20, T), bool)
        first, _ = scan(cell, xs, carry=cell.initial_carry((20,)), reset=reset, key=keys[0])
        reset[:10, 2] = True
        after, _ = scan(cell, xs, carry=first, reset=reset, key=keys[1])
        for mask, later in zip(first[1:], after[1:], strict=True):
            assert set(np.unique(mask)) == {0.0, 1.0}
            np.testing.assert_array_equal(later[10:], mask[10:])
            assert np.mean(later[:10] != mask[:10]) > 0.25  # half of them, were it not for luck
        held, carry = set(), cell.initial_carry((20,))
        for t, key in enumerate(jax.random.split(keys[0], T)):
            carry, _ = step(cell, carry, xs[:, t], key)
            held.add(np.asarray(jnp.concatenate(carry[1:], -1)).tobytes())
        assert len(held) == 1


def test_masks_are_drawn_for_each_row_side_and_unit():
    width = 50
    cell = VariationalDropout(ElmanCell(width, width, init="pytorch", rngs=nnx.Rngs(0)), RATE)
    (_, m_x, m_h), _ = step(cell, cell.initial_carry((20, 2)), np.ones((20, 2, width), "float32"), jax.random.key(0))
    for mask in (np.asarray(m_x), np.asarray(m_h)):
        assert abs(mask.mean() - (1 - RATE)) < 4 * (RATE * (1 - RATE) / mask.size) ** 0.5
        for axis in range(3):
            assert np.mean(mask != np.roll(mask, 1, axis)) > RATE * (1 - RATE)  # twice that, drawn apart
    assert np.mean(m_x != m_h) > RATE * (1 - RATE)


# --- variational dropout ----------------------------------------------------------------------------------------------


@one_cell
def test_variational_dropout_is_the_cells_step_on_what_is_left(make):
    """Of the inputs, and of what the recurrent weights read: the carry is handed on whole."""
    with float64():
        plain, x, start = cell_of(make), inputs()[..., 0, :], carry_like(cell_of(make))
        cell = VariationalDropout(plain, RATE)
        (after, m_x, m_h), y = cell((start, *cell.initial_carry(ROWS)[1:]), x, key=jax.random.key(1))
        assert {0.0, 1.0} == set(np.unique(m_x)) == set(np.unique(m_h))
        left = np.asarray(plain.output(start)) * m_h / (1 - RATE)
        assert_close((after, y), plain(start, x * m_x / (1 - RATE), read=left))


def test_integers_are_dropped_as_the_one_hot_vectors_that_they_stand_for():
    with float64():
        cell, ids = VariationalDropout(cell_of(GRUCell), RATE), np.random.default_rng(0).integers(0, D, (*ROWS, T, 1))
        vectors = jax.nn.one_hot(ids[..., 0], D, dtype=float)
        for key in (None, jax.random.key(1)):
            assert_close(unroll(cell, jnp.asarray(ids), key=key), unroll(cell, vectors, key=key))


@pytest.mark.parametrize("key", [None, jax.random.key(1)])
def test_one_feature_is_not_taken_for_all(key):
    with pytest.raises(ValueError, match=r"shape \(2, 1\) do not fit weights for 3 features"):
        unroll(VariationalDropout(GRUCell(D, H, rngs=nnx.Rngs(0)), RATE), np.zeros((2, T, 1)), key=key)


def test_times_beside_the_inputs_are_not_dropped():
    with float64():
        plain, x, times = cell_of(TimeGatedLSTMCell), inputs()[..., 0, :], 5 + inputs(1, (*ROWS, 1))
        cell = VariationalDropout(plain, RATE)
        start = cell.initial_carry(ROWS)
        (after, m_x, m_h), y = cell(start, (x, times), key=jax.random.key(1))
        left = plain.output(start[0]) * m_h / (1 - RATE)
        assert_close((after, y), plain(start[0], (x * m_x / (1 - RATE), times), read=left))
        assert_close(after[2], times + 1, 0.0)


def held(make):
    """A cell that only hands on what it was given: of a GRU h, of an LSTM c, of one with closed time gates both."""
    if make is TimeGatedLSTMCell:
        return TimeGatedLSTMCell(D, H, tau=1e4, s=-1.0, r_on=1e-6, rngs=nnx.Rngs(0))
    cell = make(D, H, rngs=nnx.Rngs(0))
    gates = {GRUCell: (0, 1e3, 0), LSTMCell: (-1e3, 1e3, 0, 0)}[make]
    cell.b_x[...] = jnp.repeat(jnp.asarray(gates, float), H)
    return cell


@pytest.mark.parametrize("make", [GRUCell, pytest.param(LSTMCell, marks=pytest.mark.slow), TimeGatedLSTMCell])
@pytest.mark.parametrize("wrap", [partial(VariationalDropout, rate=0.5), LayerNorm])
def test_what_a_step_hands_on_past_its_weights_is_spared(wrap, make):
    """After 50 steps it is there to the bit: had it been dropped, a half of it were 0 and the rest 2^50 times as much;
    normalised, it would have lost its scale in the first."""
    cell, steps = wrap(held(make)), 50
    start = cell.initial_carry((2,))
    state = {GRUCell: lambda carry: carry, LSTMCell: lambda carry: carry[1], TimeGatedLSTMCell: lambda carry: carry[:2]}
    inner = carry_like(cell.cell, (2,))
    if make is TimeGatedLSTMCell:
        inner = (*inner[:2], cell.cell.initial_carry((2,))[2])
    given = (inner, *start[1:]) if wrap is not LayerNorm else inner
    end, _ = scan(cell, jnp.asarray(numbers((2, steps, D)), "float32"), carry=given, key=jax.random.key(0))
    assert_close(state[make](end if wrap is LayerNorm else end[0]), state[make](inner), 0.0)


def test_variational_dropout_preserves_the_mean_of_what_the_weights_read():
    """Over many keys, a linear step is the plain one in the mean. The variance of m/(1 - p) is p/(1 - p), so that of a
    unit's sum is p/(1 - p) times the sum of the squares of its terms."""
    with float64():
        plain, n = Linear(), 4000
        cell, x, h = VariationalDropout(plain, RATE), inputs(2, (D,)), inputs(3, (H,))
        start = (h, *cell.initial_carry(())[1:])
        draws = soon(jax.vmap(lambda key: cell(start, x, key=key)[1]))(jax.random.split(jax.random.key(0), n))
        squares = jnp.square(x) @ jnp.square(plain.w) + jnp.square(h) @ jnp.square(plain.v)
        deviation = np.sqrt(RATE / (1 - RATE) * squares)
        assert np.all(np.abs(draws.mean(0) - plain(h, x)[1]) < 5 * deviation / n**0.5)
        np.testing.assert_allclose(draws.std(0), deviation, rtol=0.1)


# --- zoneout ----------------------------------------------------------------------------------------------------------


@one_cell
def test_zoneout_without_a_key_is_the_mean_of_old_and_new(make):
    with float64():
        plain, x = cell_of(make), inputs()[..., 0, :]
        start = carry_like(plain)
        new, _ = plain(start, x)
        mixed, y = Zoneout(plain, RATE)(start, x)
        leaves = [jax.tree.leaves(tree) for tree in (start, new, mixed)]
        for old, proposed, leaf in zip(*leaves, strict=True):
            clock = leaf.shape[-1] == 1
            np.testing.assert_allclose(leaf, proposed if clock else RATE * old + (1 - RATE) * proposed, rtol=1e-12)
        assert_close(y, plain.output(mixed), 0.0)


def test_zoneout_keeps_each_state_of_each_unit_on_its_own():
    """Under a key a state is the one before or the one after, the first with probability ``rate``; the clock goes on,
    and the output is that of the states as they are."""
    width, rows = 40, 30
    plain = TimeGatedLSTMCell(D, width, init="pytorch", tau=8.0, s=-1.0, r_on=0.9, rngs=nnx.Rngs(0))
    start, x = carry_like(plain, (rows,)), jnp.asarray(numbers((rows, D)), "float32")
    new, _ = step(plain, start, x)
    (h, c, clock), y = step(Zoneout(plain, RATE), start, x, jax.random.key(0))
    assert_close((clock, y), (new[2], h), 0.0)
    kept = [np.asarray(state == old) for state, old in zip((h, c), start[:2], strict=True)]
    for state, where, old, proposed in zip((h, c), kept, start[:2], new[:2], strict=True):
        np.testing.assert_allclose(state, np.where(where, old, proposed), rtol=1e-5)
        assert abs(where.mean() - RATE) < 4 * (RATE * (1 - RATE) / where.size) ** 0.5
        for axis in range(2):
            assert np.mean(where != np.roll(where, 1, axis)) > RATE * (1 - RATE)
    assert np.mean(kept[0] != kept[1]) > RATE * (1 - RATE)
    (after, _, _), _ = step(Zoneout(plain, RATE), start, x, jax.random.key(1))
    assert np.mean(kept[0] != (after == start[0])) > RATE * (1 - RATE)


def test_zoneout_preserves_the_mean():
    """Of one step of any cell, for each state; and, where the cell is linear, of many."""
    with float64():
        plain, n = cell_of(LSTMCell), 4000
        start, x, keys = carry_like(plain, ()), inputs(0, (D,)), jax.random.split(jax.random.key(0), n)
        cell = Zoneout(plain, RATE)
        draws = soon(jax.vmap(lambda key: cell(start, x, key=key)[0]))(keys)
        new, _ = plain(start, x)
        for drawn, mean, old, proposed in zip(draws, cell(start, x)[0], start, new, strict=True):
            deviation = np.abs(proposed - old) * (RATE * (1 - RATE)) ** 0.5
            assert np.all(np.abs(drawn.mean(0) - mean) < 5 * deviation / n**0.5)

        linear, xs = Zoneout(Linear(), RATE), inputs(1, (T, D))
        ys = soon(jax.vmap(lambda key: unroll(linear, xs, key=key)[1]))(keys)
        assert np.all(np.abs(ys.mean(0) - unroll(linear, xs)[1]) < 5 * ys.std(0) / n**0.5)


# --- layer normalisation ----------------------------------------------------------------------------------------------


@one_cell
def test_layer_norm_is_the_cells_step_on_its_normalised_output(make):
    with float64():
        plain, x = cell_of(make), inputs()[..., 0, :]
        cell, start = LayerNorm(plain), carry_like(cell_of(make))
        cell.scale[...], cell.shift[...] = numbers((2, H), 5)
        h = np.asarray(plain.output(start))
        mean, variance = h.mean(-1, keepdims=True), h.var(-1, keepdims=True)
        read = (h - mean) / np.sqrt(variance + EPSILON) * cell.scale[...] + cell.shift[...]
        assert_close(cell(start, x), plain(start, x, read=read))


def test_layer_norm_reads_no_scale_and_no_level():
    """What is read may be a hundred times as large, or all of it higher by ten: the sums stay what they are, but for
    EPSILON beside a variance above 1, half of 1e-5 of each of their terms."""
    with float64():
        plain, x, h = cell_of(ElmanCell), inputs()[..., 0, :], 10 * inputs(1, (*ROWS, H))
        cell = LayerNorm(plain)
        a = cell.intermediates(h, x)["a"]
        assert h.var(-1).min() > 1
        terms = H**0.5 * np.abs(plain.w_h[...]).sum(0).max()  # no normalised unit is above the root of their number
        assert np.abs(plain.intermediates(100 * h, x)["a"] - a).max() > 100
        assert_close(cell.intermediates(h + 10, x)["a"], a)
        np.testing.assert_allclose(cell.intermediates(100 * h, x)["a"], a, rtol=0, atol=0.5 * EPSILON * terms)


@one_cell
def test_layer_norm_of_equal_units_has_finite_gradients(make):
    """Where all of them are zero, as at the start of a row, the weights read the shift alone."""
    cell, xs = LayerNorm(make(D, H, learn_carry=True, rngs=nnx.Rngs(0))), jnp.asarray(numbers((2, *ROWS, D)), "float32")

    def loss(cell, xs):
        carry, _ = cell(cell.initial_carry(ROWS), xs[0])
        return jnp.sum(cell(carry, xs[1])[1] ** 2)

    gradient, d_xs = soon(jax.grad(loss, argnums=(0, 1)))(cell, xs)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves((gradient, d_xs)))
    assert np.all(gradient.scale[...]) and np.all(gradient.shift[...])
    start = cell.initial_carry(ROWS)
    shift = jnp.broadcast_to(cell.shift[...], (*ROWS, H))
    assert_close(cell(start, xs[0]), cell.cell(start, xs[0], read=shift), 1e-6)


# --- together ---------------------------------------------------------------------------------------------------------


def test_wrappers_apply_from_the_outermost_in():
    """What the recurrent weights read is normalised and then dropped, or dropped and then normalised."""
    with float64():
        plain, x = cell_of(LSTMCell), inputs()[..., 0, :]
        h, c = start = carry_like(plain)
        m_x, m_h = (jnp.asarray(numbers((*ROWS, n), n) > 0, float) for n in (D, H))

        def normal(h):
            return (h - h.mean(-1, keepdims=True)) / np.sqrt(h.var(-1, keepdims=True) + EPSILON)

        key, carry, left = jax.random.key(0), (start, m_x, m_h), x * m_x / (1 - RATE)
        for cell, read in (
            (LayerNorm(VariationalDropout(plain, RATE)), normal(h) * m_h / (1 - RATE)),
            (VariationalDropout(LayerNorm(plain), RATE), normal(h * m_h / (1 - RATE))),
        ):
            (after, *kept), y = cell(carry, x, key=key)
            assert_close((after, y), plain(start, left, read=read))
            assert_close(kept, [m_x, m_h], 0.0)
            assert cell.random


def test_zoneout_spares_the_masks_of_the_dropout_inside_it():
    with float64():
        cell, xs = Zoneout(VariationalDropout(cell_of(GRUCell), 0.5), 0.9), inputs(0, (20, 1, D))
        (_, *drawn), _ = scan(cell, xs, key=jax.random.key(0))
        assert all(set(np.unique(mask)) == {0.0, 1.0} for mask in drawn)


class NoisyReader(Noisy):
    """`Noisy`, of which there is something to wrap."""

    def __call__(self, carry, x, key=None, read=None):
        return super().__call__(carry if read is None else read, x, key)


@every_wrap
def test_a_random_cell_is_given_keys_of_its_own(wrap):
    """The noise inside is not the noise of the wrapper, and differs from step to step; without a key there is none."""
    plain = NoisyReader(D, H, rngs=nnx.Rngs(0))
    cell, key = wrap(plain), jax.random.key(0)
    assert cell.random
    start, x = cell.initial_carry(ROWS), jnp.ones((*ROWS, D))
    one, again, other = (cell(start, x, key=k)[1] for k in (key, key, jax.random.key(1)))
    assert_close(one, again, 0.0)
    assert np.abs(one - other).max() > 0.01
    assert len(np.unique(np.ravel(one).round(5))) > 8  # of 16: dropped or kept alone would leave one or a few


def test_a_stack_of_wrapped_cells():
    """Each layer and each direction draws its own masks; the padding is zero; the same key gives the same again."""
    layers = stack(
        lambda d, h, **options: everything(GRUCell(d, h, **options), 0.5),
        H,
        [H, H],
        bidirectional=True,
        merge="mean",
        rngs=nnx.Rngs(0),
    )
    xs, lengths, key = jnp.asarray(numbers((9, T, H)), "float32"), np.arange(9) % T + 1, jax.random.key(0)
    work = soon(lambda layers, xs, key: layers(xs, lengths=lengths, key=key))
    carries, ys = work(layers, xs, key)
    assert_close(work(layers, xs, key), (carries, ys), 0.0)
    drawn = [mask for carry in carries for _, *of_cell in carry for mask in of_cell]
    assert len(drawn) == 8
    for number, mask in enumerate(drawn):
        assert set(np.unique(mask)) == {0.0, 1.0}
        assert all(np.any(mask != other) for other in drawn[:number])
    np.testing.assert_array_equal(ys[np.arange(T) >= lengths[:, None]], 0.0)


@each_and_all
@pytest.mark.parametrize(
    "name, state",
    [
        ("time_gated_lstm", "h"),
        *(pytest.param(*pair, marks=pytest.mark.slow) for pair in (("gru", "h"), ("jordan", "y"))),
    ],
)
def test_a_trace_is_that_of_the_cell_inside(wrap, name, state):
    """All of its letters, and among them what it puts out; zoned out, what it would put out, and ``y`` what it does."""
    with float64():
        plain, xs, options = cell_of(CELLS[name]), inputs(), {"lengths": np.array([[0, T], [3, 2]])}
        cell = wrap(plain)
        trace, letters = soon(gate_trace)(cell, xs, **options), jax.eval_shape(gate_trace, plain, xs)
        _, ys = scan(cell, xs, **options)
        zoned = isinstance(cell, Zoneout)
        assert set(trace) == set(letters) | ({"y"} if zoned else set())
        assert_close(trace["y" if zoned else state], ys)
        if isinstance(cell, VariationalDropout):
            assert_close(trace, gate_trace(plain, xs, **options))


# --- training ---------------------------------------------------------------------------------------------------------


def test_rates_are_no_parameters():
    plain = GRUCell(D, H, rngs=nnx.Rngs(0))
    assert parameter_count(Zoneout(VariationalDropout(plain, RATE), RATE)) == parameter_count(plain)
    assert parameter_count(LayerNorm(plain)) == parameter_count(plain) + 2 * H


def test_rates_can_be_swept_and_training_leaves_them():
    """Two runs in one program, each with its rate, under weight decay: all of their weights move, and no rate does."""

    def make_model(rngs, hparams):
        layers = stack(
            lambda d, h, **options: everything(ElmanCell(d, h, **options), hparams.dropout), D, [H], rngs=rngs
        )
        return Classifier(layers, 2, rngs=rngs)

    def objective(model, x, y, hparams, key):
        return cross_entropy(model, x, y, Hparams(), key)

    task = Task(make_model, objective, lambda hparams: optax.adamw(hparams.learning_rate, weight_decay=0.1), batch=8)
    data = jnp.asarray(numbers((16, T, D)), "float32"), jnp.arange(16) % 2
    keys, rates = jax.random.split(jax.random.key(0), 2), np.asarray([0.1, 0.5], np.float32)

    def trained(key, rate):
        hparams = Hparams(learning_rate=0.01, dropout=rate)
        run = start(task, key, hparams, data)
        return run.model, segment(task, run, hparams, data, 0, 0, 2).model

    before, after = soon(jax.vmap(trained))(keys, rates)
    zoneout = after.layers.layers[0].cell
    for rate in (zoneout.rate, zoneout.cell.cell.rate):
        np.testing.assert_array_equal(rate[...], rates)
    for leaf, other in zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True):
        assert leaf.shape == rates.shape or np.all(leaf != other)


# --- mistakes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrapper", [VariationalDropout, Zoneout])
@pytest.mark.parametrize("rate", [-0.1, 1.0, np.nan, np.inf, np.array([0.1, 0.2])])
def test_what_is_no_rate_is_named(wrapper, rate):
    with pytest.raises(ValueError, match="rate must be one number, at least 0 and below 1, not "):
        wrapper(ElmanCell(D, H, rngs=nnx.Rngs(0)), rate)


class Bare:
    """Scanned, but not wrapped."""

    def __call__(self, carry, x):
        return carry, carry


@every_wrap
def test_what_a_cell_lacks_to_be_wrapped_is_named(wrap):
    lacks = "Bare cannot be wrapped, for it lacks a step that takes read= and mix"
    with pytest.raises(TypeError, match=lacks):
        wrap(Bare())
    with pytest.raises(TypeError, match="Noisy cannot be wrapped, for it lacks a step that takes read=: see"):
        wrap(Noisy(D, H, rngs=nnx.Rngs(0)))
