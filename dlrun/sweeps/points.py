"""Which jobs a sweep consists of: combinations of overrides, in an order that one can read."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, ValueType
from hydra.errors import HydraException

from dlrun.errors import UserError, shown
from dlrun.overrides import spell_out, to_override

MOST_JOBS = 100_000  # of a sweep; more are a slip such as seed=range(1e9)

# What is swept of one job, by key, each value as one would type it.
Point = dict[str, str]


def points(
    params: Mapping[str, Any],
    cases: Sequence[Mapping[str, Any]] = (),
    zipped: Sequence[Mapping[str, Any]] = (),
    loader: ConfigLoader | None = None,
) -> list[Point]:
    """Every combination: each case crossed with `params`, and each of its own lists crossed too.

    params, cases: values in Hydra's grammar (`0.1,0.01`, `choice(a,b)`, `range(5)`, `glob(*)`),
    or lists. zipped: mappings whose lists go together, one value of each at a time. The first key
    changes slowest. A case's own value of a key takes the place of the one in `params`. loader:
    knows the choices that a glob stands for.

    >>> points({"seed": "0,1"}, [{"optimizer": "sgd"}])
    [{'optimizer': 'sgd', 'seed': '0'}, {'optimizer': 'sgd', 'seed': '1'}]
    """
    rows: list[Point] = []
    for case in cases or ({},):
        shared = {key: value for key, value in params.items() if key not in case}
        axes = [
            [{key: value} for value in spread(key, values, loader)]
            for key, values in {**case, **shared}.items()
        ]
        axes += [list(together(group, loader)) for group in zipped]
        number = len(rows) + math.prod(map(len, axes))
        if number > MOST_JOBS:
            raise UserError(f"a sweep of {number:,} jobs or more: expected at most {MOST_JOBS:,}")
        rows += [merge(parts) for parts in itertools.product(*axes)]
    return rows


def merge(parts: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """All mappings as one; a key that two of them have is an error."""
    merged: dict[str, str] = {}
    for part in parts:
        if both := merged.keys() & part.keys():
            key = min(both)
            raise UserError(f"hydra.sweeper: {key} is swept twice (leave it out of one place)")
        merged |= part
    return merged


def spread(key: str, values: Any, loader: ConfigLoader | None = None) -> list[str]:
    """The values of one key, each as one would type it.

    >>> spread("optimizer.lr", "0.1,0.01"), spread("seed", "range(3)"), spread("epochs", 5)
    (['0.1', '0.01'], ['0', '1', '2'], ['5'])
    """
    if isinstance(values, (list, tuple)):
        found = [to_override(value) for value in values]
    else:
        text = values if isinstance(values, str) else to_override(values)
        override = parsed(f"{key}={text}", loader)
        if not override.is_sweep_override():
            return [text]
        if override.value_type == ValueType.INTERVAL_SWEEP:
            raise UserError(
                f"{key}={shown(text)}: an interval is for a search (type search=tpe, or a list)"
            )
        try:
            found = list(itertools.islice(override.sweep_string_iterator(), MOST_JOBS + 1))
        except (HydraException, ValueError) as error:  # range(0,1,0)
            raise UserError(f"{key}={shown(text)}: {str(error).splitlines()[0]}") from error
        if override.value_type == ValueType.RANGE_SWEEP:
            found = [_without_noise(value) for value in found]
            stop = override._value.stop  # type: ignore[union-attr]
            found = [value for value in found if stop is None or float(value) != stop]
    if not found:
        raise UserError(f"{key}={shown(values)}: no values to sweep over")
    return found


def _without_noise(number: str) -> str:
    """The number without what adding up floats leaves behind.

    >>> _without_noise("0.7000000000000001"), _without_noise("7")
    ('0.7', '7')
    """
    return number if number.lstrip("-").isdigit() else repr(float(f"{float(number):.12g}"))


def together(
    group: Mapping[str, Any], loader: ConfigLoader | None = None
) -> Iterator[dict[str, str]]:
    """One mapping for each position in the lists of `group`, which are equally long."""
    lists = {key: spread(key, values, loader) for key, values in group.items()}
    lengths = {key: len(values) for key, values in lists.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{key} has {length}" for key, length in lengths.items())
        raise UserError(f"hydra.sweeper.zipped: expected lists of one length ({told} values)")
    for values in zip(*lists.values(), strict=True):
        yield dict(zip(lists, values, strict=True))


def parsed(word: str, loader: ConfigLoader | None = None) -> Override:
    """The override as Hydra reads it."""
    try:
        # Unlike parse_override it hands on the loader, which knows what a glob stands for.
        return OverridesParser.create(config_loader=loader).parse_overrides([spell_out(word)])[0]
    except (HydraException, ValueError) as error:  # ValueError: a number of too many digits
        raise UserError(f"{shown(word)}: {str(error).splitlines()[0]}") from error


def chooses(word: str, loader: ConfigLoader) -> bool:
    """Whether an override chooses files of a group, or is about Hydra itself."""
    return is_choice(parsed(word, loader), loader)


def is_choice(override: Override, loader: ConfigLoader) -> bool:
    """Whether it chooses files of a group, or is about Hydra itself."""
    return override.is_hydra_override() or bool(loader.get_group_options(override.key_or_group))
