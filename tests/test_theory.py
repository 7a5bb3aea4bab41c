"""Slopes of activations, backpropagation through time in closed form, and gradients through any cell."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given
from hypothesis import strategies as st

from contract import D, H, T, assert_close, few, float64, loop, numbers, perturbed, soon, weighed, weights_like
from jaxrnn import theory
from jaxrnn.cells import CELLS
from jaxrnn.scan import unroll
from jaxrnn.theory import CROSSOVER, CROSSOVER_APPROX, VanillaRNN

K = 3
small = st.floats(-20, 20, allow_subnormal=False)
every_cell = pytest.mark.parametrize("name", CELLS)


def printed(value, digits):
    """A number to as many significant digits as it is printed with."""
    return float(f"{value:.{digits - 1}e}")


# --- slopes -----------------------------------------------------------------------------------------------------------


def test_the_slopes_at_e_005():
    with float64():
        e = 0.05
        assert printed(theory.sigmoid_slope_approx(e), 8) == 0.24984375
        assert printed(theory.tanh_slope_approx(e), 4) == 0.9975
        assert printed(theory.rho_approx(e), 14) == 0.25046992481203
        assert printed(theory.sigmoid_slope(e), 15) == 0.249843815081116
        assert printed(theory.tanh_slope(e), 15) == 0.997504160771568
        assert printed(theory.rho(e), 15) == 0.250468945300301
        assert printed(theory.rho_printed(e), 6) == 5.00104
        assert printed(0.25**20, 7) == 9.094947e-13


@pytest.mark.parametrize(
    "power, approximated, true",
    [
        (1, 2.5046992481e-01, 2.5046894530e-01),
        (2, 6.2735183235e-02, 6.2734692560e-02),
        (5, 9.8577528849e-04, 9.8575601330e-04),
        (10, 9.7175291939e-07, 9.7171491776e-07),
        (15, 9.5793001445e-10, 9.5787382339e-10),
        (20, 9.4430373635e-13, 9.4422988139e-13),
    ],
)
def test_the_powers_of_the_ratio(power, approximated, true):
    with float64():
        assert printed(theory.rho_approx(0.05) ** power, 11) == approximated
        assert printed(theory.rho(0.05) ** power, 11) == true
        assert printed(jnp.exp(power * theory.log_rho(0.05)), 11) == true


def test_the_powers_overlap():
    with float64():
        rough, true = theory.rho_approx(0.05), theory.rho(0.05)
        assert round(float(jnp.log10(true)), 10) == -0.6012461130
        assert round(float(jnp.log10(rough)), 10) == -0.6012444146
        assert printed(rough / true - 1, 2) == 3.9e-6
        assert printed((rough / true) ** 20 - 1, 2) == 7.8e-5


def test_the_ratio_in_single_precision_and_over_long_times():
    assert theory.rho(0.05).dtype == jnp.float32
    assert float(theory.rho(0.05) ** 20) == pytest.approx(9.4422988139e-13, rel=1e-5)
    assert float(1e4 * theory.log_rho(0.05) / np.log(10)) == pytest.approx(-6012.461130, rel=1e-6)
    assert float(theory.log_rho(1000.0)) == pytest.approx(1000 - np.log(4), rel=1e-6)


@few(max_examples=200)
@given(small)
def test_closed_forms_are_the_derivatives(e):
    with float64():
        cosh = math.cosh(e), math.cosh(e / 2)
        assert float(theory.sigmoid_slope(e)) == pytest.approx(1 / (4 * cosh[1] ** 2), rel=1e-13)
        assert float(theory.tanh_slope(e)) == pytest.approx(1 / cosh[0] ** 2, rel=1e-13)
        assert float(theory.rho(e)) == pytest.approx(cosh[0] ** 2 / (4 * cosh[1] ** 2), rel=1e-13)
        assert float(theory.sigmoid_slope(e)) == pytest.approx(float(jax.grad(jax.nn.sigmoid)(e)), abs=1e-14)
        assert float(theory.tanh_slope(e)) == pytest.approx(float(jax.grad(jnp.tanh)(e)), abs=1e-14)


def test_the_approximations_are_the_linear_activations_put_into_the_slopes():
    """The error falls with e^4: the slopes are 1/4 - e^2/16 + e^4/96 - ... and 1 - e^2 + 2e^4/3 - ..."""
    with float64():
        e = jnp.asarray(numbers((50,)))
        for activate, slope, of_value in (
            (jax.nn.sigmoid, theory.sigmoid_slope_approx, lambda s: s * (1 - s)),
            (jnp.tanh, theory.tanh_slope_approx, lambda t: 1 - t**2),
        ):
            value, change = jax.jvp(activate, (0.0,), (1.0,))
            np.testing.assert_allclose(slope(e), of_value(value + change * e), atol=1e-14)
        for e, tolerance in ((0.1, 0.02), (0.02, 1e-3)):
            sigmoid = theory.sigmoid_slope(e) - theory.sigmoid_slope_approx(e)
            tanh = theory.tanh_slope(e) - theory.tanh_slope_approx(e)
            assert float(sigmoid / e**4) == pytest.approx(1 / 96, rel=tolerance)
            assert float(tanh / e**4) == pytest.approx(2 / 3, rel=tolerance)
        np.testing.assert_allclose(theory.rho_approx(0.3), theory.sigmoid_slope_approx(0.3) / (1 - 0.09), rtol=1e-14)


def test_the_ends_of_the_intervals():
    assert printed(CROSSOVER_APPROX, 9) == 0.894427191
    assert printed(CROSSOVER, 10) == 1.662885891
    assert CROSSOVER_APPROX == 2 / math.sqrt(5) and math.cosh(CROSSOVER / 2) == pytest.approx((1 + math.sqrt(3)) / 2)
    with float64():
        for slope in (theory.sigmoid_slope, theory.tanh_slope):
            assert printed(slope(CROSSOVER), 9) == 0.133974596
            assert float(slope(CROSSOVER)) == pytest.approx(1 - math.sqrt(3) / 2, rel=1e-14)


@few(max_examples=200)
@given(st.floats(-3, 3).filter(lambda e: min(abs(abs(e) - end) for end in (CROSSOVER, CROSSOVER_APPROX)) > 1e-6))
def test_the_sigmoid_is_the_flatter_one_inside_the_interval_and_only_there(e):
    with float64():
        assert bool(theory.sigmoid_slope(e) <= theory.tanh_slope(e)) == (abs(e) <= CROSSOVER)
        assert bool(theory.sigmoid_slope_approx(e) <= theory.tanh_slope_approx(e)) == (abs(e) <= CROSSOVER_APPROX)


# --- products of Jacobians --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("activate", [jnp.tanh, jax.nn.sigmoid])
def test_sizes_of_jacobians_are_those_of_the_whole_way_differentiated(activate):
    with float64():
        w, xs, start = (jnp.asarray(numbers(shape, seed)) for seed, shape in enumerate([(H, H), (T, H), (H,)]))

        def step(h, x):
            return activate(x + w @ h)

        found = soon(lambda h, xs: theory.log_jacobian_norms(step, h, xs))(start, xs)
        for t in range(T):
            whole = jax.jacfwd(lambda h, t=t: jax.lax.scan(lambda h, x: (step(h, x), None), h, xs[: t + 1])[0])(start)
            singular = np.linalg.svd(whole, compute_uv=False)
            assert float(found[t]) == pytest.approx(np.log(np.sqrt(np.mean(singular**2))), abs=1e-12)
        together = jax.vmap(lambda xs: theory.log_jacobian_norms(step, start, xs))(jnp.stack([xs, xs]))
        assert_close(together, jnp.stack([found, found]))


def test_sizes_of_jacobians_over_long_times_and_of_what_is_forgotten():
    """A rotation scaled by r: r^t exactly, far below and above all floats; where a step forgets all, zero."""
    rotation = np.linalg.qr(numbers((H, H)))[0].astype(np.float32)
    for scale in (0.01, 100.0):
        found = theory.log_jacobian_norms(lambda h, x, w=scale * rotation: w @ h + x, jnp.ones(H), jnp.zeros((500, H)))
        np.testing.assert_allclose(found, np.arange(1, 501) * np.log(scale), rtol=1e-5)
    found = theory.log_jacobian_norms(lambda h, x: x, jnp.ones(H), jnp.zeros((3, H)))
    assert np.all(found == -np.inf)


def test_held_at_e_the_ratio_of_the_jacobians_is_the_power_of_rho():
    """T9: where every pre-activation is e, the sigmoid's Jacobian over 20 steps is rho^20 of tanh's."""
    with float64():
        w = jnp.asarray(numbers((H, H)))

        def held(activate):
            h = jnp.full(H, activate(0.05))
            through = jax.lax.scan
            xs = jnp.broadcast_to(0.05 - w @ h, (20, H))
            return jax.jacfwd(lambda h: through(lambda h, x: (activate(x + w @ h), None), h, xs)[0])(h)

        ratio = held(jax.nn.sigmoid) / held(jnp.tanh)
        np.testing.assert_allclose(ratio, 9.4422988139e-13, rtol=1e-9)


# --- backpropagation through time -------------------------------------------------------------------------------------


def network_and_data(t=7, d=3, h=5, k=4, seed=0):
    shapes = [(h, d), (h, h), (h,), (k, h), (k,), (t, d), (h,)]
    *weights, xs, h_init = (jnp.asarray(numbers(shape, seed + place)) for place, shape in enumerate(shapes))
    return VanillaRNN(*weights), xs, jax.nn.one_hot(seed % k, k), h_init


closed_form = soon(theory.bptt)
automatically = soon(jax.grad(theory.last_step_loss))


def by_hand(network, xs, y, h_init):
    """UVA's equations 1 to 3 and the gradient as sums over k of products over j, in NumPy, nothing shared."""
    w_hx, w_hh, b_h, w_ph, b_p = (np.asarray(weight) for weight in network)
    time = len(xs)
    h = [np.asarray(h_init)]
    for x in np.asarray(xs):
        h.append(np.tanh(w_hx @ x + w_hh @ h[-1] + b_h))
    p = w_ph @ h[time] + b_p
    prediction = np.exp(p) / np.exp(p).sum()
    d_p = prediction - np.asarray(y)
    d_hh, d_hx, d_b, d_hs = np.zeros_like(w_hh), np.zeros_like(w_hx), np.zeros_like(b_h), []
    for k in range(1, time + 1):
        product = np.eye(len(b_h))
        for j in range(time, k, -1):
            product = product @ np.diag(1 - h[j] ** 2) @ w_hh
        d_h = product.T @ w_ph.T @ d_p
        delta = np.diag(1 - h[k] ** 2) @ d_h
        d_hs.append(d_h)
        d_hh, d_hx, d_b = d_hh + np.outer(delta, h[k - 1]), d_hx + np.outer(delta, xs[k - 1]), d_b + delta
    return -np.sum(y * np.log(prediction)), VanillaRNN(d_hx, d_hh, d_b, np.outer(d_p, h[time]), d_p), np.array(d_hs)


