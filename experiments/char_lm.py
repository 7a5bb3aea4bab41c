"""A two-layer LSTM learns a text character by character, and writes five samples on its way (UVA 3; U12 to U16).

python -m experiments.char_lm [--text-file FILE ...] [--stateful] [--resume]
"""

import re
import sys
import time
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from rich.console import Console

from experiments import char_longer, char_samples, text_generation, text_temperatures, texts
from experiments.char_samples import SAMPLES
from experiments.palindrome import NAMES
from experiments.text_generation import GenerationSettings
from experiments.text_temperatures import words_of
from experiments.texts import TextSettings, Trained
from jaxrnn.command import command
from jaxrnn.data.text import Text
from jaxrnn.errors import SettingsError
from jaxrnn.plots.style import finite
from jaxrnn.study import Experiment, Outcome, Study, amended, carry_out, conclude
from jaxrnn.train import Fitted
from jaxrnn.words import median_percent, median_range


@dataclass(frozen=True, kw_only=True)
class Settings(GenerationSettings):
    """Learn from a text which character comes next, and write text of one's own.

    A two-layer LSTM reads the text in sequences of 30 characters, by default the prose about Python that every Python
    has. The last tenth is held out, and read as one stream. On its way the network writes five samples of 30
    characters into samples.md, from random first characters: the likeliest character each time, and drawn at
    temperature 1; at the end longer texts at several temperatures. Draws the loss in bits per character. A trained run
    writes as much as one likes with --generate.
    """


EXPERIMENT = Experiment("char_lm", TextSettings, texts.study, texts.load)


def main(name: str, settings: Settings) -> Any:
    """Train, and leave a run folder; returns what its ``result.json`` says. Or ask a trained run."""
    if settings.generate is not None:
        return text_generation.ask(name, settings)
    settings.check()
    console, text = Console(), texts.load(settings)
    settings = texts.whole_passes(settings, text)
    if settings.steps % (SAMPLES * settings.every):
        raise SettingsError(
            f"{SAMPLES} samples are taken on the way: --every must divide a fifth of the {settings.steps} --steps, and "
            f"{settings.every} does not"
        )
    study = texts.study(settings, text)
    console.print(introduction(settings, text), markup=False)

    # line by line: a list of all words of a large text would be many times as large
    lines = re.finditer(r"[^\n]+", text.vocabulary.decode(text.train))
    words = {word for line in lines for word in words_of(line[0])}

    def sample(progress, out):
        char_samples.take(settings, text, words, progress, out)

    outcome = carry_out(name, settings, study, after=sample)
    out, began = outcome.out, time.perf_counter()
    taken = char_samples.read(out)
    console.print(f"The samples, in {out / char_samples.FILE}:")
    for one in taken:
        console.print(f"{one.step:>9,} {one.greedy!r}", markup=False, highlight=False, soft_wrap=True)
    answered = {
        "U12": learned(settings, text, outcome.fitted, outcome.result["parameters"]),
        "U13": char_samples.answer(settings, taken),
        **written(name, settings, text, study, outcome),
    }
    outcome = amended(outcome, began, answers=answered)
    conclude(outcome)
    return outcome.result


def written(name: str, settings: Settings, text: Text, study: Study, outcome: Outcome) -> dict[str, str]:
    """What the best of the finished runs writes, read back from the folder: U14 to U16."""
    out = outcome.out
    run = texts.restore(name, out)
    model = text_generation.best(name, run, out)
    known = [character for character in settings.prime if character in run.vocabulary.characters]
    prime = run.vocabulary.encode("".join(known) or run.vocabulary.characters[0]).astype(np.int32)
    key = jax.random.fold_in(jax.random.key(settings.seed), 3_000_000)
    counted = text_temperatures.compare(model, run.vocabulary, text, key, prime, out)
    carried = min(finite(outcome.fitted.metrics["test_bits_per_character"]))
    return {
        "U14": text_temperatures.answer(counted),
        "U15": kept(run, text, outcome.fitted),
        "U16": char_longer.answer(study, model, text, key, prime, settings.length, carried),
    }


