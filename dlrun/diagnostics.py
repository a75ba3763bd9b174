"""Gradients, weights and activations of each layer every few steps, and whether they are sound."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dlrun.errors import UserError, printable

# Of a layer, in each record: its number of weights; L2 norms of their gradient, of themselves after
# the step and of their change by it; change / weights; shares of dead ReLUs, of saturated ones.
FIGURES = ("size", "grad", "weight", "update", "ratio", "dead", "saturated")
Layer = dict[str, float | None]

SATURATED = 0.02  # how near to its limits an activation is called saturated
EARLY = 10  # records that tell whether gradients vanish; a converged network has none to speak of
VANISHED = 1e-3  # RMS gradient of the first layer over that of the last
EXPLODED = 1e3  # the same ratio, and the norm of one layer's gradient


class Record(TypedDict):
    """What one step did to each layer: step (from 1), and by layer, input first, its FIGURES.

    A figure is None where there is none: grad of a frozen layer, dead of a layer without ReLU.
    """

    step: int
    layers: dict[str, Layer]


class Watch:
    """Looks at the first step and every `every_steps`-th; a step in between costs a comparison.

    A layer is a module that owns tensors of weights (ndim >= 2; neither biases nor
    normalisation), under its name in the model; layers come in the order of registration. Its
    activation is the first nn.ReLU, ReLU6, Sigmoid or Tanh that runs after it and before the next
    layer, in the first forward pass of the step; torch.compile shows none.

    dead: share of units (features or channels, dimension 1) that are 0 for the whole batch.
    saturated: share of all activations within 0.02 of a limit, 0 or 1 for a sigmoid, ±1 for tanh.

    Raises UserError for a model that has no such layer.
    """

    def __init__(self, model: nn.Module, every_steps: int) -> None:
        self.model = model
        self.every_steps = every_steps
        self.layers = weights_by_layer(model)
        if not self.layers:
            raise UserError(
                "diagnostics=gradients: looks at layers with a matrix of weights, this model has "
                "none (for example diagnostics=none)"
            )
        # Norms by layer that stood at the checkpoint that a run goes on from; its model has none.
        self.gradients_before: dict[str, float] = {}
        self._before: dict[str, list[Tensor]] = {}  # weights before the step under observation
        self._shares: dict[str, tuple[str, Tensor]] = {}  # by layer: figure and value ()
        self._last_layer: str | None = None
        self._hooks: list[torch.utils.hooks.RemovableHandle] = []

    def before_step(self, step: int) -> None:
        """To be called before the forward pass of each step; steps count from 1."""
        if step % self.every_steps != 0 and step != 1:
            return
        self.forget()
        self._before = {
            name: [weight.detach().clone() for weight in weights]
            for name, weights in self.layers.items()
        }
        self._add_hooks()

    def after_step(self, step: int) -> Record | None:
        """The record of a step that is under observation, else None.

        To be called after the update, while the gradients stand: so after they were clipped. With
        L-BFGS they are those of its last evaluation.
        """
        return self._record(step) if self._before else None

    def end(self, step: int) -> Record:
        """The record of a step that ended before its update, be it under observation or not.

        It has the gradients that stand, of this step or the one before, and no update.
        """
        self._before = {}
        return self._record(step)

    def gradients(self) -> dict[str, float]:
        """Norms of the gradients that stand, by layer; none for layers that have none."""
        found = {
            name: float(joint_norm(gradients))
            for name, weights in self.layers.items()
            if (gradients := [weight.grad for weight in weights if weight.grad is not None])
        }
        return found or self.gradients_before

    def _record(self, step: int) -> Record:
        record: Record = {"step": step, "layers": self._measure()}
        self.forget()
        return record

    def forget(self) -> None:
        """Takes the hooks off the model and lets the copied weights go."""
        for hook in self._hooks:
            hook.remove()
        self._hooks, self._before, self._shares, self._last_layer = [], {}, {}, None

    def _add_hooks(self) -> None:
        modules = dict(self.model.named_modules())
        for name in self.layers:
            if name in modules:  # a weight of the model itself runs nowhere
                self._hooks.append(modules[name].register_forward_hook(self._layer_hook(name)))
        for module in modules.values():
            if isinstance(module, (nn.ReLU, nn.ReLU6, nn.Sigmoid, nn.Tanh)):
                self._hooks.append(module.register_forward_hook(self._see_activation))

    def _layer_hook(self, name: str) -> Callable[[nn.Module, Any, Any], None]:
        def see_layer(module: nn.Module, inputs: Any, output: Any) -> None:
            if not torch.compiler.is_compiling():  # would be traced once and then left out
                self._last_layer = name

        return see_layer

    def _see_activation(self, module: nn.Module, inputs: Any, output: Tensor) -> None:
        name = self._last_layer
        if name is None or name in self._shares or output.ndim < 2:
            return
        output = output.detach()
        if isinstance(module, nn.Sigmoid):
            self._shares[name] = "saturated", near(output, 0.0, 1.0)
        elif isinstance(module, nn.Tanh):
            self._shares[name] = "saturated", near(output, -1.0, 1.0)
        else:
            self._shares[name] = "dead", dead_units(output)

    def _measure(self) -> dict[str, Layer]:
        """The figures of all layers, fetched from the device in one go."""
        found: dict[tuple[str, str], Tensor] = {}
        for name, weights in self.layers.items():
            gradients = [weight.grad for weight in weights if weight.grad is not None]
            if gradients:
                found[name, "grad"] = joint_norm(gradients)
            found[name, "weight"] = joint_norm(weights)
            if before := self._before.get(name):
                changes = [new.detach() - old for new, old in zip(weights, before, strict=True)]
                found[name, "update"] = joint_norm(changes)
        for name, (figure, share) in self._shares.items():
            found[name, figure] = share
        numbers = torch.stack([value.to(norm_dtype(value)) for value in found.values()]).tolist()
        figures: dict[str, Layer] = {name: dict.fromkeys(FIGURES) for name in self.layers}
        for (name, figure), number in zip(found, numbers, strict=True):
            figures[name][figure] = number
        if not any(figure == "grad" for _, figure in found):
            for name, norm in self.gradients_before.items():
                figures[name]["grad"] = norm
        for name, layer in figures.items():
            layer["size"] = sum(weight.numel() for weight in self.layers[name])
            update, weight_norm = layer["update"], layer["weight"]
            if update is not None and weight_norm:  # weights of 0 have no relative change
                layer["ratio"] = update / weight_norm
        return figures


def weights_by_layer(model: nn.Module) -> dict[str, list[nn.Parameter]]:
    """The parameters of at least two dimensions by the name of the module that owns them.

    One that the model itself owns stands under its own name.

    >>> list(weights_by_layer(nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 1))))
    ['0', '2']
    """
    layers: dict[str, list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.ndim >= 2:
            layers.setdefault(name.rpartition(".")[0] or name, []).append(parameter)
    return layers


def joint_norm(tensors: Iterable[Tensor]) -> Tensor:
    """L2 norm over all entries of the tensors, shape (), where the device can in float64.

    >>> joint_norm([torch.tensor([3e30]), torch.tensor([4e30])])  # the squares leave float32
    tensor(5.0000e+30, dtype=torch.float64)
    """
    norms = [torch.linalg.vector_norm(t.detach(), dtype=norm_dtype(t)) for t in tensors]
    norm: Tensor = torch.linalg.vector_norm(torch.stack(norms))
    return norm


def norm_dtype(tensor: Tensor) -> torch.dtype:
    """float64, or float32 on MPS, which has no other."""
    return torch.float32 if tensor.device.type == "mps" else torch.float64


def dead_units(outputs: Tensor) -> Tensor:
    """Share of the units of a ReLU that are 0 for every sample, shape ().

    Outputs (N, D), or (N, C, ...), where a unit is a channel and has to be 0 at every position.

    >>> dead_units(torch.tensor([[0.0, 0.0, 1.0, 0.0], [0.0, 2.0, 0.0, 0.0]]))
    tensor(0.5000)
    """
    others = [d for d in range(outputs.ndim) if d != 1]
    return (outputs.amax(others) == 0).float().mean()


def near(outputs: Tensor, low: float, high: float) -> Tensor:
    """Share of the outputs that lie within 0.02 of one of the limits, shape ().

    >>> near(torch.tensor([0.01, 0.5, 0.97, 0.99]), 0.0, 1.0)
    tensor(0.5000)
    """
    return ((outputs < low + SATURATED) | (outputs > high - SATURATED)).float().mean()


class Verdict(NamedTuple):
    """Whether gradients reach all layers in good size, and in one or two lines why."""

    kind: Literal["vanishing", "exploding", "sound"]
    text: str

    @property
    def headline(self) -> str:
        """The text without its numbers, such as `the gradient explodes`."""
        return self.text.partition(":")[0]


def verdict(records: Sequence[Record]) -> Verdict | None:
    """What the gradients of a run show; None where none were recorded.

    exploding: a gradient that is not finite or whose norm is above 1000 in one layer, at any
    time. (Losses of scaled data have gradients of order 1.)
    vanishing: the first layer's gradient is less than a thousandth of the last layer's; above a
    thousand times it also counts as exploding. Compared are RMS gradients, norm / sqrt(number of
    weights), so that a wide layer does not pass for a steep one; medians over the first 10
    records, since early training decides and a network that has converged has none anywhere.
    Frozen layers are left out, and steps whose update was refused, by the scaler of fp16 say.
    """
    learning = [record for record in records if gradients_of(record) and not is_refused(record)]
    if not learning:
        return None
    explosion = exploded(learning)
    if explosion is not None:
        return Verdict("exploding", f"the gradient explodes: {explosion}\n{CURES['exploding']}")
    first_records = learning[:EARLY]
    early = [list(gradients_of(record).items()) for record in first_records]
    (first, _), (last, _) = early[0][0], early[0][-1]
    first_rms = statistics.median(layers[0][1] for layers in early)
    last_rms = statistics.median(layers[-1][1] for layers in early)
    steps = f"median over steps {first_records[0]['step']:,} to {first_records[-1]['step']:,}"
    if first_rms == last_rms == 0:
        text = f"the gradient vanishes: it is 0 in {first} and in {last} ({steps})"
        return Verdict("vanishing", f"{text}\n{CURES['vanishing']}")
    ratio = first_rms / last_rms if last_rms > 0 else math.inf
    numbers = f"RMS gradient {first_rms:.2g} in {first}, {last_rms:.2g} in {last}: "
    numbers += f"a ratio of {ratio:.2g} ({steps})"
    if ratio < VANISHED:
        text = f"the gradient vanishes towards the input: {numbers}"
        return Verdict("vanishing", f"{text}\n{CURES['vanishing']}")
    if ratio > EXPLODED:
        text = f"the gradient explodes towards the input: {numbers}"
        return Verdict("exploding", f"{text}\n{CURES['exploding']}")
    if first == last:
        numbers = f"RMS gradient {last_rms:.2g} in {last}, the only layer that learns ({steps})"
    return Verdict("sound", f"gradients are sound: {numbers}")


CURES = {
    "vanishing": "what helps: model.activation=relu with model.init=kaiming_normal, "
    "regularization=batch_norm, fewer layers",
    "exploding": "what helps: smaller initial weights (model.init=kaiming_normal), a smaller "
    "learning rate, scaled data, regularization=grad_clip",
}


def gradients_of(record: Record) -> dict[str, float]:
    """RMS gradients by layer, input first, of those that have one."""
    return {
        name: layer["grad"] / math.sqrt(layer["size"] or 1)
        for name, layer in record["layers"].items()
        if layer["grad"] is not None
    }


def is_refused(record: Record) -> bool:
    """Whether a gradient was not finite and the weights were left as they stood for it."""
    return any(
        layer["grad"] is not None and not math.isfinite(layer["grad"]) and layer["update"] == 0
        for layer in record["layers"].values()
    )


def exploded(records: Iterable[Record]) -> str | None:
    """The first gradient that is not finite, else the largest one if it is too large, in words."""
    largest = (0.0, "", 0)
    for record in records:
        for name, layer in record["layers"].items():
            norm = layer["grad"]
            if norm is None:
                continue
            if not math.isfinite(norm):
                return f"its norm was {norm} in {name} at step {record['step']:,}"
            largest = max(largest, (norm, name, record["step"]))
    norm, name, step = largest
    if norm <= EXPLODED:
        return None
    return f"its norm reached {norm:.2g} in {name} at step {step:,} (expected at most 1,000)"


def to_line(record: Record) -> str:
    """The record as one line of JSON, numbers that JSON does not have as "inf", "-inf", "nan"."""
    layers = {
        name: {
            figure: str(value) if value is not None and not math.isfinite(value) else value
            for figure, value in layer.items()
        }
        for name, layer in record["layers"].items()
    }
    return json.dumps({"step": record["step"], "layers": layers}, allow_nan=False)


def read_records(path: Path) -> list[Record]:
    """The records that stand in a file as lines of `to_line`, none where there is no file.

    Raises UserError when a line is anything else.
    """
    if not path.exists():
        return []
    records: list[Record] = []
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            records.append(_from_line(line))
            whole = records[-1]["layers"].keys() == records[0]["layers"].keys()
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
            whole = False
        if not whole:
            raise UserError(
                f"{printable(str(path))}: damaged, line {number} is no record of diagnostics "
                "(delete the file, or put it back as it was)"
            )
    return records


def _from_line(line: bytes) -> Record:
    content = json.loads(line)
    layers = {
        str(name): {
            figure: None if layer[figure] is None else float(layer[figure]) for figure in FIGURES
        }
        for name, layer in content["layers"].items()
    }
    return {"step": int(content["step"]), "layers": layers}


class Arrays(NamedTuple):
    """Figures of L layers, input first, at T steps: (L, T) each, NaN where there is none."""

    layers: list[str]
    steps: NDArray[np.int64]
    grad_norms: NDArray[np.float64]
    ratios: NDArray[np.float64]
    dead: NDArray[np.float64]
    saturated: NDArray[np.float64]


def arrays(records: Sequence[Record]) -> Arrays:
    """The records of one run as arrays to draw; layers are those of the first record."""
    layers = list(records[0]["layers"]) if records else []

    def table(figure: str) -> NDArray[np.float64]:
        rows = [[record["layers"][name][figure] for record in records] for name in layers]
        return np.array(rows, dtype=np.float64).reshape(len(layers), len(records))  # None: NaN

    return Arrays(
        layers=layers,
        steps=np.array([record["step"] for record in records], dtype=np.int64),
        grad_norms=table("grad"),
        ratios=table("ratio"),
        dead=table("dead"),
        saturated=table("saturated"),
    )


TAGS = {
    "grad": "gradients",
    "weight": "weights",
    "update": "updates",
    "ratio": "update_ratio",
    "dead": "dead_relus",
    "saturated": "saturated",
}


def scalars(record: Record) -> dict[str, float]:
    """The figures of a record by TensorBoard tag, such as `gradients/layers.hidden_1`."""
    return {
        f"{tag}/{name}": value
        for name, layer in record["layers"].items()
        for figure, tag in TAGS.items()
        if (value := layer[figure]) is not None
    }
