"""Running all experiments: what is planned, what is skipped, gone on with and run again, and what a failing one and a
signal do."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from campaign.programs import PATIENCE
from experiments import EXPERIMENTS
from experiments import all as everything
from experiments.all import PLAN, Planned, Relay, Settings, environment, planned, settings_of
from experiments.sweep import experiment_called
from jaxrnn import command
from jaxrnn.runfolder import write_json
from jaxrnn.sweeps import sweepable
from jaxrnn.sweeps.grid import parse

ROOT = Path(__file__).parents[1]


# --- the plan ---------------------------------------------------------------------------------------------------------


def test_every_experiment_is_planned():
    assert set(PLAN) == set(EXPERIMENTS)
    assert {plan.part_of for plan in PLAN.values()} <= {"", *EXPERIMENTS}


@pytest.mark.parametrize("size", ["quick", "default", "full"])
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_words_of_every_size_make_sense(name, size, tmp_path):
    job = planned(name, Settings(out=tmp_path, **({} if size == "default" else {size: True})))
    assert job.words == getattr(PLAN[name], size).split() and job.state == "new"
    assert job.settings.quick == (size == "quick")
    getattr(job.settings, "check", lambda: None)()
    if name == "sweep":
        kind = experiment_called(job.words[0]).settings
        assert parse(job.settings.grid, kind, sweepable(kind))


def test_what_is_an_experiment_s_own_reaches_it_alone(tmp_path):
    settings = Settings(out=tmp_path, names=tmp_path, text_file=(Path("a"), Path("b c")), devices=1)
    assert planned("names", settings).words == ["--names", str(tmp_path), "--devices", "1"]
    assert planned("char_lm", settings).words == ["--text-file", "a", "b c", "--devices", "1"]
    assert planned("parity", settings).words == []
    assert planned("sweep", settings).words == [*PLAN["sweep"].default.split(), "--devices", "1"]


def test_the_data_folder_goes_by_the_environment(tmp_path, monkeypatch):
    monkeypatch.delenv("JAXRNN_DATA", raising=False)
    assert "JAXRNN_DATA" not in environment(Settings())
    monkeypatch.chdir(tmp_path)
    assert environment(Settings(data_dir=Path("data")))["JAXRNN_DATA"] == str(tmp_path / "data")


# --- what is run ------------------------------------------------------------------------------------------------------


class Started:
    """Stands in for processes: keeps the words that each is started with, and leaves its run folder."""

    def __init__(self):
        self.words = []
        self.ends = {}
        """Exit code and last line by name; a run that came through where there is none."""
        self.signalled = None
        """The one that runs when a signal comes."""
        self.dataset = "mnist"

    def run(self, relay, words, environment):
        assert words[:2] == [sys.executable, "-m"]
        name, words = words[2].removeprefix("experiments."), words[3:]
        self.words.append((name, *words))
        code, said = self.ends.get(name, (0, ""))
        if name in EXPERIMENTS:
            meant = command.parse(name, settings_of(name, words), words)
            config = command.config(meant.settled())
            meant.out.mkdir(parents=True, exist_ok=True)
            write_json(meant.out / "config.json", config)
            if code == 0:
                dataset = {"name": self.dataset}
                result = {"experiment": name, "finished": True, "config": config, "dataset": dataset}
                write_json(meant.out / "result.json", result)
        if name == self.signalled:
            relay.note(signal.SIGINT, None)
        return code, said

    @property
    def names(self):
        return [name for name, *_ in self.words]


@pytest.fixture
def started(monkeypatch):
    found = Started()
    monkeypatch.setattr(Relay, "run", lambda relay, words, environment: found.run(relay, words, environment))
    monkeypatch.delenv("JAXRNN_DATA", raising=False)
    plan = {
        "parity": Planned(),
        "names": Planned("--seeds 2"),
        "mnist_rnn": Planned(part_of="mnist_compare"),
        "mnist_compare": Planned("--epochs 1", "--epochs 3"),
    }
    monkeypatch.setattr(everything, "PLAN", plan)
    return found


def kept(out):
    return json.loads((out / "all.json").read_text())


def states(out):
    return {name: entry["state"] for name, entry in kept(out).items()}


def run(out, *words):
    return everything.run(["--out", str(out), *words])


def test_each_is_run_in_its_folder_and_then_the_report(started, tmp_path, capsys):
    assert run(tmp_path) == 0
    assert started.words == [
        ("parity", "--out", str(tmp_path / "parity")),
        ("names", "--seeds", "2", "--out", str(tmp_path / "names")),
        ("mnist_compare", "--epochs", "1", "--out", str(tmp_path / "mnist_compare")),
        ("report", "--runs", str(tmp_path)),
    ]
    assert states(tmp_path) == {
        "parity": "done", "names": "done", "mnist_rnn": "left out", "mnist_compare": "done",
    }  # fmt: skip
    entry = kept(tmp_path)["names"]
    assert entry["words"] == ["--seeds", "2", "--out", str(tmp_path / "names")]
    assert entry["message"] == "" and 0 <= entry["seconds"] < 60
    said = capsys.readouterr().out
    assert "2 of 3: names" in said and "Then: mnist_compare." in said and "a part of mnist_compare" in said


def test_what_is_done_is_not_done_again(started, tmp_path, capsys):
    run(tmp_path)
    started.words.clear()
    assert run(tmp_path) == 0
    assert started.names == ["report"]
    assert set(states(tmp_path).values()) == {"skipped", "left out"}
    assert "Done before: parity, names, mnist_compare." in capsys.readouterr().out


def test_a_run_made_by_hand_counts_and_so_does_one_elsewhere_computed(started, tmp_path):
    """Devices and folders of data change no number."""
    words = ["experiments.mnist_compare", "--epochs", "1", "--out", str(tmp_path / "mnist_compare"), "--devices", "1"]
    started.run(Relay(), [sys.executable, "-m", *words], {})
    started.words.clear()
    assert run(tmp_path, "--only", "mnist_compare") == 0
    assert started.names == ["report"]


@pytest.mark.parametrize("words", [("--full",), ("--quick",)])
def test_another_setting_is_run_again(started, tmp_path, words):
    run(tmp_path)
    started.words.clear()
    assert run(tmp_path, "--only", "mnist_compare", *words) == 0
    assert started.names == ["mnist_compare", "report"]


def test_other_names_are_run_again_and_the_same_are_not(started, tmp_path):
    run(tmp_path / "runs")
    (tmp_path / "names").mkdir()
    for expected in (["names", "report"], ["report"]):
        started.words.clear()
        assert run(tmp_path / "runs", "--names", str(tmp_path / "names")) == 0
        assert started.names == expected
    started.words.clear()
    assert run(tmp_path / "runs") == 0
    assert started.names == ["names", "report"]  # 1,000 epochs, where a folder's names have 50


def test_digits_are_replaced_by_mnist_when_there_is_some(started, tmp_path):
    started.dataset = "digits"
    run(tmp_path)
    run(tmp_path)
    assert started.names.count("mnist_compare") == 1
    started.dataset = "mnist"
    for _ in range(2):
        assert run(tmp_path, "--only", "mnist_compare", "--data-dir", str(tmp_path)) == 0
    assert started.names.count("mnist_compare") == 2


def test_only_runs_what_is_named_also_what_is_left_out(started, tmp_path):
    run(tmp_path, "--only", "parity")
    assert run(tmp_path, "--only", "mnist_rnn", "names") == 0
    assert started.names == ["parity", "report", "names", "mnist_rnn", "report"]
    assert states(tmp_path) == {"parity": "done", "names": "done", "mnist_rnn": "done"}


def test_a_failing_one_stops_no_other_and_is_kept(started, tmp_path, capsys):
    started.ends = {"names": (2, "python -m experiments.names: no such [folder]"), "parity": (-9, "half a bar")}
    assert run(tmp_path) == 1
    assert started.names == ["parity", "names", "mnist_compare", "report"]
    assert states(tmp_path)["names"] == states(tmp_path)["parity"] == "failed"
    assert kept(tmp_path)["names"]["message"] == "python -m experiments.names: no such [folder]"
    assert kept(tmp_path)["parity"]["message"] == "ended by SIGKILL, after: half a bar"
    assert "no such [folder]" in " ".join(capsys.readouterr().out.replace("│", " ").split())


def test_a_failing_report_is_1(started, tmp_path):
    started.ends = {"report": (1, "a mistake")}
    assert run(tmp_path) == 1


@pytest.mark.parametrize("code", [130, -signal.SIGINT, 1])
def test_a_signal_stops_all_and_the_next_call_goes_on(started, tmp_path, capsys, code):
    started.signalled, started.ends = "names", {"names": (code, "stopped; 1 of 2 epochs are saved")}
    assert run(tmp_path, "--devices", "1") == 130
    assert started.names == ["parity", "names"]
    assert states(tmp_path) == {"parity": "done", "names": "stopped", "mnist_rnn": "left out"}
    said = capsys.readouterr().err
    assert said.startswith("python -m experiments.all: stopped; 1 of 3 experiments are done, and what was begun is ")
    assert said.endswith(f"To go on: python -m experiments.all --out {tmp_path} --devices 1\n")

    started.signalled, started.ends, started.words = None, {}, []
    assert run(tmp_path) == 0
    assert started.words[0] == ("names", "--seeds", "2", "--out", str(tmp_path / "names"), "--resume")
    assert started.names == ["names", "mnist_compare", "report"]


def test_one_that_was_stopped_by_itself_stops_no_other(started, tmp_path):
    started.ends = {"names": (130, "stopped; 1 of 2 epochs are saved")}
    assert run(tmp_path) == 1
    assert states(tmp_path)["names"] == "stopped" and started.names[-1] == "report"


def test_what_was_begun_with_other_settings_starts_from_the_beginning(started, tmp_path):
    started.ends = {"mnist_compare": (1, "")}
    assert run(tmp_path) == 1
    assert kept(tmp_path)["mnist_compare"]["message"] == "ended with 1"
    assert run(tmp_path, "--full") == 1
    assert run(tmp_path, "--full") == 1
    assert [words[-1] == "--resume" for words in started.words if words[0] == "mnist_compare"] == [False, False, True]


@pytest.mark.parametrize(
    "broken",
    [
        "",
        "{",
        "[]",
        "[" * 100_000,
        '{"finished": true}',
        '{"finished": true, "experiment": "names", "config": []}',
        '{"finished": true, "experiment": "names", "config": {}, "dataset": 3}',
    ],
)
def test_a_broken_result_is_run_again(started, tmp_path, broken):
    run(tmp_path)
    for name in ("all.json", "names/result.json"):
        (tmp_path / name).write_text(broken)
    started.words.clear()
    assert run(tmp_path) == 0
    assert started.words[0] == ("names", "--seeds", "2", "--out", str(tmp_path / "names"))


@pytest.mark.parametrize(
    "words, message",
    [
        (["--quick", "--full"], "give --quick or --full, not both"),
        (["--data-dir", "nowhere"], "there is no nowhere"),
        (["--names", "nowhere"], "there is no nowhere"),
        (["--text-file", "nowhere"], "there is no nowhere"),
        (["--devices", "0"], "--devices must be at least 1, not 0"),
    ],
)
def test_what_makes_no_sense_is_one_line_and_2_and_starts_nothing(started, tmp_path, capsys, words, message):
    assert run(tmp_path / "runs", *words) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"python -m experiments.all: {message}") and said.count("\n") == 1
    assert not started.words and not (tmp_path / "runs").exists()


def test_a_quick_tour_leaves_other_runs_alone():
    assert Settings().root == Settings(full=True).root == Path("runs")
    assert Settings(quick=True).root == Path("runs/quick")
    assert Settings(quick=True, out=Path("here")).root == Path("here")


# --- processes and signals --------------------------------------------------------------------------------------------


def test_the_last_line_is_kept_and_all_is_shown(capfd):
    program = "import sys; print('out'); print('a bar\\rfull\\n', file=sys.stderr); sys.exit(3)"
    assert Relay().run([sys.executable, "-c", program], os.environ) == (3, "full")
    out, err = capfd.readouterr()
    assert out == "out\n" and err == "a bar\rfull\n\n"


COUNTS = """
import signal, sys, time
came = []
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda number, frame: came.append(signal.Signals(number).name))
open(sys.argv[1], "w").close()
began = time.monotonic()
while len(came) < 2 and time.monotonic() - began < 30:
    time.sleep(0.01)
