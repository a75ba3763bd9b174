"""Other data than the run's own: what fits the model, what does not, and what it has seen."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from dlrun import run
from dlrun.errors import UserError
from dlrun.judge.data import run_data, samples_of
from dlrun.judge.source import Source, open_source
from dlrun.trained import Trained, open_trained

QUIET = {"quiet": True, "figures": False, "epochs": 1}
Ask = Callable[..., Source]


def flowers(rows: int, seed: int) -> pd.DataFrame:
    """A table of three kinds, with a column of colours."""
    generator = np.random.default_rng(seed)
    kinds = generator.permutation(np.arange(rows) % 3)
    return pd.DataFrame(
        {
            "length": kinds + generator.normal(0, 0.5, rows),
            "colour": np.where(generator.permutation(rows) % 2, "red", "blue"),
            "width": 10 * generator.random(rows),
            "kind": np.array(["iris", "rose", "tulip"])[kinds],
        }
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs on a table and on digits, and the table."""
    folder = tmp_path_factory.mktemp("home")
    flowers(90, seed=0).to_csv(folder / "flowers.csv", index=False)
    table = (f"dataset.path={folder / 'flowers.csv'}", "dataset.categorical=[colour]")
    run("dataset=csv", *table, "device=cpu", f"hydra.run.dir={folder / 'table'}", **QUIET)
    small = ("dataset=digits", "dataset.limit=200", "model.hidden=[4]", "device=cpu")
    run(*small, f"hydra.run.dir={folder / 'digits'}", **QUIET)
    run(*(*small, "dataset.classes=[3,4,5]"), f"hydra.run.dir={folder / 'three'}", **QUIET)
    run("dataset=boston", "device=cpu", f"hydra.run.dir={folder / 'boston'}", **QUIET)
    return folder


@pytest.fixture(autouse=True)
def path_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies in a test's own directory is importable in that test alone."""
    monkeypatch.setattr(sys, "path", list(sys.path))


@pytest.fixture
def table(home: Path) -> Trained:
    return open_trained(home / "table")


@pytest.fixture
def digits(home: Path) -> Trained:
    return open_trained(home / "digits")


def ask(trained: Trained, *words: str, split: str | None = None) -> Source:
    return open_source(trained, words, split, "data")


def of_file(trained: Trained, rows: pd.DataFrame, *words: str) -> Source:
    """The source that a table in a new file is."""
    rows.to_csv("other.csv", index=False)
    return ask(trained, "dataset.path=other.csv", *words)


def refused(trained: Trained, *words: str) -> str:
    with pytest.raises(UserError) as caught:
        ask(trained, *words)
    return str(caught.value)


def test_the_runs_own_data_is_the_same_tensors(digits: Trained) -> None:
    again = run_data(digits)
    scaling = digits.data.input_scaling
    assert scaling is not None and again.input_scaling is scaling
    train = again.train.inputs
    assert isinstance(train, torch.Tensor)
    assert float(train.mean()) == pytest.approx(0, abs=1e-5)
    assert float(train.std(correction=0)) == pytest.approx(1, abs=1e-4)
    source = ask(digits)
    assert (source.kind, source.split, source.name, source.notes) == ("own", "test", "digits", ())


def test_changed_data_is_found(home: Path, tmp_path: Path) -> None:
    shutil.copytree(home / "table", "table")
    shutil.copy(home / "flowers.csv", "kept.csv")
    try:
        flowers(90, seed=5).to_csv(home / "flowers.csv", index=False)
        with pytest.raises(UserError, match="table: its data is not what it was trained on any"):
            run_data(open_trained(Path("table")))
    finally:
        shutil.copy("kept.csv", home / "flowers.csv")


def test_the_same_file_elsewhere_is_the_runs_own_data(home: Path, table: Trained) -> None:
    shutil.copy(home / "flowers.csv", "moved.csv")
    source = ask(table, "dataset.path=moved.csv")
    assert (source.kind, source.split) == ("own", "test")


def test_another_table_is_matched_by_name_and_scaled_as_the_run(table: Trained) -> None:
    other = flowers(40, seed=1)
    mixed = other[["kind", "width", "colour", "length"]]  # the target is found by name too
    source = of_file(table, mixed)
    assert (source.kind, source.split, source.name) == ("other", "all", "csv-other")
    part = samples_of(source.data, "all")
    assert len(part) == 40
    scaling = table.data.input_scaling
    assert scaling is not None
    assert isinstance(part.inputs, torch.Tensor)
    own_unit = scaling.undo(part.inputs)
    assert table.data.features == ("length", "width", "colour=blue", "colour=red")
    expected = other[["length", "width"]].to_numpy()
    found = own_unit[:, :2].numpy()
    np.testing.assert_allclose(np.sort(found, 0), np.sort(expected, 0), rtol=1e-4, atol=1e-5)
    by_length = other.set_index(other["length"].round(3))["kind"]
    for row, target in zip(own_unit, part.targets, strict=True):
        name = by_length.loc[round(float(row[0]), 3)]
        assert name == table.data.classes[int(target)]


def test_fewer_classes_and_colours_keep_the_runs_numbers(table: Trained) -> None:
    other = flowers(60, seed=2)
    some = other[(other["kind"] != "iris") & (other["colour"] == "red")]
    source = of_file(table, some)
    part = samples_of(source.data, "all")
    assert source.data.classes == ("iris", "rose", "tulip")
    assert set(part.targets.tolist()) == {1, 2}
    scaling = table.data.input_scaling
    assert scaling is not None and isinstance(part.inputs, torch.Tensor)
    colours = scaling.undo(part.inputs)[:, 2:]
    torch.testing.assert_close(colours, torch.tensor([[0.0, 1.0]]).expand(len(part), 2))


