"""A run once more: the same bit for bit, or changed as asked; and what is refused."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

import dlrun
from dlrun.checkpoint import load_checkpoint, save_checkpoint
from dlrun.cli import command_line
from dlrun.errors import UserError
from dlrun.rerun import command as rerun
from dlrun.rerun.command import differing, joined, overrides_of, repeat
from dlrun.resume import resume_run
from dlrun.stored import stored_config
from dlrun.trained import open_trained

SMALL = ("dataset=digits", "dataset.limit=60", "batch_size=16", "seed=3", "epochs=2")
TINY = (*SMALL, "model.hidden=[4]", "regularization=dropout")
QUIET = {"quiet": True, "figures": False}
SAME = "the same, bit for bit: {} of metrics.jsonl (times aside) and the best weights are equal"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An mlp with dropout, of two epochs."""
    return trained(tmp_path_factory.mktemp("rerun") / "first", *TINY)


def trained(run_dir: Path, *words: str) -> Path:
    dlrun.run(*words, **QUIET, **{"hydra.run.dir": str(run_dir)})
    return run_dir


@pytest.fixture
def run_dir(finished: Path) -> Path:
    """A copy of it, here; where it was trained there may have been a repository."""
    copy = Path(shutil.copytree(finished, "first"))
    change_summary(copy, git=None)
    return copy


def summary_of(run_dir: Path) -> dict[str, Any]:
    summary: dict[str, Any] = json.loads((run_dir / "summary.json").read_text())
    return summary


def change_summary(run_dir: Path, **entries: Any) -> None:
    (run_dir / "summary.json").write_text(json.dumps({**summary_of(run_dir), **entries}))


# ------------------------------------------------------------------------------------- the same


def test_a_run_is_repeated_bit_for_bit_and_says_so(
    run_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.read_bytes() for path in run_dir.rglob("*") if path.is_file()}
    assert command_line(["rerun", "first"]) == 0
    output = capsys.readouterr().out
    assert output.splitlines()[0] == "repeating first"
    assert "not as then" not in output
    assert output.splitlines()[-1] == SAME.format("2 epochs")
    rows = re.findall(r"^(\S+/\S+) +(\S+) +(\S+) +(\S+)$", output, re.MULTILINE)
    figures = [row for row in rows if row[0].endswith(("/val", "/test"))]
    assert [row[0] for row in figures] == [
        *("loss/val", "accuracy/val", "loss/test", "accuracy/test")
    ]
    assert all(then == now and difference == "0" for _, then, now, difference in figures)
    assert before.items() <= {p: p.read_bytes() for p in run_dir.rglob("*") if p.is_file()}.items()
    (again,) = Path("outputs/runs").glob("*/*")
    assert re.fullmatch(r"\d\d-\d\d-\d\d-mlp-adam-digits-[0-9a-f]{4}", again.name)
    summary = summary_of(again)
    assert summary["rerun_of"] == "first"
    assert summary["overrides"] == [*TINY, "figures=false"]
    assert yaml.safe_load((again / ".hydra" / "overrides.yaml").read_text()) == summary["overrides"]
    assert stored_config(again, "data") == {
        **(stored_config(run_dir, "data") or {}),
        "quiet": False,
    }


@pytest.mark.parametrize(
    "words",
    [
        ("model=cnn", "model.channels=[2]", "model.dense=[4]", "regularization=[dropout,augment]"),
        ("model.hidden=[4]", "optimizer=sgd", "optimizer.lr=1e10"),  # which diverges
        ("model.hidden=[4]", "regularization=early_stopping", "optimizer.lr=1.0", "epochs=9"),
        ("model.hidden=[4]", "epochs=0"),
    ],
)
def test_others_are_repeated_too(words: tuple[str, ...]) -> None:
    run = trained(Path("one"), *SMALL, *words, "regularization.early_stopping_patience=1")
    result, comparison = repeat(run, [], quiet=True)
    assert comparison.same, comparison.sentence
    assert comparison.sentence.startswith("the same, bit for bit: ")
    before = summary_of(run)
    assert result.status == before["status"]
    assert result.stopped_by == before["stopped_by"]
    if "optimizer=sgd" in words:
        assert result.status == "diverged"


def test_a_lengthened_run_is_repeated_as_long(run_dir: Path) -> None:
    resume_run(run_dir, ["epochs=3"], "data")
    result, comparison = repeat(run_dir, [], quiet=True)
    assert comparison.sentence == SAME.format("3 epochs")
    assert summary_of(result.run_dir)["overrides"][-1] == "epochs=3"


