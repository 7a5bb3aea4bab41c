"""A training experiment from start to result: what it leaves, how it goes on, and what it refuses."""

import contextlib
import csv
import json
import shutil
from dataclasses import dataclass

import jax
import numpy as np
import optax
import pytest

from jaxrnn import checkpoint, study, train
from jaxrnn.command import EpochSettings, Stopped
from jaxrnn.data import Dataset
from jaxrnn.errors import CheckpointError, DataError, SettingsError, UserError
from jaxrnn.layers import stack
from jaxrnn.models import Classifier
from jaxrnn.study import Study, conduct
from jaxrnn.train import Hparams, Task, Watch, cross_entropy
from runs import bits, contents, files

RNG = np.random.default_rng(0)
DATA = Dataset(
    "waves", "made for this test", RNG.normal(size=(90, 4, 3)).astype(np.float32), RNG.integers(0, 3, 90, np.int32),
    RNG.normal(size=(20, 4, 3)).astype(np.float32), RNG.integers(0, 3, 20, np.int32), 3,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Settings(EpochSettings):
    """A tiny classifier."""

    learning_rate: float = 1e-2
    """Learning rate."""


def make_model(rngs, hparams):
    return Classifier(stack("elman", 3, [5], init="pytorch", rngs=rngs), 3, init="pytorch", rngs=rngs)


def waves(settings, **changes):
    return Study(**{
        "task": Task(make_model, cross_entropy, lambda h: optax.adam(h.learning_rate), 32),
        "hparams": Hparams(learning_rate=settings.learning_rate),
        "dataset": DATA,
        "train": (DATA.x_train, DATA.y_train),
        "evals": {"test": (DATA.x_test, DATA.y_test)},
        "answers": lambda fitted, parameters: {"T0": f"{parameters} parameters"},
    } | changes)  # fmt: skip


def run(out, name="waves", study_of=waves, **settings):
    settings = Settings(out=out, **settings)
    return conduct(name, settings, study_of(settings))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The uninterrupted run of two seeds and six epochs."""
    out = tmp_path_factory.mktemp("whole") / "run"
    run(out, seeds=2, epochs=6)
    return out


def test_a_run_leaves_its_folder_whole(whole, capsys):
    assert files(whole) == {
        "config.json", "history.csv", "result.json", "learning_curves.png", "checkpoint",
    }  # fmt: skip
    result = json.loads((whole / "result.json").read_text())
    assert result["experiment"] == "waves" and result["finished"] is True
    assert result["dataset"] == {"name": "waves", "source": "made for this test", "train": 90, "test": 20}
    assert result["parameters"] == 3 * 5 + 5 * 5 + 5 + 5 + 5 * 3 + 3
    assert result["answers"] == {"T0": f"{result['parameters']} parameters"}
    assert result["config"] == json.loads((whole / "config.json").read_text())
    assert set(result["seconds"]) == {"total", "compile", "train"} and min(result["seconds"].values()) > 0
    with open(whole / "history.csv") as file:
        history = list(csv.DictReader(file))
    assert [(int(row["epoch"]), int(row["run"])) for row in history] == [(e, r) for e in range(1, 7) for r in (0, 1)]
    for metric in ("test_accuracy", "test_error", "test_loss", "train_loss", "train_accuracy"):
        runs = [float(row[metric]) for row in history[-2:]]
        assert result["metrics"][metric]["runs"] == pytest.approx(runs, rel=1e-6)
        assert result["metrics"][metric]["mean"] == pytest.approx(np.mean(runs), rel=1e-6)
        assert result["metrics"][metric]["std"] == pytest.approx(np.std(runs, ddof=1), rel=1e-6)


@pytest.mark.parametrize("seeds, networks", [(1, "1 network learns"), (2, "2 networks learn")])
def test_the_learning_curves_say_what_they_show(tmp_path, monkeypatch, seeds, networks):
    titles, draw = [], study.plots.learning_curves

    def drawn(history, title, *rest, **options):
        titles.append(title)
        return draw(history, title, *rest, **options)

    monkeypatch.setattr(study.plots, "learning_curves", drawn)
    run(tmp_path / "run", seeds=seeds, epochs=1)
    assert titles == [f"waves: {networks} from 90 examples (waves)"]


def test_it_says_what_it_trains_and_what_came_out(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    run(tmp_path / "run", epochs=1)
    said = capsys.readouterr().out
    for words in ("ElmanCell (3 -> 5, 5 -> 5)", "tanh", "identity (softmax in the loss)", "90 examples to train on"):
        assert words in said
    assert "20 for test" in said and "test_accuracy" in said and "result.json" in said


def test_run_0_of_several_is_the_run_of_one_seed(whole, tmp_path):
    alone = run(tmp_path / "run", seeds=1, epochs=6)["metrics"]["test_loss"]["runs"]
    together = json.loads((whole / "result.json").read_text())["metrics"]["test_loss"]["runs"]
    assert alone[0] == pytest.approx(together[0], rel=1e-5) and abs(together[0] - together[1]) > 1e-3


def test_longer_is_the_same_run(whole, tmp_path):
    run(tmp_path / "run", seeds=2, epochs=3)
    run(tmp_path / "run", seeds=2, epochs=6, resume=True)
    assert bits(tmp_path / "run") == bits(whole)


def test_a_finished_run_resumed_says_the_same(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "run")
    run(tmp_path / "run", seeds=2, epochs=6, resume=True)
    assert bits(tmp_path / "run") == bits(whole)


def test_stopped_before_the_first_save_starts_from_the_beginning(whole, tmp_path):
    (tmp_path / "run").mkdir()
    shutil.copy(whole / "config.json", tmp_path / "run")
    run(tmp_path / "run", seeds=2, epochs=6, resume=True)
    assert bits(tmp_path / "run") == bits(whole)


def test_another_experiment_s_folder_is_not_resumed_in(tmp_path):
    """It has no checkpoint, as a run that was stopped early has none, and would be written over."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text('{"quick": true, "digits": 8}')
    (tmp_path / "run" / "result.json").write_text("{}")
    before = contents(tmp_path / "run")
    with pytest.raises(CheckpointError, match="digits was 8 and is None"):
        run(tmp_path / "run", seeds=2, epochs=6, resume=True)
    assert contents(tmp_path / "run") | before == contents(tmp_path / "run")


def test_starting_over_keeps_the_earlier_run(tmp_path, capsys):
    run(tmp_path / "run", epochs=1)
    before = {path.name: data for path, data in contents(tmp_path / "run").items()}
    run(tmp_path / "run", epochs=1, learning_rate=0.5)
    assert {path.name: data for path, data in contents(tmp_path / "run.1").items()} == before
    assert "run.1" in capsys.readouterr().out.replace("\n", "")


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"learning_rate": 0.5}, "other settings: learning_rate was 0.01 and is 0.5"),
        ({"seeds": 3}, "other settings: seeds was 2 and is 3"),
        ({"name": "ripples"}, "is one of waves, not of ripples"),
        ({"study_of": lambda s: waves(s, train=(DATA.x_train + 1, DATA.y_train))}, "was trained on other data"),
        ({"study_of": lambda s: waves(s, same_epochs=True), "epochs": 7}, "epochs was None and is 7"),
    ],
)
def test_another_run_s_checkpoint_is_refused_and_left_alone(whole, changes, message):
    before = contents(whole)
    with pytest.raises(CheckpointError, match=message):
        run(whole, **{"seeds": 2, "epochs": 6, "resume": True} | changes)
    assert contents(whole) == before


