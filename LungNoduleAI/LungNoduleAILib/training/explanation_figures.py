"""Whether an influence means something: python -m LungNoduleAILib.training.explanation_figures DATA OUT.

On nodules of the test part, in their own surroundings (lidc-cubes) and blended into a scan of a test patient:

- where it is: share of the positive influence within 2 mm of the readers' outline, beside the share of all that is
  denser than lung; whether its highest voxel lies there (pointing game, Zhang et al., IJCV 2018);
- deletion (Samek et al., IEEE TNNLS 2017): how far the detector's logit falls on average while as much as the
  nodule's volume becomes lung, in four steps, in the order of the influence, of the density, at random in blobs,
  and from the middle of the readers' outline outwards;
- randomised weights (Adebayo et al., NeurIPS 2018): rank correlation with the influence of a network whose
  kernels are shuffled, on the first few nodules. It has to be low.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

import click
import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from scipy.stats import spearmanr

from LungNoduleAILib.detection import ONE_LOOK_THRESHOLD, built_in
from LungNoduleAILib.explanation.explain import window_side
from LungNoduleAILib.explanation.filling import lung_texture
from LungNoduleAILib.explanation.occlusion import REACH_MM, Answer, influence
from LungNoduleAILib.network import STRIDE, NoduleNetwork
from LungNoduleAILib.search import SearchSpace
from LungNoduleAILib.training.backgrounds import read_background
from LungNoduleAILib.training.held_out import Case, blended, in_place
from LungNoduleAILib.training.lidc import read_crops, read_cubes
from LungNoduleAILib.training.split import read_split
from SegmentationAILib.writing import atomic_write

_NEAR = 2
_STEPS = 4
_LARGEST_IN_CUBE_MM = 14.0


@dataclass(frozen=True)
class Judged:
    """An influence on one nodule.

    Attributes:
        name: of the nodule.
        diameter_mm: of the ball with its volume.
        logit: the detector's.
        share: of the positive influence within 2 mm of the outline; ``dense_share``: of all that is denser than lung.
        hit: whether the highest influence lies there.
        falls: mean fall of the logit by the order of deletion.
        randomised: rank correlation with the influence of shuffled weights, None where it was not tried.
    """

    name: str
    diameter_mm: float
    logit: float
    share: float
    dense_share: float
    hit: bool
    falls: dict[str, float]
    randomised: float | None


def window_of(case: Case) -> tuple[SearchSpace, NDArray[np.bool_]]:
    """The part of a case that an explanation looks at, from a multiple of 16 voxels on where the case is larger."""
    side = window_side(float(np.ptp(np.argwhere(case.mask), axis=0).max()))
    start = []
    for centre, n in zip(np.argwhere(case.mask).mean(axis=0), case.mask.shape, strict=True):
        step = STRIDE if n - side >= STRIDE else 1
        start.append(step * int(np.clip(np.round((centre - side / 2) / step), 0, max(0, n - side) // step)))
    window = tuple(slice(a, a + side) for a in start)
    hu = case.space.hu[window]
    return SearchSpace(hu, case.space.lungs[window], case.space.grid.crop(start, hu.shape)), case.mask[window]


def shuffled(network: NoduleNetwork, seed: int = 0) -> NoduleNetwork:
    """The network with each kernel's weights in another order."""
    other = copy.deepcopy(network)
    chance = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for kernel in other.parameters():
            if kernel.dim() > 1:
                flat = kernel.flatten()
                kernel.copy_(flat[torch.randperm(len(flat), generator=chance)].reshape(kernel.shape))
    return other


def judge(case: Case, shuffle: bool) -> Judged | None:
    """None where the detector does not mark the nodule: there is nothing to explain."""
    detector = built_in()
    space, nodule = window_of(case)
    answer = Answer(detector.network, nodule, "cpu")
    logit = float(answer(space.hu[None])[0])
    if detector.scale.score(float(1 / (1 + np.exp(-logit)))) < ONE_LOOK_THRESHOLD:
        return None
    found = influence(detector.network, space, nodule, device="cpu").values
    near = ndimage.binary_dilation(nodule, iterations=_NEAR)
    seen, positive = found != 0, np.maximum(found, 0)
    lung = lung_texture(space.hu, space.lungs, nodule)
    dense = np.maximum(space.hu - lung, 0) * seen
    return Judged(
        case.name,
        case.diameter_mm,
        logit,
        float(positive[near].sum() / positive.sum()),
        float(dense[near].sum() / dense.sum()),
        bool(near[np.unravel_index(found.argmax(), found.shape)]),
        deletion(answer, space.hu, lung, nodule, found),
        _likeness(found, influence(shuffled(detector.network), space, nodule, device="cpu").values)
        if shuffle
        else None,
    )


