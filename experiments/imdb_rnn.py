"""The sentiment of film reviews, read word by word by the basic recurrent network (I8).

python -m experiments.imdb_rnn [--data-dir FOLDER] [--epochs 5]
"""

import sys
from dataclasses import dataclass
from functools import partial

from experiments import reviews_recurrent
from experiments.reviews_recurrent import RecurrentSettings, main
from jaxrnn.command import CellName, command
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
    return {
        "I8": (
            f"{reviews_recurrent.verdict(settings, fitted)} As a rule networks without gates find long texts hard: "
            f"over up to {settings.length} steps each word overwrites a part of what the state holds of the words "
            "before it, and on its way back the gradient fades or explodes."
        )
    }


if __name__ == "__main__":
    sys.exit(command("imdb_rnn", Settings, partial(main, study)))
