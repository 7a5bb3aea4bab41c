"""Figures of regression: the truth and what is foretold step by step, and errors on a logarithmic axis."""

import numpy as np
import pytest
from matplotlib.colors import to_hex

from jaxrnn import plots
from jaxrnn.plots.regression import against_rule, sequences
from test_plots import assert_legible, band, points, words

TRUTH = np.random.default_rng(0).normal(size=(8, 100))


def drawn(axes):
    return [np.asarray(line.get_ydata()).tolist() for line in axes.lines]


def test_every_sequence_has_a_panel_with_its_truth_and_its_prediction(tmp_path):
    figure = sequences(TRUTH, "y1 of the training sequences, and what is said", "y1", prediction=TRUTH / 2)
    assert len(figure.axes) == 8
    for truth, axes in zip(TRUTH, figure.axes, strict=True):
        assert drawn(axes) == [truth.tolist(), (truth / 2).tolist()]
        assert [to_hex(line.get_color()) for line in axes.lines] == ["#0072b2", "#d55e00"]
        assert axes.lines[0].get_xdata()[[0, -1]].tolist() == [1, 100]
    assert [axes.get_ylabel() for axes in figure.axes] == ["y1", ""] * 4
    assert [axes.get_xlabel() for axes in figure.axes] == [""] * 6 + ["time step t"] * 2
    assert len({axes.get_ylim() for axes in figure.axes}) == 1
    assert words(figure) == ["", "truth", "prediction"]
    assert_legible(figure, tmp_path / "a.png")


def test_the_truth_alone_needs_no_legend(tmp_path):
    figure = sequences(TRUTH[:3], "truth", "y2")
    assert [len(axes.lines) for axes in figure.axes] == [1, 1, 1, 0] and not figure.legends
    assert_legible(figure, tmp_path / "a.png")


PANELS = {
    "to (1 2 3)": {"rule": [1, 3, 5], "other": [1.5, 3, 6], "runs": [[1, 2, 3], [2, 3, 9], [3, 4, 5], [np.nan] * 3]},
    "to (4 5 6)": {"rule": [4, 9, 11], "other": [4, 8, 9], "runs": [[4, 9, 9], [4, 9, 11], [4, 9, 12], [1, 1, np.inf]]},
}  # fmt: skip


def test_runs_stand_beside_the_rule_and_another_answer_with_their_median_and_range(tmp_path):
    figure = against_rule(PANELS, "What networks say", "output y(t)", other="the paper's")
    first, second = figure.axes
    assert drawn(first)[:3] == [[1, 3, 5], [1.5, 3, 6], [2, 3, 5]]
    assert drawn(second)[2] == [4, 9, 11]
    (whiskers,) = first.containers[0].lines[2]
    assert [segment[:, 1].tolist() for segment in whiskers.get_segments()] == [[1, 3], [2, 4], [3, 9]]
    assert drawn(first)[-3:] == [[1, 2, 3], [2, 3, 9], [3, 4, 5]]
    said = "the networks: median of 3 runs, whiskers: lowest to highest run, dots: each run"
    assert words(figure) == [said, "the rule", "the paper's", "the networks"]
    assert [axes.get_title() for axes in figure.axes] == list(PANELS)
    assert [axes.get_ylabel() for axes in figure.axes] == ["output y(t)", ""]
    assert_legible(figure, tmp_path / "a.png")


@pytest.mark.parametrize("runs, names", [([[1, 2, 3]], 3), ([[np.nan] * 3], 2)])
def test_a_single_run_has_no_range_and_none_is_left_out(runs, names):
    figure = against_rule({"a": PANELS["to (1 2 3)"] | {"runs": runs}}, "", "y", other="b")
    (axes,) = figure.axes
    assert len(axes.lines) == names and not axes.containers and len(words(figure)) == names + 1


def history(values, run=0):
    rows = enumerate(values, start=1)
    return [{"run": run, "epoch": n, "train_loss": 9.0, "train_mse": value, "test_mse": 2 * value} for n, value in rows]


LEVELS = [
    {"what": "noise floor", "metric": "train_mse", "value": 1e-3},
    {"what": "of one output", "metric": "train_mse_1", "value": 1e-9},
]


def test_learning_curves_of_regression_are_logarithmic_and_count_steps(tmp_path):
    rows = history([8.0, 2.0, 0.5]) + history([4.0, 2.0, 0.25], 1)
    figure = plots.learning_curves(rows, "lagged", LEVELS, steps=100)
    (axes,) = figure.axes
    assert axes.get_yscale() == "log" and axes.get_ylabel() == "mean squared error (logarithmic)"
    assert axes.get_xlabel() == "training step"
    assert [points(line) for line in axes.lines[:2]] == [
        [(100, 6.0), (200, 2.0), (300, 0.375)],
        [(100, 12.0), (200, 4.0), (300, 0.75)],
    ]
    assert band(axes) == {(100, 8.0), (200, 2.0), (300, 0.5), (100, 4.0), (300, 0.25)}
    assert list(axes.lines[2].get_ydata()) == [1e-3, 1e-3] and len(axes.lines) == 3
    low, high = axes.get_ylim()
    assert low < 1e-3 and high > 16
    assert words(figure)[1:] == ["training", "test", "noise floor: 0.001"]
    assert_legible(figure, tmp_path / "a.png")


@pytest.mark.parametrize("low", [0.01, 1e-13, 0.0])
def test_errors_over_any_range_have_few_round_ticks(tmp_path, low):
    figure = plots.learning_curves(history([60.0, 1.0, low]), "lagged sequences", LEVELS)
    (axes,) = figure.axes
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert 3 <= len(labels) <= 11 and (labels[0] == "0") == (low == 0)
    assert_legible(figure, tmp_path / "a.png")


def test_without_a_finite_error_it_says_so():
    (axes,) = plots.learning_curves(history([np.nan]), "", LEVELS).axes
    assert [text.get_text() for text in axes.texts] == ["no finite value"]
