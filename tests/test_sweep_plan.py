"""sweep.yaml: written in one go, read as data that anybody may have written, held to on resume."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from dlrun.cli import command_line
from dlrun.errors import UserError
from dlrun.run_files import locked, read_summary
from dlrun.sweeps.plan import FILE, FORMAT, Job, Plan, is_folder_name, read_plan, write_plan

JOBS = [
    Job(0, "0000-optimizer=sgd", ["optimizer=sgd"], {"optimizer": "sgd"}, "a" * 64),
    Job(
        number=1,
        folder="0001-x",
        overrides=["figures=false", "data_dir='a, b: ü\u2028\x85\t'", "+model.x=null"],
        values={"data_dir": "'a, b: ü\u2028\x85\t'", "+model.x": "null", "seed": "1e-3"},
        digest="0" * 64,
        trial=3,
        repeat=True,
    ),
]
PLAN = Plan(
    name="on",
    metric="accuracy/val",
    direction="maximize",
    search="grid",
    sweeper={"params": {"optimizer": "sgd,adam", "optimizer.lr": [0.1, None, True, "1e-3"]}},
    words=["figures=false", "yes", "0x10", "- a", "#", "%", "'", '"', "\ufeff", "a\\\nb", ""],
    config_name="config",
    jobs=JOBS,
)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    for plan in (PLAN, replace(PLAN, jobs=[])):
        write_plan(plan, tmp_path)
        assert read_plan(tmp_path) == plan
    assert [file.name for file in tmp_path.iterdir()] == [FILE]


def test_a_plan_that_cannot_be_written_leaves_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_plan(PLAN, tmp_path)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_plan(replace(PLAN, jobs=JOBS[:1]), tmp_path)
    assert read_plan(tmp_path) == PLAN


def content() -> dict[str, Any]:
    """What stands in sweep.yaml, as plain values."""
    return {"format": FORMAT, **asdict(PLAN), "whole": True}


def with_job(**entries: Any) -> Callable[[dict[str, Any]], None]:
    return lambda content: content["jobs"][1].update(entries)


def without(*path: Any) -> Callable[[dict[str, Any]], None]:
    def change(content: Any) -> None:
        for key in path[:-1]:
            content = content[key]
        del content[path[-1]]

    return change


DAMAGE: dict[str, Callable[[dict[str, Any]], None]] = {
    **{f"no {key}": without(key) for key in content() if key != "format"},
    **{f"no {key} of a job": without("jobs", 0, key) for key in list(asdict(JOBS[0]))[:5]},
    "format gone": without("format"),
    "another key": lambda c: c.update(extra=1),
    "another key of a job": with_job(extra=1),
    "jobs no list": lambda c: c.update(jobs={"a": 1}),
    "jobs a text": lambda c: c.update(jobs="abc"),
    "jobs null": lambda c: c.update(jobs=None),
    "a job that is no mapping": lambda c: c["jobs"].append("job"),
    "a job twice": lambda c: c["jobs"].append(c["jobs"][1]),
    "a folder twice": lambda c: c["jobs"].append({**c["jobs"][1], "number": 2}),
    "jobs in another order": lambda c: c["jobs"].reverse(),
    "a number that is a text": with_job(number="1"),
    "a number that is none": with_job(number=None),
    "a number that is true": with_job(number=True),
    "a negative trial": with_job(trial=-1),
    "a trial that is a text": with_job(trial="3"),
    "a folder that is a number": with_job(folder=7),
    "overrides that are a text": with_job(overrides="seed=1"),
    "overrides with a number": with_job(overrides=["seed=1", 7]),
    "values that are a list": with_job(values=["a"]),
    "values with a number": with_job(values={"seed": 1}),
    "a digest that is null": with_job(digest=None),
    "half a digest": with_job(digest="0" * 32),
    "repeat that is a text": with_job(repeat="no"),
    "words that are a text": lambda c: c.update(words="seed=1"),
    "words with null": lambda c: c.update(words=[None]),
    "a name that is a number": lambda c: c.update(name=3),
    "metric null": lambda c: c.update(metric=None),
    "a sweeper that is a list": lambda c: c.update(sweeper=[]),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damaged_content(name: str, tmp_path: Path) -> None:
    changed = content()
    DAMAGE[name](changed)
    (tmp_path / FILE).write_text(yaml.safe_dump(changed), encoding="utf-8")
    with pytest.raises(UserError, match="sweep.yaml: damaged, expected the YAML that dlrun writes"):
        read_plan(tmp_path)


FILES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "damaged"),
    "a list": (b"- 1\n", "damaged"),
    "a text": (b"hello", "damaged"),
    "not closed": (b"{a: [", "damaged"),
    "binary": (b"\x89PNG\r\n\x1a\n\xff\xfe\x00", "damaged"),
    "a python tag": (b"format: !!python/object:os.system {}\n", "damaged"),
    "aliases": (b"a: &a [1]\nb: *a\n", "damaged"),
    "deep": (b"a: " + b"[" * 100 + b"]" * 100, "damaged"),
    "a date": (b"format: 2001-01-01\n", "damaged"),
    "a later format": (b"format: 99\n", "written by another version of dlrun"),
}


@pytest.mark.parametrize("name", FILES)
def test_damaged_files(name: str, tmp_path: Path) -> None:
    data, expected = FILES[name]
    (tmp_path / FILE).write_bytes(data)
    with pytest.raises(UserError, match=expected):
        read_plan(tmp_path)


def test_every_plan_that_was_cut_short_is_damaged(tmp_path: Path) -> None:
    write_plan(PLAN, tmp_path)
    data = (tmp_path / FILE).read_bytes()
    for size in range(0, len(data) - 1, 23):
        (tmp_path / FILE).write_bytes(data[:size])
        with pytest.raises(UserError, match="damaged"):
            read_plan(tmp_path)


def test_too_large_a_file_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_plan(PLAN, tmp_path)
    monkeypatch.setattr("dlrun.sweeps.plan.LARGEST_FILE", 100)
    with pytest.raises(UserError, match="larger than 100 bytes"):
        read_plan(tmp_path)


def test_no_sweep(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is no sweep, there is no sweep.yaml in it"):
        read_plan(tmp_path)


@pytest.mark.parametrize("folder", ["../up", "a/b", "/etc", "..", ".", "", "a\\b", "a\0b", "a\nb"])
def test_folders_that_lead_elsewhere(folder: str, tmp_path: Path) -> None:
    assert not is_folder_name(folder)
    changed = content()
    with_job(folder=folder)(changed)
    (tmp_path / FILE).write_text(yaml.safe_dump(changed), encoding="utf-8")
    with pytest.raises(UserError, match="a job lies in a folder of its sweep, not elsewhere"):
        read_plan(tmp_path)


def test_a_config_name_that_leads_elsewhere(tmp_path: Path) -> None:
    write_plan(replace(PLAN, config_name="../../home/config"), tmp_path)
    with pytest.raises(UserError, match="config_name leads elsewhere than to the configs"):
        read_plan(tmp_path)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep of two jobs that are over."""
    folder = tmp_path_factory.mktemp("finished") / "sweep"
    words = ["seed=0,1", "dataset=moons", "epochs=0", "-q", f"hydra.sweep.dir={folder}"]
    assert command_line(["-m", *words]) == 0
    return folder


