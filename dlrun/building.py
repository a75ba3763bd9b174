"""From the config to what trains: the model with its first weights, and the recipe."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from torch import nn

from dlrun import losses, optimizers, schema
from dlrun.augment import shift_and_rotate
from dlrun.batches import resolve_batch_size, take
from dlrun.check import MODEL_KEYS
from dlrun.datasets import Splits
from dlrun.device import Compute
from dlrun.errors import UserError
from dlrun.evaluation import Criterion
from dlrun.models.summary import total_parameters
from dlrun.randomness import stream_seed
from dlrun.state import Augment, Recipe
from dlrun.transfer import freeze, load_weights, training_mode

MONITORS = {"binary": "accuracy/val", "multiclass": "accuracy/val"}  # others: loss/val
MOST_SNAPSHOTS = 48  # of a run
LARGEST_SNAPSHOT = 20_000  # parameters; checkpoints hold all of them


def build_model(
    settings: schema.Config, data: Splits, compute: Compute, *, resumed: bool
) -> tuple[nn.Module, list[str]]:
    """The configured network on the device, and what to know of the weights it starts from.

    Initial weights hang on the seed alone, on the training data where the model has a method
    `start_from` (inputs, targets), or on model.init_from; `resumed` ones come later.
    """
    torch.manual_seed(stream_seed(settings.seed, "init"))
    init_from, patterns = (settings.model.get(key) for key in MODEL_KEYS)
    out_features = losses.out_features(
        settings.loss.name, data.task, len(data.classes), data.in_shape
    )
    model = call_model(settings.model, data.in_shape, out_features).to(compute.device)
    check_output(model, data, out_features, compute)
    notes = []
    start_from = getattr(model, "start_from", None)
    if callable(start_from) and not resumed:
        start_from(data.train.inputs, data.train.targets)
    if init_from is not None and not resumed:
        notes = load_weights(model, Path(init_from))
    freeze(model, patterns or ())
    if settings.device.compile:
        model.compile()
    torch.manual_seed(stream_seed(settings.seed, "dropout"))
    return model, notes


def call_model(node: Mapping[str, Any], in_shape: tuple[int, ...], out_features: int) -> nn.Module:
    """The network that a model's config names, on the CPU, with new weights."""
    own = {key: value for key, value in node.items() if key not in MODEL_KEYS}
    factory = instantiate({"_convert_": "all", **own})
    model: nn.Module = factory(in_shape=in_shape, out_features=out_features)
    return model


def check_output(model: nn.Module, data: Splits, out_features: int, compute: Compute) -> None:
    """Raises UserError when a model of the user's does not give outputs (N, out_features).

    An autoencoder has to give what has the shape of its inputs.
    """
    example = take(data.train.inputs, torch.arange(min(2, len(data.train))))
    example = example.to(compute.device)
    version = example._version  # counts changes in place
    model.eval()
    with torch.no_grad():
        outputs = model(example)
    if example._version != version:
        raise UserError(
            "model: changes its inputs in place, which would spoil the data for later epochs "
            "(type inplace=False in its first layer)"
        )
    if data.task == "reconstruction":
        expected, meaning = tuple(example.shape), "the shape of the inputs"
    else:
        expected = (len(example), out_features)
        meaning = f"one row a sample, out_features={out_features} columns"
    if tuple(outputs.shape) != expected:
        raise UserError(
            f"model: gives outputs of shape {tuple(outputs.shape)} for {len(example)} samples, "
            f"expected {expected}: {meaning}"
        )


def check_batch_norm(model: nn.Module, batch_size: int) -> None:
    """Raises UserError when batch normalisation would have one sample to normalise over."""
    training_mode(model)  # frozen ones do not normalise over the batch
    if batch_size == 1 and any(
        isinstance(m, nn.modules.batchnorm._BatchNorm) and m.training for m in model.modules()
    ):
        raise UserError(
            "batch_size=1: batch normalisation needs at least 2 samples in a batch "
            "(for example batch_size=32)"
        )


