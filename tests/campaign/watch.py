"""Watches one call in this process: what it raises, how long it takes, its memory, and which files it touches.

The limits are those of the campaign: 5 seconds, 1 GiB, nothing written outside one folder, nothing unpickled.
"""

import faulthandler
import os
import resource
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax

SECONDS = 5.0
"""Of the processor, so that a busy machine is no hang."""

HUNG = 120.0
"""Seconds after which a call that cannot be interrupted ends the process, with a traceback."""

MEMORY = 1 << 30

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGES = {
    "os.chmod": 1,
    "os.chown": 1,
    "os.link": 2,
    "os.mkdir": 1,
    "os.mkfifo": 1,
    "os.mknod": 1,
    "os.remove": 1,
    "os.rename": 2,
    "os.rmdir": 1,
    "os.symlink": 2,
    "os.truncate": 1,
    "os.utime": 1,
}
"""What changes files, and how many of its arguments are paths."""

_NEVER = {"pickle.find_class", "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "socket.connect"}

_odd: list[str] | None = None
"""What the call that is being watched did and must not; None while none is."""
_folders: list[str] = []
"""Where it may write."""


class Hang(BaseException):
    """It took longer than `SECONDS`. No Exception, so that nothing takes it for an error of its own."""


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    if _odd is None:
        return
    if event == "open":
        path, _, flags = arguments
        if isinstance(flags, int) and flags & _WRITES:
            _judge(event, path)
    elif event in _CHANGES:
        for path in arguments[: _CHANGES[event]]:
            _judge(event, path)
    elif event in _NEVER:
        _odd.append(f"{event} {arguments[0]!r}")


def _judge(event: str, path: Any) -> None:
    assert _odd is not None
    if isinstance(path, int):
        return
    place = os.path.realpath(os.fsdecode(path))
    if place != os.devnull and not any(os.path.commonpath((place, folder)) == folder for folder in _folders):
        _odd.append(f"{event} of {place}")


_hooked = False


@contextmanager
def watched(folder: Path) -> Iterator[Callable[[], list[str]]]:
    """Watches the body, which may write in ``folder`` and in JAX's cache of compiled programs; gives what tells
    afterwards all that it must not have done."""
    global _odd, _folders, _hooked
    if not _hooked:
        sys.addaudithook(_hear)  # for good: there is no way to take it back
        _hooked = True
    found: list[str] = []
    before = _resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    space = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (_resident("VmSize") + 4 * MEMORY, space[1]))
    handler = signal.signal(signal.SIGPROF, _interrupt)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    faulthandler.dump_traceback_later(HUNG, exit=True)
    _folders = [os.path.realpath(one) for one in (folder, jax.config.jax_compilation_cache_dir) if one is not None]
    _odd = found
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            yield lambda: found
    except Hang:
        found.append(f"took more than {SECONDS:g} s, in {traceback.format_exc().splitlines()[-3].strip()}")
    finally:
        _odd = None
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, handler)
        faulthandler.cancel_dump_traceback_later()
        resource.setrlimit(resource.RLIMIT_AS, space)
        if (more := _resident("VmHWM") - before) > MEMORY:
            found.append(f"took {more / 2**30:.2f} GiB")


def _interrupt(number: int, frame: Any) -> None:
    raise Hang


def _resident(name: str) -> int:
    """A number of the kernel's about this process, in bytes."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith(f"{name}:"))
