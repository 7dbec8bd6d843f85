"""Make Resources/Demo from the public LIDC-IDRI-0003 case.

    python Testing/data/make_demo_ct.py <folder with LIDC-IDRI-0003/dicom and nodules.json> [output folder]

The same input gives the same bytes with SimpleITK 2.5.7. Prints the SHA-256 that Resources/Demo/README.md
states.
"""

from __future__ import annotations

import csv
import hashlib
import json
import sys
from pathlib import Path

import numpy as np
from scipy import ndimage

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "SegmentationAI"))

from SegmentationAILib.files import load, save  # noqa: E402
from SegmentationAILib.volume import LPS_FROM_RAS, Volume  # noqa: E402

CASE = "LIDC-IDRI-0003"
# CT noise in the lungs here is about 40 HU; rounding to 8 HU adds 2.3 and halves the file.
ROUNDED_TO_HU = 8
HU_RANGE = (-1024, 3071)
MARGIN_MM = 10.0
BODY_ABOVE_HU = -500
COLUMNS = ("id", "r", "a", "s", "diameter_mm", "volume_mm3", "readers")


def demo_volume(dicom: Path) -> Volume:
    """The CT cropped in j to body and table with a margin, HU clipped and rounded; nothing but voxels and grid."""
    ct = load(dicom)
    bodies, _ = ndimage.label(ct.array > BODY_ABOVE_HU)
    body = bodies == np.argmax(np.bincount(bodies.ravel())[1:]) + 1
    rows = np.flatnonzero(body.any(axis=(0, 2)))
    margin = round(MARGIN_MM / ct.spacing[1])
    first, last = max(0, rows[0] - margin), min(ct.shape[1] - 1, rows[-1] + margin)
    hu = np.clip(ct.array[:, first : last + 1], *HU_RANGE)
    rounded = (np.round(hu / ROUNDED_TO_HU) * ROUNDED_TO_HU).astype(np.int16)
    return Volume(rounded, ct.grid.crop((0, first, 0), rounded.shape), CASE)


def reference_rows(annotations: Path) -> list[tuple[float | int, ...]]:
    """A row of ``COLUMNS`` for each nodule: the readers' consensus, its centre turned from LPS to RAS."""
    rows = []
    for nodule in json.loads(annotations.read_text())["nodules"]:
        centre = LPS_FROM_RAS[:3, :3] @ nodule["centre_lps_mm"]
        rows.append((nodule["label"], *centre.tolist(), nodule["diameter_mm"], nodule["volume_mm3"], nodule["readers"]))
    return rows


def main(case: Path, output: Path) -> None:
    path = save(demo_volume(case / "dicom"), output / f"{CASE}.nrrd", compression_level=9)
    with (output / "reference_nodules.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(reference_rows(case / "nodules.json"))
    print(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}  {path.stat().st_size} bytes")  # noqa: T201


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else ROOT / "Resources" / "Demo")
