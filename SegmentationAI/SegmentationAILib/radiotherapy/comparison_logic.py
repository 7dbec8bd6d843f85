"""What a script does to compare segmentations in Slicer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import slicer

from SegmentationAILib.engine.background import background
from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.engine.steps import Call, Steps
from SegmentationAILib.engine.task import Task
from SegmentationAILib.errors import Cancelled, InputError

if TYPE_CHECKING:
    from SegmentationAILib.radiotherapy.comparison_report import Comparison


class ComparisonLogic:
    """Agreement of segmentations without the panel.

    Example::

        logic = SegmentationAILogic()
        ct = slicer.util.getNode("LungNodulesCT")
        mine, yours = slicer.util.getNode("mine"), slicer.util.getNode("yours")
        table = logic.compareStructures(mine, yours, ct, pairs={"Heart": "COR"})
    """

    def requireDependencies(self) -> None:
        """Refuse to work where a package is missing."""
        raise NotImplementedError

    def compareStructures(
        self,
        reference: slicer.vtkMRMLSegmentationNode,
        test: slicer.vtkMRMLSegmentationNode,
        volumeNode: slicer.vtkMRMLScalarVolumeNode,
        toleranceMm: float = 2.0,
        progress: Progress | None = None,
        pairs: Mapping[str, str] | None = None,
    ) -> slicer.vtkMRMLTableNode:
        """A table with a row for each structure that both have: Dice, HD95, surface Dice and more.

        :param volumeNode: the CT on whose voxels they are compared.
        :param toleranceMm: of the surface Dice.
        :param pairs: names in the test by those in the reference; those of the same name, if not given.
        :raises InputError: a segmentation is missing, or there is nothing to compare.
        :raises Cancelled: the user cancelled, or a segmentation left the scene.
        """
        steps = self.comparing(reference, test, volumeNode, toleranceMm, pairs)
        return background.finish_here(steps, progress)[1]

    def pairsByName(
        self, reference: slicer.vtkMRMLSegmentationNode, test: slicer.vtkMRMLSegmentationNode
    ) -> dict[str, str]:
        """Names in the test by those in the reference that are the same, case aside; none within one segmentation."""
        if reference is test:
            return {}
        known = {name.lower(): name for name in segment_ids(test)}
        return {name: known[name.lower()] for name in segment_ids(reference) if name.lower() in known}

    def comparing(
        self,
        reference: slicer.vtkMRMLSegmentationNode,
        test: slicer.vtkMRMLSegmentationNode,
        volumeNode: slicer.vtkMRMLScalarVolumeNode,
        toleranceMm: float = 2.0,
        pairs: Mapping[str, str] | None = None,
    ) -> Steps[tuple[Comparison, slicer.vtkMRMLTableNode]]:
        """``compareStructures`` for a window that must not wait; with the figures as they are."""
        self.requireDependencies()
        from SegmentationAILib.radiotherapy.comparison_report import (
            BOTH,
            COLUMNS,
            REFERENCE_ONLY,
            TEST_ONLY,
            ComparedStructure,
            Comparison,
        )
        from SegmentationAILib.radiotherapy.pair_comparison import COMPARE, TOLERANCE, mask_pair
        from SegmentationAILib.radiotherapy.table_scene import add_comparison
        from SegmentationAILib.scene import mask_from_segment, volume_from_node

        if reference is None or test is None:
            raise InputError("Choose two segmentations to compare.")
        grid = volume_from_node(volumeNode).grid
        if not grid.is_orthogonal:
            raise InputError("The CT's voxels are sheared; resample it to a grid with right angles first.")
        ids, other_ids = segment_ids(reference), segment_ids(test)
        chosen = self.pairsByName(reference, test) if pairs is None else dict(pairs)
        _check_pairs(chosen, ids, other_ids)
        task = Task(COMPARE, {TOLERANCE: toleranceMm})
        rows = []
        for number, (name, other) in enumerate(chosen.items()):
            masks = mask_from_segment(reference, ids[name], grid), mask_from_segment(test, other_ids[other], grid)
            share = number / len(chosen), (number + 1) / len(chosen)
            figures = yield Call(COMPARE, task, mask_pair(*masks, grid), *share)
            if not (slicer.mrmlScene.IsNodePresent(reference) and slicer.mrmlScene.IsNodePresent(test)):
                raise Cancelled
            rows.append(ComparedStructure(name, BOTH, figures, other))
        rows += [ComparedStructure(name, REFERENCE_ONLY, {}) for name in ids if name not in chosen]
        if reference is not test:
            taken = set(chosen.values())
            rows += [ComparedStructure(name, TEST_ONLY, {}) for name in other_ids if name not in taken]
        comparison = Comparison(tuple(rows), toleranceMm)
        columns = [(title, comparison.column(title)) for title in COLUMNS]
        slicer.mrmlScene.SaveStateForUndo()
        return comparison, add_comparison(f"{test.GetName()} against {reference.GetName()}", columns, test)


def segment_ids(segmentation: slicer.vtkMRMLSegmentationNode) -> dict[str, str]:
    """Id of each segment by its name.

    Raises:
        InputError: two segments share a name.
    """
    segments = segmentation.GetSegmentation()
    found: dict[str, str] = {}
    for segment_id in segments.GetSegmentIDs():
        name = segments.GetSegment(segment_id).GetName()
        if name in found:
            raise InputError(f"Two segments of '{segmentation.GetName()}' are named '{name}'; rename one of them.")
        found[name] = segment_id
    return found


def _check_pairs(pairs: Mapping[str, str], ids: Mapping[str, str], other_ids: Mapping[str, str]) -> None:
    if not pairs:
        raise InputError(
            f"No pair is chosen; one segmentation holds {', '.join(ids) or 'nothing'}, the other "
            f"{', '.join(other_ids) or 'nothing'}: choose what is compared with what."
        )
    for held, names in ((ids, pairs), (other_ids, pairs.values())):
        missing = [name for name in names if name not in held]
        if missing:
            raise InputError(f"There is no segment '{missing[0]}'; choose one of: {', '.join(held) or 'none'}.")
