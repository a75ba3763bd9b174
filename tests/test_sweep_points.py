"""Points of a sweep: Hydra's grammar of values, cases, zipped lists, and how they are combined."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra.core.config_loader import ConfigLoader

from dlrun.errors import UserError
from dlrun.hydra_session import hydra_session, packaged_conf
from dlrun.sweeps.points import MOST_JOBS, Point, merge, points, spread, together


@pytest.fixture(scope="module")
def loader() -> Iterator[ConfigLoader]:
    with hydra_session() as app:
        yield app.config_loader


def shown(rows: list[Point]) -> list[str]:
    """Each point as one line: `a=1 b=2`."""
    return [" ".join(f"{key}={value}" for key, value in row.items()) for row in rows]


VALUES: dict[str, tuple[Any, list[str]]] = {
    # what is told of key x, what is tried of it
    "numbers": ("0.1,0.01", ["0.1", "0.01"]),
    "exponents": ("1e-2,1e-3", ["0.01", "0.001"]),
    "a value alone": ("0.5", ["0.5"]),
    "a number alone": (5, ["5"]),
    "zero": (0, ["0"]),
    "null alone": (None, ["null"]),
    "empty": ("", [""]),
    "spaces around": (" 1 , 2 ", ["1", "2"]),
    "choice": ("choice(a,b)", ["a", "b"]),
    "choice of a list": ("choice(1,[3,4])", ["1", "[3,4]"]),
    "range from 0": ("range(3)", ["0", "1", "2"]),
    "range": ("range(2,8,3)", ["2", "5"]),
    "range downwards": ("range(2,-2,-2)", ["2", "0"]),
    "range of floats": ("range(0.5,0.8,0.1)", ["0.5", "0.6", "0.7"]),
    "range of floats downwards": ("range(1,0,-0.25)", ["1.0", "0.75", "0.5", "0.25"]),
    "range cast": ("float(range(2))", ["0.0", "1.0"]),
    "sort": ("sort(3,1,2)", ["1", "2", "3"]),
    "sort of a range, reversed": ("sort(range(3),reverse=true)", ["2", "1", "0"]),
    "cast": ("int(1.5,2.5)", ["1", "2"]),
    "tag": ("tag(t,choice(a,b))", ["a", "b"]),
    "booleans": ("true,false", ["True", "False"]),
    "null among others": ("null,5", ["null", "5"]),
    "quoted comma": ("'a,b',c", ["'a,b'", "c"]),
    "quoted comma alone": ('"a,b"', ['"a,b"']),
    "a word and a list": ("none,[dropout,l1]", ["none", "[dropout,l1]"]),
    "lists": ("[64],[128,64],[]", ["[64]", "[128,64]", "[]"]),
    "a list alone is a value": ("[1,2]", ["[1,2]"]),
    "dicts": ("{a:1},{a:2,b:[3]}", ["{a:1}", "{a:2,b:[3]}"]),
    "python list": ([1, 0.5, None, True], ["1", "0.5", "null", "true"]),
    "python list of lists": ([[64], [128, 64]], ["[64]", "[128,64]"]),
    "python list of a dict": ([{"a": 1}], ["{a:1}"]),
    "python list of texts": (
        ["adam", "a,b", "null", "1e-3"],
        ["adam", '"a,b"', '"null"', '"1e-3"'],
    ),
    "python tuple": (("a", "b"), ["a", "b"]),
}


@pytest.mark.parametrize("name", VALUES)
def test_values(name: str) -> None:
    values, expected = VALUES[name]
    assert spread("x", values) == expected


def test_shuffle_gives_the_same_values_in_some_order() -> None:
    assert sorted(spread("seed", "shuffle(range(6))")) == list("012345")
    assert sorted(spread("seed", "shuffle(a,b,c)")) == ["a", "b", "c"]


def test_glob_stands_for_the_choices_of_a_group(loader: ConfigLoader) -> None:
    files = sorted(file.stem for file in (packaged_conf() / "optimizer").glob("*.yaml"))
    assert spread("optimizer", "glob(*)", loader) == files
    assert spread("optim", "glob(*)", loader) == files
    with_a = [name for name in files if name.startswith("ada") and name != "adamw"]
    assert spread("optimizer", "glob(ada*,exclude=adamw)", loader) == with_a
    assert {"adam", "adagrad"} <= set(with_a)


FAULTS: dict[str, tuple[str, Any, str]] = {
    "list without values": ("x", [], "x=[]: no values to sweep over"),
    "range without values": ("x", "range(3,0)", "x=range(3,0): no values to sweep over"),
    "glob without values": ("model", "glob(zzz*)", "model=glob(zzz*): no values to sweep over"),
    "step of 0": ("x", "range(0,1,0)", "x=range(0,1,0): "),
    "interval": ("x", "interval(0,1)", "an interval is for a search (type search=tpe, or a list)"),
    "bracket left open": ("x", "[1,2", "x=[1,2: "),
    "two commas": ("x", "1,,2", "x=1,,2: "),
    "unknown function": ("x", "chioce(1,2)", "x=chioce(1,2): "),
    "digits without end": ("x", "9" * 5000, "digits"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faulty_values(name: str, loader: ConfigLoader) -> None:
    key, values, expected = FAULTS[name]
    with pytest.raises(UserError, match=re.escape(expected)) as error:
        spread(key, values, loader)
    assert len(str(error.value)) < 500
    assert len(str(error.value).splitlines()) == 1


def test_params_are_crossed_and_the_first_key_changes_slowest() -> None:
    rows = points({"optimizer": "sgd,adam", "lr": "0.1,0.01", "seed": "range(2)"})
    assert shown(rows) == [
        "optimizer=sgd lr=0.1 seed=0",
        "optimizer=sgd lr=0.1 seed=1",
        "optimizer=sgd lr=0.01 seed=0",
        "optimizer=sgd lr=0.01 seed=1",
        "optimizer=adam lr=0.1 seed=0",
        "optimizer=adam lr=0.1 seed=1",
        "optimizer=adam lr=0.01 seed=0",
        "optimizer=adam lr=0.01 seed=1",
    ]


def test_nothing_swept_is_one_point() -> None:
    assert points({}) == [{}]


def test_momentum_with_its_betas_and_adam_with_none_are_12_points() -> None:
    rows = points(
        {"lr": "0.1,0.03,0.01"},
        cases=[{"optimizer": "momentum", "beta": "0.5,0.9,0.99"}, {"optimizer": "adam"}],
    )
    assert len(rows) == 3 * 3 + 3
    assert shown(rows)[:4] == [
        "optimizer=momentum beta=0.5 lr=0.1",
        "optimizer=momentum beta=0.5 lr=0.03",
        "optimizer=momentum beta=0.5 lr=0.01",
        "optimizer=momentum beta=0.9 lr=0.1",
    ]
    assert shown(rows)[9:] == [
        "optimizer=adam lr=0.1",
        "optimizer=adam lr=0.03",
        "optimizer=adam lr=0.01",
    ]


def test_a_case_with_its_own_values_of_a_key_does_without_the_shared_ones() -> None:
    rows = points({"lr": "0.1,0.2", "seed": "0,1"}, cases=[{"o": "a", "lr": "9"}, {"o": "b"}])
    assert shown(rows) == [
        "o=a lr=9 seed=0",
        "o=a lr=9 seed=1",
        "o=b lr=0.1 seed=0",
        "o=b lr=0.1 seed=1",
        "o=b lr=0.2 seed=0",
        "o=b lr=0.2 seed=1",
    ]


def test_an_empty_case_has_the_params_alone() -> None:
    assert shown(points({"seed": "0,1"}, cases=[{"o": "a"}, {}])) == [
        "o=a seed=0",
        "o=a seed=1",
        "seed=0",
        "seed=1",
    ]


def test_zipped_lists_go_together() -> None:
    rows = points({"seed": "0,1"}, zipped=[{"batch_size": [16, 32], "lr": "0.1,0.2"}])
    assert shown(rows) == [
        "seed=0 batch_size=16 lr=0.1",
        "seed=0 batch_size=32 lr=0.2",
        "seed=1 batch_size=16 lr=0.1",
        "seed=1 batch_size=32 lr=0.2",
    ]
    crossed = points({}, zipped=[{"a": "1,2"}, {"b": "3,4"}])
    assert shown(crossed) == ["a=1 b=3", "a=1 b=4", "a=2 b=3", "a=2 b=4"]


def test_zipped_lists_of_several_lengths() -> None:
    with pytest.raises(UserError, match=r"one length \(a has 2, b has 1 values\)"):
        list(together({"a": [1, 2], "b": [1]}))


@pytest.mark.parametrize("place", ["cases", "params"])
def test_a_key_that_is_zipped_and_swept_as_well(place: str) -> None:
    swept: dict[str, Any] = {"params": {}, "cases": []}
    swept[place] = {"a": "1,2"} if place == "params" else [{"a": "1,2"}]
    with pytest.raises(UserError, match="a is swept twice"):
        points(**swept, zipped=[{"a": [3, 4]}])
    with pytest.raises(UserError, match="hydra.sweeper: a is swept twice"):
        merge([{"a": "1"}, {"b": "1", "a": "2"}])


@pytest.mark.parametrize(
    "params", [{"seed": "range(1000000000)"}, dict.fromkeys("abcdef", "range(10)")]
)
def test_more_jobs_than_anybody_means(params: dict[str, str]) -> None:
    with pytest.raises(UserError, match=f"expected at most {MOST_JOBS:,}"):
        points(params)


def test_keys_and_values_stay_as_they_are_typed(tmp_path: Path) -> None:
    rows = points({"+model.x": "1,2", "optim.lr": "3", "path": f"'{tmp_path}/a b'"})
    assert rows == [
        {"+model.x": "1", "optim.lr": "3", "path": f"'{tmp_path}/a b'"},
        {"+model.x": "2", "optim.lr": "3", "path": f"'{tmp_path}/a b'"},
    ]
