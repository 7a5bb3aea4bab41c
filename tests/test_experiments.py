"""Every experiment as a user types it: the whole path with --quick, bad input, and being killed."""

import gzip
import json
import re
import signal
import struct
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from campaign.programs import PATIENCE
from evidence import unsupported
from experiments import EXPERIMENTS, mnist_gru, mnist_rnn
from experiments.headlines import headlines
from experiments.mnist_recurrent import main
from experiments.papers.index import PAPERS
from jaxrnn.command import command
from runs import bits, contents

ROOT = Path(__file__).parents[1]


def experiment(name, *options):
    """A command in a process of its own, where warnings are as quiet as a user has them."""
    arguments = [sys.executable, "-m", f"experiments.{name}", *map(str, options)]
    return subprocess.Popen(arguments, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def finish(process):
    out, err = process.communicate(timeout=PATIENCE)
    return process.returncode, out, err


READ_ROW_BY_ROW = {"T10", "T11", "T12", "T13", "T14", "T15", "T16", "T17", "T18"}
QUESTIONS = {question.id: question for paper in PAPERS for question in paper.questions}

ANSWERS = {
    "benchmark": set(),
    "binary_addition": {"R1", "R2", "R3", "R4"},
    "char_lm": {"U12", "U13", "U14", "U15", "U16"},
    "character_sentiment": {"N6"},
    "gradient_flow": {"I1", "U2"},
    "imdb_bilstm": {"I9"},
    "imdb_compare": {"R5", "R6", "R7", "R8", "R9", "R10", "I8", "I9"},
    "imdb_gru": {"R5", "R6", "R7", "R10"},
    "imdb_improve": {"I9"},
    "imdb_mlp": {"R8", "R9"},
    "imdb_rnn": {"I8"},
    "lagged_regression": {"N3", "N4"},
    "lstm_gates": {"U6"},
    "mnist_compare": READ_ROW_BY_ROW | {"T19", "T20", "T21", "T22", "U7"},
    "mnist_fnn": {"T19"},
    "mnist_gru": READ_ROW_BY_ROW,
    "mnist_lstm": READ_ROW_BY_ROW,
    "mnist_rnn": READ_ROW_BY_ROW,
    "names": {"I5", "I6", "I7"},
    "optimizers": {"U5", "U17"},
    "palindromes": {"U1", "U3", "U4", "U8"},
    "parity": {"T1", "T2", "T3", "T4", "T5"},
    "sum_of_neighbours": {"N5"},
    "sweep": set(),
    "tanh_vs_sigmoid": {"T6", "T7", "T8", "T9"},
    "time_gate": {"U9", "U10", "U11"},
    "worked_examples": {"I2", "I3", "I4", "N1", "N2", "U7"},
}
"""The papers' questions that each command answers."""


LONG_ONES = set(EXPERIMENTS) - {"mnist_gru", "parity"}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in LONG_ONES else ()) for name in EXPERIMENTS]
)
def test_the_whole_path_with_quick(name, tmp_path):
    code, out, err = finish(experiment(name, "--quick", "--out", tmp_path / "run"))
    assert code == 0, err
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["experiment"] == name and result["finished"] is True
    assert list((tmp_path / "run").glob("*.png"))
    assert set(result["answers"]) == ANSWERS[name]
    assert unsupported(result) == {}
    of_it = [question for question in QUESTIONS.values() if question.commands[0] == name]
    assert [one.id for one in of_it for file in one.figures if not (tmp_path / "run" / file).exists()] == []
    lacking = [metric for one in of_it for metric in one.metrics if metric not in result["metrics"]]
    smaller = r"_(10|20|30)(_|$)|^(momentum|rmsprop_torch)_|_(regular|high_rate)_"  # what --quick leaves out
    assert [metric for metric in lacking if not re.search(smaller, metric)] == []
    assert headlines(name, result["metrics"])
    if name.startswith("mnist_"):
        assert result["dataset"]["name"] == "digits" and "NOT MNIST" in out
        learned = [key for key in result["metrics"] if key.endswith("test_accuracy") and "last_row" not in key]
        assert all(result["metrics"][key]["mean"] > 0.8 for key in learned)  # chance is 0.1
        assert len(learned) == {"mnist_compare": 5}.get(name, 1)
    if name.startswith("imdb_"):
        assert result["dataset"]["name"] == "synthetic" and "NOT IMDB" in out


