"""Nothing in the panels is left undriven: each widget that takes input is named by a test, and each section folds."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from xml.etree import ElementTree

import pytest
import slicer
from panels import ROOT, open_panel
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest

PANELS = ("SegmentationAI", "LungNoduleAI")
# They show and take nothing.
SILENT = {"QLabel", "QWidget", "QFrame", "QProgressBar", "qMRMLWidget", "QTextBrowser"}
SECTION = "ctkCollapsibleButton"


def widgets(panel: str) -> list[tuple[str, str]]:
    """Class and name of each widget that takes input."""
    root = ElementTree.parse(ROOT / panel / "Resources" / "UI" / f"{panel}.ui").getroot()
    found = [(one.get("class"), one.get("name")) for one in root.iter("widget")]
    return [one for one in found if one[0] not in SILENT]


@cache
def named_in_tests() -> tuple[frozenset[str], frozenset[str]]:
    """What tests of panels name: whole words, and with what f-strings end, such as "Button"."""
    words: set[str] = set()
    endings: set[str] = set()
    for path in set(Path(__file__).parent.glob("*panel*.py")) - {Path(__file__)}:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute):
                words.add(node.attr)
            elif isinstance(node, ast.JoinedStr):
                endings.update(part.value for part in node.values[-1:] if isinstance(part, ast.Constant))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                words.update(re.findall(r"\w+", node.value))
    return frozenset(words), frozenset(endings)


def is_named(widget: str) -> bool:
    words, endings = named_in_tests()
    return widget in words or any(
        end.isidentifier() and widget.endswith(end) and widget.removesuffix(end) in words for end in endings
    )


@pytest.mark.parametrize("panel", PANELS)
def test_each_widget_is_named_by_a_test(panel):
    held = [name for kind, name in widgets(panel) if kind != SECTION]
    assert len(held) > 20
    assert [name for name in held if not is_named(name)] == []


def test_a_widget_that_no_test_drives_is_found():
    assert not is_named("unheardOfButton")


@pytest.mark.parametrize("panel", PANELS)
def test_a_click_on_its_header_folds_and_unfolds_each_section(slicer_host, panel):
    slicer.mrmlScene.Clear()
    opened = open_panel(slicer_host, panel)
    try:
        opened._window.resize(380, 3000)
        sections = [getattr(opened.ui, name) for kind, name in widgets(panel) if kind == SECTION]
        for section in sections:
            section.setEnabled(True)
            section.setChecked(True)
        slicer_host.process_events()
        # From the innermost, which the others hide.
        for section in reversed(sections):
            for collapsed in (True, False):
                QTest.mouseClick(section, Qt.LeftButton, Qt.NoModifier, QPoint(20, 8))
                slicer_host.process_events()
                assert section.collapsed is collapsed, section.objectName
    finally:
        opened.close()
