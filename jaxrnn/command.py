"""What every experiment's command shares: settings, devices, signals, and exit codes.

A command exits with 0 when done, with 2 and one clear line for what the user can mend, and with 130 when it was told to
stop (Ctrl-C or SIGTERM), with everything saved.
"""

import ctypes
import glob
import inspect
import io
import os
import re
import resource
import shlex
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, TypeVar

import jax
import tyro
from platformdirs import user_cache_path
from rich.console import Console

from jaxrnn import runfolder
from jaxrnn.cells import CELLS
from jaxrnn.errors import SettingsError, UserError

if TYPE_CHECKING:
    CellName = str
else:
    CellName = Literal[tuple(CELLS)]
"""A setting that is one of the registered cells."""

OF_THE_CALL = {"config": False}
"""Metadata of a setting that belongs to one call of the command and not to the run: ``config`` leaves it out."""

FREE = {"free": True}
"""Metadata of a setting that may be another when a run is resumed: where the data are, which are compared themselves,
and what changes no number beyond rounding."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What can be set for every experiment."""

    out: Path | None = field(default=None, metadata=OF_THE_CALL)
    """Folder for all that the command leaves behind; runs/<experiment> where not given. An earlier run there is kept:
    its folder is renamed to <folder>.1 and so on."""
    quick: bool = False
    """The whole path in a few seconds, on small data that needs no download."""

    @classmethod
    def quick_defaults(cls) -> Self:
        """The defaults under --quick; what is given on the command line goes before them."""
        return cls(quick=True)

    def settled(self) -> Self:
        """These settings, those filled in that follow from the others where they are not given: the run's own."""
        return self


@dataclass(frozen=True, kw_only=True)
class TrainingSettings(Settings):
    """What can be set for every experiment that trains."""

    seeds: int = 1
    """How many runs to train, as one program: mean and spread of every number come from them."""
    seed: int = 0
    """Where the random numbers start: run i is a function of (seed, i) alone."""
    devices: int | None = field(default=None, metadata=FREE)
    """How many devices to use at most: accelerators, or CPU cores. All where not given."""
    resume: bool = field(default=False, metadata=OF_THE_CALL)
    """Go on with the run in the folder, from where it was saved."""

    duration: ClassVar[str] = ""
    """The setting that says how long to train."""

    def total_epochs(self) -> int:
        """How many epochs to train. Raises SettingsError where the settings make no sense."""
        raise TypeError(f"{type(self).__name__} does not say how long to train: see EpochSettings and StepSettings")

    def check(self) -> None:
        """Raises SettingsError where the settings make no sense."""
        at_least_one(self, "seeds", self.duration)


def at_least_one(settings: Any, *options: str) -> None:
    """Raises SettingsError where one of these settings is given, and below 1."""
    for option in options:
        value = getattr(settings, option)
        if value is not None and value < 1:
            raise SettingsError(f"--{option.replace('_', '-')} must be at least 1, not {value}")


def above_zero(settings: Any, *options: str) -> None:
    """Raises SettingsError where one of these settings is given, and not above 0."""
    values = [getattr(settings, option) for option in options]
    if not all(value is None or value > 0 for value in values):
        names = " and ".join(f"--{option.replace('_', '-')}" for option in options)
        raise SettingsError(f"{names} must be above 0" + (f", not {values[0]}" if len(values) == 1 else ""))


@dataclass(frozen=True, kw_only=True)
class EpochSettings(TrainingSettings):
    """What can be set for every experiment that trains on data that are kept."""

    epochs: int = 10
    """Passes over the training data."""
    data_dir: Path | None = field(default=None, metadata=FREE)
    """Folder with the data files. Where not given: $JAXRNN_DATA, then tensorflow-datasets, then embedded data."""

    duration: ClassVar[str] = "epochs"

    def total_epochs(self) -> int:
        return self.epochs


