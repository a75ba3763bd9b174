"""A sweep under way: runs what is not over, counts, reports, and loses none."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from dlrun import schema
from dlrun.errors import UserError, printable, shown
from dlrun.provenance import Origin, origin
from dlrun.run_files import locked, read_history
from dlrun.signals import Interrupted, Requests, listening
from dlrun.sweeps.compose import Composer
from dlrun.sweeps.launchers import Launcher
from dlrun.sweeps.plan import Job, write_plan
from dlrun.sweeps.planning import Planned, add_job
from dlrun.sweeps.progress import Progress
from dlrun.sweeps.repeats import best_of_each
from dlrun.sweeps.search import FILE, Prune, Search
from dlrun.sweeps.work import OVER, Task, Work, mark_failed, status_of, summary_of
from dlrun.sweeps.workers import Done
from dlrun.terminal import typed_path


@dataclass
class Sweep:
    """All that a sweep needs to run.

    config: of the sweep itself, which names the folders of its jobs. launcher_words: with which a
    resumed one runs where this one does. retry_failed: failed jobs are run again.
    """

    folder: Path
    planned: Planned
    sweeper: schema.Sweeper
    composer: Composer
    config: DictConfig
    launcher: Launcher
    launcher_words: list[str]
    quiet: bool
    retry_failed: bool = False
    search: Search | None = None
    jobs: dict[Path, Job] = field(default_factory=dict)  # by run directory, once handed out
    notes: list[str] = field(default_factory=list)  # to be told at the end
    origin: Origin = field(default_factory=origin)  # of all its jobs
    in_flight: int = 0

    @property
    def statuses(self) -> tuple[str, ...]:
        """Of jobs that are not run any more."""
        return OVER if self.retry_failed else (*OVER, "failed")

    def status(self, job: Job) -> str:
        """How a job stands, by its own record."""
        return status_of(self.folder / job.folder)


def carry_out(sweep: Sweep) -> int:
    """Exit code of running what is not over, after the report on all of it."""
    plan, folder = sweep.planned.plan, sweep.folder
    with (
        locked(folder),
        listening() as requests,
        Progress(plan, folder, sweep.statuses, quiet=sweep.quiet) as progress,
    ):
        try:
            if sweep.sweeper.search == "grid":
                run(sweep, grid_tasks(sweep), requests, progress)
                if sweep.sweeper.repeat_best:
                    with requests.deferred():
                        add_repeats(sweep)
                    run(sweep, grid_tasks(sweep), requests, progress)
            else:
                space = sweep.planned.space
                assert space is not None, "a search that was planned without what it chooses from"
                sweep.search = Search(sweep.sweeper, folder, plan.direction, space)
                settle_study(sweep, sweep.search)
                run(sweep, trial_tasks(sweep, sweep.search, requests), requests, progress)
        except Interrupted as stop:
            for job in plan.jobs:
                progress.take_in(job)
            raise Interrupted(stop.number, how_to_go_on(sweep, progress)) from None
    return conclude(sweep, progress)


def run(sweep: Sweep, tasks: Iterator[Task], requests: Requests, progress: Progress) -> None:
    """Has the launcher do the tasks, and takes in each as it ends."""
    with closing(sweep.launcher.run(counted(sweep, tasks), requests)) as running:
        for done in running:
            if done is not None:
                with requests.deferred():
                    settle(sweep, done, progress)
                requests.obey()
            progress.tick(sweep.in_flight)


def counted(sweep: Sweep, tasks: Iterator[Task]) -> Iterator[Task]:
    """The tasks, counted as they are handed out."""
    for task in tasks:
        sweep.in_flight += 1
        yield task


def grid_tasks(sweep: Sweep) -> Iterator[Task]:
    """A task for each job that is not over."""
    for job in sweep.planned.plan.jobs:
        if sweep.status(job) not in sweep.statuses:
            yield (work_for(sweep, job),)


def add_repeats(sweep: Sweep) -> None:
    """Plans the best setting of each optimizer, say, with all of the seeds."""
    plan = sweep.planned.plan
    values = {
        job.number: job_value(sweep.folder / job.folder, plan.metric)
        for job in plan.jobs
        if sweep.status(job) != "failed"
    }
    for point in best_of_each(plan, values, sweep.sweeper.repeat_best):
        add_job(sweep.planned, sweep.composer, sweep.config, point, repeat=True)
    write_plan(plan, sweep.folder)


def trial_tasks(sweep: Sweep, search: Search, requests: Requests) -> Iterator[Task]:
    """A task for each trial: those that are not over, then new ones; its jobs, a seed each."""
    plan = sweep.planned.plan
    for number in dict.fromkeys(job.trial for job in plan.jobs):
        jobs = [job for job in plan.jobs if job.trial == number]
        if any(sweep.status(job) not in sweep.statuses for job in jobs):
            yield trial_task(sweep, jobs)
    while True:
        with requests.deferred():
            if (trial := search.ask()) is None:
                return
            points = [{**trial.point, **repeat} for repeat in search.space.repeats]
            try:
                jobs = [
                    add_job(sweep.planned, sweep.composer, sweep.config, point, trial.number)
                    for point in points
                ]
            except UserError as error:  # three values that do not go together, say
                sweep.notes.append(f"trial {trial.number} cannot run: {error}")
                search.tell(trial.number, None)
                continue
            new = [job for job in jobs if job.trial == trial.number]
            if not new:
                tell_same(sweep, search, trial.number, jobs)
                continue
            write_plan(plan, sweep.folder)
        requests.obey()
        yield trial_task(sweep, new)


def trial_task(sweep: Sweep, jobs: list[Job]) -> Task:
    """The jobs of a trial, in the order of their seeds."""
    return tuple(work_for(sweep, job, position) for position, job in enumerate(jobs))


def work_for(sweep: Sweep, job: Job, position: int = 0) -> Work:
    """A job as what travels to where it runs; position: among the seeds of its trial."""
    run_dir = sweep.folder / job.folder
    sweep.jobs[run_dir] = job
    composed = sweep.composer.compose(job.overrides)
    OmegaConf.resolve(composed.config)  # once; each of its readers would do it again
    prune = None
    if job.trial is not None and sweep.sweeper.pruner != "none":
        prune = Prune(
            file=sweep.folder / FILE,
            pruner=sweep.sweeper.pruner,
            metric=sweep.planned.plan.metric,
            trial=job.trial,
            position=position,
            epochs=composed.config.epochs,
        )
    trust = sweep.composer.trust
    words = job.overrides
    return Work(run_dir, composed.config, composed.choices, words, trust, prune, sweep.origin)


def settle(sweep: Sweep, done: Done, progress: Progress) -> None:
    """Takes in how a task ended; a job whose process died is written down as failed."""
    sweep.in_flight -= 1
    died = done.died
    for work in done.task:
        if died is not None and status_of(work.run_dir) not in (*OVER, "failed"):
            mark_failed(work.run_dir, work.overrides, died)
            died = None  # those after it have not begun
        progress.ended(sweep.jobs[work.run_dir])
    trial = sweep.jobs[done.task[0].run_dir].trial
    if sweep.search is not None and trial is not None:
        tell_trial(sweep, sweep.search, trial)


def settle_study(sweep: Sweep, search: Search) -> None:
    """Brings Optuna's study in line with what the jobs' directories say."""
    trials = [job.trial for job in sweep.planned.plan.jobs if job.trial is not None]
    search.give_up_unknown(trials)
    for trial in dict.fromkeys(trials):
        tell_trial(sweep, search, trial)


def tell_trial(sweep: Sweep, search: Search, trial: int) -> None:
    """Tells Optuna of a trial whose jobs are all over; of another one nothing."""
    plan = sweep.planned.plan
    jobs = [job for job in plan.jobs if job.trial == trial]
    statuses = [sweep.status(job) for job in jobs]
    if not set(statuses) <= {*sweep.statuses, "failed"}:
        return
    if "failed" in statuses and sweep.retry_failed:
        return
    search.tell(trial, mean_value(sweep, jobs), pruned="pruned" in statuses)


def tell_same(sweep: Sweep, search: Search, number: int, jobs: list[Job]) -> None:
    """Tells Optuna of a trial that proposes the very jobs of those before."""
    statuses = [sweep.status(job) for job in jobs]
    over = set(statuses) <= set(OVER)
    search.tell(number, mean_value(sweep, jobs) if over else None, pruned="pruned" in statuses)


def mean_value(sweep: Sweep, jobs: list[Job]) -> float | None:
    """The mean metric of jobs that are over; None where one of them has none."""
    metric = sweep.planned.plan.metric
    values = [job_value(sweep.folder / job.folder, metric) for job in jobs]
    found = [value for value in values if value is not None]
    return sum(found) / len(found) if len(found) == len(values) else None


def job_value(run_dir: Path, metric: str) -> float | None:
    """The metric of a job that is over; one that diverged counts as the untrained network."""
    summary = summary_of(run_dir)
    if summary.get("status") == "diverged":
        value = read_history(run_dir, summary["epochs"])[0].get(metric)
    else:
        metrics = summary.get("metrics")
        value = metrics.get(metric) if isinstance(metrics, dict) else None
    return float(value) if isinstance(value, (int, float)) else None


def how_to_go_on(sweep: Sweep, progress: Progress) -> str:
    """What is said of a sweep that was interrupted."""
    number = len(sweep.planned.plan.jobs)
    return (
        f"interrupted: {progress.num_over} of {number} jobs are over\n"
        f"go on with: {resume_line(sweep)}"
    )


def resume_line(sweep: Sweep, flag: str = "") -> str:
    """What to type to go on with the sweep."""
    words = sweep.planned.plan.words
    trusted = sweep.planned.built_in and not any("${" in word for word in words)
    parts = ["dlrun resume", "" if trusted else "--trust", flag, typed_path(sweep.folder)]
    return " ".join(part for part in [*parts, *sweep.launcher_words] if part)


def conclude(sweep: Sweep, progress: Progress) -> int:
    """Exit code of a sweep whose jobs are all over, after its report and what failed."""
    from dlrun.report.command import make_report

    make_report([sweep.folder], None, quiet=sweep.quiet)
    for note in sweep.notes:
        print(printable(note), file=sys.stderr)
    jobs, reasons = sweep.planned.plan.jobs, progress.reasons
    if failed := [(job, reasons[job.folder]) for job in jobs if job.folder in reasons]:
        lines = [f"{len(failed)} of {len(jobs)} jobs failed:"]
        lines += [f"  {shown(job.folder)}: {why}" for job, why in failed]
        lines.append(f"run them again with: {resume_line(sweep, '--retry-failed')}")
        print("\n".join(lines), file=sys.stderr)
    return 1 if failed else 0
