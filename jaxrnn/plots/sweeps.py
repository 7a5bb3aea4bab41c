"""What settings do to a score: maps of two of them, lines through all of them, and what several runs of each come to.

The best is orange everywhere, and of what is shaded the darker is the better. A metric with "accuracy" or "error" in
its name is a fraction and shown in per cent.
"""

import functools
import math
import numbers
import re
import statistics
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from jaxrnn.plots import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Best = Literal["high", "low"]

_BEST = style.ORANGE
_THIN = "#AAAAAA"
_ASIDE = 0.12
"""The least distance of series beside each other, in inches."""
_COLUMNS, _ROWS = 10, 14
"""Larger maps have no numbers in their cells."""


def heatmap(
    x: tuple[str, Sequence[Any]],
    y: tuple[str, Sequence[Any]],
    means: Any,
    half_widths: Any,
    title: str,
    metric: str,
    best: Best,
) -> "Figure":
    """The score of every pair of two settings: a column for each value of ``x``, a row for each of ``y``.

    ``x`` and ``y`` are a setting's name and its values, the first at the left and at the foot, equally far apart.
    ``means`` is ``(len(y), len(x))``: the mean over the seeds of ``metric``, not finite where no run came through; such
    cells are hatched. ``half_widths`` is half of the 95% interval of that mean, not finite where there is none (of one
    seed). Each cell has its mean, below it the half width, and is the darker the better; the best, and what equals it,
    is framed. More than 10 columns or 14 rows leave no room for numbers. Scores that are positive, no accuracies, and
    lie a factor of 20 or more apart are shaded by their logarithms.
    """
    from matplotlib.colors import LogNorm, Normalize
    from matplotlib.patches import Patch, Rectangle

    name, factor = _unit(metric)
    scores, halves = factor * np.asarray(means, float), factor * np.asarray(half_widths, float)
    rows, columns = scores.shape
    known = scores[np.isfinite(scores)].tolist()
    decades = _decades(known, metric)
    said = _numbers(known, factor)
    numbered = columns <= _COLUMNS and rows <= _ROWS
    inside = {
        (row, column): (said(float(scores[row, column])), f"± {said(float(half))}" if math.isfinite(half) else "")
        for (row, column), half in np.ndenumerate(halves)
        if numbered and math.isfinite(scores[row, column])
    }
    halved = any(half for _, half in inside.values())
    seeds = bool(np.isfinite(halves).any())

    # in inches: cells as large as their numbers, but no larger map than a page
    across, down = ([_name(value, 16) for value in axis[1]] for axis in (x, y))
    widest = max((_inches(words)[0] for cell in inside.values() for words in cell), default=0)
    wide = max(0.85, widest + 0.2) if numbered else max(0.14, min(0.6, 9 / columns))
    high = (0.62 if halved else 0.5) if numbered else max(0.14, min(0.4, 7 / rows))
    (length, line), (_, lines) = (np.max([_inches(words) for words in named], axis=0) for named in (across, down))
    if numbered:
        wide, high = max(wide, min(length + 0.15, 9 / columns)), max(high, lines + 0.05)
    turned = length > wide - 0.1
    each = math.ceil(lines / high), math.ceil(line / wide) if turned else 1
    below = length if turned else line
    beside = max(_inches(words)[0] for words in down)
    figure = style.figure(title, max(columns * wide + beside + 2.2, 7), max(rows * high, 1.5) + below + 2.3)
    axes = figure.subplots()
    style.prepare(axes, x[0], y[0], grid=None)

    low, top = min(known, default=0), max(known, default=1)
    if low == top:
        low, top = low - 0.5, top + 0.5
    norm = LogNorm(low, top) if decades else Normalize(low, top)
    shades = style.SHADES if best == "high" else f"{style.SHADES}_r"
    # masked, not NaN: a cell without a score shows what is behind it
    cells = axes.imshow(
        np.ma.masked_invalid(scores), cmap=shades, norm=norm, aspect="auto", origin="lower", interpolation="nearest"
    )
    for (row, column), (mean, half) in inside.items():
        letters: dict[str, Any] = {"textcoords": "offset points", "ha": "center", "va": "center"}
        letters["color"] = style.ink_on(cells.cmap(norm(scores[row, column])))
        axes.annotate(mean, (column, row), xytext=(0, 8 if half else 0), fontsize=style.LABEL, **letters)
        if half:
            axes.annotate(half, (column, row), xytext=(0, -10), fontsize=style.SMALL, **letters)
    missing: dict[str, Any] = {"fill": False, "hatch": "///", "edgecolor": style.GREY, "linewidth": 0}
    framed: dict[str, Any] = {"fill": False, "edgecolor": _BEST, "linewidth": 4 if numbered else 2.5}
    entries: dict[str, Any] = {}
    for row, column in zip(*np.nonzero(~np.isfinite(scores)), strict=True):
        axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, **missing))
        entries["no run came through"] = Patch(**missing)
    for row, column in zip(*np.nonzero(scores == _best(known, best)), strict=True):
        axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, **framed, zorder=4, clip_on=False))
        entries = {"best": Patch(**framed)} | entries

    axes.set_yticks(range(0, rows, each[0]), down[:: each[0]])
    axes.set_xticks(range(0, columns, each[1]), across[:: each[1]], rotation=90 if turned else 0)
    axes.tick_params(length=0)
    if numbered:
        for ticks, number in ((axes.set_xticks, columns), (axes.set_yticks, rows)):
            ticks(np.arange(number - 1) + 0.5, minor=True)
        axes.grid(which="minor", color="white", linewidth=1.5)
        axes.tick_params(which="minor", length=0)
    axes.spines[:].set_visible(True)
    axes.spines[:].set_color(style.PALE)
    if known:
        bar = figure.colorbar(cells, ax=axes, pad=0.02)
        name = style.logarithmically(name) if decades else name
        bar.set_label(textwrap.fill(name, max(int(rows * high / 0.12), 16)), fontsize=style.LABEL)
        bar.ax.tick_params(labelsize=style.TEXT)
        if decades:
            rounded = style.log_ticks(low, top)
            rounded = rounded[:: math.ceil(len(rounded) / 6)]
            bar.set_ticks(rounded, labels=[_name(tick) for tick in rounded])
            bar.minorticks_off()
    words = "numbers: mean over the seeds" + ", ± half of its 95% interval" * halved
    style.legend(figure, entries, (words if inside else "shades: mean over the seeds") if seeds else None)
    return figure


