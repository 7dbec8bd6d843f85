"""What a training run writes down: TensorBoard's event file and a CSV that needs no viewer."""

from __future__ import annotations

import csv
import time
from collections import defaultdict
from pathlib import Path

_EVERY = 50


class RunLog:
    """Means of the loss terms every 50 steps, and every validation's figures.

    Args:
        folder: where ``log.csv`` and the event file lie.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._start = time.monotonic()
        self._sums: dict[str, list[float]] = defaultdict(list)

    def __enter__(self) -> RunLog:
        from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 (training alone needs it)

        self._board = SummaryWriter(self._folder / "tensorboard")
        self._file = (self._folder / "log.csv").open("a", newline="")
        self._csv = csv.writer(self._file)
        if self._file.tell() == 0:
            self._csv.writerow(["step", "seconds", "name", "value"])
        return self

    def __exit__(self, *_: object) -> None:
        self._board.close()
        self._file.close()

    def terms(self, step: int, terms: dict[str, float], rate: float) -> None:
        for name, value in {**terms, "learning rate": rate}.items():
            self._sums[name].append(value)
        if step % _EVERY == 0:
            self._write(step, {name: sum(values) / len(values) for name, values in self._sums.items()}, "train")
            self._sums.clear()

    def figures(self, step: int, figures: dict[str, float]) -> None:
        self._write(step, figures, "validation")

    def _write(self, step: int, values: dict[str, float], part: str) -> None:
        seconds = round(time.monotonic() - self._start, 1)
        for name, value in values.items():
            self._board.add_scalar(f"{part}/{name}", value, step)
            self._csv.writerow([step, seconds, f"{part}/{name}", f"{value:.5g}"])
        self._file.flush()
