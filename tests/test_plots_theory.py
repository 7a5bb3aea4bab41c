"""Figures of the theory: the numbers of their lines and shades, and their words."""

import numpy as np
import pytest
from matplotlib.colors import to_hex

from jaxrnn import plots
from jaxrnn.plots import style
from test_plots import assert_legible, band, points, words


def drawn_slopes():
    e = np.linspace(-3, 3, 61)
    curves = {"tanh": 1 / np.cosh(e) ** 2, "sigmoid": 0.25 / np.cosh(e / 2) ** 2}
    rough = {"tanh": 1 - e**2, "sigmoid": 0.25 - e**2 / 16}
    return e, curves, plots.theory.slopes(e, curves, rough, {"approximations": 0.9, "true slopes": 1.7}, "slopes")


def test_slopes_and_where_they_cross():
    e, curves, figure = drawn_slopes()
    (axes,) = figure.axes
    tanh, tanh_rough, sigmoid, sigmoid_rough, bar, *_ = axes.lines
    assert points(tanh) == list(zip(e.tolist(), curves["tanh"].tolist(), strict=True))
    assert points(sigmoid) == list(zip(e.tolist(), curves["sigmoid"].tolist(), strict=True))
    assert (tanh.get_linestyle(), sigmoid.get_linestyle()) == ("-", "--")
    assert tanh.get_color() == tanh_rough.get_color() != sigmoid.get_color() == sigmoid_rough.get_color()
    assert np.isnan(tanh_rough.get_ydata()[0]) and tanh_rough.get_ydata()[30] == 1
    assert [x for x, _ in points(bar)] == [-0.9, 0.9]
    assert words(figure) == [
        "bars: where the sigmoid's slope is at most tanh's", "tanh", "tanh, approximated", "sigmoid",
        "sigmoid, approximated", "approximations: |e| ≤ 0.9000", "true slopes: |e| ≤ 1.7000",
    ]  # fmt: skip


def test_slopes_are_legible(tmp_path):
    assert_legible(drawn_slopes()[-1], tmp_path / "a.png")


def drawn_powers():
    return plots.theory.powers(
        range(1, 21), {"true": -0.6, "approximated": -0.59}, np.linspace(1e-6, 1e-5, 20), "powers"
    )


def test_powers_are_straight_and_the_true_one_is_rings_under_a_line():
    figure = drawn_powers()
    left, right = figure.axes
    true, rough = left.lines
    assert points(true) == [(step, -0.6 * step) for step in range(1, 21)]
    assert points(rough) == [(step, -0.59 * step) for step in range(1, 21)]
    assert (true.get_marker(), true.get_markerfacecolor(), true.get_linestyle()) == ("o", "none", "None")
    assert (rough.get_marker(), rough.get_linestyle()) == ("", "--")
    (difference,) = right.lines
    np.testing.assert_allclose(difference.get_ydata(), np.linspace(1, 10, 20))
    assert words(figure) == ["", "true", "approximated"]


def test_powers_are_legible(tmp_path):
    assert_legible(drawn_powers(), tmp_path / "a.png")


def test_sizes_over_time_are_means_of_logarithms_in_bands():
    look = style.Look(style.GREEN, "--", "s")
    values = [[0.0, -1.0, -3.0], [0.0, -2.0, -np.inf]]
    panels = {"one": {"tanh": (look, values)}, "other": {"tanh": (look, [[-20.0] * 3] * 2)}}
    bounds = {"one": {"bound": (style.Look(style.BLACK, ":"), [0.0, -1.0, -2.0])}}
    figure = plots.theory.over_time(panels, "sizes", x="step", y="size", bounds=bounds, floor=-5)
    left, right = figure.axes
    assert points(left.lines[0]) == [(1, 0.0), (2, -1.5), (3, -3.0)]
    assert band(left) == {(1, 0.0), (2, -1.0), (2, -2.0), (3, -3.0)}
    assert (to_hex(left.lines[0].get_color()), left.lines[0].get_linestyle()) == ("#009e73", "--")
    assert points(left.lines[1]) == [(1, 0.0), (2, -1.0), (3, -2.0)]
    assert points(right.lines[0]) == [(1, -5), (2, -5), (3, -5)]
    assert (left.get_xlabel(), left.get_ylabel(), right.get_ylabel()) == ("step", "size", "")
    assert [axes.get_title() for axes in figure.axes] == ["one", "other"]
    said = "lines: geometric mean of 2 runs, bands: lowest to highest run"
    assert words(figure) == [said, "tanh", "bound"]
    figure.canvas.draw()
    shown = {tick.label1.get_text() for tick in left.yaxis.get_major_ticks()}
    assert {"1", "0.1", "0.01", "1e-4"} <= shown


