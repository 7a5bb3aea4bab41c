"""What a trained run writes when it is asked to: a text that goes on from one's own, as long as one likes (UVA 3).

Not a command itself: ``python -m experiments.char_lm --generate RUN --prime "Sleeping beauty is" --length 500``.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from experiments import text_neurons, text_temperatures, texts
from experiments.texts import TextSettings, Trained
from jaxrnn.command import OF_THE_CALL, at_least_one, plain_console
from jaxrnn.data.text import Text, Vocabulary
from jaxrnn.errors import DataError, SettingsError
from jaxrnn.generate import Greedy, Sampler, Temperature, TopK, TopP, Written, beam_search, generate
from jaxrnn.models import LanguageModel
from jaxrnn.study import trained
from jaxrnn.typing import Int, Key

CHUNK = 50
"""Characters that are written at once: one compiled program for texts of any length."""


@dataclass(frozen=True, kw_only=True)
class GenerationSettings(TextSettings):
    """What can be asked of a trained run."""

    generate: Annotated[Path | None, tyro.conf.arg(metavar="RUN")] = field(default=None, metadata=OF_THE_CALL)
    """Train nothing: write text with the trained run in this folder. Then --length is how many characters to write.
    Of several seeds the one is asked that did best on what was held out."""
    prime: str = field(default="Sleeping beauty is", metadata=OF_THE_CALL)
    """With --generate: what the text goes on from."""
    unknown: Literal["error", "skip"] = field(default="error", metadata=OF_THE_CALL)
    """With --generate: whether characters that the training text lacks are an error, or left out."""
    samples: int = field(default=1, metadata=OF_THE_CALL)
    """With --generate: how many texts to write, one after the other."""
    temperature: float = field(default=1.0, metadata=OF_THE_CALL)
    """With --generate: below 1 the likely characters become likelier, above 1 all become alike; 0 takes the likeliest
    each time (greedy)."""
    top_k: int | None = field(default=None, metadata=OF_THE_CALL)
    """With --generate: draw from so many of the likeliest characters only."""
    top_p: float = field(default=1.0, metadata=OF_THE_CALL)
    """With --generate: draw from the likeliest characters only, as few as together have this probability."""
    beam: int | None = field(default=None, metadata=OF_THE_CALL)
    """With --generate: draw nothing, but search for the likeliest text with so many beginnings side by side; of those
    found the best --samples are shown."""
    compare: bool = field(default=False, metadata=OF_THE_CALL)
    """With --generate: write greedily and at temperatures 0.5, 1 and 2 instead, and set the texts side by side in
    temperatures.md in the run's folder."""
    view: str | None = field(default=None, metadata=OF_THE_CALL)
    """With --generate: write nothing, but show what single hidden units do while this text is read, and what comes
    next at each character, in neurons.html and neurons.png in the run's folder."""

    def check(self) -> None:
        super().check()
        at_least_one(self, "samples", "top_k", "beam")
        if not 0 <= self.temperature < float("inf"):
            raise SettingsError(f"--temperature must be at least 0, not {self.temperature}")
        if not 0 < self.top_p <= 1:
            raise SettingsError(f"--top-p must be above 0 and at most 1, not {self.top_p}")


def ask(name: str, settings: GenerationSettings) -> Any:
    """Ask the run of the command ``name`` in ``settings.generate``, print what it says as it comes, and return it.

    Returns the texts, each with its prime; under ``compare`` and ``view`` what `text_temperatures.compare` and
    `text_neurons.show` return.

    Raises:
        SettingsError: settings that make no sense, or a prime or text that the run cannot read.
        CheckpointError: no run of this command is there, it is damaged, or none kept a finite loss.
        DataError: the text that it was trained on cannot be read, which ``compare`` and ``view`` need.
        UserError: a file cannot be written.
    """
    settings.check()
    assert settings.generate is not None
    out = settings.generate
    run = texts.restore(name, out)
    model = best(name, run, out)
    if settings.view is not None:
        ids = encoded(run.vocabulary, settings.view, settings.unknown, "--view")
        return text_neurons.show(model, run.vocabulary, _text(run), ids, out)
    prime = encoded(run.vocabulary, settings.prime, settings.unknown, "--prime")
    if settings.compare:
        key = jax.random.key(settings.seed)
        return text_temperatures.compare(model, run.vocabulary, _text(run), key, prime, out)
    if settings.beam is not None:
        return _search(model, run.vocabulary, prime, settings)
    samplers, said = _samplers(settings)
    count = settings.samples if said != "greedy" else 1
    console, written = plain_console(), []
    for sample in range(count):
        console.print(f"Sample {sample + 1} of {count}, {said}:", style="bold", highlight=False)
        parts = [run.vocabulary.decode(prime)]
        print(parts[0], end="", flush=True)
        key = jax.random.fold_in(jax.random.key(settings.seed), sample)
        for part in stream(model, run.vocabulary, key, prime, settings.length, samplers):
            print(part, end="", flush=True)
            parts.append(part)
        print("\n")
        written.append("".join(parts))
    return written


