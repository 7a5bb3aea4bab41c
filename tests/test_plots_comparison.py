"""Models side by side: the numbers drawn, the words about them, and what runs that failed or never err do to them."""

import numpy as np
import pytest
from matplotlib.colors import to_hex

from jaxrnn import plots
from test_plots import assert_legible, band, points, words

NAMES = [
    "Elman, tanh",
    "Elman, ReLU",
    "GRU",
    "LSTM",
    "feed-forward",
    "shuffled rows",
    "random weights",
    "last row only",
]


def score(model, runs, half=None, parameters=82_510, seconds=9.2):
    left = [run for run in runs if run is not None]
    return {
        "model": model,
        "runs": runs,
        "mean": float(np.mean(left)) if left else None,
        "half_width": half,
        "parameters": parameters,
        "seconds_per_epoch": seconds,
        "printed": None,
    }


def whiskers(axes):
    """The segment of each whisker, None for a dot without one."""
    return [bar.lines[2][0].get_segments()[0].tolist() if bar.lines[2] else None for bar in axes.containers]


def said(axes):
    return [text.get_text() for text in axes.texts]


def shown_ticks(axes):
    low, high = sorted(axes.get_xlim())
    pairs = zip(axes.get_xticks(), axes.get_xticklabels(), strict=True)
    return [label.get_text() for tick, label in pairs if low - 1e-9 <= tick <= high + 1e-9]


def test_scores_are_dots_with_their_interval_and_a_mark_for_each_run():
    rows = [score("GRU", [0.984, 0.985, 0.986], 0.0025), score("LSTM", [0.11], None, 109_510, 11.53)]
    figure = plots.comparison.scores(rows, "scores")
    (axes,) = figure.axes
    assert [points(bar.lines[0])[0] for bar in axes.containers] == [(pytest.approx(98.5), 0), (pytest.approx(11), 1)]
    gru, lstm = whiskers(axes)
    np.testing.assert_allclose(gru, [(98.25, 0), (98.75, 0)])
    assert lstm is None
    hollow = [line for line in axes.lines if line.get_markerfacecolor() == "none"]
    np.testing.assert_allclose([points(line) for line in hollow], [[(98.4, 0.25), (98.5, 0.25), (98.6, 0.25)]])
    assert said(axes) == [
        "GRU", "82,510 parameters, 9.2 s an epoch", "98.50 ± 0.25 %",
        "LSTM", "109,510 parameters, 11.5 s an epoch", "11.00 %",
    ]  # fmt: skip
    assert axes.get_xlabel() == "test accuracy (%), on an axis logarithmic in the error"
    assert words(figure) == ["", "mean, and its 95% interval over the seeds", "each run"]
    assert axes.yaxis_inverted() and not axes.xaxis_inverted()


def test_what_a_paper_prints_is_a_diamond_on_the_axis():
    rows = [score("GRU", [0.85]) | {"printed": 0.7432}, score("MLP", [0.86])]
    figure = plots.comparison.scores(rows, "scores")
    (axes,) = figure.axes
    diamonds = [bar.lines[0] for bar in axes.containers if bar.lines[0].get_marker() == "D"]
    assert [points(mark) for mark in diamonds] == [[(pytest.approx(74.32), pytest.approx(-0.22))]]
    assert axes.get_xlim()[0] < 74.32 and "printed in the paper" in words(figure)


def test_the_axis_of_scores_shows_chance_and_99_per_cent():
    figure = plots.comparison.scores([score("chance", [0.1135]), score("GRU", [0.9854])], "")
    figure.canvas.draw()
    (axes,) = figure.axes
    assert shown_ticks(axes) == ["99", "98", "95", "90", "80", "50", "10"]
    x = axes.transData.transform([(90, 0), (99, 0), (0, 0)])[:, 0]
    assert x[1] - x[0] == pytest.approx(x[0] - x[2])
    assert not figure.legends


