"""Several processes that share one piece of work: who is who, and waiting for what the others write.

They need no communication, only a folder that all of them see: each does its share and writes it there. The process
with index 0 puts the shares together.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax

from jaxrnn.command import Stopped
from jaxrnn.errors import SettingsError

LOOK_SECONDS = 0.5
"""Between two looks at what the others have written."""


@dataclass(frozen=True)
class Share:
    """Which process this is, of how many."""

    index: int = 0
    count: int = 1

    def mine(self, number: int) -> bool:
        """Whether this piece of work is this process's."""
        return number % self.count == self.index


def join(coordinator: str | None, processes: int | None, process: int | None) -> Share:
    """Take part as one of several processes, through `jax.distributed`; alone where nothing is given.

    To be called before anything is computed. ``coordinator`` is ``HOST:PORT`` of process 0, with ``processes`` and
    ``process`` (the index, from 0); or ``auto``, for what the cluster's environment variables say (Slurm, Open MPI,
    Kubernetes, and the others that `jax.distributed.initialize` knows).

    Raises:
        SettingsError: some of the three without the others, an index that there is not, or nobody at the coordinator.
    """
    if coordinator is None and processes is None and process is None:
        return Share()
    given: dict[str, Any] = {}
    if coordinator == "auto":
        pass  # everything is in the environment
    elif coordinator is None or processes is None or process is None:
        raise SettingsError("--coordinator HOST:PORT, --processes N and --process I are given together")
    elif not 0 <= process < processes:
        raise SettingsError(f"--process must lie between 0 and {processes - 1}, not {process}")
    else:
        given = {"coordinator_address": coordinator, "num_processes": processes, "process_id": process}
    try:
        # one that has done its share early waits at the end for those that have not, however long they take
        jax.distributed.initialize(**given, shutdown_timeout_seconds=7 * 24 * 3600)
    except (ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise SettingsError(f"--coordinator {coordinator}: {reason}; give HOST:PORT, or leave it out") from error
    return Share(jax.process_index(), jax.process_count())


def meet(share: Share) -> None:
    """Return when all processes have come here."""
    if share.count > 1:
        from jax.experimental import multihost_utils

        multihost_utils.sync_global_devices("meet")


def wait_for(paths: Iterable[Path], stop: Callable[[], bool]) -> None:
    """Return when all of these files are there. Raises Stopped where told to stop before."""
    for path in paths:
        while not path.exists():
            if stop():
                raise Stopped("this process's share is saved, the others' are not all there yet")
            time.sleep(LOOK_SECONDS)
