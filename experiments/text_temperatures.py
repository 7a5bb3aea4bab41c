"""What the temperature does to what a network writes: texts side by side, and what can be counted in them (UVA 3, U14).

Not a command itself: ``python -m experiments.char_lm --generate RUN --compare``; training ends with the same table.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from rich.table import Table

from jaxrnn import copies, runfolder
from jaxrnn.command import plain_console
from jaxrnn.data.text import Text, Vocabulary
from jaxrnn.generate import Greedy, Sampler, Temperature, drawn_from, generate
from jaxrnn.models import LanguageModel
from jaxrnn.typing import Float, Int, Key
from jaxrnn.words import quoted

WAYS: dict[str, Sampler] = {
    "greedy": Greedy(),
    "0.5": Temperature(0.5),
    "1": Temperature(1.0),
    "2": Temperature(2.0),
}
"""The ways to draw that are compared: the paper's temperatures, and the likeliest character each time."""

LENGTH = 2000
"""Characters that are written in each way: so many, that rare ones and copies are seen."""

SHOWN = 160
"""How many of them are shown."""

BEGUN = 80
"""How many of them the answer has."""

REPEATED, MOSTLY, PARTLY = 0.25, 0.95, 0.75
"""A text of which a smaller share of the runs of 4 characters is different repeats itself; another has almost only real
words, or some, where so large a share of them is known."""

FILE = "temperatures.md"


@dataclass(frozen=True, kw_only=True)
class Counted:
    """A text that was written, and what can be counted in it."""

    way: str
    text: str
    entropy: float
    """Of the distribution drawn from, in the mean over the text, in bits per character."""
    distinct: Sequence[float]
    """How many of its runs of n characters are different, as a share of them, for n from 1 to 4."""
    words: float
    """The share of its words that occur in the training text, the last one aside, which may be cut; NaN without any."""
    copied: str
    """The longest part of it that stands in the training text too."""

    def facts(self) -> dict[str, Any]:
        """What ``result.json`` has of it."""
        return asdict(self) | {"text": _shown(self), "characters": len(self.text), "copied": len(self.copied)}


def compare(
    model: LanguageModel, vocabulary: Vocabulary, text: Text, key: Key[jax.Array, ""], prime: np.ndarray, out: Path
) -> list[Counted]:
    """Write in each way from the same prime, print the table, and write it with the texts into the run's folder.

    ``text`` is the one that was trained on. Raises UserError where the file cannot be written.
    """
    counted = measure(model, vocabulary, text, key, prime)
    console = plain_console()
    console.print(_table(counted))
    for one in counted:
        console.print(f"{_named(one.way)}: {_shown(one)!r}", highlight=False, soft_wrap=True)
    runfolder.write_bytes(out / FILE, rendered(counted, vocabulary.decode(prime), text.name).encode())
    console.print(f"Table and texts are in {out / FILE}")
    return counted


def measure(
    model: LanguageModel,
    vocabulary: Vocabulary,
    text: Text,
    key: Key[jax.Array, ""],
    prime: Int[np.ndarray, "p"],
    length: int = LENGTH,
) -> list[Counted]:
    """What is counted in ``length`` characters written in each of `WAYS`, from the same prime and by the same key."""
    known = vocabulary.decode(text.train)
    words = set(words_of(known))
    allowed = vocabulary.known
    counted = []
    for way, sampler in WAYS.items():
        _, ids = generate(model, key, prime, length, sampler, allowed=allowed)
        written = vocabulary.decode(ids)
        entropy = entropies(model, jnp.append(jnp.asarray(prime), ids), sampler, allowed)[len(prime) - 1 :]
        mine = words_of(written)[:-1]
        counted.append(
            Counted(
                way=way,
                text=written,
                entropy=float(entropy.mean()),
                distinct=[distinct(written, n) for n in range(1, 5)],
                words=float(np.mean([word in words for word in mine])) if mine else float("nan"),
                copied=copies.longest_copy(written, known),
            )
        )
    return counted


@jax.jit
def entropies(
    model: LanguageModel, ids: Int[jax.Array, "t"], sampler: Sampler, allowed: np.ndarray
) -> Float[jax.Array, "s"]:
    """The entropy in bits of the distribution that each of ``ids`` but the first was drawn from:

    H_t = -sum_i p_i log2 p_i,    p = softmax(sampler(logits))
    """
    logs = jax.nn.log_softmax(drawn_from(sampler, model(ids[:-1]), allowed))
    shares = jnp.exp(logs)
    return -jnp.sum(jnp.where(shares > 0, shares * logs, 0), axis=-1) / jnp.log(2.0)


