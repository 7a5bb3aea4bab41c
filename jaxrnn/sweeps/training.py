"""How a sweep's chunks train: each with a checkpoint of its own, rung by rung, shared between processes."""

import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import replace
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn import checkpoint, command, runfolder
from jaxrnn.command import Stopped
from jaxrnn.errors import DataError, SettingsError
from jaxrnn.study import (
    SAVE_SECONDS,
    Meta,
    hparams_of,
    identity_of,
    run_keys,
    save_progress,
    saved_meta,
    saved_progress,
)
from jaxrnn.sweeps.grid import Point
from jaxrnn.sweeps.plan import Chunk, Group, SweepSettings, as_typed, chunks_of, free_memory, objective
from jaxrnn.sweeps.processes import Share, ended_early, wait_for
from jaxrnn.train import Fitted, Progress, Trainer, chosen, progress_bar, skip, steps_per_epoch

Record = Mapping[str, Any]
"""What ``shard.json`` says of a chunk: a `_Shard`."""


class _Run(TypedDict):
    run: int
    diverged_at: int | None
    stopped_early: bool
    epochs: int
    metrics: dict[str, float | None]
    seconds: float


class _Seconds(TypedDict):
    compile: float
    train: float


class _Shard(TypedDict):
    runs: list[_Run]
    history: list[dict[str, float | None]]
    memory: int
    worked: list[tuple[float, float]]
    seconds: _Seconds


class _ChunkMeta(Meta):
    worked: list[tuple[float, float]]


class Work(NamedTuple):
    """All that the chunks of a sweep have in common."""

    experiment: str
    out: Path
    settings: SweepSettings
    groups: Sequence[Group]
    points: Sequence[Point]
    share: Share
    stop: Callable[[], bool]

    def steps(self, chunk: Chunk) -> int:
        """Training steps in an epoch of a chunk."""
        study = self.groups[chunk.group].study
        return steps_per_epoch(study.task, study.train)


def train(work: Work) -> list[tuple[Chunk, Record]] | None:
    """Train this process's share, rung by rung; every chunk, and what became of those of its runs that ended in it.

    None where another process puts all together.

    Raises:
        SettingsError: a compiled program needs more memory than there is.
        UserError: another process has ended before its share was done.
        Stopped: told to stop; all is saved.
    """
    settings, share, rungs = work.settings, work.share, work.settings.rungs()
    left: Sequence[int] = range(len(work.points))
    latest: dict[int, tuple[Chunk, Record]] = {}
    trained: dict[Path, tuple[Chunk, Record]] = {}
    workers = [_Worker(device) for device in chosen(settings.devices)]
    with progress_bar(0) as bar:
        for rung, epochs in enumerate(rungs):
            last = rung == len(rungs) - 1
            chunks = chunks_of(work.out, work.groups, left, settings.seeds, rung)
            mine = [chunk for number, chunk in enumerate(chunks) if share.mine(number)]
            if not bar.disable:
                bar.total += sum(epochs * work.steps(chunk) for chunk in mine)
            _train_chunks(work, mine, epochs, workers, last, latest, bar)
            files = {chunk.shard: number % share.count for number, chunk in enumerate(chunks)}
            if share.index > 0 and last:
                if not (work.out / "result.json").exists() and not runfolder.is_held(work.out, 0):
                    raise ended_early(work.out, 0, "the results were not put together")
                return None
            if share.count > 1:
                wait_for(files, work.out, work.stop)
            for chunk in chunks:
                trained[chunk.folder] = chunk, _read(chunk)
                latest |= dict.fromkeys(chunk.runs, trained[chunk.folder])
            if not last:
                left = _better_half(work, left, latest)
    return [(chunk, _ended_in(chunk, record, latest)) for chunk, record in trained.values()]


def _read(chunk: Chunk) -> Record:
    """What became of a chunk's runs. Raises DataError where its shard is damaged."""
    record = runfolder.read_json(chunk.shard, _Shard)
    places = [(row.get("run"), row.get("epoch")) for row in record["history"]]
    if [entry["run"] for entry in record["runs"]] != chunk.runs or not all(
        run in chunk.runs and epoch is not None for run, epoch in places
    ):
        raise DataError(f"{chunk.shard} is not of its runs; delete it, and they go on with --resume")
    return record


def _ended_in(chunk: Chunk, record: Record, latest: Mapping[int, tuple[Chunk, Record]]) -> Record:
    """The record less the runs that went on in another chunk."""
    here = {run for run in chunk.runs if latest[run][0] == chunk}
    return {**record, **{part: [row for row in record[part] if row["run"] in here] for part in ("runs", "history")}}


