"""python -m benchmarks.detection_baseline DATA: which marked nodules the baseline finds in each CT.

The score was fitted on these CTs; ``LungNoduleAILib.training.scorer`` prints how each CT's nodules
rank when it is left out.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import click
import numpy as np

from LungNoduleAILib.detection import detect
from LungNoduleAILib.evaluation import Reference, match
from LungNoduleAILib.layers import nodule_layers
from LungNoduleAILib.training.scorer import SCANS, centre_ras, marks_of
from SegmentationAILib.files import load
from SegmentationAILib.metrics import dice
from SegmentationAILib.organs import segment_lungs

THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7)


def rows(data: Path, scan: str) -> list[dict]:
    """A row for each mark, then one with the false positives at each threshold."""
    volume = load(data / scan / SCANS[scan])
    lungs = segment_lungs(volume)
    start = time.perf_counter()
    nodules = detect(volume, lungs, threshold=THRESHOLDS[0], max_nodules=300)
    seconds = time.perf_counter() - start
    marks = marks_of(data, scan)
    references = [
        Reference(
            tuple(centre_ras(m)),
            m["diameter_mm"],
            m["readers"] > 1 or scan.startswith("CMB"),
        )
        for m in marks
    ]
    result = match([n.centre_ras for n in nodules], [n.score for n in nodules], references)
    masks = data / scan / "nodules.nii.gz"
    drawn = load(masks).array if masks.exists() else None
    found = []
    for mark, reference, hit in zip(marks, references, result.found, strict=True):
        row = {
            "scan": scan,
            "mark": mark["label"],
            "readers": mark["readers"],
            "reference_mm": mark["diameter_mm"],
            "counts": reference.counts,
        }
        if hit is not None:
            nodule = nodules[hit]
            row |= {
                "rank": nodule.id,
                "score": round(nodule.score, 3),
                "mean_diameter_mm": round(nodule.measurements.mean_diameter_mm, 1),
            }
            if drawn is not None:
                row["dice"] = round(
                    max(dice(one.array > 0, drawn == mark["label"]) for one in nodule_layers([nodule], volume.grid)), 3
                )
        found.append(row)
    scores = np.array([nodules[n].score for n in result.false_positives])
    others = {f"false positives at {t}": int((scores >= t).sum()) for t in THRESHOLDS}
    return [*found, {"scan": scan, **others, "seconds": round(seconds, 1)}]


@click.command()
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.option("--json", "json_path", type=click.Path(path_type=Path))
def main(data: Path, json_path: Path | None) -> None:
    """Print what is found; DATA is the folder of real CTs."""
    click.echo("The score was fitted on these CTs: these figures are not held out.")
    table = [row for scan in SCANS for row in rows(data, scan)]
    for row in table:
        click.echo("  ".join(f"{key} {value}" for key, value in row.items()))
    if json_path:
        json_path.write_text(json.dumps(table, indent=2) + "\n")


if __name__ == "__main__":
    main()
