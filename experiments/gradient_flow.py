"""How the gradient flows back through time: in closed form, copy by copy, and through three cells (U2, I1).

python -m experiments.gradient_flow
"""

import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Self

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from jaxrnn import plots, runfolder, theory, words
from jaxrnn.cells import CELLS
from jaxrnn.command import Settings as CommonSettings
from jaxrnn.command import command
from jaxrnn.demonstration import Shown, demonstrate
from jaxrnn.errors import SettingsError
from jaxrnn.layers import Recurrent, stack
from jaxrnn.models import Classifier, parameter_count
from jaxrnn.plots.style import Look
from jaxrnn.scan import unroll
from jaxrnn.theory import VanillaRNN
from jaxrnn.train import Hparams, Programs, Run, Task, cross_entropy, spread
from jaxrnn.typing import Array, Float, Init, Int

NAMES = {cell: words.NAMES[cell] for cell in ("elman", "gru", "lstm")}
"""The cells that are trained, and what they are called."""

SYMBOLS = 4
NOISE = 0.1
TRAIN, TEST, BATCH = 2048, 512, 64
"""Of the delayed recall: how many symbols, how loud the later steps, how many examples, and how many in a batch."""

RADII = {"vanishing": 0.5, "kept": 1.0, "exploding": 2.0}
"""Spectral radii of the random networks whose terms are drawn."""

LEARNED, VANISHED = 0.9, 1e-4
"""A run has learned the task whose test accuracy is above the one; its gradient has vanished where |dL/dh_1| is below
the other, that of the last step being 1."""

_once = partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
"""`jax.jit` for programs that run once: compiled in half the time."""

FLOOR = -8.0
"""Where the shades end, in decades."""


@dataclass(frozen=True, kw_only=True)
class Settings(CommonSettings):
    """Follow the gradient back through time: in closed form, copy by copy, and through three cells in training.

    Compares the closed forms of backpropagation through time and the sum over unfolded copies with automatic
    differentiation, in double precision; then trains an Elman network, a GRU and an LSTM to recall the first of many
    symbols, and measures after every epoch how much the loss depends on the state at every step. Leaves figures (the
    gates of the trained GRU and LSTM among them), CSV files and result.json in the run folder.
    """

    length: int = 40
    """Time steps of the sequences; the first one is to be recalled after the last."""
    hidden: int = 32
    """Hidden units."""
    epochs: int = 30
    """Passes over the training data; the gradient is measured after each."""
    seeds: int = 4
    """How many runs of each cell, as one program."""
    seed: int = 0
    """Where the random numbers start."""
    learning_rate: float = 5e-3
    """Of Adam."""
    init: Init = "pytorch"
    """How weights start: PyTorch's uniform way, or orthogonal recurrent blocks and a forget bias of 1."""

    @classmethod
    def quick_defaults(cls) -> Self:
        return cls(quick=True, length=10, hidden=16, epochs=25, seeds=2, learning_rate=1e-2)


def main(name: str, settings: Settings) -> dict[str, Any]:
    """Compare, train and measure, and leave a run folder; returns what its ``result.json`` says.

    Raises:
        SettingsError: a number of steps, units, epochs or runs that leaves nothing to measure.
    """
    for option, least in (("length", 2), ("hidden", 1), ("epochs", 1), ("seeds", 1)):
        if getattr(settings, option) < least:
            raise SettingsError(f"--{option} must be at least {least}, not {getattr(settings, option)}")
    if not 0 < settings.learning_rate < float("inf"):
        raise SettingsError(f"--learning-rate must be above 0 and finite, not {settings.learning_rate}")
    return demonstrate(name, settings, lambda console, out: shown(settings, console, out))


