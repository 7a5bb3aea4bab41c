"""What a network makes of a sequence step by step: its accuracy, its hidden state, its probabilities."""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxrnn.plots import style
from jaxrnn.plots.style import Look

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def readouts(
    own: Mapping[str, Any], trained: Mapping[str, Any], title: str, unit: str = "row", chance: float = 0.1
) -> "Figure":
    """The accuracy of the network stopped after each step, from 0 to 100%, with chance as a dotted line.

    ``own`` and ``trained`` map the name of each model to accuracies as fractions, ``(runs, steps)``: the hidden state
    read out by the network's own readout (solid), and by a linear one that was trained for that very step (dashed).
    A line is the mean of the runs, in a band from the lowest to the highest; what is not finite counts in neither.
    ``unit`` is what a step is, in words, and ``chance`` a fraction.
    """
    figure = style.figure(title, 9, 5.5)
    axes = figure.subplots()
    style.prepare(axes, f"{unit}s read", "test accuracy (%)")
    style.whole_numbers(axes)
    looks = style.looks([*own, *trained])
    entries: dict[str, Any] = {}
    runs = []
    for line, accuracies in (("--", trained), ("-", own)):
        for name, values in accuracies.items():
            values = np.asarray(values, float)
            runs.append(len(values))
            steps = {step: style.finite(column) for step, column in enumerate((100 * values.T).tolist(), start=1)}
            steps = {step: column for step, column in steps.items() if column}
            if steps:
                look = looks[name]._replace(line=line)
                every = math.ceil(len(steps) / 10)
                entries[name] = style.curve(axes, steps, look, every=every, shade=0.15)
    entries = {name: entries[name] for name in looks if name in entries}
    for words, line, there in (
        ("its own readout", "-", own),
        (f"a linear readout trained for that {unit}", "--", trained),
    ):
        if there:
            (entries[words],) = axes.plot([], [], linestyle=line, color=style.GREY, linewidth=2)
    entries["chance"] = axes.axhline(100 * chance, color=style.BLACK, linestyle=":", linewidth=2)
    axes.set_ylim(0, 100)
    style.legend(figure, entries, style.of_runs(runs), columns=3)
    return figure


def letters(text: str, likelihood: Any, title: str, *, of: str, padding: int = 0) -> "Figure":
    """How the likelihood of a class moves as a text is read character by character, from 0 to 1.

    ``likelihood`` is ``(runs, steps)``, fractions: after each character of ``text``, and after each of ``padding``
    steps that follow it, on a shaded ground. A thin line for each run, and the median of the runs that are finite; half
    is a dotted line. ``of`` names the class, and a space is drawn as an open box.
    """
    values = np.asarray(likelihood, float)
    steps = values.shape[1]
    figure = style.figure(title, 11, 4.8)
    axes = figure.subplots()
    style.prepare(axes, "character read", grid="y")
    entries: dict[str, Any] = {}
    if padding:
        ground = axes.axvspan(len(text) + 0.5, steps + 0.5, color=style.PALE, alpha=0.5, linewidth=0, zorder=-1)
        entries["padding, read as spaces"] = ground
    entries |= _likelihoods(axes, values, of)
    spelled = [letter.replace(" ", "\N{OPEN BOX}") for letter in text] + [""] * padding
    _spell(axes, spelled)
    style.legend(figure, dict(reversed(entries.items())))
    return figure


SPELLED, NAMED = 40, 12
"""Of how many words there is room for each below the axis, and how many of more are named above it."""


