"""MNIST: three cells and none, side by side, over several seeds (T11 to T15, T19 to T22, U7).

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
from rich.console import Console

from experiments import mnist, mnist_analysis, mnist_fnn, mnist_gru, mnist_lstm, mnist_recurrent, mnist_rnn
from experiments.mnist import MnistSettings
from experiments.mnist_trained import DIRECTIONS, digit_box, logits
from experiments.peers import FLAX, FlaxClassifier
from jaxrnn import plots, runfolder
from jaxrnn.command import Stopped, command, stop_requests
from jaxrnn.comparison import Finding, Part, compare
from jaxrnn.data import Dataset
from jaxrnn.data import mnist as data
from jaxrnn.data.image import normalise
from jaxrnn.inference import accuracy
from jaxrnn.study import Outcome

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
    metrics = {
        f"{key}_accuracy_{variant.replace(' ', '_')}": values
        for key, found in moved.items()
        for variant, values in found.items()
    }
    half = dataset.x_test.shape[1] // 2 - 1
    for key in RECURRENT:
        metrics[f"{key}_accuracy_half_read"] = own[key][:, half]
        metrics[f"{key}_accuracy_half_read_trained"] = trained[key][:, half]
    return Finding(metrics, answers(settings, dataset, outcomes, own, trained, moved))


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
            Console().print(f"A readout for every row of the {seen.names[key]}:")
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
    settings: Settings,
    dataset: Dataset,
    outcomes: Mapping[str, Outcome],
    own: ByKey,
    trained: ByKey,
    moved: Mapping[str, ByKey],
) -> dict[str, str]:
    """TOR's questions, and UVA's about the number of parameters, from what was measured."""
    said = outcomes["rnn"].result["answers"]
    acc = {key: mnist_fnn.accuracy(outcome.result) for key, outcome in outcomes.items()}
    params = {key: f"{outcome.result['parameters']:,}" for key, outcome in outcomes.items()}
    seeds, rows, columns = settings.seeds, *dataset.x_train.shape[1:]
    interval = f"mean and half of the 95% interval of {seeds} seeds" if seeds > 1 else "one seed"
    half = {key: (own[key][:, rows // 2 - 1].mean(), trained[key][:, rows // 2 - 1].mean()) for key in RECURRENT}
    late = {key: _settled(own[key].mean(0)) for key in RECURRENT}
    in_time = {key: np.mean([found["2 up"], found["2 down"]]) for key, found in moved.items()}
    aside = {key: np.mean([found[way] for way in DIRECTIONS if way != "as they are"]) for key, found in moved.items()}
    n, d, k = settings.hidden, columns, dataset.classes
    single = 4 * (n * d + n * n + n)
    order = _order(outcomes, {"rnn": "RNN", "gru": "GRU", "lstm": "LSTM"})
    return {
        **{question: said[question] for question in ("T11", "T12", "T13", "T14", "T15")},
        "T19": (
            mnist_fnn.answer(outcomes) + f" The recurrent network understands the class by carrying what it has read: "
            f"after half of the rows its own output layer is right on {half['rnn'][0]:.1%} (GRU "
            f"{half['gru'][0]:.1%}, LSTM {half['lstm'][0]:.1%}), while a readout trained for that row is right on "
            f"{half['rnn'][1]:.1%} (GRU {half['gru'][1]:.1%}, LSTM {half['lstm'][1]:.1%}) of the same states: the "
            "strokes are already in the state, in a form that the rows to come turn into the class. Its own output "
            f"layer stays within 5 points of its last accuracy from row {late['rnn']} on (GRU {late['gru']}, LSTM "
            f"{late['lstm']}). See rows.png and states.png. On images moved by 2 pixels, up, down, left or right, the "
            f"feedforward network of the whole image is right on {aside['fnn_image']:.1%}, the RNN on "
            f"{aside['rnn']:.1%}, GRU {aside['gru']:.1%}, LSTM {aside['lstm']:.1%} (moved.png)."
        ),
        "T20": (
            "Every cell here is written from scratch. Put in its place, Flax's own nnx.RNN(GRUCell), trained by the "
            f"same loop, comes to {acc['flax_gru']} with {params['flax_gru']} parameters, ours to {acc['gru']} with "
            f"{params['gru']} ({interval}); Flax has one bias where PyTorch's equations, and ours, have two, and "
            f"another initialisation. {_verdict(outcomes, 'gru', 'flax_gru', 'ours', 'that of Flax')} Against "
            "PyTorch's nn.RNN, nn.GRU and nn.LSTM with the same weights, values and gradients agree to rounding "
            "(tests/test_interop.py)."
        ),
        "T21.5": (
            f"GRU {acc['gru']} against {acc['rnn']} of the basic RNN ({interval}), with {params['gru']} parameters "
            f"against {params['rnn']}. {_verdict(outcomes, 'gru', 'rnn', 'the GRU', 'the RNN')} Where the gates help "
            f"most is in time: with the images moved up or down by 2 rows, so that each stroke comes two steps early "
            f"or late, the GRU is still right on {in_time['gru']:.1%}, the RNN on {in_time['rnn']:.1%}."
        ),
        "T22.5": (
            f"RNN {acc['rnn']}, GRU {acc['gru']}, LSTM {acc['lstm']} ({interval}; {params['rnn']}, {params['gru']} and "
            f"{params['lstm']} parameters): {order}. {_verdict(outcomes, 'lstm', 'rnn', 'The LSTM', 'the RNN')} "
            f"{_verdict(outcomes, 'lstm', 'gru', 'The LSTM', 'the GRU')} A feedforward network with as many parameters "
            f"as the GRU, which sees the whole image at once, comes to {acc['fnn_image']}. Moved up or down by 2 rows, "
            f"the images are recognised by the RNN at {in_time['rnn']:.1%}, GRU {in_time['gru']:.1%}, LSTM "
            f"{in_time['lstm']:.1%}."
        ),
        "U7": (
            f"4 (n d + n^2 + n) for n hidden units and d features, and K n + K more with the output layer: neither the "
            f"batch m nor the length T comes in. Here n={n}, d={d}, K={k}: {single:,} and {single + k * n + k:,}. The "
            f"LSTM trained here has PyTorch's two biases for each gate, 4 n more, and so {params['lstm']} in all."
        ),
    }


def _settled(accuracies: np.ndarray) -> int:
    """The row (counted from 1) from which on the accuracy stays within 5 points of the last one."""
    far = np.flatnonzero(accuracies < accuracies[-1] - 0.05)
    return int(far[-1]) + 2 if far.size else 1


def _order(outcomes: Mapping[str, Outcome], names: Mapping[str, str]) -> str:
    means = {key: outcomes[key].result["metrics"]["test_accuracy"]["mean"] or 0.0 for key in names}
    return " > ".join(names[key] for key in sorted(names, key=lambda key: -means[key]))


def _verdict(outcomes: Mapping[str, Outcome], one: str, other: str, first: str, second: str) -> str:
    """Which of two is better, and whether by more than their intervals."""
    runs = {key: outcomes[key].result["metrics"]["test_accuracy"]["runs"] for key in (one, other)}
    means = {key: runfolder.metric(values)["mean"] or 0.0 for key, values in runs.items()}
    widths = [runfolder.half_width(values) for values in runs.values()]
    gap = means[one] - means[other]
    better = f"{first} is {'above' if gap > 0 else 'below'} {second} by {100 * abs(gap):.2f} points"
    better = better[0].upper() + better[1:]
    if None in widths:
        return f"{better}; one seed tells no spread."
    clear = abs(gap) > sum(width for width in widths if width is not None)
    return f"{better}, {'more' if clear else 'not more'} than both intervals together."


if __name__ == "__main__":
    sys.exit(command("mnist_compare", Settings, main))
