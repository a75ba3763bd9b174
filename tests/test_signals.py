"""Real signals to real processes, and who gets them when nobody trains."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import Command, Started

from dlrun.checkpoint import load_checkpoint
from dlrun.signals import Interrupted, Requests, listening

Start = Callable[..., Started]
LONG = ("dataset=digits", "model.hidden=[16]", "regularization=dropout", "epochs=99999", "-q")
PLACE = ("figures=false", "checkpoint.every_epochs=null", "hydra.run.dir=run")
RUN = Path("run")


def trained(started: Started, epochs: int = 2) -> bool:
    """Waits until some epochs are over."""
    lines = RUN / "metrics.jsonl"
    return started.wait_for(lambda: lines.exists() and lines.read_text().count("\n") > epochs)


def summary() -> dict[str, object]:
    return json.loads((RUN / "summary.json").read_text())  # type: ignore[no-any-return]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_first_one_saves_and_says_how_to_go_on(
    number: signal.Signals, code: int, started: Start
) -> None:
    run = started(*LONG, *PLACE)
    assert trained(run)
    run.send(number)
    done = run.wait()
    assert done.returncode == code
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        f"interrupted by {number.name}; go on with: dlrun resume run"
    ]
    assert (summary()["status"], summary()["stopped_by"]) == ("interrupted", "signal")
    state = load_checkpoint(RUN / "checkpoints/last.pt")
    lines = (RUN / "metrics.jsonl").read_text().splitlines()
    assert state["step"] >= json.loads(lines[-1])["step"] > 0
    assert len(lines) == (state["epoch"] if state["pass"] else state["epoch"] + 1)
    # It goes on, and nothing of the first part stands twice.
    again = started("resume", "run", "-q")
    assert trained(again, len(lines) + 2)
    again.send(signal.SIGTERM)
    assert again.wait().returncode == 143
    lines = (RUN / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == list(range(len(lines)))


def test_the_second_one_ends_it_at_once(started: Start) -> None:
    run = started(*LONG, *PLACE)
    assert trained(run)
    os.kill(run.pid, signal.SIGSTOP)  # both are there before it can look at the first
    run.send(signal.SIGINT)
    run.send(signal.SIGTERM)
    run.send(signal.SIGCONT)
    assert run.wait().returncode in (-signal.SIGINT, -signal.SIGTERM, 130, 143)


def test_a_request_to_save_saves_and_goes_on(started: Start) -> None:
    run = started(*LONG, *PLACE)
    assert trained(run)
    first = load_checkpoint(RUN / "checkpoints/last.pt")
    assert first["step"] == 0  # the one before training: nothing else asks for any
    run.send(signal.SIGUSR1)
    assert run.wait_for(lambda: (RUN / "checkpoints/previous.pt").exists())
    assert run.wait_for(lambda: (RUN / "checkpoints/last.pt").exists())
    assert load_checkpoint(RUN / "checkpoints/last.pt")["step"] > 0
    assert summary()["status"] == "running"
    assert run.is_alive


def test_before_training_there_is_nothing_to_go_on_from(started: Start, tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(
        "import time\nfrom pathlib import Path\n\n\ndef data(data_dir, seed):\n"
        "    Path('loading').touch()\n    time.sleep(60)\n"
    )
    (tmp_path / "conf/dataset").mkdir(parents=True)
    (tmp_path / "conf/dataset/slow.yaml").write_text("_target_: slow.data\n_partial_: true\n")
    run = started("dataset=slow", "-q", *PLACE)
    assert run.wait_for(lambda: Path("loading").exists())
    run.send(signal.SIGTERM)
    done = run.wait()
    assert done.returncode == 143
    said = "interrupted by SIGTERM; there is no checkpoint yet: start it anew\n"
    assert done.stderr == said
    assert summary()["status"] == "interrupted"


def test_while_a_run_is_under_way_its_directory_is_its_own(started: Start, dlrun: Command) -> None:
    run = started(*LONG, *PLACE)
    assert trained(run)
    second = dlrun("resume", "run")
    assert second.returncode == 2
    assert second.stderr.startswith("error: run: in use by another process")
    assert run.is_alive
    before = summary()["epochs"]
    assert run.wait_for(lambda: summary()["epochs"] > before)  # type: ignore[operator]


def test_a_stop_is_noted_while_deferred_and_raised_otherwise() -> None:
    with listening() as requests:
        with requests.deferred():
            os.kill(os.getpid(), signal.SIGTERM)
            assert requests.stop == signal.SIGTERM
        assert requests.pending
    with pytest.raises(Interrupted) as stop, listening() as requests:
        os.kill(os.getpid(), signal.SIGINT)
    assert stop.value.exit_code == 130


def test_handlers_are_put_back_and_those_of_others_stay() -> None:
    wanted = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
    before = [signal.getsignal(number) for number in wanted]
    own = signal.signal(signal.SIGTERM, lambda number, frame: None)
    theirs = signal.getsignal(signal.SIGTERM)
    try:
        with listening() as requests:
            assert signal.getsignal(signal.SIGTERM) is theirs
            assert signal.getsignal(signal.SIGINT) == requests.on_stop
            os.kill(os.getpid(), signal.SIGTERM)
            assert requests.stop is None
    finally:
        signal.signal(signal.SIGTERM, own)
    assert [signal.getsignal(number) for number in wanted] == before


def test_a_run_in_another_thread_hears_no_signals() -> None:
    heard: list[Requests] = []

    def listen() -> None:
        with listening() as requests:
            heard.append(requests)

    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=listen)
    thread.start()
    thread.join()
    assert len(heard) == 1
    assert signal.getsignal(signal.SIGINT) is before


def test_an_interrupted_run_in_python_raises_after_saving(monkeypatch: pytest.MonkeyPatch) -> None:
    from dlrun import loop, run

    steps = 0
    step = loop.train_step

    def interrupting(*args: object, **options: object) -> object:
        nonlocal steps
        steps += 1
        if steps == 30:
            os.kill(os.getpid(), signal.SIGINT)
        return step(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(loop, "train_step", interrupting)
    with pytest.raises(KeyboardInterrupt) as stop:
        run(*LONG, *PLACE)
    assert "go on with: dlrun resume run" in str(stop.value)
    assert load_checkpoint(RUN / "checkpoints/last.pt")["step"] == 30  # the step was finished
    assert torch.get_num_threads() >= 1
