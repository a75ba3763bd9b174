"""An image or a drawing from the page: what the network sees of it, and what it answers."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from typing import Any, BinaryIO, cast

from PIL import Image
from torch import Tensor

from dlrun.describe import StoredData
from dlrun.errors import UserError, shown
from dlrun.predict.images import FORMATS, Invert, read_image
from dlrun.predict.model import predict_inputs
from dlrun.serve.result import result
from dlrun.trained import Trained

MOST_PIXELS = 25_000_000  # a few hundred MB once it is unpacked
INVERT = ("auto", "yes", "no")


def answer_image(trained: Trained, content: BinaryIO, options: Mapping[str, str]) -> dict[str, Any]:
    """What the page shows of an image: `seen`, as the network sees it, and the `result`.

    options: invert, as `dlrun predict --invert`; drawn=yes for black ink on the page's paper.
    Raises UserError for what is no image, or one too large.
    """
    invert = options.get("invert", "auto")
    if invert not in INVERT:
        raise UserError(f"invert={shown(invert, 40)}: expected {', '.join(INVERT)}")
    require_small(content)
    if options.get("drawn") == "yes" and invert == "auto":
        invert = ink_inverted(trained.data)
    pixels = read_image(content, trained.data, invert=cast(Invert, invert))  # (C, H, W)
    predicted = predict_inputs(trained, pixels.unsqueeze(0))
    shown_result = result(trained, predicted)
    if predicted.images is not None:
        shown_result["picture"] = data_url(predicted.images[0])
    return {"seen": data_url(pixels), **shown_result}


def require_small(content: BinaryIO) -> None:
    """Raises UserError for what is no image, or unpacks to more than MOST_PIXELS.

    A file of a few kB can declare billions of pixels; only its first bytes are read here.
    """
    try:
        with Image.open(content, formats=FORMATS) as image:
            width, height = image.size
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        most = _millions(MOST_PIXELS)
        raise UserError(f"has more than {most} pixels (make it smaller)") from None
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        raise UserError("is no image (expected PNG, JPEG, WebP, BMP, TIFF or GIF)") from error
    if width * height > MOST_PIXELS:
        raise UserError(
            f"has {_millions(width * height)} pixels ({width} x {height}); expected at most "
            f"{_millions(MOST_PIXELS)} (make it smaller)"
        )
    content.seek(0)


def _millions(pixels: int) -> str:
    return f"{pixels / 1e6:,.0f} million"


def ink_inverted(data: StoredData) -> Invert:
    """What is to become of black ink on white for a network that was trained on such images.

    Where the run knows the background of its images, `auto` compares the paper with it. Else the
    mean tells: images that are dark for the most part have bright ink.
    """
    knows = data.framing is not None and data.framing.background is not None
    if knows or data.input_scaling is None:
        return "auto"
    return "yes" if float(data.input_scaling.mean.mean()) < 0.5 else "no"


def data_url(pixels: Tensor) -> str:
    """A `data:` address of an image (C, H, W) in [0, 1]; values beyond are cut off."""
    levels = (pixels.clamp(0, 1) * 255).round().byte().cpu()
    grey = levels.shape[0] != 3
    array = levels[0].numpy() if grey else levels.permute(1, 2, 0).numpy()  # (H, W) or (H, W, 3)
    file = io.BytesIO()
    Image.fromarray(array).save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"
