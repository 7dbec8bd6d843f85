"""``slicer.ScriptedLoadableModule``: the four base classes."""

from __future__ import annotations

import logging
import unittest
from pathlib import Path
from typing import Any

import qt
import slicer

__all__ = [
    "ScriptedLoadableModule",
    "ScriptedLoadableModuleLogic",
    "ScriptedLoadableModuleTest",
    "ScriptedLoadableModuleWidget",
]


class ScriptedLoadableModule:
    """What the module is called and says about itself."""

    def __init__(self, parent: Any) -> None:
        self.parent = parent
        self.moduleName = type(self).__name__
        parent.title = self.moduleName

    def runTest(self, msec: int = 100, **_options: Any) -> None:
        """Run the module's test class as the *Reload and Test* button does."""
        test = getattr(slicer.modules, self.moduleName.lower()).python_module
        case = getattr(test, f"{self.moduleName}Test")()
        case.messageDelay = msec
        case.runTest()


class ScriptedLoadableModuleWidget:
    """The panel; ``parent`` is the module's own widget with a layout."""

    def __init__(self, parent: qt.QWidget) -> None:
        self.parent = parent
        self.layout = parent.layout()
        self.moduleName = type(self).__name__.removesuffix("Widget")

    def resourcePath(self, filename: str) -> str:
        module = getattr(slicer.modules, self.moduleName.lower())
        return str(Path(module.path).parent / "Resources" / filename)

    def setup(self) -> None:
        """Called once; the reload and test buttons of developers are left out."""

    def onReload(self) -> None:
        """The developer's *Reload* button."""
        slicer.util.reloadScriptedModule(self.moduleName)

    def cleanup(self) -> None:
        """Called when the application closes, and before another panel takes the place of this one."""

    def enter(self) -> None:
        """Called when the module is shown."""

    def exit(self) -> None:
        """Called when another module is shown."""


class ScriptedLoadableModuleLogic:
    """Computation of the module, with a parameter node in the scene."""

    def __init__(self, parent: Any = None) -> None:
        self.moduleName = type(self).__name__.removesuffix("Logic")
        self.isSingletonParameterNode = True

    def getParameterNode(self) -> slicer.vtkMRMLScriptedModuleNode:
        node = slicer.mrmlScene.GetSingletonNode(self.moduleName, "vtkMRMLScriptedModuleNode")
        return node or self.createParameterNode()

    def createParameterNode(self) -> slicer.vtkMRMLScriptedModuleNode:
        node = slicer.mrmlScene.CreateNodeByClass("vtkMRMLScriptedModuleNode")
        node.UnRegister(None)
        node.SetSingletonTag(self.moduleName)
        node.SetModuleName(self.moduleName)
        node.SetName(self.moduleName)
        slicer.mrmlScene.AddNode(node)
        return slicer.mrmlScene.GetSingletonNode(self.moduleName, "vtkMRMLScriptedModuleNode")


class ScriptedLoadableModuleTest(unittest.TestCase):
    """The module's self test."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*(arguments or ("runTest",)), **options)
        self.messageDelay = 100

    def delayDisplay(self, message: str, requestedDelay: int | None = None, msec: int | None = None) -> None:
        logging.info(message)
        slicer.app.processEvents()

    def runTest(self) -> None:
        """Every method whose name begins with "test", each between ``setUp`` and ``tearDown``."""
        names = [name for name in dir(self) if name.startswith("test") and callable(getattr(self, name))]
        if not names:
            raise AssertionError(f"{type(self).__name__} has no test")
        self.setUpClass()
        for name in names:
            self.setUp()
            try:
                getattr(self, name)()
            finally:
                self.tearDown()
        self.tearDownClass()
