"""Long runs: hours of training and sweeping in one process, whose memory, speed, handles and threads must not change.

python -m tests.campaign.soak FOLDER SECONDS
"""

import csv
import gc
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from . import Try
from .programs import ENVIRONMENT, ROOT

GROWTH = {"resident memory": 1.05, "processor seconds of a round": 1.15, "open files": 1.0, "threads": 1.2}
"""How many times as much there may be in the last tenth of a soak as in the first; pools of threads breathe."""

ROUND = (
    ("char_lm", ["--quick", "--stateful", "--steps", "40", "--every", "8"]),
    ("sweep", ["mnist_gru", "--quick", "--epochs", "2"]),
)
"""What is done again and again."""


def tries(count: int, folder: Path, seed: int = 0) -> Iterator[Try]:
    """A soak of ``count`` minutes, and what it must not change."""
    samples = folder / "samples.csv"
    words = [sys.executable, "-m", "tests.campaign.soak", str(folder), str(60 * count)]
    ended = subprocess.run(words, cwd=ROOT, env=os.environ | ENVIRONMENT, capture_output=True, text=True)
    if ended.returncode:
        yield Try(f"a soak of {count} minutes", f"it ended with {ended.returncode}: {ended.stderr[-500:]}")
        return
    with open(samples) as file:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    yield from judged(rows, count)


def judged(rows: Sequence[Mapping[str, float]], minutes: float) -> Iterator[Try]:
    """What the samples of a soak say. The first round compiles, and is no part of the first tenth."""
    rows = rows[1:]
    tenth = max(1, len(rows) // 10)
    for name, factor in GROWTH.items():
        first, last = (statistics.median(row[name] for row in part) for part in (rows[:tenth], rows[-tenth:]))
        what = f"{name} in {minutes:g} minutes, {len(rows)} rounds: {first:.6g} to {last:.6g}"
        yield Try(what, "" if last <= factor * first else f"{last / first:.3f} times as much in the end")


def main(folder: Path, seconds: float) -> None:
    """Do rounds for so long, and write a row of ``samples.csv`` after each."""
    import psutil

    from experiments import char_lm, sweep
    from jaxrnn.command import command, keep_memory

    os.nice(19)  # it takes what is left of the processor, for as long as it is to take
    keep_memory()
    process, began, rows = psutil.Process(), time.monotonic(), list[dict[str, float]]()
    while time.monotonic() - began < seconds:
        spent = time.process_time()
        with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
            for name, words in ROUND:
                words = [*words, "--out", str(folder / name)]
                code = sweep.run(words) if name == "sweep" else command(name, char_lm.Settings, char_lm.main, words)
                if code:
                    raise SystemExit(f"{name} ended with {code}")
                shutil.rmtree(folder / name)
        spent = time.process_time() - spent
        gc.collect()
        rows.append(
            {
                "seconds": time.monotonic() - began,
                "processor seconds of a round": spent,
                "resident memory": process.memory_info().rss,
                "open files": process.num_fds(),
                "threads": process.num_threads(),
                "maps of memory": len(process.memory_maps(grouped=False)),
            }
        )
        with open(folder / "samples.csv", "w") as file:
            table = csv.DictWriter(file, list(rows[0]))
            table.writeheader()
            table.writerows(rows)


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]))
