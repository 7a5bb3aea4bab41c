"""Run folders as they are found on the disk: finished, stopped, or broken."""

import csv
import datetime
import math
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from jaxrnn import runfolder
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
    state: Literal["finished", "quick", "failed", "stopped", "broken", "missing"]
    """``quick``: finished, by ``--quick``; ``failed``: it ended without a useful result; ``broken``: its
    ``result.json`` cannot be read; ``missing``: there is no folder."""
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
        """As it was typed; where that is not known, as it can be."""
        return self.result.get("command", f"python -m experiments.{self.experiment}")

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
            if not (self.folder / "sweep.csv").exists():
                return {self.name: rows} if rows else {}
            labels = {float(row["run"]): _settings(row) for row in _rows(self.folder / "sweep.csv")}
            return {
                label: [row for row in rows if labels.get(row["run"]) == label]
                for label in dict.fromkeys(labels.values())
            }
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
    """Every run folder at or below ``root``, the newest first; checkpoints and hidden folders are not looked into.

    Raises DataError where there is no such folder.
    """
    if not root.is_dir():
        raise DataError(f"there is no folder {root}: name the one that the runs are in by --runs")
    found = []
    for folder, below, files in os.walk(root):
        below[:] = sorted(name for name in below if name != "checkpoint" and not name.startswith("."))
        if "result.json" in files or "config.json" in files:
            found.append(_read(Path(folder), root, "result.json" in files))
    names = {run.folder: run.name for run in found}
    found = [run._replace(part_of=names.get(run.folder.parent)) for run in found]
    return sorted(found, key=lambda run: run.made, reverse=True)


def _read(folder: Path, root: Path, has_result: bool) -> Run:
    name = folder.relative_to(root).as_posix() if folder != root else folder.resolve().name
    experiment = SET_ASIDE.sub("", folder.resolve().name)
    made = _time_of(folder / ("result.json" if has_result else "config.json"))
    if not has_result:
        problem = "was stopped, or ended by an error, before there was a result"
        return Run(folder, name, experiment, "stopped", problem, {}, made)
    try:
        result = runfolder.read_json(folder / "result.json")
        _check(result, folder)
    except DataError as error:
        return Run(folder, name, experiment, "broken", str(error), {}, made)
    if "made" in result:
        made = datetime.datetime.fromisoformat(result["made"])
    if not result["finished"]:
        return Run(folder, name, result["experiment"], "failed", "no run of it kept a finite loss", result, made)
    state: Literal["quick", "finished"] = "quick" if result["config"].get("quick") else "finished"
    return Run(folder, name, result["experiment"], state, "", result, made)


def _time_of(path: Path) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(path.stat().st_mtime, datetime.UTC).replace(microsecond=0)


_PARTS = {
    "experiment": str,
    "command": str,
    "finished": bool,
    "dataset": dict,
    "config": dict,
    "metrics": dict,
    "reference": list,
    "answers": dict,
    "seconds": dict,
    "device": str,
}


def _check(result: Any, folder: Path) -> None:
    """Raises DataError where it is not what `jaxrnn.runfolder.write_result` writes."""
    if not isinstance(result, dict):
        raise DataError(f"{folder / 'result.json'} is no result of a run")
    odd = [key for key, kind in _PARTS.items() if not isinstance(result.get(key), kind)]
    odd += (
        [f"metrics.{key}" for key, one in result.get("metrics", {}).items() if not _is_metric(one)] if not odd else []
    )
    if odd:
        raise DataError(f"{folder / 'result.json'} has no {', '.join(odd)} as a run writes it: run it again")


def _is_metric(one: Any) -> bool:
    return isinstance(one, dict) and {"mean", "std", "runs"} <= one.keys() and isinstance(one["runs"], list)


RANK = {state: place for place, state in enumerate(("finished", "quick", "failed", "stopped", "broken", "missing"))}
"""The states of a run, the most telling one first."""


def best(runs: Sequence[Run]) -> Run | None:
    """The run to show of several: a finished one before others, real data before ``--quick``, one of its own before a
    part of a comparison and before one that was set aside, and then the newest; None of none."""

    def rank(run: Run) -> tuple[Any, ...]:
        earlier = any(map(SET_ASIDE.search, run.name.split("/")))
        return RANK[run.state], earlier, run.part_of is not None, -run.made.timestamp()

    return min(runs, key=rank, default=None)


def missing(experiment: str, root: Path, message: str = "") -> Run:
    """The lack of a run; with a message, because it ended with that error."""
    state: Literal["failed", "missing"] = "failed" if message else "missing"
    problem = f"it ended with an error ({message})" if message else "it has not been run"
    return Run(root / experiment, experiment, experiment, state, problem, {}, datetime.datetime.now(datetime.UTC))
