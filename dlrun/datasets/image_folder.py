"""A user's own images: a folder with one sub-folder a class."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

import numpy as np
import torch
from torch import Tensor

from dlrun.datasets.samples import Inputs, Samples
from dlrun.errors import UserError, nearest, shown

if TYPE_CHECKING:
    from PIL.Image import Image

T = TypeVar("T")
R = TypeVar("R")
MOST_PIXELS = 2**14  # in height and width; one such image takes a gigabyte as float32
SPLIT_NAMES = {"train", "training", "val", "valid", "validation", "test"}


def image_folder(
    data_dir: Path,
    seed: int,
    *,
    path: str,
    size: int,
    mode: Literal["L", "RGB"],
    max_gigabytes: float,
) -> Samples:
    """The images below `path` as pixels (N, C, size, size), classes by sub-folder in name order.

    Images are squeezed to a square, turned as their EXIF tag says, transparent pixels laid over
    white; C is 1 for mode L, 3 for RGB.
    Hidden files are passed over; every other file is taken for an image, and those that cannot be
    read are counted and named in the notes. What would take more than `max_gigabytes` as float32
    is not kept in memory: it is checked now and decoded batch by batch.
    Raises UserError when there is no image to read, or only one class.
    """
    folder = Path(path).expanduser()
    _check(folder, size, max_gigabytes)
    return read_folder(folder, path, size=size, mode=mode, max_gigabytes=max_gigabytes)


def read_folder(
    folder: Path, path: str, *, size: int, mode: Literal["L", "RGB"], max_gigabytes: float
) -> Samples:
    """What `image_folder` gives of a folder that is there; `path` is what errors call it."""
    names, files = _files_by_class(folder, path)
    channels = {"L": 1, "RGB": 3}[mode]
    gigabytes = len(files) * channels * size * size * 4 / 1e9
    streams = gigabytes > max_gigabytes
    read: Callable[[Path], Tensor | bool | None]
    read = _is_image if streams else lambda file: _pixels_or_none(file, size, mode)
    images = _in_threads(read, (file for file, _ in files))
    readable = [entry for entry, image in zip(files, images, strict=True) if image is not None]
    lost = [file for (file, _), image in zip(files, images, strict=True) if image is None]
    notes = _notes_on_lost(lost, len(files), folder, path)
    labels, classes, more_notes = _classes_present([k for _, k in readable], names, path)
    notes += more_notes
    inputs: Inputs
    if streams:
        notes.append(
            f"{gigabytes:.3g} GB as float32, more than dataset.max_gigabytes={max_gigabytes}: "
            "images are read from disk batch by batch"
        )
        inputs = ImageFiles(tuple(file for file, _ in readable), size, mode)
    else:
        inputs = torch.stack([image for image in images if isinstance(image, Tensor)])
    return Samples(
        inputs=inputs,
        targets=torch.tensor(labels),
        task="binary" if len(classes) == 2 else "multiclass",
        classes=classes,
        squeezed=True,
        notes=tuple(notes),
    )


def _files_by_class(folder: Path, path: str) -> tuple[list[str], list[tuple[Path, int]]]:
    """The sub-folders' names, sorted, and every file with the index of its sub-folder's name.

    Raises UserError when there are no sub-folders, when they are splits, or without any file.
    """
    names = sorted(p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    if not names:
        raise UserError(f"dataset.path={path}: no sub-folders; expected one sub-folder a class")
    if set(map(str.lower, names)) <= SPLIT_NAMES:
        raise UserError(
            f"dataset.path={path}: the sub-folders {', '.join(names)} are splits; expected one "
            f"sub-folder a class (for example dataset.path={folder / names[-1]})"
        )
    files = [(file, k) for k, name in enumerate(names) for file in _files(folder / name)]
    if not files:
        raise UserError(f"dataset.path={path}: no images in the sub-folders {', '.join(names[:5])}")
    return names, files


def _notes_on_lost(lost: list[Path], num_files: int, folder: Path, path: str) -> list[str]:
    """A note on the files that cannot be read, if any. Raises UserError if none can be."""
    if not lost:
        return []
    some = ", ".join(str(file.relative_to(folder)) for file in lost[:3])
    if len(lost) > 3:
        some += f" and {len(lost) - 3} more"
    fault = f"{len(lost)} of {num_files} files cannot be read as images"
    if len(lost) == num_files:
        raise UserError(f"dataset.path={path}: {fault}: {some}")
    return [f"{fault} and are left out: {some}"]


def _classes_present(
    labels: list[int], names: list[str], path: str
) -> tuple[list[int], tuple[str, ...], list[str]]:
    """Labels and names of the classes that have images, numbered anew, and a note on the others.

    labels: for each image the index of its sub-folder in `names`.
    Raises UserError when only one class has images.
    """
    present = sorted(set(labels))
    if len(present) == 1:
        raise UserError(
            f"dataset.path={path}: images of one class only, '{names[present[0]]}'; "
            "expected at least two sub-folders with images"
        )
    empty = [name for k, name in enumerate(names) if k not in present]
    notes = [f"no images, so no class: {', '.join(empty)}"] if empty else []
    return [present.index(k) for k in labels], tuple(names[k] for k in present), notes


@dataclass(frozen=True)
class ImageFiles:
    """Image files as inputs: indexing decodes a batch, (B, C, size, size) floats in [0, 1]."""

    files: tuple[Path, ...]
    size: int
    mode: str

    def __len__(self) -> int:
        return len(self.files)

    def marks(self) -> Iterator[str]:
        """What tells these images from others without reading them: names below, and bytes."""
        folder = os.path.commonpath([self.files[0], self.files[-1]])  # they come class by class
        for file in self.files:
            yield f"{os.path.relpath(file, folder)} {file.stat().st_size}"

    def __getitem__(self, index: Tensor, /) -> Tensor:
        def read(k: int) -> Tensor:
            try:
                return read_pixels(self.files[k], self.size, self.mode)
            except UNREADABLE as error:
                if isinstance(error, OSError) and error.errno is not None:
                    raise  # it was there when the run began: the file, or its disk, has gone
                raise UserError(
                    f"dataset.path: {self.files[k]} cannot be read as an image ({error}); "
                    "delete it or replace it"
                ) from error

        return torch.stack(_in_threads(read, index.tolist())).float().div_(255)


# What Pillow raises for files that are no images, cut short or broken within
UNREADABLE = (OSError, SyntaxError, ValueError, EOFError)


def read_pixels(file: Path, size: int, mode: str) -> Tensor:
    """One image as uint8 (C, size, size). Raises one of UNREADABLE."""
    from PIL import Image

    try:
        with Image.open(file) as opened:
            opened.draft(mode, (2 * size, 2 * size))  # large JPEGs are decoded small
            image = upright(opened).convert(mode)
            image = image.resize((size, size), Image.Resampling.BILINEAR)
    except Image.DecompressionBombError as error:
        raise ValueError(str(error)) from error
    pixels = torch.from_numpy(np.array(image))
    return pixels.unsqueeze(0) if mode == "L" else pixels.permute(2, 0, 1)


def upright(image: Image) -> Image:
    """The image turned as its EXIF tag says, transparent pixels over white, 8 bits a channel.

    16-bit grey is brought to 8 bits here: Pillow's own conversion would clip it to white.
    """
    from PIL import Image, ImageOps

    turned = ImageOps.exif_transpose(image)
    if turned.has_transparency_data:
        over = turned.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", over.size, "white"), over)
    if not turned.mode.startswith("I"):
        return turned
    return Image.fromarray(
        (np.asarray(turned).astype(np.uint32) >> 8).clip(max=255).astype(np.uint8)
    )


def _pixels_or_none(file: Path, size: int, mode: str) -> Tensor | None:
    try:
        return read_pixels(file, size, mode)
    except UNREADABLE:
        return None


def _is_image(file: Path) -> bool | None:
    """True, or None if the file is not an image; its pixels are not decoded."""
    from PIL import Image

    try:
        with Image.open(file) as opened:
            opened.verify()
    except (*UNREADABLE, Image.DecompressionBombError):
        return None
    return True


def _in_threads(function: Callable[[T], R], values: Iterable[T]) -> list[R]:
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:  # Pillow decodes without the GIL
        return list(pool.map(function, values))


def _files(folder: Path) -> list[Path]:
    return sorted(
        file
        for file in folder.rglob("*")
        if file.is_file() and not any(p.startswith(".") for p in file.relative_to(folder).parts)
    )


def _check(folder: Path, size: int, max_gigabytes: float) -> None:
    if not 1 <= size <= MOST_PIXELS:
        raise UserError(
            f"dataset.size={shown(size)}: expected a number of pixels, 1 <= value <= {MOST_PIXELS} "
            "(for example dataset.size=28)"
        )
    if not max_gigabytes >= 0:
        raise UserError(
            f"dataset.max_gigabytes={max_gigabytes}: expected a number >= 0 "
            "(for example dataset.max_gigabytes=2)"
        )
    if folder.is_file():
        raise UserError(
            f"dataset.path={shown(folder)}: a file; expected a folder, one sub-folder a class"
        )
    if not folder.is_dir():
        parent = folder.parent
        near = [p.name for p in parent.iterdir() if p.is_dir()] if parent.is_dir() else []
        raise UserError(f"dataset.path={shown(folder)}: no such folder{nearest(folder.name, near)}")
