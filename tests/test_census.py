"""The census of binary adders: each one adds, none is missing where one can look, and the numbers are those known."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.binary_addition import all_pairs
from jaxrnn.census import COEFFICIENTS, SETTINGS, STATES, adders, unordered
from jaxrnn.threshold import ElmanRNN, binary_adder_params, elman_rnn

COUNTS = {-2: 0, -1: 5_880, 0: 0, 1: 2_232, 2: 0}


@pytest.fixture(scope="module")
def found():
    return {u: jax.tree.map(np.asarray, adders(u)) for u in COEFFICIENTS}


def flat(params):
    """The settings as rows of whole numbers."""
    return np.concatenate([leaf.reshape(len(params.h_0), math.prod(leaf.shape[1:])) for leaf in params], axis=1)


@jax.jit
def _adds(params, xs, sums):
    return jax.vmap(lambda one: jnp.all(elman_rnn(one, xs)[1] == sums))(params)


def adds(params, width):
    return np.asarray(_adds(params, *all_pairs(width)))


# --- the numbers ------------------------------------------------------------------------------------------------------


def test_the_counts(found):
    """R1: 8,112 of 6,103,515,625,000; with u = 1 and h_0 = 0, 816."""
    assert SETTINGS == 6_103_515_625_000
    assert {u: len(params.h_0) for u, params in found.items()} == COUNTS
    assert sum(COUNTS.values()) == 8_112
    assert {u: int((~params.h_0.any(axis=1)).sum()) for u, params in found.items()} == {
        -2: 0,
        -1: 0,
        0: 0,
        1: 816,
        2: 0,
    }


def test_each_is_a_setting_of_its_own_within_the_bounds(found):
    for u, params in found.items():
        rows = flat(params)
        assert params.U.shape == (COUNTS[u], 3, 2) and (params.U == u).all()
        assert np.isin(rows, COEFFICIENTS).all() and np.isin(params.h_0, (0, 1)).all()
        assert len(np.unique(rows, axis=0)) == COUNTS[u]


def test_each_adds(found):
    for u in (-1, 1):
        assert adds(found[u], width=4).all()


def test_the_papers_is_one_of_them(found):
    paper = np.concatenate([np.asarray(leaf).reshape(-1) for leaf in binary_adder_params()])
    assert (flat(found[1]) == paper).all(axis=1).sum() == 1


def test_units_without_an_order(found):
    """No adder is the same when units are exchanged, so each comes six times, once in each order."""
    assert unordered(found[1]) == 372 and unordered(found[-1]) == 980 and unordered(found[0]) == 0
    rows = {tuple(row) for row in flat(found[-1]).tolist()}
    for order in (list(order) for order in itertools.permutations(range(3))):
        u, w, b_h, v, b_y, h_0 = found[-1]
        renamed = ElmanRNN(u, w[:, order][:, :, order], b_h[:, order], v[:, order], b_y, h_0[:, order])
        assert {tuple(row) for row in flat(renamed).tolist()} == rows


def test_a_u_that_is_not_allowed_is_said():
    with pytest.raises(ValueError, match="u must be one of .*, not 3"):
        adders(3)


# --- none is missing --------------------------------------------------------------------------------------------------


def brute_force(u):
    """All settings with equal rows in W that add, found by running all of them for five steps: as flat rows.

    The hidden states of a network do not depend on its readout, so they are run once; which readouts are right is then
    looked up by what they say of each of the eight states.
    """
    values = np.array(list(itertools.product(COEFFICIENTS, repeat=3)))
    states = np.array(STATES)
    readouts = np.array(list(itertools.product(COEFFICIENTS, repeat=4)))
    says = (readouts[:, :3] @ states.T + readouts[:, 3:] > 0) @ (1 << np.arange(8))
    w, b_h = np.repeat(values, 125, axis=0), np.tile(values, (125, 1))
    a = u * np.arange(3)[:, None, None] + (w @ states.T)[:, None, :, None] + b_h[:, None, None]
    leads_to = ((a > 0) @ [4, 2, 1]).reshape(len(w), -1)  # a column for each sum of two bits and each state
    rows = []
    for place, h_0 in enumerate(states):
        state, carry = np.full((len(w), 1), place), np.zeros(1, int)
        wanted = np.zeros((2, len(w)), int)
        for _ in range(5):  # each sequence goes on in three ways
            total = (carry[:, None] + np.arange(3)).reshape(-1)
            state = (state[:, :, None] + 8 * np.arange(3)).reshape(len(w), -1)
            state = np.take_along_axis(leads_to, state, axis=1)
            for bit in (0, 1):
                wanted[bit] |= np.bitwise_or.reduce(1 << state[:, total % 2 == bit], axis=1)
            carry = total // 2
        for network in np.flatnonzero((wanted[0] & wanted[1]) == 0):
            good = (says & wanted[1, network] == wanted[1, network]) & (says & wanted[0, network] == 0)
            for readout in readouts[good]:
                rows.append([*[u] * 6, *np.tile(w[network], 3), *b_h[network], *readout, *h_0])
    return {tuple(map(int, row)) for row in rows}


@pytest.mark.parametrize("u", [1, -1])
def test_brute_force_finds_the_same_with_equal_rows_in_W(found, u):
    """From h_0 = 0 with u = 1 there are 48 of them, 8 with the paper's b_h."""
    equal = found[u].W.reshape(-1, 3, 3)
    mine = flat(found[u])[(equal == equal[:, :1]).all(axis=(1, 2))]
    assert {tuple(row) for row in mine.tolist()} == brute_force(u)
    if u == 1:
        zero = mine[~mine[:, -3:].any(axis=1)]
        assert len(zero) == 48
        assert (zero[:, 15:18] == (0, -1, -2)).all(axis=1).sum() == 8


@pytest.mark.parametrize("u", [1, -1])
def test_whatever_lies_next_to_one_adds_only_if_it_is_one(found, u):
    """One coefficient changed, or one unit of h_0: what adds all pairs of four bits is in the census.

    Three bits are too few: some networks make their first mistake at the fifth step.
    """
    rows = flat(found[u])
    members = {tuple(row) for row in rows.tolist()}
    some = rows[np.random.default_rng(0).choice(len(rows), 150, replace=False)]
    neighbours = []
    for column in range(6, rows.shape[1]):
        for value in (0, 1) if column >= 22 else COEFFICIENTS:
            changed = some[some[:, column] != value].copy()
            changed[:, column] = value
            neighbours.append(changed)
    near = np.concatenate(neighbours)
    u_, w, b_h, v, b_y, h_0 = np.split(near, [6, 15, 18, 21, 22], axis=1)
    params = ElmanRNN(u_.reshape(-1, 3, 2), w.reshape(-1, 3, 3), b_h, v, b_y[:, 0], h_0)
    right = adds(params, width=4)
    assert 0.02 < right.mean() < 0.5
    assert right.tolist() == [tuple(row) in members for row in near.tolist()]
