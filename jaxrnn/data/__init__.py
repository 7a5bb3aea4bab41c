"""Data sets, one file each: plain numpy arrays that say where they came from. Knows no model."""

from jaxrnn.data import imdb, mnist
from jaxrnn.data.dataset import Dataset, Origin

DATASETS = {"imdb": imdb.load, "mnist": mnist.load}
"""The loader of every data set by its name: ``DATASETS[name](data_dir)``."""

__all__ = ["DATASETS", "Dataset", "Origin"]