@pytest.mark.parametrize("panels", [1, 2, 3])
def test_sizes_over_time_are_legible(tmp_path, panels):
    falling = np.cumsum(np.random.default_rng(0).normal(-0.3, 0.1, (4, 30)), axis=1)
    curves = {name: (look, falling) for name, look in style.looks(["Elman", "GRU", "LSTM (h alone)"]).items()}
    named = {f"spectral radius {number}": curves for number in range(panels)}
    figure = plots.theory.over_time(named, "A perturbation of the first state", x="time step t", y="its size at step t")
    assert_legible(figure, tmp_path / "a.png")


def test_growth_over_the_radius(tmp_path):
    radii = (0.25, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0, 5.7, 8.0, 11.0, 16.0)
    limits = {"tanh": np.log10(radii).tolist(), "sigmoid": (np.log10(radii) - np.log10(4)).tolist()}
    rates = {name: np.stack([limit, np.subtract(limit, 0.1)]) for name, limit in limits.items()}
    figure = plots.theory.growth(radii, rates, limits, "What a step does to a perturbation")
    (axes,) = figure.axes
    np.testing.assert_allclose(axes.lines[0].get_xdata(), np.log2(radii))
    np.testing.assert_allclose(axes.lines[0].get_ydata(), np.log10(radii) - 0.05)
    np.testing.assert_allclose(axes.lines[1].get_ydata(), np.log10(radii))
    assert [label.get_text() for label in axes.get_xticklabels()] == [f"{radius:g}" for radius in radii]
    assert words(figure)[0] == "lines: geometric mean of 2 runs, bands: lowest to highest run"
    assert_legible(figure, tmp_path / "a.png")


def test_heatmaps_have_the_step_across_and_time_upwards(tmp_path):
    flow = np.linspace(-12, 0, 30)[None] * np.linspace(1, 0.2, 6)[:, None]
    accuracy = np.linspace([0.25, 0.3], [0.9, 1.0], 6).T
    panel = {"steps": 32 * np.arange(6), "accuracy": accuracy, "flow": flow}
    options = {"shades": "|dL/dh_k| (last step: 1)", "accuracy": "test\naccuracy (%)", "floor": -8.0, "chance": 0.25}
    figure = plots.theory.heatmaps({"Elman": panel, "GRU": panel, "LSTM": panel}, "How far back", **options)
    above, below = figure.axes[0], figure.axes[3]
    np.testing.assert_allclose(points(above.lines[0]), np.stack([32 * np.arange(6), 100 * accuracy.mean(0)], axis=1))
    assert list(above.lines[1].get_ydata()) == [25, 25] and above.get_ylabel() == "test\naccuracy (%)"
    (image,) = below.images
    np.testing.assert_allclose(image.get_array(), np.maximum(flow, -8).T)
    assert image.get_extent() == [-16, 176, 0.5, 30.5] and image.origin == "lower"
    assert (image.norm.vmin, image.norm.vmax) == (-8, 0)
    assert (below.get_xlabel(), below.get_ylabel(), figure.axes[4].get_ylabel()) == ("training step", "time step k", "")
    assert words(figure) == ["lines: mean of 2 runs, bands: lowest to highest run, shades: geometric mean", "chance"]
    assert_legible(figure, tmp_path / "a.png")
