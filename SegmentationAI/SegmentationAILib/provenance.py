"""How a result was made, so that it can be made again."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from SegmentationAILib import __version__
from SegmentationAILib.engine.task import Task
from SegmentationAILib.errors import InputError

# A result tells its kind, so that each panel lists its own.
RESULT_ATTRIBUTE = "ThoraxAI.Result"
NOTES_ATTRIBUTE = "ThoraxAI.Notes"


@dataclass(frozen=True)
class Provenance:
    """Of one result.

    Attributes:
        task: the model, its options, and the device that was asked for.
        model: what ``catalog.provenance`` tells, with the SHA-256 of its weights, as JSON; "" of none of the catalogue.
        device: torch's name of the device that it ran on.
        duration_s: of the run, without the time that the result took to the scene.
        version: of ThoraxAI.
        notes: sentences that the user should read with the result, such as that the CPU took over.
    """

    task: Task
    model: str
    device: str
    duration_s: float
    version: str = __version__
    notes: tuple[str, ...] = ()

    @property
    def attributes(self) -> dict[str, str]:
        """What a node of the scene keeps of it, by the names of its attributes."""
        return {
            "ThoraxAI.Task": self.task.to_json(),
            "ThoraxAI.Model": self.model,
            "ThoraxAI.Device": self.device,
            "ThoraxAI.DurationSeconds": f"{self.duration_s:.1f}",
            "ThoraxAI.Version": self.version,
            NOTES_ATTRIBUTE: " ".join(self.notes),
        }

    @property
    def record(self) -> dict[str, Any]:
        """What a file beside the result keeps of it, as JSON can hold it: what ``catalog.provenance`` tells, and the
        run. Of a model of none of the catalogue, the run alone.
        """
        return {
            **(json.loads(self.model) if self.model else {}),
            "task": asdict(self.task),
            "device": self.device,
            "duration_s": round(self.duration_s, 1),
            "thoraxai": self.version,
            "notes": list(self.notes),
        }


def provenance_of(task: Task, duration_s: float, notes: Iterable[str] = ()) -> Provenance:
    """Of a run on this computer.

    Raises:
        InputError: there is no such device.
    """
    # Who shows a result waits neither for torch nor for what fetches models.
    from SegmentationAILib import catalog  # noqa: PLC0415
    from SegmentationAILib.engine.device import choose_device  # noqa: PLC0415

    try:
        model = json.dumps(catalog.provenance(catalog.entry(task.model)))
    except InputError:
        model = ""
    return Provenance(task, model, str(choose_device(task.device)), duration_s, notes=tuple(dict.fromkeys(notes)))
