"""Flax's own recurrent layer as a classifier: what ours is measured and compared with. Not a command itself."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
from flax import nnx

from jaxrnn.models import LOGITS, Row, parameter_count

FLAX: dict[str, Callable[..., nnx.RNNCellBase]] = {
    "elman": nnx.SimpleCell,
    "elman_relu": partial(nnx.SimpleCell, activation_fn=jax.nn.relu),
    "gru": nnx.GRUCell,
    "lstm": nnx.OptimizedLSTMCell,  # one product for all gates, where nnx.LSTMCell has one for each: not slower
}
"""Flax's cell for those of ours that it has; each has a ``dense_i`` on the input and a ``dense_h`` on the state."""


class FlaxClassifier(nnx.Module):
    """Many to one, by Flax's own recurrent layer and linear head, as they initialise themselves."""

    def __init__(self, cell: nnx.RNNCellBase, features: int, classes: int, rngs: nnx.Rngs):
        self.rnn = nnx.RNN(cell, return_carry=True, rngs=False)
        self.head = nnx.Linear(features, classes, rngs=rngs)

    def __call__(self, x: jax.Array, **_: Any) -> jax.Array:
        """Logits ``(b, k)`` of ``x (b, t, d)``; there is nothing to drop out here, so keys and rates are not used."""
        # put together anew: Flax refuses to scan a module from outside of the loop that it is called in
        rnn = jax.tree.map(lambda leaf: leaf, self.rnn)
        start = rnn.cell.initialize_carry((x.shape[0], x.shape[-1]), nnx.Rngs(0))
        carry, _ = rnn(x, initial_carry=start)
        return self.head(jax.tree.leaves(carry)[-1])  # of an LSTM's (c, h), h

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
