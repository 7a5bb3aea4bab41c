"""The sentiment of film reviews, read word by word by a GRU (R5, R6, R7, R10).

python -m experiments.imdb_gru [--data-dir FOLDER] [--mask] [--epochs 20]
"""

import sys
from dataclasses import dataclass
from functools import partial

from experiments import reviews, reviews_recurrent
from experiments.reviews_recurrent import RecurrentSettings, main
from jaxrnn.command import command
from jaxrnn.comparison import percent
from jaxrnn.runfolder import Reference
from jaxrnn.study import Experiment, Study
from jaxrnn.train import Fitted

PRINTED = Reference(
    what="the paper, problem 2 part 2",
    metric="test_accuracy",
    value=0.7432065606117249,
    note="mean of batch accuracies after 20 epochs on some 23,600 reviews, not the standard 25,000; state carried over",
)


@dataclass(frozen=True, kw_only=True)
class Settings(RecurrentSettings):
    """Judge film reviews by a GRU that reads them word by word: IMDB's 50,000, half to train on and half to test on.

    The defaults are the paper's: two layers of 256 units, the padding read like any word. --mask skips the padding,
    which is right, better, and faster. Prints the model, trains it with a progress bar, and leaves config.json,
    history.csv, result.json, learning_curves.png and checkpoint/ in the run folder.
    """

    layers: int = 2
    """Recurrent layers."""
    learning_rate: float = 1e-4
    """Its learning rate (the highest, under a schedule)."""
    epochs: int = 20
    """Passes over the training data."""


def study(settings: Settings, data: None = None) -> Study:
    """The study of one GRU. Raises SettingsError and DataError."""
    return reviews_recurrent.study(settings, partial(answers, settings), PRINTED)


EXPERIMENT = Experiment("imdb_gru", Settings, study)


def answers(settings: Settings, fitted: Fitted, parameters: int) -> dict[str, str]:
    """The paper's parts 1 and 2, with what was measured."""
    data = reviews.load(settings)
    accuracy = fitted.metrics["test_accuracy"]
    words, runs = data.vocabulary.size, len(accuracy)
    read = "skipped" if settings.mask else "read like any word, as in the paper"
    return {
        "R5": reviews.preprocessing(settings),
        "R6": (
            f"An embedding of {settings.embedding}, {settings.layers} recurrent layer{'s' * (settings.layers > 1)} of "
            f"{settings.hidden} units ({settings.cell}) and a linear unit on the last output, {parameters:,} "
            f"parameters ({parameters - words * settings.embedding:,} without the embedding), are right on "
            f"{percent(accuracy)} of all {len(data.dataset.y_test):,} test reviews after {settings.epochs} epochs "
            f"({runs} run{'s' * (runs > 1)}). {reviews_recurrent.whole_way(fitted)} The padding is {read}."
        ),
        "R7": (
            f"The paper prints {PRINTED['value']:.4f} after 20 epochs; here {percent(accuracy)} after "
            f"{settings.epochs} on {data.dataset.name}. The two can only be set side by side roughly: the paper's is a "
            "mean over batches of test reviews that leaves out the last, short one, of some 23,600 reviews rather than "
            "25,000, and its code hands the hidden state from each batch to the next, of other reviews "
            f"({'as this run does' if settings.carry_state else 'this run does not; --carry-state does'})."
        ),
        "R10": (
            f"The code's defaults are kept as settings: hidden {settings.hidden}, embedding {settings.embedding}, "
            f"{settings.layers} layers, {settings.optimiser} at {settings.learning_rate:g}, batch {settings.batch}. "
            f"The vocabulary has {words:,} ids. history.csv has loss and accuracy of every epoch; the last, short "
            "batch is trained on too, and every test review counts once."
        ),
    }


if __name__ == "__main__":
    sys.exit(command("imdb_gru", Settings, partial(main, study)))
