"""How long a network can keep a digit: accuracy on palindromes against their length, RNN and LSTM (U1, U3, U4, U8).

python -m experiments.palindromes [--lengths 5 10 20 30] [--seeds 5]
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from rich.table import Table

from experiments.palindrome import PALINDROME, SOLVED, TEST, solved_at
from jaxrnn import plots, runfolder
from jaxrnn.command import CellName, StepSettings, command, plain_console
from jaxrnn.data.palindromes import Encoding, held_out_count
from jaxrnn.optimisers import OptimiserName
from jaxrnn.sweeps import Finding, Point, SweepSettings, Swept, conduct
from jaxrnn.sweeps.grid import combinations
from jaxrnn.words import NAMES, OPTIMISER_NAMES, median_percent

EXPERIMENT = PALINDROME


@dataclass(frozen=True, kw_only=True)
class Settings(SweepSettings, StepSettings):
    """How far apart two digits can be and a network still say the one from the other: RNN against LSTM.

    A network reads all digits of a palindrome but the last, and says the last, which is the first. Trains every cell
    on every length over several seeds, with a held-out tenth of all palindromes to choose the best checkpoint and to
    test it, and draws accuracy against length: of the best checkpoint, and of the last step.
    """

    seeds: int = 5
    """How many networks to train of each kind: median and spread of every number come from them."""
    full: bool = False
    """The large study: lengths 5 to 40, both encodings, also the GRU and the LSTM with a forget bias of 1, and three
    learning rates, of which each kind shows its best by validation. Hours."""
    lengths: tuple[int, ...] = ()
    """Digits of the palindromes; 5 10 20 30 where not given."""
    cells: tuple[CellName, ...] = ()
    """Recurrent cells; elman lstm where not given."""
    encodings: tuple[Encoding, ...] = ()
    """onehot, scalar or both: how a digit is given to the network; onehot where not given."""
    learning_rates: tuple[float, ...] = ()
    """0.001 where not given."""
    hidden: int = 128
    """Hidden units."""
    batch: int = 128
    """Palindromes in a training step."""
    optimiser: OptimiserName = "rmsprop_torch"
    """The optimiser."""
    clip_norm: float = 10.0
    """Gradients with a larger global norm are scaled down to it."""

    @classmethod
    def quick_defaults(cls) -> Self:
        return cls(quick=True, lengths=(5,), seeds=2, width=2, hidden=32, steps=200, every=50, learning_rates=(5e-3,))


def main(name: str, settings: Settings) -> dict[str, Any] | None:
    """Train all, and leave a run folder; returns what its ``result.json`` says."""
    settings.check()
    return conduct(name, settings, EXPERIMENT, points(settings), lambda swept, out: find(settings, swept, out))


def points(settings: Settings) -> list[Point]:
    """Every kind of network, length and learning rate that the settings ask for."""
    full = settings.full
    found = combinations(
        {
            "encoding": list(settings.encodings or (("onehot", "scalar") if full else ("onehot",))),
            "cell": list(settings.cells or (("elman", "gru", "lstm") if full else ("elman", "lstm"))),
            "length": list(settings.lengths or ((5, 10, 15, 20, 25, 30, 35, 40) if full else (5, 10, 20, 30))),
            "forget_bias": [None, 1.0] if full else [None],
            "learning_rate": list(settings.learning_rates or ((3e-4, 1e-3, 3e-3) if full else (1e-3,))),
        }
    )
    return [point for point in found if point["forget_bias"] is None or point["cell"] == "lstm"]


def kind(point: Point) -> str:
    """What a point's network is called: all of it but its length and learning rate."""
    bias = "" if point["forget_bias"] is None else f", forget bias {point['forget_bias']:g}"
    return f"{NAMES[point['cell']]}{bias}" + (", scalar" if point["encoding"] == "scalar" else "")


def chosen(swept: Swept) -> dict[str, dict[int, int]]:
    """Of every kind of network and length, the point with the best learning rate by validation."""
    found: dict[str, dict[int, int]] = {}
    for number in sorted(swept.ranking(), key=lambda number: swept.points[number]["length"]):
        point = swept.points[number]
        found.setdefault(kind(point), {}).setdefault(point["length"], number)
    return found


