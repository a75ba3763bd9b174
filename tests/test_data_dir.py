"""Where data sets lie: the config first, then the environment, then the user's cache."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlrun.data_dir import data_root


@pytest.mark.parametrize(
    ("configured", "environment", "expected"),
    [
        ("/data", {"DLRUN_DATA_DIR": "/env", "XDG_CACHE_HOME": "/cache"}, "/data"),
        ("~/data", {}, "/home/me/data"),
        (None, {"DLRUN_DATA_DIR": "/env", "XDG_CACHE_HOME": "/cache"}, "/env"),
        (None, {"DLRUN_DATA_DIR": "~/env"}, "/home/me/env"),
        (None, {"DLRUN_DATA_DIR": "", "XDG_CACHE_HOME": "/cache"}, "/cache/dlrun"),
        (None, {"XDG_CACHE_HOME": ""}, "/home/me/.cache/dlrun"),
        (None, {}, "/home/me/.cache/dlrun"),
    ],
)
def test_data_root(configured, environment, expected, monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    for name in ("DLRUN_DATA_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert data_root(configured) == Path(expected)
