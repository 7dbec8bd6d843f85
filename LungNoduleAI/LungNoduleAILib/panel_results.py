"""What panel and worker give each other, apart from what computes it, so that it is shown without loading a network."""

from __future__ import annotations

from dataclasses import dataclass

from LungNoduleAILib.analysis_result import Findings
from LungNoduleAILib.explanation.result import Explanation
from LungNoduleAILib.followup.comparison import FollowUp
from LungNoduleAILib.nodule import Nodule
from SegmentationAILib.labels import LabelMap
from SegmentationAILib.provenance import Provenance
from SegmentationAILib.volume import Volume


@dataclass(frozen=True, eq=False)
class Case:
    """A CT with what is known of it.

    Attributes:
        volume: HU.
        lungs: right and left lung and the airway, around them; None where they were not found yet.
        record: of the reading, as ``record.to_text`` gives it; "" where there is none yet.
        folder: of the CT's DICOM files; "" where it is not known.
    """

    volume: Volume
    lungs: LabelMap | None = None
    record: str = ""
    folder: str = ""


@dataclass(frozen=True, eq=False)
class Outlined:
    """A nodule of a case and where it is drawn.

    Attributes:
        inside: the nodule's voxels, around them.
    """

    nodule: Nodule
    inside: LabelMap


@dataclass(frozen=True, eq=False)
class Drawn:
    """A nodule's outline that is to be measured.

    Attributes:
        inside: the nodule's voxels, around them.
        nodule_id, score: which it is, and how sure the detector was.
    """

    case: Case
    inside: LabelMap
    nodule_id: int
    score: float


@dataclass(frozen=True, eq=False)
class TwoCases:
    """The CTs of a follow-up."""

    current: Case
    prior: Case


@dataclass(frozen=True, eq=False)
class ToReport:
    """What a report is made of.

    Attributes:
        case: its record with what the prior CT tells of the nodules; its folder is the one that DICOM refers to.
        follow_up: what became of the nodules since the prior CT; None without one.
        prior: that CT, and its nodules' tracking identifiers by their ids.
        explanations: those that were made before, by the nodules' ids.
    """

    case: Case
    follow_up: FollowUp | None
    prior: Volume | None
    prior_uids: dict[int, str]
    explanations: dict[int, Explanation]


@dataclass(frozen=True, eq=False)
class Detected:
    """Findings in the form that takes the scene the least time.

    Attributes:
        findings: with the lungs around them alone.
        layers: label maps of the nodules, around them; those that touch lie in several.
        record: of the reading that begins with them.
        warnings: sentences on what makes the findings less sure.
        provenance: None where it is not known.
    """

    findings: Findings
    layers: tuple[LabelMap, ...]
    record: str
    warnings: tuple[str, ...] = ()
    provenance: Provenance | None = None
