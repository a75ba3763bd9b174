"""Which data sets lie where, without network and without a heavy import."""

from __future__ import annotations

from pathlib import Path

EMBEDDED = (
    *("mnist5k", "digits", "moons", "circles", "blobs", "linear2d", "xor", "spirals"),
    *("boston", "diabetes", "surface"),
)

_IDX_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
_CIFAR_FILES = (*(f"data_batch_{k}" for k in range(1, 6)), "test_batch", "batches.meta")

# name: folder below data_dir, and the files in it that a run reads
DOWNLOADED: dict[str, tuple[str, tuple[str, ...]]] = {
    "mnist": ("MNIST/raw", _IDX_FILES),
    "fashion_mnist": ("FashionMNIST/raw", _IDX_FILES),
    "kmnist": ("KMNIST/raw", _IDX_FILES),
    "cifar10": ("cifar-10-batches-py", _CIFAR_FILES),
    "california": ("california", ("cal_housing.tgz",)),
    "notmnist": (".", ("notMNIST_small.tar.gz",)),
}
# A folder below data_dir that serves as well as those files
UNPACKED = {"notmnist": "notMNIST_small"}


def missing_files(name: str, data_dir: Path) -> list[Path]:
    """The files of a downloaded data set that are not below `data_dir`, where a run needs them."""
    if name in UNPACKED and (data_dir / UNPACKED[name]).is_dir():
        return []
    folder, files = DOWNLOADED[name]
    return [data_dir / folder / file for file in files if not (data_dir / folder / file).is_file()]


def available(data_dir: Path) -> dict[str, str]:
    """`embedded`, `present` or `needs download: FOLDER` for every packaged data set.

    >>> available(Path("/nowhere"))["mnist"]
    'needs download: /nowhere/MNIST/raw'
    """
    found = dict.fromkeys(EMBEDDED, "embedded")
    for name, (folder, _) in DOWNLOADED.items():
        absent = missing_files(name, data_dir)
        found[name] = f"needs download: {data_dir / folder}" if absent else "present"
    return found
