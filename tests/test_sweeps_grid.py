"""What a sweep is over: values read as they were typed, ranges with their ends, every combination once, and random
points where they belong."""

import itertools
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxrnn.cells import CELLS
from jaxrnn.command import CellName, EpochSettings
from jaxrnn.errors import SettingsError
from jaxrnn.sweeps.grid import Range, combinations, parse, sample


@dataclass(frozen=True, kw_only=True)
class Settings(EpochSettings):
    """One setting of every kind."""

    rate: float = 0.1
    units: int = 3
    bias: float | None = None
    limit: int | None = None
    cell: CellName = "gru"
    start: Literal["zeros", "ones"] = "zeros"
    early_stop: bool = False


SWEEPABLE = ["rate", "units", "bias", "limit", "cell", "start", "early_stop"]

FLOATS = st.floats(allow_nan=False)
INTS = st.integers(-(10**9), 10**9)
KINDS = {
    "rate": FLOATS,
    "units": INTS,
    "bias": st.none() | FLOATS,
    "limit": st.none() | INTS,
    "cell": st.sampled_from(list(CELLS)),
    "start": st.sampled_from(["zeros", "ones"]),
    "early_stop": st.booleans(),
}


def read(*words):
    return parse(words, Settings, SWEEPABLE)


def several(name):
    return st.lists(KINDS[name], min_size=1, max_size=4, unique=True)


AXES = st.lists(st.sampled_from(SWEEPABLE), min_size=1, max_size=3, unique=True).flatmap(
    lambda names: st.fixed_dictionaries({name: several(name) for name in names})
)
"""Values of some of the settings."""


@given(AXES)
def test_values_typed_are_the_values(axes):
    found = read(*(f"{name}={','.join(map(str, values))}" for name, values in axes.items()))
    assert found == axes and list(found) == list(axes)
    for name, values in axes.items():
        assert [type(value) for value in found[name]] == [type(value) for value in values]


@pytest.mark.parametrize(
    "words, found",
    [
        (["early-stop=true"], {"early_stop": [True]}),
        (["early-stop=TRUE,False"], {"early_stop": [True, False]}),
        ([" rate = 1e-3 , 2 "], {"rate": [1e-3, 2.0]}),
        (["rate=1,\n  inf"], {"rate": [1.0, math.inf]}),
        (["bias=none,-1"], {"bias": [None, -1.0]}),
        (["bias=lin:-1:1:3", "cell=lstm"], {"bias": [-1.0, 0.0, 1.0], "cell": ["lstm"]}),
        (["rate= log : 1 : 100 : 3 "], {"rate": [1.0, pytest.approx(10), 100.0]}),
        (["units=log:16:128:4"], {"units": [16, 32, 64, 128]}),
        (["units=lin:1:3:9"], {"units": [1, 2, 3]}),
        (["limit=lin:1e1:2e1:2"], {"limit": [10, 20]}),
        (["rate=log:1e-4:1e-1"], {"rate": Range(1e-4, 1e-1, True)}),
        (["units=lin:-2:2"], {"units": Range(-2.0, 2.0, False, whole=True)}),
    ],
)
def test_what_else_can_be_typed(words, found):
    assert read(*words) == found


ENDS = st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)).map(sorted).filter(lambda ends: ends[0] < ends[1])
POSITIVE = st.tuples(st.floats(-20, 20), st.floats(0.01, 20)).map(lambda e: [10.0 ** e[0], 10.0 ** (e[0] + e[1])])
WHOLE = st.tuples(st.integers(1, 10**6), st.integers(1, 10**6)).map(lambda e: [e[0], e[0] + e[1]])


@given(ENDS, st.integers(2, 40))
def test_a_linear_range_is_evenly_spaced_between_its_exact_ends(ends, count):
    low, high = ends
    values = read(f"rate=lin:{low}:{high}:{count}")["rate"]
    assert values[0] == low and values[-1] == high and values == sorted(set(values))
    assert len(values) == count or high - low < 1e-9 * max(abs(low), abs(high))
    if len(values) == count:
        np.testing.assert_allclose(np.diff(values), (high - low) / (count - 1), atol=1e-9 * max(abs(low), abs(high), 1))


@given(POSITIVE, st.integers(2, 40))
def test_a_logarithmic_range_is_evenly_spaced_in_logarithms_between_its_exact_ends(ends, count):
    low, high = ends
    values = read(f"rate=log:{low}:{high}:{count}")["rate"]
    assert values[0] == low and values[-1] == high and len(values) == count and values == sorted(values)
    np.testing.assert_allclose(np.diff(np.log(values)), math.log(high / low) / (count - 1), rtol=1e-6, atol=1e-9)


