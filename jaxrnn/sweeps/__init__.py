"""Many runs of one experiment, for many settings and seeds, as few compiled programs.

A point is one setting of what is swept, and is trained once for each seed. Points that differ in traced
hyperparameters alone (the fields of `jaxrnn.train.Hparams`) are a group: one program, compiled once for each device,
that trains a number of runs, the width, side by side. A group's runs go in chunks of that many, the last one padded, so
that the width, which a number depends on to its last bit, is the same for all of them; each device takes the next chunk
when it has finished one. Each chunk has a folder of its own in ``chunks/``, with a checkpoint, and ``shard.json`` when
it is done: what was done before a sweep is stopped, or by another process, is never done again.

With halvings, all chunks train up to a rung, the worse half of the points is left there, and the runs of the better
half go on in chunks of their own, of the same width.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
from rich.console import Console
from rich.table import Table

from jaxrnn import command, runfolder
from jaxrnn.command import plain_console, stop_requests
from jaxrnn.study import Experiment, check_same_run
from jaxrnn.sweeps.grid import Point
from jaxrnn.sweeps.outcome import SHOWN, Finding, Swept, gather, leave, ranking_table
from jaxrnn.sweeps.plan import TRACED, Group, SweepSettings, as_typed, groups_of, settings_for, sweepable
from jaxrnn.sweeps.processes import Share, meeting, open_together
from jaxrnn.sweeps.training import Work, train
from jaxrnn.train import abstract_runs

__all__ = [
    "Finding", "Group", "Point", "SweepSettings", "Swept", "as_typed", "conduct", "ranking_table",
    "settings_for", "sweepable",
]  # fmt: skip


@runfolder.holding()
def conduct(
    name: str,
    settings: SweepSettings,
    experiment: Experiment,
    points: Sequence[Point],
    find: Callable[[Swept, Path], Finding],
) -> dict[str, Any] | None:
    """Train ``settings.seeds`` runs of every point, and leave a run folder; returns what its ``result.json`` says.

    Args:
        name: the command.
        settings: the command's; those that the experiment has too hold for all runs.
        experiment: what is trained.
        points: settings of the experiment by name, the same names in all of them.
        find: looks at what the runs came to, and may leave files of its own.

    The folder has ``sweep.csv`` (a row for each run), ``history.csv`` and ``chunks/``. As one of several processes,
    trains its share; all but process 0, which waits for the others and puts all together, return None. Where one of
    them dies, the others finish what is theirs.

    Raises:
        SettingsError: settings that make no sense, by themselves or together, or more runs at once than there is memory
            for; before anything trains.
        CheckpointError: with ``--resume``, nothing to resume, or a sweep with other settings.
        UserError: a full disk and the like; another process ended before its share was done; no run came through with
            a finite loss.
        Stopped: told to stop; all is saved.
    """
    settings.check()
    console = plain_console()
    out = settings.out or Path("runs") / name
    config = {**command.config(settings), "points": points}

    def open_folder() -> None:
        command.open_run(name, settings, console)
        if settings.resume:
            check_same_run(name, out, config, command.free(settings))
        runfolder.write_json(out / "config.json", config)

    with meeting(settings.coordinator, settings.processes, settings.process) as share:
        if share.count > 1:  # the others wait for process 0: what an earlier sweep left there is not theirs
            open_together(out, share, open_folder)
    groups = groups_of(experiment, settings, points)
    if share.count == 1:
        open_folder()
    out = runfolder.open_folder(out)
    _introduce(console, name, settings, groups, points, share)
    with stop_requests() as stop:
        trained = train(Work(experiment.name, out, settings, groups, points, share, stop))
    if trained is None:
        console.print(f"Process {share.index} of {share.count} has done its share; process 0 puts all together.")
        return None
    swept = gather(settings, groups, points, trained)
    return leave(name, out, settings, config, swept, trained, find)


def _introduce(
    console: Console,
    name: str,
    settings: SweepSettings,
    groups: Sequence[Group],
    points: Sequence[Point],
    share: Share,
) -> None:
    runs = len(points) * settings.seeds
    title = f"{name}: {len(points)} settings x {settings.seeds} seeds, {runs} runs, {len(groups)} programs"
    table = Table(title=title, title_justify="left")
    table.add_column("model")
    table.add_column("settings of the program")
    for column in ("settings", "parameters", "side by side", "memory"):
        table.add_column(column, justify="right")
    for group in groups[:SHOWN]:
        study = group.study
        model = abstract_runs(study.task, jax.random.key(0), study.hparams, study.train).model
        layers = [row.layer for row in study.summary(model)]
        own = as_typed({key: value for key, value in points[group.points[0]].items() if key not in TRACED})
        numbers = [f"{count:,}" for count in (len(group.points), group.parameters, group.width)]
        table.add_row("\n".join(layers), own, *numbers, f"{group.memory / 1e6:,.0f} MB")
    console.print(table)
    if len(groups) > SHOWN:
        console.print(f"... and {len(groups) - SHOWN} more programs")
    facts = groups[0].study.facts(settings.total_epochs())
    devices = runfolder.describe_devices(jax.local_devices()[: settings.devices])
    process = "" if share.count == 1 else f", process {share.index} of {share.count}"
    console.print(f"{facts['name']} ({facts['source']}); on {devices}{process}")
