"""Searches: Optuna proposes trials, learns what came of them, and gives up poor ones early.

The study lies in the sweep's folder (optuna.log), where optuna-dashboard reads it too. What jobs
have done stands in their own directories all the same: a study that was broken off is put right
from there.
"""

from __future__ import annotations

import itertools
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.types import IntervalSweep, RangeSweep

from dlrun.errors import Failure, UserError, shown
from dlrun.evaluation import Line
from dlrun.schema import Sweeper
from dlrun.sweeps.points import Point, parsed, spread

if TYPE_CHECKING:
    import optuna

FILE = "optuna.log"
STUDY = "dlrun"
CASE = "case"  # the parameter that says which of the cases a trial is
FORGOTTEN = "dlrun:forgotten"  # marks trials that never became jobs
SECONDS_TO_WRITE = 3.0  # a line of the study, at most
MOST_TRIED = 200  # configs of a case that are checked before the first trial

# Asks a trial for the value of one key, as one would type it.
Suggest = Callable[["optuna.Trial"], str]


@dataclass(frozen=True)
class Trial:
    """What Optuna proposes: the values of all keys but the seed."""

    number: int
    point: Point


class Search:
    """The study of a sweep: asks for trials, tells what came of them."""

    def __init__(self, sweeper: Sweeper, folder: Path, direction: str, space: Space) -> None:
        self.space = space
        self.n_trials = sweeper.n_trials
        self.file = folder / FILE
        self.study = open_study(self.file, sweeper, direction)

    def ask(self) -> Trial | None:
        """The next trial; None when there have been as many as were asked for."""
        trials = self.study.get_trials(deepcopy=False)
        if sum(FORGOTTEN not in trial.user_attrs for trial in trials) >= self.n_trials:
            return None
        trial = self.study.ask()
        return Trial(trial.number, self.space.suggest(trial))

    def tell(self, number: int, value: float | None, *, pruned: bool = False) -> None:
        """How a trial went: its value, None for one that failed.

        Raises Failure where the study has no such trial.
        """
        from optuna.trial import TrialState

        if number >= len(self.study.get_trials(deepcopy=False)):
            raise Failure(f"{shown(self.file)}: lacks trial {number} (put it back as it was)")
        if pruned:
            self.study.tell(number, state=TrialState.PRUNED, skip_if_finished=True)
        elif value is None:
            self.study.tell(number, state=TrialState.FAIL, skip_if_finished=True)
        else:
            self.study.tell(number, value, skip_if_finished=True)

    def give_up_unknown(self, known: Sequence[int]) -> None:
        """Ends trials that were asked for, but whose jobs the sweep never came to write down.

        They are forgotten, not counted: as many new ones take their place.
        """
        from optuna.trial import TrialState

        for trial in self.study.get_trials(deepcopy=False, states=[TrialState.RUNNING]):
            if trial.number not in known:
                self.study._storage.set_trial_user_attr(trial._trial_id, FORGOTTEN, True)
                self.study.tell(trial.number, state=TrialState.FAIL)


class Space:
    """What a search chooses from: cases, and the values of each key.

    A case's own keys are its own parameters, told from those of the same name in other cases.
    """

    def __init__(self, sweeper: Sweeper, loader: ConfigLoader) -> None:
        if sweeper.zipped:
            raise UserError("hydra.sweeper.zipped: is for search=grid (use cases for a search)")
        seeds = spread("seed", sweeper.params["seed"], loader) if "seed" in sweeper.params else []
        self.repeats: list[Point] = [{"seed": seed} for seed in seeds] or [{}]
        self.cases: list[dict[str, Suggest]] = []
        self.corners: list[Point] = []
        cases = sweeper.cases or [{}]
        for number, case in enumerate(cases):
            rest = {key: v for key, v in sweeper.params.items() if key not in (*case, "seed")}
            values = {**case, **rest}
            if "seed" in case:
                raise UserError("hydra.sweeper.cases: a search repeats every case with params.seed")
            names = {key: f"{number}.{key}" if key in case and cases[1:] else key for key in values}
            asked = {key: _suggest(names[key], key, values[key], loader) for key in values}
            self.cases.append({key: suggest for key, (suggest, _) in asked.items()})
            corners = every_pair({key: ends for key, (_, ends) in asked.items()})
            self.corners += itertools.islice(corners, MOST_TRIED)
        if not any(self.cases):
            raise UserError(
                "hydra.sweeper.params: nothing to search in "
                "(for example optim.lr='tag(log,interval(1e-4,1))')"
            )

    def suggest(self, trial: optuna.Trial) -> Point:
        """The trial's values, by key."""
        number = 0
        if len(self.cases) > 1:
            number = trial.suggest_categorical(CASE, list(range(len(self.cases))))
        return {key: suggest(trial) for key, suggest in self.cases[number].items()}


def every_pair(axes: Mapping[str, Sequence[str]]) -> Iterator[Point]:
    """Points in which any two values of two keys meet, all else at its first value.

    >>> for point in every_pair({"a": "12", "b": "12"}):
    ...     print(point)
    {'a': '1', 'b': '1'}
    {'a': '2', 'b': '1'}
    {'a': '1', 'b': '2'}
    {'a': '2', 'b': '2'}
    """
    first = {key: values[0] for key, values in axes.items()}
    yield first
    others = [[(key, value) for value in values[1:]] for key, values in axes.items()]
    for number in (1, 2):
        for keys in itertools.combinations(others, number):
            for changed in itertools.product(*keys):
                yield {**first, **dict(changed)}


