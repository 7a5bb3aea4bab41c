"""What `mnist_rnn`, `mnist_gru` and `mnist_lstm` share: an image read row by row, and classified after the last row.

Not a command itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from experiments import mnist, mnist_trained
from experiments.classifier import ModelMaker
from experiments.mnist import MnistSettings
from experiments.mnist_trained import Trained
from jaxrnn.cells import CELLS
from jaxrnn.command import OF_THE_CALL, CellName, at_least_one
from jaxrnn.comparison import percent
from jaxrnn.data import Dataset
from jaxrnn.data.mnist import CLASSES
from jaxrnn.errors import SettingsError
from jaxrnn.layers import stack
from jaxrnn.models import Classifier
from jaxrnn.study import Study, conduct, hparams_of, restore_models, settings_of, trained
from jaxrnn.train import Fitted, Hparams, cross_entropy
from jaxrnn.words import NAMES, OPTIMISER_NAMES, mean_interval, of_runs


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
    meta = trained(name, out, rank=2)
    settings = settings_of(meta, kind, out)
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


class Shapes(NamedTuple):
    """What a mini-batch becomes on its way through a network, each as ``128 x 150``."""

    images: str
    state: str
    """The zeros before the first row; of several states, all."""
    logits: str
    errors: str


def shapes(settings: RecurrentSettings, shape: Sequence[int]) -> Shapes:
    """The shapes for mini-batches of images of ``shape``, found by tracing the model and the loss that are trained."""

    def forward(images, labels):
        model = maker(settings, shape, CLASSES)(nnx.Rngs(0))
        error = cross_entropy(model, images, labels, Hparams(), None)["error"]
        return model.layers.initial_carry((settings.batch,)), model(images), error

    def words(array):
        return " x ".join(map(str, array.shape))

    images, labels = jnp.zeros((settings.batch, *shape)), jnp.zeros(settings.batch, int)
    state, logits, errors = jax.eval_shape(forward, images, labels)
    return Shapes(words(images), " and ".join(map(words, jax.tree.leaves(state))), words(logits), words(errors))


def study(settings: RecurrentSettings, dataset: Dataset) -> Study:
    """The study of one cell. Raises SettingsError where the settings make no sense."""
    return mnist.study(
        settings,
        dataset,
        maker(settings, dataset.x_train.shape[1:], dataset.classes),
        lambda fitted, parameters: answers(settings, dataset, fitted, parameters),
    )


def answers(settings: RecurrentSettings, dataset: Dataset, fitted: Fitted, parameters: int) -> dict[str, str]:
    """TOR's questions about the data, the network, its training and its use, for what was really trained."""
    rows, columns = dataset.x_train.shape[1:]
    found = {name: fitted.metrics[f"test_{name}"] for name in ("accuracy", "error", "loss")}
    over = of_runs(found["accuracy"])
    activation = CELLS[settings.cell](1, 1, rngs=nnx.Rngs(0)).activation
    h, several = settings.hidden, "s" * (settings.layers > 1)
    batch = shapes(settings, (rows, columns))
    return {
        "T10": (
            f"jaxrnn.data.mnist.load gives images and labels of two sets that are never mixed, here of {dataset.name} "
            f"({dataset.source}): {len(dataset.x_train) - settings.validation:,} to train on and "
            f"{len(dataset.x_test):,} for test. Every epoch puts the training images in a new random order and cuts it "
            f"into mini-batches of {settings.batch} (--batch; the paper leaves the size open), the last one with what "
            "is left over. After every epoch the test images are classified, also in mini-batches, each image once."
        ),
        "T11": (
            f"A sequence has {rows} time steps. An image is read row by row from the top, and each of its {rows} rows "
            f"is a vector of {columns} pixels."
        ),
        "T12": (
            f"Many to one. The network reads {rows} rows and gives one label, after the last of them; what it would "
            "say after an earlier row counts neither in training nor in the test."
        ),
        "T13": (
            f"The hidden layer takes in {columns} pixels and its own {h} outputs of the step before, and gives {h} "
            f"outputs ({columns} -> {h} and {h} -> {h}). The output layer takes in these {h} and gives "
            f"{dataset.classes}, one for each digit ({h} -> {dataset.classes}). With {settings.layers} recurrent "
            f"layer{several} ({NAMES[settings.cell]}) that makes {parameters:,} parameters, biases included."
        ),
        "T14": (
            f"The hidden layer is activated by {activation}. The output layer is linear: its {dataset.classes} numbers "
            "are logits, and the softmax that makes probabilities of them is part of the cross-entropy loss."
        ),
        "T15": (
            "Feed the image's rows in order, from a zero state, and apply the output layer to what the hidden layer "
            f"says after the last row. The place of the largest of the {dataset.classes} logits is the digit. "
            "The option --predict does so with any image file. Done with the test images, it is right on "
            f"{percent(found['accuracy'])} of them ({over})."
        ),
        "T16": (
            f"The class is jaxrnn.models.Classifier: {settings.layers} recurrent layer{several} "
            f"({NAMES[settings.cell]}) and the output layer. Its layers' function initial_carry makes the zero state: "
            f"for a mini-batch of {settings.batch} images zeros of {batch.state}, a row for each image (PyTorch's "
            "tensor has the number of layers in front). The forward pass reads the rows one after the other, each of "
            f"them changing the state, and applies the output layer to the state after the last: {batch.images} pixels "
            f"become {batch.logits} logits."
        ),
        "T17": (
            "The function is jaxrnn.train.cross_entropy. Of a mini-batch's images and labels it makes the "
            f"{batch.logits} logits after the last row, and from those {batch.errors} errors, each 1 where the largest "
            "logit of an image is not that of its label and 0 where it is; the loop takes their mean. These dimensions "
            f"are the code's own, traced for a mini-batch of {settings.batch} images. Over all test images the average "
            f"error is {percent(found['error'])}, the accuracy {percent(found['accuracy'])}, and the cross-entropy "
            f"{mean_interval(found['loss'])} nats ({over})."
        ),
        "T18": (
            "The function is jaxrnn.train.fit: it takes a task (the model with its loss and optimiser), the data, and "
            "the number of epochs. Here the loss is the cross-entropy, minimised for "
            f"{'at most ' * (settings.patience > 0)}{settings.epochs} epoch{'s' * (settings.epochs > 1)} by "
            f"{OPTIMISER_NAMES[settings.optimiser]} at a learning rate of {settings.learning_rate:g}; the paper names "
            "neither optimiser nor rate. At the end the cross-entropy on the test images is "
            f"{mean_interval(found['loss'])} nats, and {percent(found['accuracy'])} of them are recognised ({over})."
        ),
    }
