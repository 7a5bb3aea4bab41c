"""A library by itself: that each can be made without the others, and what its process says."""

import subprocess
import sys

import pytest

from experiments import alone
from experiments.benchmark_rows import contests
from experiments.measuring import Alone, Way
from jaxrnn.errors import UserError
from libraries import needs

ROWS = contests(quick=True)


@pytest.mark.parametrize("name, library", [(name, library) for name in ROWS for library in ("ours", *ROWS[name].peers)])
def test_every_library_of_a_row_can_be_made_alone(name, library):
    needs(library)
    row = ROWS[name]
    given = row.data() if library == "ours" else row.batches()
    with row.one(library, given) as train:
        assert train(1) > 0


def asked(monkeypatch, ended):
    starts = []

    def start(words, **options):
        starts.append((words, options["env"]))
        return ended

    monkeypatch.setattr(alone.subprocess, "run", start)
    return starts


def test_a_process_says_what_was_taken_in_its_last_line(monkeypatch):
    said = 'hello\n{"peak_mib": 12.5, "compile_s": 0.25}\n'
    starts = asked(monkeypatch, subprocess.CompletedProcess([], 0, said, ""))
    assert alone.ask("gru", "flax", Way(3, devices=1, quick=True)) == Alone(12.5, 0.25)
    ((words, environment),) = starts
    call = "from experiments.alone import answer; answer('gru', 'flax', quick=True, devices=1)"
    assert words == [sys.executable, "-c", call]
    assert environment["JAX_ENABLE_COMPILATION_CACHE"] == "false"


def test_a_process_that_fails_is_one_line(monkeypatch):
    asked(monkeypatch, subprocess.CompletedProcess([], 3, "", "Traceback\nno luck\n"))
    with pytest.raises(UserError, match=r"flax in gru by itself ended with 3 \(no luck\): add --no-memory"):
        alone.ask("gru", "flax", Way(3))


@pytest.mark.slow
@pytest.mark.parametrize("library", ["ours", "torch", "flax", "keras"])
def test_a_process_of_its_own(library):
    needs(library)
    peak, compiling = alone.ask("gru", library, Way(1, quick=True))
    assert peak > 1 and (compiling > 0 or library == "torch")


@pytest.mark.slow
def test_processes_of_a_process_are_counted():
    needs("torch")
    assert alone.ask("sweep_tiny", "torch", Way(1, quick=True)).peak_mib > 1
