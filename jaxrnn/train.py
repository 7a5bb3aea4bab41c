"""Training: the pure step and segment, evaluation, and `fit`, the loop around them, for one run or many.

A run is one pytree, advanced by a pure function of its key. Many runs are the same pytree with a leading run axis; they
train as one compiled program, spread over the devices: the runs first, each batch over the devices that are left. Where
the devices do not divide the runs, those left over are a share of their own, with a program of its own.
What is compiled, once, is a segment: a loop over some number of training steps. Between segments, every two seconds or
so, the host draws the progress bar, saves, and looks whether it should stop. A `Trainer` keeps what was compiled for
the next runs of the same shapes; `fit` is one that trains once.
"""

import itertools
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from operator import itemgetter
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from jaxrnn import schemes
from jaxrnn.cells import zero_where_fixed
from jaxrnn.optimisers import clipped_to, global_norm
from jaxrnn.typing import Array, ArrayLike, Bool, Float, Int, Key

SEGMENT_SECONDS = 2.0
"""How much work a segment holds: what passes between two looks at the signals."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Hparams:
    """The floats of a run, traced: they can differ from run to run without another compilation."""

    learning_rate: Any = 1e-3
    clip_norm: Any = math.inf
    """Gradients with a larger global norm are scaled down to it."""
    dropout: Any = 0.0
    """Between layers."""
    forget_bias: Any = None
    """An LSTM's forget gate's bias at the start; None leaves it to the initialisation."""


@partial(jax.tree_util.register_dataclass, data_fields=["kept"], meta_fields=["draw", "steps", "examples"])
@dataclass(frozen=True)
class Stream:
    """Training examples drawn inside the compiled step where a batch is wanted.

    The batch of a step is a function of the run's key and the step, on any number of devices.
    """

    draw: Callable[..., tuple[Any, Any]]
    """``draw(key, n)``, with ``kept`` after that where there is such: n examples ``(x, y)``; pure, n static."""
    steps: int
    """The training steps that count as an epoch: after each epoch there is an evaluation and a row of the history."""
    examples: int | None = None
    """How many different examples there are; None where there is no end of them."""
    kept: Any = None
    """Arrays that examples are drawn from, a text, say; they stay on the devices as they are."""


@partial(jax.tree_util.register_dataclass, data_fields=["x", "y"], meta_fields=[])
@dataclass(frozen=True)
class Chunks:
    """Long sequences read chunk by chunk: step s of every epoch trains on the s-th chunk of all of them.

    Leaves of ``x`` and ``y`` are ``(steps, batch, ...)``. With a `Stateful` task each row goes on where it stood: that
    is backpropagation through time, truncated at the chunks.
    """

    x: Any
    y: Any

    @property
    def steps(self) -> int:
        """The training steps in an epoch."""
        return jax.tree.leaves(self.x)[0].shape[0]


@partial(jax.tree_util.register_dataclass, data_fields=["parts"], meta_fields=[])
@dataclass(frozen=True)
class Buckets:
    """Examples of several shapes, such as sequences of like length: every batch is of one part.

    Each part is examples ``(x, y)``, cut into batches of its own, the last of which may be short. Every epoch has each
    example once. In which order the parts have their turns is drawn for the epoch and is the same for all runs; which
    of a part's examples are in which batch is drawn for each run.
    """

    parts: tuple[tuple[Any, Any], ...]

    def batches(self, batch: int) -> list[int]:
        """How many batches each part has."""
        return [-(-_examples(part) // batch) for part in self.parts]


Data = tuple[Any, Any] | Stream | Chunks | Buckets
"""What is trained on: examples ``(x, y)``, each once an epoch in an order of its own, or one of the above."""

Kept = tuple[Any, Any] | Buckets
"""What is evaluated on: examples that are kept, in one part or several."""


def examples_in(data: Kept) -> int:
    """How many examples there are."""
    return sum(map(_examples, _parts(data)))


def _parts(data: Kept) -> Sequence[tuple[Any, Any]]:
    return data.parts if isinstance(data, Buckets) else [data]


def full_batch(data: tuple[Any, Any], steps: int) -> Stream:
    """A stream that has all the examples of ``(x, y)`` in every batch, in their order; ``steps`` count as an epoch.

    For a `Task` whose batch is as large as the data: a smaller one has the first examples alone, and a larger one is a
    ValueError when it is drawn.
    """
    examples = _examples(data)

    def draw(key, n, data):
        if n > examples:
            raise ValueError(f"a batch of {n} is more than the {examples} examples that there are")
        return jax.tree.map(lambda a: jnp.asarray(a)[:n], data)

    return Stream(draw, steps, examples, data)


class Stateful(NamedTuple):
    """How a task trains that carries a state from each step to the next.

    The state is that of a batch's rows, leaves ``(batch, ...)``. Every epoch begins with the initial one, and no
    gradient goes back over the border of a step.
    """

    initial: Callable[[Any, int], Any]
    """``initial(model, n)``: the state of n rows."""
    objective: Callable[..., tuple[dict[str, Float[Array, "b"]], Any]]
    """``objective(model, state, x, y, hparams, key)``: the metrics of `Task.objective`, and the state after."""


@dataclass(frozen=True)
class Task:
    """What is trained, and how: everything about a run that is fixed when it is compiled.

    ``make_model(rngs, hparams)`` draws a model. ``objective(model, x, y, hparams, key)`` gives a dict of per-example
    arrays ``(b,)``: ``"loss"`` is minimised in the mean, the others are reported; ``key`` is None in evaluation. It is
    traced with the scans' fastest schemes, which know derivatives in reverse mode only: where it takes others of the
    model by itself, it calls that with ``scheme="reference"``.
    ``optimiser(hparams)`` makes the optimiser; gradients are clipped to ``hparams.clip_norm`` before it. Where
    ``stateful`` is given, it is what trains, with the same metrics, and ``objective`` evaluates.
    """

    make_model: Callable[[nnx.Rngs, Hparams], Any]
    objective: Callable[..., dict[str, Float[Array, "b"]]]
    optimiser: Callable[[Hparams], optax.GradientTransformation]
    batch: int = 128
    stateful: Stateful | None = None


class Best(NamedTuple):
    """The model of a run at the epoch where the watched metric was lowest."""

    model: Any
    value: Float[Array, ""]
    epoch: Int[Array, ""]
    """-1 while there is none: the metric has not been finite yet, and the model is that of the start."""


class Run(NamedTuple):
    """All there is to a run. With many runs, every leaf has a leading run axis."""

    model: Any
    opt_state: Any
    key: Key[Array, ""]
    step: Int[Array, ""]
    """Training steps taken."""
    totals: dict[str, Float[Array, ""]]
    """Sums over the current epoch: of each metric over the examples, and of the norms over the steps."""
    failed_at: Int[Array, ""]
    """The step, counted from 0, at which the loss, the gradient (as clipped) or the update was not finite, or so large
    that the sum of its squares is not; -1 while all is well. The run stands still from there, with the weights from
    before that step."""
    stopped: Bool[Array, ""]
    """Whether early stopping has ended the run."""
    best: Best | None
    state: Any = None
    """What a `Stateful` task carries to the next step."""

    @property
    def final(self) -> Any:
        """The model to use: the best one where it was kept, else the last."""
        return self.model if self.best is None else self.best.model


def cross_entropy(
    model: Any, x: Any, y: Int[Array, "b"], hparams: Hparams, key: Key[Array, ""] | None
) -> dict[str, Float[Array, "b"]]:
    """Classification: ``loss``, the cross-entropy in nats; ``accuracy`` and ``error``, 1 or 0, of the largest logit."""
    logits = model(x, key=key, dropout=hparams.dropout)
    loss = optax.softmax_cross_entropy_with_integer_labels(logits, y)
    right = is_largest(logits, y)
    return {"loss": loss, "accuracy": right, "error": 1 - right}


def is_largest(logits: Float[Array, "*b k"], y: Int[Array, "*b"]) -> Float[Array, "*b"]:
    """1 where ``y`` is the place of a row's largest logit, the first of equal ones, else 0; also where y is no place.

    ``argmax(logits) == y``, for which a CPU takes eight times as long: it goes from place to place.
    """
    asked = jnp.take_along_axis(logits, y[..., None], axis=-1)
    places = jnp.arange(logits.shape[-1])
    beaten = jnp.where(places < y[..., None], logits < asked, logits <= asked)
    return beaten.astype(logits.dtype).min(-1)


def binary_cross_entropy(
    model: Any, x: Any, y: Int[Array, "b"], hparams: Hparams, key: Key[Array, ""] | None
) -> dict[str, Float[Array, "b"]]:
    """Yes or no, of a model with one logit z: that of yes, label 1.

        loss = -y log s(z) - (1 - y) log(1 - s(z)) = log(1 + e^z) - y z

    in nats; ``accuracy`` and ``error``, 1 or 0, where yes is said of z above 0. PyTorch's ``BCEWithLogitsLoss``.
    """
    (logits,) = jnp.moveaxis(model(x, key=key, dropout=hparams.dropout), -1, 0)
    loss = jax.nn.softplus(logits) - y * logits
    right = jnp.where(y == 1, logits > 0, logits <= 0).astype(loss.dtype)  # NaN is neither
    return {"loss": loss, "accuracy": right, "error": 1 - right}


def squared_error(
    model: Any,
    x: Any,
    y: Float[Array, "b t k"],
    hparams: Hparams,
    key: Key[Array, ""] | None,
    *,
    counted: ArrayLike | None = None,
) -> dict[str, Float[Array, "b"]]:
    """Regression at every step: the squared errors of each output, in the mean over time.

        mse_k = mean_t (y_tk - model(x)_tk)^2,    loss = sum_k mse_k,    mse = mean_k mse_k

    ``mse_1``, ``mse_2`` and so on are reported where there are several outputs. Where ``counted``, ``(t, k)``, is
    given, the mean over time is that of the steps where it is true, of which every output has some.
    """
    squares = jnp.square(y - model(x, key=key, dropout=hparams.dropout))
    means = squares.mean(1) if counted is None else squares.mean(1, where=jnp.asarray(counted))
    outputs = means.shape[-1]
    each = {f"mse_{output + 1}": means[:, output] for output in range(outputs)} if outputs > 1 else {}
    return {"loss": means.sum(-1), "mse": means.mean(-1), **each}


def start(
    task: Task, key: Key[Array, ""], hparams: Hparams, example: tuple[Any, Any], *, keep_best: bool = False
) -> Run:
    """A run before its first step: a function of its key (and hyperparameters) alone.

    ``example`` is a batch ``(x, y)`` of any size, looked at for its shapes only; see `example_of`.

    Raises:
        ValueError: a model whose leaves are not all arrays of floats (training would lose the others silently).
    """
    model = task.make_model(nnx.Rngs(jax.random.fold_in(key, 0)), hparams)
    for path, leaf in jax.tree_util.tree_leaves_with_path(model):
        if not jnp.issubdtype(jnp.result_type(leaf), jnp.floating):
            name = jax.tree_util.keystr(path)
            raise ValueError(f"a model's leaves must be arrays of floats, but {name} is {jnp.result_type(leaf)}")
    metrics = shapes_of_metrics(task, model, example, hparams)
    zero = jnp.zeros(())
    return Run(
        model=model,
        opt_state=_transformation(task, hparams).init(model),
        key=key,
        step=jnp.zeros((), jnp.int32),
        totals={name: zero for name in (*metrics, "examples", "steps", "gradient_norm", "update_norm")},
        failed_at=jnp.full((), -1, jnp.int32),
        stopped=jnp.zeros((), bool),
        best=Best(model, jnp.full((), jnp.inf), jnp.full((), -1, jnp.int32)) if keep_best else None,
        state=None if task.stateful is None else task.stateful.initial(model, task.batch),
    )


def _transformation(task: Task, hparams: Hparams) -> optax.GradientTransformation:
    return optax.chain(clipped_to(hparams.clip_norm), task.optimiser(hparams))


@schemes.automatic()
def segment(
    task: Task,
    run: Run,
    hparams: Hparams,
    data: Data,
    epoch: Int[Array, ""],
    first: Int[Array, ""],
    count: Int[Array, ""],
    *,
    part: Int[Array, ""] | int = 0,
    parts: int = 1,
    axis: str | None = None,
) -> Run:
    """``count`` training steps of one epoch, from its step ``first`` on; pure, so it jits, vmaps and shards.

    The order of examples is a permutation drawn from the run's key and the epoch; the epoch's last batch may be short.
    Each of ``parts`` devices takes its share of every batch's rows; their gradients are summed over ``axis``.
    """
    width = -(-task.batch // parts)
    columns = part * width + jnp.arange(width)
    order = jax.random.fold_in(jax.random.fold_in(run.key, 1), epoch)
    turn, batches = _turns(task, data, epoch), _batches(task, data, order, columns)
    optimiser = _transformation(task, hparams)

    def total(values):
        return values if axis is None else jax.lax.psum(values, axis)

    def rows_of_all(mine):
        if axis is None:
            return mine
        return jax.tree.map(lambda a: jax.lax.all_gather(a, axis, tiled=True)[: task.batch], mine)

    def step(index, run):
        key = jax.random.fold_in(jax.random.fold_in(jax.random.fold_in(run.key, 2), run.step), part)
        before = None
        if task.stateful is not None:
            begin = task.stateful.initial(run.model, task.batch)
            before = jax.tree.map(partial(jnp.where, first + index == 0), begin, run.state)
            before = jax.tree.map(lambda a: a[jnp.minimum(columns, task.batch - 1)], before)

        def work(batch, place):
            (x, y), real, examples = batch(place)

            def loss(model):
                if task.stateful is None:
                    each, after = task.objective(model, x, y, hparams, key), None
                else:
                    each, after = task.stateful.objective(model, before, x, y, hparams, key)
                metrics = {k: jnp.where(real, v, 0).sum() for k, v in each.items()}
                return metrics["loss"] / examples, (metrics, after)

            grads, (metrics, after) = jax.grad(loss, has_aux=True)(run.model)
            return grads, metrics, after, examples

        which, place = turn(first + index)
        if len(batches) == 1:
            grads, metrics, after, examples = work(batches[0], place)
        else:  # of which only one is worked on, under vmap too: it is the same one for all runs
            grads, metrics, after, examples = jax.lax.switch(which, [partial(work, b) for b in batches], place)
        grads, metrics = total((zero_where_fixed(grads), metrics))
        updates, opt_state = optimiser.update(grads, run.opt_state, run.model)
        updates = zero_where_fixed(updates)  # weight decay asks for no gradient
        norms = {"gradient_norm": global_norm(grads), "update_norm": optax.tree.norm(updates)}
        sums = {**metrics, **norms, "examples": examples, "steps": 1}
        new = run._replace(
            model=optax.apply_updates(run.model, updates),
            opt_state=opt_state,
            step=run.step + 1,
            totals={k: v + sums[k] for k, v in run.totals.items()},
            state=rows_of_all(after),
        )
        idle = run.stopped | (run.failed_at >= 0)
        # an optimiser may square what it is given: of infinite squares, Adam would hold its weights for ever
        squares = jnp.square(jnp.minimum(norms["gradient_norm"], hparams.clip_norm))
        fine = jnp.isfinite(jnp.stack([metrics["loss"], *norms.values(), squares])).all()
        new = jax.tree.map(partial(jnp.where, fine & ~idle), new, run)
        return new._replace(failed_at=jnp.where(fine | idle, run.failed_at, run.step))

    fresh = {k: jnp.where(first == 0, 0, v) for k, v in run.totals.items()}
    return jax.lax.fori_loop(0, count, step, run._replace(totals=fresh))


def _turns(task: Task, data: Data, epoch: Int[Array, ""]) -> Callable:
    """A function of a step's number in its epoch: which of the data's parts its batch is of, and its place there."""
    if not isinstance(data, Buckets):
        return lambda step: (0, step)
    counts = data.batches(task.batch)
    part, place = (
        jnp.concatenate(each)
        for each in (
            [jnp.full(count, number) for number, count in enumerate(counts)],
            [jnp.arange(count) for count in counts],
        )
    )
    order = jax.random.permutation(jax.random.fold_in(jax.random.key(0), epoch), sum(counts))
    return lambda step: (part[order[step]], place[order[step]])


def _batches(task: Task, data: Data, key: Key[Array, ""], columns: Int[Array, "b"]) -> list[Callable]:
    """For each of the data's parts, a function of a batch's place there: these columns of the batch, which of them are
    real, and how many examples the whole batch has."""

    def share(batch):
        mine = jax.tree.map(lambda a: a[jnp.minimum(columns, task.batch - 1)], batch)
        return mine, columns < task.batch, jnp.asarray(task.batch)

    if isinstance(data, Stream):
        # every device draws the whole batch: drawing is cheap, and the numbers stay those of one device
        def drawn(step):
            return share(_draw(data, jax.random.fold_in(key, step), task.batch))

        return [drawn]
    if isinstance(data, Chunks):
        return [lambda step: share(jax.tree.map(lambda a: a[step], (data.x, data.y)))]

    def kept(number, part):
        n = _examples(part)
        order = jax.random.permutation(key if number == 0 else jax.random.fold_in(key, number), n)

        def rows_at(place):
            places = place * task.batch + columns
            rows = order[jnp.minimum(places, n - 1)]
            real = (columns < task.batch) & (places < n)
            return jax.tree.map(lambda a: a[rows], part), real, jnp.minimum(task.batch, n - place * task.batch)

        return rows_at

    return [kept(number, part) for number, part in enumerate(_parts(data))]


def _draw(data: Stream, key: Key[Array, ""], n: int) -> tuple[Any, Any]:
    return data.draw(key, n) if data.kept is None else data.draw(key, n, data.kept)


@schemes.automatic()
def evaluate(
    task: Task,
    model: Any,
    hparams: Hparams,
    data: Kept,
    *,
    batch: int = 512,
    part: Int[Array, ""] | int = 0,
    parts: int = 1,
    axis: str | None = None,
) -> dict[str, Float[Array, ""]]:
    """The mean of each metric over a data set, every example counted exactly once; pure."""
    if isinstance(data, Buckets):
        share = partial(evaluate, task, model, hparams, batch=batch, part=part, parts=parts, axis=axis)
        sums = [jax.tree.map(partial(jnp.multiply, _examples(each)), share(each)) for each in data.parts]
        return jax.tree.map(lambda *each: sum(each) / examples_in(data), *sums)
    n = _examples(data)
    width = -(-min(batch, n) // parts)
    steps = -(-n // (width * parts))

    def add(sums, index):
        places = (index * parts + part) * width + jnp.arange(width)
        x, y = jax.tree.map(lambda a: a[jnp.minimum(places, n - 1)], data)
        metrics = task.objective(model, x, y, hparams, None)
        return jax.tree.map(lambda s, v: s + jnp.where(places < n, v, 0).sum(), sums, metrics), None

    shapes = shapes_of_metrics(task, model, jax.tree.map(lambda a: a[:1], data), hparams)
    sums, _ = jax.lax.scan(add, jax.tree.map(lambda s: jnp.zeros((), s.dtype), shapes), jnp.arange(steps))
    return jax.tree.map(lambda s: s / n, sums if axis is None else jax.lax.psum(sums, axis))


def steps_per_epoch(task: Task, data: Data) -> int:
    """The training steps in an epoch."""
    if isinstance(data, Buckets):
        return sum(data.batches(task.batch))
    return -(-_examples(data) // task.batch) if isinstance(data, tuple) else data.steps


def _examples(data: Any) -> int:
    return jax.tree.leaves(data)[0].shape[0]


Devices = int | Sequence[jax.Device] | None
"""The devices to use: so many at most, these, or all."""


def spread(runs: int, batch: int, devices: Devices = None) -> Mesh:
    """The mesh that ``runs`` runs train on together: axis "run", then axis "batch".

    The largest number of devices that divides the runs goes to them; of what is left, each run's batch goes to as many
    as get at least 32 rows each.

    Raises:
        ValueError: more devices asked for than there are.
    """
    available = chosen(devices)
    count = len(available)
    over_runs = max(n for n in range(1, count + 1) if runs % n == 0)
    over_batch = max(1, min(count // over_runs, batch // 32))
    return Mesh(
        np.array(available[: over_runs * over_batch]).reshape(over_runs, over_batch),
        ("run", "batch"),
        axis_types=(AxisType.Auto, AxisType.Auto),
    )


def shares(runs: int, batch: int, devices: Devices = None) -> list[tuple[int, Mesh]]:
    """How `fit` spreads any number of runs: the runs in order, so many of them on each mesh.

    The first share is the largest multiple of the number of devices, whole runs on each; the runs left over are the
    second, spread as `spread` has it. There is one share where the devices divide the runs, or outnumber them.

    Raises:
        ValueError: more devices asked for than there are.
    """
    left = runs % len(chosen(devices))
    return [(size, spread(size, batch, devices)) for size in (runs - left, left) if size]


def chosen(devices: Devices) -> Sequence[jax.Device]:
    """The devices that are meant, of this process. Raises ValueError where there are not so many."""
    if isinstance(devices, Sequence):
        return devices
    available = jax.local_devices()
    if devices is not None and not 1 <= devices <= len(available):
        raise ValueError(f"devices must lie between 1 and the {len(available)} there are, not {devices}")
    return available[:devices]


def width(parameters: int, batch: int) -> int:
    """How many like runs one device best trains side by side, one of them having so many parameters and rows a step.

    On the CPU the runs of large networks are faster one after the other, each with its numbers in the cache, and those
    of small ones are faster side by side: there the machine mostly waits for the next instruction (measured on two
    cores, microseconds a run and step, 1 | 4 | 16 side by side: LSTM 128, batch 128: 1956 | 2095 | 2727; LSTM 32,
    batch 128: 364 | 323 | 381; Elman 16, batch 32: 88 | 59 | 23). An accelerator is given as many as 64 (on an NVIDIA
    H200, LSTM 128, batch 128, microseconds of 1 | 8 | 64 | 256: 383 | 73 | 27 | 23).
    """
    if jax.default_backend() != "cpu":
        return 64
    return 2 ** min(4, max(0, math.floor(math.log2(4e6 / (parameters * batch)))))


@schemes.automatic()
def memory_per_run(task: Task, hparams: Hparams, train: Data, *, keep_best: bool = False) -> int:
    """About how many bytes a run needs while it trains: its state, its gradients, and what they are computed from.

    An estimate from shapes, before anything is compiled: what the compiled program needs is `Trainer.bytes`.
    """
    run = abstract_runs(task, jax.random.key(0), hparams, train, keep_best=keep_best)

    def batch_of(a):  # of the type that it has on the device: numpy's float64 is float32 there
        return jax.ShapeDtypeStruct((task.batch, *a.shape[1:]), jax.dtypes.canonicalize_dtype(a.dtype))

    rows = jax.tree.map(batch_of, example_of(train))

    def kept(model, batch):
        def loss(model):
            return task.objective(model, *batch, hparams, None)["loss"].mean()

        # what it holds and not itself: JAX's caches would keep its program with the shape of the answer, for good
        return jax.tree.leaves(jax.vjp(loss, model)[1])

    state, model = _bytes(run), _bytes(run.model)
    return 2 * (state + model + _bytes(rows)) + _bytes(jax.eval_shape(kept, run.model, rows))


def _bytes(tree: Any) -> int:
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


class Programs:
    """The programs that train ``runs`` runs of a task on a mesh; each compiles when it is first called."""

    def __init__(self, task: Task, mesh: Mesh, runs: int, *, keep_best: bool = False):
        over_runs, parts = mesh.devices.shape
        each = _each(runs // over_runs)
        run, everywhere = PartitionSpec("run"), PartitionSpec()
        # gradients are those of the local share, summed by hand in the step: hence check_vma=False
        shard = partial(jax.shard_map, mesh=mesh, out_specs=run, check_vma=False)

        def start_runs(keys, hparams, example):
            # one after the other: under vmap, a QR factorisation (orthogonal weights) waits in the CPU's thread pool
            # for threads of that pool, and where every device does so at once, for ever
            return jax.lax.map(lambda run: start(task, run[0], run[1], example, keep_best=keep_best), (keys, hparams))

        # of whole batches nothing is summed: a sum over one device would stay in the program of several, and the bits
        # of a run would depend on how many devices others use beside it
        axis = "batch" if parts > 1 else None

        def train_segment(runs, hparams, data, epoch, first, count):
            part = jax.lax.axis_index(axis) if axis else 0

            def train(run, hparams):
                return segment(task, run, hparams, data, epoch, first, count, part=part, parts=parts, axis=axis)

            return each(train)(runs, hparams)

        def evaluate_runs(models, hparams, data):
            part = jax.lax.axis_index(axis) if axis else 0
            return each(lambda m, h: evaluate(task, m, h, data, part=part, parts=parts, axis=axis))(models, hparams)

        self.by_run, self.everywhere = NamedSharding(mesh, run), NamedSharding(mesh, everywhere)
        self.start = jax.jit(shard(start_runs, in_specs=(run, run, everywhere)))
        self.segment = jax.jit(shard(train_segment, in_specs=(run, run, *[everywhere] * 4)), donate_argnums=0)
        self.evaluate = jax.jit(shard(evaluate_runs, in_specs=(run, run, everywhere)))
        self.watch = jax.jit(jax.vmap(watch, in_axes=(0, 0, None, None)), donate_argnums=0)


def _each(runs: int) -> Callable:
    """``vmap`` over a leading axis of ``runs``; of one, the plain function (its products stay plain products)."""
    if runs > 1:
        return jax.vmap
    drop, add = partial(jax.tree.map, lambda a: a[0]), partial(jax.tree.map, lambda a: a[None])
    return lambda function: lambda *args: add(function(*map(drop, args)))


def watch(run: Run, value: Float[Array, ""], epoch: Int[Array, ""], patience: Int[Array, ""]) -> Run:
    """Early stopping after an epoch: keep the best model, and stop a run that has not been better for ``patience``."""
    best, moving = run.best, ~run.stopped & (run.failed_at < 0)
    assert best is not None
    better = moving & (value < best.value)
    best = jax.tree.map(partial(jnp.where, better), Best(run.model, value, epoch), best)
    return run._replace(best=best, stopped=run.stopped | (epoch - jnp.maximum(best.epoch, 0) >= patience))


class Watch(NamedTuple):
    """Early stopping, for each run by itself: stop when ``metric`` has not fallen for ``patience`` epochs."""

    metric: str
    """A column of the history, such as ``valid_loss``; of the lowest value's epoch the model is kept."""
    patience: int


