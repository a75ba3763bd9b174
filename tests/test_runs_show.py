"""`dlrun show`: what it tells of runs and sweeps, whole, under way, damaged or hostile."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from report_runs import write_plan, write_run
from rich.console import Console

from dlrun import run, schema
from dlrun.errors import UserError
from dlrun.run_files import locked
from dlrun.runs.config import config_groups, flat_config, read_config
from dlrun.runs.records import read_record
from dlrun.runs.show import data_text, show
from dlrun.runs.show_sweep import best_jobs

CURVE = [0.1, 0.5, 0.9]


@pytest.fixture(autouse=True)
def eighty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One real run."""
    folder = tmp_path_factory.mktemp("show") / "outputs" / "runs" / "2030-01-02" / "a-run-1a2b"
    words = ["dataset=moons", "model.hidden=[4]", "regularization=l1", f"hydra.run.dir={folder}"]
    return run(*words, epochs=2, quiet=True, figures=True).run_dir


def told(capsys: pytest.CaptureFixture[str], *words: str | Path) -> str:
    """What `dlrun show WORDS` prints; nothing goes to standard error."""
    assert show([str(word) for word in words]) == 0
    output, errors = capsys.readouterr()
    assert errors == ""
    return output


def test_a_run_is_told_from_its_config_to_what_to_type_next(
    trained: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(trained.parents[3])
    (trained / "tags").write_text("baseline\n")
    text = told(capsys, "last")
    summary = json.loads((trained / "summary.json").read_text())
    place = "outputs/runs/2030-01-02/a-run-1a2b"
    assert text.startswith(f"{place}\n├── model           mlp  hidden=[4]  activation=relu")
    assert "regularization  l1  l1=1e-05\n" in text
    assert "run             epochs=2  batch_size=64  seed=0\n" in text
    assert f"completed: 2 epochs, {summary['steps']} steps, " in text
    best = summary["best_epoch"]
    assert f"best epoch {best}\n" in text
    metrics = [summary["metrics"][f"accuracy/{split}"] for split in ("train", "val", "test")]
    row = next(line for line in text.splitlines() if line.startswith("accuracy  "))
    assert row.split() == ["accuracy", *(f"{value:.4f}" for value in metrics)]
    assert "loss  ⠤ ⠤ train  ⠤⠤⠤ validation" in text
    assert f"device       {summary['device']}, fp32\n" in text
    assert f"versions     dlrun {summary['versions']['dlrun']}, python 3." in text
    assert "tags         baseline\n" in text
    assert f"figures      {place}/figures/\n             " in text
    assert "learning_curves.png" in text
    assert f"checkpoints  {place}/checkpoints/\n             best.pt (" in text
    assert f"TensorBoard  tensorboard --logdir {place}\n" in text
    assert text.endswith(
        "next         dlrun evaluate a-run-1a2b\n"
        "             dlrun predict a-run-1a2b FILE\n"
        "             dlrun rerun a-run-1a2b\n"
    )
    assert max(map(len, text.partition("\ntyped ")[0].splitlines())) <= 80


def test_the_config_is_told_as_at_the_start_of_a_run(trained: Path) -> None:
    from dlrun.describe import config_tree
    from dlrun.trained import open_trained

    opened = open_trained(trained)
    config, fault = read_config(trained)
    assert fault == ""
    assert config_groups(config, opened.summary["hparams"]) == config_tree(
        opened.settings, opened.choices
    )


def test_all_groups_have_their_place_in_the_config(tmp_path: Path) -> None:
    config = {group: {"name": "a", "new": 1} for group in schema.GROUPS}
    groups = config_groups(config, {"model": "mlp"})
    assert list(groups) == list(schema.GROUPS)
    assert groups["model"] == ("mlp", {"name": "a", "new": 1})
    assert groups["stopping"] == ("", {"new": 1})


def test_a_running_run_is_told_as_far_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_run(
        tmp_path / "a", curve=CURVE, status="running", hparams={"epochs": 9}, train_seconds=None
    )
    with locked(folder):
        text = told(capsys, folder)
    assert "running: 2 of 9 epochs, figures of the last\n" in text
    assert "accuracy       –       0.9000      –\n" in text
    assert "next" not in text
    killed = told(capsys, folder)
    assert "killed: 2 of 9 epochs, figures of the last; it stopped without a word\n" in killed


def test_a_failed_run_says_why_and_how_to_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_run(tmp_path / "a b", curve=CURVE, status="failed", error="no\x1b[2J room\nfree")
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / "last.pt").write_bytes(b"x" * 1500)
    text = told(capsys, folder)
    assert "failed: 2 epochs, figures of the last, 20 steps, 3.0 s of training" in text
    assert "error        no\\x1b[2J room\n             free\n" in text
    assert "             last.pt (1.5 kB)\n" in text
    assert "next         dlrun resume 'a b'\n" in text


def test_a_run_without_an_epoch_has_no_history(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_run(tmp_path / "a", status="failed", hparams={"model": "mlp"})
    (folder / "metrics.jsonl").unlink()
    text = told(capsys, folder)
    assert "failed: 0 epochs, 0 steps" in text
    assert "metrics.jsonl" not in text and "⠤" not in text
    assert "there is no .hydra/config.yaml\n" in text


def test_a_run_that_lost_its_summary_is_told_from_what_is_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_run(tmp_path / "a", curve=CURVE)
    (folder / "summary.json").write_text('{"status": "comp')
    text = told(capsys, folder)
    assert "damaged: 2 epochs can be read\n" in text
    assert "summary.json: not the JSON of a run, or cut off\n" in text
    assert "0.9000" in text and "accuracy  ⠤⠤⠤ validation" in text


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"^empty: is no run that can be read: summary.json"):
        show(["empty"])
    with pytest.raises(UserError, match=r"^dlrun show: .*type dlrun show last"):
        show([])