def parallel(
    names: Sequence[str],
    points: Sequence[Mapping[str, Any]],
    scores: Sequence[float],
    title: str,
    metric: str,
    best: Best,
) -> "Figure":
    """Every setting as a line through its values, an upright axis for each name, to its score on the last one.

    A point has a value for each of ``names`` (None where it has none), and its score the one of ``metric``. A name
    whose values are all numbers has a linear axis, or a logarithmic one where they are positive and lie a factor of 20
    or more apart, and so has the score, unless it is an accuracy; what is not all numbers stands equally far apart:
    numbers in order, then False, True, and others as they first occur. The axis of the scores has the best at its top
    and shows the shades of the lines, the darker the better; the best setting, of equal ones the first, is drawn thick.
    A setting whose score is not finite ends below that axis.
    """
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap
    from matplotlib.patheffects import withStroke

    heading, factor = _unit(metric)
    values = [factor * float(score) if score is not None else math.nan for score in scores]
    known = style.finite(values)
    columns = [[point.get(name) for point in points] for name in names]
    # in inches: how long the axes are, and below how far apart
    room = max([3.6, *(0.27 * min(len(_kinds(column)), 26) for column in columns if not all(map(_numeric, column)))])
    settings = [_upright(column, room) for column in columns]
    last = _upright(known, room, metric)
    if best == "low":
        last = last._replace(places=[1 - p for p in last.places], ticks=[(1 - p, words) for p, words in last.ticks])
    heads = [_wrapped(name, 14) for name in (*names, heading)]
    heads = [h + "\n(logarithmic)" * axis.decades for h, axis in zip(heads, (*settings, last), strict=True)]
    heads[-1] += "\n(best on top)" * (best == "low")
    inner = [words for axis in settings[1:] for _, words in axis.ticks]
    width = max([1.25, 5 / len(names), *(_inches(head)[0] + 0.15 for head in heads)])
    width = max([width, *(_inches(words)[0] + 0.3 for words in inner)])
    beside = max((_inches(words)[0] for _, words in settings[0].ticks), default=0)
    above = max(_inches(head)[1] for head in heads)
    figure = style.figure(title, width * len(names) + beside + 1.6, room + above + 1.4)
    axes = figure.subplots()
    axes.set_axis_off()

    shades = ListedColormap(colormaps[style.SHADES](np.linspace(0.3, 1, 256)))
    first = values.index(_best(known, best)) if known else None
    foot, lost = -0.13, len(values) - len(known)
    many = len(points) > 60
    heights = iter(last.places)
    entries: dict[str, Any] = {}
    for number, value in enumerate(values):
        height = next(heights) if math.isfinite(value) else foot
        look: dict[str, Any] = {"linewidth": 0.8, "alpha": 0.7} if many else {"linewidth": 1.6, "alpha": 0.9}
        if not math.isfinite(value):
            look |= {"color": style.GREY, "linestyle": (0, (4, 3)), "zorder": 2}
        elif number == first:
            look = {"color": _BEST, "linewidth": 4, "zorder": 4, "solid_capstyle": "butt"}
            look["path_effects"] = [withStroke(linewidth=6, foreground="white")]
        else:
            look |= {"color": shades(height), "zorder": 2 + height}
        (line,) = axes.plot([*(axis.places[number] for axis in settings), height], **look)
        if number == first:
            equal = values.count(value)
            words = f"best: {value:.4g}{' %' * (factor == 100)}" + f" (the first of {equal})" * (equal > 1)
            entries = {words: line} | entries
        elif not math.isfinite(value):
            entries[f"diverged: {lost} of {len(values)}"] = line

    end, strip = len(names), 0.14
    axes.vlines(range(end + 1), 0, 1, color=style.BLACK, linewidth=1.5, zorder=4.5)
    if known:
        extent = (end, end + strip / width, 0, 1)
        axes.imshow(np.linspace(0, 1, 256)[:, None], cmap=shades, aspect="auto", origin="lower", extent=extent)
    if lost:
        last.ticks.append((foot, "diverged"))
    # above the labels of the uppermost ticks, which reach below the name of the next axis
    raised = 3 + 36 * max((_inches(words)[1] for axis in settings for _, words in axis.ticks), default=0.25)
    for number, (axis, head) in enumerate(zip((*settings, last), heads, strict=True)):
        _name_upright(axes, number, axis, head, raised, 72 * strip + 6 if number == end else -8)
    axes.set_xlim(-0.03, end + strip / width)
    axes.set_ylim(foot - 0.04 if lost else -0.03, 1.03)
    style.legend(figure, entries)
    return figure


