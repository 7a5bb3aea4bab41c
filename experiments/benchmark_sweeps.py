"""The benchmark's rows that are sweeps: what a training step costs of one of many runs trained at once.

Ours trains as `jaxrnn.sweeps` does: a few runs side by side on a device, and such chunks one after the other. PyTorch
trains as `peer_torch` says that it is fastest, by a process for each core; Flax's `nnx.RNN` trains under `jax.vmap`.
Not a command itself: see `benchmark`.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import numpy as np
from flax import nnx

from experiments import benchmark_steps, measuring, peer_flax, peer_torch
from experiments.benchmark_steps import DIGITS, FEW_DIGITS, TINIER, TINY
from experiments.contest import Contest, Group
from experiments.floor import Work
from experiments.measuring import Ours, Way
from experiments.peers import Batches, Network, Trainer, Weights
from jaxrnn.models import parameter_count
from jaxrnn.train import Data, Devices, Hparams, Task, chosen, width

SWEEPS = Group("A training step of one of many runs at once")


def rows(quick: bool) -> dict[str, Contest]:
    """These rows by name."""
    digits, little = (FEW_DIGITS, TINIER) if quick else (DIGITS, TINY)
    sizes = {"runs": 4, "most": 2, "processes": 1} if quick else {"runs": 32, "most": 128}
    return {
        "sweep_elman": swept(benchmark_steps.palindromes_of("elman", digits), **sizes),
        "sweep_lstm": swept(benchmark_steps.palindromes_of("lstm", digits), **sizes),
        "sweep_tiny": swept(benchmark_steps.tiny(little), **sizes),
    }


def swept(one: Contest, runs: int, most: int = 0, processes: int | None = None) -> Contest:
    """The row of so many runs of what ``one`` trains alone; where ``most`` is given, also what ours cost, up to so
    many. PyTorch has so many processes, one for each core where not given."""
    assert one.task is not None
    task, hparams = one.task, benchmark_steps.hparams_of(one.network)

    def ours(data: Data, devices: Devices) -> "Chunks":
        return Chunks(task, hparams, data, runs, devices)

    def costs(name: str, way: Way, found: Mapping[str, Sequence[float]]) -> list[dict[str, Any]]:
        numbers = [2**power for power in range(most.bit_length())]
        sizes = {number: Chunks(task, hparams, one.data(), number, way.devices) for number in numbers}
        for train in sizes.values():
            train(2)
        times = measuring.race(sizes, one.turn("ours"), min(way.rounds, 3))
        ours = [_line(name, "ours", number, np.array(times[number]) / number) for number in numbers]
        return ours + [_line(name, library, runs, took) for library, took in found.items() if library != "ours"]

    return replace(
        one,
        group=SWEEPS,
        sizes=f"{runs} runs, {one.sizes}",
        config={**one.config, "runs": runs},
        each=runs,
        work=None if one.work is None else partial(_of_all, one.work, runs),
        runs=runs,
        ours=ours,
        peers={"torch": partial(_torch, processes), "flax": peer_flax.trainer},
        costs=costs if most else None,
    )


def _of_all(work: Callable[[], Work], runs: int) -> Work:
    return work().shared(1 / runs)


def _line(row: str, library: str, runs: int, costs: Any) -> dict[str, Any]:
    """One of ``sweeps.csv``: the milliseconds of a step of one of so many runs."""
    return {"row": row, "library": library, "runs": runs, "unit": "ms", **measuring.quartiles(costs)}


def _torch(
    processes: int | None, network: Network, begin: Sequence[Weights], batches: Batches
) -> AbstractContextManager[Trainer]:
    if jax.default_backend() == "cpu":
        return peer_torch.side_by_side(network, begin, batches, processes=processes or len(chosen(None)))
    return peer_torch.trainer(network, begin, batches)  # processes would wait for the one accelerator


class Chunks:
    """Our runs as `jaxrnn.sweeps` trains them, data drawn in the compiled step: each chunk of them side by side on one
    device, and a thread for each device that trains its chunks one after the other. The last chunk is filled up.

    Calling it is a `Trainer`, whose loss is the mean over runs and steps.
    """

    def __init__(self, task: Task, hparams: Hparams, data: Data, runs: int, devices: Devices = None):
        self.runs = runs
        self._devices = chosen(devices)
        model = nnx.eval_shape(lambda: task.make_model(nnx.Rngs(0), hparams))
        together, chunks = chunked(runs, len(self._devices), width(parameter_count(model), task.batch))
        keys = jax.random.split(jax.random.key(0), chunks * together).reshape(chunks, together)
        self._chunks = [
            Ours(task, data, [device], keys=some, hparams=hparams)
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
