"""The list of devices: automatic, each GPU with its memory, CPU."""

from __future__ import annotations

import platform
import sys
import threading
from collections.abc import Callable

import qt

from SegmentationAILib.engine import cuda_driver
from SegmentationAILib.widgets.translation import tr

_POLL_MS = 50
# The wait lets go of the interpreter, which a PythonQt application holds while it is idle.
_WAIT_S = 0.01


class DeviceSelector:
    """Fills a combo box in the background, so that opening a panel never waits for the driver.

    Args:
        combo_box: its items' data are torch device names, or ``"auto"``.
        changed: told the device that the user chose.
    """

    def __init__(self, combo_box: qt.QComboBox, changed: Callable[[str], None]) -> None:
        self._combo_box = combo_box
        self._changed = changed
        self._device = "auto"
        self._driver: cuda_driver.CudaDriver | None = None
        self._worker: threading.Thread | None = None
        combo_box.addItem(tr("Automatic"), "auto")
        combo_box.addItem(tr("CPU"), "cpu")
        combo_box.connect("activated(int)", self._on_activated)
        self._timer = qt.QTimer()
        self._timer.setInterval(_POLL_MS)
        self._timer.connect("timeout()", self._on_timeout)

    @property
    def device(self) -> str:
        """The device's name; ``"auto"`` where the one that was set is not on this computer."""
        return self._combo_box.itemData(self._combo_box.currentIndex)

    @device.setter
    def device(self, name: str) -> None:
        self._device = name
        self._combo_box.setCurrentIndex(max(0, self._combo_box.findData(name)))

    def look_for_gpus(self) -> None:
        """Ask the driver once; the list grows when it has answered."""
        if self._worker is None:
            self._worker = threading.Thread(target=self._query, daemon=True)
            self._worker.start()
            self._timer.start()

    def close(self) -> None:
        self._timer.stop()

    def _query(self) -> None:
        self._driver = cuda_driver.query()

    def _on_timeout(self) -> None:
        self._worker.join(_WAIT_S)
        if self._worker.is_alive():
            return
        self._timer.stop()
        for position, (text, device) in enumerate(self._gpus(), start=1):
            self._combo_box.insertItem(position, text, device)
        self.device = self._device

    def _gpus(self) -> list[tuple[str, str]]:
        if sys.platform == "darwin" and platform.machine() == "arm64":
            return [(tr("Apple GPU"), "mps")]
        gpus = self._driver.gpus if self._driver else ()
        return [(f"{gpu.name} ({gpu.memory / 2**30:.0f} GB)", gpu.device) for gpu in gpus]

    def _on_activated(self, index: int) -> None:
        self._device = self._combo_box.itemData(index)
        self._changed(self._device)
