"""Sweeps run to their end: whatever happens to jobs, to workers, to the sweep itself."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas
import pytest
from conftest import Command

import dlrun as package

TIMES = ["seconds", "time/epoch", "time/total"]
TINY = ("dataset=moons", "dataset.n_samples=200", "model.hidden=[8]", "-q")
# A model whose fate is written in its config: it may raise, diverge, or be killed in its 5th step.
FATEFUL = """
import os, signal
from pathlib import Path
from torch import nn

class Net(nn.Module):
    def __init__(self, in_shape, out_features, fate="well"):
        super().__init__()
        self.fate, self.steps = fate, 0
        self.linear = nn.Linear(in_shape[0], out_features)

    def forward(self, inputs):
        self.steps += self.training
        if self.steps == 5 and not Path("mended").exists():
            if self.fate == "raises":
                raise RuntimeError("the cable was pulled")
            if self.fate == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
        return self.linear(inputs) * (float("inf") if self.fate == "diverges" else 1.0)
"""
FATES = (
    "hydra.sweeper.cases=["
    + ",".join(
        f'{{model.fate:{fate},seed:"range({number})"}}'
        for fate, number in {"well": 49, "raises": 6, "diverges": 3, "killed": 2}.items()
    )
    + "]"
)


class Real:
    """`python -m dlrun WORDS` in a session of its own, so that all of it can be killed at once."""

    def __init__(self, *words: str) -> None:
        path = str(Path(package.__file__).parents[1])
        self.process = subprocess.Popen(
            [sys.executable, "-m", "dlrun", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
            start_new_session=True,
            preexec_fn=hear_ctrl_c,
        )

    def members(self) -> list[int]:
        """All processes of the session."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:  # it has ended in between
                continue
            if int(fields[3]) == self.process.pid and fields[0] != "Z":
                found.append(int(folder.name))
        return found

    def wait_for(self, condition: Callable[[], bool], seconds: float = 120) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < end
            time.sleep(0.005)

    def kill_all(self) -> None:
        for pid in self.members():
            os.kill(pid, signal.SIGKILL)

    def end(self) -> tuple[int, str, str]:
        output, errors = self.process.communicate(timeout=180)
        return self.process.returncode, output, errors


def hear_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in what runs behind a shell


@pytest.fixture
def real() -> Iterator[Callable[..., Real]]:
    begun: list[Real] = []

    def begin(*words: str) -> Real:
        begun.append(Real(*words))
        return begun[-1]

    yield begin
    for one in begun:
        one.kill_all()
        one.process.communicate()


def summaries(folder: Path) -> dict[str, dict[str, Any]]:
    """What each job's summary says, by the job's folder."""
    return {
        file.parent.name: json.loads(file.read_text())
        for file in sorted(folder.glob("0*/summary.json"))
    }


def statuses(folder: Path) -> Counter[str]:
    return Counter(summary["status"] for summary in summaries(folder).values())


def results(folder: Path) -> pandas.DataFrame:
    return pandas.read_csv(folder / "results.csv").drop(columns=TIMES)


def epochs_begun(folder: Path) -> int:
    return sum(len(file.read_text().splitlines()) for file in folder.glob("0*/metrics.jsonl"))


@pytest.mark.parametrize("launcher", ["basic", "local"])
def test_a_sweep_killed_three_times_ends_as_one_left_alone(
    launcher: str, real: Callable[..., Real]
) -> None:
    words = ("-m", "optim=momentum,adam", "optim.lr=0.1,0.01", "seed=range(2)", "epochs=12", *TINY)
    where = (f"hydra/launcher={launcher}",)
    assert real(*words, *where, "hydra.sweep.dir=alone").end()[0] == 0
    killed = real(*words, *where, "hydra.sweep.dir=killed")
    for number, lines in enumerate((5, 35, 70)):
        killed.wait_for(lambda lines=lines: epochs_begun(Path("killed")) >= lines)
        killed.kill_all()
        killed.end()
        over = [name for name, s in summaries(Path("killed")).items() if s["status"] == "completed"]
        assert len(over) < 8, f"kill {number} came too late"
        killed = real("resume", "killed", "-q", *where)
    code, output, errors = killed.end()
    assert (code, output) == (0, ""), errors
    pandas.testing.assert_frame_equal(
        results(Path("killed")), results(Path("alone")), check_exact=True
    )
    assert len(results(Path("alone"))) == 8
    for summary in summaries(Path("killed")).values():  # none ran twice to its end
        assert summary["epochs"] == 12
    assert epochs_begun(Path("killed")) == 8 * 13
    again = real("resume", "killed", "-q", *where)
    assert again.end()[0] == 0
    assert epochs_begun(Path("killed")) == 8 * 13


