"""Sums of neighbours: the rule has every number of the tutorial, and its own network misses it."""

import numpy as np
import pytest

from jaxrnn.data.neighbours import PRINTED, TEST_X, TRAIN_X, TRAIN_Y, rule


def test_the_rule_has_all_twelve_outputs():
    np.testing.assert_array_equal(rule(TRAIN_X), TRAIN_Y)


def test_what_the_rule_says_of_the_sequences_asked_for():
    np.testing.assert_array_equal(rule(TEST_X)[..., 0], [[1, 3, 5, 7], [4, 9, 11, 13]])


def test_the_tutorial_s_own_answers_are_far_from_it():
    squares = np.square(PRINTED - rule(TEST_X))
    assert squares.mean() == pytest.approx(2.5469844, abs=5e-8)
    assert squares.mean((1, 2)) == pytest.approx([1.3349379, 3.7590310], abs=5e-8)
