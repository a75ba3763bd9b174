"""notMNIST from a folder, an archive and a server: what is read, kept, refused."""

from __future__ import annotations

import hashlib
import http.server
import io
import os
import socket
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from dlrun.datasets import Samples, available, notmnist, split
from dlrun.datasets.notmnist import notmnist as load
from dlrun.errors import UserError

UNREADABLE = "2 of 8 files cannot be read as images and are left out: A/bad.png, C/empty.png"


def png(grey: int) -> bytes:
    file = io.BytesIO()
    Image.new("L", (28, 28), grey).save(file, "png")
    return file.getvalue()


def tree() -> dict[str, bytes]:
    """Two letters a class, and two files that are no images."""
    files = {f"{label}/{k}.png": png(100 * k + n) for n, label in enumerate("ABC") for k in (0, 1)}
    return files | {"A/bad.png": b"no image", "C/empty.png": b""}


def archive_of(files: dict[str, bytes], root: str = "notMNIST_small/") -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(root + name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def write_tree(folder: Path) -> None:
    for name, content in tree().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def check(samples: Samples) -> None:
    assert isinstance(samples.inputs, Tensor)
    assert samples.inputs.shape == (6, 1, 28, 28) and samples.inputs.dtype == torch.uint8
    assert samples.inputs[:, 0, 5, 5].tolist() == [0, 100, 1, 101, 2, 102]
    assert samples.targets.tolist() == [0, 0, 1, 1, 2, 2]
    assert samples.targets.dtype == torch.int64
    assert samples.classes == ("A", "B", "C")
    assert samples.task == "multiclass"


def error_of(data_dir: Path, path: str | None) -> str:
    with pytest.raises(UserError) as error:
        load(data_dir, 0, path=path)
    assert str(error.value).count("\n") < 3
    return str(error.value)


def test_a_folder(tmp_path: Path) -> None:
    write_tree(tmp_path / "letters")
    samples = load(tmp_path / "data", 0, path="letters")
    check(samples)
    assert samples.notes == (UNREADABLE,)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("root", ["notMNIST_small/", "", "a/b/"])
def test_an_archive_is_unpacked_once(
    root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "letters.tar.gz").write_bytes(archive_of(tree(), root))
    first = load(tmp_path / "data", 0, path="letters.tar.gz")
    check(first)
    assert first.notes == (UNREADABLE,)

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("unpacked again")

    monkeypatch.setattr(notmnist, "unpack", refuse)
    again = load(tmp_path / "data", 0, path="letters.tar.gz")
    check(again)
    assert again.notes == (UNREADABLE,)
    (tmp_path / "letters.tar.gz").write_bytes(archive_of({"A/0.png": png(0), "B/0.png": png(9)}))
    with pytest.raises(AssertionError, match="unpacked again"):  # another archive of that name
        load(tmp_path / "data", 0, path="letters.tar.gz")


def test_two_classes_of_an_archive_are_binary_the_second_time_too(tmp_path: Path) -> None:
    (tmp_path / "two.tar.gz").write_bytes(archive_of({"A/0.png": png(0), "B/0.png": png(9)}))
    assert [load(tmp_path, 0, path="two.tar.gz").task for _ in range(2)] == ["binary"] * 2


def test_data_dir_that_cannot_be_written_is_noted(tmp_path: Path) -> None:
    (tmp_path / "letters.tar.gz").write_bytes(archive_of(tree()))
    (tmp_path / "file").write_text("")
    samples = load(tmp_path / "file", 0, path="letters.tar.gz")
    check(samples)
    assert samples.notes == (
        UNREADABLE,
        f"the pixels cannot be kept in {tmp_path}/file/notMNIST_pixels (Not a directory), so that "
        "every run has to unpack the archive anew",
    )


def test_data_dir_is_looked_at_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notmnist, "URL", "http://127.0.0.1:9/never-asked")
    write_tree(tmp_path / "tree" / "notMNIST_small")
    check(load(tmp_path / "tree", 0, path=None))
    (tmp_path / "packed").mkdir()
    (tmp_path / "packed" / "notMNIST_small.tar.gz").write_bytes(archive_of(tree()))
    check(load(tmp_path / "packed", 0, path=None))
    for name in ("tree", "packed"):
        assert available(tmp_path / name)["notmnist"] == "present"