def build_optimizer(
    settings: schema.Config, model: nn.Module, compute: Compute
) -> torch.optim.Optimizer:
    """The configured optimizer, holding the parameters of the model."""
    return optimizers.build(
        instantiate({"_convert_": "all", **settings.optimizer}),
        model,
        weight_decay=settings.regularization.weight_decay,
        device=compute.device,
    )


def build_recipe(settings: schema.Config, data: Splits, model: nn.Module) -> Recipe:
    """How to train, from the closed settings."""
    criterion, evaluation_criterion = build_criteria(settings, data)
    return Recipe(
        criterion=criterion,
        evaluation_criterion=evaluation_criterion,
        epochs=num_epochs(settings),
        batch_size=resolve_batch_size(settings.batch_size, len(data.train)),
        seed=settings.seed,
        monitor=resolve_monitor(settings.monitor, data),
        regularization=settings.regularization,
        scheduler=settings.scheduler,
        stopping=settings.stopping,
        checkpoint=settings.checkpoint,
        augment=build_augment(settings.regularization, data),
        log_every_steps=settings.log_every_steps,
        watch_every_steps=settings.diagnostics.every_steps
        if settings.diagnostics.gradients
        else None,
        snapshot_epochs=snapshot_epochs(settings, data, model),
    )


def build_criteria(settings: schema.Config, data: Splits) -> tuple[Criterion, Criterion]:
    """The loss that training descends, and that of evaluation, without label smoothing."""
    if data.objective is not None:
        return data.objective, data.objective
    loss_function = functools.partial(
        losses.loss_function, settings.loss.name, huber_delta=settings.loss.huber_delta
    )
    smoothing = settings.regularization.label_smoothing
    return loss_function(label_smoothing=smoothing), loss_function()


def snapshot_epochs(settings: schema.Config, data: Splits, model: nn.Module) -> frozenset[int]:
    """The epochs whose weights are kept, for the animation of how regions of the plane grow.

    Few and dense at first, when most happens; none where there is no such picture to draw.
    """
    small = total_parameters(model).parameters <= LARGEST_SNAPSHOT
    if not (settings.animations and small and data.classes and data.in_shape == (2,)):
        return frozenset()
    last = MOST_SNAPSHOTS - 1
    return frozenset(round(num_epochs(settings) * (k / last) ** 2) for k in range(last + 1))


def num_epochs(settings: schema.Config) -> int:
    """The epochs to train, which `debug` may cap."""
    cap = settings.debug.max_epochs
    return settings.epochs if cap is None else min(settings.epochs, cap)


def resolve_monitor(monitor: str, data: Splits) -> str:
    """The metric that tells the best epoch: accuracy/val for classes, loss/val for all else."""
    return MONITORS.get(data.task, "loss/val") if monitor == "auto" else monitor


def build_augment(knobs: schema.Regularization, data: Splits) -> Augment | None:
    """The transform of training batches, or None; pixels that move in are background (0)."""
    if knobs.augment_shift == 0 and knobs.augment_degrees == 0:
        return None
    if data.task == "reconstruction":
        raise UserError(
            "regularization=augment: an autoencoder would have to give back images that it has "
            "not seen (leave augment out)"
        )
    if len(data.in_shape) != 3:
        raise UserError(
            "regularization=augment: expected images (C, H, W), this data set gives "
            f"{data.in_shape} (choose another dataset, or leave augment out)"
        )
    background = torch.zeros(data.in_shape[0], 1, 1)
    fill = background if data.input_scaling is None else data.input_scaling.apply(background)

    def augment(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        return shift_and_rotate(
            images,
            max_shift=knobs.augment_shift,
            max_degrees=knobs.augment_degrees,
            fill=fill.to(images.device),
            generator=generator,
        )

    return augment
