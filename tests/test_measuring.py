"""How the benchmark measures: whose turn it is, and what turns come to. No test here says how fast anything is."""

import numpy as np
import pytest

from experiments import measuring, memory
from experiments.floor import Speeds, Work
from experiments.measuring import Alone, Measured, Outcome

SPEEDS = Speeds(operations=1e11, bytes=1e10)


def test_a_round_is_a_turn_of_each_and_another_begins_the_next():
    turns = []
    trainers = {name: lambda steps, name=name: turns.append((name, steps)) for name in "abc"}
    times = measuring.race(trainers, 7, 4)
    assert {name: len(values) for name, values in times.items()} == {"a": 4, "b": 4, "c": 4}
    assert "".join(name for name, steps in turns if steps == 7) == "abcbcacababc"


def test_turns_can_be_of_different_sizes_and_what_goes_before_is_no_larger():
    turns = []
    trainers = {name: lambda steps, name=name: turns.append((name, steps)) for name in "ab"}
    times = measuring.race(trainers, {"a": 5, "b": 1}, 2)
    assert {name: len(values) for name, values in times.items()} == {"a": 2, "b": 2}
    assert turns == [("a", 2), ("a", 5), ("b", 1), ("b", 1), ("b", 1), ("b", 1), ("a", 2), ("a", 5)]


def test_metrics_are_times_ratios_the_floor_and_what_was_taken_alone():
    times = {"ours": [2.0, 4.0, 8.0], "torch": [6.0, 8.0, 8.0], "flax": [6.0, 6.0, 6.0]}
    result = Measured("gru", "ms", times, 10, Work(2e8, 1e6), {"torch": Alone(50.0, 0.5)})
    assert result.fastest == "flax" and result.floor(SPEEDS) == (2.0, "operations")
    assert {name: np.ravel(value).tolist() for name, value in result.metrics(SPEEDS).items()} == {
        "gru_parameters": [10],
        "gru_ours_ms": [2, 4, 8],
        "gru_torch_ms": [6, 8, 8],
        "gru_ratio_torch": [3, 2, 1],
        "gru_flax_ms": [6, 6, 6],
        "gru_ratio_flax": [3, 1.5, 0.75],
        "gru_ratio_fastest": [3, 1.5, 0.75],
        "gru_floor_ms": [2],
        "gru_over_floor": [1, 2, 4],
        "gru_torch_peak_mib": [50],
        "gru_torch_compile_s": [0.5],
    }


def test_a_line_for_each_library_that_was_measured():
    times = {"ours": [2.0, 4.0, 8.0], "torch": [6.0, 8.0, 8.0]}
    ours, torch = Measured("gru", "ms", times, 10, Work(1e8, 2e7), {"torch": Alone(50.0, 0.5)}).lines(SPEEDS)
    assert (ours["lower_quartile"], ours["median"], ours["upper_quartile"], ours["over_floor"]) == (3, 4, 6, 2)
    assert (torch["ratio_lower_quartile"], torch["ratio_median"], torch["ratio_upper_quartile"]) == (1.5, 2, 2.5)
    assert ours["ratio_median"] is None and torch["floor"] == 2 and torch["bound"] == "bytes"
    assert (ours["fastest_peer"], torch["fastest_peer"]) == (False, True)
    assert (ours["peak_mib"], torch["peak_mib"], torch["compile_s"]) == (None, 50, 0.5)


def test_alone_and_without_work_there_is_no_fastest_peer_and_no_floor():
    result = Measured("command", "s", {"ours": [2.0]}, 10)
    assert result.fastest is None and result.floor(SPEEDS) is None
    assert set(result.metrics(SPEEDS)) == {"command_parameters", "command_ours_s"}
    (line,) = result.lines(SPEEDS)
    assert line["floor"] is None and line["over_floor"] is None and line["bound"] is None


def test_an_outcome_names_all_its_metrics():
    outcome = Outcome([Measured("a", "s", {"ours": [2.0]}, 1)], metrics={"growth_ours_slope": 1.0})
    assert set(outcome.named(None)) == {"a_parameters", "a_ours_s", "growth_ours_slope"}


def test_memory_once_taken_is_remembered():
    before = memory.peak()
    taken = np.ones(30 * 2**17)  # 30 MiB
    assert memory.peak() >= before and before > 10 and taken.nbytes == 30 * 2**20


def test_where_linux_says_nothing_the_system_is_asked(monkeypatch):
    pytest.importorskip("resource", reason="is the system's own record, where there is one")
    monkeypatch.setattr(memory.Path, "exists", lambda path: False)
    assert memory.peak() > 10
