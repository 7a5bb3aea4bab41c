"""The five samples that a network writes while it learns a text, and what becomes better from one to the next (U13).

Not a command itself: see `char_lm`.
"""

import re
from dataclasses import asdict, dataclass
from pathlib import Path

import jax
import numpy as np

from experiments.text_generation import known
from experiments.texts import TextSettings
from jaxrnn import runfolder
from jaxrnn.data.text import Text
from jaxrnn.generate import Greedy, generate
from jaxrnn.train import Progress

SAMPLES = 5
"""How many, after as many equal parts of the training."""

FILE, DATA = "samples.md", "samples.json"
"""The samples to be read, and as what `read` gives back."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What a run has written after so many steps: the first of those whose loss is finite."""

    step: int
    loss: float
    """In training, the mean over the steps since the last evaluation, in nats."""
    held_out: float
    """Bits per character."""
    greedy: str
    """The likeliest character each time, after a random first one."""
    drawn: str
    """After the same one, drawn from what the network says: at temperature 1."""


def take(settings: TextSettings, text: Text, progress: Progress, out: Path) -> None:
    """After an epoch: where a fifth of the training ends there, write a sample, and all there are into the folder.

    A function of where the training stands and of the samples before: taken once more, it is the same.
    """
    apart = settings.total_epochs() // SAMPLES
    if progress.epoch % apart:
        return
    rows = [row for row in progress.history if row["epoch"] == progress.epoch]
    if not rows:
        return
    number, row = progress.epoch // apart, rows[0]
    loss, held_out = row["train_loss"], row["test_bits_per_character"]
    greedy, drawn = written(settings, text, progress, row["run"], number)
    step = progress.epoch * settings.every
    new = Sample(step=step, loss=loss, held_out=held_out, greedy=greedy, drawn=drawn)
    earlier = read(out)[: number - 1] if number > 1 else []
    runfolder.write_json(out / DATA, [asdict(one) for one in (*earlier, new)])
    runfolder.write_bytes(out / FILE, rendered(settings, text, [*earlier, new]).encode())


def written(settings: TextSettings, text: Text, progress: Progress, run: int, number: int) -> list[str]:
    """What a run writes after a random character of what is trained on, as greedy and drawn."""
    # a copy on the host: the next step overwrites what the runs are in
    model = jax.tree.map(lambda leaf: leaf[run], jax.device_get(progress.runs.model))
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(settings.seed), 2_000_000), number)
    place = int(jax.random.randint(jax.random.fold_in(key, 0), (), 0, len(text.train)))
    prime = text.train[place : place + 1].astype(np.int32)
    allowed = known(text.vocabulary)
    both = [
        generate(model, jax.random.fold_in(key, 1), prime, settings.sample_length - 1, sampler, allowed=allowed)[1]
        for sampler in (Greedy(), ())
    ]
    return [text.vocabulary.decode(np.append(prime, ids)) for ids in jax.device_get(both)]


def read(out: Path) -> list[Sample]:
    """The samples in a run's folder. Raises DataError."""
    return [Sample(**row) for row in runfolder.read_json(out / DATA)]


def rendered(settings: TextSettings, text: Text, samples: list[Sample]) -> str:
    """The samples as Markdown; text stands indented, with its line breaks."""
    parts = [
        f"# {SAMPLES} samples of {settings.sample_length} characters, written while learning {text.name}\n\n"
        "Each begins with a character drawn from the text. Greedy takes the likeliest character each time; temperature "
        "1 draws it as likely as the network says.\n"
    ]
    for sample in samples:
        parts.append(
            f"## Step {sample.step:,} of {settings.steps:,}\n\nTraining loss {sample.loss:.4f} nats, held out "
            f"{sample.held_out:.4f} bits per character.\n\nGreedy:\n\n{_indented(sample.greedy)}\n\n"
            f"Temperature 1:\n\n{_indented(sample.drawn)}\n"
        )
    return "\n".join(parts)


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.split("\n"))


def answer(settings: TextSettings, text: Text, samples: list[Sample]) -> str:
    """What changes from sample to sample: quoted, and in numbers."""
    words = set(_words(text.vocabulary.decode(text.train)))
    quoted = "; ".join(
        f"step {one.step:,} ({one.loss:.3f} nats) {one.greedy!r}, drawn {one.drawn!r} "
        f"({_real(one.drawn, words)} words are the text's)"
        for one in samples
    )
    return (
        f"{len(samples)} samples of {settings.sample_length} characters, after equal parts of the training, each from "
        f"a random character of the text, greedy and drawn at temperature 1 (samples.md): {quoted}. From the first to "
        f"the last the training loss fell by {samples[0].loss - samples[-1].loss:.3f} nats a character, and the "
        f"held-out one by {samples[0].held_out - samples[-1].held_out:.3f} bits."
    )


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W\d_]+", text.lower())


def _real(text: str, known: set[str]) -> str:
    """How many of a sample's words occur in the text; the first and last may be cut, and do not count."""
    words = _words(text)[1:-1]
    return f"{sum(word in known for word in words)} of {len(words)}"
