"""The tables of the report: all commands at a glance, numbers beside those from elsewhere, settings, further runs.

Not a command itself: see `report`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from experiments.headlines import headlines
from jaxrnn.report.collect import Run
from jaxrnn.report.numbers import beyond, duration, in_words, middle, number, spread
from jaxrnn.report.page import Cell, Column, Table

_EMPTY = Cell("")


def overview(shown: Mapping[str, Run]) -> Table:
    """A row for each number that sums a command up; a command without any has a row too."""
    names = ("experiment", "state", "what", "result", "elsewhere", "time", "command")
    columns = [Column(name, name in ("result", "elsewhere", "time")) for name in names]
    rows = []
    for name, run in shown.items():
        first = [Cell(name, link=f"#run-{name}"), Cell("", state=run.state)]
        spent, last = _time(run), Cell(run.command, code=True)
        data = run.result["dataset"]["name"] if run.result else "none"
        small = data if data != "none" else ""
        found = headlines(name, run.metrics)
        rows += [
            [*first, Cell(in_words(metric), small=small), _here(run, metric), _elsewhere(run, metric), spent, last]
            for metric in found
        ]
        if not found:
            rows.append([*first, Cell("", small=small), _EMPTY, _EMPTY, spent, last])
    return Table("What each command found.", columns, rows)


def numbers(run: Run, metrics: Mapping[str, str], caption: str) -> Table:
    """Metrics, by what they are called here, beside the numbers from elsewhere; columns without a word are left out."""
    names = ("what", "here", "median (lowest to highest)", "runs", "elsewhere")
    columns = [Column(name, name not in ("what", "elsewhere")) for name in names]
    rows = []
    digits = 6 if run.result and run.result["seconds"].get("train") else 10  # what is not trained is exact
    for metric, label in metrics.items():
        one = run.metrics[metric]
        theirs = "; ".join(f"{number(ref['value'], metric, digits)}, {_source(ref)}" for ref in _found(run, metric))
        spread_out = [Cell(middle(one, metric)), Cell(str(count), count) if (count := len(one["runs"])) > 1 else _EMPTY]
        rows.append([Cell(label), _here(run, metric, digits), *spread_out, Cell(theirs)])
    kept = [place for place, _ in enumerate(columns) if any(row[place].text for row in rows)]
    said = f"{caption}: mean ± half of the 95% interval of several runs" if 2 in kept else caption
    return Table(said, [columns[place] for place in kept], [[row[place] for place in kept] for row in rows])


def settings(run: Run) -> Table:
    """What a run was made with, but for what was left open."""
    given = {key: value for key, value in run.result.get("config", {}).items() if value is not None}
    rows = [[Cell(in_words(key)), Cell(str(value))] for key, value in given.items()]
    return Table(f"Settings of {run.name}", [Column("setting"), Column("value")], rows)


def runs(further: Sequence[Run]) -> Table:
    """Further runs of a command, with what sums them up."""
    names = ("folder", "state", "result", "time", "made", "command")
    columns = [Column(name, name == "time") for name in names]
    rows = []
    for run in further:
        found = [f"{in_words(key)} {spread(run.metrics[key], key)}" for key in headlines(run.experiment, run.metrics)]
        made = Cell(f"{run.made:%Y-%m-%d %H:%M}", run.made.timestamp())
        said = Cell(", ".join(found[:3]) or run.problem)
        rows.append([Cell(run.name), Cell("", state=run.state), said, _time(run), made, Cell(run.command, code=True)])
    return Table("Further runs, the newest first", columns, rows)


def others(unknown: Sequence[Run]) -> Table:
    """Run folders whose command is not known."""
    rows = [[Cell(run.name), Cell("", state=run.state), Cell(run.problem)] for run in unknown]
    return Table("Other folders", [Column("folder"), Column("state"), Column("what is wrong")], rows)


def _time(run: Run) -> Cell:
    if not run.result:
        return _EMPTY
    seconds = run.result["seconds"]["total"]
    return Cell(duration(seconds), seconds, small=run.result["device"])


def _here(run: Run, metric: str, digits: int = 4) -> Cell:
    one = run.metrics[metric]
    if len(one["runs"]) == 1:
        return Cell(number(one["mean"], metric, digits), one["mean"])
    if beyond(one, metric):
        return Cell(middle(one, metric), one["mean"], small="median (lowest to highest)")
    return Cell(spread(one, metric), one["mean"])


def _found(run: Run, metric: str) -> list[Mapping[str, Any]]:
    return [one for one in run.result["reference"] if one.get("metric") == metric]


def _elsewhere(run: Run, metric: str) -> Cell:
    first = next(iter(_found(run, metric)), None)
    return _EMPTY if first is None else Cell(number(first["value"], metric), first["value"], small=first["what"])


def _source(reference: Mapping[str, Any]) -> str:
    return f"{reference['what']} ({reference['note']})" if reference.get("note") else reference["what"]
