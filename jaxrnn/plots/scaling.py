"""What a run costs by how many are trained at once."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from jaxrnn.plots import style
from jaxrnn.plots.timings import LIBRARIES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


_WAYS = {"torch": "a process for each core", "flax": "side by side"}
"""How other libraries train many runs."""


def cost_per_run(rows: Sequence[Mapping[str, Any]], title: str) -> "Figure":
    """Milliseconds of a training step of one run against the number of runs, a panel for each thing measured.

    ``rows`` are those of ``sweeps.csv``: ``row``, ``library``, ``runs``, ``median``, ``lower_quartile`` and
    ``upper_quartile``; other keys are not looked at. Ours is a line through the medians with a band over the
    interquartile ranges; another library, measured at one number of runs, is a level. All axes are logarithmic, and the
    panels share that of the cost.
    """
    names = list(dict.fromkeys(row["row"] for row in rows))
    figure = style.figure(title, 2 + 3.4 * max(len(names), 1), 5)
    entries: dict[str, Any] = {}
    panels = figure.subplots(1, max(len(names), 1), squeeze=False, sharey=True)[0]
    for number, (name, axes) in enumerate(zip(names, panels, strict=False)):  # of no name, the axes stay empty
        style.prepare(axes, "runs at once", None if number else "training step of one run (ms)")
        axes.set_title(name, fontsize=style.LABEL)
        axes.set(xscale="log", yscale="log")
        mine = sorted((row for row in rows if row["row"] == name and row["library"] == "ours"), key=_runs)
        entries[LIBRARIES["ours"].name] = _line(axes, mine)
        for row in rows:
            if row["row"] == name and row["library"] != "ours":
                library = LIBRARIES[row["library"]]
                label = f"{library.name}, {_WAYS[row['library']]}, {row['runs']} runs"
                entries[label] = axes.axhline(row["median"], color=library.look.colour, linestyle=":", linewidth=3)
        numbers = [row["runs"] for row in mine]
        axes.set_xticks(numbers, numbers)
        axes.minorticks_off()
    if names:
        _spread_ticks(panels[0])
    style.legend(figure, entries, "line: medians, band: interquartile ranges", columns=2)
    return figure


def _runs(row: Mapping[str, Any]) -> int:
    return row["runs"]


def _line(axes: "Axes", rows: Sequence[Mapping[str, Any]]) -> Any:
    look = LIBRARIES["ours"].look
    numbers, median, low, high = (
        [row[column] for row in rows] for column in ("runs", "median", "lower_quartile", "upper_quartile")
    )
    axes.fill_between(numbers, low, high, facecolor=look.colour, alpha=0.25, linewidth=0)
    (line,) = axes.plot(numbers, median, color=look.colour, marker=look.marker, linewidth=2, markersize=6)
    return line


def _spread_ticks(axes: "Axes") -> None:
    """Round numbers on the shared axis of the cost."""
    ticks = style.log_ticks(*axes.get_ylim())
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
