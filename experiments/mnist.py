"""What all MNIST commands share: their settings, the data, and what is trained on them (TOR, part 2).

Not a command itself: see `mnist_rnn`, `mnist_gru`, `mnist_lstm`, `mnist_fnn` and `mnist_compare`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Self

from experiments import classifier
from experiments.classifier import ClassifierSettings, ModelMaker
from jaxrnn.data import Dataset, mnist
from jaxrnn.study import Study, announce_stand_in
from jaxrnn.train import Fitted, Task, cross_entropy


@dataclass(frozen=True, kw_only=True)
class MnistSettings(ClassifierSettings):
    """What can be set for every classifier of MNIST."""

    @classmethod
    def quick_defaults(cls) -> Self:
        return cls(quick=True, batch=32, epochs=10)


def load(settings: MnistSettings) -> Dataset:
    """The data that the settings ask for; a stand-in is announced.

    Raises:
        SettingsError: settings that make no sense.
        DataError: data that are missing or broken.
    """
    settings.check()
    if settings.quick and settings.data_dir is None:
        dataset = mnist.load_digits("--quick needs no download")
    else:
        dataset = mnist.load(settings.data_dir)
    if dataset.name == "digits":
        announce_stand_in("MNIST", dataset, "For MNIST give its four IDX files by --data-dir FOLDER.")
    return dataset


def task(settings: MnistSettings, make_model: ModelMaker, updates: int = 1) -> Task:
    """A model trained on images as bytes by their labels; ``updates`` is what a schedule reaches over."""

    def objective(model, images, labels, hparams, key):
        return cross_entropy(model, mnist.to_unit(images), labels, hparams, key)

    return classifier.task(settings, make_model, objective, updates)


def study(
    settings: MnistSettings,
    dataset: Dataset,
    make_model: ModelMaker,
    answers: Callable[[Fitted, int], dict[str, str]] = lambda fitted, parameters: {},
) -> Study:
    """A model trained on the data as the settings say. Raises SettingsError as `classifier.study` does."""
    return classifier.study(settings, dataset, partial(task, settings, make_model), answers)
