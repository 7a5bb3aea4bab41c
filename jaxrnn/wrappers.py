"""Wrappers that make another cell of any cell: variational dropout, zoneout, layer normalisation.

A wrapped cell is a cell, so whatever takes one takes the other, and wrappers nest: ``Recurrent(Zoneout(GRUCell(...),
0.1))``, or in a stack ``stack(lambda d, h, **options: Zoneout(GRUCell(d, h, **options), 0.1), ...)``.

Each states what becomes of two things of the cell that it wraps: what its recurrent weights read, ``output(carry)``
(see `jaxrnn.cells.Cell`), or the states that a step hands on, those which ``mix`` mixes. A rate is a number, or a
traced value, which is not looked at; it is `Fixed`, so not learned. Where no key is given nothing is random.
"""

import inspect
from collections.abc import Callable
from itertools import count
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxrnn.cells import Cell, Fixed, check_features
from jaxrnn.typing import Array, ArrayLike, Carry, Float, Key, Shaped

EPSILON = 1e-5
"""What layer normalisation adds to a variance, so that units that are all equal have a gradient."""


class _Wrapper(Cell):
    """What the wrappers share: all that they do not say otherwise is the cell's."""

    def __init__(self, cell: Cell):
        _check_cell(cell)
        self.cell = cell
        self.in_features, self.features = cell.in_features, cell.features
        self.activation = getattr(cell, "activation", "")  # type: ignore[misc]

    def initial_carry(self, batch_shape):
        return self.cell.initial_carry(batch_shape)

    def intermediates(self, carry, x, *, read=None):
        return self.cell.intermediates(carry, x, read=read)

    def output(self, carry):
        return self.cell.output(carry)

    def mix(self, function, old, new):
        return self.cell.mix(function, old, new)

    def _inner(self, carry: Carry, x: Any, read: Array | None, key: Key[Array, ""] | None) -> tuple[Carry, Array]:
        """A step of the cell, with a key if it has one."""
        options: dict[str, Any] = {} if key is None else {"key": key}
        return self.cell(carry, x, read=read, **options)

    def _keys(self, key: Key[Array, ""] | None) -> tuple[Key[Array, ""] | None, Key[Array, ""] | None]:
        """The wrapper's key and the cell's, of a step's: only where both draw is there one to split."""
        if key is None or not _is_random(self.cell):
            return key, None
        own, inner = jax.random.split(key)
        return own, inner


class VariationalDropout(_Wrapper):
    """The same units dropped at every step of a row (Gal and Ghahramani 2016), on both sides of the weights.

        x_t                    is read as    m_x * x_t / (1 - rate)
        output(carry_{t-1})    is read as    m_h * output(carry_{t-1}) / (1 - rate)

    m_x ``(d,)`` and m_h ``(h,)`` are zeros with probability ``rate``, else ones: in the mean, all is read as is. What
    a step hands on past its weights (a GRU's ``z_t * h_{t-1}``, an LSTM's ``c_{t-1} * f_t``) is spared: it would be
    zero, or grow by 1/(1 - rate) at every step. Of inputs with their times, ``(x, times)``, the times are spared.
    Without a key nothing is dropped, whatever the carry holds.

    Carry: ``(the cell's, m_x (*b, d), m_h (*b, h))``. The masks are -1 until a row's first step under a key, which
    draws them: so a reset draws new ones, a masked step draws none, and the next chunk of a sequence goes on with
    those of the carry it starts from.

    Raises:
        TypeError: a cell that cannot be wrapped.
        ValueError: a rate that is not at least 0 and below 1.
    """

    random = True

    def __init__(self, cell: Cell, rate: ArrayLike):
        super().__init__(cell)
        self.rate = _fixed(rate)

    def __call__(self, carry, x, *, read=None, key=None):
        inner, m_x, m_h = carry
        own_key, inner_key = self._keys(key)
        if own_key is not None:
            m_x, m_h = self._drawn(own_key, m_x, m_h)
            read = self._dropped(m_h, self.cell.output(inner) if read is None else read)
            x = (self._dropped(m_x, x[0]), *x[1:]) if isinstance(x, tuple) else self._dropped(m_x, x)
        inner, y = self._inner(inner, x, read, inner_key)
        return (inner, m_x, m_h), y

    def _drawn(self, key: Key[Array, ""], *masks: Float[Array, "*b n"]) -> list[Float[Array, "*b n"]]:
        both = jnp.concatenate(masks, axis=-1)
        keep = jax.random.bernoulli(key, 1 - self.rate[...], both.shape)
        return jnp.split(jnp.where(both < 0, keep.astype(both.dtype), both), [self.in_features], axis=-1)

    def _dropped(self, mask: Float[Array, "*b n"], values: Shaped[Array, "*b n"]) -> Float[Array, "*b n"]:
        check_features(values, mask.shape[-1])
        if jnp.issubdtype(values.dtype, jnp.integer):
            values = jax.nn.one_hot(values[..., 0], mask.shape[-1], dtype=mask.dtype)
        return values * (mask / (1 - self.rate[...]).astype(mask.dtype))

    def intermediates(self, carry, x, *, read=None):
        return super().intermediates(carry[0], x, read=read)

    def initial_carry(self, batch_shape):
        inner = super().initial_carry(batch_shape)
        like = self.cell.output(inner)
        return inner, jnp.full((*batch_shape, self.in_features), -1, like.dtype), jnp.full_like(like, -1)

    def output(self, carry):
        return super().output(carry[0])

    def mix(self, function, old, new):
        return super().mix(function, old[0], new[0]), *new[1:]


