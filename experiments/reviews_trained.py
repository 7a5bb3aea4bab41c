"""What trained networks make of a sentence of one's own: how likely it is negative or positive, word by word.

Not a command itself: ``python -m experiments.imdb_gru --sentence "..." --out RUN``, and the same of `imdb_rnn`,
`imdb_bilstm` and `imdb_mlp`.
"""

import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypedDict

import jax
import numpy as np

from experiments import verdicts
from experiments.reviews import ReviewSettings
from jaxrnn import inference, plots, runfolder
from jaxrnn.command import plain_console
from jaxrnn.data.imdb import CLASSES, POSITIVE
from jaxrnn.data.tokens import UNKNOWN, Words, tokens
from jaxrnn.errors import DataError
from jaxrnn.study import hparams_of, restore_models, settings_of, trained
from jaxrnn.train import Task


class _Notes(TypedDict):
    words: list[str]


def judge(
    name: str, kind: type[ReviewSettings], make_task: Callable[[Any, int], Task], text: str, out: Path
) -> np.ndarray:
    """Judge a sentence with the run in ``out``; prints how likely the classes are, draws how that moves, returns it.

    Returns the likelihoods of positive ``(runs, words)``: what is said of the first word, of the first two, ... of all
    that are read. ``kind(**config)`` are the run's settings, and ``make_task(settings, ids)`` what was trained.

    Raises:
        CheckpointError: nothing is there, it is damaged, another command's, or no run kept a finite loss.
        DataError: there is no word in the text.
        UserError: the figure cannot be written.
    """
    meta = trained(name, out, _Notes)
    settings = settings_of(meta, kind, out)
    vocabulary = Words(tuple(meta["notes"]["words"]))
    words = tokens(text, settings.html)
    if not words:
        raise DataError("there is no word in the sentence: a word has letters or digits; punctuation is not read")
    read = words[: settings.length]
    # each beginning is a row of its own: a bidirectional network, or one without recurrence, reads no row in part
    rows = vocabulary.encode_all([read[:end] for end in range(1, len(read) + 1)], settings.length)
    task = make_task(settings, vocabulary.size)
    models = restore_models(out, task, hparams_of(settings), meta, keep_best=settings.patience > 0)
    found = inference.over(lambda model, ids: jax.nn.sigmoid(model(ids)[..., 0]), models, rows)

    console = plain_console()
    if len(words) > len(read):
        console.print(f"Of the {len(words)} words the first {len(read)} are read")
    said = " ".join(read)
    positive = found[:, -1]
    verdicts.pronounce(console, said, positive)
    # a row ends in its newest word
    unknown = list(dict.fromkeys(word for word, row in zip(read, rows, strict=True) if row[-1] == UNKNOWN))
    if unknown:
        console.print(f"read as unknown: {', '.join(map(repr, unknown))}", soft_wrap=True)
    # no more than stands in one line beside the verdict
    begins, *more = textwrap.wrap(said, 40)
    title = f"{begins + ' …' * bool(more)!r}: {verdicts.judged(positive)}"
    figure = plots.sequences.words(read, found, title, of=CLASSES[POSITIVE], unknown=unknown)
    file = verdicts.figure_file(out, said)
    runfolder.save_figure(figure, file)
    console.print(f"How the likelihood moves from word to word is drawn in {file}")
    return found
