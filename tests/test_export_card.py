"""The model card: its figures, and that nothing a run calls itself breaks out of it."""

from __future__ import annotations

import re

import pytest

from dlrun.export.facts import without_paths
from dlrun.export.markdown import escaped, table
from dlrun.export.measured import recorded, split_sizes, wilson

HOSTILE = (
    "<script>alert(1)</script>",
    "a|b`c``d",
    "[x](javascript:alert(1))",
    "![x](https://evil.example/a.png)",
    "**bold** _it_ ~~no~~",
    "# title",
    "www.evil.example a@evil.example",
    "two\nlines\r\n| --- |",
    "\x1b[2Jcleared",
    "&lt;b&gt; \\",
)


@pytest.mark.parametrize("text", HOSTILE)
def test_what_markdown_would_obey_is_written_as_numbers(text: str) -> None:
    safe = escaped(text)
    without_entities = re.sub(r"&#\d+;", "", safe)
    assert not re.search(r"[<>&|`*~#\n\r\x1b\\@$]|\]\(|!\[|://|www\.", without_entities)
    assert "_it_" not in without_entities


def test_plain_names_stay_as_they_are() -> None:
    for name in ("mnist_cnn", "dropout=0.5, channels=[32, 64]", "median price in 1,000 USD", "é ß"):
        assert escaped(name) == name


def test_a_rendered_card_shows_hostile_text_as_text() -> None:
    markdown = pytest.importorskip("markdown_it", reason="markdown-it-py is not there")
    parser = markdown.MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    for text in HOSTILE:
        html = parser.render(table(("name", "other"), [(escaped(text), "x")]))
        assert set(re.findall(r"<(\w+)", html)) == {"table", "thead", "tr", "th", "tbody", "td"}
        assert len(re.findall("<td>", html)) == 2


def test_intervals_of_recorded_figures_are_wilsons() -> None:
    low, high = wilson(8, 10)
    # (p + z²/2n ± z sqrt(p q / n + z²/4n²)) / (1 + z²/n) with z = 1.959964
    assert (low, high) == pytest.approx((0.490162, 0.943318), abs=1e-6)
    one = recorded("test", {"loss": 0.3, "accuracy": 0.8}, 10)
    assert one.intervals == {"accuracy": (low, high)}
    assert recorded("test", {"accuracy": 0.8}, None).intervals == {}
    assert recorded("test", {"accuracy": 7.0}, 10).intervals == {}


def test_sizes_of_splits_out_of_a_fingerprint() -> None:
    regression = ["(9, 2)", 1.0, "(9, 1)", 1.0, "(3, 2)", 1.0, "(3, 1)", 1.0]
    assert split_sizes([*regression, "(0, 2)", 0.0, "(0, 1)", 0.0])["val"] == 3
    assert split_sizes(["70 streamed", "a", "20 streamed", "b", "10 streamed", "c"]) == {
        "train": 70,
        "val": 20,
        "test": 10,
    }
    assert split_sizes(["what", 1.0]) == {}


def test_no_path_of_the_machine_leaves_it() -> None:
    config = {"path": "/home/ada/houses.csv", "init_from": "~/runs/old", "widths": [3, "a/b"]}
    assert without_paths(config) == {"path": "houses.csv", "init_from": "old", "widths": [3, "a/b"]}
