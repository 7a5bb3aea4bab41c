"""The benchmark's command but for its clock: which rows there are, and what is left behind.

No test here says how fast anything is.
"""

import csv
import json
import re
from dataclasses import replace

import numpy as np
import pytest
import tyro

from experiments import benchmark, benchmark_commands, contest, floor, peers
from experiments.benchmark import Settings
from experiments.benchmark_commands import COMMANDS
from experiments.benchmark_growth import Growth
from experiments.benchmark_rows import contests, rows
from experiments.contest import Contest, Raced
from experiments.floor import Speeds
from experiments.measuring import Alone, Ours, Outcome
from jaxrnn.cells import CELLS
from jaxrnn.command import command
from runs import files

SWEEPS = ("sweep_elman", "sweep_lstm", "sweep_tiny")
FULL, QUICK = contests(quick=False), contests(quick=True)


@pytest.fixture
def without_torch(monkeypatch):
    monkeypatch.setattr(peers, "installed", lambda library: not library.startswith("torch"))


@pytest.fixture
def without_clock(monkeypatch):
    """The benchmark without its work: every library that could be there is, ours takes 2 ms a step and others 8."""

    def pretend(row, rounds, devices=None, libraries=None):
        there = ["ours", *(library for library in row.peers if libraries is None or library in libraries)]
        each = {library: [(2.0 if library == "ours" else 8.0) / row.each] * rounds for library in there}
        return Raced(each, 0.0)

    monkeypatch.setattr(Contest, "raced", pretend)
    monkeypatch.setattr(contest.alone, "ask", lambda row, library, way: Alone(100.0, 0.5))
    monkeypatch.setattr(floor, "speeds", lambda size, devices: Speeds(1e11, 1e10))


@pytest.fixture
def everything(without_clock, monkeypatch):
    """Neither costs of sweeps, which are measured by themselves, nor processes."""
    monkeypatch.setattr(benchmark_commands, "seconds_of", lambda what, words: 1.0)
    monkeypatch.setattr(benchmark, "rows", lambda quick: {name: free(row) for name, row in rows(quick).items()})


def free(row):
    def costs(name, way, times):
        line = {"library": "ours", "runs": 1, "unit": "ms", "median": 1.0}
        return [{"row": name, **line, "lower_quartile": 1.0, "upper_quartile": 1.0}]

    return replace(row, costs=costs) if isinstance(row, Contest) and row.costs else row


def run(out, *options):
    return command("benchmark", Settings, benchmark.main, [*map(str, options), "--out", str(out)])


def left(out, table="benchmark"):
    with open(out / f"{table}.csv") as file:
        return json.loads((out / "result.json").read_text()), list(csv.DictReader(file))


# Which rows there are.


def test_every_row_can_be_asked_for():
    assert tyro.cli(Settings, args=["--rows", *rows(quick=False)]).rows == tuple(rows(quick=False))


def test_the_same_rows_are_quick():
    assert list(rows(quick=True)) == list(rows(quick=False))
    for name, row in FULL.items():
        small = QUICK[name]
        assert small.network.hidden <= row.network.hidden and small.peers.keys() == row.peers.keys()
        assert floor.parameters(small.network) <= floor.parameters(row.network)


@pytest.mark.parametrize(
    "name, sizes, libraries",
    [
        ("gru", "28 x 28 -> 150 -> 10, batch 128", ["torch", "flax", "keras"]),
        ("jordan", "28 x 28 -> 150 -> 10, batch 128", []),
        ("palindrome_lstm", "10 x 10 -> 128 -> 10, batch 128", ["torch", "flax", "keras"]),
        ("tiny", "100 x 3 -> 5 -> 2, batch 8", ["torch", "flax", "keras"]),
        ("long", "10000 x 10 -> 64 -> 10, batch 8", ["torch", "flax", "keras"]),
        ("long_remat", "10000 x 10 -> 64 -> 10, batch 8", ["torch"]),
        ("sweep_elman", "32 runs, 10 x 10 -> 128 -> 10, batch 128", ["torch", "flax"]),
        ("sweep_lstm", "32 runs, 10 x 10 -> 128 -> 10, batch 128", ["torch", "flax"]),
        ("sweep_tiny", "32 runs, 100 x 3 -> 5 -> 2, batch 8", ["torch", "flax"]),
        ("generate", "87 -> 128 -> 128 -> 87, batch 1", ["torch"]),
        ("generate_64", "87 -> 128 -> 128 -> 87, batch 64", ["torch"]),
        ("char_lm", "87 -> 128 -> 128 -> 87, 30 characters, batch 64", ["torch", "flax", "keras"]),
        (
            "imdb_gru",
            "20,002 ids -> 256 -> 256 -> 256 -> 1, up to 400 words, batch 128",
            ["torch", "torch_packed"],
        ),
        (
            "imdb_gru_padded",
            "20,002 ids -> 256 -> 256 -> 256 -> 1, up to 400 words, batch 128",
            ["torch", "flax", "keras"],
        ),
    ],
)
def test_rows_are_of_the_sizes_that_were_asked_for(name, sizes, libraries):
    assert FULL[name].sizes == sizes and list(FULL[name].peers) == libraries


