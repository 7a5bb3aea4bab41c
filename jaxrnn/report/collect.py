"""Run folders as they are found on the disk: finished, stopped, or broken."""

import csv
import datetime
import math
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, NotRequired, TypedDict

from jaxrnn import runfolder
from jaxrnn.conforms import odd
from jaxrnn.data import STAND_INS
from jaxrnn.errors import DataError

SET_ASIDE = re.compile(r"\.\d+$")
"""How the folder of an earlier run ends (`jaxrnn.runfolder.set_aside`)."""


class Run(NamedTuple):
    """A run folder, or the lack of one."""

    folder: Path
    name: str
    """Its folder as seen from where all runs are: ``mnist_compare/gru``."""
    experiment: str
    """The command that it is a run of; where it has no result, what the folder's name says."""
    state: Literal["finished", "small", "failed", "stopped", "broken", "missing"]
    """``small``: finished, by ``--quick`` or on data that stand in for others; ``failed``: it ended without a useful
    result; ``broken``: its ``result.json`` cannot be read; ``missing``: there is no folder."""
    problem: str
    """What is wrong with it, in a line; nothing where it is finished."""
    result: Mapping[str, Any]
    """``result.json``; empty where there is none, or none that can be read."""
    made: datetime.datetime
    """When its result was written, in UTC; where it has none, when its settings were."""
    part_of: str | None = None
    """The name of the run whose folder it is in: a comparison, say."""

    @property
    def command(self) -> str:
        """What makes it from the beginning: as it was typed, but for ``--resume``; where that is not known, as it can
        be."""
        typed = self.result.get("command", f"python -m experiments.{self.experiment}")
        return typed.replace(" --resume", "")

    @property
    def answers(self) -> Mapping[str, str]:
        """The papers' questions by id."""
        return self.result.get("answers", {})

    @property
    def metrics(self) -> Mapping[str, Any]:
        """By name, each with ``mean``, ``std`` and ``runs``."""
        return self.result.get("metrics", {})

    @property
    def figures(self) -> list[Path]:
        """Its figures, by name."""
        return sorted(self.folder.glob("*.png"))

    def histories(self) -> dict[str, list[dict[str, float]]]:
        """``history.csv``, a row for each run and epoch, under the name of the folder; of a sweep, one for each of its
        settings, under their values. Nothing where there is none, or none that can be read."""
        try:
            rows = [{key: _number(text) for key, text in row.items()} for row in _rows(self.folder / "history.csv")]
            rows = [row for row in rows if math.isfinite(row["epoch"])]
            if not (self.folder / "sweep.csv").exists():
                return {self.name: rows} if rows else {}
            of = {float(row["run"]): _settings(row) or self.name for row in _rows(self.folder / "sweep.csv")}
            return {label: [row for row in rows if of.get(row["run"]) == label] for label in dict.fromkeys(of.values())}
        except (OSError, ValueError, TypeError, KeyError):
            return {}


def _rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _settings(row: Mapping[str, str]) -> str:
    """What a row of ``sweep.csv`` was trained with: the columns between the point's number and the seed."""
    columns = list(row)
    return ", ".join(
        f"{key.replace('_', ' ')} {row[key]}" for key in columns[columns.index("point") + 1 : columns.index("seed")]
    )


def _number(text: str) -> float:
    return float(text) if text else math.nan


def collect(root: Path) -> list[Run]:
    """Every run folder at or below ``root``, links to folders too, the newest first; checkpoints and hidden folders are
    not looked into.

    Raises DataError where there is no such folder.
    """
    if not root.is_dir():
        raise DataError(f"there is no folder {root}: name the one that the runs are in by --runs")
    found, seen = [], set()
    for folder, below, files in os.walk(root, followlinks=True):
        below[:] = sorted(name for name in below if name != "checkpoint" and not name.startswith("."))
        if (real := os.path.realpath(folder)) in seen:
            below.clear()
            continue
        seen.add(real)
        if "result.json" in files or "config.json" in files:
            found.append(_read(Path(folder), root, "result.json" in files))
    names = {run.folder: run.name for run in found}
    found = [run._replace(part_of=names.get(run.folder.parent)) for run in found]
    return sorted(found, key=lambda run: run.made, reverse=True)


