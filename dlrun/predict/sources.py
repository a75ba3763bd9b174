"""Batches of inputs out of what was named: image files, folders of them, tables."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor

from dlrun.describe import StoredData
from dlrun.errors import UserError
from dlrun.predict.images import ENDINGS, Invert, read_image
from dlrun.predict.table import chunks
from dlrun.predict.writers import Where
from dlrun.trained import Trained

BATCH = 256  # images decoded while as many are predicted
STANDARD_INPUT = "-"

# What takes the name of a file that is passed over, and why.
PassedOver = Callable[[str, UserError], None]


def image_batches(
    words: Sequence[str], data: StoredData, invert: Invert, passed_over: PassedOver
) -> Iterator[tuple[list[Where], Tensor]]:
    """Images (n, C, H, W) in the order of the words, and the files they are of.

    A word is a file, `-` for standard input, or a folder, which stands for the images below it in
    the order of their names. What cannot be read is passed over.
    """

    def read(name: str) -> Tensor | UserError:
        try:
            if name == STANDARD_INPUT:
                return read_image(io.BytesIO(sys.stdin.buffer.read()), data, invert=invert)
            return read_image(Path(name), data, invert=invert)
        except UserError as error:
            return error

    names = _image_files(words, passed_over)
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:  # Pillow decodes without the GIL

        def begun() -> list[tuple[str, Future[Tensor | UserError]]]:
            return [(name, pool.submit(read, name)) for name in islice(names, BATCH)]

        waiting = begun()
        while waiting:
            following = begun()
            answers = [(name, future.result()) for name, future in waiting]
            for name, answer in answers:
                if isinstance(answer, UserError):
                    passed_over(name, answer)
            images = [(name, image) for name, image in answers if isinstance(image, Tensor)]
            if images:
                yield [(name,) for name, _ in images], torch.stack([image for _, image in images])
            waiting = following


def _image_files(words: Iterable[str], passed_over: PassedOver) -> Iterator[str]:
    for word in words:
        if not os.path.isdir(word):
            yield word
            continue
        found = False
        for folder, folders, files in os.walk(word):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(files):
                if Path(name).suffix.lower() in ENDINGS and not name.startswith("."):
                    found = True
                    yield os.path.join(folder, name)
        if not found:
            passed_over(word, UserError("no images in this folder"))


def table_batches(
    words: Sequence[str],
    trained: Trained,
    ignore: Sequence[str],
    separator: str | None,
    passed_over: PassedOver,
    say: Callable[[str], None],
) -> Iterator[tuple[list[Where], Tensor]]:
    """Rows (n, D) of tables, one after the other, and where they stand: (row,) or (file, row).

    A file that is not there is passed over; any other fault in a table raises UserError, since
    its rows belong together.
    """
    for word in words:
        source = sys.stdin.buffer if word == STANDARD_INPUT else Path(word)
        if isinstance(source, Path) and not source.exists():
            passed_over(word, UserError("no such file"))
            continue
        count = 0
        try:
            for rows in chunks(source, trained, ignore=ignore, separator=separator, say=say):
                numbers = range(count + 1, count + len(rows) + 1)
                yield [(k,) if len(words) == 1 else (word, k) for k in numbers], rows
                count += len(rows)
        except UserError as error:
            name = "standard input" if word == STANDARD_INPUT else word
            raise UserError(f"{name}: {error}") from error
