"""What is trained together: the points of a sweep as groups, a compiled program each, and their runs as chunks."""

import dataclasses
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple, TypeVar

import jax
import psutil

from jaxrnn.command import OF_THE_CALL, EpochSettings, StepSettings, TrainingSettings
from jaxrnn.errors import SettingsError
from jaxrnn.models import parameter_count
from jaxrnn.study import Experiment, Study
from jaxrnn.sweeps.grid import Point
from jaxrnn.train import Hparams, Run, abstract_runs, chosen, example_of, memory_per_run, shapes_of_metrics, width

TRACED = tuple(one.name for one in dataclasses.fields(Hparams))
"""Settings that can differ within one compiled program."""


@dataclass(frozen=True, kw_only=True)
class SweepSettings(TrainingSettings):
    """What can be set for every sweep."""

    seeds: int = 3
    """How many runs to train of each setting: mean and interval of every number come from them."""
    metric: str = ""
    """What makes one setting better than another: a column of sweep.csv. Where not given, the accuracy, or else the
    loss, on the validation set if there is one, or else on the test set."""
    width: int = 0
    """Runs trained side by side on one device; 0 chooses it by their size. A number depends on it in its last bits."""
    halvings: int = 0
    """Successive halving: so many times stop the worse half of the settings, and give their time to the others. With
    2, all train for a quarter of the time, and the better half of them for half of it."""
    coordinator: str | None = field(default=None, metadata=OF_THE_CALL)
    """Share the sweep between several processes that see the same --out: HOST:PORT of process 0, or auto for what a
    cluster's environment variables say."""
    processes: int | None = field(default=None, metadata=OF_THE_CALL)
    """How many processes there are, with --coordinator HOST:PORT."""
    process: int | None = field(default=None, metadata=OF_THE_CALL)
    """Which of them this one is, from 0. Process 0 puts the results together."""

    def check(self) -> None:
        super().check()
        for option in ("width", "halvings"):
            if getattr(self, option) < 0:
                raise SettingsError(f"--{option} must be at least 0, not {getattr(self, option)}")
        if self.total_epochs() < 2**self.halvings:
            raise SettingsError(
                f"--halvings {self.halvings} needs at least {2**self.halvings} epochs (evaluations), "
                f"not {self.total_epochs()}"
            )

    def rungs(self) -> list[int]:
        """The epochs up to which points train, one number more than there are halvings."""
        return [math.ceil(self.total_epochs() / 2**left) for left in range(self.halvings, -1, -1)]


def sweepable(settings: type[TrainingSettings]) -> list[str]:
    """The settings that a sweep can be over: what changes a run, and says neither how many there are nor how long they
    train."""
    same = {one.name for kind in (EpochSettings, StepSettings) for one in dataclasses.fields(kind)}
    own = [one for one in dataclasses.fields(settings) if one.name not in same and one.metadata.get("config", True)]
    return [one.name for one in own]


S = TypeVar("S", bound=TrainingSettings)


class Group(NamedTuple):
    """Points that are trained by one program."""

    settings: TrainingSettings
    """Those of the first point; the others differ in traced ones alone."""
    study: Study
    points: list[int]
    width: int
    """Runs side by side on one device: a chunk's."""
    parameters: int
    """Of one model."""
    memory: int
    """About how many bytes the runs need that train at once, on one device."""

    def abstract(self) -> Run:
        """The shapes of a chunk's runs."""
        study, keys = self.study, jax.random.split(jax.random.key(0), self.width)
        return abstract_runs(study.task, keys, study.hparams, study.train, keep_best=study.watch is not None)


class Chunk(NamedTuple):
    """Runs that are trained side by side on one device, up to a rung."""

    group: int
    runs: list[int]
    """As numbers of the whole sweep; as many as the group's width, or fewer."""
    folder: Path

    @property
    def saved(self) -> Path:
        """Its checkpoint."""
        return self.folder / "checkpoint"

    @property
    def shard(self) -> Path:
        """What became of its runs; there when all is done."""
        return self.folder / "shard.json"

    def padded(self, group: Group) -> list[int]:
        """The runs with the last one repeated until they are as many as the group's width."""
        return self.runs + self.runs[-1:] * (group.width - len(self.runs))


