"""What the gates of a cell do step by step: a map of units and time for each of them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxrnn.plots import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAMES = {
    "r": "reset gate r",
    "z": "update gate z",
    "n": "candidate n (tanh)",
    "i": "input gate i",
    "f": "forget gate f",
    "g": "input modulation g (tanh)",
    "o": "output gate o",
    "c": "cell state c",
    "a": "pre-activation a",
    "h": "hidden state h",
    "y": "output y",
}
"""What the letters of a trace stand for, in the order in which a step computes them."""

_FRACTIONS = "rzifoy"
"""Letters of what a logistic sigmoid gives."""

SIGNED = "PuOr"
"""The colour map of what has a sign: white at 0, and two hues that people of any colour vision tell apart."""


def maps(trace: Mapping[str, Any], title: str) -> "Figure":
    """Every gate and state of one sequence: units from top to bottom, time from left to right, a panel for each.

    ``trace`` maps the letters of `jaxrnn.theory.gate_trace` to arrays ``(t, h)``: of one row of a batch. Gates are
    drawn from white (0, closed) to dark (1, open); what has a sign is white at 0, and its scale is symmetric: from -1
    to 1, or as far as the largest magnitude where that is more.

    Raises:
        ValueError: a letter that is in no cell's equations, or arrays that are not of one sequence.
    """
    from matplotlib.ticker import MaxNLocator

    if unknown := [letter for letter in trace if letter not in NAMES]:
        raise ValueError(f"a trace has the letters {', '.join(NAMES)}, not {', '.join(unknown)}")
    arrays = {letter: np.asarray(trace[letter], float) for letter in NAMES if letter in trace}
    if any(array.ndim != 2 for array in arrays.values()):
        shapes = ", ".join(f"{letter} {array.shape}" for letter, array in arrays.items())
        raise ValueError(f"the maps are of one sequence, arrays (time, units), not {shapes}")
    columns = 2 if len(arrays) > 1 else 1
    rows = -(-len(arrays) // columns)
    figure = style.figure(title, 10 if columns == 2 else 7, 1.2 + 2.1 * rows)
    panels = figure.subplots(rows, columns, squeeze=False)
    for axes in panels.flat[len(arrays) :]:
        axes.set_axis_off()
    for (letter, array), axes in zip(arrays.items(), panels.flat, strict=False):
        style.prepare(axes, grid=None)
        axes.set_title(NAMES[letter], fontsize=style.LABEL)
        fraction = letter in _FRACTIONS
        most = 1.0 if fraction else max(1.0, float(np.abs(array).max(initial=0)))
        shades = axes.imshow(
            array.T,
            cmap=style.SHADES if fraction else SIGNED,
            vmin=0 if fraction else -most,
            vmax=most,
            aspect="auto",
            interpolation="nearest",
            extent=(0.5, len(array) + 0.5, array.shape[1] + 0.5, 0.5),
        )
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(nbins=6, integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))
        bar = figure.colorbar(shades, ax=axes, pad=0.02, ticks=[0, 0.5, 1] if fraction else [-most, 0, most])
        bar.ax.tick_params(labelsize=style.TEXT)
        bar.ax.set_yticklabels(["0", "0.5", "1"] if fraction else [f"−{most:.3g}", "0", f"{most:.3g}"])
    figure.supxlabel("time step", fontsize=style.LABEL)
    figure.supylabel("unit", fontsize=style.LABEL)
    return figure
