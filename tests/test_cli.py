"""The command line: help, flags, aliases, sweeps, the user's own package."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Command, only_run

from dlrun.hydra_session import packaged_conf
from dlrun.schema import GROUPS

QUICK = ("dataset=digits", "epochs=1", "figures=false", "-q")


def test_help_shows_groups_choices_and_examples_without_torch(tmp_path: Path) -> None:
    code = (
        "import sys; from dlrun.cli import command_line; code = command_line(['--help']);"
        "heavy = {'torch', 'torchvision', 'numpy', 'pandas', 'tensorboard'} & set(sys.modules);"
        "sys.exit(code or (f'imports {heavy}' if heavy else 0))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for group in GROUPS:
        choices = sorted(file.stem for file in (packaged_conf() / group).glob("*.yaml"))
        shown = " ".join(done.stdout.split())
        assert f" {group} {', '.join(choices)}" in shown
    assert "dlrun model=mlp optim=adam" in done.stdout


def test_hydra_flags(dlrun: Command) -> None:
    assert "lr: 0.5" in dlrun("--cfg", "job", "optim.lr=0.5").stdout
    assert "hidden:" in dlrun("--cfg", "job", "-p", "model").stdout
    assert "Hydra" in dlrun("--hydra-help").stdout
    assert "dlrun_schema" in dlrun("--info", "defaults").stdout
    assert dlrun("--version").stdout.startswith("dlrun ")
    elsewhere = dlrun("--config-path", str(packaged_conf()), "--cfg", "job", "-p", "optimizer.lr")
    assert elsewhere.stdout.strip() == "0.001"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("dlrun optim=ada", {"optim=adam", "optim=adamw", "optim=adagrad"}),
        ("dlrun model=m", {"model=mlp"}),
        ("dlrun optim.l", {"optim.lr="}),
    ],
)
def test_completion(line: str, expected: set[str], dlrun: Command) -> None:
    done = dlrun("-sc", "query=bash", COMP_LINE=line, COMP_POINT=str(len(line)))
    assert done.returncode == 0, done.stderr
    assert expected <= set(done.stdout.split())


def test_completion_imports_no_torch() -> None:
    code = (
        "import os, sys; os.environ.update(COMP_LINE='dlrun optim=', COMP_POINT='12');"
        "from dlrun.cli import command_line; command_line(['-sc', 'query=bash']);"
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_optim_is_optimizer_and_train_the_verb(dlrun: Command, tmp_path: Path) -> None:
    done = dlrun("train", "optim=momentum", "optim.lr=0.05", *QUICK)
    assert done.returncode == 0, done.stderr
    summary = json.loads((only_run(tmp_path) / "summary.json").read_text())
    assert summary["hparams"]["optimizer"] == "momentum"
    assert summary["hparams"]["lr"] == 0.05
    assert "optimizer=momentum" in summary["overrides"]


def test_multirun_runs_every_combination_in_order(dlrun: Command, tmp_path: Path) -> None:
    done = dlrun("-m", "optim=momentum,adam", "optim.lr=0.01,0.001", "batch_size=32,128", *QUICK)
    assert done.returncode == 0, done.stderr
    runs = sorted(file.parent for file in tmp_path.rglob("summary.json"))
    assert [path.name[:4] for path in runs] == [f"{k:04d}" for k in range(8)]
    hparams = [json.loads((path / "summary.json").read_text())["hparams"] for path in runs]
    tried = [(h["optimizer"], h["lr"], h["batch_size"]) for h in hparams]
    assert tried == [
        (optimizer, lr, batch_size)
        for optimizer in ("momentum", "adam")
        for lr in (0.01, 0.001)
        for batch_size in (32, 128)
    ]
    assert done.stdout == ""  # -q


def test_a_sweep_ends_with_where_it_lies(dlrun: Command, tmp_path: Path) -> None:
    done = dlrun("-m", "seed=0,1", "dataset=moons", "epochs=0", "figures=false")
    assert done.returncode == 0, done.stderr
    (last,) = [line for line in done.stdout.splitlines() if line.startswith("2 jobs in ")]
    folder = tmp_path / last.removeprefix("2 jobs in ")
    assert len(list(folder.glob("*/summary.json"))) == 2


def test_a_sweep_over_combinations_of_regularization(dlrun: Command, tmp_path: Path) -> None:
    done = dlrun("-m", "regularization=none,dropout,[dropout,l1]", *QUICK)
    assert done.returncode == 0, done.stderr
    summaries = [json.loads(file.read_text()) for file in tmp_path.rglob("summary.json")]
    chosen = {summary["hparams"]["regularization"] for summary in summaries}
    assert chosen == {"none", "dropout", "dropout+l1"}


MYNET = """
from torch import nn

