"""Kills runs with SIGKILL at random moments, resumes them, and compares them with one left alone.

    python tests/kill_and_resume.py 200 [SEED]

Prints a line for each run and the totals. Exit code 1 when a resumed run differs in any bit of
its weights, its optimizer's state, its metrics or TensorBoard's points, or when a run that was
killed before its first checkpoint is not refused. What is left of such runs is kept.
"""

from __future__ import annotations

import json
import random
import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import torch
from conftest import Started, Starter

from dlrun.checkpoint import load_checkpoint
from dlrun.errors import UserError
from dlrun.run_files import ROOM

COMMON = (
    *("dataset=digits", "dataset.limit=200", "batch_size=16", "log_every_steps=5"),
    *("device=cpu", "device.threads=1", "figures=false", "-q"),
)
MODELS = {
    "mlp": ("model=mlp", "model.hidden=[16]"),
    "cnn": ("model=cnn", "model.channels=[4,8]", "model.dense=[16]"),
}
OPTIMIZERS = ("sgd", "momentum", "adam", "adabelief")
FEATURES = {
    "dropout": ("regularization=dropout", "epochs=4"),
    "augment": ("regularization=augment", "epochs=4"),
    # An accuracy can rise by more than 0.3 three times at most: it stops before epoch 10.
    "early_stopping": (
        *("regularization=early_stopping", "epochs=10"),
        "regularization.early_stopping_patience=2",
        "regularization.early_stopping_min_delta=0.3",
    ),
    "one_cycle": ("scheduler=one_cycle", "epochs=4"),
}
CHECKPOINTS = (
    ("checkpoint.every_steps=3",),
    ("checkpoint.every_steps=5", "checkpoint.every_epochs=null"),
    ("checkpoint.every_epochs=1",),
    ("checkpoint.every_minutes=0.0005", "checkpoint.every_epochs=null"),  # 30 ms: at any step
)
EVENTS = "events.out.tfevents."
MOST_FAILURES = 10  # then the script gives up
# Of a checkpoint: clocks, and the sizes of files that clocks are written to.
CLOCKS = ("seconds", "elapsed", "files")


