"""results.csv and what the terminal shows."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from report_runs import sweep_of, write_run
from rich.console import Console

from dlrun.report.read import Sweep, read_sweep
from dlrun.report.results import print_report, write_results


def shown(sweep: Sweep, width: int = 120) -> str:
    file = io.StringIO()
    print_report(sweep, Console(file=file, width=width))
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines())


def some_runs() -> list[dict[str, Any]]:
    hparams = {"optimizer": "sgd", "lr": 0.1, "dropout": 0.0, "batch_norm": False, "limit": None}
    return [
        {"optimizer.lr": 0.1, "batch_size": 8, "seed": 0, "value": 0.1 + 0.2, "hparams": hparams},
        {"optimizer.lr": 1.0, "batch_size": "full", "seed": 1, "status": "failed", "error": 'a,"b'},
        {"optimizer.lr": 1e-05, "batch_size": 16, "seed": 2, "status": "pending"},
    ]


def test_results_are_one_row_a_run(tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path, some_runs())
    write_results(sweep, tmp_path / "results.csv")
    assert (tmp_path / "results.csv").read_bytes().decode() == (
        "job,folder,status,stopped_by,error,seed,epochs_done,best_epoch,steps,evaluations,parameters,seconds,"
        "optimizer.lr,batch_size,optimizer,lr,dropout,batch_norm,limit,accuracy/val,time/total\n"
        "0,0000,completed,epochs,,0,0,0,0,,25,3,"
        "0.1,8,sgd,0.1,0,false,,0.30000000000000004,4\n"
        '1,0001,failed,epochs,"a,""b",1,0,0,0,,25,3,'
        "1,full,sgd,1,0,false,,,\n"
        "2,0002,pending,,,2,,,,,,,"
        "1e-05,16,sgd,1e-05,0,false,,,\n"
    )
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == [
        "results.csv",
        "sweep.yaml",
    ]


def test_numbers_survive_the_way_through_the_file(tmp_path: Path) -> None:
    values = [1 / 3, 1e-300, 0.1 + 0.2, 123456789.123456]
    sweep = sweep_of(tmp_path, [{"x": k, "value": v} for k, v in enumerate(values)])
    write_results(sweep, tmp_path / "results.csv")
    with (tmp_path / "results.csv").open() as file:
        assert [float(row["accuracy/val"]) for row in csv.DictReader(file)] == values


def test_equal_sweeps_give_equal_files_but_for_times(tmp_path: Path) -> None:
    for name, seconds, order in (("a", 1.0, 1), ("b", 2.0, -1)):
        runs = some_runs()
        sweep_of(tmp_path / name, [run | {"status": "pending"} for run in runs])
        for k, run in list(enumerate(runs))[:2][::order]:  # as they finish, in any order
            told = {key: v for key, v in run.items() if key in ("value", "status", "error", "seed")}
            hparams = some_runs()[0]["hparams"]
            write_run(tmp_path / name / f"{k:04d}", hparams=hparams, train_seconds=seconds, **told)
        write_results(read_sweep([tmp_path / name]), tmp_path / f"{name}.csv")
    tables = [
        list(csv.DictReader((tmp_path / f"{name}.csv").read_text().splitlines())) for name in "ab"
    ]
    assert tables[0] != tables[1]
    for row in [*tables[0], *tables[1]]:
        row.pop("seconds")
    assert tables[0] == tables[1]


def test_a_table_takes_the_place_of_an_older_one(tmp_path: Path) -> None:
    (tmp_path / "results.csv").write_text("old\n" * 1000)
    write_results(sweep_of(tmp_path, []), tmp_path / "results.csv")
    (line,) = (tmp_path / "results.csv").read_text().splitlines()
    assert line.startswith("job,folder,status")


def ranked_runs() -> list[dict[str, Any]]:
    lrs, seeds = (0.1, 0.01), (0, 1)
    sgd = [
        {
            "optimizer": "sgd",
            "optimizer.lr": lr,
            "seed": seed,
            "value": 0.9 - lr + 0.02 * seed,
            "test": 0.8 - lr,
            "train_seconds": 12.34,
        }
        for lr in lrs
        for seed in seeds
    ]
    adam = {"optimizer": "adam", "optimizer.lr": 0.1}
    reason = "diverged at step 7 (epoch 1): the loss is nan"
    return [
        *sgd,
        {**adam, "seed": 0, "value": 0.5, "test": 0.4, "train_seconds": 123.4},
        {**adam, "seed": 1, "status": "diverged", "error": reason, "curve": [0.25]},
    ]


def test_the_terminal_shows_the_ranking(tmp_path: Path) -> None:
    assert shown(sweep_of(tmp_path, ranked_runs(), name="mine"), width=95) == (
        """
mine: 6 runs: 5 completed, 1 diverged

jobs  setting                status    reason
────────────────────────────────────────────────────────────────────────────────────
   5  optimizer=adam lr=0.1  diverged  diverged at step 7 (epoch 1): the loss is nan

3 settings by accuracy/val, higher is better; mean ± 95 % interval over n seeds; for the order
a diverged run counts as 0.2500: nothing learnt

   optimizer    lr  accuracy/val  accuracy/test  n  seconds  other runs
───────────────────────────────────────────────────────────────────────
1  sgd        0.01   0.90 ± 0.13     0.7900 ± 0  2     12.3
2  sgd         0.1   0.81 ± 0.13     0.7000 ± 0  2     12.3
3  adam        0.1        0.5000         0.4000  1      123  1 diverged

