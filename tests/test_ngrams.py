"""Naive Bayes on runs of characters: its probabilities, add-one smoothing, and what it takes texts for."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxrnn.ngrams import BORDER, fit, ngrams, recall

TEXTS = st.lists(st.tuples(st.text("abc", max_size=5), st.integers(0, 2)), min_size=1, max_size=12)


def test_the_ngrams_of_a_text_are_one_for_each_character_and_one_for_its_end():
    assert list(ngrams("ab", 3)) == [f"{BORDER}{BORDER}a", f"{BORDER}ab", f"ab{BORDER}"]
    assert list(ngrams("", 3)) == [BORDER * 3]
    assert list(ngrams("aba", 1)) == ["a", "b", "a", BORDER]


def test_two_texts_by_hand():
    """Of "a" in class 0 and "b" in class 1 there are 4 pairs, 2 in each class: an own one has (1 + 1) / (2 + 4)."""
    judge = fit(["a", "b"], [0, 1], 2, n=2)
    np.testing.assert_allclose(judge.scores(["a"]), [[2 * math.log(1 / 3), 2 * math.log(1 / 6)]], rtol=1e-15)
    np.testing.assert_allclose(judge.scores(["ab"]), [[math.log(1 / 18), math.log(1 / 18)]], rtol=1e-15)
    assert judge.scores(["xy"]).tolist() == [[0.0, 0.0]]  # none of its pairs was in a training text


@given(TEXTS, st.integers(1, 4))
def test_the_probabilities_of_each_class_sum_to_one(rows, n):
    texts, labels = zip(*rows, strict=True)
    np.testing.assert_allclose(np.exp(fit(texts, labels, 3, n).logs).sum(0), 1, rtol=1e-12)


@given(TEXTS)
def test_scores_are_the_formula_and_the_order_of_training_texts_is_nothing(rows):
    texts, labels = zip(*rows, strict=True)
    judge = fit(texts, labels, 3, n=3)
    known = {gram for text in texts for gram in ngrams(text, 3)}
    counts = {label: [gram for text, of in rows if of == label for gram in ngrams(text, 3)] for label in range(3)}
    asked = "abcab"
    for label, grams in counts.items():
        terms = [(grams.count(g) + 1) / (len(grams) + len(known)) for g in ngrams(asked, 3) if g in known]
        assert judge.scores([asked])[0, label] == pytest.approx(math.log(math.prod(terms)), rel=1e-12)
    turned = fit(texts[::-1], labels[::-1], 3, n=3)
    np.testing.assert_array_equal(turned.scores(texts), judge.scores(texts))


def test_texts_of_different_letters_are_told_apart():
    judge = fit(["anna", "nana", "otto", "toto"], [0, 0, 1, 1], 2, n=3)
    assert judge.classify(["ana", "nan", "ott", "tot"]).tolist() == [0, 0, 1, 1]
    assert judge.classify([""]).tolist() == [0]  # as likely of one as of the other


def test_recall_is_by_class_and_nan_where_there_is_none():
    np.testing.assert_array_equal(recall([0, 1, 1, 2], [0, 0, 1, 1], 3), [0.5, 0.5, math.nan])


def test_an_n_of_0_is_refused():
    with pytest.raises(ValueError, match="n must be at least 1, not 0"):
        fit(["a"], [0], 1, n=0)