def words(text: Sequence[str], likelihood: Any, title: str, *, of: str, unknown: Collection[str] = ()) -> "Figure":
    """How the likelihood of a class moves as a text is read word by word, from 0 to 1.

    ``likelihood`` is ``(runs, words)``, fractions: after each word of ``text``. A thin line for each run, and the
    median of the runs that are finite; half is a dotted line. ``of`` names the class. Up to 40 words stand below the
    axis; of more, the 12 that move the median most stand above it, each with a mark on the line that points up or down,
    but none so near to one that moves it more that the two would overlap. A word in ``unknown`` is in brackets, a long
    one is shortened, and what the font cannot draw is a sign.
    """
    values = np.asarray(likelihood, float)
    names = [_shown(word, word in unknown) for word in text]
    every = len(names) <= SPELLED
    named = range(len(names)) if every else _largest_changes(values)
    figure = style.figure(_in_the_font(title), 11, 5.6)
    axes = figure.subplots()
    bracketed = ", in brackets: not in the vocabulary" if any(text[place] in unknown for place in named) else ""
    style.prepare(axes, f"word{'' if every else 's'} read{bracketed}", grid="y")
    entries = _likelihoods(axes, values, of, marker="o" if every else "")
    if every:
        _spell(axes, names)
        room = axes.get_window_extent().width / len(names)
        if max(label.get_window_extent().width for label in axes.get_xticklabels()) > 0.9 * room:
            axes.tick_params(axis="x", labelrotation=90, pad=6)
    else:
        style.whole_numbers(axes)
        axes.set_xlim(0.5, len(names) + 0.5)
        entries |= _named_above(axes, {place: names[place] for place in named}, values)
    style.legend(figure, dict(reversed(entries.items())), columns=5)
    return figure


def _largest_changes(values: np.ndarray) -> list[int]:
    """The steps of ``(runs, steps)`` that move the median most, as far from each other as their names are wide."""
    finite = _whole(values)
    if not len(finite):
        return []
    change = abs(np.diff(np.median(finite, axis=0), prepend=np.nan))
    chosen: list[int] = []
    for place in np.argsort(-change, kind="stable").tolist():
        # less is not seen; before the first step there is nothing
        if len(chosen) == NAMED or not change[place] > 0.02:
            break
        if all(abs(place - other) > len(change) / 42 for other in chosen):
            chosen.append(place)
    return chosen


def _named_above(axes: "Axes", names: Mapping[int, str], values: np.ndarray) -> dict[str, Any]:
    """Writes names above steps of ``(runs, steps)`` and marks these on the median; returns the marks by what they
    mean."""
    median = np.median(_whole(values), axis=0) if names else np.zeros(0)
    for place, name in names.items():
        axes.axvline(place + 1, color=style.PALE, linewidth=1, zorder=0)
        axes.annotate(
            name,
            (place + 1, 1),
            xycoords=("data", "axes fraction"),
            xytext=(0, 5),
            textcoords="offset points",
            rotation=90,
            ha="center",
            va="bottom",
            fontsize=style.SMALL,
            parse_math=False,
        )
    entries: dict[str, Any] = {}
    for what, marker, sign in (("largest falls", "v", -1), ("largest rises", "^", 1)):
        places = np.array([place for place in names if sign * (median[place] - median[place - 1]) > 0], int)
        if len(places):
            (marks,) = axes.plot(places + 1, median[places], linestyle="none", marker=marker, markersize=9)
            marks.set(color=style.ORANGE, markeredgecolor="white", markeredgewidth=0.8, zorder=4)
            entries[what] = marks
    return entries


def _shown(word: str, unknown: bool) -> str:
    word = _in_the_font(word if len(word) <= 14 else f"{word[:13]}…")
    return f"[{word}]" if unknown else word


