"""How long a training step takes, next to PyTorch, to Flax's own layers and to the machine's floor; and the command.

python -m experiments.benchmark [--rows gru lstm sweep_lstm command] [--repeats 21] [--data-dir FOLDER]

A row for every registered cell is a whole training step (forward, backward, Adam) of the MNIST model: 28 rows of 28
pixels -> 150 -> 10, batch 128. The libraries take turns in one process, so that what disturbs the machine disturbs them
all, and every ratio is of two turns of the same round. The floor is the time of the step's matrix products alone, at
the highest speed that this machine reaches with a large one. PyTorch comes with the extra ``bench``; a cell or a
library that is not there leaves its place empty. The rows that are sweeps, many runs at once, come from
`benchmark_sweeps`, those of language models from `benchmark_text`, and that of reviews from `benchmark_reviews`.
"""

import inspect
import itertools
import math
import os
import struct
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Self

import jax
import jax.numpy as jnp
import numpy as np
import optax
import tyro
from flax import nnx
from rich.console import Console
from rich.table import Table

from experiments import benchmark_reviews, benchmark_sweeps, benchmark_text, measuring, mnist_gru
from experiments.benchmark_reviews import QUICK_REVIEWS, REVIEWS, ReviewScale
from experiments.benchmark_sweeps import QUICK_SWEEPS, SWEEPS, Sweep
from experiments.benchmark_text import QUICK_TEXTS, TEXTS, Scale
from experiments.measuring import TORCH, Measured, Ours, Outcome, Shape, Trainer
from experiments.peers import FLAX, FlaxClassifier
from jaxrnn import command, plots, runfolder, study
from jaxrnn.cells import CELLS
from jaxrnn.data import Dataset, mnist
from jaxrnn.errors import SettingsError, UserError
from jaxrnn.models import Classifier, parameter_count
from jaxrnn.plots.scaling import cost_per_run
from jaxrnn.train import Hparams, Task, chosen, cross_entropy, spread
from jaxrnn.typing import Bias

COMMANDS = ("command", "first_batch")
"""The rows that are whole processes, start-up and compilation included."""

ROWS = (*CELLS, *SWEEPS, *TEXTS, *REVIEWS, *COMMANDS)

RowName = Annotated[str, tyro.conf.arg(constructor=tyro.extras.literal_type_from_choices(ROWS))]


@dataclass(frozen=True, kw_only=True)
class Settings(command.Settings):
    """Measure training steps, sweeps and whole commands against PyTorch, Flax's own layers and the machine's floor.

    Prints a table, and leaves config.json, result.json (every round's number), benchmark.csv and benchmark.png in the
    run folder, and of sweeps sweeps.csv and sweeps.png. Leave the machine alone meanwhile.
    """

    rows: tuple[RowName, ...] = ()
    """What to measure: training steps by the cell's name; sweep_elman and sweep_lstm, many runs that learn palindromes,
    and sweep_tiny, many tiny networks, a step of one of them; generate and generate_64, characters written by a
    two-layer LSTM, one text or 64 side by side; char_lm, a training step of that command's network; imdb_gru, a film
    review that imdb_gru --mask trains on; command, 10 epochs of mnist_gru from start to end; first_batch, the same
    command up to its first training step. All where not given (under --quick, no commands)."""
    repeats: int = 11
    """Rounds, in each of which every library has one turn."""
    devices: int | None = None
    """How many devices our steps use at most: accelerators, or CPU cores. All where not given."""
    data_dir: Path | None = None
    """Folder with MNIST's files, for the commands. Where not given: $JAXRNN_DATA, then tensorflow-datasets, then
    embedded data."""

    @classmethod
    def quick_defaults(cls) -> Self:
        return cls(quick=True, repeats=3)

    def settled(self) -> Self:
        every = (*CELLS, *SWEEPS, *TEXTS, *REVIEWS) if self.quick else ROWS
        return replace(self, rows=tuple(dict.fromkeys(self.rows)) or every)


MNIST = Shape(batch=128, time=28, features=28, hidden=150, classes=10, examples=60_000, steps=100)
SMALL = Shape(batch=64, time=8, features=8, hidden=16, classes=10, examples=1_437, steps=20)

EPOCHS = 10

COST = {"ms": "ms a step", "us": "\N{MICRO SIGN}s a character", "ms_review": "ms a review"}
"""What is measured, but for the commands, by its unit."""

