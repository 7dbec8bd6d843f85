"""Which archive, how to reach it, and what it holds."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import urlsplit

from pydicom.dataset import Dataset

from SegmentationAILib.errors import InputError

_LONGEST_TITLE = 16
# Some archives hold components with leading zeros, which the standard forbids.
_UID = re.compile(r"\d(?:[\d.]{0,62}\d)?", re.ASCII)


@dataclass(frozen=True)
class DicomNode:
    """An archive that speaks the DICOM network protocol.

    Attributes:
        title: its application entity; ``own_title``: ours, which the archive may ask for.
        tls: encrypt, and check the archive's certificate against ``ca_file`` or the system's authorities.
        timeout_s: for it to answer.

    Raises:
        InputError: the address or a title cannot be.
    """

    host: str
    port: int
    title: str
    own_title: str = "THORAXAI"
    tls: bool = False
    ca_file: str = ""
    timeout_s: float = 30.0

    def __post_init__(self) -> None:
        if not self.host or not 0 < self.port < 65536:
            raise InputError("Give the DICOM node's host name and its port, 1 to 65535.")
        for title in (self.title, self.own_title):
            if not title.strip() or len(title) > _LONGEST_TITLE or not title.isascii() or "\\" in title:
                raise InputError(f"'{title}' is no AE title; it has 1 to {_LONGEST_TITLE} plain characters.")

    @property
    def name(self) -> str:
        """For the user."""
        return f"'{self.title}' at {self.host}:{self.port}"


@dataclass(frozen=True)
class DicomWebServer:
    """An archive that speaks DICOMweb.

    Attributes:
        url: of the service, such as https://archive.example.org/dicom-web.
        user, password: for basic authentication; ``token``: for a bearer's, instead.
        ca_file: certificate authorities to trust instead of the system's.
        timeout_s: for it to answer.

    Raises:
        InputError: the address is none, or a secret would cross the network unencrypted.
    """

    url: str
    user: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    ca_file: str = ""
    timeout_s: float = 30.0

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.url)
            found = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        except ValueError:  # brackets or a port that are none
            found = False
        if not found:
            raise InputError(f"'{self.url}' is no DICOMweb address, such as https://archive.example.org/dicom-web.")
        if parts.username or parts.password:
            raise InputError("Give user and password apart from the DICOMweb address.")
        if (self.user or self.token) and parts.scheme == "http" and not _is_this_machine(parts.hostname):
            raise InputError("The password or token would cross the network unencrypted; give an https:// address.")

    @property
    def name(self) -> str:
        """For the user."""
        return f"at {self.url}"


@dataclass(frozen=True)
class FoundSeries:
    """A series in an archive; ``date`` is the study's, YYYYMMDD."""

    study_uid: str
    series_uid: str
    modality: str
    description: str
    date: str


def found_series(answer: Dataset, date: str) -> FoundSeries:
    """From an archive's answer."""
    return FoundSeries(
        str(answer.get("StudyInstanceUID") or ""),
        str(answer.get("SeriesInstanceUID") or ""),
        str(answer.get("Modality") or ""),
        str(answer.get("SeriesDescription") or ""),
        date,
    )


def file_name(sop_instance_uid: str) -> str:
    """Name of the file for an instance that an archive sends.

    Raises:
        InputError: it is no UID, so that it might lead out of the folder.
    """
    if not _UID.fullmatch(sop_instance_uid):
        raise InputError("The archive sent an object without a valid identifier; nothing of it was kept.")
    return f"{sop_instance_uid}.dcm"


def _is_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
