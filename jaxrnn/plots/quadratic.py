"""Optimisers on a quadratic bowl, drawn: their paths over its contours, and how fast the function falls.

Rings are always what a closed form says, lines what was followed. ``looks`` gives the optimisers their looks, such as
those of another figure; without it they have them in their order.
"""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxrnn.plots import style
from jaxrnn.plots.style import Look
from jaxrnn.plots.theory import decades_axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_RINGS = "rings: closed form"
_SPARE = 1.15
"""The sides of a panel, in those of what it has to show."""


def contours(
    panels: Mapping[str, Mapping[str, Any]],
    title: str,
    *,
    steps: int | None = None,
    columns: int = 2,
    looks: Mapping[str, Look] | None = None,
) -> "Figure":
    """Paths of optimisers over the contours of ``f(x) = 1/2 x^T A x``: panels in so many columns, all to one scale.

    Each panel has ``matrix``, A, ``(2, 2)``; ``paths``, by the optimiser's name the points ``x_0, x_1, ...``,
    ``(t, 2)``, all from one start, of which the first ``steps`` steps are drawn (all where that is None); and, if
    wanted, ``exact``, for some of those names by step ``t`` the point that a closed form gives, drawn as a ring.

    Contours are a factor of 10 apart, one of them through the start. The axes show the paths as far as they keep
    within one and a half times the start's distance from the minimum: a path that diverges leaves them.
    """
    columns = max(min(columns, len(panels)), 1)
    rows = max(math.ceil(len(panels) / columns), 1)
    figure = style.figure(title, 0.4 + 5 * max(columns, 1.6), 1.5 + 4.7 * rows)
    looks = looks or style.looks(name for panel in panels.values() for name in panel["paths"])
    entries: dict[str, Any] = {}
    marks: dict[str, Any] = {}
    ringed = False
    end = None if steps is None else steps + 1
    boxes = {
        name: _box([np.asarray(path, float)[:end] for path in panel["paths"].values()])
        for name, panel in panels.items()
    }
    span = max((float(np.max(high - low)) for low, high in boxes.values()), default=1) or 1
    for number, (name, panel) in enumerate(panels.items(), start=1):
        axes = figure.add_subplot(rows, columns, number)
        middle = (boxes[name][0] + boxes[name][1]) / 2
        paths = {optimiser: np.asarray(path, float)[:end] for optimiser, path in panel["paths"].items()}
        start = next(iter(paths.values()))[0] if paths else None
        _levels(axes, np.asarray(panel["matrix"], float), start, middle, span)
        for optimiser, path in paths.items():
            look = looks[optimiser]
            (entries[optimiser],) = axes.plot(
                *path.T, linestyle=look.line, color=look.colour, linewidth=1.8, marker=look.marker, markersize=4
            )
            rings = [point for t, point in panel.get("exact", {}).get(optimiser, {}).items() if t < len(path)]
            if rings:
                _rings(axes, *zip(*np.asarray(rings, float).tolist(), strict=True), look=look)
                ringed = True
        if start is not None:
            (marks["start"],) = axes.plot(
                *start, linestyle="none", marker="o", markersize=12, markerfacecolor="white", color=style.BLACK,
                markeredgewidth=2, zorder=5,
            )  # fmt: skip
        (marks["minimum"],) = axes.plot(
            0, 0, linestyle="none", marker="+", markersize=15, color=style.BLACK, markeredgewidth=2.5, zorder=5
        )
        style.prepare(axes, "x₁", "x₂", grid=None)
        reach = _SPARE * span / 2
        axes.set(xlim=(middle[0] - reach, middle[0] + reach), ylim=(middle[1] - reach, middle[1] + reach))
        axes.set_box_aspect(1)  # with equal spans that is one scale for both axes
        axes.set_title(name, fontsize=style.LABEL, parse_math=False)
    style.legend(figure, entries | marks, _said("a marker a step, contours: factors of 10", ringed), columns=3)
    return figure


