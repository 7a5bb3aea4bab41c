"""The benchmark's sweeps: what a training step costs of one of many runs trained at once, ours and PyTorch's.

Ours trains as `jaxrnn.sweeps` does: a few runs side by side on a device, and such chunks one after the other. PyTorch
trains as it is fastest on the same cores, a single-threaded process for each and in it the runs in turn: its threads
gain nothing on networks this small, and ``torch.func.vmap``, which would train runs side by side, has no batching rule
for ``nn.RNN`` and ``nn.LSTM``. Its fused and ``foreach`` optimisers, and inputs with time first, made no difference.
Not a command itself: see `benchmark`.
"""

import itertools
import math
import multiprocessing
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from experiments import measuring
from experiments.measuring import Measured, Ours, Outcome, Shape, Trainer
from jaxrnn.data import palindromes
from jaxrnn.errors import UserError
from jaxrnn.models import parameter_count
from jaxrnn.optimisers import rmsprop_torch
from jaxrnn.train import Devices, Hparams, Stream, Task, chosen, cross_entropy, width


class Sweep(NamedTuple):
    """Runs to be trained at once: each the same network, from a key of its own."""

    runs: int
    most: int
    """The largest number of runs whose cost is shown."""
    cell: str
    shape: Shape
    task: Task
    hparams: Hparams
    draw: Callable[[Any, int], tuple[Any, Any]]
    """A `Stream`'s."""
    every_step: bool
    """Whether the network is asked at every step, by a mean squared error, or for a class after the last one."""


def of_palindromes(runs: int, most: int, cell: str, shape: Shape) -> Sweep:
    """Palindromes whose last digit is asked for (UVA 1): RMSProp as PyTorch's, gradients clipped to a norm of 10."""

    def optimiser(hparams):
        return rmsprop_torch(hparams.learning_rate)

    task = Task(measuring.maker(cell, shape), cross_entropy, optimiser, shape.batch)
    draw = partial(palindromes.draw, length=shape.time + 1)
    return Sweep(runs, most, cell, shape, task, Hparams(learning_rate=1e-3, clip_norm=10.0), draw, every_step=False)


def of_tiny(runs: int, most: int, shape: Shape) -> Sweep:
    """NTU's Q2 in its sizes: an Elman network read at every step, all sequences in every training step, Adam."""
    random = np.random.default_rng(0)
    x = random.normal(size=(shape.batch, shape.time, shape.features)).astype(np.float32)
    y = random.normal(size=(shape.batch, shape.time, shape.classes)).astype(np.float32)

    def objective(model, x, y, hparams, key):
        return {"loss": jnp.square(model.at_every_step(x) - y).mean((1, 2))}

    def optimiser(hparams):
        return optax.adam(hparams.learning_rate)

    def draw(key, n):
        return jnp.asarray(x), jnp.asarray(y)  # all there are, whatever the key

    task = Task(measuring.maker("elman", shape), objective, optimiser, shape.batch)
    return Sweep(runs, most, "elman", shape, task, Hparams(learning_rate=1e-2), draw, every_step=True)


_DIGITS = Shape(batch=128, time=9, features=10, hidden=128, classes=10, examples=1280, steps=25)
_FEW_DIGITS = _DIGITS._replace(batch=32, hidden=16, examples=320, steps=10)
_TINY = Shape(batch=8, time=100, features=3, hidden=5, classes=2, examples=8, steps=100)
_TINIER = _TINY._replace(time=20, steps=10)

SWEEPS: dict[str, Sweep] = {
    "sweep_elman": of_palindromes(32, 128, "elman", _DIGITS),
    "sweep_lstm": of_palindromes(32, 128, "lstm", _DIGITS),
    "sweep_tiny": of_tiny(32, 128, _TINY),
}
"""The rows of the benchmark that are sweeps."""

QUICK_SWEEPS: dict[str, Sweep] = {
    "sweep_elman": of_palindromes(4, 4, "elman", _FEW_DIGITS),
    "sweep_lstm": of_palindromes(4, 4, "lstm", _FEW_DIGITS),
    "sweep_tiny": of_tiny(4, 4, _TINIER),
}


