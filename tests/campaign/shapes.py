"""Shapes and numbers: stacks of every cell and wrapper, on random rows with padding and resets, against plain loops.

Of each `Shape` there is one compiled program. It works the stack under masks, resets and its scheme (`scanned`), and
again as what that means (`stepped`): each row's real steps moved to the front, and stepped through in a Python loop.
Values and gradients, to weights, inputs and carry, must be the same to rounding; what the mask contract says of padding
must hold exactly. What of a case is no shape is drawn: weights, inputs, masks, resets, carries, rubbish in the padding.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import cache, partial
from operator import itemgetter
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.flatten_util import ravel_pytree

from jaxrnn.cells import CELLS, Cell, zero_where_fixed
from jaxrnn.layers import Bidirectional, Merge, Stack, stack
from jaxrnn.schemes import Scheme
from jaxrnn.wrappers import WRAPPERS, LayerNorm

from . import Try

Dtype = Literal["float64", "float32", "bfloat16"]
Given = Literal["carry", "mask", "lengths", "reset"]


class Shape(NamedTuple):
    """All that one program is compiled for."""

    cell: str
    widths: tuple[int, ...] = (4,)
    direction: Literal["forward", "reverse", "bidirectional"] = "forward"
    dtype: Dtype = "float64"
    wrapper: str = ""
    merge: Merge = "concat"
    scheme: Scheme = "reference"
    given: tuple[Given, ...] = ("carry", "mask", "reset")
    inputs: Literal["numbers", "one-hot", "timed"] = "numbers"
    batch: tuple[int, ...] = (3,)
    time: int = 4
    remat: int | None = None

    def __str__(self) -> str:
        told = {name: value for name, value in self._asdict().items() if value != self._field_defaults.get(name)}
        return f"Shape({', '.join(f'{name}={value!r}' for name, value in told.items())})"


FEATURES = 3
"""Of the inputs."""

SHAPES = (
    Shape("elman"),
    Shape("elman", (5, 2), "reverse", batch=(2, 2)),
    Shape("elman", (3, 4), "bidirectional", "float32", given=("lengths",)),
    Shape("elman", (4,), "reverse", "bfloat16"),
    Shape("elman", (6,), scheme="ahead", inputs="one-hot"),
    Shape("elman", (3,), "bidirectional", merge="product", scheme="stepwise", batch=()),
    Shape("elman_relu", (4, 3), batch=()),
    Shape("elman_relu", (5, 2), "bidirectional", "float32", merge="mean"),
    Shape("elman_relu", (4,), "reverse", scheme="collected", remat=2, batch=(2, 2)),
    Shape("elman_relu", (9,), "forward", "bfloat16", given=("lengths", "reset")),
    Shape("jordan"),
    Shape("jordan", (3, 2), "reverse", "float32", batch=(2, 2)),
    Shape("jordan", (4,), "bidirectional", "bfloat16", merge="sum", given=("carry", "lengths")),
    Shape("gru"),
    Shape("gru", (4, 2, 3), "reverse", given=("mask",)),
    Shape("gru", (4,), "bidirectional", merge="mean", batch=(2, 2)),
    Shape("gru", (4, 4), dtype="float32", scheme="collected", given=("lengths", "reset")),
    Shape("gru", (3,), "bidirectional", "float32", scheme="stepwise", remat=2),
    Shape("gru", (12,), "reverse", scheme="ahead"),
    Shape("gru", (5,), dtype="bfloat16", batch=(2, 2)),
    Shape("gru", (4,), "bidirectional", batch=(0,)),
    Shape("gru", (4,), time=0),
    Shape("lstm", (4,), "bidirectional", merge="sum"),
    Shape("lstm", (4,), "reverse", remat=3, batch=()),
    Shape("lstm", (3, 4), dtype="float32", given=()),
    Shape("lstm", (4,), dtype="bfloat16", scheme="collected"),
    Shape("lstm", (4, 2), "bidirectional", scheme="collected", batch=(2, 2)),
    Shape("lstm", (5, 2), "reverse", "float32", scheme="ahead", given=("carry", "lengths")),
    Shape("lstm", (4,), scheme="stepwise", inputs="one-hot", given=("mask", "reset")),
    Shape("lstm", (4,), "reverse", time=1),
    Shape("lstm", (4,), scheme="collected", batch=(0,)),
    Shape("time_gated_lstm", (4, 3), inputs="timed"),
    Shape("time_gated_lstm", (4,), "bidirectional"),
    Shape("time_gated_lstm", (4,), "reverse", "float32", given=("lengths", "reset")),
    Shape("gru", (4,), wrapper="variational_dropout", given=("carry", "mask"), inputs="one-hot", batch=(2, 2)),
    Shape("lstm", (4,), "bidirectional", "float32", "variational_dropout", given=("carry", "lengths")),
    Shape("lstm", (4,), "reverse", wrapper="zoneout"),
    Shape("elman", (4,), "bidirectional", "bfloat16", "zoneout"),
    Shape("gru", (4,), "bidirectional", wrapper="layer_norm"),
    Shape("lstm", (4,), dtype="float32", wrapper="layer_norm", given=("mask", "reset")),
)
"""What is compiled, at most 40. No cell, wrapper, scheme, merge, direction or type is missing: a test says so."""

ROUNDINGS = {"float64": 256, "float32": 256, "bfloat16": 32}
"""How far two ways to the same numbers may differ: so many times the type's epsilon and a leaf's largest number, or 1.

