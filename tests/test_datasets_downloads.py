"""Downloads against a server on this machine: whole, damaged, absent, refused, silent."""

from __future__ import annotations

import errno
import gc
import gzip
import hashlib
import http.server
import io
import os
import pickle
import socket
import tarfile
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision.datasets
from torch import Tensor

from dlrun.datasets import available, downloads, split, tabular
from dlrun.datasets.images import cifar10, fashion_mnist, kmnist, mnist
from dlrun.datasets.tabular import california
from dlrun.errors import UserError

IDX_FILES = (
    *("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    *("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
)


def idx(values: np.ndarray) -> bytes:
    """An IDX file of unsigned bytes: 0 0 8 rank, big-endian dimensions, values."""
    dims = b"".join(size.to_bytes(4, "big") for size in values.shape)
    return bytes([0, 0, 8, values.ndim]) + dims + values.astype(np.uint8).tobytes()


def tiny_mnist() -> dict[str, bytes]:
    """20 + 10 images of 28x28; image k is filled with k, its label is k % 10."""

    def images(n: int) -> np.ndarray:
        return np.repeat(np.arange(n), 28 * 28).reshape(n, 28, 28)

    arrays = [images(20), np.arange(20) % 10, images(10), np.arange(10)]
    return {name: idx(array) for name, array in zip(IDX_FILES, arrays, strict=True)}


class Server:
    """Serves `files` by name on 127.0.0.1 and remembers what was asked for."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                name = self.path.rsplit("/", 1)[-1]
                server.asked.append(name)
                if name not in server.files:
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(len(server.files[name])))
                self.end_headers()
                self.wfile.write(server.files[name])

            def log_message(self, *args: object) -> None:
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/"
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.01,))
        self.thread.start()

    def close(self) -> None:
        self.http.shutdown()
        self.thread.join()
        self.http.server_close()


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def server() -> Iterator[Server]:
    opened = Server()
    yield opened
    opened.close()


def closed_port() -> str:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{opened.getsockname()[1]}/"


def serve_mnist(server: Server, monkeypatch: pytest.MonkeyPatch, kind: Any) -> None:
    packed = {f"{name}.gz": gzip.compress(raw) for name, raw in tiny_mnist().items()}
    server.files.update(packed)
    monkeypatch.setattr(kind, "mirrors", [server.url])
    resources = [(name, hashlib.md5(data).hexdigest()) for name, data in packed.items()]
    monkeypatch.setattr(kind, "resources", resources)


@pytest.mark.parametrize(
    ("source", "kind", "first_class"),
    [
        (mnist, torchvision.datasets.MNIST, "0"),
        (fashion_mnist, torchvision.datasets.FashionMNIST, "T-shirt/top"),
        (kmnist, torchvision.datasets.KMNIST, "o"),
    ],
)
def test_download_and_then_offline(
    source: Any,
    kind: Any,
    first_class: str,
    server: Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    serve_mnist(server, monkeypatch, kind)
    samples = source(tmp_path / "data", 0)
    assert samples.inputs.shape == (20, 1, 28, 28)
    assert samples.inputs[:, 0, 27, 27].tolist() == list(range(20))
    assert samples.targets.tolist() == [k % 10 for k in range(20)]
    assert samples.classes[0] == first_class and len(samples.classes) == 10
    test_inputs, test_targets = samples.test
    assert test_inputs.shape == (10, 1, 28, 28)
    assert test_targets.tolist() == list(range(10))
    assert available(tmp_path / "data")[source.__name__] == "present"
    folder = tmp_path / "data" / kind.__name__ / "raw"
    assert sorted(os.listdir(folder)) == sorted(IDX_FILES)
    assert os.listdir(tmp_path / "data") == [kind.__name__]  # no scratch folder is left

    monkeypatch.setattr(kind, "mirrors", [closed_port()])
    again = source(tmp_path / "data", 0)
    assert torch.equal(again.inputs, samples.inputs)


def test_files_present_need_no_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name, data in tiny_mnist().items():
        (raw / name).write_bytes(data)

    def refuse(*args: object, **kwargs: object) -> None:
        raise PermissionError("read-only")

    for function in ("mkdir", "makedirs", "replace"):
        monkeypatch.setattr(os, function, refuse)
    assert len(mnist(tmp_path, 0).targets) == 20


def test_archives_put_there_by_hand_are_enough(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve_mnist(server, monkeypatch, torchvision.datasets.MNIST)
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name, data in server.files.items():
        (raw / name).write_bytes(data)
    monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", [closed_port()])
    assert len(mnist(tmp_path, 0).targets) == 20


def error_of(source: Any, data_dir: Path) -> str:
    with pytest.raises(UserError) as error:
        source(data_dir, 0)
    assert str(error.value).count("\n") < 3
    return str(error.value)


def test_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", [closed_port(), closed_port()])
    assert error_of(mnist, tmp_path) == (
        f"dataset=mnist: train-images-idx3-ubyte is not in {tmp_path}/MNIST/raw, and its download "
        f"failed ([Errno {errno.ECONNREFUSED}] Connection refused); connect to the network, "
        "or put the files there,\nor type dataset=mnist5k, which needs no network"
    )
    assert os.listdir(tmp_path) == []


def test_offline_names_the_file_that_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", [closed_port()])
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name in IDX_FILES[:3]:
        (raw / name).write_bytes(b"")
    assert error_of(mnist, tmp_path).startswith(
        f"dataset=mnist: t10k-labels-idx1-ubyte is not in {raw}, and its download failed ("
    )


def test_a_server_that_is_silent_counts_as_offline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "TIMEOUT_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", [url])
        text = error_of(mnist, tmp_path)
    assert "its download failed (timed out); connect to the network" in text
    assert socket.getdefaulttimeout() is None


def test_a_file_that_the_server_lacks(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve_mnist(server, monkeypatch, torchvision.datasets.MNIST)
    del server.files["t10k-labels-idx1-ubyte.gz"]
    assert "its download failed (HTTP Error 404: Not Found)" in error_of(mnist, tmp_path)
    assert os.listdir(tmp_path) == []
    with warnings.catch_warnings():  # torchvision leaves closing the refused answer to gc
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def test_wrong_checksum(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    serve_mnist(server, monkeypatch, torchvision.datasets.MNIST)
    server.files["train-labels-idx1-ubyte.gz"] += b"x"
    assert error_of(mnist, tmp_path) == (
        f"dataset=mnist: train-images-idx3-ubyte is not in {tmp_path}/MNIST/raw, and its download "
        "has a wrong checksum (removed); try again later, or type dataset=mnist5k, "
        "which needs no network"
    )
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("damage", ["cut", "empty", "other", "long"])
def test_a_damaged_file_is_named(damage: str, tmp_path: Path) -> None:
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name, data in tiny_mnist().items():
        (raw / name).write_bytes(data)
    bad = raw / "t10k-images-idx3-ubyte"
    whole = bad.read_bytes()
    bad.write_bytes(
        {"cut": whole[:1000], "empty": b"", "other": b"<html>" * 20, "long": whole + b"x"}[damage]
    )
    assert error_of(mnist, tmp_path) == (
        f"dataset=mnist: {bad} is damaged or cut short; "
        "delete it and run again, so that it is downloaded anew"
    )


def test_data_dir_that_cannot_be_written(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    assert error_of(mnist, file / "data") == (
        f"data_dir={file}/data: cannot store dataset=mnist there "
        f"([Errno 20] Not a directory: '{file}/data'); "
        "expected a folder that can be written to (for example data_dir=~/data)"
    )


class Python2Dtype:
    """Pickles as the dtype of numpy's unsigned bytes in the spelling of the original files."""

    def __reduce__(self) -> tuple[Any, ...]:
        return np.dtype, ("u1", 0, 1)


def cifar_batch(first: int, dtype_note: bool) -> bytes:
    """Four images: red first, green first + 1, blue first + 2 everywhere."""
    data = np.tile(np.repeat(first + np.arange(3), 32 * 32), (4, 1)).astype(np.uint8)
    entry: dict[str, Any] = {"data": data, "labels": [0, 1, 2, 3]}
    if dtype_note:
        entry["dtype"] = Python2Dtype()
    return pickle.dumps(entry, protocol=2)


def serve_cifar(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = torchvision.datasets.CIFAR10
    names = [name for name, _ in kind.train_list + kind.test_list]
    files = {name: cifar_batch(10 * k, dtype_note=k == 0) for k, name in enumerate(names)}
    files["batches.meta"] = pickle.dumps({"label_names": [f"thing{k}" for k in range(10)]})
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    server.files["cifar-10-python.tar.gz"] = packed.getvalue()
    sums = [[name, hashlib.md5(data).hexdigest()] for name, data in files.items()]
    monkeypatch.setattr(kind, "url", server.url + "cifar-10-python.tar.gz")
    monkeypatch.setattr(kind, "tgz_md5", hashlib.md5(packed.getvalue()).hexdigest())
    sha256 = hashlib.sha256(packed.getvalue()).hexdigest()
    monkeypatch.setattr(downloads, "CIFAR10_SHA256", sha256)
    monkeypatch.setattr(kind, "train_list", sums[:5])
    monkeypatch.setattr(kind, "test_list", sums[5:6])
    monkeypatch.setattr(kind, "meta", {**kind.meta, "md5": sums[6][1]})


def test_cifar10(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    serve_cifar(server, monkeypatch)
    samples = cifar10(tmp_path, 0)
    assert isinstance(samples.inputs, Tensor)
    assert samples.inputs.shape == (20, 3, 32, 32)
    assert samples.inputs[4, :, 0, 0].tolist() == [10, 11, 12]  # the second batch's first image
    assert samples.targets.tolist() == [0, 1, 2, 3] * 5
    assert samples.classes[9] == "thing9"
    assert samples.test is not None and len(samples.test[1]) == 4
    assert os.listdir(tmp_path) == ["cifar-10-batches-py"]
    asked = len(server.asked)
    cifar10(tmp_path, 0)
    assert len(server.asked) == asked

    (tmp_path / "cifar-10-batches-py" / "data_batch_3").write_bytes(b"")
    assert error_of(cifar10, tmp_path) == (
        f"dataset=cifar10: {tmp_path}/cifar-10-batches-py is damaged or cut short; "
        "delete it and run again, so that it is downloaded anew"
    )


def test_cifar10_offline_and_with_a_wrong_checksum(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve_cifar(server, monkeypatch)
    server.files["cifar-10-python.tar.gz"] += b"x"
    assert "has a wrong checksum (removed)" in error_of(cifar10, tmp_path)
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "url", closed_port() + "x.tar.gz")
    assert "Connection refused" in error_of(cifar10, tmp_path)
    assert os.listdir(tmp_path) == []


def test_cifar10_archive_put_there_by_hand(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve_cifar(server, monkeypatch)
    name = "cifar-10-python.tar.gz"
    (tmp_path / name).write_bytes(server.files[name])
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "url", closed_port() + name)
    assert len(cifar10(tmp_path, 0).targets) == 20
    assert sorted(os.listdir(tmp_path)) == ["cifar-10-batches-py", name]


def test_cifar10_is_not_unpacked_when_its_sha256_is_another(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve_cifar(server, monkeypatch)  # its MD5 is as expected
    monkeypatch.setattr(downloads, "CIFAR10_SHA256", "0" * 64)
    unpacked = []
    monkeypatch.setattr("dlrun.archives._members", lambda *args: unpacked.append(args))
    assert error_of(cifar10, tmp_path) == (
        f"dataset=cifar10: data_batch_1 is not in {tmp_path}/cifar-10-batches-py, and its download "
        "has a wrong checksum (removed); try again later, or type dataset=mnist5k, "
        "which needs no network"
    )
    assert not unpacked
    assert os.listdir(tmp_path) == []


class Planted:
    """A pickle that makes a file when it is loaded."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.file,)


@pytest.fixture
def trap(tmp_path: Path) -> Iterator[Path]:
    """A file that a planted pickle would make: not there when the test is over."""
    file = tmp_path / "was-executed"
    pickle.loads(pickle.dumps(Planted(file)))
    file.unlink()  # raises where the pickle does nothing
    yield file
    assert not file.exists()


@pytest.mark.parametrize(
    "name", [*(f"data_batch_{k}" for k in range(1, 6)), "test_batch", "batches.meta"]
)
def test_a_pickle_planted_as_cifar10_is_not_executed(
    name: str, trap: Path, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve_cifar(server, monkeypatch)
    data_dir = tmp_path / "data"
    cifar10(data_dir, 0)
    (data_dir / "cifar-10-batches-py" / name).write_bytes(pickle.dumps(Planted(trap)))
    assert error_of(cifar10, data_dir) == (
        f"dataset=cifar10: {data_dir}/cifar-10-batches-py is damaged or cut short; "
        "delete it and run again, so that it is downloaded anew"
    )


def test_a_pickle_planted_in_the_old_format_of_mnist_is_not_executed(
    trap: Path, tmp_path: Path
) -> None:
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name, data in tiny_mnist().items():
        (raw / name).write_bytes(data)
    (tmp_path / "MNIST" / "processed").mkdir()
    for name in ("training.pt", "test.pt"):
        torch.save(Planted(trap), tmp_path / "MNIST" / "processed" / name)
    assert "is damaged or cut short" in error_of(mnist, tmp_path)


def serve_california(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    # longitude, latitude, age, rooms, bedrooms, population, households, income, value
    rows = "-122.0,37.5,41,880,132,330,110,8.3,452600\n-121.0,38.0,21,700,100,240,120,7.0,358500\n"
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        member = tarfile.TarInfo("CaliforniaHousing/cal_housing.data")
        member.size = len(rows)
        tar.addfile(member, io.BytesIO(rows.encode()))
    server.files["5976036"] = packed.getvalue()
    monkeypatch.setattr(tabular, "CALIFORNIA_URL", server.url + "5976036")
    sha256 = hashlib.sha256(packed.getvalue()).hexdigest()
    monkeypatch.setattr(tabular, "CALIFORNIA_SHA256", sha256)


def test_california(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    serve_california(server, monkeypatch)
    data_dir = tmp_path / "data"
    samples = california(data_dir, 0)
    assert isinstance(samples.inputs, Tensor)
    row = dict(zip(samples.features, samples.inputs[0].tolist(), strict=True))
    assert row == {
        "MedInc": pytest.approx(8.3),
        "HouseAge": 41,
        "AveRooms": 8,  # 880 / 110
        "AveBedrms": pytest.approx(1.2),  # 132 / 110
        "Population": 330,
        "AveOccup": 3,  # 330 / 110
        "Latitude": 37.5,
        "Longitude": -122,
    }
    assert samples.targets.flatten().tolist() == pytest.approx([4.526, 3.585])
    assert samples.target_name == "median house value in 100,000 USD"
    assert available(data_dir)["california"] == "present"
    assert os.listdir(data_dir) == ["california"]
    assert os.listdir(data_dir / "california") == ["cal_housing.tgz"]
    server.files.clear()
    california(data_dir, 0)  # found there


def test_california_is_what_scikit_learn_makes_of_it(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sklearn.datasets import _california_housing as module
    from sklearn.datasets import fetch_california_housing

    assert module.ARCHIVE.url == tabular.CALIFORNIA_URL
    assert module.ARCHIVE.checksum == tabular.CALIFORNIA_SHA256
    serve_california(server, monkeypatch)
    ours = california(tmp_path, 0)
    archive = module.ARCHIVE._replace(
        url=tabular.CALIFORNIA_URL, checksum=tabular.CALIFORNIA_SHA256
    )
    monkeypatch.setattr(module, "ARCHIVE", archive)
    theirs = fetch_california_housing(data_home=tmp_path / "sklearn")
    assert ours.features == tuple(theirs.feature_names)
    assert isinstance(ours.inputs, Tensor)
    assert torch.equal(ours.inputs, torch.from_numpy(theirs.data).float())
    assert torch.equal(ours.targets.flatten(), torch.from_numpy(theirs.target).float())


def test_california_that_is_not_the_published_file(
    trap: Path, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve_california(server, monkeypatch)
    data_dir = tmp_path / "data"
    california(data_dir, 0)
    kept = data_dir / "california" / "cal_housing.tgz"
    whole = kept.read_bytes()
    planted = pickle.dumps(Planted(trap))
    for content in (b"", whole[:20], whole + b"x", planted):
        kept.write_bytes(content)
        assert error_of(california, data_dir) == (
            f"dataset=california: {kept} is damaged or cut short; "
            "delete it and run again, so that it is downloaded anew"
        )
    kept.write_bytes(whole)
    (data_dir / "california" / "cal_housing_py3.pkz").write_bytes(planted)  # scikit-learn's own
    california(data_dir, 0)

    def refuse(path: Path) -> bytes:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert error_of(california, data_dir) == (
        f"dataset=california: {kept} cannot be read (Permission denied)"
    )


def test_california_offline_and_with_a_wrong_checksum(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve_california(server, monkeypatch)
    server.files["5976036"] += b"x"
    assert error_of(california, tmp_path) == (
        f"dataset=california: cal_housing.tgz is not in {tmp_path}/california, and its "
        "download has a wrong checksum (removed); try again later, or type dataset=diabetes, "
        "which needs no network"
    )
    monkeypatch.setattr(tabular, "CALIFORNIA_URL", closed_port())
    text = error_of(california, tmp_path)
    assert f"its download failed ([Errno {errno.ECONNREFUSED}] Connection refused)" in text
    assert "dataset=diabetes" in text
    assert os.listdir(tmp_path) == []


def test_full_mnist() -> None:
    data_dir = Path(os.environ.get("DLRUN_DATA_DIR", ""))
    if "DLRUN_DATA_DIR" not in os.environ or available(data_dir)["mnist"] != "present":
        pytest.skip("needs the full MNIST: DLRUN_DATA_DIR names no folder with MNIST/raw")
    samples = mnist(data_dir, 0)
    assert isinstance(samples.inputs, Tensor)
    assert samples.inputs.shape == (60_000, 1, 28, 28)
    data = split(samples, seed=0, val_fraction=0.1, test_fraction=None, normalize=True, limit=None)
    assert (len(data.train), len(data.val), len(data.test)) == (54_000, 6_000, 10_000)
    assert data.input_scaling is not None
    assert float(data.input_scaling.mean) == pytest.approx(0.1307, abs=5e-4)
    assert float(data.input_scaling.std) == pytest.approx(0.3081, abs=5e-4)
    share = torch.bincount(data.train.targets) / torch.bincount(samples.targets)
    assert torch.allclose(share, torch.tensor(0.9), atol=2e-4)
