"""What a script does to make volumes better in Slicer."""

from __future__ import annotations

from collections.abc import Mapping

import slicer

from SegmentationAILib.engine.background import background
from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.engine.steps import Call, Steps
from SegmentationAILib.engine.task import Option, Task
from SegmentationAILib.enhancement.operations import OPERATION, PREPROCESS, checked, operation


class PreprocessLogic:
    """Denoising, contrast, bias field and grid without the panel.

    Example::

        logic = SegmentationAILogic()
        ct = slicer.util.getNode("LungNodulesCT")
        smooth = logic.preprocess(ct, "curvature flow", radius_mm=1.2)
        clear = logic.preprocess(smooth, "CLAHE", centre_hu=-600, width_hu=1500)
    """

    def requireDependencies(self) -> None:
        """Refuse to work where a package is missing."""
        raise NotImplementedError

    def preprocess(
        self,
        volumeNode: slicer.vtkMRMLScalarVolumeNode,
        operationName: str = "curvature flow",
        device: str = "auto",
        progress: Progress | None = None,
        **parameters: Option,
    ) -> slicer.vtkMRMLScalarVolumeNode:
        """A new volume that an operation makes of a volume, which stays as it is.

        :param operationName: "median", "gaussian", "curvature flow", "non-local means", "window",
            "histogram equalisation", "CLAHE", "N4", "resample" or "reorient".
        :param device: torch device name such as "cuda:0", or "auto"; for what can use one.
        :param progress: told of each stage; its token cancels the run.
        :param parameters: of the operation, such as ``radius_mm=1.0``; the others have their defaults.
        :raises InputError: there is no such operation or parameter, or the volume cannot be used.
        :raises Cancelled: the user cancelled.
        """
        return background.finish_here(self.preprocessing(volumeNode, operationName, parameters, device), progress)

    def preprocessing(
        self,
        volumeNode: slicer.vtkMRMLScalarVolumeNode,
        operationName: str,
        parameters: Mapping[str, Option],
        device: str = "auto",
    ) -> Steps[slicer.vtkMRMLScalarVolumeNode]:
        """``preprocess`` for a window that must not wait."""
        self.requireDependencies()
        from SegmentationAILib.enhancement.scene import adding_enhanced
        from SegmentationAILib.scene import volume_from_node

        held = operation(operationName)
        options = {OPERATION: operationName, **checked(operationName, parameters)}
        task = Task(PREPROCESS, options, device)
        volume = volume_from_node(volumeNode)
        made = yield Call(PREPROCESS, task, volume, 0.0, 0.98)
        return (yield from adding_enhanced(made, volumeNode, held, task.to_json()))
