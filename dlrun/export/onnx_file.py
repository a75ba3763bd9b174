"""An ONNX file: written by torch's exporter, checked, run by onnxruntime."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import torch
from torch import Tensor

from dlrun.errors import UserError
from dlrun.export.deployed import Deployed

ENDING = ".onnx"
PACKAGES = ("onnx", "onnxscript", "onnxruntime")
OPSET = 18  # what torch's exporter writes without a conversion; onnxruntime has it since 1.14
LARGEST = 2**31  # bytes in one protobuf message


def write(
    deployed: Deployed, example: Tensor, input_name: str, facts: Mapping[str, str], path: Path
) -> None:
    """Writes one file with the weights inside; the first dimension of all is any number, `N`.

    example: inputs (2, *in_shape). facts: the metadata_props, which any ONNX tool shows.
    Raises UserError where the weights are more than one ONNX file holds, and what torch raises
    where it cannot export the network.
    """
    size = sum(tensor.numel() * tensor.element_size() for tensor in deployed.state_dict().values())
    if size >= LARGEST:
        raise UserError(
            f"--format onnx: {size / 2**30:.1f} GiB of weights, one ONNX file holds 2 GiB "
            "(type --format torch_export or --format safetensors)"
        )
    with chatter_off(), torch.no_grad():
        program = torch.onnx.export(
            deployed,
            (example,),
            dynamo=True,
            verbose=False,
            opset_version=OPSET,
            input_names=[input_name],
            output_names=[deployed.gives],
            dynamic_shapes=({0: torch.export.Dim("N", min=1)},),
        )
    assert program is not None
    # Each node comes with the lines of code it was made of, and where those lie on this machine.
    for node in program.model.graph.all_nodes():
        node.metadata_props.clear()
    program.model.metadata_props.update(facts)
    program.model.producer_name = "dlrun"
    program.model.producer_version = facts["dlrun_version"]
    program.save(path, external_data=False)
    check(path)


def check(path: Path) -> None:
    """Raises what onnx.checker finds wrong with a file."""
    import onnx

    onnx.checker.check_model(path, full_check=True)


def load(path: Path) -> Callable[[Tensor], Tensor]:
    """The file as onnxruntime runs it on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    (name,) = (entry.name for entry in session.get_inputs())

    def run(inputs: Tensor) -> Tensor:
        (outputs,) = session.run(None, {name: inputs.numpy()})
        return torch.from_numpy(outputs)

    return run


@contextmanager
def chatter_off() -> Iterator[None]:
    """Within it torch and onnxscript neither warn, log nor print; what they raise is raised."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
