"""Regression tables: houses and patients, features and targets in their own units."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from urllib.request import urlretrieve

import numpy as np
import torch
from torch import Tensor

from dlrun.archives import WrongHash
from dlrun.datasets.downloads import downloading
from dlrun.datasets.presence import missing_files
from dlrun.datasets.samples import Samples, Transform
from dlrun.errors import UserError, nearest, shown

if TYPE_CHECKING:
    from numpy.typing import NDArray

BOSTON_FEATURES = (
    *("CRIM", "ZN", "INDUS", "CHAS", "NOX", "RM", "AGE"),
    *("DIS", "RAD", "TAX", "PTRATIO", "B", "LSTAT"),
)
DIABETES_FEATURES = (
    *("age", "sex", "body mass index", "blood pressure", "total cholesterol"),
    *("LDL", "HDL", "total/HDL", "log triglycerides", "glucose"),
)
CALIFORNIA_FEATURES = (
    *("MedInc", "HouseAge", "AveRooms", "AveBedrms"),
    *("Population", "AveOccup", "Latitude", "Longitude"),
)
# As scikit-learn has them. Not its fetch_california_housing: that keeps a pickle in data_dir and
# runs whatever it finds there.
CALIFORNIA_URL = "https://ndownloader.figshare.com/files/5976036"
CALIFORNIA_SHA256 = "aaa5c9a6afe2225cc2aed2723682ae403280c4a3695a2ddda4ffb5d8215ea681"


def boston(
    data_dir: Path,
    seed: int,
    *,
    features: list[str] | None = None,
    transform: Transform = "none",
) -> Samples:
    """Boston housing, (506, 13); target: median price of homes in 1,000 USD.

    features: the columns to keep, in that order; None: all. transform: what becomes of the inputs,
    x/10 or the natural logarithm.
    Its column B encodes the share of Black residents on the assumption that segregation raises
    prices: use it to repeat older work, not to learn about houses.
    Source: Harrison and Rubinfeld 1978; the file comes with the package mlxtend.
    """
    with files("mlxtend").joinpath("data/data/boston_housing.csv").open("rb") as file:
        table = np.loadtxt(file, delimiter=",")
    samples = _samples(table[:, :13], table[:, 13], BOSTON_FEATURES, "median price in 1,000 USD")
    return _transformed(_only(samples, features), transform)


def diabetes(data_dir: Path, seed: int, *, features: list[str] | None = None) -> Samples:
    """Diabetes patients, (442, 10) in raw units; target: progression of the disease in a year.

    features: the columns to keep, in that order; None: all.
    Source: Efron et al. 2004, as scikit-learn packages it.
    """
    from sklearn.datasets import load_diabetes

    inputs, targets = load_diabetes(return_X_y=True, scaled=False)
    return _only(_samples(inputs, targets, DIABETES_FEATURES, "disease progression"), features)


def california(data_dir: Path, seed: int, *, features: list[str] | None = None) -> Samples:
    """California housing, (20640, 8); target: median house value of a block in 100,000 USD.

    features: the columns to keep, in that order; None: all.
    Downloaded once to `data_dir/california`. Raises UserError when that fails or the file is not
    the published one.
    Source: Pace and Barry 1997.
    """
    archive = data_dir / "california" / "cal_housing.tgz"
    if missing_files("california", data_dir):
        with downloading("california", data_dir):
            _download_california(archive)
    try:
        packed = archive.read_bytes()
    except OSError as error:
        raise UserError(
            f"dataset=california: {archive} cannot be read ({error.strerror})"
        ) from error
    if hashlib.sha256(packed).hexdigest() != CALIFORNIA_SHA256:
        raise UserError(
            f"dataset=california: {archive} is damaged or cut short; "
            "delete it and run again, so that it is downloaded anew"
        )
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        rows = tar.extractfile("CaliforniaHousing/cal_housing.data")
        assert rows is not None  # the hash says that it is a file
        table = np.loadtxt(rows, delimiter=",")
    longitude, latitude, age, rooms, bedrooms, population, households, income, value = table.T
    inputs = (
        *(income, age, rooms / households, bedrooms / households),
        *(population, population / households, latitude, longitude),
    )
    samples = _samples(
        np.stack(inputs, axis=1),  # (N, 8)
        value / 100_000,
        CALIFORNIA_FEATURES,
        "median house value in 100,000 USD",
    )
    return _only(samples, features)


def _download_california(archive: Path) -> None:
    """Downloads into a scratch folder first, so that an interrupted one leaves nothing behind."""
    data_dir = archive.parent.parent
    data_dir.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".download-", dir=data_dir) as scratch:
        part = Path(scratch) / archive.name
        urlretrieve(CALIFORNIA_URL, part)
        if (found := hashlib.sha256(part.read_bytes()).hexdigest()) != CALIFORNIA_SHA256:
            raise WrongHash(f"{part}: SHA-256 is {found}, expected {CALIFORNIA_SHA256}")
        archive.parent.mkdir(exist_ok=True)
        os.replace(part, archive)


def _samples(
    inputs: NDArray[Any], targets: NDArray[Any], features: tuple[str, ...], target_name: str
) -> Samples:
    return Samples(
        inputs=torch.from_numpy(inputs).float(),
        targets=torch.from_numpy(targets).float().unsqueeze(1),  # (N, 1)
        task="regression",
        features=features,
        target_name=target_name,
    )


def _only(samples: Samples, kept: list[str] | None) -> Samples:
    """The samples with the columns named, in that order; None: with all."""
    if kept is None:
        return samples
    typed = f"dataset.features=[{shown(','.join(kept))}]"
    for name in kept:
        if name not in samples.features:
            hint = nearest(name, samples.features) or f"; there are {', '.join(samples.features)}"
            raise UserError(f"{typed}: no column '{shown(name)}'{hint}")
    if not kept or len(set(kept)) < len(kept):
        raise UserError(
            f"{typed}: expected columns, each once, or null for all "
            f"(for example dataset.features=[{samples.features[-1]}])"
        )
    columns = torch.tensor([samples.features.index(name) for name in kept])
    assert isinstance(samples.inputs, torch.Tensor)
    return replace(samples, inputs=samples.inputs[:, columns], features=tuple(kept))


def transformed(values: Tensor, transform: Transform) -> Tensor:
    """The values x, x/10 or log x, of the same shape.

    >>> transformed(torch.tensor([5.0, 20.0]), "tenth")
    tensor([0.5000, 2.0000])
    """
    if transform == "tenth":
        return values / 10
    return values.log() if transform == "log" else values


def untransformed(values: Tensor, transform: Transform) -> Tensor:
    """The values before `dataset.transform` made x / 10 or log x of them.

    >>> untransformed(torch.tensor([2.0]), "tenth")
    tensor([20.])
    """
    if transform == "tenth":
        return values * 10
    return values.exp() if transform == "log" else values


def _transformed(samples: Samples, transform: Transform) -> Samples:
    """The samples with inputs x, x/10 or log x, and the columns named so."""
    inputs, names = samples.inputs, samples.features
    assert isinstance(inputs, Tensor)
    if transform == "none":
        return samples
    if transform == "log":
        positive = [name for k, name in enumerate(names) if inputs[:, k].min() > 0]
        if len(positive) < len(names):
            wrong = next(name for name in names if name not in positive)
            least = float(inputs[:, names.index(wrong)].min())
            raise UserError(
                f"dataset.transform=log: the column {wrong} holds {least:g}, expected numbers > 0 "
                f"(for example dataset.features=[{','.join(positive[-1:]) or 'LSTAT'}])"
            )
    return replace(
        samples,
        inputs=transformed(inputs, transform),
        features=tuple(f"{name}/10" if transform == "tenth" else f"log {name}" for name in names),
        columns=names,
        transform=transform,
    )