time.sleep(0.3)
sys.exit(" ".join(came))
"""


def test_every_signal_is_handed_on_once(tmp_path):
    relay, ready = Relay(), tmp_path / "ready"

    def send():
        while not ready.exists():
            time.sleep(0.01)
        for number in (signal.SIGINT, signal.SIGTERM):
            os.kill(os.getpid(), number)
            time.sleep(0.2)

    with command.handling(relay.note, signal.SIGINT, signal.SIGTERM):
        thread = threading.Thread(target=send)
        thread.start()
        assert relay.run([sys.executable, "-c", COUNTS, str(ready)], os.environ) == (1, "SIGINT SIGTERM")
        thread.join()
    assert relay.stopped


def test_a_signal_that_came_before_the_process_reaches_it():
    relay = Relay()
    relay.note(signal.SIGTERM, None)
    code, _ = relay.run([sys.executable, "-c", "import time; time.sleep(30)"], os.environ)
    assert code == -signal.SIGTERM and relay.stopped


SMALL = """
import sys
from experiments import all as everything
from experiments.all import Planned
everything.PLAN = {
    "parity": Planned(),
    "lagged_regression": Planned("--seeds 1 --steps 100000 --every 500"),
    "mnist_rnn": Planned("--hidden 0"),
}
sys.exit(everything.run())
"""


def start(out, *words):
    """The command with a small plan, as a terminal starts it: in a process group that Ctrl-C reaches."""
    return subprocess.Popen(
        [sys.executable, "-c", SMALL, "--out", str(out), *words], cwd=ROOT, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip


@pytest.mark.slow
def test_ctrl_c_reaches_a_real_experiment_once_and_it_is_gone_on_with(tmp_path):
    with start(tmp_path) as process:
        history = tmp_path / "lagged_regression" / "history.csv"
        ends = time.monotonic() + PATIENCE
        while not history.exists() and time.monotonic() < ends:
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, err
    assert err.count("Stopping, and saving first") == 1 and "stopped at once" not in err
    assert "python -m experiments.lagged_regression: stopped; " in err and "Traceback" not in err
    assert states(tmp_path) == {"parity": "done", "lagged_regression": "stopped"}
    assert "step/s" in err  # the progress bar

    with start(tmp_path, "--only", "lagged_regression", "mnist_rnn") as process:
        out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1, err
    assert kept(tmp_path)["lagged_regression"]["words"][-1] == "--resume"
    assert states(tmp_path) == {"parity": "done", "lagged_regression": "done", "mnist_rnn": "failed"}
    assert "--hidden must be at least 1" in kept(tmp_path)["mnist_rnn"]["message"]