def _suggest(name: str, key: str, values: Any, loader: ConfigLoader) -> tuple[Suggest, list[str]]:
    """How to ask for a value, and values to try a config with: all choices, or both ends."""
    interval = parsed(f"{key}={values}", loader)._value if isinstance(values, str) else None
    if isinstance(interval, IntervalSweep):
        low, high, log = interval.start, interval.end, "log" in interval.tags
        if (
            low is None
            or high is None
            or not -math.inf < low < high < math.inf
            or (log and low <= 0)
        ):
            raise UserError(f"{key}={shown(values)}: expected interval(LOW,HIGH), LOW below HIGH")
        if isinstance(low, int) and isinstance(high, int):  # int(interval(1,9))
            return lambda trial: str(trial.suggest_int(name, low, high, log=log)), _typed(low, high)
        return (
            lambda trial: f"{trial.suggest_float(name, low, high, log=log):.6g}",
            _typed(low, high),
        )
    choices = spread(key, values, loader)
    if isinstance(interval, RangeSweep) and all(choice.lstrip("-").isdigit() for choice in choices):
        first, last = min(map(int, choices)), max(map(int, choices))
        step = abs(int(interval.step))
        return lambda trial: str(trial.suggest_int(name, first, last, step=step)), _typed(
            first, last
        )
    if len(choices) == 1:
        return lambda trial: choices[0], choices
    return lambda trial: str(trial.suggest_categorical(name, choices)), choices


def _typed(low: float, high: float) -> list[str]:
    return [f"{low:.6g}", f"{high:.6g}"]


def open_study(file: Path, sweeper: Sweeper, direction: str) -> optuna.Study:
    """The study in `file`, made anew where there is none. Raises Failure for a damaged one."""
    import optuna

    be_quiet()
    drop_stale_lock(file)
    cut_torn_line(file)
    try:
        study: optuna.Study = optuna.create_study(
            study_name=STUDY,
            storage=_storage(file),
            sampler=_sampler(sweeper, file),
            pruner=_pruner(sweeper.pruner),
            direction="maximize" if direction == "maximize" else "minimize",
            load_if_exists=True,
        )
        return study
    except OSError:
        raise
    except Exception as error:  # Optuna raises whatever its own lines run into
        raise Failure(
            f"{shown(file)}: damaged, expected what Optuna writes (put it back as it was)"
        ) from error


def cut_torn_line(file: Path) -> None:
    """Takes off the half line that a kill or a full disk may have left at the end."""
    if not file.exists():
        return
    content = file.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        os.truncate(file, whole)


def drop_stale_lock(file: Path) -> None:
    """Takes away the lock of a process that was killed while it wrote; Optuna waits for it.

    Those that are alive hold it for as long as writing a line takes.
    """
    lock = file.with_name(f"{file.name}.lock")

    def owner() -> tuple[int, int] | None:
        try:
            found = lock.lstat()
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_mtime_ns

    first, end = owner(), time.monotonic() + SECONDS_TO_WRITE
    while first is not None and owner() == first:
        if time.monotonic() > end:
            lock.unlink(missing_ok=True)
        time.sleep(0.02)


def be_quiet() -> None:
    """Has Optuna say nothing of what goes well: it would tell each trial."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)


def _storage(file: Path) -> optuna.storages.JournalStorage:
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    # Its lock is a link to the file: a relative one would lead nowhere, and be waited for for ever.
    return JournalStorage(JournalFileBackend(str(file.absolute())))


def _sampler(sweeper: Sweeper, file: Path) -> optuna.samplers.BaseSampler:
    from optuna import samplers

    # The same trials each time; after a resume the numbers go on from another seed.
    seed = len(file.read_bytes().splitlines()) if file.exists() else 0
    if sweeper.search == "random":
        return samplers.RandomSampler(seed=seed)
    if sweeper.search == "cmaes":
        return samplers.CmaEsSampler(seed=seed, warn_independent_sampling=False)
    # A third of the trials, at most ten, are drawn at random before the estimator sets in.
    return samplers.TPESampler(seed=seed, n_startup_trials=min(10, -(-sweeper.n_trials // 3)))


def _pruner(name: str) -> optuna.pruners.BasePruner:
    from optuna import pruners

    if name == "median":
        return pruners.MedianPruner()
    if name == "halving":
        return pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=3)
    return pruners.NopPruner()


@dataclass(frozen=True)
class Prune:
    """Whether a search gives a trial up after an epoch; called with the epoch's line.

    position: of the job among the trial's seeds; the epochs of all of them count on.
    """

    file: Path
    pruner: str
    metric: str
    trial: int
    position: int
    epochs: int

    def __call__(self, line: Line) -> bool:
        import optuna
        from optuna.trial import TrialState

        be_quiet()
        value = line.get(self.metric)
        if value is None:
            return False
        study = optuna.load_study(
            study_name=STUDY, storage=_storage(self.file), pruner=_pruner(self.pruner)
        )
        trials = study.get_trials(deepcopy=False)
        if trials[self.trial].state != TrialState.RUNNING:
            return False
        trial = optuna.Trial(study, trials[self.trial]._trial_id)
        step = self.position * self.epochs + int(line["epoch"] or 0)
        if step not in trials[self.trial].intermediate_values:  # a resumed job tells it again
            trial.report(value, step)
        return bool(trial.should_prune())
