"""An experiment that works something out, shows it, and leaves a run folder like all others; what it trains is small
and belongs to what is shown."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
from rich.console import Console
from rich.table import Table

from jaxrnn import command, runfolder
from jaxrnn.command import Settings, plain_console

NO_DATA: runfolder.DatasetFacts = {"name": "none", "source": "nothing is trained", "train": 0, "test": 0}


class Shown(NamedTuple):
    """What was worked out."""

    metrics: Mapping[str, Any]
    """By name, one number a run (one number alone for a single one)."""
    answers: Mapping[str, str]
    """The papers' questions by id."""
    reference: Sequence[runfolder.Reference] = ()
    """The papers' numbers beside the metrics."""
    parameters: int = 0
    """Of the network that was looked at, where there is one."""
    top: Mapping[str, Any] = {}
    """Further entries of ``result.json``."""
    dataset: runfolder.DatasetFacts = NO_DATA
    """What was trained on, where something was."""
    seconds: Mapping[str, float] = {"compile": 0.0, "train": 0.0}
    """Spent on training, where something was trained."""
    devices: Sequence[jax.Device] = ()
    """The devices that were used, the first one where none are named."""


@runfolder.holding()
def demonstrate(name: str, settings: Settings, show: Callable[[Console, Path], Shown]) -> dict[str, Any]:
    """Open the run folder, let ``show`` print and write its tables and figures there, and write ``result.json``.

    Returns what ``result.json`` says. An earlier run in the folder is set aside.

    Raises:
        SettingsError: a folder that cannot be written, or that another process is at work in.
        UserError: a full disk and the like.
    """
    began = time.perf_counter()
    console = plain_console()
    out = command.open_run(name, settings, console)
    config = command.config(settings)
    runfolder.write_json(out / "config.json", config)
    shown = show(console, out)
    total = time.perf_counter() - began
    result = runfolder.write_result(
        out,
        experiment=name,
        command=command.command_line(name),
        finished=True,
        dataset=shown.dataset,
        config=config,
        parameters=shown.parameters,
        metrics=shown.metrics,
        reference=shown.reference,
        answers=shown.answers,
        seconds={"total": total, **shown.seconds},
        devices=shown.devices or jax.local_devices()[:1],
        top=shown.top,
    )
    table = Table(title="Result", title_justify="left")
    table.add_column("metric")
    table.add_column("value", justify="right")
    for metric, values in result["metrics"].items():
        table.add_row(metric, "not finite" if values["mean"] is None else f"{values['mean']:.10g}")
    console.print(table)
    files = ", ".join(sorted(path.name for path in out.iterdir() if not path.name.startswith(".")))
    console.print(f"{total:.1f} s; {files} are in {out}")
    return result
