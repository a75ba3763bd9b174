"""`dlrun report SWEEP_DIR...`: the answer of a sweep, or of several as one comparison."""

from __future__ import annotations

import argparse
import secrets
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from dlrun.failures import failures_told
from dlrun.report.results import print_report
from dlrun.report.write import Report, write_report
from dlrun.verbs import VerbParser

if TYPE_CHECKING:
    from rich.console import Console

SWEEPS = Path("outputs/sweeps")
COMPARISONS = Path("outputs/reports")


def report(words: Sequence[str]) -> int:
    """Exit code of `dlrun report WORDS`: 0 when the report is written, whatever it says."""
    parser = flag_parser()
    args = parser.parse_intermixed_args(list(words))
    if not args.folders:
        parser.error("expected the folder of a sweep, or several")
    make_report([Path(folder) for folder in args.folders], args.out, quiet=args.quiet)
    return 0


def flag_parser() -> VerbParser:
    """The parser of what follows `dlrun report`."""
    parser = VerbParser(
        "report",
        usage="dlrun report [-q] [-o DIR] SWEEP_DIR [SWEEP_DIR ...]",
        description="Tell which setting of a sweep is best, and by how much: tables here, "
        "results.csv, report.html and figures. Several folders, also of single runs, make one "
        "comparison. A sweep that is running or damaged is told as far as it goes.",
        example=f"dlrun report {_example()}",
    )
    parser.add_argument("folders", nargs="*", help=argparse.SUPPRESS)
    parser.add_argument(
        "-o",
        dest="out",
        metavar="DIR",
        type=Path,
        help=f"where it is written: the sweep's own folder, or {COMPARISONS}/DATE_TIME-1a2b for "
        "several",
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="no output but errors")
    return parser


def _example() -> str:
    """The newest sweep below the current directory, else what the folder of one looks like."""
    from dlrun.terminal import typed_path

    plans = SWEEPS.glob("*/*/sweep.yaml")
    newest = max((plan.parent for plan in plans), key=lambda folder: folder.name, default=None)
    return f"{SWEEPS}/NAME/DATE_TIME-1a2b" if newest is None else typed_path(newest)


@failures_told()
def make_report(folders: Sequence[Path], out: Path | None, *, quiet: bool) -> Report:
    """Writes the report about the folders into `out`, prints its tables, and says where it lies.

    out: None for the folder itself, or for one below outputs/reports where there are several.
    Whatever is missing, nothing completed or no seeds, the report says so and shows the rest.

    Raises UserError for a folder that is no sweep, and when `out` cannot be made; Failure when
    the disk is full, say.
    """
    from rich.console import Console

    folders = list({folder.resolve(): folder for folder in folders}.values())  # each one once
    if out is None:
        out = folders[0] if len(folders) == 1 else _new_folder()
    made = write_report(folders, out)
    if not quiet:
        console = Console(highlight=False)
        print_report(made.sweep, console)
        _print_where(made, console)
    return made


def _new_folder() -> Path:
    return COMPARISONS / f"{datetime.now():%Y-%m-%d_%H-%M-%S}-{secrets.token_hex(2)}"


def _print_where(made: Report, console: Console) -> None:
    """Names what the report lacks, and the paths to go on with."""
    from rich.text import Text

    from dlrun.terminal import typed_path

    if made.missing:
        lacks = ", ".join(made.missing)
        console.print(Text(f"Not shown: {lacks} (report.html says why)", style="dim"))
    lines = {
        "report": typed_path(made.page),
        "results": typed_path(made.results),
        "TensorBoard": f"tensorboard --logdir {typed_path(made.logdir)}",
    }
    console.print()
    for name, text in lines.items():  # never broken or cut: they are there to be copied
        console.print(Text(f"{name:<11}  {text}"), soft_wrap=True)
