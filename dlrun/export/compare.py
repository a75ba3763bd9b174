"""Whether an exported file gives what the trained network gives, and on which samples that held."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from dlrun.data_dir import data_root
from dlrun.datasets import Splits
from dlrun.datasets.presence import DOWNLOADED, missing_files
from dlrun.datasets.tabular import untransformed
from dlrun.describe import StoredData
from dlrun.errors import Failure, UserError
from dlrun.export.deployed import Deployed, Gives
from dlrun.judge.data import run_data
from dlrun.predict.model import class_probabilities, in_own_unit, network_inputs
from dlrun.targets import Trust
from dlrun.trained import Trained

SAMPLES = 64
BATCHES = (1, SAMPLES)
LARGEST_DIFFERENCE = 1e-5


@dataclass(frozen=True)
class Compared:
    """How far a file's outputs lie from what they should be, in absolute value at most.

    differences: by batch size, from those of the network in torch in the same batches.
    from_predict: from what `dlrun predict` makes of the run itself, whose code is another.
    relative: the largest of them all as a share of `unit`, see `units`; unit is that in words.
    samples: on which, in words.
    """

    differences: Mapping[int, float]
    from_predict: float
    relative: float
    unit: str
    samples: str


def data_at_hand(trained: Trained, trust: Trust) -> tuple[Splits | None, str]:
    """The data that the run was trained on, None where it is not here, with the reason.

    Nothing is downloaded for it.
    """
    node, data_dir = trained.settings.dataset, data_root(trained.settings.data_dir)
    name = str(node["_target_"]).rpartition(".")[2]
    own_file = node.get("path") is not None
    if name in DOWNLOADED and not own_file and missing_files(name, data_dir):
        return None, f"{name} is not on this machine"
    try:
        return run_data(trained, trust), ""
    except (UserError, Failure) as error:
        return None, str(error).splitlines()[0]


def samples_of(data: Splits, stored: StoredData) -> tuple[Tensor, str]:
    """Up to 64 inputs (M, *in_shape) in their own unit, of the test split where there is one."""
    parts = {"test": data.test, "validation": data.val, "training": data.train}
    name, part = next((name, part) for name, part in parts.items() if len(part))
    index = torch.arange(min(SAMPLES, len(part)))
    inputs = part.rows(index).inputs
    assert isinstance(inputs, Tensor)
    if data.input_scaling is not None:
        inputs = data.input_scaling.undo(inputs)
    return untransformed(inputs, stored.transform), f"{len(index)} {name} samples"


def drawn_samples(data: StoredData) -> tuple[Tensor, str]:
    """64 inputs (64, *in_shape) drawn with a fixed seed where the data's own ones lie.

    Pixels evenly in [0, 1]; features from normal distributions of the training split's mean and
    standard deviation.
    """
    generator = torch.Generator().manual_seed(0)
    shape = (SAMPLES, *data.in_shape)
    if len(data.in_shape) == 3:
        return torch.rand(shape, generator=generator), f"{SAMPLES} random images"
    inputs = torch.randn(shape, generator=generator)
    if data.input_scaling is not None:
        inputs = data.input_scaling.undo(inputs)
    return untransformed(inputs, data.transform), f"{SAMPLES} random rows"


@torch.no_grad()
def expected_outputs(trained: Trained, gives: Gives, inputs: Tensor) -> Tensor:
    """What the run's own network makes of inputs (N, *in_shape), as `dlrun predict` has it."""
    outputs: Tensor = trained.model(network_inputs(trained.data, inputs)).double()
    if gives == "values":
        return in_own_unit(trained.data, outputs)
    if gives == "probabilities":
        likely = class_probabilities(outputs, trained.settings.loss.name)
        assert likely is not None
        return likely
    if gives == "reconstructions" and len(trained.data.in_shape) != 3:
        scaling = trained.data.input_scaling
        own = outputs if scaling is None else scaling.undo(outputs)
        return untransformed(own, trained.data.transform)
    return outputs


@torch.no_grad()
def compare(
    run: Callable[[Tensor], Tensor],
    deployed: Deployed,
    predicted: Tensor,
    inputs: Tensor,
    words: str,
) -> Compared:
    """What a file gives beside what it should give.

    run: the file, inputs (N, *in_shape) to outputs. predicted: as `expected_outputs` has them.
    words: what the inputs are.
    """
    unit, unit_words = units(deployed, predicted, inputs)
    one = torch.tensor(1.0)
    differences, relative, outputs = {}, [], predicted
    for size in BATCHES:
        batches = [batch.contiguous() for batch in torch.split(inputs, size)]
        outputs = torch.cat([run(batch).detach() for batch in batches])
        expected = torch.cat([deployed(batch) for batch in batches])
        differences[size] = largest_difference(outputs, expected, one)
        relative += [largest_difference(outputs, expected, unit)]
    relative += [largest_difference(outputs, predicted, unit)]
    from_predict = largest_difference(outputs, predicted, one)
    return Compared(differences, from_predict, max(relative), unit_words, words)


def units(deployed: Deployed, predicted: Tensor, inputs: Tensor) -> tuple[Tensor, str]:
    """What differences are divided by before they are judged, as outputs are or (), and in words.

    1 for probabilities and pixels. Float32 has seven digits in whatever unit: else it is the
    largest output, and in rows of a table the largest value of each column.
    """
    if (
        deployed.gives == "probabilities"
        or deployed.gives == "reconstructions"
        and inputs.ndim == 4
    ):
        return torch.tensor(1.0), ""
    if deployed.gives == "reconstructions":
        largest = torch.maximum(inputs.abs(), predicted.abs()).amax(0)  # (D,)
        words = "of each column's largest value"
    else:
        largest = predicted.abs().max()
        words = f"of the largest output, {float(largest):.4g}"
    return torch.where(largest > 0, largest, 1.0), words


def largest_difference(outputs: Tensor, expected: Tensor, unit: Tensor) -> float:
    """The largest absolute difference in this unit; infinite where shapes differ, or with a NaN.

    >>> largest_difference(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.5]), torch.tensor(1.0))
    0.5
    """
    if outputs.shape != expected.shape:
        return math.inf
    difference = (outputs.double() - expected.double()).abs() / unit
    return math.inf if difference.isnan().any() else float(difference.max())
