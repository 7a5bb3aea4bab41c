"""What the gates of a cell do: maps of units and time, means over time, and the accuracy with each held at 1."""

import math
import re
import statistics
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxrnn.plots import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAMES = {
    "r": "reset gate r",
    "z": "update gate z",
    "n": "candidate n (tanh)",
    "i": "input gate i",
    "f": "forget gate f",
    "g": "input modulation g (tanh)",
    "o": "output gate o",
    "k": "time gate k",
    "c": "cell state c",
    "a": "pre-activation a",
    "h": "hidden state h",
    "y": "output y",
}
"""What the letters of a trace stand for, in the order in which a step computes them."""

_FRACTIONS = "rzifoky"
"""Letters of what lies between 0 and 1."""


def maps(trace: Mapping[str, Any], title: str) -> "Figure":
    """Every gate and state of one sequence: units from top to bottom, time from left to right, a panel for each.

    ``trace`` maps the letters of `jaxrnn.theory.gate_trace` to arrays ``(t, h)``: of one row of a batch. Gates are
    drawn from white (0, closed) to dark (1, open); what has a sign is white at 0, and its scale is symmetric: from -1
    to 1, or as far as the largest magnitude where that is more.

    Raises:
        ValueError: a letter that is in no cell's equations, or arrays that are not of one sequence.
    """
    from matplotlib.ticker import MaxNLocator

    arrays = _checked(trace, "the maps are of one sequence, arrays (time, units)")
    columns = 2 if len(arrays) > 1 else 1
    rows = -(-len(arrays) // columns)
    figure = style.figure(title, 10 if columns == 2 else 7, 1.2 + 2.1 * rows)
    panels = figure.subplots(rows, columns, squeeze=False)
    for axes in panels.flat[len(arrays) :]:
        axes.set_axis_off()
    for (letter, array), axes in zip(arrays.items(), panels.flat, strict=False):
        style.prepare(axes, grid=None)
        axes.set_title(NAMES[letter], fontsize=style.LABEL)
        fraction = letter in _FRACTIONS
        most = 1.0 if fraction else max(1.0, float(np.abs(array).max(initial=0)))
        shades = axes.imshow(
            array.T,
            cmap=style.SHADES if fraction else style.SIGNED,
            vmin=0 if fraction else -most,
            vmax=most,
            aspect="auto",
            interpolation="nearest",
            extent=(0.5, len(array) + 0.5, array.shape[1] + 0.5, 0.5),
        )
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(nbins=6, integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))
        bar = figure.colorbar(shades, ax=axes, pad=0.02, ticks=[0, 0.5, 1] if fraction else [-most, 0, most])
        bar.ax.tick_params(labelsize=style.TEXT)
        bar.ax.set_yticklabels(["0", "0.5", "1"] if fraction else [f"−{most:.3g}", "0", f"{most:.3g}"])
    figure.supxlabel("time step", fontsize=style.LABEL)
    figure.supylabel("unit", fontsize=style.LABEL)
    return figure


