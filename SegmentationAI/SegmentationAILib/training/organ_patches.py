"""Patches for the organ network: synthetic and real CTs, deformed, by number."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from torch.utils.data import Dataset

from SegmentationAILib.errors import InputError
from SegmentationAILib.organ_network import SPACING_MM, network_input
from SegmentationAILib.training.ct_scanner import AIR_HU, scanned
from SegmentationAILib.training.organ_cases import SPACING_MM as CASE_MM
from SegmentationAILib.training.organ_cases import Case, LabelCase
from SegmentationAILib.training.organ_classes import (
    BACKGROUND,
    LUNG_LEFT,
    LUNG_RIGHT,
    SOFT,
    UNKNOWN,
    class_table,
    mirrored_classes,
)
from SegmentationAILib.training.organ_synthesis import Anatomy, synthesise
from SegmentationAILib.training.random_fields import Randomness

PATCH = (96, 112, 112)
_SCALE = (0.75, 1.3)
_ROTATION_DEG = 15.0
# Deviation of the elastic field in mm, and voxels between its control points: broad and local.
_ELASTIC = ((10.0, 45.0), (3.5, 18.0))
_SYNTHETIC = 0.65
_CUT_FIELD = 0.15
_PLACES_PER_CLASS = 4000
# Voxels below the lungs in which patches may be centred: the upper abdomen.
_BELOW_LUNGS = 30
# Patches are centred no nearer to the first and last slice, where the case is long enough.
_FROM_ENDS = 28


class OrganPatches(Dataset):
    """Patches at the network's spacing; i, j, k run to the patient's left, posterior, superior.

    A patch depends on the seed, its index and the device's kind alone.

    Args:
        cases: as ``training_cases`` gives them.
        seed: another one gives other patches.
        device: where patches are made.
        shape: voxels along (k, j, i).
        keep_soft: keep ``SOFT``, for a loss that knows it (tissue that is neither lung, airway nor
            bone); otherwise it becomes ``UNKNOWN``.
        synthetic_share: share of patches from label maps, where there are also CTs.
        mirrored_share: share of patches whose left and right change places, labels too; none by
            default, since the side of heart, liver and arch is how the lungs are told apart.

    Raises:
        InputError: there is no case.
    """

    def __init__(
        self,
        cases: Sequence[Case],
        *,
        seed: int = 0,
        device: str | torch.device = "cpu",
        shape: tuple[int, int, int] = PATCH,
        keep_soft: bool = False,
        synthetic_share: float = _SYNTHETIC,
        mirrored_share: float = 0.0,
    ) -> None:
        if not cases:
            raise InputError("There is nothing to learn from; give at least one label map or CT.")
        self.shape = shape
        self.seed = seed
        self.device = torch.device(device)
        self.keep_soft = keep_soft
        self._mirrored_share = mirrored_share
        self._cases = [_Sampled(case, self.device) for case in cases]
        weights = np.array([case.weight for case in self._cases])
        synthetic = np.array([case.synthetic for case in self._cases])
        if synthetic.any() and not synthetic.all():
            for group, share in ((synthetic, synthetic_share), (~synthetic, 1.0 - synthetic_share)):
                weights[group] *= share / weights[group].sum()
        self._weights = weights / weights.sum()

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        """``image`` float32 [1, k, j, i] as ``network_input`` scales it; ``label`` uint8 [k, j, i]."""
        random = Randomness(self.seed, index, self.device)
        case = self._cases[int(random.draw.choice(len(self._cases), p=self._weights))]
        mirrored = random.chance(self._mirrored_share)
        places = _places(self.shape, case.centre(random), mirrored, random)
        hu, classes = case.drawn(places, random)
        if random.chance(_CUT_FIELD):
            hu, classes = _cut_field(hu, classes, random)
        if mirrored:
            classes = torch.from_numpy(mirrored_classes()).to(classes.device)[classes.long()]
        if not self.keep_soft:
            classes = torch.where(classes == SOFT, UNKNOWN, classes)
        return {"image": network_input(hu)[None].contiguous(), "label": classes.to(torch.uint8)}


def _places(shape: tuple[int, int, int], centre: np.ndarray, mirrored: bool, random: Randomness) -> list[torch.Tensor]:
    """Where in the case each voxel of the patch lies: k, j and i, each [k, j, i] in voxels."""
    angles = np.radians([random.uniform(-_ROTATION_DEG, _ROTATION_DEG) * share for share in (1.0, 0.6, 0.6)])
    matrix = np.eye(3)
    for axis, angle in enumerate(angles):
        first, second = [n for n in range(3) if n != axis]
        turn = np.eye(3)
        turn[[first, second], [first, second]] = np.cos(angle)
        turn[first, second], turn[second, first] = -np.sin(angle), np.sin(angle)
        matrix = matrix @ turn
    size = random.uniform(*_SCALE)
    scale = np.clip([size * random.uniform(0.85, 1.15) for _ in range(3)], *_SCALE)
    matrix = matrix / scale * (SPACING_MM / CASE_MM)
    if mirrored:
        matrix[:, 2] *= -1.0
    axes = [torch.arange(n, dtype=torch.float32, device=random.device) - (n - 1) / 2 for n in shape]
    strength = [random.uniform(0.0, deviation) / CASE_MM for deviation, _ in _ELASTIC]
    places = []
    for row, middle in zip(matrix, centre, strict=True):
        place = (axes[0] * row[0])[:, None, None] + (axes[1] * row[1])[:, None] + axes[2] * row[2] + float(middle)
        for amount, (_, cell) in zip(strength, _ELASTIC, strict=True):
            place = place + amount * random.field(shape, cell)
        places.append(place)
    return places


class _Sampled:
    """A case on the device, and where in it patches are centred."""

    def __init__(self, case: Case, device: torch.device) -> None:
        self.synthetic = isinstance(case, LabelCase)
        classes = class_table()[case.structures] if self.synthetic else case.classes
        self._labels = torch.from_numpy(case.structures if self.synthetic else case.classes).to(device)
        self._smooth = torch.from_numpy(case.depth if self.synthetic else case.hu).to(device)
        steps = (case.inner, case.root) if self.synthetic else ()
        self._steps = [torch.from_numpy(values).to(device) for values in steps]
        self._by_class = _places_by_class(classes)
        self._middle = np.concatenate(self._by_class).mean(axis=0)[1:]
        # The more of the chest a case shows, the more often it comes.
        self.weight = float(np.sqrt(np.count_nonzero(_slices_with_lung(classes)) + 1))

    def centre(self, random: Randomness) -> np.ndarray:
        """Voxel (k, j, i) around a random voxel of a random class, pulled towards the middle of the body."""
        places = self._by_class[int(random.draw.integers(len(self._by_class)))]
        centre = places[int(random.draw.integers(len(places)))] + random.draw.uniform(-12, 12, 3)
        centre[1:] += random.uniform(0.0, 0.7) * (self._middle - centre[1:])
        margin = min(_FROM_ENDS, (self._labels.shape[0] - 1) / 2)
        centre[0] = np.clip(centre[0], margin, self._labels.shape[0] - 1 - margin)
        return centre

    def drawn(self, places: list[torch.Tensor], random: Randomness) -> tuple[torch.Tensor, torch.Tensor]:
        """HU as a scanner gives them, and classes."""
        flat, inside, level = _nearest(self._labels.shape, places)
        labels = self._labels.flatten()[flat]
        smooth = _linear(self._smooth, places)
        if self.synthetic:
            inner, root = (values.flatten()[flat].to(torch.float32) for values in self._steps)
            hu, classes = synthesise(Anatomy(labels, smooth, inner, root, scanned=inside), random)
            return scanned(hu, random, SPACING_MM), classes
        beside = level & ~inside & (labels == BACKGROUND)
        classes = torch.where(inside | beside, labels, UNKNOWN)
        hu = torch.where(inside, _altered(smooth, random), AIR_HU)
        return scanned(hu, random, SPACING_MM, blurred=True), classes


def _places_by_class(classes: np.ndarray) -> list[np.ndarray]:
    """For each class in the case some voxels (k, j, i), none far below the lungs."""
    draw = np.random.default_rng(0)
    lungs = _slices_with_lung(classes)
    lowest = max(0, int(np.argmax(lungs)) - _BELOW_LUNGS) if lungs.any() else 0
    places = []
    for value in np.unique(classes[lowest:]):
        if value in {BACKGROUND, UNKNOWN}:
            continue
        found = np.flatnonzero(classes[lowest:] == value)
        chosen = draw.choice(found, min(len(found), _PLACES_PER_CLASS), replace=False)
        places.append(np.stack(np.unravel_index(chosen, classes[lowest:].shape), axis=1) + np.array([lowest, 0, 0]))
    if not places:
        raise InputError("A case shows no organ; leave it out.")
    return places


def _slices_with_lung(classes: np.ndarray) -> np.ndarray:
    return np.isin(classes, [LUNG_RIGHT, LUNG_LEFT]).any(axis=(1, 2))


def _nearest(shape: tuple[int, ...], places: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Index of the nearest voxel; whether the place lies in the case; whether between its end slices."""
    flat, inside, level = None, None, None
    for place, size in zip(places, shape, strict=True):
        whole = place.round()
        ok = (whole >= 0) & (whole <= size - 1)
        whole = whole.clamp(0, size - 1).long()
        flat = whole if flat is None else flat * size + whole
        inside = ok if inside is None else inside & ok
        level = ok if level is None else level
    return flat, inside, level


