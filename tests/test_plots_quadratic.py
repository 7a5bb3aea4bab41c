"""Figures of the quadratic bowl: the numbers of their lines, rings and contours, and their words."""

import numpy as np
import pytest

from jaxrnn.plots import quadratic, style
from test_plots import assert_legible, points, words

MATRIX = np.diag([1.0, 100.0])
TURNED = np.array([[50.5, -49.5], [-49.5, 50.5]])


def spiral(steps=40, shrink=0.9, angle=0.5, start=(4.0, 2.0)):
    t = np.arange(steps + 1)
    turn = np.stack([np.cos(angle * t), np.sin(angle * t)], axis=-1)
    x = turn * shrink ** t[:, None]
    return np.stack([x[:, 0] * start[0] - x[:, 1], x[:, 0] * start[1] + x[:, 1]], axis=-1)


def panel(matrix=MATRIX, **paths):
    paths = paths or {"SGD": spiral(), "momentum 0.9": spiral(angle=0.2)}
    exact = {name: {t: path[t] for t in range(0, len(path), 5)} for name, path in list(paths.items())[:2]}
    return {"matrix": matrix, "paths": paths, "exact": exact}


def test_contours_show_paths_rings_start_and_minimum():
    path, other = spiral(), spiral(angle=-0.1)
    one = {
        "matrix": MATRIX,
        "paths": {"SGD": path, "Adam": other},
        "exact": {"SGD": {0: path[0], 7: path[7], 30: path[30]}},
    }
    figure = quadratic.contours({"left": one, "right": panel()}, "paths", steps=20)
    left, right = figure.axes
    sgd, rings, adam, start, minimum = left.lines
    assert points(sgd) == [tuple(point) for point in path[:21].tolist()]
    assert points(adam) == [tuple(point) for point in other[:21].tolist()]
    assert points(rings) == [tuple(path[0]), tuple(path[7])]  # the third is of a step that is not drawn
    assert rings.get_markerfacecolor() == "none" and rings.get_color() == sgd.get_color() != adam.get_color()
    assert sgd.get_linestyle() != adam.get_linestyle() and sgd.get_marker() != adam.get_marker()
    assert points(start) == [(4, 2)] and points(minimum) == [(0, 0)]
    assert right.lines[0].get_color() == sgd.get_color() and right.lines[2].get_color() not in (
        sgd.get_color(),
        adam.get_color(),
    )
    assert [axes.get_title() for axes in figure.axes] == ["left", "right"]
    assert (left.get_xlabel(), left.get_ylabel()) == ("x₁", "x₂")
    said = "a marker a step, contours: factors of 10, rings: closed form"
    assert words(figure) == [said, "SGD", "Adam", "momentum 0.9", "start", "minimum"]


@pytest.mark.parametrize("matrix", [MATRIX, TURNED])
def test_contours_are_factors_of_ten_through_the_start_and_have_one_scale(matrix):
    figure = quadratic.contours({"a": panel(matrix), "b": panel(SGD=spiral(shrink=0.5))}, "")
    (drawn,) = [item for item in figure.axes[0].collections if hasattr(item, "levels")]
    height = np.array([4, 2]) @ matrix @ [4, 2] / 2
    np.testing.assert_allclose(drawn.levels, height * 10.0 ** np.arange(-4, 3))
    for level, path in zip(drawn.levels, drawn.get_paths(), strict=True):
        for x in path.vertices[::20]:
            assert x @ matrix @ x / 2 == pytest.approx(level, rel=0.02, abs=0.02 * height)
    spans = {round(float(np.ptp(limits)), 9) for axes in figure.axes for limits in (axes.get_xlim(), axes.get_ylim())}
    assert len(spans) == 1
    figure.canvas.draw()
    boxes = [axes.get_window_extent() for axes in figure.axes]
    np.testing.assert_allclose([box.width for box in boxes], [box.height for box in boxes], rtol=1e-6)


