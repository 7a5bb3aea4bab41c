"""What theory says, drawn: slopes of activations and their powers, products of Jacobians, and gradients over time.

Where something is drawn over decades, a line is the mean of the runs' logarithms (their geometric mean).
"""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxrnn.plots import style
from jaxrnn.plots.style import Look

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SLOPES = {"tanh": Look(style.BLUE, "-", "o"), "sigmoid": Look(style.ORANGE, "--", "s")}
"""How the two activations are told apart in all figures here."""


_POWERS = (Look(style.BLUE, "none", "o"), Look(style.ORANGE, "--", ""))
"""Of two curves that cover each other, rings and a line."""


def slopes(
    e: Sequence[float],
    curves: Mapping[str, Sequence[float]],
    approximations: Mapping[str, Sequence[float]],
    intervals: Mapping[str, float],
    title: str,
) -> "Figure":
    """The slopes of tanh and sigmoid over ``e``, the true ones solid and dashed, their approximations thin.

    ``curves`` and ``approximations`` have ``"tanh"`` and ``"sigmoid"``, at each of ``e``; an approximation is drawn
    as far as it is positive. ``intervals`` has, by what to call it, the half width of each interval around 0 where the
    sigmoid's slope is the smaller one: a bar at the foot.
    """
    figure = style.figure(title, 9, 5.5)
    axes = figure.subplots()
    style.prepare(axes, "pre-activation e", "slope")
    entries: dict[str, Any] = {}
    for name, look in SLOPES.items():
        (entries[name],) = axes.plot(e, curves[name], linestyle=look.line, color=look.colour, linewidth=2.5)
        rough = np.asarray(approximations[name], float)
        rough = np.where(rough >= 0, rough, np.nan)
        (thin,) = axes.plot(e, rough, color=look.colour, linewidth=1.4, linestyle=":")
        entries[f"{name}, approximated"] = thin
    bars = zip(intervals.items(), (Look(style.GREEN, "-"), Look(style.PURPLE, "-")), strict=False)
    for number, ((name, half), look) in enumerate(bars, start=1):
        height = -0.07 * number
        (bar,) = axes.plot([-half, half], [height] * 2, color=look.colour, linewidth=5, solid_capstyle="butt")
        entries[f"{name}: |e| ≤ {half:.4f}"] = bar
        for end in (-half, half):
            axes.plot([end] * 2, [height, 1], color=look.colour, linewidth=1, linestyle="--", zorder=0)
    axes.set_ylim(-0.07 * (len(intervals) + 1), 1.04)
    axes.set_yticks(np.arange(0, 1.01, 0.25))
    axes.set_xlim(min(e), max(e))
    style.legend(figure, entries, "bars: where the sigmoid's slope is at most tanh's", columns=2)
    return figure


def powers(
    steps: Sequence[int],
    ratios: Mapping[str, float],
    difference: Sequence[float],
    title: str,
) -> "Figure":
    """Powers ``ratio^T`` of two ratios over the steps T (left), and their relative difference at every step (right).

    ``ratios`` has the logarithm to base 10 of each ratio by name; the first is drawn as rings and the second as a line,
    so that both are seen where they cover each other.
    """
    figure = style.figure(title, 9, 5)
    left, right = figure.subplots(1, 2)
    entries: dict[str, Any] = {}
    for (name, decades), look in zip(ratios.items(), _POWERS, strict=True):
        values = [decades * step for step in steps]
        (entries[name],) = left.plot(
            steps, values, linestyle=look.line, color=look.colour, linewidth=2, marker=look.marker, markersize=9,
            markerfacecolor="none", markeredgewidth=1.8,
        )  # fmt: skip
    right.plot(steps, 1e6 * np.asarray(difference), color=style.BLACK, linewidth=2, marker="o", markersize=5)
    style.prepare(left, "time steps T", "ratio to the power T")
    style.prepare(right, "time steps T", "relative difference (millionths)")
    for axes in (left, right):
        style.whole_numbers(axes)
    decades_axis(left)
    right.set_ylim(bottom=0)
    style.legend(figure, entries, columns=2)
    return figure


