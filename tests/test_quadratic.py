"""Optimisers on a quadratic bowl: closed forms, best settings, limits, and what scale and rotation do to each."""

import math
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract import assert_close, few, float64, numbers, soon
from jaxrnn import quadratic
from jaxrnn.optimisers import OPTIMISERS
from jaxrnn.quadratic import Bowl

STEEP = np.array([1.0, 100.0])
BOWLS = {
    "aligned": Bowl(STEEP),
    "turned": Bowl(STEEP, math.pi / 4),
    "turned a little": Bowl(np.array([20.0, 0.5]), 0.3),
    "four dimensions": Bowl(np.array([3.0, 0.1, 40.0, 3.0])),
}
every_bowl = pytest.mark.parametrize("bowl", BOWLS.values(), ids=BOWLS)

TINY = 1e-100
ADAPTIVE = {
    "rmsprop_torch": lambda lr: optax.rmsprop(lr, decay=0.99, eps=TINY, eps_in_sqrt=False),
    "adam": lambda lr: optax.adam(lr, eps=TINY),
}
"""Those of the library, with next to no epsilon."""
every_adaptive = pytest.mark.parametrize("name", ADAPTIVE)


def followed(optimiser, bowl, x0, steps):
    return np.asarray(soon(lambda bowl, x0: quadratic.trajectory(optimiser, bowl, x0, steps))(bowl, x0))


def start_of(bowl):
    return 3 * numbers(np.shape(bowl.eigenvalues), 7)


def matrix(bowl):
    """A, from its definition."""
    if bowl.angle is None:
        return np.diag(bowl.eigenvalues)
    c, s = np.cos(bowl.angle), np.sin(bowl.angle)
    turn = np.array([[c, -s], [s, c]])
    return turn @ np.diag(bowl.eigenvalues) @ turn.T


# --- the bowl ---------------------------------------------------------------------------------------------------------


@every_bowl
def test_the_bowl_is_its_matrix(bowl):
    with float64():
        a, x = matrix(bowl), numbers((2, 3, len(bowl.eigenvalues)))
        np.testing.assert_allclose(quadratic.value(bowl, x), np.einsum("...i,ij,...j->...", x, a, x) / 2, rtol=1e-12)
        np.testing.assert_allclose(quadratic.gradient(bowl, x), x @ a, atol=1e-12)
        np.testing.assert_allclose(quadratic.to_axes(bowl, quadratic.from_axes(bowl, x)), x, atol=1e-14)
        np.testing.assert_allclose(
            jax.grad(lambda x: quadratic.value(bowl, x))(jnp.asarray(x[0, 0])), x[0, 0] @ a, atol=1e-12
        )
        assert float(quadratic.condition_number(bowl)) == pytest.approx(np.linalg.cond(a), rel=1e-12)


def test_an_angle_turns_anticlockwise():
    with float64():
        np.testing.assert_allclose(quadratic.from_axes(Bowl(STEEP, math.pi / 2), [1.0, 0.0]), [0, 1], atol=1e-15)
        half = math.sqrt(0.5)
        np.testing.assert_allclose(quadratic.from_axes(Bowl(STEEP, math.pi / 4), [1.0, 0.0]), [half, half])


@pytest.mark.parametrize(
    "bowl, x, said",
    [
        (Bowl(3.0), [1.0], "vector"),
        (Bowl(np.zeros((0,))), np.zeros((0,)), "vector"),
        (Bowl(np.ones(3), 0.1), np.ones(3), "two dimensions"),
        (Bowl(STEEP, np.ones(2)), np.ones(2), "one number"),
        (Bowl(STEEP), np.ones(3), "2 coordinates"),
        (Bowl(STEEP), 1.0, "2 coordinates"),
    ],
)
def test_what_is_no_bowl_or_no_point_of_it_is_refused(bowl, x, said):
    for function in (quadratic.value, quadratic.gradient, quadratic.from_axes, quadratic.to_axes):
        with pytest.raises(ValueError, match=said):
            function(bowl, x)
    for run in (
        lambda: quadratic.trajectory(optax.sgd(0.1), bowl, x, 2),
        lambda: quadratic.descent(bowl, 0.1, x, 2),
        lambda: quadratic.heavy_ball(bowl, 0.1, 0.9, x, 2),
    ):
        with pytest.raises(ValueError, match=said):
            run()


# --- trajectories -----------------------------------------------------------------------------------------------------


