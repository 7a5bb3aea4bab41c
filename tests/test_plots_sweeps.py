"""Figures of sweeps: the numbers drawn are those given, what diverged is said, the best is marked, all is legible."""

import math
import statistics

import numpy as np
import pytest
from matplotlib.colors import to_hex, to_rgb
from matplotlib.patches import Rectangle
from matplotlib.text import Annotation

from jaxrnn.plots import style, sweeps
from test_plots import assert_legible, band, points, texts, words

NAN = math.nan
RATES, UNITS = [1e-4, 3e-4, 1e-3, 3e-3], [16, 64, 256]
MEANS = np.array([[0.5, 0.6, 0.7, NAN], [0.55, 0.81, 0.9125, 0.3], [0.6, 0.85, 0.9, NAN]])
HALVES = np.array([[0.01, NAN, 0.02, NAN], [0.01, 0.02, 0.0125, 0.1], [NAN, 0.01, 0.02, NAN]])


def assert_readable(figure):
    """As ``assert_legible``, without a file: hundreds of lines cannot be a small one."""
    figure.canvas.draw()
    shown = texts(figure)
    boxes = [(text.get_text(), text.get_window_extent()) for text in shown]
    for number, (said, box) in enumerate(boxes):
        assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1, said
        assert figure.bbox.y0 <= box.y0 and box.y1 <= figure.bbox.y1, said
        assert not [other for other, beside in boxes[:number] if box.overlaps(beside)], said
    assert len(shown) > 3 and min(text.get_fontsize() for text in shown) >= 12


def map_of(means=MEANS, halves=HALVES, metric="validation accuracy", best="high", x=RATES, y=UNITS):
    return sweeps.heatmap(("learning rate", x), ("hidden units", y), means, halves, "a map", metric, best)


def patches(axes, hatched):
    """The cells, as (row, column), with a frame, or those that are hatched."""
    found = [patch for patch in axes.patches if isinstance(patch, Rectangle) and bool(patch.get_hatch()) == hatched]
    return {(round(patch.get_y() + 0.5), round(patch.get_x() + 0.5)) for patch in found}


def cells(axes):
    """What each cell says, from top to bottom."""
    said = {}
    for text in sorted(axes.texts, key=lambda text: -text.get_position()[1]):
        column, row = text.xy
        said.setdefault((row, column), []).append(text.get_text())
    return said


def test_a_map_has_each_mean_and_half_width_in_its_cell():
    axes, bar = map_of().axes
    expected = {
        (row, column): [f"{100 * mean:.1f}"] + [f"± {100 * half:.1f}"] * math.isfinite(half)
        for (row, column), mean in np.ndenumerate(MEANS)
        for half in [HALVES[row, column]]
        if math.isfinite(mean)
    }
    assert cells(axes) == expected
    (image,) = axes.images
    np.testing.assert_allclose(image.get_array().filled(NAN), 100 * MEANS)
    assert image.origin == "lower" and (image.norm.vmin, image.norm.vmax) == (30, 91.25)
    assert [text.get_text() for text in axes.get_xticklabels()] == ["0.0001", "0.0003", "0.001", "0.003"]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["16", "64", "256"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("learning rate", "hidden units")
    assert bar.get_ylabel() == "validation\naccuracy (%)"


def test_cells_without_a_score_are_hatched_and_the_legend_says_so():
    figure = map_of()
    assert patches(figure.axes[0], hatched=True) == {(0, 3), (2, 3)}
    said = "numbers: mean over the seeds, ± half of its 95% interval"
    assert words(figure) == [said, "best", "no run came through"]
    whole = map_of(np.nan_to_num(MEANS), np.full_like(MEANS, NAN))
    assert not patches(whole.axes[0], hatched=True) and words(whole) == ["", "best"]
    nothing = map_of(np.full_like(MEANS, NAN), np.full_like(MEANS, NAN))
    assert len(patches(nothing.axes[0], hatched=True)) == MEANS.size and words(nothing) == ["", "no run came through"]
    assert not patches(nothing.axes[0], hatched=False) and len(nothing.axes) == 1


@pytest.mark.parametrize("best, framed", [("high", {(1, 2)}), ("low", {(1, 3)})])
def test_the_best_cell_is_framed_and_the_darkest(best, framed):
    axes = map_of(best=best).axes[0]
    assert patches(axes, hatched=False) == framed
    (image,) = axes.images
    colours = {place: image.cmap(image.norm(100 * mean)) for place, mean in np.ndenumerate(MEANS) if mean == mean}
    assert {min(colours, key=lambda place: sum(colours[place][:3]))} == framed


def test_equals_of_the_best_are_framed_too():
    assert patches(map_of(np.where(MEANS > 0.8, 0.9, 0.5)).axes[0], False) == {(1, 1), (1, 2), (2, 1), (2, 2)}


def luminance(colour):
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))


