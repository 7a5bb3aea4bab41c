"""Run folders made by hand, for tests of what reads them."""

import io
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from jaxrnn import runfolder


def a_run(folder: Path, experiment: str, **changes: Any) -> dict[str, Any]:
    """A finished run with two metrics of three runs each, a history of three epochs and a figure, but for what is
    changed in its result; returns the result."""
    folder.mkdir(parents=True)
    runfolder.write_json(folder / "config.json", {"quick": False})
    rows = [
        {"run": run, "epoch": epoch, "test_accuracy": 0.5 + 0.1 * epoch + 0.01 * run, "test_loss": 1 / epoch}
        for epoch in (1, 2, 3)
        for run in (0, 1, 2)
    ]
    runfolder.write_csv(folder / "history.csv", rows)
    result = {
        "experiment": experiment,
        "command": f"python -m experiments.{experiment}",
        "finished": True,
        "dataset": {"name": "mnist", "source": "idx files", "train": 60000, "test": 10000},
        "config": {"quick": False, "hidden": 150, "clip_norm": None},
        "parameters": 82510,
        "metrics": {
            "test_accuracy": runfolder.metric([0.80, 0.81, 0.82]),
            "test_loss": runfolder.metric([1 / 3, 1 / 3, 1 / 3]),
        },
        "reference": [{"what": "the paper", "metric": "test_accuracy", "value": 0.7432, "note": "20 epochs"}],
        "answers": {},
        "seconds": {"total": 90.0, "compile": 5.0, "train": 80.0},
        "device": "2 x cpu",
        "made": "2026-11-26T12:00:00+00:00",
        "versions": {"jax": "0.10.2"},
    } | changes
    runfolder.write_json(folder / "result.json", result)
    (folder / "learning_curves.png").write_bytes(png(f"{experiment} in {folder.name}"))
    return result


def png(title: str) -> bytes:
    """A small figure, another one for each title."""
    figure = Figure(figsize=(2, 1.2))
    axes = figure.subplots()
    axes.plot([0, 1, len(title) % 7])
    axes.set(xlabel="epoch", ylabel="accuracy (%)")
    figure.suptitle(title)
    image = io.BytesIO()
    words = {"Title": title, "Description": runfolder.described(figure)}
    figure.savefig(image, format="png", metadata=words)
    return image.getvalue()
