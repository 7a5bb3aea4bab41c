"""Every format that is read: something valid of it, how that is broken, and the reader, whose results are looked at."""

import gzip
import io
import struct
import tarfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxrnn.data import imdb, mnist, names, text
from jaxrnn.data.image import as_example
from jaxrnn.errors import UserError
from jaxrnn.interop import load_torch
from jaxrnn.layers import Bidirectional

from . import mutations
from .mutations import Mutation


def _nothing(folder: Path) -> None:
    pass


class Format(NamedTuple):
    """What is broken, and who reads it."""

    begin: Callable[[Path], Mapping[str, Sequence[bytes]]]
    """Puts something valid into a folder; for each file that is to be broken, what may stand in it, first what does."""
    mutation: Mutation
    read: Callable[[Path], None]
    """Reads it, and raises AssertionError where what comes is not what the reader promises."""
    settle: Callable[[Path], None] = _nothing
    """Makes good what gives a broken file away before it is read, checksums say."""
    refusals: tuple[type[Exception], ...] = (UserError,)


def _written(folder: Path, files: Mapping[str, Sequence[bytes]]) -> Mapping[str, Sequence[bytes]]:
    for name, contents in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(contents[0])
    return files


# --- MNIST's files


def _idx(array: np.ndarray) -> bytes:
    return struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def _begin_idx(folder: Path) -> Mapping[str, Sequence[bytes]]:
    random = np.random.default_rng(0)
    arrays = [random.integers(0, 256, (n, 6, 5), np.uint8) for n in (7, 3)]
    labels = [random.integers(0, 10, n, np.uint8) for n in (7, 3)]
    contents = [_idx(array) for pair in zip(arrays, labels, strict=True) for array in pair]
    return _written(folder, {file: [content] for file, content in zip(mnist.FILES, contents, strict=True)})


def _begin_idx_gz(folder: Path) -> Mapping[str, Sequence[bytes]]:
    plain = _begin_idx(folder)
    for file in plain:
        (folder / file).unlink()
    packed = {f"{file}.gz": [gzip.compress(content, mtime=0)] for file, (content,) in plain.items()}
    return _written(folder, packed)


def _read_idx(folder: Path) -> None:
    data = mnist.load_idx_folder(folder)
    for x, y in ((data.x_train, data.y_train), (data.x_test, data.y_test)):
        assert x.dtype == np.uint8 and x.ndim == 3 and x.size and y.dtype == np.int32 and y.shape == x.shape[:1]
        assert 0 <= y.min() and y.max() <= 9
    assert data.x_train.shape[1:] == data.x_test.shape[1:]


# --- film reviews

REVIEWS = ["A fine film.<br /><br />Really.", "isn't it café-like? 10/10", "bad, bad, bad \u0085 acting", "x"]
LENGTH = 400


def _begin_reviews(folder: Path) -> Mapping[str, Sequence[bytes]]:
    content = "".join(f"{review}\n" for review in REVIEWS).encode()
    return _written(folder, {f"{part}_reviews.txt": [content] for part in imdb.PARTS})


def _begin_reviews_gz(folder: Path) -> Mapping[str, Sequence[bytes]]:
    content = gzip.compress("".join(f"{review}\n" for review in REVIEWS).encode(), mtime=0)
    return _written(folder, {f"{part}_reviews.txt.gz": [content] for part in imdb.PARTS})


def _begin_review_files(folder: Path) -> Mapping[str, Sequence[bytes]]:
    return _written(
        folder,
        {
            f"aclImdb/{part.replace('_', '/')}/{number}_7.txt": [review.encode()]
            for part in imdb.PARTS
            for number, review in enumerate(REVIEWS)
        },
    )


def _begin_archive(folder: Path) -> Mapping[str, Sequence[bytes]]:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for part in imdb.PARTS:
            for number, review in enumerate(REVIEWS):
                member = tarfile.TarInfo(f"aclImdb/{part.replace('_', '/')}/{number}_7.txt")
                member.size = len(review.encode())
                tar.addfile(member, io.BytesIO(review.encode()))
    return _written(folder, {"aclImdb_v1.tar.gz": [gzip.compress(made.getvalue(), mtime=0)]})


def _read_reviews(folder: Path) -> None:
    reviews = imdb.read(folder, length=LENGTH)
    data, size = reviews.dataset, reviews.vocabulary.size
    for x, y in ((data.x_train, data.y_train), (data.x_test, data.y_test)):
        assert x.dtype == reviews.vocabulary.dtype and x.shape == (len(y), LENGTH) and x.max(initial=0) < size
        assert y.dtype == np.int32 and set(y.tolist()) == {0, 1}


def _read_archive(folder: Path) -> None:
    parts = imdb._of_archive(folder / "aclImdb_v1.tar.gz")
    assert len(parts) == 4 and all(parts) and all("\0" not in review for part in parts for review in part)


# --- names and texts


def _begin_names(folder: Path) -> Mapping[str, Sequence[bytes]]:
    italian = "".join(f"{first}{second}o\n" for first in "ABCDEF" for second in "aeiu").encode()
    polish = "".join(f"{first}{second}ł\n" for first in "ABCDEFŻ" for second in "aeiu").encode()
    return _written(folder, {"Italian.txt": [italian], "Polish.txt": [polish]})


