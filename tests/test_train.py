"""Training: a run is a function of its key, however it is spread, cut into segments, interrupted or accompanied."""

import gc
import logging
import math
import os
import subprocess
import sys
from functools import partial
from types import SimpleNamespace

import jax
import jax.extend
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from campaign.programs import PATIENCE
from jaxrnn import train
from jaxrnn.layers import stack
from jaxrnn.models import Classifier, Regressor
from jaxrnn.train import (
    Hparams,
    Progress,
    Run,
    Stream,
    Task,
    Trainer,
    Watch,
    abstract_runs,
    cross_entropy,
    fit,
    full_batch,
    shares,
    spread,
    squared_error,
    start,
)

N, T, D, H, K = 150, 5, 3, 6, 4


def examples(seed, n=N):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, T, D)), rng.integers(0, K, n).astype(np.int32)


TRAIN, TEST = examples(0), examples(1, 70)


def task(optimiser=optax.adam, batch=64, objective=cross_entropy, layers=1):
    def make_model(rngs, hparams):  # the cheapest to compile
        return Classifier(stack("elman", D, [H] * layers, init="pytorch", rngs=rngs), K, init="pytorch", rngs=rngs)

    return Task(make_model, objective, lambda h: optimiser(h.learning_rate), batch)


def quiet_fit(task, keys, hparams=None, data=TRAIN, **options):
    options = {"epochs": 2, "evals": {"test": TEST}, "progress": False} | options
    return fit(task, keys, Hparams() if hparams is None else hparams, data, **options)


def model_leaves(fitted):
    return jax.tree.leaves(jax.device_get(fitted.progress.runs.model))


def saved(fitted):
    """Everything of a run as plain arrays, to compare bit by bit."""
    runs = fitted.progress.runs
    return jax.tree.leaves(jax.device_get(runs._replace(key=jax.random.key_data(runs.key))))


def assert_same_bits(fitted, other):
    for a, b in zip(saved(fitted), saved(other), strict=True):
        np.testing.assert_array_equal(a, b)
    assert without_seconds(fitted) == without_seconds(other)


def without_seconds(fitted):
    return [{k: v for k, v in row.items() if k != "seconds"} for row in fitted.progress.history]


def keys(count):
    return jax.random.split(jax.random.key(7), count)


needs_two_devices = pytest.mark.skipif(jax.device_count() < 2, reason="there is but one device")


@needs_two_devices
@pytest.mark.parametrize("batch", [64, 65, 100])  # halves evenly; not at all; leaves a last batch for one device alone
def test_two_devices_give_the_gradients_of_one(batch):
    # under SGD with rate 1 the change of the weights is the gradient; Adam would hide a factor
    with jax.enable_x64(True):
        data = (jnp.asarray(TRAIN[0]), TRAIN[1])
        fits = [
            quiet_fit(task(optax.sgd, batch), keys(1), Hparams(learning_rate=1.0), data, epochs=1, devices=n)
            for n in (1, 2)
        ]
        begun = jax.vmap(lambda k: start(task(optax.sgd), k, Hparams(), TRAIN))(keys(1))
        for first, one, two in zip(jax.tree.leaves(begun.model), *map(model_leaves, fits), strict=True):
            assert np.abs(one - first).max() > 1e-3
            np.testing.assert_allclose(two - first, one - first, rtol=1e-11, atol=1e-13)
        assert fits[0].metrics["test_loss"] == pytest.approx(fits[1].metrics["test_loss"], rel=1e-12)


def test_a_step_is_the_gradient_of_the_mean_loss():
    """One full-batch SGD step of the compiled program against plain `jax.grad`."""
    with jax.enable_x64(True):
        data = (jnp.asarray(TRAIN[0]), jnp.asarray(TRAIN[1]))
        begun = start(task(optax.sgd), jax.random.key(3), Hparams(), data)

        def loss(model):
            return cross_entropy(model, *data, Hparams(), None)["loss"].mean()

        value, gradient = jax.value_and_grad(loss)(begun.model)
        fitted = quiet_fit(
            task(optax.sgd, batch=N), jax.random.key(3), Hparams(learning_rate=0.5), data, epochs=1, evals=None
        )
        row = fitted.progress.history[0]
        assert row["train_loss"] == pytest.approx(float(value), rel=1e-12)
        assert row["gradient_norm"] == pytest.approx(float(optax.tree.norm(gradient)), rel=1e-12)
        assert row["update_norm"] == pytest.approx(0.5 * float(optax.tree.norm(gradient)), rel=1e-12)
        assert row["parameter_norm"] == pytest.approx(float(optax.tree.norm(fitted.progress.runs.model)), rel=1e-12)
        expected = jax.tree.map(lambda p, g: p - 0.5 * g, begun.model, gradient)
        for a, b in zip(model_leaves(fitted), jax.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-15)


