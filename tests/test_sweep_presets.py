"""Every preset in conf/sweep: what it promises in its head, and a small run of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from conftest import Command
from test_choices import prepare_files

from dlrun.experiments import LESSONS, head_of
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
    "boston_baselines": ("seed=0,1,2", "figures=false"),
    "overfitting_cures": ("seed=0", "figures=false", "hydra/launcher=basic"),
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
    "boston_baselines": 3,
    "overfitting_cures": 7,
}


def test_all_are_there() -> None:
    assert len(PRESETS) >= 30
    assert set(SMALL) == set(JOBS) < set(PRESETS)


@pytest.mark.parametrize("name", PRESETS)
def test_its_head_says_what_it_asks_and_how_many_jobs_it_has(name: str, dlrun: Command) -> None:
    head = head_of(PRESETS[name])
    assert {"Lesson", "Question", "Runs", "To see", "Time", "Data"} <= set(head)
    assert head["Lesson"] in LESSONS
    Path("outputs/runs/digits_0_to_4/checkpoints").mkdir(parents=True)
    Path("outputs/runs/digits_0_to_4/checkpoints/best.pt").touch()
    done = dlrun(f"sweep={name}", "dry_run=true")
    assert done.returncode == 0, done.stderr
    told = re.search(r".*?(\d+)(?:[,.]| trials)", head["Runs"])
    number = {"optimizers": "99", "tpe": "30"}.get(name) or (told and told[1])
    assert number
    assert done.stdout.splitlines()[-1].startswith(f"{number} "), done.stdout
    assert not Path("outputs/sweeps").exists()


@pytest.mark.parametrize("name", PRESETS)
def test_a_small_run_of_it_ends_with_a_report(
    name: str, dlrun: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = {"DLRUN_DATA_DIR": str(tmp_path / "data")}
    if head_of(PRESETS[name])["Data"] != "embedded":
        prepare_files(head_of(PRESETS[name])["Data"], tmp_path / "data", tmp_path, monkeypatch)
    if name == "transfer":
        before = ("experiment=digits_0_to_4", "debug=fast_dev_run", "figures=false", "-q")
        assert dlrun(*before, **data).returncode == 0
    small = SMALL.get(name, ("seed=0", "figures=false"))
    done = dlrun(f"sweep={name}", *small, *QUICK, "hydra.sweep.dir=sweep", **data)
    assert done.returncode == 0, done.stderr
    num_jobs = len(list(Path("sweep").glob("0*/summary.json")))
    assert num_jobs == JOBS.get(name, num_jobs) > 2
    assert (Path("sweep") / "report.html").stat().st_size > 10_000
    assert len((Path("sweep") / "results.csv").read_text().splitlines()) == 1 + num_jobs
