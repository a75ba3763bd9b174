"""key=value as one types it: groups, settings and values, in lists and behind `+` and `~` too."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from dlrun.completion.configs import choices, conf_folders, default_choices, groups, headline
from dlrun.completion.line import Candidate
from dlrun.completion.settings import Setting, Tree, schema_tree, settings
from dlrun.overrides import SWEEPER_WORDS, spell_out, to_override

FILES = ("path", "data_dir", "init_from", "dir")  # keys whose values are names of files
METRICS = ("monitor", "target_metric", "metric")


def override_candidates(words: Sequence[str], word: str) -> list[Candidate]:
    """What an override that begins so may be; the other words choose what settings there are."""
    split = re.fullmatch(r"(\+\+|\+|~|)([^=]*)(=?)(.*)", word, re.DOTALL)
    assert split is not None
    sign, key, is_given, value = split.groups()
    folders = conf_folders(words)
    spelled = [spell_out(other) for other in words]
    if is_given:
        found = value_candidates(folders, spelled, spell_out(key), value)
        return [Candidate(c.kind, f"{sign}{key}={c.text}", c.about) for c in found]
    keys = list(key_candidates(folders, spelled, key))
    if sign == "~":  # takes a key out: no value
        keys = [c._replace(kind="word", text=c.text[:-1]) if c.text[-1] == "=" else c for c in keys]
    return [c._replace(text=sign + c.text) for c in keys]


def key_candidates(folders: Sequence[Path], words: Sequence[str], key: str) -> Iterator[Candidate]:
    """The keys that begin so, up to the next dot: `optim=`, `optim.`, `optim.lr=`."""
    above, dot, _ = key.rpartition(".")
    if dot:
        tree = node_at(folders, words, spell_out(above))
        for name, node in tree.items() if isinstance(tree, dict) else ():
            if f"{above}.{name}".startswith(key):
                yield _key(f"{above}.{name}", node)
        return
    usual = default_choices(folders)
    for group in groups(folders):
        # The short word where it will do; `optimi` is the long one.
        name = "optim" if group == "optimizer" and "optim".startswith(key) else group
        if name.startswith(key):
            said = ",".join(map(str, usual.get(group, [])))
            yield Candidate("stem", f"{name}=", f"the default is {said}" if said else "")
            if key and settings(folders, words, group):
                yield Candidate("stem", f"{name}.", "its settings")
    for name, node in top_level(folders).items():
        if name.startswith(key):
            yield _key(name, node)
    if key and "hydra".startswith(key[:5]):
        for text in ("hydra/launcher=", "hydra."):
            if text.startswith(key):
                yield Candidate("stem", text, "where jobs run" if "=" in text else "of Hydra")


def _key(name: str, node: Setting | Tree) -> Candidate:
    if isinstance(node, Setting):
        return Candidate("stem", f"{name}=", node.about)
    return Candidate("stem", f"{name}.")


def top_level(folders: Sequence[Path]) -> Tree:
    """The settings in no group, and those of sweeps that may be typed as if they stood there."""
    schema = schema_tree()
    names = groups(folders)
    own = {key: node for key, node in schema["Config"].items() if key not in names}
    return own | {key: schema["Sweeper"][key] for key in SWEEPER_WORDS}


def node_at(folders: Sequence[Path], words: Sequence[str], key: str) -> Setting | Tree | None:
    """The setting at a dotted key, or all below it; None where there is nothing."""
    first, *parts = key.split(".")
    node: Any
    if first == "hydra":
        node = hydra_tree(words)
    elif first in groups(folders):
        node = settings(folders, words, first)
    else:
        node = top_level(folders).get(first)
    for part in parts:
        node = node.get(part) if isinstance(node, dict) else None
    return node  # type: ignore[no-any-return]


def hydra_tree(words: Sequence[str]) -> Tree:
    """Those of Hydra's own settings that people type: where runs land, and what a sweep does."""
    from dlrun.launcher_settings import LAUNCHERS

    chosen = [word.partition("=")[2] for word in words if word.startswith("hydra/launcher=")]
    classes = [LAUNCHERS[name].__name__ for name in chosen or ["local"] if name in LAUNCHERS]
    launcher: Tree = {}
    for name in classes:
        launcher |= schema_tree("launcher_settings")[name]
    return {
        "sweeper": schema_tree()["Sweeper"],
        "launcher": {key: node for key, node in launcher.items() if key[0] != "_"},
        "run": {"dir": Setting(None, "where a run lands")},
        "sweep": {"dir": Setting(None, "where a sweep lands")},
        "mode": Setting(None, "", ("RUN", "MULTIRUN")),
    }


def value_candidates(
    folders: Sequence[Path], words: Sequence[str], key: str, value: str
) -> Iterator[Candidate]:
    """The values that begin so; in `a,b` and `[a,b` the last one, and none that stands there."""
    done, tail = split_list(value)
    kind = "stem" if done else "word"
    if key == "hydra/launcher":
        from dlrun.launcher_settings import LAUNCHERS

        options = dict.fromkeys(LAUNCHERS, "")
    elif key in groups(folders):
        files = choices(folders, key)
        options = {name: headline(files[name]) for name in files if name.startswith(tail)}
    else:
        name = key.rpartition(".")[2]
        if name in FILES:
            yield Candidate("files", "")
            return
        node = node_at(folders, words, key)
        if not isinstance(node, Setting):
            return
        options = value_texts(node, is_first=not done)
        if name in METRICS:
            from dlrun.completion.names import metric_candidates

            options |= {c.text: c.about for c in metric_candidates(tail)}
    standing = re.split(r"[\[,]", done)
    for text, about in options.items():
        if text.startswith(tail) and text not in standing:
            yield Candidate(kind, done + text, about)


def split_list(value: str) -> tuple[str, str]:
    """A value before and behind the last comma or the bracket that it begins with.

    >>> split_list("sgd"), split_list("sgd,ad"), split_list("[dropout,l"), split_list("[l")
    (('', 'sgd'), ('sgd,', 'ad'), ('[dropout,', 'l'), ('[', 'l'))
    """
    end = value.rfind(",") + 1 or int(value.startswith("["))
    return value[:end], value[end:]


def value_texts(setting: Setting, *, is_first: bool) -> dict[str, str]:
    """What a setting accepts, as one types it, else its default; with a word on what it is."""
    texts = {}
    if is_plain(setting.default) and (is_first or setting.default in setting.choices):
        texts[to_override(setting.default)] = "the default"
    for choice in setting.choices:
        texts.setdefault(to_override(choice), "")
    return texts


def is_plain(value: Any) -> bool:
    """Whether one may type it: no mapping, reference or gap, and no list of more than such values.

    >>> is_plain([0.9, 0.999]), is_plain("${dropout}"), is_plain([[1]])
    (True, False, False)
    """
    if isinstance(value, list):
        return not any(isinstance(item, (list, dict)) or not is_plain(item) for item in value)
    return not isinstance(value, dict) and "${" not in str(value) and value != "???"
