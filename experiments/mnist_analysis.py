"""What is looked at in the trained networks of `mnist_compare`: row by row, digit by digit, moved, and inside.

Not a command itself.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from jaxrnn import inference
from jaxrnn.data.mnist import to_unit
from jaxrnn.layers import Stack
from jaxrnn.models import Classifier
from jaxrnn.train import Hparams, Progress, Task, fit, start
from jaxrnn.typing import Array, Float


def accuracy_by_row(models: Classifier, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The accuracy of each network when its own head reads it after row 1, 2, ...: ``(runs, rows)``."""
    found = inference.over(lambda model, image: model.at_every_step(to_unit(image)).argmax(-1), models, images)
    return (found == labels[None, :, None]).mean(1)


class Readouts(nnx.Module):
    """Layers that no longer learn, and a linear readout of its own for every step.

    logits_t = y_t W_t + b_t
    """

    def __init__(self, layers: Stack, kernels: Float[Array, "t h k"], biases: Float[Array, "t k"]):
        self.layers, self.kernels, self.biases = layers, nnx.Param(kernels), nnx.Param(biases)

    def __call__(self, xs: Float[Array, "*b t d"]) -> Float[Array, "*b t k"]:
        """Logits ``(*b, t, k)`` of ``xs (*b, t, d)``, each from its step's readout."""
        _, ys = self.layers(xs)
        return jnp.einsum("...th,thk->...tk", jax.lax.stop_gradient(ys), self.kernels[...]) + self.biases[...]


READOUT_EPOCHS = 2
READOUT_RATE = 3e-3


def trained_accuracy_by_row(
    models: Classifier,
    train: tuple[np.ndarray, np.ndarray],
    test: tuple[np.ndarray, np.ndarray],
    *,
    devices: int | None = None,
    stop: Callable[[], bool],
) -> np.ndarray | None:
    """The accuracy of a linear readout trained for row 1, 2, ... on the outputs that the network has there.

    Each begins as the network's own head, and learns for `READOUT_EPOCHS` with Adam; the network itself stays as it is.
    Returns ``(runs, rows)``, or None where it was told to stop.
    """
    runs, rows = models.head.kernel.shape[0], train[0].shape[1]

    def beginning(model):
        head = model.head
        return Readouts(
            model.layers,
            *(jnp.tile(leaf[None], (rows, *[1] * leaf.ndim)) for leaf in (head.kernel[...], head.bias[...])),
        )

    def objective(model, images, labels, hparams, key):
        logits, wanted = model(to_unit(images)), jnp.broadcast_to(labels[:, None], (len(labels), rows))
        loss = optax.softmax_cross_entropy_with_integer_labels(logits, wanted).mean(-1)
        right = (logits.argmax(-1) == wanted).astype(loss.dtype)
        return {"loss": loss} | {f"row_{row}": right[:, row] for row in range(rows)}

    first = jax.tree.map(lambda leaf: leaf[0], models)
    task = Task(
        lambda rngs, hparams: beginning(first), objective, lambda hparams: optax.adam(hparams.learning_rate), 500
    )
    keys, hparams = jax.random.split(jax.random.key(0), runs), Hparams(learning_rate=READOUT_RATE)
    fresh = jax.vmap(lambda key: start(task, key, hparams, jax.tree.map(lambda a: a[:1], train)))(keys)
    begun = Progress(fresh._replace(model=jax.vmap(beginning)(models)), 0, 0, [], {"compile": 0.0, "train": 0.0})
    fitted = fit(
        task,
        keys,
        hparams,
        train,
        epochs=READOUT_EPOCHS,
        evals={"test": test},
        devices=devices,
        resume=begun,
        stop=stop,
    )
    if not fitted.finished:
        return None
    return np.stack([fitted.metrics[f"test_row_{row}"] for row in range(rows)], axis=1)


def confusion(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How many examples of each class (row) were taken for each class (column), the mean over the networks.

    ``logits (runs, n, k)``, ``labels (n,)``, returns ``(k, k)``.
    """
    runs, _, classes = logits.shape
    pairs = labels * classes + logits.argmax(-1)
    return np.bincount(pairs.ravel(), minlength=classes**2).reshape(classes, classes) / runs


class Hard(NamedTuple):
    """An example that many networks get wrong."""

    place: int
    """Its number in the data set."""
    votes: dict[int, int]
    """How many networks took it for each class, its own among them, the most frequent first."""


def hardest(logits: np.ndarray, labels: np.ndarray, count: int) -> list[Hard]:
    """The ``count`` examples that most networks get wrong, of ``logits (networks, n, k)``; as many as there are."""
    answers = logits.argmax(-1)
    wrong = (answers != labels).sum(0)
    places = [place for place in np.argsort(-wrong, kind="stable")[:count].tolist() if wrong[place]]
    return [Hard(place, dict(Counter(answers[:, place].tolist()).most_common())) for place in places]


class Trajectories(NamedTuple):
    """The way of the hidden state through the plane in which it varies most."""

    points: np.ndarray
    """``(examples, 1 + steps, 2)``, the first the initial state."""
    labels: np.ndarray
    explained: np.ndarray
    """``(2,)`` fractions of the variance over all examples and steps."""


def trajectories(model: Classifier, images: np.ndarray, labels: np.ndarray, shown: Sequence[int]) -> Trajectories:
    """Principal components of one network's outputs after every row, of all images; the ways of those ``shown``."""
    one = jax.tree.map(lambda leaf: leaf[None], model)
    states = inference.over(lambda model, image: model.layers(to_unit(image))[1], one, images)[0]
    initial = np.zeros_like(states[:, :1])  # the output that belongs to the zero state that every image starts from
    states = np.concatenate([initial, states], axis=1)
    flat = states.reshape(-1, states.shape[-1])
    centred = flat - flat.mean(0)
    variances, axes = np.linalg.eigh(centred.T @ centred)
    points = (centred @ axes[:, :-3:-1]).reshape(*states.shape[:2], 2)
    return Trajectories(points[list(shown)], labels[list(shown)], variances[:-3:-1] / variances.sum())


def some_of_each(labels: np.ndarray, classes: Sequence[int], count: int) -> list[int]:
    """The places of the first ``count`` examples of each of the classes."""
    return [place for one in classes for place in np.flatnonzero(labels == one)[:count].tolist()]
