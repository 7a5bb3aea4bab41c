"""Other versions, as `.ci/run` and the campaign test them: their environments are made of what the project declares."""

import ast
import sys

import pytest

from campaign import versions
from campaign.programs import ROOT


def test_every_library_has_a_lowest_version():
    lowest = versions.constraints("lowest")
    assert len(lowest) == len(versions.requirements()) and all("==" in one for one in lowest)
    assert [one.split("==")[0] for one in versions.constraints("oldest")] == ["jax", "flax", "optax"]
    assert versions.constraints("newest") == []


def test_this_python_is_found_and_one_that_is_not_here_is_not():
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert versions.python("3.99") is None
    assert versions.python(here) is not None


@pytest.mark.parametrize("law", versions.LAWS)
def test_a_law_is_a_test(law):
    file, _, name = law.partition("[")[0].partition("::")
    body = ast.parse((ROOT / "tests" / file).read_text()).body
    names = [one.name for one in body if isinstance(one, ast.FunctionDef)]
    assert name in names if name else any(one.startswith("test_") for one in names)
