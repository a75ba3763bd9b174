"""Checkpoints: the old or the new stands at any moment, damage shows, and no code is ever run."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import pickle
import random
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest
import torch
from conftest import SERVER

from dlrun import checkpoint
from dlrun.checkpoint import (
    COMMENT_BYTES,
    MARK,
    DamagedCheckpoint,
    load_checkpoint,
    newest_checkpoint,
    save_checkpoint,
    sync_folder,
)
from dlrun.errors import UserError

STATE = {
    "model": {"weight": torch.tensor([[1.0, 2.0]])},
    "epoch": 3,
    "lr": 0.1,
    "classes": ["cat", "dog"],
    "scaling": None,
}
LAST, PREVIOUS = Path("last.pt"), Path("previous.pt")


@pytest.fixture(autouse=True)
def quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody cuts the power here; thousands of fsyncs would take a minute."""
    monkeypatch.setattr(os, "fsync", nothing)


def nothing(*arguments: object) -> None:
    pass


def state_of(epoch: int) -> dict[str, Any]:
    return {"epoch": epoch, "model": {"weight": torch.full((50,), float(epoch))}}


def epoch_of(state: dict[str, Any]) -> int:
    """The epoch of a state that is whole."""
    epoch: int = state["epoch"]
    assert torch.equal(state["model"]["weight"], torch.full((50,), float(epoch)))
    return epoch


def save(epoch: int, folder: Path = Path(".")) -> None:
    save_checkpoint(folder / LAST, state_of(epoch), previous=folder / PREVIOUS)


def test_what_is_saved_is_loaded() -> None:
    save_checkpoint(LAST, STATE)
    loaded = load_checkpoint(LAST)
    weights = loaded.pop("model")["weight"]
    assert torch.equal(weights, torch.tensor([[1.0, 2.0]]))
    assert weights.device.type == "cpu"
    assert loaded == {key: value for key, value in STATE.items() if key != "model"}
    assert os.listdir() == ["last.pt"]


def test_torch_reads_it_as_it_is() -> None:
    save_checkpoint(LAST, STATE)
    assert torch.load(LAST, weights_only=True)["epoch"] == 3


def test_an_optimizers_state_survives() -> None:
    weight = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.Adam([weight], lr=0.25)
    weight.sum().backward()
    optimizer.step()
    save_checkpoint(LAST, {"optimizer": optimizer.state_dict()})
    loaded = load_checkpoint(LAST)["optimizer"]
    assert loaded["param_groups"] == optimizer.state_dict()["param_groups"]
    for name, value in optimizer.state_dict()["state"][0].items():
        assert torch.equal(loaded["state"][0][name], value)


@pytest.mark.parametrize(
    "dtype", [torch.float16, torch.bfloat16, torch.uint16, torch.bool, torch.complex64]
)
def test_tensors_of_other_kinds_survive(dtype: torch.dtype) -> None:
    tensor = torch.tensor([1, 0, 1]).to(dtype)
    parameter = torch.nn.Parameter(torch.ones(2))
    save_checkpoint(LAST, {"tensor": tensor, "parameter": parameter})
    loaded = load_checkpoint(LAST)
    assert loaded["tensor"].dtype == dtype
    assert torch.equal(loaded["tensor"], tensor)
    assert isinstance(loaded["parameter"], torch.nn.Parameter)


def test_what_could_not_be_read_again_is_not_saved() -> None:
    save(1)
    with pytest.raises(UserError) as caught:
        save_checkpoint(LAST, {"optimizer": {"seen": {1, 2}}})
    assert str(caught.value) == (
        "checkpoint: the state of model or optimizer holds __builtin__.set, "
        "expected tensors, numbers, strings, lists and dicts (look at their state_dict)"
    )
    assert epoch_of(load_checkpoint(LAST)) == 1
    assert os.listdir() == ["last.pt"]


# A save on a disk that fails


@dataclass
class Disk:
    """What a save asks of the disk; at one of these operations a fault strikes.

    when: `before` it, in the `middle` of it (of a write, half is written), or `after` it.
    """

    at: int = -1
    when: str = "before"
    fault: Callable[[], None] = lambda: None
    asked: list[str] = field(default_factory=list)

    def ask(
        self, name: str, operation: Callable[[], Any], half: Callable[[], Any] | None = None
    ) -> Any:
        struck = len(self.asked) == self.at
        self.asked.append(name)
        if struck and self.when == "before":
            self.fault()
        if struck and self.when == "middle" and half is not None:
            half()
            self.fault()
        result = operation()
        if struck and self.when == "after":
            self.fault()
        return result


