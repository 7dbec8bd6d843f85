"""What a shell says of the patient: a YAML file, options, or both."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from LungNoduleAILib.guidelines.patient import Patient

# Attribute of ``Patient``, the option for yes and the one for no, what it means.
_YES_NO = (
    ("ever_smoked", "--smoker", "--never-smoked", "Smokes, or did formerly."),
    ("family_history", "--family-history", "--no-family-history", "Lung cancer in the family."),
    ("emphysema", "--emphysema", "--no-emphysema", "On CT."),
    ("fibrosis", "--fibrosis", "--no-fibrosis", "Pulmonary fibrosis on CT."),
    ("cancer_history", "--cancer", "--no-cancer", "A known primary cancer, now or formerly."),
    (
        "extrathoracic_cancer",
        "--extrathoracic-cancer",
        "--no-extrathoracic-cancer",
        "Outside the chest, over 5 years ago.",
    ),
    ("immunosuppressed", "--immunosuppressed", "--not-immunosuppressed", ""),
    ("asbestos", "--asbestos", "--no-asbestos", "Exposure to asbestos, uranium or radon."),
    ("screening", "--screening", "--incidental", "Why the CT was taken."),
    ("high_risk", "--high-risk", "--low-risk", "By the Fleischner Society's factors."),
)


def patient_options(command: Callable) -> Callable:
    """Options of a command that takes a patient; what is left out is not known."""
    options = [
        click.option("--patient", "patient_file", type=click.Path(path_type=Path), help="YAML with what is known."),
        click.option("--age", type=float, help="Years."),
        click.option("--sex", type=click.Choice(["female", "male"])),
        click.option("--pack-years", type=float),
    ]
    options += [click.option(f"{yes}/{no}", name, default=None, help=tip) for name, yes, no, tip in _YES_NO]
    for option in reversed(options):
        command = option(command)
    return command


def patient_from(options: Mapping[str, Any]) -> Patient:
    """The patient; an option stands above what the file says.

    Args:
        options: as ``patient_options`` names them.

    Raises:
        InputError: the file cannot be read, holds what is not asked, or a value is out of range or contradicts another.
    """
    from LungNoduleAILib.answer import patient_of

    known = {} if options["patient_file"] is None else _from_file(options["patient_file"])
    said = {name: options[name] for name in ("age", "pack_years", *(name for name, *_ in _YES_NO))}
    said["female"] = None if options["sex"] is None else options["sex"] == "female"
    return patient_of({**known, **{name: value for name, value in said.items() if value is not None}})


def _from_file(path: Path) -> dict[str, Any]:
    from dataclasses import fields

    from LungNoduleAILib.guidelines.patient import Patient
    from SegmentationAILib.radiotherapy.yaml_file import YamlFile

    schema = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            one.name: {"type": "number" if one.name in ("age", "pack_years") else "boolean"} for one in fields(Patient)
        },
    }
    return YamlFile(path, schema).content
