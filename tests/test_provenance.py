"""What a run records of where its figures come from."""

from __future__ import annotations

import json
import platform
import re
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from conftest import only_run

import dlrun
from dlrun import environment
from dlrun.cli import command_line as answer
from dlrun.environment import host
from dlrun.provenance import PACKAGES, command_line, installed_versions, now, origin

TINY = ("dataset=digits", "dataset.limit=60", "model.hidden=[4]", "epochs=1", "figures=false", "-q")


def test_versions_are_those_installed() -> None:
    versions = installed_versions()
    assert versions["python"] == platform.python_version()
    assert versions["torch"] == version("torch")
    assert set(versions) <= {"python", *PACKAGES}
    assert {"pandas", "scikit-learn", "pillow", "optuna"} <= set(versions)


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["/home/alice/bin/dlrun", "model=mlp"], ("dlrun", "model=mlp")),
        (["/x/dlrun/__main__.py", "-m"], ("dlrun", "-m")),
        (["train.py"], ("train.py",)),
        ([], ("",)),
    ],
)
def test_the_command_is_as_typed_with_the_program_by_name(
    argv: list[str], expected: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", argv)
    assert command_line() == expected
    assert origin("one").command == expected
    assert origin("one").rerun_of == "one"


def test_a_moment_has_its_offset() -> None:
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d", now())


def test_the_host_in_numbers_that_name_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "alice")
    monkeypatch.setattr(platform, "node", lambda: "node17")
    found = host()
    assert list(found) == ["name", "system", "machine", "cpu", "cores", "memory_gib"]
    assert found["name"] == "node17"
    assert found["machine"] == platform.machine()
    assert found["cores"] >= 1
    assert found["memory_gib"] is None or found["memory_gib"] > 0.1
    monkeypatch.setattr(platform, "node", lambda: "Alices-laptop")
    assert host()["name"] is None
    monkeypatch.setattr(platform, "node", lambda: "")
    assert host()["name"] is None


def test_a_system_that_does_not_tell_its_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Darwin")  # where there is no sysctl
    monkeypatch.setenv("PATH", "")
    assert environment._cpu_model() is None


def test_a_run_records_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/usr/bin/dlrun", *TINY, "data_dir=/home/alice/d"])
    monkeypatch.setenv("HOME", "/home/alice")
    monkeypatch.setenv("LOGNAME", "alice")
    dlrun.run(*TINY, "data_dir=/home/alice/d")
    text = (only_run(Path()) / "summary.json").read_text()
    summary = json.loads(text)
    assert "alice" not in text
    assert summary["command"] == ["dlrun", *TINY, "data_dir=~/d"]
    assert summary["overrides"][-1] == "data_dir=~/d"
    assert summary["host"] == host()
    assert summary["rerun_of"] is None
    assert summary["data"]["name"] == "digits"
    # 1797 digits, a fifth of them set aside as the test split; at most 60 of each are kept.
    assert summary["data"]["num_samples"] == {"train": 54, "val": 6, "test": 60}
    assert re.fullmatch(r"[0-9a-f]{64}", summary["data"]["checksum"])


def test_the_jobs_of_a_sweep_record_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["-m", "seed=1,2", *TINY, "hydra/launcher=local", "hydra.launcher.workers=1"]
    monkeypatch.setattr(sys, "argv", ["dlrun", *words])
    assert answer(words) == 0
    summaries = [json.loads(file.read_text()) for file in Path().rglob("summary.json")]
    assert [summary["command"] for summary in summaries] == [["dlrun", *words]] * 2
    assert summaries[0]["host"] == summaries[1]["host"] == host()
    # The source is the same for both, whatever the seed makes of it.
    assert summaries[0]["data"] == summaries[1]["data"]