@pytest.mark.parametrize("seed", range(3))
def test_the_closed_form_is_automatic_differentiation_and_the_sums_by_hand(seed):
    with float64():
        network, xs, y, h_init = network_and_data(seed=seed)
        for start in (None, h_init):
            loss, expected, d_hs = by_hand(network, xs, y, np.zeros(5) if start is None else start)
            closed = closed_form(network, xs, y, start)
            automatic = automatically(network, xs, y, start)
            assert float(theory.last_step_loss(network, xs, y, start)) == pytest.approx(float(loss), abs=1e-12)
            for one, other, third in zip(closed, automatic, expected, strict=True):
                assert np.abs(one - other).max() <= 1e-12 and np.abs(one - third).max() <= 1e-12
            np.testing.assert_allclose(theory.bptt_copies(network, xs, y, start)[1], d_hs, atol=1e-13)


def test_the_terms_are_the_gradients_of_the_copies():
    """I1: unfolded, each copy has its gradient; the shared weights have their sum; W_ph has one term, at the end."""
    with float64():
        network, xs, y, _ = network_and_data()
        copies = theory.copies_of(network, len(xs))
        assert_close(theory.last_step_loss(copies, xs, y), theory.last_step_loss(network, xs, y))
        terms, _ = theory.bptt_copies(network, xs, y)
        assert_close(terms, automatically(copies, xs, y))
        assert not np.any(terms.w_ph[:-1]) and not np.any(terms.b_p[:-1]) and np.all(np.abs(terms.w_hx) > 0)
        assert not np.any(terms.w_hh[0]) and np.all(np.any(terms.w_hh[1:], axis=(1, 2)))  # h_init is zero


