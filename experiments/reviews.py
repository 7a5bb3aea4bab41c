"""What all IMDB commands share: their settings, the reviews, and the study of one network (ROCH 2, IST 3).

Not a command itself: see `imdb_gru`, `imdb_rnn`, `imdb_bilstm`, `imdb_mlp`, `imdb_compare` and `imdb_improve`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np

from experiments import classifier
from experiments.classifier import ClassifierSettings
from jaxrnn.command import FREE, OF_THE_CALL, TrainingSettings, at_least_one, plain_console
from jaxrnn.data import imdb
from jaxrnn.data.imdb import Reviews
from jaxrnn.data.tokens import PADDING, UNKNOWN
from jaxrnn.optimisers import OptimiserName
from jaxrnn.runfolder import Reference
from jaxrnn.study import Study, announce_stand_in
from jaxrnn.train import Fitted, Kept, Task


@dataclass(frozen=True, kw_only=True)
class ReviewData(TrainingSettings):
    """Which reviews, and what becomes of them before they are read."""

    data_dir: Path | None = field(default=None, metadata=FREE)
    """Folder with the reviews: four text files, or the unpacked aclImdb. Where not given: $JAXRNN_DATA, then
    tensorflow-datasets."""
    dataset: Literal["imdb", "synthetic"] = "imdb"
    """The reviews: IMDB's, or generated ones that need no files."""
    length: int = 400
    """How many words of a review are read: longer ones are cut at their end, shorter ones padded in front."""
    html: Literal["strip", "keep"] = "strip"
    """What becomes of tags such as <br />: a space, or what is left of them without punctuation, as in the paper."""
    vocab_from: Literal["train", "all"] = "train"
    """Whose words have ids: those of the training reviews, or of the test reviews too, as in the paper."""
    max_words: int | None = 20_000
    """How many words have an id of their own, the most frequent ones; None: all, as in the paper."""

    def check(self) -> None:
        super().check()
        at_least_one(self, "length", "max_words")


@dataclass(frozen=True, kw_only=True)
class ReviewSettings(ReviewData, ClassifierSettings):
    """What can be set for every classifier of reviews, and what a trained run can be asked for."""

    embedding: int = 256
    """How many numbers stand for a word."""
    hidden: int = 256
    """Hidden units in each layer (and direction)."""
    optimiser: OptimiserName = "adamw_torch"
    """The optimiser."""
    sentence: str | None = field(default=None, metadata=OF_THE_CALL)
    """Train nothing: judge this sentence with the trained run in --out; prints how likely it is negative or positive,
    and draws how that moves from word to word into the run's folder."""

    def check(self) -> None:
        super().check()
        at_least_one(self, "embedding")

    @classmethod
    def quick_defaults(cls) -> Self:
        return cls(quick=True, length=80, embedding=16, hidden=16, batch=32, epochs=8, learning_rate=5e-3)


def load(settings: ReviewData) -> Reviews:
    """The reviews that the settings ask for; those used last are not read again.

    The training reviews come in an order drawn once and for all, so that the last ones are a sample of them. What is
    read is said, and a stand-in loudly.

    Raises:
        SettingsError: settings that make no sense.
        DataError: data that are missing or broken.
    """
    settings.check()
    source = "imdb" if settings.dataset == "imdb" else "synthetic"
    if settings.quick and settings.dataset == "imdb" and settings.data_dir is None:
        source = "stand-in"
    options = tuple((name, getattr(settings, name)) for name in ("length", "html", "vocab_from", "max_words"))
    return _read(source, settings.data_dir, options)


