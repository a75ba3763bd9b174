"""Beginning a sweep, and going on with one: from words and configs to what is to be run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hydra._internal.callbacks import Callbacks
from hydra._internal.hydra import Hydra
from hydra.errors import InstantiationException
from hydra.types import RunMode
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from dlrun import schema
from dlrun.endings import is_built_in
from dlrun.errors import UserError, shown
from dlrun.hydra_session import hydra_session, readable_errors
from dlrun.run_dirs import claim_directory
from dlrun.stored import stored_config
from dlrun.sweeps.compose import Composer
from dlrun.sweeps.launchers import Launcher
from dlrun.sweeps.plan import Job, digest, read_plan, write_plan
from dlrun.sweeps.planning import (
    Planned,
    checked_sweeper,
    plan_grid,
    plan_search,
    resolve_metric,
    sweeper_settings,
    typed,
    with_typed,
)
from dlrun.sweeps.points import chooses
from dlrun.sweeps.search import Space
from dlrun.sweeps.under_way import Sweep, carry_out
from dlrun.sweeps.work import require_own_folder
from dlrun.targets import TRUST_STORED, Trust, find_target


def start(app: Hydra, config_name: str, words: Sequence[str], trust: Trust) -> int:
    """Exit code of a new sweep: 0, or 1 when a job has failed. Nothing is made if one is faulty."""
    config, sweeper, planned, composer = plan_sweep(app, config_name, words, trust)
    if sweeper.dry_run:
        list_jobs(planned, sweeper)
        return 0
    launcher = build_launcher(config, trust)
    plan = planned.plan
    if planned.space is None:
        first = composer.compose(plan.jobs[0].overrides)
    else:
        first = composer.compose([*plan.words, *typed(planned.space.corners[0])])
    plan.metric, plan.direction = resolve_metric(sweeper, first)
    folder = claim_directory(config, "hydra.sweep.dir")
    write_plan(plan, folder)
    callbacks = Callbacks(config)
    callbacks.on_multirun_start(config=config, config_name=config_name)
    sweep = Sweep(
        *(folder, planned, sweeper, composer, config, launcher),
        launcher_words=going_on_with(config),
        quiet=bool(first.config.quiet),
    )
    exit_code = carry_out(sweep)
    callbacks.on_multirun_end(config=config, config_name=config_name)
    return exit_code


def plan_sweep(
    app: Hydra, config_name: str, words: Sequence[str], trust: Trust
) -> tuple[DictConfig, schema.Sweeper, Planned, Composer]:
    """The sweep that the words make: its own config, its settings, its jobs, their composer."""
    config = compose_sweep(app, config_name, words)
    sweeper, shared = with_typed(sweeper_settings(config), words, app.config_loader)
    composer = Composer(app, config_name, trust)
    plan_jobs = plan_grid if sweeper.search == "grid" else plan_search
    return config, sweeper, plan_jobs(sweeper, shared, composer, config), composer


def resume(folder: Path, words: Sequence[str], trust: Trust, retry_failed: bool) -> int:
    """Exit code of going on with the sweep in `folder`, under the code and configs of today.

    words: where it runs (hydra/launcher=local). Raises UserError where the configs of its jobs are
    no longer what they were.
    """
    plan = read_plan(folder)
    quiet = "quiet=true" in words
    words = [word for word in words if word != "quiet=true"]
    for word in words:
        if not word.startswith(("hydra/launcher=", "hydra.launcher.", "hydra.searchpath=")):
            raise UserError(
                f"{shown(word)}: a sweep goes on as it was planned; what may change is where it "
                "runs\n(for example hydra/launcher=local; start a new sweep for other jobs)"
            )
    if trust != "all":
        require_plain_words([*plan.words, *(word for job in plan.jobs for word in job.overrides)])
        require_plain_words(list(texts(plan.sweeper)))
    with hydra_session(trust=trust) as app, readable_errors(app, list(words)):
        config = compose_sweep(app, plan.config_name, [*plan.words, *words])
        composer = Composer(app, plan.config_name, trust)
        launcher = build_launcher(config, "own" if trust == "data" else trust)
        planned = Planned(plan)
        for job in plan.jobs:
            require_own_folder(folder / job.folder)
            config_of_job = require_same_config(job, composer, folder, trust)
            planned.built_in = planned.built_in and is_built_in(config_of_job)
        node = OmegaConf.merge(OmegaConf.structured(schema.Sweeper), plan.sweeper)
        assert isinstance(node, DictConfig)
        sweeper = checked_sweeper(node)
        if sweeper.search != "grid":
            planned.space = Space(sweeper, app.config_loader)
        sweep = Sweep(
            *(folder, planned, sweeper, composer, config, launcher),
            launcher_words=going_on_with(config),
            quiet=quiet or "quiet=true" in plan.words,
            retry_failed=retry_failed,
        )
        return carry_out(sweep)


def compose_sweep(app: Hydra, config_name: str, words: Sequence[str]) -> DictConfig:
    """The config of the sweep itself: hydra.sweeper, hydra.launcher, hydra.sweep.

    Only what is chosen counts for it; a value may be one that only some of the jobs have.
    """
    loader = app.config_loader
    chosen = [word for word in words if chooses(word, loader)]
    config: DictConfig = app.compose_config(
        config_name,
        [*chosen, "hydra.mode=MULTIRUN"],
        RunMode.MULTIRUN,
        with_log_configuration=True,
    )
    return config


def texts(value: Any) -> Iterator[str]:
    """All texts in nested lists and mappings, keys too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, dict)):
        for item in [*value, *(value.values() if isinstance(value, dict) else ())]:
            yield from texts(item)


