"""Save and restore runs exactly.

A checkpoint folder holds one numbered folder, the newest state: the arrays as orbax writes them, ``meta.json`` with
the caller's part and what each array is, and ``SHA256SUMS`` over all of it, which ``sha256sum -c`` reads too. A new
state is completed under a temporary name before it gets its number, and only then does the older one go: whenever the
program is killed, the highest number is whole.

Damage is found before orbax parses anything (a flipped byte in a shape would have it reserve any amount of memory),
and a digest of the arrays themselves, taken before the save, is compared after the restore: what comes back is what
went in.
"""

import hashlib
import json
import logging
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypedDict

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn.conforms import conforms, depth
from jaxrnn.errors import CheckpointError, UserError
from jaxrnn.runfolder import DEEPEST, NOT_IN_UTF8, named_in_utf8, sync, writing

ARRAYS, META, SUMS = "arrays", "meta.json", "SHA256SUMS"


ORBAX_MORE, ORBAX_EACH = 1 << 17, 1 << 9
"""At most so many bytes more than the arrays are in the files that orbax writes of them: at all, and for each array."""


class _Leaf(TypedDict):
    path: str
    dtype: str
    shape: list[int]
    key: str | None


class _Content(TypedDict):
    """What ``meta.json`` says."""

    meta: dict[str, Any]
    leaves: list[_Leaf]
    digest: str


def save(folder: str | os.PathLike[str], run: Any, meta: dict[str, Any]) -> None:
    """Makes ``run`` and ``meta`` the checkpoint in ``folder``, in place of the one before.

    ``run`` is any pytree of JAX arrays of any shapes and dtypes, typed keys and arrays spread over this process's
    devices included; it is read, never donated. ``meta`` is what JSON can hold, in Python's dialect: NaN and
    infinities stay what they are. Returns when everything is on the disk.

    Raises UserError where it cannot be written (a full disk, no permission): the earlier checkpoint is then intact.
    Raises TypeError for a leaf that is no JAX array.
    """
    leaves, arrays = _to_host(run)
    text = json.dumps({"meta": meta, "leaves": leaves, "digest": _digest(arrays)})
    folder = Path(folder).absolute()
    if not named_in_utf8(folder):
        raise UserError(f"cannot write {folder}: {NOT_IN_UTF8}")
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for killed in folder.glob("*.tmp"):
            shutil.rmtree(killed)
        earlier = _numbers(folder)
        number = max(earlier, default=0) + 1
        new = folder / f"{number}.tmp"
        try:
            new.mkdir()
            _reserve(new / "reserve", len(text) + sum(array.nbytes + ORBAX_EACH for array in arrays) + ORBAX_MORE)
            _write_arrays(new / ARRAYS, arrays)
            (new / META).write_text(text)
            (new / SUMS).write_bytes(b"".join(_sums(new)))
            for path in (*new.rglob("*"), new):
                sync(path)
            new.rename(folder / str(number))
        except BaseException:
            shutil.rmtree(new, ignore_errors=True)  # what stays goes at the next save; the error being raised says why
            raise
        sync(folder)
        for old in earlier:
            shutil.rmtree(folder / str(old))


def restore(folder: str | os.PathLike[str], abstract_run: Any) -> tuple[Any, dict[str, Any]]:
    """The run and the meta that were saved last, bit for bit; nothing in ``folder`` is touched.

    ``abstract_run`` has the structure of the run and leaves with its shapes and dtypes, as ``jax.eval_shape(start,
    ...)`` gives them. The arrays come back on the default device, uncommitted and owning their memory, so a jit may
    move them to where it computes and may take them as donated. They are never weakly typed.

    Raises CheckpointError where there is no checkpoint, it is damaged, or its arrays are not those of
    ``abstract_run``.
    """
    if not named_in_utf8(folder):
        raise CheckpointError(f"cannot read the checkpoint {folder}: {NOT_IN_UTF8}")
    checkpoint, content = _read(folder)
    here = [_describe(path, leaf) for path, leaf in jax.tree.leaves_with_path(abstract_run)]
    there = [{name: leaf[name] for name in ("path", "dtype", "shape")} for leaf in content["leaves"]]
    if here != there:
        raise CheckpointError(
            f"the checkpoint {checkpoint} belongs to another run: {_difference(there, here)}; "
            "resume with the settings it was made with, or start over in another folder"
        )
    arrays = _read_arrays(checkpoint / ARRAYS, content["leaves"])
    if _digest(arrays) != content["digest"]:
        raise _damaged(checkpoint, "its arrays are not the ones that were saved")
    try:
        leaves = [_to_device(array, leaf["key"]) for array, leaf in zip(arrays, content["leaves"], strict=True)]
    except (TypeError, ValueError) as error:
        raise _damaged(checkpoint, "its random keys are none") from error
    if [str(leaf.dtype) for leaf in leaves] != [leaf["dtype"] for leaf in here]:
        raise _damaged(checkpoint, "its random keys are not the ones that were saved")
    return jax.tree.unflatten(jax.tree.structure(abstract_run), leaves), content["meta"]


