"""What Hydra, OmegaConf and YAML say about a faulty config, in one line that names the cure."""

from __future__ import annotations

import errno
import os
import re
import traceback
from collections.abc import Sequence
from pathlib import Path

import yaml
from hydra.core.config_loader import ConfigLoader
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, MissingConfigException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import (
    GrammarParseError,
    InterpolationResolutionError,
    OmegaConfBaseException,
)

from dlrun.errors import nearest, shown

READERS = ("hydra", "omegaconf")  # of configs
# What names alone can bring about; a full disk, say, is no fault of the config.
NAMING = (
    *(errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST),
    *(errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL),
)

USER_PROVIDER = "dlrun-user"  # what Hydra calls the config folders that are not dlrun's own

TYPE_NAMES = {
    "Integer": "a whole number",
    "Float": "a number",
    "Bool": "true or false",
    "bool": "true or false",
    "Boolean": "true or false",
    "Union[int, str]": "a whole number or full",  # batch_size
}


def concerns_config(error: Exception) -> bool:
    """Whether Hydra met the error with what it was given to read, rather than a run on its way.

    Hydra raises whatever its own lines run into, a TypeError for example where a choice is no
    text: so what counts is whether the error comes out of Hydra or OmegaConf, and not out of
    something of dlrun's that they in turn called, nor out of a run, in which Hydra calls models.
    """
    if isinstance(error, (HydraException, OmegaConfBaseException)):
        return True
    if isinstance(error, MemoryError):
        return False
    if isinstance(error, OSError) and error.errno is not None and error.errno not in NAMING:
        return False
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    modules = [str(frame.f_globals.get("__name__")) for frame in frames]
    if "dlrun.train" in modules:
        return False
    packages = [module.partition(".")[0] for module in modules]
    innermost = next((name for name in packages[::-1] if name in ("dlrun", *READERS)), None)
    return innermost in READERS


def explain(error: Exception, overrides: Sequence[str], loader: ConfigLoader) -> str:
    """One to three lines: key, value, what is accepted, what to type instead."""
    causes = list(_chain(error))
    for cause in causes:
        if isinstance(cause, yaml.YAMLError):
            return _yaml(cause)
        if isinstance(cause, UnicodeDecodeError):
            place = _at_fault(overrides, loader) or "a config file"
            return f"{shown(place)}: not text in UTF-8 (is this really a YAML file?)"
        if isinstance(cause, RecursionError):
            place = _at_fault(overrides, loader) or "config"
            return f"{shown(place)}: nested too deeply, or in itself; expected a few levels"
        if isinstance(cause, InterpolationResolutionError) and cause.full_key:
            reason = re.sub(r"^\w+ raised while resolving interpolation: ", "", _first_line(cause))
            return f"{_as_typed(cause.full_key, overrides)}: {reason}"
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        return _missing_choice(error, loader)
    text = "\n".join(str(cause) for cause in causes)
    if found := re.search(r"Value '((?s:.*?))' of type .* could not be converted to (\w+)", text):
        return _wrong_type(found[1], found[2], text)
    if found := re.search(r"Value '((?s:.*?))' is not a valid (\w+)", text):
        return _wrong_type(found[1], found[2], text)
    if found := re.search(r"incompatible with type hint '(.*?)'(?s:.*)full_key: (\S+)", text):
        kind = TYPE_NAMES.get(found[1], found[1])
        return f"{_as_typed(found[2], overrides)}: expected {kind}"
    if found := re.search(r"Key '(.*?)' (?:is )?not in (?:struct|'\w+')", text):
        return _unknown_key(text, found[1], overrides, loader)
    if found := re.search(r"(?:full_key|key): (\S+)", text):
        return f"{_as_typed(found[1], overrides)}: {_reason(causes)}"
    if found := re.search(r"Could not override '(.*?)'\.\s*No match in the defaults list", text):
        return f"{shown(found[1])}: no such group{nearest(found[1], _groups(loader))}"
    if found := re.search(r"Could not override '(.*?)'\.\s*Did you mean to override (\S+)\?", text):
        return f"{shown(found[1])}: no such group; did you mean {found[2]}?"
    if found := re.search(r"Multiple values for (\S+?)\. To override .* '\S+ \S+: (.*?)'", text):
        word = f"{found[1]}={shown(found[2])}"
        return f"+{word}: chosen already, + would add a second one (type {word})"
    if found := re.search(r"already at '.*'\.\s*Either remove \+ prefix: '((?s:.*?))'\nOr ", text):
        return f"+{shown(found[1])}: there already, + would add it (type {shown(found[1])})"
    for word in overrides:
        if not _parses(word):
            return _no_override(word)
    if found := re.search(r"(?:Ambiguous value for argument|Sweep parameters) '((?s:.*?))'", text):
        word = shown(found[1])
        return f"{word}: several values are a sweep, which needs -m (for example dlrun -m {word})"
    if "Expecting one subcommand" in text:
        return (
            "--shell-completion: expected install=SHELL, uninstall=SHELL or query=SHELL "
            "(for example dlrun -sc install=bash)"
        )
    return _refused(error, overrides, loader)


