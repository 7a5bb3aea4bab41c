"""Optimisers on palindromes and on a quadratic bowl, and gradients clipped or not (U5, U17).

python -m experiments.optimizers
"""

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self, get_args

import numpy as np
from rich.console import Console
from rich.table import Table

from experiments import bowls, norms
from experiments.bowls import CARRIED_OVER, TITLES, TUNED
from experiments.norms import Trace, median
from experiments.palindrome import PALINDROME, SOLVED, PalindromeSettings, solved_at
from jaxrnn import plots, runfolder
from jaxrnn.command import CellName, StepSettings, command, plain_console
from jaxrnn.errors import SettingsError
from jaxrnn.sweeps import Finding, Point, SweepSettings, Swept, conduct, settings_for
from jaxrnn.words import NAMES, median_percent, median_range

Name = Literal["sgd", "momentum", "rmsprop_torch", "adam"]

RATES: dict[str, tuple[float, ...]] = {
    "sgd": (0.03, 0.09, 0.3, 0.9),
    "momentum": (0.01, 0.03, 0.1, 0.3),
    "rmsprop_torch": (1e-4, 3e-4, 1e-3, 3e-3),
    "adam": (1e-3, 3e-3, 1e-2, 3e-2),
}
"""The learning rates on the palindromes: for each optimiser a lowest one, and 3, 10 and 30 times that."""

COURSE: dict[str, Any] = {"optimiser": "rmsprop_torch", "learning_rate": 1e-3}
"""What the course's starter code trains with."""


@dataclass(frozen=True, kw_only=True)
class Settings(SweepSettings, StepSettings):
    """What momentum, adaptive learning rates and clipping the gradient are good for.

    Trains a recurrent network on palindromes by SGD, momentum, RMSProp and Adam, each with several learning rates, with
    the gradient clipped and not, and shows each at its best; follows the same four down an ill-conditioned quadratic
    bowl, where SGD and momentum have closed forms; and looks at the gradient's norm at every step of training on longer
    palindromes, with clipping and without.
    """

    steps: int = 1500
    """Training steps."""
    every: int = 25
    """Steps between two evaluations: an epoch of the history."""
    optimisers: tuple[Name, ...] = get_args(Name)
    """Optimisers on the palindromes."""
    length: int = 10
    """Digits of a palindrome, the last one included."""
    clip_length: int = 20
    """Digits of the palindromes where the gradient's norm is looked at step by step: so many that it explodes at some,
    which it hardly does at 10."""
    cell: CellName = "elman"
    """The recurrent cell."""
    hidden: int = 128
    """Hidden units."""
    batch: int = 128
    """Palindromes in a training step."""
    clip_norm: float = 10.0
    """Where gradients are clipped, those with a larger global norm are scaled down to it."""

    @classmethod
    def quick_defaults(cls) -> Self:
        return cls(
            quick=True, optimisers=("sgd", "adam"), length=4, clip_length=6, seeds=2, width=4, hidden=24, steps=200,
            every=50,
        )  # fmt: skip

    def check(self) -> None:
        super().check()
        if not self.optimisers or len(set(self.optimisers)) < len(self.optimisers):
            raise SettingsError("--optimisers must name at least one, and each once")
        if self.clip_length < 3:
            raise SettingsError(f"--clip-length must be at least 3, not {self.clip_length}")
        if not 0 < self.clip_norm < math.inf:
            raise SettingsError(f"--clip-norm must be above 0 and finite, not {self.clip_norm}")


def main(name: str, settings: Settings) -> dict[str, Any] | None:
    """Train all, follow all, and leave a run folder; returns what its ``result.json`` says."""
    settings.check()
    found = points(settings)
    return conduct(name, settings, PALINDROME, found, lambda swept, out: find(settings, swept, out))


def course(settings: Settings) -> PalindromeSettings:
    """Training as the course's starter code does it, on palindromes of the length where every step is looked at."""
    return replace(settings_for(PalindromeSettings, settings), **COURSE, length=settings.clip_length)


def points(settings: Settings) -> list[Point]:
    """Every optimiser with every one of its learning rates, clipped and not; under --quick with one of them."""
    return [
        {"optimiser": optimiser, "learning_rate": rate, "clip_norm": clip}
        for optimiser in settings.optimisers
        for rate in (RATES[optimiser][2:3] if settings.quick else RATES[optimiser])
        for clip in (settings.clip_norm, math.inf)
    ]


class Tried(NamedTuple):
    """An optimiser at the learning rate that suits it best."""

    point: int
    rate: float
    rates: int
    """How many there were to choose from."""
    good: int
    """With how many of them all runs solve the task."""
    solved: np.ndarray
    """The step of the first evaluation at which each run had solved the task, NaN where none did, ``(runs,)``."""
    above: float
    """The share of the epochs, of all runs, over which the mean norm of the gradient is above the limit."""


