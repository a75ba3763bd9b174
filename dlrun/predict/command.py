"""`dlrun predict RUN FILES...`: what a trained run says of images, or of the rows of a table."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from dlrun.errors import UserError, printable, shown
from dlrun.failures import failures_told
from dlrun.verbs import RUN_HELP, TRUST_HELP, VerbParser

if TYPE_CHECKING:
    from dlrun.describe import StoredData
    from dlrun.predict.writers import Batches

FORMATS = ("table", "csv", "jsonl")
FORMAT_BY_ENDING = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".txt": "table"}
MOST_FILE_WIDTH = 40

NO_FRAMING = (
    "the run has not kept how its images were framed: images are squeezed to the model's size, "
    "and not inverted but by --invert yes"
)
RULES = """\
images (PNG, JPEG, WebP, BMP, TIFF, GIF; a folder means the images below it):
  The first frame, turned as its EXIF tag says, transparent pixels over white, becomes grey or
  colour as the model has it. A grey image is inverted if its border then is nearer to the
  background of the training images, which is black for MNIST; photos are not. One of exactly the
  model's size is taken pixel by pixel. Another one on an even background is cut to what stands
  out, which is made as large as in the training images and put into the middle by its centre of
  mass, as MNIST was made. All others are squeezed to the model's size, as in training.

tables (.csv, .tsv, .txt, also .gz; - is standard input):
  Columns are found by the names of the run's features, in any order, and read with the separator,
  encoding, header and categories that the run was trained with; its transform, scaling and mean
  for missing values apply. The target's column may be there and is passed over.

A file that cannot be read is reported, and the rest go on; the exit code is then 2. Output is a
table in a terminal and CSV elsewhere: the class and the probability of each class, the value in
its own unit, or the error (and a short code) of an autoencoder's reconstruction."""


def predict(words: Sequence[str]) -> int:
    """Exit code of `dlrun predict WORDS`: 0 when every file was predicted."""
    parser = flag_parser()
    args = parser.parse_intermixed_args(list(words))
    if len(args.words) < 2:
        parser.error("expected a run and files to predict")
    predict_files(args, args.words[0], args.words[1:])
    return 0


