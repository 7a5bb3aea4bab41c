"""Texts as ids of their characters: files of any language, in UTF-8, or the prose that comes with Python (UVA 3).

A text is one or several documents, one after the other. Its last tenth is held out. Every character that occurs before
that has an id, its place among them in order; those that occur in the held-out part alone share one id, that of the
unknown. A character is a code point: an accent that is combined with the letter before it is a character too.
"""

import codecs
import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from jaxrnn.data.dataset import in_words
from jaxrnn.errors import DataError
from jaxrnn.typing import ArrayLike, Int

CODE_POINTS = 0x110000
UNKNOWN = "\ufffd"
"""What stands for an unknown character where ids are read as text."""

BLOCK = 1 << 22
"""How many characters are worked on at once: four bytes each, while the text itself may be of one byte each."""

_HEADER_ENDS = (
    re.compile(r"^\*\*\* ?START OF (?:THE|THIS) PROJECT GUTENBERG[^*]{0,400}\*\*\*[^\n]*$\n*", re.I | re.M),
    re.compile(r"^\*?END[* ]*THE SMALL PRINT![^\n]*$\n*", re.I | re.M),
)
_LICENCE_BEGINS = re.compile(
    r"^(?:\*\*\* ?END OF (?:THE|THIS) PROJECT GUTENBERG"
    r"|(?:\*\*\* ?)?END OF (?:THE |THIS )?PROJECT GUTENBERG(?:[’']S)? (?:E-?BOOK|E-?TEXT|[^\n]{1,200}, by ))",
    re.I | re.M,
)


@dataclass(frozen=True)
class Vocabulary:
    """The characters that have an id: ``characters[i]`` has the id i, and all others have `unknown`."""

    characters: str
    """In the order of their code points, none twice."""

    @property
    def size(self) -> int:
        """How many ids there are, that of the unknown included."""
        return len(self.characters) + 1

    @property
    def unknown(self) -> int:
        """The id of every other character: the last one."""
        return len(self.characters)

    @property
    def known(self) -> np.ndarray:
        """Which ids are those of characters, ``(size,)``: all but that of the unknown."""
        return np.arange(self.size) != self.unknown

    @property
    def dtype(self) -> np.dtype:
        """The smallest type that holds all ids, and `size` itself for what is no character at all."""
        return np.min_scalar_type(self.size)

    @cached_property
    def _ids(self) -> np.ndarray:
        ids = np.full(CODE_POINTS, self.unknown, self.dtype)
        ids[_codes(self.characters)] = np.arange(len(self.characters))
        return ids

    def encode(self, text: str) -> Int[np.ndarray, "n"]:
        """The id of every character."""
        ids = np.empty(len(text), self.dtype)
        for start in range(0, len(text), BLOCK):
            ids[start : start + BLOCK] = self._ids[_codes(text[start : start + BLOCK])]
        return ids

    def decode(self, ids: Int[ArrayLike, "n"]) -> str:
        """The characters of ids, `UNKNOWN` for that of the unknown."""
        codes, ids = np.append(_codes(self.characters), np.uint32(ord(UNKNOWN))).astype("<u4"), np.asarray(ids)
        blocks = (codes[ids[start : start + BLOCK]] for start in range(0, len(ids), BLOCK))
        return "".join(block.tobytes().decode("utf-32-le", "surrogatepass") for block in blocks)


def vocabulary_of(text: str) -> Vocabulary:
    """Every character of a text, in the order of their code points."""
    seen = np.zeros(CODE_POINTS, bool)
    for start in range(0, len(text), BLOCK):
        seen[_codes(text[start : start + BLOCK])] = True
    return Vocabulary("".join(map(chr, np.flatnonzero(seen).tolist())))


def _codes(text: str) -> np.ndarray:
    # half a surrogate is no character of a text, but a command line may hold one
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")