def require_plain_words(words: Sequence[str]) -> None:
    """Raises UserError for a stored override that does more than to choose and to set values."""
    for word in dict.fromkeys(words):
        if "hydra" in word.partition("=")[0] or "${" in word:
            raise UserError(f"sweep.yaml: {shown(word)}: is refused {TRUST_STORED}")


def require_same_config(job: Job, composer: Composer, folder: Path, trust: Trust) -> DictConfig:
    """The job's config, composed anew. Raises UserError where it is not what it was."""
    composed = composer.checked(job.overrides)
    if digest(composed.config) == job.digest:
        return composed.config
    now = OmegaConf.to_container(composed.config, resolve=True)
    assert isinstance(now, dict)
    before = stored_config(folder / job.folder, trust) or {}
    differing = [key for key, value in before.items() if now.get(key) != value]
    told = f" (it differs in {', '.join(map(shown, differing))})" if differing else ""
    raise UserError(
        f"{shown(folder)}: job {job.number} would be another run than it was planned as{told}: "
        "its configs or dlrun have changed since\n(put them back, or start a new sweep)"
    )


def build_launcher(config: DictConfig, trust: Trust) -> Launcher:
    """What hydra/launcher chooses. Raises UserError for a launcher that is not dlrun's."""
    node = config.hydra.launcher
    content = OmegaConf.to_container(node, resolve=True)
    assert isinstance(content, dict)
    if str(content.get("_target_")).startswith("hydra"):
        choice = config.hydra.runtime.choices.get("hydra/launcher")
        raise UserError(
            f"hydra/launcher={shown(choice)}: dlrun runs its sweeps with launchers of its own "
            "(basic, local, submitit_local, submitit_slurm, ray)"
        )
    find_target("hydra.launcher", content, trust)
    try:
        launcher: Launcher = instantiate({"_convert_": "all", **content})
    except InstantiationException as error:
        if isinstance(error.__cause__, UserError):
            raise error.__cause__ from error
        raise
    return launcher


def going_on_with(config: DictConfig) -> list[str]:
    """The words that make a resumed sweep run where this one does."""
    words = [
        word
        for word in config.hydra.overrides.hydra
        if word.startswith(("hydra/launcher=", "hydra.launcher.", "hydra.searchpath="))
    ]
    choice = config.hydra.runtime.choices.get("hydra/launcher")
    if choice != "basic" and not any(word.startswith("hydra/launcher=") for word in words):
        words.insert(0, f"hydra/launcher={choice}")
    return words


def list_jobs(planned: Planned, sweeper: schema.Sweeper) -> None:
    """Prints what a sweep would run."""
    if planned.space is not None:
        num_seeds = len(planned.space.repeats)
        each = f" of {num_seeds} seeds" if num_seeds > 1 else ""
        print(f"{sweeper.n_trials} trials{each}, search={sweeper.search}")
        return
    for job in planned.plan.jobs:
        print(shown(f"{job.number:4d}  {' '.join(typed(job.values))}"))
    same = f" ({planned.num_same} more have the config of another)" if planned.num_same else ""
    print(f"{len(planned.plan.jobs)} jobs{same}, none was started")