class Progress(NamedTuple):
    """Where training stands: all that `fit` needs to go on exactly where it was."""

    runs: Run
    epoch: int
    """Epochs finished."""
    step: int
    """Training steps taken in the epoch after those."""
    history: list[dict[str, Any]]
    """A row for each run and finished epoch."""
    seconds: dict[str, float]
    """Spent so far: ``compile`` and ``train`` (which includes evaluation and saving)."""


class Fitted(NamedTuple):
    """What `fit` leaves."""

    progress: Progress
    finished: bool
    """False if it was told to stop before the end."""
    metrics: dict[str, np.ndarray]
    """``(r,)`` arrays by name, ``test_loss`` and so on, of the best model where one was kept; NaN for a failed run, and
    for one whose watched metric was never finite."""


def fit(
    task: Task,
    keys: Key[Array, "*r"],
    hparams: Hparams,
    train: Data,
    *,
    epochs: int,
    evals: Mapping[str, Kept] | None = None,
    watch: Watch | None = None,
    devices: Devices = None,
    progress: bool = True,
    **options: Any,
) -> Fitted:
    """Train one run, or many together, from start to end.

    Args:
        task: what is trained.
        keys: a key, or ``(r,)`` of them for r runs. A run is a function of its key.
        hparams: leaves are numbers, or ``(r,)`` arrays with one for each run.
        train: ``(x, y)``, pytrees of arrays ``(n, ...)``, kept on the devices as they are (bytes stay bytes), a
            `Stream`, `Chunks`, or `Buckets`.
        epochs: passes over the data, each in an order of its own; of a stream, so many times its steps.
        evals: data sets evaluated after every epoch, by name: ``test`` gives the columns ``test_loss`` and so on.
        watch: early stopping, and the best model of each run.
        devices: which to use; see `shares`.
        progress: draw a progress bar.
        options: ``resume``, ``save``, ``save_every``, ``stop`` and ``after`` of `Trainer.__call__`.

    A run whose loss, gradient or update is not finite stands still from that step on, and is said; the others go on.

    Raises:
        ValueError: data without examples or with x and y of different lengths, an unknown metric to watch, more devices
            than there are.
    """
    trainer = Trainer(task, keys.size, hparams, train, evals=evals, watch=watch, devices=devices)
    with progress_bar(epochs * trainer.steps, progress) as bar:
        return trainer(keys, hparams, epochs=epochs, bar=bar, **options)