def test_a_run_that_was_broken_off_is_compared_as_far_as_it_came(run_dir: Path) -> None:
    lines = (run_dir / "metrics.jsonl").read_text().splitlines()
    (run_dir / "metrics.jsonl").write_text("\n".join(lines[:2]) + "\n" + lines[2][:20])
    change_summary(run_dir, status="interrupted", epochs=1)
    comparison = repeat(run_dir, [], quiet=True)[1]
    assert comparison.same
    assert comparison.sentence.startswith(
        "the same, bit for bit, as far as both go: 1 epoch of metrics.jsonl (times aside) are "
        "equal (1 epochs then, 2 now)"
    )


def test_exact_is_an_exit_code(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line(["rerun", "-q", "--exact", "first"]) == 0
    assert capsys.readouterr() == ("", "")
    lines = (run_dir / "metrics.jsonl").read_text().splitlines()
    line = json.loads(lines[1])
    was, line["loss/val"] = line["loss/val"], 0.5
    lines[1] = json.dumps(line)
    (run_dir / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    assert command_line(["rerun", "-q", "--exact", "first"]) == 1
    assert capsys.readouterr().err == (
        f"not the same: they first differ in epoch 1, loss/val: 0.5 then, {was!r} now\n"
    )
    assert command_line(["rerun", "-q", "first"]) == 0


# -------------------------------------------------------------------------------------- changed


def test_values_and_choices_change_what_they_say(
    run_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["optim=sgd", "optim.lr=0.5", "epochs=1", "model.hidden=[5]"]
    assert command_line(["rerun", "first", *words]) == 0
    output = capsys.readouterr().out
    assert "changed: optimizer=sgd, optimizer.lr=0.5, epochs=1, model.hidden=[5]\n" in output
    (again,) = Path("outputs/runs").glob("*/*-mlp-sgd-digits-*")
    config, before = stored_config(again, "data"), stored_config(run_dir, "data")
    assert config is not None
    assert before is not None
    assert config["optimizer"]["_target_"] == "torch.optim.SGD"
    assert config["optimizer"]["lr"] == 0.5
    assert config["model"] == {**before["model"], "hidden": [5]}
    assert config["epochs"] == 1
    for key in ("dataset", "regularization", "seed", "batch_size"):
        assert config[key] == before[key]
    assert summary_of(again)["hparams"]["optimizer"] == "sgd"
    assert summary_of(again)["overrides"] == [
        *("dataset=digits", "dataset.limit=60", "batch_size=16", "seed=3"),
        *("regularization=dropout", "figures=false"),
        *("optimizer=sgd", "optimizer.lr=0.5", "epochs=1", "model.hidden=[5]"),
    ]


@pytest.mark.parametrize(
    ("word", "dropout"),
    [
        ("regularization.dropout=0.25", 0.25),
        ("regularization=none", 0.0),
        ("model=deep_mlp", 0.5),
        ("model.dropout=0.125", 0.125),
    ],
)
def test_a_knob_reaches_the_model(word: str, dropout: float, run_dir: Path) -> None:
    result, _ = repeat(run_dir, [word, "epochs=0"], quiet=True)
    config = stored_config(result.run_dir, "data")
    assert config is not None
    assert config["model"]["dropout"] == dropout
    rates = {layer.p for name, layer in result.model.named_modules() if "dropout" in name}
    assert rates == ({dropout} if dropout else set())


def test_a_choice_may_set_more_than_its_group(run_dir: Path) -> None:
    result, _ = repeat(run_dir, ["debug=overfit", "epochs=1"], quiet=True)
    config = stored_config(result.run_dir, "data")
    assert config is not None
    assert config["debug"]["overfit_batches"] == 1
    assert config["epochs"] == 1
    assert rerun_config(run_dir, "debug=overfit")["epochs"] == 300
    assert rerun_config(run_dir, "debug=none")["epochs"] == 2


def rerun_config(run_dir: Path, *words: str) -> Mapping[str, Any]:
    return rerun.prepare(run_dir, summary_of(run_dir), words, "data", quiet=True).config


def test_later_words_take_the_place_of_earlier_ones() -> None:
    assert joined(["epochs=2", "+a.b=1", "seed=1"], ["a.b=2", "~seed"]) == [
        *("epochs=2", "a.b=2", "~seed")
    ]
    notes: list[Any] = [{"overrides": ["epochs=3", "quiet=true"]}, 5, {"overrides": [{}]}]
    assert overrides_of({"overrides": ["seed=1"], "resumed": notes}) == ["seed=1", "epochs=3"]
    assert overrides_of({"overrides": 3, "resumed": None}) == []


# ------------------------------------------------------------------------------------ elsewhere


def test_what_is_not_as_it_was_then_is_told(
    run_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    summary = summary_of(run_dir)
    change_summary(
        run_dir,
        versions={**summary["versions"], "torch": "1.0", "gone": "2\x1b[2J"},
        host={**summary["host"], "cores": 4096},
        git={"commit": "a" * 40, "dirty": True},
        device="cuda:0 (H100)",
        data={**summary["data"], "checksum": "0" * 64},
    )
    assert command_line(["rerun", "first", "epochs=0"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if "not as then" in line]
    now = summary["versions"]["torch"]
    assert f"not as then: torch 1.0 then, {now} now" in lines
    assert r"not as then: gone 2\x1b[2J then, none now" in lines
    assert any(line.startswith("not as then: host cores 4096 then, ") for line in lines)
    assert any(line.startswith("not as then: git aaaaaaaaaa with changes then, ") for line in lines)
    assert "not as then: device cuda:0 (H100) then, cpu (1 thread) now" in lines
    assert len(lines) == 5
    assert command_line(["rerun", "first"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == "the data is not what it was then: its checksum is another"


def test_nothing_is_told_of_what_was_not_recorded(run_dir: Path) -> None:
    config = open_trained(run_dir).config
    assert list(differing({}, config)) == []
    assert list(differing({"versions": [], "host": "x", "git": None}, config)) == []


# -------------------------------------------------------------------------------------- refused


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ([], "dlrun rerun: expected one run, got 0 "),
        (["first", "other"], "dlrun rerun: expected one run, got 2 "),
        (["first", "--exactly"], "dlrun rerun: unrecognized arguments: --exactly "),
        (["first", "epochs=1,2"], "epochs=1,2: expected one value"),
        (["first", "experiment=xor"], "experiment=xor: is a run of its own"),
        (["first", "model@x=mlp"], "model@x=mlp: expected key=value"),
        (["first", "epochs=x"], "epochs=x: expected a whole number"),
        (["first", "epochs=-1"], "epochs=-1: expected a whole number >= 0"),
        (["first", "model.hiden=[4]"], "model.hiden: no such key in the config of that run; did "),
        (["first", "~model.x"], "model.x: no such key in the config of that run"),
        (["first", "lerning=1"], "lerning: no such key in the config of that run; there are "),
        (["first", "optimizer=adma"], "optimizer=adma: expected one of "),
        (["first", "model._target_=os.system"], "model._target_=os.system: a stored config may "),
    ],
)
def test_what_cannot_be_asked_for(
    words: list[str], text: str, run_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command_line(["rerun", *words]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {text}")
    assert error.count("\n") == 1
    assert not Path("outputs").exists()


def test_a_call_planted_in_the_config_is_refused(run_dir: Path) -> None:
    file = run_dir / "checkpoints" / "best.pt"
    state = load_checkpoint(file)
    for config in (state["config"], config_of(run_dir)):
        config["model"]["_target_"] = "os.system"
    (run_dir / ".hydra" / "config.yaml").write_text(yaml.safe_dump(state["config"]))
    save_checkpoint(file, state)
    with pytest.raises(UserError, match=r"^model\._target_=os\.system: a stored config may only"):
        repeat(run_dir, [])
    shutil.rmtree(run_dir / "checkpoints")
    with pytest.raises(UserError, match=r"^model\._target_=os\.system: a stored config may only"):
        repeat(run_dir, [])
    assert not Path("outputs").exists()


def config_of(run_dir: Path) -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load((run_dir / ".hydra" / "config.yaml").read_text())
    return config


def test_without_a_checkpoint_the_stored_config_is_enough(run_dir: Path) -> None:
    shutil.rmtree(run_dir / "checkpoints")
    result, comparison = repeat(run_dir, [], quiet=True)
    assert comparison.same
    assert "the best weights are not compared" in comparison.sentence
    assert "-mlp-adam-digits-" in result.run_dir.name


def test_with_neither_there_is_nothing_to_repeat(run_dir: Path) -> None:
    shutil.rmtree(run_dir / "checkpoints")
    shutil.rmtree(run_dir / ".hydra")
    with pytest.raises(UserError) as caught:
        repeat(run_dir, [])
    assert str(caught.value) == (
        "first: has no checkpoint and no .hydra/config.yaml, so nothing says what it was "
        "(expected a run that has begun; dlrun ls tells)"
    )


def test_a_link_in_the_run_is_not_followed(run_dir: Path) -> None:
    (run_dir / "metrics.jsonl").unlink()
    (run_dir / "metrics.jsonl").symlink_to("/etc/passwd")
    with pytest.raises(UserError, match=r"^first/metrics\.jsonl: is a link"):
        repeat(run_dir, [])
