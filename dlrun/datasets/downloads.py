"""Bringing a data set to `data_dir`: whole or not at all, and short errors when it cannot be."""

from __future__ import annotations

import http.client
import os
import pickle
import shutil
import socket
import ssl
import tempfile
import urllib.error
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from dlrun.archives import WrongHash, unpack
from dlrun.datasets.presence import DOWNLOADED, missing_files
from dlrun.errors import UserError

if TYPE_CHECKING:
    from torchvision.datasets import CIFAR10, MNIST

    Set = TypeVar("Set", MNIST, CIFAR10)

NETWORK_ERRORS = (
    *(urllib.error.URLError, TimeoutError, ConnectionError),
    *(socket.gaierror, ssl.SSLError),
)
# Of cifar-10-python.tar.gz, as keras.datasets.cifar10 states it; torchvision has its MD5 only.
CIFAR10_SHA256 = "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"
TIMEOUT_SECONDS = 10.0  # without an answer for so long, the network counts as absent


def load(name: str, data_dir: Path, kind: type[Set]) -> tuple[Set, Set]:
    """Training and test set of a torchvision class, downloaded to `data_dir` where absent.

    Raises UserError when files are absent and cannot be downloaded, or are damaged.
    """
    if missing_files(name, data_dir):
        _download(name, data_dir, kind)
    try:
        with warnings.catch_warnings():
            # CIFAR-10's pickles were written by Python 2 and hold dtypes as numpy once spelt them
            warnings.filterwarnings("ignore", message=r"dtype\(\): align should be passed")
            # Pickles run what they say: torchvision opens each only when its MD5 is the published
            # one, which nobody can give to a file of another content, so planted ones are refused.
            return kind(root=data_dir, train=True), kind(root=data_dir, train=False)
    except (
        RuntimeError,
        ValueError,
        TypeError,
        AssertionError,
        EOFError,
        KeyError,
        OSError,
        pickle.UnpicklingError,
    ) as error:
        raise UserError(
            f"dataset={name}: {_damaged(name, data_dir)} is damaged or cut short; "
            "delete it and run again, so that it is downloaded anew"
        ) from error


def _download(name: str, data_dir: Path, kind: type[Set]) -> None:
    """Downloads into a scratch folder first: an interrupted download leaves nothing behind, and
    runs that start together do not read each other's half-written files."""
    with downloading(name, data_dir):
        data_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".download-", dir=data_dir) as scratch:
            for archive in _archives(name):
                if (data_dir / archive).is_file():  # put there by hand: torchvision checks it
                    (Path(scratch) / archive).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(data_dir / archive, Path(scratch) / archive)
            if name == "cifar10":
                whole = _unpack_cifar10(Path(scratch), kind)
            else:
                kind(root=scratch, train=True, download=True)
                whole = Path(scratch)
            for file in missing_files(name, data_dir):
                file.parent.mkdir(parents=True, exist_ok=True)
                os.replace(whole / file.relative_to(data_dir), file)


def _unpack_cifar10(scratch: Path, kind: type[CIFAR10]) -> Path:
    """The folder below `scratch` with what is in the archive, which is downloaded where absent."""
    from torchvision.datasets.utils import download_url

    download_url(kind.url, scratch, kind.filename, kind.tgz_md5)
    archive, whole = scratch / kind.filename, scratch / "unpacked"
    # 8 files in a folder, 186 MB
    unpack(archive, whole, sha256=CIFAR10_SHA256, max_bytes=250_000_000, max_files=20)
    return whole


def _archives(name: str) -> list[str]:
    if name == "cifar10":
        return ["cifar-10-python.tar.gz"]
    folder, files = DOWNLOADED[name]
    return [f"{folder}/{file}.gz" for file in files]


@contextmanager
def downloading(name: str, data_dir: Path) -> Iterator[None]:
    """Turns what a download can fail with into a UserError that says what to do instead."""
    files = missing_files(name, data_dir)
    missing = f"{files[0].name} is not in {files[0].parent}"
    instead = "diabetes" if name == "california" else "mnist5k"
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT_SECONDS)
    try:
        yield
    except (OSError, RuntimeError, http.client.HTTPException, WrongHash) as error:
        folder_fault = isinstance(error, OSError) and not isinstance(error, NETWORK_ERRORS)
        reason = (str(error).strip().splitlines() or [type(error).__name__])[-1]
        reason = reason.removeprefix("<urlopen error ").removesuffix(">")
        if isinstance(error, WrongHash) or "corrupted" in str(error):  # torchvision's word
            raise UserError(
                f"dataset={name}: {missing}, and its download has a wrong checksum (removed); "
                f"try again later, or type dataset={instead}, which needs no network"
            ) from error
        if folder_fault:
            raise UserError(
                f"data_dir={data_dir}: cannot store dataset={name} there ({reason}); "
                "expected a folder that can be written to (for example data_dir=~/data)"
            ) from error
        raise UserError(
            f"dataset={name}: {missing}, and its download failed ({reason}); connect to the "
            f"network, or put the files there,\nor type dataset={instead}, which needs no network"
        ) from error
    finally:
        socket.setdefaulttimeout(before)


def _damaged(name: str, data_dir: Path) -> Path:
    """The first file whose size is not what its header says, else the folder."""
    folder, files = DOWNLOADED[name]
    for file in files if name != "cifar10" else ():
        path = data_dir / folder / file
        with path.open("rb") as opened:
            header = opened.read(16)
        if path.stat().st_size != _idx_size(header):
            return path
    return data_dir / folder


def _idx_size(header: bytes) -> int:
    """Bytes of an IDX file of unsigned bytes: magic number (3rd byte type, 4th rank), dimensions,
    values. -1 for what is no such header."""
    if len(header) < 8 or header[:3] != b"\0\0\x08" or header[3] not in (1, 3):
        return -1
    size = 1
    for k in range(header[3]):
        size *= int.from_bytes(header[4 + 4 * k : 8 + 4 * k], "big")
    return 4 + 4 * header[3] + size
