"""The benchmark's row that measures the table of `jaxrnn.schemes`: every scheme of every cell and size there.

A step is a training step of `fit`'s own programs, of one layer of the cell and a linear head, under each scheme in
turns. Not a command itself: see `benchmark`.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, get_args

import numpy as np
import optax

from experiments import measuring
from experiments.contest import Group
from experiments.measuring import Ours, Outcome, Shape, Way
from jaxrnn.cells import CELLS, Cell
from jaxrnn.schemes import FASTEST_ON_CPU, Scheme, Size
from jaxrnn.train import Task, chosen, cross_entropy

SCHEMES = Group("How many times as fast as the reference a scheme is")

SHAPES: dict[Size, Shape] = {
    "tiny": Shape(batch=8, time=100, features=3, hidden=2, classes=2, examples=64, steps=200),
    "small": Shape(batch=8, time=100, features=8, hidden=16, classes=2, examples=64, steps=100),
    "few rows": Shape(batch=32, time=30, features=128, hidden=128, classes=10, examples=256, steps=10),
    "many rows": Shape(batch=64, time=28, features=28, hidden=150, classes=10, examples=512, steps=10),
}
"""What stands for each size; the batch is that of each device."""

LITTLE = {size: shape._replace(time=4, steps=2) for size, shape in SHAPES.items()}

NAMES: dict[str, type[Cell]] = {name: kind for name, kind in CELLS.items() if kind in FASTEST_ON_CPU}
"""The cells of the table by name; a variant of one, such as that with ReLU, is not measured again."""


def rows(quick: bool) -> dict[str, "Schemes"]:
    """This row by name."""
    return {"schemes": Schemes(LITTLE if quick else SHAPES)}


@dataclass(frozen=True)
class Schemes:
    """Training steps under every scheme, the reference first."""

    shapes: Mapping[Size, Shape]

    group = SCHEMES
    needs_data = False
    drawn = "random numbers"
    sizes = ""

    @property
    def config(self) -> dict[str, Any]:
        """The sizes, for ``config.json``."""
        return {size: shape._asdict() for size, shape in self.shapes.items()}

    def measure(self, name: str, way: Way) -> Outcome:
        lines, warming = [], 0.0
        for cell in NAMES:
            for which, shape in self.shapes.items():
                began = time.perf_counter()
                trainers = contestants(cell, shape, way.devices)
                for train in trainers.values():
                    train(2)
                warming += time.perf_counter() - began
                lines += list(compared(cell, which, shape, measuring.race(trainers, shape.steps, way.rounds)))
        metrics = {
            f"{name}_{line['cell']}_{line['size'].replace(' ', '_')}_{line['scheme']}": line["ratio_median"]
            for line in lines
            if line["scheme"] != "reference"
        }
        return Outcome((), warming, metrics, {name: lines})


def contestants(cell: str, shape: Shape, devices: int | None = None) -> dict[Scheme, Ours]:
    """What trains by scheme, of so many rows on each device."""
    batch = shape.batch * len(chosen(devices)) if shape.batch >= 32 else shape.batch  # fewer are not spread
    shape = shape._replace(batch=batch, examples=8 * batch)
    random = np.random.default_rng(0)
    x = random.normal(size=(shape.examples, shape.time, shape.features)).astype(np.float32)
    y = random.integers(0, shape.classes, shape.examples, np.int32)

    def trainer(scheme: Scheme) -> Ours:
        def objective(model, x, y, hparams, key):
            return cross_entropy(partial(model, scheme=scheme), x, y, hparams, key)

        def optimiser(hparams):
            return optax.adam(hparams.learning_rate)

        return Ours(Task(measuring.maker(cell, shape), objective, optimiser, batch), (x, y), devices)

    return {scheme: trainer(scheme) for scheme in get_args(Scheme)}


def compared(cell: str, which: Size, shape: Shape, times: Mapping[Scheme, list[float]]) -> Iterator[dict[str, Any]]:
    """The lines of ``schemes.csv``: of a cell and a shape, milliseconds of a step by scheme, how many times as fast as
    the reference that is, and whether the table names it."""
    for scheme, took in times.items():
        yield {
            **{"cell": cell, "size": which, "rows": shape.batch, "time": shape.time, "features": shape.features},
            **{"hidden": shape.hidden, "scheme": scheme, "unit": "ms", **measuring.quartiles(took)},
            **measuring.quartiles(np.array(times["reference"]) / np.array(took), "ratio_"),
            "chosen": FASTEST_ON_CPU[NAMES[cell]][which] == scheme,
        }
