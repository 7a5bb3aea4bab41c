"""MNIST: its IDX files from a folder or through tensorflow-datasets, else scikit-learn's 8x8 digits in its place.

IDX is a header, big-endian, and the elements in row-major order::

    00 00 08 rank | dimension 1 | ... | dimension `rank` | elements         (08: unsigned bytes; dimensions: 32 bits)
"""

import gzip
import hashlib
import math
import os
import struct
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn.data import download
from jaxrnn.data.dataset import Dataset
from jaxrnn.data.download import FetchError, Remote
from jaxrnn.errors import DataError

CLASSES = 10
FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")

# In the order of FILES: the packed files as tensorflow-datasets knows them, and the SHA-256 of what is in them.
_MIRROR = "https://storage.googleapis.com/cvdf-datasets/mnist/"
REMOTES = tuple(
    Remote(f"{_MIRROR}{name}.gz", size, sha256)
    for name, size, sha256 in zip(
        FILES,
        (9_912_422, 28_881, 1_648_877, 4_542),
        (
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        ),
        strict=True,
    )
)
_MNIST_SHA256 = (
    "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
)

_UNSIGNED_BYTE = 0x08
_ELEMENT_TYPES = {0x09: "int8", 0x0B: "int16", 0x0C: "int32", 0x0D: "float32", 0x0E: "float64"}
_LARGEST = 1 << 28  # 5 times MNIST: a gzip of a few megabytes can hold, and truly promise, more than the memory does
_BLOCK = 1 << 20


def load(data_dir: str | os.PathLike | None = None) -> Dataset:
    """MNIST, or what is nearest to it: uint8 images ``(N, rows, columns)`` and int32 labels 0 to 9, split as published.

    ``data_dir``: the folder with the four IDX files. Without it, the first of:

    1. ``$JAXRNN_DATA``, where set: that folder, or its subfolder ``mnist``;
    2. what tensorflow-datasets has in its cache or can fetch;
    3. scikit-learn's 8x8 digits, with the reason in ``source``.

    ``name`` is ``mnist`` for the published files (28x28, 60,000 + 10,000), ``idx`` for others, ``digits`` for the
    stand-in.

    Raises ``DataError`` where a named folder lacks a file, a file is broken, or a download is not what was published.
    """
    if data_dir is not None:
        return load_idx_folder(data_dir)
    if root := os.environ.get("JAXRNN_DATA"):
        try:
            return load_idx_folder(_mnist_folder(_path(root)))
        except DataError as error:
            raise DataError(f"$JAXRNN_DATA: {error}") from error
    return load_remote(REMOTES, download.cache_folder())


def load_idx_folder(folder: str | os.PathLike) -> Dataset:
    """The four IDX files of ``folder``, plain or with ``.gz``, also where a dot precedes ``idx``.

    Returns uint8 images ``(N, rows, columns)`` and int32 labels. Raises ``DataError``: a file is missing or broken,
    images and labels differ in number, a label is not 0 to 9, or train and test images differ in shape.
    """
    folder = _path(folder)
    names = _file_names(folder)
    found = [next((spelling for spelling in _spellings(file) if spelling in names), None) for file in FILES]
    if missing := [file for file, name in zip(FILES, found, strict=True) if name is None]:
        raise DataError(f"{folder}: has no {', no '.join(missing)} (plain or .gz); put MNIST's four IDX files there")
    return _assemble([folder / name for name in found if name], "idx files")


def load_remote(remotes: Sequence[Remote], cache: Path, probe: Callable[[str], None] = download.probe) -> Dataset:
    """``remotes``, in the order of ``FILES``, through tensorflow-datasets; the digits where they cannot be had.

    Raises ``DataError`` where the checksum of a fetched file is wrong.
    """
    try:
        paths = download.fetch("mnist", remotes, cache, probe)
    except FetchError as error:
        return load_digits(str(error))
    return _assemble(paths, "idx files through tensorflow-datasets")


def load_digits(why: str) -> Dataset:
    """Scikit-learn's embedded scans of handwritten digits; ``why`` they stand in for MNIST goes into ``source``.

    1,797 uint8 images of 8x8, their 17 grey levels spread over 0 to 255. The split is fixed and stratified: of the
    scans sorted by class (stably), every fifth, from the first on, is for testing. That makes 1,437 for training and
    360 for testing; both keep the order of the whole.
    """
    from sklearn import datasets  # imported only here: it is slow

    digits = datasets.load_digits()
    images = np.rint(digits.images * (255 / 16)).astype(np.uint8)
    labels = digits.target.astype(np.int32)
    test = np.zeros(len(labels), bool)
    test[np.argsort(labels, kind="stable")[::5]] = True
    source = f"scikit-learn's embedded 8x8 digits, not MNIST: {why}"
    return Dataset("digits", source, images[~test], labels[~test], images[test], labels[test], CLASSES)


def read_idx(path: str | os.PathLike) -> np.ndarray:
    """The uint8 array, of rank 1 to 4, in the IDX file ``path``, plain or gzip (its content decides, not its name).

    Takes no more memory than the smaller of what the header promises and what is there. Raises ``DataError``: no such
    file, or not readable, or not a whole gzip, or not exactly one IDX array of uint8 with at least one element.
    """
    path = Path(path)
    try:
        if path.is_dir():
            raise DataError(f"{path}: is a folder; give the IDX file itself")
        if not path.is_file():
            raise DataError(f"{path}: no such file; check the name, or put the IDX file there")
        with open(path, "rb") as raw:
            packed = raw.peek(2)[:2] == b"\x1f\x8b"
            return _parse(gzip.GzipFile(fileobj=raw) if packed else raw, path)
    except EOFError as error:
        raise DataError(f"{path}: truncated gzip; fetch the file again") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path}: corrupt gzip ({error}); fetch the file again") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}); check its permissions") from error


