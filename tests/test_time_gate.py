"""The time gate is what the assignment's equation says, and a cell with one keeps, counts and learns as it should."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from hypothesis import given
from hypothesis import strategies as st

from contract import ROWS, D, H, T, assert_close, carry_like, cell_of, few, float64, numbers
from jaxrnn.cells import Fixed, LSTMCell, TimeGatedLSTMCell, time_gate
from jaxrnn.layers import stack
from jaxrnn.models import parameter_count
from jaxrnn.optimisers import adamw_torch
from jaxrnn.scan import unroll
from jaxrnn.train import Hparams, Task, segment, start


def gated(seed=0, **options):
    """A cell with all weights random, and its gate as given."""
    cell = cell_of(TimeGatedLSTMCell, seed, **options)
    plain = TimeGatedLSTMCell(D, H, rngs=nnx.Rngs(0), **options)
    cell.log_tau, cell.s, cell.logit_r_on = plain.log_tau, plain.s, plain.logit_r_on
    return cell


# --- k(t) -------------------------------------------------------------------------------------------------------------


def test_the_gate_at_whole_steps_is_continuous_at_its_peak():
    """tau = 8, r_on = 0.5, s = 0: the strict inequalities as printed would have 0 at t = 2."""
    opened = time_gate(jnp.arange(9), 8.0, 0.0, 0.5)
    np.testing.assert_array_equal(opened, [0, 0.5, 1, 0.5, 0, 0, 0, 0, 0])


def test_gradients_on_the_closing_side():
    """t = 13, tau = 8, s = 0, r_on = 0.9: phi = 0.625, and k = 2 - 2 phi / r_on."""
    with float64():
        slopes = jax.grad(time_gate, argnums=(1, 2, 3))(13.0, 8.0, 0.0, 0.9)
        np.testing.assert_allclose(slopes, [0.45138889, 0.27777778, 1.54320988], atol=1e-8)


def test_the_remainder_is_differentiated_through_its_period():
    """d/dtau (13 mod tau) at tau = 4 is -floor(13 / 4) = -3: with r_on = 2 the rising side is k = phi, tau phi = 1."""
    with float64():
        slope = jax.grad(lambda tau: tau * time_gate(13.0, tau, 0.0, 2.0))(4.0)
        np.testing.assert_allclose(slope, -3.0, atol=1e-12)


@few(max_examples=50)
@given(
    st.floats(-1e3, 1e3),
    st.floats(0.5, 100),
    st.floats(-100, 100),
    st.floats(0.05, 1),
    st.integers(-5, 5),
)
def test_the_gate_is_periodic_and_between_0_and_1(t, tau, s, r_on, periods):
    """Also before s, where a remainder that rounds towards 0 would be negative."""
    with float64():
        k = time_gate(t, tau, s, r_on)
        assert 0 <= k <= 1
        np.testing.assert_allclose(time_gate(t + periods * tau, tau, s, r_on), k, atol=1e-9 / r_on)


@pytest.mark.parametrize("r_on", [0.25, 0.5, 1.0])
def test_the_mean_over_a_period_is_half_the_open_share(r_on):
    with float64():
        times = 3.0 + 8.0 * (np.arange(8_000) + 0.5) / 8_000
        np.testing.assert_allclose(time_gate(times, 8.0, 3.0, r_on).mean(), r_on / 2, atol=1e-12)
        closed = time_gate(times, 8.0, 3.0, r_on, leak=0.1)[int(8_000 * r_on) :]
        np.testing.assert_allclose(closed, 0.1 * (times[int(8_000 * r_on) :] - 3) / 8, atol=1e-12)


# --- a closed gate, and an open one -----------------------------------------------------------------------------------


def test_a_closed_gate_copies_the_state_and_its_gradient():
    """U10: to the bit, over any number of steps; the Jacobian of the states is the identity."""
    cell = gated(tau=8.0, s=0.0, r_on=0.5)
    h, c, _ = carry_like(cell, (2,))
    times = jnp.broadcast_to(jnp.asarray([4.0, 5.0, 6.5, 7.9, 12.5])[:, None], (2, 5, 1))
    xs = jnp.asarray(numbers((2, 5, D)), h.dtype)

    def after(states):
        return unroll(cell, (xs, times), carry=(*states, jnp.ones((2, 1))))[0][:2]

    for ended, began in zip(after((h, c)), (h, c), strict=True):
        np.testing.assert_array_equal(ended, began)
    weights = jax.tree.map(lambda leaf: jnp.asarray(numbers(leaf.shape, 7), leaf.dtype), (h, c))
    _, pull = jax.vjp(after, (h, c))
    for back, weight in zip(pull(weights)[0], weights, strict=True):
        np.testing.assert_array_equal(back, weight)


@pytest.mark.parametrize("leak", [0.0, 0.001])
def test_the_gate_is_learned_where_it_is_open_or_leaks(leak):
    """U11: tau, s and r_on have exactly no gradient in the closed phase; with a leak tau and s have one, r_on none."""
    with float64():
        cell = gated(tau=8.0, s=0.0, r_on=0.5, leak=leak)
        carry, xs = carry_like(cell, (2,)), jnp.asarray(numbers((2, 1, D)))

        def loss(cell, time):
            return jnp.sum(unroll(cell, (xs, jnp.full((2, 1, 1), time)), carry=carry)[1] ** 2)

        for time, phase in ((1.3, "opening"), (3.1, "closing"), (6.2, "closed")):
            slopes = jax.grad(loss)(cell, time)
            for number in ("log_tau", "s", "logit_r_on"):
                nothing = phase == "closed" and (leak == 0 or number == "logit_r_on")
                assert np.all((np.asarray(getattr(slopes, number)[...]) == 0) == nothing), (phase, number)


@pytest.mark.parametrize("h_from", ["gated", "candidate"])
def test_at_its_peak_it_is_an_lstm(h_from):
    with float64():
        cell = gated(tau=8.0, s=0.0, r_on=0.5, h_from=h_from)
        plain = LSTMCell(D, H, rngs=nnx.Rngs(0))
        for name in ("w_x", "w_h", "b_x", "b_h"):
            setattr(plain, name, getattr(cell, name))
        xs, (h, c, _) = jnp.asarray(numbers((*ROWS, T, D))), carry_like(cell)
        peaks = jnp.broadcast_to(2.0 + 8.0 * jnp.arange(T)[:, None], (*ROWS, T, 1))
        (*states, _), ys = unroll(cell, (xs, peaks), carry=(h, c, jnp.ones((*ROWS, 1))))
        assert_close((tuple(states), ys), unroll(plain, xs, carry=(h, c)))


# --- the time ---------------------------------------------------------------------------------------------------------


def test_the_time_is_the_number_of_the_step_from_1_unless_it_is_given():
    with float64():
        cell, xs = cell_of(TimeGatedLSTMCell), jnp.asarray(numbers((*ROWS, T, D)))
        times = jnp.broadcast_to(1.0 + jnp.arange(T)[:, None], (*ROWS, T, 1))
        expected = unroll(cell, xs)
        assert_close(unroll(cell, (xs, times)), expected)
        assert_close(unroll(cell, (xs[..., ::-1, :], times), reverse=True)[0][2], jnp.full((*ROWS, 1), 2.0))
        assert np.abs(unroll(cell, (xs, times + 0.7))[1] - expected[1]).max() > 0.01


def test_a_masked_step_takes_no_time_and_a_reset_starts_it_again():
    """And a masked step's own time, whatever it is, is not looked at."""
    with float64():
        cell, xs = cell_of(TimeGatedLSTMCell), jnp.asarray(numbers((2, 5, D)))
        mask = np.array([[True, False, True, True, False], [False, True, True, False, True]])
        carry, ys = unroll(cell, xs, mask=mask)
        times = jnp.where(mask, jnp.cumsum(mask, axis=1), jnp.nan)[..., None]
        (h, c, _), zs = unroll(cell, (xs, times), mask=mask)
        assert_close((carry[:2], ys), ((h, c), zs))
        np.testing.assert_array_equal(carry[2], [[4.0], [4.0]])
        reset = np.zeros((2, 5), bool)
        reset[:, 2] = True
        assert_close(unroll(cell, xs, reset=reset)[1][:, 2:], unroll(cell, xs[:, 2:])[1])


