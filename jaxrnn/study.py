"""A training experiment from start to result: the run folder, resuming, `fit`, and what is left behind.

What is trained is the experiment's; how it is shown, saved, resumed and reported is the same for all and stands here.
"""

import dataclasses
import hashlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NotRequired, TypedDict, TypeVar

import jax
import numpy as np
from rich.console import Console
from rich.panel import Panel
from rich.table import Table

from jaxrnn import checkpoint, command, plots, runfolder
from jaxrnn.command import Stopped, TrainingSettings, plain_console, stop_requests
from jaxrnn.conforms import conforms, odd
from jaxrnn.data import Dataset, Origin
from jaxrnn.errors import CheckpointError, SettingsError, UserError
from jaxrnn.models import Row, parameter_count
from jaxrnn.train import (
    Buckets,
    Data,
    Fitted,
    Hparams,
    Kept,
    Progress,
    Stream,
    Task,
    Watch,
    abstract_runs,
    example_of,
    examples_in,
    fit,
    shares,
)

STARTED = time.perf_counter()
"""When the process began, as far as this library saw it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Study:
    """What an experiment trains, on what, and what it has to say about it."""

    task: Task
    hparams: Hparams
    dataset: Dataset | Origin
    train: Data
    """What is trained on."""
    evals: Mapping[str, Kept]
    """The sets evaluated after every epoch; there is a ``test``. One called ``train``, the examples trained on, makes
    ``train_loss`` and the like exact, where else they are means over an epoch while it moves."""
    watch: Watch | None = None
    same_epochs: bool = False
    """Whether a resumed run must train as long as it was to, because the learning rate depends on it."""
    answers: Callable[[Fitted, int], dict[str, str]]
    """The paper's questions by id, from what was measured and the number of parameters."""
    metrics: Callable[[Fitted, int], Mapping[str, Any]] = lambda fitted, parameters: {}
    """Further numbers for ``result.json``, from the same: by name, one a run, or one alone."""
    reference: Sequence[runfolder.Reference] = ()
    notes: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """What a checkpoint keeps beside the runs, as JSON has it, for whoever uses them later: a vocabulary, say."""
    sizes: Mapping[str, int] = dataclasses.field(default_factory=dict)
    """How large the parts of the data are, ``train`` and the sets evaluated, where that is not how many examples they
    have."""
    unit: str = "examples"
    """What the data are counted in."""

    def facts(self, epochs: int) -> runfolder.DatasetFacts:
        """The data for ``result.json``; of a stream without end, as many training examples as it gives in so many
        epochs."""
        if isinstance(self.train, tuple | Buckets):
            count = examples_in(self.train)
        elif isinstance(self.train, Stream) and self.train.examples:
            count = self.train.examples
        else:
            count = self.train.steps * self.task.batch * (epochs if isinstance(self.train, Stream) else 1)
        train = self.sizes.get("train", count)
        return {"name": self.dataset.name, "source": self.dataset.source, "train": train, "test": self.size("test")}

    def size(self, part: str) -> int:
        """How large a set that is evaluated is."""
        return self.sizes[part] if part in self.sizes else examples_in(self.evals[part])

    def summary(self, model: Any) -> list[Row]:
        """The model's layers, for the inputs that it is trained on."""
        x, _ = example_of(self.train)
        return model.summary(jax.tree.leaves(x)[0].shape[1:])


class Experiment(NamedTuple):
    """A command that trains one study, as what trains it many times sees it."""

    name: str
    settings: type[TrainingSettings]
    study: Callable[[Any, Any], Study]
    """``study(settings, data)``; raises SettingsError. But for what has the name of a field of `Hparams`, settings
    may change it as they like; those go into its ``hparams`` alone."""
    load: Callable[[Any], Any] = lambda settings: None
    """``load(settings)``: the data, the same for all settings that are swept."""


LARGEST = 1 << 28
"""An input of a trained run has no more numbers than that."""

SAVE_SECONDS = 10.0
"""How much work a kill can cost at most."""


class Outcome(NamedTuple):
    """What a study came to."""

    result: dict[str, Any]
    """What ``result.json`` says."""
    fitted: Fitted
    out: Path


