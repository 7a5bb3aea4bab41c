"""What single hidden units of a trained run do while it reads a text, and what it expects at each character.

Not a command itself: ``python -m experiments.char_lm --generate RUN --view TEXT``.

Units are not chosen by hand: of several simple features of a character, each is shown by the unit whose output goes
with it most closely, by the correlation over a part of the text that was trained on.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from rich.table import Table

from jaxrnn import plots, runfolder
from jaxrnn.command import plain_console
from jaxrnn.data.text import Text, Vocabulary
from jaxrnn.models import LanguageModel
from jaxrnn.plots import neuron_page
from jaxrnn.typing import Array, Float, Int

READ = 20_000
"""So many characters of the training text choose the units."""

EXPECTED = 5
"""How many of the likeliest next characters are shown."""

FIGURE, PAGE = "neurons.png", "neurons.html"


class Unit(NamedTuple):
    """A hidden unit, and what it goes with."""

    feature: str
    layer: int
    """From 1, the lowest."""
    number: int
    """In its layer, from 0."""
    correlation: float

    @property
    def name(self) -> str:
        return f"{self.feature}: layer {self.layer}, unit {self.number} (r = {self.correlation:.2f})"


def show(
    model: LanguageModel, vocabulary: Vocabulary, text: Text, ids: Int[np.ndarray, "t"], out: Path
) -> dict[str, np.ndarray]:
    """Read ``ids``, print which units are shown, and draw them into the run's folder; returns their outputs by name.

    ``text`` is the one that was trained on. Raises UserError where a file cannot be written.
    """
    units = chosen(model, vocabulary, text.train[:READ].astype(np.int32))
    outputs, logits = jax.device_get(_read(model, ids))
    shown = {unit.name: outputs[unit.layer - 1][:, unit.number] for unit in units}
    expected = likeliest(vocabulary, logits)
    read = vocabulary.decode(ids)

    console = plain_console()
    table = Table(title="Units shown: of each feature the one that goes with it most closely", title_justify="left")
    table.add_column("feature")
    for column in ("layer", "unit", "correlation"):
        table.add_column(column, justify="right")
    for unit in units:
        table.add_row(unit.feature, str(unit.layer), str(unit.number), f"{unit.correlation:.3f}")
    console.print(table)
    title = f"What {len(units)} hidden units do while a network reads, and what it expects next"
    runfolder.save_figure(plots.neurons.neurons(read, shown, expected, title), out / FIGURE)
    runfolder.write_bytes(out / PAGE, neuron_page.page(read, shown, expected, title).encode())
    console.print(f"They are drawn in {out / FIGURE} and, all of the text, in {out / PAGE}")
    return shown


def likeliest(vocabulary: Vocabulary, logits: Float[np.ndarray, "t v"]) -> list[list[tuple[str, float]]]:
    """The likeliest next characters after each one read, with their probabilities, the likeliest first."""
    values, places = jax.device_get(jax.lax.top_k(jax.nn.softmax(logits), min(EXPECTED, logits.shape[-1])))
    return [
        list(zip(vocabulary.decode(row), probabilities.tolist(), strict=True))
        for row, probabilities in zip(places, values, strict=True)
    ]


def chosen(model: LanguageModel, vocabulary: Vocabulary, ids: Int[np.ndarray, "t"]) -> list[Unit]:
    """For each feature that varies in a text, of the units not yet taken the one with the largest correlation, of
    either sign."""
    outputs, _ = jax.device_get(_read(model, ids))
    widths = [layer.shape[1] for layer in outputs]
    starts = np.cumsum([0, *widths])
    everything = np.concatenate(outputs, axis=1).astype(float)
    units: list[Unit] = []
    free = everything.std(0) > 0
    for feature, values in features(vocabulary.decode(ids)).items():
        if not values.std() > 0 or not free.any():
            continue
        correlations = np.full(everything.shape[1], 0.0)
        correlations[free] = _correlations(everything[:, free], values)
        place = int(np.argmax(np.where(free, np.abs(correlations), -1)))
        free[place] = False
        layer = int(np.searchsorted(starts, place, side="right"))
        units.append(Unit(feature, layer, place - int(starts[layer - 1]), float(correlations[place])))
    return units


def features(text: str) -> Mapping[str, Float[np.ndarray, "t"]]:
    """Simple features of every character of a text: no and yes as 0 and 1, places in a line or a word as numbers."""

    def marks(pattern: str) -> np.ndarray:
        found = np.zeros(len(text))
        found[[match.start() for match in re.finditer(pattern, text)]] = 1
        return found

    places = np.arange(len(text))

    def since(restart: np.ndarray) -> np.ndarray:
        return places - np.maximum.accumulate(np.where(restart > 0, places, 0))

    def latest(found: np.ndarray) -> np.ndarray:
        return np.maximum.accumulate(np.where(found > 0, places, -1))

    newline, straight = marks("\n"), np.cumsum(marks('"')) % 2 > 0
    # a single mark that a letter follows is an apostrophe
    curly = latest(marks("[“„«‘]")) > latest(marks(r"[”»]|’(?!\w)"))
    return {
        "space or line break": marks(r"\s"),
        "capital": np.array([character.isupper() for character in text], float),
        "inside quotes": (straight | curly).astype(float),
        "punctuation": marks(r"[^\w\s]"),
        "digit": marks(r"\d"),
        "place in the line": since(newline).astype(float),
        "place in the word": since(marks(r"\W")).astype(float),
    }


def _correlations(outputs: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Pearson's, of every column with the values."""
    outputs, values = outputs - outputs.mean(0), values - values.mean()
    return values @ outputs / np.sqrt((values**2).sum() * (outputs**2).sum(0))


@jax.jit
def _read(model: LanguageModel, ids: Int[Array, "t"]) -> tuple[list[Float[Array, "t h"]], Float[Array, "t v"]]:
    """The outputs of every layer, and the logits, after each character."""
    xs, outputs = jnp.asarray(ids)[:, None], []
    for layer in model.layers.layers:
        _, xs = layer(xs)
        outputs.append(xs)
    return outputs, model.head(xs)