def combinations() -> dict[str, tuple[str, ...]]:
    """The words of every combination by its name, such as `mlp adam dropout`."""
    table = {}
    for number, (model, optimizer, feature) in enumerate(product(MODELS, OPTIMIZERS, FEATURES)):
        # Each feature meets every way of saving: the shift grows with the optimizer.
        saving = CHECKPOINTS[(number + number // len(FEATURES)) % len(CHECKPOINTS)]
        words = (*MODELS[model], f"optimizer={optimizer}", *FEATURES[feature], *saving, *COMMON)
        table[f"{model} {optimizer} {feature}"] = words
    return table


@dataclass(frozen=True)
class Reference:
    """A run that was left alone. In seconds from the start of its process: when it had taken its
    directory, when its first checkpoint stood, when it was over."""

    words: tuple[str, ...]
    run_dir: Path
    begun: float
    saved: float
    over: float


@dataclass(frozen=True)
class Kill:
    """One SIGKILL. seconds: after the process had begun to train, or with before_checkpoint after
    its start. position: batches of its epoch that lie behind the checkpoint, 0 between epochs."""

    seconds: float
    before_checkpoint: bool
    inside_save: bool = False
    epoch: int = 0
    position: int = 0

    def __str__(self) -> str:
        where = "no checkpoint" if self.before_checkpoint else f"epoch {self.epoch}"
        where += f" + {self.position} batches" if self.position else ""
        return f"{self.seconds:.3f} s ({where}{', inside a save' if self.inside_save else ''})"


@dataclass
class Outcome:
    """What came of a run that was killed, possibly more than once, and resumed to its end."""

    kills: list[Kill] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def run_alone(start: Starter, words: tuple[str, ...], run_dir: Path) -> Reference:
    """The reference of one combination."""
    began = time.monotonic()
    run = start(*words, f"hydra.run.dir={run_dir}")
    run.wait_for((run_dir / "summary.json").exists)
    begun = time.monotonic() - began
    run.wait_for((run_dir / "checkpoints" / "last.pt").exists)
    saved = time.monotonic() - began
    ended = run.wait()
    over = time.monotonic() - began
    if ended.returncode != 0:
        raise RuntimeError(f"dlrun {' '.join(words)}: {ended.stderr}")
    return Reference(words, run_dir, begun, saved, over)


def kill_and_resume(
    start: Starter, reference: Reference, run_dir: Path, draw: random.Random, num_kills: int
) -> Outcome:
    """What becomes of the reference's like when it is killed that often on its way.

    It may be over before so many kills. Beside `run_dir` lies its copy after each kill:
    `dlrun resume` of the last one repeats what was found.
    Raises RuntimeError or UserError when a process fails or a kill has damaged a checkpoint.
    """
    outcome = Outcome()
    words = (*reference.words, f"hydra.run.dir={run_dir}")
    while len(outcome.kills) < num_kills:
        run = start(*words)
        before = stamp(run_dir)
        left = 0.9 * (reference.over - reference.saved)  # the process takes a while to end
        if not outcome.kills:
            run.wait_for((run_dir / "checkpoints" / "last.pt").exists)
        else:
            left *= 1 - progress(run_dir, reference)
            left += reference.saved - reference.begun  # it loads its data first
            run.wait_for(partial(changed, run_dir, before))
        kill = kill_after(run, draw.uniform(0, left), run_dir)
        if kill is None:
            break
        outcome.kills.append(kill)
        if kill.before_checkpoint:
            outcome.faults.append("no whole checkpoint after the first one stood")
            return outcome
        shutil.copytree(run_dir, f"{run_dir}-killed-{len(outcome.kills)}")
        words = ("resume", str(run_dir), "-q")
    ended = start("resume", str(run_dir), "-q").wait()
    if ended.returncode != 0 or ended.stderr:
        outcome.faults.append(f"dlrun resume: exit {ended.returncode}: {ended.stderr}")
    else:
        outcome.faults += differences(reference.run_dir, run_dir)
    return outcome


def kill_early(start: Starter, reference: Reference, run_dir: Path, draw: random.Random) -> Outcome:
    """What becomes of a run killed before its first checkpoint; no kill if it has come to one."""
    run = start(*reference.words, f"hydra.run.dir={run_dir}")
    kill = kill_after(run, draw.uniform(0, reference.saved), run_dir)
    if kill is None or not kill.before_checkpoint:
        return Outcome()
    before = files(run_dir)
    ended = start("resume", str(run_dir), "-q").wait()
    outcome = Outcome([kill])
    reasons = ("no such directory", "there is no summary.json in it", "no checkpoint in it")
    refused = ended.returncode == 2 and any(reason in ended.stderr for reason in reasons)
    if not refused or ended.stderr.count("\n") > 3:
        outcome.faults.append(f"dlrun resume: exit {ended.returncode}: {ended.stderr}")
    if files(run_dir) - before > {".lock"}:
        outcome.faults.append(f"dlrun resume has written {files(run_dir) - before}")
    return outcome


def kill_after(run: Started, seconds: float, run_dir: Path) -> Kill | None:
    """The kill of a process so many seconds from now; None when the run was over before."""
    time.sleep(seconds)
    run.send(signal.SIGKILL)
    ended = run.wait()
    if ended.returncode not in (0, -signal.SIGKILL):
        raise RuntimeError(f"dlrun {' '.join(run.words)}: exit {ended.returncode}: {ended.stderr}")
    told = stamp(run_dir) > 0 and read_json(run_dir / "summary.json")["status"] != "running"
    if ended.returncode == 0 or told:
        return None
    folder = run_dir / "checkpoints"
    inside_save = (folder / ".last.pt.tmp").exists() or (folder / ".best.pt.tmp").exists()
    # Between two renames of a save there is no last.pt, but the one before it.
    present = [path for path in (folder / "last.pt", folder / "previous.pt") if path.exists()]
    if not present:
        return Kill(seconds, before_checkpoint=True)
    state = load_checkpoint(present[0])  # a kill never leaves a damaged one
    return Kill(seconds, False, inside_save, state["epoch"], state["position"])


def progress(run_dir: Path, reference: Reference) -> float:
    """The share of all steps that lies behind the newest checkpoint."""
    folder = run_dir / "checkpoints"
    newest = folder / ("last.pt" if (folder / "last.pt").exists() else "previous.pt")
    steps: int = read_json(reference.run_dir / "summary.json")["steps"]
    return float(load_checkpoint(newest)["step"] / steps)


def differences(alone: Path, resumed: Path) -> list[str]:
    """In what two runs' directories are not the same, clocks aside."""
    found: list[str] = []
    for name in ("checkpoints/last.pt", "checkpoints/best.pt"):
        found += unequal(name, *(load_checkpoint(folder / name) for folder in (alone, resumed)))
    found += unequal("metrics.jsonl", *(metrics(folder) for folder in (alone, resumed)))
    found += unequal("summary.json", *(outcome_told(folder) for folder in (alone, resumed)))
    shown = points(resumed)
    found += unequal("TensorBoard", points(alone), shown)
    twice = [tag for tag, steps in shown.items() if len(dict(steps)) < len(steps)]
    found += [f"TensorBoard: {tag} has a step twice" for tag in twice]
    names = files(alone) ^ files(resumed)
    names -= {ROOM} | {name for name in names if name.startswith(EVENTS)}
    return found + [f"{name} is in one of them only" for name in sorted(names)]


def unequal(where: str, one: Any, other: Any) -> Iterator[str]:
    """Where two values of nested containers are not the same, bit for bit; clocks are skipped."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for key in sorted({*one, *other} - {*CLOCKS}, key=str):
            if key in one and key in other:
                yield from unequal(f"{where}: {key}", one[key], other[key])
            else:
                yield f"{where}: {key} is in one of them only"
    elif type(one) is not type(other):
        yield f"{where}: {type(one).__name__} and {type(other).__name__}"
    elif isinstance(one, torch.Tensor):
        same = one.dtype == other.dtype and one.shape == other.shape
        if not same or one.numpy().tobytes() != other.numpy().tobytes():
            yield f"{where}: other tensors"
    elif isinstance(one, Sequence) and not isinstance(one, str):
        if len(one) != len(other):
            yield f"{where}: {len(one)} and {len(other)} entries: {one} and {other}"
        for number, pair in enumerate(zip(one, other, strict=False)):
            yield from unequal(f"{where}: {number}", *pair)
    elif repr(one) != repr(other):
        yield f"{where}: {one} and {other}"


def metrics(run_dir: Path) -> list[dict[str, float | None]]:
    """The lines of metrics.jsonl without their times."""
    lines = (run_dir / "metrics.jsonl").read_text().splitlines()
    return [without_times(json.loads(line)) for line in lines]


def outcome_told(run_dir: Path) -> dict[str, Any]:
    """What summary.json says of how the run ended."""
    summary = read_json(run_dir / "summary.json")
    names = ("status", "stopped_by", "error", "epochs", "steps", "best_epoch", "hparams")
    told = {name: summary[name] for name in names}
    return told | {"metrics": without_times(summary["metrics"])}


def points(run_dir: Path) -> dict[str, list[tuple[int, float]]]:
    """Steps and values in all of TensorBoard's event files by tag, in the order of the steps.

    Whatever stands in the files counts, also what TensorBoard itself would leave out. Of times
    and of what is no number only the steps are compared. How the process ended is left out: a
    kill after the run's last word takes it away.
    """
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
    from tensorboard.plugins.hparams.metadata import SESSION_END_INFO_TAG
    from tensorboard.util.tensor_util import make_ndarray

    found: dict[str, list[tuple[int, float]]] = {}
    for path in sorted(run_dir.glob(f"{EVENTS}*")):
        for event in EventFileLoader(str(path)).Load():
            for value in event.summary.value:
                array = make_ndarray(value.tensor)
                number = array.size == 1 and array.dtype.kind == "f"
                compared = number and not value.tag.startswith("time/")
                point = (event.step, float(array) if compared else 0.0)
                found.setdefault(value.tag, []).append(point)
    return {tag: sorted(found[tag]) for tag in found if tag != SESSION_END_INFO_TAG}


def without_times(figures: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in figures.items() if not name.startswith("time/")}


def read_json(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def stamp(run_dir: Path) -> int:
    """Changes when summary.json is written; 0 when there is none."""
    try:
        return (run_dir / "summary.json").stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def changed(run_dir: Path, before: int) -> bool:
    return stamp(run_dir) != before


def files(run_dir: Path) -> set[str]:
    return {str(path.relative_to(run_dir)) for path in run_dir.rglob("*") if path.is_file()}


def main(num_kills: int, seed: int) -> int:
    """Exit code of `num_kills` kills, as evenly spread over all combinations as it comes out."""
    draw = random.Random(seed)
    folder = Path(tempfile.mkdtemp(prefix="kill-and-resume-"))

    def start(*words: str) -> Started:
        return Started(words, folder, {})

    print(f"{num_kills} kills, seed {seed}, in {folder}", flush=True)
    start("--version").wait()  # the first process waits for the server
    table = combinations()
    references: dict[str, Reference] = {}
    kills: dict[str, list[Kill]] = {name: [] for name in table}
    failures = runs = 0
    while (left := num_kills - sum(map(len, kills.values()))) > 0 and failures < MOST_FAILURES:
        name = min(table, key=lambda name: len(kills[name]))
        place = folder / name.replace(" ", "-")
        if name not in references:
            references[name] = run_alone(start, table[name], place)
        runs += 1
        run_dir = Path(f"{place}-{runs}")
        try:
            if draw.random() < 0.15:
                outcome = kill_early(start, references[name], run_dir, draw)
            else:
                in_a_row = min(draw.choice((1, 1, 2, 3)), left)
                outcome = kill_and_resume(start, references[name], run_dir, draw, in_a_row)
        except (RuntimeError, UserError, TimeoutError) as error:
            outcome = Outcome(faults=[str(error)])
        kills[name] += outcome.kills
        told = ", ".join(map(str, outcome.kills)) or "no kill in time"
        print(f"{num_kills - left + len(outcome.kills):4d}  {name}: {told}", flush=True)
        if outcome.faults:
            failures += 1
            print(f"      DIFFERS: dlrun {' '.join(table[name])}\n      kept as {run_dir}*")
            print("\n".join(f"        {fault}" for fault in outcome.faults), flush=True)
        else:
            for path in folder.glob(f"{run_dir.name}*"):
                shutil.rmtree(path)
    tell(kills, failures)
    if not failures:
        shutil.rmtree(folder)
    return 1 if failures else 0


def tell(kills: Mapping[str, Sequence[Kill]], failures: int) -> None:
    """Prints the totals."""
    for name, made in kills.items():
        print(f"{len(made):4d}  {name}")
    made = [kill for some in kills.values() for kill in some]
    print(
        f"{len(made)} kills: {sum(kill.before_checkpoint for kill in made)} before the first "
        f"checkpoint, {sum(kill.position > 0 for kill in made)} resumed in the middle of an epoch, "
        f"{sum(kill.inside_save for kill in made)} inside a save; {failures} failures"
    )


if __name__ == "__main__":
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    sys.exit(main(wanted, int(sys.argv[2]) if len(sys.argv) > 2 else secrets.randbits(32)))
