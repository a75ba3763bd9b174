"""The formats of `dlrun export`: what each is called, needs, and how it is written and loaded."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from dlrun.errors import UserError
from dlrun.export import onnx_file, safetensors_file, torch_export_file
from dlrun.export.deployed import Deployed
from dlrun.targets import Trust

Write = Callable[[Deployed, Tensor, str, Mapping[str, str], Path], None]
Run = Callable[[Tensor], Tensor]
Load = Callable[[Path, Trust], Run]


@dataclass(frozen=True)
class Format:
    """One format.

    packages: what dlrun[export] brings for it. exact: it holds the weights alone, so that its
    outputs are the same bits. loaded_by: Python with `{file}` for the name.
    """

    ending: str
    packages: tuple[str, ...]
    write: Write
    load: Load
    loaded_by: str
    exact: bool = False


FORMATS = {
    "onnx": Format(
        onnx_file.ENDING,
        onnx_file.PACKAGES,
        onnx_file.write,
        lambda path, trust: onnx_file.load(path),
        "onnxruntime.InferenceSession({file})",
    ),
    "torch_export": Format(
        torch_export_file.ENDING,
        (),
        torch_export_file.write,
        lambda path, trust: torch_export_file.load(path),
        "torch.export.load({file}).module()",
    ),
    "safetensors": Format(
        safetensors_file.ENDING,
        safetensors_file.PACKAGES,
        safetensors_file.write,
        safetensors_file.load,
        "dlrun.export.safetensors_file.load({file})",
        exact=True,
    ),
}


def require_packages(name: str) -> None:
    """Raises UserError where a package is missing that the format needs."""
    absent = [p for p in FORMATS[name].packages if importlib.util.find_spec(p) is None]
    if absent:
        raise UserError(
            f"--format {name}: needs {', '.join(absent)} (type pip install 'dlrun[export]')"
        )
