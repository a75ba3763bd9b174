"""A user's own images: what is read, what is counted, what is streamed, what is an error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from dlrun.datasets import Samples, split
from dlrun.datasets.image_folder import ImageFiles, image_folder
from dlrun.errors import UserError


@pytest.fixture(autouse=True)
def _in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def read(**settings: Any) -> Samples:
    given: dict[str, Any] = {"path": "photos", "size": 2, "mode": "L", "max_gigabytes": 1.0}
    return image_folder(Path("unused"), 0, **{**given, **settings})


def save(path: str, grey: int, size: tuple[int, int] = (2, 2)) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", size, grey).save(path)


def pixels(samples: Samples) -> Tensor:
    assert isinstance(samples.inputs, Tensor)
    return samples.inputs


@pytest.fixture
def photos() -> None:
    for k in range(3):
        save(f"photos/dog/{k}.png", 10 * k)
        save(f"photos/cat/{k}.png", 100 + 10 * k, size=(8, 6))


def test_classes_by_folder_in_sorted_order(photos: None) -> None:
    samples = read()
    assert samples.classes == ("cat", "dog")
    assert samples.task == "binary"
    assert samples.targets.tolist() == [0, 0, 0, 1, 1, 1]
    assert pixels(samples).shape == (6, 1, 2, 2)
    assert pixels(samples).dtype == torch.uint8
    assert pixels(samples)[:, 0, 0, 0].tolist() == [100, 110, 120, 0, 10, 20]
    assert samples.notes == ()


def test_colour_images_have_three_channels() -> None:
    for name, colour in (("a", (10, 20, 30)), ("b", (1, 2, 3))):
        Path("photos", name).mkdir(parents=True)
        Image.new("RGB", (4, 4), colour).save(f"photos/{name}/x.png")
    samples = read(mode="RGB")
    assert pixels(samples).shape == (2, 3, 2, 2)
    assert pixels(samples)[0, :, 0, 0].tolist() == [10, 20, 30]


def test_hidden_files_are_passed_over_and_nested_ones_read(photos: None) -> None:
    save("photos/cat/more/9.png", 9)
    Path("photos/cat/.DS_Store").write_bytes(b"x")
    Path("photos/.cache").mkdir()
    samples = read()
    assert len(samples.targets) == 7
    assert samples.notes == ()


def test_unreadable_files_are_counted_and_named(photos: None) -> None:
    whole = Path("photos/cat/0.png").read_bytes()
    Path("photos/cat/broken.png").write_bytes(whole[:40])
    Path("photos/cat/empty.png").write_bytes(b"")
    Path("photos/dog/a.png").write_bytes(b"no image")
    Path("photos/dog/notes.txt").write_text("no image either")
    for max_gigabytes in (1.0, 0.0):
        samples = read(max_gigabytes=max_gigabytes)
        assert len(samples.targets) == 6
        assert samples.notes[0] == (
            "4 of 10 files cannot be read as images and are left out: "
            "cat/broken.png, cat/empty.png, dog/a.png and 1 more"
        )


def test_an_empty_class_is_noted(photos: None) -> None:
    Path("photos/bird").mkdir()
    samples = read()
    assert samples.classes == ("cat", "dog")
    assert samples.notes == ("no images, so no class: bird",)
    assert samples.targets.tolist() == [0, 0, 0, 1, 1, 1]


def test_sixteen_bit_images_are_scaled_not_clipped() -> None:
    for name in "ab":
        Path("photos", name).mkdir(parents=True)
        Image.fromarray(np.full((2, 2), 0x8000, dtype=np.uint16)).save(f"photos/{name}/x.png")
    assert torch.unique(pixels(read())).tolist() == [0x80]


def test_images_stand_as_their_exif_tag_says(photos: None) -> None:
    image = Image.new("L", (2, 2), 0)
    image.putpixel((0, 0), 255)
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise
    image.save("photos/cat/turned.png", exif=exif)
    assert pixels(read())[3, 0].tolist() == [[0, 255], [0, 0]]


def test_a_large_set_is_streamed(photos: None) -> None:
    samples = read(max_gigabytes=0.0)
    assert isinstance(samples.inputs, ImageFiles)
    assert samples.notes == (
        "9.6e-08 GB as float32, more than dataset.max_gigabytes=0.0: "
        "images are read from disk batch by batch",
    )
    batch = samples.inputs[torch.tensor([2, 3])]
    assert batch.dtype == torch.float32
    assert batch[:, 0, 0, 0].tolist() == pytest.approx([120 / 255, 0.0])
    settings: dict[str, Any] = {
        "seed": 0,
        "val_fraction": 0.0,
        "test_fraction": 0.3,
        "normalize": True,
        "limit": None,
    }
    streamed, whole = split(samples, **settings), split(read(), **settings)
    assert streamed.input_scaling is not None and whole.input_scaling is not None
    assert torch.allclose(streamed.input_scaling.std, whole.input_scaling.std)
    index = torch.arange(len(whole.test))
    assert torch.allclose(streamed.test.inputs[index], whole.test.inputs[index], atol=1e-6)


def test_a_file_that_goes_bad_while_streaming_is_named(photos: None) -> None:
    samples = read(max_gigabytes=0.0)
    Path("photos/cat/1.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"^dataset.path: photos/cat/1.png cannot be read as an"):
        samples.inputs[torch.tensor([1])]


def error_of(**settings: Any) -> str:
    with pytest.raises(UserError) as error:
        read(**settings)
    return str(error.value)


def test_errors(photos: None) -> None:
    assert error_of(path="fotos") == ("dataset.path=fotos: no such folder; did you mean photos?")
    assert error_of(path="nowhere/at/all") == "dataset.path=nowhere/at/all: no such folder"
    assert error_of(path="photos/cat/0.png") == (
        "dataset.path=photos/cat/0.png: a file; expected a folder, one sub-folder a class"
    )
    assert error_of(path="photos/cat") == (
        "dataset.path=photos/cat: no sub-folders; expected one sub-folder a class"
    )
    assert error_of(size=0) == (
        "dataset.size=0: expected a number of pixels, 1 <= value <= 16384 "
        "(for example dataset.size=28)"
    )
    assert error_of(max_gigabytes=-1) == (
        "dataset.max_gigabytes=-1: expected a number >= 0 (for example dataset.max_gigabytes=2)"
    )


def test_folders_without_images() -> None:
    Path("photos/a").mkdir(parents=True)
    Path("photos/b").mkdir()
    assert error_of() == "dataset.path=photos: no images in the sub-folders a, b"
    Path("photos/a/x.png").write_bytes(b"")
    assert error_of() == ("dataset.path=photos: 1 of 1 files cannot be read as images: a/x.png")
    save("photos/b/x.png", 1)
    assert error_of() == (
        "dataset.path=photos: images of one class only, 'b'; "
        "expected at least two sub-folders with images"
    )


def test_folders_that_are_splits() -> None:
    Path("photos/test").mkdir(parents=True)
    Path("photos/train").mkdir()
    assert error_of() == (
        "dataset.path=photos: the sub-folders test, train are splits; expected one sub-folder "
        "a class (for example dataset.path=photos/train)"
    )
