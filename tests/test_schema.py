"""The schema: every closed setting has a comment, an example in its range, a place in conf."""

from __future__ import annotations

import ast
import dataclasses
import inspect
from pathlib import Path
from typing import Any

import pytest
import yaml
from omegaconf import OmegaConf

from dlrun import schema

CONF = Path(__file__).parents[1] / "conf"
CLASSES = {
    "": schema.Config,
    **{group: type(getattr(schema.Config(), group)) for group in schema.CLOSED_GROUPS},
}
SETTINGS = [
    (f"{group}.{field.name}".lstrip("."), cls, field)
    for group, cls in CLASSES.items()
    for field in dataclasses.fields(cls)
    if field.name not in schema.GROUPS
]
RANGED = [(key, field) for key, _, field in SETTINGS if field.metadata]
CLOSED_FILES = [
    path for group in schema.CLOSED_GROUPS for path in sorted((CONF / group).rglob("*.yaml"))
]


def within(value: Any, metadata: Any) -> bool:
    """Whether the value lies in the range that the field's metadata states."""
    if "choices" in metadata:
        return value in metadata["choices"]
    return (
        metadata.get("ge", value) <= value <= metadata.get("le", value)
        and not value <= metadata.get("gt", value - 1)
        and not value >= metadata.get("lt", value + 1)
    )


def field_of(key: str) -> dataclasses.Field[Any]:
    (field,) = (field for name, _, field in SETTINGS if name == key)
    return field


def keys_of_file(path: Path) -> dict[str, Any]:
    """Settings of a closed group's file by full name, `@package _global_` included."""
    text = path.read_text(encoding="utf-8")
    content = yaml.safe_load(text) or {}
    content.pop("defaults", None)
    prefix = "" if "@package _global_" in text else f"{path.relative_to(CONF).parts[0]}."
    flat = {}
    for key, value in content.items():
        if isinstance(value, dict):
            flat |= {f"{prefix}{key}.{name}": item for name, item in value.items()}
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def test_the_lists_are_not_empty():
    """The tests below walk lists; an empty one would prove nothing."""
    assert len(SETTINGS) > 35
    assert len(RANGED) > 25
    assert len(CLOSED_FILES) > 30
    assert {path.relative_to(CONF).parts[0] for path in CLOSED_FILES} == set(schema.CLOSED_GROUPS)


@pytest.mark.parametrize(("key", "field"), RANGED, ids=[key for key, _ in RANGED])
def test_example_and_default_lie_in_the_range(key, field):
    if "choices" not in field.metadata:
        assert {"ge", "gt", "le", "lt"} & set(field.metadata)
        assert within(field.metadata["example"], field.metadata)
    if field.default is not None:
        assert within(field.default, field.metadata)


@pytest.mark.parametrize(("key", "field"), RANGED, ids=[key for key, _ in RANGED])
def test_example_is_of_the_settings_type(key, field):
    """What an error tells the user to type must be accepted."""
    example = field.metadata.get("example", field.default)
    config = OmegaConf.structured(schema.Config)
    OmegaConf.update(config, key, example)
    assert OmegaConf.select(config, key) == example


@pytest.mark.parametrize(
    ("key", "good", "bad"),
    [
        ("regularization.dropout", [0, 0.99], [-0.1, 1]),
        ("regularization.max_grad_norm", [1e-9], [0]),
        ("scheduler.peak_fraction", [0.01, 0.99], [0, 1]),
        ("scheduler.warmup_fraction", [0, 1], [-0.1, 1.1]),
        ("stopping.divergence_factor", [1.1], [1]),
        ("seed", [0, 2**63 - 1], [-1, 2**63]),
        ("epochs", [0], [-1]),
        ("device.precision", ["fp32", "bf16", "fp16"], ["fp64"]),
    ],
)
def test_ends_of_ranges(key, good, bad):
    metadata = field_of(key).metadata
    assert all(within(value, metadata) for value in good)
    assert not any(within(value, metadata) for value in bad)


@pytest.mark.parametrize("cls", CLASSES.values(), ids=lambda cls: cls.__name__)
def test_every_setting_has_a_comment(cls):
    """On its first or last line, or between: unit, range, what null means."""
    lines = inspect.getsource(schema).splitlines()
    (tree,) = (
        node
        for node in ast.parse(inspect.getsource(schema)).body
        if isinstance(node, ast.ClassDef) and node.name == cls.__name__
    )
    assert ast.get_docstring(tree)
    fields = [node for node in tree.body if isinstance(node, ast.AnnAssign)]
    assert len(fields) == len(dataclasses.fields(cls))
    for node in fields:
        if node.target.id not in schema.GROUPS:  # a group is explained by its class
            assert any("#" in line for line in lines[node.lineno - 1 : node.end_lineno]), (
                f"{cls.__name__}.{node.target.id} has no comment"
            )


@pytest.mark.parametrize("path", CLOSED_FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_key_of_a_closed_group_exists_and_fits(path):
    known = {key: field for key, _, field in SETTINGS}
    config = OmegaConf.structured(schema.Config)
    for key, value in keys_of_file(path).items():
        assert key in known, f"{path.relative_to(CONF)}: {key} is not in the schema"
        OmegaConf.update(config, key, value)
        if known[key].metadata and value is not None:
            assert within(value, known[key].metadata)


@pytest.mark.parametrize("path", CLOSED_FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_file_of_a_closed_group_says_what_it_is(path):
    assert path.read_text(encoding="utf-8").startswith("# ")


@pytest.mark.parametrize("group", ["loss", "scheduler"])
def test_every_choice_of_a_name_has_its_file(group):
    names = {keys_of_file(path)[f"{group}.name"]: path.stem for path in (CONF / group).iterdir()}
    assert set(names) == set(field_of(f"{group}.name").metadata["choices"])
    assert all(name == stem for name, stem in names.items())


def test_every_group_has_its_folder():
    folders = {path.name for path in CONF.iterdir() if path.is_dir()}
    assert set(schema.GROUPS) <= folders


def test_everything_is_off_by_default():
    knobs = vars(schema.Regularization())
    assert not any(knobs.values())
    assert {v for v in vars(schema.Stopping()).values() if v is not None} == {"stop"}
    assert not any(vars(schema.Debug()).values())
