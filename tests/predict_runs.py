"""Small trained runs that the tests of predictions share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import dlrun

QUIET = ("quiet=true", "figures=false", "device=cpu")
COLOURS = """\
size,colour,code,price
1.5,red,1,10
2.5,blue,0,20
,red,1,12
4.5,green,0,41
5.5,blue,1,52
6.0,green,,61
7.5,red,0,70
8.5,blue,1,83
"""
OWN_TABLE = ("dataset=csv", "dataset.path=colours.csv", "dataset.test_fraction=0")
CATEGORIES = "dataset.categorical=[colour,code]"
RUNS = {
    "boston": ("dataset=boston", "model=mlp", "epochs=2"),
    "log": ("dataset=boston", "dataset.features=[LSTAT,RM]", "dataset.transform=log", "epochs=1"),
    "digits": ("dataset=mnist5k", "model=mlp", "dataset.limit=1000", "epochs=2"),
    "moons": ("dataset=moons", "epochs=1"),
    "hinge": ("dataset=moons", "loss=hinge", "epochs=1"),
    "codes": ("dataset=digits", "model=pca", "model.latent_dim=2", "dataset.limit=200", "epochs=1"),
    "colours": (*OWN_TABLE, CATEGORIES, "dataset.missing=mean", "epochs=1"),
    "surface": ("dataset=surface", "model=point", "epochs=1"),
}

Trained = Callable[[str], Path]


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """`trained("boston")`: the directory of that run, trained when it is first asked for."""
    folder = tmp_path_factory.mktemp("runs")
    (folder / "colours.csv").write_text(COLOURS)

    def run(name: str) -> Path:
        if not (folder / name).exists():
            with pytest.MonkeyPatch.context() as patch:
                patch.chdir(folder)
                dlrun.run(*RUNS[name], *QUIET, **{"hydra.run.dir": name})
        return folder / name

    return run
