"""What `dlrun export` prints: the file, its size, how far it is from the model, how to load it."""

from __future__ import annotations

from rich.console import Console

from dlrun.export.facts import gives_text, takes
from dlrun.export.formats import FORMATS
from dlrun.export.write import Exported
from dlrun.models.summary import total_parameters
from dlrun.terminal import display_path, literal, plain_table, typed_path


def tell_export(exported: Exported) -> None:
    """Prints what was written."""
    console = Console(highlight=False)
    trained, compared = exported.trained, exported.compared
    console.print(literal(f"{trained.name}: the weights of epoch {trained.epoch}"), soft_wrap=True)
    console.print(literal(f"takes  {takes(trained.data)}"), soft_wrap=True)
    gives = gives_text(trained.data, exported.deployed.gives)
    console.print(literal(f"gives  {gives}"), soft_wrap=True)
    console.print()
    console.print(literal(f"largest difference of an output, on {compared.samples}:"))
    console.print(literal("in batches of N from the network in torch; and from dlrun predict"))
    table = plain_table()
    table.add_column("format")
    differences = {f"N={batch}": value for batch, value in compared.differences.items()}
    differences["predict"] = compared.from_predict
    for name in ("size", "parameters", *differences):
        table.add_column(name, justify="right")
    table.add_row(
        exported.format,
        size_text(exported.path.stat().st_size),
        f"{total_parameters(exported.deployed).parameters:,}",
        *(f"{value:.1e}" if value else "0" for value in differences.values()),
    )
    console.print(table)
    console.print()
    for note in exported.notes:
        console.print(literal(f"note: {note}", "yellow"), soft_wrap=True)
    file = repr(display_path(exported.path))
    rows = {
        "file": typed_path(exported.path),
        "model card": typed_path(exported.card),
        "load it": FORMATS[exported.format].loaded_by.format(file=file),
    }
    for name, text in rows.items():  # never broken or cut: they are there to be copied
        console.print(literal(f"{name:<11} {text}"), soft_wrap=True)


def size_text(size: int) -> str:
    """Bytes in a unit of three digits or so.

    >>> size_text(900), size_text(205_000), size_text(45_000_000)
    ('900 B', '200 KiB', '42.9 MiB')
    """
    if size < 1024:
        return f"{size} B"
    return f"{size / 1024:.0f} KiB" if size < 2**20 else f"{size / 2**20:.1f} MiB"
