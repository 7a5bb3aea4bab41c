"""The continuous share of the campaign's shapes: 2,000 of its cases, 50 of each shape."""

import logging
from typing import get_args

import jax
import numpy as np
import pytest

from campaign import shapes
from campaign.shapes import SHAPES, Dtype, Given, cases
from jaxrnn.cells import CELLS
from jaxrnn.layers import Merge
from jaxrnn.schemes import Scheme
from jaxrnn.wrappers import WRAPPERS


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_nothing_is_lost_and_a_shape_is_compiled_once(shape, caplog):
    with jax.log_compiles(True), caplog.at_level(logging.WARNING):
        lost = [case for case in cases(shape, 50) if case.lost]
    compiled = [record.getMessage() for record in caplog.records if "Compiling jit(program)" in record.getMessage()]
    assert not lost
    assert len(compiled) == 1


def test_nothing_is_missing_among_the_shapes():
    assert len(set(SHAPES)) == len(SHAPES) <= 40
    assert {shape.cell for shape in SHAPES} == set(CELLS)
    assert {shape.wrapper for shape in SHAPES} == {"", *WRAPPERS}
    assert {shape.scheme for shape in SHAPES} == set(get_args(Scheme))
    assert {shape.merge for shape in SHAPES} == set(get_args(Merge))
    assert {shape.dtype for shape in SHAPES} == set(get_args(Dtype))
    assert {given for shape in SHAPES for given in shape.given} == set(get_args(Given))
    assert {shape.direction for shape in SHAPES} == {"forward", "reverse", "bidirectional"}
    assert {len(shape.widths) for shape in SHAPES} == {1, 2, 3}
    assert {(), (0,), (3,), (2, 2)} == {shape.batch for shape in SHAPES}
    assert {0, 1} < {shape.time for shape in SHAPES}
    for cell in CELLS:  # each from either end
        assert {"forward", "reverse", "bidirectional"} == {s.direction for s in SHAPES if s.cell == cell}, cell


def test_contents_repeat_with_the_seed():
    with shapes.precision(SHAPES[0].dtype):
        one, again, other = (
            jax.tree.leaves(shapes.drawn(SHAPES[0], np.random.default_rng((seed, 0)))) for seed in (0, 0, 1)
        )
    assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(one, again, strict=True))
    assert not all(np.array_equal(a, b, equal_nan=True) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize(
    "ignored, lost",
    [
        ("mask", "padding puts out what is not zero"),
        ("reset", "outputs by"),
        ("reverse", "outputs by"),
    ],
)
def test_what_is_ignored_is_lost(ignored, lost, monkeypatch):
    shape = shapes.Shape("elman", direction="reverse")

    def careless(shape, *contents):
        given = tuple(name for name in shape.given if name != ignored)
        direction = "forward" if ignored == "reverse" else shape.direction
        return scanned(shape._replace(given=given, direction=direction), *contents)

    scanned = shapes.scanned
    monkeypatch.setattr(shapes, "scanned", careless)
    assert sum(lost in case.lost for case in cases(shape, 20)) > 5
