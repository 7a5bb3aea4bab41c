"""Sequences of like length together, so that little of what is read is padding."""

import numpy as np

from jaxrnn.train import Buckets
from jaxrnn.typing import Int, Shaped


def bounds(lengths: Int[np.ndarray, "n"], count: int) -> list[int]:
    """The longest sequence of each of at most ``count`` groups, where each is padded up to its group's longest.

    Those with which the padding of all is least; lengths of 0 count as 1. Raises ValueError below one group.
    """
    if count < 1:
        raise ValueError(f"there must be at least one group, not {count}")
    values, counts = np.unique(np.maximum(lengths, 1), return_counts=True)
    below = np.concatenate([[0], np.cumsum(counts)])
    # cost[j]: the steps of the shortest j lengths in the groups so far; the last group is that of lengths i to j - 1
    cost = np.concatenate([[0], np.full(len(values), np.inf)])
    choices = []
    for _ in range(min(count, len(values))):
        steps = cost[:-1, None] + values * (below[1:] - below[:-1, None])
        steps = np.where(np.tri(len(values), k=-1, dtype=bool), np.inf, steps)
        choices.append(steps.argmin(0))
        cost = np.concatenate([[0], steps.min(0)])
    found, end = [], len(values)
    for choice in reversed(choices):
        found.append(int(values[end - 1]))
        end = int(choice[end - 1])
        if end == 0:
            break
    return found[::-1]


def bucketed(x: Shaped[np.ndarray, "n t"], y: Shaped[np.ndarray, "n"], count: int, padding: int) -> Buckets:
    """Rows padded in front, parted by their lengths into at most ``count`` groups (see `bounds`) and cut to them.

    A row's length is counted from its first id that is not ``padding``. Nothing but padding is cut off.
    """
    time = x.shape[1]
    real = x != padding
    lengths = np.where(real.any(1), time - real.argmax(1), 0)
    ends = bounds(lengths, count)
    group = np.searchsorted(ends, lengths)
    parts = ((group == number, time - end) for number, end in enumerate(ends))
    return Buckets(tuple((np.ascontiguousarray(x[rows, first:]), y[rows]) for rows, first in parts if rows.any()))
