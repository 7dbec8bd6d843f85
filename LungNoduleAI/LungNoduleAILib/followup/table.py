"""What became of each nodule, a row for each: one definition of the columns for the scene and the CSV file."""

from __future__ import annotations

import csv
from pathlib import Path

from LungNoduleAILib.followup.comparison import FollowUp

COLUMNS = ("nodule", "prior_nodule", "volume_change", "doubling_time_days", "behaviour", "what_became_of_it")


def rows(found: FollowUp) -> list[tuple[str, ...]]:
    """In the order of ``COLUMNS``; numbers of nodules are those of their CTs, "" where a CT does not show it."""
    lines = []
    for pair in found.pairs:
        days = pair.doubling.days
        lines.append(
            (
                str(pair.current.id),
                str(pair.prior.id),
                f"{pair.volume_change:+.3f}",
                "" if days is None else f"{days:.0f}",
                pair.behaviour.value,
                pair.sentence,
            )
        )
    lines += [(str(one.nodule.id), "", "", "", one.behaviour.value, one.sentence) for one in found.new]
    lines += [("", str(one.nodule.id), "", "", one.behaviour.value, one.sentence) for one in found.resolved]
    lines += [("", "", "", "", "not covered", one.sentence) for one in found.unseen]
    return lines


def write_csv(found: FollowUp, path: str | Path) -> Path:
    """Write the rows; the file appears whole or not at all.

    Raises:
        InputError: the folder cannot be written to.
    """
    path = Path(path)
    # A scene that shows a comparison waits for no image library.
    from SegmentationAILib.writing import atomic_write  # noqa: PLC0415

    with atomic_write(path) as partial, partial.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        writer.writerows(rows(found))
    return path
