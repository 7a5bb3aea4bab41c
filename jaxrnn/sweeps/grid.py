"""What a sweep is over: values of settings, written as ``name=value,value`` or as a range, and their combinations.

    learning_rate=1e-4,1e-3,1e-2     these values
    learning_rate=log:1e-4:1e-1:7    seven of them, evenly spaced on a logarithmic axis
    dropout=lin:0:0.5:6              six of them, evenly spaced
    learning_rate=log:1e-4:1e-1      anywhere between the two; for a random search

A setting of whole numbers has those nearest to an evenly spaced range, each once. A point is one setting of all that is
swept, as a dict. Everything here is a function of its arguments alone.
"""

import contextlib
import io
import itertools
import math
import types
import typing
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tyro

from jaxrnn.errors import SettingsError

Point = dict[str, Any]


@dataclass(frozen=True)
class Range:
    """Anywhere from ``low`` to ``high``, evenly or, if ``log``, evenly on a logarithmic axis."""

    low: float
    high: float
    log: bool
    whole: bool = False
    """Whether only whole numbers are meant."""

    def at(self, shares: Any) -> list[Any]:
        """The values at these fractions of the way, 0 the low end and 1 the high one, which are met exactly."""
        low, high = (math.log(end) if self.log else end for end in (self.low, self.high))
        found = []
        for share in np.asarray(shares, float).tolist():
            value = low + share * (high - low)
            value = min(max(math.exp(value) if self.log else value, self.low), self.high)
            value = {0.0: self.low, 1.0: self.high}.get(share, value)
            found.append(round(value) if self.whole else float(value))
        return found

    def drawn(self, shares: Any) -> list[Any]:
        """The values that uniform random numbers from 0 to 1 give; each whole number has its share, the ends too."""
        if not self.whole:
            return self.at(shares)
        wide = Range(self.low - 0.5, self.high + 0.5, self.log)
        return [min(max(round(value), int(self.low)), int(self.high)) for value in wide.at(shares)]


Axes = Mapping[str, list[Any] | Range]
"""The values of every swept setting, or where between they lie."""


def parse(words: Sequence[str], settings: type, sweepable: Collection[str]) -> dict[str, list[Any] | Range]:
    """The axes that ``words`` describe, their values read as the settings class reads its options.

    Raises:
        SettingsError: a word of another form, a setting that there is not, one that is not in ``sweepable``, one named
            twice, one without values, or values that it cannot have.
    """
    hints = typing.get_type_hints(settings, include_extras=True)
    axes: dict[str, list[Any] | Range] = {}
    for word in words:
        word = " ".join(word.split())  # what is in quotes can have line breaks
        name, equals, values = word.partition("=")
        name = name.strip().replace("-", "_")
        if not equals:
            raise SettingsError(f"--grid {word}: write name=value,value or name=log:low:high:count")
        if name not in hints:
            raise SettingsError(f"--grid {word}: there is no setting {name!r}; there are {', '.join(sweepable)}")
        if name not in sweepable:
            raise SettingsError(
                f"--grid {word}: {name} is the same for all runs of a sweep; what can differ: {', '.join(sweepable)}"
            )
        if name in axes:
            raise SettingsError(f"--grid {word}: {name} is named twice")
        axes[name] = _values(word, values.strip(), hints[name])
    return axes


def _values(word: str, text: str, hint: Any) -> list[Any] | Range:
    if not text:
        raise SettingsError(f"--grid {word}: no values")
    kind, _, ends = text.partition(":")
    kind = kind.strip()
    if kind not in ("log", "lin"):
        values = [_value(word, value.strip(), hint) for value in text.split(",")]
        if repeated := [value for place, value in enumerate(values) if value in values[:place]]:
            raise SettingsError(f"--grid {word}: {repeated[0]} is there twice")
        return values
    kinds = _kinds(hint)
    if float not in kinds and int not in kinds:
        raise SettingsError(f"--grid {word}: only a number has a range; write its values, separated by commas")
    try:
        low, high, *count = ends.split(":")
        span = Range(float(low), float(high), kind == "log", whole=float not in kinds)
        number = int(count[0]) if count else None
    except ValueError as error:
        raise SettingsError(f"--grid {word}: write a range as {kind}:low:high or {kind}:low:high:count") from error
    if len(count) > 1 or not math.isfinite(span.high - span.low):
        raise SettingsError(f"--grid {word}: write a range as {kind}:low:high or {kind}:low:high:count")
    if not span.low < span.high or (span.log and span.low <= 0):
        raise SettingsError(f"--grid {word}: a range goes up, and a logarithmic one begins above 0")
    if span.whole and not (span.low.is_integer() and span.high.is_integer()):
        raise SettingsError(f"--grid {word}: the setting is a whole number, and so are the ends of its range")
    if number is None:
        return span
    if number < 2:
        raise SettingsError(f"--grid {word}: a range of values has at least 2 of them, not {number}")
    return list(dict.fromkeys(span.at(np.linspace(0, 1, number))))


def _kinds(hint: Any) -> tuple[Any, ...]:
    """The types that a setting's value can have."""
    plain = typing.get_args(hint)[0] if typing.get_origin(hint) is typing.Annotated else hint
    return typing.get_args(plain) if isinstance(plain, types.UnionType) else (plain,)


def _value(word: str, text: str, hint: Any) -> Any:
    if text.lower() == "none" and types.NoneType in _kinds(hint):
        return None
    if hint is bool:
        if text.lower() not in ("true", "false"):
            raise SettingsError(f"--grid {word}: {text!r} is neither true nor false")
        return text.lower() == "true"
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            return tyro.cli(hint, args=[text])
    except SystemExit as error:
        raise SettingsError(f"--grid {word}: the setting cannot be {text!r}; see --help for what it can be") from error


def combinations(axes: Axes) -> list[Point]:
    """Every combination of the axes' values, the last axis moving fastest.

    Raises:
        SettingsError: no axis, or a range without a number of values.
    """
    if not axes:
        raise SettingsError("the grid is empty: give at least one setting by --grid name=value,value")
    for name, values in axes.items():
        if isinstance(values, Range):
            ends = f"{'log' if values.log else 'lin'}:{values.low:.12g}:{values.high:.12g}"
            raise SettingsError(
                f"--grid {name}: of a range, say how many values ({ends}:5), or draw from it by --random N"
            )
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]  # type: ignore[arg-type]


def sample(axes: Axes, count: int, seed: int) -> list[Point]:
    """``count`` points drawn at random, each setting by itself: from its values, or from its range.

    The first points of a longer search are those of a shorter one.

    Raises:
        SettingsError: no axis, or a count below 1.
    """
    if not axes:
        raise SettingsError("there is nothing to draw from: give at least one setting by --grid name=log:low:high")
    if count < 1:
        raise SettingsError(f"--random must be at least 1, not {count}")
    shares = np.random.default_rng(seed).random((count, len(axes)))
    columns = [
        values.drawn(column) if isinstance(values, Range) else [values[int(share * len(values))] for share in column]
        for values, column in zip(axes.values(), shares.T, strict=True)
    ]
    return [dict(zip(axes, point, strict=True)) for point in zip(*columns, strict=True)]