def conduct(name: str, settings: TrainingSettings, study: Study) -> dict[str, Any]:
    """`carry_out` as a command does it: ends with a table, and returns what ``result.json`` says. Raises the same."""
    outcome = carry_out(name, settings, study)
    conclude(outcome)
    return outcome.result


@runfolder.holding()
def carry_out(
    name: str,
    settings: TrainingSettings,
    study: Study,
    began: float = STARTED,
    *,
    part_of: str | None = None,
    after: Callable[[Progress, Path], None] | None = None,
) -> Outcome:
    """Train ``settings.seeds`` runs of the study, and leave a whole run folder; its seconds count from ``began``.

    ``part_of`` is the command that was typed, where it is not this study's own but trains it as a part.

    ``after`` is called with where the runs stand and the folder, after every epoch and before that is saved: what it
    leaves there is there whenever the runs are resumed, or is left again.

    Raises:
        SettingsError: settings that make no sense, a folder that cannot be written, or one that another process is at
            work in.
        CheckpointError: nothing to resume, a damaged checkpoint, or one of another experiment or other settings.
        UserError: a full disk and the like; no run came through with a finite loss.
        Stopped: told to stop; all is saved.
    """
    settings.check()
    epochs = settings.total_epochs()
    try:
        plan = shares(settings.seeds, study.task.batch, settings.devices)
    except ValueError as error:
        raise SettingsError(f"--devices: {error}") from error
    devices = list(plan[0][1].devices.flat)  # a second share has no others
    spread = [[count, *mesh.devices.shape] for count, mesh in plan]
    console = plain_console()
    config = command.config(settings)
    free = command.free(settings) if study.same_epochs else (*command.free(settings), settings.duration)
    identity = identity_of(name, {key: value for key, value in config.items() if key not in free}, study)
    keys = run_keys(settings.seed, np.arange(settings.seeds))
    abstract = abstract_runs(study.task, keys, study.hparams, study.train, keep_best=study.watch is not None)
    model = abstract_runs(study.task, keys[0], study.hparams, study.train).model
    parameters = parameter_count(model)

    out = command.open_run(name, settings, console)
    saved = out / "checkpoint"
    meta = saved_meta(saved, identity, RunMeta) if settings.resume else None
    resume = None if meta is None else saved_progress(saved, abstract)
    if settings.resume and meta is None:
        check_same_run(name, out, config, free)
        console.print(f"The run in {out} was stopped before it was saved: it starts from the beginning.")
    runfolder.write_json(out / "config.json", config)
    spent = 0.0 if meta is None else meta["seconds"]
    if meta is not None and meta["spread"] != spread:
        console.print(
            f"Resumed with {_in_words(spread)}, not {_in_words(meta['spread'])}: "
            "the numbers are the uninterrupted run's to rounding only."
        )

    x, y = (jax.tree.leaves(part)[0] for part in example_of(study.train))

    def save(progress: Progress) -> None:
        facts = {
            "seconds": spent + time.perf_counter() - began,
            "spread": spread,
            "shape": x.shape[1:],
            "dtype": str(x.dtype),
            "label": {"shape": y.shape[1:], "dtype": str(y.dtype)},
            "notes": dict(study.notes),
        }
        save_progress(saved, progress, identity | facts)
        runfolder.write_csv(out / "history.csv", progress.history)

    _introduce(console, name, settings, study, model, runfolder.describe_devices(devices))
    with stop_requests() as stop:
        fitted = fit(
            study.task,
            keys,
            study.hparams,
            study.train,
            epochs=epochs,
            evals=study.evals,
            watch=study.watch,
            devices=settings.devices,
            resume=resume,
            save=save,
            save_every=SAVE_SECONDS,
            stop=stop,
            after=None if after is None else lambda progress: after(progress, out),
        )
    progress = fitted.progress
    if not fitted.finished:
        raise Stopped(f"{progress.epoch} of {epochs} epochs and {progress.step} steps are saved in {out}")

    history = progress.history
    if history:
        steps = None if isinstance(study.train, tuple | Buckets) else study.train.steps
        title = _title(name, settings.seeds, study, epochs)
        figure = plots.learning_curves(history, title, study.reference, steps=steps)
        runfolder.save_figure(figure, out / "learning_curves.png")
    last = {row["run"]: row for row in history}
    metrics = dict(fitted.metrics)
    trained_on = dict.fromkeys(column for row in history for column in row if column.startswith("train_"))
    for column in (column for column in trained_on if column not in metrics):
        metrics[column] = np.array([last.get(run, {}).get(column, np.nan) for run in range(settings.seeds)])
    metrics |= study.metrics(fitted, parameters)
    failed = jax.device_get(progress.runs.failed_at)
    result = runfolder.write_result(
        out,
        experiment=name,
        command=command.command_line(part_of or name),
        finished=bool((failed < 0).any()),
        dataset=study.facts(epochs),
        config=config,
        parameters=parameters,
        metrics=metrics,
        reference=study.reference,
        answers=study.answers(fitted, parameters),
        seconds={"total": spent + time.perf_counter() - began, **progress.seconds},
        devices=devices,
    )
    if (failed >= 0).all():
        raise UserError(
            f"no run kept a finite loss (the first to lose it did so at step {failed.min()}); "
            "lower --learning-rate or set --clip-norm"
        )
    return Outcome(result, fitted, out)


