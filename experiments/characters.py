"""What is trained on the sentences about films: the settings of one network, the network, and its study (NTU Q4).

Not a command itself: see `character_sentiment`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Self

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn import inference
from jaxrnn.cells import CELLS, Cell
from jaxrnn.command import OF_THE_CALL, CellName, TrainingSettings, above_zero, at_least_one
from jaxrnn.data import sentences
from jaxrnn.errors import SettingsError
from jaxrnn.layers import dropped, stack
from jaxrnn.models import Classifier
from jaxrnn.optimisers import OPTIMISERS
from jaxrnn.study import Study, hparams_of
from jaxrnn.train import Task, cross_entropy
from jaxrnn.typing import Array, ArrayLike, Float, Init, Key

LETTERS = len(sentences.VOCABULARY)


@dataclass(frozen=True, kw_only=True)
class CharacterSettings(TrainingSettings):
    """Learn from eleven sentences about films which ones are positive, reading them character by character.

    Trains several GRUs of ten units at once, and prints how likely each finds it that the paper's two test sentences
    are negative or positive, beside what the paper printed. The same networks are then trained without dropout and
    with other means against overfitting, side by side in one table. Draws cost and accuracy against epochs, the
    likelihoods, and the comparison.
    """

    seeds: int = 8
    """How many networks to train of each kind, as one program: median and spread of every number come from them."""
    epochs: int = 500
    """Passes over the eleven sentences, each of them one training step."""
    cell: CellName = "gru"
    """The recurrent cell."""
    hidden: int = 10
    """Hidden units."""
    init: Init = "pytorch"
    """Initialisation: PyTorch's, or this library's default."""
    learning_rate: float = 1e-3
    """Adam's learning rate."""
    dropout: float = 0.7
    """The p of dropout, which acts on the last hidden state, in training alone; the output layer reads what is left."""
    dropout_convention: Literal["drop", "keep"] = "drop"
    """Whether p is the probability of dropping a hidden unit, or that of keeping it."""
    mask: bool = False
    """Stop reading after a sentence's last character; without this, short sentences are padded with spaces."""
    sentence: str | None = field(default=None, metadata=OF_THE_CALL)
    """Train nothing: judge this sentence with the trained run in --out; prints how likely it is negative or positive,
    and draws how that moves from character to character into the run's folder."""

    duration: ClassVar[str] = "epochs"

    @classmethod
    def quick_defaults(cls) -> Self:
        return cls(quick=True, seeds=2, epochs=120, learning_rate=1e-2)

    def total_epochs(self) -> int:
        return self.epochs

    def check(self) -> None:
        super().check()
        at_least_one(self, "hidden")
        above_zero(self, "learning_rate")
        if not 0 <= self.dropout <= 1 or self.dropping(self.dropout) == 1:
            only = "at least 0 and below 1" if self.dropout_convention == "drop" else "above 0 and at most 1"
            raise SettingsError(
                f"--dropout must be {only} where it is the probability to {self.dropout_convention}, not {self.dropout}"
            )

    def dropping(self, p: Any) -> Any:
        """The probability of dropping a unit, by the convention."""
        return p if self.dropout_convention == "drop" else 1 - p


class CharacterClassifier(Classifier):
    """Layers read a sentence character by character, and a linear head reads the last output, thinned out in training.

        x_t = one-hot of the character,    logits = dropped(y_T) W + b

    ``y_T`` is the output after the last step at which there is a character.
    """

    def __call__(
        self, xs: Any, *, key: Key[Array, ""] | None = None, dropout: ArrayLike = 0.0, **options: Any
    ) -> Float[Array, "*b k"]:
        """Logits ``(*b, k)`` of sentences as ids, integers ``(*b, t)``.

        Where a ``key`` is given, each number of ``y_T`` is dropped with probability ``dropout``, and the others scaled
        by ``1/(1 - dropout)``.
        """
        layers_key, drop_key = (None, None) if key is None else jax.random.split(key)
        carry, _ = self.layers(**_read(xs), key=layers_key, **options)
        encoding = self.layers.output(carry)
        return self.head(encoding if drop_key is None else dropped(drop_key, encoding, dropout))

    def at_every_step(self, xs: Any, **options: Any) -> Float[Array, "*b t k"]:
        """Logits ``(*b, t, k)``: what the head would say if the sentence ended there; of no meaning after its end."""
        return super().at_every_step(**_read(xs), **options)

    def summary(self, shape: Sequence[int]):
        """The layers for sentences of ``shape`` ``(t,)``."""
        return super().summary((*shape, LETTERS))


def _read(ids: Any) -> dict[str, Any]:
    ids = jnp.asarray(ids)
    return {"xs": jax.nn.one_hot(ids, LETTERS), "mask": ids != sentences.NOTHING}


def study(settings: CharacterSettings, wrap: Callable[[Cell], Cell] = lambda cell: cell) -> Study:
    """One network, trained on all eleven sentences in every step; ``wrap`` makes another cell of its cell.

    Beside cost and accuracy, ``positive`` is measured, the likelihood of positive; each test sentence is a set of its
    own too, ``test_1`` and ``test_2``. Raises SettingsError.
    """
    settings.check()
    dataset = sentences.dataset(padding(settings))

    def make_cell(in_features, features, **options):
        return wrap(CELLS[settings.cell](in_features, features, **options))

    def make_model(rngs, hparams):
        layers = stack(make_cell, LETTERS, [settings.hidden], init=settings.init, rngs=rngs)
        return CharacterClassifier(layers, dataset.classes, init=settings.init, rngs=rngs)

    def objective(model, ids, labels, hparams, key):
        logits = model(ids, key=key, dropout=settings.dropping(hparams.dropout))
        judged = cross_entropy(lambda ids, **options: logits, ids, labels, hparams, key)
        positive = jax.nn.softmax(logits)[..., sentences.POSITIVE]
        return {"loss": judged["loss"], "accuracy": judged["accuracy"], "positive": positive}

    def optimiser(hparams):
        return OPTIMISERS["adam"](hparams.learning_rate)

    train, test = (dataset.x_train, dataset.y_train), (dataset.x_test, dataset.y_test)
    each = {f"test_{place + 1}": (test[0][[place]], test[1][[place]]) for place in range(len(test[1]))}
    return Study(
        task=Task(make_model, objective, optimiser, batch=len(train[1])),
        hparams=hparams_of(settings),
        dataset=dataset,
        train=train,
        evals={"train": train, "test": test, **each},
        answers=lambda fitted, parameters: {},
    )


def padding(settings: CharacterSettings) -> int:
    """What short sentences are padded with."""
    return sentences.NOTHING if settings.mask else sentences.SPACE


def convention(settings: CharacterSettings) -> str:
    """In words, what p is and what dropout leaves of the hidden units."""
    rate, h = settings.dropping(settings.dropout), settings.hidden
    return (
        f"Dropout with p = {settings.dropout:g} as the probability to {settings.dropout_convention} a hidden unit "
        f"(--dropout-convention {settings.dropout_convention}): in a training step the output layer reads of a "
        f"sentence {h * (1 - rate):.3g} of the {h} units on average, and none with probability {rate**h:.2g}."
    )


def likelihoods(models: Any, ids: np.ndarray, *, devices: int | None = None) -> np.ndarray:
    """How likely every network finds each class of every sentence: ``(runs, n, classes)`` of ids ``(n, t)``."""
    return inference.over(lambda model, ids: jax.nn.softmax(model(ids)), models, ids, devices=devices)
