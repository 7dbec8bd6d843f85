"""What in a CT makes its nodules less sure, in sentences for the user."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from LungNoduleAILib.followup.exam import Exam
from LungNoduleAILib.followup.growth import THIN_SLICES
from LungNoduleAILib.nodule import Nodule
from SegmentationAILib.labels import LabelMap
from SegmentationAILib.terminology import LEFT_LUNG, RIGHT_LUNG
from SegmentationAILib.volume import Volume

# Lungs that a CT cuts off show a broad section on its first or last slice; less is the tip of an apex or base.
_CUT_SECTION_MM2 = 1500.0


def warnings_of(volume: Volume, lungs: LabelMap, nodules: Sequence[Nodule], exam: Exam | None = None) -> list[str]:
    """Sentences on what makes findings in this CT less sure; none where nothing does.

    Args:
        volume: CT, HU.
        lungs: right and left lung on its grid.
        nodules: found in it.
        exam: what its header says, where it comes from DICOM.
    """
    return [*_slices(volume, exam), *_contrast(exam), *_lungs(lungs), *_at_edge(nodules)]


def _slices(volume: Volume, exam: Exam | None) -> list[str]:
    spacing = float(volume.spacing.max())
    thickness = max(spacing, (exam.slice_thickness_mm or 0.0) if exam else 0.0)
    limit = THIN_SLICES.largest_spacing_mm
    if thickness <= limit + 1e-3:
        return []
    what = f"{spacing:.3g} mm apart" if thickness == spacing else f"{thickness:.3g} mm thick"
    return [
        f"The slices are {what}, which makes the volumes of small nodules unreliable, and part-solid nodules hard to "
        f"tell from solid ones; the Fleischner Society (2017) asks for contiguous slices of {limit:g} mm or less."
    ]


def _contrast(exam: Exam | None) -> list[str]:
    if exam is None or not exam.contrast:
        return []
    return [
        "Contrast medium was given, which raises attenuation: the kind and the mean HU of a nodule are less sure, and "
        "its volume compares only with that on a CT taken the same way."
    ]


def _lungs(lungs: LabelMap) -> list[str]:
    found = []
    held = lungs.structures.values()
    missing = [one.name for one in (RIGHT_LUNG, LEFT_LUNG) if one not in held or not lungs.mask(one).any()]
    if missing:
        found.append(f"The CT shows no {' and no '.join(missing)}, so that nothing is said of it.")
    grid = lungs.grid
    axis = int(np.argmax(np.abs(grid.directions[2])))
    sections = np.moveaxis(lungs.array, 2 - axis, 0)
    inside = [value for value, one in lungs.structures.items() if one in (RIGHT_LUNG, LEFT_LUNG)]
    pixel = grid.voxel_volume / float(grid.spacing[axis])
    upward = grid.directions[2, axis] > 0
    ends = {"top": sections[-1 if upward else 0], "bottom": sections[0 if upward else -1]}
    cut = [name for name, section in ends.items() if np.isin(section, inside).sum() * pixel > _CUT_SECTION_MM2]
    if cut:
        found.append(
            f"The CT cuts the lungs off at the {' and the '.join(cut)}; nodules beyond are not seen. Lung-RADS asks "
            "for category 0 where part of the lungs cannot be evaluated."
        )
    return found


def _at_edge(nodules: Sequence[Nodule]) -> list[str]:
    cut = [str(one.id) for one in nodules if one.character is not None and one.character.at_edge]
    if not cut:
        return []
    if len(cut) == 1:
        return [f"Nodule {cut[0]} lies at the edge of the field of view; it is at least as large as measured."]
    return [f"Nodules {', '.join(cut)} lie at the edge of the field of view; they are at least as large as measured."]
