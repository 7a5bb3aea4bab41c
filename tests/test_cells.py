"""Every cell keeps the contract, and is what its equations, its initialisation and its parameter count say."""

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from contract import (
    CONTRACT,
    SLOW,
    D,
    H,
    assert_close,
    carries_lead_with_the_batch,
    cell_of,
    float64,
    learned_carry_is_learned,
    numbers,
    scan_is_a_loop,
)
from jaxrnn import cells
from jaxrnn.cells import CELLS, Cell, ElmanCell, GRUCell, JordanCell, LSTMCell, TimeGatedLSTMCell
from jaxrnn.layers import stack
from jaxrnn.models import Classifier, parameter_count, parameter_table
from jaxrnn.scan import unroll

every_check = pytest.mark.parametrize(
    "check",
    [pytest.param(check, id=check.__name__, marks=[pytest.mark.slow] if check in SLOW else []) for check in CONTRACT],
)
conventions = pytest.mark.parametrize("bias", ["torch", "single", "none"])


@every_check
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name == "elman_relu" else []) for name in CELLS]
)  # the ReLU is a word in the Elman cell: what holds of one holds of the other
def test_contract(name, check):
    check(CELLS[name])


@pytest.mark.parametrize("check", [carries_lead_with_the_batch, scan_is_a_loop, learned_carry_is_learned])
def test_contract_of_a_jordan_cell_with_more_hidden_units_than_outputs(check):
    check(partial(JordanCell, hidden=H + 2))


# --- a cell of one's own ----------------------------------------------------------------------------------------------


class EchoCell(nnx.Module):
    """``h_t = tanh(sum_k m_t[k] v[k])`` with two fading memories of each unit, ``m_t = m_{t-1}/2 + [x_t W, h_{t-1}]``.

    It inherits nothing from `Cell`; its carry is a dict of leaves of unlike rank, and does not start at zero.
    """

    def __init__(self, in_features, features, *, bias="torch", rngs):
        self.in_features, self.features = in_features, features
        self.w = nnx.Param(jax.random.normal(rngs.params(), (in_features, features)))
        self.v = nnx.Param(jax.random.normal(rngs.params(), (features, 2)))

    def __call__(self, carry, x):
        memory = carry["memory"] / 2 + jnp.stack([x @ self.w[...], carry["h"]], axis=-1)
        h = jnp.tanh(jnp.sum(memory * self.v[...], axis=-1))
        return {"h": h, "memory": memory}, h

    def initial_carry(self, batch_shape):
        shape, dtype = (*batch_shape, self.features), self.w.dtype
        return {"h": jnp.zeros(shape, dtype), "memory": jnp.ones((*shape, 2), dtype)}

    def output(self, carry):
        return carry["h"]


@pytest.fixture
def registered(monkeypatch):
    monkeypatch.setitem(CELLS, "echo", EchoCell)
    return "echo"


@every_check
def test_contract_of_a_cell_of_ones_own(registered, check):
    check(CELLS[registered])


@pytest.mark.parametrize("bidirectional", [False, True])
def test_one_line_in_the_registry_is_all_a_new_cell_needs(registered, bidirectional):
    layers = stack(registered, 3, [4, 5], bidirectional=bidirectional, rngs=nnx.Rngs(0))
    model = Classifier(layers, 2, rngs=nnx.Rngs(1))
    assert model(jnp.ones((6, 7, 3)), lengths=np.arange(1, 7)).shape == (6, 2)
    assert [row.parameters for row in model.summary((7, 3))[:2]] == (
        [2 * (3 * 4 + 8), 2 * (8 * 5 + 10)] if bidirectional else [3 * 4 + 8, 4 * 5 + 10]
    )
    assert parameter_table(3, 4)[-1] == {"cell": "echo", "torch": 20, "single": 20, "none": 20}


def test_every_public_cell_is_registered():
    public = {
        value
        for name, value in vars(cells).items()
        if isinstance(value, type) and issubclass(value, Cell) and not name.startswith("_")
    } - {Cell, cells.AffineCell}
    reachable = {make.func if isinstance(make, partial) else make for make in CELLS.values()}
    assert {ElmanCell, JordanCell, GRUCell, LSTMCell} <= public
    assert public <= reachable