IN_A_SECOND = {"us": 1e6, "ms_review": 1e3}
"""How many of a unit a second has, of those whose tables say how many characters or reviews it sees."""


def main(name: str, settings: Settings) -> dict[str, Any]:
    """Measure, and leave a run folder; returns what its ``result.json`` says."""
    began = time.perf_counter()
    if settings.repeats < 1:
        raise SettingsError(f"--repeats must be at least 1, not {settings.repeats}")
    settings = settings.settled()
    rows = settings.rows
    shape = SMALL if settings.quick else MNIST
    sweeps = {row: sweep for row, sweep in (QUICK_SWEEPS if settings.quick else SWEEPS).items() if row in rows}
    scales = {row: scale for row, scale in (QUICK_TEXTS if settings.quick else TEXTS).items() if row in rows}
    reviews = {row: scale for row, scale in (QUICK_REVIEWS if settings.quick else REVIEWS).items() if row in rows}
    try:
        devices = list(spread(1, shape.batch, settings.devices).devices.flat)
    except ValueError as error:
        raise SettingsError(f"--devices: {error}") from error
    dataset = None
    if not set(COMMANDS).isdisjoint(rows):
        small = settings.quick and settings.data_dir is None
        dataset = mnist.load_digits("--quick needs no download") if small else mnist.load(settings.data_dir)

    console = Console()
    console.width = max(console.width, 124)  # the table is read in files too, where rich assumes 80 columns
    out = settings.out or Path("runs") / name
    if (aside := runfolder.set_aside(out)) is not None:
        console.print(f"The earlier run in {out} is now in {aside}.")
    out = runfolder.open_folder(out)
    config = command.config(settings)
    config |= shape._asdict() | {
        "torch": metadata.version("torch") if measuring.installed("torch") else None,
    }
    config |= {row: {"runs": sweep.runs, **sweep.shape._asdict()} for row, sweep in sweeps.items()}
    config |= {row: scale._asdict() for row, scale in scales.items()}
    config |= {row: scale._asdict() for row, scale in reviews.items()}
    runfolder.write_json(out / "config.json", config)

    measured: list[Measured] = []
    speeds: list[float] = []
    costs: list[dict[str, Any]] = []
    warming = 0.0
    for row in [row for row in rows if row not in COMMANDS]:
        with console.status(f"{row}: {settings.repeats} rounds"):
            speeds += [
                measuring.product_speed(512 if settings.quick else 2048, devices) for _ in range(settings.repeats)
            ]
            if row in sweeps:
                outcome = benchmark_sweeps.measure(row, sweeps[row], settings.repeats, settings.devices)
            elif row in scales:
                outcome = benchmark_text.measure(row, scales[row], settings.repeats, settings.devices)
            elif row in reviews:
                outcome = benchmark_reviews.measure(row, reviews[row], settings.repeats, settings.devices)
            else:
                outcome = measure(row, shape, settings.repeats, settings.devices)
        measured.append(outcome.measured)
        costs += outcome.costs
        warming += outcome.warming
        console.print(f"{row}: {_cell(outcome.measured.times['ours'])} {COST[outcome.measured.unit]}")
    if dataset is not None:
        measured += commands(rows, settings, dataset, console)

    speed = max(speeds, default=math.nan)
    lines = [line for result in measured for line in result.lines(speed)]
    runfolder.write_csv(out / "benchmark.csv", lines)
    if alone := [line for line in lines if line["row"] not in sweeps]:  # a sweep's step would be lost beside theirs
        figure = plots.timings(alone, "Time on " + runfolder.describe_devices(devices))
        runfolder.save_figure(figure, out / "benchmark.png")
    if sweeps:
        devices = [*chosen(settings.devices)]  # runs spread further than a batch
        runfolder.write_csv(out / "sweeps.csv", costs)
        title = "What a run costs when many are trained at once, on " + runfolder.describe_devices(devices)
        runfolder.save_figure(cost_per_run(costs, title), out / "sweeps.png")
    total = time.perf_counter() - began
    steps = None if set(CELLS).isdisjoint(rows) else shape
    result = runfolder.write_result(
        out,
        experiment=name,
        command=command.command_line(name),
        finished=True,
        dataset=_facts(steps, bool(sweeps), bool(scales), bool(reviews), dataset),
        config=config,
        parameters=sum(result.parameters for result in measured),  # of every row's model; each has a metric too
        metrics={key: value for result in measured for key, value in result.metrics(speed).items()}
        | ({"product_gflops": speeds} if speeds else {}),
        answers={},
        seconds={"total": total, "compile": warming, "train": total - warming},
        devices=devices,
    )
    _conclude(console, measured, speed, shape, sweeps, scales, reviews, settings, out)
    return result


