"""The same numbers: a command leaves the same files whatever surrounds it, bit for bit.

Hash seeds, time zones, locales, UTF-8 mode, homes, widths, working folders and terminals are combined so that every two
choices come together in some try. Where a folder's name cannot be said in UTF-8, a clear refusal is right as well.
"""

import csv
import errno
import io
import itertools
import json
import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from experiments import benchmark_commands
from jaxrnn.data import mnist

from . import Try
from .programs import ENVIRONMENT, ROOT

COMMANDS = {
    "mnist_gru": "mnist_gru --epochs 2 --hidden 8 --seeds 2 --data-dir {data}",
    "char_lm": "char_lm --quick --stateful --steps 40 --every 8 --hidden 16 --text-file {data}/text.txt",
    "names": "names --quick --epochs 4",
    "sweep": "sweep mnist_rnn --quick --epochs 1 --hidden 8 --grid learning_rate=1e-3,1e-2 --seeds 2",
    "binary_addition": "binary_addition --quick",
}
"""What is run, small."""

LOCALES = {"de_DE.UTF-8": ("de_DE", "UTF-8"), "tr_TR.UTF-8": ("tr_TR", "UTF-8"), "de_DE": ("de_DE", "ISO-8859-1")}
"""Locales that are made: a comma in numbers, an i without its dot, an encoding that is not UTF-8."""

SURROUNDINGS: Mapping[str, Mapping[str, Mapping[str, str | None]]] = {
    "hash seed": {seed: {"PYTHONHASHSEED": seed} for seed in ("0", "1", "random")},
    "time zone": {zone: {"TZ": zone} for zone in ("UTC", "Asia/Kathmandu", "XST+11:30")},
    "locale": {name: {"LANG": name, "LC_ALL": name} for name in ("C", "POSIX", "C.UTF-8", *LOCALES)},
    "UTF-8 mode": {"unset": {"PYTHONUTF8": None}, "0": {"PYTHONUTF8": "0"}, "1": {"PYTHONUTF8": "1"}},
    "home": {
        "as it is": {},
        "none": {"HOME": None},
        "where nothing can be written": {"HOME": os.devnull, "XDG_CACHE_HOME": None, "JAX_COMPILATION_CACHE_DIR": None},
    },
    "columns": {"unset": {"COLUMNS": None}, "20": {"COLUMNS": "20"}, "300": {"COLUMNS": "300"}},
    "folder": {"the project, absolute paths": {}, "the project, relative paths": {}, "another, relative paths": {}},
    "terminal": {"none": {}, "one": {}},
}
"""What surrounds a command, and what each choice sets in its environment; None for what is not there."""

CACHES = ("MPLCONFIGDIR", "XDG_CACHE_HOME", "JAX_COMPILATION_CACHE_DIR")


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    said: str
    """Its last words."""


def tries(count: int, folder: Path, seed: int = 0) -> Iterator[Try]:
    """So many commands, each in surroundings of its own, against the same command in plain ones."""
    data = make_data(folder)
    locales = make_locales(folder / "locales")
    plain = {"LOCPATH": str(folder / "locales"), "PYTHONPATH": str(ROOT), **ENVIRONMENT}
    plain |= {name: os.environ.get(name, str(folder / "caches")) for name in CACHES}

    kinds = {"command": tuple(COMMANDS)} | {kind: tuple(choices) for kind, choices in SURROUNDINGS.items()}
    expected: dict[str, dict[str, Any]] = {}
    for number, row in enumerate(itertools.islice(combinations(kinds, seed), count)):
        name = row["command"]
        if name not in expected:
            out = folder / f"plain {name}"
            ended = run(name, out, data, ROOT, plain)
            if ended.code:
                raise RuntimeError(f"{name} ended with {ended.code}: {ended.said}")
            expected[name] = left_behind(out)
        changes = {key: value for kind, choices in SURROUNDINGS.items() for key, value in choices[row[kind]].items()}
        told = {kind: f"{said} (not made)" if said in LOCALES.keys() - locales else said for kind, said in row.items()}
        what = ", ".join(f"{kind} {said}" for kind, said in told.items())
        out = data.parent / f"try {number}"
        cwd = ROOT if row["folder"].startswith("the project") else data.parent
        relative = row["folder"].endswith("relative paths")
        paths = [Path(os.path.relpath(path, cwd)) if relative else path for path in (out, data)]
        environment = plain | changes
        ended = run(name, *paths, cwd, environment, terminal=row["terminal"] == "one")
        if ended.code == 2 and not utf8_names(environment) and "cannot write into the folder" in ended.said:
            yield Try(f"{what}: refused", f"{out} was written all the same" if out.exists() else "")
        elif ended.code:
            yield Try(what, f"it ended with {ended.code}: {ended.said}")
        else:
            odd = difference(left_behind(out), expected[name])
            yield Try(what, odd)
            if not odd:  # what is lost stays to be looked at
                shutil.rmtree(out)


