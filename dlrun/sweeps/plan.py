"""What a sweep is going to do, fixed before its first job: sweep.yaml."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

from dlrun.errors import UserError, shown
from dlrun.run_files import replace_text
from dlrun.yaml_files import dump_yaml, is_plain_dict, is_tame, load_yaml

FORMAT = 1
FILE = "sweep.yaml"
LARGEST_FILE = 64 * 2**20  # bytes; a sweep of 10,000 jobs has 5 MB


@dataclass(frozen=True)
class Job:
    """One run of a sweep.

    folder: its directory within the sweep's. overrides: all words that make its config. values:
    what is swept, by key, as one types it. digest: SHA-256 of its config, by which a later version
    of dlrun sees whether it still means the same. trial: of a search, else None. repeat: of a
    setting that has proved to be the best.
    """

    number: int
    folder: str
    overrides: list[str]
    values: dict[str, str]
    digest: str
    trial: int | None = None
    repeat: bool = False


@dataclass
class Plan:
    """A sweep: its jobs in order, and by which metric they are compared.

    direction: maximize or minimize. sweeper: hydra.sweeper as it was given. words: overrides that
    all jobs share. A search adds the jobs of a trial before the first of them begins.
    """

    name: str
    metric: str
    direction: str
    search: str
    sweeper: dict[str, Any]
    words: list[str]
    config_name: str
    jobs: list[Job] = field(default_factory=list)


def digest(config: DictConfig) -> str:
    """SHA-256 of a config's values, references resolved, the order of keys aside.

    >>> one, other = {"a": 1, "b": "${a}"}, {"b": 1, "a": 1}
    >>> digest(OmegaConf.create(one)) == digest(OmegaConf.create(other))
    True
    """
    text = json.dumps(_ordered(OmegaConf.to_container(config, resolve=True)), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _ordered(value: Any) -> Any:
    """Dicts as lists of keys and values in order: so a key 1 is another one than "1"."""
    if isinstance(value, dict):
        return {"dict": [[repr(key), _ordered(value[key])] for key in sorted(value, key=repr)]}
    return [_ordered(item) for item in value] if isinstance(value, list) else value


def write_plan(plan: Plan, folder: Path) -> None:
    """Puts the plan into the sweep's folder in one go, and on the disk."""
    content = {"format": FORMAT, **asdict(plan), "whole": True}  # the last line of a whole file
    replace_text(folder / FILE, dump_yaml(content), on_disk=True)


def read_plan(folder: Path) -> Plan:
    """The plan of the sweep in `folder`. Raises UserError when there is none or it is damaged."""
    path = folder / FILE
    damaged = f"{shown(path)}: damaged, expected the YAML that dlrun writes"
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise UserError(f"{shown(path)}: larger than {LARGEST_FILE:,} bytes")
        text = path.read_text(encoding="utf-8")
        content = load_yaml(text) if is_tame(text) else None
        if content is None or not is_plain_dict(content):
            raise UserError(damaged)
        if content.pop("format") != FORMAT:
            raise UserError(f"{shown(path)}: was written by another version of dlrun")
        if content.pop("whole") is not True:
            raise UserError(damaged)
        jobs = [_job(entry) for entry in content.pop("jobs")]
        plan = Plan(**content, jobs=jobs)
    except UserError:
        raise
    except FileNotFoundError:
        raise UserError(f"{shown(folder)}: is no sweep, there is no {FILE} in it") from None
    except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise UserError(damaged) from error
    names = [plan.name, plan.metric, plan.direction, plan.search, plan.config_name]
    folders = [job.folder for job in jobs]
    if (
        not (_are_texts(names) and _are_texts(plan.words) and isinstance(plan.sweeper, dict))
        or [job.number for job in jobs] != list(range(len(jobs)))
        or len(set(folders)) < len(folders)
    ):
        raise UserError(damaged)
    if not re.fullmatch(r"[\w-]+", plan.config_name):
        raise UserError(f"{shown(path)}: config_name leads elsewhere than to the configs")
    return plan


def _job(entry: Mapping[str, Any]) -> Job:
    job = Job(**entry)
    sound = (
        _is_number(job.number),
        isinstance(job.folder, str),
        _are_texts(job.overrides),
        isinstance(job.values, dict) and _are_texts([*job.values, *job.values.values()]),
        isinstance(job.digest, str) and len(job.digest) == 64,
        job.trial is None or _is_number(job.trial),
        isinstance(job.repeat, bool),
    )
    if not all(sound):
        raise TypeError("a job's entry has another type than dlrun writes")
    if not is_folder_name(job.folder):
        raise UserError(f"{shown(job.folder)}: a job lies in a folder of its sweep, not elsewhere")
    return job


def is_folder_name(name: str) -> bool:
    """Whether it names a folder within another one, on any system."""
    fits = re.fullmatch(r"[\w.=,+-]+", name) is not None and len(name.encode()) <= 200
    return fits and name.strip(".") != ""


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _are_texts(values: object) -> bool:
    return isinstance(values, list) and all(isinstance(value, str) for value in values)