# What is timed: a step of each library. All begin at our weights, as far as they have them.


def measure(cell: str, shape: Shape, rounds: int, devices: int | None = None) -> Outcome:
    """A training step of a registered cell."""
    began = time.perf_counter()
    parameters, trainers = contestants(cell, shape, devices)
    for train in trainers.values():
        train(shape.steps)
    warming = time.perf_counter() - began
    times = measuring.race(trainers, shape.steps, rounds)
    return Outcome(Measured(cell, "ms", times, parameters, measuring.flops(cell, shape)), warming)


def contestants(cell: str, shape: Shape, devices: int | None = None) -> tuple[int, dict[str, Trainer]]:
    """The number of our model's parameters, and what trains by library: ``ours``, and the peers that know the cell."""
    draw = np.random.default_rng(0)
    images = draw.integers(0, 256, (shape.examples, shape.time, shape.features), np.uint8)
    labels = draw.integers(0, shape.classes, shape.examples, np.int32)
    # the peers get their batches cut and converted beforehand: ours pays for both in its step, as in `fit`
    cuts = [slice(first * shape.batch, (first + 1) * shape.batch) for first in range(shape.steps)]
    batches = [(images[cut].astype(np.float32) / 255, labels[cut]) for cut in cuts]
    ours = Ours(mnist_task(cell, shape), (images, labels), devices)
    (model,) = ours.models
    makers = {"torch": torch_trainer, "flax": flax_trainer}
    peers = {library: trainer for library, make in makers.items() if (trainer := make(cell, model, batches))}
    return parameter_count(model), {"ours": ours, **peers}


def mnist_task(cell: str, shape: Shape, bias: Bias = "torch") -> Task:
    """What `experiments.mnist` trains with its default settings, for any registered cell and of any size."""

    def objective(model, images, labels, hparams, key):
        return cross_entropy(model, mnist.to_unit(images), labels, hparams, key)

    return Task(
        measuring.maker(cell, shape, bias), objective, lambda hparams: optax.adam(hparams.learning_rate), shape.batch
    )


def torch_trainer(cell: str, model: Classifier, batches: Sequence[tuple[np.ndarray, np.ndarray]]) -> Trainer | None:
    """PyTorch as its tutorials have it: an eager loop over tensors; None where it, or the cell in it, is missing."""
    if cell not in TORCH or not measuring.installed("torch"):
        return None
    import torch
    from torch import nn

    device = "cuda" if jax.default_backend() == "gpu" and torch.cuda.is_available() else "cpu"
    network = measuring.torch_network(cell, measuring.torch_weights(model)).to(device)
    rnn, head = network["rnn"], network["head"]
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
    tensors = [(torch.from_numpy(x).to(device), torch.from_numpy(y).long().to(device)) for x, y in batches]
    turns = itertools.cycle(tensors)

    def train(steps: int) -> float:
        for x, y in itertools.islice(turns, steps):
            optimiser.zero_grad()
            ys, _ = rnn(x)
            loss = nn.functional.cross_entropy(head(ys[:, -1]), y)
            loss.backward()
            optimiser.step()
        if device == "cuda":
            torch.cuda.synchronize()
        return loss.item()

    return train


