"""What a summary says of a person: nothing."""

from __future__ import annotations

import getpass
from pathlib import Path

import pytest

from dlrun.privacy import all_without_names, homes, user_names, without_names
from dlrun.run_files import read_summary, write_summary


def somebody(monkeypatch: pytest.MonkeyPatch, name: str, home: str) -> None:
    monkeypatch.setenv("HOME", home)
    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(variable, name)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("dataset.path=/home/alice/data/x.csv", "dataset.path=~/data/x.csv"),
        ("/home/alice", "~"),
        ("'/home/alice/a b', /home/alice.", "'~/a b', ~."),
        ("/home/alice2/x /home/alice-old/x", "/home/alice2/x /home/USER-old/x"),
        ("/mnt/home/alice/x", "/mnt/home/USER/x"),
        ("/data/alice/mnist and /data/alicia", "/data/USER/mnist and /data/alicia"),
        ("/tmp/pytest-of-alice/run", "/tmp/pytest-of-USER/run"),
        ("alice/data.csv", "USER/data.csv"),
        ("dataset.path=../alice/x", "dataset.path=../USER/x"),
        (r"D:\work\alice\x.csv", r"D:\work\USER\x.csv"),
        ("https://host/alice/x", "https://host/USER/x"),
        ("~/alice.csv", "~/USER.csv"),
        ("model=alice", "model=alice"),
        ("experiments/alice-adam", "experiments/alice-adam"),
        ("alice says no", "alice says no"),
        ("", ""),
    ],
)
def test_home_and_name_are_left_out(
    text: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    somebody(monkeypatch, "alice", "/home/alice")
    assert without_names(text) == expected


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("mlp", "model=mlp"),
        ("mlp", "outputs/runs/2026-11-22/14-03-22-mlp-adam-digits-0f3a"),
        ("hydra", "hydra/launcher=local"),
        ("launcher", "hydra/launcher=local"),
        ("adam", "optimizer=[adam,sgd]"),
    ],
)
def test_words_of_a_config_stay_whoever_the_user_is(
    name: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    somebody(monkeypatch, name, f"/home/{name}")
    assert without_names(text) == text


def test_the_home_of_root_and_one_that_is_a_link(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    somebody(monkeypatch, "root", "/root")
    assert without_names("/root/x /rootfs/x /srv/root/x") == "~/x /rootfs/x /srv/USER/x"
    (tmp_path / "far").mkdir()
    (tmp_path / "near").symlink_to("far")
    somebody(monkeypatch, "nobody-here", str(tmp_path / "near"))
    assert without_names(f"{tmp_path}/far/x {tmp_path}/near/x") == "~/x ~/x"


def test_no_home_and_no_name_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown() -> str:
        raise KeyError("uid not found: 1000")

    monkeypatch.setattr(getpass, "getuser", unknown)
    monkeypatch.setenv("HOME", "/")
    assert homes() == []
    assert user_names() == []
    assert without_names("/data/x") == "/data/x"


def test_all_texts_in_a_summary_are_cleaned(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    somebody(monkeypatch, "alice", "/home/alice")
    summary = {
        "command": ["dlrun", "dataset.path=/home/alice/x.csv"],
        "error": "/data/alice/x.csv: no such file",
        "metrics": {"loss/alice": 0.5},
        "resumed": [{"overrides": ["data_dir=/home/alice"]}],
    }
    expected = {
        "command": ["dlrun", "dataset.path=~/x.csv"],
        "error": "/data/USER/x.csv: no such file",
        "metrics": {"loss/alice": 0.5},
        "resumed": [{"overrides": ["data_dir=~"]}],
    }
    assert all_without_names(summary) == expected
    write_summary(tmp_path, summary)
    assert read_summary(tmp_path) == expected
