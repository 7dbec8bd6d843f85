"""python -m benchmarks.nodule_detector DATA OUT: the trained detector and the baseline on held-out patients.

Sensitivity is measured on nodules of held-out patients, blended into whole CTs of held-out patients
and, apart, in their own surroundings; false positives on the whole held-out CTs.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import numpy as np
import pydicom
from matplotlib.figure import Figure
from scipy import ndimage

from benchmarks.lung_dice import rasterise
from LungNoduleAILib.detection import built_in, read_detector
from LungNoduleAILib.evaluation.calibration import expected_calibration_error, reliability
from LungNoduleAILib.evaluation.froc import MISSED, RATES, froc, of_two_sets
from LungNoduleAILib.evaluation.plots import draw_froc
from LungNoduleAILib.search import SearchSpace
from LungNoduleAILib.training.backgrounds import Background, read_background
from LungNoduleAILib.training.held_out import Case, Finder, baseline_finder, best_hit, blended, false_marks, in_place
from LungNoduleAILib.training.held_out import network_finder as network
from LungNoduleAILib.training.lidc import read_crops, read_cubes
from LungNoduleAILib.training.score_scale import NODULES_PER_SCAN
from LungNoduleAILib.training.split import read_split
from SegmentationAILib.files import load
from SegmentationAILib.metrics import dice
from SegmentationAILib.preprocess import resample

SEED = 20
SIZES_MM = ((3, 5), (5, 8), (8, 15), (15, 31))
_NEAR_TUMOUR_MM = 10


@dataclass(frozen=True)
class Row:
    """What a detector made of one nodule."""

    detector: str
    setting: str
    name: str
    patient: str
    kind: str
    diameter_mm: float
    score: float
    dice: float


def rows_of(detector: str, setting: str, find: Finder, cases: Sequence[Case]) -> list[Row]:
    """A row for each case; a missed nodule has score ``MISSED`` and no Dice."""
    rows = []
    for case in cases:
        hit = best_hit(find(case.space), case)
        score, overlap = (hit.score, dice(hit.outline(), case.mask)) if hit else (MISSED, float("nan"))
        rows.append(Row(detector, setting, case.name, case.patient, case.kind, case.diameter_mm, score, overlap))
    return rows


def tumour(data: Path, background: Background) -> np.ndarray:
    """bool [k, j, i]: LUNG1-002's tumour and what lies near it; nothing elsewhere."""
    folder = data / background.name / "dicom"
    if not background.name.startswith("LUNG1"):
        return np.zeros(background.hu.shape, dtype=bool)
    datasets = (pydicom.dcmread(one, stop_before_pixels=True) for one in folder.iterdir())
    structures = next(one for one in datasets if one.Modality == "RTSTRUCT")
    grid = load(folder).grid
    mask = rasterise(structures, "GTV-1", grid).astype(np.float32)
    inside = resample(mask, grid, background.grid) > 0
    return ndimage.binary_dilation(inside, iterations=_NEAR_TUMOUR_MM)


def sensitivity_table(rows: Sequence[Row], false_scores: Sequence[Sequence[float]]) -> dict:
    """Sensitivity at each rate with intervals: all nodules of 3 mm and more, of 5 mm, by size, by kind."""
    groups = {"all": rows, "≥ 5 mm": [r for r in rows if r.diameter_mm >= 5]}
    groups |= {f"{a}–{b} mm": [r for r in rows if a <= r.diameter_mm < b] for a, b in SIZES_MM}
    groups |= {kind: [r for r in rows if r.kind == kind] for kind in ("solid", "part-solid", "ground glass")}
    table = {}
    for group, members in groups.items():
        if not members:
            continue
        result = froc(of_two_sets([r.score for r in members], false_scores, patients=[r.patient for r in members]))
        overlaps = [r.dice for r in members if r.score > MISSED]
        table[group] = {
            "nodules": len(members),
            "rates": list(RATES),
            "sensitivity": [
                asdict(one) if hasattr(one, "__dataclass_fields__") else list(one) for one in result.sensitivity
            ],
            "mean": asdict(result.mean) if hasattr(result.mean, "__dataclass_fields__") else list(result.mean),
            "dice mean": float(np.mean(overlaps)) if overlaps else None,
            "dice median": float(np.median(overlaps)) if overlaps else None,
        }
    return table


