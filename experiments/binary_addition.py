"""Binary addition by a network whose weights are set by hand, and every other network that adds (R1 to R4).

python -m experiments.binary_addition [A B]
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from rich.console import Console
from rich.table import Table

from jaxrnn import census, command, plots, runfolder
from jaxrnn.demonstration import Shown, demonstrate
from jaxrnn.errors import SettingsError
from jaxrnn.threshold import (
    ElmanRNN,
    Trace,
    TruthTable,
    adder_truth_table,
    binary_adder_params,
    bits_of,
    bits_to_int,
    elman_rnn,
    int_to_bits,
    trace,
)

PAPER = "CSC 266/466 (Rochester, 2023), Homework 2, Problem 1"
EXAMPLE = ("39", "50")
MOST_BITS = 4096
SMALL_BITS = 8
LARGE_BITS, LARGE_PAIRS = 256, 10_000
PRINTED_STEPS = 40


@dataclass(frozen=True, kw_only=True)
class Settings(command.Settings):
    """Add two numbers bit by bit with three hard-threshold units, step by step to look at.

    Then check the network on every pair of numbers of up to 8 bits and on 10,000 pairs of 256 bits, and find all
    networks with equal entries in U and whole numbers from -2 to 2 that add. Leaves tables, figures and result.json,
    with the sum as a decimal string, in the run folder.
    """

    numbers: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="A B")] = EXAMPLE
    """The two numbers, decimal or, after 0b, in bits; the paper's example where not given."""


def main(name: str, settings: Settings) -> dict[str, Any]:
    """Show all of it, and leave a run folder; returns what its ``result.json`` says.

    Raises SettingsError for anything but two whole numbers of at most 4,096 bits.
    """
    if len(settings.numbers) != 2:
        raise SettingsError(f"give two numbers to add, or none for the paper's example, not {len(settings.numbers)}")
    a, b = (parsed(text) for text in settings.numbers)
    return demonstrate(name, settings, lambda console, out: show(a, b, console, out))


def parsed(text: str) -> int:
    """The whole number that was typed. Raises SettingsError for anything else."""
    bits = text.lower().startswith("0b")
    digits = text[2:] if bits else text
    said = text if len(text) <= 40 else f"{text[:37]}..."
    if digits.startswith("-") and digits[1:].isdecimal():
        raise SettingsError(f"{said} is negative: the network adds whole numbers from 0; give 0, 1, 2, ...")
    if not digits or set(digits) - set("01" if bits else "0123456789"):
        kind = "not a number in bits: after 0b there may be only 0 and 1" if bits else "not a whole number"
        raise SettingsError(f"{said} is {kind}; give 39, say, or 0b100111")
    if (bits and len(digits.lstrip("0")) > MOST_BITS) or len(digits) > MOST_BITS:
        raise SettingsError(_too_long(said))
    number = int(digits, 2 if bits else 10)
    if number.bit_length() > MOST_BITS:
        raise SettingsError(_too_long(said))
    return number


def _too_long(said: str) -> str:
    return f"{said} has more than {MOST_BITS:,} bits; give a smaller number, or call jaxrnn.threshold.add"


