"""Volume and mask -> radiomics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from SegmentationAILib.dependencies import installed_version
from SegmentationAILib.errors import InputError
from SegmentationAILib.radiomics.ibsi import ibsi_features
from SegmentationAILib.radiomics.mirp_values import column, intensity_values, require_mirp, shape_values
from SegmentationAILib.radiomics.region import Region, region_around
from SegmentationAILib.radiomics.settings import RadiomicsSettings
from SegmentationAILib.radiomics.spatial import spatial_features
from SegmentationAILib.volume import Volume


@dataclass(frozen=True)
class Radiomics:
    """The features of one mask.

    Attributes:
        values: IBSI's tag, with the aggregation where there is one, such as ``"cm_contrast_3D_comb"``,
            -> value; NaN where the feature is not defined, as Moran's I of a single intensity.
        settings: how they were computed.
        name: of the segment.
        volume: name of the volume.
        voxels: in the mask after resampling.
        voxels_in_range: of these, with an intensity in the settings' range.
        software: what computed them, with its version.
    """

    values: Mapping[str, float]
    settings: RadiomicsSettings
    name: str
    volume: str
    voxels: int
    voxels_in_range: int
    software: str


def extract(
    volume: Volume,
    mask: NDArray[np.bool_],
    settings: RadiomicsSettings = RadiomicsSettings(),  # noqa: B008 - immutable
    *,
    name: str = "",
) -> Radiomics:
    """Compute the 169 features that IBSI 1 has a reference value for.

    The order and direction of the volume's axes make no difference. Slices of 2D and 2.5D
    aggregation are those closest to axial. Intensities of a CT are rounded to whole HU after
    resampling. The intensity-volume histogram of a CT is over HU, of other modalities over 1000 bins.

    Args:
        volume: a CT in HU, for which one of unknown modality is taken, or another modality with
            settings for it.
        mask: bool [k, j, i] on the volume's grid.
        settings: how.
        name: of the segment, for the table.

    Raises:
        InputError: MIRP is not installed; the mask is not on the grid or holds fewer than two voxels,
            before or after resampling or within the intensity range; the axes are not at right angles;
            voxels in or near the mask are NaN or infinite, or no grey levels though no bins are given.
    """
    require_mirp()
    region = region_around(
        volume,
        mask,
        spacing_mm=settings.spacing_mm,
        in_plane=settings.dimensions != "3D",
        interpolation=settings.interpolation,
    )
    is_ct = volume.modality in ("", "CT")
    if is_ct:
        region = replace(region, image=np.round(region.image))
    in_range = _in_range(region, settings)
    computed = shape_values(region)
    computed |= spatial_features(region, in_range, computed["morph_volume"])
    computed |= intensity_values(region, settings, is_ct=is_ct)
    return Radiomics(
        {feature.tag_with(settings): float(computed[column(feature, settings)]) for feature in ibsi_features()},
        settings,
        name,
        volume.name,
        int(np.count_nonzero(region.mask)),
        int(np.count_nonzero(in_range)),
        f"MIRP {installed_version('mirp')}",
    )


def _in_range(region: Region, settings: RadiomicsSettings) -> NDArray[np.bool_]:
    """The mask's voxels whose intensity counts."""
    inside = region.mask
    if settings.intensity_range is not None:
        low, high = settings.intensity_range
        inside = inside & (region.image >= low) & (region.image <= high)
        count = np.count_nonzero(inside)
        if count < 2:
            raise InputError(
                f"The mask holds {count} voxels with an intensity of {low:g} to {high:g}; choose a wider "
                "intensity_range or another mask."
            )
    values = region.image[inside]
    is_binned = settings.bin_width is not None or settings.bin_number is not None
    if not is_binned and (values.min() < 1 or not np.array_equal(values, np.round(values))):
        raise InputError(
            "Without bins the voxels must be grey levels 1, 2, …, which they are not; give bin_width or bin_number."
        )
    return inside
