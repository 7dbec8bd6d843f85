"""How a report was made and what it is not, in words that are the same in each."""

from __future__ import annotations

from dataclasses import fields

from LungNoduleAILib.guidelines.patient import Patient
from LungNoduleAILib.report.content import ReportContent
from LungNoduleAILib.report.document import Section, Sentences, Table
from SegmentationAILib import __version__
from SegmentationAILib.terminology import LEFT_LUNG, RIGHT_LUNG

USE = "Research use, not a medical device: the clinician decides."

_LIMITS = (
    "This report is made by a program for research. It is no diagnosis, and no reader's report.",
    "The detector misses nodules and marks what is none. Where it found none, there may be some: the CT is to be read "
    "as if it had not been run. It was made for nodules of 3 to 30 mm; it misses more of those under 5 mm, of ground "
    "glass, in scars and at vessels than of others.",
    "Volumes and diameters depend on slices, kernel, dose, contrast agent and breath. Compare a nodule only with "
    "itself on a CT that was made in the same way.",
    "The guidelines' rules are given in short; the guidelines themselves are what counts. Each is made for some "
    "patients and not for others. An answer is right only if what it was asked with is: the tables of each nodule "
    "say what that was.",
    "The risk models estimate how often such nodules were cancer in the people they were made on. They know nothing "
    "of this patient beyond their terms.",
    "What radiologists would probably have called a nodule is an impression of a picture. No tissue was looked at.",
    "Other findings of the CT, in the lungs or elsewhere, were not looked for.",
    "The report holds no name, number or date of birth of the patient.",
)
# Attribute of ``Patient``, how a report calls it.
_INPUTS = {
    "age": "Age, years",
    "female": "Female",
    "pack_years": "Pack-years",
    "ever_smoked": "Smokes or smoked",
    "family_history": "Lung cancer in the family",
    "emphysema": "Emphysema on CT",
    "cancer_history": "Known primary cancer, now or formerly",
    "extrathoracic_cancer": "Cancer outside the chest more than five years ago",
    "immunosuppressed": "Immunosuppressed",
    "screening": "CT of lung cancer screening",
    "asbestos": "Exposure to asbestos, uranium or radon",
    "fibrosis": "Pulmonary fibrosis on CT",
    "high_risk": "High risk by the Fleischner Society's factors",
}


def searched(content: ReportContent) -> str:
    """What was searched, and by what."""
    volumes = []
    for name, structure in (("right", RIGHT_LUNG), ("left", LEFT_LUNG)):
        if structure in content.lungs.structures.values():
            litres = content.lungs.volume_ml(structure) / 1000
            volumes += [f"the {name} lung ({litres:.1f} litres)"] * (litres > 0)
    lungs = " and ".join(volumes) or "no lung, since none was outlined"
    return f"{lungs}, by the detector '{content.task.model}'"


def methods_section(content: ReportContent) -> Section:
    """CT, detector, definitions, and what was known of the patient."""
    volume, task = content.volume, content.task
    k, j, i = volume.shape
    size = " × ".join(f"{mm:.2f}" for mm in volume.spacing)
    options = ", ".join(f"{name} {value}" for name, value in sorted(task.options.items())) or "the defaults"
    rows = (
        ("CT", f"{i} × {j} × {k} voxels of {size} mm; slices {max(volume.spacing):.2f} mm apart"),
        ("Searched", searched(content)),
        ("Software", f"ThoraxAI {__version__}"),
        ("Detector", f"{task.model}; options: {options}; device: {task.device}"),
        ("Weights, SHA-256", content.model_hash or "the detector has none"),
        ("Outline", "where half of a voxel is nodule, between the HU of its core and of the lung around it"),
        ("Places", "mm from the origin of the scanner's coordinates to the patient's R or L, A or P, S or I"),
    )
    notes = [Sentences(volume.notes, listed=True, tone="note")] if volume.notes else []
    table = Table("How it was made", ("What", "How"), rows, (2.2, 9))
    return Section("methods", "Methods", (table, *notes, _patient_table(content.patient)), new_page=bool(content.kept))


def limits_section() -> Section:
    """What the report is for and what it is not."""
    return Section(
        "limits", "Limits and intended use", (Sentences((USE,), tone="lead"), Sentences(_LIMITS, listed=True))
    )


def _patient_table(patient: Patient) -> Table:
    rows = tuple((_INPUTS[field.name], _shown(getattr(patient, field.name))) for field in fields(patient))
    return Table("What guidelines and risk models were told of the patient", ("Input", "Value"), rows, (6, 3))


def _shown(value: float | bool | None) -> str:
    if value is None:
        return "not known"
    return ("yes" if value else "no") if isinstance(value, bool) else f"{value:g}"