def test_what_is_tiny_has_no_floor_and_what_trains_has_one():
    assert {name for name, row in FULL.items() if row.work is None} == {"tiny", "sweep_tiny", "generate", "generate_64"}


def test_every_registered_cell_has_a_row_and_a_new_one_too(monkeypatch, everything, tmp_path):
    monkeypatch.setitem(CELLS, "twin", CELLS["gru"])
    assert run(tmp_path / "run", "--quick") == 0
    result, lines = left(tmp_path / "run")
    measured = [line["row"] for line in lines if line["library"] == "ours"]
    assert measured == [*contests(quick=True), "startup", "startup_help"] and set(CELLS) < set(measured)
    assert {f"{cell}_{what}" for cell in CELLS for what in ("ours_ms", "floor_ms")} < set(result["metrics"])
    assert len(result["metrics"]["twin_ours_ms"]["runs"]) == 3


def test_a_cell_that_no_peer_has_trains_alone(monkeypatch):
    monkeypatch.setitem(CELLS, "twin", CELLS["gru"])
    row = contests(quick=True)["twin"]
    with row.contestants() as (_, trainers):
        assert list(trainers) == ["ours"] and trainers["ours"](1) > 0 and isinstance(trainers["ours"], Ours)
    assert floor.parameters(row.network) == 3 * 16 * (8 + 16 + 2) + 16 * 10 + 10


def test_without_pytorch_its_places_are_empty(without_torch, without_clock, tmp_path, capsys):
    row = QUICK["gru"]
    assert list(row.here) == ["flax", "keras"]
    assert run(tmp_path / "run", "--quick", "--rows", "gru", "--repeats", "1") == 0
    result, _ = left(tmp_path / "run")
    assert result["config"]["torch"] is None and result["config"]["keras"] is not None


# What is left behind.


def test_the_whole_path_of_a_row(tmp_path, capsys):
    assert run(tmp_path / "run", "--quick", "--rows", "elman", "--repeats", "2") == 0
    result, lines = left(tmp_path / "run")
    assert result["experiment"] == "benchmark" and result["finished"] is True
    assert result["dataset"]["name"] == "random bytes" and result["parameters"] == 16 * (8 + 16 + 2) + 16 * 10 + 10
    for name in ("elman_ours_ms", "elman_flax_ms", "elman_ratio_flax", "elman_ratio_fastest", "elman_over_floor"):
        metric = result["metrics"][name]
        assert (
            len(metric["runs"]) == 2
            and min(metric["runs"]) > 0
            and metric["mean"] == pytest.approx(np.mean(metric["runs"]))
        )
    assert result["metrics"]["product_gflops"]["mean"] > 0 and result["metrics"]["copy_gbytes"]["mean"] > 0
    here = [library for library in ("torch", "flax", "keras") if peers.installed(library)]
    assert [line["library"] for line in lines] == ["ours", *here]
    assert sum(line["fastest_peer"] == "True" for line in lines) == 1
    assert json.loads((tmp_path / "run" / "config.json").read_text()) == result["config"]
    assert (tmp_path / "run" / "benchmark.png").stat().st_size > 10_000
    said = capsys.readouterr().out
    assert "elman: 8 x 8 -> 16 -> 10, batch 64" in said and "GFLOP/s" in said


