"""The papers' worked examples: printed and computed outputs, and what a constant start does to learning."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxrnn.plots import style
from jaxrnn.plots.style import Look

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MISTAKES = (Look(style.ORANGE, "--", "s"), Look(style.GREEN, "-.", "^"), Look(style.PURPLE, ":", "D"))


def outputs(panels: Mapping[str, Mapping[str, Any]], title: str, decimals: int = 2) -> "Figure":
    """The outputs y(t) of several networks over the time step, a column for each, and below their difference to print.

    Each panel has ``computed`` and ``printed``, ``(t,)``, a solid line and hollow circles around its points; and
    ``mistakes``, by their names the outputs ``(t,)`` that each of them gives, lines that are not solid. A mistake has
    the same look everywhere. Below is y(t) less the printed number: what lies in the grey band rounds to the printed
    ``decimals``, what lies outside is told from it.

    Raises:
        ValueError: more mistakes than there are looks.
    """
    names = list(dict.fromkeys(name for panel in panels.values() for name in panel["mistakes"]))
    if len(names) > len(_MISTAKES):
        raise ValueError(f"the figure has looks for {len(_MISTAKES)} mistakes, not for {len(names)}")
    looks = {"computed": Look(style.BLUE)} | dict(zip(names, _MISTAKES, strict=False))
    figure = style.figure(title, 10, 7)
    above, below = figure.subplots(2, len(panels), squeeze=False, sharex=True, sharey="row", height_ratios=(3, 2))
    entries: dict[str, Any] = {}
    half = 0.5 * 10.0**-decimals
    for (network, panel), level, difference in zip(panels.items(), above, below, strict=True):
        steps, printed = np.arange(1, len(panel["printed"]) + 1), np.asarray(panel["printed"], float)
        band = difference.axhspan(-half, half, color=style.PALE, linewidth=0)
        for name, ys in {**panel["mistakes"], "computed": panel["computed"]}.items():
            look = looks[name]
            marks: dict[str, Any] = {"color": look.colour, "linestyle": look.line, "marker": look.marker}
            (entries[name],) = level.plot(steps, ys, linewidth=2, markersize=7, **marks)
            difference.plot(steps, np.asarray(ys, float) - printed, linewidth=2, markersize=7, **marks)
        (entries["printed in the paper"],) = level.plot(
            steps,
            printed,
            linestyle="none",
            marker="o",
            markersize=14,
            markerfacecolor="none",
            markeredgecolor=style.BLACK,
            markeredgewidth=1.8,
        )
        entries[f"rounds to the printed {decimals} decimals"] = band
        first = network == next(iter(panels))
        style.prepare(level, None, "output y(t)" if first else None)
        style.prepare(difference, "time step t", "y(t) less the\nprinted number" if first else None)
        level.set_title(network, fontsize=style.LABEL)
        level.set_ylim(0, 1)
        difference.set_xticks(steps)
        difference.set_xlim(0.8, len(steps) + 0.2)
    order = ["computed", "printed in the paper", *names, f"rounds to the printed {decimals} decimals"]
    style.legend(figure, {name: entries[name] for name in order}, columns=3)
    return figure


def starts(curves: Mapping[str, Mapping[str, Any]], title: str) -> "Figure":
    """Gradient descent from several starts: the loss, on a logarithmic axis, and how far the hidden units differ.

    By the name of the start, ``loss`` in nats and ``difference`` in units of the weights, ``(runs, steps)``: what was
    there after 0, 1, 2, ... updates. A line is the mean of the runs, in a band from the lowest to the highest.
    """
    figure = style.figure(title, 10, 4.8)
    looks, runs = style.looks(curves), []
    entries: dict[str, Any] = {}
    panels = (("loss", "total cross-entropy (nats)"), ("difference", "largest difference between\ntwo units' weights"))
    for (key, words), axes in zip(panels, figure.subplots(1, 2), strict=True):
        style.prepare(axes, "updates", words)
        style.whole_numbers(axes)
        for name, measured in curves.items():
            values = np.asarray(measured[key], float)
            runs.append(len(values))
            points = {update: style.finite(column) for update, column in enumerate(values.T.tolist())}
            points = {update: column for update, column in points.items() if column}
            if points:
                entries[name] = style.curve(axes, points, looks[name], every=max(1, len(points) // 8))
        if key == "loss":
            axes.set_yscale("log")
            axes.set_yticks(ticks := style.log_ticks(*axes.get_ylim()), [f"{tick:g}" for tick in ticks])
            axes.minorticks_off()
        else:
            low, high = axes.get_ylim()
            axes.set_ylim(min(low, -0.03 * high), high)  # a line at 0 does not lie on the frame
    style.legend(figure, entries, style.of_runs(runs))
    return figure
