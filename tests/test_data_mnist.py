"""MNIST's loader: the IDX reader against every kind of broken file, the order of sources, download and stand-in."""

import gzip
import hashlib
import http.server
import os
import shutil
import socket
import struct
import subprocess
import sys
import threading
import tracemalloc
from collections import Counter
from functools import partial
from pathlib import Path

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from jaxrnn.data import download, mnist
from jaxrnn.data.download import FetchError, Remote
from jaxrnn.errors import DataError
from permissions import held_back, reachable_folder

REAL = os.environ.get("JAXRNN_DATA")

TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS = NAMES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


@pytest.fixture(autouse=True)
def own_environment(monkeypatch, tmp_path):
    """No test sees the data, the cache or the proxies of whoever runs it."""
    for name in ("JAXRNN_DATA", "HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    return tmp_path_factory.mktemp("scratch") / "file"


def idx(array: np.ndarray) -> bytes:
    """The IDX encoding, written independently of the reader."""
    dimensions = b"".join(n.to_bytes(4, "big") for n in array.shape)
    return bytes([0, 0, 8, array.ndim]) + dimensions + array.astype(np.uint8).tobytes()


def small(train: int = 5, test: int = 3) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        TRAIN_IMAGES: rng.integers(0, 256, (train, 4, 3), np.uint8),
        TRAIN_LABELS: np.arange(train, dtype=np.uint8) % 10,
        TEST_IMAGES: rng.integers(0, 256, (test, 4, 3), np.uint8),
        TEST_LABELS: np.arange(9, 9 - test, -1, dtype=np.uint8),
    }


def write(folder: Path, contents: dict[str, np.ndarray]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in contents.items():
        (folder / name).write_bytes(idx(array))
    return folder


def assert_holds(dataset, contents):
    loaded = dataset.x_train, dataset.y_train, dataset.x_test, dataset.y_test
    for array, name in zip(loaded, NAMES, strict=True):
        np.testing.assert_array_equal(array, contents[name])
        assert array.dtype == (np.int32 if "labels" in name else np.uint8)
    assert dataset.classes == 10


def refusal(function, *arguments) -> str:
    """The one line with which ``function`` refuses."""
    with pytest.raises(DataError) as caught:
        function(*arguments)
    line = str(caught.value)
    assert "\n" not in line
    return line


# The reader


def test_read_idx_reads_big_endian_dimensions_and_rows_first(scratch):
    scratch.write_bytes(b"\0\0\x08\x02" + b"\0\0\0\x02" + b"\0\0\0\x03" + bytes([1, 2, 3, 4, 5, 255]))
    array = mnist.read_idx(scratch)
    assert array.tolist() == [[1, 2, 3], [4, 5, 255]]
    assert array.dtype == np.uint8


shapes = array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=7)


@given(array=arrays(np.uint8, shapes), packed=st.booleans())
def test_read_idx_inverts_the_encoding(scratch, array, packed):
    scratch.write_bytes(gzip.compress(idx(array)) if packed else idx(array))
    np.testing.assert_array_equal(mnist.read_idx(str(scratch)), array, strict=True)


def test_read_idx_goes_by_content_not_by_name(tmp_path):
    array = np.arange(6)
    (tmp_path / "plain.gz").write_bytes(idx(array))
    (tmp_path / "packed").write_bytes(gzip.compress(idx(array)))
    assert mnist.read_idx(tmp_path / "plain.gz").tolist() == mnist.read_idx(tmp_path / "packed").tolist() == [*range(6)]


def test_read_idx_reads_across_blocks(scratch):
    array = np.random.default_rng(1).integers(0, 256, (1025, 1024), np.uint8)  # the last row begins a second block
    for content in (idx(array), gzip.compress(idx(array), 1)):
        scratch.write_bytes(content)
        np.testing.assert_array_equal(mnist.read_idx(scratch), array)


GOOD = idx(np.arange(12).reshape(3, 4))
PACKED = gzip.compress(GOOD, mtime=0)


