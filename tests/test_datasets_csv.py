"""A user's own table: what becomes of each sort of column, and the text of each error."""

from __future__ import annotations

import gzip
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from dlrun.datasets import Samples, split
from dlrun.datasets.csv_file import csv
from dlrun.errors import UserError

DEFAULTS: dict[str, Any] = {
    "target": None,
    "task": "auto",
    "separator": ",",
    "header": True,
    "encoding": "utf-8",
    "ignore": [],
    "categorical": [],
    "missing": "error",
}


@pytest.fixture(autouse=True)
def _in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def read(content: str | bytes, **settings: Any) -> Samples:
    """`content` as table.csv in the current directory."""
    raw = content.encode() if isinstance(content, str) else content
    Path("table.csv").write_bytes(raw)
    return csv(Path("unused"), 0, path="table.csv", **{**DEFAULTS, **settings})


def inputs(samples: Samples) -> list[list[float]]:
    assert isinstance(samples.inputs, Tensor)
    rows: list[list[float]] = samples.inputs.tolist()
    return rows


def test_regression_with_the_last_column_as_target() -> None:
    samples = read("rooms,age,price\n3,10,1.5\n4,20,2.25\n5,30,4\n")
    assert inputs(samples) == [[3, 10], [4, 20], [5, 30]]
    assert samples.targets.tolist() == [[1.5], [2.25], [4.0]]
    assert samples.task == "regression"
    assert samples.features == ("rooms", "age")
    assert samples.target_name == "price"
    assert samples.classes == ()
    assert samples.notes == (
        "task: regression, by the values of 'price' (dataset.task=... to choose)",
    )


def test_target_by_name_and_classes_in_alphabetical_order() -> None:
    samples = read(
        "kind,x\nsetosa,1\nvirginica,2\nsetosa,3\niris,4\nx,5\nx,6\nx,7\nx,8\n", target="kind"
    )
    assert samples.targets.tolist() == [1, 2, 1, 0, 3, 3, 3, 3]
    assert samples.classes == ("iris", "setosa", "virginica", "x")
    assert samples.task == "multiclass"
    assert samples.features == ("x",)


@pytest.mark.parametrize(
    ("targets", "task", "classes"),
    [
        (["0", "1", "1", "0"], "binary", ("0", "1")),
        (["2", "1", "10", "1", "2", "10"], "multiclass", ("1", "2", "10")),
        (["1.0", "2.0", "2.0", "1.0"], "binary", ("1", "2")),
        (["True", "False", "True"], "binary", ("False", "True")),
        (["1", "2", "3", "4"], "regression", ()),  # each integer once
        ([str(k % 21) for k in range(100)], "regression", ()),  # 21 distinct integers
        (["0.5", "1.5", "0.5", "1.5"], "regression", ()),
        (["yes", "no", "no"], "binary", ("no", "yes")),
    ],
)
def test_the_task_that_auto_chooses(targets: list[str], task: str, classes: tuple[str]) -> None:
    samples = read("x,y\n" + "".join(f"{k},{y}\n" for k, y in enumerate(targets)))
    assert (samples.task, samples.classes) == (task, classes)


def test_a_task_that_is_given_is_kept() -> None:
    text = "x,y\n1,0\n2,1\n3,1\n4,0\n"
    assert read(text, task="regression").targets.tolist() == [[0.0], [1.0], [1.0], [0.0]]
    assert read(text, task="multiclass").task == "multiclass"
    assert read(text, task="regression").notes == ()


def test_categorical_columns_become_columns_of_0_and_1() -> None:
    samples = read("city,x,y\nOslo,1,0.5\nBern,2,1.5\nOslo,3,2.5\n", categorical=["city"])
    assert samples.features == ("x", "city=Bern", "city=Oslo")
    assert inputs(samples) == [[1, 0, 1], [2, 1, 0], [3, 0, 1]]


def test_ignored_columns_are_left_out() -> None:
    samples = read("id,x,y\na,1,0.5\nb,2,1.5\n", ignore=["id"])
    assert samples.features == ("x",)


def test_other_forms_of_the_file() -> None:
    assert inputs(read("1;2;0.5\n3;4;1.5\n", header=False, separator=";")) == [[1, 2], [3, 4]]
    assert read("1,2,0.5\n", header=False).features == ("column1", "column2")
    assert read("1,2,0.5\n", header=False, target="column1").features == ("column2", "column3")
    assert inputs(read("x\ty\n1\t0.5\n", separator="tab")) == [[1]]
    assert inputs(read("\ufeffx,y\r\n1,0.5\r\n\r\n")) == [[1]]
    assert read("x,y\n1,é\n2,z\n2,z\n".encode("latin-1"), encoding="latin-1").classes == ("z", "é")
    with gzip.open("table.csv.gz", "wt") as file:
        file.write("x,y\n1,0.5\n")
    assert inputs(csv(Path(), 0, path="table.csv.gz", **DEFAULTS)) == [[1]]


