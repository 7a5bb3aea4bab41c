"""Writing on from where a text stands: samplers, the one loop that draws what comes next, beam search, and scores.

A model here is any pytree (an `nnx.Module` is one) with ``read(ids (*b, t), carry=...) -> (carry, logits (*b, t, v))``
and ``initial_carry(batch_shape)``, as `jaxrnn.models.LanguageModel` has them.

A sampler is called as ``sampler(logits (*b, v)) -> logits (*b, v)``: the distribution that it would have drawn from.
Several are applied one after the other, and the draw is always the same; so temperature, top-k and top-p go together,
and what is drawn from can be looked at. To add one, write its class below and its line in `SAMPLERS`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn.typing import Array, ArrayLike, Bool, Carry, Float, Int, Key

Sampler = Callable[[Float[Array, "*b v"]], Float[Array, "*b v"]]
"""From logits to the logits of what is drawn; those of ids that are never drawn are -inf."""


class Model(Protocol):
    """What can be asked what comes next."""

    def read(self, ids: Int[Array, "*b t"], *, carry: Carry) -> tuple[Carry, Float[Array, "*b t v"]]: ...

    def initial_carry(self, batch_shape: tuple[int, ...], /) -> Carry: ...


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Greedy:
    """The likeliest id alone; of several equally likely ones the first."""

    def __call__(self, logits: Float[Array, "*b v"]) -> Float[Array, "*b v"]:
        ids = jnp.arange(logits.shape[-1])
        return jnp.where(ids == jnp.argmax(logits, axis=-1, keepdims=True), logits, -jnp.inf)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Temperature:
    """Every id, with probabilities flattened or sharpened:

        p_i = exp(l_i / T) / sum_j exp(l_j / T)

    1 leaves them as they are; towards 0 it is `Greedy`, towards infinity all are equally likely. It may be traced:
    another temperature is no new program. Raises ValueError for one that is not above 0.
    """

    temperature: ArrayLike

    def __post_init__(self):
        _check(self.temperature, lambda t: t > 0, "temperature must be above 0")

    def __call__(self, logits: Float[Array, "*b v"]) -> Float[Array, "*b v"]:
        # below the largest, so that no temperature makes an infinity of it
        return (logits - jnp.max(logits, axis=-1, keepdims=True)) / self.temperature


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class TopK:
    """The ``k`` likeliest ids, of equally likely ones the first; all where there are no more. Raises ValueError for a
    ``k`` below 1."""

    k: int = field(metadata={"static": True})

    def __post_init__(self):
        _check(self.k, lambda k: k >= 1, "k must be at least 1")

    def __call__(self, logits: Float[Array, "*b v"]) -> Float[Array, "*b v"]:
        if self.k >= logits.shape[-1]:
            return logits
        _, places = jax.lax.top_k(logits, self.k)
        return jnp.where(_marked(places, jnp.ones(places.shape, bool), logits), logits, -jnp.inf)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class TopP:
    """The likeliest ids, as few as together have at least probability ``p`` (Holtzman et al. 2020); there is always
    one. ``p`` may be traced. Raises ValueError for one that is not above 0 and at most 1."""

    p: ArrayLike

    def __post_init__(self):
        _check(self.p, lambda p: 0 < p <= 1, "p must be above 0 and at most 1")

    def __call__(self, logits: Float[Array, "*b v"]) -> Float[Array, "*b v"]:
        ordered, places = jax.lax.top_k(logits, logits.shape[-1])
        probabilities = jax.nn.softmax(ordered)
        likelier = jnp.cumsum(probabilities, axis=-1) - probabilities
        # the sum of all can round to 1 before the last of them, which p = 1 keeps nonetheless
        kept = ((likelier < self.p) | (jnp.asarray(self.p) >= 1)).at[..., 0].set(True)
        return jnp.where(_marked(places, kept, logits), logits, -jnp.inf)


SAMPLERS: dict[str, Callable[..., Sampler]] = {
    "greedy": Greedy,
    "temperature": Temperature,
    "top_k": TopK,
    "top_p": TopP,
}
"""Every sampler by its name."""


def drawn_from(
    sampler: Sampler | Sequence[Sampler], logits: Float[Array, "*b v"], allowed: Bool[ArrayLike, "*b v"] | None = None
) -> Float[Array, "*b v"]:
    """The logits of what is drawn: those ``allowed``, through one sampler after the other."""
    if allowed is not None:
        logits = jnp.where(jnp.asarray(allowed), logits, -jnp.inf)
    for one in [sampler] if callable(sampler) else sampler:
        logits = one(logits)
    return logits


class Written(NamedTuple):
    """Where generation stands: all but the last id is read."""

    carry: Carry
    """The model's."""
    drawn: Int[Array, ""]
    """How many ids are drawn: the random numbers of an id are a function of its row's key and of its number alone."""
    ended: Bool[Array, "*b"]
    """Which rows have drawn the stop id."""


