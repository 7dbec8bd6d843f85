"""What MIRP computes (Zwanenburg et al., JOSS 2024, doi 10.21105/joss.06413), by the names of IBSI.

MIRP is under the EUPL-1.2 and no part of this project: it is imported where a user has installed it.
"""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from SegmentationAILib.errors import InputError
from SegmentationAILib.radiomics.ibsi import DIRECTIONAL, DIRECTIONLESS, Feature
from SegmentationAILib.radiomics.region import Region
from SegmentationAILib.radiomics.settings import RadiomicsSettings

_INTENSITY_FAMILIES = [
    "local_intensity",
    "statistics",
    "intensity_histogram",
    "intensity_volume_histogram",
    "glcm",
    "glrlm",
    "glszm",
    "gldzm",
    "ngtdm",
    "ngldm",
]
# IBSI's aggregation of directional matrices -> MIRP's setting, and what it writes after a feature's name.
_AGGREGATIONS = {
    "2D_avg": ("2d_average", "2d_avg"),
    "2D_comb": ("2d_slice_merge", "2d_s_mrg"),
    "2_5D_avg": ("2.5d_direction_merge", "2.5d_d_mrg"),
    "2_5D_comb": ("2.5d_volume_merge", "2.5d_v_mrg"),
    "3D_avg": ("3d_average", "3d_avg"),
    "3D_comb": ("3d_volume_merge", "3d_v_mrg"),
}
# Distance 1 and coarseness 0, as in IBSI's tables and by MIRP's default.
_PARAMETERS = {"cm": "_d1", "ngl": "_d1_a0.0"}
_BINS = re.compile(r"_fb[ns]_[nw][0-9.]+$")


def require_mirp() -> None:
    """Check that MIRP is there, without importing it.

    Raises:
        InputError: it is not.
    """
    if find_spec("mirp") is None:
        raise InputError(
            'Radiomics need the package MIRP, which is not installed; install it with pip install "mirp>=2.5" '
            "(licence EUPL-1.2; a download of 300 MB with what it needs)."
        )


def shape_values(region: Region) -> dict[str, float]:
    """Morphological features of the mask alone, by MIRP's names; those that need intensities are NaN."""
    # With no intensity in the range MIRP leaves out Moran's I and Geary's C, which take it most of its time.
    nothing = np.zeros_like(region.image)
    return _table(
        nothing, region, False, base_feature_families=["morphological"], resegmentation_intensity_range=[1.0, 2.0]
    )


def intensity_values(region: Region, settings: RadiomicsSettings, *, is_ct: bool) -> dict[str, float]:
    """All other families, by MIRP's names without their bins."""
    directional = _AGGREGATIONS[settings.aggregation][0]
    options: dict[str, Any] = {"base_discretisation_method": "none"}
    if settings.bin_width is not None:
        options["base_discretisation_method"] = "fixed_bin_size"
        options["base_discretisation_bin_width"] = float(settings.bin_width)
    if settings.bin_number is not None:
        options["base_discretisation_method"] = "fixed_bin_number"
        options["base_discretisation_n_bins"] = int(settings.bin_number)
    if settings.intensity_range is not None:
        options["resegmentation_intensity_range"] = [float(end) for end in settings.intensity_range]
    return _table(
        region.image,
        region,
        is_ct,
        base_feature_families=_INTENSITY_FAMILIES,
        **{f"{matrix}_spatial_method": directional for matrix in ("glcm", "glrlm")},
        **{f"{matrix}_spatial_method": _in_mirp(settings) for matrix in ("glszm", "gldzm", "ngtdm", "ngldm")},
        **options,
    )


def column(feature: Feature, settings: RadiomicsSettings) -> str:
    """MIRP's name of a feature, without its bins."""
    name = feature.tag + _PARAMETERS.get(feature.kind, "")
    if feature.kind in DIRECTIONAL:
        return f"{name}_{_AGGREGATIONS[settings.aggregation][1]}"
    return f"{name}_{_in_mirp(settings)}" if feature.kind in DIRECTIONLESS else name


def _in_mirp(settings: RadiomicsSettings) -> str:
    """ "2d", "2.5d" or "3d"."""
    return settings.dimensions.lower().replace("_", ".")


def _table(image: NDArray[np.float64], region: Region, is_ct: bool, **options: Any) -> dict[str, float]:
    """A row of MIRP's table; arrays are handed over in memory and nothing is written."""
    with _quiet():
        import mirp  # noqa: PLC0415 - takes a second, and is there only where radiomics are wanted

        # An array has no spacing for MIRP; its own images have, and it gives them out for such changes.
        ((images, masks),) = mirp.extract_images(
            image=image,
            mask=region.mask.astype(np.uint8),
            image_modality="ct" if is_ct else None,
            image_export_format="native",
        )
        held = (images[0], masks[0].roi, masks[0].roi_intensity, masks[0].roi_morphology)
        for one in held:
            if one is not None:
                one.image_spacing = region.spacing_kji
        (table,) = mirp.extract_features(image=images[0], mask=masks[0], **options)
    row: Mapping[str, Any] = table.iloc[0].to_dict()
    return {_BINS.sub("", name): float("nan") if value is None else value for name, value in row.items()}


@contextmanager
def _quiet() -> Iterator[None]:
    """MIRP sets the root logger up to print what it does, unless that has a handler; NumPy warns of NaN."""
    root, handler = logging.getLogger(), logging.NullHandler()
    root.addHandler(handler)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        root.removeHandler(handler)
