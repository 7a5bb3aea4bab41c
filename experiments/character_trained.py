"""What trained networks make of a sentence of one's own: how likely it is negative or positive, letter by letter.

Not a command itself: ``python -m experiments.character_sentiment --sentence "..." --out RUN``.
"""

from pathlib import Path

import jax
import numpy as np

from experiments import characters, verdicts
from experiments.characters import CharacterSettings
from jaxrnn import inference, plots, runfolder
from jaxrnn.command import plain_console
from jaxrnn.data import sentences
from jaxrnn.data.sentences import CLASSES, LENGTH, POSITIVE
from jaxrnn.study import restore_models, settings_of, trained


def judge(name: str, text: str, out: Path) -> np.ndarray:
    """Judge a sentence with the run in ``out``; prints how likely the classes are, draws how that moves, returns it.

    Returns the likelihoods after each step ``(runs, steps, classes)``: each character read, and each of the padding.

    Raises:
        CheckpointError: nothing is there, it is damaged, another command's, or no run kept a finite loss.
        DataError: no text, or characters that the training sentences lack.
        UserError: the figure cannot be written.
    """
    meta = trained(name, out)
    settings = settings_of(meta, CharacterSettings, out)
    ids = sentences.encode(text, characters.padding(settings))
    study = characters.study(settings)
    models = restore_models(out, study.task, study.hparams, meta, keep_best=False)
    read = text[:LENGTH]
    steps = len(read) if settings.mask else LENGTH
    found = inference.over(lambda model, ids: jax.nn.softmax(model.at_every_step(ids)), models, ids[None])[:, 0, :steps]

    console = plain_console()
    if len(text) > LENGTH:
        console.print(f"Of the {len(text)} characters the first {LENGTH} are read: {read!r}", soft_wrap=True)
    positive = found[:, -1, POSITIVE]
    verdicts.pronounce(console, read, positive)
    title = f"{read!r}: {verdicts.judged(positive)}"
    figure = plots.sequences.letters(read, found[..., POSITIVE], title, of=CLASSES[POSITIVE], padding=steps - len(read))
    file = verdicts.figure_file(out, read)
    runfolder.save_figure(figure, file)
    console.print(f"How the likelihood moves from character to character is drawn in {file}")
    return found
