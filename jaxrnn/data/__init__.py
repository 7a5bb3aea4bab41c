"""Data sets, one file each: plain numpy arrays that say where they came from. Knows no model."""

from jaxrnn.data.dataset import Dataset

__all__ = ["Dataset"]