def over_time(
    panels: Mapping[str, Mapping[str, tuple[Look, Any]]],
    title: str,
    *,
    x: str,
    y: str,
    first: int = 1,
    bounds: Mapping[str, Mapping[str, tuple[Look, Sequence[float]]]] | None = None,
    floor: float = -math.inf,
) -> "Figure":
    """Sizes over time, over decades: a panel for each name, in it a line for each of its curves.

    A curve is a look and logarithms to base 10, ``(runs, steps)``: the line is their mean over the runs, in a band
    from the lowest to the highest. ``bounds`` has thin lines without runs, drawn over those, for the same panels.
    ``first`` is the number of the first step; what is not finite is left out, and what is lower than ``floor`` is
    drawn there.
    """
    figure = style.figure(title, 4.7 * max(len(panels), 2), 5.5)
    entries: dict[str, Any] = {}
    runs = []
    beside = figure.subplots(1, len(panels), squeeze=False, sharex=True, sharey=True)[0]
    for (panel, curves), axes in zip(panels.items(), beside, strict=True):
        for name, (look, values) in curves.items():
            values = np.atleast_2d(np.asarray(values, float))
            runs.append(len(values))
            points = {step: style.finite(column) for step, column in enumerate(values.T.tolist(), start=first)}
            points = {step: column for step, column in points.items() if column}
            if points:
                every = math.ceil(len(points) / 8)
                entries[name] = style.curve(axes, points, look, every=every, floor=floor, shade=0.2)
        for name, (look, level) in (bounds or {}).get(panel, {}).items():
            places = range(first, first + len(level))
            (entries[name],) = axes.plot(places, level, linestyle=look.line, color=look.colour, linewidth=1.4)
        style.prepare(axes, x, y if axes is beside[0] else None)
        style.whole_numbers(axes)
        axes.set_title(panel, fontsize=style.LABEL, parse_math=False)
    decades_axis(beside[0])
    style.legend(figure, entries, of_logarithms(runs), columns=3)
    return figure


def growth(
    radii: Sequence[float], rates: Mapping[str, Any], limits: Mapping[str, Sequence[float]], title: str
) -> "Figure":
    """The factor by which a perturbation grows or shrinks in a step, over the spectral radius, both logarithmic.

    ``rates`` has of each of tanh and sigmoid the logarithms to base 10, ``(runs, radii)``; ``limits`` those of what
    they cannot exceed, ``(radii,)``. Below the level line at 1 the gradient vanishes, above it explodes.
    """
    figure = style.figure(title, 9, 5.5)
    axes = figure.subplots()
    style.prepare(axes, "spectral radius of the recurrent weights (logarithmic)", "factor in a time step")
    entries: dict[str, Any] = {}
    places = np.log2(radii).tolist()
    for name, look in SLOPES.items():
        values = np.asarray(rates[name], float)
        points = dict(zip(places, (style.finite(column) for column in values.T.tolist()), strict=True))
        entries[name] = style.curve(axes, points, look, shade=0.2)
        (limit,) = axes.plot(places, limits[name], color=look.colour, linestyle=":", linewidth=1.6, zorder=1)
        entries[f"{name}: radius x largest slope"] = limit
    entries["neither vanishing nor exploding"] = axes.axhline(0, color=style.BLACK, linewidth=1.2)
    axes.set_xticks(places, [f"{radius:g}" for radius in radii])
    lowest = min(min(map(min, np.asarray(values).tolist())) for values in rates.values())
    ticks = style.log_ticks(10**lowest, 10 ** max(max(limits["tanh"]), 0))
    axes.set_yticks(np.log10(ticks), [f"{tick:g}" for tick in ticks])
    style.legend(figure, entries, of_logarithms(len(values) for values in rates.values()), columns=2)
    return figure