def _linear(values: torch.Tensor, places: list[torch.Tensor]) -> torch.Tensor:
    """[k, j, i] float32, interpolated; beyond the case, its outermost values."""
    window, normalised = [], []
    for place, size in zip(places, values.shape, strict=True):
        low = int(place.min().floor().clamp(0, size - 2))
        high = int(place.max().ceil().clamp(low + 1, size - 1))
        window.append(slice(low, high + 1))
        normalised.append((place - low) * (2.0 / (high - low)) - 1.0)
    grid = torch.stack(normalised[::-1], dim=-1)[None]
    source = values[tuple(window)].to(torch.float32)[None, None]
    return F.grid_sample(source, grid, mode="bilinear", padding_mode="border", align_corners=True)[0, 0]


def _altered(hu: torch.Tensor, random: Randomness) -> torch.Tensor:
    """Another calibration, contrast of soft tissue, and inflation of the lung."""
    hu = hu + random.uniform(-15, 15)
    above, below = hu.clamp_min(0.0), hu.clamp_max(0.0)
    return above * random.uniform(0.8, 1.3) + below * random.uniform(0.93, 1.04)


def _cut_field(hu: torch.Tensor, classes: torch.Tensor, random: Randomness) -> tuple[torch.Tensor, torch.Tensor]:
    """Nothing beyond a circle in the axial plane, or beyond a last slice."""
    if random.chance(0.5):
        first = int(random.draw.integers(4, hu.shape[0] // 2))
        seen = torch.zeros(hu.shape[0], dtype=torch.bool, device=hu.device)
        seen[first:] = True
        seen = (seen if random.chance(0.5) else seen.flip(0))[:, None, None]
    else:
        j, i = (torch.linspace(-1.0, 1.0, n, device=hu.device) - random.uniform(-0.3, 0.3) for n in hu.shape[1:])
        seen = (j.square()[:, None] + i.square() < random.uniform(0.7, 1.4) ** 2)[None]
    classes = torch.where(seen | (classes == BACKGROUND), classes, UNKNOWN)
    return torch.where(seen, hu, -1024.0), classes
