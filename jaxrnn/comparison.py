"""Several studies side by side: each trained in a run folder of its own, below the one that compares them."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from rich.console import Console
from rich.table import Table

from jaxrnn import command, plots, runfolder
from jaxrnn.command import TrainingSettings, plain_console
from jaxrnn.runfolder import Reference
from jaxrnn.study import STARTED, Outcome, Study, carry_out, check_same_run


class Part(NamedTuple):
    """One of the studies that are compared."""

    name: str
    """In tables and figures."""
    experiment: str
    """The command whose run this is: that command goes on with the part's folder as with one of its own."""
    settings: TrainingSettings
    study: Study


class Finding(NamedTuple):
    """What there is to say of the trained parts together."""

    metrics: Mapping[str, Any] = {}
    """By name, one number a run."""
    answers: Mapping[str, str] = {}
    """By the papers' ids."""


@runfolder.holding()
def compare(
    name: str,
    settings: TrainingSettings,
    parts: Mapping[str, Part],
    find: Callable[[Mapping[str, Outcome], Path], Finding],
) -> dict[str, Any]:
    """Train every part one after the other, and leave a run folder for all; returns what its ``result.json`` says.

    The folder has ``comparison.csv`` and ``accuracy.png`` (each part's accuracy with its 95% interval over the runs,
    beside what its study has from elsewhere), ``curves.png``, and a run folder for each part under its key.
    ``result.json`` has each part's metrics as ``<key>_<metric>``, and ``<key>_parameters`` and
    ``<key>_seconds_per_epoch`` (the median epoch's, per run), and in ``parts`` its settings by its key; its
    ``parameters`` are all parts' together. ``find`` looks at the trained parts, and may leave files of its own. With
    ``--resume``, finished parts are read back, and the first unfinished one goes on where it was.

    Raises:
        CheckpointError: with ``--resume``, nothing to resume, or a comparison with other settings.
        UserError: as `jaxrnn.study.carry_out`.
        Stopped: told to stop; all is saved.
    """
    console = plain_console()
    config = command.config(settings)
    out = command.open_run(name, settings, console)
    if settings.resume:
        check_same_run(name, out, config, (*command.free(settings), "epochs"))
    runfolder.write_json(out / "config.json", config)

    outcomes: dict[str, Outcome] = {}
    began = STARTED
    for number, (key, part) in enumerate(parts.items()):
        console.rule(f"{number + 1} of {len(parts)}: {part.name}", align="left")
        begun = settings.resume and (out / key / "config.json").exists()
        part_settings = replace(part.settings, out=out / key, resume=begun)
        outcomes[key] = carry_out(part.experiment, part_settings, part.study, began, part_of=name)
        began = time.perf_counter()

    console.rule("All together", align="left")
    rows = [_row(key, parts[key], outcome) for key, outcome in outcomes.items()]
    runfolder.write_csv(out / "comparison.csv", [{k: v for k, v in row.items() if k != "runs"} for row in rows])
    first = next(iter(outcomes.values())).result
    title = f"{first['dataset']['name']}: "
    runfolder.save_figure(plots.comparison.scores(rows, title + "accuracy on the test set"), out / "accuracy.png")
    histories = {parts[key].name: outcome.fitted.progress.history for key, outcome in outcomes.items()}
    runfolder.save_figure(plots.curves.comparison(histories, title + "what training brings"), out / "curves.png")
    finding = find(outcomes, out)

    metrics: dict[str, Any] = {}
    for key, outcome in outcomes.items():
        metrics |= {f"{key}_{metric}": values["runs"] for metric, values in outcome.result["metrics"].items()}
    metrics |= {f"{row['key']}_{column}": row[column] for row in rows for column in ("parameters", "seconds_per_epoch")}
    spent = {
        kind: sum(outcome.result["seconds"][kind] for outcome in outcomes.values())
        for kind in ("total", "compile", "train")
    }
    result = runfolder.write_result(
        out,
        experiment=name,
        command=command.command_line(name),
        finished=True,
        dataset=first["dataset"],
        config=config,
        parameters=sum(outcome.result["parameters"] for outcome in outcomes.values()),
        metrics=metrics | dict(finding.metrics),
        reference=[
            Reference(**{**one, "metric": f"{key}_{one['metric']}"})
            for key, part in parts.items()
            for one in part.study.reference
        ],
        answers=finding.answers,
        seconds=spent | {"total": spent["total"] + time.perf_counter() - began},
        devices=jax.local_devices()[: settings.devices],
        top={"parts": {key: outcome.result["config"] for key, outcome in outcomes.items()}},
    )
    _conclude(console, rows, result, out)
    return result


def _row(key: str, part: Part, outcome: Outcome) -> dict[str, Any]:
    accuracy, loss = (outcome.result["metrics"][metric] for metric in ("test_accuracy", "test_loss"))
    history = outcome.fitted.progress.history
    seconds = np.median([row["seconds"] for row in history]) if history else float("nan")
    return {
        "key": key,
        "model": part.name,
        "parameters": outcome.result["parameters"],
        "mean": accuracy["mean"],
        "half_width": runfolder.half_width(accuracy["runs"]),
        "runs": accuracy["runs"],
        "test_loss": loss["mean"],
        "seconds_per_epoch": float(seconds) / len(accuracy["runs"]),
        "printed": next((one["value"] for one in part.study.reference if one["metric"] == "test_accuracy"), None),
    }


def percent(accuracies: Any) -> str:
    """The accuracies of several runs in words, with half of the 95% interval of their mean: ``98.54 ± 0.16 %``."""
    mean, half = runfolder.metric(accuracies)["mean"], runfolder.half_width(accuracies)
    if mean is None:
        return "not finite"
    return f"{100 * mean:.2f}{'' if half is None else f' ± {100 * half:.2f}'} %"


def _conclude(console: Console, rows: list[dict[str, Any]], result: dict[str, Any], out: Path) -> None:
    count = len(rows[0]["runs"])
    interval = "mean ± half of the 95% interval over the runs" if count > 1 else "of one run"
    table = Table(title=f"Test accuracy, {interval}", title_justify="left")
    table.add_column("model")
    printed = any(row["printed"] is not None for row in rows)
    columns = ("parameters", "test accuracy", *(["printed"] if printed else []), "test loss", "s / epoch and run")
    for column in columns:
        table.add_column(column, justify="right")
    for row in rows:
        loss = "not finite" if row["test_loss"] is None else f"{row['test_loss']:.4f}"
        theirs = [f"{100 * row['printed']:.2f} %" if row["printed"] is not None else ""] if printed else []
        numbers = f"{row['parameters']:,}", percent(row["runs"]), *theirs, loss, f"{row['seconds_per_epoch']:.2f}"
        table.add_row(row["model"], *numbers)
    console.print(table)
    seconds = result["seconds"]
    console.print(
        f"{seconds['total']:.1f} s ({seconds['compile']:.1f} s compiling, {seconds['train']:.1f} s training); "
        f"result.json, comparison.csv, the figures, and a run folder for each model are in {out}"
    )
