"""Data sets, one file each: plain numpy arrays that say where they came from. Knows no model."""

from jaxrnn.data import mnist
from jaxrnn.data.dataset import Dataset, Origin

DATASETS = {"mnist": mnist.load}
"""The loader of every data set by its name: ``DATASETS[name](data_dir)``."""

__all__ = ["DATASETS", "Dataset", "Origin"]
