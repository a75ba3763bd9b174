"""From a run directory to an exported file that has been compared with the model, and its card."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor

from dlrun.datasets import Splits
from dlrun.errors import Failure, UserError, shown
from dlrun.export.card import model_card
from dlrun.export.compare import (
    LARGEST_DIFFERENCE,
    Compared,
    compare,
    data_at_hand,
    drawn_samples,
    expected_outputs,
    samples_of,
)
from dlrun.export.deployed import Deployed, deploy
from dlrun.export.facts import facts, input_name
from dlrun.export.formats import FORMATS, Run, require_packages
from dlrun.export.measured import measured
from dlrun.run_files import replace_text
from dlrun.targets import Trust
from dlrun.trained import Trained, open_trained


@dataclass(frozen=True)
class Exported:
    """A file that was written.

    notes: what to know of it, such as that its data was not at hand.
    """

    trained: Trained
    deployed: Deployed
    format: str
    path: Path
    card: Path
    compared: Compared
    notes: tuple[str, ...]


def write_export(
    run_dir: Path, format_name: str, out: Path | None, *, trust: Trust, force: bool
) -> Exported:
    """The run's best weights as a file of this format, and a model card beside it.

    out: None for RUN/export/NAME with the format's ending. Both are written beside and renamed, so
    that what is there is whole, and has given what the model gives.
    Raises UserError for what cannot be exported, Failure where the file gives anything else.
    """
    require_packages(format_name)
    chosen = FORMATS[format_name]
    ending = chosen.ending
    if out is not None and (out.is_dir() or out.suffix != ending):
        raise UserError(
            f"-o {shown(out)}: expected a file that ends in {ending} (for example net{ending})"
        )
    path = out or run_dir / "export" / f"{run_dir.resolve().name}{ending}"
    card = path.with_name(f"{path.name}.md")
    taken = [file for file in (path, card) if os.path.lexists(file)]
    if taken and not force:
        raise UserError(f"{shown(taken[0])}: is there already (type --force, or -o FILE)")
    trained = open_trained(run_dir, trust, device="cpu")
    deployed = deploy(trained.model, trained.data, trained.settings.loss.name)
    data, absent = data_at_hand(trained, trust)
    path.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=path.parent, prefix=".export-") as folder:
        scratch = Path(folder, f"network{ending}")
        write_file(trained, deployed, format_name, scratch)
        try:
            compared = compare_file(trained, deployed, data, partial(chosen.load, scratch, trust))
            require_same(compared, chosen.exact)
        except Failure as error:
            raise Failure(f"{shown(path)}: not written: {error}") from error
        text = model_card(trained, deployed, format_name, path, compared, measured(trained, data))
        os.replace(scratch, path)
    replace_text(card, text)
    return Exported(trained, deployed, format_name, path, card, compared, notes(trained, absent))


def compare_file(
    trained: Trained, deployed: Deployed, data: Splits | None, load: Callable[[], Run]
) -> Compared:
    """The file, which `load` opens, beside the run's own network, on its data or random samples.

    Raises Failure where one of the two cannot be run, or gives what is no number.
    """
    if data is None:
        inputs, samples = drawn_samples(trained.data)
    else:
        inputs, samples = samples_of(data, trained.data)
    predicted = expected_outputs(trained, deployed.gives, inputs)
    if not predicted.isfinite().all():
        raise Failure(f"on {samples} the run's own network gives numbers that are not finite")
    try:
        return compare(load(), deployed, predicted, inputs, samples)
    except (UserError, OSError, MemoryError):
        raise
    except Exception as error:  # onnxruntime's own errors have no class in common
        raise Failure(f"it cannot be run: {reason(error)}") from error


def write_file(trained: Trained, deployed: Deployed, format_name: str, path: Path) -> None:
    """Writes the file. Raises UserError, in a line, where torch cannot export the network."""
    example: Tensor = torch.zeros(2, *trained.data.in_shape)
    told = facts(trained, deployed.gives)
    try:
        FORMATS[format_name].write(deployed, example, input_name(trained.data), told, path)
    except (UserError, OSError, MemoryError):
        raise
    except Exception as error:  # exporters run the network's own code, and raise all kinds
        raise UserError(
            f"--format {format_name}: torch cannot export this network: {reason(error)} "
            "(type --format safetensors, which keeps its weights)"
        ) from error


def reason(error: BaseException) -> str:
    """What went wrong in one line: of the error that all the others were raised about."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return shown(lines[0] if lines else type(error).__name__)


def require_same(compared: Compared, exact: bool) -> None:
    """Raises Failure where the file's outputs are not the model's.

    exact: nothing but the weights has changed hands, so that no bit may differ.
    """
    start = f"it does not give what the model gives: on {compared.samples} outputs differ"
    if not compared.relative <= LARGEST_DIFFERENCE:
        unit = f" {compared.unit}" if compared.unit else ""
        raise Failure(
            f"{start} by {compared.relative:.1e}{unit} (expected at most {LARGEST_DIFFERENCE:.0e})"
        )
    if exact and any(compared.differences.values()):
        raise Failure(f"{start} (expected the same bits)")


def notes(trained: Trained, absent: str) -> tuple[str, ...]:
    """What to know of an export."""
    found = []
    if absent:
        found.append(f"{absent}: compared on random inputs, figures are those of training")
    precision = trained.settings.device.precision
    if precision != "fp32":
        found.append(f"trained in {precision}; the file computes in float32")
    return tuple(found)
