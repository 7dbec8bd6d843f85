"""What was found in a CT: the result, apart from what computes it, so that it is shown without loading a network."""

from __future__ import annotations

from dataclasses import dataclass

from LungNoduleAILib.nodule import Nodule
from SegmentationAILib.engine.task import Task
from SegmentationAILib.labels import LabelMap

# The ids of the detectors that come with the extension: its network, and features without one.
NODULES = "nodules"
BASELINE = "nodules-baseline"
# Of a task: the model that outlines the lobes.
LOBES_OPTION = "lobes"


@dataclass(frozen=True, eq=False)
class Findings:
    """What was found in one volume.

    Attributes:
        lungs: right lung, left lung and airway on the volume's grid.
        nodules: in order of falling score, rated, with their character.
        task: what was run, to make the result again.
    """

    lungs: LabelMap
    nodules: tuple[Nodule, ...]
    task: Task
