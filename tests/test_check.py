"""A composed config as a whole: faults of its targets stop everything before anything runs."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra._internal.utils import _locate
from omegaconf import DictConfig, OmegaConf

import dlrun.datasets
import dlrun.models
import dlrun.optimizers
from dlrun import schema
from dlrun.check import PASSED, check
from dlrun.errors import UserError
from dlrun.hydra_session import packaged_conf
from dlrun.targets import Trust, find_target

CHOICES = {"model": "mlp", "optimizer": "adam", "dataset": "digits"}
PACKAGED = [
    (group, file.stem)
    for group in schema.OPEN_GROUPS
    for file in sorted((packaged_conf() / group).glob("*.yaml"))
]
# What one choice needs of another group.
TOGETHER = {"point": {"dataset": "surface"}, "surface": {"model": "point"}}


def packaged_config(**choices: str) -> tuple[DictConfig, dict[str, str]]:
    """A config of packaged choices, resolved as a run stores it, and the choices."""
    chosen = {**CHOICES, **choices}
    parts = []
    for group, name in chosen.items():
        content = OmegaConf.load(packaged_conf() / group / f"{name}.yaml")
        # Some files also set keys of other groups, such as batch_size.
        parts.append(content if group in content else OmegaConf.create({group: content}))
    config = OmegaConf.merge(OmegaConf.structured(schema.Config), *parts)
    for key in OmegaConf.missing_keys(config):
        OmegaConf.update(config, key, "given")
    OmegaConf.resolve(config)
    assert isinstance(config, DictConfig)
    return config, chosen


def changed(key: str, value: Any, **choices: str) -> DictConfig:
    """A packaged config with the value of one key replaced, or added."""
    config, _ = packaged_config(**choices)
    OmegaConf.update(config, key, value, merge=False)
    return config


def faults(config: DictConfig, trust: Trust) -> list[str]:
    with pytest.raises(UserError) as caught:
        check(config, CHOICES, trust)
    return str(caught.value).splitlines()


def test_packaged_choices_are_found() -> None:
    assert len(PACKAGED) >= 31


@pytest.mark.parametrize(("group", "name"), PACKAGED)
def test_packaged_choices_pass(group: str, name: str) -> None:
    config, choices = packaged_config(**{group: name}, **TOGETHER.get(name, {}))
    for trust in ("own", "data", "all"):
        assert getattr(check(config, choices, trust), group) == config[group]


@pytest.mark.parametrize("trust", ["own", "data"])
@pytest.mark.parametrize("group", schema.OPEN_GROUPS)
@pytest.mark.parametrize("target", ["os.system", "dlrun.cli.os.system"])
@pytest.mark.parametrize("place", ["", "layer."])
def test_nothing_is_called_that_is_refused(
    place: str, target: str, group: str, trust: Trust
) -> None:
    call = {"_target_": target, "_partial_": False, "command": "touch harm"}
    config = changed(f"{group}.layer" if place else group, call)
    config.seed = -1
    lines = faults(config, trust)
    assert len(lines) == 2
    assert lines[0].startswith("seed=-1: ")  # other faults are told with it
    assert lines[1].startswith(f"{group}.{place}_target_={target}: ")
    assert lines[1].endswith("type --trust)")
    assert not Path("harm").exists()


def test_trust_lets_any_target_through() -> None:
    call = {"_target_": "os.system", "_partial_": True, "command": "touch harm"}
    assert faults(changed("optimizer", call), "own")[0].startswith("optimizer._target_=os.system: ")
    lines = faults(changed("model", call), "all")  # and then tells that it is no model
    assert lines == [
        "model._target_=os.system: does not take in_shape and out_features, which dlrun passes"
    ]
    assert not Path("harm").exists()


@pytest.fixture
def own_net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """The node of a model in the current directory, which leaves a file when it is imported."""
    (tmp_path / "my_own_net.py").write_text(
        "open('imported', 'w').close()\n"
        "class Net:\n"
        "    def __init__(self, in_shape, out_features, width=3): pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield {"_target_": "my_own_net.Net", "_partial_": True, "width": 4}
    sys.modules.pop("my_own_net", None)


def test_own_code_runs_in_own_configs_alone(own_net: dict[str, Any]) -> None:
    assert faults(changed("model", own_net), "data") == [
        "model._target_=my_own_net.Net: a stored config may only name models of dlrun, torch.nn, "
        "torchvision.models (if you trust where it comes from, type --trust)"
    ]
    faults(changed("model.layer", own_net), "data")
    assert "my_own_net" not in sys.modules
    assert not Path("imported").exists()
    for trust in ("own", "all"):
        assert check(changed("model", own_net), CHOICES, trust).model == own_net
    assert Path("imported").exists()


def test_stored_configs_resolve_nothing() -> None:
    OmegaConf.register_new_resolver("harm", lambda: Path("harm").touch())
    try:
        config = changed("data_dir", "${harm:}")
        config.epochs = -1
        assert faults(config, "data") == [
            "data_dir=${harm:}: a stored config holds values, not interpolations "
            "(if you trust where it comes from, type --trust)"
        ]
        assert not Path("harm").exists()
        faults(config, "own")
        assert Path("harm").exists()
    finally:
        OmegaConf.clear_resolver("harm")


def test_text_is_not_resolved_a_second_time() -> None:
    """What a backslash hides at first may not become a target when Hydra makes the call."""
    hidden = "\\${oc.create:{_target_:os.system,command:touch harm}}"
    config = changed("optimizer.betas", hidden)
    assert faults(config, "own") == [
        f"optimizer.betas={hidden.removeprefix(chr(92))}: expected text without ${{"
    ]
    assert not Path("harm").exists()


@pytest.mark.parametrize("trust", ["own", "data", "all"])
@pytest.mark.parametrize("group", schema.OPEN_GROUPS)
@pytest.mark.parametrize("value", [False, None, "true", 1])
def test_dlrun_itself_makes_the_call(value: Any, group: str, trust: Trust) -> None:
    expected = [f"{group}._partial_: expected true (dlrun itself makes the call)"]
    assert faults(changed(f"{group}._partial_", value), trust) == expected
    config, _ = packaged_config()
    del config[group]["_partial_"]
    assert faults(config, trust) == expected


@pytest.mark.parametrize(
    ("group", "target", "names"),
    [
        ("model", "torch.nn.Linear", "in_shape"),
        ("model", "torch.nn.ReLU", "in_shape and out_features"),
        ("dataset", "dlrun.datasets.split", "data_dir"),
        ("dataset", "dlrun.datasets.presence.available", "seed"),
    ],
)
@pytest.mark.parametrize("trust", ["own", "data"])
def test_targets_take_what_dlrun_passes(group: str, target: str, names: str, trust: Trust) -> None:
    config = changed(group, {"_target_": target, "_partial_": True})
    assert faults(config, trust) == [
        f"{group}._target_={target}: does not take {names}, which dlrun passes"
    ]


def test_arguments_of_any_name_are_for_own_configs() -> None:
    call = {"_target_": "torchvision.models.resnet18", "_partial_": True}
    assert check(changed("model", call), CHOICES, "own").model == call
    assert faults(changed("model", call), "data") == [
        "model._target_=torchvision.models.resnet18: does not take in_shape and out_features, "
        "which dlrun passes"
    ]
    call = {"_target_": "pytorch_optimizer.Lookahead", "_partial_": True}
    assert faults(changed("optimizer", call), "data") == [
        "optimizer._target_=pytorch_optimizer.Lookahead: does not take params, which dlrun passes"
    ]


def test_arguments_that_cannot_be_known_are_for_own_configs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = type("Made", (dict,), {"__module__": "dlrun.models.mlp"})  # its __init__ is written in C
    monkeypatch.setattr("dlrun.models.mlp.Made", made, raising=False)
    call = {"_target_": "dlrun.models.mlp.Made", "_partial_": True}
    assert check(changed("model", call), CHOICES, "own").model == call
    assert faults(changed("model", call), "data") == [
        "model._target_=dlrun.models.mlp.Made: does not take in_shape and out_features, "
        "which dlrun passes"
    ]


def all_names(package: Any) -> Iterator[str]:
    """Dotted names of everything that the modules of a package hold."""
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        module = importlib.import_module(found.name)
        yield from (f"{found.name}.{name}" for name in vars(module))
    yield from (f"{package.__name__}.{name}" for name in vars(package))


@pytest.mark.parametrize(
    ("group", "package"),
    [
        ("model", dlrun.models),
        ("optimizer", dlrun.optimizers),
        ("dataset", dlrun.datasets),
    ],
)
def test_a_stored_config_reaches_packaged_choices_alone(group: str, package: Any) -> None:
    """Of all that dlrun's modules hold: no helper, such as one that deletes or downloads."""
    config, _ = packaged_config()
    reached, tried = set(), 0
    for name in all_names(package):
        tried += 1
        config[group] = {"_target_": name, "_partial_": True}
        try:
            target = find_target(group, config[group], "data")
            check(config, CHOICES, "data")
        except UserError as error:  # values that it lacks are told by their own keys
            if any(line.startswith(f"{group}._target_") for line in str(error).splitlines()):
                continue
        reached.add(target)
    packaged = {
        _locate(packaged_config(**{g: choice})[0][group]["_target_"])
        for g, choice in PACKAGED
        if g == group
    }
    assert tried > 20
    assert {target for target in reached if target.__module__.startswith("dlrun")} == {
        target for target in packaged if target.__module__.startswith("dlrun")
    }
    for target in reached:
        assert set(PASSED[group]) <= set(inspect.signature(target).parameters)
