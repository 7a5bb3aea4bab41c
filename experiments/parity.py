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
    sequences = 2 ** (LONGEST + 1) - 2
    answers = {
        "T1": (
            "h_1 = σ(x + s), h_2 = σ(x + s - 1), y = σ(h_1 - h_2), with σ(a) = 1 just where a > 0; or, with thresholds "
            "that nothing ever stands on, h_1 = σ(x + s - 0.5), h_2 = σ(x + s - 1.5), y = σ(h_1 - h_2 - 0.5). "
            f"Both have {xor_errors} errors on the four pairs of bits in all."
        ),
        "T2": (
            "s[1] = 0, since x ⊕ 0 = x. With it the first output differs from the first input in "
            f"{checked['first_errors']} of {2**LONGEST:,} sequences; with s[1] = 1 it would be the opposite of it."
        ),
        "T3": (
            f"s[t] = y[t-1], the output before. The last output is then the XOR of the whole sequence: of all "
            f"{sequences:,} sequences of 1 to {LONGEST} bits, {checked['errors']} come out wrong, in either form and "
            "with either thresholds. It is the sum modulo 2, in spite of the question's title, which says sum."
        ),
        "T4": (
            "s[t] is the state, or memory, of the network; here it is the output fed back, which makes it a Jordan "
            "network. It stands for all that must be known of the past: the parity of x[1] to x[t-1], one bit, however "
            f"long the sequence ({checked['state_errors']} exceptions). Feeding back the two hidden units instead, "
            "with W = [[1, -1], [1, -1]], is the same network in Elman's form: hidden states or outputs of the "
            f"two differ anywhere in {checked['differences']} of {2**LONGEST:,} sequences of {LONGEST} bits."
        ),
        "T5": (
            "y[t] is the XOR of what has been read by then, x[1] ⊕ ... ⊕ x[t]: the parity so far, or the answer had "
            f"the sequence ended there. Of the {2**LONGEST * LONGEST:,} outputs at all steps of all sequences "
            f"of {LONGEST} bits, {checked['output_errors']} differ from the cumulative sum modulo 2."
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
    """How many mistakes there are on every sequence of up to 16 bits.

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