def test_what_is_missing_from_a_cell_is_named():
    with pytest.raises(TypeError, match="AffineCell does not say what follows its products"):
        cells.AffineCell().combine(None, jnp.zeros(3), jnp.zeros(3))
    with pytest.raises(TypeError, match="Cell is a cell without a step"):
        Cell()(None, jnp.zeros(3))
    with pytest.raises(TypeError, match="Cell is a cell without a start"):
        Cell().initial_carry(())
    with pytest.raises(TypeError, match="Cell does not name what it computes: define intermediates"):
        Cell().intermediates(None, jnp.zeros(3))


# --- equations --------------------------------------------------------------------------------------------------------


def logistic(a):
    return 1 / (1 + np.exp(-a))


def gates(cell, count):
    """The weights as plain numpy, gate by gate: lists of ``W_x``, ``W_h``, ``b_x`` and ``b_h``, zero where absent."""
    zero = np.zeros(count * H)
    w_x, w_h = np.asarray(cell.w_x[...]), np.asarray(cell.w_h[...])
    b_x, b_h = (zero if b is None else np.asarray(b[...]) for b in (cell.b_x, cell.b_h))
    return (np.split(array, count, axis=-1) for array in (w_x, w_h, b_x, b_h))


def elman(cell, h, x):
    (u,), (w,), (b,), (c,) = gates(cell, 1)
    h = np.tanh(x @ u + b + h @ w + c)
    return h, h


def elman_relu(cell, h, x):
    (u,), (w,), (b,), (c,) = gates(cell, 1)
    h = np.maximum(x @ u + b + h @ w + c, 0)
    return h, h


def jordan(cell, y, x):
    """NTU's h(t) = phi(U^T x(t) + W^T y(t-1) + b), y(t) = sigma(V^T h(t) + c), and PyTorch's second bias."""
    u, w, v = (np.asarray(matrix[...]) for matrix in (cell.w_x, cell.w_y, cell.v))
    b, b_y, c = (0 if bias is None else np.asarray(bias[...]) for bias in (cell.b_x, cell.b_y, cell.c))
    y = logistic(np.tanh(x @ u + b + y @ w + b_y) @ v + c)
    return y, y


def gru(cell, h, x):
    """PyTorch's documentation of `torch.nn.GRU`."""
    (u_r, u_z, u_n), (w_r, w_z, w_n), (b_r, b_z, b_n), (c_r, c_z, c_n) = gates(cell, 3)
    r = logistic(x @ u_r + b_r + h @ w_r + c_r)
    z = logistic(x @ u_z + b_z + h @ w_z + c_z)
    n = np.tanh(x @ u_n + b_n + r * (h @ w_n + c_n))
    h = (1 - z) * n + z * h
    return h, h


def lstm(cell, carry, x):
    """Equations (4) to (9) of the UVA assignment, and PyTorch's second bias."""
    h, c = carry
    (u_i, u_f, u_g, u_o), (w_i, w_f, w_g, w_o), (b_i, b_f, b_g, b_o), (c_i, c_f, c_g, c_o) = gates(cell, 4)
    g = np.tanh(x @ u_g + h @ w_g + b_g + c_g)
    i = logistic(x @ u_i + h @ w_i + b_i + c_i)
    f = logistic(x @ u_f + h @ w_f + b_f + c_f)
    o = logistic(x @ u_o + h @ w_o + b_o + c_o)
    c = g * i + c * f
    h = np.tanh(c) * o
    return (h, c), h


def time_gated_lstm(cell, carry, x):
    """Equations (12) to (16) of the UVA assignment, with the peak where the printed inequalities have a gap."""
    h, c, t = carry
    tau, s, r_on = np.exp(cell.log_tau[...]), np.asarray(cell.s[...]), logistic(np.asarray(cell.logit_r_on[...]))
    phi = np.mod(t - s, tau) / tau
    k = np.where(phi <= r_on / 2, 2 * phi / r_on, np.where(phi < r_on, 2 - 2 * phi / r_on, cell.leak * phi))
    proposed, _ = lstm(cell, (h, c), x)
    gated = k * proposed[1] + (1 - k) * c
    o = proposed[0] / np.tanh(proposed[1])
    new = k * np.tanh(gated if cell.h_from == "gated" else proposed[1]) * o + (1 - k) * h
    return (new, gated, t + 1), new


@conventions
@pytest.mark.parametrize("step", [elman, elman_relu, jordan, gru, lstm], ids=lambda step: step.__name__)
def test_a_step_is_its_equations(step, bias):
    with float64():
        cell = cell_of(CELLS[step.__name__], bias=bias)
        carry, x = numbers((2, 2, H)), numbers((2, D), seed=1)
        carry = tuple(carry) if step is lstm else carry[0]
        assert_close(cell(jax.tree.map(jnp.asarray, carry), jnp.asarray(x)), step(cell, carry, x), 1e-14)