class Trainer:
    """What `fit` compiles, kept: trains so many runs of a task on these data, for any keys and hyperparameters."""

    def __init__(
        self,
        task: Task,
        runs: int,
        hparams: Hparams,
        train: Data,
        *,
        evals: Mapping[str, Kept] | None = None,
        watch: Watch | None = None,
        devices: Devices = None,
    ):
        """Compile; of ``hparams`` only what is None matters. The arguments and errors are those of `fit`."""
        evals = dict(evals or {})
        for name, data in {"train": train, **evals}.items():
            _check(name, data, task.batch)
        plan = shares(runs, task.batch, devices)
        self.runs = runs
        self.steps = steps_per_epoch(task, train)
        """Training steps in an epoch."""
        self._watch = watch
        self._counts = [size for size, _ in plan]
        clock = time.perf_counter()
        # put once on every device that is used: what a further share puts there again is already there
        train, evals = jax.device_put((train, evals), NamedSharding(plan[0][1], PartitionSpec()))
        self._parts = [
            _Compiled(task, mesh, count, hparams, train, evals, keep_best=watch is not None) for count, mesh in plan
        ]
        self._compiling = time.perf_counter() - clock
        self._pace = math.inf
        names = self._parts[0].metric_names
        if watch is not None and watch.metric not in names:
            raise ValueError(f"there is no {watch.metric!r} to watch: the metrics are {', '.join(names) or 'none'}")

    @property
    def bytes(self) -> int:
        """The memory of the largest program on one device while it runs; 0 where the compiler does not say."""
        return max(part.bytes for part in self._parts)

    def __call__(
        self,
        keys: Key[Array, "*r"],
        hparams: Hparams,
        *,
        epochs: int,
        resume: Progress | None = None,
        save: Callable[[Progress], None] | None = None,
        save_every: float = 10.0,
        stop: Callable[[], bool] = lambda: False,
        after: Callable[[Progress], None] | None = None,
        bar: Any = None,
        label: str = "",
        names: Sequence[str | None] | None = None,
    ) -> Fitted:
        """Train these runs from start to end.

        Args:
            keys: as for `fit`, as many as the trainer is for.
            hparams: as for `fit`.
            epochs: as for `fit`.
            resume: go on from here instead of starting; bitwise the run without a break, on as many devices. Its arrays
                are used up.
            save: called with where training stands, every ``save_every`` seconds, at the end, and when told to stop.
                The next step overwrites the arrays: what is to be kept must be copied before it returns.
            stop: asked between segments, every two seconds or so; true ends training after a last save.
            after: called with where training stands after every epoch, before that is saved; what ``save`` must copy,
                it must copy too.
            bar: a progress bar of training steps to move on, from `progress_bar`.
            label: what stands before the epoch on the bar.
            names: what each run is called when it fails, ``Run 0`` and so on where not given; None says nothing of it.
        """
        if keys.size != self.runs:
            raise ValueError(f"the trainer is for {self.runs} runs, not for {keys.size}")
        single, count, parts, steps = keys.ndim == 0, keys.size, self._parts, self.steps
        earlier = {"compile": 0.0, "train": 0.0} if resume is None else resume.seconds
        compiling, self._compiling = self._compiling, 0.0  # it is the first call's
        began = time.perf_counter()
        bar = progress_bar(epochs * steps, False) if bar is None else bar
        inputs = _split((keys.reshape(count), _for_each(hparams, count)), self._counts)
        inputs = [part.placed(*given) for part, given in zip(parts, inputs, strict=True)]
        if resume is None:
            epoch, step, history = 0, 0, list[dict[str, Any]]()
            runs = [part.start(*given) for part, given in zip(parts, inputs, strict=True)]
        else:
            begun, epoch, step, history, _ = resume
            begun = jax.tree.map(lambda a: a[None], begun) if single else begun
            runs = [part.place(share) for part, share in zip(parts, _split(begun, self._counts), strict=True)]
            skip(bar, epoch * steps + step)

        def fetch(field):
            """Something of all runs, on the host."""
            return _joined([field(share) for share in runs])

        def evaluate(models):
            return [part.metrics(model, h) for part, model, (_, h) in zip(parts, models, inputs, strict=True)]

        def stands():
            seconds = {"compile": earlier["compile"] + compiling}
            seconds["train"] = earlier["train"] + time.perf_counter() - began
            together = _together(runs)
            together = jax.tree.map(lambda a: a[0], together) if single else together
            return Progress(together, epoch, step, history, seconds)

        saved = lap = time.perf_counter()
        stopping, idle, measured = False, False, None
        known_failures: set[int] = set()
        while epoch < epochs and not idle and not (stopping := stop()):
            take = min(steps - step, max(1, round(SEGMENT_SECONDS / self._pace)))
            dispatched = time.perf_counter()
            runs = [
                part.advance(share, h, epoch, step, take)
                for part, share, (_, h) in zip(parts, runs, inputs, strict=True)
            ]
            self._pace = (time.perf_counter() - dispatched) / take
            step, measured = step + take, None
            totals, failed_at, stopped = fetch(lambda runs: (runs.totals, runs.failed_at, runs.stopped))
            moving = (failed_at < 0) & ~stopped
            _show(bar, take, f"{label}epoch {epoch + 1}/{epochs}", totals, moving)
            for run in sorted(set(np.flatnonzero(failed_at >= 0).tolist()) - known_failures):
                known_failures.add(run)
                if (name := f"Run {run}" if names is None else names[run]) is not None:
                    what = f"loss, gradient or update is not finite at step {failed_at[run]}"
                    bar.write(f"{name}: {what}; it stands still from there.")
            if step == steps:
                measured = values = evaluate([share.model for share in runs])
                models = fetch(lambda runs: runs.model)
                rows = _rows(epoch + 1, totals, _joined(values), models, time.perf_counter() - lap)
                history = history + [row for row in rows if moving[row["run"]]]
                lap = time.perf_counter()
                if self._watch is not None:
                    metric, patience = self._watch
                    runs = [
                        part.watch(share, found[metric], epoch + 1, patience)
                        for part, share, found in zip(parts, runs, values, strict=True)
                    ]
                    moving &= ~fetch(lambda runs: runs.stopped)
                epoch, step = epoch + 1, 0
                if after is not None:
                    after(stands())
            idle = not moving.any()
            if save is not None and time.perf_counter() - saved >= save_every:
                save(stands())
                saved = time.perf_counter()
        if save is not None:
            save(stands())
        final: dict[str, np.ndarray] = {}
        if not stopping:
            failed, best = fetch(lambda runs: (runs.failed_at >= 0, runs.best and runs.best.epoch))
            lost = failed if best is None else failed | (best < 0)
            if measured is None or self._watch is not None:  # else the last models are those just evaluated
                measured = evaluate([share.final for share in runs])
            final = _joined(measured)
            final = {name: np.where(lost, np.nan, value) for name, value in final.items()}
        return Fitted(stands(), not stopping, final)


