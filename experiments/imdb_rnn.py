"""The sentiment of film reviews, read word by word by the basic recurrent network (I8).

python -m experiments.imdb_rnn [--data-dir FOLDER] [--epochs 5]
"""

import sys
from dataclasses import dataclass
from functools import partial

from experiments import reviews_recurrent
from experiments.reviews_recurrent import RecurrentSettings, main
from jaxrnn.command import CellName, command
from jaxrnn.comparison import percent
from jaxrnn.optimisers import OptimiserName
from jaxrnn.study import Experiment, Study
from jaxrnn.train import Fitted


@dataclass(frozen=True, kw_only=True)
class Settings(RecurrentSettings):
    """Judge film reviews by a basic recurrent network that reads them word by word.

    One layer of 256 units on an embedding of 128, trained by Adam for 5 epochs. Prints the model, trains it with a
    progress bar, and leaves config.json, history.csv, result.json, learning_curves.png and checkpoint/ in the run
    folder.
    """

    cell: CellName = "elman"
    """The recurrent cell."""
    embedding: int = 128
    """How many numbers stand for a word."""
    optimiser: OptimiserName = "adam"
    """The optimiser."""
    epochs: int = 5
    """Passes over the training data."""
    mask: bool = True
    """Skip the padding."""


def study(settings: Settings, data: None = None) -> Study:
    """The study of one network. Raises SettingsError and DataError."""
    return reviews_recurrent.study(settings, partial(answers, settings))


EXPERIMENT = Experiment("imdb_rnn", Settings, study)


def answers(settings: Settings, fitted: Fitted, parameters: int) -> dict[str, str]:
    """IST's question 3.1, with what was measured."""
    accuracy, loss = fitted.metrics["test_accuracy"], fitted.metrics["test_loss"]
    return {
        "I8": (
            f"After {settings.epochs} epochs the network (embedding {settings.embedding}, {settings.hidden} units of "
            f"{settings.cell}, {settings.optimiser} at {settings.learning_rate:g}, {parameters:,} parameters) is right "
            f"on {percent(accuracy)} of the test reviews, its binary cross-entropy {loss.mean():.4f} (chance: 50% and "
            f"0.6931). {reviews_recurrent.whole_way(fitted)} The padding is "
            f"{'skipped' if settings.mask else 'read like any word'}. Through hundreds of steps the gradient of a "
            "network without gates fades or explodes, and what an early word said is overwritten by each word after "
            "it: see imdb_bilstm and imdb_gru for what gates change."
        )
    }


if __name__ == "__main__":
    sys.exit(command("imdb_rnn", Settings, partial(main, study)))
