"""The Lung-RADS category that a nodule had on the prior CT, which its category now depends on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from LungNoduleAILib.assessment import findings_of
from LungNoduleAILib.followup.comparison import FollowUp
from LungNoduleAILib.guidelines import lung_rads
from LungNoduleAILib.guidelines.answers import Range
from LungNoduleAILib.nodule import Nodule
from LungNoduleAILib.reading import Entry, Reading


def categories_of(
    nodules: Sequence[Nodule],
    follow_up: FollowUp | None = None,
    corrections: Mapping[int, Mapping[str, object]] | None = None,
) -> dict[int, str]:
    """Category of each nodule by its id, by Lung-RADS v2022; those that something unknown leaves open are left out.

    Args:
        nodules: of one CT, those that its reader did not reject.
        follow_up, corrections: as for ``assessment.findings_of``.
    """
    answers = {one.id: lung_rads.classify(one) for one in findings_of(nodules, follow_up, corrections)}
    return {key: one.category for key, one in answers.items() if not isinstance(one, Range)}


def with_prior_categories(reading: Reading, follow_up: FollowUp, categories: Mapping[int, str]) -> Reading:
    """A reading in which paired nodules have the category of the prior CT, unless the reader said another.

    No step is added, so that *Undo* takes back what the reader did and nothing else.

    Args:
        categories: by the ids of the prior CT's nodules.
    """
    before = {pair.current.id: categories.get(pair.prior.id) for pair in follow_up.pairs}

    def informed(one: Entry) -> Entry:
        category = before.get(one.nodule.id)
        return one if category is None else replace(one, corrections={"prior_category": category, **one.corrections})

    return replace(reading, entries=tuple(informed(one) for one in reading.entries))