@pytest.mark.parametrize("half", [0.0, 0.01])
def test_an_accuracy_of_1_or_0_breaks_nothing(tmp_path, half):
    rows = [score("all", [1.0, 1.0], half), score("none", [0.0, 0.0], half), score("some", [0.999, 0.98], half)]
    figure = plots.comparison.scores(rows, "")
    (axes,) = figure.axes
    first, last = whiskers(axes)[:2]
    np.testing.assert_allclose(first, [(100 - 100 * half, 0), (100, 0)])
    np.testing.assert_allclose(last, [(0, 1), (100 * half, 1)])
    assert_legible(figure, tmp_path / "a.png")
    assert "100" in shown_ticks(axes)
    places = axes.transData.transform([(100, 0), (99.9, 0)])[:, 0]
    assert axes.bbox.x1 + 0.01 >= places[0] > places[1]
    assert_legible(plots.comparison.scores([score("all", [1.0])], ""), tmp_path / "b.png")
    assert_legible(plots.comparison.scores([score("none", [0.0])], ""), tmp_path / "c.png")


def test_runs_that_failed_are_told():
    nan = float("nan")
    rows = [score("A", [0.9, None, 0.8], 0.1), score("B", [None, None]), score("C", [nan], nan, seconds=nan)]
    (axes,) = plots.comparison.scores(rows, "").axes
    assert said(axes)[2::3] == ["85.00 ± 10.00 %\n2 of 3 runs", "no run succeeded", "no run succeeded"]
    assert said(axes)[7] == "82,510 parameters" and len(axes.containers) == 1


@pytest.mark.parametrize("low", [0.1135, 0.97, 0.9853])
def test_scores_are_legible(tmp_path, low):
    rows = [score(name, [low + (0.9854 - low) * number / 7 + 1e-4 * run for run in range(3)], 0.004)
            for number, name in enumerate(NAMES)]  # fmt: skip
    assert_legible(plots.comparison.scores(rows, "Sequential MNIST: accuracy on the test set"), tmp_path / "a.png")


def history(loss, error, run=0):
    pairs = enumerate(zip(loss, error, strict=True), start=1)
    return [{"run": run, "epoch": epoch, "test_loss": a, "test_error": b, "seconds": 1.0} for epoch, (a, b) in pairs]


def test_comparison_is_a_line_and_a_band_for_each_model():
    histories = {
        "GRU": history([1.0, 0.5], [0.5, 0.25]) + history([3.0, 1.5], [0.25, 0.125], 1),
        "LSTM": history([2.0, 1.0], [0.5, 0.25]) + history([2.0, 1.0], [0.5, 0.25], 1),
    }
    figure = plots.curves.comparison(histories, "both")
    loss, error = figure.axes
    assert [points(line) for line in loss.lines] == [[(1, 2.0), (2, 1.0)], [(1, 2.0), (2, 1.0)]]
    assert [points(line) for line in error.lines] == [[(1, 37.5), (2, 18.75)], [(1, 50.0), (2, 25.0)]]
    assert band(loss) == {(1, 1.0), (2, 0.5), (1, 3.0), (2, 1.5)}
    assert band(error) == {(1, 25.0), (2, 12.5), (1, 50.0), (2, 25.0)}
    assert len(loss.collections) == len(error.collections) == 1
    assert [axes.get_yscale() for axes in figure.axes] == ["log", "log"]
    assert [axes.get_xlabel() for axes in figure.axes] == ["epoch", "epoch"]
    assert [axes.get_ylabel() for axes in figure.axes] == [
        "test loss (nats, logarithmic)", "test error (%, logarithmic)",
    ]  # fmt: skip
    assert words(figure) == ["lines: mean of 2 runs, bands: lowest to highest run", "GRU", "LSTM"]


def test_one_run_has_no_band_and_different_numbers_of_runs_are_not_counted():
    one, three = history([1.0, 0.5], [0.5, 0.25]), [row for run in range(3) for row in history([1, 2], [0.1, 0.2], run)]
    figure = plots.curves.comparison({"GRU": one}, "")
    assert words(figure) == ["", "GRU"] and not any(axes.collections for axes in figure.axes)
    figure = plots.curves.comparison({"GRU": one, "LSTM": three}, "")
    assert words(figure)[0] == "lines: mean of the runs, bands: lowest to highest run"


