"""A module's panel beside the views, and pictures of both."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import slicer
from numpy.typing import NDArray
from PIL import Image
from PySide6.QtCore import QTimer
from PySide6.QtGui import QColor, QImage, QPalette, QPixmap
from PySide6.QtWidgets import QApplication, QWidget

from host import boot
from host.views import FourUp

ROOT = Path(__file__).resolve().parents[2]
PANEL_WIDTH = 380
VIEW_SIZE = 400
# Steps of grey this wide are not seen in a CT's noise, and take most of its bytes; what is less coloured is grey.
_GREY_STEP, _LEAST_COLOUR = 6, 10
_COLOURS = 220
_POLL_MS = 20
_SETTLE_S = 0.6


class Studio:
    """Opens panels in the scene of one host, and draws them beside its views.

    Args:
        host: the stand-in application.
        output: takes the pictures; is made where it is not there.
    """

    def __init__(self, host: boot.Host, output: Path) -> None:
        output.mkdir(parents=True, exist_ok=True)
        self.host, self._output = host, output
        self.views = FourUp(host.session.app, VIEW_SIZE)
        host.make_views()
        self.made: list[Path] = []

    def open(self, name: str):
        """The panel of a module, entered as by the user; ``self()`` is its widget."""
        self.host.load_module(ROOT / name / f"{name}.py")
        panel = getattr(slicer.modules, name.lower()).createNewWidgetRepresentation()
        panel.resize(PANEL_WIDTH, 2 * VIEW_SIZE)
        panel.show()
        panel.isEntered = True
        panel.self().enter()
        self.settle(panel)
        return panel

    def close(self, panel) -> None:
        """The user goes away."""
        panel.self().exit()
        panel.self().cleanup()
        panel.isEntered = False
        panel.close()

    def settle(self, panel) -> None:
        """Let timers and queued work pass, and give all widgets the height that they ask for, as a scrolled column."""
        end = time.monotonic() + _SETTLE_S
        while time.monotonic() < end:
            self.host.process_events()
            time.sleep(0.02)
        wanted = max(panel.minimumSizeHint().height(), panel.layout().totalHeightForWidth(PANEL_WIDTH))
        panel.resize(PANEL_WIDTH, max(2 * VIEW_SIZE, wanted))
        self.host.process_events()

    def until(self, condition: Callable[[], bool]) -> None:
        """Let the application work until something is so."""
        while not condition():
            self.host.process_events()
            time.sleep(_POLL_MS / 1000)

    def shoot(self, name: str, panel: QWidget | NDArray[np.uint8], views: NDArray[np.uint8] | None = None) -> Path:
        """Write a picture of a panel, or of one that was grabbed, beside the four views or other ones."""
        column = panel if isinstance(panel, np.ndarray) else grab(panel)
        beside = self.views.image() if views is None else views
        column = column[: len(beside)]
        background = column[-1, 0]
        filled = np.broadcast_to(background, (len(beside), *column.shape[1:])).copy()
        filled[: len(column)] = column
        path = self._output / f"{name}.png"
        save_small(np.hstack([filled, beside]), path)
        self.made.append(path)
        return path

    def shoot_panel(self, name: str, panel: QWidget, *, scale: int = 1) -> Path:
        """Write a picture of a whole panel alone, as on a screen of that scale."""
        path = self._output / f"{name}.png"
        save_small(grab(panel, scale), path)
        self.made.append(path)
        return path

    def during(self, panel, percent: int, start: Callable[[], None]) -> NDArray[np.uint8]:
        """What the panel looks like while what ``start`` began has passed that share of its work.

        Returns when the work is done.
        """
        taken: list[NDArray[np.uint8]] = []
        ui = panel.self().ui
        timer = QTimer()
        timer.setInterval(_POLL_MS)

        def look() -> None:
            if not taken and ui.progressBar.isVisibleTo(panel) and ui.progressBar.value >= percent:
                taken.append(grab(panel))

        timer.timeout.connect(look)
        timer.start()
        start()
        while panel.self().runControls.running:
            self.host.process_events()
            time.sleep(0.005)
        timer.stop()
        self.settle(panel)
        return taken[0] if taken else grab(panel)


def grab(widget: QWidget, scale: int = 1) -> NDArray[np.uint8]:
    """RGB [row, column, 3] of a widget, as on a screen of that scale."""
    pixels = QPixmap(widget.size * scale)
    pixels.setDevicePixelRatio(scale)
    widget.render(pixels)
    image = pixels.toImage().convertToFormat(QImage.Format_RGB888)
    rows = np.frombuffer(image.constBits(), dtype=np.uint8).reshape(image.height(), image.bytesPerLine())
    return rows[:, : 3 * image.width()].reshape(image.height(), image.width(), 3).copy()


def save_small(image: NDArray[np.uint8], path: Path) -> None:
    """Write a PNG of few greys, so that the palette has room for the colours."""
    is_grey = np.ptp(image, axis=-1, keepdims=True) < _LEAST_COLOUR
    mean = image.mean(axis=-1, keepdims=True)
    steps = np.clip(np.round(mean / _GREY_STEP) * _GREY_STEP, 0, 255)
    stepped = np.where(is_grey, steps, image).astype(np.uint8)
    Image.fromarray(stepped).quantize(_COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)


def use_dark_theme() -> None:
    """Colours as Slicer's dark theme has them."""
    palette = QPalette()
    for role, colour in (
        (QPalette.Window, "#353535"),
        (QPalette.WindowText, "#ffffff"),
        (QPalette.Base, "#2a2a2a"),
        (QPalette.AlternateBase, "#353535"),
        (QPalette.ToolTipBase, "#ffffff"),
        (QPalette.ToolTipText, "#000000"),
        (QPalette.Text, "#ffffff"),
        (QPalette.Button, "#353535"),
        (QPalette.ButtonText, "#ffffff"),
        (QPalette.BrightText, "#ff0000"),
        (QPalette.Link, "#2a82da"),
        (QPalette.Highlight, "#2a82da"),
        (QPalette.HighlightedText, "#000000"),
    ):
        palette.setColor(role, QColor(colour))
    for role in (QPalette.WindowText, QPalette.Text, QPalette.ButtonText):
        palette.setColor(QPalette.Disabled, role, QColor("#7f7f7f"))
    QApplication.setPalette(palette)
