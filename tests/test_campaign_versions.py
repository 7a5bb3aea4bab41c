"""Other versions, as `.ci/run` and the campaign test them: their environments are made of what the project declares."""

import ast
import sys

import pytest

from campaign import versions
from campaign.programs import ROOT


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_every_library_has_one_lowest_version(version):
    lowest = versions.constraints(version, "lowest")
    assert len(lowest) == len(versions.requirements(version)) and all("==" in one for one in lowest)
    assert [one.split("==")[0] for one in versions.constraints(version, "oldest")] == ["jax", "flax", "optax"]
    assert versions.constraints(version, "newest") == []


def test_a_library_of_a_python_has_one_requirement():
    for version in ("3.11", "3.12", "3.13"):
        names = [one.name for one in versions.requirements(version)]
        assert len(names) == len(set(names))


def test_this_python_is_found_and_one_that_is_not_here_is_not():
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert versions.python("3.99") is None
    assert versions.python(here) is not None


def test_what_is_tested_is_there():
    assert [one for one in versions.NUMBERS if not (ROOT / "tests" / f"test_{one}.py").exists()] == []
    files = {f"test_{one}.py" for one in versions.NUMBERS}
    assert {law.partition("::")[0] for law in versions.LAWS} <= files


@pytest.mark.parametrize("law", versions.LAWS)
def test_a_law_is_a_test(law):
    file, _, name = law.partition("[")[0].partition("::")
    body = ast.parse((ROOT / "tests" / file).read_text()).body
    names = [one.name for one in body if isinstance(one, ast.FunctionDef)]
    assert name in names if name else any(one.startswith("test_") for one in names)