@pytest.mark.parametrize(
    "content, words",
    [
        pytest.param(b"", ["not an IDX file"], id="empty"),
        pytest.param(b"\0\0\x08", ["not an IDX file", "00 00 08"], id="three bytes"),
        pytest.param(b"<html>404</html>", ["not an IDX file", "3c 68 74 6d"], id="a web page"),
        pytest.param(b"\x01" + GOOD[1:], ["not an IDX file", "01 00 08 02"], id="first byte of the magic"),
        pytest.param(b"\0\x01" + GOOD[2:], ["not an IDX file", "00 01 08 02"], id="second byte of the magic"),
        pytest.param(b"\0\0\x0d\x02" + GOOD[4:], ["float32", "0x0d", "uint8"], id="floats"),
        pytest.param(b"\0\0\x09\x02" + GOOD[4:], ["int8", "0x09", "uint8"], id="signed bytes"),
        pytest.param(b"\0\0\x07\x02" + GOOD[4:], ["unknown", "0x07", "uint8"], id="no type at all"),
        pytest.param(b"\0\0\x08\0\x2a", ["rank 0"], id="rank 0"),
        pytest.param(idx(np.zeros((1, 1, 1, 1, 1))), ["rank 5"], id="rank 5"),
        pytest.param(b"\0\0\x08\x03" + b"\0\0\0\x01\0\0\0", ["within its header"], id="half a header"),
        pytest.param(GOOD[:-1], ["promises 12 bytes", "(3, 4)", "only 11"], id="one byte short"),
        pytest.param(GOOD[:12], ["promises 12 bytes", "only 0"], id="nothing but a header"),
        pytest.param(GOOD + b"\0", ["promises 12 bytes", "there are more"], id="one byte over"),
        pytest.param(idx(np.zeros((0, 28, 28))), ["empty", "(0, 28, 28)"], id="no examples"),
        pytest.param(idx(np.zeros((5, 0, 28))), ["empty", "(5, 0, 28)"], id="no rows"),
        pytest.param(b"\0\0\x08\x01" + b"\x10\0\0\x01", ["268435457", "limit of 268435456"], id="vast"),
        pytest.param(b"\0\0\x08\x04" + b"\xff" * 16, [str((2**32 - 1) ** 4), "limit"], id="vaster"),
        pytest.param(PACKED[:-1], ["truncated gzip"], id="gzip without its last byte"),
        pytest.param(PACKED[:20], ["truncated gzip"], id="half a gzip"),
        pytest.param(PACKED[:2], ["truncated gzip"], id="gzip magic only"),
        pytest.param(PACKED[:-8] + bytes(4) + PACKED[-4:], ["corrupt gzip", "CRC"], id="gzip with a wrong CRC"),
        pytest.param(PACKED[:10] + b"\xff" * 8 + PACKED[18:], ["corrupt gzip"], id="gzip with a damaged body"),
        pytest.param(PACKED[:2] + b"\x07" + PACKED[3:], ["corrupt gzip"], id="gzip of an unknown method"),
        pytest.param(PACKED + b"rubbish", ["corrupt gzip"], id="gzip followed by rubbish"),
        pytest.param(gzip.compress(b"hello"), ["not an IDX file", "68 65 6c 6c"], id="gzip of something else"),
        pytest.param(gzip.compress(GOOD[:-1]), ["promises 12 bytes", "only 11"], id="gzip, one byte short"),
        pytest.param(gzip.compress(GOOD + b"\0"), ["promises 12 bytes", "more"], id="gzip, one byte over"),
        pytest.param(PACKED + PACKED, ["promises 12 bytes", "more"], id="two gzips in one file"),
        pytest.param(gzip.compress(PACKED), ["not an IDX file", "1f 8b"], id="packed twice"),
    ],
)
def test_read_idx_refuses_in_one_line_that_names_the_file(scratch, content, words):
    scratch.write_bytes(content)
    line = refusal(mnist.read_idx, scratch)
    assert line.startswith(f"{scratch}: ")
    assert ";" in line, "no advice"
    for word in words:
        assert word in line


