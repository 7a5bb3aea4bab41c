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

ROUGHLY = (
    "The two can be compared only roughly: the paper tests on some 23,600 reviews, not on the standard 25,000, its "
    "number is the mean over batches without the last, short one, and its code hands the hidden state from each batch "
    "to the next, of other reviews."
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
    """The paper's parts 1 and 2, and its code, with what was measured."""
    data, accuracy = reviews.load(settings), fitted.metrics["test_accuracy"]
    theirs, here = (reviews_recurrent.setup(one) for one in (Settings(), settings))
    after = reviews.after(settings.epochs, settings.patience)
    state = "does so too, in training" if settings.carry_state else "begins every review with a state of zeros"
    return {
        "R5": reviews.preprocessing(settings),
        "R6": reviews_recurrent.verdict(settings, fitted),
        "R7": (
            f"The paper prints {percent([PRINTED['value']])} after 20 epochs. Here it is {percent(accuracy)} "
            f"{after}, on {reviews.whose(data)}. {ROUGHLY} This run {state}."
        ),
        "R10": (
            f"The paper's code has {theirs}, and makes 20 epochs; this run "
            f"{'has the same' if here == theirs else f'has {here}'}, and makes {settings.epochs}. The paper's loss is "
            "the binary cross-entropy on logits; its MLP is trained by AdamW at PyTorch's default rate, 0.001. The "
            f"code also prints the size of the vocabulary, here {len(data.vocabulary.words):,} words, and the training "
            "loss and test accuracy of every epoch, which the figure shows. It drops the last, short batch of every "
            "epoch, in training and in testing; here all reviews are trained on, and every test review counts once."
        ),
    }


if __name__ == "__main__":
    sys.exit(command("imdb_gru", Settings, partial(main, study)))
