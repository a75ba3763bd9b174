"""What follows each verb: kinds of words, flags and their values.

Written out, since the parsers stand in modules that import torch; a test compares the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from dlrun.completion.line import Candidate

# What a word, or the value behind a flag, can be: a kind, or the values themselves by `|`.
# override: key=value. data: the same of dataset alone. run: how `find_run` knows it. sweep: its
# folder. files: of any name. metric: a name of a figure, `-` before it too. trash: what `dlrun rm`
# has put there. lesson: of the course. text: anything.
KINDS = (
    *("override", "data", "run", "run or sweep", "sweep"),
    *("files", "metric", "trash", "lesson", "text"),
)
NONE = ""  # as the value of a flag: it takes none


class Verb(NamedTuple):
    """What a verb does; the kinds of the words behind it, the last for all further ones; flags.

    flags: the kind of its value, or NONE, by flag.
    """

    about: str
    words: tuple[str, ...]
    flags: Mapping[str, str]


HELP = {"-h": NONE, "--help": NONE}
QUIET = {"-q": NONE, "--quiet": NONE}
TRUST = {"--trust": NONE}
DEVICE = {"--device": "cpu|cuda|mps"}
PARTS = "all|config|defaults|defaults-tree|plugins|searchpath"

WORDS = {
    "train": Verb(
        "train a network (the default verb)",
        ("override",),
        {
            **{"--multirun": NONE, "-m": NONE, "--run": NONE, "-r": NONE, **QUIET, **TRUST},
            **{"--cfg": "job|hydra|all", "-c": "job|hydra|all", "--resolve": NONE},
            **{"--package": "text", "-p": "text", "--info": PARTS, "-i": PARTS},
            **{"--config-name": "text", "-cn": "text"},
            **{"--config-dir": "files", "-cd": "files", "--config-path": "files", "-cp": "files"},
            **{"--shell-completion": NONE, "-sc": NONE, "--version": NONE, "--hydra-help": NONE},
            **HELP,
        },
    ),
    "resume": Verb(
        "go on with an interrupted run from its last checkpoint",
        ("run or sweep", "override"),
        {**QUIET, **TRUST, "--retry-failed": NONE, **HELP},
    ),
    "report": Verb("tell what a sweep has found", ("sweep",), {**QUIET, "-o": "files", **HELP}),
    "ls": Verb(
        "list runs and sweeps",
        ("files",),
        {"--sort": "metric", "--where": "text", "-n": "text", "--json": NONE, **HELP},
    ),
    "show": Verb("show what a run was and found", ("run or sweep", NONE), HELP),
    "diff": Verb("show what runs differ in", ("run",), {"--json": NONE, **HELP}),
    "tag": Verb(
        "put words on a run, to find it by",
        ("run or sweep", "text"),
        {"--remove": "text", **HELP},
    ),
    "rm": Verb(
        "move runs to the trash, or back",
        ("run or sweep",),
        {
            **{"--where": "text", "--restore": "trash", "--purge": NONE},
            **{"--yes": NONE, "-y": NONE, **HELP},
        },
    ),
    "evaluate": Verb(
        "judge a run on any split or data set",
        ("run", "data"),
        {
            **{"--split": "test|val|train|all", **DEVICE, "--json": NONE, "-o": "files"},
            **{**TRUST, **HELP},
        },
    ),
    "predict": Verb(
        "apply a run to images or tables",
        ("run", "files"),
        {
            **{"--format": "table|csv|jsonl", "-o": "files", "--invert": "auto|yes|no"},
            **{"--ignore": "text", "--separator": "text", **DEVICE, **TRUST, **HELP},
        },
    ),
    "serve": Verb(
        "open a local page to draw a digit or drop a file on",
        ("run", NONE),
        {"--port": "text", **DEVICE, **TRUST, **HELP},
    ),
    "export": Verb(
        "write the model for another program",
        ("run", NONE),
        {
            **{"--format": "onnx|torch_export|safetensors", "-o": "files", "--force": NONE},
            **{**QUIET, **TRUST, **HELP},
        },
    ),
    "rerun": Verb(
        "repeat a run and compare the two",
        ("run", "override"),
        {"--exact": NONE, **QUIET, **TRUST, **HELP},
    ),
    "pack": Verb(
        "put a run into one archive",
        ("run", NONE),
        {"-o": "files", "--best-only": NONE, **HELP},
    ),
    "unpack": Verb(
        "take a run out of its archive",
        ("files", NONE),
        {"-o": "files", **TRUST, **HELP},
    ),
    "experiments": Verb("list the course, lesson by lesson", ("lesson", NONE), HELP),
    "completion": Verb(
        "complete all this with TAB",
        ("install|uninstall|bash|zsh|fish", "bash|zsh|fish", NONE),
        HELP,
    ),
    "doctor": Verb("check this installation", (NONE,), {}),
}


def flag_candidates(verb: str, word: str) -> list[Candidate]:
    """The flags of a verb that begin so, the long ones first."""
    found = [flag for flag in WORDS[verb].flags if flag.startswith(word)]
    return [Candidate("word", flag) for flag in sorted(found, key=lambda flag: flag[:2] != "--")]
