"""What a time gate does: its course with its three numbers, what it does to a state, its slopes, and how it learns."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxrnn.plots import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def course(times: Any, opened: Any, tau: float, s: float, r_on: float, title: str) -> "Figure":
    """How far a gate is open over time, with its period tau, its offset s and its open share r_on drawn in.

    ``times`` begin at 0 and reach over ``s + 2 tau`` at least; ``opened``, k at each of them, is between 0 and 1.
    """
    figure = style.figure(title, 9, 4.6)
    axes = figure.subplots()
    style.prepare(axes, "time t", "time gate k(t)", grid=None)
    axes.plot(times, opened, color=style.BLUE, linewidth=2.5)
    for number in range(math.ceil((times[-1] - s) / tau)):
        begin = s + number * tau
        _phase(axes, begin, begin + r_on * tau, "open" if number == 0 else "")
        axes.plot([begin] * 2, [0, 1.3], color=style.GREY, linewidth=1, linestyle=":", zorder=0)
    arrows = (
        (0.0, s, -0.16, "s"),
        (s, s + r_on * tau, 1.1, r"$r_{on}\,\tau$"),
        (s, s + tau, 1.3, r"period $\tau$"),
        (s + r_on * tau, s + tau, 0.1, "closed:\nstate copied"),
    )
    for low, high, y, words in arrows:
        span: dict[str, Any] = {"arrowstyle": "<->", "color": style.ORANGE, "lw": 2, "shrinkA": 0, "shrinkB": 0}
        axes.annotate("", (low, y), (high, y), arrowprops=span)
        axes.text((low + high) / 2, y + 0.03, words, ha="center", va="bottom", fontsize=style.LABEL)
    peak = s + r_on * tau / 2
    axes.annotate(
        r"peak: $\phi = r_{on}/2$", (peak + tau, 1), (peak + 1.2 * tau, 1.12), fontsize=style.TEXT, va="center",
        arrowprops={"arrowstyle": "->", "color": style.BLACK},
    )  # fmt: skip
    axes.set_xlim(0, times[-1])
    axes.set_ylim(-0.25, 1.48)
    axes.set_yticks([0, 0.5, 1])
    style.whole_numbers(axes)
    return figure


def _phase(axes: "Axes", low: float, high: float, words: str = "") -> Any:
    patch = axes.axvspan(low, high, color=style.SKY, alpha=0.2, linewidth=0, zorder=-1)
    if words:
        axes.text((low + high) / 2, 0.03, words, ha="center", va="bottom", fontsize=style.TEXT)
    return patch


def copying(opened: Any, states: Mapping[str, Any], kept: Mapping[str, Any], title: str) -> "Figure":
    """What one unit with a time gate does beside one without, step by step.

    From top to bottom: how far the gate is ``opened``, ``(t,)``; the cell ``states`` by network, ``(t,)``; and what is
    ``kept`` of a small change of each step's state at the last step, along the cell state alone, on a logarithmic axis.
    Steps at which the gate is open are shaded.
    """
    figure = style.figure(title, 9, 8)
    panels = figure.subplots(3, 1, sharex=True, height_ratios=[0.6, 1, 1])
    steps = np.arange(1, len(opened) + 1)
    looks = style.looks(states)
    entries: dict[str, Any] = {}
    names = ("time gate k", "cell state c", "kept at the end:\n" + r"$|\partial c_T / \partial c_t|$")
    for axes, name in zip(panels, names, strict=True):
        style.prepare(axes, None, name)
        for first, last in _runs(np.asarray(opened) > 0):
            entries["gate open"] = _phase(axes, first + 0.5, last + 1.5)
    panels[0].plot(steps, opened, color=style.BLACK, linewidth=2)
    panels[0].set_yticks([0, 0.5, 1])
    for axes, series in ((panels[1], states), (panels[2], kept)):
        for name, values in series.items():
            look = looks[name]
            (entries[name],) = axes.plot(steps, values, color=look.colour, linestyle=look.line, linewidth=2)
    panels[2].set_yscale("log")
    panels[2].set_xlabel("step t", fontsize=style.LABEL)
    style.whole_numbers(panels[2])
    panels[2].set_xlim(0.5, len(steps) + 0.5)
    style.legend(figure, entries)
    return figure


def _runs(flags: Any) -> list[tuple[int, int]]:
    """The first and the last place of each run of true flags."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], np.asarray(flags, int), [0]])))
    return [(int(first), int(end) - 1) for first, end in zip(edges[::2], edges[1::2], strict=True)]


