"""Devices: what is there, what is not, precision on the CPU, threads and determinism."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import torch
from torch import nn

from dlrun import device
from dlrun.device import Compute, describe, find_device, open_device, set_deterministic
from dlrun.errors import UserError


@pytest.fixture(autouse=True)
def process_as_it_was() -> Iterator[None]:
    threads = torch.get_num_threads()
    deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    benchmark = torch.backends.cudnn.benchmark
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
    torch.backends.cudnn.benchmark = benchmark


def with_devices(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    monkeypatch.setattr(device, "present_devices", lambda: list(names))


@pytest.mark.parametrize(
    ("present", "chosen"),
    [
        (["cpu"], "cpu"),
        (["cpu", "mps"], "mps"),
        (["cpu", "cuda:0"], "cuda:0"),
        (["cpu", "cuda:0", "cuda:1"], "cuda:0"),
    ],
)
def test_auto_is_the_fastest_that_is_there(present, chosen, monkeypatch):
    with_devices(monkeypatch, *present)
    assert str(find_device("auto")) == chosen


def test_cuda_is_the_first_one(monkeypatch):
    with_devices(monkeypatch, "cpu", "cuda:0", "cuda:1")
    assert find_device("cuda") == torch.device("cuda:0")
    assert find_device("cuda:1") == torch.device("cuda:1")
    assert find_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize(
    ("name", "present", "text"),
    [
        ("cuda", ["cpu"], "device.name=cuda: not on this machine, which has cpu"),
        ("mps", ["cpu"], "device.name=mps: not on this machine, which has cpu"),
        ("tpu", ["cpu"], "device.name=tpu: not on this machine, which has cpu"),
        (
            "cuda:2",
            ["cpu", "cuda:0", "cuda:1"],
            "device.name=cuda:2: not on this machine, which has cpu, cuda:0, cuda:1",
        ),
    ],
)
def test_absent_device_is_told_what_there_is(name, present, text, monkeypatch):
    with_devices(monkeypatch, *present)
    with pytest.raises(UserError) as error:
        open_device(name)
    assert str(error.value) == f"{text} (for example device=cpu)"


def test_present_devices(monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert device.present_devices() == ["cpu", "cuda:0", "cuda:1"]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device.present_devices() == ["cpu"]
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert device.present_devices() == ["cpu", "mps"]


def test_full_precision_has_neither_autocast_nor_scaler():
    compute = open_device("cpu")
    assert compute == Compute(torch.device("cpu"), None, None)
    with compute.autocast():
        assert nn.Linear(1, 1)(torch.ones(1, 1)).dtype == torch.float32
    compute.synchronize()


@pytest.mark.parametrize(("precision", "dtype"), [("bf16", torch.bfloat16), ("fp16", torch.half)])
def test_lower_precision_computes_in_it_and_keeps_its_weights(precision, dtype):
    compute = open_device("cpu", precision=precision)
    assert (compute.scaler is not None) == (precision == "fp16")
    layer = nn.Linear(2, 3)
    with compute.autocast():
        assert layer(torch.ones(1, 2)).dtype == dtype
    assert layer.weight.dtype == torch.float32
    assert layer(torch.ones(1, 2)).dtype == torch.float32


def test_bf16_on_a_gpu_without_it(monkeypatch):
    with_devices(monkeypatch, "cpu", "cuda:0")
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: False)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Old GPU")
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    with pytest.raises(UserError) as error:
        open_device("cuda", precision="bf16")
    assert str(error.value) == (
        "device.precision=bf16: Old GPU has no bf16 (type device.precision=fp16)"
    )


def test_threads():
    before = torch.get_num_threads()
    open_device("cpu")
    assert torch.get_num_threads() == before
    open_device("cpu", threads=before + 1)
    assert torch.get_num_threads() == before + 1
    assert describe(torch.device("cpu")) == f"cpu ({before + 1} threads)"


@pytest.mark.parametrize("on", [True, False])
def test_deterministic(on):
    torch.use_deterministic_algorithms(not on)
    open_device("cpu", deterministic=on)
    assert torch.are_deterministic_algorithms_enabled() == on
    if on:  # an operation without a deterministic form is reported, not forbidden
        assert torch.is_deterministic_algorithms_warn_only_enabled()


def test_deterministic_cuda_sets_what_cublas_needs(monkeypatch):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    set_deterministic(True, torch.device("cuda:0"))
    assert os.environ.pop("CUBLAS_WORKSPACE_CONFIG") == ":4096:8"
    assert not torch.backends.cudnn.benchmark
    set_deterministic(False, torch.device("cuda:0"))
    assert torch.backends.cudnn.benchmark
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")  # the user's choice stays
    set_deterministic(True, torch.device("cuda:0"))
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":16:8"
