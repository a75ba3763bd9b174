"""`dlrun report`: where it writes, what it prints, what it says of what is missing or damaged."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import pytest
from conftest import Command
from report_runs import sweep_of, write_run
from report_sweep import values_of, write_sweep
from test_bad_input import assert_short_error

from dlrun.errors import Failure, UserError
from dlrun.report.command import make_report

JOBS = values_of(optimizer=["adam", "momentum"], optimizer__lr=[0.1, 0.001], seed=[0, 1])


def files_in(folder: Path) -> list[str]:
    """All but the jobs: names of files and folders."""
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("0"))


def test_one_sweep_is_told_in_its_own_folder(dlrun: Command, tmp_path: Path) -> None:
    write_sweep(tmp_path / "sweep", JOBS)
    done = dlrun("report", "sweep")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "made_up: 8 runs: 8 completed" in done.stdout
    assert re.search(r"^1  adam +0.001 +0.9\d+ ± [\d.]+ ", done.stdout, re.MULTILINE)
    assert "optimizer=adam lr=0.001 is best" in done.stdout
    assert done.stdout.endswith(
        "report       sweep/report.html\n"
        "results      sweep/results.csv\n"
        "TensorBoard  tensorboard --logdir sweep\n"
    )
    means = [f"mean±optimizer={o},lr={lr}" for o in ("adam", "momentum") for lr in (0.001, 0.1)]
    assert files_in(tmp_path / "sweep") == sorted(
        ["figures", "report.html", "results.csv", "sweep.yaml", *means]
    )
    pictures = {path.name for path in (tmp_path / "sweep" / "figures").iterdir()}
    assert {"ranking.png", "lr_sensitivity.png", "optimizers.png"} <= pictures
    assert not (tmp_path / "outputs").exists()


def test_several_sweeps_make_one_comparison(dlrun: Command, tmp_path: Path) -> None:
    write_sweep(tmp_path / "a", JOBS[:4], name="first")
    write_sweep(tmp_path / "b", JOBS[4:], name="second")
    done = dlrun("report", "a", "b", "a/")  # one of them named twice
    assert done.returncode == 0, done.stderr
    assert "first + second: 8 runs: 8 completed" in done.stdout
    (out,) = (tmp_path / "outputs" / "reports").iterdir()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d-[0-9a-f]{4}", out.name)
    assert f"TensorBoard  tensorboard --logdir outputs/reports/{out.name}\n" in done.stdout
    assert len(list(out.glob("mean±*"))) == 4
    with (out / "results.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 8
    assert [files_in(tmp_path / name) for name in "ab"] == [["sweep.yaml"], ["sweep.yaml"]]


def test_a_folder_of_choice_and_no_output(dlrun: Command, tmp_path: Path) -> None:
    write_sweep(tmp_path / "sweep", JOBS)
    done = dlrun("report", "-q", "sweep", "-o", "new/folder")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert files_in(tmp_path / "new" / "folder") == ["figures", "report.html", "results.csv"]
    # Beside the jobs, where one TensorBoard shows both.
    assert len(list((tmp_path / "sweep").glob("mean±*"))) == 4


BAD_WORDS: dict[str, tuple[str, ...]] = {
    "report": ("folder of a sweep", "type dlrun report outputs/sweeps/b/2030-01-02_03-04-05-1a2b"),
    "report absent": ("absent: no such folder",),
    "report optim=adam": ("optim=adam: no such folder",),
    "report sweep.txt": ("sweep.txt: no such folder",),
    "report empty": ("empty: holds neither", "outputs/sweeps/NAME"),
    "report outputs/sweeps/b": ("newest sweep is outputs/sweeps/b/2030-01-02_03-04-05-1a2b",),
    "report --colour": ("dlrun report: ", "--colour", "type dlrun report"),
    "report sound -o": ("-o", "type dlrun report"),
    "report sound -o sweep.txt": ("sweep.txt", "cannot be made", "-o DIR"),
    "reprot": ("reprot", "did you mean report?"),
}


@pytest.mark.parametrize("words", BAD_WORDS)
def test_wrong_input(words: str, dlrun: Command, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "sweep.txt").write_text("")
    write_sweep(tmp_path / "sound", JOBS[:1])
    for name in ("a/2029-12-31_03-04-05-ffff", "b/2030-01-02_03-04-05-1a2b"):
        write_sweep(tmp_path / "outputs" / "sweeps" / name, JOBS[:1])
    before = sorted(tmp_path.rglob("*"))
    assert_short_error(dlrun(*words.split()), BAD_WORDS[words])
    assert sorted(tmp_path.rglob("*")) == before


def test_what_the_disk_refuses_is_told_in_a_line(tmp_path: Path) -> None:
    sweep_of(tmp_path / "sweep", [{"x": 1, "value": 0.5}])
    (tmp_path / "out" / "results.csv").mkdir(parents=True)
    with pytest.raises(Failure, match="results.csv.*: Is a directory"):
        make_report([tmp_path / "sweep"], tmp_path / "out", quiet=True)


def test_a_name_of_a_folder_is_only_printed(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^a\\x1b\[2J: no such folder"):
        make_report([Path("a\x1b[2J")], None, quiet=True)


@pytest.mark.parametrize(
    ("runs", "lacking"),
    [
        ([], ["ranking and pictures"]),
        ([{"x": 1, "status": "failed"}, {"x": 2}], ["ranking and pictures"]),
        ([{"x": 1, "status": "pruned", "value": 0.5}], ["ranking and pictures"]),
        (
            [{"value": 0.5, "curve": [0.1, 0.5]}],
            [
                *("intervals and the test of the lead", "ranking", "sensitivity"),
                *("learning rate × batch size", "performance, speed and tuneability"),
                *("importance", "all settings at once"),
            ],
        ),
        (
            [{"optimizer.lr": lr, "value": 0.5 + lr, "seed": s} for lr in (0.1, 0.2) for s in "01"],
            [
                *("learning curves", "learning rate × batch size"),
                *("performance, speed and tuneability", "all settings at once"),
            ],
        ),
    ],
)
def test_what_is_missing_is_said_and_why(
    runs: list[dict[str, Any]],
    lacking: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    sweep_of(tmp_path / "sweep", runs)
    made = make_report([tmp_path / "sweep"], None, quiet=False)
    assert list(made.missing) == lacking
    page = made.page.read_text()
    for what, reason in made.missing.items():
        assert f"<li>{what}: {reason}</li>" in page
    output = " ".join(capsys.readouterr().out.split())
    assert f"Not shown: {', '.join(lacking)} (report.html says why)" in output
    assert made.results.read_text().count("\n") == 1 + len(runs)


def test_a_pruned_run_is_shown_and_never_wins(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pruned = {"status": "pruned", "stopped_by": None}
    runs = [
        {"x": 1, "seed": 0, "value": 0.5, "test": 0.4},
        {"x": 1, "seed": 1, "value": 0.9, "test": 0.9, **pruned},  # not a part of the mean
        {"x": 2, "seed": 0, "value": 0.99, "test": 0.99, "curve": [0.1, 0.99], **pruned},
        {"x": 3, "seed": 0, "value": 0.6, "test": 0.1},  # the winner
    ]
    sweep_of(tmp_path / "sweep", runs, search="tpe")
    made = make_report([tmp_path / "sweep"], None, quiet=False)
    output = " ".join(capsys.readouterr().out.split())
    assert "test: 4 runs: 2 completed, 2 pruned" in output
    assert "1 3 0.6000 0.1000 1 3 2 1 0.5000 0.4000 1 3 1 pruned 3 2 – – 0 – 1 pruned" in output
    assert "x=3 is best: accuracy/val 0.6000 (n = 1)." in output
    with made.results.open() as file:
        rows = list(csv.DictReader(file))
    assert [row["status"] for row in rows] == ["completed", "pruned", "pruned", "completed"]
    assert rows[2]["accuracy/val"] == "0.99"
    page = made.page.read_text()
    assert "4 runs: 2 completed, 2 pruned" in page
    assert page.count("stopped early by the search, which is no failure") == 2
    assert "This report is not of a whole and sound sweep." not in page
    assert not made.mean_runs


def test_a_single_run_is_a_sweep_of_one(tmp_path: Path) -> None:
    write_run(tmp_path / "run", value=0.5, curve=[0.1, 0.5])
    made = make_report([tmp_path / "run"], tmp_path / "out", quiet=True)
    assert len(made.sweep.runs) == 1
    assert [path.name for path in made.figures] == ["best_curves.png"]