def test_clipping_scales_the_whole_gradient_to_the_norm():
    hparams = Hparams(learning_rate=1.0, clip_norm=1e-3)
    fitted = quiet_fit(task(optax.sgd, batch=N), jax.random.key(0), hparams, epochs=1)
    row = fitted.progress.history[0]
    assert row["gradient_norm"] > 0.01  # the history tells the norm before clipping
    assert row["update_norm"] == pytest.approx(1e-3, rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("x64, tolerance", [(False, 1e-5), (True, 1e-9)])
def test_a_run_among_others_is_the_run_alone(x64, tolerance):
    rates = np.array([1e-2, 1e-3, 3e-3, 2e-2, 5e-3])  # on two devices: two whole runs on each, then one on both
    with jax.enable_x64(x64):
        data = (TRAIN[0].astype(float if x64 else np.float32), TRAIN[1])
        together = quiet_fit(task(), keys(5), Hparams(learning_rate=rates), data, epochs=7)  # 21 steps
        for i, rate in enumerate(rates):
            alone = quiet_fit(task(), keys(5)[i], Hparams(learning_rate=rate), data, epochs=7)
            for a, b in zip(model_leaves(together), model_leaves(alone), strict=True):
                assert np.abs(a[i] - b).max() < tolerance
            assert together.metrics["test_loss"][i] == pytest.approx(alone.metrics["test_loss"][0], abs=tolerance)


@needs_two_devices
@pytest.mark.parametrize("x64, tolerance", [pytest.param(False, 1e-5, marks=pytest.mark.slow), (True, 1e-9)])
def test_shares_train_what_one_device_trains(x64, tolerance):
    rates = np.array([1e-1, 1e-2, 3e-2, 2e-1, 5e-2])
    with jax.enable_x64(x64):
        data = (TRAIN[0].astype(float if x64 else np.float32), TRAIN[1])
        one, two = (
            quiet_fit(task(optax.sgd), keys(5), Hparams(learning_rate=rates), data, epochs=7, devices=n) for n in (1, 2)
        )
        for a, b in zip(saved(one), saved(two), strict=True):
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)
        assert two.metrics["test_loss"] == pytest.approx(one.metrics["test_loss"], abs=tolerance)
        for row, other in zip(without_seconds(one), without_seconds(two), strict=True):
            assert other == pytest.approx(row, rel=10 * tolerance)
        order = [(row["epoch"], row["run"]) for row in two.progress.history]
        assert order == [(epoch, run) for epoch in range(1, 8) for run in range(5)]


def test_the_same_key_gives_the_same_bits_and_another_key_others():
    first, again, other = (quiet_fit(task(), jax.random.key(seed)) for seed in (5, 5, 6))
    assert_same_bits(first, again)
    assert all((a != b).any() for a, b in zip(model_leaves(first), model_leaves(other), strict=True))


@pytest.mark.parametrize("pace", [1e9, 0.6, 1e-9])  # a step a segment, three, a whole epoch
def test_segments_of_any_length_give_the_same_bits(pace, monkeypatch):
    whole = quiet_fit(task(batch=16), keys(2))
    # the clock sets how many steps a segment has: this one lets every two looks lie so many seconds apart
    clock = iter(np.arange(0, 1e6) * pace)
    monkeypatch.setattr(train.time, "perf_counter", lambda: next(clock))
    assert_same_bits(quiet_fit(task(batch=16), keys(2)), whole)


def stop_after(looks):
    count = iter(range(looks + 100))
    return lambda: next(count) >= looks


@pytest.mark.parametrize(
    "runs, looks", [(2, 9), (5, 8), *(pytest.param(2, looks, marks=pytest.mark.slow) for looks in (0, 1, 4))]
)
def test_stopped_and_resumed_is_uninterrupted(runs, looks, monkeypatch):
    monkeypatch.setattr(train, "SEGMENT_SECONDS", 0.0)  # a step a segment
    options = {"epochs": 3, "watch": Watch("test_loss", 5)}
    whole = quiet_fit(task(batch=32), keys(runs), **options)
    kept = []
    part = quiet_fit(task(batch=32), keys(runs), **options, stop=stop_after(looks), save=kept.append)
    assert not part.finished and part.metrics == {}
    assert (part.progress.epoch, part.progress.step) == divmod(looks, 5)
    rest = quiet_fit(task(batch=32), keys(runs), **options, resume=kept[-1])
    assert rest.finished
    assert_same_bits(rest, whole)
    assert rest.progress.seconds["train"] > kept[-1].seconds["train"]


def test_five_epochs_and_five_are_ten_bit_for_bit():
    whole = quiet_fit(task(), jax.random.key(1), epochs=10)
    half = quiet_fit(task(), jax.random.key(1), epochs=5)
    assert_same_bits(quiet_fit(task(), jax.random.key(1), epochs=10, resume=half.progress), whole)


