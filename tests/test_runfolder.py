"""Files are written whole or not at all, an earlier run is never lost, and ``result.json`` is what the design says."""

import errno
import json
import math
import os
import re
import resource
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from importlib import metadata
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from jaxrnn import runfolder
from jaxrnn.errors import CheckpointError, DataError, SettingsError, UserError
from permissions import held_back, reachable_folder

# --- JSON


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.float32(0.5), "0.5"),
        (np.int64(3), "3"),
        (np.bool_(True), "true"),
        (jnp.float32(0.25), "0.25"),
        (jnp.arange(3), "[0, 1, 2]"),
        (np.array([[1.5, np.nan], [np.inf, -np.inf]]), "[[1.5, null], [null, null]]"),
        (np.array([1.5, 2], ml_dtypes.bfloat16), "[1.5, 2.0]"),
        (float("nan"), "null"),
        (("a", Path("b") / "c"), '["a", "b/c"]'),
        ({"a": {"b": [np.float32("inf"), None]}}, '{"a": {"b": [null, null]}}'),
        ("naïve", '"naïve"'),
        (Path("n\udcefve"), '"n\\udcefve"'),  # the file's name is in Latin-1
    ],
)
def test_json_is_strict_and_exact(tmp_path, value, text):
    path = tmp_path / "x.json"
    runfolder.write_json(path, value)
    assert re.sub(r"\s+", "", path.read_text("utf-8")) == text.replace(" ", "")
    assert runfolder.read_json(path) == json.loads(text)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_keep_every_bit(tmp_path_factory, value):
    folder = tmp_path_factory.getbasetemp()
    runfolder.write_json(folder / "x.json", [value])
    runfolder.write_csv(folder / "x.csv", [{"x": value}])
    assert runfolder.read_json(folder / "x.json") == [value]
    assert float((folder / "x.csv").read_text().split()[1]) == value


def test_what_is_no_data_is_refused_before_anything_is_written(tmp_path):
    runfolder.write_json(tmp_path / "x.json", 1)
    with pytest.raises(TypeError):
        runfolder.write_json(tmp_path / "x.json", {"f": print})
    assert runfolder.read_json(tmp_path / "x.json") == 1


@pytest.mark.parametrize(
    "data",
    [b"", b'{"a": 1', b"\xff\xfe\xfa", b"[1] x", b"[" * 100_000, b"[NaN]", b"[-Infinity]", b"[1e999]", b"9" * 5000],
)
def test_broken_json_is_one_line(tmp_path, data):
    (tmp_path / "x.json").write_bytes(data)
    with pytest.raises(DataError, match=r"x\.json is not the JSON that was written there") as raised:
        runfolder.read_json(tmp_path / "x.json")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "data, kind", [(b"[" * 60 + b"]" * 60, Any), (b"[]", dict[str, Any]), (b'{"a": "x"}', dict[str, int])]
)
def test_json_of_another_kind_is_one_line(tmp_path, data, kind):
    (tmp_path / "x.json").write_bytes(data)
    with pytest.raises(DataError, match=r"x\.json is not what was written there; restore it or run again$"):
        runfolder.read_json(tmp_path / "x.json", kind)


def test_missing_json(tmp_path):
    with pytest.raises(DataError, match=r"cannot read .*x\.json: No such file"):
        runfolder.read_json(tmp_path / "x.json")


# --- CSV


def test_csv(tmp_path):
    rows = [
        {"run": 0, "epoch": np.int32(1), "loss": np.float32(0.1), "name": "a,b"},
        {"run": jnp.int32(1), "epoch": 2, "loss": float("nan"), "name": None},
        {"run": 2},
    ]
    runfolder.write_csv(tmp_path / "h.csv", rows)
    expected = 'run,epoch,loss,name\n0,1,0.10000000149011612,"a,b"\n1,2,nan,\n2,,,\n'
    assert (tmp_path / "h.csv").read_bytes() == expected.encode()


def test_csv_of_nothing_and_of_too_much(tmp_path):
    runfolder.write_csv(tmp_path / "h.csv", [])
    assert (tmp_path / "h.csv").read_text() == ""
    with pytest.raises(ValueError, match="'b'"):
        runfolder.write_csv(tmp_path / "h.csv", [{"a": 1}, {"b": 2}])
    assert (tmp_path / "h.csv").read_text() == ""


# --- whole or not at all


def full(*args, **options):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_full_disk_leaves_the_earlier_file_and_nothing_else(tmp_path, monkeypatch, step):
    runfolder.write_json(tmp_path / "x.json", "earlier")
    monkeypatch.setattr(os, step, full)
    with pytest.raises(UserError, match=r"cannot write .*x\.json: No space left on device; .* intact") as raised:
        runfolder.write_json(tmp_path / "x.json", "new")
    assert "\n" not in str(raised.value)
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]
    assert runfolder.read_json(tmp_path / "x.json") == "earlier"


