"""What our networks are raced against: the same network for every library, in words and arrays. Not a command itself.

`Network` says what is trained, `Weights` where it begins; `peer_torch`, `peer_flax` and `peer_keras` make trainers of
the two. Those in JAX share `compiled`.
"""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from importlib.util import find_spec
from typing import Any, Literal, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxrnn.optimisers import OPTIMISERS, OptimiserName

PACKAGES = {"torch": "torch", "torch_packed": "torch", "flax": "flax", "keras": "keras"}
"""What is to be installed for each peer."""

Batches = Sequence[tuple[np.ndarray, np.ndarray]]
"""What the peers train on, in turn, cut and converted beforehand: ours pays for both in its step, as in `fit`."""


class Trainer(Protocol):
    """Takes so many training steps, waits until all is done, and gives a loss: the last step's where not said
    otherwise."""

    def __call__(self, steps: int, /) -> float: ...


class Network(NamedTuple):
    """Layers of one cell with a linear head, and how they are trained."""

    cell: str
    features: int
    """How many numbers are read at every step."""
    hidden: int
    outputs: int
    layers: int = 1
    vocabulary: int | None = None
    """Of ids, each of which has a learned vector of ``features``; where not given, numbers are read."""
    one_hot: bool = False
    """Whether the numbers are ids of ``features`` by one-hot vectors, which peers read; ours looks ids up."""
    every_step: bool = False
    """Whether the head reads every step, or the last one alone."""
    loss: Literal["classes", "yes", "squares"] = "classes"
    """The cross-entropy of classes, that of one logit for yes, or squared errors; in the mean over all."""
    optimiser: OptimiserName = "adam"
    learning_rate: float = 1e-3
    clip_norm: float = math.inf

    @property
    def sizes(self) -> str:
        """Its widths, in words."""
        ids = [] if self.vocabulary is None else [f"{self.vocabulary:,} ids"]
        return " -> ".join([*ids, *map(str, (self.features, *[self.hidden] * self.layers, self.outputs))])


class Layer(NamedTuple):
    """The weights of a recurrent layer, laid out as those of `jaxrnn.cells`."""

    w_x: np.ndarray
    w_h: np.ndarray
    b_x: np.ndarray
    b_h: np.ndarray


class Weights(NamedTuple):
    """The weights of a `Network`."""

    layers: tuple[Layer, ...]
    kernel: np.ndarray
    """The head's, ``(h, k)``."""
    bias: np.ndarray
    embedding: np.ndarray | None = None


class Peer(Protocol):
    """Makes a trainer of a network that begins at these weights, or of as many like networks as there are weights.

    What it needs to train, processes say, ends with the context.
    """

    def __call__(
        self, network: Network, begin: Sequence[Weights], batches: Batches, /
    ) -> AbstractContextManager[Trainer]: ...


def installed(library: str) -> bool:
    """Whether the library of a peer is there; whatever else is meant by the name is."""
    return find_spec(PACKAGES.get(library, "jax")) is not None


def weights(model: Any) -> Weights:
    """Those of one of our models, copied."""

    def layer(cell: Any) -> Layer:
        w_x, w_h, b_x = (np.array(param[...]) for param in (cell.w_x, cell.w_h, cell.b_x))
        # a cell with one bias is one with two of which one is 0
        return Layer(w_x, w_h, b_x, np.zeros_like(b_x) if cell.b_h is None else np.array(cell.b_h[...]))

    embedding = getattr(model, "embedding", None)
    return Weights(
        tuple(layer(part.cell) for part in model.layers.layers),
        np.array(model.head.kernel[...]),
        np.array(model.head.bias[...]),
        None if embedding is None else np.array(embedding[...]),
    )


GATES: Mapping[str, int] = {"elman": 1, "elman_relu": 1, "gru": 3, "lstm": 4}
"""How many rows of weights a unit has, of the cells that the peers know. To ask the cells themselves would start JAX,
and its memory would be counted as that of a PyTorch that trains by itself."""


def drawn(network: Network, runs: int) -> list[Weights]:
    """Weights of so many networks where there is none of ours to take them from, drawn as PyTorch draws them."""
    random = np.random.default_rng(0)

    def uniform(*shape: int) -> np.ndarray:
        return (random.uniform(-1, 1, shape) * network.hidden**-0.5).astype(np.float32)

    def one() -> Weights:
        width, reads = GATES[network.cell] * network.hidden, [network.features] + [network.hidden] * network.layers
        layers = [
            Layer(uniform(reads[layer], width), uniform(network.hidden, width), uniform(width), uniform(width))
            for layer in range(network.layers)
        ]
        embedding = None if network.vocabulary is None else uniform(network.vocabulary, network.features)
        return Weights(tuple(layers), uniform(network.hidden, network.outputs), uniform(network.outputs), embedding)

    return [one() for _ in range(runs)]


# What the peers in JAX share.


def _classes(logits: jax.Array, y: jax.Array) -> jax.Array:
    return optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()


def _yes(logits: jax.Array, y: jax.Array) -> jax.Array:
    return optax.sigmoid_binary_cross_entropy(logits[:, 0], y).mean()


def _squares(outputs: jax.Array, y: jax.Array) -> jax.Array:
    return jnp.square(outputs - y).mean()


_LOSSES: Mapping[str, Callable[[jax.Array, jax.Array], jax.Array]] = {
    "classes": _classes,
    "yes": _yes,
    "squares": _squares,
}


def compiled(
    network: Network, outputs: Callable[[Any, jax.Array], jax.Array], begin: Sequence[Any], batches: Batches
) -> Trainer:
    """A library in JAX at its best: a training step of ``outputs(weights, x)`` in one plain `jax.jit`, the weights
    before it donated.

    Where ``begin`` has the weights of several networks, they train side by side under `jax.vmap`, all on the same
    batches, and the loss is the mean of theirs.
    """
    optimiser = optax.chain(
        optax.clip_by_global_norm(network.clip_norm), OPTIMISERS[network.optimiser](network.learning_rate)
    )

    def step(weights: Any, state: Any, x: jax.Array, y: jax.Array) -> tuple[Any, Any, jax.Array]:
        def loss(weights: Any) -> jax.Array:
            return _LOSSES[network.loss](outputs(weights, x), y)

        value, grads = jax.value_and_grad(loss)(weights)
        updates, state = optimiser.update(grads, state, weights)
        return optax.apply_updates(weights, updates), state, value

    many = len(begin) > 1
    weights = jax.tree.map(lambda *each: jnp.stack(each) if many else jnp.array(each[0]), *begin)
    state = jax.jit(jax.vmap(optimiser.init) if many else optimiser.init)(weights)
    advance = jax.jit(jax.vmap(step, in_axes=(0, 0, None, None)) if many else step, donate_argnums=(0, 1))
    turns = itertools.cycle(jax.device_put(list(batches)))

    def train(steps: int, /) -> float:
        nonlocal weights, state
        value = jnp.array(jnp.nan)
        for x, y in itertools.islice(turns, steps):
            weights, state, value = advance(weights, state, x, y)
        jax.block_until_ready((weights, state))
        return float(value.mean())

    return train