def find(settings: Settings, swept: Swept, out: Path) -> Finding:
    """Draw accuracy against length and the learning curves, print the table, and answer the paper's questions."""
    best = chosen(swept)
    order = list(dict.fromkeys(kind(point) for point in swept.points))
    best = {name: best[name] for name in order}
    panels = {
        title: {
            name: {length: swept.values(number, metric) for length, number in lengths.items()}
            for name, lengths in best.items()
        }
        for title, metric in (("best checkpoint", "test_accuracy"), ("last step", "last_test_accuracy"))
    }
    budget = f"at most {settings.steps:,} steps of {settings.batch} palindromes, {settings.seeds} seeds"
    figure = plots.sweeps.against(
        panels,
        f"Saying a palindrome's last digit: {budget}",
        "length of the palindrome",
        "test accuracy (%)",
        chance=0.1,
    )
    runfolder.save_figure(figure, out / "accuracy.png")
    curves = {
        f"{name}, T = {length}": {
            epoch * settings.every: values for epoch, values in swept.curves(number, "validation_accuracy").items()
        }
        for name, lengths in best.items()
        for length, number in lengths.items()
    }
    figure = plots.sweeps.bands(curves, "What training brings", "training step", "validation accuracy (%)", scale=100.0)
    runfolder.save_figure(figure, out / "curves.png")

    solved = {
        name: {length: solved_at(swept, number, settings.every) for length, number in lengths.items()}
        for name, lengths in best.items()
    }
    plain_console().print(_table(swept, best, solved))
    metrics: dict[str, Any] = {f"held_out_{length}": held_out_count(length) for length in _lengths(swept)}
    for name, lengths in best.items():
        for length, number in lengths.items():
            prefix = f"{_key(swept.points[number])}_{length}"
            metrics |= {
                f"{prefix}_test_accuracy": swept.values(number, "test_accuracy"),
                f"{prefix}_last_test_accuracy": swept.values(number, "last_test_accuracy"),
                f"{prefix}_solved_at_step": solved[name][length],
            }
    return Finding(metrics=metrics, answers=answers(settings, swept, best, solved))


def _key(point: Point) -> str:
    bias = "" if point["forget_bias"] is None else f"_forget_bias_{point['forget_bias']:g}"
    return f"{point['cell']}{bias}_{point['encoding']}"


def _lengths(swept: Swept) -> list[int]:
    return sorted({point["length"] for point in swept.points})


def _steps(solved: np.ndarray) -> str:
    """The median step of the runs that solved their length, and how many did where not all."""
    finite = solved[np.isfinite(solved)]
    if not finite.size:
        return "none"
    return f"{np.median(finite):,.0f}" + (f" ({finite.size} of {solved.size})" if finite.size < solved.size else "")


def _table(
    swept: Swept, best: Mapping[str, Mapping[int, int]], solved: Mapping[str, Mapping[int, np.ndarray]]
) -> Table:
    table = Table(title="Test accuracy: median (lowest to highest) of the seeds", title_justify="left")
    for column in ("network", "length", "learning rate", "best checkpoint", "last step", "solved at step"):
        table.add_column(column, justify="left" if column == "network" else "right")
    for name, lengths in best.items():
        for length, number in lengths.items():
            table.add_row(
                name,
                str(length),
                f"{swept.points[number]['learning_rate']:g}",
                median_percent(swept.values(number, "test_accuracy")),
                median_percent(swept.values(number, "last_test_accuracy")),
                _steps(solved[name][length]),
            )
        table.add_section()
    return table


