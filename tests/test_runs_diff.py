"""`dlrun diff`: what differs between runs, which is best, and what cannot be compared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from report_runs import write_plan, write_run

from dlrun.errors import UserError
from dlrun.runs.comparison import best_of
from dlrun.runs.diff import diff, figure_texts
from dlrun.yaml_files import dump_yaml

HPARAMS = {"model": "mlp", "optimizer": "adam", "dataset": "digits", "loss": "cross_entropy"}
CONFIG = {
    "model": {"_target_": "a.MLP", "hidden": [64], "init": "torch"},
    "optimizer": {"_target_": "torch.optim.Adam", "lr": 0.1, "betas": [0.9, 0.999]},
    "epochs": 3,
}


@pytest.fixture(autouse=True)
def eighty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def a_run(
    folder: str,
    config: dict[str, Any] | None = None,
    hparams: dict[str, Any] | None = None,
    **k: Any,
) -> Path:
    """A run with a config; changes of hyper-parameters, and further entries of the summary."""
    path = write_run(Path(folder), hparams={**HPARAMS, **(hparams or {})}, **k)
    (path / ".hydra").mkdir()
    (path / ".hydra" / "config.yaml").write_text(dump_yaml({**CONFIG, **(config or {})}))
    return path


def told(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert diff(words) == 0
    output, errors = capsys.readouterr()
    assert errors == "" and "\x1b" not in output
    return output


def rows(text: str) -> dict[str, list[str]]:
    """The cells of each line by its first word."""
    return {line.split()[0]: line.split()[1:] for line in text.splitlines() if line.strip()}


def test_only_what_differs_of_the_config_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    a_run("a", value=0.9, test=0.8)
    sgd = {"_target_": "torch.optim.SGD", "lr": 0.1, "nesterov": True, "dampening": None}
    a_run("b", {"optimizer": sgd, "epochs": 3.0}, {"optimizer": "sgd"}, value=0.7, test=0.8)
    text = told(capsys, "a", "b")
    assert text.startswith("A  a\nB  b\n\nconfig ")
    config = rows(text.partition("\nmetrics")[0])
    assert list(config)[4:] == [  # behind the runs, the head and its rule
        *("optimizer", "optimizer.betas", "optimizer.nesterov", "optimizer.dampening")
    ]
    assert config["optimizer"] == ["adam", "sgd"]
    assert config["optimizer.betas"] == ["[0.9,0.999]", "-"]
    assert config["optimizer.nesterov"] == ["-", "true"]
    assert config["optimizer.dampening"] == ["-", "null"]
    metrics = rows(text.partition("\nmetrics")[2])
    assert metrics["accuracy/val"] == ["0.9000*", "0.7000"]
    assert metrics["accuracy/test"] == ["0.8000", "0.8000"]
    assert metrics["lr"] == ["0.5000", "0.5000"]
    assert text.endswith("\nenvironment: the same\n")
    assert max(map(len, text.splitlines())) <= 80


def test_runs_that_are_the_same_are_called_so(capsys: pytest.CaptureFixture[str]) -> None:
    for name, seconds in (("a", 3.0), ("b", 4.0)):
        a_run(name, value=0.9, train_seconds=seconds)
    text = told(capsys, "a", "b")
    assert "\nconfig: the same\n" in text
    assert "\nmetrics: the same to the last digit (times aside)\n" in text
    assert "\nenvironment: the same\n" in text
    assert rows(text)["train_seconds"] == ["3", "4"]


def test_another_target_of_the_same_name_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    a_run("a")
    a_run("b", {"model": {**CONFIG["model"], "_target_": "b.MLP"}})  # type: ignore[dict-item]
    assert rows(told(capsys, "a", "b"))["model._target_"] == ["a.MLP", "b.MLP"]


def test_versions_device_and_data_that_differ_are_shown(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, torch in (("a", "2.6"), ("b", "2.7")):
        versions = {"torch": torch, "numpy": "2.0"}
        data = {"name": "digits", "checksum": f"same{torch}"}
        a_run(name, value=0.5 if name == "a" else 0.6, versions=versions, device="cpu", data=data)
    text = told(capsys, "a", "b")
    environment = rows(text.partition("\nenvironment")[2])
    assert environment["versions.torch"] == ["2.6", "2.7"]
    assert environment["data.checksum"] == ["same2.6", "same2.7"]
    assert not {"versions.numpy", "device", "data.name", "status"} & environment.keys()
    assert "no best is marked: the runs have different data\n" in text and "*" not in text


def test_losses_of_different_kinds_are_not_compared(capsys: pytest.CaptureFixture[str]) -> None:
    for name, loss, value in (("a", "mse", 0.1), ("b", "mae", 0.2)):
        a_run(name, {}, {"loss": loss}, value=value, metric="loss")
    text = told(capsys, "a", "b")
    assert "losses are not compared: the runs minimise different ones\n" in text
    assert rows(text)["loss/val"] == ["0.1000", "0.2000"]


def test_many_runs_are_shown_in_tables_below_one_another(
    capsys: pytest.CaptureFixture[str],
) -> None:
    names = [f"run{k}" for k in range(12)]
    for k, name in enumerate(names):
        a_run(name, {"seed": k}, value=k / 20)
    text = told(capsys, *names)
    assert max(map(len, text.splitlines())) <= 80
    found = [line.split() for line in text.splitlines() if line.startswith("accuracy/val")]
    assert len(found) > 1
    cells = [cell for line in found for cell in line[1:]]
    assert cells == [f"{k / 20:.4f}{'*' if k == 11 else ''}" for k in range(12)]


def test_json_has_no_entry_for_what_a_run_lacks(capsys: pytest.CaptureFixture[str]) -> None:
    a_run("a", {"extra": None, "bad": float("nan")}, value=0.9)
    a_run("b", {"other": {"x": [1]}}, status="failed")
    found = json.loads(told(capsys, "--json", "a", "b"), parse_constant=pytest.fail)
    assert found["runs"]["B"] == {"path": "b", "name": "b", "status": "failed"}
    assert found["config"] == {"extra": {"A": None}, "bad": {"A": None}, "other.x": {"B": [1]}}
    assert found["metrics"]["accuracy/val"] == {"A": 0.9}
    assert found["environment"] == {"status": {"A": "completed", "B": "failed"}}
    assert found["best"] == {} and found["faults"] == [] and found["note"] == ""


def test_without_a_config_the_recorded_hyper_parameters_are_compared(
    capsys: pytest.CaptureFixture[str],
) -> None:
    a_run("a", {"epochs": 9}, {"lr": 0.1})
    write_run(Path("b"), hparams={**HPARAMS, "lr": 0.2})
    text = told(capsys, "a", "b")
    assert "B: there is no .hydra/config.yaml; hyper-parameters of summary.json are comp" in text
    config = rows(text.partition("\nmetrics")[0])
    assert config["lr"] == ["0.1", "0.2"]
    assert not {"epochs", "model.hidden"} & config.keys()


def test_what_strangers_wrote_is_only_printed(capsys: pytest.CaptureFixture[str]) -> None:
    a_run("a", {"\x1b[2J": "[red]\x1b"}, device={"\x07": "\x1b"})
    a_run("b\x1b")
    text = told(capsys, "a", "b\x1b")
    assert "\x07" not in text
    assert "[red]\\x1b" in text and "B  b\\x1b\n" in text


def test_the_best_of_a_metric() -> None:
    assert best_of("mse/test", {"A": 3.0, "B": None, "C": 2.0}) == ["C"]
    assert best_of("r2/val", {"A": 0.3, "B": -2.0}) == ["A"]
    assert best_of("time/total", {"A": 0.3, "B": 2.0}) == []
    assert best_of("loss/val", {"A": 0.3}) == []


def test_figures_that_differ_look_different() -> None:
    assert figure_texts([1e6, 1e6 + 1]) == ["1000000", "1000001"]
    assert figure_texts([0.1, 0.1 + 2**-55]) == ["0.10000000000000001", "0.10000000000000003"]
    assert figure_texts([12345.0, None], whole=True) == ["12,345", "-"]


def test_wrong_input() -> None:
    a_run("a")
    write_run(Path("damaged")).joinpath("summary.json").write_text("{")
    write_plan(Path("sweep"), [{"x": 1}])
    cases = {
        ("a",): "dlrun diff: expected 2 to 26 runs, got 1 (type dlrun diff last",
        ("a",) * 27: "expected 2 to 26 runs, got 27",
        ("a", "./a"): "./a: is the same run as a",
        ("a", "damaged"): "damaged: cannot be compared, summary.json: not the JSON",
        ("a", "sweep"): "sweep: is a sweep, expected runs (name its jobs, or type dlrun report)",
        ("a", "b"): "b: no such",
    }
    for words, text in cases.items():
        with pytest.raises(UserError) as caught:
            diff(words)
        assert text in str(caught.value) and "\n" not in str(caught.value)
