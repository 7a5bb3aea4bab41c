"""A row of the benchmark in which libraries take turns at the same work: what it is, and how it is measured.

A `Contest` is data: it names the network, and how each library's trainer is made when it is wanted, so that a process
of its own can make one library's alone. Not a command itself.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from experiments import alone, floor, measuring, peer_flax, peer_keras, peer_torch, peers
from experiments.floor import Work
from experiments.measuring import Measured, Outcome, Way
from experiments.peers import Batches, Network, Peer, Trainer
from jaxrnn.train import Devices, Task


class Group(NamedTuple):
    """Rows that share a table."""

    title: str
    unit: str = "ms"
    """Of the times."""
    a_second: float | None = None
    """How many of the unit a second has, where the table says how many characters or reviews it sees."""


class Mine(Protocol):
    """A trainer of ours."""

    def __call__(self, steps: int, /) -> float: ...

    @property
    def models(self) -> list[Any]:
        """Every run's model as it stands."""


@dataclass(frozen=True, kw_only=True)
class Contest:
    """What ours and its peers do in turns; a step of it is a training step where not said otherwise."""

    group: Group
    sizes: str
    """What is trained, in words."""
    drawn: str
    """What it is trained on, in words."""
    network: Network
    config: Mapping[str, Any]
    """The other sizes, for ``config.json``."""
    steps: int | Mapping[str, int]
    """Of a turn."""
    rounds: int | None = None
    """How many there are at most, of rows that take long."""
    each: float = 1
    """Of how many runs, reviews or characters a step is: its time is told for one of them."""
    work: Callable[[], Work] | None = None
    """Of a step, counted when it is asked for, where that says something of its time: of tiny products the machine's
    highest speed says nothing."""
    runs: int = 1
    task: Task | None = None
    """What ours trains, where that is one."""
    data: Callable[[], Any]
    """What ours trains on."""
    ours: Callable[[Any, Devices], Mine]
    """Our trainer of such data."""
    batches: Callable[[], Batches]
    """The same for the peers."""
    peers: Mapping[str, Peer]
    """By library."""
    costs: Callable[[str, Way, Mapping[str, Sequence[float]]], list[dict[str, Any]]] | None = None
    """What else is measured, of what was found by library: lines of ``sweeps.csv``."""

    needs_data = False

    @property
    def here(self) -> dict[str, Peer]:
        """The peers that are installed."""
        return {library: peer for library, peer in self.peers.items() if peers.installed(library)}

    def turn(self, library: str) -> int:
        """How many steps make a turn of it."""
        return self.steps if isinstance(self.steps, int) else self.steps[library]

    @contextmanager
    def contestants(self, devices: Devices = None, libraries: Sequence[str] | None = None) -> Iterator["Contestants"]:
        """Those that take turns, all ready: ``ours``, and the peers that are installed, or those of ``libraries``.

        All begin at our weights, as far as they have them.
        """
        mine = self.ours(self.data(), devices)
        models = mine.models
        trainers: dict[str, Trainer] = {"ours": mine}
        with ExitStack() as stack:
            if here := {name: peer for name, peer in self.here.items() if libraries is None or name in libraries}:
                begin, batches = [peers.weights(model) for model in models], self.batches()
                for library, peer in here.items():
                    trainers[library] = stack.enter_context(peer(self.network, begin, batches))
            yield Contestants(models, trainers)

    @contextmanager
    def one(self, library: str, given: Any, devices: Devices = None) -> Iterator[Trainer]:
        """One of them, and nothing else: of data or batches that are ``given``. A peer's weights are drawn."""
        if library == "ours":
            yield self.ours(given, devices)
        else:
            with self.peers[library](self.network, peers.drawn(self.network, self.runs), given) as trainer:
                yield trainer

    def raced(self, rounds: int, devices: Devices = None, libraries: Sequence[str] | None = None) -> "Raced":
        """Turns of all, or of these."""
        began = time.perf_counter()
        with self.contestants(devices, libraries) as (_, trainers):
            for library, train in trainers.items():
                train(min(2, self.turn(library)))  # the second time, arguments come from the first
            warming = time.perf_counter() - began
            turns = {library: self.turn(library) for library in trainers}
            times = measuring.race(trainers, turns, min(rounds, self.rounds or rounds))
        return Raced({library: [ms / self.each for ms in took] for library, took in times.items()}, warming)

    def measure(self, name: str, way: Way) -> Outcome:
        """The row: turns in one process, then each library in one of its own."""
        times, warming = self.raced(way.rounds, way.devices)
        own = {library: alone.ask(name, library, way) for library in times} if way.alone else {}
        work = None if self.work is None else self.work().shared(self.each)
        measured = Measured(name, self.group.unit, times, floor.parameters(self.network), work, own)
        costs = {} if self.costs is None else {"sweeps": self.costs(name, way, times)}
        return Outcome([measured], warming, tables=costs)


class Contestants(NamedTuple):
    """Who takes turns."""

    models: list[Any]
    """Ours, as they were in the beginning."""
    trainers: dict[str, Trainer]
    """By library."""


class Raced(NamedTuple):
    """What turns came to."""

    times: dict[str, list[float]]
    """By library, one number a round."""
    warming: float
    """The seconds until all were ready."""


def knowing(cell: str) -> dict[str, Peer]:
    """The peers that have a cell of ours, for one network."""
    known: dict[str, tuple[Mapping[str, Any], Peer]] = {
        "torch": (peer_torch.TORCH, peer_torch.trainer),
        "flax": (peer_flax.FLAX, peer_flax.trainer),
        "keras": (peer_keras.KERAS, peer_keras.trainer),
    }
    return {library: peer for library, (cells, peer) in known.items() if cell in cells}
