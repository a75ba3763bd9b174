"""What stands in a run directory is data that anybody may have written: read, and not obeyed."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from dlrun import schema
from dlrun.errors import UserError, shown
from dlrun.state import FORMAT
from dlrun.targets import TRUST_STORED, Trust, stored_faults
from dlrun.terminal import typed_path
from dlrun.yaml_files import is_plain_dict, is_tame, load_yaml

# What a checkpoint has that a run can go on from; best.pt has only weights.
NEEDED = {"optimizer", "epoch", "step", "position", "pass", "stopped_by", "generators", "files"}

# What may differ from before without making another experiment of it, and what it accepts.
FREE = {
    "epochs": "a whole number (epochs=50)",
    "quiet": "true or false",
    "figures": "true or false",
    "animations": "true or false",
    "data_dir": "a folder",
    "dataset.path": "a file or folder, and a data set that has a path",
    "device.name": "the name of a device (device.name=cpu)",
    "device.threads": "a whole number (device.threads=2)",
    "debug.traceback": "true or false",
    "checkpoint.every_epochs": "a whole number or null",
    "checkpoint.every_steps": "a whole number or null",
    "checkpoint.every_minutes": "a number or null",
}

# What a config may be at most that came from somebody else, so that reading it ends.
LARGEST_FILE = 64 * 1024  # bytes; the configs of dlrun's own choices have 2,000
NO_CONFIG = "is no config, expected keys with plain values"


def require_run(run_dir: Path) -> None:
    """Raises UserError where there is no run, with the nearest thing to type instead."""
    place = shown(run_dir)
    if not run_dir.exists():
        raise UserError(f"{place}: no such directory (runs lie below outputs/runs)")
    if not run_dir.is_dir():
        raise UserError(f"{place}: is a file, expected the directory of a run")
    if (run_dir / "summary.json").exists() or (run_dir / "checkpoints").exists():
        return
    jobs = sorted(file.parent for file in run_dir.glob("*/summary.json"))
    if jobs:
        raise UserError(
            f"{place}: holds {len(jobs)} runs, name one of them\n"
            f"(for example dlrun resume {typed_path(jobs[0])})"
        )
    raise UserError(f"{place}: is no run, there is no summary.json in it")


def require_plain_files(run_dir: Path) -> None:
    """Raises UserError for anything but files and folders: a run would write where links lead."""
    for folder, folders, files in os.walk(run_dir):
        for name in (*folders, *files):
            path = Path(folder, name)
            mode = path.lstat().st_mode
            if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
                kind = "a link" if stat.S_ISLNK(mode) else "no file or folder"
                raise UserError(f"{shown(path)}: is {kind}; none are followed {TRUST_STORED}")


def require_ours(
    checkpoint: Any,
    run_dir: Path,
    trust: Trust,
    *,
    file: str = "last.pt",
    needed: Collection[str] = NEEDED,
) -> None:
    """Raises UserError for a checkpoint of another kind, or one whose config is more than data."""
    place = shown(run_dir)
    if not isinstance(checkpoint, dict) or not {"format", "config", "choices"} <= checkpoint.keys():
        raise UserError(f"{place}: checkpoints/{file} is no checkpoint of a run")
    if checkpoint["format"] != FORMAT:
        raise UserError(
            f"{place}: its checkpoint has format {shown(checkpoint['format'])}, this dlrun reads "
            f"format {FORMAT} (use the dlrun that wrote it, or start a new run)"
        )
    if not checkpoint.keys() >= set(needed):  # best.pt, say, under the name of last.pt
        raise UserError(f"{place}: checkpoints/{file} has weights, but not where the run stood")
    for key in ("config", "choices"):
        if not is_plain_dict(checkpoint[key]):
            raise UserError(f"{place}: {key} in its checkpoint {NO_CONFIG}")
    if trust != "all" and (faults := stored_faults(checkpoint["config"])):
        raise UserError(f"{place}: in its checkpoint {faults[0]}")


def stored_config(run_dir: Path, trust: Trust) -> dict[str, Any] | None:
    """The run's .hydra/config.yaml as plain values, None where there is none."""
    path = run_dir / ".hydra" / "config.yaml"
    place = shown(path)
    if not path.exists():
        return None
    if path.stat().st_size > LARGEST_FILE and trust != "all":
        raise UserError(f"{place}: larger than {LARGEST_FILE:,} bytes {TRUST_STORED}")
    try:
        text = path.read_text(encoding="utf-8")
        content: Any = load_yaml(text) if is_tame(text) else None
    except (yaml.YAMLError, ValueError) as error:
        raise UserError(f"{place}: damaged, expected YAML") from error
    if not is_plain_dict(content):
        raise UserError(f"{place}: {NO_CONFIG}")
    if trust != "all" and (faults := stored_faults(content)):
        raise UserError(f"{place}: {faults[0]}")
    config: dict[str, Any] = content
    return config


def merged(
    before: Mapping[str, Any],
    stored: Mapping[str, Any] | None,
    changes: Mapping[str, Any],
    run_dir: Path,
) -> DictConfig:
    """The checkpoint's config with the changes: those of earlier resumes, and the new ones.

    Raises UserError where the stored config is not the checkpoint's, or a change has a wrong type.
    """
    old, new = dict(entries(before)), dict(entries(stored or before))
    differing = [key for key in old.keys() | new.keys() if old.get(key) != new.get(key)]
    if names := sorted(set(differing) - set(FREE)):
        raise UserError(
            f"{shown(run_dir)}: .hydra/config.yaml has another {shown(', '.join(names[:5]))} than "
            "the checkpoint was made with: it would be another experiment (undo the change)"
        )
    try:
        config = OmegaConf.merge(OmegaConf.structured(schema.Config), dict(before))
    except OmegaConfBaseException as error:
        raise UserError(
            f"{shown(run_dir)}: in its checkpoint {error.full_key or 'config'}: "
            f"{shown(str(error).splitlines()[0])}"
        ) from error
    assert isinstance(config, DictConfig)
    for key, value in {**{key: new.get(key) for key in differing}, **changes}.items():
        parent, _, name = key.rpartition(".")
        node = OmegaConf.select(config, parent) if parent else config
        try:
            if name not in node or isinstance(value, (list, dict)) or "${" in str(value):
                raise UserError(f"{key}={shown(value)}: expected {FREE[key]}")
            node[name] = value
        except OmegaConfBaseException as error:
            raise UserError(f"{key}={shown(value)}: expected {FREE[key]}") from error
    return config


def entries(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and values of nested dicts; a list is one value."""
    if isinstance(value, Mapping) and value:
        for name, item in value.items():
            yield from entries(item, f"{path}.{name}" if path else str(name))
    else:
        yield path, value
