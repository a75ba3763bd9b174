"""Searches: what they choose from, how many trials there are, how a study is put right again."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml
from conftest import Command
from hydra.core.config_loader import ConfigLoader

from dlrun.cli import command_line
from dlrun.errors import Failure, UserError
from dlrun.hydra_session import hydra_session
from dlrun.schema import Sweeper
from dlrun.sweeps.plan import read_plan
from dlrun.sweeps.search import FILE, Prune, Search, Space, cut_torn_line

SPACE = {
    "optimizer.lr": "tag(log,interval(1e-4,1))",
    "optimizer.momentum": "interval(0,0.9)",
    "epochs": "int(interval(1,3))",
    "log_every_steps": "tag(log,int(interval(1,64)))",
    "batch_size": "range(16,65,16)",
    "model.hidden": "[8],[8,8]",
    "regularization": ["none", ["dropout", "l1"]],
    "data_dir": "null",
}


@pytest.fixture(scope="module")
def loader() -> Iterator[ConfigLoader]:
    with hydra_session() as app:
        yield app.config_loader


def sweeper(search: str = "random", n_trials: int = 5, **settings: Any) -> Sweeper:
    return replace(Sweeper(params=SPACE, search=search, n_trials=n_trials), **settings)


def search_of(settings: Sweeper, folder: Path, direction: str, loader: ConfigLoader) -> Search:
    return Search(settings, folder, direction, Space(settings, loader))


def points_of(search: Search, values: list[float] | None = None) -> list[dict[str, str]]:
    """The points of all trials, each told the next of the values (or its number)."""
    found = []
    while (trial := search.ask()) is not None:
        found.append(trial.point)
        search.tell(trial.number, values[len(found) - 1] if values else float(trial.number))
    return found


def study_in(folder: Path) -> optuna.Study:
    backend = optuna.storages.journal.JournalFileBackend(str(folder / FILE))
    storage = optuna.storages.JournalStorage(backend)
    return optuna.load_study(study_name="dlrun", storage=storage)


def states(folder: Path) -> Counter[str]:
    """How many trials of the study are in each state."""
    return Counter(trial.state.name for trial in study_in(folder).get_trials(deepcopy=False))


@pytest.mark.parametrize("search", ["random", "tpe", "cmaes"])
def test_trials_lie_in_the_space(search: str, tmp_path: Path, loader: ConfigLoader) -> None:
    found = points_of(search_of(sweeper(search, 12), tmp_path, "maximize", loader))
    assert len(found) == 12
    for point in found:
        assert list(point) == list(SPACE)
        assert 1e-4 <= float(point["optimizer.lr"]) <= 1
        assert 0 <= float(point["optimizer.momentum"]) <= 0.9
        assert point["epochs"] in ("1", "2", "3")
        assert 1 <= int(point["log_every_steps"]) <= 64
        assert point["batch_size"] in ("16", "32", "48", "64")
        assert point["model.hidden"] in ("[8]", "[8,8]")
        assert point["regularization"] in ("none", "[dropout,l1]")
        assert point["data_dir"] == "null"
    assert len({point["optimizer.lr"] for point in found}) == 12
    assert states(tmp_path) == {"COMPLETE": 12}


@pytest.mark.parametrize("search", ["random", "tpe", "cmaes"])
def test_two_studies_try_the_same(search: str, tmp_path: Path, loader: ConfigLoader) -> None:
    folders = [tmp_path / "one", tmp_path / "other"]
    for folder in folders:
        folder.mkdir()
    one, other = (
        points_of(search_of(sweeper(search, 14), folder, "minimize", loader)) for folder in folders
    )
    assert one == other


def test_tpe_learns_from_what_it_is_told(tmp_path: Path, loader: ConfigLoader) -> None:
    params = {"optimizer.lr": "interval(0,1)"}
    for direction, sign in (("minimize", 1.0), ("maximize", -1.0)):
        folder = tmp_path / direction
        folder.mkdir()
        search = search_of(sweeper("tpe", 40, params=params), folder, direction, loader)
        tried = []
        while (trial := search.ask()) is not None:
            tried.append(float(trial.point["optimizer.lr"]))
            search.tell(trial.number, sign * (tried[-1] - 0.25) ** 2)
        assert sum(abs(value - 0.25) for value in tried[-20:]) / 20 < 0.2  # at random: 0.31


def test_cases_of_a_search(tmp_path: Path, loader: ConfigLoader) -> None:
    cases = [
        {"optimizer": "momentum", "optimizer.momentum": "0.5,0.9", "optimizer.lr": "0.1,0.2"},
        {"optimizer": "adam"},
    ]
    params = {"optimizer.lr": "interval(0.001,0.01)", "seed": "7,8"}
    space = Space(sweeper(cases=cases, params=params), loader)
    assert space.repeats == [{"seed": "7"}, {"seed": "8"}]
    found = points_of(
        search_of(sweeper(n_trials=30, cases=cases, params=params), tmp_path, "maximize", loader)
    )
    kinds = Counter(tuple(point) for point in found)
    assert kinds.keys() == {
        ("optimizer", "optimizer.momentum", "optimizer.lr"),
        ("optimizer", "optimizer.lr"),
    }
    for point in found:
        if point["optimizer"] == "momentum":
            assert point["optimizer.lr"] in ("0.1", "0.2")
        else:
            assert 0.001 <= float(point["optimizer.lr"]) <= 0.01


def test_corners_hold_every_pair_of_values(loader: ConfigLoader) -> None:
    params = {"a": "1,2,3", "b": "x,y", "c": "interval(0,1)", "d": "range(100)", "e": "5"}
    corners = Space(sweeper(params=params), loader).corners
    ends = {"a": "123", "b": "xy", "c": "01", "e": "5"}
    assert all({corner[key] for corner in corners} == set(ends[key]) for key in ends)
    assert {corner["d"] for corner in corners} == {"0", "99"}
    for one, other in (("a", "b"), ("a", "c"), ("b", "c")):
        pairs = {(corner[one], corner[other]) for corner in corners}
        assert len(pairs) == len(ends[one]) * len(ends[other])


def test_a_shuffled_range_is_still_a_range(loader: ConfigLoader, tmp_path: Path) -> None:
    params = {"epochs": "shuffle(range(1,6,2))"}
    found = points_of(search_of(sweeper(n_trials=20, params=params), tmp_path, "maximize", loader))
    assert {point["epochs"] for point in found} == {"1", "3", "5"}


BAD_SPACES: dict[str, tuple[dict[str, Any], str]] = {
    "nothing": ({"params": {}}, "nothing to search in"),
    "seeds alone": ({"params": {"seed": "range(3)"}}, "nothing to search in"),
    "interval upside down": ({"params": {"x": "interval(1,0)"}}, "LOW below HIGH"),
    "interval of nothing": ({"params": {"x": "interval(1,1)"}}, "LOW below HIGH"),
    "log of zero": ({"params": {"x": "tag(log,interval(0,1))"}}, "LOW below HIGH"),
    "infinite": ({"params": {"x": "interval(0,inf)"}}, "x=interval(0,inf): "),
    "zipped": ({"zipped": [{"a": [1], "b": [2]}]}, "hydra.sweeper.zipped: is for search=grid"),
    "seed of a case": ({"cases": [{"seed": "1,2"}]}, "repeats every case with params.seed"),
    "empty list": ({"params": {"x": []}}, "x=[]: no values"),
    "no grammar": ({"params": {"x": "interval(1"}}, "x=interval(1: "),
}


@pytest.mark.parametrize("name", BAD_SPACES)
def test_bad_spaces(name: str, loader: ConfigLoader) -> None:
    settings, expected = BAD_SPACES[name]
    with pytest.raises(UserError) as error:
        Space(sweeper(**settings), loader)
    assert expected in str(error.value)


def test_trials_are_counted_over_several_sittings(tmp_path: Path, loader: ConfigLoader) -> None:
    """A study that is broken off again and again has as many trials as were asked for."""
    known: list[int] = []
    for sitting in range(4):
        search = search_of(sweeper(n_trials=6), tmp_path, "maximize", loader)
        search.give_up_unknown(known)
        trial = search.ask()
        assert trial is not None
        known.append(trial.number)
        search.tell(trial.number, 0.5)
        lost = search.ask()  # and here the process is killed, before the sweep knows of it
        assert lost is not None and lost.number == 2 * sitting + 1
    search = search_of(sweeper(n_trials=6), tmp_path, "maximize", loader)
    search.give_up_unknown(known)
    assert len(points_of(search)) == 6 - len(known)
    assert states(tmp_path) == {"COMPLETE": 6, "FAIL": 4}


def test_a_known_trial_goes_on(tmp_path: Path, loader: ConfigLoader) -> None:
    trial = search_of(sweeper(), tmp_path, "maximize", loader).ask()
    assert trial is not None
    search = search_of(sweeper(), tmp_path, "maximize", loader)
    search.give_up_unknown([trial.number])
    search.tell(trial.number, 0.25)
    search.tell(trial.number, 0.75)  # is told once
    assert search.study.trials[0].value == 0.25
    assert states(tmp_path) == {"COMPLETE": 1}


def test_failed_and_pruned_trials_count(tmp_path: Path, loader: ConfigLoader) -> None:
    search = search_of(sweeper(n_trials=3), tmp_path, "maximize", loader)
    for value, pruned in ((None, False), (0.5, True), (0.25, False)):
        trial = search.ask()
        assert trial is not None
        search.tell(trial.number, value, pruned=pruned)
    assert search.ask() is None
    assert states(tmp_path) == {"FAIL": 1, "PRUNED": 1, "COMPLETE": 1}


def test_a_torn_last_line(tmp_path: Path, loader: ConfigLoader) -> None:
    points_of(search_of(sweeper(n_trials=2), tmp_path, "maximize", loader))
    whole = (tmp_path / FILE).read_bytes()
    with (tmp_path / FILE).open("ab") as file:
        file.write(b'{"op_code":4,"worker_id":"x","study')
    search = search_of(sweeper(n_trials=3), tmp_path, "maximize", loader)
    assert (tmp_path / FILE).read_bytes().startswith(whole)
    assert len(points_of(search)) == 1
    assert states(tmp_path) == {"COMPLETE": 3}
    (tmp_path / "empty").touch()
    cut_torn_line(tmp_path / "empty")
    assert (tmp_path / "empty").read_bytes() == b""
    cut_torn_line(tmp_path / "absent")
    assert not (tmp_path / "absent").exists()


def test_every_line_of_a_study_that_is_damaged(tmp_path: Path, loader: ConfigLoader) -> None:
    """Whatever is done to a line: the study is read, or refused in a line."""
    points_of(search_of(sweeper(n_trials=2), tmp_path, "maximize", loader))
    lines = (tmp_path / FILE).read_bytes().splitlines(keepends=True)
    refused = 0
    for number, line in enumerate(lines):
        for changed in (b"", b"{}\n", b"nonsense\n", b"[1]\n", b"\xff\n", line[::-1], line * 2):
            content = b"".join([*lines[:number], changed, *lines[number + 1 :]])
            (tmp_path / FILE).write_bytes(content)
            try:
                search = search_of(sweeper(n_trials=2), tmp_path, "maximize", loader)
                search.give_up_unknown([0, 1])
                search.tell(0, 0.5)
                search.tell(1, 0.5)
                search.ask()
            except Failure as failure:
                refused += 1
                assert str(failure).startswith(f"{tmp_path / FILE}: ")
                assert "put it back as it was" in str(failure)
    assert refused > len(lines)


def test_a_study_that_is_gone(tmp_path: Path, loader: ConfigLoader) -> None:
    search = search_of(sweeper(), tmp_path, "maximize", loader)
    with pytest.raises(Failure, match="optuna.log: lacks trial 3"):
        search.tell(3, 0.5)


def test_an_epoch_told_twice_and_a_trial_that_lags(tmp_path: Path, loader: ConfigLoader) -> None:
    search = search_of(sweeper(n_trials=9, pruner="median"), tmp_path, "maximize", loader)

    def prune(trial: int, epoch: int, value: float | None) -> bool:
        asked = Prune(tmp_path / FILE, "median", "accuracy/val", trial, 0, epochs=3)
        return asked({"epoch": epoch, "accuracy/val": value})

    for _ in range(6):  # a median is taken from the fifth on
        trial = search.ask()
        assert trial is not None
        for epoch in (1, 2, 3):
            assert not prune(trial.number, epoch, 0.9)
        search.tell(trial.number, 0.9)
    trial = search.ask()
    assert trial is not None
    assert not prune(trial.number, 1, None)  # the metric may be missing
    assert prune(trial.number, 1, 0.1)
    assert prune(trial.number, 1, 0.95)  # a resumed job tells it again: the first time counts
    assert search.study.trials[6].intermediate_values == {1: 0.1}
    search.tell(trial.number, None, pruned=True)
    assert not prune(trial.number, 2, 0.1)  # is over
    later = search.ask()
    assert later is not None
    assert not prune(later.number, 1, 0.95)


def test_epochs_of_all_seeds_of_a_trial_count_on(tmp_path: Path, loader: ConfigLoader) -> None:
    search = search_of(sweeper(pruner="halving"), tmp_path, "minimize", loader)
    assert search.ask() is not None
    for position in (0, 1):
        for epoch in (1, 2, 3):
            Prune(tmp_path / FILE, "halving", "loss/val", 0, position, epochs=3)(
                {"epoch": epoch, "loss/val": float(epoch)}
            )
    values = {1: 1.0, 2: 2.0, 3: 3.0, 4: 1.0, 5: 2.0, 6: 3.0}
    assert search.study.trials[0].intermediate_values == values


TINY = ["dataset=moons", "epochs=1", "-q", "hydra.sweep.dir=s"]


def search_for(*words: str, code: int = 0) -> Path:
    """The folder of a sweep with tiny jobs, run in this process."""
    assert command_line(["-m", *TINY, *words]) == code
    return Path("s")


def statuses(folder: Path) -> Counter[str]:
    files = folder.glob("*/summary.json")
    return Counter(json.loads(file.read_text())["status"] for file in files)


def without_last_lines(folder: Path, number: int) -> None:
    lines = (folder / FILE).read_bytes().splitlines(keepends=True)
    (folder / FILE).write_bytes(b"".join(lines[:-number]))


def test_a_search_and_its_means_over_seeds() -> None:
    folder = search_for("search=tpe", "n_trials=3", "optim.lr=interval(0.001,0.1)", "seed=0,1")
    plan = read_plan(folder)
    assert [(job.trial, job.values["seed"]) for job in plan.jobs] == [
        (trial, seed) for trial in range(3) for seed in "01"
    ]
    assert (plan.metric, plan.direction) == ("accuracy/val", "maximize")
    for trial in study_in(folder).trials:
        jobs = [job for job in plan.jobs if job.trial == trial.number]
        summaries = [json.loads((folder / j.folder / "summary.json").read_text()) for j in jobs]
        values = [summary["metrics"]["accuracy/val"] for summary in summaries]
        assert trial.value == pytest.approx(sum(values) / 2)


def test_a_search_that_was_killed_adds_only_what_is_missing() -> None:
    words = ["search=random", "optim.lr=interval(0.001,0.1)"]
    folder = search_for(*words, "n_trials=3")
    before = read_plan(folder)
    # As if five had been asked for, and the process killed: the third has begun, a fourth was
    # proposed but not written down, a line of the study is torn.
    content = yaml.safe_load((folder / "sweep.yaml").read_text())
    content["sweeper"]["n_trials"] = 5
    (folder / "sweep.yaml").write_text(yaml.safe_dump(content))
    without_last_lines(folder, 1)  # that the third trial is over
    shutil.rmtree(folder / before.jobs[2].folder / "checkpoints")
    (folder / before.jobs[2].folder / "summary.json").write_text('{"status": "running"}')
    (proposed,) = [
        line
        for line in (folder / FILE).read_text().splitlines()[-2:]
        if json.loads(line)["op_code"] == 4
    ]
    with (folder / FILE).open("a") as file:
        file.write(proposed + "\n" + proposed[:40])
    assert states(folder) == {"COMPLETE": 2, "RUNNING": 2}
    for _ in range(2):  # the second time there is nothing left to do
        assert command_line(["resume", "s", "-q"]) == 0
        plan = read_plan(folder)
        assert plan.jobs[:3] == before.jobs
        assert [job.trial for job in plan.jobs] == [0, 1, 2, 4, 5]
        assert states(folder) == {"COMPLETE": 5, "FAIL": 1}
        assert statuses(folder) == {"completed": 5}


def test_a_study_that_fell_behind_its_jobs_learns_of_them() -> None:
    folder = search_for("search=random", "n_trials=2", "optim.lr=interval(0.001,0.1)")
    without_last_lines(folder, 1)
    assert states(folder) == {"COMPLETE": 1, "RUNNING": 1}
    assert command_line(["resume", "s", "-q"]) == 0
    assert states(folder) == {"COMPLETE": 2}


def test_a_search_whose_study_is_gone(capsys: pytest.CaptureFixture[str]) -> None:
    folder = search_for("search=random", "n_trials=2", "optim.lr=interval(0.001,0.1)")
    (folder / FILE).unlink()
    capsys.readouterr()
    assert command_line(["resume", "s", "-q"]) == 1
    assert "optuna.log: lacks trial 0 (put it back as it was)" in capsys.readouterr().err


def test_points_that_come_again_run_once() -> None:
    folder = search_for("search=random", "n_trials=8", "batch_size=32,64")
    assert len(read_plan(folder).jobs) == 2
    assert statuses(folder) == {"completed": 2}
    assert states(folder)["RUNNING"] == 0
    assert sum(states(folder).values()) == 8


def test_cases_that_come_to_the_same_config_run_once() -> None:
    cases = "hydra.sweeper.cases=[{optim:adam},{}]"
    folder = search_for("search=random", "n_trials=8", cases, "batch_size=32,64")
    assert len(read_plan(folder).jobs) == 2
    assert states(folder)["RUNNING"] == 0


def test_a_trial_that_diverged_counts_as_the_untrained_network() -> None:
    words = ["optim=sgd", "optim.lr=0.1,1e12", "epochs=3", "metric=loss/val"]
    folder = search_for("search=random", "n_trials=6", *words)
    assert statuses(folder) == {"completed": 1, "diverged": 1}
    (job,) = [job for job in read_plan(folder).jobs if float(job.values["optimizer.lr"]) > 1]
    before = json.loads((folder / job.folder / "metrics.jsonl").read_text().splitlines()[0])
    values = {trial.value for trial in study_in(folder).trials}
    assert before["loss/val"] in values
    assert states(folder) == {"COMPLETE": 6}


RAISES = """
from dlrun.models.mlp import MLP

