"""A run in one file: what travels, what comes out elsewhere, and what is refused."""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import shutil
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import dlrun
from dlrun import checkpoint
from dlrun.checkpoint import COMMENT_BYTES, MARK, load_checkpoint, save_checkpoint
from dlrun.cli import command_line
from dlrun.errors import UserError
from dlrun.pack import archive as run_archive
from dlrun.pack.command import pack_run
from dlrun.pack.unpacked import opened_archive
from dlrun.resume import resume_run
from dlrun.run_files import locked
from dlrun.runs.find import find_run
from dlrun.trained import open_trained

SMALL = ("dataset=digits", "dataset.limit=60", "model.hidden=[4]", "batch_size=16", "seed=3")
TRAVELS = {
    *("summary.json", "metrics.jsonl", ".hydra/config.yaml", ".hydra/overrides.yaml"),
    *("checkpoints/best.pt", "checkpoints/last.pt"),
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two epochs, with figures that stand for those that it could draw."""
    run_dir = tmp_path_factory.mktemp("pack") / "digits-run"
    dlrun.run(*SMALL, epochs=2, quiet=True, figures=False, **{"hydra.run.dir": str(run_dir)})
    (run_dir / "figures").mkdir()
    (run_dir / "figures" / "learning_curves.png").write_bytes(b"\x89PNG")
    (run_dir / "evaluations" / "test").mkdir(parents=True)
    (run_dir / "evaluations" / "test" / "evaluation.json").write_text("{}")
    (run_dir / "tags").write_text("baseline\n")
    (run_dir / "notes.txt").write_text("my own")
    return run_dir


@pytest.fixture
def run_dir(finished: Path) -> Path:
    """A copy of it, here."""
    return Path(shutil.copytree(finished, "digits-run"))


def contents(archive: Path) -> dict[str, bytes]:
    with tarfile.open(archive) as opened:
        return {
            member.name: file.read()
            for member in opened
            if (file := opened.extractfile(member)) is not None
        }


def write_tar(path: str, files: Mapping[str, bytes], link: tuple[str, str] | None = None) -> Path:
    """An archive with these files, and a link with its target, however the names are."""
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        if link is not None:
            member = tarfile.TarInfo(link[0])
            member.type, member.linkname = tarfile.SYMTYPE, link[1]
            archive.addfile(member)
    return Path(path)


# ------------------------------------------------------------------------------------- packing


def test_what_travels_and_what_does_not(run_dir: Path) -> None:
    packed = pack_run(run_dir)
    assert packed.file == Path("digits-run.tar.gz")
    names = {name.removeprefix("digits-run/") for name in contents(packed.file)}
    events = {name for name in names if name.startswith("events.out.tfevents.")}
    assert len(events) == 1
    own = {"figures/learning_curves.png", "evaluations/test/evaluation.json", "tags"}
    assert names - events == TRAVELS | own
    assert packed.num_files == len(names)
    assert packed.num_bytes == packed.file.stat().st_size
    with tarfile.open(packed.file) as opened:
        about = {(m.mtime, m.uid, m.gid, m.uname, m.gname) for m in opened}
    assert about == {(0, 0, 0, "", "")}


def test_the_same_run_makes_the_same_bytes(run_dir: Path) -> None:
    first = pack_run(run_dir, Path("a.tar.gz"))
    for file in run_dir.rglob("*"):
        os.utime(file, (1, 1))
    second = pack_run(run_dir, Path("b.tgz"))
    assert first.sha256 == second.sha256
    assert Path("a.tar.gz").read_bytes() == Path("b.tgz").read_bytes()


def test_best_only_leaves_out_what_it_takes_to_resume(run_dir: Path) -> None:
    packed = pack_run(run_dir, best_only=True)
    assert packed.notes == ("it can be evaluated and predicted from, not resumed",)
    folder = opened_archive(packed.file)
    assert [path.name for path in (folder / "checkpoints").iterdir()] == ["best.pt"]
    assert open_trained(folder).data.task == "multiclass"
    with pytest.raises(UserError, match="no checkpoint in it"):
        resume_run(folder, ["epochs=3"], "data")


def test_the_verb_says_size_hash_and_what_is_missing(
    run_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    set_config(run_dir, lambda config: config["dataset"].update(path="/data/own.csv"))
    assert command_line(["pack", "digits-run", "-o", "one.tar.gz"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"one\.tar\.gz: \d+\.\d kB, 10 files", lines[0])
    assert lines[1] == f"SHA-256 {run_archive.sha256_of(Path('one.tar.gz'))}"
    assert lines[2:] == [
        "note: its data, dataset.path=/data/own.csv, is not in it",
        "to use it elsewhere: dlrun evaluate one.tar.gz",
    ]


def test_paths_and_code_of_ones_own_are_pointed_out(
    run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/alice")
    set_config(run_dir, lambda config: config.update(data_dir="/home/alice/data"))
    set_config(run_dir, lambda config: config["model"].update(_target_="mynet.Net"))
    assert pack_run(run_dir).notes == (
        "its config tells a path of yours, data_dir=/home/alice/data",
        "it needs code of your own (model._target_=mynet.Net) and --trust where it is unpacked",
    )


def set_config(run_dir: Path, change: Callable[[dict[str, Any]], None]) -> None:
    file = run_dir / ".hydra" / "config.yaml"
    config = yaml.safe_load(file.read_text())
    change(config)
    file.write_text(yaml.safe_dump(config))


@pytest.mark.parametrize(
    ("out", "text"),
    [
        ("there.tar.gz", "there.tar.gz: is there already (name a new file)"),
        ("run.zip", "-o run.zip: expected a name that ends with .tar.gz"),
        ("far/run.tar.gz", "far/run.tar.gz: there is no such folder to write it to"),
    ],
)
def test_where_an_archive_cannot_go(out: str, text: str, run_dir: Path) -> None:
    Path("there.tar.gz").write_text("mine")
    with pytest.raises(UserError) as caught:
        pack_run(run_dir, Path(out))
    assert str(caught.value) == text
    assert Path("there.tar.gz").read_text() == "mine"
    assert sorted(os.listdir()) == ["digits-run", "there.tar.gz"]


def test_a_link_in_a_run_is_not_packed(run_dir: Path) -> None:
    (run_dir / "figures" / "passwd.png").symlink_to("/etc/passwd")
    with pytest.raises(UserError) as caught:
        pack_run(run_dir)
    assert str(caught.value) == (
        "digits-run/figures/passwd.png: is a link; only files are packed (take it away)"
    )


def test_a_damaged_checkpoint_is_not_packed(run_dir: Path) -> None:
    with (run_dir / "checkpoints" / "best.pt").open("r+b") as file:
        file.truncate(1000)
    with pytest.raises(UserError, match=r"best\.pt: cut short"):
        pack_run(run_dir)
    assert os.listdir() == ["digits-run"]


def test_a_run_without_weights_is_not_packed(run_dir: Path) -> None:
    shutil.rmtree(run_dir / "checkpoints")
    with pytest.raises(UserError, match=r"^digits-run: has no checkpoint or no summary\.json"):
        pack_run(run_dir)


def test_a_running_run_is_not_packed(run_dir: Path, started: Any) -> None:
    with locked(run_dir):  # by this process; another one asks
        done = started("pack", "digits-run").wait()
    assert done.returncode == 2
    assert done.stderr.startswith("error: digits-run: in use by another process")
    assert os.listdir() == ["digits-run"]


def test_a_run_too_large_for_any_archive_is_not_packed(
    run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_archive, "LARGEST", 1000)
    with pytest.raises(UserError, match="an archive holds at most 2,000 files and 1,000 bytes"):
        pack_run(run_dir)


def test_a_failure_in_the_middle_leaves_no_half_archive(
    run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tarfile.TarFile, "addfile", full)
    assert command_line(["pack", "digits-run"]) == 1
    assert os.listdir() == ["digits-run"]


# ------------------------------------------------------------------------------------ elsewhere


def test_elsewhere_it_gives_the_same_outputs(
    run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = torch.linspace(-1, 1, 64 * 5).reshape(5, 1, 8, 8)
    here = open_trained(run_dir).model(inputs)
    pack_run(run_dir, Path("moved.tar.gz"))
    Path("other").mkdir()
    Path("moved.tar.gz").rename("other/moved.tar.gz")
    shutil.rmtree(run_dir)
    monkeypatch.chdir("other")
    folder = find_run("moved.tar.gz")
    assert re.fullmatch(r"outputs/runs/unpacked/moved-[0-9a-f]{8}", str(folder))
    there = open_trained(folder)
    assert torch.equal(there.model(inputs), here)
    assert (folder / "tags").read_text() == "baseline\n"
    assert find_run("moved.tar.gz") == folder  # which is there already


def test_elsewhere_it_goes_on_as_it_would_have(run_dir: Path) -> None:
    folder = opened_archive(pack_run(run_dir).file, folder=Path("other") / "run")
    assert command_line(["resume", str(folder), "epochs=4", "-q"]) == 0
    assert command_line(["resume", "digits-run", "epochs=4", "-q"]) == 0
    here, there = (
        load_checkpoint(path / "checkpoints" / "last.pt")["model"] for path in (run_dir, folder)
    )
    assert here.keys() == there.keys()
    assert all(torch.equal(here[name], there[name]) for name in here)
    assert json.loads((folder / "summary.json").read_text())["epochs"] == 4


def test_the_verb_unpacks_to_a_new_folder(
    run_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pack_run(run_dir, Path("a.tar.gz"))
    assert command_line(["unpack", "a.tar.gz", "-o", "deep/er"]) == 0
    assert capsys.readouterr().out == "deep/er: unpacked (dlrun show deep/er)\n"
    assert (Path("deep/er") / "summary.json").exists()
    assert command_line(["unpack", "a.tar.gz", "-o", "deep/er"]) == 2
    assert capsys.readouterr().err == "error: deep/er: is there already (expected a new folder)\n"


def test_an_archive_may_be_flat(run_dir: Path) -> None:
    packed = contents(pack_run(run_dir).file)
    flat = {name.removeprefix("digits-run/"): content for name, content in packed.items()}
    folder = opened_archive(write_tar("flat.tar.gz", flat))
    assert (folder / "checkpoints" / "best.pt").exists()


# -------------------------------------------------------------------------------------- planted


class Planted:
    """What a pickle would have called."""

    def __reduce__(self) -> tuple[Any, ...]:
        return open, ("created", "w")


def pickled(state: Any) -> bytes:
    """A checkpoint with a sound checksum, of whatever there is."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    content = bytearray(buffer.getvalue())
    content[-2:] = COMMENT_BYTES.to_bytes(2, "little")
    digest = checkpoint.hashlib.sha256(bytes(content)).hexdigest()
    return bytes(content) + MARK + digest.encode()


def with_config(files: dict[str, bytes], change: Callable[[dict[str, Any]], None]) -> None:
    """Changes the config in .hydra and in both checkpoints alike."""
    name = "digits-run/.hydra/config.yaml"
    config = yaml.safe_load(files[name])
    change(config)
    files[name] = yaml.safe_dump(config).encode()
    for kind in ("best", "last"):
        name = f"digits-run/checkpoints/{kind}.pt"
        Path("one.pt").write_bytes(files[name])
        state = load_checkpoint(Path("one.pt"))
        change(state["config"])
        save_checkpoint(Path("one.pt"), state)
        files[name] = Path("one.pt").read_bytes()
    Path("one.pt").unlink()


Change = Callable[[dict[str, bytes]], object]
ONLY_MODELS = (
    "a stored config may only name models of dlrun, torch.nn, torchvision.models "
    "(if you trust where it comes from, type --trust)"
)
RUN = "digits-run/"
PLANTED: dict[str, tuple[Change, str]] = {
    "a call in the config": (
        lambda files: with_config(
            files, lambda config: config["model"].update(_target_="os.system")
        ),
        f"model._target_=os.system: {ONLY_MODELS}",
    ),
    "a call in a nested key": (
        lambda files: with_config(
            files, lambda config: config["optimizer"].update(betas={"_target_": "os.system"})
        ),
        "optimizer.betas._target_=os.system: a stored config may only name layers of torch.nn "
        "(if you trust where it comes from, type --trust)",
    ),
    "a call elsewhere": (
        lambda files: with_config(files, lambda config: config.update(_target_="os.system")),
        ".hydra/config.yaml: _target_: a stored config may not have this key "
        "(if you trust where it comes from, type --trust)",
    ),
    "an interpolation": (
        lambda files: with_config(files, lambda config: config.update(data_dir="${oc.env:HOME}")),
        ".hydra/config.yaml: data_dir=${oc.env:HOME}: a stored config holds values, "
        "not interpolations (if you trust where it comes from, type --trust)",
    ),
    "a pickle that creates a file": (
        lambda files: files.update({f"{RUN}checkpoints/best.pt": pickled({"model": Planted()})}),
        "checkpoints/best.pt: refused, it holds {OPEN}, and only tensors and plain values are read",
    ),
    "a checkpoint of another config": (
        lambda files: files.update(
            {
                f"{RUN}.hydra/config.yaml": files[f"{RUN}.hydra/config.yaml"].replace(
                    b"seed: 3", b"seed: 4"
                )
            }
        ),
        ".hydra/config.yaml has another seed than the checkpoint was made with: "
        "it would be another experiment (undo the change)",
    ),
    "a climbing path": (
        lambda files: files.update({f"{RUN}../../evil": b"x"}),
        "digits-run/../../evil leads out of the folder (expected names without ..)",
    ),
    "an absolute path": (
        lambda files: files.update({"/evil": b"x"}),
        "/evil is an absolute path (expected names below one folder)",
    ),
    "code": (
        lambda files: files.update({f"{RUN}sitecustomize.py": b"x"}),
        "holds sitecustomize.py, which is no file of a packed run",
    ),
    "a second run": (
        lambda files: files.update({"other/summary.json": b"{}"}),
        "holds digits-run/.hydra/config.yaml, which is no file of a packed run",
    ),
    "a damaged summary": (
        lambda files: files.update({f"{RUN}summary.json": b"[" * 100_000}),
        "summary.json: damaged, expected the JSON that dlrun writes",
    ),
    "a summary that is a bomb": (
        lambda files: files.update({f"{RUN}summary.json": b" " * (2**24 + 1)}),
        "summary.json is larger than 16,777,216 bytes",
    ),
    "overrides that are no words": (
        lambda files: files.update({f"{RUN}.hydra/overrides.yaml": b"!!python/name:os.system"}),
        "overrides.yaml is damaged, expected a list of words",
    ),
    "no checkpoint": (
        lambda files: [files.pop(f"{RUN}checkpoints/{name}.pt") for name in ("best", "last")],
        "is no packed run: it lacks summary.json or a checkpoint",
    ),
    "weights under the name of last.pt": (
        lambda files: files.update(
            {f"{RUN}checkpoints/last.pt": files[f"{RUN}checkpoints/best.pt"]}
        ),
        "checkpoints/last.pt has weights, but not where the run stood",
    ),
}


@pytest.mark.parametrize("name", PLANTED)
def test_what_is_planted_is_refused_in_a_line(
    name: str, finished: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    files = contents(pack_run(finished, Path("sound.tar.gz")).file)
    Path("sound.tar.gz").unlink()
    change, reason = PLANTED[name]
    change(files)
    write_tar("planted.tar.gz", files)
    assert command_line(["evaluate", "planted.tar.gz"]) == 2
    opener = f"{open.__module__}.open".replace("_io", "io")
    reason = reason.replace("{OPEN}", opener)
    assert capfd.readouterr().err == f"error: planted.tar.gz: {reason}; nothing was unpacked\n"
    assert os.listdir() == ["planted.tar.gz"]


def test_a_link_in_an_archive_is_refused(finished: Path) -> None:
    files = contents(pack_run(finished, Path("sound.tar.gz")).file)
    planted = write_tar("planted.tar.gz", files, (f"{RUN}figures/a.png", "/etc/passwd"))
    with pytest.raises(UserError) as caught:
        opened_archive(planted)
    assert str(caught.value) == (
        "planted.tar.gz: digits-run/figures/a.png is a symbolic link "
        "(expected only files and folders); nothing was unpacked"
    )


def test_a_bomb_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_archive, "LARGEST", 2**20)
    bomb = write_tar("bomb.tar.gz", {"run/metrics.jsonl": bytes(2**21)})
    assert bomb.stat().st_size < 10_000
    with pytest.raises(UserError, match="unpacks to more than 1,048,576 bytes"):
        opened_archive(bomb)
    assert os.listdir() == ["bomb.tar.gz"]


@pytest.mark.parametrize("content", [b"", b"no archive", gzip.compress(b"no tar", mtime=0)])
def test_what_is_no_archive_is_refused(content: bytes) -> None:
    Path("run.tar.gz").write_bytes(content)
    with pytest.raises(UserError, match=r"^run\.tar\.gz: .*; nothing was unpacked$"):
        opened_archive(Path("run.tar.gz"))
    with pytest.raises(UserError, match=r"^none\.tar\.gz: no such file$"):
        opened_archive(Path("none.tar.gz"))
    assert os.listdir() == ["run.tar.gz"]


def test_code_of_ones_own_is_unpacked_by_those_who_trust_it(finished: Path) -> None:
    files = contents(pack_run(finished, Path("sound.tar.gz")).file)
    with_config(files, lambda config: config["model"].update(_target_="mynet.Net"))
    write_tar("own.tar.gz", files)
    assert command_line(["unpack", "own.tar.gz"]) == 2
    assert command_line(["unpack", "--trust", "own.tar.gz"]) == 0
    folder = opened_archive(Path("own.tar.gz"))  # there by now, and refused where it is used
    with pytest.raises(UserError, match=r"model\._target_=mynet\.Net"):
        open_trained(folder)


@pytest.mark.parametrize(
    "entries",
    [
        {"overrides": 5, "resumed": [1], "hparams": [], "metrics": {"loss/val": "x"}},
        {"overrides": ["\x1b[2J"], "versions": {"torch": {}}, "host": 3, "data": [], "git": "x"},
        {"status": ["[red]"], "best_epoch": 1e400, "metrics": None, "device": {}},
    ],
)
def test_a_hostile_summary_breaks_nothing(
    entries: dict[str, Any], run_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    summary = json.loads((run_dir / "summary.json").read_text())
    (run_dir / "summary.json").write_text(json.dumps({**summary, **entries}))
    folder = opened_archive(pack_run(run_dir).file)
    assert command_line(["rerun", str(folder), "epochs=1"]) == 0
    output = capsys.readouterr().out
    assert all(char.isprintable() or char == "\n" for char in output)
