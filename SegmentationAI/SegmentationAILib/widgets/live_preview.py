"""Slices as they would become, computed beside the window while parameters are turned and slices moved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import qt

from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.engine.side_thread import SideThread
from SegmentationAILib.engine.task import Option
from SegmentationAILib.enhancement.operations import operation
from SegmentationAILib.enhancement.plane import Plane
from SegmentationAILib.errors import Cancelled, InputError
from SegmentationAILib.failure import explain
from SegmentationAILib.volume import Volume
from SegmentationAILib.widgets.translation import tr

_PERIOD_MS = 40


@dataclass(frozen=True)
class Wish:
    """What is to be seen.

    Attributes:
        node: the volume that is looked at.
        operation: its name.
        parameters: all of them, as pairs.
    """

    node: Any
    operation: str
    parameters: tuple[tuple[str, Option], ...]


class LivePreview:
    """Lays what an operation would make over the slice views that show its volume.

    It asks again and again what is to be seen instead of waiting to be told, so that neither parameters nor views
    are observed.

    Args:
        wish: what is to be seen now; None for nothing.
        say: told in a few words how it goes; "" when all is shown.
    """

    def __init__(self, wish: Callable[[], Wish | None], say: Callable[[str], None]) -> None:
        self._wish, self._say = wish, say
        self._overlay: Any = None
        self._thread: SideThread[tuple[Any, Volume | None]] | None = None
        self._job: tuple[str, tuple, Wish] | None = None
        self._shown: dict[str, tuple] = {}
        # Views whose planes miss the volume.
        self._missed: set[str] = set()
        self._learnt: tuple[tuple, Any] | None = None
        self._failed: Wish | None = None
        self._timer = qt.QTimer()
        self._timer.setInterval(_PERIOD_MS)
        self._timer.connect("timeout()", self._look)

    @property
    def active(self) -> bool:
        return self._timer.isActive()

    def start(self) -> None:
        """Show it from now on."""
        from SegmentationAILib.enhancement.scene import SlicePreview  # noqa: PLC0415 - needs packages

        self._overlay = self._overlay or SlicePreview()
        self._failed = None
        self._timer.start()
        self._look()

    def stop(self) -> None:
        """Leave the views as they were."""
        self._timer.stop()
        if self._thread is not None:
            self._thread.cancel()
        self._thread = self._job = self._learnt = None
        self._shown.clear()
        if self._overlay is not None:
            self._overlay.clear()
        self._say("")

    def _look(self) -> None:
        wish = self._wish()
        planes = self._planes(wish) if wish is not None and wish != self._failed else {}
        keys = {view: (self._whole(wish), plane.to_ras.tobytes()) for view, plane in planes.items()}
        if self._thread is not None:
            view, key, _wish = self._job
            if keys.get(view) != key:
                self._thread.cancel()
            if not self._thread.poll():
                return
            self._take(keys)
        for view in [one for one in self._shown if one not in keys]:
            del self._shown[view]
            self._overlay.hide(view)
        for view, key in keys.items():
            if self._shown.get(view) != key or not (self._overlay.shows(view) or view in self._missed):
                self._begin(view, key, planes[view], wish)
                return
        if keys:
            self._say("")
        elif wish is not None and wish != self._failed:
            self._say(tr("No slice view shows this volume."))

    def _planes(self, wish: Wish) -> dict[str, Plane]:
        return self._overlay.planes(wish.node) if wish.node.GetImageData() is not None else {}

    @staticmethod
    def _whole(wish: Wish) -> tuple:
        """What the pictures in all views depend on."""
        image = wish.node.GetImageData()
        transform = wish.node.GetParentTransformNode()
        moved = transform.GetMTime() if transform is not None else 0
        return (wish.node.GetID(), image.GetMTime(), wish.node.GetMTime(), moved, wish.operation, wish.parameters)

    def _begin(self, view: str, key: tuple, plane: Plane, wish: Wish) -> None:
        from SegmentationAILib.scene import volume_from_node  # noqa: PLC0415 - needs packages

        try:
            volume = volume_from_node(wish.node)
        except InputError as problem:
            self._fail(wish, str(problem))
            return
        learnt = self._learnt[1] if self._learnt is not None and self._learnt[0] == key[0] else None

        def work(progress: Progress) -> tuple[Any, Volume | None]:
            from SegmentationAILib.enhancement.enhance import learnt_of  # noqa: PLC0415 - torch takes seconds
            from SegmentationAILib.enhancement.preview import preview  # noqa: PLC0415

            known = learnt or learnt_of(volume, wish.operation, dict(wish.parameters), progress)
            return known, preview(volume, plane, wish.operation, *known, progress)

        self._job = (view, key, wish)
        self._thread = SideThread(work)
        self._say(tr("Preview is being computed..."))

    def _take(self, keys: dict[str, tuple]) -> None:
        view, key, wish = self._job
        thread, self._thread, self._job = self._thread, None, None
        try:
            learnt, made = thread.result()
        except Cancelled:
            return
        except InputError as problem:
            self._fail(wish, str(problem))
            return
        except Exception as error:
            self._fail(wish, explain(error))
            return
        self._learnt = (key[0], learnt)
        if keys.get(view) != key:
            return
        self._shown[view] = key
        self._missed.discard(view)
        if made is None:
            self._missed.add(view)
            self._overlay.hide(view)
        else:
            self._overlay.show(view, made, wish.node, operation(wish.operation))

    def _fail(self, wish: Wish, sentence: str) -> None:
        """Nothing is shown until something else is wished."""
        self._failed = wish
        self._shown.clear()
        self._overlay.clear()
        self._say(sentence)
