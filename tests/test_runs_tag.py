"""`dlrun tag`: words in the file `tags` of a run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from report_runs import write_plan, write_run

from dlrun.errors import UserError
from dlrun.runs.records import read_record
from dlrun.runs.tag import tag


def told(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    assert tag(words) == 0
    return capsys.readouterr().out.splitlines()


def test_tags_are_sorted_and_unique(capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_run(Path("a"))
    assert told(capsys, "a") == []
    assert not (folder / "tags").exists()
    assert told(capsys, "a", "new", "b_1.x-2", "new") == ["b_1.x-2", "new"]
    assert told(capsys, "a", "größe") == ["b_1.x-2", "größe", "new"]
    assert told(capsys, "a") == ["b_1.x-2", "größe", "new"]
    assert (folder / "tags").read_text() == "b_1.x-2\ngröße\nnew\n"
    assert read_record(folder).tags == ("b_1.x-2", "größe", "new")
    assert sorted(path.name for path in folder.iterdir()) == [
        *("metrics.jsonl", "summary.json", "tags")
    ]


def test_tags_are_taken_away_again(capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_run(Path("a"))
    told(capsys, "a", "x", "y", "z")
    assert told(capsys, "a", "w", "--remove", "x", "--remove", "z") == ["w", "y"]
    with pytest.raises(UserError, match="^--remove x: the run has w, y$"):
        tag(["a", "--remove", "x"])
    assert told(capsys, "--remove", "w", "a", "--remove=y") == []
    assert (folder / "tags").read_text() == ""
    with pytest.raises(UserError, match="^--remove y: the run has no tags$"):
        tag(["a", "--remove", "y"])


def test_a_sweep_has_tags(capsys: pytest.CaptureFixture[str]) -> None:
    write_plan(Path("s"), [{"x": 1}])
    assert told(capsys, "s", "mine") == ["mine"]
    assert read_record(Path("s")).tags == ("mine",)


@pytest.mark.parametrize("word", ["", "a b", "a/b", "-a", ".a", "_a", "a\n", "a\x1b[2J", "x" * 61])
def test_other_words_are_refused(word: str) -> None:
    folder = write_run(Path("a"))
    with pytest.raises(UserError) as caught:
        tag(["a", "--", word])
    assert "letters, digits" in str(caught.value) and caught.value.args[0].isprintable()
    assert not (folder / "tags").exists()


def test_wrong_input() -> None:
    Path("empty").mkdir()
    for words, text in {
        ("empty", "x"): "^empty: is neither a run nor a sweep",
        (): r"^dlrun tag: .*RUN.* \(type dlrun tag last baseline\)$",
    }.items():
        with pytest.raises(UserError, match=text):
            tag(words)
    assert list(Path("empty").iterdir()) == []


def test_no_link_is_followed_and_nothing_that_is_no_text_is_replaced() -> None:
    folder = write_run(Path("a"))
    Path("mine").write_text("precious\n")
    for name in ("tags", ".tags.tmp"):
        (folder / name).symlink_to(Path("mine").absolute())
        with pytest.raises(UserError, match="is a link; none are followed"):
            tag(["a", "x"])
        (folder / name).unlink()
    assert Path("mine").read_text() == "precious\n"
    os.mkfifo(folder / "tags")
    with pytest.raises(UserError, match="tags: not a regular file"):
        tag(["a", "x"])


def test_words_of_a_stranger_are_only_printed(capsys: pytest.CaptureFixture[str]) -> None:
    (write_run(Path("a")) / "tags").write_text("\x1b[2J\n")
    assert told(capsys, "a") == ["\\x1b[2J"]