def _read_names(folder: Path) -> None:
    found = names.read(folder)
    ids = found.alphabet.encode(found.train + found.test, found.length)
    assert found.test and ids.shape == (len(found.train + found.test), found.length) and ids.max() < found.alphabet.size
    assert {name.text for name in found.train}.isdisjoint(name.text for name in found.test)


GUTENBERG = (
    "The Project Gutenberg eBook\n\n*** START OF THE PROJECT GUTENBERG EBOOK X ***\n\nOnce upon a time.\r\n"
    "\n*** END OF THE PROJECT GUTENBERG EBOOK X ***\nlicence"
)


def _begin_text(folder: Path) -> Mapping[str, Sequence[bytes]]:
    return _written(folder, {"a.txt": [GUTENBERG.encode()], "b.txt": ["Größe, 大きさ\n".encode() * 9]})


def _read_text(folder: Path) -> None:
    read = text.read([folder / "a.txt", folder / "b.txt"])
    assert len(read.ids) == len(read.train) + len(read.test) and len(read.train) and len(read.test)
    assert read.ids.dtype == read.vocabulary.dtype and read.ids.max() < read.vocabulary.size
    assert 1 <= len(read.starts) <= 2 and len(read.vocabulary.decode(read.ids)) == len(read.ids)


# --- images


def _begin_image(folder: Path) -> Mapping[str, Sequence[bytes]]:
    from PIL import Image

    grey = np.full((20, 16), 230, np.uint8)
    grey[4:16, 7:9] = 20
    colour = np.stack([grey, 255 - grey, grey], -1)
    images = {
        "L": Image.fromarray(grey),
        "RGB": Image.fromarray(colour),
        "RGBA": Image.fromarray(np.dstack([colour, 255 - grey])),
        "P": Image.fromarray(colour).quantize(4),
        "1": Image.fromarray(grey).convert("1"),
        "I;16": Image.fromarray(grey.astype(np.uint16) * 257),
        "F": Image.fromarray(grey.astype(np.float32) / 255),
        "CMYK": Image.fromarray(colour).convert("CMYK"),
    }
    kinds = {
        "PNG": ("L", "RGB", "RGBA", "P", "1", "I;16"),
        "JPEG": ("L", "RGB", "CMYK"),
        "GIF": ("L", "P"),
        "BMP": ("L", "RGB"),
        "TIFF": ("L", "RGB", "I;16", "F", "CMYK"),
        "WEBP": ("RGB", "RGBA"),
        "PPM": ("L", "RGB"),
        "ICO": ("RGBA",),
        "TGA": ("RGB",),
        "PCX": ("L",),
        "SGI": ("L",),
        "DDS": ("RGBA",),
        "EPS": ("L",),
        "PDF": ("L",),
    }
    contents = []
    for kind, modes in kinds.items():
        for mode in modes:
            images[mode].save(made := io.BytesIO(), kind)
            contents += [made.getvalue()] * (5 if kind == "PNG" else 1)
    return _written(folder, {"digit.png": contents})


def _read_image(folder: Path) -> None:
    example = as_example(folder / "digit.png", (28, 28), 20)
    assert example.dtype == np.uint8 and example.shape == (28, 28) and example.max() >= 0.8 * 255


# --- PyTorch's files


def _begin_torch(folder: Path) -> Mapping[str, Sequence[bytes]]:
    import torch

    torch.manual_seed(0)
    module = torch.nn.GRU(3, 2, 2, bidirectional=True)
    contents = []
    for state in (module.state_dict(), module.half().state_dict(), module.bfloat16().state_dict()):
        torch.save(state, made := io.BytesIO())
        contents.append(made.getvalue())
    for odd in (module, [1, 2], {"weight_ih_l0": "x"}, {"weight_ih_l0": torch.zeros(1).expand(6, 1 << 33)}):
        torch.save(odd, made := io.BytesIO())
        contents.append(made.getvalue())
    torch.save(module.state_dict(), made := io.BytesIO(), _use_new_zipfile_serialization=False)
    return _written(folder, {"gru.pt": [*contents[:3] * 4, *contents[3:], made.getvalue()]})


def _read_torch(folder: Path) -> None:
    layer = load_torch(folder / "gru.pt", "GRU")
    for part in layer.layers:
        for cell in (part.forward, part.backward) if isinstance(part, Bidirectional) else (part.cell,):
            assert cell.w_h.shape == (cell.features, 3 * cell.features) and jnp.issubdtype(cell.w_x.dtype, jnp.floating)


FORMATS: Mapping[str, Format] = {
    "idx": Format(_begin_idx, mutations.binary, _read_idx),
    "idx.gz": Format(_begin_idx_gz, mutations.packed(mutations.binary), _read_idx),
    "reviews": Format(_begin_reviews, mutations.text, _read_reviews),
    "reviews.gz": Format(_begin_reviews_gz, mutations.packed(mutations.text), _read_reviews),
    "review files": Format(_begin_review_files, mutations.text, _read_reviews),
    "review archive": Format(_begin_archive, mutations.packed(mutations.archive), _read_archive),
    "names": Format(_begin_names, mutations.text, _read_names),
    "text": Format(_begin_text, mutations.text, _read_text),
    "image": Format(_begin_image, mutations.png, _read_image),
    "torch": Format(_begin_torch, mutations.zipped, _read_torch),
}
"""By its name."""
