"""The benchmark's language models but for their clock: that they are the command's, and what is written."""

import numpy as np
import pytest
from flax import nnx

from experiments import benchmark_text
from experiments.benchmark_text import Scale, Writer, network_of, settings, task, training
from experiments.texts import TextSettings
from jaxrnn.models import parameter_count
from jaxrnn.train import Hparams


def test_the_network_is_the_command_s():
    made = nnx.eval_shape(lambda: task(Scale(64, 20)).make_model(nnx.Rngs(0), Hparams()))
    assert parameter_count(made) == 4 * 128 * (87 + 128 + 2) + 4 * 128 * (128 + 128 + 2) + 129 * 87
    assert settings(Scale(64, 20)) == TextSettings()
    network = network_of(Scale(64, 20))
    assert (network.optimiser, network.learning_rate, network.clip_norm) == ("rmsprop_torch", 2e-3, 5.0)


def test_the_peers_read_one_hot_vectors_of_what_ours_reads():
    row = training(Scale(batch=3, steps=2, vocabulary=11, hidden=4, time=5))
    (x, y), _ = row.batches()
    assert x.shape == (3, 5, 11) and (x.sum(-1) == 1).all() and x.dtype == np.float32
    np.testing.assert_array_equal(x.argmax(-1)[:, 1:], y[:, :-1])
    assert int(row.data().kept.max()) < 10  # an id is left for what is not known


def test_a_character_of_many_texts_costs_its_share():
    full = benchmark_text.rows(quick=False)
    assert [2000 / 1e3 / full[name].each for name in ("generate", "generate_64")] == pytest.approx([2000, 31.25])


def test_a_writer_goes_on_where_it_ended():
    scale = Scale(batch=2, steps=10, vocabulary=11, hidden=4)
    whole, parts = Writer(scale), Writer(scale)
    assert whole.write(1).shape == (2, 1)
    assert 0 <= parts(4) < 11
