"""Starting from weights: what another run has learned, and what of it is to stay as it is."""

from __future__ import annotations

import os
import pickle
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from itertools import accumulate, groupby
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from dlrun.checkpoint import COMMENT_BYTES, MARK, load_checkpoint
from dlrun.errors import UserError, nearest, printable

BEST = Path("checkpoints") / "best.pt"  # below a run directory
NAMES_SHOWN = 10  # modules that an error lists


def load_weights(model: nn.Module, source: Path) -> list[str]:
    """Notes on which weights of `source` the model has now, and which on either side are left.

    source: a run directory, of which the best weights are taken, or a file: a checkpoint of dlrun,
    or a state dict as torch.save writes it, alone or under `model` or `state_dict`. Only tensors
    and plain values are ever read. A tensor, a parameter or a buffer, is taken where its name and
    shape are those of the model's, in the model's dtype and on its device; all others of the model
    keep the values they have.
    Errors: UserError for a source that is none of these or that has nothing for this model.
    """
    is_run = os.path.isdir(os.path.expanduser(source))
    found = read_weights(weights_file(source), is_checkpoint=is_run)
    own = _tensors(model.state_dict())
    taken = {name: found[name] for name in own if name in found and _alike(own[name], found[name])}
    if not taken:
        raise UserError(_nothing_taken(source, own, found))
    model.load_state_dict(taken, strict=False)

    reshaped = [
        f"{name} {_shape(own[name])} here, {_shape(found[name])} there"
        for name in own
        if name in found and name not in taken
    ]
    absent = [name for name in own if name not in found]
    surplus = [name for name in found if name not in own]
    notes = [f"model.init_from={source}: {len(taken)} of {len(own)} tensors taken"]
    if reshaped:
        notes.append(f"made anew, for they have another shape there: {'; '.join(reshaped)}")
    if absent:
        notes.append(f"made anew, for they are not in {source}: {_grouped(absent)}")
    if surplus:
        notes.append(f"left out of {source}, for this model has no such: {_grouped(surplus)}")
    return notes


def freeze(model: nn.Module, patterns: Sequence[str]) -> None:
    """Sets requires_grad=False for the parameters that a pattern names.

    A pattern is the full name of a parameter, or of a module for all parameters below it; in it
    * ? [seq] stand for any characters, dots included.
    Errors: UserError for a pattern that names nothing, and when nothing would be left to train;
    then nothing is frozen.

    >>> model = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2))
    >>> freeze(model, ["0"])
    >>> [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    ['1.weight', '1.bias']
    """
    parameters = dict(model.named_parameters(remove_duplicate=False))  # tied ones by either name
    frozen: set[nn.Parameter] = set()
    faults = []
    for pattern in patterns:
        named = {
            parameter
            for name, parameter in parameters.items()
            if any(fnmatchcase(level, pattern) for level in _levels(name))
        }
        frozen |= named
        if not named:
            faults.append(_no_match(model, pattern))
    if faults:
        raise UserError("\n".join(faults))
    if frozen and all(p in frozen for p in model.parameters() if p.requires_grad):
        last = (_modules_with_parameters(model) or list(parameters))[-1]
        raise UserError(
            f"model.freeze=[{','.join(patterns)}]: nothing is left to train "
            f"(leave out {last}, the last layer)"
        )
    for parameter in frozen:
        parameter.requires_grad_(False)


def training_mode(model: nn.Module) -> None:
    """Puts the model in training mode, but for batch normalisation whose parameters are frozen.

    Such a layer goes on in evaluation mode: it normalises by its running statistics and leaves
    them as they are, for the layers around it were trained with them.
    Source: the meaning of `trainable` in Keras's BatchNormalization.
    """
    model.train()
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            own = list(module.parameters())  # none with affine=False
            if own and not any(parameter.requires_grad for parameter in own):
                module.eval()


def setting_faults(init_from: Any, patterns: Any) -> list[str]:
    """A line for each fault of model.init_from and model.freeze that shows without the model."""
    faults = []
    if isinstance(init_from, str):
        try:
            weights_file(Path(init_from))
        except UserError as error:
            faults.append(str(error))
    elif init_from is not None:
        faults.append(
            f"model.init_from={init_from}: expected a run directory or a file of weights "
            f"(for example model.init_from=./{init_from})"
        )
    is_list = patterns is None or isinstance(patterns, (list, tuple))
    if not is_list or not all(isinstance(pattern, str) for pattern in patterns or ()):
        faults.append(
            f"model.freeze={patterns}: expected a list of names or patterns "
            "(for example model.freeze=[layers.*])"
        )
    return faults


def weights_file(source: Path) -> Path:
    """The file that holds the weights of `source`: itself, or a run's best ones; ~ is the home.

    Raises UserError when there is none.
    """
    # os.path answers False for names that no file can have, where Path raises.
    path = Path(os.path.expanduser(source))
    if os.path.isdir(path):
        if not os.path.isfile(path / BEST):
            raise UserError(
                f"model.init_from={source}: is no run directory, there is no {BEST} in it "
                "(name the directory of one run, or a file of weights)"
            )
        return path / BEST
    if not os.path.isfile(path):
        parent = path.parent
        neighbours = [file.name for file in parent.glob("*")] if os.path.isdir(parent) else []
        raise UserError(
            f"model.init_from={source}: no such file or directory{nearest(path.name, neighbours)} "
            "(expected a run directory or a file of weights)"
        )
    return path