def test_the_closed_form_runs_compiled_and_over_many_networks():
    with float64():
        several = [network_and_data(seed=seed)[:3] for seed in (0, 1)]
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *several)
        together = soon(jax.vmap(theory.bptt))(*stacked)
        for place, one in enumerate(several):
            assert_close(jax.tree.map(lambda leaf, place=place: leaf[place], together), closed_form(*one))


@every_cell
def test_the_shared_weights_gradient_is_the_sum_over_the_copies(name):
    """I1, for every cell, with every output in the loss (many to many) and the last alone (many to one)."""
    with float64():
        cell = perturbed(CELLS[name](D, H, rngs=nnx.Rngs(0)))
        xs = jnp.asarray(numbers((2, T, D)))
        weights = numbers((2, T, H), 1)
        copies = theory.copies_of(cell, T)
        assert_close(theory.unroll_copies(copies, xs), unroll(cell, xs)[1])
        for kept in (weights, weights * (np.arange(T) == T - 1)[:, None]):
            shared = soon(jax.grad(lambda cell, kept: weighed(unroll(cell, xs)[1], kept)))(cell, kept)
            apart = soon(jax.grad(lambda c, kept: weighed(theory.unroll_copies(c, xs), kept)))(copies, kept)
            assert_close(jax.tree.map(lambda leaf: leaf.sum(0), apart), shared)