def test_a_damaged_checkpoint_is_refused_and_left_alone(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "run")
    largest = max((tmp_path / "run" / "checkpoint").rglob("*"), key=lambda path: path.stat().st_size)
    data = bytearray(largest.read_bytes())
    data[len(data) // 2] ^= 1
    largest.write_bytes(data)
    before = contents(tmp_path / "run")
    with pytest.raises(CheckpointError, match="damaged"):
        run(tmp_path / "run", seeds=2, epochs=6, resume=True)
    assert contents(tmp_path / "run") == before


def test_nothing_to_resume_is_an_error_that_writes_nothing(tmp_path):
    with pytest.raises(CheckpointError, match="nothing to resume"):
        run(tmp_path / "run", resume=True)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("option", ["seeds", "epochs"])
def test_counts_must_be_positive(tmp_path, option):
    with pytest.raises(SettingsError, match=f"--{option} must be at least 1, not 0"):
        run(tmp_path / "run", **{option: 0})


def test_too_many_devices_are_an_error(tmp_path):
    with pytest.raises(SettingsError, match=f"--devices: .* the {jax.device_count()} there are, not 999"):
        run(tmp_path / "run", devices=999)


def test_a_folder_below_a_file_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="cannot write into the folder"):
        run(tmp_path / "file" / "run")


def test_all_runs_failed_is_an_error_with_the_step(tmp_path):
    with pytest.raises(UserError, match="no run kept a finite loss .* at step 0.*--learning-rate"):
        run(tmp_path / "run", learning_rate=float("inf"), epochs=2)
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["finished"] is False and result["metrics"]["test_loss"]["runs"] == [None]


def test_early_stopping_reports_the_best_weights(tmp_path):
    def watched(settings):
        return waves(settings, watch=Watch("test_loss", 2))

    result = run(tmp_path / "run", study_of=watched, epochs=60, learning_rate=0.3)
    with open(tmp_path / "run" / "history.csv") as file:
        losses = [float(row["test_loss"]) for row in csv.DictReader(file)]
    assert len(losses) < 60
    assert result["metrics"]["test_loss"]["mean"] == pytest.approx(min(losses), rel=1e-5)