def compare(settings: Settings, swept: Swept) -> dict[tuple[str, bool], Tried]:
    """Every optimiser, clipped and not, at the rate with which more of its runs solve the task, and sooner.

    By the validation set; where none does, at the rate that the sweep ranks first.
    """
    solved = {number: solved_at(swept, number, settings.every) for number in range(len(swept.points))}
    found: dict[tuple[str, bool], list[int]] = {}
    for number in swept.ranking():
        point = swept.points[number]
        found.setdefault((point["optimiser"], math.isfinite(point["clip_norm"])), []).append(number)

    def tried(numbers):
        best = min(numbers, key=lambda number: _merit(solved[number]))
        norms = np.array([norm for runs in swept.curves(best, "gradient_norm").values() for norm in runs])
        return Tried(
            point=best,
            rate=swept.points[best]["learning_rate"],
            rates=len(numbers),
            good=sum(bool(np.isfinite(solved[number]).all()) for number in numbers),
            solved=solved[best],
            above=float(np.sum(norms > settings.clip_norm) / max(norms.size, 1)),
        )

    return {
        (optimiser, clipped): tried(found[optimiser, clipped])
        for clipped in (True, False)
        for optimiser in settings.optimisers
    }


# --- what is left behind ----------------------------------------------------------------------------------------------


def find(settings: Settings, swept: Swept, out: Path) -> Finding:
    """Draw, print and answer, part by part."""
    console = plain_console()
    followed = bowls.follow()
    rows = bowls.counted(followed)
    bowls.show(console, out, followed, rows)
    trained = compare(settings, swept)
    show(console, out, settings, swept, trained)
    trace = norms.follow(course(settings))
    digits = f"palindromes of {settings.clip_length} digits, {_course_in_words()}"
    norms.show(console, out, course(settings), trace, digits)

    metrics: dict[str, Any] = {"max_error": followed.max_error}
    suffixes = {
        ("aligned", TUNED): "steps",
        ("turned", TUNED): "turned_steps",
        ("turned", CARRIED_OVER): "carried_over_steps",
    }
    for row in rows:
        if suffix := suffixes.get((row["bowl"], row["settings"])):
            metrics[f"quadratic_{row['optimiser']}_{suffix}"] = row["stays"] if row["stays"] >= 0 else math.nan
    for (optimiser, clipped), one in trained.items():
        if clipped:
            metrics |= {
                f"{optimiser}_learning_rate": one.rate,
                f"{optimiser}_test_accuracy": swept.values(one.point, "test_accuracy"),
                f"{optimiser}_solved_at_step": one.solved,
                f"{optimiser}_share_above": one.above,
            }
        else:
            metrics[f"{optimiser}_unclipped_solved_at_step"] = one.solved
    for clip, what in enumerate(("clipped", "unclipped")):
        metrics |= {
            f"{what}_largest_norm": norms.largest(trace.norm[clip]),
            f"{what}_share_above": trace.share_above(settings.clip_norm)[clip],
            f"{what}_update_there": trace.update_there()[clip],
            f"{what}_largest_loss": norms.largest(trace.loss[clip]),
            f"{what}_last_loss": trace.last_loss()[clip],
        }
    answers = {
        "U5": benefits(settings, rows, trained),
        "U17": what_clipping_does(settings, trace),
    }
    return Finding(metrics=metrics, answers=answers)


def show(
    console: Console, out: Path, settings: Settings, swept: Swept, trained: Mapping[tuple[str, bool], Tried]
) -> None:
    """Print how the optimisers do on the palindromes, and leave the figures."""
    task = f"palindromes of {settings.length} digits"
    title = f"On {task}, each optimiser with its best learning rate; solved at which step, by how many runs"
    table = Table(title=title, title_justify="left")
    for column in ("optimiser", "clip"):
        table.add_column(column)
    for column in ("rate", "accuracy", "at step", "runs", "at rates", "diverged"):
        table.add_column(column, justify="right")
    for (optimiser, clipped), one in trained.items():
        diverged = sum(row["status"].startswith("diverged") for row in swept.rows if row["point"] == one.point)
        table.add_row(
            TITLES[optimiser],
            f"{settings.clip_norm:g}" if clipped else "not",
            f"{one.rate:g}",
            f"{100 * median(swept.values(one.point, 'test_accuracy')):.1f} %",
            _step(one.solved),
            f"{np.isfinite(one.solved).sum()} of {settings.seeds}",
            f"{one.good} of {one.rates}",
            f"{diverged} of {settings.seeds}",
        )
    console.print(table)

    curves = {
        f"{TITLES[optimiser]}, rate {one.rate:g}": {
            epoch * settings.every: values for epoch, values in swept.curves(one.point, "validation_accuracy").items()
        }
        for (optimiser, clipped), one in trained.items()
        if clipped
    }
    title = f"Each optimiser with its best learning rate on {task}, gradients clipped to {settings.clip_norm:g}"
    figure = plots.sweeps.bands(curves, title, "training step", "validation accuracy (%)", scale=100.0)
    runfolder.save_figure(figure, out / "curves.png")

    panels: dict[str, dict[str, dict[float, Any]]] = {}
    for number, point in enumerate(swept.points):
        panel = f"clipped to {point['clip_norm']:g}" if math.isfinite(point["clip_norm"]) else "not clipped"
        lowest = RATES[point["optimiser"]][0]
        series = panels.setdefault(panel, {}).setdefault(f"{TITLES[point['optimiser']]} (from {lowest:g})", {})
        series[round(point["learning_rate"] / lowest)] = swept.values(number, "test_accuracy")
    title = f"Which learning rates work within {settings.steps:,} steps on {task}: best checkpoints"
    figure = plots.sweeps.against(panels, title, "times the lowest rate", "test accuracy (%)", chance=0.1)
    runfolder.save_figure(figure, out / "rates.png")


