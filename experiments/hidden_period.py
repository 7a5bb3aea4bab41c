"""Time gates that find a hidden period: what is trained, and the periods as they are learned (UVA, part 2).

Not a command itself: see `time_gate`.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxrnn.cells import TimeGatedLSTMCell
from jaxrnn.data import windows
from jaxrnn.layers import Recurrent, stack
from jaxrnn.models import Regressor
from jaxrnn.optimisers import OPTIMISERS
from jaxrnn.study import run_keys
from jaxrnn.train import Hparams, Progress, Stream, Task, Trainer, progress_bar, squared_error
from jaxrnn.typing import Array, Float, Int

UNITS = 8
BATCH = 16
LEARNING_RATE = 1e-2
EVERY = 50
"""Training steps between two looks at the periods."""


class Recovery(NamedTuple):
    """What several networks came to."""

    steps: list[int]
    """The training steps at which the periods were looked at."""
    taus: Float[np.ndarray, "steps r h"]
    """The period of every unit then."""
    read: Int[np.ndarray, "r"]
    """Of each network the unit that moves the output most at the end: by its weight times its standard deviation."""
    mse: Float[np.ndarray, "r"]
    """Mean squared error on sequences that were not trained on."""

    @property
    def found(self) -> Float[np.ndarray, "r"]:
        """The period of that unit at the end."""
        return self.taus[-1, np.arange(len(self.read)), self.read]

    @property
    def error(self) -> Float[np.ndarray, "r"]:
        """How far that is from the hidden period, as a share of it."""
        return np.abs(self.found / windows.PERIOD - 1)


def recover(seed: int, networks: int, steps: int, *, devices: int | None = None, progress: bool = True) -> Recovery:
    """Train so many networks on `jaxrnn.data.windows`: they are told numbers and times, and not when numbers count.

    The gates begin as those of `jaxrnn.cells.TimeGatedLSTMCell` do, periods anywhere from 2.7 to 20, with a leak.
    """

    def make_model(rngs: nnx.Rngs, hparams: Hparams) -> Regressor:
        return Regressor(stack(partial(TimeGatedLSTMCell, leak=0.001), 1, [UNITS], rngs=rngs), 1, rngs=rngs)

    task = Task(make_model, squared_error, lambda hparams: OPTIMISERS["adam"](hparams.learning_rate), BATCH)
    keys, hparams = run_keys(seed, np.arange(networks)), Hparams(learning_rate=LEARNING_RATE)
    test = jax.device_get(windows.draw(jax.random.fold_in(jax.random.key(seed), 1_000_000), 500))
    trainer = Trainer(task, networks, hparams, Stream(windows.draw, EVERY), evals={"test": test}, devices=devices)
    periods = jax.jit(jax.vmap(lambda model: cell_of(model).tau))
    epochs, taus = steps // EVERY, []

    def look(progress: Progress) -> None:
        taus.append(jax.device_get(periods(progress.runs.model)))

    look(trainer(keys, hparams, epochs=0).progress)
    with progress_bar(epochs * EVERY, progress) as bar:
        fitted = trainer(keys, hparams, epochs=epochs, bar=bar, label="hidden period: ", after=look)
    read = jax.device_get(jax.vmap(moved, (0, None))(fitted.progress.runs.model, test[0])).argmax(1)
    return Recovery([EVERY * epoch for epoch in range(epochs + 1)], np.array(taus), read, fitted.metrics["test_mse"])


def moved(model: Regressor, xs: tuple[Any, Any]) -> Float[Array, "h"]:
    """How much each unit moves the output on these sequences: the standard deviation of its share of it."""
    _, hs = model.layers(xs)
    return hs.std((0, 1)) * jnp.abs(model.head.kernel[...][:, 0])


def cell_of(model: Regressor) -> TimeGatedLSTMCell:
    """The cell of a network with one layer of them."""
    (layer,) = model.layers.layers
    assert isinstance(layer, Recurrent) and isinstance(layer.cell, TimeGatedLSTMCell)
    return layer.cell
