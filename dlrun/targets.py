"""Which `_target_`s a config may name: what is refused is neither imported nor called.

Hydra calls whatever a `_target_` names, and finds it by importing its first part and walking down
attributes: `dlrun.cli.os.system` begins well and ends elsewhere. So a name must begin in an allowed
package, must not leave it on the way, and what it leads to must be defined in one.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import sys
import sysconfig
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from hydra._internal.utils import _locate

from dlrun.errors import UserError, shown

# own: composed by the user; data: came with a run directory or a checkpoint; all: --trust.
Trust = Literal["own", "data", "all"]

BUILT_IN = (
    *("dlrun", "torch.nn", "torch.optim"),
    *("torchvision.models", "torchvision.datasets", "torchvision.transforms"),
    *("pytorch_optimizer", "sklearn"),
)
# What a stored config may name: in words, and the packages that hold it.
STORED: dict[str, tuple[str, tuple[str, ...]]] = {
    "model": (
        "models of dlrun, torch.nn, torchvision.models",
        ("dlrun.models", "torch.nn", "torchvision.models"),
    ),
    "optimizer": (
        "optimizers of dlrun, torch.optim, pytorch_optimizer",
        ("dlrun.optimizers", "torch.optim", "pytorch_optimizer"),
    ),
    "dataset": ("data sets of dlrun", ("dlrun.datasets",)),
}
STORED_NESTED = ("layers of torch.nn", ("torch.nn",))
STORED_META_KEYS = ("_target_", "_partial_", "_convert_")
# Where torch keeps the compiled functions that torch.nn.functional offers as its own.
COMPILED = ("torch", "torch._C._nn")

TRUST_STORED = "(if you trust where it comes from, type --trust)"


def stored_faults(config: Mapping[Any, Any]) -> list[str]:
    """A line for whatever in a stored config, not yet resolved, goes beyond plain values.

    A `_target_` in a model is not the only way to have code run: interpolations call resolvers,
    and other keys that begin with `_` change what Hydra calls, and how.
    """
    faults = []
    for top, node in config.items():
        for key, name, value in ((str(top), top, node), *_entries(node, str(top))):
            if isinstance(value, str) and "${" in value:
                faults.append(
                    f"{shown(key)}={shown(value)}: a stored config holds values, "
                    f"not interpolations {TRUST_STORED}"
                )
            special = isinstance(name, str) and name.startswith("_")
            if special and not (top in STORED and name in STORED_META_KEYS):
                faults.append(f"{shown(key)}: a stored config may not have this key {TRUST_STORED}")
    return faults


def find_target(group: str, node: Mapping[Any, Any], trust: Trust) -> Callable[..., Any]:
    """What the `_target_` of a group's node leads to.

    Raises UserError with a line for each `_target_` in the node, nested ones too, that may not be
    called or cannot be found. Nothing is imported while a name among them is refused.
    """
    own = f"{group}._target_"
    if node.get("_target_") is None:
        raise UserError(f"{own}: needs a dotted Python name (for example mypackage.Net)")
    entries = list(_entries(node, group))
    targets = [(key, value) for key, name, value in entries if name == "_target_"]
    targets.sort(key=lambda target: target[0] != own)  # its own first
    faults = [fault for key, target in targets for fault in _name_faults(group, key, target, trust)]
    if trust != "all":
        # Hydra would resolve them once more, and could make a _target_ of what comes out.
        faults += [
            f"{shown(key)}={shown(value)}: expected text without ${{"
            for key, _, value in entries
            if isinstance(value, str) and "${" in value
        ]
    if faults:
        raise UserError("\n".join(faults))
    found = []
    for key, target in targets:
        try:
            found.append(_find(group, key, target, trust))
        except UserError as error:
            faults.append(str(error))
    if faults:
        raise UserError("\n".join(faults))
    return found[0]


def _entries(value: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    """Dotted key, last part of the key, and value of everything in nested dicts and lists."""
    items: list[tuple[Any, Any]] = []
    if isinstance(value, Mapping):
        items = list(value.items())
    elif isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        items = list(enumerate(value))
    for name, item in items:
        key = f"{path}.{name}"
        yield key, name, item
        yield from _entries(item, key)


def _name_faults(group: str, key: str, target: object, trust: Trust) -> list[str]:
    """Why a target's name alone forbids it: a line, or none; imports nothing."""
    start = f"{shown(key)}={shown(target)}"
    if not isinstance(target, str) or not all(part.isidentifier() for part in target.split(".")):
        return [f"{start}: expected a dotted Python name (for example mypackage.Net)"]
    if trust == "all" or _is_within(target, _prefixes(group, key, trust)):
        return []
    if trust == "own":
        top = target.split(".")[0]
        files = _files(top)
        if files is None:
            return [f"{start}: cannot be imported: No module named '{top}'"]
        if files and all(_is_own(file) for file in files):
            return []
    return [f"{start}: {_accepted(group, key, trust)}"]