def _chain(error: BaseException | None) -> list[BaseException]:
    chain: list[BaseException] = []
    while error is not None and error not in chain:
        chain.append(error)
        error = error.__cause__ or error.__context__
    return chain


def _first_line(error: BaseException) -> str:
    lines = (line.strip() for line in str(error).splitlines())
    return shown(next((line for line in lines if line), repr(error)))


def _yaml(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or _first_line(error)
    # A character that YAML forbids has no mark, but the file's name.
    place = f"{mark.name}, line {mark.line + 1}" if mark else getattr(error, "name", "config file")
    return f"{shown(place)}: not valid YAML: {shown(problem)}"


def _reason(causes: Sequence[BaseException]) -> str:
    """What OmegaConf says of a key, or what is known where it says nothing to a reader."""
    text = _first_line(
        next((c for c in causes if isinstance(c, OmegaConfBaseException)), causes[-1])
    )
    if text.startswith("Missing mandatory value"):
        return "needs a value"
    if any(isinstance(cause, GrammarParseError) for cause in causes):
        return "${...} that cannot be read (for example ${seed}, or ${oc.env:HOME})"
    return text


def _no_override(word: str) -> str:
    """What to say of a word that Hydra's grammar does not know."""
    key, equals, value = word.partition("=")
    if value and equals and _parses(f"{key}=1"):
        return (
            f"{shown(word)}: the value is neither a number, a word, [a list] nor {{a: dict}}; text "
            "with other characters takes quotes in quotes "
            f"(for example '{shown(key, 60)}=\"some text\"')"
        )
    return f"{shown(word)}: expected key=value (for example optim=adam or model.hidden=[64,64])"


def _refused(error: Exception, overrides: Sequence[str], loader: ConfigLoader) -> str:
    """What to say of an error that Hydra does not explain: where it comes from, and its text."""
    reason = _first_line(error)
    if not isinstance(error, HydraException):
        reason = f"not understood ({reason})"
    place = _at_fault(overrides, loader)
    if place is None:
        return reason
    group, _, choice = place.lstrip("~+").partition("=")
    if group in _groups(loader):
        choices = loader.get_group_options(group, ObjectType.CONFIG)
        if choice not in choices:
            return f"{shown(place)}: expected one of {', '.join(sorted(choices))}"
    return f"{shown(place)}: {reason}"


def _at_fault(overrides: Sequence[str], loader: ConfigLoader) -> str | None:
    """The word that makes composing fail as it does; where it chooses a user's file, that file.

    Words are left out as long as the failure stays the same.
    """
    failure = _failure(overrides, loader)
    if failure is None:  # it was not composing that failed
        return None
    needed = list(overrides)
    for word in overrides:
        fewer = [other for other in needed if other is not word]
        if _failure(fewer, loader) == failure:
            needed = fewer
    if not needed:
        return None
    name = re.sub(r"^[~+]*([^=@]*)(@[^=]*)?=(.*)$", r"\1/\3.yaml", needed[-1], flags=re.DOTALL)
    folders = [source.path for source in loader.get_sources() if source.provider == USER_PROVIDER]
    files = [Path(folder, name) for folder in folders]
    return next((str(file) for file in files if os.path.isfile(file)), needed[-1])


def _failure(overrides: Sequence[str], loader: ConfigLoader) -> str | None:
    """What composing fails with, or None where it does not."""
    try:
        loader.load_configuration("config", list(overrides), RunMode.MULTIRUN)
    except Exception as error:  # whatever it is, it is what `explain` was called for
        return f"{type(error).__name__}: {error}"
    return None


def _missing_choice(error: MissingConfigException, loader: ConfigLoader) -> str:
    group, _, choice = (error.missing_cfg_file or "").rpartition("/")
    if not group:
        return f"--config-name={shown(choice)}: no such config"
    choices = [name for name in error.options or [] if not name.startswith("_")]
    if not choices and group in _groups(loader):
        choices = loader.get_group_options(group, ObjectType.CONFIG)
    hint = nearest(choice, choices)
    return f"{group}={shown(choice)}: expected one of {', '.join(sorted(choices))}{hint}"


def _wrong_type(value: str, wanted: str, text: str) -> str:
    found = re.search(r"full_key: (\S+)", text)
    key = found[1] if found else "value"
    kind = TYPE_NAMES.get(wanted, wanted.lower())
    return f"{key}={shown(value)}: expected {kind}"


def _unknown_key(text: str, key: str, overrides: Sequence[str], loader: ConfigLoader) -> str:
    found = re.search(r"Could not override '(.*?)'", text), re.search(r"full_key: (\S+)", text)
    full = max((match[1] for match in found if match), key=len, default=key)
    # A key may have a dot in it, which a path to it does not show.
    parent, last = (full[: -len(key) - 1], key) if full.endswith(f".{key}") else ("", full)
    known = _known_keys(overrides, loader)
    siblings = [name.rpartition(".")[2] for name in known if name.rpartition(".")[0] == parent]
    typed = any(word.lstrip("~+").startswith(full) for word in overrides)
    place = None if typed else _at_fault(overrides, loader)
    fault = f"{shown(full)}: no such key" + (f" (in {shown(place)})" if place else "")
    if full in known:
        return f"{fault} any more (another word has taken it away)"
    if hint := nearest(last, siblings):
        return f"{fault}{hint}"
    if elsewhere := [name for name in known if name.rpartition(".")[2] == last]:
        return f"{fault}; did you mean {' or '.join(elsewhere)}?"
    if siblings:
        return f"{fault}; there are {', '.join(siblings)}"
    return f"{fault}{nearest(full, known)}"


def _known_keys(overrides: Sequence[str], loader: ConfigLoader) -> list[str]:
    """Every key, as in `optimizer.lr`, of the config with the choices of groups that were typed."""
    groups = set(_groups(loader))
    choices = [word for word in overrides if word.split("=")[0] in groups]
    if _failure(choices, loader) is not None:  # the choices are at fault: what there is without
        choices = []
    config = loader.load_configuration("config", choices, RunMode.MULTIRUN)
    names: list[str] = []
    for parent, node in config.items_ex(resolve=False):
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
    return shown(typed[-1] if typed else key)


def _parses(word: str) -> bool:
    try:
        OverridesParser.create().parse_override(word)
    except (HydraException, ValueError):  # ValueError: a number of more digits than Python reads
        return False
    return True


def _groups(loader: ConfigLoader) -> list[str]:
    return [group for group in loader.list_groups("") if group != "hydra"]
