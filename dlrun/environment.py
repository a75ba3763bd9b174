"""The machine that a run computes on, in words and numbers that name nobody."""

from __future__ import annotations

import functools
import os
import platform
import subprocess
from collections.abc import Mapping
from typing import Any

from dlrun.privacy import user_names

CPU_KEYS = ("model name", "Model", "Processor", "cpu model")  # in /proc/cpuinfo, by architecture


def host() -> dict[str, Any]:
    """What figures and times may hang on: system, architecture, CPU model, cores, GiB of memory.

    name: of the machine; None where the user's name is in it.
    """
    name = platform.node()
    tells = any(user.lower() in name.lower() for user in user_names())
    return {"name": None if tells or not name else name, **_hardware()}


@functools.cache
def _hardware() -> Mapping[str, Any]:
    return {
        "system": f"{platform.system()} {platform.release()}".strip(),
        "machine": platform.machine(),
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "memory_gib": _memory_gib(),
    }


def _cpu_model() -> str | None:
    """What its maker calls the processor; None where the system does not tell."""
    try:
        if platform.system() == "Darwin":
            words = ["sysctl", "-n", "machdep.cpu.brand_string"]
            done = subprocess.run(words, capture_output=True, text=True, timeout=5, check=True)
            return done.stdout.strip() or None
        if platform.system() == "Windows":
            return platform.processor() or None
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            for line in file:  # the first core's; a large machine has hundreds
                key, _, value = line.partition(":")
                if key.strip() in CPU_KEYS:
                    return value.strip()
    except (OSError, subprocess.SubprocessError):
        pass
    return None


def _memory_gib() -> float | None:
    """All of the machine's memory, None where the system does not tell."""
    try:
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return None
    return round(size / 2**30, 1) if size > 0 else None
