"""What is looked at in trained networks: each number against one worked another way."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from contract import assert_close
from experiments import mnist_analysis
from jaxrnn.data.mnist import to_unit
from jaxrnn.layers import stack
from jaxrnn.models import Classifier

RNG = np.random.default_rng(0)
ROWS, COLUMNS, RUNS = 5, 4, 3


def networks(cell="gru"):
    def make(key):
        rngs = nnx.Rngs(key)
        return Classifier(stack(cell, COLUMNS, [6], init="pytorch", rngs=rngs), 10, init="pytorch", rngs=rngs)

    return jax.vmap(make)(jax.random.split(jax.random.key(0), RUNS))


def digits(count):
    """Images whose class is told by the pixel that is lit in the second row: nothing before it tells anything."""
    labels = RNG.integers(0, 4, count)
    images = RNG.integers(0, 60, (count, ROWS, COLUMNS))
    images[:, 1] = 0
    images[np.arange(count), 1, labels] = 255
    return images.astype(np.uint8), labels.astype(np.int32)


def one(models, run):
    return jax.tree.map(lambda leaf: leaf[run], models)


def test_accuracy_by_row_is_that_of_the_images_cut_off_there():
    models, (images, labels) = networks(), digits(23)
    found = mnist_analysis.accuracy_by_row(models, images, labels)
    for run in range(RUNS):
        for row in range(ROWS):
            cut = one(models, run)(to_unit(images[:, : row + 1]))
            assert found[run, row] == pytest.approx((np.argmax(cut, -1) == labels).mean())


def test_readouts_begin_as_the_head_and_move_nothing_but_themselves():
    model, (images, _) = one(networks(), 0), digits(7)
    head = model.head
    tiled = [jnp.tile(leaf[...][None], (ROWS, *[1] * leaf[...].ndim)) for leaf in (head.kernel, head.bias)]
    readouts = mnist_analysis.Readouts(model.layers, *tiled)
    assert_close(readouts(to_unit(images)), model.at_every_step(to_unit(images)), 1e-6)
    gradients = jax.grad(lambda readouts: (readouts(to_unit(images)) ** 2).sum())(readouts)
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(gradients.layers))
    assert np.any(gradients.kernels[...]) and np.any(gradients.biases[...])


@pytest.mark.slow
def test_a_readout_trained_for_a_row_finds_what_is_in_the_state_there(monkeypatch):
    """The label is in the state from the second row on; before it no readout can do better than guess."""
    monkeypatch.setattr(mnist_analysis, "READOUT_EPOCHS", 60)
    monkeypatch.setattr(mnist_analysis, "READOUT_RATE", 0.1)
    models, train, test = networks(), digits(600), digits(200)
    before = jax.device_get(models)
    found = mnist_analysis.trained_accuracy_by_row(models, train, test, stop=lambda: False)
    assert found.shape == (RUNS, ROWS)
    assert (found[:, 0] < 0.45).all() and (found[:, 1] > 0.95).all()
    assert_close(jax.device_get(models), before, 0.0)


def test_told_to_stop_there_is_no_accuracy():
    models, train = networks(), digits(30)
    assert mnist_analysis.trained_accuracy_by_row(models, train, train, stop=lambda: True) is None


def test_confusion_counts_every_example_once_in_its_row():
    logits, labels = RNG.normal(size=(RUNS, 50, 4)), RNG.integers(0, 4, 50)
    counts = mnist_analysis.confusion(logits, labels)
    np.testing.assert_allclose(counts.sum(1), np.bincount(labels, minlength=4))
    right = (logits.argmax(-1) == labels).sum() / RUNS
    assert np.trace(counts) == pytest.approx(right)
    assert counts[2, 3] == pytest.approx(((logits.argmax(-1) == 3) & (labels == 2)).sum() / RUNS)


def test_the_hardest_examples_are_those_most_networks_get_wrong():
    answers = np.array([[0, 1, 2, 0], [0, 1, 1, 1], [0, 0, 1, 1]])  # networks x examples
    labels = np.array([0, 1, 2, 0])
    found = mnist_analysis.hardest(np.eye(3)[answers], labels, 4)
    assert [one.place for one in found] == [2, 3, 1]
    assert [one.votes for one in found] == [{1: 2, 2: 1}, {1: 2, 0: 1}, {1: 2, 0: 1}]
    assert mnist_analysis.hardest(np.eye(3)[answers], labels, 1)[0].place == 2


def test_trajectories_are_the_first_two_principal_components():
    """Against a singular value decomposition: the same shares of the variance, and the same points up to signs."""
    model, (images, labels) = one(networks("elman"), 1), digits(40)
    found = mnist_analysis.trajectories(model, images, labels, [3, 5])
    states = np.concatenate([np.zeros((40, 1, 6)), model.layers(to_unit(images))[1]], axis=1)
    centred = states.reshape(-1, 6) - states.reshape(-1, 6).mean(0)
    _, values, axes = np.linalg.svd(centred, full_matrices=False)
    np.testing.assert_allclose(found.explained, values[:2] ** 2 / (values**2).sum(), rtol=1e-4)
    projected = (centred @ axes[:2].T).reshape(40, ROWS + 1, 2)[[3, 5]]
    signs = np.sign((projected * found.points).sum((0, 1)))
    np.testing.assert_allclose(found.points, projected * signs, atol=1e-4)
    assert found.labels.tolist() == labels[[3, 5]].tolist()


def test_some_of_each_class():
    assert mnist_analysis.some_of_each(np.array([3, 1, 3, 2, 1, 1]), [1, 3], 2) == [1, 4, 0, 2]