def generate(
    model: Model,
    key: Key[Array, "*b"],
    prime: Int[ArrayLike, "*b p"],
    length: int,
    sampler: Sampler | Sequence[Sampler] = (),
    *,
    carry: Written | None = None,
    allowed: Bool[ArrayLike, "*b v"] | None = None,
    stop: int | None = None,
) -> tuple[Written, Int[Array, "*b n"]]:
    """Read ``prime``, draw an id, read it, draw the next, and so on: where that ends, and the ``length`` ids drawn.

        i_t ~ softmax(sampler(logits after i_{t-1}))

    Where it ends is where it can go on: with ``carry`` and the last ids as prime, any number of pieces are together
    what one call would have drawn, bit for bit, given the same ``key``. Rows that lie on several devices, prime and
    keys alike, are drawn there.

    Args:
        model: see the module.
        key: one for each row, by which a row is drawn as it is alone; or one, which is split.
        prime: ``(*b, p)`` ids, at least one.
        length: how many ids to draw, at least one.
        sampler: one, or several that are applied in turn; none draws from the model's own distribution.
        carry: where an earlier call ended; without it, a row begins at the model's initial carry.
        allowed: ``(v,)`` or ``(*b, v)``, true for the ids that may be drawn.
        stop: an id after which a row goes on drawing it, whatever the model says.

    Raises:
        ValueError: no prime, or one that is not integers, keys that are not one for each row, a length below 1, or
            nothing allowed.
    """
    prime = jnp.asarray(prime)
    if prime.ndim < 1 or prime.shape[-1] < 1 or not jnp.issubdtype(prime.dtype, jnp.integer):
        raise ValueError(f"prime must be at least one id a row, not {prime.dtype} of shape {prime.shape}")
    batch_shape = prime.shape[:-1]
    if key.shape == () != batch_shape:
        key = jax.random.split(key, batch_shape)
    if key.shape != batch_shape:
        raise ValueError(f"key must be one key, or one for each of the rows {batch_shape}, not {key.shape} keys")
    if length < 1:
        raise ValueError(f"length must be at least 1, not {length}")
    if allowed is not None and not isinstance(allowed, jax.core.Tracer) and not np.asarray(allowed).any(-1).all():
        raise ValueError("at least one id must be allowed")
    if carry is None:
        carry = Written(model.initial_carry(batch_shape), jnp.int32(0), jnp.zeros(batch_shape, bool))
    if prime.shape[-1] > 1:
        carry = carry._replace(carry=_after(model, prime[..., :-1], carry.carry))
    return _generate(model, key, prime[..., -1], length, sampler, carry, allowed, stop)


@jax.jit
def _after(model, ids, carry):
    return model.read(ids, carry=carry)[0]


# a program of its own, so that it is compiled once for primes of any length
@partial(jax.jit, static_argnames=("length", "stop"))
def _generate(model, key, last, length, sampler, start, allowed, stop):
    carry, drawn, ended = start
    draw = _each_row(_draw, key.ndim)

    def step(state, number):
        carry, last, ended = state
        carry, logits = model.read(last[..., None], carry=carry)
        ids = draw(key, drawn_from(sampler, logits[..., -1, :], allowed), number).astype(last.dtype)
        if stop is not None:
            ids = jnp.where(ended, stop, ids)
            ended = ended | (ids == stop)
        return (carry, ids, ended), ids

    numbers = drawn + jnp.arange(length, dtype=drawn.dtype)
    (carry, _, ended), ids = jax.lax.scan(step, (carry, last, ended), numbers)
    return Written(carry, drawn + length, ended), jnp.moveaxis(ids, 0, -1)


