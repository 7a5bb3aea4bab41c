"""Figures of gates and of the worked examples: their numbers, scales and words."""

import numpy as np
import pytest
from matplotlib.colors import to_hex

from jaxrnn import plots
from test_plots import assert_legible, band, points, words


def trace(letters, steps=12, units=5, size=1.0):
    rng = np.random.default_rng(0)
    return {
        letter: rng.uniform(0, 1, (steps, units)) if letter in "rzifoy" else rng.uniform(-size, size, (steps, units))
        for letter in letters
    }


def panels(figure):
    """Without the colour bars."""
    return [axes for axes in figure.axes if axes.images]


def test_gates_are_maps_of_units_and_time():
    given = trace("hoifgc")
    figure = plots.gates.maps({letter: given[letter] for letter in "hcogfi"}, "an LSTM")
    titles = ["input gate i", "forget gate f", "input modulation g (tanh)", "output gate o", "cell state c"]
    assert [axes.get_title() for axes in panels(figure)] == [*titles, "hidden state h"]
    for axes, letter in zip(panels(figure), "ifgoch", strict=True):
        (image,) = axes.images
        np.testing.assert_array_equal(image.get_array(), given[letter].T)
        assert image.get_extent() == [0.5, 12.5, 5.5, 0.5]  # steps and units are counted from 1
        assert image.get_clim() == ((0, 1) if letter in "ifo" else (-1, 1))
    assert figure.get_supxlabel() == "time step" and figure.get_supylabel() == "unit"


def test_what_has_a_sign_is_on_a_symmetric_scale():
    figure = plots.gates.maps({"c": [[0.5, -2.5]], "h": [[0.1, 0.2]]}, "")
    assert [axes.images[0].get_clim() for axes in panels(figure)] == [(-2.5, 2.5), (-1, 1)]


@pytest.mark.parametrize("letters", ["rznh", "ifgoch", "ah", "ahy", "z"])
@pytest.mark.parametrize("steps, units", [(28, 150), (1, 1), (5, 10)])
def test_maps_of_gates_are_legible(letters, steps, units, tmp_path):
    figure = plots.gates.maps(trace(letters, steps, units, size=12.34), "What the gates do with one image")
    assert_legible(figure, tmp_path / "a.png")
    for axes in panels(figure):
        assert all(tick == round(tick) for axis in (axes.xaxis, axes.yaxis) for tick in axis.get_majorticklocs())


@pytest.mark.parametrize(
    "given, message",
    [
        ({"q": np.zeros((2, 3))}, "a trace has the letters r, z, .*, y, not q"),
        ({"h": np.zeros((4, 2, 3))}, r"the maps are of one sequence, arrays \(time, units\), not h \(4, 2, 3\)"),
    ],
)
def test_what_is_no_trace_of_a_sequence_is_named(given, message):
    with pytest.raises(ValueError, match=message):
        plots.gates.maps(given, "")


PANELS = {
    "NTU Q1(a), Elman": {
        "computed": [0.271, 0.728, 0.943, 0.113],
        "printed": [0.27, 0.73, 0.94, 0.11],
        "mistakes": {"W for W^T": [0.271, 0.727, 0.926, 0.167], "b counted twice": [0.354, 0.729, 0.937, 0.129]},
    },
    "NTU Q1(b), Jordan": {
        "computed": [0.271, 0.711, 0.964, 0.156],
        "printed": [0.27, 0.71, 0.96, 0.16],
        "mistakes": {"b counted twice": [0.354, 0.741, 0.956, 0.182]},
    },
}


def test_outputs_are_solid_the_paper_s_circles_and_mistakes_broken(tmp_path):
    figure = plots.worked.outputs(PANELS, "by hand")
    above, below = figure.axes[:2], figure.axes[2:]
    for axes, under, (name, panel) in zip(above, below, PANELS.items(), strict=True):
        drawn = [*panel["mistakes"].values(), panel["computed"], panel["printed"]]
        assert [points(line) for line in axes.lines] == [list(zip((1, 2, 3, 4), ys, strict=True)) for ys in drawn]
        assert [line.get_linestyle() for line in axes.lines[-2:]] == ["-", "None"]
        assert all(line.get_linestyle() not in ("-", "None") for line in axes.lines[:-2])
        for line, ys in zip(under.lines, drawn, strict=False):
            np.testing.assert_allclose(line.get_ydata(), np.subtract(ys, panel["printed"]), atol=1e-15)
        assert len(under.lines) == len(drawn) - 1
        (strip,) = under.patches
        assert (strip.get_y(), strip.get_y() + strip.get_height()) == pytest.approx((-0.005, 0.005))
        assert (under.get_xlabel(), axes.get_title(), axes.get_ylim()) == ("time step t", name, (0, 1))
        assert list(under.get_xticks()) == [1, 2, 3, 4]
    assert (above[0].get_ylabel(), below[0].get_ylabel()) == ("output y(t)", "y(t) less the\nprinted number")
    assert to_hex(above[0].lines[1].get_color()) == to_hex(above[1].lines[0].get_color())
    assert words(figure) == [
        "", "computed", "printed in the paper", "W for W^T", "b counted twice", "rounds to the printed 2 decimals",
    ]  # fmt: skip
    assert_legible(figure, tmp_path / "a.png")


def test_more_mistakes_than_looks_are_named():
    panel = PANELS["NTU Q1(a), Elman"] | {"mistakes": dict.fromkeys("abcd", [0.5] * 4)}
    with pytest.raises(ValueError, match="looks for 3 mistakes, not for 4"):
        plots.worked.outputs({"": panel}, "")


