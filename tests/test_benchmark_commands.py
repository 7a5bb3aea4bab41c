"""The benchmark's rows that are whole processes, but for their clock: what is started, and that it does as it says."""

import csv
import inspect
import json
import re

import numpy as np
import pytest

from experiments import benchmark, benchmark_commands, floor, peers
from experiments.benchmark import Settings
from experiments.floor import Speeds
from jaxrnn.command import command
from jaxrnn.data import mnist
from jaxrnn.errors import UserError


@pytest.fixture
def started(monkeypatch):
    """The processes that the benchmark would start: what each was called, its words, and its cache of programs."""
    processes = []

    def pretend(what, words, **environment):
        text = " ".join(words)
        if found := re.search(r"\S*/data\b", text.replace("'", " ")):
            assert len(mnist.load_idx_folder(found.group()).x_train) == 1437
        processes.append((what, text, environment.get("JAX_COMPILATION_CACHE_DIR")))
        return 10.0 * len(processes)

    monkeypatch.setattr(benchmark_commands, "seconds_of", pretend)
    monkeypatch.setattr(floor, "speeds", lambda size, devices: Speeds(1e11, 1e10))
    return processes


def run(out, *options):
    code = command("benchmark", Settings, benchmark.main, ["--quick", *options, "--out", str(out)])
    with open(out / "benchmark.csv") as file:
        return code, json.loads((out / "result.json").read_text()), list(csv.DictReader(file))


def seconds(result):
    return {name: metric["runs"] for name, metric in result["metrics"].items() if re.search("_s$|_ratio_", name)}


def test_a_whole_command_begins_without_compiled_programs_and_the_second_first_batch_with_them(started, tmp_path):
    pytest.importorskip("torch", reason="starts PyTorch too")
    code, result, lines = run(tmp_path / "run", "--rows", "command", "first_batch", "--devices", "1")
    whole, student, cold, warm, student_first = started
    assert code == 0
    assert whole[1].startswith("-m experiments.mnist_gru --epochs 10 ") and whole[1].endswith("--devices 1")
    assert "first_step(['--epochs', '10'" in cold[1] and cold[1] == warm[1]
    assert whole[2] != cold[2] == warm[2] and student[2] is None
    assert student[1].endswith(", 10, 32, False)") and student_first[1].endswith(", 10, 32, True)")
    assert seconds(result) == {
        "command_ours_s": [10],
        "command_torch_s": [20],
        "command_ratio_torch": [2],
        "command_ratio_fastest": [2],
        "first_batch_cold_ours_s": [30],
        "first_batch_cold_torch_s": [50],
        "first_batch_cold_ratio_torch": [pytest.approx(50 / 30)],
        "first_batch_cold_ratio_fastest": [pytest.approx(50 / 30)],
        "first_batch_warm_ours_s": [40],
        "first_batch_warm_torch_s": [50],
        "first_batch_warm_ratio_torch": [1.25],
        "first_batch_warm_ratio_fastest": [1.25],
    }
    assert result["dataset"]["name"] == "digits" and result["parameters"] == 3 * 73_510
    assert {line["unit"] for line in lines} == {"s"}


def test_commands_without_pytorch(monkeypatch, started, tmp_path):
    monkeypatch.setattr(peers, "installed", lambda library: library != "torch")
    assert run(tmp_path / "run", "--rows", "command", "first_batch")[0] == 0
    assert [what for what, _, _ in started] == ["mnist_gru"] * 3


@pytest.mark.parametrize("quick", [True, False])
def test_start_up_is_every_library_in_turn_and_the_first_time_does_not_count(quick, started, monkeypatch):
    monkeypatch.setattr(peers, "installed", lambda library: library in ("ours", "torch"))
    way = benchmark.Way(rounds=2, quick=quick)
    imports, asked = benchmark_commands.STARTUP["startup"].measure("startup", way).measured
    words = ["-c import jaxrnn", "-c import torch"]
    turns = 1 if quick else 3
    assert [text for _, text, _ in started] == words * turns + ["-m experiments.mnist_gru --help"] * turns
    assert imports.row == "startup" and asked.row == "startup_help" and set(asked.times) == {"ours"}
    assert imports.times == ({"ours": [10], "torch": [20]} if quick else {"ours": [30, 50], "torch": [40, 60]})


@pytest.mark.slow
def test_the_process_of_the_first_step_ends_with_it(tmp_path):
    benchmark_commands.write_idx(tmp_path / "data", mnist.load_digits("a test"))
    arguments = ["--data-dir", str(tmp_path / "data"), "--out", str(tmp_path / "run"), "--epochs", "1000000"]
    text = f"from experiments.benchmark_commands import first_step; first_step({arguments!r})"
    assert benchmark_commands.seconds_of("mnist_gru", ["-c", text]) > 0
    assert (tmp_path / "run" / "config.json").exists() and not (tmp_path / "run" / "checkpoint").exists()
    with pytest.raises(UserError, match=r"ended with 2 \(python -m experiments.mnist_gru: --batch must be"):
        benchmark_commands.seconds_of("mnist_gru", ["-c", text.replace("--epochs", "--batch").replace("1000000", "0")])


def test_a_data_set_is_the_same_after_a_way_through_files(tmp_path):
    dataset = mnist.load_digits("a test")
    benchmark_commands.write_idx(tmp_path / "data", dataset)
    read = mnist.load_idx_folder(tmp_path / "data")
    for name in ("x_train", "y_train", "x_test", "y_test"):
        np.testing.assert_array_equal(getattr(read, name), getattr(dataset, name), strict=True)


def test_the_pytorch_program_stands_alone_and_learns(tmp_path, capsys):
    pytest.importorskip("torch", reason="is a program in PyTorch")
    benchmark_commands.write_idx(tmp_path / "data", mnist.load_digits("a test"))
    alone = {}
    exec(inspect.getsource(benchmark_commands.torch_mnist), alone)
    alone["torch_mnist"](tmp_path / "data", 2, 32)
    *_, last = capsys.readouterr().out.splitlines()
    assert last.startswith("epoch 2: ") and float(last.rpartition(" ")[2]) > 0.5  # chance is 0.1


def test_a_command_that_fails_is_one_line():
    with pytest.raises(UserError, match=r"the thing ended with 3 \(no luck\): run it by itself"):
        benchmark_commands.seconds_of("the thing", ["-c", "import sys; print('no luck', file=sys.stderr); sys.exit(3)"])
