"""The benchmark's language models: characters written, and a training step of `char_lm`, ours and PyTorch's.

Both libraries write with the state carried from character to character, and draw each at a temperature. PyTorch writes
as a student would have it, a loop over `nn.LSTM` under ``torch.inference_mode``, and trains by an eager loop over
one-hot batches; ours goes on in compiled pieces, as the command streams them. Not a command itself: see `benchmark`.
"""

import itertools
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from experiments import measuring, texts
from experiments.measuring import Measured, Ours, Outcome, Trainer
from experiments.texts import TextSettings
from jaxrnn import language
from jaxrnn.data.text import Vocabulary
from jaxrnn.generate import Temperature, generate
from jaxrnn.models import LanguageModel, parameter_count
from jaxrnn.study import hparams_of
from jaxrnn.train import Devices, Task, spread


class Scale(NamedTuple):
    """The sizes of a language model, of what it reads or writes, and how many steps make a turn."""

    kind: str
    """``writing``, or ``training``."""
    batch: int
    """Texts that are written side by side, or sequences in a training step."""
    steps: int
    """Characters of each text, or training steps."""
    vocabulary: int = 87
    hidden: int = 128
    layers: int = 2
    time: int = 30
    """Characters in a sequence."""
    temperature: float = 0.8

    @property
    def sizes(self) -> str:
        """The model's, in words."""
        return " -> ".join(map(str, (self.vocabulary, *[self.hidden] * self.layers, self.vocabulary)))


TEXTS: dict[str, Scale] = {
    "generate": Scale("writing", batch=1, steps=500),
    "generate_64": Scale("writing", batch=64, steps=300),
    "char_lm": Scale("training", batch=64, steps=20),
}
"""The rows of the benchmark that are language models."""

QUICK_TEXTS: dict[str, Scale] = {
    row: scale._replace(steps=10, batch=min(scale.batch, 8), hidden=16) for row, scale in TEXTS.items()
}


def measure(row: str, scale: Scale, rounds: int, devices: Devices = None) -> Outcome:
    """A row: microseconds of a character written, or milliseconds of a training step."""
    began = time.perf_counter()
    writing = scale.kind == "writing"
    parameters, trainers = (writers if writing else learners)(scale, devices)
    for turn in trainers.values():
        turn(2)
        turn(scale.steps)
    warming = time.perf_counter() - began
    times = measuring.race(trainers, scale.steps, rounds)
    if not writing:
        return Outcome(Measured(row, "ms", times, parameters, flops(scale)), warming)
    costs = {library: [1e3 * turn / scale.batch for turn in turns] for library, turns in times.items()}
    return Outcome(Measured(row, "us", costs, parameters), warming)


def flops(scale: Scale) -> float:
    """The floating-point operations of the matrix products of a training step, counted as `measuring.flops` does.

    The lowest layer's inputs are ids, and their weights looked up: a product that can be done without.
    """
    recurrent = 4 * scale.hidden**2 * (2 * scale.layers - 1)
    return 3 * 2.0 * scale.batch * scale.time * (recurrent + scale.hidden * scale.vocabulary)


# Who writes. Both begin at our weights, and a call goes on where the last one ended.


def writers(scale: Scale, devices: Devices = None) -> tuple[int, dict[str, Trainer]]:
    """The number of parameters, and what writes so many characters of every text by library."""
    made = model(scale)
    both = {"ours": writer(made, scale, devices)}
    if measuring.installed("torch"):
        both["torch"] = torch_writer(made, scale)

    def turn(write: Callable[[int], np.ndarray]) -> Trainer:
        return lambda steps: float(write(steps).mean())

    return parameter_count(made), {library: turn(write) for library, write in both.items()}


def model(scale: Scale) -> LanguageModel:
    """What `char_lm` trains, of any size."""
    return jax.jit(lambda: task(scale).make_model(nnx.Rngs(0), hparams_of(settings(scale))))()


def settings(scale: Scale) -> TextSettings:
    return TextSettings(batch=scale.batch, hidden=scale.hidden, layers=scale.layers, length=scale.time)