def test_every_row_at_once(everything, tmp_path, capsys):
    asked = [name for name in rows(quick=False) if name not in ("schemes", "startup", *COMMANDS)]
    assert run(tmp_path / "run", "--rows", *asked, "--repeats", "2") == 0
    result, lines = left(tmp_path / "run")
    names = files(tmp_path / "run")
    tables = {f"{table}.{kind}" for table in ("benchmark", "sweeps", "growth") for kind in ("csv", "png")}
    assert names == {"config.json", "result.json", *tables}
    assert list(dict.fromkeys(line["row"] for line in lines)) == [*FULL]
    metrics = {name: metric["runs"] for name, metric in result["metrics"].items()}
    assert metrics["sweep_tiny_ours_ms"] == [2 / 32] * 2 and metrics["generate_64_torch_us"] == [125] * 2
    assert metrics["imdb_gru_torch_packed_ms_review"] == [1 / 16] * 2 and metrics["gru_ratio_fastest"] == [4, 4]
    assert metrics["gru_over_floor"] == pytest.approx([2 / 16.333056] * 2)
    assert metrics["char_lm_ours_peak_mib"] == [100] and metrics["long_remat_torch_compile_s"] == [0.5]
    assert metrics["growth_time_ours_slope"] == pytest.approx([0], abs=1e-9)
    assert result["config"]["sweep_tiny"]["runs"] == 32 and result["config"]["sweep_tiny"]["hidden"] == 5
    assert result["config"]["long_remat"]["remat"] == 100 and result["config"]["generate_64"]["batch"] == 64
    drawn = "random bytes, palindromes, random numbers, random characters, random words"
    assert result["dataset"]["name"] == drawn and result["device"] == "2 x cpu"
    assert {line["row"] for line in left(tmp_path / "run", "sweeps")[1]} == set(SWEEPS)
    growing = left(tmp_path / "run", "growth")[1]
    assert {line["row"] for line in growing} == {name for name, row in rows(False).items() if isinstance(row, Growth)}
    said = capsys.readouterr().out
    assert re.search(r"generate_64 .* 32000 .* 8000 ", said)  # characters a second
    assert re.search(r"imdb_gru .* 64000 .* 16000 .* 16000 .* 4\.00 ", said)
    assert re.search(r"long_remat .* 100 .* 100 .* 0\.50 .* 0\.50 ", said)
    assert (
        "palindrome_elman, palindrome_lstm: 10 x 10 -> 128 -> 10, batch 128" in said
        and "growth_layers_torch_slope" in said
    )


def test_memory_is_measured_only_where_it_is_asked_for(everything, tmp_path):
    for number, (options, expected) in enumerate([([], 2), (["--no-memory"], 0), (["--quick"], 0)]):
        out = tmp_path / str(number)
        assert run(out, "--rows", "generate", "--repeats", "1", *options) == 0
        assert sum("peak_mib" in name for name in left(out)[0]["metrics"]) == expected


def test_quick_leaves_out_what_takes_long():
    settled = Settings.quick_defaults().settled()
    assert set(rows(True)) - set(settled.rows) == {*COMMANDS, "schemes"} and settled.repeats == 3
    assert Settings().settled().rows == tuple(rows(False))


@pytest.mark.parametrize(
    "options, words",
    [
        (["--repeats", "0"], "--repeats must be at least 1, not 0"),
        (["--devices", "999"], "--devices: devices must lie between 1 and the 2"),
        (["--rows", "command", "--data-dir", "nowhere"], "nowhere"),
    ],
)
def test_settings_that_make_no_sense_are_one_line_and_2(options, words, tmp_path, capsys):
    assert run(tmp_path / "run", *options) == 2
    said = capsys.readouterr()
    assert said.err.count("\n") == 1 and words in said.err and not (tmp_path / "run").exists()


def test_further_tables_are_left_with_or_without_a_figure(without_clock, monkeypatch, tmp_path, capsys):
    class Other:
        group, sizes, drawn, config, needs_data = contest.Group("Other numbers"), "", "nothing", None, False

        def measure(self, name, way):
            return Outcome((), 1.0, {"other_number": 1.5}, {"others": [{"what": "number", "value": 1.5}]})

    monkeypatch.setattr(benchmark, "rows", lambda quick: {"tiny": Other()})
    assert run(tmp_path / "run", "--rows", "tiny") == 0
    result, lines = left(tmp_path / "run", "others")
    assert result["metrics"]["other_number"]["runs"] == [1.5] and lines == [{"what": "number", "value": "1.5"}]
    assert files(tmp_path / "run") == {"config.json", "result.json", "others.csv"}
    said = capsys.readouterr().out
    assert "Other numbers" in said and "other_number" in said and "GFLOP/s" not in said