def _title(name: str, runs: int, study: Study, epochs: int) -> str:
    """What the learning curves show: ``mnist_gru: 5 networks learn from 60,000 examples (mnist)``."""
    networks = "1 network learns" if runs == 1 else f"{runs} networks learn"
    return f"{name}: {networks} from {study.facts(epochs)['train']:,} {study.unit} ({study.dataset.name})"


def _in_words(spread: list[list[int]]) -> str:
    """How many runs are on how many devices, over the runs x over each batch: ``4 runs on 2 x 1 devices and ...``."""
    return " and ".join(
        f"{count} run{'s' * (count > 1)} on {over_runs} x {over_batch} device{'s' * (over_runs * over_batch > 1)}"
        for count, over_runs, over_batch in spread
    )


def run_keys(seed: int, numbers: np.ndarray) -> Any:
    """The key of each of these runs: a function of (seed, number) alone."""
    return jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(seed), numbers)


def hparams_of(settings: Any) -> Hparams:
    """The settings that are traced: those with the name of a hyperparameter."""
    names = [field.name for field in dataclasses.fields(Hparams)]
    return Hparams(**{name: getattr(settings, name) for name in names if hasattr(settings, name)})


def identity_of(name: str, config: dict[str, Any], study: Study) -> dict[str, Any]:
    """What a checkpoint must agree in to be gone on with: the experiment, its settings, and the data."""
    return {"experiment": name, "config": config, "data": _digest((study.train, study.evals))}


