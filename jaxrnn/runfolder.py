"""The run folder: what an experiment leaves behind, every file of it written whole or not at all.

A file is written beside its place under a temporary name, flushed to the disk and renamed, so a reader sees the
earlier file or the new one and never half of one, whenever the program is killed.
"""

import csv
import io
import json
import math
import os
import platform
import statistics
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NoReturn, NotRequired, TypedDict

import jax
import numpy as np
from filelock import FileLock, Timeout

from jaxrnn.conforms import conforms, depth
from jaxrnn.errors import CheckpointError, DataError, SettingsError, UserError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_held: ContextVar[dict[Path, FileLock] | None] = ContextVar("held", default=None)
"""The locks that are held by the body of `holding`, by their files."""

DEEPEST = 50
"""So many lists and objects inside one another are in no file of a run."""

PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy", "jaxrnn")


class DatasetFacts(TypedDict):
    """What a result was measured on: the data set really used, where it came from, and its numbers of examples."""

    name: str
    source: str
    train: int
    test: int


class Reference(TypedDict):
    """A number from elsewhere that one of the metrics stands beside."""

    what: str
    metric: str
    value: float
    note: NotRequired[str]


class Metric(TypedDict):
    """A metric of one or several runs, ready for JSON; ``None`` stands for what is not finite."""

    mean: float | None
    std: float | None
    runs: list[float | None]