@pytest.mark.parametrize("options", [{}, {"leak": 0.01}, {"h_from": "candidate"}, {"shared": True, "bias": "none"}])
def test_a_time_gated_step_is_its_equations(options):
    """At times before and after s, in every part of the period."""
    with float64():
        cell, x = cell_of(TimeGatedLSTMCell, **options), numbers((40, D), seed=1)
        h, c = numbers((2, 40, H))
        carry = h, c, np.linspace(-7.3, 31, 40)[:, None]
        assert_close(cell(jax.tree.map(jnp.asarray, carry), jnp.asarray(x)), time_gated_lstm(cell, carry, x), 1e-12)


@conventions
def test_a_jordan_step_is_its_equations_whatever_its_widths(bias):
    """Two hidden units between three inputs and four outputs."""
    with float64():
        cell = cell_of(JordanCell, hidden=2, bias=bias)
        shapes = {"w_x": (D, 2), "w_y": (H, 2), "b_x": (2,), "b_y": (2,), "v": (2, H), "c": (H,), "y_0": (H,)}
        absent = {"torch": (), "single": ("b_y",), "none": ("b_x", "b_y", "c")}[bias]
        for name, shape in shapes.items():
            assert (getattr(cell, name) is None) == (name in absent)
            assert name in absent or getattr(cell, name).shape == shape
        y, x = numbers((2, H)), numbers((2, D), seed=1)
        assert_close(cell(jnp.asarray(y), jnp.asarray(x)), jordan(cell, y, x), 1e-14)


# --- parameter counts -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "cell, d, widths, bidirectional, single, torch",
    [
        ("elman", 28, [150], False, 26_850, 27_000),
        ("elman_relu", 28, [150], False, 26_850, 27_000),
        ("jordan", 28, [150], False, 49_500, 49_650),
        ("gru", 28, [150], False, 80_550, 81_000),
        ("lstm", 28, [150], False, 107_400, 108_000),
        ("gru", 256, [256, 256], False, 787_968, 789_504),
        ("elman", 128, [256], False, 98_560, 98_816),
        ("lstm", 128, [256], True, 788_480, 790_528),
        ("time_gated_lstm", 28, [150], False, 107_850, 108_450),
        ("elman", 3, [5], False, 45, 50),
        ("lstm", 1, [10], False, 480, 520),
        ("gru", 22, [10], False, 990, 1_020),
        ("lstm", 1, [128], False, 66_560, 67_072),
    ],
)
def test_parameter_counts_by_convention(cell, d, widths, bidirectional, single, torch):
    for bias, expected in (("single", single), ("torch", torch)):
        make = partial(stack, cell, d, widths, bidirectional=bidirectional, bias=bias)
        assert parameter_count(nnx.eval_shape(lambda make=make: make(rngs=nnx.Rngs(0)))) == expected


def test_parameter_table_covers_the_registry():
    table = {row["cell"]: row for row in parameter_table(28, 150)}
    assert list(table) == list(CELLS)
    assert table["elman"] == {"cell": "elman", "torch": 27_000, "single": 26_850, "none": 26_700}
    assert table["gru"] == {"cell": "gru", "torch": 81_000, "single": 80_550, "none": 80_100}
    assert table["lstm"] == {"cell": "lstm", "torch": 108_000, "single": 107_400, "none": 106_800}


@pytest.mark.parametrize("d, n", [(1, 1), (3, 4), (10, 128)])
def test_lstm_count_depends_on_features_and_units_alone(d, n):
    """U7: 4(nd + n^2 + n) trainable numbers, however long the sequences and however large the batch m."""
    cell = nnx.eval_shape(lambda: LSTMCell(d, n, bias="single", rngs=nnx.Rngs(0)))
    for m, t in ((1, 1), (5, 30)):
        _, ys = jax.eval_shape(unroll, cell, jnp.zeros((m, t, d)))
        assert ys.shape == (m, t, n)
        gradient = jax.eval_shape(jax.grad(lambda cell, xs: unroll(cell, xs)[1].sum()), cell, jnp.zeros((m, t, d)))
        assert parameter_count(gradient) == parameter_count(cell) == 4 * (n * d + n**2 + n)


