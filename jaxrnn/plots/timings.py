"""How long things take, library beside library."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from jaxrnn.plots import style
from jaxrnn.plots.style import Look

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class _Library(NamedTuple):
    name: str
    look: Look


LIBRARIES = {
    "ours": _Library("jaxrnn", Look(style.BLUE, marker="o")),
    "torch": _Library("PyTorch", Look(style.ORANGE, marker="s")),
    "torch_packed": _Library("PyTorch, packed", Look(style.PURPLE, marker="D")),
    "flax": _Library("Flax", Look(style.GREEN, marker="^")),
}
"""The libraries that the benchmark sets side by side."""

_FLOOR = "floor (matrix products alone)"
_UNITS = {
    "ms": "one training step (ms)",
    "us": "one character written (\N{MICRO SIGN}s)",
    "ms_review": "one review trained on (ms)",
    "s": "from the start of the process (s)",
}


def timings(rows: Sequence[Mapping[str, Any]], title: str) -> "Figure":
    """How long each library took, a group of dots for each thing measured, from 0 on.

    ``rows`` are those of ``benchmark.csv``: ``row``, ``library``, ``unit``, ``median``, ``lower_quartile``,
    ``upper_quartile`` and ``floor``; other keys are not looked at. A dot is the median, with its number beside it, a
    whisker reaches over the interquartile range, and a bar across the group is the floor. There is a panel for each
    unit; a median or floor that is absent or None is left out.
    """
    panels = {unit: [row for row in rows if row["unit"] == unit] for unit in _UNITS}
    panels = {unit: lines for unit, lines in panels.items() if lines}
    tallest = max((len({row["row"] for row in lines}) for lines in panels.values()), default=1)

    figure = style.figure(title, max(9, 4.5 * len(panels)), 2 + 0.9 * tallest)
    entries: dict[str, Any] = {}
    beside = figure.subplots(1, max(len(panels), 1), squeeze=False)[0]
    for (unit, lines), axes in zip(panels.items(), beside, strict=False):  # of no panel, the axes stay empty
        names = list(dict.fromkeys(row["row"] for row in lines))
        libraries = [library for library in LIBRARIES if any(row["library"] == library for row in lines)]
        for row in lines:
            library, place = LIBRARIES[row["library"]], names.index(row["row"])
            if row["floor"] is not None:
                level = [place - 0.38, place + 0.38]
                (entries[_FLOOR],) = axes.plot([row["floor"]] * 2, level, color=style.BLACK, linewidth=2.5)
            if row["median"] is None:
                continue
            height = place + 0.26 * (libraries.index(row["library"]) - 1)
            quartiles = row["lower_quartile"], row["upper_quartile"]
            entries[library.name] = style.dot(axes, row["median"], height, library.look, across=quartiles)
            axes.annotate(
                f"{row['median']:#.3g}".rstrip("."),
                (row["upper_quartile"], height),
                xytext=(9, 0),
                textcoords="offset points",
                va="center",
                fontsize=style.SMALL,
                color=library.look.colour,
            )
        style.prepare(axes, _UNITS[unit], grid="x")
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(len(names) - 0.5, -0.5)  # the first row on top
        axes.set_xlim(0, 1.15 * axes.get_xlim()[1])  # room for the numbers
    order = [name for name in (*(library.name for library in LIBRARIES.values()), _FLOOR) if name in entries]
    said = "dots: medians, whiskers: interquartile ranges"
    style.legend(figure, {name: entries[name] for name in order}, said)
    return figure
