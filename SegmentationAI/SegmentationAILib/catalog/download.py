"""One file over HTTP: goes on where it broke off, stops within a second, believes no length it is told.

Proxies are those of the environment variables HTTPS_PROXY, HTTP_PROXY and NO_PROXY, which ``requests`` reads.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

import requests
from requests.structures import CaseInsensitiveDict

from SegmentationAILib.catalog.archive import check_room, megabytes
from SegmentationAILib.catalog.http_stream import stream
from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.errors import InputError

# Broken connections in a row that brought nothing.
_TRIES = 4
_WAIT = 0.5
_TICK = 0.1
# A file that is no longer there; after other refusals what came so far is still of use.
_GONE = (404, 410)


@dataclass(frozen=True)
class ResumingDownloader:
    """A downloader for ``pooch``: called with the address and the file to write.

    Attributes:
        partial: what came so far; it stays after a broken connection or a cancel, and the next call goes on from it
            if the server still has the same file.
        size: bytes of the file, None where not known.
        room: bytes that the disk needs besides.
        progress: told of the bytes.
    """

    partial: Path
    size: int | None
    progress: Progress
    room: int = 0

    def __call__(self, url: str, output_file: str, _pooch: object = None) -> None:
        """Download.

        Raises:
            InputError: the server has no such file or does not answer, the connection broke too often, more bytes
                came than the file has, or the disk is full.
            Cancelled: the user cancelled.
        """
        self.partial.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._get(url)
            self.partial.replace(output_file)
            self._notes.unlink(missing_ok=True)
        except InputError:
            raise
        except requests.RequestException as error:
            raise InputError(
                f"'{_host(url)}' could not be reached for '{self.name}' ({type(error).__name__}); check the connection "
                "and the proxy, or import the file with 'thoraxai models import'."
            ) from error
        except OSError as error:
            self.discard()
            raise InputError(
                f"'{self.name}' could not be written ({error.strerror}); check that the disk has room."
            ) from error

    def discard(self) -> None:
        """Throw away what came so far."""
        self.partial.unlink(missing_ok=True)
        self._notes.unlink(missing_ok=True)

    @property
    def name(self) -> str:
        return self.partial.stem

    @property
    def _notes(self) -> Path:
        """Which version of the server's file the partial one is of."""
        return self.partial.with_suffix(".json")

    def _get(self, url: str) -> None:
        """Ask again until all is there."""
        tries, failure = 0, None
        while tries < _TRIES:
            before = self._have()
            try:
                if self._get_once(url):
                    return
            except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
                failure = error
            tries = 0 if self._have() > before else tries + 1
            self._wait(_WAIT * tries)
        if failure is not None and not self._have():
            raise failure
        have = megabytes(self._have())
        if not self._validator(url):
            self.discard()
        raise InputError(f"'{_host(url)}' breaks off '{self.name}' after {have}; try again later.")

    def _get_once(self, url: str) -> bool:
        """One request; whether the file is whole then."""
        have, validator = self._have(), self._validator(url)
        headers = {"Accept-Encoding": "identity"}
        if have and validator:
            headers |= {"Range": f"bytes={have}-", "If-Range": validator}
        with stream(url, headers, self.progress) as (response, chunks):
            if response.status_code == requests.codes.requested_range_not_satisfiable:
                return self._is_end(response, have)
            if not response.ok:
                if response.status_code in _GONE:
                    self.discard()
                raise InputError(
                    f"'{_host(url)}' does not give '{self.name}' (HTTP {response.status_code}); check for a newer "
                    "ThoraxAI, or import the file with 'thoraxai models import'."
                )
            start = _range_start(response) if response.status_code == requests.codes.partial_content else 0
            if start not in (0, have):
                self.discard()
                return False
            length = response.headers.get("Content-Length", "")
            total = start + int(length) if length.isdigit() else None
            check_room(self.partial.parent, max(total or 0, self.size or 0) - start + self.room)
            self._note(url, response.headers)
            with self.partial.open("ab" if start else "wb") as file:
                fits = self._write(file, chunks, start, total)
        if not fits:
            self.discard()
            raise InputError(
                f"'{self.name}' was refused: the server sends more than the {self.size:,} bytes that it has; try again "
                "later or get it elsewhere."
            )
        return total is None or self._have() >= total

    def _write(self, file: BinaryIO, chunks: Iterator[bytes], start: int, total: int | None) -> bool:
        """False, and no further, where more comes than the file has."""
        done, expected = start, self.size or total
        for chunk in chunks:
            done += len(chunk)
            if self.size is not None and done > self.size:
                return False
            file.write(chunk)
            text = f"{megabytes(done)} of {megabytes(expected)}" if expected else megabytes(done)
            self.progress(min(done / expected, 1.0) if expected else 0.0, f"Fetching, {text}")
        return True

    def _wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.progress(0.0, "Waiting for the server")
            time.sleep(_TICK)

    def _is_end(self, response: requests.Response, have: int) -> bool:
        """Whether a server that has nothing behind what came says that this is all; else it is thrown away."""
        if response.headers.get("Content-Range", "") == f"bytes */{have}":
            return True
        self.discard()
        return False

    def _have(self) -> int:
        return self.partial.stat().st_size if self.partial.exists() else 0

    def _validator(self, url: str) -> str:
        """For If-Range; "" where the server cannot tell whether its file is still the same."""
        try:
            notes = json.loads(self._notes.read_text(encoding="utf-8"))
            return notes["validator"] if notes["url"] == url else ""
        except (OSError, ValueError, KeyError):
            return ""

    def _note(self, url: str, headers: CaseInsensitiveDict[str]) -> None:
        etag = headers.get("ETag", "")
        # A weak tag stands for files that are alike, not the same (RFC 9110, 13.1.5).
        validator = headers.get("Last-Modified", "") if etag.startswith("W/") or not etag else etag
        self._notes.write_text(json.dumps({"url": url, "validator": validator}), encoding="utf-8")


def _range_start(response: requests.Response) -> int:
    found = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return int(found.group(1)) if found else -1


def _host(url: str) -> str:
    return urlsplit(url).hostname or url
