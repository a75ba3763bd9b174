"""Groups and their choices, from the folders of configs alone: Hydra would take a second."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

import dlrun
from dlrun.yaml_files import load_yaml

PACKAGE = Path(dlrun.__file__).parent
FOLDER_FLAGS = ("--config-dir", "-cd", "--config-path", "-cp")


def conf_folders(words: Sequence[str]) -> list[Path]:
    """dlrun's configs, those in ./conf, and those that flags on the line name."""
    inside = PACKAGE / "conf"
    folders = [inside if inside.is_dir() else PACKAGE.parent / "conf", Path("conf")]
    for flag, value in zip(words, [*words, ""][1:], strict=True):
        name, _, joined = flag.partition("=")
        if name in FOLDER_FLAGS:
            folders.append(Path(joined or value))
    return folders


def default_choices(folders: Sequence[Path]) -> dict[str, list[str]]:
    """What is chosen of each group where the line says nothing, in the order of config.yaml."""
    chosen: dict[str, list[str]] = {}
    for group, names in defaults_in(folders[0] / "config.yaml"):
        if not group.startswith("override "):
            chosen[group.removeprefix("optional ")] = names
    return chosen


def defaults_in(file: Path) -> Iterator[tuple[str, list[str]]]:
    """Each group in the defaults list of a file, as it stands there, and what is chosen of it."""
    listed = read_yaml(file).get("defaults")
    for entry in listed if isinstance(listed, list) else ():
        for group, chosen in entry.items() if isinstance(entry, dict) else ():
            names = chosen if isinstance(chosen, list) else [chosen]
            yield str(group), [name for name in names if isinstance(name, str)]


def groups(folders: Sequence[Path]) -> list[str]:
    """The names of all groups: those of dlrun in their order, then the user's own."""
    names = dict.fromkeys(default_choices(folders))
    for folder in folders:
        below = (Path(entry.path) for entry in entries(folder) if entry.is_dir())
        names |= dict.fromkeys(path.name for path in below if path.name != "hydra")
    return list(names)


def choices(folders: Sequence[Path], group: str) -> dict[str, Path]:
    """The files of a group by what one types to choose them, those of folders in it too."""
    found: dict[str, Path] = {}
    if not re.fullmatch(r"[\w-]+(/[\w-]+)*", group):
        return {}
    for folder in folders:
        for entry in entries(folder / group):
            if entry.is_dir(follow_symlinks=False):  # links may go round in circles
                below = choices([folder], f"{group}/{entry.name}")
                found |= {f"{entry.name}/{name}": file for name, file in below.items()}
            elif entry.name.endswith(".yaml") and entry.is_file():
                found.setdefault(entry.name.removesuffix(".yaml"), Path(entry.path))
    return found


def entries(folder: Path) -> list[os.DirEntry[str]]:
    """What lies in a folder, by name; nothing where there is none that one may read."""
    try:
        return sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return []


def chosen_names(folders: Sequence[Path], words: Sequence[str]) -> dict[str, list[str]]:
    """What the words choose of each group, experiments and sweeps among them included."""
    chosen = default_choices(folders)
    typed = {}
    for word in words:
        group, _, value = word.lstrip("+").partition("=")
        typed[group] = [name for name in re.split(r"[\[\],]", value) if name]
    for group in ("experiment", "sweep"):
        files = choices(folders, group)
        for name in typed.get(group, []):
            for other, names in defaults_in(files[name]) if name in files else ():
                chosen[other.removeprefix("override ").lstrip("/")] = names
    return chosen | {group: names for group, names in typed.items() if group in chosen}


def headline(file: Path) -> str:
    """The first words of the comment at the top of a choice's file: what it is, or asks."""
    try:
        with file.open(encoding="utf-8", errors="replace") as lines:
            head = [next(lines, "") for _ in range(3)]
    except OSError:
        return ""
    said = [line[1:].strip() for line in head if line.startswith("# ")]
    told = [line for line in said if not line.startswith(("@package", "Lesson:"))]
    return told[0].removeprefix("Question: ").rstrip(":") if told else ""


def read_yaml(file: Path) -> dict[Any, Any]:
    """The mapping in a file; an empty one where there is none: training will say what is wrong."""
    try:
        content = load_yaml(file.read_bytes())
    except (OSError, yaml.YAMLError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
