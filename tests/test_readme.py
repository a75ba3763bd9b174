"""Every command of the README runs, as it stands there or cut short."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from conftest import Command
from PIL import Image, ImageDraw
from test_choices import write_idx
from test_sweep_presets import SMALL

from dlrun.cli import command_line
from dlrun.verbs import VERBS

README = Path(__file__).parent.parent / "README.md"
SHORT = ("debug.max_epochs=1", "debug.max_batches=2", "figures=false", "device.threads=1")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README.read_text(), flags=re.DOTALL)
LINES = [
    line.partition(" #")[0].strip()
    for language, block in BLOCKS
    if language in ("bash", "console")
    for line in block.replace("\\\n", " ").splitlines()
]
# One block is a story: each of its commands needs what those before it have left.
(STORY,) = (
    [line for line in block.splitlines() if line.startswith("dlrun ")]
    for _, block in BLOCKS
    if "dlrun ls\n" in block
)
COMMANDS = sorted({line for line in LINES if line.startswith("dlrun ")} - set(STORY))
# Checked elsewhere: by .ci/run (set-up), by tests/readme/make_pictures.py (TensorBoard).
ELSEWHERE = ("python3 -m venv", "tensorboard ", "pip install", "python tests/", "pytest")


def test_every_line_is_known() -> None:
    assert len(COMMANDS) >= 10
    for line in LINES:
        assert not line or line.startswith(("#", "dlrun ", *ELSEWHERE)), line


@pytest.mark.parametrize("line", COMMANDS)
def test_command(line: str, dlrun: Command, tmp_path: Path) -> None:
    for name in ("MNIST", "FashionMNIST"):
        write_idx(tmp_path / "data" / name / "raw")
    rows = "".join(f"{i},{i % 7},{i * 0.37:.2f}\n" for i in range(60))
    (tmp_path / "houses.csv").write_text("rooms,age,price\n" + rows)
    for label in ("cats", "dogs"):
        (tmp_path / "photos" / label).mkdir(parents=True)
        for index in range(12):
            Image.new("L", (9, 7), index).save(tmp_path / "photos" / label / f"{index}.png")
    for path, text in own_files().items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    words = shlex.split(line)[1:]
    for name, small in SMALL.items():
        words += small if f"sweep={name}" in words else ()
    trains = words[0] not in VERBS and not any(w.startswith("--") for w in words)
    data = {"DLRUN_DATA_DIR": str(tmp_path / "data")}
    if found := re.search(
        r"(?:resume |report |init_from=)(\S+)", line
    ):  # the run of the line before
        (first,) = (other for other in COMMANDS if f".dir={found[1]}" in other)
        short = () if words[0] == "resume" and " -m " not in first else SHORT
        assert dlrun(*shlex.split(first)[1:], *short, **data).returncode == 0
    done = dlrun(*words, *(SHORT if trains else ()), **data)
    assert done.returncode == 0, done.stderr


def test_the_story_of_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    for path in ("three.png", "photos/another.png"):
        picture = Image.new("L", (40, 60), 255)
        ImageDraw.Draw(picture).line([(10, 10), (30, 10), (15, 50)], fill=0, width=5)
        picture.save(path)
    told = {}
    for line in STORY:
        words = shlex.split(line.partition(" #")[0])[1:]
        assert command_line(words) == 0, (line, capsys.readouterr().err)
        told[line] = capsys.readouterr().out
    assert "equal to training's figures" in told["dlrun evaluate digits"]
    assert "the same, bit for bit" in told["dlrun rerun plain"]
    assert told["dlrun predict digits three.png photos"].count(".png") == 2
    assert "digits.onnx" in told["dlrun export digits --format onnx"]
    assert "equal to training's figures" in told["dlrun evaluate digits.tar.gz"]


def own_files() -> dict[str, str]:
    """The files that the README shows, by the path in their first line."""
    files = {}
    for language, block in BLOCKS:
        if language in ("python", "yaml") and (
            found := re.match(r"(?:# @.*\n)?# (\S+\.\w+)\n", block)
        ):
            files[found[1]] = block
    return files


def test_python_example(monkeypatch: pytest.MonkeyPatch) -> None:
    (example,) = (block for language, block in BLOCKS if "from dlrun import run" in block)
    exec(compile(example, "README.md", "exec"), {})


def test_group_table_names_every_choice() -> None:
    from test_choices import CHOICES

    text = README.read_text()
    for group, name in CHOICES:
        row = re.search(rf"^\| `{group}` \|(.*)$", text, flags=re.MULTILINE)
        assert row is not None, group
        assert f"`{name}`" in row[1], f"{group}={name}"