HOSTILE = {
    "status": "[red]\x1b[2J",
    "epochs": "many",
    "steps": {"a": 1},
    "best_epoch": [1],
    "stopped_by": {"\x1b": 1},
    "baselines": {"a": 3, "b": {"loss/test": "x"}},
    "device": ["\x1b[31m"],
    "versions": {"dlrun": {"\x07": 1}},
    "git": {"commit": 12, "dirty": "\x1b"},
    "data": {"name": "\x1b", "num_samples": {"train": "x", "\x1b": 2}, "checksum": 5},
    "resumed": [1, 2],
    "hparams": {"model": "[bold]\x1b", "epochs": "x", "precision": {}},
    "overrides": ["a\x1b[2J=[blink]"],
}


def test_nothing_that_a_stranger_wrote_does_anything(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_run(tmp_path / "a", curve=CURVE, **HOSTILE)
    (folder / ".hydra").mkdir()
    (folder / ".hydra" / "config.yaml").write_text('model: {"\\e[2J": "[red]x\\e[2J"}\nloss: 3\n')
    (folder / "tags").write_text("\x1b[2J\n")
    (folder / "figures").mkdir()
    (folder / "figures" / "\x1b[2J.png").touch()
    text = told(capsys, folder)
    assert "\x1b" not in text and "\x07" not in text
    assert "[red]\\x1b[2J: 0 epochs" in text and "[red]x\\x1b[2J" in text


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a: [1", "damaged, expected YAML"),
        ("a: &x [1]\nb: *x\n", "is no config"),
        ("a: !!python/object/apply:os.system [true]\n", "is no config"),
        ("- a\n", "is no config"),
        ("[" * 200 + "]" * 200, "is no config"),
        (f"a: 0x{'f' * 60_000}\n", "damaged, expected YAML"),
        ("a: 1\n" * 20_000, "100,000 bytes"),
    ],
)
def test_a_config_that_is_no_config_is_told(text: str, fault: str, tmp_path: Path) -> None:
    (tmp_path / ".hydra").mkdir()
    (tmp_path / ".hydra" / "config.yaml").write_text(text)
    config, found = read_config(tmp_path)
    assert config == {}
    assert fault in found


def test_values_of_a_config_by_dotted_key() -> None:
    assert flat_config({"a": {"b": {"c": 1}, "d": {}}, 3: None}) == {
        **{"a.b.c": 1, "a.d": {}},
        "3": None,
    }


def test_data_is_told_as_far_as_it_is_known() -> None:
    whole = {"name": "moons", "num_samples": {"train": 1200, "val": 3}, "checksum": "ab" * 32}
    assert data_text(whole) == "moons, 1,200 train, 3 val, SHA-256 abababababab…"
    assert data_text(None) == data_text([]) == ""


def sweep(folder: Path, values: list[float], **entries: str) -> Path:
    write_plan(folder, [{"x": k} for k in range(len(values))], **entries)
    for k, value in enumerate(values):
        write_run(folder / f"{k:04d}-x={k}", value=value, overrides=["a=1", f"x={k}"])
    return folder


def test_a_sweep_is_told_by_its_best_jobs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = sweep(tmp_path / "s", [0.2, 0.9, 0.3, 0.4, 0.5, 0.6, 0.7])
    text = told(capsys, folder)
    assert text.startswith("s\ncompleted sweep: 7 jobs: 7 completed; 21.0 s of training\n")
    assert "typed        a=1\nswept        x\n" in text
    rows = [line.split() for line in text.splitlines() if line[:1].isdigit()]
    assert rows == [
        [str(place), f"{value:.4f}", f"x={job}", "completed"]
        for place, (value, job) in enumerate(
            [(0.9, 1), (0.7, 6), (0.6, 5), (0.5, 4), (0.4, 3)], start=1
        )
    ]
    assert "the best of 7 jobs" in text
    assert text.endswith("report       dlrun report s\nbest job     dlrun show s/0001-x=1\n")


def test_the_plan_says_what_is_best(tmp_path: Path) -> None:
    folder = sweep(tmp_path / "s", [0.2, 0.9, 0.3], direction="minimize")
    assert [job.name for job in best_jobs(read_record(folder))] == [
        "0000-x=0",
        "0002-x=2",
        "0001-x=1",
    ]


def test_a_sweep_cut_short_says_how_to_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_plan(tmp_path / "s", [{"x": 0}, {"x": 1}])
    write_run(folder / "0000-x=0", status="failed")
    text = told(capsys, folder)
    assert "pending sweep: 2 jobs: 1 failed, 1 pending; 3.0 s of training\n" in text
    assert text.endswith("go on        dlrun resume s\n")


def test_colours_are_for_terminals_alone(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from dlrun.runs.show import show_run

    assert "\x1b" not in told(capsys, trained)
    console = Console(file=io.StringIO(), force_terminal=True, width=100, highlight=False)
    show_run(read_record(trained), console)
    assert isinstance(console.file, io.StringIO)
    assert "\x1b[" in console.file.getvalue()
