"""Every binary adder there is under the hint of the paper: counted without running a single one.

CSC 266/466 (Rochester, 2023), Homework 2, Problem 1, wants a network of three hidden units

    h_t = σ(U x_t + W h_{t-1} + b_h),    y_t = σ(v·h_t + b_y),    σ(a) = 1 where a > 0, else 0

with whole numbers from -2 to 2 everywhere, that adds; as a hint, all entries of U are one number u. These are
5 · 625³ · 625 · 8 = 6,103,515,625,000 settings: five u, a row ``(w, b)`` of W and b_h for each hidden unit, a readout
``(v, b_y)``, and h_0.

**What makes an adder.** With equal entries in U, a step depends on the two bits by their sum s = 0, 1, 2 alone: it
takes state h to δ(s, h), and there are eight states. Adding on paper, with c the carry into a step, the total n = s + c
is 0, 1, 2 or 3, its last bit n mod 2 is written down, and ⌊n/2⌋ is carried on. A network adds all pairs rightly, of any
length, just where **each state that it can reach stands for one total n** such that

    δ(s, h) stands for s + ⌊n(h)/2⌋,    y(h) = n(h) mod 2,    and nothing is carried into the first step from h_0.

Where it is so, the state stands for the total at every step, by induction, and the output is right. Where it is not,
either an output is wrong, or two ways of adding lead to the same state with different totals. If their last bits
differ, one of the two outputs is wrong. Else the carries differ (the totals are 0 and 2, or 1 and 3): feed zeros next,
and both come to the same state and output, which should differ. The numbers may end at any step, so each of these
outputs is part of some sum. Of h_0 at the start no output is asked, and its carry is 0: it may come up again as total 0
or 1, not as 2 or 3.

**How they are counted.** All 625 rows are possible for each unit at first, and all 625 readouts. Follow s = 0, 1, 2
from h_0, and then from each state that this reaches, and tell apart the eight states that such a step may lead to. Each
of these cases leaves, for each hidden unit, only the rows that make it fire, or not, for that s and state, and only the
readouts that are right on the new state. It is dropped when nothing is left of one of the four, or when the new state
already stands for another total. When all states reached have been followed, what is still open touches no sum: each
choice of a row from each of the three sets, and of a readout, is an adder. Cases exclude each other, since a step leads
to different states in them, and leave no setting out, so the census is the sum of their sizes, each a product of four
numbers.
"""

import itertools
import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxrnn.threshold import ElmanRNN
from jaxrnn.typing import Bool, Int

COEFFICIENTS = (-2, -1, 0, 1, 2)
"""What the paper allows each entry of U, W, b_h and v, and b_y, to be."""

State = tuple[int, int, int]

STATES: tuple[State, ...] = tuple((one, two, three) for one, two, three in itertools.product((0, 1), repeat=3))
"""The eight hidden states."""

_ROWS = np.array(list(itertools.product(COEFFICIENTS, repeat=4)))
"""All ``(w_1, w_2, w_3, b)``: what a hidden unit may make of a state, and what the output may."""

SETTINGS = len(COEFFICIENTS) * len(_ROWS) ** 4 * len(STATES)
"""How many settings there are: 6,103,515,625,000."""

Some = int
"""A set of rows, as the bits of a whole number: bit i is 1 where it has row i."""


class _Case(NamedTuple):
    """What has been settled so far, and which rows that leaves."""

    units: tuple[Some, ...]
    readouts: Some
    totals: Mapping[State, int]
    """What the states that were reached stand for."""
    steps: tuple[tuple[int, State, int], ...]
    """What is still to be followed: the sum of the bits, the state before, and the total after."""


