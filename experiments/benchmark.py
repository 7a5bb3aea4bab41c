"""How long a training step takes, next to PyTorch, Flax's own layers, Keras and the machine's floor.

python -m experiments.benchmark [--rows gru lstm sweep_lstm command] [--repeats 21] [--data-dir FOLDER]

The libraries take turns in one process, so that what disturbs the machine disturbs them all, and every ratio is of two
turns of the same round. The floor, `experiments.floor`, is the time that the step's operations or bytes need by
themselves. The peers come with the extra ``bench``; a cell or a library that is not there leaves its place empty. What
the rows are say the files ``benchmark_*.py``, and `benchmark_rows` lists them.
"""

import sys
import time
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any, Self

import tyro

from experiments import benchmark_tables, floor, peer_torch, peers
from experiments.benchmark_rows import Row, rows
from experiments.floor import Speeds
from experiments.measuring import Outcome, Way
from jaxrnn import command, plots, runfolder
from jaxrnn.data import Dataset, mnist
from jaxrnn.errors import SettingsError
from jaxrnn.plots.growth import growth
from jaxrnn.plots.scaling import cost_per_run
from jaxrnn.train import chosen

RowName = Annotated[str, tyro.conf.arg(constructor=tyro.extras.literal_type_from_choices(tuple(rows(quick=False))))]

NOT_QUICK = ("schemes", "command", "first_batch")
"""The rows that take long however small they are: under --quick they are measured where they are asked for."""

QUICK_ALONE = ("long_remat",)
"""Under --quick, the rows whose libraries are each started by themselves."""


@dataclass(frozen=True, kw_only=True)
class Settings(command.Settings):
    """Measure training steps, sweeps and whole commands against PyTorch, Flax, Keras and the machine's floor.

    Prints tables, and leaves config.json, result.json (every round's number), benchmark.csv and benchmark.png in the
    run folder; of sweeps sweeps.csv and sweeps.png, and of growth growth.csv and growth.png. Leave the machine alone
    meanwhile.
    """

    rows: tuple[RowName, ...] = ()
    """What to measure: training steps on images by the cell's name, palindrome_elman and palindrome_lstm, tiny, long
    and long_remat, 10,000 time steps; sweep_elman, sweep_lstm and sweep_tiny, a step of one of many runs; generate and
    generate_64, characters written by a two-layer LSTM; char_lm, a training step of that command's network; imdb_gru, a
    film review that imdb_gru --mask trains on, and imdb_gru_padded, a step without --mask; growth_time and the like,
    how the cost grows; schemes, all ways in which ours can train; startup, what an import takes; command, 10 epochs of
    mnist_gru from start to end; first_batch, the same command up to its first training step. All where not given (under
    --quick, neither commands nor schemes)."""
    repeats: int = 11
    """Rounds, in each of which every library has one turn; at most 5 of rows that take long."""
    no_memory: bool = False
    """Do not start each library by itself as well, for the memory that it takes and the seconds that it compiles (under
    --quick, that is done of long_remat alone)."""
    devices: int | None = None
    """How many devices our steps use at most: accelerators, or CPU cores. All where not given."""
    data_dir: Path | None = None
    """Folder with MNIST's files, for the commands. Where not given: $JAXRNN_DATA, then tensorflow-datasets, then
    embedded data."""

    @classmethod
    def quick_defaults(cls) -> Self:
        return cls(quick=True, repeats=3)

    def settled(self) -> Self:
        every = [name for name in rows(self.quick) if not (self.quick and name in NOT_QUICK)]
        return replace(self, rows=tuple(dict.fromkeys(self.rows or every)))


