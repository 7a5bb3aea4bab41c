"""Every experiment, one after the other, and then the report of them all.

python -m experiments.all [--quick | --full] [--data-dir FOLDER] [--only NAME ...]
"""

import importlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self, TypedDict

from rich.table import Table
from rich.text import Text

from experiments import EXPERIMENTS
from jaxrnn import command, runfolder
from jaxrnn.command import Stopped
from jaxrnn.data import STAND_INS
from jaxrnn.errors import DataError, SettingsError


class Planned(NamedTuple):
    """An experiment's words for each size."""

    default: str = ""
    """What a laptop gets through."""
    full: str = ""
    """As large as in the papers."""
    quick: str = "--quick"
    part_of: str = ""
    """The experiment that trains this one too, and so stands for it in the default size."""


PLAN: Mapping[str, Planned] = {
    "parity": Planned(),
    "worked_examples": Planned(),
    "binary_addition": Planned(),
    "tanh_vs_sigmoid": Planned(),
    "sum_of_neighbours": Planned(),
    "lagged_regression": Planned(),
    "gradient_flow": Planned(),
    "character_sentiment": Planned(),
    "names": Planned(),
    "benchmark": Planned(
        "--rows elman gru lstm palindrome_elman palindrome_lstm sweep_tiny generate generate_64 char_lm --repeats 5"
    ),
    "sweep": Planned(
        "mnist_rnn --grid learning_rate=1e-4,1e-3,1e-2 hidden=50,150 --seeds 3 --epochs 3",
        "mnist_gru --grid learning_rate=1e-4,1e-3,1e-2 hidden=64,128 --seeds 5 --epochs 3",
        "mnist_gru --quick",
    ),
    "lstm_gates": Planned(),
    "optimizers": Planned("--seeds 3"),
    "char_lm": Planned(),
    "mnist_fnn": Planned(part_of="mnist_compare"),
    "mnist_rnn": Planned(part_of="mnist_compare"),
    "mnist_gru": Planned(part_of="mnist_compare"),
    "mnist_lstm": Planned(part_of="mnist_compare"),
    "time_gate": Planned(full="--full"),
    "palindromes": Planned("--seeds 3", "--full"),
    "mnist_compare": Planned(),
    "imdb_mlp": Planned(part_of="imdb_compare"),
    "imdb_rnn": Planned(part_of="imdb_compare"),
    "imdb_bilstm": Planned(part_of="imdb_compare"),
    "imdb_gru": Planned(part_of="imdb_compare"),
    "imdb_improve": Planned("--epochs 2 --seeds 1"),
    "imdb_compare": Planned("--epochs 2"),
}
"""What is run, in this order: what is exact and short first, what takes hours last."""


@dataclass(frozen=True, kw_only=True)
class Settings(command.Settings):
    """Run every experiment, each as a process of its own and in a folder of its own in --out, and then the report.

    Run again, it skips what is done with the same settings, by this command or by hand, and goes on with what was
    begun. An experiment that fails does not stop the others: a table at the end says what to do, and the exit code is
    1. Ctrl-C and SIGTERM are handed on to the experiment, which saves; then all stops. all.json in --out says what
    became of each.

    Three sizes: --quick is a tour of some nine minutes, on small data that needs no download; without it all takes some
    two and a half hours on 2 CPU cores, an hour of them for the film reviews, and a network that a comparison trains
    too is left out; --full is as large as in the papers: days on a CPU, hours on an accelerator.
    """

    out: Path | None = None
    """Folder for the experiments' folders; runs where not given, runs/quick under --quick. What is there already is
    kept; an experiment that runs again with other settings renames its earlier folder to <folder>.1 and so on."""
    quick: bool = False
    """Every experiment's --quick: small data, made or embedded, whatever --data-dir says."""
    full: bool = False
    """Everything as large as in the papers."""
    only: tuple[Literal[EXPERIMENTS], ...] = ()  # type: ignore[valid-type]
    """Run only these, also those that are left out otherwise."""
    data_dir: Path | None = None
    """Folder with the data, MNIST's files in its subfolder mnist, the film reviews in imdb. Where not given:
    $JAXRNN_DATA, then tensorflow-datasets. In place of MNIST there are embedded digits; the reviews have no stand-in,
    and what needs them fails."""
    names: Path | None = None
    """Names for the experiment of that name: a file, or a folder with one for each language. An embedded list where
    not given."""
    text_file: tuple[Path, ...] = ()
    """Texts for char_lm; where not given, prose that comes with Python."""
    devices: int | None = None
    """How many devices each experiment uses at most: accelerators, or CPU cores. All where not given."""

    @classmethod
    def full_defaults(cls) -> Self:
        return cls(full=True)

    @property
    def size(self) -> Literal["quick", "default", "full"]:
        """Which of the three sizes it is."""
        return "quick" if self.quick else "full" if self.full else "default"

    @property
    def has_data(self) -> bool:
        """Whether a folder with data was named."""
        return self.data_dir is not None or bool(os.environ.get("JAXRNN_DATA"))

    @property
    def root(self) -> Path:
        """The folder for the experiments' folders."""
        return self.out or Path("runs", "quick" if self.quick else "")

    def check(self) -> None:
        """Raises SettingsError where something that is named is not there."""
        for path in (self.data_dir, self.names, *self.text_file):
            if path is not None and not path.exists():
                raise SettingsError(f"there is no {path}: name the folder or file that is meant")


