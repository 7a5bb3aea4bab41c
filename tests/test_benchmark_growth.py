"""How the cost of a step grows, but for its clock: what is trained at each value, and the slope."""

import pytest

from experiments import benchmark_growth
from experiments.benchmark_growth import GROWN, slope
from experiments.contest import Contest, Raced
from experiments.measuring import Way

ROWS = benchmark_growth.rows(quick=False)


@pytest.mark.parametrize("variable", GROWN)
def test_one_size_grows_and_the_others_stay(variable):
    row = ROWS[f"growth_{variable}"]
    assert row.values == GROWN[variable] and row.config == {"values": list(GROWN[variable])}
    made = [row.at(value) for value in row.values]
    if variable == "layers":
        assert [one.network.layers for one in made] == list(row.values)
    else:
        assert [one.config[variable] for one in made] == list(row.values)
    kept = {tuple(one.config[size] for size in ("batch", "time", "hidden") if size != variable) for one in made}
    assert len(kept) == 1 and all(set(benchmark_growth.LIBRARIES) <= {"ours", *one.peers} for one in made)


def test_many_runs_are_told_together():
    assert {one.each for one in map(ROWS["growth_runs"].at, (1, 4))} == {1}


@pytest.mark.parametrize("power", [0.0, 0.5, 2.0])
def test_the_slope_is_the_power(power):
    assert slope([{"value": x, "median": 3 * x**power} for x in (1, 2, 8)]) == pytest.approx(power, abs=1e-9)


def test_what_is_measured_is_a_line_for_each_value_and_library(monkeypatch):
    def pretend(row, rounds, devices, libraries):
        assert rounds == 2 and libraries == ("ours", "torch")
        value = row.config["time"]
        return Raced({"ours": [float(value)] * rounds, "torch": [3.0 * value**2] * rounds}, 1.0)

    monkeypatch.setattr(Contest, "raced", pretend)
    measured, warming, metrics, tables = benchmark_growth.rows(quick=True)["growth_time"].measure("growth_time", Way(2))
    assert measured == () and warming == 2.0
    assert metrics == {"growth_time_ours_slope": pytest.approx(1), "growth_time_torch_slope": pytest.approx(2)}
    assert [(line["library"], line["value"], line["median"]) for line in tables["growth"]] == [
        ("ours", 2, 2.0), ("torch", 2, 12.0), ("ours", 4, 4.0), ("torch", 4, 48.0),
    ]  # fmt: skip
    assert {line["variable"] for line in tables["growth"]} == {"time steps"}
    assert [line["slope"] for line in tables["growth"]] == pytest.approx([1, 2, 1, 2])


def test_it_trains(monkeypatch):
    row = benchmark_growth.rows(quick=True)["growth_layers"]
    with row.at(2).contestants(libraries=()) as (models, trainers):
        assert len(models[0].layers.layers) == 2 and trainers["ours"](1) > 0
