"""Groups of like length: the cheapest there are, with every row in one of them and nothing but padding cut off."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxrnn.buckets import bounds, bucketed
from jaxrnn.train import examples_in


def steps(lengths, ends):
    return sum(min(end for end in ends if end >= max(length, 1)) for length in lengths)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=12), st.integers(1, 4))
def test_no_other_bounds_make_less_padding(lengths, count):
    found = bounds(np.array(lengths), count)
    longest = max(*lengths, 1)
    every = itertools.chain.from_iterable(itertools.combinations(range(1, longest + 1), n) for n in range(1, count + 1))
    least = min(steps(lengths, ends) for ends in every if ends[-1] == longest)
    assert found == sorted(set(found)) and len(found) <= count and found[-1] == longest
    assert steps(lengths, found) == least


def test_there_is_one_group_at_least():
    with pytest.raises(ValueError, match="at least one group, not 0"):
        bounds(np.array([1]), 0)


PADDING = 7
rows = st.lists(st.lists(st.integers(0, 6), max_size=8), min_size=1, max_size=20)


@given(rows, st.integers(1, 5))
def test_every_row_is_in_one_group_and_loses_nothing_but_padding(rows, count):
    x = np.array([[PADDING] * (8 - len(row)) + row for row in rows], np.uint8)
    found = bucketed(x, np.arange(len(rows)), count, PADDING)
    assert examples_in(found) == len(rows) and len(found.parts) <= count
    seen = {}
    for ids, labels in found.parts:
        assert ids.dtype == x.dtype and (ids != PADDING).any(1).sum() >= len(ids) - sum(not row for row in rows)
        seen |= dict(zip(labels.tolist(), ids.tolist(), strict=True))
    assert sorted(seen) == list(range(len(rows)))
    for number, ids in seen.items():
        assert [PADDING] * (8 - len(ids)) + ids == x[number].tolist()