def rmsprop_by_hand(a, x, learning_rate, steps):
    """Tieleman and Hinton (2012) with PyTorch's decay and place of epsilon."""
    v, xs = np.zeros_like(x), [x]
    for _ in range(steps):
        g = a @ x
        v = 0.99 * v + 0.01 * g**2
        x = x - learning_rate * g / (np.sqrt(v) + 1e-8)
        xs.append(x)
    return np.array(xs)


def adam_by_hand(a, x, learning_rate, steps):
    """Kingma and Ba (2015), algorithm 1."""
    m, v, xs = np.zeros_like(x), np.zeros_like(x), [x]
    for t in range(1, steps + 1):
        g = a @ x
        m = 0.9 * m + 0.1 * g
        v = 0.999 * v + 0.001 * g**2
        x = x - learning_rate * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        xs.append(x)
    return np.array(xs)


@every_bowl
@pytest.mark.parametrize("name, by_hand", [("rmsprop_torch", rmsprop_by_hand), ("adam", adam_by_hand)])
def test_trajectories_are_the_recurrences_by_hand(name, by_hand, bowl):
    x0 = start_of(bowl)
    with float64():
        for learning_rate in (0.01, 0.2):
            found = followed(OPTIMISERS[name](learning_rate), bowl, x0, 150)
            assert found.shape == (151, len(x0)) and found.dtype == np.float64
            assert_close(found, by_hand(matrix(bowl), x0, learning_rate, 150))


def test_trajectories_of_no_steps_of_whole_numbers_and_of_many_rates():
    assert followed(optax.sgd(0.1), BOWLS["aligned"], np.array([4, 2]), 0).tolist() == [[4, 2]]
    assert followed(optax.sgd(0.0025), BOWLS["aligned"], np.array([4, 2]), 1)[1].tolist() == pytest.approx([3.99, 1.5])
    assert followed(optax.sgd(0.0025), Bowl((1, 100)), np.array([4, 2]), 1)[1].tolist() == pytest.approx([3.99, 1.5])
    with float64():
        bowl, x0, rates = BOWLS["turned"], np.array([4.0, 2.0]), jnp.array([0.003, 0.01])
        together = soon(jax.vmap(lambda lr: quadratic.trajectory(OPTIMISERS["adam"](lr), bowl, x0, 20)))(rates)
        for place, rate in enumerate(rates.tolist()):
            assert_close(np.asarray(together[place]), followed(OPTIMISERS["adam"](rate), bowl, x0, 20))


def test_trajectories_from_several_points_or_of_fewer_than_no_steps_are_refused():
    with pytest.raises(ValueError, match="one point"):
        quadratic.trajectory(optax.sgd(0.1), BOWLS["aligned"], np.ones((3, 2)), 2)
    with pytest.raises(ValueError, match="at least 0 steps"):
        quadratic.trajectory(optax.sgd(0.1), BOWLS["aligned"], np.ones(2), -1)


def test_steps_to_reach():
    falling = [[8.0, 4.0, 2.0, 1.0], [8.0, 1.0, 4.0, 1.0], [8.0, 1.0, 4.0, 4.0], [8.0, np.inf, np.nan, np.nan]]
    assert quadratic.steps_to_reach(falling, 0.25).tolist() == [2, 1, 1, -1]
    assert quadratic.steps_to_reach(falling, 0.25, stay=True).tolist() == [2, 3, -1, -1]
    assert int(quadratic.steps_to_reach(falling[0], 1.0)) == 0
    assert int(quadratic.steps_to_reach([0.0, 0.0], 0.1, stay=True)) == 0
    with pytest.raises(ValueError, match="a step each"):
        quadratic.steps_to_reach(np.zeros((2, 0)), 0.1)


# --- closed forms -----------------------------------------------------------------------------------------------------


@soon
def both_ways(bowl, learning_rate, momentum, x0):
    """Gradient descent and momentum, in closed form and followed."""
    t = jnp.arange(201)
    closed = (
        quadratic.descent(bowl, learning_rate, x0, t),
        quadratic.heavy_ball(bowl, learning_rate, momentum, x0, t),
    )
    optimisers = optax.sgd(learning_rate), optax.sgd(learning_rate, momentum=momentum)
    return closed, tuple(quadratic.trajectory(optimiser, bowl, x0, 200) for optimiser in optimisers)


