"""Batches of like length: the data in another order, each batch with the value and the gradient of the padded one."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from contract import assert_close, float64
from jaxrnn import train
from jaxrnn.buckets import bucketed
from jaxrnn.layers import stack
from jaxrnn.models import TextClassifier
from jaxrnn.train import (
    Buckets,
    Hparams,
    Task,
    Trainer,
    binary_cross_entropy,
    evaluate,
    example_of,
    fit,
    segment,
    start,
)

V, D, H, T, N, BATCH = 9, 3, 4, 12, 50, 8
DRAW = np.random.default_rng(0)
LENGTHS = DRAW.integers(0, T + 1, N)
X = np.where(np.arange(T) < T - LENGTHS[:, None], 0, DRAW.integers(1, V, (N, T))).astype(np.uint8)
Y = DRAW.integers(0, 2, N).astype(np.int32)
WHOLE, PARTED = (X, Y), bucketed(X, Y, 3, 0)


def make_model(rngs, hparams):
    return TextClassifier(V, stack("gru", D, [H], rngs=rngs), 1, padding=0, rngs=rngs)


def objective(model, x, y, hparams, key):
    """Beside the cost, a number that tells the examples apart, by their labels and lengths."""
    return binary_cross_entropy(model, x, y, hparams, key) | {"mark": 1.0 + y + (x != 0).sum(-1)}


def task(batch=BATCH, optimiser=optax.sgd):
    return Task(make_model, objective, lambda hparams: optimiser(hparams.learning_rate), batch)


def quiet_fit(keys, data=PARTED, **options):
    options = {"epochs": 2, "evals": {"test": PARTED}, "progress": False} | options
    return fit(options.pop("task", task()), keys, Hparams(learning_rate=0.1), data, **options)


def keys(count):
    return jax.random.split(jax.random.key(7), count)


def bits(fitted):
    runs = fitted.progress.runs
    return jax.tree.leaves(jax.device_get(runs._replace(key=jax.random.key_data(runs.key))))


def without_seconds(fitted):
    return [{k: v for k, v in row.items() if k != "seconds"} for row in fitted.progress.history]


def test_there_are_parts_of_several_lengths():
    assert [x.shape[1] for x, _ in PARTED.parts] == sorted({x.shape[1] for x, _ in PARTED.parts})
    assert len(PARTED.parts) == 3 and PARTED.parts[-1][0].shape[1] == T


@pytest.mark.parametrize("part", range(3))
def test_a_batch_has_the_gradient_of_the_same_rows_padded_to_the_end(part):
    """One step of SGD on a part by itself, against plain `jax.grad` on its rows at their full length."""
    with float64():
        x, y = PARTED.parts[part]
        padded = jnp.asarray(np.pad(x, ((0, 0), (T - x.shape[1], 0))))
        whole = task(len(y))
        run = start(whole, jax.random.key(0), Hparams(learning_rate=1.0), (padded[:1], y[:1]))

        def loss(model):
            return objective(model, padded, jnp.asarray(y), Hparams(), None)["loss"].mean()

        value, gradient = jax.value_and_grad(loss)(run.model)
        data = Buckets(((jnp.asarray(x), jnp.asarray(y)),))
        after = segment(whole, run, Hparams(learning_rate=1.0), data, *map(jnp.int32, (0, 0, 1)))
        assert_close(after.totals["loss"] / len(y), value)
        for old, new, slope in zip(*map(jax.tree.leaves, (run.model, after.model, gradient)), strict=True):
            assert_close(old - new, slope)


@pytest.mark.parametrize("devices", [1, 2])
def test_every_epoch_has_every_example_once(devices):
    fitted = quiet_fit(keys(1), devices=devices, epochs=3, task=task(64 if devices == 2 else BATCH))
    mean = objective(make_model(nnx.Rngs(0), None), *map(jnp.asarray, WHOLE), Hparams(), None)["mark"].mean()
    assert [row["train_mark"] for row in fitted.progress.history] == [pytest.approx(float(mean), rel=1e-6)] * 3


def test_the_order_of_the_parts_is_the_epoch_s_and_that_of_the_examples_the_run_s():
    turns = [train._turns(task(), PARTED, jnp.int32(epoch)) for epoch in (0, 1)]
    count = train.steps_per_epoch(task(), PARTED)
    orders = [[int(turn(step)[0]) for step in range(count)] for turn in turns]
    assert orders[0] != orders[1] and sorted(orders[0]) == sorted(orders[1])
    assert [orders[0].count(part) for part in range(3)] == PARTED.batches(BATCH)
    one, other = (train._batches(task(), PARTED, key, jnp.arange(BATCH))[2](0)[0][0] for key in keys(2))
    assert (np.asarray(one) != np.asarray(other)).any()


def test_parted_or_not_the_evaluation_is_the_same():
    with float64():
        model = make_model(nnx.Rngs(3), None)
        whole, parted = (
            evaluate(task(), model, Hparams(), jax.tree.map(jnp.asarray, data), batch=7) for data in (WHOLE, PARTED)
        )
        assert whole.keys() == parted.keys()
        for name in whole:
            assert_close(whole[name], parted[name])


def test_runs_side_by_side_work_on_one_part_a_step():
    """A switch whose index differed between the runs would be all parts at once."""
    run = jax.vmap(lambda key: start(task(), key, Hparams(), example_of(PARTED)))(keys(2))
    data = jax.tree.map(jnp.asarray, PARTED)
    advance = jax.vmap(lambda run: segment(task(), run, Hparams(), data, *map(jnp.int32, (0, 0, 1))))
    assert "stablehlo.case" in jax.jit(advance).lower(run).as_text()


@pytest.mark.slow
def test_a_run_among_others_is_the_run_alone():
    together = quiet_fit(keys(5))
    for i in range(5):
        alone = quiet_fit(keys(5)[i])
        models = (jax.tree.leaves(fitted.progress.runs.model) for fitted in (together, alone))
        for a, b in zip(*models, strict=True):
            assert np.abs(np.asarray(a)[i] - np.asarray(b)).max() < 1e-5


def test_two_devices_give_the_gradients_of_one():
    with float64():
        fits = [quiet_fit(keys(1), task=task(64), epochs=1, devices=devices) for devices in (1, 2)]
        for one, two in zip(*(jax.tree.leaves(each.progress.runs.model) for each in fits), strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-11, atol=1e-13)


def test_stopped_amid_an_epoch_it_goes_on_to_the_same_bits(monkeypatch):
    monkeypatch.setattr(train, "SEGMENT_SECONDS", 1e-9)  # a step a segment
    whole = quiet_fit(keys(2))
    steps, kept = iter(range(100)), []
    stopped = quiet_fit(
        keys(2), stop=lambda: next(steps) == 4, save=lambda progress: kept.append(jax.tree.map(jnp.array, progress))
    )
    assert not stopped.finished and kept[-1].step == 4
    resumed = quiet_fit(keys(2), resume=kept[-1])
    assert all(np.array_equal(a, b) for a, b in zip(bits(whole), bits(resumed), strict=True))
    assert without_seconds(whole) == without_seconds(resumed)


def test_nothing_compiles_from_epoch_to_epoch(caplog):
    trainer = Trainer(task(), 2, Hparams(), PARTED, evals={"test": PARTED})
    trainer(keys(2), Hparams(), epochs=1)
    with jax.log_compiles(), caplog.at_level("WARNING"):
        trainer(keys(2), Hparams(), epochs=3)
    assert not [record for record in caplog.records if "Finished XLA compilation" in record.message]


def test_a_part_without_examples_is_an_error():
    with pytest.raises(ValueError, match="train must hold as many inputs as labels, and at least one"):
        quiet_fit(keys(1), Buckets((WHOLE, (X[:0], Y[:0]))))


def test_the_longest_part_says_what_an_example_is():
    x, _ = example_of(PARTED)
    assert x.shape == (1, T)


cross = partial(binary_cross_entropy, lambda x, **options: x, hparams=Hparams(), key=None)


def test_a_logit_that_is_no_number_is_never_right():
    said = cross(np.array([[np.nan], [np.nan], [0.0], [0.0]]), y=np.array([0, 1, 0, 1]))
    assert said["accuracy"].tolist() == [0, 0, 1, 0] and said["error"].tolist() == [1, 1, 0, 1]


def test_binary_cross_entropy_is_pytorch_s():
    torch = pytest.importorskip("torch")
    logits, labels = DRAW.normal(0, 9, 40), DRAW.integers(0, 2, 40)
    with float64():
        found = cross(x=jnp.asarray(logits)[:, None], y=jnp.asarray(labels))
        (slope,) = jax.grad(lambda z: cross(x=z, y=jnp.asarray(labels))["loss"].sum(), argnums=(0,))(
            jnp.asarray(logits)[:, None]
        )
    z = torch.tensor(logits, requires_grad=True)
    loss = torch.nn.functional.binary_cross_entropy_with_logits(z, torch.tensor(labels).double(), reduction="none")
    loss.sum().backward()
    assert_close(found["loss"], loss.detach().numpy())
    assert_close(slope[:, 0], z.grad.numpy())
    np.testing.assert_array_equal(found["accuracy"], (logits > 0) == (labels == 1))
    np.testing.assert_array_equal(found["error"], 1 - np.asarray(found["accuracy"]))
