"""Limits: commands that train meet a full disk, a folder that becomes read-only, and limits of files and memory.

A command that meets one says so in one line, or where the system itself ends it, ends with no zero; and without the
limit it goes on from what was saved to the numbers of a run that met none.
"""

import json
import os
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from . import Try
from .kills import Whole, undisturbed
from .programs import PATIENCE, TRAINING, Strike, last_words, make_data, started, typed
from .same import difference, left_behind

NAMESPACE = ("unshare", "--mount", "--map-root-user")
"""Where a file system can be mounted that nobody else sees, and by anyone."""


class Limit(NamedTuple):
    """A limit for one try."""

    sort: str
    said: str
    told: bool
    """Whether the command can say what is wrong, and must."""
    prefix: Sequence[str] = ()
    strike: Strike = Strike()


def full_disk(dice: random.Random, whole: Whole, out: Path) -> Limit:
    """A file system with room for a part of what the run writes; what is on it is copied away when the command ends."""
    begun = sum(4 + path.stat().st_size // 1024 for path in out.rglob("*"))
    size = begun + dice.randint(4, 400)
    script = """
        disk=$1; size=$2; shift 2
        mkdir -p "$disk" && mv "$disk" "$disk.begun" && mkdir "$disk" "$disk.kept" || exit 99
        mount -t tmpfs -o size="${size}k" tmpfs "$disk" && cp -a "$disk.begun/." "$disk" || exit 99
        rm -r "$disk.begun"
        "$@"; code=$?
        cp -a "$disk/." "$disk.kept/"; exit $code
    """
    return Limit("full disk", f"a disk of {size} kB", True, (*NAMESPACE, "sh", "-c", script, "sh", str(out), str(size)))


def read_only(dice: random.Random, whole: Whole, out: Path) -> Limit:
    """The run's folder becomes read-only amid its work."""
    strike = Strike("read-only", 1, dice.randint(1, whole.deeds), dice.choice([0.0, dice.uniform(0, 0.03)]))
    said = f"read-only {1000 * strike.delay:.0f} ms after deed {strike.moment} in the folder"
    return Limit("read-only folder", said, True, NAMESPACE, strike)


def large_files(dice: random.Random, whole: Whole, out: Path) -> Limit:
    """No file may be larger than some size."""
    size = dice.randint(0, 40_000)
    return Limit("file size", f"files of {size} bytes at most", True, ("prlimit", f"--fsize={size}"))


def open_files(dice: random.Random, whole: Whole, out: Path) -> Limit:
    """A process may have no more than some files open."""
    count = dice.randint(4, 40)
    return Limit("open files", f"{count} open files at most", False, ("prlimit", f"--nofile={count}"))


def memory(dice: random.Random, whole: Whole, out: Path) -> Limit:
    """A process may have no more than some memory."""
    size = dice.randint(100, 3000)
    return Limit("memory", f"{size} MB of memory at most", False, ("prlimit", f"--as={size << 20}"))


Kind = Callable[[random.Random, Whole, Path], Limit]

LIMITS: tuple[Kind, ...] = (full_disk, read_only, large_files, open_files, memory)


def tries(count: int, folder: Path, seed: int = 0) -> Iterator[Try]:
    """So many commands, each under a limit of its own."""
    dice, data = random.Random(seed), make_data(folder)
    kinds = LIMITS if mounts() else LIMITS[2:]
    names, whole, number = [*TRAINING], dict[str, Whole](), 0
    while number < count:
        name = names[number // len(kinds) % len(names)]
        if name not in whole:
            whole[name] = undisturbed(typed(name, data), folder / f"whole {name}")
        out = folder / f"limited {name}"
        done = limited(whole[name], out, kinds[number % len(kinds)], dice)
        if done is not None:  # what a run has never met is no try
            yield done._replace(what=f"{name}, {done.what}")
            number += 1
        if done is not None and done.lost:
            out.rename(folder / f"lost {number}")
        else:
            shutil.rmtree(out)


def mounts() -> bool:
    """Whether this system lets us mount."""
    if shutil.which("unshare") is None:
        return False
    return subprocess.run([*NAMESPACE, "true"], capture_output=True).returncode == 0


def limited(whole: Whole, out: Path, kind: Kind, dice: random.Random) -> Try | None:
    """What came of a command that has met the limit and gone on without it; None where it was never met.

    Half of the commands go on with a run that was stopped before.
    """
    resume = dice.random() < 0.5
    if resume:
        ended(started(whole.words, out, Strike("SIGTERM", 1, dice.randint(whole.deeds // 4, whole.deeds))))
    saved = steps(out)
    met = kind(dice, whole, out)
    what = f"{met.said}, {'going on' if resume else 'beginning'}"
    process = started(whole.words, out, met.strike, resume=resume, prefix=met.prefix)
    code, said = ended(process)
    keep(out)
    if code == 0:
        odd = difference(left_behind(out), whole.left)
        return Try(what, odd, met.sort) if odd else None
    lines = [line for line in said.splitlines() if line.startswith("python -m experiments.")]
    if met.told and (code != 2 or len(lines) != 1 or "Traceback" in said):
        return Try(what, f"it ended with {code}: {last_words(said)}", met.sort)
    after = steps(out)
    if any(after.get(checkpoint, -1) < step for checkpoint, step in saved.items()):
        return Try(what, f"steps that were saved, {saved}, were lost: {after}", met.sort)
    for again in (True, False):
        code, said = ended(started(whole.words, out, resume=again))
        if code != 2 or "nothing to resume" not in said:
            break
    if code:
        return Try(what, f"without the limit it ended with {code}: {last_words(said)}", met.sort)
    return Try(what, difference(left_behind(out), whole.left), met.sort)


def steps(out: Path) -> dict[str, int]:
    """How far each of a run's checkpoints has come."""
    newest: dict[str, int] = {}
    for meta in out.rglob("checkpoint/*/meta.json"):
        if meta.parent.name.isdecimal():
            saved = json.loads(meta.read_bytes())["meta"]
            place = str(meta.parents[1].relative_to(out))
            newest[place] = max(newest.get(place, 0), 1000 * saved["epoch"] + saved["step"])
    return newest


def keep(out: Path) -> None:
    """Puts what was copied away from a disk that is no more where the disk was."""
    if (there := out.with_name(f"{out.name}.kept")).exists():
        shutil.rmtree(out)
        there.rename(out)


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """How a command ends, and what it says; ends it where it hangs."""
    try:
        said = process.communicate(timeout=PATIENCE)[1]
    except subprocess.TimeoutExpired:
        process.kill()
        return os.EX_TEMPFAIL, f"it hangs: {process.communicate()[1]}"
    return process.returncode, said
