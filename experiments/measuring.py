"""How the benchmark measures: our trainer and PyTorch's network, turns in a race, and what they come to.

What the training steps of `experiments.benchmark`, the sweeps of `experiments.benchmark_sweeps`, the language models of
`experiments.benchmark_text` and the reviews of `experiments.benchmark_reviews` share. Not a command itself.
"""

import itertools
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from typing import Any, NamedTuple, Protocol, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import Mesh

from jaxrnn.cells import CELLS
from jaxrnn.interop import to_torch_state_dict
from jaxrnn.layers import stack
from jaxrnn.models import Classifier, LanguageModel, TextClassifier
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


class Trainer(Protocol):
    """Takes so many training steps, waits until all is done, and gives a loss: the last step's where not said
    otherwise."""

    def __call__(self, steps: int, /) -> float: ...


# What trains.


def maker(cell: str, shape: Shape, bias: Bias = "torch") -> Callable[[nnx.Rngs, Hparams], Classifier]:
    """A `Task`'s ``make_model``: a layer of any registered cell and a linear head, initialised as PyTorch does."""

    def make_model(rngs, hparams):
        layers = stack(cell, shape.features, [shape.hidden], init="pytorch", bias=bias, rngs=rngs)
        return Classifier(layers, shape.classes, init="pytorch", rngs=rngs)

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


@cache
def _programs(task: Task, mesh: Mesh, runs: int) -> Programs:
    """Compiled once, however often so many runs of a task train on a mesh."""
    return Programs(task, mesh, runs)


TORCH: dict[str, tuple[str, dict[str, str]]] = {
    "elman": ("RNN", {"nonlinearity": "tanh"}),
    "elman_relu": ("RNN", {"nonlinearity": "relu"}),
    "gru": ("GRU", {}),
    "lstm": ("LSTM", {}),
}
"""PyTorch's module, and its options, for those of our cells that it has."""


def torch_weights(model: Classifier | LanguageModel | TextClassifier) -> dict[str, np.ndarray]:
    """The weights of our model's layers and head by the names that they have in a `torch_network`."""
    rnn = {f"rnn.{name}": tensor.numpy() for name, tensor in to_torch_state_dict(model.layers).items()}
    kernel, bias = (np.array(param) for param in (model.head.kernel, model.head.bias))
    return {**rnn, "head.weight": kernel.T, "head.bias": bias}


def torch_network(cell: str, weights: Mapping[str, np.ndarray]) -> Any:
    """PyTorch's layers and linear head, ``network["rnn"]`` and ``network["head"]``, of one of the cells of `TORCH`."""
    import torch
    from torch import nn

    kind, options = TORCH[cell]
    features = weights["rnn.weight_ih_l0"].shape[1]
    classes, hidden = weights["head.weight"].shape
    layers = sum(name.startswith("rnn.weight_ih") for name in weights)
    rnn = getattr(nn, kind)(features, hidden, layers, batch_first=True, **options)
    network = nn.ModuleDict({"rnn": rnn, "head": nn.Linear(hidden, classes)})
    network.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
    return network


def installed(package: str) -> bool:
    return find_spec(package) is not None


# How it is timed.

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


def flops(cell: str, shape: Shape) -> float:
    """The floating-point operations of the matrix products that a training step cannot do without.

    A product of (m, k) and (k, n) is 2*m*n*k operations, and each of its two gradients as many again; the gradient of
    the inputs is not needed. The products are those of the cell's matrices, at every time step, and of the head's, at
    the last one.
    """
    made = nnx.eval_shape(lambda: CELLS[cell](shape.features, shape.hidden, rngs=nnx.Rngs(0)))
    products = 3 * shape.hidden * shape.classes
    for weight in jax.tree.leaves(made):
        if weight.ndim == 2:
            reads_inputs = weight.shape[0] == shape.features  # no width of a shape here is the hidden one too
            products += (2 if reads_inputs else 3) * math.prod(weight.shape) * shape.time
    return 2.0 * shape.batch * products


_product = jax.jit(jnp.matmul)


def product_speed(size: int, devices: Sequence[jax.Device]) -> float:
    """GFLOP/s of square float32 products of ``size``, the best of three; CPU devices share all cores: one uses them."""
    used = devices[:1] if devices[0].platform == "cpu" else devices
    matrices = [jax.device_put(np.ones((size, size), np.float32), device) for device in used]
    jax.block_until_ready([_product(matrix, matrix) for matrix in matrices])
    best = math.inf
    for _ in range(3):
        clock = time.perf_counter()
        jax.block_until_ready([_product(matrix, matrix) for matrix in matrices])
        best = min(best, time.perf_counter() - clock)
    return len(used) * 2 * size**3 / best / 1e9


# What it comes to.


class Measured(NamedTuple):
    """A row of the benchmark: how long each library took, one number a round."""

    row: str
    unit: str
    times: Mapping[str, Sequence[float]]
    """By library: ``ours``, and those of the others that there are."""
    parameters: int
    flops: float = math.nan

    def floor(self, speed: float) -> float:
        """The milliseconds of the matrix products alone, at ``speed`` (GFLOP/s); NaN where they are not counted."""
        return self.flops / speed / 1e6

    def ratio(self, library: str) -> np.ndarray:
        """How many times as long as ours a library took, ``(rounds,)``: above 1 we are faster."""
        return np.array(self.times[library]) / np.array(self.times["ours"])

    def metrics(self, speed: float) -> dict[str, Any]:
        """By the names in ``result.json``, one number a round."""
        named: dict[str, Any] = {f"{self.row}_parameters": self.parameters}
        for library, times in self.times.items():
            named[f"{self.row}_{library}_{self.unit}"] = times
            if library != "ours":
                named[f"{self.row}_ratio_{library}"] = self.ratio(library)
        if math.isfinite(floor := self.floor(speed)):
            named |= {f"{self.row}_floor_ms": floor, f"{self.row}_over_floor": np.array(self.times["ours"]) / floor}
        return named

    def lines(self, speed: float) -> Iterator[dict[str, Any]]:
        """The lines of ``benchmark.csv``, one a library: ours, PyTorch and Flax, empty for one that is not there, and
        what else was measured."""
        floor = self.floor(speed) if math.isfinite(self.floor(speed)) else None
        for library in dict.fromkeys(("ours", "torch", "flax", *self.times)):
            there = library in self.times
            yield {
                **{"row": self.row, "library": library, "unit": self.unit, "parameters": self.parameters},
                **quartiles(self.times[library] if there else None),
                **quartiles(self.ratio(library) if there and library != "ours" else None, "ratio_"),
                "floor": floor,
                "over_floor": np.median(self.times[library]) / floor if there and floor else None,
            }


class Outcome(NamedTuple):
    """What measuring a row comes to."""

    measured: Measured
    warming: float
    """The seconds until everything was compiled and ready."""
    costs: Sequence[dict[str, Any]] = ()
    """The lines of ``sweeps.csv``: of a sweep, what a run costs by the number of runs."""


def quartiles(values: Any, prefix: str = "") -> dict[str, float | None]:
    """Median and quartiles as a table's columns; None, and so empty, for None."""
    low, middle, high = [None] * 3 if values is None else np.percentile(values, (25, 50, 75)).tolist()
    return {f"{prefix}median": middle, f"{prefix}lower_quartile": low, f"{prefix}upper_quartile": high}
