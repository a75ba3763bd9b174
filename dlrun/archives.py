"""Unpacking archives that strangers made: files and folders below one folder, or nothing."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from dlrun.errors import UserError, printable

BLOCK = 512  # bytes; a tar file is made of them
CHUNK = 1 << 20  # bytes read and written at a time
MAX_EXTENSION = 1 << 20  # bytes of a tar header that extends the next one; honest ones have < 1,000
MAX_NAME = 1024  # bytes
MAX_PART = 255  # bytes; what file systems take
MAX_DEPTH = 64  # folders
ZIP_ENTRY = 512  # bytes of a zip file's directory for each member; honest ones have about 100

DAMAGED = "is damaged or cut short"
NO_ARCHIVE = "is not a tar, tar.gz or zip archive"
TAR_KINDS = {
    tarfile.LNKTYPE: "a hard link",
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.CHRTYPE: "a character device",
    tarfile.BLKTYPE: "a block device",
    tarfile.FIFOTYPE: "a fifo",
    tarfile.GNUTYPE_SPARSE: "a sparse file",
}
# Headers that say more about the next member. What a global one says (b"g": comments, times) and
# where a link leads does not matter here.
EXTENSIONS = (
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
    *(tarfile.XHDTYPE, tarfile.XGLTYPE),
)
ZIP_KINDS = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
    stat.S_IFIFO: "a fifo",
    stat.S_IFSOCK: "a socket",
}
# U+2028 and U+2029 break lines too; lone surrogates stand for bytes that are not UTF-8.
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

# A member's name as the archive has it, whether it is a folder, and its bytes, to be read before
# the next member is asked for.
Member = tuple[str, bool, Iterable[bytes]]


class WrongHash(UserError):
    """The archive is not the one whose SHA-256 was given."""


class _Refusal(Exception):
    """Why an archive is not unpacked: what follows its name in the error."""


def unpack(
    archive: Path, folder: Path, *, sha256: str | None, max_bytes: int, max_files: int
) -> list[Path]:
    """The files of a tar, tar.gz or zip archive, now below `folder`, in the archive's order.

    The folder must not be there yet, or be empty; its parent must be there. `max_bytes` bounds all
    that the archive decompresses to, a tar file's headers included; `max_files` bounds files and
    folders together. Permissions are those of newly made files, whatever the archive says.

    Raises UserError of one line, and leaves nothing behind, when the archive has another SHA-256
    (WrongHash), is damaged, goes over a limit, or holds anything but files and folders below its
    own. What the file system says of its own accord (no space left) comes as OSError.
    """
    try:
        if folder.is_symlink() or folder.exists() and not (folder.is_dir() and _is_empty(folder)):
            raise _Refusal(f"{_shown(str(folder))} is there already (expected a new folder)")
        with _opened(archive) as file:
            if sha256 is not None and (found := _sha256(file)) != sha256.lower():
                raise WrongHash(
                    f"{_shown(str(archive))}: SHA-256 is {found}, expected {sha256}; "
                    "nothing was unpacked"
                )
            with TemporaryDirectory(prefix=".unpack-", dir=folder.parent) as scratch:
                whole = Path(scratch) / "whole"  # with the usual permissions; scratch is private
                names = _write(_members(file, max_bytes, max_files), whole, max_files)
                os.replace(whole, folder)
    except _Refusal as refusal:
        raise UserError(
            f"{_shown(str(archive))}: {refusal}; nothing was unpacked"
        ) from refusal.__cause__
    return [folder / name for name in names]


def _is_empty(folder: Path) -> bool:
    return next(folder.iterdir(), None) is None


def _shown(name: str) -> str:
    """A name on one line, the middle of a very long one left out."""
    name = name if len(name) <= 200 else f"{name[:100]}...{name[-100:]}"
    return printable(name).replace("\n", "\\n")


@contextmanager
def _opened(archive: Path) -> Iterator[io.BufferedIOBase]:
    if not archive.is_file():  # opening a fifo would wait for ever
        raise _Refusal("no such file")
    try:
        file = archive.open("rb")
    except OSError as error:
        raise _Refusal(f"cannot be read ({error.strerror})") from error
    with file:
        yield file


def _sha256(file: io.BufferedIOBase) -> str:
    """The hash of the whole file, which is then back at its beginning."""
    digest = hashlib.sha256()
    while chunk := file.read(CHUNK):
        digest.update(chunk)
    file.seek(0)
    return digest.hexdigest()


def _members(file: io.BufferedIOBase, max_bytes: int, max_files: int) -> Iterator[Member]:
    """The members in the file's order; what the file is, its first bytes tell, not its name."""
    budget = _Budget(max_bytes)
    start = file.read(4)
    file.seek(0)
    if start in (b"PK\3\4", b"PK\5\6"):
        return _zip_members(file, budget, max_files)
    if start[:2] == b"\x1f\x8b":
        return _tar_members(_Stream(gzip.GzipFile(fileobj=file), budget))
    return _tar_members(_Stream(file, budget))


