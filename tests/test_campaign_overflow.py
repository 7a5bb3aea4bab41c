"""The continuous share of the campaign's overflowing numbers: 24 runs in each way of training."""

import jax.numpy as jnp
import optax
import pytest

from campaign import overflow
from campaign.overflow import PLACES, WAYS, Way, runs_of
from jaxrnn import train


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS, ids=lambda way: f"{way.data}, {way.runs} on {way.devices}")
def test_a_harmed_run_fails_at_its_step_alone(way):
    tried = list(runs_of(way, 24))
    assert not [one for one in tried if one.lost]
    assert len(tried) == 24 and len({one.what.split(" in the ")[1].split(" (")[0] for one in tried}) == len(PLACES)


def test_every_kind_of_data_is_trained_on():
    assert {way.data for way in WAYS} == {"examples", "stream", "chunks", "buckets"}
    for field in ("runs", "devices", "clip", "watch"):
        assert len({getattr(way, field) for way in WAYS}) > 1


def test_a_gradient_that_is_not_looked_at_is_lost(monkeypatch):
    monkeypatch.setattr(train, "global_norm", lambda tree: jnp.zeros(()))
    monkeypatch.setattr(optax.tree, "norm", lambda tree, **options: jnp.zeros(()))
    lost = [one.lost for one in runs_of(Way("examples", runs=3), 60) if one.lost]
    assert any("it has weights that are not finite" in words for words in lost)
    assert any("it failed at step" in words for words in lost)


def test_harms_repeat_with_the_seed():
    one, again = ([try_.what for try_ in runs_of(overflow.WAYS[2], 3, seed=5)] for _ in range(2))
    assert one == again
