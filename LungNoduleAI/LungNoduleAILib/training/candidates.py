"""The recipe of the second look: nodules are told from the search's false marks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import click
import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.linear_model import LogisticRegression

from LungNoduleAILib.candidate_network import CandidateNetwork
from LungNoduleAILib.detection import LEAST_LOOKED_AT, read_detector
from LungNoduleAILib.network import HU_RANGE, SPACING_MM, NoduleNetwork
from LungNoduleAILib.second_look import JointScale, logits_of
from LungNoduleAILib.training.backgrounds import Background, read_background
from LungNoduleAILib.training.blending import real_insert
from LungNoduleAILib.training.candidate_patches import CANDIDATE, CandidatePatches, held_crops
from LungNoduleAILib.training.candidate_pool import (
    Pool,
    by_another_scanner,
    centred,
    in_place,
    marked,
    plant,
    turned,
)
from LungNoduleAILib.training.lidc import NoduleCrop, NoduleCube, read_crops, read_cubes
from LungNoduleAILib.training.nodule_patches import NodulePatches
from LungNoduleAILib.training.score_scale import NODULES_PER_SCAN
from LungNoduleAILib.training.split import read_split
from SegmentationAILib.engine.model_folder import ModelCard, read_model, write_model
from SegmentationAILib.training.fit import Fitted, Recipe, Report
from SegmentationAILib.training.kind import learn

RECIPE = Recipe(
    steps=400, batch=32, learning_rate=1e-3, warmup=50, weight_decay=1e-2, average=0.98, check_every=100, seed=1
)
# Layers that stay as the search learnt them: edges and textures look the same in a crop.
FROZEN = ("stem.", "at_half.")
# Of the network that sets the scale: on marks that it learnt from, a network is surer than it should be.
SCALE_STEPS = 180
LEFT_OUT = "LIDC-IDRI-0314"
# Nodules in a CT at once, and how often a CT is planted anew with nodules alone, which need no search.
_PLANTED, _PLANTED_AGAIN = 70, 2
_TURNED_VERSIONS = 2


def pool_to_learn(
    backgrounds: Sequence[Background],
    crops: Sequence[NoduleCrop],
    cubes: Sequence[NoduleCube],
    search: NoduleNetwork,
    device: str,
    seed: int,
) -> Pool:
    """Nodules of the crops, and made ones, in the backgrounds; the search's marks there; the cubes."""
    nodules = [NodulePatches((), crops, (), seed).nodule] * _PLANTED
    parts = [in_place(cubes)]
    for which, background in enumerate(backgrounds):
        rng = np.random.default_rng((seed, which))
        parts.append(marked(plant(background, nodules, rng), search, device, rng))
        parts += [centred(plant(background, nodules, rng)) for _ in range(_PLANTED_AGAIN)]
    return Pool.joined(parts)


def pool_to_judge(
    background: Background, crops: Sequence[NoduleCrop], search: NoduleNetwork, device: str, rng: np.random.Generator
) -> Pool:
    """Each crop once in the background, and the search's marks there."""
    inserts = [lambda rng, crop=crop: real_insert(crop, rng) for crop in crops]
    return marked(plant(background, inserts, rng, vessels=0), search, device, rng)


def fit_second_look(
    pool: Pool,
    held: Pool,
    search: NoduleNetwork,
    out: Path,
    recipe: Recipe = RECIPE,
    device: str = "auto",
    report: Report | None = None,
) -> Fitted:
    """Fit the network, beginning with the search's layers.

    Args:
        pool: to learn from.
        held: to judge by.
        search: the detector's network.
        out: for the checkpoint and the log.
        recipe: rates, steps, seed.
        device: "auto", "cpu", "cuda:0".
        report: told of each validation.

    Raises:
        InputError: the checkpoint in ``out`` is of another recipe, or there is no such device.
    """
    torch.manual_seed(recipe.seed)
    network = CandidateNetwork()
    network.begin_with(search)
    patches = CandidatePatches(pool, recipe.seed)
    return learn(
        CANDIDATE, patches, held_crops(held), out, recipe, device, network, lambda name: name.startswith(FROZEN), report
    )


def fit_joint_scale(heats: ArrayLike, looks: ArrayLike, nodule: ArrayLike, planted: int, scans: int) -> JointScale:
    """The weight of the second look by logistic regression on both logits, then Platt's (1999) scale of their sum.

    In the second step nodules are weighted to ``NODULES_PER_SCAN``. In the first they are not: so few of them would
    leave the weight to a handful of false marks.

    Args:
        heats: [n] of marks, 0…1.
        looks: [n] logits of the second look.
        nodule: [n], whether a mark is a nodule's.
        planted: how many nodules were shown, marked or not.
        scans: how many whole scans.
    """
    clipped = np.clip(np.asarray(heats, dtype=float), 1e-6, 1 - 1e-6)
    logit = np.log(clipped / (1 - clipped))
    ((of_heat, of_look),) = LogisticRegression(C=1e6).fit(np.column_stack([logit, looks]), nodule).coef_
    joint = logit + of_look / of_heat * np.asarray(looks)
    weights = np.where(nodule, NODULES_PER_SCAN * scans / planted, 1.0)
    fitted = LogisticRegression(C=1e6).fit(joint[:, None], nodule, sample_weight=weights)
    slope, offset = float(fitted.coef_[0, 0]), float(fitted.intercept_[0])
    return JointScale(round(slope, 4), round(slope * of_look / of_heat, 4), round(offset, 4))


