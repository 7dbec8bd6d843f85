"""Which models of the catalogue find nodules, or outline the lobes they lie in; read without loading any network."""

from __future__ import annotations

from SegmentationAILib.catalog.entry import Entry
from SegmentationAILib.catalog.listing import load
from SegmentationAILib.catalog.store import installed

# As the catalogue's models call them.
LOBES = frozenset(
    {
        "lung_upper_lobe_left",
        "lung_lower_lobe_left",
        "lung_upper_lobe_right",
        "lung_middle_lobe_right",
        "lung_lower_lobe_right",
    }
)


def detection_bundles() -> list[Entry]:
    """The catalogue's detection bundles, the user's own with them; those that are installed first."""
    return _installed_first([one for one in load() if one.task == "detection" and not one.built_in])


def lobe_models() -> list[Entry]:
    """The models that tell the five lobes apart, those that are installed first."""
    return _installed_first([one for one in load() if set(one.label_ids.values()) >= LOBES])


def is_installed(entry: Entry) -> bool:
    """Whether the model can run here as it is."""
    return installed(entry) is not None


def _installed_first(entries: list[Entry]) -> list[Entry]:
    return sorted(entries, key=lambda one: not is_installed(one))