def write_idx(folder, train=96, test=40, **changes):
    """A folder with four small IDX files of MNIST's shape, bytes or arrays of it replaced by ``changes``."""
    rng = np.random.default_rng(0)
    files = {}
    for split, count in (("train", train), ("t10k", test)):
        labels = rng.integers(0, 10, count, np.uint8)
        images = (rng.integers(0, 60, (count, 28, 28)) + 15 * labels[:, None, None]).astype(np.uint8)
        files[f"{split}-images-idx3-ubyte"], files[f"{split}-labels-idx1-ubyte"] = images, labels
    for name, value in (files | changes).items():
        if value is None:
            continue
        if isinstance(value, np.ndarray):
            header = struct.pack(f">BBBB{value.ndim}I", 0, 0, 8, value.ndim, *value.shape)
            value = gzip.compress(header + value.tobytes())
        (folder / f"{name}.gz").write_bytes(value)
    return folder


@pytest.fixture
def small(tmp_path):
    (tmp_path / "data").mkdir()
    return write_idx(tmp_path / "data")


def run(name, settings, *options):
    return command(name, settings, main, [*map(str, options), "--hidden", "4", "--epochs", "1", "--batch", "32"])


def test_any_folder_with_the_four_files_is_trained_on_and_named_idx(small, tmp_path):
    assert run("mnist_rnn", mnist_rnn.Settings, "--data-dir", small, "--out", tmp_path / "run") == 0
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["dataset"] == {"name": "idx", "source": "idx files", "train": 96, "test": 40}
    assert "28 time steps" in result["answers"]["T11"]
    error, accuracy = (result["metrics"][name]["mean"] for name in ("test_error", "test_accuracy"))
    assert error + accuracy == pytest.approx(1) and f"error is {100 * error:.2f} %" in result["answers"]["T17"]


def test_any_folder_s_name_is_shown_as_it_is(small, tmp_path, capsys):
    out = tmp_path / "[old]" / "a[/b]"
    assert run("mnist_rnn", mnist_rnn.Settings, "--data-dir", small, "--out", out) == 0
    assert str(out) in "".join(capsys.readouterr().out.split("\n"))


def test_validation_holds_out_the_end_of_the_training_set(small, tmp_path):
    options = ("--data-dir", small, "--out", tmp_path / "run", "--validation", 16, "--patience", 3)
    assert run("mnist_rnn", mnist_rnn.Settings, *options) == 0
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["dataset"]["train"] == 80 and "validation_loss" in result["metrics"]


LABELS = np.zeros(96, np.uint8)
IMAGES = np.zeros((96, 28, 28), np.uint8)
WHOLE = gzip.compress(struct.pack(">BBBBI", 0, 0, 8, 1, 96) + bytes(96))


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"train-labels-idx1-ubyte": None}, "train-labels-idx1-ubyte"),
        ({"train-labels-idx1-ubyte": WHOLE[:-9]}, "train-labels-idx1-ubyte.*truncated"),
        (
            {"train-labels-idx1-ubyte": gzip.compress(b"\x01\x02\x03\x04" * 30)},
            "train-labels-idx1-ubyte.*not an IDX file",
        ),
        ({"train-labels-idx1-ubyte": LABELS[:95]}, "96.*95"),
        ({"train-labels-idx1-ubyte": LABELS + 10}, "train-labels-idx1-ubyte.*0 to 9"),
        ({"train-images-idx3-ubyte": IMAGES[:, :, :5]}, "28 x 5|28x5|\\(28, 5\\)"),
    ],
)
def test_broken_data_are_one_line_and_2(tmp_path, capsys, changes, words):
    (tmp_path / "data").mkdir()
    folder = write_idx(tmp_path / "data", **changes)
    out = tmp_path / "run"
    assert run("mnist_gru", mnist_gru.Settings, "--data-dir", folder, "--out", out) == 2
    said = capsys.readouterr()
    assert said.err.count("\n") == 1 and said.err.startswith("python -m experiments.mnist_gru: ")
    assert re.search(words, said.err), said.err
    assert not out.exists()


