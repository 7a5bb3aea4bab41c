"""A two-layer LSTM learns a text character by character, and writes five samples on its way (UVA 3; U12 to U16).

python -m experiments.char_lm [--text-file FILE ...] [--stateful] [--resume]
"""

import re
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments import char_longer, char_samples, text_generation, text_temperatures, texts
from experiments.char_samples import SAMPLES
from experiments.text_generation import GenerationSettings
from experiments.text_temperatures import Counted, words_of
from experiments.texts import TextSettings, Trained
from jaxrnn import runfolder
from jaxrnn.command import command, plain_console
from jaxrnn.data.text import Text
from jaxrnn.errors import SettingsError
from jaxrnn.plots.style import finite
from jaxrnn.study import Experiment, Outcome, Study, amended, carry_out, conclude
from jaxrnn.train import Fitted
from jaxrnn.words import NAMES, OPTIMISER_NAMES, median_percent, median_range

OVERFITS = 0.01
"""A network overfits whose held-out bits per character are so much above their lowest at the end."""


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
    console, text = plain_console(), texts.load(settings)
    settings = texts.whole_passes(settings, text)
    if settings.steps % (SAMPLES * settings.every):
        raise SettingsError(
            f"{SAMPLES} samples are taken on the way: --every must divide a fifth of the {settings.steps} --steps, and "
            f"{settings.every} does not"
        )
    study = texts.study(settings, text)
    console.print(introduction(settings, text))

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
        console.print(f"{one.step:>9,} {one.greedy!r}", highlight=False, soft_wrap=True)
    first = finite(row["train_bits_per_character"] for row in outcome.fitted.progress.history if row["epoch"] == 1)
    counted, cut, told = written(name, settings, text, study, outcome)
    lowest = lowest_held_out(outcome.fitted, settings.every)
    metrics = {
        "first_train_bits_per_character": first,
        "lowest_test_bits_per_character": lowest.bits,
        "lowest_test_at_step": lowest.step,
        "first_sample_known_share": taken[0].share,
        "last_sample_known_share": taken[-1].share,
        **text_temperatures.counts(counted),
        "uniform_bits_per_character": np.log2(text.vocabulary.size),
        "cut_test_bits_per_character": cut,
        "vocabulary_size": text.vocabulary.size,
    }
    outcome = amended(
        outcome,
        began,
        metrics=outcome.result["metrics"] | {name: runfolder.metric(values) for name, values in metrics.items()},
        samples=[one.facts() for one in taken],
        temperatures=[one.facts() for one in counted],
        answers={
            "U12": learned(settings, text, outcome, first, lowest),
            "U13": char_samples.answer(taken),
            **told,
        },
    )
    conclude(outcome)
    return outcome.result


def written(
    name: str, settings: Settings, text: Text, study: Study, outcome: Outcome
) -> tuple[list[Counted], float, dict[str, str]]:
    """What the best of the finished runs writes, read back from the folder; how many bits a character of the held-out
    text costs it when its state is forgotten after each sequence; and the answers to U14 to U16."""
    out = outcome.out
    run = texts.restore(name, out)
    model = text_generation.best(name, run, out)
    known = [character for character in settings.prime if character in run.vocabulary.characters]
    prime = run.vocabulary.encode("".join(known) or run.vocabulary.characters[0]).astype(np.int32)
    key = jax.random.fold_in(jax.random.key(settings.seed), 3_000_000)
    counted = text_temperatures.compare(model, run.vocabulary, text, key, prime, out)
    carried = min(finite(outcome.fitted.metrics["test_bits_per_character"]))
    cut = char_longer.cut_off(study, model, text, settings.length)
    return (
        counted,
        cut,
        {
            "U14": text_temperatures.answer(counted),
            "U15": kept(run, text, outcome.fitted),
            "U16": char_longer.answer(model, text, key, prime, settings.length, carried, cut),
        },
    )


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


class Lowest(NamedTuple):
    """The least that the held-out text costs each run that came through, in bits per character."""

    bits: list[float]
    step: list[int]
    """After which it does."""
    risen: list[float]
    """By how much more it costs at the end."""


def lowest_held_out(fitted: Fitted, every: int) -> Lowest:
    """Over all evaluations, ``every`` so many steps."""
    courses: dict[int, dict[int, float]] = {}
    for row in fitted.progress.history:
        courses.setdefault(row["run"], {})[row["epoch"]] = row["test_bits_per_character"]
    sound = [courses[run] for run, bits in enumerate(fitted.metrics["test_bits_per_character"]) if np.isfinite(bits)]
    best = [min(course, key=course.__getitem__) for course in sound]
    bits = [course[epoch] for course, epoch in zip(sound, best, strict=True)]
    risen = [course[max(course)] - least for course, least in zip(sound, bits, strict=True)]
    return Lowest(bits, [epoch * every for epoch in best], risen)


def learned(settings: Settings, text: Text, outcome: Outcome, first: Sequence[float], lowest: Lowest) -> str:
    """UVA's 2.1(a), with what was measured; ``first`` is each run's training loss over the first epoch, in bits."""
    metrics = {name: finite(metric["runs"]) for name, metric in outcome.result["metrics"].items()}
    bits = metrics["test_bits_per_character"]
    several = f", median (lowest to highest) of {settings.seeds} runs" if settings.seeds > 1 else ""
    how = (
        f"in {settings.batch} contiguous streams, the state going on from step to step"
        if settings.stateful
        else f"in windows of T = {settings.length} characters anywhere in it, from a zero state"
    )
    overfitted = (
        f" It costs least, {median_range(lowest.bits)}, after step {statistics.median(lowest.step):,.0f}; from then on "
        "the network overfits."
        if statistics.median(lowest.risen) > OVERFITS
        else ""
    )
    layers = f"{settings.layers} {NAMES[settings.cell]} layer{'s' * (settings.layers > 1)} of {settings.hidden} units"
    return (
        f"{layers} read {text.name} {how}, each character as one-hot of {text.vocabulary.size}, and a linear layer "
        f"says at every step which one comes next: {outcome.result['parameters']:,} parameters. The loss is the "
        f"cross-entropy in the mean over the steps (equation 18). On {len(text.train):,} characters they are trained "
        f"for {settings.steps:,} steps of {settings.batch} sequences by {OPTIMISER_NAMES[settings.optimiser]} at "
        f"{settings.learning_rate:g}. In bits per character{several}, the training loss is {median_range(first)} over "
        f"the first {settings.every:,} steps and {median_range(metrics['train_bits_per_character'])} over the last, "
        f"where taking all characters for equally likely costs {np.log2(text.vocabulary.size):.3g}. The held-out "
        f"tenth, {len(text.test):,} characters read as one stream, costs {median_range(bits)}, and the likeliest "
        f"character is right in {median_percent(metrics['test_accuracy'])}.{overfitted}"
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
        f"{', and the vocabulary that of the text' if restored.vocabulary == text.vocabulary else ''}. They wrote the "
        "texts at the end of the run; with --generate and the run's folder they write more at any time."
    )


if __name__ == "__main__":
    sys.exit(command("char_lm", Settings, main))
