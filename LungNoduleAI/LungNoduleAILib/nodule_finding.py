"""A nodule as guidelines see it."""

from __future__ import annotations

from LungNoduleAILib.guidelines.findings import Finding, Kind
from LungNoduleAILib.nodule import Nodule


def kind_of(nodule: Nodule) -> Kind | None:
    """Attenuation type: measured where it was, else as radiologists would probably have called it."""
    if nodule.character is not None and nodule.character.kind is not None:
        return nodule.character.kind
    return Kind(nodule.ratings.kind) if nodule.ratings else None


def of_nodule(nodule: Nodule, nodule_count: int | None = None) -> Finding:
    """What was measured on a nodule, and its kind where it is known; the rest is for the reader to say."""
    measured, character = nodule.measurements, nodule.character
    known: dict[str, object] = {}
    if character is not None:
        known = {
            "lobe": character.lobe,
            "juxtapleural": character.juxtapleural,
            "perifissural": character.perifissural,
            "calcification": character.calcification,
            "fat": character.fat,
        }
        solid = character.solid_part
        if solid is not None and solid.volume_mm3 > 0.0:
            known["solid_volume_mm3"] = min(solid.volume_mm3, measured.volume_mm3)
            if solid.diameters is not None:
                long_axis = min(solid.diameters.long_axis_mm, measured.long_axis_mm)
                known["solid_long_axis_mm"] = long_axis
                known["solid_short_axis_mm"] = min(solid.diameters.short_axis_mm, measured.short_axis_mm)
    return Finding(
        id=nodule.id,
        kind=kind_of(nodule),
        long_axis_mm=measured.long_axis_mm,
        short_axis_mm=measured.short_axis_mm,
        volume_mm3=measured.volume_mm3,
        nodule_count=nodule_count,
        **known,
    )
