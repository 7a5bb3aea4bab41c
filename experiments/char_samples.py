"""The five samples that a network writes while it learns a text, and what becomes better from one to the next (U13).

Not a command itself: see `char_lm`.
"""

import math
from collections.abc import Set
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from experiments.text_temperatures import percent, words_of
from experiments.texts import TextSettings
from jaxrnn import runfolder
from jaxrnn.data.text import Text
from jaxrnn.generate import Greedy, generate
from jaxrnn.train import Progress
from jaxrnn.words import quoted

SAMPLES = 5
"""How many, after as many equal parts of the training."""

MANY = 64
"""Texts whose words are counted: in the few of one sample there is little to be seen."""

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
    words: int
    """So many words are in `MANY` texts drawn alike, the first and the last of each aside, which may be cut."""
    known: int
    """So many of them occur in what is trained on."""

    @property
    def share(self) -> float:
        """The share of the words that do, NaN where there are none."""
        return self.known / self.words if self.words else math.nan

    def facts(self) -> dict[str, Any]:
        """What ``result.json`` has of it."""
        return asdict(self) | {"known_share": self.share}


def take(settings: TextSettings, text: Text, words: Set[str], progress: Progress, out: Path) -> None:
    """After an epoch: where a fifth of the training ends there, write a sample, and all there are into the folder.

    ``words`` are those of the text. A function of where the training stands and of the samples before: taken once more,
    it is the same.
    """
    apart = settings.total_epochs() // SAMPLES
    if progress.epoch % apart:
        return
    rows = [row for row in progress.history if row["epoch"] == progress.epoch]
    if not rows:
        return
    number, row = progress.epoch // apart, rows[0]
    greedy, drawn = written(settings, text, progress, row["run"], number)
    found = [word for one in drawn for word in words_of(one)[1:-1]]
    new = Sample(
        step=progress.epoch * settings.every,
        loss=row["train_loss"],
        held_out=row["test_bits_per_character"],
        greedy=greedy[0],
        drawn=drawn[0],
        words=len(found),
        known=sum(word in words for word in found),
    )
    earlier = read(out)[: number - 1] if number > 1 else []
    runfolder.write_json(out / DATA, [asdict(one) for one in (*earlier, new)])
    runfolder.write_bytes(out / FILE, rendered(settings, text, [*earlier, new]).encode())


def written(
    settings: TextSettings, text: Text, progress: Progress, run: int, number: int
) -> tuple[list[str], list[str]]:
    """What a run writes after `MANY` random characters of what is trained on, as greedy and drawn."""
    # a copy on the host: the next step overwrites what the runs are in
    model = jax.tree.map(lambda leaf: leaf[run], jax.device_get(progress.runs.model))
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(settings.seed), 2_000_000), number)
    first, rest = jax.random.split(key)
    places = np.asarray(jax.random.randint(first, (MANY, 1), 0, len(text.train)))
    prime, allowed = text.train[places].astype(np.int32), text.vocabulary.known

    def write(sampler):
        _, ids = generate(model, rest, prime, settings.sample_length - 1, sampler, allowed=allowed)
        return [text.vocabulary.decode(row) for row in np.append(prime, ids, axis=1)]

    return write(Greedy()), write(())


def read(out: Path) -> list[Sample]:
    """The samples in a run's folder. Raises DataError."""
    return [Sample(**row) for row in runfolder.read_json(out / DATA, list[Sample])]


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
            f"{sample.held_out:.4f} bits per character. In {MANY} texts drawn like the second, {_share(sample)}.\n\n"
            f"Greedy:\n\n{_indented(sample.greedy)}\n\n"
            f"Temperature 1:\n\n{_indented(sample.drawn)}\n"
        )
    return "\n".join(parts)


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.split("\n"))


def answer(samples: list[Sample]) -> str:
    """UVA's 2.1(b): the samples, and what changes from one to the next, in numbers."""
    first, last = samples[0], samples[-1]
    written = ", ".join(f"{quoted(one.greedy)} after {one.step:,}" for one in samples)
    goes = "rises" if last.share > first.share else "falls" if last.share < first.share else "goes"
    return (
        f"From a random first character, and then the likeliest one each time, the network writes {written} steps. In "
        f"{MANY} texts drawn at temperature 1 instead, the share of words that occur in what is trained on {goes} from "
        f"{percent(first.share)} after {first.step:,} steps to {percent(last.share)} after {last.step:,}. Meanwhile "
        f"the held-out text goes from {first.held_out:.3f} to {last.held_out:.3f} bits per character."
    )


def _share(sample: Sample) -> str:
    if not sample.words:
        return "there are no words"
    return f"{percent(sample.share)} of {sample.words} words occur in the text"
