"""Figures: drawn from plain numbers and arrays, such as the rows of ``history.csv``, never from a model.

Every function returns a matplotlib ``Figure``; `jaxrnn.plots.style` says how all of them look. matplotlib itself is
imported by the first figure that is drawn, not by these modules.
"""

from jaxrnn.plots import (
    bits,
    comparison,
    confusion,
    curves,
    gates,
    neuron_page,
    neurons,
    quadratic,
    regression,
    sequences,
    strips,
    sweeps,
    theory,
    time_gate,
    worked,
)
from jaxrnn.plots.curves import learning_curves
from jaxrnn.plots.timings import LIBRARIES, timings

__all__ = [
    "LIBRARIES", "bits", "comparison", "confusion", "curves", "gates", "learning_curves", "neuron_page", "neurons",
    "quadratic", "regression", "sequences", "strips", "sweeps", "theory", "time_gate", "timings", "worked",
]  # fmt: skip
