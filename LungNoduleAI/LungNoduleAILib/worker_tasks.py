"""What a worker process runs of this library, by ``Task.model``; nothing of it is imported here."""

from __future__ import annotations

from SegmentationAILib.engine.worker.registry import Entry

_ANALYSIS = Entry("LungNoduleAILib.analysis:analyze", "LungNoduleAILib.analysis_result:Findings")

TASKS = {"nodules": _ANALYSIS, "nodules-baseline": _ANALYSIS}
