"""Film reviews: the same rows from every source and in every process, one line for what is broken, a cache that only
saves time."""

import errno
import gzip
import hashlib
import http.server
import io
import os
import random
import re
import shutil
import subprocess
import sys
import tarfile
import threading
import tracemalloc
from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxrnn.data import DATASETS, download, imdb
from jaxrnn.data.download import Remote
from jaxrnn.data.tokens import PADDING, UNKNOWN
from jaxrnn.errors import DataError, SettingsError
from permissions import held_back, reachable_folder

PARTS = ("train_neg", "train_pos", "test_neg", "test_pos")
TEXTS = {
    "train_neg": ["Bad.<br /><br />Can't bear it", "", "so\u0085bad,\u00a0so BAD!", "Über-bad"],
    "train_pos": [f"good film, number {number}" for number in range(12)],
    "test_neg": ["worse than bad", "???"],
    "test_pos": ["a good, good film", "unheard-of", "good " * 450 + "end"],
}

PUBLISHED = imdb.REMOTE
named = os.environ.get("JAXRNN_DATA", "nowhere")
REAL = next((folder for folder in (Path(named), Path(named, "imdb")) if any(folder.glob("train_pos_*.txt*"))), None)


@pytest.fixture(autouse=True)
def own_environment(monkeypatch, tmp_path):
    """No test sees the data, the caches or the network of whoever runs it."""
    for name in ("JAXRNN_DATA", "HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
    monkeypatch.setattr(imdb, "REMOTE", Remote("http://127.0.0.1:9/aclImdb_v1.tar.gz", 1, "00" * 32))


def text_files(folder: Path, texts=TEXTS, kind="reviews", end="\n", gz=False, suffix=None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for part, reviews in texts.items():
        data = "".join(review + end for review in reviews).encode()
        suffix_of = (".gz" if gz else "") if suffix is None else suffix
        (folder / f"{part}_{kind}.txt{suffix_of}").write_bytes(gzip.compress(data, 1) if gz else data)
    return folder


def review_files(root: Path, texts=TEXTS) -> Path:
    for part, reviews in texts.items():
        folder = root.joinpath(*part.split("_"))
        folder.mkdir(parents=True, exist_ok=True)
        for number, review in enumerate(reviews):
            (folder / f"{number}_{number % 10 + 1}.txt").write_bytes(review.encode())
    return root


def archive(file: Path, texts=TEXTS, mode="w:gz") -> Path:
    """As the publisher's: in no order, with reviews that have no label, and with other files."""
    members = [
        (f"aclImdb/{part.replace('_', '/')}/{number}_{number % 10 + 1}.txt", review)
        for part, reviews in texts.items()
        for number, review in enumerate(reviews)
    ]
    members += [
        ("aclImdb/train/unsup/0_0.txt", "unlabelled"),
        ("aclImdb/README", "read"),
        ("aclImdb/imdb.vocab", "the"),
    ]
    random.Random(0).shuffle(members)
    with tarfile.open(file, mode) as tar:
        for name, said in members:
            info = tarfile.TarInfo(name)
            info.size = len(said.encode())
            tar.addfile(info, io.BytesIO(said.encode()))
    return file


def words(text: str, html: str) -> list[str]:
    return re.sub(r"[^\w\s]", "", (text.replace("<br />", " ") if html == "strip" else text).lower()).split()


def assert_holds(reviews, texts=TEXTS, length=400, html="strip", vocab_from="train", max_words=20_000):
    """The rows, made anew one word at a time."""
    rows = {part: [words(text, html) for text in texts[part]] for part in PARTS}
    learned = PARTS if vocab_from == "all" else PARTS[:2]
    counts = Counter(word for part in learned for row in rows[part] for word in row)
    vocabulary = sorted(counts, key=lambda word: (-counts[word], word))[:max_words]
    assert reviews.vocabulary.words == tuple(vocabulary)
    dataset = reviews.dataset
    halves = ((dataset.x_train, dataset.y_train), (dataset.x_test, dataset.y_test))
    for (x, y), (negative, positive) in zip(halves, (PARTS[:2], PARTS[2:]), strict=True):
        assert y.tolist() == [0] * len(texts[negative]) + [1] * len(texts[positive]) and y.dtype == np.int32
        ids = [
            [vocabulary.index(word) + 2 if word in vocabulary else 1 for word in row[:length]]
            for row in rows[negative] + rows[positive]
        ]
        assert x.tolist() == [[0] * (length - len(row)) + row for row in ids]
        assert x.dtype == reviews.vocabulary.dtype
    assert dataset.classes == 2


def assert_same(one, other):
    assert one.vocabulary == other.vocabulary
    for a, b in zip(one.dataset, other.dataset, strict=True):
        if isinstance(a, np.ndarray):
            np.testing.assert_array_equal(a, b, strict=True)
        else:
            assert a == b


def refusal(function, *arguments, **options) -> str:
    """The one line with which ``function`` refuses."""
    with pytest.raises(DataError) as caught:
        function(*arguments, **options)
    line = str(caught.value)
    assert "\n" not in line and ";" in line
    return line


# What is read


@pytest.mark.parametrize("kind", ["reviews", "merged"])
@pytest.mark.parametrize("gz, suffix", [(False, ""), (True, ".gz"), (True, ""), (False, ".gz")])
def test_text_files_in_each_spelling(tmp_path, kind, gz, suffix):
    """Trap 7 of the list: the paper's text and its code name the files differently."""
    reviews = imdb.read(text_files(tmp_path / "data", kind=kind, gz=gz, suffix=suffix))
    assert_holds(reviews)
    assert (reviews.dataset.name, reviews.dataset.source) == ("reviews", "text files")


@pytest.mark.parametrize("nested", [False, True])
def test_an_unpacked_archive(tmp_path, nested):
    root = review_files(tmp_path / "data" / "aclImdb")
    for name in ("urls_pos.txt", "unsup/0_0.txt", "pos/notes.txt", "pos/.1_1.txt.swp"):
        (root / "train" / name).parent.mkdir(exist_ok=True)
        (root / "train" / name).write_text("no review")
    (root / "train" / "pos" / "99_9.txt").mkdir()
    reviews = imdb.read(root.parent if nested else root)
    assert_holds(reviews)
    assert (reviews.dataset.name, reviews.dataset.source) == ("reviews", "review files of an unpacked aclImdb")


def test_text_files_come_before_an_unpacked_archive(tmp_path):
    review_files(tmp_path / "aclImdb", dict.fromkeys(PARTS, ["other"]))
    assert_holds(imdb.read(text_files(tmp_path)))


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("last", ["", "\n", "\r\n\n"])
def test_marks_and_ends_of_lines_change_nothing(tmp_path, end, mark, last):
    folder = text_files(tmp_path / "data", end=end)
    for file in folder.iterdir():
        file.write_bytes(mark.encode() + file.read_bytes().removesuffix(end.encode()) + last.encode())
    assert_holds(imdb.read(folder))


def test_line_breaks_within_a_review_of_its_own_file_are_white_space(tmp_path):
    texts = dict.fromkeys(PARTS, ["good film", "a b c"])
    root = review_files(tmp_path / "data", texts)
    for folder in (root / "train" / "pos", root / "test" / "neg"):
        (folder / "0_1.txt").write_bytes(b"\xef\xbb\xbfgood\r\nfilm\r\n")
        (folder / "1_2.txt").write_bytes(b"a\nb\r\nc\n\n")
    assert_holds(imdb.read(root), texts)
    assert imdb._of_folder(root) == imdb._of_folder(text_files(tmp_path / "texts", texts))[:1] + (
        "review files of an unpacked aclImdb",
    )


REVIEW = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r\n\ufeff"))


@given(st.fixed_dictionaries({part: st.lists(REVIEW).map(lambda many: [*many, "end"]) for part in PARTS}))
@settings(max_examples=30)
def test_every_source_has_the_same_reviews(tmp_path_factory, texts):
    folder = tmp_path_factory.mktemp("sources")
    expected = [texts[part] for part in PARTS]
    assert imdb._of_folder(text_files(folder / "texts", texts))[0] == expected
    assert imdb._of_folder(review_files(folder, texts))[0] == expected
    assert imdb._of_archive(archive(folder / "packed", texts)) == expected
    shutil.rmtree(folder)


@pytest.mark.parametrize("length", [1, 3, 500])
@pytest.mark.parametrize("html", ["strip", "keep"])
@pytest.mark.parametrize("vocab_from", ["train", "all"])
@pytest.mark.parametrize("max_words", [1, 4, None])
def test_every_setting(tmp_path, length, html, vocab_from, max_words):
    chosen = {"length": length, "html": html, "vocab_from": vocab_from, "max_words": max_words}
    assert_holds(imdb.read(text_files(tmp_path / "data"), **chosen), **chosen)


def test_words_of_test_reviews_have_ids_only_where_that_is_asked_for(tmp_path):
    """Trap 6: the paper's vocabulary is that of all reviews, and a word of test reviews alone else a KeyError."""
    folder = text_files(tmp_path / "data")
    train, every = imdb.read(folder), imdb.read(folder, vocab_from="all")
    assert "unheardof" in every.vocabulary.words and "unheardof" not in train.vocabulary.words
    assert (train.dataset.x_test[3] == UNKNOWN).sum() == 1 and (every.dataset.x_test != UNKNOWN).all()
    assert (train.dataset.x_train != UNKNOWN).all()


def test_reviews_without_words_and_very_long_ones(tmp_path):
    texts = TEXTS | {"test_pos": ["... !!!", "word " * 200_000, "x" * 1_000_000]}
    x = imdb.read(text_files(tmp_path / "data", texts)).dataset.x_test[-3:]
    assert (x[0] == PADDING).all() and (x[1] == UNKNOWN).all()
    assert x[2].tolist() == [PADDING] * 399 + [UNKNOWN]


def test_they_are_imdb_only_if_all_four_parts_are(tmp_path, monkeypatch):
    published = tuple(
        hashlib.sha256("".join(f"{review}\n" for review in TEXTS[part]).encode()).hexdigest() for part in PARTS
    )
    monkeypatch.setattr(imdb, "_PUBLISHED_SHA256", published)
    assert imdb.read(text_files(tmp_path / "texts", end="\r\n")).dataset.name == "imdb"
    assert imdb.read(review_files(tmp_path / "aclImdb")).dataset.name == "imdb"
    assert imdb._name(tuple(map(imdb._sha256, imdb._of_archive(archive(tmp_path / "packed"))))) == "imdb"
    for part in PARTS:
        changed = TEXTS | {part: [*TEXTS[part], "more"]}
        assert imdb.read(text_files(tmp_path / part, changed)).dataset.name == "reviews"


def test_the_registered_loader_has_the_defaults(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    expected = imdb.read(text_files(tmp_path / "data"))
    assert_same(imdb.Reviews(DATASETS["imdb"]("~/data"), expected.vocabulary), expected)


# What is broken


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_is_missing_or_empty(tmp_path, part):
    texts, root = text_files(tmp_path / "texts"), review_files(tmp_path / "files")
    (texts / f"{part}_reviews.txt").write_bytes(b"\xef\xbb\xbf\r\n\n")
    assert refusal(imdb.read, texts).startswith(f"{texts / part}_reviews.txt: there are no reviews")
    (texts / f"{part}_reviews.txt").unlink()
    assert refusal(imdb.read, texts).startswith(f"{texts}: has no {part}_reviews.txt (")

    folder = root.joinpath(*part.split("_"))
    shutil.rmtree(folder)
    assert refusal(imdb.read, root).startswith(f"{folder}: No such file or directory;")
    folder.mkdir()
    (folder / "readme.txt").write_text("no review")
    assert refusal(imdb.read, root).startswith(f"{folder}: has no reviews (")

    texts = {name: reviews for name, reviews in TEXTS.items() if name != part}
    assert f"has no reviews in {part};" in refusal(imdb._of_archive, archive(tmp_path / "packed", texts))


def test_a_folder_that_is_none(tmp_path):
    assert refusal(imdb.read, tmp_path / "absent").startswith(f"{tmp_path / 'absent'}: No such file or directory;")
    (tmp_path / "file").touch()
    assert refusal(imdb.read, tmp_path / "file").startswith(f"{tmp_path / 'file'}: Not a directory;")
    (tmp_path / "empty").mkdir()
    line = refusal(imdb.read, tmp_path / "empty")
    assert all(f"no {part}_reviews.txt" in line for part in PARTS) and "--dataset synthetic" in line


NOTHING = "there are no reviews in it"
PACKED = gzip.compress(b"good film\n" * 100, mtime=0)


@pytest.mark.parametrize(
    "content, said",
    [
        pytest.param(b"", NOTHING, id="empty"),
        pytest.param(gzip.compress(b""), NOTHING, id="nothing packed"),
        pytest.param(b"good\nbad: \xff\n", r"byte 10, in line 2, is 0xff, not UTF-8", id="no UTF-8"),
        pytest.param(gzip.compress(b"a\n\nb \xe9t"), r"byte 5, in line 3, is 0xe9, not UTF-8", id="no UTF-8, packed"),
        pytest.param(b"\xef\xbb\xbfgood \xc3", r"byte 8, in line 1, is 0xc3, not UTF-8 \(unexpected end", id="cut"),
        pytest.param(b"good\nso\0bad", "byte 7, in line 2, is NUL", id="NUL"),
        pytest.param("good".encode("utf-16-le"), "byte 1, in line 1, is NUL.*UTF-16", id="UTF-16"),
        pytest.param(PACKED[:-1], "truncated gzip", id="gzip without its last byte"),
        pytest.param(PACKED[:15], "truncated gzip", id="half a gzip"),
        pytest.param(PACKED[:2], "truncated gzip", id="gzip magic only"),
        pytest.param(PACKED[:-8] + bytes(4) + PACKED[-4:], "corrupt .CRC check failed", id="gzip with a wrong CRC"),
        pytest.param(PACKED[:10] + b"\xff" * 8 + PACKED[18:], "corrupt .Error", id="gzip with a damaged body"),
        pytest.param(PACKED + b"rubbish", "corrupt .Not a gzipped file", id="gzip followed by rubbish"),
        pytest.param(gzip.compress(PACKED), "not UTF-8|NUL", id="packed twice"),
    ],
)
def test_a_broken_file_is_one_line_that_names_it(tmp_path, content, said):
    texts = text_files(tmp_path / "texts")
    file = texts / "test_neg_reviews.txt"
    file.write_bytes(content)
    line = refusal(imdb.read, texts)
    assert line.startswith(f"{file}: ") and re.search(said, line)

    if said != NOTHING:  # which a review may well say
        root = review_files(tmp_path / "files")
        file = root / "train" / "pos" / "11_2.txt"
        file.write_bytes(content)
        line = refusal(imdb.read, root)
        assert line.startswith(f"{file}: ") and re.search(said, line)


def test_a_broken_review_in_an_archive(tmp_path):
    file = archive(tmp_path / "packed", TEXTS | {"test_neg": ["good", "bad\0"]})
    assert refusal(imdb._of_archive, file).startswith(f"{file}, aclImdb/test/neg/1_2.txt: byte 3, in line 1, is NUL")


@pytest.mark.parametrize("kept", [0, 2, 15, 150, -99])
def test_an_archive_that_is_cut_off(tmp_path, kept):
    file = archive(tmp_path / "packed")
    file.write_bytes(file.read_bytes()[:kept])
    assert refusal(imdb._of_archive, file).startswith(f"{file}: ")


def test_a_damaged_archive_is_reviews_or_one_line(tmp_path):
    file = archive(tmp_path / "packed")
    whole = file.read_bytes()
    for place in range(0, len(whole), 17):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        try:
            assert len(imdb._of_archive(file)) == 4
        except DataError as error:
            assert str(error).startswith(f"{file}") and "\n" not in str(error)


def test_what_may_not_be_read():
    with reachable_folder() as root:
        texts, files = text_files(root / "texts"), review_files(root / "files")
        secrets = texts / "test_pos_reviews.txt", files / "test" / "pos" / "1_2.txt"
        for folder, secret in zip((texts, files), secrets, strict=True):
            secret.chmod(0)
            with held_back():
                assert refusal(imdb.read, folder).startswith(f"{secret}: cannot be read (Permission denied);")
        files.chmod(0)
        with held_back():
            assert refusal(imdb.read, files).startswith(f"{files}: Permission denied;")
        files.chmod(0o755)


def test_a_file_that_unpacks_without_end_takes_no_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(imdb, "_LARGEST", 1 << 20)
    monkeypatch.setattr(imdb, "_BLOCK", 1 << 16)
    texts = text_files(tmp_path / "texts")
    file = texts / "test_neg_reviews.txt"
    packed = archive(tmp_path / "packed", TEXTS | {"test_neg": [" " * (50 << 20)]})
    for content in (gzip.compress(b" " * (50 << 20)), b" " * (20 << 20)):
        file.write_bytes(content)
        tracemalloc.start()
        line = refusal(imdb.read, texts)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert line.startswith(f"{file}: holds more than the limit of 1048576 bytes") and peak < 6 << 20
    tracemalloc.start()
    assert refusal(imdb._of_archive, packed).startswith(f"{packed}: holds more than the limit")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6 << 20


def header(name: str, size: int = 0, kind: bytes = tarfile.REGTYPE, link: str = "", **pax: str) -> bytes:
    member = tarfile.TarInfo(name)
    member.size, member.type, member.linkname, member.pax_headers = size, kind, link, pax
    return member.tobuf(tarfile.PAX_FORMAT)


@pytest.mark.parametrize(
    "members",
    [
        pytest.param(header("a", **{"GNU.sparse.map": "0,x"}), id="a number that is none"),
        pytest.param(header("a", kind=tarfile.XHDTYPE) * 3000, id="headers of headers"),
    ],
)
def test_an_archive_of_nonsense_is_refused(tmp_path, members):
    file = tmp_path / "packed"
    file.write_bytes(gzip.compress(members))
    assert refusal(imdb._of_archive, file).startswith(f"{file}: corrupt")


@pytest.mark.parametrize("kind", [tarfile.LNKTYPE, tarfile.SYMTYPE])
def test_links_in_an_archive_are_no_reviews(tmp_path, kind):
    file = archive(tmp_path / "packed")
    links = ("../../../outside.txt", "aclImdb/train/neg/0_1.txt", "aclImdb/train/neg/98_1.txt")
    with gzip.open(file) as packed:
        before = packed.read()
    made = b"".join(header(f"aclImdb/train/neg/9{at}_1.txt", kind=kind, link=link) for at, link in enumerate(links))
    file.write_bytes(gzip.compress(made + before))
    assert imdb._of_archive(file) == [TEXTS[part] for part in PARTS]


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.REGTYPE])
def test_what_an_archive_promises_takes_no_memory(tmp_path, kind):
    file = tmp_path / "packed"
    file.write_bytes(gzip.compress(header("aclImdb/train/neg/0_1.txt", 60 << 20, kind) + b"a" * (60 << 20), 1))
    tracemalloc.start()
    line = refusal(imdb._of_archive, file)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert line.startswith(f"{file}: holds more than the limit") and peak < 6 << 20


def test_a_gzip_that_holds_many_times_its_size_is_refused(tmp_path):
    texts = text_files(tmp_path / "texts")
    file = texts / "test_neg_reviews.txt"
    file.write_bytes(gzip.compress(b"word " * (5 << 20)))
    assert refusal(imdb.read, texts).startswith(f"{file}: holds more than the limit of {16 << 20} bytes")


def test_a_small_file_of_very_many_reviews_is_refused(tmp_path):
    """A row of 400 ids is made of each, though it has one letter."""
    texts = text_files(tmp_path / "texts")
    file = texts / "test_neg_reviews.txt"
    file.write_bytes(b"a\n" * 300_000)
    assert refusal(imdb.read, texts).startswith(f"{file}: 300000 reviews, one a line, are over the limit of 262144")


@pytest.mark.parametrize(
    "option, said",
    [
        ({"length": 0}, "length must be at least 1, not 0"),
        ({"max_words": 0}, "max_words must be at least 1, not 0"),
        ({"html": "Strip"}, "html must be keep or strip, not Strip"),
        ({"vocab_from": "test"}, "vocab_from must be train or all, not test"),
    ],
)
def test_settings_that_make_no_sense(option, said):
    for function in (imdb.read, imdb.synthetic):
        with pytest.raises(SettingsError, match=said):
            function(**option)


# The order of the sources


def test_an_explicit_folder_wins_over_the_environment(tmp_path, monkeypatch):
    other = TEXTS | {"train_pos": ["other"]}
    monkeypatch.setenv("JAXRNN_DATA", str(text_files(tmp_path / "environment", other)))
    assert_holds(imdb.read(text_files(tmp_path / "explicit")))
    assert_holds(imdb.read(), other)


def test_the_environment_names_the_folder_or_the_one_above(tmp_path, monkeypatch):
    monkeypatch.setenv("JAXRNN_DATA", str(tmp_path))
    (tmp_path / "train").mkdir()
    nested = text_files(tmp_path / "imdb")
    assert_holds(imdb.read())
    shutil.rmtree(nested)
    review_files(nested / "aclImdb")
    assert_holds(imdb.read())
    text_files(tmp_path, dict.fromkeys(PARTS, ["above"]))
    assert_holds(imdb.read(), dict.fromkeys(PARTS, ["above"]))


def test_the_environment_is_used_or_it_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setenv("JAXRNN_DATA", str(tmp_path))
    assert refusal(imdb.read).startswith(f"$JAXRNN_DATA: {tmp_path}: has no train_neg_reviews.txt, no train_pos")
    monkeypatch.setenv("JAXRNN_DATA", str(tmp_path / "absent"))
    assert refusal(imdb.read).startswith(f"$JAXRNN_DATA: {tmp_path / 'absent'}: No such file")


def test_without_any_source_all_ways_to_get_the_reviews_are_named(monkeypatch):
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    line = refusal(imdb.read)
    assert "no network: 127.0.0.1 cannot be reached" in line
    for way in (
        *(f"{part}_reviews.txt" for part in PARTS),
        "unpacked aclImdb",
        "https://ai.stanford.edu/~amaas/data/sentiment/",
        "--data-dir",
        "$JAXRNN_DATA",
        "tensorflow-datasets",
        "--dataset synthetic",
    ):
        assert way in line


def test_address_and_checksum_are_those_of_tensorflow_datasets():
    import tensorflow_datasets as tfds

    listed = Path(tfds.__file__).parent / "datasets" / "imdb_reviews" / "checksums.tsv"
    url, size, sha256, _ = listed.read_text().split()
    assert PUBLISHED == Remote(url, int(size), sha256)


@pytest.fixture
def served(tmp_path, monkeypatch):
    """The archive on a server of this machine; what it was asked for."""
    (tmp_path / "served").mkdir()
    data = archive(tmp_path / "served" / "aclImdb_v1.tar.gz").read_bytes()
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            asked.append(self.command)

    handler = partial(Handler, directory=str(tmp_path / "served"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/aclImdb_v1.tar.gz"
        monkeypatch.setattr(imdb, "REMOTE", Remote(url, len(data), hashlib.sha256(data).hexdigest()))
        yield asked
        server.shutdown()
        thread.join()


def test_the_archive_is_fetched_and_read_where_it_is(served, tmp_path):
    reviews = imdb.read()
    assert_holds(reviews)
    assert reviews.dataset.source == "aclImdb_v1.tar.gz through tensorflow-datasets"
    (fetched,) = (tmp_path / "tfds" / "downloads" / "imdb_reviews").glob("*.tar.gz")
    assert not any(path.is_dir() for path in fetched.parent.iterdir()), "unpacked"


def test_a_fetched_archive_needs_no_network(served):
    imdb.read()
    served.clear()
    assert_holds(imdb.read())
    assert served == []


def test_the_rows_of_the_published_archive_are_known_without_reading_it(tmp_path, monkeypatch):
    texts = imdb.read(text_files(tmp_path / "data"))
    published = tuple(map(imdb._sha256, (TEXTS[part] for part in PARTS)))
    monkeypatch.setattr(imdb, "_PUBLISHED_SHA256", published)
    monkeypatch.setattr(download, "fetch", lambda *_: [tmp_path / "never opened"])
    reviews = imdb.read()
    assert reviews.dataset.name == "imdb" and "tensorflow-datasets" in reviews.dataset.source
    assert_same(reviews, imdb.Reviews(texts.dataset._replace(name="imdb", source=reviews.dataset.source), texts[1]))


# The cache


class MadeError(Exception):
    """Rows were made that could have been taken from the cache."""


@pytest.fixture
def kept(tmp_path):
    """A folder of reviews whose rows are in the cache, and the file they are in."""
    folder = text_files(tmp_path / "data")
    imdb.read(folder)
    (file,) = (tmp_path / "cache" / "jaxrnn" / "imdb").iterdir()
    return folder, file


def made_anew(monkeypatch, *arguments, **options) -> bool:
    def never(*_):
        raise MadeError

    with monkeypatch.context() as patch:
        patch.setattr(imdb, "_encoded", never)
        try:
            imdb.read(*arguments, **options)
        except MadeError:
            return True
        return False


def test_rows_are_taken_from_the_cache_whatever_the_source(kept, tmp_path, monkeypatch):
    folder, file = kept
    fresh = imdb._encoded(
        "reviews", "text files", imdb._of_folder(folder)[0], imdb._Settings(400, "strip", "train", 20_000)
    )
    assert not made_anew(monkeypatch, folder)
    assert_same(imdb.read(folder), fresh)
    assert not made_anew(monkeypatch, text_files(tmp_path / "other", kind="merged", gz=True))
    assert not made_anew(monkeypatch, root := review_files(tmp_path / "unpacked"))
    assert imdb.read(root).dataset.source == "review files of an unpacked aclImdb"
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize("option", [{"length": 399}, {"html": "keep"}, {"vocab_from": "all"}, {"max_words": None}])
def test_other_settings_are_other_rows(kept, monkeypatch, option):
    folder, _ = kept
    assert made_anew(monkeypatch, folder, **option)
    assert_holds(imdb.read(folder, **option), **option)
    assert not made_anew(monkeypatch, folder, **option)
    assert not made_anew(monkeypatch, folder)


def test_other_reviews_unicode_or_format_are_other_rows(kept, tmp_path, monkeypatch):
    folder, _ = kept
    for part in PARTS:
        assert made_anew(monkeypatch, text_files(tmp_path / part, TEXTS | {part: [*TEXTS[part], "."]}))
    assert made_anew(
        monkeypatch, text_files(tmp_path / "swapped", TEXTS | dict(zip(PARTS[::-1], TEXTS.values(), strict=True)))
    )
    with monkeypatch.context() as patch:
        patch.setattr(imdb, "_CACHE_FORMAT", imdb._CACHE_FORMAT + 1)
        assert made_anew(monkeypatch, folder)
    monkeypatch.setattr(imdb.unicodedata, "unidata_version", "99")
    assert made_anew(monkeypatch, folder)


def test_a_damaged_file_is_made_anew(kept, monkeypatch):
    folder, file = kept
    whole = file.read_bytes()
    damaged = [whole[:cut] for cut in (0, 1, 31, 32, 100, len(whole) - 1)] + [whole + b"!", b"rubbish" * 99]
    damaged += [whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :] for at in range(0, len(whole), len(whole) // 40)]
    for data in damaged:
        file.write_bytes(data)
        assert made_anew(monkeypatch, folder)
    file.write_bytes(damaged[-1])
    assert_holds(imdb.read(folder))
    assert file.read_bytes() == whole


def test_rows_under_another_s_name_are_made_anew(kept, tmp_path, monkeypatch):
    folder, file = kept
    own = file.read_bytes()
    imdb.read(folder, length=7)
    (other,) = set(file.parent.iterdir()) - {file}
    other.write_bytes(own)
    assert imdb.read(folder, length=7).dataset.x_train.shape[1] == 7


def assert_warns_and_holds(folder):
    with pytest.warns(UserWarning, match="the rows of ids cannot be kept there") as warned:
        assert_holds(imdb.read(folder))
    (warning,) = warned
    assert "\n" not in str(warning.message) and warning.filename == __file__


def test_a_cache_that_cannot_be_written_is_a_warning(tmp_path, monkeypatch):
    folder = text_files(tmp_path / "data")
    (tmp_path / "cache").touch()
    assert_warns_and_holds(folder)
    (tmp_path / "cache").unlink()

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        assert_warns_and_holds(folder)
    assert not any((tmp_path / "cache" / "jaxrnn" / "imdb").iterdir())

    imdb.read(folder)
    (file,) = (tmp_path / "cache" / "jaxrnn" / "imdb").iterdir()
    file.unlink()
    file.mkdir()
    assert_warns_and_holds(folder)
    assert list(file.parent.iterdir()) == [file]


def test_a_cache_that_may_not_be_written_or_read_is_a_warning(monkeypatch):
    with reachable_folder() as root:
        folder = text_files(root / "data")
        (root / "cache").mkdir(mode=0o755)
        monkeypatch.setenv("XDG_CACHE_HOME", str(root / "cache"))
        os.chmod(root / "cache", 0o555)
        with held_back():
            assert_warns_and_holds(folder)
        os.chmod(root / "cache", 0o755)
        imdb.read(folder)
        (root / "cache" / "jaxrnn" / "imdb").chmod(0)
        with held_back():
            assert_warns_and_holds(folder)
        (root / "cache" / "jaxrnn" / "imdb").chmod(0o755)


def test_many_at_once_leave_one_whole_file(tmp_path, monkeypatch):
    folder = text_files(tmp_path / "data")
    together = threading.Barrier(4)
    found = []

    def read():
        for number in range(5):
            together.wait()
            found.append(imdb.read(folder, length=10 + number))

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 20
    for reviews in found:
        assert_holds(reviews, length=reviews.dataset.x_train.shape[1])
    assert len(list((tmp_path / "cache" / "jaxrnn" / "imdb").iterdir())) == 5
    assert not any(made_anew(monkeypatch, folder, length=10 + number) for number in range(5))


PROCESS = """
import hashlib, sys
from jaxrnn.data import imdb
def digest(reviews):
    arrays = b"".join(array.tobytes() for array in reviews.dataset[2:6])
    return hashlib.sha256(arrays + " ".join(reviews.vocabulary.words).encode()).hexdigest()
print(digest(imdb.synthetic(train=64, test=32)), digest(imdb.read(sys.argv[1], vocab_from="all")))
"""


def test_two_processes_at_once_find_the_same(tmp_path, monkeypatch):
    """Trap 5: ids do not hang on the seed of a process's hashes."""
    command = [sys.executable, "-W", "error", "-c", PROCESS, str(text_files(tmp_path / "data"))]
    processes = [
        subprocess.Popen(command, env=os.environ | {"PYTHONHASHSEED": seed}, stdout=subprocess.PIPE, text=True)
        for seed in ("1", "2")
    ]
    said = {process.communicate()[0] for process in processes}
    assert [process.returncode for process in processes] == [0, 0]
    assert len(said) == 1 and len(said.pop().split()) == 2
    assert not made_anew(monkeypatch, tmp_path / "data", vocab_from="all")
    assert len(list((tmp_path / "cache" / "jaxrnn" / "imdb").iterdir())) == 1


# Generated reviews


def test_generated_reviews_are_like_real_ones():
    reviews = imdb.synthetic()
    dataset = reviews.dataset
    assert (dataset.name, dataset.source, dataset.classes) == ("synthetic", "generated reviews", 2)
    assert dataset.x_train.shape == (1024, 400) and dataset.x_test.shape == (512, 400)
    assert np.bincount(dataset.y_train).tolist() == [512, 512] and np.bincount(dataset.y_test).tolist() == [256, 256]
    lengths = np.count_nonzero(dataset.x_train, axis=1)
    assert lengths.min() < 8 and 30 < np.median(lengths) < 40 and 0.04 < (lengths > 100).mean() < 0.1
    assert lengths.max() < 400 and (dataset.x_test != UNKNOWN).all()
    assert_same(imdb.synthetic(), reviews)
    assert not {"br", "dullbr", "good,"} & set(reviews.vocabulary.words)
    assert "br" in imdb.synthetic(html="keep").vocabulary.words
    smaller = imdb.synthetic(20, max_words=9, train=11, test=5)
    assert (
        smaller.dataset.x_train.shape == (11, 20)
        and smaller.dataset.y_test.sum() == 2
        and smaller.vocabulary.size == 11
    )


def score(row: list[str], negations: bool) -> int:
    total = 0
    for before, word in zip(["", *row], row, strict=False):
        opinion = (word in imdb._OPINIONS[1]) - (word in imdb._OPINIONS[0])
        total += -opinion if negations and before == "not" else opinion
    return total


def test_who_understands_not_is_always_right_and_who_counts_words_often():
    reviews = imdb.synthetic()
    rows = [reviews.vocabulary.decode(ids) for ids in reviews.dataset.x_test]
    positive = reviews.dataset.y_test == 1
    understood = np.array([score(row, True) for row in rows])
    assert ((understood > 0) == positive).all() and ((understood < 0) == ~positive).all()
    counted = np.array([score(row, False) for row in rows])
    right = np.where(counted == 0, 0.5, (counted > 0) == positive).mean()
    assert 0.93 < right < 0.97


def test_what_is_learned_from_bags_of_words_is_right_for_nineteen_of_twenty():
    dataset = imdb.synthetic().dataset
    size = int(dataset.x_train.max()) + 1

    def bags(x):
        return np.stack([np.bincount(row, minlength=size)[1:size] for row in x])

    often = np.stack([bags(dataset.x_train[dataset.y_train == label]).sum(0) + 1 for label in (0, 1)])
    weights = np.diff(np.log(often / often.sum(1, keepdims=True)), axis=0)[0]
    assert 0.93 < ((bags(dataset.x_test) @ weights > 0) == dataset.y_test).mean() < 0.98


# The real ones


@pytest.mark.skipif(REAL is None, reason="JAXRNN_DATA does not say where the real reviews are")
def test_real_reviews():
    reviews = imdb.read(REAL)
    dataset = reviews.dataset
    assert (dataset.name, dataset.source) == ("imdb", "text files")
    assert dataset.x_train.shape == dataset.x_test.shape == (25_000, 400)
    assert np.bincount(dataset.y_train).tolist() == np.bincount(dataset.y_test).tolist() == [12_500, 12_500]
    assert reviews.vocabulary.size == 20_002 and dataset.x_train.dtype == np.uint16
    assert reviews.vocabulary.words[:5] == ("the", "and", "a", "of", "to")
    first = reviews.vocabulary.decode(dataset.x_train[0])
    assert " ".join(first[:10]) == "story of a man who has unnatural feelings for a"
    assert round(float((dataset.x_train == PADDING).mean()), 4) == 0.4856
    assert_same(imdb.read(REAL), reviews)