def test_shares_of_the_course(tmp_path: Path) -> None:
    many = {f"{c}/{k}.png": png(k) for c in "AB" for k in range(50)}
    (tmp_path / "letters.tar.gz").write_bytes(archive_of(many))
    samples = load(tmp_path, 0, path="letters.tar.gz")
    data = split(samples, seed=0, val_fraction=0.2, test_fraction=0.2, normalize=True, limit=None)
    assert [len(part) for part in (data.train, data.val, data.test)] == [64, 16, 20]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    """Serves the one archive in the list that it gives, in place of the author's site."""
    served = [archive_of(tree())]

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(served[0])))
            self.end_headers()
            self.wfile.write(served[0])

        def log_message(self, *args: object) -> None:
            pass

    monkeypatch.setenv("no_proxy", "127.0.0.1")
    opened = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    url = f"http://127.0.0.1:{opened.server_port}/notMNIST_small.tar.gz"
    monkeypatch.setattr(notmnist, "URL", url)
    monkeypatch.setattr(notmnist, "MD5", hashlib.md5(served[0]).hexdigest())
    thread = threading.Thread(target=opened.serve_forever, args=(0.01,))
    thread.start()
    yield served
    opened.shutdown()
    thread.join()
    opened.server_close()


def closed_port() -> str:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{opened.getsockname()[1]}/x.tar.gz"


def test_download_and_then_offline(
    server: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data_dir = tmp_path / "data"
    assert available(data_dir)["notmnist"] == f"needs download: {data_dir}"
    check(load(data_dir, 0, path=None))
    assert sorted(os.listdir(data_dir)) == ["notMNIST_pixels", "notMNIST_small.tar.gz"]
    (kept,) = os.listdir(data_dir / "notMNIST_pixels")
    assert kept == f"{hashlib.sha256(server[0]).hexdigest()}.npz"
    assert available(data_dir)["notmnist"] == "present"
    monkeypatch.setattr(notmnist, "URL", closed_port())
    check(load(data_dir, 0, path=None))


def test_a_download_of_another_file_is_removed(server: list[bytes], tmp_path: Path) -> None:
    server[0] += b"x"
    assert error_of(tmp_path, None) == (
        f"dataset=notmnist: notMNIST_small.tar.gz is not in {tmp_path}, and its download has a "
        "wrong checksum (removed); try again later, or type dataset=mnist5k, "
        "which needs no network"
    )
    assert os.listdir(tmp_path) == []


def test_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(notmnist, "URL", closed_port())
    text = error_of(tmp_path, None)
    assert text.startswith(
        f"dataset=notmnist: notMNIST_small.tar.gz is not in {tmp_path}, and its download failed ("
    )
    assert text.endswith("or type dataset=mnist5k, which needs no network")
    assert os.listdir(tmp_path) == []


def test_an_archive_that_is_cut_short(tmp_path: Path) -> None:
    (tmp_path / "cut.tar.gz").write_bytes(archive_of(tree())[:-50])
    assert error_of(tmp_path / "data", "cut.tar.gz") == (
        "dataset.path=cut.tar.gz: is damaged or cut short; nothing was unpacked"
    )
    assert not (tmp_path / "data").exists()


def test_an_archive_with_too_many_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notmnist, "MOST_FILES", 5)
    (tmp_path / "letters.tar.gz").write_bytes(archive_of(tree()))
    assert error_of(tmp_path, "letters.tar.gz") == (
        "dataset.path=letters.tar.gz: holds more than 5 files and folders; nothing was unpacked"
    )


def test_a_path_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "letters.tar.gz").write_bytes(b"")
    assert error_of(tmp_path, "leters.tar.gz") == (
        "dataset.path=leters.tar.gz: no such file or folder; did you mean letters.tar.gz?"
    )


def test_kept_pixels_that_are_damaged_are_named(tmp_path: Path) -> None:
    (tmp_path / "letters.tar.gz").write_bytes(archive_of(tree()))
    load(tmp_path, 0, path="letters.tar.gz")
    (kept,) = (tmp_path / "notMNIST_pixels").iterdir()
    whole = kept.read_bytes()
    array = io.BytesIO()
    np.save(array, np.zeros(3))
    torn = whole[:1000] + bytes(1000) + whole[2000:]
    for damaged in (whole[:1000], b"", b"text", torn, array.getvalue()):
        kept.write_bytes(damaged)
        assert error_of(tmp_path, "letters.tar.gz") == (
            f"dataset=notmnist: {kept} is damaged or cut short; "
            "delete it and run again, so that it is made anew"
        )
