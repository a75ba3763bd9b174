"""Archives of strangers: an honest one unpacks whole, any other is refused and leaves nothing."""

from __future__ import annotations

import errno
import gzip
import hashlib
import io
import os
import random
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from dlrun import archives
from dlrun.archives import WrongHash, unpack
from dlrun.errors import UserError

FILES = {
    "run/summary.json": b'{"status": "completed"}',
    "run/checkpoints/last.pt": bytes(range(256)) * 20,
    "run/empty": b"",
    "run/" + "long" * 40: b"x" * 512,
    "a b/Größe.txt": b"last",
}


def member(name: str, kind: bytes = tarfile.REGTYPE, size: int = 0) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.size, entry.linkname = kind, size, "/etc/passwd"
    return entry


def tar_of(
    members: Iterable[tarfile.TarInfo], mode: str = "w", kind: int = tarfile.PAX_FORMAT
) -> bytes:
    """A tar file of members that are filled with the letter a."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=mode, format=kind) as tar:  # type: ignore[call-overload]
        for entry in members:
            tar.addfile(entry, io.BytesIO(b"a" * entry.size))
    return packed.getvalue()


def packed_files(kind: str) -> bytes:
    """`FILES` and a folder without files, with permissions that should not be taken over."""
    packed = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as opened:
            for name, content in FILES.items():
                info = zipfile.ZipInfo(name)
                info.external_attr = (stat.S_IFREG | 0o4777) << 16
                opened.writestr(info, content, zipfile.ZIP_DEFLATED)
            opened.writestr("hollow/", b"")
        return packed.getvalue()
    form = {"pax": tarfile.PAX_FORMAT, "gnu": tarfile.GNU_FORMAT}[kind[:3]]
    with tarfile.open(fileobj=packed, mode="w", format=form) as tar:
        for name, content in FILES.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode, entry.mtime = len(content), 0o4777, 1.5
            tar.addfile(entry, io.BytesIO(content))
        folder = member("hollow", tarfile.DIRTYPE)
        folder.mode = 0o2700
        tar.addfile(folder)
    return gzip.compress(packed.getvalue()) if kind.endswith("gz") else packed.getvalue()


KINDS = ("pax", "gnu", "pax.gz", "gnu.gz", "zip")


def tree(folder: Path) -> dict[str, bytes | None]:
    """What lies below a folder: bytes of files, None for folders."""
    return {
        str(path.relative_to(folder)): None if path.is_dir() else path.read_bytes()
        for path in folder.rglob("*")
    }


def write_archive(folder: Path, content: bytes) -> Path:
    archive = folder / "archive"  # its name tells nothing
    archive.write_bytes(content)
    return archive


def refusal(
    folder: Path,
    content: bytes,
    *,
    sha256: str | None = None,
    max_bytes: int = 10**6,
    max_files: int = 100,
) -> str:
    """Why the archive is refused, one line without the archive's name; nothing else is there."""
    parent = folder / "parent"
    parent.mkdir(exist_ok=True)
    archive = write_archive(folder, content)
    before = tree(folder)
    with pytest.raises(UserError) as error:
        unpack(archive, parent / "out", sha256=sha256, max_bytes=max_bytes, max_files=max_files)
    assert tree(folder) == before
    text = str(error.value)
    assert text.isprintable()  # a line feed is not
    assert text.startswith(f"{archive}: ") and text.endswith("; nothing was unpacked")
    return text.removeprefix(f"{archive}: ").removesuffix("; nothing was unpacked")


