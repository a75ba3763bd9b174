"""Every preset in conf/sweep: what it promises in its head, and a small run of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from conftest import Command

from dlrun.hydra_session import packaged_conf

PRESETS = {file.stem: file.read_text() for file in sorted((packaged_conf() / "sweep").iterdir())}
# What makes each of them small: what is typed takes the place of the preset's own lists.
SMALL = {
    "momentum_vs_adam": ("optim.lr=0.01,0.1", "batch_size=128", "seed=0,1"),
    "learning_rate": ("optim.lr=0.01,0.1", "seed=0,1"),
    "batch_size": ("optim.lr=0.1,0.2", "batch_size=128,256", "seed=0,1"),
    "optimizers": (
        *("optim=sgd,adam", "optim.lr=0.01,0.1"),
        "hydra.sweeper.repeat_best={of_each:optimizer,seeds:'0,1,2'}",
    ),
    "regularization": ("seed=0,1",),
    "activations": ("optim.lr=0.1", "seed=0,1"),
    "tpe": ("n_trials=4",),
}
QUICK = ("debug.max_epochs=1", "debug.max_batches=2", "hydra/launcher=basic", "-q")
JOBS = {
    "momentum_vs_adam": 12,
    "learning_rate": 12,
    "batch_size": 8,
    "optimizers": 8,
    "regularization": 18,
    "activations": 12,
    "tpe": 4,
}


def test_all_are_there() -> None:
    assert set(PRESETS) == set(SMALL) == set(JOBS)


@pytest.mark.parametrize("name", PRESETS)
def test_its_head_says_what_it_asks_and_how_many_jobs_it_has(name: str, dlrun: Command) -> None:
    text = PRESETS[name]
    for word in ("Question: ", "Runs: ", "To see: "):
        assert f"# {word}" in text
    done = dlrun(f"sweep={name}", "dry_run=true")
    assert done.returncode == 0, done.stderr
    told = re.search(r"# Runs: .*?(\d+)(?:[,.]| trials)", text)
    number = {"optimizers": "99", "tpe": "30"}.get(name) or (told and told[1])
    assert number
    assert done.stdout.splitlines()[-1].startswith(f"{number} "), done.stdout
    assert not Path("outputs").exists()


@pytest.mark.parametrize("name", PRESETS)
def test_a_small_run_of_it_ends_with_a_report(name: str, dlrun: Command) -> None:
    done = dlrun(f"sweep={name}", *SMALL[name], *QUICK, "hydra.sweep.dir=sweep")
    assert done.returncode == 0, done.stderr
    assert len(list(Path("sweep").glob("0*/summary.json"))) == JOBS[name]
    assert (Path("sweep") / "report.html").stat().st_size > 10_000
    assert len((Path("sweep") / "results.csv").read_text().splitlines()) == 1 + JOBS[name]
