"""YAML through libyaml where PyYAML was built with it: that is ten times as fast."""

from __future__ import annotations

from typing import Any

import yaml

LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)

# What a file may hold that came from somebody else, so that reading it ends.
DEEPEST = 50
PLAIN = (str, int, float, type(None))


def load_yaml(content: str | bytes) -> Any:
    """What YAML stands for, as plain values. Raises yaml.YAMLError where it is none.

    >>> load_yaml("lr: 0.1")
    {'lr': 0.1}
    """
    return yaml.load(content, Loader=LOADER)


def dump_yaml(content: Any) -> str:
    """Plain values as YAML, keys in their own order.

    >>> dump_yaml({"lr": 0.1, "hidden": [8]})
    'lr: 0.1\\nhidden:\\n- 8\\n'
    """
    text: str = yaml.dump(content, Dumper=DUMPER, sort_keys=False, allow_unicode=True)
    return text


def is_tame(text: str) -> bool:
    """Whether YAML is free of what makes reading a short text long, or more than reading.

    That is deep nesting; aliases, since a few lines of aliases to aliases stand for more than any
    memory holds; and tags, which ask for other types. dlrun writes none of them.
    """
    depth = 0
    for event in yaml.parse(text, Loader=LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        tagged = getattr(event, "tag", None) is not None
        if depth > DEEPEST or tagged or isinstance(event, yaml.AliasEvent):
            return False
    return True


def is_plain_dict(config: Any) -> bool:
    """Whether it is a dict of what a config file can hold, and not nested deeper than one is."""

    def is_plain(value: Any, depth: int) -> bool:
        if isinstance(value, dict):
            items = [*value, *value.values()]
        elif isinstance(value, list):
            items = value
        else:
            return isinstance(value, PLAIN)
        return depth < DEEPEST and all(is_plain(item, depth + 1) for item in items)

    return isinstance(config, dict) and is_plain(config, 0)
