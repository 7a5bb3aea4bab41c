"""Networks of hard-threshold units, their weights set by hand: they add binary numbers and take the XOR of sequences.

Pure functions of a parameter tuple, which `jax.jit` and `jax.vmap` take, over inputs and over parameters. Every unit is

    σ(a) = 1 where a > 0, else 0        (so 0 at a = 0)

and the letters are those of CSC 266/466 (Rochester, 2023), Homework 2, Problem 1, and ECE1508 (Toronto, 2025),
Assignment 4, Question 1: ``x_t`` input, ``h_t`` hidden state, ``s_t`` what is fed back, ``y_t`` output. No gradient
could train them: that of σ is 0 wherever there is one. Bits go least significant first, as in adding on paper.
"""

import operator
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn.typing import Array, ArrayLike, Int, Shaped

Form = Literal["jordan", "elman"]
"""What a recurrent network feeds back: its output (Jordan 1986) or its hidden state (Elman 1990)."""

Thresholds = Literal["integer", "float"]
"""Where the thresholds of the units are: on whole numbers, or half-way between two so that no unit ever stands at 0."""


class ElmanRNN(NamedTuple):
    """The parameters of `elman_rnn`, which feeds back its hidden state: ``d`` inputs, ``h`` hidden units, an output."""

    U: Shaped[Array, "h d"]
    W: Shaped[Array, "h h"]
    b_h: Shaped[Array, "h"]
    v: Shaped[Array, "h"]
    b_y: Shaped[Array, ""]
    h_0: Shaped[Array, "h"]


class JordanRNN(NamedTuple):
    """The parameters of `jordan_rnn`, which feeds back its output: ``d`` inputs, ``h`` hidden units, an output."""

    U: Shaped[Array, "h d"]
    W: Shaped[Array, "h"]
    b_h: Shaped[Array, "h"]
    v: Shaped[Array, "h"]
    b_y: Shaped[Array, ""]
    s_1: Shaped[Array, ""]


P = TypeVar("P", ElmanRNN, JordanRNN)


def hard_threshold(a: Shaped[ArrayLike, "..."]) -> Shaped[Array, "..."]:
    """``σ(a)``: 1 where ``a > 0``, else 0, in the type of ``a``."""
    a = jnp.asarray(a)
    return (a > 0).astype(a.dtype)


def elman_rnn(
    params: ElmanRNN, xs: Shaped[ArrayLike, "*b t d"]
) -> tuple[Shaped[Array, "*b t h"], Shaped[Array, "*b t"]]:
    """Hidden states and outputs of all steps, from ``h_0``:

        h_t = σ(U x_t + W h_{t-1} + b_h),    y_t = σ(v·h_t + b_y)

    Raises ValueError where ``xs`` is not ``(*b, t, d)`` with the ``d`` of ``U``, ``(h, d)``.
    """
    params, xs = _as_one_type(params, xs)

    def step(h, a):
        h = hard_threshold(a + h @ params.W.T)
        return h, h

    hs = _over_time(step, params.h_0, xs @ params.U.T + params.b_h)
    return hs, hard_threshold(hs @ params.v + params.b_y)


def jordan_rnn(
    params: JordanRNN, xs: Shaped[ArrayLike, "*b t d"]
) -> tuple[Shaped[Array, "*b t h"], Shaped[Array, "*b t"]]:
    """Hidden states and outputs of all steps, from ``s_1``; the output of a step is what the next is fed:

        h_t = σ(U x_t + W s_t + b_h),    y_t = σ(v·h_t + b_y),    s_{t+1} = y_t

    Raises ValueError where ``xs`` is not ``(*b, t, d)`` with the ``d`` of ``U``, ``(h, d)``.
    """
    params, xs = _as_one_type(params, xs)

    def step(s, a):
        h = hard_threshold(a + s[..., None] * params.W)
        y = hard_threshold(h @ params.v + params.b_y)
        return y, (h, y)

    return _over_time(step, params.s_1, xs @ params.U.T + params.b_h)


