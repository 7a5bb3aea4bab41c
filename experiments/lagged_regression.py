"""An Elman network learns outputs that depend on inputs up to three steps back (NTU, question 2: N3, N4).

python -m experiments.lagged_regression [--seeds 8]
"""

import sys
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
from rich.table import Table

from experiments import regression
from experiments.regression import Pairs, RegressionSettings, middle_run, outputs_of, references
from jaxrnn import plots, runfolder
from jaxrnn.command import command, plain_console
from jaxrnn.data import Origin, lagged
from jaxrnn.runfolder import Reference
from jaxrnn.study import Experiment, Outcome, Study
from jaxrnn.train import Fitted
from jaxrnn.typing import Bool, Float
from jaxrnn.words import NAMES, OPTIMISER_NAMES, median_range

FRESH_SEED = 11
"""The seed of the sequences that are never trained on."""

LEARNED = 3
"""An output is learned where its error is at most so many times the noise floor."""

OUTPUTS = ("y1", "y2")


@dataclass(frozen=True, kw_only=True)
class Settings(RegressionSettings):
    """A recurrent network with a linear output at every step learns y1(t) = 5 x1(t) - 0.2 x3(t-1) + noise and
    y2(t) = 25 x2(t-1) x3(t-3) + noise.

    Trains on the eight sequences of NTU's tutorial, all of them in every step, and tests on eight fresh ones. Draws the
    learning curve, the true outputs and the predictions, and sets the errors beside the noise floor, the mean, and the
    best linear map of the last four inputs.
    """

    mask_warmup: bool = False
    """Leave out of loss and errors the outputs that are noise alone, because their rule reads what there is not yet."""

    @classmethod
    def quick_defaults(cls) -> Self:
        return cls(quick=True, seeds=2, steps=600, every=50, learning_rate=2e-2)


class Row(NamedTuple):
    """What one way to foretell the outputs comes to: mean squared errors ``(2,)``, one for each output."""

    train: Float[np.ndarray, "2"]
    test: Float[np.ndarray, "2"]


def main(name: str, settings: Settings) -> dict[str, Any]:
    """Train, and leave a run folder; returns what its ``result.json`` says."""
    levels = baselines(*sequences(), counted_of(settings))
    return regression.conduct(name, settings, study(settings), lambda outcome: show(settings, levels, outcome))


def sequences() -> tuple[Pairs, Pairs]:
    """The tutorial's sequences, and fresh ones."""
    return Pairs(*lagged.draw()), Pairs(*lagged.draw(FRESH_SEED))


def study(settings: Settings, data: Any = None) -> Study:
    """One network. Raises SettingsError."""
    settings.check()
    train, test = sequences()
    counted = counted_of(settings)
    levels = baselines(train, test, counted)
    return regression.study_of(
        settings,
        Origin("lagged sequences", f"NTU's, of NumPy's seed {lagged.SEED}; tested on those of seed {FRESH_SEED}"),
        train,
        test,
        counted=counted if settings.mask_warmup else None,
        answers=lambda fitted, parameters: answers(settings, levels, fitted, parameters),
        metrics=lambda fitted, parameters: {"input_sum": train.x.sum(), "output_sum": train.y.sum()},
        reference=[row for what, level in levels.items() for row in _references(what, level)],
    )


EXPERIMENT = Experiment("lagged_regression", Settings, study)


# --- what the networks stand beside -----------------------------------------------------------------------------------


def counted_of(settings: Settings) -> Bool[np.ndarray, "t 2"]:
    """The outputs that count in loss and errors."""
    ruled = lagged.ruled()
    return ruled if settings.mask_warmup else np.ones_like(ruled)


def baselines(train: Pairs, test: Pairs, counted: Bool[np.ndarray, "t 2"]) -> dict[str, Row]:
    """Without a network: knowing the rule, always the mean, and the best linear map of the inputs of the last four
    steps (0 where there are none yet); what is fitted is fitted to the training sequences."""
    means = [train.y[:, counted[:, k], k].mean() for k in range(2)]
    weights = [linear_map(train, k, counted[:, k]) for k in range(2)]

    def row(foretell):
        return Row(*(squared_errors(foretell(pairs.x), pairs.y, counted) for pairs in (train, test)))

    return {
        "noise floor": row(lagged.rule),
        "mean": row(lambda x: np.broadcast_to(means, (*x.shape[:2], 2))),
        "linear map of lags 0 to 3": row(lambda x: np.stack([lag_features(x) @ each for each in weights], -1)),
    }


def lag_features(x: Float[np.ndarray, "n t d"], lags: int = 3) -> Float[np.ndarray, "n t f"]:
    """At every step the inputs of that and the ``lags`` steps before, 0 where there are none yet, and a 1."""
    t = x.shape[1]
    delayed = [np.pad(x, ((0, 0), (lag, 0), (0, 0)))[:, :t] for lag in range(lags + 1)]
    return np.concatenate([*delayed, np.ones((*x.shape[:2], 1))], -1)


def linear_map(pairs: Pairs, output: int, steps: Bool[np.ndarray, "t"]) -> Float[np.ndarray, "f"]:
    """The weights of the best linear map of `lag_features` to an output, over these steps, by least squares."""
    features = lag_features(pairs.x)[:, steps]
    weights, *_ = np.linalg.lstsq(features.reshape(-1, features.shape[-1]), pairs.y[:, steps, output].ravel())
    return weights


