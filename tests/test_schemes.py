"""The schemes of the scan: each gives the reference's values and gradients, whatever the shape, the mask or the
direction, and training takes the one of the table.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from hypothesis import given
from hypothesis import strategies as st

from contract import (
    D,
    H,
    assert_close,
    carry_like,
    cell_of,
    few,
    float64,
    numbers,
    perturbed,
    soon,
    weighed,
    weights_like,
)
from jaxrnn import schemes, train
from jaxrnn.cells import CELLS, AffineCell, LSTMCell
from jaxrnn.layers import stack
from jaxrnn.models import Classifier, LanguageModel
from jaxrnn.scan import unroll
from jaxrnn.schemes import GRADIENTS
from jaxrnn.wrappers import Zoneout

OTHERS = ("stepwise", "collected", "ahead")
"""All schemes but the reference."""

FAST = [name for name, make in CELLS.items() if type(make(D, H, rngs=nnx.Rngs(0))) in GRADIENTS]
"""The cells that have them."""

SOON = ("gru", "lstm")
"""The two whose gradients differ most; each other compiles as many programs again."""

every_cell = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name not in SOON)) for name in FAST]
)
every_scheme = pytest.mark.parametrize("scheme", OTHERS)

SHAPES = [
    # batch, time, input features, hidden units
    ((2, 3), 4, 3, 4),
    ((), 5, 2, 3),
    ((3,), 1, 1, 1),
    ((1,), 7, 5, 2),
    ((2,), 0, 3, 4),
    ((0,), 3, 2, 2),
    ((5,), 2, 40, 3),  # weights beyond `FEW`, and a state within it
    ((2,), 3, 1, 9),
    ((2, 1, 2), 2, 4, 6),
    ((33,), 3, 2, 7),
]


@partial(soon, static_argnames="reverse")
def worked(cell, xs, carry, mask, reset, weights, reverse):
    """Of each scheme, the reference first: carry and outputs, and the loss gradient to cell, inputs and carry."""

    def of(scheme):
        def loss(cell, xs, carry):
            out = unroll(cell, xs, carry=carry, mask=mask, reset=reset, reverse=reverse, scheme=scheme)
            return weighed(out, weights), out

        gradients, out = jax.grad(loss, argnums=(0, 1, 2), has_aux=True)(cell, xs, carry)
        return out, gradients

    return [of(scheme) for scheme in ("reference", *OTHERS)]


@pytest.mark.parametrize(
    "shape", [pytest.param(shape, marks=[pytest.mark.slow] * (n > 1)) for n, shape in enumerate(SHAPES)]
)
@pytest.mark.parametrize("reverse", [False, True])
@every_cell
def test_values_and_gradients_are_the_reference_scans(name, reverse, shape):
    batch, time, d, h = shape
    with float64():
        cell = perturbed(CELLS[name](d, h, learn_carry=True, rngs=nnx.Rngs(0)))
        start = carry_like(cell, batch)
        weights = weights_like((start, jnp.zeros((*batch, time, h))))

    @few(max_examples=10)
    @given(
        seed=st.integers(0, 999),
        share=st.sampled_from([0.0, 0.3, 0.7, 1.0]),
        rubbish=st.sampled_from([np.nan, np.inf, -np.inf, 1e300]),
        from_carry=st.booleans(),
    )
    def law(seed, share, rubbish, from_carry):
        with float64():
            random = np.random.default_rng(seed)
            mask, reset = random.random((*batch, time)) < share, random.random((*batch, time)) < 0.3
            xs = np.where(mask[..., None], 2 * numbers((*batch, time, d), seed), rubbish)
            given = (start, mask, reset) if from_carry else (None, mask, None)
            reference, *others = worked(cell, xs, *given, weights, reverse)
            for other in others:
                assert_close(other, reference)

    law()


def gradients(cell, xs, **options):
    """Carry and outputs of each scheme, the reference first, and the gradient of a loss of them to the cell's weights
    and, where they are real numbers, to the inputs."""

    def loss(cell, xs, scheme):
        out = unroll(cell, xs, scheme=scheme, **options)
        return weighed(out, weights_like(out)), out

    by_number = (0,) if jnp.issubdtype(xs.dtype, jnp.integer) else (0, 1)

    @soon
    def all_of(cell, xs):
        return [jax.grad(loss, by_number, has_aux=True)(cell, xs, scheme) for scheme in ("reference", *OTHERS)]

    return all_of(cell, xs)


@pytest.mark.parametrize("bias", ["torch", "single", "none"])
@every_cell
def test_any_bias_without_a_mask_and_one_hot_inputs(name, bias):
    with float64():
        cell = cell_of(partial(CELLS[name], bias=bias))
        ids = jnp.asarray(np.random.default_rng(0).integers(0, D, (2, 6, 1)))
        reference, *others = gradients(cell, ids)
        one_hot = gradients(cell, jax.nn.one_hot(ids[..., 0], D, dtype=float))
        for other in others:
            assert_close(other, reference)
        for other in one_hot:
            assert_close((other[0][0], other[1]), (reference[0][0], reference[1]))
            assert_close(other, one_hot[0])


@pytest.mark.parametrize("options", [{"factor": 3}, {"remat": 2}, {"remat": 3, "reverse": True}])
@every_cell
def test_unrolled_and_computed_again(name, options):
    with float64():
        cell, xs = cell_of(CELLS[name]), jnp.asarray(numbers((2, 7, D)))
        mask = jnp.asarray(np.random.default_rng(3).random((2, 7)) < 0.6)
        flags = {"mask": mask, "reset": mask & (numbers((2, 7)) < 0)}
        expected, *_ = gradients(cell, xs, **flags, reverse=options.get("reverse", False))
        for other in gradients(cell, xs, **flags, **options):
            assert_close(other, expected)


@every_scheme
@every_cell
def test_many_cells_under_vmap(name, scheme):
    with float64():
        cells = [cell_of(CELLS[name], seed) for seed in range(3)]
        xs = jnp.asarray(numbers((3, 2, 5, D)))

        def gradient(cell, xs):
            return jax.grad(lambda cell: jnp.square(unroll(cell, xs, scheme=scheme)[1]).sum())(cell)

        together = soon(jax.vmap(gradient))(jax.tree.map(lambda *leaves: jnp.stack(leaves), *cells), xs)
        for number, cell in enumerate(cells):
            assert_close(jax.tree.map(lambda leaf, n=number: leaf[n], together), soon(gradient)(cell, xs[number]))


@pytest.mark.slow
@every_scheme
@every_cell
def test_gradients_have_gradients(name, scheme):
    """A gradient's norm is part of some losses: reverse over reverse works."""
    with float64():
        cell, xs = cell_of(CELLS[name]), jnp.asarray(numbers((2, 4, D)))

        def norm(xs, scheme):
            return jnp.square(jax.grad(lambda xs: jnp.sin(unroll(cell, xs, scheme=scheme)[1]).sum())(xs)).sum()

        slope = soon(jax.grad(norm), static_argnums=1)
        assert_close(slope(xs, scheme), slope(xs, "reference"))


