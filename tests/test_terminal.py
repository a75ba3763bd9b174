"""What a person sees, on a terminal and in a file that output is sent to."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console

from dlrun.models.summary import LayerRow
from dlrun.terminal import Terminal

ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")  # what moves the cursor or colours


def open_terminal(*, live: bool, width: int = 100, quiet: bool = False) -> Terminal:
    console = Console(
        file=io.StringIO(),
        force_terminal=live,
        width=width,
        quiet=quiet,
        color_system="truecolor" if live else None,
        highlight=False,
        legacy_windows=False,
        _environ={"TERM": "xterm-256color"},
    )
    return Terminal(quiet=quiet, console=console)


def output(terminal: Terminal) -> str:
    file = terminal.console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


def epoch_line(epoch: int, **others: float | None) -> dict[str, float | None]:
    line: dict[str, float | None] = {"epoch": epoch, "step": 10 * epoch}
    line |= {"loss/train": 0.5, "loss/val": 0.625, "accuracy/train": 0.75, "accuracy/val": 0.5}
    return line | {"lr": 0.001, "time/epoch": 0.5 if epoch else None, "time/total": 0.5} | others


def show_all(terminal: Terminal) -> None:
    terminal.config("outputs/run", {"model": ("mlp", {"hidden": [256]}), "run": ("", {"seed": 0})})
    terminal.data({"task": "2 classes: a, b"}, ["two images cannot be read"])
    terminal.model([LayerRow("out", "Linear", (10,), 1210, 1210)], 1210, 1210)
    terminal.start(2, 10, 640)
    for epoch in range(3):
        terminal.epoch(epoch_line(epoch))
        terminal.minibatch(10 * epoch + 5, 0.4, 0.001)
    terminal.stop()
    metrics = {"loss/train": 0.5, "loss/val": 0.625, "loss/test": None, "lr": 0.001}
    terminal.result("completed: 2 epochs", metrics, {"run": "outputs/run"}, good=True)


def test_without_a_terminal_every_epoch_is_a_line() -> None:
    terminal = open_terminal(live=False)
    show_all(terminal)
    text = output(terminal)
    assert not ESCAPE.search(text)
    assert "\r" not in text
    assert [line for line in text.splitlines() if line.startswith("epoch ")] == [
        "epoch 0/2  loss 0.5000/0.6250  accuracy 0.7500/0.5000  lr 0.001",
        "epoch 1/2  loss 0.5000/0.6250  accuracy 0.7500/0.5000  lr 0.001  0.50 s  1,280 samples/s",
        "epoch 2/2  loss 0.5000/0.6250  accuracy 0.7500/0.5000  lr 0.001  0.50 s  1,280 samples/s",
    ]
    assert "figures of an epoch: training/validation" in text


def test_without_a_terminal_the_rest_is_plain_text() -> None:
    terminal = open_terminal(live=False)
    show_all(terminal)
    lines = [line.rstrip() for line in output(terminal).splitlines()]
    assert lines[:3] == ["outputs/run", "├── model  mlp  hidden=[256]", "└── run    seed=0"]
    assert "note: two images cannot be read" in lines
    assert "out     Linear   (N, 10)             1,210" in lines
    assert "loss   0.5000       0.6250      –" in lines
    assert lines[-1] == "run          outputs/run"


def test_a_terminal_has_one_live_line() -> None:
    terminal = open_terminal(live=True)
    terminal.start(2, 10, 640)
    terminal.epoch(epoch_line(0))
    terminal.minibatch(5, 0.4, 0.001)
    terminal.epoch(epoch_line(1))
    terminal.minibatch(15, 0.375, 0.001)
    assert terminal._progress is not None
    figures = terminal._progress.tasks[0].fields["figures"]
    assert figures.startswith("loss 0.5000/0.6250  accuracy 0.7500/0.5000  0:00 left  lr 0.001")
    assert terminal._progress.tasks[0].description == "epoch 2/2"
    assert (terminal._progress.tasks[0].completed, terminal._progress.tasks[0].total) == (15, 20)
    terminal.epoch(epoch_line(2))
    terminal.stop()
    terminal.stop()  # twice does no harm
    text = output(terminal)
    assert "\x1b[2K" in text  # the line is cleared and drawn again
    last = ESCAPE.sub("", text.replace("\r", "\n")).strip().splitlines()[-1]
    assert re.fullmatch(
        r"epoch 2/2 ━+ loss 0\.5000/0\.6250  accuracy 0\.7500/0\.5000"
        r"  lr 0\.001  [\d,]+k? samples/s",
        last,
    )


def test_what_is_left_of_a_resumed_run_is_judged_by_what_it_has_done_since(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = 100.0
    monkeypatch.setattr(time, "perf_counter", lambda: clock)
    terminal = open_terminal(live=True)
    terminal.start(3, 10, 640, 10)
    assert terminal._progress is not None
    task = terminal._progress.tasks[0]
    assert (task.description, task.completed, task.total) == ("epoch 1/3", 10, 30)
    clock = 105.0
    terminal.minibatch(15, 0.4, 0.001)  # five steps in five seconds, and fifteen to go
    assert task.fields["figures"] == "0:15 left  lr 0.001  64 samples/s  minibatch loss 0.4000"
    terminal.stop()


@pytest.mark.parametrize("width", [40, 60, 80, 100, 160])
def test_the_live_line_fits_the_terminal(width: int) -> None:
    terminal = open_terminal(live=True, width=width)
    terminal.start(100, 10, 640)
    for epoch in range(3):
        terminal.epoch(epoch_line(epoch, **{"mae/train": 12.5, "mae/val": 1e9, "r2/val": -0.5}))
        terminal.minibatch(10 * epoch + 5, 0.4, 0.001)
    terminal.stop()
    drawn = ESCAPE.sub("", output(terminal).replace("\r", "\n")).splitlines()
    live = [line for line in drawn if line.startswith("epoch ")]
    assert live
    assert max(map(len, drawn)) <= width
    assert "\x1b[1A" not in output(terminal)  # it never grew to a second line


@pytest.mark.parametrize("live", [False, True])
def test_quiet_prints_nothing(live: bool) -> None:
    terminal = open_terminal(live=live, quiet=True)
    show_all(terminal)
    assert output(terminal) == ""


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("[red]x[/red]", "[red]x[/red]"),
        ("[/]", "[/]"),
        (":smile:", ":smile:"),
        ("a\x1b[2J\x1b]0;title\x07b", r"a\x1b[2J\x1b]0;title\x07b"),
        ("up\rdown\n", r"up\rdown\n"),
        ("\u202edlrow", r"\u202edlrow"),
        ("\udcff", r"\udcff"),
        ("Щука 鮭", "Щука 鮭"),
    ],
)
def test_names_are_shown_literally(live: bool, name: str, shown: str) -> None:
    terminal = open_terminal(live=live, width=120)
    shows: list[Callable[[], None]] = [
        lambda: terminal.config(name, {name: (name, {name: name})}),
        lambda: terminal.data({name: name}, [name]),
        lambda: terminal.model([LayerRow(name, name, (1,), 0, 0)], 0, 0),
        lambda: terminal.result(name, {"loss/val": 0.5}, {name: name}, good=True),
    ]
    for show, times in zip(shows, [5, 3, 2, 3], strict=True):
        before = len(output(terminal))
        show()
        text = output(terminal)[before:]
        plain = re.sub(r"\x1b\[[0-9;]*m", "", text)  # colours are ours
        assert plain.count(shown) == times
        assert "\x1b" not in plain
        assert "\x07" not in plain


def model_table(rows: list[LayerRow], total: int, trainable: int) -> list[list[str]]:
    """The cells of the model's table, row by row, ruled lines left out."""
    terminal = open_terminal(live=False)
    terminal.model(rows, total, trainable)
    lines = [line.strip() for line in output(terminal).splitlines()]
    return [re.split(r"\s{2,}", line) for line in lines if line.strip("─")]


