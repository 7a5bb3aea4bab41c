"""The commands as programs of their own, as the campaign starts them."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from experiments import benchmark_commands
from jaxrnn.data import mnist

ROOT = Path(__file__).parents[2]
"""Where the commands are found."""

ENVIRONMENT = {"MPLBACKEND": "agg", "COLUMNS": "120"}
"""What they have of the environment besides their parent's."""

PATIENCE = 900
"""Seconds after which what is waited for is taken to hang, on however busy a machine."""

TRAINING = {
    "mnist": "mnist_gru --epochs 8 --hidden 8 --seeds 2 --batch 512 --data-dir {data}",
    "text": "char_lm --quick --stateful --steps 20 --every 4 --hidden 16 --seeds 2 --text-file {data}/text.txt",
    "sweep": "sweep mnist_rnn --epochs 4 --hidden 8 --batch 512 --grid learning_rate=1e-3,1e-2 --seeds 2 --halvings 1 "
    "--width 2 --data-dir {data}",
}
"""Commands that train for a while, as they are typed."""


class Strike(NamedTuple):
    """What befalls a command amid its work; see `victim`."""

    what: str = "nothing"
    """A signal's name, or ``read-only``."""
    times: int = 1
    moment: int = 0
    delay: float = 0.0


def make_data(folder: Path) -> Path:
    """What `TRAINING` reads: the digits in MNIST's files, and a text."""
    data = folder / "data"
    benchmark_commands.write_idx(data, mnist.load_digits("small files"))
    (data / "text.txt").write_text(" ".join(f"{n} times {n} is {n * n}." for n in range(1, 400)))
    return data


def typed(name: str, data: Path) -> list[str]:
    """The words of one of `TRAINING`."""
    return TRAINING[name].format(data=data).split()


def started(
    words: Sequence[str],
    out: Path,
    strike: Strike = Strike(),  # noqa: B008 - it is immutable
    *,
    resume: bool = False,
    prefix: Sequence[str] = (),
) -> subprocess.Popen[str]:
    """The command as a `victim`, after a prefix."""
    command = [*words, "--out", str(out), *(["--resume"] if resume else [])]
    return subprocess.Popen(
        [*prefix, sys.executable, "-m", "tests.campaign.victim", *map(str, strike), str(out), *command],
        cwd=ROOT,
        env=os.environ | ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def last_words(said: str) -> str:
    """The end of what was said, on one line."""
    return " ".join(said.split())[-600:]
