"""The benchmark's sweeps but for their clock: how runs are shared out, and what a run is said to cost."""

import jax
import numpy as np
import pytest
from flax import nnx

from experiments import benchmark_steps, benchmark_sweeps, measuring
from experiments.benchmark_steps import FEW_DIGITS, hparams_of, palindromes_of
from experiments.benchmark_sweeps import Chunks, chunked, swept
from experiments.measuring import Ours, Way
from jaxrnn.data import palindromes
from jaxrnn.train import Stream


def test_palindromes_are_drawn_as_they_are_for_training():
    x, y = benchmark_sweeps.rows(quick=False)["sweep_lstm"].data().draw(jax.random.key(3), 128)
    expected = palindromes.draw(jax.random.key(3), 128, 11)
    assert x.shape == (128, 10, 10)
    np.testing.assert_array_equal(x, expected[0])
    np.testing.assert_array_equal(y, expected[1])


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
    draw = palindromes.draw
    monkeypatch.setattr(palindromes, "draw", lambda key, n, length: draw(jax.random.key(0), n, length))
    monkeypatch.setattr(benchmark_sweeps, "width", lambda parameters, batch: widest)
    one = palindromes_of("elman", FEW_DIGITS)
    hparams = hparams_of(one.network)
    chunks = Chunks(one.task, hparams, one.data(), 5)
    before = chunks.models
    loss = chunks(2)
    keys = jax.random.split(jax.random.key(0), 6 if widest > 1 else 5)[:5]
    alone = [Ours(one.task, Stream(one.data().draw, 1), 1, keys=key[None], hparams=hparams) for key in keys]
    assert loss == pytest.approx(np.mean([run(2) for run in alone]), rel=1e-5)
    assert len(before) == 5 and len({np.asarray(model.head.kernel).tobytes() for model in before}) == 5
    for after, run in zip(chunks.models, alone, strict=True):
        np.testing.assert_allclose(after.head.kernel, run.models[0].head.kernel, atol=1e-5)


class Idle:
    """A trainer that does nothing."""

    def __init__(self, task, hparams, data, runs, devices=None):
        self.models = [nnx.eval_shape(lambda: task.make_model(nnx.Rngs(0), hparams))] * runs

    def __call__(self, steps):
        return 0.0


def test_costs_are_of_one_run_and_others_have_one_line(monkeypatch):
    raced = []

    def race(trainers, steps, rounds):
        raced.append((list(trainers), steps, rounds))
        return {name: [2.0 * (name if isinstance(name, int) else 4)] * rounds for name in trainers}

    monkeypatch.setattr(measuring, "race", race)
    monkeypatch.setattr(benchmark_sweeps, "Chunks", Idle)
    row = benchmark_sweeps.rows(quick=True)["sweep_tiny"]
    monkeypatch.setattr(type(row), "here", {})
    (measured,), _, _, tables = row.measure("sweep_tiny", Way(5))
    assert measured.times == {"ours": [2.0] * 5} and measured.parameters == 62 and measured.work is None
    assert raced == [(["ours"], {"ours": 10}, 5), ([1, 2], 10, 3)]
    assert [(line["row"], line["library"], line["runs"]) for line in tables["sweeps"]] == [
        ("sweep_tiny", "ours", runs) for runs in (1, 2)
    ]
    assert {line[name] for line in tables["sweeps"] for name in ("median", "lower_quartile", "upper_quartile")} == {2.0}
    *_, torch = row.costs("sweep_tiny", Way(5), {"ours": [2.0], "torch": [8.0]})
    assert (torch["library"], torch["runs"], torch["median"]) == ("torch", 4, 8)


def test_the_work_of_many_runs_is_told_for_one():
    one = benchmark_steps.palindromes_of("elman", FEW_DIGITS)
    assert swept(one, 4).work().shared(4) == one.work() and swept(one, 4).costs is None
