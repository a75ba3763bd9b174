"""Part of the classes: which samples stay, how they are numbered, and the errors."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from dlrun.datasets import Samples, Splits, split
from dlrun.datasets.classes import Subset, keep_classes
from dlrun.errors import UserError


def letters(**changed: Any) -> Samples:
    """Twelve samples, whose only input is their own number, of the classes d, a, b in turn."""
    given: dict[str, Any] = {
        "inputs": torch.arange(12.0).unsqueeze(1),
        "targets": torch.arange(12) % 3,
        "task": "multiclass",
        "classes": ("d", "a", "b"),
    }
    return Samples(**{**given, **changed})


def split_(samples: Samples, classes: list[Any] | None, **changed: Any) -> Splits:
    settings: dict[str, Any] = {"val_fraction": 0.0, "test_fraction": None, "limit": None}
    settings |= {"seed": 0, "normalize": False, **changed}
    return split(samples, classes=classes, **settings)


class Lazy:
    """Inputs that are not a tensor."""

    def __len__(self) -> int:
        return 12

    def __getitem__(self, index: Tensor) -> Tensor:
        return torch.arange(12.0).unsqueeze(1)[index]


def test_classes_are_numbered_anew_in_the_order_of_the_data_set() -> None:
    kept = keep_classes(letters(), ["b", "d"])
    assert kept.classes == ("d", "b")
    assert isinstance(kept.inputs, Tensor)
    assert kept.inputs.flatten().tolist() == [0, 2, 3, 5, 6, 8, 9, 11]
    assert kept.targets.tolist() == [0, 1] * 4
    assert kept.task == "binary"


def test_all_classes_named_stay_as_they_are() -> None:
    kept = keep_classes(letters(), ["a", "b", "d"])
    assert kept.classes == ("d", "a", "b")
    assert kept.task == "multiclass"
    assert kept.targets.tolist() == [0, 1, 2] * 4


def test_numbers_name_classes_too() -> None:
    kept = keep_classes(letters(classes=()), [2, "1", 2])
    assert kept.classes == ("1", "2")
    assert kept.targets.tolist() == [0, 1] * 4


def test_the_own_test_split_loses_the_same_classes() -> None:
    own_test = (torch.tensor([[7.0], [8.0], [9.0]]), torch.tensor([1, 0, 2]))
    kept = keep_classes(letters(test=own_test), ["d", "b"])
    assert kept.test is not None and isinstance(kept.test[0], Tensor)
    assert kept.test[0].tolist() == [[8.0], [9.0]]
    assert kept.test[1].tolist() == [0, 1]


def test_inputs_that_stay_where_they_are() -> None:
    kept = keep_classes(letters(inputs=Lazy()), ["d", "b"])
    assert isinstance(kept.inputs, Subset)
    assert len(kept.inputs) == 8
    data = split_(letters(inputs=Lazy()), ["d", "b"])
    inputs = data.train.inputs[torch.arange(8)].flatten().long()
    assert sorted(inputs.tolist()) == [0, 2, 3, 5, 6, 8, 9, 11]
    assert data.train.targets.tolist() == (inputs % 3 // 2).tolist()


def test_split_keeps_classes_before_it_draws() -> None:
    data = split_(letters(), ["a", "d"], test_fraction=0.5, limit=2)
    assert (data.classes, data.task) == (("d", "a"), "binary")
    assert (len(data.train), len(data.test)) == (2, 2)
    assert sorted(data.train.targets.tolist()) == [0, 1]
    assert split_(letters(), None).classes == ("d", "a", "b")


NUMBERS = Samples(torch.zeros(3, 1), torch.zeros(3, 1), task="regression")


@pytest.mark.parametrize(
    ("samples", "classes", "text"),
    [
        (
            letters(),
            ["d"],
            "dataset.classes=[d]: expected at least two classes, or null for all "
            "(for example dataset.classes=[d,a])",
        ),
        (
            letters(),
            [],
            "dataset.classes=[]: expected at least two classes, or null for all "
            "(for example dataset.classes=[d,a])",
        ),
        (letters(), ["d", "x"], "dataset.classes=[d,x]: no class 'x'; there are d, a, b"),
        (
            letters(classes=("Bag", "Coat", "Shirt")),
            ["Bag", "Shrt"],
            "dataset.classes=[Bag,Shrt]: no class 'Shrt'; did you mean Shirt?",
        ),
        (
            NUMBERS,
            [0, 1],
            "dataset.classes=[0,1]: this data set has numbers to predict, not classes (type null)",
        ),
    ],
)
def test_errors(samples: Samples, classes: list[Any], text: str) -> None:
    with pytest.raises(UserError) as error:
        split_(samples, classes)
    assert str(error.value) == text
