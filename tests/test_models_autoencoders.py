"""Autoencoders: shapes, the way through the code and back, PCA against scikit-learn, errors."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA as SklearnPCA
from torch import Tensor, nn

from dlrun.baselines import linear_directions, measure
from dlrun.datasets import Samples, Splits, split, to_reconstruct
from dlrun.errors import UserError
from dlrun.models.autoencoder import Autoencoder
from dlrun.models.conv_autoencoder import ConvAutoencoder
from dlrun.models.mlp import MLP, deep_mlp
from dlrun.models.pca import PCA

PARTS = ("train", "val", "test")


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def images(num: int, *shape: int, seed: int = 0) -> Tensor:
    return torch.rand(num, *shape, generator=torch.Generator().manual_seed(seed))


def tilted(num: int, size: int, seed: int = 0) -> Tensor:
    """Rows (N, D) around a mean far from 0, with a variance of its own in each direction."""
    generator = torch.Generator().manual_seed(seed)
    mixing, _ = torch.linalg.qr(torch.randn(size, size, generator=generator))
    scales = torch.arange(size, 0, -1.0)
    return torch.randn(num, size, generator=generator) * scales @ mixing + 3


def pictures(num: int = 60, *, normalize: bool) -> Splits:
    """Splits of images (1, 4, 5) as an autoencoder gets them."""
    samples = Samples(
        images(num, 1, 4, 5), torch.arange(num) % 2, "binary", classes=("even", "odd")
    )
    fractions = {"val_fraction": 0.2, "test_fraction": 0.2}
    return to_reconstruct(split(samples, seed=0, **fractions, normalize=normalize, limit=None))


# ------------------------------------------------------------------------------ dense


def test_dense_autoencoder_mirrors_its_layers():
    model = Autoencoder((1, 28, 28), 784, hidden=[128, 64], latent_dim=3)
    widths = [(m.in_features, m.out_features) for m in model.modules() if isinstance(m, nn.Linear)]
    assert widths == [(784, 128), (128, 64), (64, 3), (3, 64), (64, 128), (128, 784)]
    assert count(model) == sum((a + 1) * b for a, b in widths)


def test_dense_autoencoder_computes_by_hand():
    model = Autoencoder((2,), 2, hidden=[], latent_dim=1)
    with torch.no_grad():
        model.encoder.code.weight.copy_(torch.tensor([[2.0, -1.0]]))
        model.encoder.code.bias.copy_(torch.tensor([0.5]))
        model.decoder.output.weight.copy_(torch.tensor([[1.0], [-3.0]]))
        model.decoder.output.bias.copy_(torch.tensor([0.0, 1.0]))
    rows = torch.tensor([[1.0, 1.0]])
    assert model.encode(rows).tolist() == [[1.5]]  # 2 - 1 + 0.5
    expected = torch.sigmoid(torch.tensor([[1.5, -3.5]]))
    torch.testing.assert_close(model(rows), expected)


def test_the_code_has_no_activation_and_sigmoid_outputs_are_pixels():
    model = Autoencoder((1, 4, 5), 20, hidden=[8], latent_dim=2)
    inputs = 100 * (images(50, 1, 4, 5) - 0.5)
    assert (model.encode(inputs) < 0).any() and (model.encode(inputs) > 1).any()
    assert model(inputs).min() >= 0 and model(inputs).max() <= 1
    identity = Autoencoder((1, 4, 5), 20, hidden=[8], latent_dim=2, output="identity")
    assert identity(100 * inputs).min() < 0 and identity(100 * inputs).max() > 1


def test_knobs_reach_both_halves():
    model = Autoencoder(
        (6,), 6, hidden=[5, 4], latent_dim=2, activation="tanh", dropout=0.5, batch_norm=True
    )
    for half in (model.encoder, model.decoder):
        kinds = [type(module) for module in half]
        assert [kinds.count(k) for k in (nn.Tanh, nn.Dropout, nn.BatchNorm1d)] == [2, 2, 2]


AUTOENCODERS = {
    "dense": lambda shape, size: Autoencoder(shape, size, hidden=[7], latent_dim=2),
    "linear": lambda shape, size: Autoencoder(
        shape, size, hidden=[], latent_dim=3, output="identity"
    ),
    "conv": lambda shape, size: ConvAutoencoder(shape, size, channels=[3, 4], latent_dim=2),
    "conv, dense": lambda shape, size: ConvAutoencoder(
        shape, size, channels=[3], dense=[6], latent_dim=2, activation="tanh"
    ),
    "pca": lambda shape, size: PCA(shape, size, latent_dim=3),
}


@pytest.mark.parametrize("shape", [(1, 7, 9), (1, 28, 28), (3, 8, 5), (2, 4, 4)])
@pytest.mark.parametrize("name", AUTOENCODERS)
def test_what_comes_out_has_the_shape_of_what_went_in(name, shape):
    model = AUTOENCODERS[name](shape, int(np.prod(shape)))
    inputs = images(4, *shape)
    if name == "pca":
        model.start_from(images(20, *shape), images(20, *shape))
    outputs, codes = model(inputs), model.encode(inputs)
    assert outputs.shape == inputs.shape and outputs.dtype == torch.float32
    assert codes.shape[0] == 4 and codes.ndim == 2
    assert torch.equal(outputs, model.decode(codes))
    assert outputs.requires_grad and not torch.equal(outputs[0], outputs[1])


def test_tables_pass_through_a_dense_autoencoder():
    model = Autoencoder((13,), 13, hidden=[4], latent_dim=2, output="identity")
    assert model(torch.zeros(5, 13)).shape == (5, 13)


# ------------------------------------------------------------------------------ convolutional


def test_conv_autoencoder_has_the_parameters_that_one_counts():
    # down 3*3*1*4+4 = 40, 3*3*4*8+8 = 296; inner image 8 x 2 x 2 = 32 values;
    # code (32+1)*2 = 66 and back (2+1)*32 = 96; up 2*2*8*4+4 = 132, 2*2*4*1+1 = 17
    model = ConvAutoencoder((1, 8, 8), 64, channels=[4, 8], latent_dim=2)
    assert model.inner_shape == (8, 2, 2)
    assert count(model) == 40 + 296 + 66 + 96 + 132 + 17


def test_dense_layers_of_a_conv_autoencoder_are_mirrored():
    model = ConvAutoencoder((1, 8, 8), 64, channels=[4], dense=[10, 6], latent_dim=2)
    widths = [(m.in_features, m.out_features) for m in model.modules() if isinstance(m, nn.Linear)]
    assert widths == [(64, 10), (10, 6), (6, 2), (2, 6), (6, 10), (10, 64)]
    assert not isinstance(model.encoder[-1], nn.ReLU)  # a code may be negative


@pytest.mark.parametrize("shape", [(1, 7, 9), (3, 5, 4)])
def test_every_pixel_of_an_odd_image_can_be_reached(shape):
    """Also in the row and column that pooling leaves out the code moves the pixels."""
    model = ConvAutoencoder(shape, int(np.prod(shape)), channels=[3], latent_dim=4)
    codes = torch.randn(64, 4, generator=torch.Generator().manual_seed(1))
    outputs = model.decode(10 * codes)
    assert outputs.min() >= 0 and outputs.max() <= 1
    assert (outputs.std(0) > 1e-3).all()


# ------------------------------------------------------------------------------ PCA


@pytest.mark.parametrize("latent_dim", [1, 3, 6])
def test_pca_is_scikit_learns(latent_dim):
    rows = tilted(200, 6)
    model = PCA((6,), 6, latent_dim=latent_dim)
    model.start_from(rows, rows)
    expected = SklearnPCA(latent_dim).fit(rows.double().numpy())
    cosines = (model.components.detach().double().numpy() * expected.components_).sum(1)
    assert np.abs(cosines) == pytest.approx(np.ones(latent_dim), abs=1e-5)
    np.testing.assert_allclose(model.mean.detach(), expected.mean_, rtol=1e-5)
    codes = expected.transform(rows.double().numpy())
    torch.testing.assert_close(model.back, model.components.T, rtol=0, atol=1e-5)
    np.testing.assert_allclose(model.encode(rows).detach(), codes * np.sign(cosines), atol=1e-4)
    np.testing.assert_allclose(model(rows).detach(), expected.inverse_transform(codes), atol=1e-4)


@pytest.mark.parametrize("normalize", [True, False])
def test_pca_of_images_gives_pixels_back_however_they_are_scaled(normalize):
    data = pictures(normalize=normalize)
    model = PCA(data.in_shape, 20, latent_dim=4)
    model.start_from(data.train.inputs, data.train.targets)
    pixels = data.train.targets.flatten(1).double().numpy()
    expected = SklearnPCA(4).fit(pixels)
    for part in (data.train, data.test):
        found = model(part.inputs).detach().flatten(1)
        rows = part.targets.flatten(1).double().numpy()
        wanted = expected.inverse_transform(expected.transform(rows))
        np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_with_all_directions_nothing_is_lost():
    rows = tilted(50, 5)
    model = PCA((5,), 5, latent_dim=5)
    model.start_from(rows, rows)
    torch.testing.assert_close(model(rows), rows, rtol=0, atol=1e-4)


def test_pca_takes_directions_without_variance():
    """Two directions vary; the third code is 0 and gives nothing back."""
    rows = torch.cat([tilted(40, 2), torch.full((40, 2), 7.0)], 1)
    model = PCA((4,), 4, latent_dim=3)
    model.start_from(rows, rows)
    torch.testing.assert_close(model(rows), rows, rtol=0, atol=1e-4)
    one = torch.full((1, 4), 2.0)
    model.start_from(one, one)
    assert torch.equal(model(one), one)


def test_no_other_plane_reconstructs_better():
    rows = tilted(100, 6)
    model = PCA((6,), 6, latent_dim=2)
    model.start_from(rows, rows)
    best = nn.functional.mse_loss(model(rows), rows)
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)
        nudged, _ = torch.linalg.qr(
            model.components.detach().T + 0.1 * torch.randn(6, 2, generator=generator)
        )
        other = (rows - model.mean) @ nudged @ nudged.T + model.mean
        assert nn.functional.mse_loss(other, rows) > best


def test_a_linear_autoencoder_with_pcas_directions_is_pca():
    data = pictures(normalize=False)
    pca = PCA(data.in_shape, 20, latent_dim=3)
    pca.start_from(data.train.inputs, data.train.targets)
    model = Autoencoder(data.in_shape, 20, hidden=[], latent_dim=3, output="identity")
    turned, _ = torch.linalg.qr(torch.randn(3, 3))  # any basis of the plane is as good
    with torch.no_grad():
        model.encoder.code.weight.copy_(turned @ pca.components)
        model.encoder.code.bias.copy_(-turned @ pca.components @ pca.mean)
        model.decoder.output.weight.copy_(pca.components.T @ turned.T)
        model.decoder.output.bias.copy_(pca.mean)
    torch.testing.assert_close(model(data.test.inputs), pca(data.test.inputs))
    figures, notes = measure(["pca"], data, seed=0, model=model)
    assert figures["pca"]["principal_angle"] == pytest.approx(0, abs=0.01)
    assert notes == (
        "largest angle between the decoder's subspace and that of PCA: 0.00 degrees "
        "(of 3 dimensions)",
    )
    for part in PARTS:
        inputs = getattr(data, part).inputs
        mse = nn.functional.mse_loss(model(inputs), inputs).item()
        assert figures["pca"][f"mse/{part}"] == pytest.approx(mse, rel=1e-4)


def test_linear_decoders_are_told_from_others():
    linear = Autoencoder((6,), 6, hidden=[], latent_dim=2, output="identity")
    code = torch.zeros(1, 2)
    with torch.no_grad():
        found = linear_directions(linear, code)
        assert found is not None
        torch.testing.assert_close(
            torch.from_numpy(found), linear.decoder.output.weight.double(), rtol=1e-4, atol=1e-6
        )
        for bent in (
            Autoencoder((6,), 6, hidden=[], latent_dim=2),
            Autoencoder((6,), 6, hidden=[16], latent_dim=2, output="identity"),
        ):
            assert linear_directions(bent, code) is None


def test_a_decoder_that_says_the_same_of_every_code_has_no_directions():
    data = pictures(normalize=False)
    model = Autoencoder(data.in_shape, 20, hidden=[], latent_dim=3, output="identity", init="zeros")
    figures, notes = measure(["pca"], data, seed=0, model=model)
    assert figures["pca"].keys() == {f"{m}/{p}" for m in ("mse", "mae") for p in PARTS}
    assert notes == ()


# ------------------------------------------------------------------------------ deep MLP


def test_deep_mlp_has_as_many_layers_as_asked_for():
    model = deep_mlp((4,), 3, depth=5, width=8)
    widths = [(m.in_features, m.out_features) for m in model.modules() if isinstance(m, nn.Linear)]
    assert widths == [(4, 8), *[(8, 8)] * 4, (8, 3)]


def test_gain_multiplies_weights_and_leaves_biases():
    def made(gain: float) -> MLP:
        torch.manual_seed(7)
        return deep_mlp((4,), 3, depth=2, width=8, gain=gain, batch_norm=True)

    once, thrice = dict(made(1.0).named_parameters()), dict(made(3.0).named_parameters())
    factors = {name: 3.0 if once[name].ndim == 2 else 1.0 for name in once}
    assert list(factors.values()).count(3.0) == 3
    for name, factor in factors.items():
        torch.testing.assert_close(thrice[name], factor * once[name])


# ------------------------------------------------------------------------------ errors

ERRORS = {
    "code of nothing": (
        lambda: Autoencoder((4,), 4, hidden=[], latent_dim=0),
        "model.latent_dim=0: expected a whole number, 1 <= value <= ",
    ),
    "width of nothing": (
        lambda: Autoencoder((4,), 4, hidden=[8, 0], latent_dim=2),
        "model.hidden=[8,0]: expected whole numbers >= 1 (for example model.hidden=[256,128])",
    ),
    "conv on a table": (
        lambda: ConvAutoencoder((13,), 13, channels=[4], latent_dim=2),
        "model=conv_autoencoder: expected images (C, H, W), the data set gives samples of "
        "shape (13,) (for example model=autoencoder)",
    ),
    "conv without blocks": (
        lambda: ConvAutoencoder((1, 8, 8), 64, channels=[], latent_dim=2),
        "model.channels=[]: expected at least one block (for example model.channels=[16,32])",
    ),
    "conv on small images": (
        lambda: ConvAutoencoder((1, 8, 5), 40, channels=[4, 4, 4], latent_dim=2),
        "model.channels=[4,4,4]: 3 poolings by 2 need images of at least 8 x 8, the data set "
        "gives 8 x 5 (for example model.channels=[16])",
    ),
    "conv, dense": (
        lambda: ConvAutoencoder((1, 8, 8), 64, channels=[4], dense=[0], latent_dim=2),
        "model.dense=[0]: expected whole numbers >= 1 (for example model.dense=[128])",
    ),
    "too many components": (
        lambda: PCA((4,), 4, latent_dim=5),
        "model.latent_dim=5: expected at most 4, the values of a sample "
        "(for example model.latent_dim=2)",
    ),
    "too many values": (
        lambda: PCA((3, 100, 100), 30_000, latent_dim=5),
        "model=pca: expected samples of at most 20000 values, the data set gives 30000 "
        "(for example model=autoencoder)",
    ),
    "no depth": (
        lambda: deep_mlp((4,), 3, depth=0, width=8),
        "model.depth=0: expected a whole number, 1 <= value <= 1000 (for example model.depth=10)",
    ),
    "no width": (
        lambda: deep_mlp((4,), 3, depth=2, width=0),
        "model.width=[0]: expected whole numbers >= 1 (for example model.width=32)",
    ),
    "gain of nothing": (
        lambda: deep_mlp((4,), 3, depth=2, width=8, gain=0.0),
        "model.gain=0.0: expected a number > 0 (for example model.gain=1.0)",
    ),
    "gain without end": (
        lambda: deep_mlp((4,), 3, depth=2, width=8, gain=float("inf")),
        "model.gain=inf: expected a number > 0 (for example model.gain=1.0)",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_what_cannot_be_built_is_told(name):
    build, text = ERRORS[name]
    with pytest.raises(UserError) as caught:
        build()
    assert str(caught.value).startswith(text)
    assert "\n" not in str(caught.value)
