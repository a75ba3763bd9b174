"""A judged split in the terminal: figures with intervals, classes one by one, confusions.

Names out of files appear as they are: neither rich's markup nor escape sequences do anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from dlrun.errors import printable
from dlrun.judge.calibration import Calibration
from dlrun.judge.data import ALL
from dlrun.judge.measure import Judged
from dlrun.judge.per_class import ClassScores, macro_average
from dlrun.judge.record import Comparison
from dlrun.judge.source import Source
from dlrun.report.words import figure
from dlrun.terminal import literal, plain_table, typed_path
from dlrun.trained import Trained

MOST_CLASSES = 20  # of more the terminal shows the worst, and no confusion matrix
WORST = 10
NAME_WIDTH = 18


def print_judged(
    console: Console,
    trained: Trained,
    source: Source,
    judged: Judged,
    comparison: Comparison | None,
    files: Sequence[Path],
) -> None:
    """Prints all that was measured, and where it was written."""
    console.print(literal(headline(trained, source, judged), "bold"), soft_wrap=True)
    for note in (*trained.notes, *source.notes):
        console.print(literal(f"note: {note}", "yellow"))
    console.print()
    console.print(metrics_table(judged))
    console.print()
    for line in below_metrics(trained, judged):
        console.print(literal(line, "dim"))
    if comparison is not None:
        console.print(literal(comparison.text, "green" if comparison.close else "bold yellow"))
    for remark in judged.remarks:
        console.print(literal(f"note: {remark}", "yellow"))
    if judged.confusion is not None:
        console.print()
        print_classes(console, judged)
        print_confusion(console, judged)
    if judged.calibration is not None:
        for line in calibration_line(judged.calibration).split("\n"):
            console.print(literal(line))
        console.print()
    elif judged.confusion is None:
        console.print()
    names = ["evaluation", *(file.stem for file in files[1:])]
    for name, file in zip(names, files, strict=True):  # never cut: they are there to be copied
        console.print(literal(f"{name:<12} {typed_path(file)}"), soft_wrap=True)


def headline(trained: Trained, source: Source, judged: Judged) -> str:
    """What was judged on what."""
    whose = {"own": "", "resplit": f"{source.name}, split anew: ", "other": f"{source.name}: "}
    counted = f"{judged.num_samples:,} sample{'s' * (judged.num_samples != 1)}"
    what = {
        "val": f"validation split, {counted}",
        "train": f"training split without dropout or augmentation, {counted}",
        ALL: f"all {counted}",
    }.get(judged.split, f"{judged.split} split, {counted}")
    return f"{trained.name}  {whose[source.kind]}{what}, weights of epoch {trained.epoch}"


def metrics_table(judged: Judged) -> Table:
    """The metrics, and the intervals of those that have one."""
    table = plain_table()
    table.add_column("")
    table.add_column("value", justify="right")
    table.add_column("95 % interval")
    for name, value in judged.metrics.items():
        low, high = judged.intervals.get(name, (None, None))
        span = "" if low is None or high is None else f"{figure(low)} to {figure(high)}"
        table.add_row(name, "–" if value is None else figure(value), span)
    return table


def below_metrics(trained: Trained, judged: Judged) -> list[str]:
    """What the figures are in, and what the intervals mean."""
    lines = []
    if judged.predictions is not None:
        name = trained.data.target_name
        lines.append(f"mae is in the unit of {name}, mse in its square, mape in percent")
    if judged.intervals:
        lines.append("interval: percentile bootstrap over the samples (not over seeds)")
    return lines


def print_classes(console: Console, judged: Judged) -> None:
    """Precision, recall and F1: of every class, or of the worst among many; their mean."""
    scores = list(judged.per_class)
    many = len(scores) > MOST_CLASSES
    if many:
        present = [score for score in scores if score.support]
        scores = sorted(present, key=lambda score: score.f1 or 0.0)[:WORST]
    table = plain_table()
    table.add_column(f"class (the {len(scores)} worst)" if many else "class")
    for name in ("precision", "recall", "F1", "samples"):
        table.add_column(name, justify="right")
    for score in scores:
        table.add_row(*class_cells(score))
    table.add_section()
    table.add_row(*class_cells(macro_average(judged.per_class)), style="bold")
    console.print(table)
    console.print()


def class_cells(score: ClassScores) -> list[Text]:
    figures = (score.precision, score.recall, score.f1)
    cells = ["–" if value is None else f"{value:.4f}" for value in figures]
    return [literal(shortened(score.name)), *map(Text, cells), Text(f"{score.support:,}")]


def print_confusion(console: Console, judged: Judged) -> None:
    """The counts of true class by predicted class, where the terminal is wide enough."""
    assert judged.confusion is not None
    names = [shortened(score.name) for score in judged.per_class]
    if len(names) > MOST_CLASSES:
        return
    digits = len(str(judged.confusion.max(initial=0)))
    heads = names
    if max(map(len, names)) > max(digits, 6):  # long names are numbered: columns stay narrow
        heads = [str(k) for k in range(len(names))]
        names = [f"{k:>{len(str(len(names) - 1))}} {name}" for k, name in enumerate(names)]
    width = max(digits, *map(len, heads))
    if max(map(len, names)) + len(heads) * (width + 2) > console.width:
        console.print(literal("confusion matrix: wider than this terminal, see its picture", "dim"))
        console.print()
        return
    console.print(
        literal("confusion matrix: a row for each true class, a column for each predicted")
    )
    console.print()
    table = plain_table()
    table.collapse_padding = True
    table.add_column("")
    for head in heads:
        table.add_column(literal(head), justify="right", min_width=width)
    for k, (name, row) in enumerate(zip(names, judged.confusion.tolist(), strict=True)):
        cells = [
            Text("·", "dim") if count == 0 else Text(str(count), "bold" if j == k else "yellow")
            for j, count in enumerate(row)
        ]
        table.add_row(literal(name), *cells)
    console.print(table)
    console.print()


def calibration_line(calibration: Calibration) -> str:
    """How far confidence and accuracy lie apart, in a sentence."""
    sure, right = calibration.mean_confidence, calibration.mean_accuracy
    gap = sure - right
    verdict = "as sure as it is right"
    if abs(gap) >= 0.01:
        verdict = "surer than it is right" if gap > 0 else "less sure than it is right"
    return (
        f"calibration: expected calibration error {100 * calibration.ece:.2f} % "
        f"({len(calibration.counts)} bins)\n"
        f"mean confidence {100 * sure:.1f} %, accuracy {100 * right:.1f} %: {verdict}"
    )


def shortened(name: str) -> str:
    """A class's name on one line, cut where it is long."""
    text = printable(" ".join(name.split()))
    return text if len(text) <= NAME_WIDTH else text[: NAME_WIDTH - 1] + "…"
