"""CTs of nodules of known volume: analytic shapes, super-sampled, blurred by a kernel and a slice, with its noise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from SegmentationAILib.labels import LabelMap
from SegmentationAILib.terminology import RIGHT_LUNG
from SegmentationAILib.volume import LPS_FROM_RAS, Grid, Volume

LUNG_HU, TISSUE_HU, GLASS_HU = -860.0, 40.0, -600.0
PIXEL_MM = 0.7
# The scene is drawn on voxels of half a pixel and this height, a whole part of every slice.
_FINE_MM = (0.25, PIXEL_MM / 2, PIXEL_MM / 2)
# Lung around a nodule.
_ROOM_MM = 13.0
# Chest wall's radius of curvature.
_WALL_RADIUS_MM = 80.0
# A nodule at the wall has its centre in the lung, a vessel passes the nodule's middle at this share of its radius.
_WALL_AT, _VESSEL_AT = 0.6, 0.7


@dataclass(frozen=True)
class Kernel:
    """A reconstruction kernel in the plane: (1 + boost) · Gaussian(σ) - boost · Gaussian(wide σ), mm.

    The difference of two Gaussians enhances edges: its modulation rises above 1 before it falls.
    """

    name: str
    sigma_mm: float
    boost: float = 0.0
    wide_sigma_mm: float = 0.9

    def modulation(self, frequency: NDArray[np.float64]) -> NDArray[np.float64]:
        """Modulation transfer at frequencies in cycles per mm."""
        narrow, wide = (np.exp(-2 * (np.pi * s * frequency) ** 2) for s in (self.sigma_mm, self.wide_sigma_mm))
        return (1 + self.boost) * narrow - self.boost * wide


SOFT = Kernel("soft", 0.6)
# Rises to 1.18 at 2.5 line pairs a centimetre, and is half at 6.4.
SHARP = Kernel("sharp", 0.4, boost=0.8)


@dataclass(frozen=True)
class Shape:
    """A nodule at the origin.

    Attributes:
        radii_mm: half axes along L, P and S before it is turned.
        solid_share: a part-solid nodule's core has half axes of so much of the nodule's; 1 is a solid nodule.
        vessel_mm: diameter of a tube that crosses the nodule off its middle, 0 for none.
        wall: whether it sits on the chest wall.
        shell_hu: of what surrounds the core.
    """

    radii_mm: tuple[float, float, float]
    solid_share: float = 1.0
    vessel_mm: float = 0.0
    wall: bool = False
    shell_hu: float = GLASS_HU

    @property
    def solid_mm3(self) -> float:
        return float(4 / 3 * np.pi * np.prod(self.radii_mm)) * self.solid_share**3

    @property
    def diameter_mm(self) -> float:
        """Of the ball of the same volume."""
        return 2 * float(np.cbrt(np.prod(self.radii_mm)))


def ball(diameter_mm: float, **changes: float) -> Shape:
    return Shape((diameter_mm / 2,) * 3, **changes)


def ellipsoid(diameter_mm: float, **changes: float) -> Shape:
    """Axes of 1 : 0.8 : 0.625, of the volume of a ball of that diameter."""
    radii = np.array([1.0, 0.8, 0.625]) / np.cbrt(0.5) * diameter_mm / 2
    return Shape(tuple(float(r) for r in radii), **changes)


@dataclass(frozen=True, eq=False)
class NoduleCt:
    """A CT with its lung, as a threshold finds it (a nodule at the wall is not in it), and the true volumes."""

    volume: Volume
    lungs: LabelMap
    volume_mm3: float
    solid_mm3: float


def render(
    shape: Shape, *, slice_mm: float = 1.0, kernel: Kernel = SOFT, noise_hu: float = 15.0, seed: int = 0
) -> NoduleCt:
    """A CT of the shape with its centre near the middle, up to half a voxel off.

    Args:
        slice_mm: thickness and distance of the slices, a multiple of 0.25.
        noise_hu: standard deviation; its spectrum is that of filtered back projection, a ramp times the kernel.
        seed: of the noise and the offset.
    """
    rng = np.random.default_rng(seed)
    scene = _scene(shape, kernel)
    per_slice = round(slice_mm / _FINE_MM[0])
    offset = tuple(int(rng.integers(n)) for n in (per_slice, 2, 2))
    fine = scene.hu[offset[0] :, offset[1] :, offset[2] :]
    count = (fine.shape[0] // per_slice, fine.shape[1] // 2, fine.shape[2] // 2)
    blocks = fine[: count[0] * per_slice, : count[1] * 2, : count[2] * 2]
    hu = blocks.reshape(count[0], per_slice, count[1], 2, count[2], 2).mean(axis=(1, 3, 5))
    first = [(o - (n - 1) / 2) * f for o, n, f in zip(offset, scene.hu.shape, _FINE_MM, strict=True)]
    spacing = (slice_mm, PIXEL_MM, PIXEL_MM)
    matrix = LPS_FROM_RAS @ np.diag([*spacing[::-1], 1.0])
    start = [a + (s - f) / 2 for a, s, f in zip(first, spacing, _FINE_MM, strict=True)]
    matrix[:3, 3] = LPS_FROM_RAS[:3, :3] @ start[::-1]
    grid = Grid(count, matrix)
    noisy = np.round(hu + noise_hu * _noise(count, kernel, rng)).astype(np.int16)
    lung = ndimage.gaussian_filter(hu, 0.7) < (LUNG_HU + TISSUE_HU) / 2
    labels = LabelMap(lung.astype(np.uint8), grid, {1: RIGHT_LUNG})
    return NoduleCt(Volume(noisy, grid, "nodule", "CT"), labels, scene.volume_mm3, scene.solid_mm3)


@dataclass(frozen=True, eq=False)
class _Scene:
    hu: NDArray[np.float32]
    volume_mm3: float
    solid_mm3: float


@lru_cache(maxsize=4)
def _scene(shape: Shape, kernel: Kernel) -> _Scene:
    """The shape on fine voxels (k, j, i along S, P, L), blurred by the kernel in the plane."""
    half = [max(shape.radii_mm) + _ROOM_MM] * 3
    count = [2 * int(np.ceil(h / f)) for h, f in zip(half, _FINE_MM, strict=True)]
    axes = [((np.arange(n) - (n - 1) / 2) * f).astype(np.float32) for n, f in zip(count, _FINE_MM, strict=True)]
    z, y, x = np.meshgrid(*axes, indexing="ij", sparse=True)
    # Turned by 30° about the body's axis, so that no axis of the ellipsoid lies along a row.
    u, v = x * np.float32(0.866) + y * np.float32(0.5), y * np.float32(0.866) - x * np.float32(0.5)
    nodule = _ellipsoid_distance(u, v, z, shape.radii_mm)
    hu = np.full(count, LUNG_HU, dtype=np.float32)
    wall_distance = None
    if shape.wall:
        # The wall's inner face cuts the nodule off beyond its middle.
        at = _WALL_AT * shape.radii_mm[0]
        from_axis = np.sqrt((x + (_WALL_RADIUS_MM - at)) ** 2 + y**2 + z**2)
        wall_distance = _WALL_RADIUS_MM - from_axis
        _blend(hu, wall_distance, TISSUE_HU)
    if shape.vessel_mm:
        off = _VESSEL_AT * shape.radii_mm[1]
        _blend(hu, np.hypot(v - off, z - 0.3 * u) / np.float32(np.hypot(1, 0.3)) - shape.vessel_mm / 2, TISSUE_HU)
    _blend(hu, nodule, TISSUE_HU if shape.solid_share == 1 else shape.shell_hu, inside=wall_distance)
    if shape.solid_share < 1:
        core = _ellipsoid_distance(u, v, z, tuple(r * shape.solid_share for r in shape.radii_mm))
        _blend(hu, core, TISSUE_HU)
    share = np.clip(0.5 - nodule / min(_FINE_MM), 0, 1)
    if wall_distance is not None:
        share *= np.clip(0.5 + wall_distance / min(_FINE_MM), 0, 1)
        volume = float(share.sum()) * float(np.prod(_FINE_MM))
    else:
        volume = float(4 / 3 * np.pi * np.prod(shape.radii_mm))
    return _Scene(_filtered(hu, kernel.modulation, _FINE_MM[1]), volume, shape.solid_mm3)


def _ellipsoid_distance(u: NDArray, v: NDArray, w: NDArray, radii: tuple[float, float, float]) -> NDArray[np.float32]:
    """Distance to an ellipsoid's surface to first order, exact near it."""
    level = np.sqrt((u / radii[0]) ** 2 + (v / radii[1]) ** 2 + (w / radii[2]) ** 2)
    slope = np.sqrt((u / radii[0] ** 2) ** 2 + (v / radii[1] ** 2) ** 2 + (w / radii[2] ** 2) ** 2)
    return (level * (level - 1) / np.maximum(slope, 1e-6)).astype(np.float32)


