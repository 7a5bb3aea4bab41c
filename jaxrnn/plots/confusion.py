"""What a classifier takes for what, and the examples that it gets wrong most often."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxrnn.plots import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def matrix(counts: Any, title: str) -> "Figure":
    """What is taken for what: a row for each true class, a column for each predicted one.

    ``counts`` is ``(classes, classes)``: how many examples of the row's class were taken for the column's, where
    there are several runs their mean. Off the diagonal each cell has its number (none where that is below 0.05) and
    is the darker the more there are; the diagonal, on grey, has the recall in per cent: how much of the row is there.
    """
    from matplotlib.patches import Patch

    counts = np.asarray(counts, float)
    right = np.eye(len(counts), dtype=bool)
    wrong = np.ma.masked_array(counts, right)
    most = max(float(counts[~right].max(initial=0)), 1.0)

    figure = style.figure(title, 9, 8)
    axes = figure.subplots()
    style.prepare(axes, "predicted class", "true class", grid=None)
    axes.set_facecolor(style.PALE)
    cells = axes.imshow(wrong, cmap=style.SHADES, vmin=0, vmax=most)
    for (row, column), count in np.ndenumerate(counts):
        if row == column:
            whole = counts[row].sum()
            words, colour = f"{100 * count / whole:.1f}" if whole else "–", style.BLACK
        else:
            words = "" if count < 0.05 else f"{count:.1f}".removesuffix(".0") if count < 9.95 else f"{count:.0f}"
            colour = "white" if count > most / 2 else style.BLACK
        if words:
            axes.text(column, row, words, ha="center", va="center", fontsize=style.TEXT, color=colour)
    for ticks in (axes.set_xticks, axes.set_yticks):
        ticks(range(len(counts)))
        ticks(np.arange(len(counts) + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1.5)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(cells, ax=axes, shrink=0.8)
    bar.set_label("examples of the row taken for the column's class", fontsize=style.LABEL)
    bar.ax.tick_params(labelsize=style.TEXT)
    style.legend(figure, {"recall: per cent of the row that were recognised": Patch(color=style.PALE)})
    return figure


def hardest(images: Any, labels: Sequence[Any], votes: Sequence[Mapping[Any, int]], title: str) -> "Figure":
    """The images that networks get wrong most often, each with its class and what most of those that err take it for.

    ``images`` is ``(n, rows, columns)``, from 0 to 255; ``labels`` ``(n,)`` the true classes; and ``votes`` says of
    each image how many networks took it for which class. The images stand in the order in which they come.
    """
    images = np.asarray(images)
    columns = max(min(6, len(images)), 1)
    rows = max(-(-len(images) // columns), 1)
    figure = style.figure(title, max(1.5 * columns, 4.5), 1.1 + 1.9 * rows)
    places = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes in places:
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    for image, label, said, axes in zip(images, labels, votes, places, strict=False):
        axes.imshow(image, cmap="gray_r", vmin=0, vmax=255)
        wrong = {taken: number for taken, number in said.items() if taken != label}
        taken = max(wrong, key=lambda taken: wrong[taken]) if wrong else label
        caption = f"{label}, read as {taken}\n({said.get(taken, 0)} of {sum(said.values())})"
        axes.set_xlabel(caption, fontsize=style.TEXT)
    figure.supxlabel("in brackets: how many of the networks say so", fontsize=style.TEXT)
    return figure
