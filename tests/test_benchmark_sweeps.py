"""The benchmark's sweeps but for their clock: how runs are shared out, that both libraries compute the same, what a run
is said to cost, and that PyTorch's processes end.
"""

import multiprocessing
import os
import signal
from contextlib import contextmanager
from functools import partial

import jax
import numpy as np
import pytest
from flax import nnx

from experiments import benchmark_sweeps, measuring
from experiments.benchmark_sweeps import QUICK_SWEEPS, SWEEPS, Chunks, chunked, lots, measure, torch_runs, workers
from experiments.measuring import Ours
from jaxrnn.data import palindromes
from jaxrnn.errors import UserError
from jaxrnn.models import parameter_count
from jaxrnn.train import Hparams, Stream


def same_batch(key, n, draw):
    return draw(jax.random.key(0), n)


def small(row):
    """Three runs of a small sweep that see one batch, always the same."""
    sweep = QUICK_SWEEPS[row]
    return sweep._replace(runs=3, draw=partial(same_batch, draw=sweep.draw))


def models(sweep):
    return [sweep.task.make_model(nnx.Rngs(run), sweep.hparams) for run in range(sweep.runs)]


class Idle:
    """A trainer that does nothing."""

    def __init__(self, sweep, runs, devices=None):
        self.models = [nnx.eval_shape(lambda: sweep.task.make_model(nnx.Rngs(0), sweep.hparams))]

    def __call__(self, steps):
        return 0.0


@pytest.fixture
def pretended(monkeypatch):
    """Measuring without work; whether PyTorch's processes, of which there are none, have been ended."""
    ended = []

    @contextmanager
    def pretend(lots):
        try:
            yield lambda steps: 0.0
        finally:
            ended.append(True)

    monkeypatch.setattr(measuring, "installed", lambda package: True)
    monkeypatch.setattr(benchmark_sweeps, "Chunks", Idle)
    monkeypatch.setattr(benchmark_sweeps, "lots", lambda *_: [])
    monkeypatch.setattr(benchmark_sweeps, "workers", pretend)
    return ended


# What is measured.


@pytest.mark.parametrize(
    "row, sizes, parameters",
    [
        ("sweep_elman", "9 x 10 -> 128 -> 10, batch 128", 128 * (10 + 128 + 2) + 1290),
        ("sweep_lstm", "9 x 10 -> 128 -> 10, batch 128", 4 * 128 * (10 + 128 + 2) + 1290),
        ("sweep_tiny", "100 x 3 -> 5 -> 2, batch 8", 5 * (3 + 5 + 2) + 12),
    ],
)
def test_the_networks_are_those_that_were_asked_for(row, sizes, parameters):
    sweep = SWEEPS[row]
    assert (sweep.runs, sweep.most, sweep.shape.sizes) == (32, 128, sizes)
    model = nnx.eval_shape(lambda: sweep.task.make_model(nnx.Rngs(0), sweep.hparams))
    assert parameter_count(model) == parameters


def test_palindromes_are_drawn_as_they_are_for_training():
    x, y = SWEEPS["sweep_lstm"].draw(jax.random.key(3), 128)
    expected = palindromes.draw(jax.random.key(3), 128, 10)
    assert x.shape == (128, 9, 10)
    np.testing.assert_array_equal(x, expected[0])
    np.testing.assert_array_equal(y, expected[1])


def test_operations_of_palindromes():
    # 9 steps x (2 x 10 x 128, and 3 x 128 x 128), and the head once
    assert measuring.flops("elman", SWEEPS["sweep_elman"].shape) == 2 * 128 * (9 * (2560 + 49_152) + 3 * 1280)


# How runs are shared out.


@pytest.mark.parametrize(
    "runs, devices, widest, expected",
    [
        (32, 2, 1, (1, 32)),
        (32, 2, 16, (16, 2)),
        (128, 2, 16, (16, 8)),
        (1, 2, 16, (1, 1)),
        (2, 4, 16, (1, 2)),
        (32, 3, 16, (11, 3)),
        (5, 2, 4, (3, 2)),
    ],
)
def test_chunks(runs, devices, widest, expected):
    assert chunked(runs, devices, widest) == expected


@pytest.mark.parametrize("widest", [1, 16])
def test_runs_are_all_there_and_train_as_they_do_alone(widest, monkeypatch):
    monkeypatch.setattr(benchmark_sweeps, "width", lambda parameters, batch: widest)
    sweep = small("sweep_elman")
    chunks = Chunks(sweep, 5)
    before = chunks.models
    loss = chunks(2)
    keys = jax.random.split(jax.random.key(0), 6 if widest > 1 else 5)[:5]
    alone = [Ours(sweep.task, Stream(sweep.draw, 1), 1, keys=key[None], hparams=sweep.hparams) for key in keys]
    assert loss == pytest.approx(np.mean([run(2) for run in alone]), rel=1e-5)
    assert len(before) == 5 and len({np.asarray(model.head.kernel).tobytes() for model in before}) == 5
    for after, run in zip(chunks.models, alone, strict=True):
        np.testing.assert_allclose(after.head.kernel, run.models[0].head.kernel, atol=1e-5)