@every_bowl
@pytest.mark.parametrize("momentum", [0.0, 0.05, 0.5, 0.9])
def test_the_closed_forms_are_the_trajectories(bowl, momentum):
    with float64():
        for share in (0.001, 0.3, 0.5, 0.999, 1.02):
            rate = share * float(quadratic.limit(bowl, momentum))
            assert_close(*both_ways(bowl, rate, momentum, start_of(bowl)))
        best = quadratic.best_heavy_ball(bowl)
        assert_close(*both_ways(bowl, best.learning_rate, best.momentum, start_of(bowl)))


@few(max_examples=30)
@given(st.floats(-6, 6), st.floats(0, 3), st.floats(1e-4, 0.999), st.floats(0, 0.999), st.integers(0, 9))
def test_the_closed_forms_are_the_trajectories_of_any_stable_settings(angle, decades, share, momentum, seed):
    with float64():
        bowl = Bowl(np.array([1.0, 10**decades]), angle)
        closed, run = both_ways(bowl, share * float(quadratic.limit(bowl)), momentum, numbers((2,), seed))
        assert_close(closed, run, 2e-12)


def test_momentum_at_and_near_its_double_roots_is_exact():
    """In fractions nothing is rounded. The settings: the best ones for eigenvalues 1 and 100 (double roots up to
    rounding), half and a thousandth of that rate, and some whose double roots are exact in floats too.
    """
    best, near = (Fraction(4, 121), Fraction(81, 121)), (Fraction(1, 4), Fraction(1, 4))
    cases = [(best, 1, 1), (best, 1, 100), (best, Fraction(1, 2), 1), (best, Fraction(1, 2), 100)]
    cases += [(best, Fraction(1, 1000), 1), (near, 1, 1), (near, 1, 9)]
    closed = soon(lambda curved, lr, momentum: quadratic.heavy_ball(Bowl(curved), lr, momentum, [1.0], np.arange(80)))
    for (rate, momentum), share, eigenvalue in cases:
        z, v, expected = Fraction(1), Fraction(0), []
        for _ in range(80):
            expected.append(float(z))
            v = momentum * v + eigenvalue * z
            z -= share * rate * v
        with float64():
            found = closed(np.array([float(eigenvalue)]), float(share * rate), float(momentum))[:, 0]
            np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-13)


def test_closed_forms_of_any_step():
    with float64():
        bowl, x0 = BOWLS["turned"], np.array([4.0, 2.0])
        for closed in (
            soon(lambda t: quadratic.descent(bowl, 0.0198, x0, t)),
            soon(lambda t: quadratic.heavy_ball(bowl, 0.0198, 0.5, x0, t)),
        ):
            several = closed(np.arange(6).reshape(2, 3))
            assert closed(3).shape == (2,) and several.shape == (2, 3, 2)
            assert_close(several[1, 0], closed(3))
            assert np.abs(closed(10**6)).max() == 0
        # real roots of which one is far below the other, and a root of 0
        crawl = soon(lambda t: quadratic.heavy_ball(Bowl(np.array([1e-6, 1.0])), 1e-3, 0.01, [1.0, 1.0], t))(10**6)
        assert crawl[0] == pytest.approx(math.exp(-1e-3 / 0.99), rel=1e-6) and crawl[1] == 0
        landed = soon(lambda t: quadratic.heavy_ball(Bowl(STEEP), 0.01, 0.0, x0, t))(np.array([1, 2, 9]))
        assert np.all(landed[:, 1] == 0)


def test_closed_forms_in_single_precision():
    found = soon(lambda: quadratic.heavy_ball(Bowl((1.0, 100.0)), 0.01, 0.9, jnp.array([4.0, 2.0]), jnp.arange(60)))()
    run = followed(OPTIMISERS["momentum"](0.01), Bowl(jnp.array([1.0, 100.0])), jnp.array([4.0, 2.0]), 59)
    assert found.dtype == jnp.float32 == run.dtype
    np.testing.assert_allclose(found, run, atol=1e-4)


