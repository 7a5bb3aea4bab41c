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
    """The papers' questions that compare, with what was measured."""
    results = {key: outcome.result for key, outcome in outcomes.items()}
    accuracy = {key: percent(result["metrics"]["test_accuracy"]["runs"]) for key, result in results.items()}
    epochs = {key: f"{result['config']['epochs']} epochs" for key, result in results.items()}
    parameters = {key: f"{result['parameters']:,}" for key, result in results.items()}
    loss = {key: f"{result['metrics']['test_loss']['mean'] or float('nan'):.4f}" for key, result in results.items()}
    return Finding(
        answers={
            "R5": reviews.preprocessing(settings),
            "R7": (
                f"The paper prints {imdb_gru.PRINTED['value']:.4f} after 20 epochs. Its network, padding read like any "
                f"word, comes to {accuracy['gru_paper']} after {epochs['gru_paper']} here; with the padding skipped, "
                f"to {accuracy['gru']} after {epochs['gru']}. The paper's test set is another one (some 23,600 "
                "reviews), its mean leaves out the last batch, and its hidden state is carried from batch to batch."
            ),
            "R9": (
                f"The paper prints {imdb_mlp.PRINTED['value']:.4f} for an MLP on the ids: a coin. With as many "
                f"parameters as the GRU ({parameters['mlp']}) it comes to {accuracy['mlp']} here, where the GRU comes "
                f"to {accuracy['gru_paper']} (padding read) and {accuracy['gru']} (skipped). What it lacks are vectors "
                f"for the words, not recurrence: the same layer on all vectors comes to {accuracy['mlp_flat']}, and on "
                f"their mean, which knows nothing of the words' order, to {accuracy['mlp_mean']}."
            ),
            "I8": (
                f"The basic recurrent network comes to {accuracy['rnn']} after {epochs['rnn']} "
                f"({parameters['rnn']} parameters, test loss {loss['rnn']})."
            ),
            "I9": (
                f"The LSTM from both ends comes to {accuracy['bilstm']} after {epochs['bilstm']} "
                f"({parameters['bilstm']} parameters, test loss {loss['bilstm']}), the basic recurrent network to "
                f"{accuracy['rnn']}. What would improve it is measured by imdb_improve."
            ),
        }
    )


if __name__ == "__main__":
    sys.exit(command("imdb_compare", Settings, main))
