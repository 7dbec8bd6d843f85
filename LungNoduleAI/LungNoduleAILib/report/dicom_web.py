"""DICOMweb (PS3.18): STOW-RS, QIDO-RS, WADO-RS."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pydicom
import requests
from dicomweb_client.api import DICOMwebClient
from pydicom.dataset import Dataset
from requests.adapters import HTTPAdapter

from LungNoduleAILib.report.dicom_archive import DicomWebServer, FoundSeries, file_name, found_series
from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.errors import InputError
from SegmentationAILib.writing import atomic_write, check_writable

_ANY_SYNTAX = (("application/dicom", "*"),)
_SERIES_FIELDS = ["StudyInstanceUID", "SeriesInstanceUID", "Modality", "SeriesDescription"]


def check(server: DicomWebServer) -> None:
    """As ``dicom_server.check``."""
    with _client(server) as client:
        client.search_for_studies(limit=1, search_filters={"StudyInstanceUID": "1.2.3.4.5"})


def send(server: DicomWebServer, paths: Sequence[Path], progress: Progress) -> None:
    """As ``dicom_server.send``."""
    with _client(server) as client:
        for n, path in enumerate(paths):
            progress(n / len(paths), f"Sending {n + 1} of {len(paths)}")
            answer = client.store_instances([pydicom.dcmread(path)])
            if answer.get("FailedSOPSequence"):
                reason = answer.FailedSOPSequence[0].get("FailureReason", 0)
                raise InputError(
                    f"The archive {server.name} refused '{path.name}' (reason {reason:04X}); ask its administrator."
                )
    progress(1.0, "Sent")


def find(server: DicomWebServer, patient_id: str, modality: str) -> list[FoundSeries]:
    """As ``dicom_server.find``."""
    found = []
    with _client(server) as client:
        studies = client.search_for_studies(
            search_filters={"PatientID": patient_id}, fields=["StudyInstanceUID", "StudyDate", "PatientID"]
        )
        for study in map(Dataset.from_json, studies):
            # An archive may match without regard to case, or to spaces.
            if str(study.get("PatientID", "")).strip() != patient_id:
                continue
            series = client.search_for_series(
                study.StudyInstanceUID,
                search_filters={"Modality": modality} if modality else None,
                fields=_SERIES_FIELDS,
            )
            for one in map(Dataset.from_json, series):
                one.StudyInstanceUID = study.StudyInstanceUID
                found.append(found_series(one, str(study.get("StudyDate") or "")))
    return found


def fetch(server: DicomWebServer, series: FoundSeries, folder: Path, progress: Progress) -> list[Path]:
    """As ``dicom_server.fetch``."""
    check_writable(folder)
    got = []
    with _client(server) as client:
        for dataset in client.iter_series(series.study_uid, series.series_uid, media_types=_ANY_SYNTAX):
            path = folder / file_name(str(dataset.SOPInstanceUID))
            with atomic_write(path) as partial:
                pydicom.dcmwrite(partial, dataset)
            got.append(path)
            progress(0.5, f"Received {len(got)}")
    progress(1.0, "Received")
    return got


class _Adapter(HTTPAdapter):
    """Waits for an answer so long and no longer, and trusts the given authorities whatever the environment says."""

    def __init__(self, server: DicomWebServer) -> None:
        self._settings = {"timeout": server.timeout_s, **({"verify": server.ca_file} if server.ca_file else {})}
        super().__init__()

    def send(self, request: requests.PreparedRequest, **options: object) -> requests.Response:
        return super().send(request, **{**options, **self._settings})


@contextmanager
def _client(server: DicomWebServer) -> Iterator[DICOMwebClient]:
    """A client; what goes wrong with it is said in one sentence, without the patient's data that an address holds."""
    if server.ca_file and not Path(server.ca_file).is_file():
        raise InputError(f"The file of certificate authorities '{server.ca_file}' cannot be read.")
    with requests.Session() as session, _unlogged():
        for scheme in ("https://", "http://"):
            session.mount(scheme, _Adapter(server))
        if server.token:
            session.headers["Authorization"] = f"Bearer {server.token}"
        elif server.user:
            session.auth = (server.user, server.password)
        client = DICOMwebClient(server.url, session=session)
        client.set_http_retry_params(retry=False)
        try:
            yield client
        except requests.HTTPError as error:
            raise InputError(_refusal(server, error)) from None
        except requests.exceptions.SSLError:
            raise InputError(
                f"The certificate of the archive {server.name} is not trusted; give its authority's file."
            ) from None
        except requests.RequestException:
            raise InputError(f"The archive {server.name} does not answer; check address and network.") from None


@contextmanager
def _unlogged() -> Iterator[None]:
    """The library behind the client logs addresses of requests that failed, and with them patients' identifiers."""
    logger = logging.getLogger("retrying")
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


def _refusal(server: DicomWebServer, error: requests.HTTPError) -> str:
    code = error.response.status_code if error.response is not None else 0
    if code in (401, 403):
        return f"The archive {server.name} refused user, password or token ({code}); check them."
    if code == 404:
        return f"The archive {server.name} has no such series, or no DICOMweb at that address (404); check both."
    return f"The archive {server.name} answered with an error ({code}); ask its administrator."