@dataclass(frozen=True, kw_only=True)
class StepSettings(TrainingSettings):
    """What can be set for every experiment whose examples are made as they are needed."""

    steps: int = 5000
    """Training steps."""
    every: int = 250
    """Steps between two evaluations: an epoch of the history."""

    duration: ClassVar[str] = "steps"

    def total_epochs(self) -> int:
        return self.steps // self.every

    def check(self) -> None:
        super().check()
        if self.every < 1 or self.steps % self.every:
            raise SettingsError(f"--every must divide the {self.steps} --steps, and {self.every} does not")


S = TypeVar("S")


def config(settings: Settings) -> dict[str, Any]:
    """The settings that make a run what it is, for ``config.json``."""
    return {one.name: getattr(settings, one.name) for one in fields(settings) if one.metadata.get("config", True)}


def free(settings: Settings) -> tuple[str, ...]:
    """The settings that are `FREE`."""
    return tuple(one.name for one in fields(settings) if one.metadata.get("free", False))


LEAST_MEMORY = 2 << 30
"""Bytes of address space without which no command begins; most of them are only reserved."""


def open_run(name: str, settings: Settings, console: Console) -> Path:
    """Opens a command's run folder, see `jaxrnn.runfolder.opened`, and says where the earlier run in it is now.

    Raises the same.
    """
    resume = isinstance(settings, TrainingSettings) and settings.resume
    out, aside = runfolder.opened(settings.out or Path("runs") / name, resume=resume)
    if aside is not None:
        console.print(f"The earlier run in {out} is now in {aside}.")
    return out


class Stopped(Exception):
    """The command was told to stop and has saved what there is; the message says where it stands."""


def command(name: str, settings: type[S], main: Callable[[str, S], Any], argv: Sequence[str] | None = None) -> int:
    """Parse the command line of ``python -m experiments.<name>``, call ``main(name, settings)``, return the exit code.

    ``argv`` is what stands after the command's name, from the process where not given. A mistyped option ends the
    process through tyro (exit code 2, and a message of its own).
    """
    say_all()
    if own := _has_the_process(name):
        keep_memory()
    given = sys.argv[1:] if argv is None else list(argv)
    program = f"python -m experiments.{name}"
    try:
        parsed = parse(name, settings, given)
        _check_memory_limit()
        with _terminated_as_interrupted(), runfolder.holding(), _broken_programs_removed():
            prepare_devices(getattr(parsed, "devices", None))
            main(name, parsed)
    except UserError as error:
        print(f"{program}: {error}", file=sys.stderr)
        code = 2
    except Stopped as stopped:
        words = [word for word in given if word != "--resume"]
        again = shlex.join([*program.split(), *words, *(["--resume"] if hasattr(settings, "resume") else [])])
        print(f"{program}: stopped; {stopped}. To go on: {again}", file=sys.stderr)
        code = 130
    except KeyboardInterrupt:
        print(f"{program}: stopped at once", file=sys.stderr)
        code = 130
    else:
        return 0
    if own:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)  # threads that were amid a save would only complain of it
    return code


def _check_memory_limit() -> None:
    """Raises SettingsError where the process may take less memory than any command needs: OpenBLAS, which JAX comes to
    load, then asks again and again, for ever."""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY and limit < LEAST_MEMORY:
        raise SettingsError(
            f"a process may take only {limit / 1e9:.2g} GB of memory here (ulimit -v), and a command needs "
            f"{LEAST_MEMORY / 1e9:.2g} GB at least: raise that limit"
        )


