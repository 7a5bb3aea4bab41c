"""Every format that is read: something valid of it, how that is broken, and the reader, whose results are looked at."""

import gzip
import io
import json
import struct
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments import all as all_of_them
from experiments import char_samples, mnist_recurrent, report, texts
from experiments.mnist_gru import EXPERIMENT as MNIST
from experiments.texts import TextSettings
from jaxrnn import checkpoint, command, runfolder
from jaxrnn.data import Dataset, imdb, mnist, names, text
from jaxrnn.data.image import as_example
from jaxrnn.errors import UserError
from jaxrnn.interop import load_torch
from jaxrnn.layers import Bidirectional
from jaxrnn.report.collect import collect
from jaxrnn.report.page import render
from jaxrnn.study import Study, check_same_run, identity_of, run_keys, save_progress
from jaxrnn.sweeps import training
from jaxrnn.sweeps.plan import Chunk
from jaxrnn.train import Progress, example_of, start

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


# --- run folders


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


RESULT = {
    "experiment": "mnist_gru",
    "command": "python -m experiments.mnist_gru",
    "finished": True,
    "dataset": {"name": "mnist", "source": "idx files", "train": 60000, "test": 10000},
    "config": {"quick": False, "hidden": 150, "every": 3, "clip_norm": None},
    "parameters": 82510,
    "metrics": {"test_accuracy": {"mean": 0.98, "std": 0.01, "runs": [0.97, 0.99, None]}},
    "reference": [{"what": "the paper", "metric": "test_accuracy", "value": 0.74, "note": "20 epochs"}],
    "answers": {"T10": "an answer"},
    "seconds": {"total": 90.0, "compile": 5.0, "train": 80.0},
    "device": "2 x cpu",
    "made": "2026-11-26T12:00:00+00:00",
    "versions": {"jax": "0.10.2"},
}
HISTORY = b"run,epoch,test_accuracy\n0,1,0.5\n1,1,0.6\n0,2,0.7\n1,2,0.8\n"
SWEEP = b"run,point,hidden,seed,status\n0,0,3,0,finished\n1,1,4,0,finished\n"


def _begin_results(folder: Path) -> Mapping[str, Sequence[bytes]]:
    settings = MNIST.settings()
    config = runfolder.plain(command.config(settings))
    all_json = {"mnist_gru": {"state": "failed", "seconds": 1.0, "words": [], "message": "no"}}
    return _written(
        folder,
        {
            "mnist_gru/result.json": [_json(RESULT), _json(RESULT | {"config": config})],
            "mnist_rnn/config.json": [_json(config)],
            "sweep/result.json": [_json(RESULT | {"experiment": "sweep"})],
            "all.json": [_json(all_json)],
        },
    )


def _begin_tables(folder: Path) -> Mapping[str, Sequence[bytes]]:
    for file in ("mnist_gru/result.json", "sweep/result.json"):
        _written(folder, {file: [_json(RESULT | {"experiment": file.partition("/")[0]})]})
    return _written(
        folder, {"mnist_gru/history.csv": [HISTORY], "sweep/history.csv": [HISTORY], "sweep/sweep.csv": [SWEEP]}
    )


def _read_results(folder: Path) -> None:
    page = report.compose(collect(folder), folder, report.said_by_all(folder))
    assert b"</html>" in render(page).encode(errors="replace")
    settings = MNIST.settings()
    for name in ("mnist_gru", "mnist_rnn"):
        assert all_of_them.state(name, settings, folder / name, real=True) in ("done", "begun", "new")
    check_same_run("mnist_rnn", folder / "mnist_rnn", command.config(settings), ())


# --- checkpoints


def _save(name: str, out: Path, settings: Any, study: Study, notes: Mapping[str, Any]) -> None:
    """A run that was saved before its first step."""
    example = example_of(study.train)
    keys = run_keys(0, np.arange(settings.seeds))
    watched = study.watch is not None
    runs = jax.vmap(lambda key: start(study.task, key, study.hparams, example, keep_best=watched))(keys)
    x, y = (jax.tree.leaves(part)[0] for part in example)
    facts = {
        "seconds": 1.0,
        "spread": [[1, 1, 1]],
        "shape": x.shape[1:],
        "dtype": str(x.dtype),
        "label": {"shape": y.shape[1:], "dtype": str(y.dtype)},
        "notes": dict(notes),
    }
    free = command.free(settings)
    config = {key: value for key, value in command.config(settings).items() if key not in free}
    history = [{"run": 0, "epoch": 1, "test_loss": 0.5}]
    progress = Progress(runs, 1, 0, history, {"compile": 0.0, "train": 0.0})
    save_progress(out / "checkpoint", progress, identity_of(name, config, study) | facts)


