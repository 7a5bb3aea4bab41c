"""Data sets, one file each: plain numpy arrays that say where they came from. Knows no model."""

from jaxrnn.data import imdb, mnist
from jaxrnn.data.dataset import Dataset, Origin

DATASETS = {"imdb": imdb.load, "mnist": mnist.load}
"""The loader of every data set by its name: ``DATASETS[name](data_dir)``."""

STAND_INS = ("digits", "synthetic")
"""What stands in for other data, by the names that results have for it."""

__all__ = ["DATASETS", "STAND_INS", "Dataset", "Origin"]