def test_home_is_spelt_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine.csv").write_text("x,y\n1,0.5\n")
    assert inputs(csv(Path(), 0, path="~/mine.csv", **DEFAULTS)) == [[1]]


def test_a_column_without_a_name_is_noted() -> None:
    samples = read(",x,y\n0,5,0.5\n1,6,1.5\n", task="regression")
    assert samples.features == ("column1", "x")
    assert samples.notes == (
        "column1 has no name; if it holds row numbers, leave it out with dataset.ignore=[column1]",
    )


def test_a_first_row_of_numbers_is_noted() -> None:
    samples = read("1,2\n3,4.5\n", task="regression")
    assert samples.notes == (
        "the first row, taken for names, has numbers only (dataset.header=false?)",
    )


def test_dropped_rows_are_counted() -> None:
    samples = read("a,b,y\n1,2,0.5\n,3,1.5\n4,,\n5,6,2.5\n", missing="drop", task="regression")
    assert inputs(samples) == [[1, 2], [5, 6]]
    assert samples.notes == (
        "2 of 4 rows left out for missing values: 1 in 'a', 1 in 'b', 1 in 'y'",
    )


def test_missing_values_are_filled_after_the_split() -> None:
    rows = "".join(f"{k},{k}.5\n" for k in range(9)) + ",9.5\n"
    samples = read("x,y\n" + rows, missing="mean", task="regression")
    assert samples.fill_missing
    assert math.isnan(inputs(samples)[9][0])
    assert samples.notes == ("missing values filled with the training split's mean: 1 in 'x'",)
    data = split(samples, seed=0, val_fraction=0.2, test_fraction=0.2, normalize=False, limit=None)
    parts = {
        name: getattr(data, name).inputs[torch.arange(len(getattr(data, name)))].flatten()
        for name in ("train", "val", "test")
    }
    targets = {name: getattr(data, name).targets.flatten() for name in parts}
    known = [x for x, y in zip(parts["train"], targets["train"], strict=True) if y != 9.5]
    mean = float(sum(known)) / len(known)
    filled = [float(parts[n][targets[n] == 9.5]) for n in parts if (targets[n] == 9.5).any()]
    assert filled == [pytest.approx(mean)]


def test_a_missing_category_is_missing_in_each_of_its_columns() -> None:
    samples = read("c,x,y\na,1,.5\nb,2,.6\n,3,.7\n", missing="mean", categorical=["c"])
    assert inputs(samples)[:2] == [[1, 1, 0], [2, 0, 1]]
    assert [math.isnan(x) for x in inputs(samples)[2]] == [False, True, True]


PATH = "dataset.path=table.csv: "


