"""The settings of a run as one may type them, with defaults and what stands beside them.

Importing the schema would take longer than all else here, because of OmegaConf: its classes are
read, not imported.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from dlrun.completion.configs import PACKAGE, choices, chosen_names, read_yaml


class Setting(NamedTuple):
    """A key that takes a value: its default, what the line says of it, what it accepts if few."""

    default: Any
    about: str = ""
    choices: tuple[Any, ...] = ()


Tree = dict[str, Any]  # of Setting or of further trees


def settings(folders: Sequence[Path], words: Sequence[str], group: str) -> Tree:
    """The settings below a group: those of the schema, and those in the files of its choices."""
    below = schema_tree()["Config"].get(group, {})
    tree: Tree = dict(below) if isinstance(below, dict) else {}
    files = choices(folders, group)
    for name in chosen_names(folders, words).get(group, []):
        if name in files:
            for key, setting in file_settings(files[name], group).items():
                tree.setdefault(key, setting)
    return tree


def file_settings(file: Path, group: str) -> Tree:
    """The settings that the file of a choice holds."""
    content = read_yaml(file)
    if isinstance(content.get(group), dict):  # a file of the package _global_
        content = content[group]
    return tree_of(content, comments(file.read_text("utf-8", "replace")))


def tree_of(content: dict[Any, Any], said: dict[str, str], depth: int = 3) -> Tree:
    """The settings in a mapping, and in those within it: not all, as YAML has endless ones."""
    tree: Tree = {}
    for key, value in content.items():
        if not isinstance(key, str) or key.startswith("_") or not re.fullmatch(r"[\w-]+", key):
            continue
        about = said.get(key, "")
        if isinstance(value, dict) and value and depth:
            tree[key] = tree_of(value, {}, depth - 1)
        else:
            tree[key] = Setting(value, about, listed(about))
    return tree


def comments(text: str) -> dict[str, str]:
    """What stands behind the keys at the left of a YAML file, or in the comment right above.

    >>> comments("# Net.\\nlr: 0.1 # learning rate\\n# a, b, c\\ninit: a")
    {'lr': 'learning rate', 'init': 'a, b, c'}
    """
    said, above = {}, ""
    for line in text.splitlines():
        if key := re.match(r"([\w-]+):", line):
            behind = re.search(r"\s#\s+(.*)", line)
            said[key[1]] = behind[1] if behind else above
        above = line[1:].strip() if line.startswith("# ") and said else ""
    return said


def listed(about: str) -> tuple[str, ...]:
    """The values that a comment lists, if it does nothing else.

    >>> listed("sigmoid, tanh, relu"), listed("units, of each layer")
    (('sigmoid', 'tanh', 'relu'), ())
    """
    names = about.split(", ")
    return tuple(names) if len(names) > 2 and all(map(str.isidentifier, names)) else ()


@cache
def schema_tree(module: str = "schema") -> dict[str, Tree]:
    """The settings in the dataclasses of a module by class; a class named by a field is a tree."""
    text = (PACKAGE / f"{module}.py").read_text("utf-8")
    lines = text.splitlines()
    trees: dict[str, Tree] = {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.ClassDef):
            trees[node.name] = {
                name: trees.get(ast.unparse(field.annotation), setting)
                for name, field, setting in fields(node, lines)
            }
    return trees


def fields(node: ast.ClassDef, lines: Sequence[str]) -> Iterator[tuple[str, ast.AnnAssign, Any]]:
    """Name, node and setting of each field; a tree for the one that a dictionary is made for."""
    for field in node.body:
        if not isinstance(field, ast.AnnAssign) or not isinstance(field.target, ast.Name):
            continue
        about = lines[(field.end_lineno or 1) - 1].partition("# ")[2]
        given: dict[str | None, Any] = {}
        default: Any = None
        if isinstance(field.value, ast.Call):
            given = {k.arg: k.value for k in field.value.keywords}
            factory = given.get("default_factory")
            if isinstance(factory, ast.Lambda):
                made = ast.literal_eval(factory.body)
                yield field.target.id, field, {key: Setting(value) for key, value in made.items()}
                continue
            default = [] if factory is not None else constant(field.value.args)
        elif field.value is not None:
            default = constant([field.value])
        accepted = constant([given[key]]) if (key := "choices") in given else ()
        if ast.unparse(field.annotation) == "bool":
            accepted = (True, False)
        elif not accepted and "example" in given:
            accepted = (constant([given["example"]]),)
        yield field.target.id, field, Setting(default, about, tuple(accepted))


def constant(nodes: Sequence[ast.expr]) -> Any:
    """The value of the first node where it is written out, else None."""
    try:
        return ast.literal_eval(nodes[0])
    except (IndexError, ValueError):
        return None
