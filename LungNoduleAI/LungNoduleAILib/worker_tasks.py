"""What a worker process runs of this library, by name; nothing of it is imported here."""

from __future__ import annotations

from SegmentationAILib.engine.worker.registry import Entry

_ANALYSIS = Entry("LungNoduleAILib.analysis:analyze", "LungNoduleAILib.analysis_result:Findings")
_TASKS, _TYPES = "LungNoduleAILib.panel_tasks", "LungNoduleAILib.panel_results"

TASKS = {
    "nodules": _ANALYSIS,
    "nodules-baseline": _ANALYSIS,
    "detect": Entry(f"{_TASKS}:detect", f"{_TYPES}:Detected", f"{_TYPES}:Case"),
}