@pytest.mark.parametrize(
    ("content", "settings", "text"),
    [
        ("", {}, PATH + "the file is empty; expected rows of numbers"),
        ("a,b\n", {}, PATH + "only a header; expected rows of numbers below it"),
        (
            "a;b;c\n1;2;3\n",
            {},
            PATH + "1 column; expected at least two, a feature and the target; "
            "the separator looks like dataset.separator=';'",
        ),
        ("a\n1\n", {}, PATH + "1 column; expected at least two, a feature and the target"),
        (
            "a,a,y\n1,2,3\n",
            {},
            PATH + "two columns are called 'a'; expected different names "
            "(dataset.header=false if the first row has values)",
        ),
        (
            "a,y\n1,2\n1,2,3\n",
            {},
            PATH + "not a table (C error: Expected 2 fields in line 3, saw 3); "
            "expected as many cells in every row as in the first",
        ),
        (
            "a,y\n1,2,3\n1,2,3\n",
            {},
            PATH + "not a table (rows with more cells than the first); "
            "expected as many cells in every row as in the first",
        ),
        (
            b"a,y\n\xe9,1\n",
            {},
            PATH + "not utf-8 text (byte 0xe9); "
            "expected another encoding (for example dataset.encoding=latin-1)",
        ),
        (
            "a,y\n1,2\n",
            {"encoding": "utf9"},
            "dataset.encoding=utf9: unknown (for example dataset.encoding=utf-8)",
        ),
        (
            "a,y\n1,2\n",
            {"separator": "::"},
            "dataset.separator=::: expected one character, or tab "
            "(for example dataset.separator=';')",
        ),
        (
            "price,y\n1,2\n",
            {"target": "prize"},
            "dataset.target=prize: no such column; did you mean price?",
        ),
        (
            "price,y\n1,2\n",
            {"target": "foo"},
            "dataset.target=foo: no such column; expected one of price, y",
        ),
        (
            "city,y\n1,2\n",
            {"categorical": ["town"]},
            "dataset.categorical=[town]: no such column; expected one of city, y",
        ),
        (
            "city,y\n1,2\n",
            {"ignore": ["cty"]},
            "dataset.ignore=[cty]: no such column; did you mean city?",
        ),
        (
            "a,b,y\n1,2,3\n",
            {"ignore": ["y"], "target": "y"},
            "dataset.ignore=[y]: this column is the target; expected another",
        ),
        (
            "a,y\n1,2\n",
            {"categorical": ["y"], "target": "y"},
            "dataset.categorical=[y]: this column is the target; "
            "expected dataset.task=multiclass to make classes of it",
        ),
        (
            "a,b,c,y\n1,2,u,3\n1,12k,v,3\n",
            {},
            PATH + "column 'b' has text where numbers belong: '12k' in row 2;\n"
            "correct it, or type dataset.categorical=[b,c] (one column a value), "
            "or dataset.ignore=[b,c]",
        ),
        (
            "a,b,y\n1,,0\n,2,\n3,4,1\n",
            {},
            "dataset.missing=error: missing values: 1 in 'a', 1 in 'b', 1 in 'y';\n"
            "dataset.missing=drop leaves out 2 of 3 rows",
        ),
        (
            "a,y\n1,0.5\n,1.5\n",
            {},
            "dataset.missing=error: missing values: 1 in 'a';\n"
            "dataset.missing=drop leaves out 1 of 2 rows, "
            "dataset.missing=mean fills them with the training split's mean",
        ),
        (
            "a,y\n1,\n2,1.5\n",
            {"missing": "mean"},
            "dataset.missing=mean: missing values: 1 in 'y' (the target 'y' cannot be filled);\n"
            "dataset.missing=drop leaves out 1 of 2 rows",
        ),
        (
            "a,y\n1,\n,1.5\n",
            {"missing": "drop"},
            "dataset.missing=drop: every row has a missing value (1 in 'a', 1 in 'y'); "
            "expected at least one without (dataset.ignore=[...] leaves out a column)",
        ),
        (
            "a,y\n1,0.5\n2,abc\n",
            {},
            "dataset.task=auto: the target 'y' has text where numbers belong: 'abc' in row 2 "
            "(dataset.task=multiclass for classes)",
        ),
        (
            "a,y\n1,u\n2,v\n",
            {"task": "regression"},
            "dataset.task=regression: the target 'y' has text where numbers belong: 'u' in row 1 "
            "(dataset.task=multiclass for classes)",
        ),
        (
            "a,y\n1,u\n2,v\n3,w\n",
            {"task": "binary"},
            "dataset.task=binary: the target 'y' has 3 different values; "
            "expected two (dataset.task=multiclass for more)",
        ),
        (
            "a,y\n1,u\n2,v\n3,w\n",
            {},
            "dataset.target=y: text with 3 different values in 3 rows; "
            "expected numbers or classes\n"
            "(dataset.task=multiclass if these are classes, dataset.target=... if not)",
        ),
        (
            "c,y\n" + "".join(f"n{k},{k}.5\n" for k in range(1001)),
            {"categorical": ["c"]},
            "dataset.categorical=[c]: 1001 different values; expected at most 1000 "
            "(dataset.ignore=[c] leaves it out)",
        ),
    ],
)
def test_errors(content: str | bytes, settings: dict[str, Any], text: str) -> None:
    with pytest.raises(UserError) as error:
        read(content, **settings)
    assert str(error.value) == text


def test_absent_file_and_folder() -> None:
    Path("houses.csv").write_text("x,y\n1,2\n")
    with pytest.raises(UserError) as error:
        csv(Path(), 0, path="house.csv", **DEFAULTS)
    assert str(error.value) == "dataset.path=house.csv: no such file; did you mean houses.csv?"
    with pytest.raises(UserError) as error:
        csv(Path(), 0, path="nowhere/x.csv", **DEFAULTS)
    assert str(error.value) == "dataset.path=nowhere/x.csv: no such file"
    with pytest.raises(UserError) as error:
        csv(Path(), 0, path=".", **DEFAULTS)
    assert str(error.value) == (
        "dataset.path=.: a folder; expected a CSV file (or type dataset=image_folder)"
    )


def test_one_class_is_an_error_of_the_split() -> None:
    with pytest.raises(UserError) as error:
        split(
            read("x,y\n1,a\n2,a\n"),
            seed=0,
            val_fraction=0.0,
            test_fraction=None,
            normalize=True,
            limit=None,
        )
    assert str(error.value) == (
        "dataset: every sample is of one class, 'a'; expected at least two classes"
    )
