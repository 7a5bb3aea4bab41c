"""What is taken for what: the numbers in the cells, and the captions of the images."""

import numpy as np
import pytest

from jaxrnn import plots
from test_plots import assert_legible, words


def cells(axes):
    """The words of each cell by (row, column)."""
    return {(text.get_position()[1], text.get_position()[0]): text.get_text() for text in axes.texts}


def test_errors_are_counted_and_the_diagonal_is_recall():
    counts = [[90, 9.96, 0.04], [1 / 3, 39.0, 0], [0, 0, 0]]
    figure = plots.confusion.matrix(counts, "taken")
    axes, bar = figure.axes
    assert cells(axes) == {(0, 0): "90.0", (0, 1): "10", (1, 0): "0.3", (1, 1): "99.2", (2, 2): "–"}
    shades = axes.images[0]
    np.testing.assert_array_equal(shades.get_array().mask, np.eye(3, dtype=bool))
    assert shades.get_array()[0, 1] == 9.96 and shades.get_clim() == (0, 9.96)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted class", "true class")
    assert bar.get_ylabel() == "examples of the row taken for the column's class"
    assert words(figure) == ["", "recall: per cent of the row that were recognised"]


@pytest.mark.parametrize("counts", [np.eye(10) * 100, np.zeros((2, 2)), np.ones((1, 1))])
def test_without_an_error_there_is_nothing_but_the_diagonal(tmp_path, counts):
    figure = plots.confusion.matrix(counts, "")
    assert set(cells(figure.axes[0])) == {(k, k) for k in range(len(counts))}
    assert_legible(figure, tmp_path / "a.png")


def test_numbers_are_white_on_dark_and_black_on_light():
    axes = plots.confusion.matrix([[5, 8], [1, 5]], "").axes[0]
    colours = {text.get_text(): text.get_color() for text in axes.texts}
    assert colours["8"] == "white" and colours["1"] == "#000000"


def test_the_matrix_is_legible(tmp_path):
    counts = np.random.default_rng(0).poisson(4, (10, 10)) / 3 + 960 * np.eye(10) + [[0] * 8 + [0, 100]] * 10
    title = "GRU on the 10,000 test images of MNIST, mean of 3 networks"
    assert_legible(plots.confusion.matrix(counts, title), tmp_path / "a.png")


def test_the_hardest_say_what_they_are_and_are_taken_for():
    images = np.arange(4 * 6, dtype=np.uint8).reshape(4, 2, 3)
    votes = [{3: 12, 5: 3}, {8: 4, 0: 6, 3: 5}, {7: 15}, {2: 2}]
    figure = plots.confusion.hardest(images, np.array([5, 3, 7, 1]), votes, "hard")
    said = [axes.get_xlabel() for axes in figure.axes]
    assert said == [
        "5, read as 3\n(12 of 15)", "3, read as 0\n(6 of 15)", "7, read as 7\n(15 of 15)",
        "1, read as 2\n(2 of 2)",
    ]  # fmt: skip
    for image, axes in zip(images, figure.axes, strict=False):
        np.testing.assert_array_equal(axes.images[0].get_array(), image)
    figure = plots.confusion.hardest(images[:1], [5], votes[:1], "")
    assert [axes.get_xlabel() for axes in figure.axes] == said[:1]
    assert figure._supxlabel.get_text() == "in brackets: how many of the networks say so"


@pytest.mark.parametrize("number", [24, 7, 2])
def test_the_hardest_are_legible(tmp_path, number):
    images = np.random.default_rng(0).integers(0, 256, (number, 28, 28), np.uint8) // 64 * 64
    figure = plots.confusion.hardest(images, [5] * number, [{3: 12, 5: 3}] * number, "The images most often misread")
    assert_legible(figure, tmp_path / "a.png")
