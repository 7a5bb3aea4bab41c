"""How a cost grows with each of several sizes."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from jaxrnn.plots import style
from jaxrnn.plots.timings import LIBRARIES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BESIDE = 3
"""How many panels stand side by side."""


def growth(rows: Sequence[Mapping[str, Any]], title: str) -> "Figure":
    """Milliseconds of a training step against a size, a panel for each size, all axes logarithmic.

    ``rows`` are those of ``growth.csv``: ``row``, ``variable``, ``library``, ``value``, ``median``,
    ``lower_quartile``, ``upper_quartile`` and ``slope``; other keys are not looked at. A library is a line through its
    medians with a band over the interquartile ranges, and the legend of a panel has the slope of the straight line that
    fits it: the power of the size that the cost grows with. The panels share the axis of the cost.
    """
    names = list(dict.fromkeys(row["row"] for row in rows))
    wide = min(max(len(names), 1), _BESIDE)
    high = -(-max(len(names), 1) // wide)
    figure = style.figure(title, 1.5 + 4 * wide, 1.5 + 4.2 * high)
    panels = figure.subplots(high, wide, squeeze=False, sharey=True)
    for number, axes in enumerate(panels.flat):
        if number >= len(names):
            axes.set_visible(False)
            continue
        inside = [row for row in rows if row["row"] == names[number]]
        style.prepare(axes, inside[0]["variable"], None if number % wide else "one training step (ms)")
        axes.set(xscale="log", yscale="log")
        for library in dict.fromkeys(row["library"] for row in inside):
            _line(axes, library, [row for row in inside if row["library"] == library])
        values = sorted({row["value"] for row in inside})
        axes.set_xticks(values, values)
        axes.minorticks_off()
        axes.legend(loc="upper left", fontsize=style.SMALL, frameon=False)
    if names:
        low, top = panels[0, 0].get_ylim()
        panels[0, 0].set_ylim(low, top * (top / low) ** 0.35)  # room for the legends
        ticks = style.log_ticks(*panels[0, 0].get_ylim())
        panels[0, 0].set_yticks(ticks, [f"{tick:g}" for tick in ticks])
        panels[0, 0].minorticks_off()
    style.legend(figure, {}, "lines: medians, bands: interquartile ranges")
    return figure


def _line(axes: "Axes", library: str, rows: Sequence[Mapping[str, Any]]) -> None:
    look = LIBRARIES[library].look
    values, median, low, high = (
        [row[column] for row in rows] for column in ("value", "median", "lower_quartile", "upper_quartile")
    )
    axes.fill_between(values, low, high, facecolor=look.colour, alpha=0.25, linewidth=0)
    label = f"{LIBRARIES[library].name}: slope {rows[0]['slope']:.2f}"
    axes.plot(values, median, color=look.colour, marker=look.marker, linewidth=2, markersize=7, label=label)
