"""That every library computes the same as ours: on one batch, always the same, from the same weights."""

import multiprocessing
import os
import signal

import jax
import numpy as np
import pytest

from experiments import benchmark_reviews, benchmark_steps, benchmark_text, peer_flax, peer_torch
from experiments.benchmark_steps import FEW_DIGITS, SHORTER, TINIER, images, long, palindromes_of, tiny
from experiments.benchmark_sweeps import swept
from experiments.measuring import Shape
from experiments.peers import Network, drawn, weights
from jaxrnn.data import palindromes
from jaxrnn.errors import UserError
from libraries import needs

ONE = Shape(batch=64, time=5, features=6, hidden=7, classes=3, examples=64, steps=1)
"""One batch is all there is: whatever the order of the data, every library sees the same."""

CELLS = ("elman", "elman_relu", "gru", "lstm")


@pytest.fixture(autouse=True)
def one_batch(monkeypatch):
    """Whatever draws as it goes draws the same always."""
    draw, windows = palindromes.draw, benchmark_text.language.windows

    def same(key, n, length):
        return draw(jax.random.key(0), n, length)

    def same_windows(ids, length, steps):
        stream = windows(ids, length, steps)
        return type(stream)(lambda key, n, ids: stream.draw(jax.random.key(0), n, ids), steps, kept=stream.kept)

    monkeypatch.setattr(palindromes, "draw", same)
    monkeypatch.setattr(benchmark_text.language, "windows", same_windows)


def bias_of(library, cell):
    """Which biases ours must have to be the library's: PyTorch has two for a gate, and of the others Keras's GRU."""
    return "torch" if library == "torch" or (library == "keras" and cell == "gru") else "single"


def losses(row, *libraries, steps=10):
    """Of ours, and of these."""
    for library in libraries:
        needs(library)
    with row.contestants(libraries=libraries) as (_, trainers):
        assert list(trainers) == ["ours", *libraries]
        return {library: [train(1) for _ in range(steps)] for library, train in trainers.items()}


def same(found, **tolerance):
    assert found["ours"][-1] < found["ours"][0]
    for took in found.values():
        np.testing.assert_allclose(took, found["ours"], **{"rtol": 1e-5} | tolerance)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("library", ["torch", "flax", "keras"])
def test_the_same_steps_on_images(library, cell):
    same(losses(images(cell, ONE, bias_of(library, cell)), library))


@pytest.mark.parametrize("cell", ["elman", "lstm"])
@pytest.mark.parametrize("library", ["torch", "flax", "keras"])
def test_the_same_steps_on_palindromes_by_rmsprop_with_clipping(library, cell):
    same(losses(palindromes_of(cell, FEW_DIGITS, bias_of(library, cell)), library), rtol=1e-4)


@pytest.mark.parametrize("library", ["torch", "flax", "keras"])
def test_gradients_are_clipped(library, monkeypatch):
    row = palindromes_of("elman", FEW_DIGITS, bias_of(library, "elman"))
    # so small that RMSProp's epsilon outweighs what is left
    tight = row.network._replace(clip_norm=1e-9)
    monkeypatch.setattr(benchmark_steps, "network_of", lambda *_, **__: tight)
    found = losses(palindromes_of("elman", FEW_DIGITS, bias_of(library, "elman")), library)
    assert np.ptp(found["ours"]) < 0.02
    np.testing.assert_allclose(found[library], found["ours"], rtol=1e-4)


@pytest.mark.parametrize("library", ["torch", "flax", "keras"])
def test_the_same_steps_where_every_step_is_asked_for(library):
    same(losses(tiny(TINIER, bias_of(library, "elman")), library))


@pytest.mark.parametrize("library", ["torch", "flax", "keras"])
@pytest.mark.parametrize("remat", [None, 10])
def test_the_same_steps_on_long_sequences(library, remat):
    row = long(SHORTER, remat, bias_of(library, "gru"))
    assert "keras" in row.peers or remat
    if library in row.peers:
        same(losses(row, library))


@pytest.mark.parametrize("library", ["torch", "flax", "keras"])
def test_the_same_steps_by_several_layers(library):
    same(losses(images("lstm", ONE, bias_of(library, "lstm"), layers=2), library))


