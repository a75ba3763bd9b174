"""From what was typed and a preset's hydra.sweeper to the jobs of a sweep, all faults first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from hydra.core.config_loader import ConfigLoader
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from dlrun import schema
from dlrun.building import resolve_monitor
from dlrun.check import range_faults
from dlrun.endings import is_built_in
from dlrun.errors import UserError, nearest, shown
from dlrun.hydra_session import writable
from dlrun.loading import for_model
from dlrun.metrics import METRICS
from dlrun.overrides import spell_out
from dlrun.run_dirs import sweep_name
from dlrun.stopping import HIGHER_IS_BETTER
from dlrun.sweeps.compose import Composed, Composer, fault_report
from dlrun.sweeps.plan import Job, Plan, digest, is_folder_name
from dlrun.sweeps.points import Point, parsed, points
from dlrun.sweeps.repeats import check_repeats
from dlrun.sweeps.search import Space
from dlrun.sweeps.work import shared_data

COSTS = ("time/epoch", "time/total")  # seconds, by which jobs may be compared as well


@dataclass
class Planned:
    """A sweep that is ready to begin.

    built_in: its jobs call nothing but what anybody's stored config may (dlrun.endings).
    num_same: points left out because another one composes to the same config. space: what a search
    chooses from. by_digest, by_folder: the plan's jobs.
    """

    plan: Plan
    space: Space | None = None
    built_in: bool = True
    num_same: int = 0
    by_digest: dict[str, Job] = field(init=False)
    by_folder: dict[str, Job] = field(init=False)

    def __post_init__(self) -> None:
        self.by_digest = {job.digest: job for job in reversed(self.plan.jobs)}
        self.by_folder = {job.folder: job for job in self.plan.jobs}


def sweeper_settings(config: DictConfig) -> schema.Sweeper:
    """hydra.sweeper, checked. Raises UserError for another sweeper than dlrun's."""
    node = config.hydra.sweeper
    if "_target_" in node:
        raise UserError(
            f"hydra/sweeper={shown(config.hydra.runtime.choices.get('hydra/sweeper'))}: dlrun "
            "sweeps with its own\n(type hydra/sweeper=dlrun, and search=tpe for a search)"
        )
    return checked_sweeper(node)


def checked_sweeper(node: DictConfig) -> schema.Sweeper:
    """The settings of a sweeper, with the keys of what is swept written out.

    References in them are left to the jobs, each of which has its own values.
    """
    if OmegaConf.get_type(node) is not schema.Sweeper:
        raise UserError("hydra.sweeper: expected the settings of hydra/sweeper=dlrun")
    known = list(schema.Sweeper.__dataclass_fields__)
    if unknown := [str(key) for key in node if key not in known]:  # that + let in
        hint = nearest(unknown[0], known) or f"; there are {', '.join(known)}"
        raise UserError(f"hydra.sweeper.{shown(unknown[0])}: no such key{hint}")
    content = OmegaConf.to_container(node, resolve=False)
    assert isinstance(content, dict)
    settings = schema.Sweeper(**{str(key): value for key, value in content.items()})
    if faults := range_faults(settings, ""):
        raise UserError("\n".join(faults))
    if settings.metric.endswith("/test"):
        raise UserError(
            f"metric={shown(settings.metric)}: the test split decides nothing "
            f"(for example metric={shown(settings.metric.removesuffix('test'))}val)"
        )
    if settings.pruner != "none" and settings.search == "grid":
        raise UserError(f"pruner={settings.pruner}: is for searches (type search=tpe as well)")
    for name in ("cases", "zipped"):
        if not all(isinstance(entry, Mapping) for entry in getattr(settings, name)):
            raise UserError(
                f"hydra.sweeper.{name}: expected a list of mappings "
                f"(for example hydra.sweeper.{name}=[{{optimizer:adam}}])"
            )
    for name in ("params", "repeat_best"):
        if not isinstance(getattr(settings, name) or {}, Mapping):
            raise UserError(f"hydra.sweeper.{name}: expected a mapping (keys and their values)")
    return replace(
        settings,
        params=_flat(settings.params or {}),
        cases=[_flat(case) for case in settings.cases],
        zipped=[_flat(group) for group in settings.zipped],
    )


def _flat(values: Mapping[Any, Any]) -> dict[str, Any]:
    """Nested keys as dotted ones, short ones written out.

    >>> _flat({"optim": {"lr": "0.1,1"}, "model.hidden": [8]})
    {'optimizer.lr': '0.1,1', 'model.hidden': [8]}
    """
    flat: dict[str, Any] = {}
    for key, value in values.items():
        name = spell_out(str(key))
        if isinstance(value, Mapping):
            below = {f"{name}.{inner}": item for inner, item in _flat(value).items()}
        else:
            below = {name: value}
        if both := flat.keys() & below.keys():
            raise UserError(
                f"hydra.sweeper: {min(both)} is swept twice (leave it out of one place)"
            )
        flat |= below
    return flat


def with_typed(
    sweeper: schema.Sweeper, words: Sequence[str], loader: ConfigLoader
) -> tuple[schema.Sweeper, list[str]]:
    """The sweeper with the lists that were typed, and the words that all jobs share.

    What is typed takes the place of what a preset says of the same key.
    """
    params = dict(sweeper.params)
    cases = [dict(case) for case in sweeper.cases]
    zipped = [dict(group) for group in sweeper.zipped]
    shared = []
    for word in words:
        override = parsed(word, loader)
        if override.is_hydra_override():
            continue
        key = override.get_key_element()
        if override.is_sweep_override():
            params[key] = word.partition("=")[2]  # where a preset has it, it keeps its place
        else:
            shared.append(word)
            params.pop(key, None)
        for group in (params, *cases, *zipped):
            for name in [name for name in group if name.lstrip("+") == key.lstrip("+")]:
                if group is not params or name != key:
                    del group[name]
    if not any(word.startswith("figures=") for word in shared):
        shared.insert(0, "figures=false")  # of single jobs; the sweep has a report
    # What has no key left is left out; an empty case that was meant is one job a point of params.
    cases = [case for case, before in zip(cases, sweeper.cases, strict=True) if case or not before]
    zipped = [group for group in zipped if group]
    return replace(sweeper, params=params, cases=cases, zipped=zipped), shared


