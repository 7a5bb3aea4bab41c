"""The report's parts: run folders as they are found, numbers and curves as they are shown, and what is put together."""

import base64
import datetime
import io
import math
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from experiments import EXPERIMENTS, report
from experiments.headlines import HEADLINES, headlines
from folders import a_run, png
from jaxrnn import runfolder
from jaxrnn.command import command
from jaxrnn.errors import DataError
from jaxrnn.report import charts
from jaxrnn.report.charts import Line
from jaxrnn.report.collect import best, collect
from jaxrnn.report.numbers import beyond, duration, middle, number, spread
from jaxrnn.report.page import Album, render

# --- run folders


def test_what_is_found_and_in_which_state(tmp_path):
    a_run(tmp_path / "mnist_compare", "mnist_compare", made="2026-11-26T12:00:00+00:00")
    a_run(tmp_path / "mnist_compare" / "gru", "mnist_gru", made="2026-11-26T11:00:00+00:00")
    a_run(tmp_path / "grid" / "mine", "names", finished=False)
    a_run(tmp_path / "mnist_compare" / "fnn_image", "mnist_fnn/image")
    (tmp_path / "parity.1").mkdir()
    (tmp_path / "parity.1" / "config.json").write_text("{}")
    (tmp_path / "char_lm" / "checkpoint").mkdir(parents=True)
    (tmp_path / "char_lm" / "result.json").write_text('{"experiment": "char_')
    (tmp_path / "char_lm" / "checkpoint" / "config.json").write_text("{}")
    runs = {run.name: run for run in collect(tmp_path)}
    assert {name: (run.experiment, run.state, run.part_of) for name, run in runs.items()} == {
        "mnist_compare": ("mnist_compare", "finished", None),
        "mnist_compare/gru": ("mnist_gru", "finished", "mnist_compare"),
        "mnist_compare/fnn_image": ("mnist_fnn", "finished", "mnist_compare"),
        "grid/mine": ("names", "failed", None),
        "parity.1": ("parity", "stopped", None),
        "char_lm": ("char_lm", "broken", None),
    }
    assert str(tmp_path / "char_lm" / "result.json") in runs["char_lm"].problem
    made = [run.made for run in collect(tmp_path)]
    assert made == sorted(made, reverse=True) and made[-1] == datetime.datetime(2026, 11, 26, 11, tzinfo=datetime.UTC)


ODD = {
    "experiment": [None, 7],
    "command": [None],
    "finished": [None, 1],
    "dataset": [{}, {"name": "mnist"}, {"name": 3, "source": ""}],
    "config": [None, []],
    "parameters": [None, "many", True, 10**400],
    "metrics": [
        7,
        {"errors": 3},
        {"errors": {"mean": "0", "runs": []}},
        {"errors": {"mean": 0, "runs": ["0"]}},
        {"errors": {"mean": 0, "runs": [10**400]}},
        {"errors": {"mean": None, "runs": []}},
    ],
    "reference": [{}, ["0.74"], [{"what": "the paper", "metric": "errors"}]],
    "answers": [[], {"T1": None}],
    "seconds": [{}, {"total": None}],
    "device": [None],
    "made": ["yesterday", 3, "2026-11-26T12:00:00", None],
    "versions": [None, "0.10.2", {"jax": 1}],
}


@pytest.mark.parametrize("key", ODD)
def test_a_result_with_an_odd_part_is_broken_and_says_which(tmp_path, key):
    result = a_run(tmp_path / "parity", "parity")
    for odd in ODD[key]:
        runfolder.write_json(tmp_path / "parity" / "result.json", result | {key: odd})
        (run,) = collect(tmp_path)
        assert run.state == "broken" and f" no {key} " in run.problem and run.experiment == "parity"


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"\xff\xfe", b'{"experiment": "parity"}', b"[" * 200_000])
def test_a_result_that_is_none_is_broken(tmp_path, text):
    a_run(tmp_path / "parity", "parity")
    (tmp_path / "parity" / "result.json").write_bytes(text)
    assert [run.state for run in collect(tmp_path)] == ["broken"]


