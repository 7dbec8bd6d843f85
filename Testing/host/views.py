"""Slice and 3-D views drawn offscreen by Slicer's own displayable managers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import slicer
import vtk
from numpy.typing import NDArray
from PIL import Image
from trame_slicer.core import SlicerApp
from trame_slicer.views import DirectViewFactory, ViewLayoutDefinition
from vtk.util.numpy_support import vtk_to_numpy

ORIENTATIONS = ("Axial", "Coronal", "Sagittal")
# How much nearer than the view's own fit the camera stands.
_ZOOM = 0.28


class FourUp:
    """Three slice views and a 3-D view of the scene, each ``size`` pixels wide and high."""

    def __init__(self, app: SlicerApp, size: int = 480) -> None:
        app.view_manager.register_factory(DirectViewFactory(do_render_offscreen=True))
        layouts = (
            ViewLayoutDefinition.axial_view(),
            ViewLayoutDefinition.coronal_view(),
            ViewLayoutDefinition.sagittal_view(),
        )
        self._size = size
        self._slices = {
            name: app.view_manager.create_view(view) for name, view in zip(ORIENTATIONS, layouts, strict=True)
        }
        self._threed = app.view_manager.create_view(ViewLayoutDefinition.threed_view())
        self._threed.set_box_visible(False)
        for view in self._views():
            # Nothing is drawn until it is asked for: software rendering takes seconds a frame.
            view.set_render_blocked(True)
            # Depth peeling, which draws glass rightly, needs alpha and does not go with multisampling.
            view.render_window().SetMultiSamples(0)
            view.render_window().SetAlphaBitPlanes(1)
            self._resize(view, size, size)

    def show(self, volume_node: slicer.vtkMRMLScalarVolumeNode, window: float, level: float) -> None:
        """Show a volume in the slice views with a window and level in HU."""
        display = volume_node.GetDisplayNode()
        display.AutoWindowLevelOff()
        display.SetWindowLevel(window, level)
        for view in self._slices.values():
            view.set_background_volume_id(volume_node.GetID())
            view.fit_view_to_content()

    def frame(self, ras: tuple[float, float, float], width_mm: float) -> None:
        """Centre the slice views on a point (RAS, mm), ``width_mm`` across."""
        for view in self._slices.values():
            node = view.get_view_node()
            node.SetFieldOfView(width_mm, width_mm, node.GetFieldOfView()[2])
            node.JumpSliceByCentering(*ras)

    def jump(self, ras: tuple[float, float, float]) -> None:
        """Move the slices through a point (RAS, mm), keeping what they are centred on."""
        for view in self._slices.values():
            view.get_view_node().JumpSliceByOffsetting(*ras)

    def fit_camera(self, zoom: float = _ZOOM) -> None:
        """Let the 3-D view see the whole scene from the front."""
        self._threed.fit_view_to_content()
        self._threed.zoom(zoom)

    def image(self) -> NDArray[np.uint8]:
        """RGB [row, column, 3] of the four views: axial and 3-D above coronal and sagittal."""
        axial, coronal, sagittal = (self._grab(self._slices[name]) for name in ORIENTATIONS)
        return np.vstack([np.hstack([axial, self._grab(self._threed)]), np.hstack([coronal, sagittal])])

    def pair_image(self, names: tuple[str, str], width_mm: float) -> NDArray[np.uint8]:
        """RGB [row, column, 3] of two slice views side by side, by their layout names, ``width_mm`` across each."""
        by_name = {view.get_view_node().GetLayoutName(): view for view in self._slices.values()}
        pair = [by_name[name] for name in names]
        for view in pair:
            self._resize(view, self._size, 2 * self._size)
            node = view.get_view_node()
            node.SetFieldOfView(width_mm, 2 * width_mm, node.GetFieldOfView()[2])
        image = np.hstack([self._grab(view) for view in pair])
        for view in pair:
            self._resize(view, self._size, self._size)
        return image

    def save(self, path: Path) -> None:
        """Write the whole scene's ``image()`` as PNG."""
        self.fit_camera()
        Image.fromarray(self.image()).save(path)

    def _views(self) -> list:
        return [*self._slices.values(), self._threed]

    def _resize(self, view, width: int, height: int) -> None:
        view.render_window().SetSize(width, height)
        if view is not self._threed:
            view.get_view_node().SetDimensions(width, height, 1)

    def _grab(self, view) -> NDArray[np.uint8]:
        view.set_render_blocked(False)
        view.render()
        view.set_render_blocked(True)
        grabber = vtk.vtkWindowToImageFilter()
        grabber.SetInput(view.render_window())
        grabber.ReadFrontBufferOff()
        grabber.Update()
        image = grabber.GetOutput()
        width, height, _ = image.GetDimensions()
        return vtk_to_numpy(image.GetPointData().GetScalars()).reshape(height, width, -1)[::-1, :, :3]