def _draw(key: Key[Array, ""], logits: Float[Array, "v"], number: Int[Array, ""]) -> Int[Array, ""]:
    """One id of a row: the first at which the sum of the probabilities so far passes a random share of them all.

    One random number a row, where Gumbel noise would take one for every id: that alone would be a third of a step.
    """
    weights = jnp.exp(logits - jnp.max(logits))
    sums = jnp.cumsum(weights)
    share = jax.random.uniform(jax.random.fold_in(key, number), (), sums.dtype) * sums[-1]
    ids = jnp.arange(logits.size)
    # sums are not added up in order, so rounding can let them fall: an id of weight 0 is ruled out by itself
    last = jnp.max(jnp.where(weights > 0, ids, 0))
    return jnp.minimum(last, jnp.min(jnp.where((weights > 0) & (sums > share), ids, last)))


def _each_row(function: Callable, dimensions: int) -> Callable:
    """A function of a row's key and logits, and of a number, of all rows."""
    for _ in range(dimensions):
        function = jax.vmap(function, (0, 0, None))
    return function


def beam_search(
    model: Model, prime: Int[ArrayLike, "*b p"], length: int, width: int
) -> tuple[Int[Array, "*b w n"], Float[Array, "*b w"]]:
    """The likeliest continuations of ``prime`` that a search finds which keeps ``width`` beginnings at each step.

    Returns ids ``(*b, width, length)`` and the logarithms of their probabilities (nats) ``(*b, width)``, best first.
    With a ``width`` of all there are, it is exhaustive; where there are fewer, the places left over have probability 0
    (-inf).

    Raises:
        ValueError: no prime, or a length or width below 1.
    """
    prime = jnp.asarray(prime)
    if prime.ndim < 1 or prime.shape[-1] < 1:
        raise ValueError(f"prime must be at least one id a row, not of shape {prime.shape}")
    if length < 1 or width < 1:
        raise ValueError(f"length and width must be at least 1, not {length} and {width}")
    return _beam_search(model, prime, length, width)


@partial(jax.jit, static_argnames=("length", "width"))
def _beam_search(model, prime, length, width):
    def of_row(prime):
        carry = model.initial_carry(())
        if prime.shape[-1] > 1:
            carry, _ = model.read(prime[:-1], carry=carry)
        carry = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (width, *leaf.shape)), carry)

        def step(state, number):
            carry, last, ids, scores = state
            carry, logits = model.read(last[:, None], carry=carry)
            steps = scores[:, None] + jax.nn.log_softmax(logits[:, -1])
            if (missing := width - steps.size) > 0:
                steps = jnp.pad(steps.ravel(), (0, missing), constant_values=-jnp.inf)
            scores, places = jax.lax.top_k(steps.ravel(), width)
            parents, last = jnp.divmod(places, logits.shape[-1])
            ids = ids[parents].at[:, number].set(last)
            return (jax.tree.map(lambda leaf: leaf[parents], carry), last.astype(prime.dtype), ids, scores), None

        # one beginning, so many times: only the first counts
        scores = jnp.full(width, -jnp.inf).at[0].set(0.0)
        start = (carry, jnp.broadcast_to(prime[-1], (width,)), jnp.zeros((width, length), prime.dtype), scores)
        (_, _, ids, scores), _ = jax.lax.scan(step, start, jnp.arange(length))
        return ids, scores

    for _ in prime.shape[:-1]:
        of_row = jax.vmap(of_row)
    return of_row(prime)


@jax.jit
def score(model: Model, ids: Int[ArrayLike, "*b t"]) -> Float[Array, "*b"]:
    """The logarithm of the probability (nats) of all ids but the first, given the first:

    log p(i_2, ..., i_t | i_1) = sum_s log p(i_s | i_1, ..., i_{s-1})
    """
    ids = jnp.asarray(ids)
    _, logits = model.read(ids[..., :-1], carry=model.initial_carry(ids.shape[:-1]))
    chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), ids[..., 1:, None], axis=-1)
    return chosen[..., 0].sum(-1)


def _marked(places: Int[Array, "*b k"], marks: Bool[Array, "*b k"], like: Array) -> Bool[Array, "*b v"]:
    """Marks at those places, false elsewhere."""
    return jnp.put_along_axis(jnp.zeros(like.shape, bool), places, marks, axis=-1, inplace=False)


def _check(value: Any, holds: Callable[[Any], bool], words: str) -> None:
    """Raises ValueError with these words for a plain number that does not hold; a traced one is not looked at."""
    if isinstance(value, int | float | np.number) and not holds(value):
        raise ValueError(f"{words}, not {value}")