@pytest.mark.parametrize("best", ["high", "low"])
def test_numbers_can_be_read_on_every_shade(best):
    means = np.linspace(0, 1, 140).reshape(14, 10)
    axes = map_of(means, means / 50, best=best, x=range(10), y=range(14)).axes[0]
    (image,) = axes.images
    assert len(axes.texts) == 280
    for text in axes.texts:
        column, row = text.xy
        light = sorted([luminance(text.get_color()), luminance(image.cmap(image.norm(100 * means[row, column])))])
        assert (light[1] + 0.05) / (light[0] + 0.05) >= 4.5


@pytest.mark.parametrize("rows, columns, numbers", [(14, 10, 140), (15, 3, 0), (3, 11, 0), (1, 1, 1)])
def test_large_maps_have_no_numbers(rows, columns, numbers):
    means = np.linspace(0.1, 0.9, rows * columns).reshape(rows, columns)
    figure = map_of(means, np.full_like(means, NAN), x=range(columns), y=range(rows))
    assert len(figure.axes[0].texts) == numbers and patches(figure.axes[0], False) == {(rows - 1, columns - 1)}


def test_scores_over_decades_are_shaded_by_their_logarithms():
    losses = [[0.00123, 0.3, 2.34, 1234.0]]
    axes, bar = map_of(losses, [[NAN] * 4], "validation loss", "low", y=[None]).axes
    assert [said for (said,) in cells(axes).values()] == ["0.0012", "0.3", "2.3", "1200"]
    assert axes.images[0].norm(math.sqrt(0.00123 * 1234)) == pytest.approx(0.5)
    assert bar.get_ylabel() == "validation loss\n(logarithmic)" and axes.get_yticklabels()[0].get_text() == "None"
    accuracies = map_of([[0.01, 0.9, 0.3, 0.5]], [[NAN] * 4], y=[1]).axes
    assert "logarithmic" not in accuracies[1].get_ylabel()
    assert accuracies[0].images[0].norm(45.5) == pytest.approx(0.5)


KINDS = ["orthogonal", "glorot uniform", "identity (IRNN)", "a kind with a name that goes on"]


@pytest.mark.parametrize(
    "x, y",
    [
        (RATES, UNITS),
        ([1], [2]),
        (KINDS, KINDS),
        ([10.0**-k for k in range(10)], [f"{name} {k}" for name in KINDS for k in range(3)]),
        (np.geomspace(1e-5, 1e-1, 45), np.linspace(0, 1, 60) ** 1.234),
        (KINDS * 4, [None, True, "x"]),
    ],
)
def test_maps_are_legible(x, y):
    means = np.random.default_rng(0).uniform(0.1, 1, (len(y), len(x)))
    assert_readable(map_of(means, means / 40, x=x, y=y))
    assert_readable(map_of(1e-6 * means**9, means * NAN, "validation loss", "low", x, y))


def test_numbers_stay_in_their_cells():
    means = np.random.default_rng(0).uniform(0.1, 1, (14, 10))
    for figure in (
        map_of(means, means / 4, x=range(10), y=range(14)),
        map_of(1e-6 * means**9, 1e-7 * means**9, "validation loss", "low", range(10), range(14)),
    ):
        figure.canvas.draw()
        axes = figure.axes[0]
        for text in axes.texts:
            column, row = text.xy
            (left, foot), (right, top) = axes.transData.transform(
                [(column - 0.5, row - 0.5), (column + 0.5, row + 0.5)]
            )
            box = text.get_window_extent()
            assert left < box.x0 and box.x1 < right and foot < box.y0 and box.y1 < top, text.get_text()


