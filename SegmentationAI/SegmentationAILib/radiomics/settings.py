"""How radiomics are computed: everything that their values depend on besides image and mask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from SegmentationAILib.errors import InputError

Interpolation = Literal["nearest", "linear", "cubic"]
# How the matrices of slices and directions are put together, by the names of IBSI's tables.
Aggregation = Literal["2D_avg", "2D_comb", "2_5D_avg", "2_5D_comb", "3D_avg", "3D_comb"]


@dataclass(frozen=True)
class RadiomicsSettings:
    """The settings of one extraction; the defaults are for nodules in CT.

    Attributes:
        spacing_mm: of the voxels after resampling, None keeps the volume's. With 2D and 2.5D
            aggregation only the axial plane is resampled.
        interpolation: of the image.
        intensity_range: lowest and highest intensity that counts (re-segmentation), HU in CT; None
            is no limit. Shape is that of the whole mask.
        bin_width: width of grey levels, which begin at the range's lower end.
        bin_number: number of grey levels between the lowest and highest intensity in the mask. At
            most one of both is given; with none, the voxels are grey levels 1, 2, … already.
        aggregation: of texture matrices. Matrices without direction (zones, NGTDM, NGLDM) take the
            part before ``_avg`` or ``_comb``: 2D, 2_5D or 3D.

    Raises:
        InputError: a setting is out of its range, or two contradict each other.
    """

    spacing_mm: float | None = 1.0
    interpolation: Interpolation = "linear"
    intensity_range: tuple[float, float] | None = (-1000.0, 400.0)
    bin_width: float | None = 25.0
    bin_number: int | None = None
    aggregation: Aggregation = "3D_comb"

    def __post_init__(self) -> None:
        for name, kind in (("interpolation", Interpolation), ("aggregation", Aggregation)):
            if getattr(self, name) not in get_args(kind):
                raise InputError(f"{name} is '{getattr(self, name)}'; choose one of {', '.join(get_args(kind))}.")
        if self.spacing_mm is not None and not 0.1 <= self.spacing_mm <= 10.0:
            raise InputError(f"spacing_mm is {self.spacing_mm:g}; choose 0.1 to 10 mm, or none to keep the voxels.")
        if self.intensity_range is not None and not self.intensity_range[0] < self.intensity_range[1]:
            raise InputError("intensity_range must begin below its end; exchange or change its two values.")
        if self.bin_width is not None and self.bin_number is not None:
            raise InputError("bin_width and bin_number are both given; choose one of them.")
        if self.bin_width is not None and not self.bin_width > 0:
            raise InputError(f"bin_width is {self.bin_width:g}; choose a width above 0.")
        if self.bin_width is not None and self.intensity_range is None:
            raise InputError("bin_width needs intensity_range, whose lower end is where bins begin; give both.")
        if self.bin_number is not None and self.bin_number < 2:
            raise InputError(f"bin_number is {self.bin_number}; choose 2 bins and more.")

    @property
    def dimensions(self) -> str:
        """The aggregation of matrices without direction: "2D", "2_5D" or "3D"."""
        return self.aggregation.rpartition("_")[0]
