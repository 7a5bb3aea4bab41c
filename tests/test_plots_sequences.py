"""Figures of what happens step by step: the numbers of their lines, shades and bars, and their words."""

import numpy as np
import pytest
from matplotlib.colors import to_hex

from jaxrnn import plots
from test_plots import assert_legible, band, points, words


def test_readouts_are_solid_for_the_own_and_dashed_for_the_trained():
    own = {"GRU": [[0.125, 0.5], [0.25, 0.5]], "LSTM": [[0.125, 0.25]] * 2}
    figure = plots.sequences.readouts(own, {"LSTM": np.full((2, 2), 0.75)}, "when")
    (axes,) = figure.axes
    dashed, first, second = axes.lines[:3]
    assert points(dashed) == [(1, 75.0), (2, 75.0)] and dashed.get_linestyle() == "--"
    assert points(first) == [(1, 18.75), (2, 50.0)] and first.get_linestyle() == second.get_linestyle() == "-"
    assert band(axes) == {(1, 12.5), (1, 25.0), (2, 50.0)} and len(axes.collections) == 1
    assert (dashed.get_color(), dashed.get_marker()) == (second.get_color(), second.get_marker())
    assert first.get_color() != second.get_color() and first.get_marker() != second.get_marker()
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_ylim()) == ("rows read", "test accuracy (%)", (0, 100))
    assert list(axes.lines[-1].get_ydata()) == [10, 10] and axes.lines[-1].get_linestyle() == ":"
    assert words(figure) == [
        "lines: mean of 2 runs, bands: lowest to highest run", "GRU", "LSTM", "its own readout",
        "a linear readout trained for that row", "chance",
    ]  # fmt: skip


def test_one_run_and_runs_that_failed():
    figure = plots.sequences.readouts({"GRU": [[0.5, np.nan]]}, {}, "", unit="pixel", chance=0.5)
    (axes,) = figure.axes
    assert points(axes.lines[0]) == [(1, 50.0)] and not axes.collections
    assert words(figure) == ["", "GRU", "its own readout", "chance"]
    assert axes.get_xlabel() == "pixels read" and list(axes.lines[-1].get_ydata()) == [50, 50]
    figure = plots.sequences.readouts({"GRU": [[0.5], [np.nan]], "LSTM": [[np.nan]] * 2}, {"GRU": [[1.0]] * 2}, "")
    assert [points(line) for line in figure.axes[0].lines[:2]] == [[(1, 100.0)], [(1, 50.0)]]
    assert "LSTM" not in words(figure)


def test_readouts_are_legible(tmp_path):
    rise, dice = 0.1 + 0.88 / (1 + np.exp(-(np.arange(28) - 14) / 3)), np.random.default_rng(0)
    noisy = {name: np.clip(rise + dice.normal(0, 0.02, (5, 28)), 0, 1) for name in ("Elman, tanh", "GRU", "LSTM")}
    figure = plots.sequences.readouts(noisy, {name: rise[None] for name in noisy}, "When is the digit known?")
    assert_legible(figure, tmp_path / "a.png")


def way(examples, steps, classes=5):
    dice = np.random.default_rng(0)
    labels = np.arange(examples) % classes
    angle = 2 * np.pi * labels / classes
    ends = 5 * np.stack([np.cos(angle), np.sin(angle)], 1) + dice.normal(0, 0.4, (examples, 2))
    points = np.linspace(0, 1, steps)[:, None] ** [1.0, 2.0] * ends[:, None]
    return {"points": points, "labels": labels, "explained": np.array([0.414, 0.17])}