def test_files_are_small(tmp_path):
    assert_legible(map_of(), tmp_path / "a.png")
    assert_legible(lines_of(), tmp_path / "b.png")
    assert_legible(sweeps.bands(CURVES, "bands", "epoch", "accuracy (%)", scale=100), tmp_path / "c.png")
    assert_legible(drawn_against(chance=0.125), tmp_path / "d.png")


POINTS = [
    {"rate": 1e-4, "units": 16, "cell": "GRU", "clip": None},
    {"rate": 1e-3, "units": 64, "cell": "LSTM", "clip": 1.0},
    {"rate": 1e-2, "units": 32, "cell": "GRU", "clip": 5},
    {"rate": 1e-2, "units": 16, "cell": "Elman"},
]
SCORES = [0.5, 0.9, 0.7, NAN]


def lines_of(best="high", metric="validation accuracy", scores=SCORES):
    return sweeps.parallel(list(POINTS[0]), POINTS, scores, "lines", metric, best)


def labels(axes, number):
    """The tick labels of an axis, and where they stand."""
    found = [text for text in axes.texts if isinstance(text, Annotation) and text.xy[0] == number]
    return {text.get_text(): text.xy[1] for text in found if text.get_va() == "center"}


def test_every_point_is_a_line_through_its_values_to_its_score():
    (axes,) = lines_of().axes
    expected = [[0, 0, 0, 1, 0], [0.5, 1, 0.5, 0, 1], [1, 1 / 3, 0, 0.5, 0.5]]
    for line, places in zip(axes.lines[:3], expected, strict=True):
        np.testing.assert_allclose(line.get_xdata(), range(5))
        np.testing.assert_allclose(line.get_ydata(), places, atol=1e-12)
    assert labels(axes, 0) == {"0.0001": 0, "0.001": pytest.approx(0.5), "0.01": 1}
    assert labels(axes, 1) == {"16": 0, "32": pytest.approx(1 / 3), "64": 1}
    assert labels(axes, 2) == {"GRU": 0, "LSTM": 0.5, "Elman": 1}
    assert labels(axes, 3) == {"1": 0, "5": 0.5, "None": 1}
    scale = labels(axes, 4)
    assert scale.pop("diverged") < 0
    for label, place in scale.items():
        assert place == pytest.approx((float(label) - 50) / 40)
    heads = [text.get_text() for text in axes.texts if text.get_va() == "bottom"]
    assert heads == ["rate\n(logarithmic)", "units", "cell", "clip", "validation\naccuracy (%)"]


def test_diverged_points_are_grey_dashed_and_end_at_the_foot():
    figure = lines_of()
    (axes,) = figure.axes
    lost = axes.lines[3]
    assert lost.get_ydata()[-1] == labels(axes, 4)["diverged"] < 0
    assert to_hex(lost.get_color()) == style.GREY.lower() and lost.is_dashed()
    assert not any(line.is_dashed() for line in axes.lines[:3])
    assert words(figure) == ["", "best: 90 %", "diverged: 1 of 4"]
    fine = lines_of(scores=[0.5, 0.9, 0.7, 0.1])
    assert "diverged" not in labels(fine.axes[0], 4) and words(fine) == ["", "best: 90 %"]
    none = lines_of(scores=[NAN, math.inf, None, -math.inf])
    assert list(labels(none.axes[0], 4)) == ["diverged"] and words(none) == ["", "diverged: 4 of 4"]


@pytest.mark.parametrize("best, index", [("high", 1), ("low", 0)])
def test_the_best_is_thick_and_on_top_of_all_and_of_its_axis(best, index):
    (axes,) = lines_of(best).axes
    first = axes.lines[index]
    others = [line for line in axes.lines if line is not first]
    assert first.get_linewidth() > 2 * max(line.get_linewidth() for line in others)
    assert first.get_zorder() > max(line.get_zorder() for line in others)
    assert first.get_ydata()[-1] == 1
    # the better, the higher and the darker
    known = sorted((line for line in others if not line.is_dashed()), key=lambda line: line.get_ydata()[-1])
    lights = [luminance(line.get_color()) for line in known]
    assert len(lights) == 2 and lights[0] > lights[1]
    assert ("best on top" in "".join(text.get_text() for text in axes.texts)) == (best == "low")


