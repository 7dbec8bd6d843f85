"""What a worker process runs of this library, by ``Task.model``; nothing of it is imported here."""

from __future__ import annotations

from SegmentationAILib.engine.worker.registry import Entry

_TASKS, _TYPES = (f"SegmentationAILib.radiotherapy.panel_{name}" for name in ("tasks", "results"))
_SET = "SegmentationAILib.radiotherapy.layered_set:LayeredSet"
_VOLUME = "SegmentationAILib.volume:Volume"

TASKS = {
    "apply protocol": Entry(f"{_TASKS}:apply_protocol", f"{_TYPES}:Built", f"{_TYPES}:OnVolume"),
    "rebuild structures": Entry(f"{_TASKS}:rebuild", f"{_TYPES}:Built", f"{_TYPES}:Edited"),
    "set rule": Entry(f"{_TASKS}:set_rule", f"{_TYPES}:Built", _SET),
    "contour tumour": Entry(f"{_TASKS}:contour_tumour", f"{_TYPES}:Built", f"{_TYPES}:Clicked"),
    "unite phases": Entry(f"{_TASKS}:unite_phases", f"{_TYPES}:United", f"{_TYPES}:Phases"),
    "evaluate dose": Entry(
        f"{_TASKS}:evaluate", "SegmentationAILib.radiotherapy.evaluation:DoseEvaluation", f"{_TYPES}:OnVolume"
    ),
    "load dose": Entry(f"{_TASKS}:load_dose", _VOLUME, _VOLUME),
    "import structures": Entry(f"{_TASKS}:import_structures", f"{_TYPES}:Built", _SET),
    "export structures": Entry(f"{_TASKS}:export_structures", "builtins:dict", _SET),
    "export CT": Entry(f"{_TASKS}:export_ct", "SegmentationAILib.volume:DicomSource"),
    "compare": Entry(
        "SegmentationAILib.radiotherapy.pair_comparison:run_task",
        "builtins:dict",
        "SegmentationAILib.radiotherapy.pair_comparison:MaskPair",
    ),
    "preprocess": Entry("SegmentationAILib.enhancement.enhance:run_task", "SegmentationAILib.volume:Volume"),
    "segment": Entry("SegmentationAILib.panel_tasks:segment", "SegmentationAILib.panel_results:Segmented"),
}