def flax_trainer(cell: str, model: Classifier, batches: Sequence[tuple[np.ndarray, np.ndarray]]) -> Trainer | None:
    """Flax at its best: `nnx.RNN` as a stateless pytree in a plain `jax.jit`, old weights donated; None for a cell
    that it lacks.

    It has one bias for a gate where PyTorch, and we, have two: it begins at their sum.
    """
    if cell not in FLAX:
        return None
    ours: Any = model.layers.layers[0]
    w_x, w_h, b_x, b_h = ours.cell.w_x, ours.cell.w_h, ours.cell.b_x, ours.cell.b_h

    def make():
        rnn = FLAX[cell](ours.in_features, ours.features, rngs=nnx.Rngs(0))
        return FlaxClassifier(rnn, ours.features, model.head.out_features, nnx.Rngs(0))

    peer = nnx.eval_shape(make)  # shapes alone: every weight is set here
    dense_i, dense_h = peer.rnn.cell.dense_i, peer.rnn.cell.dense_h
    with_bias = dense_i if dense_h.bias is None else dense_h
    dense_i.kernel, dense_h.kernel = _copy(w_x), _copy(w_h)
    with_bias.bias = _copy(b_x if b_h is None else b_x + b_h)
    peer.head.kernel, peer.head.bias = _copy(model.head.kernel), _copy(model.head.bias)
    graph, variables = nnx.split(peer)
    leaves, structure = jax.tree.flatten(variables)
    optimiser = optax.adam(1e-3)

    @partial(jax.jit, donate_argnums=(0, 1))
    def step(leaves, state, x, y):
        def loss(leaves):
            logits = nnx.merge(graph, jax.tree.unflatten(structure, leaves))(x)
            return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()

        value, grads = jax.value_and_grad(loss)(leaves)
        updates, state = optimiser.update(grads, state, leaves)
        return optax.apply_updates(leaves, updates), state, value

    state = optimiser.init(leaves)
    turns = itertools.cycle(jax.device_put(list(batches)))

    def train(steps: int) -> float:
        nonlocal leaves, state
        for x, y in itertools.islice(turns, steps):
            leaves, state, value = step(leaves, state, x, y)
        jax.block_until_ready((leaves, state))
        return float(value)

    return train


def _copy(param: Any) -> nnx.Param:
    """A parameter with memory of its own: what is donated is gone."""
    return nnx.Param(jnp.array(param[...]))


# Whole commands: processes of their own, timed from their start to their end.


def commands(rows: Sequence[str], settings: Settings, dataset: Dataset, console: Console) -> list[Measured]:
    """The rows of `COMMANDS` that are asked for, on one data set, ours and PyTorch's from the same files."""
    batch = 32 if settings.quick else 128
    task = mnist_task("gru", MNIST._replace(features=dataset.x_train.shape[-1], classes=dataset.classes))
    parameters = parameter_count(nnx.eval_shape(lambda: task.make_model(nnx.Rngs(0), Hparams())))
    results = []
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_idx(folder / "data", dataset)
        options = ["--epochs", EPOCHS, "--batch", batch, "--data-dir", folder / "data", "--out", folder / "run"]
        options += [] if settings.devices is None else ["--devices", settings.devices]
        arguments = list(map(str, options))
        until_first_step = f"from experiments.benchmark import first_step; first_step({arguments!r})"
        # PyTorch's program is handed over as text: in this module it would wait for our imports
        student = f"{inspect.getsource(torch_mnist)}\ntorch_mnist({str(folder / 'data')!r}, {EPOCHS}, {batch}, "

        def ours(*words: str, cache: str) -> float:
            with console.status(f"mnist_gru on {dataset.name}, compiled programs in the cache folder {cache!r}"):
                return seconds_of("mnist_gru", words, **_cache_in(folder / cache))

        def torch(only_first_step: bool) -> dict[str, list[float]]:
            if not measuring.installed("torch"):
                return {}
            with console.status(f"PyTorch on {dataset.name}"):
                return {"torch": [seconds_of("PyTorch's program", ["-c", f"{student}{only_first_step})"])]}

        if "command" in rows:
            whole = {"ours": [ours("-m", "experiments.mnist_gru", *arguments, cache="a")], **torch(False)}
            results.append(Measured("command", "s", whole, parameters))
            console.print(f"command: {_cell(whole['ours'])} s")
        if "first_batch" in rows:
            cold, warm = ([ours("-c", until_first_step, cache="b")] for _ in range(2))
            peer = torch(True)
            results.append(Measured("first_batch_cold", "s", {"ours": cold, **peer}, parameters))
            results.append(Measured("first_batch_warm", "s", {"ours": warm, **peer}, parameters))
            console.print(f"first_batch: {_cell(cold)} s, and {_cell(warm)} s the second time")
    return results


