"""The compare section of the panel: two segmentations, what is paired with what, and how well the pairs agree."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import qt
import slicer

from SegmentationAILib.engine.steps import Steps
from SegmentationAILib.errors import InputError
from SegmentationAILib.radiotherapy.comparison_logic import segment_ids
from SegmentationAILib.radiotherapy.pair_scene import PairDisplay
from SegmentationAILib.widgets.pair_table import PairTable, number
from SegmentationAILib.widgets.reasons import enable_unless
from SegmentationAILib.widgets.run_controls import RunControls
from SegmentationAILib.widgets.translation import tr

if TYPE_CHECKING:
    from SegmentationAILib.radiotherapy.comparison_report import Comparison

# Edits announce themselves often: the table follows once they pause.
_PAUSE_MS = 150


class CompareSection:
    """Drives the widgets of ``compareCollapsibleButton``.

    The parameter node has ``comparisonReference``, ``comparisonTest``, ``comparisonToleranceMm``, and as JSON in
    ``comparisonPairs`` the names in the test by those in the reference that were paired by hand, "" for none.

    Args:
        ui: the panel's named widgets.
        logic: the module's logic.
        controls: runs work with progress and a message.
        parameters: the parameter node, None in a closed scene.
    """

    def __init__(self, ui: Any, logic: Any, controls: RunControls, parameters: Callable[[], Any]) -> None:
        self._ui, self._logic, self._controls, self._parameters = ui, logic, controls, parameters
        self._comparison: Comparison | None = None
        self._shown: tuple = (None, None, 0.0, "")
        self._tags: list[tuple[Any, int]] = []
        self._display = PairDisplay()
        self._table = PairTable(ui.comparisonTable, self._on_row, self._on_pair)
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(_PAUSE_MS)
        self._timer.connect("timeout()", self._on_edited)
        ui.compareButton.connect("clicked()", self._compare)
        ui.exportComparisonButton.connect("clicked()", self._export)
        ui.compareCollapsibleButton.connect("contentsCollapsed(bool)", lambda _collapsed: self._end_row())
        self._show_details()

    def close(self) -> None:
        """The panel goes away."""
        self._timer.stop()
        self._observe(())

    def show(self) -> None:
        """Show what the parameter node says."""
        parameters = self._parameters()
        now = (None, None, 0.0, "")
        if parameters:
            nodes = parameters.comparisonReference, parameters.comparisonTest
            now = (*nodes, parameters.comparisonToleranceMm, parameters.comparisonPairs)
        if now != self._shown:
            others = now[:2] != self._shown[:2]
            if others:
                self._end_row()
                self._observe([node for node in dict.fromkeys(now[:2]) if node is not None])
            self._shown = now
            self._comparison = None
            if others:
                self._show_rows()
            else:
                # The user may be about to choose the next with the keyboard.
                self._table.show_pairs(self._pairs())
                self._show_figures()
        self._enable()

    def _enable(self) -> None:
        parameters = self._parameters()
        reason = ""
        if not parameters or not parameters.inputVolume:
            reason = tr("Choose a CT volume above, on whose voxels they are compared.")
        elif not (parameters.comparisonReference and parameters.comparisonTest):
            reason = tr("Choose a reference and a test.")
        elif not self._pairs():
            reason = tr("No name is in both; choose in the table what is compared with what.")
        enable_unless(self._ui.compareButton, reason)
        enable_unless(self._ui.exportComparisonButton, "" if self._comparison else reason or tr("Compare first."))

    def _observe(self, nodes: Any) -> None:
        for caller, tag in self._tags:
            caller.RemoveObserver(tag)
        events = slicer.vtkSegmentation
        self._tags = [
            (node.GetSegmentation(), node.GetSegmentation().AddObserver(event, lambda *_: self._timer.start()))
            for node in nodes
            for event in (
                events.SegmentAdded,
                events.SegmentRemoved,
                events.SegmentModified,
                events.SourceRepresentationModified,
            )
        ]

    def _on_edited(self) -> None:
        self._comparison = None
        self._show_rows()
        self._enable()

    def _names(self, node: Any) -> dict[str, str]:
        if node is None:
            return {}
        try:
            return segment_ids(node)
        except InputError as problem:
            self._controls.say(str(problem), is_problem=True)
            return {}

    def _pairs(self) -> dict[str, str]:
        """By name, but where the user paired them otherwise."""
        reference, test, _tolerance, by_hand = self._shown
        names, others = self._names(reference), self._names(test)
        if not names or not others:
            return {}
        pairs = {**self._logic.pairsByName(reference, test), **_read(by_hand)}
        return {name: other for name, other in pairs.items() if name in names and other in others}

    def _show_rows(self) -> None:
        reference, test = self._shown[:2]
        colours = {
            name: tuple(reference.GetSegmentation().GetSegment(one).GetColor())
            for name, one in self._names(reference).items()
        }
        self._table.show(colours, list(self._names(test)), self._pairs())
        self._show_figures()

    def _show_figures(self) -> None:
        held = self._comparison.structures if self._comparison else ()
        self._table.show_figures({one.name: one.figures for one in held if one.compared_with})
        self._show_details()

    def _on_pair(self, name: str, other: str) -> None:
        parameters = self._parameters()
        parameters.comparisonPairs = json.dumps({**_read(parameters.comparisonPairs), name: other}, sort_keys=True)

    def _on_row(self, name: str) -> None:
        """Show the pair in the views, and all that is known of it below the table."""
        reference, test = self._shown[:2]
        other = self._pairs().get(name)
        pair = [(reference, self._names(reference)[name])]
        if other is not None:
            pair.append((test, self._names(test)[other]))
        self._display.show(*pair)
        self._show_details()

    def _end_row(self) -> None:
        self._ui.comparisonTable.clearSelection()
        self._display.restore()
        self._show_details()

    def _show_details(self) -> None:
        held = self._comparison.structures if self._comparison else ()
        found = next((one for one in held if one.name == self._table.chosen and one.compared_with), None)
        self._ui.comparisonDetailsLabel.setText(_described(found.figures) if found else "")
        self._ui.comparisonDetailsLabel.setVisible(found is not None)

    def _compare(self) -> None:
        parameters, pairs = self._parameters(), self._pairs()
        shown = self._shown

        def steps() -> Steps[None]:
            comparison, table = yield from self._logic.comparing(
                parameters.comparisonReference,
                parameters.comparisonTest,
                parameters.inputVolume,
                parameters.comparisonToleranceMm,
                pairs,
            )
            if self._shown == shown:
                self._comparison = comparison
                self._show_figures()
                self._enable()
            self._controls.say(tr("Compared: {name}").format(name=table.GetName()))

        self._controls.start(steps())

    def _export(self) -> None:
        # Files of every kind take a moment to load, which opening the panel should not.
        from SegmentationAILib.radiotherapy.comparison_report import write_comparison  # noqa: PLC0415

        parent = self._ui.exportComparisonButton.window()
        path = qt.QFileDialog.getSaveFileName(parent, tr("Export comparison"), "comparison.csv", "CSV (*.csv)")
        if not path:
            return
        comparison = self._comparison
        written = self._controls.run(lambda _progress: write_comparison(path, comparison))
        if written:
            self._controls.say(tr("Written: {path}").format(path=written))


def _read(pairs: str) -> dict[str, str]:
    try:
        held = json.loads(pairs)
    except ValueError:
        return {}
    return held if isinstance(held, dict) else {}


def _described(figures: Mapping[str, float]) -> str:
    volumes = tr("{reference} ml in the reference, {test} ml in the test (ratio {ratio}).").format(
        reference=number(figures["reference_ml"], decimals=2),
        test=number(figures["test_ml"], decimals=2),
        ratio=number(figures["volume_ratio"], decimals=2) or "\N{EN DASH}",
    )
    distances = tr(
        "Surfaces {mean} mm apart on average, {most} mm at most; centres {shift} mm apart; added path length {path} mm."
    ).format(
        mean=number(figures["mean_surface_distance_mm"], decimals=2) or "\N{EN DASH}",
        most=number(figures["hd100_mm"], decimals=1) or "\N{EN DASH}",
        shift=number(figures["centre_shift_mm"], decimals=1) or "\N{EN DASH}",
        path=number(figures["added_path_length_mm"], decimals=0),
    )
    return f"{volumes}\n{distances}"