class _Worker:
    """A device, and the programs that were compiled for it."""

    def __init__(self, device: jax.Device):
        self.device = device
        self.trainers: dict[int, Trainer] = {}

    def trainer(self, number: int, group: Group, *, alone: bool) -> Trainer:
        """The trainer of a group, compiled when it is first asked for; ``alone`` gives up those of other groups.

        Raises SettingsError where it needs more memory than there is.
        """
        if number in self.trainers:
            return self.trainers[number]
        if alone:
            self.trainers.clear()
        study = group.study
        trainer = Trainer(
            study.task,
            group.width,
            study.hparams,
            study.train,
            evals=study.evals,
            watch=study.watch,
            devices=[self.device],
        )
        if trainer.bytes > (free := free_memory()):
            raise SettingsError(
                f"too many runs for the memory: {group.width} side by side need {trainer.bytes / 1e9:.1f} GB, "
                f"and {free / 1e9:.1f} GB are free; lower --width"
            )
        self.trainers[number] = trainer
        return trainer


def _train_chunks(
    work: Work,
    chunks: Sequence[Chunk],
    epochs: int,
    workers: Sequence[_Worker],
    last: bool,
    latest: Mapping[int, tuple[Chunk, Record]],
    bar: Any,
) -> None:
    """Train these chunks up to so many epochs: each device takes the next one when it has finished one.

    A device is given the same program that it would have if it were the only one, so that the bits of a run do not
    depend on how many there are; hence a thread for each, in the place of one program over all of them. Where one of
    them fails, the others stop and save, and its error is raised.
    """
    waiting = enumerate(chunks, start=1)
    taking, failed = threading.Lock(), threading.Event()
    double = jnp.result_type(float) == jnp.float64  # a thread has a setting of its own

    def stop() -> bool:
        return failed.is_set() or work.stop()

    def run(worker: _Worker) -> None:
        with jax.enable_x64(double):
            while not stop():
                with taking:
                    number, chunk = next(waiting, (0, None))
                if chunk is None:
                    return
                if chunk.shard.exists():
                    skip(bar, epochs * work.steps(chunk))
                    continue
                began, group = time.time(), work.groups[chunk.group]
                trainer = worker.trainer(chunk.group, group, alone=last)
                begin = _taken_over(group, chunk, latest) if latest else None
                label = f"chunk {number}/{len(chunks)}, "
                _train_chunk(work._replace(stop=stop), chunk, trainer, epochs, begin, began, bar, label)
        if next(waiting, None) is not None:
            raise Stopped(f"what was trained is saved in {work.out}")

    with ThreadPoolExecutor(len(workers)) as pool:
        futures = [pool.submit(run, worker) for worker in workers]
        wait(futures, return_when=FIRST_EXCEPTION)
        failed.set()
    errors = [error for future in futures if (error := future.exception()) is not None]
    for error in sorted(errors, key=lambda error: isinstance(error, Stopped)):
        raise error


