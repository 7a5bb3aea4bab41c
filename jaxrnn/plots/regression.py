"""What networks say of numbers, step by step, beside what is right."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxrnn.plots import style
from jaxrnn.plots.style import Look

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def sequences(lines: Mapping[str, Any], title: str, y: str, *, columns: int = 2) -> "Figure":
    """A panel for each sequence, all on the same axes, and in it a line for each of the one or two of ``lines``.

    ``lines`` maps a name to values ``(sequences, steps)``: the truth first, blue, then what is said of it, thin and
    orange with a dot at each step. Steps are counted from 1; ``y`` names the values.
    """
    looks = [{"color": style.BLUE, "linewidth": 2}]
    looks += [{"color": style.ORANGE, "linewidth": 1, "marker": ".", "markersize": 4.5}]
    values = {name: np.asarray(each, float) for name, each in lines.items()}
    count, steps = next(iter(values.values())).shape
    rows = math.ceil(count / columns)
    figure = style.figure(title, 6.5 * columns, 2.1 * rows + 1.5)
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    entries: dict[str, Any] = {}
    for number, axes in enumerate(grid.flat):
        if number >= count:
            axes.set_axis_off()
            continue
        style.prepare(axes)
        axes.set_title(f"sequence {number + 1}", fontsize=style.TEXT)
        for (name, each), look in zip(values.items(), looks, strict=False):
            (entries[name],) = axes.plot(np.arange(1, steps + 1), each[number], **look)
        if number + columns >= count:  # the lowest of its column
            style.prepare(axes, "time step t")
            axes.tick_params(labelbottom=True)
    for axes in grid[:, 0]:
        style.prepare(axes, None, y)
    if len(values) > 1:
        style.legend(figure, entries)
    return figure


def against_rule(panels: Mapping[str, Mapping[str, Any]], title: str, y: str) -> "Figure":
    """What several runs say at each step of a few sequences, beside the rule and one other answer: a panel for each.

    A panel has ``rule``, ``(steps,)``; ``runs``, ``(runs, steps)``, of which the median is a line, the whiskers reach
    from the lowest to the highest and each run that is finite is a pale dot; and ``others``, one or no name with
    ``(steps,)``. Steps are counted from 1; ``y`` names the values.
    """
    figure = style.figure(title, max(4.8 * len(panels), 6), 5.2)
    entries: dict[str, Any] = {}
    counted: list[int] = []
    for (name, panel), axes in zip(panels.items(), figure.subplots(1, len(panels), squeeze=False)[0], strict=True):
        style.prepare(axes, "time step t", y if not counted else None)
        style.whole_numbers(axes)
        axes.set_title(name, fontsize=style.LABEL, parse_math=False)
        steps = np.arange(1, len(panel["rule"]) + 1)
        (entries["the rule"],) = axes.plot(steps, panel["rule"], color=style.BLACK, linestyle="--", linewidth=2)
        for (other, values), look in zip(panel["others"].items(), _OTHERS, strict=False):
            marks = {"color": look.colour, "marker": look.marker, "linestyle": look.line, "linewidth": 1.5}
            (entries[other],) = axes.plot(steps - _ASIDE, values, **marks, markersize=8)
        runs = np.asarray(panel["runs"], float)
        runs = runs[np.isfinite(runs).all(1)]
        counted.append(len(runs))
        if len(runs):
            for values in runs:
                axes.plot(
                    steps + 2 * _ASIDE, values, linestyle="none", marker="o", color=style.SKY, markersize=4, alpha=0.8
                )
            entries["this network"] = _median(axes, steps + _ASIDE, runs)
    several = style.of_runs(counted, "this network", "whiskers")
    style.legend(figure, entries, several and several.replace("mean", "median") + ", dots: each run", columns=3)
    return figure


_ASIDE = 0.07
"""How far what stands at one step is moved apart."""

_OTHERS = (Look(style.ORANGE, ":", "s"),)


def _median(axes: Any, places: np.ndarray, runs: np.ndarray) -> Any:
    low, middle, high = np.percentile(runs, (0, 50, 100), axis=0)
    (line,) = axes.plot(places, middle, color=style.BLUE, linewidth=2, marker="o", markersize=6)
    axes.errorbar(
        places, middle, yerr=[middle - low, high - middle], linestyle="none", ecolor=style.BLUE, elinewidth=2, capsize=4
    )
    return line
