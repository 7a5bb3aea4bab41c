"""The sentiment of film reviews without recurrence: one hidden layer on all words at once (R8, R9).

python -m experiments.imdb_mlp [--data-dir FOLDER] [--input ids|embed-flat|embed-mean] [--double-sigmoid]
"""

import sys
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any, Literal

import jax
from flax import nnx

from experiments import classifier, imdb_gru, reviews, reviews_recurrent, reviews_trained
from experiments.reviews import ReviewSettings
from jaxrnn.command import command
from jaxrnn.comparison import percent
from jaxrnn.data.tokens import PADDING
from jaxrnn.models import Reading, TextMLP, hidden_units_for, mlp_inputs, parameter_count
from jaxrnn.runfolder import Reference
from jaxrnn.study import Experiment, Study, conduct
from jaxrnn.train import Fitted, Hparams, Task, binary_cross_entropy
from jaxrnn.words import OPTIMISER_NAMES, mean_interval

PRINTED = Reference(
    what="the paper, problem 2 part 3",
    metric="test_accuracy",
    value=0.49966034293174744,
    note="an MLP 400-64-1 on raw ids with two sigmoids, after 20 epochs; mean of batch accuracies as for the GRU",
)

FLOOR = 0.5032044
"""No binary cross-entropy on a sigmoid taken for a logit is lower, in the mean over as many positives as negatives."""


@dataclass(frozen=True, kw_only=True)
class Settings(ReviewSettings):
    """Judge film reviews by a feedforward network with one hidden layer that sees all words at once.

    The hidden layer has as many units as make its parameters those of the GRU of imdb_gru. Prints the model, trains it
    with a progress bar, and leaves config.json, history.csv, result.json, learning_curves.png and checkpoint/ in the
    run folder.
    """

    input: Reading = "ids"
    """What is read: the ids as real numbers, as in the paper; or their vectors, side by side or in the mean."""
    match_params: Literal["recurrent", "total"] = "recurrent"
    """Which parameters of the GRU to have as many of: those without its embedding, or all."""
    hidden: int = 256
    """Hidden units in each layer of that GRU."""
    layers: int = 2
    """Layers of that GRU."""
    dropout: float = 0.0
    """Probability of dropping a hidden unit."""
    epochs: int = 20
    """Passes over the training data."""
    double_sigmoid: bool = False
    """Take the sigmoid of the logit for the logit, as the paper's code does: the loss cannot fall below 0.5032."""


def matched(settings: Settings, vocabulary: int) -> int:
    """How many parameters a GRU has: without its embedding, or all, as ever where the network has an embedding too."""
    shared = {one.name for one in fields(ReviewSettings)} & {one.name for one in fields(imdb_gru.Settings)}
    options = {name: getattr(settings, name) for name in (shared | {"layers"}) - {"optimiser", "learning_rate"}}
    gru = reviews_recurrent.task(imdb_gru.Settings(**options), vocabulary)
    parameters = parameter_count(nnx.eval_shape(lambda: gru.make_model(nnx.Rngs(0), Hparams())))
    without = settings.match_params == "recurrent" and settings.input == "ids"
    return parameters - without * vocabulary * settings.embedding


def hidden_units(settings: Settings, vocabulary: int) -> int:
    """How many hidden units there are: with them the network has as many parameters as are `matched`."""
    inputs = mlp_inputs(settings.input, settings.embedding, settings.length)
    own = 0 if settings.input == "ids" else vocabulary * settings.embedding
    return hidden_units_for(matched(settings, vocabulary) - own, inputs, 1)


def task(settings: Settings, vocabulary: int, updates: int = 1) -> Task:
    """The network, trained on reviews as ids; ``updates`` is what a schedule reaches over."""
    hidden = hidden_units(settings, vocabulary)

    def make_model(rngs):
        sizes = vocabulary, settings.embedding, settings.length, hidden, 1
        return TextMLP(*sizes, reading=settings.input, padding=PADDING, init=settings.init, rngs=rngs)

    def objective(model, ids, labels, hparams, key):
        logits = model(ids, key=key, dropout=hparams.dropout)
        judged = binary_cross_entropy(lambda ids, **options: logits, ids, labels, hparams, key)
        if not settings.double_sigmoid:
            return judged
        again = binary_cross_entropy(lambda ids, **options: jax.nn.sigmoid(logits), ids, labels, hparams, key)
        return judged | {"loss": again["loss"]}

    return classifier.task(settings, make_model, objective, updates)