def _save_digits(out: Path) -> None:
    settings = replace(MNIST.settings.quick_defaults(), hidden=2, batch=1, seeds=1, validation=0, patience=0)
    images, labels = np.zeros((2, 3, 4), np.uint8), np.zeros(2, np.int32)
    data = Dataset("idx", "made", images, labels, images, labels, mnist.CLASSES)
    _save("mnist_gru", out, settings, MNIST.study(settings, data), {})


def _save_text(out: Path) -> None:
    settings = replace(TextSettings.quick_defaults(), hidden=2, layers=1, batch=1, length=2, steps=2, every=1)
    read = text.of_documents(["abcabcabc" * 9], "a text", "made")
    study = texts.study(settings, read)
    _save("char_lm", out, settings, study, study.notes)


def _files(folder: Path, below: str) -> Mapping[str, Sequence[bytes]]:
    return {
        str(path.relative_to(folder)): [path.read_bytes()]
        for path in sorted((folder / below).rglob("*"))
        if path.is_file()
    }


def _begin_checkpoint(folder: Path) -> Mapping[str, Sequence[bytes]]:
    _save_digits(folder / "gru")
    return _files(folder, "gru/checkpoint")


def _begin_meta(folder: Path) -> Mapping[str, Sequence[bytes]]:
    _save_digits(folder / "gru")
    _save_text(folder / "text")
    return {file: content for file, content in _files(folder, ".").items() if file.endswith("meta.json")}


def _sums(folder: Path) -> None:
    for saved in folder.glob("*/checkpoint/1"):
        (saved / checkpoint.SUMS).write_bytes(b"".join(checkpoint._sums(saved)))


def _read_checkpoint(folder: Path) -> None:
    run = mnist_recurrent.restore("mnist_gru", MNIST.settings, folder / "gru")
    assert run.shape[1] == 4 and all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(run.models))


def _read_both(folder: Path) -> None:
    refused = []
    for read in (_read_checkpoint, lambda folder: texts.restore("char_lm", folder / "text")):
        try:
            read(folder)
        except UserError as error:
            refused.append(error)
    if refused:
        raise refused[0]


# --- sweeps


def _begin_shard(folder: Path) -> Mapping[str, Sequence[bytes]]:
    run = {
        "diverged_at": None,
        "stopped_early": False,
        "epochs": 2,
        "metrics": {"test_loss": 0.5, "test_accuracy": None},
        "seconds": 1.5,
    }
    shard = {
        "runs": [{"run": number, **run} for number in (0, 1)],
        "history": [{"run": number, "epoch": 1, "test_loss": 0.6} for number in (0, 1)],
        "memory": 1000,
        "worked": [[1.0, 2.5]],
        "seconds": {"compile": 0.5, "train": 1.0},
    }
    return _written(folder, {"shard.json": [_json(shard)]})


def _read_shard(folder: Path) -> None:
    chunk = Chunk(0, [0, 1], folder)
    record = training._read(chunk)
    assert training.seconds_worked([record]) >= 0
    assert all(
        np.isfinite(training.number(value)) or value is None for row in record["history"] for value in row.values()
    )


def _begin_samples(folder: Path) -> Mapping[str, Sequence[bytes]]:
    sample = char_samples.Sample(step=1, loss=0.5, held_out=2.0, greedy="the", drawn="a cat", words=3, known=1)
    return _written(folder, {char_samples.DATA: [_json([asdict(sample)] * 2)]})


def _read_samples(folder: Path) -> None:
    assert all(sample.share <= 1 or sample.share > 1 or not sample.words for sample in char_samples.read(folder))


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
    "results": Format(_begin_results, mutations.structured, _read_results),
    "tables": Format(_begin_tables, mutations.text, _read_results),
    "checkpoint": Format(_begin_checkpoint, mutations.binary, _read_checkpoint),
    "checkpoint's meta": Format(_begin_meta, mutations.structured, _read_both, _sums),
    "shard": Format(_begin_shard, mutations.structured, _read_shard),
    "samples": Format(_begin_samples, mutations.structured, _read_samples),
}
"""By its name."""
