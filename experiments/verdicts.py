"""How likely trained networks find a text of one's own negative or positive, in words, and the file of its figure.

Not a command itself: see `character_sentiment` and `imdb_gru`.
"""

import math
import re
import statistics
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from jaxrnn.plots import style


def judged(positive: Any) -> str:
    """How likely the classes are to the median run, from the likelihoods of positive."""
    return f"{{negative: {1 - middle(positive):.4f}, positive: {middle(positive):.4f}}}"


def pronounce(console: Console, read: str, positive: np.ndarray) -> None:
    """Print how likely the classes of what was read are, from the likelihoods of positive ``(runs,)``."""
    console.print(f"{read!r}: {judged(positive)}", soft_wrap=True)
    if len(positive) > 1:
        console.print(
            f"median of {len(positive)} runs; positive from {positive.min():.4f} to {positive.max():.4f}, "
            f"and {(positive > 0.5).sum()} of {len(positive)} say positive"
        )


def figure_file(out: Path, read: str) -> Path:
    """Where in a run folder the figure of a text belongs: ``sentence_<its first words>.png``, 40 characters of them."""
    begins, *_ = textwrap.wrap(" ".join(re.findall(r"\w+", read.lower())), 40) or ["blank"]
    return out / f"sentence_{begins.replace(' ', '_')}.png"


def middle(values: Any) -> float:
    """The median of the runs that came through, NaN where none did."""
    return statistics.median(style.finite(values) or [math.nan])
