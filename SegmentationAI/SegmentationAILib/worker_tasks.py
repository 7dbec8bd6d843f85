"""What a worker process runs of this library, by ``Task.model``; nothing of it is imported here."""

from __future__ import annotations

from SegmentationAILib.engine.worker.registry import Entry

_SEGMENTATION = Entry("SegmentationAILib.segmentation:segment", "SegmentationAILib.labels:LabelMap")

TASKS = {"lungs": _SEGMENTATION, "organs": _SEGMENTATION}
