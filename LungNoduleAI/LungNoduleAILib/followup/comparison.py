"""From two CTs with their nodules to what became of each nodule: the one path that every caller takes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from LungNoduleAILib.followup.change import Lone, Pair, lone_of, pair_of
from LungNoduleAILib.followup.growth import THIN_SLICES, Repeatability
from LungNoduleAILib.followup.lung_registration import DOUBTFUL_CORRELATION, LungRegistration
from LungNoduleAILib.followup.matching import match_nodules
from LungNoduleAILib.nodule import Nodule
from SegmentationAILib.checks import check_ct
from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.errors import InputError
from SegmentationAILib.labels import LabelMap
from SegmentationAILib.volume import Grid, Volume

_REGISTRATION_END = 0.95
# Slices of two CTs that differ by more than this measure a small nodule differently.
_SPACING_RATIO = 1.5
_FOLDED_SHARE = 0.01


@dataclass(frozen=True, eq=False)
class FollowUp:
    """What became of the nodules between two CTs.

    Attributes:
        days: from the prior to the current CT.
        registration: of the prior CT to the current one, with its quality.
        pairs: nodules that both CTs show.
        new: nodules of the current CT alone; ``resolved``: of the prior CT alone.
        unseen: nodules of either CT at a place that the other does not cover.
        warnings: sentences on what makes the numbers less sure.
    """

    days: float
    registration: LungRegistration
    pairs: tuple[Pair, ...]
    new: tuple[Lone, ...]
    resolved: tuple[Lone, ...]
    unseen: tuple[Lone, ...]
    warnings: tuple[str, ...]

    @property
    def sentences(self) -> tuple[str, ...]:
        """Of every nodule, for the user."""
        return tuple(one.sentence for one in (*self.pairs, *self.new, *self.resolved, *self.unseen))


def compare(
    current: Volume,
    current_nodules: Sequence[Nodule],
    current_lungs: LabelMap,
    prior: Volume,
    prior_nodules: Sequence[Nodule],
    prior_lungs: LabelMap,
    days_between: float,
    *,
    repeatability: Repeatability = THIN_SLICES,
    progress: Progress | None = None,
) -> FollowUp:
    """Compare the nodules of two CTs of one patient.

    Whose the CTs are is for the caller to know: ``exam.days_between`` checks it where they come from DICOM.

    Args:
        current, prior: chest CTs, HU.
        current_nodules, prior_nodules: found and measured on each.
        current_lungs, prior_lungs: right and left lung on each CT's grid.
        days_between: from the prior to the current CT.
        repeatability: of the volumes; used where both CTs' slices are as thin as it asks.
        progress: told of each stage; its token cancels between them.

    Raises:
        InputError: a volume is no CT, the days are not above 0, both are the same series, the lungs are not of
            these CTs, or they do not fit on each other.
        Cancelled: the user cancelled.
    """
    # Who shows a comparison that was made before waits for no image library.
    from LungNoduleAILib.followup.registration import register_lungs  # noqa: PLC0415

    progress = progress or Progress()
    _check(current, current_lungs, prior, prior_lungs, days_between)
    registration = register_lungs(current, current_lungs, prior, prior_lungs, progress.part(0.0, _REGISTRATION_END))
    progress(_REGISTRATION_END, "Matching the nodules")
    found = compare_registered(
        current, current_nodules, prior, prior_nodules, registration, days_between, repeatability=repeatability
    )
    progress(1.0, "Comparison done")
    return found


def compare_registered(
    current: Volume,
    current_nodules: Sequence[Nodule],
    prior: Volume,
    prior_nodules: Sequence[Nodule],
    registration: LungRegistration,
    days_between: float,
    *,
    repeatability: Repeatability = THIN_SLICES,
) -> FollowUp:
    """``compare`` where the lungs are registered already: quick, so that it can follow every edit of a nodule.

    Args:
        registration: of these two CTs, as an earlier comparison made it.
    """
    matches = match_nodules(current_nodules, prior_nodules, registration)
    thin = max(_slice_spacing(current), _slice_spacing(prior)) <= repeatability.largest_spacing_mm + 1e-3
    pairs = tuple(
        pair_of(
            current_nodules[match.current],
            prior_nodules[match.prior],
            match.distance_mm,
            days_between,
            repeatability if thin else None,
        )
        for match in matches
    )
    new = _alone(current_nodules, {m.current for m in matches}, registration.to_prior, prior, registration, True)
    resolved = _alone(prior_nodules, {m.prior for m in matches}, registration.to_current, current, registration, False)
    return FollowUp(
        days_between,
        registration,
        pairs,
        tuple(one for one in new if one.behaviour),
        tuple(one for one in resolved if one.behaviour),
        tuple(one for one in (*new, *resolved) if not one.behaviour),
        _warnings(current, prior, registration, repeatability),
    )


def _check(current: Volume, current_lungs: LabelMap, prior: Volume, prior_lungs: LabelMap, days: float) -> None:
    for name, volume, lungs in (("current", current, current_lungs), ("prior", prior, prior_lungs)):
        check_ct(volume)
        if not lungs.grid.same_as(volume.grid):
            raise InputError(f"The lungs are not of the {name} CT; segment them on it again.")
    uids = [volume.source.series_instance_uid if volume.source else "" for volume in (current, prior)]
    if current is prior or (uids[0] and uids[0] == uids[1]):
        raise InputError("The current and the prior CT are the same series; choose an earlier CT as the prior one.")
    if not (math.isfinite(days) and days > 0):
        raise InputError(f"The prior CT lies {days:g} days before the current one; enter a number of days above 0.")


def _alone(
    nodules: Sequence[Nodule],
    matched: set[int],
    there: Callable[[ArrayLike], NDArray[np.float64]],
    other: Volume,
    registration: LungRegistration,
    is_current: bool,
) -> list[Lone]:
    found = []
    for n, nodule in enumerate(nodules):
        if n not in matched:
            place = there(nodule.centre_ras)
            covered = _covers(other.grid, place) and (not nodule.lung or nodule.lung in registration.sides)
            found.append(lone_of(nodule, place, covered, is_current=is_current))
    return found


def _covers(grid: Grid, ras: NDArray[np.float64]) -> bool:
    ijk = grid.ijk(ras)
    return bool((ijk >= -0.5).all() and (ijk <= np.array(grid.shape[::-1]) - 0.5).all())


def _slice_spacing(volume: Volume) -> float:
    return float(volume.spacing.max())


def _warnings(
    current: Volume, prior: Volume, registration: LungRegistration, repeatability: Repeatability
) -> tuple[str, ...]:
    found = []
    spacings = {"current": _slice_spacing(current), "prior": _slice_spacing(prior)}
    for name, spacing in spacings.items():
        if spacing > repeatability.largest_spacing_mm + 1e-3:
            found.append(
                f"The {name} CT's slices are {spacing:.3g} mm apart, which makes volumes of small nodules unreliable; "
                "the Fleischner Society (2017) asks for 1.5 mm or less, so doubling times come without an interval."
            )
    if max(spacings.values()) > _SPACING_RATIO * min(spacings.values()):
        found.append(
            f"The slices are {spacings['prior']:.3g} mm apart on the prior and {spacings['current']:.3g} mm on the "
            "current CT; measure both on series with the same slices and kernel."
        )
    if registration.correlation < DOUBTFUL_CORRELATION:
        found.append(
            f"The lungs of the two CTs resemble each other less than those of one patient do (correlation "
            f"{registration.correlation:.2f}); check that both are of the same patient."
        )
    if registration.folded_share > _FOLDED_SHARE:
        found.append(
            f"The registration folds in {registration.folded_share:.1%} of the lungs; check which nodule is which "
            "there."
        )
    if len(registration.sides) == 1:
        found.append(f"Only the {registration.sides[0]} lung is on both CTs; nodules of the other are not compared.")
    return tuple(found)
