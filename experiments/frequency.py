"""One network that tells sine waves by their period, however they are sampled (Neil et al. 2016): settings and study.

Not a command itself: see `time_gate`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp

from jaxrnn import words
from jaxrnn.cells import TimeGatedLSTMCell
from jaxrnn.command import StepSettings, above_zero, at_least_one
from jaxrnn.data import Origin, sines
from jaxrnn.data.sines import Sampling
from jaxrnn.errors import SettingsError
from jaxrnn.layers import Recurrent, stack
from jaxrnn.models import Classifier
from jaxrnn.optimisers import OPTIMISERS
from jaxrnn.study import Experiment, Study, hparams_of
from jaxrnn.train import Stream, Task, Watch, cross_entropy
from jaxrnn.typing import Init

VALIDATION, TEST = 1000, 2000
"""How many waves choose the best checkpoint, and how many others test it."""

NAMES: Mapping[str, str] = {cell: words.NAMES[cell] for cell in ("lstm", "time_gated_lstm")}


@dataclass(frozen=True, kw_only=True)
class WaveSettings(StepSettings):
    """What can be set for every network that reads waves."""

    steps: int = 3000
    """Training steps of a network that tells waves."""
    interval: float = 0.5
    """Milliseconds between two samples at the high rate; one otherwise."""
    hidden: int = 32
    """Hidden units."""
    r_on: float = 0.1
    """The share of a period in which a time gate is open, at the start."""
    leak: float = 0.001
    """How far a closed time gate is open towards the end of a period while it trains; 0 in use."""
    init: Init = "default"
    """Initialisation: this library's default, or PyTorch's."""
    learning_rate: float = 3e-3
    """Adam's learning rate."""
    batch: int = 32
    """Waves in a training step."""
    clip_norm: float = float("inf")
    """Gradients with a larger global norm are scaled down to it."""

    def check(self) -> None:
        super().check()
        at_least_one(self, "hidden", "batch")
        above_zero(self, "learning_rate", "clip_norm")
        if not 0 < self.interval <= 1:
            raise SettingsError(f"--interval must be above 0 and at most 1 ms, not {self.interval}")
        if not 0 < self.r_on < 1:
            raise SettingsError(f"--r-on must be above 0 and below 1, not {self.r_on}")
        if not 0 <= self.leak <= 1:
            raise SettingsError(f"--leak must lie between 0 and 1, not {self.leak}")


@dataclass(frozen=True, kw_only=True)
class FrequencySettings(WaveSettings):
    """A network that reads a sampled sine wave and says whether its period lies between 5 and 6 ms."""

    cell: Literal["lstm", "time_gated_lstm"] = "time_gated_lstm"
    """The recurrent cell. The time-gated one reads the samples, its gates their times; the LSTM reads both."""
    sampling: Sampling = "asynchronous"
    """How a wave is sampled."""


def study(settings: FrequencySettings, data: Any = None) -> Study:
    """One network, trained on waves drawn anew at every step. Raises SettingsError."""
    settings.check()
    interval = settings.interval if settings.sampling == "high_rate" else 1.0
    gated = settings.cell == "time_gated_lstm"

    def make_model(rngs, hparams):
        cell: Any = settings.cell
        if gated:
            # periods begin anywhere in all of the time, as in the paper
            s = jax.random.uniform(rngs.params(), (settings.hidden,), maxval=sines.LONGEST)
            cell = partial(TimeGatedLSTMCell, s=s, r_on=settings.r_on, leak=settings.leak)
        layers = stack(cell, 1 if gated else 2, [settings.hidden], init=settings.init, rngs=rngs)
        return Classifier(layers, 2, init=settings.init, rngs=rngs)

    def objective(model, x, y, hparams, key):
        values, times, lengths = x
        if gated:
            return cross_entropy(
                partial(model if key is not None else without_leak(model), lengths=lengths),
                (values, times),
                y,
                hparams,
                key,
            )
        inputs = jnp.concatenate([values, times / sines.LONGEST], axis=-1)
        return cross_entropy(partial(model, lengths=lengths), inputs, y, hparams, key)

    def drawn(number, n):
        key = jax.random.fold_in(jax.random.key(settings.seed), 1_000_000 + number)
        return jax.device_get(sines.draw(key, n, settings.sampling, interval))

    return Study(
        task=Task(make_model, objective, lambda hparams: OPTIMISERS["adam"](hparams.learning_rate), settings.batch),
        hparams=hparams_of(settings),
        dataset=Origin("sines", "sine waves drawn as they are needed; tested on others"),
        train=Stream(lambda key, n: sines.draw(key, n, settings.sampling, interval), settings.every),
        evals={"validation": drawn(0, VALIDATION), "test": drawn(1, TEST)},
        watch=Watch("validation_error", settings.total_epochs()),
        answers=lambda fitted, parameters: {},
    )


def without_leak(model: Classifier) -> Classifier:
    """The same network with time gates that close altogether."""
    other = jax.tree.map(lambda leaf: leaf, model)
    for layer in other.layers.layers:
        assert isinstance(layer, Recurrent) and isinstance(layer.cell, TimeGatedLSTMCell)
        layer.cell.leak = 0.0
    return other


FREQUENCY = Experiment("time_gate", FrequencySettings, study)
"""One network, as sweeps see it."""
