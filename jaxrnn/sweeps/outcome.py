"""What a sweep came to: its runs as rows, its settings from the best to the worst, and the files it leaves."""

import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from rich.table import Table

from jaxrnn import checkpoint, command, runfolder
from jaxrnn.command import plain_console
from jaxrnn.errors import UserError
from jaxrnn.sweeps.grid import Point
from jaxrnn.sweeps.plan import Chunk, Group, SweepSettings, in_short, objective
from jaxrnn.sweeps.training import Record, number, ranked, seconds_worked
from jaxrnn.words import mean_interval

FINISHED = ("finished", "stopped early")
"""What the status of a run says that was trained to its end."""

SHOWN = 20
"""How many rows a table has at most."""


@dataclass(frozen=True)
class Swept:
    """What became of a sweep's runs."""

    points: Sequence[Point]
    seeds: int
    groups: Sequence[Group]
    chunks: Mapping[int, Chunk]
    """Each run's last one."""
    rows: Sequence[Mapping[str, Any]]
    """A row for each run, as in ``sweep.csv``: ``run``, ``point``, the swept settings, ``seed``, ``status``, metrics
    (NaN for a run that diverged; where a study has a `Watch`, those of the best model, and as ``last_...`` of the
    last), ``epochs`` and ``seconds``."""
    history: Sequence[Mapping[str, Any]]
    """A row for each run and epoch, as in ``history.csv``."""
    metric: str
    """What makes a point better."""
    high: bool
    """Whether more of it is better."""

    def values(self, point: int, metric: str | None = None) -> np.ndarray:
        """A metric (what makes a point better, where not given) of a point's runs; NaN for one that did not finish."""
        rows = [row for row in self.rows if row["point"] == point]
        return np.array(
            [row.get(metric or self.metric, np.nan) if row["status"] in FINISHED else np.nan for row in rows], float
        )

    def curves(self, point: int, metric: str) -> dict[float, list[float]]:
        """A column of the history of a point's runs: their values by epoch."""
        found: dict[float, list[float]] = {}
        for row in self.history:
            if row["run"] // self.seeds == point and metric in row:
                found.setdefault(row["epoch"], []).append(row[metric])
        return found

    def reached(self, point: int, metric: str, level: float) -> np.ndarray:
        """The first epoch at which a column of the history of each of a point's runs is ``level`` or more; NaN where
        it never is."""
        first = np.full(self.seeds, np.nan)
        for row in self.history:
            of, run = divmod(row["run"], self.seeds)
            if of == point and row.get(metric, -np.inf) >= level:
                first[run] = np.fmin(first[run], row["epoch"])
        return first

    def ranking(self) -> list[int]:
        """The points from the best to the worst: more runs that finished are better, then the better mean."""
        return ranked({point: self.values(point) for point in range(len(self.points))}, self.high)

    def group(self, point: int) -> Group:
        """The group that a point was trained in."""
        return next(group for group in self.groups if point in group.points)

    def models(self, point: int) -> Any:
        """The trained models of a point's runs, with a leading run axis; see `jaxrnn.train.Run.final`."""
        restored, models = dict[Path, Any](), []
        for run in range(point * self.seeds, (point + 1) * self.seeds):
            chunk = self.chunks[run]
            if chunk.saved not in restored:
                restored[chunk.saved], _ = checkpoint.restore(chunk.saved, self.groups[chunk.group].abstract())
            models.append(jax.tree.map(itemgetter(chunk.runs.index(run)), restored[chunk.saved].final))
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *models)


class Finding(NamedTuple):
    """What there is to say of a sweep."""

    metrics: Mapping[str, Any] = {}
    """By name, one number a run."""
    answers: Mapping[str, str] = {}
    """By the papers' ids."""
    reference: Sequence[runfolder.Reference] = ()
    """The papers' numbers beside the metrics."""
    top: Mapping[str, Any] = {}
    """Further entries of ``result.json``."""


def gather(
    settings: SweepSettings,
    groups: Sequence[Group],
    points: Sequence[Point],
    trained: Sequence[tuple[Chunk, Record]],
) -> Swept:
    """The rows of all runs, in their order."""
    rows, history = [], []
    for _, record in trained:
        history += [{name: number(value) for name, value in row.items()} for row in record["history"]]
        for entry in record["runs"]:
            point, seed = divmod(entry["run"], settings.seeds)
            row = {"run": entry["run"], "point": point, **points[point], "seed": seed}
            row |= {"status": _status(settings, entry)}
            row |= {name: number(value) for name, value in entry["metrics"].items()}
            rows.append(row | {"epochs": entry["epochs"], "seconds": entry["seconds"]})
    rows.sort(key=lambda row: row["run"])
    history.sort(key=lambda row: (row["run"], row["epoch"]))
    metric, high = objective(settings, [group.study for group in groups])
    chunks = {entry["run"]: chunk for chunk, record in trained for entry in record["runs"]}
    return Swept(points, settings.seeds, groups, chunks, rows, history, metric, high)