def _cache_in(folder: Path) -> dict[str, str]:
    """The environment in which compiled programs are kept in ``folder``, and those worth it as the commands judge."""
    return {"JAX_COMPILATION_CACHE_DIR": str(folder), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.2"}


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


# What is left behind.


def _facts(
    shape: Shape | None, sweeps: bool, texts: bool, reviews: bool, dataset: Dataset | None
) -> runfolder.DatasetFacts:
    """What was really computed on: of steps random bytes, of sweeps what they draw, of language models random
    characters, of reviews random words, of commands a data set."""
    named = {
        **{"random bytes": shape, "palindromes and random numbers": sweeps},
        **{"random characters": texts, "random words": reviews},
    }
    drawn = [name for name, there in named.items() if there]
    if not drawn:
        assert dataset is not None
        return _facts_of(dataset)
    source = "drawn here"
    if dataset is not None:
        source += f"; for the commands {dataset.name}: {dataset.source}"
    return {"name": ", ".join(drawn), "source": source, "train": shape.examples if shape else 0, "test": 0}


def _facts_of(dataset: Dataset) -> runfolder.DatasetFacts:
    sizes = len(dataset.x_train), len(dataset.x_test)
    return {"name": dataset.name, "source": dataset.source, "train": sizes[0], "test": sizes[1]}


def _conclude(
    console: Console,
    measured: Sequence[Measured],
    speed: float,
    shape: Shape,
    sweeps: Mapping[str, Sweep],
    scales: Mapping[str, Scale],
    reviews: Mapping[str, ReviewScale],
    settings: Settings,
    out: Path,
) -> None:
    """Print the tables: of the steps, of the sweeps, of the language models, of the reviews, and of the commands."""
    rounds = f"median (interquartile range) of {settings.repeats} rounds"
    networks = "".join(f"\n{row}: {sweep.runs} runs, {sweep.shape.sizes}" for row, sweep in sweeps.items())
    of_text = "".join(f"\n{row}: {scale.sizes}, batch {scale.batch}" for row, scale in scales.items())
    of_reviews = "".join(f"\n{row}: {scale.sizes}, batch {scale.batch}" for row, scale in reviews.items())
    tables = {
        f"A training step, {shape.sizes}: {rounds}": (CELLS, "ms", ["ours", "torch", "flax"]),
        f"A training step of one of many runs at once: {rounds}{networks}": (sweeps, "ms", ["ours", "torch"]),
        f"A training step of a language model: {rounds}{of_text}": (scales, "ms", ["ours", "torch"]),
        f"Characters written a second, all texts together: {rounds}{of_text}": (scales, "us", ["ours", "torch"]),
        f"Reviews trained on a second: {rounds}{of_reviews}": (reviews, "ms_review", ["ours", "torch", "torch_packed"]),
        f"From the start of the process: mnist_gru, {EPOCHS} epochs, run once": (None, "s", ["ours", "torch"]),
    }
    for title, (names, unit, libraries) in tables.items():
        rows = [result for result in measured if result.unit == unit and (names is None or result.row in names)]
        if not rows:
            continue
        peers = libraries[1:]
        table = Table(title=title, title_justify="left")
        table.add_column("row", no_wrap=True)
        a_second = IN_A_SECOND.get(unit)
        said = unit if a_second is None else "per s"
        columns = [f"{plots.LIBRARIES[library].name}\n{said}" for library in libraries]
        columns += [f"{plots.LIBRARIES[library].name}\n/ ours" for library in peers]
        for column in ["parameters", *columns, *(["floor\nms", "ours\n/ floor"] if unit == "ms" else [])]:
            table.add_column(column, justify="right", no_wrap=True)
        for result in rows:
            shown = {
                library: times if a_second is None else a_second / np.array(times)
                for library, times in result.times.items()
            }
            cells = [_cell(shown.get(library)) for library in libraries]
            cells += [_cell(result.ratio(library) if library in result.times else None) for library in peers]
            if unit == "ms":
                floor = result.floor(speed)
                counted = math.isfinite(floor)
                cells += [_cell([floor]), _cell([np.median(result.times["ours"]) / floor])] if counted else ["", ""]
            table.add_row(result.row, f"{result.parameters:,}", *cells)
        console.print(table)
    if math.isfinite(speed):
        console.print(f"The floor is the step's matrix products at {speed:.0f} GFLOP/s, the best of this run.")
    console.print(f"result.json, benchmark.csv and the figures are in {out}")


def _cell(values: Any) -> str:
    """The median to three digits and, of several, the interquartile range to as many decimals; nothing for None."""
    if values is None:
        return ""
    low, middle, high = np.percentile(values, (25, 50, 75))
    decimals = max(0, 2 - math.floor(math.log10(middle)))
    return f"{middle:.{decimals}f}" + (f" ({high - low:.{decimals}f})" if len(values) > 1 else "")


if __name__ == "__main__":
    sys.exit(command.command("benchmark", Settings, main))
