"""Strips: where every run's dot, the median and the marks stand, and that the words can be read."""

import numpy as np
import pytest

from jaxrnn.plots.strips import Strip, strips
from test_plots import assert_legible, points, words

NAN = float("nan")


def test_a_dot_for_each_run_and_a_bar_at_the_median():
    rows = {"one": [0.25, 0.75, 0.5], "other": [0.125, NAN, None]}
    figure = strips([Strip("share", rows, limits=(0, 1), marks={"other": 0.875})], "t", marked="elsewhere")
    (axes,) = figure.axes
    lines = [points(line) for line in axes.lines]
    assert lines[0] == [(0.5, pytest.approx(-0.34)), (0.5, pytest.approx(0.34))]
    assert lines[1] == [(0.25, pytest.approx(-0.15)), (0.75, pytest.approx(0)), (0.5, pytest.approx(0.15))]
    assert lines[2] == [(0.125, pytest.approx(0.66)), (0.125, pytest.approx(1.34))]
    assert lines[3] == [(0.125, pytest.approx(0.85))] and lines[4] == [(0.875, 1)]
    assert axes.get_xlim() == (0, 1) and axes.get_ylim() == (1.5, -0.5) and axes.get_xlabel() == "share"
    assert [label.get_text() for label in axes.get_yticklabels()] == ["one", "other"]
    assert words(figure) == ["", "a run", "median", "elsewhere"]


def test_a_level_is_a_line_and_a_row_in_which_no_run_came_through_is_empty():
    figure = strips([Strip("share", {"one": [NAN, None]})], "t", level=("half", 0.5))
    (line,) = figure.axes[0].lines
    assert set(line.get_xdata()) == {0.5} and words(figure) == ["", "half"]


@pytest.mark.parametrize("decades", [0.1, 1, 3, 8])
def test_strips_are_legible(tmp_path, decades):
    dice = np.random.default_rng(0)
    names = ["nothing", "dropout 0.7, padding masked", "variational dropout 0.25"]
    costs = {name: 3 * 10 ** -dice.uniform(0, decades, 8) for name in names}
    shares = {name: dice.choice([0, 50, 100], 8) for name in names}
    panels = [Strip("test cost (nats,\nlogarithmic)", costs, log=True)]
    panels += [Strip(f"{part} accuracy\n(%)", shares, limits=(0, 100)) for part in ("test", "training")]
    figure = strips(panels, "Against overfitting on eleven sentences: what each means brings")
    assert_legible(figure, tmp_path / "a.png")
    low, high = figure.axes[0].get_xlim()
    assert sum(low <= tick <= high for tick in figure.axes[0].get_xticks()) >= 2