@pytest.mark.parametrize("kind", KINDS)
def test_an_honest_archive_unpacks_whole(kind: str, tmp_path: Path) -> None:
    content = packed_files(kind)
    archive = write_archive(tmp_path, content)
    folder = tmp_path / "out"
    sha256 = hashlib.sha256(content).hexdigest()
    # 5 files in 4 folders
    files = unpack(archive, folder, sha256=sha256, max_bytes=30_000, max_files=9)
    assert files == [folder / name for name in FILES]
    folders = dict.fromkeys(("run", "run/checkpoints", "a b", "hollow"))
    assert tree(folder) == {**FILES, **folders}
    assert sorted(os.listdir(tmp_path)) == ["archive", "out"]
    new = tmp_path / "new"
    new.touch()
    assert {file.stat().st_mode for file in files} == {new.stat().st_mode}
    new.unlink()
    new.mkdir()
    modes = {path.stat().st_mode for path in (folder, folder / "run", folder / "hollow")}
    assert modes == {new.stat().st_mode}


def test_a_tar_file_of_the_current_folder(tmp_path: Path) -> None:
    names = [member("./", tarfile.DIRTYPE), member("./a/", tarfile.DIRTYPE), member("./a/x")]
    archive = write_archive(tmp_path, tar_of(names))
    target = tmp_path / "out"
    target.mkdir()  # an empty folder may be there
    assert unpack(archive, target, sha256=None, max_bytes=10**5, max_files=2) == [
        target / "a" / "x"
    ]


def test_a_comment_for_the_whole_archive_is_passed_over(tmp_path: Path) -> None:
    packed = io.BytesIO()
    comment = {"comment": "a commit's hash, as git archive writes it"}
    with tarfile.open(fileobj=packed, mode="w", pax_headers=comment) as tar:
        tar.addfile(member("x"))
    archive = write_archive(tmp_path, packed.getvalue())
    (file,) = unpack(archive, tmp_path / "out", sha256=None, max_bytes=10**5, max_files=2)
    assert file == tmp_path / "out" / "x"


def test_another_sha256_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    text = refusal(tmp_path, b"no archive", sha256="0" * 64)
    found = hashlib.sha256(b"no archive").hexdigest()
    assert text == f"SHA-256 is {found}, expected {'0' * 64}"
    with pytest.raises(WrongHash):
        unpack(tmp_path / "archive", tmp_path / "x", sha256="00", max_bytes=1, max_files=1)
    # in capitals it is the same one: then the content is at fault
    assert refusal(tmp_path, b"no archive", sha256=found.upper()) == archives.NO_ARCHIVE


BAD_NAMES = {
    "../x": "../x leads out of the folder (expected names without ..)",
    "a/../../x": "a/../../x leads out of the folder (expected names without ..)",
    "a/../x": "a/../x leads out of the folder (expected names without ..)",
    "..": ".. leads out of the folder (expected names without ..)",
    "/x": "/x is an absolute path (expected names below one folder)",
    "//x": "//x is an absolute path (expected names below one folder)",
    "C:x": "C:x has a drive letter (expected names below one folder)",
    "a/C:/x": "a/C:/x has a drive letter (expected names below one folder)",
    "..\\x": "..\\x has a backslash (expected / between folders)",
    "a\x1b[2Jb": "a\\x1b[2Jb has a control character or is not UTF-8",
    "a\nb": "a\\nb has a control character or is not UTF-8",
    "a\x85b": "a\\x85b has a control character or is not UTF-8",
    "a\u2028b": "a\\u2028b has a control character or is not UTF-8",
    "n" * 256: f"the name {'n' * 100}...{'n' * 100} is too long",
    "ü" * 128: f"the name {'ü' * 128} is too long",
    "nine/long" * 120: f"the name {('nine/long' * 12)[:100]}...{('nine/long' * 12)[-100:]}"
    " is too long",
    "a/" * 64 + "x": "a/" * 64 + "x lies deeper than 64 folders",
}


@pytest.mark.parametrize("name", BAD_NAMES)
@pytest.mark.parametrize("kind", ["pax", "gnu", "zip"])
def test_a_bad_name_is_refused_and_so_are_its_neighbours(
    kind: str, name: str, tmp_path: Path
) -> None:
    names = ("good", name, "good2")
    if kind == "zip":
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as opened:
            for each in names:
                opened.writestr(each, b"aa")
        content = packed.getvalue()
    else:
        form = {"pax": tarfile.PAX_FORMAT, "gnu": tarfile.GNU_FORMAT}[kind]
        content = tar_of([member(each, size=2) for each in names], kind=form)
    assert refusal(tmp_path, content) == BAD_NAMES[name]