# --- initialisation ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name, count", [("elman", 1), ("elman_relu", 1), ("gru", 3), ("lstm", 4)])
def test_default_init_is_per_gate(name, count):
    """Each gate's recurrent block is orthogonal, its input block Glorot's for that gate alone, and no two are equal."""
    d, h = 20, 30
    cell = CELLS[name](d, h, rngs=nnx.Rngs(0))
    blocks = np.split(np.asarray(cell.w_h[...]), count, axis=1)
    for block in blocks:
        np.testing.assert_allclose(np.linalg.svd(block, compute_uv=False), np.ones(h), atol=1e-5)
    bound = (6 / (d + h)) ** 0.5
    inputs = np.split(np.asarray(cell.w_x[...]), count, axis=1)
    for block in inputs:
        assert 0.95 * bound < np.abs(block).max() <= bound
        np.testing.assert_allclose(block.var(), bound**2 / 3, rtol=0.2)
    for same_kind in (blocks, inputs):
        for number, block in enumerate(same_kind):
            assert all(np.abs(block - other).max() > 0.1 for other in same_kind[:number])


def test_default_init_of_a_jordan_cell():
    """What is fed back has orthonormal rows or columns, whichever are fewer; the other blocks are Glorot's."""
    d, h = 20, 30
    for m in (30, 40, 25):
        cell = JordanCell(d, h, hidden=m, rngs=nnx.Rngs(0))
        np.testing.assert_allclose(np.linalg.svd(cell.w_y[...], compute_uv=False), np.ones(min(h, m)), atol=1e-5)
        for block in (np.asarray(cell.w_x[...]), np.asarray(cell.v[...])):
            bound = (6 / sum(block.shape)) ** 0.5
            assert 0.95 * bound < np.abs(block).max() <= bound
            np.testing.assert_allclose(block.var(), bound**2 / 3, rtol=0.2)
        assert not any(np.any(bias[...]) for bias in (cell.b_x, cell.b_y, cell.c))


def test_pytorch_init_of_a_jordan_cell_goes_by_its_hidden_units():
    """They are the hidden size of its `nn.RNN`, and the inputs of its `nn.Linear`."""
    cell = JordanCell(50, 60, hidden=400, init="pytorch", rngs=nnx.Rngs(0))
    for leaf in map(np.asarray, jax.tree.leaves(cell)):
        assert 0.9 * 400**-0.5 < np.abs(leaf).max() <= 400**-0.5


def test_default_biases_are_zero_but_for_the_forget_gate():
    """The total forget bias is 1 under either convention, all of it in ``b_x``."""
    forget = np.concatenate([np.zeros(H), np.ones(H), np.zeros(2 * H)])
    torch, single, none = (LSTMCell(D, H, bias=bias, rngs=nnx.Rngs(0)) for bias in ("torch", "single", "none"))
    np.testing.assert_array_equal(torch.b_x[...], forget)
    np.testing.assert_array_equal(torch.b_h[...], np.zeros(4 * H))
    np.testing.assert_array_equal(single.b_x[...], forget)
    assert single.b_h is None and none.b_x is None and none.b_h is None
    for name in ("elman", "elman_relu", "gru"):
        cell = CELLS[name](D, H, rngs=nnx.Rngs(0))
        assert not np.any(cell.b_x[...]) and not np.any(cell.b_h[...])


@pytest.mark.parametrize("bias", ["torch", "single"])
@pytest.mark.parametrize("init", ["default", "pytorch"])
def test_forget_bias_may_be_swept(init, bias):
    """Traced under jit and vmap, a forget bias makes the cell that it makes alone; only that block is touched."""
    sweep = jnp.asarray([0.0, 1.0, 2.5])

    def make(forget_bias):
        return LSTMCell(D, H, init=init, bias=bias, forget_bias=forget_bias, rngs=nnx.Rngs(0))

    swept = jax.jit(jax.vmap(make))(sweep)
    plain = LSTMCell(D, H, init=init, bias=bias, rngs=nnx.Rngs(0))
    for number, forget_bias in enumerate(sweep):
        alone = make(float(forget_bias))
        assert_close(jax.tree.map(lambda leaf, number=number: leaf[number], swept), alone, 1e-7)
        blocks, before = np.split(alone.b_x[...], 4), np.split(plain.b_x[...], 4)
        np.testing.assert_array_equal(blocks[1], np.full(H, forget_bias))
        for gate in (0, 2, 3):
            np.testing.assert_array_equal(blocks[gate], before[gate])
        if bias == "torch":
            assert not np.any(np.split(alone.b_h[...], 4)[1])
            np.testing.assert_array_equal(np.split(alone.b_h[...], 4)[0], np.split(plain.b_h[...], 4)[0])