def over_time(values: Mapping[str, Any], title: str) -> "Figure":
    """Every gate and state over time: the mean of many, in a band from their 10th to their 90th percentile.

    ``values`` maps letters to arrays ``(t, k)``: at each step those of all units, of one sequence or several; of what
    has a sign, the magnitudes. Gates are drawn from 0 to 1, magnitudes from 0 to 1 or as far as the band reaches where
    that is more.

    Raises:
        ValueError: a letter that is in no cell's equations, or arrays of another number of dimensions.
    """
    arrays = _checked(values, "the values are arrays (time, units)")
    order = sorted(arrays, key=lambda letter: letter not in _FRACTIONS)
    columns = min(len(order), 3)
    rows = -(-len(order) // columns)
    figure = style.figure(title, max(3.4 * columns, 6), 1.7 + 2.4 * rows)
    panels = figure.subplots(rows, columns, squeeze=False)
    for axes in panels.flat[len(order) :]:
        axes.set_axis_off()
    entries: dict[str, Any] = {}
    for place, (letter, axes) in enumerate(zip(order, panels.flat, strict=False)):
        # not one name below all panels: the legend is there
        style.prepare(axes, "time step" if place + columns >= len(order) else None)
        name = NAMES[letter] if letter in _FRACTIONS else re.sub(rf"\b{letter}\b", f"|{letter}|", NAMES[letter])
        axes.set_title(name, fontsize=style.LABEL)
        steps = range(1, len(arrays[letter]) + 1)
        low, high = np.percentile(arrays[letter], (10, 90), axis=1)
        (entries["mean"],) = axes.plot(
            steps, arrays[letter].mean(1), color=style.BLUE, marker="o", markersize=6, linewidth=2, clip_on=False
        )
        entries["10th to 90th percentile"] = axes.fill_between(
            steps, low, high, facecolor=style.BLUE, edgecolor=style.BLUE, alpha=0.25, linewidth=0
        )
        axes.set_xticks(steps[:: math.ceil(len(steps) / 10)])
        axes.set_ylim(0, 1 if high.max() <= 1 else 1.05 * high.max())
    style.legend(figure, entries)
    return figure


def ablation(held: Mapping[str, Mapping[str, Any]], intact: Any, title: str, *, chance: float) -> "Figure":
    """The accuracy with each gate held at 1, from 0 to 100%: every run as a dot, their median as a bar.

    ``held`` has by name each way to hold it, and in it by letter the runs' accuracies as fractions; ``intact`` has
    those of the networks as they are, whose median is a level line, as is ``chance``. What is not finite is left out.
    """
    figure = style.figure(title, 9, 5.5)
    axes = figure.subplots()
    style.prepare(axes, "gate held at 1", "test accuracy (%)", grid="y")
    letters = [letter for letter in NAMES if any(letter in accuracies for accuracies in held.values())]
    gap = 0.7 / max(len(held), 1)
    entries: dict[str, Any] = {}
    for number, ((name, accuracies), look) in enumerate(zip(held.items(), style.looks(held).values(), strict=True)):
        for place, letter in enumerate(letters):
            runs = [100 * value for value in style.finite(accuracies.get(letter, ()))]
            if not runs:
                continue
            x = place + gap * (number - (len(held) - 1) / 2)
            axes.hlines(statistics.median(runs), x - 0.4 * gap, x + 0.4 * gap, color=look.colour, linewidth=3, zorder=3)
            # beside each other, so that equal runs are all seen
            xs = x + 0.8 * gap * ((np.arange(len(runs)) + 0.5) / len(runs) - 0.5)
            (entries[name],) = axes.plot(
                xs, runs, linestyle="none", marker=look.marker, markersize=8, color=look.colour, alpha=0.6,
                markeredgewidth=0, clip_on=False, zorder=4,
            )  # fmt: skip
    if known := style.finite(intact):
        entries["intact"] = axes.axhline(100 * statistics.median(known), color=style.GREEN, linewidth=2, zorder=2)
    entries["chance"] = axes.axhline(100 * chance, color=style.BLACK, linestyle=":", linewidth=2, zorder=2)
    axes.set_xticks(range(len(letters)), [NAMES[letter].removesuffix(" (tanh)") for letter in letters])
    axes.tick_params(axis="x", length=0)
    axes.set_xlim(-0.5, max(len(letters), 1) - 0.5)
    axes.set_ylim(0, 103)
    axes.set_yticks(range(0, 101, 20))
    style.legend(figure, entries, "bars: median of the runs, marks: each run")
    return figure


def _checked(trace: Mapping[str, Any], wanted: str) -> dict[str, np.ndarray]:
    """The arrays of a trace in the order of a step; raises ValueError where they are not what is ``wanted``."""
    if unknown := [letter for letter in trace if letter not in NAMES]:
        raise ValueError(f"a trace has the letters {', '.join(NAMES)}, not {', '.join(unknown)}")
    arrays = {letter: np.asarray(trace[letter], float) for letter in NAMES if letter in trace}
    if any(array.ndim != 2 for array in arrays.values()):
        shapes = ", ".join(f"{letter} {array.shape}" for letter, array in arrays.items())
        raise ValueError(f"{wanted}, not {shapes}")
    return arrays