def task(scale: Scale) -> Task:
    return texts.task(settings(scale), Vocabulary("".join(map(chr, range(32, 31 + scale.vocabulary)))))


def writer(model: LanguageModel, scale: Scale, devices: Devices = None) -> Callable[[int], np.ndarray]:
    """Ours, in one compiled piece a call, the texts spread over the devices: ids ``(batch, steps)``, on the host."""
    mesh = Mesh(spread(1, scale.batch, devices).devices.ravel(), ("text",), axis_types=(AxisType.Auto,))
    by_text = NamedSharding(mesh, PartitionSpec("text"))
    model = jax.device_put(model, NamedSharding(mesh, PartitionSpec()))
    keys = jax.device_put(jax.random.split(jax.random.key(0), scale.batch), by_text)
    last, state = jax.device_put(jnp.zeros((scale.batch, 1), jnp.int32), by_text), None

    def write(steps: int) -> np.ndarray:
        nonlocal last, state
        state, ids = generate(model, keys, last, steps, Temperature(scale.temperature), carry=state)
        last = ids[:, -1:]
        return np.asarray(ids)

    return write


def torch_writer(model: LanguageModel, scale: Scale) -> Callable[[int], np.ndarray]:
    """PyTorch's, character by character."""
    import torch

    network = measuring.torch_network("lstm", measuring.torch_weights(model))
    one_hot = torch.eye(scale.vocabulary)
    last, state = torch.zeros(scale.batch, 1, dtype=torch.long), None

    @torch.inference_mode()
    def write(steps: int) -> np.ndarray:
        nonlocal last, state
        ids = []
        for _ in range(steps):
            ys, state = network["rnn"](one_hot[last], state)
            probabilities = torch.softmax(network["head"](ys[:, -1]) / scale.temperature, -1)
            last = torch.multinomial(probabilities, 1)
            ids.append(last)
        return torch.cat(ids, 1).numpy()

    return write


# Who learns. Both begin at our weights.


def learners(scale: Scale, devices: Devices = None) -> tuple[int, dict[str, Trainer]]:
    """The number of parameters, and what trains by library, on windows of random characters."""
    characters = np.random.default_rng(0).integers(0, scale.vocabulary - 1, 100_000, np.uint8)
    stream = language.windows(characters, scale.time, scale.steps)
    ours = Ours(task(scale), stream, devices, hparams=hparams_of(settings(scale)))
    (begun,) = ours.models
    both: dict[str, Trainer] = {"ours": ours}
    if measuring.installed("torch"):
        keys = jax.random.split(jax.random.key(0), scale.steps)
        drawn = [jax.tree.map(np.array, stream.draw(key, scale.batch, jnp.asarray(characters))) for key in keys]
        both["torch"] = torch_learner(begun, scale, drawn)
    return parameter_count(begun), both


def torch_learner(model: LanguageModel, scale: Scale, batches: list[tuple[np.ndarray, np.ndarray]]) -> Trainer:
    """PyTorch as its tutorials have it: an eager loop over batches, cut and one-hot beforehand."""
    import torch
    from torch import nn

    chosen: Any = settings(scale)
    network = measuring.torch_network("lstm", measuring.torch_weights(model))
    kinds = {"adam": torch.optim.Adam, "rmsprop_torch": torch.optim.RMSprop}
    optimiser = kinds[chosen.optimiser](network.parameters(), lr=chosen.learning_rate)
    decay = torch.optim.lr_scheduler.StepLR(optimiser, chosen.decay_every, chosen.decay)
    ids = [[torch.from_numpy(part.astype(np.int64)) for part in pair] for pair in batches]
    turns = itertools.cycle([(nn.functional.one_hot(x, scale.vocabulary).float(), y) for x, y in ids])

    def train(steps: int) -> float:
        losses = []
        for x, y in itertools.islice(turns, steps):
            optimiser.zero_grad()
            ys, _ = network["rnn"](x)
            loss = nn.functional.cross_entropy(network["head"](ys).flatten(0, 1), y.flatten())
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), chosen.clip_norm)
            optimiser.step()
            decay.step()
            losses.append(loss.item())
        return float(np.mean(losses))

    return train
