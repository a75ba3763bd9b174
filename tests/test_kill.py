"""A run that is killed and resumed ends as if nothing had happened, bit for bit."""

from __future__ import annotations

import os
import random
import signal
from functools import partial
from pathlib import Path

import pytest
from conftest import Starter
from kill_and_resume import (
    CHECKPOINTS,
    COMMON,
    combinations,
    differences,
    kill_and_resume,
    kill_early,
    outcome_told,
    run_alone,
)

# Every combination is killed once, and in one of four the resumed run as well.
KILLS = {n: 2 if i % 4 == i // 4 % 4 else 1 for i, n in enumerate(combinations())}
TRIES = 10  # a kill that comes when the run is over does not count


def test_every_combination_is_killed_and_no_less_than_40_kills_are_made() -> None:
    assert len(KILLS) == 2 * 4 * 4
    assert sum(KILLS.values()) == 40
    for feature in ("dropout", "augment", "early_stopping", "one_cycle"):
        words = [set(words) for name, words in combinations().items() if name.endswith(feature)]
        assert all(any(saving <= w for w in words) for saving in map(set, CHECKPOINTS)), feature


@pytest.mark.parametrize("name", KILLS)
def test_killed_and_resumed_equals_left_alone(name: str, started: Starter, tmp_path: Path) -> None:
    draw = random.Random(name)
    reference = run_alone(started, combinations()[name], tmp_path / "alone")
    kills = 0
    for number in range(TRIES):
        run_dir = tmp_path / str(number)
        outcome = kill_and_resume(started, reference, run_dir, draw, KILLS[name] - kills)
        assert outcome.faults == [], outcome.kills
        kills += len(outcome.kills)
        if kills == KILLS[name]:
            break
    assert kills == KILLS[name]


def test_early_stopping_ends_the_reference_run(started: Starter, tmp_path: Path) -> None:
    reference = run_alone(started, combinations()["mlp adam early_stopping"], tmp_path / "alone")
    assert outcome_told(reference.run_dir)["stopped_by"] == "early_stopping"


def test_a_run_killed_before_its_first_checkpoint_is_refused(
    started: Starter, tmp_path: Path
) -> None:
    words = combinations()["mlp sgd dropout"]
    reference = run_alone(started, words, tmp_path / "alone")
    draw = random.Random(0)
    refused = 0
    for number in range(TRIES):
        outcome = kill_early(started, reference, tmp_path / str(number), draw)
        assert outcome.faults == [], outcome.kills
        refused += len(outcome.kills)
        if refused == 3:
            break
    assert refused == 3


def test_no_stage_of_saving_or_resuming_is_a_bad_moment(started: Starter, tmp_path: Path) -> None:
    # Without a validation split every epoch is the best so far.
    words: tuple[str, ...] = ("model=mlp", "model.hidden=[16]", "optimizer=adam", "epochs=2")
    words += (*COMMON, "dataset.val_fraction=0")
    reference = run_alone(started, words, tmp_path / "alone")
    run_dir = tmp_path / "killed"
    words += (f"hydra.run.dir={run_dir}",)
    for stage in (
        partial(die, "replace", "checkpoints/last.pt", 2, done=False),  # only previous.pt is left
        partial(die, "truncate", "metrics.jsonl", 1, done=True),
        partial(die, "replace", ".hydra/config.yaml", 1, done=False),
        partial(die, "replace", "checkpoints/best.pt", 1, done=True),  # newer than last.pt
        partial(die, "replace", "checkpoints/last.pt", 1, done=True),
        partial(die, "replace", "checkpoints/best.pt", 1, done=True),  # that of the last epoch
        partial(die, "replace", "checkpoints/last.pt", 1, done=True),  # nothing is left to train
        partial(die, "replace", "summary.json", 3, done=True),  # it says that the run is over
    ):
        assert started(*words, prepare=stage).wait().returncode == -signal.SIGKILL, stage
        words = ("resume", str(run_dir), "-q")
    assert outcome_told(run_dir)["status"] == "completed"
    assert differences(reference.run_dir, run_dir) == []


def die(function: str, ending: str, count: int, *, done: bool) -> None:
    """Has this process die when it calls that function of os for the count-th time on a path that
    ends so: after the work is done, or before."""
    work = getattr(os, function)
    calls = 0

    def deadly(*args: str | Path | int) -> None:
        nonlocal calls
        changed = args[1] if function == "replace" else args[0]
        calls += str(changed).endswith(ending)
        if calls == count and not done:
            os.kill(os.getpid(), signal.SIGKILL)
        work(*args)
        if calls == count:
            os.kill(os.getpid(), signal.SIGKILL)

    setattr(os, function, deadly)