def _check(name: str, data: Data, batch: int) -> None:
    """Raises ValueError for data without examples, or whose arrays do not belong together."""
    if isinstance(data, Stream):
        return
    if isinstance(data, Chunks):
        sizes = {np.shape(leaf)[:2] for leaf in jax.tree.leaves(data)}
        if len(sizes) != 1 or max(sizes)[0] == 0 or max(sizes)[1] != batch:
            raise ValueError(f"{name} must be chunks (steps, {batch}, ...) for a batch of {batch}, not {sorted(sizes)}")
        return
    for part in _parts(data):
        if len(counts := {np.shape(leaf)[0] for leaf in jax.tree.leaves(part)}) != 1 or 0 in counts:
            raise ValueError(f"{name} must hold as many inputs as labels, and at least one, not {sorted(counts)}")


class _Compiled:
    """The compiled programs of consecutive runs of a `Trainer` on their mesh, and the data there."""

    def __init__(
        self,
        task: Task,
        mesh: Mesh,
        count: int,
        hparams: Hparams,
        train: Any,
        evals: Mapping[str, Any],
        *,
        keep_best: bool,
    ):
        self._programs = programs = Programs(task, mesh, count, keep_best=keep_best)
        self._train, self._evals = jax.device_put((train, evals), programs.everywhere)
        self._example = jax.device_put(example_of(self._train), programs.everywhere)
        shapes = jax.tree.map(lambda value: np.zeros(()), hparams)
        keys, hparams = self.placed(jax.random.split(jax.random.key(0), count), _for_each(shapes, count))
        self._start = programs.start.lower(keys, hparams, self._example).compile()
        runs = jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=programs.by_run), self._start.out_info
        )
        self._structure = jax.tree.structure(runs)
        self._advance = programs.segment.lower(runs, hparams, self._train, *self._scalars(0, 0, 0)).compile()
        self._measure = {
            name: programs.evaluate.lower(runs.model, hparams, data).compile() for name, data in self._evals.items()
        }

    @property
    def metric_names(self) -> list[str]:
        return [f"{name}_{metric}" for name, executable in self._measure.items() for metric in executable.out_info]

    @property
    def bytes(self) -> int:
        found = [program.memory_analysis() for program in (self._advance, *self._measure.values())]
        return max(
            memory.argument_size_in_bytes + memory.temp_size_in_bytes if memory is not None else 0 for memory in found
        )

    def _scalars(self, *values: int) -> Any:
        return jax.device_put(tuple(np.int32(v) for v in values), self._programs.everywhere)

    def placed(self, keys: Key[Array, "s"], hparams: Hparams) -> tuple[Any, Hparams]:
        """Keys and hyperparameters where their runs are."""
        return jax.device_put((keys, hparams), self._programs.by_run)

    def place(self, runs: Run) -> Run:
        """Runs begun earlier, on their devices; a function that a model makes and keeps becomes this program's own."""
        runs = jax.tree.unflatten(self._structure, jax.tree.leaves(runs))
        return jax.device_put(runs, self._programs.by_run)

    def start(self, keys: Key[Array, "s"], hparams: Hparams) -> Run:
        """The runs before their first step."""
        return self._start(keys, hparams, self._example)

    def advance(self, runs: Run, hparams: Hparams, epoch: int, first: int, count: int) -> Run:
        """A segment, waited for; ``runs`` are used up."""
        where = self._scalars(epoch, first, count)
        return jax.block_until_ready(self._advance(runs, hparams, self._train, *where))

    def metrics(self, models: Any, hparams: Hparams) -> dict[str, np.ndarray]:
        """Of these models of the runs, the evaluations on the host: ``test_loss`` and so on, ``(s,)``."""
        values = {
            name: jax.device_get(self._measure[name](models, hparams, data)) for name, data in self._evals.items()
        }
        return {f"{name}_{metric}": value for name, found in values.items() for metric, value in found.items()}

    def watch(self, runs: Run, value: np.ndarray, epoch: int, patience: int) -> Run:
        """Early stopping after an epoch; see the function `watch`. ``runs`` are used up."""
        value = jax.device_put(value, self._programs.by_run)
        return self._programs.watch(runs, value, *self._scalars(epoch, patience))


