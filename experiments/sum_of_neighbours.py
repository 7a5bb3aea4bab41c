"""An LSTM learns the sums of neighbours from three short sequences, and is asked for two others (NTU, question 3: N5).

python -m experiments.sum_of_neighbours [--seeds 8]
"""

import sys
from dataclasses import dataclass
from typing import Any, Self

import jax.numpy as jnp
import numpy as np
from flax import nnx
from rich.table import Table

from experiments import regression
from experiments.regression import Pairs, RegressionSettings, outputs_of, references
from jaxrnn import plots, runfolder
from jaxrnn.command import CellName, command, plain_console
from jaxrnn.data import Origin, neighbours
from jaxrnn.scan import unroll
from jaxrnn.study import Experiment, Outcome, Study
from jaxrnn.train import Fitted
from jaxrnn.typing import Array, Float, Init
from jaxrnn.words import NAMES, OPTIMISER_NAMES, median_range

SEQUENCES, STEPS = 1000, 100
"""How many random sequences of whole numbers the exact unit is tried on, and how long they are."""


@dataclass(frozen=True, kw_only=True)
class Settings(RegressionSettings):
    """An LSTM with a linear output at every step learns three pairs of sequences of NTU's tutorial.

    They are sums of neighbours, y(t) = x(t) + x(t-1). All are in every training step. Draws the learning curve, and
    what the networks then say to (1 2 3 4) and (4 5 6 7) beside the rule and the tutorial's own outputs.
    """

    cell: CellName = "lstm"
    """The recurrent cell."""
    hidden: int = 10
    """Hidden units."""
    init: Init = "pytorch"
    """Initialisation: PyTorch's, or this library's default."""
    learning_rate: float = 1e-3
    """Its learning rate."""

    @classmethod
    def quick_defaults(cls) -> Self:
        return cls(quick=True, seeds=2, steps=1000, every=50, learning_rate=1e-2)


def main(name: str, settings: Settings) -> dict[str, Any]:
    """Train, and leave a run folder; returns what its ``result.json`` says."""
    return regression.conduct(name, settings, study(settings), lambda outcome: show(settings, outcome))


def study(settings: Settings, data: Any = None) -> Study:
    """One network. Raises SettingsError."""
    settings.check()
    test = Pairs(neighbours.TEST_X, neighbours.rule(neighbours.TEST_X))
    printed = np.square(neighbours.PRINTED - test.y).mean()
    return regression.study_of(
        settings,
        Origin("sums of neighbours", "NTU's three pairs; tested on the two sequences that it asks for"),
        Pairs(neighbours.TRAIN_X, neighbours.TRAIN_Y),
        test,
        answers=lambda fitted, parameters: answers(settings, fitted, parameters),
        metrics=lambda fitted, parameters: metrics(settings, fitted),
        reference=references("the tutorial's own LSTM, test", {"test_mse": printed})
        + references("printed in the tutorial", by_step(neighbours.PRINTED)),
    )


EXPERIMENT = Experiment("sum_of_neighbours", Settings, study)


# --- one unit is enough -----------------------------------------------------------------------------------------------


class LinearUnit(nnx.Module):
    """One linear unit that keeps the last input, and an output that reads it before the step:

        h(t) = x(t),    y(t) = x(t) + h(t-1),    h(0) = 0

    It is the rule itself. Read after the step, as in an Elman network, it would not be: see `error_of_new_state`.
    """

    def __call__(self, carry: Array, x: Float[Array, "*b 1"]) -> tuple[Array, Float[Array, "*b 1"]]:
        return x, x + carry

    def initial_carry(self, batch_shape: tuple[int, ...]) -> Array:
        return jnp.zeros((*batch_shape, 1))


def error_of_unit(x: Float[np.ndarray, "n t 1"]) -> float:
    """By how much a `LinearUnit` misses the rule on these sequences, at most."""
    unit: Any = LinearUnit()  # a cell by what it does
    _, y = unroll(unit, jnp.asarray(x, float))
    return float(np.abs(np.asarray(y) - neighbours.rule(x)).max())


def error_of_new_state(x: Float[np.ndarray, "n t 1"], y: Float[np.ndarray, "n t 1"]) -> tuple[float, float]:
    """The lowest mean squared error of one linear unit that is read after the step, and its recurrent weight w:

        h(t) = u x(t) + w h(t-1) + b,    y(t) = v h(t) + c

    For any w that is a linear map of x(t) + w x(t-1) + w^2 x(t-2) + ..., of 1 + w + w^2 + ... (t terms), and of 1: the
    best one by least squares, the best w of thousandths from -2 to 2. To forget x(t-2) it must forget x(t-1) too.
    """
    steps = x.shape[1]
    best = (np.inf, 0.0)
    for w in np.linspace(-2, 2, 4001):
        powers = np.tril(w ** np.abs(np.subtract.outer(np.arange(steps), np.arange(steps))))
        history = x[..., 0] @ powers.T
        features = np.stack([history, np.broadcast_to(powers.sum(1), history.shape), np.ones_like(history)], -1)
        weights, *_ = np.linalg.lstsq(features.reshape(-1, 3), y.ravel())
        best = min(best, (float(np.square(features @ weights - y[..., 0]).mean()), float(w)))
    return best


