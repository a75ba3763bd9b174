"""`dlrun rm`: what may go, what is asked, where it goes, how it comes back, what stays."""

from __future__ import annotations

import builtins
import errno
import os
import re
import shutil
import sys
from pathlib import Path

import pytest
from report_runs import write_plan, write_run

from dlrun.errors import Failure, UserError
from dlrun.run_files import locked
from dlrun.runs.removal import held, removable
from dlrun.runs.rm import rm
from dlrun.runs.sizes import folder_size, size_text

DAY = Path("outputs/runs/2030-01-02")
RUN = DAY / "14-03-22-mlp-adam-digits-0f3a"
SWEEP = Path("outputs/sweeps/lr/2030-01-02_14-03-22-1a2b")
TRASH = Path("outputs/trash")


@pytest.fixture
def places() -> None:
    """Two runs and a sweep of two jobs below outputs."""
    write_run(RUN, value=0.5, hparams={"optimizer": "adam"})
    write_run(DAY / "15-00-00-cnn-sgd-digits-beef", status="failed", hparams={"optimizer": "sgd"})
    write_plan(SWEEP, [{"x": 0}, {"x": 1}])
    for k in (0, 1):
        write_run(SWEEP / f"000{k}-x={k}", value=0.7)


def tree(folder: Path = Path()) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def told(capsys: pytest.CaptureFixture[str], *words: str | Path) -> str:
    capsys.readouterr()
    assert rm([str(word) for word in words]) == 0
    return capsys.readouterr().out


def stamp_of(text: str) -> Path:
    found = re.search(r"to (outputs/trash/\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d-[0-9a-f]{4})\n", text)
    assert found is not None, text
    return Path(found[1])


@pytest.mark.usefixtures("places")
def test_a_run_goes_to_the_trash_and_comes_back(capsys: pytest.CaptureFixture[str]) -> None:
    before = tree()
    size = sum(path.stat().st_size for path in RUN.iterdir())
    text = told(capsys, "0f3a", "--yes")
    assert text.startswith(
        f"{RUN}  completed  {size_text(size)}  accuracy/val 0.5\nmoved 1 run to "
    )
    stamp = stamp_of(text)
    assert f"dlrun rm --restore {stamp.name} takes that back\n" in text
    assert tree(stamp / RUN) == {"summary.json", "metrics.jsonl"}
    assert not RUN.exists()
    assert told(capsys, "--restore", "0f3a") == f"back in {RUN}\n"
    assert tree() == before | {str(TRASH)}


@pytest.mark.usefixtures("places")
def test_several_go_together_and_each_once(capsys: pytest.CaptureFixture[str]) -> None:
    before = tree()
    words = (RUN, f"{RUN}/", SWEEP / "0001-x=1", SWEEP, "beef")
    text = told(capsys, *words, "-y")
    stamp = stamp_of(text)
    assert "moved 2 runs and 1 sweep of 2 jobs to " in text
    assert text.count(str(RUN)) == text.count(str(SWEEP)) == 1
    assert not (DAY.exists() or SWEEP.parent.exists())  # nothing is left of the day
    assert len(tree(stamp / SWEEP)) == 7
    assert told(capsys, "--restore", "last").count("back in ") == 3
    assert tree() == before | {str(TRASH)}


