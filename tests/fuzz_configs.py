"""Random configs through the command line: a run, or a short error, and nothing else.

    python tests/fuzz_configs.py 1000 [SEED]    # that many cases, counted, with every offender
    python tests/fuzz_configs.py SEED/NUMBER    # one case: what it types, what comes of it

Wanted of every case: exit code 0, 2 or 3, no traceback, an error of at most three lines (or of
one a fault), no control characters, nothing written outside its own folder, no program started.
Each runs in a process of its own, so that crashes and hangs are seen too. What is typed:
fuzz_cases.py.
"""

from __future__ import annotations

import dataclasses
import errno
import os
import re
import resource
import shlex
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from fuzz_cases import CANARY, KINDS, Case, make_case

SERVER = get_context("forkserver")
# What cases would import one after the other; all of it together takes some seconds, once.
SERVER.set_forkserver_preload(
    [
        *("dlrun.train", "dlrun.hydra_app", "dlrun.doctor", "dlrun.figures", "pytorch_optimizer"),
        *("torch.utils.tensorboard", "torchvision.datasets", "sklearn.datasets", "mlxtend.data"),
        *("pandas", "matplotlib.font_manager"),
    ]
)
SECONDS = 60  # that a case may take
MEMORY = 16 * 2**30  # bytes of address space


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What came of a case; code is None after a time-out, below 0 after a signal.

    forbidden: what it wrote outside its folder, and which programs it started.
    """

    code: int | None
    stdout: str
    stderr: str
    forbidden: tuple[str, ...]
    seconds: float


def run_case(case: Case) -> Outcome:
    """What `dlrun WORDS` does in a fresh folder, in a process of its own, without network."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name).resolve()
        work = lay_out(case, root)
        start = time.perf_counter()
        process = SERVER.Process(target=case_process, args=(case.words, root, work))
        process.start()
        process.join(SECONDS)
        code = process.exitcode
        if code is None:
            process.kill()
            process.join()
        process.close()
        seconds = time.perf_counter() - start
        stdout, stderr, forbidden = (
            file.read_text(encoding="utf-8", errors="replace") if file.exists() else ""
            for file in (root / "stdout", root / "stderr", root / "forbidden")
        )
        made = [f"made {path}" for path in root.rglob(CANARY)]
    return Outcome(code, stdout, stderr, (*forbidden.splitlines(), *made), seconds)


def lay_out(case: Case, root: Path) -> Path:
    """The folder to run in, deep enough in `root` that ../x stays within, with the case's files."""
    work = root / "a" / "b" / "work"
    (root / "home").mkdir()
    (root / "tmp").mkdir()
    work.mkdir(parents=True)
    for name, content in case.files.items():
        file = work / name
        if name.endswith("/"):
            file.mkdir(parents=True)
        else:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
    return work


def environment(root: Path) -> dict[str, str]:
    """Variables that keep what a run writes for its user within `root`."""
    home = str(root / "home")
    return {
        "HOME": home,
        "XDG_CACHE_HOME": home,
        "DLRUN_DATA_DIR": home,
        "TORCH_HOME": home,
        "TMPDIR": str(root / "tmp"),
    }


def case_process(words: Sequence[str], root: Path, work: Path) -> None:
    """Becomes `dlrun WORDS`, watched; its exit code is the process's."""
    os.chdir(work)
    os.environ.update(environment(root))
    tempfile.tempdir = None
    sys.dont_write_bytecode = True
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for descriptor, name in ((0, os.devnull), (1, root / "stdout"), (2, root / "stderr")):
        os.dup2(os.open(name, os.O_RDWR | os.O_CREAT), descriptor)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    watch(root)
    sys.argv = ["dlrun", *words]
    from dlrun.cli import main

    main()


WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
CHANGING = {
    "os.mkdir",
    "os.remove",
    "os.rmdir",
    "os.rename",
    "os.link",
    "os.symlink",
    "os.truncate",
}
HARMLESS = {"git", "fc-list"}  # dlrun asks for the commit, matplotlib for fonts
STARTING = {"os.system", "os.exec", "os.posix_spawn", "os.spawn", "pty.spawn", "os.fork"}