def stream(
    model: LanguageModel,
    vocabulary: Vocabulary,
    key: Key[jax.Array, ""],
    prime: Int[np.ndarray, "p"],
    length: int,
    samplers: tuple[Sampler, ...],
    chunk: int = CHUNK,
) -> Iterator[str]:
    """A text of ``length`` characters that goes on from ``prime``, in parts of ``chunk`` as they are drawn.

    The state goes from part to part, so there is no end to it, and the text is the same in parts of any size.
    """
    allowed = vocabulary.known
    state: Written | None = None
    last = jnp.asarray(prime, jnp.int32)
    for start in range(0, length, chunk):
        state, ids = generate(model, key, last, chunk, samplers, carry=state, allowed=allowed)
        last = ids[-1:]
        yield vocabulary.decode(ids[: length - start])


def encoded(vocabulary: Vocabulary, text: str, unknown: Literal["error", "skip"], option: str) -> np.ndarray:
    """The ids of a text that the user gave by this option, unknown characters an error or left out. Raises
    SettingsError."""
    lacking = "".join(sorted(set(text) - set(vocabulary.characters)))
    if lacking and unknown == "error":
        raise SettingsError(
            f"{option}: the text that was trained on lacks {' '.join(map(repr, lacking))}; leave them out yourself, or "
            "by --unknown skip"
        )
    ids = vocabulary.encode("".join(character for character in text if character not in lacking)).astype(np.int32)
    if not ids.size:
        raise SettingsError(f"{option} must be at least one character that occurs in the text that was trained on")
    return ids


def best(name: str, run: Trained, out: Path) -> LanguageModel:
    """Of the trained runs the one that did best on what was held out, at the last evaluation."""
    history = trained(name, out)["history"]
    end = max((row["epoch"] for row in history), default=None)
    # the loss of a run that failed is not finite, and its model is not among those
    losses = [row["test_loss"] for row in history if row["epoch"] == end and np.isfinite(row["test_loss"])]
    place = int(np.argmin(losses)) if losses else 0
    return jax.tree.map(lambda leaf: leaf[place], run.models)


def _text(run: Trained) -> Text:
    """What the run was trained on, read again. Raises DataError."""
    text = texts.load(run.settings)
    if text.vocabulary != run.vocabulary:
        raise DataError(f"{text.name} is not the text any more that the run was trained on: restore it, or train again")
    return text


def _samplers(settings: GenerationSettings) -> tuple[tuple[Sampler, ...], str]:
    """What is applied in turn, and in words."""
    if settings.temperature == 0:
        return (Greedy(),), "greedy"
    samplers: list[Sampler] = [Temperature(settings.temperature)]
    said = [f"temperature {settings.temperature:g}"]
    if settings.top_k is not None:
        samplers.append(TopK(settings.top_k))
        said.append(f"top-k {settings.top_k}")
    if settings.top_p < 1:
        samplers.append(TopP(settings.top_p))
        said.append(f"top-p {settings.top_p:g}")
    return tuple(samplers), ", ".join(said)


def _search(model: LanguageModel, vocabulary: Vocabulary, prime: np.ndarray, settings: GenerationSettings) -> list[str]:
    """The likeliest texts that a beam finds; prints and returns them, best first."""
    assert settings.beam is not None
    ids, logs = jax.device_get(beam_search(model, prime, settings.length, settings.beam))
    there = np.flatnonzero(np.isfinite(logs))[: settings.samples]
    console, written = plain_console(), []
    for place, row in enumerate(there):
        bits = -logs[row] / np.log(2) / settings.length
        console.print(
            f"Text {place + 1} of a beam of {settings.beam}, {bits:.4f} bits per character:",
            style="bold",
            highlight=False,
        )
        written.append(vocabulary.decode(np.append(prime, ids[row])))
        print(written[-1] + "\n", flush=True)
    return written