# --- gradients with respect to what a step hands on -------------------------------------------------------------------


@every_cell
def test_carry_gradients_are_those_of_the_rest_of_the_way(name):
    """dL/dh_k is the gradient of the loss as a function of the carry after step k, worked on from there."""
    with float64():
        cell = perturbed(CELLS[name](D, H, rngs=nnx.Rngs(0)))
        xs = jnp.asarray(numbers((2, T, D)))
        weights = weights_like(jax.ShapeDtypeStruct((2, T, H), float))
        found = soon(lambda cell, xs: theory.carry_gradients(cell, xs, lambda ys: weighed(ys, weights)))(cell, xs)
        for k in (1, T - 1, T):
            carry, _ = loop(cell, xs[:, :k], cell.initial_carry((2,)))

            def rest(carry, k=k):
                _, ys = loop(cell, xs[:, k:], carry)
                return weighed(jnp.concatenate([cell.output(carry)[:, None], ys], axis=1), weights[:, k - 1 :])

            expected = soon(jax.grad(rest))(carry)
            assert_close(jax.tree.map(lambda leaf, k=k: leaf[:, k - 1], found), expected)


def test_carry_gradients_of_the_closed_form():
    """An Elman cell with UVA's weights has the closed form's dL/dh."""
    with float64():
        network, xs, y, _ = network_and_data(t=T, d=D, h=H, k=K)
        cell = CELLS["elman"](D, H, bias="single", rngs=nnx.Rngs(0))
        cell.w_x[...], cell.w_h[...], cell.b_x[...] = network.w_hx.T, network.w_hh.T, network.b_h
        _, d_hs = theory.bptt_copies(network, xs, y)

        def loss(ys):
            return -jnp.sum(y * jax.nn.log_softmax(network.w_ph @ ys[-1] + network.b_p))

        assert_close(soon(lambda cell: theory.carry_gradients(cell, xs, loss))(cell), d_hs)


def test_carry_gradients_over_rows_and_cells():
    """Of a sum over rows each row's gradient is its own, whatever the batch dimensions; cells are worked at once."""
    with float64():
        cells = [perturbed(CELLS["lstm"](D, H, rngs=nnx.Rngs(0)), seed) for seed in (0, 1)]
        xs = jnp.asarray(numbers((2, 3, T, D)))

        def flow(cell, xs):
            return theory.carry_gradients(cell, xs, lambda ys: jnp.sum(jnp.square(ys[..., -1, :])))

        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *cells)
        found = soon(jax.vmap(flow, in_axes=(0, None)))(stacked, xs)
        alone_flow = soon(flow)
        for place, cell in enumerate(cells):
            for row in np.ndindex(2, 3):
                alone = alone_flow(cell, xs[row])
                assert_close(jax.tree.map(lambda leaf, at=(place, *row): leaf[at], found), alone)