def test_results_of_earlier_versions_are_read(tmp_path):
    result = a_run(tmp_path / "parity", "parity")
    del result["made"]
    runfolder.write_json(tmp_path / "parity" / "result.json", result)
    (run,) = collect(tmp_path)
    assert run.state == "finished" and abs(datetime.datetime.now(datetime.UTC) - run.made).total_seconds() < 60


def test_links_to_run_folders_are_followed_once(tmp_path):
    a_run(tmp_path / "elsewhere" / "mnist_gru", "mnist_gru")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "mnist_gru").symlink_to(tmp_path / "elsewhere" / "mnist_gru")
    (tmp_path / "runs" / "again").symlink_to(tmp_path / "runs")
    (tmp_path / "runs" / "nowhere").symlink_to(tmp_path / "absent")
    assert [run.name for run in collect(tmp_path / "runs")] == ["mnist_gru"]
    (tmp_path / "runs" / "odd").mkdir()
    (tmp_path / "runs" / "odd" / "result.json").symlink_to(tmp_path / "absent")
    assert {run.name: run.state for run in collect(tmp_path / "runs")} == {"mnist_gru": "finished", "odd": "broken"}


def test_which_of_several_is_shown(tmp_path):
    quick = {"quick": True}
    a_run(tmp_path / "a" / "mnist_gru", "mnist_gru", config=quick, made="2026-11-26T20:00:00+00:00")
    digits = {"name": "digits", "source": "scikit-learn", "train": 1437, "test": 360}
    a_run(tmp_path / "digits", "mnist_gru", dataset=digits, made="2026-11-26T22:00:00+00:00")
    a_run(tmp_path / "mnist_gru.1", "mnist_gru", made="2026-11-26T19:00:00+00:00")
    a_run(tmp_path / "mnist_compare", "mnist_compare")
    a_run(tmp_path / "mnist_compare" / "gru", "mnist_gru", made="2026-11-26T18:00:00+00:00")
    a_run(tmp_path / "mnist_gru", "mnist_gru", made="2026-11-26T10:00:00+00:00")
    a_run(tmp_path / "other", "mnist_gru", made="2026-11-26T11:00:00+00:00")
    a_run(tmp_path / "lost", "mnist_gru", finished=False, made="2026-11-26T21:00:00+00:00")
    left = [run for run in collect(tmp_path) if run.experiment == "mnist_gru"]
    order = []
    while left:
        order.append(best(left))
        left.remove(order[-1])
    assert [run.name for run in order] == [
        "other", "mnist_gru", "mnist_compare/gru", "mnist_gru.1", "digits", "a/mnist_gru", "lost",
    ]  # fmt: skip
    assert best([]) is None


