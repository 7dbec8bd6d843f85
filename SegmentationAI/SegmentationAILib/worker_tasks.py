"""What a worker process runs of this library, by ``Task.model``; nothing of it is imported here."""

from __future__ import annotations

from SegmentationAILib.engine.worker.registry import Entry

TASKS = {
    "compare": Entry(
        "SegmentationAILib.radiotherapy.pair_comparison:run_task",
        "builtins:dict",
        "SegmentationAILib.radiotherapy.pair_comparison:MaskPair",
    ),
    "preprocess": Entry("SegmentationAILib.enhancement.enhance:run_task", "SegmentationAILib.volume:Volume"),
    "segment": Entry("SegmentationAILib.panel_tasks:segment", "SegmentationAILib.panel_results:Segmented"),
}