def test_abstract_runs_are_those_that_train():
    for key in (keys(2), keys(3), jax.random.key(0)):
        real = quiet_fit(task(), key, watch=Watch("test_loss", 3)).progress.runs
        abstract = abstract_runs(task(), key, Hparams(), TRAIN, keep_best=True)
        assert jax.tree.structure(real) == jax.tree.structure(abstract)
        for a, b in zip(jax.tree.leaves(real), jax.tree.leaves(abstract), strict=True):
            assert (a.shape, a.dtype) == (b.shape, b.dtype)


def number_of_example(model, x, y, hparams, key):
    """An objective that tells which examples came by: the loss has their number, and a gradient of nothing."""
    zero = 0 * sum(leaf.sum() for leaf in jax.tree.leaves(model))
    return {"loss": y.astype(float) + zero, "square": y.astype(float) ** 2}


@pytest.mark.parametrize("batch, devices", [(64, 1), (64, 2), (50, 1), (65, 2), (1000, 2)])
@pytest.mark.parametrize("size", [150, 1])
def test_an_epoch_and_an_evaluation_count_every_example_once(size, batch, devices):
    numbered = (TRAIN[0][:size], np.arange(size, dtype=np.int32))
    devices = min(devices, jax.device_count())
    fitted = quiet_fit(
        task(batch=batch, objective=number_of_example), keys(1), data=numbered, epochs=1, devices=devices,
        evals={"test": numbered},
    )  # fmt: skip
    totals = {name: float(total[0]) for name, total in fitted.progress.runs.totals.items()}
    assert totals["examples"] == size and totals["steps"] == math.ceil(size / batch)
    assert totals["loss"] == sum(range(size)) and totals["square"] == sum(i * i for i in range(size))
    assert fitted.metrics["test_loss"][0] == pytest.approx((size - 1) / 2, rel=1e-6)


def test_evaluation_in_batches_is_the_mean_over_all():
    model = start(task(), jax.random.key(0), Hparams(), TRAIN).model
    data = tuple(map(jnp.asarray, TRAIN))
    whole = {name: values.mean() for name, values in cross_entropy(model, *data, Hparams(), None).items()}
    for batch in (7, 64, 150, 512):
        found = train.evaluate(task(), model, Hparams(), data, batch=batch)
        for name, value in whole.items():
            assert found[name] == pytest.approx(float(value), rel=1e-6)
    assert float(whole["accuracy"] + whole["error"]) == 1


def test_the_order_of_the_data_is_another_in_every_epoch_and_run():
    numbered = (jnp.asarray(TRAIN[0]), jnp.arange(N))
    job = task(batch=1, objective=number_of_example)

    @jax.jit
    def first_example(key, epoch):
        run = start(job, key, Hparams(), numbered)
        return train.segment(job, run, Hparams(), numbered, epoch, 0, 1).totals["loss"]

    found = [int(first_example(jax.random.key(k), e)) for k in range(4) for e in range(4)]
    assert len(set(found)) > 10


@pytest.mark.parametrize("count, failing", [(3, 1), (5, 4)])  # on two devices the last run has its own share
def test_a_run_that_diverges_stands_still_and_touches_no_neighbour(count, failing, capsys):
    calm = np.full(count, 1e-3)
    wild = np.where(np.arange(count) == failing, np.inf, calm)
    others = [run for run in range(count) if run != failing]
    one, other = (quiet_fit(task(), keys(count), Hparams(learning_rate=rates)) for rates in (calm, wild))
    runs = other.progress.runs
    assert runs.failed_at.tolist() == [0 if run == failing else -1 for run in range(count)]
    assert runs.step.tolist() == [0 if run == failing else 6 for run in range(count)]
    assert all(np.isfinite(leaf).all() for leaf in model_leaves(other))
    for a, b in zip(saved(one), saved(other), strict=True):
        np.testing.assert_array_equal(a[others], b[others])
    assert np.isnan(other.metrics["test_loss"]).tolist() == [run == failing for run in range(count)]
    assert [(row["epoch"], row["run"]) for row in other.progress.history] == [
        (e, run) for e in (1, 2) for run in others
    ]


def test_a_frozen_run_keeps_the_weights_from_before_and_the_step_is_named(capsys):
    x, y = np.array(TRAIN[0], np.float32), TRAIN[1]
    x[:] = np.nan
    fitted = quiet_fit(task(), jax.random.key(0), data=(x, y), progress=True)
    begun = start(task(), jax.random.key(0), Hparams(), TRAIN).model
    for a, b in zip(model_leaves(fitted), jax.tree.leaves(begun), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)
    assert int(fitted.progress.runs.failed_at) == 0 and fitted.progress.history == []
    assert "Run 0: loss, gradient or update is not finite at step 0" in capsys.readouterr().out


def steep(model, x, y, hparams, key):
    """Cross-entropy with a gradient of 1e20 or so, whose squares are beyond the largest float."""
    metrics = cross_entropy(model, x, y, hparams, key)
    return metrics | {"loss": 1e20 * metrics["loss"]}