@every_scheme
def test_products_backward_are_as_precise_as_the_caller_asked_forward(scheme):
    """The backward pass is traced when the block in which the caller asked has ended."""
    cell = cell_of(LSTMCell)

    def loss(cell, xs):
        with jax.default_matmul_precision("BF16_BF16_F32"):
            return unroll(cell, xs, scheme=scheme)[1].sum()

    xs = jnp.zeros((12, 6, D), jnp.float32)
    cell = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), cell)
    products = [
        line for line in jax.jit(jax.grad(loss)).lower(cell, xs).as_text().splitlines() if "dot_general" in line
    ]
    assert len(products) >= 4 and all("lhs_precision_type = bf16" in line for line in products)


# Who has them.


def test_every_cell_of_two_products_has_its_gradient():
    assert {"elman", "elman_relu", "gru", "lstm"} <= set(FAST)
    for name, make in CELLS.items():
        cell = make(D, H, rngs=nnx.Rngs(0))
        of_two_products = isinstance(cell, AffineCell) and type(cell).__call__ is AffineCell.__call__
        assert (name in FAST) == of_two_products, name


@pytest.mark.parametrize(
    "make, scheme, words",
    [
        (CELLS["jordan"], "ahead", "is for ElmanCell, GRUCell, LSTMCell, not for JordanCell"),
        (CELLS["time_gated_lstm"], "collected", "not for TimeGatedLSTMCell"),
        (lambda *sizes, rngs: Zoneout(LSTMCell(*sizes, rngs=rngs), 0.1), "collected", "not for Zoneout"),
        (CELLS["gru"], "fastest", "scheme must be one of 'reference', 'stepwise', 'collected', 'ahead', not 'fas"),
    ],
)
def test_a_scheme_that_cannot_be_is_said(make, scheme, words):
    with pytest.raises(ValueError, match=words):
        unroll(make(D, H, rngs=nnx.Rngs(0)), np.zeros((2, 4, D)), scheme=scheme)


