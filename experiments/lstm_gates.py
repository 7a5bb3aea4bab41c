"""What each gate of an LSTM is for: traces of networks that say palindromes, and each gate held at 1 (U6).

python -m experiments.lstm_gates [--length 10] [--seeds 5]
"""

import math
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import jax
import jax.numpy as jnp
import numpy as np
from rich.table import Table

from experiments.palindrome import TEST, PalindromeSettings, study_of
from experiments.palindromes import SOLVED
from jaxrnn import inference, plots, runfolder, theory
from jaxrnn.cells import LSTMCell
from jaxrnn.command import StepSettings, command, plain_console
from jaxrnn.data import palindromes
from jaxrnn.data.palindromes import DIGITS
from jaxrnn.errors import SettingsError, UserError
from jaxrnn.layers import Recurrent, stack
from jaxrnn.models import Classifier
from jaxrnn.optimisers import OptimiserName
from jaxrnn.study import Experiment, Study
from jaxrnn.sweeps import Finding, SweepSettings, Swept, conduct
from jaxrnn.words import median_percent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Hold = Literal["none", "i", "f", "g", "o"]
"""The gate that is held at 1."""

GATES: dict[Hold, str] = {"i": "input gate", "f": "forget gate", "g": "input modulation", "o": "output gate"}

TRACED = 250
"""How many of the test palindromes the gates are watched on."""

MEASURED = ("i", "f", "o", "g", "c")
"""Of which the metrics have the means, of their sizes."""

COST, LEARNED = 0.01, 0.9
"""A gate is needed without which the accuracy is lower by more than the one, in networks that come to the other."""


class HeldLSTMCell(LSTMCell):
    """An LSTM that has one of its gates, ``held``, at 1 in every unit at every step, or none of them.

    The weights of that gate stay, so that networks with any gate held start alike; nothing depends on them.
    """

    def __init__(self, in_features: int, features: int, *, held: Hold, **options: Any):
        super().__init__(in_features, features, **options)
        self.held = held

    def gates(self, a):
        gates = super().gates(a)
        return gates if self.held == "none" else gates | {self.held: jnp.ones_like(gates[self.held])}


@dataclass(frozen=True, kw_only=True)
class GateSettings(PalindromeSettings):
    """An LSTM on palindromes with one of its gates held at 1."""

    hold: Hold = "none"
    """The gate that is held at 1 from the start of training."""

    def check(self) -> None:
        super().check()
        if self.cell != "lstm":
            raise SettingsError(f"the gates are an LSTM's, and the cell is {self.cell}")


def study(settings: GateSettings, data: Any = None) -> Study:
    """One network with the gate held, trained on palindromes. Raises SettingsError."""
    settings.check()

    def make_model(rngs, hparams):
        cell = partial(HeldLSTMCell, held=settings.hold, forget_bias=hparams.forget_bias)
        layers = stack(cell, palindromes.features(settings.encoding), [settings.hidden], init=settings.init, rngs=rngs)
        return Classifier(layers, DIGITS, init=settings.init, rngs=rngs)

    return study_of(settings, make_model)


EXPERIMENT = Experiment("lstm_gates", GateSettings, study)


@dataclass(frozen=True, kw_only=True)
class Settings(SweepSettings, StepSettings):
    """What each gate of an LSTM is for: watch them in trained networks, and do without each of them.

    Trains LSTMs to say the last digit of a palindrome, which is its first, as they are and with each of input gate i,
    forget gate f, input modulation g and output gate o held at 1 from the start. Draws what the gates of the intact
    networks do at each step, and compares test accuracies: intact, with each gate held at 1 once trained, and trained
    with it held.
    """

    seeds: int = 5
    """How many networks to train of each kind: median and spread of every number come from them."""
    every: int = 100
    """Steps between two evaluations: an epoch of the history."""
    length: int = 10
    """Digits of a palindrome, the last one included."""
    hidden: int = 128
    """Hidden units."""
    batch: int = 128
    """Palindromes in a training step."""
    optimiser: OptimiserName = "rmsprop_torch"
    """The optimiser."""
    learning_rate: float = 1e-3
    """Its learning rate."""
    clip_norm: float = 10.0
    """Gradients with a larger global norm are scaled down to it."""

    @classmethod
    def quick_defaults(cls) -> Self:
        return cls(quick=True, seeds=2, width=2, length=5, hidden=32, steps=300, every=100, learning_rate=5e-3)


def main(name: str, settings: Settings) -> dict[str, Any] | None:
    """Train all, and leave a run folder; returns what its ``result.json`` says."""
    settings.check()
    points = [{"hold": hold} for hold in ("none", *GATES)]
    return conduct(name, settings, EXPERIMENT, points, lambda swept, out: find(settings, swept, out))


