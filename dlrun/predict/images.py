"""Image files as a network was trained to see them.

1. The first frame of the file is turned as its EXIF tag says, transparent pixels are laid over
   white, and it is brought to the model's channels, grey or colour, with 8 bits.
2. A grey image is inverted when its border then is nearer to the background of the training
   images (black for MNIST). That is asked only where both are even: not of photos.
3. An image of exactly the model's size is taken pixel by pixel.
4. Another one on an even background is cut to what stands out from it, whose longer side is made
   as long as in the training images (20 of 28 pixels for MNIST), and whose centre of mass is put
   into the middle, as LeCun et al. 1998 made MNIST. Where training images are filled to the edge,
   it is centred by its box, and an image that is filled like them is left as it is.
5. All others, and those for runs that have not kept how their images were framed, are squeezed to
   the model's size. So are all for a run on a folder of images, as those of the folder were, and
   none is inverted.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from dlrun.datasets.framing import border, is_even, looks_inverted
from dlrun.datasets.image_folder import UNREADABLE, upright
from dlrun.describe import StoredData
from dlrun.errors import UserError, shown
from dlrun.predict.placing import placed

Invert = Literal["auto", "yes", "no"]

# What is decoded: Pillow knows formats that start other programs.
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "PPM")
ENDINGS = frozenset(
    (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".pgm", ".ppm")
)
LARGE = 1024  # pixels; larger JPEGs are decoded smaller before something is cut out of them
UNEVEN_LIGHT = 0.2  # brightness by which paper in a picture may vary


def read_image(file: Path | BinaryIO, data: StoredData, *, invert: Invert = "auto") -> Tensor:
    """The image as the network was trained to see it, (C, H, W) floats in [0, 1].

    See the rules above. data: of a run on images. invert: `yes` and `no` take the place of rule 2.
    Raises UserError, in a line without the file's name, for what cannot be read as an image.
    """
    channels, height, width = image_shape(data)
    framed = data.framing is not None and data.framing.extent is not None
    large = (LARGE, LARGE) if framed else (2 * width, 2 * height)
    try:
        with Image.open(file, formats=FORMATS) as opened:
            opened.draft("L" if channels == 1 else "RGB", large)
            image = upright(opened)
            image = image.convert("L" if channels == 1 else "RGB")
    except UnidentifiedImageError as error:
        raise UserError("is no image (expected PNG, JPEG, WebP, BMP, TIFF or GIF)") from error
    except OSError as error:
        raise UserError(f"cannot be read ({error.strerror or shown(error)})") from error
    except (*UNREADABLE, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UserError(f"cannot be read as an image ({shown(error)})") from error
    if invert == "yes" or invert == "auto" and _is_inverted(image, data):
        image = ImageOps.invert(image)
    return _sized(image, data)


def image_shape(data: StoredData) -> tuple[int, int, int]:
    """Channels, height and width of the run's images. UserError for a run on something else."""
    if len(data.in_shape) != 3 or data.in_shape[0] not in (1, 3):
        size = " x ".join(str(length) for length in data.in_shape)
        raise UserError(f"the run takes {size} numbers, no images (expected a CSV file)")
    channels, height, width = data.in_shape
    return channels, height, width


def _is_inverted(image: Image.Image, data: StoredData) -> bool:
    """Whether a grey image has dark and bright the other way round than the training images."""
    if image.mode != "L" or data.framing is None or data.framing.background is None:
        return False
    frame = border(_pixels(image))
    same_size = image.size == data.in_shape[:0:-1]
    if not (is_even(frame) if same_size else is_even(frame, UNEVEN_LIGHT)):
        return False
    return bool(looks_inverted(frame.median(), data.framing.background))


def _sized(image: Image.Image, data: StoredData) -> Tensor:
    """The image in the model's size, (C, H, W)."""
    _, height, width = data.in_shape
    if image.size == (width, height):
        return _pixels(image)
    framing = data.framing
    if framing is not None and framing.extent is not None and image.mode == "L":
        assert framing.background is not None  # whose box could not be told without
        if is_even(border(_pixels(image)), UNEVEN_LIGHT):
            cut = placed(image, (height, width), framing.background, framing.extent)
            if cut is not None:
                return cut
    return _pixels(image.resize((width, height), Image.Resampling.BILINEAR))


def _pixels(image: Image.Image) -> Tensor:
    """Pixels (C, H, W) in [0, 1] of an image of 8 bits."""
    pixels = torch.from_numpy(np.array(image)).float().div_(255)
    return pixels.unsqueeze(0) if image.mode == "L" else pixels.permute(2, 0, 1)
