"""What became of the nodules since a prior CT, in the words and pictures of a report."""

from __future__ import annotations

from collections.abc import Iterable

from LungNoduleAILib.followup.change import Lone
from LungNoduleAILib.nodule import Nodule
from LungNoduleAILib.report.content import ReportContent
from LungNoduleAILib.report.document import Block, Pictures, Section, Sentences
from LungNoduleAILib.report.pictures import AXIAL, section, side_mm


def nodule_follow_up(content: ReportContent, nodule: Nodule) -> list[Section]:
    """What became of a nodule of the current CT: nothing where it was not compared."""
    if content.follow_up is None:
        return []
    blocks: list[Block] = []
    for pair in content.follow_up.pairs:
        if pair.current.id == nodule.id:
            blocks.append(Sentences((pair.sentence,)))
            if content.prior is not None:
                blocks.append(_both(content, nodule, pair.prior, None))
    for one in _alone(nodule, (*content.follow_up.new, *content.follow_up.unseen)):
        blocks.append(Sentences((one.sentence,)))
        if content.prior is not None and one.behaviour is not None:
            blocks.append(_both(content, nodule, None, one))
    return [Section(f"nodule-{nodule.id}-follow-up", "Since the prior CT", tuple(blocks))] if blocks else []


def follow_up_section(content: ReportContent) -> list[Section]:
    """What the nodules' own sections do not tell: how well the CTs fit, and nodules of the prior CT alone."""
    follow_up = content.follow_up
    if follow_up is None:
        return []
    found = follow_up.registration
    sides = " and ".join(found.sides)
    blocks: list[Block] = [
        Sentences(
            (
                overview(content),
                f"The {sides} {'lung' if len(found.sides) == 1 else 'lungs'} of the prior CT were laid on the current "
                f"ones: Dice coefficient {found.overlap:.2f}, mean distance of the surfaces {found.residual_mm:.1f} "
                f"mm, correlation of the voxels {found.correlation:.2f}.",
            )
        )
    ]
    for one in follow_up.resolved:
        blocks.append(Sentences((one.sentence,)))
        if content.prior is not None:
            blocks.append(_both(content, None, one.nodule, one))
    current = [reported.nodule for reported in content.nodules]
    unseen = [one for one in follow_up.unseen if not any(_is(one, nodule) for nodule in current)]
    if unseen:
        blocks.append(Sentences(tuple(one.sentence for one in unseen), listed=True))
    return [Section("follow-up", "Comparison with the prior CT", tuple(blocks))]


def overview(content: ReportContent) -> str:
    """How many nodules stayed, came and went."""
    follow_up = content.follow_up
    counts = f"{len(follow_up.pairs)} on both, {len(follow_up.new)} new, {len(follow_up.resolved)} resolved"
    unseen = f", {len(follow_up.unseen)} where the other CT does not reach" if follow_up.unseen else ""
    return f"Compared with the CT {follow_up.days:.0f} days before, nodules that were found: {counts}{unseen}."


def _both(content: ReportContent, current: Nodule | None, prior: Nodule | None, alone: Lone | None) -> Pictures:
    """The prior and the current axial section beside each other, each with its nodule or where it would lie."""
    side = side_mm(*(one for one in (current, prior) if one is not None))
    there = alone.place_ras if alone else ()
    pictures = (
        section(content.prior, prior.centre_ras if prior else there, side, AXIAL, prior, title="Prior CT"),
        section(content.volume, current.centre_ras if current else there, side, AXIAL, current, title="Current CT"),
    )
    missing = " Without an outline: where the nodule would lie on that CT." if alone else ""
    return Pictures(pictures, f"Axial sections through the nodule at one scale.{missing}", share=0.62)


def _alone(nodule: Nodule, among: Iterable[Lone]) -> list[Lone]:
    return [one for one in among if _is(one, nodule)]


def _is(one: Lone, nodule: Nodule) -> bool:
    """Ids are of one CT alone, so that the place must agree as well."""
    return one.nodule.id == nodule.id and tuple(one.nodule.centre_ras) == tuple(nodule.centre_ras)