def _name_upright(axes: "Axes", number: int, axis: "_Upright", head: str, raised: float, aside: float) -> None:
    """The name of an axis above it, raised by so many points, and its ticks, with their labels so many aside."""
    letters: dict[str, Any] = {"textcoords": "offset points", "fontsize": style.TEXT, "parse_math": False}
    axes.annotate(head, (number, 1), xytext=(0, raised), ha="center", va="bottom", **letters)
    # lines are seen through it, but do not strike the words out
    letters["bbox"] = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1}
    letters |= {"xytext": (aside, 0), "ha": "left" if aside > 0 else "right", "va": "center", "zorder": 5}
    for place, words in axis.ticks:
        axes.annotate(words, (number, place), **letters)
    places = [place for place, _ in axis.ticks]
    axes.scatter([number] * len(places), places, s=60, c=style.BLACK, marker="_", zorder=4.6)


def bands(
    curves: Mapping[str, Mapping[Any, Any]],
    title: str,
    x: str,
    y: str,
    *,
    scale: float = 1.0,
    log: bool = False,
    shown: int = 8,
) -> "Figure":
    """Learning curves of several settings: the median of each one's runs, in a band from the lowest to the highest.

    ``curves`` has of each setting the values of its runs at each place along ``x``; ``y`` names what they are times
    ``scale``. What is not finite does not count: the median is then of the runs that are left. The first ``shown`` that
    have a finite value are told apart; of all others there is a thin grey median without a band. With ``log`` the
    upright axis is logarithmic, and what is not positive stands on a tick "0" at its foot.
    """
    drawn = {label: _finite(points, scale) for label, points in curves.items()}
    drawn = {label: points for label, points in drawn.items() if points}
    named = list(drawn)[:shown]
    # as high as the legend makes it
    side = int(8.5 / (max((_inches(label)[0] for label in named), default=0) + 0.85))
    figure = style.figure(title, 9, 4.7 + 0.28 * math.ceil((len(named) + 1) / min(max(side, 1), 3)))
    axes = figure.subplots()
    style.prepare(axes, x, style.logarithmically(y) if log else y)
    if not drawn:
        style.say(axes, "no finite value")
        return figure
    floor = -math.inf
    if log:
        floor = style.logarithmic(
            axes, [value for points in drawn.values() for runs in points.values() for value in runs]
        )
    looks = style.looks(named)
    entries: dict[str, Any] = {}
    others = len(drawn) - len(named)
    for label, points in drawn.items():
        places, middle = list(points), [max(statistics.median(runs), floor) for runs in points.values()]
        if label not in looks:
            marker = "." if len(places) == 1 else None
            (line,) = axes.plot(places, middle, color=_THIN, linewidth=1, marker=marker, zorder=1.5)
            entries[f"{others} other setting{'s' * (others > 1)}"] = line
            continue
        look = looks[label]
        low, high = ([max(limit(runs), floor) for runs in points.values()] for limit in (min, max))
        if low != high:
            # with an edge where there is a single place, so that its band is still a line
            edge = 3 if len(places) == 1 else 0
            axes.fill_between(places, low, high, facecolor=look.colour, edgecolor=look.colour, alpha=0.15, lw=edge)
        (entries[label],) = axes.plot(
            places, middle, linestyle=look.line, color=look.colour, linewidth=2, marker=look.marker, markersize=6,
            markevery=math.ceil(len(places) / 10),
        )  # fmt: skip
    if all(float(place).is_integer() for points in drawn.values() for place in points):
        style.whole_numbers(axes)
    counted = [len(runs) for points in curves.values() for runs in points.values()]
    style.legend(figure, entries, _of_runs(counted, "bands"), columns=3)
    return figure


