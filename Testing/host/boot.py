"""Start the stand-in: a Slicer without its application shell, for scripted modules as they are."""

from __future__ import annotations

import importlib.util
import os
import sys
import tempfile
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import slicer

from host.mrml import MrmlSession, start_mrml
from host.pythonqt import install

VIEWS = ("Red", "Green", "Yellow")


class Host:
    """One application in one process.

    Attributes:
        session: the scene and its files.
        dialogs: message boxes that modules wanted to show.
    """

    def __init__(self) -> None:
        os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
        self.session: MrmlSession = start_mrml()
        self.qt_application = install()
        # These look for qt and ctk, which are there from here on.
        from host.slicerapp import application, parameter_node, sample_data, scripted_module, util  # noqa: PLC0415
        from host.slicerapp.qmrml_widgets import REGISTER  # noqa: PLC0415

        self._folder = tempfile.TemporaryDirectory(prefix="thoraxai-host-")
        self.dialogs = util.Dialogs()
        slicer.app = application.Application(self.session.app.app_logic, Path(self._folder.name))
        util.complete(self.dialogs)
        slicer.util.reloadScriptedModule = reload_scripted_module
        for name, module in (("ScriptedLoadableModule", scripted_module), ("parameterNodeWrapper", parameter_node)):
            setattr(slicer, name, module)
            sys.modules[f"slicer.{name}"] = module
        slicer.i18n = _translation_module()
        sys.modules["slicer.i18n"] = slicer.i18n
        sys.modules["SampleData"] = sample_data.make_module()
        for name, widget in REGISTER.items():
            setattr(slicer, name, widget)

    def load_module(self, path: Path | str) -> ModuleType:
        """Load a scripted module's file as Slicer does; its dependencies come first."""
        path = Path(path).resolve()
        name = path.stem
        if hasattr(slicer.modules, name.lower()):
            return getattr(slicer.modules, name.lower()).python_module
        for sibling in path.parent.parent.iterdir():
            if (sibling / f"{sibling.name}.py").exists() and str(sibling) not in sys.path:
                sys.path.insert(0, str(sibling))
        module = importlib.import_module(name)
        parent = SimpleNamespace(
            title=name, categories=[], dependencies=[], contributors=[], helpText="", path=str(path)
        )
        python_instance = getattr(module, name)(parent)
        for dependency in parent.dependencies:
            self.load_module(path.parent.parent / dependency / f"{dependency}.py")
        entry = ModuleEntry(name, str(path), module, python_instance, parent)
        setattr(slicer.modules, name.lower(), entry)
        setattr(slicer.modules, f"{name}Instance", python_instance)
        return module

    def module_widget(self, name: str) -> Any:
        """The module's widget class instance, set up."""
        return getattr(slicer.modules, name.lower()).widgetRepresentation().self()

    def make_views(self) -> None:
        """The nodes of a layout's slice views, for tests without drawn views."""
        if slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLLayoutNode") is None:
            slicer.mrmlScene.AddNode(slicer.vtkMRMLLayoutNode())
        for name in VIEWS:
            if slicer.mrmlScene.GetSingletonNode(name, "vtkMRMLSliceCompositeNode") is None:
                composite = slicer.vtkMRMLSliceCompositeNode()
                composite.SetLayoutName(name)
                composite.SetSingletonTag(name)
                slicer.mrmlScene.AddNode(composite)
            if slicer.mrmlScene.GetSingletonNode(name, "vtkMRMLSliceNode") is None:
                node = slicer.vtkMRMLSliceNode()
                node.SetLayoutName(name)
                node.SetSingletonTag(name)
                node.SetName(name)
                slicer.mrmlScene.AddNode(node)

    def clear_scene(self) -> None:
        slicer.mrmlScene.Clear()
        self.dialogs.clear()

    def process_events(self) -> None:
        self.qt_application.processEvents()

    def fire_startup(self) -> None:
        """As when Slicer has started."""
        slicer.app.startupCompleted.emit()


class ModuleEntry:
    """``slicer.modules.<name>``."""

    def __init__(self, name: str, path: str, module: ModuleType, instance: Any, parent: SimpleNamespace) -> None:
        self.name = name
        self.path = path
        self.python_module = module
        self.instance = instance
        self.title = parent.title
        self.parent = parent
        self._widget: Any = None

    def widgetRepresentation(self) -> Any:
        """The panel; made on first use. ``self()`` is the Python object."""
        if self._widget is None:
            self._widget = self.createNewWidgetRepresentation()
        return self._widget

    def createNewWidgetRepresentation(self) -> Any:
        from host.slicerapp.qmrml_widgets import ModulePanel  # noqa: PLC0415 - needs Qt

        panel = ModulePanel()
        panel.setMRMLScene(slicer.mrmlScene)
        widget = getattr(self.python_module, f"{self.name}Widget")(panel)
        panel.self = lambda: widget
        widget.setup()
        return panel


def reload_scripted_module(name: str) -> ModuleType:
    """Run a module's file again and put a new panel in the place of the old one, as ``slicer.util`` does.

    The module's libraries stay as they are, and the old widgets stay, hidden and out of the layout.
    """
    entry = getattr(slicer.modules, name.lower())
    panel = entry.widgetRepresentation()
    specification = importlib.util.spec_from_file_location(name, entry.path)
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module
    specification.loader.exec_module(module)
    entry.python_module = module
    panel.empty()
    panel.self().cleanup()
    widget = getattr(module, f"{name}Widget")(panel)
    panel.self = lambda: widget
    widget.setup()
    return module


_host: Host | None = None


def start() -> Host:
    """The stand-in of this process; made once."""
    global _host  # noqa: PLW0603 - as one process has one slicer.app
    _host = _host or Host()
    return _host


def _translation_module() -> ModuleType:
    module = ModuleType("slicer.i18n")
    module.tr = lambda text: text
    module.translate = lambda _context, text: text
    return module
