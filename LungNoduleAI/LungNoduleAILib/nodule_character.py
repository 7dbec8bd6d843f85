"""A nodule's character, measured on the CT: size in every plane, attenuation, place and shape."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from LungNoduleAILib.attenuation_type import calcification, has_fat, kind_of_share, solid_part, solid_share
from LungNoduleAILib.character import Character, Diameters
from LungNoduleAILib.diameters import axial_diameters, best_plane_diameters
from LungNoduleAILib.followup.growth import THIN_SLICES
from LungNoduleAILib.guidelines.findings import Kind
from LungNoduleAILib.lung_surface import depth_in_lung
from LungNoduleAILib.lung_surroundings import (
    at_edge,
    lobe_of,
    pleura_near,
    touches_fissure,
    touches_vessel,
    zone_of,
)
from LungNoduleAILib.nodule import Nodule, NoduleMask
from LungNoduleAILib.outline_shape import lobulation, spiculation
from SegmentationAILib.errors import InputError
from SegmentationAILib.labels import LabelMap
from SegmentationAILib.preprocess import resample
from SegmentationAILib.volume import Volume

_LUNG_HU = -860.0
# Thicker slices blur ground glass and core into each other (MacMahon et al., Radiology 2017).
_TYPE_SLICES_MM = 3.0
# No study gives the repeatability of smaller nodules, of which a shift of a voxel changes a third.
_LEAST_DIAMETER_MM = 4.0
_NOISE_HU = 60.0
# Blood is denser only with contrast agent, with which volumes come out larger (Larici et al., Eur Respir Rev 2017).
_CONTRAST_HU = 150.0


def character_of(volume: Volume, lungs: LabelMap, nodule: Nodule, lobes: LabelMap | None = None) -> Character:
    """Measure a nodule's character on its mask and the CT.

    Mean diameters by Lung-RADS and by Fleischner are those guidelines' ``mean_diameter`` of the axes given here. The
    repeatability is ``THIN_SLICES``; beyond its slice distance the interval is widened in proportion, which is an
    assumption, and the volume is not called reliable.

    Args:
        volume: CT that the nodule was found in, HU.
        lungs: right and left lung on the volume's grid.
        nodule: with its mask.
        lobes: structures named as "right upper lobe"; without them lobe and fissures are not known.

    Raises:
        InputError: the nodule's mask is empty or lies outside the volume.
    """
    mask = nodule.mask
    if not (mask.occupancy >= 0.5).any():
        raise InputError("The nodule's mask is empty; outline the nodule first.")
    hu = resample(volume.array, volume.grid, mask.grid, mode="area", fill=np.nan)
    inside = mask.occupancy >= 0.5
    if not np.isfinite(hu[inside]).any():
        raise InputError("The nodule lies outside the volume; choose the volume that it was found in.")
    edge = at_edge(mask, volume.grid) or not np.isfinite(hu[inside]).all()
    hu = np.nan_to_num(hu, nan=_LUNG_HU).astype(np.float32)
    slice_mm = float(volume.grid.canonical().spacing[2])
    noise = _noise(hu, inside)
    axial = axial_diameters(mask) or _of_ball(mask)
    measured = nodule.measurements
    kind = kind_of_share(solid_share(mask, hu)) if slice_mm <= _TYPE_SLICES_MM else None
    solid = None if kind is Kind.SOLID else solid_part(mask, hu)
    depth = depth_in_lung(lungs, nodule.lung, mask.grid, nodule.diameter_mm) if nodule.lung else None
    pleura = pleura_near(mask, lungs, nodule.lung, depth)
    warnings = _warnings(slice_mm, noise, float(np.percentile(hu[inside], 50)), axial.mean_mm, edge, volume, lungs)
    spread = 1.0 + THIN_SLICES.limit * max(1.0, slice_mm / THIN_SLICES.largest_spacing_mm)
    # Voxels that are partly lung are in the volume by their share only.
    whole = mask.occupancy > 0.99 if (mask.occupancy > 0.99).any() else inside
    density = max(0.0, float(hu[whole].mean()) + 1000.0) / 1000.0
    return Character(
        volume_95_mm3=(measured.volume_mm3 / spread, measured.volume_mm3 * spread),
        axial=axial,
        best_plane=best_plane_diameters(mask) or axial,
        solid_part=solid,
        kind=kind,
        calcification=calcification(mask, hu),
        fat=kind is Kind.SOLID and slice_mm <= THIN_SLICES.largest_spacing_mm and has_fat(mask, hu, noise),
        mass_mg=measured.volume_mm3 * density,
        lobe=lobe_of(mask, lobes),
        zone=zone_of(nodule.centre_ras, lungs, nodule.lung),
        pleura_mm=pleura.distance_mm if pleura else None,
        juxtapleural=pleura.touched if pleura else None,
        perifissural=touches_fissure(mask, lobes),
        juxtavascular=touches_vessel(mask, hu, depth),
        spiculation=spiculation(mask),
        lobulation=lobulation(mask),
        at_edge=edge,
        reliable=not warnings,
        warnings=warnings,
    )


def _of_ball(mask: NoduleMask) -> Diameters:
    """Of a nodule smaller than a voxel: of the ball of its volume, around its middle, left to right."""
    at = np.argwhere(mask.occupancy > 0)
    weights = mask.occupancy[tuple(at.T)]
    centre = mask.grid.ras((at * weights[:, None]).sum(axis=0)[::-1] / weights.sum())
    diameter = float(np.cbrt(6 / np.pi * float(mask.occupancy.sum()) * mask.grid.voxel_volume))
    axes = [
        tuple(tuple(float(x) for x in centre + sign * diameter / 2 * np.eye(3)[n]) for sign in (-1, 1)) for n in (0, 1)
    ]
    return Diameters(diameter, diameter, *axes)


def _noise(hu: NDArray[np.float32], inside: NDArray[np.bool_]) -> float:
    """Standard deviation of the lung around, less what changes slowly, HU; robust against vessels."""
    lung = (ndimage.distance_transform_edt(~inside) > 3) & (hu < -700)
    if np.count_nonzero(lung) < 100:
        return 0.0
    fast = (hu - ndimage.uniform_filter(hu, 5))[lung]
    return float(1.4826 * np.median(np.abs(fast - np.median(fast))))


def _warnings(
    slice_mm: float, noise_hu: float, middle_hu: float, mean_mm: float, edge: bool, volume: Volume, lungs: LabelMap
) -> tuple[str, ...]:
    """Why the volume is not to be compared with another CT's."""
    found = []
    if slice_mm > THIN_SLICES.largest_spacing_mm + 0.01:
        found.append(
            f"The slices are {slice_mm:.1f} mm apart: the Fleischner Society (2017) asks for 1.5 mm or less, since "
            "thicker ones preclude accurate characterisation of small nodules; the volume's interval is an assumption."
        )
    if noise_hu > _NOISE_HU:
        found.append(f"The noise near the nodule is {noise_hu:.0f} HU: its edge and volume are unsure.")
    if mean_mm < _LEAST_DIAMETER_MM:
        found.append(f"The nodule is smaller than {_LEAST_DIAMETER_MM:.0f} mm: voxels are too coarse for its volume.")
    if edge:
        found.append("The field of view cuts the nodule: it is larger than what was measured.")
    if _has_contrast_agent(volume, lungs, middle_hu):
        found.append(
            "The CT seems to be with contrast agent, with which volumes come out larger: compare with such a CT only."
        )
    return tuple(found)


def _has_contrast_agent(volume: Volume, lungs: LabelMap, middle_hu: float) -> bool:
    """Whether the vessels at the hila are denser than blood without contrast agent."""
    step = tuple(max(1, round(3.0 / s)) for s in volume.grid.spacing[::-1])
    hu = volume.array[tuple(slice(None, None, s) for s in step)]
    lung = lungs.array[tuple(slice(None, None, s) for s in step)] > 0
    box = ndimage.find_objects(lung.astype(np.int8))
    if not box:
        return middle_hu > _CONTRAST_HU
    window = box[0]
    between = hu[window][~lung[window]]
    soft = between[(between > -50) & (between < 500)]
    return soft.size > 200 and float((soft > _CONTRAST_HU).mean()) > 0.25