def against(
    panels: Mapping[str, Mapping[str, Mapping[Any, Any]]],
    title: str,
    x: str,
    y: str,
    *,
    chance: float | None = None,
    scale: float = 100.0,
    limits: tuple[float, float] | None = (0, 100),
) -> "Figure":
    """A score against a quantity with few values: panels side by side on the same axes, in each a line for each series.

    ``panels`` has by name each series by name, with the values of its runs at each ``x``. Of those that are finite the
    line shows the median, the whisker reaches from the lowest to the highest, and each run is a small pale dot. All
    values are drawn times ``scale``, ``chance`` too, as a dotted level line; ``limits`` are those of the upright axis.
    The level axis has a tick at each value. It is logarithmic, or else not to scale, as its name then says, where the
    values would be too close to each other; series are moved aside a little from each other and from the tick.
    """
    found = [points for series in panels.values() for points in series.values()]
    xs = sorted({place for points in found for place in points})
    looks = style.looks(name for series in panels.values() for name in series)
    # in inches: what the labels take, what is beyond the first and the last tick, and how wide a panel is
    needed = [_inches(_name(place))[0] + 0.12 for place in xs]
    edge = 0.15 + 0.6 * _ASIDE * len(looks)
    around = 1.2 + 2 * edge
    width = max(4.3, 9 / max(len(panels), 1), around + max(_ASIDE * len(looks), *needed, 0) * (len(xs) - 1))
    figure = style.figure(title, width * max(len(panels), 1), 5.5)
    beside = figure.subplots(1, max(len(panels), 1), squeeze=False, sharex=True, sharey=True)[0]
    places, words = _along(xs, needed, width - around, _ASIDE * len(looks))
    nearest = min((b - a for a, b in zip(places, places[1:], strict=False)), default=1.0)
    inch = (places[-1] - places[0]) / (width - around) if len(places) > 1 else 1 / (width - 1.2)
    aside = min(0.6 * nearest / max(len(looks) - 1, 1), 1.4 * _ASIDE * inch)
    entries: dict[str, Any] = {}
    for (panel, series), axes in zip(panels.items(), beside, strict=True):
        style.prepare(axes, x + words, y if axes is beside[0] else None, grid="y")
        axes.set_title(panel, fontsize=style.LABEL, parse_math=False)
        for name, points in series.items():
            number, look = list(looks).index(name), looks[name]
            moved = dict(zip(xs, (place + aside * (number - (len(looks) - 1) / 2) for place in places), strict=True))
            drawn = _finite(points, scale)
            if not drawn:
                continue
            at = [moved[place] for place in drawn]
            middle = np.array([statistics.median(runs) for runs in drawn.values()])
            ends = np.array([(min(runs), max(runs)) for runs in drawn.values()])
            across = np.abs(ends.T - middle)
            entries[name] = axes.errorbar(
                at, middle, yerr=across if across.any() else None, color=look.colour, linestyle=look.line, linewidth=2,
                marker=look.marker, markersize=7, elinewidth=1.2, capsize=3, zorder=3,
            )  # fmt: skip
            dots = [(moved[place], run) for place, runs in drawn.items() if len(runs) > 1 for run in runs]
            if dots:
                axes.plot(
                    *zip(*dots, strict=True), linestyle="none", marker="o", markersize=6.5, markeredgewidth=0,
                    color=look.colour, alpha=0.35, zorder=3.5,
                )  # fmt: skip
        if not axes.has_data():
            axes.text(
                0.5, 0.5, "no finite value", transform=axes.transAxes, ha="center", va="center", fontsize=style.LABEL
            )
        if chance is not None:
            level = axes.axhline(scale * chance, color=style.BLACK, linestyle=":", linewidth=2, zorder=2)
    entries = {name: entries[name] for name in looks if name in entries}
    if chance is not None and panels:
        entries["chance"] = level
    axes = beside[0]
    axes.set_xticks(places, [_name(place) for place in xs])
    if places:
        margin = edge * inch if len(places) > 1 else 0.5
        axes.set_xlim(places[0] - margin, places[-1] + margin)
    if limits is not None:
        room = 0.03 * (limits[1] - limits[0])  # so that nothing is cut off at the limits
        axes.set_ylim(limits[0] - room, limits[1] + room)
    said = _of_runs([len(runs) for points in found for runs in points.values()], "whiskers")
    style.legend(figure, entries, said and f"{said}, dots: each run")
    return figure


