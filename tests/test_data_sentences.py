"""The sentences: the paper's ids, lengths and labels, and what becomes of any text."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jaxrnn.data import sentences
from jaxrnn.data.sentences import IDS, LENGTH, NOTHING, SPACE, TEST, TRAIN, VOCABULARY, dataset, encode
from jaxrnn.errors import DataError


def test_the_vocabulary_is_the_paper_s():
    assert VOCABULARY == " abcdefghiklmnorstuvwy" and len(VOCABULARY) == 22
    assert [IDS[letter] for letter in " abikmory"] == [0, 1, 2, 9, 10, 12, 14, 15, 21]


def test_a_sentence_has_the_slide_s_ids():
    """The slide shows a 23rd id, 0: the first of the padding."""
    slide = [7, 14, 14, 4, 0, 17, 14, 0, 16, 5, 5, 0, 17, 8, 1, 17, 0, 12, 14, 19, 9, 5, 0]
    assert encode("Good to see that movie").tolist() == slide + [0] * 17
    assert encode("good to see that movie", NOTHING).tolist() == slide[:-1] + [-1] * 18


def test_lengths_and_labels_are_the_paper_s():
    assert [len(text) for text, _ in TRAIN] == [24, 22, 39, 25, 22, 24, 23, 31, 44, 34, 36]
    assert [len(text) for text, _ in TEST] == [35, 37]
    found = dataset(NOTHING)
    assert (found.x_train != NOTHING).sum(1).tolist() == [24, 22, 39, 25, 22, 24, 23, 31, 40, 34, 36]
    assert (found.x_test != NOTHING).sum(1).tolist() == [35, 37]
    assert found.y_train.tolist() == [0, 0, 1, 0, 1, 0, 1, 1, 0, 0, 0] and found.y_test.tolist() == [0, 1]
    assert sentences.CLASSES == ("negative", "positive") and found.classes == 2
    assert (found.y_train == 0).mean() == 7 / 11  # what is right of always saying negative
    assert found.x_train.shape == (11, 40) and found.x_test.shape == (2, 40) and found.x_train.dtype == np.int32


def test_padding_with_spaces_is_the_default_and_changes_nothing_else():
    spaces, nothing = dataset(), dataset(NOTHING)
    for padded, marked in ((spaces.x_train, nothing.x_train), (spaces.x_test, nothing.x_test)):
        np.testing.assert_array_equal(padded, np.where(marked == NOTHING, SPACE, marked))


@given(st.text(st.sampled_from(VOCABULARY + VOCABULARY.upper()), min_size=1, max_size=80), st.sampled_from([0, -1]))
def test_known_characters_keep_their_ids(text, padding):
    ids = encode(text, padding)
    assert ids.shape == (LENGTH,) and ids.dtype == np.int32
    read = min(len(text), LENGTH)
    assert "".join(VOCABULARY[place] for place in ids[:read]) == text[:LENGTH].lower()
    assert (ids[read:] == padding).all()


@given(st.text(min_size=1))
@example("a" * 50 + "?")
@example("\N{LATIN CAPITAL LETTER I WITH DOT ABOVE}")  # whose small letter is two characters
def test_unknown_characters_are_named_in_one_line(text):
    unknown = [character for character in text if character.lower() not in IDS]
    if not unknown:
        encode(text)
        return
    with pytest.raises(DataError) as raised:
        encode(text)
    said = str(raised.value)
    assert said.isprintable() and all(repr(character) in said for character in unknown)


def test_an_empty_sentence_is_no_sentence():
    with pytest.raises(DataError, match="at least one character"):
        encode("")