@pytest.mark.parametrize(
    "options, words",
    [
        (["--data-dir", "nowhere"], "nowhere"),
        (["--out", "{small}/train-images-idx3-ubyte.gz"], "cannot write into the folder"),
        (["--seeds", "0"], "--seeds must be at least 1"),
        (["--epochs", "0"], "--epochs must be at least 1"),
        (["--hidden", "0"], "--hidden must be at least 1"),
        (["--devices", "999"], "--devices"),
        (["--validation", "96"], "--validation 96 leaves nothing of 96 examples"),
        (["--patience", "2"], "hold examples out by --validation"),
        (["--dropout", "1"], "--dropout must be at least 0 and below 1"),
        (["--learning-rate", "nan"], "--learning-rate and --clip-norm must be above 0"),
        (["--warmup", "3"], "--warmup must be at least 0 and below the run's 3 updates"),
        (["--resume"], "nothing to resume"),
    ],
)
def test_settings_that_make_no_sense_are_one_line_and_2(small, tmp_path, capsys, options, words):
    options = [option.format(small=small) for option in options]
    argv = ["--data-dir", str(small), "--out", str(tmp_path / "run"), "--batch", "32", "--epochs", "1", *options]
    assert command("mnist_gru", mnist_gru.Settings, main, argv) == 2
    said = capsys.readouterr()
    assert said.err.count("\n") == 1 and words in said.err


def test_another_experiment_s_checkpoint_is_kept(small, tmp_path, capsys):
    options = ("--data-dir", small, "--out", tmp_path / "run")
    assert run("mnist_rnn", mnist_rnn.Settings, *options) == 0
    before = contents(tmp_path / "run")
    assert run("mnist_gru", mnist_gru.Settings, *options, "--resume") == 2
    assert "is one of mnist_rnn, not of mnist_gru" in capsys.readouterr().err
    assert contents(tmp_path / "run") == before


LONG = ("--quick", "--epochs", "300", "--hidden", "16", "--seeds", "2")


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    out = tmp_path_factory.mktemp("uninterrupted") / "run"
    code, _, err = finish(experiment("mnist_rnn", *LONG, "--out", out))
    assert code == 0, err
    return bits(out)


@contextmanager
def training(arguments):
    """The process of a command when it has drawn its progress bar for the second time: it is amid its epochs then."""
    with subprocess.Popen(arguments, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            said = ""
            while said.count("loss=") < 2:
                character = process.stderr.read(1)
                assert character, f"it ended before it was stopped: {said}"
                said += character
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_a_signal_ends_with_130_and_resume_gives_the_same_bits(number, uninterrupted, tmp_path):
    arguments = [*LONG, "--out", str(tmp_path / "run")]
    with training([sys.executable, "-m", "experiments.mnist_rnn", *arguments]) as process:
        process.send_signal(number)
        code, _, err = finish(process)
    assert code == 130 and "Traceback" not in err
    assert f"python -m experiments.mnist_rnn {' '.join(arguments)} --resume" in err
    assert not (tmp_path / "run" / "result.json").exists()
    code, _, err = finish(experiment("mnist_rnn", *arguments, "--resume"))
    assert code == 0, err
    assert bits(tmp_path / "run") == uninterrupted


SAVING_ALWAYS = """
import sys
from jaxrnn import study
from jaxrnn.command import command
from experiments.mnist_rnn import Settings, main
study.SAVE_SECONDS = 0.0
sys.exit(command("mnist_rnn", Settings, main))
"""


@pytest.mark.slow
def test_kill_minus_9_and_resume_gives_the_same_bits(uninterrupted, tmp_path):
    arguments = [*LONG, "--out", str(tmp_path / "run")]
    with training([sys.executable, "-c", SAVING_ALWAYS, *arguments]) as process:
        process.kill()
        assert finish(process)[0] == -signal.SIGKILL
    code, _, err = finish(experiment("mnist_rnn", *arguments, "--resume"))
    assert code == 0, err
    assert bits(tmp_path / "run") == uninterrupted
