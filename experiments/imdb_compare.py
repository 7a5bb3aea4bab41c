"""Film reviews: recurrent networks and none, side by side (R5 to R10, I8, I9).

python -m experiments.imdb_compare [--data-dir FOLDER] [--epochs 5] [--seeds 3]
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Self

from experiments import imdb_bilstm, imdb_gru, imdb_mlp, imdb_rnn, reviews
from experiments.reviews import ReviewData
from jaxrnn.command import command
from jaxrnn.comparison import Finding, Part, compare, percent
from jaxrnn.study import Outcome

NETWORKS: dict[str, tuple[str, Any, dict[str, Any]]] = {
    "gru_paper": ("GRU, as in the paper", imdb_gru, {}),
    "gru": ("GRU, padding skipped", imdb_gru, {"mask": True}),
    "rnn": ("RNN", imdb_rnn, {}),
    "bilstm": ("LSTM from both ends", imdb_bilstm, {}),
    "mlp": ("MLP on the ids", imdb_mlp, {}),
    "mlp_flat": ("MLP on all vectors", imdb_mlp, {"input": "embed-flat"}),
    "mlp_mean": ("MLP on their mean", imdb_mlp, {"input": "embed-mean"}),
}
"""What is compared, by its key: its name, its command, and what is set there."""


@dataclass(frozen=True, kw_only=True)
class Settings(ReviewData):
    """Compare recurrent networks with each other and with networks without recurrence on film reviews.

    Trains the GRU as the paper has it and with the padding skipped, the basic recurrent network, the LSTM from both
    ends, and feedforward networks with as many parameters as the GRU: on the ids as in the paper, and on vectors of the
    words. Leaves one table, and figures: accuracy with its 95% interval beside the paper's, and learning curves. Each
    network has a run folder of its own in --out: python -m experiments.imdb_gru --out OUT/gru --sentence "..." asks the
    trained GRU. All of it takes hours on a CPU, minutes on an accelerator.
    """

    epochs: int | None = None
    """Passes over the training data; where not given, as many as each network's own command makes."""

    duration: ClassVar[str] = "epochs"

    @classmethod
    def quick_defaults(cls) -> Self:
        return cls(quick=True, length=imdb_gru.Settings.quick_defaults().length)


def main(name: str, settings: Settings) -> dict[str, Any]:
    """Train all, and leave a run folder; returns what its ``result.json`` says."""
    settings.check()
    return compare(name, settings, parts(settings), lambda outcomes, out: find(settings, outcomes))


def parts(settings: Settings) -> dict[str, Part]:
    """The networks, each a run of its own command with these settings. Raises SettingsError and DataError."""
    shared = {one.name: getattr(settings, one.name) for one in fields(ReviewData)}
    if settings.epochs is not None:
        shared["epochs"] = settings.epochs

    def part(label: str, module: Any, own: Mapping[str, Any]) -> Part:
        defaults: Callable = module.Settings.quick_defaults if settings.quick else module.Settings
        chosen = module.Settings(**{**vars(defaults()), **shared, **own})
        return Part(label, module.EXPERIMENT.name, chosen, module.study(chosen))

    return {key: part(*network) for key, network in NETWORKS.items()}


def find(settings: Settings, outcomes: Mapping[str, Outcome]) -> Finding:
    """The papers' questions, with what was measured; what one network alone answers, in its own words."""
    results = {key: outcome.result for key, outcome in outcomes.items()}
    mean = {key: result["metrics"]["test_accuracy"]["mean"] or 0.0 for key, result in results.items()}
    accuracy = {key: percent(result["metrics"]["test_accuracy"]["runs"]) for key, result in results.items()}
    after = {
        key: reviews.after(result["config"]["epochs"], paper=NETWORKS[key][1].Settings().epochs)
        for key, result in results.items()
    }
    printed = {key: percent([one.PRINTED["value"]]) for key, one in (("gru_paper", imdb_gru), ("mlp", imdb_mlp))}
    whose = reviews.whose(reviews.load(settings))
    paper, ids = results["gru_paper"]["answers"], results["mlp"]["answers"]
    best = max(mean, key=lambda key: mean[key])
    return Finding(
        answers={
            "R5": paper["R5"],
            "R6": paper["R6"],
            "R7": (
                f"The paper prints {printed['gru_paper']} for its GRU. Here one that, like it, reads the padding as "
                f"any word comes to {accuracy['gru_paper']} {after['gru_paper']} on {whose}; one that skips it comes "
                f"to {accuracy['gru']}. {imdb_gru.ROUGHLY}"
            ),
            "R8": ids["R8"],
            "R9": (
                f"In the paper the GRU is right on {printed['gru_paper']} of the test reviews, and its much smaller "
                f"MLP on the ids on {printed['mlp']}, like a coin. Here, {after['mlp']} on {whose}, the GRU is right "
                f"on {accuracy['gru_paper']} (padding read) and {accuracy['gru']} (padding skipped), and an MLP on the "
                f"ids with about as many parameters on {accuracy['mlp']}. An id is a place in a list, not an amount. "
                f"Given a vector for each word in place of its id, an MLP comes to {accuracy['mlp_flat']} with all "
                f"vectors side by side, and to {accuracy['mlp_mean']} with their mean, which knows nothing of the "
                f"words' order. "
                f"{lacking(mean['mlp'], max(mean['mlp_flat'], mean['mlp_mean']), max(mean['gru_paper'], mean['gru']))}"
            ),
            "R10": paper["R10"],
            "I8": (
                f"{results['rnn']['answers']['I8']} Beside it, the GRU that skips the padding comes to "
                f"{accuracy['gru']} {after['gru']}."
            ),
            "I9": (
                f"The LSTM from both ends comes to {accuracy['bilstm']} {after['bilstm']} on {whose}, the basic "
                f"recurrent network to {accuracy['rnn']}. Best of all {len(NETWORKS)} networks here, with "
                f"{accuracy[best]}, is “{NETWORKS[best][0]}”. {imdb_bilstm.IMPROVED}"
            ),
        }
    )


def lacking(ids: float, vectors: float, gru: float) -> str:
    """What an MLP lacks that reads ids, from its accuracy, that of the best one on vectors, and that of the GRU."""
    if ids >= gru:
        return "In this run the GRU is not better than the ids."
    if vectors - ids > gru - vectors:
        return "So what the ids lack most are vectors for the words; recurrence adds less, or nothing."
    return "So vectors alone do not make up for the recurrence here."


if __name__ == "__main__":
    sys.exit(command("imdb_compare", Settings, main))