class Job(NamedTuple):
    """An experiment as it is to be run now."""

    name: str
    words: list[str]
    """What stands after the command's name, but for the folder."""
    settings: command.Settings
    """What the words mean."""
    folder: Path
    state: Literal["done", "begun", "new"]
    """How far this very run came before."""


class Entry(TypedDict):
    """What became of an experiment, in ``all.json``."""

    state: Literal["done", "skipped", "failed", "stopped", "left out"]
    """``skipped``: it was done before."""
    seconds: float
    words: list[str]
    message: str
    """What a failed or stopped one said last, or why one is left out."""


SOURCES = ("names", "text_file")
"""Settings that are free when a run is resumed, and of which another one makes another run all the same."""

HANGUP = getattr(signal, "SIGHUP", signal.SIGTERM)
"""The signal of a terminal that closes, where there is such."""

SAID = 4096
"""Bytes of what a process said on stderr that are kept to find its last line."""


# --- what is to be run ------------------------------------------------------------------------------------------------


def planned(name: str, settings: Settings) -> Job:
    """The experiment in the size that is asked for, with the options that are its own."""
    words = getattr(PLAN[name], settings.size).split()
    kind = settings_of(name, words)
    for option in (*SOURCES, "devices"):
        given = getattr(settings, option)
        if given not in (None, ()) and option in {one.name for one in fields(kind)}:
            values = given if isinstance(given, tuple) else (given,)
            words += [f"--{option.replace('_', '-')}", *map(str, values)]
    folder = settings.root / name
    meant = command.parse(name, kind, words)
    return Job(name, words, meant, folder, state(name, meant, folder, real=settings.has_data and not settings.quick))


def settings_of(name: str, words: Sequence[str]) -> type[command.Settings]:
    """The settings of an experiment's command."""
    module = importlib.import_module(f"experiments.{name}")
    if name == "sweep":
        return module.settings_of(module.experiment_called(words[0]))
    return module.Settings if hasattr(module, "Settings") else module.EXPERIMENT.settings


def state(name: str, settings: command.Settings, folder: Path, real: bool) -> Literal["done", "begun", "new"]:
    """How far the run in the folder is; ``new`` where it is one with other settings, or, where there are ``real`` data,
    one on data that stand in for them."""
    free = {one for one in command.free(settings) if one not in SOURCES or getattr(settings, one) in (None, ())}
    own = runfolder.plain(command.config(settings.settled()))

    def same(config: Mapping[str, Any]) -> bool:
        return all(key in free or config.get(key) == value for key, value in own.items())

    if (folder / "result.json").exists():
        result = read(folder / "result.json", _Result)
        done = result and result["finished"] and result["experiment"] == name and same(result["config"])
        return "done" if done and not (real and result["dataset"]["name"] in STAND_INS) else "new"
    return "begun" if hasattr(settings, "resume") and same(read(folder / "config.json")) else "new"


class _Data(TypedDict):
    name: str


class _Result(TypedDict):
    experiment: str
    finished: bool
    config: dict[str, Any]
    dataset: _Data


def read(file: Path, kind: Any = dict[str, Any]) -> dict[str, Any]:
    """What a JSON file of this kind says; nothing where it cannot be read."""
    with suppress(DataError):
        return runfolder.read_json(file, kind)
    return {}


# --- a process for each -----------------------------------------------------------------------------------------------


class Relay:
    """Runs processes, one at a time and each in a session of its own, and hands every signal on to the one that runs.

    A terminal sends Ctrl-C to all processes of its session: without one of its own, a process would get it twice.
    """

    def __init__(self) -> None:
        self.stopped = False
        """Whether a signal came."""
        self._process: subprocess.Popen[bytes] | None = None
        self._waiting: list[int] = []

    def note(self, number: int, frame: Any) -> None:
        """The handler of the signals. A terminal that closes asks to end: what runs would not hear of it by itself."""
        self.stopped = True
        self._waiting.append(signal.SIGTERM if number == HANGUP else number)
        self._hand_on()

    def _hand_on(self) -> None:
        while self._process is not None and self._waiting:
            self._process.send_signal(self._waiting.pop(0))

    def run(self, words: Sequence[str], environment: Mapping[str, str]) -> tuple[int, str]:
        """The exit code of the process and its last line on stderr, which is shown as it comes."""
        source, sink = os.pipe()
        process = self._process = subprocess.Popen(
            words, env=environment, stdin=subprocess.DEVNULL, stderr=sink, start_new_session=True
        )
        self._hand_on()  # what came while it started
        os.close(sink)
        said = bytearray()

        def show() -> None:
            with open(source, "rb", buffering=0) as stream:
                while chunk := stream.read(SAID):
                    said[:] = (said + chunk)[-SAID:]
                    with suppress(OSError):  # a terminal that was closed: the process is to end by itself
                        sys.stderr.buffer.write(chunk)
                        sys.stderr.flush()

        shown = threading.Thread(target=show, daemon=True)
        shown.start()
        code = process.wait()
        self._process = None
        shown.join(timeout=5.0)  # longer only where it left a process behind
        lines = re.split(r"[\r\n]+", said.decode(errors="replace"))
        return code, next((line.strip() for line in reversed(lines) if line.strip()), "")


