"""What is trained on names: the settings, the network that says letter by letter what comes next, and its study (IST).

Not a command itself: see `names`.
"""

from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar, Self

import jax.numpy as jnp
import numpy as np
import optax

from jaxrnn.command import FREE, OF_THE_CALL, CellName, TrainingSettings, above_zero, at_least_one
from jaxrnn.data import Origin, names
from jaxrnn.data.names import NOTHING, Alphabet, Name, Names
from jaxrnn.layers import stack
from jaxrnn.models import LanguageModel
from jaxrnn.optimisers import OPTIMISERS
from jaxrnn.runfolder import Reference
from jaxrnn.study import Study, hparams_of
from jaxrnn.train import Task
from jaxrnn.typing import Array, ArrayLike, Float, Init, Int

PAPER_EPOCHS = 1000


@dataclass(frozen=True, kw_only=True)
class NameSettings(TrainingSettings):
    """Learn names letter by letter, and make up new ones, in the language that is asked for.

    Trains a network to say which letter comes next, from a start that stands for the language. Then lets it write
    names, each letter drawn from the k likeliest, and measures by k how many of them are new, how many repeat each
    other, how likely the network finds them, and whether a classifier of letter pairs takes them for names of the
    language asked for. A finished run writes more of them, with --language, --starts-with and the like.
    """

    names: Path | None = field(default=None, metadata=FREE)
    """A file with a name on each line, or a folder with such a .txt file for each language. Where not given: 1,000
    given names of eight languages that come with jaxrnn."""
    epochs: int | None = None
    """Passes over the names that are learned. Where not given 1,000, of a folder 50."""
    batch: int = 64
    """Names in a training step."""
    cell: CellName = "elman"
    """The recurrent cell."""
    hidden: int = 128
    """Hidden units."""
    init: Init = "pytorch"
    """Initialisation: PyTorch's, or this library's default."""
    learning_rate: float = 5e-4
    """Adam's learning rate."""
    samples: int | None = None
    """How many names to write: of each language and for each k after training (100 where not given), or of each
    language when a trained run is asked (10)."""
    language: str | None = field(default=None, metadata=OF_THE_CALL)
    """Train nothing: write names of this language with the trained run in --out. All languages where not given."""
    starts_with: str | None = field(default=None, metadata=OF_THE_CALL)
    """Train nothing: write names that start so, with the trained run in --out."""
    top_k: int | None = field(default=None, metadata=OF_THE_CALL)
    """Train nothing: write names, each letter one of so many likeliest, with the trained run in --out."""
    temperature: float | None = field(default=None, metadata=OF_THE_CALL)
    """Train nothing: write names, their letters drawn at this temperature (1 as they were learned, below it likelier
    ones, above it stranger ones), with the trained run in --out."""

    duration: ClassVar[str] = "epochs"

    @classmethod
    def quick_defaults(cls) -> Self:
        return cls(quick=True, epochs=20, learning_rate=3e-3, samples=20)

    @property
    def asks(self) -> bool:
        """Whether a trained run is to write."""
        return any(one is not None for one in (self.language, self.starts_with, self.top_k, self.temperature))

    def total_epochs(self) -> int:
        if self.epochs is not None:
            return self.epochs
        return 50 if self.names is not None and self.names.is_dir() else PAPER_EPOCHS

    def settled(self) -> Self:
        return replace(self, epochs=self.total_epochs())

    def check(self) -> None:
        if self.epochs is None:
            self.settled().check()
            return
        super().check()
        at_least_one(self, "batch", "hidden", "samples", "top_k")
        above_zero(self, "learning_rate")
        above_zero(self, "temperature")


def load(settings: NameSettings) -> Names:
    """The names. Raises DataError."""
    return names.read(settings.names)


def costs(model: LanguageModel, ids: Int[ArrayLike, "*b t"]) -> Float[Array, "*b t-1"]:
    """What each id costs, given those before it, in nats; 0 where there is `NOTHING`.

    c_s = -log p(i_{s+1} | i_1, ..., i_s)
    """
    ids = jnp.asarray(ids)
    read, foretold = ids[..., :-1], ids[..., 1:]
    real = foretold != NOTHING
    # an id that there is, where none is read
    logits = model(jnp.where(real, read, 0), mask=real)
    found = optax.softmax_cross_entropy_with_integer_labels(logits, jnp.where(real, foretold, 0))
    return jnp.where(real, found, 0)


def characters(ids: Int[np.ndarray, "*b t"]) -> Int[np.ndarray, "*b"]:
    """How many ids of a row are foretold: its characters and its end."""
    return (ids[..., 1:] != NOTHING).sum(-1)


def task(settings: NameSettings, alphabet: Alphabet) -> Task:
    """Of a row of ids and its weight, the loss is the sum of the `costs`, times the weight."""

    def make_model(rngs, hparams):
        layers = stack(settings.cell, alphabet.size, [settings.hidden], init=settings.init, rngs=rngs)
        return LanguageModel(layers, init=settings.init, rngs=rngs)

    def objective(model, ids, weights, hparams, key):
        return {"loss": costs(model, ids).sum(-1) * weights}

    def optimiser(hparams):
        return OPTIMISERS["adam"](hparams.learning_rate)

    return Task(make_model, objective, optimiser, settings.batch)


def examples(data: Names, of: tuple[Name, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Ids ``(n, t)``, and weights ``(n,)`` by which the mean over these names is the mean over their characters."""
    ids = data.alphabet.encode(of, data.length)
    return ids, np.full(len(ids), 1 / characters(ids).mean(), np.float32)


def study(settings: NameSettings, data: Names) -> Study:
    """One network on these names. Raises SettingsError."""
    settings.check()
    train, test = examples(data, data.train), examples(data, data.test)
    return Study(
        task=task(settings, data.alphabet),
        hparams=hparams_of(settings),
        dataset=Origin(data.name, data.source),
        train=train,
        evals={"train": train, "test": test},
        notes={"characters": data.alphabet.characters, "languages": data.alphabet.languages},
        answers=lambda fitted, parameters: {},
        reference=[
            Reference(
                what="letters by how often they occur",
                metric="test_loss",
                value=by_frequency(train[0], test[0]),
                note="the mean negative log-likelihood of the held-out names to their frequency in the others",
            )
        ],
    )


def by_frequency(train: Int[np.ndarray, "n t"], test: Int[np.ndarray, "m t"]) -> float:
    """What a character of ``test`` costs on average, in nats, where only its frequency in ``train`` is known."""
    (counted, asked) = (Counter(ids[:, 1:][ids[:, 1:] != NOTHING].tolist()) for ids in (train, test))
    total = sum(counted.values())
    return float(sum(-np.log(counted[one] / total) * times for one, times in asked.items()) / sum(asked.values()))