def test_the_model_says_what_is_frozen() -> None:
    rows = [
        LayerRow("body", "Linear", (1000,), 4000, 0),
        LayerRow("norm", "BatchNorm1d", (1000,), 2000, 1000),  # in part
        LayerRow("head", "Linear", (3,), 3003, 3003),
    ]
    assert model_table(rows, 9003, 4003) == [
        ["layer", "type", "output shape", "parameters", "frozen"],
        ["body", "Linear", "(N, 1000)", "4,000", "4,000"],
        ["norm", "BatchNorm1d", "(N, 1000)", "2,000", "1,000"],
        ["head", "Linear", "(N, 3)", "3,003", "0"],
        ["total", "9,003"],
        ["trainable", "4,003"],
        ["frozen", "5,000"],
    ]


def test_the_model_does_not_speak_of_frozen_when_nothing_is() -> None:
    assert model_table([LayerRow("head", "Linear", (3,), 3003, 3003)], 3003, 3003) == [
        ["layer", "type", "output shape", "parameters"],
        ["head", "Linear", "(N, 3)", "3,003"],
        ["total", "3,003"],
    ]


def test_large_numbers_stay_short() -> None:
    terminal = open_terminal(live=False)
    terminal.start(1, 10, 640)
    terminal.epoch(epoch_line(1, **{"loss/train": 4.784e13, "loss/val": float("nan")}))
    assert "loss 4.784e+13/nan" in output(terminal)