def test_a_stack_tells_every_layer_the_time():
    with float64():
        layers = stack("time_gated_lstm", D, [H, H], rngs=nnx.Rngs(0))
        xs, times = jnp.asarray(numbers((2, T, D))), jnp.asarray(np.cumsum(np.abs(numbers((2, T, 1), 3)), 1))
        below, above = layers.layers
        _, ys = above((below((xs, times))[1], times))
        assert_close(layers((xs, times))[1], ys)


# --- what is learned, and what is not ---------------------------------------------------------------------------------


def test_one_number_for_all_units_or_one_for_each():
    each, one = (TimeGatedLSTMCell(D, H, shared=shared, rngs=nnx.Rngs(0)) for shared in (False, True))
    assert each.tau.shape == each.s.shape == each.r_on.shape == (H,)
    assert one.tau.shape == one.s.shape == one.r_on.shape == (1,)
    assert parameter_count(each) - parameter_count(one) == 3 * (H - 1)
    np.testing.assert_allclose(TimeGatedLSTMCell(D, H, tau=np.arange(1.0, 5), rngs=nnx.Rngs(0)).tau, [1, 2, 3, 4], 1e-6)


def test_a_gate_starts_as_in_the_paper_or_as_told():
    """log tau from U(1, 3), s from U(0, tau)."""
    cell = TimeGatedLSTMCell(1, 2_000, init="pytorch", rngs=nnx.Rngs(0))
    log_tau, share = np.asarray(cell.log_tau[...]), np.asarray(cell.s[...] / cell.tau)
    assert 1 <= log_tau.min() < 1.01 and 2.99 < log_tau.max() <= 3 and abs(log_tau.mean() - 2) < 0.05
    assert 0 <= share.min() < 0.01 and 0.99 < share.max() <= 1 and abs(share.mean() - 0.5) < 0.03
    told = TimeGatedLSTMCell(D, H, tau=6.0, s=1.5, r_on=0.05, rngs=nnx.Rngs(0))
    for number, value in ((told.tau, 6.0), (told.s[...], 1.5), (told.r_on, 0.05)):
        np.testing.assert_allclose(number, np.full(H, value), rtol=1e-6)


