"""Flax's own recurrent layers, `nnx.RNN`: what ours are measured and compared with. Not a command itself."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from experiments import peers
from experiments.peers import Batches, Network, Trainer, Weights
from jaxrnn.models import LOGITS, Row, parameter_count

FLAX: dict[str, Callable[..., nnx.RNNCellBase]] = {
    "elman": nnx.SimpleCell,
    "elman_relu": partial(nnx.SimpleCell, activation_fn=jax.nn.relu),
    "gru": nnx.GRUCell,
    "lstm": nnx.OptimizedLSTMCell,  # one product for all gates, where nnx.LSTMCell has one for each: not slower
}
"""Flax's cell for those of ours that it has; each has a ``dense_i`` on the input and a ``dense_h`` on the state."""


def read(rnn: nnx.RNN, xs: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The last output ``(b, h)`` and all of them ``(b, t, h)``, of ``xs (b, t, d)``."""
    # put together anew: Flax refuses to scan a module from outside of the loop that it is called in
    rnn = jax.tree.map(lambda leaf: leaf, rnn)
    start = rnn.cell.initialize_carry((xs.shape[0], xs.shape[-1]), nnx.Rngs(0))
    carry, ys = rnn(xs, initial_carry=start)
    return jax.tree.leaves(carry)[-1], ys  # of an LSTM's (c, h), h


class FlaxClassifier(nnx.Module):
    """Many to one, by Flax's own recurrent layer and linear head, as they initialise themselves."""

    def __init__(self, cell: nnx.RNNCellBase, features: int, classes: int, rngs: nnx.Rngs):
        self.rnn = nnx.RNN(cell, return_carry=True, rngs=False)
        self.head = nnx.Linear(features, classes, rngs=rngs)

    def __call__(self, x: jax.Array, **_: Any) -> jax.Array:
        """Logits ``(b, k)`` of ``x (b, t, d)``; there is nothing to drop out here, so keys and rates are not used."""
        return self.head(read(self.rnn, x)[0])

    def summary(self, shape: Sequence[int]) -> list[Row]:
        """Both layers for inputs of ``shape`` ``(t, d)``."""
        time, d = shape
        h, k, name = self.head.in_features, self.head.out_features, type(self.rnn.cell).__name__
        return [
            Row(
                f"flax nnx.RNN({name}) ({d} -> {h}, {h} -> {h})",
                f"{time} x {d}",
                f"{time} x {h}",
                "tanh, and sigmoid for the gates" if name != "SimpleCell" else "tanh",
                parameter_count(self.rnn),
            ),
            Row("flax nnx.Linear (last output)", str(h), str(k), LOGITS, parameter_count(self.head)),
        ]


class FlaxNetwork(nnx.Module):
    """A `Network` of Flax's own layers."""

    def __init__(self, network: Network, rngs: nnx.Rngs):
        widths = [network.features] + [network.hidden] * network.layers
        make, ids = FLAX[network.cell], network.vocabulary
        self.embedding = None if ids is None else nnx.Embed(ids, network.features, rngs=rngs)
        self.rnns = nnx.List(
            nnx.RNN(make(reads, network.hidden, rngs=rngs), return_carry=True, rngs=False) for reads in widths[:-1]
        )
        self.head = nnx.Linear(network.hidden, network.outputs, rngs=rngs)
        self.every_step = network.every_step

    def __call__(self, xs: jax.Array) -> jax.Array:
        """What the head says of ``xs``, ``(b, t, d)`` or ids ``(b, t)``: at every step, or at the last one."""
        if self.embedding is not None:
            xs = self.embedding(xs)
        for rnn in self.rnns:
            last, xs = read(rnn, xs)
        return self.head(xs if self.every_step else last)


def trainer(network: Network, begin: Sequence[Weights], batches: Batches) -> AbstractContextManager[Trainer]:
    """Flax as a stateless pytree in a plain `jax.jit`, several networks under `jax.vmap`."""
    blank = nnx.eval_shape(lambda: FlaxNetwork(network, nnx.Rngs(0)))  # shapes alone: every weight is set here
    graph, structure = nnx.split(blank)

    def leaves(weights: Weights) -> list[Any]:
        return jax.tree.leaves(nnx.state(_with(blank, weights)))

    def outputs(leaves: Any, x: jax.Array) -> jax.Array:
        return nnx.merge(graph, jax.tree.unflatten(jax.tree.structure(structure), leaves))(x)

    return nullcontext(peers.compiled(network, outputs, list(map(leaves, begin)), batches))


def _with(network: FlaxNetwork, weights: Weights) -> FlaxNetwork:
    """The network with these weights.

    Flax has one bias for a gate where PyTorch, and we, have two: it begins at their sum.
    """
    for rnn, (w_x, w_h, b_x, b_h) in zip(network.rnns, weights.layers, strict=True):
        cell: Any = rnn.cell
        dense_i, dense_h = cell.dense_i, cell.dense_h
        dense_i.kernel, dense_h.kernel = _param(w_x), _param(w_h)
        (dense_i if dense_h.bias is None else dense_h).bias = _param(b_x + b_h)
    network.head.kernel, network.head.bias = _param(weights.kernel), _param(weights.bias)
    if network.embedding is not None:
        network.embedding.embedding = _param(weights.embedding)
    return network


def _param(value: Any) -> nnx.Param:
    return nnx.Param(jnp.asarray(value))