def test_a_gradient_beyond_its_squares_is_clipped_as_any_other():
    options = {"epochs": 1, "evals": None}
    hparams = Hparams(learning_rate=1.0, clip_norm=1e-3)
    plain, grown = (
        quiet_fit(task(optax.sgd, N, objective), jax.random.key(0), hparams, **options)
        for objective in (cross_entropy, steep)
    )
    norms = [fitted.progress.history[0]["gradient_norm"] for fitted in (plain, grown)]
    assert norms[1] == pytest.approx(1e20 * norms[0], rel=1e-5)
    assert grown.progress.history[0]["update_norm"] == pytest.approx(1e-3, rel=1e-5)
    for a, b in zip(model_leaves(plain), model_leaves(grown), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-9)


def test_a_gradient_that_an_optimiser_cannot_square_is_no_step():
    """Adam would take it for infinite, and hold its weights for ever after without a word."""
    fitted = quiet_fit(task(optax.adam, objective=steep), jax.random.key(0))
    assert int(fitted.progress.runs.failed_at) == 0
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(fitted.progress.runs.opt_state))


def test_an_update_that_is_not_finite_is_not_made():
    """In the last step of all, too, where no further loss would show it."""
    fitted = quiet_fit(task(batch=N), keys(2), Hparams(learning_rate=np.array([1e-3, np.inf])), epochs=1)
    assert fitted.progress.runs.failed_at.tolist() == [-1, 0]
    assert [row["run"] for row in fitted.progress.history] == [0]
    begun = jax.vmap(lambda key: start(task(), key, Hparams(), TRAIN))(keys(2)).model
    for a, b in zip(model_leaves(fitted), jax.tree.leaves(begun), strict=True):
        np.testing.assert_allclose(a[1], b[1], rtol=1e-6)


def test_a_run_whose_watched_metric_is_never_finite_has_no_best():
    """Its weights are those of the start: no number of theirs is a result."""
    x, y = TEST
    options = {"epochs": 5, "evals": {"test": TEST, "valid": (np.full_like(x, np.nan), y)}}
    fitted = quiet_fit(task(), jax.random.key(0), watch=Watch("valid_loss", 3), **options)
    assert int(fitted.progress.runs.failed_at) == -1
    rows = fitted.progress.history
    assert [row["epoch"] for row in rows] == [1, 2, 3]  # three epochs without a better one
    assert all(math.isnan(row["valid_loss"]) and math.isfinite(row["test_loss"]) for row in rows)
    assert all(np.isnan(value).all() for value in fitted.metrics.values())


def test_early_stopping_is_each_run_s_own_and_keeps_its_best():
    rates = np.array([0.3, 1e-3])  # the first overshoots soon, the second is still learning at the end
    options = {"epochs": 30, "watch": Watch("test_loss", 4)}
    fitted = quiet_fit(task(), keys(2), Hparams(learning_rate=rates), **options)
    runs = fitted.progress.runs
    assert runs.stopped.tolist() == [True, False]
    losses = [[row["test_loss"] for row in fitted.progress.history if row["run"] == i] for i in (0, 1)]
    assert len(losses[0]) == 1 + int(np.argmin(losses[0])) + 4 and len(losses[1]) == 30
    assert runs.best.epoch.tolist() == [1 + int(np.argmin(values)) for values in losses]
    np.testing.assert_array_equal(runs.best.value, np.float32([min(values) for values in losses]))
    np.testing.assert_allclose(fitted.metrics["test_loss"], [min(values) for values in losses], rtol=1e-6)


@pytest.mark.parametrize("stopping", [0, 4])  # on two devices the last run has its own share
def test_a_run_that_stops_early_touches_no_neighbour(stopping):
    calm = np.full(5, 1e-3)
    hasty = np.where(np.arange(5) == stopping, 0.3, calm)
    options = {"epochs": 12, "watch": Watch("test_loss", 3)}
    one, other = (quiet_fit(task(), keys(5), Hparams(learning_rate=rates), **options) for rates in (calm, hasty))
    others = [run for run in range(5) if run != stopping]
    assert one.progress.runs.stopped.tolist() == [False] * 5
    assert other.progress.runs.stopped.tolist() == [run == stopping for run in range(5)]
    for a, b in zip(saved(one), saved(other), strict=True):
        np.testing.assert_array_equal(a[others], b[others])
    rows = [[row for row in without_seconds(fitted) if row["run"] != stopping] for fitted in (one, other)]
    assert rows[0] == rows[1]
    losses = [row["test_loss"] for row in other.progress.history if row["run"] == stopping]
    assert len(losses) == 1 + int(np.argmin(losses)) + 3
    assert other.metrics["test_loss"][stopping] == pytest.approx(min(losses), rel=1e-6)