def test_processes_share_the_runs():
    sweep = small("sweep_lstm")
    pytest.importorskip("torch", reason="weights go by way of PyTorch")
    drawn = models(sweep)
    shared = lots(sweep, drawn, 2)
    assert [len(lot.weights) for lot in shared] == [2, 1]
    assert [len(lot.weights) for lot in lots(sweep, drawn, 5)] == [1, 1, 1]
    np.testing.assert_array_equal(shared[1].weights[0]["head.bias"], drawn[1].head.bias)
    assert [x.shape for x, _ in shared[0].batches] == [(32, 9, 10)] * 10


# That both compute the same.


@pytest.mark.parametrize("row", QUICK_SWEEPS)
def test_pytorch_takes_the_same_steps(row):
    pytest.importorskip("torch", reason="trains with PyTorch itself")
    sweep = small(row)
    ours = Chunks(sweep, sweep.runs, 1)
    (lot,) = lots(sweep, ours.models, 1)
    torch = torch_runs(lot._replace(batches=[jax.tree.map(np.array, sweep.draw(None, sweep.shape.batch))]))
    both = np.array([(ours(1), torch(1)) for _ in range(10)])
    assert both[-1, 0] < both[0, 0]
    np.testing.assert_allclose(both[:, 0], both[:, 1], rtol=1e-4)


def test_both_clip_gradients():
    pytest.importorskip("torch", reason="trains with PyTorch itself")
    tight = Hparams(learning_rate=1e-3, clip_norm=1e-9)  # so small that RMSProp's epsilon outweighs what is left
    sweep = small("sweep_elman")._replace(hparams=tight)
    ours = Chunks(sweep, sweep.runs, 1)
    (lot,) = lots(sweep, ours.models, 1)
    torch = torch_runs(lot._replace(batches=lot.batches[:1]))
    both = np.array([(ours(1), torch(1)) for _ in range(10)])
    assert np.ptp(both) < 0.02 and both[0, 0] != both[-1, 0]
    np.testing.assert_allclose(both[:, 0], both[:, 1], rtol=1e-4)


# What a run is said to cost.


def test_costs_are_of_one_run(pretended, monkeypatch):
    raced = []

    def race(trainers, steps, rounds):
        raced.append((list(trainers), steps, rounds))
        return {name: [2.0 * (name if isinstance(name, int) else 4)] * rounds for name in trainers}

    monkeypatch.setattr(measuring, "race", race)
    monkeypatch.setattr(measuring, "installed", lambda package: False)
    measured, _, costs = measure("sweep_tiny", QUICK_SWEEPS["sweep_tiny"], 5)
    assert measured.times == {"ours": [2.0] * 5} and measured.parameters == 62 and np.isnan(measured.flops)
    assert raced == [(["ours"], 10, 5), ([1, 2, 4], 10, 3)]
    assert [(line["row"], line["library"], line["runs"]) for line in costs] == [
        ("sweep_tiny", "ours", runs) for runs in (1, 2, 4)
    ]
    assert {line[name] for line in costs for name in ("median", "lower_quartile", "upper_quartile")} == {2.0}


def test_pytorch_has_one_line_of_costs(pretended, monkeypatch):
    monkeypatch.setattr(measuring, "race", lambda trainers, steps, rounds: dict.fromkeys(trainers, [8.0] * rounds))
    measured, _, costs = measure("sweep_elman", QUICK_SWEEPS["sweep_elman"], 2)
    assert measured.times == {"ours": [2.0] * 2, "torch": [2.0] * 2} and measured.flops > 0
    assert [(line["library"], line["runs"], line["median"]) for line in costs] == [
        ("ours", 1, 8), ("ours", 2, 4), ("ours", 4, 2), ("torch", 4, 2),
    ]  # fmt: skip


# PyTorch's processes.


def test_processes_together_do_what_one_does_and_end():
    pytest.importorskip("torch", reason="starts PyTorch's processes")
    sweep = small("sweep_tiny")
    drawn = models(sweep)
    (alone,) = lots(sweep, drawn, 1)
    with workers(lots(sweep, drawn, 2)) as train:
        assert len(multiprocessing.active_children()) == 2
        here = torch_runs(alone)
        np.testing.assert_allclose([train(2), train(3)], [here(2), here(3)], rtol=1e-5)
    assert not multiprocessing.active_children()


def test_processes_end_where_one_has_ended_by_itself():
    pytest.importorskip("torch", reason="starts PyTorch's processes")
    sweep = small("sweep_tiny")
    shared = lots(sweep, models(sweep), 2)
    with pytest.raises(UserError, match="a PyTorch process ended by itself"), workers(shared) as train:
        os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)
        train(1)
    assert not multiprocessing.active_children()


def test_processes_end_where_measuring_fails(pretended, monkeypatch):
    def fail(*_):
        raise RuntimeError("no luck")

    monkeypatch.setattr(measuring, "race", fail)
    with pytest.raises(RuntimeError, match="no luck"):
        measure("sweep_tiny", QUICK_SWEEPS["sweep_tiny"], 1)
    assert pretended == [True]
