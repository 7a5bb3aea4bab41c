"""Several runs in words: without those that did not come through."""

import numpy as np

from jaxrnn.cells import CELLS
from jaxrnn.optimisers import OPTIMISERS
from jaxrnn.words import NAMES, OPTIMISER_NAMES, mean_interval, median_percent, median_range, quoted


def test_the_median_stands_before_the_lowest_and_the_highest():
    assert median_range([0.5, 0.25, np.nan, 1.0]) == "0.5 (0.25 to 1)"
    assert median_percent([0.5, 0.25, np.inf, 1.0]) == "50.0 (25.0 to 100.0) %"


def test_one_number_is_no_range():
    assert median_range([2.0]) == "2" and median_percent([0.999, 0.999]) == "99.9 %"


def test_nothing_that_came_through_is_said():
    assert median_range([np.nan]) == median_percent([]) == "none"
    assert mean_interval([np.nan]) == "not finite"


def test_the_mean_has_half_of_its_interval():
    """t(0.975, 2 degrees of freedom) = 4.3027: of 1, 2, 3 it is 4.3027 / sqrt(3)."""
    assert mean_interval([1.0, 2.0, 3.0]) == "2.0000 ± 2.4841"
    assert mean_interval([0.25]) == "0.2500"


def test_a_text_of_several_lines_is_quoted_in_one():
    assert quoted("the\nash") == "“the↵ash”"


def test_every_registered_cell_and_optimiser_has_a_name():
    assert set(NAMES) == set(CELLS) and len(set(NAMES.values())) == len(CELLS)
    assert set(OPTIMISER_NAMES) == set(OPTIMISERS)