def _digest(data: Any) -> str:
    digest = hashlib.sha256()
    for array in jax.tree.leaves(data):
        digest.update(f"{array.dtype} {array.shape} ".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def save_progress(saved: Path, progress: Progress, facts: dict[str, Any]) -> None:
    """Makes this the checkpoint in the folder ``saved``, with what else there is to be kept."""
    stands = {
        "epoch": progress.epoch,
        "step": progress.step,
        "history": progress.history,
        "spent": progress.seconds,
    }
    checkpoint.save(saved, progress.runs, facts | stands)


class _Place(TypedDict):
    run: int
    epoch: int


class Meta(TypedDict):
    """What a checkpoint says of its runs, whatever trained them."""

    experiment: str
    config: dict[str, Any]
    data: str
    epoch: int
    step: int
    history: list[_Place]
    spent: dict[str, float]


class _Config(TypedDict):
    seeds: int


class _Array(TypedDict):
    shape: list[int]
    dtype: str


class RunMeta(Meta):
    """And what one of a run folder says besides."""

    config: _Config  # type: ignore[misc]
    seconds: float
    spread: list[list[int]]
    shape: list[int]
    dtype: str
    label: NotRequired[_Array]
    """Earlier versions kept none, and had whole numbers only."""
    notes: dict[str, Any]


def read_meta(saved: Path, kind: Any = Meta) -> dict[str, Any]:
    """What was saved beside the runs. Raises CheckpointError where it is damaged, or not of this kind."""
    meta = checkpoint.read_meta(saved)
    if not conforms(meta, kind):
        lacking = f"no {', '.join(odd(meta, kind))}" if isinstance(meta, dict) else "nothing"
        raise CheckpointError(f"the checkpoint in {saved} says {lacking} of its runs; start over in another folder")
    return meta


def saved_meta(saved: Path, identity: dict[str, Any], kind: Any = Meta) -> dict[str, Any] | None:
    """What was saved beside the runs, of this very study; None where nothing was."""
    if not checkpoint.exists(saved):
        return None
    meta = read_meta(saved, kind)
    if meta["experiment"] != identity["experiment"]:
        raise CheckpointError(
            f"the run in {saved.parent} is one of {meta['experiment']}, not of {identity['experiment']}: "
            "name another folder by --out, or leave out --resume"
        )
    check_same_settings(f"the run in {saved.parent}", meta["config"], identity["config"])
    if meta["data"] != identity["data"]:
        raise CheckpointError(f"the run in {saved.parent} was trained on other data: resume it with the same")
    return meta


def check_same_settings(what: str, kept: dict[str, Any], asked: dict[str, Any], free: Sequence[str] = ()) -> None:
    """Raises CheckpointError where settings differ, but for those that are free to."""
    other = [key for key in sorted(asked | kept) if key not in free and asked.get(key) != kept.get(key)]
    if other:
        changes = "; ".join(f"{key} was {kept.get(key)} and is {asked.get(key)}" for key in other)
        raise CheckpointError(f"{what} has other settings: {changes}; resume it with its own")


def check_same_run(name: str, out: Path, config: Mapping[str, Any], free: Sequence[str]) -> None:
    """Raises CheckpointError where what is in the folder was begun with other settings, but for those that are free."""
    if not (out / "config.json").exists():  # killed before it was written
        return
    kept = runfolder.read_json(out / "config.json", dict[str, Any])
    check_same_settings(f"the {name} in {out}", kept, runfolder.plain(config), free)


def saved_progress(saved: Path, abstract: Any) -> Progress:
    """Where the saved runs stand, for `jaxrnn.train.fit` to go on from."""
    meta = read_meta(saved)
    runs, _ = checkpoint.restore(saved, abstract)
    return Progress(runs, meta["epoch"], meta["step"], meta["history"], meta["spent"])


def trained(name: str, out: Path, notes: Any = dict[str, Any], rank: int | None = None) -> dict[str, Any]:
    """What is known of the runs in a folder: ``config``, ``notes``, ``shape`` and ``dtype`` of an input, and where they
    stand. ``notes`` is the type of those (see `jaxrnn.conforms`), ``rank`` how many numbers the shape has.

    Raises:
        CheckpointError: nothing is saved there, it is damaged, or it is another experiment's.
    """
    if not checkpoint.exists(out / "checkpoint"):
        raise CheckpointError(f"there is no trained run in {out}: train one first, or name the folder of one")
    meta = read_meta(out / "checkpoint", RunMeta)
    if meta["experiment"] != name:
        raise CheckpointError(
            f"the run in {out} is one of {meta['experiment']}, not of {name}: "
            f"use python -m experiments.{meta['experiment']}, or name another folder"
        )
    shape = meta["shape"]
    if not conforms(meta["notes"], notes) or rank not in (None, len(shape)):
        raise _unknown(out)
    if min(shape, default=1) < 1 or math.prod(shape) > LARGEST:
        raise _unknown(out)
    return meta


S = TypeVar("S", bound=TrainingSettings)


def settings_of(meta: dict[str, Any], kind: type[S], out: Path, **free: Any) -> S:
    """The settings of the runs in a folder, of which `trained` gave the ``meta``; ``free`` are those it does not keep.

    Raises CheckpointError where they are none of this kind.
    """
    if not conforms(meta["config"], kind):
        raise _unknown(out)
    settings = kind(**meta["config"], **free)
    try:
        settings.check()
    except SettingsError as error:
        raise _unknown(out) from error
    return settings


def _unknown(out: Path) -> CheckpointError:
    return CheckpointError(f"the run in {out} is none that this version trains: train again, or name another folder")


def restore_models(out: Path, task: Task, hparams: Hparams, meta: dict[str, Any], *, keep_best: bool) -> Any:
    """The models in a run folder, with a leading run axis, of all runs that kept a finite loss.

    ``task`` and ``hparams`` are made from the ``meta`` that `trained` gave; ``keep_best`` where there was a `Watch`.

    Raises:
        CheckpointError: damaged, of another task, or no run kept a finite loss.
    """
    seeds, x, y = meta["config"]["seeds"], meta, meta.get("label", {"shape": [], "dtype": "int32"})
    # drawing up a network of very many layers takes minutes, and each has an array at least
    if meta["config"].get("layers", 1) > checkpoint.array_count(out / "checkpoint"):
        raise _unknown(out)
    try:
        # only shapes: a damaged one may ask for any amount of memory
        keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), seeds))
        inputs, labels = (np.broadcast_to(np.zeros((), one["dtype"]), (1, *one["shape"])) for one in (x, y))
        abstract = abstract_runs(task, keys, hparams, (inputs, labels), keep_best=keep_best)
    except (TypeError, ValueError, OverflowError) as error:  # what model and optimiser say to shapes that do not fit
        raise _unknown(out) from error
    runs, _ = checkpoint.restore(out / "checkpoint", abstract)
    sound = np.flatnonzero(jax.device_get(runs.failed_at) < 0)
    if not sound.size:
        raise CheckpointError(f"no run in {out} kept a finite loss: train again with a lower --learning-rate")
    return jax.tree.map(lambda leaf: leaf[sound], runs.final)


