"""What happened epoch by epoch: of one model in training and test, and of several models side by side."""

import itertools
import math
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from jaxrnn.plots import style
from jaxrnn.plots.style import Look

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class _Panel(NamedTuple):
    key: str
    name: str
    unit: str
    scale: float


_SPLITS = {
    "train": ("training", Look(style.ORANGE, "--", "s")),
    "test": ("test", Look(style.BLUE, "-", "o")),
}
_PANELS = (_Panel("loss", "cross-entropy loss", "nats", 1), _Panel("accuracy", "accuracy", "%", 100))
_TEXT = _Panel("bits_per_character", "cross-entropy", "bits per character", 1)
_REGRESSION = _Panel("mse", "mean squared error", "", 1)
_COMPARED = (_Panel("test_loss", "test loss", "nats", 1), _Panel("test_error", "test error", "%", 100))


def learning_curves(
    history: Sequence[Mapping[str, Any]],
    title: str,
    reference: Iterable[Mapping[str, Any]] = (),
    *,
    steps: int | None = None,
) -> "Figure":
    """Loss (left) and accuracy (right) against the epoch, or the mean squared error; training dashed and test solid.

    ``history`` has a row per run and epoch: ``run``, ``epoch`` and any of ``train_loss``, ``train_accuracy``,
    ``test_loss``, ``test_accuracy``, losses in nats and accuracies as fractions; other keys are not looked at. Where
    there is ``train_mse`` or ``test_mse`` they alone are drawn, on a logarithmic axis; ``train_bits_per_character`` and
    ``test_bits_per_character`` stand in the place of the loss. One run is a line; several are their mean, in a band
    from the lowest to the highest. A value that is absent, None or not finite (of a run that was frozen, say) counts in
    neither: the mean is then of the runs that are left. A panel without a key in any row is left out.

    ``reference`` takes the rows of ``result.json``; those with a metric that is drawn here become dotted level lines.
    Where an epoch is nothing but so many training ``steps``, those are counted below.
    """
    keys = {key for row in history for key in row}
    known = (_REGRESSION, _TEXT, *_PANELS)
    panels = [panel for panel in known if any(f"{split}_{panel.key}" in keys for split in _SPLITS)]
    panels = panels[:1] if _REGRESSION in panels else panels or [*_PANELS[:1]]
    if _TEXT in panels:  # it is the loss, in another unit
        panels = [panel for panel in panels if panel.key != "loss"]
    level_colours = itertools.cycle((style.BLACK, style.GREEN, style.PURPLE))

    figure = style.figure(title, 9, 5.5 if _REGRESSION in panels else 4.5)
    entries: dict[str, Any] = {}
    for panel, axes in zip(panels, figure.subplots(1, len(panels), squeeze=False)[0], strict=True):
        unit = f" {panel.unit}" if panel.unit else ""
        drawn = {split: _by_epoch(history, f"{split}_{panel.key}", panel.scale, steps or 1) for split in _SPLITS}
        values = _values(drawn)
        levels = [
            (row["what"], row["value"] * panel.scale)
            for row in reference
            if row["metric"] in (f"{split}_{panel.key}" for split in _SPLITS)
        ]
        name, floor = _named(panel), -math.inf
        if panel is _REGRESSION and values:
            name = style.logarithmically(name)
            floor = style.logarithmic(axes, [*values, *(level for _, level in levels)])
        _prepare(axes, name, "epoch" if steps is None else "training step")
        for split, (name, look) in _SPLITS.items():
            if points := drawn[split]:
                # where epochs are few a marker on each shows how many, and a single one is nothing but its marker
                entries[name] = style.curve(axes, points, look, every=1 if len(points) <= 12 else None, floor=floor)
        if not values:
            style.say(axes, "no finite value")
        for what, level in levels:
            label = textwrap.fill(f"{what}: {level:.4g}{unit}", 45)
            entries[label] = axes.axhline(level, color=next(level_colours), linestyle=":", linewidth=2)
    style.legend(figure, entries, style.of_runs([_runs(history)]), columns=2)
    return figure


def comparison(histories: Mapping[str, Sequence[Mapping[str, Any]]], title: str) -> "Figure":
    """Test loss (left) and test error (right) of several models against the epoch, both on logarithmic axes.

    ``histories`` maps the name of each model, up to eight, to rows as ``learning_curves`` takes them, of which
    ``run``, ``epoch``, ``test_loss`` (nats) and ``test_error`` (a fraction, drawn in per cent) are looked at. Of each
    model there is the mean of its runs, in a band from the lowest to the highest; what is absent, None or not finite
    counts in neither. A logarithmic axis has no 0: where there are such values, they stand on a tick "0" at its foot.
    """
    figure = style.figure(title, 9, 5)
    names, entries = style.looks(histories), dict[str, Any]()
    for panel, axes in zip(_COMPARED, figure.subplots(1, len(_COMPARED)), strict=True):
        _prepare(axes, style.logarithmically(_named(panel)))
        drawn = {name: _by_epoch(history, panel.key, panel.scale) for name, history in histories.items()}
        drawn = {name: points for name, points in drawn.items() if points}
        if not drawn:
            style.say(axes, "no finite value")
            continue
        floor = style.logarithmic(axes, _values(drawn))
        for name, points in drawn.items():
            every = math.ceil(len(points) / 10)
            entries[name] = style.curve(axes, points, names[name], every=every, floor=floor, shade=0.15)
    style.legend(figure, entries, style.of_runs(map(_runs, histories.values())))
    return figure


def _runs(history: Iterable[Mapping[str, Any]]) -> int:
    return len({row["run"] for row in history})


def _by_epoch(history: Iterable[Mapping[str, Any]], key: str, scale: float, steps: int = 1) -> dict[int, list[float]]:
    """The finite values of all runs at each epoch (of so many steps) that has any, epochs in order."""
    points: dict[int, list[float]] = {}
    for row in sorted(history, key=lambda row: row["epoch"]):
        for value in style.finite([row.get(key)]):
            points.setdefault(int(row["epoch"]) * steps, []).append(scale * value)
    return points


def _values(drawn: Mapping[str, Mapping[int, Sequence[float]]]) -> list[float]:
    return [value for points in drawn.values() for runs in points.values() for value in runs]


def _named(panel: _Panel) -> str:
    return f"{panel.name} ({panel.unit})" if panel.unit else panel.name


def _prepare(axes: "Axes", name: str, below: str = "epoch") -> None:
    style.prepare(axes, below, name)
    style.whole_numbers(axes)
