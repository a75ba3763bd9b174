"""What one can type behind `dlrun`: the verbs, and the parser of the words behind each."""

from __future__ import annotations

import argparse
from typing import NoReturn

from dlrun.errors import UserError, shown

# Each verb, the module and the function that answer it; imported only when it is typed.
VERBS = {
    "train": ("dlrun.hydra_app", "run_hydra"),
    "resume": ("dlrun.resume", "resume"),
    "report": ("dlrun.report.command", "report"),
    "ls": ("dlrun.runs.ls", "ls"),
    "show": ("dlrun.runs.show", "show"),
    "diff": ("dlrun.runs.diff", "diff"),
    "tag": ("dlrun.runs.tag", "tag"),
    "rm": ("dlrun.runs.rm", "rm"),
    "evaluate": ("dlrun.judge.command", "evaluate"),
    "predict": ("dlrun.predict.command", "predict"),
    "serve": ("dlrun.serve.command", "serve"),
    "export": ("dlrun.export.command", "export"),
    "rerun": ("dlrun.rerun.command", "rerun"),
    "pack": ("dlrun.pack.command", "pack"),
    "unpack": ("dlrun.pack.command", "unpack"),
    "experiments": ("dlrun.experiments", "experiments"),
    "completion": ("dlrun.completion.command", "completion"),
    "doctor": ("dlrun.doctor", "doctor"),
}
RUN_HELP = (
    "RUN is the directory of a run, an archive of `dlrun pack`, the beginning of a run's name, "
    "or `last`."
)
TRUST_HELP = "call whatever the stored config names, also code that is not dlrun's or torch's"


class VerbParser(argparse.ArgumentParser):
    """A parser whose errors are a UserError of one line, with what to type instead."""

    def __init__(self, verb: str, usage: str, description: str, example: str) -> None:
        super().__init__(
            prog=f"dlrun {verb}", usage=usage, description=description, allow_abbrev=False
        )
        self.example = example

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{self.prog}: {shown(message)} (type {self.example})")