def test_what_is_fixed_stays_whatever_the_optimiser():
    """Weight decay moves what has no gradient; the gradient's norm, by which all are clipped, does not count it."""

    def make_model(rngs, hparams):
        return TimeGatedLSTMCell(D, H, fixed=("tau", "r_on"), rngs=rngs)

    def objective(model, x, y, hparams, key):
        return {"loss": jnp.sum((unroll(model, x)[1] - y) ** 2, (1, 2))}

    data = jnp.asarray(numbers((8, T, D)), jnp.float32), jnp.asarray(numbers((8, T, H)), jnp.float32)
    task = Task(make_model, objective, lambda hparams: adamw_torch(hparams.learning_rate, 0.5), batch=8)
    run = start(task, jax.random.key(0), Hparams(), data)
    after = segment(task, run, Hparams(), data, jnp.int32(0), jnp.int32(0), jnp.int32(1))
    for name, variable in vars(run.model).items():
        if isinstance(variable, nnx.Variable):
            moved = bool(np.any(variable[...] != getattr(after.model, name)[...]))
            assert moved != isinstance(variable, Fixed), name
    assert parameter_count(run.model) == parameter_count(TimeGatedLSTMCell(D, H, rngs=nnx.Rngs(0))) - 2 * H

    slopes = jax.grad(lambda model: objective(model, *data, None, None)["loss"].mean())(run.model)
    numbers_of = [value for value in vars(slopes).values() if isinstance(value, nnx.Variable)]
    learned = optax.tree.norm([variable for variable in numbers_of if not isinstance(variable, Fixed)])
    assert learned < optax.tree.norm(numbers_of)
    np.testing.assert_allclose(after.totals["gradient_norm"], learned, rtol=1e-5)


def test_a_gate_may_be_swept():
    """Traced under jit and vmap, tau and r_on make the cell that they make alone."""

    def make(tau, r_on):
        return TimeGatedLSTMCell(D, H, tau=tau, s=0.0, r_on=r_on, rngs=nnx.Rngs(0))

    taus, shares = jnp.asarray([2.0, 5.0]), jnp.asarray([0.1, 0.9])
    swept = jax.jit(jax.vmap(make))(taus, shares)
    for number in range(2):
        alone = make(float(taus[number]), float(shares[number]))
        assert_close(jax.tree.map(lambda leaf, number=number: leaf[number], swept), alone, 1e-6)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"tau": 0.0}, "tau must be above 0, not 0.0"),
        ({"tau": [1.0, -1.0, 2.0, 3.0]}, "tau must be above 0"),
        ({"r_on": 1.0}, "r_on must be above 0 and below 1, not 1.0"),
        ({"r_on": float("nan")}, "r_on must be above 0 and below 1, not nan"),
        ({"h_from": "c"}, "h_from must be 'gated' or 'candidate', not 'c'"),
        ({"fixed": ("period",)}, "what may be fixed is tau, s and r_on, not period"),
    ],
)
def test_mistakes_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        TimeGatedLSTMCell(D, H, rngs=nnx.Rngs(0), **options)


def test_steps_are_counted_in_bfloat16_too():
    """It has no 257."""
    cell = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), gated())
    (h, c, time), ys = unroll(cell, jnp.zeros((2, 300, D), jnp.bfloat16))
    assert {leaf.dtype for leaf in (h, c, ys)} == {jnp.dtype(jnp.bfloat16)}
    assert time.tolist() == [[301], [301]]
    evenly = jnp.broadcast_to(jnp.arange(1, 301)[:, None], (2, 300, 1))
    for times in (evenly, evenly.astype(jnp.float32)):
        assert_close(unroll(cell, (jnp.zeros((2, 300, D), jnp.bfloat16), times))[1], ys, 0.0)
