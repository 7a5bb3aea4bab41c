"""The sentiment of film reviews, read from both ends by an LSTM (I9).

python -m experiments.imdb_bilstm [--data-dir FOLDER] [--epochs 5]
"""

import sys
from dataclasses import dataclass
from functools import partial

from experiments import imdb_rnn, reviews_recurrent
from experiments.reviews_recurrent import main
from jaxrnn.command import CellName, command
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

IMPROVED = (
    "To improve it further, judge the mean or the largest of all outputs rather than the last ones, so that no word "
    "must be remembered to the end. Clip the gradients and begin with orthogonal weights, so that what early words "
    "teach neither explodes nor fades on its way back. Against learning the reviews by heart there are dropout, more "
    "reviews, and vectors of words learned from other texts. imdb_improve measures all but the last two, one at a time "
    "on a GRU, and so it does skipped padding, a larger vocabulary, longer reviews and a second layer."
)
"""What would help, and why."""


def answers(settings: Settings, fitted: Fitted, parameters: int) -> dict[str, str]:
    """IST's question 3.2, with what was measured; what would help is measured by `imdb_improve`."""
    return {"I9": f"{reviews_recurrent.verdict(settings, fitted)} {IMPROVED}"}


if __name__ == "__main__":
    sys.exit(command("imdb_bilstm", Settings, partial(main, study)))
