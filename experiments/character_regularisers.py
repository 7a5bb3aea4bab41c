"""Networks on eleven sentences without and with means against overfitting, side by side (NTU Q4's dropout and others).

Not a command itself: see `character_sentiment`.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np
from rich.table import Table

from experiments import characters
from experiments.characters import CharacterSettings
from jaxrnn import plots, runfolder
from jaxrnn.cells import Cell
from jaxrnn.command import Stopped, plain_console, stop_requests
from jaxrnn.data import sentences
from jaxrnn.inference import accuracy
from jaxrnn.plots.strips import Strip
from jaxrnn.study import run_keys
from jaxrnn.train import Run, Trainer, progress_bar
from jaxrnn.words import median_percent, median_range
from jaxrnn.wrappers import WRAPPERS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RATES = {"variational_dropout": 0.25, "zoneout": 0.1}
"""The rates of the wrappers that take one."""


class Way(NamedTuple):
    """How networks are trained that are compared."""

    settings: CharacterSettings
    wrap: Callable[[Cell], Cell] = lambda cell: cell


def ways(settings: CharacterSettings) -> dict[str, Way]:
    """By what each is called: without anything, with the dropout and the mask that can be set, and in wrapped cells.

    ``--quick`` does without the wrapped ones, whose programs are compiled for each of them alone.
    """
    plain = replace(settings, dropout=0.0, dropout_convention="drop", mask=False)
    rate = settings.dropping(settings.dropout)
    found = {}
    for dropout in dict.fromkeys((0.0, rate)):
        for mask in (False, True):
            words = [f"dropout {dropout:g}"] * (dropout > 0) + ["padding masked"] * mask
            found[", ".join(words) or "nothing"] = Way(replace(plain, dropout=dropout, mask=mask))
    for name, wrapper in () if settings.quick else WRAPPERS.items():
        rates = [RATES[name]] if name in RATES else []
        found[" ".join([name.replace("_", " "), *map(str, rates)])] = Way(plain, partial(_wrapped, wrapper, rates))
    return found


def _wrapped(wrapper: Callable[..., Cell], rates: list[float], cell: Cell) -> Cell:
    return wrapper(cell, *rates)


def compare(settings: CharacterSettings, trained: Run, out: Path) -> dict[str, dict[str, np.ndarray]]:
    """Train in every way but that of the runs ``trained``; print the table, draw it, and write ``regularisers.csv``.

    Returns by the way's name ``test_loss``, ``test_accuracy``, ``train_loss`` and ``train_accuracy``, ``(runs,)``,
    without dropout; NaN where a run's loss was not finite.

    Raises:
        Stopped: told to stop.
        UserError: a file cannot be written.
    """
    compared = ways(settings)
    there = Way(replace(settings, dropout=settings.dropping(settings.dropout), dropout_convention="drop"))
    found: dict[str, dict[str, np.ndarray]] = {}
    plain_console().print(f"The same {settings.seeds} networks in other ways:")
    with stop_requests() as stop, progress_bar((len(compared) - 1) * settings.epochs) as bar:
        for name, way in compared.items():
            runs = trained if way == there else _train(name, way, stop, bar)
            if runs is None:
                raise Stopped(f"the networks are trained and saved in {out}, those that they are compared with are not")
            found[name] = _measure(way.settings, runs)

    rows = [
        {"way": name, "run": run, **{key: values[run] for key, values in of_way.items()}}
        for name, of_way in found.items()
        for run in range(settings.seeds)
    ]
    runfolder.write_csv(out / "regularisers.csv", rows)
    runfolder.save_figure(_figure(found), out / "regularisers.png")
    plain_console().print(_table(found))
    return found


def _train(name: str, way: Way, stop: Callable[[], bool], bar: Any) -> Run | None:
    """The runs at their end, or None where told to stop."""
    study, seeds = characters.study(*way), way.settings.seeds
    trainer = Trainer(study.task, seeds, study.hparams, study.train, devices=way.settings.devices)
    fitted = trainer(
        run_keys(way.settings.seed, np.arange(seeds)),
        study.hparams,
        epochs=way.settings.epochs,
        stop=stop,
        bar=bar,
        label=f"{name}, ",
        names=[f"{name}, run {run}" for run in range(seeds)],
    )
    return fitted.progress.runs if fitted.finished else None


def _measure(settings: CharacterSettings, runs: Run) -> dict[str, np.ndarray]:
    data = sentences.dataset(characters.padding(settings))
    failed = jax.device_get(runs.failed_at) >= 0
    ids = np.concatenate([data.x_train, data.x_test])
    both = np.split(characters.likelihoods(runs.final, ids, devices=settings.devices), [len(data.x_train)], axis=1)
    found = {}
    for part, likely, labels in zip(("train", "test"), both, (data.y_train, data.y_test), strict=True):
        costs = -np.log(likely[:, np.arange(len(labels)), labels])
        found[f"{part}_loss"] = np.where(failed, np.nan, costs.mean(1))
        found[f"{part}_accuracy"] = np.where(failed, np.nan, accuracy(likely, labels))
    return found


def _figure(found: Mapping[str, Mapping[str, np.ndarray]]) -> "Figure":
    def panel(words, metric, scale, **options):
        return Strip(words, {name: scale * values[metric] for name, values in found.items()}, **options)

    percent: dict[str, Any] = {"limits": (0, 100)}
    return plots.strips.strips(
        [
            panel("test cost (nats,\nlogarithmic)", "test_loss", 1, log=True),
            panel("test accuracy\n(%)", "test_accuracy", 100, **percent),
            panel("training accuracy\n(%)", "train_accuracy", 100, **percent),
        ],
        "Eleven sentences, learned with and without means against overfitting",
    )


def _table(found: Mapping[str, Mapping[str, np.ndarray]]) -> Table:
    table = Table(title="Median (lowest to highest) of the seeds", title_justify="left")
    table.add_column("against overfitting")
    for column in ("test cost (nats)", "test accuracy", "both right", "training accuracy"):
        table.add_column(column, justify="right")
    for name, values in found.items():
        both = f"{(values['test_accuracy'] == 1).sum()} of {len(values['test_accuracy'])}"
        accuracies = [median_percent(values[f"{part}_accuracy"]) for part in ("test", "train")]
        table.add_row(name, median_range(values["test_loss"]), accuracies[0], both, accuracies[1])
    return table