def _unit(metric: str) -> tuple[str, float]:
    """The words on an axis for a metric, and what to multiply it by."""
    fraction = any(word in metric.lower() for word in ("accuracy", "error"))
    return (f"{metric} (%)", 100.0) if fraction else (metric, 1.0)


def _best(known: Sequence[float], best: Best) -> float:
    return (max if best == "high" else min)(known, default=math.nan)


def _decades(values: Sequence[float], metric: str = "") -> bool:
    """Whether they are positive, no accuracies, and so far apart that only a logarithmic axis shows them all."""
    return "accuracy" not in metric.lower() and min(values, default=0) > 0 and max(values) >= 20 * min(values)


def _numbers(values: Sequence[float], factor: float) -> Callable[[float], str]:
    """What writes such values: with as many decimals as tell a 50th of their range, over decades with two digits."""
    if factor == 1 and _decades(values):
        return lambda value: _name(float(f"{value:.2g}"))
    span = max(values, default=1) - min(values, default=0) or abs(values[0]) or 1.0
    decimals = math.ceil(math.log10(50 / span))
    decimals = min(max(decimals, 1), 2) if factor == 100 else min(max(decimals, 0), 4)
    return lambda value: f"{value:.{decimals}f}"


def _numeric(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)


def _name(value: Any, letters: int = 24) -> str:
    """A value of a setting in few letters, words in lines of so many."""
    if not _numeric(value):
        return _wrapped(str(value), letters)
    exact = style.tidy(f"{value:.10g}")
    return exact if len(exact) <= 8 else style.tidy(f"{value:.4g}")


def _wrapped(words: str, letters: int) -> str:
    """Words in lines of so many letters where they can be broken: at a space, an underscore, a comma, a slash, a stop.

    What is far longer is cut short.
    """
    lines = [""]
    for part in re.split(r"(?<=[\s_,/])|(?<=\.)(?=[^\W\d])", words):
        if lines[-1] and len((lines[-1] + part).rstrip()) > letters:
            lines.append("")
        lines[-1] += part if len(part) <= 26 else f"{part[:24]}… "
    return "\n".join(map(str.rstrip, lines))


@functools.cache
def _inches(words: str) -> tuple[float, float]:
    """How wide and how high words are on an axis."""
    from matplotlib.backends.backend_agg import RendererAgg
    from matplotlib.font_manager import FontProperties

    measured, letters = RendererAgg(1, 1, 72), FontProperties(size=style.TEXT)
    lines = words.split("\n")
    width = max(measured.get_text_width_height_descent(line, letters, False)[0] for line in lines)
    return width / 72, 1.3 * len(lines) * style.TEXT / 72


def _kind(value: Any) -> str:
    """What is the same for equal values alone: True is not 1, and 1 is 1.0."""
    return f"{value:.17g}" if _numeric(value) else str(value)