@pytest.fixture
def sweep(finished: Path, tmp_path: Path) -> Path:
    """A copy of it in the current directory."""
    return Path(shutil.copytree(finished, tmp_path / "sweep"))


def change(sweep: Path, change: Callable[[dict[str, Any]], None]) -> None:
    content = yaml.safe_load((sweep / FILE).read_text())
    change(content)
    (sweep / FILE).write_text(yaml.safe_dump(content))


def files_in(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


def resume_refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """What `dlrun resume sweep WORDS` says when it refuses."""
    before = files_in(Path("sweep"))
    capsys.readouterr()
    code = command_line(["resume", "sweep", *words])
    output = capsys.readouterr()
    assert code == 2, output
    assert output.out == ""
    assert output.err.startswith("error: ")
    assert 1 <= len(output.err.strip().splitlines()) <= 3, output.err
    assert files_in(Path("sweep")) == before
    return output.err


def test_a_finished_sweep_runs_nothing_again(
    sweep: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {job: read_summary(job) for job in sweep.glob("000*")}
    assert command_line(["resume", "sweep", "-q"]) == 0
    assert {job: read_summary(job) for job in sweep.glob("000*")} == before
    assert len(before) == 2


def test_a_job_that_has_vanished_runs_again(sweep: Path) -> None:
    before = read_summary(sweep / "0000-seed=0")
    expected = read_summary(sweep / "0001-seed=1")
    shutil.rmtree(sweep / "0001-seed=1")
    assert command_line(["resume", "sweep", "-q"]) == 0
    assert read_summary(sweep / "0000-seed=0") == before
    again = read_summary(sweep / "0001-seed=1")
    assert again is not None and expected is not None
    assert again["status"] == "completed"
    for name in ("loss/val", "accuracy/test"):
        assert again["metrics"][name] == expected["metrics"][name]


STRANGE = [
    "hydra.run.dir=/tmp/x",
    "+hydra.callbacks.x._target_=os.system",
    "++hydra.job.env_set.PATH=/tmp",
    "hydra/launcher=local",
    "~hydra.sweep.dir",
    "data_dir=${oc.env:HOME}",
    "+model@hydra.callbacks.x=mlp",
]


@pytest.mark.parametrize("place", ["words", "overrides"])
@pytest.mark.parametrize("word", STRANGE)
def test_strange_words_in_a_plan(
    word: str, place: str, sweep: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def add(content: dict[str, Any]) -> None:
        (content if place == "words" else content["jobs"][0])[place].append(word)

    change(sweep, add)
    told = resume_refused(capsys)
    assert word in told
    assert "--trust" in told


REFUSED: dict[str, tuple[Callable[[dict[str, Any]], None], tuple[str, ...]]] = {
    "a job of another seed": (
        lambda c: c["jobs"][1].update(overrides=["dataset=moons", "epochs=0", "seed=2"]),
        ("sweep", "job 1", "seed", "start a new sweep"),
    ),
    "another digest": (
        lambda c: c["jobs"][0].update(digest="0" * 64),
        ("job 0 would be another run than it was planned as",),
    ),
    "a choice that is gone": (
        lambda c: c["jobs"][0]["overrides"].append("model=nosuch"),
        ("model=nosuch", "mlp"),
    ),
    "a value out of range": (
        lambda c: c["jobs"][0]["overrides"].append("epochs=-1"),
        ("epochs=-1", ">= 0"),
    ),
    "a target of somebody's": (
        lambda c: c["jobs"][0]["overrides"].append("model._target_=os.system"),
        ("os.system", "--trust"),
    ),
    "an unknown search": (lambda c: c["sweeper"].update(search="foo"), ("search=foo", "tpe")),
    "a number that is none": (lambda c: c["sweeper"].update(n_trials="x"), ("n_trials",)),
    "an unknown key": (lambda c: c["sweeper"].update(foo=1), ("foo",)),
    "cases that are none": (
        lambda c: c["sweeper"].update(search="tpe", cases=[3]),
        ("hydra.sweeper.cases",),
    ),
    "an unknown config": (lambda c: c.update(config_name="nosuch"), ("nosuch",)),
}


@pytest.mark.parametrize("name", REFUSED)
def test_plans_that_are_refused(name: str, sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    apply, fragments = REFUSED[name]
    change(sweep, apply)
    told = resume_refused(capsys)
    for fragment in fragments:
        assert fragment in told


@pytest.mark.parametrize("word", ["epochs=3", "optim=adam", "hydra.sweep.dir=x", "+seed=1", "x"])
def test_words_that_would_make_other_jobs(
    word: str, sweep: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = resume_refused(capsys, word)
    assert "where it runs" in told or "expected one run" in told


def test_a_sweep_in_use(sweep: Path, dlrun: Callable[..., Any]) -> None:
    with locked(sweep):
        done = dlrun("resume", "sweep")
    assert done.returncode == 2
    assert "sweep: in use by another process" in done.stderr


def test_a_new_sweep_never_writes_over_another(
    sweep: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = files_in(sweep)
    words = ["-m", "seed=3,4", "dataset=moons", "epochs=0", "hydra.sweep.dir=sweep"]
    assert command_line(words) == 2
    assert "hydra.sweep.dir=sweep: exists and is not empty" in capsys.readouterr().err
    assert files_in(sweep) == before


def test_nothing_is_written_or_emptied_through_a_link(
    sweep: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere = tmp_path / "thesis"
    (elsewhere / "chapters").mkdir(parents=True)
    (elsewhere / "chapters" / "one.txt").write_text("do not lose me")
    shutil.rmtree(sweep / "0001-seed=1")
    (sweep / "0001-seed=1").symlink_to(elsewhere)
    assert command_line(["resume", "sweep", "-q"]) in (1, 2)
    assert "link" in capsys.readouterr().err
    assert files_in(elsewhere) == {"chapters/one.txt": b"do not lose me"}


def test_a_folder_that_is_no_job_is_not_emptied(sweep: Path) -> None:
    shutil.rmtree(sweep / "0001-seed=1")
    (sweep / "0001-seed=1" / "sources").mkdir(parents=True)
    (sweep / "0001-seed=1" / "sources" / "mine.py").write_text("do not lose me")
    assert command_line(["resume", "sweep", "-q"]) in (1, 2)
    assert (sweep / "0001-seed=1" / "sources" / "mine.py").read_text() == "do not lose me"
