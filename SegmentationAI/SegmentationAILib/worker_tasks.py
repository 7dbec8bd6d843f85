"""What a worker process runs of this library, by ``Task.model``; nothing of it is imported here."""

from __future__ import annotations

from SegmentationAILib.engine.worker.registry import ANY, Entry

_SEGMENTATION = Entry("SegmentationAILib.segmentation:segment", "SegmentationAILib.labels:LabelMap")

# Every other name is that of a model of the catalogue, which knows the user's own too.
TASKS = {
    ANY: _SEGMENTATION,
    "preprocess": Entry("SegmentationAILib.enhancement.enhance:run_task", "SegmentationAILib.volume:Volume"),
    "segment": Entry("SegmentationAILib.panel_tasks:segment", "SegmentationAILib.panel_results:Segmented"),
}
