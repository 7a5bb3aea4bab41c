"""Parameter counts are those of real cells and of the papers; a trace is what the cell computes, gate by gate."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx

from contract import ROWS, D, H, T, assert_close, carry_like, cell_of, float64, numbers, soon
from jaxrnn import models
from jaxrnn.cells import CELLS, GRUCell, LSTMCell
from jaxrnn.layers import stack
from jaxrnn.scan import unroll
from jaxrnn.theory import COUNTS, gate_trace, parameter_count

every_cell = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name == "elman_relu" else []) for name in CELLS]
)
conventions = pytest.mark.parametrize("bias", ["torch", "single", "none"])


def real(make):
    """The numbers in the tree that ``make(rngs=...)`` makes."""
    return models.parameter_count(nnx.eval_shape(lambda: make(rngs=nnx.Rngs(0))))


# --- counts -----------------------------------------------------------------------------------------------------------


def test_every_registered_cell_has_a_formula():
    assert set(COUNTS) == set(CELLS)


@conventions
@every_cell
def test_the_formula_is_the_count_of_a_real_cell(name, bias):
    for d, n in ((1, 1), (1, 7), (7, 1), (3, 4), (28, 150)):
        assert parameter_count(name, d, n, bias=bias) == real(partial(CELLS[name], d, n, bias=bias))


def test_parameter_table_is_the_formulas():
    assert models.parameter_table(28, 150) == [
        {"cell": name, **{bias: parameter_count(name, 28, 150, bias=bias) for bias in ("torch", "single", "none")}}
        for name in CELLS
    ]


@pytest.mark.parametrize(
    "cell, d, n, classes, single, torch",
    [  # a table of the papers' networks, with their output layers
        ("elman", 28, 150, 0, 26_850, 27_000),
        ("gru", 28, 150, 0, 80_550, 81_000),
        ("lstm", 28, 150, 0, 107_400, 108_000),
        ("elman", 28, 150, 10, 28_360, 28_510),
        ("gru", 28, 150, 10, 82_060, 82_510),
        ("lstm", 28, 150, 10, 108_910, 109_510),
        ("elman", 128, 256, 0, 98_560, 98_816),
        ("elman", 128, 256, 1, 98_560 + 257, 98_816 + 257),
        ("elman", 3, 5, 2, 57, 62),
        ("lstm", 1, 10, 1, 491, 531),
        ("gru", 22, 10, 2, 1_012, 1_042),
        ("elman", 1, 128, 10, 17_930, 18_058),
        ("elman", 10, 128, 10, 19_082, 19_210),
    ],
)
def test_the_papers_networks_by_convention(cell, d, n, classes, single, torch):
    assert parameter_count(cell, d, n, bias="single", classes=classes) == single
    assert parameter_count(cell, d, n, classes=classes) == torch
    if classes:

        def make(bias, rngs):
            return models.Classifier(stack(cell, d, [n], bias=bias, rngs=rngs), classes, rngs=rngs)

        assert [real(partial(make, bias)) for bias in ("single", "torch")] == [single, torch]


def test_stacks_and_both_directions_are_sums():
    """ROCH's GRU of two layers, IST's bidirectional LSTM, and UVA's character model over 87 characters."""
    for bias, total in (("single", 788_225), ("torch", 789_761)):
        assert 2 * parameter_count("gru", 256, 256, bias=bias) + 257 == total
    for bias, total in (("single", 788_480), ("torch", 790_528)):
        assert 2 * parameter_count("lstm", 128, 256, bias=bias) == total
    layers = [parameter_count("lstm", d, 128, bias="single") for d in (87, 128)]
    assert layers == [110_592, 131_584] and 87 * 128 + 87 == 11_223
    assert layers[0] + parameter_count("lstm", 128, 128, bias="single", classes=87) == 253_399


@pytest.mark.parametrize("d, cell, with_output_map", [(1, 66_560, 67_850), (10, 71_168, 72_458)])
def test_uva_question_1_5b(d, cell, with_output_map):
    """U7: 4(nd + n^2 + n), and Kn + K for equation (10), which the question may mean or not: both."""
    n, k = 128, 10
    assert parameter_count("lstm", d, n, bias="single") == 4 * (n * d + n**2 + n) == cell
    assert parameter_count("lstm", d, n, bias="single", classes=k) == cell + k * n + k == with_output_map


@pytest.mark.parametrize(
    "name, make, count",
    [
        ("elman", linen.SimpleCell, 26_850),
        ("gru", linen.GRUCell, 80_700),
        ("lstm", linen.OptimizedLSTMCell, 107_400),
    ],
)
def test_flax_linen_has_one_bias_a_gate_and_its_gru_one_more(name, make, count):
    module = make(150)
    x, key = jnp.zeros((1, 28)), jax.random.key(0)
    carry = module.initialize_carry(key, x.shape)
    assert models.parameter_count(jax.eval_shape(module.init, key, carry, x)) == count
    assert count == parameter_count(name, 28, 150, bias="single") + (150 if name == "gru" else 0)


