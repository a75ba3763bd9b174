"""Bad sweeps on the command line: exit code 2, short, all faults at once, nothing left on disk."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Command

from dlrun.cli import command_line

BAD: dict[str, tuple[str, ...]] = {
    # words behind `dlrun -m`: what the message must hold, …
    "search=foo seed=0,1": ("search=foo", "grid, random, tpe, cmaes"),
    "search=rnadom seed=0,1": ("did you mean random?",),
    "pruner=median seed=0,1": ("pruner=median", "type search=tpe as well"),
    "pruner=hyperband search=tpe seed=0,1": ("pruner=hyperband", "none, median, halving"),
    "direction=minimise seed=0,1": ("direction=minimise", "did you mean minimize?"),
    "metric=accuracy/test seed=0,1": ("metric=accuracy/test", "for example metric=accuracy/val"),
    "metric=nonsense dataset=moons epochs=0 seed=0,1": ("metric=nonsense", "accuracy/val"),
    "metric=acuracy/val dataset=moons epochs=0 seed=0,1": ("did you mean accuracy/val?",),
    "metric=r2/val dataset=moons epochs=0 seed=0,1": ("metric=r2/val", "no such metric"),
    "metric=nonsense search=random optim.lr=interval(0.1,1) dataset=moons": ("metric=nonsense",),
    "metric=loss/val dataset=moons dataset.val_fraction=0 seed=0,1": ("loss/val", "loss/train"),
    "monitor=nonsense dataset=moons epochs=0 seed=0,1": ("monitor=nonsense", "accuracy/val"),
    "n_trials=0 search=random optim.lr=0.1,1": ("n_trials=0", "whole number >= 1"),
    "n_trials=three search=random optim.lr=0.1,1": ("n_trials=three", "a whole number"),
    "n_trials=1,2 search=random optim.lr=0.1,1": ("n_trials=1,2",),
    "dry_run=maybe seed=0,1": ("dry_run=maybe", "true or false"),
    "search=tpe optim.lr=0.1": ("nothing to search in", "interval"),
    "search=tpe seed=range(3)": ("nothing to search in",),
    "search=tpe optim.lr=interval(1,0.1)": ("optimizer.lr=interval(1,0.1)", "LOW below HIGH"),
    "search=tpe optim.lr=interval(-1,1)": ("optimizer.lr=-1", ">= 0"),
    "search=tpe optim.lr=interval(0,inf)": ("optimizer.lr=interval(0,inf)",),
    "optim.lr=interval(0.1,1)": ("an interval is for a search", "search=tpe"),
    "hydra/sweeper=basic seed=0,1": ("hydra/sweeper=basic", "hydra/sweeper=dlrun"),
    "hydra/sweeper=optuna seed=0,1": ("hydra/sweeper=optuna", "dlrun"),
    "hydra/launcher=joblib seed=0,1": ("hydra/launcher=joblib", "local"),
    "hydra/launcher=locale seed=0,1": ("hydra/launcher=locale", "did you mean local?"),
    "hydra/launcher=local hydra.launcher.workers=0 seed=0,1": (
        "hydra.launcher.workers=0",
        "a whole number from 1 to 1024",
    ),
    "hydra/launcher=local hydra.launcher.threads=9999 seed=0,1": ("hydra.launcher.threads=9999",),
    "hydra/launcher=local hydra.launcher.workers=two seed=0,1": ("hydra.launcher.workers=two",),
    "hydra/launcher=local hydra.launcher.worker=2 seed=0,1": (
        "hydra.launcher.worker: no such key",
    ),
    "hydra.launcher.workers=2 seed=0,1": ("hydra.launcher.workers: no such key",),
    "+hydra.launcher._target_=os.system seed=0,1": ("hydra.launcher._target_",),
    "hydra.launcher._target_=os.system seed=0,1": ("os.system", "--trust"),
    "hydra.sweeper.foo=3 seed=0,1": ("hydra.sweeper.foo", "no such key"),
    "+hydra.sweeper.foo=3 seed=0,1": ("hydra.sweeper.foo", "no such key", "params"),
    "+hydra.sweeper.serach=tpe seed=0,1": ("did you mean search?",),
    "hydra.sweeper.cases=[3,4]": ("hydra.sweeper.cases", "[{optimizer:adam}]"),
    "hydra.sweeper.cases=adam": ("hydra.sweeper.cases=adam", "list"),
    "hydra.sweeper.params=3": ("hydra.sweeper.params", "mapping"),
    "hydra.sweeper.zipped=[{seed:[0,1],epochs:[1]}]": ("zipped", "one length", "seed has 2"),
    "hydra.sweeper.zipped=[{seed:[0,1]}] +hydra.sweeper.params={seed:[2]}": (
        "seed is swept twice",
    ),
    "+hydra.sweeper.params={optim.lr:[1],optimizer.lr:[2]}": ("optimizer.lr is swept twice",),
    "hydra.sweep.subdir=same seed=0,1": ("hydra.sweep.subdir=same", "the same for several jobs"),
    "hydra.sweep.subdir=../../up seed=0,1": ("hydra.sweep.subdir=../../up", "one folder"),
    "hydra.sweep.subdir=a/${hydra.job.num} seed=0,1": ("hydra.sweep.subdir=a/0",),
    "hydra.sweep.subdir=.. seed=0": ("hydra.sweep.subdir=..", "one folder"),
    "hydra.sweep.subdir='' seed=0": ("hydra.sweep.subdir=", "one folder"),
    "hydra.sweep.subdir=${nope} seed=0,1": ("hydra.sweep.subdir", "nope"),
    "hydra.sweep.dir=a,b seed=0,1": ("hydra.sweep.dir=a,b",),
    "hydra.sweep.dir=/proc/nothing seed=0,1 dataset=moons": ("hydra.sweep.dir", "cannot be made"),
    "sweep=momentum_vs_adm": ("sweep=momentum_vs_adm", "did you mean momentum_vs_adam?"),
    "seed=range(3,0)": ("seed=range(3,0): no values to sweep over",),
    "seed=range(0,3,0)": ("seed=range(0,3,0): ",),
    "seed=range(1000000000)": ("expected at most 100,000",),
    "model=glob(zzz*)": ("model=glob(zzz*): no values to sweep over",),
    "optim.lr=0.1,": ("optimizer.lr=0.1,: ",),
    "optim.lr=[0.1 seed=0,1": ("lr=[0.1",),
    "optim=sgd,adma": ("job 1: optimizer=adma", "did you mean adam?", "1 of 2 jobs cannot run"),
    "optim.lr=0.1,fast": ("job 1: optimizer.lr=fast: expected a number",),
    "optmizer=sgd,adam": ("optmizer", "did you mean optimizer?"),
    "lr=0.1,0.2": ("lr: no such key", "did you mean optimizer.lr?"),
    "model=linear,mlp regularization=dropout": ("model=linear does not use it", "1 of 2"),
    "batch_size=0,32": ("job 0: batch_size=0", "1 of 2 jobs cannot run"),
    "seed=-1,-2": ("job 0: seed=-1", "job 1: seed=-2", "2 of 2 jobs cannot run"),
    "data_dir=${nope},x": ("nope",),
    "dataset=mnist,moons data_dir=/nowhere": ("dataset=mnist",),
    "dataset=csv dataset.path=absent.csv seed=0,1": ("dataset.path=absent.csv",),
    "seed=0,1 data_dir='x\udcffy'": ("expected text in UTF-8",),
}


def assert_nothing_was_made(capsys: pytest.CaptureFixture[str], *fragments: str) -> None:
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith("error: ")
    assert 1 <= len(output.err.strip().splitlines()) <= 3, output.err
    assert "Traceback" not in output.err
    for fragment in fragments:
        assert fragment in output.err, output.err


@pytest.mark.parametrize("words", BAD, ids=ascii)
def test_bad_sweeps(words: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert command_line(["-m", *words.split(" ")]) == 2, capsys.readouterr()
    assert_nothing_was_made(capsys, *BAD[words])
    assert list(tmp_path.iterdir()) == []


PRESET = "# @package _global_\nhydra:\n  mode: MULTIRUN\n  sweeper:\n"

BAD_PRESETS: dict[str, tuple[str, tuple[str, ...]]] = {
    "params that are a list": ("    params: [1, 2]\n", ("hydra.sweeper.params",)),
    "cases that are a mapping": ("    cases: {optimizer: adam}\n", ("mine.yaml",)),
    "cases of texts": ("    cases: [adam, sgd]\n", ("hydra.sweeper.cases", "list of mappings")),
    "an unknown key": ("    parms: {seed: '0,1'}\n", ("parms",)),
    "a wrong kind": ("    n_trials: many\n", ("n_trials", "a whole number")),
    "no grammar": ("    params: {seed: 'range(1'}\n", ("seed=range(1",)),
    "no values": ("    params: {seed: []}\n", ("seed=[]: no values",)),
    "a key that no config has": ("    params: {lr: '0.1,1'}\n", ("lr: no such key",)),
    "a choice that is not there": ("    params: {optim: 'adam,adma'}\n", ("job 1", "adma")),
    "a key twice": (
        "    params: {optim.lr: 1, optim: {lr: 2}}\n",
        ("optimizer.lr is swept twice",),
    ),
    "a reference to nothing": ("    params: {seed: '${nope}'}\n", ("nope",)),
    "no yaml": ("    params: {seed: [\n", ("mine.yaml", "line")),
    "a sweeper of hydra": (
        "    _target_: hydra._internal.core_plugins.basic_sweeper.BasicSweeper\n",
        ("hydra.sweeper",),
    ),
}


@pytest.mark.parametrize("name", BAD_PRESETS)
def test_bad_presets(name: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    text, fragments = BAD_PRESETS[name]
    (tmp_path / "conf" / "sweep").mkdir(parents=True)
    (tmp_path / "conf" / "sweep" / "mine.yaml").write_text(PRESET + text)
    assert command_line(["sweep=mine"]) == 2, capsys.readouterr()
    assert_nothing_was_made(capsys, *fragments)
    assert [path.name for path in tmp_path.iterdir()] == ["conf"]


def test_as_a_user_sees_it(dlrun: Command, tmp_path: Path) -> None:
    done = dlrun("-m", "optim=sgd,adam", "optim.momentum=0,0.9", "batch_size=0,32")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        "error: jobs 0, 1, 2, 3: optimizer.momentum: no such key; there are lr",
        "       jobs 0, 2, 4, 6: batch_size=0: expected a whole number >= 1 or full "
        "(for example batch_size=64)",
        "       jobs 4, 5, 6, 7: optimizer.momentum: no such key; there are lr, betas, eps, "
        "amsgrad",
        "       nothing was started: 8 of 8 jobs cannot run",
    ]
    assert list(tmp_path.iterdir()) == []


def _taken(folder: Path) -> str:
    (folder / "taken").mkdir()
    (folder / "taken" / "thesis.txt").write_text("do not lose me")
    return "taken"


def _file(folder: Path) -> str:
    (folder / "thesis.txt").write_text("do not lose me")
    return "thesis.txt"


@pytest.mark.parametrize("prepare", [_taken, _file])
def test_a_place_that_is_taken(
    prepare: Callable[[Path], str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    place = prepare(tmp_path)
    words = ["seed=0,1", "dataset=moons", "epochs=0", f"hydra.sweep.dir={place}"]
    assert command_line(["-m", *words]) == 2
    assert_nothing_was_made(capsys, f"hydra.sweep.dir={place}: exists and is not empty")
    (thesis,) = tmp_path.rglob("*.txt")
    assert thesis.read_text() == "do not lose me"
    assert len(list(tmp_path.rglob("*"))) == (2 if place == "taken" else 1)


@pytest.mark.parametrize(
    ("words", "fragments"),
    [
        ("resume nowhere", ("nowhere", "no such directory")),
        ("resume nowhere --retry-failed", ("nowhere", "no such directory")),
        ("resume empty --retry-failed", ("--retry-failed: is for sweeps", "empty is none")),
        ("resume empty", ("empty", "is no run")),
        ("seed=0,1", ("needs -m",)),
        ("search=tpe optim.lr='interval(0,1)'", ("-m",)),
    ],
)
def test_bad_words_about_sweeps(
    words: str, fragments: tuple[str, ...], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    assert command_line(shlex.split(words)) == 2
    assert_nothing_was_made(capsys, *fragments)
    assert [path.name for path in tmp_path.rglob("*")] == ["empty"]
