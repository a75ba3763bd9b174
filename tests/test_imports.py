"""Imports point one way, and what must be light is light."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import dlrun

PACKAGE = Path(dlrun.__file__).parent
# A module may import modules of its own layer and of those below.
LAYERS = (
    (
        "errors",
        "launcher_settings",
        "randomness",
        "data_dir",
        "environment",
        "events",
        "privacy",
        "provenance",
        "run_dirs",
        "schema",
        "overrides",
        "signatures",
        "verbs",
        "yaml_files",
        "surfaces",
    ),
    ("archives", "failures", "provenance", "signals", "targets"),
    ("datasets", "models", "optimizers", "losses", "augment", "figures"),
    (
        "device",
        "stopping",
        "scheduler",
        "metrics",
        "checkpoint",
        "compose_errors",
        "diagnostics",
        "divergence",
        "help",
        "terminal",
    ),
    ("baselines", "batches", "evaluation", "describe", "transfer"),
    ("state", "run_files", "summary"),
    ("report", "runs"),
    ("step",),
    ("loop", "runlog"),
    ("debugging", "check", "presentation", "endings", "pictures", "stored"),
    ("building", "loading", "result"),
    ("train", "trained"),
    ("hydra_session",),
    ("sweeps",),
    ("hydra_app", "doctor", "experiments", "completion", "predict"),
    ("resume", "rerun", "pack", "judge", "serve"),
    ("export",),
    ("cli",),
    ("__main__",),
)
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}


def imported_modules(file: Path, inside: bool = False) -> set[str]:
    """Top-level modules of dlrun that a file imports when it is imported itself.

    inside: also what its functions import when they are called.
    """
    found = set()
    tree = ast.parse(file.read_text())
    for node in ast.walk(tree) if inside else tree.body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("dlrun"):
            parts = (node.module or "").split(".")
            found |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
    return found - {"run"}


def test_imports_point_one_way() -> None:
    files = [
        file
        for file in PACKAGE.rglob("*.py")
        if file.name != "__init__.py" or file.parent != PACKAGE
    ]
    assert len(files) > 30
    for file in files:
        own = file.relative_to(PACKAGE).parts[0].removesuffix(".py")
        for other in imported_modules(file):
            assert LEVEL[other] <= LEVEL[own], f"{file.name} imports dlrun.{other}"


def test_models_import_only_torch() -> None:
    files = list((PACKAGE / "models").glob("*.py"))
    assert len(files) > 5
    for file in files:
        for node in ast.parse(file.read_text()).body:
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            for name in names:
                top = name.split(".")[0]
                own = name == "dlrun.errors" or name.startswith("dlrun.models")
                assert own or top == "torch" or top in sys.stdlib_module_names, (file, name)


def test_reports_import_no_training_code() -> None:
    files = list((PACKAGE / "report").glob("*.py"))
    assert len(files) > 10
    below = {"errors", "failures", "figures", "run_files", "surfaces", "terminal", "verbs"}
    below.add("yaml_files")
    for file in files:
        assert imported_modules(file, inside=True) <= {"report", *below}, file


def test_figures_import_no_training_code() -> None:
    for file in (PACKAGE / "figures").glob("*.py"):
        assert imported_modules(file) <= {"figures"}, file
