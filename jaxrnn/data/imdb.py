"""Film reviews and whether they praise or damn: the Large Movie Review Dataset of Maas et al. (2011), as ids of words.

    https://ai.stanford.edu/~amaas/data/sentiment/

It has four parts, ``train_neg``, ``train_pos``, ``test_neg`` and ``test_pos``, of 12,500 reviews each. They are read
from a text file each, one review a line, from the publisher's folder ``aclImdb`` with a file for each review, or from
the publisher's archive. Rows of ids are kept in the user's cache folder, for the same reviews and the same settings.
"""

import gzip
import hashlib
import io
import json
import os
import re
import tarfile
import tempfile
import unicodedata
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from platformdirs import user_cache_path

from jaxrnn.data import download
from jaxrnn.data.dataset import Dataset
from jaxrnn.data.download import FetchError, Remote
from jaxrnn.data.tokens import PADDING, Html, Words, padded, tokens_of_all, vocabulary_of
from jaxrnn.errors import DataError, SettingsError

NEGATIVE, POSITIVE = 0, 1
CLASSES = ("negative", "positive")
"""What each label means."""

PARTS = ("train_neg", "train_pos", "test_neg", "test_pos")
"""In the order of the rows: of each half, the negative reviews come first."""

VocabFrom = Literal["train", "all"]
"""Whose words have ids: those of what is trained on, or, as in the paper, those of the test reviews as well."""

REMOTE = Remote(
    "http://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz",
    84_125_825,
    "c40f74a18d3b61f90feba1e17730e0d38e8b97c05fde7008942e91923d1658fe",
)
"""The publisher's archive, as tensorflow-datasets knows it."""

_PAGE = "https://ai.stanford.edu/~amaas/data/sentiment/"
# In the order of PARTS: of the reviews, with a line feed after each of them.
_PUBLISHED_SHA256 = (
    "9fa5f3bcce7584dc73f10a159584dc0f452065c3d52e1ecbbbd25963723a9171",
    "297eeab82982d3bc08a6e308247eb36d435aecade3c7a708f85be27804bbfb15",
    "ae25aab8ece2d7db1e8d296a110a85deeec7e4ec09559507953b1cc15fcd7e98",
    "3cf75e548f6913de09ab494c2bcda9001849884143fc6d2f1f70c48e537f2f03",
)
_REVIEW_FILE = re.compile(r"([0-9]+)_[0-9]+\.txt")
_MEMBER = re.compile(r"(?:\./)?aclImdb/(train|test)/(neg|pos)/([0-9]+_[0-9]+\.txt)")

# A gzip of a few megabytes can hold more than the memory does, but text comes to no more than some four times its
# packed size. The published archive holds some 300 MB, a published part 12,500 reviews.
_LARGEST = 1 << 29
_RATIO = 20
_SMALL = 1 << 24
_MOST = 1 << 18
_BLOCK = 1 << 20

_CACHE_FORMAT = 1
"""To be counted up where other rows are made of the same reviews, or they are written in another way."""


class Reviews(NamedTuple):
    """Reviews as ids of their words, and the words."""

    dataset: Dataset
    vocabulary: Words


class _Settings(NamedTuple):
    """What rows depend on besides the reviews."""

    length: int
    html: Html
    vocab_from: VocabFrom
    max_words: int | None

    def check(self) -> None:
        for name, number in (("length", self.length), ("max_words", self.max_words)):
            if number is not None and number < 1:
                raise SettingsError(f"{name} must be at least 1, not {number}")
        for name, chosen, choices in (("html", self.html, Html), ("vocab_from", self.vocab_from, VocabFrom)):
            if chosen not in get_args(choices):
                raise SettingsError(f"{name} must be {' or '.join(get_args(choices))}, not {chosen}")


def load(data_dir: str | os.PathLike | None = None) -> Dataset:
    """The data set that `read` makes of its defaults: ids of 20,000 words, ``(n, 400)``."""
    return read(data_dir).dataset