# What training takes.


@pytest.fixture
def asked(monkeypatch):
    """The cells and numbers of rows for which a scheme was looked up."""
    looked_up = []
    real = schemes.fastest

    def spy(cell, rows):
        looked_up.append((type(cell).__name__, rows))
        return real(cell, rows)

    monkeypatch.setattr(schemes, "fastest", spy)
    return looked_up


def task(cell, *, scheme=None, batch=4):
    def make_model(rngs, hparams):
        return Classifier(stack(cell, D, [H], rngs=rngs), 3, rngs=rngs)

    def objective(model, x, y, hparams, key):
        return train.cross_entropy(partial(model, **({} if scheme is None else {"scheme": scheme})), x, y, hparams, key)

    return train.Task(make_model, objective, lambda hparams: optax.sgd(0.1), batch)


def trained(task):
    x, y = numbers((8, 5, D)), np.arange(8) % 3
    keys = jax.random.split(jax.random.key(0), 1)
    fitted = train.fit(task, keys, train.Hparams(), (x, y), epochs=3, evals={"test": (x, y)}, progress=False)
    return fitted.progress.runs.model, fitted.metrics


@every_cell
def test_training_is_the_same_under_every_scheme(name):
    with float64():
        expected = trained(task(name, scheme="reference"))
        for scheme in (None, *OTHERS):
            assert_close(trained(task(name, scheme=scheme)), expected)


def test_training_looks_the_scheme_up_and_nobody_else_does(asked):
    trained(task("lstm", batch=3))
    # a batch, all of the evaluation, and one example, for the shapes of the metrics
    assert set(asked) == {("LSTMCell", rows) for rows in (3, 8, 1)}
    asked.clear()
    unroll(cell_of(LSTMCell), numbers((2, 4, D)))
    model = LanguageModel(stack("lstm", 3, [H], rngs=nnx.Rngs(0)), rngs=nnx.Rngs(0))
    model(np.zeros((2, 4), int))
    assert asked == []


def test_what_has_no_scheme_trains_by_the_reference():
    for name in set(CELLS) - set(FAST):
        trained(task(name))

    def zoneout(*sizes, rngs):
        return Zoneout(LSTMCell(*sizes, rngs=rngs), 0.1)

    trained(task(zoneout))


def test_the_table_has_a_scheme_for_every_cell_and_size():
    assert set(schemes.FASTEST_ON_CPU) == set(GRADIENTS)
    for by_size in schemes.FASTEST_ON_CPU.values():
        assert set(by_size) == set(schemes.SIZES) and set(by_size.values()) <= {"reference", *OTHERS}


@pytest.mark.parametrize(
    "hidden, rows, size",
    [(2, 1000, "tiny"), (3, 1000, "small"), (32, 1000, "small"), (33, 47, "few rows"), (33, 48, "many rows")],
)
def test_sizes(hidden, rows, size):
    cell = nnx.eval_shape(lambda: LSTMCell(D, hidden, rngs=nnx.Rngs(0)))
    assert schemes.size(cell, rows) == size
    assert schemes.fastest(cell, rows) == schemes.FASTEST_ON_CPU[LSTMCell][size]