@pytest.mark.parametrize("name", CELLS)
def test_pytorch_init_is_uniform(name):
    """Every number, biases and forget gate too, from U(-1/sqrt(h), 1/sqrt(h)): bounds, mean and variance.

    But for those of a time gate, which PyTorch has not.
    """
    d, h = 50, 100
    cell = CELLS[name](d, h, init="pytorch", rngs=nnx.Rngs(0))
    if name == "time_gated_lstm":
        cell.log_tau = cell.s = cell.logit_r_on = None
    bound = h**-0.5
    for leaf in map(np.asarray, jax.tree.leaves(cell)):
        assert 0.9 * bound < np.abs(leaf).max() <= bound
        assert abs(leaf.mean()) < 4 * bound / (3 * leaf.size) ** 0.5
        np.testing.assert_allclose(leaf.var(), bound**2 / 3, rtol=6 / leaf.size**0.5)
    for leaf, other in itertools.combinations(jax.tree.leaves(cell), 2):
        assert leaf.shape != other.shape or np.abs(leaf - other).max() > 0.1 * bound


@pytest.mark.parametrize("init", ["default", "pytorch"])
@pytest.mark.parametrize("name", CELLS)
def test_a_key_names_its_numbers(name, init):
    first, again, other = (CELLS[name](D, H, init=init, rngs=nnx.Rngs(seed)) for seed in (3, 3, 4))
    assert_close(first, again, 0.0)
    for leaf, beside in zip(jax.tree.leaves(first), jax.tree.leaves(other), strict=True):
        assert leaf.ndim < 2 or np.abs(leaf - beside).max() > 0.01


# --- mistakes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize(
    "options, message",
    [
        ({"bias": "two"}, "bias must be 'torch', 'single' or 'none', not 'two'"),
        ({"init": "he"}, "init must be 'default' or 'pytorch', not 'he'"),
    ],
)
def test_unknown_conventions_are_named(name, options, message):
    with pytest.raises(ValueError, match=message):
        CELLS[name](D, H, rngs=nnx.Rngs(0), **options)


def test_unknown_activation_is_named():
    with pytest.raises(ValueError, match="activation must be 'tanh' or 'relu', not 'gelu'"):
        ElmanCell(D, H, activation="gelu", rngs=nnx.Rngs(0))


def test_forget_bias_needs_a_bias():
    with pytest.raises(ValueError, match="forget_bias needs a bias"):
        LSTMCell(D, H, bias="none", forget_bias=1.0, rngs=nnx.Rngs(0))


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize(
    "xs, message",
    [
        (np.zeros((2, 5, 1), "float32"), rf"shape \(2, 1\) do not fit weights for {D} features"),
        (np.zeros((2, 5, D + 1), "float32"), rf"shape \(2, {D + 1}\) do not fit weights for {D} features"),
        (np.zeros((2, 5, D), "uint8"), r"one integer a step, \(\.\.\., 1\), not \(2, 3\): make features .* floats"),
    ],
)
@pytest.mark.parametrize("hidden", [2, 40])  # few weights, whose product broadcasts, and many
def test_other_features_than_the_weights_are_for_are_named(name, hidden, xs, message):
    cell = CELLS[name](D, hidden, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match=message):
        unroll(cell, xs)


@pytest.mark.parametrize("name", CELLS)
def test_an_integer_that_stands_for_no_vector_is_no_number(name):
    """An index beyond the weights would be taken for the last one, one below 0 for one from the end."""
    cell = CELLS[name](D, H, rngs=nnx.Rngs(0))
    for wrong in (-1, D, 10**6):
        _, ys = jax.jit(unroll)(cell, jnp.array([[[0], [wrong]], [[0], [D - 1]]]))
        assert np.isnan(ys[0, 1]).all() and np.isfinite(ys[1]).all() and np.isfinite(ys[0, 0]).all()


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "uint32"])
def test_integers_of_any_type_stand_for_one_hot_vectors(dtype):
    cell = ElmanCell(300, H, rngs=nnx.Rngs(0))
    ids = np.array([[[0], [5], [127]]])
    vectors = jax.nn.one_hot(ids[..., 0], 300)
    np.testing.assert_allclose(unroll(cell, ids.astype(dtype))[1], unroll(cell, vectors)[1], rtol=1e-6, atol=1e-6)