def shown(settings: Settings, console: Console, out: Path) -> Shown:
    """Every part in turn, printed, drawn and written."""
    clock = time.perf_counter()
    with ThreadPoolExecutor() as pool:  # the compiler works on one core: let it work on several programs
        coming = {cell: pool.submit(compiled, cell, settings) for cell in NAMES}
        with jax.enable_x64(True):
            errors = differences(settings.seed)
            terms = term_sizes(settings.length, settings.hidden, settings.seed)
    programs = {cell: found.result() for cell, found in coming.items()}
    compiling = time.perf_counter() - clock
    _compared(console, errors)
    _terms(out, terms)
    clock = time.perf_counter()
    flows = {cell: train(NAMES[cell], programs[cell], settings.epochs, console) for cell in NAMES}
    training = time.perf_counter() - clock
    _flows(console, out, flows)
    metrics: dict[str, Any] = {"max_error": max(errors.values()), "bptt_error": closed_form_error(errors)} | errors
    metrics |= {f"second_term_{name}": second for name, second in second_terms(terms).items()}
    for cell, flow in flows.items():
        metrics |= {f"{cell}_test_accuracy": flow.accuracy[:, -1]}
        for when, moment in (("start", 0), ("end", -1)):
            metrics[f"{cell}_flow_{when}"] = 10 ** flow.relative(flow.state)[:, moment, 0]
    return Shown(
        metrics=metrics,
        answers=answers(settings, errors, terms, flows),
        reference=[
            {
                "what": "UVA Q1.1: closed form against automatic differentiation, float64, T=7, d=3, n=5, K=4",
                "metric": "bptt_error",
                "value": 2.2e-16,
                "note": "another implementation's; the paper prints none",
            }
        ],
        parameters=sum(flow.parameters for flow in flows.values()),
        dataset={"name": "delayed recall", "source": "drawn by the experiment", "train": TRAIN, "test": TEST},
        seconds={"compile": compiling, "train": training},
        devices=programs["elman"].devices,
    )


# --- closed forms against automatic differentiation -------------------------------------------------------------------


def random_network(d: int, h: int, k: int, seed: int, radius: float = 1.0, scale: float = 0.5) -> VanillaRNN:
    """A network whose recurrent weights are a random rotation times their spectral radius, the others normal."""
    draw = np.random.default_rng(seed).normal
    w_hx, b_h, b_p = (scale * draw(size=shape) for shape in ((h, d), h, k))
    w_hh, w_ph = radius * np.linalg.qr(draw(size=(h, h)))[0], draw(size=(k, h)) / h**0.5
    return VanillaRNN(*map(jnp.asarray, (w_hx, w_hh, b_h, w_ph, b_p)))


def differences(seed: int) -> dict[str, float]:
    """The largest difference of each closed form to automatic differentiation, for T=7, d=3, n=5, K=4."""
    t, d, h, k = 7, 3, 5, 4
    xs, y = np.random.default_rng(seed + 1).normal(size=(t, d)), np.eye(k)[seed % k]
    cells = {name: CELLS[name](d, h, init="pytorch", rngs=nnx.Rngs(seed)) for name in NAMES}
    found = _once(_differences)(random_network(d, h, k, seed), cells, xs, y)
    return {name: float(error) for name, error in jax.device_get(found).items()}


def closed_form_error(errors: Mapping[str, float]) -> float:
    """Of `differences` the largest of the closed forms of backpropagation through time, the copies aside."""
    return max(error for name, error in errors.items() if name.startswith("bptt"))


def _differences(network: VanillaRNN, cells: Any, xs: Any, y: Any) -> dict[str, Float[Array, ""]]:
    closed, automatic = theory.bptt(network, xs, y), jax.grad(theory.last_step_loss)(network, xs, y)
    copies = jax.grad(theory.last_step_loss)(theory.copies_of(network, len(xs)), xs, y)
    found = {
        f"bptt_error_{name}": _largest(getattr(closed, name), getattr(automatic, name)) for name in VanillaRNN._fields
    }
    found["copies_error_uva"] = _largest(_summed(copies), automatic)
    for name, cell in cells.items():
        shared = jax.grad(lambda cell: jnp.sum(jnp.square(unroll(cell, xs)[1])))(cell)
        copies = jax.grad(lambda copies: jnp.sum(jnp.square(theory.unroll_copies(copies, xs))))(
            theory.copies_of(cell, len(xs))
        )
        found[f"copies_error_{name}"] = _largest(_summed(copies), shared)
    return found


def _summed(copies: Any) -> Any:
    return jax.tree.map(lambda copy: copy.sum(0), copies)


def _largest(tree: Any, other: Any) -> Float[Array, ""]:
    return jnp.stack([jnp.abs(gap).max() for gap in jax.tree.leaves(jax.tree.map(jnp.subtract, tree, other))]).max()


def term_sizes(length: int, hidden: int, seed: int) -> dict[str, dict[str, np.ndarray]]:
    """How large each step's term of ``dL/dW_hh`` and ``dL/dW_ph`` is, ``(t,)``, for each of `RADII`.

    Sizes are Frobenius norms, relative to that of the last step; inputs and biases are small.
    """
    xs = jnp.asarray(np.random.default_rng(seed + 1).normal(size=(length, SYMBOLS)))
    size = _once(lambda network: theory.bptt_copies(network, xs, jnp.eye(SYMBOLS)[0])[0])
    sizes = {}
    for name, radius in RADII.items():
        terms = jax.device_get(size(random_network(SYMBOLS, hidden, SYMBOLS, seed, radius, scale=0.1)))
        norms = {weight: np.linalg.norm(getattr(terms, weight), axis=(1, 2)) for weight in ("w_hh", "w_ph")}
        sizes[name] = {weight: norm / norm[-1] for weight, norm in norms.items()}
    return sizes


