"""Driving a module's panel as a user does, and results that are there without a detector."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import slicer
from PySide6.QtCore import QPoint, Qt, QTimer
from PySide6.QtGui import QPixmap
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QWidget

from LungNoduleAILib.analysis import NODULES, Findings
from LungNoduleAILib.nodule import Measurements, Nodule, NoduleMask
from LungNoduleAILib.rating import GRADES, RATINGS, Grade, Ratings
from SegmentationAILib.engine.background import background
from SegmentationAILib.engine.task import Task
from SegmentationAILib.labels import LabelMap
from SegmentationAILib.terminology import LEFT_LUNG, RIGHT_LUNG
from SegmentationAILib.volume import Grid, Volume
from SegmentationAILib.widgets.run_controls import RunControls

# Far longer than anything here takes; only a fault lets it pass.
_LONG_S = 300.0
ROOT = Path(__file__).resolve().parents[2]

# RAS, mm; in a grid of 40 x 48 x 56 voxels of 5 mm around the origin, the patient's left at negative R.
CENTRES = ((60.0, 10.0, 20.0), (-60.0, -20.0, -30.0), (50.0, -30.0, -40.0))
SCORES = (0.9, 0.6, 0.2)
DIAMETERS = (12.0, 20.0, 6.0)
# What radiologists would have called them: texture, malignancy, probability of calcium.
RATED = ((5, 3, 0.1), (1, 4, 0.0), (3, 2, 0.8))


def small_ct(name: str = "chest", shape: tuple[int, int, int] = (40, 48, 56)) -> Volume:
    """A CT with the lungs of ``findings_in``, quick to make; its analysis is replaced in tests."""
    matrix = np.diag([-5.0, -5.0, 5.0, 1.0])
    matrix[:3, 3] = -matrix[:3, :3] @ ((np.array(shape[::-1]) - 1) / 2)
    hu = np.full(shape, -1000, dtype=np.int16)
    hu[:, 4:-4, 4:-4] = 40
    hu[:, 14:-14, 8:24] = hu[:, 14:-14, -24:-8] = -850
    return Volume(hu, Grid(shape, matrix), name, modality="CT")


def findings_in(volume: Volume, scores: tuple[float, ...] = SCORES) -> Findings:
    """Two half-spaces as lungs and a nodule at each of ``CENTRES``."""
    grid = volume.grid
    r = grid.ras(np.moveaxis(np.indices(grid.shape)[::-1], 0, -1))[..., 0]
    lungs = LabelMap(np.where(r > 0, 1, 2).astype(np.uint8), grid, {1: RIGHT_LUNG, 2: LEFT_LUNG})
    nodules = tuple(
        nodule(index, centre, diameter, score)
        for index, (centre, diameter, score) in enumerate(zip(CENTRES, DIAMETERS, scores, strict=False), start=1)
    )
    nodules = tuple(replace(one, ratings=ratings(*rated)) for one, rated in zip(nodules, RATED, strict=False))
    return Findings(lungs, nodules, Task(NODULES))


def nodule(index: int, centre: tuple[float, float, float], diameter: float, score: float) -> Nodule:
    size = int(diameter) + 5
    matrix = np.eye(4)
    matrix[:3, 3] = np.array(centre) - (size - 1) / 2
    grid = Grid((size, size, size), matrix)
    distance = np.linalg.norm(grid.ras(np.moveaxis(np.indices(grid.shape)[::-1], 0, -1)) - centre, axis=-1)
    occupancy = np.clip(diameter / 2 - distance + 0.5, 0, 1).astype(np.float32)
    measurements = Measurements(np.pi / 6 * diameter**3, diameter + 1.0, diameter - 1.0, 30.0 + index)
    side = "right" if centre[0] > 0 else "left"
    return Nodule(index, centre, diameter, score, side, NoduleMask(occupancy, grid), measurements)


def ratings(texture: int, malignancy: int, calcification: float) -> Ratings:
    """Sure of texture and malignancy, 3 of 5 in all else."""
    sure = {"texture": texture, "malignancy": malignancy}
    grades = [Grade(r, tuple(float(n == sure.get(r, 3)) for n in range(1, GRADES + 1))) for r in RATINGS]
    return Ratings(tuple(grades), calcification)


def click(widget: QWidget) -> None:
    """A click with the left mouse button, where the widget takes one."""
    assert widget.isVisibleTo(widget.window()), f"{widget.objectName} is not shown"
    amid_a_run = RunControls._active is not None
    QTest.mouseClick(widget, Qt.LeftButton)
    # The steps of a run that the click began are done in this process as the event loop comes to them.
    while background.in_process and not amid_a_run and RunControls._active is not None:
        QTest.qWait(1)


def tick(check_box: QWidget) -> None:
    """A click on the box itself, since a row wider than its words takes none beside them."""
    QTest.mouseClick(check_box, Qt.LeftButton, Qt.NoModifier, QPoint(8, check_box.height // 2))


def click_row(table: QWidget, row: int) -> None:
    index = table.model().index(row, 0)
    QTest.mouseClick(table.viewport(), Qt.LeftButton, Qt.NoModifier, table.visualRect(index).center())


def click_header(table: QWidget, section: int) -> None:
    header = table.horizontalHeader()
    place = QPoint(header.sectionViewportPosition(section) + header.sectionSize(section) // 2, header.height // 2)
    QTest.mouseClick(header.viewport(), Qt.LeftButton, Qt.NoModifier, place)


def choose(combo_box: QWidget, index: int) -> None:
    """Choose an item with the keyboard, as ``activated`` is for users only."""
    combo_box.setFocus()
    QTest.keyClick(combo_box, Qt.Key_Home)
    for _ in range(index):
        QTest.keyClick(combo_box, Qt.Key_Down)


def during_run(action: Callable[[], None]) -> None:
    """Do it when the run next lets the application handle events."""
    QTimer.singleShot(0, action)


def texts(table: QWidget) -> list[list[str]]:
    """What the rows that are shown say."""
    return [
        [table.item(row, column).text() for column in range(table.columnCount)]
        for row in range(table.rowCount)
        if not table.isRowHidden(row)
    ]


def node_count() -> int:
    return slicer.mrmlScene.GetNumberOfNodes()


class Panel:
    """A module's panel in a window of its own, entered as when the user opens the module.

    Attributes:
        widget: the module's widget class instance.
        ui: its named widgets.
    """

    def __init__(self, host, name: str) -> None:
        host.load_module(ROOT / name / f"{name}.py")
        self._host = host
        self._window = getattr(slicer.modules, name.lower()).createNewWidgetRepresentation()
        self.widget = self._window.self()
        self.ui = self.widget.ui
        self._window.resize(380, 700)
        self._window.show()
        self.enter()
        host.process_events()

    def enter(self) -> None:
        """The user opens the module."""
        self._window.isEntered = True
        self.widget.enter()

    def leave(self) -> None:
        """The user opens another module."""
        self.widget.exit()
        self._window.isEntered = False

    def resize(self, width: int) -> None:
        """The user drags the panel's edge."""
        self._window.resize(width, self._window.height)
        self._host.process_events()

    def focus(self, widget: QWidget) -> None:
        """The user goes to a widget, which takes the keys."""
        self._window.activateWindow()
        widget.setFocus()
        self._host.process_events()

    @property
    def message(self) -> str:
        """The sentence below the button; "" where none is shown."""
        return self.ui.messageLabel.text if self.ui.messageFrame.isVisibleTo(self._window) else ""

    @property
    def result_selector(self) -> QWidget:
        return self.ui.findingsSelector if hasattr(self.ui, "findingsSelector") else self.ui.segmentationSelector

    def child(self, parent: QWidget, name: str) -> QWidget:
        found = parent.findChild(QWidget, name)
        assert found is not None, f"{name} is not there"
        return found

    def top_level(self, title: str) -> QWidget:
        """The window with that title."""
        [found] = [one for one in QApplication.topLevelWidgets() if one.windowTitle == title and one.isVisible()]
        return found

    def wait_for(self, condition: Callable[[], bool]) -> None:
        until = time.monotonic() + _LONG_S
        while not condition():
            assert time.monotonic() < until, f"waited {_LONG_S:.0f} s in vain; the panel says '{self.message}'"
            QTest.qWait(10)

    def grab(self) -> QPixmap:
        """A picture of the panel."""
        self._host.process_events()
        return self._window.grab()

    def close(self) -> None:
        self.leave()
        self.widget.cleanup()
        self._window.setMRMLScene(None)
        self._window.close()
        self._window.deleteLater()


def open_panel(host, name: str) -> Panel:
    return Panel(host, name)
