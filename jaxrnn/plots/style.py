"""What all figures share: a canvas of their own, colours, sizes of letters, axes, legends, and how runs are drawn.

No pyplot, so no window, no state between figures and nothing to close. Colours are Okabe and Ito's, which people of any
colour vision tell apart, and the line styles and markers say it again. The letters can be read at half the size.
"""

import itertools
import math
import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.container import ErrorbarContainer
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

ORANGE, BLUE, GREEN, PURPLE, BLACK = "#D55E00", "#0072B2", "#009E73", "#CC79A7", "#000000"
AMBER, SKY, GREY = "#E69F00", "#56B4E9", "#777777"
PALE = "#DDDDDD"
"""Of what stands behind the data: grids and the like."""

SHADES = "Blues"
"""The colour map of amounts: one hue from white to dark, so lightness alone tells them apart."""

SIGNED = "PuOr"
"""The colour map of what has a sign: white at 0, and two hues that people of any colour vision tell apart."""

TITLE, LABEL, TEXT, SMALL = 16, 14, 13, 12
"""Sizes of letters, in points."""


class Look(NamedTuple):
    """How one of several things is told apart: by its colour, and again by its line and its marker."""

    colour: str
    line: Any = "-"
    marker: str = "o"


_LOOKS = (
    Look(BLUE, "-", "o"),
    Look(ORANGE, "--", "s"),
    Look(GREEN, "-.", "^"),
    Look(PURPLE, (0, (6, 1, 1, 1, 1, 1)), "D"),
    Look(BLACK, ":", "v"),
    Look(AMBER, (0, (8, 3)), "P"),
    Look(SKY, (0, (3, 1, 1, 1)), "X"),
    Look(GREY, (0, (1, 1)), "*"),
)


def looks(names: Iterable[Any]) -> dict[Any, Look]:
    """A look for each name, in their order; from the ninth on they repeat."""
    return dict(zip(dict.fromkeys(names), itertools.cycle(_LOOKS), strict=False))


def figure(title: str, width: float, height: float) -> "Figure":
    """An empty figure, ``width`` by ``height`` inches, with its canvas and its title, which is wrapped."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    blank = Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.08))
    FigureCanvasAgg(blank)
    blank.suptitle(textwrap.fill(title, int(width / 0.13)), fontsize=TITLE, parse_math=False)
    return blank


def prepare(
    axes: "Axes", x: str | None = None, y: str | None = None, *, grid: Literal["both", "x", "y"] | None = "both"
) -> None:
    """Names the axes; ``grid`` says of which of them there are lines behind the data."""
    if x is not None:
        axes.set_xlabel(x, fontsize=LABEL)
    if y is not None:
        axes.set_ylabel(y, fontsize=LABEL)
    axes.tick_params(labelsize=TEXT)
    if grid:
        axes.grid(axis=grid, color=PALE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def whole_numbers(axes: "Axes") -> None:
    """Only whole numbers below, such as those of epochs."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))


def say(axes: "Axes", words: str) -> None:
    """Words in the middle of axes that have nothing to show."""
    axes.set(xticks=[], yticks=[])
    axes.text(0.5, 0.5, words, transform=axes.transAxes, ha="center", va="center", fontsize=LABEL)


def legend(figure: "Figure", entries: Mapping[str, Any], title: str | None = None, *, columns: int = 4) -> None:
    """A legend below everything, in at most so many columns and in as many as fit the figure."""
    if not entries and title is None:
        return
    for number in range(columns, 0, -1):
        below = figure.legend(
            list(entries.values()),
            list(entries),
            title=title,
            loc="outside lower center",
            ncols=number,
            fontsize=TEXT,
            title_fontsize=TEXT,
            frameon=False,
        )
        if number == 1 or below.get_window_extent().width < figure.bbox.width:
            break
        below.remove()


def tidy(number: str) -> str:
    """``1e-05`` as ``1e-5``, ``1e+06`` as ``1e6``."""
    return re.sub(r"e\+?(-?)0*", r"e\1", number)


def ink_on(colour: Sequence[float]) -> str:
    """Black or white, whichever is read better on a colour of red, green and blue from 0 to 1: by WCAG's contrast."""
    parts = np.asarray(colour[:3], float)
    light = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4) @ (0.2126, 0.7152, 0.0722)
    # where black and white are equally far
    return BLACK if light > 0.179 else "#FFFFFF"


