"""Rows of a CSV file as a run's features: by name, with its own settings, and each fault told."""

from __future__ import annotations

import gzip
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from predict_runs import Trained, trained

from dlrun.datasets.tabular import BOSTON_FEATURES, boston
from dlrun.errors import UserError
from dlrun.predict.cells import Column, numbers, one_hot
from dlrun.predict.table import chunks
from dlrun.trained import Trained as Opened
from dlrun.trained import open_trained

__all__ = ["trained"]


def rows(text: str | bytes, run: Opened, **options: Any) -> torch.Tensor:
    """All rows that a file of this text holds."""
    binary = io.BytesIO(text.encode() if isinstance(text, str) else text)
    return torch.cat(list(chunks(binary, run, **options)))


def with_settings(run: Opened, **dataset: Any) -> Opened:
    """The run, had its data been read with other settings."""
    settings = replace(run.settings, dataset={**run.settings.dataset, **dataset})
    return replace(run, settings=settings)


@pytest.fixture
def two(trained: Trained) -> Opened:
    """A run on the logarithms of LSTAT and RM."""
    return open_trained(trained("log"))


@pytest.fixture
def plain(two: Opened) -> Opened:
    """The same, had it been trained on a CSV file with the columns a and b and the target y."""
    data = replace(two.data, columns=(), features=("a", "b"), transform="none", target_name="y")
    run = with_settings(two, _target_="dlrun.datasets.csv_file.csv", transform="none")
    return replace(run, data=data)


def test_boston_housing_comes_back_as_it_is(trained: Trained):
    run = open_trained(trained("boston"))
    table = boston(Path(), 0).inputs.double()
    names = list(BOSTON_FEATURES)
    lines = [",".join(map(repr, row)) for row in table.flip(1).tolist()]
    Path("houses.csv").write_text("\n".join([",".join(names[::-1]), *lines]))
    found = list(chunks(Path("houses.csv"), run, rows=200))
    assert [len(part) for part in found] == [200, 200, 106]
    assert torch.equal(torch.cat(found), table)


def test_columns_are_called_as_in_the_file_not_as_the_features(two: Opened):
    assert rows("RM,LSTAT\n6,20\n", two).tolist() == [[20, 6]]


def test_text_is_read_as_the_run_read_its_own(plain: Opened):
    semicolons = with_settings(plain, separator=";", encoding="utf-16")
    assert rows("b;a\n1;2\n".encode("utf-16"), semicolons).tolist() == [[2, 1]]
    assert rows("\ufeffa,b\r\n\r\n1,2\r\n".encode(), plain).tolist() == [[1, 2]]
    assert rows('"a","b"\n"1"," 2"\n', plain).tolist() == [[1, 2]]


def test_separators_by_ending_and_by_name(plain: Opened):
    Path("table.tsv").write_text("a\tb\n1\t2\n")
    assert next(chunks(Path("table.tsv"), plain)).tolist() == [[1, 2]]
    Path("table.csv.gz").write_bytes(gzip.compress(b"a,b\n1,2\n"))
    assert next(chunks(Path("table.csv.gz"), plain)).tolist() == [[1, 2]]
    assert rows("a|b\n1|2\n", plain, separator="|").tolist() == [[1, 2]]
    assert rows("a\tb\n1\t2\n", plain, separator="tab").tolist() == [[1, 2]]


def test_the_target_is_passed_over_and_said_once(plain: Opened):
    said: list[str] = []
    text = "y,a,b\n" + "9,1,2\n" * 5
    assert rows(text, plain, rows=2, say=said.append).tolist() == [[1, 2]] * 5
    assert said == ["the column 'y' is what the run predicts: passed over"]


def test_columns_that_training_ignored_may_be_there(plain: Opened):
    run = with_settings(plain, ignore=["id", "column4"])
    assert rows("id,a,b,\n7,1,2,x\n", run).tolist() == [[1, 2]]
    assert rows("a,zip,b\n1,x,2\n", plain, ignore=["zip"]).tolist() == [[1, 2]]


def test_without_a_header_columns_stand_where_they_stood(plain: Opened):
    data = replace(plain.data, features=("column1", "column3"), target_name="column2")
    run = with_settings(replace(plain, data=data), header=False)
    assert rows("1,9,2\n3,9,4\n", run).tolist() == [[1, 2], [3, 4]]
    assert rows("1,2\n3,4\n", run).tolist() == [[1, 2], [3, 4]]  # the target is left out
    with pytest.raises(UserError, match="'column4': not among the run's columns"):
        rows("1,9,2,5\n", run)


