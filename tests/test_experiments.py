"""Every experiment in conf/experiment: what its head says, and a few steps of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from test_choices import prepare_files

from dlrun import run
from dlrun.experiments import LESSONS, all_experiments, head_of
from dlrun.hydra_session import packaged_conf

FILES = {file.stem: file.read_text() for file in sorted((packaged_conf() / "experiment").iterdir())}
GALLERY = Path(__file__).parent / "readme" / "gallery.md"
LEAST = 28  # of them; each lesson of the course has some here or in conf/sweep


def test_they_are_there() -> None:
    assert len(FILES) >= LEAST
    sweeps = [file.read_text() for file in (packaged_conf() / "sweep").iterdir()]
    assert {head_of(text)["Lesson"] for text in [*FILES.values(), *sweeps]} == set(LESSONS)


def test_the_gallery_shows_pictures_that_are_there_of_commands_that_are_known() -> None:
    text = GALLERY.read_text(encoding="utf-8")
    commands = set(re.findall(r"^dlrun (\S+)$", text, flags=re.MULTILINE))
    assert len(commands) > 8
    assert commands <= {experiment.command for experiment in all_experiments()}
    pictures = re.findall(r"!\[.*\]\((.*)\)", text)
    assert len(pictures) > 10
    for picture in pictures:
        assert (GALLERY.parent / picture).stat().st_size > 1000


@pytest.mark.parametrize("name", FILES)
def test_a_few_steps_of_it(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    head = head_of(FILES[name])
    assert {"Lesson", "Question", "To see", "Time", "Data"} <= set(head)
    if head["Data"] != "embedded":
        prepare_files(head["Data"], tmp_path / "data", tmp_path, monkeypatch)
    words = (f"experiment={name}", "debug=fast_dev_run", "quiet=true")
    result = run(*words, data_dir=str(tmp_path / "data"))
    assert result.status == "completed"
    pictures = {file.suffix for file in (result.run_dir / "figures").iterdir()}
    assert pictures == ({".png", ".gif"} if "animations: true" in FILES[name] else {".png"})
