"""The review of nodules in the panel: accept, reject, undo, add by a click, edit, explain; with keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt

from LungNoduleAILib.widgets.assessment_view import AssessmentView
from LungNoduleAILib.widgets.nodule_table import NoduleTable
from SegmentationAILib.engine.steps import Steps
from SegmentationAILib.errors import InputError
from SegmentationAILib.widgets.reasons import enable_unless
from SegmentationAILib.widgets.run_controls import RunControls
from SegmentationAILib.widgets.translation import tr

# In the nodules section, where they take no text away from anything.
KEYS = {
    "acceptButton": "A",
    "rejectButton": "R",
    "undoButton": "Ctrl+Z",
    "nextButton": "N",
    "addButton": "Insert",
    "editButton": "E",
    "measureButton": "M",
}


class ReviewSection:
    """Drives the table and the buttons of ``resultsCollapsibleButton`` and ``noduleCollapsibleButton``.

    Args:
        ui: the panel's named widgets.
        logic: the module's logic.
        controls: runs work with progress and a message.
        parameters: the parameter node, None in a closed scene.
        views: jumps to a nodule, opens the Segment Editor, shows an overlay, takes a click.
    """

    def __init__(self, ui: Any, logic: Any, controls: RunControls, parameters: Callable[[], Any], views: Any) -> None:
        self._ui, self._logic, self._controls = ui, logic, controls
        self._parameters, self._views = parameters, views
        self.table = NoduleTable(ui.nodulesTable, self._on_chosen)
        self._assessment = AssessmentView(ui.assessmentText, ui.questionsWidget, self._on_answer)
        self._shortcuts = []
        # The findings and the nodule of which the user wants to see what speaks for it, as long as that is up to date.
        self._explained: tuple[str, int] | None = None
        for name, slot in (
            ("acceptButton", self._accept),
            ("rejectButton", self._reject),
            ("undoButton", self._undo),
            ("nextButton", self._next),
            ("editButton", self._edit),
            ("measureButton", self._measure),
        ):
            getattr(ui, name).connect("clicked()", slot)
        ui.explainButton.connect("clicked(bool)", self._on_explain)
        ui.addButton.connect("clicked(bool)", self._on_add)
        for name, key in KEYS.items():
            shortcut = qt.QShortcut(qt.QKeySequence(key), ui.resultsCollapsibleButton)
            shortcut.setContext(qt.Qt.WidgetWithChildrenShortcut)
            shortcut.connect("activated()", getattr(ui, name).click)
            self._shortcuts.append(shortcut)

    def show(self) -> None:
        """Show the findings of the parameter node: rows, filter, the chosen nodule, what can be done."""
        findings = self._findings
        try:
            rows = self._logic.overview(findings) if findings else []
        except InputError as problem:
            rows = []
            self._controls.say(str(problem), is_problem=True)
        self.table.show(rows)
        self.filter()
        self.show_chosen()

    def filter(self) -> None:
        """Hide what scores less, or is smaller, than the parameter node says."""
        parameters = self._parameters()
        before = self.table.chosen_id
        if parameters:
            self.table.filter(parameters.minimumScore, parameters.minimumDiameter)
        if self.table.chosen_id != before:
            self.show_chosen()

    def show_chosen(self) -> None:
        """Show the chosen nodule's assessment, and which buttons can be used."""
        findings, chosen = self._findings, self.table.chosen_id
        if findings is None or chosen is None:
            hint = tr("Choose a nodule in the table.") if self.table.all_ids else tr("There is no nodule to show.")
            self._assessment.show(hint, None, {})
        else:
            self._show_assessment(findings, chosen)
        self._enable()

    def forget(self) -> None:
        """The scene is closed: what was explained in it is not looked for in the next."""
        self._explained = None

    def attempt(self, work: Callable[[], object]) -> None:
        """Do what takes no time; what is wrong is said below the button."""
        try:
            said = work()
        except InputError as problem:
            self._controls.say(str(problem), is_problem=True)
        else:
            self._controls.say(said if isinstance(said, str) else "")

    @property
    def _findings(self) -> Any:
        parameters = self._parameters()
        return parameters.findings if parameters else None

    def _show_assessment(self, findings: Any, chosen: int) -> None:
        try:
            assessment = self._logic.assessment(findings, chosen)
            corrections = self._logic.corrections(findings, chosen)
        except InputError as problem:
            self._assessment.show(str(problem), None, {})
            return
        row = next(one for one in self.table.rows if one.id == chosen)
        title = tr("Nodule {number}, {place}, {size:.1f} mm").format(
            number=chosen, place=row.place or tr("place not known"), size=row.mean_diameter_mm
        )
        influence, explanation = self._held_explanation(findings, chosen)
        said = _said_of(explanation) if explanation else ()
        if influence and not explanation:
            self._take_off()
            said = (tr("Its outline was changed since it was explained; click Explain to explain it anew."),)
        elif influence and self._explained == (findings.GetID(), chosen) and not self._ui.explainButton.checked:
            # As after the edit was taken back.
            self._views.lay_over(influence)
            self._ui.explainButton.setChecked(True)
        self._assessment.show(title, assessment, corrections, said)

    def _enable(self) -> None:
        findings, chosen = self._findings, self.table.chosen_id
        needs_findings = "" if findings else tr("Detect nodules first.")
        needs_nodule = needs_findings or ("" if chosen is not None else tr("Choose a nodule in the table."))
        history = needs_findings or ("" if self._logic.canUndo(findings) else tr("Nothing was decided or changed yet."))
        for name, reason in (
            ("acceptButton", needs_nodule),
            ("rejectButton", needs_nodule),
            ("editButton", needs_nodule),
            ("measureButton", needs_nodule),
            ("explainButton", needs_nodule),
            ("undoButton", history),
            ("nextButton", needs_findings),
            ("addButton", needs_findings),
        ):
            enable_unless(getattr(self._ui, name), reason)

    def _on_chosen(self, nodule_id: int) -> None:
        # What spoke for another nodule is not to be taken for what speaks for this one.
        self._take_off()
        if self._explained != (self._findings.GetID(), nodule_id):
            self._explained = None
        self._views.jump_to(self._findings, nodule_id)
        self.show_chosen()

    def _on_answer(self, name: str, value: object) -> None:
        chosen = self.table.chosen_id
        self.attempt(lambda: self._logic.correct(self._findings, chosen, **{name: value}))
        self.show_chosen()

    def _accept(self) -> None:
        self.attempt(lambda: self._logic.accept(self._findings, self.table.chosen_id))

    def _reject(self) -> None:
        self.attempt(lambda: self._logic.reject(self._findings, self.table.chosen_id))

    def _undo(self) -> None:
        self.attempt(lambda: tr("Taken back: {what}.").format(what=self._logic.undo(self._findings)))

    def _next(self) -> None:
        following = self.table.next_open()
        if following is None:
            self._controls.say(tr("Every nodule shown was reviewed."))
            return
        self._controls.say("")
        self.table.choose(following)

    def _edit(self) -> None:
        self._controls.say(tr("Draw in the Segment Editor, come back and click Measure again."))
        # What spoke for the outline as it was would hide it, and soon be out of date.
        self._take_off()
        self._views.edit(self._findings, self.table.chosen_id)

    def _measure(self) -> None:
        chosen = self.table.chosen_id
        findings, device = self._findings, self._device

        def steps() -> Steps[None]:
            yield from self._logic.characterizing(findings, chosen, device)
            self.show_chosen()

        self._controls.start(steps())

    def _on_add(self, wanted: bool) -> None:
        if wanted:
            self._controls.say(tr("Click on the middle of the nodule in a slice view."))
            self._views.pick(self._add, lambda: self._ui.addButton.setChecked(False))
        else:
            self._views.stop_picking()
            self._controls.say("")

    def _add(self, ras: tuple[float, float, float]) -> None:
        findings, device = self._findings, self._device

        def steps() -> Steps[None]:
            number = yield from self._logic.addingNodule(findings, ras, device)
            self.show_chosen()
            self.table.choose(number)
            self._controls.say(tr("Nodule {number} was added.").format(number=number))

        self._controls.start(steps())

    def _on_explain(self, wanted: bool) -> None:
        findings, chosen = self._findings, self.table.chosen_id
        self._views.take_off()
        self._explained = None
        if not wanted:
            return
        influence, explanation = self._held_explanation(findings, chosen)
        if explanation is not None:
            self._lay_over(influence)
            return
        device = self._device

        def steps() -> Steps[None]:
            # Until there is something to show.
            self._ui.explainButton.setChecked(False)
            made, _explanation = yield from self._logic.explaining(findings, chosen, device)
            if self._findings is findings and self.table.chosen_id == chosen:
                self._lay_over(made)

        self._controls.start(steps())

    def _lay_over(self, influence: Any) -> None:
        self._views.lay_over(influence)
        self._ui.explainButton.setChecked(True)
        self._explained = (self._findings.GetID(), self.table.chosen_id)
        self.show_chosen()

    def _take_off(self) -> None:
        self._views.take_off()
        self._ui.explainButton.setChecked(False)

    def _held_explanation(self, findings: Any, chosen: int) -> tuple[Any, Any]:
        """The volume and what it tells, of an earlier run or a saved scene; None for what is missing or outdated."""
        try:
            return self._logic.heldExplanation(findings, chosen) or (None, None)
        except InputError:
            return None, None

    @property
    def _device(self) -> str:
        return self._parameters().device


def _said_of(explanation: Any) -> tuple[str, ...]:
    """What an explanation says beside its picture."""
    return (
        tr("Explained: what is coloured speaks for a nodule as the detector sees it, the redder the more."),
        *(
            tr("Similar: {size:.0f} mm, {readers} ({name}).").format(
                size=one.diameter_mm, readers=one.readers, name=one.name
            )
            for one in explanation.similar
        ),
    )
