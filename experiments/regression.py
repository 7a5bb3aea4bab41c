"""What `lagged_regression` and `sum_of_neighbours` share: a network read at every step, all sequences in every step.

Not a command itself.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn import inference
from jaxrnn.command import CellName, StepSettings, above_zero, at_least_one
from jaxrnn.data import Origin
from jaxrnn.layers import stack
from jaxrnn.models import Regressor
from jaxrnn.optimisers import OPTIMISERS, OptimiserName
from jaxrnn.runfolder import Reference
from jaxrnn.study import Outcome, Study, carry_out, conclude, hparams_of
from jaxrnn.train import Fitted, Task, full_batch, squared_error
from jaxrnn.typing import Bool, Init


@dataclass(frozen=True, kw_only=True)
class RegressionSettings(StepSettings):
    """What can be set for every network that is trained on a few sequences, all of them in every step."""

    seeds: int = 8
    """How many networks to train, as one program: median and spread of every number come from them."""
    steps: int = 10_000
    """Training steps."""
    every: int = 100
    """Steps between two evaluations: an epoch of the history."""
    cell: CellName = "elman"
    """The recurrent cell."""
    hidden: int = 5
    """Hidden units."""
    init: Init = "default"
    """Initialisation: PyTorch's, or this library's default."""
    optimiser: OptimiserName = "adam"
    """The optimiser."""
    learning_rate: float = 1e-2
    """Its learning rate."""
    clip_norm: float = float("inf")
    """Gradients with a larger global norm are scaled down to it."""

    def check(self) -> None:
        super().check()
        at_least_one(self, "hidden")
        above_zero(self, "learning_rate", "clip_norm")


class Pairs(NamedTuple):
    """Inputs ``(n, t, d)`` and outputs ``(n, t, k)``."""

    x: Any
    y: Any


def study_of(
    settings: RegressionSettings,
    origin: Origin,
    train: Pairs,
    test: Pairs,
    *,
    counted: Bool[np.ndarray, "t k"] | None = None,
    answers: Callable[[Fitted, int], dict[str, str]],
    metrics: Callable[[Fitted, int], Mapping[str, Any]],
    reference: Sequence[Reference],
) -> Study:
    """A network trained on these sequences, all in every step, as precise as JAX's floats are.

    ``counted`` is that of `jaxrnn.train.squared_error`.
    """
    train, test = (Pairs(*(np.asarray(values, jnp.result_type(float)) for values in pairs)) for pairs in (train, test))
    n, _, inputs = train.x.shape
    outputs = train.y.shape[-1]

    def make_model(rngs, hparams):
        layers = stack(settings.cell, inputs, [settings.hidden], init=settings.init, rngs=rngs)
        return Regressor(layers, outputs, init=settings.init, rngs=rngs)

    def optimiser(hparams):
        return OPTIMISERS[settings.optimiser](hparams.learning_rate)

    return Study(
        task=Task(make_model, partial(squared_error, counted=counted), optimiser, n),
        hparams=hparams_of(settings),
        dataset=origin,
        train=full_batch(tuple(train), settings.every),
        evals={"train": tuple(train), "test": tuple(test)},
        answers=answers,
        metrics=metrics,
        reference=reference,
    )


def conduct(name: str, settings: RegressionSettings, study: Study, show: Callable[[Outcome], None]) -> dict[str, Any]:
    """`jaxrnn.study.conduct`, and before its end ``show``, for figures and tables of one's own. Raises the same."""
    outcome = carry_out(name, settings, study)
    show(outcome)
    conclude(outcome)
    return outcome.result


def outputs_of(fitted: Fitted, xs: Any, devices: int | None = None) -> np.ndarray:
    """What every trained network says at every step of ``xs (n, t, d)``: ``(r, n, t, k)``, NaN of a run that failed."""
    runs = fitted.progress.runs
    xs = np.asarray(xs, jnp.result_type(float))
    said = inference.over(lambda model, x: model(x), runs.final, xs, devices=devices)
    failed = jax.device_get(runs.failed_at) >= 0
    return np.where(failed[:, None, None, None], np.nan, said)


def middle_run(values: Any) -> int:
    """The run of the median value, of an even number of finite ones the lower of both in the middle."""
    values = np.asarray(values)
    finite = np.flatnonzero(np.isfinite(values))
    return int(finite[np.argsort(values[finite])[(finite.size - 1) // 2]])


def references(what: str, values: Mapping[str, float]) -> list[Reference]:
    """The rows of ``result.json`` that set ``what`` beside these metrics."""
    return [{"what": what, "metric": metric, "value": float(value)} for metric, value in values.items()]