def net(in_shape, out_features, *, width: int = 8):
    if width == 8:
        raise RuntimeError("out of ideas")
    return MLP(in_shape, out_features, hidden=[width])
"""


def test_trials_whose_jobs_raise_have_failed(dlrun: Command, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(RAISES)
    (tmp_path / "conf" / "model").mkdir(parents=True)
    (tmp_path / "conf" / "model" / "own.yaml").write_text(
        "_target_: own.net\n_partial_: true\nwidth: 8\n"
    )
    words = ["search=random", "n_trials=5", "model=own", "model.width=4,8", "seed=0,1"]
    done = dlrun("-m", *TINY, *words)
    assert done.returncode == 1
    assert done.stderr.startswith("2 of 4 jobs failed:\n")
    assert done.stderr.count("out of ideas") == 2
    assert "--retry-failed" in done.stderr
    folder = tmp_path / "s"
    assert statuses(folder) == {"completed": 2, "failed": 2}
    found = states(folder)
    assert set(found) == {"COMPLETE", "FAIL"} and found.total() == 5


def test_pruned_trials_are_marked(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["search=random", "pruner=halving", "n_trials=9", "epochs=4", "seed=0,1"]
    folder = search_for(*words, "optim=sgd", "optim.lr=tag(log,interval(1e-6,1))")
    found = statuses(folder)
    assert found["pruned"] >= 1 and found["completed"] >= 1
    assert set(found) == {"pruned", "completed"}
    assert found.total() == 18
    of_trials = states(folder)
    assert set(of_trials) == {"COMPLETE", "PRUNED"} and of_trials.total() == 9
    plan = read_plan(folder)
    for trial in range(9):  # the seeds after a pruned one are given up too
        jobs = [job.folder for job in plan.jobs if job.trial == trial]
        ends = [json.loads((folder / job / "summary.json").read_text())["status"] for job in jobs]
        assert ends in (["completed", "completed"], ["pruned", "pruned"], ["completed", "pruned"])
    assert command_line(["resume", "s", "-q"]) == 0
    assert states(folder) == of_trials


def test_a_lock_that_a_kill_has_left(
    tmp_path: Path, loader: ConfigLoader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dlrun.sweeps.search.SECONDS_TO_WRITE", 0.1)
    for target in (tmp_path / FILE, "nowhere"):
        (tmp_path / f"{FILE}.lock").symlink_to(target)
        search = search_of(sweeper(n_trials=9), tmp_path, "maximize", loader)
        assert search.ask() is not None
        assert not (tmp_path / f"{FILE}.lock").is_symlink()


def test_the_lock_of_a_study_leads_to_it(tmp_path: Path, loader: ConfigLoader) -> None:
    search = search_of(sweeper(), Path("."), "maximize", loader)
    backend = search.study._storage._backend  # type: ignore[attr-defined]
    with optuna.storages.journal._file.get_lock_file(backend._lock):
        assert (tmp_path / f"{FILE}.lock").resolve(strict=True) == tmp_path / FILE
