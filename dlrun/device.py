"""Where a run computes: the device, its precision, threads and reproducibility."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch

from dlrun.errors import UserError, shown


@dataclass(frozen=True)
class Compute:
    """An opened device.

    device: where parameters and data lie. autocast_dtype: None for full precision.
    scaler: scales the loss so that fp16 gradients do not vanish; None for other precisions.
    """

    device: torch.device
    autocast_dtype: torch.dtype | None = None
    scaler: torch.amp.GradScaler | None = None

    def autocast(self) -> AbstractContextManager[object]:
        if self.autocast_dtype is None:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=self.autocast_dtype)

    def synchronize(self) -> None:
        """Waits until all work handed to the device is done, so that a clock tells the truth."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        elif self.device.type == "mps":
            torch.mps.synchronize()


def open_device(
    name: str, *, precision: str = "fp32", threads: int | None = None, deterministic: bool = True
) -> Compute:
    """The device by name (auto, cpu, cuda, cuda:N, mps), with threads and determinism set.

    precision: fp32, bf16 or fp16 (autocast). threads and deterministic hold for the process.
    Raises UserError for a device that is not there.
    """
    device = find_device(name)
    if threads is not None:
        torch.set_num_threads(threads)
    set_deterministic(deterministic, device)
    if precision == "fp32":
        return Compute(device)
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    if precision == "bf16" and device.type == "cuda" and not torch.cuda.is_bf16_supported():
        raise UserError(
            f"device.precision=bf16: {torch.cuda.get_device_name(device)} has no bf16 "
            "(type device.precision=fp16)"
        )
    scaler = torch.amp.GradScaler(device.type) if precision == "fp16" else None
    return Compute(device, dtype, scaler)


def find_device(name: str) -> torch.device:
    """The torch device of that name; `auto` is cuda, else mps, else cpu."""
    present = present_devices()
    if name == "auto":
        return torch.device("cuda:0" if "cuda:0" in present else present[-1])
    full_name = "cuda:0" if name == "cuda" else name
    if full_name not in present:
        raise UserError(
            f"device.name={shown(name)}: not on this machine, which has {', '.join(present)} "
            f"(for example device=cpu)"
        )
    return torch.device(full_name)


def present_devices() -> list[str]:
    """Names of the devices of this machine: cpu, then cuda:0, cuda:1, …, or mps."""
    names = ["cpu"]
    with warnings.catch_warnings():
        # A machine with a driver that is too old is a machine without CUDA.
        warnings.filterwarnings("ignore", message="CUDA initialization", category=UserWarning)
        if torch.cuda.is_available():
            names += [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        names.append("mps")
    return names


def set_deterministic(on: bool, device: torch.device) -> None:
    """Choose algorithms that repeat bit for bit, or the fastest ones, for this process."""
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS repeats only with it
        torch.backends.cudnn.benchmark = not on
    # warn_only: an operation without a deterministic form is reported, not forbidden.
    torch.use_deterministic_algorithms(on, warn_only=True)
    # Filling new memory finds code that reads it too early; it repeats nothing and costs time.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def rng_states(device: torch.device) -> dict[str, torch.Tensor]:
    """The states of torch's own generators that a run on this device draws from."""
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    elif device.type == "mps":
        states["mps"] = torch.mps.get_rng_state()
    return states


def set_rng_states(device: torch.device, states: Mapping[str, torch.Tensor]) -> None:
    """Sets the generators that `states` has and this device draws from."""
    torch.set_rng_state(states["cpu"])
    if device.type == "cuda" and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"], device)
    elif device.type == "mps" and "mps" in states:
        torch.mps.set_rng_state(states["mps"])


def describe(device: torch.device) -> str:
    """What the device is called, with its memory or threads.

    >>> describe(torch.device("cpu")).startswith("cpu (")
    True
    """
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        return f"{device} ({properties.name}, {properties.total_memory / 2**30:.0f} GiB)"
    if device.type == "cpu":
        threads = torch.get_num_threads()
        return f"cpu ({threads} thread{'s' if threads > 1 else ''})"
    return str(device)
