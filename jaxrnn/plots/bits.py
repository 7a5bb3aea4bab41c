"""Small whole numbers in a grid, such as what hard-threshold units do step by step."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxrnn.plots import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def steps(
    panels: Mapping[str, Mapping[str, Mapping[str, Any]]],
    title: str,
    *,
    most: int = 24,
    x: str = "step t",
    marks: Sequence[str] | None = None,
) -> "Figure":
    """What networks make of a sequence: a panel for each, a column for each step, a row for each quantity.

    Each panel has groups of rows by name, and each group its rows by name: the whole numbers of all steps, equally many
    everywhere. Every cell has its number, and is the darker the larger that is. Of more than ``most`` steps, only so
    many are drawn, the first ones, and the axis says so. ``x`` says what a column is, ``marks`` names each, which
    has its number otherwise.
    """
    rows = [sum(len(group) for group in groups.values()) for groups in panels.values()]
    columns = len(next(row for groups in panels.values() for group in groups.values() for row in group.values()))
    drawn = min(columns, most)
    figure = style.figure(title, max(4.2 + 0.42 * drawn, 7), 1.2 + sum(0.36 * number + 1.0 for number in rows))
    places = figure.subplots(len(panels), 1, squeeze=False, height_ratios=[number + 2 for number in rows])[:, 0]
    for axes, (name, groups) in zip(places, panels.items(), strict=True):
        if name:
            axes.set_title(name, fontsize=style.LABEL, loc="left", parse_math=False)
        _groups(axes, groups, drawn)
        shown = x if drawn == columns else f"{x} (the first {drawn} of {columns})"
        style.prepare(axes, shown, grid=None)
        axes.set_xticks(range(drawn), marks[:drawn] if marks else [str(step + 1) for step in range(drawn)])
        axes.tick_params(length=0)
    return figure


def _groups(axes: "Axes", groups: Mapping[str, Mapping[str, Any]], drawn: int) -> None:
    labels = [name for group in groups.values() for name in group]
    numbers = np.array([list(row)[:drawn] for group in groups.values() for row in group.values()])
    _cells(axes, numbers, max(2, int(numbers.max())))
    axes.set_yticks(range(len(labels)), labels)
    aside = 16 + 0.6 * style.TEXT * max(map(len, labels))  # beyond the names of the rows
    top = 0
    for words, group in groups.items():
        axes.axhline(top - 0.5, color=style.BLACK, linewidth=1.5)
        axes.annotate(
            words,
            (0, top + (len(group) - 1) / 2),
            xycoords=("axes fraction", "data"),
            xytext=(-aside, 0),
            textcoords="offset points",
            ha="right",
            va="center",
            fontsize=style.TEXT,
            annotation_clip=False,
            parse_math=False,
        )
        top += len(group)


def _cells(axes: "Axes", numbers: np.ndarray, darkest: int) -> None:
    axes.imshow(np.maximum(numbers, 0), cmap=style.SHADES, vmin=0, vmax=1.25 * darkest, aspect="auto")
    for (row, column), number in np.ndenumerate(numbers):
        colour = "white" if number > 0.7 * darkest else style.BLACK
        axes.text(column, row, f"{number:,}", ha="center", va="center", fontsize=style.TEXT, color=colour)
    axes.set_xticks(np.arange(numbers.shape[1] - 1) + 0.5, minor=True)
    axes.set_yticks(np.arange(numbers.shape[0] - 1) + 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=2)
    axes.tick_params(which="minor", length=0)
    axes.spines[:].set_visible(False)


def counts(numbers: np.ndarray, title: str, *, rows: Sequence[str], columns: Sequence[str], y: str, x: str) -> "Figure":
    """How many of each kind there are: a number for each row and column, darker where there are more.

    ``numbers`` is ``(rows, columns)``, ``y`` and ``x`` say what rows and columns are.
    """
    numbers = np.asarray(numbers)
    figure = style.figure(title, 3 + 0.95 * len(columns), 2.2 + 0.55 * len(rows))
    axes = figure.subplots()
    _cells(axes, numbers, max(1, int(numbers.max())))
    style.prepare(axes, x, y, grid=None)
    axes.set_xticks(range(len(columns)), columns)
    axes.set_yticks(range(len(rows)), rows)
    axes.tick_params(length=0)
    return figure


def xor_plane(title: str) -> "Figure":
    """The two hidden units of the XOR network as lines x + s = 0.5 and x + s = 1.5 in the plane of its two bits."""
    figure = style.figure(title, 6.5, 6)
    axes = figure.subplots()
    style.prepare(axes, "input x", "state s", grid=None)
    line = np.array([-0.5, 2.0])
    axes.fill_between(line, 0.5 - line, 1.5 - line, color=style.PALE, linewidth=0, zorder=0)
    entries = {}
    for threshold, words, look in (
        (0.5, "first unit is on above", style.Look(style.BLUE, "-")),
        (1.5, "second unit is on above", style.Look(style.GREEN, "--")),
    ):
        (entries[words],) = axes.plot(line, threshold - line, color=look.colour, linestyle=look.line, linewidth=2.5)
    for x in (0, 1):
        for s in (0, 1):
            y = x ^ s
            colour, marker = (style.ORANGE, "s") if y else (style.BLACK, "o")
            (entries[f"y = {y}"],) = axes.plot(
                x, s, marker=marker, markersize=15, color=colour, linestyle="none", clip_on=False, zorder=4
            )
    axes.set(xlim=(-0.35, 1.35), ylim=(-0.35, 1.35), xticks=(0, 1), yticks=(0, 1), aspect="equal")
    style.legend(figure, entries, columns=2)
    return figure
