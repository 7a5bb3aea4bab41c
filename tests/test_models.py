"""A classifier reads a row's last real output, and a summary tells what a model is made of."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from contract import D, T, assert_close, float64, numbers, perturbed
from jaxrnn.cells import CELLS, GRUCell
from jaxrnn.layers import Recurrent, Stack, stack
from jaxrnn.models import MLP, Classifier, Regressor, hidden_units_for, linear, parameter_count
from jaxrnn.wrappers import LayerNorm, Zoneout

either_way = pytest.mark.parametrize("bidirectional", [False, True])


def classifier(cell="gru", widths=(4, 5), classes=3, *, d=D, **options):
    rngs = nnx.Rngs(0)
    return Classifier(stack(cell, d, widths, rngs=rngs, **options), classes, rngs=rngs)


def shapes_of(*arguments, **options):
    """A classifier of shapes only: nothing is drawn where nothing is worked."""
    return nnx.eval_shape(lambda: classifier(*arguments, **options))


# --- the classifier ---------------------------------------------------------------------------------------------------


@either_way
def test_logits_are_a_linear_map_of_the_last_real_output(bidirectional):
    """Of each direction: the forward one's at the last step, the backward one's at the first."""
    with float64():
        model = perturbed(classifier("lstm", (5,), bidirectional=bidirectional))
        lengths = np.array([1, T, 2])
        xs = np.where((np.arange(T) < lengths[:, None])[..., None], numbers((3, T, D)), np.nan)
        logits = model(jnp.asarray(xs), lengths=lengths)
        kernel, bias = model.head.kernel[...], model.head.bias[...]
        for row, n in enumerate(lengths):
            _, ys = model.layers(jnp.asarray(xs[row, :n]))
            last = jnp.concatenate([ys[-1, :5], ys[0, 5:]])
            assert_close(logits[row], last @ kernel + bias)
            assert_close(model(jnp.asarray(xs[row, :n])), logits[row])
        assert_close(model(jnp.asarray(xs)[:, None], lengths=lengths[:, None]), logits[:, None])


def test_a_classifier_hands_its_options_to_its_layers():
    model, xs = classifier(), jnp.asarray(numbers((2, T, D)), "float32")
    key = jax.random.key(0)
    assert np.abs(model(xs, key=key, dropout=0.5) - model(xs)).max() > 1e-3
    assert_close(model(xs, key=key, dropout=0.5), model(xs, key=key, dropout=0.5), 0.0)


@pytest.mark.parametrize("init", ["default", "pytorch"])
@pytest.mark.parametrize("cell", CELLS)
def test_leaves_of_a_model_are_float_arrays(cell, init):
    """`jax.jit` drops what is written to any other leaf, silently."""
    leaves = jax.tree.leaves(classifier(cell, (4,), init=init, bidirectional=True, learn_carry=True))
    assert len(leaves) >= 2 * 5 + 2
    assert all(isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jnp.floating) for leaf in leaves)


# --- the linear map ---------------------------------------------------------------------------------------------------


def test_pytorch_linear_is_uniform_in_its_inputs():
    """U(-1/sqrt(d), 1/sqrt(d)) for weights and bias alike, d the number of inputs."""
    d = 100
    layer = linear(d, 2000, init="pytorch", rngs=nnx.Rngs(0))
    for leaf in (np.asarray(layer.kernel[...]), np.asarray(layer.bias[...])):
        assert 0.99 * d**-0.5 < np.abs(leaf).max() <= d**-0.5
        assert abs(leaf.mean()) < 4 * d**-0.5 / (3 * leaf.size) ** 0.5
        np.testing.assert_allclose(leaf.var(), 1 / (3 * d), rtol=6 / leaf.size**0.5)
    again, other = (linear(d, 2000, init="pytorch", rngs=nnx.Rngs(seed)) for seed in (0, 1))
    assert_close(again, layer, 0.0)
    assert np.abs(other.kernel[...] - layer.kernel[...]).max() > 0.01


@pytest.mark.parametrize("init", ["default", "pytorch"])
def test_linear_is_affine(init):
    layer = perturbed(linear(3, 2, init=init, rngs=nnx.Rngs(0)))
    x = numbers((4, 3)).astype("float32")
    np.testing.assert_allclose(layer(x), x @ layer.kernel[...] + layer.bias[...], rtol=1e-5, atol=1e-6)


def test_default_linear_starts_without_bias():
    assert not np.any(linear(3, 2, rngs=nnx.Rngs(0)).bias[...])


def test_unknown_init_is_named():
    with pytest.raises(ValueError, match="init must be 'default' or 'pytorch', not 'he'"):
        linear(3, 2, init="he", rngs=nnx.Rngs(0))


# --- the summary ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "cell, kind, activations, torch, single",
    [
        ("elman", "ElmanCell", {"tanh"}, 28_510, 28_360),
        ("elman_relu", "ElmanCell", {"relu"}, 28_510, 28_360),
        ("jordan", "JordanCell", {"tanh", "sigmoid"}, 51_160, 51_010),
        ("gru", "GRUCell", {"tanh", "sigmoid"}, 82_510, 82_060),
        ("lstm", "LSTMCell", {"tanh", "sigmoid"}, 109_510, 108_910),
        ("time_gated_lstm", "TimeGatedLSTMCell", {"tanh", "sigmoid"}, 109_960, 109_360),
    ],
)
def test_summary_of_a_row_by_row_image_classifier(cell, kind, activations, torch, single):
    """T13 and T14: 28 -> 150, 150 -> 150 and 150 -> 10, what acts on them, and how many numbers that is."""
    for bias, total in (("torch", torch), ("single", single)):
        model = shapes_of(cell, [150], 10, d=28, bias=bias)
        hidden, output = model.summary((28, 28))
        assert hidden[:3] == (f"{kind} (28 -> 150, 150 -> 150)", "28 x 28", "28 x 150")
        assert {name for name in ("tanh", "relu", "sigmoid") if name in hidden.activation} == activations
        assert hidden.parameters == total - 1_510
        assert output[1:3] == ("150", "10")
        assert output.layer.startswith("Linear")
        assert "identity" in output.activation and "softmax" in output.activation
        assert output.parameters == 1_510
        assert parameter_count(model) == total


def test_summary_of_a_wrapped_cell_names_the_cell():
    layers = Stack([Recurrent(Zoneout(LayerNorm(GRUCell(3, 4, rngs=nnx.Rngs(0))), 0.1))])
    (row, _) = Classifier(layers, 2, rngs=nnx.Rngs(0)).summary((5, 3))
    assert row.layer == "Zoneout(LayerNorm(GRUCell)) (3 -> 4, 4 -> 4)"


def test_summary_of_a_bidirectional_stack():
    """The IMDB sizes: every layer a row, the counts of both directions together."""
    model = shapes_of("lstm", [256, 3], 1, d=128, bidirectional=True)
    first, second, head = model.summary((400, 128))
    assert first[:3] == ("Bidirectional LSTMCell (concat)", "400 x 128", "400 x 512")
    assert second[1:3] == ("400 x 512", "400 x 6")
    assert first.activation == second.activation == model.layers.layers[0].forward.activation
    assert (first.parameters, second.parameters) == (790_528, 2 * 4 * (512 * 3 + 9 + 6))
    assert head[1:3] == ("6", "1") and head.parameters == 7
    assert sum(row.parameters for row in model.summary((400, 128))) == parameter_count(model)


# --- read before the end ----------------------------------------------------------------------------------------------


def test_logits_at_every_step_are_those_of_the_row_so_far():
    with float64():
        model, xs = perturbed(classifier("lstm")), jnp.asarray(numbers((2, T, D)))
        logits = model.at_every_step(xs)
        assert logits.shape == (2, T, 3)
        for step in range(T):
            assert_close(logits[:, step], model(xs[:, : step + 1]))
        assert_close(model.at_every_step(xs[0]), logits[0])


def test_a_bidirectional_classifier_is_not_read_before_the_end():
    with pytest.raises(ValueError, match="bidirectional"):
        classifier(bidirectional=True).at_every_step(jnp.zeros((T, D)))


# --- the regressor ----------------------------------------------------------------------------------------------------


def test_a_regressor_reads_every_step_by_one_linear_map():
    """y_t = h_t V + c, padded steps apart."""
    with float64():
        model = perturbed(Regressor(stack("gru", D, [5, 4], rngs=nnx.Rngs(0)), 2, rngs=nnx.Rngs(1)))
        xs, lengths = jnp.asarray(numbers((3, T, D))), np.array([T, 2, 1])
        _, hs = model.layers(xs, lengths=lengths)
        outputs = model(xs, lengths=lengths)
        assert outputs.shape == (3, T, 2)
        assert_close(outputs, np.asarray(hs) @ np.asarray(model.head.kernel[...]) + np.asarray(model.head.bias[...]))
        assert_close(model(xs[1, :2]), outputs[1, :2])


@pytest.mark.parametrize(
    "cell, d, hidden, outputs, torch, single", [("elman", 3, 5, 2, 62, 57), ("lstm", 1, 10, 1, 531, 491)]
)
def test_summary_and_count_of_the_regressors_of_ntu(cell, d, hidden, outputs, torch, single):
    for bias, total in (("torch", torch), ("single", single)):
        model = nnx.eval_shape(
            lambda bias=bias: Regressor(
                stack(cell, d, [hidden], bias=bias, rngs=nnx.Rngs(0)), outputs, rngs=nnx.Rngs(0)
            )
        )
        layer, head = model.summary((100, d))
        assert layer[:3] == (layer.layer, f"100 x {d}", f"100 x {hidden}")
        assert head[:4] == ("Linear (every step)", f"100 x {hidden}", f"100 x {outputs}", "identity")
        assert layer.parameters + head.parameters == parameter_count(model) == total


# --- without recurrence -----------------------------------------------------------------------------------------------


def test_a_feedforward_network_sees_all_steps_at_once():
    """logits = tanh(x W_1 + b_1) W_2 + b_2 over the steps side by side."""
    with float64():
        model, xs = perturbed(MLP(T * D, 6, 3, rngs=nnx.Rngs(0))), numbers((2, 4, T, D))
        w_1, b_1, w_2, b_2 = (
            np.asarray(leaf[...]) for layer in (model.hidden, model.head) for leaf in (layer.kernel, layer.bias)
        )
        assert_close(model(jnp.asarray(xs)), np.tanh(xs.reshape(2, 4, -1) @ w_1 + b_1) @ w_2 + b_2)


def test_its_hidden_units_are_dropped_where_there_is_a_key():
    model, xs = MLP(T * D, 4000, 1, rngs=nnx.Rngs(0)), jnp.asarray(numbers((T, D)), "float32")
    model.head = linear(4000, 1, rngs=nnx.Rngs(0))
    model.head.kernel = nnx.Param(jnp.sign(jnp.tanh(model.hidden(xs.reshape(-1))))[:, None])  # logit = sum of |hidden|
    whole, half = float(model(xs)[0]), float(model(xs, key=jax.random.key(0), dropout=0.5)[0])
    assert abs(half / whole - 1) < 0.1 and half != whole
    assert float(model(xs, key=jax.random.key(0), dropout=0.0)[0]) == pytest.approx(whole, rel=1e-6)
    assert model(xs, key=jax.random.key(0), dropout=1.0)[0] == 0


@pytest.mark.parametrize("parameters, inputs, classes, hidden", [(82_510, 784, 10, 104), (789_761, 400, 1, 1965)])
def test_hidden_units_that_come_nearest_to_a_number_of_parameters(parameters, inputs, classes, hidden):
    """The GRU of MNIST, and the GRU of the IMDB paper (its 789,931 are 0.02% from 789,761)."""
    assert hidden_units_for(parameters, inputs, classes) == hidden
    counts = [
        parameter_count(nnx.eval_shape(lambda units=units: MLP(inputs, units, classes, rngs=nnx.Rngs(0))))
        for units in (hidden - 1, hidden, hidden + 1)
    ]
    assert min(counts, key=lambda count: abs(count - parameters)) == counts[1]


def test_summary_of_a_feedforward_network():
    model = MLP(6, 5, 3, rngs=nnx.Rngs(0))
    inner, head = model.summary((2, 3))
    assert inner[1:] == ("2 x 3", "5", "tanh", 6 * 5 + 5)
    assert head[1:3] == ("5", "3") and "softmax" in head.activation and head.parameters == 5 * 3 + 3
