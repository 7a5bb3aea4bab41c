"""Sequences whose outputs depend on inputs up to three steps back, to the bit those of NTU's tutorial (its question 2).

    y_1(t) = 5 x_1(t) - 0.2 x_3(t-1) + 0.1 e,    y_2(t) = 25 x_2(t-1) x_3(t-3) + 0.1 e

with inputs from U(0, 1), t = 1 to 100, and the two e independent and standard normal at every step. Where there is no
x(t-1) or x(t-3) yet, the tutorial's code applies no formula: the first output is noise alone at its first step and the
second at its first three, 8 + 24 numbers of 1,600 that nothing can foretell.
"""

from typing import NamedTuple

import numpy as np

from jaxrnn.typing import Bool, Float

SEED = 10
"""The tutorial's seed."""

SEQUENCES, STEPS, INPUTS, OUTPUTS = 8, 100, 3, 2

LAGS = (1, 3)
"""How many steps back each output reads."""

NOISE = 0.1
"""The standard deviation of what is added to every output."""


class Sequences(NamedTuple):
    """Inputs ``(8, 100, 3)`` and outputs ``(8, 100, 2)``, float64."""

    x: Float[np.ndarray, "n t 3"]
    y: Float[np.ndarray, "n t 2"]


def draw(seed: int = SEED) -> Sequences:
    """The eight sequences of a seed: the inputs are drawn first and the noise after them, by NumPy's legacy generator.

    The tutorial's `np.random.seed` seeds that very generator; no other one has these numbers.
    """
    random = np.random.RandomState(seed)
    x = random.rand(SEQUENCES, STEPS, INPUTS)
    return Sequences(x, rule(x) + NOISE * random.randn(SEQUENCES, STEPS, OUTPUTS))


def rule(x: Float[np.ndarray, "n t 3"]) -> Float[np.ndarray, "n t 2"]:
    """The outputs without noise, 0 where the rule reads what there is not yet."""
    y = np.zeros((*x.shape[:2], OUTPUTS))
    y[:, 1:, 0] = 5 * x[:, 1:, 0] - 0.2 * x[:, :-1, 2]
    y[:, 3:, 1] = 25 * x[:, 2:-1, 1] * x[:, :-3, 2]
    return y


def ruled() -> Bool[np.ndarray, "t 2"]:
    """Where the rule holds: false where an output is noise alone."""
    return np.arange(STEPS)[:, None] >= np.array(LAGS)