def test_when_all_runs_have_stopped_training_ends():
    fitted = quiet_fit(task(), keys(2), Hparams(learning_rate=np.array([np.inf, np.inf])), epochs=1000)
    assert fitted.finished and fitted.progress.epoch <= 1 and fitted.progress.history == []


@pytest.mark.parametrize("runs, programs", [(2, 1), pytest.param(5, 2, marks=needs_two_devices)])
def test_ten_epochs_compile_training_and_evaluation_once_a_share(runs, programs, caplog):
    job = task(batch=32)  # its own functions: nothing that an earlier test compiled is found again
    with jax.log_compiles(True), caplog.at_level(logging.WARNING):
        seen = []
        quiet_fit(
            job, keys(runs), epochs=10, devices=min(2, jax.device_count()),
            save=lambda progress: seen.append(len(caplog.records)), save_every=0.0,
        )  # fmt: skip
    compiled = [record.getMessage() for record in caplog.records if "Compiling" in record.getMessage()]
    for program in ("train_segment", "evaluate_runs", "start_runs"):
        assert sum(program in message for message in compiled) == programs, (program, compiled)
    first, last = seen[0], seen[-1]
    late = [record.getMessage() for record in caplog.records[first:last]]
    assert not late, f"compiled after the first segment: {late}"
    assert len(seen) > 10


def test_dropout_draws_anew_at_every_step_and_repeats_with_the_key():
    hparams = Hparams(dropout=0.5)
    first, again = (quiet_fit(task(layers=2), jax.random.key(0), hparams) for _ in range(2))
    assert_same_bits(first, again)
    without = quiet_fit(task(layers=2), jax.random.key(0))
    assert any((a != b).any() for a, b in zip(model_leaves(first), model_leaves(without), strict=True))

    def keep_the_key(model, x, y, hparams, key):
        zero = 0 * sum(leaf.sum() for leaf in jax.tree.leaves(model))
        return {"loss": jnp.full(len(y), jax.random.uniform(key) if key is not None else 0.0) + zero}

    job = task(batch=1, objective=keep_the_key)
    run = start(job, jax.random.key(0), Hparams(), TRAIN)
    data = tuple(map(jnp.asarray, TRAIN))
    loss_after = jax.jit(lambda steps: train.segment(job, run, Hparams(), data, 0, 0, steps).totals["loss"])
    drawn = [0.0] + [float(loss_after(steps)) for steps in (1, 2, 3)]
    assert len(set(np.round(np.diff(drawn), 5))) == 3


@pytest.mark.parametrize(
    "runs, batch, devices, expected",
    [
        (1, 128, 1, (1, 1)),
        pytest.param(1, 128, 2, (1, 2), marks=needs_two_devices),
        pytest.param(2, 128, 2, (2, 1), marks=needs_two_devices),
        pytest.param(3, 128, 2, (1, 2), marks=needs_two_devices),
        pytest.param(
            4, 128, None, (2, 1), marks=pytest.mark.skipif(jax.device_count() != 2, reason="all there are is not two")
        ),
        pytest.param(1, 63, 2, (1, 1), marks=needs_two_devices),  # under 32 rows each
    ],
)
def test_runs_go_over_the_devices_first_then_batches(runs, batch, devices, expected):
    assert spread(runs, batch, devices).devices.shape == expected


@pytest.mark.parametrize(
    "runs, batch, devices, expected",
    [
        (5, 128, 1, [(5, (1, 1))]),
        pytest.param(1, 128, 2, [(1, (1, 2))], marks=needs_two_devices),
        pytest.param(2, 128, 2, [(2, (2, 1))], marks=needs_two_devices),
        pytest.param(3, 128, 2, [(2, (2, 1)), (1, (1, 2))], marks=needs_two_devices),
        pytest.param(5, 128, 2, [(4, (2, 1)), (1, (1, 2))], marks=needs_two_devices),
        pytest.param(6, 128, 2, [(6, (2, 1))], marks=needs_two_devices),
        pytest.param(5, 32, 2, [(4, (2, 1)), (1, (1, 1))], marks=needs_two_devices),
        pytest.param(
            5, 128, None, [(4, (2, 1)), (1, (1, 2))],
            marks=pytest.mark.skipif(jax.device_count() != 2, reason="all there are is not two"),
        ),
    ],
)  # fmt: skip
def test_runs_left_over_are_a_share_of_their_own(runs, batch, devices, expected):
    assert [(count, mesh.devices.shape) for count, mesh in shares(runs, batch, devices)] == expected


