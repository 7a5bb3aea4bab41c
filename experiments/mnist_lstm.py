"""MNIST classified row by row by long short-term memory (T22).

python -m experiments.mnist_lstm [--data-dir FOLDER] [--seeds 3]
"""

import sys
from dataclasses import dataclass

from experiments import mnist
from experiments.mnist_recurrent import RecurrentSettings, main, study
from jaxrnn.command import CellName, command
from jaxrnn.study import Experiment


@dataclass(frozen=True, kw_only=True)
class Settings(RecurrentSettings):
    """Classify MNIST by long short-term memory that reads an image as a sequence of its rows.

    Prints the model, trains it with a progress bar, and leaves config.json, history.csv, result.json,
    learning_curves.png and checkpoint/ in the run folder.
    """

    cell: CellName = "lstm"
    """The recurrent cell."""


EXPERIMENT = Experiment("mnist_lstm", Settings, study, mnist.load)


if __name__ == "__main__":
    sys.exit(command("mnist_lstm", Settings, main))
