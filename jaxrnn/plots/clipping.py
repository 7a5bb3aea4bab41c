"""What clipping the gradient does to training, drawn step by step: the norm before it, and the loss, with and without.

A single step in thousands can be the one that matters, so nothing is averaged over the runs: each has its line.
"""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxrnn.plots import style
from jaxrnn.plots.theory import decades_axis

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PLACES = 150
"""How many places along a line can be told apart: of more steps, several share one."""


def norms(panels: Mapping[str, Mapping[str, Any]], limit: float, title: str, *, run: str = "seed") -> "Figure":
    """Norm of the gradient before clipping (above) and training loss (below) of every step: a column for each panel.

    Each panel has ``norm`` and ``loss``, ``(runs, steps)``, what is not finite or not positive left out; a run has the
    same look in all of them, and is called ``run`` and its number. The dashed level line is at ``limit``, the norm to
    which larger ones are clipped. All panels are on the same logarithmic axes. Where there are many steps, each place
    has the largest norm and the largest loss of several, as the legend then says.
    """
    count = max((np.shape(panel["norm"])[0] for panel in panels.values()), default=0)
    steps = max((np.shape(panel["norm"])[1] for panel in panels.values()), default=0)
    each = max(math.ceil(steps / _PLACES), 1)
    looks = style.looks(range(count))
    figure = style.figure(title, 0.4 + 5.6 * max(len(panels), 1), 7.6)
    beside = figure.subplots(2, max(len(panels), 1), squeeze=False, sharex=True, sharey="row")
    entries: dict[str, Any] = {}
    for column, (name, panel) in enumerate(panels.items()):
        for axes, what, words in (
            (beside[0][column], "norm", "gradient norm"),
            (beside[1][column], "loss", "training loss (nats)"),
        ):
            for number, line in enumerate(_largest(np.asarray(panel[what], float), each)):
                look = looks[number]
                places = 1 + each * np.arange(len(line))
                (entries[f"{run} {number}"],) = axes.plot(
                    places, line, linestyle=look.line, color=look.colour, linewidth=1.3
                )
            if what == "norm" and math.isfinite(limit):
                entries[f"clipped above {limit:g}"] = axes.axhline(
                    math.log10(limit), color=style.BLACK, linestyle=(0, (5, 3)), linewidth=1.3
                )
            style.prepare(axes, "training step" if what == "loss" else None, words if column == 0 else None)
            style.whole_numbers(axes)
            axes.set_xlim(left=0)
        beside[0][column].set_title(name, fontsize=style.LABEL, parse_math=False)
    for row in beside:
        decades_axis(row[0])
    style.legend(figure, entries, f"the largest of every {each} steps" if each > 1 else None)
    return figure


def _largest(values: np.ndarray, each: int) -> np.ndarray:
    """The logarithm of the largest of every so many steps, ``(runs, places)``; NaN where none is finite and positive.

    What is left over at the end has a place of its own.
    """
    sound = np.where(np.isfinite(values) & (values > 0), values, 0)
    runs, steps = sound.shape
    sound = np.pad(sound, ((0, 0), (0, -steps % each)))
    largest = sound.reshape(runs, -1, each).max(-1)
    return np.log10(largest, out=np.full(largest.shape, np.nan), where=largest > 0)
