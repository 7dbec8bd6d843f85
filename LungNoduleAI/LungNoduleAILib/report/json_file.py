"""The report as JSON, by ``Resources/Report/report.schema.json``: all numbers, and the words of the other forms.

No name, number or date of the patient is in it, and no DICOM identifier of the CT.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from LungNoduleAILib.followup.change import Lone, Pair
from LungNoduleAILib.followup.comparison import FollowUp
from LungNoduleAILib.guidelines.lung_rads_exam import ExamAssessment
from LungNoduleAILib.report.content import ReportContent
from LungNoduleAILib.report.document import Block, Section, Sentences, Table
from LungNoduleAILib.report.json_nodule import answer_data, nodule_data, recommendation_data
from LungNoduleAILib.report.wording import document_of
from SegmentationAILib import __version__
from SegmentationAILib.writing import atomic_write

FORMAT, VERSION = "thoraxai-lung-nodule-report", 1
SCHEMA = "report.schema.json"
# More tells nothing of what was measured.
_DECIMALS = 6


def write_json(content: ReportContent, path: str | Path) -> Path:
    """Write the report; the same content gives the same bytes.

    Raises:
        InputError: the folder cannot be written to.
    """
    path = Path(path)
    text = json.dumps(_plain(report_data(content)), indent=1, ensure_ascii=False, allow_nan=False)
    with atomic_write(path) as partial:
        partial.write_text(text + "\n", encoding="utf-8")
    return path


def report_data(content: ReportContent) -> dict[str, Any]:
    """What the file holds."""
    document = document_of(content)
    return {
        "format": FORMAT,
        "version": VERSION,
        "made_at": document.made_at,
        "use": document.use,
        "software": {"name": "ThoraxAI", "version": __version__},
        "detector": {
            "model": content.task.model,
            "options": dict(sorted(content.task.options.items())),
            "device": content.task.device,
            "weights_sha256": content.model_hash or None,
        },
        "ct": _ct(content),
        "patient": _patient(content),
        "examination": {"lung_rads": answer_data(content.exam, _exam)},
        "nodules": [nodule_data(one) for one in content.nodules],
        "follow_up": _follow_up(content.follow_up) if content.follow_up is not None else None,
        "warnings": list(content.warnings),
        "text": [_section(section) for section in document.sections],
    }


def _ct(content: ReportContent) -> dict[str, Any]:
    volume, lungs = content.volume, content.lungs
    return {
        "voxels_ijk": list(volume.shape[::-1]),
        "voxel_size_ijk_mm": [float(mm) for mm in volume.spacing],
        "slice_spacing_mm": float(volume.spacing.max()),
        "volumes_ml": {structure.name: lungs.volume_ml(structure) for structure in lungs.structures.values()},
        "notes": list(volume.notes),
    }


def _patient(content: ReportContent) -> dict[str, Any]:
    known = asdict(content.patient)
    return {"age_years": known.pop("age"), **known}


def _exam(exam: ExamAssessment) -> dict[str, Any]:
    return {
        "label": exam.label,
        "other_finding": exam.other_finding,
        "recommendation": recommendation_data(exam.overall),
    }


def _follow_up(follow_up: FollowUp) -> dict[str, Any]:
    found = follow_up.registration
    return {
        "days": follow_up.days,
        "registration": {
            "lungs": list(found.sides),
            "overlap_dice": found.overlap,
            "residual_mm": found.residual_mm,
            "correlation": found.correlation,
            "folded_share": found.folded_share,
        },
        "pairs": [_pair(pair) for pair in follow_up.pairs],
        "new": [_alone(one) for one in follow_up.new],
        "resolved": [_alone(one) for one in follow_up.resolved],
        "unseen": [_alone(one) for one in follow_up.unseen],
        "warnings": list(follow_up.warnings),
    }


def _pair(pair: Pair) -> dict[str, Any]:
    doubling = pair.doubling
    return {
        "current_id": pair.current.id,
        "prior_id": pair.prior.id,
        "distance_mm": pair.distance_mm,
        "prior_volume_mm3": pair.prior.measurements.volume_mm3,
        "prior_mean_diameter_mm": pair.prior.measurements.mean_diameter_mm,
        "volume_change_fraction": pair.volume_change,
        "mean_diameter_change_mm": pair.mean_diameter_change_mm,
        "long_axis_change_mm": pair.long_axis_change_mm,
        "doubling_time_days": doubling.days,
        "doubling_time_95_days": [doubling.shortest_days, doubling.longest_days] if doubling.source else None,
        "repeatability_source": doubling.source or None,
        "behaviour": pair.behaviour.value,
        "grew_by_bts": pair.grew_by_bts,
        "text": pair.sentence,
    }


def _alone(one: Lone) -> dict[str, Any]:
    return {
        "id": one.nodule.id,
        "volume_mm3": one.nodule.measurements.volume_mm3,
        "mean_diameter_mm": one.nodule.measurements.mean_diameter_mm,
        "place_on_other_ct_ras_mm": list(one.place_ras),
        "text": one.sentence,
    }


def _section(section: Section) -> dict[str, Any]:
    return {
        "key": section.key,
        "title": section.title,
        "blocks": [_block(block) for block in section.blocks],
        "sections": [_section(part) for part in section.sections],
    }


def _block(block: Block) -> dict[str, Any]:
    if isinstance(block, Sentences):
        return {"sentences": [*([block.before] if block.before else []), *block.items]}
    if isinstance(block, Table):
        return {"caption": block.caption, "header": list(block.header), "rows": [list(row) for row in block.rows]}
    return {"caption": block.caption, "pictures": [picture.text for picture in block.pictures]}


def _plain(value: Any) -> Any:
    """The same with rounded numbers; what is no number is null."""
    if isinstance(value, dict):
        return {name: _plain(held) for name, held in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(held) for held in value]
    if isinstance(value, float):
        return round(float(value), _DECIMALS) if math.isfinite(value) else None
    return value
