"""Jobs on a Ray that is really started, with two CPUs."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sweep_works
from sweep_works import KILLED, Processes, launcher, summary, tasks

from dlrun.errors import Failure, UserError
from dlrun.signals import Interrupted, Requests, listening

TWO = "hydra.launcher.num_cpus=2"


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[Processes]:
    yield from sweep_works.processes(monkeypatch)


def test_a_killed_job_takes_down_no_other_and_nothing_is_printed(
    started: Processes, capfd: pytest.CaptureFixture[str]
) -> None:
    jobs = tasks("epochs=2", KILLED, "epochs=1")
    died = {}
    capfd.readouterr()
    for done in launcher("ray", TWO).run(iter(jobs), Requests()):
        if done is not None:
            died[done.task[0].run_dir] = done.died
    assert [died[job[0].run_dir] for job in jobs] == [
        None,
        "its process was killed, or crashed",
        None,
    ]
    assert [summary(job)["status"] for job in jobs] == ["completed", "running", "completed"]
    assert Path("threads.txt").read_text() == "1"
    assert capfd.readouterr() == ("", "")
    assert started.gone_within(1)


def test_an_interrupted_sweep_saves_and_leaves_nothing(started: Processes) -> None:
    jobs = tasks("epochs=99999", "epochs=99999 seed=1", "epochs=99999 seed=2")
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    epochs = [job[0].run_dir / "metrics.jsonl" for job in jobs[:2]]
    with (
        listening() as requests,
        closing(launcher("ray", TWO).run(iter(jobs), requests)) as running,
        pytest.raises(Interrupted) as stop,
    ):
        for _ in running:
            if all(file.exists() and file.read_text().count("\n") > 2 for file in epochs):
                assert started.left("raylet")
                assert started.deaf_to_interrupts()
                signalled = time.monotonic()
                os.kill(os.getpid(), signal.SIGTERM)
    assert stop.value.number == signal.SIGTERM
    assert started.gone_within(signalled + 5 - time.monotonic())
    assert [summary(job).get("status") for job in jobs] == ["interrupted", "interrupted", None]
    assert (jobs[0][0].run_dir / "checkpoints/last.pt").exists()
    assert before == [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]


def test_a_sweep_left_while_ray_starts_leaves_nothing(started: Processes) -> None:
    with closing(launcher("ray", TWO).run(iter(tasks("epochs=1")), Requests())) as running:
        for _ in running:
            if started.left("raylet"):
                break
    assert started.gone_within(4)


def test_a_missing_package_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError) as fault:
        launcher("ray")
    assert str(fault.value) == "hydra/launcher=ray: needs Ray (pip install 'dlrun[ray]')"


def test_a_cluster_that_is_not_there_is_a_line(started: Processes) -> None:
    with socket.socket() as bound:  # it does not listen, and nobody else can
        bound.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{bound.getsockname()[1]}"
        made = launcher("ray", f"hydra.launcher.address='{address}'")
        with pytest.raises(Failure, match=f"no Ray at hydra.launcher.address={address}: .*refused"):
            list(made.run(iter(tasks("epochs=1")), Requests()))
    assert started.gone_within(1)