def introduction(settings: Settings, text: Text) -> str:
    """What is read, and how."""
    documents = f"{len(text.starts):,} document{'s' * (len(text.starts) > 1)}"
    others = (
        f"{text.unknown:,} of the held-out characters {'is' if text.unknown == 1 else 'are'} unknown to it"
        if text.unknown
        else "the held-out part has no others"
    )
    said = (
        f"{text.name}: {len(text.ids):,} characters in {documents}. What is trained on has "
        f"{len(text.vocabulary.characters)} different ones, and {others}."
    )
    if settings.stateful:
        said += (
            f" Read in {settings.batch} streams of {settings.length} characters a step: {settings.every:,} steps are "
            f"whole passes, {settings.steps:,} in all."
        )
    return said


def learned(settings: Settings, text: Text, fitted: Fitted, parameters: int) -> str:
    """UVA's 2.1(a), with what was measured."""
    metrics = fitted.metrics
    bits = metrics["test_bits_per_character"]
    runs = len(bits)
    how = (
        f"in {settings.batch} contiguous streams, the state going on from step to step"
        if settings.stateful
        else f"in windows of T = {settings.length} characters anywhere in it, from a zero state"
    )
    history = fitted.progress.history
    first, last = (
        finite(row["train_bits_per_character"] for row in history if row["epoch"] == epoch)
        for epoch in (1, settings.total_epochs())
    )
    unknown = f", {text.unknown:,} of them as the unknown one" if text.unknown else ""
    layers = f"{settings.layers} {NAMES[settings.cell]} layer{'s' * (settings.layers > 1)} of {settings.hidden} units"
    return (
        f"{layers} read one-hot characters of {text.name} ({len(text.train):,} to train on, "
        f"{text.vocabulary.size} ids) {how}, and a linear layer says at every step which comes next: "
        f"{parameters:,} parameters. They are trained for {settings.steps:,} steps of {settings.batch} sequences "
        f"by {settings.optimiser} at {settings.learning_rate:g}, times {settings.decay:g} every "
        f"{settings.decay_every:,} steps, the gradient clipped at a norm of {settings.clip_norm:g}. The loss is "
        "the cross-entropy in the mean over the steps (equation 18). In bits per character, median (lowest to "
        f"highest) of {runs} run{'s' * (runs > 1)}, it fell in training from {median_range(first)} over the first "
        f"{settings.every:,} steps to {median_range(last)} over the last. The held-out tenth, {len(text.test):,} "
        f"characters{unknown}, each told from all that stand before it there, costs {median_range(bits)}, and the "
        f"likeliest character is right in {median_percent(metrics['test_accuracy'])}. To take all "
        f"{text.vocabulary.size} ids for equally likely costs {np.log2(text.vocabulary.size):.2f}."
    )


def kept(restored: Trained, text: Text, fitted: Fitted) -> str:
    """What the checkpoint of a finished run is good for, tried out."""
    sound = np.flatnonzero(jax.device_get(fitted.progress.runs.failed_at) < 0)
    trained = [np.asarray(leaf)[sound] for leaf in jax.tree.leaves(jax.device_get(fitted.progress.runs.final))]
    same = all(
        np.array_equal(np.asarray(leaf), other)
        for leaf, other in zip(jax.tree.leaves(restored.models), trained, strict=True)
    )
    return (
        "While it trains, the command saves weights, optimiser, random key and step every ten seconds in checkpoint/, "
        f"with the {len(restored.vocabulary.characters)} characters of the "
        "vocabulary in their order. After Ctrl-C, a kill or a power cut the same command with --resume goes on to the "
        "numbers and the samples of a run that was not stopped, bit for bit. Read back at the end, the weights are "
        f"{'those' if same else 'NOT those'} that were trained, bit for bit"
        f"{', and the vocabulary that of the text' if restored.vocabulary == text.vocabulary else ''}."
    )


if __name__ == "__main__":
    sys.exit(command("char_lm", Settings, main))
