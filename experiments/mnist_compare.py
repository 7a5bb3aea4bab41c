"""MNIST: three cells and none, side by side, over several seeds (T10 to T22, U7).

python -m experiments.mnist_compare [--data-dir FOLDER] [--seeds 5]
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Self

import jax
import numpy as np

from experiments import mnist, mnist_analysis, mnist_fnn, mnist_gru, mnist_lstm, mnist_recurrent, mnist_rnn
from experiments.mnist import MnistSettings
from experiments.mnist_trained import DIRECTIONS, digit_box, logits
from experiments.peer_flax import FLAX, FlaxClassifier
from jaxrnn import plots, runfolder
from jaxrnn.command import Stopped, command, plain_console, stop_requests
from jaxrnn.comparison import Finding, Part, compare
from jaxrnn.data import Dataset
from jaxrnn.data import mnist as data
from jaxrnn.data.image import normalise
from jaxrnn.inference import accuracy
from jaxrnn.study import Outcome
from jaxrnn.words import of_runs

RECURRENT = {"rnn": ("RNN", mnist_rnn), "gru": ("GRU", mnist_gru), "lstm": ("LSTM", mnist_lstm)}
"""The commands whose networks are looked into row by row, and what these are called."""

DRAWN_CLASSES = (0, 1, 3, 4, 7)
"""The digits whose ways through the state are drawn: few enough to be told apart."""


@dataclass(frozen=True, kw_only=True)
class Settings(MnistSettings):
    """Compare recurrent networks with each other, with Flax's own, and with networks without recurrence, on MNIST.

    Trains RNN, GRU, LSTM, the GRU of Flax, and feedforward networks on the whole image (as many parameters as the
    GRU) and on the last row, each over --seeds runs by the same loop. Leaves one table, and figures: accuracy with its
    95% interval, learning curves, accuracy after every row, confusion matrices, the digits most often wrong, the ways
    of the hidden state, and accuracy on images that are moved or of another origin. Each network has a run folder of
    its own in --out: python -m experiments.mnist_gru --out OUT/gru --predict FILE asks the trained GRU.
    """

    seeds: int = 5
    """How many runs of each network to train: mean and interval of every number come from them."""

    @classmethod
    def quick_defaults(cls) -> Self:
        return cls(quick=True, seeds=2, hidden=32, batch=32, epochs=6, learning_rate=5e-3)


def main(name: str, settings: Settings) -> dict[str, Any]:
    """Train all, and leave a run folder; returns what its ``result.json`` says."""
    dataset = mnist.load(settings)
    compared = parts(settings, dataset)
    names = {key: part.name for key, part in compared.items()}
    return compare(name, settings, compared, partial(find, settings, dataset, names))


def parts(settings: Settings, dataset: Dataset) -> dict[str, Part]:
    """The six networks; the recurrent ones are runs of their own commands, with these settings."""
    shared = {field.name: getattr(settings, field.name) for field in fields(MnistSettings)}
    compared = {}
    for key, (label, module) in RECURRENT.items():
        own = module.Settings(**shared)
        compared[key] = Part(label, f"mnist_{key}", own, mnist_recurrent.study(own, dataset))

    def flax_gru(rngs):
        cell = FLAX["gru"](dataset.x_train.shape[-1], settings.hidden, rngs=rngs)
        return FlaxClassifier(cell, settings.hidden, dataset.classes, rngs)

    flax = mnist.study(settings, dataset, flax_gru)
    compared["flax_gru"] = Part("GRU of Flax", "mnist_compare/flax_gru", settings, flax)
    return compared | mnist_fnn.parts(settings, dataset)


class Seen(NamedTuple):
    """The trained networks, and what all that is looked at in them needs."""

    dataset: Dataset
    names: Mapping[str, str]
    """What each network is called, by its key."""
    models: Mapping[str, Any]
    """With a leading run axis, of the runs that kept a finite loss."""
    out: Path

    def draw(self, figure: Any, file: str) -> None:
        runfolder.save_figure(figure, self.out / file)

    def title(self, words: str) -> str:
        return f"{self.dataset.name}: {words}"


def find(
    settings: Settings, dataset: Dataset, names: Mapping[str, str], outcomes: Mapping[str, Outcome], out: Path
) -> Finding:
    """Look at the trained networks, draw what is seen, and answer the papers' questions.

    Raises:
        Stopped: told to stop while the readouts of every row are trained; the networks are saved.
    """
    seen = Seen(dataset, names, {key: _sound(outcome) for key, outcome in outcomes.items()}, out)
    own, trained = _row_by_row(seen, settings.devices)
    moved = _moved(seen)
    _states(seen)
    metrics: dict[str, Any] = {
        f"{key}_accuracy_{variant.replace(' ', '_')}": values
        for key, found in moved.items()
        for variant, values in found.items()
    }
    half = dataset.x_test.shape[1] // 2 - 1
    for key in RECURRENT:
        metrics[f"{key}_accuracy_half_read"] = own[key][:, half]
        metrics[f"{key}_accuracy_half_read_trained"] = trained[key][:, half]
        metrics[f"{key}_accuracy_moved_in_time"] = np.mean([moved[key]["2 up"], moved[key]["2 down"]], axis=0)
    metrics["empty_last_row"] = mnist_fnn.empty_last_row(dataset)
    cell = 4 * (settings.hidden * dataset.x_test.shape[2] + settings.hidden**2 + settings.hidden)
    metrics["lstm_cell_parameters_one_bias"] = cell
    metrics["lstm_parameters_one_bias"] = cell + dataset.classes * (settings.hidden + 1)
    return Finding(metrics, answers(settings, dataset, outcomes, metrics))


def _sound(outcome: Outcome) -> Any:
    """The networks of the runs that kept a finite loss; there is one, or the training was an error."""
    runs = outcome.fitted.progress.runs
    sound = np.flatnonzero(jax.device_get(runs.failed_at) < 0)
    return jax.tree.map(lambda leaf: leaf[sound], runs.final)


ByKey = dict[str, np.ndarray]


def _row_by_row(seen: Seen, devices: int | None) -> tuple[ByKey, ByKey]:
    """The accuracy ``(runs, rows)`` read out after every row: by the network's own head, and by one trained there."""
    dataset = seen.dataset
    train, test = (dataset.x_train, dataset.y_train), (dataset.x_test, dataset.y_test)
    own: ByKey = {}
    trained: ByKey = {}
    with stop_requests() as stop:
        for key in RECURRENT:
            plain_console().print(f"A readout for every row of the {seen.names[key]}:")
            own[key] = mnist_analysis.accuracy_by_row(seen.models[key], *test)
            found = mnist_analysis.trained_accuracy_by_row(seen.models[key], train, test, devices=devices, stop=stop)
            if found is None:
                raise Stopped(f"all networks are trained and saved in {seen.out}, the readouts of every row are not")
            trained[key] = found
    lines = [
        {"model": key, "run": run, "row": row + 1, "own_readout": accuracy, "trained_readout": trained[key][run, row]}
        for key, accuracies in own.items()
        for run, of_run in enumerate(accuracies)
        for row, accuracy in enumerate(of_run)
    ]
    runfolder.write_csv(seen.out / "rows.csv", lines)
    by_name, trained_by_name = ({seen.names[key]: each[key] for key in RECURRENT} for each in (own, trained))
    seen.draw(plots.sequences.readouts(by_name, trained_by_name, seen.title("read out before the end")), "rows.png")
    return own, trained