def answers(
    settings: Settings,
    swept: Swept,
    best: Mapping[str, Mapping[int, int]],
    solved: Mapping[str, Mapping[int, np.ndarray]],
) -> dict[str, str]:
    """UVA's questions about the task and both networks, with what was measured."""

    def accuracies(names: Sequence[str]) -> str:
        return "; ".join(
            f"{name} "
            + ", ".join(
                f"{median_percent(swept.values(number, 'test_accuracy'))} at T = {length}"
                for length, number in best[name].items()
            )
            for name in names
        )

    def solved_by(name: str) -> str:
        return f"{name} " + ", ".join(
            f"{_count(runs)} of {runs.size} at T = {length}" for length, runs in solved[name].items()
        )

    def of(*cells: CellName) -> list[str]:
        return [name for name, lengths in best.items() if swept.points[next(iter(lengths.values()))]["cell"] in cells]

    rates = sorted({point["learning_rate"] for point in swept.points})
    rate = f"at {', '.join(f'{rate:g}' for rate in rates)}"
    rate += " (each network at its best by validation)" if len(rates) > 1 else ""
    until = f'for at most {settings.steps:,} steps, which stand for "until convergence"'
    shortest = _lengths(swept)[0]
    found = {
        "U1": (
            "A palindrome of T digits is a random half of ceil(T/2) digits (a leading zero is allowed) and its mirror "
            "image; the first T - 1 digits are the input, and the last one, which is the first again, is the target. "
            "Batches are drawn anew in every training step. There are only 10^ceil(T/2) palindromes, so a tenth of "
            "them, those whose half adds up to a multiple of ten, is never trained on: a network that had learned "
            f"strings by heart would fail on them. The networks are tested on {TEST:,} drawn from these, of which "
            f"there are {held_out_count(shortest):,} different ones at T = {shortest}. Guessing is right in 10 %."
        )
    }
    if "Elman" in best:
        least, number = next(iter(best["Elman"].items()))
        found["U3"] = (
            "At each step h(t) = tanh(W_hx x(t) + W_hh h(t-1) + b_h), h(0) = 0, and after the last digit read "
            "p = W_ph h + b_p, whose softmax says the missing one; the weights are plain arrays, a scan is the loop, "
            f"and automatic differentiation the backward pass. {_biases('equation (1)')} It is trained by "
            f"{OPTIMISER_NAMES[settings.optimiser]} {rate}, with {settings.hidden} units, batches of {settings.batch} "
            f"and gradients clipped to a norm of {settings.clip_norm:g}. At T = {least} its best checkpoint by "
            f"validation is right on {median_percent(swept.values(number, 'test_accuracy'))} of the test palindromes, "
            f"in the median (lowest to highest) of {settings.seeds} seeds."
        )
    if plain := of("elman", "elman_relu", "jordan"):
        partly = {length for name in plain for length, runs in solved[name].items() if 0 < _count(runs) < runs.size}
        at = ", ".join(map(str, sorted(partly)))
        luck = f" Whether they do depends on the seed, that is on where a run starts, at T = {at}." if partly else ""
        found["U4"] = (
            f"Each network is trained {until}. Its best checkpoint is right on so many test palindromes, in the median "
            f"(lowest to highest) of {settings.seeds} seeds: {accuracies(plain)}. So many runs solve their length, "
            f"that is, are right on {SOLVED:.1%} of the validation palindromes: {'; '.join(map(solved_by, plain))}."
            f"{luck} The first digit has to survive the same matrix and the same activation at each of the steps "
            "between, and so has the gradient on its way back."
        )
    if lstm := of("lstm"):
        adjusted = f"by {OPTIMISER_NAMES[settings.optimiser]} {rate}" + ("" if len(rates) > 1 else " at every length")
        found["U8"] = (
            "g, i, f and o are computed from x(t) and h(t-1) by equations (4) to (7), c(t) = g i + c(t-1) f, "
            "h(t) = tanh(c(t)) o, p = W_ph h + b_p; the weights are plain arrays, a scan is the loop. "
            f"{_biases('each equation')} Training is that of the plain network, {adjusted}, {until}; the best "
            "checkpoints are right on so many test palindromes, median (lowest to highest): "
            f"{accuracies([*lstm, *of('gru')])}.{_compared(settings, solved)}"
        )
    return found


def _biases(where: str) -> str:
    return f"(The code has two biases where {where} has one; only their sum matters.)"


def _count(solved: np.ndarray) -> int:
    """How many runs solved their length."""
    return int(np.isfinite(solved).sum())


def _compared(settings: Settings, solved: Mapping[str, Mapping[int, np.ndarray]]) -> str:
    """The LSTM against the Elman network, by how many runs solve a length, and why."""
    if not {"Elman", "LSTM"} <= set(solved):
        return ""
    pairs = {
        length: (_count(runs), _count(solved["Elman"][length]))
        for length, runs in solved["LSTM"].items()
        if length in solved["Elman"]
    }
    lengths = {
        "more LSTMs than plain networks": [length for length, (lstm, elman) in pairs.items() if lstm > elman],
        "fewer LSTMs": [length for length, (lstm, elman) in pairs.items() if lstm < elman],
        "as many of both": [length for length, (lstm, elman) in pairs.items() if lstm == elman],
    }
    verdict = ", ".join(f"{what} at T = {' and '.join(map(str, of))}" for what, of in lengths.items() if of)
    said = (
        f" A length is solved ({SOLVED:.1%} right) by {verdict}. An LSTM can keep a digit longer, as its cell state is "
        "carried on by addition, so with a forget gate near one neither the digit nor the gradient need fade, where "
        "the plain network multiplies by its matrix and squashes at every step."
    )
    if not (unsolved := [length for length, (lstm, _) in pairs.items() if lstm < settings.seeds]):
        return said
    longest = max(unsolved)
    return (
        f"{said} But it has to learn to hold that gate open: near a half, where it begins, 2^-{longest - 2} of what "
        f"the first of {longest} digits put into the cell is left at the last one read."
    )


if __name__ == "__main__":
    sys.exit(command("palindromes", Settings, main))