def _split(tree: Any, counts: list[int]) -> list[Any]:
    """A pytree with a leading run axis as one for each share of so many runs; one share is not copied."""
    return [tree] if len(counts) == 1 else _cut(tree, tuple(counts))


@partial(jax.jit, static_argnums=1)
def _cut(tree: Any, counts: tuple[int, ...]) -> list[Any]:
    ends = itertools.accumulate(counts)
    return [jax.tree.map(itemgetter(slice(end - count, end)), tree) for count, end in zip(counts, ends, strict=True)]


def _together(shares: list[Run]) -> Run:
    """The runs of all shares as one pytree; one share is not copied, of several there is a copy on the first device."""
    return shares[0] if len(shares) == 1 else _concatenated(jax.device_put(shares, jax.local_devices()[0]))


@jax.jit
def _concatenated(shares: list[Run]) -> Run:
    return _leaf_by_leaf(jnp.concatenate, shares)


def _joined(shares: list[Any]) -> Any:
    """Something of every share, with a leading run axis, as one pytree of arrays on the host."""
    return _leaf_by_leaf(np.concatenate, jax.device_get(shares))


def _leaf_by_leaf(join: Callable, trees: list[Any]) -> Any:
    # by leaves, for `jax.tree.map` would want equal trees: a function that a model makes and keeps is in each another
    leaves = zip(*map(jax.tree.leaves, trees), strict=True)
    return jax.tree.unflatten(jax.tree.structure(trees[0]), [join(each) for each in leaves])


