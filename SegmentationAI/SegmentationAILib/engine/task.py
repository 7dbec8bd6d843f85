"""A run as data: what crosses to a worker, what a batch job stores, what a report records."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field

Option = str | int | float | bool | None


@dataclass(frozen=True)
class Task:
    """The model to run and its options; with the model's hash, a result can be made again.

    ``device`` is a torch device name (``"cpu"``, ``"cuda:0"``, ``"mps"``) or ``"auto"``.
    """

    model: str
    options: dict[str, Option] = field(default_factory=dict)
    device: str = "auto"

    def to_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)

    @staticmethod
    def from_json(text: str) -> Task:
        return Task(**json.loads(text))
