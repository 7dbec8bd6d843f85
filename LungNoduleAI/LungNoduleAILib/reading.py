"""A reader's work on one CT: nodules, decisions, what was entered, and the way back. Nothing in it changes in place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime

from pydicom.uid import generate_uid

from LungNoduleAILib.analysis_result import Findings
from LungNoduleAILib.followup.lung_registration import LungRegistration
from LungNoduleAILib.guidelines.findings import Finding
from LungNoduleAILib.guidelines.patient import Patient
from LungNoduleAILib.nodule import Nodule
from LungNoduleAILib.review import Decision, Verdict
from SegmentationAILib.engine.task import Task
from SegmentationAILib.errors import InputError

CORRECTABLE = frozenset(one.name for one in fields(Finding)) - {"id"}


@dataclass(frozen=True, eq=False)
class Entry:
    """A nodule, what was decided of it and what the reader says of it.

    Attributes:
        uid: DICOM tracking unique identifier.
        corrections: attributes of ``Finding`` that the reader entered.
    """

    nodule: Nodule
    decision: Decision
    uid: str
    corrections: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Step:
    """A change of one nodule, which can be undone.

    Attributes:
        at: when it was made, with its time zone.
        action: "accepted", "rejected", "reopened", "added", "edited" or "corrected".
        before: None where the nodule was added.
        after: as the change left it.
    """

    at: datetime
    action: str
    before: Entry | None
    after: Entry


@dataclass(frozen=True, eq=False)
class PriorLink:
    """How the CT lies to a prior one."""

    registration: LungRegistration
    days: float


@dataclass(frozen=True, eq=False)
class Reading:
    """Every method returns another reading.

    Attributes:
        task: what was run.
        entries: in order of the nodules' ids.
        patient: inputs of the risk models.
        exam_inputs: attributes of Lung-RADS's ``Exam`` that the reader entered, less its findings.
        steps: in the order made.
        prior: None without a prior CT.
    """

    task: Task
    entries: tuple[Entry, ...] = ()
    patient: Patient = field(default_factory=Patient)
    exam_inputs: Mapping[str, bool] = field(default_factory=dict)
    steps: tuple[Step, ...] = ()
    prior: PriorLink | None = None

    @property
    def nodules(self) -> tuple[Nodule, ...]:
        return tuple(one.nodule for one in self.entries)

    @property
    def kept(self) -> tuple[Nodule, ...]:
        """Those that the reader did not reject."""
        return tuple(one.nodule for one in self.entries if one.decision.verdict is not Verdict.REJECTED)

    @property
    def decisions(self) -> dict[int, Decision]:
        return {one.nodule.id: one.decision for one in self.entries}

    @property
    def uids(self) -> dict[int, str]:
        return {one.nodule.id: one.uid for one in self.entries}

    @property
    def corrections(self) -> dict[int, Mapping[str, object]]:
        return {one.nodule.id: one.corrections for one in self.entries if one.corrections}

    def __getitem__(self, nodule_id: int) -> Entry:
        """The nodule with that id.

        Raises:
            InputError: there is none.
        """
        for one in self.entries:
            if one.nodule.id == nodule_id:
                return one
        raise InputError(f"There is no nodule {nodule_id}; choose one of the table.")

    def decided(self, nodule_id: int, verdict: Verdict, at: datetime) -> Reading:
        """With the reader's verdict on a nodule; ``OPEN`` takes one back."""
        when = None if verdict is Verdict.OPEN else at
        action = "reopened" if verdict is Verdict.OPEN else verdict.value
        return self._changed(
            nodule_id, action, at, lambda one: replace(one, decision=replace(one.decision, verdict=verdict, at=when))
        )

    def edited(self, nodule: Nodule, at: datetime) -> Reading:
        """With another outline of a nodule, which the reader thereby accepts."""
        return self._changed(
            nodule.id,
            "edited",
            at,
            lambda one: replace(
                one, nodule=nodule, decision=Decision(Verdict.ACCEPTED, at, edited=True, added=one.decision.added)
            ),
        )

    def added(self, nodule: Nodule, at: datetime) -> Reading:
        """With a nodule that the reader found, as the last; its id must be ``next_id``."""
        entry = Entry(nodule, Decision(Verdict.ACCEPTED, at, added=True), str(generate_uid()))
        return replace(self, entries=(*self.entries, entry), steps=(*self.steps, Step(at, "added", None, entry)))

    def corrected(self, nodule_id: int, name: str, value: object, at: datetime) -> Reading:
        """With what the reader says of a nodule; None takes it back.

        Args:
            name: an attribute of ``Finding``.

        Raises:
            InputError: there is no such nodule or attribute.
        """
        if name not in CORRECTABLE:
            raise InputError(f"Nothing called '{name}' is asked of a nodule; choose one of: {', '.join(CORRECTABLE)}.")

        def correct(one: Entry) -> Entry:
            others = {key: held for key, held in one.corrections.items() if key != name}
            return replace(one, corrections=others if value is None else {**others, name: value})

        return self._changed(nodule_id, "corrected", at, correct)

    def undone(self) -> Reading:
        """Without the last step.

        Raises:
            InputError: there is none.
        """
        if not self.steps:
            raise InputError("There is nothing to undo.")
        last = self.steps[-1]
        entries = tuple(one for one in self.entries if one.nodule.id != last.after.nodule.id)
        if last.before is not None:
            entries = tuple(sorted((*entries, last.before), key=lambda one: one.nodule.id))
        return replace(self, entries=entries, steps=self.steps[:-1])

    @property
    def next_id(self) -> int:
        """For a nodule that is added; the id of one that was undone is free again."""
        return max((one.nodule.id for one in self.entries), default=0) + 1

    def _changed(self, nodule_id: int, action: str, at: datetime, change: Callable[[Entry], Entry]) -> Reading:
        before = self[nodule_id]
        after = change(before)
        entries = tuple(after if one is before else one for one in self.entries)
        return replace(self, entries=entries, steps=(*self.steps, Step(at, action, before, after)))


def reading_of(findings: Findings) -> Reading:
    """Of a detector's findings, nothing decided yet."""
    entries = tuple(Entry(one, Decision(), str(generate_uid())) for one in findings.nodules)
    return Reading(findings.task, entries)
