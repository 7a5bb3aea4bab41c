"""MNIST without recurrence: a shallow feedforward network on the last row alone, and on the whole image (T19).

python -m experiments.mnist_fnn [--data-dir FOLDER] [--seeds 3]
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flax import nnx

from experiments import mnist
from experiments.mnist import MnistSettings
from jaxrnn.command import command
from jaxrnn.comparison import Finding, Part, compare, percent
from jaxrnn.data import Dataset
from jaxrnn.layers import stack
from jaxrnn.models import MLP, Classifier, hidden_units_for, parameter_count
from jaxrnn.study import Outcome
from jaxrnn.words import of_runs


@dataclass(frozen=True, kw_only=True)
class Settings(MnistSettings):
    """Classify MNIST by a feedforward network with one hidden layer: on the last row alone, and on the whole image.

    On the last row the network is the recurrent one of mnist_rnn without its recurrence. On the whole image it has as
    many parameters as the GRU of mnist_gru with --hidden units. Prints both, trains them with a progress bar, and
    leaves a table, figures and a run folder for each in --out.
    """

    dropout: float = 0.0
    """Probability of dropping a hidden unit."""


def main(name: str, settings: Settings) -> dict[str, Any]:
    """Train both, and leave a run folder; returns what its ``result.json`` says."""
    dataset = mnist.load(settings)
    return compare(name, settings, parts(settings, dataset), lambda outcomes, out: _finding(dataset, outcomes))


def parts(settings: MnistSettings, dataset: Dataset) -> dict[str, Part]:
    """The two networks; the last row's data are images of that one row."""
    _, rows, columns = dataset.x_train.shape
    target = gru_parameters(settings, columns, dataset.classes)
    last = dataset._replace(x_train=dataset.x_train[:, -1:], x_test=dataset.x_test[:, -1:])

    def maker(inputs, hidden):
        return lambda rngs: MLP(inputs, hidden, dataset.classes, init=settings.init, rngs=rngs)

    whole = maker(rows * columns, hidden_units_for(target, rows * columns, dataset.classes))
    one = maker(columns, settings.hidden)
    return {
        "fnn_image": Part("FNN, whole image", "mnist_fnn/image", settings, mnist.study(settings, dataset, whole)),
        "fnn_last_row": Part("FNN, last row", "mnist_fnn/last_row", settings, mnist.study(settings, last, one)),
    }


def gru_parameters(settings: MnistSettings, columns: int, classes: int) -> int:
    """The parameters of mnist_gru's model with as many hidden units."""

    def make():
        rngs = nnx.Rngs(0)
        return Classifier(stack("gru", columns, [settings.hidden], rngs=rngs), classes, rngs=rngs)

    return parameter_count(nnx.eval_shape(make))


def _finding(dataset: Dataset, outcomes: Mapping[str, Outcome]) -> Finding:
    said = (
        " A recurrent network keeps in its state what the rows before have said, and makes the class of all of them. "
        "The command mnist_compare looks into that row by row."
    )
    return Finding({"empty_last_row": empty_last_row(dataset)}, {"T19": answer(dataset, outcomes) + said})


def empty_last_row(dataset: Dataset) -> float:
    """The share of the test images that have no ink in the last row."""
    return float((dataset.x_test[:, -1] == 0).all(1).mean())


def answer(dataset: Dataset, outcomes: Mapping[str, Outcome]) -> str:
    """The first half of T19, from these two networks' results and others' that see all rows."""
    last, image = (outcomes[key].result for key in ("fnn_last_row", "fnn_image"))
    means = {key: outcome.result["metrics"]["test_accuracy"]["mean"] or 0.0 for key, outcome in outcomes.items()}
    worse = means.pop("fnn_last_row") < min(means.values())  # than all that see the whole image
    return (
        f"{'No' if worse else 'Here, yes'}: without recurrence the same network has the last row alone, which is empty "
        f"in {empty_last_row(dataset):.1%} of the test images, and is right on {accuracy(last)}. A feedforward network "
        "that is shown the whole image at once, with about as many parameters as the GRU, is right on "
        f"{accuracy(image)} ({of_runs(image['metrics']['test_accuracy']['runs'])})."
    )


def accuracy(result: Mapping[str, Any]) -> str:
    """The test accuracy in words, with its interval where there is one."""
    return percent(result["metrics"]["test_accuracy"]["runs"])


if __name__ == "__main__":
    sys.exit(command("mnist_fnn", Settings, main))
