"""Animations: frames drawn from one figure, and the GIF that they make."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from io import BytesIO

import numpy as np
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from dlrun.figures import style

Frame = NDArray[np.uint8]  # (H, W, 3)

DPI = 100
NUM_COLOURS = 255  # of 256: one stays free for pixels that are as in the frame before
# So many frames, and every second pixel of them, say which colours the animation has.
FRAMES_TO_LOOK_AT = 16
NUM_EXACT = 64
CELLS = 64  # of each side of the colour cube, all colours of a cell become one


def settle(figure: Figure) -> None:
    """Lays the figure out once and then for good, so that nothing moves from frame to frame."""
    figure.set_dpi(DPI)
    figure.draw_without_rendering()
    figure.set_layout_engine("none")


def frame(figure: Figure) -> Frame:
    """The drawn figure as one frame, (H, W, 3) uint8, 100 pixels an inch."""
    figure.set_dpi(DPI)
    return style.pixels(figure)


def film(
    figure: Figure, moving: Sequence[Artist], steps: Iterable[int], show: Callable[[int], None]
) -> list[Frame]:
    """One frame for each step, of which `show(step)` sets the moving artists; the rest stands.

    What stands is drawn once, since filled contours take most of a frame's time; what moves lies
    above it.
    """
    for artist in moving:
        artist.set_animated(True)
    settle(figure)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    standing = canvas.copy_from_bbox(figure.bbox)  # type: ignore[no-untyped-call]
    frames = []
    for step in steps:
        canvas.restore_region(standing)  # type: ignore[no-untyped-call]
        show(step)
        for artist in sorted(moving, key=lambda artist: artist.get_zorder()):
            figure.draw_artist(artist)
        drawn = canvas.buffer_rgba()  # type: ignore[no-untyped-call]
        frames.append(np.asarray(drawn, dtype=np.uint8)[..., :3].copy())
    return frames


def gif(frames: Sequence[Frame], *, milliseconds: int = 80, hold_last: int = 1500) -> bytes:
    """The frames as a GIF that loops for ever, with one palette for all of them.

    frames: at least one, each (H, W, 3) uint8 of the same size. milliseconds: how long each is
    shown, rounded by the format to hundredths of a second; hold_last: the last one.
    """
    assert len(frames) > 0, "no frames"
    assert all(picture.shape == frames[0].shape for picture in frames), "frames of several sizes"
    palette = _palette(frames)
    entries = np.full(CELLS**3, -1, dtype=np.int16)
    pictures = [_indexed(picture, palette, entries) for picture in frames]
    buffer = BytesIO()
    pictures[0].save(
        buffer,
        format="GIF",
        save_all=True,
        append_images=pictures[1:],
        duration=[milliseconds] * (len(frames) - 1) + [hold_last],
        loop=0,
        optimize=True,  # only what differs from the frame before is written
    )
    return buffer.getvalue()


def _palette(frames: Sequence[Frame]) -> NDArray[np.uint8]:
    """White, the colours of large areas as they are, and what stands best for all others: (P, 3).

    Of the others a colour weighs as the square root of its pixels: thin lines and dots keep theirs.
    """
    chosen = np.linspace(0, len(frames) - 1, min(len(frames), FRAMES_TO_LOOK_AT)).round()
    rows = [frames[int(k)][i % 2 :: 2].reshape(-1, 3) for i, k in enumerate(chosen)]
    seen = np.concatenate([frames[0][:1].reshape(-1, 3), *rows]).astype(np.uint32)
    codes = seen @ np.array([65536, 256, 1], dtype=np.uint32)  # 0xRRGGBB
    values, counts = np.unique(codes, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    kept, others = order[:NUM_EXACT], order[NUM_EXACT:]
    palette = [np.full((1, 3), 255, dtype=np.uint8), _channels(values[kept])]
    if len(others):
        repeated = np.repeat(values[others], np.sqrt(counts[others]).astype(np.int64))
        strip = Image.fromarray(_channels(repeated)[None])  # one row
        num_mixed = NUM_COLOURS - 1 - len(kept)
        mixed = strip.quantize(num_mixed, method=Image.Quantize.MEDIANCUT).getpalette()
        assert mixed is not None
        palette.append(np.array(mixed, dtype=np.uint8).reshape(-1, 3)[:num_mixed])
    return np.concatenate(palette)


def _channels(codes: NDArray[np.uint32]) -> NDArray[np.uint8]:
    """Red, green and blue of colours 0xRRGGBB: (P,) to (P, 3)."""
    return np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=1).astype(np.uint8)


def _indexed(picture: Frame, palette: NDArray[np.uint8], entries: NDArray[np.int16]) -> Image.Image:
    """The picture in the palette's colours; Pillow's own search would not keep white white.

    entries: (CELLS**3,) the palette's entry for each cell of the colour cube, -1 where not known
    yet; what this picture needs is filled in.
    """
    cell_size = 256 // CELLS
    weights = np.array([CELLS * CELLS, CELLS, 1], dtype=np.int32)
    cells = (picture // cell_size).astype(np.int32) @ weights  # (H, W)
    new = np.unique(cells[entries[cells] < 0])
    middles = np.stack([new // CELLS**2, new // CELLS % CELLS, new % CELLS], axis=1) * cell_size
    middles += cell_size // 2  # (M, 3)
    distances = (middles[:, None].astype(np.float32) - palette) ** 2  # (M, P, 3)
    entries[new] = distances.sum(axis=2).argmin(axis=1)
    entries[CELLS**3 - 1] = 0  # white
    image = Image.fromarray(entries[cells].astype(np.uint8))
    image.putpalette(palette.reshape(-1).tolist())
    return image