To first order, what rounding does is the same multiple of epsilon in every type. In 50,000 cases it was 25, 52 and 8 at
most. Of bfloat16 that bound is a quarter: a wrong row, a step too many or NaN is seen there, and no finer fault.
"""

RUBBISH = (np.nan, np.inf, -np.inf, 1e30)
"""What padding is filled with."""

soon = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
"""Compiled in half the time."""


def tries(count: int, folder: Path, seed: int = 0) -> Iterator[Try]:
    """So many cases, of all shapes as many as of the others or one more."""
    for number, shape in enumerate(SHAPES):
        yield from cases(shape, len(range(number, count, len(SHAPES))), seed)


def cases(shape: Shape, count: int, seed: int = 0) -> Iterator[Try]:
    """So many random contents of a shape."""
    with precision(shape.dtype):
        program = compiled(shape)
        for number in range(count):
            found = program(*drawn(shape, np.random.default_rng((seed, number))))
            yield Try(f"{shape}, seed {seed}, case {number}", judged(shape, *found))


def precision(dtype: Dtype) -> AbstractContextManager:
    """Within, new arrays are in double precision where it is for that."""
    return jax.enable_x64(dtype == "float64")


def judged(shape: Shape, differences: dict[str, Any], broken: dict[str, Any]) -> str:
    """What of a case is lost, in words."""
    bound = ROUNDINGS[shape.dtype] * float(jnp.finfo(shape.dtype).eps)
    far = [f"{name} by {float(by):.3g}" for name, by in differences.items() if not by <= bound]  # NaN is far too
    return "; ".join([*far, *(name for name, is_broken in broken.items() if is_broken)])


# What is drawn.


def made(shape: Shape) -> Stack:
    """The stack, of the shape's type, with every initial carry learned."""
    bare, wrap = CELLS[shape.cell], WRAPPERS.get(shape.wrapper)

    def cell(*sizes: int, **options: Any) -> Cell:
        inner = bare(*sizes, learn_carry=True, **options)
        return inner if wrap is None else wrap(inner) if wrap is LayerNorm else wrap(inner, 0.3)

    both = shape.direction == "bidirectional"
    layers = stack(cell, FEATURES, shape.widths, bidirectional=both, merge=shape.merge, rngs=nnx.Rngs(0))
    return jax.tree.map(lambda leaf: leaf.astype(shape.dtype), layers)


def drawn(shape: Shape, random: np.random.Generator) -> tuple[Any, ...]:
    """The contents of a case: weights, inputs, carry, mask, reset, and what weighs the outputs in the loss."""
    begin, learned, carry, size = templates(shape)
    steps = (*shape.batch, shape.time)
    mask, reset = real_steps(shape, random), np.zeros(steps, bool)
    if "reset" in shape.given:
        reset = random.random(steps) < random.choice([0, 0.3, 1])
    rubbish = random.choice(RUBBISH)
    if shape.inputs == "one-hot":
        xs = np.where(mask[..., None], random.integers(0, FEATURES, (*steps, 1)), 10**6).astype("int32")
    else:
        xs = random.choice([0.1, 1, 4]) * random.normal(size=(*steps, FEATURES))
        xs = np.where(mask[..., None], xs, rubbish).astype(shape.dtype)
    if shape.inputs == "timed":
        times = np.cumsum(random.exponential(size=steps), axis=-1)[..., None]
        xs = xs, np.where(mask[..., None], times, rubbish).astype(shape.dtype)

    def held(leaf: np.ndarray) -> np.ndarray:
        # -1 stands for a mask of dropout that is not drawn yet; another carry's is drawn
        noise = random.normal(size=leaf.shape)
        return np.where(leaf == -1, noise > 0, leaf + 0.5 * noise).astype(leaf.dtype)

    weights = begin + learned * random.choice([0.1, 0.5, 1.5]) * random.normal(size=begin.shape)
    start = jax.tree.map(held, carry) if "carry" in shape.given else None
    return weights.astype(begin.dtype), xs, start, mask, reset, random.normal(size=size).astype(begin.dtype)


