"""The benchmark's reviews but for their clock: what is measured, and that all who train compute the same."""

import jax
import numpy as np
import pytest
from flax import nnx

from experiments import benchmark_reviews, imdb_gru, measuring
from experiments.benchmark_reviews import (
    DECILES,
    QUICK_REVIEWS,
    REVIEWS,
    behind,
    contestants,
    measure,
    reviews,
    settings,
    task,
    unparted,
)
from experiments.measuring import Ours
from jaxrnn.data.tokens import PADDING
from jaxrnn.models import parameter_count
from jaxrnn.study import hparams_of
from jaxrnn.train import Hparams, steps_per_epoch

(FULL,) = REVIEWS.values()
TINY = QUICK_REVIEWS["imdb_gru"]._replace(batch=64, turns={"ours": 1, "torch": 1, "torch_packed": 1}, buckets=1)
"""One batch is all there is: whatever the order of the data, all who train see the same."""


def test_the_network_is_that_of_the_command():
    assert settings(FULL) == imdb_gru.Settings(mask=True)
    made = nnx.eval_shape(lambda: task(settings(FULL), FULL).make_model(nnx.Rngs(0), Hparams()))
    assert parameter_count(made) == 789_761 + 256 * 20_002
    assert made.padding == PADDING and FULL.sizes == "20,002 ids -> 256 -> 256 -> 256 -> 1, up to 400 words"


def test_reviews_are_as_long_as_imdbs_and_read_in_as_many_steps():
    data = reviews(FULL)
    assert len(data.parts) == 8 and all(len(x) == len(y) and len(x) % 128 == 0 for x, y in data.parts)
    assert sum(data.batches(128)) == FULL.turns["ours"] == steps_per_epoch(task(settings(FULL), FULL), data)
    lengths = np.concatenate([(x != PADDING).sum(1) for x, _ in data.parts])
    assert lengths.mean() == pytest.approx(205.8, rel=0.02) and lengths.min() >= DECILES[0]
    assert (lengths == 400).mean() == pytest.approx(0.131, rel=0.1)
    steps = np.concatenate([np.full(len(x), x.shape[1]) for x, _ in data.parts])
    assert steps.mean() == pytest.approx(227.7, rel=0.02)  # of IMDB's own 25,000, in batches of which some are short
    assert max(x.max() for x, _ in data.parts) == 20_001


def test_pytorch_has_the_same_reviews_at_their_full_length():
    scale = QUICK_REVIEWS["imdb_gru"]
    data = reviews(scale)
    batches = unparted(data, scale)
    assert [x.shape for x, _ in batches] == [(8, 20)] * 4 and min(x.shape[1] for x, _ in data.parts) < 20

    def told(batches):
        return sorted((x[x != PADDING].tolist(), int(y)) for xs, ys in batches for x, y in zip(xs, ys, strict=True))

    assert told(batches) == told(data.parts)
    assert all((np.diff((x != PADDING).astype(int)) >= 0).all() for x, _ in batches)  # the padding stands in front


def test_rows_are_turned_so_that_their_padding_is_behind():
    rows, lengths = behind(np.array([[0, 0, 3, 1], [4, 1, 2, 5], [0, 0, 0, 7]]))
    assert rows.tolist() == [[3, 1, 0, 0], [4, 1, 2, 5], [7, 0, 0, 0]] and lengths.tolist() == [2, 4, 1]


def test_pytorch_takes_the_same_steps():
    pytest.importorskip("torch", reason="trains with PyTorch itself")
    data, unmasked = reviews(TINY), settings(TINY, mask=False)
    assert [x.shape for x, _ in data.parts] == [(64, 20)]
    _, trainers = contestants(TINY)
    trainers["unmasked"] = Ours(task(unmasked, TINY), data, hparams=hparams_of(unmasked))
    losses = {name: [train(1) for _ in range(4)] for name, train in trainers.items()}
    np.testing.assert_allclose(losses["ours"], losses["torch_packed"], rtol=1e-5)
    np.testing.assert_allclose(losses["unmasked"], losses["torch"], rtol=1e-5)
    assert losses["ours"][-1] < losses["ours"][0] and abs(losses["ours"][0] - losses["unmasked"][0]) > 1e-3


def test_ours_trains_in_buckets_on_several_devices():
    scale = TINY._replace(turns={"ours": 5}, buckets=2)
    assert len(reviews(scale).parts) == 2
    parameters, trainers = contestants(scale)
    assert parameters == 50 * 8 + 4 * 3 * 8 * 9 + 9 and jax.local_device_count() == 2
    losses = [trainers["ours"](5) for _ in range(2)]
    assert 0 < losses[1] < losses[0] < 1


def test_a_review_costs_its_share_of_a_step(monkeypatch):
    turns = []
    idle = {library: lambda steps, library=library: turns.append((library, steps)) for library in FULL.turns}
    monkeypatch.setattr(benchmark_reviews, "contestants", lambda scale, devices: (5, idle))
    race = measuring.race

    def timeless(trainers, steps, rounds):
        assert race(trainers, steps, 1).keys() == trainers.keys()
        return {"ours": [128.0] * rounds, "torch": [256.0] * rounds, "torch_packed": [1280.0] * rounds}

    monkeypatch.setattr(measuring, "race", timeless)
    measured, _, _ = measure("imdb_gru", FULL, 3)
    assert measured.unit == "ms_review" and measured.parameters == 5
    assert measured.times == {"ours": [1.0] * 3, "torch": [2.0] * 3, "torch_packed": [10.0] * 3}
    assert turns == [
        *[("ours", 1), ("torch", 1), ("torch_packed", 1)],
        *[("ours", 2), ("ours", 20), ("torch", 2), ("torch", 3), ("torch_packed", 1), ("torch_packed", 1)],
    ]
