"""The figures of how long libraries take, and of how that grows: their dots, lines, numbers and words."""

import pytest

from jaxrnn import plots
from jaxrnn.plots.growth import growth
from test_plots import assert_legible, band, points, words


def timing(name, library, ratio=None, *, unit="ms", over_floor=None, fastest=False):
    """A line of ``benchmark.csv``: of ours, which takes 12.345, or of a library that takes so many times as long."""
    quartiles = (None, None) if ratio is None else (ratio * 0.9, ratio * 1.2)
    return {
        "row": name,
        "library": library,
        "unit": unit,
        "median": 12.345 * (ratio or 1),
        "ratio_median": ratio,
        "ratio_lower_quartile": quartiles[0],
        "ratio_upper_quartile": quartiles[1],
        "fastest_peer": fastest,
        "over_floor": over_floor,
    }


def dots(axes):
    return [(*points(bar.lines[0])[0], bar.lines[0].get_marker()) for bar in axes.containers]


def test_timings_are_ratios_by_library_with_whiskers_and_a_floor():
    gru = [timing("gru", "ours", over_floor=2.0), timing("gru", "torch", 3.0), timing("gru", "flax", 1.5, fastest=True)]
    figure = plots.timings([*gru, timing("command", "ours", unit="s")], "fast")
    axes, beside = figure.axes
    assert dots(axes) == [(3.0, -0.1, "s"), (1.5, 0.1, "^")]
    whisker = axes.containers[0].lines[2][0].get_segments()[0]
    assert [x for x, _ in whisker] == pytest.approx([2.7, 3.6])
    floors = [line for line in axes.lines if list(line.get_xdata()) == [0.5, 0.5]]
    assert floors and list(floors[0].get_ydata()) == [-0.36, 0.36]
    assert axes.get_xscale() == "log" and [label.get_text() for label in axes.get_yticklabels()] == ["gru", "command"]
    told = [text.get_text() for text in beside.texts]
    assert {"12.3 ms a step", "12.3 s", "1.50", "2.00", "jaxrnn's\nown time"} <= set(told)
    assert words(figure)[1:] == ["jaxrnn", "PyTorch", "Flax", "floor"] and figure.get_suptitle() == "fast"


def test_ours_alone_is_one_line_at_1():
    axes, beside = plots.timings([timing("jordan", "ours")], "").axes
    assert list(axes.lines[0].get_xdata()) == [1, 1] and not axes.containers
    assert [text.get_text() for text in beside.texts] == ["jaxrnn's\nown time", "12.3 ms a step"]
    low, high = axes.get_xlim()
    assert low <= 0.5 and high >= 2


def test_many_rows_of_all_units_are_legible(tmp_path):
    units = ("ms", "us", "ms_review", "s")
    lines = []
    for number in range(28):
        name = f"a_row_number_{number}"
        lines.append(timing(name, "ours", unit=units[number % 4], over_floor=1.2 + number))
        for peer in ("torch", "flax", "keras"):
            lines.append(timing(name, peer, 0.5 * (number + 2), fastest=peer == "flax"))
    assert_legible(plots.timings([*lines, timing("imdb_gru", "torch_packed", 10)], "everything"), tmp_path / "a.png")


def grown(row, library, slope, values=(16, 32, 64)):
    return [
        {
            "row": row,
            "variable": "time steps",
            "library": library,
            "value": value,
            "median": 0.1 * value**slope,
            "lower_quartile": 0.09 * value**slope,
            "upper_quartile": 0.2 * value**slope,
            "slope": slope,
        }
        for value in values
    ]


def test_growth_is_a_panel_for_each_size_with_slopes_in_the_legend(tmp_path):
    rows = [
        line
        for name in "abcde"
        for library, slope in (("ours", 1.0), ("torch", 1.25))
        for line in grown(name, library, slope)
    ]
    figure = growth(rows, "how it grows")
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert len(shown) == 5 and all(axes.get_xscale() == axes.get_yscale() == "log" for axes in shown)
    ours, torch = shown[0].lines
    assert points(ours) == [(value, pytest.approx(0.1 * value)) for value in (16, 32, 64)]
    assert min(band(shown[0])) == (16, pytest.approx(1.44))
    assert [text.get_text() for text in shown[0].get_legend().texts] == ["jaxrnn: slope 1.00", "PyTorch: slope 1.25"]
    assert [axes.get_ylabel() for axes in shown] == ["one training step (ms)", "", "", "one training step (ms)", ""]
    assert shown[0].get_xlabel() == "time steps" and len({axes.get_ylim() for axes in shown}) == 1
    assert_legible(figure, tmp_path / "a.png")


def test_growth_of_one_size_without_pytorch(tmp_path):
    (axes,) = growth(grown("growth_time", "ours", 0.9), "a title").axes
    assert len(axes.lines) == 1
    assert_legible(axes.figure, tmp_path / "a.png")
