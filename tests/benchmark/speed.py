"""Training speed of dlrun beside other ways to train the same network, as ratios of one run.

    python tests/benchmark/speed.py [--rounds 9] [--batch-sizes 64,512] [--threads 1]
        [--only reference,dlrun]

MNIST, 784-256-10 with ReLU, Adam with lr 1e-3, 54,000 images to train and 6,000 to validate, on
the CPU. The contenders take turns, an epoch each (A B C A B C ...), in one process, so that a
busy machine is busy for all of them. README.md beside this file says what each epoch contains.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import subprocess
import sys
import tempfile
import time
import warnings
from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, Subset, TensorDataset

NUM_VAL = 6_000
LR = 1e-3


def make_model() -> nn.Sequential:
    return nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 10))


class Mnist:
    """The images as tensors, standardised: x (N, 784) float32, y (N,) int64; and the folder.

    Standardised because dlrun's are: the same loop takes a third longer at batch 64 on pixels in
    [0, 1], where arithmetic meets denormal numbers, and that is no merit of a runner.
    """

    def __init__(self, data_dir: Path) -> None:
        from torchvision.datasets import MNIST

        self.data_dir = data_dir
        source = MNIST(str(data_dir), train=True)
        order = torch.randperm(len(source), generator=torch.Generator().manual_seed(0))
        self.train_index, self.val_index = order[NUM_VAL:], order[:NUM_VAL]
        x = source.data.flatten(1).float() / 255  # (60000, 784)
        self.x, self.y = x[self.train_index], source.targets[self.train_index]
        mean, std = x[self.train_index].mean(), x[self.train_index].std()
        self.x = (self.x - mean) / std
        self.x_val, self.y_val = (x[self.val_index] - mean) / std, source.targets[self.val_index]


class Contender:
    """One way to train: `epoch()` trains one more epoch and returns its wall time in seconds."""

    name: str
    target: dict[int, float] = {}  # by batch size: dlrun is to be this many times as fast
    informative = False

    def __init__(self, mnist: Mnist, batch_size: int, work_dir: Path) -> None:
        self.mnist, self.batch_size, self.work_dir = mnist, batch_size, work_dir
        self.prepare()

    @abstractmethod
    def prepare(self) -> None: ...

    @abstractmethod
    def epoch(self) -> float: ...


class Reference(Contender):
    """The fastest plain loop that still reports: tensors in memory, fused Adam, no DataLoader."""

    name = "reference: tensors in memory, fused Adam"
    target = {64: 0.90, 512: 0.90}
    measures = True

    def prepare(self) -> None:
        self.model = make_model()
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=LR, fused=True)

    def epoch(self) -> float:
        start = time.perf_counter()
        x, y = self.mnist.x, self.mnist.y
        loss_sum, num_correct = torch.zeros(()), torch.zeros((), dtype=torch.int64)
        for batch in torch.randperm(len(y)).split(self.batch_size):
            xb, yb = x.index_select(0, batch), y.index_select(0, batch)  # 5-10 % below x[batch]
            logits = self.model(xb)
            loss = cross_entropy(logits, yb)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            if self.measures:
                loss_sum += loss.detach() * len(yb)
                num_correct += (logits.argmax(1) == yb).sum()
        if self.measures:
            with torch.no_grad():
                logits = self.model(self.mnist.x_val)
                val_loss = cross_entropy(logits, self.mnist.y_val).item()
                val_accuracy = (logits.argmax(1) == self.mnist.y_val).float().mean().item()
            train_loss, train_accuracy = loss_sum.item() / len(y), num_correct.item() / len(y)
            print(f"{train_loss:.4f} {train_accuracy:.4f} {val_loss:.4f} {val_accuracy:.4f}")
        return time.perf_counter() - start


class Bare(Reference):
    """The reference without any measuring: a bound for what could be had."""

    name = "the same, nothing measured"
    target = {}
    measures = False
    informative = True


class Dlrun(Contender):
    """dlrun with all its logging. A run of two epochs each turn; the second is counted.

    The time is the difference of `time/total` in successive lines of metrics.jsonl: the epoch
    with its validation, checkpoint, TensorBoard and terminal lines.
    """

    name = "dlrun, all logging on"

    def prepare(self) -> None:
        from dlrun import run

        self.run = run

    def epoch(self) -> float:
        overrides = [
            "dataset=mnist",
            f"data_dir={self.mnist.data_dir}",
            "model=mlp",
            "optim=adam",
            f"optim.lr={LR}",
            f"batch_size={self.batch_size}",
            "device=cpu",
            f"device.threads={torch.get_num_threads()}",
            "epochs=2",
        ]
        with inside(self.work_dir):
            history = self.run(*overrides).history
        before, after = history["time/total"].iloc[-2:]
        return float(after - before)


class Skorch(Contender):
    """skorch's NeuralNetClassifier with its defaults: prints train_loss, valid_acc, valid_loss."""

    name = "skorch"

    def prepare(self) -> None:
        from skorch import NeuralNetClassifier
        from skorch.dataset import Dataset
        from skorch.helper import predefined_split

        mnist = self.mnist
        self.x, self.y = mnist.x.numpy(), mnist.y.numpy()
        self.net = NeuralNetClassifier(
            make_model(),
            criterion=nn.CrossEntropyLoss,
            optimizer=torch.optim.Adam,
            lr=LR,
            batch_size=self.batch_size,
            max_epochs=1,
            iterator_train__shuffle=True,
            train_split=predefined_split(Dataset(mnist.x_val.numpy(), mnist.y_val.numpy())),
        )

    def epoch(self) -> float:
        start = time.perf_counter()
        self.net.partial_fit(self.x, self.y)
        return time.perf_counter() - start