def values(
    panels: Mapping[str, Mapping[str, Sequence[float]]],
    title: str,
    *,
    exact: Mapping[str, Mapping[str, Mapping[int, float]]] | None = None,
    y: str = "f(xₜ) / f(x₀)",
    low: float = 1e-12,
    high: float = 1e2,
    looks: Mapping[str, Look] | None = None,
) -> "Figure":
    """How fast the function falls, on a logarithmic axis: a panel for each bowl, in it a curve for each optimiser.

    A curve is the values at the steps 0, 1, ...; ``exact`` has, for the same panels and some of their curves, by step
    the value that a closed form gives, drawn as a ring. What is not finite or not positive is left out; the axis does
    not reach below ``low`` or above ``high``, and a curve leaves it there.
    """
    figure = style.figure(title, 5.2 * max(len(panels), 1) + 0.4, 5.5)
    looks = looks or style.looks(name for curves in panels.values() for name in curves)
    entries: dict[str, Any] = {}
    drawn: list[float] = []
    ringed = False
    beside = figure.subplots(1, max(len(panels), 1), squeeze=False, sharex=True, sharey=True)[0]
    for (panel, curves), axes in zip(panels.items(), beside, strict=False):
        for name, curve in curves.items():
            decades = _logarithms(curve)
            drawn += decades[np.isfinite(decades)].tolist()
            (entries[name],) = axes.plot(
                np.arange(len(decades)), decades, linestyle=looks[name].line, color=looks[name].colour, linewidth=2
            )
            rings = (exact or {}).get(panel, {}).get(name, {})
            if rings:
                _rings(axes, list(rings), _logarithms(list(rings.values())), look=looks[name])
                ringed = True
        style.prepare(axes, "step t", y if axes is beside[0] else None)
        style.whole_numbers(axes)
        axes.set_title(panel, fontsize=style.LABEL, parse_math=False)
    if drawn:
        bottom, top = max(min(drawn), math.log10(low)), min(max(drawn), math.log10(high))
        room = 0.03 * (top - bottom) or 0.5
        beside[0].set_ylim(bottom - room, top + room)
    decades_axis(beside[0])
    style.legend(figure, entries, _said(None, ringed))
    return figure


def _box(paths: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The lower left and the upper right corner of what is to be seen."""
    points = np.concatenate([*paths, np.zeros((1, 2))])
    far = max((1.5 * float(np.linalg.norm(path[0])) for path in paths), default=0)
    points = np.clip(points[np.isfinite(points).all(axis=1)], -far, far)
    return points.min(axis=0), points.max(axis=0)


def _levels(axes: "Axes", matrix: np.ndarray, start: np.ndarray | None, middle: np.ndarray, span: float) -> None:
    across, up = (np.linspace(centre - span, centre + span, 401) for centre in middle)
    x = np.stack(np.meshgrid(across, up), axis=-1)
    heights = np.einsum("...i,ij,...j->...", x, matrix, x) / 2
    through = (0.0 if start is None else float(start @ matrix @ start) / 2) or 1.0
    levels = [through * 10.0**decade for decade in range(-4, 3)]
    axes.contour(across, up, heights, levels=levels, colors=style.GREY, linewidths=0.8)


def _rings(axes: "Axes", x: Any, y: Any, *, look: Look) -> None:
    axes.plot(
        x, y, linestyle="none", marker="o", markersize=9, markerfacecolor="none", color=look.colour,
        markeredgewidth=1.8, zorder=4,
    )  # fmt: skip


def _logarithms(numbers: Any) -> np.ndarray:
    """To base 10; NaN, which is not drawn, of what has none."""
    numbers = np.asarray(numbers, float)
    return np.log10(numbers, out=np.full(numbers.shape, np.nan), where=np.isfinite(numbers) & (numbers > 0))


def _said(words: str | None, ringed: bool) -> str | None:
    return ", ".join(filter(None, (words, _RINGS if ringed else None))) or None
