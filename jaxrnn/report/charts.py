"""Learning curves as SVG: lines that a script on the page reads values off, and that need none to be seen.

Colours are the page's own, so that they follow its light and dark mode; the dashes say again which line is which.
"""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from markupsafe import Markup, escape
from matplotlib.ticker import MaxNLocator

from jaxrnn.report.numbers import in_words, scale_of

MOST_LINES = 8
"""Of more runs than these, those that follow are drawn as one band."""

MOST_POINTS = 200
"""So many points of a line are drawn at most."""

LARGEST = 1e15
"""What is larger is of a run that has lost its way, and would flatten all others."""


class Line(NamedTuple):
    """One line: at each place the mean over several runs, and the lowest and highest of them."""

    name: str
    xs: Sequence[float]
    mean: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]


_KNOWN = ("test_bits_per_character", "test_accuracy", "test_mse", "test_loss", "train_accuracy", "train_loss")


def drawn(histories: Iterable[Sequence[Mapping[str, float]]]) -> str | None:
    """The column of the histories that says most of what was learned; None where they have none of those known."""
    columns = [set(rows[0]) for rows in histories if rows]
    shared = set.intersection(*columns) if columns else set()
    return next((column for column in _KNOWN if column in shared), None)


def line(name: str, history: Sequence[Mapping[str, float]], column: str, every: int = 1) -> Line:
    """A column of a ``history.csv``, epoch by epoch over the runs that have a finite value there.

    Where an epoch is nothing but so many training steps, ``every`` of them, places are counted in steps.
    """
    epochs: dict[float, list[float]] = {}
    for row in history:
        epochs.setdefault(every * row["epoch"], []).append(row.get(column, math.nan))
    finite = {epoch: [one for one in values if abs(one) < LARGEST] for epoch, values in sorted(epochs.items())}
    xs = [epoch for epoch, values in finite.items() if values]
    values = [finite[x] for x in xs]
    return Line(name, xs, [statistics.fmean(v) for v in values], [min(v) for v in values], [max(v) for v in values])


def thinned(line: Line) -> Line:
    """A line of `MOST_POINTS` points at most, the first and the last among them."""
    step = max(1, math.ceil(len(line.xs) / (MOST_POINTS - 1)))
    kept = sorted({*range(0, len(line.xs), step), len(line.xs) - 1} - {-1})
    return Line(line.name, *([part[place] for place in kept] for part in line[1:]))


def gathered(lines: Sequence[Line]) -> list[Line]:
    """The lines, but of many only the first ones by themselves, and the rest as one: the median and the range."""
    if len(lines) <= MOST_LINES:
        return list(lines)
    alone, rest = lines[: MOST_LINES - 1], lines[MOST_LINES - 1 :]
    places: dict[float, list[tuple[float, float, float]]] = {}
    for one in rest:
        for place in zip(one.xs, one.mean, one.low, one.high, strict=True):
            places.setdefault(place[0], []).append(place[1:])
    xs = sorted(places)
    mean = [statistics.median(mean for mean, _, _ in places[x]) for x in xs]
    low = [min(low for _, low, _ in places[x]) for x in xs]
    high = [max(high for _, _, high in places[x]) for x in xs]
    return [*alone, Line(f"{len(rest)} more: their median and range", xs, mean, low, high)]


WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 300, 66, 26, 12, 44


class _Axis(NamedTuple):
    """From values to places in the picture."""

    first: float
    last: float
    begin: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        at = math.log10(value) if self.log else value
        return self.begin + (self.end - self.begin) * (at - self.first) / (self.last - self.first)

    def ticks(self, whole: bool = False) -> list[float]:
        if self.log:
            decades = range(math.floor(self.first), math.ceil(self.last) + 1)
            steps = (1,) if self.last - self.first > 4 else (1, 2, 5)
            found = [step * 10.0**decade for decade in decades for step in steps]
            return [tick for tick in found if self.first <= math.log10(tick) <= self.last]
        ticks = MaxNLocator(6, integer=whole, steps=[1, 2, 5, 10]).tick_values(self.first, self.last)
        margin = 1e-9 * (self.last - self.first)
        return [float(tick) for tick in ticks if self.first - margin <= tick <= self.last + margin]