@pytest.mark.parametrize("devices, expected", [
    (3, {2: [(2, (2, 1))], 4: [(3, (3, 1)), (1, (1, 3))], 5: [(3, (3, 1)), (2, (2, 1))]}),
    (4, {2: [(2, (2, 2))], 3: [(3, (3, 1))], 6: [(4, (4, 1)), (2, (2, 2))], 8: [(8, (4, 1))]}),
])  # fmt: skip
def test_shares_of_more_devices_than_there_are_here(devices, expected, monkeypatch):
    monkeypatch.setattr(jax, "local_devices", lambda: list(range(devices)))  # never computed on
    monkeypatch.setattr(train, "Mesh", lambda devices, axes, axis_types: SimpleNamespace(devices=devices))
    for runs, found in expected.items():
        assert [(count, mesh.devices.shape) for count, mesh in shares(runs, 128)] == found


@needs_two_devices
def test_a_function_that_a_model_makes_and_keeps_is_no_matter():
    class Made(nnx.Module):
        def __init__(self, rngs):
            self.head = nnx.Linear(T * D, K, rngs=rngs)
            self.activation = lambda x: jnp.tanh(x)  # another one in each share

        def __call__(self, x, key, dropout):
            return self.head(self.activation(x.reshape(len(x), -1)))

    job = Task(lambda rngs, hparams: Made(rngs), cross_entropy, lambda h: optax.sgd(h.learning_rate), 64)
    whole = quiet_fit(job, keys(3), epochs=2)
    half = quiet_fit(job, keys(3), epochs=1)
    assert_same_bits(quiet_fit(job, keys(3), epochs=2, resume=half.progress), whole)


BEGINNINGS = """
import jax
import numpy as np
import optax

from jaxrnn.layers import stack
from jaxrnn.models import Classifier
from jaxrnn.train import Hparams, Programs, Task, cross_entropy, shares, start

jax.config.update("jax_num_cpu_devices", 2)

def make_model(rngs, hparams):
    return Classifier(stack("elman", 28, [150], rngs=rngs), 10, rngs=rngs)

task = Task(make_model, cross_entropy, lambda h: optax.sgd(h.learning_rate))
data = np.zeros((1, 2, 28), np.float32), np.zeros(1, np.int32)
keys = jax.random.split(jax.random.key(0), 5)
alone = jax.jit(lambda key: start(task, key, Hparams(), data).model)
alone = [jax.device_get(jax.tree.leaves(alone(key))) for key in keys]
for count in (4, 5):
    first = 0
    for size, mesh in shares(count, task.batch):
        programs = Programs(task, mesh, size)
        hparams = jax.tree.map(lambda value: np.full(size, value, np.float32), Hparams())
        given = jax.device_put((keys[first : first + size], hparams), programs.by_run)
        runs = programs.start(*given, jax.device_put(data, programs.everywhere))
        for leaf, *each in zip(jax.tree.leaves(runs.model), *alone[first : first + size], strict=True):
            np.testing.assert_allclose(leaf, each, rtol=0, atol=1e-6)
        first += size
    assert first == count
"""


def test_runs_with_orthogonal_weights_begin():
    """In a process of its own: where the devices waited for each other, they did so for ever."""
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    subprocess.run([sys.executable, "-c", BEGINNINGS], env=environment, check=True, timeout=PATIENCE)


def test_errors_say_what_is_wrong():
    for function in (spread, shares):
        with pytest.raises(ValueError, match="devices must lie between 1 and the"):
            function(1, 128, jax.device_count() + 1)
        with pytest.raises(ValueError, match="devices must lie between 1 and the"):
            function(1, 128, 0)
    with pytest.raises(ValueError, match=r"train must hold as many inputs as labels, .* not \[149, 150\]"):
        quiet_fit(task(), keys(1), data=(TRAIN[0], TRAIN[1][:-1]))
    with pytest.raises(ValueError, match=r"test must hold as many inputs as labels, and at least one, not \[0\]"):
        quiet_fit(task(), keys(1), evals={"test": (TEST[0][:0], TEST[1][:0])})
    with pytest.raises(ValueError, match="no 'valid_loss' to watch: the metrics are test_"):
        quiet_fit(task(), keys(1), watch=Watch("valid_loss", 1))


def test_a_model_with_other_leaves_than_floats_is_refused():
    class Counting(nnx.Module):
        def __init__(self):
            self.count = nnx.Param(jnp.zeros((), jnp.int32))

    job = Task(lambda rngs, hparams: Counting(), cross_entropy, lambda h: optax.sgd(0.1))
    with pytest.raises(ValueError, match="must be arrays of floats, but .*count.* is int32"):
        start(job, jax.random.key(0), Hparams(), TRAIN)


def test_a_run_and_a_progress_hold_what_they_say():
    fitted = quiet_fit(task(), keys(2))
    assert isinstance(fitted.progress, Progress) and isinstance(fitted.progress.runs, Run)
    assert [(row["epoch"], row["run"]) for row in fitted.progress.history] == [(1, 0), (1, 1), (2, 0), (2, 1)]
    assert fitted.progress.runs.step.tolist() == [6, 6]
    single = quiet_fit(task(), jax.random.key(0)).progress.runs
    assert single.step.shape == () and single.key.shape == ()


