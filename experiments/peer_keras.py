"""Keras's recurrent layers on its JAX backend: what ours are measured against. Not a command itself.

Its `LSTM` and `GRU` choose their own kernels: on a GPU, Keras's LSTM is cuDNN's, by `jax.experimental.rnn`.
"""

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import jax
import numpy as np

from experiments import peers
from experiments.peers import Batches, Layer, Network, Trainer, Weights

KERAS: dict[str, tuple[str, dict[str, Any]]] = {
    "elman": ("SimpleRNN", {}),
    "elman_relu": ("SimpleRNN", {"activation": "relu"}),
    "gru": ("GRU", {}),
    "lstm": ("LSTM", {}),
}
"""Keras's layer, and its options, for those of our cells that it has."""


def imported() -> Any:
    """Keras, on JAX whatever the user's own choice is: it reads that once, when it is first imported."""
    os.environ["KERAS_BACKEND"] = "jax"
    import keras

    return keras


def trainer(network: Network, begin: Sequence[Weights], batches: Batches) -> AbstractContextManager[Trainer]:
    """Keras's layers as a pure function of their weights in a plain `jax.jit`, for one network."""
    (weights,), keras = begin, imported()
    kind, options = KERAS[network.cell]
    x, _ = batches[0]
    layers = [keras.Input(x.shape[1:], dtype=x.dtype.name)]
    if network.vocabulary is not None:
        layers.append(keras.layers.Embedding(network.vocabulary, network.features))
    for number in range(network.layers):
        every = network.every_step or number + 1 < network.layers
        layers.append(getattr(keras.layers, kind)(network.hidden, return_sequences=every, **options))
    model = keras.Sequential([*layers, keras.layers.Dense(network.outputs)])
    others = [variable.value for variable in model.non_trainable_variables]  # seeds of dropout, of which there is none

    def outputs(trained: Any, x: jax.Array) -> jax.Array:
        return model.stateless_call(trained, others, x)[0]

    return nullcontext(peers.compiled(network, outputs, [_in_order(network.cell, weights)], batches))


def _in_order(cell: str, weights: Weights) -> list[np.ndarray]:
    """The weights as Keras lists them."""
    first = [] if weights.embedding is None else [weights.embedding]
    return [*first, *(part for layer in weights.layers for part in _layer(cell, layer)), weights.kernel, weights.bias]


def _layer(cell: str, layer: Layer) -> list[np.ndarray]:
    """A layer's weights: a GRU has its gates in the order z, r, n and two biases as we have; of the others each gate
    has one bias, which begins at the sum of ours."""
    if cell != "gru":
        return [layer.w_x, layer.w_h, layer.b_x + layer.b_h]

    def turned(values: np.ndarray) -> np.ndarray:
        r, z, n = np.split(values, 3, axis=-1)
        return np.concatenate([z, r, n], axis=-1)

    return [turned(layer.w_x), turned(layer.w_h), turned(np.stack([layer.b_x, layer.b_h]))]
