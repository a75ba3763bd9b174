"""A stored run's config, made ready to run once more: what stands in it, and what is changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.types import Override, OverrideType
from omegaconf import DictConfig, OmegaConf, flag_override

from dlrun import schema
from dlrun.check import KNOB_CONSUMERS
from dlrun.checkpoint import load_checkpoint
from dlrun.errors import UserError, nearest, shown
from dlrun.hydra_session import chosen
from dlrun.stored import entries, merged, require_ours, stored_config
from dlrun.targets import Trust

CHECKPOINTS = ("best.pt", "last.pt", "previous.pt")  # the smallest first
WHOLE_RUNS = ("experiment", "sweep")  # groups that say what a run is about, not a part of it


def stored_run(
    run_dir: Path, summary: Mapping[str, Any], trust: Trust
) -> tuple[DictConfig, dict[str, Any]]:
    """The config that a run went by, and what was chosen of each group.

    Of a run that ended before its first checkpoint it is .hydra/config.yaml, and the choices are
    those in its summary. Raises UserError where nothing says what it was, or what does is damaged
    or more than data.
    """
    stored = stored_config(run_dir, trust)
    for name in CHECKPOINTS:
        path = run_dir / "checkpoints" / name
        if path.exists():
            checkpoint = load_checkpoint(path)
            require_ours(checkpoint, run_dir, trust, file=name, needed=("model", "epoch"))
            return merged(checkpoint["config"], stored, {}, run_dir), checkpoint["choices"]
    if stored is None:
        raise UserError(
            f"{shown(run_dir)}: has no checkpoint and no .hydra/config.yaml, so nothing says what "
            "it was (expected a run that has begun; dlrun ls tells)"
        )
    hparams = summary.get("hparams")
    named = hparams if isinstance(hparams, dict) else {}
    choices = {group: str(named.get(group, "stored")) for group in schema.GROUPS}
    return merged(stored, stored, {}, run_dir), choices


def recomposed(
    stored: DictConfig,
    choices: Mapping[str, Any],
    fresh: DictConfig,
    overrides: Sequence[Override],
    groups: Sequence[str],
) -> tuple[DictConfig, dict[str, Any]]:
    """The stored config with the overrides, references resolved, and what is chosen then.

    fresh: what Hydra composes of the choices among the overrides alone; groups: those they choose
    of. A chosen group takes the place of the stored one, whole.
    """
    content = OmegaConf.to_container(stored, resolve=False)
    assert isinstance(content, dict)
    linked(content)
    names = chosen(fresh.hydra) if groups else {}
    known = OmegaConf.to_container(OmegaConf.structured(schema.Config))
    assert isinstance(known, dict)
    for key in known:
        now = OmegaConf.to_container(fresh, resolve=False).get(key)  # type: ignore[union-attr]
        # A choice may set more than its own group: debug=overfit has epochs of its own.
        if key in groups or (groups and key not in schema.GROUPS and now != known[key]):
            content[key] = now
    config = OmegaConf.merge(OmegaConf.structured(schema.Config), content)
    assert isinstance(config, DictConfig)
    require_keys(config, overrides)
    with flag_override(config, "struct", True):
        ConfigLoaderImpl._apply_overrides_to_config(list(overrides), config)
    OmegaConf.resolve(config)
    return config, {**choices, **{group: names.get(group) for group in groups}}


def require_keys(config: DictConfig, overrides: Sequence[Override]) -> None:
    """Raises UserError for a key to be changed or taken away that the config does not have."""
    known = [key for key, _ in entries(OmegaConf.to_container(config, resolve=False))]
    known += {key.rpartition(".")[0] for key in known} - {""}
    for override in overrides:
        key = override.key_or_group
        if override.type in (OverrideType.CHANGE, OverrideType.DEL) and key not in known:
            top, dot, _ = key.partition(".")
            near = [name for name in known if name.startswith(f"{top}.")] if dot else list(config)
            there = ", ".join(str(name) for name in near) or ", ".join(map(str, config))
            hint = nearest(key, known) or f"; there are {there}"
            raise UserError(f"{shown(key)}: no such key in the config of that run{hint}")


def linked(content: dict[Any, Any]) -> None:
    """Puts back the references of a model to the knobs of regularization that it had the values of.

    A config is stored with its references resolved; without them a change of the knob alone would
    change nothing.
    """
    knobs, model = content.get("regularization"), content.get("model")
    if not isinstance(knobs, dict) or not isinstance(model, dict):
        return
    for knob in KNOB_CONSUMERS:
        if knob in model and model[knob] == knobs.get(knob):
            model[knob] = f"${{regularization.{knob}}}"


def require_plain(override: Override) -> None:
    """Raises UserError for what would make many runs, or another one altogether."""
    word, key = shown(override.input_line), override.key_or_group
    if override.is_sweep_override():
        raise UserError(f"{word}: expected one value, a run is repeated once (dlrun -m: several)")
    if key in WHOLE_RUNS:
        raise UserError(f"{word}: is a run of its own, not a change of one (type dlrun {word})")
    if override.package is not None:
        raise UserError(f"{word}: expected key=value (for example epochs=3)")
