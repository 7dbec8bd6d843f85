"""What was measured on a nodule, in the words of a report: value, definition, how well it repeats."""

from __future__ import annotations

from LungNoduleAILib.character import Character, Diameters
from LungNoduleAILib.followup.growth import THIN_SLICES
from LungNoduleAILib.guidelines.findings import Lobe
from LungNoduleAILib.guidelines.growth import LUNG_RADS_GROWTH_MM
from LungNoduleAILib.nodule import Nodule
from LungNoduleAILib.report.content import ReportedNodule
from LungNoduleAILib.report.document import Table
from SegmentationAILib.volume import Volume

_HEADER = ("Measured", "Value", "What it is and how well it repeats")
_WIDTHS = (2.2, 2.6, 7.0)
_NOT_KNOWN = "not known"
_ENTERED = "Entered by the reader."

_Row = tuple[str, str, str]


def whole(value: float) -> str:
    """A rounded number; a minus is a minus."""
    return f"{value:.0f}".replace("-", "−")


def place(reported: ReportedNodule) -> str:
    """Such as "right upper lobe" or "left lung, lower zone"; "place not known" where neither is."""
    lobe, nodule = reported.assessment.finding.lobe, reported.nodule
    if lobe is not None:
        return f"{Lobe(lobe).value} lobe"
    zone = nodule.character.zone if nodule.character else ""
    parts = [f"{nodule.lung} lung"] * bool(nodule.lung) + [f"{zone} zone"] * bool(zone)
    return ", ".join(parts) or "place not known"


def position(nodule: Nodule) -> str:
    """Such as "R 45.2 mm, A 12.3 mm, I 102.1 mm" from the origin of the scanner's coordinates, with hard spaces."""
    signs = zip(nodule.centre_ras, ("RL", "AP", "SI"), strict=True)
    parts = (f"{letters[value < 0]} {abs(value):.1f} mm" for value, letters in signs)
    return ", ".join(part.replace(" ", "\N{NO-BREAK SPACE}") for part in parts)


def kind(reported: ReportedNodule) -> str:
    """Attenuation type that the guidelines were asked with."""
    found = reported.assessment.finding.kind
    return found.value if found else "kind not known"


def volume_interval(nodule: Nodule) -> str:
    """Such as "851 to 1098 mm³"; "" where it is not known."""
    if nodule.character is None:
        return ""
    low, high = nodule.character.volume_95_mm3
    return f"{whole(low)} to {whole(high)} mm³"


def volume_repeats(volume: Volume, nodule: Nodule) -> str:
    """A sentence on how well a nodule's volume repeats."""
    if nodule.character is not None:
        return "In brackets, where it would lie on a repeated CT, 19 times of 20."
    spacing = float(volume.spacing.max())
    if spacing > THIN_SLICES.largest_spacing_mm:
        return f"How well it repeats is not known for slices {spacing:.3g} mm apart."
    return f"On a repeated CT it lies within {THIN_SLICES.limit:.0%} of it, 19 times of 20 ({THIN_SLICES.source})."


def size_table(volume: Volume, nodule: Nodule) -> Table:
    """Diameters, volume, density and mass."""
    measured, character = nodule.measurements, nodule.character
    interval = volume_interval(nodule)
    rows: list[_Row] = [
        (
            "Mean diameter",
            f"{measured.mean_diameter_mm:.1f} mm",
            "Mean of the two axes below (Lung-RADS v2022, which counts a rise of more than "
            f"{LUNG_RADS_GROWTH_MM:g} mm as growth).",
        ),
        (
            "Axes, axial",
            f"{measured.long_axis_mm:.1f} × {measured.short_axis_mm:.1f} mm",
            "Longest diameter of the outline in an axial section, and the longest one across it in that section "
            "(Bankier et al., Radiology 2017).",
        ),
    ]
    if character is not None:
        rows.append(("Axes, best plane", _axes(character.best_plane), "The same among all planes, also oblique ones."))
    rows.append(
        (
            "Volume",
            f"{whole(measured.volume_mm3)} mm³" + (f" ({interval})" if interval else ""),
            f"Each voxel counts by its share of nodule. {volume_repeats(volume, nodule)}",
        )
    )
    rows.append(
        (
            "Attenuation",
            f"{whole(measured.mean_hu)} HU",
            "Mean of the voxels that are wholly nodule, away from its edge.",
        )
    )
    if character is not None:
        rows.append(("Mass", f"{whole(character.mass_mg)} mg", "Volume times (mean HU + 1000) / 1000 mg/mm³."))
        rows += _solid_part(character)
    return Table(f"Size of nodule {nodule.id}", _HEADER, tuple(rows), _WIDTHS)


