"""Which of several classes a short text is of, by the runs of n characters in it: naive Bayes, add-one smoothing."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from jaxrnn.typing import ArrayLike, Float, Int

BORDER = "\0"
"""Stands before and after a text; no text has it."""


def ngrams(text: str, n: int) -> Iterator[str]:
    """The runs of n characters, those at both ends with `BORDER` in place of what is not there: one for each character
    and one for the end."""
    padded = BORDER * (n - 1) + text + BORDER
    return (padded[place : place + n] for place in range(len(text) + 1))


@dataclass(frozen=True)
class NgramClassifier:
    """A text's n-grams g are taken for independent of each other, and all classes c for equally likely beforehand:

        log p(text | c) = sum_g log (N_gc + 1) / (N_c + G)

    ``N_gc`` is how often g occurs in the training texts of class c, ``N_c`` the sum of those over all g, and ``G``
    how many different g there are in the training texts of all classes; those that are in none are passed over.
    """

    n: int
    places: Mapping[str, int]
    """Of each n-gram its row in ``logs``."""
    logs: Float[np.ndarray, "g k"]
    """The logarithm of the probability of each n-gram in each class."""

    def scores(self, texts: Sequence[str]) -> Float[np.ndarray, "n k"]:
        """log p(text | c) of every text and class, in nats."""
        found = np.zeros((len(texts), self.logs.shape[1]))
        for row, text in enumerate(texts):
            rows = [self.places[gram] for gram in ngrams(text, self.n) if gram in self.places]
            found[row] = [math.fsum(column) for column in self.logs[rows].T]  # the same in any order
        return found

    def classify(self, texts: Sequence[str]) -> Int[np.ndarray, "n"]:
        """The likeliest class of every text; of several equally likely ones the first."""
        return self.scores(texts).argmax(1)


def fit(texts: Sequence[str], labels: Iterable[int], classes: int, n: int) -> NgramClassifier:
    """The classifier that these texts make, labels from 0 to ``classes - 1``. Raises ValueError for an n below 1."""
    if n < 1:
        raise ValueError(f"n must be at least 1, not {n}")
    counted = Counter((gram, label) for text, label in zip(texts, labels, strict=True) for gram in ngrams(text, n))
    places = {gram: row for row, gram in enumerate(sorted({gram for gram, _ in counted}))}
    counts = np.ones((len(places), classes))
    for (gram, label), count in counted.items():
        counts[places[gram], label] += count
    return NgramClassifier(n, places, np.log(counts / counts.sum(0)))


def recall(found: Int[ArrayLike, "n"], labels: Int[ArrayLike, "n"], classes: int) -> Float[np.ndarray, "k"]:
    """The share of each class's texts that are taken for it; NaN of a class that has none."""
    true = np.asarray(labels)
    right = np.asarray(found) == true
    return np.array([right[true == one].mean() if (true == one).any() else math.nan for one in range(classes)])