# --- best settings, rates and limits ----------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [4.0, 100.0, 2500.0])
def test_rates_measured_are_those_of_the_formulas(k):
    with float64():
        bowl, root = Bowl(np.array([0.5, 0.5 * k])), math.sqrt(k)
        slow, fast = quadratic.best_descent(bowl), quadratic.best_heavy_ball(bowl)
        assert slow == pytest.approx((2 / (0.5 + 0.5 * k), 0, (k - 1) / (k + 1)), rel=1e-14)
        expected = (2 / (root + 1)) ** 2 / 0.5, ((root - 1) / (root + 1)) ** 2, (root - 1) / (root + 1)
        assert fast == pytest.approx(expected, rel=1e-14)
        for best in (slow, fast):
            assert float(quadratic.rate(bowl, *best[:2])) == pytest.approx(float(best.rate), abs=1e-7)

        size = np.abs(followed(optax.sgd(slow.learning_rate), bowl, np.ones(2), 100))
        np.testing.assert_allclose(size[1:] / size[:-1], slow.rate, rtol=1e-10)
        # at a double root z_t = (a + b t) rate^t, so z_t / rate^t is straight
        path = followed(optax.sgd(fast.learning_rate, momentum=fast.momentum), bowl, np.ones(2), 60)
        straight = np.abs(path) / float(fast.rate) ** np.arange(61)[:, None]
        np.testing.assert_allclose(
            np.diff(straight, axis=0), np.broadcast_to(straight[1] - straight[0], (60, 2)), rtol=1e-4
        )


@pytest.mark.parametrize("momentum", [0.3, 0.9])
def test_the_rate_of_any_settings_is_what_is_measured(momentum):
    with float64():
        for share in (0.002, 0.4, 0.97):
            bowl = Bowl(np.array([1.0]))
            rate = share * float(quadratic.limit(bowl, momentum))
            z = followed(optax.sgd(rate, momentum=momentum), bowl, np.ones(1), 60)[:, 0]
            p = 1 + momentum - rate
            if p**2 < 4 * momentum:  # what turns has z_{t+1}^2 - z_t z_{t+2} = constant * (r s)^t
                turn = z[1:-1] ** 2 - z[:-2] * z[2:]
                measured = np.sqrt(turn[1:] / turn[:-1])[:20]
            else:
                measured = np.abs(z[1:] / z[:-1])[-5:]
            np.testing.assert_allclose(measured, quadratic.rate(bowl, rate, momentum), rtol=1e-6)


@few(max_examples=100)
@given(st.floats(0.01, 4), st.floats(1e-4, 1.5), st.floats(0, 1.2))
def test_no_settings_are_better_than_the_best(decades, share, momentum):
    with float64():
        bowl = Bowl(np.array([1.0, 10**decades]))
        rate = share * float(quadratic.limit(bowl))
        assert quadratic.rate(bowl, rate) >= quadratic.best_descent(bowl).rate - 1e-12
        assert quadratic.rate(bowl, rate, momentum) >= quadratic.best_heavy_ball(bowl).rate - 1e-7


@pytest.mark.parametrize("bowl", [BOWLS["turned"], BOWLS["four dimensions"]])
@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
def test_they_converge_just_below_the_limit_and_diverge_just_above(bowl, momentum):
    with float64():
        limit = float(quadratic.limit(bowl, momentum))
        assert limit == pytest.approx(2 * (1 + momentum) / max(bowl.eigenvalues), rel=1e-14)
        run = soon(
            lambda rate: quadratic.value(
                bowl, quadratic.trajectory(optax.sgd(rate, momentum=momentum), bowl, start_of(bowl), 20_000)
            )
        )
        below, above = run(0.999 * limit), run(1.001 * limit)
        assert below[-1] < 1e-8 * below[0] and above[-1] > 1e8 * above[0]
        assert quadratic.rate(bowl, 0.999 * limit, momentum) < 1 < quadratic.rate(bowl, 1.001 * limit, momentum)


def steps(optimiser, bowl, z0, fraction, horizon, **how):
    """In so many steps an optimiser that starts at ``z0`` on the bowl's axes gets there."""
    path = followed(optimiser, bowl, np.asarray(quadratic.from_axes(bowl, z0)), horizon)
    return int(quadratic.steps_to_reach(quadratic.value(bowl, path), fraction, **how))


def test_momentum_is_faster_by_the_square_root_of_the_condition_number():
    """Both directions hold half of the height at first, so both count."""
    counted = {}
    with float64():
        for k in (100.0, 400.0, 1600.0):
            bowl, z0 = Bowl(np.array([1.0, k])), np.array([1.0, k**-0.5])
            slow, fast = quadratic.best_descent(bowl), quadratic.best_heavy_ball(bowl)
            counted[k] = (
                steps(optax.sgd(slow.learning_rate), bowl, z0, 1e-12, 30_000),
                steps(optax.sgd(fast.learning_rate, momentum=fast.momentum), bowl, z0, 1e-12, 2_000, stay=True),
            )
    for k, (slow, fast) in counted.items():
        # f falls by the square of the rate; a double root costs momentum some steps more, of order log(t)
        assert slow == pytest.approx(math.log(1e12) / 2 / math.log((k + 1) / (k - 1)), abs=1)
        root = math.sqrt(k)
        assert 1 < fast / (math.log(1e12) / 2 / math.log((root + 1) / (root - 1))) < 1.5
        assert 0.65 * root < slow / fast < root
    for one, other in ((100.0, 400.0), (400.0, 1600.0)):
        assert counted[other][0] / counted[one][0] == pytest.approx(4, rel=0.01)
        assert counted[other][1] / counted[one][1] == pytest.approx(2, rel=0.05)


