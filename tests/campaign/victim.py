"""A command that is struck amid its own work: the program that the campaign starts in the command's place.

python -m tests.campaign.victim WHAT TIMES MOMENT DELAY OUT COMMAND WORDS ...

WHAT befalls it, a signal or the folder OUT becoming read-only, comes TIMES times, DELAY seconds after the command has
for the MOMENT-th time made, opened, renamed or removed something in OUT: at 0 seconds just before that, a little later
amid it. It saves after every step, so that there is always something to hit. How often it did so, if it comes to an
end, is its last word.
"""

import os
import runpy
import signal
import subprocess
import sys
import threading
from typing import Any

DEEDS = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


class Struck:
    """An audit hook that strikes."""

    def __init__(self, what: str, times: int, moment: int, delay: float, out: str):
        self.what, self.times, self.moment, self.delay, self.out = what, times, moment, delay, out
        self.deeds = 0

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event not in DEEDS or event == "open" and not (arguments[2] or 0) & WRITING:
            return
        path = arguments[0]
        # what is removed with a folder that is held open has the last part of its name alone
        if not isinstance(path, str | os.PathLike) or os.path.isabs(path) and self.out not in os.fspath(path):
            return
        self.deeds += 1
        if self.deeds == self.moment:
            for number in range(self.times):
                self.strike(self.delay * (1 + number))

    def strike(self, delay: float) -> None:
        if delay:
            threading.Timer(delay, self.strike, (0.0,)).start()
        elif self.what != "read-only":
            os.kill(os.getpid(), signal.Signals[self.what])
        else:  # laid over the folder: it cannot be made so itself as long as a file in it is open for writing
            subprocess.run(["mount", "--bind", self.out, self.out], check=True)
            subprocess.run(["mount", "-o", "remount,bind,ro", self.out], check=True)


def main(words: list[str]) -> None:
    what, times, moment, delay, out, command, *rest = words
    struck = Struck(what, int(times), int(moment), float(delay), out)

    from jaxrnn import study, train
    from jaxrnn.sweeps import training

    study.SAVE_SECONDS = training.SAVE_SECONDS = train.SEGMENT_SECONDS = 0.0
    sys.argv = [f"experiments.{command}", *rest]
    sys.addaudithook(struck)
    try:
        runpy.run_module(f"experiments.{command}", run_name="__main__", alter_sys=True)
    finally:
        print(struck.deeds, file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1:])
