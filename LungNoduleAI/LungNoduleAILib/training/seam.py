"""Whether a blended nodule can be told from one in place: python -m LungNoduleAILib.training.seam DATA OUT.

DATA holds lidc-cubes. Nodules and the scans they are blended into are of the training part, and the
scanner and the background are those of the nodules in place, so that only the seam and the place
differ. The band from 2 mm inside the outline to 3 mm outside has the seam; the shell from 4 to 6 mm
outside tells how far the places differ. Both are judged by classifiers that saw no scan of the fold,
and a nodule that is merely pasted shows that they can see a seam.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click
import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy import ndimage
from scipy.stats import rankdata
from sklearn.ensemble import RandomForestClassifier
from torch import nn

from LungNoduleAILib.evaluation.bootstrap import Estimate, grouped
from LungNoduleAILib.training.blending import blend
from LungNoduleAILib.training.lidc import read_cubes
from LungNoduleAILib.training.parametric import Insert
from LungNoduleAILib.training.seam_windows import DENSE_HU, FOLDS, REACH_MM, SIDE, Window, windows
from LungNoduleAILib.training.split import read_split
from SegmentationAILib.writing import atomic_write

# Millimetres from the outline, positive inside.
REGIONS = {"band": (-3.0, 2.0), "inside": (0.0, 2.0), "ring": (-3.0, 0.0), "shell": (-REACH_MM, -4.0)}
_EPOCHS = 14


def paste(hu: NDArray, insert: Insert, centre: tuple[int, int, int], lungs: NDArray[np.bool_]) -> NDArray[np.float32]:
    """The control: the nodule with 2 mm of what was around it, cut out and put down; as ``blend`` otherwise."""
    whole = np.zeros(hu.shape, dtype=np.float32)
    start = np.array(centre) - np.array(insert.hu.shape) // 2
    voxels = np.argwhere(ndimage.binary_dilation(insert.occupancy >= 0.5, iterations=2))
    places = voxels + start
    kept = ((places >= 0) & (places < hu.shape)).all(axis=1)
    there, here = tuple(places[kept].T), tuple(voxels[kept].T)
    hu[there] = insert.hu[here]
    whole[there] = insert.occupancy[here] * lungs[there]
    return whole


def features(window: Window) -> dict[str, NDArray[np.float32]]:
    """Of each region: grey values, gradient and noise by millimetre of distance, and the noise's grain."""
    hu = window.hu
    gradient = np.sqrt(sum(part**2 for part in np.gradient(hu)))
    fine = hu - ndimage.gaussian_filter(hu, 0.8)
    return {name: _features(window, gradient, fine, *region) for name, region in REGIONS.items()}


def forest_scores(found: Sequence[Window], rows: NDArray[np.float32], seed: int) -> NDArray[np.float64]:
    """Of a random forest on features [window, feature], out of fold: [window]."""
    scores = np.zeros(len(found))
    for seen, held in _folds(found):
        forest = RandomForestClassifier(150, min_samples_leaf=3, class_weight="balanced", random_state=seed)
        scores[held] = forest.fit(rows[seen], _labels(found)[seen]).predict_proba(rows[held])[:, 1]
    return scores


def network_scores(found: Sequence[Window], region: tuple[float, float], seed: int) -> NDArray[np.float64]:
    """Of a small network that sees the region alone, out of fold: [window]."""
    inputs = torch.from_numpy(np.stack([_input(window, *region) for window in found]))
    labels = torch.from_numpy(_labels(found).astype(np.float32))
    scores = np.zeros(len(found))
    for seen, held in _folds(found):
        network = _fitted(inputs[seen], labels[seen], seed)
        with torch.inference_mode():
            flips = [network(inputs[held].flip(axes)) for axes in ((), (2,), (3,), (4,))]
        scores[held] = torch.stack(flips).mean(0)[:, 0].numpy()
    return scores


def auc(found: Sequence[Window], scores: NDArray[np.float64]) -> Estimate:
    """Area under the ROC curve, blended ones positive; the interval resamples scans."""

    def area(labels: NDArray[np.bool_], rated: NDArray[np.float64]) -> float:
        high = int(labels.sum())
        pairs = high * (len(labels) - high)
        # Mann and Whitney's statistic: the part of pairs that are ranked rightly.
        return (float(rankdata(rated)[labels].sum()) - high * (high + 1) / 2) / pairs if pairs else float("nan")

    return grouped(area, [window.scan for window in found], _labels(found), scores)


