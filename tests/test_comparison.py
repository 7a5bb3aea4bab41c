"""Studies side by side: each is the run it would be alone, the table is theirs, and a stopped comparison goes on."""

import contextlib
import csv
import json
from dataclasses import dataclass, replace

import pytest

from jaxrnn import runfolder, study
from jaxrnn.command import Stopped
from jaxrnn.comparison import Finding, Part, compare, percent
from jaxrnn.errors import CheckpointError
from runs import bits, files
from test_study import Settings, waves

PRINTED = runfolder.Reference(what="a paper", metric="test_accuracy", value=0.625)


@dataclass(frozen=True, kw_only=True)
class Both(Settings):
    """Two tiny classifiers."""


def parts(settings):
    faster = replace(settings, learning_rate=3 * settings.learning_rate)
    return {
        "slow": Part("Slow one", "waves", settings, waves(settings)),
        "fast": Part("Fast one", "both/fast", faster, waves(faster, reference=[PRINTED])),
    }


def find(outcomes, out):
    (out / "seen.txt").write_text(" ".join(outcomes))
    return Finding({"gap": [1.0, 2.0]}, {"T0": "seen"})


def run(out, **settings):
    settings = Both(out=out, seeds=2, epochs=3, **settings)
    return compare("both", settings, parts(settings), find)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    out = tmp_path_factory.mktemp("whole") / "run"
    run(out)
    return out


def test_every_part_is_the_run_it_would_be_alone(whole, tmp_path):
    settings = Both(out=tmp_path / "alone", seeds=2, epochs=3)
    study.conduct("waves", settings, waves(settings))
    assert bits(whole / "slow") == bits(tmp_path / "alone")


def test_the_folder_holds_the_table_the_figures_and_the_parts(whole):
    assert files(whole) == {
        "config.json", "result.json", "comparison.csv", "accuracy.png", "curves.png", "seen.txt", "slow", "fast",
    }  # fmt: skip
    result = json.loads((whole / "result.json").read_text())
    own = {key: json.loads((whole / key / "result.json").read_text()) for key in ("slow", "fast")}
    assert result["experiment"] == "both" and result["finished"] is True and result["dataset"]["name"] == "waves"
    assert result["parameters"] == sum(part["parameters"] for part in own.values())
    assert result["answers"] == {"T0": "seen"} and result["metrics"]["gap"]["runs"] == [1.0, 2.0]
    for key, part in own.items():
        assert {"test_accuracy", "test_loss", "train_loss"} < part["metrics"].keys() and result["parts"][key] == part[
            "config"
        ]
        for metric, values in part["metrics"].items():
            assert result["metrics"][f"{key}_{metric}"] == values
        assert result["metrics"][f"{key}_parameters"]["mean"] == part["parameters"]
        assert result["metrics"][f"{key}_seconds_per_epoch"]["mean"] > 0
    assert result["seconds"]["total"] >= sum(part["seconds"]["total"] for part in own.values())
    with open(whole / "comparison.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["model"] for row in rows] == ["Slow one", "Fast one"]
    for row in rows:
        accuracy = own[row["key"]]["metrics"]["test_accuracy"]
        assert float(row["mean"]) == accuracy["mean"]
        assert float(row["half_width"]) == runfolder.half_width(accuracy["runs"])
    assert [row["printed"] for row in rows] == ["", "0.625"]
    assert result["reference"] == [PRINTED | {"metric": "fast_test_accuracy"}]


def test_stopped_in_the_second_part_it_goes_on_to_the_same_bits(whole, tmp_path, monkeypatch):
    calls = []

    @contextlib.contextmanager
    def in_the_second_part():
        calls.append(None)
        yield lambda: len(calls) == 2

    with monkeypatch.context() as patch, pytest.raises(Stopped, match="0 of 3 epochs and 0 steps are saved in .*fast"):
        patch.setattr(study, "stop_requests", in_the_second_part)
        run(tmp_path / "run")
    assert (tmp_path / "run" / "slow" / "result.json").exists()
    assert not (tmp_path / "run" / "result.json").exists()
    run(tmp_path / "run", resume=True)
    for part in ("slow", "fast"):
        assert bits(tmp_path / "run" / part) == bits(whole / part)


def test_what_cannot_be_resumed_is_said_and_left_alone(whole, tmp_path):
    with pytest.raises(CheckpointError, match="nothing to resume"):
        run(tmp_path / "nowhere", resume=True)
    assert not (tmp_path / "nowhere").exists()
    before = (whole / "config.json").read_bytes()
    with pytest.raises(CheckpointError, match="the both in .* has other settings: learning_rate was 0.01 and is 0.5"):
        run(whole, resume=True, learning_rate=0.5)
    assert (whole / "config.json").read_bytes() == before


def test_starting_over_keeps_the_earlier_comparison(tmp_path):
    run(tmp_path / "run")
    before = (tmp_path / "run" / "result.json").read_bytes()
    run(tmp_path / "run")
    assert (tmp_path / "run.1" / "result.json").read_bytes() == before


def test_accuracies_in_words():
    assert percent([0.98, 0.99]) == "98.50 ± 6.35 %"
    assert percent([0.5]) == "50.00 %" and percent([0.5, None]) == "50.00 %"
    assert percent([None]) == "not finite"
