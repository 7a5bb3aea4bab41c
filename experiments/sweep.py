"""Sweep any training experiment over settings and seeds, as few compiled programs.

python -m experiments.sweep mnist_gru --grid learning_rate=1e-4,1e-3,1e-2 hidden=64,128 --seeds 5 --epochs 3
"""

import importlib
import sys
from collections.abc import Sequence
from dataclasses import MISSING, dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import tyro

from experiments import SWEEPABLE
from jaxrnn import plots, runfolder
from jaxrnn.command import command, plain_console
from jaxrnn.errors import SettingsError
from jaxrnn.study import Experiment
from jaxrnn.sweeps import Finding, SweepSettings, Swept, as_typed, conduct, ranking_table, sweepable
from jaxrnn.sweeps.grid import combinations, parse, sample


@dataclass(frozen=True, kw_only=True)
class GridSettings(SweepSettings):
    """Train an experiment for many settings and seeds, as few compiled programs spread over every device.

    Leaves sweep.csv (a row for each run), history.csv, result.json with the best setting, figures, and a checkpoint of
    every run. The experiment's own settings can be given too, and hold for all runs.
    """

    experiment: tyro.conf.Positional[Literal[SWEEPABLE]] = "mnist_gru"  # type: ignore[valid-type]
    """What is trained: its name comes first."""
    grid: tuple[str, ...] = ()
    """What to sweep, each setting with its values, learning_rate=1e-4,1e-3 cell=gru,lstm, or with evenly spaced ones,
    learning_rate=log:1e-4:1e-1:7 dropout=lin:0:0.5:6. All combinations are trained."""
    random: int = 0
    """Instead of all combinations, so many settings drawn at random; a range then needs no number of values:
    learning_rate=log:1e-4:1e-1."""

    @classmethod
    def quick_defaults(cls) -> Self:
        return replace(super().quick_defaults(), seeds=2, grid=("learning_rate=1e-3,1e-2", "hidden=16,32"))

    def check(self) -> None:
        super().check()
        if self.random < 0:
            raise SettingsError(f"--random must be at least 1, not {self.random}")


@cache
def settings_of(experiment: Experiment) -> type[GridSettings]:
    """The settings of a sweep of this experiment: a sweep's, and the experiment's own."""
    both = (GridSettings, experiment.settings)
    hidden = {}
    suppress: Any = tyro.conf.Suppress
    for one in fields(experiment.settings):  # what asks a trained run of that command means nothing here
        if not one.metadata.get("config", True) and one.name not in {two.name for two in fields(GridSettings)}:
            assert one.default is not MISSING
            hidden[one.name] = (suppress[one.type], field(default=one.default, metadata=one.metadata))
    namespace = {name: default for name, (_, default) in hidden.items()}
    namespace |= {"__annotations__": {name: kind for name, (kind, _) in hidden.items()}}
    namespace |= {"__doc__": GridSettings.__doc__, "__module__": __name__}
    return dataclass(frozen=True, kw_only=True)(type("Settings", both, namespace))


def main(name: str, settings: GridSettings) -> dict[str, Any] | None:
    """Train all, and leave a run folder; returns what its ``result.json`` says."""
    experiment = experiment_called(settings.experiment)
    if not isinstance(settings, experiment.settings):
        raise SettingsError("the experiment's name comes first, before --grid and all other options")
    settings.check()
    axes = parse(settings.grid, experiment.settings, sweepable(experiment.settings))
    points = sample(axes, settings.random, settings.seed) if settings.random else combinations(axes)
    return conduct(name, settings, experiment, points, lambda swept, out: find(experiment.name, swept, out))


def experiment_called(name: str) -> Experiment:
    return importlib.import_module(f"experiments.{name}").EXPERIMENT


def find(experiment: str, swept: Swept, out: Path) -> Finding:
    """Draw the sweep, print its settings in their order, and name the best one."""
    metric = swept.metric
    best: plots.sweeps.Best = "high" if swept.high else "low"
    words = metric.replace("_", " ")
    names = [name for name in swept.points[0] if len({str(point[name]) for point in swept.points}) > 1]
    halved = [point for point in range(len(swept.points)) if was_halved(swept, point)]
    scores = [runfolder.metric(swept.values(point))["mean"] for point in range(len(swept.points))]
    means = [np.nan if score is None else score for score in scores]

    def draw(figure, file):
        runfolder.save_figure(figure, out / file)

    ranking = swept.ranking()
    title = f"{experiment}: {words}"
    labels = {as_typed({name: swept.points[point][name] for name in names}) or experiment: point for point in ranking}
    percent = "accuracy" in metric or "error" in metric
    draw(
        plots.sweeps.bands(
            {label: swept.curves(point, metric.removeprefix("last_")) for label, point in labels.items()},
            f"{experiment}: what training brings",
            "epoch",
            f"{words} (%)" if percent else words,
            scale=100.0 if percent else 1.0,
        ),
        "curves.png",
    )
    values = {name: list(dict.fromkeys(point[name] for point in swept.points)) for name in names}
    places = {tuple(point[name] for name in names): number for number, point in enumerate(swept.points)}
    if len(names) == 2 and len(places) == len(values[names[0]]) * len(values[names[1]]) and not halved:
        x, y = names
        grid = [[places[column, row] for column in values[x]] for row in values[y]]
        halves = [runfolder.half_width(swept.values(point)) for point in range(len(swept.points))]
        half_widths = np.array([np.nan if half is None else half for half in halves])
        draw(
            plots.sweeps.heatmap(
                (x, values[x]), (y, values[y]), np.array(means)[grid], half_widths[grid], title, metric, best
            ),
            "heatmap.png",
        )
    if names:
        left = [point for point in range(len(swept.points)) if point not in halved]
        title += f", without the {len(halved)} of {len(swept.points)} settings left at a halving" if halved else ""
        chosen = [{name: swept.points[point][name] for name in names} for point in left]
        scored = [means[point] for point in left]
        draw(plots.sweeps.parallel(names, chosen, scored, title, metric, best), "parallel.png")

    plain_console().print(ranking_table(swept))
    kinds = ("test_", "validation_", "train_", "last_")
    rows = [row for row in swept.rows if row["point"] == ranking[0]]
    columns = dict.fromkeys(column for row in rows for column in row if column.startswith(kinds))
    return Finding(
        metrics={column: swept.values(ranking[0], column) for column in columns},
        top={"best": {"settings": swept.points[ranking[0]], "by": metric}},
    )


def was_halved(swept: Swept, point: int) -> bool:
    """Whether a point was left at a halving, with runs that could have gone on."""
    return any(row["point"] == point and row["status"].startswith("halved") for row in swept.rows)


def run(argv: Sequence[str]) -> int:
    """The command; its options depend on the experiment, which is looked for among the words first."""

    def start(name: str, settings: GridSettings) -> dict[str, Any] | None:
        if sum(word.partition("=")[0] == "--grid" for word in argv) > 1:  # the last one alone would count
            raise SettingsError("--grid is given twice: write all that is swept after one --grid, with spaces between")
        return main(name, settings)

    named = next((word for word in argv if word in SWEEPABLE), None)
    if named is None and not {"-h", "--help"} & set(argv) and (not argv or argv[0].startswith("-")):
        named, argv = GridSettings.experiment, [GridSettings.experiment, *argv]
    return command("sweep", GridSettings if named is None else settings_of(experiment_called(named)), start, argv)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