def read_meta(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """The meta that was saved last, without the run; nothing in ``folder`` is touched.

    Raises CheckpointError where there is no checkpoint or it is damaged.
    """
    return _read(folder)[1]["meta"]


def array_count(folder: str | os.PathLike[str]) -> int:
    """How many arrays were saved last. Raises CheckpointError as `read_meta` does."""
    return len(_read(folder)[1]["leaves"])


def exists(folder: str | os.PathLike[str]) -> bool:
    """Whether ``folder`` holds a checkpoint, damaged or not. Raises CheckpointError where the folder cannot be read."""
    return _newest(Path(folder)) is not None


def _numbers(folder: Path) -> list[int]:
    """The numbers of the complete checkpoints in ``folder``, more than one after a kill between two deeds."""
    if not folder.is_dir():
        return []
    return [int(path.name) for path in folder.iterdir() if path.name.isascii() and path.name.isdecimal()]


def _newest(folder: Path) -> Path | None:
    try:
        number = max(_numbers(folder), default=None)
    except OSError as error:
        raise _unreadable(folder, error) from error
    return None if number is None else folder / str(number)


def _read(folder: str | os.PathLike[str]) -> tuple[Path, dict[str, Any]]:
    """The newest checkpoint, found undamaged, and what its meta file says."""
    folder = Path(folder).absolute()
    checkpoint = _newest(folder)
    if checkpoint is None:
        raise CheckpointError(f"{folder} holds no checkpoint; start without --resume or name a run that was saved")
    try:
        recorded = (checkpoint / SUMS).read_bytes().splitlines(keepends=True)
        actual = _sums(checkpoint)
        if recorded != actual:
            differing = sorted(set(actual) - set(recorded)) or sorted(set(recorded) - set(actual)) or [SUMS.encode()]
            name = differing[0].split()[-1].decode(errors="backslashreplace")
            raise _damaged(checkpoint, f"{name if name.isprintable() else SUMS} is not as {SUMS} has it")
        content = json.loads((checkpoint / META).read_bytes())
    except (ValueError, RecursionError) as error:
        raise _damaged(checkpoint, f"{META} is no JSON") from error
    except FileNotFoundError as error:
        raise _damaged(checkpoint, f"{SUMS} is missing") from error
    except OSError as error:
        raise _unreadable(checkpoint, error) from error
    if depth(content) > DEEPEST or not conforms(content, _Content):
        raise _damaged(checkpoint, f"{META} does not say what was saved")
    return checkpoint, content


def _damaged(checkpoint: Path, what: str) -> CheckpointError:
    return CheckpointError(
        f"the checkpoint {checkpoint} is damaged: {what}; it was left untouched: "
        "put an intact copy in its place, or start over in another folder"
    )


def _unreadable(path: Path, error: OSError) -> CheckpointError:
    return CheckpointError(f"cannot read the checkpoint {path}: {error.strerror or error}; it was left untouched")


def _sums(checkpoint: Path) -> list[bytes]:
    """A line with digest and name for every file of the checkpoint but the one that holds these lines."""
    lines = []
    for path in sorted(path for path in checkpoint.rglob("*") if path.is_file() and path != checkpoint / SUMS):
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        lines.append(f"{digest}  {path.relative_to(checkpoint).as_posix()}\n".encode())
    return lines


def _digest(arrays: Sequence[np.ndarray]) -> str:
    """One sha256 over the dtypes, shapes and bytes of all arrays, in order."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype} {array.shape} ".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _describe(path: tuple[Any, ...], leaf: Any) -> dict[str, Any]:
    """What tells a leaf from another run's, for arrays and abstract ones alike."""
    return {"path": jax.tree_util.keystr(path), "dtype": str(leaf.dtype), "shape": list(leaf.shape)}


def _difference(there: list[dict[str, Any]], here: list[dict[str, Any]]) -> str:
    """The first difference of two unequal descriptions, in words."""
    saved, asked = ({leaf["path"]: f"{leaf['dtype']}{leaf['shape']}" for leaf in leaves} for leaves in (there, here))
    for path in saved | asked:
        if saved.get(path) != asked.get(path):
            return f"{path} is {saved.get(path, 'absent')} there and {asked.get(path, 'absent')} here"
    return "the same arrays in another order"


def _is_key(leaf: jax.Array) -> bool:
    return jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _to_host(run: Any) -> tuple[list[dict[str, Any]], list[np.ndarray]]:
    """What each leaf is, and its numbers gathered from the devices; a typed key's are its raw data."""
    leaves, numbers = [], []
    for path, leaf in jax.tree.leaves_with_path(run):
        if not isinstance(leaf, jax.Array):
            raise TypeError(f"a run holds only JAX arrays, but {jax.tree_util.keystr(path)} is {type(leaf).__name__}")
        key = str(jax.random.key_impl(leaf)) if _is_key(leaf) else None
        leaves.append(_describe(path, leaf) | {"key": key})
        numbers.append(leaf if key is None else jax.random.key_data(leaf))
    return leaves, [np.asarray(array) for array in jax.device_get(numbers)]


def _to_device(array: np.ndarray, key: str | None) -> jax.Array:
    """An array that owns its memory: XLA does not reuse what it shares with numpy, donated or not."""
    with jax.enable_x64(True):  # otherwise a float64 that was saved under this setting comes back as float32 without it
        placed = jnp.array(array, copy=True)  # device_put shares even when told not to
    return placed if key is None else jax.random.wrap_key_data(placed, impl=key)


def _reserve(path: Path, size: int) -> None:
    """Finds out, at once and with the system's own words, whether ``size`` bytes still fit.

    A disk that fills while orbax writes is an error as well, but a late one, from threads of its own that all print
    theirs: that is what remains on systems that cannot reserve, such as macOS.
    """
    if not hasattr(os, "posix_fallocate"):
        return
    with path.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(size, 1))
    path.unlink()


