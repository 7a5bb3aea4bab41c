"""The report: every question of the five papers with its answer, figures and numbers, as one page.

python -m experiments.report [--runs runs] [--out FOLDER]
"""

import datetime
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypedDict

from experiments import EXPERIMENTS
from experiments import report_tables as tables
from experiments.papers import Paper, Question
from experiments.papers.index import PAPERS
from jaxrnn import runfolder
from jaxrnn.command import command, plain_console
from jaxrnn.errors import DataError
from jaxrnn.report import charts
from jaxrnn.report.collect import RANK, Run, best, collect, missing
from jaxrnn.report.numbers import duration, in_words
from jaxrnn.report.page import Album, Card, Entry, Page, Section, render


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Put all runs into one page: every question of the papers, its answer, its figures, and its numbers beside theirs.

    Writes report.html, which needs nothing beside it: no network, no other file. Of several runs of a command the page
    shows the newest finished one, real data before small, and lists the others. What is missing, stopped, failed or
    broken is shown as such, with the command that would mend it. All of them, and this page: python -m experiments.all.
    """

    runs: Path = Path("runs")
    """The folder that all run folders are in, at any depth."""
    out: Path | None = None
    """Folder for report.html; that of the runs where not given."""


def main(name: str, settings: Settings) -> Path:
    """Write the report, and say where it is and what is still missing; returns its path.

    Raises:
        DataError: there is no such folder of runs.
        SettingsError: a folder that cannot be written.
        UserError: a full disk and the like.
    """
    runs = collect(settings.runs)
    page = compose(runs, settings.runs, said_by_all(settings.runs))
    path = runfolder.open_folder(settings.out or settings.runs) / "report.html"
    runfolder.write_bytes(path, render(page).encode(errors="replace"))
    entries = [entry for section in page.sections for entry in section.entries]
    odd = [entry.id for entry in entries if entry.state != "finished"]
    say = partial(plain_console().print, highlight=False, soft_wrap=True)
    say(f"{len(runs)} run folders, {len(entries) - len(odd)} of {len(entries)} questions answered: {path}")
    if odd:
        say(f"Not answered, or on small data only: {', '.join(odd)}. The page says what to run.")
    return path


class _Entry(TypedDict):
    state: str
    message: str


def said_by_all(root: Path) -> Mapping[str, str]:
    """What each command that failed under `experiments.all` said last, by its name."""
    try:
        kept = runfolder.read_json(root / "all.json", dict[str, _Entry])
    except DataError:
        return {}  # it ran nothing, or the file is another's
    return {name: one["message"] or "no word" for name, one in kept.items() if one["state"] == "failed"}


def compose(runs: Sequence[Run], root: Path, failures: Mapping[str, str]) -> Page:
    """The page of these runs; ``failures`` is what `said_by_all` gives."""
    of = {name: [run for run in runs if run.experiment == name] for name in EXPERIMENTS}
    shown = {name: best(of[name]) or missing(name, root, failures.get(name, "")) for name in EXPERIMENTS}
    notes = {name: _note(run, failures.get(name, "")) for name, run in shown.items()}
    album = Album(root)
    finished = [run for run in shown.values() if run.state == "finished"]
    return Page(
        title="Five papers on recurrent networks, answered",
        facts=_facts(runs, finished),
        overview=tables.overview(shown),
        sections=[_section(paper, shown, notes, album) for paper in PAPERS],
        cards=[_card(run, of[name], runs, notes[name], album) for name, run in shown.items()],
        others=tables.others([run for run in runs if run.experiment not in of]),
        closing="Made by python -m experiments.report of jaxrnn. Every number stands in the result.json of a run.",
    )


def _facts(runs: Sequence[Run], finished: Sequence[Run]) -> list[str]:
    devices = sorted({run.result["device"] for run in finished})
    versions: dict[str, set[str]] = {}
    for run in finished:
        for package, version in run.result.get("versions", {}).items():
            versions.setdefault(package, set()).add(version)
    told = [f"{package} {' and '.join(sorted(found))}" for package, found in versions.items()]
    today = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    first = f"{today}: {len(runs)} run folders, {len(finished)} of {len(EXPERIMENTS)} commands with a finished run."
    made = [f"Devices: {'; '.join(devices)}. Versions: {', '.join(told)}."] if finished else []
    return [first, *made, "A click on a figure enlarges it."]


def _note(run: Run, failure: str) -> str:
    """What there is to say of a command without a finished run on real data; nothing of others."""
    usual = run.folder == Path("runs") / run.experiment or run.part_of is not None
    again = f"python -m experiments.{run.experiment}{'' if usual else f' --out {run.folder}'}"
    reason = f" ({failure})" if failure and failure not in run.problem else ""
    if run.state == "finished":
        return ""
    if run.state == "small":
        data = run.result["dataset"]["name"]
        small = "by --quick" if run.result["config"].get("quick") else f"on {data}, which stands in for the real data"
        return f"this is a run {small}; python -m experiments.{run.experiment} gives the real numbers{reason}."
    if run.state == "stopped":
        resumed = f"{again} --resume, with the settings it was begun with, goes on with it if it trains"
        return f"the run in {run.name} {run.problem}{reason}; {resumed}."
    return f"{run.problem}{reason}; run {again}."


def _section(paper: Paper, shown: Mapping[str, Run], notes: Mapping[str, str], album: Album) -> Section:
    entries = [_entry(question, shown, notes, album) for question in paper.questions]
    answered, small = (sum(entry.state == state for entry in entries) for state in ("finished", "small"))
    said = f"{answered} of {len(entries)} answered" + (f", {small} more on small data only" if small else "")
    return Section(paper.key.lower(), paper.key, f"{paper.title} ({paper.course})", paper.cite, said, entries)


def _entry(question: Question, shown: Mapping[str, Run], notes: Mapping[str, str], album: Album) -> Entry:
    runs = [shown[name] for name in question.commands]
    able = sorted((run for run in runs if question.id in run.answers), key=lambda run: RANK[run.state])
    run = able[0] if able else runs[0]
    note = notes[run.experiment]
    if not able and not note:
        note = f"the run in {run.name} has no answer to it; run python -m experiments.{run.experiment} again."
    figures = [path for file in question.figures if (path := run.folder / file).exists()] if able else []
    wanted = {metric: label for metric, label in question.metrics.items() if able and metric in run.metrics}
    return Entry(
        id=question.id,
        place=question.place,
        question=question.question,
        state=run.state if able or run.state != "finished" else "missing",
        note=note,
        answer=run.answers.get(question.id, ""),
        figures=album.place(figures),
        numbers=tables.numbers(run, wanted, f"Numbers of {run.name}" if run.part_of else "Numbers"),
        command=run.command,
        others=[
            {"name": other.experiment, "answer": said}
            for other in able[1:]
            if (said := other.answers[question.id]) != run.answers[question.id]
        ],
    )


def _card(run: Run, mine: Sequence[Run], runs: Sequence[Run], note: str, album: Album) -> Card:
    result = run.result
    facts = []
    if result:
        data = result["dataset"]
        facts = [
            f"in {run.name}",
            f"made {run.made:%Y-%m-%d %H:%M} UTC",
            duration(result["seconds"]["total"]),
            result["device"],
            f"{result['parameters']:,} parameters" if result.get("parameters") else "",
            f"{data['name']}: {data['source']}" if data["name"] != "none" else "",
        ]
    return Card(
        name=run.experiment,
        state=run.state,
        facts="; ".join(fact for fact in facts if fact),
        note=note,
        command=run.command,
        chart=_chart(run, mine, runs),
        figures=album.place(run.figures),
        numbers=tables.numbers(run, {metric: in_words(metric) for metric in run.metrics}, "All numbers"),
        settings=tables.settings(run),
        runs=tables.runs([one for one in mine if one is not run]),
    )


def _chart(run: Run, mine: Sequence[Run], runs: Sequence[Run]) -> dict[str, Any] | None:
    """The learning curves of the run and of further ones of its command, as far as they show the same; of a comparison,
    those of its parts."""
    parts = sorted((one for one in runs if one.part_of == run.name and one.result), key=lambda one: one.made)
    chosen = parts or [run, *(one for one in mine if one is not run and one.state == run.state)]
    found = [(one, one.histories()) for one in chosen if one.result]
    column = charts.drawn([rows for _, histories in found for rows in histories.values()])
    if column is None:
        return None
    every = [steps if isinstance(steps := one.result["config"].get("every"), int) else 1 for one, _ in found]
    lines = [
        charts.line(_label(one, label, len(found) > 1), rows, column, steps)
        for (one, histories), steps in zip(found, every, strict=True)
        for label, rows in histories.items()
    ]
    return charts.chart(charts.gathered(lines), column, "epoch" if set(every) == {1} else "training step")


def _label(run: Run, label: str, several: bool) -> str:
    """What a line is called: by the settings of a sweep, and by the folder where there are several."""
    folder = run.name.rpartition("/")[2].replace("_", " ") if run.part_of else run.name
    return folder if label == run.name else f"{folder}, {label}" if several else label


if __name__ == "__main__":
    sys.exit(command("report", Settings, main))
