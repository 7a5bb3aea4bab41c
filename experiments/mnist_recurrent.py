"""What `mnist_rnn`, `mnist_gru` and `mnist_lstm` share: an image read row by row, and classified after the last row.

Not a command itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flax import nnx

from experiments import mnist, mnist_trained
from experiments.classifier import ModelMaker
from experiments.mnist import MnistSettings
from experiments.mnist_trained import Trained
from jaxrnn.cells import CELLS
from jaxrnn.command import OF_THE_CALL, CellName, at_least_one
from jaxrnn.data import Dataset
from jaxrnn.data.mnist import CLASSES
from jaxrnn.errors import SettingsError
from jaxrnn.layers import stack
from jaxrnn.models import Classifier
from jaxrnn.study import Study, conduct, hparams_of, restore_models, trained
from jaxrnn.train import Fitted


@dataclass(frozen=True, kw_only=True)
class RecurrentSettings(MnistSettings):
    """What can be set for MNIST read as a sequence of rows, and what a trained run can be asked for."""

    cell: CellName = "gru"
    """The recurrent cell."""
    layers: int = 1
    """Recurrent layers."""
    predict: Path | None = field(default=None, metadata=OF_THE_CALL)
    """Train nothing: classify this image file with the trained run in --out. Any size, dark on light or light on dark;
    prints the probabilities, and draws how they move from row to row into the run's folder."""
    evaluate: Path | None = field(default=None, metadata=OF_THE_CALL)
    """Train nothing: test the trained run in --out on the test images of this folder of IDX files, as they are and
    moved by 2 pixels; prints the accuracies, and writes them into the run's folder."""

    def check(self) -> None:
        super().check()
        at_least_one(self, "layers")


def main(name: str, settings: RecurrentSettings) -> Any:
    """Train, and leave a run folder; returns what its ``result.json`` says. Or ask a trained run."""
    if settings.predict is not None and settings.evaluate is not None:
        raise SettingsError("--predict and --evaluate are two questions: ask one at a time")
    out = settings.out or Path("runs") / name
    if settings.predict is not None:
        return mnist_trained.predict(restore(name, type(settings), out), settings.predict)
    if settings.evaluate is not None:
        return mnist_trained.evaluate(restore(name, type(settings), out), settings.evaluate)
    return conduct(name, settings, study(settings, mnist.load(settings)))


def restore(name: str, kind: type[RecurrentSettings], out: Path) -> Trained:
    """The models of the run in ``out``, a run of the command ``name`` with settings of a ``kind``.

    Raises:
        CheckpointError: nothing is there, it is damaged, another command's, or no run kept a finite loss.
    """
    meta = trained(name, out)
    settings = kind(**meta["config"])
    task = mnist.task(settings, maker(settings, meta["shape"], CLASSES))
    models = restore_models(out, task, hparams_of(settings), meta, keep_best=settings.patience > 0)
    rows, columns = meta["shape"]
    return Trained(models, (rows, columns), out)


def maker(settings: RecurrentSettings, shape: Sequence[int], classes: int) -> ModelMaker:
    """What draws the model for images of ``shape`` ``(rows, columns)``."""
    _, columns = shape

    def make_model(rngs):
        layers = stack(settings.cell, columns, [settings.hidden] * settings.layers, init=settings.init, rngs=rngs)
        return Classifier(layers, classes, init=settings.init, rngs=rngs)

    return make_model


def study(settings: RecurrentSettings, dataset: Dataset) -> Study:
    """The study of one cell. Raises SettingsError where the settings make no sense."""
    shape = dataset.x_train.shape[1:]
    return mnist.study(
        settings,
        dataset,
        maker(settings, shape, dataset.classes),
        lambda fitted, parameters: answers(settings, shape, fitted, parameters),
    )


def answers(settings: RecurrentSettings, shape: Sequence[int], fitted: Fitted, parameters: int) -> dict[str, str]:
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
            "row, and take the largest of the 10 logits (the command's --predict does so with any image file). So "
            f"used, the model is right on {accuracy:.2%} of the test images (mean of {runs} "
            f"run{'s' if runs > 1 else ''})."
        ),
        "T17": (
            f"The mean error over the outputs of the last step is {1 - accuracy:.4f}, the accuracy {accuracy:.4f}, and "
            f"the mean cross-entropy {loss:.4f} nats, every test image counted once."
        ),
    }
