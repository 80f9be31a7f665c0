"""Pictures for people, sRGB uint8 [h, w, 3]: errors and experts on a surface, slices, contact sheets, PNG files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import imageio.v3 as iio
import matplotlib
import numpy as np
from jaxtyping import Float, Float32, Int, UInt8
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFont

from recon.files import replacing
from recon.geometry import DOMAIN, Mesh
from recon.rendering.shading import Side, see, shade, shade_mesh, trace_field

__all__ = [
    "categorical_colors",
    "contact_sheet",
    "diverging_colors",
    "error_picture",
    "label_picture",
    "see",
    "shade",
    "shade_mesh",
    "slice_points",
    "slices_picture",
    "trace_field",
    "write_png",
]

_INK = (60, 60, 60)
# Okabe and Ito's colours, told apart with any kind of colour vision; softened black and grey come last.
_OKABE_ITO = ("E69F00", "56B4E9", "009E73", "F0E442", "0072B2", "D55E00", "CC79A7", "4D4D4D", "BBBBBB")
MOST_COLOURS = 20
"""Labels from which on colours repeat."""


def diverging_colors(values: Float[np.ndarray, " v"], limit: float) -> UInt8[np.ndarray, "v 3"]:
    """Blue at -limit, nearly white at 0, red at +limit; grey where a value is not finite."""
    if not limit > 0:
        raise ValueError(f"limit, the value of the last colour, must be positive, got {limit}")
    finite = np.isfinite(values)
    at = np.where(finite, np.clip(values / limit, -1, 1), 0.0) / 2 + 0.5
    colors = matplotlib.colormaps["RdBu_r"](at, bytes=True)[:, :3].copy()
    colors[~finite] = 128
    return colors


def categorical_colors(labels: Int[np.ndarray, " v"], count: int) -> UInt8[np.ndarray, "v 3"]:
    """One colour for each label below `count`; up to nine are easy to tell apart, then matplotlib's tab20 follows."""
    palette = [tuple(bytes.fromhex(code)) for code in _OKABE_ITO]
    if count > len(palette):
        tab20 = matplotlib.colormaps["tab20"](np.arange(count) % 20, bytes=True)[:, :3]
        palette = [tuple(row) for row in tab20.tolist()]
    if len(labels) and not 0 <= labels.min() <= labels.max() < count:
        raise ValueError(f"labels must lie in 0 .. {count - 1}, got {labels.min()} .. {labels.max()}")
    return np.array(palette, np.uint8)[labels]


def error_picture(
    mesh: Mesh, sides: Mapping[str, Side], signed_error: Float[np.ndarray, " v"], limit: float, columns: int = 3
) -> UInt8[np.ndarray, "_ _ 3"]:
    """The surface from named sides, coloured by its signed error at each vertex: red lies outside the true solid."""
    colors = diverging_colors(signed_error, limit)
    sheet = contact_sheet([shade(mesh, side, colors) for side in sides.values()], columns, list(sides))
    return _beside(sheet, _colour_bar(limit, next(iter(sides.values())).size))


def label_picture(
    mesh: Mesh, sides: Mapping[str, Side], labels: Int[np.ndarray, " v"], count: int, columns: int = 3
) -> UInt8[np.ndarray, "_ _ 3"]:
    """The surface from named sides, coloured by a label at each vertex, such as the expert that serves it; with a
    legend, where colours tell the labels apart."""
    colors = categorical_colors(labels, count)
    sheet = contact_sheet([shade(mesh, side, colors, blend=False) for side in sides.values()], columns, list(sides))
    legend = count <= MOST_COLOURS
    return _beside(sheet, _legend(labels, count, next(iter(sides.values())).size)) if legend else sheet