def test_read_idx_refuses_what_is_no_file(tmp_path):
    assert f"{tmp_path}: is a folder" in refusal(mnist.read_idx, tmp_path)
    assert f"{tmp_path / 'absent'}: no such file" in refusal(mnist.read_idx, tmp_path / "absent")
    (tmp_path / "dangling").symlink_to(tmp_path / "absent")
    assert "no such file" in refusal(mnist.read_idx, tmp_path / "dangling")
    os.mkfifo(tmp_path / "pipe")  # opening it would wait for a writer
    assert "no such file" in refusal(mnist.read_idx, tmp_path / "pipe")


def test_read_idx_refuses_what_it_may_not_read():
    with reachable_folder() as folder:
        path = folder / "secret"
        path.write_bytes(GOOD)
        path.chmod(0)
        with held_back():
            line = refusal(mnist.read_idx, path)
    assert f"{path}: cannot be read (Permission denied)" in line


def peak_memory(function, *arguments) -> int:
    tracemalloc.start()
    try:
        refusal(function, *arguments)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_promise_takes_no_memory(scratch, pack):
    scratch.write_bytes(pack(struct.pack(">4B2I", 0, 0, 8, 2, 2**14, 2**14) + b"\0" * 100))
    assert peak_memory(mnist.read_idx, scratch) < 8 << 20


def test_a_gzip_bomb_takes_no_memory(scratch):
    scratch.write_bytes(gzip.compress(idx(np.zeros(10)) + bytes(100 << 20)))
    assert peak_memory(mnist.read_idx, scratch) < 8 << 20


contents = st.builds(
    lambda array, packed: gzip.compress(idx(array), mtime=0) if packed else idx(array),
    arrays(np.uint8, shapes),
    st.booleans(),
)


@given(data=st.data(), content=contents)
def test_no_beginning_of_a_file_passes_for_the_file(scratch, data, content):
    scratch.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    refusal(mnist.read_idx, scratch)


@given(data=st.data(), content=contents)
def test_a_damaged_file_is_an_array_or_a_refusal(scratch, data, content):
    damaged = bytearray(content)
    for at in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=4)):
        damaged[at] = data.draw(st.integers(0, 255))
    damaged += data.draw(st.binary(max_size=4))
    scratch.write_bytes(damaged)
    try:
        array = mnist.read_idx(scratch)
    except DataError as error:
        assert str(scratch) in str(error) and "\n" not in str(error)
    else:
        plain = gzip.decompress(damaged) if damaged[:2] == b"\x1f\x8b" else bytes(damaged)
        assert idx(array) == plain


# The folder


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("separator", ["-", "."])
def test_folder_in_each_spelling(tmp_path, suffix, separator):
    for name, array in small().items():
        path = tmp_path / (name.replace("-idx", f"{separator}idx") + suffix)
        path.write_bytes(gzip.compress(idx(array)) if suffix else idx(array))
    dataset = mnist.load_idx_folder(tmp_path)
    assert_holds(dataset, small())
    assert (dataset.name, dataset.source) == ("idx", "idx files")


def test_a_folder_with_a_files_name_does_not_hide_the_file(tmp_path):
    write(tmp_path, {name.replace("-idx", ".idx"): array for name, array in small().items()})
    for name in NAMES:
        (tmp_path / name).mkdir()
    assert_holds(mnist.load_idx_folder(tmp_path), small())


def test_the_home_folder_is_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    write(tmp_path / "digits", small())
    assert_holds(mnist.load("~/digits"), small())


@pytest.mark.parametrize("name", NAMES)
def test_folder_without_a_file(tmp_path, name):
    write(tmp_path, small())
    (tmp_path / name).unlink()
    line = refusal(mnist.load_idx_folder, tmp_path)
    assert f"{tmp_path}: has no {name} (" in line


def test_folder_that_is_none(tmp_path):
    assert f"{tmp_path / 'absent'}: No such file or directory;" in refusal(mnist.load_idx_folder, tmp_path / "absent")
    (tmp_path / "file").touch()
    assert f"{tmp_path / 'file'}: Not a directory;" in refusal(mnist.load_idx_folder, tmp_path / "file")