def test_categories_and_missing_values(trained: Trained):
    run = open_trained(trained("colours"))
    assert run.data.features == (
        *("size", "colour=blue", "colour=green", "colour=red"),
        *("code=0.0", "code=1.0"),
    )
    values = rows("code,colour,size\n1,red,2\n0.0,blue,\n,NA,NA\n", run)
    assert values[0].tolist() == [2, 0, 0, 1, 0, 1]
    assert values[1, 0].isnan() and values[1, 1:].tolist() == [1, 0, 0, 1, 0]
    assert values[2].isnan().all()


def test_a_category_never_seen_is_told(trained: Trained):
    run = open_trained(trained("colours"))
    with pytest.raises(UserError, match="row 2, column 'colour': 'pink' was never seen in tr"):
        rows("size,colour,code\n1,red,1\n1,pink,1\n", run)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a\n1\n", "no column 'b'; the run needs 'a', 'b'"),
        ("A,b\n1,2\n", "no column 'a'; did you mean A?"),
        ("a,b,c\n1,2,3\n", "'c': not among the run's columns; expected 'a', 'b' (--ignore 'c'"),
        ("a,b\n1,2\n1,12k\n", "row 2, column 'b': '12k' is text; expected a number"),
        ("a,b\n1,\n", "row 1, column 'b': no value; expected a number"),
        ("a,b\n1,nan\n", "row 1, column 'b': no value (nan); expected a number"),
        ("a,b\n-inf,2\n", "row 1, column 'a': -inf; expected a finite number"),
        ("a,b\n1e39,2\n", "row 1, column 'a': 1e39; expected a finite number, at most 3.4e38"),
        ("a,b\n1,2\n1,2,3\n", "row 2: 3 cells; expected 2, as in the first row"),
        ("a,b\n1\n", "row 1: 1 cells; expected 2, as in the first row"),
        ("", "the file is empty; expected rows of numbers"),
        ("\n\n", "the file is empty; expected rows of numbers"),
        ("a,b\n", "only a header; expected rows of numbers below it"),
        ("a,b,a\n1,2,3\n", "two columns are called 'a'; expected different names"),
        ("a;b\n1;2\n", "one column only, 'a;b'; the separator looks like ';' (--separator ';')"),
        ("1,2\n3,4\n", "the first row has numbers only; expected the names 'a', 'b'"),
        (b"a,b\n1,\xe9\n", "not utf-8 text (byte 0xe9)"),
        ('a,b\n1,"2\n', "not a table (unexpected end of data)"),
        ("a,b\n1,\x1b[2J\n", "row 1, column 'b': '\\x1b[2J' is text"),
    ],
)
def test_a_fault_is_told_in_a_line(plain: Opened, text: str | bytes, fault: str):
    with pytest.raises(UserError) as told:
        rows(text, plain)
    assert fault in str(told.value)
    assert "\n" not in str(told.value)


def test_rows_are_counted_on_over_chunks(plain: Opened):
    with pytest.raises(UserError, match="row 8, column 'a'"):
        rows("a,b\n" + "1,2\n" * 7 + "x,2\n", plain, rows=3)


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"ignore": ["c"]}, "--ignore c: no such column; there are 'a', 'b'"),
        ({"ignore": ["a"]}, "--ignore a: the run needs this column"),
        ({"separator": "::"}, "--separator ::: expected one character, or tab"),
    ],
)
def test_a_wrong_option_is_told(plain: Opened, options: dict[str, Any], fault: str):
    with pytest.raises(UserError) as told:
        rows("a,b\n1,2\n", plain, **options)
    assert fault in str(told.value)


def test_a_logarithm_needs_numbers_above_0(two: Opened):
    with pytest.raises(UserError, match="row 2, column 'LSTAT': 0; expected a number > 0"):
        rows("RM,LSTAT\n6,20\n6,0\n", two)


def test_files_that_cannot_be_read_are_told(plain: Opened):
    Path("cut.csv.gz").write_bytes(gzip.compress(b"a,b\n1,2\n" * 99)[:-12])
    for name in ("cut.csv.gz", "absent.csv", "."):
        with pytest.raises(UserError, match="cannot be read"):
            list(chunks(Path(name), plain))


def test_bytes_stay_open_for_who_opened_them(plain: Opened):
    binary = io.BytesIO(b"a,b\n1,2\n")
    list(chunks(binary, plain))
    assert not binary.closed


def test_a_run_on_images_takes_no_table(trained: Trained):
    with pytest.raises(UserError, match="the run takes images of 1 x 28 x 28 values, no table"):
        rows("a,b\n1,2\n", open_trained(trained("digits")))


def test_cells_by_hand():
    assert numbers(["", "3"], "a", 0, fills=True).isnan().tolist() == [True, False]
    column = Column("sure", ("False", "True"))
    assert one_hot(["true", "FALSE"], column, 0, fills=False).tolist() == [[0, 1], [1, 0]]