def chart(lines: Iterable[Line], column: str, unit_across: str = "epoch") -> dict[str, Any] | None:
    """What the page needs to draw these lines: the picture, the values behind it, and what it shows in words.

    Values of which some are tiny beside others are drawn on a logarithmic axis. None where there is nothing to draw.
    """
    factor, unit = scale_of(column)
    scaled = [
        Line(one.name, one.xs, *([factor * value for value in part] for part in (one.mean, one.low, one.high)))
        for one in map(thinned, lines)
        if one.xs
    ]
    if not scaled:
        return None
    low, high = min(min(one.low) for one in scaled), max(max(one.high) for one in scaled)
    log = low > 1e-300 and high > 20 * low
    if log:
        low, high = math.log10(low), math.log10(high)
    margin = 0.04 * (high - low) or 0.1 * abs(high) or 0.5
    start, stop = min(one.xs[0] for one in scaled), max(one.xs[-1] for one in scaled)
    across = _Axis(start, stop if stop > start else start + 1, LEFT, WIDTH - RIGHT)
    up = _Axis(low - margin, high + margin, HEIGHT - BOTTOM, TOP, log)
    name = f"{in_words(column)}{f' ({unit})' if unit else ''}"
    ends = "; ".join(f"{one.name}: {_short(one.mean[-1])}" for one in scaled)
    return {
        "svg": _svg(scaled, across, up, name, unit_across),
        "names": [one.name for one in scaled],
        "label": f"{name} against the {unit_across}. At the end: {ends}.",
        "data": {
            "left": across(start) / WIDTH,
            "right": across(stop) / WIDTH,
            "first": start,
            "last": stop,
            "unit": unit_across,
            "name": name,
            "lines": [
                {
                    "name": one.name,
                    "x": list(one.xs),
                    "y": [_short(value) for value in one.mean],
                    "range": [
                        f"{_short(a)} to {_short(b)}" if _short(a) != _short(b) else ""
                        for a, b in zip(one.low, one.high, strict=True)
                    ],
                }
                for one in scaled
            ],
        },
    }


def _short(value: float) -> str:
    return f"{value:.4g}"


def _svg(lines: Sequence[Line], across: _Axis, up: _Axis, name: str, unit_across: str) -> Markup:
    parts = []
    for tick in up.ticks():
        y = up(tick)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>')
    for tick in across.ticks(whole=True):
        x = across(tick)
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>')
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{tick:g}</text>')
    parts.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 6}" text-anchor="middle">{unit_across}</text>')
    middle = (TOP + HEIGHT - BOTTOM) / 2
    parts.append(
        f'<text transform="rotate(-90 14 {middle})" x="14" y="{middle}" text-anchor="middle">{escape(name)}</text>'
    )
    for number, one in enumerate(lines):
        if any(a != b for a, b in zip(one.low, one.high, strict=True)):
            edge = [*zip(one.xs, one.high, strict=True), *reversed([*zip(one.xs, one.low, strict=True)])]
            parts.append(f'<path class="band line{number}" d="{_path(edge, across, up)}Z"/>')
    for number, one in enumerate(lines):
        points = [*zip(one.xs, one.mean, strict=True)]
        if len(points) == 1:
            (x, y) = points[0]
            parts.append(f'<circle class="dot line{number}" cx="{across(x):.1f}" cy="{up(y):.1f}" r="4"/>')
        else:
            parts.append(f'<path class="line line{number}" d="{_path(points, across, up)}"/>')
    parts.append(f'<line class="cursor" x1="0" x2="0" y1="{TOP}" y2="{HEIGHT - BOTTOM}" visibility="hidden"/>')
    return Markup(f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" aria-hidden="true">{"".join(parts)}</svg>')


def _path(points: Iterable[tuple[float, float]], across: _Axis, up: _Axis) -> str:
    return "M" + "L".join(f"{across(x):.1f},{up(y):.1f}" for x, y in points)