def test_a_write_that_the_system_really_refuses(tmp_path):
    """By a limit on the size of files, which every POSIX system has; half of the file is written by then."""
    runfolder.write_json(tmp_path / "x.json", "earlier")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, before[1]))
    try:
        with pytest.raises(UserError, match=r"cannot write .*x\.json: File too large; .* intact"):
            runfolder.write_json(tmp_path / "x.json", "new" * (1 << 16))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]
    assert runfolder.read_json(tmp_path / "x.json") == "earlier"


class Killed(BaseException):
    pass


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_kill_leaves_the_earlier_file_and_the_next_write_succeeds(tmp_path, step):
    def dies(*args):
        raise Killed

    runfolder.write_json(tmp_path / "x.json", "earlier")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, step, dies)
        patch.setattr(Path, "unlink", lambda *args, **options: None)  # a killed program tidies nothing
        with pytest.raises(Killed):
            runfolder.write_json(tmp_path / "x.json", "new")
    assert runfolder.read_json(tmp_path / "x.json") == "earlier"
    runfolder.write_json(tmp_path / "x.json", "newest")
    assert runfolder.read_json(tmp_path / "x.json") == "newest"
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]


def test_data_is_on_the_disk_before_the_name_points_to_it(tmp_path, monkeypatch):
    deeds = []
    real_fsync, real_replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (deeds.append(("sync", os.fstat(fd).st_size)), real_fsync(fd))[1])
    monkeypatch.setattr(os, "replace", lambda a, b: (deeds.append(("rename", Path(b).name)), real_replace(a, b))[1])
    runfolder.write_bytes(tmp_path / "x", b"12345")
    assert deeds[:2] == [("sync", 5), ("rename", "x")] and len(deeds) == 3


def test_no_folder_to_write_into(tmp_path):
    with pytest.raises(UserError, match="cannot write .*: No such file or directory"):
        runfolder.write_json(tmp_path / "absent" / "x.json", 1)


def test_a_figure_is_a_png(tmp_path):
    figure = Figure(figsize=(2, 1))
    figure.subplots().plot([0, 1])
    runfolder.save_figure(figure, tmp_path / "f.png")
    data = (tmp_path / "f.png").read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert [int.from_bytes(data[place : place + 4], "big") for place in (16, 20)] == [300, 150]


# --- folders


def test_open_folder_makes_it_and_leaves_nothing_in_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert runfolder.open_folder("runs/../runs/a") == tmp_path / "runs" / "a"
    assert list((tmp_path / "runs" / "a").iterdir()) == []
    (tmp_path / "runs" / "a" / "kept").write_text("x")
    runfolder.open_folder("runs/a")
    assert (tmp_path / "runs" / "a" / "kept").read_text() == "x"


def test_a_folder_whose_name_libraries_would_take_for_another(tmp_path):
    with pytest.raises(SettingsError, match="its name is not in UTF-8"):
        runfolder.open_folder(tmp_path / "n\udcefve" / "run")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", ["file", "file/run"])
def test_a_folder_that_is_a_file_or_below_one(tmp_path, place):
    (tmp_path / "file").write_text("kept")
    with pytest.raises(SettingsError, match=r"cannot write into the folder .*; choose another folder") as raised:
        runfolder.open_folder(tmp_path / place)
    assert "\n" not in str(raised.value)
    assert (tmp_path / "file").read_text() == "kept"


def test_a_folder_that_exists_but_takes_no_files(tmp_path, monkeypatch):
    """As on a disk mounted read-only, where the permission bits allow everything."""

    def refuses(*args, **options):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "touch", refuses)
    with pytest.raises(SettingsError, match="cannot write into the folder .*: Read-only file system"):
        runfolder.open_folder(tmp_path)


def test_a_folder_without_permission():
    with reachable_folder() as closed:
        closed.chmod(0o555)
        for folder in (closed, closed / "run"):
            with held_back(), pytest.raises(SettingsError, match="Permission denied"):
                runfolder.open_folder(folder)


@pytest.mark.parametrize("sign", ["config.json", "result.json", "checkpoint"])
def test_an_earlier_run_is_set_aside(tmp_path, sign):
    names = []
    for attempt in range(3):
        folder = runfolder.open_folder(tmp_path / "run")
        assert runfolder.set_aside(folder) is None
        (folder / sign).mkdir() if sign == "checkpoint" else (folder / sign).write_text("{}")
        (folder / "note").write_text(str(attempt))
        names.append(runfolder.set_aside(folder))
        assert not folder.exists()
    assert names == [tmp_path / f"run.{number}" for number in (1, 2, 3)]
    assert [(name / "note").read_text() for name in names] == ["0", "1", "2"]


