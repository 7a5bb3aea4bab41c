"""What every loader returns."""

import os
from typing import NamedTuple

import numpy as np


class Origin(NamedTuple):
    """Examples that are made as they are needed: their name, and how they are made in words."""

    name: str
    source: str


def in_words(name: str) -> str:
    """The name of a file as text, whatever its bytes: ``\\xe4`` for one that is not UTF-8."""
    return os.fsencode(name).decode(errors="backslashreplace")


class Dataset(NamedTuple):
    """A labelled data set, split as it is published.

    ``name`` says what was really read (``mnist`` only for the real files), ``source`` in words where it came from.
    ``x_train`` and ``x_test`` hold one example a row, as stored (bytes stay bytes); ``y_*`` are integer labels below
    ``classes``.
    """

    name: str
    source: str
    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    classes: int
