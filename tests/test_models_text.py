"""Classifiers of words: padded is unpadded on any side, PyTorch agrees, and the papers' counts of parameters hold."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from contract import assert_close, float64, perturbed
from jaxrnn.interop import to_torch_state_dict
from jaxrnn.layers import stack
from jaxrnn.models import TextClassifier, TextMLP, embedding, hidden_units_for, mlp_inputs, parameter_count

V, D, H, T = 11, 3, 4, 6
ROWS = [[3, 1, 4, 1, 5, 9], [2, 7], [1], []]
SIDES = {
    "front": lambda row: [0] * (T - len(row)) + row,
    "end": lambda row: row + [0] * (T - len(row)),
    "both": lambda row: [0] * ((T - len(row)) // 2) + row + [0] * -(-(T - len(row)) // 2),
}


def classifier(cell="gru", widths=(H, H), *, bidirectional=False, outputs=1, v=V, d=D, **options):
    rngs = nnx.Rngs(0)
    layers = stack(cell, d, widths, bidirectional=bidirectional, init="pytorch", rngs=rngs)
    return TextClassifier(v, layers, outputs, rngs=rngs, **options)


def padded(side):
    return jnp.array([SIDES[side](row) for row in ROWS], jnp.uint16)


@pytest.mark.parametrize("pool", ["last", "mean", "max"])
@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_padded_is_unpadded(pool, side, bidirectional):
    """In value and in the gradient of every parameter, whatever the head reads."""
    with float64():
        model = perturbed(classifier("lstm", (H,), pool=pool, padding=0, bidirectional=bidirectional, outputs=2))

        def alone(model):
            return jnp.stack([model(jnp.array(row, jnp.int32)) for row in ROWS[:3]])

        def together(model):
            return model(padded(side))[:3]

        assert_close(together(model), alone(model))
        for one, other in zip(
            *(jax.tree.leaves(jax.grad(lambda m, f=f: (f(m) ** 2).sum())(model)) for f in (together, alone)),
            strict=True,
        ):
            assert_close(one, other)


@pytest.mark.parametrize("pool", ["last", "mean", "max"])
def test_of_a_row_without_words_the_head_reads_zeros(pool):
    with float64():
        model = perturbed(classifier(pool=pool, padding=0))
        assert_close(model(padded("front"))[3], model.head.bias[...])
        gradient = jax.grad(lambda model: model(padded("front")[3:]).sum())(model)
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))


def test_without_a_padding_id_every_step_is_read():
    model = classifier()
    front, end = model(padded("front")), model(padded("end"))
    assert_close(front[0], end[0])
    assert np.abs(front[1:] - end[1:]).max() > 1e-3


@pytest.mark.parametrize("cell, bidirectional", [("gru", False), ("elman", False), ("lstm", True)])
def test_pytorch_agrees_in_value_and_gradient(cell, bidirectional):
    """Embedding, two layers, last output, linear unit, all with random numbers; the padding read like any word."""
    torch = pytest.importorskip("torch")
    kinds = {"gru": torch.nn.GRU, "elman": torch.nn.RNN, "lstm": torch.nn.LSTM}
    with float64():
        model = perturbed(classifier(cell, bidirectional=bidirectional))
        ids = padded("front")
        value, gradient = jax.value_and_grad(lambda model: (model(ids) ** 2).sum())(model)

        theirs = torch.nn.Embedding(V, D).double()
        rnn = kinds[cell](D, H, 2, batch_first=True, bidirectional=bidirectional).double()
        head = torch.nn.Linear(H * (1 + bidirectional), 1).double()
        state = to_torch_state_dict(model.layers)
        rnn.load_state_dict(state)
        with torch.no_grad():
            theirs.weight.copy_(torch.tensor(np.array(model.embedding[...])))
            head.weight.copy_(torch.tensor(np.array(model.head.kernel[...]).T))
            head.bias.copy_(torch.tensor(np.array(model.head.bias[...])))
        _, last = rnn(theirs(torch.tensor(np.asarray(ids).astype(np.int64))))
        h = last[0] if cell == "lstm" else last
        loss = (head(torch.cat(list(h[-2:]), -1) if bidirectional else h[-1]) ** 2).sum()
        loss.backward()
        assert float(value) == pytest.approx(loss.item(), rel=1e-10)
        assert_close(gradient.embedding[...], theirs.weight.grad.numpy())
        assert_close(gradient.head.kernel[...], head.weight.grad.numpy().T)
        slopes = to_torch_state_dict(gradient.layers)
        for name, parameter in rnn.named_parameters():
            assert_close(slopes[name].numpy(), parameter.grad.numpy())


def test_a_row_can_go_on_where_another_ended():
    with float64():
        model, ids = perturbed(classifier()), padded("end")
        carry, _ = model.read(ids[:, :4])
        _, logits = model.read(ids[:, 4:], carry=carry)
        assert_close(logits, model(ids))
        _, begun = model.read(ids, carry=model.initial_carry((len(ROWS),)))
        assert_close(begun, model(ids))


def test_dropout_thins_words_layers_and_what_is_judged():
    model, ids, key = classifier(), padded("front"), jax.random.key(1)
    as_it_is = model(ids)
    np.testing.assert_array_equal(model(ids, key=key, dropout=0.0), as_it_is)
    one, again, other = (model(ids, key=k, dropout=0.5) for k in (key, key, jax.random.key(2)))
    np.testing.assert_array_equal(one, again)
    assert np.abs(one - other).max() > 1e-3
    slopes = jax.grad(lambda model: model(ids, key=key, dropout=0.9).sum())(model)
    assert (np.asarray(slopes.head.kernel[...]) == 0).any()
    # all rates in one program, under vmap too
    rates = jax.vmap(lambda rate: model(ids, key=key, dropout=rate))(jnp.array([0.0, 0.5]))
    np.testing.assert_allclose(rates[0], as_it_is, rtol=1e-6)
    np.testing.assert_allclose(rates[1], one, rtol=1e-6)


def test_embeddings_are_drawn_as_said():
    for init, deviation in (("pytorch", 1.0), ("default", 0.1)):
        drawn = np.asarray(embedding(500, 100, init=init, rngs=nnx.Rngs(0))[...])
        assert drawn.std() == pytest.approx(deviation, rel=0.02) and abs(drawn.mean()) < 0.02 * deviation
    with pytest.raises(ValueError, match="init must be 'default' or 'pytorch', not 'he'"):
        embedding(5, 3, init="he", rngs=nnx.Rngs(0))


@pytest.mark.parametrize(
    "options, count",
    [
        ({"cell": "gru", "widths": (256, 256), "d": 256}, 789_761 + 256 * 20_000),
        ({"cell": "elman", "widths": (256,), "d": 128}, 98_816 + 257 + 128 * 20_000),
        ({"cell": "lstm", "widths": (256,), "d": 128, "bidirectional": True}, 790_528 + 513 + 128 * 20_000),
    ],
)
def test_the_papers_networks_have_as_many_parameters_as_counted(options, count):
    model = nnx.eval_shape(lambda: classifier(v=20_000, **options))
    assert parameter_count(model) == count
    rows = model.summary((400,))
    assert sum(row.parameters for row in rows) == count
    assert rows[0][:3] == ("Embedding", "400 ids of 20,000", f"400 x {options['d']}")
    assert rows[-1].layer == "Linear (last output)" and "sigmoid" in rows[-1].activation


# --- without recurrence -----------------------------------------------------------------------------------------------


def mlp(reading, hidden=5):
    return TextMLP(V, D, T, hidden, 1, reading=reading, padding=0, init="pytorch", rngs=nnx.Rngs(0))


@pytest.mark.parametrize("reading", ["ids", "embed-flat", "embed-mean"])
def test_a_network_without_recurrence_reads_all_words_at_once(reading):
    with float64():
        model, ids = perturbed(mlp(reading)), padded("front")
        if reading == "ids":
            x = np.asarray(ids, float)
        else:
            vectors = np.asarray(model.embedding[...])
            x = vectors[np.asarray(ids)].reshape(len(ROWS), -1)
        if reading == "embed-mean":
            x = np.array([vectors[row].mean(0) if row else np.zeros(D) for row in ROWS])
        hidden = np.tanh(x @ np.asarray(model.mlp.hidden.kernel[...]) + np.asarray(model.mlp.hidden.bias[...]))
        expected = hidden @ np.asarray(model.mlp.head.kernel[...]) + np.asarray(model.mlp.head.bias[...])
        assert_close(model(ids), expected)
        assert_close(model(ids[1]), expected[1])
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(jax.grad(lambda m: m(ids).sum())(model)))


def test_the_mean_is_the_same_on_whatever_side_the_padding_is():
    with float64():
        model = perturbed(mlp("embed-mean"))
        assert_close(model(padded("front")), model(padded("end")))


@pytest.mark.parametrize("reading", ["ids", "embed-flat", "embed-mean"])
def test_summary_and_leaves_without_recurrence(reading):
    model = mlp(reading)
    rows = model.summary((T,))
    assert sum(row.parameters for row in rows) == parameter_count(model)
    assert (rows[0].layer == "Embedding") == (reading != "ids") and rows[-1][1:3] == ("5", "1")
    assert all(isinstance(leaf, jax.Array) and leaf.dtype == "float32" for leaf in jax.tree.leaves(model))
    assert model.mlp.hidden.in_features == mlp_inputs(reading, D, T)


@pytest.mark.parametrize("parameters, hidden, count", [(789_761, 1_965, 789_931), (5_909_761, 14_701, 5_909_803)])
def test_as_many_parameters_as_the_paper_s_gru_has(parameters, hidden, count):
    """ROCH part 3: 400 ids, H units, one output: 402 H + 1."""
    assert hidden_units_for(parameters, mlp_inputs("ids", 256, 400), 1) == hidden
    model = nnx.eval_shape(
        lambda: TextMLP(20_000, 256, 400, hidden, 1, reading="ids", padding=0, init="pytorch", rngs=nnx.Rngs(0))
    )
    assert parameter_count(model) == 402 * hidden + 1 == count