def test_errors_of_zero_stand_on_a_tick_of_their_own(tmp_path):
    histories = {"GRU": history([1.0, 0.0], [0.02, 0.0]) + history([1.0, 0.5], [0.01, 0.01], 1)}
    figure = plots.curves.comparison(histories, "")
    _, error = figure.axes
    assert points(error.lines[0]) == [(1, 1.5), (2, 0.5)]
    assert band(error) == {(1, 1.0), (1, 2.0), (2, 0.5), (2, 1.0)}
    assert error.get_yticks()[0] == 0.5 and error.get_yticklabels()[0].get_text() == "0"
    assert error.get_ylim()[0] < 0.5
    assert_legible(figure, tmp_path / "a.png")
    assert_legible(plots.curves.comparison({"GRU": history([0.0], [0.0])}, ""), tmp_path / "b.png")


@pytest.mark.parametrize("gone", [None, float("nan"), float("inf")])
def test_what_is_not_finite_is_not_drawn(gone):
    figure = plots.curves.comparison({"A": history([1.0, gone], [0.5, gone]), "B": history([gone], [gone])}, "")
    assert [points(line) for line in figure.axes[0].lines] == [[(1, 1.0)]] and words(figure) == ["", "A"]
    figure = plots.curves.comparison({"B": history([gone], [gone])}, "")
    assert [said(axes) for axes in figure.axes] == [["no finite value"]] * 2 and not figure.legends


@pytest.mark.parametrize("runs, epochs, models", [(3, 10, 8), (1, 1, 1), (3, 1, 2), (2, 500, 3)])
def test_comparisons_are_legible_and_models_told_apart_twice(tmp_path, runs, epochs, models):
    dice = np.random.default_rng(0)
    histories = {}
    for number, name in enumerate(NAMES[:models]):
        errors = 0.015 * 2**number * (0.4 + dice.uniform(1, 1.2, (runs, epochs)) * np.exp(-np.arange(epochs) / 4))
        histories[name] = [row for run in range(runs) for row in history(3 * errors[run], errors[run], run)]
    figure = plots.curves.comparison(histories, "Sequential MNIST: what training brings")
    assert_legible(figure, tmp_path / "a.png")
    lines = figure.axes[0].lines
    assert len({to_hex(line.get_color()) for line in lines}) == models
    assert len({line.get_marker() for line in lines}) == len({str(line._dash_pattern) for line in lines}) == models
    for axes in figure.axes:
        low, high = axes.get_ylim()
        assert sum(low <= tick <= high for tick in axes.get_yticks()) >= 2


def direction(model, name, mean, spread=0.0):
    low, high = (None, None) if mean is None else (mean - spread, mean + spread)
    return {"model": model, "set": name, "mean": mean, "low": low, "high": high}


def test_directions_are_groups_of_dots():
    rows = [direction("GRU", "as they are", 0.75, 0.125), direction("LSTM", "as they are", 0.5)]
    rows += [direction("GRU", "2 up", 0.25), direction("LSTM", "2 up", None)]
    figure = plots.comparison.directions(rows, "moved")
    (axes,) = figure.axes
    found = [(*points(bar.lines[0])[0], bar.lines[0].get_marker()) for bar in axes.containers]
    assert found == [(-0.19, 75.0, "o"), (0.19, 50.0, "s"), (0.81, 25.0, "o")]
    np.testing.assert_allclose(whiskers(axes)[0], [(-0.19, 62.5), (-0.19, 87.5)])
    assert whiskers(axes)[1:] == [None, None]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["as they are", "2 up"]
    assert axes.get_ylim() == (0, 100) and axes.get_ylabel() == "test accuracy (%)"
    assert words(figure) == ["dots: mean of the runs, whiskers: lowest to highest run", "GRU", "LSTM"]


def test_directions_of_one_run_say_nothing_of_whiskers():
    assert words(plots.comparison.directions([direction("GRU", "as they are", 1.0)], "")) == ["", "GRU"]


@pytest.mark.parametrize("models", [1, 3, 8])
def test_directions_are_legible(tmp_path, models):
    sets = ["as they are", "2 up", "2 down", "2 left", "2 right", "another hand"]
    rows = [direction(name, part, 0.95 - 0.1 * number, 0.05) for name in NAMES[:models]
            for number, part in enumerate(sets)]  # fmt: skip
    assert_legible(plots.comparison.directions(rows, "Accuracy on other test images"), tmp_path / "a.png")
