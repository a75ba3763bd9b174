"""Where configs are looked for, and what Hydra must not be made to call."""

from __future__ import annotations

from pathlib import Path

import pytest
from hydra.types import RunMode

from dlrun.errors import UserError
from dlrun.hydra_session import hydra_session, search_path
from dlrun.targets import Trust

FOREIGN = {
    "callbacks:\n    x: {_target_: os.mkdir, path: made}": (
        "hydra.callbacks.x._target_=os.mkdir: dlrun calls what lies in dlrun, "
    ),
    "callbacks:\n    x: {y: {_target_: os.mkdir, path: made}}": (
        "hydra.callbacks.x._target_: needs a dotted Python name (for example mypackage.Net)"
    ),
    "callbacks:\n    x: 3": (
        "hydra.callbacks.x._target_: needs a dotted Python name (for example mypackage.Net)"
    ),
    "hydra_logging:\n    handlers:\n      x: {(): os.mkdir, path: made}": (
        "hydra.hydra_logging.handlers.x.()=os.mkdir: "
        "expected a class of Python's logging (or --trust)"
    ),
    "job_logging:\n    handlers:\n      x: {class: logging.os.mkdir, path: made}": (
        "hydra.job_logging.handlers.x.class=logging.os.mkdir: "
        "expected a class of Python's logging (or --trust)"
    ),
    "job_logging:\n    handlers:\n      x: {stream: 'ext://this.x'}": (
        "hydra.job_logging.handlers.x.stream=ext://this.x: "
        "expected ext://sys.stdout or ext://sys.stderr"
    ),
}


def compose(lines: str, folder: Path, trust: Trust) -> None:
    """Composes an experiment of the user's that sets these lines of Hydra's own config."""
    file = folder / "conf" / "experiment" / "mine.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(f"# @package _global_\nhydra:\n  {lines}\n")
    with hydra_session(trust=trust) as app:
        app.compose_config("config", ["experiment=mine"], RunMode.RUN, with_log_configuration=True)


@pytest.mark.parametrize("lines", FOREIGN)
def test_hydra_calls_nothing_foreign(lines: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        compose(lines, tmp_path, "own")
    assert str(caught.value).startswith(FOREIGN[lines])
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("lines", "trust"),
    {
        "hydra_logging:\n    handlers:\n      x: {class: logging.StreamHandler}": "own",
        "hydra_logging:\n    handlers:\n      x: {(): own_handler.Handler}": "all",
        "callbacks:\n    x: {_target_: own_callback.Callback}": "own",
    }.items(),
)
def test_hydra_calls_what_may_be_called(
    lines: str, trust: Trust, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_callback.py").write_text("class Callback: pass\n")
    (tmp_path / "own_handler.py").write_text(
        "import logging\nclass Handler(logging.Handler): pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    compose(lines, tmp_path, trust)


def test_folders_that_cannot_be() -> None:
    for name in ("absent", "x" * 5000):
        with pytest.raises(UserError, match="^--config-dir=.*: no such directory$"):
            search_path(None, name)
        with pytest.raises(UserError, match="^--config-path=.*: no such directory$"):
            search_path(name, None)


def test_a_folder_with_the_name_of_a_packaged_file_hides_nothing(tmp_path: Path) -> None:
    (tmp_path / "conf" / "model" / "mlp.yaml").mkdir(parents=True)
    with hydra_session() as app:
        config = app.compose_config("config", ["model=mlp"], RunMode.RUN)
    assert config.model._target_ == "dlrun.models.mlp.MLP"
