"""Layers are the scans they are made of: one above the other, from both ends, with dropout in between."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from contract import (
    ROWS,
    D,
    H,
    Noisy,
    T,
    assert_close,
    carry_like,
    cell_of,
    float64,
    numbers,
    perturbed,
    soon,
    weighed,
    weights_like,
)
from jaxrnn.cells import CELLS, Cell, ElmanCell, GRUCell, LSTMCell
from jaxrnn.layers import Bidirectional, Recurrent, Stack, stack
from jaxrnn.scan import unroll

MERGES = {
    "concat": lambda a, b: np.concatenate([a, b], axis=-1),
    "sum": lambda a, b: a + b,
    "mean": lambda a, b: 0.5 * (a + b),
    "product": lambda a, b: a * b,
}
either_way = pytest.mark.parametrize("bidirectional", [False, True])


def inputs(seed=0, batch_shape=ROWS):
    return jnp.asarray(numbers((*batch_shape, T, D), seed))


def layers_of(cell="lstm", widths=(4, 5, 2), seed=0, **options):
    """A stack with all its parameters random."""
    return perturbed(stack(cell, D, widths, rngs=nnx.Rngs(seed), **options), seed)


class Wire(Cell):
    """Puts out what comes in: above another layer, it shows what reaches it."""

    def __init__(self, features):
        self.in_features = self.features = features

    def __call__(self, carry, x):
        return x, x

    def initial_carry(self, batch_shape):
        return jnp.zeros((*batch_shape, self.features))


# --- one direction, both directions -----------------------------------------------------------------------------------


def test_a_recurrent_layer_is_its_cell_unrolled():
    with float64():
        layer, xs = Recurrent(cell_of(LSTMCell)), inputs()
        mask, reset = numbers((*ROWS, T), 1) > 0, numbers((*ROWS, T), 2) > 0
        options = {"mask": mask, "reset": reset, "reverse": True, "factor": 2, "remat": 3}
        carry, ys = layer(xs, **options)
        assert_close((carry, ys), unroll(layer.cell, xs, **options), 0.0)
        assert_close(layer.initial_carry(ROWS), layer.cell.initial_carry(ROWS), 0.0)
        assert_close(layer.output(carry), carry[0], 0.0)
        assert (layer.in_features, layer.features) == (D, H)


@pytest.mark.parametrize("merge", MERGES)
def test_bidirectional_is_forward_and_flipped_backward(merge):
    """Outputs merge step by step; at the end, what each direction says when it has read the whole row."""
    with float64():
        forward, backward, xs = cell_of(GRUCell, 0), cell_of(LSTMCell, 1), inputs()
        layer = Bidirectional(forward, backward, merge=merge)
        ahead, ys = unroll(forward, xs)
        back, flipped = unroll(backward, xs[..., ::-1, :])
        zs = flipped[..., ::-1, :]
        carry, merged = layer(xs)
        assert_close(carry, (ahead, back))
        assert_close(merged, jnp.asarray(MERGES[merge](ys, zs)))
        assert_close(layer.output(carry), jnp.asarray(MERGES[merge](ys[..., -1, :], zs[..., 0, :])))
        assert (layer.in_features, layer.features) == (D, merged.shape[-1])
        assert_close(layer.initial_carry(ROWS), (forward.initial_carry(ROWS), backward.initial_carry(ROWS)), 0.0)


def test_bidirectional_may_have_unlike_widths():
    layer = Bidirectional(ElmanCell(D, 2, rngs=nnx.Rngs(0)), ElmanCell(D, 5, rngs=nnx.Rngs(1)))
    assert layer.features == layer(inputs())[1].shape[-1] == 7


def test_bidirectional_takes_lengths_for_the_mask_that_they_are():
    """With a carry given, and a reset in the padding that does nothing to it."""
    with float64():
        layer, xs = Bidirectional(cell_of(GRUCell, 0), cell_of(GRUCell, 1)), inputs()
        lengths, reset = np.array([[0, T], [3, 2]]), np.ones((*ROWS, T), bool)
        carry = tuple(carry_like(cell) for cell in (layer.forward, layer.backward))
        by_mask = layer(xs, carry=carry, mask=np.arange(T) < lengths[..., None], reset=reset)
        assert_close(layer(xs, carry=carry, lengths=lengths, reset=reset), by_mask, 0.0)


def test_a_reset_parts_a_row_for_both_directions():
    """Without a mask: steps 0 and 1 are one row, steps 2 and 3 another."""
    with float64():
        layer, xs = Bidirectional(cell_of(GRUCell, 0), cell_of(GRUCell, 1)), inputs()
        reset = np.zeros((*ROWS, T), bool)
        reset[..., 2] = True
        (_, first_end), first = layer(xs[..., :2, :])
        (last_end, _), last = layer(xs[..., 2:, :])
        assert_close(layer(xs, reset=reset), ((last_end, first_end), jnp.concatenate([first, last], axis=-2)))


def test_bidirectional_spares_the_memory_of_both_directions():
    """Of one alone, no less than half would be left."""
    layer = jax.eval_shape(lambda: Bidirectional(*(GRUCell(8, 8, rngs=nnx.Rngs(0)) for _ in range(2)), merge="sum"))

    def bytes_of(remat):
        gradient = jax.grad(lambda layer, xs: jnp.sum(layer(xs, remat=remat)[1][:, 100]), argnums=(0, 1))
        compiled = soon(gradient).lower(layer, jax.ShapeDtypeStruct((16, 512, 8), jnp.float32)).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    assert 0 < bytes_of(16) < bytes_of(None) / 2


def test_directions_draw_their_own_noise():
    layer = Bidirectional(Noisy(D, H, rngs=nnx.Rngs(0)), Noisy(D, H, rngs=nnx.Rngs(0)))
    xs = jnp.ones((1, D))
    _, quiet = layer(xs)
    _, loud = layer(xs, key=jax.random.key(0))
    factors = np.ravel(loud / quiet)
    assert len(np.unique(factors.round(4))) == 2 * H


# --- stacks -----------------------------------------------------------------------------------------------------------


@either_way
def test_a_stack_is_its_layers_one_above_the_other(bidirectional):
    """A width for each layer, twice that where both directions are joined, and masks and resets for all of them."""
    with float64():
        layers, xs = layers_of(bidirectional=bidirectional), inputs()
        both = 2 if bidirectional else 1
        assert [layer.features for layer in layers.layers] == [4 * both, 5 * both, 2 * both]
        assert [layer.in_features for layer in layers.layers] == [D, 4 * both, 5 * both]
        assert (layers.in_features, layers.features) == (D, 2 * both)
        options = {"lengths": np.array([[0, T], [3, 2]]), "reset": numbers((*ROWS, T), 1) > 0}
        carry, ys = layers(xs, **options)
        ends, zs = [], xs
        for layer in layers.layers:
            end, zs = layer(zs, **options)
            ends.append(end)
        assert_close((carry, ys), (tuple(ends), zs), 0.0)
        assert_close(layers.output(carry), layers.layers[-1].output(ends[-1]), 0.0)
        assert_close(layers.initial_carry(ROWS), tuple(layer.initial_carry(ROWS) for layer in layers.layers), 0.0)


def test_steps_in_one_turn_or_computed_again_change_nothing_of_a_stack():
    """In value or gradient, with resets and masks, which both directions have to see."""
    with float64():
        layers, xs = layers_of("elman", (4,), bidirectional=True), inputs()
        lengths, reset = np.array([[0, T], [3, 2]]), numbers((*ROWS, T), 1) > 0
        weights = weights_like(jax.eval_shape(layers, xs))

        @partial(soon, static_argnames=("factor", "remat"))
        def work(layers, xs, **options):
            def loss(layers, xs):
                out = layers(xs, lengths=lengths, reset=reset, **options)
                return weighed(out, weights), out

            return jax.grad(loss, argnums=(0, 1), has_aux=True)(layers, xs)

        assert_close(work(layers, xs, remat=3, factor=2), work(layers, xs))


def test_stack_takes_a_name_or_a_maker():
    rngs = partial(nnx.Rngs, 0)
    by_name = stack("elman_relu", D, [4], bias="single", init="pytorch", rngs=rngs())
    by_maker = stack(CELLS["elman_relu"], D, [4], bias="single", init="pytorch", rngs=rngs())
    assert by_name.layers[0].cell.activation == "relu"
    assert_close(by_name, by_maker, 0.0)


@either_way
def test_every_cell_of_a_stack_has_its_own_weights(bidirectional):
    layers = stack("elman", H, [H, H], bidirectional=bidirectional, merge="sum", rngs=nnx.Rngs(0))
    weights = [leaf for leaf in jax.tree.leaves(layers) if leaf.shape == (H, H)]
    assert len(weights) == (8 if bidirectional else 4)
    for number, leaf in enumerate(weights):
        assert all(np.abs(leaf - other).max() > 0.1 for other in weights[:number])


def test_a_stack_carries_its_state_from_chunk_to_chunk():
    with float64():
        layers, xs = layers_of(), inputs()
        whole = layers(xs)
        carry, chunks = None, []
        for chunk in np.split(xs, (1, 3), axis=-2):
            carry, ys = layers(chunk, carry=carry)
            chunks.append(ys)
        assert_close((carry, jnp.concatenate(chunks, axis=-2)), whole)


@pytest.mark.slow
def test_a_padded_stack_is_the_unpadded_one():
    """Ragged rows of a stack, NaN in their padding, are the rows on their own: value and gradient."""
    with float64():
        layers, clean = layers_of("gru", (4, 2), bidirectional=True, learn_carry=True), inputs(0, (3,))
        lengths = np.array([0, 2, T])
        xs = jnp.where((np.arange(T) < lengths[:, None])[..., None], clean, jnp.nan)
        weights = weights_like(jax.eval_shape(layers, xs))

        def loss(layers, xs, weights, **options):
            out = layers(xs, **options)
            return weighed(out, weights), out

        work = soon(jax.grad(loss, argnums=(0, 1), has_aux=True))
        (gradient, d_xs), (carry, ys) = work(layers, xs, weights, lengths=lengths)
        total = jax.tree.map(jnp.zeros_like, layers)
        for row, n in enumerate(lengths):
            at_row = jax.tree.map(lambda leaf, row=row: leaf[row], weights[0])
            (d_row, d_x), (end, y) = work(layers, clean[row, :n], (at_row, weights[1][row, :n]))
            total = jax.tree.map(jnp.add, total, d_row)
            assert_close(jax.tree.map(lambda leaf, row=row: leaf[row], carry), end)
            for padded, unpadded in ((ys, y), (d_xs, d_x)):
                assert_close(padded[row, :n], unpadded)
                np.testing.assert_array_equal(padded[row, n:], 0.0)
        assert_close(gradient, total)


def test_learned_carries_of_a_stack_start_every_layer():
    with float64():
        layers, xs = layers_of("gru", (4, 2), bidirectional=True, learn_carry=True), inputs()
        start = layers.initial_carry(ROWS)
        assert all(np.all(leaf) for leaf in jax.tree.leaves(start))
        assert_close(layers(xs), layers(xs, carry=start))
        gradient = jax.grad(lambda layers: jnp.sum(layers(xs)[1] ** 2))(layers)
        for layer in gradient.layers:
            for cell in (layer.forward, layer.backward):
                assert np.all(np.abs(cell.h_0[...]) > 0)


def test_layers_of_a_stack_draw_their_own_noise():
    cells = [Noisy(D, D, rngs=nnx.Rngs(0)) for _ in range(2)]
    layers, key = Stack([Recurrent(cell) for cell in cells]), jax.random.key(0)
    (first, second), _ = layers(jnp.ones((1, D)), key=key)
    noises = first / (jnp.ones(D) @ cells[0].w_x[...]), second / (first @ cells[1].w_x[...])
    assert np.abs(noises[0] - noises[1]).min() > 1e-4
    assert_close(layers(jnp.ones((1, D)), key=key), layers(jnp.ones((1, D)), key=key), 0.0)


# --- dropout ----------------------------------------------------------------------------------------------------------


def wired(width=50):
    """One layer under a `Wire`, and that layer alone: the outputs of the stack are what dropout left of the layer's."""
    layer = Recurrent(perturbed(ElmanCell(D, width, rngs=nnx.Rngs(0))))
    return Stack([layer, Recurrent(Wire(width))]), layer


