"""Figures of small whole numbers in a grid: every number is there, and its words."""

import numpy as np
from matplotlib.text import Annotation

from jaxrnn import plots
from test_plots import assert_legible, words


def cells(axes):
    """The numbers drawn, by their column and row."""
    return {text.get_position(): text.get_text() for text in axes.texts if not isinstance(text, Annotation)}


def test_steps_have_a_cell_for_each_step_and_row(tmp_path):
    groups = {"inputs": {"A": np.array([1, 0, 1])}, "": {"v h": [-1, 2, 0], "y": [0, 1, 0]}}
    figure = plots.bits.steps({"one": groups, "other": {"": {"x": [1, 1, 0]}}}, "what happens")
    one, other = figure.axes
    assert [label.get_text() for label in one.get_yticklabels()] == ["A", "v h", "y"]
    assert [label.get_text() for label in one.get_xticklabels()] == ["1", "2", "3"]
    expected = [[1, 0, 1], [-1, 2, 0], [0, 1, 0]]
    numbers = {(column, row): str(expected[row][column]) for row in range(3) for column in range(3)}
    assert cells(one) == numbers and len(cells(other)) == 3
    assert one.get_title(loc="left") == "one" and one.get_xlabel() == "step t"
    assert "inputs" in {text.get_text() for text in one.texts}
    assert_legible(figure, tmp_path / "a.png")


def test_of_many_steps_the_first_are_drawn_and_that_is_said(tmp_path):
    groups = {"inputs x(t)": {"A": np.ones(300, int), "B": np.ones(300, int)}, "output": {"y(t)": np.zeros(300, int)}}
    figure = plots.bits.steps({"": groups}, "A sum of 300 bits")
    (axes,) = figure.axes
    assert axes.get_xlabel() == "step t (the first 24 of 300)" and len(cells(axes)) == 3 * 24
    assert_legible(figure, tmp_path / "a.png")


def test_columns_can_be_other_things_than_steps(tmp_path):
    figure = plots.bits.steps({"": {"bits": {"A": [1, 0, 1]}}}, "sums", x="sum", marks=["0", "1", "1"])
    (axes,) = figure.axes
    assert axes.get_xlabel() == "sum" and [label.get_text() for label in axes.get_xticklabels()] == ["0", "1", "1"]
    assert_legible(figure, tmp_path / "a.png")


def test_counts_have_a_cell_for_each_kind(tmp_path):
    numbers = np.array([[0, 1, 2], [30, 4_000, 5]])
    figure = plots.bits.counts(numbers, "how many", rows=["-1", "+1"], columns=["a", "b", "c"], y="u", x="state")
    (axes,) = figure.axes
    assert cells(axes) == {(c, r): f"{numbers[r, c]:,}" for r in range(2) for c in range(3)}
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("state", "u")
    dark = {text.get_text(): text.get_color() for text in axes.texts}
    assert dark["4,000"] == "white" and dark["0"] != "white"
    assert_legible(figure, tmp_path / "a.png")


def test_the_plane_of_xor_has_its_points_and_lines(tmp_path):
    figure = plots.bits.xor_plane("XOR")
    (axes,) = figure.axes
    lines, points = axes.lines[:2], axes.lines[2:]
    assert [set(np.add(*line.get_data()).tolist()) for line in lines] == [{0.5}, {1.5}]
    colours = {(int(point.get_xdata()[0]), int(point.get_ydata()[0])): point.get_color() for point in points}
    assert colours[0, 0] == colours[1, 1] != colours[0, 1] == colours[1, 0]
    assert {"y = 0", "y = 1", "first unit is on above", "second unit is on above"} <= set(words(figure))
    assert_legible(figure, tmp_path / "a.png")
