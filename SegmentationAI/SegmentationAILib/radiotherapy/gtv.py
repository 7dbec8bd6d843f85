"""A tumour from clicks: promptable segmentation of the gross tumour volume (GTV) in a chest CT.

The first prompt gives place and size, features of the voxels around it give each a log-odds of tumour,
clicks correct it near themselves, and a random walker settles the surface on edges. The same prompts give
the same mask.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from SegmentationAILib.body import segment_body
from SegmentationAILib.errors import InputError
from SegmentationAILib.labels import LabelMap
from SegmentationAILib.preprocess import resample
from SegmentationAILib.radiotherapy.tumour_edit import edited
from SegmentationAILib.radiotherapy.tumour_features import features
from SegmentationAILib.radiotherapy.tumour_model import log_odds, log_odds_of_box, log_odds_of_mask, with_prior
from SegmentationAILib.radiotherapy.tumour_prior import Prior
from SegmentationAILib.radiotherapy.tumour_prompts import (
    Box,
    Click,
    Drawn,
    Point,
    Prompt,
    checked_box,
    checked_click,
    checked_mask,
    voxel_of,
)
from SegmentationAILib.radiotherapy.tumour_surface import distance_mm, holds, on_volume, reaches_end, settle
from SegmentationAILib.radiotherapy.tumour_window import (
    MOST_DEPTH_MM,
    REACH_DEPTHS,
    Window,
    signed_distance,
    window_around,
)
from SegmentationAILib.volume import Grid, Volume

# A tumour that reaches the window's end is looked at again in a larger one.
_LARGER, _MOST_LOOKS = 1.6, 3
_BOX_SLACK_MM = 1.5
_BODY_MM = 4.0
# The nodule network knows nothing larger, and takes too long on it.
_DEEPEST_WITH_PRIOR_MM = 10.0


@dataclass(frozen=True, eq=False)
class _Base:
    """What the first prompt alone decides."""

    window: Window
    log_odds: NDArray[np.float32]
    seeds: NDArray[np.int8]


@dataclass(frozen=True, eq=False)
class Session:
    """A tumour being segmented; every step returns the mask, and ``prompts`` is all that it depends on.

    Attributes:
        volume: CT, HU.
        lungs: right and left lung on the volume's grid, None where they are not known.
        prior: another opinion, such as a network's.
        prompts: in the order given.
    """

    volume: Volume
    lungs: LabelMap | None = None
    prior: Prior | None = None
    _given: list[Prompt] = field(default_factory=list)
    _body: dict[Grid, NDArray[np.bool_]] = field(default_factory=dict)
    _bases: dict[tuple[Prompt, float | None], _Base] = field(default_factory=dict)
    _masks: list[NDArray[np.bool_]] = field(default_factory=list)

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        return tuple(self._given)

    def click(self, ras: Point, add: bool = True) -> NDArray[np.bool_]:
        """Add what was clicked on to the tumour, or take it away.

        Args:
            ras: mm.
            add: whether the point is tumour.

        Returns:
            bool [k, j, i] on the volume's grid.

        Raises:
            InputError: the click lies outside the CT in air or on the table, or takes away before there is a tumour.
        """
        prompt = checked_click(self.volume, ras, add)
        if add and not self._in_body(prompt.ras):
            raise InputError("The click lies outside the patient's body; click on the tumour itself.")
        if not add and not self._given:
            raise InputError("There is no tumour to take anything away from; click on the tumour first.")
        return self._with(prompt)

    def remove(self, ras: Point) -> NDArray[np.bool_]:
        """``click(ras, add=False)``."""
        return self.click(ras, add=False)

    def box(self, ras_min: Point, ras_max: Point) -> NDArray[np.bool_]:
        """Start anew with a box around the tumour.

        Raises:
            InputError: the box is thin, or its middle lies outside the CT.
        """
        return self._start_with(checked_box(self.volume, ras_min, ras_max))

    def mask(self, drawn: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Start anew with a mask, such as a detected nodule's or any segment's; clicks then edit it.

        Raises:
            InputError: it is empty or not on the volume's grid.
        """
        return self._start_with(checked_mask(self.volume, drawn))

    def undo(self) -> NDArray[np.bool_]:
        """Forget the last prompt.

        Raises:
            InputError: there is none.
        """
        if not self._given:
            raise InputError("There is nothing to undo; click on a tumour first.")
        del self._given[-1]
        if not self._given:
            self._bases.clear()
        return self.result()

    def result(self) -> NDArray[np.bool_]:
        """bool [k, j, i] on the volume's grid; empty without prompts."""
        del self._masks[len(self._given) :]
        for count in range(len(self._masks) + 1, len(self._given) + 1):
            self._masks.append(self._after(self.prompts[:count]))
        return self._masks[-1].copy() if self._masks else np.zeros(self.volume.shape, dtype=bool)

    def _after(self, prompts: tuple[Prompt, ...]) -> NDArray[np.bool_]:
        """What the last of the prompts makes of the outline before it."""
        if isinstance(prompts[-1], Drawn):
            return prompts[-1].mask
        probability, grid = _segment(self, prompts)
        mask = on_volume(probability, grid, self.volume.grid, np.zeros(self.volume.shape, dtype=bool))
        # A voxel of the CT may be larger than what a click holds for sure.
        for one in prompts:
            if isinstance(one, Click):
                mask[voxel_of(self.volume.grid, one.ras)] = one.add
        if len(prompts) == 1:
            return mask
        drawn = isinstance(prompts[0], Drawn)
        return edited(self._masks[-1], mask, prompts[-1], self.volume.grid, shell=not drawn)

    def _in_body(self, ras: Point) -> bool:
        """Told only where there are lungs: a small part of a CT need not show the body's outline."""
        if self.lungs is None:
            return True
        if not self._body:
            grid = self.volume.grid.canonical().with_spacing(_BODY_MM)
            hu = resample(self.volume.array, self.volume.grid, grid, mode="nearest", fill=-1000.0)
            self._body[grid] = segment_body(hu, _BODY_MM)
        [(grid, body)] = self._body.items()
        return bool(body[voxel_of(grid, ras)])

    def _start_with(self, prompt: Prompt) -> NDArray[np.bool_]:
        self._given.clear()
        self._bases.clear()
        self._masks.clear()
        return self._with(prompt)

    def _with(self, prompt: Prompt) -> NDArray[np.bool_]:
        self._given.append(prompt)
        return self.result()