@pytest.mark.usefixtures("places")
@pytest.mark.parametrize(
    ("answer", "goes"),
    [("y", True), ("YES", True), ("", False), ("n", False), ("yep", False), (None, False)],
)
def test_it_asks_and_takes_all_but_yes_for_no(
    answer: str | None,
    goes: bool,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def reply() -> str:
        if answer is None:
            raise EOFError
        return answer

    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(builtins, "input", reply)
    text = told(capsys, RUN)
    assert ": move to outputs/trash? [y/N] " in text
    assert text.endswith("nothing was removed\n") != goes
    assert RUN.exists() != goes


@pytest.mark.usefixtures("places")
def test_without_a_terminal_nothing_goes_that_was_not_confirmed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = tree()
    with pytest.raises(UserError, match=r"^there is nobody to ask.*type --yes"):
        rm([str(RUN)])
    output = capsys.readouterr().out
    assert output.startswith(str(RUN)) and output.endswith(": move to outputs/trash?\n")
    assert tree() == before


@pytest.mark.usefixtures("places")
def test_a_condition_chooses_what_goes(capsys: pytest.CaptureFixture[str]) -> None:
    with locked(RUN):
        text = told(capsys, "--where", "accuracy/val>0.1 or status=failed", "-y")
    assert f"left out: {RUN}: is running" in text
    assert "moved 1 run and 1 sweep of 2 jobs to " in text
    assert RUN.exists()
    assert told(capsys, "--where", "optimizer=adam and seed=7") == (
        "no run or sweep fits; nothing was removed\n"
    )
    with pytest.raises(UserError, match="--where.*optimiser"):
        rm(["--where", "optimiser=adam", "-y"])


@pytest.mark.usefixtures("places")
def test_what_is_running_never_goes() -> None:
    for folder in (RUN, SWEEP, SWEEP / "0001-x=1"):
        with locked(folder), pytest.raises(UserError, match="^outputs.*: is running; only"):
            rm([str(SWEEP if folder != RUN else RUN), "-y"])
    with locked(RUN), pytest.raises(UserError, match="is running"), held(RUN):
        pass
    assert removable([str(RUN), str(SWEEP)])  # both have a .lock by now, which nobody holds


@pytest.mark.usefixtures("places")
def test_a_killed_run_may_go(capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_run(DAY / "a", status="running")
    (folder / ".lock").touch()
    assert f"{folder}  killed " in told(capsys, folder, "-y")
    assert not folder.exists()


@pytest.mark.usefixtures("places")
def test_only_whole_runs_and_sweeps_go(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("link").symlink_to(RUN)
    Path("project").mkdir()
    for name in ("summary.json", "sweep.yaml"):  # of another program
        Path("project", name).write_text("{}")
    write_run(Path("repository")).joinpath(".git").mkdir()
    write_run(Path("nest"))
    write_run(Path("nest/within"))
    Path("file").touch()
    (TRASH / "x").mkdir(parents=True)
    write_run(TRASH / "x" / "gone")
    before = tree()
    cases = {
        "link": "^link: is a link",
        "link/": "^link: is a link",
        "project": "^project: is neither a run nor a sweep",
        "repository": "^repository: is neither a run nor a sweep",
        "nest": "^nest: holds other runs, such as nest/within",
        "file": "^file: is a file",
        "outputs": "^outputs: is neither",
        str(DAY): "is neither",
        str(TRASH): "lies in the trash",
        str(TRASH / "x" / "gone"): "lies in the trash",
        str(SWEEP / "0000-x=0"): f"is a job of a sweep, .*dlrun rm {SWEEP}",
        ".": "the current directory lies in it",
        "..": "the current directory lies in it",
        "/": "the current directory lies in it",
        "absent": "^absent: no such",
    }
    for word, text in cases.items():
        with pytest.raises(UserError, match=text) as caught:
            rm([word, str(RUN), "-y"])
        assert "\n" not in str(caught.value)
    monkeypatch.chdir(RUN)
    with pytest.raises(UserError, match="the current directory lies in it"):
        rm(["../14-03-22-mlp-adam-digits-0f3a", "-y"])
    monkeypatch.chdir("../../../..")
    assert tree() == before


def test_a_link_within_a_run_is_moved_and_never_followed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("precious").mkdir()
    Path("precious/file").write_text("x" * 5000)
    write_run(RUN).joinpath("figures").symlink_to(Path("precious").absolute())
    (RUN / ".lock").symlink_to(Path("precious/file").absolute())
    assert folder_size(RUN) < 5000
    told(capsys, RUN, "-y")
    told(capsys, "--purge", "-y")
    assert tree(TRASH) == set()
    assert Path("precious/file").read_text() == "x" * 5000


def test_runs_from_elsewhere_come_back_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    folder = write_run(tmp_path / "far" / "a run")
    monkeypatch.chdir(tmp_path / "here")
    stamp = stamp_of(told(capsys, "../far/a run", "-y"))
    assert (stamp / "@" / str(folder).lstrip("/") / "summary.json").exists()
    assert not folder.exists()
    told(capsys, "--restore", "a run")
    assert folder.exists() and tree(TRASH) == set()


@pytest.mark.usefixtures("places")
def test_another_file_system_is_copied_to(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    files = tree(RUN)
    monkeypatch.setattr(os, "rename", refuse)
    stamp = stamp_of(told(capsys, RUN, "-y"))
    assert tree(stamp / RUN) == files and not RUN.exists()


@pytest.mark.usefixtures("places")
def test_what_went_is_told_where_the_rest_could_not(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = os.rename

    def refuse_sweeps(source: Path, to: Path) -> None:
        if "sweeps" in str(source):
            raise PermissionError(errno.EACCES, "Permission denied", str(source))
        rename(source, to)

    monkeypatch.setattr(os, "rename", refuse_sweeps)
    with pytest.raises(Failure, match=f"^{SWEEP}: Permission denied$"):
        rm([str(RUN), str(SWEEP), "-y"])
    assert "moved 1 run to outputs/trash/" in capsys.readouterr().out
    assert SWEEP.exists() and not RUN.exists()


@pytest.mark.usefixtures("places")
def test_a_purge_says_how_much_and_leaves_what_dlrun_did_not_put_there(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert told(capsys, "--purge") == "outputs/trash is empty\n"
    told(capsys, RUN, "beef", "-y")
    told(capsys, SWEEP, "-y")
    (TRASH / "mine").mkdir()
    Path("kept").mkdir()
    (TRASH / "2030-01-02_03-04-05-abcd").symlink_to(Path("kept").absolute())
    size = size_text(sum(folder_size(path) for path in TRASH.iterdir()))
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(builtins, "input", lambda: "n")
    text = told(capsys, "--purge")
    assert re.fullmatch(
        rf"3 runs or sweeps, {size}, in outputs/trash since \d{{4}}-\d\d-\d\d: delete for good\? "
        r"\[y/N\] nothing was deleted\n",
        text,
    )
    assert len(tree(TRASH)) > 10
    assert told(capsys, "--purge", "-y") == f"deleted 3 runs or sweeps, {size}\n"
    assert tree(TRASH) == {"mine", "2030-01-02_03-04-05-abcd"}
    assert Path("kept").exists()


@pytest.mark.usefixtures("places")
def test_what_cannot_come_back_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match="^outputs/trash: is empty"):
        rm(["--restore", "last"])
    copy = Path("copy") / RUN.name
    shutil.copytree(RUN, copy)
    told(capsys, RUN, "-y")
    write_run(RUN)
    with pytest.raises(UserError, match=f"^{RUN}: is there again"):
        rm(["--restore", "0f3a"])
    with pytest.raises(UserError, match="^0f3: nothing in outputs/trash.*it has 14-03-22-mlp"):
        rm(["--restore", "0f3"])
    told(capsys, copy, "-y")
    with pytest.raises(UserError, match="^0f3a: fits 2 in the trash: ") as caught:
        rm(["--restore", "0f3a"])
    assert f"/{RUN}" in str(caught.value) and f"/{copy}" in str(caught.value)
    assert told(capsys, "--restore", copy) == f"back in {copy}\n"


@pytest.mark.parametrize(
    "words", [[], ["a", "--purge"], ["--purge", "--where", "x=1"], ["a", "--restore", "b"]]
)
def test_one_thing_at_a_time(words: list[str]) -> None:
    with pytest.raises(UserError, match="^dlrun rm: expected one of RUN"):
        rm(words)


def test_names_are_only_printed(capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_run(Path("a\x1b[2J[red]"), status="\x1b[31m", value=0.5)
    text = told(capsys, folder, "-y")
    assert "\x1b" not in text and text.startswith("a\\x1b[2J[red]  \\x1b[31m  ")
    assert told(capsys, "--restore", "last") == "back in a\\x1b[2J[red]\n"