class Lightning(Contender):
    """Lightning's Trainer as it comes: TensorBoard logger, progress bar, a checkpoint an epoch."""

    name = "Lightning"
    target = {64: 2.5}

    def prepare(self) -> None:
        import lightning
        from lightning.pytorch.loggers import TensorBoardLogger

        for logger in ("lightning.pytorch", "lightning.fabric"):
            logging.getLogger(logger).setLevel(logging.ERROR)

        class Module(lightning.LightningModule):
            def __init__(self) -> None:
                super().__init__()
                self.model = make_model()

            def share(self, batch: tuple[Tensor, Tensor], split: str) -> Tensor:
                x, y = batch
                logits = self.model(x)
                loss = cross_entropy(logits, y)
                accuracy = (logits.argmax(1) == y).float().mean()
                values = {f"loss/{split}": loss, f"accuracy/{split}": accuracy}
                self.log_dict(values, on_step=False, on_epoch=True, prog_bar=True)
                return loss

            def training_step(self, batch: Any, index: int) -> Tensor:
                return self.share(batch, "train")

            def validation_step(self, batch: Any, index: int) -> Tensor:
                return self.share(batch, "val")

            def configure_optimizers(self) -> torch.optim.Optimizer:
                return torch.optim.Adam(self.parameters(), lr=LR)

        class Clock(lightning.Callback):
            """From the epoch's first hook to the end of fit: start-up of fit is left out."""

            start = seconds = 0.0

            def on_train_epoch_start(self, *_: Any) -> None:
                self.start = time.perf_counter()

            def on_train_end(self, *_: Any) -> None:
                self.seconds = time.perf_counter() - self.start

        mnist, size = self.mnist, self.batch_size
        self.clock, self.module = Clock(), Module()
        self.train = DataLoader(TensorDataset(mnist.x, mnist.y), size, shuffle=True)
        self.val = DataLoader(TensorDataset(mnist.x_val, mnist.y_val), size)
        self.trainer = lightning.Trainer(
            accelerator="cpu",
            devices=1,
            max_epochs=0,
            logger=TensorBoardLogger(self.work_dir / "lightning"),
            callbacks=[self.clock],
        )

    def epoch(self) -> float:
        self.trainer.fit_loop.max_epochs = self.trainer.current_epoch + 1
        self.trainer.fit(self.module, self.train, self.val)
        return self.clock.seconds


class CourseLoop(Contender):
    """The loop that courses teach: torchvision's data set, ToTensor, DataLoader, loss.item()."""

    name = "course's loop: torchvision, DataLoader"
    target = {64: 4.0}

    def prepare(self) -> None:
        from torchvision.datasets import MNIST
        from torchvision.transforms import ToTensor

        source = MNIST(str(self.mnist.data_dir), train=True, transform=ToTensor())
        train = Subset(source, self.mnist.train_index.tolist())
        val = Subset(source, self.mnist.val_index.tolist())
        self.train = DataLoader(train, batch_size=self.batch_size, shuffle=True)
        self.val = DataLoader(val, batch_size=self.batch_size)
        self.model = nn.Sequential(nn.Flatten(), make_model())
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=LR)

    def epoch(self) -> float:
        start = time.perf_counter()
        self.model.train()
        loss_sum, num_correct = 0.0, 0
        for x, y in self.train:
            logits = self.model(x)
            loss = cross_entropy(logits, y)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            loss_sum += loss.item() * len(y)
            num_correct += (logits.argmax(1) == y).sum().item()
        self.model.eval()
        val_loss_sum, num_val_correct = 0.0, 0
        with torch.no_grad():
            for x, y in self.val:
                logits = self.model(x)
                val_loss_sum += cross_entropy(logits, y).item() * len(y)
                num_val_correct += (logits.argmax(1) == y).sum().item()
        print(loss_sum, num_correct, val_loss_sum, num_val_correct)
        return time.perf_counter() - start


CONTENDERS: dict[str, type[Contender]] = {
    "reference": Reference,
    "bare": Bare,
    "dlrun": Dlrun,
    "skorch": Skorch,
    "lightning": Lightning,
    "course": CourseLoop,
}