def make_data(folder: Path) -> Path:
    """What the commands read: small images in MNIST's files, and a text, in a folder whose name no ASCII has."""
    data = folder / "Größen 数" / "data"
    data.parent.mkdir()
    benchmark_commands.write_idx(data, mnist.load_digits("small files"))
    lines = (f"Ärger {n} in Ελλάδα, “naïve” 日本: {n * n}" for n in range(400))
    (data / "text.txt").write_text("\n".join(lines), encoding="utf-8")
    return data


def combinations(kinds: Mapping[str, Sequence[str]], seed: int) -> Iterator[dict[str, str]]:
    """Rows with a choice of each kind, endless: soon every two choices have come together in one, and then again.

    Greedy: each row begins with a pair that has not come yet, and each further choice makes the most of such pairs.
    """
    dice = random.Random(seed)
    while True:
        lacking = {
            frozenset([(one, a), (other, b)])
            for one, other in itertools.combinations(kinds, 2)
            for a in kinds[one]
            for b in kinds[other]
        }
        while lacking:
            row = dict(dice.choice(sorted(sorted(pair) for pair in lacking)))
            for kind in dice.sample([kind for kind in kinds if kind not in row], len(kinds) - 2):
                new = {
                    choice: sum(frozenset([(kind, choice), chosen]) in lacking for chosen in row.items())
                    for choice in kinds[kind]
                }
                row[kind] = dice.choice([choice for choice in new if new[choice] == max(new.values())])
            lacking -= {frozenset(pair) for pair in itertools.combinations(row.items(), 2)}
            yield {kind: row[kind] for kind in kinds}


def make_locales(folder: Path) -> set[str]:
    """Compiles the locales into the folder, where the system can; returns the names of those that were."""
    folder.mkdir()
    if shutil.which("localedef") is None:
        return set()
    for name, (language, charset) in LOCALES.items():
        words = ["localedef", "--inputfile", language, "--charmap", charset, folder / name]
        subprocess.run(words, capture_output=True)
    return {path.name for path in folder.iterdir()}


def run(
    name: str,
    out: Path,
    data: Path,
    cwd: Path,
    environment: Mapping[str, str | None],
    *,
    terminal: bool = False,
    python: Path | str = sys.executable,
) -> Ended:
    """The command as a program of its own, in just this environment besides its parent's."""
    words = [word.format(data=data) for word in COMMANDS[name].split()]
    words = [str(python), "-m", f"experiments.{words[0]}", *words[1:], "--out", str(out)]
    there = {key: value for key, value in (os.environ | environment).items() if value is not None}
    if not terminal:
        ended = subprocess.run(
            words, cwd=cwd, env=there, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        return Ended(ended.returncode, last(ended.stdout))
    ours, theirs = os.openpty()
    with subprocess.Popen(words, cwd=cwd, env=there, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        said = b""
        with open(ours, "rb", buffering=0) as screen:
            try:
                while part := screen.read(4096):
                    said += part
            except OSError as error:
                if error.errno != errno.EIO:  # so Linux says that nobody holds the terminal any more
                    raise
    return Ended(process.returncode, last(said))


def last(said: bytes) -> str:
    return " ".join(said.decode(errors="replace").split())[-600:]


def utf8_names(environment: Mapping[str, str | None]) -> bool:
    """Whether a program in this environment takes the names of files to be UTF-8."""
    there = {key: value for key, value in (os.environ | environment).items() if value is not None}
    words = [sys.executable, "-c", "import sys; print(sys.getfilesystemencoding())"]
    return subprocess.run(words, env=there, capture_output=True, text=True, check=True).stdout == "utf-8\n"


NOT_NUMBERS = {"seconds", "worked", "peak_memory_bytes", "command", "versions", "made", "data_dir", "text_file"}
"""What two runs may differ in, at any depth: when, how long, how, by what and from where they were made."""


def left_behind(out: Path) -> dict[str, Any]:
    """What a run folder holds, but for how long it took and where it lay; of a checkpoint, that its arrays are there,
    and their digest, however many were saved before it."""
    files = {path.relative_to(out): path for path in sorted(out.rglob("*")) if path.is_file()}
    files = {name: path for name, path in files.items() if not name.name.startswith(".lock")}  # one for each process
    return {
        re.sub(r"checkpoint/[0-9]+/", "checkpoint/", name.as_posix()): content(path)
        for name, path in files.items()
        if "checkpoint" not in name.parts or name.parent.name.isdecimal() or name.name == "manifest.ocdbt"
    }


def content(path: Path) -> Any:
    data = path.read_bytes()
    if path.name == "meta.json":
        return json.loads(data)["digest"]
    if path.name in ("SHA256SUMS", "manifest.ocdbt"):  # of files that are named at random
        return len(data) > 0
    if path.suffix == ".json":
        return numbers(json.loads(data))
    if path.suffix == ".csv":
        return numbers(list(csv.DictReader(io.StringIO(data.decode()))))
    return data


def numbers(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: numbers(item) for key, item in value.items() if key not in NOT_NUMBERS}
    return [numbers(item) for item in value] if isinstance(value, list) else value


def difference(found: Mapping[str, Any], expected: Mapping[str, Any]) -> str:
    """The files that are not the same, in words; empty where all are."""
    odd = sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))
    return f"not the same: {', '.join(odd)}" if odd else ""
