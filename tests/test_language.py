"""What is read of a text, and what it costs: every character once, whatever the pieces, and sums done by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxrnn import language
from jaxrnn.cells import CELLS
from jaxrnn.errors import DataError
from jaxrnn.language import STATEFUL, contiguous, next_id, streams, windows
from jaxrnn.layers import stack
from jaxrnn.models import LanguageModel
from jaxrnn.train import Hparams

KEY = jax.random.key(0)
PLAIN = Hparams()
TOLD = jax.jit(lambda model, x, y: next_id(model, x, y, PLAIN, None))


def model_of(vocabulary=7, cell="lstm", widths=(5, 4)):
    rngs = nnx.Rngs(1)
    return LanguageModel(stack(cell, vocabulary, widths, rngs=rngs), rngs=rngs)


def text_of(length, vocabulary=7, seed=0):
    return np.random.default_rng(seed).integers(0, vocabulary, length).astype(np.uint8)


@pytest.mark.parametrize("cell", CELLS)
def test_an_id_is_a_one_hot_vector(cell):
    """In values and in gradients of all weights."""
    layers = stack(cell, 7, [5], rngs=nnx.Rngs(1))
    ids = text_of(12).reshape(2, 6)

    def total(layers, xs):
        return jnp.sum(jnp.sin(layers(xs)[1]))

    both = jax.jit(jax.value_and_grad(total))
    looked_up, multiplied = both(layers, jnp.asarray(ids)[..., None]), both(layers, jax.nn.one_hot(ids, 7))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), looked_up, multiplied)


def test_the_loss_is_equation_18():
    model, ids = model_of(), text_of(33).reshape(3, 11)
    x, y = ids[:, :-1], ids[:, 1:]
    logits = np.asarray(jax.jit(model)(x), np.float64)
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    truth = np.eye(7)[y]
    loss = np.array([-sum((truth[row, t] * np.log(p[row, t])).sum() for t in range(10)) / 10 for row in range(3)])
    found = TOLD(model, x, y)
    np.testing.assert_allclose(found["loss"], loss, rtol=1e-5)
    np.testing.assert_allclose(found["bits_per_character"], loss / np.log(2), rtol=1e-5)
    np.testing.assert_allclose(found["accuracy"], (p.argmax(-1) == y).mean(1), rtol=1e-6)


@pytest.mark.parametrize("chunk", [1, 7, 20, 500])
def test_what_is_held_out_is_told_once_each_whatever_the_chunks(chunk, monkeypatch):
    model, ids = model_of(), text_of(41)
    whole = TOLD(model, ids[None, :-1], ids[None, 1:])
    monkeypatch.setattr(language, "CHUNK", chunk)
    x, y = contiguous(ids[0], ids[1:], 7)
    assert x.shape == y.shape == (1, -(-40 // chunk), min(chunk, 40)) and x.dtype == np.uint8
    found = TOLD(model, x, y)
    for name, value in whole.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-5)


def test_windows_are_drawn_alike_from_every_place():
    ids = np.arange(50, dtype=np.uint8)
    stream = windows(ids, 3, steps=4)
    x, y = stream.draw(KEY, 47_000, jnp.asarray(stream.kept))
    assert x.shape == y.shape == (47_000, 3) and x.dtype == np.uint8 and stream.steps == 4
    np.testing.assert_array_equal(x, np.asarray(x[:, :1]) + np.arange(3))
    np.testing.assert_array_equal(y, np.asarray(x) + 1)
    counts = np.bincount(x[:, 0])
    assert len(counts) == 47 and np.asarray(y).max() == 49  # the last window ends with the last character
    assert ((counts - 1000) ** 2 / 1000).sum() < 100  # chi squared of 46 degrees of freedom: above it in 1 of 10,000


def test_the_shortest_text_has_one_window():
    x, y = windows(text_of(4), 3, 1).draw(KEY, 2, text_of(4))
    np.testing.assert_array_equal(x, [text_of(4)[:3]] * 2)
    with pytest.raises(DataError, match="the text has 3 characters to train on, and a sequence needs 4"):
        windows(text_of(3), 3, 1)


@settings(max_examples=30)
@given(st.integers(1, 4), st.integers(1, 5), st.integers(1, 3), st.integers(1, 60), st.integers(0, 99))
def test_streams_are_the_text_in_contiguous_parts(batch, length, passes, extra, seed):
    ids = text_of(batch * length + extra, seed=seed)
    starts = np.unique([0, *np.random.default_rng(seed).integers(0, len(ids), 3)])
    chunks = streams(ids, starts, batch, length, passes)
    read, anew = chunks.x
    steps = (len(ids) - 1) // (batch * length)
    assert chunks.steps == steps * passes
    assert read.shape == anew.shape == chunks.y.shape == (chunks.steps, batch, length)
    for one in range(passes):
        part = slice(one * steps, (one + 1) * steps)
        for values, expected in ((read, ids), (chunks.y, ids[1:])):
            np.testing.assert_array_equal(np.swapaxes(values[part], 0, 1).ravel(), expected[: steps * batch * length])
        begins = np.swapaxes(anew[part], 0, 1).reshape(batch, -1)
        assert begins[:, 0].all()
        places = np.flatnonzero(begins[:, 1:].ravel())
        expected = np.zeros(len(ids), bool)
        expected[starts] = True
        inner = expected[: steps * batch * length].reshape(batch, -1)[:, 1:]
        np.testing.assert_array_equal(places, np.flatnonzero(inner.ravel()))


def test_a_text_too_short_for_its_streams():
    assert streams(text_of(13), np.array([0]), 4, 3).steps == 1
    with pytest.raises(DataError, match="12 characters to train on, and 4 streams of 3 characters .* need 13"):
        streams(text_of(12), np.array([0]), 4, 3)


def test_a_state_goes_on_from_step_to_step_and_begins_anew_with_a_document():
    model, ids = model_of(), text_of(13)
    chunks = streams(ids, np.array([0, 5]), 1, 3)
    state, losses = STATEFUL.initial(model, 1), []
    learn = jax.jit(lambda state, x, y: STATEFUL.objective(model, state, x, y, PLAIN, KEY))
    for step in range(chunks.steps):
        x, y = jax.tree.map(lambda a, step=step: a[step], (chunks.x, chunks.y))
        found, state = learn(state, x, y)
        losses.append(found["loss"][0])

    def loss(part):
        return TOLD(model, ids[None, part], ids[None, part.start + 1 : part.stop + 1])["loss"][0]

    first, second = loss(slice(0, 5)), loss(slice(5, 12))
    np.testing.assert_allclose(np.mean(losses), (5 * first + 7 * second) / 12, rtol=1e-5)
