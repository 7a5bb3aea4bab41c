"""Trained models asked about whole data sets: as if each were asked about each example by itself."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from contract import assert_close
from jaxrnn import inference
from jaxrnn.layers import stack
from jaxrnn.models import Classifier

RNG = np.random.default_rng(0)


def models(count):
    def make(key):
        rngs = nnx.Rngs(key)
        return Classifier(stack("gru", 3, [4], init="pytorch", rngs=rngs), 5, init="pytorch", rngs=rngs)

    return jax.vmap(make)(jax.random.split(jax.random.key(0), count))


@pytest.mark.parametrize("examples, batch", [(1, 4), (2, 1), (7, 3), (16, 4), (9, 512)])
def test_every_model_and_example_as_by_itself(examples, batch):
    """Also where the devices divide neither the examples nor the batches."""
    many, xs = models(3), RNG.normal(size=(examples, 6, 3)).astype(np.float32)
    ys = inference.over(lambda model, x: model(x), many, xs, batch=batch)
    assert ys.shape == (3, examples, 5)
    for run in range(3):
        one = jax.tree.map(lambda leaf, run=run: leaf[run], many)
        assert_close(ys[run], np.stack([one(jnp.asarray(x)) for x in xs]), 1e-6)


def test_examples_and_answers_may_be_trees():
    xs = {"a": np.arange(5, dtype=np.uint8), "b": np.ones((5, 2), np.float32)}
    ys = inference.over(lambda model, x: {"sum": model * x["a"] + x["b"].sum()}, jnp.array([1.0, 10.0]), xs, devices=1)
    assert ys["sum"].tolist() == [[2, 3, 4, 5, 6], [2, 12, 22, 32, 42]]


def test_accuracy_is_the_share_of_largest_logits_at_their_labels():
    logits = np.array([[[0.0, 1], [1, 0], [0, 1]], [[1, 0], [1, 0], [1, 0]]])
    labels = np.array([1, 0, 0])
    np.testing.assert_allclose(inference.accuracy(logits, labels), [2 / 3, 2 / 3])
    steps = np.stack([logits, 1 - logits], axis=2)
    np.testing.assert_allclose(inference.accuracy(steps, labels), [[2 / 3, 1 / 3], [2 / 3, 1 / 3]])