def _kinds(values: Iterable[Any]) -> dict[str, str]:
    """The names of the distinct values: numbers in order, then False and True, then others as they first occur."""
    rest = {str(value): value for value in values if not _numeric(value)}
    order = sorted(value for value in values if _numeric(value))
    order += [rest[word] for word in ("False", "True") if word in rest]
    kinds = {_kind(value): value for value in [*order, *rest.values()]}
    letters = 16 if len(kinds) <= 12 else 26
    return {kind: _name(value, letters) for kind, value in kinds.items()}


class _Upright(NamedTuple):
    """An axis from 0 to 1: where each value stands on it, its ticks, and whether it is logarithmic."""

    places: list[float]
    ticks: list[tuple[float, str]]
    decades: bool


def _upright(values: Sequence[Any], room: float, metric: str = "") -> _Upright:
    """The axis for all of ``values``, ``room`` inches long, with ticks no closer than their labels are high.

    Numbers have ticks at round ones, or, where those are few and no ``metric``, at their own.
    """
    from matplotlib.ticker import MaxNLocator

    if not all(map(_numeric, values)):
        kinds = _kinds(values)
        stand = {kind: number / (len(kinds) - 1) if len(kinds) > 1 else 0.5 for number, kind in enumerate(kinds)}
        ticks = [(stand[kind], name) for kind, name in kinds.items()]
        return _Upright([stand[_kind(value)] for value in values], _apart(ticks, room), False)
    if not values:
        return _Upright([], [], False)
    real = [float(value) for value in values]
    low, high = min(real), max(real)
    decades = _decades(real, metric)

    def place(value: float) -> float:
        if low == high:
            return 0.5
        return math.log(value / low) / math.log(high / low) if decades else (value - low) / (high - low)

    distinct = sorted(set(real))
    if low == high or (not metric and len(distinct) <= 12):
        # the ends first, so that what there is no room for is between others
        shown = [*distinct[:1], *distinct[:0:-1]]
    elif decades:
        shown = style.log_ticks(low, high)
    else:
        whole = all(value.is_integer() for value in distinct)
        rounded = MaxNLocator(6, integer=whole, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
        near = 1e-9 * (high - low)
        shown = [tick for tick in np.asarray(rounded).tolist() if low - near <= tick <= high + near]
    ticks = _apart([(place(tick), _name(tick)) for tick in shown], room)
    return _Upright([place(value) for value in real], ticks, decades)


def _apart(ticks: Iterable[tuple[float, str]], room: float) -> list[tuple[float, str]]:
    """The ticks without those that are too close to an earlier one."""
    kept: list[tuple[float, str]] = []
    for place, name in ticks:
        if all(
            room * abs(place - other) >= (_inches(name)[1] + _inches(beside)[1]) / 2 - 1e-9 for other, beside in kept
        ):
            kept.append((place, name))
    return kept


def _along(xs: Sequence[float], needed: Sequence[float], room: float, least: float) -> tuple[list[float], str]:
    """Where to draw each of ``xs``, in order, and the words on the scale, in which none comes too close to the next.

    ``needed`` is how wide the label of each is, ``room`` the width of all and ``least`` that of one, in inches.
    """
    even = room / max(len(xs) - 1, 1)
    wanted = [max((a + b) / 2, least, 0.35 * even) for a, b in zip(needed, needed[1:], strict=False)]
    for scale, words in ((float, ""), (math.log2, " (logarithmic)")):
        if scale is float or min(xs, default=0) > 0:
            places = [scale(x) for x in xs]
            span = max(places, default=0) - min(places, default=0)
            gaps = [room * (b - a) / span for a, b in zip(places, places[1:], strict=False)]
            if all(gap >= want for gap, want in zip(gaps, wanted, strict=True)):
                return places, words
    return [float(number) for number in range(len(xs))], " (not to scale)"


def _finite(points: Mapping[float, Sequence[float]], scale: float) -> dict[float, list[float]]:
    """The finite values at each place that has any, times ``scale``, places in order."""
    left = {place: [scale * value for value in style.finite(points[place])] for place in sorted(points)}
    return {place: values for place, values in left.items() if values}


def _of_runs(counted: Iterable[int], ranges: str) -> str | None:
    """The words on what shows the median of the runs, as `jaxrnn.plots.style.of_runs` says of a mean."""
    said = style.of_runs(counted, ranges=ranges)
    return said and said.replace("mean", "median")
