"""Clinical target volume: the GTV with its microscopic spread, stopped at anatomical barriers.

ICRU Report 83 defines the CTV as the GTV and the subclinical disease around it. Tumour does not
cross intact bone, vessel walls, airways or the pleura, so growth is cut there unless the barrier is
invaded (ESTRO ACROP: Nestle et al., Radiother Oncol 2018;127:1).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from SegmentationAILib.errors import InputError
from SegmentationAILib.radiotherapy.margin_recipes import Margins
from SegmentationAILib.radiotherapy.margins import expand


@dataclass(frozen=True)
class MicroscopicSpread:
    """How far a tumour reaches beyond what is seen.

    Attributes:
        tumour: shown to the user.
        margin_mm: in every direction.
        source: where the margin was published, and what it covers.
    """

    tumour: str
    margin_mm: float
    source: str


_GIRAUD = "Giraud et al., Int J Radiat Oncol Biol Phys 2000;48:1015: covers 95 % of the microscopic extension"
_ACROP = "ESTRO ACROP, Nestle et al., Radiother Oncol 2018;127:1"
SPREADS: Mapping[str, MicroscopicSpread] = MappingProxyType(
    {
        "adenocarcinoma": MicroscopicSpread("lung adenocarcinoma", 8.0, _GIRAUD),
        "squamous": MicroscopicSpread("squamous cell carcinoma of the lung", 6.0, _GIRAUD),
        "lung": MicroscopicSpread("lung cancer, histology unknown", 8.0, f"{_ACROP}: 5 to 8 mm, the larger is taken"),
        "node": MicroscopicSpread("involved lymph node of lung cancer", 5.0, f"{_ACROP}: 5 to 8 mm"),
        "stereotactic": MicroscopicSpread(
            "lung tumour for SBRT", 0.0, "ESTRO ACROP, Guckenberger et al., Radiother Oncol 2017;124:11: CTV is GTV"
        ),
    }
)


@dataclass(frozen=True, eq=False)
class Barrier:
    """What a tumour does not grow through.

    Attributes:
        name: of the structure.
        mask: bool [k, j, i].
        invaded: the tumour has gone through it, so that it does not stop the growth.
        encloses: growth stays inside the structure, as in a lung, instead of outside.
    """

    name: str
    mask: NDArray[np.bool_]
    invaded: bool = False
    encloses: bool = False

    @property
    def closed(self) -> NDArray[np.bool_]:
        """bool [k, j, i]: where growth cannot go."""
        return ~self.mask if self.encloses else self.mask


def clinical_target(
    gtv: NDArray[np.bool_], ijk_to_ras: ArrayLike, margins: Margins, barriers: Sequence[Barrier] = ()
) -> NDArray[np.bool_]:
    """The GTV grown by a margin, without what lies in or behind a barrier.

    Args:
        gtv: bool [k, j, i].
        ijk_to_ras: 4×4.
        margins: none negative.
        barriers: on the same grid; those that are invaded stop nothing. A lung that encloses the growth
            must hold its collapsed and consolidated parts too: without them growth stops at their edge.

    Returns:
        bool [k, j, i]: always holds the whole GTV; each part is joined to it through voxel faces, so
        that growth does not slip through a thin wall where voxels touch by their edges.

    Raises:
        InputError: a margin is negative, a mask is not on the grid of the GTV, or the barriers leave
            nothing of the margin: most often a lung that was drawn around the tumour, with a gap.
    """
    inward = [side for side, distance in margins.as_sides().items() if distance < 0]
    if inward:
        raise InputError(f"The {inward[0]} margin of a CTV is negative; a CTV holds its GTV, so give 0 mm or more.")
    for barrier in barriers:
        if barrier.mask.shape != gtv.shape:
            raise InputError(f"The barrier '{barrier.name}' is not on the grid of the GTV; resample it.")
    target = np.array(expand(gtv, ijk_to_ras, **margins.as_sides()), dtype=bool)
    box = _box(target)
    if box is None:
        return target
    open_here = target[box].copy()
    for barrier in barriers:
        if not barrier.invaded:
            open_here &= ~Barrier(barrier.name, barrier.mask[box], encloses=barrier.encloses).closed
    seen = gtv[box]
    grown_from = np.count_nonzero(seen)
    pieces, _ = ndimage.label(open_here | seen)
    kept = np.isin(pieces, np.unique(pieces[seen]))
    if target[box].sum() > grown_from and kept.sum() == grown_from:
        closing = ", ".join(barrier.name for barrier in barriers if not barrier.invaded)
        raise InputError(
            f"Nothing is left of the margin around the GTV, which {closing} close in on all sides; "
            "draw them up to the GTV, or mark as invaded what it has gone through."
        )
    target[box] = kept
    return target


def crossed(gtv: NDArray[np.bool_], barriers: Sequence[Barrier]) -> tuple[str, ...]:
    """The barriers that the GTV reaches into although they are not said to be invaded.

    To be shown to the user: either the tumour invades them, or a contour is wrong.
    """
    return tuple(one.name for one in barriers if not one.invaded and bool((gtv & one.closed).any()))


def _box(mask: NDArray[np.bool_]) -> tuple[slice, ...] | None:
    found = ndimage.find_objects(mask.astype(np.uint8))
    return found[0] if found else None