def test_losses_over_decades_have_a_logarithmic_axis_and_equals_are_counted():
    figure = lines_of("low", "loss", [1e-4, 1e-2, 1.0, 1e-4])
    (axes,) = figure.axes
    assert [line.get_ydata()[-1] for line in axes.lines] == [1, pytest.approx(0.5), 0, 1]
    assert labels(axes, 4)["0.01"] == pytest.approx(0.5) and words(figure) == ["", "best: 0.0001 (the first of 2)"]
    assert [line.get_linewidth() > 3 for line in axes.lines] == [True, False, False, False]
    (axes,) = lines_of(scores=[0.01, 0.5, 1.0, NAN]).axes
    assert axes.lines[1].get_ydata()[-1] == pytest.approx(0.49 / 0.99)


def test_true_is_not_1_and_a_constant_stands_in_the_middle():
    values = [1, True, False, 1.0, "1 layer"]
    rows = [{"a": value, "b": 3} for value in values]
    (axes,) = sweeps.parallel(["a", "b"], rows, range(5), "", "loss", "low").axes
    assert [line.get_ydata()[0] for line in axes.lines] == [0, 2 / 3, 1 / 3, 0, 1]
    assert list(labels(axes, 0)) == ["1", "False", "True", "1 layer"] and labels(axes, 1) == {"3": 0.5}


def hard(number, axes):
    dice = np.random.default_rng(number)
    makers = {
        "learning_rate": lambda: 10 ** dice.uniform(-9, 3),
        "hidden_units_of_each_of_the_layers": lambda: int(2 ** dice.integers(2, 11)),
        "cell": lambda: ["elman", "elman_relu", "gru", "lstm", "jordan"][dice.integers(5)],
        "dropout": lambda: dice.uniform(0, 0.6),
        "gradient clip norm": lambda: [None, 0.5, 1.0, 5, math.inf][dice.integers(5)],
        "beta": lambda: [0.9, 0.99, 0.999, 0.9999, 0.98][dice.integers(5)],
        "initialisation": lambda: f"a rather long name {dice.integers(40)}",
        "layer.norm": lambda: bool(dice.integers(2)),
    }
    names = list(makers)[:axes] if axes > 1 else ["beta"]
    rows = [{name: makers[name]() for name in names} for _ in range(number)]
    return names, rows, np.where(dice.uniform(size=number) < 0.2, NAN, dice.uniform(1e-3, 1, number))


@pytest.mark.parametrize("number, axes", [(2, 1), (12, 1), (7, 3), (40, 6), (500, 8)])
def test_lines_are_legible(number, axes):
    names, rows, scores = hard(number, axes)
    figure = sweeps.parallel(names, rows, scores, "A search among many settings", "validation error", "low")
    assert_readable(figure)
    assert len(figure.axes[0].lines) == number
    places = np.array([line.get_ydata()[:-1] for line in figure.axes[0].lines])
    assert places.min() >= 0 and places.max() <= 1


CURVES = {
    "fast": {1: [0.5, 0.25, 0.75], 2: [1.0, NAN, 0.5], 4: [NAN, NAN, NAN]},
    "lost": {1: [NAN], 2: [math.inf]},
    "slow": {2: [0.25, 0.25, 1.0], 1: [0.0, 0.125, 0.5]},
}


