"""Optimisers step for step as PyTorch's, clipping as PyTorch's, and schedules at the values they promise.

PyTorch's numbers are recorded (`tests/record_torch.py`) and, where PyTorch is installed, computed afresh.
"""

from functools import partial
from math import cos, pi
from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import record_torch
from jaxrnn.optimisers import (
    OPTIMISERS,
    SCHEDULES,
    OptimiserName,
    ScheduleName,
    adamw_torch,
    clipped_to,
    decayed,
    global_norm,
    rmsprop_torch,
    scheduled,
)


@pytest.fixture(params=["recorded", "live"])
def source(request):
    if request.param == "live":
        pytest.importorskip("torch", reason="compares with PyTorch itself; the recorded numbers need none")
    return request.param


def descent(optimiser, steps=record_torch.STEPS):
    """Ours of `record_torch.trajectory`: the parameters after each step, at JAX's present precision."""
    given = {name: jnp.asarray(value) for name, value in record_torch.problem().items()}

    def step(state, _):
        parameters, memory = state
        gradient = jax.grad(record_torch.misfit)(parameters, given)
        updates, memory = optimiser.update(gradient, memory, parameters)
        parameters = optax.apply_updates(parameters, updates)
        return (parameters, memory), parameters

    start = {name: given[name] for name in ("w", "b")}
    return jax.lax.scan(step, (start, optimiser.init(start)), length=steps)[1]


# --- Against PyTorch

WITH_SETTINGS = {
    "adamw_torch, no arguments": adamw_torch,
    "adamw_torch, weight_decay=0.3": partial(adamw_torch, weight_decay=0.3),
    "rmsprop_torch, no arguments": rmsprop_torch,
    "rmsprop_torch, momentum=0.9": partial(rmsprop_torch, momentum=0.9),
}


def test_every_optimiser_is_compared_with_pytorch():
    assert record_torch.DESCENTS.keys() == OPTIMISERS.keys() | WITH_SETTINGS.keys()


@pytest.mark.parametrize("name", record_torch.DESCENTS)
def test_twenty_steps_are_pytorchs(name, source):
    theirs = record_torch.their_trajectory(name, source)
    with jax.enable_x64(True):
        path = descent(WITH_SETTINGS[name]() if name in WITH_SETTINGS else OPTIMISERS[name](0.05))
        ours = {key: np.asarray(value) for key, value in path.items()}
    for key, expected in theirs.items():
        assert len(expected) == record_torch.STEPS and expected.dtype == ours[key].dtype == np.float64
        worst = np.abs(ours[key] - expected).max() / np.abs(expected).max()
        print(f"\n{name:30} {source:8} {key}: {worst:.1e} ", end="")
        assert worst < 1e-10


def first_step(optimiser, gradient):
    parameters = jnp.float32(1.0)
    return optimiser.update(jnp.float32(gradient), optimiser.init(parameters), parameters)[0]


@pytest.mark.parametrize("gradient", [0.01, 1.0, 100.0])
def test_the_first_rmsprop_step_is_pytorchs_and_not_optaxs(gradient):
    np.testing.assert_allclose(first_step(rmsprop_torch(1e-3), gradient), -0.01, rtol=1e-4)
    np.testing.assert_allclose(first_step(optax.rmsprop(1e-3), gradient), -0.00316, rtol=1e-3)


def test_weight_decay_is_pytorchs_and_not_optaxs():
    """Without a gradient, what is left of a step is lr * decay * parameter."""
    np.testing.assert_allclose(first_step(adamw_torch(0.1), 0.0), -0.1 * 1e-2, rtol=1e-6)
    np.testing.assert_allclose(first_step(optax.adamw(0.1), 0.0), -0.1 * 1e-4, rtol=1e-6)


@pytest.mark.parametrize(("norm", "limit"), record_torch.CLIPS)
def test_clipping_is_pytorchs_but_for_its_epsilon(norm, limit, source):
    """PyTorch scales by limit / (norm + 1e-6), we by limit / norm: apart by at most 1e-6 / norm, relatively."""
    theirs = record_torch.their_clipped(norm, limit, source)
    with jax.enable_x64(True):
        gradients = {name: jnp.asarray(value) for name, value in record_torch.gradients(norm).items()}
        ours, _ = clipped_to(limit).update(gradients, optax.EmptyState())
        np.testing.assert_allclose(optax.tree.norm(ours), min(norm, limit), rtol=1e-12)
    for name, value in theirs.items():
        assert value.any()
        np.testing.assert_allclose(ours[name], value, rtol=1.001e-6 / norm if norm >= limit else 1e-12)


@pytest.mark.parametrize("size", [1.0, 1e18, 1e20, 1e30, 1e37])  # from 1e19 on float32 has no number for its square
def test_the_norm_of_what_cannot_be_squared(size):
    tree = {"a": size * jnp.array([3.0, 0.0]), "b": size * jnp.array([[4.0]])}
    assert float(global_norm(tree)) == pytest.approx(5 * size, rel=1e-5)
    scaled, _ = clipped_to(1e-3).update(tree, optax.EmptyState())
    np.testing.assert_allclose(scaled["a"], [0.6e-3, 0], rtol=1e-5)
    np.testing.assert_allclose(scaled["b"], [[0.8e-3]], rtol=1e-5)
    for wrong in (jnp.nan, jnp.inf, -jnp.inf):
        assert not jnp.isfinite(global_norm(tree | {"c": jnp.array(wrong)}))