def test_trajectories_go_from_the_zero_state_to_their_class():
    panel = way(3, 29, 2)
    figure = plots.sequences.trajectories({"GRU": panel, "LSTM": way(2, 15)}, "ways")
    gru, lstm = figure.axes
    ways, dots = gru.lines[0:6:2], gru.lines[1:6:2]
    for states, line, dotted in zip(panel["points"], ways, dots, strict=True):
        np.testing.assert_array_equal(line.get_xydata(), states)
        np.testing.assert_array_equal(dotted.get_xydata(), states[[7, 14, 21]])
        assert dotted.get_linestyle() == "None"
    assert points(gru.lines[-1]) == [(0, 0)] and gru.lines[-1].get_marker() == "+"
    assert [text.get_text() for text in gru.texts] == ["0", "1", "0"]
    np.testing.assert_array_equal([text.get_position() for text in gru.texts], panel["points"][:, -1])
    colours = [to_hex(line.get_color()) for line in ways]
    assert colours[0] == colours[2] != colours[1]
    assert [text.get_color() for text in gru.texts] == [line.get_color() for line in ways]
    assert gru.get_xlabel() == "first principal component\n(41% of variance)"
    assert gru.get_ylabel() == "second principal component\n(17% of variance)"
    assert [axes.get_title() for axes in figure.axes] == ["GRU", "LSTM"]
    np.testing.assert_array_equal(lstm.lines[1].get_xydata(), way(2, 15)["points"][0][[7]])
    assert words(figure) == ["", "zero state", "every 7th row", "class, after the last row"]


def test_equal_lengths_in_both_directions():
    figure = plots.sequences.trajectories({"GRU": way(5, 8)}, "")
    figure.canvas.draw()
    (axes,) = figure.axes
    (x0, y0), (x1, y1) = axes.transData.transform([(0, 0), (1, 1)])
    assert x1 - x0 == pytest.approx(y1 - y0)


@pytest.mark.parametrize("models, examples", [(3, 40), (1, 1)])
def test_trajectories_are_legible(tmp_path, models, examples):
    panels = {name: way(examples, 29) for name in ("Elman, tanh", "GRU", "LSTM")[:models]}
    figure = plots.sequences.trajectories(panels, "Where the hidden state goes")
    assert_legible(figure, tmp_path / "a.png", [text for axes in figure.axes for text in axes.texts])


def chances(runs, rows, classes):
    raised = np.random.default_rng(0).uniform(0, 4, (runs, rows, classes))
    return np.exp(raised) / np.exp(raised).sum(-1, keepdims=True)


def test_probabilities_are_shades_beside_the_image_and_bars_at_the_end():
    image = np.arange(12, dtype=np.uint8).reshape(3, 4)
    chance = chances(2, 3, 5)
    figure = plots.sequences.probabilities(image, chance, "moving")
    left, right, shade, _, below = figure.axes
    np.testing.assert_array_equal(left.images[0].get_array(), image)
    mean = 100 * chance.mean(0)
    np.testing.assert_allclose(right.images[0].get_array(), mean)
    assert points(right.lines[0]) == list(zip(mean.argmax(1).tolist(), [1, 2, 3], strict=True))
    np.testing.assert_allclose([bar.get_height() for bar in below.patches], mean[-1])
    assert [bar.get_x() + bar.get_width() / 2 for bar in below.patches] == pytest.approx(range(5))
    last = 100 * chance[:, -1]
    segments = [line.get_segments()[0] for line in below.collections]
    np.testing.assert_allclose(segments, [[(k, last[:, k].min()), (k, last[:, k].max())] for k in range(5)])
    assert [text.get_text() for text in below.texts] == [f"{share:.0f}" for share in mean[-1] if share >= 0.5]
    assert left.get_ylabel() == "row" and below.get_xlabel() == "class" and shade.get_ylabel() == "probability (%)"
    assert below.get_ylabel() == "after the\nlast row (%)"
    legend = figure.axes[3].get_legend()
    assert legend.get_title().get_text() == "shades and bars: mean of 2 runs\nwhiskers: lowest to highest run"
    assert [text.get_text() for text in legend.get_texts()] == ["most probable class"]