# --- what is said -----------------------------------------------------------------------------------------------------


def show(settings: Settings, outcome: Outcome) -> None:
    """Draw and print what the networks say to the sequences asked for."""
    said = outputs_of(outcome.fitted, neighbours.TEST_X, settings.devices)[..., 0]
    rule, printed = neighbours.rule(neighbours.TEST_X)[..., 0], neighbours.PRINTED[..., 0]
    panels = {
        f"to {_listed(x)}": {"rule": rule[n], "runs": said[:, n], "other": printed[n]}
        for n, x in enumerate(neighbours.TEST_X[..., 0])
    }
    title = "What networks that learned three pairs say to others"
    figure = plots.regression.against_rule(panels, title, "output y(t)", other="the tutorial's LSTM")
    runfolder.save_figure(figure, outcome.out / "answers.png")

    table = Table(title="Outputs; of the networks the median (lowest to highest)", title_justify="left")
    table.add_column("input")
    for column in ("step", "the rule", "the tutorial's", "the networks"):
        table.add_column(column, justify="right")
    for n, x in enumerate(neighbours.TEST_X[..., 0]):
        for t in range(len(x)):
            row = (f"{rule[n, t]:g}", f"{printed[n, t]:.4f}", median_range(said[:, n, t]))
            table.add_row("" if t else _listed(x), str(t + 1), *row)
        errors = [np.square(each - rule[n]).mean(-1) for each in (printed[n], said[:, n])]
        table.add_row("", "error", "0", *map(median_range, errors))
        table.add_section()
    plain_console().print(table)


def _listed(numbers: Any) -> str:
    return f"({' '.join(f'{number:g}' for number in numbers)})"


def by_step(said: Float[np.ndarray, "... 2 4 1"]) -> dict[str, Any]:
    """What is said to the two sequences asked for, as metrics: ``y_1234_3`` is the third output to (1 2 3 4)."""
    inputs = neighbours.TEST_X[..., 0]
    names = ["".join(f"{number:g}" for number in x) for x in inputs]
    return {f"y_{name}_{t + 1}": said[..., n, t, 0] for n, name in enumerate(names) for t in range(inputs.shape[1])}


def metrics(settings: Settings, fitted: Fitted) -> dict[str, Any]:
    """What the networks say step by step, and by how much one linear unit is wrong."""
    drawn = np.random.default_rng(settings.seed).integers(-100, 101, (SEQUENCES, STEPS, 1)).astype(float)
    return {
        **by_step(outputs_of(fitted, neighbours.TEST_X, settings.devices)),
        "unit_error": error_of_unit(np.concatenate([neighbours.TRAIN_X, neighbours.TEST_X])),
        "unit_error_random": error_of_unit(drawn),
        "unit_read_after_mse": error_of_new_state(neighbours.TRAIN_X, neighbours.TRAIN_Y)[0],
    }


def answers(settings: Settings, fitted: Fitted, parameters: int) -> dict[str, str]:
    """NTU's question 3, for the networks really trained."""
    trained, tested = (fitted.metrics[f"{part}_mse"] for part in ("train", "test"))
    runs = int(np.isfinite(trained).sum())
    if not runs:
        return {"N5": "No network kept a finite loss."}
    found, rule = metrics(settings, fitted), neighbours.rule(neighbours.TEST_X)
    said = np.nanmedian([values for name, values in found.items() if name.startswith("y_")], -1)
    said = said.round(2).reshape(rule.shape)
    (x_1, x_2), (said_1, said_2), (rule_1, rule_2), (printed_1, printed_2) = (
        map(_listed, values[..., 0]) for values in (neighbours.TEST_X, said, rule, neighbours.PRINTED)
    )
    return {
        "N5": (
            f"In {settings.steps:,} steps of {OPTIMISER_NAMES[settings.optimiser]} (learning rate "
            f"{settings.learning_rate:g}) on the three pairs, the mean squared error of {runs} "
            f"network{'s' * (runs > 1)} of {settings.hidden} units ({NAMES[settings.cell]}, {parameters} parameters) "
            f"with a linear output comes down to (median, lowest to highest) {median_range(trained)}. To {x_1} they "
            f"say {said_1} (medians), where the tutorial prints {printed_1}, and to {x_2} they say {said_2}, where the "
            f"tutorial prints {printed_2}. In all twelve training outputs an input and the one before it are added up, "
            f"by which rule {rule_1} and {rule_2} are right. From those the networks are away by a mean squared error "
            f"of {median_range(tested)}, what the tutorial prints by "
            f"{np.square(neighbours.PRINTED - rule).mean():.4g}: other rules fit three short pairs as well. One linear "
            f"unit that keeps the last input is enough for the rule (largest error: {found['unit_error']:g}), though "
            "not where the output reads it after the step, as in an Elman network (mean squared error: "
            f"{found['unit_read_after_mse']:.3f})."
        )
    }


if __name__ == "__main__":
    sys.exit(command("sum_of_neighbours", Settings, main))