def flag_parser() -> VerbParser:
    """The parser of what follows `dlrun predict`."""
    parser = VerbParser(
        "predict",
        "dlrun predict [options] RUN FILE [FILE ...]",
        "Tell what a trained run says of new data, with its best weights, its own scaling and the "
        "names of its classes.",
        "dlrun predict last digits/*.png",
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = f"{RUN_HELP}\n\n{RULES}"
    parser.add_argument("words", nargs="*", help=argparse.SUPPRESS)
    parser.add_argument("-o", dest="out", metavar="FILE", help="written when all is done; - prints")
    parser.add_argument("--format", choices=FORMATS, help="by the ending of FILE if not given")
    parser.add_argument(
        "--invert",
        choices=("auto", "yes", "no"),
        default="auto",
        help="swap dark and bright in images (auto: by the rule below)",
    )
    parser.add_argument(
        "--ignore",
        metavar="NAME,...",
        action="append",
        default=[],
        help="columns of the table to leave out",
    )
    parser.add_argument(
        "--separator", metavar="CHARACTER", help="between cells, or tab (default: the run's)"
    )
    parser.add_argument("--device", metavar="NAME", help="cpu, cuda, mps (default: the run's)")
    parser.add_argument("--trust", action="store_true", help=TRUST_HELP)
    return parser


@failures_told()
def predict_files(args: argparse.Namespace, run: str, words: Sequence[str]) -> None:
    """Predicts the files and writes what `args` ask for.

    Raises UserError for a wrong setting, a fault in a table, and in the end if files were passed
    over.
    """
    form = _format(args.format, args.out, words)
    from PIL import Image

    from dlrun.hydra_app import make_own_modules_importable
    from dlrun.predict import writers
    from dlrun.predict.model import predict_inputs, require_predicting
    from dlrun.predict.sources import image_batches, table_batches
    from dlrun.runs.find import find_run
    from dlrun.trained import open_trained

    if args.trust:  # else nothing that lies in the current directory is ever imported
        make_own_modules_importable()
    trained = open_trained(find_run(run), "all" if args.trust else "data", device=args.device)
    require_predicting(trained)
    for note in trained.notes:
        _say(note)
    lost: list[str] = []  # names of files

    def passed_over(name: str, fault: UserError) -> None:
        if words == [name]:
            raise UserError(f"{shown(name)}: {fault}")
        lost.append(name)
        print(f"error: {shown(name)}: {printable(str(fault))}", file=sys.stderr)

    if len(trained.data.in_shape) == 3:
        where = ["file"]
        if trained.data.framing is None:
            _say(NO_FRAMING)
        batches = image_batches(words, trained.data, args.invert, passed_over)
    else:
        where = ["row"] if len(words) == 1 else ["file", "row"]
        ignore = [name for names in args.ignore for name in names.split(",") if name]
        batches = table_batches(words, trained, ignore, args.separator, passed_over, _say)
    lines: Callable[[Sequence[str], StoredData, Batches], Iterator[str]]
    if form == "table":
        lines = partial(writers.table_lines, file_width=_file_width(words))
    else:
        lines = writers.csv_lines if form == "csv" else writers.jsonl_lines
    count = 0
    with warnings.catch_warnings(), _opened(args.out) as stream:
        warnings.filterwarnings("ignore", module="PIL")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        predicted = ((places, predict_inputs(trained, inputs)) for places, inputs in batches)
        for line in lines(where, trained.data, predicted):
            stream.write(line)
            count += 1
        if lost and count == 0:
            raise _none_left(lost)
    header = 0 if form == "jsonl" else 1
    if args.out not in (None, "-"):
        _say(f"{count - header:,} predictions in {shown(args.out)}", note="")
    if lost:
        raise _none_left(lost)


def _none_left(lost: Sequence[str]) -> UserError:
    files = "1 file was" if len(lost) == 1 else f"{len(lost)} files were"
    return UserError(f"{files} passed over; expected files that are there and can be read")


def _say(text: str, note: str = "note: ") -> None:
    """A line that is not part of the output."""
    print(f"{note}{printable(text)}", file=sys.stderr)


def _format(typed: str | None, out: str | None, words: Sequence[str]) -> str:
    """The format that was asked for, by name, by the ending of a file, or by who reads it."""
    if out in (None, "-"):
        return typed or ("table" if sys.stdout.isatty() and out is None else "csv")
    assert out is not None
    path = Path(out)
    if path.is_dir() or not path.parent.is_dir():
        raise UserError(f"-o {shown(out)}: expected a file in a folder that is there")
    if path.exists() and any(os.path.exists(word) and path.samefile(word) for word in words):
        raise UserError(f"-o {shown(out)}: is one of the files to predict; expected another")
    if typed is not None:
        return typed
    if path.suffix.lower() not in FORMAT_BY_ENDING:
        endings = ", ".join(FORMAT_BY_ENDING)
        raise UserError(f"-o {shown(out)}: expected one of {endings}, or --format {FORMATS[1]}")
    return FORMAT_BY_ENDING[path.suffix.lower()]


@contextmanager
def _opened(out: str | None) -> Iterator[TextIO]:
    """Standard output, or a file that is there only when all has been written."""
    if out in (None, "-"):
        yield sys.stdout
        return
    assert out is not None
    path = Path(out)
    beside = path.with_name(f".{path.name}.tmp")
    try:
        with beside.open("w", encoding="utf-8", newline="") as stream:
            yield stream
        os.replace(beside, path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def _file_width(words: Sequence[str]) -> int:
    """Columns for the names of files, so that a class still fits beside them."""
    most = min(MOST_FILE_WIDTH, max(16, shutil.get_terminal_size().columns - 50))
    if any(os.path.isdir(word) for word in words):
        return most
    return min(most, max(4, *(len(shown(word)) for word in words)))
