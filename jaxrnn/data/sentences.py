"""Eleven sentences about films with their sentiments, and two to be judged, character by character (NTU Q4).

Every character has an id: its place among the sorted characters of the training sentences, all in lower case, of which
the space is the first. A sentence is read up to a length of 40: what is longer is cut, what is shorter is padded, with
the id of the space as the paper has it, or with what stands for no character at all.
"""

import numpy as np

from jaxrnn.data.dataset import Dataset
from jaxrnn.errors import DataError

NEGATIVE, POSITIVE = 0, 1
CLASSES = ("negative", "positive")
"""What each label means."""

TRAIN = (
    ("I did not like the movie", NEGATIVE),
    ("The movie was not good", NEGATIVE),
    ("I watched the movie with great interest", POSITIVE),
    ("I have seen better movies", NEGATIVE),
    ("Good to see that movie", POSITIVE),
    ("I am not a fan of movies", NEGATIVE),
    ("I liked the movie great", POSITIVE),
    ("The movie was of interest to me", POSITIVE),
    ("I thought they could show interesting scenes", NEGATIVE),
    ("The movie did not have good scenes", NEGATIVE),
    ("Family did not like the movie at all", NEGATIVE),
)
"""The paper's table 1."""

TEST = (
    ("The movie was not interesting to me", NEGATIVE),
    ("I liked the movie with great interest", POSITIVE),
)
"""The sentences that the paper has judged; their labels are a reader's."""

VOCABULARY = "".join(sorted({character for text, _ in TRAIN for character in text.lower()}))
"""The characters that have an id."""

IDS = {character: place for place, character in enumerate(VOCABULARY)}
"""The id of each of them."""

LENGTH = 40
"""How many characters of a sentence are read."""

SPACE, NOTHING = 0, -1
"""What a short sentence can be padded with: the id of the space, or an id that no character has."""


def encode(text: str, padding: int = SPACE) -> np.ndarray:
    """The ids of a text's characters, int32 ``(40,)``: cut there, or padded at the end with ``padding``.

    Capital letters have the ids of small ones. Raises DataError for an empty text, and for characters without an id,
    which it names, also where they would be cut.
    """
    if not text:
        raise DataError("a sentence needs at least one character")
    if unknown := [character for character in dict.fromkeys(text) if character.lower() not in IDS]:
        raise DataError(
            f"{', '.join(map(repr, unknown))} in the sentence: the training sentences have only the characters "
            f"{VOCABULARY!r}, in small or capital letters"
        )
    ids = [IDS[character.lower()] for character in text[:LENGTH]]
    return np.array(ids + [padding] * (LENGTH - len(ids)), np.int32)


def dataset(padding: int = SPACE) -> Dataset:
    """The 11 sentences to train on and the 2 to be judged: int32 ids ``(n, 40)``; labels 0 negative, 1 positive."""
    (x_train, y_train), (x_test, y_test) = (
        (np.stack([encode(text, padding) for text, _ in rows]), np.array([label for _, label in rows], np.int32))
        for rows in (TRAIN, TEST)
    )
    source = "the paper's 11 sentences, and the 2 that it has judged"
    return Dataset("sentences", source, x_train, y_train, x_test, y_test, len(CLASSES))
