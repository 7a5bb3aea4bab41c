"""The longest copy is the longest there is, by looking at every part."""

import random

import pytest

from jaxrnn.copies import longest_copy


def slow(text, source):
    parts = (
        text[start : start + length] for length in range(len(text), 0, -1) for start in range(len(text) - length + 1)
    )
    return next((part for part in parts if part in source), "")


@pytest.mark.parametrize("letters", ["ab", "abcdefgh", "aé\U0001f600\n"])
def test_it_is_what_looking_at_every_part_finds(letters):
    draw = random.Random(0)
    for _ in range(100):
        text, source = ("".join(draw.choices(letters, k=draw.randrange(30))) for _ in range(2))
        assert longest_copy(text, source) == slow(text, source)


def test_a_copy_is_found_in_a_long_text_and_the_whole_is_its_own():
    source = "".join(random.Random(1).choices("abcdefghijklmnop ", k=200_000))
    assert longest_copy(f"#{source[77_000:78_000]}#", source) == source[77_000:78_000]
    assert longest_copy(source[:2000], source[:2000]) == source[:2000]


@pytest.mark.parametrize("text, source", [("", "abc"), ("abc", ""), ("abc", "xyz"), ("", "")])
def test_no_copy(text, source):
    assert longest_copy(text, source) == ""