def _status(settings: SweepSettings, entry: Mapping[str, Any]) -> str:
    if entry["diverged_at"] is not None:
        return f"diverged at step {entry['diverged_at']}"
    if entry["stopped_early"]:
        return "stopped early"
    if entry["epochs"] < settings.total_epochs():
        return f"halved after epoch {entry['epochs']}"
    return "finished"


def leave(
    name: str,
    out: Path,
    settings: SweepSettings,
    config: Mapping[str, Any],
    swept: Swept,
    trained: Sequence[tuple[Chunk, Record]],
    find: Callable[[Swept, Path], Finding],
) -> dict[str, Any]:
    """Write what the sweep came to, with what ``find`` has to say of it; returns what ``result.json`` says.

    Its ``parameters`` are all programs' together, its metric ``runs`` is how many runs finished; of its ``seconds``,
    ``compile`` and ``train`` are those of all devices together.

    Raises:
        UserError: a full disk and the like; no run came through with a finite loss.
    """
    began = time.perf_counter()
    for file, rows in (("sweep.csv", swept.rows), ("history.csv", swept.history)):
        columns = dict.fromkeys(column for row in rows for column in row)  # those of one group may lack in another
        runfolder.write_csv(out / file, [{column: row.get(column) for column in columns} for row in rows])
    finished = sum(row["status"] in FINISHED for row in swept.rows)
    finding = find(swept, out) if finished else Finding()
    records = [record for _, record in trained]
    seconds = {kind: sum(record["seconds"][kind] for record in records) for kind in ("compile", "train")}
    result = runfolder.write_result(
        out,
        experiment=name,
        command=command.command_line(name),
        finished=finished > 0,
        dataset=swept.groups[0].study.facts(settings.total_epochs()),
        config=config,
        parameters=sum(group.parameters for group in swept.groups),
        metrics={"runs": finished, **finding.metrics},
        reference=finding.reference,
        answers=finding.answers,
        seconds={"total": seconds_worked(records) + time.perf_counter() - began, **seconds},
        devices=jax.local_devices()[: settings.devices],
        top={**finding.top, **_cost(swept, trained)},
    )
    if not finished:
        raise UserError(f"no run kept a finite loss: see {out / 'sweep.csv'}; lower --learning-rate or set --clip-norm")
    seconds = result["seconds"]
    files = ", ".join(sorted(path.name for path in out.iterdir() if not path.name.startswith(".")))
    plain_console().print(
        f"{finished} of {len(swept.rows)} runs finished; {seconds['total']:.1f} s "
        f"(on all devices together {seconds['compile']:.1f} s compiling, {seconds['train']:.1f} s training); "
        f"{files} are in {out}"
    )
    return result


def _cost(swept: Swept, trained: Sequence[tuple[Chunk, Record]]) -> dict[str, Any]:
    """What was compiled, and the memory it took: of each program on one device, and the most that this process held."""
    memory = {chunk.group: record["memory"] for chunk, record in trained}
    programs = [
        {
            "points": group.points,
            "parameters": group.parameters,
            "width": group.width,
            "bytes_on_a_device": memory.get(place, 0),
        }
        for place, group in enumerate(swept.groups)
    ]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"programs": programs, "peak_memory_bytes": peak if sys.platform == "darwin" else 1024 * peak}


def ranking_table(swept: Swept) -> Table:
    """The settings from the best to the worst."""
    words = swept.metric.replace("_", " ")
    table = Table(title=f"{words}, mean ± half of the 95% interval over the seeds", title_justify="left")
    for column in (*swept.points[0], words, "finished"):
        table.add_column(column, justify="right")
    ranking = swept.ranking()
    for point in ranking[:SHOWN]:
        values = swept.values(point)
        finished = int(np.isfinite(values).sum())
        halved = any(row["status"].startswith("halved") for row in swept.rows if row["point"] == point)
        words = "left at a rung" if halved and not finished else mean_interval(values)
        table.add_row(*map(in_short, swept.points[point].values()), words, f"{finished} of {len(values)}")
    if len(ranking) > SHOWN:
        table.caption = f"... and {len(ranking) - SHOWN} more, see sweep.csv"
    return table
