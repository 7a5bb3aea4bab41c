"""Names that trained networks write, and what is measured of them, by how many of the likeliest letters are drawn from.

Not a command itself: see `names`.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments import name_model
from jaxrnn import ngrams
from jaxrnn.data.names import NOTHING, Alphabet, Name, Names
from jaxrnn.generate import Sampler, TopK, generate
from jaxrnn.models import LanguageModel
from jaxrnn.ngrams import NgramClassifier
from jaxrnn.typing import Float, Int, Key

KS = (1, 2, 3, 5, None)
"""From how many of the likeliest letters each one is drawn; None stands for all."""


RUN = 2
"""How many letters in a row the classifier goes by. Pairs recognise more of the held-out names than triples, of which
there are few of each."""


def label(k: int | None) -> str:
    """``k`` in the names of metrics and in tables."""
    return "all" if k is None else str(k)


class Written(NamedTuple):
    """Names that a network wrote."""

    names: list[Name]
    costs: Float[np.ndarray, "n"]
    """The negative log-likelihood of each whole name to the network, its end among it, in nats, whatever sampler there
    was."""
    characters: Int[np.ndarray, "n"]
    """How many characters that is the sum over, the end being one."""
    ended: list[bool]
    """Whether a name came to its end before it was as long as a name may be."""


def write(
    model: LanguageModel,
    key: Key[jax.Array, ""],
    alphabet: Alphabet,
    beginnings: Sequence[Name],
    sampler: Sampler | Sequence[Sampler],
    length: int,
) -> Written:
    """A name for each of these beginnings, all of one length; ``length`` is that of the longest that may be written, in
    ids, its start and its end among them.

    Raises DataError as `Alphabet.beginning` does.
    """
    prime = np.array([alphabet.beginning(one) for one in beginnings], np.int32)
    drawn = generate(
        model,
        key,
        prime,
        length - prime.shape[1],
        sampler,
        allowed=np.arange(alphabet.size) <= alphabet.end,
        stop=alphabet.end,
    )[1]
    ids = np.concatenate([prime, np.asarray(drawn)], 1)
    after = (np.cumsum(ids == alphabet.end, 1) > 0)[:, :-1]
    ids[:, 1:][after] = NOTHING
    return Written(
        [Name(alphabet.decode(row), one.language) for row, one in zip(ids, beginnings, strict=True)],
        np.asarray(_costs(model, jnp.asarray(ids)), float),
        name_model.characters(ids),
        (ids == alphabet.end).any(1).tolist(),
    )


@jax.jit
def _costs(model, ids):
    return name_model.costs(model, ids).sum(-1)


class Sample(NamedTuple):
    """What one network wrote, drawing each letter from the ``k`` likeliest ones."""

    k: int | None
    run: int
    written: Written
    new: list[bool]
    """Whether a name is none of those that were learned."""
    taken_for: list[str]
    """The language that the classifier takes a name for."""

    @property
    def matches(self) -> list[bool]:
        """Whether that is the language that was asked for."""
        return [name.language == taken for name, taken in zip(self.written.names, self.taken_for, strict=True)]

    @property
    def measures(self) -> dict[str, float]:
        """What the sample comes to; shares are of all names, that of ``match_new`` of the new ones (NaN without any).

        A name is a duplicate if it has been written before it in the same language.
        """
        texts = [name.text for name in self.written.names]
        new = [match for match, new in zip(self.matches, self.new, strict=True) if new]
        return {
            "novelty": float(np.mean(self.new)),
            "duplicates": 1 - len(set(self.written.names)) / len(texts),
            "nll": float(self.written.costs.sum() / self.written.characters.sum()),
            "length": float(np.mean([len(text) for text in texts])),
            "match": float(np.mean(self.matches)),
            "match_new": float(np.mean(new)) if new else float("nan"),
        }


def classifier(data: Names) -> NgramClassifier:
    """What takes a name for a language, by the `RUN`s of letters in the names that are learned."""
    return ngrams.fit([name.text for name in data.train], _labels(data, data.train), len(data.languages), RUN)


def recall(data: Names, judge: NgramClassifier) -> Float[np.ndarray, "k"]:
    """The share of each language's held-out names that the classifier recognises."""
    found = judge.classify([name.text for name in data.test])
    return ngrams.recall(found, _labels(data, data.test), len(data.languages))


def _labels(data: Names, names: Sequence[Name]) -> Int[np.ndarray, "n"]:
    return np.array([data.languages.index(name.language) for name in names], int)


def samples(models: Any, data: Names, judge: NgramClassifier, seed: int, each: int) -> list[Sample]:
    """``each`` names of every language for every k of `KS`, from every network of ``models`` (a leading run axis)."""
    beginnings = [Name("", language) for language in data.languages for _ in range(each)]
    learned = {name.text for name in data.train}
    found = []
    for run in range(jax.tree.leaves(models)[0].shape[0]):
        model = jax.tree.map(lambda leaf, run=run: leaf[run], models)
        for k in KS:
            key = jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), run), k or 0)
            sampler = () if k is None else TopK(k)
            written = write(model, key, data.alphabet, beginnings, sampler, data.length)
            texts = [name.text for name in written.names]
            taken_for = [data.languages[one] for one in judge.classify(texts)]
            found.append(Sample(k, run, written, [text not in learned for text in texts], taken_for))
    return found
