"""Cells over whole sequences: a layer in one direction, a layer in both, and stacks of them.

Every layer is called alike: ``layer(xs, carry=, lengths=, mask=, reset=, key=) -> (carry, ys)`` with ``xs``
``(*b, t, d)`` and ``ys`` ``(*b, t, h)``, batch first, under the mask contract of `jaxrnn.scan.unroll`.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
from flax import nnx

from jaxrnn.cells import CELLS, Cell
from jaxrnn.scan import lengths_to_mask, unroll
from jaxrnn.typing import Array, ArrayLike, Bool, Carry, Float, Int, Key, Shaped

Merge = Literal["concat", "sum", "mean", "product"]
"""How a bidirectional layer joins the outputs of its two directions."""

_MERGES: dict[str, Callable[[Array, Array], Array]] = {
    "concat": lambda forward, backward: jnp.concatenate([forward, backward], axis=-1),
    "sum": lambda forward, backward: forward + backward,
    "mean": lambda forward, backward: (forward + backward) / 2,
    "product": lambda forward, backward: forward * backward,
}


class Recurrent(nnx.Module):
    """One cell unrolled over time, from the first step to the last. Carry: the cell's."""

    def __init__(self, cell: Cell):
        self.cell = cell

    @property
    def in_features(self) -> int:
        return self.cell.in_features

    @property
    def features(self) -> int:
        return self.cell.features

    def __call__(self, xs: Any, **options: Any) -> tuple[Carry, Shaped[Array, "*b t h"]]:
        """``(carry, ys)``; the options are those of `jaxrnn.scan.unroll`."""
        return unroll(self.cell, xs, **options)

    def initial_carry(self, batch_shape: tuple[int, ...]) -> Carry:
        return self.cell.initial_carry(batch_shape)

    def output(self, carry: Carry) -> Float[Array, "*b h"]:
        """The output at the last real step of each row."""
        return self.cell.output(carry)


class Bidirectional(nnx.Module):
    """Two cells over the same sequence, one from each end (Schuster and Paliwal 1997), their outputs merged.

        y_t = merge(forward y_t, backward y_t)

    Carry: ``(forward, backward)``, each cell's. The backward cell scans the same mask from the last step to the first,
    so it starts at a row's last real step, whatever side the padding is on. A reset at step t parts the row between its
    last real step before t and t, for both directions: parts of a row are then worked as rows of their own.
    """

    def __init__(self, forward: Cell, backward: Cell, *, merge: Merge = "concat"):
        if merge not in _MERGES:
            raise ValueError(f"merge must be one of {', '.join(map(repr, _MERGES))}, not {merge!r}")
        if forward.in_features != backward.in_features:
            raise ValueError(f"both directions read the same inputs: {forward.in_features} != {backward.in_features}")
        if merge != "concat" and forward.features != backward.features:
            raise ValueError(f"merge={merge!r} needs equal widths: {forward.features} != {backward.features}")
        self.forward, self.backward, self.merge = forward, backward, merge

    @property
    def in_features(self) -> int:
        return self.forward.in_features

    @property
    def features(self) -> int:
        return self.forward.features + (self.backward.features if self.merge == "concat" else 0)

    def __call__(
        self,
        xs: Any,
        *,
        carry: Carry | None = None,
        lengths: Int[ArrayLike, "*b"] | None = None,
        mask: Bool[ArrayLike, "*b t"] | None = None,
        reset: Bool[ArrayLike, "*b t"] | None = None,
        key: Key[Array, ""] | None = None,
        **options: Any,
    ) -> tuple[Carry, Shaped[Array, "*b t h"]]:
        """``(carry, ys)``; the options are those of `jaxrnn.scan.unroll`."""
        carries = (None, None) if carry is None else carry
        keys = (None, None) if key is None else jax.random.split(key)
        options = {"lengths": lengths, "mask": mask, **options}
        forward, ys = unroll(self.forward, xs, carry=carries[0], reset=reset, key=keys[0], **options)
        reset = None if reset is None else _seen_from_the_end(reset, lengths=lengths, mask=mask)
        backward, zs = unroll(self.backward, xs, carry=carries[1], reset=reset, key=keys[1], reverse=True, **options)
        return (forward, backward), _MERGES[self.merge](ys, zs)

    def initial_carry(self, batch_shape: tuple[int, ...]) -> Carry:
        return self.forward.initial_carry(batch_shape), self.backward.initial_carry(batch_shape)

    def output(self, carry: Carry) -> Float[Array, "*b h"]:
        """What each direction says when it has read the whole row, merged."""
        return _MERGES[self.merge](self.forward.output(carry[0]), self.backward.output(carry[1]))