# --- examples drawn inside the step ----------------------------------------------------------------------------------


def drawn(key, n):
    return jax.random.normal(key, (n, T, D)), jax.random.randint(jax.random.fold_in(key, 1), (n,), 0, K)


STREAM = Stream(drawn, 6)


@needs_two_devices
@pytest.mark.parametrize("batch", [64, 65])
def test_a_stream_is_the_same_on_two_devices(batch):
    with jax.enable_x64(True):
        one, two = (
            quiet_fit(task(optax.sgd, batch), keys(1), data=STREAM, devices=n, evals={"test": drawn(keys(1)[0], 9)})
            for n in (1, 2)
        )
        for mine, theirs in zip(model_leaves(one), model_leaves(two), strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-11, atol=1e-13)


def test_a_stream_is_a_plain_loop_over_its_batches():
    with jax.enable_x64(True):
        key = jax.random.key(3)
        job = task(optax.sgd, 32)
        fitted = quiet_fit(job, key, Hparams(learning_rate=0.1), STREAM, epochs=2, evals=None)
        model = start(job, key, Hparams(), drawn(key, 1)).model
        losses = []
        for epoch, step in np.ndindex(2, 6):
            of_epoch = jax.random.fold_in(jax.random.fold_in(key, 1), epoch)
            batch = drawn(jax.random.fold_in(of_epoch, step), 32)

            def loss(model, batch=batch):
                return cross_entropy(model, *batch, Hparams(), None)["loss"].mean()

            value, gradient = jax.value_and_grad(loss)(model)
            losses.append(float(value))
            model = jax.tree.map(lambda weight, slope: weight - 0.1 * slope, model, gradient)
        for leaf, mine in zip(jax.tree.leaves(fitted.progress.runs.model), jax.tree.leaves(model), strict=True):
            np.testing.assert_allclose(leaf, mine, rtol=1e-10, atol=1e-12)
        rows = fitted.progress.history
        assert [row["train_loss"] for row in rows] == pytest.approx([np.mean(losses[:6]), np.mean(losses[6:])])


def test_a_stream_stopped_and_resumed_is_uninterrupted(monkeypatch):
    monkeypatch.setattr(train, "SEGMENT_SECONDS", 0.0)
    whole = quiet_fit(task(), keys(2), data=STREAM)
    kept = []
    quiet_fit(task(), keys(2), data=STREAM, stop=stop_after(8), save=kept.append)
    assert (kept[-1].epoch, kept[-1].step) == (1, 2)
    assert_same_bits(quiet_fit(task(), keys(2), data=STREAM, resume=kept[-1]), whole)


# --- regression on all examples at once ------------------------------------------------------------------------------


TRUE = np.random.default_rng(2).normal(size=(N, T, 2))


def regression(counted=None, batch=N):
    def make_model(rngs, hparams):
        return Regressor(stack("elman", D, [H], init="pytorch", rngs=rngs), 2, init="pytorch", rngs=rngs)

    objective = squared_error if counted is None else partial(squared_error, counted=counted)
    return Task(make_model, objective, lambda h: optax.sgd(h.learning_rate), batch)


@pytest.mark.parametrize("masked", [False, True])
def test_the_squared_error_is_summed_over_outputs_and_averaged_over_the_steps_that_count(masked):
    counted = np.ones((T, 2), bool)
    if masked:
        counted[:1, 0] = counted[:3, 1] = False
    with jax.enable_x64(True):
        model = regression().make_model(nnx.Rngs(0), Hparams())
        found = squared_error(model, jnp.asarray(TRAIN[0]), TRUE, Hparams(), None, counted=counted if masked else None)
        errors = np.where(counted, TRUE - np.asarray(model(jnp.asarray(TRAIN[0]))), 0)
    each = np.square(errors).sum(1) / counted.sum(0)
    assert list(found) == ["loss", "mse", "mse_1", "mse_2"]
    for name, expected in {
        "loss": each.sum(1), "mse": each.mean(1), "mse_1": each[:, 0], "mse_2": each[:, 1],
    }.items():  # fmt: skip
        np.testing.assert_allclose(found[name], expected, rtol=1e-12)


def test_a_single_output_has_no_number():
    def one(x, **options):
        return jnp.zeros((len(x), T, 1))

    found = squared_error(one, TRAIN[0], TRUE[..., :1], Hparams(), None)
    assert list(found) == ["loss", "mse"]
    np.testing.assert_allclose(found["loss"], found["mse"])


