"""The benchmark's reviews but for their clock: that they are the command's, as long as IMDB's, and what is trained."""

import jax
import numpy as np
import pytest
from flax import nnx

from experiments import benchmark_reviews, imdb_gru
from experiments.benchmark_reviews import DECILES, FEW, Scale, reading, reviews, settings, skipping, task, unparted
from jaxrnn.data.tokens import PADDING
from jaxrnn.models import parameter_count
from jaxrnn.train import Hparams, steps_per_epoch

FULL = Scale()


def test_the_network_is_that_of_the_command():
    assert settings(FULL) == imdb_gru.Settings(mask=True)
    made = nnx.eval_shape(lambda: task(FULL).make_model(nnx.Rngs(0), Hparams()))
    assert parameter_count(made) == 789_761 + 256 * 20_002
    assert made.padding == PADDING
    unmasked = nnx.eval_shape(lambda: task(FULL, mask=False).make_model(nnx.Rngs(0), Hparams()))
    assert unmasked.padding is None
    network = benchmark_reviews.network_of(FULL)
    assert (network.optimiser, network.learning_rate) == ("adamw_torch", 1e-4)


def test_reviews_are_as_long_as_imdbs_and_read_in_as_many_steps():
    data = reviews(FULL)
    assert len(data.parts) == 8 and all(len(x) == len(y) and len(x) % 128 == 0 for x, y in data.parts)
    assert sum(data.batches(128)) == FULL.steps == steps_per_epoch(task(FULL), data)
    lengths = np.concatenate([(x != PADDING).sum(1) for x, _ in data.parts])
    assert lengths.mean() == pytest.approx(205.8, rel=0.02) and lengths.min() >= DECILES[0]
    assert (lengths == 400).mean() == pytest.approx(0.131, rel=0.1)
    steps = np.concatenate([np.full(len(x), x.shape[1]) for x, _ in data.parts])
    assert steps.mean() == pytest.approx(227.7, rel=0.02)  # of IMDB's own 25,000, in batches of which some are short
    assert max(x.max() for x, _ in data.parts) == 20_001


def test_the_floor_is_that_of_the_words_alone():
    padded = reading(FULL).work().operations
    assert skipping(FULL).work().operations / padded == pytest.approx(205.8 / 400, rel=0.01)


def test_pytorch_has_the_same_reviews_at_their_full_length():
    data = reviews(FEW)
    batches = unparted(data, FEW)
    assert [x.shape for x, _ in batches] == [(8, 20)] * 4 and min(x.shape[1] for x, _ in data.parts) < 20

    def told(batches):
        return sorted((x[x != PADDING].tolist(), int(y)) for xs, ys in batches for x, y in zip(xs, ys, strict=True))

    assert told(batches) == told(data.parts)
    assert all((np.diff((x != PADDING).astype(int)) >= 0).all() for x, _ in batches)  # the padding stands in front


def test_ours_trains_in_buckets_on_several_devices():
    row = skipping(FEW._replace(batch=64, steps=5))
    assert len(row.data().parts) == 2 and jax.local_device_count() == 2
    with row.contestants(libraries=()) as (models, trainers):
        assert parameter_count(models[0]) == 50 * 8 + 4 * 3 * 8 * 9 + 9
        losses = [trainers["ours"](5) for _ in range(2)]
    assert 0 < losses[1] < losses[0] < 1


def test_a_review_costs_its_share_of_a_step_and_long_turns_are_few():
    row = benchmark_reviews.rows(quick=False)["imdb_gru"]
    assert row.each == 128 and row.rounds == 5
    assert {library: row.turn(library) for library in ("ours", *row.peers)} == {
        "ours": 20,
        "torch": 3,
        "torch_packed": 1,
    }
