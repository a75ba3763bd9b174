"""A few dozen random configs; `python tests/fuzz_configs.py 1000` makes as many as one likes."""

from __future__ import annotations

from collections import Counter

import pytest
from fuzz_cases import KINDS, Case, make_case
from fuzz_configs import Outcome, describe, offence, run_case

CASES_A_KIND = 12
SEED = 0


@pytest.mark.parametrize("kind", KINDS)
def test_random_configs_run_or_are_refused_in_a_few_lines(kind: str) -> None:
    first = KINDS.index(kind)
    codes: Counter[int | None] = Counter()
    offences = []
    for number in range(first, first + CASES_A_KIND * len(KINDS), len(KINDS)):
        case = make_case(SEED, number)
        assert case.kind == kind
        outcome = run_case(case)
        codes[outcome.code] += 1
        if what := offence(outcome):
            offences.append(f"{SEED}/{number}: {what}\n{describe(case)}\n{outcome.stderr}")
    assert not offences, "\n\n".join(offences)
    assert codes[0] > 0 and codes[2] > 0, codes  # neither trivially fine nor trivially wrong


def test_a_case_follows_from_seed_and_number_alone() -> None:
    cases = [make_case(7, number) for number in range(10)]
    assert [make_case(7, number) for number in range(10)] == cases
    assert make_case(8, 0) != cases[0]


EVIL = b"""
import contextlib, os, subprocess, torch

class Net(torch.nn.Linear):
    def __init__(self, in_shape, out_features):
        super().__init__(in_shape[0], out_features)
        with contextlib.suppress(OSError):
            os.mkdir("/proc/outside")
        subprocess.run(["true"])
        os.system("touch made_by_foreign_code")
"""


def test_what_a_case_must_not_do_is_seen() -> None:
    files = {"own.py": EVIL}
    files["conf/model/evil.yaml"] = b"_target_: own.Net\n_partial_: true\n"
    words = ("model=evil", "dataset=moons", "debug=fast_dev_run", "figures=false", "quiet=true")
    outcome = run_case(Case("yaml", words, files))
    events = [line.split(" ")[0] for line in outcome.forbidden]
    assert events == ["os.mkdir", "subprocess.Popen", "os.system", "made"], outcome
    assert offence(outcome) == outcome.forbidden[0]


def outcome(code: int | None, stderr: str, stdout: str = "") -> Outcome:
    return Outcome(code, stdout, stderr, (), 0.1)


@pytest.mark.parametrize(
    ("what", "result"),
    {
        "still running after 60 s": outcome(None, ""),
        "exit code 1": outcome(1, "error: KeyError: 'x'\n"),
        "exit code -11": outcome(-11, ""),
        "traceback": outcome(0, "Traceback (most recent call last):\n"),
        "control characters": outcome(2, "error: seed=\x1b[31m: expected a whole number\n"),
        "no error message": outcome(2, "error: \n"),
        "a message of 4 lines": outcome(2, "error: a=1: x\n       b\n       c\n       d\n"),
        "a line of 1007 characters": outcome(2, "error: " + "x" * 1000),
        None: outcome(2, "error: seed=x: expected a whole number\n"),
    }.items(),
)
def test_offences(what: str | None, result: Outcome) -> None:
    assert offence(result) == what


def test_as_many_lines_as_there_are_faults_are_no_offence() -> None:
    faults = [f"key_{k}=-1: expected a number >= 0" for k in range(9)]
    assert offence(outcome(2, "error: " + "\n       ".join(faults))) is None
    assert offence(outcome(0, "warning: nothing\n")) is None
    assert offence(outcome(3, "diverged\n")) is None
