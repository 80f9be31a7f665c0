"""Scores of a picture against the true one; pictures are [h, w, 3] with values in [0, 1], whole and unmasked."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.nn import functional

MOST_PSNR = 100.0
"""The PSNR of identical pictures, and of all that differ less: means over views and JSON have no use for infinity."""

DEFINITIONS: dict[str, str] = {
    "mse": "mean of (predicted - true)^2 over all pixels and channels of the whole picture, values in [0, 1]",
    "psnr": f"-10 log10(mse) of the whole picture, in dB; at most {MOST_PSNR:g}, which identical pictures have",
    "ssim": "structural similarity (Wang et al. 2004): Gaussian window of 11x11 pixels with sigma 1.5, K1 0.01,"
    " K2 0.03, data range 1, mean over the windows that lie within the picture (no padding) and over R, G and B",
    "lpips": "learned perceptual distance (Zhang et al. 2018), version 0.1 with the weights given; lower is better",
}
"""What each score means, by its name."""

_BAND = 1 << 17
"""Windows that are compared at a time, about: with so few, all that is computed stays in a processor's cache."""
_WINDOW, _SIGMA, _C1, _C2 = 11, 1.5, 0.01**2, 0.03**2


def mse(pred: Float[Tensor, "h w 3"], target: Float[Tensor, "h w 3"]) -> float:
    """Mean squared error, as DEFINITIONS says."""
    _require_same(pred, target)
    return float((pred.double() - target.double()).square().mean())


def psnr(pred: Float[Tensor, "h w 3"], target: Float[Tensor, "h w 3"]) -> float:
    """Peak signal-to-noise ratio in dB, as DEFINITIONS says."""
    error = mse(pred, target)
    return -10 * math.log10(error) if not error <= 10 ** (-MOST_PSNR / 10) else MOST_PSNR


def ssim(pred: Float[Tensor, "h w c"], target: Float[Tensor, "h w c"]) -> float:
    """Structural similarity, as DEFINITIONS says; ValueError for pictures smaller than its window.

    The same as scikit-image's with gaussian_weights and use_sample_covariance=False, and as JaxNeRF's; programs that
    pad the picture with zeros (3D Gaussian splatting's) give other values.
    """
    _require_same(pred, target)
    if min(pred.shape[:2]) < _WINDOW:
        raise ValueError(
            f"ssim compares windows of {_WINDOW}x{_WINDOW} pixels, the pictures have {_size(pred)}; "
            "evaluate larger pictures (a smaller --downscale)"
        )
    return sum(ssim_share(pred[rows], target[rows], pred.shape) for rows in window_bands(pred.shape))