@contextlib.contextmanager
def inside(directory: Path) -> Iterator[None]:
    """The current directory for a while: where dlrun leaves its `outputs`."""
    before = Path.cwd()
    os.chdir(directory)
    try:
        yield
    finally:
        os.chdir(before)


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """Sends what the contenders print to the null device: not a terminal, so bars do not redraw."""
    with (
        open(os.devnull, "w") as sink,
        contextlib.redirect_stdout(sink),
        contextlib.redirect_stderr(sink),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")  # advice of Lightning about workers and re-used folders
        yield


def measure(
    names: list[str], mnist: Mnist, batch_size: int, rounds: int, work_dir: Path
) -> dict[str, list[float]]:
    """Seconds an epoch by contender, `rounds` of each; a first round is warm-up and not counted."""
    console = Console(stderr=True, quiet=not sys.stderr.isatty())
    threads = torch.get_num_threads()
    seconds: dict[str, list[float]] = {name: [] for name in names}
    with silent():
        contenders = {name: CONTENDERS[name](mnist, batch_size, work_dir) for name in names}
    for turn in range(rounds + 1):
        for name, contender in contenders.items():
            # Whatever the one before has set must not reach the next.
            torch.set_num_threads(threads)
            torch.use_deterministic_algorithms(False)
            torch.set_flush_denormal(False)
            console.print(f"batch {batch_size}, round {turn} of {rounds}: {name:<10}", end="\r")
            with silent():
                elapsed = contender.epoch()
            if turn > 0:
                seconds[name].append(elapsed)
    return seconds


def report(seconds: dict[str, list[float]], batch_size: int, num_train: int) -> Table:
    """One row a contender: speed, its ratio to the reference, and dlrun's ratio to it."""
    rounds = len(next(iter(seconds.values())))
    table = Table(
        title=f"MNIST 784-256-10, Adam, batch {batch_size}: {num_train:,} images an epoch, "
        f"median (min to max) of n = {rounds} epochs in turn",
        title_justify="left",
    )
    table.add_column("contender")
    table.add_column("seconds an epoch", justify="right")
    table.add_column("samples/s", justify="right")
    table.add_column("ratio to reference", justify="right")
    table.add_column("dlrun against it", justify="right")
    medians = {name: median(values) for name, values in seconds.items()}
    for name, values in seconds.items():
        kind = CONTENDERS[name]
        target = kind.target.get(batch_size)
        against = ""
        if "dlrun" in medians and name != "dlrun":
            ratio = medians[name] / medians["dlrun"]
            verdict = "ok" if target is not None and ratio >= target else "missed"
            against = f"{ratio:.2f}"
            if target is not None:
                against += f" (target ≥ {target:.2f}: {verdict})"
        relative = ""
        if "reference" in seconds:
            # By round too: neighbours in time meet the same load from the rest of the machine.
            by_round = [ref / own for ref, own in zip(seconds["reference"], values, strict=True)]
            relative = f"{medians['reference'] / medians[name]:.2f}"
            relative += f" ({min(by_round):.2f} to {max(by_round):.2f})"
        table.add_row(
            kind.name,
            f"{medians[name]:.2f} ({min(values):.2f} to {max(values):.2f})",
            f"{num_train / medians[name]:,.0f}",
            relative,
            against,
            style="dim" if kind.informative else None,
        )
    return table


def find_mnist() -> Path:
    """The data directory from DLRUN_DATA_DIR; ends the program where MNIST is not in it."""
    data_dir = os.environ.get("DLRUN_DATA_DIR")
    if data_dir is None:
        sys.exit("DLRUN_DATA_DIR is not set: it names the folder that holds MNIST/raw")
    raw = Path(data_dir).absolute() / "MNIST" / "raw"
    if not (raw / "train-images-idx3-ubyte").exists():
        sys.exit(f"DLRUN_DATA_DIR={data_dir}: no MNIST/raw/train-images-idx3-ubyte in it")
    return raw.parent.parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=9, help="counted epochs of each contender")
    parser.add_argument("--batch-sizes", default="64,512")
    parser.add_argument("--threads", type=int, help="for everybody; torch's default when left out")
    known = [*CONTENDERS, "startup"]
    parser.add_argument("--only", default=",".join(known), help="some of " + ",".join(known))
    arguments = parser.parse_args()
    chosen = arguments.only.split(",")
    if unknown := set(chosen) - set(known):
        parser.error(f"--only: {', '.join(sorted(unknown))}: choose from {', '.join(known)}")
    names = [name for name in CONTENDERS if name in chosen]
    data_dir = find_mnist()
    console = Console(width=None if sys.stdout.isatty() else 150)
    if names:
        if arguments.threads is not None:
            torch.set_num_threads(arguments.threads)
        mnist = Mnist(data_dir)
        console.print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, CPU")
        for batch_size in map(int, arguments.batch_sizes.split(",")):
            with tempfile.TemporaryDirectory() as work_dir:
                seconds = measure(names, mnist, batch_size, arguments.rounds, Path(work_dir))
            console.print(report(seconds, batch_size, len(mnist.y)))
    if "startup" in chosen:
        # A process of its own: this one's memory must not count as its children's.
        script = Path(__file__).with_name("startup.py")
        command = [sys.executable, str(script), "--rounds", str(arguments.rounds)]
        sys.exit(subprocess.run(command).returncode)


if __name__ == "__main__":
    main()
