"""Metrics and numbers as a reader has them: percent, few digits, words with spaces."""

import math
import re
import statistics
from collections.abc import Mapping
from typing import Any

from jaxrnn import runfolder

_PERCENT = re.compile(
    r"accuracy|(?:train|test|validation)_error|gained|novelty|duplicates|language_match|chance|recall|share"
    r"|period_error|full_rows|padding|empty_last_row"
)
"""The metrics that are fractions."""


def scale_of(metric: str) -> tuple[float, str]:
    """What a metric's values are multiplied by to be shown, and their unit then."""
    if _PERCENT.search(metric):
        return 100.0, "%"
    if "bits_per_character" in metric:
        return 1.0, "bits"
    if "seconds" in metric:
        return 1.0, "s"
    return 1.0, ""


def in_words(metric: str) -> str:
    """A metric's name without underscores: ``test accuracy``."""
    return metric.replace("_", " ")


def number(value: float | None, metric: str = "", digits: int = 4) -> str:
    """A value of a metric: in percent with two decimals, whole numbers whole, others with so many digits."""
    if value is None:
        return "not finite"
    factor, unit = scale_of(metric)
    value = factor * value + 0.0  # no -0
    if unit == "%":
        return f"{value:.2f} %"
    text = f"{value:,.0f}" if float(value).is_integer() and abs(value) < 1e15 else f"{value:.{digits}g}"
    return f"{text} {unit}".rstrip()


def spread(one: Mapping[str, Any], metric: str) -> str:
    """A metric over its runs: the mean, and half of its 95% interval where there are several."""
    half = runfolder.half_width(one["runs"])
    if one["mean"] is None or not half:
        return number(one["mean"], metric)
    factor, unit = scale_of(metric)
    mean, half = factor * one["mean"], factor * half
    decimals = 2 if unit == "%" else 1 - math.floor(math.log10(half))  # two digits of the interval
    if decimals > 6:
        return f"{mean:.4g} ± {half:.2g} {unit}".rstrip()
    return f"{mean:,.{max(decimals, 0)}f} ± {half:,.{max(decimals, 0)}f} {unit}".rstrip()


def beyond(one: Mapping[str, Any], metric: str) -> bool:
    """Whether the interval of a share goes below 0 or above 100%: its mean then says little of the runs."""
    mean, half = one["mean"], runfolder.half_width(one["runs"])
    if mean is None or half is None:
        return False
    return scale_of(metric)[1] == "%" and not half <= mean <= 1 - half


def middle(one: Mapping[str, Any], metric: str) -> str:
    """The median over several runs, with the lowest and the highest; nothing of fewer than two."""
    runs = [run for run in one["runs"] if run is not None]
    if len(runs) < 2:
        return ""
    factor, unit = scale_of(metric)
    low, half, high = (factor * value for value in (min(runs), statistics.median(runs), max(runs)))
    if unit == "%":
        return f"{half:.2f} ({low:.2f} to {high:.2f}) %"
    return f"{half:.4g} ({low:.4g} to {high:.4g}) {unit}".rstrip()


def duration(seconds: float) -> str:
    """``48 s``, ``12 min``, ``1 h 5 min``."""
    if seconds < 99.5:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
