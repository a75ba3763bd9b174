"""Python values as overrides: Hydra must read back what was meant."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from dlrun.overrides import to_override

PIECES = ("\\", "'", '"', "a", " ", ",", "=", "[", "{", ":", "\n", "\t", "é", "#", "1", "$", "null")


def read_back(value: Any) -> Any:
    return OverridesParser.create().parse_override(f"key={to_override(value)}").value()


def test_any_text_comes_back() -> None:
    texts = ["".join(pieces) for n in range(4) for pieces in itertools.product(PIECES, repeat=n)]
    assert len(texts) > 5000
    wrong = [text for text in texts[::7] if read_back(text) != text]
    assert not wrong


@pytest.mark.parametrize("text", ["null", "NULL", "true", "False", "nan", "inf", "1", "1e5", "é"])
def test_text_that_looks_like_something_else_stays_text(text: str) -> None:
    assert read_back(text) == text


@pytest.mark.parametrize(
    "value", [None, True, 0, -1.5, 1e-5, float("inf"), 10**30, [], [1, [None, "a b"]], {"k": [0.5]}]
)
def test_values_come_back(value: Any) -> None:
    assert read_back(value) == value
    assert type(read_back(value)) is type(value)


def test_paths_are_text() -> None:
    assert read_back(Path("a b/c")) == "a b/c"
    assert read_back("C:\\new\\") == "C:\\new\\"


def test_words_are_not_quoted() -> None:
    assert to_override("mlp") == "mlp"  # a choice, in .hydra/overrides.yaml as one would type it
