"""Every choice of every group, found by walking conf/: composes, builds and trains."""

from __future__ import annotations

import hashlib
import io
import struct
import tarfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dlrun import run
from dlrun.hydra_session import packaged_conf
from dlrun.schema import GROUPS

CHOICES = [
    (group, file.stem) for group in GROUPS for file in sorted((packaged_conf() / group).glob("*"))
]
# Together with the choice itself these make the quickest run in which it does its work.
DEFAULTS = {"dataset": "digits", "model": "mlp"}
DIRECT = ("random_search", "evolution", "cma_es", "nelder_mead", "simulated_annealing")
QUICK = {
    "model=mlp": ["model.hidden=[8]"],
    "model=deep_mlp": ["model.width=8"],
    "model=autoencoder": ["model.hidden=[8]"],
    "model=conv_autoencoder": ["model.channels=[4]"],
    "model=pca": ["model.latent_dim=4"],
    "model=point": ["dataset=surface"],
    "model=torchvision": ["model.name=squeezenet1_1", "dataset.limit=60", "model.image_size=32"],
    "dataset=csv": ["dataset.path=table.csv"],
    "dataset=image_folder": ["dataset.path=photos"],
    "dataset=surface": ["model=point"],
    "loss=bce": ["dataset=moons"],
    **{f"loss={name}": ["dataset=diabetes"] for name in ("mse", "mae", "huber")},
    **{f"optimizer={name}": ["dataset=moons"] for name in DIRECT},
    "regularization=augment": ["model=cnn", "model.channels=[4]", "model.dense=[8]"],
    "device=auto": ["device.threads=1"],
    "debug=overfit": ["epochs=2"],
}
EXPECTED_CHOICES = {  # the list that dlrun promises: no file may go missing unnoticed
    "model": "linear mlp deep_mlp cnn torchvision autoencoder conv_autoencoder pca point",
    "optimizer": "gd sgd momentum nesterov adagrad adadelta rmsprop adam adamw nadam adabelief "
    "lion lbfgs random_search evolution cma_es nelder_mead simulated_annealing",
    "dataset": "mnist5k digits mnist fashion_mnist kmnist cifar10 moons circles blobs linear2d "
    "xor spirals boston diabetes california notmnist csv image_folder surface",
    "regularization": "none dropout l1 l2 elastic_net label_smoothing batch_norm early_stopping "
    "augment grad_clip",
    "device": "auto cpu cuda mps",
    "loss": "auto cross_entropy nll bce hinge mse mae huber",
    "scheduler": "constant step cosine one_cycle linear_warmup plateau",
    "diagnostics": "none gradients",
    "stopping": "epochs steps time target min_update min_grad_norm divergence",
    "debug": "none fast_dev_run overfit limit profiler",
}


def test_every_choice_is_found() -> None:
    found = {group: {name for g, name in CHOICES if g == group} for group in GROUPS}
    assert found == {group: set(names.split()) for group, names in EXPECTED_CHOICES.items()}


@pytest.mark.parametrize(("group", "name"), CHOICES, ids=lambda value: value)
def test_choice_trains(
    group: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if group == "device" and name in ("cuda", "mps"):
        import torch

        present = torch.cuda.is_available() if name == "cuda" else torch.backends.mps.is_available()
        if not present:
            pytest.skip(f"this machine has no {name} (test_bad_input checks what a user is told)")
    data_dir = tmp_path / "data"
    if group == "dataset":
        prepare_files(name, data_dir, tmp_path, monkeypatch)
    words = [f"{key}={value}" for key, value in DEFAULTS.items() if key != group]
    words += [f"{group}={name}", *QUICK.get(f"{group}={name}", [])]
    if group != "model":
        words += [] if any(w.startswith("model=") for w in words[2:]) else ["model.hidden=[8]"]
    settings = {} if (group, name) == ("debug", "overfit") else {"epochs": 1}
    result = run(*words, data_dir=str(data_dir), figures=False, quiet=True, **settings)
    assert result.status == "completed"
    assert len(result.lines) >= 2
    assert result.metrics["loss/test"] is not None
    assert (result.run_dir / "checkpoints" / "best.pt").exists()
    if (group, name) == ("debug", "profiler"):
        assert (result.run_dir / "profile" / "dlrun.pt.trace.json").stat().st_size > 1000


def prepare_files(name: str, data_dir: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small files of our own where the data set would be downloaded or is the user's."""
    idx = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST", "kmnist": "KMNIST"}
    if name in idx:
        write_idx(data_dir / idx[name] / "raw")
    elif name == "cifar10":
        write_cifar10(data_dir / "cifar-10-batches-py", monkeypatch)
    elif name == "california":
        write_california(data_dir / "california", monkeypatch)
    elif name == "notmnist":
        write_images(data_dir / "notMNIST_small", ("A", "B", "C"))
    elif name == "csv":
        rows = "".join(f"{i},{i % 7},{i * 0.37:.2f}\n" for i in range(60))
        (folder / "table.csv").write_text("a,b,price\n" + rows)
    elif name == "image_folder":
        write_images(folder / "photos", ("cats", "dogs"))


def write_images(folder: Path, labels: Sequence[str]) -> None:
    for k, label in enumerate(labels):
        (folder / label).mkdir(parents=True)
        for index in range(12):
            Image.new("L", (9, 7), index + 100 * k).save(folder / label / f"{index}.png")


def write_idx(folder: Path) -> None:
    folder.mkdir(parents=True)
    for part, count in (("train", 60), ("t10k", 20)):
        images = np.random.default_rng(0).integers(0, 255, (count, 28, 28), dtype=np.uint8)
        labels = (np.arange(count) % 10).astype(np.uint8)
        header = struct.pack(">IIII", 0x803, count, 28, 28)
        (folder / f"{part}-images-idx3-ubyte").write_bytes(header + images.tobytes())
        header = struct.pack(">II", 0x801, count)
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(header + labels.tobytes())


def write_cifar10(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import hashlib
    import pickle

    from torchvision.datasets import CIFAR10

    folder.mkdir(parents=True)
    sums = {}
    for file in [f"data_batch_{k}" for k in range(1, 6)] + ["test_batch"]:
        pixels = np.random.default_rng(0).integers(0, 255, (20, 3072), dtype=np.uint8)
        content = pickle.dumps({"data": pixels, "labels": [i % 10 for i in range(20)]})
        (folder / file).write_bytes(content)
        sums[file] = hashlib.md5(content).hexdigest()
    names = [
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    ]
    meta = pickle.dumps({"label_names": names})
    (folder / "batches.meta").write_bytes(meta)
    train = [[file, sums[file]] for file in sums if file != "test_batch"]
    monkeypatch.setattr(CIFAR10, "train_list", train)
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", sums["test_batch"]]])
    entry = {**CIFAR10.meta, "md5": hashlib.md5(meta).hexdigest()}
    monkeypatch.setattr(CIFAR10, "meta", entry)


def write_california(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dlrun.datasets import tabular

    folder.mkdir(parents=True)
    rows = io.BytesIO()
    np.savetxt(rows, np.random.default_rng(0).random((80, 9)) + 1, delimiter=",")
    member = tarfile.TarInfo("CaliforniaHousing/cal_housing.data")
    member.size = rows.tell()
    rows.seek(0)
    archive = folder / "cal_housing.tgz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.addfile(member, rows)
    sha256 = hashlib.sha256(archive.read_bytes()).hexdigest()
    monkeypatch.setattr(tabular, "CALIFORNIA_SHA256", sha256)