def calibration(rows: Sequence[Row], false_scores: Sequence[Sequence[float]], path: Path) -> dict:
    """Reliability of the score where a scan has three nodules."""
    hits = np.array([r.score for r in rows if r.score > MISSED])
    false = np.concatenate([np.asarray(one, dtype=float) for one in false_scores])
    copies = max(1, round(len(rows) / NODULES_PER_SCAN / len(false_scores)))
    labels = np.concatenate([np.ones(len(hits)), np.zeros(len(false) * copies)])
    bins = reliability(labels, np.concatenate([hits, np.repeat(false, copies)]))
    _draw_reliability(bins, path)
    return {"ece": expected_calibration_error(bins), "bins": [asdict(one) for one in bins]}


def _draw_reliability(bins: Sequence, path: Path) -> None:
    figure = Figure(figsize=(4, 4), layout="constrained")
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    shown = [one for one in bins if one.count]
    axes.plot([b.mean_probability for b in shown], [b.frequency for b in shown], "o-", color="#0072b2")
    axes.set(xlabel="score", ylabel="share of marks that are nodules", xlim=(0, 1), ylim=(0, 1))
    figure.savefig(path, dpi=110)


@click.command()
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--model", type=click.Path(path_type=Path), help="another than the built-in one")
@click.option("--limit", type=int, help="nodules in each scan, for a quick look")
@click.option(
    "--detector", "names", type=click.Choice(["network", "baseline"]), multiple=True, default=("network", "baseline")
)
def main(data: Path, out: Path, model: Path | None, limit: int | None, names: tuple[str, ...]) -> None:
    """Write OUT/nodules.json and pictures."""
    out.mkdir(parents=True, exist_ok=True)
    split = read_split()
    scans = [read_background(data / name, out / "prepared") for name in sorted(split["scans"].test)]
    crops = [c for c in read_crops(data / "lidc-vois") if c.patient in split["patients"].test and c.diameter_mm >= 3][
        :limit
    ]
    cubes = [c for c in read_cubes(data / "lidc-cubes" / "cubes.npz") if c.name in split["cubes"].test]
    cases = {"blended": list(blended(crops, scans, SEED)), "in place": list(in_place(cubes))}
    detector = read_detector(model) if model else built_in()
    finders = {name: network(detector) if name == "network" else baseline_finder for name in names}
    report: dict = {"cases": {k: len(v) for k, v in cases.items()}, "detectors": {}}
    rows: list[Row] = []
    for name, find in finders.items():
        false_scores, seconds = [], []
        for scan in scans:
            start = time.perf_counter()
            marks = find(SearchSpace(scan.hu.astype(np.float32), scan.lungs, scan.grid))
            seconds.append(time.perf_counter() - start)
            false_scores.append(false_marks(marks, scan, tumour(data, scan)))
        held = {k: rows_of(name, k, find, v) for k, v in cases.items()}
        rows += [row for members in held.values() for row in members]
        report["detectors"][name] = {
            "seconds per scan": dict(zip((s.name for s in scans), seconds, strict=True)),
            "false marks": {s.name: sorted(f, reverse=True)[:60] for s, f in zip(scans, false_scores, strict=True)},
            **{k: sensitivity_table(members, false_scores) for k, members in held.items()},
            "calibration": calibration(held["blended"], false_scores, out / f"reliability-{name}.png"),
        }
        scores = [r.score for r in held["blended"] if r.diameter_mm >= 5]
        patients = [r.patient for r in held["blended"] if r.diameter_mm >= 5]
        draw_froc(froc(of_two_sets(scores, false_scores, patients=patients)), out / f"froc-{name}.png")
        for setting in held:
            for group, line in report["detectors"][name][setting].items():
                at = ["{:.2f}".format(s["value"] if isinstance(s, dict) else s[0]) for s in line["sensitivity"]]
                click.echo(
                    f"{name:9s} {setting:9s} {group:13s} n={line['nodules']:4d} {' '.join(at)} dice {line['dice mean']}"
                )
        click.echo(f"{name} ECE {report['detectors'][name]['calibration']['ece']:.3f}")
    report["rows"] = [asdict(row) for row in rows]
    (out / "nodules.json").write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
