"""`dlrun export RUN --format onnx`: the trained network as a file that other programs run."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from dlrun.failures import failures_told
from dlrun.verbs import RUN_HELP, TRUST_HELP, VerbParser

# Those of dlrun.export.formats, which takes seconds to import.
FORMATS = ("onnx", "torch_export", "safetensors")


def export(words: Sequence[str]) -> int:
    """Exit code of `dlrun export WORDS`: 0 when the file is written and gives what the run does."""
    args = flag_parser().parse_intermixed_args(list(words))
    if args.trust:  # else nothing that lies in the current directory is ever imported
        from dlrun.hydra_app import make_own_modules_importable

        make_own_modules_importable()
    from dlrun.export.write import write_export
    from dlrun.runs.find import find_run

    with failures_told():
        exported = write_export(
            find_run(args.run),
            args.format,
            args.out,
            trust="all" if args.trust else "data",
            force=args.force,
        )
    if not args.quiet:
        from dlrun.export.tell import tell_export

        tell_export(exported)
    return 0


def flag_parser() -> argparse.ArgumentParser:
    """The parser of what follows `dlrun export`."""
    parser = VerbParser(
        "export",
        usage="dlrun export RUN --format onnx|torch_export|safetensors [-o FILE] [--force] [-q] "
        "[--trust]",
        description="Write the best weights of a run as one file that other programs load, the "
        "scaling of inputs and targets inside, classes and config in its metadata. The file is "
        "loaded again and compared with the model; a model card is written beside it.",
        example="dlrun export last --format onnx",
    )
    parser.epilog = RUN_HELP
    parser.add_argument("run", metavar="RUN", help=argparse.SUPPRESS)
    parser.add_argument(
        "--format",
        required=True,
        choices=FORMATS,
        help="onnx: runs in onnxruntime and many other programs; torch_export: a .pt2 file, "
        "runs in torch without the model's code; safetensors: weights and scaling alone",
    )
    parser.add_argument(
        "-o",
        dest="out",
        metavar="FILE",
        type=Path,
        help="where it is written, instead of RUN/export/NAME.onnx, .pt2 or .safetensors",
    )
    parser.add_argument("--force", action="store_true", help="write over a file that is there")
    parser.add_argument("-q", "--quiet", action="store_true", help="no output but errors")
    parser.add_argument("--trust", action="store_true", help=TRUST_HELP)
    return parser
