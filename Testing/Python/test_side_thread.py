"""Work in a thread that a window looks after."""

from __future__ import annotations

import threading

import pytest

from SegmentationAILib.engine.background import Background
from SegmentationAILib.errors import Cancelled, InputError


def test_progress_and_result():
    seen, go_on = threading.Event(), threading.Event()

    def work(progress):
        progress(0.5, "Half")
        seen.set()
        go_on.wait(10)
        return 7

    background = Background(work)
    assert seen.wait(10)
    assert not background.poll(0.0)
    assert (background.fraction, background.text) == (0.5, "Half")
    go_on.set()
    assert background.result() == 7
    assert background.poll()


def test_what_went_wrong_is_raised_for_who_asks():
    def work(progress):
        raise InputError("The disk is full.")

    background = Background(work)
    with pytest.raises(InputError, match="disk is full"):
        background.result()


def test_cancel_ends_it_at_its_next_step():
    started, go_on = threading.Event(), threading.Event()

    def work(progress):
        progress(0.1, "Begun")
        started.set()
        go_on.wait(10)
        progress(0.2, "Never told")

    background = Background(work)
    assert started.wait(10)
    background.cancel()
    assert background.cancelled
    go_on.set()
    with pytest.raises(Cancelled):
        background.result()
    assert background.text == "Begun"
