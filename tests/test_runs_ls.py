"""`dlrun ls`: what is listed, in which order, and how it looks on a terminal and in a file."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest
from report_runs import write_plan, write_run
from rich.cells import cell_len

from dlrun.errors import UserError
from dlrun.runs.ls import ls

ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


def listed(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    assert ls(words) == 0
    return capsys.readouterr().out.splitlines()


def on_terminal(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    width: int,
    *words: str,
) -> list[str]:
    with monkeypatch.context() as patched:
        patched.setattr("sys.stdout.isatty", lambda: True)
        patched.setenv("COLUMNS", str(width))
        patched.setenv("TERM", "xterm")
        patched.delenv("NO_COLOR", raising=False)
        return listed(capsys, *words)


@pytest.fixture
def runs() -> None:
    """A run of 2025, a sweep, a run that was killed and one that is damaged."""
    write_run(
        Path("outputs/runs/2025-01-02/03-04-05-mlp-adam-mnist5k-0a1b"),
        value=0.96,
        overrides=["quiet=true", "hydra.run.dir=x", "figures=false", "optimizer.lr=0.01"],
        hparams={"lr": 0.01, "optimizer": "adam"},
        train_seconds=75.2,
    )
    sweep = write_plan(Path("outputs/sweeps/rates/2025-02-03_04-05-06-3d4e"), [{}] * 3)
    for k in range(2):
        words = ["model=mlp", f"seed={k}", "figures=false"]
        write_run(sweep / f"000{k}-seed={k}", value=0.5 + k / 4, overrides=words)
    write_run(
        Path("outputs/runs/2025-03-04/05-06-07-cnn-sgd-digits-1b2c"),
        status="running",
        hparams={"lr": 0.1, "optimizer": "sgd"},
    )
    damaged = Path("outputs/runs/2025-04-05/06-07-08-cnn-sgd-digits-2c3d")
    damaged.mkdir(parents=True)
    (damaged / "summary.json").write_text("{")


@pytest.mark.usefixtures("runs")
def test_the_table_in_a_file_is_whole_and_the_newest_is_last(
    capsys: pytest.CaptureFixture[str],
) -> None:
    (Path("outputs/runs/2025-01-02/03-04-05-mlp-adam-mnist5k-0a1b") / "tags").write_text("good\n")
    assert listed(capsys) == [
        "when                 name                   status     accuracy/val   time  tags  "
        "settings",
        "2025-01-02 03:04:05  mlp-adam-mnist5k-0a1b  completed        0.9600   1:15  good  "
        "optimizer.lr=0.01",
        "2025-02-03 04:05:06  rates/3d4e             pending          0.7500  6.0 s        "
        "3 jobs (2 completed, 1 pending): seed; model=mlp",
        "2025-03-04 05:06:07  cnn-sgd-digits-1b2c    killed                –  3.0 s",
        "2025-04-05 06:07:08  cnn-sgd-digits-2c3d    damaged               –      –        "
        "summary.json: not the JSON of a run, or cut off",
        "3 runs and 1 sweep: 1 completed, 1 pending, 1 killed, 1 damaged",
    ]


def names(lines: list[str]) -> list[str]:
    return [line.split()[2] for line in lines[1:-1]]


ORDERS = {
    "accuracy/val": ["rates/3d4e", "mlp-", "cnn-sgd-digits-1b2c", "cnn-sgd-digits-2c3d"],
    "-accuracy/val": ["mlp-", "rates/3d4e", "cnn-sgd-digits-1b2c", "cnn-sgd-digits-2c3d"],
    "-lr": ["cnn-sgd-digits-1b2c", "mlp-", "rates/3d4e", "cnn-sgd-digits-2c3d"],
    "optimizer": ["mlp-", "cnn-sgd-digits-1b2c", "rates/3d4e", "cnn-sgd-digits-2c3d"],
    "-when": ["cnn-sgd-digits-2c3d", "cnn-sgd-digits-1b2c", "rates/3d4e", "mlp-"],
    "time": ["cnn-sgd-digits-1b2c", "rates/3d4e", "mlp-", "cnn-sgd-digits-2c3d"],
    "name": ["mlp-", "cnn-sgd-digits-1b2c", "cnn-sgd-digits-2c3d", "rates/3d4e"],
    "-status": ["rates/3d4e", "cnn-sgd-digits-1b2c", "cnn-sgd-digits-2c3d", "mlp-"],
}


@pytest.mark.usefixtures("runs")
@pytest.mark.parametrize("key", ORDERS)
def test_sorted_by_any_key_those_without_it_last(
    key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (("--sort", key), (f"--sort={key}",)):
        order = [
            name.replace("mlp-adam-mnist5k-0a1b", "mlp-") for name in names(listed(capsys, *words))
        ]
        assert order == ORDERS[key]


@pytest.mark.usefixtures("runs")
def test_only_so_many(capsys: pytest.CaptureFixture[str]) -> None:
    newest = listed(capsys, "-n", "2")
    assert names(newest) == ["cnn-sgd-digits-1b2c", "cnn-sgd-digits-2c3d"]
    assert newest[-1] == "2 runs: 1 killed, 1 damaged (of 4)"
    assert names(listed(capsys, "--sort", "-accuracy/val", "-n1")) == ["mlp-adam-mnist5k-0a1b"]
    assert len(listed(capsys, "-n", "99")) == 6


@pytest.mark.usefixtures("runs")
def test_only_those_that_fit(capsys: pytest.CaptureFixture[str]) -> None:
    fitting = listed(capsys, "--where", "optimizer=adam and accuracy/val>0.95")
    assert names(fitting) == ["mlp-adam-mnist5k-0a1b"]
    assert fitting[-1] == "1 run: 1 completed (of 4)"
    assert listed(capsys, "--where", "status=kiled") == [
        "none of 3 runs and 1 sweep fits: none has status=kiled; did you mean killed?"
    ]
    with pytest.raises(UserError, match="^--where: no run here has the key optimzer; did you mean"):
        ls(["--where", "optimzer=adam"])


@pytest.mark.usefixtures("runs")
def test_the_jobs_of_a_sweep(capsys: pytest.CaptureFixture[str]) -> None:
    lines = listed(capsys, "rates/3d4e")
    assert names(lines) == ["3d4e/0000", "3d4e/0001"]
    assert [line.partition("s  ")[2] for line in lines[1:-1]] == [
        "seed=0 model=mlp",
        "seed=1 model=mlp",
    ]
    assert lines[-1] == "2 runs: 2 completed"


@pytest.mark.usefixtures("runs")
@pytest.mark.parametrize("width", [30, 50, 60, 80, 100, 120])
def test_on_a_terminal_no_line_is_wrapped_and_settings_give_way_first(
    width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = on_terminal(capsys, monkeypatch, width)[:-1]
    plain = [ESCAPE.sub("", line) for line in lines]
    assert len(plain) == 5
    assert max(map(cell_len, plain)) <= width
    assert ("settings" in plain[0]) == (width >= 80)
    assert ("mlp-adam-mnist5k-0a1b" in plain[1]) == (width >= 80)
    assert ("optimizer.lr=0.01" in plain[1]) == (width >= 100)
    assert "-0a1b" in plain[1]  # by which it is found
    if width >= 60:
        assert "\x1b[32mcompleted\x1b[0m" in lines[1]
        assert "\x1b[1;31mdamaged\x1b[0m" in lines[4]


@pytest.mark.usefixtures("runs")
def test_the_year_is_told_where_it_is_another_one(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(Path("outputs/now"), started=f"{datetime.now().year}-01-01T00:00:00")
    lines = on_terminal(capsys, monkeypatch, 100)
    assert lines[1].startswith("2025-01-02   mlp-adam")
    assert lines[5].startswith("01-01 00:00  now")


@pytest.mark.usefixtures("runs")
def test_no_colour_where_none_is_wanted(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not any(map(ESCAPE.search, listed(capsys)))
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("NO_COLOR", "")
    assert not any(map(ESCAPE.search, listed(capsys)))


def test_what_a_terminal_would_obey_is_written_out(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    hostile = "\x1b[2J\n\u202e[bold]\ud800"
    folder = write_run(
        Path("outputs/a\x1b[31mb\n"),
        status=hostile,
        overrides=[f"a={hostile}"],
        metrics={"accuracy/val": 1e300},
    )
    (folder / "tags").write_text("t\x1b[2J")
    for lines in (listed(capsys), on_terminal(capsys, monkeypatch, 300)):
        assert len(lines) == 3
        for line in lines:
            assert ESCAPE.sub("", line).isprintable()
        assert r"a=\x1b[2J\n\u202e[bold]\ud800" in lines[1]


def test_wide_letters_keep_the_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(Path("outputs/日本語の実行"), value=0.5)
    write_run(Path("outputs/plain"), value=0.25)
    for width in (40, 60, 80):
        lines = on_terminal(capsys, monkeypatch, width)
        plain = [ESCAPE.sub("", line) for line in lines[1:-1]]
        assert len({cell_len(line.partition("completed")[0]) for line in plain}) == 1
        assert max(map(cell_len, plain)) <= width
    whole = listed(capsys)[1:-1]
    assert len({cell_len(line.partition("completed")[0]) for line in whole}) == 1


@pytest.mark.usefixtures("runs")
def test_json_has_all_and_is_valid(capsys: pytest.CaptureFixture[str]) -> None:
    text = '{"status": "completed", "metrics": {"loss/val": NaN}, "hparams": {"lr": 1e999}}'
    odd = write_run(Path("outputs/odd\udcff"), overrides=["a=\ud800"])
    (odd / "summary.json").write_text(text)

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    assert ls(["--json", "--sort", "-accuracy/val"]) == 0
    array = json.loads(capsys.readouterr().out, parse_constant=refuse)
    assert [entry["status"] for entry in array] == [
        *("completed", "pending", "killed", "damaged", "completed")
    ]
    first = array[0]
    assert set(first) == {
        *("path", "name", "kind", "status", "begun", "seconds", "overrides", "hparams"),
        *("metrics", "tags", "summary", "reason", "best"),
    }
    assert first["path"] == "outputs/runs/2025-01-02/03-04-05-mlp-adam-mnist5k-0a1b"
    assert first["best"] == {"metric": "accuracy/val", "value": 0.96}
    assert first["summary"]["parameters"] == 25
    assert array[1]["summary"]["jobs"] == {"completed": 2, "pending": 1}
    assert (array[3]["summary"], array[3]["best"]) == ({}, None)
    assert array[4]["metrics"] == {"loss/val": None} and array[4]["hparams"] == {"lr": None}


def test_where_there_is_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    hint = "(dlrun model=mlp optim=adam trains one)"
    assert listed(capsys) == [f"no runs below outputs {hint}"]
    Path("mine").mkdir()
    assert listed(capsys, "mine", "--sort", "lr") == [f"no runs below mine {hint}"]
    assert ls(["--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


REFUSED = {
    ("--sort", "accuracy/vla"): "--sort: no run here has the key accuracy/vla; did you mean accu",
    ("--sort",): "dlrun ls: argument --sort: expected one argument (type dlrun ls --sort -accura",
    ("-n", "0"): "argument -n: 0: expected a whole number above 0 (type",
    ("-n", "x"): "argument -n: x: expected a whole number above 0 (type",
    ("--wher", "x"): "unrecognized arguments: --wher",
    ("nowhere",): "nowhere: no such run below outputs",
    ("file",): "file: no folder; expected one below which runs lie",
}


@pytest.mark.usefixtures("runs")
@pytest.mark.parametrize("words", REFUSED)
def test_what_is_refused(words: tuple[str, ...]) -> None:
    Path("file").touch()
    with pytest.raises(UserError) as error:
        ls(words)
    assert REFUSED[words] in str(error.value) and "\n" not in str(error.value)


def test_nothing_heavy_is_imported() -> None:
    write_run(Path("outputs/a"), value=0.5)
    command = (
        "import sys; from dlrun.cli import command_line; code = command_line(['ls']); "
        "heavy = {'torch', 'numpy', 'pandas', 'yaml', 'omegaconf', 'hydra', 'matplotlib', 'rich'}; "
        "sys.exit(code or str(sorted(heavy & set(sys.modules))))"
    )
    environment = {**os.environ, "PYTHONWARNINGS": "error"}
    done = subprocess.run(
        [sys.executable, "-c", command], capture_output=True, text=True, env=environment
    )
    assert (done.stderr, done.stdout.splitlines()[-1]) == ("[]\n", "1 run: 1 completed")
