"""Curves in a terminal: where their dots lie, gaps, many epochs, axes; the history of a run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dlrun.runs.history import HEIGHT, history_plots, read_history
from dlrun.runs.plot import Axis, Curve, Dot, dots, plot, value_axis

UNIT = Axis(0.0, 1.0, is_log=False)


def dots_of(values: list[float | None], at: list[int], rows: int, dashed: bool = False) -> set[Dot]:
    return set(dots(Curve("", values, "", dashed), at, UNIT, rows))


def test_a_line_goes_through_its_values_without_a_gap() -> None:
    assert dots_of([0.0, 1.0], [0, 3], 4) == {(0, 3), (1, 2), (2, 1), (3, 0)}
    steep = dots_of([0.0, 1.0], [0, 1], 4)
    assert steep == {(0, 3), (1, 2), (1, 1), (1, 0)}


def test_values_that_share_a_column_are_drawn_from_the_least_to_the_largest() -> None:
    assert dots_of([0.0, 1.0, 1 / 3], [5, 5, 5], 4) == {(5, 0), (5, 1), (5, 2), (5, 3)}


def test_a_missing_value_is_a_gap() -> None:
    assert dots_of([0.0, None, 0.0], [0, 2, 4], 4) == {(0, 3), (4, 3)}
    assert dots_of([None, None], [0, 1], 4) == set()


def test_a_dashed_curve_leaves_out_every_other_cell_but_no_single_point() -> None:
    columns = {x for x, _ in dots_of([0.0, 0.0], [0, 7], 4, dashed=True)}
    assert columns == {0, 1, 4, 5}
    assert dots_of([None, 0.5, None], [0, 2, 5], 3, dashed=True) == {(2, 1)}


@pytest.mark.parametrize(
    ("values", "axis"),
    [
        ([1.0, 49.0], Axis(1.0, 49.0, is_log=False)),
        ([1.0, 50.0], Axis(1.0, 50.0, is_log=True)),
        ([-1.0, 50.0], Axis(-1.0, 50.0, is_log=False)),
        ([0.0, 50.0], Axis(0.0, 50.0, is_log=False)),
        ([4.0, 4.0], Axis(2.0, 6.0, is_log=False)),
        ([0.0], Axis(-1.0, 1.0, is_log=False)),
    ],
)
def test_axes(values: list[float], axis: Axis) -> None:
    assert value_axis(values) == axis


def test_the_largest_numbers_have_places_on_an_axis() -> None:
    for low, high in ((-1.5e308, 1.5e308), (5e-324, 1.5e308)):
        axis = value_axis([low, high])
        assert axis is not None
        assert [axis.share(low), axis.share(high)] == [0.0, 1.0]
        assert low < axis.middle() < high


def test_a_plot_has_its_size_and_says_what_it_shows() -> None:
    curves = [
        Curve("train", [1.0, 0.5], "blue", dashed=True),
        Curve("validation", [1.0, 0.0], "red"),
    ]
    lines = [line.plain for line in plot("loss", [0, 1], curves, width=40, height=5, best=1)]
    assert [len(line) for line in lines] == [40] * 8
    assert lines[0].rstrip() == "loss  ⠤ ⠤ train  ⠤⠤⠤ validation"
    assert [line[:4].strip() for line in lines[1:6]] == ["1┤", "│", "0.5┤", "│", "0┤"]
    assert lines[6].endswith("┴")
    assert lines[7].split() == ["0", "best", "1", "1", "epoch"]


def test_a_plot_of_nothing_says_so() -> None:
    (line,) = plot("loss", [0, 1], [Curve("train", [None, None], "")], width=30, height=5)
    assert line.plain.rstrip() == "loss: no finite value"


def history(folder: Path, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "metrics.jsonl").write_text(text)
    return folder


def test_what_can_be_read_of_a_damaged_history_is_read(tmp_path: Path) -> None:
    text = (
        '{"epoch": 0, "loss/train": 2}\nnonsense\n[1]\n{"epoch": true}\n{"epoch": -1}\n'
        '{"epoch": 1, "loss/train": NaN, "loss/val": "a", "lr": 1e999}\n{"epoch": 2, "los'
    )
    lines, fault = read_history(history(tmp_path, text))
    assert lines == [
        {"epoch": 0, "loss/train": 2},
        {"epoch": 1, "loss/train": None, "loss/val": None, "lr": None},
    ]
    assert fault == "metrics.jsonl: 4 of its lines cannot be read"  # the last one is being written


def test_a_history_that_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    assert read_history(tmp_path) == ([], "there is no metrics.jsonl")
    os.mkfifo(tmp_path / "metrics.jsonl")
    lines, fault = read_history(tmp_path)
    assert lines == [] and "not a regular file" in fault


@pytest.mark.parametrize("width", [80, 120, 60, 40])
@pytest.mark.parametrize("epochs", [0, 1, 7, 1000])
def test_plots_fit_the_terminal(epochs: int, width: int, tmp_path: Path) -> None:
    rows = [
        f'{{"epoch": {k}, "loss/train": {1 / (k + 1)}, "loss/val": {2 - k % 2}, '
        f'"accuracy/train": {k / 1000}, "accuracy/val": {"NaN" if k == 5 else 0.5}}}\n'
        for k in range(epochs + 1)
    ]
    lines, fault = read_history(history(tmp_path, "".join(rows)))
    assert not fault
    plots = [line.plain for line in history_plots(lines, width, best=None)]
    assert max(map(len, plots)) <= width
    beside = width >= 80
    assert len(plots) == (HEIGHT + 4 if beside else 2 * (HEIGHT + 4))
    assert any(char > "⠀" for line in plots[1 : HEIGHT + 1] for char in line)
    assert ("loss" in plots[0], "accuracy" in plots[0]) == (True, beside)


def test_thousand_epochs_show_how_far_values_scatter(tmp_path: Path) -> None:
    rows = [f'{{"epoch": {k}, "loss/train": {k % 2}}}\n' for k in range(1001)]
    lines, _ = read_history(history(tmp_path, "".join(rows)))
    first = history_plots(lines, 80, best=None)[1].plain
    assert len(first) == 66
    assert first.count("⣿") == 31  # every other of 62 cells, full from top to bottom


def test_regression_shows_r2_beside_the_loss(tmp_path: Path) -> None:
    rows = '{"epoch": 0, "loss/train": 1, "mae/train": 1, "r2/train": 0.5}\n' * 2
    lines, _ = read_history(history(tmp_path, rows))
    title = history_plots(lines, 80, best=None)[0].plain
    assert "r2" in title and "mae" not in title


def test_accuracy_never_has_a_logarithmic_axis(tmp_path: Path) -> None:
    rows = "".join(
        f'{{"epoch": {k}, "loss/val": {v}, "accuracy/val": {v}}}\n' for k, v in enumerate([1, 0.01])
    )
    lines, _ = read_history(history(tmp_path, rows))
    title = history_plots(lines, 80, best=None)[0].plain
    assert "loss (log)" in title and "accuracy  " in title
