"""The benchmark's language models but for their clock: what is measured, and that both libraries compute the same."""

from dataclasses import replace

import jax
import numpy as np
import pytest
from flax import nnx

from experiments import benchmark_text, measuring
from experiments.benchmark_text import QUICK_TEXTS, TEXTS, flops, learners, measure, model, task, torch_writer, writer
from experiments.texts import TextSettings
from jaxrnn.models import parameter_count
from jaxrnn.train import Hparams
from test_benchmark import traced

SMALL = QUICK_TEXTS["char_lm"]._replace(vocabulary=11, time=5)


def test_the_network_is_the_one_that_was_asked_for():
    for scale in TEXTS.values():
        made = nnx.eval_shape(lambda scale=scale: task(scale).make_model(nnx.Rngs(0), Hparams()))
        assert scale.sizes == "87 -> 128 -> 128 -> 87"
        assert parameter_count(made) == 4 * 128 * (87 + 128 + 2) + 4 * 128 * (128 + 128 + 2) + 129 * 87
    defaults, ours = TextSettings(), benchmark_text.settings(TEXTS["char_lm"])
    assert ours == defaults


def test_operations_are_those_of_the_traced_step():
    def loss(model, x, y):
        return task(SMALL).objective(model, x, y, Hparams(), None)["loss"].mean()

    made = nnx.eval_shape(lambda: task(SMALL).make_model(nnx.Rngs(0), Hparams()))
    ids = jax.ShapeDtypeStruct((SMALL.batch, SMALL.time), np.int32)
    assert traced(jax.make_jaxpr(jax.grad(loss))(made, ids, ids)) == flops(SMALL)


def test_pytorch_writes_the_same_where_it_is_sure():
    pytest.importorskip("torch", reason="writes with PyTorch itself")
    scale = SMALL._replace(kind="writing", temperature=1e-6)
    made = model(scale)
    ours, torch = writer(made, scale), torch_writer(made, scale)
    for steps in (7, 5):
        np.testing.assert_array_equal(ours(steps), torch(steps))


@pytest.mark.slow
def test_pytorch_takes_the_same_steps(monkeypatch):
    pytest.importorskip("torch", reason="trains with PyTorch itself")
    windows = benchmark_text.language.windows

    def one_batch(ids, length, steps):
        stream = windows(ids, length, steps)
        return replace(stream, draw=lambda key, n, ids: stream.draw(jax.random.key(0), n, ids))

    monkeypatch.setattr(benchmark_text.language, "windows", one_batch)
    _, trainers = learners(SMALL)
    ours, torch = ([trainers[library](1) for _ in range(10)] for library in ("ours", "torch"))
    assert ours[-1] < ours[0]
    np.testing.assert_allclose(ours, torch, rtol=1e-4)


@pytest.mark.parametrize(
    "row, unit, each", [("generate", "us", 2000), ("generate_64", "us", 250), ("char_lm", "ms", 2)]
)
def test_a_character_of_many_texts_costs_its_share(row, unit, each, monkeypatch):
    idle = {"ours": lambda steps: 0.0}
    monkeypatch.setattr(benchmark_text, "writers", lambda scale, devices: (5, idle))
    monkeypatch.setattr(benchmark_text, "learners", lambda scale, devices: (5, idle))
    monkeypatch.setattr(measuring, "race", lambda trainers, steps, rounds: {"ours": [2.0] * rounds})
    measured, _, _ = measure(row, QUICK_TEXTS[row], 3)
    assert measured.unit == unit and measured.times == {"ours": [each] * 3}
