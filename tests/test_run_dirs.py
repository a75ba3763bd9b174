"""Names of run directories: what was chosen, as file names, through OmegaConf's resolvers."""

from __future__ import annotations

import re
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from dlrun.run_dirs import file_name, register_resolvers


def resolved(text: str, choices: dict[str, Any] | None = None, **job: Any) -> str:
    """What a config makes of `text` after these choices."""
    register_resolvers()
    hydra = {"runtime": {"choices": choices or {}}, "job": job}
    config = OmegaConf.create({"hydra": hydra, "text": text})
    assert isinstance(config, DictConfig)
    return str(config.text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("optimizer.lr=0.1,seed=0", "optimizer.lr=0.1,seed=0"),
        ("+experiment=a", "+experiment=a"),
        ("a/b\\c", "a_b_c"),
        ("path=C:\\x y", "path=C__x_y"),
        ("name='a\n*?\"<>|'", "name=_a________"),
        ("größe=1", "größe=1"),
        ("", ""),
    ],
)
def test_file_name(text, expected):
    assert file_name(text) == expected


def test_file_name_fits_every_file_system():
    assert file_name("x" * 300) == "x" * 100
    assert file_name("数" * 300) == "数" * 33  # 3 bytes each: a name may have 255
    assert file_name("x" * 99 + "é") == "x" * 99


def test_run_is_named_by_what_was_chosen():
    choices = {"model": "mlp", "optimizer": "adam", "dataset": "mnist5k", "loss": "auto"}
    assert resolved("${dlrun_names:}", choices) == "mlp-adam-mnist5k"
    choices["model"] = "mine/net"
    assert resolved("${dlrun_names:}", choices) == "mine_net-adam-mnist5k"


@pytest.mark.parametrize(
    ("choices", "expected"),
    [({"sweep": "lr_grid"}, "lr_grid"), ({"sweep": None}, "multirun"), ({}, "multirun")],
)
def test_sweep_name(choices, expected):
    assert resolved("${dlrun_sweep:}", choices) == expected


def test_job_name():
    name = resolved("${dlrun_job:}", num=7, override_dirname="optimizer.lr=0.1,data=a/b")
    assert name == "0007-optimizer.lr=0.1,data=a_b"


def test_a_run_asks_anew_and_a_sweep_does_not():
    runs, sweeps = set(), set()
    register_resolvers()
    config = OmegaConf.create({"run": "${dlrun_hex:}", "sweep": "${dlrun_sweep_hex:}"})
    for _ in range(20):
        runs.add(config.run)
        sweeps.add(config.sweep)
    assert len(runs) > 1
    assert len(sweeps) == 1
    assert all(re.fullmatch(r"[0-9a-f]{4}", digits) for digits in runs | sweeps)


def test_jobs_of_a_sweep_get_the_digits_of_the_sweep():
    """Hydra composes every job anew and hands it the cache of the sweep's config."""
    register_resolvers()
    sweep, job = (OmegaConf.create({"dir": "${dlrun_sweep_hex:}"}) for _ in range(2))
    digits = sweep.dir
    OmegaConf.copy_cache(sweep, job)
    assert job.dir == digits
