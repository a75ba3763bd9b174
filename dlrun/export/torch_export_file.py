"""A `.pt2` file: the graph that torch.export makes, which torch runs without the code of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from dlrun.export.deployed import Deployed
from dlrun.export.onnx_file import chatter_off

ENDING = ".pt2"
FACTS = "dlrun.json"  # the file within it


def write(
    deployed: Deployed, example: Tensor, input_name: str, facts: Mapping[str, str], path: Path
) -> None:
    """Writes the graph for any number of samples, with the facts as a JSON object in `dlrun.json`.

    example: inputs (2, *in_shape). Raises what torch raises where it cannot export the network.
    """
    with chatter_off(), torch.no_grad():
        sizes = ({0: torch.export.Dim("N", min=1)},)
        program = torch.export.export(deployed, (example,), dynamic_shapes=sizes)
        # Each node comes with the lines of code it was made of, and where those lie here.
        for node in program.graph.nodes:
            node.meta.pop("stack_trace", None)
        torch.export.save(program, path, extra_files={FACTS: json.dumps(dict(facts))})


def load(path: Path) -> Callable[[Tensor], Tensor]:
    """The file's network, as torch.export.load gives it."""
    with chatter_off():
        network: Callable[[Tensor], Tensor] = torch.export.load(path).module()
    return network


def read_facts(path: Path) -> dict[str, str]:
    """The facts that the file was written with."""
    files = {FACTS: ""}
    with chatter_off():
        torch.export.load(path, extra_files=files)
    facts: dict[str, str] = json.loads(files[FACTS])
    return facts
