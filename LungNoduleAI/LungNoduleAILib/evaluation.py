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
    """One scan.

    Attributes:
        found: for each reference the index of the best detection that hits it, or None.
        false_positives: indices of the detections that hit nothing.
        ignored: indices of second hits and of hits on what does not count.
    """

    found: tuple[int | None, ...]
    false_positives: tuple[int, ...]
    ignored: tuple[int, ...]


def match(centres_ras: ArrayLike, scores: ArrayLike, references: Sequence[Reference]) -> ScanResult:
    """Assign detections to nodules.

    A detection is a hit if its centre lies within the nodule's radius; of several hits the one with
    the highest score counts and the others are ignored; hits on findings that do not count are
    ignored (Setio et al., Med Image Anal 2017, LUNA16).

    Args:
        centres_ras: [n, 3], mm.
        scores: [n].
        references: what the readers marked.
    """
    centres = np.asarray(centres_ras, dtype=float).reshape(-1, 3)
    order = np.argsort(-np.asarray(scores, dtype=float), kind="stable")
    found: list[int | None] = [None] * len(references)
    ignored: list[int] = []
    false_positives: list[int] = []
    for detection in order.tolist():
        hits = [
            n
            for n, reference in enumerate(references)
            if np.linalg.norm(centres[detection] - reference.centre_ras) < reference.diameter_mm / 2
        ]
        counting = [n for n in hits if references[n].counts]
        fresh = [n for n in counting if found[n] is None]
        for n in fresh:
            found[n] = detection
        if fresh:
            continue
        if hits:
            ignored.append(detection)
        else:
            false_positives.append(detection)
    return ScanResult(tuple(found), tuple(sorted(false_positives)), tuple(sorted(ignored)))