def show(a: int, b: int, console: Console, out: Path) -> Shown:
    """The worked trace of ``a + b``, the truth table, the proof and the census: printed, and written to ``out``."""
    adder = binary_adder_params()
    xs = bits_of(a, b, width=max(a.bit_length(), b.bit_length(), 1) + 1)
    worked = jax.tree.map(np.asarray, trace(adder, xs))
    total = bits_to_int(worked.y)
    sum_ = f"{a} + {b} = {total}"
    show_trace(sum_, xs, worked, console, out)
    table = adder_truth_table(adder)
    as_printed = show_truth_table(table, console, out)
    small, large = errors(adder, *all_pairs(SMALL_BITS)), errors(adder, *random_pairs(LARGE_PAIRS, LARGE_BITS))
    counted = show_census(console, out)
    needed = counted["census_smallest_size"] == 2
    inputs = f"the inputs are {_said(xs[:, 0])} and {_said(xs[:, 1])}, the outputs {_said(worked.y)}"
    short = f"{sum_}: least significant bit first, with a zero at the end, {inputs}."
    answers = {
        "R1": (
            f"{', '.join(f'{name} = {leaf.tolist()}' for name, leaf in adder._asdict().items())}. Hidden unit i is on "
            "where the two bits and the carry sum to at least i, so the second unit is the carry, and W hands it on to "
            "the next step; v makes of them an output that is on for a sum of 1 or 3. These are the paper's values, "
            f"but not the only ones: of the {census.SETTINGS:,} settings with whole numbers from -2 to 2 in which all "
            f"entries of U are the same u (the paper's hint), exactly {counted['census']:,} add, "
            f"{counted['census_u+1']:,} with u = 1 and {counted['census_u-1']:,} with u = -1. As a check all of them "
            f"were run on all pairs of 4-bit numbers: {counted['census_errors']:,} make a mistake. Each has an entry "
            f"of size {counted['census_smallest_size']}{', none makes do with -1, 0 and 1' * needed}."
        ),
        "R2": (
            f"{short if len(xs) <= PRINTED_STEPS else f'The {len(xs)} outputs of the sum asked for are in trace.csv.'} "
            f"That is {'right' if total == a + b else 'WRONG'}. Of all {4**SMALL_BITS:,} pairs of numbers of up to "
            f"{SMALL_BITS} bits the network adds {small} wrongly, and of {LARGE_PAIRS:,} random pairs of {LARGE_BITS} "
            f"bits {large}."
        ),
        "R3": (
            "The hidden state shows the sum of the two bits and the carry: (0, 0, 0), (1, 0, 0), (1, 1, 0) and "
            "(1, 1, 1) stand for 0, 1, 2 and 3. W h is (1, 1, 1) after the last two, where 1 is carried, and (0, 0, 0) "
            "after the others; it has three entries, where the paper prints four. v h = h_1 - h_2 + h_3 is 0, 1, 0 and "
            "1 for the sums 0 to 3, so the output is on where the sum is odd. All of that holds in "
            f"{as_printed} of the {len(table.total)} cases that there are: a carry of 0 or 1, and 0, 1 or 2 bits on."
        ),
        "R4": (
            "The paper's program runs one sum, 39 + 50, and prints every step and the seven bits for the reader to "
            "compare; after the last bit it writes a 1 in front if W h = (1, 1, 1). This one does as the paper's text "
            "says: zeros make both numbers one bit longer than the longer one, and the last output is the carry. For "
            f"numbers of {a.bit_length()} and {b.bit_length()} bits that makes {len(xs)} steps. What comes out is "
            f"compared with Python's own sum: of all {4**SMALL_BITS:,} pairs of numbers of up to {SMALL_BITS} bits "
            f"{small} are added wrongly."
        ),
    }
    reference: list[runfolder.Reference] = [
        {
            "what": f"{PAPER}, solution",
            "metric": "errors",
            "value": 0.0,
            "note": "said to have passed a test by a program, on 39 + 50 = 89",
        },
    ]
    metrics = {
        "errors": small + large,
        "errors_8_bits": small,
        "errors_256_bits": large,
        "pairs_8_bits": 4**SMALL_BITS,
        "pairs_256_bits": LARGE_PAIRS,
        "steps": len(xs),
        "cases": len(table.total),
        "cases_as_printed": as_printed,
        "settings": census.SETTINGS,
        **counted,
    }
    return Shown(metrics, answers, reference, sum(leaf.size for leaf in adder), top={"sum": str(total)})


# --- one sum, step by step --------------------------------------------------------------------------------------------


