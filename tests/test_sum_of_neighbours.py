"""NTU's question 3: one linear unit is exact, and three pairs are learned."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.sum_of_neighbours import Settings, error_of_new_state, error_of_unit, main
from jaxrnn.command import command
from jaxrnn.data.neighbours import TEST_X, TRAIN_X, TRAIN_Y


@given(st.lists(st.integers(-1000, 1000), min_size=12, max_size=12))
def test_one_unit_that_is_read_before_the_step_is_exact_on_any_sequence(numbers):
    assert error_of_unit(np.array(numbers, float)[None, :, None]) == 0


def test_it_is_exact_on_the_tutorial_s_sequences():
    assert error_of_unit(np.concatenate([TRAIN_X, TEST_X])) == 0


def new_state_error(w):
    """Of a unit h(t) = x(t) + w h(t-1) + 1 or without the 1: any other scales and adds to these two and a constant."""
    states = []
    for bias in (0.0, 1.0):
        h = np.zeros(3)
        states.append([])
        for t in range(4):
            h = TRAIN_X[:, t, 0] + w * h + bias
            states[-1].append(h)
    features = np.stack([np.array(states[0]).T, np.array(states[1]).T, np.ones((3, 4))], -1).reshape(-1, 3)
    weights, *_ = np.linalg.lstsq(features, TRAIN_Y.ravel())
    return np.square(features @ weights - TRAIN_Y.ravel()).mean()


def test_one_unit_that_is_read_after_the_step_is_not():
    lowest, w = error_of_new_state(TRAIN_X, TRAIN_Y)
    assert lowest == pytest.approx(0.2388, abs=5e-5)
    assert new_state_error(w) == pytest.approx(lowest)
    assert min(new_state_error(other) for other in (w - 1e-3, w + 1e-3, 0.0, -w, 1.0)) > lowest


# an Elman network, the cheapest to compile
TINY = (
    "--cell",
    "elman",
    "--seeds",
    "2",
    "--steps",
    "40",
    "--every",
    "20",
    "--learning-rate",
    "0.05",
    "--devices",
    "1",
)


def test_a_run_leaves_its_outputs_beside_the_rule_s_and_the_tutorial_s(tmp_path, capsys):
    out = tmp_path / "run"
    assert command("sum_of_neighbours", Settings, main, [*TINY, "--out", str(out)]) == 0
    result = json.loads((out / "result.json").read_text())
    assert {path.name for path in out.glob("*.png")} == {"learning_curves.png", "answers.png"}
    assert result["parameters"] == 10 * (1 + 10 + 2) + 11
    assert (result["dataset"]["train"], result["dataset"]["test"]) == (3, 2)
    metrics = {name: metric["runs"] for name, metric in result["metrics"].items()}
    assert {"train_loss", "train_mse", "test_loss", "test_mse"} < set(metrics)
    said = np.array([[metrics[f"y_{sequence}_{t}"] for t in range(1, 5)] for sequence in ("1234", "4567")])
    rule = np.array([[1, 3, 5, 7], [4, 9, 11, 13]])[..., None]
    np.testing.assert_allclose(np.square(said - rule).mean((0, 1)), metrics["test_mse"], rtol=1e-5)
    printed = {row["metric"]: row["value"] for row in result["reference"]}
    assert printed["test_mse"] == pytest.approx(2.5469844, abs=5e-8) and printed["y_1234_3"] == 6.3064
    assert metrics["unit_error"] == metrics["unit_error_random"] == [0.0]
    (answer,) = result["answers"].values()
    assert list(result["answers"]) == ["N5"]
    for words in ("(1 3 5 7)", "(4 9 11 13)", "(4.6289 8.4632 9.4166 9.5583)", "error: 0)", "error: 0.239)"):
        assert words in answer
    assert "the tutorial's" in capsys.readouterr().out


@pytest.mark.slow
def test_every_network_learns_the_three_pairs(tmp_path):
    result = main("sum_of_neighbours", Settings(out=tmp_path / "run"))
    assert max(result["metrics"]["train_mse"]["runs"]) < 1e-3
    assert result["metrics"]["test_mse"]["mean"] < result["reference"][0]["value"]
