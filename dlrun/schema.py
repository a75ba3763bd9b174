"""Every closed setting of a run: its type, default, unit and range, each stated once.

Hydra checks types against these classes while it composes; `dlrun.check` checks the ranges.
Open sets (model, optimizer, dataset) are plain dictionaries with a `_target_`: their types and
defaults stand in their YAML files and in the signatures of what they call.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Optional, Union

from omegaconf import MISSING

OPEN_GROUPS = ("model", "optimizer", "dataset")
CLOSED_GROUPS = (
    *("regularization", "device", "loss", "scheduler", "stopping"),
    *("diagnostics", "debug"),
)
GROUPS = OPEN_GROUPS + CLOSED_GROUPS


def setting(
    default: Any,
    *,
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    lt: float | None = None,
    choices: tuple[str, ...] = (),
    example: Any = None,
) -> Any:
    """A dataclass field with its range (greater or equal, greater, …) and an example to type."""
    limits = {"ge": ge, "gt": gt, "le": le, "lt": lt}
    metadata = {key: limit for key, limit in limits.items() if limit is not None}
    if choices:
        metadata["choices"] = choices  # type: ignore[assignment]
    if example is not None:
        metadata["example"] = example
    return field(default=default, metadata=metadata)


# OmegaConf reads these annotations itself: it wants Optional and Union, not `X | None`.
@dataclass
class Regularization:
    """Every knob against overfitting; all are off. A chosen knob that nothing consumes is an error.

    Consumers: dropout and batch_norm the model, weight_decay the optimizer, l1 and
    label_smoothing the loss, augment_* the batch, early_stopping_* and max_grad_norm the loop.
    """

    dropout: float = setting(0.0, ge=0, lt=1, example=0.5)  # probability of zeroing a hidden unit
    batch_norm: bool = False  # normalise hidden activations over the batch
    weight_decay: Optional[float] = setting(
        None, ge=0, example=1e-4
    )  # strength of L2; null: the optimizer's own default (AdamW 0.01, others 0)
    l1: float = setting(0.0, ge=0, example=1e-5)  # strength of the sum of absolute weights
    label_smoothing: float = setting(0.0, ge=0, lt=1, example=0.1)  # share spread over all classes
    augment_shift: float = setting(0.0, ge=0, example=2)  # largest random shift in pixels
    augment_degrees: float = setting(0.0, ge=0, le=180, example=10)  # largest random rotation
    early_stopping_patience: Optional[int] = setting(
        None, ge=1, example=5
    )  # epochs without a better `monitor` before the run stops; null: never
    early_stopping_min_delta: float = setting(0.0, ge=0, example=1e-3)  # what counts as better
    max_grad_norm: Optional[float] = setting(
        None, gt=0, example=1.0
    )  # clip the gradient to this L2 norm


@dataclass
class Device:
    """Where a run computes, and how exactly."""

    name: str = "auto"  # auto (cuda, else mps, else cpu), cpu, cuda, cuda:N, mps
    precision: str = setting("fp32", choices=("fp32", "bf16", "fp16"))  # fp16 scales the loss
    compile: bool = False  # torch.compile the model: slow first step, pays on long runs
    threads: Optional[int] = setting(
        None, ge=1, le=512, example=2
    )  # CPU threads; null: torch's choice
    deterministic: bool = True  # only algorithms that repeat bit for bit on this machine


@dataclass
class Loss:
    """What training minimises."""

    name: str = setting(
        "auto",
        choices=("auto", "cross_entropy", "nll", "bce", "hinge", "mse", "mae", "huber"),
    )  # auto: cross_entropy for classes, bce for two classes, mse for regression
    huber_delta: float = setting(1.0, gt=0, example=1.0)  # error at which huber turns linear


@dataclass
class Scheduler:
    """How the learning rate moves; the optimizer's lr is multiplied by a factor each step."""

    name: str = setting(
        "constant",
        choices=("constant", "step", "cosine", "one_cycle", "linear_warmup", "plateau"),
    )  # step, cosine, one_cycle and linear_warmup act every step, plateau between epochs
    step_epochs: int = setting(5, ge=1, example=5)  # step: epochs between two drops
    gamma: float = setting(0.1, gt=0, le=1, example=0.1)  # step, plateau: factor of a drop
    patience: int = setting(3, ge=0, example=3)  # plateau: epochs without improvement before a drop
    warmup_fraction: float = setting(
        0.1, ge=0, le=1, example=0.1
    )  # linear_warmup: share of all steps; one_cycle has its own
    peak_fraction: float = setting(0.3, gt=0, lt=1, example=0.3)  # one_cycle: where the peak lies
    start_factor: float = setting(0.04, gt=0, le=1, example=0.04)  # one_cycle: first lr / peak lr
    end_factor: float = setting(
        0.0, ge=0, le=1, example=0.01
    )  # cosine, one_cycle: last lr as a share of the peak lr


