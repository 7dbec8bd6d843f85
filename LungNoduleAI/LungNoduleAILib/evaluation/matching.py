"""Detections against reference nodules, counted as LUNA16 does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True)
class Reference:
    """A nodule that readers marked.

    Attributes:
        centre_ras: mm.
        diameter_mm: a detection within half of it is a hit.
        counts: False where it is neither right nor wrong to find it (an "excluded finding").
    """

    centre_ras: tuple[float, float, float]
    diameter_mm: float
    counts: bool = True


@dataclass(frozen=True)
class ScanResult:
    """One scan. Every detection is a best hit, a second hit, on an excluded finding, or a false positive.

    Attributes:
        found: for each reference the index of the best detection that hits it, or None.
        false_positives: indices of the detections that hit nothing.
        second_hits: indices of hits on nodules that a better detection hits.
        on_excluded: indices of hits on nothing but what does not count.
    """

    found: tuple[int | None, ...]
    false_positives: tuple[int, ...]
    second_hits: tuple[int, ...]
    on_excluded: tuple[int, ...]

    @property
    def ignored(self) -> tuple[int, ...]:
        """Indices of second hits and of hits on what does not count."""
        return tuple(sorted(self.second_hits + self.on_excluded))


def match(centres_ras: ArrayLike, scores: ArrayLike, references: Sequence[Reference]) -> ScanResult:
    """Assign detections to nodules.

    A detection is a hit if its centre lies within the nodule's radius; of several hits the one with
    the highest score counts and the others are ignored; hits on findings that do not count are
    ignored (Setio et al., Med Image Anal 2017, LUNA16). A detection within two nodules hits both.

    Args:
        centres_ras: [n, 3], mm.
        scores: [n].
        references: what the readers marked.
    """
    centres = np.asarray(centres_ras, dtype=float).reshape(-1, 3)
    order = np.argsort(-np.asarray(scores, dtype=float), kind="stable")
    if not references:
        return ScanResult((), tuple(range(len(centres))), (), ())
    nodules = np.array([reference.centre_ras for reference in references], dtype=float)
    radii = np.array([reference.diameter_mm for reference in references], dtype=float) / 2
    counts = np.array([reference.counts for reference in references])

    # Squares, as in the official script: a root could round a detection on the surface to the other side.
    inside = ((centres[:, None] - nodules[None]) ** 2).sum(axis=-1) < radii**2
    hits_in_order = inside[order]
    found = tuple(
        int(order[hits.argmax()]) if counted and hits.any() else None
        for hits, counted in zip(hits_in_order.T, counts, strict=True)
    )
    best = np.zeros(len(centres), dtype=bool)
    best[[hit for hit in found if hit is not None]] = True
    on_nodule = inside[:, counts].any(axis=1)
    on_anything = inside.any(axis=1)
    return ScanResult(
        found,
        false_positives=_indices(~on_anything),
        second_hits=_indices(on_nodule & ~best),
        on_excluded=_indices(on_anything & ~on_nodule),
    )


def _indices(mask: np.ndarray) -> tuple[int, ...]:
    return tuple(np.flatnonzero(mask).tolist())
