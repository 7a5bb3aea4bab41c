"""Words of tables and answers: what cells and optimisers are called, and what several runs came to, without those that
did not come through."""

from typing import Any

import numpy as np

from jaxrnn import runfolder

NAMES = {
    "elman": "Elman",
    "elman_relu": "Elman (ReLU)",
    "jordan": "Jordan",
    "gru": "GRU",
    "lstm": "LSTM",
    "time_gated_lstm": "time-gated LSTM",
}
"""What the registered cells are called."""

OPTIMISER_NAMES = {
    "adam": "Adam",
    "adamw_torch": "AdamW",
    "rmsprop_torch": "RMSProp",
    "sgd": "SGD",
    "momentum": "momentum",
}
"""What the optimisers are called; those of two libraries differ in their constants alone."""


def quoted(text: str) -> str:
    """A text in quotation marks and in one line, its line breaks as arrows."""
    return f"“{text.replace(chr(10), '↵')}”"


def mean_interval(values: Any) -> str:
    """The mean with half of its 95% interval: ``0.9854 ± 0.0016``."""
    mean, half = runfolder.metric(values)["mean"], runfolder.half_width(values)
    if mean is None:
        return "not finite"
    return f"{mean:.4f}" + ("" if half is None else f" ± {half:.4f}")


def of_runs(values: Any) -> str:
    """What a mean with half of its 95% interval is of: ``mean of 5 runs, with half of its 95% interval``."""
    runs = int(np.isfinite(np.asarray(values, float)).sum())
    return f"mean of {runs} runs, with half of its 95% interval" if runs > 1 else "one run"


def median_range(values: Any) -> str:
    """The median with the lowest and the highest: ``0.482 (0.432 to 0.62)``."""
    return _median_range(values, ".3g")


def median_percent(values: Any) -> str:
    """The same of fractions: ``52.1 (38.4 to 100.0) %``."""
    found = _median_range(100 * np.asarray(values, float), ".1f")
    return found if found == "none" else f"{found} %"


def _median_range(values: Any, form: str) -> str:
    finite = np.asarray(values, float)[np.isfinite(values)]
    if not finite.size:
        return "none"
    low, middle, high = (format(value, form) for value in np.percentile(finite, (0, 50, 100)))
    return middle if low == high else f"{middle} ({low} to {high})"
