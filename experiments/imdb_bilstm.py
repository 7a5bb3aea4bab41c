"""The sentiment of film reviews, read from both ends by an LSTM (I9).

python -m experiments.imdb_bilstm [--data-dir FOLDER] [--epochs 5]
"""

import sys
from dataclasses import dataclass
from functools import partial

from experiments import imdb_rnn, reviews_recurrent
from experiments.reviews_recurrent import main
from jaxrnn.command import CellName, command
from jaxrnn.comparison import percent
from jaxrnn.study import Experiment, Study
from jaxrnn.train import Fitted


@dataclass(frozen=True, kw_only=True)
class Settings(imdb_rnn.Settings):
    """Judge film reviews by an LSTM that reads them word by word, from both ends.

    256 units in each direction on an embedding of 128, trained by Adam for 5 epochs. Prints the model, trains it with a
    progress bar, and leaves config.json, history.csv, result.json, learning_curves.png and checkpoint/ in the run
    folder.
    """

    cell: CellName = "lstm"
    """The recurrent cell."""
    bidirectional: bool = True
    """Read from both ends; what is judged is what each direction says when it has read all."""


def study(settings: Settings, data: None = None) -> Study:
    """The study of one network. Raises SettingsError and DataError."""
    return reviews_recurrent.study(settings, partial(answers, settings))


EXPERIMENT = Experiment("imdb_bilstm", Settings, study)


def answers(settings: Settings, fitted: Fitted, parameters: int) -> dict[str, str]:
    """IST's question 3.2, with what was measured; how to improve it is answered by `imdb_improve`."""
    accuracy, loss = fitted.metrics["test_accuracy"], fitted.metrics["test_loss"]
    return {
        "I9": (
            f"Read from {'both ends' if settings.bidirectional else 'the front'} by {settings.cell} units "
            f"({settings.hidden} in each direction, embedding {settings.embedding}, {parameters:,} parameters), "
            f"{percent(accuracy)} of the test reviews are judged right after {settings.epochs} epochs, binary "
            f"cross-entropy {loss.mean():.4f}. {reviews_recurrent.whole_way(fitted)} The basic network of imdb_rnn, "
            "trained as long, is the number to set beside it (imdb_compare does), and imdb_improve measures what would "
            "make it better: skipped padding, dropout, a larger vocabulary, other readings of the outputs, clipped "
            "gradients, another initialisation, longer reviews, a second layer."
        )
    }


if __name__ == "__main__":
    sys.exit(command("imdb_bilstm", Settings, partial(main, study)))
