"""Whether gradients reach all layers in good size."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from dlrun.diagnostics.records import Record

EARLY = 10  # records that tell whether gradients vanish; a converged network has none to speak of
VANISHED = 1e-3  # RMS gradient of the first layer over that of the last
EXPLODED = 1e3  # the same ratio, and the norm of one layer's gradient

CURES = {
    "vanishing": "what helps: model.activation=relu with model.init=kaiming_normal, "
    "regularization=batch_norm, fewer layers",
    "exploding": "what helps: smaller initial weights (model.init=kaiming_normal), a smaller "
    "learning rate, scaled data, regularization=grad_clip",
}


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
