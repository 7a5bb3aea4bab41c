"""What can be asked of a trained run: the class of an image of one's own, and how it does on other test images.

Not a command itself: ``python -m experiments.mnist_gru --predict FILE --out RUN`` and ``--evaluate FOLDER``, and the
same of `mnist_rnn` and `mnist_lstm`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from rich.table import Table

from jaxrnn import inference, plots, runfolder
from jaxrnn.command import plain_console
from jaxrnn.data import mnist as data
from jaxrnn.data.dataset import in_words
from jaxrnn.data.image import as_example
from jaxrnn.errors import DataError

DIRECTIONS = {
    "as they are": (0, 0),
    "2 up": (-2, 0),
    "2 down": (2, 0),
    "2 left": (0, -2),
    "2 right": (0, 2),
}
"""How test images are moved, in pixels down and right."""


class Trained(NamedTuple):
    """A run folder's models, one or several, and where they are."""

    models: Any
    """With a leading run axis."""
    shape: tuple[int, int]
    """Rows and columns of an image."""
    out: Path


def digit_box(shape: tuple[int, int]) -> int:
    """The longer side of a digit in the images that were trained on: 20 of MNIST's 28 pixels, all 8 of the scans'."""
    return min(shape) if max(shape) <= 8 else round(min(shape) * 20 / 28)


def predict(run: Trained, file: Path) -> np.ndarray:
    """Classify an image file; prints the probabilities, draws them row by row, returns them ``(runs, rows, classes)``.

    Raises:
        DataError: the file is missing, no image, too large, or empty.
        UserError: the figure cannot be written.
    """
    image = as_example(file, run.shape, digit_box(run.shape))
    logits = inference.over(lambda model, image: model.at_every_step(data.to_unit(image)), run.models, image[None])
    probabilities = np.asarray(jax.nn.softmax(jnp.asarray(logits[:, 0])))
    last = probabilities[:, -1]
    mean = last.mean(0)
    best = int(mean.argmax())

    console = plain_console()
    table = Table(title=f"{in_words(file.name)} is a {best}", title_justify="left")
    table.add_column("digit")
    table.add_column("probability", justify="right")
    if len(last) > 1:
        table.add_column(f"lowest to highest of {len(last)} runs", justify="right")
    for digit in np.argsort(-mean):
        row = [str(digit), f"{mean[digit]:.4f}"]
        if len(last) > 1:
            row.append(f"{last[:, digit].min():.4f} to {last[:, digit].max():.4f}")
        table.add_row(*row, style="bold" if digit == best else None)
    console.print(table)
    title = f"{in_words(file.name)}: a {best} with probability {mean[best]:.3f}"
    figure = run.out / f"prediction_{file.stem}.png"
    runfolder.save_figure(plots.sequences.probabilities(image, probabilities, title), figure)
    console.print(f"How the probabilities move from row to row is drawn in {figure}")
    return probabilities


def evaluate(run: Trained, folder: Path) -> dict[str, Any]:
    """Test on the test images of a folder of IDX files, as they are and moved by 2 pixels; prints and writes it.

    Returns what ``evaluation_<folder's name>.json`` says: ``dataset`` and ``metrics``.

    Raises:
        DataError: files that are missing or broken, or images of another shape.
        UserError: the result cannot be written.
    """
    dataset = data.load_idx_folder(folder)
    images, labels = dataset.x_test, dataset.y_test
    if images.shape[1:] != run.shape:
        raise DataError(
            f"{folder}: has images of {images.shape[1]} x {images.shape[2]}, the run in {run.out} was trained on "
            f"{run.shape[0]} x {run.shape[1]}; give images of that shape"
        )
    variants = {name: data.shift(images, *by) for name, by in DIRECTIONS.items()}
    found = accuracies(run.models, variants, labels)
    facts = {"name": dataset.name, "source": dataset.source, "test": len(labels)}
    metrics = {f"accuracy_{name.replace(' ', '_')}": runfolder.metric(values) for name, values in found.items()}
    result = {"dataset": facts, "metrics": metrics}
    written = run.out / f"evaluation_{folder.resolve().name}.json"
    runfolder.write_json(written, result)

    console = plain_console()
    table = Table(title=f"Accuracy on {len(labels):,} test images of {dataset.name}", title_justify="left")
    table.add_column("images")
    for column in ("mean", "std", "runs"):
        table.add_column(column, justify="right")
    for name, values in found.items():
        entry = runfolder.metric(values)
        runs = "  ".join(f"{value:.4f}" for value in entry["runs"])
        table.add_row(name, f"{entry['mean']:.4f}", f"{entry['std']:.4f}", runs)
    console.print(table)
    console.print(f"Written to {written}")
    return result


def accuracies(models: Any, variants: Mapping[str, np.ndarray], labels: np.ndarray) -> dict[str, np.ndarray]:
    """The accuracy of every model on every variant of the same images: ``(runs,)`` arrays by the variant's name."""
    parts = np.split(logits(models, np.concatenate(list(variants.values()))), len(variants), axis=1)
    return {name: inference.accuracy(part, labels) for name, part in zip(variants, parts, strict=True)}


def logits(models: Any, images: np.ndarray) -> np.ndarray:
    """What every model makes of every image: ``(runs, n, classes)``."""
    return inference.over(lambda model, image: model(data.to_unit(image)[None])[0], models, images)
