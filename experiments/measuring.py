"""How the benchmark measures: our trainer, turns in a race, and what they come to. Not a command itself."""

import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import Mesh

from experiments.floor import Floor, Speeds, Work, floor
from experiments.peers import Trainer
from jaxrnn.data import Dataset
from jaxrnn.layers import stack
from jaxrnn.models import Classifier
from jaxrnn.train import Data, Devices, Hparams, Programs, Task, example_of, spread
from jaxrnn.typing import Array, Bias, Key


class Shape(NamedTuple):
    """The sizes of a training step, and how many make a turn."""

    batch: int
    time: int
    features: int
    hidden: int
    classes: int
    examples: int
    """How many there are; where we draw them as we go, how many the others are given."""
    steps: int

    @property
    def sizes(self) -> str:
        """All but the last two, in words."""
        return f"{self.time} x {self.features} -> {self.hidden} -> {self.classes}, batch {self.batch}"


# What trains.


def maker(cell: str, shape: Shape, bias: Bias = "torch", layers: int = 1) -> Callable[[nnx.Rngs, Hparams], Classifier]:
    """A `Task`'s ``make_model``: layers of any registered cell and a linear head, initialised as PyTorch does."""

    def make_model(rngs, hparams):
        made = stack(cell, shape.features, [shape.hidden] * layers, init="pytorch", bias=bias, rngs=rngs)
        return Classifier(made, shape.classes, init="pytorch", rngs=rngs)

    return make_model


class Ours:
    """The programs of `fit`, driven as it drives them: data on the devices, a segment a call, its order drawn in it.

    Calling it is a `Trainer`, whose loss is the mean over the steps, and over the runs where there are several.
    """

    def __init__(
        self,
        task: Task,
        data: Data,
        devices: Devices = None,
        *,
        keys: Key[Array, "r"] | None = None,
        hparams: Hparams | None = None,
    ):
        """Begin a run for each of ``keys``, all side by side; where not given, there is one."""
        if keys is None:
            keys = jax.random.split(jax.random.key(0), 1)
        (runs,) = keys.shape
        self._programs = _programs(task, spread(runs, task.batch, devices), runs)
        each = jax.tree.map(lambda value: np.full(runs, value, np.float32), hparams or Hparams())
        keys, self._hparams = jax.device_put((keys, each), self._programs.by_run)
        self._data = jax.device_put(data, self._programs.everywhere)
        example = jax.device_put(example_of(self._data), self._programs.everywhere)
        self._runs = self._programs.start(keys, self._hparams, example)
        self._epochs = itertools.count()

    @property
    def models(self) -> list[Any]:
        """Every run's model as it stands, copies."""
        leaves, structure = jax.tree.flatten(jax.device_get(self._runs.model))
        return [jax.tree.unflatten(structure, map(jnp.asarray, run)) for run in zip(*leaves, strict=True)]

    def losses(self, steps: int) -> list[float]:
        """Train, and say every run's mean loss."""
        where = jax.device_put(tuple(map(np.int32, (next(self._epochs), 0, steps))), self._programs.everywhere)
        self._runs = self._programs.segment(self._runs, self._hparams, self._data, *where)
        totals = jax.device_get(jax.block_until_ready(self._runs).totals)
        return (totals["loss"] / totals["examples"]).tolist()

    def __call__(self, steps: int, /) -> float:
        return float(np.mean(self.losses(steps)))


def ours_of(task: Task, hparams: Hparams) -> Callable[[Data, Devices], Ours]:
    """What makes our trainer of one run of the task, of data."""
    return lambda data, devices: Ours(task, data, devices, hparams=hparams)


@cache
def _programs(task: Task, mesh: Mesh, runs: int) -> Programs:
    """Compiled once, however often so many runs of a task train on a mesh."""
    return Programs(task, mesh, runs)


# How it is timed.


class Way(NamedTuple):
    """How the rows are measured."""

    rounds: int
    """In each of which every library has one turn."""
    devices: int | None = None
    """How many devices ours uses at most; all where not given."""
    quick: bool = False
    alone: bool = False
    """Whether each library also trains in a process of its own, for its memory and compilation."""
    dataset: Dataset | None = None
    """Of the commands."""


K = TypeVar("K")


