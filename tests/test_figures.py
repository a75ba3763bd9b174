"""What the figures draw: values, names, titles; never pixels against a stored picture."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from dlrun.figures import (
    confusion_matrix,
    learning_curves,
    pixels,
    predictions,
    sample_grid,
    style,
)


def drawn(axes: Axes, label: str) -> tuple[list[float], list[float]]:
    lines = [line for line in axes.lines if str(line.get_label()).startswith(label)]
    assert len(lines) == 1, [line.get_label() for line in axes.lines]
    return list(lines[0].get_xdata()), list(lines[0].get_ydata())


def texts(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def title(axes: Axes) -> str:
    return axes.get_title(loc="left")


def record(epoch: int, **values: float | None) -> dict[str, float | None]:
    names = {key.replace("_", "/"): value for key, value in values.items()}
    return {"epoch": epoch, "step": 10 * epoch, "lr": 0.1, **names}


CLASSIFICATION = [
    record(0, loss_train=2.3, loss_val=2.4, accuracy_train=0.1, accuracy_val=0.12),
    record(1, loss_train=0.5, loss_val=0.4, accuracy_train=0.85, accuracy_val=0.9),
    record(2, loss_train=0.1, loss_val=0.2, accuracy_train=0.97, accuracy_val=0.95),
]


def test_learning_curves_draws_every_value_of_both_splits():
    figure = learning_curves(CLASSIFICATION, best_epoch=2)
    loss, accuracy = figure.axes
    assert drawn(loss, "training") == ([0, 1, 2], [2.3, 0.5, 0.1])
    assert drawn(loss, "validation") == ([0, 1, 2], [2.4, 0.4, 0.2])
    assert drawn(accuracy, "training") == ([0, 1, 2], [0.1, 0.85, 0.97])
    assert drawn(accuracy, "validation") == ([0, 1, 2], [0.12, 0.9, 0.95])
    assert (loss.get_xlabel(), loss.get_ylabel()) == ("epoch", "loss (log scale)")
    assert (accuracy.get_xlabel(), accuracy.get_ylabel()) == ("epoch", "accuracy (%)")
    assert title(loss) == "validation loss 0.2 at epoch 2"
    assert title(accuracy) == "validation accuracy 95.00 % at epoch 2"
    assert drawn(loss, "best epoch")[0] == [2, 2]
    assert drawn(accuracy, "best epoch")[0] == [2, 2]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "training (mean over the epoch)",
        "validation (after the epoch)",
        "best epoch: 2",
    ]


def test_learning_curves_has_no_mark_without_a_best_epoch():
    figure = learning_curves(CLASSIFICATION, best_epoch=None)
    assert title(figure.axes[0]) == "loss"
    assert len(figure.axes[0].lines) == 2
    assert len(figure.legends[0].get_texts()) == 2


def test_loss_axis_is_logarithmic_only_beyond_a_decade():
    def scale(*losses: float) -> str:
        history = [record(epoch, loss_train=loss) for epoch, loss in enumerate(losses)]
        return learning_curves(history, None).axes[0].get_yscale()

    assert scale(2.0, 0.5) == "linear"
    assert scale(2.0, 0.15) == "log"
    assert scale(2.0, 0.0) == "linear"
    assert scale(2.0, 0.1, 0.0) == "log"
    assert scale(2.0, 0.1, -0.5) == "linear"


def test_regression_shows_r2_in_the_second_panel():
    history = [
        record(e, loss_val=1.0 / (e + 1), r2_val=r2, mse_val=1.0)
        for e, r2 in enumerate([-50.0, 0.5, 0.6, 0.7, 0.8])
    ]
    _, panel = learning_curves(history, 4).axes
    assert panel.get_ylabel() == "R² (1 is perfect)"
    assert title(panel) == "validation R² 0.8 at epoch 4"
    assert drawn(panel, "validation")[1] == [-50.0, 0.5, 0.6, 0.7, 0.8]
    # Epoch 0 would flatten the rest: it is off the axis, and that is said.
    assert panel.get_ylim()[0] > 0
    assert texts(panel) == ["off the axis: -50 at epoch 0"]


def test_epoch_0_stays_on_the_axis_when_it_hides_nothing():
    history = [record(e, loss_train=1.0, accuracy_val=0.1 + 0.2 * e) for e in range(5)]
    _, panel = learning_curves(history, None).axes
    assert panel.get_ylim()[0] < 0.1
    assert texts(panel) == []


def test_a_diverged_run_keeps_its_finite_values_and_names_the_epoch():
    history = [
        record(0, loss_train=2.0, loss_val=2.0, accuracy_val=0.1),
        record(1, loss_train=9e4, loss_val=1e5, accuracy_val=0.1),
        record(2, loss_train=math.inf, loss_val=None, accuracy_val=0.1),
        record(3, loss_train=math.nan, loss_val=math.nan, accuracy_val=0.1),
    ]
    figure = learning_curves(history, best_epoch=0)
    loss = figure.axes[0]
    np.testing.assert_equal(drawn(loss, "training")[1], [2.0, 9e4, math.nan, math.nan])
    assert title(loss) == "validation loss 2 at epoch 0\ntraining loss not finite from epoch 2 on"
    assert pixels(figure).shape == (600, 1350, 3)


def test_a_run_without_any_finite_value_says_so():
    history = [record(e, loss_train=math.nan, loss_val=None) for e in range(3)]
    figure = learning_curves(history, None)
    assert len(figure.axes) == 1
    assert texts(figure.axes[0]) == ["no finite value"]
    pixels(figure)


@pytest.mark.parametrize("epochs", [0, 1, 2, 10, 100, 2000])
def test_epoch_ticks_are_whole_numbers_within_the_run(epochs):
    history = [
        record(e, loss_train=2 / (e + 1), accuracy_train=e / (e + 2)) for e in range(epochs + 1)
    ]
    figure = learning_curves(history, epochs)
    pixels(figure)
    for axes in figure.axes:
        low, high = axes.get_xlim()
        ticks = [tick for tick in axes.get_xticks() if low <= tick <= high]
        assert 1 <= len(ticks) <= 11
        assert all(tick == round(tick) and 0 <= tick <= epochs for tick in ticks)
        labels = [text.get_text() for text in axes.get_xticklabels()]
        assert len(set(labels)) == len(labels)


def test_confusion_matrix_writes_counts_and_colours_rows():
    matrix = np.array([[8, 2, 0], [0, 1234, 0], [0, 0, 0]])
    figure = confusion_matrix(matrix, ["cat", "$a_b$", "a class with quite a long name"])
    axes = figure.axes[0]
    assert title(axes) == "accuracy 99.84 % of 1,244 samples"  # 1242 / 1244
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted class", "true class")
    assert texts(axes) == ["8", "2", "0", "0", "1,234", "0", "0", "0", "0"]
    positions = [text.get_position() for text in axes.texts]
    assert positions[1] == (1, 0)  # true class 0 taken for class 1: column 1, row 0
    np.testing.assert_allclose(axes.images[0].get_array(), [[0.8, 0.2, 0], [0, 1, 0], [0, 0, 0]])
    pixels(figure)
    for labels in (axes.get_xticklabels(), axes.get_yticklabels()):
        assert [label.get_text() for label in labels] == ["cat", "$a_b$", "a class w…ong name"]
        assert not any(label.get_parse_math() for label in labels)
    assert figure.axes[1].get_ylabel() == "share of the true class (%)"


@pytest.mark.parametrize(("classes", "numbers"), [(2, 4), (10, 100), (20, 400), (30, 0)])
def test_confusion_matrix_leaves_numbers_out_when_there_are_too_many(classes, numbers):
    figure = confusion_matrix(np.eye(classes, dtype=int) * 7, [f"c{k}" for k in range(classes)])
    axes = figure.axes[0]
    assert len(axes.texts) == numbers
    assert len(axes.get_xticklabels()) == len(axes.get_yticklabels()) == classes
    width, height = figure.get_size_inches()
    assert max(width, height) < 14
    pixels(figure)


def test_confusion_matrix_of_nothing_is_not_an_accuracy():
    figure = confusion_matrix(np.zeros((2, 2), dtype=int), ["a", "b"])
    assert title(figure.axes[0]) == "no samples"
    pixels(figure)


def test_predictions_draws_points_diagonal_and_residuals():
    targets, outputs = [[1.0], [2.0], [3.0], [4.0]], [[1.0], [2.0], [4.0], [4.0]]
    figure = predictions(targets, outputs, "price_$")
    left, right = figure.axes
    # Sum of squared residuals 1, spread 5: R² = 0.8. One absolute error of 1 in four.
    assert title(left) == "R² = 0.8, MAE = 0.25, n = 4"
    assert (left.get_xlabel(), left.get_ylabel()) == ("true price_$", "predicted price_$")
    assert right.get_xlabel() == "predicted − true price_$"
    assert right.get_ylabel() == "number of samples"
    np.testing.assert_array_equal(
        left.collections[0].get_offsets(), [[1, 1], [2, 2], [3, 4], [4, 4]]
    )
    xs, ys = drawn(left, "prediction = target")
    assert xs == ys
    assert left.get_xlim() == left.get_ylim() == (xs[0], xs[1])
    assert left.get_aspect() == 1.0
    assert sum(patch.get_height() for patch in right.patches) == 4
    assert drawn(right, "mean 0.25")[0] == [0.25, 0.25]
    pixels(figure)


@pytest.mark.parametrize(
    ("targets", "outputs", "expected"),
    [
        ([1.0, 2, 3], [1.0, math.nan, 3], "R² = 1, MAE = 0, n = 2\n1 of 3 predictions"),
        ([3.0, 3, 3], [3.0, 3, 4], "R² undefined, MAE = 0.3333, n = 3"),
        ([3.0, 3, 3], [3.0, 3, 3], "R² undefined, MAE = 0, n = 3"),
        ([1.0, 2], [1e300, -1e300], "R² = -inf, MAE = 1e+300, n = 2"),
        ([1.0, 2], [math.nan, math.inf], "no predictions\n2 of 2 predictions"),
        ([5.0], [1e20], "R² undefined, MAE = 1e+20, n = 1"),
    ],
)
def test_predictions_of_awkward_values(targets, outputs, expected):
    figure = predictions(targets, outputs, "y")
    assert title(figure.axes[0]).startswith(expected)
    pixels(figure)


def test_sample_grid_places_images_in_reading_order_under_their_labels():
    images = np.linspace(0, 1, 5 * 3 * 4 * 4).reshape(5, 3, 4, 4)
    labels = ["cat", "$a_b$", "a very long label", "d", "e"]
    figure = sample_grid(images, labels)
    axes = figure.axes[0]
    assert texts(axes) == ["cat", "$a_b$", "a very… label", "d", "e"]
    assert len(axes.images) == 5
    np.testing.assert_allclose(axes.images[2].get_array(), images[2].transpose(1, 2, 0), rtol=1e-6)
    left, right, bottom, top = axes.images[1].get_extent()
    x, y = axes.texts[1].get_position()
    assert left < x < right and y < top < bottom  # y grows downwards
    pixels(figure)


def test_sample_grid_shows_one_channel_in_grey_and_clips():
    figure = sample_grid(np.array([[[[-1.0, 0.5], [2.0, math.nan]]]]), ["x"])
    image = figure.axes[0].images[0]
    np.testing.assert_array_equal(image.get_array(), [[0.0, 0.5], [1.0, 0.0]])
    assert image.get_clim() == (0.0, 1.0)
    assert image.get_cmap().name == "gray"
    pixels(figure)


def test_pixels_holds_the_drawn_figure():
    figure = style.new_figure(2.0, 1.0)
    assert isinstance(figure, Figure)
    assert pixels(figure).shape == (150, 300, 3)
    assert pixels(figure).min() == 255


def test_figures_need_neither_pyplot_nor_torch():
    code = (
        "import sys, dlrun.figures as f; f.learning_curves([{'epoch': 0, 'loss/train': 1.0}], 0);"
        "print(sorted({'matplotlib.pyplot', 'torch'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