@pytest.mark.parametrize("library", ["torch", "flax"])
@pytest.mark.parametrize("one", [palindromes_of, tiny])
def test_the_same_steps_of_many_runs(library, one):
    bias = bias_of(library, "elman")
    alone = tiny(TINIER, bias) if one is tiny else palindromes_of("elman", FEW_DIGITS, bias)
    same(losses(swept(alone, 3), library, steps=5), rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("library", ["torch", "flax", "keras"])
def test_a_language_model(library):
    row = benchmark_text.training(benchmark_text.Scale(batch=8, steps=10, vocabulary=11, hidden=16, time=5))
    found = losses(row, library)
    if library == "torch":
        same(found, rtol=1e-4)
    else:  # one bias of a gate learns at another rate than two
        assert found[library][0] == pytest.approx(found["ours"][0], rel=1e-5)
        same(found, rtol=0.02)


def test_pytorch_writes_the_same_where_it_is_sure():
    needs("torch")
    scale = benchmark_text.Scale(batch=3, steps=10, vocabulary=11, hidden=16, temperature=1e-6)
    ours = benchmark_text.Writer(scale)
    write = peer_torch.writer(benchmark_text.network_of(scale), weights(ours.models[0]), 3, 1e-6)
    for steps in (7, 5):
        np.testing.assert_array_equal(ours.write(steps), write(steps))


REVIEW = benchmark_reviews.FEW._replace(batch=64, steps=1, torch=1, buckets=1)


def test_pytorch_judges_reviews_the_same_packed_and_padded():
    skipping = losses(benchmark_reviews.skipping(REVIEW), "torch", "torch_packed", steps=4)
    reading = losses(benchmark_reviews.reading(REVIEW), "torch", steps=4)
    np.testing.assert_allclose(skipping["ours"], skipping["torch_packed"], rtol=1e-5)
    np.testing.assert_allclose(skipping["torch"], reading["torch"], rtol=1e-5)
    assert abs(skipping["ours"][0] - reading["ours"][0]) > 1e-3
    same(reading)


def test_keras_judges_padded_reviews_the_same():
    same(losses(benchmark_reviews.reading(REVIEW), "keras", steps=4))


def test_flax_judges_padded_reviews_nearly_the_same():
    found = losses(benchmark_reviews.reading(REVIEW), "flax", steps=4)  # its GRU lacks a bias
    same(found, rtol=0.05)


def test_rows_are_turned_so_that_their_padding_is_behind():
    rows, lengths = peer_torch.behind(np.array([[0, 0, 3, 1], [4, 1, 2, 5], [0, 0, 0, 7]]))
    assert rows.tolist() == [[3, 1, 0, 0], [4, 1, 2, 5], [7, 0, 0, 0]] and lengths.tolist() == [2, 4, 1]


# Where they begin.


@pytest.mark.parametrize("cell", CELLS)
def test_drawn_weights_have_the_shapes_of_ours(cell):
    row = images(cell, ONE, layers=2)
    with row.contestants(libraries=()) as (models, _):
        ours = weights(models[0])
    (made,) = drawn(row.network, 1)
    assert jax.tree.map(np.shape, made) == jax.tree.map(np.shape, ours)
    assert {leaf.dtype for leaf in jax.tree.leaves(made)} == {np.dtype(np.float32)}


def test_drawn_weights_of_words_too_and_others_for_every_run():
    one, other = drawn(Network("gru", 4, 5, 2, vocabulary=9), 2)
    assert one.embedding.shape == (9, 4) and not np.array_equal(one.kernel, other.kernel)


def test_a_cell_with_one_bias_has_a_second_of_zeros():
    with images("gru", ONE, "single").contestants(libraries=()) as (models, _):
        (layer,) = weights(models[0]).layers
    assert layer.b_x.any() and not layer.b_h.any() and layer.b_h.shape == layer.b_x.shape


def test_a_flax_network_is_not_changed_by_the_next():
    network = Network("gru", 6, 7, 3)
    x, y = np.ones((2, 4, 6), np.float32), np.zeros(2, np.int32)
    both = drawn(network, 2)
    with peer_flax.trainer(network, both, [(x, y)]) as train:
        together = train(1)
    each = []
    for one in both:
        with peer_flax.trainer(network, [one], [(x, y)]) as train:
            each.append(train(1))
    assert together == pytest.approx(np.mean(each), rel=1e-5) and each[0] != each[1]


# PyTorch's processes.


def shared(processes):
    row = swept(tiny(TINIER), 3)
    return peer_torch.side_by_side(row.network, drawn(row.network, 3), row.batches(), processes=processes)


def test_processes_share_the_runs():
    network = Network("lstm", 6, 7, 3)
    begin = drawn(network, 3)
    assert [len(lot.begin) for lot in peer_torch.lots(network, begin, [], 2)] == [2, 1]
    assert [len(lot.begin) for lot in peer_torch.lots(network, begin, [], 5)] == [1, 1, 1]
    np.testing.assert_array_equal(peer_torch.lots(network, begin, [], 2)[1].begin[0].bias, begin[1].bias)


def test_processes_together_do_what_one_does_and_end():
    needs("torch")
    row = swept(tiny(TINIER), 3)
    with peer_torch.trainer(row.network, drawn(row.network, 3), row.batches()) as here, shared(2) as train:
        assert len(multiprocessing.active_children()) == 2
        np.testing.assert_allclose([train(2), train(3)], [here(2), here(3)], rtol=1e-5)
        assert train.peak() > 0
    assert not multiprocessing.active_children()


def test_processes_end_where_one_has_ended_by_itself():
    needs("torch")
    with pytest.raises(UserError, match="a PyTorch process ended by itself"), shared(2) as train:
        os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)
        train(1)
    assert not multiprocessing.active_children()


def test_processes_end_where_measuring_fails():
    needs("torch")
    with pytest.raises(RuntimeError, match="no luck"), shared(1):
        raise RuntimeError("no luck")
    assert not multiprocessing.active_children()
