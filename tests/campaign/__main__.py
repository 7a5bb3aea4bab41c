"""The command that runs the campaign, and prints what became of it: ``python -m tests.campaign``."""

import importlib
import json
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Literal

import tyro
from rich.console import Console
from rich.table import Table

from .programs import ROOT

KINDS = {
    "kills": (200, "kills of training, each gone on with to the same numbers"),
    "limits": (50, "full disks, read-only folders, limits of files and memory"),
    "processes": (20, "one of two processes killed, or refused"),
    "fuzz": (10_000, "broken bytes of each format"),
    "shapes": (50_000, "random contents of layers under masks and resets"),
    "overflow": (2_000, "numbers that overflow amid training"),
    "same": (40, "commands in other surroundings"),
    "versions": (7, "the suite with other versions of Python and of the packages"),
    "soak": (120, "minutes of training and sweeping in one process"),
}
"""How much of each kind is done, and what it is."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Do to jaxrnn what can befall it, many times, and count what was lost.

    Prints a table, and keeps it in campaign.json with the date and the commit; kinds that were run before stay there.
    All of it takes some ten hours on 2 CPU cores.
    """

    only: tuple[Literal[tuple(KINDS)], ...] = tuple(KINDS)  # type: ignore[valid-type]
    """Kinds of harm."""
    count: int | None = None
    """How much of each kind; where not given, as much as in the README's table."""
    seed: int = 0
    """Another seed makes other tries."""
    out: Path = Path("runs/campaign")
    """Folder for campaign.json, and for what was lost, to be looked at."""


def main(settings: Settings) -> int:
    """Run the kinds; the number of tries in which something was lost."""
    settings.out.mkdir(parents=True, exist_ok=True)
    record = settings.out / "campaign.json"
    rows = json.loads(record.read_text()) if record.exists() else {}
    for kind in settings.only:
        count = KINDS[kind][0] if settings.count is None else settings.count
        rows |= {name: counted.row() for name, counted in run(kind, count, settings).items()}
        record.write_text(json.dumps(rows, indent=2, ensure_ascii=False) + "\n")
    Console().print(table(rows))
    return sum(row["lost"] for row in rows.values())


@dataclass
class Counted:
    """The tries of a kind so far."""

    tried: int = 0
    lost: int = 0
    seconds: float = 0.0

    def row(self) -> dict[str, object]:
        """As it is kept."""
        words = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--exclude=*"]
        commit = subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
        return {
            "tried": self.tried,
            "survived": self.tried - self.lost,
            "lost": self.lost,
            "minutes": round(self.seconds / 60, 1),
            "date": datetime.now(UTC).date().isoformat(),
            "commit": commit,
        }


def run(kind: str, count: int, settings: Settings) -> dict[str, Counted]:
    """The tries of a kind, by their row of the table."""
    counted: dict[str, Counted] = {}
    folder = Path(tempfile.mkdtemp(prefix=f"{kind}."))
    began, lost = time.monotonic(), 0
    for number, one in enumerate(module(kind).tries(count, folder, settings.seed), 1):
        name = f"{kind}: {one.sort}" if one.sort else kind
        row = counted.setdefault(name, Counted())
        row.tried += 1
        row.lost += bool(one.lost)
        row.seconds += time.monotonic() - began
        began = time.monotonic()
        if one.lost:
            lost += 1
            print(f"{kind}, lost: {one.what}: {one.lost}", flush=True)
        elif number % max(1, count // 20) == 0:
            print(f"{kind}: {number} tried, {lost} lost; the last one: {one.what}", flush=True)
    if lost:
        shutil.move(folder, settings.out / folder.name)
    else:
        shutil.rmtree(folder)
    return counted


def module(kind: str) -> ModuleType:
    """Where a kind is."""
    return importlib.import_module(f".{kind}", __package__)


def table(rows: dict[str, dict[str, object]]) -> Table:
    """What became of each kind."""
    made = Table(title="The reliability campaign", title_justify="left")
    for column in ("kind", "tried", "survived", "lost", "minutes", "date", "commit"):
        made.add_column(column, justify="right" if column in ("tried", "survived", "lost", "minutes") else "left")
    for name, row in rows.items():
        made.add_row(name, *(f"{value:,}" if isinstance(value, int) else str(value) for value in row.values()))
    return made


if __name__ == "__main__":
    sys.exit(bool(main(tyro.cli(Settings, prog="python -m tests.campaign", config=(tyro.conf.FlagCreatePairsOff,)))))