def _as_one_type(params: P, xs: ArrayLike) -> tuple[P, Array]:
    """All in the type that their sums have, so that the carry of the scan keeps its type."""
    outputs, inputs = np.shape(params.U)[-2:]
    if np.ndim(xs) < 2 or np.shape(xs)[-1] != inputs:
        raise ValueError(
            f"xs must be (*batch, time, {inputs}) for {outputs} hidden units with {inputs} inputs each, "
            f"not of shape {np.shape(xs)}"
        )
    dtype = jnp.result_type(*params, xs)
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), (params, xs))


def _over_time(step: Callable, start: Array, inputs: Shaped[Array, "*b t h"]) -> Any:
    """The outputs of ``step`` at all times, in place of the inputs ``U x_t + b_h``."""
    batch = inputs.shape[:-2]
    carry = jnp.broadcast_to(start, (*batch, *start.shape))
    _, outputs = jax.lax.scan(step, carry, jnp.moveaxis(inputs, -2, 0))
    return jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 0, len(batch)), outputs)


class Trace(NamedTuple):
    """What `elman_rnn` works out at each step."""

    Ux: Shaped[Array, "*b t h"]
    """``U x_t``: what the input adds to each hidden unit."""
    Wh: Shaped[Array, "*b t h"]
    """``W h_{t-1}``: what the state before the step adds."""
    h: Shaped[Array, "*b t h"]
    """``h_t``"""
    vh: Shaped[Array, "*b t"]
    """``v·h_t``, of which the output is the threshold."""
    y: Shaped[Array, "*b t"]
    """``y_t``"""


def trace(params: ElmanRNN, xs: Shaped[ArrayLike, "*b t d"]) -> Trace:
    """`elman_rnn` with all that it adds up on the way. Raises ValueError as that does."""
    hs, ys = elman_rnn(params, xs)
    params, xs = _as_one_type(params, xs)
    first = jnp.broadcast_to(params.h_0, (*hs.shape[:-2], 1, hs.shape[-1]))
    before = jnp.concatenate([first, hs], axis=-2)[..., :-1, :]
    return Trace(xs @ params.U.T, before @ params.W.T, hs, hs @ params.v, ys)


# --- the binary adder -------------------------------------------------------------------------------------------------


def binary_adder_params() -> ElmanRNN:
    """The paper's network that adds two binary numbers, fed one bit of each at a time:

        U = [[1, 1], [1, 1], [1, 1]],   W = [[0, 1, 0], [0, 1, 0], [0, 1, 0]],   b_h = (0, -1, -2),
        v = (1, -1, 1),   b_y = 0,   h_0 = (0, 0, 0)

    Unit i is on where the two bits and the carry sum to at least i, so the second is the carry, and the output, first
    minus second plus third, is the sum modulo 2. CSC 266/466 (Rochester, 2023), Homework 2, Problem 1; it is one of the
    8,112 that `jaxrnn.census` finds.
    """
    return ElmanRNN(
        U=jnp.ones((3, 2), jnp.int32),
        W=jnp.tile(jnp.array([0, 1, 0], jnp.int32), (3, 1)),
        b_h=jnp.array([0, -1, -2], jnp.int32),
        v=jnp.array([1, -1, 1], jnp.int32),
        b_y=jnp.zeros((), jnp.int32),
        h_0=jnp.zeros(3, jnp.int32),
    )


def add(a: int, b: int) -> int:
    """``a + b``, of whole numbers of any size, by the network of `binary_adder_params`.

    Raises ValueError for a negative number and for what is not a whole number.
    """
    size = max(_natural(a).bit_length(), _natural(b).bit_length()) + 1
    size += -size % 64  # more zeros change no sum, and numbers of about one size share a compiled program
    _, ys = _compiled(binary_adder_params(), bits_of(a, b, width=size))
    return bits_to_int(ys)