def contact_sheet(
    images: Sequence[UInt8[np.ndarray, "_ _ 3"]], columns: int, labels: Sequence[str] | None = None
) -> UInt8[np.ndarray, "_ _ 3"]:
    """Pictures row by row on white, each centred in a cell of the largest one's size, with a line of text below."""
    if not images or columns < 1:
        raise ValueError(f"a contact sheet needs pictures and at least one column, got {len(images)} and {columns}")
    if labels is not None and len(labels) != len(images):
        raise ValueError(f"{len(images)} pictures need as many labels, got {len(labels)}")
    columns = min(columns, len(images))
    height, width = (max(image.shape[axis] for image in images) for axis in (0, 1))
    text = max(12, height // 22)
    strip = 2 * text if labels else 0
    sheet = Image.new("RGB", (columns * width, -(-len(images) // columns) * (height + strip)), "white")
    draw, font = ImageDraw.Draw(sheet), _font(text)
    for i, image in enumerate(images):
        x, y = i % columns * width, i // columns * (height + strip)
        sheet.paste(Image.fromarray(image), (x + (width - image.shape[1]) // 2, y + (height - image.shape[0]) // 2))
        if labels:
            draw.text((x + width // 2, y + height + text // 4), labels[i], _INK, font, anchor="ma")
    return np.array(sheet)


def _beside(sheet: UInt8[np.ndarray, "_ _ 3"], strip: UInt8[np.ndarray, "_ _ 3"]) -> UInt8[np.ndarray, "_ _ 3"]:
    """A strip that explains a sheet, at half its height."""
    room = np.full((sheet.shape[0], strip.shape[1], 3), 255, np.uint8)
    top = (len(room) - len(strip)) // 2
    room[top : top + len(strip)] = strip
    return np.concatenate([sheet, room], axis=1)


def slice_points(resolution: int, half: float = DOMAIN, offset: float = 0.0) -> Float32[np.ndarray, "3 n n 3"]:
    """Points of three slices, at x, y and z = offset, for `slices_picture`: rows go up, columns to the right."""
    along = np.linspace(-half, half, resolution)
    right, up = np.meshgrid(along, along)
    fixed = np.full_like(right, offset)
    planes = [(fixed, right, up), (right, fixed, up), (right, up, fixed)]
    return np.stack([np.stack(plane, axis=-1) for plane in planes]).astype(np.float32)


def slices_picture(
    predicted: Float[np.ndarray, "3 n n"],
    true: Float[np.ndarray, "3 n n"] | None = None,
    half: float = DOMAIN,
    offset: float = 0.0,
    *,
    dpi: int = 110,
    meaning: str = "signed distance (negative inside)",
) -> UInt8[np.ndarray, "_ _ 3"]:
    """Signed distance at `slice_points`, predicted above true: contours every 0.1, the surface as a bold line."""
    rows = [("predicted", predicted)] + ([("true", true)] if true is not None else [])
    # Far from the surface colours do not matter; near it they should be told apart.
    limit = min(0.8, max(0.1, float(np.nanmax(np.abs(rows[-1][1])))))
    figure = Figure(figsize=(9.6, 3.1 * len(rows) + 0.2), dpi=dpi, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.subplots(len(rows), 3, squeeze=False)
    along = np.linspace(-half, half, predicted.shape[1])
    drawn = []
    for (name, values), line in zip(rows, axes, strict=True):
        for plane, axis in enumerate(line):
            drawn.append(_draw_slice(axis, along, values[plane], limit))
            across, up = [c for i, c in enumerate("xyz") if i != plane]
            axis.set_title(f"{name}, {'xyz'[plane]} = {offset:g}", fontsize=9, color="#333333")
            axis.set_xlabel(across, fontsize=8, labelpad=1)
            axis.set_ylabel(up, fontsize=8, labelpad=1, rotation=0)
    bar = figure.colorbar(drawn[0], ax=axes, shrink=0.85, pad=0.015, aspect=30, extend="both")
    bar.set_label(meaning, fontsize=8)
    bar.ax.tick_params(labelsize=7)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def write_png(path: str | Path, image: UInt8[np.ndarray, "_ _ 3"]) -> None:
    """Writes a picture whole or not at all."""
    with replacing(Path(path)) as temporary:
        temporary.write_bytes(iio.imwrite("<bytes>", image, extension=".png"))


def _draw_slice(axis, along: Float[np.ndarray, " n"], values: Float[np.ndarray, "n n"], limit: float):
    """One slice with its contours; returns what the colour bar explains."""
    edge = (along[1] - along[0]) / 2  # values belong to the middles of imshow's pixels
    ends = (along[0] - edge, along[-1] + edge)
    shown = axis.imshow(
        values,
        extent=ends * 2,
        origin="lower",
        interpolation="bilinear",
        cmap="RdBu_r",
        vmin=-limit,
        vmax=limit,
        alpha=0.85,
    )
    low, high = np.nanmin(values), np.nanmax(values)
    levels = [x for x in np.arange(-30, 31) / 10 if low < x < high and x != 0]
    if levels:
        axis.contour(along, along, values, levels=levels, colors="#333333", linewidths=0.35, linestyles="solid")
    if low < 0 < high:
        axis.contour(along, along, values, levels=[0], colors="black", linewidths=1.6)
    axis.set(xlim=(along[0], along[-1]), ylim=(along[0], along[-1]))
    axis.set_xticks([-1, 0, 1])
    axis.set_yticks([-1, 0, 1])
    axis.tick_params(labelsize=7, length=2)
    for spine in axis.spines.values():
        spine.set_color("#999999")
    return shown


def _colour_bar(limit: float, height: int) -> UInt8[np.ndarray, "height w 3"]:
    """A strip that explains `diverging_colors`."""
    text = max(11, height // 32)
    width, top, bottom = 7 * text, 3 * text, height - 3 * text
    bar = np.full((height, width, 3), 255, np.uint8)
    left, right = text // 2, text // 2 + text
    bar[top:bottom, left:right] = diverging_colors(np.linspace(limit, -limit, bottom - top), limit)[:, None]
    image = Image.fromarray(bar)
    draw, font = ImageDraw.Draw(image), _font(text)
    for value, y in ((limit, top), (0.0, (top + bottom) // 2), (-limit, bottom)):
        draw.text((right + text // 2, y), f"{value:+.2g}" if value else "0", _INK, font, anchor="lm")
    draw.text((left, top - text), "outside", _INK, font, anchor="ls")
    draw.text((left, bottom + text), "inside", _INK, font, anchor="lt")
    return np.array(image)


def _legend(labels: Int[np.ndarray, " v"], count: int, height: int) -> UInt8[np.ndarray, "height w 3"]:
    """A strip that explains `categorical_colors`, with the share of vertices that has each label."""
    text = max(8, min(height // 32, int(height / (1.7 * count + 2))))
    image = Image.new("RGB", (7 * text, height), "white")
    draw, font = ImageDraw.Draw(image), _font(text)
    share = np.bincount(labels, minlength=count) / max(len(labels), 1)
    line = int(1.7 * text)
    y = (height - line * count) // 2
    for label, color in enumerate(categorical_colors(np.arange(count), count).tolist()):
        draw.rectangle((text // 2, y, text // 2 + text, y + text), fill=tuple(color))
        draw.text((2 * text, y + text // 2), f"{label}: {share[label]:.0%}", _INK, font, anchor="lm")
        y += line
    return np.array(image)


def _font(size: int) -> ImageFont.FreeTypeFont:
    """The font that comes with matplotlib."""
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"), size)