class Zoneout(_Wrapper):
    """Units that keep their state from the step before, at random (Krueger et al. 2017).

        s~_t = the cell's step from s_{t-1}
        s_t  = s_{t-1} where z_t, else s~_t             under a key: z_t is true with probability ``rate``
               rate * s_{t-1} + (1 - rate) * s~_t       without one: the mean of that
        y_t  = output(s_t)

    of each unit of each state ``s`` (h and c of an LSTM) on its own, drawn anew at every step. The carry is the cell's,
    and what of it is no state of the units (``mix`` says which) is the new one's. What `gate_trace` shows is what the
    cell computes, its states before they are mixed; ``y`` is the output, mixed.

    Raises:
        TypeError: a cell that cannot be wrapped.
        ValueError: a rate that is not at least 0 and below 1.
    """

    random = True

    def __init__(self, cell: Cell, rate: ArrayLike):
        super().__init__(cell)
        self.rate = _fixed(rate)

    def __call__(self, carry, x, *, read=None, key=None):
        own_key, inner_key = self._keys(key)
        new, _ = self._inner(carry, x, read, inner_key)
        new = self.cell.mix(self._mean if own_key is None else self._drawn(own_key), carry, new)
        return new, self.cell.output(new)

    def _mean(self, old: Array, new: Array) -> Array:
        rate = self.rate[...].astype(new.dtype)
        return rate * old + (1 - rate) * new

    def _drawn(self, key: Key[Array, ""]) -> Callable[[Array, Array], Array]:
        states = count()

        def choose(old, new):
            kept = jax.random.bernoulli(jax.random.fold_in(key, next(states)), self.rate[...], new.shape)
            return jnp.where(kept, old, new)

        return choose

    def intermediates(self, carry, x, *, read=None):
        return {**super().intermediates(carry, x, read=read), "y": self(carry, x, read=read)[1]}


class LayerNorm(_Wrapper):
    """Layer normalisation of what the recurrent weights read (after Ba, Kiros and Hinton 2016).

        r          = output(carry_{t-1}), with the mean and the variance of its units
        is read as   (r - mean(r)) / sqrt(var(r) + EPSILON) * scale + shift

    Parameters: ``scale (h,)``, ones at the start, and ``shift (h,)``, zeros. The paper normalises the sums instead,
    ``x_t W_x + h_{t-1} W_h``, which lie within a step; to normalise what goes into the weights asks nothing of a cell,
    and likewise keeps the recurrent part of the sums at one scale, however large the state has grown. What a step hands
    on past its weights, the inputs, and the output are as they were. The carry is the cell's.

    Raises:
        TypeError: a cell that cannot be wrapped.
    """

    def __init__(self, cell: Cell):
        super().__init__(cell)
        self.random = _is_random(cell)  # type: ignore[misc]
        dtype = cell.output(cell.initial_carry(())).dtype
        self.scale, self.shift = nnx.Param(jnp.ones(cell.features, dtype)), nnx.Param(jnp.zeros(cell.features, dtype))

    def __call__(self, carry, x, *, read=None, key=None):
        return self._inner(carry, x, self._normalised(carry, read), key if self.random else None)

    def intermediates(self, carry, x, *, read=None):
        return super().intermediates(carry, x, read=self._normalised(carry, read))

    def _normalised(self, carry: Carry, read: Float[Array, "*b h"] | None) -> Float[Array, "*b h"]:
        read = self.cell.output(carry) if read is None else read
        centred = read - read.mean(-1, keepdims=True)
        variance = jnp.square(centred).mean(-1, keepdims=True)
        return centred * jax.lax.rsqrt(variance + EPSILON) * self.scale[...] + self.shift[...]


WRAPPERS: dict[str, type[_Wrapper]] = {
    "variational_dropout": VariationalDropout,
    "zoneout": Zoneout,
    "layer_norm": LayerNorm,
}
"""Every public wrapper by name: ``WRAPPERS[name](cell)``, with a rate where it takes one."""


def _check_cell(cell: Any) -> None:
    """Raises TypeError where a wrapper, or the one around it, would ask for what the cell does not have."""
    parameters = inspect.signature(cell).parameters
    lacks = []
    if "read" not in parameters and all(p.kind is not p.VAR_KEYWORD for p in parameters.values()):
        lacks.append("a step that takes read=")
    if not hasattr(cell, "mix"):
        lacks.append("mix(function, old, new)")
    if lacks:
        raise TypeError(
            f"{type(cell).__name__} cannot be wrapped, for it lacks {' and '.join(lacks)}: see jaxrnn.cells.Cell"
        )


def _is_random(cell: Any) -> bool:
    return getattr(cell, "random", False)


def _fixed(rate: ArrayLike) -> Fixed:
    if np.shape(rate) != () or not (isinstance(rate, jax.core.Tracer) or 0 <= np.asarray(rate) < 1):
        raise ValueError(f"rate must be one number, at least 0 and below 1, not {rate}")
    return Fixed(jnp.asarray(rate, jnp.result_type(float)))