def _read(folder: Path, root: Path, has_result: bool) -> Run:
    name = folder.relative_to(root).as_posix() if folder != root else folder.resolve().name
    experiment = SET_ASIDE.sub("", folder.resolve().name)
    try:
        seconds = (folder / ("result.json" if has_result else "config.json")).stat().st_mtime
    except OSError:
        seconds = 0.0
    made = datetime.datetime.fromtimestamp(seconds, datetime.UTC).replace(microsecond=0)
    if not has_result:
        problem = "has no result: it is running, was stopped, or ended by an error"
        return Run(folder, name, experiment, "stopped", problem, {}, made)
    try:
        result = runfolder.read_json(folder / "result.json")
        _check(result, folder)
    except DataError as error:
        return Run(folder, name, experiment, "broken", str(error), {}, made)
    if "made" in result:
        made = datetime.datetime.fromisoformat(result["made"])
    experiment = result["experiment"].partition("/")[0]  # mnist_fnn/image is one of two networks of a command
    if not result["finished"]:
        return Run(folder, name, experiment, "failed", "no run of it kept a finite loss", result, made)
    small = result["config"].get("quick") or result["dataset"]["name"] in STAND_INS
    return Run(folder, name, experiment, "small" if small else "finished", "", result, made)


class _Data(TypedDict):
    name: str
    source: str


class _Metric(TypedDict):
    mean: float | None
    runs: list[float | None]


class _Reference(TypedDict):
    what: str
    metric: str
    value: float
    note: NotRequired[str | None]


class _Seconds(TypedDict):
    total: float
    train: NotRequired[float]


class _Result(TypedDict):
    """What `jaxrnn.runfolder.write_result` writes, as far as the report reads it. ``made`` is younger than the others,
    and may be lacking."""

    experiment: str
    command: str
    finished: bool
    dataset: _Data
    config: dict[str, Any]
    parameters: float
    metrics: dict[str, _Metric]
    reference: list[_Reference]
    answers: dict[str, str]
    seconds: _Seconds
    device: str
    versions: dict[str, str]
    made: NotRequired[str]


def _is_time(value: str) -> bool:
    try:
        return datetime.datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False


def _check(result: Any, folder: Path) -> None:
    """Raises DataError where it is not what a run writes."""
    if not isinstance(result, dict):
        raise DataError(f"{folder / 'result.json'} is no result of a run")
    wrong = odd(result, _Result)
    if "made" in result and "made" not in wrong and not _is_time(result["made"]):
        wrong.append("made")
    if "metrics" not in wrong and not all(metric["runs"] for metric in result["metrics"].values()):
        wrong.append("metrics")
    if wrong:
        raise DataError(f"{folder / 'result.json'} has no {', '.join(wrong)} as a run writes it; run it again")


RANK = {state: place for place, state in enumerate(("finished", "small", "failed", "stopped", "broken", "missing"))}
"""The states of a run, the most telling one first."""


def best(runs: Sequence[Run]) -> Run | None:
    """The run to show of several: a finished one before others, real data before small ones, one of its own before a
    part of a comparison and before one that was set aside, and then the newest; None of none."""

    def rank(run: Run) -> tuple[Any, ...]:
        folders = [run.folder, run.folder.parent] if run.part_of else [run.folder]
        earlier = any(SET_ASIDE.search(one.name) and Path(SET_ASIDE.sub("", str(one))).exists() for one in folders)
        return RANK[run.state], earlier, run.part_of is not None, -run.made.timestamp()

    return min(runs, key=rank, default=None)


def missing(experiment: str, root: Path, message: str = "") -> Run:
    """The lack of a run; with a message, because it ended with that error."""
    state: Literal["failed", "missing"] = "failed" if message else "missing"
    problem = f"it ended with an error ({message})" if message else "it has not been run"
    return Run(root / experiment, experiment, experiment, state, problem, {}, datetime.datetime.now(datetime.UTC))