def log_ticks(low: float, high: float) -> list[float]:
    """Round numbers from ``low`` to ``high``, both positive, for a logarithmic axis: few or many, as there is room."""
    from matplotlib.ticker import MaxNLocator

    decades = range(math.floor(math.log10(low)), math.floor(math.log10(high)) + 1)
    for steps, enough in (((1,), 5), ((1, 2, 5), 3), ((1, 1.5, 2, 3, 4, 5, 6, 8), 3)):
        ticks = [float(f"{step}e{decade}") for decade in decades for step in steps]
        ticks = [tick for tick in ticks if low <= tick <= high]
        if len(ticks) >= enough:
            return ticks
    return [tick for tick in np.asarray(MaxNLocator(4).tick_values(low, high)).tolist() if low <= tick <= high]


def logarithmic(axes: "Axes", values: Sequence[float]) -> float:
    """Makes the upright axis logarithmic, for all of ``values``; returns where those are drawn that it cannot have.

    Such values, 0 or below, stand on a tick "0" at its foot.
    """
    positive = [value for value in values if value > 0] or [1.0]
    low, high = min(positive), max(positive)
    floor = low / 2
    zero = min(values) <= 0
    axes.set_yscale("log")
    ticks = log_ticks(low / 1.2, high * 1.2)
    low = floor if zero else low
    room = max((high / low) ** 0.04, 1.2)
    axes.set_ylim(low / room, high * room)
    ticks = [tick for tick in ticks if not zero or tick >= floor * (high / floor) ** 0.08]
    if len(ticks) > 10:
        ticks = [tick for tick in ticks if f"{tick:e}".startswith("1.000000")]
    ticks = ticks[:: math.ceil(len(ticks) / 10)]
    labels = [tidy(f"{tick:.4g}") for tick in ticks]
    axes.set_yticks([floor, *ticks] if zero else ticks, ["0", *labels] if zero else labels)
    axes.set_yticks([], minor=True)
    return floor


def logarithmically(name: str) -> str:
    """The name of an axis, with the word that it is logarithmic."""
    return f"{name[:-1]}, logarithmic)" if name.endswith(")") else f"{name} (logarithmic)"


class Spread(NamedTuple):
    """What several runs come to."""

    mean: float
    low: float
    high: float


def finite(values: Iterable[float | None]) -> list[float]:
    """The values without those that are None or not finite: those of runs that failed."""
    return [float(value) for value in values if value is not None and math.isfinite(value)]


def spread(values: Sequence[float]) -> Spread:
    """Mean, lowest and highest of at least one finite value."""
    return Spread(math.fsum(values) / len(values), min(values), max(values))


def of_runs(numbers: Iterable[int], shown: str = "lines", ranges: str = "bands") -> str | None:
    """The words on what shows the mean of the runs and what their range, None where nothing has more than one run.

    ``numbers`` are the runs of each model.
    """
    numbers = set(numbers)
    if max(numbers, default=1) < 2:
        return None
    runs = f"{min(numbers)} runs" if len(numbers) == 1 else "the runs"
    return f"{shown}: mean of {runs}, {ranges}: lowest to highest run"


def curve(
    axes: "Axes",
    points: Mapping[int, Sequence[float]],
    look: Look,
    *,
    every: int | None = 1,
    floor: float = -math.inf,
    shade: float = 0.25,
) -> "Line2D":
    """The mean of the runs, with their range as a band behind it where there are several.

    ``points`` has the finite values of the runs at each place, places in order. Every ``every``-th has a marker, none
    where that is None; what lies lower than ``floor`` is drawn there. ``shade`` is the band's opacity.
    """
    places, spreads = list(points), [spread(values) for values in points.values()]
    mean, low, high = ([max(value, floor) for value in values] for values in zip(*spreads, strict=True))
    if low != high:
        # with an edge where there is a single place, so that its band is still a line from the lowest to the highest
        edge = 3 if len(places) == 1 else 0
        axes.fill_between(places, low, high, facecolor=look.colour, edgecolor=look.colour, alpha=shade, linewidth=edge)
    marker = None if every is None else look.marker
    (line,) = axes.plot(
        places, mean, linestyle=look.line, color=look.colour, marker=marker, markevery=every, linewidth=2, markersize=6
    )
    return line


def dot(
    axes: "Axes",
    x: float,
    y: float,
    look: Look,
    *,
    across: tuple[float, float] | None = None,
    upright: bool = False,
    **more: Any,
) -> "ErrorbarContainer":
    """A dot, with a whisker from the lower to the upper of ``across`` where it is given, level or upright."""
    whisker = None
    if across is not None:
        middle = y if upright else x
        whisker = [[max(middle - across[0], 0)], [max(across[1] - middle, 0)]]
    return axes.errorbar(
        x,
        y,
        xerr=None if upright else whisker,
        yerr=whisker if upright else None,
        color=look.colour,
        marker=look.marker,
        markersize=8,
        linestyle="none",
        elinewidth=2.5,
        capsize=4,
        **more,
    )
