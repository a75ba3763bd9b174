"""Image files as the network was trained to see them: every mode, and the rules by which."""

from __future__ import annotations

import io
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageOps

from dlrun.datasets.framing import Framing
from dlrun.datasets.image_folder import read_pixels
from dlrun.datasets.images import mnist5k
from dlrun.describe import StoredData
from dlrun.errors import UserError
from dlrun.predict.images import read_image

MNIST = Framing(0.0, 20 / 28)


def data(framing: Framing | None = MNIST, in_shape: tuple[int, ...] = (1, 28, 28)) -> StoredData:
    return StoredData(
        task="multiclass",
        in_shape=in_shape,
        classes=("0", "1"),
        features=(),
        target_name="target",
        input_scaling=None,
        target_scaling=None,
        fingerprint=[],
        framing=framing,
    )


def digit(k: int = 2000) -> Image.Image:
    """A digit of MNIST, white on black, 28 x 28 pixels of mode L."""
    return Image.fromarray(np.asarray(mnist5k(Path(), 0).inputs[k, 0]))


def saved(image: Image.Image, name: str = "image.png", **options: Any) -> Path:
    image.save(name, **options)
    return Path(name)


def pixels(image: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(image)).float()[None] / 255


def test_an_image_of_the_models_size_is_taken_pixel_by_pixel():
    assert torch.equal(read_image(saved(digit()), data()), pixels(digit()))


