"""Reading from the network in a thread that can be left alone."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import requests

from SegmentationAILib.engine.progress import Progress

# Seconds to connect, and to wait for the next bytes.
TIMEOUT = (15, 60)
_TICK = 0.2
_CHUNK = 1 << 16


@contextmanager
def stream(
    url: str, headers: dict[str, str], progress: Progress
) -> Iterator[tuple[requests.Response, Iterator[bytes]]]:
    """A response and its bytes, read in another thread.

    A read that waits for a silent server cannot be stopped, but the thread that waits can be left alone: it touches no
    file, and ends by itself.

    Raises:
        requests.RequestException: as ``requests.get``.
        Cancelled: the user cancelled, noticed within a tick.
    """
    arrived: queue.Queue[requests.Response | bytes | Exception | None] = queue.Queue(maxsize=16)
    left = threading.Event()

    def put(item: requests.Response | bytes | Exception | None) -> None:
        while not left.is_set():
            try:
                arrived.put(item, timeout=_TICK)
            except queue.Full:
                continue
            return

    def read() -> None:
        try:
            with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
                put(response)
                for chunk in response.iter_content(_CHUNK):
                    if left.is_set():
                        return
                    put(chunk)
            put(None)
        except Exception as error:
            put(error)  # raised again in the thread that waits

    def take() -> requests.Response | bytes | None:
        while True:
            try:
                item = arrived.get(timeout=_TICK)
            except queue.Empty:
                if progress.cancel.cancelled:
                    progress(0.0)
                continue
            if isinstance(item, Exception):
                raise item
            return item

    threading.Thread(target=read, name="fetching a model", daemon=True).start()
    try:
        yield take(), iter(take, None)
    finally:
        left.set()
