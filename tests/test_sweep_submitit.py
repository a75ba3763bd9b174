"""Jobs through submitit: really on this machine; for Slurm, with stand-ins of its commands."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sweep_works
from sweep_works import KILLED, Processes, launcher, summary, tasks

from dlrun.errors import UserError
from dlrun.signals import Interrupted, Requests, listening
from dlrun.sweeps import slurm_launcher
from dlrun.sweeps.launchers import Launcher
from dlrun.sweeps.tether import Tether, is_cut
from dlrun.sweeps.work import Task


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[Processes]:
    yield from sweep_works.processes(monkeypatch)


def run(made: Launcher, jobs: list[Task]) -> list[str | None]:
    """How each job died, in their order."""
    over = [done for done in made.run(iter(jobs), Requests()) if done is not None]
    died = {done.task[0].run_dir: done.died for done in over}
    return [died[job[0].run_dir] for job in jobs]


def test_a_killed_job_takes_down_no_other_and_threads_are_given_out(started: Processes) -> None:
    jobs = tasks("epochs=2", KILLED)
    local = launcher(
        "submitit_local", "hydra.launcher.max_parallel=2", "hydra.launcher.cpus_per_task=3"
    )
    assert run(local, jobs) == [None, "killed by SIGKILL"]
    assert summary(jobs[0])["status"] == "completed"
    assert Path("threads.txt").read_text() == "3"
    assert started.gone_within(1)


@pytest.mark.skipif(not hasattr(signal, "SIGUSR2"), reason="submitit needs it")
def test_a_preempted_job_goes_on_and_an_interrupted_sweep_leaves_nothing(
    started: Processes,
) -> None:
    jobs = tasks("epochs=99999")
    local = launcher("submitit_local", "hydra.launcher.max_parallel=1")
    epochs = jobs[0][0].run_dir / "metrics.jsonl"
    preempted: list[int] = []
    end = time.monotonic() + 120
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored by what runs in background
    with (
        listening() as requests,
        closing(local.run(iter(jobs), requests)) as running,
        pytest.raises(Interrupted) as stop,
    ):
        for _ in running:
            assert time.monotonic() < end
            if not epochs.exists() or epochs.read_text().count("\n") < 3:
                continue
            if not preempted:
                preempted += started.left("submitit.core._submit")
                os.kill(preempted[0], signal.SIGUSR2)  # what Slurm sends, by submitit's wish
            elif summary(jobs[0])["resumed"]:
                assert started.deaf_to_interrupts()
                signalled = time.monotonic()
                os.kill(os.getpid(), signal.SIGINT)
    assert stop.value.number == signal.SIGINT
    assert started.gone_within(signalled + 5 - time.monotonic())
    told = summary(jobs[0])
    assert (told["status"], told["stopped_by"], len(told["resumed"])) == (
        "interrupted",
        "signal",
        1,
    )
    lines = [json.loads(line)["epoch"] for line in epochs.read_text().splitlines()]
    assert lines == list(range(len(lines)))  # it went on, and nothing stands twice


def test_a_tether_is_cut_by_hand_or_by_the_death_of_its_holder(tmp_path: Path) -> None:
    for here in (True, False):
        tether = Tether(tmp_path, here=here)
        assert not is_cut(tether.path)
        tether.cut()
        assert is_cut(tether.path)
    os.mkfifo(tmp_path / "left")  # by a process that has been killed
    assert is_cut(tmp_path / "left")


@pytest.mark.parametrize("name", ["submitit_local", "submitit_slurm"])
def test_a_missing_package_is_a_line(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError) as fault:
        launcher(name)
    assert str(fault.value) == f"hydra/launcher={name}: needs submitit (pip install 'dlrun[slurm]')"


@pytest.mark.parametrize("word", ["max_parallel=0", "cpus_per_task=2000", "timeout_min=-1"])
def test_impossible_settings_are_a_line(word: str) -> None:
    key = f"hydra.launcher.{word.split('=')[0]}"
    with pytest.raises(UserError, match=f"hydra.launcher.{word}: expected a whole") as fault:
        launcher("submitit_local", f"hydra.launcher.{word}")
    assert f"(for example {key}=2)" in str(fault.value)


def test_without_slurm_it_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UserError) as fault:
        launcher("submitit_slurm")
    assert str(fault.value) == (
        "hydra/launcher=submitit_slurm: there is no Slurm here, sbatch is not found "
        "(for example hydra/launcher=submitit_local, or hydra/launcher=local)"
    )


# Stand-ins: sbatch runs the batch file here once for each job of the array, and notes how it
# ended; sacct and squeue tell that, scancel writes down what it was called with. What Slurm itself
# makes of a batch file is not tried here.
COMMON = """#!{python}
import os, pathlib, re, subprocess, sys
home = pathlib.Path(__file__).parent
"""
STAND_INS = {
    "sbatch": """
