"""What workers leave in shared memory, where the system lists it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FOLDER = Path("/dev/shm")
# Other processes' runs, such as of tests beside these, give their names back long before; only a fault lets it pass.
_LONG_S = 60.0


def segments() -> set[str]:
    """Names of segments, of this process's workers and of others'."""
    return {path.name for path in FOLDER.glob("thoraxai-*")}


@contextmanager
def nothing_left() -> Iterator[None]:
    """No segment that came meanwhile stays."""
    before = segments()
    yield
    came = segments() - before
    until = time.monotonic() + _LONG_S
    while left := came & segments():
        assert time.monotonic() < until, f"shared memory was left: {sorted(left)}"
        time.sleep(0.01)