def test_an_absolute_path_to_a_place_that_can_be_written(tmp_path: Path) -> None:
    name = str(tmp_path / "evil")
    expected = f"{name} is an absolute path (expected names below one folder)"
    assert refusal(tmp_path, tar_of([member(name)])) == expected


def test_a_name_in_bytes_that_are_no_text(tmp_path: Path) -> None:
    content = tar_of([member("n\udcffn")], kind=tarfile.GNU_FORMAT)  # the byte 0xff
    expected = "n\\udcffn has a control character or is not UTF-8"
    assert refusal(tmp_path, content) == expected
    content = zip_of("n").replace(b"n", b"\0")
    assert refusal(tmp_path, content) == "\\x00 has a control character or is not UTF-8"


@pytest.mark.parametrize("member_kind", [tarfile.REGTYPE, tarfile.DIRTYPE])
def test_a_name_in_a_header_that_extends_the_next(member_kind: bytes, tmp_path: Path) -> None:
    entry = member("harmless", member_kind)
    entry.pax_headers = {"path": "../x"}
    expected = "../x leads out of the folder (expected names without ..)"
    assert refusal(tmp_path, tar_of([member("a"), entry])) == expected


TAR_KINDS = {
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.LNKTYPE: "a hard link",
    tarfile.CHRTYPE: "a character device",
    tarfile.BLKTYPE: "a block device",
    tarfile.FIFOTYPE: "a fifo",
    tarfile.GNUTYPE_SPARSE: "a sparse file",
    tarfile.CONTTYPE: "of an unknown kind",
    b"!": "of an unknown kind",
}


@pytest.mark.parametrize("kind", TAR_KINDS)
def test_a_member_that_is_no_file(kind: bytes, tmp_path: Path) -> None:
    content = tar_of([member("good"), member("x\x1b[31m", kind), member("good2")])
    expected = f"x\\x1b[31m is {TAR_KINDS[kind]} (expected only files and folders)"
    assert refusal(tmp_path, content) == expected
    assert refusal(tmp_path, gzip.compress(content)) == expected


def test_a_link_to_a_place_with_a_long_name(tmp_path: Path) -> None:
    entry = member("x", tarfile.SYMTYPE)
    entry.linkname = "/etc/" + "passwd" * 50
    content = tar_of([entry], kind=tarfile.GNU_FORMAT)
    assert refusal(tmp_path, content) == "x is a symbolic link (expected only files and folders)"


def test_a_sparse_file_in_pax_headers(tmp_path: Path) -> None:
    entry = member("x")
    entry.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "path": "y"}
    expected = "y is a sparse file (expected only files and folders)"
    assert refusal(tmp_path, tar_of([entry])) == expected


def test_a_link_on_the_way_is_never_followed(tmp_path: Path) -> None:
    entry = member("way", tarfile.SYMTYPE)
    entry.linkname = str(tmp_path)
    content = tar_of([entry, member("way/x")])
    expected = "way is a symbolic link (expected only files and folders)"
    assert refusal(tmp_path, content) == expected


def zip_of(name: str, change: Callable[[zipfile.ZipInfo], object] = lambda info: None) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as opened:
        info = zipfile.ZipInfo(name)
        info.compress_type = zipfile.ZIP_DEFLATED
        change(info)
        opened.writestr(info, b"content", info.compress_type)
    return packed.getvalue()


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        (stat.S_IFLNK, "a symbolic link"),
        (stat.S_IFCHR, "a character device"),
        (stat.S_IFBLK, "a block device"),
        (stat.S_IFIFO, "a fifo"),
        (stat.S_IFSOCK, "a socket"),
        (stat.S_IFDIR, "of an unknown kind"),  # and its name is a file's
    ],
)
def test_a_member_of_a_zip_file_that_is_no_file(mode: int, kind: str, tmp_path: Path) -> None:
    content = zip_of("x", lambda info: setattr(info, "external_attr", (mode | 0o777) << 16))
    assert refusal(tmp_path, content) == f"x is {kind} (expected only files and folders)"


