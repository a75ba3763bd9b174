"""dlrun: a command-line deep-learning experiment runner driven by config files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dlrun.result import Result

__version__ = "0.1.0"
__all__ = ["run"]


def run(*overrides: str, **settings: Any) -> Result:
    """The result of one run: what `dlrun OVERRIDES` does, for notebooks and scripts.

    overrides: as on the command line, such as "model=cnn" or "optim.lr=1e-3".
    settings: top-level keys with Python values, such as epochs=3.
    Raises UserError where the command line would print an error.

    >>> result = run("dataset=moons", "model.hidden=[8]", epochs=2, quiet=True)  # doctest: +SKIP
    >>> result.history["accuracy/val"]  # doctest: +SKIP
    """
    # Imported here so that `import dlrun`, which the command line does, stays light.
    from dlrun.hydra_app import run_from_python

    return run_from_python(overrides, settings)