def second_terms(terms: Mapping[str, Mapping[str, np.ndarray]]) -> dict[str, float]:
    """Of `term_sizes` the second step's term of ``dL/dW_hh``; the first step's is 0, as h(0) is."""
    return {name: float(sizes["w_hh"][1]) for name, sizes in terms.items()}


def _compared(console: Console, errors: Mapping[str, float]) -> None:
    table = Table(title="Largest difference to automatic differentiation (float64)", title_justify="left")
    table.add_column("gradient")
    table.add_column("difference", justify="right")
    for name, error in errors.items():
        kind, _, what = name.partition("_error_")
        said = f"closed form, dL/d{what}" if kind == "bptt" else f"sum over the copies, {what}"
        table.add_row(said, f"{error:.1e}")
    console.print(table)


def _terms(out: Path, terms: Mapping[str, Mapping[str, np.ndarray]]) -> None:
    steps = len(terms["kept"]["w_hh"])
    rows = [
        {"radius": RADII[name], "k": k + 1, **{weight: sizes[weight][k] for weight in sizes}}
        for name, sizes in terms.items()
        for k in range(steps)
    ]
    runfolder.write_csv(out / "bptt_terms.csv", rows)
    looks = plots.style.looks(terms)
    with np.errstate(divide="ignore"):
        panels = {
            said: {
                f"spectral radius {RADII[name]:g}": (looks[name], np.log10(sizes[weight])[None])
                for name, sizes in terms.items()
            }
            for weight, said in (("w_hh", "terms of dL/dW_hh"), ("w_ph", "terms of dL/dW_ph (others are 0)"))
        }
    figure = plots.theory.over_time(
        panels,
        "What each time step contributes to the gradient of the last step's loss",
        x="time step k",
        y="size of the term (last step: 1)",
    )
    runfolder.save_figure(figure, out / "bptt_terms.png")


# --- three cells in training ------------------------------------------------------------------------------------------


class Flow(NamedTuple):
    """What was measured of one cell, before training and after every epoch."""

    accuracy: np.ndarray
    """On the test set, ``(runs, epochs + 1)``."""
    state: np.ndarray
    """``log10 |dL/dh_k|`` of all that a step hands on (an LSTM's h and c), ``(runs, epochs + 1, t)``."""
    output: np.ndarray
    """The same of the hidden state ``h_k`` alone."""
    gates: dict[str, np.ndarray]
    """What the first run's cell computes at each step of a test sequence, once it is trained: ``(t, h)`` by letter."""
    parameters: int

    def relative(self, sizes: np.ndarray) -> np.ndarray:
        """``sizes`` less those of the last step, where all that is handed on is the output."""
        return sizes - self.state[..., -1:]


def recall_task(
    dice: np.random.Generator, examples: int, length: int
) -> tuple[Float[np.ndarray, "n t d"], Int[np.ndarray, "n"]]:
    """Sequences whose first step shows one of `SYMBOLS` symbols and whose later steps are noise; the symbols."""
    y = dice.integers(SYMBOLS, size=examples).astype(np.int32)
    xs = NOISE * dice.normal(size=(examples, length, SYMBOLS)).astype(np.float32)
    xs[:, 0] = np.eye(SYMBOLS)[y]
    return xs, y


def measure(model: Classifier, xs: Any, y: Any) -> tuple[Float[Array, ""], Float[Array, "t"], Float[Array, "t"]]:
    """The accuracy, and ``log10 |dL/dh_k|`` for every step k: of all that is handed on, and of the hidden state alone.

    Sizes are root mean squares over the examples.
    """

    def loss(ys):
        logits = model.head(ys[:, -1])
        return optax.softmax_cross_entropy_with_integer_labels(logits, y).sum()

    (layer,) = model.layers.layers
    assert isinstance(layer, Recurrent)
    carry = theory.carry_gradients(layer.cell, xs, loss)
    squares = [jnp.square(leaf).sum(-1).mean(0) for leaf in jax.tree.leaves(carry)]
    right = jnp.mean(jnp.argmax(model(xs), -1) == y)
    return right, jnp.log10(sum(squares)) / 2, jnp.log10(squares[0]) / 2