def test_starts_are_means_in_bands(tmp_path):
    constant = {"loss": [[1.5, 1.0, 0.5]], "difference": [[0.0, 0.0, 0.0]]}
    drawn = {"loss": [[2.0, 1.0, 0.25], [1.0, 0.5, 0.25]], "difference": [[1.0, 2.0, 2.0], [1.0, 1.0, 2.0]]}
    figure = plots.worked.starts({"all weights 0.1": constant, "drawn weights": drawn}, "equal units")
    loss, difference = figure.axes
    assert [points(line) for line in loss.lines] == [[(0, 1.5), (1, 1.0), (2, 0.5)], [(0, 1.5), (1, 0.75), (2, 0.25)]]
    assert band(loss) == {(0, 1.0), (0, 2.0), (1, 0.5), (1, 1.0), (2, 0.25)}
    assert points(difference.lines[0]) == [(0, 0.0), (1, 0.0), (2, 0.0)] and difference.get_ylim()[0] < 0
    assert [axes.get_xlabel() for axes in figure.axes] == ["updates", "updates"] and loss.get_yscale() == "log"
    assert words(figure) == [
        "lines: mean of the runs, bands: lowest to highest run", "all weights 0.1", "drawn weights",
    ]  # fmt: skip
    assert_legible(figure, tmp_path / "a.png")


def test_gates_over_time_are_means_in_a_band(tmp_path):
    given = trace("ifgoch", 9, 40)
    given = {letter: np.abs(values) * (4 if letter == "c" else 1) for letter, values in given.items()}
    figure = plots.gates.over_time({letter: given[letter] for letter in "hcogfi"}, "three LSTMs")
    names = ["input gate i", "forget gate f", "output gate o"]
    names += ["input modulation |g| (tanh)", "cell state |c|", "hidden state |h|"]
    assert [axes.get_title() for axes in figure.axes] == names
    for axes, letter in zip(figure.axes, "ifogch", strict=True):
        (line,) = axes.lines
        assert points(line) == list(zip(range(1, 10), given[letter].mean(1).tolist(), strict=True))
        ends = np.percentile(given[letter], (10, 90), axis=1)
        assert band(axes) == {(step + 1, round(y, 9)) for end in ends.tolist() for step, y in enumerate(end)}
        assert (axes.get_ylim()[1] == 1) == (letter != "c") and axes.get_ylim()[0] == 0
    assert words(figure) == ["", "mean", "10th to 90th percentile"]
    assert_legible(figure, tmp_path / "a.png")


@pytest.mark.parametrize("letters", ["rznh", "ah", "z"])
@pytest.mark.parametrize("steps, units", [(28, 15), (1, 1)])
def test_gates_over_time_are_legible(letters, steps, units, tmp_path):
    magnitudes = {letter: np.abs(values) for letter, values in trace(letters, steps, units, size=12.34).items()}
    figure = plots.gates.over_time(magnitudes, "What the gates do")
    assert_legible(figure, tmp_path / "a.png")
    with pytest.raises(ValueError, match="a trace has the letters r, z, .*, y, not q"):
        plots.gates.over_time({"q": magnitudes[letters[0]]}, "")


HELD = {
    "held once trained": {"i": [0.5, 0.25, 0.75], "f": [0.25, 0.25, np.nan], "g": [0.0, 0.125, 0.0], "o": [np.nan] * 3},
    "trained with it held": {"o": [1.0, 1.0, 1.0], "g": [0.5, 1.0, 0.875], "f": [1.0] * 3, "i": [0.0, 1.0, 1.0]},
}


def test_an_ablation_is_every_run_and_their_median(tmp_path):
    figure = plots.gates.ablation(HELD, [1.0, 0.875, np.nan, 1.0], "without a gate", chance=0.1)
    (axes,) = figure.axes
    names = ["input gate i", "forget gate f", "input modulation g", "output gate o"]
    assert [label.get_text() for label in axes.get_xticklabels()] == names
    *dots, known, chance = axes.lines
    assert list(known.get_ydata()) == [100, 100] and list(chance.get_ydata()) == [10, 10]
    assert known.get_linestyle() == "-" and chance.get_linestyle() == ":"
    expected = [("o", "i", [50, 25, 75]), ("o", "f", [25, 25]), ("o", "g", [0, 12.5, 0])]
    expected += [("s", "i", [0, 100, 100]), ("s", "f", [100] * 3), ("s", "g", [50, 100, 87.5]), ("s", "o", [100] * 3)]
    for line, medians, (marker, letter, runs) in zip(dots, axes.collections, expected, strict=True):
        xs, ys = line.get_data()
        assert list(ys) == runs and line.get_marker() == marker and len(set(xs)) == len(runs)
        assert np.all(np.abs(xs - "ifgo".index(letter)) < 0.5)
        ((start, end),) = medians.get_segments()
        assert start[1] == end[1] == np.median(runs) and start[0] < min(xs) and max(xs) < end[0]
    said = "bars: median of the runs, marks: each run"
    assert words(figure) == [said, "held once trained", "trained with it held", "intact", "chance"]
    assert_legible(figure, tmp_path / "a.png")


def test_an_ablation_of_nothing_has_chance_alone():
    figure = plots.gates.ablation({"held": {"i": [np.nan]}}, [np.nan], "", chance=0.1)
    assert words(figure)[1:] == ["chance"]
