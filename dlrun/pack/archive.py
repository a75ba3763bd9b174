"""A run as one file: which of its files an archive holds, and the checks before one is believed."""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import stat
import tarfile
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

from dlrun import archives, schema
from dlrun.checkpoint import load_checkpoint
from dlrun.errors import UserError, shown
from dlrun.run_files import read_summary
from dlrun.stored import LARGEST_FILE, NEEDED, merged, require_ours, stored_config
from dlrun.targets import Trust, find_target
from dlrun.yaml_files import is_tame, load_yaml

NAME = r"[\w=,+-][\w.=,+-]*"
# What of a run travels: what it was, how it went, and what it takes to go on. Not hydra.yaml and
# train.log: nothing reads them, and they tell the paths of a machine.
PACKED = re.compile(
    r"summary\.json|(metrics|diagnostics)\.jsonl|tags|\.hydra/(config|overrides)\.yaml|"
    rf"checkpoints/(best|last|previous)\.pt|figures/{NAME}\.(png|gif)|"
    rf"evaluations/({NAME}/)?{NAME}\.(json|png|csv)|events\.out\.tfevents\.{NAME}"
)
NEEDED_BEST = {"model", "epoch", "data"}
# Bytes and files that an archive may hold, in all; and bytes of what is read at one go.
LARGEST = 4 * 2**30
MOST_FILES = 2_000
LARGEST_TEXTS = {
    "summary.json": 16 * 2**20,
    "tags": LARGEST_FILE,
    ".hydra/config.yaml": LARGEST_FILE,
    ".hydra/overrides.yaml": LARGEST_FILE,
}


def packed_files(run_dir: Path, *, best_only: bool) -> list[str]:
    """Names of the run's files that an archive holds, sorted.

    best_only: without the checkpoints that it could be resumed from. Raises UserError where a link
    or anything else than files and folders lies in the run, and for one that is too large.
    """
    names, total = [], 0
    for folder, folders, files in os.walk(run_dir):
        for name in (*folders, *files):
            path = Path(folder, name)
            found = path.lstat()
            if not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode):
                kind = "a link" if stat.S_ISLNK(found.st_mode) else "no file or folder"
                raise UserError(f"{shown(path)}: is {kind}; only files are packed (take it away)")
            inside = path.relative_to(run_dir).as_posix()
            if name in files and PACKED.fullmatch(inside):
                names.append(inside)
                total += found.st_size
    resumable = {"checkpoints/last.pt", "checkpoints/previous.pt"}
    left_out = resumable if best_only else set()
    if "checkpoints/last.pt" in names:  # previous.pt is for when that is damaged
        left_out = left_out | {"checkpoints/previous.pt"}
    names = sorted(set(names) - left_out)
    if len(names) > MOST_FILES or total > LARGEST:
        raise UserError(
            f"{shown(run_dir)}: {len(names):,} files of {total:,} bytes; an archive holds at most "
            f"{MOST_FILES:,} files and {LARGEST:,} bytes (for example --best-only)"
        )
    return names