def test_a_path_that_diverges_leaves_the_axes(tmp_path):
    far = spiral(40, 1.0) * 10.0 ** (7 * np.arange(41))[:, None]
    far[30:] = np.nan
    figure = quadratic.contours({"a": panel(SGD=far, Adam=spiral())}, "One diverges")
    (axes,) = figure.axes
    assert 5 < np.ptp(axes.get_xlim()) < 2 * 1.2 * 1.5 * np.hypot(4, 2)
    assert_legible(figure, tmp_path / "a.png")


@pytest.mark.parametrize("number", [1, 4])
def test_contours_are_legible(tmp_path, number):
    panels = {f"a bowl turned by {45 * place}°": panel([MATRIX, TURNED][place % 2]) for place in range(number)}
    figure = quadratic.contours(panels, "Paths of optimisers on a bowl of condition number 100", steps=30)
    assert len(figure.axes) == number
    assert_legible(figure, tmp_path / "a.png")


def falling(rate, steps=300):
    return rate ** np.arange(steps + 1.0)


def test_values_are_curves_with_rings_on_a_logarithmic_axis():
    curves = {"SGD": falling(0.1, 3), "Adam": [1.0, 0.1, np.nan, 0.0]}
    exact = {"left": {"SGD": {0: 1.0, 2: 0.01}}}
    figure = quadratic.values({"left": curves, "right": {"Adam": [1.0, np.inf]}}, "values", exact=exact)
    left, right = figure.axes
    sgd, rings, adam = left.lines
    np.testing.assert_allclose(points(sgd), [(0, 0), (1, -1), (2, -2), (3, -3)], atol=1e-12)
    np.testing.assert_allclose(points(rings), [(0, 0), (2, -2)], atol=1e-12)
    np.testing.assert_allclose(points(adam), [(0, 0), (1, -1), (2, np.nan), (3, np.nan)], atol=1e-12)
    assert rings.get_color() == sgd.get_color() and rings.get_linestyle() == "None"
    assert right.lines[0].get_color() == adam.get_color() != sgd.get_color()
    assert (left.get_xlabel(), left.get_ylabel(), right.get_ylabel()) == ("step t", "f(xₜ) / f(x₀)", "")
    assert words(figure) == ["rings: closed form", "SGD", "Adam"]
    figure.canvas.draw()
    shown = {tick.label1.get_text() for tick in left.yaxis.get_major_ticks()}
    assert {"1", "0.1", "0.01", "1e-3"} <= shown


@pytest.mark.parametrize(
    "curves, bottom, top",
    [
        ({"a": falling(0.1, 30), "b": falling(10, 30)}, -12, 2),
        ({"a": falling(0.1, 4)}, -4, 0),
        ({"a": [1.0, 1.0]}, 0, 0),
    ],
)
def test_the_axis_of_values_reaches_as_far_as_they_go_within_limits(curves, bottom, top):
    low, high = quadratic.values({"": curves}, "").axes[0].get_ylim()
    assert bottom - 1 < low < bottom and top < high < top + 1


@pytest.mark.parametrize("number", [1, 2])
def test_values_are_legible(tmp_path, number):
    rates = {"SGD": 0.97, "momentum 0.9": 0.9, "momentum, best": 0.8, "RMSProp": 0.96, "Adam": 0.91}
    curves = {name: falling(rate) for name, rate in rates.items()}
    named = {f"turned by {45 * place}°": curves for place in range(number)}
    exact = {name: {"SGD": dict(enumerate(curves["SGD"][:100:20]))} for name in named}
    figure = quadratic.values(named, "How fast the function falls", exact=exact)
    assert_legible(figure, tmp_path / "a.png")


def test_looks_can_be_those_of_another_figure():
    looks = {"SGD": style.Look(style.GREEN, "-", "s"), "momentum 0.9": style.Look(style.BLACK, "--", "v")}
    for figure in (
        quadratic.contours({"": panel()}, "", looks=looks),
        quadratic.values({"": {"SGD": falling(0.9)}}, "", looks=looks),
    ):
        assert figure.axes[0].lines[0].get_color() == style.GREEN


def test_nothing_to_draw_is_an_empty_figure():
    assert quadratic.contours({}, "nothing").axes == []
    (axes,) = quadratic.values({}, "nothing").axes
    assert not axes.lines
