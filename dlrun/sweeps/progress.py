"""What a person sees of a sweep while it runs: one table, or a line a job where none can live."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from dlrun.errors import shown
from dlrun.stopping import is_better
from dlrun.sweeps.plan import Job, Plan
from dlrun.sweeps.work import OVER, summary_of
from dlrun.terminal import clock, display_path, plain_table

MOST_ROWS = 12
REFRESH = 0.5  # seconds between two pictures of the table


class Progress:
    """Counts jobs as they end, and shows how they stand.

    counts: jobs by status. reasons: why jobs failed, by folder. over: statuses of jobs that are
    not run any more when the sweep begins.
    """

    def __init__(self, plan: Plan, folder: Path, over: Sequence[str], *, quiet: bool) -> None:
        self.plan = plan
        self.folder = folder
        self.over = over
        self.console = Console(quiet=quiet, highlight=False)
        self.statuses: dict[str, str] = {}
        self.reasons: dict[str, str] = {}
        self.in_flight = 0
        self._values: dict[str, float] = {}
        self._begin = time.monotonic()
        self._ended = 0  # since then
        self._last_shown = 0.0
        self._live: Live | None = None

    def __enter__(self) -> Progress:
        for job in self.plan.jobs:
            self.take_in(job)
            if self.statuses[job.folder] not in self.over:
                self.statuses[job.folder] = "pending"
                self.reasons.pop(job.folder, None)
        self._ended = 0
        number, where = len(self.plan.jobs), display_path(self.folder)
        left = number - self.num_over
        told = f"{number} job{'s'[: number != 1]}"
        if left < number:
            told = f"{left} of {told} to run"
        elif self.plan.search != "grid":
            told = f"{self.plan.sweeper['n_trials']} trials"
        self.console.print(Text(f"{told} in {shown(where)}"), soft_wrap=True)
        if self.console.is_terminal and not self.console.quiet:
            self._live = Live(self._table(), console=self.console, auto_refresh=False)
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.update(self._table(), refresh=True)
            self._live.stop()

    def take_in(self, job: Job) -> None:
        """Reads what a job's summary says of it now."""
        summary = summary_of(self.folder / job.folder)
        status = str(summary.get("status"))
        self.statuses[job.folder] = status
        self.reasons.pop(job.folder, None)
        if status == "failed":
            self.reasons[job.folder] = shown(summary.get("error") or "no reason was written down")
        metrics = summary.get("metrics")
        value = metrics.get(self.plan.metric) if isinstance(metrics, Mapping) else None
        if status == "completed" and isinstance(value, (int, float)):
            self._values[job.folder] = float(value)
        self._ended += 1

    def ended(self, job: Job) -> None:
        """A job has come to its end: a line where there is no live table."""
        self.take_in(job)
        if self._live is None and not self.console.quiet:
            value = self._values.get(job.folder)
            figure = "" if value is None else f"  {self.plan.metric} {value:.4f}"
            reason = self.reasons.get(job.folder)
            self.console.print(
                Text(
                    f"{self.num_over}/{len(self.plan.jobs)}  {self.statuses[job.folder]}  "
                    f"{shown(job.folder)}{figure}{f'  {reason}' if reason else ''}"
                ),
                soft_wrap=True,
            )
        self.tick(self.in_flight)

    def tick(self, in_flight: int) -> None:
        """Time has passed; so many jobs are running."""
        self.in_flight = in_flight
        now = time.monotonic()
        if self._live is not None and now - self._last_shown >= REFRESH:
            self._last_shown = now
            self._live.update(self._table(), refresh=True)

    @property
    def counts(self) -> Counter[str]:
        """Jobs by status."""
        return Counter(self.statuses.get(job.folder, "pending") for job in self.plan.jobs)

    @property
    def num_over(self) -> int:
        """Jobs that need not be run any more, failed ones among them."""
        return sum(self.counts[status] for status in (*OVER, "failed"))

    def _table(self) -> RenderableType:
        return Group(Text(self._headline(), style="bold"), self._groups())

    def _headline(self) -> str:
        counts, number = self.counts, len(self.plan.jobs)
        parts = [f"{self.plan.name}  {self.num_over}/{number} jobs over"]
        if self.in_flight:
            parts.append(f"{self.in_flight} running")
        told = ("diverged", "pruned", "interrupted", "failed")
        parts += [f"{counts[status]} {status}" for status in told if counts[status]]
        left = number - self.num_over
        if left and self._ended:
            seconds = (time.monotonic() - self._begin) / self._ended * left
            parts.append(f"{clock(seconds)} left")
        return "  ".join(parts)

    def _groups(self) -> Table:
        """A row for each value of what is swept first: jobs, and the best setting so far."""
        table = plain_table()
        first, jobs = _grouped(self.plan)
        table.add_column(first)
        table.add_column("over", justify="right")
        table.add_column(f"best {self.plan.metric}", justify="right")
        table.add_column("setting")
        for name, members in list(jobs.items())[:MOST_ROWS]:
            over = sum(self.statuses.get(job.folder) in (*OVER, "failed") for job in members)
            best, setting = self._best(members, first)
            table.add_row(
                Text(shown(name)),
                f"{over}/{len(members)}",
                "–" if best is None else f"{best:.4f}",
                Text(shown(setting)),
            )
        if len(jobs) > MOST_ROWS:
            table.add_row(Text(f"and {len(jobs) - MOST_ROWS} more", style="dim"))
        return table

    def _best(self, jobs: list[Job], first: str) -> tuple[float | None, str]:
        """The best mean over the seeds that are over, and the setting that it belongs to."""
        settings: dict[str, list[float]] = defaultdict(list)
        for job in jobs:
            if job.folder in self._values:
                rest = {k: v for k, v in job.values.items() if k not in ("seed", first)}
                setting = " ".join(f"{key}={value}" for key, value in rest.items())
                settings[setting].append(self._values[job.folder])
        best: float | None = None
        told = ""
        for setting, values in settings.items():
            mean = sum(values) / len(values)
            if best is None or is_better(self._name(), mean, best):
                best, told = mean, f"{setting}  (n={len(values)})".strip()
        return best, told

    def _name(self) -> str:
        """A metric that improves in the plan's direction."""
        return "accuracy" if self.plan.direction == "maximize" else "loss"


def _grouped(plan: Plan) -> tuple[str, dict[str, list[Job]]]:
    """The key that is swept first, and the jobs by its value."""
    keys = list(dict.fromkeys(key for job in plan.jobs for key in job.values))
    varying = [key for key in keys if len({job.values.get(key) for job in plan.jobs}) > 1]
    first = next((key for key in varying if key != "seed"), "seed" if varying else "")
    jobs: dict[str, list[Job]] = defaultdict(list)
    for job in plan.jobs:
        jobs[job.values.get(first, "") if first else "all"].append(job)
    return first, jobs
