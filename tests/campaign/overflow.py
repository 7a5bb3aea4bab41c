"""Overflowing numbers: NaN, infinity and 1e30 in inputs, targets, weights and learning rates of runs that train.

One `Trainer` is compiled for each `Way` of training, and trains the same runs twice: as they are, and each with a harm
of its own, or none. A harm is a hyperparameter (the task puts it where it belongs), so what is compiled serves for all.
A harmed run must fail at the very step that first meets its harm, with all that it was before that step, to the bit; of
it no number may be told; and the runs beside it must be what they are without it.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxrnn import train
from jaxrnn.layers import stack
from jaxrnn.models import Regressor
from jaxrnn.train import Buckets, Chunks, Fitted, Progress, Stateful, Stream, Task, Trainer, Watch

from . import Try

TIME, FEATURES, EXAMPLES, EPOCHS = 3, 2, 20, 3
"""A small task; `EXAMPLES` are trained on and as many, numbered from there on, evaluated."""

NOWHERE, INPUT, TARGET, WEIGHT, RATE = range(5)
"""Where a harm is done."""

PLACES = ("nowhere", "input", "target", "weight", "learning rate")


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Harmed(train.Hparams):
    """The floats of a run and its harm: a value, where it is put, and in which example."""

    place: Any = 0.0
    number: Any = 0.0
    value: Any = 0.0


class Way(NamedTuple):
    """A way of training."""

    data: str
    runs: int
    batch: int = 8
    devices: int = 1
    clip: float = math.inf
    watch: bool = False


WAYS = (
    Way("examples", runs=3, devices=2, watch=True),
    Way("examples", runs=1, batch=64, devices=2, clip=1e-2),
    Way("stream", runs=3, clip=0.1),
    Way("chunks", runs=2),
    Way("chunks", runs=2, devices=2, clip=0.1, watch=True),
    Way("buckets", runs=3, watch=True),
)


def tries(count: int, folder: Path, seed: int = 0) -> Iterator[Try]:
    """So many harmed runs."""
    for number, way in enumerate(WAYS):
        yield from runs_of(way, len(range(number, count, len(WAYS))), seed)


def runs_of(way: Way, count: int, seed: int = 0) -> Iterator[Try]:
    """So many runs that are trained in one way, each with a harm of its own or none."""
    hparams, data, evals = Harmed(), *examples(way)
    watch = Watch("test_loss", EPOCHS) if way.watch else None
    devices = min(way.devices, jax.local_device_count())
    trainer = Trainer(task(way), way.runs, hparams, data, evals=evals, watch=watch, devices=devices)
    for number in range(-(-count // way.runs)):
        random = np.random.default_rng((seed, number))
        keys = jax.random.split(jax.random.key(int(random.integers(2**31))), way.runs)
        harms = [harm(random) for _ in range(way.runs)]
        calm, harmed = (trained(trainer, way, keys, harms, harmed=done, random=random) for done in (False, True))
        for run, one in enumerate(harms[: count - number * way.runs]):
            what = f"{way}, seed {seed}, number {number}, run {run}: {one.value} in the {PLACES[int(one.place)]}"
            yield Try(f"{what} (example {one.number:g})", "; ".join(losses(way, run, one, calm, harmed)))


def harm(random: np.random.Generator) -> Harmed:
    """Something that can befall a run; a third are spared."""
    place = random.choice([NOWHERE, INPUT, TARGET, WEIGHT, RATE], p=[0.3, 0.3, 0.2, 0.1, 0.1])
    value = random.choice([math.nan, math.inf, -math.inf, 1e30])
    return Harmed(place=float(place), number=float(random.integers(2 * EXAMPLES)), value=float(value))


# What is trained.


def examples(way: Way) -> tuple[Any, dict[str, Any]]:
    """What is trained on and what is evaluated on: every input with its number."""
    random = np.random.default_rng(0)

    def numbered(numbers: np.ndarray, time: int = TIME) -> tuple[Any, np.ndarray]:
        xs = random.normal(size=(*numbers.shape, time, FEATURES)).astype("float32")
        return {"xs": xs, "number": numbers.astype("float32")}, np.tanh(xs.sum(-1, keepdims=True))

    def draw(key, n, kept):
        return jax.tree.map(lambda a: a[jax.random.randint(key, (n,), 0, EXAMPLES)], kept)

    whole = np.arange(EXAMPLES)
    evals = {"test": numbered(EXAMPLES + whole)}
    if way.data == "stream":
        return Stream(draw, 3, kept=numbered(whole)), evals
    if way.data == "chunks":
        return Chunks(*numbered(whole[: 2 * way.batch].reshape(2, way.batch))), evals
    if way.data == "buckets":
        return Buckets((numbered(whole[:12]), numbered(whole[12:], TIME + 2))), evals
    return numbered(np.arange(max(EXAMPLES, way.batch)) % EXAMPLES), evals


def task(way: Way) -> Task:
    """Regression by an Elman network, with the harm that the hyperparameters say."""

    def make_model(rngs, hparams):
        model = Regressor(stack("elman", FEATURES, [4], init="pytorch", rngs=rngs), 1, init="pytorch", rngs=rngs)
        kernel = model.head.kernel[...]
        harmed = jnp.where(hparams.place == WEIGHT, hparams.value, kernel[0, 0])
        model.head.kernel[...] = kernel.at[0, 0].set(harmed)
        return model

    def worked(model, carry, x, y, hparams):
        met = x["number"] == hparams.number
        first_input = jnp.where(met & (hparams.place == INPUT), hparams.value, x["xs"][:, 0, 0])
        last_target = jnp.where(met & (hparams.place == TARGET), hparams.value, y[:, -1, 0])
        carry, hs = model.layers(x["xs"].at[:, 0, 0].set(first_input), carry=carry)
        loss = jnp.square(y.at[:, -1, 0].set(last_target) - model.head(hs)).mean((1, 2))
        return {"loss": loss, "met": met.astype(loss.dtype)}, carry

    def objective(model, x, y, hparams, key):
        return worked(model, None, x, y, hparams)[0]

    def stateful(model, state, x, y, hparams, key):
        return worked(model, state, x, y, hparams)

    def optimiser(hparams):
        return optax.adam(jnp.where(hparams.place == RATE, hparams.value, hparams.learning_rate))

    reading_on = Stateful(lambda model, n: model.layers.initial_carry((n,)), stateful)
    return Task(make_model, objective, optimiser, way.batch, reading_on if way.data == "chunks" else None)


class Trained(NamedTuple):
    """What a training left: how the runs stood after every step or epoch, and what was said."""

    stood: Sequence[Progress]
    fitted: Fitted
    said: Sequence[str]


class Bar:
    """A progress bar that keeps what is written above it."""

    disable = True

    def __init__(self) -> None:
        self.said: list[str] = []

    def write(self, line: str) -> None:
        self.said.append(line)

    def get_lock(self) -> Any:
        return nullcontext()

    def set_description(self, *args: Any, **options: Any) -> None: ...

    def set_postfix(self, **values: Any) -> None: ...

    def update(self, steps: int) -> None: ...


def trained(
    trainer: Trainer, way: Way, keys: jax.Array, harms: Sequence[Harmed], *, harmed: bool, random: np.random.Generator
) -> Trained:
    """The runs without their harms, looked at after every step, or with them, looked at there or after every epoch."""
    stood, bar = list[Progress](), Bar()

    def keep(progress: Progress) -> None:
        runs = progress.runs._replace(key=jax.random.key_data(progress.runs.key))
        stood.append(progress._replace(runs=jax.device_get(runs)))

    columns = {name: np.array([getattr(one, name) for one in harms]) for name in ("place", "number", "value")}
    columns["place"] *= harmed
    hparams = Harmed(learning_rate=1e-2, clip_norm=way.clip, **columns)
    with mock.patch.object(train, "SEGMENT_SECONDS", 2.0 if harmed and random.random() < 0.5 else 0.0):
        trainer(keys, hparams, epochs=0, save=keep)
        fitted = trainer(keys, hparams, epochs=EPOCHS, save=keep, save_every=0.0, bar=bar)
    return Trained(stood, fitted, bar.said)


# What must hold.


def losses(way: Way, run: int, harm: Harmed, calm: Trained, harmed: Trained) -> Iterator[str]:
    """What of a run is lost, in words."""
    end = of_run(harmed.stood[-1].runs, run)
    failed_at = int(end.failed_at)
    finite = all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((end.model, end.opt_state)))
    if not finite and harm.place != WEIGHT:
        yield "it has weights that are not finite"
    rows = [[row for row in one.fitted.progress.history if row["run"] == run] for one in (calm, harmed)]
    if not all(math.isfinite(row["train_loss"]) for row in rows[1]):
        yield "its history has a loss that is not finite"
    said = [line for line in harmed.said if line.startswith(f"Run {run}: ")]
    numbers = {name: float(values[run]) for name, values in harmed.fitted.metrics.items()}
    if failed_at >= 0:
        if len(said) != 1 or f" not finite at step {failed_at};" not in said[0]:
            yield f"it failed at step {failed_at}, and said was {said}"
        if not all(map(math.isnan, numbers.values())):
            yield f"it failed and has {numbers}"
    elif said:
        yield f"it did not fail, and said was {said}"

    if harm.place == INPUT and harm.value == 1e30:
        return  # tanh makes an honest number of it: such a run may go on, and is then another
    met, evaluated = step_of(harm, run, calm), harm.number >= EXAMPLES and harm.place in (INPUT, TARGET)
    if failed_at != met:
        yield f"it failed at step {failed_at}, not {met}"
        return
    if evaluated and (harm.place == TARGET or math.isnan(harm.value)):
        if any(math.isfinite(row["test_loss"]) for row in rows[1]) or math.isfinite(numbers["test_loss"]):
            yield f"it was evaluated on {harm.value}, and has {numbers}"
        return
    stood = [of_run(progress.runs, run) for progress in calm.stood]
    before = next(one for one in stood if one.step == met) if met >= 0 else stood[-1]
    if harm.place != WEIGHT and not same(kept(end, best=not evaluated), kept(before, best=not evaluated)):
        yield "it is not what it was before" if met >= 0 else "it is not what it is without harm beside it"
    if not same_rows(rows[1], rows[0][: len(rows[1])]) or (met < 0 and len(rows[0]) != len(rows[1])):
        yield "its history is not that without harm"
    unharmed = {name: float(values[run]) for name, values in calm.fitted.metrics.items()}
    if met < 0 and not evaluated and numbers != unharmed:
        yield f"it has {numbers}, not {unharmed} as without harm beside it"


def step_of(harm: Harmed, run: int, calm: Trained) -> int:
    """The first step at which a run meets its harm; -1 where it never does."""
    if harm.place in (WEIGHT, RATE):
        return 0
    if harm.place == NOWHERE:
        return -1
    for progress in calm.stood:
        one = of_run(progress.runs, run)
        if one.totals["met"] > 0:
            return int(one.step) - 1
    return -1


def of_run(runs: Any, run: int) -> Any:
    return jax.tree.map(lambda leaf: leaf[run], runs)


def kept(run: train.Run, *, best: bool) -> Any:
    """All of a run but the marks that it failed or stopped, the sums of an epoch that it did not end, and, where it is
    evaluated on its harm, what was best."""
    return run._replace(failed_at=None, stopped=None, totals=None, best=run.best if best else None)


def same(tree: Any, other: Any) -> bool:
    """To the bit."""
    pairs = zip(jax.tree.leaves(tree), jax.tree.leaves(other), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


def same_rows(rows: Sequence[Mapping[str, Any]], others: Sequence[Mapping[str, Any]]) -> bool:
    """But for the seconds, and for an evaluation that meets a harm."""
    plain = [
        [{k: v for k, v in row.items() if k not in ("seconds", "test_loss")} for row in part] for part in (rows, others)
    ]
    return plain[0] == plain[1]
