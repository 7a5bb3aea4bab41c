"""What `imdb_gru`, `imdb_rnn` and `imdb_bilstm` share: a review read word by word, and judged at its end.

Not a command itself.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, Self

import jax
import numpy as np

from experiments import classifier, reviews, reviews_trained
from experiments.reviews import ReviewSettings
from jaxrnn.buckets import bucketed
from jaxrnn.command import CellName, at_least_one
from jaxrnn.comparison import percent
from jaxrnn.data.tokens import PADDING
from jaxrnn.errors import SettingsError
from jaxrnn.layers import stack
from jaxrnn.models import Pool, TextClassifier
from jaxrnn.runfolder import Reference
from jaxrnn.study import Study, conduct
from jaxrnn.train import Fitted, Stateful, Task, binary_cross_entropy
from jaxrnn.words import NAMES, OPTIMISER_NAMES

PRECISIONS = {"float32": None, "bfloat16": "BF16_BF16_F32"}
"""How matrices are multiplied, as `jax.default_matmul_precision` knows it: their entries' type, sums in float32."""


@dataclass(frozen=True, kw_only=True)
class RecurrentSettings(ReviewSettings):
    """What can be set for reviews read word by word."""

    cell: CellName = "gru"
    """The recurrent cell."""
    layers: int = 1
    """Recurrent layers."""
    bidirectional: bool = False
    """Read from both ends; what is judged is what each direction says when it has read all."""
    dropout: float = 0.0
    """Probability of dropping a number of a word's vector, of an output between layers, and of what is judged."""
    pool: Pool = "last"
    """What is judged: the last output, or the mean or the largest of each over all steps."""
    mask: bool = False
    """Skip the padding; without this it is read like any word, as in the paper."""
    buckets: int = 8
    """With --mask: reviews of like length share batches, in so many groups (1: all lengths together)."""
    carry_state: bool = False
    """Begin every batch where the batch before, of other reviews, ended, as the paper's code does."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """What matrices are multiplied in on an accelerator; states, sums and weights are float32 always."""
    remat: int | None = None
    """For the gradient, keep the state at every so many steps only, and compute those between once more: long reviews
    then need less memory."""

    def check(self) -> None:
        super().check()
        at_least_one(self, "layers", "buckets", "remat")
        if self.carry_state and self.mask:
            raise SettingsError("--carry-state is the paper's code, which reads the padding: leave out --mask")
        if self.carry_state and self.bidirectional:
            raise SettingsError("--carry-state carries on where a row ended: it needs one direction")
        if self.dtype != "float32" and jax.default_backend() == "cpu":
            raise SettingsError(f"--dtype {self.dtype} is for accelerators: a CPU gains nothing by it")

    @classmethod
    def quick_defaults(cls) -> Self:
        return replace(super().quick_defaults(), buckets=2)


def main(make_study: Callable[[Any], Study], name: str, settings: RecurrentSettings) -> Any:
    """Train what ``make_study(settings)`` gives, and leave a run folder; returns what its ``result.json`` says.

    Or ask a trained run.
    """
    if settings.sentence is not None:
        return reviews_trained.judge(name, type(settings), task, settings.sentence, settings.out or Path("runs") / name)
    return conduct(name, settings, make_study(settings))


def task(settings: RecurrentSettings, vocabulary: int, updates: int = 1) -> Task:
    """The network, trained on reviews as ids; ``updates`` is what a schedule reaches over."""

    def make_model(rngs):
        layers = stack(
            settings.cell,
            settings.embedding,
            [settings.hidden] * settings.layers,
            bidirectional=settings.bidirectional,
            init=settings.init,
            rngs=rngs,
        )
        return TextClassifier(
            vocabulary,
            layers,
            1,
            pool=settings.pool,
            padding=PADDING if settings.mask else None,
            init=settings.init,
            rngs=rngs,
        )

    def carried(model, state, ids, labels, hparams, key):
        with jax.default_matmul_precision(PRECISIONS[settings.dtype]):
            options = {"key": key, "dropout": hparams.dropout, "remat": settings.remat}
            after, logits = model.read(ids, carry=state, **options)
        return binary_cross_entropy(lambda ids, **options: logits, ids, labels, hparams, key), after

    def objective(model, ids, labels, hparams, key):
        return carried(model, None, ids, labels, hparams, key)[0]

    stateful = Stateful(lambda model, rows: model.initial_carry((rows,)), carried) if settings.carry_state else None
    return classifier.task(settings, make_model, objective, updates, stateful)


def study(
    settings: RecurrentSettings,
    answers: Callable[[Fitted, int], dict[str, str]] = lambda fitted, parameters: {},
    reference: Reference | None = None,
) -> Study:
    """The study of one network. Raises SettingsError where the settings make no sense, and DataError."""
    data = reviews.load(settings)

    def arrange(x, y):
        return bucketed(x, y, settings.buckets, PADDING) if settings.mask and settings.buckets > 1 else (x, y)

    def metrics(fitted, parameters):
        _, highest = best_epoch(fitted)
        within = parameters - data.vocabulary.size * settings.embedding
        return {"highest_accuracy": highest, "parameters_without_embedding": within} | reviews.matrix(settings)

    make_task = partial(task, settings, data.vocabulary.size)
    return reviews.study(settings, data, make_task, answers, metrics=metrics, arrange=arrange, reference=reference)


def best_epoch(fitted: Fitted) -> tuple[int, list[float]]:
    """The epoch after which the test accuracy was highest in the mean over the runs, and what it was then."""
    by_epoch: dict[int, list[float]] = {}
    for row in fitted.progress.history:
        by_epoch.setdefault(row["epoch"], []).append(row["test_accuracy"])
    if not by_epoch:
        return 0, [float("nan")]
    best = max(by_epoch, key=lambda epoch: float(np.mean(by_epoch[epoch])))
    return best, by_epoch[best]


def setup(settings: RecurrentSettings) -> str:
    """The network and how it is trained, in words."""
    layers = f"{settings.layers} layer{'s' * (settings.layers > 1)}"
    return (
        f"an embedding of {settings.embedding} numbers a word, {layers} of {settings.hidden} "
        f"{NAMES[settings.cell]} units{' in each direction' * settings.bidirectional}, and "
        f"{OPTIMISER_NAMES[settings.optimiser]} at a learning rate of {settings.learning_rate:g} with batches of "
        f"{settings.batch}"
    )


def verdict(settings: RecurrentSettings, fitted: Fitted) -> str:
    """What was trained, and how well it judges, in words. A command's defaults are its paper's."""
    data, accuracy = reviews.load(settings), fitted.metrics["test_accuracy"]
    judged = {"last": "the last output", "mean": "the mean of the outputs", "max": "the largest of the outputs"}
    padding = "skipped" if settings.mask else "read like any word"
    after = reviews.after(settings.epochs, settings.patience, type(settings)().epochs).capitalize()
    best, highest = best_epoch(fitted)
    last = best == fitted.progress.epoch
    return (
        f"The network has {setup(settings)}. A linear unit and a sigmoid make of {judged[settings.pool]} the "
        f"probability that a review is positive; the padding is {padding}. {after} {percent(accuracy)} of all "
        f"{len(data.dataset.y_test):,} test reviews are judged rightly; that was highest after "
        f"{'the last epoch' if last else f'epoch {best}, {percent(highest)}'}."
    )
