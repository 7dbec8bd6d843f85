"""A real MRML scene with Slicer's module logics, without Qt."""

from __future__ import annotations

import tempfile
from pathlib import Path
from types import SimpleNamespace

import slicer
import vtk
from trame_slicer.core import SlicerApp


class MrmlSession:
    """The scene and what reads and writes it.

    Sets ``slicer.mrmlScene`` and ``slicer.modules.<name>.logic()``, which Slicer's own Python code
    and the extension look for.
    """

    def __init__(self) -> None:
        self.app = SlicerApp()
        # VTK says each thing twice, by its logger and by its output window; errors by one are enough.
        vtk.vtkOutputWindow.GetInstance().SetDisplayModeToNever()
        vtk.vtkLogger.SetStderrVerbosity(vtk.vtkLogger.VERBOSITY_ERROR)
        slicer.mrmlScene = self.app.scene
        logics = {
            "colors": self.app.color_logic,
            "markups": self.app.markups_logic,
            "segmentations": self.app.segmentations_logic,
            "subjecthierarchy": self.app.subject_hierarchy_logic,
            "terminologies": self.app.terminologies_logic,
            "volumes": self.app.volumes_logic,
        }
        slicer.modules = SimpleNamespace(
            **{name: SimpleNamespace(logic=lambda logic=logic: logic) for name, logic in logics.items()}
        )
        self._remote_io = self._register_remote_io()

    def _register_remote_io(self) -> slicer.vtkMRMLRemoteIOLogic:
        """What ``ReadFromMRB`` needs to unpack a scene's files."""
        remote_io = slicer.vtkMRMLRemoteIOLogic()
        remote_io.SetMRMLScene(slicer.mrmlScene)
        self._cache = tempfile.TemporaryDirectory(prefix="thoraxai-")
        remote_io.GetCacheManager().SetRemoteCacheDirectory(self._cache.name)
        remote_io.AddDataIOToScene()
        return remote_io

    def clear(self) -> None:
        """Remove everything but what Slicer keeps when a scene is closed."""
        slicer.mrmlScene.Clear()

    def save_node(self, node: slicer.vtkMRMLStorableNode, path: Path) -> None:
        """Write a node's data to a file by its default storage node."""
        node.AddDefaultStorageNode(str(path))
        storage = node.GetStorageNode()
        storage.SetFileName(str(path))
        if not storage.WriteData(node):
            raise OSError(f"could not write {path}")

    def load_segmentation(self, path: Path) -> slicer.vtkMRMLSegmentationNode:
        return self.app.segmentations_logic.LoadSegmentationFromFile(str(path))

    def save_mrb(self, path: Path) -> None:
        """Write the whole scene with its data."""
        if not slicer.mrmlScene.WriteToMRB(str(path)):
            raise OSError(f"could not write {path}")

    def load_mrb(self, path: Path) -> None:
        """Add a saved scene to the current one."""
        if not slicer.mrmlScene.ReadFromMRB(str(path)):
            raise OSError(f"could not read {path}")


_session: MrmlSession | None = None


def start_mrml() -> MrmlSession:
    """The session of this process; made once."""
    global _session  # noqa: PLW0603 - as one process has one slicer.mrmlScene
    _session = _session or MrmlSession()
    return _session