def distinct(text: str, n: int) -> float:
    """How many of the runs of n characters in a text are different, as a share of them all; NaN where it has none."""
    count = len(text) - n + 1
    return len({text[place : place + n] for place in range(count)}) / count if count > 0 else float("nan")


def words_of(text: str) -> list[str]:
    """The words of a text, in lower case: runs of letters of any script."""
    return re.findall(r"[^\W\d_]+", text.lower())


_COLUMNS = (
    "drawn", "entropy (bits/char)", "distinct 1-grams", "2-grams", "3-grams", "4-grams", "words in the text",
    "longest copy (chars)",
)  # fmt: skip


def _row(one: Counted) -> list[str]:
    shares = [f"{share:.3f}" for share in one.distinct]
    return [_named(one.way), f"{one.entropy:.2f}", *shares, percent(one.words), str(len(one.copied))]


def _table(counted: Sequence[Counted]) -> Table:
    title = f"{len(counted[0].text):,} characters in each way; 1 to 4: distinct runs of so many, of all"
    table = Table(title=title, title_justify="left")
    table.add_column("T")
    for column in ("bits/char", "1", "2", "3", "4", "known words", "copied"):
        table.add_column(column, justify="right")
    for one in counted:
        table.add_row(one.way, *_row(one)[1:])
    return table


def rendered(counted: Sequence[Counted], prime: str, name: str) -> str:
    """The table and the texts as Markdown."""
    lines = [
        "# What the temperature does",
        "",
        f"{len(counted[0].text):,} characters in each way, all from the prime {prime!r}, by a network that learned "
        f"{name}. Entropy is that of the distribution drawn from, in the mean; distinct n-grams are the different runs "
        "of n characters, as a share of them all; words in the text are those that occur in what was trained on; the "
        "longest copy is the longest part that stands there too.",
        "",
        f"| {' | '.join(_COLUMNS)} |",
        f"| --- |{' ---: |' * (len(_COLUMNS) - 1)}",
        *(f"| {' | '.join(_row(one))} |" for one in counted),
    ]
    for one in counted:
        copied = one.copied.split("\n")
        lines += ["", f"## {_named(one.way).capitalize()}", "", *(f"    {line}" for line in one.text.split("\n"))]
        lines += ["", f"The longest copy, {len(one.copied)} characters:", "", *(f"    {line}" for line in copied)]
    return "\n".join(lines) + "\n"


def answer(counted: Sequence[Counted]) -> str:
    """UVA's 2.1(c): how each text begins, and what is observed."""
    begun = ", ".join(f"{_named(one.way)} {quoted(one.text[:BEGUN])}" for one in counted)
    *seen, last = (f"{_named(one.way)} {_seen(one)}" for one in counted)
    return (
        "The logits are divided by the temperature before the softmax: below 1 the likely characters become likelier "
        "still, above 1 all become alike, and greedy sampling, the likeliest each time, is the limit at 0. From the "
        f"same beginning each goes on: {begun}. In {len(counted[0].text):,} characters of each the table has the share "
        "of four-character sequences that are distinct, and the share of words that occur in the text trained on. By "
        f"these, {', '.join(seen)}, and {last}."
    )


def _seen(one: Counted) -> str:
    """What is to be seen in a text, by what is counted in it."""
    if one.distinct[3] < REPEATED:
        return "repeats itself"
    if one.words >= MOSTLY:
        return "writes almost only real words"
    return "invents words among real ones" if one.words >= PARTLY else "is largely noise"


def counts(counted: Sequence[Counted]) -> dict[str, float]:
    """What the metrics have of it, by name."""
    return {f"{one.way}_distinct_share": one.distinct[3] for one in counted} | {
        f"{one.way}_known_share": one.words for one in counted
    }


def percent(words: float) -> str:
    """A share of words in percent; NaN is that there are none."""
    return "none" if math.isnan(words) else f"{words:.1%}"


def _named(way: str) -> str:
    return way if way == "greedy" else f"temperature {way}"


def _shown(one: Counted) -> str:
    return one.text[:SHOWN]
