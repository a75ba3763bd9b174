"""What scikit-learn makes of the same splits: the figures that a network has to beat."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from dlrun.datasets.splits import Inputs, Split, Splits, Task
from dlrun.errors import UserError, nearest, shown
from dlrun.metrics import Meter
from dlrun.randomness import stream_seed

if TYPE_CHECKING:
    from numpy.typing import NDArray

BASELINES = ("constant", "linear", "knn", "random_forest", "pca")
# What each task has of them.
SUITABLE: dict[Task, tuple[str, ...]] = {
    **dict.fromkeys(("binary", "multiclass", "regression"), BASELINES[:-1]),
    "reconstruction": ("pca",),
    "surface": (),
}

TREES = 50
NEIGHBOURS = 5
ITERATIONS = 1000  # of logistic regression; 5,000 standardised digits take about 130

Figures = dict[str, float | None]


class Estimator(Protocol):
    """What is used of scikit-learn's estimators."""

    def fit(self, inputs: NDArray[Any], targets: NDArray[Any]) -> Any: ...

    def predict(self, inputs: NDArray[Any]) -> NDArray[Any]: ...


def check_names(names: Sequence[str]) -> list[str]:
    """A line for each of the names that is no baseline.

    >>> check_names(["linear", "knm"])
    ['baselines=[knm]: expected constant, linear, knn, random_forest, pca; did you mean knn?']
    """
    return [
        f"baselines=[{shown(name)}]: expected {', '.join(BASELINES)}"
        f"{nearest(str(name), BASELINES) or ' (for example baselines=[linear,constant])'}"
        for name in names
        if name not in BASELINES
    ]


def measure(
    names: Sequence[str], data: Splits, seed: int, model: nn.Module | None = None
) -> tuple[dict[str, Figures], tuple[str, ...]]:
    """Figures by baseline, such as `mse/test`, and notes on what to know of them.

    Fitted to the training split as the network sees it, inputs (N, D) flattened and scaled.
    Regression: linear is LinearRegression, random_forest RandomForestRegressor(50), knn
    KNeighborsRegressor(5), constant the mean. Classes: linear is LogisticRegression (L2, C = 1),
    random_forest RandomForestClassifier(50), knn KNeighborsClassifier(5), constant the most
    frequent class. Definitions and units are those of the network's own metrics; there is no
    loss. None: undefined, or an empty split. Among 60,000 images knn takes minutes: it compares
    each with every training sample. Reconstruction: pca with as many components as the code of
    `model` has numbers; where the decoder is linear also `principal_angle`, the largest angle in
    degrees between its subspace and that of the components.

    Raises UserError for names that are no baselines of this task, and for inputs that are streamed.
    """
    if faults := check_names(names):
        raise UserError("\n".join(faults))
    if not names:
        return {}, ()
    require_suitable(names, data)
    if data.task == "reconstruction":
        assert model is not None
        return measure_pca(data, seed, model)
    inputs = {name: table(part.inputs, data) for name, part in parts_of(data).items()}
    targets = data.train.targets.flatten().cpu().numpy()  # (N,)
    figures: dict[str, Figures] = {}
    notes: list[str] = []
    for name in dict.fromkeys(names):
        estimator = build(name, data, stream_seed(seed, "baselines", bits=32))
        notes += fit(name, estimator, inputs["train"], targets)
        figures[name] = {}
        for part, split in parts_of(data).items():
            scored = score(estimator, inputs[part], split, data)
            figures[name] |= {f"{metric}/{part}": value for metric, value in scored.items()}
    if "knn" in figures and len(data.train) < NEIGHBOURS:
        notes.append(f"baseline knn: {len(data.train)} neighbours, there are no more samples")
    return figures, tuple(notes)


def require_suitable(names: Sequence[str], data: Splits) -> None:
    """Raises UserError for data that scikit-learn's estimators cannot be fitted to."""
    given = f"baselines=[{','.join(names)}]"
    accepted = SUITABLE[data.task]
    if not set(names) <= set(accepted):
        hint = f"expected {', '.join(accepted)}" if accepted else "expected none"
        raise UserError(
            f"{given}: {hint}, for the task is {data.task} "
            f"(for example baselines=[{','.join(accepted[:2])}])"
        )
    if not all(isinstance(part.inputs, Tensor) for part in parts_of(data).values()):
        raise UserError(
            f"{given}: needs all inputs in memory, this data set is read batch by batch\n"
            "(raise dataset.max_gigabytes if there is room, take smaller images, or leave "
            "baselines out)"
        )


def parts_of(data: Splits) -> Mapping[str, Split]:
    return {"train": data.train, "val": data.val, "test": data.test}


def table(inputs: Inputs, data: Splits) -> NDArray[Any]:
    """Inputs (N, D), in float64 for regression: columns nearly alike spoil least squares sooner."""
    assert isinstance(inputs, Tensor)
    rows = inputs.flatten(1).cpu()
    return (rows.double() if data.task == "regression" else rows.float()).numpy()