def _merit(solved: np.ndarray) -> tuple[int, float]:
    """What is lower where more runs solve the task, and sooner where as many do."""
    finite = solved[np.isfinite(solved)]
    return -finite.size, float(finite.mean()) if finite.size else 0.0


def _step(steps: np.ndarray) -> str:
    """The median step of the runs that came to it."""
    middle = median(steps)
    return f"{middle:,.0f}" if math.isfinite(middle) else "never"


def _course_in_words() -> str:
    return f"{TITLES[COURSE['optimiser']]} with learning rate {COURSE['learning_rate']:g}"


# --- answers ----------------------------------------------------------------------------------------------------------


def benefits(settings: Settings, rows: Sequence[Mapping[str, Any]], trained: Mapping[tuple[str, bool], Tried]) -> str:
    """U5: what momentum and adaptive learning rates are good for."""
    steps = {
        row["optimiser"]: row["stays"] for row in rows if (row["bowl"], row["settings"]) == ("turned", CARRIED_OVER)
    }
    turned = ", ".join(f"{title} {bowls.in_words(steps[name])}" for name, title in TITLES.items())
    of = {name: trained[name, True] for name in settings.optimisers}
    runs = ", ".join(f"{TITLES[name]} {-_merit(one.solved)[0]}" for name, one in of.items())
    verdict = ""
    if "sgd" in of and len(of) > 1:
        sooner = [TITLES[name] for name, one in of.items() if _merit(one.solved) < _merit(of["sgd"].solved)]
        verdict = f" More of them than with SGD, or as many sooner, do with {', '.join(sooner) or 'none'}."
    return (
        "SGD goes down the gradient of the moment, by the same learning rate for every weight. Momentum goes by a "
        "running sum of gradients: what they agree on, along the floor of a narrow valley, adds up, and what changes "
        "sign at every step, across it, cancels. Adaptive learning rates (RMSProp; Adam has both) divide the gradient "
        "of each weight by its recent size, so that weights with small gradients move as fast as those with large "
        "ones. The table has the steps down a bowl that curves "
        f"{bowls.CURVATURES.max() / bowls.CURVATURES.min():g} times as much one way as the other, to "
        f"{bowls.FRACTION:g} of the height, each optimiser with its best learning rate. With the same rates and the "
        f"bowl turned by 45 degrees, so that no weight stands for a steep or a flat way, they are: {turned}. So many "
        f"of {settings.seeds} networks solve palindromes of {settings.length} digits ({SOLVED:.1%} right) within "
        f"{settings.steps:,} steps, each optimiser at its best rate: {runs}.{verdict}"
    )


def what_clipping_does(settings: Settings, trace: Trace) -> str:
    """U17: what the starter code's `clip_grad_norm_` does, and why."""
    limit = f"{settings.clip_norm:g}"
    above, last = trace.share_above(settings.clip_norm), trace.last_loss()
    lower = int(np.sum(np.nan_to_num(last[0], nan=np.inf) < np.nan_to_num(last[1], nan=np.inf)))
    verdict = (
        f"With clipping the loss over the last tenth of the steps is lower for {lower} of {settings.seeds} seeds."
        if above.any()
        else "So there was nothing to clip."
    )
    return (
        f"clip_grad_norm_ takes the norm of all gradients together and, where it is above {limit}, multiplies all of "
        f"them by {limit} / norm: the direction stays, and smaller gradients pass as they are. The reason is that a "
        "gradient through T steps holds products of up to T - 1 Jacobians, which can explode at single steps, and one "
        f"such step can undo what was learned. Looked at was every step of training the {NAMES[settings.cell]} network "
        f"on palindromes of {settings.clip_length} digits by {_course_in_words()}, median (lowest to highest) of "
        f"{settings.seeds} seeds: without clipping {median_percent(above[1])} of the steps are above {limit}, and the "
        f"largest norm is {median_range(norms.largest(trace.norm)[1])}. {verdict}"
    )


if __name__ == "__main__":
    sys.exit(command("optimizers", Settings, main))