def environment(settings: Settings) -> dict[str, str]:
    """The environment of the experiments: where the data are, and how large the terminal is, for progress bars."""
    size = shutil.get_terminal_size()
    found = os.environ | {"COLUMNS": str(size.columns), "LINES": str(size.lines)}
    return found if settings.data_dir is None else found | {"JAXRNN_DATA": str(settings.data_dir.absolute())}


# --- all of it --------------------------------------------------------------------------------------------------------


@runfolder.holding()
def main(name: str, settings: Settings) -> dict[str, Entry]:
    """Run all that is not done; returns what became of each experiment, and of the report.

    Raises:
        SettingsError: something that is named is not there, or a folder that cannot be written, or that another
            process is at work in.
        UserError: a full disk and the like.
        Stopped: told to stop.
    """
    settings.check()
    console, relay = command.plain_console(), Relay()
    runfolder.hold(runfolder.open_folder(settings.root))
    before, entries = read(settings.root / "all.json"), dict[str, Entry]()

    def note(name: str, entry: Entry) -> None:
        entries[name] = entry
        runfolder.write_json(settings.root / "all.json", before | entries)

    todo = []
    for job in [planned(name, settings) for name in PLAN if name in (settings.only or PLAN)]:
        whole = PLAN[job.name].part_of
        if job.state == "done":
            note(job.name, {"state": "skipped", "seconds": 0.0, "words": job.words, "message": ""})
        elif whole and settings.size == "default" and not settings.only:
            note(job.name, {"state": "left out", "seconds": 0.0, "words": [], "message": f"a part of {whole}"})
        else:
            todo.append(job)
    if skipped := [name for name, entry in entries.items() if entry["state"] == "skipped"]:
        console.print(f"Done before: {', '.join(skipped)}.", highlight=False)

    def start(name: str, words: list[str]) -> Entry:
        command_line = shlex.join(["python", "-m", f"experiments.{name}", *words])
        console.print(command_line, highlight=False, soft_wrap=True)
        began = time.perf_counter()
        code, said = relay.run([sys.executable, "-m", f"experiments.{name}", *words], environment(settings))
        if code < 0:
            said = f"ended by {signal.Signals(-code).name}" + (f", after: {said}" if said else "")
        return {
            "state": "done" if code == 0 else "stopped" if code == 130 or relay.stopped else "failed",
            "seconds": time.perf_counter() - began,
            "words": words,
            "message": "" if code == 0 else said or f"ended with {code}",
        }

    with command.handling(relay.note, signal.SIGINT, signal.SIGTERM, HANGUP):
        for number, job in enumerate(todo, 1):
            if relay.stopped:
                break
            console.rule(f"{number} of {len(todo)}: {job.name}", align="left")
            if later := ", ".join(job.name for job in todo[number:]):
                console.print(f"Then: {later}.", highlight=False)
            resumed = ["--resume"] if job.state == "begun" else []
            note(job.name, start(job.name, [*job.words, "--out", str(job.folder), *resumed]))
        if not relay.stopped:
            console.rule("The report", align="left")
            entries["report"] = start("report", ["--runs", str(settings.root)])

    console.print(table(entries, settings.root))
    if relay.stopped:
        done = sum(entry["state"] == "done" for entry in entries.values())
        raise Stopped(f"{done} of {len(todo)} experiments are done, and what was begun is kept in {settings.root}")
    return entries


def table(entries: Mapping[str, Entry], root: Path) -> Table:
    """What became of each, and what there is to do."""
    found = Table(title="All experiments", title_justify="left")
    for column in ("experiment", "state", "seconds", "what to do"):
        found.add_column(column, justify="right" if column == "seconds" else "left", overflow="fold")
    for name, entry in entries.items():
        seconds = f"{entry['seconds']:.0f}" if entry["seconds"] else ""
        todo = entry["message"]
        if entry["state"] == "stopped":
            todo = "run all again"
        elif entry["state"] == "failed" and "--resume" in entry["words"]:
            todo += f" (or rename {root / name}, and it starts from the beginning)"
        found.add_row(name, entry["state"], seconds, Text(todo))
    return found


def run(argv: Sequence[str] | None = None) -> int:
    """The command; 1 where something did not come through."""
    came: dict[str, Entry] = {}
    code = command.command("all", Settings, lambda name, settings: came.update(main(name, settings)), argv)
    return code or int(any(entry["state"] in ("failed", "stopped") for entry in came.values()))


if __name__ == "__main__":
    sys.exit(run())
