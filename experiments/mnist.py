"""What the three MNIST commands share: an image read row by row, and classified after the last row (TOR, part 2).

Not a command itself: see `mnist_rnn`, `mnist_gru` and `mnist_lstm`.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Self

import tyro
from flax import nnx

from jaxrnn.cells import CELLS
from jaxrnn.command import TrainingSettings
from jaxrnn.data import mnist
from jaxrnn.errors import SettingsError
from jaxrnn.layers import stack
from jaxrnn.models import Classifier
from jaxrnn.optimisers import OPTIMISERS, OptimiserName, ScheduleName, scheduled
from jaxrnn.study import Study, announce_stand_in, conduct
from jaxrnn.train import Fitted, Hparams, Task, Watch, cross_entropy
from jaxrnn.typing import Init

CellName = Annotated[str, tyro.conf.arg(constructor=tyro.extras.literal_type_from_choices(CELLS))]


@dataclass(frozen=True, kw_only=True)
class MnistSettings(TrainingSettings):
    """What can be set for MNIST read as a sequence of rows."""

    cell: CellName = "gru"
    """The recurrent cell."""
    hidden: int = 150
    """Hidden units in each layer."""
    layers: int = 1
    """Recurrent layers."""
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

    @classmethod
    def quick_defaults(cls) -> Self:
        return cls(quick=True, batch=32, epochs=10)


def main(name: str, settings: MnistSettings) -> dict[str, Any]:
    """Train, and leave a run folder; returns what its ``result.json`` says."""
    _check(settings)
    if settings.quick and settings.data_dir is None:
        dataset = mnist.load_digits("--quick needs no download")
    else:
        dataset = mnist.load(settings.data_dir)
    if dataset.name == "digits":
        announce_stand_in("MNIST", dataset, "For MNIST give its four IDX files by --data-dir FOLDER.")
    if settings.validation >= len(dataset.x_train):
        raise SettingsError(f"--validation {settings.validation} leaves nothing of {len(dataset.x_train)} examples")
    kept = len(dataset.x_train) - settings.validation
    train = (dataset.x_train[:kept], dataset.y_train[:kept])
    evals = {"test": (dataset.x_test, dataset.y_test)}
    if settings.validation:
        evals["validation"] = (dataset.x_train[kept:], dataset.y_train[kept:])
    steps = settings.epochs * -(-kept // settings.batch)
    if not 0 <= settings.warmup < max(steps, 1):
        raise SettingsError(f"--warmup must be at least 0 and below the run's {steps} updates, not {settings.warmup}")
    columns = dataset.x_train.shape[-1]

    def make_model(rngs, hparams):
        layers = stack(settings.cell, columns, [settings.hidden] * settings.layers, init=settings.init, rngs=rngs)
        return Classifier(layers, dataset.classes, init=settings.init, rngs=rngs)

    def objective(model, images, labels, hparams, key):
        return cross_entropy(model, mnist.to_unit(images), labels, hparams, key)

    def optimiser(hparams):
        rate = scheduled(hparams.learning_rate, settings.schedule, steps, settings.warmup)
        return OPTIMISERS[settings.optimiser](rate)

    study = Study(
        task=Task(make_model, objective, optimiser, settings.batch),
        hparams=Hparams(settings.learning_rate, settings.clip_norm, settings.dropout),
        dataset=dataset,
        train=train,
        evals=evals,
        watch=Watch("validation_loss", settings.patience) if settings.patience else None,
        same_epochs=settings.schedule != "constant",
        answers=lambda fitted, parameters: answers(settings, dataset.x_train.shape[1:], fitted, parameters),
    )
    return conduct(name, settings, study)


def _check(settings: MnistSettings) -> None:
    for option in ("hidden", "layers", "batch"):
        if getattr(settings, option) < 1:
            raise SettingsError(f"--{option} must be at least 1, not {getattr(settings, option)}")
    for option in ("validation", "patience"):
        if getattr(settings, option) < 0:
            raise SettingsError(f"--{option} must be at least 0, not {getattr(settings, option)}")
    if settings.patience and not settings.validation:
        raise SettingsError("--patience watches the validation loss: hold examples out by --validation N")
    if not 0 <= settings.dropout < 1:
        raise SettingsError(f"--dropout must be at least 0 and below 1, not {settings.dropout}")
    if not settings.learning_rate > 0 or not settings.clip_norm > 0:
        raise SettingsError("--learning-rate and --clip-norm must be above 0")


def answers(settings: MnistSettings, shape: tuple[int, ...], fitted: Fitted, parameters: int) -> dict[str, str]:
    """TOR's questions about the sequence, the layers and the use of the trained network, for the data really used."""
    rows, columns = shape
    accuracy = fitted.metrics["test_accuracy"].mean()
    loss = fitted.metrics["test_loss"].mean()
    activation = CELLS[settings.cell](1, 1, rngs=nnx.Rngs(0)).activation
    h, runs = settings.hidden, len(fitted.metrics["test_accuracy"])
    return {
        "T11": f"A sequence has {rows} time steps: an image is read row by row, {rows} rows of {columns} pixels.",
        "T12": f"Many to one: {rows} inputs, and one label, read after the last of them.",
        "T13": (
            f"The hidden layer maps {columns} inputs and its own {h} former outputs to {h} outputs ({columns} -> {h} "
            f"and {h} -> {h}), the output layer maps {h} to 10. With {settings.layers} recurrent "
            f"layer{'s' if settings.layers > 1 else ''} the model has {parameters:,} parameters."
        ),
        "T14": (
            f"The hidden layer is activated by {activation}, the output layer by the identity, and the softmax that "
            "makes probabilities of its logits is part of the cross-entropy loss."
        ),
        "T15": (
            "Feed the image's rows in order from a zero state, apply the output layer to what comes out after the last "
            f"row, and take the largest of the 10 logits. So used, the model is right on {accuracy:.2%} of the test "
            f"images (mean of {runs} run{'s' if runs > 1 else ''})."
        ),
        "T17": (
            f"The mean error over the outputs of the last step is {1 - accuracy:.4f}, the accuracy {accuracy:.4f}, and "
            f"the mean cross-entropy {loss:.4f} nats, every test image counted once."
        ),
    }
