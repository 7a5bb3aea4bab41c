"""What a library takes by itself: its memory and its compilation, in a process that does nothing else.

Not a command itself: `ask` starts a Python that calls `answer`.
"""

import json
import os
import subprocess
import sys
import time
from importlib import import_module

import jax

from experiments import memory, peer_keras, peer_torch, peers
from experiments.measuring import Alone, Way
from jaxrnn import command
from jaxrnn.errors import UserError


def ask(row: str, library: str, way: Way) -> Alone:
    """What the library takes for the row, in a new process. Raises UserError where it ends with anything but 0."""
    call = f"answer({row!r}, {library!r}, quick={way.quick!r}, devices={way.devices!r})"
    ended = subprocess.run(
        [sys.executable, "-c", f"from experiments.alone import answer; {call}"],
        env=os.environ | {"JAX_ENABLE_COMPILATION_CACHE": "false"},  # what was compiled before would cost nothing
        capture_output=True,
        text=True,
    )
    if ended.returncode:
        said = ended.stderr.strip().rpartition("\n")[2] or "it said nothing"
        raise UserError(f"{library} in {row} by itself ended with {ended.returncode} ({said}): add --no-memory")
    return Alone(**json.loads(ended.stdout.splitlines()[-1]))


def answer(row: str, library: str, *, quick: bool, devices: int | None) -> None:
    """Make the library's trainer, take a few steps and a turn, and print what that took, in JSON."""
    from experiments.benchmark_rows import contests  # which know this module

    command.prepare_devices(devices)
    contest = contests(quick)[row]
    _import(library, quick)
    given = contest.data() if library == "ours" else contest.batches()
    before = memory.peak()
    with contest.one(library, given, devices) as train:
        first, second = (_seconds(train, 1) for _ in range(2))
        train(contest.turn(library))
        found = Alone(_peak(library, before) + getattr(train, "peak", float)(), first - second)
    print(json.dumps(found._asdict()))


def _import(library: str, quick: bool) -> None:
    if library == "keras":
        peer_keras.imported()
    else:
        import_module(peers.PACKAGES.get(library, "jax"))
    if quick and library.startswith("torch"):
        peer_torch.spare_threads()


def _seconds(train: peers.Trainer, steps: int) -> float:
    clock = time.perf_counter()
    train(steps)
    return time.perf_counter() - clock


def _peak(library: str, before: float) -> float:
    """MiB: on a CPU by how much this process rose at most, on an accelerator what was taken there at most."""
    if jax.default_backend() == "cpu":
        return memory.peak() - before
    if library.startswith("torch"):
        import torch

        return torch.cuda.max_memory_allocated() / 2**20
    return sum(device.memory_stats()["peak_bytes_in_use"] for device in jax.local_devices()) / 2**20
