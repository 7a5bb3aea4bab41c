"""A state carried from step to step: truncated backpropagation through time, on any devices, resumed or not."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from contract import assert_close, float64
from jaxrnn import train
from jaxrnn.layers import stack
from jaxrnn.models import LanguageModel
from jaxrnn.train import Chunks, Hparams, Stateful, Stream, Task, Trainer, fit, segment, start

V, H, BATCH = 5, 3, 4
IDS = np.random.default_rng(0).integers(0, V, (BATCH, 25)).astype(np.int32)


def losses(logits, ids):
    return optax.softmax_cross_entropy_with_integer_labels(logits, ids).mean(-1)


def objective(model, x, y, hparams, key):
    return {"loss": losses(model(x), y)}


def carried(model, state, x, y, hparams, key):
    state, logits = model.read(x, carry=state)
    return {"loss": losses(logits, y)}, state


def make_model(rngs, hparams):
    return LanguageModel(stack("lstm", V, [H], init="pytorch", rngs=rngs), init="pytorch", rngs=rngs)


def task(batch=BATCH, optimiser=optax.sgd):
    stateful = Stateful(lambda model, n: model.initial_carry((n,)), carried)
    return Task(make_model, objective, lambda hparams: optimiser(hparams.learning_rate), batch, stateful)


def chunks(length, ids=IDS):
    """The rows' characters but the last in chunks of so many, and what follows each of them."""
    steps = (ids.shape[1] - 1) // length

    def cut(rows):
        return rows[:, : steps * length].reshape(len(ids), steps, length).swapaxes(0, 1)

    return Chunks(cut(ids[:, :-1]), cut(ids[:, 1:]))


def steps_of(data, rate, count, run=None, first=0):
    made, hparams = task(), Hparams(learning_rate=rate)
    data = jax.tree.map(jnp.asarray, data)
    x, y = jax.tree.map(lambda a: a[0, :1], (data.x, data.y))
    run = start(made, jax.random.key(0), hparams, (x, y)) if run is None else run
    return segment(made, run, hparams, data, jnp.int32(0), jnp.int32(first), jnp.int32(count))