# --- Names and traced rates


def test_names_are_those_that_settings_may_take():
    assert sorted(get_args(OptimiserName)) == sorted(OPTIMISERS)
    assert sorted(get_args(ScheduleName)) == sorted(SCHEDULES)


@pytest.mark.parametrize(
    ("name", "schedule"), [*((name, "cosine") for name in OPTIMISERS), ("sgd", "constant"), ("sgd", "step")]
)
def test_many_learning_rates_at_once_are_each_alone(name, schedule):
    def run(learning_rate):
        return descent(OPTIMISERS[name](scheduled(learning_rate, schedule, steps=8, warmup=2)), steps=8)

    rates = jnp.array([0.3, 0.01, 1e-4])
    together, alone = jax.jit(jax.vmap(run))(rates), jax.jit(run)
    for number, rate in enumerate(rates.tolist()):
        for key, path in alone(rate).items():
            assert np.ptp(path, axis=0).max() > 1e-5  # it does move
            np.testing.assert_allclose(together[key][number], path, rtol=1e-5, atol=1e-6)


def test_a_constant_schedule_is_the_plain_rate():
    plain, shaped = (descent(OPTIMISERS["adam"](rate)) for rate in (0.05, scheduled(0.05, "constant", steps=20)))
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6), shaped, plain)


# --- Schedules


def values(schedule, steps, warmup=0):
    rate = scheduled(2.0, schedule, steps, warmup)
    return np.array([rate(jnp.int32(count)) for count in range(steps)]) / 2.0


WAVE = [(1 + cos(pi * count / 8)) / 2 for count in range(8)]


@pytest.mark.parametrize(
    ("schedule", "steps", "warmup", "expected"),
    [
        ("constant", 4, 0, [1, 1, 1, 1]),
        ("constant", 1, 0, [1]),
        ("constant", 6, 4, [0, 0.25, 0.5, 0.75, 1, 1]),
        ("step", 8, 0, [1, 1, 1, 1, 0.1, 0.1, 0.01, 0.01]),
        ("step", 10, 2, [0, 0.5, 1, 1, 1, 1, 0.1, 0.1, 0.01, 0.01]),
        ("step", 1, 0, [1]),
        ("step", 2, 0, [1, 0.1]),
        ("step", 3, 0, [1, 1, 0.1]),
        ("step", 5, 0, [1, 1, 1, 0.1, 0.01]),
        ("step", 3, 2, [0, 0.5, 1]),
        ("cosine", 8, 0, WAVE),
        ("cosine", 12, 4, [0, 0.25, 0.5, 0.75, *WAVE]),
        ("cosine", 2, 0, [1, 0.5]),
        ("cosine", 1, 0, [1]),
    ],
)
def test_a_schedule_has_its_value_at_every_step(schedule, steps, warmup, expected):
    np.testing.assert_allclose(values(schedule, steps, warmup), expected, rtol=1e-6, atol=1e-7)


def test_after_the_last_step_a_schedule_stays_where_it_is():
    for schedule, end in (("constant", 1.0), ("step", 0.01), ("cosine", 0.0)):
        for count in (10, 11, 1000):
            np.testing.assert_allclose(scheduled(1.0, schedule, steps=10)(count), end, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_run_of_no_steps_has_a_schedule_all_the_same(schedule):
    assert np.isfinite(scheduled(1.0, schedule, steps=0)(0))


def test_an_unknown_schedule_is_refused():
    with pytest.raises(ValueError, match="^schedule must be one of constant, step, cosine, not 'linear'$"):
        scheduled(1.0, "linear", steps=10)


@pytest.mark.parametrize(("steps", "warmup"), [(10, 10), (10, 11), (10, -1), (0, 1), (1, 1)])
def test_a_warmup_that_leaves_no_step_is_refused(steps, warmup):
    message = f"^warm-up must be at least 0 and shorter than the run's {steps} updates, not {warmup}$"
    with pytest.raises(ValueError, match=message):
        scheduled(1.0, "constant", steps, warmup)


def test_a_rate_that_decays_is_lowered_after_every_so_many_updates():
    rate = decayed(2.0, 0.96, 3)
    found = [float(rate(jnp.int32(count))) for count in range(8)]
    np.testing.assert_allclose(found, 2 * 0.96 ** np.array([0, 0, 0, 1, 1, 1, 2, 2]), rtol=1e-6)
    np.testing.assert_allclose(decayed(1.0, 0.96, 5000)(1_000_000), 0.96**200, rtol=1e-4)
    assert float(decayed(0.5, 1.0, 1)(10)) == 0.5


@pytest.mark.parametrize(("factor", "every"), [(0.0, 5), (1.1, 5), (0.9, 0)])
def test_a_decay_that_is_none_is_refused(factor, every):
    with pytest.raises(ValueError, match="^the rate is to be lowered by a factor above 0 and at most 1, not "):
        decayed(1.0, factor, every)