def read(
    data_dir: str | os.PathLike | None = None,
    *,
    length: int = 400,
    html: Html = "strip",
    vocab_from: VocabFrom = "train",
    max_words: int | None = 20_000,
) -> Reviews:
    """The reviews as published: ids ``(n, length)`` in the vocabulary's type, int32 labels 0 negative and 1 positive.

    Both halves hold the negative reviews first, then the positive ones, each in the order of the files. A review is
    cut after ``length`` words; shorter ones are padded in front (see `jaxrnn.data.tokens`).

    ``data_dir``: a folder with the four text files ``train_neg_reviews.txt``, ... or ``train_neg_merged.txt``, ...,
    plain or gzip, also with ``.gz``; else an unpacked ``aclImdb``, or the folder that holds it. Without it, the first
    of:

    1. ``$JAXRNN_DATA``, where set: that folder, or its subfolder ``imdb``;
    2. the archive that tensorflow-datasets has in its cache or can fetch.

    ``name`` is ``imdb`` for the published reviews, ``reviews`` for others. A cache folder that cannot be written to
    is a warning.

    Raises:
        DataError: there are no reviews to be had; a named folder lacks a part, or has one without reviews; a file
            cannot be read, is damaged, no UTF-8, or larger than 512 MiB, or holds NUL bytes, over 262,144 reviews, or,
            where it is a gzip, more than 20 times its own size; a download is not what was published.
        SettingsError: a setting is none of its choices, or below 1.
    """
    settings = _Settings(length, html, vocab_from, max_words)
    settings.check()
    if data_dir is not None:
        texts, source = _of_folder(_path(data_dir))
    elif root := os.environ.get("JAXRNN_DATA"):
        try:
            texts, source = _of_folder(_imdb_folder(_path(root)))
        except DataError as error:
            raise DataError(f"$JAXRNN_DATA: {error}") from error
    else:
        archive, source = _fetched(), f"{REMOTE.url.rpartition('/')[2]} through tensorflow-datasets"
        # what is in it is known without reading it, which takes seconds: its checksum was right
        if cached := _cached(_PUBLISHED_SHA256, settings, source):
            return cached
        texts = _of_archive(archive)
    sha256 = tuple(map(_sha256, texts))
    if cached := _cached(sha256, settings, source):
        return cached
    reviews = _encoded(_name(sha256), source, texts, settings)
    _keep(reviews, sha256, settings)
    return reviews


