"""MRML widgets on the real scene."""

from __future__ import annotations

from typing import Any

import slicer
import vtk
from PySide6.QtCore import Property, QSize, Qt, Signal
from PySide6.QtGui import QColor, QIcon, QPixmap
from PySide6.QtWidgets import QComboBox, QHeaderView, QTableWidget, QTableWidgetItem, QVBoxLayout, QWidget

_SEGMENT_ID = Qt.UserRole


class qMRMLWidget(QWidget):
    """Hands the scene to what is connected in the .ui file, here every child that takes one."""

    mrmlSceneChanged = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._scene = None

    def mrmlScene(self) -> slicer.vtkMRMLScene | None:
        return self._scene

    def setMRMLScene(self, scene: slicer.vtkMRMLScene | None) -> None:
        self._scene = scene
        for child in self.findChildren(QWidget):
            if hasattr(child, "setMRMLScene"):
                child.setMRMLScene(scene)
        self.mrmlSceneChanged.emit(scene)


class ModulePanel(qMRMLWidget):
    """The widget that Slicer makes for a scripted module: an empty column."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        QVBoxLayout(self)
        self.isEntered = False

    def empty(self) -> None:
        """Hide all that is in it and take it out of the layout."""
        for child in self.findChildren(QWidget, options=Qt.FindDirectChildrenOnly):
            child.hide()
        while self.layout().takeAt(0) is not None:
            pass


class qMRMLNodeComboBox(QComboBox):
    """Chooses a node of the scene; follows what is added, removed and renamed."""

    currentNodeChanged = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._scene: slicer.vtkMRMLScene | None = None
        self._types: list[str] = []
        self._flags: dict[str, bool] = {"showChildNodeTypes": True, "selectNodeUponCreation": True}
        self._attributes: list[tuple[str, str, str | None]] = []
        self._current_id = ""
        self._observed: list[tuple[Any, int]] = []
        self._updating = False
        # Slicer's selector gives way to a narrow panel instead of widening it to the longest name.
        self.setSizeAdjustPolicy(QComboBox.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(12)
        self.currentIndexChanged.connect(self._on_index)

    def setMRMLScene(self, scene: slicer.vtkMRMLScene | None) -> None:
        if scene is self._scene:
            return
        self._stop_observing()
        self._scene = scene
        if scene is not None:
            for event in (
                scene.NodeAddedEvent,
                scene.NodeRemovedEvent,
                scene.EndBatchProcessEvent,
                scene.EndCloseEvent,
            ):
                self._observed.append((scene, scene.AddObserver(event, self._on_scene)))
        self._refill()

    def mrmlScene(self) -> slicer.vtkMRMLScene | None:
        return self._scene

    def currentNode(self) -> slicer.vtkMRMLNode | None:
        return self._scene.GetNodeByID(self._current_id) if self._scene and self._current_id else None

    def setCurrentNode(self, node: slicer.vtkMRMLNode | None) -> None:
        self.setCurrentNodeID(node.GetID() if node is not None else "")

    def setCurrentNodeID(self, node_id: str) -> None:
        position = self.findData(node_id or "")
        if position < 0 and self._flag("noneEnabled"):
            position = self.findData("")
        self.setCurrentIndex(position)

    def nodeCount(self) -> int:
        return len(self._nodes())

    def addAttribute(self, node_type: str, name: str, value: str | None = None) -> None:
        """Only nodes of that type with that attribute (and value) are listed."""
        self._attributes.append((node_type, name, value))
        self._refill()

    def setNodeTypes(self, types: list[str]) -> None:
        self._types = list(types)
        if self._scene is not None:
            self._refill()

    def _flag(self, name: str) -> bool:
        return self._flags.get(name, False)

    def _set_flag(self, name: str, value: bool) -> None:
        self._flags[name] = value
        if self._scene is not None:
            self._refill()

    def _flag_property(name: str) -> Property:
        return Property(bool, lambda self: self._flag(name), lambda self, value: self._set_flag(name, value))

    nodeTypes = Property("QStringList", lambda self: self._types, setNodeTypes)
    noneEnabled = _flag_property("noneEnabled")
    showHidden = _flag_property("showHidden")
    showChildNodeTypes = _flag_property("showChildNodeTypes")
    selectNodeUponCreation = _flag_property("selectNodeUponCreation")
    # Menu entries that are not drawn here: listed, so that a .ui file can set them.
    addEnabled = _flag_property("addEnabled")
    removeEnabled = _flag_property("removeEnabled")
    editEnabled = _flag_property("editEnabled")
    renameEnabled = _flag_property("renameEnabled")
    currentNodeID = Property(str, lambda self: self._current_id, setCurrentNodeID)

    def _nodes(self) -> list[slicer.vtkMRMLNode]:
        if self._scene is None:
            return []
        found = [self._scene.GetNthNode(index) for index in range(self._scene.GetNumberOfNodes())]
        return [node for node in found if self._is_listed(node)]

    def _is_listed(self, node: slicer.vtkMRMLNode) -> bool:
        named = node.GetClassName() in self._types
        if not named and not (self._flag("showChildNodeTypes") and any(node.IsA(one) for one in self._types)):
            return False
        if node.GetHideFromEditors() and not self._flag("showHidden"):
            return False
        return all(
            node.GetAttribute(name) is not None and value in (None, node.GetAttribute(name))
            for node_type, name, value in self._attributes
            if node.IsA(node_type)
        )

    def _on_scene(self, _caller: Any, _event: str) -> None:
        if self._scene is not None and not self._scene.IsBatchProcessing():
            self._refill()

    def _on_node(self, _caller: Any, _event: str) -> None:
        self._refill()

    def _refill(self) -> None:
        nodes = self._nodes()
        self._updating = True
        try:
            self.clear()
            if self._flag("noneEnabled"):
                self.addItem("None", "")
            for node in nodes:
                self.addItem(node.GetName() or "", node.GetID())
        finally:
            self._updating = False
        self._observe_names(nodes)
        position = self.findData(self._current_id)
        # As in Slicer, the first node is chosen where "None" is not offered.
        self._updating = True
        self.setCurrentIndex(position if position >= 0 else (0 if self.count > 0 else -1))
        self._updating = False
        self._on_index(self.currentIndex)

    def _observe_names(self, nodes: list[slicer.vtkMRMLNode]) -> None:
        for observed, tag in self._observed:
            if observed is not self._scene:
                observed.RemoveObserver(tag)
        self._observed = [(observed, tag) for observed, tag in self._observed if observed is self._scene]
        for node in nodes:
            self._observed.append((node, node.AddObserver(vtk.vtkCommand.ModifiedEvent, self._on_modified)))

    def _on_modified(self, node: slicer.vtkMRMLNode, _event: str) -> None:
        position = self.findData(node.GetID())
        if (position >= 0) != self._is_listed(node) or (position >= 0 and self.itemText(position) != node.GetName()):
            self._refill()

    def _on_index(self, index: int) -> None:
        if self._updating:
            return
        chosen = (self.itemData(index) or "") if index >= 0 else ""
        if chosen != self._current_id:
            self._current_id = chosen
            self.currentNodeChanged.emit(self.currentNode())

    def _stop_observing(self) -> None:
        for observed, tag in self._observed:
            observed.RemoveObserver(tag)
        self._observed = []


class qMRMLSegmentsTableView(QWidget):
    """The segments of a segmentation: visibility, colour and name."""

    selectionChanged = Signal(object, object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self._table = QTableWidget(0, 2, self)
        self._table.setHorizontalHeaderLabels(["", "Name"])
        self._table.horizontalHeader().setSectionResizeMode(1, QHeaderView.Stretch)
        self._table.verticalHeader().setVisible(False)
        self._table.setSelectionBehavior(QTableWidget.SelectRows)
        self._table.setColumnWidth(0, 44)
        self._table.setIconSize(QSize(14, 14))
        self._table.itemChanged.connect(self._on_item)
        layout.addWidget(self._table)
        self._node: slicer.vtkMRMLSegmentationNode | None = None
        self._observed: list[tuple[Any, int]] = []

    def setMRMLScene(self, _scene: slicer.vtkMRMLScene | None) -> None:
        """The node is enough."""

    def segmentationNode(self) -> slicer.vtkMRMLSegmentationNode | None:
        return self._node

    def setSegmentationNode(self, node: slicer.vtkMRMLSegmentationNode | None) -> None:
        for observed, tag in self._observed:
            observed.RemoveObserver(tag)
        self._node = node
        self._observed = []
        if node is not None:
            for observed in (node, node.GetDisplayNode()):
                if observed is not None:
                    tag = observed.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: self._refill())
                    self._observed.append((observed, tag))
        self._refill()

    def selectedSegmentIDs(self) -> list[str]:
        rows = {index.row() for index in self._table.selectionModel().selectedRows()}
        return [self._table.item(row, 0).data(_SEGMENT_ID) for row in sorted(rows)]

    def setSelectedSegmentIDs(self, ids: list[str]) -> None:
        self._table.clearSelection()
        for row in range(self._table.property("rowCount")):
            if self._table.item(row, 0).data(_SEGMENT_ID) in ids:
                self._table.selectRow(row)

    def _refill(self) -> None:
        self._table.blockSignals(True)
        segmentation = self._node.GetSegmentation() if self._node is not None else None
        ids = segmentation.GetSegmentIDs() if segmentation is not None else ()
        self._table.setRowCount(len(ids))
        for row, segment_id in enumerate(ids):
            segment = segmentation.GetSegment(segment_id)
            shown = QTableWidgetItem()
            shown.setData(_SEGMENT_ID, segment_id)
            shown.setFlags(Qt.ItemIsEnabled | Qt.ItemIsUserCheckable | Qt.ItemIsSelectable)
            display = self._node.GetDisplayNode()
            visible = display is None or display.GetSegmentVisibility(segment_id)
            shown.setCheckState(Qt.Checked if visible else Qt.Unchecked)
            swatch = QPixmap(14, 14)
            swatch.fill(QColor.fromRgbF(*segment.GetColor()))
            shown.setIcon(QIcon(swatch))
            self._table.setItem(row, 0, shown)
            self._table.setItem(row, 1, QTableWidgetItem(segment.GetName()))
        self._table.blockSignals(False)

    def _on_item(self, item: QTableWidgetItem) -> None:
        segment_id = self._table.item(item.row(), 0).data(_SEGMENT_ID)
        if item.column() == 1:
            self._node.GetSegmentation().GetSegment(segment_id).SetName(item.text())
        elif self._node.GetDisplayNode() is not None:
            self._node.GetDisplayNode().SetSegmentVisibility(segment_id, item.checkState() == Qt.Checked)


REGISTER = {one.__name__: one for one in (qMRMLWidget, qMRMLNodeComboBox, qMRMLSegmentsTableView)}
