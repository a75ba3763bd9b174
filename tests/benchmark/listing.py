"""What a list of many runs costs: the seconds of `dlrun ls`, of `last`, and of a condition.

    python tests/benchmark/listing.py [--runs 10000] [--damaged 20] [--rounds 5]

Makes directories with a summary.json as a run writes it, some of them damaged in one of a dozen
ways, and lists them as users do: each command is a process of its own, Python's start included.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from datetime import datetime, timedelta, timezone
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

BEGIN = datetime(2026, 1, 1, tzinfo=timezone.utc)
OPTIMIZERS = ("sgd", "momentum", "adam", "adamw", "rmsprop")
HPARAMS = {
    **{"model": "mlp", "dataset": "mnist5k", "regularization": "none", "scheduler": "constant"},
    **{"loss": "cross_entropy", "momentum": None, "beta1": 0.9, "beta2": 0.999},
    **{"weight_decay": 0.0, "batch_size": 64, "epochs": 10, "hidden": "[256]", "init": "torch"},
    **{"activation": "relu", "latent_dim": None, "depth": None, "surface": None, "dropout": 0.0},
    **{"batch_norm": False, "l1": 0.0, "label_smoothing": 0.0, "augment_shift": 0.0},
    **{"early_stopping_patience": None, "max_grad_norm": None, "precision": "fp32"},
    **{"val_fraction": 0.1, "limit": None},
}
VERSIONS = dict.fromkeys(
    ("python", "dlrun", "torch", "torchvision", "hydra-core", "numpy"), "2.1.0"
)
DAMAGE: tuple[bytes | None, ...] = (
    None,  # a directory instead of the file
    b"",
    b'{"status": "completed", "metr',
    b"[]",
    b"null",
    b"\xff\xfe\x00",
    b"[" * 200_000,
    b'{"status": 3}',
    b'{"status": "completed", "metrics": []}',
    b'{"status": "completed", "hparams": "lr"}',
    b'{"status": "completed", "overrides": [1]}',
    b'{"status": "completed", "train_seconds": "long"}',
)
COMMANDS = {
    "dlrun ls": ("ls",),
    "dlrun ls -n 100": ("ls", "-n", "100"),
    "dlrun ls --sort -accuracy/val": ("ls", "--sort", "-accuracy/val"),
    "dlrun ls --where …": ("ls", "--where", "optimizer=adam and accuracy/val>0.95"),
    "dlrun ls --json": ("ls", "--json"),
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--damaged", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        make_runs(Path(folder), arguments.runs, arguments.damaged)
        table = Table(title=f"{arguments.runs:,} runs, {arguments.damaged} of them damaged")
        for name in ("command", "seconds: median (range)", "of the processor", "lines"):
            table.add_column(name, justify="left" if name == "command" else "right")
        for name, words in COMMANDS.items():
            seconds, work, output = measured(words, Path(folder), arguments.rounds)
            spread = f"{median(seconds):.2f} ({min(seconds):.2f} to {max(seconds):.2f})"
            table.add_row(name, spread, f"{median(work):.2f}", f"{output.count(chr(10)):,}")
        command = [sys.executable, "-c", LAST]
        table.add_row("find_run('last'), within", last_seconds(command, Path(folder)), "", "")
        listed = json.loads(measured(("ls", "--json"), Path(folder), 1)[2])
    Console(width=100).print(table)
    print(f"{len(listed):,} listed:", dict(Counter(record["status"] for record in listed)))


LAST = """
import time
from dlrun.runs.find import find_run
begin = time.perf_counter()
find_run("last")
print(f"{time.perf_counter() - begin:.2f}")
"""


def measured(
    words: tuple[str, ...], folder: Path, rounds: int
) -> tuple[list[float], list[float], str]:
    """Seconds of each round of `dlrun WORDS` as a process, of its own work, and what it prints.

    The first hang on who else uses the machine, the second less so.
    """
    seconds, work, output = [], [], ""
    for _ in range(rounds):
        begin, worked = time.perf_counter(), processor_seconds()
        command = [sys.executable, "-m", "dlrun", *words]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
        seconds.append(time.perf_counter() - begin)
        work.append(processor_seconds() - worked)
        output = done.stdout
    return seconds, work, output


def processor_seconds() -> float:
    """What all processes that are over by now have taken of the processor."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def last_seconds(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def make_runs(folder: Path, number: int, damaged: int) -> None:
    """So many directories below outputs/runs, a hundred a day; the damaged ones spread evenly."""
    broken = {k * number // damaged for k in range(damaged)} if damaged else set()
    for k in range(number):
        begun = BEGIN + timedelta(days=k // 100, seconds=600 * (k % 100))
        optimizer = OPTIMIZERS[k % len(OPTIMIZERS)]
        name = f"{begun:%H-%M-%S}-mlp-{optimizer}-mnist5k-{k:04x}"
        run_dir = folder / "outputs" / "runs" / f"{begun:%Y-%m-%d}" / name
        run_dir.mkdir(parents=True)
        if k in broken:
            damage(run_dir, DAMAGE[sorted(broken).index(k) % len(DAMAGE)])
        else:
            text = json.dumps(summary(k, optimizer, begun), indent=2)
            (run_dir / "summary.json").write_text(text)


def damage(run_dir: Path, content: bytes | None) -> None:
    if content is None:
        os.mkdir(run_dir / "summary.json")
    else:
        (run_dir / "summary.json").write_bytes(content)


def summary(k: int, optimizer: str, begun: datetime) -> dict[str, object]:
    """A summary as a run writes it, its figures made up."""
    accuracy = 0.8 + 0.19 * ((k * 7919) % 1000) / 1000
    figures = {"loss/train": 0.1, "accuracy/train": accuracy, "loss/val": 1 - accuracy}
    figures |= {"accuracy/val": accuracy, "accuracy/test": accuracy, "loss/test": 0.2}
    return {
        **{"status": "completed", "stopped_by": "epochs", "error": None, "seed": k % 5},
        "started": begun.isoformat(),
        "overrides": [f"optimizer={optimizer}", f"optimizer.lr={10 ** -(k % 4)}", f"seed={k % 5}"],
        "hparams": {**HPARAMS, "optimizer": optimizer, "lr": 10.0 ** -(k % 4), "seed": k % 5},
        **{"epochs": 10, "steps": 700, "evaluations": 700, "parameters": 203_530},
        **{"trainable_parameters": 203_530, "best_epoch": 9, "metrics": figures, "baselines": {}},
        **{"diagnosis": None, "skipped_batches": 0, "train_seconds": 12.5 + k % 60},
        **{"samples_per_second": 9_000.0, "device": "cpu (1 thread)", "versions": VERSIONS},
        **{"git": None, "resumed": []},
    }


if __name__ == "__main__":
    main()