def test_dropout_drops_or_scales_each_output_on_its_way_up():
    rate, xs = 0.3, jnp.asarray(numbers((20, T, D)), "float32")
    layers, layer = wired()
    _, below = layer(xs)
    _, above = layers(xs, key=jax.random.key(0), dropout=rate)
    kept = np.asarray(above != 0)
    np.testing.assert_allclose(above[kept], (below / (1 - rate))[kept], rtol=1e-6)
    assert abs(kept.mean() - (1 - rate)) < 4 * (rate * (1 - rate) / kept.size) ** 0.5
    for axis in range(3):
        assert np.any(kept != np.roll(kept, 1, axis)), "drawn once and spread along an axis"
    _, other = layers(xs, key=jax.random.key(1), dropout=rate)
    assert np.any(kept != np.asarray(other != 0))


def test_dropout_preserves_the_mean():
    layers, layer = wired()
    xs = jnp.asarray(numbers((T, D)), "float32")
    draw = jax.jit(jax.vmap(lambda key: layers(xs, key=key, dropout=0.5)[1]))
    draws = draw(jax.random.split(jax.random.key(0), 2000))
    _, below = layer(xs)
    # each draw is 0 or twice the output, so that its standard deviation is the output itself
    assert np.all(np.abs(draws.mean(0) - below) <= 5 * np.abs(below) / 2000**0.5)


