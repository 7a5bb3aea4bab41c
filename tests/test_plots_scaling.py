"""The figure of what a run costs: its lines, levels and words."""

from jaxrnn.plots.scaling import cost_per_run
from test_plots import assert_legible, band, points, words


def line(row, library, runs, median):
    return {"row": row, "library": library, "runs": runs, "median": median} | {
        "lower_quartile": median / 2,
        "upper_quartile": median * 2,
    }


def test_cost_per_run_is_a_panel_for_each_sweep_with_others_as_levels(tmp_path):
    numbers = [2**power for power in range(8)]
    costs = {"sweep_elman": 0.5, "sweep_lstm": 2.0, "sweep_tiny": 0.05}
    rows = [line(name, "ours", runs, cost * (1 + 1 / runs)) for name, cost in costs.items() for runs in numbers]
    others = [line(name, library, 32, cost) for name in costs for library, cost in (("torch", 1.5), ("flax", 1.0))]
    figure = cost_per_run([*rows, *others], "what a run costs")
    elman, lstm, tiny = figure.axes
    for axes, (name, cost) in zip(figure.axes, costs.items(), strict=True):
        ours, torch, _ = axes.lines
        assert points(ours) == [(runs, cost * (1 + 1 / runs)) for runs in numbers]
        assert list(torch.get_ydata()) == [1.5, 1.5] and torch.get_linestyle() == ":"
        assert axes.get_title() == name and axes.get_xscale() == axes.get_yscale() == "log"
        assert [label.get_text() for label in axes.get_xticklabels()] == list(map(str, numbers))
    assert {(1, 0.5), (1, 2.0), (128, 0.251953125)} < band(elman)
    assert elman.get_ylim() == tiny.get_ylim()
    assert (elman.get_xlabel(), elman.get_ylabel()) == ("runs at once", "training step of one run (ms)")
    said = "line: medians, band: interquartile ranges"
    assert words(figure) == [said, "jaxrnn", "PyTorch, a process for each core, 32 runs", "Flax, side by side, 32 runs"]
    assert_legible(figure, tmp_path / "a.png")


def test_one_sweep_without_pytorch_is_one_panel(tmp_path):
    figure = cost_per_run([line("sweep_tiny", "ours", runs, 0.1) for runs in (4, 1, 2)], "a title that is rather long")
    (axes,) = figure.axes
    assert [x for x, _ in points(axes.lines[0])] == [1, 2, 4] and len(axes.lines) == 1
    assert_legible(figure, tmp_path / "a.png")
