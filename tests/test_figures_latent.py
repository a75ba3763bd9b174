"""The latent plane: codes, what it decodes to, and ways through it."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import to_rgb

from dlrun.figures import (
    latent_grid,
    latent_scatter,
    morph_frames,
    morph_strip,
    pixels,
    style,
)

CODES = np.array([[0.0, 0.0], [2.0, 0.0], [1.0, 3.0], [10.0, 10.0], [12.0, 10.0]])


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_scatter_colours_by_class_and_names_them_at_their_medians():
    figure = latent_scatter(CODES, np.array([0, 0, 0, 2, 2]), ["cat", "absent", "$a_b$"])
    axes = figure.axes[0]
    points = axes.collections[0]
    order = np.argsort(points.get_offsets()[:, 0])
    np.testing.assert_array_equal(points.get_offsets()[order], CODES[np.argsort(CODES[:, 0])])
    blue, _, green = (to_rgb(colour) for colour in style.colours(3))
    np.testing.assert_allclose(points.get_facecolors()[order][:, :3], [blue] * 3 + [green] * 2)
    shown = {text.get_text(): text.get_position() for text in axes.texts}
    assert shown == {"cat": (1.0, 0.0), "$a_b$": (11.0, 10.0)}
    assert legend(figure) == ["cat", "$a_b$"]
    assert axes.get_title(loc="left") == "5 inputs in the latent plane"
    pixels(figure)


def test_scatter_without_labels_has_one_colour_and_no_legend():
    for labels, classes in ((None, None), (np.zeros(5), None), (np.zeros(5), [])):
        figure = latent_scatter(CODES, labels, classes)
        assert len(figure.legends) == len(figure.axes[0].texts) == 0
        np.testing.assert_allclose(
            figure.axes[0].collections[0].get_facecolors()[:, :3], [to_rgb(style.TRAIN)]
        )
    pixels(figure)


def test_scatter_leaves_out_codes_that_are_not_finite_and_says_so():
    codes = CODES.copy()
    codes[0, 1] = np.nan
    figure = latent_scatter(codes, np.array([0, 0, 0, 1, 1]), ["a", "b"])
    assert len(figure.axes[0].collections[0].get_offsets()) == 4
    assert figure.axes[0].get_title(loc="left").endswith("1 of 5 codes not finite, left out")
    assert figure.axes[0].texts[0].get_position() == (1.5, 1.5)  # of (2, 0) and (1, 3)
    figure = latent_scatter(codes * np.nan, np.array([0, 0, 0, 1, 1]), ["a", "b"])
    assert [text.get_text() for text in figure.axes[0].texts] == ["no finite value"]
    pixels(figure)


def test_scatter_of_many_classes_has_no_legend_but_as_many_colours():
    codes = np.random.default_rng(0).normal(size=(100, 2))
    figure = latent_scatter(codes, np.arange(100), [f"class {k}" for k in range(100)])
    assert len(figure.legends) == len(figure.axes[0].texts) == 0
    assert len(np.unique(figure.axes[0].collections[0].get_facecolors(), axis=0)) == 100
    pixels(figure)


def test_grid_puts_each_image_at_its_latent_coordinates():
    x, y = np.array([-1.0, 0.0, 1.0]), np.array([10.0, 30.0, 50.0])
    images = np.zeros((3, 3, 1, 2, 4))
    images[0, 2] = 0.5  # x = 1, y = 10: below right
    images[2, 0, 0, 0, 0] = 1.0  # x = -1, y = 50: above left; its first pixel
    figure = latent_grid(images, x, y)
    axes = figure.axes[0]
    sheet = np.asarray(axes.images[0].get_array())
    assert sheet.shape == (6, 12)
    np.testing.assert_array_equal(sheet[4:, 8:], np.full((2, 4), 0.5))
    assert sheet[0, 0] == 1.0 and sheet.sum() == 1.0 + 8 * 0.5
    np.testing.assert_allclose(axes.images[0].get_extent(), [-1.5, 1.5, 0.0, 60.0])
    assert axes.images[0].origin == "upper"
    # A pixel is 0.25 wide and 10 high in latent units: drawn square.
    assert axes.get_aspect() == 0.25 / 10
    pixels(figure)


def test_grid_of_one_colour_image():
    figure = latent_grid(np.full((1, 1, 3, 4, 4), 0.5), [0.0], [2.0])
    assert np.asarray(figure.axes[0].images[0].get_array()).shape == (4, 4, 3)
    np.testing.assert_allclose(figure.axes[0].images[0].get_extent(), [-0.5, 0.5, 1.5, 2.5])
    pixels(figure)


def test_morph_has_a_frame_for_each_image_and_shows_it():
    images = np.zeros((5, 1, 8, 8))
    images += np.linspace(0, 1, 5)[:, None, None, None]
    frames = morph_frames(images, stops=[0, 2, 4])
    assert len(frames) == 5
    height, width, _ = frames[0].shape
    middle = [int(picture[height // 2, width // 2, 0]) for picture in frames]
    np.testing.assert_allclose(middle, [0, 63.75, 127.5, 191.25, 255], atol=1)
    # The dot of the way moves to the right.
    dots = [np.argwhere((picture == (213, 94, 0)).all(axis=2)) for picture in frames]
    centres = [dot[:, 1].mean() for dot in dots]
    assert centres == sorted(centres) and centres[4] > centres[0] + width / 2


def test_morph_of_one_image():
    assert len(morph_frames(np.zeros((1, 3, 4, 4)), stops=[0])) == 1


def test_strip_has_a_row_for_each_pair():
    images = np.random.default_rng(0).uniform(size=(2, 5, 1, 4, 4))
    figure = morph_strip(images)
    axes = figure.axes[0]
    assert len(axes.images) == 10
    np.testing.assert_allclose(axes.images[7].get_array(), images[1, 2, 0], rtol=1e-6)
    assert axes.images[7].get_extent()[:2] == axes.images[2].get_extent()[:2]
    texts = [text.get_text() for text in axes.texts]
    assert texts == ["t = 0", "0.25", "0.5", "0.75", "t = 1"]
    pixels(figure)
    pixels(morph_strip(images[:1, :1]))
