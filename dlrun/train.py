"""The single entrypoint: one composed config in, one trained model and its run directory out.

Here the config ends: everything below takes plain arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig
from torch import nn

from dlrun import baselines, losses, schema
from dlrun.building import build_model, build_optimizer, build_recipe, check_batch_norm
from dlrun.check import check, plain
from dlrun.datasets import Splits
from dlrun.debugging import profiling, shorten
from dlrun.device import Compute, open_device
from dlrun.diagnostics import read_records, verdict
from dlrun.endings import endings_told
from dlrun.evaluation import Line, evaluate
from dlrun.failures import failures_told
from dlrun.loading import check_same_data, for_model, load_all, load_data, to_device
from dlrun.loop import fit
from dlrun.presentation import introduce
from dlrun.provenance import Origin
from dlrun.randomness import stream_seed
from dlrun.result import Beside, Result, conclude
from dlrun.run_files import DIAGNOSTICS
from dlrun.runlog import RunLog
from dlrun.signals import Requests, listening
from dlrun.state import Fitted, Recipe
from dlrun.targets import Trust
from dlrun.terminal import Terminal


@dataclass(frozen=True)
class Host:
    """What a sweep lends to each of its jobs; a run of its own has none of it.

    load: the splits for a config, which jobs may share. requests: of the signals that the sweep
    listens to. prune: whether a search gives the run up, asked with the line of each epoch.
    """

    load: Callable[[schema.Config], Splits]
    requests: Requests | None = None
    prune: Callable[[Line], bool] | None = None


def train(
    config: DictConfig,
    *,
    run_dir: Path,
    choices: Mapping[str, Any],
    overrides: Sequence[str] = (),
    checkpoint: Mapping[str, Any] | None = None,
    trust: Trust = "own",
    host: Host | None = None,
    origin: Origin | None = None,
) -> Result:
    """The result of the run that `config` describes, recorded in `run_dir`.

    choices: what was chosen of each group, to name things by. checkpoint: of the same run, to go
    on from. trust: whose config it is, see dlrun.targets. host: the sweep that it is a job of,
    which tells the terminal in its stead. origin: of a run that something else than this process's
    own command line began, or that repeats another one.
    Raises UserError for bad input, Failure for a full disk and the like, Interrupted by a signal.
    """
    terminal = Terminal(quiet=bool(config.quiet) or host is not None)
    is_checked = host is not None  # by whoever planned the sweep, before its first job
    host = host or Host(load_data)
    with (
        listening(host.requests) as requests,
        endings_told(run_dir, config),
        failures_told(),
        RunLog(
            run_dir, overrides=overrides, terminal=terminal, checkpoint=checkpoint, origin=origin
        ) as log,
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
            data = to_device(for_model(shorten(loaded, settings), settings), compute)
            if settings.baselines:
                baselines.require_suitable(settings.baselines, data)
            settings.loss.name = losses.resolve(settings.loss.name, data.task, len(data.classes))
            model, notes = build_model(settings, data, compute, resumed=again)
            optimizer = build_optimizer(settings, model, compute)
            recipe = build_recipe(settings, data, model)
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
            return look_back(fitted, model, data, recipe, compute, log, settings)


def look_back(
    fitted: Fitted,
    model: nn.Module,
    data: Splits,
    recipe: Recipe,
    compute: Compute,
    log: RunLog,
    settings: schema.Config,
) -> Result:
    """The result of what was trained: best weights, test figures, baselines, pictures."""
    log.keep_best(fitted.best_epoch, fitted.best_value, fitted.best_state)
    model.load_state_dict(fitted.best_state)
    model.eval()
    test = evaluate(model, recipe.evaluation_criterion, data.test, data, compute)
    metrics = dict(fitted.history[fitted.best_epoch])
    metrics |= {f"{name}/test": value for name, value in test.items()}
    others, notes = baselines.measure(settings.baselines, data, settings.seed, model)
    records = read_records(log.run_dir / DIAGNOSTICS)
    if settings.figures or settings.animations:
        from dlrun.pictures.draw import draw  # matplotlib takes a second to import

        draw(log, fitted, data, model, compute, settings, records)
    beside = Beside(others, notes, verdict(records))
    return conclude(log, fitted, metrics, beside, model, settings)


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
