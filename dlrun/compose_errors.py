"""What Hydra, OmegaConf and YAML say about a faulty config, in one line that names the cure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import yaml
from hydra.core.config_loader import ConfigLoader
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, MissingConfigException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from dlrun.errors import nearest

CONFIG_ERRORS = (HydraException, OmegaConfBaseException, yaml.YAMLError, UnicodeDecodeError)

USER_PROVIDER = "dlrun-user"  # what Hydra calls the config folders that are not dlrun's own

TYPE_NAMES = {
    "Integer": "a whole number",
    "Float": "a number",
    "Bool": "true or false",
    "Boolean": "true or false",
    "Union[int, str]": "a whole number or full",  # batch_size
}


def explain(error: Exception, overrides: Sequence[str], loader: ConfigLoader) -> str:
    """One to three lines: key, value, what is accepted, what to type instead."""
    causes = list(_chain(error))
    for cause in causes:
        if isinstance(cause, yaml.YAMLError):
            return _yaml(cause)
        if isinstance(cause, UnicodeDecodeError):
            return f"{_binary_config(loader)}: not text in UTF-8 (is this really a YAML file?)"
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        return _missing_choice(error, loader)
    text = "\n".join(str(cause) for cause in causes)
    if found := re.search(r"Value '(.*?)' of type '.*?' could not be converted to (\w+)", text):
        return _wrong_type(found[1], found[2], text)
    if found := re.search(r"incompatible with type hint '(.*?)'(?s:.*)full_key: (\S+)", text):
        kind = TYPE_NAMES.get(found[1], found[1])
        return f"{_as_typed(found[2], overrides)}: expected {kind}"
    if found := re.search(r"Key '(.*?)' (?:is )?not in (?:struct|'\w+')", text):
        return _unknown_key(text, found[1], overrides, loader)
    if found := re.search(r"(?:full_key|key): (\S+)", text):
        return f"{found[1]}: {_first_line(causes[-1])}"
    if found := re.search(r"Could not override '(.*?)'\.\s*No match in the defaults list", text):
        return f"{found[1]}: no such group{nearest(found[1], _groups(loader))}"
    for word in overrides:
        if not _parses(word):
            return f"{word}: expected key=value (for example optim=adam or model.hidden=[64,64])"
    if "Ambiguous value for argument" in text or "sweep" in text.lower():
        found = re.search(r"'(\S+?=.*?)'", text)
        word = found[1] if found else "a list of values"
        return f"{word}: several values are a sweep, which needs -m (for example dlrun -m {word})"
    return _first_line(error)


def _chain(error: BaseException | None) -> list[BaseException]:
    chain: list[BaseException] = []
    while error is not None and error not in chain:
        chain.append(error)
        error = error.__cause__ or error.__context__
    return chain


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), repr(error))


def _yaml(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or _first_line(error)
    place = f"{mark.name}, line {mark.line + 1}" if mark is not None else "config file"
    return f"{place}: not valid YAML: {problem}"


def _missing_choice(error: MissingConfigException, loader: ConfigLoader) -> str:
    group, _, choice = (error.missing_cfg_file or "").rpartition("/")
    if not group:
        return f"--config-name={choice}: no such config"
    choices = [name for name in error.options or [] if not name.startswith("_")]
    if not choices and group in _groups(loader):
        choices = loader.get_group_options(group, ObjectType.CONFIG)
    hint = nearest(choice, choices)
    return f"{group}={choice}: expected one of {', '.join(sorted(choices))}{hint}"


def _wrong_type(value: str, wanted: str, text: str) -> str:
    found = re.search(r"full_key: (\S+)", text)
    key = found[1] if found else "value"
    kind = TYPE_NAMES.get(wanted, wanted.lower())
    return f"{key}={value}: expected {kind}"


def _unknown_key(text: str, key: str, overrides: Sequence[str], loader: ConfigLoader) -> str:
    found = re.search(r"Could not override '(.*?)'", text) or re.search(r"full_key: (\S+)", text)
    full = found[1] if found else key
    parent, _, last = full.rpartition(".")
    known = _known_keys(overrides, loader)
    siblings = [name.rpartition(".")[2] for name in known if name.rpartition(".")[0] == parent]
    if hint := nearest(last, siblings):
        return f"{full}: no such key{hint}"
    if elsewhere := [name for name in known if name.rpartition(".")[2] == last]:
        return f"{full}: no such key; did you mean {' or '.join(elsewhere)}?"
    if siblings:
        return f"{full}: no such key; there are {', '.join(siblings)}"
    return f"{full}: no such key{nearest(full, known)}"


def _known_keys(overrides: Sequence[str], loader: ConfigLoader) -> list[str]:
    """Every key, as in `optimizer.lr`, of the config with the choices of groups that were typed."""
    groups = set(_groups(loader))
    choices = [word for word in overrides if word.split("=")[0] in groups]
    try:
        config = loader.load_configuration("config", choices, RunMode.RUN)
    except CONFIG_ERRORS:  # the choices are at fault as well
        return []
    names: list[str] = []
    for parent, node in config.items():
        if parent == "hydra" or not isinstance(parent, str):
            continue
        names.append(parent)
        if isinstance(node, DictConfig):
            below = [name for name in node if isinstance(name, str) and name[0] != "_"]
            names += [f"{parent}.{name}" for name in below]
    return names


def _as_typed(key: str, overrides: Sequence[str]) -> str:
    """`key=value` as it stands on the command line, or the key alone."""
    typed = [word for word in overrides if word.lstrip("+").startswith(f"{key}=")]
    return typed[-1] if typed else key


def _parses(word: str) -> bool:
    try:
        OverridesParser.create().parse_override(word)
    except HydraException:
        return False
    return True


def _binary_config(loader: ConfigLoader) -> str:
    """The first config file of the user's that is not text; Hydra does not say which it was."""
    for source in loader.get_sources():
        if source.provider != USER_PROVIDER:
            continue
        for file in sorted(Path(source.path).rglob("*.yaml")):
            try:
                file.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                return str(file)
    return "a config file"


def _groups(loader: ConfigLoader) -> list[str]:
    return [group for group in loader.list_groups("") if group != "hydra"]
