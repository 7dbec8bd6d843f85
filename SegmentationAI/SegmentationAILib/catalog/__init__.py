"""What models there are; fetching, importing, checking and removing them.

Needs pooch, platformdirs and filelock for what is not built in.
"""

from SegmentationAILib.catalog.entry import Entry
from SegmentationAILib.catalog.fetching import fetch
from SegmentationAILib.catalog.importing import import_local
from SegmentationAILib.catalog.integrity import Damage, network_folder, verify
from SegmentationAILib.catalog.listing import Catalog, entry, load
from SegmentationAILib.catalog.own_model import Training
from SegmentationAILib.catalog.removing import remove
from SegmentationAILib.catalog.store import Record, installed, models_folder, provenance, record_of, records
from SegmentationAILib.catalog.suitability import check_input, check_segmentation, warnings_for

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
