"""What all MNIST commands share: their settings, the data, and what is trained on them (TOR, part 2).

Not a command itself: see `mnist_rnn`, `mnist_gru`, `mnist_lstm`, `mnist_fnn` and `mnist_compare`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

from flax import nnx

from jaxrnn.command import EpochSettings, above_zero, at_least_one
from jaxrnn.data import Dataset, mnist
from jaxrnn.errors import SettingsError
from jaxrnn.optimisers import OPTIMISERS, OptimiserName, ScheduleName, scheduled
from jaxrnn.study import Study, announce_stand_in, hparams_of
from jaxrnn.train import Fitted, Task, Watch, cross_entropy
from jaxrnn.typing import Init

ModelMaker = Callable[[nnx.Rngs], Any]


@dataclass(frozen=True, kw_only=True)
class MnistSettings(EpochSettings):
    """What can be set for every classifier of MNIST."""

    hidden: int = 150
    """Hidden units in each layer."""
    init: Init = "pytorch"
    """Initialisation: PyTorch's, or this library's default."""
    optimiser: OptimiserName = "adam"
    """The optimiser."""
    learning_rate: float = 1e-3
    """Its learning rate (the highest, under a schedule)."""
    schedule: ScheduleName = "constant"
    """How the learning rate goes on: constant, in steps, or down along a cosine."""
    warmup: int = 0
    """Updates over which the learning rate climbs from 0."""
    batch: int = 128
    """Examples in a training step."""
    clip_norm: float = float("inf")
    """Gradients with a larger global norm are scaled down to it."""
    dropout: float = 0.0
    """Probability of dropping an output between layers."""
    validation: int = 0
    """How many of the last training examples to hold out, evaluated after every epoch."""
    patience: int = 0
    """Stop a run when its validation loss has not fallen for so many epochs, and keep its best weights (0: never)."""

    def check(self) -> None:
        super().check()
        at_least_one(self, "hidden", "batch")
        for option in ("validation", "patience"):
            if getattr(self, option) < 0:
                raise SettingsError(f"--{option} must be at least 0, not {getattr(self, option)}")
        if self.patience and not self.validation:
            raise SettingsError("--patience watches the validation loss: hold examples out by --validation N")
        if not 0 <= self.dropout < 1:
            raise SettingsError(f"--dropout must be at least 0 and below 1, not {self.dropout}")
        above_zero(self, "learning_rate", "clip_norm")

    @classmethod
    def quick_defaults(cls) -> Self:
        return cls(quick=True, batch=32, epochs=10)


def load(settings: MnistSettings) -> Dataset:
    """The data that the settings ask for; a stand-in is announced.

    Raises:
        SettingsError: settings that make no sense.
        DataError: data that are missing or broken.
    """
    settings.check()
    if settings.quick and settings.data_dir is None:
        dataset = mnist.load_digits("--quick needs no download")
    else:
        dataset = mnist.load(settings.data_dir)
    if dataset.name == "digits":
        announce_stand_in("MNIST", dataset, "For MNIST give its four IDX files by --data-dir FOLDER.")
    return dataset


def _check_with(settings: MnistSettings, dataset: Dataset) -> None:
    kept = len(dataset.x_train) - settings.validation
    if kept <= 0:
        raise SettingsError(f"--validation {settings.validation} leaves nothing of {len(dataset.x_train)} examples")
    updates = _updates(settings, kept)
    if not 0 <= settings.warmup < max(updates, 1):
        raise SettingsError(f"--warmup must be at least 0 and below the run's {updates} updates, not {settings.warmup}")


def _updates(settings: MnistSettings, examples: int) -> int:
    return settings.epochs * -(-examples // settings.batch)


def task(settings: MnistSettings, make_model: ModelMaker, updates: int = 1) -> Task:
    """A model trained on images as bytes by their labels; ``updates`` is what a schedule reaches over."""

    def objective(model, images, labels, hparams, key):
        return cross_entropy(model, mnist.to_unit(images), labels, hparams, key)

    def optimiser(hparams):
        return OPTIMISERS[settings.optimiser](
            scheduled(hparams.learning_rate, settings.schedule, updates, settings.warmup)
        )

    return Task(lambda rngs, hparams: make_model(rngs), objective, optimiser, settings.batch)


def study(
    settings: MnistSettings,
    dataset: Dataset,
    make_model: ModelMaker,
    answers: Callable[[Fitted, int], dict[str, str]] = lambda fitted, parameters: {},
) -> Study:
    """A model trained on the data as the settings say, and tested on their test images after every epoch.

    Raises:
        SettingsError: settings that make no sense, by themselves or with these data.
    """
    settings.check()
    _check_with(settings, dataset)
    kept = len(dataset.x_train) - settings.validation
    evals = {"test": (dataset.x_test, dataset.y_test)}
    if settings.validation:
        evals["validation"] = (dataset.x_train[kept:], dataset.y_train[kept:])
    return Study(
        task=task(settings, make_model, _updates(settings, kept)),
        hparams=hparams_of(settings),
        dataset=dataset,
        train=(dataset.x_train[:kept], dataset.y_train[:kept]),
        evals=evals,
        watch=Watch("validation_loss", settings.patience) if settings.patience else None,
        same_epochs=settings.schedule != "constant",
        answers=answers,
    )
