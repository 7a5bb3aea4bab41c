"""What networks say of numbers, step by step, beside what is right."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxrnn.plots import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLUMNS = 2
"""Panels beside each other."""

_ASIDE = 0.07
"""How far what stands at one step is moved apart."""


def sequences(truth: Any, title: str, y: str, *, prediction: Any = None) -> "Figure":
    """A panel for each sequence, all on the same axes: the truth, and what is foretold of it where that is given.

    Both are ``(sequences, steps)``: the truth blue, the prediction thin and orange with a dot at each step. Steps are
    counted from 1; ``y`` names the values.
    """
    truth = np.asarray(truth, float)
    count, steps = truth.shape
    rows = math.ceil(count / _COLUMNS)
    figure = style.figure(title, 4.8 * _COLUMNS, 1.65 * rows + 1.5)
    grid = figure.subplots(rows, _COLUMNS, sharex=True, sharey=True, squeeze=False)
    places = np.arange(1, steps + 1)
    entries: dict[str, Any] = {}
    for number, axes in enumerate(grid.flat):
        if number >= count:
            axes.set_axis_off()
            continue
        style.prepare(axes, None, None if number % _COLUMNS else y)
        axes.set_title(f"sequence {number + 1}", fontsize=style.TEXT)
        (entries["truth"],) = axes.plot(places, truth[number], color=style.BLUE, linewidth=2)
        if prediction is not None:
            (entries["prediction"],) = axes.plot(
                places, np.asarray(prediction)[number], color=style.ORANGE, linewidth=1, marker=".", markersize=4.5
            )
        if number + _COLUMNS >= count:
            style.prepare(axes, "time step t")
            axes.tick_params(labelbottom=True)
    if prediction is not None:
        style.legend(figure, entries)
    return figure


def against_rule(panels: Mapping[str, Mapping[str, Any]], title: str, y: str, *, other: str) -> "Figure":
    """What several runs say at each step of a few sequences, beside the rule and one other answer: a panel for each.

    A panel has ``rule`` and ``other``, ``(steps,)``, and ``runs``, ``(runs, steps)``: of those that are finite the
    median is a line, the whiskers reach from the lowest to the highest, and each is a pale dot. Steps are counted from
    1; ``y`` names the values, and ``other`` who gave the other answer.
    """
    figure = style.figure(title, max(4.8 * len(panels), 6), 5.2)
    entries: dict[str, Any] = {}
    counted: list[int] = []
    for (name, panel), axes in zip(panels.items(), figure.subplots(1, len(panels), squeeze=False)[0], strict=True):
        style.prepare(axes, "time step t", None if counted else y)
        style.whole_numbers(axes)
        axes.set_title(name, fontsize=style.LABEL, parse_math=False)
        steps = np.arange(1, len(panel["rule"]) + 1)
        (entries["the rule"],) = axes.plot(steps, panel["rule"], color=style.BLACK, linestyle="--", linewidth=2)
        (entries[other],) = axes.plot(
            steps - _ASIDE, panel["other"], color=style.ORANGE, linestyle=":", linewidth=1.5, marker="s", markersize=8
        )
        runs = np.asarray(panel["runs"], float)
        runs = runs[np.isfinite(runs).all(1)]
        counted.append(len(runs))
        if not len(runs):
            continue
        low, middle, high = np.percentile(runs, (0, 50, 100), axis=0)
        places = steps + _ASIDE
        (entries["the networks"],) = axes.plot(places, middle, color=style.BLUE, linewidth=2, marker="o", markersize=6)
        if len(runs) > 1:
            whisker = [middle - low, high - middle]
            axes.errorbar(places, middle, whisker, linestyle="none", ecolor=style.BLUE, elinewidth=2, capsize=4)
            for values in runs:
                axes.plot(places + _ASIDE, values, linestyle="none", marker="o", color=style.SKY, markersize=4)
    several = style.of_runs(counted, "the networks", "whiskers")
    style.legend(figure, entries, several and f"{several.replace('mean', 'median')}, dots: each run", columns=3)
    return figure