def heatmaps(
    panels: Mapping[str, Mapping[str, Any]], title: str, *, shades: str, accuracy: str, floor: float, chance: float
) -> "Figure":
    """How the gradient reaches back, as training goes on: a column for each model.

    Each panel has ``steps``, the training steps at which it was measured, equally far apart; ``accuracy``,
    ``(runs, steps)``, fractions, drawn on top (mean in a band from the lowest to the highest run) beside ``chance``;
    and ``flow``, logarithms to base 10, ``(steps, time)``, drawn as shades below, with the training step across and
    time upwards: white is ``floor`` or less, dark is 1 or more. ``shades`` and ``accuracy`` name what is drawn.
    """
    figure = style.figure(title, 3.3 * max(len(panels), 2), 6.4)
    beside = figure.subplots(2, len(panels), squeeze=False, sharex=True, height_ratios=(1, 2.2))
    image, runs = None, []
    for column, (name, panel) in enumerate(panels.items()):
        above, below = beside[:, column]
        steps, values = np.asarray(panel["steps"]), np.asarray(panel["accuracy"], float)
        runs.append(len(values))
        points = dict(zip(steps.tolist(), (style.finite(run) for run in (100 * values.T).tolist()), strict=True))
        style.curve(above, points, Look(style.BLUE), every=None)
        above.axhline(100 * chance, color=style.BLACK, linestyle=":", linewidth=1.5)
        above.set_ylim(0, 105)
        above.set_title(name, fontsize=style.LABEL, parse_math=False)
        flow = np.asarray(panel["flow"], float)
        half = (steps[1] - steps[0]) / 2 if len(steps) > 1 else 0.5
        extent = (steps[0] - half, steps[-1] + half, 0.5, flow.shape[1] + 0.5)
        image = below.imshow(
            np.maximum(flow, floor).T, origin="lower", aspect="auto", extent=extent, cmap=style.SHADES, vmin=floor,
            vmax=0, interpolation="nearest",
        )  # fmt: skip
        style.prepare(above, None, accuracy if column == 0 else None)
        style.prepare(below, "training step", "time step k" if column == 0 else None, grid=None)
        for axes in (above, below):
            axes.tick_params(labelleft=column == 0)
        style.whole_numbers(below)
        below.xaxis.get_major_locator().set_params(nbins=4)
    if image is not None:
        bar = figure.colorbar(image, ax=beside[1].tolist(), pad=0.02)
        bar.set_label(shades, fontsize=style.LABEL)
        bar.ax.tick_params(labelsize=style.TEXT)
        ticks = np.linspace(floor, 0, 5)
        bar.set_ticks(ticks.tolist(), labels=[f"≤ {_decade(floor)}", *map(_decade, ticks[1:-1]), "≥ 1"])
    said = style.of_runs(runs)
    style.legend(figure, {"chance": beside[0, 0].lines[-1]}, said and f"{said}, shades: geometric mean")
    return figure


def of_logarithms(numbers: Any) -> str | None:
    """The words on what shows the mean of the runs' logarithms, as `jaxrnn.plots.style.of_runs` says of a mean."""
    said = style.of_runs(numbers)
    return said and said.replace("mean", "geometric mean")


def decades_axis(axes: "Axes") -> None:
    """The upright axis has logarithms to base 10: whole ones, shown as the numbers they are the logarithms of."""
    from matplotlib.ticker import MaxNLocator

    axes.yaxis.set_major_locator(MaxNLocator(nbins=7, integer=True, min_n_ticks=2))
    axes.yaxis.set_major_formatter(_decade)


def _decade(value: float, place: Any = None) -> str:
    """``1e-05`` as ``1e-5``, and 1 and 10 as they are."""
    number = round(value, 6)
    return f"{10**number:g}" if -3 < number < 3 else f"1e{number:g}"
