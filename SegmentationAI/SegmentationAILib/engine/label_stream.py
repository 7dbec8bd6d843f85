"""From logits on a model's grid to labels on another grid, slice by slice as the logits are finished.

The label of a voxel is the class whose linearly interpolated logit is the highest. Where all voxels that the
interpolation reads agree on the highest class, that class is the highest of the mixture too, since it is so in
each part. So most voxels need no logits at all, and the others are looked up one by one; neither time nor
memory grows with classes times voxels of the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

_LOOKED_UP_AT_ONCE = 20_000_000


@dataclass(frozen=True)
class _Ends:
    """Of each new index the two old ones that it lies between, and the share of the second."""

    low: torch.Tensor
    high: torch.Tensor
    share: torch.Tensor

    @staticmethod
    def of(before: int, after: int, *, nearest: bool, device: torch.device) -> _Ends:
        """With the outermost voxel faces of both grids on each other, as ``resize`` has them."""
        place = before / after * (np.arange(after) + 0.5) - 0.5
        return _Ends.at(np.floor(place + 0.5) if nearest else place, before, device)

    @staticmethod
    def at(place: NDArray, before: int, device: torch.device) -> _Ends:
        """At continuous indices; beyond the ends, the end."""
        place = np.clip(place, 0, before - 1)
        low = np.floor(place).astype(np.int64)
        high = np.minimum(low + 1, before - 1)
        share = (place - low).astype(np.float32)
        high[share == 0] = low[share == 0]
        return _Ends(*(torch.from_numpy(part).to(device) for part in (low, high, share)))


class LabelStream:
    """Takes slices of logits in order and fills in the labels of another grid.

    Args:
        before: shape (k, j, i) of the model's grid.
        after: shape of the result's grid over the same extent.
        classes: number of logits.
        separate: axis (0 is k) along which the nearest voxel is taken instead of interpolating.
        positions: continuous indices of the result's voxels in the model's grid along (k, j, i), which increase along
            k, for grids that are not over the same extent.
        device: where the logits come and the labels are kept.
    """

    def __init__(
        self,
        before: tuple[int, int, int],
        after: tuple[int, int, int],
        classes: int,
        *,
        separate: int | None = None,
        positions: Sequence[NDArray] | None = None,
        device: torch.device,
    ) -> None:
        if positions is None:
            self._ends = [
                _Ends.of(b, a, nearest=axis == separate, device=device)
                for axis, (b, a) in enumerate(zip(before, after, strict=True))
            ]
        else:
            self._ends = [_Ends.at(place, b, device) for place, b in zip(positions, before, strict=True)]
        dtype = torch.uint8 if classes <= 256 else torch.int16
        self.labels = torch.zeros(after, dtype=dtype, device=device)
        self._done = 0
        self._first = 0
        self._held: list[tuple[torch.Tensor, torch.Tensor]] = []

    def take(self, logits: torch.Tensor) -> None:
        """The next slice of the model's grid.

        Args:
            logits: [j, i, class]; kept until the next slice has come.
        """
        self._held.append((logits, logits.argmax(dim=-1).to(self.labels.dtype)))
        newest = self._first + len(self._held) - 1
        ends = self._ends[0]
        while self._done < len(ends.low) and int(ends.high[self._done]) <= newest:
            low, high = (int(end[self._done]) - self._first for end in (ends.low, ends.high))
            self._write(self._held[low], self._held[high], float(ends.share[self._done]))
            self._done += 1
        del self._held[:-1]
        self._first = newest

    def _write(
        self, low: tuple[torch.Tensor, torch.Tensor], high: tuple[torch.Tensor, torch.Tensor], share: float
    ) -> None:
        least, most = _lowest_and_highest(torch.minimum(low[1], high[1]), torch.maximum(low[1], high[1]), self._ends)
        labels = self.labels[self._done]
        labels.copy_(least)
        at = torch.nonzero(least != most)
        if not len(at):
            return
        between = low[0] if share == 0.0 else torch.lerp(low[0].float(), high[0].float(), share)
        chunk = max(1, _LOOKED_UP_AT_ONCE // (4 * between.shape[-1]))
        for some in at.split(chunk):
            labels[some[:, 0], some[:, 1]] = _highest(between, some, self._ends).to(labels.dtype)


def _lowest_and_highest(
    least: torch.Tensor, most: torch.Tensor, ends: list[_Ends]
) -> tuple[torch.Tensor, torch.Tensor]:
    """The lowest and the highest of the labels that each new voxel of a slice lies between."""
    for dim, end in ((0, ends[1]), (1, ends[2])):
        least = torch.minimum(least.index_select(dim, end.low), least.index_select(dim, end.high))
        most = torch.maximum(most.index_select(dim, end.low), most.index_select(dim, end.high))
    return least, most


def _highest(logits: torch.Tensor, at: torch.Tensor, ends: list[_Ends]) -> torch.Tensor:
    """The class of the highest interpolated logit at places (j, i) of the new slice."""
    rows, columns = (
        (end.low[index], end.high[index], end.share[index][:, None])
        for end, index in ((ends[1], at[:, 0]), (ends[2], at[:, 1]))
    )
    sums = [
        torch.lerp(logits[row, columns[0]].float(), logits[row, columns[1]].float(), columns[2]) for row in rows[:2]
    ]
    return torch.lerp(*sums, rows[2]).argmax(dim=-1)
