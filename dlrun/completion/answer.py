"""What may stand at the cursor of a command line, in the order in which a shell should show it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dlrun.completion.flags import NONE, WORDS, flag_candidates
from dlrun.completion.line import Candidate
from dlrun.verbs import VERBS


def answer(before: Sequence[str], word: str) -> list[Candidate]:
    """The candidates for a word behind those before it, `dlrun` itself left out.

    Each begins with `word`. What a terminal would not print as it is is never among them.
    """
    found = list(_answer(before, word))
    return [
        Candidate(kind, text, "".join(filter(str.isprintable, about)))
        for kind, text, about in found
        if text.isprintable()
    ]


def _answer(before: Sequence[str], word: str) -> list[Candidate]:
    is_behind = bool(before) and before[0] in VERBS
    verb, behind = (before[0], before[1:]) if is_behind else ("train", before)
    flags = WORDS[verb].flags
    flag, is_joined, value = word.partition("=")
    if is_joined and flag.startswith("--"):
        found = of_kind(flags.get(flag, NONE), behind, value)
        return [Candidate(kind, f"{flag}={text}", about) for kind, text, about in found]
    if behind and flags.get(behind[-1], NONE) != NONE:
        return of_kind(flags[behind[-1]], behind, word)
    if word.startswith("-"):
        return flag_candidates(verb, word)
    kinds = WORDS[verb].words
    place = min(places_taken(behind, flags), len(kinds) - 1)
    found = of_kind(kinds[place], behind, word)
    if not before:
        verbs = [name for name in VERBS if name.startswith(word)]
        return [Candidate("word", name, WORDS[name].about) for name in verbs] + found
    return found


def places_taken(behind: Sequence[str], flags: Mapping[str, str]) -> int:
    """How many of the words are neither flags nor their values.

    >>> places_taken(["last", "-o", "x", "y"], {"-o": "files"})
    2
    """
    taken = 0
    previous = ""
    for word in behind:
        if not word.startswith("-") and flags.get(previous, NONE) == NONE:
            taken += 1
        previous = word
    return taken


def of_kind(kind: str, behind: Sequence[str], word: str) -> list[Candidate]:
    """The candidates of one of the KINDS, or of values that are written out with `|`."""
    if kind in ("override", "data"):
        from dlrun.completion.overrides import override_candidates

        found = override_candidates(behind, word)
        is_fit = kind == "override"
        return [c for c in found if is_fit or c.text.lstrip("+").startswith("dataset")]
    if kind in ("run", "run or sweep", "sweep", "metric", "trash"):
        from dlrun.completion import names

        if kind == "metric":
            return names.metric_candidates(word)
        if kind == "trash":
            return names.trash_candidates(word)
        if kind == "sweep":
            found = names.sweep_candidates(word)
        else:
            found = names.run_candidates(word, sweeps=kind == "run or sweep")
        # A path as well; but nobody who has runs wants to choose between them and all files.
        return found if found and not word else [*found, Candidate("files", "")]
    if kind == "lesson":
        from dlrun.completion.configs import choices, conf_folders, headline

        folders = conf_folders(())
        files = choices(folders, "experiment") | choices(folders, "sweep")
        return [Candidate("word", n, headline(f)) for n, f in files.items() if n.startswith(word)]
    if kind == "files":
        return [Candidate("files", "")]
    values = kind.split("|") if kind not in (NONE, "text") else []
    return [Candidate("word", value) for value in values if value.startswith(word)]