def start(volume: Volume, lungs: LabelMap | None = None, prior: Prior | None = None) -> Session:
    """A session on a chest CT.

    Args:
        volume: CT, HU.
        lungs: right and left lung on the volume's grid with nodules inside; keeps the wall out of small tumours.
        prior: called with the CT around a tumour of up to 10 mm inner radius on isotropic voxels, answers with each
            voxel's probability.

    Raises:
        InputError: the lungs are not on the volume's grid.
    """
    if lungs is not None and not lungs.grid.same_as(volume.grid):
        raise InputError("The lungs are not on the CT's grid; segment them on this CT.")
    return Session(volume, lungs, prior)


def _segment(session: Session, prompts: tuple[Prompt, ...]) -> tuple[NDArray[np.float32], Grid]:
    """Probability of tumour around the prompts, 0.5 at its surface, and where."""
    clicks = [one for one in prompts if isinstance(one, Click)]
    base = _base(session, prompts[0], None)
    far = [distance_mm(base.window, one.ras) for one in clicks if one.add and not holds(base.window, one.ras)]
    if far:
        base = _base(session, prompts[0], max(far) / REACH_DEPTHS)
    probability = settle(base.window, base.log_odds, base.seeds, clicks)
    for _ in range(_MOST_LOOKS - 1):
        if base.window.depth_mm >= MOST_DEPTH_MM or not reaches_end(probability, base.window, session.volume.grid):
            break
        base = _base(session, prompts[0], base.window.depth_mm * _LARGER)
        probability = settle(base.window, base.log_odds, base.seeds, clicks)
    return probability, base.window.grid


def _base(session: Session, first: Prompt, depth: float | None) -> _Base:
    """Kept in the session, so that later clicks are fast."""
    key = (first, depth)
    if key not in session._bases:
        made = _base_of_mask(session.volume, first, depth) if isinstance(first, Drawn) else _base_of(session, *key)
        session._bases[key] = made
    return session._bases[key]


def _base_of(session: Session, first: Click | Box, depth: float | None) -> _Base:
    volume = session.volume
    if isinstance(first, Box):
        half = (np.array(first.high) - np.array(first.low)) / 2
        window = window_around(volume, first.centre, depth or float(half.min()) * 0.8)
        seeds = _box_seeds(window, first)
    else:
        window = window_around(volume, first.ras, depth)
        seeds = np.zeros(window.hu.shape, dtype=np.int8)
    lungs = None
    if session.lungs is not None:
        lungs = resample(session.lungs.array, session.lungs.grid, window.grid, mode="nearest") > 0
    odds = log_odds(features(window, lungs))
    if isinstance(first, Box):
        odds = odds + log_odds_of_box(window, first.low, first.high)
    if session.prior is not None and window.depth_mm <= _DEEPEST_WITH_PRIOR_MM:
        odds = with_prior(odds, session.prior(Volume(window.hu, window.grid, volume.name, volume.modality)))
    return _Base(window, odds, seeds)


def _base_of_mask(volume: Volume, first: Drawn, depth: float | None) -> _Base:
    box = ndimage.find_objects(first.mask.astype(np.uint8))[0]
    padded = np.pad(first.mask[box], 1)
    inner = ndimage.distance_transform_edt(padded, sampling=volume.spacing[::-1])
    deepest = np.unravel_index(int(np.argmax(inner)), inner.shape)
    centre = volume.grid.ras([d - 1 + side.start for d, side in zip(deepest, box, strict=True)][::-1])
    half = max(n * step for n, step in zip(padded.shape, volume.spacing[::-1], strict=True)) / 2
    window = window_around(volume, centre, depth or max(float(inner.max()), half / 2))
    share = resample(first.mask.astype(np.float32), volume.grid, window.grid, mode="area")
    odds = log_odds_of_mask(signed_distance(share >= 0.5, window.spacing_mm), window)
    return _Base(window, odds, np.zeros(odds.shape, dtype=np.int8))


def _box_seeds(window: Window, box: Box) -> NDArray[np.int8]:
    k, j, i = np.indices(window.hu.shape)
    ras = window.grid.ras(np.stack([i, j, k], axis=-1))
    outside = np.any((ras < np.array(box.low) - _BOX_SLACK_MM) | (ras > np.array(box.high) + _BOX_SLACK_MM), axis=-1)
    return -outside.astype(np.int8)
