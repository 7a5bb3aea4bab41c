"""Sums of neighbours: the three pairs of short sequences of NTU's tutorial (its question 3), and what is asked of them.

    y(t) = x(t) + x(t-1),    x(0) = 0

The tutorial gives the pairs and no rule; this one has all of their twelve outputs. Sequences are ``(n, 4, 1)``.
"""

import numpy as np

from jaxrnn.typing import Float


def rule(x: Float[np.ndarray, "n t 1"]) -> Float[np.ndarray, "n t 1"]:
    """Every input and the one before it together, the first alone."""
    return x + np.pad(x, ((0, 0), (1, 0), (0, 0)))[:, :-1]


TRAIN_X = np.array([[1.0, 2, 5, 6], [5, 7, 7, 8], [3, 4, 5, 7]])[..., None]
TRAIN_Y = np.array([[1.0, 3, 7, 11], [5, 12, 14, 15], [3, 7, 9, 12]])[..., None]
"""The three training pairs."""

TEST_X = np.array([[1.0, 2, 3, 4], [4, 5, 6, 7]])[..., None]
"""The sequences whose outputs the tutorial asks for."""

PRINTED = np.array([[0.9988, 2.7404, 6.3064, 8.8883], [4.6289, 8.4632, 9.4166, 9.5583]])[..., None]
"""What the tutorial's own LSTM says to them."""