class FileOn:
    """A file on such a disk."""

    def __init__(self, disk: Disk, file: Any) -> None:
        self.disk, self.file, self.fileno = disk, file, file.fileno

    def __enter__(self) -> FileOn:
        return self

    def __exit__(self, *error: object) -> None:
        if error[0] is None:
            self.disk.ask("close", self.file.close)
        self.file.close()

    def writelines(self, parts: tuple[memoryview, bytes]) -> None:
        for part in parts:

            def half(part: memoryview | bytes = part) -> None:
                self.file.write(part[: len(part) // 2])
                self.file.flush()

            self.disk.ask("write", lambda part=part: self.file.write(part), half)

    def flush(self) -> None:
        self.disk.ask("flush", self.file.flush)


@contextmanager
def replaced(disk: Disk) -> Iterator[None]:
    """Within it save_checkpoint works on this disk."""
    system, open_file = checkpoint.os, Path.open

    def asking(name: str) -> Callable[..., Any]:
        function = getattr(os, name)
        return lambda *arguments: disk.ask(name, lambda: function(*arguments))

    def open_on_disk(path: Path, mode: str) -> FileOn:
        return FileOn(disk, disk.ask("open file", lambda: open_file(path, mode)))

    checkpoint.os = SimpleNamespace(  # type: ignore[assignment]
        **{name: asking(name) for name in ("open", "fsync", "close", "replace")},
        name=os.name,
        O_RDONLY=os.O_RDONLY,
    )
    Path.open = open_on_disk  # type: ignore[assignment,method-assign]
    try:
        yield
    finally:
        checkpoint.os, Path.open = system, open_file  # type: ignore[method-assign]


WRITING = ["open file", "write", "write", "flush", "fsync", "close"]
SYNCING = ["open", "fsync", "close"]


@dataclass(frozen=True)
class Scene:
    """What lies in a folder before a save of epoch 9, which asks `operations` of the disk.

    old: the epoch to go on from if the save fails; None: there is none yet.
    """

    prepare: Callable[[], None]
    old: int | None
    operations: list[str]
    keeps_previous: bool = True

    def save(self, epoch: int) -> None:
        previous = PREVIOUS if self.keeps_previous else None
        save_checkpoint(LAST, state_of(epoch), previous=previous)


def one() -> None:
    save(1)


def two() -> None:
    save(1)
    save(2)


def damaged_and_taken_up() -> None:
    """A damaged last.pt, and a run that has gone on from the one before."""
    two()
    LAST.write_bytes(LAST.read_bytes()[:-1])
    state, faults = newest_checkpoint(Path("."))
    assert (epoch_of(state), len(faults)) == (1, 1)


def stopped_between_renames() -> None:
    one()
    LAST.rename(PREVIOUS)


ONE_RENAME, TWO_RENAMES = (
    [*WRITING, *["replace"] * renames, *SYNCING] for renames in (1, 2)
)  # the first of two keeps the old one as previous.pt
SCENES = {
    "nothing": Scene(nothing, None, ONE_RENAME),
    "one": Scene(one, 1, TWO_RENAMES),
    "two": Scene(two, 2, TWO_RENAMES),
    "damaged": Scene(damaged_and_taken_up, 1, ONE_RENAME),
    "between renames": Scene(stopped_between_renames, 1, ONE_RENAME),
    "no previous": Scene(one, 1, ONE_RENAME, keeps_previous=False),
}
MOMENTS = ("before", "middle", "after")
NEW = 9


def is_renamed(scene: Scene, at: int, when: str) -> bool:
    """Whether the new checkpoint stood when the fault struck."""
    rename = len(scene.operations) - len(SYNCING) - 1
    return at > rename or (at == rename and when == "after")


def assert_old_or_new_stands(scene: Scene, at: int, when: str) -> None:
    place = f"{when} operation {at} ({scene.operations[at]})"
    expected = NEW if is_renamed(scene, at, when) else scene.old
    if expected is None:
        with pytest.raises(DamagedCheckpoint, match="no checkpoint in it"):
            newest_checkpoint(Path("."))
    else:
        state, faults = newest_checkpoint(Path("."))
        assert (epoch_of(state), faults) == (expected, []), place
    scene.save(NEW + 1)
    state, faults = newest_checkpoint(Path("."))
    assert (epoch_of(state), faults) == (NEW + 1, []), place
    assert set(os.listdir()) <= {"last.pt", "previous.pt", "damaged.pt"}, place


def in_new_folder(name: str) -> None:
    os.mkdir(name)
    os.chdir(name)


@pytest.mark.parametrize("name", SCENES)
def test_the_stages_of_a_save(name: str) -> None:
    SCENES[name].prepare()
    disk = Disk()
    with replaced(disk):
        SCENES[name].save(NEW)
    assert disk.asked == SCENES[name].operations
    assert epoch_of(load_checkpoint(LAST)) == NEW


@pytest.mark.parametrize("name", SCENES)
@pytest.mark.parametrize(
    "error",
    [OSError(errno.ENOSPC, "full"), OSError(errno.EIO, "broken"), KeyboardInterrupt()],
    ids=["full disk", "broken disk", "interrupted"],
)
def test_an_error_at_any_stage_of_a_save(error: BaseException, name: str, tmp_path: Path) -> None:
    scene = SCENES[name]

    def fault() -> NoReturn:
        raise error

    for at in range(len(scene.operations)):
        for when in MOMENTS:
            os.chdir(tmp_path)
            in_new_folder(f"{at} {when}")
            scene.prepare()
            disk = Disk(at, when, fault)
            if when == "middle" and scene.operations[at] != "write":
                continue
            with replaced(disk), pytest.raises(type(error)):
                scene.save(NEW)
            assert len(disk.asked) > at
            # Room on a full disk: what was written in vain is gone at once.
            assert not any(file.startswith(".") for file in os.listdir()), (at, when)
            assert_old_or_new_stands(scene, at, when)


def kill_at_every_stage(name: str) -> None:
    """In a folder each, saves of a process that ends without a word; runs in a lone process."""
    scene, top = SCENES[name], os.getcwd()
    os.fsync = nothing
    for at in range(len(scene.operations)):
        for when in MOMENTS:
            os.chdir(top)
            in_new_folder(f"{at} {when}")
            scene.prepare()
            child = os.fork()
            if child == 0:
                with replaced(Disk(at, when, lambda: os._exit(77))):
                    scene.save(NEW)
                os._exit(0)
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            Path("status").write_text(str(status))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that can be split in two")
@pytest.mark.parametrize("name", SCENES)
def test_a_kill_at_any_stage_of_a_save(name: str, tmp_path: Path) -> None:
    process = SERVER.Process(target=kill_at_every_stage, args=(name,))
    process.start()
    process.join(120)
    assert process.exitcode == 0
    scene, kills = SCENES[name], 0
    for folder in sorted(tmp_path.iterdir()):
        at, when = folder.name.split()
        os.chdir(folder)
        status = Path("status").read_text()
        Path("status").unlink()
        if when == "middle" and scene.operations[int(at)] != "write":
            assert status == "0"
            continue
        assert status == "77", folder.name
        kills += 1
        assert_old_or_new_stands(scene, int(at), when)
    assert kills == 2 * len(scene.operations) + 2  # two writes have a middle


def test_a_folder_that_cannot_be_synced_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(code: int) -> Callable[[int], None]:
        def fsync(descriptor: int) -> None:
            raise OSError(code, os.strerror(code))

        return fsync

    monkeypatch.setattr(checkpoint.os, "fsync", refuse(errno.EINVAL))
    sync_folder(Path("."))
    monkeypatch.setattr(checkpoint.os, "fsync", refuse(errno.EIO))
    with pytest.raises(OSError, match="Input/output error"):
        sync_folder(Path("."))


# Damage

Change = Callable[[bytes, random.Random], bytes]


def overwritten(content: bytes, at: int, piece: bytes) -> bytes:
    at = min(at, len(content) - len(piece))
    return content[:at] + piece + content[at + len(piece) :]


def flipped_bit(content: bytes, at: int, dice: random.Random) -> bytes:
    return overwritten(content, at, bytes([content[at] ^ 1 << dice.randrange(8)]))


def cut(content: bytes, dice: random.Random) -> bytes:
    edges = (0, 1, 2, 22, COMMENT_BYTES - 1, COMMENT_BYTES, len(content) - COMMENT_BYTES - 1)
    edges += (len(content) - COMMENT_BYTES, len(content) - 64, len(content) - 1)
    return content[: dice.choice([*edges, *[dice.randrange(len(content)) for _ in edges]])]


def one_bit(content: bytes, dice: random.Random) -> bytes:
    return flipped_bit(content, dice.randrange(len(content)), dice)


def one_byte(content: bytes, dice: random.Random) -> bytes:
    at = dice.randrange(len(content))
    return overwritten(content, at, bytes([(content[at] + dice.randrange(1, 256)) % 256]))


def run_of_bytes(content: bytes, dice: random.Random) -> bytes:
    size = dice.choice([2, 16, 512, 4096])
    piece = dice.choice([bytes(size), dice.randbytes(size)])
    return overwritten(content, dice.randrange(len(content)), piece)


def headers(content: bytes, dice: random.Random) -> bytes:
    """A bit in the 46 bytes of an entry's header, in the archive or in its directory."""
    marks = (b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06")
    starts = [k for k in range(len(content)) if content[k : k + 4] in marks]
    assert len(starts) > 10
    at = dice.choice(starts) + dice.randrange(46)
    return flipped_bit(content, min(at, len(content) - 1), dice)


def padding(content: bytes, dice: random.Random) -> bytes:
    """A bit in the Zs with which torch.save brings each record to a multiple of 64 bytes."""
    places = [k for k in range(len(content)) if content[k : k + 4] == b"ZZZZ"]
    assert len(places) > 10
    return flipped_bit(content, dice.choice(places), dice)


def comment(content: bytes, dice: random.Random) -> bytes:
    at = len(content) - 1 - dice.randrange(COMMENT_BYTES + 2)  # its length stands before it
    if dice.random() < 0.5:
        return flipped_bit(content, at, dice)
    return content[:-64] + dice.randbytes(32).hex().encode()


def appended(content: bytes, dice: random.Random) -> bytes:
    size = dice.choice([1, 64, COMMENT_BYTES, 5000])
    other = torch.randn(3)
    return content + dice.choice(
        [bytes(size), dice.randbytes(size), content, content[-size:], other.numpy().tobytes()]
    )


def shifted(content: bytes, dice: random.Random) -> bytes:
    """Bytes left out or put in, the rest moved."""
    at, size = dice.randrange(len(content)), dice.choice([1, 8, 64, 512])
    if dice.random() < 0.5:
        return content[:at] + content[at + size :]
    return content[:at] + dice.randbytes(size) + content[at:]


def torn(content: bytes, dice: random.Random) -> bytes:
    """The beginning of one save and the end of another, as a disk without order may leave it."""
    body, end = checkpoint.serialized(state_of(7))
    other = bytes(body) + end
    at = 512 * dice.randrange(1, len(content) // 512)
    return content[:at] + other[at:]


CHANGES: tuple[Change, ...] = (
    *(cut, one_bit, one_byte, run_of_bytes, headers),
    *(padding, comment, appended, shifted, torn),
)


@pytest.mark.parametrize("change", CHANGES)
def test_a_hundred_changes_of_each_kind_show(change: Change) -> None:
    two()
    content = LAST.read_bytes()
    dice = random.Random(change.__name__)
    for number in range(100):
        changed = change(content, dice)
        while changed == content:  # zeros over zeros, say
            changed = change(content, dice)
        LAST.write_bytes(changed)
        state, faults = newest_checkpoint(Path("."))
        assert epoch_of(state) == 1, number
        (fault,) = faults
        assert fault in (
            "last.pt: damaged: its checksum is not that of its content",
            "last.pt: cut short, or no checkpoint of dlrun: it does not end with a checksum",
        )
        assert not LAST.exists()  # or the next save would put it in the place of the sound one
        assert Path("damaged.pt").read_bytes() == changed


def test_the_changes_are_a_thousand() -> None:
    assert 100 * len(CHANGES) == 1000


def test_when_none_is_whole_every_fault_is_told_and_nothing_moved() -> None:
    two()
    for path in (LAST, PREVIOUS):
        path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(DamagedCheckpoint) as caught:
        newest_checkpoint(Path("."))
    reason = "cut short, or no checkpoint of dlrun: it does not end with a checksum"
    assert str(caught.value) == f"last.pt: {reason}\nprevious.pt: {reason}"
    assert sorted(os.listdir()) == ["last.pt", "previous.pt"]


def test_a_folder_without_checkpoints() -> None:
    with pytest.raises(DamagedCheckpoint, match=r"^no\\x1bne: no checkpoint in it$"):
        newest_checkpoint(Path("no\x1bne"))


@pytest.mark.parametrize(
    "make", [Path.mkdir, getattr(os, "mkfifo", Path.mkdir)], ids=["folder", "pipe"]
)
def test_what_is_no_file_is_not_opened(make: Callable[[Path], None]) -> None:
    two()
    LAST.unlink()
    make(LAST)
    state, faults = newest_checkpoint(Path("."))
    assert (epoch_of(state), faults) == (1, ["last.pt: no such file"])


def test_a_bad_sector_is_damage_but_a_locked_file_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    two()
    read = Path.read_bytes

    def refusing(error: OSError) -> Callable[[Path], bytes]:
        def read_bytes(path: Path) -> bytes:
            if path.name == "last.pt":
                raise error
            return read(path)

        return read_bytes

    with monkeypatch.context() as patch, pytest.raises(PermissionError):
        patch.setattr(Path, "read_bytes", refusing(PermissionError(errno.EACCES, "denied")))
        newest_checkpoint(Path("."))
    assert LAST.exists()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", refusing(OSError(errno.EIO, "Input/output error")))
        state, faults = newest_checkpoint(Path("."))
    assert epoch_of(state) == 1
    assert faults == ["last.pt: cannot be read: Input/output error"]


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried")]
)
def test_too_little_memory_is_no_damage(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    two()

    def load(*arguments: object, **options: object) -> NoReturn:
        raise error

    monkeypatch.setattr(torch, "load", load)
    with pytest.raises(type(error)):
        newest_checkpoint(Path("."))
    assert sorted(os.listdir()) == ["last.pt", "previous.pt"]


# Files of strangers


class Bomb:
    """What a pickle can do: call any function with any arguments when it is read."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("exploded",)


class Hungry:
    """Read with weights_only, too, this would take 20 GB."""

    def __reduce__(self) -> tuple[Any, ...]:
        return bytearray, (20_000_000_000,)


def saved(value: object, **options: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer, **options)
    return buffer.getvalue()


def sealed(content: bytes) -> bytes:
    """The content with a checksum that is right, as anybody can make it."""
    if content[-22:-18] == b"PK\x05\x06":
        content = content[:-2] + COMMENT_BYTES.to_bytes(2, "little")
    return content + MARK + hashlib.sha256(content).hexdigest().encode()


def repacked(
    content: bytes,
    change: Callable[[str, bytes], bytes] = lambda name, record: record,
    compression: int = zipfile.ZIP_STORED,
) -> bytes:
    """A file of torch.save with other records, or compressed."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(buffer, "w") as new:
        for entry in old.infolist():
            record = change(entry.filename, old.read(entry))
            new.writestr(zipfile.ZipInfo(entry.filename), record, compression)
    return buffer.getvalue()


def old_tar(value: object) -> bytes:
    """The tar file that torch.save wrote before version 0.1.10."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name in ("storages", "tensors", "pickle"):
            content = pickle.dumps(value, protocol=2)
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


CODE = {
    "in torch's archive": saved({"model": Bomb()}),
    "in torch's old form": saved({"model": Bomb()}, _use_new_zipfile_serialization=False),
    "in torch's oldest form": old_tar(Bomb()),
    "as a bare pickle": pickle.dumps(Bomb(), protocol=2),
    "as a newer pickle": pickle.dumps(Bomb(), protocol=5),
    "newer, in torch's archive": saved({"model": Bomb()}, pickle_protocol=4),
}


@pytest.mark.parametrize("name", CODE)
def test_code_is_refused_and_not_run(name: str) -> None:
    content = CODE[name]
    save(1)
    LAST.rename(PREVIOUS)
    for file in (content, sealed(content)):
        LAST.write_bytes(file)
        with pytest.raises(DamagedCheckpoint) as caught:
            load_checkpoint(LAST)
        assert str(caught.value).startswith("last.pt: ")
        assert "\n" not in str(caught.value)
        state, faults = newest_checkpoint(Path("."))
        assert (epoch_of(state), faults) == (1, [str(caught.value)])
        assert not Path("exploded").exists()
    LAST.write_bytes(content)  # or this test shows nothing
    with suppress(TypeError):  # what comes of the explosion is no number of storages
        pickle.loads(content) if name.endswith(" pickle") else torch.load(LAST, weights_only=False)
    assert Path("exploded").exists()


def test_a_refusal_names_what_would_have_been_called() -> None:
    LAST.write_bytes(sealed(CODE["in torch's archive"]))
    with pytest.raises(DamagedCheckpoint) as caught:
        load_checkpoint(LAST)
    mkdir = f"{os.mkdir.__module__}.mkdir"
    assert str(caught.value) == (
        f"last.pt: refused, it holds {mkdir}, and only tensors and plain values are read"
    )


@pytest.mark.parametrize("name", CODE)
def test_torch_is_asked_for_weights_only_as_well(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "foreign_names", lambda archive: [])
    LAST.write_bytes(sealed(CODE[name]))
    with pytest.raises(DamagedCheckpoint, match=r"^last\.pt: no checkpoint as dlrun writes it$"):
        load_checkpoint(LAST)
    assert not Path("exploded").exists()


def nested(levels: int) -> list[Any]:
    value: list[Any] = [1]
    for _ in range(levels):
        value = [value, value]
    return value


def in_itself() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


def claims_much(name: str, record: bytes) -> bytes:
    """1,000 numbers become 2,000,000,000, of which the record holds as few as before."""
    if not name.endswith("/data.pkl"):
        return record
    assert record.count(b"M\xe8\x03") == 2
    return record.replace(b"M\xe8\x03", b"J" + (2_000_000_000).to_bytes(4, "little"))


def pickled_as(content: bytes) -> Callable[[str, bytes], bytes]:
    return lambda name, record: content if name.endswith("/data.pkl") else record


def twice_in_directory(content: bytes) -> bytes:
    """An archive of which a thousand entries lie on the same 40 kB."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(buffer, "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
        (large,) = (entry for entry in new.filelist if entry.filename.endswith("/data/0"))
        for number in range(1, 1000):
            entry = zipfile.ZipInfo(large.filename.replace("/data/0", f"/data/{number}"))
            entry.header_offset, entry.CRC = large.header_offset, large.CRC
            entry.file_size = entry.compress_size = large.file_size
            new.filelist.append(entry)
    return buffer.getvalue()


NUMBERS = saved({"model": torch.zeros(10_000)})
ABSURD = {
    "a compressed archive": repacked(
        saved({"model": torch.zeros(5_000_000)}), compression=zipfile.ZIP_DEFLATED
    ),
    "entries that overlap": twice_in_directory(NUMBERS),
    "memory for nothing": saved({"model": Hungry()}),
    "lists in lists": saved({"model": nested(100)}),
    "a list in itself": saved({"model": in_itself()}),
    "more numbers than there are": repacked(saved({"model": torch.zeros(1000)}), claims_much),
    "no dict": saved([1, 2]),
    "no tensor's archive": repacked(NUMBERS, pickled_as(b"")),
    "a text without end": repacked(NUMBERS, pickled_as(b"\x80\x02X\xff\xff\xff\x7fab.")),
    "a number without end": repacked(NUMBERS, pickled_as(b"\x80\x02\x8b\xff\xff\xff\x7fab.")),
    "no such operation": repacked(NUMBERS, pickled_as(b"\x80\x02\xff.")),
    "an empty archive": b"PK\x05\x06" + bytes(18),
    "an empty file": b"",
    "text": b"not a checkpoint",
}


@pytest.mark.parametrize("name", ABSURD)
def test_absurd_content_is_refused(name: str) -> None:
    LAST.write_bytes(sealed(ABSURD[name]))
    with pytest.raises(DamagedCheckpoint) as caught:
        load_checkpoint(LAST)
    hungry = "last.pt: refused, it holds __builtin__.bytearray, and only tensors and plain values "
    assert str(caught.value) == (
        f"{hungry}are read"
        if name == "memory for nothing"
        else "last.pt: no checkpoint as dlrun writes it"
    )


def test_sealing_is_not_what_is_refused() -> None:
    LAST.write_bytes(sealed(repacked(saved(state_of(4)))))
    assert epoch_of(load_checkpoint(LAST)) == 4
