"""What is shown of a sweep while it runs: a line a job, or one table in a terminal."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from dlrun.sweeps.plan import Job, Plan
from dlrun.sweeps.progress import MOST_ROWS, Progress

OVER = ("completed", "diverged", "pruned", "failed")


def plan_of(*values: dict[str, str], metric: str = "accuracy/val") -> Plan:
    """A sweep of jobs with these swept values, in folders 0, 1, …"""
    jobs = [Job(k, str(k), [], value, "0" * 64) for k, value in enumerate(values)]
    direction = "maximize" if metric.startswith("accuracy") else "minimize"
    return Plan("mine", metric, direction, "grid", {}, [], "config", jobs)


GRID = [
    {"optimizer": optimizer, "optimizer.lr": lr, "seed": seed}
    for optimizer in ("sgd", "adam")
    for lr in ("0.1", "0.01")
    for seed in ("0", "1")
]


def write(folder: Path, job: int, **summary: Any) -> None:
    (folder / str(job)).mkdir(exist_ok=True)
    (folder / str(job) / "summary.json").write_text(json.dumps(summary))


def finish(folder: Path, job: int, value: float, metric: str = "accuracy/val") -> None:
    write(folder, job, status="completed", metrics={metric: value})


class Shown:
    """Progress of a plan in the current directory, and what it prints."""

    def __init__(self, plan: Plan, folder: Path, *, terminal: bool = False, quiet: bool = False):
        self.file = io.StringIO()
        self.progress = Progress(plan, folder, OVER, quiet=quiet)
        self.progress.console = Console(
            file=self.file, force_terminal=terminal, width=100, color_system=None, quiet=quiet
        )

    @property
    def lines(self) -> list[str]:
        return [line.rstrip() for line in self.file.getvalue().splitlines()]

    def last_table(self) -> list[str]:
        """The lines of the last picture in a terminal, in words of single spaces."""
        picture = self.file.getvalue().split("\x1b[1A")[-1]
        headline = picture.rindex("mine  ")
        lines = [" ".join(line.split()) for line in picture[headline:].splitlines()]
        return [line for line in lines if line and "\x1b" not in line]


def test_a_line_a_job_where_there_is_no_terminal(tmp_path: Path) -> None:
    plan = plan_of(*GRID)
    shown = Shown(plan, tmp_path)
    with shown.progress as progress:
        finish(tmp_path, 0, 0.75)
        progress.ended(plan.jobs[0])
        write(tmp_path, 1, status="failed", error="out of\n\x1b[2Jideas", metrics={})
        progress.ended(plan.jobs[1])
        write(tmp_path, 2, status="diverged", metrics={"accuracy/val": 0.5})
        progress.ended(plan.jobs[2])
        progress.tick(in_flight=1)
    assert shown.lines == [
        "8 jobs in .",
        "1/8  completed  0  accuracy/val 0.7500",
        "2/8  failed  1  out of\\n\\x1b[2Jideas",
        "3/8  diverged  2",
    ]
    assert progress.num_over == 3
    assert progress.counts == {"completed": 1, "failed": 1, "diverged": 1, "pending": 5}
    assert progress.reasons == {"1": "out of\\n\\x1b[2Jideas"}


def test_quiet(tmp_path: Path) -> None:
    plan = plan_of(*GRID)
    for terminal in (True, False):
        shown = Shown(plan, tmp_path, terminal=terminal, quiet=True)
        with shown.progress as progress:
            finish(tmp_path, 0, 0.75)
            progress.ended(plan.jobs[0])
        assert shown.file.getvalue() == ""
        assert progress.num_over == 1


def test_a_resumed_sweep_says_what_is_left(tmp_path: Path) -> None:
    plan = plan_of(*GRID)
    finish(tmp_path, 0, 0.75)
    write(tmp_path, 1, status="failed", error="no")
    write(tmp_path, 2, status="running")
    write(tmp_path, 3, status="interrupted")
    (tmp_path / "4").mkdir()
    (tmp_path / "4" / "summary.json").write_text("{damaged")
    shown = Shown(plan, tmp_path)
    with shown.progress as progress:
        pass
    assert shown.lines == ["6 of 8 jobs to run in ."]
    assert progress.counts == {"completed": 1, "failed": 1, "pending": 6}
    assert progress.reasons == {"1": "no"}
    retried = Progress(plan, tmp_path, ("completed", "diverged", "pruned"), quiet=True)
    with retried:
        assert retried.counts == {"completed": 1, "pending": 7}
        assert retried.reasons == {}
        finish(tmp_path, 1, 0.5)
        retried.ended(plan.jobs[1])
        assert retried.reasons == {}
        assert retried.num_over == 2


def test_one_job_is_no_plural(tmp_path: Path) -> None:
    shown = Shown(plan_of({}), tmp_path)
    with shown.progress:
        pass
    assert shown.lines == ["1 job in ."]


@pytest.mark.parametrize("metrics", [None, [], "x", {"accuracy/val": None}, {"accuracy/val": "x"}])
def test_summaries_without_the_metric(metrics: object, tmp_path: Path) -> None:
    plan = plan_of(*GRID)
    write(tmp_path, 0, status="completed", metrics=metrics)
    shown = Shown(plan, tmp_path)
    with shown.progress as progress:
        progress.ended(plan.jobs[0])
    assert shown.lines[1:] == ["1/8  completed  0"]


def test_the_table(tmp_path: Path) -> None:
    plan = plan_of(*GRID)
    shown = Shown(plan, tmp_path, terminal=True)
    with shown.progress as progress:
        # sgd: lr=0.1 has 0.8 and 0.6, a mean of 0.7; lr=0.01 has 0.75 and one to come.
        for job, value in enumerate((0.8, 0.6, 0.75)):
            finish(tmp_path, job, value)
            progress.ended(plan.jobs[job])
        write(tmp_path, 4, status="failed", error="no")
        progress.ended(plan.jobs[4])
        write(tmp_path, 5, status="diverged", metrics={"accuracy/val": 0.99})
        progress.ended(plan.jobs[5])
        progress.tick(in_flight=2)
    table = shown.last_table()
    assert table[0].startswith("mine 5/8 jobs over 2 running 1 diverged 1 failed ")
    assert table[0].endswith(" left")
    assert table[1] == "optimizer over best accuracy/val setting"
    assert table[3:5] == [
        "sgd 3/4 0.7500 optimizer.lr=0.01 (n=1)",
        "adam 2/4 –",
    ]


def test_the_best_of_a_loss_is_the_lowest_mean(tmp_path: Path) -> None:
    plan = plan_of(*GRID, metric="loss/val")
    shown = Shown(plan, tmp_path, terminal=True)
    with shown.progress as progress:
        for job, value in enumerate((0.8, 0.6, 0.65, 0.7)):
            finish(tmp_path, job, value, "loss/val")
            progress.ended(plan.jobs[job])
    assert shown.last_table()[3] == "sgd 4/4 0.6750 optimizer.lr=0.01 (n=2)"


def test_many_groups_are_cut_short(tmp_path: Path) -> None:
    plan = plan_of(*({"optimizer.lr": str(k)} for k in range(MOST_ROWS + 3)))
    shown = Shown(plan, tmp_path, terminal=True)
    with shown.progress:
        pass
    table = shown.last_table()
    assert len(table) == 1 + 2 + MOST_ROWS + 1
    assert table[-1].startswith("and 3 more")


@pytest.mark.parametrize(
    ("values", "first"),
    [
        ([{"seed": "0"}, {"seed": "1"}], "seed"),
        ([{"seed": "0", "lr": "1"}, {"seed": "0", "lr": "2"}], "lr"),
        ([{"lr": "1", "seed": "0"}, {"lr": "1", "seed": "1"}], "seed"),
        ([{"o": "sgd", "beta": "0"}, {"o": "adam"}], "o"),
        ([{}], ""),
        ([], ""),
    ],
)
def test_groups_are_those_of_the_first_key_that_varies(
    values: list[dict[str, str]], first: str, tmp_path: Path
) -> None:
    shown = Shown(plan_of(*values), tmp_path, terminal=True)
    with shown.progress:
        pass
    assert shown.last_table()[1] == f"{first} over best accuracy/val setting".strip()