def test_jobs_that_fail_take_no_others_down(real: Callable[..., Real]) -> None:
    Path("fateful.py").write_text(FATEFUL)
    Path("conf/model").mkdir(parents=True)
    Path("conf/model/fateful.yaml").write_text(
        "_target_: fateful.Net\n_partial_: true\nfate: well\n"
    )
    words = ("model=fateful", FATES, "epochs=6", "dataset=moons", "dataset.n_samples=100")
    where = ("hydra/launcher=local", "hydra.launcher.workers=2")
    code, output, errors = real("-m", *words, *where, "hydra.sweep.dir=sweep").end()
    assert code == 1
    assert statuses(Path("sweep")) == {"completed": 49, "diverged": 3, "failed": 8}
    lines = errors.splitlines()
    assert lines[0] == "8 of 60 jobs failed:"
    assert sum("RuntimeError: the cable was pulled" in line for line in lines) == 6
    assert sum("killed by SIGKILL" in line for line in lines) == 2
    assert lines[-1].startswith("run them again with: dlrun resume --trust --retry-failed sweep")
    assert "3 diverged" in output and "8 failed" in output

    before = {n: s for n, s in summaries(Path("sweep")).items() if s["status"] != "failed"}
    code, _, _ = real("resume", "--trust", "sweep", "-q", *where).end()
    assert code == 1  # without being asked to, it does not try again
    Path("mended").touch()
    code, output, _ = real(*lines[-1].partition("dlrun ")[2].split()).end()
    assert code == 0
    assert "8 of 60 jobs to run" in output
    assert statuses(Path("sweep")) == {"completed": 57, "diverged": 3}
    after = summaries(Path("sweep"))
    assert all(after[name] == summary for name, summary in before.items())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("launcher", ["basic", "local"])
def test_a_signal_leaves_no_process_and_nothing_lost(
    launcher: str, number: int, real: Callable[..., Real]
) -> None:
    where = (f"hydra/launcher={launcher}",)
    words = ("-m", "optim.lr=0.1,0.01,0.001", "epochs=5000", *TINY, *where, "hydra.sweep.dir=sweep")
    sweep = real(*words)
    sweep.wait_for(lambda: epochs_begun(Path("sweep")) > 5)
    os.kill(sweep.process.pid, number)
    code, _, errors = sweep.end()
    end = time.monotonic() + 5
    while sweep.members() and time.monotonic() < end:
        time.sleep(0.01)
    assert sweep.members() == []
    assert code == 128 + number
    assert errors.splitlines()[0] == "interrupted: 0 of 3 jobs are over"
    assert errors.splitlines()[1] == f"go on with: dlrun resume sweep {where[0]}"
    assert set(statuses(Path("sweep"))) == {"interrupted"}
    assert list(Path("sweep").glob("0*/checkpoints/last.pt"))


def test_a_killed_search_goes_on_with_what_is_missing(real: Callable[..., Real]) -> None:
    words = (
        *("-m", "search=random", "n_trials=8", "pruner=halving", "metric=loss/val", "epochs=9"),
        *("optim=sgd", "optim.lr=tag(log,interval(1e-5,1))", *TINY, "hydra.sweep.dir=sweep"),
    )
    search = real(*words)
    search.wait_for(lambda: len(summaries(Path("sweep"))) >= 4)
    search.kill_all()
    search.end()
    assert len(summaries(Path("sweep"))) < 8
    code, _, errors = real("resume", "sweep", "-q").end()
    assert code == 0, errors
    assert len(summaries(Path("sweep"))) == 8
    assert set(statuses(Path("sweep"))) == {"completed", "pruned"}
    assert all(
        summary["stopped_by"] == "pruned" and 0 < summary["epochs"] < 9
        for summary in summaries(Path("sweep")).values()
        if summary["status"] == "pruned"
    )
    assert trial_states(Path("sweep")) == statuses(Path("sweep"))


def trial_states(folder: Path) -> Counter[str]:
    """Optuna's trials by the status that their jobs ought to have."""
    import optuna
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = optuna.storages.JournalStorage(JournalFileBackend(str(folder / "optuna.log")))
    names = {"COMPLETE": "completed", "PRUNED": "pruned"}
    (study,) = optuna.get_all_study_names(storage)
    trials = optuna.load_study(study_name=study, storage=storage).trials
    return Counter(names.get(trial.state.name, trial.state.name) for trial in trials)


def test_the_best_of_each_is_run_again(dlrun: Command) -> None:
    words = ("optim=sgd,adam", "optim.lr=1e-6,0.1", "epochs=2", *TINY, "hydra.sweep.dir=sweep")
    repeat = "hydra.sweeper.repeat_best={of_each:optimizer,seeds:'range(3)'}"
    assert dlrun("-m", *words, repeat).returncode == 0
    table = pandas.read_csv("sweep/results.csv")
    assert len(table) == 4 + 2 * 2  # seed 0 has been run already
    counts = table.groupby(["optimizer", "optimizer.lr"]).seed.count().to_dict()
    assert sorted(counts.values()) == [1, 1, 3, 3]
