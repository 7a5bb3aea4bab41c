"""What hidden units do from character to character of a text that is read, and what is expected next at each."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxrnn.plots import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS, LINES = 50, 4
"""Characters in a line, and how many lines there are at most."""

_SIGNS = {" ": "\N{OPEN BOX}", "\n": "\N{DOWNWARDS ARROW WITH CORNER LEFTWARDS}", "\t": "\N{RIGHTWARDS ARROW}"}


def sign(character: str) -> str:
    """What a character is drawn as: itself, or a sign for what would not be seen."""
    return _SIGNS.get(character, character if character.isprintable() else "\N{REPLACEMENT CHARACTER}")


def neurons(
    text: str, units: Mapping[str, Any], expected: Sequence[Sequence[tuple[str, float]]], title: str
) -> "Figure":
    """A text in lines of 50 characters, four lines at most, and under each character what went on when it was read.

    ``units`` has by a unit's name its output after each character ``(t,)``, a row of colours for each; what lies
    outside of -1 to 1 has the colour of the end.
    ``expected`` has for each character the likeliest next ones with their probabilities, the likeliest first: the rows
    below, the darker the likelier, with a frame around what did come next.
    """
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    text_shown = text[: COLUMNS * LINES]
    starts = range(0, len(text_shown), COLUMNS)
    rows = 1 + len(units) + max(map(len, expected), default=0)
    figure = style.figure(title, 17, 1.9 + 0.29 * rows * len(starts))
    panels = figure.subplots(len(starts), 1, squeeze=False)[:, 0]
    for start, axes in zip(starts, panels, strict=True):
        stop = min(start + COLUMNS, len(text_shown))
        _line(axes, text, slice(start, stop), units, expected)
    for words, limits, colours in (
        ("output of a unit", (-1, 1), style.SIGNED),
        ("probability of a next character (framed: what came)", (0, 1), style.SHADES),
    ):
        bar = figure.colorbar(
            ScalarMappable(Normalize(*limits), colours),
            ax=list(panels),
            location="bottom",
            fraction=0.05,
            aspect=60,
            shrink=0.5,
            pad=0.01,
        )
        bar.set_label(words, fontsize=style.TEXT)
        bar.ax.tick_params(labelsize=style.SMALL)
    return figure


def _line(
    axes: "Axes",
    text: str,
    part: slice,
    units: Mapping[str, Any],
    expected: Sequence[Sequence[tuple[str, float]]],
) -> None:
    from matplotlib.patches import Rectangle

    count = part.stop - part.start
    letters: dict[str, Any] = {
        "family": "monospace",
        "ha": "center",
        "va": "center",
        "fontsize": style.TEXT,
        "parse_math": False,
    }
    for column, character in enumerate(text[part]):
        axes.text(column, 0, sign(character), weight="bold", **letters)
    for row, values in enumerate(units.values(), start=1):
        colours = np.asarray(values, float)[None, part]
        axes.imshow(colours, cmap=style.SIGNED, vmin=-1, vmax=1, extent=(-0.5, count - 0.5, row + 0.5, row - 0.5))
    first, ranks = 1 + len(units), max(map(len, expected), default=0)
    shades = np.full((ranks, count), np.nan)
    for column, guesses in enumerate(expected[part]):
        following = text[part.start + column + 1 : part.start + column + 2]
        for rank, (character, probability) in enumerate(guesses):
            shades[rank, column] = probability
            # dark letters on pale ground, pale ones on dark
            colour = "white" if probability > 0.6 else style.BLACK
            axes.text(column, first + rank, sign(character), color=colour, **letters)
            if character == following:
                axes.add_patch(
                    Rectangle((column - 0.5, first + rank - 0.5), 1, 1, fill=False, edgecolor=style.ORANGE, linewidth=2)
                )
    if ranks:
        extent = (-0.5, count - 0.5, first + ranks - 0.5, first - 0.5)
        axes.imshow(shades, cmap=style.SHADES, vmin=0, vmax=1, extent=extent)
    names = ["read", *units, *(f"expected next, no. {rank + 1}" for rank in range(ranks))]
    axes.set_yticks(range(len(names)), names, fontsize=style.SMALL, parse_math=False)
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlim(-0.5, COLUMNS - 0.5)
    axes.set_ylim(first + ranks - 0.5, -0.5)
    axes.set_aspect("auto")