def race(trainers: Mapping[K, Trainer], steps: int | Mapping[K, int], rounds: int) -> dict[K, list[float]]:
    """The milliseconds of a step by library, one number a round; who begins changes from round to round.

    A turn has so many ``steps``, the same of all libraries or each its own.
    """
    turns = {library: steps if isinstance(steps, int) else steps[library] for library in trainers}
    times: dict[K, list[float]] = {library: [] for library in trainers}
    order = list(trainers)
    for _ in range(rounds):
        for library in order:
            # off the clock: the threads of the one before still spin, and the caches are its own
            trainers[library](min(2, turns[library]))
            clock = time.perf_counter()
            trainers[library](turns[library])
            times[library].append(1e3 * (time.perf_counter() - clock) / turns[library])
        order = order[1:] + order[:1]
    return times


# What it comes to.


class Alone(NamedTuple):
    """What a library took in a process of its own."""

    peak_mib: float
    """By how much its memory rose at most since all was imported and the data were there."""
    compile_s: float
    """By how many seconds its first training step took longer than its second."""


class Measured(NamedTuple):
    """A row of the benchmark: how long each library took, one number a round."""

    row: str
    unit: str
    times: Mapping[str, Sequence[float]]
    """By library: ``ours``, and those of the others that there are."""
    parameters: int
    work: Work | None = None
    """What no library can do without, of what takes these times; of which it is not known, None."""
    alone: Mapping[str, Alone] = {}
    """By library, where it was measured."""

    def floor(self, speeds: Speeds | None) -> Floor | None:
        """The milliseconds that the work takes at these speeds, where both are known."""
        return None if self.work is None or speeds is None else floor(self.work, speeds)

    @property
    def peers(self) -> list[str]:
        """The other libraries."""
        return [library for library in self.times if library != "ours"]

    @property
    def fastest(self) -> str | None:
        """The peer with the smallest median."""
        return min(self.peers, key=lambda library: np.median(self.times[library]), default=None)

    def ratio(self, library: str) -> np.ndarray:
        """How many times as long as ours a library took, ``(rounds,)``: above 1 we are faster."""
        return np.array(self.times[library]) / np.array(self.times["ours"])

    def metrics(self, speeds: Speeds | None) -> dict[str, Any]:
        """By the names in ``result.json``, one number a round."""
        named: dict[str, Any] = {f"{self.row}_parameters": self.parameters}
        for library, times in self.times.items():
            named[f"{self.row}_{library}_{self.unit}"] = times
            if library != "ours":
                named[f"{self.row}_ratio_{library}"] = self.ratio(library)
        if self.fastest is not None:
            named[f"{self.row}_ratio_fastest"] = self.ratio(self.fastest)
        if (least := self.floor(speeds)) is not None:
            named[f"{self.row}_floor_{self.unit}"] = least.ms
            named[f"{self.row}_over_floor"] = np.array(self.times["ours"]) / least.ms
        for library, alone in self.alone.items():
            named |= {f"{self.row}_{library}_{what}": value for what, value in alone._asdict().items()}
        return named

    def lines(self, speeds: Speeds | None) -> Iterator[dict[str, Any]]:
        """The lines of ``benchmark.csv``, one a library: ours and each peer that there is, and what is known of all."""
        least = self.floor(speeds)
        for library, times in self.times.items():
            alone = self.alone.get(library)
            yield {
                **{"row": self.row, "library": library, "unit": self.unit, "parameters": self.parameters},
                **quartiles(times),
                **quartiles(None if library == "ours" else self.ratio(library), "ratio_"),
                "fastest_peer": self.fastest == library,
                "floor": None if least is None else least.ms,
                "bound": None if least is None else least.bound,
                "over_floor": None if least is None else np.median(times) / least.ms,
                "peak_mib": None if alone is None else alone.peak_mib,
                "compile_s": None if alone is None else alone.compile_s,
            }


class Outcome(NamedTuple):
    """What measuring a row comes to."""

    measured: Sequence[Measured] = ()
    warming: float = 0.0
    """The seconds until everything was compiled and ready."""
    metrics: Mapping[str, Any] = {}
    """Beside those of what was measured."""
    tables: Mapping[str, Sequence[dict[str, Any]]] = {}
    """Lines of further tables by their name."""

    def named(self, speeds: Speeds | None) -> dict[str, Any]:
        """All metrics by their names."""
        return {key: value for one in self.measured for key, value in one.metrics(speeds).items()} | dict(self.metrics)


def quartiles(values: Any, prefix: str = "") -> dict[str, float | None]:
    """Median and quartiles as a table's columns; None, and so empty, for None."""
    low, middle, high = [None] * 3 if values is None else np.percentile(values, (25, 50, 75)).tolist()
    return {f"{prefix}median": middle, f"{prefix}lower_quartile": low, f"{prefix}upper_quartile": high}
