"""`dlrun experiments`: the course in order, one lesson or word of it, own experiments, errors."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from dlrun.cli import command_line
from dlrun.experiments import KEYS, LESSONS, Experiment, all_experiments, head_of, names, order
from dlrun.hydra_session import packaged_conf

PACKAGED = [
    f"{group}={file.stem}"
    for group in ("experiment", "sweep")
    for file in sorted((packaged_conf() / group).glob("*.yaml"))
]


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


def listed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert command_line(["experiments", *words]) == 0
    output, errors = capsys.readouterr()
    assert errors == ""
    return output


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert command_line(["experiments", *words]) == 2
    output, errors = capsys.readouterr()
    assert output == ""
    assert len(errors.splitlines()) == 1
    return errors.removeprefix("error: ").rstrip()


def commands(text: str) -> list[str]:
    return re.findall(r"^  ((?:experiment|sweep)=\S+)", text, re.MULTILINE)


def lessons(text: str) -> list[str]:
    return [line for line in text.splitlines() if line in (*LESSONS, "Your own")]


def own(text: str, name: str = "mine") -> None:
    folder = Path("conf", "experiment")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.yaml").write_text(text)


def test_all_of_them_are_listed_once_in_the_order_of_the_course(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = listed(capsys)
    assert len(PACKAGED) > 20
    assert sorted(commands(text)) == sorted(PACKAGED)
    found = lessons(text)
    assert found == [lesson for lesson in LESSONS if lesson in found]
    assert "To see:" not in text
    assert text.splitlines()[-1] == f"  dlrun {commands(text)[0]} seed=1"


@pytest.mark.parametrize("command", PACKAGED)
def test_every_file_says_what_it_is(command: str) -> None:
    group, name = command.split("=")
    text = (packaged_conf() / group / f"{name}.yaml").read_text()
    head = head_of(text)
    needed = set(KEYS) - ({"Source"} if group == "sweep" else {"Source", "Runs"})
    assert needed <= set(head), needed - set(head)
    assert head["Lesson"] in LESSONS
    for key, value in head.items():
        assert value and value == " ".join(value.split()), key
    said = " ".join(
        " ".join(line.lstrip("#").split()) for line in text.splitlines() if line[:1] == "#"
    )
    for key, value in head.items():
        assert f"{key}: {value}" in said
    assert isinstance(yaml.safe_load(text), dict)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("notmnist_adam", ["experiment=notmnist_adam"]),
        ("autoencoders", [e.command for e in all_experiments() if e.lesson == "Autoencoders"]),
        ("AUTOENC", [e.command for e in all_experiments() if "autoenc" in str(e).lower()]),
        ("sweep=race_", [c for c in PACKAGED if c.startswith("sweep=race_")]),
    ],
)
def test_a_word_names_a_lesson_a_name_or_a_part_of_one(
    word: str, expected: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    found = commands(listed(capsys, word).partition("Type dlrun")[0])
    assert set(found) >= set(expected) if word == "AUTOENC" else set(found) == set(expected)
    assert expected


def test_a_word_gets_everything_that_the_files_say(capsys: pytest.CaptureFixture[str]) -> None:
    text = " ".join(listed(capsys, "surface_saddle").split())
    head = head_of((packaged_conf() / "experiment" / "surface_saddle.yaml").read_text())
    for key in ("Question", "Time", "Data"):
        assert head[key] in text
    for key in ("To see", "Source"):
        assert f"{key}: " in text
        assert head[key].split(": ")[0][:60] in text
    assert text.endswith("dlrun experiment=surface_saddle seed=1")


@pytest.mark.parametrize(
    ("word", "end"),
    [
        ("autoencodr", "; did you mean autoencoder?"),
        ("overfiting", "; did you mean overfitting?"),
        ("zzz", " (dlrun experiments lists all)"),
        ("a\x1b[2J", " (dlrun experiments lists all)"),
    ],
)
def test_a_word_that_names_nothing_is_told(
    word: str, end: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = word.replace("\x1b", "\\x1b")
    assert refused(capsys, word) == (
        f"dlrun experiments {shown}: no such lesson or experiment{end}"
    )


def test_what_is_no_word_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    end = "(type dlrun experiments)"
    assert refused(capsys, "a", "b") == f"dlrun experiments: unrecognized arguments: b {end}"
    assert refused(capsys, "--all") == f"dlrun experiments: unrecognized arguments: --all {end}"


def test_help_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command_line(["experiments", "--help"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("usage: dlrun experiments [WORD]\n")


def test_own_experiments_stand_with_their_lesson_or_last(
    capsys: pytest.CaptureFixture[str],
) -> None:
    own(
        "# Lesson: Regression\n# Question: how dear is\n#   a house?\n# Time: 3 s\nepochs: 1\n", "a"
    )
    own("epochs: 2\n", "b")
    text = listed(capsys)
    assert sorted(commands(text)) == sorted([*PACKAGED, "experiment=a", "experiment=b"])
    assert lessons(text)[-1] == "Your own"
    assert "how dear is a house?" in text
    assert commands(text)[-1] == "experiment=b"
    assert commands(listed(capsys, "own")) == ["experiment=b"]


def test_a_lesson_of_ones_own_comes_last(capsys: pytest.CaptureFixture[str]) -> None:
    own("# Lesson: Knitting\n# Question: how?\n")
    text = listed(capsys)
    assert re.search(r"\nKnitting\n  experiment=mine +how\? *\n\nType dlrun", text)
    assert commands(listed(capsys, "knit")) == ["experiment=mine"]


def test_files_of_others_do_nothing_to_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    own("# Lesson: [red]\x1b[2J\n# Question: [/] :smile: \x07\n")
    text = listed(capsys, "mine")
    assert "\x1b" not in text and "\x07" not in text
    assert "[red]\\x1b[2J" in text
    assert "[/] :smile:" in text


def test_an_experiment_of_ones_own_that_is_no_text_is_listed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("conf", "sweep").mkdir(parents=True)
    Path("conf", "sweep", "odd.yaml").write_bytes(b"# Question: \xff\xfe\n")
    assert "sweep=odd" in commands(listed(capsys))


def test_the_packaged_folder_is_not_listed_twice(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(packaged_conf().parent)
    assert len(list(all_experiments())) == len(PACKAGED)


def test_heads_end_where_the_comments_do() -> None:
    text = "# Question: a?\n# not a key: b\nepochs: 1 # Time: 3 s\n# Data: c\n"
    assert head_of(text) == {"Question": "a?"}
    assert head_of("") == {}


def test_names_and_order() -> None:
    one = Experiment("experiment=moons_mlp", {"Lesson": "The plane", "Data": "embedded"})
    assert [names(one, word) for word in ("MOONS", "plane", "embed", "mnist")] == [
        *(True, True, True),
        False,
    ]
    other = Experiment("sweep=x", {})
    assert order(one) < order(other) == (len(LESSONS), "Your own")


def test_the_list_is_made_without_torch() -> None:
    code = (
        "import sys; from dlrun.cli import command_line; code = command_line(['experiments']);"
        "sys.exit(code or 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
