"""Reports to and from a DICOM archive: over the DICOM network protocol or over DICOMweb.

Nothing is sent or asked unless one of these functions is called.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from LungNoduleAILib.report import dicom_dimse, dicom_web
from LungNoduleAILib.report.dicom_archive import DicomNode, DicomWebServer, FoundSeries
from SegmentationAILib.dicom_series import is_dicom
from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.errors import InputError

Server = DicomNode | DicomWebServer


def check(server: Server) -> None:
    """Ask whether the archive answers: C-ECHO, or a search that finds nothing.

    Raises:
        InputError: it cannot be reached or refuses.
    """
    (dicom_dimse if isinstance(server, DicomNode) else dicom_web).check(server)


def send(server: Server, paths: Sequence[str | Path], progress: Progress = Progress()) -> None:  # noqa: B008 - immutable
    """Store DICOM files in the archive: C-STORE or STOW-RS.

    Args:
        progress: told of each file; its token cancels between them, and what was stored stays there.

    Raises:
        InputError: a file is no DICOM, or the archive cannot be reached or refuses one.
        Cancelled: the user cancelled.
    """
    files = [Path(path) for path in paths]
    for path in files:
        if not path.is_file() or not is_dicom(path):
            raise InputError(f"'{path.name}' is not a DICOM file; nothing was sent.")
    (dicom_dimse if isinstance(server, DicomNode) else dicom_web).send(server, files, progress)


def find(server: Server, patient_id: str, modality: str = "") -> tuple[FoundSeries, ...]:
    """The series of a patient in the archive, the latest study first: C-FIND or QIDO-RS.

    Args:
        patient_id: whole, without wildcards.
        modality: such as "SR", "" for all.

    Raises:
        InputError: the identifier is empty or holds a wildcard, or the archive cannot be reached or refuses.
    """
    if not patient_id.strip() or set(patient_id) & set("*?\\"):
        raise InputError("Give the whole patient ID, without wildcards, so that no other patient's series are listed.")
    found = (dicom_dimse if isinstance(server, DicomNode) else dicom_web).find(server, patient_id.strip(), modality)
    return tuple(sorted(found, key=lambda one: (one.date, one.study_uid, one.series_uid), reverse=True))


def fetch(
    server: Server,
    series: FoundSeries,
    folder: str | Path,
    progress: Progress = Progress(),  # noqa: B008 - immutable
) -> tuple[Path, ...]:
    """Get the files of a series: C-GET or WADO-RS.

    Args:
        folder: to write them to, each named by its SOP Instance UID.
        progress: told of each file; its token cancels between them.

    Returns:
        Their paths.

    Raises:
        InputError: the archive cannot be reached, refuses, or has no such series, or the folder cannot be written to.
        Cancelled: the user cancelled.
    """
    got = (dicom_dimse if isinstance(server, DicomNode) else dicom_web).fetch(server, series, Path(folder), progress)
    if not got:
        raise InputError(f"The archive {server.name} has nothing of that series any more; search again.")
    return tuple(sorted(got))