class MyNet(nn.Module):
    def __init__(self, in_shape, out_features, *, width: int = 8):
        super().__init__()
        size = 1
        for n in in_shape:
            size *= n
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(size, width), nn.Tanh())
        self.head = nn.Linear(width, out_features)

    def forward(self, x):
        return self.head(self.body(x))
"""

MYDATA = """
import torch
from dlrun.datasets import Samples

def ring(data_dir, seed, *, n: int = 100):
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 2, generator=g)
    return Samples(inputs=x, targets=(x.norm(dim=1) > 1).long(), task="binary")
"""


def test_a_package_of_ones_own(dlrun: Command, tmp_path: Path) -> None:
    (tmp_path / "mynet.py").write_text(MYNET)
    (tmp_path / "mydata.py").write_text(MYDATA)
    for name, text in {
        "model/mynet": "_target_: mynet.MyNet\n_partial_: true\nwidth: 8\n",
        "dataset/ring": "_target_: mydata.ring\n_partial_: true\nn: 100\nval_fraction: 0.1\n"
        "test_fraction: 0.2\nnormalize: true\nlimit: null\n",
        "optimizer/mysgd": "_target_: torch.optim.SGD\n_partial_: true\nlr: 0.1\n",
    }.items():
        file = tmp_path / "conf" / f"{name}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    done = dlrun("model=mynet", "model.width=5", "dataset=ring", "optim=mysgd", "-q", "epochs=2")
    assert done.returncode == 0, done.stderr
    summary = json.loads((only_run(tmp_path) / "summary.json").read_text())
    assert summary["parameters"] == 2 * 5 + 5 + 5 + 1
    assert summary["hparams"]["model"] == "mynet"
    assert "mynet" in dlrun("--help").stdout
    typo = dlrun("model=mynet", "model.width=wide")
    assert "model.width=wide: expected a whole number (for example model.width=8)" in typo.stderr


def test_an_installed_dlrun_runs_in_a_checkout_of_dlrun(dlrun: Command, tmp_path: Path) -> None:
    shutil.copytree(packaged_conf(), tmp_path / "conf")
    assert dlrun("model=mlp", *QUICK).returncode == 0
    (tmp_path / "conf" / "model" / "mlp.yaml").write_text("hidden: [1]\n")
    done = dlrun("model=mlp", *QUICK)
    assert done.returncode == 2
    assert "conf/model/mlp.yaml: dlrun has a model/mlp of its own" in done.stderr


def test_doctor(dlrun: Command, tmp_path: Path) -> None:
    done = dlrun("doctor", DLRUN_DATA_DIR=str(tmp_path / "data"))
    assert done.returncode == 0, done.stderr
    assert "GFLOP/s" in done.stdout
    assert f"data directory {tmp_path / 'data'}" in done.stdout
    assert "this installation works" in done.stdout
    assert not (tmp_path / "outputs").exists()


def test_output_cut_short_by_its_reader(tmp_path: Path) -> None:
    done = subprocess.run(
        f"{sys.executable} -m dlrun --help | head -1",
        shell=True,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=dict(os.environ),
    )
    assert done.stdout.startswith("dlrun: ")
    assert "Traceback" not in done.stderr
