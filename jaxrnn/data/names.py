"""Names of people in one or several languages, as ids of their characters (IST, programming 2).

A list has a name on each line. The package has lists of its own, given names of eight languages; others are a file, or
a folder with a file for each language. A tenth of the different names of every language is held out, by a hash of
the name: a name that is held out is learned nowhere, however often it occurs and in however many languages.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import NamedTuple
from unicodedata import normalize

import numpy as np

from jaxrnn.data.dataset import in_words
from jaxrnn.data.text import document
from jaxrnn.errors import DataError
from jaxrnn.typing import Int

LONGEST = 100
"""How many characters a line may have and be taken for a name."""

NOTHING = -1
"""What stands behind the end of a name in rows of ids."""


class Name(NamedTuple):
    """One name as it is listed."""

    text: str
    language: str


@dataclass(frozen=True)
class Alphabet:
    """The ids of what a name is made of: each character by its place, then the end, then a start for each language."""

    characters: str
    """In the order of their code points, none twice."""
    languages: tuple[str, ...]

    @property
    def end(self) -> int:
        """The id of the end of a name."""
        return len(self.characters)

    @property
    def size(self) -> int:
        """How many ids there are."""
        return len(self.characters) + 1 + len(self.languages)

    def beginning(self, name: Name) -> list[int]:
        """The ids of the start and of the characters of a name that goes on.

        Raises DataError for a language or characters without an id; it names those that have one.
        """
        if name.language not in self.languages:
            raise DataError(f"{name.language!r} is none of the languages: there are {', '.join(self.languages)}")
        if unknown := [one for one in dict.fromkeys(name.text) if one not in self.characters]:
            raise DataError(
                f"{', '.join(map(repr, unknown))} in {name.text!r}: the names that were learned have only the "
                f"characters {self.characters!r}"
            )
        start = self.end + 1 + self.languages.index(name.language)
        return [start, *map(self.characters.index, name.text)]

    def encode(self, names: Iterable[Name], length: int) -> Int[np.ndarray, "n t"]:
        """Whole names, int32 ``(n, length)``: start, characters, end, and `NOTHING` from there on.

        Raises DataError as `beginning` does, and ValueError for a name that is longer.
        """
        rows = [[*self.beginning(name), self.end] for name in names]
        if any(len(row) > length for row in rows):
            raise ValueError(f"a name has more than {length} ids")
        return np.array([row + [NOTHING] * (length - len(row)) for row in rows], np.int32).reshape(-1, length)

    def decode(self, ids: Sequence[int] | Int[np.ndarray, "t"]) -> str:
        """The characters of a row of ids."""
        return "".join(self.characters[one] for one in ids if 0 <= one < self.end)


@dataclass(frozen=True)
class Names:
    """Lists of names, parted into what is learned and what is held out."""

    name: str
    """In words, how many there are."""
    source: str
    """In words, where they come from."""
    languages: tuple[str, ...]
    train: tuple[Name, ...]
    test: tuple[Name, ...]

    @property
    def alphabet(self) -> Alphabet:
        """The characters of the names to be learned; those held out have no others."""
        return Alphabet("".join(sorted(set("".join(name.text for name in self.train)))), self.languages)

    @property
    def length(self) -> int:
        """How many ids the longest name has, its start and its end among them."""
        return 2 + max(len(name.text) for name in self.train + self.test)


def read(place: Path | None = None) -> Names:
    """The names in a file, or in the ``.txt`` files of a folder, a language each; without a place, the package's own.

    Byte order marks, blank lines and spaces around names are dropped, and accents composed (NFC); upper and lower case
    are kept. What a list has several times counts several times.

    Raises:
        DataError: nothing there; a file that cannot be read, is no UTF-8, holds NUL bytes or no name, or a line longer
            than a name; too few names to learn some and hold some out.
    """
    if place is None:
        with resources.as_file(resources.files("jaxrnn.data") / "name_lists") as folder:
            lists, source = _of_folder(folder), "they come with jaxrnn"
    elif place.is_dir():
        lists, source = _of_folder(place), f"the folder {in_words(place.resolve().name)}"
    else:
        lists, source = {in_words(place.stem): names_in(place)}, f"the file {in_words(place.name)}"
    names = [Name(text, language) for language, texts in lists.items() for text in texts]
    train, test = _parted(names, "the package" if place is None else str(place))
    name = f"{len(names):,} names" + (f" in {len(lists)} languages" if len(lists) > 1 else "")
    return Names(name, source, tuple(lists), train, test)


def names_in(file: Path) -> list[str]:
    """The names of one file, in their order. Raises DataError as `read` does."""
    names = []
    for number, line in enumerate(document(file, keep_boilerplate=True).split("\n"), start=1):
        if len(name := normalize("NFC", line.strip())) > LONGEST:
            raise DataError(
                f"{file}, line {number}: {len(name)} characters are more than the {LONGEST} of a name; "
                "a list has one name on each line"
            )
        if name:
            names.append(name)
    return names


def _of_folder(folder: Path) -> dict[str, list[str]]:
    files = sorted(folder.glob("*.txt"))
    if not files:
        raise DataError(f"{folder}: has no .txt files, one for each language")
    return {normalize("NFC", in_words(file.stem)): names_in(file) for file in files}


def _parted(names: Sequence[Name], where: str) -> tuple[tuple[Name, ...], tuple[Name, ...]]:
    different: dict[str, set[str]] = {}
    for name in names:
        different.setdefault(name.language, set()).add(name.text)
    held_out = {text for texts in different.values() for text in sorted(texts, key=_hash)[: -(-len(texts) // 10)]}
    # what has a character that no other name has is learned: there would be no id for it
    known = {character for name in names if name.text not in held_out for character in name.text}
    held_out = {text for text in held_out if known.issuperset(text)}
    train = tuple(name for name in names if name.text not in held_out)
    test = tuple(name for name in names if name.text in held_out)
    if without := sorted(different.keys() - {name.language for name in train}):
        raise DataError(f"{where}: {', '.join(without)} has too few names to learn some and to hold some out")
    if not test:
        raise DataError(f"{where}: there are too few names to learn some and to hold some out")
    return train, test


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