@dataclass
class Stopping:
    """When a run ends before its `epochs` are over; null: this criterion is off."""

    max_steps: Optional[int] = setting(None, ge=1, example=1000)  # optimizer steps
    max_seconds: Optional[float] = setting(None, gt=0, example=60)  # of training
    target_metric: Optional[str] = None  # a metric's name, such as accuracy/val
    target_value: Optional[float] = None  # reached from below or above, as the metric improves
    min_update: Optional[float] = setting(
        None, gt=0, example=1e-4
    )  # L2 norm of the change of all parameters over an epoch
    min_grad_norm: Optional[float] = setting(
        None, gt=0, example=1e-3
    )  # mean L2 norm of the gradient over an epoch's logged steps
    divergence_factor: Optional[float] = setting(
        None, gt=1, example=10
    )  # loss/train over its value before training
    on_divergence: str = setting(
        "stop", choices=("stop", "skip_batch")
    )  # at a loss or gradient that is not finite: end the run, or leave out this one update


@dataclass
class Diagnostics:
    """What is watched while training, at some cost in speed."""

    gradients: bool = False  # norms of gradients, weights and updates by layer; dead units
    every_steps: int = setting(10, ge=1, example=10)  # optimizer steps between two looks


@dataclass
class Checkpoint:
    """When checkpoints/last.pt is written, besides at the end; each of them that is set counts."""

    every_epochs: Optional[int] = setting(1, ge=1, example=1)  # null: not by epochs
    every_steps: Optional[int] = setting(None, ge=1, example=500)  # in the middle of epochs too
    every_minutes: Optional[float] = setting(None, gt=0, example=10)  # at the next step after it


@dataclass
class Debug:
    """Short cuts that make a run quick or talkative; never for results."""

    max_batches: Optional[int] = setting(None, ge=1, example=2)  # per epoch and per evaluation
    max_epochs: Optional[int] = setting(None, ge=1, example=1)  # caps `epochs`
    overfit_batches: Optional[int] = setting(None, ge=1, example=1)  # train on these alone
    profile: bool = False  # torch.profiler trace of a few steps, in profile/
    traceback: bool = False  # show Python tracebacks with errors


@dataclass
class Sweeper:
    """hydra.sweeper: which jobs a sweep consists of. Values are in Hydra's grammar or lists."""

    params: Any = None  # a mapping: every value with every other
    cases: list[Any] = field(default_factory=list)  # each a mapping, crossed with params
    zipped: list[Any] = field(default_factory=list)  # each a mapping of lists that go together
    search: str = setting("grid", choices=("grid", "random", "tpe", "cmaes"))  # grid: all of them
    n_trials: int = setting(30, ge=1, example=30)  # of a search other than grid
    metric: str = "auto"  # by which jobs are compared; auto: their monitor
    direction: str = setting(
        "auto", choices=("auto", "maximize", "minimize")
    )  # auto: accuracy and r2 are maximized, all else is minimized
    pruner: str = setting("none", choices=("none", "median", "halving"))  # gives up poor trials
    repeat_best: Any = None  # {of_each: optimizer, seeds: range(10)}: when all are over,
    # the best setting for each value of the swept key is run with each of the seeds
    dry_run: bool = False  # list the jobs instead of running them


@dataclass
class Config:
    """One run. What people sweep stands at the top level."""

    model: Any = field(
        default_factory=lambda: {
            "init_from": None,  # a run directory or a file of weights to start from
            "freeze": [],  # what stays as it is: parameters, modules or patterns of either
        }
    )  # and the keys of the chosen model, which may set these two as well
    optimizer: Any = MISSING
    dataset: Any = MISSING
    regularization: Regularization = field(default_factory=Regularization)
    device: Device = field(default_factory=Device)
    loss: Loss = field(default_factory=Loss)
    scheduler: Scheduler = field(default_factory=Scheduler)
    stopping: Stopping = field(default_factory=Stopping)
    diagnostics: Diagnostics = field(default_factory=Diagnostics)
    debug: Debug = field(default_factory=Debug)
    checkpoint: Checkpoint = field(default_factory=Checkpoint)  # when one is written
    seed: int = setting(0, ge=0, lt=2**63, example=0)  # of split, initial weights, order, dropout
    epochs: int = setting(10, ge=0, example=10)  # passes over the training split
    batch_size: Union[int, str] = 64  # samples a step; full: all at once (gradient descent)
    monitor: str = "auto"  # best epoch by: accuracy/val for classes, loss/val for all else
    baselines: list[str] = field(
        default_factory=list
    )  # scikit-learn's, on the same splits: constant, linear, knn, random_forest; pca for
    # autoencoders
    data_dir: Optional[str] = None  # null: $DLRUN_DATA_DIR, else the user's cache folder
    log_every_steps: int = setting(50, ge=1, example=50)  # thins the loss of single minibatches
    figures: bool = True  # draw figures/*.png at the end
    animations: bool = False  # and figures/*.gif, which takes some seconds
    quiet: bool = False  # -q: no output but errors