_compiled = jax.jit(elman_rnn)


def bits_of(a: int, b: int, *, width: int) -> Int[np.ndarray, "t 2"]:
    """What an adder is fed for ``a + b``: the bits of both, least significant first, with zeros up to ``width``.

    The sum comes out whole where ``width`` is at least one more than the bits of the larger number: the zeros there
    push the last carry out. Raises ValueError as `int_to_bits` does.
    """
    return np.stack([int_to_bits(a, width), int_to_bits(b, width)], axis=-1)


class TruthTable(NamedTuple):
    """What an adder does at a step, for each carry into it and each pair of bits: six rows."""

    carry: Int[np.ndarray, "6"]
    """The carry into the step."""
    bits: Int[np.ndarray, "6"]
    """How many of its two bits are 1."""
    total: Int[np.ndarray, "6"]
    """Both together: 0, 1, 2 or 3."""
    h: Int[np.ndarray, "6 h"]
    """The hidden state after the step."""
    Wh: Int[np.ndarray, "6 h"]
    """``W h`` of that state: what it adds to the units at the next step."""
    vh: Int[np.ndarray, "6"]
    """``v·h`` of that state."""
    y: Int[np.ndarray, "6"]
    """The output: the total modulo 2."""


def adder_truth_table(params: ElmanRNN) -> TruthTable:
    """The truth table of a network that adds, read off the running network: its second step, after a first without or
    with two ones.
    """
    carry, bits = (grid.reshape(-1) for grid in np.meshgrid([0, 1], [0, 1, 2], indexing="ij"))
    xs = np.stack([np.stack([carry, carry], -1), np.stack([bits > 0, bits > 1], -1)], axis=1)
    _, _, h, vh, y = (np.asarray(values)[:, 1] for values in trace(params, xs))
    return TruthTable(carry, bits, carry + bits, h, h @ np.asarray(params.W).T, vh, y)


# --- integers and bits ------------------------------------------------------------------------------------------------


