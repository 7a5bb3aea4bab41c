"""What all classifiers of kept data share: their settings, and the study that trains and tests one.

Not a command itself: see `mnist` and `reviews`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flax import nnx

from jaxrnn.command import EpochSettings, above_zero, at_least_one
from jaxrnn.data import Dataset
from jaxrnn.errors import SettingsError
from jaxrnn.optimisers import OPTIMISERS, OptimiserName, ScheduleName, scheduled
from jaxrnn.runfolder import Reference
from jaxrnn.study import Study, hparams_of
from jaxrnn.train import Fitted, Kept, Stateful, Task, Watch, steps_per_epoch
from jaxrnn.typing import Init

ModelMaker = Callable[[nnx.Rngs], Any]


@dataclass(frozen=True, kw_only=True)
class ClassifierSettings(EpochSettings):
    """What can be set for every classifier."""

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


def task(
    settings: ClassifierSettings,
    make_model: ModelMaker,
    objective: Callable[..., Any],
    updates: int = 1,
    stateful: Stateful | None = None,
) -> Task:
    """A model trained to an objective as the settings say; ``updates`` is what a schedule reaches over."""

    def optimiser(hparams):
        return OPTIMISERS[settings.optimiser](
            scheduled(hparams.learning_rate, settings.schedule, updates, settings.warmup)
        )

    return Task(lambda rngs, hparams: make_model(rngs), objective, optimiser, settings.batch, stateful)


def study(
    settings: ClassifierSettings,
    dataset: Dataset,
    make_task: Callable[[int], Task],
    answers: Callable[[Fitted, int], dict[str, str]] = lambda fitted, parameters: {},
    *,
    metrics: Callable[[Fitted, int], Mapping[str, Any]] = lambda fitted, parameters: {},
    arrange: Callable[[Any, Any], Kept] = lambda x, y: (x, y),
    reference: Sequence[Reference] = (),
    notes: dict[str, Any] | None = None,
) -> Study:
    """What is trained on the data as the settings say, and tested on all their test examples after every epoch.

    ``make_task(updates)`` is a task of so many updates, ``arrange(x, y)`` what is made of examples to train or test on.

    Raises:
        SettingsError: settings that make no sense, by themselves or with these data.
    """
    settings.check()
    kept = len(dataset.x_train) - settings.validation
    if kept <= 0:
        raise SettingsError(f"--validation {settings.validation} leaves nothing of {len(dataset.x_train)} examples")
    train = arrange(dataset.x_train[:kept], dataset.y_train[:kept])
    updates = settings.epochs * steps_per_epoch(make_task(1), train)
    if not 0 <= settings.warmup < max(updates, 1):
        raise SettingsError(f"--warmup must be at least 0 and below the run's {updates} updates, not {settings.warmup}")
    evals = {"test": arrange(dataset.x_test, dataset.y_test)}
    if settings.validation:
        evals["validation"] = arrange(dataset.x_train[kept:], dataset.y_train[kept:])
    return Study(
        task=make_task(updates),
        hparams=hparams_of(settings),
        dataset=dataset,
        train=train,
        evals=evals,
        watch=Watch("validation_loss", settings.patience) if settings.patience else None,
        same_epochs=settings.schedule != "constant",
        answers=answers,
        metrics=metrics,
        reference=reference,
        notes=notes or {},
    )
