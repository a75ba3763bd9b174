"""notMNIST: the letters A to J in many typefaces, from a folder or an archive of small images."""

from __future__ import annotations

import hashlib
import os
import zipfile
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.request import urlretrieve

import numpy as np
import torch

from dlrun.archives import WrongHash, unpack
from dlrun.datasets.downloads import downloading
from dlrun.datasets.image_folder import read_folder
from dlrun.datasets.presence import missing_files
from dlrun.datasets.samples import Samples
from dlrun.errors import UserError, nearest, shown

FOLDER, ARCHIVE = "notMNIST_small", "notMNIST_small.tar.gz"
URL = "http://yaroslavvb.com/upload/notMNIST/notMNIST_small.tar.gz"
# Of 8,458,043 bytes. The author gives no checksum and nobody a SHA-256; several who have
# downloaded it state this MD5, which nobody can give to a file of another content.
MD5 = "c9890a473a9769fda4bdf314aaf500dd"
SIZE = 28  # pixels
# notMNIST_small has 18,726 files, 60 MB with the headers of the tar file. The limits leave room
# for notMNIST_large.tar.gz with its 529,119 files.
MOST_BYTES, MOST_FILES = 2_500_000_000, 600_000


def notmnist(data_dir: Path, seed: int, *, path: str | None) -> Samples:
    """The letters A to J as pixels (N, 1, 28, 28); N is 18,724 for the whole of notMNIST_small.

    path: a folder with one sub-folder a class, or a .tar.gz of one. None: notMNIST_small or
    notMNIST_small.tar.gz in `data_dir`, where it is downloaded to if it is not there.
    Files that cannot be read (two in notMNIST_small) are counted and named in the notes. The
    pixels of an archive are kept in `data_dir` under its SHA-256, to be there at once next time.
    Raises UserError when there is nothing there, or it is damaged, or it cannot be downloaded.
    Source: Bulatov 2011.
    """
    if path is not None:
        given = Path(path).expanduser()
        if given.is_dir():
            return _read(given, path)
        if not given.is_file():
            parent = given.parent
            near = [p.name for p in parent.iterdir()] if parent.is_dir() else []
            raise UserError(
                f"dataset.path={shown(path)}: no such file or folder{nearest(given.name, near)}"
            )
        return _kept(given, data_dir, path)
    if (data_dir / FOLDER).is_dir():
        return _read(data_dir / FOLDER, str(data_dir / FOLDER))
    archive = data_dir / ARCHIVE
    if missing_files("notmnist", data_dir):
        with downloading("notmnist", data_dir):
            _download(archive)
    return _kept(archive, data_dir, str(archive))


def _download(archive: Path) -> None:
    """Downloads into a scratch folder first, so that an interrupted one leaves nothing behind."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".download-", dir=archive.parent) as scratch:
        part = Path(scratch) / archive.name
        urlretrieve(URL, part)
        found = hashlib.md5(part.read_bytes(), usedforsecurity=False).hexdigest()
        if found != MD5:
            raise WrongHash(f"{part}: MD5 is {found}, expected {MD5}")
        os.replace(part, archive)


def _kept(archive: Path, data_dir: Path, path: str) -> Samples:
    """The images of an archive, from the file kept of them, which is made where it is absent."""
    sha256 = _sha256(archive, path)
    kept = data_dir / "notMNIST_pixels" / f"{sha256}.npz"
    if kept.is_file():
        return _load(kept)
    with TemporaryDirectory(prefix="dlrun-notmnist-") as scratch:
        folder = Path(scratch) / "images"
        try:
            unpack(archive, folder, sha256=sha256, max_bytes=MOST_BYTES, max_files=MOST_FILES)
        except UserError as error:
            raise UserError(f"dataset.path={error}") from error
        samples = _read(_root(folder), path)
    try:
        _save(samples, kept)
    except OSError as error:
        note = f"the pixels cannot be kept in {kept.parent} ({error.strerror}), so that every run "
        note += "has to unpack the archive anew"
        return replace(samples, notes=(*samples.notes, note))
    return samples


def _sha256(archive: Path, path: str) -> str:
    try:
        return hashlib.sha256(archive.read_bytes()).hexdigest()
    except OSError as error:
        raise UserError(f"dataset.path={shown(path)}: cannot be read ({error.strerror})") from error


def _root(folder: Path) -> Path:
    """The folder of the classes, below those that hold nothing but one folder."""
    inside = [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
    return _root(inside[0]) if len(inside) == 1 and inside[0].is_dir() else folder


def _read(folder: Path, path: str) -> Samples:
    return read_folder(folder, path, size=SIZE, mode="L", max_gigabytes=float("inf"))


def _save(samples: Samples, kept: Path) -> None:
    """Plain arrays in a file that is whole or not there, without anything that could be run."""
    kept.parent.mkdir(parents=True, exist_ok=True)
    assert isinstance(samples.inputs, torch.Tensor)
    with TemporaryDirectory(prefix=".write-", dir=kept.parent) as scratch:
        part = Path(scratch) / kept.name
        np.savez(
            part,
            inputs=samples.inputs.numpy(),
            targets=samples.targets.numpy(),
            classes=np.array(samples.classes, dtype=np.str_),
            notes=np.array(samples.notes, dtype=np.str_),
        )
        os.replace(part, kept)


def _load(kept: Path) -> Samples:
    try:
        with kept.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            classes = tuple(str(name) for name in arrays["classes"])
            return Samples(
                inputs=torch.from_numpy(arrays["inputs"]),
                targets=torch.from_numpy(arrays["targets"]),
                task="binary" if len(classes) == 2 else "multiclass",
                classes=classes,
                notes=tuple(str(note) for note in arrays["notes"]),
            )
    except (
        *(OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile),
        *(TypeError, AttributeError),  # of one array in place of several
    ) as error:
        raise UserError(
            f"dataset=notmnist: {kept} is damaged or cut short; "
            "delete it and run again, so that it is made anew"
        ) from error
