"""Conditions on runs: what they mean, what is no condition, and keys that no run has."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

import pytest
from report_runs import write_run

from dlrun.errors import UserError
from dlrun.runs.records import Record, read_record
from dlrun.runs.where import condition, matching, why_none

VERSIONS = {"torch": "2.10.0", "python": "3.11.7"}


@pytest.fixture
def found() -> list[Record]:
    """a and b, which differ in all that is asked for; c has begun only; d is damaged."""
    write_run(
        Path("a"),
        value=0.96,
        test=0.5,
        overrides=["optimizer=adam", "optimizer.lr=0.001", "model.init_from='x y'"],
        hparams={"optimizer": "adam", "lr": 0.001, "hidden": "[64,64]", "batch_norm": True},
        versions=VERSIONS,
        started="2026-11-22T14:03:22",
        epochs=7,
        device="cpu (1 thread)",
    )
    Path("a/tags").write_text("good\nbest\n")
    write_run(
        Path("b"),
        value=0.9,
        overrides=["+optimizer.lr=1e-1"],
        hparams={"optimizer": "SGD", "lr": 0.1, "hidden": "[64]", "batch_norm": False},
        versions={**VERSIONS, "torch": "2.9.1"},
        started="2026-11-23T00:00:00",
        status="diverged",
        stopped_by="divergence",
    )
    write_run(Path("c"), hparams={"optimizer": None}, started="2026-11-24T08:00:00")
    Path("d").mkdir()
    Path("d/summary.json").write_text("")
    later = datetime(2026, 11, 25).timestamp()
    os.utime("d/summary.json", (later, later))
    return [read_record(Path(name)) for name in "abcd"]


MEANS = {
    "optimizer=adam": "a",
    "optimizer==Adam": "a",
    "optimizer=sgd": "b",
    "'optimizer'='adam'": "a",
    'optimizer != "adam"': "bcd",
    "optim=adam": "a",
    "accuracy/val>0.95": "a",
    "accuracy/val>=.9": "ab",
    "accuracy/val<0.96": "b",
    "accuracy/val<=9.6e-1": "ab",
    "accuracy/val=null": "cd",
    "accuracy/val!=null": "ab",
    "lr=0.1": "b",
    "lr=1e-3": "a",
    "lr='0.1'": "b",
    "optimizer.lr=0.1": "b",
    "optim.lr<0.1": "a",
    "model.hidden=[64,64]": "a",
    "hidden~64": "ab",
    "batch_norm=true": "a",
    "batch_norm=1": "",
    "model.init_from='x y'": "a",
    "status=completed": "ac",
    "status=damaged": "d",
    "reason~empty": "d",
    "name=b": "b",
    "kind=run": "abcd",
    "tag=good": "a",
    "tags=best": "a",
    "tag~oo": "a",
    "tag!=good": "bcd",
    "tag=null": "bcd",
    "stopped_by=divergence": "b",
    "device~cpu": "a",
    "versions.torch>=2.9": "ab",
    "versions.torch>2.9.1": "a",
    "versions.torch=2.10.0": "a",
    "versions.python<3": "",
    "epochs_done=7": "a",
    "seconds>2": "abc",
    "when=2026-11-22": "a",
    "when!=2026-11-22": "bcd",
    "when<2026-11-23": "a",
    "when>=2026-11-23": "bcd",
    "when<2026-11-22T14:04": "a",
    "begun<'2026-11-22 14:03:22'": "",
    "not status=completed": "bd",
    "not not status=completed": "ac",
    "optimizer=adam or optimizer=sgd and lr=7": "a",
    "(optimizer=adam or optimizer=sgd) and lr=0.1": "b",
    "NOT optimizer=adam AND (lr>0 OR status=damaged)": "bd",
    "lr = 0.1and optimizer=sgd": None,
    "optimizer>3": "",
}


@pytest.mark.parametrize("text", MEANS)
def test_what_a_condition_means(text: str, found: list[Record]) -> None:
    wanted = MEANS[text]
    if wanted is None:
        with pytest.raises(UserError):
            condition(text)
    else:
        assert "".join(record.name for record in found if condition(text)(record)) == wanted
        assert [record.name for record in matching(text, found)] == list(wanted)


NO_CONDITION = {
    "": "expected a key at the end",
    "   ": "expected a key at the end",
    "lr": "expected one of = != < <= > >= ~ at the end",
    "lr=": "expected a value at the end",
    "lr 1": "expected one of = != < <= > >= ~ at '1' (letter 4)",
    "=1": "expected a key at '=' (letter 1)",
    "lr=1 lr=2": "expected and, or, or the end at 'lr' (letter 6)",
    "lr=1 and": "expected a key at the end",
    "lr=1 or or lr=2": "expected one of = != < <= > >= ~ at 'lr' (letter 12)",
    "(lr=1": "expected ) at the end",
    "lr=1)": "expected and, or, or the end at ')' (letter 5)",
    "lr=!1": "expected a value at '!' (letter 4)",
    "lr ~= 1": "expected one of = != < <= > >= ~ at '~=' (letter 4)",
    "lr>big": "expected a number behind lr> at 'big' (letter 4)",
    "lr>'1": "a quote without its other one at letter 4",
    "when>tomorrow": "expected a date such as 2026-11-22 behind when> at 'tomorrow' (letter 6)",
    "not": "expected a key at the end",
    "(" * 60 + "a=1" + ")" * 60: "more than 50 conditions within one another at '(' (letter 52)",
    "not " * 60 + "a=1": "more than 50 conditions within one another at 'not' (letter 205)",
}


@pytest.mark.parametrize("text", NO_CONDITION)
def test_what_is_no_condition_is_told_in_a_line_with_its_place(text: str) -> None:
    with pytest.raises(UserError) as error:
        condition(text)
    message = str(error.value)
    assert message.startswith("--where ") and "\n" not in message
    assert NO_CONDITION[text] in message
    assert message.endswith("(for example --where 'optimizer=adam and accuracy/val>0.95')")


def test_what_a_terminal_would_obey_is_written_out() -> None:
    with pytest.raises(UserError) as error:
        condition("lr=1 \x1b[2J")
    assert str(error.value).isprintable()


def test_nothing_is_evaluated(found: list[Record]) -> None:
    for text in ("__import__('os').mkdir('x')=1", "lr=__import__('os').mkdir('x')"):
        with pytest.raises(UserError):
            condition(text)
    assert not matching("name=__class__.mro", found)
    assert sorted(path.name for path in Path().iterdir()) == list("abcd")


def test_a_key_that_no_run_has_is_an_error_with_the_nearest(found: list[Record]) -> None:
    with pytest.raises(UserError) as error:
        matching("status=completed and optimzer=adam", found)
    assert str(error.value) == (
        "--where: no run here has the key optimzer; did you mean optimizer?"
    )
    with pytest.raises(UserError, match="no run here has the key zzz; there are .*accuracy/val, "):
        matching("zzz=1", found)
    assert matching("zzz=1", []) == []  # where nothing is, nothing can be said of keys
    assert matching("model.init_from=null", found) == found[1:]  # one of them has it


def test_a_value_that_no_run_has_is_told_with_the_nearest(found: list[Record]) -> None:
    assert matching("status=complete", found) == []
    told = why_none("lr>0 and status=complete", found)
    assert told == "none has status=complete; did you mean completed?"
    assert why_none("lr=0.2", found) == "none has lr=0.2"
    assert why_none("lr>5", found) == ""
    assert why_none("lr=0.1 and optimizer=adam", found) == ""  # each is there, but not together


def test_days_are_those_of_the_clock_on_the_wall() -> None:
    moment = datetime(2026, 11, 22, 23, 59, 59)
    write_run(Path("a"), started=moment.astimezone().isoformat())
    record = read_record(Path("a"))
    assert record.begun == moment.timestamp()
    assert condition("when=2026-11-22 and when='2026-11-22 23:59'")(record)