def build(name: str, data: Splits, seed: int) -> Estimator:
    """The estimator of that name for the task, not yet fitted. Importing scikit-learn is slow."""
    regression = data.task == "regression"
    neighbours = min(NEIGHBOURS, len(data.train))
    estimator: Estimator
    if name == "constant":
        from sklearn.dummy import DummyClassifier, DummyRegressor

        estimator = DummyRegressor() if regression else DummyClassifier(strategy="most_frequent")
    elif name == "linear":
        from sklearn.linear_model import LinearRegression, LogisticRegression

        estimator = LinearRegression() if regression else LogisticRegression(max_iter=ITERATIONS)
    elif name == "knn":
        from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

        estimator = (KNeighborsRegressor if regression else KNeighborsClassifier)(neighbours)
    else:
        from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

        assert name == "random_forest"
        forest = RandomForestRegressor if regression else RandomForestClassifier
        estimator = forest(TREES, random_state=seed)
    return estimator


def fit(
    name: str, estimator: Estimator, inputs: NDArray[Any], targets: NDArray[Any]
) -> tuple[str, ...]:
    """Fits the estimator; a note if it gave up before it had converged."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        estimator.fit(inputs, targets)
    converged = True
    for warning in caught:
        if issubclass(warning.category, ConvergenceWarning):
            converged = False
        else:  # not ours to keep back
            warnings.warn_explicit(
                warning.message, warning.category, warning.filename, warning.lineno
            )
    if converged:
        return ()
    return (
        f"baseline {name}: not converged after {ITERATIONS:,} iterations "
        "(inputs that are not standardised often are why)",
    )


def score(estimator: Estimator, inputs: NDArray[Any], split: Split, data: Splits) -> Figures:
    """The metrics of one split by name, from the meter that measures networks, without a loss."""
    meter = Meter(data.task, data.target_scaling)
    if len(split):
        predictions = torch.from_numpy(np.asarray(estimator.predict(inputs)))  # (N,)
        if data.task == "regression":
            outputs = predictions.unsqueeze(1)  # (N, 1)
        else:
            outputs = nn.functional.one_hot(predictions, len(data.classes)).float()  # (N, K)
        meter.add(outputs, split.targets.cpu(), torch.zeros(()))
    return {name: value for name, value in meter.result().items() if name != "loss"}


@torch.no_grad()
def measure_pca(
    data: Splits, seed: int, model: nn.Module
) -> tuple[dict[str, Figures], tuple[str, ...]]:
    """Figures of PCA on what is to be reconstructed; a note on the angle to a linear decoder."""
    from sklearn.decomposition import PCA

    example = data.train.rows(torch.tensor([0]))
    assert isinstance(example.inputs, Tensor)
    code: Tensor = model.encode(example.inputs)  # type: ignore[operator]
    rows = {name: part.targets.flatten(1).cpu().numpy() for name, part in parts_of(data).items()}
    num_components = min(code.shape[1], *rows["train"].shape)
    pca = PCA(num_components, random_state=stream_seed(seed, "baselines", bits=32))
    pca.fit(rows["train"])
    figures: Figures = {}
    for part, targets in rows.items():
        meter = Meter(data.task)
        if len(targets):
            outputs = pca.inverse_transform(pca.transform(targets)).astype(np.float32)
            meter.add(torch.from_numpy(outputs), torch.from_numpy(targets), torch.zeros(()))
        found = meter.result()
        figures |= {f"{name}/{part}": found[name] for name in ("mse", "mae")}
    directions = linear_directions(model, code)
    if directions is None or num_components < code.shape[1]:
        return {"pca": figures}, ()
    from scipy.linalg import subspace_angles

    angle = float(np.degrees(subspace_angles(directions, pca.components_.T).max()))
    figures["principal_angle"] = angle
    note = f"largest angle between the decoder's subspace and that of PCA: {angle:.2f} degrees"
    return {"pca": figures}, (f"{note} (of {num_components} dimensions)",)


def linear_directions(model: nn.Module, code: Tensor) -> NDArray[Any] | None:
    """What each number of the code adds to the output, (D, latent_dim).

    None: not linear, or the same whatever the code. code: (1, latent_dim), for shape and device.
    """
    steps = torch.eye(code.shape[1], device=code.device, dtype=code.dtype)
    zero = torch.zeros_like(steps[:1])
    decoded: Tensor = model.decode(torch.cat([zero, steps, -3 * steps]))  # type: ignore[operator]
    flat = decoded.flatten(1).cpu().double()  # (1 + 2 * latent_dim, D)
    ahead, behind = (flat[1:] - flat[:1]).chunk(2)
    largest = float(ahead.abs().max())
    if not 0 < largest < math.inf:
        return None
    if not torch.allclose(-3 * ahead, behind, rtol=1e-3, atol=1e-4 * largest):
        return None
    return ahead.T.numpy()