def synthetic(
    length: int = 400,
    *,
    html: Html = "strip",
    vocab_from: VocabFrom = "train",
    max_words: int | None = 20_000,
    train: int = 1024,
    test: int = 512,
) -> Reviews:
    """Generated reviews, always the same, as `read` gives real ones: half of each half is positive.

    Filler words with opinions strewn among them, a tenth of the latter said by a negation (``not good``). In each
    review more opinions are of its own kind than of the other one, so a reader who knows what ``not`` does to the next
    word is always right, and one who merely counts words is in nineteen of twenty. A review has 4 to 231 words,
    34 in the median.

    Raises SettingsError as `read` does.
    """
    settings = _Settings(length, html, vocab_from, max_words)
    settings.check()
    random = np.random.default_rng(0)
    sizes = (train - train // 2, train // 2, test - test // 2, test // 2)
    texts = [
        [_generated(random, POSITIVE if part.endswith("pos") else NEGATIVE) for _ in range(size)]
        for part, size in zip(PARTS, sizes, strict=True)
    ]
    return _encoded("synthetic", "generated reviews", texts, settings)


def _encoded(name: str, source: str, texts: Sequence[Sequence[str]], settings: _Settings) -> Reviews:
    rows = tokens_of_all(chain.from_iterable(texts), settings.html)
    sizes = [len(part) for part in texts]
    train, test = rows[: sum(sizes[:2])], rows[sum(sizes[:2]) :]
    vocabulary = vocabulary_of(train if settings.vocab_from == "train" else rows, settings.max_words)
    x_train, x_test = (vocabulary.encode_all(half, settings.length) for half in (train, test))
    y_train, y_test = (np.repeat(np.array([NEGATIVE, POSITIVE], np.int32), half) for half in (sizes[:2], sizes[2:]))
    return Reviews(Dataset(name, source, x_train, y_train, x_test, y_test, len(CLASSES)), vocabulary)


def _name(sha256: tuple[str, ...]) -> str:
    return "imdb" if sha256 == _PUBLISHED_SHA256 else "reviews"


def _sha256(part: Sequence[str]) -> str:
    return hashlib.sha256("".join(f"{review}\n" for review in part).encode()).hexdigest()


# Where the reviews are


def _of_folder(folder: Path) -> tuple[list[list[str]], str]:
    files = _text_files(folder)
    if not any(files) and (root := _unpacked(folder)):
        return [_of_review_files(part) for part in _part_folders(root)], "review files of an unpacked aclImdb"
    if missing := [f"{part}_reviews.txt" for part, file in zip(PARTS, files, strict=True) if file is None]:
        raise DataError(
            f"{folder}: has no {', no '.join(missing)} (plain or .gz); put the four text files or the unpacked aclImdb "
            f"there, or run on generated reviews with --dataset synthetic"
        )
    return [_of_text_file(file) for file in files if file], "text files"


def _imdb_folder(root: Path) -> Path:
    nested = root / "imdb"
    return nested if os.path.isdir(nested) and not any(_text_files(root)) and not _unpacked(root) else root


def _text_files(folder: Path) -> list[Path | None]:
    names = _file_names(folder)
    spellings = [[f"{part}_{kind}.txt{end}" for kind in ("reviews", "merged") for end in ("", ".gz")] for part in PARTS]
    return [next((folder / name for name in names_of if name in names), None) for names_of in spellings]


def _unpacked(folder: Path) -> Path | None:
    roots = (folder, folder / "aclImdb")
    return next((root for root in roots if any(map(os.path.isdir, _part_folders(root)))), None)


def _part_folders(root: Path) -> list[Path]:
    return [root.joinpath(*part.split("_")) for part in PARTS]


def _file_names(folder: Path) -> set[str]:
    try:
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries if entry.is_file()}
    except OSError as error:
        raise DataError(
            f"{folder}: {error.strerror}; give the folder that holds the four text files of reviews or aclImdb"
        ) from error


def _path(folder: str | os.PathLike) -> Path:
    return Path(os.path.expanduser(folder))


def _fetched() -> Path:
    try:
        return download.fetch("imdb_reviews", [REMOTE], download.cache_folder())[0]
    except FetchError as error:
        names = ", ".join(f"{part}_reviews.txt" for part in PARTS)
        raise DataError(
            f"there are no film reviews here ({error}); name a folder with {names} or with an unpacked aclImdb (from "
            f"{_PAGE}) by --data-dir or $JAXRNN_DATA, or connect to a network, so that tensorflow-datasets fetches "
            "them, or run on generated reviews with --dataset synthetic"
        ) from error


# Reading


def _of_text_file(file: Path) -> list[str]:
    """The lines of a text file: its blank lines are reviews without words, save those at its end."""
    # not splitlines(), which would cut at characters that reviews contain, U+0085 for one
    text = _decoded(_content(file), str(file)).replace("\r\n", "\n").rstrip("\n")
    if not text:
        raise DataError(f"{file}: there are no reviews in it, one a line; fetch the file again")
    if (count := text.count("\n") + 1) > _MOST:
        raise DataError(f"{file}: {count} reviews, one a line, are over the limit of {_MOST}; check the file")
    return text.split("\n")


def _of_review_files(folder: Path) -> list[str]:
    names = sorted(filter(_REVIEW_FILE.fullmatch, _file_names(folder)), key=_number)
    if not names:
        raise DataError(f"{folder}: has no reviews (files <id>_<stars>.txt); unpack the archive from {_PAGE} again")
    return [_review(_content(folder / name), str(folder / name)) for name in names]


