"""Other versions: the laws hold on every Python that is here, with the oldest and the newest libraries allowed.

python -m tests.campaign.versions 3.12 oldest
"""

import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

from filelock import FileLock
from packaging.requirements import Requirement

from . import Try, same
from .programs import ENVIRONMENT, ROOT

ENVIRONMENTS = (
    ("3.11", "newest"), ("3.11", "lowest"), ("3.12", "oldest"), ("3.13", "newest"),
    ("3.12", "newest jax"), ("3.12", "newest"), ("3.13", "oldest"),
)  # fmt: skip
"""Pythons, and the age of the libraries' releases; the lowest are the oldest too."""

AGES: dict[str, Callable[[str], bool]] = {
    "newest": lambda name: False,
    "newest jax": lambda name: name in ("flax", "optax"),
    "oldest": lambda name: name in ("jax", "flax", "optax"),
    "lowest": lambda name: True,
}
"""Of which libraries an age has the lowest release that the project allows: the newest of all others."""

LAWS = (
    "test_scan.py",
    "test_checkpoint.py",
    "test_cells.py::test_contract",
    "test_interop.py::test_a_recorded_state_dict_is_read_bit_for_bit",
    "test_interop.py::test_parity_in_values_and_gradients",
    "test_schemes.py::test_values_and_gradients_are_the_reference_scans[gru-True-shape0]",
    "test_schemes.py::test_values_and_gradients_are_the_reference_scans[lstm-True-shape0]",
    "test_train.py::test_two_devices_give_the_gradients_of_one[64]",
    "test_train.py::test_segments_of_any_length_give_the_same_bits",
    "test_train.py::test_stopped_and_resumed_is_uninterrupted[2-9]",
    "test_train_stateful.py::test_chunks_with_a_carried_state_are_the_whole",
    "test_train_stateful.py::test_devices_and_breaks_change_nothing",
    "test_sweeps.py::test_each_of_twelve_runs_is_the_run_alone",
)
"""Masks and resets, scan == loop, PyTorch's numbers, one device == several, a sweep's runs == runs alone, and what is
resumed == what was never interrupted."""

NUMBERS = (
    "buckets", "cells", "checkpoint", "generate", "inference", "interop", "language", "layers", "models", "optimisers",
    "scan", "schemes", "sweeps", "threshold", "train", "train_buckets", "train_stateful", "wrappers",
)  # fmt: skip
"""What is computed and kept: the tests of these hold every law of equality, and much else."""


def tries(count: int, folder: Path, seed: int = 0) -> Iterator[Try]:
    """In each of the first so many environments whose Python is here: all tests of the numbers, and those of a command.

    With the same jaxlib a command's numbers are the same bits on every Python.
    """
    data = same.make_data(folder)
    bits: dict[str, tuple[str, object]] = {}
    for version, age in ENVIRONMENTS[:count]:
        interpreter = python(version)
        if interpreter is None:
            continue
        what = f"Python {version}, {age} libraries"
        place = folder / f"{version} {age}"
        try:
            its_python = make(place, interpreter, version, age)
        except subprocess.CalledProcessError as error:
            yield Try(f"{what}: installed", f"pip ended with {error.returncode}: {error.stdout[-600:]}")
            continue
        tested = run_tests(its_python, *(f"tests/test_{one}.py" for one in NUMBERS), workers=os.cpu_count() or 1)
        last = tested.stdout.strip().splitlines()[-1:]
        yield Try(f"{what}: the tests", tested.stdout[-2000:] if tested.returncode else "")
        jaxlib = version_of(its_python, "jaxlib")
        what = f"{what}: numbers with jaxlib {jaxlib} ({last[0] if last else 'no tests'})"
        out = place / "run"
        ended = same.run("mnist_gru", out, data, ROOT, ENVIRONMENT, python=its_python)
        if ended.code:
            yield Try(what, f"it ended with {ended.code}: {ended.said}")
            continue
        kept = same.left_behind(out)
        numbers = [kept[name] for name in kept if name == "history.csv" or name.endswith("meta.json")]
        first, expected = bits.setdefault(jaxlib, (version, numbers))
        yield Try(what, "" if numbers == expected else f"not those on Python {first}")


def python(version: str) -> Path | None:
    """The interpreter of this version, where there is one: on the path, or among pyenv's."""
    found = [Path(name)] if (name := shutil.which(f"python{version}")) else []
    if shutil.which("pyenv"):
        root = subprocess.run(["pyenv", "root"], capture_output=True, text=True, check=True).stdout.strip()
        found += sorted(Path(root, "versions").glob(f"{version}.*/bin/python"))
    for one in found:  # on the path may be a pyenv's own stand-in, which only says that there is none
        said = subprocess.run([one, "--version"], capture_output=True, text=True)
        if said.returncode == 0 and said.stdout.startswith(f"Python {version}."):
            return one
    return None


def requirements(version: str) -> list[Requirement]:
    """What the project asks for on this Python, to run and to be tested."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    every = [Requirement(one) for one in (*project["dependencies"], *project["optional-dependencies"]["test"])]
    return [one for one in every if one.marker is None or one.marker.evaluate({"python_version": version})]


def constraints(version: str, age: str) -> list[str]:
    """pip's constraints for releases of this age: the lower bounds that the project declares for this Python."""
    asked = [one for one in requirements(version) if AGES[age](one.name)]
    lower = {one.name: next(part.version for part in one.specifier if part.operator == ">=") for one in asked}
    return [f"{name}=={lowest}" for name, lowest in lower.items()]


def make(place: Path, interpreter: Path, version: str, age: str) -> Path:
    """An environment with the project in it, and its Python. Raises CalledProcessError where pip fails."""
    subprocess.run([interpreter, "-m", "venv", place], check=True)
    its_python = place / "bin" / "python"
    limits = place / "constraints.txt"
    limits.write_text("\n".join(constraints(version, age)))
    pip(its_python, "install", "--constraint", limits, *map(str, requirements(version)))
    with FileLock(Path(tempfile.gettempdir()) / "jaxrnn-install.lock"):  # each writes the project's own metadata
        pip(its_python, "install", "--no-deps", "--editable", ROOT)
    pip(its_python, "check")
    return its_python


def pip(its_python: Path, *words: str | Path) -> None:
    subprocess.run(
        [its_python, "-m", "pip", "--quiet", *words],
        check=True,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def run_tests(its_python: Path, *which: str, workers: int = 0) -> subprocess.CompletedProcess[str]:
    """These tests in an environment, by so many processes beside this one."""
    words = [its_python, "-m", "pytest", "-q", "-n", str(workers), "-p", "no:cacheprovider", *which]
    return subprocess.run(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def version_of(its_python: Path, package: str) -> str:
    words = [its_python, "-c", f"from importlib.metadata import version; print(version({package!r}))"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()


def main(version: str, age: str) -> int:
    """The laws in one environment; pytest's exit code."""
    interpreter = python(version)
    if interpreter is None:
        print(f"There is no Python {version} here: the laws were not checked on it.")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        try:
            its_python = make(Path(folder) / "venv", interpreter, version, age)
        except subprocess.CalledProcessError as error:
            print(f"Python {version}, {age} libraries: pip ended with {error.returncode}:\n{error.stdout}")
            return 1
        tested = run_tests(its_python, *(f"tests/{law}" for law in LAWS))
    print(f"Python {version}, {age} libraries:\n{tested.stdout}")
    return tested.returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