# --- what scale and rotation do ---------------------------------------------------------------------------------------


@every_adaptive
def test_a_rescaled_function_changes_nothing_for_rmsprop_and_adam(name):
    x0 = np.array([4.0, 2.0])
    with float64():
        for angle in (None, 0.3):
            # by a power of 2, which rounds nothing: RMSProp's jumps would enlarge a difference in the last digit
            bowl, scaled = Bowl(STEEP, angle), Bowl(1024 * STEEP, angle)
            paths = [followed(ADAPTIVE[name](0.1), one, x0, 200) for one in (bowl, scaled)]
            assert_close(*paths)
            assert np.abs(paths[0][-1] - x0).max() > 1


def test_a_rescaled_function_makes_sgd_and_momentum_diverge_until_their_rate_is_rescaled():
    x0 = np.array([4.0, 2.0])
    with float64():
        bowl, scaled = Bowl(STEEP, 0.3), Bowl(1000 * STEEP, 0.3)
        for name in ("sgd", "momentum"):
            once, again, mended = (
                followed(OPTIMISERS[name](rate), one, x0, 200)
                for rate, one in ((0.01, bowl), (0.01, scaled), (0.01 / 1000, scaled))
            )
            assert np.abs(once[-1]).max() < 2 and np.abs(again[50]).max() > 1e50
            assert_close(mended, once)


@every_adaptive
def test_on_an_aligned_bowl_rmsprop_and_adam_do_not_see_the_condition_number(name):
    """Each coordinate is worked on its own, and its own curvature divides out."""
    x0 = np.array([4.0, 2.0])
    with float64():
        round_bowl = followed(ADAPTIVE[name](0.1), Bowl(np.ones(2)), x0, 200)
        for k in (16.0, 2.0**20):
            assert_close(followed(ADAPTIVE[name](0.1), Bowl(np.array([1.0, k])), x0, 200), round_bowl)


@pytest.mark.parametrize("name, changed", [("sgd", 0), ("momentum", 0), ("rmsprop_torch", 0.5), ("adam", 0.5)])
def test_rotation_changes_the_path_of_rmsprop_and_adam_alone(name, changed):
    """The paths are compared along the bowl's own axes, from the same point there."""
    z0 = np.array([4.0, 2.0])
    optimiser = {**OPTIMISERS, **ADAPTIVE}[name](0.01 if changed == 0 else 0.1)

    def along_axes(angle):
        bowl = Bowl(STEEP, angle)
        path = followed(optimiser, bowl, np.asarray(quadratic.from_axes(bowl, z0)), 100)
        return np.asarray(quadratic.to_axes(bowl, path))

    with float64():
        aligned, turned = along_axes(None), along_axes(math.pi / 4)
        if changed:
            assert np.abs(turned - aligned).max() > changed
        else:
            assert_close(turned, aligned)
        # a quarter turn only renames the coordinates
        assert_close(along_axes(math.pi / 2)[:40], aligned[:40], 1e-7)


def test_the_advantage_of_rmsprop_and_adam_is_lost_on_a_turned_bowl():
    """Steps to a hundredth and to a ten-thousandth of the height, at one rate for both bowls."""
    z0 = np.array([4.0, 2.0])
    with float64():
        for name, rate, expected in (
            ("rmsprop_torch", 0.05, ((14, 49), (170, 387))),
            ("adam", 0.1, ((23, 54), (223, 564))),
            ("momentum", 0.005, ((23, 44), (23, 44))),
            ("sgd", 0.0158, ((43, 187), (43, 187))),
        ):
            found = tuple(
                tuple(steps(OPTIMISERS[name](rate), Bowl(STEEP, angle), z0, part, 600) for part in (1e-2, 1e-4))
                for angle in (None, math.pi / 4)
            )
            assert found == expected, name