def show_trace(sum_: str, xs: np.ndarray, worked: Trace, console: Console, out: Path) -> None:
    """What the network works out at each step, as a table, ``trace.csv`` and ``trace.png``."""
    rows = [
        {"t": t, "x": x, "U x": ux, "W h": wh, "h": h, "v h": vh, "y": y}
        for t, (x, ux, wh, h, vh, y) in enumerate(zip(xs, *worked, strict=True), start=1)
    ]
    title = f"{sum_}, least significant bit first"
    if len(rows) > PRINTED_STEPS:
        title += f" (the first {PRINTED_STEPS} of {len(rows)} steps; all are in trace.csv)"
    _print(console, title, rows[:PRINTED_STEPS])
    runfolder.write_csv(out / "trace.csv", [_split(row) for row in rows])
    groups: dict[str, dict[str, Any]] = {
        "inputs x(t)": {"A": xs[:, 0], "B": xs[:, 1]},
        "U x(t)": {f"unit {unit + 1}": worked.Ux[:, unit] for unit in range(3)},
        "W h(t-1)": {f"unit {unit + 1}": worked.Wh[:, unit] for unit in range(3)},
        "state h(t)": {f"sum ≥ {unit + 1}": worked.h[:, unit] for unit in range(3)},
        "output": {"v h(t)": worked.vh, "y(t)": worked.y},
    }
    shown = sum_ if len(sum_) <= 40 else f"A sum of {len(xs)} bits"
    figure = plots.bits.steps({"": groups}, f"{shown}, least significant bit first")
    runfolder.save_figure(figure, out / "trace.png")


