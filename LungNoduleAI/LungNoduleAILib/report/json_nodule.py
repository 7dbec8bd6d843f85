"""A nodule of a report as data for a JSON file; each number's unit is in its name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any, TypeVar

from LungNoduleAILib.assessment import Assessment
from LungNoduleAILib.character import Character, Diameters
from LungNoduleAILib.explanation.result import Explanation
from LungNoduleAILib.guidelines.answers import Range, Recommendation
from LungNoduleAILib.guidelines.findings import Finding
from LungNoduleAILib.guidelines.logistic import Risk
from LungNoduleAILib.nodule import Measurements
from LungNoduleAILib.rating import Ratings
from LungNoduleAILib.report.content import ReportedNodule
from LungNoduleAILib.report.wording_answers import ends
from LungNoduleAILib.review import Decision

T = TypeVar("T")


def nodule_data(reported: ReportedNodule) -> dict[str, Any]:
    """All that is known of a nodule, its mask and pictures aside."""
    nodule = reported.nodule
    return {
        "id": nodule.id,
        "tracking_uid": reported.uid,
        "decision": _decision(reported.decision),
        "centre_ras_mm": list(nodule.centre_ras),
        "lung": nodule.lung or None,
        "score": nodule.score,
        "detected_diameter_mm": nodule.diameter_mm,
        "measurements": _measurements(nodule.measurements),
        "character": _character(nodule.character) if nodule.character else None,
        "ratings": _ratings(nodule.ratings) if nodule.ratings else None,
        "assessment": _assessment(reported.assessment),
        "explanation": _explanation(reported.explanation) if reported.explanation else None,
    }


def answer_data(answer: T | Range[T], of_one: Callable[[T], dict[str, Any]]) -> dict[str, Any]:
    """An answer, or both ends of a range with what to ask; the ends are equal where it is settled."""
    low, high = ends(answer)
    missing = answer.missing if isinstance(answer, Range) else ()
    return {
        "is_range": isinstance(answer, Range),
        "low": of_one(low),
        "high": of_one(high),
        "missing": [{"name": question.name, "question": question.text} for question in missing],
    }


def recommendation_data(one: Recommendation) -> dict[str, Any]:
    """What a guideline says."""
    return {
        "guideline": one.guideline,
        "category": one.category or None,
        "advice": one.advice,
        "applies": one.applies,
        "risk_of_malignancy": one.risk or None,
        "rule": asdict(one.rule),
        "notes": list(one.notes),
        "text": one.text,
    }


def _decision(decision: Decision) -> dict[str, Any]:
    return {
        "verdict": decision.verdict.value,
        "at": decision.at.isoformat() if decision.at else None,
        "edited": decision.edited,
        "added": decision.added,
    }


def _measurements(measured: Measurements) -> dict[str, Any]:
    return {**asdict(measured), "mean_diameter_mm": measured.mean_diameter_mm}


def _character(character: Character) -> dict[str, Any]:
    solid = character.solid_part
    return {
        "volume_95_mm3": list(character.volume_95_mm3),
        "axial": _diameters(character.axial),
        "best_plane": _diameters(character.best_plane),
        "solid_part": None
        if solid is None
        else {
            "volume_mm3": solid.volume_mm3,
            "diameters": _diameters(solid.diameters) if solid.diameters else None,
        },
        "kind": character.kind.value if character.kind else None,
        "calcification": character.calcification.value,
        "fat": character.fat,
        "mass_mg": character.mass_mg,
        "lobe": character.lobe.value if character.lobe else None,
        "zone": character.zone or None,
        "pleura_distance_mm": character.pleura_mm,
        "juxtapleural": character.juxtapleural,
        "perifissural": character.perifissural,
        "juxtavascular": character.juxtavascular,
        "spiculation_index": character.spiculation,
        "lobulation_index": character.lobulation,
        "at_edge": character.at_edge,
        "reliable": character.reliable,
        "warnings": list(character.warnings),
    }


def _diameters(diameters: Diameters) -> dict[str, Any]:
    return {
        "long_axis_mm": diameters.long_axis_mm,
        "short_axis_mm": diameters.short_axis_mm,
        "mean_mm": diameters.mean_mm,
        "long_axis_ends_ras_mm": [list(end) for end in diameters.long_axis_ras],
        "short_axis_ends_ras_mm": [list(end) for end in diameters.short_axis_ras],
    }


def _ratings(ratings: Ratings) -> dict[str, Any]:
    return {
        "grades": {
            grade.rating: {
                "grade_1_to_5": grade.value,
                "standard_deviation": grade.deviation,
                "word": grade.word,
                "probabilities": list(grade.probabilities),
            }
            for grade in ratings.grades
        },
        "calcification_probability": ratings.calcification,
        "text": list(ratings.text),
    }


def _assessment(assessment: Assessment) -> dict[str, Any]:
    guidelines = ("lung_rads", "fleischner", "bts")
    models = ("brock", "mayo", "herder")
    return {
        "asked_with": _finding(assessment.finding),
        **{name: answer_data(getattr(assessment, name), recommendation_data) for name in guidelines},
        **{name: answer_data(getattr(assessment, name), _risk) for name in models},
    }


def _finding(finding: Finding) -> dict[str, Any]:
    """Attributes of ``Finding`` that are known, by their names; the change of volume is a fraction."""
    known = {name: value for name, value in asdict(finding).items() if value is not None}
    if "volume_change" in known:
        known["volume_change_fraction"] = known.pop("volume_change")
    return {name: getattr(value, "value", value) for name, value in known.items()}


def _risk(risk: Risk) -> dict[str, Any]:
    return {
        "model": risk.model,
        "source": risk.source,
        "probability": risk.probability,
        "logit": risk.logit,
        "terms": [asdict(term) for term in risk.terms],
        "notes": list(risk.notes),
        "text": risk.text,
    }


def _explanation(explanation: Explanation) -> dict[str, Any]:
    return {
        "largest_fall_of_logit_per_ml": float(explanation.influence.max()),
        "largest_rise_of_logit_per_ml": float(-explanation.influence.min()),
        "similar": [
            {
                "name": one.name,
                "distance": one.distance,
                "diameter_mm": one.diameter_mm,
                "readers": one.readers,
            }
            for one in explanation.similar
        ],
    }
