"""Texts longer than a sequence: the state goes on where one ends, and what that is worth on the held-out text (U16).

Not a command itself: see `char_lm`.
"""

import jax
import numpy as np

from jaxrnn.data.text import Text
from jaxrnn.generate import Temperature, generate
from jaxrnn.models import LanguageModel
from jaxrnn.study import Study
from jaxrnn.train import evaluate
from jaxrnn.typing import Int, Key
from jaxrnn.words import quoted

TEMPERATURE = 0.5
"""What the sentences are drawn at: few of the words at 1 are words, and the likeliest characters soon repeat."""


def answer(
    model: LanguageModel,
    text: Text,
    key: Key[jax.Array, ""],
    prime: Int[np.ndarray, "p"],
    length: int,
    carried: float,
    cut: float,
) -> str:
    """UVA's bonus question 2.3: a sentence in two pieces of ``length`` characters, and what the state is worth.

    ``carried`` is the bits per character of the held-out text, read as one stream, and ``cut`` by `cut_off`.
    """
    vocabulary = text.vocabulary
    allowed = vocabulary.known

    def write(prime, count, carry=None):
        return generate(model, key, prime, count, Temperature(TEMPERATURE), carry=carry, allowed=allowed)

    state, first = write(prime, length)
    _, second = write(first[-1:], length, state)
    _, whole = write(prime, 2 * length)
    _, forgot = write(first[-1:], length)
    same = np.array_equal(np.append(first, second), whole)
    begins, begun, goes_on, anew = (quoted(vocabulary.decode(ids)) for ids in (prime, first, second, forgot))
    return (
        f"After {length} characters the hidden and memory states of all layers are kept, and given to the network with "
        f"the last character to go on from. At temperature {TEMPERATURE:g}, {begins} goes on {begun}, and then, with "
        f"the states handed on, {goes_on}: together {'what' if same else 'NOT what'} one piece of {2 * length} is, "
        f"character for character. From zero states the second piece would be {anew}. Of the held-out text a character "
        f"costs {carried:.3f} bits where the states go on from beginning to end, and {cut:.3f} where they are "
        f"forgotten after each {length} characters, so what they hold of the text before is "
        f"{'of use' if carried < cut else 'of no use here'}."
    )


def cut_off(study: Study, model: LanguageModel, text: Text, length: int) -> float:
    """Bits per character of the held-out text, read ``length`` characters at a time, each time from the initial state.

    Read is what `jaxrnn.language.contiguous` reads, without the rest that fills no piece; all of it where it is shorter
    than one.
    """
    size = min(length, len(text.test))
    count = len(text.test) // size * size
    x, y = np.append(text.train[-1:], text.test[:-1])[:count], text.test[:count]
    pieces = jax.device_put((x.reshape(-1, size), y.reshape(-1, size)))
    told = jax.jit(lambda model, pieces: evaluate(study.task, model, study.hparams, pieces))(model, pieces)
    return float(told["bits_per_character"])