def draw(found: Sequence[Window], path: Path, rows: int = 10) -> None:
    """Nodules in place (left) beside the same ones blended into other scans: middle axial and coronal slices."""
    shown = [window for window in found if not window.blended][:: max(1, sum(not w.blended for w in found) // rows)]
    figure = Figure(figsize=(8, rows), dpi=110)
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, 8, squeeze=False)
    for line in axes:
        for one in line:
            one.axis("off")
    for line, own in zip(axes, shown, strict=False):
        others = [window for window in found if window.blended and window.scan == own.scan]
        for column, window in enumerate([own, *others][:4]):
            reached = np.where(window.distance > -REACH_MM, window.hu, -1200)
            for part, cut in enumerate((reached[SIDE // 2], reached[::-1, SIDE // 2])):
                line[2 * column + part].imshow(cut, cmap="gray", vmin=-1100, vmax=200)
    figure.subplots_adjust(0, 0, 1, 1, 0.02, 0.02)
    figure.savefig(path)


@click.command()
@click.argument("data", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@click.option("--seed", default=0, show_default=True)
@click.option("--network/--no-network", default=True, show_default=True, help="Train the small network too.")
def main(data: Path, out: Path, seed: int, network: bool) -> None:
    """Write seam.json and seam.png to OUT: how well blended nodules of DATA are told from those in place."""
    torch.set_num_threads(1)
    part = read_split()["cubes"].train
    cubes = [cube for cube in read_cubes(data / "lidc-cubes" / "cubes.npz") if cube.name in part]
    areas = {}
    for name, how in (("blended", blend), ("pasted", paste)):
        found = windows(cubes, np.random.default_rng(seed), how=how)
        click.echo(f"{sum(not w.blended for w in found)} in place, {sum(w.blended for w in found)} {name}")
        click.echo("dense share of the shell: {:.3f} in place, {:.3f} {}".format(*_dense_shares(found), name))
        table = [features(window) for window in found]
        for region in REGIONS:
            rows = np.stack([row[region] for row in table])
            areas[f"{name}, forest, {region}"] = auc(found, forest_scores(found, rows, seed))
        if network:
            areas[f"{name}, network, band"] = auc(found, network_scores(found, REGIONS["band"], seed))
        if how is blend:
            with atomic_write(out / "seam.png") as partial:
                draw(found, partial)
    for name, area in areas.items():
        click.echo(f"{name:28s} AUC {area.value:.3f} ({area.low:.3f} to {area.high:.3f})")
    with atomic_write(out / "seam.json") as partial:
        partial.write_text(json.dumps({name: asdict(area) for name, area in areas.items()}, indent=1))


def _features(
    window: Window, gradient: NDArray[np.float32], fine: NDArray[np.float32], low: float, high: float
) -> NDArray[np.float32]:
    hu, values = window.hu, []
    for start in np.arange(low, high):
        layer = (window.distance >= start) & (window.distance < start + 1)
        if not layer.any():
            # A nodule of 4 mm has no third layer.
            values += [0.0] * 7
            continue
        values += [*np.percentile(hu[layer], (10, 50, 90)), hu[layer].std(), gradient[layer].mean()]
        values += [np.abs(fine[kept]).mean() if kept.any() else 0 for kept in (layer, layer & (hu < DENSE_HU))]
    whole = (window.distance >= low) & (window.distance < high)
    for axis in range(3):
        pair = whole & np.roll(whole, 1, axis)
        one, other = fine[pair], np.roll(fine, 1, axis)[pair]
        values += [np.mean(one * other) / max(float(np.mean(one**2)), 1e-6), np.abs(one - other).mean()]
    return np.array(values, dtype=np.float32)


def _labels(found: Sequence[Window]) -> NDArray[np.bool_]:
    return np.array([window.blended for window in found])


def _dense_shares(found: Sequence[Window]) -> tuple[float, float]:
    return tuple(float(np.mean([w.dense for w in found if w.blended == blended])) for blended in (False, True))


def _folds(found: Sequence[Window]) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Rows learnt from and rows held back; a fold's nodules are blended into scans of that fold alone."""
    fold = np.array([window.fold for window in found])
    return [(np.flatnonzero(fold != n), np.flatnonzero(fold == n)) for n in range(FOLDS)]


def _input(window: Window, low: float, high: float) -> NDArray[np.float32]:
    """Grey values in the region, and the region: [2, k, j, i]."""
    seen = ((window.distance >= low) & (window.distance < high)).astype(np.float32)
    return np.stack([seen * (window.hu + 600) / 400, seen])


def _fitted(inputs: torch.Tensor, labels: torch.Tensor, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    network = nn.Sequential(
        *(nn.Conv3d(2, 8, 3, 2, 1), nn.BatchNorm3d(8), nn.ReLU()),
        *(nn.Conv3d(8, 20, 3, 1, 1), nn.BatchNorm3d(20), nn.ReLU(), nn.MaxPool3d(2)),
        *(nn.Conv3d(20, 40, 3, 1, 1), nn.BatchNorm3d(40), nn.ReLU()),
        *(nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Dropout(0.3), nn.Linear(40, 1)),
    )
    # As often in place as blended.
    share = torch.where(labels > 0, 0.5 / (labels > 0).sum(), 0.5 / (labels == 0).sum())
    batch, steps = 16, _EPOCHS * len(labels) // 16
    optimizer = torch.optim.AdamW(network.parameters(), 4e-3, weight_decay=1e-2)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)
    for _ in range(steps):
        rows = torch.multinomial(share, batch)
        shown = inputs[rows].flip([axis for axis in (2, 3, 4) if torch.rand(()) < 0.5])
        if torch.rand(()) < 0.5:
            shown = shown.transpose(3, 4)
        loss = nn.functional.binary_cross_entropy_with_logits(network(shown)[:, 0], labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        rate.step()
    return network.eval()


if __name__ == "__main__":
    main()