def test_a_long_path_is_not_broken() -> None:
    path = "outputs/" + 20 * "sweep/"
    terminal = open_terminal(live=False, width=40)
    terminal.config(path, {"model": ("mlp", {})})
    terminal.result("completed", {}, {"run": path}, good=True)
    assert output(terminal).count(path) == 2


def table_of(terminal: Terminal, heading: str) -> list[list[str]]:
    """The cells of the table that begins with this heading, ruled lines left out."""
    lines = [line.strip() for line in output(terminal).splitlines()]
    (first,) = (k for k, line in enumerate(lines) if line.startswith(heading))
    rows = []
    for line in lines[first:]:
        if not line:
            break
        rows.append(re.split(r"\s{2,}", line))
    return [row for row in rows if row[0].strip("─")]


METRICS = {
    **{"loss/train": 0.5, "loss/val": 0.6, "loss/test": 0.7},
    **{"accuracy/train": 0.75, "accuracy/val": 0.8125, "accuracy/test": 0.7},
}


def show_result(terminal: Terminal, **others: Any) -> None:
    terminal.result("completed", METRICS, {"run": "outputs/run"}, good=True, **others)


def test_baselines_stand_below_the_network() -> None:
    terminal = open_terminal(live=False)
    baselines = {
        "constant": {"accuracy/train": 0.1, "accuracy/val": 0.125, "accuracy/test": 0.11},
        "knn": {"accuracy/train": 0.9, "accuracy/val": None, "accuracy/test": 0.85},
    }
    show_result(terminal, baselines=baselines)
    assert table_of(terminal, "on the same splits") == [
        ["on the same splits", "accuracy/val", "accuracy/test"],
        ["network", "0.8125", "0.7000"],
        ["constant", "0.1250", "0.1100"],
        ["knn", "–", "0.8500"],
    ]


def test_baselines_have_validation_of_one_metric_and_test_of_all() -> None:
    terminal = open_terminal(live=False)
    names = [f"{m}/{s}" for s in ("train", "val", "test") for m in ("mse", "mae", "r2")]
    figures = {name: float(k) for k, name in enumerate(names)}
    nothing = dict.fromkeys(("mse/train", "mse/val", "mse/test", "mape/test"))
    terminal.result("completed", figures, {}, good=True, baselines={"a": figures, "b": nothing})
    headings, *rows = table_of(terminal, "on the same splits")
    assert headings[1:] == ["mse/val", "mse/test", "mae/test", "r2/test"]  # no column of dashes
    assert rows[0][1:] == ["3.0000", "6.0000", "7.0000", "8.0000"]
    assert rows[2] == ["b", "–", "–", "–", "–"]


def test_without_baselines_there_is_no_table_of_them() -> None:
    terminal = open_terminal(live=False)
    show_result(terminal, baselines={})
    assert "same splits" not in output(terminal)


def test_remarks_stand_between_figures_and_files() -> None:
    terminal = open_terminal(live=False, width=40)
    remark = "gradients are sound: [red]" + 60 * "x"
    show_result(terminal, remarks=[remark, "and more"])
    lines = output(terminal).splitlines()
    assert lines[-4:] == [remark, "and more", "", "run          outputs/run"]  # none is broken


def test_a_run_without_a_learning_rate_shows_none() -> None:
    terminal = open_terminal(live=False)
    terminal.start(1, 1, 10)
    terminal.epoch(epoch_line(1, lr=None))
    (line,) = (line for line in output(terminal).splitlines() if line.startswith("epoch"))
    assert line == "epoch 1/1  loss 0.5000/0.6250  accuracy 0.7500/0.5000  0.50 s  20 samples/s"


def test_the_live_line_of_a_run_without_a_learning_rate_shows_none() -> None:
    terminal = open_terminal(live=True, width=160)
    terminal.start(2, 10, 640)
    terminal.epoch(epoch_line(0, lr=None))
    terminal.minibatch(5, 0.4, None)
    assert terminal._progress is not None
    figures = terminal._progress.tasks[0].fields["figures"]
    terminal.stop()
    assert "lr" not in figures
    assert figures.endswith("minibatch loss 0.4000")


def test_a_surface_shows_where_it_ended() -> None:
    terminal = open_terminal(live=False)
    metrics = {f"{name}/{split}": 0.5 for name in ("loss", "x", "y") for split in ("train", "val")}
    terminal.result("completed", metrics, {}, good=True)
    text = output(terminal)
    assert re.search(r"^x +0\.5000 +0\.5000 +–$", text, re.MULTILINE)
    terminal = open_terminal(live=False)
    terminal.result("completed", {**metrics, "x/train": None, "x/val": None}, {}, good=True)
    assert not re.search(r"^x ", output(terminal), re.MULTILINE)  # more than two dimensions