def real_steps(shape: Shape, random: np.random.Generator) -> np.ndarray:
    """A mask: padding anywhere, at one end, nowhere, or all there is, and rows of nothing but padding."""
    steps = (*shape.batch, shape.time)
    if not {"mask", "lengths"} & set(shape.given):
        return np.ones(steps, bool)
    mask = random.random(steps) < random.choice([0, 0.3, 0.7, 1], p=[0.1, 0.3, 0.4, 0.2])
    mask &= random.random((*shape.batch, 1)) < 0.9
    sides = {"right": np.sort(mask, axis=-1)[..., ::-1], "left": np.sort(mask, axis=-1), "anywhere": mask}
    return sides["right" if "lengths" in shape.given else random.choice(list(sides))]


@cache
def templates(shape: Shape) -> tuple[np.ndarray, np.ndarray, Any, int]:
    """The initial weights as one vector, 1 for those of them that are learned, the initial carry, and the size of what
    a stack gives."""
    model = made(shape)
    carry = jax.device_get(model.initial_carry(shape.batch))
    learned = ravel_pytree(zero_where_fixed(jax.tree.map(jnp.ones_like, model)))[0]
    outputs = np.prod((*shape.batch, shape.time, model.features), dtype=int)
    return (
        np.asarray(ravel_pytree(model)[0]),
        np.asarray(learned),
        carry,
        int(outputs) + sum(leaf.size for leaf in jax.tree.leaves(carry)),
    )


# What is compared.


def compiled(shape: Shape) -> Callable:
    """The program of a shape: of the contents of a case, how far the two ways differ, and which exact laws break."""
    model = made(shape)
    build = ravel_pytree(model)[1]

    @soon
    def program(point, xs, carry, mask, reset, weights):
        def both(work):
            def loss(point, xs, carry):
                out = work(shape, build(point), xs, carry, mask, reset)
                return jnp.vdot(ravel_pytree(out)[0].astype(weights.dtype), weights), out

            names = [name for name in ("weights", "inputs", "carry") if (shape.inputs, name) != ("one-hot", "inputs")]
            places = [("weights", "inputs", "carry").index(name) for name in names]
            gradients, (end, ys) = jax.grad(loss, places, has_aux=True)(point, xs, carry)
            named = {f"gradients to {name}": gradient for name, gradient in zip(names, gradients, strict=True)}
            return {"carry": end, "outputs": ys, **named}

        found, meant = both(scanned), both(stepped)
        start = build(point).initial_carry(shape.batch) if carry is None else carry
        nothing = partial(jax.tree.map, jnp.zeros_like)
        broken = {
            "padding puts out what is not zero": ~alike(~mask, found["outputs"], nothing(found["outputs"])),
            "a row of padding does not hold its carry": ~alike(~mask.any(-1), found["carry"], start),
            "the carry has another type": types(found["carry"]) != types(start),
            "the outputs have another type": found["outputs"].dtype != shape.dtype,
        }
        if (to_inputs := found.get("gradients to inputs")) is not None:
            broken["padding has a gradient"] = ~alike(~mask, to_inputs, nothing(to_inputs))
        return {name: apart(found[name], meant[name]) for name in found}, broken

    return lambda *contents: jax.device_get(program(*contents))


def types(tree: Any) -> list[Any]:
    return [leaf.dtype for leaf in jax.tree.leaves(tree)]


def alike(rows: jax.Array, tree: Any, other: Any) -> jax.Array:
    """Whether two trees are the same to the bit in these rows, or steps of rows."""
    pairs = zip(jax.tree.leaves(tree), jax.tree.leaves(other), strict=True)
    return jnp.all(jnp.array([jnp.all(pick(rows, a, 0) == pick(rows, b, 0)) for a, b in pairs]))


def pick(flags: jax.Array, leaf: jax.Array, other: jax.Array | int) -> jax.Array:
    """``leaf`` where a row's flag is true, else ``other``."""
    return jnp.where(flags.reshape(flags.shape + (1,) * (leaf.ndim - flags.ndim)), leaf, other)


def apart(tree: Any, other: Any) -> jax.Array:
    """The largest difference of two trees, each leaf's in terms of its largest number, or of 1."""

    def of(leaf, meant):
        leaf, meant = (a.astype(jnp.promote_types(a.dtype, jnp.float32)) for a in (leaf, meant))
        return jnp.max(jnp.abs(leaf - meant), initial=0) / jnp.maximum(1, jnp.max(jnp.abs(meant), initial=0))

    return jnp.max(jnp.array(jax.tree.leaves(jax.tree.map(of, tree, other))), initial=0)