def write_archive(run_dir: Path, names: Sequence[str], top: str, target: Path) -> None:
    """Writes the files below the folder `top` of a new tar.gz; the same files make the same bytes.

    Raises UserError where `target` is there already, OSError when the disk refuses.
    """
    try:
        file = target.open("xb")
    except FileExistsError:
        raise UserError(f"{shown(target)}: is there already (name a new file)") from None
    except (FileNotFoundError, NotADirectoryError):
        raise UserError(f"{shown(target)}: there is no such folder to write it to") from None
    try:
        with (
            file,
            gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed,
            tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
        ):
            for name in names:
                member = tarfile.TarInfo(f"{top}/{name}")  # no owner, no date
                with (run_dir / name).open("rb") as content:
                    member.size = os.fstat(content.fileno()).st_size
                    archive.addfile(member, content)
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def unpack_run(file: Path, folder: Path, trust: Trust) -> None:
    """Unpacks the archive of a run to `folder`, which is not there yet, if all in it is sound.

    trust: "data" refuses a config that names code of its own. Raises UserError of one line, and
    leaves nothing behind, for anything else than what dlrun packs.
    """
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise UserError(f"{shown(folder)}: is there already (expected a new folder)")
    parent = next(path for path in folder.absolute().parents if path.exists())
    if not parent.is_dir():
        raise UserError(f"{shown(parent)}: is a file, expected a folder")
    with TemporaryDirectory(prefix=".unpack-", dir=parent) as scratch:
        whole = Path(scratch) / "whole"
        paths = archives.unpack(
            file, whole, sha256=None, max_bytes=LARGEST, max_files=2 * MOST_FILES
        )
        names = [path.relative_to(whole).as_posix() for path in paths]
        tops = {name.partition("/")[0] for name in names}
        top = tops.pop() + "/" if len(tops) == 1 and "summary.json" not in names else ""
        try:
            require_sound(whole / top, [name.removeprefix(top) for name in names], trust)
        except UserError as error:
            reason = str(error).splitlines()[0].replace(f"{whole / top}{os.sep}", "")
            reason = reason.replace(f"{whole / top}: ", "")
            raise UserError(f"{shown(file)}: {reason}; nothing was unpacked") from error
        folder.parent.mkdir(parents=True, exist_ok=True)
        os.replace(whole / top, folder)


def require_sound(run_dir: Path, names: Sequence[str], trust: Trust) -> None:
    """Raises UserError unless the files are those of a run, and nothing in them is more than data.

    names: of all its files.
    """
    for name in names:
        if not PACKED.fullmatch(name):
            raise UserError(f"holds {shown(name)}, which is no file of a packed run")
        limit = LARGEST_TEXTS.get(name)
        if limit is not None and (run_dir / name).stat().st_size > limit:
            raise UserError(f"{name} is larger than {limit:,} bytes")
    checkpoints = [name for name in names if name.startswith("checkpoints/")]
    if "summary.json" not in names or not checkpoints:
        raise UserError("is no packed run: it lacks summary.json or a checkpoint")
    read_summary(run_dir)
    config = stored_config(run_dir, trust)
    require_targets(config or {}, trust)
    if ".hydra/overrides.yaml" in names:
        require_words(run_dir / ".hydra" / "overrides.yaml")
    for name in checkpoints:
        checkpoint = load_checkpoint(run_dir / name)
        short = name.removeprefix("checkpoints/")
        needed = NEEDED_BEST if short == "best.pt" else NEEDED
        require_ours(checkpoint, run_dir, trust, file=short, needed=needed)
        require_targets(checkpoint["config"], trust)
        merged(checkpoint["config"], config, {}, run_dir)


def require_targets(config: Any, trust: Trust) -> None:
    """Raises UserError for a `_target_` in the config that `trust` does not allow."""
    if trust == "all" or not isinstance(config, (dict, DictConfig)):
        return
    for group in schema.OPEN_GROUPS:
        node = config.get(group)
        plain = OmegaConf.to_container(node) if isinstance(node, DictConfig) else node
        if node is not None:
            find_target(group, plain if isinstance(plain, dict) else {}, trust)


def require_words(path: Path) -> None:
    """Raises UserError unless a YAML file is a list of words."""
    try:
        text = path.read_text(encoding="utf-8")
        content: Any = load_yaml(text) if is_tame(text) else None
    except (yaml.YAMLError, ValueError):
        content = None
    if not isinstance(content, list) or not all(isinstance(word, str) for word in content):
        raise UserError(f"{path.name} is damaged, expected a list of words")


def sha256_of(file: Path) -> str:
    """Hexadecimal SHA-256 of a file's content. Raises UserError where there is no such file."""
    if not file.is_file():  # opening a fifo would wait for ever
        raise UserError(f"{shown(file)}: no such file")
    digest = hashlib.sha256()
    with file.open("rb") as opened:
        while chunk := opened.read(2**20):
            digest.update(chunk)
    return digest.hexdigest()