@given(WHOLE, st.integers(2, 40), st.sampled_from(["lin", "log"]))
def test_a_range_of_whole_numbers_has_the_nearest_ones_each_once(ends, count, kind):
    low, high = ends
    values = read(f"units={kind}:{low}:{high}:{count}")["units"]
    exact = np.linspace(low, high, count) if kind == "lin" else np.geomspace(low, high, count)
    assert all(type(value) is int for value in values)
    assert values[0] == low and values[-1] == high and values == sorted(set(values)) and len(values) <= count
    assert all(np.abs(exact - value).min() <= 0.5 + 1e-6 for value in values)
    assert all(np.abs(np.array(values) - value).min() <= 0.5 + 1e-6 for value in exact)


@given(AXES)
def test_combinations_are_all_of_them_in_order_each_once(axes):
    points = combinations(axes)
    assert [tuple(point.values()) for point in points] == list(itertools.product(*axes.values()))
    assert all(list(point) == list(axes) for point in points)
    assert len({str(point) for point in points}) == len(points) == math.prod(map(len, axes.values()))


RANGES = st.one_of(
    ENDS.map(lambda ends: Range(*ends, log=False)),
    POSITIVE.map(lambda ends: Range(*ends, log=True)),
    st.tuples(WHOLE, st.booleans()).map(lambda both: Range(*map(float, both[0]), log=both[1], whole=True)),
)
ANY = st.dictionaries(
    st.sampled_from(["a", "b", "c"]), RANGES | st.lists(st.integers(), min_size=1, max_size=5, unique=True), min_size=1
)
SEEDS = st.integers(0, 2**32 - 1)


@given(ANY, st.integers(1, 30), SEEDS)
def test_a_sample_s_points_lie_where_they_belong(axes, count, seed):
    points = sample(axes, count, seed)
    assert len(points) == count and all(list(point) == list(axes) for point in points)
    for point in points:
        for name, values in axes.items():
            if isinstance(values, Range):
                assert values.low <= point[name] <= values.high
                assert type(point[name]) is (int if values.whole else float)
            else:
                assert point[name] in values


@given(ANY, st.integers(1, 20), st.integers(0, 20), SEEDS)
def test_a_longer_search_begins_as_a_shorter_one_and_the_same_seed_gives_the_same(axes, count, more, seed):
    assert sample(axes, count + more, seed)[:count] == sample(axes, count, seed)


def test_another_seed_gives_other_points():
    axes = read("rate=log:1e-4:1e-1", "units=lin:1:1000")
    assert sample(axes, 5, 0) != sample(axes, 5, 1)


def test_random_values_are_spread_evenly():
    """Each of n equal parts gets its share of 20,000 draws, within 5 standard deviations."""
    axes = read("rate=log:1e-4:1e-1", "bias=lin:-1:2", "units=lin:1:3", "limit=log:1:8", "cell=gru,lstm,elman")
    points = sample(axes, 20_000, 0)

    def part(name, count, place=lambda value: value):
        return np.bincount([place(point[name]) for point in points], minlength=count)[:count] / len(points)

    close = pytest.approx(1 / 3, abs=5 * math.sqrt(2 / 9 / 20_000))
    assert list(part("rate", 3, lambda value: int(math.log10(value) + 4))) == [close] * 3
    assert list(part("bias", 3, lambda value: int(value + 1))) == [close] * 3
    assert list(part("units", 4)) == [0, close, close, close]
    assert list(part("cell", 3, ["gru", "lstm", "elman"].index)) == [close] * 3
    logarithms = [math.log(value + 0.5) - math.log(value - 0.5) for value in range(1, 9)]
    assert part("limit", 9)[1:] == pytest.approx(np.array(logarithms) / sum(logarithms), abs=0.02)


def test_settings_are_drawn_independently():
    points = sample(read("rate=lin:0:1", "bias=lin:0:1"), 2000, 0)
    assert abs(np.corrcoef(*zip(*(point.values() for point in points), strict=True))[0, 1]) < 0.1


THERE = ", ".join(SWEEPABLE)


