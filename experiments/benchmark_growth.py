"""The benchmark's rows that say how the cost of a training step grows, ours and PyTorch's: with one size at a time.

A GRU on random images, of which all sizes but one stay as they are; and runs of an Elman network on palindromes, all
that are trained at once. On logarithmic axes the cost is nearly a line: its slope is the power of the size that the
cost grows with. Not a command itself: see `benchmark`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from experiments import benchmark_steps, benchmark_sweeps, measuring
from experiments.benchmark_steps import DIGITS, FEW_DIGITS, SMALL
from experiments.contest import Contest, Group
from experiments.measuring import Outcome, Shape, Way

GROWTH = Group("How the cost of a training step grows")

LIBRARIES = ("ours", "torch")

BASE = Shape(batch=128, time=32, features=32, hidden=128, classes=10, examples=5120, steps=10)
"""The sizes of which one at a time is another."""


GROWN: dict[str, tuple[int, ...]] = {
    "time": (16, 32, 64, 128, 256),
    "batch": (32, 64, 128, 256, 512),
    "hidden": (32, 64, 128, 256, 512),
    "layers": (1, 2, 4, 8),
    "runs": (1, 4, 16, 64),
}
"""The values of each size."""

WORDS = {
    "time": "time steps",
    "batch": "rows in a batch",
    "hidden": "hidden units",
    "layers": "layers",
    "runs": "runs at once",
}


def rows(quick: bool) -> dict[str, "Growth"]:
    """These rows by name."""
    base, digits = (SMALL._replace(steps=3), FEW_DIGITS) if quick else (BASE, DIGITS._replace(steps=10))

    def at(variable: str, value: int) -> Contest:
        if variable == "runs":
            one = benchmark_steps.palindromes_of("elman", digits)
            many = benchmark_sweeps.swept(one, value, processes=1 if quick else None)
            return replace(many, each=1)  # what all cost together
        if variable == "layers":
            return benchmark_steps.images("gru", base, layers=value)
        return benchmark_steps.images("gru", base._replace(**{variable: value}))

    def row(variable: str, values: Sequence[int]) -> Growth:
        shape, drawn = (digits, "palindromes") if variable == "runs" else (base, "random bytes")
        values = (2, 4) if quick else values
        return Growth(variable=variable, values=values, at=partial(at, variable), sizes=shape.sizes, drawn=drawn)

    return {f"growth_{variable}": row(variable, values) for variable, values in GROWN.items()}


@dataclass(frozen=True, kw_only=True)
class Growth:
    """A step's cost by one of its sizes."""

    variable: str
    """The size that grows."""
    values: Sequence[int]
    at: Callable[[int], Contest]
    """What is trained at a value."""
    sizes: str
    """What else there is to it, in words."""
    drawn: str
    rounds: int = 5

    group = GROWTH
    needs_data = False

    @property
    def config(self) -> dict[str, Any]:
        """The sizes, for ``config.json``."""
        return {"values": list(self.values)}

    def measure(self, name: str, way: Way) -> Outcome:
        lines, warming = [], 0.0
        for value in self.values:
            raced = self.at(value).raced(min(way.rounds, self.rounds), way.devices, LIBRARIES)
            warming += raced.warming
            lines += [self._line(name, library, value, took) for library, took in raced.times.items()]
        here = dict.fromkeys(line["library"] for line in lines)
        slopes = {library: slope([line for line in lines if line["library"] == library]) for library in here}
        lines = [{**line, "slope": slopes[line["library"]]} for line in lines]
        metrics = {f"{name}_{library}_slope": power for library, power in slopes.items()}
        return Outcome((), warming, metrics, {"growth": lines})

    def _line(self, name: str, library: str, value: int, took: Sequence[float]) -> dict[str, Any]:
        told = {"row": name, "variable": WORDS[self.variable], "library": library, "value": value, "unit": "ms"}
        return {**told, **measuring.quartiles(took)}


def slope(lines: Sequence[Mapping[str, Any]]) -> float:
    """The power of the value that the median grows with: that of the line that fits their logarithms best."""
    values, costs = (np.log([line[column] for line in lines]) for column in ("value", "median"))
    return float(np.polyfit(values, costs, 1)[0])
