"""Work in a forked process, where a test may give up rights or take on limits."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable

import pytest

posix_only = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and file limits of POSIX")


def in_a_child(work: Callable[[], None]) -> None:
    """Run in a forked process, so that its user and limits can change; fails with its traceback."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException:
            os.write(write, traceback.format_exc().encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as answer:
        problem = answer.read()
    assert not problem, problem
    assert os.waitpid(child, 0)[1] == 0


def become_nobody() -> None:
    """Root may write everywhere; the test is about users who may not."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
