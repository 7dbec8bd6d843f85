"""What a worker process runs of this library, by name; nothing of it is imported here."""

from __future__ import annotations

from SegmentationAILib.engine.worker.registry import Entry

_ANALYSIS = Entry("LungNoduleAILib.analysis:analyze", "LungNoduleAILib.analysis_result:Findings")
_TASKS, _TYPES = "LungNoduleAILib.panel_tasks", "LungNoduleAILib.panel_results"

TASKS = {
    "nodules": _ANALYSIS,
    "nodules-baseline": _ANALYSIS,
    "detect": Entry(f"{_TASKS}:detect", f"{_TYPES}:Detected", f"{_TYPES}:Case"),
    "measure nodule": Entry(f"{_TASKS}:measure", "LungNoduleAILib.nodule:Nodule", f"{_TYPES}:Drawn"),
    "outline nodule": Entry(f"{_TASKS}:outline", f"{_TYPES}:Outlined", f"{_TYPES}:Case"),
    "compare nodules": Entry(f"{_TASKS}:compare", "LungNoduleAILib.followup.comparison:FollowUp", f"{_TYPES}:TwoCases"),
    "explain nodule": Entry(f"{_TASKS}:explain", "LungNoduleAILib.explanation.result:Explanation", f"{_TYPES}:Case"),
    "report nodules": Entry(f"{_TASKS}:report", "builtins:dict", f"{_TYPES}:ToReport"),
    "read exam": Entry(f"{_TASKS}:exam", "LungNoduleAILib.followup.exam:Exam", f"{_TYPES}:Case"),
}
