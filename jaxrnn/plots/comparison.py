"""Several models by their accuracy: with its uncertainty, and on variants of the test set."""

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxrnn.plots import style
from jaxrnn.plots.style import Look

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LOOK = Look(style.BLUE)


def scores(rows: Sequence[Mapping[str, Any]], title: str) -> "Figure":
    """The accuracy of each model with its 95% interval, a row for each model, the first on top.

    A row has ``model``, its name; ``runs``, the accuracy of each run as a fraction, None for one that failed;
    ``mean`` of the runs that did not, or None; ``half_width``, half of the 95% interval of that mean over the seeds,
    or None; ``parameters``, a number; ``seconds_per_epoch``, of each run; and ``printed``, the accuracy that a paper
    prints, or None. The dot is the mean, the whisker its interval, with the numbers at the right, below it a hollow
    mark is each run (where there are several), and a diamond what is printed.

    The axis is logarithmic in the error, so that chance and 99% are both seen. It has no 100%: where that is reached,
    by a whisker too, it stands on a tick at the right end.
    """
    figure = style.figure(title, 9, 2.1 + 0.8 * max(len(rows), 1))
    axes = figure.subplots()
    style.prepare(axes, "test accuracy (%), on an axis logarithmic in the error", grid="x")
    reached: list[float] = []
    entries: dict[str, Any] = {}
    for place, row in enumerate(rows):
        runs, (mean, half) = style.finite(row["runs"]), (_known(row["mean"]), _known(row["half_width"]))
        axes.axhline(place, color=style.PALE, linewidth=0.8, zorder=0)
        _margin(axes, 0, place, 2, row["model"], fontsize=style.LABEL, va="bottom", parse_math=False)
        detail = f"{row['parameters']:,} parameters"
        if _known(row["seconds_per_epoch"]) is not None:
            detail += f", {row['seconds_per_epoch']:.3g} s an epoch"
        _margin(axes, 0, place, -2, detail, fontsize=style.SMALL, va="top")
        numbers = "no run succeeded"
        if mean is not None:
            across = None if half is None else (100 * max(mean - half, 0), 100 * min(mean + half, 1))
            mark = style.dot(axes, 100 * mean, place, _LOOK, across=across, clip_on=False)
            if half is not None:
                entries["mean, and its 95% interval over the seeds"] = mark
            reached += [100 * mean, *(across or ())]
            numbers = f"{100 * mean:.2f} %" if half is None else f"{100 * mean:.2f} ± {100 * half:.2f} %"
        failed = len(row["runs"]) - len(runs)
        if failed and runs:
            numbers += f"\n{len(runs)} of {len(row['runs'])} runs"
        _margin(axes, 1, place, 0, numbers, fontsize=style.TEXT, va="center")
        if len(runs) > 1:
            reached += (accuracies := [100 * run for run in runs])
            (entries["each run"],) = axes.plot(
                accuracies,
                [place + 0.25] * len(runs),
                linestyle="none",
                marker="o",
                markersize=5.5,
                markerfacecolor="none",
                markeredgecolor=style.BLACK,
                clip_on=False,
            )
        if (printed := _known(row["printed"])) is not None:
            reached.append(100 * printed)
            look = Look(style.ORANGE, marker="D")
            entries["printed in the paper"] = style.dot(axes, 100 * printed, place - 0.22, look, clip_on=False)
    axes.set_yticks([])
    axes.set_ylim(max(len(rows), 1) - 0.45, -0.55)
    _by_error(axes, reached or [50.0])
    style.legend(figure, entries)
    return figure


def _known(value: float | None) -> float | None:
    return next(iter(style.finite([value])), None)


def _margin(axes: "Axes", side: int, place: float, raised: float, words: str, **letters: Any) -> None:
    """Words at the height ``place``, raised by so many points, in the left (0) or the right (1) margin."""
    axes.annotate(
        words,
        (side, place),
        xycoords=("axes fraction", "data"),
        xytext=(12 if side else -12, raised),
        textcoords="offset points",
        ha="left" if side else "right",
        annotation_clip=False,
        **letters,
    )


def _by_error(axes: "Axes", accuracies: Sequence[float]) -> None:
    """Makes the level axis, in per cent, logarithmic in the error, for all of ``accuracies``."""
    errors = [100 - accuracy for accuracy in accuracies]
    positive = [error for error in errors if error > 1e-9] or [1.0]
    low, high = min(positive), max(*positive, 2 * min(positive))
    floor = low / 2
    axes.set_xscale(
        "function",
        functions=(lambda x: -np.log10(np.maximum(100 - np.asarray(x), floor)), lambda x: 100 - 10 ** -np.asarray(x)),
    )
    certain = min(errors) <= 1e-9
    nearest, farthest = floor if certain else low / 1.5, min(high * 1.2, 100)
    axes.set_xlim(100 - farthest, 100 - nearest)
    ticks = {floor: "100"} if certain else {}
    # chance among ten says more than 0, so close to it
    for error in sorted({min(tick, 90.0) for tick in style.log_ticks(low if certain else nearest, farthest)}):
        label, last = f"{100 - error:.10g}", max(ticks, default=nearest)
        room = math.log10(error / last) / math.log10(farthest / nearest)
        wanted = 0.015 * (len(label) + len(ticks[last]) + 1) if ticks else 0
        if error <= farthest and room >= wanted:
            ticks[error] = label
    axes.set_xticks([100 - error for error in ticks], list(ticks.values()))


def directions(rows: Sequence[Mapping[str, Any]], title: str) -> "Figure":
    """The accuracy of each model on each variant of the test set, a group of dots for each variant, from 0 to 100%.

    A row has ``model`` and ``set``, their names, both shown in the order in which they come; ``mean`` of the runs'
    accuracies, and ``low`` and ``high``, the lowest and highest of them, as fractions. The dot is the mean and the
    whisker reaches from the lowest to the highest. A row whose mean is None is left out.
    """
    figure = style.figure(title, 9, 5)
    axes = figure.subplots()
    style.prepare(axes, None, "test accuracy (%)", grid="y")
    models, sets = style.looks(row["model"] for row in rows), list(dict.fromkeys(row["set"] for row in rows))
    gap = 0.76 / max(len(models), 1)
    entries: dict[str, Any] = {}
    several = False
    for number in range(0, len(sets), 2):
        axes.axvspan(number - 0.5, number + 0.5, color="#F3F3F3", zorder=-1)
    for row in rows:
        mean, low, high = _known(row["mean"]), _known(row["low"]), _known(row["high"])
        if mean is None:
            continue
        number = list(models).index(row["model"])
        x = sets.index(row["set"]) + gap * (number - (len(models) - 1) / 2)
        across = None
        if low is not None and high is not None and low < high:
            across, several = (100 * low, 100 * high), True
        # nothing is cut off at 0 or 100
        mark = style.dot(axes, x, 100 * mean, models[row["model"]], across=across, upright=True, clip_on=False)
        entries[row["model"]] = mark
    axes.set_xticks(range(len(sets)), [textwrap.fill(str(name), 12) for name in sets])
    axes.tick_params(axis="x", length=0)
    axes.set_xlim(-0.5, max(len(sets), 1) - 0.5)
    axes.set_ylim(0, 100)
    said = "dots: mean of the runs, whiskers: lowest to highest run"
    order = {model: entries[model] for model in models if model in entries}
    style.legend(figure, order, said if several else None)
    return figure