@contextmanager
def writing(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turns the operating system's refusals (a full disk, no permission, ...) into one line about ``path``.

    Raises UserError in place of any OSError from the body.
    """
    try:
        yield
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror or error}; mend that or choose another folder "
            "(what was written there before is intact)"
        ) from error


def sync(path: Path) -> None:
    """Flushes a file, or a folder's list of names, to the disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def holding() -> Iterator[None]:
    """Folders that are opened or held in the body stay this process's until it ends; a body within it changes nothing.

    A process that is killed lets go of them as well.
    """
    if _held.get() is not None:
        yield
        return
    locks: dict[Path, FileLock] = {}
    token = _held.set(locks)
    try:
        yield
    finally:
        _held.reset(token)
        for lock in locks.values():
            lock.release()


def hold(folder: str | os.PathLike[str], part: int = 0) -> None:
    """Keeps other processes from this folder, until the body of `holding` ends.

    Several processes that share a folder are parts of one whole. Each holds its own part; 0, the first to come, is
    refused as long as any part is held. The locks are files in the folder, ``.lock``, ``.lock.1`` and so on, and stay.

    Raises SettingsError where another process holds it, or where no lock can be written there.
    """
    locks, folder = _held.get(), _absolute(folder)
    if locks is None:
        raise RuntimeError("a folder can be held in the body of `holding` only")
    own = folder / _lock_name(part)
    if own in locks:
        return
    try:
        with ExitStack() as others:
            for path in () if part else folder.glob(".lock.*"):
                others.enter_context(FileLock(path, timeout=0))
            lock = FileLock(own, timeout=0, thread_local=False)
            lock.acquire()
    except Timeout as error:
        raise SettingsError(
            f"another process is at work in {folder}: wait until it has ended, or choose another folder by --out"
        ) from error
    except OSError as error:
        raise _not_writable(folder, error) from error
    locks[own] = lock


def is_held(folder: str | os.PathLike[str], part: int) -> bool:
    """Whether there is a process that holds this part of the folder; see `hold`."""
    path = _absolute(folder) / _lock_name(part)
    try:
        with FileLock(path, timeout=0):
            return False
    except Timeout:
        return True


def _lock_name(part: int) -> str:
    return f".lock.{part}" if part else ".lock"


def opened(path: str | os.PathLike[str], *, resume: bool = False) -> tuple[Path, Path | None]:
    """Opens a run folder, holds it, and sets the earlier run in it aside: the folder's absolute path, and where the
    earlier run is now.

    With ``resume`` the earlier run stays. For use in the body of `holding`. See `open_folder`, `hold` and `set_aside`.

    Raises:
        CheckpointError: with ``resume``, no run was begun there.
        SettingsError: another process is at work there, or the folder cannot be written, or cannot be set aside.
        UserError: the earlier run cannot be renamed.
    """
    # with a lock and nothing else, it was killed before it wrote anything
    begun = _holds_a_run(_absolute(path)) or os.path.exists(_absolute(path) / _lock_name(0))
    if resume and not begun:
        raise CheckpointError(f"there is nothing to resume in {path}: leave out --resume, or name the folder by --out")
    folder = open_folder(path)
    hold(folder)
    aside = None if resume else set_aside(folder)
    if aside is not None:
        locks = _held.get()
        assert locks is not None
        locks.pop(folder / _lock_name(0)).release()  # it went along with the earlier run
        hold(open_folder(folder))
    return folder, aside


def open_folder(path: str | os.PathLike[str]) -> Path:
    """Makes the folder where there is none, tries at once whether it can be written to, and returns its absolute path.

    Raises SettingsError where it cannot: hours of training must not end with nowhere to put the result.
    """
    folder = _absolute(path)
    if not named_in_utf8(folder):
        raise SettingsError(f"cannot write into the folder {folder}: {NOT_IN_UTF8}")
    probe = folder / ".writable.tmp"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # trying is the only answer that holds: permission bits say nothing to root, nor of a disk mounted read-only
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise _not_writable(folder, error) from error
    return folder


def _not_writable(folder: Path, error: OSError) -> SettingsError:
    return SettingsError(f"cannot write into the folder {folder}: {error.strerror or error}; choose another folder")


NOT_IN_UTF8 = "its name is not in UTF-8, as checkpoints need it; choose another folder, or set PYTHONUTF8=1"
"""What is wrong with a folder that is not `named_in_utf8`, and what to do."""


def named_in_utf8(path: str | os.PathLike[str]) -> bool:
    """Whether Python and libraries that take every name for UTF-8, orbax's storage among them, mean the same file by
    this path. Elsewhere they write beside it, or not at all."""
    return os.fsencode(path) == os.fspath(path).encode(errors="surrogatepass")


def set_aside(path: str | os.PathLike[str]) -> Path | None:
    """Renames the folder of an earlier run to the first free ``<name>.1``, ``<name>.2``, ... beside it.

    An earlier run is a folder with ``config.json``, ``result.json`` or ``checkpoint/``; anything else stays as it is.
    Returns the new path, or None where there was nothing to set aside; after a renaming there is nothing at ``path``
    until ``open_folder`` makes it anew. Raises SettingsError where the program was started inside that folder (it
    would take the working directory along) and UserError where it cannot be renamed.
    """
    folder = _absolute(path)
    if not _holds_a_run(folder):
        return None
    if Path.cwd().is_relative_to(folder.resolve()):
        raise SettingsError(
            f"{folder} holds an earlier run and is the folder you are in, so it cannot be set aside; "
            "start from elsewhere or choose another folder"
        )
    number = 1
    while os.path.lexists(aside := folder.with_name(f"{folder.name}.{number}")):
        number += 1
    with writing(aside):
        folder.rename(aside)
        sync(folder.parent)
    return aside


def _holds_a_run(folder: Path) -> bool:
    return any(os.path.exists(folder / name) for name in ("config.json", "result.json", "checkpoint"))


def write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Writes ``data`` to ``path``, whole or not at all.

    Raises UserError where the disk is full or the folder cannot be written to; what was at ``path`` before is then
    still there.
    """
    path = Path(path)
    # one fixed name: what a killed write leaves behind is overwritten by the next one instead of piling up
    beside = path.with_name(f".{path.name}.tmp")
    with writing(path):
        try:
            with open(beside, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, path)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
        sync(path.parent)


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Writes ``value`` as strict JSON, whole or not at all.

    Numpy and JAX scalars and arrays become numbers and nested lists, paths become strings, and a float that is not
    finite becomes null, since JSON has no such number. Raises UserError as ``write_bytes`` does and TypeError for
    what is not data.
    """
    text = json.dumps(plain(value), indent=2, ensure_ascii=False, allow_nan=False)
    # what of a file's name is not in UTF-8 is a lone surrogate in Python, and \udcXX in JSON as well
    write_bytes(path, f"{text}\n".encode(errors="backslashreplace"))


def read_json(path: str | os.PathLike[str], kind: Any = Any) -> Any:
    """Reads a JSON file, strictly; ``kind`` is the type that its content must have (see `jaxrnn.conforms`).

    Raises DataError where it is missing, unreadable, broken, or of another kind.
    """
    try:
        value = json.loads(Path(path).read_bytes(), parse_constant=_no_number, parse_float=_finite)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}; is this the folder of a run?") from error
    except (ValueError, RecursionError) as error:  # broken JSON and broken UTF-8, and lists without end
        raise DataError(f"{path} is not the JSON that was written there: {error}; restore it or run again") from error
    if depth(value) > DEEPEST or not conforms(value, kind):
        raise DataError(f"{path} is not what was written there; restore it or run again")
    return value


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def _finite(digits: str) -> float:
    if math.isinf(value := float(digits)):
        raise ValueError(f"{digits[:20]} is too large")
    return value


