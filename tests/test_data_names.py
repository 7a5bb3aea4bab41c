"""Lists of names: the package's own, other files and folders, what is held out, and the ids of their characters."""

import re
from importlib import resources

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxrnn.data import names
from jaxrnn.data.names import NOTHING, Alphabet, Name, names_in, read
from jaxrnn.errors import DataError

LANGUAGES = ("English", "Finnish", "French", "German", "Italian", "Japanese", "Polish", "Spanish")


def write(path, text, encoding="utf-8"):
    path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
    return path


def test_the_package_s_lists_are_where_an_installed_one_has_them():
    folder = resources.files("jaxrnn.data") / "name_lists"
    files = {file.name: file.read_text("utf-8") for file in folder.iterdir()}
    assert set(files) == {f"{language}.txt" for language in LANGUAGES}
    for text in files.values():
        listed = text.splitlines()
        assert len(listed) == 125 and listed == sorted(set(listed)) and text.endswith("\n")
        assert all(name.isalpha() and name[0].isupper() and name[1:].islower() for name in listed)


def test_the_package_s_names():
    data = read()
    assert data.name == "1,000 names in 8 languages" and data.languages == LANGUAGES
    assert (len(data.train), len(data.test), data.length) == (896, 104, 13)
    assert data.alphabet.size == 72 + 1 + 8
    for language in LANGUAGES:
        assert sum(name.language == language for name in data.test) == 13
    assert Name("Łukasz", "Polish") in data.train + data.test


def test_what_is_held_out_is_learned_nowhere_and_has_no_letters_of_its_own():
    data = read()
    learned, held_out = ({name.text for name in part} for part in (data.train, data.test))
    assert not learned & held_out
    assert set("".join(held_out)) <= set(data.alphabet.characters) == set("".join(learned))


def test_a_name_of_two_languages_is_held_out_of_both(tmp_path):
    for language in ("One", "Other"):
        write(tmp_path / f"{language}.txt", "anna\nnana\nanan\n" + ("naan\n" if language == "One" else ""))
    data = read(tmp_path)
    learned, held_out = ({name.text for name in part} for part in (data.train, data.test))
    assert held_out and not learned & held_out and len(data.train) + len(data.test) == 7


def test_files_are_cleaned(tmp_path):
    text = "\ufeffAnna\r\n\r\n  Bea \nJose\u0301\nde la Cruz\n\u00a0Di\t\nAnna"
    assert names_in(write(tmp_path / "a.txt", text)) == ["Anna", "Bea", "José", "de la Cruz", "Di", "Anna"]


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n"), max_size=12), max_size=8))
def test_what_is_written_is_read(tmp_path_factory, lines):
    file = tmp_path_factory.mktemp("names") / "list.txt"
    written = [names.normalize("NFC", line.strip()) for line in lines]
    wanted = [name for name in written if name]
    if not wanted or "\ufeff" in "".join(lines):
        return
    for text in ("\n".join(lines), "\r\n".join(lines) + "\r\n", "\ufeff" + "\n\n".join(lines)):
        assert names_in(write(file, text)) == wanted


def test_a_file_s_name_that_is_not_in_utf8_is_told_all_the_same(tmp_path):
    named = write(tmp_path / "Fran\udce7ais.txt", "Anna\nAnan\nAna\n")
    one, both = read(named), read(tmp_path)
    assert one.languages == both.languages == ("Fran\\xe7ais",) and one.source == "the file Fran\\xe7ais.txt"


def test_a_file_is_one_language_and_a_folder_one_for_each_file(tmp_path):
    write(tmp_path / "Latin.txt", "Anna\nAnan\nAna\n")
    write(tmp_path / "Greek.txt", "Thea\nTheta\nTeth\n")
    write(tmp_path / "notes.md", "none of these\n")
    one, both = read(tmp_path / "Latin.txt"), read(tmp_path)
    assert one.languages == ("Latin",) and one.name == "3 names" and one.source == "the file Latin.txt"
    assert both.languages == ("Greek", "Latin") and both.name == "6 names in 2 languages"
    assert {name.language for name in both.train} == {"Greek", "Latin"}
    assert sorted(name.text for name in one.train + one.test) == ["Ana", "Anan", "Anna"]


def test_a_tenth_is_held_out_whatever_order_and_however_often(tmp_path):
    listed = [a + b for a in "ABCDEFGHIJ" for b in ("ab", "ba", "ca", "da", "ea", "fa", "ga", "ha", "ia", "ja")]
    once = read(write(tmp_path / "once.txt", "\n".join(listed)))
    twice = read(write(tmp_path / "twice.txt", "\n".join(listed[::-1] + listed)))
    assert len(once.test) == 10 and len(twice.test) == 20 and len(twice.train) == 180
    assert {name.text for name in once.test} == {name.text for name in twice.test}


@pytest.mark.parametrize(
    "text, words",
    [
        (b"", "list.txt: there is no text in it"),
        (b" \n\n", "list.txt: there is no text in it"),
        (b"Anna\nJos\xe9\n", r"list.txt: byte 8 \(0xe9\) is not UTF-8"),
        (b"Anna\0Bea\n", "list.txt: byte 4 is NUL"),
        (b"Anna\n" + b"x" * 101, "list.txt, line 2: 101 characters are more than the 100 of a name"),
        (b"Anna\nAnna\n", "list.txt: there are too few names to learn some and to hold some out"),
        (b"Anna\nBea\n", "list.txt: there are too few names to learn some and to hold some out"),
    ],
)
def test_broken_lists_are_one_line(tmp_path, text, words):
    with pytest.raises(DataError, match=words) as caught:
        read(write(tmp_path / "list.txt", text))
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_an_empty_folder(tmp_path):
    with pytest.raises(DataError, match="nowhere.txt: cannot be read"):
        read(tmp_path / "nowhere.txt")
    with pytest.raises(DataError, match=re.escape(f"{tmp_path}: has no .txt files")):
        read(tmp_path)


ALPHABET = Alphabet("Aabn", ("one", "other"))


def test_ids_by_hand():
    rows = ALPHABET.encode([Name("Anna", "one"), Name("b", "other")], 7)
    assert rows.tolist() == [[5, 0, 3, 3, 1, 4, NOTHING], [6, 2, 4, *[NOTHING] * 4]] and rows.dtype == np.int32
    assert ALPHABET.beginning(Name("An", "other")) == [6, 0, 3] and (ALPHABET.end, ALPHABET.size) == (4, 7)
    assert ALPHABET.encode([], 7).shape == (0, 7)


@given(st.lists(st.tuples(st.text("Aabn", max_size=6), st.sampled_from(ALPHABET.languages)), max_size=4))
def test_what_is_encoded_is_decoded(rows):
    asked = [Name(*row) for row in rows]
    assert [ALPHABET.decode(ids) for ids in ALPHABET.encode(asked, 8)] == [name.text for name in asked]


def test_what_has_no_id_is_named():
    with pytest.raises(DataError, match="'third' is none of the languages: there are one, other"):
        ALPHABET.beginning(Name("An", "third"))
    with pytest.raises(DataError, match="'x', 'y' in 'xAy': .* have only the characters 'Aabn'"):
        ALPHABET.beginning(Name("xAy", "one"))
    with pytest.raises(ValueError, match="more than 5 ids"):
        ALPHABET.encode([Name("Anna", "one")], 5)