def _of_archive(archive: Path) -> list[list[str]]:
    parts: dict[str, list[tuple[str, str]]] = {part: [] for part in PARTS}
    with _reading(archive), _Packed(archive) as packed, tarfile.open(fileobj=packed, mode="r:") as tar:
        for member in tar:
            _check_size(member.offset_data + member.size, archive, packed.most)
            found = _MEMBER.fullmatch(member.name)
            # a link has no content of its own: it may lead nowhere, or to the same large file again and again
            if found is None or not member.isreg() or (file := tar.extractfile(member)) is None:
                continue
            half, kind, name = found.groups()
            parts[f"{half}_{kind}"].append((name, _review(file.read(), f"{archive}, {member.name}")))
    if empty := [part for part, reviews in parts.items() if not reviews]:
        raise DataError(f"{archive}: has no reviews in {', '.join(empty)}; fetch the archive again from {_PAGE}")
    return [[review for _, review in sorted(parts[part], key=lambda one: _number(one[0]))] for part in PARTS]


def _review(data: bytes | bytearray, where: str) -> str:
    """What a file of its own says in one line: line breaks are spaces, and those at its end nothing."""
    return _decoded(data, where).rstrip("\r\n").replace("\r\n", "\n").replace("\n", " ")


def _number(name: str) -> tuple[int, str]:
    return int(name.partition("_")[0]), name


def _content(file: Path) -> bytearray:
    """What is in a file, unpacked where it is a gzip (its content decides, not its name)."""
    content = bytearray()
    with _reading(file), open(file, "rb") as raw:
        packed = raw.peek(2)[:2] == b"\x1f\x8b"
        stream, most = (gzip.GzipFile(fileobj=raw), _most(file)) if packed else (raw, _LARGEST)
        while block := stream.read(_BLOCK):
            content += block
            _check_size(len(content), file, most)
    return content


def _most(packed: Path) -> int:
    """How many bytes a gzip may hold."""
    return min(_LARGEST, max(_SMALL, _RATIO * packed.stat().st_size))


def _check_size(size: int, path: Path, most: int) -> None:
    if size > most:
        raise DataError(f"{path}: holds more than the limit of {most} bytes; check the file")


class _Packed(gzip.GzipFile):
    """A gzip of which no more is read at once than it may hold: `tarfile` asks for as much as a header promises."""

    def __init__(self, path: Path):
        self.path, self.most = path, _most(path)
        super().__init__(path)

    def read(self, size: int | None = -1) -> bytes:
        if size is not None:
            _check_size(size, self.path, self.most)
        return super().read(size)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except EOFError as error:
        raise DataError(f"{path}: truncated gzip; fetch the file again") from error
    except (gzip.BadGzipFile, zlib.error, tarfile.TarError, ValueError, RecursionError) as error:
        # the last two are what `tarfile` runs into in headers that say nonsense, or go on and on
        raise DataError(f"{path}: corrupt ({error}); fetch the file again") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}); check its permissions") from error


def _decoded(data: bytes | bytearray, where: str) -> str:
    if (place := data.find(b"\0")) >= 0:
        what = "NUL, which no text holds; is it a binary file, or UTF-16?"
    else:
        try:
            return str(data, "utf-8").removeprefix("\ufeff")
        except UnicodeDecodeError as error:
            place = error.start
            what = f"{data[place]:#04x}, not UTF-8 ({error.reason}); convert the file to UTF-8"
    line = data.count(b"\n", 0, place) + 1
    raise DataError(f"{where}: byte {place}, in line {line}, is {what}")


# The cache: a file for each set of reviews and settings. It begins with the SHA-256 of the rest and of its own name.


def _cached(sha256: tuple[str, ...], settings: _Settings, source: str) -> Reviews | None:
    """The rows of these reviews, where they are in the cache whole."""
    place = _cache_file(sha256, settings)
    try:
        data = place.read_bytes()
    except OSError:
        return None
    seal, content = data[:32], data[32:]
    if seal != _seal(place, content):
        return None
    with np.load(io.BytesIO(content)) as arrays:
        words = Words(tuple(arrays["words"].tobytes().decode().split()))
        x_train, x_test = (
            padded(arrays[f"ids_{half}"], arrays[f"lengths_{half}"], settings.length) for half in ("train", "test")
        )
        dataset = Dataset(_name(sha256), source, x_train, arrays["y_train"], x_test, arrays["y_test"], len(CLASSES))
    return Reviews(dataset, words)


