"""Checkpoints on disk: whole or not at all, with a checksum, and never a way to run code.

A checkpoint is an ordinary file of torch.save. Its checksum stands in the comment that a zip
archive may end with, so that torch.load reads the file as it is.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import pickletools
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from dlrun.errors import UserError, printable

MARK = b"dlrun sha256 "
COMMENT_BYTES = len(MARK) + 64
# What torch.save names in a pickle of tensors and plain values, besides storages and dtypes.
CALLED = (
    "collections.OrderedDict",
    "torch._utils._rebuild_parameter",
    "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_tensor_v3",
    "torch.storage.UntypedStorage",
)


class DamagedCheckpoint(UserError):
    """A file that is no whole checkpoint."""


def save_checkpoint(path: Path, state: Mapping[str, Any], *, previous: Path | None = None) -> None:
    """Replaces `path` by a checkpoint of `state`: tensors, numbers, strings, lists, dicts of them.

    Whenever the process or the machine stops, the old one or the new one stands: the new one is
    written beside, brought to the disk, and only then renamed. What stood at `path` is kept as
    `previous`, if that is given. Raises OSError when the disk refuses, UserError for a state with
    anything else in it, which could not be read again.
    """
    beside = path.with_name(f".{path.name}.tmp")
    try:
        with beside.open("wb") as file:
            file.writelines(serialized(state))
            file.flush()
            os.fsync(file.fileno())
        if previous is not None and path.exists():
            os.replace(path, previous)
        os.replace(beside, path)
    except BaseException:
        beside.unlink(missing_ok=True)  # on a full disk, room to say that it is full
        raise
    sync_folder(path.parent)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """The state in `path`, on the CPU; only tensors and plain values are ever read.

    Whatever the file says, reading it takes memory in proportion to its size. Raises
    DamagedCheckpoint for one that is cut short, changed, or of another kind.
    """
    shown = printable(str(path))
    if not path.is_file():
        raise DamagedCheckpoint(f"{shown}: no such file")
    try:
        content = path.read_bytes()
    except PermissionError:
        raise
    except OSError as error:  # a bad sector, say
        raise DamagedCheckpoint(f"{shown}: cannot be read: {error.strerror}") from error
    verify(content, shown)
    try:
        if names := foreign_names(io.BytesIO(content)):
            raise DamagedCheckpoint(
                f"{shown}: refused, it holds {printable(names[0])}, "
                "and only tensors and plain values are read"
            )
        state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except DamagedCheckpoint:
        raise
    except Exception as error:  # torch's reader lets whatever a strange file leads to through
        if isinstance(error, MemoryError) or "allocate memory" in str(error):
            raise
        raise DamagedCheckpoint(f"{shown}: no checkpoint as dlrun writes it") from error
    if not isinstance(state, dict) or has_more_values(state, len(content)):
        raise DamagedCheckpoint(f"{shown}: no checkpoint as dlrun writes it")
    return state


def newest_checkpoint(folder: Path) -> tuple[dict[str, Any], list[str]]:
    """The state to go on from, out of last.pt or else previous.pt, and why those before it failed.

    A damaged last.pt is set aside, so that the next save does not put it in the place of the sound
    one. Raises DamagedCheckpoint when none is whole.
    """
    last, previous = folder / "last.pt", folder / "previous.pt"
    faults: list[str] = []
    for path in (last, previous):
        if not path.exists():  # last.pt: a save was stopped between its two renames
            continue
        try:
            state = load_checkpoint(path)
        except DamagedCheckpoint as error:
            faults.append(str(error))
            continue
        if path == previous and last.exists():
            os.replace(last, folder / "damaged.pt")
        return state, faults
    raise DamagedCheckpoint("\n".join(faults) or f"{printable(str(folder))}: no checkpoint in it")


def serialized(state: Mapping[str, Any]) -> tuple[memoryview, bytes]:
    """The file's content: torch.save's zip archive, and the SHA-256 of it as its comment.

    Raises UserError for what load_checkpoint would refuse.
    """
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    if names := foreign_names(buffer):
        raise UserError(
            f"checkpoint: the state of model or optimizer holds {names[0]}, "
            "expected tensors, numbers, strings, lists and dicts (look at their state_dict)"
        )
    content = buffer.getbuffer()
    # An archive ends with the two bytes of its comment's length, zero so far.
    assert bytes(content[-22:-18]) == b"PK\x05\x06" and bytes(content[-2:]) == b"\0\0"
    content[-2:] = COMMENT_BYTES.to_bytes(2, "little")
    return content, MARK + hashlib.sha256(content).hexdigest().encode()


def verify(content: bytes, shown: str) -> None:
    """Raises DamagedCheckpoint when the content is not what its checksum says."""
    body, comment = memoryview(content)[:-COMMENT_BYTES], content[-COMMENT_BYTES:]
    if not comment.startswith(MARK):
        raise DamagedCheckpoint(
            f"{shown}: cut short, or no checkpoint of dlrun: it does not end with a checksum"
        )
    if comment != MARK + hashlib.sha256(body).hexdigest().encode():
        raise DamagedCheckpoint(f"{shown}: damaged: its checksum is not that of its content")


def foreign_names(archive: io.BytesIO) -> list[str]:
    """Functions and classes that a file of torch.save names beyond those of tensors, by name.

    torch.load(weights_only=True) refuses nearly all of them too, but for some that ask for memory.
    Raises ValueError or BadZipFile for an archive that torch.save does not write, such as one with
    more in it than its own size: compressed, or contents that overlap.
    """
    with zipfile.ZipFile(archive) as opened:
        entries = opened.infolist()
        if sum(entry.file_size for entry in entries) > archive.seek(0, io.SEEK_END):
            raise ValueError("more in it than its size")
        pickles = [opened.read(e) for e in entries if e.filename.endswith(".pkl")]
    names = []
    for pickled in pickles:
        for opcode, argument, _ in pickletools.genops(pickled):
            if opcode.name in ("INST", "STACK_GLOBAL", "EXT1", "EXT2", "EXT4"):
                raise ValueError(f"{opcode.name} is not in torch's pickles")
            if opcode.name == "GLOBAL":
                names.append(str(argument).replace(" ", "."))
    return [name for name in names if name not in CALLED and not _is_kind_of_number(name)]


def _is_kind_of_number(name: str) -> bool:
    """Whether it is a dtype or the storage of one.

    >>> _is_kind_of_number("torch.FloatStorage"), _is_kind_of_number("torch.float32")
    (True, True)
    """
    module, _, own = name.rpartition(".")
    kind = getattr(torch, own, None)
    return module == "torch" and (own.endswith("Storage") or isinstance(kind, torch.dtype))


def has_more_values(state: Any, limit: int) -> bool:
    """Whether there are more than `limit` values in nested lists and dicts.

    A few bytes can stand for very many: lists that hold the same list twice, which holds another
    twice, and so on.
    """
    pending, seen = [state], 0
    while pending and seen <= limit:
        value = pending.pop()
        seen += 1
        if isinstance(value, Mapping):
            pending += value.values()
        elif isinstance(value, (list, tuple)):
            pending += value
    return seen > limit


def sync_folder(folder: Path) -> None:
    """Brings the folder's entries to the disk, where the system can do that."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:  # some network shares cannot, and say so
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)