def show_truth_table(table: TruthTable, console: Console, out: Path) -> int:
    """The table of a step, printed and as ``truth_table.csv`` and ``.png``; returns how many of its rows are as in the
    paper."""
    rows = [
        {"carry": carry, "bits": bits, "sum": total, "h": h, "W h": wh, "v h": vh, "y": y}
        for carry, bits, total, h, wh, vh, y in zip(*table, strict=True)
    ]
    _print(console, "A step: the carry into it, how many of its bits are 1, and what the network makes of that", rows)
    runfolder.write_csv(out / "truth_table.csv", [_split(row) for row in rows])
    order = np.argsort(table.total, stable=True)
    groups: dict[str, dict[str, Any]] = {
        "summed up": {"bits that are 1": table.bits[order], "carry": table.carry[order]},
        "state h": {f"sum ≥ {unit + 1}": table.h[order, unit] for unit in range(3)},
        "W h": {f"unit {unit + 1}": table.Wh[order, unit] for unit in range(3)},
        "output": {"v h": table.vh[order], "y": table.y[order]},
    }
    figure = plots.bits.steps(
        {"": groups},
        "What a step makes of its bits and the carry",
        x="sum of the bits and the carry",
        marks=[str(total) for total in table.total[order]],
    )
    runfolder.save_figure(figure, out / "truth_table.png")
    paper = {0: [0, 0, 0], 1: [1, 0, 0], 2: [1, 1, 0], 3: [1, 1, 1]}
    return sum(
        row["h"].tolist() == paper[int(row["sum"])]
        and row["W h"].tolist() == [row["sum"] // 2] * 3
        and row["v h"] == row["y"] == row["sum"] % 2
        for row in rows
    )


def _print(console: Console, title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    table = Table(*rows[0], title=title, title_justify="left")
    for row in rows:
        table.add_row(*(_said(value) if np.ndim(value) else f"{value:,}" for value in row.values()))
    console.print(table)


def _said(bits: Any) -> str:
    return " ".join(str(bit) for bit in np.asarray(bits).tolist())


def _split(row: Mapping[str, Any]) -> dict[str, int]:
    """The row with a column for each entry of each vector."""
    columns: dict[str, int] = {}
    for name, value in row.items():
        if np.ndim(value):
            columns |= {f"{name}_{place}": int(entry) for place, entry in enumerate(value, start=1)}
        else:
            columns[name] = int(value)
    return columns


# --- the proof --------------------------------------------------------------------------------------------------------


def all_pairs(width: int) -> tuple[np.ndarray, np.ndarray]:
    """Inputs ``(pairs, width + 1, 2)`` of all pairs of numbers of up to ``width`` bits, and the bits of their sums."""
    numbers = range(2**width)
    rows = np.stack([int_to_bits(number, width + 1) for number in range(2 ** (width + 1))])
    a, b = (grid.reshape(-1) for grid in np.meshgrid(numbers, numbers, indexing="ij"))
    return np.stack([rows[a], rows[b]], axis=-1), rows[a + b]


def random_pairs(count: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Inputs ``(count, width + 1, 2)`` of random pairs of ``width`` bits, and the bits of their sums, by Python."""
    xs = np.random.default_rng(0).integers(0, 2, (count, width + 1, 2), np.int32)
    xs[:, -1] = 0
    sums = [int_to_bits(bits_to_int(pair[:, 0]) + bits_to_int(pair[:, 1]), width + 1) for pair in xs]
    return xs, np.stack(sums)


def errors(params: ElmanRNN, xs: np.ndarray, sums: np.ndarray) -> int:
    """How many of the pairs are added wrongly in any bit, all of them run in one call."""
    return int(_wrong(params, xs, sums).sum())


def _any_wrong(params: ElmanRNN, xs: jax.Array, sums: jax.Array) -> jax.Array:
    return jnp.any(elman_rnn(params, xs)[1] != sums)


_wrong = jax.jit(jax.vmap(_any_wrong, in_axes=(None, 0, 0)))
_wrong_of_any = jax.jit(jax.vmap(_any_wrong, in_axes=(0, None, None)))


# --- the census -------------------------------------------------------------------------------------------------------


def show_census(console: Console, out: Path) -> dict[str, int]:
    """All networks that add: how many, a few of them, ``adders.csv`` and ``census.png``; returns the counts."""
    found = {u: census.adders(u) for u in census.COEFFICIENTS}
    everyone = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *found.values())
    rows = [_setting(*leaves) for leaves in zip(*(np.asarray(leaf) for leaf in everyone), strict=True)]
    from_state = {
        u: [int((np.asarray(params.h_0) == state).all(axis=1).sum()) for state in census.STATES]
        for u, params in found.items()
    }
    states = ["".join(map(str, state)) for state in census.STATES]
    _print(
        console,
        f"The {len(rows):,} of {census.SETTINGS:,} settings that add, by u and h_0",
        [{"u": u, **dict(zip(states, numbers, strict=True)), "all": sum(numbers)} for u, numbers in from_state.items()],
    )
    # the first from h_0 = 0, the paper's, and the first and the last of all
    paper = _setting(*(np.asarray(leaf) for leaf in binary_adder_params()))
    zero = next(row for row in rows if not row["h_0"].any())
    _print(console, "A few of them, W row by row", [paper, zero, rows[0], rows[-1]])
    runfolder.write_csv(out / "adders.csv", [_split(row) for row in rows])
    figure = plots.bits.counts(
        np.array(list(from_state.values())),
        f"How many of {census.SETTINGS:,} settings add",
        rows=[f"{u:+d}" if u else "0" for u in found],
        columns=states,
        y="u, every entry of U",
        x="initial state h_0 of the three units",
    )
    runfolder.save_figure(figure, out / "census.png")
    sizes = [max(np.abs(value).max() for value in row.values()) for row in rows]
    return {
        "census": len(rows),
        **{f"census_u{u:+d}" if u else "census_u0": sum(numbers) for u, numbers in from_state.items()},
        "census_h0=0": sum(numbers[0] for numbers in from_state.values()),
        "census_unordered": census.unordered(everyone),
        "census_errors": int(_wrong_of_any(everyone, *all_pairs(4)).sum()),
        "census_smallest_size": int(min(sizes)),
    }


def _setting(u: Any, w: Any, b_h: Any, v: Any, b_y: Any, h_0: Any) -> dict[str, Any]:
    return {"u": u[0, 0], "W": w.reshape(-1), "b_h": b_h, "v": v, "b_y": b_y, "h_0": h_0}


if __name__ == "__main__":
    sys.exit(command.command("binary_addition", Settings, main))