def _has_the_process(name: str) -> bool:
    """Whether the process is this command's own, started by ``python -m experiments.<name>``."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return spec is not None and spec.name == f"experiments.{name}"


def parse(name: str, settings: type[S], argv: Sequence[str]) -> S:
    """The settings that these words mean after ``python -m experiments.<name>``.

    Raises SettingsError where they ask for two sizes; a mistyped option ends the process through tyro.
    """
    # these choose the defaults, and so are said by them
    sizes = {f"--{size}": getattr(settings, f"{size}_defaults", None) for size in ("quick", "full")}
    choosing = {word: defaults for word, defaults in sizes.items() if word in argv and defaults is not None}
    if len(choosing) > 1:
        raise SettingsError("give --quick or --full, not both")
    return tyro.cli(
        settings,
        prog=f"python -m experiments.{name}",
        description=inspect.cleandoc(settings.__doc__ or ""),
        args=[word for word in argv if word not in choosing],
        default=next(iter(choosing.values()), settings)(),
        config=(tyro.conf.FlagCreatePairsOff,),
    )


def command_line(name: str) -> str:
    """The command as it was typed, for ``result.json``."""
    return shlex.join(["python", "-m", f"experiments.{name}", *sys.argv[1:]])


def say_all() -> None:
    """Have the process print what its terminal's encoding lacks as ``\\x`` and the like, as Python does on the error
    stream: a run that is done must not end in an error over a letter."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def plain_console() -> Console:
    """A console that shows words as they are: brackets and colons in the name of a folder or a file are no markup."""
    return Console(markup=False, emoji=False)


def keep_memory() -> None:
    """Have the C library keep the memory that is freed, for what is asked for next; where it is not glibc, nothing.

    A compiled program asks for its scratch memory at every call. Fresh from the system, each page costs a fault when it
    is first touched: of 1.3 GB, a sixth of a training step of two seconds.
    """
    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL("libc.so.6").mallopt
        for option, value in ((_M_ARENA_MAX, 1), (_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, 2**31 - 1)):
            mallopt(option, value)


_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8
"""The numbers of the options in glibc's ``malloc.h``."""


def prepare_devices(count: int | None) -> None:
    """Make every CPU core a device, and keep compiled programs in the user's cache folder from one start to the next.

    Called before the first array is made. Where the program has settled either itself, that stays.

    Raises:
        SettingsError: ``count`` is below 1.
    """
    if count is not None and count < 1:
        raise SettingsError(f"--devices must be at least 1, not {count}")
    settled = jax.config.values
    if settled["jax_num_cpu_devices"] < 0:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        jax.config.update("jax_num_cpu_devices", max(cores, count or 1))
    if settled["jax_compilation_cache_dir"] is None:
        jax.config.update("jax_compilation_cache_dir", str(user_cache_path("jaxrnn") / "compiled"))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)


@contextmanager
def stop_requests() -> Iterator[Callable[[], bool]]:
    """A function that says whether Ctrl-C or SIGTERM has come, for a loop that wants to stop at a good moment.

    The second signal does not wait for one: it raises KeyboardInterrupt. In a thread other than the main one, which
    gets no signals, the function always says no.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    came = False

    def note(number: int, frame: Any) -> None:
        nonlocal came
        if came:
            raise KeyboardInterrupt
        came = True
        print("\nStopping, and saving first; once more to stop at once.", file=sys.stderr)

    with handling(note, signal.SIGINT, signal.SIGTERM):
        yield lambda: came


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    with handling(signal.default_int_handler, signal.SIGTERM):
        yield


@contextmanager
def _broken_programs_removed() -> Iterator[None]:
    """A compiled program that JAX cannot read from its cache is removed there, and so kept again when compiled anew.

    JAX writes them in place: a kill or a full disk leaves a half, which it would warn of, and compile, at every start.
    """
    show = warnings.showwarning

    def look(message: Warning | str, *where: Any, **more: Any) -> None:
        if broken := _UNREADABLE.match(str(message)):
            for path in Path(jax.config.values["jax_compilation_cache_dir"]).glob(f"{glob.escape(broken[1])}*-cache"):
                path.unlink(missing_ok=True)
        else:
            show(message, *where, **more)

    warnings.showwarning = look
    try:
        yield
    finally:
        warnings.showwarning = show


_UNREADABLE = re.compile(r"Error reading persistent compilation cache entry for '([^']*)'")
"""What JAX warns of, with the name of the program that it then compiles."""


@contextmanager
def handling(handler: Callable[[int, Any], None], *signals: signal.Signals) -> Iterator[None]:
    """Signals go to this handler meanwhile. For the main thread."""
    earlier = {number: signal.signal(number, handler) for number in signals}
    try:
        yield
    finally:
        for number, handler_before in earlier.items():
            signal.signal(number, handler_before)
