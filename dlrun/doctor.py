"""`dlrun doctor`: what this installation has, how fast it is, and whether it trains."""

from __future__ import annotations

import platform
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from rich.console import Console
from rich.text import Text

from dlrun import run
from dlrun.data_dir import data_root
from dlrun.datasets import available
from dlrun.device import Compute, describe, present_devices
from dlrun.errors import UserError
from dlrun.provenance import installed_versions

MATRIX_SIZE = 1024  # of the products timed; large enough to keep a GPU busy
SECONDS_A_DEVICE = 0.5


def doctor(arguments: Sequence[str]) -> int:
    """Exit code 0 when a few steps of training work; prints versions, devices and data sets."""
    if arguments:
        raise UserError(
            f"doctor: takes no arguments, got {' '.join(arguments)} (type dlrun doctor)"
        )
    console = Console(highlight=False)
    data_dir = data_root(None)

    system = {"system": f"{platform.system()} {platform.machine()}"}
    _print(console, "versions", dict(installed_versions()) | system)
    rates = {describe(torch.device(name)): _rates(name) for name in present_devices()}
    _print(console, "devices (matrix products)", rates)
    _print(console, f"data sets (data directory {data_dir})", available(data_dir))

    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        result = run("debug=fast_dev_run", quiet=True, **{"hydra.run.dir": f"{folder}/run"})
        seconds = time.perf_counter() - start
        complete = (Path(folder) / "run" / "summary.json").exists()
    works = complete and result.status == "completed"
    verdict = f"trained a few steps in {seconds:.1f} s: this installation works"
    console.print(Text(verdict if works else "training failed", style="green" if works else "red"))
    return 0 if works else 1


def _rates(name: str) -> str:
    device = torch.device(name)
    rates = [f"fp32 {matmul_rate(device, torch.float32) / 1e9:,.0f} GFLOP/s"]
    if device.type == "cuda":
        rates.append(f"bf16 {matmul_rate(device, torch.bfloat16) / 1e9:,.0f} GFLOP/s")
    return ", ".join(rates)


def matmul_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Floating-point operations a second of a square matrix product, the best of several."""
    size = MATRIX_SIZE
    a = torch.ones(size, size, device=device, dtype=dtype)
    b = torch.ones(size, size, device=device, dtype=dtype)
    compute = Compute(device)
    torch.mm(a, b)  # the first product also loads the library
    best, end = 0.0, time.perf_counter() + SECONDS_A_DEVICE
    repeats = 1
    while time.perf_counter() < end:
        compute.synchronize()
        start = time.perf_counter()
        for _ in range(repeats):
            torch.mm(a, b)
        compute.synchronize()
        seconds = time.perf_counter() - start
        best = max(best, repeats * 2 * size**3 / seconds)
        if seconds < 0.02:
            repeats *= 2
    return best


def _print(console: Console, title: str, rows: dict[str, str]) -> None:
    width = max(len(name) for name in rows)
    console.print(Text(title, style="bold"), soft_wrap=True)
    for name, value in rows.items():
        console.print(Text(f"  {name:<{width}}  ", style="dim") + Text(value), soft_wrap=True)
    console.print()