@pytest.mark.parametrize(
    "words, message",
    [
        (["rate"], "--grid rate: write name=value,value or name=log:low:high:count"),
        (["rate:1"], "--grid rate:1: write name=value,value or name=log:low:high:count"),
        ([""], "--grid : write name=value,value or name=log:low:high:count"),
        (["rats=1"], f"--grid rats=1: there is no setting 'rats'; there are {THERE}"),
        (["=1"], f"--grid =1: there is no setting ''; there are {THERE}"),
        (["epochs=1,2"], f"--grid epochs=1,2: epochs is the same for all runs of a sweep; what can differ: {THERE}"),
        (["data-dir=x"], f"--grid data-dir=x: data_dir is the same for all runs of a sweep; what can differ: {THERE}"),
        (["rate=1", "rate=2"], "--grid rate=2: rate is named twice"),
        (["early-stop=true", "early_stop=false"], "--grid early_stop=false: early_stop is named twice"),
        (["rate="], "--grid rate=: no values"),
        (["rate= "], "--grid rate=: no values"),
        (["rate=1,2,1.0"], "--grid rate=1,2,1.0: 1.0 is there twice"),
        (["cell=gru,gru"], "--grid cell=gru,gru: gru is there twice"),
        (["bias=None,none"], "--grid bias=None,none: None is there twice"),
        (["rate=1,x"], "--grid rate=1,x: the setting cannot be 'x'; see --help for what it can be"),
        (["rate=1,"], "--grid rate=1,: the setting cannot be ''; see --help for what it can be"),
        (["rate=none"], "--grid rate=none: the setting cannot be 'none'; see --help for what it can be"),
        (["rate=--help"], "--grid rate=--help: the setting cannot be '--help'; see --help for what it can be"),
        (["units=1.5"], "--grid units=1.5: the setting cannot be '1.5'; see --help for what it can be"),
        (["units=1\n2"], "--grid units=1 2: the setting cannot be '1 2'; see --help for what it can be"),
        (["cell=gru,nonsense"], "--grid cell=gru,nonsense: the setting cannot be 'nonsense'; see --help for what it"),
        (["start=-h"], "--grid start=-h: the setting cannot be '-h'; see --help for what it can be"),
        (["early-stop=1"], "--grid early-stop=1: '1' is neither true nor false"),
        (["cell=log:1:2:3"], "--grid cell=log:1:2:3: only a number has a range; write its values, separated by commas"),
        (["early_stop=lin:0:1:2"], "--grid early_stop=lin:0:1:2: only a number has a range; write its values"),
        (["rate=log"], "--grid rate=log: write a range as log:low:high or log:low:high:count"),
        (["rate=lin:1"], "--grid rate=lin:1: write a range as lin:low:high or lin:low:high:count"),
        (["rate=lin:a:b:3"], "--grid rate=lin:a:b:3: write a range as lin:low:high or lin:low:high:count"),
        (["rate=lin:1:2:3:4"], "--grid rate=lin:1:2:3:4: write a range as lin:low:high or lin:low:high:count"),
        (["rate=lin:1:2:2.5"], "--grid rate=lin:1:2:2.5: write a range as lin:low:high or lin:low:high:count"),
        (["rate=lin:1:inf:3"], "--grid rate=lin:1:inf:3: write a range as lin:low:high or lin:low:high:count"),
        (["rate=lin:nan:1:3"], "--grid rate=lin:nan:1:3: write a range as lin:low:high or lin:low:high:count"),
        (["rate=lin:-1e308:1e308:3"], "--grid rate=lin:-1e308:1e308:3: write a range as lin:low:high or lin:low:high:"),
        (["rate=lin:2:1:3"], "--grid rate=lin:2:1:3: a range goes up, and a logarithmic one begins above 0"),
        (["rate=lin:1:1"], "--grid rate=lin:1:1: a range goes up, and a logarithmic one begins above 0"),
        (["rate=log:0:1:3"], "--grid rate=log:0:1:3: a range goes up, and a logarithmic one begins above 0"),
        (["rate=log:-2:1"], "--grid rate=log:-2:1: a range goes up, and a logarithmic one begins above 0"),
        (["units=lin:0.5:3:2"], "--grid units=lin:0.5:3:2: the setting is a whole number, and so are the ends of its"),
        (["rate=lin:0:1:1"], "--grid rate=lin:0:1:1: a range of values has at least 2 of them, not 1"),
        (["rate=lin:0:1:-3"], "--grid rate=lin:0:1:-3: a range of values has at least 2 of them, not -3"),
    ],
)
def test_what_cannot_be_is_one_line_that_names_the_word_and_nothing_else(words, message, capfd):
    with pytest.raises(SettingsError) as caught:
        read(*words)
    said = str(caught.value)
    assert said.startswith(message) and "\n" not in said
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "words, message",
    [
        ([], "the grid is empty: give at least one setting by --grid name=value,value"),
        (["units=1", "rate=log:1e-4:1e-1"], "--grid rate: of a range, say how many values (log:0.0001:0.1:5), or draw"),
        (["units=lin:0:1234567"], "--grid units: of a range, say how many values (lin:0:1234567:5), or draw from it"),
    ],
)
def test_a_grid_needs_values(words, message):
    with pytest.raises(SettingsError) as caught:
        combinations(read(*words))
    assert str(caught.value).startswith(message) and "\n" not in str(caught.value)


def test_a_search_needs_something_to_draw_and_a_count():
    with pytest.raises(SettingsError, match="^there is nothing to draw from: give at least one setting by --grid"):
        sample({}, 3, 0)
    for count in (0, -1):
        with pytest.raises(SettingsError, match=f"^--random must be at least 1, not {count}$"):
            sample({"rate": [1.0]}, count, 0)