# --- what is measured -------------------------------------------------------------------------------------------------


def holding(model: Classifier, gate: Hold) -> Classifier:
    """The same network with this gate held at 1, and no other."""
    other = jax.tree.map(lambda leaf: leaf, model)
    cell_of(other).held = gate
    return other


def cell_of(model: Classifier) -> HeldLSTMCell:
    """The cell of a network with one layer of them."""
    (layer,) = model.layers.layers
    assert isinstance(layer, Recurrent) and isinstance(layer.cell, HeldLSTMCell)
    return layer.cell


def held_accuracies(models: Any, xs: Any, labels: Any, *, devices: int | None = None) -> dict[str, np.ndarray]:
    """The accuracy of every network with each gate held at 1, and with none: ``(runs,)`` by gate.

    ``models`` have a leading run axis; ``xs (n, t, d)`` and ``labels (n,)``.
    """
    holds: tuple[Hold, ...] = ("none", *GATES)

    def logits(model, x):
        return jnp.stack([holding(model, hold)(x[None])[0] for hold in holds])

    found = inference.accuracy(inference.over(logits, models, xs, devices=devices), np.asarray(labels))
    return dict(zip(holds, found.T, strict=True))


def traces(models: Any, xs: Any, *, devices: int | None = None) -> dict[str, np.ndarray]:
    """Gates and states of every network on every sequence ``(n, t, d)``: ``(runs, n, t, h)`` by letter."""
    return inference.over(lambda model, x: theory.gate_trace(cell_of(model), x), models, xs, devices=devices)


# --- what is said -----------------------------------------------------------------------------------------------------


def find(settings: Settings, swept: Swept, out: Path) -> Finding:
    """Draw traces and ablation, print the table, and answer the paper's question.

    Raises:
        UserError: no intact network came through.
    """
    held = {point["hold"]: number for number, point in enumerate(swept.points)}
    intact = swept.values(held["none"], "test_accuracy")
    sound = np.flatnonzero(np.isfinite(intact))
    if not sound.size:
        raise UserError(
            "no intact network was trained to its end with a finite loss: lower --learning-rate, leave out --halvings"
        )
    test = swept.group(held["none"]).study.evals["test"]
    assert isinstance(test, tuple)
    xs, labels = test
    models = jax.tree.map(lambda leaf: leaf[sound], swept.models(held["none"]))
    after: dict[str, np.ndarray] = {gate: np.full(len(intact), np.nan) for gate in GATES}
    for gate, accuracies in held_accuracies(models, xs, labels, devices=settings.devices).items():
        if gate != "none":
            after[gate][sound] = accuracies
    during: dict[str, np.ndarray] = {gate: swept.values(held[gate], "test_accuracy") for gate in GATES}
    seen = traces(models, xs[:TRACED], devices=settings.devices)
    by_step = {letter: np.abs(values).swapaxes(0, 2).reshape(len(xs[0]), -1) for letter, values in seen.items()}
    curves: dict[Hold, dict[float, list[float]]] = {
        hold: {epoch * settings.every: values for epoch, values in swept.curves(number, "validation_accuracy").items()}
        for hold, number in held.items()
    }

    def draw(figure, file):
        runfolder.save_figure(figure, out / file)

    task = f"palindromes of {settings.length} digits"
    draw(one_sequence(jax.tree.map(lambda leaf: leaf[0], models), xs[0]), "gates.png")
    title = f"What the gates do while {len(sound)} LSTM{'s' * (len(sound) > 1)} read {len(xs[:TRACED])} {task}"
    draw(plots.gates.over_time(by_step, title), "gates_over_time.png")
    ways = {"held at 1 once trained": after, "trained with it held at 1": during}
    draw(
        plots.gates.ablation(ways, intact, f"An LSTM without one of its gates, on {task}", chance=1 / DIGITS),
        "ablation.png",
    )
    named = {"intact" if hold == "none" else f"{hold} held at 1": curve for hold, curve in curves.items()}
    title = "Learning with one gate held at 1"
    draw(plots.sweeps.bands(named, title, "training step", "validation accuracy (%)", scale=100.0), "curves.png")

    plain_console().print(_table(intact, after, during))
    metrics: dict[str, Any] = {"intact_test_accuracy": intact}
    for gate in GATES:
        metrics |= {f"{gate}_held_test_accuracy": after[gate], f"{gate}_trained_held_test_accuracy": during[gate]}
    steps: dict[str, float] = {hold: learned_after(curve) for hold, curve in curves.items()}
    for hold, step in steps.items():
        metrics["intact_solved_at_step" if hold == "none" else f"{hold}_trained_held_solved_at_step"] = step
    for letter in MEASURED:
        ends = by_step[letter][0].mean(), by_step[letter][-1].mean()
        metrics |= {f"{letter}_at_first_digit": ends[0], f"{letter}_at_last_digit": ends[1]}
    return Finding(metrics=metrics, answers=answers(settings, intact, after, steps))