def character_table(reported: ReportedNodule) -> Table:
    """Kind, surroundings and surface, as the guidelines were asked with them."""
    nodule, finding = reported.nodule, reported.assessment.finding
    character = nodule.character
    rows = [_kind_row(reported)]
    if character is None or (finding.calcification, finding.fat) != (character.calcification, character.fat):
        calcium_source = _ENTERED if finding.calcification.value != "none" or finding.fat else "Not looked for."
    else:
        calcium_source = "By attenuation and where in the nodule it lies."
    fat = "; fat" if finding.fat else ""
    rows.append(("Calcification", f"{finding.calcification.value}{fat}", calcium_source))
    if character is not None and character.zone:
        rows.append(("Zone", character.zone, "Third of the lung by height."))
    rows.append(_known("Lobe", Lobe(finding.lobe).value if finding.lobe else None, character and character.lobe))
    if character is not None:
        rows += _surroundings(character)
    rows.append(_known("At the pleura", finding.juxtapleural, character and character.juxtapleural))
    rows.append(_known("At a fissure", finding.perifissural, character and character.perifissural))
    if character is not None:
        index = "of its surface, 0 (none) to 1: an index of this software, which no guideline asks for."
        rows.append(("Spiculation index", f"{character.spiculation:.2f}", f"Spikes {index}"))
        rows.append(("Lobulation index", f"{character.lobulation:.2f}", f"Bulges {index}"))
    rows.append(_known("Spiculated", finding.spiculation, None))
    return Table(f"Character of nodule {nodule.id}", _HEADER, tuple(rows), _WIDTHS)


def doubts(nodule: Nodule) -> tuple[str, ...]:
    """Sentences on what makes a nodule's measurements less sure."""
    character = nodule.character
    if character is None:
        return ()
    found = []
    if character.at_edge:
        found.append("The field of view cuts the nodule; its size is too small.")
    if not character.reliable:
        found.append("Voxels or noise do not allow a volume that can be compared with another CT's.")
    return tuple(dict.fromkeys((*found, *character.warnings)))


def _axes(diameters: Diameters) -> str:
    return f"{diameters.long_axis_mm:.1f} × {diameters.short_axis_mm:.1f} mm"


def _solid_part(character: Character) -> list[_Row]:
    solid = character.solid_part
    if solid is None:
        return []
    axes = f", {_axes(solid.diameters)}" if solid.diameters else ""
    return [("Solid part", f"{whole(solid.volume_mm3)} mm³{axes}", "What has −300 HU or more; axes as above.")]


def _kind_row(reported: ReportedNodule) -> _Row:
    found, nodule = reported.assessment.finding.kind, reported.nodule
    measured = nodule.character.kind if nodule.character else None
    if found is None:
        source = "Neither measured nor entered."
    elif found is measured:
        source = "Measured by attenuation."
    elif measured is None and nodule.ratings and nodule.ratings.kind == found.value:
        source = "Not measured: what radiologists would probably have called it."
    else:
        source = _ENTERED
    return ("Kind", found.value if found else _NOT_KNOWN, source)


def _surroundings(character: Character) -> list[_Row]:
    rows: list[_Row] = []
    if character.pleura_mm is not None:
        definition = "From its surface to the nearest costal, mediastinal or diaphragmatic surface of the lung."
        rows.append(("Distance to the pleura", f"{character.pleura_mm:.1f} mm", definition))
    rows.append(("At a vessel", "yes" if character.juxtavascular else "no", "A vessel touches it."))
    return rows


def _known(name: str, value: bool | str | None, measured: object) -> _Row:
    """A row of what the guidelines were asked with: measured, or entered by the reader."""
    if value is None:
        return (name, _NOT_KNOWN, "Neither measured nor entered.")
    shown = value if isinstance(value, str) else "yes" if value else "no"
    return (name, shown, "Measured." if measured is not None and value == measured else _ENTERED)
