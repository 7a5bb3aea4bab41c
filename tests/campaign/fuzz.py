"""Broken bytes: mutated files of every format that is read, each of which must be read or refused.

A try is lost where anything but a result or the reader's own error comes of it, a warning or a hang, where it takes
more than 1 GiB, or touches a file that it has not to do with.
"""

import os
import random
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path

from . import Try
from .formats import FORMATS, Format
from .watch import watched


def tries(count: int, folder: Path, seed: int = 0, formats: Iterable[str] | None = None) -> Iterator[Try]:
    """``count`` broken files of each of the formats, all of them where none are named."""
    before = os.environ.get("XDG_CACHE_HOME")
    try:
        for name in FORMATS if formats is None else formats:
            place = folder / name
            place.mkdir(parents=True)
            os.environ["XDG_CACHE_HOME"] = str(place / "cache")  # where reviews are kept as rows of ids
            for tried in _of(FORMATS[name], place, (f"{seed}-{name}-{number}" for number in range(count))):
                yield tried._replace(sort=name)
    finally:
        if before is None:
            del os.environ["XDG_CACHE_HOME"]
        else:
            os.environ["XDG_CACHE_HOME"] = before


def _of(form: Format, folder: Path, seeds: Iterable[str]) -> Iterator[Try]:
    valid = form.begin(folder)
    form.settle(folder)
    form.read(folder)  # what is whole is read, and all that is imported for that is there from now on
    for seed in seeds:
        rng = random.Random(seed)
        file = rng.choice(sorted(valid))
        broken = form.mutation(rng, valid[file])
        (folder / file).write_bytes(broken)
        form.settle(folder)
        yield Try(f"{file} of seed {seed}, {len(broken)} bytes", _lost(form, folder))
        (folder / file).write_bytes(valid[file][0])


def _lost(form: Format, folder: Path) -> str:
    error = ""
    with watched(folder) as odd:
        try:
            form.read(folder)
        except form.refusals as refusal:
            said = str(refusal)
            if not said.strip() or len(said.splitlines()) != 1:
                error = f"refused, but not in one line: {said!r:.300}"
        except Exception as raised:
            last = traceback.extract_tb(raised.__traceback__)
            ours = [
                at
                for at in last
                if "jaxrnn" in at.filename or "experiments" in at.filename or "campaign" in at.filename
            ]
            where = (ours or list(last))[-1]
            error = f"{type(raised).__name__}: {raised} ({Path(where.filename).name}:{where.lineno})"[:500]
    return "; ".join([*filter(None, [error]), *odd()])
