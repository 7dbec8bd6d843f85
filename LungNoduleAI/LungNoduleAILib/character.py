"""What was measured on a nodule beyond its size: the result, apart from what measures it.

None of it is a finding in tissue. Research use; the clinician decides.
"""

from __future__ import annotations

from dataclasses import dataclass

from LungNoduleAILib.guidelines.findings import Calcification, Kind, Lobe


@dataclass(frozen=True)
class Diameters:
    """In one plane.

    Attributes:
        long_axis_mm: longest diameter; ``short_axis_mm``: longest perpendicular to it.
        long_axis_ras, short_axis_ras: both ends of each, mm.
    """

    long_axis_mm: float
    short_axis_mm: float
    long_axis_ras: tuple[tuple[float, float, float], tuple[float, float, float]]
    short_axis_ras: tuple[tuple[float, float, float], tuple[float, float, float]]

    @property
    def mean_mm(self) -> float:
        return (self.long_axis_mm + self.short_axis_mm) / 2.0


@dataclass(frozen=True)
class SolidPart:
    """What is at least as dense as -300 HU; ``diameters`` are axial, None where it is smaller than a voxel."""

    volume_mm3: float
    diameters: Diameters | None


@dataclass(frozen=True)
class Character:
    """A nodule's measured character.

    Attributes:
        volume_95_mm3: where the volume of the same nodule would lie on a repeated CT, 19 times of 20.
        axial: diameters in the axial section with the longest one.
        best_plane: the same among all planes, also oblique ones.
        solid_part: None in a solid nodule.
        kind: by attenuation; None where the voxels are too coarse to tell.
        calcification: its pattern.
        fat: whether it holds fat.
        mass_mg: volume times density, which is (mean HU + 1000) / 1000 mg per mm³.
        lobe: None where the lobes are not known.
        zone: third of the lung by height: "upper", "middle" or "lower"; "" where the lungs are not known.
        pleura_mm: from its surface to the nearest costal, mediastinal or diaphragmatic surface of the lung.
        juxtapleural: it touches that surface; ``perifissural``: it touches a fissure, None where fissures are not
            known; ``juxtavascular``: a vessel touches it.
        spiculation, lobulation: indices in 0…1, defined where they are measured.
        at_edge: the field of view cuts it.
        reliable: whether voxels and noise allow a volume that can be compared; ``warnings`` say why not.
    """

    volume_95_mm3: tuple[float, float]
    axial: Diameters
    best_plane: Diameters
    solid_part: SolidPart | None
    kind: Kind | None
    calcification: Calcification
    fat: bool
    mass_mg: float
    lobe: Lobe | None
    zone: str
    pleura_mm: float | None
    juxtapleural: bool | None
    perifissural: bool | None
    juxtavascular: bool
    spiculation: float
    lobulation: float
    at_edge: bool
    reliable: bool
    warnings: tuple[str, ...] = ()