@pytest.mark.parametrize("rows, columns, classes", [(28, 28, 10), (8, 8, 10), (10, 20, 3), (20, 10, 2), (1, 1, 1)])
def test_rows_of_the_image_stand_beside_their_probabilities(tmp_path, rows, columns, classes):
    image = np.full((rows, columns), 128, np.uint8)
    figure = plots.sequences.probabilities(image, chances(3, rows, classes), "five.png: a 5 with probability 0.934")
    assert_legible(figure, tmp_path / "a.png")
    left, right, _, _, below = figure.axes
    for row in (1, rows):
        heights = [axes.transData.transform((0, row))[1] for axes in (left, right)]
        assert heights[0] == pytest.approx(heights[1])
    across = [axes.transData.transform((classes - 1, 0))[0] for axes in (right, below)]
    assert across[0] == pytest.approx(across[1])
    (x0, y0), (x1, y1) = left.transData.transform([(0, 0), (1, 1)])
    assert x1 - x0 == pytest.approx(y0 - y1)


def test_one_run_has_no_whiskers_and_one_that_failed_counts_nowhere():
    chance = chances(1, 3, 4)
    image = np.zeros((3, 3), np.uint8)
    alone = plots.sequences.probabilities(image, chance, "")
    beside = plots.sequences.probabilities(image, np.concatenate([chance, np.full_like(chance, np.nan)]), "")
    for figure in (alone, beside):
        np.testing.assert_allclose(figure.axes[1].images[0].get_array(), 100 * chance[0])
        assert not figure.axes[4].collections
    assert alone.axes[3].get_legend().get_title().get_text() == ""
    nothing = plots.sequences.probabilities(image, np.full_like(chance, np.nan), "")
    nothing.canvas.draw()
    assert points(nothing.axes[1].lines[0]) == [] and not nothing.axes[4].patches
    assert [label.get_text() for label in nothing.axes[4].get_xticklabels()] == list("0123")


def test_letters_are_a_line_for_each_run_and_the_median():
    likelihood = [[0.5, 0.25, 0.125], [0.5, 0.75, 1.0], [0.25, 0.5, 0.875], [0.5, np.nan, np.nan]]
    figure = plots.sequences.letters("A b", likelihood, "t", of="positive")
    (axes,) = figure.axes
    assert axes.get_ylabel() == "likelihood of positive" and axes.get_ylim() == (0, 1)
    assert [label.get_text() for label in axes.get_xticklabels()] == ["A", "\N{OPEN BOX}", "b"]
    undecided, *runs, median = axes.lines
    assert set(undecided.get_ydata()) == {0.5}
    assert points(runs[1]) == [(1, 0.5), (2, 0.75), (3, 1.0)] and len(runs) == 4
    assert points(median) == [(1, 0.5), (2, 0.5), (3, 0.875)]
    assert words(figure) == ["", "median of 3 runs", "a run", "undecided"]


def test_padding_is_read_after_the_letters():
    figure = plots.sequences.letters("ab", [[0.1, 0.2, 0.3, 0.4]], "t", of="negative", padding=2)
    (axes,) = figure.axes
    assert points(axes.lines[-1]) == [(1, 0.1), (2, 0.2), (3, 0.3), (4, 0.4)]
    (ground,) = axes.patches
    assert (ground.get_x(), ground.get_x() + ground.get_width()) == (2.5, 4.5)
    assert words(figure) == ["", "likelihood of negative", "undecided", "padding, read as spaces"]


@pytest.mark.parametrize("length", [1, 40])
def test_letters_are_legible(tmp_path, length):
    chance = np.random.default_rng(0).uniform(0, 1, (8, 40))
    text = "I watched the movie with great interest a"[:length]
    title = f"{text!r}: {{negative: 0.1702, positive: 0.8298}}"
    figure = plots.sequences.letters(text, chance, title, of="positive", padding=40 - length)
    assert_legible(figure, tmp_path / "a.png")


