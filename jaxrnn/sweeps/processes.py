"""Several processes that share one piece of work: who is who, and waiting for what the others write.

They need nothing of each other but a folder that all of them see: each does its share and writes it there. So they
meet once, at the start, to learn how many they are and to see the folder opened, and go their own ways: one that dies
from then on takes no other along (of one that dies while they meet, JAX ends the others). Each holds its part of the
folder as long as it lives (`jaxrnn.runfolder.hold`), which is how the others know.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax

from jaxrnn import runfolder
from jaxrnn.command import Stopped
from jaxrnn.errors import SettingsError, UserError

LOOK_SECONDS = 0.5
"""Between two looks at what the others have written."""

MEETING_SECONDS = 3600
"""How long the first to come waits for the others."""

_OPENED = "jaxrnn/opened"
"""Under this key process 0 says why it could not open the folder, or nothing when it could."""


@dataclass(frozen=True)
class Share:
    """Which process this is, of how many."""

    index: int = 0
    count: int = 1

    def mine(self, number: int) -> bool:
        """Whether this piece of work is this process's."""
        return number % self.count == self.index


@contextmanager
def meeting(coordinator: str | None, processes: int | None, process: int | None) -> Iterator[Share]:
    """Which of several processes this is, through `jax.distributed`; the body ends for all of them together.

    ``coordinator`` is ``HOST:PORT`` of process 0, with ``processes`` and ``process`` (the index, from 0); or ``auto``,
    for what the cluster's environment variables say (Slurm, Open MPI, Kubernetes, and the others that
    `jax.distributed.initialize` knows). With nothing given this process is alone. To be entered before anything is
    computed: afterwards each process sees its own devices only.

    Raises:
        SettingsError: some of the three without the others, an index that there is not, or nobody at the coordinator.
    """
    if coordinator is None and processes is None and process is None:
        yield Share()
        return
    given: dict[str, Any] = {}
    if coordinator != "auto":
        if coordinator is None or processes is None or process is None:
            raise SettingsError("--coordinator HOST:PORT, --processes N and --process I are given together")
        if processes < 1:
            raise SettingsError(f"--processes must be at least 1, not {processes}")
        if not 0 <= process < processes:
            raise SettingsError(f"--process must lie between 0 and {processes - 1}, not {process}")
        given = {"coordinator_address": coordinator, "num_processes": processes, "process_id": process}
    try:
        jax.distributed.initialize(
            **given, initialization_timeout=MEETING_SECONDS, shutdown_timeout_seconds=MEETING_SECONDS
        )
    except (ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise SettingsError(f"--coordinator {coordinator}: {reason}; give HOST:PORT, or leave it out") from error
    state = _state()
    share = Share(state.process_id, state.num_processes)
    try:
        yield share
    finally:
        jax.distributed.shutdown()  # returns when all have come here
        state.process_id, state.num_processes = 0, 1  # else the devices would be one process's of several


def _state() -> Any:
    """What JAX knows of the other processes."""
    from jax._src.distributed import global_state  # there is no public way to ask without making the devices

    return global_state


def open_together(out: Path, share: Share, first: Callable[[], None]) -> None:
    """In the body of `meeting`: process 0 opens the folder by ``first``, and when it has, the others hold their parts.

    Raises:
        SettingsError: process 0 could not, or another process is at work there.
        UserError: as ``first``, in process 0.
    """
    client = _state().client
    if share.index > 0:
        if failed := client.blocking_key_value_get(_OPENED, 1000 * MEETING_SECONDS):
            raise SettingsError(f"process 0 could not open {out}: {failed}")
        return runfolder.hold(out, share.index)
    failed = "it was stopped"
    try:
        first()
        failed = ""
    except UserError as error:
        failed = str(error)
        raise
    finally:
        client.key_value_set(_OPENED, failed)


def wait_for(files: Mapping[Path, int], out: Path, stop: Callable[[], bool]) -> None:
    """Return when all of these files are there, each of them written by the process of that index.

    Raises:
        UserError: a process has ended before it wrote all of its files.
        Stopped: told to stop before.
    """
    for path, index in files.items():
        while not path.exists():
            if stop():
                raise Stopped("this process's share is saved, the others' are not all there yet")
            if not runfolder.is_held(out, index) and not path.exists():
                missing = sum(not path.exists() for path in files)
                raise ended_early(out, index, f"{missing} of {len(files)} chunks are missing")
            time.sleep(LOOK_SECONDS)


def ended_early(out: Path, index: int, missing: str) -> UserError:
    """The error that there is when a process has ended, and what is missing."""
    return UserError(
        f"process {index} has ended before all was done: {missing}. What was trained is saved in {out}; "
        "go on with --resume, with as many processes as you like"
    )
