"""The benchmark's rows that are training steps of one network that reads numbers: images, palindromes, long sequences.

Not a command itself: see `benchmark`.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments import contest, floor
from experiments.contest import Contest, Group
from experiments.measuring import Shape, maker, ours_of
from experiments.peers import Batches, Network
from jaxrnn.cells import CELLS
from jaxrnn.data import mnist, palindromes
from jaxrnn.optimisers import OPTIMISERS
from jaxrnn.train import Data, Hparams, Stream, Task, cross_entropy, full_batch
from jaxrnn.typing import Bias

STEPS = Group("A training step")

MNIST = Shape(batch=128, time=28, features=28, hidden=150, classes=10, examples=60_000, steps=100)
SMALL = Shape(batch=64, time=8, features=8, hidden=16, classes=10, examples=1_437, steps=20)
"""The images of `MNIST`, and of scikit-learn's digits."""

DIGITS = Shape(batch=128, time=10, features=10, hidden=128, classes=10, examples=1280, steps=50)
FEW_DIGITS = DIGITS._replace(batch=32, hidden=16, examples=320, steps=10)
"""Palindromes that are read but for their last digit."""

TINY = Shape(batch=8, time=100, features=3, hidden=5, classes=2, examples=8, steps=100)
TINIER = TINY._replace(time=20, steps=10)
"""NTU's Q2 in its sizes: all sequences in every training step."""

LONG = Shape(batch=8, time=10_000, features=10, hidden=64, classes=10, examples=16, steps=1)
SHORTER = LONG._replace(time=100, hidden=8, examples=8)

SQRT = {LONG: 100, SHORTER: 10}
"""How many steps apart a state is kept for the gradient where memory is to be saved: the root of their number."""


def trained(network: Network, shape: Shape, task: Task, data: Callable[[], Data], **more: Any) -> Contest:
    """A row that is a training step of one such network; what is ``more`` stands in place of what is usual."""
    usual: dict[str, Any] = {
        "group": STEPS,
        "sizes": shape.sizes,
        "config": shape._asdict() | {"optimiser": network.optimiser},
        "steps": shape.steps,
        "work": partial(floor.training, network, shape.batch, shape.time, inputs=floor.NUMBER * shape.features),
        "ours": ours_of(task, hparams_of(network)),
        "peers": contest.knowing(network.cell),
    }
    return Contest(network=network, task=task, data=data, **usual | more)


def hparams_of(network: Network) -> Hparams:
    """Those that ours is trained with."""
    return Hparams(learning_rate=network.learning_rate, clip_norm=network.clip_norm)


def network_of(cell: str, shape: Shape, **more: Any) -> Network:
    """The network of these sizes."""
    return Network(cell, shape.features, shape.hidden, shape.classes, **more)


def task_of(network: Network, shape: Shape, objective: Callable[..., Any], bias: Bias = "torch") -> Task:
    """Ours that is trained as the network is said to be."""

    def optimiser(hparams: Hparams) -> optax.GradientTransformation:
        return OPTIMISERS[network.optimiser](hparams.learning_rate)

    return Task(maker(network.cell, shape, bias, network.layers), objective, optimiser, shape.batch)


# Images, of every registered cell.


def images(cell: str, shape: Shape, bias: Bias = "torch", layers: int = 1) -> Contest:
    """What `experiments.mnist` trains with its default settings, for any registered cell and of any size."""
    network = network_of(cell, shape, layers=layers)

    def objective(model, images, labels, hparams, key):
        return cross_entropy(model, mnist.to_unit(images), labels, hparams, key)

    def data() -> tuple[np.ndarray, np.ndarray]:
        draw = np.random.default_rng(0)
        drawn = draw.integers(0, 256, (shape.examples, shape.time, shape.features), np.uint8)
        return drawn, draw.integers(0, shape.classes, shape.examples, np.int32)

    def batches() -> Batches:
        return [(x.astype(np.float32) / 255, y) for x, y in cut(data(), shape)]

    work = partial(floor.training, network, shape.batch, shape.time, inputs=shape.features)  # a pixel is a byte
    task = task_of(network, shape, objective, bias)
    return trained(network, shape, task, data, drawn="random bytes", batches=batches, work=work)