def _introduce(console: Console, name: str, settings: TrainingSettings, study: Study, model: Any, devices: str) -> None:
    table = Table(title=f"{name}: {settings.seeds} x {type(model).__name__}", title_justify="left")
    for column in ("layer", "input", "output", "activation"):
        table.add_column(column)
    table.add_column("parameters", justify="right")
    for row in study.summary(model):
        table.add_row(*row[:-1], f"{row.parameters:,}")
    table.add_section()
    table.add_row("all", "", "", "", f"{parameter_count(model):,}")
    console.print(table)
    sizes = "".join(f", {study.size(part):,} for {part}" for part in study.evals if part != "train")
    facts = study.facts(settings.total_epochs())
    count = f"{facts['train']:,} {study.unit}"
    console.print(f"{facts['name']} ({facts['source']}): {count} to train on{sizes}; on {devices}")


def amended(outcome: Outcome, began: float, **entries: Any) -> Outcome:
    """The outcome with further entries of ``result.json``, or others, and the seconds since ``began`` added.

    The file is written anew. Raises UserError for a full disk and the like.
    """
    seconds = outcome.result["seconds"]
    seconds = {**seconds, "total": seconds["total"] + time.perf_counter() - began}
    result = runfolder.plain({**outcome.result, **entries, "seconds": seconds})
    runfolder.write_json(outcome.out / "result.json", result)
    return outcome._replace(result=result)


def conclude(outcome: Outcome) -> None:
    """End with a table of the metrics, the seconds, and what lies where."""
    console, result = plain_console(), outcome.result
    table = Table(title="Result", title_justify="left")
    table.add_column("metric")
    for column in ("mean", "std", "runs"):
        table.add_column(column, justify="right")

    def number(value):
        return "not finite" if value is None else f"{value:.4f}"

    for metric, values in result["metrics"].items():
        table.add_row(metric, number(values["mean"]), number(values["std"]), "  ".join(map(number, values["runs"])))
    console.print(table)
    seconds = result["seconds"]
    files = sorted(path.name for path in outcome.out.iterdir() if not path.name.startswith("."))
    console.print(
        f"{seconds['total']:.1f} s ({seconds['compile']:.1f} s compiling, {seconds['train']:.1f} s training); "
        f"{', '.join(files)} are in {outcome.out}"
    )


def announce_stand_in(wanted: str, dataset: Dataset, advice: str) -> None:
    """Say loudly that other data than the experiment's own are used."""
    plain_console().print(Panel(f"Using {dataset.source}.\n{advice}", title=f"NOT {wanted}", style="bold yellow"))
