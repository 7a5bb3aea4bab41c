"""Texts as ids of their words (ROCH 2, part 1): rows of one length, the words at the end and padding in front of them.

A word is what stands between white space, in lower case, without any character that is neither letter, digit nor
underscore: ``can't`` is ``cant``. The paper prints the pattern as ``[\\w\\s]``, which would delete the words and keep
the rest; meant is ``[^\\w\\s]``.
"""

import re
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, repeat
from typing import Literal

import numpy as np

from jaxrnn.typing import ArrayLike, Int

PADDING, UNKNOWN = 0, 1
"""The ids that no word has: that of what stands before a short text, and that of every word without one of its own."""

UNKNOWN_WORD = "\ufffd"
"""What stands for an unknown word where ids are read as text."""

Html = Literal["keep", "strip"]
"""What becomes of tags, which begin with ``<`` or ``</`` and a letter: stripped ones are a space, and the paper keeps
them, so that ``movie.<br /><br />The`` is ``moviebr``, ``br`` and ``the``."""

_TAG = re.compile(r"</?[a-zA-Z][a-zA-Z0-9]*(?:\s[^<>]*)?/?>")
_NO_WORD = re.compile(r"[^\w\s]+")


@dataclass(frozen=True)
class Words:
    """The words that have an id: ``words[i]`` has the id ``i + 2``, and all others have `UNKNOWN`."""

    words: tuple[str, ...]
    """None twice."""

    @property
    def size(self) -> int:
        """How many ids there are, those of padding and of the unknown included: the rows of an embedding."""
        return len(self.words) + 2

    @property
    def dtype(self) -> np.dtype:
        """The smallest type that holds all ids."""
        return np.min_scalar_type(self.size - 1)

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {word: number for number, word in enumerate(self.words, start=UNKNOWN + 1)}

    def encode(self, tokens: Sequence[str], length: int) -> Int[np.ndarray, "length"]:
        """The ids of a text's first ``length`` words, padded in front where there are fewer."""
        return self.encode_all([tokens], length)[0]

    def encode_all(self, rows: Sequence[Sequence[str]], length: int) -> Int[np.ndarray, "n length"]:
        """The rows that `encode` makes of many texts."""
        cut = [row[:length] for row in rows]
        ids = np.fromiter(map(self._ids.get, chain.from_iterable(cut), repeat(UNKNOWN)), self.dtype)
        return padded(ids, [len(row) for row in cut], length)

    def decode(self, ids: Int[ArrayLike, "t"]) -> list[str]:
        """The words of ids, `UNKNOWN_WORD` for that of the unknown; padding is left out."""
        known = ("", UNKNOWN_WORD, *self.words)
        return [known[number] for number in np.asarray(ids).tolist() if number != PADDING]


def padded(ids: Int[np.ndarray, "m"], lengths: Sequence[int] | Int[np.ndarray, "n"], length: int) -> np.ndarray:
    """Rows ``(n, length)`` of ids that follow one another, ``lengths[i]`` in row i, behind as much padding as it
    takes."""
    filled = np.arange(length) >= length - np.asarray(lengths, np.int64)[:, None]
    rows = np.full(filled.shape, PADDING, ids.dtype)
    rows[filled] = ids
    return rows


def tokens(text: str, html: Html = "strip") -> list[str]:
    """The words of a text, in their order; there may be none."""
    return list(tokens_of_all([text], html)[0])


def tokens_of_all(texts: Iterable[str], html: Html = "strip") -> list[tuple[str, ...]]:
    """The words of each text, as `tokens` finds them; a word that occurs often is one object."""
    word_of = _WordOf()
    without_tags = (_TAG.sub(" ", text) for text in texts) if html == "strip" else texts
    return [tuple(filter(None, map(word_of.__getitem__, text.split()))) for text in without_tags]


def vocabulary_of(rows: Iterable[Sequence[str]], max_words: int | None = None) -> Words:
    """The ``max_words`` words that occur most often, or all of them: by their number, then by the word itself."""
    # a set's order, and so an id, would change from one process to the next
    counts = Counter(chain.from_iterable(rows))
    return Words(tuple(sorted(counts, key=lambda word: (-counts[word], word))[:max_words]))


class _WordOf(dict[str, str]):
    """The word in what stands between white space; "" where there is none. Each is looked for only once."""

    def __missing__(self, between: str) -> str:
        # neither lower case nor what is deleted depends on what stands beyond white space
        word = self[between] = sys.intern(_NO_WORD.sub("", between.lower()))
        return word
