"""Work in a thread that a window looks after."""

from __future__ import annotations

import threading

import pytest

from SegmentationAILib.engine.side_thread import SideThread
from SegmentationAILib.errors import Cancelled, InputError

# Far longer than anything here takes; only a fault lets it pass.
LONG_S = 300.0


def test_progress_and_result():
    seen, go_on = threading.Event(), threading.Event()

    def work(progress):
        progress(0.5, "Half")
        seen.set()
        go_on.wait(LONG_S)
        return 7

    thread = SideThread(work)
    assert seen.wait(LONG_S)
    assert not thread.poll(0.0)
    assert (thread.fraction, thread.text) == (0.5, "Half")
    go_on.set()
    assert thread.result() == 7
    assert thread.poll()


def test_what_went_wrong_is_raised_for_who_asks():
    def work(progress):
        raise InputError("The disk is full.")

    thread = SideThread(work)
    with pytest.raises(InputError, match="disk is full"):
        thread.result()


def test_cancel_ends_it_at_its_next_step():
    started, go_on = threading.Event(), threading.Event()

    def work(progress):
        progress(0.1, "Begun")
        started.set()
        go_on.wait(LONG_S)
        progress(0.2, "Never told")

    thread = SideThread(work)
    assert started.wait(LONG_S)
    thread.cancel()
    assert thread.cancelled
    go_on.set()
    with pytest.raises(Cancelled):
        thread.result()
    assert thread.text == "Begun"
