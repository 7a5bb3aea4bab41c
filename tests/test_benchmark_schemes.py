"""The benchmark's row of schemes: what is compared, that all of them train alike, and what is said of it."""

import numpy as np
import pytest
from flax import nnx

from experiments import benchmark_schemes, measuring
from experiments.benchmark_schemes import LITTLE, NAMES, SHAPES, compared, contestants, rows
from experiments.measuring import Way
from jaxrnn.cells import CELLS
from jaxrnn.schemes import FASTEST_ON_CPU, SIZES, size


def test_every_entry_of_the_table_is_measured():
    assert set(NAMES.values()) == set(FASTEST_ON_CPU)
    assert tuple(SHAPES) == tuple(LITTLE) == SIZES
    for name in NAMES:
        for which, shape in SHAPES.items():
            cell = nnx.eval_shape(lambda name=name, s=shape: CELLS[name](s.features, s.hidden, rngs=nnx.Rngs(0)))
            assert size(cell, shape.batch) == which


def test_all_schemes_begin_and_train_alike():
    trainers = contestants("gru", LITTLE["few rows"]._replace(hidden=3, features=2), 1)
    losses = np.array([[train(1) for _ in range(3)] for train in trainers.values()])
    assert list(trainers) == ["reference", "stepwise", "collected", "ahead"]
    np.testing.assert_allclose(losses, losses[:1].repeat(4, axis=0), rtol=1e-5)
    assert np.ptp(losses[0]) > 0


def test_a_ratio_is_of_two_turns_of_a_round():
    times = {"reference": [4.0, 8.0, 8.0], "collected": [2.0, 2.0, 8.0]}
    reference, collected = compared("lstm", "many rows", SHAPES["many rows"], times)
    assert (reference["ratio_median"], collected["ratio_median"], collected["median"]) == (1, 2, 2)
    assert (collected["size"], collected["rows"], collected["hidden"]) == ("many rows", 64, 150)
    assert (
        collected["chosen"] == (FASTEST_ON_CPU[NAMES["lstm"]]["many rows"] == "collected") and not reference["chosen"]
    )


def test_the_row(monkeypatch):
    monkeypatch.setattr(
        benchmark_schemes, "contestants", lambda *_: dict.fromkeys(("reference", "ahead"), lambda n: 0.0)
    )
    monkeypatch.setattr(measuring, "race", lambda trainers, steps, rounds: {"reference": [3.0], "ahead": [2.0]})
    outcome = rows(quick=True)["schemes"].measure("schemes", Way(1))
    assert len(outcome.tables["schemes"]) == 2 * len(NAMES) * len(SIZES)
    assert outcome.metrics["schemes_elman_many_rows_ahead"] == 1.5 and len(outcome.metrics) == len(NAMES) * len(SIZES)


@pytest.mark.parametrize("devices, batch, expected", [(1, 8, 8), (2, 8, 8), (1, 64, 64), (2, 64, 128)])
def test_the_rows_of_a_shape_are_those_of_each_device(devices, batch, expected):
    shape = LITTLE["many rows"]._replace(batch=batch, hidden=2, features=2)
    trainer = contestants("elman", shape, devices)["reference"]
    assert trainer._programs.by_run.mesh.devices.size == (devices if batch >= 32 else 1)
    assert len(trainer._data[1]) == 8 * expected
