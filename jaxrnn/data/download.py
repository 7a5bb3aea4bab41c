"""Fetches published files through tensorflow-datasets: from its cache, else from a server that answers at once.

Its download manager brings the cache, the checksums and the progress bar. With no network it retries for minutes, so it
is not started before the server has answered a probe, and not needed at all where the cache holds the files.
"""

import base64
import hashlib
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from jaxrnn.errors import DataError


class Remote(NamedTuple):
    """A published file: its address, its length in bytes and the hexadecimal SHA-256 of those bytes."""

    url: str
    size: int
    sha256: str


class FetchError(Exception):
    """The files cannot be had; the message is the reason in a few words, and holds no path of this machine."""


def cache_folder() -> Path:
    """Where tensorflow-datasets keeps downloads: ``$TFDS_DATA_DIR/downloads``, else in ``~/tensorflow_datasets``."""
    return Path(os.environ.get("TFDS_DATA_DIR") or Path.home() / "tensorflow_datasets") / "downloads"


def head(url: str, seconds: float) -> None:
    """Asks for the headers of ``url``; raises unless the answer is a success."""
    import requests  # what the download manager speaks with: the same proxies, the same certificates

    response = requests.head(url, timeout=seconds, allow_redirects=True)
    if not response.ok:
        raise FetchError(f"{urlsplit(url).hostname} answered {response.status_code}")


def probe(url: str, ask: Callable[[str, float], None] = head, seconds: float = 2.5) -> None:
    """Raises ``FetchError`` unless the server of ``url`` answers ``ask(url, seconds)`` in time.

    The question is put in a daemon thread, because looking up a host name knows no time limit.
    """
    answer: Future[None] = Future()

    def put() -> None:
        try:
            ask(url, seconds)
            answer.set_result(None)
        except BaseException as error:
            answer.set_exception(error)

    threading.Thread(target=put, daemon=True).start()
    host = urlsplit(url).hostname
    try:
        answer.result(timeout=seconds)
    except FetchError:
        raise
    except TimeoutError as error:
        raise FetchError(f"no network: no answer from {host} within {seconds:g} s") from error
    except Exception as error:  # the client's own, and of the user's proxy settings
        raise FetchError(f"no network: {host} cannot be reached ({_why(error)})") from error


def fetch(dataset: str, remotes: Sequence[Remote], cache: Path, probe: Callable[[str], None] = probe) -> list[Path]:
    """The local copies of ``remotes``, in their order: cached ones without any network, else downloaded into ``cache``.

    ``dataset`` is the folder of the cache that tensorflow-datasets puts them in. A download shows its progress bar.

    Raises ``DataError`` where the checksum of a file is wrong, ``FetchError`` where the files cannot be had.
    """
    paths = [path for remote in remotes if (path := _cached(dataset, remote, cache))]
    if len(paths) < len(remotes):
        probe(remotes[0].url)
        paths = _download(dataset, remotes, cache)
    for path, remote in zip(paths, remotes, strict=True):
        _verify(path, remote)
    return paths


def _cached(dataset: str, remote: Remote, cache: Path) -> Path | None:
    # the manager's names end in the checksum, base64 without its padding, and all suffixes; older ones lack the folder
    checksum = base64.urlsafe_b64encode(bytes.fromhex(remote.sha256)).decode().rstrip("=")
    name = f"*{checksum}*{Path(remote.url).suffix}"
    return next((path for folder in (cache / dataset, cache) for path in folder.glob(name)), None)


def _download(dataset: str, remotes: Sequence[Remote], cache: Path) -> list[Path]:
    try:
        import tensorflow_datasets as tfds  # imported only now: it is slow
        from tensorflow_datasets.core.download.checksums import UrlInfo
        from tensorflow_datasets.core.download.download_manager import NonMatchingChecksumError

        infos = {remote.url: UrlInfo(size=remote.size, checksum=remote.sha256, filename=None) for remote in remotes}
        try:
            manager = tfds.download.DownloadManager(download_dir=cache, dataset_name=dataset, url_infos=infos)
            return [Path(path) for path in manager.download(list(infos))]
        except NonMatchingChecksumError as error:
            wrong = next((url for url in infos if f"Artifact {url}," in str(error)), dataset)
            raise DataError(
                f"{wrong}: the download does not have the published checksum; try again, or name a folder of files"
            ) from error
    except DataError:
        raise
    except Exception as error:  # whatever the manager, its transport and the disk may raise
        raise FetchError(f"tensorflow-datasets could not download it ({_why(error)})") from error


def _verify(path: Path, remote: Remote) -> None:
    try:
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise FetchError(f"the cached download cannot be read ({_why(error)})") from error
    if digest != remote.sha256:
        raise DataError(f"{path}: does not have the checksum of {remote.url}; delete it, and it will be fetched again")


def _why(error: Exception) -> str:
    # The full text may be long and name local paths; it stays in the chain of exceptions.
    return getattr(error, "strerror", None) or type(error).__name__