def test_a_stop_in_the_middle_of_an_epoch_saves_and_says_where(whole, tmp_path, monkeypatch):
    @contextlib.contextmanager
    def at_the_fifth_look():
        looks = iter(range(100))
        yield lambda: next(looks) == 4

    monkeypatch.setattr(train, "SEGMENT_SECONDS", 0.0)  # a step between two looks
    with monkeypatch.context() as patch, pytest.raises(Stopped, match=r"1 of 6 epochs and 1 steps are saved in .*run"):
        patch.setattr(study, "stop_requests", at_the_fifth_look)
        run(tmp_path / "run", seeds=2, epochs=6)
    assert not (tmp_path / "run" / "result.json").exists()
    run(tmp_path / "run", seeds=2, epochs=6, resume=True)
    assert bits(tmp_path / "run") == bits(whole)


# --- what a checkpoint says that is whole, and not what this version writes

SAID = {
    "experiment": "waves", "config": {"seeds": 1}, "data": "0", "epoch": 1, "step": 1,
    "history": [{"run": 0, "epoch": 1}], "spent": {"train": 1.0}, "seconds": 1.0, "spread": [[1, 1, 1]],
    "shape": [3], "dtype": "float32", "notes": {},
}  # fmt: skip


@pytest.mark.parametrize(
    "odd",
    [
        {"experiment": 3},
        {"config": []},
        {"config": {"seeds": "1"}},
        {"config": {}},
        {"history": [{"run": 0}]},
        {"shape": [None]},
        {"dtype": 4},
        {"notes": None},
        {"epoch": 10**30},
    ],
)
def test_a_checkpoint_that_says_something_else_is_refused(tmp_path, odd):
    checkpoint.save(tmp_path / "checkpoint", {"x": jax.numpy.zeros(2)}, SAID | odd)
    with pytest.raises(CheckpointError, match=f"says no {next(iter(odd))} of its runs"):
        study.trained("waves", tmp_path)


def test_notes_and_shapes_are_those_of_the_command(tmp_path):
    checkpoint.save(tmp_path / "checkpoint", {"x": jax.numpy.zeros(2)}, SAID | {"notes": {"words": [3]}})
    assert study.trained("waves", tmp_path, rank=1)["shape"] == [3]
    for options in ({"rank": 2}, {"notes": dict[str, list[str]]}):
        with pytest.raises(CheckpointError, match="is none that this version trains"):
            study.trained("waves", tmp_path, **options)
    for shape in ([0], [3, -1], [2**20, 2**20]):
        checkpoint.save(tmp_path / "checkpoint", {"x": jax.numpy.zeros(2)}, SAID | {"shape": shape})
        with pytest.raises(CheckpointError, match="is none that this version trains"):
            study.trained("waves", tmp_path)


def test_what_a_broken_checkpoint_says_breaks_no_line(tmp_path):
    checkpoint.save(tmp_path / "checkpoint", {"x": jax.numpy.zeros(2)}, SAID | {"experiment": "a\n\x1b[2J\u2028b"})
    with pytest.raises(CheckpointError) as raised:
        study.trained("waves", tmp_path)
    assert str(raised.value).isprintable() and r"a\n\x1b[2J\u2028b" in str(raised.value)


@pytest.mark.parametrize("config", [{"seeds": 1, "odd": 3}, {"seeds": 0}, {"seeds": 1, "epochs": "x"}, {"epochs": 0.5}])
def test_settings_that_the_command_has_not_are_refused(tmp_path, config):
    with pytest.raises(CheckpointError, match="is none that this version trains"):
        study.settings_of({"config": config}, EpochSettings, tmp_path)
    assert study.settings_of({"config": {"seeds": 2}}, EpochSettings, tmp_path, devices=1).seeds == 2


@pytest.mark.parametrize(
    "odd",
    [
        {"shape": [2**40]},
        {"shape": [-1]},
        {"dtype": "x"},
        {"config": {"seeds": 2**40}},
        {"config": {"seeds": 2, "layers": 2**40}},
    ],
)
def test_shapes_that_no_memory_holds_are_refused(whole, odd):
    meta = study.trained("waves", whole)
    made = waves(Settings())
    with pytest.raises(CheckpointError, match="is none that this version|belongs to another run"):
        study.restore_models(whole, made.task, made.hparams, meta | odd, keep_best=False)


@pytest.mark.parametrize("config", [[], 3, None])
def test_settings_that_are_none_are_no_settings_to_resume_with(tmp_path, config):
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(DataError, match="not what was written there"):
        study.check_same_run("waves", tmp_path, {}, ())