def test_dropout_rate_zero_and_no_key_are_no_dropout():
    layers, xs, key = layers_of(), jnp.asarray(inputs(), "float32"), jax.random.key(0)
    plain = layers(xs)
    assert_close(layers(xs, key=key, dropout=0.0), plain, 0.0)
    assert_close(layers(xs, key=key), plain, 0.0)
    assert_close(layers(xs, dropout=0.9), plain, 0.0)
    assert np.abs(layers(xs, key=key, dropout=0.9)[1] - plain[1]).max() > 0.01


def test_dropout_spares_the_inputs_and_the_top():
    layers, xs = layers_of("elman", (4,)), jnp.asarray(inputs(), "float32")
    assert_close(layers(xs, key=jax.random.key(0), dropout=0.9), layers(xs), 0.0)
    layers = layers_of("elman", (4, 5))
    (below, _), ys = layers(xs, key=jax.random.key(0), dropout=0.9)
    assert_close(below, layers(xs)[0][0], 0.0)
    assert np.all(np.abs(ys) > 0)


def test_dropout_of_everything_leaves_zeros_and_finite_gradients():
    layers, xs, key = layers_of("gru", (4, 5)), jnp.asarray(inputs(), "float32"), jax.random.key(0)
    _, ys = layers(xs, key=key, dropout=1.0)
    _, of_zeros = layers.layers[1](jnp.zeros((*ROWS, T, 4)))
    assert_close(ys, of_zeros, 1e-6)

    def loss(layers, xs, rate):
        return jnp.sum(layers(xs, key=key, dropout=rate)[1] ** 2)

    gradient, d_xs, d_rate = jax.grad(loss, argnums=(0, 1, 2))(layers, xs, 1.0)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves((gradient, d_rate)))
    np.testing.assert_array_equal(d_xs, 0.0)
    assert all(not np.any(leaf) for leaf in jax.tree.leaves(gradient.layers[0]))
    assert np.any(gradient.layers[1].cell.w_h[...])


