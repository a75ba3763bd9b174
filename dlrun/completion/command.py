"""`dlrun completion`: puts completion into a shell, takes it out, and answers when TAB is typed.

Every TAB is a process that somebody waits for: nothing is imported here before it is needed, and
neither torch nor Hydra for any answer.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from dlrun.completion.install import SHELLS, install, login_shell, script, uninstall
from dlrun.errors import UserError, shown
from dlrun.verbs import VerbParser

ACTIONS = ("install", "uninstall")
FORGET = {"bash": "complete -r dlrun", "zsh": "compdef -d dlrun", "fish": "complete -ec dlrun"}


def completion(words: Sequence[str]) -> int:
    """Exit code of `dlrun completion WORDS`: 0 when it is done."""
    if words and words[0] == "answer":  # typed by the scripts, not by people
        return print_answer(words[1:])
    parser = VerbParser(
        "completion",
        usage="dlrun completion install|uninstall [bash|zsh|fish]\n"
        "       dlrun completion bash|zsh|fish",
        description="Complete verbs, runs, groups, choices, keys and flags with TAB. install puts "
        "that into the shell that is named, else into the one in $SHELL; uninstall takes it out "
        "again. With the name of a shell alone, print the script for it.",
        example="dlrun completion install",
    )
    parser.add_argument("action", nargs="?", help=argparse.SUPPRESS)
    parser.add_argument("shell", nargs="?", help=argparse.SUPPRESS)
    args = parser.parse_args(list(words))
    if args.action in SHELLS and args.shell is None:
        print(script(args.action), end="")
        return 0
    if args.action not in ACTIONS:
        got = "nothing" if args.action is None else " ".join(map(shown, words))
        parser.error(f"expected {', '.join((*ACTIONS, *SHELLS))}, got {got}")
    if args.shell is not None and args.shell not in SHELLS:
        parser.error(f"{shown(args.shell)}: expected {', '.join(SHELLS)}")
    shell = args.shell or login_shell()
    for line in install(shell) if args.action == "install" else uninstall(shell):
        print(line)
    return 0


def print_answer(words: Sequence[str]) -> int:
    """Prints what may stand at the cursor: a line each of kind, text and what it is, by tabs.

    words: the shell, the command line up to the cursor, and for bash the end of it that readline
    will replace. Kinds are those of `Candidate`. What a terminal would obey is never printed.
    """
    from dlrun.completion.answer import answer
    from dlrun.completion.line import for_bash, split_line

    if not 2 <= len(words) <= 3 or words[0] not in SHELLS:
        raise UserError("dlrun completion answer: is for scripts (type dlrun completion install)")
    shell, line = words[:2]
    before, word, _ = split_line(line, shell)
    candidates = answer(before, word)
    if shell == "bash":
        candidates = for_bash(candidates, line, words[2] if len(words) == 3 else word)
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
    for kind, text, about in candidates:
        print(kind, text, about, sep="\t")
    return 0


def print_for_hydra(words: Sequence[str]) -> None:
    """Answers `dlrun -sc WORDS`, Hydra's way to ask, for startup files that evaluate it.

    install=SHELL and uninstall=SHELL print what the shell is to read, query=SHELL the texts that
    may stand at the end of $COMP_LINE.
    """
    from dlrun.completion.answer import answer
    from dlrun.completion.line import split_line

    action, _, shell = (words[0] if len(words) == 1 else "").partition("=")
    if shell not in SHELLS or action not in (*ACTIONS, "query"):
        raise UserError("-sc: expected install=SHELL (type dlrun completion install)")
    if action == "install":
        print(script(shell), end="")
    elif action == "uninstall":
        print(FORGET[shell])
    else:
        before, word, _ = split_line(os.environ.get("COMP_LINE", ""), shell)
        for candidate in answer(before, word):
            if candidate.kind != "files":
                print(candidate.text)
