"""`dlrun rerun RUN [key=value ...]`: a run once more, and whether it comes out the same."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from hydra.types import RunMode
from omegaconf import DictConfig
from rich.console import Console
from rich.text import Text

from dlrun.check import check
from dlrun.device import describe, open_device
from dlrun.environment import host
from dlrun.errors import printable, shown
from dlrun.failures import failures_told
from dlrun.hydra_app import CONFIG_NAME, make_own_modules_importable
from dlrun.hydra_session import hydra_session, readable_errors, writable
from dlrun.overrides import spell_out
from dlrun.provenance import git_state, installed_versions, origin
from dlrun.rerun.recompose import recomposed, require_plain, stored_run
from dlrun.rerun.sameness import Comparison, compare
from dlrun.result import Result
from dlrun.run_dirs import claim_directory
from dlrun.run_files import read_summary, replace_text
from dlrun.runs.find import find_run
from dlrun.stored import require_plain_files, require_run
from dlrun.sweeps.points import is_choice, parsed
from dlrun.targets import Trust
from dlrun.terminal import plain_table
from dlrun.train import train
from dlrun.verbs import RUN_HELP, TRUST_HELP, VerbParser


@dataclass(frozen=True)
class Prepared:
    """A run that is ready to be repeated, in the directory that it has claimed.

    overrides: those of the run before, and the new ones. changes: the new ones alone.
    """

    config: DictConfig
    choices: dict[str, Any]
    overrides: list[str]
    changes: list[str]
    run_dir: Path


def rerun(words: Sequence[str]) -> int:
    """Exit code of `dlrun rerun WORDS`: that of the new run; with --exact 0 or 1."""
    parser = flag_parser()
    args = parser.parse_intermixed_args(list(words))
    # A job of a sweep lies in a directory with `=` in its name.
    places = [word for word in args.words if not re.search("^~|=", word) or os.path.isdir(word)]
    if len(places) != 1:
        parser.error(f"expected one run, got {len(places)}")
    changes = [spell_out(word) for word in args.words if word != places[0]]
    if args.trust:  # else nothing that lies in the current directory is ever imported
        make_own_modules_importable()
    run_dir = find_run(places[0])
    trust: Trust = "all" if args.trust else "data"
    result, comparison = repeat(run_dir, changes, trust, quiet=args.quiet)
    if result.advice is not None:
        print(result.advice, file=sys.stderr)
    if not args.exact:
        return result.exit_code
    if args.quiet and not comparison.same:
        print(printable(comparison.sentence), file=sys.stderr)
    return 0 if comparison.same else 1


def flag_parser() -> VerbParser:
    """The parser of what follows `dlrun rerun`."""
    parser = VerbParser(
        "rerun",
        usage="dlrun rerun [-q] [--exact] [--trust] RUN [key=value ...]",
        description="Repeat a run from its stored config, changed by what is given with it, in a "
        "directory of its own: says what of the machine and the versions is not as it was then, "
        f"and ends by comparing the two results. {RUN_HELP}",
        example="dlrun rerun RUN, a directory below outputs/runs, or last",
    )
    parser.add_argument("words", nargs="*", help=argparse.SUPPRESS)
    parser.add_argument("-q", "--quiet", action="store_true", help="no output but errors")
    parser.add_argument(
        "--exact", action="store_true", help="exit code 1 where the results are not the same"
    )
    parser.add_argument("--trust", action="store_true", help=TRUST_HELP)
    return parser


@failures_told()
def repeat(
    run_dir: Path, changes: Sequence[str], trust: Trust = "data", *, quiet: bool = False
) -> tuple[Result, Comparison]:
    """The result of running the stored run again, and how it compares with the one before.

    changes: overrides, choices of groups too. Raises UserError for what is no run, for a config
    that `trust` does not allow, and for overrides that do not fit; then nothing is made.
    """
    require_run(run_dir)
    if trust != "all":
        require_plain_files(run_dir)
    before = read_summary(run_dir) or {}
    console = Console(highlight=False, quiet=quiet)
    prepared = prepare(run_dir, before, changes, trust, quiet=quiet)
    name = run_dir.resolve().name
    console.print(Text(f"repeating {shown(name)}", style="bold"), soft_wrap=True)
    for line in differing(before, prepared.config):
        console.print(Text(f"not as then: {line}", style="yellow"), soft_wrap=True)
    (prepared.run_dir / ".hydra").mkdir(exist_ok=True)
    text = yaml.safe_dump(prepared.overrides, allow_unicode=True, width=1000)
    replace_text(prepared.run_dir / ".hydra" / "overrides.yaml", text)
    result = train(
        prepared.config,
        run_dir=prepared.run_dir,
        choices=prepared.choices,
        overrides=prepared.overrides,
        trust=trust,
        origin=origin(rerun_of=name),
    )
    after = read_summary(prepared.run_dir) or {}
    comparison = compare(run_dir, prepared.run_dir, before, after)
    print_comparison(console, comparison, name, prepared.changes)
    if not prepared.changes and other_data(before, after):
        text = "the data is not what it was then: its checksum is another"
        console.print(Text(text, style="yellow"), soft_wrap=True)
    return result, comparison


def prepare(
    run_dir: Path, before: Mapping[str, Any], changes: Sequence[str], trust: Trust, *, quiet: bool
) -> Prepared:
    """The stored run with the changes, checked, and a new directory for it."""
    stored, choices = stored_run(run_dir, before, trust)
    own: Trust = "all" if trust == "all" else "own"  # the words, and the configs that they choose
    words = list(changes)
    with hydra_session(trust=own) as app, readable_errors(app, words):
        overrides = [parsed(word, app.config_loader) for word in words]
        for override in overrides:
            require_plain(override)
        chosen = [o for o in overrides if is_choice(o, app.config_loader)]
        fresh = app.compose_config(
            CONFIG_NAME,
            [str(override.input_line) for override in chosen],
            RunMode.RUN,
            with_log_configuration=False,
        )
        values = [override for override in overrides if override not in chosen]
        groups = [o.key_or_group for o in chosen if not o.is_hydra_override()]
        config, choices = recomposed(stored, choices, fresh, values, groups)
        config.quiet = quiet
        check(config, choices, trust)
        with writable(fresh):
            fresh.hydra.runtime.choices = choices
        target = claim_directory(fresh, "hydra.run.dir")
    task = [str(o.input_line) for o in overrides if not o.is_hydra_override()]
    return Prepared(config, choices, joined(overrides_of(before), task), task, target)


def overrides_of(summary: Mapping[str, Any]) -> list[str]:
    """The overrides that a stored summary tells, those of its resumes too."""
    lists = [summary.get("overrides")]
    resumed = summary.get("resumed")
    lists += [note.get("overrides") for note in resumed or () if isinstance(note, dict)]
    words = [word for found in lists if isinstance(found, list) for word in found]
    return [word for word in words if isinstance(word, str) and not word.startswith("quiet=")]


def joined(words: Sequence[str], changes: Sequence[str]) -> list[str]:
    """The words less those whose key a later one has too, and the changes.

    >>> joined(["epochs=3", "seed=1"], ["epochs=5"])
    ['seed=1', 'epochs=5']
    """
    by_key: dict[str, str] = {}
    for word in (*words, *changes):
        key = word.lstrip("+~").partition("=")[0]
        by_key.pop(key, None)
        by_key[key] = word
    return list(by_key.values())


def differing(before: Mapping[str, Any], config: DictConfig) -> Iterator[str]:
    """A line for each version, and part of the machine, that is recorded and another one now."""
    device = config.device
    compute = open_device(
        device.name,
        precision=device.precision,
        threads=device.threads,
        deterministic=device.deterministic,
    )
    now: dict[str, Any] = {**installed_versions()}
    recorded = before.get("versions")
    then: dict[str, Any] = dict(recorded) if isinstance(recorded, dict) else {}
    for part, here in (("host", host()), ("git", git_state() or {})):
        stored = before.get(part)
        found = stored if isinstance(stored, dict) else {}
        if part == "host":
            then |= {f"host {key}": found.get(key) for key in here if key in found}
            now |= {f"host {key}": value for key, value in here.items()}
        elif found:
            then["git"], now["git"] = commit(found), commit(here)
    then["device"], now["device"] = before.get("device"), describe(compute.device)
    for name, value in then.items():
        if value is not None and value != now.get(name):
            yield f"{shown(name)} {shown(value)} then, {shown(now.get(name) or 'none')} now"


def commit(git: Mapping[str, Any]) -> str | None:
    """A commit in short, and whether files were changed since."""
    if not git.get("commit"):
        return None
    return f"{str(git['commit'])[:10]}{' with changes' if git.get('dirty') else ''}"


def other_data(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether both summaries know the checksum of their data, and it is another one."""
    records = (before.get("data"), after.get("data"))
    sums = [record.get("checksum") for record in records if isinstance(record, dict)]
    return len(sums) == 2 and None not in sums and sums[0] != sums[1]


def print_comparison(
    console: Console, comparison: Comparison, name: str, changes: Sequence[str]
) -> None:
    """The figures of both runs at their best epochs, and what can be said of all the others."""
    table = plain_table()
    best, new_best = comparison.best
    table.add_column("")
    for title in (f"then (epoch {best})", f"now (epoch {new_best})", "difference"):
        table.add_column(title, justify="right")
    for metric, value, new_value in comparison.rows:
        known = value is not None and new_value is not None
        change = new_value - value if value is not None and new_value is not None else 0.0
        told = "–" if not known else "0" if change == 0 else f"{change:+.3g}"
        table.add_row(Text(shown(metric)), figure(value), figure(new_value), told)
    console.print()
    console.print(Text(f"compared with {shown(name)}", style="bold"), soft_wrap=True)
    if changes:
        console.print(Text(f"changed: {shown(', '.join(changes), width=1000)}"), soft_wrap=True)
    console.print(table)
    console.print()
    style = "bold green" if comparison.same else "bold yellow"
    console.print(Text(printable(comparison.sentence), style=style), soft_wrap=True)


def figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.6g}"