optimizer=sgd lr=0.01 is best: accuracy/val 0.90 ± 0.13 (95 % interval, n = 2). Its lead over
the runner-up, optimizer=sgd lr=0.1, is 0.0900 ± 0: larger than the noise between seeds (paired
t test, p < 0.001, not corrected for choosing among 3 settings). On the test split, which had
no say: accuracy/test 0.7900 ± 0."""
    )


@pytest.mark.parametrize(
    ("width", "header"),
    [
        (71, "optimizer lr accuracy/val accuracy/test n seconds other runs"),
        (70, "optimizer lr accuracy/val accuracy/test n other runs"),
        (60, "setting accuracy/val accuracy/test n other runs"),
    ],
)
def test_a_narrow_terminal_cuts_nothing(tmp_path: Path, width: int, header: str) -> None:
    text = shown(sweep_of(tmp_path, ranked_runs()), width)
    assert header in [" ".join(line.split()) for line in text.splitlines()]
    assert "0.90 ± 0.13" in text
    assert "…" not in text


def test_the_ten_best_and_how_many_more(tmp_path: Path) -> None:
    runs = [{"x": k, "value": k / 100} for k in range(23)]
    lines = shown(sweep_of(tmp_path, runs)).splitlines()
    start = lines.index("     x  accuracy/val  n  seconds") + 2
    rows = [line.split() for line in lines[start : start + 10]]
    assert rows[0] == ["1", "22", "0.2200", "1", "3"]
    assert rows[9] == ["10", "13", "0.1300", "1", "3"]
    assert lines[start + 10] == "and 13 more in results.csv"


def test_every_failure_is_listed_with_its_reason(tmp_path: Path) -> None:
    runs: list[dict[str, Any]] = [
        {"x": 1, "seed": seed, "status": "failed", "error": "RuntimeError: boom"} for seed in (0, 1)
    ]
    runs += [
        {"x": 1, "seed": 2, "status": "failed", "error": "killed by\nsignal 9 " + "x" * 400},
        {"x": 2, "seed": 0, "status": "diverged", "error": "diverged at step 3"},
        {"x": 2, "seed": 1, "status": "diverged", "error": "diverged at step 4"},
        {"x": 2, "seed": 2, "status": "running"},
        {"x": 3, "seed": 0, "status": "interrupted", "stopped_by": "signal"},
        {"x": 3, "seed": 1, "status": "failed", "stopped_by": None},
        {"x": 3, "seed": 2, "status": "pending"},
        {"x": 3, "seed": 3, "status": "pruned"},
    ]
    text = shown(sweep_of(tmp_path, runs), width=400)
    headline, _, _, *rest = text.splitlines()[1:]
    assert headline == (
        "test: 10 runs: 4 failed, 1 running, 1 interrupted, 2 diverged, 1 pruned, 1 pending"
    )
    rows = [" ".join(line.split()) for line in rest[1 : rest.index("")]]
    assert rows == [
        "0, 1 x=1 failed RuntimeError: boom",
        "2 x=1 failed killed by signal 9 " + "x" * 280 + "…",
        "7 x=3 failed no reason recorded",
        "5 x=2 running no end is recorded: it is running, or it was killed",
        "6 x=3 interrupted stopped by a signal",
        "3, 4 x=2 diverged job 3 diverged at step 3",
    ]


def test_damage_is_told(tmp_path: Path) -> None:
    sweep_of(tmp_path, [{"x": k, "value": 0.5} for k in range(12)])
    for k in range(11):
        (tmp_path / f"{k:04d}" / "summary.json").write_text("[]")
    text = shown(read_sweep([tmp_path]))
    assert "test: 12 runs: 1 completed, 11 damaged" in text
    assert text.count("warning: ") == 10
    assert "warning: 0009/summary.json: expected an object with a `status`" in text
    assert "and 1 more warning\n" in text


def test_names_out_of_files_are_only_printed(tmp_path: Path) -> None:
    evil = "[red]x[/red]\x1b[2J\u202e"
    runs = [
        {"model": evil, "value": 0.5},
        {"model": "b", "status": "failed", "error": f"no {evil}"},
        {"model": "c", "status": evil},
    ]
    text = shown(sweep_of(tmp_path, runs, name=evil))
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert text.count(r"[red]x[/red]\x1b[2J\u202e") == 5


@pytest.mark.parametrize("runs", [[], [{"x": 1, "status": "pending"}]])
def test_a_sweep_that_has_not_begun(tmp_path: Path, runs: list[dict[str, Any]]) -> None:
    text = shown(sweep_of(tmp_path, runs))
    assert text.endswith("No run has completed with accuracy/val: there is no winner yet.")


def test_a_run_that_was_resumed_gives_the_same_row(tmp_path: Path) -> None:
    note = {"step": 20, "overrides": [], "versions": {"torch": "9"}}
    undisturbed = {"resumed": [], "device": "cpu (1 thread)", "samples_per_second": 100.0}
    resumed = {"resumed": [note], "device": "cpu (2 threads)", "samples_per_second": 33.3}
    both = {"skipped_batches": 2, "trainable_parameters": 25, "hparams": {"lr": 0.1}}
    for name, told in (("a", undisturbed), ("b", resumed)):
        write_run(tmp_path / name / "0000", value=0.5, test=0.4, **both, **told)
        write_results(read_sweep([tmp_path / name]), tmp_path / f"{name}.csv")
    assert (tmp_path / "a.csv").read_text() == (tmp_path / "b.csv").read_text()
