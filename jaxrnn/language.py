"""Learning what comes next in a text: what is read of it, in which order, and the cross-entropy of what follows.

A text is ids ``(n,)``; a model reads some and says at each how likely every id is to follow
(`jaxrnn.models.LanguageModel`). What is trained on are windows anywhere in it, or contiguous streams, chunk by chunk.
What is held out is one contiguous stream, however it was trained.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxrnn.errors import DataError
from jaxrnn.train import Chunks, Hparams, Stateful, Stream, is_largest
from jaxrnn.typing import Array, Bool, Float, Int, Key, Shaped

CHUNK = 500
"""How many characters of what is held out are read at once: the memory that they need, not what comes of them."""


def windows(ids: Int[np.ndarray, "n"], length: int, steps: int) -> Stream:
    """Windows of ``length`` characters and of those that follow them, drawn alike from all ``n - length`` places.

    ``steps`` training steps count as an epoch. Raises DataError for a text that is shorter than ``length + 1``.
    """
    places = len(ids) - length
    if places < 1:
        raise DataError(
            f"the text has {len(ids)} characters to train on, and a sequence needs {length + 1}: "
            "take a longer text or a shorter --length"
        )

    def draw(key, n, ids):
        offsets = jax.random.randint(key, (n,), 0, places)
        drawn = ids[offsets[:, None] + jnp.arange(length + 1)]
        return drawn[:, :-1], drawn[:, 1:]

    return Stream(draw, steps, kept=ids)


def streams(
    ids: Int[np.ndarray, "n"], starts: Int[np.ndarray, "m"], batch: int, length: int, passes: int = 1
) -> Chunks:
    """A text in ``batch`` contiguous parts of equal length, side by side, read ``length`` characters a step.

    Of the parts, each chunk goes on where that before it ended; x is ids and where they begin anew: at the start of a
    document, and of each of ``passes`` over the text that count as an epoch. What the parts leave over at the end of
    the text, less than one step reads, is not read.

    Raises DataError for a text that has not a chunk for each part.
    """
    steps = (len(ids) - 1) // (batch * length)
    if steps < 1:
        raise DataError(
            f"the text has {len(ids)} characters to train on, and {batch} streams of {length} characters and the next "
            f"need {batch * length + 1}: take a longer text, a smaller --batch or a shorter --length"
        )
    begins = np.zeros(len(ids), bool)
    begins[starts[starts < len(ids)]] = True

    def parted(values):
        return np.swapaxes(values[: steps * batch * length].reshape(batch, steps, length), 0, 1)

    def repeated(values):
        return np.tile(values, (passes, 1, 1))

    anew = parted(begins).copy()
    anew[0, :, 0] = True
    return Chunks((repeated(parted(ids)), repeated(anew)), repeated(parted(ids[1:])))


def contiguous(before: int, ids: Int[np.ndarray, "n"], nothing: int) -> tuple[np.ndarray, np.ndarray]:
    """Every one of ``ids`` to be told from those before it: an example ``(x, y)`` for `next_id`, each ``(1, c, t)``.

    The first is told from the id ``before`` them all alone. What the last chunk lacks is ``nothing``, which is no id.
    """
    size = min(CHUNK, len(ids))
    lacking = -len(ids) % size
    read = np.append(ids.dtype.type(before), ids[:-1])
    x, y = (np.pad(part, (0, lacking), constant_values=nothing).reshape(1, -1, size) for part in (read, ids))
    return x, y


def next_id(model: Any, x: Any, y: Any, hparams: Hparams, key: Key[Array, ""] | None) -> dict[str, Float[Array, "b"]]:
    """The cross-entropy of what comes next, in the mean over the steps of a row (UVA, equation 18).

        L = 1/T sum_t -log p(y_t | x_1, ..., x_t)

    ``loss`` is in nats, ``bits_per_character`` is loss / ln 2, and ``accuracy`` the share of steps at which the
    likeliest id is the next. Of x and y ``(b, t)``, each row is read from the initial state. Of ``(b, c, t)`` the
    chunks of a row are read one after the other, the state going on, and what is no id is not counted.
    """
    ids, anew = _parts(x)
    if ids.ndim == 3:
        return _chunk_by_chunk(model, ids, y)
    _, logits = model.read(ids, reset=anew, key=key, dropout=hparams.dropout)
    return _named(*(values.mean(-1) for values in _each(logits, y)))


def _stateful(model: Any, state: Any, x: Any, y: Any, hparams: Hparams, key: Key[Array, ""] | None):
    ids, anew = _parts(x)
    state, logits = model.read(ids, carry=state, reset=anew, key=key, dropout=hparams.dropout)
    return _named(*(values.mean(-1) for values in _each(logits, y))), state


STATEFUL = Stateful(lambda model, n: model.initial_carry((n,)), _stateful)
"""`next_id` on `streams`: every row goes on from the state in which the step before left it."""


def _parts(x: Any) -> tuple[Int[Array, "..."], Bool[Array, "..."] | None]:
    return x if isinstance(x, tuple) else (x, None)


def _chunk_by_chunk(model: Any, x: Int[Array, "b c t"], y: Int[Array, "b c t"]) -> dict[str, Float[Array, "b"]]:
    def add(before, chunk):
        state, sums = before
        read, told = chunk
        state, logits = model.read(read, carry=state)
        counted = told < logits.shape[-1]
        values = *_each(logits, told), jnp.ones(told.shape)
        return (state, [s + jnp.where(counted, v, 0).sum(-1) for s, v in zip(sums, values, strict=True)]), None

    rows = x.shape[0]
    begin = model.initial_carry((rows,)), [jnp.zeros(rows)] * 3
    (_, (loss, right, count)), _ = jax.lax.scan(add, begin, (jnp.swapaxes(x, 0, 1), jnp.swapaxes(y, 0, 1)))
    return _named(loss / count, right / count)


def _each(logits: Float[Array, "*b v"], y: Int[Array, "*b"]) -> tuple[Shaped[Array, "*b"], Shaped[Array, "*b"]]:
    """Of every step, the cross-entropy and whether the likeliest id is right."""
    y = y.astype(jnp.int32)
    loss = optax.softmax_cross_entropy_with_integer_labels(logits, y)
    return loss, is_largest(logits, y)


def _named(loss: Float[Array, "b"], accuracy: Float[Array, "b"]) -> dict[str, Float[Array, "b"]]:
    return {"loss": loss, "bits_per_character": loss / math.log(2), "accuracy": accuracy}
