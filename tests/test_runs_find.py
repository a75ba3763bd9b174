"""From what one types to the directory of a run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from report_runs import write_plan, write_run

from dlrun.errors import UserError
from dlrun.pack import unpacked as pack
from dlrun.runs.find import find_run, run_folders, short_name

RUNS = Path("outputs/runs")
FIRST = RUNS / "2026-11-21/23-59-59-mlp-adam-digits-0f3a"
SECOND = RUNS / "2026-11-22/14-03-22-mlp-adam-digits-1b2c"
THIRD = RUNS / "2026-11-22/14-03-23-cnn-sgd-mnist-2c3d"
SWEEP = Path("outputs/sweeps/rates/2026-11-22_15-00-00-3d4e")


@pytest.fixture
def runs() -> None:
    for k, path in enumerate((THIRD, FIRST, SECOND)):  # not in the order of their names
        write_run(path)
        os.utime(path / "summary.json", (k, k))


FOUND = {
    "14-03-22": SECOND,
    "2026-11-21": FIRST,
    "2026-11-22/14-03-23": THIRD,
    "1b2c": SECOND,
    "cnn": THIRD,
    "mlp-adam-digits-0f3a": FIRST,
    "last": THIRD,
    str(SECOND): SECOND,
    f"{SECOND}/": SECOND,
}


@pytest.mark.usefixtures("runs")
@pytest.mark.parametrize("word", FOUND)
def test_a_run_is_found(word: str) -> None:
    assert find_run(word) == FOUND[word]
    assert find_run(short_name(FOUND[word])) == FOUND[word]


@pytest.mark.usefixtures("runs")
def test_last_is_what_was_begun_last() -> None:
    moved = write_run(Path("outputs/mine"), started="2026-11-22T14:03:22.5")
    assert find_run("last") == THIRD
    (moved / "summary.json").write_text(
        '{\n  "status": "a",\n  "started": "2027-01-01T00:00:00"\n}'
    )
    assert find_run("last") == moved
    (moved / "summary.json").write_text('{"status": "completed", "started": "2027-01-01"}')
    assert find_run("last") == moved
    for damaged in ('{"started": "2027-01-01', '{"started": 3, "status": "a"}', ""):
        (moved / "summary.json").write_text(damaged)
        os.utime(moved / "summary.json", (1, 1))
        os.utime(moved / "metrics.jsonl", (2, 2))
        assert find_run("last") == THIRD
    write_run(Path("outputs/trash/runs/2028-01-01/14-03-23-cnn-sgd-mnist-2c3e"))
    assert find_run("last") == THIRD


@pytest.mark.usefixtures("runs")
def test_what_fits_no_run_or_more_than_one_is_an_error() -> None:
    refused = {
        "mlp": r"^mlp: fits 2 runs: 23-59-59-mlp-adam-digits-0f3a, 14-03-22-mlp-adam-digits-1b2c "
        r"\(type more of one\)$",
        "cnn-sgd-mnist-2c3f": "no such run below outputs; did you mean cnn-sgd-mnist-2c3d",
        "zzz": r"^zzz: no such run below outputs \(dlrun ls lists the runs\)$",
        "": "no such run below outputs",
        "no/where": "^no/where: no such run below outputs",
    }
    for word, message in refused.items():
        with pytest.raises(UserError, match=message):
            find_run(word)


def test_where_there_are_no_runs_that_is_told() -> None:
    with pytest.raises(UserError, match="no such directory, and there are no runs below outputs$"):
        find_run("last")


def test_a_whole_name_is_meant_though_others_begin_so() -> None:
    for name in ("a", "ab", "abc"):
        write_run(Path("outputs") / name)
    assert find_run("ab") == Path("outputs/ab")
    write_run(Path("outputs/other/ab"))
    with pytest.raises(
        UserError, match=r"fits 2 runs: outputs/ab, outputs/other/ab \(type the path"
    ):
        find_run("ab")


@pytest.mark.usefixtures("runs")
def test_sweeps_and_their_jobs_are_found() -> None:
    write_plan(SWEEP, [{}, {}])
    for k in range(2):
        write_run(SWEEP / f"000{k}-seed={k}", started=f"2026-11-22T15:00:0{k}")
    assert find_run(str(SWEEP)) == SWEEP
    assert find_run("rates/3d4e") == SWEEP
    assert find_run("3d4e/0001") == SWEEP / "0001-seed=1"
    assert find_run("last") == SWEEP / "0001-seed=1"
    assert set(run_folders(Path("outputs"))) == {
        *(FIRST, SECOND, THIRD, SWEEP / "0000-seed=0", SWEEP / "0001-seed=1")
    }


@pytest.mark.usefixtures("runs")
def test_an_archive_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("run.tar.gz").write_bytes(b"")
    monkeypatch.setattr(pack, "opened_archive", lambda path: Path("unpacked") / path.name)
    assert find_run("run.tar.gz") == Path("unpacked/run.tar.gz")
    assert find_run("./run.tar.gz") == Path("unpacked/run.tar.gz")


def test_what_is_neither_directory_nor_archive_is_refused() -> None:
    os.mkfifo("pipe")
    with pytest.raises(UserError, match="^pipe: neither a directory nor an archive of dlrun pack$"):
        find_run("pipe")


def test_names_are_only_printed() -> None:
    for name in ("a\x1b[2Jb", "a\nb"):
        write_run(Path("outputs") / name)
    with pytest.raises(UserError) as error:
        find_run("a")
    assert str(error.value).isprintable()
