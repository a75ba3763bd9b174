"""`dlrun tag RUN word...`: words by which one finds a run again, in its file `tags`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from dlrun.errors import UserError, shown
from dlrun.failures import failures_told
from dlrun.run_files import replace_text
from dlrun.runs.find import find_run
from dlrun.runs.records import read_record
from dlrun.runs.summaries import read_tags
from dlrun.verbs import RUN_HELP, VerbParser

FILE = "tags"
WORD = re.compile(r"[^\W_][\w.-]*")
LONGEST = 60  # letters of a word
MOST = 100  # words of a run


@failures_told()
def tag(words: Sequence[str]) -> int:
    """Exit code of `dlrun tag WORDS`: 0 when the run has the tags, or they were printed."""
    parser = VerbParser(
        "tag",
        "dlrun tag RUN [WORD ...] [--remove WORD]",
        "Give a run or a sweep words by which to find it again (dlrun ls --where tag=WORD); "
        f"without words its tags are printed. {RUN_HELP}",
        "dlrun tag last baseline",
    )
    parser.add_argument("run", metavar="RUN", help="a run or a sweep")
    parser.add_argument("words", nargs="*", metavar="WORD", help="letters, digits, . _ and -")
    parser.add_argument(
        "--remove", action="append", default=[], metavar="WORD", help="take a tag away again"
    )
    args = parser.parse_intermixed_args(list(words))
    for word in (*args.words, *args.remove):
        require_word(word)
    run_dir = find_run(args.run)
    if args.words or args.remove:
        told = change_tags(run_dir, args.words, args.remove)
    else:
        told = tags_of(run_dir)
    for word in told:
        print(shown(word))
    return 0


def require_word(word: str) -> None:
    """Raises UserError for what cannot be a tag."""
    if len(word) > LONGEST or not WORD.fullmatch(word):
        raise UserError(
            f"{shown(word)}: is no tag; expected at most {LONGEST} letters, digits, . _ and -, "
            "the first a letter or digit (for example dlrun tag last baseline)"
        )


def tags_of(run_dir: Path) -> list[str]:
    """The words in the file `tags`, in its order. Raises UserError where it cannot be read."""
    record = read_record(run_dir)
    if record.status == "damaged" and not (run_dir / "summary.json").exists():
        raise UserError(f"{shown(run_dir)}: is neither a run nor a sweep (dlrun ls lists them)")
    tags, fault = read_tags(str(run_dir))
    if fault:
        raise UserError(f"{shown(run_dir)}: {fault}; expected a text, a word a line")
    return list(tags)


def change_tags(run_dir: Path, added: Sequence[str], removed: Sequence[str]) -> list[str]:
    """The tags of a run with some added and others taken away, sorted, as they are now stored.

    Raises UserError for a word that is to be removed and is not there.
    """
    before = tags_of(run_dir)
    for word in removed:
        if word not in before:
            has = f"has {shown(', '.join(before))}" if before else "has no tags"
            raise UserError(f"--remove {shown(word)}: the run {has}")
    after = sorted({*before, *added} - set(removed))
    if len(after) > MOST:
        raise UserError(f"{shown(run_dir)}: would have {len(after)} tags, expected at most {MOST}")
    for name in (FILE, f".{FILE}.tmp"):  # a link would have another file written over
        if (run_dir / name).is_symlink():
            raise UserError(f"{shown(run_dir / name)}: is a link; none are followed")
    replace_text(run_dir / FILE, "".join(f"{word}\n" for word in after))
    return after
