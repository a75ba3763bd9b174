"""What a person sees in the terminal: the config, the model, a live line, the final table."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

if TYPE_CHECKING:
    from dlrun.models.summary import LayerRow  # which needs torch, as reports do not

# Metrics shown while training, by what the run has of them.
SHOWN = ("loss", "accuracy", "mae", "r2")
MIN_BAR, MAX_BAR = 8, 20  # columns of the live line's bar


class Terminal:
    """Prints to standard output; nothing at all when quiet.

    On a terminal a live line shows where training is; elsewhere every epoch prints one line.
    Names out of configs and data appear as they are: neither rich's markup nor the terminal's
    escape sequences in them do anything.
    """

    def __init__(self, *, quiet: bool = False, console: Console | None = None) -> None:
        self.console = console or Console(quiet=quiet, highlight=False)
        self._progress: Progress | None = None
        self._bar = BarColumn()
        self._task = TaskID(0)
        self._line: Mapping[str, float | None] = {}
        self._epochs = 0
        self._steps_per_epoch = 1
        self._first_step = 0
        self._samples_per_step = 1.0
        self._start = 0.0

    def config(self, title: str, groups: Mapping[str, tuple[str, Mapping[str, Any]]]) -> None:
        """A short tree: each group's choice and the values that it sets."""
        # A tree would cut or break its title; a path is there to be copied.
        self._print(literal(title, "bold"), soft_wrap=True, end="")
        tree = Tree("", guide_style="dim")
        width = max(len(name) for name in groups)
        for name, (choice, values) in groups.items():
            row = literal(f"{name:<{width}}")
            if choice:
                row.append("  ").append(literal(choice, "bold cyan"))
            for key, value in values.items():
                row.append("  ").append(literal(f"{key}=", "dim")).append(literal(_short(value)))
            tree.add(row)
        self._print(tree)

    def data(self, rows: Mapping[str, str], notes: Sequence[str]) -> None:
        """Sizes, shapes and classes of the splits, and what to know about the data."""
        table = Table.grid(padding=(0, 2))
        for name, value in rows.items():
            table.add_row(literal(name, "dim"), literal(value))
        self._print()
        self._print(table)
        for note in notes:
            self._print(literal(f"note: {note}", "yellow"))

    def model(self, rows: Sequence[LayerRow], total: int, trainable: int) -> None:
        """Layers with output shapes and parameters, in the manner of Keras; what is frozen."""
        frozen = total - trainable
        table = plain_table()
        for name in ("layer", "type", "output shape"):
            table.add_column(name)
        table.add_column("parameters", justify="right")
        if frozen:
            table.add_column("frozen", justify="right")
        for row in rows:
            shape = ", ".join(str(size) for size in row.output_shape)
            counts = [f"{row.parameters:,}"]
            if frozen:
                counts.append(f"{row.parameters - row.trainable:,}")
            table.add_row(literal(row.name), literal(row.type), f"(N, {shape})", *counts)
        table.add_section()
        table.add_row("total", "", "", Text(f"{total:,}", style="bold"))
        if frozen:
            table.add_row("trainable", "", "", f"{trainable:,}")
            table.add_row("frozen", "", "", f"{frozen:,}")
        self._print()
        self._print(table)

    def start(self, epochs: int, steps_per_epoch: int, num_samples: int, step: int = 0) -> None:
        """Training begins, or goes on after `step` steps."""
        self._epochs, self._steps_per_epoch, self._first_step = epochs, steps_per_epoch, step
        self._samples_per_step = num_samples / steps_per_epoch
        self._start = time.perf_counter()
        self._print()
        self._print(Text("figures of an epoch: training/validation", style="dim"))
        if self.console.is_terminal and not self.console.quiet and epochs > 0:
            self._bar = BarColumn(bar_width=MAX_BAR)
            self._progress = Progress(
                TextColumn("{task.description}"),
                self._bar,
                TextColumn("{task.fields[figures]}", markup=False),
                console=self.console,
                refresh_per_second=4,
            )
            self._task = self._progress.add_task(
                f"epoch {step // steps_per_epoch}/{epochs}",
                completed=step,
                total=epochs * steps_per_epoch,
                figures="",
            )
            self._progress.start()

    def minibatch(self, step: int, loss: float, lr: float | None) -> None:
        """The live line moves on."""
        if self._progress is not None:
            epoch = min(self._epochs, step // self._steps_per_epoch + 1)
            self._show(step, epoch, lr, f"minibatch loss {_figure(loss)}")

    def epoch(self, line: Mapping[str, float | None]) -> None:
        """An epoch is over."""
        self._line = line
        epoch, step = int(line["epoch"] or 0), int(line["step"] or 0)
        if self._progress is not None:
            self._show(step, epoch, line["lr"])
        elif not self.console.quiet:
            seconds = line["time/epoch"]
            speed = ""
            if seconds:
                samples = self._steps_per_epoch * self._samples_per_step
                speed = f"  {seconds:.2f} s  {samples / seconds:,.0f} samples/s"
            lr = "" if line["lr"] is None else f"  lr {line['lr']:.3g}"
            self._print(
                Text(f"epoch {epoch}/{self._epochs}  {'  '.join(_pairs(line))}{lr}{speed}"),
                soft_wrap=True,
            )

    def _print(self, content: Any = "", **options: Any) -> None:
        """Prints; a quiet console would lay everything out, only to drop it then."""
        if not self.console.quiet:
            self.console.print(content, **options)

    def _show(self, step: int, epoch: int, lr: float | None, minibatch: str = "") -> None:
        """Redraws the live line, always one line: a narrow terminal gets fewer figures."""
        assert self._progress is not None
        seconds = time.perf_counter() - self._start
        num_steps, made = self._epochs * self._steps_per_epoch, step - self._first_step
        figures = _pairs(self._line)
        if made > 0 and step < num_steps:
            figures.append(f"{clock(seconds / made * (num_steps - step))} left")
        if lr is not None:
            figures.append(f"lr {lr:.3g}")
        if made > 0 and seconds > 0:
            figures.append(f"{_thousands(made * self._samples_per_step / seconds)} samples/s")
        if minibatch:
            figures.append(minibatch)
        description = f"epoch {epoch}/{self._epochs}"
        room = self.console.width - len(description) - 2
        while figures and len("  ".join(figures)) > room - MIN_BAR:
            figures.pop()
        text = "  ".join(figures)
        self._bar.bar_width = max(MIN_BAR, min(MAX_BAR, room - len(text)))
        self._progress.update(self._task, completed=step, description=description, figures=text)

    def stop(self) -> None:
        """The live line ends; safe to call more than once."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def result(
        self,
        headline: str,
        metrics: Mapping[str, float | None],
        files: Mapping[str, str],
        *,
        good: bool,
        baselines: Mapping[str, Mapping[str, float | None]] | None = None,
        remarks: Sequence[str] = (),
    ) -> None:
        """One table of the final figures, baselines beside them, and where everything lies.

        remarks: lines on what was seen besides.
        """
        names = list(dict.fromkeys(name.partition("/")[0] for name in metrics if "/" in name))
        splits = ("train", "val", "test")
        names = [n for n in names if any(metrics.get(f"{n}/{s}") is not None for s in splits)]
        table = plain_table()
        table.add_column("")
        for split in ("train", "validation", "test"):
            table.add_column(split, justify="right")
        for name in names:
            values = [metrics.get(f"{name}/{split}") for split in splits]
            table.add_row(
                literal(name), *("–" if value is None else _figure(value) for value in values)
            )
        self._print()
        self._print(literal(headline, "bold green" if good else "bold red"), soft_wrap=True)
        self._print()
        self._print(table)
        self._print()
        if baselines:
            self._baselines(metrics, baselines)
        for remark in remarks:
            self._print(literal(remark, "yellow"), soft_wrap=True)
        if remarks:
            self._print()
        for name, value in files.items():
            self._print(literal(f"{name:<12} {value}"), soft_wrap=True)

    def _baselines(
        self,
        metrics: Mapping[str, float | None],
        baselines: Mapping[str, Mapping[str, float | None]],
    ) -> None:
        """The network's figures of the test split above those of each baseline.

        Of the first metric also those of validation.
        """
        rows = {"network": metrics, **baselines}
        found = list(dict.fromkeys(name for figures in baselines.values() for name in figures))
        present = [n for n in found if any(row.get(n) is not None for row in rows.values())]
        names = [n for n in present if n.endswith("/val")][:1]
        names += [n for n in present if n.endswith("/test")]
        table = plain_table()
        table.add_column("on the same splits")
        for name in names:
            table.add_column(literal(name), justify="right")
        for title, figures in rows.items():
            values = [figures.get(name) for name in names]
            cells = ["–" if value is None else _figure(value) for value in values]
            table.add_row(literal(title), *cells, style="bold" if title == "network" else "")
        self._print(table)
        self._print()


def display_path(path: Path) -> str:
    """The path as one would type it from the current directory."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def typed_path(path: Path) -> str:
    r"""The path as one would type it in a shell, from the current directory.

    >>> print(typed_path(Path("runs/a b")), typed_path(Path("-x")), typed_path(Path("a\x1b'b")))
    'runs/a b' ./-x $'a\x1b\'b'
    """
    text = display_path(path)
    text = f"./{text}" if text.startswith("-") else text
    if text.isprintable():
        return shlex.quote(text)
    # Within $'...' a shell reads escapes, so that what is copied names the same path.
    letters = (
        f"\\{char}" if char in "\\'" else char if char.isprintable() else _escaped_bytes(char)
        for char in text
    )
    return f"$'{''.join(letters)}'"


def _escaped_bytes(char: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in os.fsencode(char))


def plain_table(**options: Any) -> Table:
    """A table with a line below its header and between its sections, and no other."""
    return Table(
        box=box.HORIZONTALS,
        show_edge=False,
        pad_edge=False,
        header_style="dim",
        border_style="dim",
        **options,
    )


def literal(text: str, style: str = "") -> Text:
    """The text as it stands, with what a terminal would obey or hide written out.

    >>> literal("[red]a\\x1b[2Jb").plain
    '[red]a\\\\x1b[2Jb'
    """
    shown = (
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )
    return Text("".join(shown), style=style)


def _pairs(line: Mapping[str, float | None]) -> list[str]:
    """`loss 0.12/0.15` (training/validation) for each metric shown that the line has."""
    parts = []
    for name in SHOWN:
        values = [line.get(f"{name}/{split}") for split in ("train", "val")]
        present = [_figure(value) for value in values if value is not None]
        if present:
            parts.append(f"{name} {'/'.join(present)}")
    return parts


def _figure(value: float) -> str:
    """A metric with four decimals, or four digits where there would be too many before the point.

    >>> _figure(0.95), _figure(47840143343616.0)
    ('0.9500', '4.784e+13')
    """
    return f"{value:.4f}" if abs(value) < 1e5 else f"{value:.4g}"


def _thousands(value: float) -> str:
    """A rate, short enough for the live line.

    >>> _thousands(950), _thousands(45210), _thousands(3.2e6)
    ('950', '45k', '3,200k')
    """
    return f"{value:,.0f}" if value < 10_000 else f"{value / 1000:,.0f}k"


def _short(value: Any) -> str:
    """A config value as one would type it, cut at 40 characters.

    >>> _short(True), _short([64, 64])
    ('true', '[64,64]')
    """
    text = str(value).lower() if isinstance(value, bool) else str(value).replace(", ", ",")
    return text if len(text) <= 40 else text[:39] + "…"


def clock(seconds: float) -> str:
    """Minutes and seconds, with hours when there are any.

    >>> clock(75), clock(3700)
    ('1:15', '1:01:40')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