def _in_the_font(text: str) -> str:
    """The text with a sign in place of what the font cannot draw, of which matplotlib would warn."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    font = get_font(findfont(FontProperties()))
    return "".join(letter if font.get_char_index(ord(letter)) else "\N{REPLACEMENT CHARACTER}" for letter in text)


def _likelihoods(axes: "Axes", values: np.ndarray, of: str, *, marker: str = "o") -> dict[str, Any]:
    """A line for each of the runs ``(runs, steps)`` and for their median; returns them by what they mean, the most
    important last."""
    runs, steps = values.shape
    entries: dict[str, Any] = {"undecided": axes.axhline(0.5, color=style.BLACK, linestyle=":", linewidth=2)}
    places = np.arange(1, steps + 1)
    if runs > 1:
        for run in values:
            (entries["a run"],) = axes.plot(places, run, color=style.SKY, linewidth=1)
    finite = _whole(values)
    if len(finite):
        (line,) = axes.plot(
            places, np.median(finite, axis=0), color=style.BLUE, linewidth=2.5, marker=marker, markersize=5
        )
        entries[f"median of {len(finite)} runs" if runs > 1 else f"likelihood of {of}"] = line
    axes.set_ylabel(f"likelihood of {of}", fontsize=style.LABEL)
    axes.set_ylim(0, 1)
    return entries


def _whole(values: np.ndarray) -> np.ndarray:
    """The runs ``(runs, steps)`` that are finite at every step."""
    return values[np.isfinite(values).all(1)]


def _spell(axes: "Axes", names: Sequence[str]) -> None:
    """What is read at each step, below it."""
    axes.set_xticks(np.arange(1, len(names) + 1), names, parse_math=False)
    axes.tick_params(axis="x", length=0)
    axes.set_xlim(0.5, len(names) + 0.5)


def trajectories(panels: Mapping[str, Mapping[str, Any]], title: str, *, unit: str = "row", every: int = 7) -> "Figure":
    """The way of the hidden state in the plane of its first two principal components, a panel for each model.

    Each panel has ``points``, ``(examples, steps, 2)``, in the units of the hidden state and on equal scales;
    ``labels``, ``(examples,)``, the classes; and ``explained``, ``(2,)``, each component's fraction of the variance. A
    thin line for each example begins at its first point, the zero state, has a small dot after every ``every``-th
    step and ends in the number of its class, by which it is coloured too.
    """
    from matplotlib.lines import Line2D
    from matplotlib.patheffects import withStroke
    from matplotlib.ticker import MaxNLocator

    figure = style.figure(title, max(3.4 * len(panels), 6), 5 if len(panels) > 1 else 6)
    classes = style.looks(sorted({int(label) for panel in panels.values() for label in np.asarray(panel["labels"])}))
    number = next(iter(classes), 0)
    outline = [withStroke(linewidth=2.5, foreground="white")]
    start: dict[str, Any] = {
        "marker": "+",
        "markersize": 12,
        "markeredgewidth": 2.5,
        "color": style.BLACK,
        "linestyle": "none",
    }
    for (name, panel), axes in zip(panels.items(), figure.subplots(1, len(panels), squeeze=False)[0], strict=True):
        x, y = (
            f"{word} principal component\n({100 * part:.0f}% of variance)"
            for word, part in zip(("first", "second"), panel["explained"], strict=True)
        )
        style.prepare(axes, x, y)
        axes.set_title(name, fontsize=style.LABEL, parse_math=False)
        axes.set_aspect("equal", adjustable="datalim")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10]))
        ways = np.asarray(panel["points"], float)
        for points, label in zip(ways, panel["labels"], strict=True):
            colour = classes[int(label)].colour
            axes.plot(*points.T, color=colour, linewidth=0.9)
            axes.plot(*points[every:-1:every].T, linestyle="none", marker=".", markersize=6, color=colour)
            end = axes.text(*points[-1], str(int(label)), color=colour, ha="center", va="center", fontsize=style.TEXT)
            end.set(fontweight="bold", path_effects=outline, zorder=4)
        axes.plot(*ways[:1, 0].T, zorder=5, **start)
    entries: dict[str, Any] = {}
    black: dict[str, Any] = {"color": style.BLACK, "linestyle": "none"}
    for words, look in {
        "zero state": start,
        f"every {every}th {unit}": {"marker": ".", "markersize": 8} | black,
        f"class, after the last {unit}": {"marker": f"${number}$", "markersize": 10} | black,
    }.items():
        entries[words] = Line2D([], [], **look)
    style.legend(figure, entries)
    return figure


def probabilities(image: Any, probabilities: Any, title: str) -> "Figure":
    """How the probability of each class moves as an image is read row by row: time runs down, beside the image itself.

    ``image`` is ``(rows, columns)``, from 0 to 255, and ``probabilities`` ``(runs, rows, classes)``, fractions: those
    after each of the rows. Left the image; right, on the same rows, a column for each class, the darker the more
    probable (mean of the runs), with a dot on the most probable of each row; below it, as bars, the probabilities
    after the last row, where whiskers reach from the lowest run to the highest. A run that is not finite in a place
    does not count there.
    """
    pixels, shares = np.asarray(image), 100 * np.asarray(probabilities, float)
    rows, columns = pixels.shape
    classes = shares.shape[2]
    cells = [[style.finite(cell) for cell in row] for row in shares.transpose(1, 2, 0).tolist()]
    mean = np.array([[style.spread(cell).mean if cell else np.nan for cell in row] for row in cells])

    # in inches and by hand: only so are the pixels square and the rows of the image beside those of the probabilities
    across = 3.4 * columns / rows
    end = 0.8 + max(across, 3.4)
    width, height = end + 4.8, 6.15
    figure = style.figure(title, width, height)
    figure.set_layout_engine("none")

    def room(x: float, y: float, wide: float, high: float) -> "Axes":
        return figure.add_axes((x / width, y / height, wide / width, high / height))

    left, right, shade = (
        room(end - across, 2.2, across, 3.4),
        room(end + 0.3, 2.2, 3.3, 3.4),
        room(end + 3.8, 2.2, 0.2, 3.4),
    )
    words, below = room(0.1, 0.7, 3.2, 1.1), room(end + 0.3, 0.7, 3.3, 1.1)

    left.imshow(pixels, cmap="gray_r", vmin=0, vmax=255, aspect="auto", extent=(0.5, columns + 0.5, rows + 0.5, 0.5))
    left.set_xticks([])
    style.prepare(left, None, "row", grid=None)

    extent = (-0.5, classes - 0.5, rows + 0.5, 0.5)
    shades = right.imshow(mean, cmap=style.SHADES, vmin=0, vmax=100, aspect="auto", extent=extent)
    read = [row for row in range(rows) if np.isfinite(mean[row]).any()]
    best = [int(np.nanargmax(mean[row])) for row in read]
    (most,) = right.plot(best, [row + 1 for row in read], linestyle="none", marker="o", markersize=6)
    most.set(color=style.ORANGE, markeredgecolor="white", markeredgewidth=0.8)
    style.prepare(right, grid=None)
    right.tick_params(left=False, labelleft=False)
    bar = figure.colorbar(shades, cax=shade)
    bar.set_label("probability (%)", fontsize=style.LABEL)
    bar.ax.tick_params(labelsize=style.TEXT)

    for place, cell in enumerate(cells[-1]):
        if cell:
            share, low, high = style.spread(cell)
            below.bar(place, share, width=0.7, color=style.SKY)
            if low < high:
                style.dot(below, place, share, Look(style.BLACK, marker=""), across=(low, high), upright=True)
            if share >= 0.5:
                number, top = f"{share:.0f}", (place, high)
                below.annotate(
                    number, top, xytext=(0, 4), textcoords="offset points", ha="center", fontsize=style.SMALL
                )
    style.prepare(below, "class", "after the\nlast row (%)", grid="y")
    below.set_ylim(0, 130)  # room for the numbers
    below.set_yticks([0, 50, 100])
    for axes in (right, below):
        axes.set_xticks(range(classes))
        axes.set_xlim(-0.5, classes - 0.5)

    words.set_axis_off()
    several = style.of_runs([len(shares)], "shades and bars", "whiskers")
    words.legend(
        [most],
        ["most probable class"],
        title=several and several.replace(", ", "\n"),
        loc="center left",
        fontsize=style.TEXT,
        title_fontsize=style.TEXT,
        frameon=False,
    )
    return figure
