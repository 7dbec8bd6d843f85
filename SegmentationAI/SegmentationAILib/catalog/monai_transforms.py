"""The transforms of MONAI that bundles prepare an image with, as steps of this engine.

The image is held as MONAI holds it, [i, j, k] of the voxel grid, so that a network reads its axes in the order
that it was trained on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch

from SegmentationAILib.catalog.monai_config import Config
from SegmentationAILib.catalog.monai_grids import positions, spaced
from SegmentationAILib.errors import InputError
from SegmentationAILib.preprocess import along_axis
from SegmentationAILib.volume import Grid

# They load, name, type or write, which is done here in other ways, and leave the voxel values as they are.
_WITHOUT_EFFECT = ("LoadImaged", "EnsureTyped", "EnsureChannelFirstd", "AddChanneld", "ToTensord", "CastToTyped")


@dataclass(frozen=True, eq=False)
class Image:
    """Voxels [i, j, k], float32, and the grid that they lie on."""

    values: torch.Tensor
    grid: Grid


class Step(Protocol):
    """One transform."""

    def __call__(self, image: Image) -> Image: ...


@dataclass(frozen=True)
class Orient:
    """``Orientationd``: axes permuted and flipped towards three directions, such as "RAS"."""

    toward: str

    def __call__(self, image: Image) -> Image:
        grid = image.grid.canonical(self.toward)
        pairs = np.round(image.grid.directions.T @ grid.directions).astype(int)
        order = [int(np.flatnonzero(column)[0]) for column in pairs.T]
        flipped = [axis for axis, source in enumerate(order) if pairs[source, axis] < 0]
        return Image(image.values.permute(order).flip(flipped), grid)


@dataclass(frozen=True)
class Space:
    """``Spacingd``: linear interpolation at voxels of another size, mm along (i, j, k)."""

    pixdim: tuple[float, float, float]

    def __call__(self, image: Image) -> Image:
        grid = spaced(image.grid, self.pixdim)
        values = image.values
        for axis, position in enumerate(positions(image.grid, grid)):
            values = along_axis(values, axis, position, 1.0)
        return Image(values.to(torch.float32), grid)


@dataclass(frozen=True)
class Normalize:
    """``NormalizeIntensityd``: zero mean and unit deviation, of the voxels that are not 0 if so."""

    nonzero: bool = False

    def __call__(self, image: Image) -> Image:
        values = image.values.to(torch.float32)
        seen = values != 0 if self.nonzero else torch.ones_like(values, dtype=torch.bool)
        some = values[seen]
        if not len(some):
            return replace(image, values=values)
        deviation = float(some.std(correction=0)) or 1.0
        return replace(image, values=torch.where(seen, (values - some.mean()) / deviation, values))


@dataclass(frozen=True)
class Stretch:
    """``ScaleIntensityd``: lowest and highest value to two given ones."""

    minv: float = 0.0
    maxv: float = 1.0

    def __call__(self, image: Image) -> Image:
        values = image.values.to(torch.float32)
        low, high = values.min(), values.max()
        if low == high:
            return replace(image, values=values * self.minv)
        return replace(image, values=(values - low) / (high - low) * (self.maxv - self.minv) + self.minv)


@dataclass(frozen=True)
class Map:
    """``ScaleIntensityRanged``: the range a to the range b, cut off at its ends if so."""

    a_min: float
    a_max: float
    b_min: float
    b_max: float
    clip: bool = False

    def __call__(self, image: Image) -> Image:
        values = (image.values.to(torch.float32) - self.a_min) / (self.a_max - self.a_min)
        values = values * (self.b_max - self.b_min) + self.b_min
        return replace(image, values=values.clamp(self.b_min, self.b_max) if self.clip else values)


def steps_of(config: Config, place: str = "preprocessing") -> list[Step]:
    """The steps of a configuration.

    Raises:
        InputError: a transform, or a way to use it, is not among those above.
    """
    steps = []
    for name, arguments in transforms_of(config, place):
        if name in _WITHOUT_EFFECT:
            continue
        if name not in _READERS:
            raise InputError(
                f"The bundle prepares its image with {name}, which cannot be run here; those that can are: "
                f"{', '.join(sorted(_READERS))}."
            )
        try:
            steps.append(_READERS[name](arguments))
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"The bundle uses {name} in a way that cannot be run here ({error}).") from error
        if arguments:
            raise InputError(f"The bundle uses {name} with {', '.join(arguments)}, which cannot be run here.")
    return steps


def transforms_of(config: Config, place: str) -> list[tuple[str, dict[str, Any]]]:
    """Names and plain arguments, without "keys", of the transforms that a ``Compose`` has switched on.

    Raises:
        InputError: there is no such ``Compose``, or an argument is no plain value.
    """
    compose = config.component(place)
    parts = compose.get("transforms")
    if config.target(compose) != "Compose" or not isinstance(parts, list):
        raise InputError(f"'{place}' of the bundle's {config.name} is no Compose of transforms and cannot be run here.")
    found = []
    for n, part in enumerate(parts):
        where = f"{place}#transforms#{n}"
        component = config.as_component(part, where)
        name = config.target(component)
        if config.disabled(component, where):
            continue
        arguments = {} if name in _WITHOUT_EFFECT else config.arguments(_without_use(component), where)
        found.append((name, arguments))
    return found


# Whose values never matter to the labels: what is read and written, and which transform is inverted.
_NOT_READ = ("keys", "transform", "orig_keys", "to_tensor", "device", "output_dir", "output_dtype", "meta_key_postfix")


def _without_use(component: Mapping[str, Any]) -> Mapping[str, Any]:
    return {key: value for key, value in component.items() if key not in _NOT_READ}


def _orient(given: dict[str, Any]) -> Step:
    toward = given.pop("axcodes")
    if not isinstance(toward, str) or not re.fullmatch("[LR][PA][SI]", toward):
        raise ValueError(f"axcodes {toward}")
    return Orient(toward)


def _space(given: dict[str, Any]) -> Step:
    pixdim = given.pop("pixdim")
    mode, padding = given.pop("mode", "bilinear"), given.pop("padding_mode", "border")
    if _first(mode) not in ("bilinear", 1) or padding != "border" or given.pop("diagonal", False):
        raise ValueError(f"mode {mode}, padding {padding}")
    # MONAI gives the place of a voxel the same way whichever is said.
    given.pop("align_corners", None)
    pixdim = pixdim if isinstance(pixdim, list) else [pixdim] * 3
    if len(pixdim) != 3 or not all(float(mm) > 0 for mm in pixdim):
        raise ValueError(f"pixdim {pixdim}")
    return Space(tuple(float(mm) for mm in pixdim))


def _normalize(given: dict[str, Any]) -> Step:
    # A single channel is scaled alike either way.
    given.pop("channel_wise", None)
    return Normalize(bool(given.pop("nonzero", False)))


def _stretch(given: dict[str, Any]) -> Step:
    given.pop("channel_wise", None)
    return Stretch(float(given.pop("minv", 0.0)), float(given.pop("maxv", 1.0)))


def _map(given: dict[str, Any]) -> Step:
    numbers = [float(given.pop(name)) for name in ("a_min", "a_max", "b_min", "b_max")]
    if numbers[0] == numbers[1]:
        raise ValueError("a_min is a_max")
    return Map(*numbers, bool(given.pop("clip", False)))


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, list) and len(value) == 1 else value


_READERS = {
    "Orientationd": _orient,
    "Spacingd": _space,
    "NormalizeIntensityd": _normalize,
    "ScaleIntensityd": _stretch,
    "ScaleIntensityRanged": _map,
}