def plan_grid(
    sweeper: schema.Sweeper, words: Sequence[str], composer: Composer, config: DictConfig
) -> Planned:
    """The jobs of a grid. Raises UserError with all faults of all of their configs."""
    planned = Planned(_empty_plan(sweeper, words, composer, config))
    loader = composer.app.config_loader
    rows = points(sweeper.params, sweeper.cases, sweeper.zipped, loader)
    if sweeper.repeat_best:
        check_repeats(sweeper.repeat_best, list(dict.fromkeys(key for row in rows for key in row)))
    faults: dict[int, UserError] = {}
    for number, point in enumerate(rows):
        try:
            add_job(planned, composer, config, point)
        except UserError as error:
            faults[number] = error
    if faults:
        raise UserError(fault_report(faults, len(rows)))
    planned.num_same = len(rows) - len(planned.plan.jobs)
    return planned


def plan_search(
    sweeper: schema.Sweeper, words: Sequence[str], composer: Composer, config: DictConfig
) -> Planned:
    """A search before its first trial.

    Raises UserError where its space is faulty, as far as any two of the values make it so.
    """
    plan = _empty_plan(sweeper, words, composer, config)
    space = Space(sweeper, composer.app.config_loader)
    faults: dict[str, list[str]] = {}  # and what to type for each
    for corner in space.corners:
        try:
            composer.checked([*words, *typed(corner), *typed(space.repeats[0])])
        except UserError as error:
            faults.setdefault(str(error), typed(corner))
    if faults:
        told = dict.fromkeys(line for fault in faults for line in fault.splitlines())
        example = shown(" ".join(next(iter(faults.values()))))
        raise UserError("\n".join([*told, f"nothing was started: {example} cannot run"]))
    return Planned(plan, space)


def add_job(
    planned: Planned,
    composer: Composer,
    config: DictConfig,
    point: Point,
    trial: int | None = None,
    *,
    repeat: bool = False,
) -> Job:
    """A new job of the plan, or the one that has this very config. Raises UserError for faults."""
    plan = planned.plan
    words = [*plan.words, *typed(point)]
    if foreign := [word for word in words if not is_unicode(word)]:  # YAML has no bytes
        raise UserError(f"{shown(foreign[0])}: expected text in UTF-8")
    composed = composer.checked(words)
    planned.built_in = planned.built_in and is_built_in(composed.config)
    code = digest(composed.config)
    if code in planned.by_digest:
        return planned.by_digest[code]
    number = len(plan.jobs)
    folder = folder_name(config, number, point)
    if folder in planned.by_folder:
        raise UserError(f"hydra.sweep.subdir={shown(folder)}: is the same for several jobs")
    job = Job(number, folder, words, dict(point), code, trial, repeat)
    plan.jobs.append(job)
    planned.by_digest[code] = planned.by_folder[folder] = job
    return job


def is_unicode(word: str) -> bool:
    """Whether it is text, and no name of a file in some other encoding."""
    return not any("\ud800" <= char <= "\udfff" for char in word)


def typed(point: Point) -> list[str]:
    """What is swept of a job, as one types it."""
    return [f"{key}={value}" for key, value in point.items()]


def folder_name(config: DictConfig, number: int, point: Point) -> str:
    """A job's folder within the sweep's: hydra.sweep.subdir for it."""
    with writable(config):
        config.hydra.job.num = number
        config.hydra.job.override_dirname = ",".join(typed(point))
    try:
        name = str(OmegaConf.select(config, "hydra.sweep.subdir"))
    except OmegaConfBaseException as error:
        raise UserError(f"hydra.sweep.subdir: {str(error).splitlines()[0]}") from error
    if not is_folder_name(name):
        raise UserError(f"hydra.sweep.subdir={shown(name)}: expected the name of one folder")
    return name


def resolve_metric(sweeper: schema.Sweeper, composed: Composed) -> tuple[str, str]:
    """By what jobs are compared, and in which direction. May load the first job's data."""
    metric, direction = sweeper.metric, sweeper.direction
    settings = OmegaConf.to_object(composed.config)
    assert isinstance(settings, schema.Config)
    data = for_model(shared_data(settings), settings)
    splits = ("train", "val") if len(data.val) else ("train",)
    known = [f"{name}/{split}" for split in splits for name in METRICS[data.task]]
    key = "metric"
    if metric == "auto":
        # Without a validation split a run itself goes by loss/train.
        metric = resolve_monitor(settings.monitor, data) if len(data.val) else "loss/train"
        key = "monitor"
    if metric not in known and metric not in COSTS:
        raise UserError(
            f"{key}={shown(metric)}: the runs have no such metric{nearest(metric, known)}; "
            f"there are {', '.join(known)}"
        )
    if direction == "auto":
        direction = "maximize" if metric.startswith(HIGHER_IS_BETTER) else "minimize"
    return metric, direction


def _empty_plan(
    sweeper: schema.Sweeper, words: Sequence[str], composer: Composer, config: DictConfig
) -> Plan:
    return Plan(
        name=sweep_name(_root_=config),
        metric=sweeper.metric,
        direction=sweeper.direction,
        search=sweeper.search,
        sweeper=dict(vars(sweeper)),
        words=list(words),
        config_name=composer.config_name,
    )