def shift(images: np.ndarray, down: int, right: int) -> np.ndarray:
    """Images ``(..., rows, columns)`` moved by so many pixels (up and left where negative); black comes in."""
    rows, columns = images.shape[-2:]
    margins = [(0, 0)] * (images.ndim - 2) + [(max(by, 0), max(-by, 0)) for by in (down, right)]
    moved = np.pad(images, margins)[..., max(-down, 0) :, max(-right, 0) :]
    return moved[..., :rows, :columns]


def to_unit(images: jax.typing.ArrayLike) -> jax.Array:
    """uint8 pixels of any shape as float32 from 0 (background) to 1 (ink); for use inside ``jit`` as well."""
    return jnp.asarray(images).astype(jnp.float32) / 255


def _parse(stream: BinaryIO | gzip.GzipFile, path: Path) -> np.ndarray:
    start = stream.read(4)
    if start[:2] != b"\0\0" or len(start) < 4:
        raise DataError(f"{path}: not an IDX file (it starts with '{start.hex(' ')}'); fetch the right file")
    if start[2] != _UNSIGNED_BYTE:
        kind = _ELEMENT_TYPES.get(start[2], "an unknown type")
        raise DataError(f"{path}: elements are {kind} (code {start[2]:#04x}), not uint8 (0x08); convert the file")
    rank = start[3]
    if not 1 <= rank <= 4:
        raise DataError(f"{path}: an array of rank {rank}, not 1 to 4; fetch the right file")
    dimensions = stream.read(4 * rank)
    if len(dimensions) < 4 * rank:
        raise DataError(f"{path}: ends within its header; fetch the file again")
    shape = struct.unpack(f">{rank}I", dimensions)
    size = math.prod(shape)
    if size == 0:
        raise DataError(f"{path}: is empty (shape {shape}); fetch the right file")
    if size > _LARGEST:
        raise DataError(f"{path}: promises {size} bytes (shape {shape}), over the limit of {_LARGEST}; check the file")

    # The header is only a promise: blocks grow the buffer as far as there are bytes, and one more betrays an excess.
    elements = bytearray()
    while block := stream.read(min(_BLOCK, size + 1 - len(elements))):
        elements += block
    if len(elements) != size:
        held = f"only {len(elements)}" if len(elements) < size else "more"
        raise DataError(f"{path}: header promises {size} bytes (shape {shape}), there are {held}; fetch the file again")
    return np.frombuffer(elements, np.uint8).reshape(shape)


def _assemble(paths: Sequence[Path], source: str) -> Dataset:
    arrays = [read_idx(path) for path in paths]
    for path, array, rank in zip(paths, arrays, (3, 1, 3, 1), strict=True):
        if array.ndim != rank:
            what = "images must have rank 3" if rank == 3 else "labels must have rank 1"
            raise DataError(f"{path}: {what}, these have shape {array.shape}; fetch the right file")
    for part in (0, 2):
        images, labels = arrays[part : part + 2]
        if len(images) != len(labels):
            raise DataError(
                f"{paths[part]} has {len(images)} images, {paths[part + 1]} has {len(labels)} labels; "
                "fetch two files that belong together"
            )
        if (wrong := labels >= CLASSES).any():
            at = int(wrong.argmax())
            raise DataError(f"{paths[part + 1]}: label {at} is {labels[at]}; labels must be 0 to 9")
    if arrays[0].shape[1:] != arrays[2].shape[1:]:
        raise DataError(
            f"{paths[0]} has images of shape {arrays[0].shape[1:]}, {paths[2]} of shape {arrays[2].shape[1:]}; "
            "fetch files that belong together"
        )
    name = "mnist" if tuple(map(_sha256, arrays)) == _MNIST_SHA256 else "idx"
    x_train, y_train, x_test, y_test = arrays
    return Dataset(name, source, x_train, y_train.astype(np.int32), x_test, y_test.astype(np.int32), CLASSES)


def _sha256(array: np.ndarray) -> str:
    # The header follows from the shape, so this is the checksum of the file's content without keeping the content.
    header = struct.pack(f">4B{array.ndim}I", 0, 0, _UNSIGNED_BYTE, array.ndim, *array.shape)
    digest = hashlib.sha256(header)
    digest.update(array.data)
    return digest.hexdigest()


def _mnist_folder(root: Path) -> Path:
    nested = root / "mnist"
    return nested if nested.is_dir() and _file_names(root).isdisjoint(_spellings(FILES[0])) else root


def _file_names(folder: Path) -> set[str]:
    try:
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries if entry.is_file()}
    except OSError as error:
        raise DataError(f"{folder}: {error.strerror}; give the folder that holds MNIST's four IDX files") from error


def _spellings(file: str) -> list[str]:
    return [stem + suffix for stem in (file, file.replace("-idx", ".idx")) for suffix in ("", ".gz")]


def _path(folder: str | os.PathLike) -> Path:
    return Path(os.path.expanduser(folder))
