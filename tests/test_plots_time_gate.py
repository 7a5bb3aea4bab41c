"""Figures of the time gate: their numbers, scales and words."""

import numpy as np
import pytest

from jaxrnn import plots
from jaxrnn.cells import time_gate
from test_plots import assert_legible, words


def points(line):
    """Where a line goes: places and heights."""
    return np.array(line.get_data())


def test_the_course_names_all_three_numbers_where_they_are(tmp_path):
    times = np.linspace(0, 21, 500)
    figure = plots.time_gate.course(times, time_gate(times, 8.0, 2.0, 0.5), 8.0, 2.0, 0.5, "A time gate")
    (axes,) = figure.axes
    np.testing.assert_allclose(points(axes.lines[0])[1], time_gate(times, 8.0, 2.0, 0.5))
    spans = {
        tuple(np.round([note.xyann[0], note.xy[0]], 6))
        for note in axes.texts
        if hasattr(note, "xyann") and not note.get_text()
    }
    assert {tuple(sorted(span)) for span in spans} == {(0, 2), (2, 6), (2, 10), (6, 10)}
    said = {text.get_text() for text in axes.texts}
    assert {"s", r"$r_{on}\,\tau$", r"period $\tau$", "open", r"peak: $\phi = r_{on}/2$"} <= said
    assert_legible(figure, tmp_path / "a.png")


def test_copying_shades_the_open_steps_and_draws_all_series(tmp_path):
    opened = np.array([0, 0.5, 1, 0, 0, 0, 1, 0])
    states = {"time-gated LSTM": np.arange(8.0), "LSTM": np.arange(8.0)[::-1]}
    kept = {"time-gated LSTM": np.full(8, 0.5), "LSTM": 10.0 ** np.arange(-7, 1)}
    figure = plots.time_gate.copying(opened, states, kept, "What a gate keeps")
    gate, state, share = figure.axes
    for axes in figure.axes:
        shaded = [(patch.get_x(), patch.get_x() + patch.get_width()) for patch in axes.patches]
        np.testing.assert_allclose(shaded, [(1.5, 3.5), (6.5, 7.5)])
    np.testing.assert_array_equal(points(gate.lines[0]), [np.arange(1, 9), opened])
    for axes, series in ((state, states), (share, kept)):
        for line, values in zip(axes.lines, series.values(), strict=True):
            np.testing.assert_array_equal(points(line)[1], values)
    assert share.get_yscale() == "log"
    assert {"gate open", "LSTM", "time-gated LSTM"} <= set(words(figure))
    assert_legible(figure, tmp_path / "a.png")


def test_slopes_are_one_above_the_other(tmp_path):
    times = np.linspace(0, 10, 50)
    gradients = {r"\tau": np.sin(times), "s": np.cos(times), r"r_{on}": times}
    figure = plots.time_gate.slopes(times, time_gate(times, 5.0, 1.0, 0.4), gradients, "What can be learned")
    assert len(figure.axes) == 4
    for axes, (name, values) in zip(figure.axes[1:], gradients.items(), strict=True):
        np.testing.assert_array_equal(points(axes.lines[0])[1], values)
        assert axes.get_ylabel() == rf"$\partial k / \partial {name}$"
    assert_legible(figure, tmp_path / "a.png")


@pytest.mark.parametrize("networks", [1, 2, 6, 8])
def test_periods_are_a_panel_a_network(networks, tmp_path):
    taus = np.exp(np.random.default_rng(0).uniform(1, 3, (5, networks, 4)))
    read = [number % 4 for number in range(networks)]
    figure = plots.time_gate.periods(range(0, 250, 50), taus, read, 8.0, f"{networks} networks")
    shown = [axes for axes in figure.axes if axes.has_data()]
    assert len(shown) == networks
    for number, axes in enumerate(shown):
        thick = max(axes.lines, key=lambda line: line.get_linewidth())
        np.testing.assert_array_equal(points(thick)[1], taus[:, number, read[number]])
        assert axes.get_yscale() == "log"
    assert_legible(figure, tmp_path / "a.png")


@pytest.mark.parametrize("panels", [1, 3])
def test_learning_is_a_panel_a_sampling(panels, tmp_path):
    names = ["every ms", "every 0.5 ms", "at random times"][:panels]
    curves = {
        name: {"LSTM": {100: [0.5, 0.6], 200: [0.7, np.nan]}, "time-gated LSTM": {100: [0.9, 0.8], 200: [0.95, 0.97]}}
        for name in names
    }
    paper = {name: {"LSTM": 0.7, "time-gated LSTM": 0.98} for name in names}
    figure = plots.time_gate.learning(curves, paper, "Which is faster? 2 seeds", chance=0.5)
    for axes, name in zip(figure.axes, names, strict=True):
        assert axes.get_title() == name
        plain, gated, *marks = [points(line) for line in axes.lines]
        np.testing.assert_allclose(plain, [[100, 200], [55, 70]])
        np.testing.assert_allclose(gated, [[100, 200], [85, 96]])
        np.testing.assert_allclose([mark[1, 0] for mark in marks], [70, 98, 50])
    assert {"LSTM", "LSTM, in the paper", "guessing"} <= set(words(figure))
    assert_legible(figure, tmp_path / "a.png")