def one_sequence(model: Classifier, xs: Any) -> "Figure":
    """What a network does with one palindrome, one-hot ``(t, d)``, its units from the least forgetful one down."""
    trace = jax.device_get(theory.gate_trace(cell_of(model), xs))
    order = np.argsort(-trace["f"].mean(0))
    return plots.gates.maps(
        {letter: values[:, order] for letter, values in trace.items()},
        f"An LSTM reads {' '.join(map(str, xs.argmax(-1)))} and says {model(xs).argmax()} (units by mean forget gate)",
    )


def learned_after(curve: Mapping[float, Sequence[float]]) -> float:
    """The first place at which the median run has solved the task; infinity where there is none."""
    return min((place for place, runs in curve.items() if _middle(runs) >= SOLVED), default=math.inf)


def _table(intact: np.ndarray, after: Mapping[str, np.ndarray], during: Mapping[str, np.ndarray]) -> Table:
    table = Table(title="Test accuracy: median (lowest to highest) of the seeds", title_justify="left")
    table.add_column("held at 1")
    for column in ("once trained", "from the start"):
        table.add_column(column, justify="right")
    table.add_row("none", median_percent(intact), median_percent(intact))
    for gate, name in GATES.items():
        table.add_row(f"{name} {gate}", median_percent(after[gate]), median_percent(during[gate]))
    return table


def answers(
    settings: Settings,
    intact: np.ndarray,
    after: Mapping[str, np.ndarray],
    steps: Mapping[str, float],
) -> dict[str, str]:
    """UVA's question on the gates, with what was measured; ``steps`` are those after which the median run had solved
    the task."""
    taken = {hold: "never" if math.isinf(step) else f"{step:,.0f}" for hold, step in steps.items()}
    verdict = (
        _verdict(intact, after, steps)
        if _middle(intact) > LEARNED
        else "Nothing follows about the gates, as the intact networks have not learned the task."
    )
    return {
        "U6": (
            "The input modulation g is what a step offers to the cell: a tanh, as an offer needs a sign, is centred on "
            "0 and must not change the cell by more than 1. The three others are shares let through, so sigmoids, from "
            "0 (shut) to 1 (open): of g into the cell (input gate i), of the old cell state on to the next step "
            "(forget gate f), and of tanh(c) to the rest of the network (output gate o). "
            f"Trained networks are right on {median_percent(intact)} of {TEST:,} unseen palindromes of "
            f"{settings.length} digits. {verdict} The median network has solved the task after {taken['none']} steps, "
            f"trained with i held after {taken['i']}, f {taken['f']}, g {taken['g']}, o {taken['o']}."
        )
    }


def _middle(values: Any) -> float:
    return statistics.median(plots.style.finite(values) or [0.0])  # where no run came through, nothing was learned


def _verdict(intact: np.ndarray, after: Mapping[str, np.ndarray], steps: Mapping[str, float]) -> str:
    """What holding a gate does to trained networks, in the median, and to how long they learn where it is held."""
    needed = [gate for gate in GATES if _middle(after[gate]) < _middle(intact) - COST]
    spared = [gate for gate in GATES if gate not in needed]
    held = [f"{gate} at 1 leaves {100 * _middle(after[gate]):.1f} % (guessing: {1 / DIGITS:.0%})" for gate in needed]
    held += [f"{_listed(spared)} at 1 costs at most {COST:.0%}"] if spared else []
    found = f"In these networks, holding {' and holding '.join(held)}."
    ways = {
        "faster": [gate for gate in GATES if steps[gate] < steps["none"]],
        "more slowly": [gate for gate in GATES if steps[gate] > steps["none"]],
    }
    learning = [f"{how} where {_listed(gates)} is held from the start" for how, gates in ways.items() if gates]
    found += f" Networks learn {' and '.join(learning)}." if learning else ""
    return found + ("" if "f" in needed else " This task asks to keep one digit and to forget nothing.")


def _listed(gates: Sequence[str]) -> str:
    """``i, f or o``."""
    return " or ".join(filter(None, (", ".join(gates[:-1]), gates[-1])))


if __name__ == "__main__":
    sys.exit(command("lstm_gates", Settings, main))