@pytest.mark.parametrize("ending", ["png", "webp", "bmp", "tif", "gif"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_formats_without_loss_give_the_same_pixels(ending: str, mode: str):
    options = {"lossless": True} if ending == "webp" else {}
    file = saved(digit().convert(mode), f"image.{ending}", **options)
    assert torch.equal(read_image(file, data()), pixels(digit()))


def test_modes_are_brought_to_grey():
    grey = digit()
    sixteen = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    opaque = grey.convert("RGBA")
    cases = {
        "16 bits": saved(sixteen, "sixteen.png"),
        "RGBA": saved(opaque, "rgba.png"),
        "LA": saved(grey.convert("LA"), "la.png"),
        "palette": saved(grey.convert("P"), "p.png"),
    }
    for name, file in cases.items():
        assert torch.equal(read_image(file, data()), pixels(grey)), name
    bits = read_image(saved(grey.convert("1", dither=Image.Dither.NONE), "bits.png"), data())
    assert torch.equal(bits, (pixels(grey) >= 128 / 255).float())
    cmyk = read_image(saved(grey.convert("RGB").convert("CMYK"), "cmyk.tif"), data())
    assert torch.allclose(cmyk, pixels(grey), atol=2 / 255)


def test_transparent_pixels_are_over_white():
    """Black ink on nothing is black on white, and so inverted."""
    ink = Image.new("RGBA", (28, 28), (0, 0, 0, 0))
    ink.putalpha(digit())
    assert torch.equal(read_image(saved(ink), data()), pixels(digit()))
    palette = ink.quantize(2)  # whose transparency stands in the palette
    assert palette.mode == "P"
    seen = read_image(saved(palette), data(framing=None))
    assert seen[0, 0, 0] > 0.99  # what the quantiser made of nothing is not quite transparent


def test_colour_models_get_three_channels():
    image = Image.new("RGB", (4, 4), (255, 0, 51))
    seen = read_image(saved(image), data(Framing(), (3, 4, 4)))
    assert torch.equal(seen[:, 0, 0], torch.tensor([1.0, 0.0, 0.2]))


def test_a_picture_is_turned_as_its_exif_tag_says():
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees to the right
    file = saved(digit().rotate(90), exif=exif)
    assert torch.equal(read_image(file, data()), pixels(digit()))


def test_of_an_animation_the_first_frame_is_taken():
    frames = [digit(), Image.new("L", (28, 28), 255)]
    file = saved(frames[0], "image.gif", save_all=True, append_images=frames[1:])
    assert torch.equal(read_image(file, data()), pixels(digit()))


def test_inverted_digits_are_turned_back():
    inverted = saved(ImageOps.invert(digit()))
    assert torch.equal(read_image(inverted, data()), pixels(digit()))
    assert torch.equal(read_image(inverted, data(), invert="no"), pixels(ImageOps.invert(digit())))
    upright = saved(digit(), "upright.png")
    assert torch.equal(read_image(upright, data(), invert="yes"), pixels(ImageOps.invert(digit())))


def test_photos_colours_and_old_runs_are_not_inverted():
    white = saved(Image.new("L", (28, 28), 255))
    for framing in (None, Framing()):
        assert read_image(white, data(framing)).min() == 1
    colour = read_image(white, data(Framing(), (3, 28, 28)))
    assert colour.min() == 1
    noise = np.random.default_rng(0).integers(100, 256, (28, 28)).astype(np.uint8)
    uneven = read_image(saved(Image.fromarray(noise)), data())
    assert torch.equal(uneven, pixels(Image.fromarray(noise)))


def test_a_digit_enlarged_on_white_comes_out_as_it_was():
    differences = []
    for k in random.Random(0).sample(range(5000), 20):
        large = ImageOps.invert(digit(k)).resize((280, 280), Image.Resampling.NEAREST)
        differences.append((read_image(saved(large), data()) - pixels(digit(k))).abs().mean())
    assert torch.stack(differences).median() < 0.01  # the mean pixel is about 0.13


def test_a_digit_on_paper_in_the_light_of_a_window_is_placed():
    """Dark ink at one side of a picture whose paper darkens to the other."""
    rows, columns = np.mgrid[:300, :500]
    paper = 0.9 - 0.3 * columns / 500 + np.random.default_rng(0).normal(0, 0.02, (300, 500))
    ink = Image.new("L", (500, 300))
    ImageDraw.Draw(ink).line([(80, 60), (80, 220)], fill=255, width=16)
    photo = (255 * paper * (1 - 0.8 * np.asarray(ink) / 255)).clip(0, 255).astype(np.uint8)
    seen = read_image(saved(Image.fromarray(photo).convert("RGB"), "photo.jpg"), data())[0]
    lines = (seen > 0.5).any(1).nonzero()[:, 0]
    places = (seen > 0.5).any(0).nonzero()[:, 0]
    assert len(lines) in (19, 20, 21) and abs(float(lines.float().mean()) - 13.5) <= 1
    assert len(places) <= 3 and abs(float(places.float().mean()) - 14) <= 1
    assert (seen < 0.1).float().mean() > 0.85  # the paper is black, though its shade is not even


def test_what_fills_its_images_is_centred_by_its_box():
    picture = Image.new("L", (100, 100), 255)
    ImageDraw.Draw(picture).rectangle([10, 20, 29, 59], fill=0)  # 20 x 40
    seen = read_image(saved(picture), data(Framing(0.0, 1.0), (1, 8, 8)))
    expected = torch.zeros(1, 8, 8)
    expected[0, :, 2:6] = 1
    assert torch.equal(seen, expected)


def test_what_fills_its_image_like_those_of_training_is_left_as_it_is():
    picture = Image.new("L", (80, 80), 255)
    ImageDraw.Draw(picture).rectangle([10, 0, 29, 79], fill=64)  # at the left, and not quite black
    seen = read_image(saved(picture), data(Framing(0.0, 1.0), (1, 8, 8)))
    squeezed = ImageOps.invert(picture).resize((8, 8), Image.Resampling.BILINEAR)
    assert torch.equal(seen, pixels(squeezed))


def test_others_are_squeezed_as_image_folders_are():
    photo = np.random.default_rng(1).integers(0, 256, (60, 90, 3)).astype(np.uint8)
    for name in ("photo.png", "photo.jpg"):
        file = saved(Image.fromarray(photo), name)
        for framing, shape, mode in ((None, (1, 28, 28), "L"), (Framing(), (3, 20, 20), "RGB")):
            wanted = read_pixels(file, shape[1], mode).float() / 255
            assert torch.equal(read_image(file, data(framing, shape)), wanted), name


def test_an_empty_picture_is_empty():
    assert read_image(saved(Image.new("L", (90, 50), 255)), data()).max() == 0


def test_bytes_are_read_as_files_are():
    buffer = io.BytesIO()
    digit().save(buffer, "PNG")
    buffer.seek(0)
    assert torch.equal(read_image(buffer, data()), pixels(digit()))


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "is no image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is no image"),  # ghostscript's
        (None, "cannot be read (No such file or directory)"),
    ],
)
def test_what_is_no_image_is_told(content: bytes | None, fault: str):
    if content is not None:
        Path("image.png").write_bytes(content)
    with pytest.raises(UserError) as told:
        read_image(Path("image.png"), data())
    assert fault in str(told.value)
    assert "\n" not in str(told.value)


def test_a_file_cut_short_is_told():
    whole = saved(digit().resize((200, 200))).read_bytes()
    Path("image.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="cannot be read"):
        read_image(Path("image.png"), data())


def test_an_image_that_would_fill_the_memory_is_told(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 300)
    with pytest.raises(UserError, match="exceeds limit"):
        read_image(saved(digit()), data())


def test_a_run_on_a_table_takes_no_images():
    with pytest.raises(UserError, match="takes 13 numbers, no images"):
        read_image(saved(digit()), data(None, (13,)))
