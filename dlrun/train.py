"""The single entrypoint: one composed config in, one trained model and its run directory out.

Here the config ends: everything below takes plain arguments.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig
from torch import nn

from dlrun import losses, optimizers, schema
from dlrun.augment import shift_and_rotate
from dlrun.batches import resolve_batch_size, take
from dlrun.check import MODEL_KEYS, SPLIT_KEYS, check, plain
from dlrun.data_dir import data_root
from dlrun.datasets import Samples, Split, Splits, split
from dlrun.debugging import profiling, shorten
from dlrun.describe import fingerprint, same_data
from dlrun.device import Compute, open_device
from dlrun.endings import cure, endings_told
from dlrun.errors import Failure, UserError
from dlrun.evaluation import Line, evaluate
from dlrun.failures import failures_told
from dlrun.loop import fit
from dlrun.presentation import draw, introduce
from dlrun.randomness import stream_seed
from dlrun.runlog import RunLog
from dlrun.signals import Requests, listening
from dlrun.state import Augment, Fitted, Recipe
from dlrun.targets import Trust
from dlrun.terminal import Terminal, display_path, typed_path
from dlrun.transfer import freeze, load_weights, training_mode

if TYPE_CHECKING:
    import pandas

MONITORS = {"binary": "accuracy/val", "multiclass": "accuracy/val", "regression": "loss/val"}
# Status of runs that were cut short, by what stopped them.
ENDINGS = {"divergence": "diverged", "pruned": "pruned"}


@dataclass(frozen=True)
class Host:
    """What a sweep lends to each of its jobs; a run of its own has none of it.

    load: the splits for a config, which jobs may share. requests: of the signals that the sweep
    listens to. prune: whether a search gives the run up, asked with the line of each epoch.
    """

    load: Callable[[schema.Config], Splits]
    requests: Requests | None = None
    prune: Callable[[Line], bool] | None = None


@dataclass
class Result:
    """One finished run.

    model: with its best weights, in evaluation mode. metrics: figures at the best epoch, by the
    names of the TensorBoard tags, and those of the test split. lines: metrics.jsonl.
    advice: two lines on why it diverged and what to try; None for a run that did not.
    """

    run_dir: Path
    status: str
    stopped_by: str
    best_epoch: int
    metrics: Line
    lines: list[Line]
    model: nn.Module
    best_value: float | None
    advice: str | None = None

    @property
    def history(self) -> pandas.DataFrame:
        """One row an epoch, epoch 0 (before training) included; columns as in metrics.jsonl."""
        import pandas

        return pandas.DataFrame(self.lines)

    @property
    def exit_code(self) -> int:
        """What the command line ends with: 0, or 3 for a run that diverged."""
        return 3 if self.status == "diverged" else 0


def train(
    config: DictConfig,
    *,
    run_dir: Path,
    choices: Mapping[str, Any],
    overrides: Sequence[str] = (),
    checkpoint: Mapping[str, Any] | None = None,
    trust: Trust = "own",
    host: Host | None = None,
) -> Result:
    """The result of the run that `config` describes, recorded in `run_dir`.

    choices: what was chosen of each group, to name things by. checkpoint: of the same run, to go
    on from. trust: whose config it is, see dlrun.targets. host: the sweep that it is a job of,
    which tells the terminal in its stead.
    Raises UserError for bad input, Failure for a full disk and the like, Interrupted by a signal.
    """
    terminal = Terminal(quiet=bool(config.quiet) or host is not None)
    is_checked = host is not None  # by whoever planned the sweep, before its first job
    host = host or Host(load_data)
    with (
        listening(host.requests) as requests,
        endings_told(run_dir, config),
        failures_told(),
        RunLog(run_dir, overrides=overrides, terminal=terminal, checkpoint=checkpoint) as log,
    ):
        again = checkpoint is not None
        settings = plain(config) if is_checked else check(config, choices, trust, resumed=again)
        compute = open_device(
            settings.device.name,
            precision=settings.device.precision,
            threads=settings.device.threads,
            deterministic=settings.device.deterministic,
        )
        with own_random_numbers(settings.seed, compute):
            loaded = load_all(settings, host.load, again=again)
            data = to_device(shorten(loaded, settings), compute)
            settings.loss.name = losses.resolve(settings.loss.name, data.task, len(data.classes))
            model, notes = build_model(settings, data, compute, resumed=again)
            optimizer = optimizers.build(
                instantiate({"_convert_": "all", **settings.optimizer}),
                model,
                weight_decay=settings.regularization.weight_decay,
                device=compute.device,
            )
            recipe = build_recipe(settings, data)
            check_batch_norm(model, recipe.batch_size)
            if checkpoint is not None:
                check_same_data(data, checkpoint)
            introduce(log, config, settings, choices, data, model, recipe, compute, notes)
            resumed = None if checkpoint is None else (checkpoint, log.history)
            with profiling(log, on=settings.debug.profile):
                fitted = fit(
                    *(model, optimizer, data, recipe, compute, log),
                    requests=requests,
                    resumed=resumed,
                    prune=host.prune,
                )
            log.keep_best(fitted.best_epoch, fitted.best_value, fitted.best_state)
            model.load_state_dict(fitted.best_state)
            test = evaluate(model, recipe.evaluation_criterion, data.test, data, compute)
            metrics = dict(fitted.history[fitted.best_epoch])
            metrics |= {f"{name}/test": value for name, value in test.items()}
            if settings.figures:
                draw(log, fitted, data, model, compute)
            return conclude(log, fitted, metrics, model, settings)


def load_data(settings: schema.Config) -> Splits:
    """The splits of the configured data set: ready-made ones, or its samples split and scaled."""
    node = dict(settings.dataset)
    options = {key: node.pop(key) for key in SPLIT_KEYS if key in node}
    source = instantiate({"_convert_": "all", **node})
    loaded = source(data_dir=data_root(settings.data_dir), seed=settings.seed)
    if isinstance(loaded, Samples):
        if missing := [key for key in SPLIT_KEYS if key not in options]:
            raise UserError(
                f"dataset.{missing[0]}: needs a value, for dlrun splits this data set; its config "
                f"has to have {', '.join(SPLIT_KEYS)}"
            )
        loaded = split(loaded, seed=settings.seed, **options)
    if not isinstance(loaded, Splits):
        raise UserError(
            f"dataset._target_={node['_target_']}: expected Samples or Splits from dlrun.datasets, "
            f"got {type(loaded).__name__}"
        )
    if len(loaded.train) == 0:
        raise UserError("dataset: the training split is empty, expected at least one sample")
    return loaded


def load_all(
    settings: schema.Config, load: Callable[[schema.Config], Splits], *, again: bool
) -> Splits:
    """The splits of a run. Raises Failure where one that goes on can no longer have them."""
    try:
        return load(settings)
    except UserError as error:
        if again:
            raise Failure(str(error)) from error
        raise


def check_same_data(data: Splits, checkpoint: Mapping[str, Any]) -> None:
    """Raises Failure when the data is not what the checkpoint was trained on."""
    if not same_data(fingerprint(data), checkpoint["data"]["fingerprint"]):
        raise Failure(
            "the data is not what the run was trained on until its checkpoint: to go on with it "
            "would make another experiment (put the old data back, or start a new run)"
        )


def build_model(
    settings: schema.Config, data: Splits, compute: Compute, *, resumed: bool
) -> tuple[nn.Module, list[str]]:
    """The configured network on the device, and what to know of the weights it starts from.

    Initial weights hang on the seed alone, or on model.init_from; `resumed` ones come later.
    """
    torch.manual_seed(stream_seed(settings.seed, "init"))
    node = dict(settings.model)
    init_from, patterns = (node.pop(key, None) for key in MODEL_KEYS)
    factory = instantiate({"_convert_": "all", **node})
    out_features = losses.out_features(settings.loss.name, data.task, len(data.classes))
    model: nn.Module = factory(in_shape=data.in_shape, out_features=out_features)
    model.to(compute.device)
    check_output(model, data, out_features, compute)
    notes = []
    if init_from is not None and not resumed:
        notes = load_weights(model, Path(init_from))
    freeze(model, patterns or ())
    if settings.device.compile:
        model.compile()
    torch.manual_seed(stream_seed(settings.seed, "dropout"))
    return model, notes


def check_output(model: nn.Module, data: Splits, out_features: int, compute: Compute) -> None:
    """Raises UserError when a model of the user's does not give outputs (N, out_features)."""
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
    expected = (len(example), out_features)
    if tuple(outputs.shape) != expected:
        raise UserError(
            f"model: gives outputs of shape {tuple(outputs.shape)} for {len(example)} samples, "
            f"expected {expected}: one row a sample, out_features={out_features} columns"
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


def build_recipe(settings: schema.Config, data: Splits) -> Recipe:
    """How to train, from the closed settings."""
    loss_function = functools.partial(
        losses.loss_function, settings.loss.name, huber_delta=settings.loss.huber_delta
    )
    smoothing = settings.regularization.label_smoothing
    return Recipe(
        criterion=loss_function(label_smoothing=smoothing),
        evaluation_criterion=loss_function(),
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
    )


def num_epochs(settings: schema.Config) -> int:
    """The epochs to train, which `debug` may cap."""
    cap = settings.debug.max_epochs
    return settings.epochs if cap is None else min(settings.epochs, cap)


def resolve_monitor(monitor: str, data: Splits) -> str:
    """The metric that tells the best epoch: accuracy/val for classes, loss/val for numbers."""
    return MONITORS[data.task] if monitor == "auto" else monitor


def build_augment(knobs: schema.Regularization, data: Splits) -> Augment | None:
    """The transform of training batches, or None; pixels that move in are background (0)."""
    if knobs.augment_shift == 0 and knobs.augment_degrees == 0:
        return None
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


def to_device(data: Splits, compute: Compute) -> Splits:
    """The splits on the device if they fit; else each batch travels there, and a note says so."""
    device = compute.device
    if device.type == "cpu":
        return data
    parts = (data.train, data.val, data.test)
    if not all(isinstance(part.inputs, torch.Tensor) for part in parts):
        return data
    size = sum(part.inputs.numel() * part.inputs.element_size() for part in parts)  # type: ignore[attr-defined]
    if device.type == "cuda" and size > 0.6 * torch.cuda.mem_get_info(device)[0]:
        note = f"{size / 2**30:.1f} GiB do not fit on {device}; batches are copied there one by one"
        return replace(data, notes=(*data.notes, note))
    train, val, test = (
        Split(part.inputs.to(device), part.targets.to(device))  # type: ignore[attr-defined]
        for part in parts
    )
    return replace(data, train=train, val=val, test=test)


@contextmanager
def own_random_numbers(seed: int, compute: Compute) -> Iterator[None]:
    """Global generators seeded for the run and put back after it.

    torch draws initial weights and dropout masks from its global generator; all else has streams
    of its own. The caller's numbers go on as if nothing had been drawn.
    """
    devices = [compute.device] if compute.device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(stream_seed(seed, "init"))
        yield


def conclude(
    log: RunLog, fitted: Fitted, metrics: Line, model: nn.Module, settings: schema.Config
) -> Result:
    """The result, written to summary.json and shown in the final table."""
    assert fitted.stopped_by is not None
    diverged = fitted.stopped_by == "divergence"
    status = ENDINGS.get(fitted.stopped_by, "completed")
    named = {name: value for name, value in metrics.items() if name not in ("epoch", "step")}
    last = fitted.history[-1]
    log.finals({k: v for k, v in named.items() if k.endswith("/test")}, int(last["step"] or 0))
    log.update(
        status=status,
        stopped_by=fitted.stopped_by,
        error=str(fitted.divergence) if diverged else None,
        skipped_batches=fitted.skipped,
        steps=fitted.steps,
        best_epoch=fitted.best_epoch,
        metrics=named,
        train_seconds=fitted.seconds,
        samples_per_second=fitted.samples / fitted.seconds if fitted.steps else None,
    )
    folder = display_path(log.run_dir)
    epochs = int(last["epoch"] or 0)
    headline = f"{status}: {epochs} epochs, {fitted.steps:,} steps, {fitted.seconds:.1f} s"
    headline += f" of training; best epoch {fitted.best_epoch}"
    if fitted.stopped_by != "epochs":
        headline += f"; stopped by {fitted.stopped_by}"
    if fitted.skipped:
        headline += f"; {fitted.skipped:,} batches skipped"
    log.terminal.stop()
    log.terminal.result(
        headline,
        named,
        {"run": folder, "TensorBoard": f"tensorboard --logdir {typed_path(log.run_dir)}"},
        good=not diverged,
    )
    return Result(
        run_dir=log.run_dir,
        status=status,
        stopped_by=fitted.stopped_by,
        best_epoch=fitted.best_epoch,
        metrics=named,
        lines=fitted.history,
        model=model.eval(),
        best_value=fitted.best_value,
        advice=f"{fitted.divergence}\n{cure(settings, log.run_dir)}" if diverged else None,
    )
