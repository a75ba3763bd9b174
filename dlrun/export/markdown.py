"""Text that anybody may have written as a part of Markdown: shown as it is, never obeyed."""

from __future__ import annotations

import re
from collections.abc import Sequence

from dlrun.errors import shown

# What begins markup, HTML or a link; some do so only beside certain others.
SPECIAL = re.compile(
    r"[\\`*|~#<>&$@]|(?<!\w)_|_(?!\w)|\](?=[(\[:])|!(?=\[)|:(?=//)|(?<=www)\.", re.IGNORECASE
)


def escaped(value: object, width: int = 200) -> str:
    """The value in one line, with numbers in place of all letters that Markdown or HTML read.

    >>> escaped("<b>|`x`"), escaped("mnist_cnn")
    ('&#60;b&#62;&#124;&#96;x&#96;', 'mnist_cnn')
    """
    return SPECIAL.sub(lambda match: f"&#{ord(match[0])};", shown(value, width))


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; its cells are Markdown already."""
    rule = ["---"] * len(header)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, rule, *rows))


def code_block(text: str, language: str) -> str:
    return f"```{language}\n{text}```"
