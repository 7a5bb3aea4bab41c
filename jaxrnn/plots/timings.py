"""How long things take, library beside library."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from jaxrnn.plots import style
from jaxrnn.plots.style import Look

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class _Library(NamedTuple):
    name: str
    look: Look


LIBRARIES = {
    "ours": _Library("jaxrnn", Look(style.BLUE, marker="o")),
    "torch": _Library("PyTorch", Look(style.ORANGE, marker="s")),
    "torch_packed": _Library("PyTorch, packed", Look(style.PURPLE, marker="D")),
    "flax": _Library("Flax", Look(style.GREEN, marker="^")),
    "keras": _Library("Keras", Look(style.AMBER, marker="v")),
}
"""The libraries that the benchmark sets side by side."""

UNITS = {
    "ms": "ms a step",
    "us": "\N{MICRO SIGN}s a character",
    "ms_review": "ms a review",
    "s": "s",
}
"""What is measured, in words."""

_FLOOR = "floor"
_COLUMNS = (0.5, "jaxrnn's\nown time"), (0.77, "fastest\n/ jaxrnn"), (1.0, "jaxrnn\n/ floor")
"""Where the columns of numbers end, and their words."""


def timings(rows: Sequence[Mapping[str, Any]], title: str) -> "Figure":
    """How many times as long as ours each library took, on a logarithmic axis, a line for each thing measured.

    ``rows`` are those of ``benchmark.csv``: ``row``, ``library``, ``unit``, ``median``, ``ratio_median`` with its
    quartiles, ``fastest_peer`` and ``over_floor``; other keys are not looked at. A dot is the median ratio, a whisker
    reaches over the interquartile range, and a black bar is where the floor is. Beside them stand our own time, the
    ratio of the fastest peer, and how many times the floor ours is; what is absent or None is left out.
    """
    names = list(dict.fromkeys(row["row"] for row in rows))
    libraries = [name for name in LIBRARIES if name != "ours" and any(row["library"] == name for row in rows)]
    figure = style.figure(title, 12, 2.8 + 0.5 * len(names))
    axes, beside = figure.subplots(1, 2, sharey=True, width_ratios=(7, 3))
    entries: dict[str, Any] = {}
    mine = axes.axvline(1, color=LIBRARIES["ours"].look.colour, linewidth=2.5, zorder=1)
    entries[LIBRARIES["ours"].name] = mine
    for row in rows:
        place, library = names.index(row["row"]), row["library"]
        if library == "ours":
            if row["over_floor"] is not None:
                level = [place - 0.36, place + 0.36]
                (entries[_FLOOR],) = axes.plot([1 / row["over_floor"]] * 2, level, color=style.BLACK, linewidth=3.5)
        else:
            height = place + 0.2 * (libraries.index(library) - (len(libraries) - 1) / 2)
            quartiles = row["ratio_lower_quartile"], row["ratio_upper_quartile"]
            look = LIBRARIES[library].look
            entries[LIBRARIES[library].name] = style.dot(axes, row["ratio_median"], height, look, across=quartiles)
    style.prepare(axes, "time as a multiple of jaxrnn's: to the right of 1, slower", grid="x")
    axes.set_xscale("log")
    ticks = style.log_ticks(*_reach(axes))
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_ylim(len(names) - 0.4, -0.6)  # the first row on top
    axes.set_yticks(range(len(names)), names)
    for place in range(1, len(names)):
        axes.axhline(place - 0.5, color=style.PALE, linewidth=0.8, zorder=0)
    _columns(beside, rows, names)
    order = [name for name in (*(library.name for library in LIBRARIES.values()), _FLOOR) if name in entries]
    style.legend(
        figure, {name: entries[name] for name in order}, "dots: medians, whiskers: interquartile ranges", columns=6
    )
    return figure


def _reach(axes: "Axes") -> tuple[float, float]:
    """From the smallest to the largest of what is drawn, at least half to twice ours, with some room."""
    low, high = axes.get_xlim()
    low, high = min(low, 0.5), max(high, 2.0)
    axes.set_xlim(low, high)
    return low, high


def _columns(axes: "Axes", rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> None:
    """Numbers beside the rows, each column under its word."""
    axes.set_axis_off()
    columns: list[tuple[float, str, dict[int, str]]] = [(right, word, {}) for right, word in _COLUMNS]
    (_, _, own), (_, _, fastest), (_, _, over) = columns
    for row in rows:
        place = names.index(row["row"])
        if row["library"] == "ours":
            own[place] = f"{_number(row['median'])} {UNITS[row['unit']]}"
            if row["over_floor"] is not None:
                over[place] = _number(row["over_floor"])
        elif row["fastest_peer"]:
            fastest[place] = _number(row["ratio_median"])
    across = axes.get_yaxis_transform()
    for right, word, column in columns:
        if column:
            axes.text(right, -0.75, word, transform=across, ha="right", va="bottom", fontsize=style.SMALL)
        for place, text in column.items():
            axes.text(right, place, text, transform=across, ha="right", va="center", fontsize=style.SMALL)


def _number(value: float) -> str:
    return f"{value:#.3g}".rstrip(".") if value < 1000 else f"{value:,.0f}"
