"""Texts: what is read is what stands there, every character counts once, and what is no text is said where."""

import subprocess
import sys
import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxrnn.data import text
from jaxrnn.data.text import (
    UNKNOWN,
    Vocabulary,
    document,
    of_documents,
    python_topics,
    read,
    vocabulary_of,
    without_boilerplate,
)
from jaxrnn.errors import DataError

CHARACTERS = st.characters(exclude_categories=["Cs"])
TEXTS = st.text(CHARACTERS)


def string(read):
    return read.vocabulary.decode(read.ids)


def written(tmp_path, data, name="text.txt"):
    file = tmp_path / name
    file.write_bytes(data)
    return file


@given(TEXTS)
def test_decoding_gives_back_what_was_encoded(said):
    vocabulary = vocabulary_of(said)
    assert vocabulary.characters == "".join(sorted(set(said)))
    ids = vocabulary.encode(said)
    assert vocabulary.decode(ids) == said and vocabulary.size == len(set(said)) + 1
    assert ids.tolist() == [vocabulary.characters.index(character) for character in said]


@given(TEXTS, TEXTS)
def test_what_the_vocabulary_lacks_is_unknown(said, other):
    vocabulary = vocabulary_of(said)
    decoded = vocabulary.decode(vocabulary.encode(other))
    assert decoded == "".join(character if character in said else UNKNOWN for character in other)


@pytest.mark.parametrize("block", [1, 3, 10, 11])
def test_a_text_is_worked_on_in_blocks_of_any_size(block, monkeypatch):
    said = "a text ’b’"
    whole = vocabulary_of(said).encode(said)
    monkeypatch.setattr(text, "BLOCK", block)
    np.testing.assert_array_equal(vocabulary_of(said).encode(said), whole)
    assert vocabulary_of(said).decode(whole) == said


def test_a_file_s_name_that_is_not_in_utf8_is_told_all_the_same(tmp_path):
    assert read([written(tmp_path, b"a text", "na\udcefve.txt")]).name == "na\\xefve.txt"


def test_half_a_surrogate_from_a_command_line_is_unknown():
    assert Vocabulary("ab").encode("a\udcffb").tolist() == [0, 2, 1]


@pytest.mark.parametrize("characters, dtype", [(1, np.uint8), (254, np.uint8), (255, np.uint16), (65_534, np.uint16)])
def test_ids_and_what_is_no_id_fit_the_smallest_type(characters, dtype):
    vocabulary = Vocabulary("".join(map(chr, range(0x10000, 0x10000 + characters))))
    assert vocabulary.dtype == dtype and np.array(vocabulary.size).astype(vocabulary.dtype) == vocabulary.size
    assert vocabulary.encode(vocabulary.characters[-1] + "a").tolist() == [characters - 1, characters]


def test_five_thousand_characters():
    every = "".join(map(chr, range(0x4E00, 0x4E00 + 5000)))
    found = of_documents([every * 2], "signs", "")
    assert len(found.vocabulary.characters) == 5000 and found.ids.dtype == np.uint16
    assert string(found) == every * 2 and found.unknown == 0