def cut(data: tuple[np.ndarray, np.ndarray], shape: Shape) -> Batches:
    """The first batches of the examples, as many as make a turn or as there are."""
    x, y = data
    count = min(shape.steps, len(y) // shape.batch)
    return [(x[at : at + shape.batch], y[at : at + shape.batch]) for at in range(0, count * shape.batch, shape.batch)]


# Palindromes whose last digit is asked for (UVA 1): RMSProp as PyTorch's, gradients clipped to a norm of 10.


def palindromes_of(cell: str, shape: Shape, bias: Bias = "torch") -> Contest:
    """Drawn by ours in the compiled step, for the peers beforehand."""
    network = network_of(cell, shape, optimiser="rmsprop_torch", learning_rate=1e-3, clip_norm=10.0)
    stream = Stream(partial(palindromes.draw, length=shape.time + 1), shape.steps)
    task = task_of(network, shape, cross_entropy, bias)

    # what is drawn in the step need not be read from anywhere
    work, batches = partial(floor.training, network, shape.batch, shape.time), partial(drawn_batches, stream, shape)
    return trained(network, shape, task, lambda: stream, drawn="palindromes", batches=batches, work=work)


def drawn_batches(stream: Stream, shape: Shape) -> Batches:
    """As many batches as the shape has examples for."""
    keys = jax.random.split(jax.random.key(0), shape.examples // shape.batch)
    return [jax.tree.map(np.array, stream.draw(key, shape.batch)) for key in keys]


# NTU's Q2: a tiny Elman network that is read at every step.


def tiny(shape: Shape, bias: Bias = "torch") -> Contest:
    """All sequences in every training step, Adam."""
    network = network_of("elman", shape, every_step=True, loss="squares", learning_rate=1e-2)

    def objective(model, x, y, hparams, key):
        return {"loss": jnp.square(model.at_every_step(x) - y).mean((1, 2))}

    def data() -> Stream:
        return full_batch(sequences(shape, shape.classes), shape.steps)

    def batches() -> Batches:
        return [sequences(shape, shape.classes)]

    task = task_of(network, shape, objective, bias)
    return trained(network, shape, task, data, drawn="random numbers", batches=batches, work=None)


def sequences(shape: Shape, outputs: int) -> tuple[np.ndarray, np.ndarray]:
    """Random numbers, and what is asked at every step: as many as there are examples."""
    random = np.random.default_rng(0)
    x = random.normal(size=(shape.examples, shape.time, shape.features)).astype(np.float32)
    return x, random.normal(size=(shape.examples, shape.time, outputs)).astype(np.float32)


# Long sequences.


def long(shape: Shape, remat: int | None = None, bias: Bias = "torch") -> Contest:
    """A GRU that is asked once, at the end; of which ours keeps a state at every ``remat`` steps only, where given."""
    network = network_of("gru", shape)

    def objective(model, x, y, hparams, key):
        return cross_entropy(partial(model, remat=remat), x, y, hparams, key)

    def data() -> tuple[np.ndarray, np.ndarray]:
        x, _ = sequences(shape, 1)
        return x, np.random.default_rng(1).integers(0, shape.classes, shape.examples, np.int32)

    task = task_of(network, shape, objective, bias)
    peers = contest.knowing(network.cell)
    return trained(
        network,
        shape,
        task,
        data,
        drawn="random numbers",
        config=shape._asdict() | {"optimiser": network.optimiser, "remat": remat},
        rounds=5,
        batches=lambda: cut(data(), shape),
        peers=peers if remat is None else {"torch": peers["torch"]},
    )


def rows(quick: bool) -> dict[str, Contest]:
    """These rows by name, those of the cells first."""
    shape, digits, little, steps = (SMALL, FEW_DIGITS, TINIER, SHORTER) if quick else (MNIST, DIGITS, TINY, LONG)
    return {
        **{cell: images(cell, shape) for cell in CELLS},
        "palindrome_elman": palindromes_of("elman", digits),
        "palindrome_lstm": palindromes_of("lstm", digits),
        "tiny": tiny(little),
        "long": long(steps),
        "long_remat": long(steps, SQRT[steps]),
    }
