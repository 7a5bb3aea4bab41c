"""How long a network can keep a digit: accuracy on palindromes against their length, RNN and LSTM (U1, U3, U4, U8).

python -m experiments.palindromes [--lengths 5 10 20 30] [--seeds 5]
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from rich.console import Console
from rich.table import Table

from experiments.palindrome import NAMES, PALINDROME, SOLVED, TEST, solved_at
from jaxrnn import plots, runfolder
from jaxrnn.command import CellName, StepSettings, command
from jaxrnn.data.palindromes import Encoding
from jaxrnn.optimisers import OptimiserName
from jaxrnn.sweeps import Finding, Point, SweepSettings, Swept, conduct
from jaxrnn.sweeps.grid import combinations
from jaxrnn.words import median_percent

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
    Console().print(_table(swept, best, solved))
    metrics: dict[str, Any] = {}
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

    def accuracies(name: str, metric: str = "test_accuracy") -> str:
        return ", ".join(
            f"{median_percent(swept.values(number, metric))} at T = {length}" for length, number in best[name].items()
        )

    def of(cells: Sequence[str]) -> list[str]:
        return [name for name, lengths in best.items() if swept.points[next(iter(lengths.values()))]["cell"] in cells]

    budget = (
        f"{settings.optimiser} with batches of {settings.batch}, {settings.hidden} units, gradients clipped to "
        f"{settings.clip_norm:g}, and at most {settings.steps:,} steps, over {settings.seeds} seeds"
    )
    shortest = min(length for lengths in best.values() for length in lengths)
    found = {
        "U1": (
            "A palindrome of T digits is a random half of ceil(T/2) digits and its mirror image; the first T - 1 "
            "digits are the input and the last one, which is the first again, is the target. Batches are drawn in the "
            "compiled training step. A tenth of all palindromes (those whose half adds up to a multiple of ten) is "
            f"never trained on, and the networks are tested on {TEST:,} of them, so a network that had learned strings "
            "by heart would fail; guessing is right in 10 %."
        )
    }
    if plain := of(["elman", "elman_relu", "jordan"]):
        at_shortest = "; ".join(
            f"{name}: {median_percent(swept.values(best[name][shortest]))}" for name in plain if shortest in best[name]
        )
        found["U3"] = (
            "The network is h(t) = tanh(W_hx x(t) + W_hh h(t-1) + b), p(T) = W_ph h(T) + b, one step of it written out "
            f"and unrolled by a scan, trained by {budget}. At T = {shortest}: {at_shortest} of the validation "
            "palindromes are right (median and range of the best checkpoints)."
        )
        at_best = "; ".join(f"{name}: {accuracies(name)}" for name in plain)
        at_last = "; ".join(f"{name}: {accuracies(name, 'last_test_accuracy')}" for name in plain)
        found["U4"] = (
            f"Median (lowest to highest) test accuracy of the best checkpoints by length: {at_best}. At the last step: "
            f"{at_last}. The first digit has to survive T - 1 applications of one matrix and a squashing function; the "
            "longer, the less the early gradient says, and the more a run depends on its seed."
        )
    if gated := of(["lstm", "gru"]):
        at_best = "; ".join(f"{name}: {accuracies(name)}" for name in gated)
        found["U8"] = f"By {budget}: {at_best}. {_compared(best, solved)}"
    return found


def _compared(best: Mapping[str, Mapping[int, int]], solved: Mapping[str, Mapping[int, np.ndarray]]) -> str:
    """The LSTM against the Elman network, length by length."""
    if not {"Elman", "LSTM"} <= set(best):
        return ""
    words, longest = [], max(best["LSTM"])
    for length in sorted(set(best["Elman"]) & set(best["LSTM"])):
        lstm, elman = solved["LSTM"][length], solved["Elman"][length]
        counts = int(np.isfinite(lstm).sum()), int(np.isfinite(elman).sum())
        steps = f"median step {_steps(lstm)} and {_steps(elman)}"
        words.append(f"T = {length}: {counts[0]} LSTM and {counts[1]} Elman runs solve it ({steps})")
    return (
        f"Against the Elman network, solved meaning a validation accuracy of {SOLVED:.1%}: {'; '.join(words)}. The "
        "LSTM's cell state is carried on by addition, so with a forget gate near one its gradient need not vanish; but "
        "it has to learn that first. A forget gate near a half, as without a forget bias, leaves 2^-(T-1) of the first "
        f"digit in the cell at the end, {2.0 ** (1 - longest):.0e} at T = {longest}, and a budget of steps can end "
        "before the network has found it."
    )


if __name__ == "__main__":
    sys.exit(command("palindromes", Settings, main))