def test_a_zip_file_that_is_packed_in_another_way(tmp_path: Path) -> None:
    content = zip_of("x", lambda info: setattr(info, "compress_type", zipfile.ZIP_BZIP2))
    assert refusal(tmp_path, content) == "x is not compressed by deflate"
    content = zip_of("x")
    directory = content.index(b"PK\1\2")
    encrypted = content[: directory + 8] + b"\1" + content[directory + 9 :]
    assert refusal(tmp_path, encrypted) == "x is encrypted"


@pytest.mark.parametrize(
    "names",
    [
        ("x", "x"),
        ("x", "./x"),
        ("x/", "x/"),
        ("x/", "x"),
        ("x", "x/"),
        ("y/x", "x", "y//x"),
        ("x", "x/y"),
        ("x/y", "x"),
    ],
)
@pytest.mark.parametrize("kind", ["tar", "zip"])
@pytest.mark.filterwarnings("ignore:Duplicate name")  # zipfile, which writes it all the same
def test_one_name_twice(kind: str, names: tuple[str, ...], tmp_path: Path) -> None:
    if kind == "zip":
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as opened:
            for name in names:
                opened.writestr(name, b"")
        content = packed.getvalue()
    else:
        kinds = [tarfile.DIRTYPE if name[-1] == "/" else tarfile.REGTYPE for name in names]
        content = tar_of(map(member, names, kinds))
    shown = names[-1].removesuffix("/") if kind == "tar" else names[-1]
    assert refusal(tmp_path, content) == f"{shown} is there twice, or as file and as folder"


def test_a_file_without_a_name(tmp_path: Path) -> None:
    assert refusal(tmp_path, tar_of([member(".")])) == "has a file without a name ('.')"
    assert refusal(tmp_path, tar_of([member("")])) == "has a file without a name ('')"
    assert refusal(tmp_path, zip_of(".")) == "has a file without a name ('.')"


@pytest.mark.parametrize("kind", KINDS)
def test_too_many_files(kind: str, tmp_path: Path) -> None:
    content = packed_files(kind)  # 5 files in 4 folders
    expected = "holds more than 8 files and folders"
    assert refusal(tmp_path, content, max_files=8) == expected


def test_too_many_bytes(tmp_path: Path) -> None:
    content = tar_of([member("x", size=512), member("y", size=513)])
    assert len(content) == 10_240  # with the zeros at its end
    archive = write_archive(tmp_path, content)
    assert unpack(archive, tmp_path / "out", sha256=None, max_bytes=10_240, max_files=2)
    for limit in (0, 511, 512, 1024, 1536, 2559, 2560, 10_239):
        expected = f"unpacks to more than {limit:,} bytes"
        assert refusal(tmp_path, content, max_bytes=limit) == expected
    content = packed_files("zip")
    assert refusal(tmp_path, content, max_bytes=5_658) == "unpacks to more than 5,658 bytes"
    archive = write_archive(tmp_path, content)
    assert sum(map(len, FILES.values())) == 5_659
    assert unpack(archive, tmp_path / "out2", sha256=None, max_bytes=5_659, max_files=9)