class Compiled(NamedTuple):
    """The programs that start, train and measure the runs of one cell."""

    start: Callable[[], Run]
    train: Callable[[Run, int], Run]
    """One epoch of the given number."""
    measure: Callable[[Any], Any]
    """`measure` of every run's model on the test set."""
    gates: Callable[[Any], dict[str, np.ndarray]]
    """`jaxrnn.theory.gate_trace` of every run's cell on one sequence of the test set."""
    devices: list[jax.Device]


def compiled(cell: str, settings: Settings) -> Compiled:
    """Draw the data, and compile all that works on them; nothing is run, so several cells can be compiled at once."""

    def make_model(rngs, hparams):
        layers = stack(cell, SYMBOLS, [settings.hidden], init=settings.init, rngs=rngs)
        return Classifier(layers, SYMBOLS, init=settings.init, rngs=rngs)

    task = Task(make_model, cross_entropy, lambda hparams: optax.adam(hparams.learning_rate), BATCH)
    mesh = spread(settings.seeds, BATCH)
    programs = Programs(task, mesh, settings.seeds)
    keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(settings.seed), np.arange(settings.seeds))
    each = partial(np.full, settings.seeds, dtype=np.float32)
    hparams = Hparams(learning_rate=each(settings.learning_rate), clip_norm=each(1.0), dropout=each(0.0))
    keys, hparams = jax.device_put((keys, hparams), programs.by_run)
    dice = np.random.default_rng(settings.seed)
    data, test = (recall_task(dice, size, settings.length) for size in (TRAIN, TEST))
    data, test = jax.device_put((data, test), programs.everywhere)
    first = keys, hparams, jax.tree.map(lambda a: a[:1], data)
    start = programs.start.lower(*first).compile()
    runs = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=programs.by_run), start.out_info
    )

    def where(epoch):
        return jax.device_put((np.int32(epoch), np.int32(0), np.int32(TRAIN // BATCH)), programs.everywhere)

    segment = programs.segment.lower(runs, hparams, data, *where(0)).compile()
    measure_runs = jax.jit(jax.vmap(measure, in_axes=(0, None, None))).lower(runs.model, *test).compile()
    sequence = test[0][0]
    gates = _once(jax.vmap(lambda model: theory.gate_trace(model.layers.layers[0].cell, sequence)))
    gates_of_runs = gates.lower(runs.model).compile()
    return Compiled(
        lambda: start(*first),
        lambda runs, epoch: segment(runs, hparams, data, *where(epoch)),
        lambda model: jax.device_get(measure_runs(model, *test)),
        lambda model: jax.device_get(gates_of_runs(model)),
        list(mesh.devices.flat),
    )


def train(name: str, programs: Compiled, epochs: int, console: Console) -> Flow:
    """Train the runs of one cell, and measure before the first epoch and after every one."""
    runs, found = programs.start(), []
    with Progress(console=console, transient=True) as bar:
        doing = bar.add_task(name, total=epochs)
        for epoch in range(epochs):
            found.append(programs.measure(runs.model))
            runs = programs.train(runs, epoch)
            bar.update(doing, advance=1)
    found.append(programs.measure(runs.model))
    accuracy, state, output = (np.stack(part, axis=1) for part in zip(*found, strict=True))
    gates = {letter: values[0] for letter, values in programs.gates(runs.model).items()}
    return Flow(accuracy, state, output, gates, parameter_count(runs.model) // len(accuracy))


def _flows(console: Console, out: Path, flows: Mapping[str, Flow]) -> None:
    rows = []
    for cell, flow in flows.items():
        for run, epoch, k in np.ndindex(flow.state.shape):
            row = {"cell": cell, "run": run, "training_step": epoch * TRAIN // BATCH, "k": k + 1}
            sizes = {"log10_state": flow.state[run, epoch, k], "log10_h": flow.output[run, epoch, k]}
            rows.append(row | sizes | {"test_accuracy": flow.accuracy[run, epoch]})
    runfolder.write_csv(out / "flow.csv", rows)

    looks = plots.style.looks(NAMES.values())
    panels: dict[str, dict[str, tuple[Look, Any]]] = {}
    for panel, moment in (("at the start of training", 0), ("after training", -1)):
        panels[panel] = {
            NAMES[cell] + (" (h and c)" if cell == "lstm" else ""): (
                looks[NAMES[cell]],
                flow.relative(flow.state)[:, moment],
            )
            for cell, flow in flows.items()
        }
        alone = flows["lstm"]
        panels[panel]["LSTM (h alone)"] = Look(plots.style.PURPLE, ":", "D"), alone.relative(alone.output)[:, moment]
    figure = plots.theory.over_time(
        panels,
        "How much the loss depends on the state at step k",
        x="time step k",
        y="|dL/dh_k| (last step: 1)",
    )
    runfolder.save_figure(figure, out / "flow_curves.png")
    figure = plots.theory.heatmaps(
        {
            NAMES[cell]: {
                "steps": np.arange(flow.accuracy.shape[1]) * (TRAIN // BATCH),
                "accuracy": flow.accuracy,
                "flow": flow.relative(flow.state).mean(0),
            }
            for cell, flow in flows.items()
        },
        "How far back the gradient reaches, as training goes on",
        shades="|dL/dh_k| (last step: 1)",
        accuracy="test\naccuracy (%)",
        floor=FLOOR,
        chance=1 / SYMBOLS,
    )
    runfolder.save_figure(figure, out / "flow_heatmap.png")

    for cell in ("gru", "lstm"):
        title = f"{NAMES[cell]}: what it computes at each step, once it recalls the first symbol"
        runfolder.save_figure(plots.gates.maps(flows[cell].gates, title), out / f"gates_{cell}.png")

    table = Table(title="|dL/dh_1| / |dL/dh_T|, geometric mean of the runs", title_justify="left")
    for column in ("cell", "at the start", "after training", "largest while training", "test accuracy"):
        table.add_column(column, justify="left" if column == "cell" else "right")
    for cell, flow in flows.items():
        first = flow.relative(flow.state)[..., 0].mean(0)
        numbers = (f"{10**value:.1e}" for value in (first[0], first[-1], first.max()))
        table.add_row(NAMES[cell], *numbers, f"{flow.accuracy[:, -1].mean():.1%}")
    console.print(table)


def answers(
    settings: Settings,
    errors: Mapping[str, float],
    terms: Mapping[str, Mapping[str, np.ndarray]],
    flows: Mapping[str, Flow],
) -> dict[str, str]:
    """UVA's question 1.1 and IST's statement on unfolding, with what was measured."""
    summed = max(error for name, error in errors.items() if name.startswith("copies"))
    second = second_terms(terms)
    learned = {cell: flow.accuracy[:, -1] > LEARNED for cell, flow in flows.items()}
    reach = {cell: 10 ** flow.relative(flow.state)[..., 0] for cell, flow in flows.items()}
    found = ", ".join(f"{name} {learned[cell].sum()} of {len(learned[cell])}" for cell, name in NAMES.items())
    latched = sum(int((learned[cell] & (reach[cell][:, -1] < VANISHED)).sum()) for cell in NAMES)
    latch = (
        f" In {latched} of the runs that have learned it the gradient has all but vanished by then: they store the "
        "symbol, but learn no more from how it came in."
        if latched
        else ""
    )
    return {
        "U2": (
            "With yhat = softmax(p(T)), dL/dW_ph = (yhat - y) h(T)^T: one term, of the last step alone. dL/dW_hh is a "
            "sum over all steps k of diag(1 - h(k)^2) J_k^T W_ph^T (yhat - y) h(k-1)^T, where J_k = dh(T)/dh(k) is the "
            "product of diag(1 - h(j)^2) W_hh over j = k+1 to T, later steps to the left (automatic differentiation "
            f"gives the same to {closed_form_error(errors):.0e}). So the first gradient depends on time only by h(T); "
            "step k's term of the second has a product of T - k matrices, which can shrink or grow exponentially. Over "
            f"{settings.length} steps the second step's term (the first one's is 0, as h(0) is) is "
            f"{second['vanishing']:.2g} times the last one's where the spectral radius of W_hh is "
            f"{RADII['vanishing']:g}, and {second['exploding']:.2g} times where it is {RADII['exploding']:g}. Then "
            "early inputs may have no say in how the weights change (the gradient vanishes), or single updates be so "
            "large that training breaks down (it explodes). The table has also |dL/dh_1| / |dL/dh_T| of networks that "
            f"train to recall the first of {settings.length} steps after the last; so many of them learn to: "
            f"{found}.{latch}"
        ),
        "I1": (
            "Unfolded over time, the network has a copy of its weights for every step, and a state to begin with "
            "(zeros). If every copy had weights of its own, each would have its own gradient; the weights being "
            "shared, theirs is the sum over the copies, as each copy adds its path to the loss. Measured on the plain "
            f"network of Amsterdam's assignment, Elman, GRU and LSTM, that sum and the gradient of the shared weights "
            f"differ by {summed:.0e} at most. It holds for many-to-many (every step's output in the loss, as with the "
            "last three here) and for many-to-one (the last output alone, as with the first, where only the last step "
            "needs a copy of the output layer)."
        ),
    }


if __name__ == "__main__":
    sys.exit(command("gradient_flow", Settings, main))
