"""Slices as they would become, computed beside the window while parameters are turned and slices moved.

What takes long is shown as a sketch first, and told to be one, until it is there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import qt

from SegmentationAILib.engine.large_libraries import import_uncollected, load_large_libraries
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


@dataclass(frozen=True, eq=False)
class _Job:
    """What is being computed for a view, of its key, and whether that is a sketch."""

    view: str
    key: tuple
    wish: Wish
    is_sketch: bool
    thread: SideThread[tuple[Any, Volume | None]]


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
        self._job: _Job | None = None
        self._shown: dict[str, tuple] = {}
        # The views of those in which a sketch is shown.
        self._sketched: set[str] = set()
        # Views whose planes miss the volume.
        self._missed: set[str] = set()
        self._learnt: tuple[tuple, Any] | None = None
        # Of what takes long, so that it goes on while slices are moved.
        self._learning: tuple[tuple, SideThread[Any]] | None = None
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
        if self._job is not None:
            self._job.thread.cancel()
        self._job = self._learnt = None
        self._stop_learning()
        self._shown.clear()
        self._sketched.clear()
        if self._overlay is not None:
            self._overlay.clear()
        self._say("")

    def _look(self) -> None:
        wish = self._wish()
        planes = self._planes(wish) if wish is not None and wish != self._failed else {}
        keys = {view: (self._whole(wish), plane.to_ras.tobytes()) for view, plane in planes.items()}
        if self._job is not None:
            if keys.get(self._job.view) != self._job.key:
                self._job.thread.cancel()
                if operation(self._job.wish.operation).is_slow and not self._job.is_sketch:
                    # It ends when it comes to its next step, which nobody waits for.
                    self._job = None
            if self._job is not None:
                if not self._job.thread.poll():
                    return
                self._take(keys)
        if self._learning is not None:
            self._look_at_learning(wish)
        for view in [one for one in self._shown if one not in keys]:
            del self._shown[view]
            self._overlay.hide(view)
        stale = [
            view
            for view, key in keys.items()
            if self._shown.get(view) != key or not (self._overlay.shows(view) or view in self._missed)
        ]
        slow = wish is not None and operation(wish.operation).is_slow
        # All views have a sketch before the first has more.
        coming = stale or [view for view in keys if view in self._sketched]
        if coming and slow and not stale and self._known(keys[coming[0]]) is None:
            if self._learning is None:
                self._learn(keys[coming[0]][0], wish)
        elif coming:
            self._begin(coming[0], keys[coming[0]], planes[coming[0]], wish, is_sketch=slow and bool(stale))
        elif keys:
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

    def _begin(self, view: str, key: tuple, plane: Plane, wish: Wish, *, is_sketch: bool) -> None:
        from SegmentationAILib.scene import volume_from_node  # noqa: PLC0415 - needs packages

        try:
            volume = volume_from_node(wish.node)
        except InputError as problem:
            self._fail(wish, str(problem))
            return
        learnt = self._known(key)

        def work(progress: Progress) -> tuple[Any, Volume | None]:
            load_large_libraries()
            import_uncollected("torch")
            from SegmentationAILib.enhancement.enhance import learnt_of  # noqa: PLC0415 - needs torch
            from SegmentationAILib.enhancement.preview import preview, sketch  # noqa: PLC0415

            if is_sketch:
                return None, sketch(volume, plane, wish.operation, dict(wish.parameters), progress)
            known = learnt or learnt_of(volume, wish.operation, dict(wish.parameters), progress)
            return known, preview(volume, plane, wish.operation, *known, progress)

        self._job = _Job(view, key, wish, is_sketch, SideThread(work))
        self._say_how_far()

    def _say_how_far(self) -> None:
        if self._sketched:
            self._say(tr("This preview is approximate; the exact one is being computed..."))
        else:
            self._say(tr("Preview is being computed..."))

    def _known(self, key: tuple) -> Any:
        """What was learnt of the whole volume; None where it was not yet."""
        return self._learnt[1] if self._learnt is not None and self._learnt[0] == key[0] else None

    def _learn(self, whole: tuple, wish: Wish) -> None:
        from SegmentationAILib.scene import volume_from_node  # noqa: PLC0415 - needs packages

        volume = volume_from_node(wish.node)

        def work(progress: Progress) -> Any:
            from SegmentationAILib.enhancement.enhance import learnt_of  # noqa: PLC0415

            return learnt_of(volume, wish.operation, dict(wish.parameters), progress)

        self._learning = (whole, SideThread(work))
        self._say_how_far()

    def _look_at_learning(self, wish: Wish | None) -> None:
        whole, thread = self._learning
        if wish is None or self._whole(wish) != whole:
            self._stop_learning()
        elif thread.poll(0.0):
            self._learning = None
            if (learnt := self._result(thread, wish)) is not None:
                self._learnt = (whole, learnt)

    def _stop_learning(self) -> None:
        if self._learning is not None:
            self._learning[1].cancel()
            self._learning = None

    def _result(self, thread: SideThread[Any], wish: Wish) -> Any:
        """What a thread made; None where it was cancelled, or failed, which is told."""
        try:
            return thread.result()
        except Cancelled:
            return None
        except InputError as problem:
            self._fail(wish, str(problem))
        except Exception as error:
            self._fail(wish, explain(error))
        return None

    def _take(self, keys: dict[str, tuple]) -> None:
        job, self._job = self._job, None
        view, wish = job.view, job.wish
        result = self._result(job.thread, wish)
        if result is None:
            return
        learnt, made = result
        if not job.is_sketch:
            self._learnt = (job.key[0], learnt)
        if keys.get(view) != job.key:
            return
        self._shown[view] = job.key
        self._missed.discard(view)
        self._sketched.discard(view)
        if job.is_sketch and made is not None:
            self._sketched.add(view)
        if made is None:
            self._missed.add(view)
            self._overlay.hide(view)
        else:
            self._overlay.show(view, made, wish.node, operation(wish.operation))

    def _fail(self, wish: Wish, sentence: str) -> None:
        """Nothing is shown until something else is wished."""
        self._failed = wish
        self._stop_learning()
        self._shown.clear()
        self._sketched.clear()
        self._overlay.clear()
        self._say(sentence)
