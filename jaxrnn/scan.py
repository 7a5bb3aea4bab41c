"""The scan over time: one cell, unrolled over whole sequences, with masks and resets."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn import schemes
from jaxrnn.cells import Cell
from jaxrnn.schemes import Scheme, where
from jaxrnn.typing import Array, ArrayLike, Bool, Carry, Int, Key, Shaped


def lengths_to_mask(lengths: Int[ArrayLike, "*b"], time: int) -> Bool[Array, "*b t"]:
    """The mask of rows padded at the end: true for the first ``lengths[...]`` of ``time`` steps."""
    return jnp.arange(time) < jnp.asarray(lengths)[..., None]


def unroll(
    cell: Cell,
    xs: Any,
    *,
    carry: Carry | None = None,
    lengths: Int[ArrayLike, "*b"] | None = None,
    mask: Bool[ArrayLike, "*b t"] | None = None,
    reset: Bool[ArrayLike, "*b t"] | None = None,
    key: Key[Array, ""] | None = None,
    reverse: bool = False,
    factor: int = 1,
    remat: int | None = None,
    scheme: Scheme | None = None,
) -> tuple[Carry, Shaped[Array, "*b t h"]]:
    """The cell applied to every time step in turn: the carry after the last step, and the outputs of all of them.

    Args:
        cell: called as ``cell(carry, x) -> (carry, y)``, once a step; see `jaxrnn.cells.Cell`.
        xs: ``(*b, t, d)``, or a pytree of such arrays (inputs with timestamps, say) that share ``*b`` and ``t``.
        carry: where to start, leaves ``(*b, ...)``; without it, the cell's initial carry.
        lengths: ``(*b,)`` the number of real steps of each row, the padding at the end.
        mask: ``(*b, t)`` true where a step is real; padding on any side, or in the middle.
        reset: ``(*b, t)`` true where, before step t in scan order, a row's carry becomes the cell's initial one (the
            learned one where it is learned). On a masked step nothing happens, so nothing is reset either.
        key: for cells that draw random numbers: each step gets its own key. Others pay it no heed.
        reverse: scan from the last step to the first; ``ys[..., t, :]`` still belongs to ``xs[..., t, :]``.
        factor: how many steps to lay out in one turn of the compiled loop; changes no number beyond rounding.
        remat: for the gradient, keep the carry at every so many steps only, and compute the steps between again: in
            place of what it needs of all ``t`` steps, the backward pass finds ``t / remat`` carries and works out what
            it needs of ``remat`` steps at a time, for about one more forward pass. Below ``2 * remat`` steps nothing
            may be spared. Changes no number beyond rounding.
        scheme: how the same numbers are worked out, see `jaxrnn.schemes`; not given, the reference here, and in
            training the one that is fastest. All but the reference are for derivatives in reverse mode only.

    A masked step holds the carry and outputs zero, a row of length 0 returns its initial carry, and NaN or infinity in
    padding reaches neither values nor gradients: padded equals unpadded, in value and gradient.

    Raises:
        ValueError: shapes that do not fit together, both ``lengths`` and ``mask``, a length beyond the time axis, a
            carry that is not shaped as the cell's initial one, a ``remat`` below 1, or a scheme that is not for this
            cell.
    """
    if remat is not None and remat < 1:
        raise ValueError(f"remat must be at least 1, the steps from one kept carry to the next, not {remat}")
    batch_shape, time = _batch_and_time(xs)
    lengths, mask, reset = (None if flags is None else jnp.asarray(flags) for flags in (lengths, mask, reset))
    if lengths is not None:
        if mask is not None:
            raise ValueError("give lengths or mask, not both")
        mask = lengths_to_mask(_checked_lengths(lengths, batch_shape, time), time)
    for name, flags in (("mask", mask), ("reset", reset)):
        if flags is not None and (np.shape(flags) != (*batch_shape, time) or jnp.result_type(flags) != jnp.bool_):
            raise ValueError(
                f"{name} must be booleans of shape {(*batch_shape, time)}, one for each step of xs, "
                f"not {jnp.result_type(flags)} of shape {np.shape(flags)}"
            )
    start = cell.initial_carry(batch_shape) if carry is None or reset is not None else None
    if carry is None:
        carry = start
    else:
        _check_carry(carry, batch_shape, jax.eval_shape(lambda: cell.initial_carry(batch_shape)))
    keys = jax.random.split(key, time) if key is not None and getattr(cell, "random", False) else None

    # a closure made anew for each call: scan remembers a body by identity, and a module passed as the body would be
    # remembered with the weights it had then
    def step(carry, inputs):
        x, keep, again, step_key = inputs
        if again is not None:
            carry = where(again if keep is None else again & keep, start, carry)
        if keep is not None:
            x = where(keep, x, 0)  # before the cell: what is in the padding must not enter, or its gradient is NaN
        new, y = cell(carry, x) if step_key is None else cell(carry, x, key=step_key)  # type: ignore[call-arg]
        if keep is not None:
            new, y = where(keep, new, carry), where(keep, y, 0)
        return new, y

    def one_by_one(carry, inputs):
        return jax.lax.scan(step, carry, inputs, reverse=reverse, unroll=factor)

    def as_the_scheme_says(carry, inputs):
        xs, mask, reset, _ = inputs
        return schemes.scan(taken, cell, carry, xs, mask, reset, start, reverse=reverse, factor=factor)

    taken = schemes.chosen(cell, math.prod(batch_shape)) if scheme is None else scheme
    steps = one_by_one
    if taken != "reference":
        schemes.check(taken, cell)
        steps = as_the_scheme_says
        xs = xs if mask is None else where(mask, xs, 0)  # products of all steps read it: no NaN may be left in it

    time_major = jax.tree.map(lambda a: jnp.moveaxis(a, len(batch_shape), 0), (xs, mask, reset))
    inputs = (*time_major, keys)
    carry, ys = steps(carry, inputs) if remat is None else _in_blocks(steps, carry, inputs, time, remat, reverse)
    return carry, jax.tree.map(lambda y: jnp.moveaxis(y, 0, len(batch_shape)), ys)


def _in_blocks(
    steps: Callable[[Carry, Any], tuple[Carry, Any]], carry: Carry, inputs: Any, time: int, size: int, reverse: bool
) -> tuple[Carry, Any]:
    """``steps(carry, inputs)``, of whose insides only the carry before each ``size`` steps is kept for the gradient.

    ``inputs`` lead with the time axis. Where ``size`` does not divide it, the last block in scan order is shorter.
    """
    block = jax.checkpoint(steps)
    size = max(1, min(size, time))  # beyond the time axis, one block; of no steps, no blocks, which still have a shape
    count, rest = divmod(time, size)
    cut = rest if reverse else time - rest
    whole, short = (slice(cut, None), slice(cut)) if reverse else (slice(cut), slice(cut, None))
    blocks = jax.tree.map(lambda a: a[whole].reshape(count, size, *a.shape[1:]), inputs)
    carry, ys = jax.lax.scan(block, carry, blocks, reverse=reverse)
    ys = jax.tree.map(lambda y: y.reshape(count * size, *y.shape[2:]), ys)
    if rest == 0:
        return carry, ys
    carry, zs = block(carry, jax.tree.map(lambda a: a[short], inputs))
    return carry, jax.tree.map(lambda y, z: jnp.concatenate([z, y] if reverse else [y, z]), ys, zs)


def _batch_and_time(xs: Any) -> tuple[tuple[int, ...], int]:
    shapes = [np.shape(leaf) for leaf in jax.tree.leaves(xs)]
    if not shapes or any(len(shape) < 2 for shape in shapes):
        raise ValueError(f"xs must be (*batch, time, features), or a pytree of such arrays, not shapes {shapes}")
    if len({shape[:-1] for shape in shapes}) > 1:
        raise ValueError(f"all arrays of xs must share their batch and time axes, not shapes {shapes}")
    return shapes[0][:-2], shapes[0][-2]


def _checked_lengths(lengths: ArrayLike, batch_shape: tuple[int, ...], time: int) -> ArrayLike:
    if np.shape(lengths) != batch_shape or not jnp.issubdtype(jnp.result_type(lengths), jnp.integer):
        raise ValueError(
            f"lengths must be integers of shape {batch_shape}, one for each row of xs, "
            f"not {jnp.result_type(lengths)} of shape {np.shape(lengths)}"
        )
    if not isinstance(lengths, jax.core.Tracer):
        values = np.asarray(lengths)
        if values.size and (values.min() < 0 or values.max() > time):
            raise ValueError(
                f"lengths must lie between 0 and the {time} steps of xs, not between {values.min()} and {values.max()}"
            )
    return lengths


def _check_carry(carry: Carry, batch_shape: tuple[int, ...], initial: Carry) -> None:
    for path, leaf in jax.tree_util.tree_leaves_with_path(carry):
        if np.shape(leaf)[: len(batch_shape)] != batch_shape:
            raise ValueError(
                f"every leaf of the carry must lead with the batch dimensions {batch_shape} of xs, "
                f"but carry{jax.tree_util.keystr(path)} has shape {np.shape(leaf)}"
            )
    given, wanted = (jax.tree.map(np.shape, tree) for tree in (carry, initial))
    if given != wanted:
        raise ValueError(f"the carry must have the shapes of the cell's initial one, {wanted}, not {given}")
