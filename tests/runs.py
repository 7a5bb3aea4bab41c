"""When two run folders hold the same run: shared by the tests that interrupt one."""

import csv
import json
from pathlib import Path


def bits(out):
    """What must be the same for two runs to be the same: everything but seconds, command and folder."""
    (newest,) = (path for path in (out / "checkpoint").iterdir() if path.name.isdecimal())
    saved = json.loads((newest / "meta.json").read_text())
    with open(out / "history.csv") as file:
        history = [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]
    result = json.loads((out / "result.json").read_text())
    return saved["digest"], history, {k: result[k] for k in ("metrics", "dataset", "parameters", "answers", "finished")}


def contents(folder):
    return {path: path.read_bytes() for path in sorted(Path(folder).rglob("*")) if path.is_file()}


def files(out):
    """The names of what a run has left in its folder, but for the lock."""
    return {path.name for path in out.iterdir()} - {".lock"}