@pytest.fixture
def decompressed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sizes of the pieces that come out of gzip."""
    sizes: list[int] = []

    class Counting(gzip.GzipFile):
        def read(self, size: int | None = -1) -> bytes:
            data = super().read(size)
            sizes.append(len(data))
            return data

    monkeypatch.setattr(gzip, "GzipFile", Counting)
    return sizes


def test_ten_gigabytes_of_zeros_are_not_decompressed(
    tmp_path: Path, decompressed: list[int]
) -> None:
    zeros = gzip.compress(bytes(10**7), mtime=0) * 1000
    assert len(zeros) < 10**7 + 10**6
    for kind, max_bytes, expected in (
        (tarfile.REGTYPE, 10**6, "unpacks to more than 1,000,000 bytes"),
        (tarfile.XHDTYPE, 10**11, "has a header of 10,000,000,000 bytes"),
        (tarfile.GNUTYPE_LONGNAME, 10**11, "has a header of 10,000,000,000 bytes"),
    ):
        header = member("x", kind, 10**10).tobuf(tarfile.GNU_FORMAT)
        content = gzip.compress(header) + zeros
        assert refusal(tmp_path, content, max_bytes=max_bytes) == expected
        assert sum(decompressed) == 512
        decompressed.clear()
    assert refusal(tmp_path, zeros, max_bytes=10**6) == "unpacks to more than 1,000,000 bytes"
    assert sum(decompressed) < 3 * 10**6


def test_a_million_members_are_not_read(tmp_path: Path, decompressed: list[int]) -> None:
    headers = [member(f"{k}").tobuf() for k in range(1000)]
    content = gzip.compress(b"".join(headers)) * 1000
    text = refusal(tmp_path, content, max_bytes=10**9, max_files=500)
    assert text == "holds more than 500 files and folders"
    assert sum(decompressed) == 501 * 512


def test_a_zip_file_whose_directory_is_too_long_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as opened:
        for k in range(5):
            info = zipfile.ZipInfo(f"{k}")
            info.comment = bytes(60_000)
            opened.writestr(info, b"")
    monkeypatch.setattr(archives, "CHUNK", 200_000)
    monkeypatch.delattr(zipfile.ZipFile, "infolist")
    text = refusal(tmp_path, packed.getvalue())
    assert text == "has a directory of 300,235 bytes (expected at most 200,000)"


def test_a_zip_file_that_lies_about_its_sizes(tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("x", bytes(10**7))
    content = packed.getvalue()
    assert refusal(tmp_path, content) == "unpacks to more than 1,000,000 bytes"
    size = (10**7).to_bytes(4, "little")
    assert content.count(size) == 2
    small = content.replace(size, (100).to_bytes(4, "little"))
    assert refusal(tmp_path, small) == "is damaged or cut short"


@pytest.mark.parametrize("kind", KINDS)
def test_a_truncated_archive_is_refused_wherever_it_is_cut(kind: str, tmp_path: Path) -> None:
    content = packed_files(kind)
    if not kind.endswith(("gz", "zip")):  # a tar file ends with zeros, of which one block counts
        content = content.rstrip(b"\0") + bytes(1024)
        content = content[: len(content) // 512 * 512]
    for end in (0, 1, 10, 511, 512, 513, *range(600, len(content), 400), len(content) - 1):
        if end < len(content):
            assert refusal(tmp_path, content[:end]) in (archives.DAMAGED, archives.NO_ARCHIVE), end


@pytest.mark.parametrize("kind", KINDS)
def test_bytes_that_change_on_the_way_end_in_one_line_or_in_files_below_the_folder(
    kind: str, tmp_path: Path
) -> None:
    content = packed_files(kind)
    draw = random.Random(0)
    refused = 0
    for k in range(200):
        changed = bytearray(content)
        for _ in range(draw.choice((1, 2, 20))):
            changed[draw.randrange(len(content))] = draw.choice((0, 128, 255, draw.randrange(256)))
        archive = write_archive(tmp_path, bytes(changed))
        folder = tmp_path / f"{k}"
        try:
            files = unpack(archive, folder, sha256=None, max_bytes=10**6, max_files=100)
        except UserError as error:
            refused += 1
            assert str(error).isprintable()
        else:
            assert files and all(file.is_relative_to(folder) for file in files)
            shutil.rmtree(folder)
        assert os.listdir(tmp_path) == ["archive"]
    assert refused > 50


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>not found</html>",
        b"\x89PNG\r\n\x1a\n" * 1000,
        gzip.compress(b"a,b\n1,2\n", mtime=0),
        gzip.compress(b"a,b\n1,2\n" * 1000, mtime=0),
        bytes(100),
    ],
)
def test_what_is_no_archive(content: bytes, tmp_path: Path) -> None:
    assert refusal(tmp_path, content) == "is not a tar, tar.gz or zip archive"


@pytest.mark.parametrize(
    "content",
    [
        gzip.compress(tar_of([member("x")]))[:-8] + bytes(8),  # its checksum
        gzip.compress(tar_of([member("x")])) + b"more",
        gzip.compress(tar_of([member("x")]))[:10] + b"\xff" * 1000,
        tar_of([member("x")])[:512] + b"no header" * 100,
        member("x", size=-1).tobuf(tarfile.GNU_FORMAT) + bytes(10_240),
        member("x", tarfile.DIRTYPE, 512).tobuf() + bytes(10_240),
        zip_of("x")[:35] + b"?" + zip_of("x")[36:],
    ],
    ids=["checksum", "garbage", "deflate", "second header", "negative", "folder", "zip content"],
)
def test_a_damaged_archive(content: bytes, tmp_path: Path) -> None:
    assert refusal(tmp_path, content) == "is damaged or cut short"


@pytest.mark.parametrize(
    "records",
    [b"0 path=x\n", b"9999 path=x\n", b"8 path=x\n", b"path=x\n", b"1" * 5000, b"9 size=-1\n"],
)
def test_pax_records_that_are_damaged(records: bytes, tmp_path: Path) -> None:
    header = member("x", tarfile.XHDTYPE, len(records)).tobuf()
    content = header + records + bytes(-len(records) % 512) + tar_of([member("x")])
    assert refusal(tmp_path, content) == "is damaged or cut short"


def test_an_archive_without_files(tmp_path: Path) -> None:
    for content in (tar_of([]), tar_of([member("x", tarfile.DIRTYPE)]), b"PK\5\6" + bytes(18)):
        assert refusal(tmp_path, content) == "holds no files"


def test_what_is_there_is_never_overwritten(tmp_path: Path) -> None:
    archive = write_archive(tmp_path, tar_of([member("x")]))
    full, file, link = (tmp_path / name for name in ("full", "file", "link"))
    full.mkdir()
    (full / "x").write_text("mine")
    file.write_text("mine")
    (tmp_path / "hollow").mkdir()
    link.symlink_to(tmp_path / "hollow")
    before = tree(tmp_path)
    for target in (full, file, link):
        with pytest.raises(UserError) as error:
            unpack(archive, target, sha256=None, max_bytes=10**5, max_files=1)
        assert str(error.value) == (
            f"{archive}: {target} is there already (expected a new folder); nothing was unpacked"
        )
    assert tree(tmp_path) == before


def test_an_archive_that_cannot_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "fifo")
    for name in ("absent", "fifo", "."):
        with pytest.raises(UserError) as error:
            unpack(tmp_path / name, tmp_path / "x", sha256=None, max_bytes=1, max_files=1)
        assert str(error.value) == f"{tmp_path / name}: no such file; nothing was unpacked"

    def refuse(*args: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    archive = write_archive(tmp_path, b"")
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(UserError) as error:
        unpack(archive, tmp_path / "x", sha256=None, max_bytes=1, max_files=1)
    assert str(error.value) == (
        f"{archive}: cannot be read (Permission denied); nothing was unpacked"
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_full_disk_is_no_fault_of_the_archive(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = write_archive(tmp_path, packed_files(kind))
    mkdir = os.mkdir

    def full(path: str, *args: int) -> None:
        if str(path).endswith("checkpoints"):
            raise OSError(errno.ENOSPC, "No space left on device")
        mkdir(path, *args)

    monkeypatch.setattr(os, "mkdir", full)
    with pytest.raises(OSError, match="No space left on device"):
        unpack(archive, tmp_path / "out", sha256=None, max_bytes=10**5, max_files=9)
    assert os.listdir(tmp_path) == ["archive"]
