"""What a model card has to warn of: what the network was not tested on, and cannot know."""

from __future__ import annotations

from collections.abc import Iterator

from dlrun.export.deployed import Deployed
from dlrun.trained import Trained

BOSTON = (
    "The feature B of the Boston data encodes the share of Black residents on the assumption that "
    "segregation raises prices. The data set repeats older work; it is not for decisions about "
    "houses or people."
)


def limits(trained: Trained, deployed: Deployed) -> Iterator[str]:
    """One sentence or two for each limit, as Markdown; nothing in them is the run's own text."""
    data = trained.data
    yield (
        f"One network from one seed ({trained.settings.seed}): another seed gives other figures, "
        "and intervals tell only how much they hang on which samples were drawn."
    )
    yield (
        "Tested only on data drawn like the training data. On anything else its figures do not "
        "hold, and it does not notice."
    )
    if trained.settings.dataset["_target_"] == "dlrun.datasets.tabular.boston":
        yield BOSTON
    if deployed.gives == "probabilities":
        yield (
            "Probabilities are those of the network, which may be too sure of itself; whatever it "
            "is given, they sum to 1 over the known classes. `dlrun evaluate` tells how well they "
            "are calibrated."
        )
    if deployed.gives == "scores":
        yield "Scores are no probabilities: only which one is the largest has a meaning."
    if len(data.in_shape) == 3:
        yield from image_limits(trained, deployed)
    if data.transform == "log":
        yield "The network takes the logarithm of its inputs: each has to be above 0."
    if data.features and data.fill is None:
        yield "A missing value (NaN) makes the whole row's output NaN."


def image_limits(trained: Trained, deployed: Deployed) -> Iterator[str]:
    """Of networks that take images."""
    channels, height, width = trained.data.in_shape
    kind = "grey" if channels == 1 else f"{channels}-channel"
    yield (
        f"Images have to be brought to {height} x {width} pixels ({kind}) as those of the training "
        "data are: the same framing, and light on dark or dark on light as there. `dlrun predict` "
        "does that for files (`--invert` says how); the exported file does not."
    )
    if deployed.gives == "reconstructions":
        yield "Where the last layer is linear, pixels may lie beyond [0, 1]: clip before showing."
