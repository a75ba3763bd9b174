"""`dlrun pack RUN` and `dlrun unpack FILE`: a run in one file, to go on with on another machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dlrun.checkpoint import load_checkpoint
from dlrun.errors import UserError, printable, shown
from dlrun.failures import failures_told
from dlrun.pack.archive import packed_files, require_targets, sha256_of, write_archive
from dlrun.pack.unpacked import UNPACKED, opened_archive
from dlrun.privacy import without_names
from dlrun.run_dirs import file_name
from dlrun.run_files import locked
from dlrun.runs.find import find_run
from dlrun.stored import entries, require_run, stored_config
from dlrun.terminal import display_path, typed_path
from dlrun.verbs import RUN_HELP, TRUST_HELP, VerbParser

ENDINGS = (".tar.gz", ".tgz")


@dataclass(frozen=True)
class Packed:
    """An archive that was written: its size in bytes, its SHA-256, how many files it holds.

    notes: what is not in it.
    """

    file: Path
    num_bytes: int
    sha256: str
    num_files: int
    notes: tuple[str, ...]


def pack(words: Sequence[str]) -> int:
    """Exit code of `dlrun pack WORDS`: 0 when the archive is written."""
    parser = VerbParser(
        "pack",
        "dlrun pack [--best-only] RUN [-o FILE.tar.gz]",
        "Put a run into one file, from which another machine can evaluate, predict and resume. "
        f"{RUN_HELP}",
        "dlrun pack last -o run.tar.gz",
    )
    parser.add_argument("run", metavar="RUN", help="the run")
    parser.add_argument("-o", dest="out", metavar="FILE", type=Path, help="NAME.tar.gz by default")
    parser.add_argument(
        "--best-only",
        action="store_true",
        help="leave out what it takes to resume: smaller, for use alone",
    )
    args = parser.parse_intermixed_args(list(words))
    packed = pack_run(find_run(args.run), args.out, best_only=args.best_only)
    print(
        f"{printable(display_path(packed.file))}: {size_text(packed.num_bytes)}, "
        f"{packed.num_files} files\nSHA-256 {packed.sha256}"
    )
    for note in packed.notes:
        print(f"note: {note}")
    print(f"to use it elsewhere: dlrun evaluate {typed_path(Path(packed.file.name))}")
    return 0


@failures_told()
def pack_run(run_dir: Path, target: Path | None = None, *, best_only: bool = False) -> Packed:
    """The archive of a run, written to `target`, by default to the run's name in this directory.

    The same run makes the same bytes. best_only: without what it takes to resume. Raises UserError
    for what is no run, is running, holds a link, has no weights, or a target that is there already.
    """
    require_run(run_dir)
    name = file_name(run_dir.resolve().name).lstrip(".") or "run"
    target = Path(f"{name}.tar.gz") if target is None else target
    if not target.name.endswith(ENDINGS):
        raise UserError(f"-o {shown(target)}: expected a name that ends with {ENDINGS[0]}")
    with locked(run_dir):
        names = packed_files(run_dir, best_only=best_only)
        checkpoints = [name for name in names if name.startswith("checkpoints/")]
        if "summary.json" not in names or not checkpoints:
            raise UserError(
                f"{shown(run_dir)}: has no {'best.pt' if best_only else 'checkpoint'} or no "
                "summary.json, so there is nothing to use elsewhere (expected a run that trained)"
            )
        for checkpoint in checkpoints:  # better now than on the other machine
            load_checkpoint(run_dir / checkpoint)
        notes = tuple(what_is_missing(run_dir, names))
        write_archive(run_dir, names, name, target)
    return Packed(target, target.stat().st_size, sha256_of(target), len(names), notes)


def what_is_missing(run_dir: Path, names: Sequence[str]) -> Iterator[str]:
    """What whoever unpacks the run has to have or to know beside it."""
    config = stored_config(run_dir, "all") or {}
    dataset = config.get("dataset")
    path = dataset.get("path") if isinstance(dataset, dict) else None
    if path is not None:
        yield f"its data, dataset.path={shown(path)}, is not in it"
    for key, value in entries(config):
        if key != "dataset.path" and isinstance(value, str) and without_names(value) != value:
            yield f"its config tells a path of yours, {shown(key)}={shown(value)}"
    try:
        require_targets(config, "data")
    except UserError as error:
        what = str(error).splitlines()[0].partition(":")[0]
        yield f"it needs code of your own ({what}) and --trust where it is unpacked"
    if not {"checkpoints/last.pt", "checkpoints/previous.pt"} & set(names):
        yield "it can be evaluated and predicted from, not resumed"


def unpack(words: Sequence[str]) -> int:
    """Exit code of `dlrun unpack WORDS`: 0 when the run lies in its directory."""
    parser = VerbParser(
        "unpack",
        "dlrun unpack [--trust] FILE [-o DIR]",
        "Unpack a run that dlrun pack has put into one file, after checking that nothing in it is "
        "more than data.",
        "dlrun unpack run.tar.gz",
    )
    parser.add_argument("file", metavar="FILE", type=Path, help="an archive of dlrun pack")
    parser.add_argument(
        "-o", dest="out", metavar="DIR", type=Path, help=f"{UNPACKED}/NAME by default"
    )
    parser.add_argument("--trust", action="store_true", help=TRUST_HELP)
    args = parser.parse_intermixed_args(list(words))
    folder = opened_archive(args.file, "all" if args.trust else "data", folder=args.out)
    print(f"{printable(display_path(folder))}: unpacked (dlrun show {typed_path(folder)})")
    return 0


def size_text(num_bytes: int) -> str:
    """Bytes in the unit that suits them.

    >>> size_text(950), size_text(1_234_567)
    ('950 bytes', '1.2 MB')
    """
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if num_bytes >= size:
            return f"{num_bytes / size:.1f} {unit}"
    return f"{num_bytes} bytes"
