"""What models there are; fetching, importing, checking and removing them.

Needs pooch, platformdirs and filelock for what is not built in.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from SegmentationAILib.catalog.entry import Entry
from SegmentationAILib.catalog.listing import Catalog, entry, load
from SegmentationAILib.catalog.store import Record, installed, models_folder, provenance, record_of, records
from SegmentationAILib.catalog.suitability import check_input, check_segmentation, warnings_for

if TYPE_CHECKING:
    from SegmentationAILib.catalog.fetching import fetch
    from SegmentationAILib.catalog.importing import import_local
    from SegmentationAILib.catalog.integrity import Damage, network_folder, verify
    from SegmentationAILib.catalog.own_model import Training
    from SegmentationAILib.catalog.removing import remove

# Reading the list of models, as a panel does when it opens, does not wait for what changes or checks it.
_ON_DEMAND = {
    "Damage": "integrity",
    "Training": "own_model",
    "fetch": "fetching",
    "import_local": "importing",
    "network_folder": "integrity",
    "remove": "removing",
    "verify": "integrity",
}

__all__ = [
    "Catalog",
    "Damage",
    "Entry",
    "Record",
    "Training",
    "check_input",
    "check_segmentation",
    "entry",
    "fetch",
    "import_local",
    "installed",
    "load",
    "models_folder",
    "network_folder",
    "provenance",
    "record_of",
    "records",
    "remove",
    "verify",
    "warnings_for",
]


def __getattr__(name: str) -> Any:
    if name not in _ON_DEMAND:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(import_module(f"{__name__}.{_ON_DEMAND[name]}"), name)