def abstract_runs(task: Task, keys: Key[Array, "*r"], hparams: Hparams, train: Data, *, keep_best: bool = False) -> Run:
    """The shapes and types of the runs that `fit` would train: what to restore a checkpoint into."""
    example = example_of(train)

    def begin(key, hparams):
        return start(task, key, hparams, example, keep_best=keep_best)

    if keys.ndim == 0:
        return jax.eval_shape(begin, keys, hparams)
    return jax.eval_shape(jax.vmap(begin), keys, _for_each(hparams, keys.size))


def shapes_of_metrics(task: Task, model: Any, example: tuple[Any, Any], hparams: Hparams) -> dict[str, Any]:
    """The metrics that a task's objective has of a batch like this example, as shapes and types."""
    # a function of this call alone: JAX keeps what it traced while the function lives, and objectives outlive trainings
    return jax.eval_shape(lambda *given: task.objective(*given), model, *example, hparams, None)


def example_of(data: Data) -> tuple[Any, Any]:
    """A batch of one: the first example there is, of the largest part, zeros in the place of a drawn one."""
    if isinstance(data, Stream):
        drawn = jax.eval_shape(lambda data: _draw(data, jax.random.key(0), 1), data)
        return jax.tree.map(lambda a: np.zeros(a.shape, a.dtype), drawn)
    if isinstance(data, Chunks):
        return jax.tree.map(lambda a: a[0, :1], (data.x, data.y))
    examples = [jax.tree.map(lambda a: a[:1], part) for part in _parts(data)]
    return max(examples, key=_bytes)