def measure(row: str, sweep: Sweep, rounds: int, devices: Devices = None) -> Outcome:
    """A sweep against PyTorch's, in milliseconds of a training step of one run; then alone, with 1, 2, 4, ... runs."""
    began = time.perf_counter()
    with contestants(sweep, devices) as (parameters, trainers):
        for train in trainers.values():
            train(2)
        warming = time.perf_counter() - began
        times = measuring.race(trainers, sweep.shape.steps, rounds)
    costs = {library: [turn / sweep.runs for turn in turns] for library, turns in times.items()}
    # of tiny products the machine's highest speed says nothing
    counted = {} if sweep.every_step else {"flops": measuring.flops(sweep.cell, sweep.shape)}
    measured = Measured(row, "ms", costs, parameters, **counted)

    numbers = [2**power for power in range(sweep.most.bit_length())]
    began = time.perf_counter()
    sizes = {runs: Chunks(sweep, runs, devices) for runs in numbers}
    for train in sizes.values():
        train(2)
    warming += time.perf_counter() - began
    by_number = measuring.race(sizes, sweep.shape.steps, min(rounds, 3))
    lines = [_line(row, "ours", runs, np.array(taken) / runs) for runs, taken in by_number.items()]
    if "torch" in costs:
        lines.append(_line(row, "torch", sweep.runs, costs["torch"]))
    return Outcome(measured, warming, lines)


def _line(row: str, library: str, runs: int, costs: Any) -> dict[str, Any]:
    return {"row": row, "library": library, "runs": runs, "unit": "ms", **measuring.quartiles(costs)}


# What is timed: a step of all runs. Both begin at our weights.


@contextmanager
def contestants(sweep: Sweep, devices: Devices = None) -> Iterator[tuple[int, dict[str, Trainer]]]:
    """The number of a run's parameters, and what trains by library: ``ours``, and ``torch`` where it is installed and
    the cores are what we train on. PyTorch's processes end with the context."""
    mine = Chunks(sweep, sweep.runs, devices)
    models = mine.models
    with ExitStack() as processes:
        trainers: dict[str, Trainer] = {"ours": mine}
        if measuring.installed("torch") and jax.default_backend() == "cpu":
            cores = len(chosen(devices))
            trainers["torch"] = processes.enter_context(workers(lots(sweep, models, cores)))
        yield parameter_count(models[0]), trainers