def write_csv(path: str | os.PathLike[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes rows as CSV under a header with the first row's keys, whole or not at all.

    A float is written with the shortest digits that read back as the same float (``nan`` and ``inf`` as they are); a
    key that a row lacks, and None, leave the field empty. Raises UserError as ``write_bytes`` does, and ValueError
    for a key that the header lacks.
    """
    text = io.StringIO()
    if rows:
        table = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows({key: _python(value) for key, value in row.items()} for row in rows)
    write_bytes(path, text.getvalue().encode())


def save_figure(figure: "Figure", path: str | os.PathLike[str]) -> None:
    """Writes a matplotlib figure as PNG at 150 dots an inch, whole or not at all. Raises UserError as ``write_bytes``
    does.

    The file says in its own ``Title`` and ``Description`` what it shows, for readers who cannot see it.
    """
    image = io.BytesIO()
    words = {"Title": " ".join(figure.get_suptitle().split()), "Description": described(figure)}
    figure.savefig(image, format="png", dpi=150, metadata=words, pil_kwargs={"optimize": True})
    write_bytes(path, image.getvalue())


def described(figure: "Figure") -> str:
    """What a figure shows, in the words that are written in it: titles, what stands against what, and the legends."""
    said = [figure.get_suptitle()]
    for axes in figure.axes:
        title, x, y = axes.get_title(), axes.get_xlabel(), axes.get_ylabel()
        legend = axes.get_legend()
        names = [text.get_text() for text in legend.get_texts()] if legend else []
        shown = f"{y} against {x}" if x and y else x or y
        said.append(": ".join(part for part in (title, shown, ", ".join(names)) if part))
    return ". ".join(dict.fromkeys(" ".join(part.split()) for part in said if part))


def metric(values: Any) -> Metric:
    """Mean and standard deviation over runs, and the runs themselves.

    ``values`` holds one number a run, shape ``(runs,)``, or one number alone. The standard deviation is the sample's
    (divided by the number of runs less one), 0 for one run. A run whose number is not finite stays in ``runs`` as
    None and is left out of both; with no finite run both are None.
    """
    array = np.atleast_1d(np.asarray(values, np.float64))
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"a metric has one number a run, not the shape {array.shape}")
    runs = [value if math.isfinite(value) else None for value in array.tolist()]
    finite = [value for value in runs if value is not None]
    # statistics rounds once, at the end: equal runs have exactly their own value as mean, and a deviation of exactly 0
    return {
        "mean": statistics.mean(finite) if finite else None,
        "std": None if not finite else statistics.stdev(finite) if len(finite) > 1 else 0.0,
        "runs": runs,
    }


def half_width(values: Any) -> float | None:
    """Half the width of the 95% confidence interval of a mean over runs, by Student's t:

        t_{0.975, n-1} * s / sqrt(n)

    ``values`` are as for ``metric``; runs that are not finite are left out, and of fewer than two there is no interval
    (None). It is what another set of seeds would move the mean by, the data being the same.
    """
    from scipy.special import stdtrit

    finite = [value for value in metric(values)["runs"] if value is not None]
    if len(finite) < 2:
        return None
    return float(stdtrit(len(finite) - 1, 0.975)) * statistics.stdev(finite) / math.sqrt(len(finite))


def describe_devices(devices: Sequence[jax.Device]) -> str:
    """The devices that a run used, in words: ``2 x cpu``."""
    return ", ".join(f"{count} x {kind}" for kind, count in Counter(device.device_kind for device in devices).items())


def versions() -> dict[str, str]:
    """The versions of Python and of the packages that the numbers depend on; in a clone, the commit too."""
    packages = {"python": platform.python_version()} | {name: metadata.version(name) for name in PACKAGES}
    return packages | ({"commit": found} if (found := _commit()) else {})


@cache
def _commit() -> str | None:
    """The commit that this code is of, marked where it was changed since; None where it is not in a clone, or there is
    no git."""
    root = Path(__file__).parents[1]
    if not (root / ".git").exists():
        return None
    try:
        words = ["git", "-C", str(root), "describe", "--always", "--dirty", "--exclude=*"]
        return subprocess.run(words, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def write_result(
    folder: str | os.PathLike[str],
    *,
    experiment: str,
    command: str,
    finished: bool,
    dataset: DatasetFacts,
    config: Mapping[str, Any],
    parameters: int,
    metrics: Mapping[str, Any],
    reference: Sequence[Reference] = (),
    answers: Mapping[str, str],
    seconds: Mapping[str, float],
    devices: Sequence[jax.Device],
    top: Mapping[str, Any] = MappingProxyType({}),
) -> dict[str, Any]:
    """Writes ``result.json`` into the run folder and returns what it says, as reading it gives it back.

    ``metrics`` maps each name to its numbers, one a run, as ``metric`` takes them; ``seconds`` has ``total``,
    ``compile`` and ``train``; ``top`` are further entries, which come first. ``made`` says when, in UTC. Raises
    UserError as ``write_bytes`` does.
    """
    result = plain(
        {
            **top,
            "experiment": experiment,
            "command": command,
            "finished": finished,
            "dataset": dataset,
            "config": config,
            "parameters": parameters,
            "metrics": {name: metric(values) for name, values in metrics.items()},
            "reference": reference,
            "answers": answers,
            "seconds": seconds,
            "device": describe_devices(devices),
            "made": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": versions(),
        }
    )
    write_json(Path(folder) / "result.json", result)
    return result


def _absolute(path: str | os.PathLike[str]) -> Path:
    """Absolute and free of ``..``, so that every folder has a name; links stay links, to be renamed themselves."""
    return Path(os.path.abspath(path))


def _python(value: Any) -> Any:
    """Numpy and JAX numbers and arrays as Python's own; everything else as it is."""
    return np.asarray(value).tolist() if isinstance(value, np.generic | np.ndarray | jax.Array) else value


def plain(value: Any) -> Any:
    """``value`` in the types that strict JSON has."""
    value = _python(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value