def slopes(times: Any, opened: Any, gradients: Mapping[str, Any], title: str) -> "Figure":
    """k over time, and below it how it depends on each of the gate's numbers: ``gradients`` by the number's name.

    Times at which the gate is open are shaded.
    """
    figure = style.figure(title, 9, 2 + 1.6 * (1 + len(gradients)))
    panels = figure.subplots(1 + len(gradients), 1, sharex=True)
    looks = style.looks(["k", *gradients])
    entries: dict[str, Any] = {}
    for axes, (name, values) in zip(panels, {"k": opened, **gradients}.items(), strict=True):
        style.prepare(axes, None, "k(t)" if name == "k" else rf"$\partial k / \partial {name}$")
        for first, last in _runs(np.asarray(opened) > 0):
            entries["gate open"] = _phase(axes, times[first], times[last])
        axes.plot(times, values, color=looks[name].colour, linewidth=2)
    panels[-1].set_xlabel("time t", fontsize=style.LABEL)
    panels[-1].set_xlim(times[0], times[-1])
    style.legend(figure, entries)
    return figure


def periods(steps: Sequence[int], taus: Any, read: Sequence[int], truth: float, title: str) -> "Figure":
    """The periods of all gates as they are learned, a panel for each network, beside the hidden one.

    ``taus`` is ``(steps, networks, units)``; ``read`` is of each network the unit that moves the output most.
    """
    taus = np.asarray(taus)
    count = taus.shape[1]
    columns = min(count, 4)
    rows = math.ceil(count / columns)
    figure = style.figure(title, max(9, 2.7 * columns), 1.6 + 2.5 * rows)
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    entries: dict[str, Any] = {}
    for number, axes in enumerate(panels.flat):
        if number >= count:
            axes.set_axis_off()
            continue
        style.prepare(axes, "training step" if number + columns >= count else None)
        for unit in range(taus.shape[2]):
            (thin,) = axes.plot(steps, taus[:, number, unit], color="#AAAAAA", linewidth=1, zorder=1.5)
        entries["other units"] = thin
        (entries["the unit that moves the output most"],) = axes.plot(
            steps, taus[:, number, read[number]], color=style.BLUE, linewidth=2.5
        )
        entries["hidden period"] = axes.axhline(truth, color=style.ORANGE, linestyle="--", linewidth=2)
        axes.set_title(f"network {number + 1}", fontsize=style.TEXT)
        axes.set_yscale("log")
        ticks = style.log_ticks(float(taus.min()), float(taus.max()))
        axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.set_yticks([], minor=True)
    figure.supylabel(r"period $\tau$ (logarithmic)", fontsize=style.LABEL)
    style.legend(figure, entries)
    return figure


def learning(
    panels: Mapping[str, Mapping[str, Mapping[int, Sequence[float]]]],
    elsewhere: Mapping[str, Mapping[str, float]],
    title: str,
    chance: float,
) -> "Figure":
    """Accuracy against the training step, a panel for each way of sampling and in it a curve for each network.

    ``panels`` has the values of the runs, fractions, at each step; ``elsewhere`` a number from elsewhere for some of
    the networks, drawn as an arrow head at the right edge.
    """
    figure = style.figure(title, max(4.2 * len(panels), 8), 5.3)
    beside = figure.subplots(1, max(len(panels), 1), sharey=True, squeeze=False)[0]
    looks = style.looks(name for series in panels.values() for name in series)
    entries: dict[str, Any] = {}
    for axes, (panel, series) in zip(beside, panels.items(), strict=False):
        style.prepare(axes, "training step", "validation accuracy (%)" if axes is beside[0] else None)
        axes.set_title(panel, fontsize=style.LABEL)
        for name, points in series.items():
            drawn = {step: [100 * value for value in style.finite(runs)] for step, runs in points.items()}
            drawn = {step: runs for step, runs in drawn.items() if runs}
            if not drawn:
                continue
            entries[name] = style.curve(axes, drawn, looks[name], every=math.ceil(len(drawn) / 8), shade=0.2)
        for name, value in elsewhere.get(panel, {}).items():
            if name in looks:
                entries[f"{name}, in the paper"] = axes.plot(
                    [1.0], [100 * value], transform=axes.get_yaxis_transform(), clip_on=False, linestyle="none",
                    marker="<", markersize=11, color=looks[name].colour, markeredgecolor=style.BLACK,
                )[0]  # fmt: skip
        entries["guessing"] = axes.axhline(100 * chance, color=style.BLACK, linestyle=":", linewidth=2)
        style.whole_numbers(axes)
    beside[0].set_ylim(None, 102)
    runs = [len(values) for series in panels.values() for points in series.values() for values in points.values()]
    style.legend(figure, entries, style.of_runs(runs), columns=3)
    return figure