def watch(root: Path) -> None:
    """From now on writes down what this process must not do, and cuts it off from the network."""
    report = os.open(root / "forbidden", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def inside(path: object) -> bool:
        if isinstance(path, int):
            return True
        real = os.path.realpath(os.fsdecode(path))  # type: ignore[arg-type]
        return real.startswith(f"{root}/") or real == os.devnull

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event in ("socket.connect", "socket.getaddrinfo"):
            raise OSError(errno.ENETUNREACH, os.strerror(errno.ENETUNREACH))
        if event == "open":
            writes = any(c in args[1] for c in "wax+") if args[1] else args[2] & WRITING
            bad = writes and not inside(args[0])
        elif event == "subprocess.Popen":
            bad = os.path.basename(os.fsdecode(args[0])) not in HARMLESS
        else:
            paths = args[: 2 if event in ("os.rename", "os.link") else 1]
            bad = event in STARTING or (event in CHANGING and not all(map(inside, paths)))
        if bad:
            os.write(report, f"{event} {args!r}\n".encode(errors="backslashreplace"))

    sys.addaudithook(hook)


# How a line on a key begins (in a sweep with the jobs that have it), a second line on it, and the
# line that closes the faults of a sweep.
FAULT = re.compile(
    r"(error: |       )(jobs? [\d, …]+: )?[^\s:=]+(=.*)?: "
    r"|       \(for example |       nothing was started: "
)


def offence(outcome: Outcome) -> str | None:
    """What is wrong with an outcome, or None."""
    if outcome.code is None:
        return f"still running after {SECONDS} s"
    if outcome.code not in (0, 2, 3):
        return f"exit code {outcome.code}"
    if "Traceback" in outcome.stdout + outcome.stderr:
        return "traceback"
    if outcome.forbidden:
        return outcome.forbidden[0]
    if re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", outcome.stdout + outcome.stderr):
        return "control characters"
    if outcome.code != 2:
        return None
    # Warnings, and what Hydra says of a sweep, may come before it.
    lines = re.split("^(?=error: )", outcome.stderr, flags=re.MULTILINE)[-1].strip("\n").split("\n")
    if not re.match(r"error: .*\S", lines[0]):
        return "no error message"
    if len(lines) > 3 and not all(FAULT.match(line) for line in lines):
        return f"a message of {len(lines)} lines"
    if max(map(len, lines)) > 1000:
        return f"a line of {max(map(len, lines))} characters"
    return None


def smaller(case: Case, what: str) -> Case:
    """The case less every word and file that does not matter to the offence."""
    for word in case.words:
        words = list(case.words)
        words.remove(word)
        fewer = dataclasses.replace(case, words=tuple(words))
        if words and offence(run_case(fewer)) == what:
            case = fewer
    for name in case.files:
        files = {other: case.files[other] for other in case.files if other != name}
        fewer = dataclasses.replace(case, files=files)
        if offence(run_case(fewer)) == what:
            case = fewer
    return case


def in_fresh_process(case: Case) -> int | None:
    """The exit code of the case in a new interpreter."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name).resolve()
        work = lay_out(case, root)
        command = [sys.executable, "-m", "dlrun", *case.words]
        variables = {**os.environ, **environment(root)}
        try:
            done = subprocess.run(
                command, cwd=work, env=variables, capture_output=True, timeout=2 * SECONDS
            )
        except subprocess.TimeoutExpired:
            return None
    return done.returncode


def describe(case: Case) -> str:
    """The files and the command line that make the case."""
    lines = [f"{name}: {content[:2000]!r}" for name, content in case.files.items()]
    lines.append(f"dlrun {shlex.join(case.words)}")
    return "\n".join(lines).encode(errors="backslashreplace").decode()


def main() -> None:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if "/" in sys.argv[1]:
        seed, number = map(int, sys.argv[1].split("/"))
        case = make_case(seed, number)
        outcome = run_case(case)
        print(describe(case), outcome.stdout, outcome.stderr, sep="\n")
        print(f"exit code {outcome.code}, {outcome.seconds:.1f} s: {offence(outcome) or 'clean'}")
        sys.exit(offence(outcome) is not None)
    total, seed = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0
    counts: Counter[tuple[str, int | None]] = Counter()
    offenders, slowest = 0, 0.0
    for number in range(total):
        case = make_case(seed, number)
        outcome = run_case(case)
        counts[case.kind, outcome.code] += 1
        slowest = max(slowest, outcome.seconds)
        if number % 100 == 99:
            print(f"{number + 1} cases, {offenders} offenders", file=sys.stderr, flush=True)
        if what := offence(outcome):
            offenders += 1
            least = smaller(case, what)
            print(f"\n{seed}/{number}: {what}; in a new interpreter {in_fresh_process(least)}")
            print(describe(least), run_case(least).stderr[:2000], sep="\n", flush=True)
    print(f"\n{total} cases of seed {seed}, {offenders} offenders, slowest {slowest:.1f} s")
    codes = sorted({code for _, code in counts}, key=str)
    for kind in KINDS:
        print(f"{kind:8}", *(f"exit {code}: {counts[kind, code]:4}" for code in codes), sep="  ")
    sys.exit(offenders > 0)


if __name__ == "__main__":
    main()
