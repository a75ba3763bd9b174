"""The command line: chooses the verb and spells out `optim`; imports nothing heavy."""

from __future__ import annotations

import importlib
import os
import signal
import sys
import traceback
from collections.abc import Sequence

from dlrun.errors import Failure, UserError, nearest, printable
from dlrun.signals import SAVE, Interrupted, not_yet
from dlrun.verbs import VERBS


def main() -> None:
    """Entry point of the console script; ends the process with the exit code."""
    if SAVE is not None:
        signal.signal(SAVE, not_yet)  # whose default is to end the process
    code = command_line(sys.argv[1:])
    try:
        sys.stdout.flush()
    except OSError:  # told by now; Python would try once more and print a traceback
        drop_output()
    sys.exit(code)


def command_line(arguments: Sequence[str]) -> int:
    """Exit code of one command: 0 done, 1 failed, 2 wrong input, 3 diverged, 130 interrupted."""
    if "debug.traceback=true" in arguments:
        return run_verb(arguments)
    try:
        code = run_verb(arguments)
        sys.stdout.flush()
        return code
    except (UserError, Failure) as error:
        text = printable(str(error)).replace("\n", "\n       ")
        print(f"error: {text}", file=sys.stderr)
        return 2 if isinstance(error, UserError) else 1
    except Interrupted as stop:
        print(printable(stop.text) or "interrupted", file=sys.stderr)
        return stop.exit_code
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output has gone, as in `dlrun --help | head -1`
        drop_output()
        return 141
    except Exception as error:
        told = None
        if isinstance(error, (OSError, MemoryError)):
            from dlrun.failures import explain

            told = explain(error)
        print(f"error: {_where(error)}{told or _first_line(error)}", file=sys.stderr)
        if told is None:
            hint = "(type debug.traceback=true behind the command for the traceback)"
            print(hint, file=sys.stderr)
        return 1


def drop_output() -> None:
    """Sends what is still to be printed nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def run_verb(arguments: Sequence[str]) -> int:
    """Exit code of the verb that the arguments name; imports what it needs only now."""
    verb, rest = choose_verb(arguments)
    module, function = VERBS[verb]
    code: int = getattr(importlib.import_module(module), function)(rest)
    return code


def choose_verb(arguments: Sequence[str]) -> tuple[str, list[str]]:
    """The verb and what follows it; without one it is `train`.

    >>> choose_verb(["doctor"]), choose_verb(["optim=adam"])
    (('doctor', []), ('train', ['optim=adam']))
    """
    if not arguments or "=" in arguments[0] or arguments[0].startswith(("-", "~")):
        return "train", list(arguments)
    verb = arguments[0]
    if verb not in VERBS:
        raise UserError(
            f"{verb}: neither a verb ({', '.join(VERBS)}) nor key=value"
            f"{nearest(verb, VERBS) or ' (for example dlrun model=mlp optim=adam)'}"
        )
    return verb, list(arguments[1:])


def _first_line(error: Exception) -> str:
    text = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {printable(text[:300])}"


def _where(error: Exception) -> str:
    """File and line in the user's own code that an error came through, if it did."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if "site-packages" not in f.filename and _is_below_cwd(f.filename)]
    return f"{os.path.relpath(own[-1].filename)}:{own[-1].lineno}: " if own else ""


def _is_below_cwd(path: str) -> bool:
    return os.path.abspath(path).startswith(os.getcwd() + os.sep)