def test_bands_are_medians_from_lowest_to_highest_of_what_is_finite():
    figure = sweeps.bands(CURVES, "bands", "epoch", "accuracy (%)", scale=100)
    (axes,) = figure.axes
    fast, slow = axes.lines
    assert points(fast) == [(1, 50), (2, 75)] and points(slow) == [(1, 12.5), (2, 25)]
    assert band(axes, 0) == {(1, 25), (1, 75), (2, 50), (2, 100)}
    assert band(axes, 1) == {(1, 0), (1, 50), (2, 25), (2, 100)}
    assert words(figure) == ["lines: median of the runs, bands: lowest to highest run", "fast", "slow"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("epoch", "accuracy (%)")
    (axes,) = sweeps.bands({"lost": CURVES["lost"]}, "", "epoch", "loss").axes
    assert [text.get_text() for text in axes.texts] == ["no finite value"]


def test_further_settings_are_thin_grey_medians():
    curves = {f"setting {k}": {1: [k, k + 1.0], 2: [k, k + 2.0]} for k in range(11)}
    figure = sweeps.bands(curves, "", "epoch", "loss", shown=3)
    (axes,) = figure.axes
    assert [points(line) for line in axes.lines] == [[(1, k + 0.5), (2, k + 1)] for k in range(11)]
    assert len(axes.collections) == 3
    assert len({line.get_color() for line in axes.lines[:3]}) == 3 and len({i.get_color() for i in axes.lines[3:]}) == 1
    assert max(line.get_linewidth() for line in axes.lines[3:]) < min(line.get_linewidth() for line in axes.lines[:3])
    assert max(line.get_zorder() for line in axes.lines[3:]) < min(line.get_zorder() for line in axes.lines[:3])
    said = "lines: median of 2 runs, bands: lowest to highest run"
    assert words(figure) == [said, "setting 0", "setting 1", "setting 2", "8 other settings"]
    assert words(sweeps.bands(curves, "", "epoch", "loss", shown=10))[-1] == "1 other setting"
    assert words(sweeps.bands(curves, "", "epoch", "loss", shown=11))[-1] == "setting 10"


def test_losses_of_zero_stand_on_a_tick_of_their_own_on_a_logarithmic_axis():
    (axes,) = sweeps.bands({"a": {0: [8.0, 2.0], 1: [0.0, 0.0]}}, "", "step", "loss (nats)", log=True).axes
    assert points(axes.lines[0]) == [(0, 5), (1, 1)]
    assert axes.get_yticks()[0] == 1 and axes.get_yticklabels()[0].get_text() == "0" and axes.get_ylim()[0] < 1
    assert axes.get_yscale() == "log" and axes.get_ylabel() == "loss (nats, logarithmic)"


@pytest.mark.parametrize("settings, places, log", [(1, 1, True), (2, 3, False), (8, 50, True), (200, 100, True)])
def test_bands_are_legible(settings, places, log):
    dice = np.random.default_rng(0)
    curves = {
        f"learning rate {10.0**-k:g}, {2**k % 1000} hidden units": {
            20 * place: (10 * np.exp(-place / (k + 2)) * dice.uniform(0.8, 1, 3)).tolist() for place in range(places)
        }
        for k in range(settings)
    }
    figure = sweeps.bands(curves, "Sequential MNIST: all settings", "training step", "validation loss (nats)", log=log)
    assert_readable(figure)


PANELS = {
    "best checkpoint": {"Elman": {5: [0.5, 1.0, 0.75], 10: [0.5, NAN, 0.25]}, "LSTM": {5: [1.0, 1.0, 1.0]}},
    "last step": {"LSTM": {15: [0.75, 0.5, 0.5], 5: [1.0, 1.0, 0.0], 10: [NAN, NAN, NAN]}},
}


def drawn_against(panels=PANELS, **options):
    return sweeps.against(panels, "palindromes", "length", "test accuracy (%)", **options)


def series(axes):
    """Of each series in axes: medians, whiskers, and the dots of the runs."""
    found = []
    for bar in axes.containers:
        line = bar.lines[0]
        dots = [dots for dots in axes.lines if dots.get_alpha() and dots.get_color() == line.get_color()]
        ends = [segment[:, 1].tolist() for segment in bar.lines[2][0].get_segments()] if bar.lines[2] else None
        found.append((points(line), ends, [point for line in dots for point in points(line)]))
    return found


def test_scores_against_a_quantity_are_medians_with_whiskers_and_every_run():
    figure = drawn_against(chance=0.125)
    first, last = figure.axes
    (elman, elman_ends, elman_runs), (lstm, lstm_ends, lstm_runs) = series(first)
    assert [y for _, y in elman] == [75, 37.5] and elman_ends == [[50, 100], [25, 50]]
    assert [y for _, y in elman_runs] == [50, 100, 75, 50, 25]
    assert [y for _, y in lstm] == [100] and lstm_ends is None and [y for _, y in lstm_runs] == [100] * 3
    ((medians, ends, _),) = series(last)
    assert [y for _, y in medians] == [100, 50] and ends == [[0, 100], [50, 75]]
    for axes in figure.axes:
        assert list(axes.get_xticks()) == [5, 10, 15]
        assert [text.get_text() for text in axes.get_xticklabels()] == ["5", "10", "15"]
        (chance,) = [line for line in axes.lines if list(line.get_ydata()) == [12.5, 12.5]]
        assert chance.get_linestyle() == ":"
        assert axes.get_ylim()[0] < 0 and axes.get_ylim()[1] > 100
    assert [axes.get_title() for axes in figure.axes] == list(PANELS)
    said = "lines: median of 3 runs, whiskers: lowest to highest run, dots: each run"
    assert words(figure) == [said, "Elman", "LSTM", "chance"]


def test_series_are_told_apart_three_times_and_moved_aside_by_less_than_half_a_step():
    values = {5: [1.0, 1.0], 10: [1.0, 1.0], 20: [1.0, 1.0]}
    names = ["Elman", "LSTM", "GRU", "Jordan"]
    for panels in ({"one": dict.fromkeys(names, values)}, dict.fromkeys("abc", dict.fromkeys(names, values))):
        figure = drawn_against(panels)
        figure.canvas.draw()
        axes = figure.axes[-1]
        lines = [bar.lines[0] for bar in axes.containers]
        for look in ("get_color", "get_marker"):
            assert len({getattr(line, look)() for line in lines}) == 4
        assert len({str(line._dash_pattern) for line in lines}) == 4
        places = np.array([line.get_xdata() for line in lines], float)
        ticks = axes.get_xticks()
        np.testing.assert_allclose(places.mean(0), ticks)
        assert np.abs(places - ticks).max() < np.diff(ticks).min() / 2
        pixels = axes.transData.transform(np.stack([places[:, 0], [100] * 4], axis=1))[:, 0]
        assert np.diff(pixels).min() >= 0.07 * figure.dpi


@pytest.mark.parametrize(
    "xs, name, places",
    [
        ([5, 10, 15, 20], "length", [5, 10, 15, 20]),
        ([8, 16, 64, 256], "length (logarithmic)", [3, 4, 6, 8]),
        ([1, 100, 101, 102], "length (not to scale)", [0, 1, 2, 3]),
        ([0, 1, 1000], "length (not to scale)", [0, 1, 2]),
        ([7], "length", [7]),
    ],
)
def test_ticks_stand_at_exactly_the_values(xs, name, places):
    axes = drawn_against({"a": {"Elman": {x: [0.5] for x in xs}}}).axes[0]
    assert axes.get_xlabel() == name and list(axes.get_xticks()) == places
    assert [text.get_text() for text in axes.get_xticklabels()] == [str(x) for x in xs]
    assert list(axes.containers[0].lines[0].get_xdata()) == places


def test_panels_without_a_finite_value_say_so_and_keep_the_axis():
    figure = drawn_against({"a": {"Elman": {5: [NAN]}}, "b": {"Elman": {5: [0.5]}}}, chance=0.1)
    assert [[text.get_text() for text in axes.texts] for axes in figure.axes] == [["no finite value"], []]
    assert words(figure) == ["", "Elman", "chance"] and len(figure.axes[1].get_yticks()) > 2


@pytest.mark.parametrize("panels, names, xs", [(1, 1, 1), (2, 2, 6), (3, 8, 8), (1, 5, 12)])
def test_scores_against_a_quantity_are_legible(panels, names, xs):
    dice = np.random.default_rng(0)
    drawn = {
        f"panel {panel}": {f"network {k}": {3**x: dice.uniform(0.1, 1, 5) for x in range(xs)} for k in range(names)}
        for panel in range(panels)
    }
    figure = drawn_against(drawn, chance=0.1)
    assert_readable(figure)
    for panel, axes in zip(drawn.values(), figure.axes, strict=True):
        for values, bar in zip(panel.values(), axes.containers, strict=True):
            expected = [100 * statistics.median(runs) for runs in values.values()]
            np.testing.assert_allclose(bar.lines[0].get_ydata(), expected)
