"""What is said of a run that ended otherwise than by its own plan: how to go on, what to try."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from dlrun import schema
from dlrun.errors import Failure, UserError
from dlrun.signals import Interrupted
from dlrun.targets import find_target
from dlrun.terminal import display_path, typed_path


@contextmanager
def endings_told(run_dir: Path, config: DictConfig) -> Iterator[None]:
    """Says with an interruption or a failure how to go on, where there is a checkpoint."""

    def how() -> str:
        kept = (run_dir / "checkpoints" / name for name in ("last.pt", "previous.pt"))
        if not any(file.exists() for file in kept):
            return "there is no checkpoint yet: start it anew"
        trust = "" if is_built_in(config) else "--trust "
        return f"go on with: dlrun resume {trust}{typed_path(run_dir)}"

    try:
        yield
    except Interrupted as stop:
        name = signal.Signals(stop.number).name
        raise Interrupted(stop.number, f"interrupted by {name}; {how()}") from None
    except Failure as failure:
        raise Failure(f"{failure}\n{how()}") from failure


def is_built_in(config: DictConfig) -> bool:
    """Whether the config names nothing but what dlrun calls for anybody's stored config."""
    try:
        for group in schema.OPEN_GROUPS:
            find_target(group, OmegaConf.to_container(config[group], resolve=True), "data")  # type: ignore[arg-type]
    except UserError:
        return False
    return True


def cure(settings: schema.Config, run_dir: Path) -> str:
    """What to try after a divergence, a line."""
    cures = []
    if settings.optimizer.get("lr") is not None:
        cures.append(f"a smaller optimizer.lr (now {settings.optimizer['lr']:g})")
    if settings.regularization.max_grad_norm is None:
        cures.append("regularization=grad_clip")
    if settings.dataset.get("normalize") is False:
        cures.append("dataset.normalize=true")
    return f"try {' or '.join(cures)}; the last good checkpoint is in {display_path(run_dir)}"