def scanned(
    shape: Shape, model: Stack, xs: Any, carry: Any, mask: jax.Array, reset: jax.Array
) -> tuple[Any, jax.Array]:
    """Carry and outputs of a stack under a shape's options."""
    options: dict[str, Any] = {"carry": carry, "remat": shape.remat, "scheme": shape.scheme, "key": key_of(shape)}
    options |= {"reverse": True} if shape.direction == "reverse" else {}
    options |= {"mask": mask} if "mask" in shape.given else {}
    options |= {"lengths": mask.sum(-1)} if "lengths" in shape.given else {}
    options |= {"reset": reset} if "reset" in shape.given else {}
    return model(xs, **options)


def key_of(shape: Shape) -> jax.Array | None:
    """Variational dropout drops what its carry's masks say, and only under a key."""
    return jax.random.key(0) if shape.wrapper == "variational_dropout" else None


def stepped(
    shape: Shape, model: Stack, xs: Any, carry: Any, mask: jax.Array, reset: jax.Array
) -> tuple[Any, jax.Array]:
    """What `scanned` means, row by row: the real steps alone, in a loop."""
    rows, steps, lead = int(np.prod(shape.batch)), shape.time, len(shape.batch)

    def flat(tree):
        return jax.tree.map(lambda a: a.reshape(rows, *a.shape[lead:]), tree)

    def deep(tree):
        return jax.tree.map(lambda a: a.reshape(*shape.batch, *a.shape[1:]), tree)

    def taken(places, tree):
        return jax.tree.map(lambda a: a[jnp.arange(rows)[:, None], places], tree)

    mask = flat(mask)
    order = jnp.argsort(~mask, axis=1, stable=True)
    count = mask.sum(1)
    places = jnp.arange(steps)
    from_the_end = jnp.where(places < count[:, None], count[:, None] - 1 - places, places)

    def walk(cell, xs, again, carry):
        start = cell.initial_carry((rows,))
        carries, ys = [start if carry is None else carry], []
        options = {} if key_of(shape) is None else {"key": key_of(shape)}
        for step in range(steps):
            before = jax.tree.map(partial(pick, again[:, step]), start, carries[-1])
            after, y = cell(before, jax.tree.map(itemgetter((slice(None), step)), xs), **options)
            carries.append(after)
            ys.append(y)
        end = jax.tree.map(lambda *each: jnp.stack(each)[count, jnp.arange(rows)], *carries)
        return end, jnp.stack(ys, 1) if ys else jnp.zeros((rows, 0, cell.features), shape.dtype)

    def backwards(cell, xs, again, carry):
        end, ys = walk(cell, taken(from_the_end, xs), taken(from_the_end, again), carry)
        return end, taken(from_the_end, ys)

    if shape.inputs == "one-hot":
        xs = jax.nn.one_hot(xs[..., 0], FEATURES, dtype=shape.dtype)
    xs = jax.tree.map(lambda a: jnp.where(mask[..., None], a, 0), flat(xs))
    xs, again = taken(order, xs), taken(order, flat(reset) & mask)
    times, ends = (xs[1] if isinstance(xs, tuple) else None), []
    for number, layer in enumerate(model.layers):
        given = None if carry is None else flat(carry[number])
        if number and times is not None:
            xs = xs, times
        if isinstance(layer, Bidirectional):
            # of two parts of a row, the later begins at a reset, and the earlier ends before it
            ending = jnp.concatenate([again[:, 1:], jnp.zeros_like(again[:, :1])], axis=1)
            one, ahead = walk(layer.forward, xs, again, given and given[0])
            other, back = backwards(layer.backward, xs, ending & (places + 1 < count[:, None]), given and given[1])
            end, xs = (one, other), merged(layer.merge, ahead, back)
        else:
            end, xs = (backwards if shape.direction == "reverse" else walk)(layer.cell, xs, again, given)
        ends.append(deep(end))
    ys = jnp.where(mask[..., None], taken(jnp.argsort(order, axis=1), xs), 0)
    return tuple(ends), deep(ys)


def merged(merge: Merge, ahead: jax.Array, back: jax.Array) -> jax.Array:
    """What a bidirectional layer makes of the outputs of its directions."""
    if merge == "concat":
        return jnp.concatenate([ahead, back], axis=-1)
    return ahead * back if merge == "product" else (ahead + back) * (0.5 if merge == "mean" else 1)