def test_full_batch_training_is_plain_gradient_descent_and_its_training_set_can_be_evaluated():
    with jax.enable_x64(True):
        key, job, data = jax.random.key(3), regression(), (TRAIN[0], TRUE)
        stream = full_batch(data, 3)
        assert stream.examples == N
        fitted = quiet_fit(job, key, Hparams(learning_rate=0.1), stream, epochs=2, evals={"train": data})
        model = start(job, key, Hparams(), data).model

        def loss(model):
            return jnp.square(model(jnp.asarray(TRAIN[0])) - TRUE).sum(-1).mean()

        for _ in range(6):
            model = jax.tree.map(lambda weight, slope: weight - 0.1 * slope, model, jax.grad(loss)(model))
        for leaf, mine in zip(jax.tree.leaves(fitted.progress.runs.model), jax.tree.leaves(model), strict=True):
            np.testing.assert_allclose(leaf, mine, rtol=1e-10, atol=1e-12)
        # the evaluation after the epoch stands where the mean over the epoch would
        assert fitted.progress.history[-1]["train_loss"] == pytest.approx(float(loss(model)), rel=1e-12)
        assert fitted.metrics["train_loss"] == pytest.approx(float(loss(model)), rel=1e-12)


def test_a_batch_larger_than_all_examples_is_an_error():
    with pytest.raises(ValueError, match=f"a batch of {N + 1} is more than the {N} examples"):
        quiet_fit(regression(batch=N + 1), keys(1), data=full_batch((TRAIN[0], TRUE), 3), evals={})


# --- a trainer kept --------------------------------------------------------------------------------------------------


def test_a_trainer_compiles_once_for_all_that_it_trains(caplog):
    trainer = Trainer(task(batch=32), 2, Hparams(), TRAIN, evals={"test": TEST})
    rates = [np.array([1e-3, 1e-2]), np.array([1e-1, 1e-4])]
    trainer(keys(2), Hparams(learning_rate=rates[0]), epochs=1)
    with jax.log_compiles(True), caplog.at_level(logging.WARNING):
        again = trainer(keys(2), Hparams(learning_rate=rates[1]), epochs=2)
    programs = [record.getMessage() for record in caplog.records if "Compiling" in record.getMessage()]
    assert not [words for words in programs if "train_segment" in words or "evaluate" in words or "start_runs" in words]
    whole = quiet_fit(task(batch=32), keys(2), Hparams(learning_rate=rates[1]))
    assert_same_bits(again, whole)
    assert again.progress.seconds["compile"] == 0 and trainer.bytes > 0
    with pytest.raises(ValueError, match="the trainer is for 2 runs, not for 3"):
        trainer(keys(3), Hparams(), epochs=1)


def test_a_trainer_can_be_for_certain_devices():
    device = jax.local_devices()[-1]
    trainer = Trainer(task(), 2, Hparams(), TRAIN, devices=[device])
    runs = trainer(keys(2), Hparams(), epochs=1).progress.runs
    assert runs.step.devices() == {device}


def test_a_forget_bias_is_traced_and_none_leaves_it_to_the_initialisation():
    def make_model(rngs, hparams):
        bias = {} if hparams.forget_bias is None else {"forget_bias": hparams.forget_bias}
        return Classifier(stack("lstm", D, [H], init="pytorch", rngs=rngs, **bias), K, init="pytorch", rngs=rngs)

    job = Task(make_model, cross_entropy, lambda h: optax.sgd(h.learning_rate), 64)
    forget = slice(H, 2 * H)
    for hparams, expected in ((Hparams(), None), (Hparams(forget_bias=np.array([0.5, 3.0])), [0.5, 3.0])):
        trainer = Trainer(job, 2, hparams, TRAIN)
        cell = trainer(keys(2), hparams, epochs=0).progress.runs.model.layers.layers[0].cell
        biases = np.asarray(cell.b_x[...])[:, forget]
        if expected is None:
            assert np.abs(biases).max() <= H**-0.5 and np.ptp(biases) > 0
        else:
            np.testing.assert_array_equal(biases, np.repeat(expected, H).reshape(2, H))


@pytest.mark.parametrize("patience, evaluations", [(None, 2), (5, 3)])
def test_no_model_is_evaluated_twice(monkeypatch, patience, evaluations):
    """Once an epoch; where the best model is kept, that one at the end."""
    calls, metrics = [], train._Compiled.metrics
    monkeypatch.setattr(train._Compiled, "metrics", lambda self, *args: calls.append(args) or metrics(self, *args))
    fitted = quiet_fit(task(), keys(1), epochs=2, watch=None if patience is None else Watch("test_loss", patience))
    assert len(calls) == evaluations
    assert fitted.metrics["test_loss"][0] == min(row["test_loss"] for row in fitted.progress.history)


def test_training_again_leaves_no_program_in_jax_s_caches():
    """They keep what they traced as long as the function lives, and the objective outlives the trainings."""

    def programs_after_one_more():
        one = task()
        train.memory_per_run(one, Hparams(), TRAIN)
        quiet_fit(one, keys(2), epochs=1)
        gc.collect()
        return sum(type(one) is jax.extend.core.Jaxpr for one in gc.get_objects())

    programs_after_one_more()
    assert programs_after_one_more() == programs_after_one_more()
