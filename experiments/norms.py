"""The gradient's norm at every step of training on palindromes, clipped and not: table and figure (U17).

Not a command itself: see `optimizers`.
"""

import math
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from experiments.palindrome import PalindromeSettings, study
from jaxrnn import runfolder
from jaxrnn.plots import clipping
from jaxrnn.study import run_keys
from jaxrnn.train import fit


class Trace(NamedTuple):
    """Every training step of runs that are clipped and of the same runs that are not: ``(2, runs, steps)``.

    NaN from where a run's loss or gradient is not finite.
    """

    norm: np.ndarray
    """The gradient's, before it is clipped."""
    update: np.ndarray
    """The norm of the step that the weights take."""
    loss: np.ndarray

    def share_above(self, limit: float) -> np.ndarray:
        """The share of each run's steps at which the norm is larger, ``(2, runs)``."""
        return np.mean(self.norm > limit, axis=-1)

    def update_there(self) -> np.ndarray:
        """The update at each run's step with the largest norm, ``(2, runs)``."""
        step = np.where(np.isfinite(self.norm), self.norm, -np.inf).argmax(-1)
        return np.take_along_axis(self.update, step[..., None], -1)[..., 0]

    def last_loss(self) -> np.ndarray:
        """The mean of each run over the last tenth of the steps, ``(2, runs)``; NaN for one that failed."""
        return self.loss[..., -max(self.loss.shape[-1] // 10, 1) :].mean(-1)


def largest(values: np.ndarray) -> np.ndarray:
    """The largest finite value along the last axis; NaN where there is none."""
    found = np.where(np.isfinite(values), values, -np.inf).max(-1)
    return np.where(np.isfinite(found), found, np.nan)


def median(values: np.ndarray) -> float:
    """Of the finite values; NaN where there are none."""
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if finite.size else math.nan


def follow(settings: PalindromeSettings) -> Trace:
    """Train ``settings.seeds`` runs with the gradient clipped and the same ones without, and look at every step."""
    one = study(replace(settings, every=1))  # an epoch of the history is a step
    clips, seeds = (settings.clip_norm, math.inf), settings.seeds
    keys = run_keys(settings.seed, np.tile(np.arange(seeds), len(clips)))
    hparams = replace(one.hparams, clip_norm=np.repeat(clips, seeds))
    fitted = fit(one.task, keys, hparams, one.train, epochs=settings.steps, devices=settings.devices)
    columns = {"norm": "gradient_norm", "update": "update_norm", "loss": "train_loss"}
    found = {name: np.full((len(clips) * seeds, settings.steps), np.nan) for name in columns}
    for row in fitted.progress.history:
        for name, column in columns.items():
            found[name][row["run"], row["epoch"] - 1] = row[column]
    return Trace(**{name: values.reshape(len(clips), seeds, -1) for name, values in found.items()})


def show(console: Console, out: Path, settings: PalindromeSettings, trace: Trace, what: str) -> None:
    """Print what the steps of each run come to, and leave all of them and the figure; ``what`` names the training."""
    limit = settings.clip_norm
    table = Table(title=f"Every step on {what}", title_justify="left")
    table.add_column("clip")
    for column in ("seed", "median norm", "largest", f"above {limit:g}", "update there", "largest loss", "last loss"):
        table.add_column(column, justify="right")
    rows = []
    above, there, last = trace.share_above(limit), trace.update_there(), trace.last_loss()
    for clip, words in enumerate((f"{limit:g}", "not")):
        for seed in range(settings.seeds):
            norm, update, loss = (values[clip, seed] for values in trace)
            table.add_row(
                words,
                str(seed),
                f"{median(norm):.3g}",
                f"{largest(norm):,.4g}",
                f"{100 * above[clip, seed]:.1f} %",
                f"{there[clip, seed]:.2g}",
                f"{largest(loss):.3g}",
                f"{last[clip, seed]:.2g}",
            )
            rows += [
                {"clipped": clip == 0, "seed": seed, "step": step, "norm": at[0], "update": at[1], "loss": at[2]}
                for step, at in enumerate(zip(norm, update, loss, strict=True), start=1)
            ]
    console.print(table)
    runfolder.write_csv(out / "norms.csv", rows)
    panels = {
        words: {"norm": trace.norm[clip], "loss": trace.loss[clip]}
        for clip, words in enumerate((f"clipped to {limit:g}", "not clipped"))
    }
    title = f"The gradient's norm before clipping, and the loss: {what}"
    runfolder.save_figure(clipping.norms(panels, limit, title), out / "clipping.png")