def _write(members: Iterator[Member], root: Path, max_files: int) -> list[str]:
    """Names of the files written below `root`, which is made."""
    root.mkdir()
    folders: set[tuple[str, ...]] = {()}
    named: set[tuple[str, ...]] = set()
    files: list[str] = []

    def count() -> None:  # the next one, in place of the root among the folders
        if len(files) + len(folders) > max_files:
            raise _Refusal(f"holds more than {max_files:,} files and folders")

    def make_folder(parts: tuple[str, ...]) -> None:
        if parts not in folders:
            make_folder(parts[:-1])
            count()
            os.mkdir(os.path.join(root, *parts))
            folders.add(parts)

    for name, is_folder, content in members:
        parts = _parts(name)
        if is_folder and not parts:  # ./ is the folder itself
            continue
        if not parts:
            raise _Refusal(f"has a file without a name ({_shown(name)!r})")
        try:
            if parts in named:
                raise FileExistsError
            named.add(parts)
            make_folder(parts if is_folder else parts[:-1])
            if not is_folder:
                count()
                with open(os.path.join(root, *parts), "xb") as file:
                    for chunk in content:
                        file.write(chunk)
                files.append("/".join(parts))
        except FileExistsError as error:  # the file system knows which names are one to it
            raise _Refusal(f"{_shown(name)} is there twice, or as file and as folder") from error
    if not files:
        raise _Refusal("holds no files")
    return files


def _parts(name: str) -> tuple[str, ...]:
    """The components of a member's name; a name that could lead elsewhere is refused."""
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if name.startswith("/"):
        raise _Refusal(f"{_shown(name)} is an absolute path (expected names below one folder)")
    if ".." in parts:
        raise _Refusal(f"{_shown(name)} leads out of the folder (expected names without ..)")
    if "\\" in name:
        raise _Refusal(f"{_shown(name)} has a backslash (expected / between folders)")
    if any(part[1:2] == ":" and part[0].isalpha() for part in parts):
        raise _Refusal(f"{_shown(name)} has a drive letter (expected names below one folder)")
    if CONTROL.search(name):
        raise _Refusal(f"{_shown(name)} has a control character or is not UTF-8")
    if len(name.encode()) > MAX_NAME or any(len(part.encode()) > MAX_PART for part in parts):
        raise _Refusal(f"the name {_shown(name)} is too long")
    if len(parts) > MAX_DEPTH:
        raise _Refusal(f"{_shown(name)} lies deeper than {MAX_DEPTH} folders")
    return parts


class _Budget:
    """Counts the bytes that an archive unpacks to, and refuses it at the limit."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.left = max_bytes

    def spend(self, size: int) -> None:
        self.left -= size
        if self.left < 0:
            raise _Refusal(f"unpacks to more than {self.max_bytes:,} bytes")


class _Stream:
    """Reads a tar file from front to back, within a budget."""

    def __init__(self, file: io.BufferedIOBase, budget: _Budget) -> None:
        self.file = file
        self.budget = budget

    def _read(self, size: int) -> bytes:
        try:
            return self.file.read(size)
        except (OSError, EOFError, zlib.error) as error:  # gzip's own are OSError
            raise _Refusal(DAMAGED) from error

    def block(self) -> bytes:
        self.budget.spend(BLOCK)
        return self._read(BLOCK)

    def content(self, size: int) -> Iterator[bytes]:
        """`size` bytes in chunks; the zeros that fill the last block are passed over.

        Where the file ends too early, no next header and no end will be found.
        """
        padding = -size % BLOCK
        self.budget.spend(size + padding)  # all of it, before the first is written
        for start in range(0, size, CHUNK):
            yield self._read(min(CHUNK, size - start))
        self._read(padding)

    def finish(self) -> None:
        """Reads what follows the end of the tar file: behind it lies gzip's checksum."""
        while data := self._read(CHUNK):
            self.budget.spend(len(data))