@contextmanager
def _orbax() -> Iterator[Any]:
    """An orbax checkpointer for a dictionary of numpy arrays; its errors are raised and not logged besides."""
    import orbax.checkpoint as ocp

    # absl is what orbax logs through, and nothing else here does
    log = logging.getLogger("absl")
    level = log.level
    log.setLevel(logging.CRITICAL + 1)
    hook, sys.unraisablehook = sys.unraisablehook, _Late(sys.unraisablehook)
    try:
        # one database file for all arrays instead of two files for each: half the time to read it back
        with ocp.Checkpointer(ocp.PyTreeCheckpointHandler(use_ocdbt=True)) as checkpointer:
            yield checkpointer
        sys.unraisablehook = hook  # after an error it stays: threads that went on may still come to theirs
    finally:
        log.setLevel(level)


class _Late:
    """A `sys.unraisablehook` that leaves out what threads of orbax's storage tell an event loop that has ended.

    It ended with the first error of a save, which is raised; theirs are the same once more.
    """

    def __init__(self, hook: Callable[[Any], Any]):
        self.hook: Callable[[Any], Any] = hook.hook if isinstance(hook, _Late) else hook

    def __call__(self, unraisable: Any) -> None:
        if str(unraisable.exc_value) != "Event loop is closed":
            self.hook(unraisable)


def _write_arrays(path: Path, arrays: Sequence[np.ndarray]) -> None:
    """Each array under its number; orbax takes no array without elements, and there is nothing in it to save."""
    import orbax.checkpoint as ocp

    try:
        with _orbax() as checkpointer:
            item = {str(number): array for number, array in enumerate(arrays) if array.size}
            checkpointer.save(path, args=ocp.args.PyTreeSave(item))
    except OSError:
        raise
    except Exception as error:  # its storage library reports a refused write as ValueError, RuntimeError, ...
        raise UserError(
            f"cannot write {path.parent.parent}: {_one_line(error)}; the checkpoint before is intact"
        ) from error


def _read_arrays(path: Path, leaves: Sequence[dict[str, Any]]) -> list[np.ndarray]:
    try:
        with _orbax() as checkpointer:
            item = checkpointer.restore(path)
    except Exception as error:  # the files are as they were written, so this orbax cannot read what that one wrote
        raise CheckpointError(
            f"orbax cannot read the checkpoint {path.parent}: {_one_line(error)}; it was left untouched: "
            "resume with the versions of the packages it was made with"
        ) from error
    return [
        np.asarray(item[str(number)]) if 0 not in leaf["shape"] else np.zeros(leaf["shape"], leaf["dtype"])
        for number, leaf in enumerate(leaves)
    ]


def _one_line(error: Exception) -> str:
    """What an error of orbax's storage says, without the pages on how it was set up; the system's own words if any."""
    said = " ".join(str(error).split())
    system = re.search(r"os_error_code=\W*([0-9]+)", said)
    return os.strerror(int(system[1])) if system else said[:200] or type(error).__name__
