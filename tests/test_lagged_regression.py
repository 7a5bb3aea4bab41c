"""NTU's question 2: what the networks stand beside, and what a run measures, leaves and says."""

import json

import jax
import numpy as np
import pytest

from experiments.lagged_regression import (
    Settings,
    baselines,
    lag_features,
    linear_map,
    main,
    sequences,
    squared_errors,
    study,
)
from experiments.regression import middle_run, outputs_of
from jaxrnn.command import command
from jaxrnn.data import lagged
from jaxrnn.study import run_keys
from jaxrnn.train import Hparams, fit
from jaxrnn.words import median_range

TRAIN, TEST = sequences()
ALL = np.ones((100, 2), bool)


def test_without_a_network_the_errors_are_known():
    floor, mean, linear = baselines(TRAIN, TEST, ALL).values()
    assert floor.train.mean() == pytest.approx(0.0102261390, abs=5e-11)
    assert mean.train == pytest.approx([2.0797106, 33.8405785], abs=5e-8)
    assert mean.train.mean() == pytest.approx(17.9601446, abs=5e-8)
    assert linear.train.mean() == pytest.approx(2.8499, abs=5e-5)
    # what is fitted to the training sequences is worse than what would be fitted to the fresh ones
    _, mean_of_fresh, linear_of_fresh = baselines(TEST, TRAIN, ALL).values()
    assert (mean.test > mean_of_fresh.train).all() and (linear.test > linear_of_fresh.train).all()


def test_the_best_linear_map_from_the_fourth_step_on():
    later = np.arange(100) >= 3
    said = np.stack([lag_features(TRAIN.x) @ linear_map(TRAIN, k, later) for k in range(2)], -1)
    errors = squared_errors(said, TRAIN.y, np.stack([later] * 2, -1))
    assert errors == pytest.approx([0.0105703, 5.1444174], abs=5e-8)
    assert errors.mean() == pytest.approx(2.5774939, abs=5e-8)


def test_the_noise_alone_can_be_left_out():
    counted = lagged.ruled()
    masked, whole = (baselines(TRAIN, TEST, some) for some in (counted, ALL))
    noise = np.square(TRAIN.y - lagged.rule(TRAIN.x))
    assert masked["noise floor"].train == pytest.approx([noise[:, 1:, 0].mean(), noise[:, 3:, 1].mean()])
    linear = "linear map of lags 0 to 3"
    assert masked[linear].train[0] < 0.02 < whole[linear].train[0]  # the first step alone is what it cannot do


def test_lag_features_are_the_last_inputs_and_a_one():
    features = lag_features(TRAIN.x)
    assert features.shape == (8, 100, 13) and (features[..., -1] == 1).all()
    assert (features[:, :3, 9:12] == 0).all()
    np.testing.assert_array_equal(features[2, 50, :12], TRAIN.x[2, [50, 49, 48, 47]].ravel())


@pytest.mark.parametrize("mask_warmup", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_the_errors_are_those_of_the_outputs_and_a_failed_run_has_none(mask_warmup):
    job = study(Settings(every=5, mask_warmup=mask_warmup))
    rates = Hparams(learning_rate=np.array([1e-2, np.inf]))
    keys = run_keys(0, np.arange(2))
    fitted = fit(job.task, keys, rates, job.train, epochs=1, evals=job.evals, progress=False, devices=1)
    counted = lagged.ruled() if mask_warmup else ALL
    for part, (x, y) in (("train", TRAIN), ("test", TEST)):
        said = outputs_of(fitted, x)
        assert said.shape == (2, 8, 100, 2) and np.isnan(said[1]).all()
        errors = squared_errors(said[0], y, counted)
        found = [fitted.metrics[f"{part}_mse_{k}"] for k in (1, 2)]
        np.testing.assert_allclose(np.stack(found)[:, 0], errors, rtol=1e-5)
        np.testing.assert_allclose(fitted.metrics[f"{part}_mse"][0], errors.mean(), rtol=1e-5)
        np.testing.assert_allclose(fitted.metrics[f"{part}_loss"][0], errors.sum(), rtol=1e-5)
        assert np.isnan(np.stack(found)[:, 1]).all()


def test_double_precision_trains_on_the_numbers_as_they_are():
    assert study(Settings()).evals["train"][1].dtype == np.float32
    with jax.enable_x64(True):
        np.testing.assert_array_equal(study(Settings()).evals["train"][1], TRAIN.y)


TINY = ("--seeds", "2", "--steps", "40", "--every", "20", "--learning-rate", "0.05", "--devices", "1")


def test_a_run_leaves_its_errors_beside_those_that_are_known(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    out = tmp_path / "run"
    assert command("lagged_regression", Settings, main, [*TINY, "--out", str(out)]) == 0
    result = json.loads((out / "result.json").read_text())
    assert {path.name for path in out.glob("*.png")} == {
        "learning_curves.png", "prediction_y1.png", "prediction_y2.png", "truth_y1.png", "truth_y2.png",
    }  # fmt: skip
    assert result["parameters"] == 62
    assert result["dataset"]["train"] == result["dataset"]["test"] == 8
    names = {f"{part}_{kind}" for part in ("train", "test") for kind in ("loss", "mse", "mse_1", "mse_2")}
    assert set(result["metrics"]) == names | {"input_sum", "output_sum"}
    floor = next(row for row in result["reference"] if row["metric"] == "train_mse")
    assert floor["what"] == "noise floor" and floor["value"] == pytest.approx(0.0102261390)
    assert set(result["answers"]) == {"N3", "N4"}
    assert "1181.8914220357" in result["answers"]["N3"] and "6659.9274405394" in result["answers"]["N3"]
    assert "8 values of y1 and 24 of y2" in result["answers"]["N3"]
    assert median_range(result["metrics"]["train_mse"]["runs"]) in result["answers"]["N4"]
    said = capsys.readouterr().out
    assert "8 examples to train on, 8 for test" in said and "noise floor" in said and "prediction_y2.png" in said


@pytest.mark.parametrize(
    "options, words",
    [
        (["--hidden", "0"], "--hidden must be at least 1"),
        (["--learning-rate", "0"], "--learning-rate and --clip-norm must be above 0"),
        (["--every", "7"], "--every must divide the 10000 --steps"),
    ],
)
def test_settings_that_make_no_sense_are_one_line_and_2(tmp_path, capsys, options, words):
    assert command("lagged_regression", Settings, main, [*options, "--out", str(tmp_path / "run")]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and words in said


def test_the_middle_run_is_one_that_came_through():
    assert middle_run([3.0, np.nan, 1.0, 2.0, 9.0]) == 3
    assert middle_run([5.0, 4.0]) == 1


@pytest.mark.slow
def test_eight_networks_come_below_the_bar(tmp_path):
    result = main("lagged_regression", Settings(out=tmp_path / "run"))
    assert np.median(result["metrics"]["train_mse"]["runs"]) <= 0.7
    assert np.median(result["metrics"]["test_mse"]["runs"]) <= 0.7
    floor = next(row for row in result["reference"] if row["metric"] == "train_mse_1")["value"]
    assert min(result["metrics"]["train_mse_1"]["runs"]) <= 3 * floor