@pytest.mark.parametrize(
    "arguments, options, message",
    [
        (("grue", 3, 4), {}, "cell must be one of elman, .*lstm, not 'grue'"),
        (("gru", 3, 4), {"bias": "two"}, "bias must be 'torch', 'single' or 'none', not 'two'"),
        (("gru", 0, 4), {}, "d and n must be at least 1 and classes at least 0, not 0, 4 and 0"),
        (("gru", 3, 0), {}, "not 3, 0 and 0"),
        (("gru", 3, 4), {"classes": -1}, "not 3, 4 and -1"),
    ],
)
def test_counts_of_what_there_is_not(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        parameter_count(*arguments, **options)


# --- traces -----------------------------------------------------------------------------------------------------------


@every_cell
def test_a_trace_holds_the_outputs_and_the_carries(name):
    """At every step: the outputs of the scan, and the carries of the loop over time."""
    with float64():
        cell, xs = cell_of(CELLS[name]), jnp.asarray(numbers((*ROWS, T, D)))
        start = carry_like(cell)
        trace = gate_trace(cell, xs, carry=start)
        _, ys = unroll(cell, xs, carry=start)
        assert_close(trace["y" if "y" in trace else "h"], ys, 1e-14)
        carry = start
        for t in range(T):
            carry, _ = cell(carry, xs[..., t, :])
            expected = dict(zip("hc", carry, strict=False)) if "c" in trace else {"y" if "y" in trace else "h": carry}
            assert_close({letter: trace[letter][..., t, :] for letter in expected}, expected, 1e-14)
        assert_close(soon(gate_trace)(cell, xs, carry=start), trace, 1e-14)


def before(states, start):
    """What a step begins with: the states a step later, and the initial one first."""
    return jnp.concatenate([jnp.broadcast_to(start, states[..., :1, :].shape), states[..., :-1, :]], axis=-2)


def logistic(a):
    return 1 / (1 + np.exp(-np.asarray(a)))


@conventions
def test_the_gates_of_a_gru_are_its_equations(bias):
    with float64():
        cell, xs = cell_of(GRUCell, bias=bias), numbers((2, T, D))
        trace = gate_trace(cell, jnp.asarray(xs))
        assert set(trace) == {"r", "z", "n", "h"} and all(array.shape == (2, T, H) for array in trace.values())
        h = before(trace["h"], cell.h_0[...])
        b_x, b_h = (0.0 if b is None else np.asarray(b[...]) for b in (cell.b_x, cell.b_h))
        x_r, x_z, x_n = np.split(xs @ cell.w_x[...] + b_x, 3, axis=-1)
        h_r, h_z, h_n = np.split(h @ cell.w_h[...] + b_h, 3, axis=-1)
        assert_close(trace["r"], logistic(x_r + h_r))
        assert_close(trace["z"], logistic(x_z + h_z))
        assert_close(trace["n"], np.tanh(x_n + trace["r"] * h_n))
        assert_close(trace["h"], (1 - trace["z"]) * trace["n"] + trace["z"] * h)


@conventions
def test_the_gates_of_an_lstm_are_its_equations(bias):
    with float64():
        cell, xs = cell_of(LSTMCell, bias=bias), numbers((2, T, D))
        trace = gate_trace(cell, jnp.asarray(xs))
        assert set(trace) == set("ifgoch") and all(array.shape == (2, T, H) for array in trace.values())
        h, c = before(trace["h"], cell.h_0[...]), before(trace["c"], cell.c_0[...])
        b_x, b_h = (0.0 if b is None else np.asarray(b[...]) for b in (cell.b_x, cell.b_h))
        i, f, g, o = np.split(xs @ cell.w_x[...] + b_x + h @ cell.w_h[...] + b_h, 4, axis=-1)
        for letter, a in (("i", i), ("f", f), ("o", o)):
            assert_close(trace[letter], logistic(a))
        assert_close(trace["g"], np.tanh(g))
        assert_close(trace["c"], trace["g"] * trace["i"] + c * trace["f"])
        assert_close(trace["h"], np.tanh(trace["c"]) * trace["o"])


def test_a_trace_takes_the_options_of_unroll():
    """Masked steps are zero in every gate, a scan from the end is the flipped one, and a reset starts anew."""
    with float64():
        cell, xs = cell_of(LSTMCell), jnp.asarray(numbers((2, T, D)))
        lengths = np.array([T, 2])
        padded = gate_trace(cell, xs.at[1, 2:].set(jnp.nan), lengths=lengths)
        whole, short = gate_trace(cell, xs), gate_trace(cell, xs[:, :2])
        for letter in whole:
            assert_close(padded[letter][0], whole[letter][0])
            assert_close(padded[letter][1, :2], short[letter][1])
            assert not np.any(padded[letter][1, 2:])
        flipped = gate_trace(cell, xs[:, ::-1], reverse=True)
        assert_close({letter: array[:, ::-1] for letter, array in flipped.items()}, whole)
        reset = np.zeros((2, T), bool)
        reset[:, 2] = True
        again = gate_trace(cell, xs, reset=reset)
        assert_close({letter: array[:, 2:] for letter, array in again.items()}, gate_trace(cell, xs[:, 2:]))


def test_a_cell_that_does_not_name_what_it_computes():
    class Bare:
        in_features = features = H

        def __call__(self, carry, x):
            return carry, x

        def initial_carry(self, batch_shape):
            return jnp.zeros((*batch_shape, H))

    with pytest.raises(TypeError, match="Bare does not name what it computes: define intermediates"):
        gate_trace(Bare(), jnp.zeros((T, H)))
