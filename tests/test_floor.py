"""The floor but for its clock: what is counted of a training step, by hand and beside the traced program."""

import math

import jax
import numpy as np
import pytest
from flax import nnx

from experiments import benchmark_reviews, benchmark_steps, benchmark_text, floor
from experiments.benchmark_steps import MNIST, images, long, palindromes_of
from experiments.floor import NUMBER, Speeds, Work, training
from experiments.measuring import Shape
from experiments.peers import Network
from jaxrnn.cells import CELLS
from jaxrnn.models import parameter_count
from jaxrnn.train import Hparams, example_of

TINY = Shape(batch=64, time=5, features=6, hidden=7, classes=3, examples=64, steps=1)


@pytest.mark.parametrize(
    "cell, products",
    [  # 28 steps x 2 x 128 rows x (2 x 28 x gates*150 + 3 x 150 x gates*150), and 3 x 2 x 128 x 150 x 10 for the head
        ("elman", 7_168 * (2 * 4_200 + 3 * 22_500) + 1_152_000),
        ("elman_relu", 545_203_200),
        ("jordan", 7_168 * (2 * 4_200 + 3 * 2 * 22_500) + 1_152_000),
        ("gru", 1_633_305_600),
        ("lstm", 2_177_356_800),
        ("time_gated_lstm", 2_177_356_800),
    ],
)
def test_operations_of_a_training_step(cell, products):
    assert images(cell, MNIST).work().operations == products


def test_operations_by_hand_of_a_small_step():
    # forward: 2 steps x (2*5*3*4 + 2*5*4*4) + 2*5*4*2; backward: twice that, less the gradient of the images
    assert training(Network("elman", 3, 4, 2), 5, 2).operations == 3 * (2 * (120 + 160) + 80) - 2 * 120


def test_operations_of_palindromes():
    # 10 steps x (2 x 10 x 128, and 3 x 128 x 128), and the head once
    work = palindromes_of("elman", benchmark_steps.DIGITS).work()
    assert work.operations == 2 * 128 * (10 * (2560 + 49_152) + 3 * 1280)


def small_rows():
    text = benchmark_text.Scale(batch=8, steps=1, vocabulary=11, hidden=7, time=5)
    review = benchmark_reviews.FEW._replace(steps=1, buckets=1)
    return {
        **{cell: images(cell, TINY) for cell in CELLS},
        "layers": images("gru", TINY, layers=3),
        "palindrome": palindromes_of("lstm", TINY._replace(features=10, classes=10)),
        "long": long(TINY),
        "char_lm": benchmark_text.training(text),
        "imdb_gru_padded": benchmark_reviews.reading(review),
    }


@pytest.mark.parametrize("name", small_rows())
def test_operations_are_those_of_the_traced_step(name):
    row = small_rows()[name]
    task = row.task
    hparams = Hparams()
    batch = jax.tree.map(lambda a: jax.ShapeDtypeStruct((task.batch, *a.shape[1:]), a.dtype), example_of(row.data()))
    model = nnx.eval_shape(lambda: task.make_model(nnx.Rngs(0), hparams))

    def loss(model, x, y):
        return task.objective(model, x, y, hparams, None)["loss"].mean()

    assert traced(jax.make_jaxpr(jax.grad(loss))(model, *batch)) == row.work().operations
    assert parameter_count(model) == floor.parameters(row.network)


def traced(jaxpr):
    """The operations of the matrix products in a traced program, those in a loop as often as it turns."""
    if isinstance(jaxpr, list | tuple):
        return sum(map(traced, jaxpr))
    total = 0
    for equation in getattr(getattr(jaxpr, "jaxpr", jaxpr), "eqns", ()):
        if equation.primitive.name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            inner = [equation.invars[0].aval.shape[axis] for axis in contracted]
            total += 2 * math.prod(inner) * equation.outvars[0].aval.size
        total += equation.params.get("length", 1) * traced(list(equation.params.values()))
    return total


@pytest.mark.parametrize(
    "cell, optimiser, arrays, states", [("gru", "adam", 3, 1), ("lstm", "adam", 3, 2), ("elman", "rmsprop_torch", 2, 1)]
)
def test_bytes_are_those_of_weights_inputs_and_states(cell, optimiser, arrays, states):
    network = Network(cell, 6, 7, 3, layers=2, optimiser=optimiser)
    gates = {"gru": 3, "lstm": 4, "elman": 1}[cell]
    weights = gates * 7 * (6 + 7 + 2) + gates * 7 * (7 + 7 + 2) + 7 * 3 + 3
    moved = 2 * NUMBER * (weights * arrays + 64 * 5 * 2 * 7 * states) + 64 * 5 * 24
    assert training(network, 64, 5, inputs=24).bytes == moved


def test_the_floor_is_the_longer_of_the_two_times():
    speeds = Speeds(operations=1e9, bytes=1e8)
    assert floor.floor(Work(2e6, 1e5), speeds) == (2.0, "operations")
    assert floor.floor(Work(2e6, 3e5), speeds) == (3.0, "bytes")
    assert Work(6.0, 3.0).shared(3) == (2.0, 1.0)


def test_speeds_are_of_this_machine():
    found = floor.speeds(32, jax.local_devices(), tries=1)
    assert np.isfinite(found).all() and min(found) > 0
