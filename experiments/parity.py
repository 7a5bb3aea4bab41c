"""The XOR of a whole sequence by a network that takes the XOR of two bits, fed its own output (T1 to T5).

python -m experiments.parity
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from rich.console import Console
from rich.table import Table

from jaxrnn import command, plots, runfolder
from jaxrnn.demonstration import Shown, demonstrate
from jaxrnn.threshold import elman_rnn, int_to_bits, jordan_rnn, parity_params, parity_rnn, xor_net, xor_params

LONGEST = 16
EXAMPLE = (1, 0, 1, 1, 0, 0, 1, 1, 1, 0)
PAPER = "ECE1508 (Toronto, 2025), Assignment 4, Question 1"


@dataclass(frozen=True, kw_only=True)
class Settings(command.Settings):
    """Take the XOR of a sequence of bits by two hard-threshold units, step by step to look at.

    Then check both forms of the network, one that feeds back its output (Jordan) and one that feeds back its hidden
    state (Elman), on every sequence of up to 16 bits. Leaves tables, figures and result.json in the run folder.
    """


def main(name: str, settings: Settings) -> dict[str, Any]:
    """Show all of it, and leave a run folder; returns what its ``result.json`` says."""
    return demonstrate(name, settings, show)


def show(console: Console, out: Path) -> Shown:
    """The XOR network, an example step by step, and the proof: printed, and written to ``out``."""
    xor_errors = show_xor(console, out)
    show_example(console, out)
    checked = proof()
    answers = {
        "T1": (
            "Two hidden units and one output, each 1 just where what it adds up is above 0 (written σ): "
            "h_1 = σ(x + s), h_2 = σ(x + s - 1), y = σ(h_1 - h_2). The first unit says that at least one of the two "
            "bits is 1, the second that both are, and the output that the first says yes and the second no: just one "
            "is 1, which is XOR. With x + s - 0.5, x + s - 1.5 and h_1 - h_2 - 0.5 in their place no sum ever stands "
            f"on the threshold. Of the four pairs of bits {xor_errors} come out wrong, both forms together."
        ),
        "T2": (
            f"s[1] = 0, because x ⊕ 0 = x. Of all {checked['longest_sequences']:,} sequences of {LONGEST} bits, "
            f"{checked['first_errors']} have a first output that is not their first bit. With s[1] = 1 the first "
            "output would always be the other bit."
        ),
        "T3": (
            "s[t] = y[t-1]: the network is fed its own output of the step before. Then y[t] = x[t] ⊕ y[t-1], so that "
            f"y[T] is the XOR of all bits. Of all {checked['sequences']:,} sequences of 1 to {LONGEST} bits, "
            f"{checked['errors']} end with a wrong output. (The question's title says sum; the XOR is the sum "
            "modulo 2, its last binary digit.)"
        ),
        "T4": (
            "s[t] is the state, or memory, of the network. It stands for all inputs before, x[1] to x[t-1], of which "
            "one bit is enough however many they are, their XOR: of all steps of all sequences of "
            f"{LONGEST} bits, {checked['state_errors']} begin with another state. Here the state is the output fed "
            "back, so this is a Jordan network. An Elman network, which feeds back its hidden units, does the same "
            "with the recurrent weights W = [[1, -1], [1, -1]]: "
            f"{checked['differences']} of the {checked['longest_sequences']:,} sequences have a hidden state or an "
            "output that differs between the two."
        ),
        "T5": (
            "y[t] is the XOR of what has been read so far, x[1] ⊕ ... ⊕ x[t]: whether the number of ones up to step t "
            "is odd. It is the answer if the sequence ends there, and the state that the next step starts from. Of the "
            f"{checked['outputs']:,} outputs at all steps of all sequences of {LONGEST} bits, "
            f"{checked['output_errors']} are not that."
        ),
    }
    reference: list[runfolder.Reference] = [
        {"what": PAPER, "metric": "errors", "value": 0.0, "note": "what the question asks for; it prints no answer"}
    ]
    metrics = {"errors": checked["errors"], "xor_errors": xor_errors, **checked}
    return Shown(metrics, answers, reference, sum(leaf.size for leaf in xor_params()))


def show_xor(console: Console, out: Path) -> int:
    """The truth table of the XOR network with both thresholds, and its plane; returns how many rows are wrong."""
    x, s = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    h, y = (np.asarray(values) for values in xor_net(xor_params(), x, s))
    _print(console, "The XOR network", {"x": x, "s": s, "h_1": h[:, 0], "h_2": h[:, 1], "y": y})
    figure = plots.bits.xor_plane("XOR by two units: y = 1 between their lines")
    runfolder.save_figure(figure, out / "xor.png")
    _, y_float = xor_net(xor_params("float"), x, s)
    return int((y != x ^ s).sum() + (np.asarray(y_float) != x ^ s).sum())


def show_example(console: Console, out: Path) -> None:
    """Both forms on one sequence, step by step, as a table, ``trace.csv`` and ``trace.png``."""
    xs = np.array(EXAMPLE)[:, None]
    jordan, elman = xor_params(), parity_params()
    h_jordan, y_jordan = (np.asarray(values) for values in jordan_rnn(jordan, xs))
    h_elman, y_elman = (np.asarray(values) for values in elman_rnn(elman, xs))
    s = np.concatenate([np.asarray(jordan.s_1)[None], y_jordan[:-1]])
    before = np.concatenate([np.asarray(elman.h_0)[None], h_elman[:-1]]) @ np.asarray(elman.W).T
    columns = {
        "t": np.arange(1, len(xs) + 1),
        "x": xs[:, 0],
        "s": s,
        "h_1": h_jordan[:, 0],
        "h_2": h_jordan[:, 1],
        "y": y_jordan,
    }
    _print(console, "A sequence, step by step, in Jordan's form: s is the output before", columns)
    runfolder.write_csv(out / "trace.csv", [dict(zip(columns, row, strict=True)) for row in _rows(columns)])

    def groups(fed_back, h, y):
        states = {f"unit {unit + 1}": h[:, unit] for unit in range(2)}
        return {"": {"input x": xs[:, 0], **fed_back}, " ": states, "  ": {"output y": y}}

    panels = {
        "Jordan's form: the output is fed back, s(t) = y(t-1)": groups({"state s": s}, h_jordan, y_jordan),
        "Elman's form: the hidden state is fed back, W h(t-1)": groups(
            {f"W h, unit {unit + 1}": before[:, unit] for unit in range(2)}, h_elman, y_elman
        ),
    }
    runfolder.save_figure(plots.bits.steps(panels, "The XOR of all bits so far, y, by two units"), out / "trace.png")


def _print(console: Console, title: str, columns: Mapping[str, np.ndarray]) -> None:
    table = Table(*columns, title=title, title_justify="left")
    for row in _rows(columns):
        table.add_row(*map(str, row))
    console.print(table)


def _rows(columns: Mapping[str, np.ndarray]) -> list[tuple[int, ...]]:
    return list(zip(*(column.tolist() for column in columns.values()), strict=True))


def proof() -> dict[str, int]:
    """How many sequences of up to 16 bits there are, and how many mistakes on them.

    What a network does at a step depends on nothing later, and each shorter sequence is the beginning of a longer one:
    running all of the longest is running all.
    """
    xs = np.stack([int_to_bits(number, LONGEST) for number in range(2**LONGEST)])
    parity = np.cumsum(xs, axis=1) % 2
    wrong = np.zeros(xs.shape, bool)
    for form in ("jordan", "elman"):
        for thresholds in ("integer", "float"):
            wrong |= np.asarray(parity_rnn(xs, form=form, thresholds=thresholds)) != parity
    h_jordan, y_jordan = (np.asarray(values) for values in _jordan(xor_params(), xs[..., None]))
    h_elman, y_elman = (np.asarray(values) for values in _elman(parity_params(), xs[..., None]))
    state = np.concatenate([np.zeros((len(xs), 1), int), y_jordan[:, :-1]], axis=1)
    past = np.concatenate([np.zeros((len(xs), 1), int), parity[:, :-1]], axis=1)
    return {
        "sequences": 2 ** (LONGEST + 1) - 2,
        "longest_sequences": len(xs),
        "outputs": parity.size,
        # each beginning is shared by the longer sequences that start with it, but is one sequence
        "errors": sum(len(np.unique(xs[wrong[:, t], : t + 1], axis=0)) for t in range(LONGEST)),
        "output_errors": int(wrong.sum()),
        "first_errors": int((y_jordan[:, 0] != xs[:, 0]).sum()),
        "state_errors": int((state != past).sum()),
        "differences": int(((h_jordan != h_elman).any(axis=(1, 2)) | (y_jordan != y_elman).any(axis=1)).sum()),
    }


_jordan = jax.jit(jax.vmap(jordan_rnn, in_axes=(None, 0)))
_elman = jax.jit(jax.vmap(elman_rnn, in_axes=(None, 0)))


if __name__ == "__main__":
    sys.exit(command.command("parity", Settings, main))