def read_weights(path: Path, *, is_checkpoint: bool) -> dict[str, Tensor]:
    """The tensors in a file of weights by name, on the CPU, with no code in it run.

    is_checkpoint: it must have the checksum of dlrun's checkpoints; other files need none.
    Errors: UserError for a file of another kind, a damaged one, and one without tensors.
    """
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - COMMENT_BYTES))
            is_checkpoint |= file.read(len(MARK)) == MARK
    except OSError as error:
        raise UserError(f"model.init_from={path}: cannot be read: {error.strerror}") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about files of other kinds, which are refused below
            if is_checkpoint:
                content: Any = load_checkpoint(path)
            else:
                content = torch.load(path, map_location="cpu", weights_only=True)
    except UserError as error:
        raise UserError(f"model.init_from={error}") from error
    except Exception as error:  # torch's reader lets whatever a strange file leads to through
        raise UserError(f"model.init_from={path}: {_refusal(error)}") from error

    for part in _state_dicts(content):
        if tensors := _tensors(part):
            return tensors
    raise UserError(
        f"model.init_from={path}: there are no tensors in it "
        '(expected a file as of torch.save(model.state_dict(), "weights.pt"))'
    )


def _refusal(error: Exception) -> str:
    how = 'expected a file as of torch.save(model.state_dict(), "weights.pt")'
    named = re.search(r"GLOBAL ([\w.]+)", str(error))
    if isinstance(error, pickle.UnpicklingError) and named:
        return f"refused, it holds {named[1]}, and only tensors and plain values are read ({how})"
    return f"is no file of weights, or a damaged one ({how})"


def _state_dicts(content: Any) -> list[Mapping[Any, Any]]:
    """Where in a file the weights may be, most telling place first."""
    if not isinstance(content, Mapping):
        return []
    parts = [content.get("model"), content.get("state_dict"), content]
    return [part for part in parts if isinstance(part, Mapping)]


def _tensors(state: Mapping[Any, Any]) -> dict[str, Tensor]:
    """The entries that are dense tensors by name; others (extra state, quantized ones) are not."""
    return {
        name: value
        for name, value in state.items()
        if isinstance(name, str)
        and isinstance(value, Tensor)
        and value.layout is torch.strided
        and not value.is_quantized
        and not value.is_meta
    }


def _alike(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and one.is_complex() == other.is_complex()


def _shape(tensor: Tensor) -> str:
    return f"{tuple(tensor.shape)}{' complex' if tensor.is_complex() else ''}"


def _grouped(names: Iterable[str]) -> str:
    """The names, those of one module written together.

    >>> _grouped(["conv.weight", "conv.bias", "norm.weight", "scale"])
    'conv.{weight, bias}, norm.weight, scale'
    """
    parts = []
    for module, group in groupby(names, key=lambda name: name.rpartition(".")[0]):
        of_module = list(group)
        if module and len(of_module) > 1:
            last = ", ".join(name.rpartition(".")[2] for name in of_module)
            parts.append(f"{module}.{{{last}}}")
        else:
            parts += of_module
    return ", ".join(parts)


def _nothing_taken(source: Path, own: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> str:
    start = (
        f"model.init_from={source}: none of its {len(found)} tensors has name and shape of "
        "this model's"
    )
    if not own:
        return f"{start}, which has none"
    here = next((name for name in own if name in found), next(iter(own)))
    there = here if here in found else next(iter(found))
    shown = printable(there).replace("\n", "\\n")
    return (
        f"{start}; there it is {shown} {_shape(found[there])}, here {here} {_shape(own[here])} "
        "(choose the model that it was trained with)"
    )


def _levels(name: str) -> Iterator[str]:
    """The names of the modules around a parameter, outermost first, and its own.

    >>> list(_levels("layers.output.weight"))
    ['layers', 'layers.output', 'layers.output.weight']
    """
    return accumulate(name.split("."), lambda around, part: f"{around}.{part}")


def _no_match(model: nn.Module, pattern: str) -> str:
    parameters = [name for name, _ in model.named_parameters()]
    names = _modules_with_parameters(model) or parameters
    shown = ", ".join(names[:NAMES_SHOWN])
    if len(names) > NAMES_SHOWN:
        shown += f" and {len(names) - NAMES_SHOWN} more"
    hint = nearest(pattern, [*names, *parameters]) or f"; this model has {shown or 'none'}"
    typed = pattern or "''"
    return f"model.freeze=[{typed}]: no parameter matches{hint}"


def _modules_with_parameters(model: nn.Module) -> list[str]:
    return [
        name
        for name, module in model.named_modules()
        if name and next(module.parameters(), None) is not None
    ]