@pytest.mark.parametrize(
    "changed, words",
    [
        pytest.param({TRAIN_IMAGES: np.zeros((5, 12))}, [TRAIN_IMAGES, "rank 3", "(5, 12)"], id="flat images"),
        pytest.param({TEST_IMAGES: np.zeros((3, 4, 3, 1))}, [TEST_IMAGES, "rank 3", "(3, 4, 3, 1)"], id="channels"),
        pytest.param({TEST_LABELS: np.zeros((3, 1))}, [TEST_LABELS, "rank 1", "(3, 1)"], id="labels in columns"),
        pytest.param(
            {TRAIN_LABELS: np.zeros(4)}, [TRAIN_IMAGES, "5 images", TRAIN_LABELS, "4 labels"], id="a label too few"
        ),
        pytest.param(
            {TEST_IMAGES: np.zeros((2, 4, 3))}, [TEST_IMAGES, "2 images", TEST_LABELS, "3 labels"], id="an image short"
        ),
        pytest.param(
            {TRAIN_LABELS: np.array([0, 9, 9, 10, 255])}, [TRAIN_LABELS, "label 3 is 10", "0 to 9"], id="label 10"
        ),
        pytest.param({TEST_LABELS: np.array([255, 0, 0])}, [TEST_LABELS, "label 0 is 255", "0 to 9"], id="label 255"),
        pytest.param(
            {TEST_IMAGES: np.zeros((3, 3, 4))}, [TRAIN_IMAGES, "(4, 3)", TEST_IMAGES, "(3, 4)"], id="other test images"
        ),
        pytest.param({TEST_IMAGES: np.zeros((0, 4, 3))}, [TEST_IMAGES, "empty", "(0, 4, 3)"], id="no test images"),
        pytest.param({TRAIN_LABELS: np.zeros(0)}, [TRAIN_LABELS, "empty", "(0,)"], id="no train labels"),
    ],
)
def test_folder_whose_files_do_not_fit(tmp_path, changed, words):
    write(tmp_path, small() | changed)
    line = refusal(mnist.load_idx_folder, tmp_path)
    for word in words:
        assert (str(tmp_path / word) if word in NAMES else word) in line


def test_it_is_mnist_only_if_all_four_contents_are(tmp_path, monkeypatch):
    contents = small()
    checksums = tuple(hashlib.sha256(idx(array)).hexdigest() for array in contents.values())
    monkeypatch.setattr(mnist, "_MNIST_SHA256", checksums)
    assert mnist.load_idx_folder(write(tmp_path, contents)).name == "mnist"
    for name in NAMES:
        array = contents[name].copy()
        array.flat[-1] ^= 1
        assert mnist.load_idx_folder(write(tmp_path, contents | {name: array})).name == "idx"
    reshaped = {name: array.reshape(-1, 3, 4) for name, array in contents.items() if "images" in name}
    assert mnist.load_idx_folder(write(tmp_path, contents | reshaped)).name == "idx"


# The order of the sources


def test_an_explicit_folder_wins_over_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("JAXRNN_DATA", str(write(tmp_path / "environment", small(train=6))))
    assert_holds(mnist.load(write(tmp_path / "explicit", small(train=7))), small(train=7))
    assert_holds(mnist.load(), small(train=6))
    assert str(tmp_path / "absent") in refusal(mnist.load, tmp_path / "absent")
    monkeypatch.chdir(tmp_path)
    assert refusal(mnist.load, "").startswith(".: has no")


def test_the_environment_names_the_folder_or_the_one_above(tmp_path, monkeypatch):
    monkeypatch.setenv("JAXRNN_DATA", str(tmp_path))
    write(tmp_path / "mnist", small(train=6))
    assert_holds(mnist.load(), small(train=6))
    write(tmp_path, small(train=7))
    assert_holds(mnist.load(), small(train=7))


