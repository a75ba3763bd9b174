"""Whether the keys of a config fit the signature of what they will be passed to."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any

from typeguard import CollectionCheckStrategy, TypeCheckError, check_type

from dlrun.errors import nearest, shown


def argument_faults(
    group: str,
    function: Callable[..., Any],
    keys: Mapping[str, Any],
    passed: tuple[str, ...] | None,
) -> list[str]:
    """A line for every key that `function` does not take, that is of another type, or is missing.

    passed: arguments that dlrun adds itself; None when it also has defaults for what is missing.
    """
    try:
        parameters = inspect.signature(function).parameters
    except ValueError:  # written in C, says nothing of its arguments
        return []
    open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    named = [
        name
        for name, p in parameters.items()
        if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY) and name not in (passed or ())
    ]
    hints = _type_hints(function)
    faults = []
    for key, value in keys.items():
        if key not in named:
            if not open_ended:
                known = nearest(str(key), named) or f"; there are {', '.join(named) or 'none'}"
                faults.append(f"{group}.{shown(key)}: no such key{known}")
        elif key in hints and not _fits(value, hints[key]):
            example = parameters[key].default
            hint = (
                ""
                if example in (None, inspect.Parameter.empty)
                else f" (for example {group}.{key}={example})"
            )
            expected = f"{_spell(hints[key])}{hint}{_near(value, hints[key])}"
            faults.append(f"{group}.{key}={shown(value)}: expected {expected}")
        elif _beyond_64_bits(value):
            faults.append(
                f"{group}.{key}={shown(value)}: expected whole numbers between -2^63 and 2^63 "
                f"(for a larger number type it as a decimal, for example {group}.{key}=1e20)"
            )
    if passed is not None:
        for name in named:
            if parameters[name].default is inspect.Parameter.empty and name not in keys:
                faults.append(f"{group}.{name}: needs a value (for example {group}.{name}=VALUE)")
    return faults


def _type_hints(function: Callable[..., Any]) -> dict[str, Any]:
    source = function.__init__ if inspect.isclass(function) else function
    try:
        return typing.get_type_hints(source)
    except (NameError, TypeError, AttributeError):  # names that only a type checker can see
        return {}


def _fits(value: Any, hint: Any) -> bool:
    if isinstance(value, bool) and bool not in _members(hint) and hint is not Any:
        return False  # Python counts True as 1; a config does not mean that
    candidates = [value, tuple(value)] if isinstance(value, list) else [value]
    for candidate in candidates:
        try:
            check_type(candidate, hint, collection_check_strategy=CollectionCheckStrategy.ALL_ITEMS)
        except TypeCheckError:
            continue
        return True
    return False


def _beyond_64_bits(value: Any) -> bool:
    """Whether there is a whole number in it that tensors and compiled code cannot hold."""
    if isinstance(value, (list, tuple)):
        return any(_beyond_64_bits(item) for item in value)
    return isinstance(value, int) and not -(2**63) <= value < 2**63


def _members(hint: Any) -> tuple[Any, ...]:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return typing.get_args(hint)
    return (hint,)


def _literals(hint: Any) -> list[str]:
    return [
        str(value)
        for member in _members(hint)
        if typing.get_origin(member) is typing.Literal
        for value in typing.get_args(member)
    ]


def _near(value: Any, hint: Any) -> str:
    return nearest(str(value), _literals(hint)) if isinstance(value, str) else ""


def _spell(hint: Any) -> str:
    """An annotation in words.

    >>> _spell(int | None), _spell(typing.Sequence[int])
    ('a whole number or null', 'a list, each a whole number')
    """
    words = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    parts: list[str] = []
    for member in _members(hint):
        arguments = typing.get_args(member)
        if member is type(None):
            parts.append("null")
        elif literals := _literals(member):
            parts.append("one of " + ", ".join(literals))
        elif member in words:
            parts.append(words[member])
        elif arguments and typing.get_origin(member) not in (dict,):
            parts.append(f"a list, each {_spell(arguments[0])}")
        elif getattr(member, "__name__", "") != "Tensor":  # nobody types a tensor
            parts.append(getattr(member, "__name__", str(member)))
    return " or ".join(parts)
