"""Kills: commands that train are ended by signals, again and again, and come to the numbers of one that was not.

Half of the signals come at any time from the start of the process on, the others amid the writing of a file (see
`victim`). Ctrl-C and SIGTERM come once, or once more while it saves.
"""

import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from . import Try
from .programs import PATIENCE, TRAINING, Strike, last_words, make_data, started, typed
from .same import difference, left_behind

IN_A_ROW = 4
"""So many kills befall a run before it may come to its end."""

SIGNALS = (("SIGKILL", 1), ("SIGTERM", 1), ("SIGINT", 1), ("SIGINT", 2))
"""What comes, and how often."""


class Whole(NamedTuple):
    """A command that was not killed."""

    words: list[str]
    left: dict[str, Any]
    seconds: float
    deeds: int
    """How often it made, opened, renamed or removed something in its folder."""


def tries(count: int, folder: Path, seed: int = 0) -> Iterator[Try]:
    """So many kills, of one command after the other."""
    dice, data = random.Random(seed), make_data(folder)
    names, whole, done = [*TRAINING], dict[str, Whole](), 0
    while done < count:
        name = names[done // IN_A_ROW % len(names)]
        if name not in whole:
            whole[name] = undisturbed(typed(name, data), folder / f"whole {name}")
        out = folder / f"killed {name}"
        kills, odd = killed(whole[name], out, min(IN_A_ROW, count - done), dice)
        for sort, kill in kills:
            yield Try(f"{name}, {sort} {kill}", odd, sort)
        done += len(kills)
        if odd:
            out.rename(folder / f"lost {done}")
        else:
            shutil.rmtree(out)


def undisturbed(words: list[str], out: Path) -> Whole:
    """The command when nothing befalls it."""
    began = time.monotonic()
    process = started(words, out)
    said = process.communicate()[1]
    if process.returncode:
        raise RuntimeError(f"{words[0]} ended with {process.returncode}: {last_words(said)}")
    return Whole(words, left_behind(out), time.monotonic() - began, int(said.split()[-1]))


def killed(whole: Whole, out: Path, kills: int, dice: random.Random) -> tuple[list[tuple[str, str]], str]:
    """Kill a command so many times, or until it has come to its end, and let it: the signals that came and when, and
    what is wrong then."""
    befell: list[tuple[str, str]] = []
    resume = False
    while True:
        last = len(befell) == kills
        name, times = dice.choice(SIGNALS)
        sort = name + " twice" * (times - 1)
        number, strike, wait = signal.Signals[name], Strike(), 0.0
        if last:
            how = "nothing"
        elif dice.random() < 0.5:
            wait = dice.uniform(0, whole.seconds)
            how = f"after {wait:.2f} s"
        else:
            strike = Strike(name, times, dice.randint(1, whole.deeds), dice.choice([0.0, dice.uniform(0, 0.03)]))
            how = f"{1000 * strike.delay:.0f} ms after deed {strike.moment} in its folder"
        process = started(whole.words, out, strike, resume=resume)
        for _ in range(times if wait else 0):
            with suppress(subprocess.TimeoutExpired):
                process.wait(wait)
            process.send_signal(number)
            wait = 0.05
        try:
            said = process.communicate(timeout=PATIENCE)[1]
        except subprocess.TimeoutExpired:
            process.kill()
            return [*befell, (sort, how)], f"it hangs: {last_words(process.communicate()[1])}"
        code = process.returncode
        if code == 0:
            return befell, difference(left_behind(out), whole.left)
        if code == 2 and resume and "nothing to resume" in said:
            resume = False  # as it says: it was killed before there was a folder
            continue
        traceback = "Traceback" in said.partition("Exception ignored in")[0]  # a second Ctrl-C may hit the very end
        if last or code not in (130, -number) or code == 130 and traceback:
            return [*befell, (sort, how)], f"it ended with {code}: {last_words(said)}"
        befell.append((sort, how))
        resume = True