def test_the_environment_is_used_or_it_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setenv("JAXRNN_DATA", str(tmp_path))
    assert refusal(mnist.load).startswith(f"$JAXRNN_DATA: {tmp_path}: has no {TRAIN_IMAGES}, no {TRAIN_LABELS}")
    (write(tmp_path / "mnist", small()) / TEST_LABELS).write_bytes(b"")
    assert refusal(mnist.load).startswith(f"$JAXRNN_DATA: {tmp_path / 'mnist' / TEST_LABELS}: not an IDX file")
    monkeypatch.setenv("JAXRNN_DATA", str(tmp_path / "absent"))
    assert refusal(mnist.load).startswith(f"$JAXRNN_DATA: {tmp_path / 'absent'}: No such file")


OFFLINE = """
import sys
from jaxrnn.data import mnist
slow = {"tensorflow", "tensorflow_datasets", "sklearn", "matplotlib", "requests"}
assert slow.isdisjoint(sys.modules), slow & set(sys.modules)
dataset = mnist.load()
assert {"tensorflow", "tensorflow_datasets"}.isdisjoint(sys.modules)
print(dataset.name, len(dataset.x_train), len(dataset.x_test), dataset.source, sep="|")
"""


def test_offline_the_digits_stand_in_quietly():
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nobody = f"http://127.0.0.1:{closed.getsockname()[1]}"
    environment = os.environ | {"HTTPS_PROXY": nobody, "https_proxy": nobody}
    environment = {name: value for name, value in environment.items() if name.lower() != "no_proxy"}
    command = [sys.executable, "-W", "error", "-c", OFFLINE]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    name, train, test, source = done.stdout.strip().split("|")
    assert (name, train, test) == ("digits", "1437", "360")
    assert "scikit-learn's embedded 8x8 digits" in source
    assert "no network: storage.googleapis.com cannot be reached (ProxyError)" in source


# The download


INTERRUPTED = b"the beginning of more"