@runfolder.holding()
def main(name: str, settings: Settings) -> dict[str, Any]:
    """Measure, and leave a run folder; returns what its ``result.json`` says."""
    began = time.perf_counter()
    if settings.repeats < 1:
        raise SettingsError(f"--repeats must be at least 1, not {settings.repeats}")
    settings = settings.settled()
    known = rows(settings.quick)
    asked = {row: known[row] for row in settings.rows}
    try:
        devices = [*chosen(settings.devices)]
    except ValueError as error:
        raise SettingsError(f"--devices: {error}") from error
    dataset = _dataset(settings) if any(row.needs_data for row in asked.values()) else None

    console = command.plain_console()
    console.width = max(console.width, 130)  # the tables are read in files too, where rich assumes 80 columns
    out = command.open_run(name, settings, console)
    config = command.config(settings)
    config |= {library: _version(library) for library in ("torch", "keras")}
    config |= {row: one.config for row, one in asked.items() if one.config is not None}
    runfolder.write_json(out / "config.json", config)

    if settings.quick and peers.installed("torch"):
        peer_torch.spare_threads()
    found: dict[str, Outcome] = {}
    speeds: list[Speeds] = []
    for row, one in asked.items():
        alone = not settings.no_memory and (not settings.quick or row in QUICK_ALONE)
        with console.status(f"{row}: {settings.repeats} rounds"):
            speeds.append(floor.speeds(512 if settings.quick else 2048, devices))
            found[row] = one.measure(row, Way(settings.repeats, settings.devices, settings.quick, alone, dataset))
        for line in benchmark_tables.said(found[row]):
            console.print(line, highlight=False)

    best = Speeds(*map(max, zip(*speeds, strict=True)))
    where = runfolder.describe_devices(devices)
    measured = [result for outcome in found.values() for result in outcome.measured]
    if lines := [line for result in measured for line in result.lines(best)]:
        runfolder.write_csv(out / "benchmark.csv", lines)
        runfolder.save_figure(
            plots.timings(lines, f"How long other libraries take beside jaxrnn, on {where}"), out / "benchmark.png"
        )
    for table in dict.fromkeys(table for outcome in found.values() for table in outcome.tables):
        lines = [line for outcome in found.values() for line in outcome.tables.get(table, ())]
        runfolder.write_csv(out / f"{table}.csv", lines)
        if table in FIGURES:
            draw, title = FIGURES[table]
            runfolder.save_figure(draw(lines, f"{title}, on {where}"), out / f"{table}.png")
    warming = sum(outcome.warming for outcome in found.values())
    metrics = {key: value for outcome in found.values() for key, value in outcome.named(best).items()}
    metrics |= {"product_gflops": [one.operations / 1e9 for one in speeds]}
    metrics |= {"copy_gbytes": [one.bytes / 1e9 for one in speeds]}
    total = time.perf_counter() - began
    result = runfolder.write_result(
        out,
        experiment=name,
        command=command.command_line(name),
        finished=True,
        dataset=_facts(asked, dataset),
        config=config,
        parameters=sum(result.parameters for result in measured),  # of every row's model; each has a metric too
        metrics=metrics,
        answers={},
        seconds={"total": total, "compile": warming, "train": total - warming},
        devices=devices,
    )
    benchmark_tables.conclude(console, asked, found, best, settings.repeats)
    console.print(f"result.json, the tables and the figures are in {out}")
    return result


FIGURES = {
    "sweeps": (cost_per_run, "What a run costs when many are trained at once"),
    "growth": (growth, "How the cost of a training step grows"),
}
"""What is drawn of further tables."""


def _dataset(settings: Settings) -> Dataset:
    if settings.quick and settings.data_dir is None:
        return mnist.load_digits("--quick needs no download")
    return mnist.load(settings.data_dir)


def _version(library: str) -> str | None:
    return metadata.version(library) if peers.installed(library) else None


def _facts(asked: dict[str, Row], dataset: Dataset | None) -> runfolder.DatasetFacts:
    """What was really computed on: what the rows draw, and of the commands a data set."""
    drawn = list(dict.fromkeys(row.drawn for row in asked.values() if row.drawn))
    if dataset is None:
        return {"name": ", ".join(drawn) or "none", "source": "drawn here", "train": 0, "test": 0}
    if not drawn:
        sizes = len(dataset.x_train), len(dataset.x_test)
        return {"name": dataset.name, "source": dataset.source, "train": sizes[0], "test": sizes[1]}
    source = f"drawn here; for the commands {dataset.name}: {dataset.source}"
    return {"name": ", ".join(drawn), "source": source, "train": 0, "test": 0}


if __name__ == "__main__":
    sys.exit(command.command("benchmark", Settings, main))
