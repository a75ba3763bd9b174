"""What `dlrun show` tells of a sweep: how its jobs stand, the best of them, where to go on."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from dlrun.errors import printable, shown
from dlrun.runs.jobs import is_higher_better
from dlrun.runs.records import Record, records
from dlrun.terminal import clock, display_path, typed_path

MOST_JOBS = 5  # that are shown
GOOD = ("completed", "running")


def show_sweep(record: Record, console: Console) -> None:
    """Prints the counts of a sweep's jobs, its best ones and what to type next."""
    told = record.summary
    console.print(Text(printable(display_path(record.path)), "bold"), soft_wrap=True)
    style = "bold green" if record.status in GOOD else "bold red"
    counts = told.get("jobs", {})
    text = ", ".join(f"{number:,} {shown(status, 40)}" for status, number in counts.items())
    total = sum(counts.values())
    headline = f"{record.status} sweep: {total:,} job{'' if total == 1 else 's'}"
    headline += f": {text}" if text else ""
    if record.seconds is not None:
        seconds = record.seconds
        headline += f"; {f'{seconds:.1f} s' if seconds < 60 else clock(seconds)} of training"
    console.print(Text(headline, style), soft_wrap=True)
    lines = {
        "damage": record.reason,
        "typed": " ".join(record.overrides),
        "swept": ", ".join(told.get("swept", ())),
        "tags": " ".join(record.tags),
    }
    for name, value in lines.items():
        if value:
            console.print(Text(f"{name:<12} ", "dim").append(shown(value), "not dim"))
    metric = told.get("metric")
    ranked = best_jobs(record) if isinstance(metric, str) else []
    if ranked:
        console.print()
        _print_ranking(ranked, str(metric), told.get("swept", ()), console)
    console.print()
    place = typed_path(record.path)
    flag = " --retry-failed" if record.status == "failed" else ""
    steps = {
        "report": f"dlrun report {place}",
        "best job": f"dlrun show {typed_path(ranked[0].path)}" if ranked else "",
        "go on": f"dlrun resume{flag} {place}" if record.status not in GOOD else "",
    }
    for name, value in steps.items():
        if value:
            console.print(Text(f"{name:<12} ", "dim").append(value, "not dim"), soft_wrap=True)


def best_jobs(sweep: Record) -> list[Record]:
    """The jobs of a sweep that have its metric and did not fail, the best first."""
    metric, best = sweep.summary["metric"], sweep.summary["best_job"]
    jobs = [
        job
        for job in records([sweep.path])
        if job.metrics.get(metric) is not None and job.status not in ("diverged", "failed")
    ]
    values = [job.metrics[metric] or 0.0 for job in jobs]
    # The plan may turn the direction round; the best job tells.
    found = [value for job, value in zip(jobs, values, strict=True) if job.name == best]
    maximized = found[0] == max(values) if found else is_higher_better(metric)
    return sorted(jobs, key=lambda job: job.metrics[metric] or 0.0, reverse=maximized)


def _print_ranking(
    ranked: Sequence[Record], metric: str, swept: Sequence[str], console: Console
) -> None:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column("")
    table.add_column(Text(shown(metric, 40)), justify="right")
    table.add_column(
        Text("job" if len(ranked) <= MOST_JOBS else f"the best of {len(ranked):,} jobs")
    )
    table.add_column("status")
    for place, job in enumerate(ranked[:MOST_JOBS], start=1):
        words = [word for word in job.overrides if word.lstrip("+~").partition("=")[0] in swept]
        setting = " ".join(words) or job.name
        table.add_row(
            str(place),
            f"{job.metrics[metric]:.4f}",
            Text(shown(setting, 120)),
            Text(shown(job.status, 40)),
        )
    console.print(table)
