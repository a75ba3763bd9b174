"""`dlrun experiments`: the course, lesson by lesson, as commands that one can type."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dlrun.errors import UserError, nearest, printable, shown
from dlrun.hydra_session import packaged_conf
from dlrun.verbs import VerbParser

if TYPE_CHECKING:
    from rich.padding import Padding
    from rich.table import Table

# The order in which a course takes them; those of other names come last.
LESSONS = (
    *("First networks", "The plane", "Test functions", "Optimizers", "Learning rate and batch"),
    *("Regression", "Overfitting", "Gradients", "Activations and losses", "notMNIST"),
    *("Autoencoders", "Transfer", "Direct search"),
)
KEYS = ("Lesson", "Question", "Runs", "To see", "Source", "Time", "Data")


@dataclass(frozen=True)
class Experiment:
    """A file of conf/experiment or conf/sweep, and what its head says of it.

    command: what one types behind `dlrun`. head: text by KEYS, each on one line.
    """

    command: str
    head: dict[str, str]

    @property
    def lesson(self) -> str:
        return self.head.get("Lesson", "Your own")


def experiments(words: Sequence[str]) -> int:
    """Exit code of `dlrun experiments WORDS`: lists all of them, or those that a word names."""
    parser = VerbParser(
        "experiments",
        usage="dlrun experiments [WORD]",
        description="The experiments of the course by lesson; of those that WORD names (a lesson, "
        "a name, a data set, or a part of one) everything that their files say.",
        example="dlrun experiments",
    )
    parser.add_argument("word", nargs="?", help=argparse.SUPPRESS)
    word = parser.parse_args(list(words)).word
    found = sorted(all_experiments(), key=order)
    if word is not None:
        found = [e for e in found if names(e, word)]
        if not found:
            known = {*LESSONS, *(e.command.partition("=")[2] for e in all_experiments())}
            raise UserError(
                f"dlrun experiments {shown(word)}: no such lesson or experiment"
                f"{nearest(word, known) or ' (dlrun experiments lists all)'}"
            )
    print_list(found, whole=word is not None)
    return 0


def all_experiments() -> Iterator[Experiment]:
    """Those of dlrun, and those in the folder conf of the current directory."""
    folders = dict.fromkeys(folder.resolve() for folder in (packaged_conf(), Path("conf")))
    for folder in folders:
        for group in ("experiment", "sweep"):
            for file in sorted((folder / group).glob("*.yaml")):
                yield Experiment(
                    f"{group}={file.stem}", head_of(file.read_text("utf-8", "replace"))
                )


def head_of(text: str) -> dict[str, str]:
    """What the comments at the top of a config file say, by key.

    >>> head_of("# @package _global_\\n# Question: why,\\n#   and how?\\n# Time: 5 s\\nseed: 0")
    {'Question': 'why, and how?', 'Time': '5 s'}
    """
    head: dict[str, str] = {}
    key = None
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        if found := re.match(rf"# ({'|'.join(KEYS)}): (.*)", line):
            key = found[1]
            head[key] = found[2].strip()
        elif key is not None and line.startswith("#  "):
            head[key] += f" {line[1:].strip()}"
    return head


def order(experiment: Experiment) -> tuple[int, str]:
    """The place of its lesson in the course."""
    lesson = experiment.lesson
    return LESSONS.index(lesson) if lesson in LESSONS else len(LESSONS), lesson


def names(experiment: Experiment, word: str) -> bool:
    """Whether a word occurs in its command, its lesson or its data."""
    told = (experiment.command, experiment.lesson, experiment.head.get("Data", ""))
    return any(word.lower() in text.lower() for text in told)


def print_list(found: Sequence[Experiment], *, whole: bool) -> None:
    """Lesson by lesson a line each; whole: all that the files say."""
    from rich.console import Console, Group
    from rich.padding import Padding
    from rich.text import Text

    console = Console(highlight=False)
    for lesson in dict.fromkeys(experiment.lesson for experiment in found):
        console.print()
        console.print(Text(printable(lesson), style="bold"))
        of_lesson = [experiment for experiment in found if experiment.lesson == lesson]
        width = max(len(experiment.command) for experiment in found)
        told = Group(*map(whole_head, of_lesson)) if whole else table(of_lesson, width)
        console.print(Padding(told, (0, 0, 0, 2)))
    console.print()
    console.print("Type dlrun and the first column; whatever is typed behind it takes its place:")
    console.print(Text(f"  dlrun {found[0].command} seed=1", style="cyan"))


def table(found: Sequence[Experiment], width: int) -> Table:
    """A row an experiment: what to type, its question, its time, the data that it needs."""
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True, min_width=width)
    grid.add_column(ratio=1)
    grid.add_column(no_wrap=True, justify="right")
    grid.add_column(no_wrap=True)
    for experiment in found:
        told = [printable(experiment.head.get(key, "")) for key in ("Question", "Time", "Data")]
        grid.add_row(Text(printable(experiment.command), "cyan"), *map(Text, told))
    return grid


def whole_head(experiment: Experiment) -> Padding:
    """What to type, and below it all that the file says at its top."""
    from rich.console import Group
    from rich.padding import Padding
    from rich.text import Text

    head = {key: text for key, text in experiment.head.items() if key != "Lesson"}
    lines = [f"{key}: {printable(text)}" for key, text in head.items()]
    told = Padding(Text("\n".join(lines)), (0, 0, 0, 2))
    return Padding(Group(Text(printable(experiment.command), "cyan"), told), (0, 0, 1, 0))