class Chunks:
    """Our runs as `jaxrnn.sweeps` trains them, data drawn in the compiled step: each chunk of them side by side on one
    device, and a thread for each device that trains its chunks one after the other. The last chunk is filled up.

    Calling it is a `Trainer`, whose loss is the mean over runs and steps.
    """

    def __init__(self, sweep: Sweep, runs: int, devices: Devices = None):
        self.runs = runs
        self._devices = chosen(devices)
        model = nnx.eval_shape(lambda: sweep.task.make_model(nnx.Rngs(0), sweep.hparams))
        widest = width(parameter_count(model), sweep.shape.batch)
        together, chunks = chunked(runs, len(self._devices), widest)
        stream = Stream(sweep.draw, sweep.shape.steps)
        keys = jax.random.split(jax.random.key(0), chunks * together).reshape(chunks, together)
        self._chunks = [
            Ours(sweep.task, stream, [device], keys=some, hparams=sweep.hparams)
            for some, device in zip(keys, itertools.cycle(self._devices), strict=False)
        ]

    @property
    def models(self) -> list[Any]:
        """Every run's model as it stands, copies."""
        return [model for chunk in self._chunks for model in chunk.models][: self.runs]

    def __call__(self, steps: int, /) -> float:
        count = len(self._devices)

        def train(first: int) -> list[list[float]]:
            return [chunk.losses(steps) for chunk in self._chunks[first::count]]

        with ThreadPoolExecutor(count) as pool:
            by_device = list(pool.map(train, range(count)))
        losses = [by_device[number % count][number // count] for number in range(len(self._chunks))]
        return float(np.mean(np.ravel(losses)[: self.runs]))


def chunked(runs: int, devices: int, widest: int) -> tuple[int, int]:
    """How many runs a chunk has, few enough for every device to have some, and how many chunks there are."""
    together = min(widest, -(-runs // devices))
    return together, -(-runs // together)


class Lot(NamedTuple):
    """The runs of one PyTorch process, in words and arrays: they are sent there."""

    cell: str
    every_step: bool
    learning_rate: float
    clip_norm: float
    weights: list[dict[str, np.ndarray]]
    """Of every run, by the names in a `torch_network`."""
    batches: list[tuple[np.ndarray, np.ndarray]]
    """Drawn beforehand, the same for all runs: ours pays for drawing in its step."""


def lots(sweep: Sweep, models: Sequence[Any], processes: int) -> list[Lot]:
    """The runs as PyTorch's processes share them, none without one."""
    shape = sweep.shape
    keys = jax.random.split(jax.random.key(0), shape.examples // shape.batch)
    batches = [jax.tree.map(np.array, sweep.draw(key, shape.batch)) for key in keys]
    weights = [measuring.torch_weights(model) for model in models]
    each = partial(Lot, sweep.cell, sweep.every_step, sweep.hparams.learning_rate, sweep.hparams.clip_norm)
    return [each(weights[first::processes], batches) for first in range(min(processes, len(models)))]


def torch_runs(lot: Lot) -> Trainer:
    """PyTorch as its tutorials have it: an eager loop over tensors, for one run after the other.

    The loss is the mean of the runs' last ones.
    """
    import torch
    from torch import nn

    batches = [
        (torch.from_numpy(x), torch.from_numpy(y if lot.every_step else y.astype(np.int64))) for x, y in lot.batches
    ]

    def begin(weights):
        network = measuring.torch_network(lot.cell, weights)
        kind = torch.optim.Adam if lot.every_step else torch.optim.RMSprop
        return network, kind(network.parameters(), lr=lot.learning_rate), itertools.cycle(batches)

    def objective(network, x, y):
        ys, _ = network["rnn"](x)
        if lot.every_step:
            return nn.functional.mse_loss(network["head"](ys), y)
        return nn.functional.cross_entropy(network["head"](ys[:, -1]), y)

    def train(run, steps):
        network, optimiser, turns = run
        loss = torch.tensor(math.nan)
        for x, y in itertools.islice(turns, steps):
            optimiser.zero_grad()
            loss = objective(network, x, y)
            loss.backward()
            if math.isfinite(lot.clip_norm):
                nn.utils.clip_grad_norm_(network.parameters(), lot.clip_norm)
            optimiser.step()
        return loss.item()

    runs = [begin(weights) for weights in lot.weights]
    return lambda steps: sum(train(run, steps) for run in runs) / len(runs)


# PyTorch's processes.


@contextmanager
def workers(lots: Sequence[Lot]) -> Iterator[Trainer]:
    """A process for each lot, together as one trainer that waits for the slowest; ended in the end, come what may.

    Raises:
        UserError: one of them ended by itself.
    """
    context = multiprocessing.get_context("spawn")
    with ExitStack() as stack:
        pipes = []
        for lot in lots:
            pipe, theirs = context.Pipe()
            process = context.Process(target=_work, args=(theirs, lot), daemon=True)
            process.start()
            stack.callback(_end, process, pipe)
            theirs.close()  # so that its end is seen here
            pipes.append(pipe)

        def train(steps: int, /) -> float:
            losses = _asked(pipes, steps)
            return float(np.average(losses, weights=[len(lot.weights) for lot in lots]))

        _asked(pipes, 0)  # until all are ready
        yield train


def _asked(pipes: Sequence[Connection], steps: int) -> list[float]:
    """All processes' losses after so many steps, which they take at the same time."""
    try:
        for pipe in pipes:
            pipe.send(steps)
        return [pipe.recv() for pipe in pipes]
    except (EOFError, OSError) as error:
        raise UserError(
            "a PyTorch process ended by itself: it says why above; or leave the sweeps' rows out"
        ) from error


def _end(process: SpawnProcess, pipe: Connection) -> None:
    process.terminate()
    process.join()
    process.close()
    pipe.close()


def _work(pipe: Connection, lot: Lot) -> None:
    """The life of a worker: so many steps of each run whenever it is asked for them."""
    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process of a terminal, and ours ends this one
    torch.set_num_threads(1)
    train = torch_runs(lot)
    with suppress(EOFError, OSError):  # who asks is no more
        while True:
            pipe.send(train(pipe.recv()))
