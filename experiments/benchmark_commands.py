"""The benchmark's rows that are whole processes: `mnist_gru` from start to end or to its first step, and imports.

Start-up and compilation are included. Not a command itself: see `benchmark`.
"""

import inspect
import itertools
import os
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np

from experiments import floor, mnist_gru, peers
from experiments.benchmark_steps import MNIST, network_of
from experiments.contest import Group
from experiments.measuring import Measured, Outcome, Way
from jaxrnn import command, study
from jaxrnn.data import Dataset, mnist
from jaxrnn.errors import UserError

EPOCHS = 10

START = Group(f"From the start of the process: mnist_gru, {EPOCHS} epochs, run once; first batch; imports", "s")


class Place(NamedTuple):
    """Where commands are run."""

    folder: Path
    """Of which ``data`` holds the data set."""
    batch: int
    devices: int | None

    @property
    def arguments(self) -> list[str]:
        """Those of `mnist_gru`."""
        options: list[Any] = ["--epochs", EPOCHS, "--batch", self.batch]
        options += ["--data-dir", self.folder / "data", "--out", self.folder / "run"]
        return list(map(str, options + ([] if self.devices is None else ["--devices", self.devices])))

    def ours(self, *words: str, cache: str) -> list[float]:
        """The seconds that our command takes; compiled programs are kept in a folder of this name."""
        # those worth it as the commands judge
        kept = {"JAX_COMPILATION_CACHE_DIR": str(self.folder / cache)}
        return [seconds_of("mnist_gru", words, **kept, JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS="0.2")]

    def torch(self, only_first_step: bool) -> dict[str, list[float]]:
        """The seconds that PyTorch's program takes, where it is installed."""
        if not peers.installed("torch"):
            return {}
        # handed over as text: in this module it would wait for our imports
        program = (
            f"{inspect.getsource(torch_mnist)}\ntorch_mnist({str(self.folder / 'data')!r}, {EPOCHS}, {self.batch}, "
        )
        return {"torch": [seconds_of("PyTorch's program", ["-c", f"{program}{only_first_step})"])]}


@dataclass(frozen=True, kw_only=True)
class Command:
    """A row of whole commands on one data set, ours and PyTorch's from the same files."""

    run: Callable[[Place], Mapping[str, Mapping[str, list[float]]]]
    """What was measured, by what stands behind the row's name, and the seconds by library."""

    group = START
    config: Mapping[str, Any] | None = None
    sizes = drawn = ""
    needs_data = True

    def measure(self, name: str, way: Way) -> Outcome:
        assert way.dataset is not None
        network = network_of("gru", MNIST._replace(features=way.dataset.x_train.shape[-1], classes=way.dataset.classes))
        with TemporaryDirectory() as folder:
            write_idx(Path(folder) / "data", way.dataset)
            found = self.run(Place(Path(folder), 32 if way.quick else 128, way.devices))
        parameters = floor.parameters(network)
        return Outcome([Measured(name + behind, "s", times, parameters) for behind, times in found.items()])


def whole(place: Place) -> dict[str, dict[str, list[float]]]:
    """All epochs, from the start of the process to its end."""
    ours = place.ours("-m", "experiments.mnist_gru", *place.arguments, cache="a")
    return {"": {"ours": ours, **place.torch(only_first_step=False)}}


def first_batch(place: Place) -> dict[str, dict[str, list[float]]]:
    """Up to the first training step, with nothing compiled before and once more."""
    until = f"from experiments.benchmark_commands import first_step; first_step({place.arguments!r})"
    cold, warm = (place.ours("-c", until, cache="b") for _ in range(2))
    torch = place.torch(only_first_step=True)
    return {"_cold": {"ours": cold, **torch}, "_warm": {"ours": warm, **torch}}


IMPORTS = {
    "ours": "import jaxrnn",
    "torch": "import torch",
    "flax": "from flax import nnx",
    "keras": "import os; os.environ['KERAS_BACKEND'] = 'jax'; import keras",
}
"""What each library's programs begin with."""


