"""The lagged sequences: the tutorial's numbers to the bit, and where they are noise alone."""

import numpy as np
import pytest

from jaxrnn.data import lagged


def test_the_numbers_are_the_tutorial_s():
    x, y = lagged.draw()
    assert x.dtype == y.dtype == np.float64 and x.shape == (8, 100, 3) and y.shape == (8, 100, 2)
    np.testing.assert_allclose(x[0, 0], (0.77132064, 0.02075195, 0.63364823), rtol=0, atol=5e-9)
    np.testing.assert_allclose(x[7, 99], (0.40886837, 0.66793604, 0.57507234), rtol=0, atol=5e-9)
    first = [
        (-0.17766148, -0.18446657), (3.65234966, 0.09138481), (0.95582934, 0.00664238),
        (0.49799038, 12.0370048), (-0.30360816, 3.86470254),
    ]  # fmt: skip
    np.testing.assert_allclose(y[0, :5], first, rtol=0, atol=5e-8)
    np.testing.assert_allclose(y[7, 99], (1.81607971, 0.08863901), rtol=0, atol=5e-9)
    assert x.sum() == pytest.approx(1181.8914220357, abs=5e-11)
    assert y.sum() == pytest.approx(6659.9274405394, abs=5e-11)
    np.testing.assert_allclose(y.mean((0, 1)), (2.31056738, 6.01434192), rtol=0, atol=5e-9)
    np.testing.assert_allclose(y.std((0, 1)), (1.44212017, 5.81726555), rtol=0, atol=5e-9)


def test_it_is_the_tutorial_s_own_code():
    state = np.random.get_state()
    try:
        np.random.seed(10)
        x = np.random.rand(8, 100, 3)
        y = np.zeros([8, 100, 2])
        y[:, 1:, 0] = 5 * x[:, 1:, 0] - 0.2 * x[:, :-1, 2]
        y[:, 3:, 1] = 25 * x[:, 2:-1, 1] * x[:, :-3, 2]
        y += 0.1 * np.random.randn(8, 100, 2)
    finally:
        np.random.set_state(state)
    drawn = lagged.draw()
    np.testing.assert_array_equal(drawn.x, x)
    np.testing.assert_array_equal(drawn.y, y)


def test_drawing_leaves_numpy_s_global_generator_alone():
    before = np.random.get_state()[1].copy()
    lagged.draw()
    np.testing.assert_array_equal(np.random.get_state()[1], before)


def test_the_rule_holds_but_for_thirty_two_numbers_and_noise():
    x, y = lagged.draw()
    ruled = np.broadcast_to(lagged.ruled(), y.shape)
    assert (~ruled).sum((0, 1)).tolist() == [8, 24]
    clean = lagged.rule(x)
    assert (clean[~ruled] == 0).all() and (clean[ruled] != 0).all()
    for n, t in ((0, 3), (5, 40), (7, 99)):
        assert clean[n, t, 0] == pytest.approx(5 * x[n, t, 0] - 0.2 * x[n, t - 1, 2])
        assert clean[n, t, 1] == pytest.approx(25 * x[n, t - 1, 1] * x[n, t - 3, 2])
    assert np.square(y - clean).mean() == pytest.approx(0.0102261390, abs=5e-11)


def test_another_seed_draws_other_sequences_of_the_same_rule():
    (x, y), (others, _) = lagged.draw(11), lagged.draw()
    assert not np.isin(x, others).any()
    assert np.square(y - lagged.rule(x)).mean() == pytest.approx(0.01, rel=0.15)  # five of its standard deviations
