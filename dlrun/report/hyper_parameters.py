"""By which hyper-parameters runs are told apart, and what is known of all others."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from dlrun.report.files import Job, Source, hyper_parameter, override_values, text
from dlrun.report.words import GROUPS

Columns = dict[str, list[Any]]


def hyper_parameters(
    sources: Sequence[Source],
    jobs: Sequence[Job],
    summaries: Sequence[Mapping[str, Any]],
    reserved: Collection[str],
) -> tuple[Columns, Columns]:
    """Columns of the keys that tell settings apart, and of all other recorded ones.

    reserved: names that no such column may have, the seed among them.
    """
    recorded = [
        {text(name): hyper_parameter(value) for name, value in summary.get("hparams", {}).items()}
        for summary in summaries
    ]
    overrides = [override_values(summary.get("overrides")) for summary in summaries]
    values = _values(sources, jobs, overrides, reserved)
    names = dict.fromkeys(name for row in recorded for name in row if name not in reserved)
    told = [row for row, entries in enumerate(recorded) if entries]
    _fill(sources, recorded, [{**a, **b} for a, b in zip(overrides, values, strict=True)])
    swept = _swept(sources, values, recorded)
    if len(sources) > 1 or not sources[0].planned:
        swept |= _differing(names, swept, recorded, told)
    rest = {name: [row.get(name) for row in recorded] for name in names if name not in swept}
    return swept, rest


def _spans(sources: Sequence[Source]) -> list[range]:
    """The rows of each source."""
    ends = list(itertools.accumulate(len(source.jobs) for source in sources))
    return [range(a, b) for a, b in zip([0, *ends], ends, strict=False)]


def _fill(
    sources: Sequence[Source],
    recorded: list[dict[str, Any]],
    given: Sequence[Mapping[str, Any]],
) -> None:
    """For runs that never came to record their hyper-parameters puts in what is known of them.

    That is what they were given, and what all other runs of their folder have in common.
    """
    for rows in _spans(sources):
        known = [recorded[row] for row in rows if recorded[row]]
        first = known[0] if known else {}
        common = {k: v for k, v in first.items() if all(other.get(k) == v for other in known)}
        for row in rows:
            if not recorded[row]:
                own = {key.rpartition(".")[2]: value for key, value in given[row].items()}
                recorded[row] = {**common, **own}


def _values(
    sources: Sequence[Source],
    jobs: Sequence[Job],
    overrides: Sequence[Mapping[str, Any]],
    reserved: Collection[str],
) -> list[dict[str, Any]]:
    """The swept keys that each job sets; of runs that a sweep.yaml does not list, by overrides."""
    known = {key for job in jobs for key in job.values}
    planned = [source.planned for source in sources for _ in source.jobs]
    values = []
    for job, plan, given in zip(jobs, planned, overrides, strict=True):
        unlisted = plan and not job.values
        told = given if unlisted else job.values
        wanted = known if known or not unlisted else set(told)
        values.append(
            {
                key: value
                for key, value in told.items()
                if key in wanted and key not in reserved and not key.startswith("hydra.")
            }
        )
    return values


def _swept(
    sources: Sequence[Source],
    values: Sequence[Mapping[str, Any]],
    recorded: Sequence[Mapping[str, Any]],
) -> Columns:
    """A column for each key that jobs set.

    Where a job does not set a key it gets what is recorded for it: in a sweep.yaml's folder only
    if that is the same for all jobs there that do not set it, so that a setting's runs agree, the
    pending ones included.
    """
    columns: Columns = {key: [] for row in values for key in row}
    for key, column in columns.items():
        last = key.rpartition(".")[2]
        for source, rows in zip(sources, _spans(sources), strict=True):
            unset = {
                recorded[k][last] for k in rows if key not in values[k] and last in recorded[k]
            }
            common = unset.pop() if len(unset) == 1 else None
            for k in rows:
                other = common if source.planned else recorded[k].get(last)
                column.append(values[k].get(key, other))
    return columns


def _differing(
    names: Iterable[str],
    swept: Columns,
    recorded: Sequence[Mapping[str, Any]],
    told: Sequence[int],
) -> Columns:
    """Of the recorded hyper-parameters those that tell runs apart which else look alike.

    The decay rates of Adam differ from those of SGD, which has none; where the optimizer is a
    column they add nothing. What was chosen of a group is told wherever it differs.
    told: the rows of runs that recorded any.
    """
    covered = {key.rpartition(".")[2] for key in swept}
    found: Columns = {}
    parted = [tuple(column[k] for column in swept.values()) for k in told]
    for name in names:
        column = [recorded[k].get(name) for k in told]
        finer = [(*row, value) for row, value in zip(parted, column, strict=True)]
        tells = len(set(finer)) > len(set(parted)) or (name in GROUPS and len(set(column)) > 1)
        if tells and name not in covered:
            found[name] = [row.get(name) for row in recorded]
            parted = finer
    return found