@lru_cache(maxsize=4)
def _read(source: str, data_dir: Path | None, options: tuple[tuple[str, Any], ...]) -> Reviews:
    reviews = imdb.read(data_dir, **dict(options)) if source == "imdb" else imdb.synthetic(**dict(options))
    dataset = reviews.dataset
    if source == "stand-in":
        announce_stand_in("IMDB", dataset, "For IMDB's reviews give their folder by --data-dir FOLDER.")
    order = np.random.default_rng(0).permutation(len(dataset.x_train))
    dataset = dataset._replace(x_train=dataset.x_train[order], y_train=dataset.y_train[order])
    unknown = [
        f"{(ids == UNKNOWN).sum() / max((ids != PADDING).sum(), 1):.1%}" for ids in (dataset.x_train, dataset.x_test)
    ]
    plain_console().print(
        f"Vocabulary: {len(reviews.vocabulary.words):,} words; an id for all others, {unknown[0]} of the words to "
        f"train on and {unknown[1]} of those to test on; and one for padding, "
        f"{(dataset.x_train == PADDING).mean():.0%} of {dataset.x_train.shape[1]} steps"
    )
    return reviews._replace(dataset=dataset)


def study(
    settings: ReviewSettings,
    reviews: Reviews,
    make_task: Callable[[int], Task],
    answers: Callable[[Fitted, int], dict[str, str]],
    *,
    metrics: Callable[[Fitted, int], Mapping[str, Any]],
    arrange: Callable[[Any, Any], Kept] = lambda x, y: (x, y),
    reference: Reference | None = None,
) -> Study:
    """A network trained on the reviews; its checkpoint keeps their vocabulary. Otherwise as `classifier.study`."""
    return classifier.study(
        settings,
        reviews.dataset,
        make_task,
        answers,
        metrics=metrics,
        arrange=arrange,
        reference=[] if reference is None else [reference],
        notes={"words": list(reviews.vocabulary.words)},
    )


def matrix(settings: ReviewData) -> dict[str, float]:
    """What there is to count in the matrix of ids, as metrics: the words with an id of their own, the mean number of
    words in a row, and the shares of rows without padding and of padding in all."""
    data = load(settings)
    read = data.dataset.x_train != PADDING
    return {
        "words": len(data.vocabulary.words),
        "mean_length": float(read.sum(1).mean()),
        "full_rows": float(read.all(1).mean()),
        "padding": float(1 - read.mean()),
    }


def preprocessing(settings: ReviewData) -> str:
    """What becomes of the reviews before they are read, in words (R5)."""
    found = matrix(settings)
    tags = "tags become a space" if settings.html == "strip" else "what is left of tags counts as words"
    limited = settings.max_words is not None and found["words"] == settings.max_words
    which = f"the {found['words']:,} most frequent" if limited else f"the {found['words']:,}"
    whose = "training reviews" if settings.vocab_from == "train" else "training and test reviews"
    return (
        f"All is written in lower case, {tags}, and punctuation is deleted. Each of {which} words of the {whose} has "
        "a number, its id, from 2 up; 1 stands for any other word, and 0 for padding. The "
        f"{len(load(settings).dataset.x_train):,} training reviews so become a matrix with a row of {settings.length} "
        "ids for each: longer reviews are cut at their end, shorter ones have zeros put before them. "
        f"{100 * found['full_rows']:.0f} % of the rows have no zeros, the mean row has {found['mean_length']:.0f} "
        f"words, and {100 * found['padding']:.0f} % of the matrix are zeros. In every epoch the rows are drawn in a "
        "new order."
    )


def after(epochs: int, patience: int = 0, paper: int | None = None) -> str:
    """How long was trained, beside the paper's number of epochs if that is another: ``after 3 epochs (20 in the
    paper)``."""
    theirs = f" ({paper} in the paper)" if paper not in (None, epochs) else ""
    return f"after {'at most ' if patience else ''}{epochs} epoch{'s' * (epochs != 1)}{theirs}"


def whose(data: Reviews) -> str:
    """Whose reviews they are, in words."""
    known = {"imdb": "IMDB's reviews", "synthetic": "generated reviews, not IMDB's"}
    return known.get(data.dataset.name, "other reviews than IMDB's")