def test_what_of_a_table_does_not_fit(table: Trained) -> None:
    other = flowers(30, seed=3)

    def fault(rows: pd.DataFrame) -> str:
        rows.to_csv("other.csv", index=False)
        return refused(table, "dataset.path=other.csv")

    assert fault(other.drop(columns="width")) == (
        "dataset: lacks the column 'width', which the run was trained on"
    )
    assert fault(other.rename(columns={"width": "widht"})).endswith("; did you mean widht?")
    assert fault(other.assign(height=1.0, age=2.0)) == (
        "dataset: has the columns 'height', 'age', which the run does not know "
        "(type dataset.ignore=[height,age])"
    )
    assert "the run has never seen that category" in fault(
        other.assign(colour=["green", *other["colour"][1:]])
    )
    assert fault(other.assign(kind=["lily", *other["kind"][1:]])) == (
        "dataset: has the class 'lily', which the run does not know (it knows iris, rose, tulip)"
    )
    assert "column 'width' has text where numbers belong" in fault(other.assign(width="wide"))
    Path("other.csv").write_text("")
    assert "the file is empty" in refused(table, "dataset.path=other.csv")


def test_another_task_or_shape(home: Path, table: Trained, digits: Trained) -> None:
    assert refused(digits, "dataset=mnist5k") == (
        "dataset: a sample has shape 1×28×28, the run was trained on 1×8×8"
    )
    boston = open_trained(home / "boston")
    two = "dataset: has classes to tell apart, the run was trained on numbers to predict"
    assert refused(boston, "dataset=moons").startswith(
        "dataset: lacks the columns 'CRIM', 'ZN', 'INDUS', 'CHAS', 'NOX' and 8 more, which the run"
    )
    rows = pd.DataFrame(np.random.default_rng(0).random((20, 13)), columns=boston.data.features)
    rows.assign(kind=["a", "b"] * 10).to_csv("other.csv", index=False)
    words = ("dataset=csv", "dataset.path=other.csv")
    assert refused(boston, *words, "dataset.task=multiclass").startswith(two)
    assert "the target 'kind' has text where numbers belong" in refused(boston, *words)


def test_splits_and_seeds_of_the_same_source(digits: Trained) -> None:
    same = ask(digits, "dataset.limit=200", "seed=0")
    assert same.kind == "own"
    fewer = ask(digits, "dataset.limit=20")
    assert (fewer.kind, fewer.split, fewer.notes) == ("resplit", "test", ())
    assert len(fewer.data.test) == 20
    own = {bytes(row.numpy()) for row in run_data(digits).train.inputs}
    again = ask(digits, "seed=7")
    count = sum(bytes(row.numpy()) in own for row in again.data.test.inputs)
    assert count > 0
    assert again.notes == (
        f"{count} of these 200 samples are in the training split of the run: the figures are "
        "better than they would be on new ones",
    )


def test_whether_they_were_trained_on_cannot_always_be_told(home: Path, table: Trained) -> None:
    shutil.copytree(home / "table", "table")
    (home / "flowers.csv").rename("away.csv")
    try:
        source = of_file(table, flowers(30, seed=4))
    finally:
        Path("away.csv").rename(home / "flowers.csv")
    assert source.notes[-1] == (
        "whether the run was trained on some of these samples cannot be told"
    )


def test_a_class_that_the_run_left_out(home: Path) -> None:
    three = open_trained(home / "three")
    assert "has the class '0', which the run does not know (it knows 3, 4, 5)" in refused(
        three, "dataset.classes=null"
    )
    two = ask(three, "dataset.classes=[4,5]")
    assert set(two.data.train.targets.tolist()) == {1, 2}
    assert two.data.task == "multiclass"


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("model=mlp", "model=mlp: is not about data"),
        ("dataset.limit=10,100", "expected one value, evaluate judges on one data set"),
        ("dataset=[digits,moons]", "expected the name of a data set"),
        ("dataset=surface", "dataset=surface: is a function to minimise"),
        ("dataset=digit", "did you mean digits?"),
        ("dataset.limits=3", "dataset.limits: no such key"),
        ("dataset.limit=few", "dataset.limit=few: expected a whole number or null"),
        ("seed=x", "seed=x: expected a whole number (for example seed=1)"),
        ("+dataset.limit=3", "+dataset.limit=3: expected key=value"),
        ("dataset.limit", "dataset.limit: expected key=value"),
        ("dataset._target_=os.system", "dataset._target_=os.system: dlrun calls what lies in"),
    ],
)
def test_other_words_are_refused(digits: Trained, word: str, text: str) -> None:
    assert text in refused(digits, word)


def test_a_data_set_of_the_users_own(digits: Trained) -> None:
    Path("conf/dataset").mkdir(parents=True)
    Path("conf/dataset/noise.yaml").write_text(
        "_target_: noise_of_mine.noise\n_partial_: true\nval_fraction: 0.1\n"
        "test_fraction: 0.5\nnormalize: true\nlimit: null\n"
    )
    Path("noise_of_mine.py").write_text(
        "import torch\nfrom dlrun.datasets import Samples\n\n"
        "def noise(data_dir, seed):\n"
        "    inputs = torch.rand(40, 1, 8, 8)\n"
        "    return Samples(inputs, torch.arange(40) % 10, 'multiclass', "
        "tuple('0123456789'))\n"
    )
    source = ask(digits, "dataset=noise")
    assert (source.kind, source.split, source.name) == ("other", "all", "noise")
    part = samples_of(source.data, "all")
    scaling = digits.data.input_scaling
    assert scaling is not None and isinstance(part.inputs, torch.Tensor)
    pixels = scaling.undo(part.inputs)
    assert len(part) == 40 and float(pixels.min()) > -1e-5 and float(pixels.max()) < 1.00001
