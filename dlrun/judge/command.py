"""`dlrun evaluate RUN`: what a trained network is worth, on its own data or on other data."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dlrun.errors import shown
from dlrun.failures import failures_told
from dlrun.runs.find import find_run
from dlrun.verbs import RUN_HELP, TRUST_HELP, VerbParser

if TYPE_CHECKING:
    from dlrun.targets import Trust

SPLITS = ("test", "val", "train", "all")


def evaluate(words: Sequence[str]) -> int:
    """Exit code of `dlrun evaluate WORDS`: 0 when the figures are told, whatever they are."""
    parser = flag_parser()
    args = parser.parse_intermixed_args(list(words))
    run, overrides = told_apart(parser, args.words)
    if args.trust:  # else nothing that lies in the current directory is imported for a stored run
        from dlrun.hydra_app import make_own_modules_importable

        make_own_modules_importable()
    evaluate_run(
        find_run(run),
        overrides,
        split=args.split,
        device=args.device,
        trust="all" if args.trust else "data",
        out=args.out,
        as_json=args.json,
    )
    return 0


def flag_parser() -> VerbParser:
    """The parser of what follows `dlrun evaluate`."""
    parser = VerbParser(
        "evaluate",
        "dlrun evaluate [--split test|val|train|all] [--device NAME] [--json] [-o DIR] [--trust]\n"
        "                      RUN [dataset=NAME] [dataset.KEY=VALUE ...]",
        "Judge a trained run: its loss and metrics with 95 % bootstrap intervals; of classes "
        "precision, recall, F1, the confusion matrix and calibration; of a regression the "
        f"residuals. {RUN_HELP} Without further words on its own data, split as for training.",
        "dlrun evaluate last",
    )
    parser.add_argument("words", nargs="*", help=argparse.SUPPRESS)
    parser.add_argument(
        "--split",
        choices=SPLITS,
        help="what to judge on; test by default, all for other data without a test split",
    )
    parser.add_argument("--device", metavar="NAME", help="cpu, cuda, mps; the run's own by default")
    parser.add_argument("--json", action="store_true", help="print evaluation.json and no tables")
    parser.add_argument(
        "-o",
        dest="out",
        metavar="DIR",
        type=Path,
        help="where evaluation.json and the pictures go; RUN/evaluations/SPLIT by default",
    )
    parser.add_argument("--trust", action="store_true", help=TRUST_HELP)
    return parser


def told_apart(parser: VerbParser, words: Sequence[str]) -> tuple[str, list[str]]:
    """The word that means the run, and the words about data.

    A job of a sweep lies in a directory with `=` in its name.
    """
    runs = [word for word in words if "=" not in word or os.path.isdir(word)]
    if len(runs) != 1:
        parser.error(f"expected one run, got {shown(' '.join(runs)) or 'none'}")
    return runs[0], [word for word in words if word != runs[0]]


@failures_told()
def evaluate_run(
    run_dir: Path,
    words: Sequence[str],
    *,
    split: str | None,
    device: str | None,
    trust: Trust,
    out: Path | None,
    as_json: bool,
) -> None:
    """Judges the run on the data that the words ask for, prints the figures and writes them.

    Raises UserError for what is no trained run, data that does not fit it, and a place that cannot
    be written to; Failure when the disk is full, say.
    """
    from rich.console import Console

    from dlrun.judge.measure import judge, require_judged
    from dlrun.judge.record import as_text, compared, folder_of, record, write
    from dlrun.judge.source import open_source
    from dlrun.judge.tables import print_judged
    from dlrun.trained import open_trained

    trained = open_trained(run_dir, trust, device=device)
    require_judged(trained)
    source = open_source(trained, words, split, trust)
    folder = folder_of(trained, source, out)
    judged = judge(trained, source.data, source.split)
    comparison = compared(trained, source, judged)
    entry = record(trained, source, judged, comparison, words)
    files = write(folder, entry, trained, judged)
    if as_json:
        print(as_text(entry))
    else:
        print_judged(Console(highlight=False), trained, source, judged, comparison, files)