def _keep(reviews: Reviews, sha256: tuple[str, ...], settings: _Settings) -> None:
    """Writes the rows to the cache, whole or not at all; where that cannot be done, warns."""
    arrays: dict[str, Any] = {"words": np.frombuffer(" ".join(reviews.vocabulary.words).encode(), np.uint8)}
    for half in ("train", "test"):
        x = getattr(reviews.dataset, f"x_{half}")
        arrays[f"y_{half}"] = getattr(reviews.dataset, f"y_{half}")
        arrays[f"lengths_{half}"] = np.count_nonzero(x, axis=1)
        arrays[f"ids_{half}"] = x[x != PADDING]
    np.savez(buffer := io.BytesIO(), **arrays)
    content, place = buffer.getvalue(), _cache_file(sha256, settings)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        # under a name of its own: two programs may write the same rows at once. What is torn all the same, by a loss of
        # power, its seal gives away
        descriptor, beside = tempfile.mkstemp(".tmp", dir=place.parent)
        try:
            with open(descriptor, "wb") as file:
                file.write(_seal(place, content))
                file.write(content)
            os.replace(beside, place)
        except BaseException:
            os.unlink(beside)
            raise
    except OSError as error:
        warnings.warn(
            f"{place.parent}: the rows of ids cannot be kept there ({error.strerror or error}), so each start makes "
            "them anew",
            stacklevel=3,
        )


def _cache_file(sha256: tuple[str, ...], settings: _Settings) -> Path:
    # what a letter is, and which is its small one, is the Unicode version's matter
    key = json.dumps([_CACHE_FORMAT, unicodedata.unidata_version, sha256, settings])
    return user_cache_path("jaxrnn") / "imdb" / f"{hashlib.sha256(key.encode()).hexdigest()}.rows"


def _seal(place: Path, content: bytes) -> bytes:
    seal = hashlib.sha256(place.name.encode())
    seal.update(content)
    return seal.digest()


# Generated reviews

_FILLER = """
    a about actor actors after again all an and another at audience bit book but by camera cast character characters
    day dialogue did director down ending every family few film first five for from go had has he her his house i i've
    in into is it it's last life little long made make man many me minutes more most movie music my of on one only or
    out over part people place plot really role saw scene scenes screen script see seen she show so some sound story
    take-off that that's the their them then there they thing this time to town two up very was watch we we'd were when
    where which who whole will with woman world years you young
""".split()
_OPINIONS = (
    """awful bad bland boring cheap clumsy disappointing dreadful dull horrible lame mediocre pathetic poor predictable
    ridiculous stupid terrible tedious weak""".split(),
    """amazing beautiful brilliant charming clever delightful enjoyable excellent fantastic funny good great gripping
    lovely moving outstanding perfect superb touching wonderful""".split(),
)
"""In the order of the labels."""

_COMMAS = ("", "", "", ",")
_STOPS = (". ", ". ", ". ", "... ", "! ", "? ", ".<br /><br />")


def _generated(random: np.random.Generator, label: int) -> str:
    words = _choice(random, _FILLER, int(np.clip(np.exp(random.normal(3.4, 0.7)), 3, 200)))
    opinions = 1 + len(words) // 8
    contrary = min(int(random.binomial(opinions, 0.1)), (opinions - 1) // 2)
    for number in range(opinions):
        meant = 1 - label if number < contrary else label
        negated = random.random() < 0.1
        (word,), (comma,) = _choice(random, _OPINIONS[1 - meant if negated else meant], 1), _choice(random, _COMMAS, 1)
        words.insert(int(random.integers(len(words) + 1)), f"{'not ' * negated}{word}{comma}")
    text = ""
    while words:
        size = int(random.integers(4, 13))
        text += " ".join(words[:size]).capitalize() + _choice(random, _STOPS, 1)[0]
        words = words[size:]
    return text


def _choice(random: np.random.Generator, words: Sequence[str], count: int) -> list[str]:
    return [words[place] for place in random.integers(len(words), size=count)]