def test_dropout_rate_may_be_traced():
    layers, _ = wired()
    xs, key, rates = jnp.asarray(numbers((T, D)), "float32"), jax.random.key(0), jnp.array([0.0, 0.3, 0.9, 1.0])
    swept = jax.jit(jax.vmap(lambda rate: layers(xs, key=key, dropout=rate)[1]))(rates)
    for ys, rate in zip(swept, rates, strict=True):
        assert_close(ys, layers(xs, key=key, dropout=float(rate))[1], 1e-5)


def test_dropout_of_padding_is_still_zero():
    layers, _ = wired()
    _, ys = layers(jnp.full((2, T, D), jnp.nan), lengths=np.zeros(2, int), key=jax.random.key(0), dropout=0.5)
    np.testing.assert_array_equal(ys, 0.0)


# --- mistakes ---------------------------------------------------------------------------------------------------------


def elman(d=D, h=H):
    return ElmanCell(d, h, rngs=nnx.Rngs(0))


@pytest.mark.parametrize(
    "build, message",
    [
        (lambda: stack("grue", D, [H], rngs=nnx.Rngs(0)), "cell must be one of elman, .*gru, lstm.*, not 'grue'"),
        (lambda: stack("gru", D, [], rngs=nnx.Rngs(0)), "a stack needs at least one layer"),
        (lambda: stack("gru", D, [H], bidirectional=True, merge="max", rngs=nnx.Rngs(0)), "merge must be .*not 'max'"),
        (lambda: Stack([]), "a stack needs at least one layer"),
        (
            lambda: Stack([Recurrent(elman(D, 5)), Recurrent(elman(4, H))]),
            "a layer that reads 4 features is on top of one that puts out 5",
        ),
        (
            lambda: Bidirectional(elman(), elman(), merge="max"),
            "merge must be one of 'concat', 'sum', 'mean', 'product', not 'max'",
        ),
        (lambda: Bidirectional(elman(3), elman(2)), "both directions read the same inputs: 3 != 2"),
        (lambda: Bidirectional(elman(h=4), elman(h=5), merge="sum"), "merge='sum' needs equal widths: 4 != 5"),
    ],
)
def test_layers_that_do_not_fit_are_named(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_a_carry_for_another_stack_is_named():
    layers = stack("gru", D, [H, H], rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="the carry of a stack is a tuple of 2, one a layer, not 3"):
        layers(jnp.zeros((2, T, D)), carry=(jnp.zeros((2, H)),) * 3)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"reset": np.ones((2, 3), bool)}, r"reset must be booleans of shape \(2, 4\).*not bool of shape \(2, 3\)"),
        ({"reset": np.array(True)}, r"reset must be booleans of shape \(2, 4\).*not bool of shape \(\)"),
        ({"reset": np.ones((2, T), bool), "mask": np.ones((2, 3), bool)}, r"mask must be booleans of shape \(2, 4\)"),
        ({"reset": np.ones((2, T), bool), "lengths": np.array([1, 5])}, "lengths must lie between 0 and the 4 steps"),
    ],
)
def test_a_bidirectional_layer_names_what_does_not_fit(options, message):
    with pytest.raises(ValueError, match=message):
        Bidirectional(elman(), elman())(jnp.zeros((2, T, D)), **options)