def measured_scale(network: CandidateNetwork, pools: Sequence[Pool], device: str) -> JointScale:
    """The scale of a network on whole scans, one each pool, that it did not learn from."""
    pool = Pool.joined(pools)
    shown = pool[pool.heat >= LEAST_LOOKED_AT]
    looks = np.concatenate([logits_of(network, batch["crop"], device) for batch in held_crops(shown)])
    return fit_joint_scale(shown.heat, looks, shown.nodule, int(pool.nodule.sum()), len(pools))


@click.command()
@click.argument("data", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@click.argument("detector", type=click.Path(path_type=Path))
@click.option("--device", default="auto", show_default=True)
def main(data: Path, out: Path, detector: Path, device: str) -> None:
    """Teach a second look at the marks of DETECTOR and write OUT/nodule-candidates; a run that was cut off goes on."""
    # Sums in another order would give other weights.
    torch.set_num_threads(1)
    split, search = read_split(), read_detector(detector).network
    crops, cubes = read_crops(data / "lidc-vois"), read_cubes(data / "lidc-cubes" / "cubes.npz")
    of_part = {
        part: [crop for crop in crops if crop.patient in getattr(split["patients"], part)]
        for part in ("train", "validation")
    }
    cubes = [cube for cube in cubes if cube.name in split["cubes"].train]
    backgrounds = [read_background(data / name, out / "prepared") for name in sorted(split["scans"].train)]
    others = [one for one in backgrounds if one.name != LEFT_OUT]
    (left_out,) = (one for one in backgrounds if one.name == LEFT_OUT)

    def fitted(scans: Sequence[Background], held: Pool, recipe: Recipe, folder: Path) -> Fitted:
        pool = pool_to_learn(scans, of_part["train"], cubes, search, device, recipe.seed)
        click.echo(f"{np.count_nonzero(pool.nodule)} nodules, {np.count_nonzero(~pool.nodule)} other marks")
        return fit_second_look(pool, held, search, folder, recipe, device, _tell)

    unseen = list(_seen_otherwise(left_out, of_part["validation"], search, device))
    judge = fitted(others, unseen[0], replace(RECIPE, steps=SCALE_STEPS, check_every=SCALE_STEPS), out / "scale")
    scale = measured_scale(judge.network, unseen, device)
    held = [
        pool_to_judge(one, of_part["validation"], search, device, np.random.default_rng(n))
        for n, one in enumerate(backgrounds)
    ]
    final = fitted(backgrounds, Pool.joined(held), RECIPE, out)
    write_model(out / "nodule-candidates", _card(final, scale, read_model(detector, "nodule").sha256), final.network)
    click.echo(f"score {final.score:.3f} at step {final.step}, {scale}")


def _tell(step: int, found: Mapping[str, float]) -> None:
    click.echo(f"step {step}: " + ", ".join(f"{name} {value:.3f}" for name, value in found.items()))


def _seen_otherwise(
    background: Background, crops: Sequence[NoduleCrop], search: NoduleNetwork, device: str
) -> Iterator[Pool]:
    """The CT as it is, and turned, stretched and by other scanners, since the search has learnt it as it is."""
    yield pool_to_judge(background, crops, search, device, np.random.default_rng(0))
    for version in range(1, 1 + _TURNED_VERSIONS):
        rng = np.random.default_rng(version)
        inserts = [lambda rng, crop=crop: real_insert(crop, rng) for crop in crops]
        yield marked(by_another_scanner(plant(turned(background, rng), inserts, rng), rng), search, device, rng)


def _card(fitted: Fitted, scale: JointScale, search: str) -> ModelCard:
    recipe = {name: value for name, value in asdict(RECIPE).items() if name not in ("workers", "seed")}
    return ModelCard(
        kind="candidate",
        configuration=fitted.network.configuration(),
        spacing_mm=SPACING_MM,
        hu_range=HU_RANGE,
        classes=("other", "nodule"),
        recipe=recipe,
        seed=RECIPE.seed,
        step=fitted.step,
        figures=fitted.figures,
        training={
            "data": "LIDC-IDRI and CMB-CRC, see nodules.md",
            "split": "split.json",
            "search": search,
            "score_scale": asdict(scale),
        },
    )


if __name__ == "__main__":
    main()
