"""What stands in a run directory is data that anybody may have written: read, and not obeyed."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import yaml

from dlrun.errors import UserError, shown
from dlrun.state import FORMAT
from dlrun.targets import TRUST_STORED, Trust, stored_faults
from dlrun.terminal import typed_path
from dlrun.yaml_files import LOADER, load_yaml

# What a checkpoint has that a run can go on from; best.pt has only weights.
NEEDED = {"optimizer", "epoch", "step", "position", "pass", "stopped_by", "generators", "files"}

# What a config may be at most that came from somebody else, so that reading it ends.
LARGEST_FILE = 64 * 1024  # bytes; the configs of dlrun's own choices have 2,000
DEEPEST = 50
PLAIN = (str, int, float, type(None))
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


def require_ours(checkpoint: Any, run_dir: Path, trust: Trust) -> None:
    """Raises UserError for a checkpoint of another kind, or one whose config is more than data."""
    place = shown(run_dir)
    if not isinstance(checkpoint, dict) or not {"format", "config", "choices"} <= checkpoint.keys():
        raise UserError(f"{place}: checkpoints/last.pt is no checkpoint of a run")
    if checkpoint["format"] != FORMAT:
        raise UserError(
            f"{place}: its checkpoint has format {shown(checkpoint['format'])}, this dlrun reads "
            f"format {FORMAT} (go on with the dlrun that wrote it, or start a new run)"
        )
    if not checkpoint.keys() >= NEEDED:  # best.pt, say, under the name of last.pt
        raise UserError(f"{place}: checkpoints/last.pt has weights, but not where the run stood")
    for key in ("config", "choices"):
        if not is_plain_dict(checkpoint[key]):
            raise UserError(f"{place}: {key} in its checkpoint {NO_CONFIG}")
    if trust != "all" and (faults := stored_faults(checkpoint["config"])):
        raise UserError(f"{place}: in its checkpoint {faults[0]}")


def is_plain_dict(config: Any) -> bool:
    """Whether it is a dict of what a config file can hold, and not nested deeper than one is."""

    def is_plain(value: Any, depth: int) -> bool:
        if isinstance(value, dict):
            items = [*value, *value.values()]
        elif isinstance(value, list):
            items = value
        else:
            return isinstance(value, PLAIN)
        return depth < DEEPEST and all(is_plain(item, depth + 1) for item in items)

    return isinstance(config, dict) and is_plain(config, 0)


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


def is_tame(text: str) -> bool:
    """Whether YAML is free of what makes reading a short text long, or more than reading.

    That is deep nesting; aliases, since a few lines of aliases to aliases stand for more than any
    memory holds; and tags, which ask for other types. dlrun writes none of them.
    """
    depth = 0
    for event in yaml.parse(text, Loader=LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        tagged = getattr(event, "tag", None) is not None
        if depth > DEEPEST or tagged or isinstance(event, yaml.AliasEvent):
            return False
    return True
