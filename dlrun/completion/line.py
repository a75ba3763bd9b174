"""The command line as a shell hands it over, and completions as bash wants them back."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import NamedTuple


class Candidate(NamedTuple):
    """What may stand at the cursor.

    kind: `word` is whole, `stem` is typed on right behind it, `files` asks the shell for names of
    files behind `text`. text: the whole word that it makes, unquoted, one line that a terminal
    only prints. about: what it is, for shells that show it.
    """

    kind: str
    text: str
    about: str = ""


def split_line(line: str, shell: str = "bash") -> tuple[list[str], str, str]:
    r"""The words behind the program before the cursor, the word at it, the quote open there.

    Quotes and backslashes are taken off as the shell would; nothing is expanded. Assignments
    before the program are left out.

    >>> split_line(r"X=1 dlrun show a\ b 'regularization=[l")
    (['show', 'a b'], 'regularization=[l', "'")
    """
    words, word, quote = [], "", ""
    is_word = False  # also an empty one in quotes
    letters = iter(line)
    for letter in letters:
        if letter == "\\" and (quote != "'" or shell == "fish"):
            letter = next(letters, "")
            if letter != "\n":  # else the line goes on
                escapable = {"": letter, '"': '\\"$`', "'": "\\'"}[quote]
                word += letter if letter in escapable else f"\\{letter}"
                is_word = True
        elif quote:
            quote = "" if letter == quote else quote
            word += letter if quote else ""
        elif letter in "'\"":
            quote, is_word = letter, True
        elif letter.isspace():
            if is_word:
                words.append(word)
            word, is_word = "", False
        else:
            word += letter
            is_word = True
    while words and re.match(r"\w+=", words[0]):
        words.pop(0)
    return words[1:], word, quote


def for_bash(candidates: Iterable[Candidate], line: str, replaced: str) -> list[Candidate]:
    r"""The candidates with the text that readline puts in place of `replaced`, quoted for it.

    readline breaks words at `=` and `:` too, and replaces only what comes behind. Where it does
    not, as in quotes, it would take the key for a part of the file's name: then the files are
    named here.

    >>> for_bash([Candidate("word", "optim=adam")], "dlrun optim=ad", "ad")
    [Candidate(kind='word', text='adam', about='')]
    """
    _, kept, quote = split_line(line.removesuffix(replaced))
    word = split_line(line)[1]
    found: list[Candidate] = []
    for candidate in candidates:
        key = candidate.text
        is_in_the_way = candidate.kind == "files" and len(key) > len(kept)
        found += file_candidates(key, word[len(key) :]) if is_in_the_way else [candidate]
    quoted = [c._replace(text=in_quotes(c.text[len(kept) :], quote)) for c in found]
    # readline closes the quote behind a whole word, but takes one that is a part of it for that.
    return [c._replace(text=c.text + quote * c.text.endswith(quote)) for c in quoted]


def file_candidates(key: str, typed: str) -> list[Candidate]:
    """The files whose names begin so, behind `key=`; a folder is a stem."""
    found = []
    folder, name = os.path.split(typed)
    try:
        entries = sorted(os.scandir(os.path.expanduser(folder) or "."), key=lambda e: e.name)
    except OSError:
        return []
    for entry in entries:
        if (
            entry.name.startswith(name)
            and (name or entry.name[0] != ".")
            and entry.name.isprintable()
        ):
            path = key + os.path.join(folder, entry.name)
            is_folder = entry.is_dir()
            found.append(Candidate("stem" if is_folder else "word", path + "/" * is_folder))
    return found


def in_quotes(text: str, quote: str) -> str:
    r"""The text as bash takes it literally, behind an open quote or, without one, escaped.

    >>> print(in_quotes("a $(b)'", ""), in_quotes("a $(b)'", "'"), in_quotes("a $(b)'", '"'))
    a\ \$\(b\)\' a $(b)'\'' a \$(b)'
    """
    if quote == "'":
        return text.replace("'", "'\\''")
    if quote == '"':
        return re.sub(r'[\\"$`]', r"\\\g<0>", text).replace("!", "\"'!'\"")
    return re.sub(r"[^\w@%+=:,./~^\[\]-]|^~", r"\\\g<0>", text)