def study(settings: Settings, data: None = None) -> Study:
    """The study of one network. Raises SettingsError and DataError."""
    found = reviews.load(settings)
    words = found.vocabulary.size
    make_task = partial(task, settings, words)
    facts = {"hidden_units": hidden_units(settings, words), "matched_parameters": matched(settings, words)}
    reference = PRINTED if settings.input == "ids" else None
    return reviews.study(
        settings,
        found,
        make_task,
        partial(answers, settings),
        metrics=lambda fitted, parameters: facts,
        reference=reference,
    )


EXPERIMENT = Experiment("imdb_mlp", Settings, study)


def main(name: str, settings: Settings) -> Any:
    """Train, and leave a run folder; returns what its ``result.json`` says. Or ask a trained run."""
    if settings.sentence is not None:
        return reviews_trained.judge(name, Settings, task, settings.sentence, settings.out or Path("runs") / name)
    return conduct(name, settings, study(settings))


def answers(settings: Settings, fitted: Fitted, parameters: int) -> dict[str, str]:
    """The paper's part 3, with what was measured; `imdb_compare` sets it beside the GRU."""
    accuracy, loss = fitted.metrics["test_accuracy"], fitted.metrics["test_loss"]
    vocabulary = reviews.load(settings).vocabulary.size
    read = {
        "ids": "the ids as real numbers",
        "embed-flat": "the words' vectors side by side",
        "embed-mean": "the mean of the words' vectors",
    }[settings.input]
    without = settings.match_params == "recurrent" and settings.input == "ids"
    gru = f"a GRU of {settings.layers} layer{'s' * (settings.layers > 1)} of {settings.hidden} units"
    after = reviews.after(settings.epochs, settings.patience, Settings().epochs)
    floor = (
        f" With the second sigmoid the loss cannot fall below {FLOOR:.4f}: the logit then lies between 0 and 1, so a "
        "positive review costs 0.3133 nats at least, and a negative one 0.6931."
        if settings.double_sigmoid
        else ""
    )
    why = (
        " An id is a place in a list, not an amount: the 40th word is not twice the 20th, so a weighted sum of ids "
        "says next to nothing of what a review means. --input embed-mean gives the same layer a vector for each word."
        if settings.input == "ids"
        else " The paper's ids are places in a list, not amounts; the vectors are learned."
    )
    return {
        "R8": (
            f"One hidden layer of {hidden_units(settings, vocabulary):,} tanh units reads {read}; so many give the "
            f"network {parameters:,} parameters, where {gru} has {matched(settings, vocabulary):,} "
            f"{'without' if without else 'with'} its embedding. Trained by {OPTIMISER_NAMES[settings.optimiser]} at a "
            f"learning rate of {settings.learning_rate:g}, it judges {percent(accuracy)} of the test reviews rightly "
            f"{after}, and its loss on them is {mean_interval(loss)}.{floor} The paper's own MLP is not of similar "
            "size: in its code it has 64 hidden units and 25,729 parameters (its text says 256 and 64 units), where "
            "the GRU has 789,761 without its embedding. The MLP also puts two sigmoids before the loss: its own, and "
            "that of a loss which expects logits."
        ),
        "R9": (
            f"In the paper the GRU is right on {percent([imdb_gru.PRINTED['value']])} of the test reviews, and its "
            f"much smaller MLP, which reads ids, on {percent([PRINTED['value']])}, like a coin. Here the MLP reads "
            f"{read} and is right on {percent(accuracy)} {after}, on {reviews.whose(reviews.load(settings))}; "
            f"imdb_compare trains the GRU beside it.{why}"
        ),
    }


if __name__ == "__main__":
    sys.exit(command("imdb_mlp", Settings, main))