def deletion(
    answer: Answer, hu: NDArray[np.float32], lung: NDArray[np.float32], nodule: NDArray[np.bool_], found: NDArray
) -> dict[str, float]:
    """Mean fall of the logit while voxels become lung, up to the nodule's volume, by the order."""
    rng = np.random.default_rng(0)
    places = np.flatnonzero(ndimage.distance_transform_edt(~nodule) <= REACH_MM)
    depth = ndimage.distance_transform_edt(nodule) - ndimage.distance_transform_edt(~nodule)
    orders = {
        "influence": found,
        "density": hu,
        "random": ndimage.gaussian_filter(rng.standard_normal(hu.shape), 3.0),
        "readers' outline": depth,
    }
    whole = float(answer(hu[None])[0])
    falls = {}
    for name, values in orders.items():
        chosen = places[np.argsort(-values.ravel()[places], kind="stable")]
        windows = []
        for step in range(1, _STEPS + 1):
            changed = hu.copy()
            where = np.unravel_index(chosen[: np.count_nonzero(nodule) * step // _STEPS], hu.shape)
            changed[where] = lung[where]
            windows.append(changed)
        falls[name] = float(np.mean(whole - answer(np.stack(windows))))
    return falls


def summary(judged: Sequence[Judged]) -> dict[str, object]:
    """Means over the nodules, and in how many of them deletion by influence is faster than by another order."""
    orders = list(judged[0].falls)
    return {
        "nodules": len(judged),
        "share within 2 mm": float(np.mean([one.share for one in judged])),
        "share of density within 2 mm": float(np.mean([one.dense_share for one in judged])),
        "pointing game": float(np.mean([one.hit for one in judged])),
        "fall of the logit": {order: float(np.mean([one.falls[order] for one in judged])) for order in orders},
        "influence is faster in": {
            order: sum(one.falls["influence"] > one.falls[order] for one in judged) for order in orders[1:]
        },
        "rank correlation with shuffled weights": [one.randomised for one in judged if one.randomised is not None],
        "each": [asdict(one) for one in judged],
    }


def _likeness(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    both = (one != 0) & (other != 0)
    return float(spearmanr(one[both], other[both])[0])


def _alone(case: Case, shuffle: bool) -> Judged | None:
    torch.set_num_threads(1)
    return judge(case, shuffle)


@click.command()
@click.argument("data", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@click.option("--seed", default=0, show_default=True)
@click.option("--blends", default=14, show_default=True, help="Nodules that are blended into a scan.")
@click.option("--cubes", "count", default=6, show_default=True, help="Nodules in their own surroundings.")
@click.option("--shuffles", default=4, show_default=True, help="Nodules for which weights are shuffled.")
@click.option("--workers", default=2, show_default=True, help="Processes.")
def main(data: Path, out: Path, seed: int, blends: int, count: int, shuffles: int, workers: int) -> None:
    """Write explanation-figures.json to OUT."""
    split = read_split()
    cubes = [cube for cube in read_cubes(data / "lidc-cubes" / "cubes.npz") if cube.name in split["cubes"].test]
    # A larger one fills its cube, and the network needs its surroundings.
    cubes = [cube for cube in cubes if cube.diameter_mm <= _LARGEST_IN_CUBE_MM][:count]
    crops = [crop for crop in read_crops(data / "lidc-vois") if crop.patient in split["patients"].test]
    chosen = np.sort(np.random.default_rng(seed).choice(len(crops), blends, replace=False))
    scan = read_background(data / min(split["scans"].test), out / "prepared")
    cases = [*blended([crops[n] for n in chosen], [scan], seed), *in_place(cubes)]
    judged = []
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        waiting = [pool.submit(_alone, case, n < shuffles) for n, case in enumerate(cases)]
        for case, one in zip(cases, waiting, strict=True):
            found = one.result()
            click.echo(f"{case.name}: not marked" if found is None else json.dumps(asdict(found)))
            judged += [found] if found else []
    with atomic_write(out / "explanation-figures.json") as partial:
        partial.write_text(json.dumps(summary(judged), indent=1) + "\n")


if __name__ == "__main__":
    main()
