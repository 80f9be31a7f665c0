"""Signals from Python: a picture, a sound or a film in, a field that gives its values anywhere out."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import torch
from jaxtyping import Float32, Shaped
from PIL import Image
from torch import Tensor

from recon import runtime
from recon.api.begin import pass_on, place_for, tell_end
from recon.api.inputs import SignalLike, as_points, as_signal, check_steps, named_field, one_of, refuse_both
from recon.api.places import cache_folder
from recon.api.result import Result, Trained
from recon.api.state import asking, fitting
from recon.api.voice import voice
from recon.fields import Field, FieldConfig
from recon.signals.signal import AXES, KINDS, Kind, Signal
from recon.tasks.bench import Bench
from recon.tasks.signal import run as signals
from recon.tasks.signal.fitted import Fitted
from recon.tasks.signal.run import Plan
from recon.tasks.signal.settings import DEFAULT_FIELD, PRESETS, Preset, SignalSettings
from recon.tasks.signal.settings import preset as settings_of
from recon.training.run import Run

Points = TypeVar("Points", np.ndarray, Tensor)
MOST_VALUES = 2**29
"""Of a grid that is asked for, channels counted: a slip of a size would fill the memory."""


def fit_signal(
    signal: SignalLike,
    field: str | FieldConfig | None = None,
    *,
    kind: Kind | None = None,
    rate: int | float | None = None,
    frames: int | None = None,
    steps: int | None = None,
    preset: Preset | None = None,
    settings: SignalSettings | None = None,
    seed: int | None = None,
    out: str | os.PathLike[str] | None = None,
    device: runtime.DeviceName = "auto",
    precision: runtime.PrecisionName = "auto",
    threads: int = 0,
    malloc: runtime.MallocName = "auto",
    quiet: bool = False,
) -> SignalResult:
    """Learn a picture, a sound or a film, as `recon fit` does.

    Interruptions, the caller's settings of torch, and threads: see `fit_shape`.

    Args:
        signal: A file (PNG, JPEG, TIFF, EXR, HDR, BMP, WebP; WAV, FLAC, OGG; a film that ffmpeg reads), a folder of
            frames, a known name (in `datasets/` or RECON_DATA), a picture of Pillow's, a Signal from
            recon.signals.read.read_signal, or with `kind` a numpy array or a torch tensor: an image [h, w] or
            [h, w, c], a sound [n] or [n, c], a video [t, h, w, c]; at most 4 channels, 8 of a sound. Numbers of images
            and videos are uint8, uint16, or floats from 0 to 1 (or above: to their maximum); those of sounds are
            floats. An array is copied, and its channels stay the last axis of all results, also where it had no such
            axis.
        field: A name of recon.FIELDS, or settings such as SirenConfig(width=128). Default "hash-grid".
        kind: Of an array: "image", "sound" or "video".
        rate: Of an array: samples of a sound, or frames of a video, a second.
        frames: Of a film in a file: the first so many.
        steps: Optimiser steps; every stage and schedule of the preset is stretched to them.
        preset: Complete settings by name: "quick" (the default without a GPU), "best" (with one), "paper" (for asmr,
            neural-experts and siren).
        settings: Complete settings in place of field and preset: see recon.signal_settings.
        seed: Of weights and batches; default 0, or that of the settings. On a CPU equal seeds give equal results.
        out: Folder of the run, new or empty: it is kept, with the reconstruction, pictures, scores and report. Without
            it nothing is kept but what `save` keeps.
        device: "cpu", "cuda", or "auto" for CUDA where there is one.
        precision: How products of float32 are computed inside while training: "float32", "bf16-inside", or "auto".
        threads: Of a CPU, during the fit; 0 for torch's choice.
        malloc: "auto" lets glibc keep freed blocks for the next step; that lasts after the fit. "default" does not.
        quiet: No progress; warnings are Python's either way.

    Raises:
        ValueError: The input or a setting can't be used; the message says what was wanted and found.
        FileNotFoundError: There is no such file or name.
    """
    with fitting(), place_for(out) as (folder, temporary):
        loaded = as_signal(signal, kind=kind, rate=rate, frames=frames)
        plan = _plan(loaded.kind, field, preset=preset, steps=steps, settings=settings, seed=seed)
        say = voice(quiet)
        run_on = runtime.start(device, precision, plan.settings.train.seed, threads, malloc)
        plan, total = replace(plan, precision=run_on.precision, threads=threads), plan.settings.train.steps
        what = f"{loaded.name} ({loaded.kind} of {' x '.join(map(str, loaded.shape))})"
        say(f"{what} with {plan.field_name}, preset {plan.preset}, {total:,} steps, {run_on.line()}")
        for note in loaded.notes:
            say(f"{loaded.name}: {note}")
        bench = Bench(run_on, cache_folder(), say, quiet)
        run = signals.start(plan, loaded, bench, folder, latest=False)
        fitted, outcome = signals.fit(plan, loaded, run, bench)
        tell_end(outcome, total, bench)
        result = SignalResult(plan, fitted, Trained(run, bench, outcome, temporary))
        if temporary is None:
            result.report()
    pass_on(outcome)
    return result


def signal_settings(
    field: str | FieldConfig | None = None, *, preset: Preset | None = None, kind: Kind = "image"
) -> SignalSettings:
    """Complete settings of a fit of a signal of some kind, to be changed by dataclasses.replace and given to
    `fit_signal`.

    Arguments are those of `fit_signal`."""
    one_of("kind", kind, KINDS)
    chosen: Preset = preset or _usual_preset()
    one_of("preset", chosen, PRESETS)
    found = settings_of(kind, chosen, named_field(field or DEFAULT_FIELD[kind]))
    return replace(found, field=field) if isinstance(field, FieldConfig) else found


def _usual_preset() -> Preset:
    return "best" if runtime.has_gpu() else "quick"


def _plan(
    kind: Kind,
    field: str | FieldConfig | None,
    *,
    preset: Preset | None,
    steps: int | None,
    settings: SignalSettings | None,
    seed: int | None,
) -> Plan:
    refuse_both(settings, field=field, preset=preset)
    check_steps(steps)
    found = settings or signal_settings(field, preset=preset, kind=kind)
    if seed is not None:
        found = replace(found, train=replace(found.train, seed=seed))
    found = found.with_steps(steps) if steps else found
    return Plan(kind, named_field(found.field), preset or _usual_preset(), found)


class SignalResult(Result):
    """A learned picture, sound or film. Axes are those of the input: (row, column), (sample,), (frame, row, column),
    each from its first value to its last; channels are one more axis at the end, also where there is a single one."""

    def __init__(self, plan: Plan, fitted: Fitted, trained: Trained) -> None:
        self._plan, self._fitted = plan, fitted
        super().__init__(trained)

    @property
    def settings(self) -> SignalSettings:
        """What decided the result; may be changed by dataclasses.replace and given to the next fit."""
        return self._plan.settings

    @property
    def field(self) -> Field:
        """The network: points of the cube [-1, 1]^d in, values out, which reach from -1 to 1."""
        return self._fitted.field

    @property
    def signal(self) -> Signal:
        """What was learned: its kind, rate, and true values, as they are stored."""
        return self._fitted.signal

    def values(self, shape: Sequence[int] | None = None) -> Shaped[np.ndarray, "*shape c"]:
        """Learned values on the signal's grid, or on another over the same extent, as the input has them: uint8 and
        uint16 rounded, floats as float32.

        Args:
            shape: Sizes of the grid, without channels: [h, w], [n] or [t, h, w]. A finer one shows what the field does
                between the values that it learned, which is smooth for some fields only; a coarser one takes single
                points, and does not average.

        Raises:
            ValueError: The shape has other axes than the signal, or is too large.
        """
        return self.signal.denormalised(self.normalised(shape))

    def normalised(self, shape: Sequence[int] | None = None) -> Float32[np.ndarray, "*shape c"]:
        """The same in [0, 1], of sounds in [-1, 1], not rounded: what scores compare (`signal.normalised()` is the
        truth)."""
        grid = self.signal.shape if shape is None else self._checked(shape)
        with asking():
            return self._fitted.values(grid)

    def at(self, points: Points) -> Points:
        """Learned values [..., c] at points [..., d] of the cube [-1, 1]^d, in the numbers of the input, not rounded.

        The axes are those of the grid, in its order: (row, column) of pictures, from the top left; (time,) of sounds;
        (frame, row, column) of films. -1 and 1 are the outer edges of the first and the last value; value i of n has
        its middle at (2 i + 1) / n - 1, and there this is what `values` has, before it is rounded. Beyond the cube
        nothing was learned.

        Arrays give arrays, tensors give tensors of the same device; floats keep their kind, and a tensor that requires
        gradients passes them on, but where values are clipped to what the input's numbers can be. ValueError where
        points have another number of coordinates."""
        given = as_points(points, len(self.signal.shape))
        follow = given.requires_grad and torch.is_grad_enabled()
        with asking(), torch.set_grad_enabled(follow):
            flat = (given if follow else given.detach()).reshape(-1, given.shape[-1]).float()
            found: Any = self._fitted.at(flat).to(given.device) * self.signal.scale
            found = found.reshape(*given.shape[:-1], self.signal.channels)
            found = found.to(given.dtype if given.is_floating_point() else torch.float32)
        return found if isinstance(points, Tensor) else found.numpy()

    def image(self, size: tuple[int, int] | None = None) -> Image.Image:
        """A learned picture as one of Pillow's, of 8 bits a channel, in width x height pixels (default its own).

        White is the largest value of whole numbers; of floats 1, or their maximum where that is above. ValueError for
        sounds and films."""
        if self.signal.kind != "image":
            raise ValueError(f"this is a {self.signal.kind}, not an image: see values")
        values = self.normalised(None if size is None else size[::-1])
        pixels = np.rint(np.nan_to_num(values) * 255).astype(np.uint8)
        return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)

    def _checked(self, shape: Sequence[int]) -> tuple[int, ...]:
        """The sizes of a grid that was asked for."""
        own, axes = self.signal, AXES[self.signal.kind].removesuffix(" c")
        found = tuple(shape)
        if len(found) != len(own.shape) or not all(isinstance(n, int | np.integer) and n > 0 for n in found):
            raise ValueError(f"a grid of this {own.kind} has the sizes [{axes}], whole numbers above 0; got {found}")
        if math.prod(map(int, found)) * own.channels > MOST_VALUES:
            raise ValueError(f"a grid of {found} has more than {MOST_VALUES:,} values; ask for parts of it by `at`")
        return tuple(map(int, found))

    def _view(self, run: Run) -> None:
        """Pictures, curves and films have their place in the report as they are."""

    def _evaluate(self) -> dict[str, Any]:
        return signals.evaluate(self._plan, self._fitted, self._run, self._bench)

    def _finish(self, run: Run) -> dict[str, Any]:
        return signals.finish(self._plan, self._fitted, self._outcome, run, self._bench)

    def _module(self) -> Field:
        return self._fitted.field