def _seen_from_the_end(
    reset: Bool[ArrayLike, "*b t"], *, lengths: ArrayLike | None, mask: Bool[ArrayLike, "*b t"] | None
) -> Bool[Array, "*b t"]:
    """The resets that part a row for a backward scan where ``reset`` parts it for a forward one.

    Step t is reset if the next real step after it is: there its part of the row ends.
    """
    reset = jnp.asarray(reset)
    time = reset.shape[-1]
    if lengths is not None:
        mask = lengths_to_mask(lengths, time)
    real = jnp.ones_like(reset) if mask is None else jnp.asarray(mask)
    nearest = jax.lax.cummin(jnp.where(real, jnp.arange(time), time), axis=reset.ndim - 1, reverse=True)
    after = jnp.concatenate([nearest[..., 1:], jnp.full_like(nearest[..., :1], time)], axis=-1)
    padded = jnp.concatenate([reset, jnp.zeros_like(reset[..., :1])], axis=-1)
    return jnp.take_along_axis(padded, after, axis=-1)


Layer = Recurrent | Bidirectional


class Stack(nnx.Module):
    """Layers one above the other, each reading the outputs of the one below. Carry: a tuple, one for each layer."""

    def __init__(self, layers: Sequence[Layer]):
        for below, above in zip(layers, layers[1:], strict=False):
            if below.features != above.in_features:
                raise ValueError(
                    f"a layer that reads {above.in_features} features is on top of one that puts out {below.features}"
                )
        if not layers:
            raise ValueError("a stack needs at least one layer")
        self.layers = nnx.List(layers)

    @property
    def in_features(self) -> int:
        return self.layers[0].in_features

    @property
    def features(self) -> int:
        return self.layers[-1].features

    def __call__(
        self,
        xs: Any,
        *,
        carry: Carry | None = None,
        key: Key[Array, ""] | None = None,
        dropout: ArrayLike = 0.0,
        **options: Any,
    ) -> tuple[Carry, Shaped[Array, "*b t h"]]:
        """``(carry, ys)``, ``ys`` those of the topmost layer.

        Where ``xs`` is a pair of inputs and their times, every layer is given the times.

        Where a ``key`` is given, each output of every layer but the topmost is dropped with probability ``dropout`` on
        its way up and the others scaled by ``1/(1 - dropout)``; without a key nothing is random. The other options are
        those of `jaxrnn.scan.unroll`.
        """
        carries = [None] * len(self.layers) if carry is None else carry
        if len(carries) != len(self.layers):
            raise ValueError(f"the carry of a stack is a tuple of {len(self.layers)}, one a layer, not {len(carries)}")
        times = xs[1] if isinstance(xs, tuple) else None
        ends = []
        for number, (layer, start) in enumerate(zip(self.layers, carries, strict=True)):
            layer_key, drop_key = (None, None) if key is None else jax.random.split(jax.random.fold_in(key, number))
            if number > 0:
                xs = xs if drop_key is None else dropped(drop_key, xs, dropout)
                xs = xs if times is None else (xs, times)
            end, xs = layer(xs, carry=start, key=layer_key, **options)
            ends.append(end)
        return tuple(ends), xs

    def initial_carry(self, batch_shape: tuple[int, ...]) -> Carry:
        return tuple(layer.initial_carry(batch_shape) for layer in self.layers)

    def output(self, carry: Carry) -> Float[Array, "*b h"]:
        """The topmost layer's output at the end of each row."""
        return self.layers[-1].output(carry[-1])


def dropped(key: Key[Array, ""], xs: Float[Array, "*b d"], rate: ArrayLike) -> Float[Array, "*b d"]:
    """Each number dropped with probability ``rate``, the others scaled by ``1/(1 - rate)``."""
    rate = jnp.asarray(rate)
    keep = jax.random.bernoulli(key, 1 - rate, xs.shape)
    share = jnp.where(rate < 1, 1 - rate, 1)  # a rate of 1 keeps nothing: there is nothing to scale, and no 1/0
    return jnp.where(keep, xs * (1 / share).astype(xs.dtype), 0)


def stack(
    cell: str | Callable[..., Cell],
    in_features: int,
    widths: Sequence[int],
    *,
    bidirectional: bool = False,
    merge: Merge = "concat",
    rngs: nnx.Rngs,
    **options: Any,
) -> Stack:
    """A stack of like cells, ``widths[i]`` hidden units in layer i (in each direction).

    ``cell`` is a name in `jaxrnn.cells.CELLS` or what makes a cell; the options go to it (``init``, ``bias``, ...).

    Raises:
        ValueError: an unknown cell name, or no widths.
    """
    if isinstance(cell, str):
        if cell not in CELLS:
            raise ValueError(f"cell must be one of {', '.join(CELLS)}, not {cell!r}")
        cell = CELLS[cell]
    layers: list[Layer] = []
    for width in widths:
        if bidirectional:
            pair = [cell(in_features, width, rngs=rngs, **options) for _ in range(2)]
            layers.append(Bidirectional(*pair, merge=merge))
        else:
            layers.append(Recurrent(cell(in_features, width, rngs=rngs, **options)))
        in_features = layers[-1].features
    return Stack(layers)