@dataclass(frozen=True)
class Text:
    """A text as ids, and what it is."""

    name: str
    source: str
    """In words, where it comes from."""
    vocabulary: Vocabulary
    ids: Int[np.ndarray, "n"]
    split: int
    """So many characters are trained on; the others are held out."""
    starts: Int[np.ndarray, "m"]
    """Where each document begins."""

    @property
    def train(self) -> Int[np.ndarray, "split"]:
        """The characters that are trained on."""
        return self.ids[: self.split]

    @property
    def test(self) -> Int[np.ndarray, "rest"]:
        """The characters that are held out."""
        return self.ids[self.split :]

    @property
    def unknown(self) -> int:
        """How many of the held-out characters do not occur in what is trained on."""
        return int((self.test == self.vocabulary.unknown).sum())


def read(files: Sequence[Path] = (), *, keep_boilerplate: bool = False, characters: int | None = None) -> Text:
    """The text of these files, each of them a document; without any, what is in every Python (see `python_topics`).

    A byte order mark is dropped, line ends become ``\\n``, and Project Gutenberg's header and licence are cut off
    unless ``keep_boilerplate``. Of all that the first ``characters`` are taken.

    Raises:
        DataError: a file that cannot be read, is no UTF-8, holds NUL bytes, or has no text; a text too short to be
            parted.
    """
    if files:
        documents = [document(Path(file), keep_boilerplate=keep_boilerplate) for file in files]
        name = ", ".join(in_words(Path(file).name) for file in files)
        return of_documents(documents, name, f"{len(files)} text file{'s' * (len(files) > 1)}", characters)
    return of_documents(
        python_topics(), "Python topics", f"pydoc_data of Python {platform.python_version()}", characters
    )


def of_documents(documents: Sequence[str], name: str, source: str, characters: int | None = None) -> Text:
    """The text that is made of these documents. Raises DataError where it has not two characters, one for each part."""
    starts = np.cumsum([0, *map(len, documents)])[:-1]
    whole = "".join(documents)[:characters]
    split = len(whole) - -(-len(whole) // 10)
    if split < 1:
        raise DataError(
            f"{name}: a text of {len(whole)} characters cannot be parted into one to train on and one to test"
        )
    vocabulary = vocabulary_of(whole[:split])
    return Text(name, source, vocabulary, vocabulary.encode(whole), split, starts[starts < len(whole)])


def document(file: Path, *, keep_boilerplate: bool = False) -> str:
    """The text of one file. Raises DataError as `read` does."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror or error})") from error
    if (place := data.find(b"\0")) >= 0:
        raise DataError(f"{file}: byte {place} is NUL, which no text holds; is it a binary file, or UTF-16?")
    skipped = len(codecs.BOM_UTF8) if data.startswith(codecs.BOM_UTF8) else 0
    try:
        text = str(memoryview(data)[skipped:], "utf-8")
    except UnicodeDecodeError as error:
        place = skipped + error.start
        raise DataError(
            f"{file}: byte {place} ({data[place]:#04x}) is not UTF-8 ({error.reason}); convert the file to UTF-8"
        ) from error
    del data
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = text if keep_boilerplate else without_boilerplate(text)
    if not text.strip():
        raise DataError(f"{file}: there is no text in it")
    return text


def without_boilerplate(text: str) -> str:
    """A text without Project Gutenberg's header and licence, and the empty lines around them; others as they are.

    Known are the line ``*** START OF THE PROJECT GUTENBERG EBOOK ... ***`` and the older end of the "small print"
    before the book; after it ``*** END OF ...`` and the older ``End of Project Gutenberg's ...``.
    """
    for pattern in _HEADER_ENDS:
        if found := pattern.search(text):
            text = text[found.end() :]
    if found := _LICENCE_BEGINS.search(text):
        text = text[: found.start()].rstrip("\n") + "\n"
    return text


def python_topics() -> list[str]:
    """The English prose about the Python language that its ``help()`` shows, a document for each topic, by name."""
    from pydoc_data.topics import topics

    return [topics[name] for name in sorted(topics)]
