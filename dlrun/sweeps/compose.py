"""Configs of many jobs: each combination of choices composed once, numbers set on copies of it."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.hydra import Hydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, OverrideType
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, flag_override

from dlrun.check import check
from dlrun.errors import UserError
from dlrun.hydra_session import chosen, readable_errors, without_hydra
from dlrun.sweeps.points import is_choice
from dlrun.targets import Trust


@dataclass(frozen=True)
class Composed:
    """A job's config, and what was chosen of each group."""

    config: DictConfig
    choices: dict[str, Any]


class Composer:
    """Composes and checks the configs of a sweep's jobs.

    Hydra takes 0.1 s for each. But jobs mostly differ in numbers alone, which Hydra itself sets at
    the very end: so what comes before is done once for each combination of choices.
    """

    def __init__(self, app: Hydra, config_name: str, trust: Trust) -> None:
        self.app = app
        self.config_name = config_name
        self.trust = trust
        self._grammar = OverridesParser.create()
        self._choices: dict[str, bool] = {}  # by key; asking Hydra takes 10 ms
        self._composed: dict[tuple[str, ...], tuple[DictConfig, dict[str, Any]]] = {}
        self._faults: dict[tuple[str, ...], str] = {}  # finding words for one takes 0.5 s

    def checked(self, words: Sequence[str]) -> Composed:
        """The config that the words make. Raises UserError with a line for each of its faults."""
        composed, faults = self._compose(words)
        try:
            check(composed.config, composed.choices, self.trust)
        except UserError as error:
            faults += str(error).splitlines()
        if faults:
            raise UserError("\n".join(dict.fromkeys(faults)))
        return composed

    def compose(self, words: Sequence[str]) -> Composed:
        """The config that the words make, not checked."""
        composed, faults = self._compose(words)
        if faults:
            raise UserError("\n".join(faults))
        return composed

    def _compose(self, words: Sequence[str]) -> tuple[Composed, list[str]]:
        """The config that the words make, and what is wrong with those that are not in it."""
        with readable_errors(self.app, list(words)):
            overrides = self._grammar.parse_overrides(list(words))
            late = self._late(overrides)
        early = tuple(str(o.input_line) for o in overrides if o not in late)
        if early not in self._composed:
            with self._told_once(early):
                self._composed[early] = self._compose_choices(early)
        base, choices = self._composed[early]
        config = copy.deepcopy(base)
        faults: list[str] = []
        with flag_override(config, "struct", True):
            for override in late:
                try:
                    with self._told_once((*early, str(override.input_line))):
                        ConfigLoaderImpl._apply_overrides_to_config([override], config)
                except UserError as error:
                    faults += str(error).splitlines()
        if self.trust == "data":  # the words may hold no reference, but dlrun's configs do
            with readable_errors(self.app, list(words)):
                OmegaConf.resolve(config)
        return Composed(config, choices), faults

    def _compose_choices(self, words: Sequence[str]) -> tuple[DictConfig, dict[str, Any]]:
        config = self.app.compose_config(
            self.config_name, list(words), RunMode.RUN, with_log_configuration=False
        )
        return without_hydra(config), chosen(config.hydra)

    @contextmanager
    def _told_once(self, words: tuple[str, ...]) -> Iterator[None]:
        """Within it a failure is a UserError; that of the same words is not looked into again."""
        if words in self._faults:
            raise UserError(self._faults[words])
        try:
            with readable_errors(self.app, list(words)):
                yield
        except UserError as error:
            self._faults[words] = str(error)
            raise

    def _late(self, overrides: Sequence[Override]) -> list[Override]:
        """Those that only set values, and that nothing comes after which adds or deletes some."""
        late: list[Override] = []
        for override in overrides:
            if self._sets_a_value(override):
                late.append(override)
            elif not self._is_choice(override):
                late.clear()
        return late

    def _sets_a_value(self, override: Override) -> bool:
        """Whether Hydra would only set a value, after everything has been put together."""
        return (
            override.type == OverrideType.CHANGE
            and override.package is None
            and not override.is_sweep_override()
            and not self._is_choice(override)
        )

    def _is_choice(self, override: Override) -> bool:
        key = override.key_or_group
        if key not in self._choices:
            self._choices[key] = is_choice(override, self.app.config_loader)
        return self._choices[key]


def fault_report(faults: Mapping[int, UserError], num_jobs: int) -> str:
    """All that is wrong with the configs of a sweep: each fault once, with the jobs it is in."""
    jobs: dict[str, list[int]] = {}
    for number, error in faults.items():
        # A line in parentheses goes on from the one before it.
        for fault in re.split(r"\n(?!\()", str(error)):
            jobs.setdefault(fault, []).append(number)
    lines = []
    for fault, numbers in jobs.items():
        told = ", ".join(map(str, numbers[:5])) + (", …" if len(numbers) > 5 else "")
        where = "" if len(numbers) == num_jobs else f"job{'s'[: len(numbers) > 1]} {told}: "
        lines.append(f"{where}{fault}")
    lines.append(f"nothing was started: {len(faults)} of {num_jobs} jobs cannot run")
    return "\n".join(lines)