def _for_each(hparams: Hparams, count: int) -> Hparams:
    floating = np.dtype(jnp.result_type(float))
    return jax.tree.map(lambda value: np.broadcast_to(np.asarray(value, floating), count), hparams)


def _rows(epoch: int, totals: dict, values: dict, models: Any, seconds: float) -> list[dict[str, Any]]:
    """The history's rows of one epoch, one for each run: means over the training steps, then the evaluations."""
    leaves = [np.asarray(leaf, np.float64) for leaf in jax.tree.leaves(models)]
    squares = [np.square(leaf).reshape(leaf.shape[0], -1).sum(1) for leaf in leaves]
    counts = {"gradient_norm": totals["steps"], "update_norm": totals["steps"]}
    means = {name: total / np.maximum(counts.get(name, totals["examples"]), 1) for name, total in totals.items()}
    columns = {f"train_{name}": means[name] for name in totals if name not in ("examples", "steps", *counts)}
    columns |= values | {name: means[name] for name in counts} | {"parameter_norm": np.sqrt(np.sum(squares, axis=0))}

    def row(run):
        return {name: float(column[run]) for name, column in columns.items()}

    return [{"run": run, "epoch": epoch, **row(run), "seconds": seconds} for run in range(len(totals["steps"]))]


def progress_bar(total: int, shown: bool = True) -> Any:
    """A bar of so many training steps, to be closed."""
    from tqdm import tqdm

    return tqdm(total=total, unit="step", dynamic_ncols=True, disable=not shown)


def skip(bar: Any, steps: int) -> None:
    """Move a bar on by steps that were taken earlier, and so say nothing of the speed."""
    if not bar.disable:
        with bar.get_lock():
            bar.initial += steps
            bar.n += steps
            bar.refresh()


def _show(bar: Any, steps: int, epoch: str, totals: dict, moving: np.ndarray) -> None:
    with bar.get_lock():
        bar.set_description(epoch, refresh=False)
        if moving.any():
            loss = np.mean(totals["loss"][moving] / totals["examples"][moving], dtype=float)
            bar.set_postfix(loss=f"{loss:.4f}", runs=int(moving.sum()), refresh=False)
        bar.update(steps)
