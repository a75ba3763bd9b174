"""The few lines of Python that load an exported file and run it."""

from __future__ import annotations

from dlrun.describe import StoredData
from dlrun.export.deployed import Gives
from dlrun.export.facts import input_name

ONNX = """\
import json

import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession({file}, providers=["CPUExecutionProvider"])
{inputs} = np.{make}({shape}).astype(np.float32)  # {unit}
({outputs},) = session.run(None, {{"{inputs}": {inputs}}})
facts = session.get_modelmeta().custom_metadata_map
"""

TORCH_EXPORT = """\
import json

import torch

files = {{"dlrun.json": ""}}
network = torch.export.load({file}, extra_files=files).module()
{inputs} = torch.{make}({shape})  # {unit}
{outputs} = network({inputs}).detach()
facts = json.loads(files["dlrun.json"])
"""

SAFETENSORS = """\
import json

import torch
from safetensors import safe_open

from dlrun.export.safetensors_file import load

network = load({file})  # weights are network.…, scaling is …_scaling.mean and .std
{inputs} = torch.{make}({shape})  # {unit}
{outputs} = network({inputs})
with safe_open({file}, framework="pt") as file:
    facts = file.metadata()
"""

TEMPLATES = {"onnx": ONNX, "torch_export": TORCH_EXPORT, "safetensors": SAFETENSORS}


def example(format_name: str, file_name: str, data: StoredData, gives: Gives) -> str:
    """Python that loads the file, which lies in the current directory, and prints its outputs."""
    shape = (1, *data.in_shape)
    unit = {4: "your images: pixels in [0, 1]", 2: "your rows: raw values, one column a feature"}
    text = TEMPLATES[format_name].format(
        file=ascii(file_name),  # nothing in a name ends the string, the line or the code block
        inputs=input_name(data),
        outputs=gives,
        make="ones" if len(shape) == 2 else "zeros",  # the logarithm of a feature may be taken
        shape=shape,
        unit=unit.get(len(shape), "your inputs"),
    )
    if gives in ("probabilities", "scores"):
        return text + f'print(json.loads(facts["classes"])[int({gives}[0].argmax())], {gives}[0])\n'
    if gives == "values":
        return text + f'print(facts["target_name"], {gives}[0])\n'
    return text + f"print({gives}.shape)\n"