def _blend(hu: NDArray, distance: NDArray, value: float, inside: NDArray | None = None) -> None:
    """Draw what has a negative signed distance (mm), with partial volume, where ``inside`` is positive."""
    share = np.clip(0.5 - distance / np.float32(np.mean(_FINE_MM)), 0, 1)
    if inside is not None:
        share = share * np.clip(0.5 + inside / np.float32(np.mean(_FINE_MM)), 0, 1)
    hu += share * (np.float32(value) - hu)


def _filtered(hu: NDArray, modulation: Callable[[NDArray], NDArray], step_mm: float) -> NDArray[np.float32]:
    """Every section filtered; lung lies beyond the borders of what is drawn, or its edge goes on."""
    pad = 16
    wide = np.pad(hu, ((0, 0), (pad, pad), (pad, pad)), mode="edge")
    fy, fx = np.fft.fftfreq(wide.shape[1], step_mm), np.fft.rfftfreq(wide.shape[2], step_mm)
    response = modulation(np.hypot(fy[:, None], fx)).astype(np.float32)
    result = np.empty(hu.shape, dtype=np.float32)
    for n, section in enumerate(wide):
        filtered = np.fft.irfft2(np.fft.rfft2(section) * response, s=section.shape)
        result[n] = filtered[pad:-pad, pad:-pad]
    return result


def _noise(shape: tuple[int, int, int], kernel: Kernel, rng: np.random.Generator) -> NDArray[np.float64]:
    """Noise of standard deviation 1 with the spectrum of filtered back projection."""
    fy, fx = np.fft.fftfreq(shape[1], PIXEL_MM), np.fft.rfftfreq(shape[2], PIXEL_MM)
    frequency = np.hypot(fy[:, None], fx)
    # The spectrum's power is a ramp times the modulation squared (Hanson, Med Phys 1979).
    amplitude = np.sqrt(frequency) * kernel.modulation(frequency)
    white = rng.standard_normal(shape)
    noise = np.fft.irfft2(np.fft.rfft2(white, axes=(1, 2)) * amplitude, s=shape[1:], axes=(1, 2))
    return noise / noise.std()
