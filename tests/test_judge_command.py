"""`dlrun evaluate`: what it prints, what it leaves behind, what it refuses in a line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Command

from dlrun import run
from dlrun.errors import UserError
from dlrun.judge.command import evaluate
from dlrun.judge.measure import Judged, judge
from dlrun.judge.per_class import class_scores
from dlrun.judge.record import Comparison, compared, file_name
from dlrun.judge.source import open_source
from dlrun.judge.tables import print_judged
from dlrun.trained import Trained, open_trained

QUIET = ("device=cpu", "quiet=true", "figures=false", "epochs=1")
RUNS = {
    "digits": ("dataset=digits", "dataset.limit=300", "model.hidden=[8]"),
    "boston": ("dataset=boston", "model.hidden=[4]"),
    "surface": ("dataset=surface", "model=point"),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    for name, words in RUNS.items():
        run(*words, *QUIET, f"hydra.run.dir={folder / name}")
    return folder


@pytest.fixture
def runs(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Copies of the runs in the current directory, and a terminal of 80 columns."""
    for name in RUNS:
        shutil.copytree(made / name, tmp_path / name)
    monkeypatch.setenv("COLUMNS", "80")
    return tmp_path


def read(folder: Path) -> dict[str, Any]:
    entry: dict[str, Any] = json.loads((folder / "evaluation.json").read_text())
    return entry


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def test_a_classification_is_told_and_recorded(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(["digits"]) == 0
    text = capsys.readouterr().out
    folder = runs / "digits" / "evaluations" / "test"
    assert names(folder) == ["confusion.png", "evaluation.json", "reliability.png"]
    entry = read(folder)
    summary = json.loads((runs / "digits" / "summary.json").read_text())
    count = entry["samples"]
    assert text.startswith(f"digits  test split, {count} samples, weights of epoch ")
    assert "equal to training's figures, to the last digit" in text
    assert entry["training"] == {"metrics": entry["metrics"], "equal": True}
    assert entry["metrics"] == {k: summary["metrics"][f"{k}/test"] for k in ("loss", "accuracy")}
    interval = entry["intervals"]["accuracy"]
    assert f"{interval['low']:.4f} to {interval['high']:.4f}" in text
    assert np.sum(entry["confusion"]) == count
    bins = entry["calibration"]["bins"]
    assert len(bins) == 15 and sum(each["samples"] for each in bins) == count
    assert f"{100 * entry['calibration']['expected_calibration_error']:.2f} % (15 bins)" in text
    assert [scores["name"] for scores in entry["classes"]] == [str(k) for k in range(10)]
    assert f"{entry['macro_average']['f1']:.4f}" in text
    assert text.endswith("reliability  digits/evaluations/test/reliability.png\n")
    assert max(map(len, text.splitlines())) <= 80


def test_a_regression_is_told_and_recorded(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate(["boston", "--split", "val", "-o", "elsewhere"]) == 0
    text = capsys.readouterr().out
    assert names(runs / "elsewhere") == ["evaluation.json", "residuals.png"]
    assert not (runs / "boston" / "evaluations").exists()
    entry = read(runs / "elsewhere")
    assert entry["split"] == "val" and set(entry["intervals"]) == {"mse", "mae"}
    assert "confusion" not in entry and entry["training"]["equal"] is True
    assert "mae is in the unit of median price in 1,000 USD" in text
    assert "validation split, 41 samples" in text


def test_json_alone(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evaluate(["--json", "digits", "dataset.limit=30"])
    printed = json.loads(capsys.readouterr().out)
    assert printed == read(runs / "digits" / "evaluations" / "digits-test")
    assert (printed["samples"], printed["data_kind"]) == (30, "resplit")
    assert printed["words"] == ["dataset.limit=30"] and printed["training"] is None


def test_as_a_command(dlrun: Command, runs: Path) -> None:
    done = dlrun("evaluate", "./digits", COLUMNS="80", OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stderr
    assert "macro average" in done.stdout and done.stderr == ""


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ([], "expected one run, got none (type dlrun evaluate last)"),
        (["digits", "boston"], "expected one run, got digits boston"),
        (["digits", "-m"], "unrecognized arguments: -m"),
        (["digits", "--split", "valid"], "invalid choice: 'valid'"),
        (["digits", "--device", "tpu"], "device.name=tpu: not on this machine"),
        (["digits", "optimizer=adam"], "optimizer=adam: is not about data"),
        (["surface"], "surface: minimised a function, it has no data to be judged on (dlrun show"),
        (["nothing"], "nothing: no such directory, and there are no runs below outputs"),
        (["digits", "-o", "digits/summary.json"], "digits/summary.json: cannot be written to"),
    ],
)
def test_refused_in_a_line(runs: Path, words: list[str], text: str) -> None:
    with pytest.raises(UserError) as caught:
        evaluate(words)
    assert text in str(caught.value) and "\n" not in str(caught.value)
    assert not (runs / "digits" / "evaluations").exists()


def test_a_run_directory_that_cannot_be_written_to(runs: Path) -> None:
    (runs / "digits" / "evaluations").write_text("in the way")
    with pytest.raises(UserError, match=r"cannot be written to: .* \(say where else with -o DIR\)"):
        evaluate(["digits"])
    assert evaluate(["digits", "-o", "there"]) == 0


def differing(runs: Path, **stored: object) -> Comparison | None:
    """The comparison with a summary that says something else of the test split."""
    path = runs / "digits" / "summary.json"
    summary = json.loads(path.read_text())
    summary["metrics"] |= {f"{name}/test": value for name, value in stored.items()}
    path.write_text(json.dumps(summary))
    trained = open_trained(runs / "digits")
    source = open_source(trained, [], None, "data")
    return compared(trained, source, judge(trained, source.data, "test"))


def test_what_is_said_of_other_figures(runs: Path) -> None:
    loss = json.loads((runs / "digits" / "summary.json").read_text())["metrics"]["loss/test"]
    near = differing(runs, loss=loss * (1 + 1e-7))
    assert near is not None and near.close and not near.same
    assert near.text.startswith("equal to training's figures but for rounding: loss ")
    assert "(trained on cpu (1 thread), judged on cpu (" in near.text
    far = differing(runs, loss=2 * loss)
    assert far is not None and not far.close
    assert far.text.startswith(f"not training's figures: loss {2 * loss!r} then, {loss!r} now")
    assert differing(runs, loss="much", accuracy=None) is None


def test_names_out_of_a_config_stay_in_the_folder() -> None:
    assert file_name("../../etc/passwd-test") == "_.._etc_passwd-test"
    assert file_name("..") == "data"
    assert len(file_name("x" * 500)) == 100


def shown(trained: Trained, classes: list[str], counts: list[list[int]], width: int = 80) -> str:
    """What is printed of a classification with these counts."""
    from rich.console import Console

    confusion = np.array(counts)
    judged = Judged(
        "test",
        int(confusion.sum()),
        {"loss": 0.5, "accuracy": 0.5},
        {},
        per_class=tuple(class_scores(confusion, classes)),
        confusion=confusion,
    )
    source = open_source(trained, [], None, "data")
    console = Console(width=width, highlight=False, color_system=None)
    with console.capture() as captured:
        print_judged(console, trained, source, judged, None, [Path("evaluation.json")])
    return captured.get()


def test_hostile_and_long_names_of_classes(runs: Path) -> None:
    trained = open_trained(runs / "digits")
    text = shown(trained, ["[red]a\x1b[2J", "a name that is far too long"], [[3, 1], [0, 2]])
    assert "\x1b" not in text
    assert "[red]a\\x1b[2J" in text and "a name that is fa…" in text
    assert "1 a name that is fa…  ·  2" in text  # long names are numbered


def test_many_classes_and_a_narrow_terminal(runs: Path) -> None:
    trained = open_trained(runs / "digits")
    many = np.eye(30, dtype=int) * 5
    many[7, 8] = 20
    text = shown(trained, [f"c{k}" for k in range(30)], many.tolist())
    lines = text.splitlines()
    start = next(k for k, line in enumerate(lines) if line.startswith("class (the 10 worst)"))
    assert lines[start + 2].split() == ["c7", "1.0000", "0.2000", "0.3333", "25"]
    assert lines[start + 3].split()[0] == "c8"
    assert "confusion" not in text
    twenty = (np.eye(20, dtype=int) * 1000).tolist()
    names = [f"class{k}" for k in range(20)]
    assert "wider than this terminal, see its picture" in shown(trained, names, twenty, 60)
    wide = shown(trained, names, twenty, 160)
    assert wide.count(" 1000") == 20 and "wider" not in wide
