"""What makes a sentiment classifier better: one change at a time (I9, how would you improve it).

python -m experiments.imdb_improve [--data-dir FOLDER] [--epochs 3] [--seeds 3]
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from experiments import imdb_gru, reviews
from jaxrnn import runfolder
from jaxrnn.command import command
from jaxrnn.comparison import Finding, Part, compare, percent
from jaxrnn.optimisers import OptimiserName
from jaxrnn.study import Outcome

BASE, SKIPPED = "base", "mask"

CHANGES: dict[str, tuple[str, dict[str, Any]]] = {
    BASE: ("as it is", {}),
    SKIPPED: ("padding skipped", {"mask": True, "buckets": 1}),
    "buckets": ("... and in batches of like length", {"mask": True}),
    "mean": ("padding skipped, mean of the outputs", {"mask": True, "pool": "mean"}),
    "max": ("padding skipped, largest outputs", {"mask": True, "pool": "max"}),
    "dropout": ("dropout of a half", {"dropout": 0.5}),
    "words": ("all words have an id", {"max_words": None}),
    "clip": ("gradients clipped at 1", {"clip_norm": 1.0}),
    "orthogonal": ("orthogonal initialisation", {"init": "default"}),
    "length": ("twice as many words read", {}),
    "layers": ("a second layer", {"layers": 2}),
}
"""The networks by key: what is changed, in words, and what is set for it; ``length`` depends on the settings."""


@dataclass(frozen=True, kw_only=True)
class Settings(imdb_gru.Settings):
    """Find out what improves a classifier of film reviews, by one change at a time to a GRU of one layer.

    Skipping the padding, batches of like length, other readings of the outputs, dropout, all words, clipped gradients,
    orthogonal initialisation, longer reviews, a second layer: each over --seeds runs, in one program. What is set here
    is changed for all. Leaves one table, and figures of accuracy and learning curves; each network has a run folder of
    its own in --out, which imdb_gru can ask: python -m experiments.imdb_gru --out OUT/max --sentence "...".
    """

    seeds: int = 3
    """How many runs of each network to train: mean and interval of every number come from them."""
    length: int = 200
    """How many words of a review are read: longer ones are cut at their end, shorter ones padded in front."""
    embedding: int = 128
    """How many numbers stand for a word."""
    hidden: int = 128
    """Hidden units in each layer (and direction)."""
    layers: int = 1
    """Recurrent layers."""
    optimiser: OptimiserName = "adam"
    """The optimiser."""
    learning_rate: float = 1e-3
    """Its learning rate (the highest, under a schedule)."""
    epochs: int = 3
    """Passes over the training data."""

    @classmethod
    def quick_defaults(cls) -> Self:
        return replace(super().quick_defaults(), seeds=2, layers=1, length=40, epochs=2)


def main(name: str, settings: Settings) -> dict[str, Any]:
    """Train all, and leave a run folder; returns what its ``result.json`` says."""
    settings.check()
    return compare(name, settings, parts(settings), lambda outcomes, out: find(settings, outcomes))


def parts(settings: Settings) -> dict[str, Part]:
    """The networks, each a run of imdb_gru with one change. Raises SettingsError and DataError."""

    def part(key: str) -> Part:
        label, change = CHANGES[key]
        change = {"length": 2 * settings.length} if key == "length" else change
        own = imdb_gru.Settings(**{**vars(settings), **change})
        return Part(label, "imdb_gru", own, replace(imdb_gru.study(own), reference=()))

    return {key: part(key) for key in CHANGES}


def find(settings: Settings, outcomes: Mapping[str, Outcome]) -> Finding:
    """The second half of I9, from what the changes came to."""
    runs = {key: outcome.result["metrics"]["test_accuracy"]["runs"] for key, outcome in outcomes.items()}
    gains = {key: gain for key in CHANGES if key != BASE and (gain := gained(runs[BASE], runs[key])) is not None}
    names = {key: label.replace("...", CHANGES[SKIPPED][0]) for key, (label, _) in CHANGES.items()}
    ranked = sorted(gains, key=lambda key: -gains[key])
    said = [f"{names[key]} ({gains[key]:+.2f})" for key in ranked]
    gru = f"A GRU of {settings.layers} layer{'s' * (settings.layers > 1)} of {settings.hidden} units"
    read = f"{settings.length} words, the padding {'skipped' if settings.mask else 'like any word'},"
    after = reviews.after(settings.epochs, settings.patience)
    half = runfolder.half_width(runs[BASE])
    spread = "One run tells no spread" if half is None else "Gains within the interval of the first number say little"
    return Finding(
        metrics={f"{key}_gained": [gain / 100] for key, gain in gains.items()},
        answers={
            "I9": (
                f"{gru} that reads {read} is right on {percent(runs[BASE])} of the test reviews {after} "
                f"({settings.seeds} run{'s' * (settings.seeds > 1)}). Of all single changes these add most, in "
                f"points: {'; '.join(said[:3])}. Least adds {said[-1] if said else 'none'}. {spread}. Batches of like "
                "length are there to save time: with them the accuracy "
                f"is {percent(runs['buckets'])}, and {percent(runs[SKIPPED])} without. Not tried: vectors "
                "of words learned elsewhere, and more reviews to train on."
            )
        },
    )


def gained(before: Any, after: Any) -> float | None:
    """The gain in the mean accuracy, in points; None where no run of either came through."""
    first, second = (runfolder.metric(values)["mean"] for values in (before, after))
    return None if first is None or second is None else 100 * (second - first)


if __name__ == "__main__":
    sys.exit(command("imdb_improve", Settings, main))
