"""The longest part of one text that stands in another: how much a network has by heart."""

import numpy as np

_BASE = np.uint64(0x9E3779B97F4A7C15)
"""Odd, so that it has an inverse modulo 2^64."""


def longest_copy(text: str, source: str) -> str:
    """The longest part of ``text`` that stands in ``source`` too, the first of several; empty where there is none.

    What holds a copy of n characters holds one of n - 1, so the length is found by halving, and for each length tried
    parts are compared by hash: O((n + m) log n log m) for n characters in m. A part that is returned was looked up.
    """
    mine, theirs = _Hashes(text), _Hashes(source)
    found, low, high = "", 0, min(len(text), len(source))
    while low < high:
        length = (low + high + 1) // 2
        place = _first(mine, theirs, length, text, source)
        if place is None:
            high = length - 1
        else:
            found, low = text[place : place + length], length
    return found


def _first(mine: "_Hashes", theirs: "_Hashes", length: int, text: str, source: str) -> int | None:
    """Where the first part of so many characters begins that stands in the source."""
    hashes = mine.of(length)
    known, places = np.unique(hashes, return_index=True)
    sought = theirs.of(length)
    spots = np.minimum(np.searchsorted(known, sought), len(known) - 1)
    hits = np.unique(spots[known[spots] == sought])
    # two parts of one hash are almost never different, but then it would be no copy
    return next((int(place) for place in sorted(places[hits]) if text[place : place + length] in source), None)


class _Hashes:
    """Hashes of all parts of a text, modulo 2^64: sum of c_j B^j over the part, brought back to its beginning."""

    def __init__(self, text: str):
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4").astype(np.uint64) + np.uint64(1)
        powers = _powers(_BASE, len(text))
        self._sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(codes * powers, dtype=np.uint64)])
        self._back = _powers(np.uint64(pow(int(_BASE), -1, 1 << 64)), len(text))

    def of(self, length: int) -> np.ndarray:
        """The hash of the part of so many characters that begins at each place."""
        return (self._sums[length:] - self._sums[:-length]) * self._back[: len(self._sums) - length]


def _powers(base: np.uint64, count: int) -> np.ndarray:
    """1, B, B^2, ..., so many of them."""
    factors = np.full(count, base)
    factors[:1] = 1
    return np.cumprod(factors, dtype=np.uint64)