def test_what_is_no_run_is_left_alone(tmp_path):
    assert runfolder.set_aside(tmp_path / "absent") is None
    (tmp_path / "notes").write_text("x")
    assert runfolder.set_aside(tmp_path) is None
    assert runfolder.set_aside(tmp_path / "notes" / "run") is None
    assert (tmp_path / "notes").read_text() == "x"


def test_the_first_free_name_is_taken_and_nothing_is_overwritten(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text("{}")
    (tmp_path / "run.1").symlink_to("nowhere")
    (tmp_path / "run.2").mkdir()
    assert runfolder.set_aside(str(tmp_path / "run") + "/") == tmp_path / "run.3"
    assert list((tmp_path / "run.2").iterdir()) == []


def test_the_folder_one_is_in_stays(tmp_path, monkeypatch):
    (tmp_path / "config.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError, match="is the folder you are in"):
        runfolder.set_aside(".")
    assert (tmp_path / "config.json").exists()


# --- one process at a time

HOLDS = """
import sys
from jaxrnn import runfolder
with runfolder.holding():
    folder, aside = runfolder.opened(sys.argv[1]) if sys.argv[2] == "0" else (sys.argv[1], None)
    runfolder.hold(folder, int(sys.argv[2]))
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def another_process(folder, part=0):
    """A process that holds the folder, until it is killed."""
    words = [sys.executable, "-c", HOLDS, str(folder), str(part)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def test_a_second_process_is_refused_and_changes_nothing_until_the_first_is_gone(tmp_path):
    with another_process(tmp_path / "run") as process:
        (tmp_path / "run" / "config.json").write_text("{}")
        for resume in (False, True):
            with runfolder.holding(), pytest.raises(SettingsError, match="another process is at work in .*run: wait"):
                runfolder.opened(tmp_path / "run", resume=resume)
        assert (tmp_path / "run" / "config.json").exists() and not (tmp_path / "run.1").exists()
        process.kill()
        process.wait()
        with runfolder.holding():
            assert runfolder.opened(tmp_path / "run", resume=True) == (tmp_path / "run", None)
            assert runfolder.opened(tmp_path / "run") == (tmp_path / "run", tmp_path / "run.1")
            (tmp_path / "run" / "config.json").write_text("{}")
            assert runfolder.opened(tmp_path / "run") == (tmp_path / "run", tmp_path / "run.2")


def test_a_folder_that_was_let_go_of_is_another_s(tmp_path):
    with runfolder.holding():
        runfolder.opened(tmp_path / "run")
        with runfolder.holding():
            runfolder.opened(tmp_path / "run")  # the same process comes again
        with pytest.raises(subprocess.CalledProcessError):
            subprocess.run([sys.executable, "-c", HOLDS, tmp_path / "run", "0"], check=True, input="", text=True)
    with another_process(tmp_path / "run"):
        pass


def test_processes_that_share_a_folder_hold_a_part_each_and_the_first_waits_for_none(tmp_path):
    with runfolder.holding():
        runfolder.opened(tmp_path)
        with another_process(tmp_path, part=1) as process:
            with runfolder.holding(), pytest.raises(SettingsError, match="another process"):
                runfolder.hold(tmp_path, 1)
            with ThreadPoolExecutor(1) as pool, pytest.raises(SettingsError, match="another process"):
                pool.submit(begun_anew, tmp_path).result()
            process.kill()
            process.wait()
            runfolder.hold(tmp_path, 1)


def begun_anew(folder):
    """As a process does that holds nothing: a thread of its own does not share what the main one holds."""
    with runfolder.holding():
        runfolder.opened(folder, resume=True)


def test_to_hold_a_folder_for_ever_is_a_mistake(tmp_path):
    with pytest.raises(RuntimeError, match="body of `holding`"):
        runfolder.hold(tmp_path)


def test_a_run_that_was_killed_before_it_wrote_anything_can_be_resumed(tmp_path):
    with runfolder.holding(), pytest.raises(CheckpointError, match="nothing to resume"):
        runfolder.opened(tmp_path / "run", resume=True)
    assert not (tmp_path / "run").exists()
    with another_process(tmp_path / "run"):
        pass
    with runfolder.holding():
        assert runfolder.opened(tmp_path / "run", resume=True) == (tmp_path / "run", None)


# --- metrics and the result


def test_metric_numbers():
    assert runfolder.metric([1, 2, 4]) == {"mean": 7 / 3, "std": math.sqrt(7 / 3), "runs": [1.0, 2.0, 4.0]}
    assert runfolder.metric(jnp.array([0.5])) == {"mean": 0.5, "std": 0.0, "runs": [0.5]}
    assert runfolder.metric(0.5) == {"mean": 0.5, "std": 0.0, "runs": [0.5]}


def test_a_metric_leaves_out_what_is_not_finite_but_shows_it():
    assert runfolder.metric([1.0, np.nan, 3.0]) == {"mean": 2.0, "std": math.sqrt(2), "runs": [1.0, None, 3.0]}
    assert runfolder.metric([np.inf, 3.0]) == {"mean": 3.0, "std": 0.0, "runs": [None, 3.0]}
    assert runfolder.metric([np.nan]) == {"mean": None, "std": None, "runs": [None]}


@given(st.floats(-1e6, 1e6), st.integers(1, 5))
def test_equal_runs_have_their_own_mean_and_no_deviation(value, runs):
    assert runfolder.metric([value] * runs) == {"mean": value, "std": 0.0, "runs": [value] * runs}


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=5))
def test_a_metric_agrees_with_numpy(values):
    measured = runfolder.metric(values)
    assert measured["mean"] == pytest.approx(np.mean(values), abs=1e-9)
    assert measured["std"] == pytest.approx(np.std(values, ddof=1), abs=1e-9)


@pytest.mark.parametrize("values", [[], [[1.0, 2.0]]])
def test_a_metric_is_one_number_a_run(values):
    with pytest.raises(ValueError, match="one number a run"):
        runfolder.metric(values)


def test_result(tmp_path):
    cpu = jax.devices("cpu")[0]
    result = runfolder.write_result(
        tmp_path,
        experiment="mnist_gru",
        command="python -m experiments.mnist_gru",
        finished=True,
        dataset={"name": "mnist", "source": "idx files", "train": 60000, "test": 10000},
        config={"hidden": 150, "out": Path("runs") / "x", "clip": math.inf},
        parameters=82510,
        metrics={"test_accuracy": jnp.array([0.5, 1.0]), "max_error": 0.25},
        reference=[{"what": "paper, section", "metric": "test_accuracy", "value": 0.74, "note": "one run"}],
        answers={"T19": "Because."},
        seconds={"total": 1.0, "compile": 0.3, "train": 0.6},
        devices=[cpu, cpu],
    )
    assert result == runfolder.read_json(tmp_path / "result.json")
    packages = ("jax", "jaxlib", "flax", "optax", "numpy", "jaxrnn")
    versions = result.pop("versions")
    assert re.fullmatch(r"3\.\d+\.\d+.*", versions.pop("python"))
    if (Path(__file__).parents[1] / ".git").exists():
        assert re.fullmatch(r"[0-9a-f]{7,}(-dirty)?", versions.pop("commit"))
    made = datetime.fromisoformat(result.pop("made"))
    assert abs(datetime.now(UTC) - made) < timedelta(minutes=1)
    assert versions == {name: metadata.version(name) for name in packages}
    assert result == {
        "experiment": "mnist_gru",
        "command": "python -m experiments.mnist_gru",
        "finished": True,
        "dataset": {"name": "mnist", "source": "idx files", "train": 60000, "test": 10000},
        "config": {"hidden": 150, "out": "runs/x", "clip": None},
        "parameters": 82510,
        "metrics": {
            "test_accuracy": {"mean": 0.75, "std": math.sqrt(0.125), "runs": [0.5, 1.0]},
            "max_error": {"mean": 0.25, "std": 0.0, "runs": [0.25]},
        },
        "reference": [{"what": "paper, section", "metric": "test_accuracy", "value": 0.74, "note": "one run"}],
        "answers": {"T19": "Because."},
        "seconds": {"total": 1.0, "compile": 0.3, "train": 0.6},
        "device": "2 x cpu",
    }


def test_half_of_the_95_percent_interval():
    """Student's t for 1 and 4 degrees of freedom: 12.706 and 2.776."""
    assert runfolder.half_width([0.0, 2.0]) == pytest.approx(12.7062 * math.sqrt(2) / math.sqrt(2), rel=1e-5)
    values = [1.0, 2.0, 4.0, 8.0, 16.0]
    assert runfolder.half_width(values) == pytest.approx(2.776445 * np.std(values, ddof=1) / math.sqrt(5), rel=1e-6)
    assert runfolder.half_width([*values, np.nan, None]) == runfolder.half_width(values)
    assert runfolder.half_width([3.0, 3.0]) == 0.0
    assert runfolder.half_width([3.0]) is None and runfolder.half_width([3.0, np.inf]) is None
