"""The command that runs the campaign, and prints what became of it: ``python -m tests.campaign``."""

import importlib
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Literal

import tyro
from rich.console import Console
from rich.table import Table

from jaxrnn import runfolder
from jaxrnn.study import SAVE_SECONDS

KINDS = {
    "kills": 200,
    "limits": 50,
    "processes": 20,
    "fuzz": 10_000,  # of each format
    "shapes": 50_000,
    "overflow": 2_000,
    "same": 40,
    "versions": 7,  # environments
    "soak": 120,  # minutes
}
"""How much of each kind is done; each is a module beside this one."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Do to jaxrnn what can befall it, many times, and count what was lost.

    Prints a table, and keeps it in campaign.json with the date and the commit; kinds that were run before stay there.
    All of it takes some ten hours on 2 CPU cores.
    """

    only: tuple[Literal[tuple(KINDS)], ...] = tuple(KINDS)  # type: ignore[valid-type]
    """Kinds of harm."""
    count: int | None = None
    """How much of each kind; where not given, all."""
    seed: int = 0
    """Another seed makes other tries."""
    out: Path = Path("runs/campaign")
    """Folder for campaign.json, and for what was lost, to be looked at."""


@runfolder.holding()
def main(settings: Settings) -> int:
    """Run the kinds, and keep the table meanwhile; the number of tries in which something was lost."""
    out = runfolder.open_folder(settings.out)
    runfolder.hold(out)
    record = out / "campaign.json"
    rows = runfolder.read_json(record) if record.exists() else {}
    for kind in settings.only:
        count = KINDS[kind] if settings.count is None else settings.count
        due = time.monotonic() + SAVE_SECONDS
        try:
            for counted in run(kind, count, settings.seed, out):
                rows |= {name: row.kept() for name, row in counted.items()}
                if time.monotonic() > due:
                    runfolder.write_json(record, rows)
                    due = time.monotonic() + SAVE_SECONDS
        finally:
            runfolder.write_json(record, rows)
    Console().print(table(rows))
    return sum(row["lost"] for row in rows.values())


@dataclass
class Counted:
    """The tries of a kind so far."""

    tried: int = 0
    lost: int = 0
    seconds: float = 0.0

    def kept(self) -> dict[str, object]:
        """As it is kept."""
        return {
            "tried": self.tried,
            "survived": self.tried - self.lost,
            "lost": self.lost,
            "minutes": round(self.seconds / 60, 1),
            "date": datetime.now(UTC).date().isoformat(),
            "commit": runfolder.versions().get("commit", ""),
        }


def run(kind: str, count: int, seed: int, out: Path) -> Iterator[dict[str, Counted]]:
    """The tries of a kind so far, by their row of the table, after each; what was lost is moved to ``out``."""
    counted: dict[str, Counted] = {}
    folder = Path(tempfile.mkdtemp(prefix=f"{kind}."))
    began, lost = time.monotonic(), 0
    try:
        for number, one in enumerate(module(kind).tries(count, folder, seed), 1):
            row = counted.setdefault(f"{kind}: {one.sort}" if one.sort else kind, Counted())
            row.tried += 1
            row.lost += bool(one.lost)
            row.seconds += time.monotonic() - began
            began = time.monotonic()
            if one.lost:
                lost += 1
                print(f"{kind}, lost: {one.what}: {one.lost}", flush=True)
            elif number % max(1, count // 20) == 0:
                print(f"{kind}: {number} tried, {lost} lost; the last one: {one.what}", flush=True)
            yield counted
    finally:
        if lost:
            shutil.move(folder, out / folder.name)
        else:
            shutil.rmtree(folder)


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
