"""Every run as a dot, a row for each of several things, in panels side by side that share the rows."""

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jaxrnn.plots import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Strip(NamedTuple):
    """A panel: what is measured, and the value of each run in each row."""

    measure: str
    """With its unit."""
    rows: Mapping[str, Sequence[float | None]]
    """The runs' values by the row's name; what is None or not finite is left out."""
    log: bool = False
    """Whether the axis is logarithmic; all values are positive then."""
    limits: tuple[float, float] | None = None
    """From where to where the axis goes; as the values have it where not given."""
    marks: Mapping[str, float] = {}
    """A number from elsewhere beside the runs of a row."""


def strips(
    panels: Sequence[Strip], title: str, *, marked: str = "", level: tuple[str, float] | None = None
) -> "Figure":
    """A row for each name, the first on top; in it a dot for each run, the first run highest, and a bar at the median.

    All panels have the same rows. ``marked`` says what the diamonds of `Strip.marks` are, and ``level`` names a place
    on every level axis at which there is a dotted line.
    """
    from matplotlib.ticker import NullLocator

    names = list(panels[0].rows)
    figure = style.figure(title, 9, 2.3 + 0.75 * len(names))
    entries: dict[str, Any] = {}
    for panel, axes in zip(panels, figure.subplots(1, len(panels), sharey=True, squeeze=False)[0], strict=True):
        style.prepare(axes, panel.measure, grid="x")
        if panel.log:
            axes.set_xscale("log")
        if level is not None:
            entries[level[0]] = axes.axvline(level[1], color=style.BLACK, linestyle=":", linewidth=2)
        for place, name in enumerate(names):
            if place % 2 == 0:
                axes.axhspan(place - 0.5, place + 0.5, color=style.PALE, alpha=0.35, linewidth=0, zorder=-1)
            values = panel.rows[name]
            heights = place + np.linspace(-0.3, 0.3, len(values) + 2)[1:-1]
            there = [(value, y) for value, y in zip(values, heights, strict=True) if style.finite([value])]
            if there:
                middle = float(np.median([value for value, _ in there]))
                (entries["median"],) = axes.plot(
                    [middle] * 2, [place - 0.34, place + 0.34], color=style.ORANGE, linewidth=3, zorder=2
                )
                (entries["a run"],) = axes.plot(
                    *zip(*there, strict=True),
                    linestyle="none",
                    marker="o",
                    markersize=6,
                    color=style.BLUE,
                    clip_on=False,
                )
            if name in panel.marks:
                (entries[marked],) = axes.plot(
                    panel.marks[name],
                    place,
                    linestyle="none",
                    marker="D",
                    markersize=9,
                    color=style.BLACK,
                    clip_on=False,
                )
                entries[marked].set(markerfacecolor="none", markeredgewidth=2, zorder=4)
        if panel.limits is not None:
            axes.set_xlim(panel.limits)
        if panel.log:
            ticks = style.log_ticks(*axes.get_xlim())
            decades = [tick for tick in ticks if math.log10(tick).is_integer()]
            if len(ticks) > 4 and len(decades) > 1:
                ticks = decades[:: math.ceil(len(decades) / 3)]  # panels are narrow
            axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
            axes.xaxis.set_minor_locator(NullLocator())
        axes.tick_params(axis="y", length=0)
    axes.set_yticks(range(len(names)), [textwrap.fill(name, 22) for name in names], parse_math=False)
    axes.set_ylim(len(names) - 0.5, -0.5)
    order = [entry for entry in ("a run", "median", marked, level and level[0]) if entry in entries]
    style.legend(figure, {entry: entries[entry] for entry in order})
    return figure
