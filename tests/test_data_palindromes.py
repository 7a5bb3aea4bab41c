"""Palindromes: what is drawn are all of them and nothing else, alike, and what is held out is never trained on."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxrnn.data.palindromes import draw, features, halves, held_out_count

KEY = jax.random.key(0)


def digits_of(x):
    return np.asarray(x)[..., 0].astype(int) if x.shape[-1] == 1 else np.asarray(x).argmax(-1)


@given(st.integers(3, 12), st.integers(0, 2**31), st.sampled_from(["onehot", "scalar"]), st.booleans())
def test_a_palindrome_reads_the_same_backwards(length, seed, encoding, held_out):
    x, y = draw(jax.random.key(seed), 20, length, encoding, held_out=held_out)
    assert x.shape == (20, length - 1, features(encoding)) and y.shape == (20,)
    whole = np.concatenate([digits_of(x), np.asarray(y)[:, None]], axis=1)
    np.testing.assert_array_equal(whole, whole[:, ::-1])
    sums = whole[:, : -(-length // 2)].sum(1) % 10
    assert (sums == 0).all() if held_out else (sums != 0).all()
    assert whole.min() >= 0 and whole.max() <= 9
    if encoding == "onehot":
        np.testing.assert_array_equal(np.asarray(x).sum(-1), 1)


def test_the_two_parts_are_all_there_are_and_share_none():
    parts = [
        {tuple(half) for half in np.asarray(halves(KEY, 20_000, 3, held_out=held_out)).tolist()}
        for held_out in (False, True)
    ]
    assert [len(part) for part in parts] == [900, 100]
    assert held_out_count(5) == held_out_count(6) == 100
    assert parts[0] | parts[1] == set(itertools.product(range(10), repeat=3))


@pytest.mark.parametrize("held_out", [False, True])
@pytest.mark.parametrize("length", [3, 5, 10])
def test_every_digit_of_the_half_is_as_frequent_as_every_other(length, held_out):
    n = 50_000
    counts = np.stack([np.bincount(column, minlength=10) for column in
                       np.asarray(halves(KEY, n, -(-length // 2), held_out=held_out)).T])  # fmt: skip
    # 5 standard deviations of a binomial count
    assert np.abs(counts - n / 10).max() < 5 * np.sqrt(n * 0.1 * 0.9)


def test_both_encodings_and_any_compilation_draw_the_same():
    (one_hot, y), (scalar, z) = (draw(KEY, 50, 9, encoding) for encoding in ("onehot", "scalar"))
    np.testing.assert_array_equal(digits_of(one_hot), digits_of(scalar))
    compiled = jax.jit(lambda key: draw(key, 50, 9))(KEY)
    np.testing.assert_array_equal(compiled[0], one_hot)
    np.testing.assert_array_equal(compiled[1], y)
    assert (y == z).all() and one_hot.dtype == scalar.dtype == jnp.float32


def test_what_cannot_be_drawn_is_said():
    with pytest.raises(ValueError, match="a length of at least 3"):
        draw(KEY, 1, 2)
    with pytest.raises(ValueError, match="'onehot' or 'scalar', not 'roman'"):
        draw(KEY, 1, 5, "roman")
