"""Several processes: two share a sweep and one of them is killed; and two want the same folder.

The survivor keeps and finishes its share, ends with no zero, and says what is missing; one process with ``--resume``
then completes the sweep to the numbers of one that was never shared. Of two on a folder, the second is refused.
"""

import random
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from . import Try
from .kills import Whole, undisturbed
from .limits import ended
from .programs import Strike, last_words, make_data, started, typed
from .same import difference, left_behind


def tries(count: int, folder: Path, seed: int = 0) -> Iterator[Try]:
    """So many times two processes, of which one is killed, or else refused."""
    dice, data = random.Random(seed), make_data(folder)
    whole = undisturbed(typed("sweep", data), folder / "whole")
    for number in range(count):
        out = folder / f"shared {number}"
        sort, happens = ("a second one", refused) if number % 2 else ("one of two killed", one_killed)
        what, odd = happens(whole, out, dice)
        yield Try(what, odd, sort)
        if not odd:
            shutil.rmtree(out)


def one_killed(whole: Whole, out: Path, dice: random.Random) -> tuple[str, str]:
    """What happened, and what is wrong after the survivor has ended and one process has completed the sweep."""
    victim, moment = dice.randrange(2), dice.randint(5, whole.deeds // 3)  # each does about a half
    strikes = [Strike("SIGKILL", 1, moment) if index == victim else Strike() for index in range(2)]
    coordinator = ["--coordinator", f"localhost:{free_port()}", "--processes", "2"]
    processes = [
        started([*whole.words, *coordinator, "--process", str(index)], out, strike)
        for index, strike in enumerate(strikes)
    ]
    (fate, _), (code, said) = (ended(processes[index]) for index in (victim, 1 - victim))
    what = f"process {victim} of 2 killed at deed {moment} in the folder"
    early = fate == 0 and code == 0  # it had ended before it was killed
    if not early and (code != 2 or f"process {victim} has ended" not in said) and not (victim == 0 and code == 0):
        return what, f"the survivor ended with {code}: {last_words(said)}"
    done = {path: path.read_bytes() for path in out.glob("chunks/*/shard.json")}
    code, said = ended(started(whole.words, out, resume=True))
    if code:
        return what, f"one process that went on ended with {code}: {last_words(said)}"
    if any(path.read_bytes() != shard for path, shard in done.items()):
        return what, "what was done has been done again"
    return what, difference(left_behind(out), whole.left)


def refused(whole: Whole, out: Path, dice: random.Random) -> tuple[str, str]:
    """Another process comes to a folder where one is at work, with or without ``--resume``."""
    resume = dice.random() < 0.5
    what = f"a second process, with{'' if resume else 'out'} --resume"
    first = started(whole.words, out)
    while not (out / "config.json").exists() and first.poll() is None:
        time.sleep(0.01)
    code, said = ended(started(whole.words, out, resume=resume))
    first_code, first_said = ended(first)
    if code != 2 or "another process is at work in" not in said:
        return what, f"it ended with {code}: {last_words(said)}"
    if first_code:
        return what, f"the first one ended with {first_code}: {last_words(first_said)}"
    return what, difference(left_behind(out), whole.left)


def free_port() -> int:
    """One that nobody listens at now."""
    with socket.socket() as one:
        one.bind(("localhost", 0))
        return one.getsockname()[1]