def _tar_members(stream: _Stream) -> Iterator[Member]:
    """Members of a tar file: ustar, GNU and pax.

    Not tarfile's own loop: that takes as much memory as a header says, and in all but the newest
    patch releases of Python (3.13.0, say) a negative size keeps it busy for ever.
    """
    name: str | None = None  # from a header that extends the next
    size: int | None = None
    otherwise = NO_ARCHIVE
    while (block := stream.block()) != bytes(BLOCK):
        try:
            header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except tarfile.HeaderError as error:
            raise _Refusal(otherwise) from error
        otherwise = DAMAGED
        if header.size < 0:
            raise _Refusal(DAMAGED)
        if header.type in EXTENSIONS:
            if header.size > MAX_EXTENSION:
                raise _Refusal(f"has a header of {header.size:,} bytes")
            extension = b"".join(stream.content(header.size))
            if header.type == tarfile.GNUTYPE_LONGNAME:
                name = _decoded(extension.rstrip(b"\0"))
            elif header.type == tarfile.XHDTYPE:
                records = _pax_records(extension)
                if b"path" in records:
                    name = _decoded(records[b"path"])
                if any(key.startswith(b"GNU.sparse.") for key in records):
                    raise _Refusal(_not_accepted(name or header.name, "a sparse file"))
                if b"size" in records:
                    size = _whole_number(records[b"size"])
            continue
        name = header.name if name is None else name
        size = header.size if size is None else size
        if header.type == tarfile.DIRTYPE:
            if size > 0:
                raise _Refusal(DAMAGED)
            yield name, True, ()
        elif header.type in (tarfile.REGTYPE, tarfile.AREGTYPE):
            yield name, False, stream.content(size)
        else:
            raise _Refusal(_not_accepted(name, TAR_KINDS.get(header.type, "of an unknown kind")))
        name = size = None
    stream.finish()


def _decoded(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def _not_accepted(name: str, kind: str) -> str:
    return f"{_shown(name)} is {kind} (expected only files and folders)"


def _pax_records(data: bytes) -> dict[bytes, bytes]:
    """Keys and values of records `LENGTH KEY=VALUE` with a line feed, all counted in the length."""
    records = {}
    start = 0
    while start < len(data):
        length, space, _ = data[start : start + 20].partition(b" ")
        end = start + _whole_number(length)
        key, equals, value = data[start + len(length) + 1 : end].partition(b"=")
        if not space or not equals or not value.endswith(b"\n") or end > len(data):
            raise _Refusal(DAMAGED)
        records[key] = value[:-1]
        start = end
    return records


def _whole_number(digits: bytes) -> int:
    if not digits.isdigit() or len(digits) > 19:
        raise _Refusal(DAMAGED)
    return int(digits)


class _Bounded:
    """A file of which one read takes `limit` bytes at most.

    For zipfile, which reads the directory of a file whole, however long it says that it is, before
    anyone can count its members.
    """

    def __init__(self, file: io.BufferedIOBase, limit: int) -> None:
        self.file = file
        self.limit = limit
        self.seek = file.seek
        self.tell = file.tell
        self.seekable = file.seekable

    def read(self, size: int = -1) -> bytes:
        if size > self.limit:
            raise _Refusal(f"has a directory of {size:,} bytes (expected at most {self.limit:,})")
        return self.file.read(size)


def _zip_members(file: io.BufferedIOBase, budget: _Budget, max_files: int) -> Iterator[Member]:
    bounded = _Bounded(file, max(CHUNK, ZIP_ENTRY * max_files))
    with _reading_zip(), zipfile.ZipFile(bounded) as opened:
        for member in opened.infolist():
            name = member.orig_filename  # zipfile cuts the other one at a zero byte
            is_folder = name.endswith("/")
            kind = stat.S_IFMT(member.external_attr >> 16)
            if kind not in (0, stat.S_IFDIR if is_folder else stat.S_IFREG):
                raise _Refusal(_not_accepted(name, ZIP_KINDS.get(kind, "of an unknown kind")))
            if member.flag_bits & 1:
                raise _Refusal(f"{_shown(name)} is encrypted")
            if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise _Refusal(f"{_shown(name)} is not compressed by deflate")
            yield name, is_folder, () if is_folder else _zip_content(opened, member, budget)


def _zip_content(
    opened: zipfile.ZipFile, member: zipfile.ZipInfo, budget: _Budget
) -> Iterator[bytes]:
    with _reading_zip(), opened.open(member) as file:
        while chunk := file.read(CHUNK):
            budget.spend(len(chunk))
            yield chunk


@contextmanager
def _reading_zip() -> Iterator[None]:
    """Turns what zipfile raises of a damaged file into a refusal."""
    try:
        yield
    except (
        *(zipfile.BadZipFile, zlib.error, struct.error, EOFError),
        *(RuntimeError, ValueError, OSError),  # of damaged versions, names and offsets
    ) as error:
        raise _Refusal(DAMAGED) from error