@dataclass(frozen=True, kw_only=True)
class Startup:
    """Fresh processes that import a library and end, and one that says what `mnist_gru` can be told."""

    group = START
    config: Mapping[str, Any] | None = None
    sizes = drawn = ""
    needs_data = False

    def measure(self, name: str, way: Way) -> Outcome:
        here = {library: ["-c", text] for library, text in IMPORTS.items() if peers.installed(library)}
        asked = {"ours": ["-m", "experiments.mnist_gru", "--help"]}
        # the first time the files are read from the disk, which is not counted
        rounds = range(1) if way.quick else range(-1, min(way.rounds, 5))
        found = []
        for row, words in ((name, here), (f"{name}_help", asked)):
            times: dict[str, list[float]] = {library: [] for library in words}
            for number in rounds:
                for library, some in words.items():
                    seconds = seconds_of(" ".join(some), some)
                    times[library] += [seconds] if number >= 0 else []
            found.append(Measured(row, "s", times, 0))
        return Outcome(found)


COMMANDS = {"command": Command(run=whole), "first_batch": Command(run=first_batch)}
"""The rows that run commands, which need a data set."""

STARTUP = {"startup": Startup()}


def seconds_of(what: str, words: Sequence[str], **environment: str) -> float:
    """How long ``python <words>`` takes. Raises UserError where it ends with anything but 0."""
    clock = time.perf_counter()
    ended = subprocess.run([sys.executable, *words], env=os.environ | environment, capture_output=True, text=True)
    seconds = time.perf_counter() - clock
    if ended.returncode:
        said = ended.stderr.strip().rpartition("\n")[2] or "it said nothing"
        raise UserError(f"{what} ended with {ended.returncode} ({said}): run it by itself, or leave its row out")
    return seconds


def write_idx(folder: Path, dataset: Dataset) -> None:
    """The data set as MNIST's four files, unpacked, so that every program reads the same bytes, with no library."""
    folder.mkdir()
    arrays = (dataset.x_train, dataset.y_train, dataset.x_test, dataset.y_test)
    for name, array in zip(mnist.FILES, arrays, strict=True):
        header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
        (folder / name).write_bytes(header + array.astype(np.uint8).tobytes())


def first_step(arguments: Sequence[str]) -> None:
    """The command `mnist_gru` as it is typed, in a process that ends with the first training step."""
    asked = itertools.count()

    @contextmanager
    def until_asked_again():
        def stop() -> bool:
            if next(asked) == 1:  # `fit` asks before the first segment, which is one step, and after it
                os._exit(0)
            return False

        yield stop

    study.stop_requests = until_asked_again
    sys.exit(command.command("mnist_gru", mnist_gru.Settings, mnist_gru.main, arguments) or 1)


def torch_mnist(folder, epochs, batch, only_first_step=False):
    """MNIST by a GRU as a student of PyTorch would write it. Stands alone: it runs from its source text."""
    import os

    import numpy as np
    import torch
    from torch import nn

    def read(split):
        labels = np.fromfile(f"{folder}/{split}-labels-idx1-ubyte", np.uint8)[8:]
        pixels = np.fromfile(f"{folder}/{split}-images-idx3-ubyte", np.uint8)
        rows, columns = pixels[8:16].view(">i4")
        images = pixels[16:].reshape(len(labels), rows, columns)
        return torch.from_numpy(images).float() / 255, torch.from_numpy(labels).long()

    class Classifier(nn.Module):
        def __init__(self, columns):
            super().__init__()
            self.rnn = nn.GRU(columns, 150, batch_first=True)
            self.head = nn.Linear(150, 10)

        def forward(self, x):
            ys, _ = self.rnn(x)
            return self.head(ys[:, -1])

    x_train, y_train = read("train")
    x_test, y_test = read("t10k")
    model = Classifier(x_train.shape[-1])
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    for epoch in range(epochs):
        for rows in torch.randperm(len(x_train)).split(batch):
            optimiser.zero_grad()
            loss = nn.functional.cross_entropy(model(x_train[rows]), y_train[rows])
            loss.backward()
            optimiser.step()
            if only_first_step:
                os._exit(0)
        with torch.no_grad():
            found = torch.cat([model(x).argmax(-1) for x in x_test.split(512)])
        accuracy = (found == y_test).float().mean().item()
        print(f"epoch {epoch + 1}: loss {loss.item():.4f}, test accuracy {accuracy:.4f}")