def _moved(seen: Seen) -> dict[str, ByKey]:
    """The accuracy ``(runs,)`` of every network on every variant of the test images; draws it, and the mistakes."""
    images, labels = seen.dataset.x_test, seen.dataset.y_test
    variants = {name: (data.shift(images, *by), labels) for name, by in DIRECTIONS.items()}
    if seen.dataset.name != "digits":
        variants["another hand"] = _another_hand(images.shape[1:])
    outputs = {key: _outputs(key, models, variants) for key, models in seen.models.items()}
    found = {
        key: {variant: accuracy(logits, variants[variant][1]) for variant, logits in of_key.items()}
        for key, of_key in outputs.items()
    }
    rows = [
        {"model": seen.names[key], "set": variant, "mean": runs.mean(), "low": runs.min(), "high": runs.max()}
        for key, of_key in found.items()
        for variant, runs in of_key.items()
    ]
    title = seen.title("test images moved by 2 pixels" + (", and others" if "another hand" in variants else ""))
    seen.draw(plots.comparison.directions(rows, title), "moved.png")
    _mistakes(seen, {key: of_key["as they are"] for key, of_key in outputs.items()})
    return found


def _another_hand(shape: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Scikit-learn's scans, of other writers and another scanner, brought to the form of the training data."""
    rows, columns = shape
    digits = data.load_digits("test images of another origin")
    images = np.concatenate([digits.x_train, digits.x_test])
    formed = [normalise(image, (rows, columns), digit_box((rows, columns))) for image in images]
    return np.stack(formed), np.concatenate([digits.y_train, digits.y_test])


def _outputs(key: str, models: Any, variants: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> ByKey:
    """Logits ``(runs, n, classes)`` for each variant of the test images, all worked in one call."""
    images = np.concatenate([images for images, _ in variants.values()])
    if key == "fnn_last_row":
        images = images[:, -1:]
    ends = np.cumsum([len(labels) for _, labels in variants.values()])[:-1]
    return dict(zip(variants, np.split(logits(models, images), ends, axis=1), strict=True))


def _mistakes(seen: Seen, outputs: ByKey) -> None:
    images, labels = seen.dataset.x_test, seen.dataset.y_test
    for key, values in outputs.items():
        title = seen.title(f"{seen.names[key]}, mean of {len(values)} run{'s' * (len(values) > 1)}")
        seen.draw(plots.confusion.matrix(mnist_analysis.confusion(values, labels), title), f"confusion_{key}.png")
    hard = mnist_analysis.hardest(np.concatenate([outputs[key] for key in RECURRENT]), labels, 24)
    places, votes = [one.place for one in hard], [one.votes for one in hard]
    title = seen.title("digits most often wrong")
    seen.draw(plots.confusion.hardest(images[places], labels[places].tolist(), votes, title), "hardest.png")


def _states(seen: Seen) -> None:
    images, labels = seen.dataset.x_test[:1000], seen.dataset.y_test[:1000]
    shown = mnist_analysis.some_of_each(labels, DRAWN_CLASSES, 3)
    ways = {}
    for key in RECURRENT:
        first = jax.tree.map(lambda leaf: leaf[0], seen.models[key])
        ways[seen.names[key]] = mnist_analysis.trajectories(first, images, labels, shown)._asdict()
    seen.draw(plots.sequences.trajectories(ways, seen.title("ways of the hidden state")), "states.png")


def answers(
    settings: Settings, dataset: Dataset, outcomes: Mapping[str, Outcome], found: Mapping[str, Any]
) -> dict[str, str]:
    """TOR's questions, and UVA's about the number of parameters, from what was measured: ``found`` are the metrics."""
    acc = {key: mnist_fnn.accuracy(outcome.result) for key, outcome in outcomes.items()}
    params = {key: f"{outcome.result['parameters']:,}" for key, outcome in outcomes.items()}
    over = of_runs(outcomes["rnn"].result["metrics"]["test_accuracy"]["runs"])
    rows, columns = dataset.x_train.shape[1:]
    n, d, k = settings.hidden, columns, dataset.classes

    def mean(key, metric):
        return found[f"{key}_accuracy_{metric}"].mean()

    def state(key):
        _, module = RECURRENT[key]
        return mnist_recurrent.shapes(module.Settings(hidden=n, batch=settings.batch), (rows, columns)).state

    trained = (
        f"trained by the same function, with cross-entropy for {'at most ' * (settings.patience > 0)}{settings.epochs} "
        f"epoch{'s' * (settings.epochs > 1)}"
    )
    inside = ""
    if max(mean("rnn", "half_read"), 2 / k) < mean("rnn", "half_read_trained"):  # it found more, and did not guess
        inside = " So what was read is in the state by then, in a form that the rows to come turn into the class."
    return {
        **outcomes["rnn"].result["answers"],
        "T19": (
            f"{mnist_fnn.answer(dataset, outcomes)} The basic RNN reads all rows one after the other, and is right on "
            f"{acc['rnn']}: it understands the class by carrying in its state what it has read. After half of the rows "
            f"its own output layer is right on {mean('rnn', 'half_read'):.1%}, and one trained for that row, on the "
            f"same states, on {mean('rnn', 'half_read_trained'):.1%}.{inside}"
        ),
        "T20": (
            "For the basic cell: with the same weights, ours gives the outputs and gradients of nn.RNN to rounding "
            "(tests/test_interop.py), so training from them gives the same result. Side by side we trained the GRU: "
            f"with Flax's ready-made layer the network is right on {acc['flax_gru']} of the test images, with ours, "
            f"written from scratch, on {acc['gru']} ({over}). "
            f"{_verdict(outcomes, 'gru', 'flax_gru', 'Ours', 'that of Flax')} Flax has one bias where PyTorch's "
            "equations, and ours, have two, and draws its first weights otherwise."
        ),
        "T21": (
            "The class and the forward pass are those of the basic RNN, with a GRU as the recurrent layer; the zero "
            f"state of a mini-batch is {state('gru')}. {trained[0].upper()}{trained[1:]}, the GRU is right on "
            f"{acc['gru']} of the test images, the basic RNN on {acc['rnn']} ({over}). "
            f"{_verdict(outcomes, 'gru', 'rnn', 'The GRU', 'the RNN')} A GRU's gates decide for each unit how much of "
            "its state stays: state and gradient can pass many rows nearly unchanged, where the basic RNN sends both "
            "through its weights and tanh at every row. With the test images moved up or down by 2 rows, the GRU is "
            f"right on {mean('gru', 'moved_in_time'):.1%}, the RNN on {mean('rnn', 'moved_in_time'):.1%}."
        ),
        "T22": (
            "The class is the same with an LSTM as its recurrent layer; a mini-batch has two zero states, the hidden "
            f"and the cell state ({state('lstm')}), and only the hidden one goes on to the output layer. "
            f"{trained[0].upper()}{trained[1:]}, the networks are right on {acc['rnn']} (RNN), {acc['gru']} (GRU) and "
            f"{acc['lstm']} (LSTM) of the test images ({over}). "
            f"{_verdict(outcomes, 'lstm', 'rnn', 'The LSTM', 'the RNN')} "
            f"{_verdict(outcomes, 'lstm', 'gru', 'The LSTM', 'the GRU')} Like the GRU it can keep what it has read, in "
            "a cell state that gates write, keep and read, at the price of one more gate and one more state."
        ),
        "U7": (
            "4 (n d + n^2 + n) for n hidden units and d features, and K n + K more with the output layer: neither the "
            f"batch m nor the length T comes in. Here n={n}, d={d}, K={k}: {found['lstm_cell_parameters_one_bias']:,} "
            f"and {found['lstm_parameters_one_bias']:,}. The LSTM trained here has PyTorch's two biases for each gate, "
            f"4 n more, and so {params['lstm']} in all."
        ),
    }


def _verdict(outcomes: Mapping[str, Outcome], one: str, other: str, first: str, second: str) -> str:
    """Which of two is better, and whether by more than their intervals."""
    runs = [outcomes[key].result["metrics"]["test_accuracy"]["runs"] for key in (one, other)]
    means = [runfolder.metric(values)["mean"] or 0.0 for values in runs]
    if means[0] == means[1]:
        return f"{first} is as good as {second}."
    better = f"{first} is {'better' if means[0] > means[1] else 'worse'} than {second}"
    widths = [runfolder.half_width(values) for values in runs]
    if None in widths:
        return f"{better}, in one run each, which tells no spread."
    if abs(means[0] - means[1]) > sum(width for width in widths if width is not None):
        return f"{better}, by more than both intervals together."
    return f"{better}, but by less than both intervals together: it may be chance."


if __name__ == "__main__":
    sys.exit(command("mnist_compare", Settings, main))