@pytest.mark.parametrize("length", [1, 4, 8])
def test_chunks_with_a_carried_state_are_the_whole(length):
    """With weights that stay, the losses of all chunks are those of one pass over the rows."""
    run = steps_of(chunks(length), 0.0, 24 // length)
    whole = objective(run.model, IDS[:, :-1], IDS[:, 1:], None, None)["loss"].sum()
    np.testing.assert_allclose(run.totals["loss"] * length / 24, whole, rtol=1e-5)
    (h, c), _ = run.model.layers.layers[0](jnp.asarray(IDS[:, :-1])[..., None])
    assert_close(run.state, ((h, c),), 1e-5)


def test_a_chunk_as_long_as_the_rows_is_backpropagation_in_full():
    with float64():
        run = steps_of(chunks(24), 0.1, 1)
        begun = start(task(), jax.random.key(0), Hparams(), (IDS[:1, :-1], IDS[:1, 1:]))

        def loss(model):
            return objective(model, jnp.asarray(IDS[:, :-1]), jnp.asarray(IDS[:, 1:]), None, None)["loss"].mean()

        slopes = jax.grad(loss)(begun.model)
        assert_close(run.model, jax.tree.map(lambda p, g: p - 0.1 * g, begun.model, slopes), 1e-12)


def test_the_gradient_is_cut_at_the_chunks_and_the_state_is_not():
    with float64():
        halves = chunks(12)
        first = steps_of(halves, 0.1, 1)
        both = steps_of(halves, 0.1, 1, first, 1)
        x, y = jnp.asarray(halves.x[1]), jnp.asarray(halves.y[1])
        slopes = jax.grad(lambda model: carried(model, first.state, x, y, None, None)[0]["loss"].mean())(first.model)
        assert_close(both.model, jax.tree.map(lambda p, g: p - 0.1 * g, first.model, slopes), 1e-12)
        alone = jax.grad(lambda model: objective(model, x, y, None, None)["loss"].mean())(first.model)
        assert any(np.abs(a - b).max() > 1e-4 for a, b in zip(*map(jax.tree.leaves, (slopes, alone)), strict=True))


def test_every_epoch_begins_with_the_initial_state():
    data = chunks(8)
    first, again = steps_of(data, 0.0, 3), steps_of(data, 0.0, 3, steps_of(data, 0.0, 3))
    assert_close(again.state, first.state, 0)
    np.testing.assert_array_equal(again.totals["loss"], first.totals["loss"])


def test_devices_and_breaks_change_nothing(monkeypatch):
    """64 rows on one device and on two, to rounding; a run that is stopped amid an epoch and goes on, to the bit."""
    ids = np.random.default_rng(1).integers(0, V, (64, 21)).astype(np.int32)
    made, hparams, keys = task(64), Hparams(learning_rate=0.5), jax.random.split(jax.random.key(0), 1)
    data = chunks(4, ids)
    one, two = (
        fit(made, keys, hparams, data, epochs=2, devices=devices, progress=False).progress for devices in (1, 2)
    )
    assert_close(two.runs.model, one.runs.model, 1e-5)
    assert_close(two.runs.state, one.runs.state, 1e-5)

    trainer = Trainer(made, 1, hparams, data, devices=2)
    monkeypatch.setattr(train, "SEGMENT_SECONDS", 0.0)  # a segment is one step
    asked = iter([False, False, False, True])
    stopped = trainer(keys, hparams, epochs=2, stop=lambda: next(asked))
    assert not stopped.finished and stopped.progress.step == 3
    resumed = trainer(keys, hparams, epochs=2, resume=stopped.progress).progress
    assert_close(resumed.runs.model, two.runs.model, 0)
    assert_close(resumed.runs.state, two.runs.state, 0)


def test_runs_side_by_side_are_the_runs_alone():
    made, hparams = task(optimiser=optax.adam), Hparams(learning_rate=np.array([0.1, 0.01]))
    keys = jax.random.split(jax.random.key(3), 2)
    together = fit(made, keys, hparams, chunks(6), epochs=2, devices=1, progress=False).progress.runs
    for number in range(2):
        rate = Hparams(learning_rate=hparams.learning_rate[number])
        alone = fit(made, keys[number], rate, chunks(6), epochs=2, devices=1, progress=False).progress.runs
        assert_close(jax.tree.map(lambda a, number=number: a[number], together.model), alone.model, 1e-5)
        assert_close(jax.tree.map(lambda a, number=number: a[number], together.state), alone.state, 1e-5)


def test_a_stream_may_draw_from_arrays_that_are_kept():
    def draw(key, n, kept):
        places = jax.random.randint(key, (n,), 0, IDS.shape[1] - 4)
        windows = kept[places[:, None] + jnp.arange(4)]
        return windows[:, :-1], windows[:, 1:]

    plain = Task(make_model, objective, lambda hparams: optax.sgd(hparams.learning_rate), BATCH)
    kept = Stream(draw, 3, kept=IDS[0])
    closed = Stream(lambda key, n: draw(key, n, jnp.asarray(IDS[0])), 3)
    runs = [
        fit(plain, jax.random.key(0), Hparams(), data, epochs=1, progress=False).progress.runs.model
        for data in (kept, closed)
    ]
    assert_close(*runs, 0)
    assert len(jax.tree.leaves(kept)) == 1


@pytest.mark.parametrize("x, y", [((3, 2, 4), (3, 2, 4)), ((3, BATCH, 4), (2, BATCH, 4)), ((0, BATCH, 4),) * 2])
def test_chunks_that_do_not_fit_are_named(x, y):
    with pytest.raises(ValueError, match=r"train must be chunks \(steps, 4, ...\) for a batch of 4, not "):
        Trainer(task(), 1, Hparams(), Chunks(np.zeros(x, np.int32), np.zeros(y, np.int32)))
