"""Scores of pictures: closed forms, laws, and slow independent references."""

import math

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from scipy.ndimage import correlate
from torch import nn

import recon.metrics.image as scores_of_pictures
from recon.metrics.image import DEFINITIONS, MOST_PSNR, Lpips, _require_same, mse, psnr, ssim


def picture(seed: int, height: int = 24, width: int = 31) -> torch.Tensor:
    return torch.rand(height, width, 3, generator=torch.Generator().manual_seed(seed))


def test_every_score_has_a_definition():
    assert {"mse", "psnr", "ssim", "lpips"} == DEFINITIONS.keys()


def test_an_even_error_has_the_psnr_of_its_closed_form():
    target = torch.full((5, 4, 3), 0.5, dtype=torch.float64)
    assert mse(target + 0.1, target) == pytest.approx(0.01)
    assert psnr(target + 0.1, target) == pytest.approx(20.0)


def test_one_wrong_channel_counts_a_third_and_one_wrong_pixel_its_share():
    target = torch.zeros(10, 10, 3)
    pred = target.clone()
    pred[..., 1] = 0.3
    assert mse(pred, target) == pytest.approx(0.03, rel=1e-6)
    pred = target.clone()
    pred[4, 7] = 1.0
    assert psnr(pred, target) == pytest.approx(20.0)


def test_identical_pictures_have_the_highest_psnr_and_it_is_finite():
    assert psnr(picture(0), picture(0)) == MOST_PSNR
    assert psnr(picture(0).double() + 1e-6, picture(0).double()) == MOST_PSNR


def test_a_picture_that_is_no_number_has_no_score():
    assert math.isnan(psnr(picture(0) * float("nan"), picture(0)))


def slow_ssim(a: np.ndarray, b: np.ndarray) -> float:
    """Wang et al., Eq. 13, by a full two-dimensional window and the definition of (co)variance as a weighted sum."""
    at = np.arange(11) - 5.0
    window = np.exp(-(at[:, None] ** 2 + at**2) / (2 * 1.5**2))
    window /= window.sum()
    scores = []
    for c in range(3):
        for i in range(a.shape[0] - 10):
            for j in range(a.shape[1] - 10):
                x, y = a[i : i + 11, j : j + 11, c], b[i : i + 11, j : j + 11, c]
                mx, my = (window * x).sum(), (window * y).sum()
                vx, vy = (window * (x - mx) ** 2).sum(), (window * (y - my) ** 2).sum()
                cov = (window * (x - mx) * (y - my)).sum()
                top = (2 * mx * my + 1e-4) * (2 * cov + 9e-4)
                scores.append(top / ((mx**2 + my**2 + 1e-4) * (vx + vy + 9e-4)))
    return float(np.mean(scores))


def test_ssim_agrees_with_a_loop_over_windows():
    a, b = picture(1), 0.6 * picture(1) + 0.4 * picture(2)
    assert ssim(a, b) == pytest.approx(slow_ssim(a.double().numpy(), b.double().numpy()), abs=1e-12)


def test_ssim_agrees_with_filtering_and_cropping_the_border():
    """What scikit-image does: any border rule, since the border is cut off afterwards."""
    a, b = picture(3).double().numpy(), picture(4).double().numpy()
    at = np.exp(-0.5 * ((np.arange(11) - 5) / 1.5) ** 2)
    window = np.outer(at, at)[..., None] / at.sum() ** 2
    ma, mb, aa, bb, ab = (correlate(m, window, mode="reflect")[5:-5, 5:-5] for m in (a, b, a * a, b * b, a * b))
    scores = (2 * ma * mb + 1e-4) * (2 * (ab - ma * mb) + 9e-4)
    scores /= (ma**2 + mb**2 + 1e-4) * (aa - ma**2 + bb - mb**2 + 9e-4)
    assert ssim(picture(3), picture(4)) == pytest.approx(float(scores.mean()), abs=1e-12)


def test_ssim_of_flat_pictures_has_its_closed_form():
    a, b = (torch.full((11, 11, 3), value, dtype=torch.float64) for value in (0.2, 0.6))
    assert ssim(a, b) == pytest.approx((2 * 0.2 * 0.6 + 1e-4) / (0.2**2 + 0.6**2 + 1e-4), abs=1e-12)


def test_ssim_is_symmetric_one_for_equal_pictures_and_below_for_others():
    a, b = picture(5), picture(6)
    assert ssim(a, a) == pytest.approx(1.0, abs=1e-12)
    assert ssim(a, b) == pytest.approx(ssim(b, a), abs=1e-12) and ssim(a, b) < 0.5
    assert ssim(1 - a, a) < 0


def test_small_and_unequal_pictures_are_refused():
    with pytest.raises(ValueError, match="11x11 pixels, the pictures have 30x10"):
        ssim(picture(0, 10, 30), picture(1, 10, 30))
    for score in (mse, psnr, ssim):
        with pytest.raises(ValueError, match="one size"):
            score(picture(0, 0, 21), picture(0, 0, 21))
    with pytest.raises(ValueError, match="got 20x21 and 21x20"):
        _require_same(picture(0, 21, 20), picture(0, 20, 21))


