"""Sweeps: every run is the run alone, bit for bit the same at the same width, however it is chunked, killed, shared or
accompanied."""

import contextlib
import csv
import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np
import optax
import pytest

from campaign.programs import PATIENCE
from jaxrnn import runfolder, sweeps, train
from jaxrnn.command import EpochSettings, Stopped
from jaxrnn.data import Dataset
from jaxrnn.errors import CheckpointError, DataError, SettingsError, UserError
from jaxrnn.layers import stack
from jaxrnn.models import Classifier
from jaxrnn.study import Experiment, Study, hparams_of, run_keys
from jaxrnn.sweeps import Finding, SweepSettings, conduct, plan, training
from jaxrnn.sweeps.grid import combinations
from jaxrnn.train import Stream, Task, Trainer, Watch, cross_entropy, memory_per_run, width

ROOT = Path(__file__).parents[1]

RNG = np.random.default_rng(0)
DATA = Dataset(
    "waves", "made for this test", RNG.normal(size=(64, 4, 3)), RNG.integers(0, 3, 64, np.int32),
    RNG.normal(size=(20, 4, 3)), RNG.integers(0, 3, 20, np.int32), 3,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class WaveSettings(EpochSettings):
    """A tiny classifier."""

    learning_rate: float = 1e-2
    """Learning rate."""
    clip_norm: float = float("inf")
    """Clip."""
    hidden: int = 5
    """Units."""
    early: bool = False
    """Stop early."""


def waves(settings, data=None):
    def make_model(rngs, hparams):
        layers = stack("elman", 3, [settings.hidden], init="pytorch", rngs=rngs)
        return Classifier(layers, 3, init="pytorch", rngs=rngs)

    return Study(
        task=Task(make_model, cross_entropy, lambda h: optax.adam(h.learning_rate), 16),
        hparams=hparams_of(settings),
        dataset=DATA,
        train=(DATA.x_train, DATA.y_train),
        evals={"test": (DATA.x_test, DATA.y_test)},
        watch=Watch("test_loss", 2) if settings.early else None,
        answers=lambda fitted, parameters: {},
    )


WAVES = Experiment("waves", WaveSettings, waves)


@dataclass(frozen=True, kw_only=True)
class Settings(SweepSettings, EpochSettings):
    """A sweep of waves."""

    epochs: int = 5
    seeds: int = 4


RATES = combinations({"learning_rate": [1e-3, 1e-2, 1e-1]})


def sweep(out, points=RATES, find=lambda swept, out: Finding(), **changes):
    return conduct("waves_sweep", Settings(out=out, **changes), WAVES, points, find)


def swept(out, points=RATES, **changes):
    """The sweep as what it came to."""
    found = []

    def keep(swept, out):
        found.append(swept)
        return Finding()

    sweep(out, points, find=keep, **changes)
    return found[0]


def weights(swept, point):
    return [np.asarray(leaf) for leaf in jax.tree.leaves(swept.models(point))]


def assert_same_runs(swept, other, points=None):
    """The same bits in all of these points' runs, weights and numbers, apart from seconds."""
    for point in range(len(swept.points)) if points is None else points:
        for mine, theirs in zip(weights(swept, point), weights(other, point), strict=True):
            np.testing.assert_array_equal(mine, theirs)
    for rows, others in ((swept.rows, other.rows), (swept.history, other.history)):
        np.testing.assert_equal(comparable(rows, swept, points), comparable(others, other, points))


def comparable(rows, swept, points):
    rows = [row for row in rows if points is None or row["run"] // swept.seeds in points]
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Twelve runs, three learning rates x four seeds, in chunks of two side by side, on two devices."""
    return swept(tmp_path_factory.mktemp("whole") / "run", width=2)


@pytest.mark.parametrize("double, tolerance", [pytest.param(False, 1e-5, marks=pytest.mark.slow), (True, 1e-9)])
def test_each_of_twelve_runs_is_the_run_alone(double, tolerance, tmp_path):
    with jax.enable_x64(double):
        together = swept(tmp_path / "run", width=2)  # 5 epochs of 4 steps: 20 steps
        one = waves(WaveSettings())
        trainer = Trainer(one.task, 1, one.hparams, one.train)
        for point, settings in enumerate(RATES):
            models = together.models(point)
            for seed, key in enumerate(run_keys(0, np.arange(4))):
                alone = trainer(key, hparams_of(WaveSettings(**settings)), epochs=5).progress.runs.model
                for leaf, mine in zip(jax.tree.leaves(alone), jax.tree.leaves(models), strict=True):
                    assert leaf.dtype == (np.float64 if double else np.float32)
                    np.testing.assert_allclose(mine[seed], leaf, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("devices", [1, 2])
def test_however_chunked_the_bits_are_the_same(whole, devices, tmp_path):
    assert_same_runs(swept(tmp_path / "run", width=2, devices=devices), whole)


def test_padding_changes_no_bit(whole, tmp_path):
    fewer = swept(tmp_path / "run", RATES[:1], width=2, seeds=3)
    assert [len(fewer.chunks[run].runs) for run in range(3)] == [2, 2, 1]
    for mine, theirs in zip(weights(fewer, 0), weights(whole, 0), strict=True):
        np.testing.assert_array_equal(mine, theirs[:3])


def test_runs_of_other_shapes_are_programs_of_their_own(whole, tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr(train, "Programs", counting(train.Programs, made))
    points = combinations({"learning_rate": [1e-2, 1e-1], "hidden": [4, 5]})
    both = swept(tmp_path / "run", points, width=2)
    assert (
        len(both.groups) == 2
        and len(made) <= 2 * jax.local_device_count()
        and [group.points for group in both.groups] == [[0, 2], [1, 3]]
    )
    for mine, theirs in ((1, 1), (3, 2)):
        for leaf, other in zip(weights(both, mine), weights(whole, theirs), strict=True):
            np.testing.assert_array_equal(leaf, other)


def counting(kind, made):
    def make(*args, **options):
        made.append(kind(*args, **options))
        return made[-1]

    return make


def test_a_run_that_diverges_is_marked_and_its_neighbours_are_untouched(whole, tmp_path):
    points = [*RATES[:2], {"learning_rate": float("inf")}]
    with_one = swept(tmp_path / "run", points, width=2)
    assert_same_runs(with_one, whole, points=[0, 1])
    lost = [row for row in with_one.rows if row["point"] == 2]
    assert {row["status"] for row in lost} == {"diverged at step 0"} and all(np.isnan(row["test_loss"]) for row in lost)
    assert with_one.ranking()[-1] == 2 and np.isnan(with_one.values(2)).all()
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["metrics"]["runs"]["mean"] == 8 and result["finished"] is True


def test_neighbours_side_by_side_of_a_nan(tmp_path):
    """In one vmapped program."""
    rates = [{"learning_rate": rate} for rate in (1e-2, float("inf"), 1e-1, 1e-3)]
    good = [{"learning_rate": rate} for rate in (1e-2, 1e-2, 1e-1, 1e-3)]
    bad, good = (swept(tmp_path / name, points, width=4, seeds=1) for name, points in (("bad", rates), ("good", good)))
    assert_same_runs(bad, good, [0, 2, 3])


def test_no_run_left_is_an_error_that_says_where(tmp_path):
    with pytest.raises(UserError, match=r"no run kept a finite loss: see .*sweep.csv; lower --learning-rate"):
        sweep(tmp_path / "run", [{"learning_rate": float("inf")}], seeds=1)


@contextlib.contextmanager
def stopping_at(look):
    """As many looks at the signals as are given, and then one that says stop."""
    looks = iter(range(10_000))
    yield lambda: next(looks) == look


@pytest.mark.parametrize("look", [pytest.param(0, marks=pytest.mark.slow), 7, pytest.param(30, marks=pytest.mark.slow)])
def test_stopped_anywhere_and_resumed_is_uninterrupted(whole, look, tmp_path, monkeypatch):
    monkeypatch.setattr(train, "SEGMENT_SECONDS", 0.0)  # a step between two looks
    with monkeypatch.context() as patch, pytest.raises(Stopped, match=r"saved in .*run"):
        patch.setattr(sweeps, "stop_requests", lambda: stopping_at(look))
        sweep(tmp_path / "run", width=2)
    assert not (tmp_path / "run" / "result.json").exists()
    assert_same_runs(swept(tmp_path / "run", width=2, resume=True), whole)


def test_what_is_finished_is_not_trained_again(whole, tmp_path, monkeypatch):
    sweep(tmp_path / "run", width=2)
    monkeypatch.setattr(sweeps.training, "_train_chunk", None)
    assert_same_runs(swept(tmp_path / "run", width=2, resume=True), whole)


def test_resumed_by_another_sweep_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="nothing to resume in"):
        sweep(tmp_path / "run", resume=True)
    sweep(tmp_path / "run", RATES[:1], seeds=1, epochs=1)
    with pytest.raises(CheckpointError, match="other settings: points was .* and is"):
        sweep(tmp_path / "run", RATES[1:2], seeds=1, epochs=1, resume=True)
    with pytest.raises(CheckpointError, match="other settings: seeds was 1 and is 2"):
        sweep(tmp_path / "run", RATES[:1], seeds=2, epochs=1, resume=True)


def test_a_new_sweep_sets_the_earlier_one_aside(tmp_path, capsys):
    for _ in range(2):
        sweep(tmp_path / "run", RATES[:1], seeds=1, epochs=1)
    assert (tmp_path / "run.1" / "sweep.csv").exists()


def test_halving_keeps_the_better_half_and_its_bits(tmp_path):
    rates = [{"learning_rate": rate} for rate in (1e-1, 1e-5, 1e-2, 1e-4, 1e-3)]
    # three side by side, two of a point: runs that go on and runs that are left were trained together
    halved = swept(tmp_path / "halved", rates, width=3, seeds=2, epochs=8, halvings=2, metric="test_loss")
    plain = swept(tmp_path / "plain", rates, width=3, seeds=2, epochs=8, metric="test_loss")
    at = [{point: plain.curves(point, "test_loss")[epoch] for point in range(5)} for epoch in (2, 4)]
    first = sorted(at[0], key=lambda point: np.mean(at[0][point]))[:3]
    second = sorted(first, key=lambda point: np.mean(at[1][point]))[:2]
    epochs = {point: 8 if point in second else 4 if point in first else 2 for point in range(5)}
    assert {row["point"]: row["epochs"] for row in halved.rows} == epochs
    assert all(
        row["status"] == ("finished" if row["point"] in second else f"halved after epoch {epochs[row['point']]}")
        for row in halved.rows
    )
    assert_same_runs(halved, plain, points=second)
    assert [row["run"] for row in halved.rows] == list(range(10))
    assert [(row["run"], row["epoch"]) for row in halved.history] == [
        (run, epoch + 1) for run in range(10) for epoch in range(epochs[run // 2])
    ]
    for point in first:  # left at the second rung: the weights are those of that epoch
        assert len(weights(halved, point)[0]) == 2


def test_early_stopping_reports_the_best_and_the_last(tmp_path):
    found = swept(tmp_path / "run", [{"learning_rate": 0.3, "early": True}], seeds=2, epochs=40)
    for row in found.rows:
        losses = [line["test_loss"] for line in found.history if line["run"] == row["run"]]
        assert row["status"] == "stopped early" and len(losses) == row["epochs"] < 40
        assert row["test_loss"] == pytest.approx(min(losses), rel=1e-5) and row["last_test_loss"] == losses[-1]
    assert np.isfinite(found.values(0)).all()


def test_the_folder_says_what_was_trained(whole, tmp_path):
    out = tmp_path / "run"
    sweep(out, width=2)
    with open(out / "sweep.csv") as file:
        rows = list(csv.DictReader(file))
    assert [(int(row["run"]), float(row["learning_rate"]), int(row["seed"])) for row in rows] == [
        (4 * place + seed, point["learning_rate"], seed) for place, point in enumerate(RATES) for seed in range(4)
    ]
    for row, mine in zip(rows, whole.rows, strict=True):
        assert float(row["test_loss"]) == mine["test_loss"] and row["status"] == "finished"
    result = json.loads((out / "result.json").read_text())
    assert result["metrics"]["runs"] == {"mean": 12, "std": 0.0, "runs": [12]}
    (program,) = result["programs"]
    assert program["width"] == 2 and program["points"] == [0, 1, 2] and program["bytes_on_a_device"] > 0


# --- what is refused -------------------------------------------------------------------------------------------------


def test_more_runs_than_there_is_memory_for(tmp_path, monkeypatch):
    one = waves(WaveSettings())
    each = memory_per_run(one.task, one.hparams, one.train)
    with pytest.raises(SettingsError, match=r"too many runs for the memory: 1000000000 at once .* lower --width"):
        sweep(tmp_path / "run", width=10**9)
    monkeypatch.setattr(plan, "free_memory", lambda: 5 * each)
    narrow = plan.groups_of(WAVES, Settings(), RATES)[0]
    assert narrow.width == 1  # it would be 6 with memory enough
    monkeypatch.setattr(plan, "free_memory", lambda: each // 2)
    with pytest.raises(SettingsError, match="too many runs for the memory: 1 at once .* lower --devices"):
        sweep(tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"points": []}, "nothing to sweep"),
        ({"seeds": 0}, "--seeds must be at least 1"),
        ({"width": -1}, "--width must be at least 0"),
        ({"halvings": 3}, "--halvings 3 needs at least 8 epochs"),
        (
            {"metric": "beauty"},
            "--metric: there is no 'beauty' for all settings; there are test_accuracy, test_error, test_loss",
        ),
        ({"devices": 999}, "--devices: devices must lie between 1 and the"),
        ({"coordinator": "localhost:1"}, "--coordinator HOST:PORT, --processes N and --process I are given together"),
        ({"processes": 2}, "are given together"),
        ({"coordinator": "localhost:1", "processes": 2, "process": 2}, "--process must lie between 0 and 1, not 2"),
    ],
)
def test_settings_that_make_no_sense(tmp_path, changes, message):
    with pytest.raises(SettingsError, match=message):
        sweep(tmp_path / "run", **changes)
    assert not (tmp_path / "run").exists()


# --- in the shapes that train.py has ---------------------------------------------------------------------------------


def test_the_width_is_smaller_for_larger_runs():
    widths = [width(parameters, 128) for parameters in (10, 1_000, 4_000, 20_000, 1_000_000)]
    assert widths == sorted(widths, reverse=True) and widths[0] == 16 and widths[-1] == 1
    assert all(count & (count - 1) == 0 for count in widths)


def test_a_run_needs_as_much_memory_whichever_floats_its_data_came_in():
    study = waves(WaveSettings())
    x, y = study.train
    each = [memory_per_run(study.task, study.hparams, (x.astype(dtype), y)) for dtype in (np.float32, np.float64)]
    assert each[0] == each[1]


def test_memory_is_estimated_to_a_factor_of_two():
    """Against what the compiler says, for a run large enough that the fixed part of a program does not count."""

    def make_model(rngs, hparams):
        return Classifier(stack("lstm", 10, [64], init="pytorch", rngs=rngs), 10, init="pytorch", rngs=rngs)

    def draw(key, n):
        return jax.random.normal(key, (n, 20, 10)), jax.random.randint(key, (n,), 0, 10)

    task = Task(make_model, cross_entropy, lambda h: optax.adam(h.learning_rate), 128)
    hparams = train.Hparams()
    trainer = Trainer(task, 1, hparams, Stream(draw, 5), devices=1)
    assert 0.5 < memory_per_run(task, hparams, Stream(draw, 5)) / trainer.bytes < 2


# --- processes that end in the middle, and several of them ------------------------------------------------------------

PROGRAM = """
import sys
from jaxrnn import study
from jaxrnn.command import command
from jaxrnn.sweeps import training
sys.path.insert(0, "tests")
import test_sweeps
training.SAVE_SECONDS = 0.0
def main(name, settings):
    test_sweeps.conduct(name, settings, test_sweeps.WAVES, test_sweeps.RATES,
                        lambda swept, out: test_sweeps.Finding())
sys.exit(command("waves_sweep", test_sweeps.Settings, main))
"""


def program(out, *options, **variables):
    words = [sys.executable, "-c", PROGRAM, "--out", str(out), "--width", "2", *map(str, options)]
    environment = os.environ | {"JAX_PLATFORMS": "cpu"} | variables
    return subprocess.Popen(words, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_kill_minus_9_and_resume_gives_the_same_bits(whole, tmp_path):
    out = tmp_path / "run"
    with program(out) as process:
        while not list(out.glob("chunks/*/shard.json")):  # the first chunk of six is done
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert not (out / "result.json").exists()
    assert_same_runs(swept(out, width=2, resume=True), whole)


def by_options(out):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    common = ("--coordinator", f"localhost:{port}", "--processes", 2)
    return [program(out, *common, "--process", index) for index in range(2)]


def by_the_cluster(out):
    """As Slurm starts two processes on one machine."""
    common = {"SLURM_JOB_ID": str(os.getpid()), "SLURM_STEP_NODELIST": "localhost", "SLURM_NTASKS": "2"}
    numbers = [{"SLURM_PROCID": str(index), "SLURM_LOCALID": str(index)} for index in range(2)]
    return [program(out, "--coordinator", "auto", **common, **number) for number in numbers]


@pytest.mark.parametrize("start", [by_options, pytest.param(by_the_cluster, marks=pytest.mark.slow)])
def test_two_processes_share_a_sweep(whole, start, tmp_path):
    out = tmp_path / "run"
    for process in start(out):
        said, err = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, err
    assert "of 2 has done its share" in said  # the second one's
    assert len(list(out.glob("chunks/*/shard.json"))) == 6 and (out / "result.json").exists()
    assert_same_runs(swept(out, width=2, resume=True), whole)


@pytest.mark.parametrize("victim", [1, pytest.param(0, marks=pytest.mark.slow)])
def test_one_of_two_processes_dies_and_the_other_finishes_its_share_and_says_what_is_missing(whole, victim, tmp_path):
    out = tmp_path / "run"
    processes = by_options(out)
    while not list(out.glob("chunks/*")):  # they have met, and go their own ways
        assert all(process.poll() is None for process in processes), processes[victim].communicate()
        time.sleep(0.01)
    processes[victim].kill()
    processes[victim].communicate()
    _, err = processes[1 - victim].communicate(timeout=PATIENCE)
    assert processes[1 - victim].returncode == 2 and "Traceback" not in err
    assert f"process {victim} has ended before all was done" in err and "go on with --resume" in err
    done = {path: path.stat().st_mtime_ns for path in out.glob("chunks/*/shard.json")}
    assert len(done) == 3 and not (out / "result.json").exists()
    assert_same_runs(swept(out, width=2, resume=True), whole)
    assert {path: path.stat().st_mtime_ns for path in done} == done


def test_a_folder_that_process_0_cannot_open_is_no_other_s_either(tmp_path):
    with runfolder.holding():
        runfolder.opened(tmp_path / "run")
        for index, process in enumerate(by_options(tmp_path / "run")):
            _, err = process.communicate(timeout=PATIENCE)
            assert process.returncode == 2 and "another process is at work in" in err and "Traceback" not in err
            assert ("process 0 could not open" in err) == (index == 1)
    assert {path.name for path in (tmp_path / "run").iterdir()} == {".lock"}


def test_time_is_counted_once_where_chunks_train_at_the_same_time():
    records = [{"worked": [[0.0, 4.0], [10.0, 12.0]]}, {"worked": [[1.0, 6.0]]}, {"worked": [[11.0, 11.5]]}]
    assert sweeps.training.seconds_worked(records) == 8.0


def a_shard(folder):
    entry = {"diverged_at": None, "stopped_early": False, "epochs": 1, "metrics": {"test_loss": 0.5}, "seconds": 1.0}
    record = {
        "runs": [{"run": 4, **entry}], "history": [{"run": 4, "epoch": 1, "test_loss": None}], "memory": 1,
        "worked": [[1.0, 2.0]], "seconds": {"compile": 1.0, "train": 1.0},
    }  # fmt: skip
    return plan.Chunk(0, [4], folder), record


@pytest.mark.parametrize(
    "odd",
    [
        {"runs": []},
        {"runs": [{"run": 4}]},
        {"history": [{"run": 5, "epoch": 1}]},
        {"history": [{"run": 4}]},
        {"history": [{"run": 4, "epoch": 1, "test_loss": "0.5"}]},
        {"worked": [[1.0]]},
        {"seconds": {}},
        {"memory": None},
    ],
)
def test_a_damaged_shard_is_refused(tmp_path, odd):
    chunk, record = a_shard(tmp_path)
    chunk.shard.write_text(json.dumps(record))
    assert training._read(chunk) == record
    chunk.shard.write_text(json.dumps(record | odd))
    with pytest.raises(DataError, match=r"shard\.json is not"):
        training._read(chunk)
