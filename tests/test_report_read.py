"""Sweeps and run directories are read whole, whatever state they are in."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
from report_runs import sweep_of, write_plan, write_run

from dlrun.errors import UserError
from dlrun.report.read import read_sweep


def test_a_planned_sweep(tmp_path: Path) -> None:
    hparams = {"optimizer": "sgd", "lr": 0.1, "momentum": None, "batch_size": 8, "seed": 3}
    jobs = [
        {"optimizer": "sgd", "optimizer.lr": 0.1, "epochs": 2, "seed": 3},
        {"optimizer": "adam", "optimizer.lr": 0.01, "epochs": 2, "seed": 3},
    ]
    write_plan(tmp_path, jobs, name="mine")
    write_run(
        tmp_path / "0000",
        value=0.75,
        test=0.5,
        curve=[0.25, 0.5, 0.75],
        seed=3,
        hparams=hparams,
        best_epoch=2,
    )
    sweep = read_sweep([tmp_path])
    assert (sweep.name, sweep.folder, sweep.damaged) == ("mine", tmp_path, [])
    assert (sweep.metric, sweep.higher_is_better) == ("accuracy/val", True)
    assert sweep.swept == ["optimizer", "optimizer.lr"]  # epochs does not vary
    assert list(sweep.runs) == [
        *("job", "folder", "status", "stopped_by", "error"),
        *("seed", "epochs_done", "best_epoch", "steps"),
        *("evaluations", "parameters", "seconds"),
        *("optimizer", "optimizer.lr", "epochs"),
        *("lr", "momentum", "batch_size"),
        *("accuracy/test", "accuracy/val", "time/total"),
    ]
    done, pending = sweep.runs.to_dict("records")
    assert done["folder"] == "0000"
    assert (done["job"], done["status"], done["stopped_by"]) == (0, "completed", "epochs")
    assert (done["seed"], done["epochs_done"], done["best_epoch"], done["steps"]) == (3, 2, 2, 20)
    assert (done["parameters"], done["seconds"]) == (25, 3.0)
    assert (done["accuracy/val"], done["accuracy/test"], done["time/total"]) == (0.75, 0.5, 4.0)
    assert done["lr"] == 0.1  # the hyper-parameter, not the metric of that name (0.5)
    assert (pending["job"], pending["status"], pending["error"]) == (1, "pending", None)
    assert (pending["seed"], pending["optimizer"], pending["lr"]) == (3, "adam", 0.01)
    assert math.isnan(pending["accuracy/val"])
    assert math.isnan(pending["steps"])
    assert list(sweep.curves) == [0]
    lines = sweep.curves[0]
    assert lines["epoch"].tolist() == [0, 1, 2]
    assert lines["accuracy/val"].tolist() == [0.25, 0.5, 0.75]
    assert lines["time/total"].tolist() == [0, 2, 4]


def test_columns_of_numbers_and_of_all_else(tmp_path: Path) -> None:
    runs = [
        {"a": 1, "b": 1, "c": True, "d": 8, "e": [8, 8], "f": "1e-3"},
        {"a": 2, "b": 0.5, "c": False, "d": "full", "e": [16], "f": 0.1},
        {"a": 3, "c": None, "d": 4, "e": "16,8", "f": 1},
    ]
    table = sweep_of(tmp_path, runs).runs
    assert (str(table["a"].dtype), table["a"].tolist()) == ("int64", [1, 2, 3])
    assert table["b"].tolist()[:2] == [1.0, 0.5]
    assert math.isnan(table["b"][2])
    assert (table["c"].dtype, table["c"].tolist()) == (object, [True, False, None])
    assert (table["d"].dtype, table["d"].tolist()) == (object, [8, "full", 4])
    assert table["e"].tolist() == ["[8,8]", "[16]", "16,8"]
    assert (str(table["f"].dtype), table["f"].tolist()) == ("float64", [0.001, 0.1, 1.0])


def test_a_key_that_a_job_does_not_set_has_the_recorded_default(tmp_path: Path) -> None:
    def adam(seed: int, **told: object) -> dict[str, object]:
        return {"optimizer": "adam", "seed": seed, **told}

    default = {"lr": 0.001, "momentum": None}
    runs = [
        {"optimizer": "momentum", "optimizer.lr": 0.1, "optimizer.momentum": 0.9, "seed": 0},
        adam(0, value=0.5, hparams=default),
        adam(1, status="pending"),
    ]
    table = sweep_of(tmp_path, runs).runs
    assert table["optimizer.lr"].tolist() == [0.1, 0.001, 0.001]
    assert table["optimizer.momentum"].tolist()[0] == 0.9
    assert table["optimizer.momentum"].isna().tolist() == [False, True, True]  # does not apply


def test_defaults_that_differ_are_not_guessed(tmp_path: Path) -> None:
    runs = [
        {"x": 1, "optimizer.lr": 0.1},
        {"x": 2, "hparams": {"lr": 0.5}},
        {"x": 3, "hparams": {"lr": 0.25}},
    ]
    assert sweep_of(tmp_path, runs).runs["optimizer.lr"].isna().tolist() == [False, True, True]


def test_runs_without_a_plan_are_told_apart_by_what_they_record(tmp_path: Path) -> None:
    sgd = {"model": "mlp", "optimizer": "sgd", "lr": 0.1, "beta1": None, "batch_size": 8}
    adam = {**sgd, "optimizer": "adam", "beta1": 0.9}
    for k, hparams in enumerate([sgd, {**sgd, "lr": 0.5}, adam, {**adam, "lr": 0.5}]):
        write_run(tmp_path / f"run{k}", value=k / 10, hparams={**hparams, "seed": k}, seed=k)
    write_run(
        tmp_path / "run4",
        status="failed",
        error="boom",
        overrides=["optimizer=sgd", "optimizer.lr=0.5"],
        seed=None,
    )
    (tmp_path / "notes").mkdir()
    sweep = read_sweep([tmp_path])
    # The seed is a repeat, model and batch size do not vary, beta1 follows from the optimizer.
    assert sweep.swept == ["optimizer", "lr"]
    assert sweep.runs["folder"].tolist() == [f"run{k}" for k in range(5)]
    assert sweep.runs["optimizer"].tolist() == ["sgd", "sgd", "adam", "adam", "sgd"]
    assert sweep.runs["lr"].tolist() == [0.1, 0.5, 0.1, 0.5, 0.5]
    assert sweep.runs["model"].tolist()[4] == "mlp"  # as all others have it
    assert sweep.metric == "accuracy/val"


def test_without_a_plan_regression_is_judged_by_its_loss(tmp_path: Path) -> None:
    write_run(tmp_path / "a", value=0.5, metric="loss")
    sweep = read_sweep([tmp_path])
    assert (sweep.metric, sweep.higher_is_better, sweep.swept) == ("loss/val", False, [])


@pytest.mark.parametrize(
    ("metric", "direction", "higher"),
    [
        ("r2/val", None, True),
        ("loss/val", None, False),
        ("mape/val", None, False),
        ("my/val", "maximize", True),
        ("accuracy/val", "minimize", False),
    ],
)
def test_direction(tmp_path: Path, metric: str, direction: str | None, higher: bool) -> None:
    sweep = sweep_of(tmp_path, [{"x": 1}], metric=metric, direction=direction)
    assert (sweep.metric, sweep.higher_is_better) == (metric, higher)


def test_the_test_split_decides_nothing(tmp_path: Path) -> None:
    sweep = sweep_of(tmp_path, [{"x": 1, "value": 0.5}], metric="accuracy/test")
    assert sweep.metric == "accuracy/val"
    assert sweep.damaged == [
        "sweep.yaml: metric accuracy/test: the test split decides nothing; accuracy/val is used"
    ]


def test_several_folders_make_one_comparison(tmp_path: Path) -> None:
    momentum = {"optimizer": "momentum", "lr": 0.1, "batch_size": 8}
    adam = {"optimizer": "adam", "lr": 0.01, "batch_size": 8}
    first = [
        {"optimizer.lr": 0.1, "seed": 0, "value": 0.5, "hparams": momentum},
        {"optimizer.lr": 0.5, "seed": 0, "status": "pending"},
    ]
    second = [{"batch_size": b, "seed": 0, "hparams": {**adam, "batch_size": b}} for b in (8, 16)]
    sweep_of(tmp_path / "a" / "one", first, name="a")
    sweep_of(tmp_path / "b" / "two", second, name="b")
    write_run(tmp_path / "single", value=0.25, hparams={**adam, "lr": 0.02})
    sweep = read_sweep([tmp_path / "a" / "one", tmp_path / "b" / "two", tmp_path / "single"])
    assert sweep.name == "a + b + single"
    assert sweep.folder == tmp_path / "a" / "one"
    assert sweep.swept == ["optimizer.lr", "batch_size", "optimizer"]
    table = sweep.runs
    assert table["job"].tolist() == [0, 1, 2, 3, 4]
    assert table["folder"].tolist() == ["one/0000", "one/0001", "two/0000", "two/0001", "single"]
    assert table["optimizer.lr"].tolist() == [0.1, 0.5, 0.01, 0.01, 0.02]
    assert table["batch_size"].tolist() == [8, 8, 8, 16, 8]
    assert table["optimizer"].tolist() == ["momentum", "momentum", "adam", "adam", "adam"]


def test_other_metrics_of_several_folders_are_told(tmp_path: Path) -> None:
    sweep_of(tmp_path / "a", [{"x": 1}], name="a", metric="accuracy/val")
    sweep_of(tmp_path / "b", [{"x": 2}], name="b", metric="loss/val", direction="minimize")
    sweep = read_sweep([tmp_path / "a", tmp_path / "b"])
    assert (sweep.metric, sweep.higher_is_better) == ("accuracy/val", True)
    assert sweep.damaged == ["b: its metric is loss/val; accuracy/val is used for all"]


def test_runs_that_the_plan_does_not_list(tmp_path: Path) -> None:
    write_plan(tmp_path, [])
    for k, lr in enumerate((0.1, 0.2)):
        words = [f"optimizer.lr={lr}", f"seed={k}", "hydra.sweeper.n_trials=2"]
        write_run(tmp_path / f"{k + 7:04d}-trial", overrides=words, seed=k)
    sweep = read_sweep([tmp_path])
    assert sweep.swept == ["optimizer.lr"]
    assert sweep.runs["job"].tolist() == [7, 8]
    assert sweep.runs["optimizer.lr"].tolist() == [0.1, 0.2]


def test_damaged_files_are_told_and_the_rest_is_read(tmp_path: Path) -> None:
    runs = [{"x": k, "seed": 0, "value": 0.5, "curve": [0.1, 0.2]} for k in range(6)]
    sweep_of(tmp_path, runs)
    (tmp_path / "0000" / "summary.json").write_text('{"status": "comp')
    (tmp_path / "0001" / "summary.json").write_text("[]")
    (tmp_path / "0002" / "summary.json").write_bytes(b"\xff\xfe")
    with (tmp_path / "0003" / "metrics.jsonl").open("a") as file:
        file.write('[1, 2]\n{"epoch": 2, "accuracy/val": "x"}\n{"epoch": 3, "accur')
    (tmp_path / "0004" / "metrics.jsonl").unlink()
    whole = {"status": "completed", "hparams": [], "metrics": {"accuracy/val": "high"}, "seed": []}
    (tmp_path / "0005" / "summary.json").write_text(json.dumps({**whole, "overrides": 5}))
    sweep = read_sweep([tmp_path])
    status = sweep.runs["status"].tolist()
    assert status == ["damaged", "damaged", "damaged", "completed", "completed", "completed"]
    assert sweep.damaged[:2] == [
        "0000/summary.json: Unterminated string starting at: line 1 column 12 (char 11)",
        "0001/summary.json: expected an object with a `status`",
    ]
    assert sweep.damaged[2].startswith("0002/summary.json: ")
    assert sweep.damaged[3:] == ["0003/metrics.jsonl: cannot read line 3, 5"]
    assert sweep.runs["error"][0] == (
        "summary.json cannot be read: Unterminated string starting at: line 1 column 12 (char 11)"
    )
    assert sweep.curves[3]["epoch"].tolist() == [0, 1, 2]
    assert sweep.curves[3]["accuracy/val"].isna().tolist() == [False, False, True]
    assert sorted(sweep.curves) == [0, 1, 2, 3, 5]
    assert math.isnan(sweep.runs["accuracy/val"][5])


def test_two_epochs_on_a_line_are_damage(tmp_path: Path) -> None:
    run = write_run(tmp_path / "a", curve=[0.1])
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 1}, {"epoch": 2}\n')
    sweep = read_sweep([tmp_path])
    assert sweep.damaged == ["a/metrics.jsonl: cannot read line 2"]
    assert sweep.curves[0]["epoch"].tolist() == [0]


def test_the_line_that_a_running_job_is_writing_is_no_damage(tmp_path: Path) -> None:
    run = write_run(tmp_path / "a", curve=[0.1, 0.2], status="running")
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 2, "acc')
    sweep = read_sweep([tmp_path])
    assert sweep.damaged == []
    assert sweep.curves[0]["epoch"].tolist() == [0, 1]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"jobs: [", "sweep.yaml: while parsing a flow node"),
        (b"\xff\xfe\x00", "sweep.yaml: "),
        (b"jobs: 3", "sweep.yaml: expected a mapping with a list `jobs`"),
        (b"!!python/object:os.system {}", "sweep.yaml: could not determine a constructor"),
    ],
)
def test_a_damaged_plan(tmp_path: Path, content: bytes, told: str) -> None:
    write_run(tmp_path / "0000", value=0.5)
    (tmp_path / "sweep.yaml").write_bytes(content)
    sweep = read_sweep([tmp_path])
    assert len(sweep.damaged) == 1
    assert sweep.damaged[0].startswith(told)
    assert sweep.runs["accuracy/val"].tolist() == [0.5]


def test_a_plan_with_damaged_entries(tmp_path: Path) -> None:
    entries = [
        {"number": 0, "folder": "0000", "values": {"x": 1}},
        3,
        {"number": 0, "values": {}},
        {"number": -1, "values": {}},
        {"number": 5, "folder": [1], "values": {}},
    ]
    (tmp_path / "sweep.yaml").write_text(json.dumps({"jobs": entries}))
    sweep = read_sweep([tmp_path])
    assert sweep.runs["job"].tolist() == [0, 5]
    assert sweep.damaged == [
        f"sweep.yaml: entry {k} of jobs: expected a number of its own, and values"
        for k in (1, 2, 3)
    ]
    assert sweep.runs["folder"].tolist() == ["0000", ""]


def test_figures_that_are_not_finite(tmp_path: Path) -> None:
    run = write_run(tmp_path / "a", value=0.5)
    text = '{"epoch": 0, "loss/val": NaN, "lr": 1e999}\n{"epoch": 1, "loss/val": null, "lr": 1}\n'
    (run / "metrics.jsonl").write_text(text)
    lines = read_sweep([tmp_path]).curves[0]
    assert lines["loss/val"].isna().all()
    assert lines["lr"].isna().tolist() == [True, False]


def test_names_that_are_no_unicode(tmp_path: Path) -> None:
    folder = Path(os.fsdecode(bytes(tmp_path) + b"/\xff run"))
    write_run(folder, value=0.5, hparams={"data\udcff": "\udc80"}, error="<b>\x1b")
    sweep = read_sweep([tmp_path])
    assert sweep.runs["folder"].tolist() == ["\\udcff run"]
    assert sweep.runs["data\\udcff"].tolist() == ["\\udc80"]
    assert sweep.runs["error"].tolist() == ["<b>\x1b"]  # the reader of a table escapes for itself


def test_a_sweep_without_jobs(tmp_path: Path) -> None:
    sweep = read_sweep([write_plan(tmp_path, [])])
    assert (len(sweep.runs), sweep.swept, sweep.curves) == (0, [], {})
    assert list(sweep.runs)[:3] == ["job", "folder", "status"]


def test_folders_that_hold_nothing_to_report(tmp_path: Path) -> None:
    with pytest.raises(UserError) as absent:
        read_sweep([Path("nowhere\x1b")])
    assert str(absent.value) == (
        "nowhere\\x1b: no such folder (expected that of a sweep or of a run)"
    )
    Path("empty").mkdir()
    text = (
        ": holds neither a readable sweep.yaml nor run directories with a summary.json "
        "(expected the folder of a sweep, such as outputs/sweeps/NAME/DATE_TIME-1a2b)"
    )
    with pytest.raises(UserError) as empty:
        read_sweep([Path("empty")])
    assert str(empty.value) == f"empty{text}"
    for name in ("2024-01-01_00-00-00-aaaa", "2024-01-02_00-00-00-bbbb"):
        write_plan(Path("mine") / name, [])
    with pytest.raises(UserError) as above:
        read_sweep([Path("mine")])
    assert str(above.value) == f"mine{text}; its newest sweep is mine/2024-01-02_00-00-00-bbbb"


def test_reading_imports_no_torch() -> None:
    names = "read, results, statistics, tensorboard"
    code = f"import sys; from dlrun.report import {names}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_a_plan_without_a_metric_and_with_more_than_is_asked(tmp_path: Path) -> None:
    write_plan(tmp_path, [{"x": "0.5", "y": "true"}], metric=None, direction=None, search="cmaes")
    path = tmp_path / "sweep.yaml"
    path.write_text(path.read_text() + "  digest: 0a1b\n  trial: 3\n")
    write_run(tmp_path / "0000", value=2.0, metric="loss")
    sweep = read_sweep([tmp_path])
    assert (sweep.metric, sweep.higher_is_better, sweep.damaged) == ("loss/val", False, [])
    assert sweep.runs[["x", "y"]].to_dict("records") == [{"x": 0.5, "y": True}]
    write_plan(tmp_path, [{"x": 1}], metric=None)
    write_run(tmp_path / "0001", value=0.5)
    assert (read_sweep([tmp_path]).metric, read_sweep([tmp_path]).higher_is_better) == (
        *("accuracy/val", True),
    )


@pytest.mark.parametrize("far", [1.1e150, -1e200, 1e308])
def test_figures_beyond_all_measure_are_missing(tmp_path: Path, far: float) -> None:
    write_run(tmp_path / "run", value=far, test=1e149, curve=[0.5, far])
    sweep = read_sweep([tmp_path / "run"])
    assert sweep.runs["accuracy/val"].isna().all()
    assert sweep.runs["accuracy/test"].tolist() == [1e149]
    assert sweep.curves[0]["accuracy/val"].isna().tolist() == [False, True]