def test_words_stand_below_and_unknown_ones_in_brackets():
    text = ["not", r"$\good", "extraordinarily", "\N{CJK UNIFIED IDEOGRAPH-4E2D}a"]
    likelihood = [[0.5, 0.25, 0.125, 0.5], [0.5, 0.75, 1.0, 0.25], [0.5, np.nan, 0.5, 0.5]]
    figure = plots.sequences.words(text, likelihood, "\N{CJK UNIFIED IDEOGRAPH-4E2D}", of="positive", unknown={text[2]})
    figure.canvas.draw()
    (axes,) = figure.axes
    spelled = ["not", r"$\good", "[extraordinari…]", "\N{REPLACEMENT CHARACTER}a"]
    assert [label.get_text() for label in axes.get_xticklabels()] == spelled
    assert axes.get_xlabel() == "word read, in brackets: not in the vocabulary"
    assert axes.get_ylabel() == "likelihood of positive" and axes.get_ylim() == (0, 1)
    undecided, *runs, median = axes.lines
    assert set(undecided.get_ydata()) == {0.5} and len(runs) == 3
    assert points(runs[1]) == [(1, 0.5), (2, 0.75), (3, 1.0), (4, 0.25)]
    assert points(median) == [(1, 0.5), (2, 0.5), (3, 0.5625), (4, 0.375)] and median.get_marker() == "o"
    assert words(figure) == ["", "median of 2 runs", "a run", "undecided"]
    assert figure.get_suptitle() == "\N{REPLACEMENT CHARACTER}"


def test_of_many_words_those_that_move_the_median_are_named_above():
    likelihood = np.full(100, 0.25)
    likelihood[50:], likelihood[51:], likelihood[90:], likelihood[99:] = 0.75, 0.875, 0.25, 0.26
    text = [f"w{number}" for number in range(1, 101)]
    figure = plots.sequences.words(text, [likelihood], "t", of="positive", unknown=["w91", "w2"])
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.texts] == ["[w91]", "w51"]  # w52 is too near, w100 moves too little
    assert [text.xy[0] for text in axes.texts] == [91, 51]
    falls, rises = axes.lines[-2:]
    assert (points(falls), falls.get_marker()) == ([(91, 0.25)], "v")
    assert (points(rises), rises.get_marker()) == ([(51, 0.75)], "^")
    assert words(figure) == ["", "largest rises", "largest falls", "likelihood of positive", "undecided"]
    assert axes.get_xlabel() == "words read, in brackets: not in the vocabulary" and axes.get_xlim() == (0.5, 100.5)
    same = plots.sequences.words(text, [likelihood], "t", of="positive", unknown=["w2"])
    assert same.axes[0].get_xlabel() == "words read"


@pytest.mark.parametrize("count", [2, 60])
def test_words_where_nothing_is_finite(count):
    figure = plots.sequences.words(["a"] * count, np.full((2, count), np.nan), "", of="positive")
    figure.canvas.draw()
    assert words(figure) == ["", "a run", "undecided"] and not figure.axes[0].texts


@pytest.mark.parametrize("runs, count", [(1, 1), (3, 3), (8, 12), (3, 40), (3, 41), (5, 300), (1, 400)])
def test_words_are_legible(tmp_path, runs, count):
    dice = np.random.default_rng(0)
    text = [("i", "boring", "wonderfully", "incomprehensibly")[kind] for kind in dice.integers(4, size=count)]
    likelihood = 1 / (1 + np.exp(-dice.normal(0, 0.5, (runs, count)).cumsum(1)))
    title = "'i watched this film with my whole …': {negative: 0.1702, positive: 0.8298}"
    figure = plots.sequences.words(text, likelihood, title, of="positive", unknown={"incomprehensibly"})
    assert_legible(figure, tmp_path / "a.png")
    if count > 40:
        assert 5 < len(figure.axes[0].texts) <= 12