def test_no_such_folder(tmp_path, capsys):
    with pytest.raises(DataError, match="there is no folder .*--runs"):
        collect(tmp_path / "nowhere")
    assert command("report", report.Settings, report.main, ["--runs", str(tmp_path / "nowhere")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_histories_that_cannot_be_read_are_none(tmp_path):
    a_run(tmp_path / "mnist_gru", "mnist_gru")
    (run,) = collect(tmp_path)
    (rows,) = run.histories().values()
    assert len(rows) == 9 and rows[0] == {"run": 0.0, "epoch": 1.0, "test_accuracy": 0.6, "test_loss": 1.0}
    for odd in (b"run,epoch\n0,x\n", b"run\n1,2,3\n", b"\xff\xfe", b""):
        (run.folder / "history.csv").write_bytes(odd)
        assert run.histories() == {}


def test_a_sweep_has_a_history_for_each_setting(tmp_path):
    a_run(tmp_path / "palindromes", "palindromes")
    sweep = [
        {
            "run": run,
            "point": run // 2,
            "cell": ("elman", "lstm")[run // 2],
            "length": 5,
            "seed": run % 2,
            "status": "finished",
        }
        for run in range(3)
    ]
    runfolder.write_csv(tmp_path / "palindromes" / "sweep.csv", sweep)
    (run,) = collect(tmp_path)
    found = run.histories()
    chart = {card.name: card for card in the_page(tmp_path)[0].cards}["palindromes"].chart
    assert chart["names"] == ["cell elman, length 5", "cell lstm, length 5"]
    assert {label: {row["run"] for row in rows} for label, rows in found.items()} == {
        "cell elman, length 5": {0.0, 1.0},
        "cell lstm, length 5": {2.0},
    }


# --- numbers


def test_numbers_as_they_are_shown():
    assert number(0.98541, "gru_test_accuracy") == "98.54 %"
    assert number(6103515625000.0) == "6,103,515,625,000" and number(0.0) == "0" and number(None) == "not finite"
    assert number(9.4423e-13) == "9.442e-13" and number(1.9654, "test_bits_per_character") == "1.965 bits"
    assert spread(runfolder.metric([0.5]), "test_accuracy") == "50.00 %"
    one = runfolder.metric([0.80, 0.81, 0.82])
    assert spread(one, "test_accuracy") == f"81.00 ± {100 * runfolder.half_width(one['runs']):.2f} %"
    assert spread(runfolder.metric([math.nan]), "test_loss") == "not finite"
    assert beyond(runfolder.metric([0.2, 1.0, 1.0]), "test_accuracy") and not beyond(one, "test_accuracy")
    assert not beyond(runfolder.metric([-3.0, 9.0]), "test_loss") and not beyond(runfolder.metric([1.0]), "accuracy")
    assert not beyond({"mean": None, "std": None, "runs": [0.1, 0.2]}, "accuracy")  # a broken file's
    parameters = runfolder.metric([82500.0, 82510.0, 82520.0])
    assert spread(parameters, "parameters") == "82,510 ± 25" and number(-0.0) == "0"
    assert number(1181.8914220357, digits=10) == "1181.891422"
    assert spread(runfolder.metric([0.41, 0.5, 0.6]), "train_mse") == "0.50 ± 0.24"
    assert spread(runfolder.metric([1e-9, 3e-9]), "train_mse") == "2e-09 ± 1.3e-08"
    assert middle(one, "test_accuracy") == "81.00 (80.00 to 82.00) %" and middle(runfolder.metric([1.0]), "x") == ""
    assert [duration(seconds) for seconds in (0.04, 9.94, 48.2, 99.4, 99.5, 3599.0, 3600.0, 9000.0)] == [
        "0.0 s", "9.9 s", "48 s", "99 s", "2 min", "1 h 0 min", "1 h 0 min", "2 h 30 min",
    ]  # fmt: skip


# --- learning curves


@given(
    st.lists(st.lists(st.floats(0.01, 1.0), min_size=1, max_size=4), min_size=1, max_size=6),
    st.integers(1, 500),
)
def test_a_line_is_mean_and_range_of_the_finite_runs(values, every):
    history = [
        {"run": float(run), "epoch": float(epoch), "test_loss": value}
        for epoch, runs in enumerate(values, 1)
        for run, value in enumerate([*runs, math.nan])
    ]
    one = charts.line("x", history, "test_loss", every)
    assert one.xs == [every * epoch for epoch in range(1, len(values) + 1)]
    for place, runs in enumerate(values):
        assert (one.low[place], one.high[place]) == (min(runs), max(runs))
        assert one.mean[place] == pytest.approx(np.mean(runs))


def test_an_epoch_without_a_finite_run_is_left_out_and_long_lines_keep_their_ends():
    rows = [{"run": 0.0, "epoch": epoch, "test_loss": math.nan if epoch == 2 else 1.0} for epoch in (1.0, 2.0, 3.0)]
    assert charts.line("x", rows, "test_loss").xs == [1.0, 3.0]
    long = [{"run": 0.0, "epoch": float(epoch), "test_loss": float(epoch)} for epoch in range(1, 10_001)]
    one = charts.thinned(charts.line("x", long, "test_loss"))
    assert len(one.xs) <= charts.MOST_POINTS and (one.xs[0], one.xs[-1]) == (1.0, 10_000.0)
    assert one.mean == one.low == one.high == one.xs
    assert charts.thinned(Line("x", [], [], [], [])).xs == []


def test_values_that_no_picture_has_room_for():
    for values in ([1e300], [1e300, 1e-320], [1e17, 1e17], [0.0, 0.0], [5e-324, 1.0], [-1e14, 1e14]):
        rows = [{"run": 0.0, "epoch": float(epoch), "test_loss": value} for epoch, value in enumerate(values, 1)]
        chart = charts.chart([charts.line("x", rows, "test_loss")], "test_loss")
        if chart is not None:
            drawn = re.findall(r"-?\d+\.\d+", chart["svg"])
            assert drawn and all(-10 <= float(number) <= charts.WIDTH for number in drawn)
    assert charts.line("x", [{"run": 0.0, "epoch": 1.0}], "test_loss").xs == []


def test_of_many_lines_the_last_ones_are_a_band():
    lines = [Line(f"run {n}", [1.0, 2.0], [n, n], [n - 0.5, n], [n, n + 0.5]) for n in range(200)]
    found = charts.gathered(lines)
    assert [one.name for one in found[:-1]] == [f"run {n}" for n in range(7)]
    rest = found[-1]
    assert rest.name.startswith("193 more") and rest.mean == [103.0, 103.0]
    assert (rest.low, rest.high) == ([6.5, 7], [199, 199.5])
    assert charts.gathered(lines[:8]) == lines[:8]


def test_a_chart_draws_its_values():
    lines = [Line("a", [1.0, 3.0], [0.5, 1.0], [0.25, 1.0], [0.75, 1.0]), Line("b", [2.0], [0.5], [0.5], [0.5])]
    chart = charts.chart(lines, "test_accuracy")
    assert "test accuracy (%) against the epoch" in chart["label"] and "a: 100; b: 50" in chart["label"]
    assert chart["data"]["lines"][0]["y"] == ["50", "100"]
    assert chart["data"]["lines"][0]["range"] == ["25 to 75", ""]
    (path,) = re.findall(r'<path class="line line0" d="([^"]*)"', chart["svg"])
    (x1, y1), (x2, y2) = [tuple(map(float, point.split(","))) for point in path[1:].split("L")]
    assert (x1, x2) == (charts.LEFT, charts.WIDTH - charts.RIGHT) and y2 < y1
    ((x, y),) = re.findall(r'<circle class="dot line1" cx="([^"]*)" cy="([^"]*)"', chart["svg"])
    assert float(x) == pytest.approx((x1 + x2) / 2, abs=0.06) and float(y) == pytest.approx(y1, abs=0.06)
    assert charts.chart([Line("nothing", [], [], [], [])], "test_loss") is None


def test_tiny_beside_large_is_logarithmic():
    def heights(values):
        chart = charts.chart([Line("a", [1.0, 2.0, 3.0], values, values, values)], "test_mse")
        (path,) = re.findall(r'<path class="line line0" d="([^"]*)"', chart["svg"])
        return [float(point.split(",")[1]) for point in path[1:].split("L")]

    high, middle, low = heights([1.0, 0.01, 0.0001])
    assert middle == pytest.approx((high + low) / 2, abs=0.11)
    high, middle, low = heights([3.0, 2.0, 1.0])
    assert middle == pytest.approx((high + low) / 2, abs=0.11)
    flat = heights([0.5, 0.5, 0.5])
    assert len(set(flat)) == 1


# --- all together


class Seen(HTMLParser):
    """What a reader meets: text outside of styles and scripts, and the tags with what they are given."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.text, self._within = [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag in ("style", "script"):
            self._within.append(tag)

    def handle_endtag(self, tag):
        if self._within and tag == self._within[-1]:
            self._within.pop()

    def handle_data(self, data):
        if not self._within:
            self.text.append(data)

    def of(self, tag, **wanted):
        return [found for kind, found in self.tags if kind == tag and wanted.items() <= found.items()]

    @property
    def said(self):
        return " ".join(" ".join(self.text).split())


def the_page(root):
    page = report.compose(collect(root), root, report.said_by_all(root))
    return page, Seen(render(page))


def test_without_a_run_everything_is_there_and_said_to_be_missing(tmp_path):
    page, seen = the_page(tmp_path)
    entries = [entry for section in page.sections for entry in section.entries]
    assert len(entries) == 64 and {entry.state for entry in entries} == {"missing"}
    for entry in entries:
        assert len(seen.of("h3", id=entry.id)) == 1
    for name in EXPERIMENTS:
        assert f"it has not been run; run python -m experiments.{name} --out {tmp_path / name}." in seen.said
    assert seen.of("img")[:-1] == []


def test_an_answer_with_its_figure_numbers_and_command(tmp_path):
    answer = 'Because <script>alert("1")</script> of h_1 & h_2.'
    a_run(tmp_path / "mnist_compare", "mnist_compare", answers={"T19": answer})
    page, seen = the_page(tmp_path)
    assert answer in seen.said and len(seen.of("script")) == 2  # the chart's data and the page's own
    (entry,) = [entry for section in page.sections for entry in section.entries if entry.id == "T19"]
    assert entry.state == "finished" and entry.note == "" and entry.command == "python -m experiments.mnist_compare"
    assert "81.00 ± 2.48 %" in seen.said and "74.32 %" in seen.said and "the paper" in seen.said
    (image,) = seen.of("img")[:-1]
    assert image["alt"] == "mnist_compare in mnist_compare. accuracy (%) against epoch"
    assert image["src"].startswith("data:image/png;base64,") and int(image["width"]) == 200


def test_no_figure_is_in_the_page_twice(tmp_path):
    for name in ("mnist_gru", "mnist_lstm"):
        a_run(tmp_path / name, name, answers={"T11": "28", "T12": "many to one"})
        a_run(tmp_path / f"{name}.1", name)
    _, seen = the_page(tmp_path)
    sources = [image["src"] for image in seen.of("img")[:-1]]
    assert len(sources) == len(set(sources)) == 2
    album = Album(tmp_path)
    first = album.place([tmp_path / "mnist_gru" / "learning_curves.png"])
    again = album.place([tmp_path / "mnist_gru" / "learning_curves.png"])
    assert (first.new, first.old) == (again.old, again.new) and first.new[0].number == 1


def test_a_large_figure_is_put_in_with_fewer_colours(tmp_path):
    a_run(tmp_path / "mnist_gru", "mnist_gru")
    noise = np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "mnist_gru" / "noise.png")
    before = (tmp_path / "mnist_gru" / "noise.png").read_bytes()
    (figure,) = Album(tmp_path).place([tmp_path / "mnist_gru" / "noise.png"]).new
    shown = base64.b64decode(figure.source.partition(",")[2])
    assert len(shown) < 0.5 * len(before) and (tmp_path / "mnist_gru" / "noise.png").read_bytes() == before
    with Image.open(io.BytesIO(shown)) as image:
        assert image.size == (400, 300) == (figure.width, figure.height)
        assert np.abs(np.asarray(image.convert("RGB"), float) - noise).mean() < 25


def test_a_small_run_a_stopped_one_a_failure_and_half_a_file_are_said(tmp_path):
    a_run(tmp_path / "parity", "parity", config={"quick": True}, answers={"T1": "XOR"})
    (tmp_path / "names").mkdir()
    (tmp_path / "names" / "config.json").write_text("{}")
    a_run(tmp_path / "char_lm", "char_lm")
    whole = png("some title")
    (tmp_path / "char_lm" / "learning_curves.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "char_lm" / "empty.png").write_bytes(b"")
    tried = {
        "imdb_gru": {"state": "failed", "seconds": 1.0, "words": [], "message": "there are no reviews"},
        "names": {"state": "failed", "seconds": 1.0, "words": [], "message": "the disk is full"},
        "parity": {"state": "failed", "seconds": 1.0, "words": [], "message": "out of memory"},
    }
    runfolder.write_json(tmp_path / "all.json", tried)
    page, seen = the_page(tmp_path)
    states = {card.name: card.state for card in page.cards}
    assert {name: states[name] for name in ("parity", "names", "imdb_gru", "imdb_rnn", "char_lm")} == {
        "parity": "small", "names": "stopped", "imdb_gru": "failed", "imdb_rnn": "missing", "char_lm": "finished",
    }  # fmt: skip
    for words in (
        "by --quick; python -m experiments.parity gives the real numbers (out of memory)",
        "the run in names has no result: it is running, was stopped, or ended by an error (the disk is full); "
        f"python -m experiments.names --out {tmp_path / 'names'} --resume, with the settings it was begun with",
        "it ended with an error (there are no reviews); run python -m experiments.imdb_gru --out",
        "char_lm/learning_curves.png cannot be read",
        "char_lm/empty.png cannot be read",
    ):
        assert words in seen.said, words


@pytest.mark.parametrize(
    "text",
    ["{", "[]", '{"parity": 3}', "\x00", '{"parity": {"state": "failed", "message": {"a": 1}}}', "[" * 100_000],
)
def test_an_all_json_of_another_make_is_no_obstacle(tmp_path, text):
    (tmp_path / "all.json").write_text(text)
    assert {entry.state for section in the_page(tmp_path)[0].sections for entry in section.entries} == {"missing"}


def test_two_hundred_runs_are_a_page_of_few_megabytes(tmp_path):
    for n in range(200):
        a_run(
            tmp_path / f"mnist_gru.{n}",
            "mnist_gru",
            made=f"2026-11-26T12:{n // 60:02}:{n % 60:02}+00:00",
        )
    page = report.compose(collect(tmp_path), tmp_path, {})
    text = render(page)
    assert len(text.encode()) < 2_000_000 and text.count("data:image/png") == 1
    (card,) = [card for card in page.cards if card.name == "mnist_gru"]
    assert card.facts.startswith("in mnist_gru.199") and len(card.runs.rows) == 199
    assert len(card.chart["data"]["lines"]) == charts.MOST_LINES


def test_the_usual_folder_is_not_named_and_others_are_listed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    a_run(tmp_path / "runs" / "mnist_compare", "mnist_compare")
    a_run(tmp_path / "runs" / "mnist_compare" / "rnn", "mnist_rnn")
    a_run(tmp_path / "runs" / "mine", "another")
    for folder in ("mnist_compare/lstm", "names"):
        (tmp_path / "runs" / folder).mkdir()
        (tmp_path / "runs" / folder / "config.json").write_text("{}")
    page, seen = the_page(Path("runs"))
    assert "python -m experiments.names --resume" in seen.said and "run python -m experiments.parity." in seen.said
    assert {row[0].text for row in page.others.rows} == {"mine", "mnist_compare/lstm"}
    assert {card.name: card for card in page.cards}["mnist_compare"].chart["names"] == ["rnn"]


def test_the_command(tmp_path, capsys):
    a_run(tmp_path / "runs" / "parity", "parity", answers={"T1": "XOR"})
    words = ["--runs", str(tmp_path / "runs")]
    assert command("report", report.Settings, report.main, words) == 0
    page = (tmp_path / "runs" / "report.html").read_text()
    said = " ".join(capsys.readouterr().out.split())
    assert page.startswith("<!DOCTYPE html>") and "1 of 64 questions answered" in said and "R1, R2" in said
    assert command("report", report.Settings, report.main, [*words, "--out", str(tmp_path / "here")]) == 0
    assert (tmp_path / "here" / "report.html").exists()


def test_what_sums_a_command_up():
    assert set(HEADLINES) == set(EXPERIMENTS)
    metrics = dict.fromkeys(
        ["elman_scalar_5_test_accuracy", "elman_scalar_5_solved_at_step", "lstm_onehot_10_test_accuracy"]
    )
    assert headlines("palindromes", metrics) == ["elman_scalar_5_test_accuracy", "lstm_onehot_10_test_accuracy"]


def test_nothing_from_outside_is_asked_for(tmp_path):
    a_run(tmp_path / "mnist_gru", "mnist_gru")
    _, seen = the_page(tmp_path)
    addresses = [value for _, given in seen.tags for key, value in given.items() if key in ("src", "href")]
    assert addresses and all(address.startswith(("data:", "#")) for address in addresses)
    ids = [given["id"] for _, given in seen.tags if "id" in given]
    assert len(ids) == len(set(ids))
    assert {address[1:] for address in addresses if address.startswith("#")} <= set(ids)