def groups_of(experiment: Experiment, settings: SweepSettings, points: Sequence[Point]) -> list[Group]:
    """The groups of the points, in the order of their first ones.

    Raises:
        SettingsError: no points, settings that make no sense, or more runs at once than there is memory for.
    """
    if not points:
        raise SettingsError("there is nothing to sweep: the grid is empty")
    try:
        devices = len(chosen(settings.devices))
    except ValueError as error:
        raise SettingsError(f"--devices: {error}") from error
    base = settings_for(experiment.settings, settings)
    alike: dict[tuple, list[int]] = {}
    for number, point in enumerate(points):
        try:
            replace(base, **point).check()
        except SettingsError as error:
            raise SettingsError(f"{error} (in {as_typed(point)})") from error
        fixed = [(name, value is None if name in TRACED else value) for name, value in point.items()]
        alike.setdefault(tuple(fixed), []).append(number)
    data = experiment.load(base)
    firsts = [replace(base, **points[numbers[0]]) for numbers in alike.values()]
    studies = [experiment.study(first, data) for first in firsts]
    objective(settings, studies)
    return [
        _group(settings, first, study, numbers, devices)
        for first, study, numbers in zip(firsts, studies, alike.values(), strict=True)
    ]


def settings_for(kind: type[S], settings: SweepSettings) -> S:
    """The settings of a run of its own: those that the sweep's have too are the same, others the default."""
    names = [one.name for one in dataclasses.fields(kind) if hasattr(settings, one.name)]
    return kind(**{name: getattr(settings, name) for name in names} | {"out": None, "resume": False})


def _group(settings: SweepSettings, first: TrainingSettings, study: Study, points: list[int], devices: int) -> Group:
    one = abstract_runs(study.task, jax.random.key(0), study.hparams, study.train)
    parameters = parameter_count(one.model)
    each = memory_per_run(study.task, study.hparams, study.train, keep_best=study.watch is not None)
    sharing = devices if jax.default_backend() == "cpu" else 1  # the CPU's devices have one memory
    free = free_memory()
    wanted = min(width(parameters, study.task.batch), -(-len(points) * settings.seeds // devices))
    side_by_side = settings.width or max(1, min(wanted, free // (2 * each * sharing)))
    needed = side_by_side * sharing * each
    if needed > free:
        raise SettingsError(
            f"too many runs for the memory: {side_by_side} at once on each of {devices} devices need about "
            f"{needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free; "
            + ("lower --width, or leave it out" if side_by_side > 1 else "lower --devices, or make the model smaller")
        )
    return Group(first, study, points, side_by_side, parameters, side_by_side * each)


def objective(settings: SweepSettings, studies: Sequence[Study]) -> tuple[str, bool]:
    """What makes a point better, and whether more of it does.

    Raises:
        SettingsError: there is no such metric in all of the studies.
    """
    first, *others = map(_metrics, studies)
    there = [name for name in first if all(name in names for names in others)]
    wanted = [f"{part}_{kind}" for part in ("validation", "test") for kind in ("accuracy", "loss")]
    metric = settings.metric or next(name for name in wanted if name in there)
    if metric not in there:
        raise SettingsError(f"--metric: there is no {metric!r} for all settings; there are {', '.join(there)}")
    return metric, "accuracy" in metric


def _metrics(study: Study) -> list[str]:
    """What the rows of a study's runs have."""
    example = example_of(study.train)
    model = abstract_runs(study.task, jax.random.key(0), study.hparams, study.train).model
    kinds = shapes_of_metrics(study.task, model, example, study.hparams)
    evaluated = [f"{part}_{kind}" for part in study.evals for kind in kinds]
    last = [] if study.watch is None else [f"last_{name}" for name in evaluated]
    return list(dict.fromkeys([*evaluated, *(f"train_{kind}" for kind in kinds), *last]))


def free_memory() -> int:
    """The bytes that new runs can have: an accelerator's, or the machine's."""
    stats = jax.local_devices()[0].memory_stats()
    if stats and "bytes_limit" in stats:
        return stats["bytes_limit"] - stats["bytes_in_use"]
    return psutil.virtual_memory().available


def chunks_of(out: Path, groups: Sequence[Group], points: Iterable[int], seeds: int, rung: int) -> list[Chunk]:
    """The chunks in which the runs of these points train to a rung."""
    left = set(points)
    chunks = []
    for number, group in enumerate(groups):
        runs = [point * seeds + seed for point in group.points if point in left for seed in range(seeds)]
        for index, first in enumerate(range(0, len(runs), group.width)):
            folder = out / "chunks" / f"{number}-{rung}-{index}"
            chunks.append(Chunk(number, runs[first : first + group.width], folder))
    return chunks


def as_typed(point: Point) -> str:
    """A point as it is typed: ``learning_rate=0.001 hidden=64``."""
    return " ".join(f"{name}={in_short(value)}" for name, value in point.items())


def in_short(value: object) -> str:
    """A setting's value to as many digits as a reader wants."""
    return f"{value:g}" if isinstance(value, float) else str(value)
