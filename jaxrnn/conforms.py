"""Whether a value that was read from a JSON file is of the type that its reader takes it for."""

import dataclasses
import os
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Any, Literal, NotRequired, Union, get_args, get_origin, get_type_hints, is_typeddict

LARGEST = 2**63
"""Whole numbers from here on, and below the negative of it, are counts of nothing."""


def conforms(value: Any, kind: Any) -> bool:
    """Whether a value is of a type, down to what is in it.

    ``kind``: a number, text or truth value; ``None``; ``Any``; a `Path`, which is a text; ``Literal``; unions; lists,
    tuples and dictionaries of these; or a `TypedDict`, which may have more keys, or a dataclass, which may not.
    """
    origin, inner = get_origin(kind), get_args(kind)
    if kind is Any:
        return True
    if origin in (Union, UnionType):
        return any(conforms(value, one) for one in inner)
    if origin is Literal:
        return any(type(value) is type(one) and value == one for one in inner)
    if origin is NotRequired:
        return conforms(value, inner[0])
    if is_typeddict(kind):
        return isinstance(value, dict) and not odd(value, kind)
    if dataclasses.is_dataclass(kind):
        return isinstance(value, dict) and _is_fields(value, kind)
    if origin is list or origin is tuple and inner[1:] == (...,):
        return isinstance(value, list) and all(conforms(item, inner[0]) for item in value)
    if origin is tuple:
        return isinstance(value, list) and len(value) == len(inner) and all(map(conforms, value, inner))
    if origin is dict:
        return isinstance(value, dict) and all(conforms(item, inner[1]) for item in value.values())
    if kind in (int, float):
        return not isinstance(value, bool) and isinstance(value, (int, kind)) and _in_range(value)
    if kind in (None, NoneType):
        return value is None
    return isinstance(value, str if issubclass(kind, os.PathLike) else kind)


def odd(value: Mapping[str, Any], kind: Any) -> list[str]:
    """The keys of a `TypedDict` that a dictionary lacks, or has with a value of another type."""
    hints = get_type_hints(kind, include_extras=True)
    return [
        key
        for key, one in hints.items()
        if not (conforms(value[key], one) if key in value else key in kind.__optional_keys__)
    ]


def depth(value: Any) -> int:
    """How many lists and dictionaries are inside one another."""
    level, count = [value], 0
    while level := [one for one in level if isinstance(one, list | dict)]:
        level = [item for one in level for item in (one.values() if isinstance(one, dict) else one)]
        count += 1
    return count


def _is_fields(value: Mapping[str, Any], kind: Any) -> bool:
    hints = get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}
    nothing = dataclasses.MISSING
    needed = {name for name, one in fields.items() if one.default is nothing and one.default_factory is nothing}
    return needed <= set(value) <= set(fields) and all(conforms(value[name], hints[name]) for name in value)


def _in_range(value: int | float) -> bool:
    # a float that is not finite is one all the same
    return isinstance(value, float) or abs(value) < LARGEST