@given(st.lists(st.text(CHARACTERS, min_size=1), min_size=1, max_size=4))
def test_the_last_tenth_is_held_out_and_documents_begin_where_they_do(documents):
    whole = "".join(documents)
    if len(whole) < 2:
        with pytest.raises(DataError, match="a text of 1 characters cannot be parted"):
            of_documents(documents, "", "")
        return
    found = of_documents(documents, "", "")
    assert len(found.test) == -(-len(whole) // 10) and len(found.train) + len(found.test) == len(whole)
    assert found.vocabulary.characters == "".join(sorted(set(whole[: found.split])))
    assert found.unknown == sum(character not in whole[: found.split] for character in whole[found.split :])
    assert [whole[place:].startswith(each) for place, each in zip(found.starts, documents, strict=True)] == [
        True
    ] * len(documents)
    assert found.starts.tolist() == [len("".join(documents[:number])) for number in range(len(documents))]


def test_only_so_many_characters():
    found = of_documents(["abcde" * 4, "fghij", "klm"], "", "", 23)
    assert string(found) == "abcde" * 4 + UNKNOWN * 3 and found.starts.tolist() == [0, 20]
    assert of_documents(["abcde"], "", "", 100).ids.size == 5


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r\ufeff"), min_size=20))
def test_marks_and_line_ends_change_nothing(tmp_path_factory, said):
    said = f"so {said}"
    folder = tmp_path_factory.mktemp("ends")
    for number, data in enumerate(
        (
            said,
            "\ufeff" + said,
            said.replace("\n", "\r\n"),
            said.replace("\n", "\r"),
            "\ufeff" + said.replace("\n", "\r\n"),
        )
    ):
        assert document(written(folder, data.encode(), str(number))) == said


def test_a_mark_amid_the_text_stays():
    assert string(of_documents(["a\ufeffb" * 5], "", "")) == "a\ufeffb" * 5


def test_combined_characters_are_characters(tmp_path):
    said = unicodedata.normalize("NFD", "é à ü " * 10)
    found = read([written(tmp_path, said.encode())])
    assert string(found) == said and "\N{COMBINING ACUTE ACCENT}" in found.vocabulary.characters


@pytest.mark.parametrize(
    "data, words",
    [
        (b"good\nbad: \xff\n", r"byte 10 \(0xff\) is not UTF-8"),
        (b"\xef\xbb\xbfgood \xc3", r"byte 8 \(0xc3\) is not UTF-8 \(unexpected end of data\)"),
        (b"an old \xe9t\xe9", r"byte 7 \(0xe9\) is not UTF-8"),
        (b"\xed\xa0\x80", "byte 0 .* is not UTF-8"),
        (b"some\0thing", "byte 4 is NUL"),
        ("in UTF-16".encode("utf-16-le"), "byte 1 is NUL.*UTF-16"),
        (b"", "there is no text in it"),
        (b"\xef\xbb\xbf", "there is no text in it"),
        (b" \r\n\n", "there is no text in it"),
        (
            b"*** START OF THE PROJECT GUTENBERG EBOOK X ***\n\n*** END OF THE PROJECT GUTENBERG EBOOK X ***\n",
            "no text",
        ),
        (b"a", "a text of 1 characters cannot be parted"),
    ],
)
def test_what_is_no_text_is_one_line_that_names_the_file(tmp_path, data, words):
    file = written(tmp_path, data, "strange.txt")
    with pytest.raises(DataError, match=words) as error:
        read([file])
    assert "strange.txt" in str(error.value) and "\n" not in str(error.value)


def test_a_missing_file_and_a_folder(tmp_path):
    with pytest.raises(DataError, match="nowhere.txt: cannot be read .No such file"):
        read([tmp_path / "nowhere.txt"])
    with pytest.raises(DataError, match="cannot be read .Is a directory"):
        read([tmp_path])


BOOK = "\n\nTHE BOOK\n\nIt begins * * * and ends.\n\n"
HEADERS = [
    "The Project Gutenberg EBook of X\nrights\n\n*** START OF THIS PROJECT GUTENBERG EBOOK X ***\n",
    "header\n*** START OF THE PROJECT GUTENBERG EBOOK A LONG TITLE,\nON TWO LINES ***\n",
    "***START OF THE PROJECT GUTENBERG EBOOK X***\n",
    "legal\n*END*THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.04.29.93*END*\n",
    "*END THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.03.17.96*END*\n",
]
LICENCES = [
    "\n\nEnd of Project Gutenberg's X, by Y\n\n*** END OF THIS PROJECT GUTENBERG EBOOK X ***\nlicence\n",
    "*** END OF THE PROJECT GUTENBERG EBOOK X ***\n",
    "End of Project Gutenberg’s X, by Y\n",
    "End of the Project Gutenberg EBook of X, by Y\nlicence",
    "***END OF THE PROJECT GUTENBERG EBOOK X***\n",
    "End of The Project Gutenberg Etext of X\n",
]


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("licence", LICENCES)
def test_gutenberg_s_header_and_licence_are_cut_off(tmp_path, header, licence):
    file = written(tmp_path, (header + BOOK + licence).replace("\n", "\r\n").encode())
    assert document(file) == "THE BOOK\n\nIt begins * * * and ends.\n"
    assert document(file, keep_boilerplate=True) == header + BOOK + licence


def test_other_texts_are_left_alone():
    said = "\nA letter about Project Gutenberg.\n*** The end of it ***\nEnd of project Gutenberg, I fear.\n\n"
    assert without_boilerplate(said) == said


def test_several_files_are_several_documents(tmp_path):
    files = [written(tmp_path, data, name) for name, data in (("b.txt", b"first\n" * 9), ("a.txt", b"second"))]
    found = read(files)
    assert string(found)[:54] == "first\n" * 9 and found.starts.tolist() == [0, 54]
    assert (found.name, found.source) == ("b.txt, a.txt", "2 text files")


def test_without_a_file_there_is_python_s_prose():
    found = read()
    assert string(found)[: found.split] == "".join(python_topics())[: found.split]
    assert len(found.starts) == len(python_topics()) and "Python" in found.name


LARGE = """
import resource, sys
from pathlib import Path
from jaxrnn.data import text
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
found = text.read([Path(sys.argv[1])])
print(len(found.ids), found.ids.nbytes, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""


@pytest.mark.slow
def test_a_large_file_needs_a_few_times_its_size(tmp_path):
    line = "She said ‘good morning’ to the café, and left.\r\n"
    data = (line * 2_000_000).encode()
    file = written(tmp_path, data)
    size, length = len(data), 2_000_000 * (len(line) - 1)
    del data
    said = subprocess.run([sys.executable, "-c", LARGE, str(file)], capture_output=True, text=True, check=True).stdout
    characters, ids, memory = map(int, said.split())
    assert size > 100e6 and characters == ids == length and memory < 6 * size