def squared_errors(
    said: Float[np.ndarray, "n t 2"], y: Float[np.ndarray, "n t 2"], counted: Bool[np.ndarray, "t 2"]
) -> Float[np.ndarray, "2"]:
    """The mean squared error of each output over the sequences and the steps that count."""
    return np.square(y - said).mean((0, 1), where=counted)


# --- what is said -----------------------------------------------------------------------------------------------------


def show(settings: Settings, levels: dict[str, Row], outcome: Outcome) -> None:
    """Draw the true outputs, and beside them the run of the median training error; print the errors of all."""
    train, _ = sequences()
    errors = outcome.fitted.metrics["train_mse"]
    run = middle_run(errors)
    said = outputs_of(outcome.fitted, train.x, settings.devices)[run]
    of = " by the median run" if settings.seeds > 1 else ""
    for k, output in enumerate(OUTPUTS):
        figure = plots.regression.sequences(train.y[..., k], f"{output} of NTU's training sequences", output)
        runfolder.save_figure(figure, outcome.out / f"truth_{output}.png")
        error = outcome.fitted.metrics[f"train_mse_{k + 1}"][run]
        title = f"{output} and its prediction{of}, mean squared error {error:.3g}"
        figure = plots.regression.sequences(train.y[..., k], title, output, prediction=said[..., k])
        runfolder.save_figure(figure, outcome.out / f"prediction_{output}.png")
    plain_console().print(_table(levels, outcome.fitted))


def _table(levels: dict[str, Row], fitted: Fitted) -> Table:
    table = Table(title="Mean squared errors; of the networks the median (lowest to highest)", title_justify="left")
    table.add_column("sequences")
    for what in ("output", *levels, "the networks", "the best"):
        table.add_column(what, justify="right")
    best = int(np.nanargmin(fitted.metrics["train_mse"]))
    for part, sequences in (("train", "training"), ("test", "fresh")):
        for k, output in enumerate((*OUTPUTS, "mean")):
            errors = [getattr(row, part) for row in levels.values()]
            known = [f"{each[k] if output != 'mean' else each.mean():.4g}" for each in errors]
            found = fitted.metrics[f"{part}_mse" + (f"_{k + 1}" if output != "mean" else "")]
            table.add_row("" if k else sequences, output, *known, median_range(found), f"{found[best]:.4g}")
        table.add_section()
    return table


def _references(what: str, row: Row) -> list[Reference]:
    """Of the fresh sequences each output alone: the mean of both would be a second line beside the training one's."""
    train = {"train_mse": row.train.mean(), "train_mse_1": row.train[0], "train_mse_2": row.train[1]}
    return references(what, train) + references(
        f"{what}, fresh sequences", {"test_mse_1": row.test[0], "test_mse_2": row.test[1]}
    )


def answers(settings: Settings, levels: dict[str, Row], fitted: Fitted, parameters: int) -> dict[str, str]:
    """NTU's question 2, for the data and the networks really used."""
    (x, y), _ = sequences()
    ruled = np.broadcast_to(lagged.ruled(), y.shape)
    floor, mean, linear = levels.values()
    metrics = fitted.metrics
    learned = [metrics[f"train_mse_{k + 1}"] <= LEARNED * floor.train[k] for k in range(2)]
    runs = int(np.isfinite(metrics["train_mse"]).sum())
    return {
        "N3": (
            f"{len(x)} sequences of {x.shape[1]} steps with {x.shape[2]} inputs each, drawn uniformly between 0 and 1, "
            "and two outputs by the two rules, with noise of its own added to each. They are drawn as the tutorial's "
            f"code draws them (NumPy's legacy generator, seed {lagged.SEED}, the inputs before the noise), and so are "
            f"its very numbers: the inputs add up to {x.sum():.10f}, the outputs to {y.sum():.10f}. At the first steps "
            f"there is no x(t-1) or x(t-3) for the rules to read: as in the tutorial, {(~ruled)[..., 0].sum()} values "
            f"of y1 and {(~ruled)[..., 1].sum()} of y2 are noise alone. Whoever knows the rules is left with the "
            f"noise, a mean squared error of {floor.train.mean():.6f}."
        ),
        "N4": (
            f"In {settings.steps:,} steps of {OPTIMISER_NAMES[settings.optimiser]} (learning rate "
            f"{settings.learning_rate:g}), each of them on all sequences, the mean squared error of {runs} "
            f"network{'s' * (runs > 1)} of {settings.hidden} hidden units ({NAMES[settings.cell]}, {parameters} "
            f"parameters) with two linear outputs comes down to (median, lowest to highest) "
            f"{median_range(metrics['train_mse'])}: {median_range(metrics['train_mse_1'])} for y1 and "
            f"{median_range(metrics['train_mse_2'])} for y2. On {lagged.SEQUENCES} fresh sequences it is "
            f"{median_range(metrics['test_mse'])}. Always to say the mean gives {mean.train.mean():.4g}, the best "
            f"linear map of the inputs of the last four steps {linear.train.mean():.4g}, and the rules themselves "
            f"{floor.train.mean():.4g}. To within {LEARNED} times the error of the rule itself, y1 is learned by "
            f"{learned[0].sum()} of {runs} networks, and y2, which multiplies inputs of two different steps, by "
            f"{learned[1].sum()}."
            if runs
            else "No network kept a finite loss."
        ),
    }


if __name__ == "__main__":
    sys.exit(command("lagged_regression", Settings, main))