def _train_chunk(
    work: Work, chunk: Chunk, trainer: Trainer, epochs: int, begin: Progress | None, began: float, bar: Any, label: str
) -> None:
    """Train a chunk up to so many epochs, from where it was saved or else from ``begin``, and leave its shard.

    The work on it began at the time ``began``.

    Raises Stopped where told to stop; all is saved then.
    """
    settings, group = work.settings, work.groups[chunk.group]
    runs = np.array(chunk.padded(group))
    point_of = [work.points[run // settings.seeds] for run in runs]
    of_runs = [hparams_of(replace(group.settings, **point)) for point in point_of]
    hparams = jax.tree.map(lambda *values: np.array(values), *of_runs)
    names = [f"Run {run} ({as_typed(point)})" for run, point in zip(chunk.runs, point_of, strict=False)]
    free = (*command.free(group.settings), "seeds")
    same = {key: value for key, value in command.config(group.settings).items() if key not in free}
    config = {**same, "runs": chunk.runs, "points": point_of}
    identity = identity_of(work.experiment, runfolder.plain(config), group.study)
    earlier: list[list[float]] = []
    if checkpoint.exists(chunk.saved):
        meta = saved_meta(chunk.saved, identity, _ChunkMeta)
        assert meta is not None
        begin, earlier = saved_progress(chunk.saved, group.abstract()), meta["worked"]

    def worked() -> list[list[float]]:
        return [*earlier, [began, time.time()]]

    with runfolder.writing(chunk.folder):
        chunk.folder.mkdir(parents=True, exist_ok=True)
    fitted = trainer(
        run_keys(settings.seed, runs % settings.seeds),
        hparams,
        epochs=epochs,
        resume=begin,
        save=lambda progress: save_progress(chunk.saved, progress, identity | {"worked": worked()}),
        save_every=SAVE_SECONDS,
        stop=work.stop,
        bar=bar,
        label=label,
        names=[*names, *[None] * (len(runs) - len(names))],
    )
    if not fitted.finished:
        raise Stopped(f"{label}{fitted.progress.epoch} of {epochs} epochs are saved in {work.out}")
    runfolder.write_json(chunk.shard, _record(chunk, fitted, worked(), trainer.bytes))


def _record(chunk: Chunk, fitted: Fitted, worked: list[list[float]], memory: int) -> Record:
    """What became of a chunk's runs, for ``shard.json``."""
    progress = fitted.progress
    failed, stopped = jax.device_get((progress.runs.failed_at, progress.runs.stopped))
    history = [row | {"run": chunk.runs[row["run"]]} for row in progress.history if row["run"] < len(chunk.runs)]
    last = {row["run"]: row for row in history}
    records = []
    for place, run in enumerate(chunk.runs):
        row, diverged = last.get(run, {}), bool(failed[place] >= 0)
        metrics = {name: float(values[place]) for name, values in fitted.metrics.items()}
        if progress.runs.best is not None:
            metrics |= {f"last_{name}": math.nan if diverged else row.get(name, math.nan) for name in metrics}
        metrics |= {name: value for name, value in row.items() if name.startswith("train_")}
        records.append(
            {
                "run": run,
                "diverged_at": int(failed[place]) if diverged else None,
                "stopped_early": bool(stopped[place]),
                "epochs": row.get("epoch", 0),
                "metrics": metrics,
                "seconds": sum(end - start for start, end in worked) / len(chunk.runs),
            }
        )
    return {
        "runs": records,
        "history": history,
        "memory": memory,
        "worked": worked,
        "seconds": progress.seconds,
    }


def _taken_over(group: Group, chunk: Chunk, latest: Mapping[int, tuple[Chunk, Record]]) -> Progress:
    """A chunk's runs as they stood at the rung before, gathered from the chunks in which they got there."""
    abstract = group.abstract()
    stood: dict[Path, Progress] = {}
    pieces, history = [], []
    for place, run in enumerate(chunk.padded(group)):
        before, _ = latest[run]
        if before.folder not in stood:
            stood[before.folder] = saved_progress(before.saved, abstract)
        progress, index = stood[before.folder], before.runs.index(run)
        pieces.append(jax.tree.map(itemgetter(index), progress.runs))
        history += [row | {"run": place} for row in progress.history if row["run"] == index]
    history.sort(key=lambda row: (row["epoch"], row["run"]))
    epoch = max(progress.epoch for progress in stood.values())
    runs = jax.tree.map(lambda *leaves: jnp.stack(leaves), *pieces)
    return Progress(runs, epoch, 0, history, {"compile": 0.0, "train": 0.0})


def _better_half(work: Work, points: Sequence[int], latest: Mapping[int, tuple[Chunk, Record]]) -> list[int]:
    """The better half of the points, the larger one of an odd number."""
    metric, high = objective(work.settings, [group.study for group in work.groups])
    metrics = {entry["run"]: entry["metrics"] for _, record in latest.values() for entry in record["runs"]}
    seeds = work.settings.seeds
    values = {
        point: np.array([number(metrics[point * seeds + seed].get(metric)) for seed in range(seeds)])
        for point in points
    }
    return sorted(ranked(values, high)[: -(-len(points) // 2)])


def seconds_worked(records: Iterable[Record]) -> float:
    """How long there was work on any of these chunks, at the same time or not."""
    total, until = 0.0, -math.inf
    for began, ended in sorted(tuple(span) for record in records for span in record["worked"]):
        total += max(0.0, ended - max(began, until))
        until = max(until, ended)
    return total


def ranked(values: Mapping[int, np.ndarray], high: bool) -> list[int]:
    """Points by the values of their runs, the best first: the more finite ones, then their mean, then the number."""

    def key(point: int) -> tuple[float, float, int]:
        finite = values[point][np.isfinite(values[point])]
        mean = finite.mean() if finite.size else math.inf
        return -finite.size, -mean if high else mean, point

    return sorted(values, key=key)


def number(value: float | None) -> float:
    """What JSON has null for is not finite."""
    return math.nan if value is None else value