class Server(http.server.ThreadingHTTPServer):
    """Serves ``files`` by path: bytes as they are, a number as a status, a pair as the answers to HEAD and to GET."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict = {}
        self.asked: list[str] = []


class Handler(http.server.BaseHTTPRequestHandler):
    def respond(self):
        self.server.asked.append(f"{self.command} {self.path}")
        answer = self.server.files[self.path]
        if isinstance(answer, tuple):
            answer = answer[self.command == "GET"]
        if isinstance(answer, int):
            answer, status = b"", answer
        else:
            status = 200
        length = 10**6 if answer == INTERRUPTED else len(answer)
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(answer)

    do_GET = do_HEAD = respond

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def remotes(server):
    published = []
    for name, array in small().items():
        packed = gzip.compress(idx(array), mtime=0)
        server.files[f"/{name}.gz"] = packed
        url = f"http://127.0.0.1:{server.server_port}/{name}.gz"
        published.append(Remote(url, len(packed), hashlib.sha256(packed).hexdigest()))
    return published


def never(url):
    raise AssertionError(f"the network was asked for {url}")


def test_download_then_cache(server, remotes, tmp_path):
    dataset = mnist.load_remote(remotes, tmp_path / "cache")
    assert_holds(dataset, small())
    assert (dataset.name, dataset.source) == ("idx", "idx files through tensorflow-datasets")
    gets = [f"GET /{name}.gz" for name in NAMES]
    assert Counter(server.asked) == Counter([f"HEAD /{TRAIN_IMAGES}.gz", *gets])

    assert_holds(mnist.load_remote(remotes, tmp_path / "cache", never), small())
    for file in (tmp_path / "cache" / "mnist").iterdir():  # as older releases of tensorflow-datasets laid it out
        shutil.move(file, tmp_path / "cache")
    assert_holds(mnist.load_remote(remotes, tmp_path / "cache", never), small())
    assert len(server.asked) == 5


def test_only_what_the_cache_lacks_is_downloaded(server, remotes, tmp_path):
    mnist.load_remote(remotes, tmp_path)
    server.asked.clear()
    for file in (tmp_path / "mnist").glob("*t10k-labels*"):
        file.unlink()
    assert_holds(mnist.load_remote(remotes, tmp_path), small())
    assert server.asked == [f"HEAD /{TRAIN_IMAGES}.gz", f"GET /{TEST_LABELS}.gz"]


def test_load_uses_the_cache_of_tensorflow_datasets(remotes, tmp_path, monkeypatch):
    mnist.load_remote(remotes, tmp_path / "tfds" / "downloads")
    monkeypatch.setattr(mnist, "REMOTES", tuple(remotes))
    monkeypatch.setattr(download, "head", never)
    assert_holds(mnist.load(), small())


@pytest.mark.parametrize("at", range(4))
def test_a_download_with_a_wrong_checksum_is_an_error(server, remotes, tmp_path, at):
    path = f"/{NAMES[at]}.gz"
    right = server.files[path]
    server.files[path] = right[:-1] + b"!"
    line = refusal(mnist.load_remote, remotes, tmp_path)
    assert remotes[at].url in line and "checksum" in line
    server.files[path] = right
    assert_holds(mnist.load_remote(remotes, tmp_path), small())


def test_a_damaged_cache_is_an_error_that_says_what_to_delete(remotes, tmp_path):
    mnist.load_remote(remotes, tmp_path)
    (path,) = (tmp_path / "mnist").glob("*t10k-images*.gz")
    path.write_bytes(path.read_bytes()[:-1])
    line = refusal(mnist.load_remote, remotes, tmp_path, never)
    assert line.startswith(f"{path}: ") and "checksum" in line and "delete" in line
    path.unlink()
    assert_holds(mnist.load_remote(remotes, tmp_path), small())


@pytest.mark.parametrize(
    "answer, reason",
    [
        pytest.param(503, "127.0.0.1 answered 503", id="server out of order"),
        pytest.param((b"", 404), "tensorflow-datasets could not download it (DownloadError)", id="gone"),
        pytest.param(
            (b"", INTERRUPTED), "tensorflow-datasets could not download it (ChunkedEncodingError)", id="interrupted"
        ),
    ],
)
def test_a_download_that_fails_leaves_the_digits(server, remotes, tmp_path, answer, reason):
    server.files[f"/{TRAIN_IMAGES}.gz"] = answer
    dataset = mnist.load_remote(remotes, tmp_path)
    assert dataset.name == "digits"
    assert dataset.source.endswith(f"not MNIST: {reason}")


def test_a_cache_that_cannot_be_written_leaves_the_digits(remotes, tmp_path):
    (tmp_path / "cache").touch()
    source = mnist.load_remote(remotes, tmp_path / "cache" / "downloads").source
    assert source.endswith("could not download it (Not a directory)")


# The probe


def test_a_name_server_that_never_answers_is_not_waited_for(tmp_path):
    hung = threading.Event()
    threads = []

    def ask(url, seconds):
        threads.append(threading.current_thread())
        hung.wait()

    probe = partial(download.probe, ask=ask, seconds=0.01)
    try:
        source = mnist.load_remote(mnist.REMOTES, tmp_path, probe).source
    finally:
        hung.set()
    assert source.endswith("no network: no answer from storage.googleapis.com within 0.01 s")
    assert threads[0].daemon, "the interpreter would wait for it on exit"
    assert not any(tmp_path.iterdir())


def test_a_server_that_never_answers_is_not_waited_for():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        with pytest.raises(FetchError, match=r"no network: .*127\.0\.0\.1"):
            download.probe(f"http://127.0.0.1:{silent.getsockname()[1]}/", seconds=0.1)


def test_nobody_there():
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(FetchError, match=r"no network: 127\.0\.0\.1 cannot be reached \(ConnectionError\)"):
        download.probe(f"http://127.0.0.1:{port}/")


def test_a_name_that_nobody_knows():
    def ask(url, seconds):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with pytest.raises(FetchError, match=r"no network: a\.invalid cannot be reached \(Name or service not known\)"):
        download.probe("https://a.invalid/file", ask)


def test_the_cache_is_where_tensorflow_datasets_has_it(tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "elsewhere"))
    assert download.cache_folder() == tmp_path / "elsewhere" / "downloads"
    monkeypatch.delenv("TFDS_DATA_DIR")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert download.cache_folder() == tmp_path / "tensorflow_datasets" / "downloads"


def test_addresses_and_checksums_are_those_of_tensorflow_datasets():
    import tensorflow_datasets as tfds

    known = tfds.core.download.checksums.get_all_url_infos()
    for remote in mnist.REMOTES:
        assert (known[remote.url].size, known[remote.url].checksum) == (remote.size, remote.sha256)


# The stand-in


def test_digits_are_the_embedded_scans_in_a_fixed_stratified_split():
    from sklearn.datasets import load_digits

    dataset = mnist.load_digits("no network")
    assert dataset.name == "digits"
    assert dataset.source == "scikit-learn's embedded 8x8 digits, not MNIST: no network"
    assert dataset.x_train.shape == (1437, 8, 8) and dataset.x_test.shape == (360, 8, 8)
    assert dataset.x_train.dtype == dataset.x_test.dtype == np.uint8
    assert dataset.y_train.dtype == dataset.y_test.dtype == np.int32
    assert np.bincount(dataset.y_train).tolist() == [142, 146, 141, 147, 144, 146, 145, 143, 139, 144]
    assert np.bincount(dataset.y_test).tolist() == [36, 36, 36, 36, 37, 36, 36, 36, 35, 36]
    assert dataset.classes == 10

    levels = np.unique(dataset.x_train)
    assert levels.tolist() == [0, 16, 32, 48, 64, 80, 96, 112, 128, 143, 159, 175, 191, 207, 223, 239, 255]

    def scans(images, labels):
        return [(label, image.tobytes()) for label, image in zip(labels.tolist(), np.round(images), strict=True)]

    embedded = load_digits()
    whole = scans(embedded.images, embedded.target)
    train = scans(dataset.x_train / 255 * 16, dataset.y_train)
    test = scans(dataset.x_test / 255 * 16, dataset.y_test)
    assert len(set(whole)) == 1797
    tested = set(sorted(whole, key=lambda scan: scan[0])[::5])
    assert train == [scan for scan in whole if scan not in tested]
    assert test == [scan for scan in whole if scan in tested]


@pytest.mark.parametrize("down, right", [(0, 0), (2, 0), (-2, 0), (0, 3), (0, -1), (1, -2), (9, 0), (0, -7)])
def test_shifted_images_move_and_black_comes_in(down, right):
    images = np.arange(1, 2 * 5 * 6 + 1, dtype=np.uint8).reshape(2, 5, 6)
    moved = mnist.shift(images, down, right)
    for row in range(5):
        for column in range(6):
            inside = 0 <= row - down < 5 and 0 <= column - right < 6
            expected = images[:, row - down, column - right] if inside else 0
            np.testing.assert_array_equal(moved[:, row, column], expected)


def test_to_unit_is_pixel_over_255_also_under_jit():
    pixels = np.arange(256, dtype=np.uint8).reshape(4, 8, 8)
    unit = mnist.to_unit(pixels)
    assert unit.dtype == np.float32 and unit.shape == (4, 8, 8)
    assert unit.min() == 0 and unit.max() == 1
    np.testing.assert_allclose(unit, pixels / 255, rtol=1.2e-7)
    np.testing.assert_array_equal(jax.jit(mnist.to_unit)(pixels), unit)


@pytest.mark.skipif(not REAL, reason="JAXRNN_DATA does not say where the real MNIST is")
def test_real_mnist(monkeypatch):
    monkeypatch.setenv("JAXRNN_DATA", REAL)
    dataset = mnist.load()
    assert (dataset.name, dataset.source, dataset.classes) == ("mnist", "idx files", 10)
    assert dataset.x_train.shape == (60_000, 28, 28) and dataset.x_test.shape == (10_000, 28, 28)
    assert np.bincount(dataset.y_train).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(dataset.y_test).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert round(dataset.x_train.mean() / 255, 6) == 0.130660
    assert round(dataset.x_test.mean() / 255, 6) == 0.132515