def adders(u: int) -> ElmanRNN:
    """All settings with ``u`` everywhere in U that add two binary numbers of any length without a mistake.

    Every leaf of the tuple has a leading axis of that many, the same for all leaves: ``h_0`` is ``(n, 3)``, and
    `jax.vmap` of `jaxrnn.threshold.elman_rnn` over it runs all networks at once. There are 5,880 of u = -1, 2,232 of
    u = 1, and none of -2, 0 and 2.

    Raises ValueError for a ``u`` that is not allowed.
    """
    if u not in COEFFICIENTS:
        raise ValueError(f"u must be one of {COEFFICIENTS}, not {u!r}")
    fires = [[_some(u * bits + _of_all_rows(state) > 0) for state in STATES] for bits in range(3)]
    right = [_some(_of_all_rows(state) > 0) for state in STATES]
    chosen = [np.zeros((0, 4), int)]
    starts = [np.zeros((0, 3), int)]
    for h_0 in STATES:
        for case in _cases(h_0, fires, right):
            choices = np.array(list(itertools.product(*(_members(some) for some in (*case.units, case.readouts)))))
            chosen.append(choices)
            starts.append(np.tile(h_0, (len(choices), 1)))
    rows = _ROWS[np.concatenate(chosen)]
    hidden, readout = rows[:, :3], rows[:, 3]
    leaves = (
        np.full((len(rows), 3, 2), u),
        hidden[..., :3],
        hidden[..., 3],
        readout[:, :3],
        readout[:, 3],
        np.concatenate(starts),
    )
    return ElmanRNN(*(jnp.asarray(leaf, jnp.int32) for leaf in leaves))


def _cases(h_0: State, fires: list[list[Some]], right: list[Some]) -> Iterator[_Case]:
    """All cases from a start to their end, in which every choice from the sets that are left adds rightly."""
    all_rows = (1 << len(_ROWS)) - 1
    open_cases = [_Case((all_rows,) * 3, all_rows, {}, _steps_from(h_0, 0))]
    while open_cases:
        case = open_cases.pop()
        if not case.steps:
            yield case
            continue
        (bits, before, total), *later = case.steps
        firing = fires[bits][STATES.index(before)]
        for number, after in enumerate(STATES):
            known = after in case.totals
            if (known and case.totals[after] != total) or (after == h_0 and total > 1):
                continue
            units = tuple(unit & (firing if on else ~firing) for unit, on in zip(case.units, after, strict=True))
            readouts = case.readouts & (right[number] if total % 2 else ~right[number])
            if not all((*units, readouts)):
                continue
            # the steps from h_0 are followed from the beginning
            new = () if known or after == h_0 else _steps_from(after, total // 2)
            open_cases.append(_Case(units, readouts, {**case.totals, after: total}, (*later, *new)))


def _steps_from(state: State, carry: int) -> tuple[tuple[int, State, int], ...]:
    return tuple((bits, state, bits + carry) for bits in range(3))


def _of_all_rows(state: State) -> Int[np.ndarray, "rows"]:
    """``w·h + b`` of every row."""
    return _ROWS[:, :3] @ np.array(state) + _ROWS[:, 3]


def _some(flags: Bool[np.ndarray, "rows"]) -> Some:
    return int.from_bytes(np.packbits(flags, bitorder="little").tobytes(), "little")


def _members(some: Some) -> list[int]:
    return [row for row in range(len(_ROWS)) if some >> row & 1]


def unordered(params: ElmanRNN) -> int:
    """How many settings are different when the three hidden units have no order.

    ``params`` are settings as `adders` gives them. Two are the same where exchanging units, with their rows and columns
    of W and their entries of b_h, v and h_0, makes one into the other.
    """
    u, w, b_h, v, b_y, h_0 = (np.asarray(leaf) for leaf in params)
    codes = []
    for order in (list(order) for order in itertools.permutations(range(3))):
        leaves = (u[:, order], w[:, order][:, :, order], b_h[:, order], v[:, order], b_y, h_0[:, order])
        digits = np.concatenate([leaf.reshape(len(w), math.prod(leaf.shape[1:])) for leaf in leaves], axis=1) - min(
            COEFFICIENTS
        )
        # as a whole number, of 26 digits: more than 64 bits hold
        codes.append([int("".join(map(str, row)), 5) for row in digits.tolist()])
    return len({min(same) for same in zip(*codes, strict=True)})
