"""Figures: drawn from plain rows such as those of ``history.csv``, never from a model.

Every function returns a matplotlib ``Figure`` with a canvas of its own: no pyplot, so no window, no state between
figures and nothing to close. Colours are Okabe and Ito's, which people of any colour vision tell apart, and the line
styles say it again.
"""

import itertools
import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

ORANGE, BLUE, GREEN, PURPLE, BLACK = "#D55E00", "#0072B2", "#009E73", "#CC79A7", "#000000"


class _Split(NamedTuple):
    key: str
    name: str
    colour: str
    line: str
    marker: str


class _Panel(NamedTuple):
    key: str
    name: str
    unit: str
    scale: float


SPLITS = (_Split("train", "training", ORANGE, "--", "s"), _Split("test", "test", BLUE, "-", "o"))
PANELS = (_Panel("loss", "cross-entropy loss", "nats", 1), _Panel("accuracy", "accuracy", "%", 100))


def learning_curves(
    history: Sequence[Mapping[str, Any]], title: str, reference: Iterable[Mapping[str, Any]] = ()
) -> "Figure":
    """Loss (left) and accuracy (right) against the epoch, training dashed and test solid.

    ``history`` has a row per run and epoch: ``run``, ``epoch`` and any of ``train_loss``, ``train_accuracy``,
    ``test_loss``, ``test_accuracy``, losses in nats and accuracies as fractions; other keys are not looked at. One
    run is a line; several are their mean, in a band from the lowest to the highest. A value that is absent, None or
    not finite (of a run that was frozen, say) counts in neither: the mean is then of the runs that are left. A panel
    without a key in any row is left out.

    ``reference`` takes the rows of ``result.json``; those with a metric that is drawn here become dotted level lines.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    keys = {key for row in history for key in row}
    panels = [panel for panel in PANELS if any(f"{split.key}_{panel.key}" in keys for split in SPLITS)] or PANELS[:1]
    runs = len({row["run"] for row in history})
    level_colours = itertools.cycle((BLACK, GREEN, PURPLE))

    figure = Figure(figsize=(9, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=16, parse_math=False)
    legend: dict[str, Line2D] = {}
    for panel, axes in zip(panels, figure.subplots(1, len(panels), squeeze=False)[0], strict=True):
        _prepare(axes, f"{panel.name} ({panel.unit})")
        for split in SPLITS:
            points = _by_epoch(history, f"{split.key}_{panel.key}", panel.scale)
            if points:
                legend[split.name] = _draw(axes, points, split)
        if not axes.has_data():
            axes.set(xticks=[], yticks=[])
            axes.text(0.5, 0.5, "no finite value", transform=axes.transAxes, ha="center", va="center", fontsize=14)
        for row in reference:
            if row["metric"] in (f"{split.key}_{panel.key}" for split in SPLITS):
                level = row["value"] * panel.scale
                label = textwrap.fill(f"{row['what']}: {level:.4g} {panel.unit}", 45)
                legend[label] = axes.axhline(level, color=next(level_colours), linestyle=":", linewidth=2)
    figure.legend(
        list(legend.values()),
        list(legend),
        title=f"lines: mean of {runs} runs, bands: lowest to highest run" if runs > 1 else None,
        loc="outside lower center",
        ncols=2,
        fontsize=13,
        title_fontsize=13,
        frameon=False,
    )
    return figure


def _by_epoch(history: Iterable[Mapping[str, Any]], key: str, scale: float) -> dict[int, list[float]]:
    """The finite values of all runs at each epoch that has any, epochs in order."""
    points: dict[int, list[float]] = {}
    for row in sorted(history, key=lambda row: row["epoch"]):
        value = row.get(key)
        if value is not None and math.isfinite(value):
            points.setdefault(int(row["epoch"]), []).append(scale * float(value))
    return points


def _prepare(axes: "Axes", name: str) -> None:
    """Whole epochs below, and labels large enough to be read at half the size."""
    from matplotlib.ticker import MaxNLocator

    axes.set_xlabel("epoch", fontsize=14)
    axes.set_ylabel(name, fontsize=14)
    axes.tick_params(labelsize=13)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))
    axes.grid(color="#DDDDDD", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _draw(axes: "Axes", points: Mapping[int, Sequence[float]], split: _Split) -> "Line2D":
    """The mean of the runs, with their range as a band behind it where there are several."""
    epochs = list(points)
    low, high = [min(values) for values in points.values()], [max(values) for values in points.values()]
    mean = [math.fsum(values) / len(values) for values in points.values()]
    if low != high:
        # with edges, so that the band of a single epoch is still a line from the lowest to the highest
        axes.fill_between(epochs, low, high, facecolor=split.colour, edgecolor=split.colour, alpha=0.25, linewidth=1)
    # where epochs are few a marker on each shows how many, and a single one is nothing but its marker
    marker = split.marker if len(epochs) <= 12 else None
    (line,) = axes.plot(epochs, mean, split.line, color=split.colour, marker=marker, linewidth=2, markersize=6)
    return line


class _Library(NamedTuple):
    name: str
    colour: str
    marker: str


LIBRARIES = {
    "ours": _Library("jaxrnn", BLUE, "o"),
    "torch": _Library("PyTorch", ORANGE, "s"),
    "flax": _Library("Flax", GREEN, "^"),
}
"""The libraries that the benchmark sets side by side."""

_FLOOR = "floor (matrix products alone)"
_UNITS = {"ms": "one training step (ms)", "s": "from the start of the process (s)"}


def timings(rows: Sequence[Mapping[str, Any]], title: str) -> "Figure":
    """How long each library took, a group of dots for each thing measured, from 0 on.

    ``rows`` are those of ``benchmark.csv``: ``row``, ``library``, ``unit``, ``median``, ``lower_quartile``,
    ``upper_quartile`` and ``floor``; other keys are not looked at. A dot is the median, with its number beside it, a
    whisker reaches over the interquartile range, and a bar across the group is the floor. There is a panel for each
    unit; a median or floor that is absent or None is left out.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = {unit: [row for row in rows if row["unit"] == unit] for unit in _UNITS}
    panels = {unit: lines for unit, lines in panels.items() if lines}
    tallest = max((len({row["row"] for row in lines}) for lines in panels.values()), default=1)

    figure = Figure(figsize=(9, 2 + 0.9 * tallest), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=16, parse_math=False)
    legend: dict[str, Any] = {}
    beside = figure.subplots(1, max(len(panels), 1), squeeze=False)[0]
    for (unit, lines), axes in zip(panels.items(), beside, strict=False):  # of no panel, the axes stay empty
        names = list(dict.fromkeys(row["row"] for row in lines))
        for row in lines:
            library, place = LIBRARIES[row["library"]], names.index(row["row"])
            if row["floor"] is not None:
                level = [place - 0.38, place + 0.38]
                (legend[_FLOOR],) = axes.plot([row["floor"]] * 2, level, color=BLACK, linewidth=2.5)
            if row["median"] is None:
                continue
            height = place + 0.26 * (list(LIBRARIES).index(row["library"]) - 1)
            low, high = row["median"] - row["lower_quartile"], row["upper_quartile"] - row["median"]
            legend[library.name] = axes.errorbar(
                row["median"],
                height,
                xerr=[[low], [high]],
                color=library.colour,
                marker=library.marker,
                markersize=8,
                linestyle="none",
                elinewidth=2.5,
                capsize=4,
            )
            axes.annotate(
                f"{row['median']:#.3g}".rstrip("."),
                (row["upper_quartile"], height),
                xytext=(9, 0),
                textcoords="offset points",
                va="center",
                fontsize=12,
                color=library.colour,
            )
        axes.set_xlabel(_UNITS[unit], fontsize=14)
        axes.set_yticks(range(len(names)), names, fontsize=13)
        axes.set_ylim(len(names) - 0.5, -0.5)  # the first row on top
        axes.set_xlim(0, 1.15 * axes.get_xlim()[1])  # room for the numbers
        axes.tick_params(labelsize=13)
        axes.grid(axis="x", color="#DDDDDD", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    order = [name for name in (*(library.name for library in LIBRARIES.values()), _FLOOR) if name in legend]
    figure.legend(
        [legend[name] for name in order],
        order,
        title="dots: medians, whiskers: interquartile ranges",
        loc="outside lower center",
        ncols=4,
        fontsize=13,
        title_fontsize=13,
        frameon=False,
    )
    return figure