batch = pathlib.Path(sys.argv[1]).read_text()
if "partition=none" in batch:
    sys.exit("sbatch: error: invalid partition specified: none")
(home / "batch.sh").write_text(batch)
array = re.search(r"--array=0-(\\d+)", batch)
for k in range(int(array[1]) + 1 if array else 1):
    name = f"7_{k}" if array else "7"
    variables = {"SLURM_JOB_ID": "7", "SLURM_NTASKS": "1", "SLURM_JOB_NUM_NODES": "1"}
    if array:
        variables |= {"SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": str(k)}
    (home / f"{name}.state").write_text("RUNNING")
    subprocess.Popen(
        ["bash", "-c", f"bash {home}/batch.sh; test $? = 137 && echo OUT_OF_MEMORY"
            f" >{home}/{name}.state || echo COMPLETED >{home}/{name}.state"],
        env={**os.environ, **variables}, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
print("Submitted batch job 7")
""",
    "srun": """
words = sys.argv[sys.argv.index(sys.executable):] if sys.executable in sys.argv else sys.argv[6:]
os.execvp(words[0], words)
""",
    "sacct": """
print("JobID|State|NodeList")
for file in sorted(home.glob("*.state")):
    print(f"{file.stem}|{file.read_text().strip()}|here")
""",
    "squeue": """
print("\\n".join(f.stem for f in home.glob("*.state") if f.read_text() == "RUNNING"))
""",
    "scancel": """
with open(home / "cancelled.txt", "a") as file:
    print(*sys.argv[1:], file=file)
""",
}


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, started: Processes) -> Path:
    """The folder of the stand-ins."""
    folder = tmp_path / "slurm"
    folder.mkdir()
    for name, text in STAND_INS.items():
        (folder / name).write_text(COMMON.format(python=sys.executable) + text)
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setattr(slurm_launcher, "SECONDS_BETWEEN_QUESTIONS", 0.5)
    monkeypatch.setattr(slurm_launcher, "SECONDS_OF_LAG", 0.5)
    return folder


def test_slurm_gets_an_array_and_a_killed_job_is_told(slurm: Path, started: Processes) -> None:
    jobs = tasks("epochs=2", KILLED)
    words = ["partition=gpu", "mem_gb=4", "cpus_per_task=2", "gpus_per_node=1", "timeout_min=90"]
    words += ["setup=['module load cuda']"]
    added = "+hydra.launcher.additional_parameters={mail-type: END}"
    made = launcher("submitit_slurm", *(f"hydra.launcher.{word}" for word in words), added)
    assert run(made, jobs) == [None, "out of memory"]
    assert summary(jobs[0])["status"] == "completed"
    assert Path("threads.txt").read_text() == "2"
    batch = (slurm / "batch.sh").read_text().splitlines()
    for flag in (
        *("partition=gpu", "mem=4GB", "cpus-per-task=2", "gpus-per-node=1", "time=90"),
        *("array=0-1%2", "job-name=dlrun", "mail-type=END", "signal=USR2@120"),
    ):
        assert f"#SBATCH --{flag}" in batch
    assert batch.index("export OMP_NUM_THREADS=2") < batch.index("module load cuda")
    assert not (slurm / "cancelled.txt").exists()


def test_slurm_takes_jobs_back_when_the_sweep_is_left(slurm: Path, started: Processes) -> None:
    jobs = tasks("epochs=99999")
    with closing(launcher("submitit_slurm").run(iter(jobs), Requests())) as running:
        for _ in running:
            if (jobs[0][0].run_dir / "checkpoints/last.pt").exists():
                break
    assert summary(jobs[0])["status"] == "interrupted"
    assert (slurm / "cancelled.txt").read_text().splitlines() == ["--state=PENDING 7", "7"]
    assert started.gone_within(5)


def test_what_sbatch_says_is_told_in_a_line(slurm: Path) -> None:
    made = launcher("submitit_slurm", "hydra.launcher.partition=none")
    with pytest.raises(UserError, match="submitit_slurm: .*invalid partition specified: none"):
        run(made, tasks("epochs=1"))