# -- LPIPS, with random weights ---------------------------------------------------------------------------------------


def alexnet() -> tuple[nn.Sequential, list[int]]:
    """torchvision's AlexNet features as its documentation lists them, and where LPIPS looks."""
    layers = [
        nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(),
        nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(),
        nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(),
    ]  # fmt: skip
    return nn.Sequential(*layers), [1, 4, 7, 9, 11]


def vgg16() -> tuple[nn.Sequential, list[int]]:
    layers, channels = [], 3
    for width in (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512):
        layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()] if width else [nn.MaxPool2d(2, 2)]
        channels = width or channels
    return nn.Sequential(*layers), [3, 8, 15, 22, 29]


NETS = {"alex": alexnet, "vgg": vgg16}


def weights(net: str) -> tuple[dict[str, torch.Tensor], nn.Sequential, list[int]]:
    torch.manual_seed(0)
    features, looked_at = NETS[net]()
    state = {f"features.{key}": value for key, value in features.state_dict().items()}
    channels = [features[i - 1].out_channels for i in looked_at]
    state |= {f"lin{i}.model.1.weight": torch.rand(1, c, 1, 1) for i, c in enumerate(channels)}
    return state, features, looked_at


@pytest.mark.parametrize("net", sorted(NETS))
def test_lpips_agrees_with_a_plain_implementation(net, tmp_path):
    state, features, looked_at = weights(net)
    save_file(state | {"classifier.6.bias": torch.zeros(7)}, tmp_path / "w.safetensors")
    module = Lpips(tmp_path / "w.safetensors")
    a, b = picture(1, 40, 48), picture(2, 40, 48)
    assert module.net == net and not list(module.parameters())

    mean, deviation = np.array([-0.030, -0.088, -0.188]), np.array([0.458, 0.448, 0.450])
    maps = []
    for image in (a, b):
        x = torch.from_numpy(((image.numpy() * 2 - 1 - mean) / deviation).astype(np.float32)).permute(2, 0, 1)[None]
        outputs = []
        for layer in features:
            x = layer(x)
            outputs.append(x[0].detach().double().numpy())
        maps.append([outputs[i] for i in looked_at])
    expected = 0.0
    for i, (x, y) in enumerate(zip(*maps, strict=True)):
        x, y = (m / (np.linalg.norm(m, axis=0) + 1e-10) for m in (x, y))  # noqa: PLW2901
        head = state[f"lin{i}.model.1.weight"].double().numpy().reshape(-1, 1, 1)
        expected += (head * (x - y) ** 2).sum(axis=0).mean()
    assert module(a, b) == pytest.approx(expected, rel=1e-4)
    assert module(a, a) == 0.0 and module(a, b) == pytest.approx(module(b, a), rel=1e-5)


@pytest.mark.parametrize(("net", "least"), [("alex", 31), ("vgg", 16)])
def test_lpips_says_which_pictures_are_too_small(net, least, tmp_path):
    save_file(weights(net)[0], tmp_path / "w.safetensors")
    module = Lpips(tmp_path / "w.safetensors")
    module(picture(0, least, least), picture(1, least, least))
    with pytest.raises(ValueError, match=f"at least {least}x{least} pixels, the pictures have 50x{least - 1}"):
        module(picture(0, least - 1, 50), picture(1, least - 1, 50))


def test_weights_that_are_missing_misshapen_or_no_numbers_are_refused_by_name(tmp_path):
    path = tmp_path / "w.safetensors"
    with pytest.raises(FileNotFoundError, match="no file with LPIPS weights"):
        Lpips(path)
    path.write_bytes(b"not safetensors at all")
    with pytest.raises(ValueError, match="no safetensors file"):
        Lpips(path)
    state = weights("alex")[0]
    save_file({key: value for key, value in state.items() if not key.startswith("lin")}, path)
    with pytest.raises(ValueError, match=r"lacks lin0.model.1.weight.* and 1 more for LPIPS with alex"):
        Lpips(path)
    save_file(state | {"lin2.model.1.weight": torch.rand(1, 256, 1, 1)}, path)
    with pytest.raises(ValueError, match=r"lin2.model.1.weight must be \[1, 384, 1, 1\].*found \[1, 256, 1, 1\]"):
        Lpips(path)
    save_file(state | {"features.3.bias": torch.full((192,), float("nan"))}, path)
    with pytest.raises(ValueError, match="features.3.bias holds values that are no numbers"):
        Lpips(path)


def test_ssim_in_bands_is_the_mean_over_all_windows(monkeypatch):
    a, b = torch.rand(60, 30, 2), torch.rand(60, 30, 2)
    whole = ssim(a, b)
    monkeypatch.setattr(scores_of_pictures, "_BAND", 7 * 30)  # 7 rows
    assert ssim(a, b) == pytest.approx(whole, rel=1e-12)