def window_bands(shape: Sequence[int]) -> Iterator[slice]:
    """Rows of a picture [h w c] in parts: the windows within the parts are those of the picture, each once."""
    windows = shape[0] - _WINDOW + 1
    step = max(1, _BAND // shape[1])
    return (slice(first, min(first + step, windows) + _WINDOW - 1) for first in range(0, windows, step))


def ssim_share(pred: Float[Tensor, "h w c"], target: Float[Tensor, "h w c"], shape: Sequence[int]) -> float:
    """What some rows add to the similarity of a picture of this shape."""
    total = sum(float(_ssim_map(pred[..., c], target[..., c]).sum()) for c in range(shape[2]))
    return total / ((shape[0] - _WINDOW + 1) * (shape[1] - _WINDOW + 1) * shape[2])


def _ssim_map(x: Float[Tensor, "h w"], y: Float[Tensor, "h w"]) -> Float[Tensor, "a b"]:
    x, y = x.double(), y.double()
    mx, my, squares, xy = _blur(torch.stack([x, y, x * x + y * y, x * y]))
    means = mx * mx + my * my
    luminance = (2 * mx * my + _C1) / (means + _C1)
    structure = (2 * (xy - mx * my) + _C2) / (squares - means + _C2)
    return luminance * structure


def _blur(maps: Float[Tensor, "n h w"]) -> Float[Tensor, "n a b"]:
    """Gaussian mean over each window within the picture."""
    weight = [math.exp(-0.5 * ((at - _WINDOW // 2) / _SIGMA) ** 2) for at in range(_WINDOW)]
    for axis in (1, 2):
        # Sums of shifted maps: torch's convolution of doubles took 20 times as long (2.6 s instead of 0.13 s for 5 maps
        # of 266 x 8192 on one core).
        size, total = maps.shape[axis] - _WINDOW + 1, sum(weight)
        blurred = maps.narrow(axis, 0, size) * (weight[0] / total)
        for at in range(1, _WINDOW):
            blurred.add_(maps.narrow(axis, at, size), alpha=weight[at] / total)
        maps = blurred
    return maps


# -- LPIPS ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Convolution:
    """A convolution, then a ReLU: `features.INDEX.weight` [out, in, kernel, kernel] and `features.INDEX.bias` [out]."""

    index: int
    channels: tuple[int, int]
    kernel: int
    stride: int = 1
    pool: int = 0
    """Window of the max-pooling by 2 that comes before it; 0 for none."""
    compared: bool = False
    """Whether a head compares what the ReLU gives."""


def _vgg(index: int, channels: tuple[int, int], pool: int = 0, compared: bool = False) -> _Convolution:
    return _Convolution(index, channels, 3, pool=pool, compared=compared)


_BACKBONES: dict[Literal["alex", "vgg"], tuple[_Convolution, ...]] = {
    "alex": (
        _Convolution(0, (3, 64), 11, stride=4, compared=True),
        _Convolution(3, (64, 192), 5, pool=3, compared=True),
        _Convolution(6, (192, 384), 3, pool=3, compared=True),
        _Convolution(8, (384, 256), 3, compared=True),
        _Convolution(10, (256, 256), 3, compared=True),
    ),
    "vgg": (
        _vgg(0, (3, 64)),
        _vgg(2, (64, 64), compared=True),
        _vgg(5, (64, 128), pool=2),
        _vgg(7, (128, 128), compared=True),
        _vgg(10, (128, 256), pool=2),
        _vgg(12, (256, 256)),
        _vgg(14, (256, 256), compared=True),
        _vgg(17, (256, 512), pool=2),
        _vgg(19, (512, 512)),
        _vgg(21, (512, 512), compared=True),
        _vgg(24, (512, 512), pool=2),
        _vgg(26, (512, 512)),
        _vgg(28, (512, 512), compared=True),
    ),
}
_SMALLEST = {"alex": 31, "vgg": 16}  # pixels a side from which the last pooling has something to pool


class Lpips(nn.Module):
    """Learned perceptual distance with AlexNet or VGG16, as `net` says, from one safetensors file.

    The file holds torchvision's names for the backbone, `features.0.weight`, `features.0.bias` and so on, and those of
    the LPIPS authors for the heads, `lin0.model.1.weight` to `lin4.model.1.weight`, each [1, channels, 1, 1]. Its
    convolutions tell which of the two networks it is; other tensors (a classifier) are not read.
    """

    shift: Tensor
    scale: Tensor
    net: Literal["alex", "vgg"]

    def __init__(self, file: str | Path):
        super().__init__()
        self.net, tensors = _read_weights(Path(file))
        for key, value in tensors.items():
            self.register_buffer(_buffer(key), value)
        # The authors' constants: mean and deviation of ImageNet's colours, for values in [-1, 1].
        self.register_buffer("shift", torch.tensor([-0.030, -0.088, -0.188]))
        self.register_buffer("scale", torch.tensor([0.458, 0.448, 0.450]))

    @torch.no_grad()
    def forward(self, pred: Float[Tensor, "h w 3"], target: Float[Tensor, "h w 3"]) -> float:
        """The distance, 0 for identical pictures; ValueError for pictures too small for the network."""
        _require_same(pred, target)
        if min(pred.shape[:2]) < _SMALLEST[self.net]:
            least = _SMALLEST[self.net]
            raise ValueError(
                f"lpips ({self.net}) needs at least {least}x{least} pixels, the pictures have {_size(pred)}"
            )
        x = (torch.stack([pred, target]).to(self.shift) * 2 - 1 - self.shift) / self.scale
        x, head, total = x.permute(0, 3, 1, 2), 0, 0.0
        for layer in _BACKBONES[self.net]:
            if layer.pool:
                x = functional.max_pool2d(x, layer.pool, stride=2)
            weight, bias = (self.get_buffer(_buffer(f"features.{layer.index}.{part}")) for part in ("weight", "bias"))
            padding = 2 if layer.kernel == 11 else layer.kernel // 2
            x = functional.conv2d(x, weight, bias, layer.stride, padding).relu()
            if layer.compared:
                unit = x / (x.square().sum(dim=1, keepdim=True).sqrt() + 1e-10)
                apart = (unit[:1] - unit[1:]).square()
                total += float(functional.conv2d(apart, self.get_buffer(_buffer(_head(head)))).mean())
                head += 1
        return total


def _head(number: int) -> str:
    return f"lin{number}.model.1.weight"


def _buffer(key: str) -> str:
    return key.replace(".", "_")


def _shapes(net: Literal["alex", "vgg"]) -> dict[str, list[int]]:
    """Every tensor that the file of a network must hold."""
    found: dict[str, list[int]] = {}
    for layer in _BACKBONES[net]:
        found[f"features.{layer.index}.weight"] = [*layer.channels[::-1], layer.kernel, layer.kernel]
        found[f"features.{layer.index}.bias"] = [layer.channels[1]]
    compared = [layer for layer in _BACKBONES[net] if layer.compared]
    return found | {_head(i): [1, layer.channels[1], 1, 1] for i, layer in enumerate(compared)}


def _read_weights(file: Path) -> tuple[Literal["alex", "vgg"], dict[str, Tensor]]:
    """Which network a file holds, and its tensors in single precision; names and shapes are judged before reading."""
    if not file.is_file():
        raise FileNotFoundError(f"no file with LPIPS weights at {file}; the README says how to make one")
    try:
        with safe_open(file, framework="pt") as opened:
            there = {key: list(opened.get_slice(key).get_shape()) for key in opened.keys()}
            # VGG16's second convolution is number 2, where AlexNet has its pooling.
            net: Literal["alex", "vgg"] = "vgg" if "features.2.weight" in there else "alex"
            _check_shapes(file, net, there)
            tensors = {key: opened.get_tensor(key).float() for key in _shapes(net)}
    except SafetensorError as error:
        raise ValueError(f"{file} is no safetensors file ({error}); LPIPS weights are converted to one first") from None
    for key, value in tensors.items():
        if not value.isfinite().all():
            raise ValueError(f"{file}: {key} holds values that are no numbers; convert the weights again")
    return net, tensors


def _check_shapes(file: Path, net: str, there: dict[str, list[int]]) -> None:
    wanted = _shapes("vgg" if net == "vgg" else "alex")
    if missing := [key for key in wanted if key not in there]:
        some = ", ".join(missing[:4]) + (f" and {len(missing) - 4} more" if len(missing) > 4 else "")
        found = ", ".join(sorted(there)[:4]) or "nothing"
        raise ValueError(
            f"{file} lacks {some} for LPIPS with {net}; it holds {found}{' ...' * (len(there) > 4)}. "
            "One file must hold backbone and heads; the README says how to make it"
        )
    for key, shape in wanted.items():
        if there[key] != shape:
            raise ValueError(f"{file}: {key} must be {shape} for LPIPS with {net}, found {there[key]}")


def _require_same(pred: Tensor, target: Tensor) -> None:
    if pred.shape != target.shape or not pred.numel():
        raise ValueError(f"pictures of one size are compared, got {_size(pred)} and {_size(target)}")


def _size(image: Tensor) -> str:
    return f"{image.shape[1]}x{image.shape[0]}"
