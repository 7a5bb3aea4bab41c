"""What the commands on palindromes share: the settings of one network, and how it is trained (UVA, part 1).

Not a command itself: see `palindromes`, `lstm_gates` and `optimizers`.
"""

from dataclasses import dataclass
from typing import Any, Self

import jax
import numpy as np

from jaxrnn.command import CellName, StepSettings, above_zero, at_least_one
from jaxrnn.data import Origin, palindromes
from jaxrnn.data.palindromes import DIGITS, Encoding
from jaxrnn.errors import SettingsError
from jaxrnn.layers import stack
from jaxrnn.models import Classifier
from jaxrnn.optimisers import OPTIMISERS, OptimiserName
from jaxrnn.study import Experiment, Study, hparams_of
from jaxrnn.sweeps import Swept
from jaxrnn.train import Stream, Task, Watch, cross_entropy
from jaxrnn.typing import Init

VALIDATION, TEST = 2000, 4000
"""How many of the held-out palindromes choose the best checkpoint, and how many others test it."""

SOLVED = 0.999
"""The validation accuracy from which a run has solved its task."""


@dataclass(frozen=True, kw_only=True)
class PalindromeSettings(StepSettings):
    """A network that reads all digits of a palindrome but the last, and says the last.

    Validated and tested on palindromes that are never trained on; the best checkpoint is the one with the lowest
    validation error.
    """

    length: int = 10
    """Digits of a palindrome, the last one included."""
    encoding: Encoding = "onehot"
    """A digit as ten numbers of which one is 1, or as one number from 0 to 9."""
    cell: CellName = "lstm"
    """The recurrent cell."""
    hidden: int = 128
    """Hidden units."""
    init: Init = "pytorch"
    """Initialisation: PyTorch's, or this library's default."""
    forget_bias: float | None = None
    """An LSTM's forget gate's bias at the start; the initialisation's own where not given."""
    optimiser: OptimiserName = "rmsprop_torch"
    """The optimiser."""
    learning_rate: float = 1e-3
    """Its learning rate."""
    batch: int = 128
    """Palindromes in a training step."""
    clip_norm: float = 10.0
    """Gradients with a larger global norm are scaled down to it."""

    @classmethod
    def quick_defaults(cls) -> Self:
        return cls(quick=True, length=5, hidden=32, steps=400, every=100, learning_rate=5e-3)

    def check(self) -> None:
        super().check()
        if self.length < 3:
            raise SettingsError(f"--length must be at least 3, so that there is something to keep, not {self.length}")
        at_least_one(self, "hidden", "batch")
        above_zero(self, "learning_rate", "clip_norm")
        if self.forget_bias is not None and self.cell != "lstm":
            raise SettingsError(f"--forget-bias is the LSTM's, and the cell is {self.cell}")


def study(settings: PalindromeSettings, data: Any = None) -> Study:
    """One network, trained on palindromes drawn anew at every step. Raises SettingsError."""
    settings.check()

    def make_model(rngs, hparams):
        extra = {} if hparams.forget_bias is None else {"forget_bias": hparams.forget_bias}
        features = palindromes.features(settings.encoding)
        layers = stack(settings.cell, features, [settings.hidden], init=settings.init, rngs=rngs, **extra)
        return Classifier(layers, DIGITS, init=settings.init, rngs=rngs)

    return study_of(settings, make_model)


def study_of(settings: PalindromeSettings, make_model: Any) -> Study:
    """Any classifier of digits, trained on palindromes as the settings say."""

    def draw(key, n):
        return palindromes.draw(key, n, settings.length, settings.encoding)

    def held_out(number, n):
        key = jax.random.fold_in(jax.random.key(settings.seed), 1_000_000 + number)
        drawn = palindromes.draw(key, n, settings.length, settings.encoding, held_out=True)
        return jax.device_get(drawn)

    def optimiser(hparams):
        return OPTIMISERS[settings.optimiser](hparams.learning_rate)

    return Study(
        task=Task(make_model, cross_entropy, optimiser, settings.batch),
        hparams=hparams_of(settings),
        dataset=Origin(
            "palindromes", "drawn as they are needed; tested on a tenth of all palindromes, never trained on"
        ),
        train=Stream(draw, settings.every),
        evals={"validation": held_out(0, VALIDATION), "test": held_out(1, TEST)},
        watch=Watch("validation_error", settings.total_epochs()),
        answers=lambda fitted, parameters: {},
    )


PALINDROME = Experiment("palindromes", PalindromeSettings, study)
"""One network, as sweeps see it."""


def solved_at(swept: Swept, point: int, every: int) -> np.ndarray:
    """The step of the first evaluation at which each run of a point had solved its task, NaN where none did."""
    return swept.reached(point, "validation_accuracy", SOLVED) * every