def _find(group: str, key: str, target: str, trust: Trust) -> Callable[..., Any]:
    """What a target with an acceptable name leads to; raises UserError where that may not be."""
    start = f"{shown(key)}={shown(target)}"
    prefixes = _prefixes(group, key, trust)
    bound = trust != "all" and _is_within(target, prefixes)  # else the user's own module
    try:
        elsewhere = _leads_to(target, prefixes) if bound else None
        found = _locate(target) if elsewhere is None else None
    except (Exception, SystemExit) as error:  # an import runs foreign code: all it raises is why
        cause = error.__cause__ or error  # _locate wraps it in advice
        reason = (str(cause).strip() or type(cause).__name__).splitlines()[0]
        raise UserError(f"{start}: cannot be imported: {shown(reason)}") from error
    if elsewhere is not None:
        raise UserError(f"{start}: leads to {shown(elsewhere)}; {_accepted(group, key, trust)}")
    if not callable(found):
        raise UserError(f"{start}: is a {type(found).__name__}, not callable")
    if trust == "data" and not _is_plain(found, nested=key != f"{group}._target_"):
        raise UserError(f"{start}: {_accepted(group, key, trust)}")
    function: Callable[..., Any] = found
    return function


def _leads_to(target: str, prefixes: tuple[str, ...]) -> str | None:
    """The place outside of `prefixes` to which a name that begins inside leads, if it does."""
    parts = target.split(".")
    shortest = min(prefix.count(".") + 1 for prefix in prefixes if _is_within(target, (prefix,)))
    for end in range(shortest, len(parts) + 1):  # no attribute of what lies outside is looked up
        found = _locate(".".join(parts[:end]))
        if end == len(parts) and not callable(found):
            return None
        home = _home(found)
        compiled = isinstance(found, types.BuiltinFunctionType) and home in COMPILED
        if not _is_within(home, prefixes) and not compiled:
            return home or f"a {type(found).__name__}"
    return None


def _home(found: Any) -> str:
    """The module that something is defined in (an instance: its class), empty where unknown."""
    while isinstance(found, functools.partial):
        found = found.func
    name = "__name__" if isinstance(found, types.ModuleType) else "__module__"
    home = getattr(found, name, None)
    return home if isinstance(home, str) else ""


def _is_plain(function: Callable[..., Any], nested: bool) -> bool:
    """Whether it is a class or a function, as packaged choices are; a nested one, a layer.

    dlrun calls what the node itself names, with what a model, optimizer or data set takes; nested
    targets are called by Hydra at once, with whatever the config says.
    """
    if nested:
        from torch import nn

        return isinstance(function, type) and issubclass(function, nn.Module)
    return isinstance(function, (type, types.FunctionType))


def _prefixes(group: str, key: str, trust: Trust) -> tuple[str, ...]:
    return _stored(group, key)[1] if trust == "data" else BUILT_IN


def _accepted(group: str, key: str, trust: Trust) -> str:
    if trust == "data":
        return f"a stored config may only name {_stored(group, key)[0]} {TRUST_STORED}"
    return (
        f"dlrun calls what lies in {', '.join(BUILT_IN)}, and in modules of the directory you run "
        "from (or, if you trust it, type --trust)"
    )


def _stored(group: str, key: str) -> tuple[str, tuple[str, ...]]:
    return STORED[group] if key == f"{group}._target_" else STORED_NESTED


def _is_within(name: str, prefixes: tuple[str, ...]) -> bool:
    """Whether a dotted name is one of the prefixes or lies below one.

    >>> _is_within("torch.nn.Linear", ("torch.nn",)), _is_within("torch.nnx", ("torch.nn",))
    (True, False)
    """
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)


def _files(top: str) -> list[str] | None:
    """Where a top-level module lies, without importing it; None if there is no such module.

    A folder without __init__.py may lie in several places; what is compiled into Python, in none.
    """
    try:
        spec = importlib.util.find_spec(top)
    except ValueError:  # loaded without a spec: __main__ of a script, or of a notebook (no file)
        file = getattr(sys.modules[top], "__file__", None)
        return [file or os.getcwd()] if file or top == "__main__" else []
    if spec is None:
        return None
    if spec.has_location and spec.origin is not None:
        return [spec.origin]
    return list(spec.submodule_search_locations or [])


def _is_own(file: str) -> bool:
    """Whether a file lies below the current directory and is not of an installed package."""
    path = Path(os.path.abspath(file))
    installed = [
        sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")
    ]
    return (
        path.is_relative_to(Path.cwd())
        and not any(path.is_relative_to(folder) for folder in installed)
        and not {"site-packages", "dist-packages"} & set(path.parts)
    )
