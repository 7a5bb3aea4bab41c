"""What the figures show: the numbers of the lines and bands, the words of labels and legend, the size of the file."""

import subprocess
import sys

import numpy as np
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_hex

from jaxrnn import plots, runfolder


def row(run, epoch, train_loss, test_loss, **more):
    return {"run": run, "epoch": epoch, "train_loss": train_loss, "test_loss": test_loss, **more}


def accuracies(run, epoch, value):
    return row(run, epoch, 2 * value, value, train_accuracy=value, test_accuracy=value / 2, seconds=1.0)


def points(line):
    return list(zip(np.asarray(line.get_xdata()).tolist(), np.asarray(line.get_ydata()).tolist(), strict=True))


def band(axes, number=0):
    """The corners of a filled band, rounded, as a set."""
    bands = [item for item in axes.collections if isinstance(item, PolyCollection)]
    return {(x, round(y, 9)) for x, y in bands[number].get_paths()[0].vertices.tolist()}


def words(figure):
    (legend,) = figure.legends
    return [legend.get_title().get_text(), *(text.get_text() for text in legend.get_texts())]


def texts(figure):
    """All the words and numbers that a drawn figure shows, without those that stand among the data on purpose."""
    found = [figure._suptitle, figure._supxlabel]
    legends = list(figure.legends)
    for axes in figure.axes:
        found += [axes.title, axes.xaxis.label, axes.yaxis.label, *axes.texts]
        legends += [axes.get_legend()] if axes.get_legend() else []
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            found += [tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
            found += [tick.label2 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
    for legend in legends:
        found += [legend.get_title(), *legend.get_texts()]
    return [text for text in found if text is not None and text.get_visible() and text.get_text()]


def assert_legible(figure, path, among_data=()):
    """No word is cut off or overlaps another or is smaller than 12 points, and the file is small."""
    runfolder.save_figure(figure, path)
    assert 5_000 < path.stat().st_size < 500_000
    figure.canvas.draw()
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts(figure) if text not in among_data]
    assert len(boxes) > 3
    for number, (said, box) in enumerate(boxes):
        assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1, said
        assert figure.bbox.y0 <= box.y0 and box.y1 <= figure.bbox.y1, said
        for other, beside in boxes[:number]:
            assert not box.overlaps(beside), (said, other)
    assert min(text.get_fontsize() for text in texts(figure)) >= 12


def test_one_run_is_a_line_for_each_split():
    figure = plots.learning_curves([accuracies(0, 2, 0.5), accuracies(0, 1, 0.25)], r"no mathematics: $\frob$")
    figure.canvas.draw()
    loss, accuracy = figure.axes
    assert [points(line) for line in loss.lines] == [[(1, 0.5), (2, 1.0)], [(1, 0.25), (2, 0.5)]]
    assert [points(line) for line in accuracy.lines] == [[(1, 25.0), (2, 50.0)], [(1, 12.5), (2, 25.0)]]
    assert not loss.collections and not accuracy.collections
    assert [axes.get_ylabel() for axes in figure.axes] == ["cross-entropy loss (nats)", "accuracy (%)"]
    assert [axes.get_xlabel() for axes in figure.axes] == ["epoch", "epoch"]
    assert [line.get_linestyle() for line in loss.lines] == ["--", "-"]
    assert [to_hex(line.get_color()) for line in loss.lines] == ["#d55e00", "#0072b2"]
    assert words(figure) == ["", "training", "test"]
    assert figure.get_suptitle() == r"no mathematics: $\frob$"


def test_several_runs_are_their_mean_in_a_band_from_lowest_to_highest():
    history = [accuracies(run, epoch, value) for run, value in enumerate((0.25, 0.5, 0.75)) for epoch in (1, 2)]
    figure = plots.learning_curves(history, "three")
    loss, accuracy = figure.axes
    assert [points(line) for line in loss.lines] == [[(1, 1.0), (2, 1.0)], [(1, 0.5), (2, 0.5)]]
    assert band(loss, 0) == {(1, 0.5), (2, 0.5), (1, 1.5), (2, 1.5)}
    assert band(accuracy, 1) == {(1, 12.5), (2, 12.5), (1, 37.5), (2, 37.5)}
    assert words(figure) == ["lines: mean of 3 runs, bands: lowest to highest run", "training", "test"]


@pytest.mark.parametrize("gone", [{"test_loss": float("nan")}, {"test_loss": None}, {"test_loss": float("inf")}, {}])
def test_a_frozen_run_counts_in_neither_mean_nor_band(gone):
    frozen = {"run": 1, "epoch": 2, "train_loss": 4.0} | gone
    figure = plots.learning_curves([row(0, 1, 1.0, 1.0), row(1, 1, 3.0, 3.0), row(0, 2, 2.0, 2.0), frozen], "frozen")
    (loss,) = figure.axes
    assert [points(line) for line in loss.lines] == [[(1, 2.0), (2, 3.0)], [(1, 2.0), (2, 2.0)]]
    assert band(loss, 1) == {(1, 1.0), (1, 3.0), (2, 2.0)}


def test_panels_without_keys_are_left_out_and_without_values_say_so():
    only_accuracy = [{"run": 0, "epoch": 1, "test_accuracy": 0.5}]
    assert [axes.get_ylabel() for axes in plots.learning_curves(only_accuracy, "").axes] == ["accuracy (%)"]
    diverged = [{"run": 0, "epoch": 1, "train_loss": float("nan"), "test_accuracy": 0.5}]
    loss, accuracy = plots.learning_curves(diverged, "").axes
    assert [text.get_text() for text in loss.texts] == ["no finite value"] and not accuracy.texts
    (nothing,) = plots.learning_curves([], "").axes
    assert [text.get_text() for text in nothing.texts] == ["no finite value"]


@pytest.mark.parametrize("epochs", [1, 2, 3, 7, 20, 500])
def test_epochs_are_whole_numbers(epochs):
    figure = plots.learning_curves([accuracies(0, epoch, 0.5) for epoch in range(1, epochs + 1)], "")
    figure.canvas.draw()
    for axes in figure.axes:
        low, high = axes.get_xlim()
        ticks = [tick for tick in axes.get_xticks() if low <= tick <= high]
        assert ticks and all(tick == round(tick) for tick in ticks) and len(ticks) <= 9


def test_a_single_epoch_is_seen():
    loss, _ = plots.learning_curves([accuracies(0, 1, 0.5)], "").axes
    assert [line.get_marker() for line in loss.lines] == ["s", "o"]
    loss, _ = plots.learning_curves([accuracies(0, epoch, 0.5) for epoch in range(100)], "").axes
    assert [line.get_marker() for line in loss.lines] == ["None", "None"]


def test_reference_lines():
    reference = [
        {"what": "paper, table 2", "metric": "test_accuracy", "value": 0.74, "note": ""},
        {"what": "elsewhere", "metric": "test_loss", "value": 0.125},
        {"what": "not drawn", "metric": "max_error", "value": 0.5},
    ]
    figure = plots.learning_curves([accuracies(0, epoch, 0.5) for epoch in (1, 2)], "", reference)
    loss, accuracy = figure.axes
    assert len(loss.lines) == len(accuracy.lines) == 3
    assert list(loss.lines[2].get_ydata()) == [0.125, 0.125] and list(accuracy.lines[2].get_ydata()) == [74.0, 74.0]
    assert words(figure) == ["", "training", "test", "elsewhere: 0.125 nats", "paper, table 2: 74 %"]
    assert loss.lines[2].get_color() != accuracy.lines[2].get_color()


@pytest.mark.parametrize("runs", [1, 3])
def test_the_file_is_small_and_nothing_is_cut_off(tmp_path, runs):
    dice = np.random.default_rng(0)
    places = [(run, epoch) for run in range(runs) for epoch in range(1, 51)]
    history = [accuracies(run, epoch, np.exp(-epoch / 9) + dice.uniform(0, 0.05)) for run, epoch in places]
    what = "A paper with quite a long title on recurrent networks, table 2, last row"
    reference = [{"what": what, "metric": "test_accuracy", "value": 0.5}]
    assert_legible(plots.learning_curves(history, "Sequential MNIST, GRU of 150 units", reference), tmp_path / "a.png")


def test_matplotlib_is_imported_late_and_pyplot_never():
    code = (
        "import sys; from jaxrnn import plots; assert 'matplotlib' not in sys.modules\n"
        "plots.learning_curves([{'run': 0, 'epoch': 1, 'test_loss': 1.0}], '')\n"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stderr == ""


def test_long_titles_are_wrapped_and_not_cut_off(tmp_path):
    assert_legible(plots.learning_curves([accuracies(0, 1, 0.5)], "a long title " * 11), tmp_path / "a.png")


def test_bits_per_character_stand_in_the_place_of_the_loss():
    history = [{"run": 0, "epoch": epoch, "train_loss": 1.0, "test_bits_per_character": 2.0} for epoch in (1, 2)]
    (bits,) = plots.learning_curves(history, "").axes
    assert bits.get_ylabel() == "cross-entropy (bits per character)"
    assert [points(line) for line in bits.lines] == [[(1, 2.0), (2, 2.0)]]
