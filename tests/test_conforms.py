"""A value of JSON is of a type, or it is not, down to what is in it."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NotRequired, TypedDict

import pytest

from jaxrnn.conforms import conforms, depth, odd


class Entry(TypedDict):
    name: str
    values: list[float | None]
    note: NotRequired[str]


@dataclass(frozen=True)
class Settings:
    hidden: int
    rate: float = 1e-3
    cell: Literal["gru", "lstm"] = "gru"
    files: tuple[Path, ...] = field(default=())


ENTRY = {"name": "a", "values": [1, 0.5, None]}


@pytest.mark.parametrize(
    "value, kind",
    [
        (None, Any),
        (3, int),
        (3, float),
        (0.5, float),
        (math.nan, float),
        (True, bool),
        ("x", str),
        ("x", Path),
        (None, int | None),
        ("gru", Literal["gru", 3]),
        ([1, 2], list[int]),
        ([], tuple[str, ...]),
        ([1, "x"], tuple[int, str]),
        ({"a": [1.5]}, dict[str, list[float]]),
        (ENTRY, Entry),
        (ENTRY | {"note": "b", "more": 3}, Entry),
        ({"hidden": 3}, Settings),
        ({"hidden": 3, "rate": 1, "cell": "lstm", "files": ["a"]}, Settings),
    ],
)
def test_what_is_of_a_type(value, kind):
    assert conforms(value, kind)


@pytest.mark.parametrize(
    "value, kind",
    [
        (True, int),
        (1, bool),
        (0.5, int),
        (2**63, int),
        (-(10**400), float),
        (False, float),
        ("3", float),
        (None, str),
        (3, Path),
        (True, Literal[1]),
        ("x", Literal["gru", 3]),
        ([1, "x"], list[int]),
        ({}, list[int]),
        ([1], tuple[int, str]),
        ({"a": None}, dict[str, float]),
        ([], dict[str, float]),
        ({"name": "a"}, Entry),
        (ENTRY | {"note": None}, Entry),
        ([], Entry),
        ({}, Settings),
        ({"hidden": 3, "width": 4}, Settings),
        ({"hidden": 3, "cell": "rnn"}, Settings),
        ("x", Settings),
    ],
)
def test_what_is_not(value, kind):
    assert not conforms(value, kind)


def test_what_is_odd_is_named():
    assert odd({"values": ["x"], "note": 3}, Entry) == ["name", "values", "note"]


@pytest.mark.parametrize("value, deep", [(3, 0), ([], 1), ({"a": [1, {"b": 2}]}, 3), ([[], [[]], 3], 3)])
def test_depth(value, deep):
    assert depth(value) == deep