def int_to_bits(number: int, width: int) -> Int[np.ndarray, "width"]:
    """The bits of a whole number of any size, least significant first, with zeros up to ``width``.

    Raises ValueError for a negative number, for what is not a whole number (``True`` and ``2.0`` are not), and for one
    that needs more bits than ``width``.
    """
    number, width = _natural(number), _natural(width)
    if number.bit_length() > width:
        raise ValueError(f"{_shortened(number)} has {number.bit_length()} bits: too many for a width of {width}")
    octets = np.frombuffer(number.to_bytes(-(-width // 8), "little"), np.uint8)
    return np.unpackbits(octets, count=width, bitorder="little").astype(np.int32)


def bits_to_int(bits: Shaped[ArrayLike, "width"]) -> int:
    """The whole number with these bits, least significant first, of any width: that of no bits is 0.

    Raises ValueError for anything but a row of zeros and ones.
    """
    row = _bits(bits)
    if row.ndim != 1:
        raise ValueError(f"bits must be one row, least significant first, not of shape {row.shape}")
    return int.from_bytes(np.packbits(row, bitorder="little").tobytes(), "little")


def _natural(number: Any) -> int:
    try:
        if isinstance(number, bool | np.bool):  # which numpy 2.0 takes for an index
            raise TypeError
        natural = operator.index(number)
    except TypeError:
        raise ValueError(f"{number!r} is not a whole number but {type(number).__name__}; give 0, 1, 2, ...") from None
    if natural < 0:
        raise ValueError(f"{_shortened(natural)} is negative; give 0, 1, 2, ...")
    return natural


def _bits(values: Any) -> Int[np.ndarray, "..."]:
    array = np.asarray(values)
    wrong = array[~np.isin(array, (0, 1))] if array.dtype.kind in "biuf" else array.reshape(-1)
    if wrong.size:
        raise ValueError(f"bits must be 0 or 1, and there is {wrong[0]!r} among them")
    return array.astype(np.int32)


def _shortened(number: int) -> str:
    return str(number) if number.bit_length() <= 64 else f"a number of {number.bit_length()} bits"


# --- XOR and parity ---------------------------------------------------------------------------------------------------


def xor_params(thresholds: Thresholds = "integer") -> JordanRNN:
    """The shallow network that takes the XOR of two bits ``x`` and ``s``, ready to be fed its own output as ``s``.

        integer:  U = W = (1, 1),   b_h = (0, -1),        v = (1, -1),   b_y = 0,      s_1 = 0
        float:    U = W = (1, 1),   b_h = (-0.5, -1.5),   v = (1, -1),   b_y = -0.5,   s_1 = 0

    The first unit is on where at least one bit is 1, the second where both are: it is the binary adder without its
    third unit. From ``s_1 = 0`` the first output is the first input. ECE1508 (Toronto, 2025), Assignment 4, Question 1.

    Raises ValueError for other ``thresholds``.
    """
    if thresholds not in ("integer", "float"):
        raise ValueError(f"thresholds must be 'integer' or 'float', not {thresholds!r}")
    dtype, half = (jnp.int32, 0) if thresholds == "integer" else (jnp.float32, 0.5)
    return JordanRNN(
        U=jnp.ones((2, 1), dtype),
        W=jnp.ones(2, dtype),
        b_h=jnp.array([0 - half, -1 - half], dtype),
        v=jnp.array([1, -1], dtype),
        b_y=jnp.array(0 - half, dtype),
        s_1=jnp.zeros((), dtype),
    )


def xor_net(
    params: JordanRNN, x: Shaped[ArrayLike, "*b"], s: Shaped[ArrayLike, "*b"]
) -> tuple[Shaped[Array, "*b h"], Shaped[Array, "*b"]]:
    """Hidden units and output of the shallow network:

        h = σ(U x + W s + b_h),    y = σ(v·h + b_y)

    One step of `jordan_rnn`, as ECE1508 (Toronto, 2025), Assignment 4, Question 1, item 1, wants it.
    """
    h = hard_threshold(jnp.asarray(x)[..., None] * params.U[..., 0] + jnp.asarray(s)[..., None] * params.W + params.b_h)
    return h, hard_threshold(h @ params.v + params.b_y)


def parity_params(thresholds: Thresholds = "integer") -> ElmanRNN:
    """The network of `xor_params` made into one that feeds back its hidden state, and not its output:

        W = (1, 1)ᵀ v = [[1, -1], [1, -1]],    h_0 = (0, 0),    all else as it is there

    The output is 1 just where ``v·h_t`` is, since the second unit is never on without the first, so ``v·h_t`` itself
    may be fed back in its place.
    """
    jordan = xor_params(thresholds)
    return ElmanRNN(
        U=jordan.U,
        W=jnp.outer(jordan.W, jordan.v),
        b_h=jordan.b_h,
        v=jordan.v,
        b_y=jordan.b_y,
        h_0=jnp.zeros_like(jordan.v),
    )


def parity_rnn(
    bits: Shaped[ArrayLike, "*b t"], *, form: Form = "jordan", thresholds: Thresholds = "integer"
) -> Shaped[Array, "*b t"]:
    """The XOR of each sequence so far, ``y_t = x_1 ⊕ ... ⊕ x_t``, by the network of `xor_params` or `parity_params`.

    Raises ValueError for bits other than 0 and 1, and for other words than the two that there are.
    """
    if form not in ("jordan", "elman"):
        raise ValueError(f"form must be 'jordan' or 'elman', not {form!r}")
    if not isinstance(bits, jax.core.Tracer):
        bits = _bits(bits)
    xs = jnp.asarray(bits)[..., None]
    if form == "jordan":
        return jordan_rnn(xor_params(thresholds), xs)[1]
    return elman_rnn(parity_params(thresholds), xs)[1]
