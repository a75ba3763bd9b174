"""The form's fields and what becomes of what is typed there, for tables written by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from dlrun.datasets import Scaling
from dlrun.describe import StoredData
from dlrun.errors import UserError
from dlrun.serve.form import Field, fields, known_means, row_inputs

HOUSES = StoredData(
    task="regression",
    in_shape=(5,),
    classes=(),
    features=("rooms", "age", "colour=blue", "colour=red", "colour=\x1b[2J"),
    target_name="price",
    input_scaling=Scaling(torch.tensor([6.28459, 68.5, 0.25, 0.5, 0.25]), torch.ones(5)),
    target_scaling=None,
    fingerprint=(),
)
PLAIN = replace(HOUSES, in_shape=(2,), features=("a", "b"), input_scaling=None)


def trained(data: StoredData) -> Any:
    """What the form needs of a run: its data, and which of its columns are categorical."""
    dataset = {"categorical": ["colour"]}
    return SimpleNamespace(data=data, settings=SimpleNamespace(dataset=dataset))


def test_field_for_each_column_begins_with_its_mean_or_most_frequent_value() -> None:
    colours = (("blue", "blue"), ("red", "red"), ("\x1b[2J", "\\x1b[2J"))
    assert fields(trained(HOUSES)) == [
        Field("rooms", "6.285"),
        Field("age", "68.5"),
        Field("colour", "red", colours),
    ]


def test_row_is_what_the_table_has() -> None:
    row = row_inputs(trained(HOUSES), [" 5.5 ", "-1e2", "\x1b[2J"])
    assert row.tolist() == [[5.5, -100.0, 0.0, 0.0, 1.0]]
    assert row_inputs(trained(HOUSES), ["0", "0", "blue"]).tolist() == [[0.0, 0.0, 1.0, 0.0, 0.0]]


@pytest.mark.parametrize(("transform", "value"), [("none", "2"), ("tenth", "20"), ("log", "7.389")])
def test_mean_stands_in_the_unit_of_the_column(transform: Any, value: str) -> None:
    one = replace(
        PLAIN,
        in_shape=(1,),
        features=("a",),
        columns=("LSTAT",),
        transform=transform,
        input_scaling=Scaling(torch.tensor([2.0]), torch.tensor([1.0])),
    )
    assert fields(trained(one)) == [Field("LSTAT", value)]
    assert row_inputs(trained(one), ["4"]).tolist() == [[4.0]]  # what predicts transforms it


def test_fields_begin_with_nought_where_the_run_knows_no_mean() -> None:
    assert [field.value for field in fields(trained(PLAIN))] == ["0", "0"]
    filled = replace(PLAIN, fill=torch.tensor([1.5, 12345.6]))
    assert [field.value for field in fields(trained(filled))] == ["1.5", "12350"]
    odd = replace(PLAIN, input_scaling=Scaling(torch.tensor(3.0), torch.tensor(1.0)))
    assert known_means(odd) is None


def test_empty_field_is_a_missing_value_where_some_may_be_missing() -> None:
    with pytest.raises(UserError, match="column 'b': no value; expected a number"):
        row_inputs(trained(PLAIN), ["1", " "])
    row = row_inputs(trained(replace(HOUSES, fill=torch.zeros(5))), ["", "1", ""])
    assert [math.isnan(value) for value in row[0].tolist()] == [True, False, True, True, True]


@pytest.mark.parametrize("cell", ["abc", "nan", "inf", "-1e39", "1,5", "0x1"])
def test_cell_that_is_no_number_is_told_with_its_column(cell: str) -> None:
    with pytest.raises(UserError, match=r"column 'age': .*; expected a (finite )?number"):
        row_inputs(trained(HOUSES), ["1", cell, "red"])


def test_value_that_was_never_seen_is_told_with_those_that_were() -> None:
    with pytest.raises(UserError) as error:
        row_inputs(trained(HOUSES), ["1", "2", "green\x1b"])
    assert "'green\\x1b' was never seen in training; expected one of blue, red" in str(error.value)
    assert "\x1b" not in str(error.value)


@pytest.mark.parametrize("cells", [[], ["1"], ["1", "2", "red", "4"], [1, 2, 3], ["1", "2", None]])
def test_other_than_one_text_a_column_is_refused(cells: list[object]) -> None:
    with pytest.raises(UserError, match="^expected 3 texts, one for each column$"):
        row_inputs(trained(HOUSES), cells)
