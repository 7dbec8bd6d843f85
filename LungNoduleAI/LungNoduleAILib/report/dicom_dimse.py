"""The DICOM network protocol (PS3.7): C-ECHO, C-STORE, C-FIND, C-GET."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import (
    BasicTextSRStorage,
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    EnhancedSRStorage,
    SegmentationStorage,
)
from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, build_role, evt
from pynetdicom.association import Association
from pynetdicom.pdu import A_ASSOCIATE_RJ
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.sop_class import (
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    Verification,
)

from LungNoduleAILib.report.dicom_archive import DicomNode, FoundSeries, file_name, found_series
from SegmentationAILib.dicom_series import PLANAR_IMAGES
from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.errors import InputError
from SegmentationAILib.writing import atomic_write, check_writable

_SUCCESS = 0x0000
_PENDING = (0xFF00, 0xFF01)
_CANNOT_KEEP = 0xA700
# Warnings of C-STORE: the object is stored (PS3.4 B.2.3).
_STORED_WITH_WARNING = (0xB000, 0xB006, 0xB007)
# An association has at most 128 presentation contexts (PS3.8 9.3.2.2).
_MOST_CONTEXTS = 128
_FETCHED = (
    *PLANAR_IMAGES,
    SegmentationStorage,
    BasicTextSRStorage,
    EnhancedSRStorage,
    ComprehensiveSRStorage,
    Comprehensive3DSRStorage,
)


def check(node: DicomNode) -> None:
    """As ``dicom_server.check``."""
    with _associated(node, [build_context(Verification)]) as association:
        _succeeded(node, association.send_c_echo(), "the connection")


def send(node: DicomNode, paths: Sequence[Path], progress: Progress) -> None:
    """As ``dicom_server.send``; the files cross as they are, in their own transfer syntax."""
    metas = [pydicom.filereader.read_file_meta_info(path) for path in paths]
    kinds = list(dict.fromkeys((str(m.MediaStorageSOPClassUID), str(m.TransferSyntaxUID)) for m in metas))
    if len(kinds) > _MOST_CONTEXTS:
        raise InputError("The files are of too many kinds to be sent together; send fewer at once.")
    with _associated(node, [build_context(*kind) for kind in kinds]) as association:
        for n, path in enumerate(paths):
            progress(n / len(paths), f"Sending {n + 1} of {len(paths)}")
            try:
                status = association.send_c_store(path)
            except ValueError as error:
                raise InputError(f"The archive {node.name} does not take '{path.name}' of its kind.") from error
            if status.get("Status") not in _STORED_WITH_WARNING:
                _succeeded(node, status, f"'{path.name}'")
    progress(1.0, "Sent")


def find(node: DicomNode, patient_id: str, modality: str) -> list[FoundSeries]:
    """As ``dicom_server.find``; by the hierarchy, which every archive knows: studies first, then their series."""
    model = StudyRootQueryRetrieveInformationModelFind
    found = []
    with _associated(node, [build_context(model)]) as association:
        asked = _query("STUDY", PatientID=patient_id, StudyInstanceUID="", StudyDate="")
        for study in _answers(node, association.send_c_find(asked, model)):
            # An archive may match without regard to case, or to spaces.
            if str(study.get("PatientID", "")).strip() != patient_id:
                continue
            uid = study.StudyInstanceUID
            asked = _query(
                "SERIES", StudyInstanceUID=uid, SeriesInstanceUID="", Modality=modality, SeriesDescription=""
            )
            for series in _answers(node, association.send_c_find(asked, model)):
                series.StudyInstanceUID = uid
                found.append(found_series(series, str(study.get("StudyDate") or "")))
    return found


def fetch(node: DicomNode, series: FoundSeries, folder: Path, progress: Progress) -> list[Path]:
    """As ``dicom_server.fetch``."""
    check_writable(folder)
    model = StudyRootQueryRetrieveInformationModelGet
    got: list[Path] = []
    refused: list[InputError] = []

    def keep(event: evt.Event) -> int:
        # pynetdicom turns what is raised here into a failure of its own; it is told when the transfer is over.
        try:
            path = folder / file_name(str(event.request.AffectedSOPInstanceUID))
            with atomic_write(path) as partial:
                partial.write_bytes(event.encoded_dataset())
        except InputError as error:
            refused.append(error)
            return _CANNOT_KEEP
        got.append(path)
        return _SUCCESS

    contexts = [build_context(model), *(build_context(kind, ALL_TRANSFER_SYNTAXES) for kind in _FETCHED)]
    roles = [build_role(kind, scp_role=True) for kind in _FETCHED]
    with _associated(node, contexts, roles, [(evt.EVT_C_STORE, keep)]) as association:
        asked = _query("SERIES", StudyInstanceUID=series.study_uid, SeriesInstanceUID=series.series_uid)
        for status, _ in association.send_c_get(asked, model):
            left = status.get("NumberOfRemainingSuboperations") or 0
            progress(len(got) / max(len(got) + left, 1), f"Received {len(got)}")
            if refused:
                raise refused[0]
            if status.get("Status") not in _PENDING:
                _succeeded(node, status, "the series")
    progress(1.0, "Received")
    return got


def _query(level: str, **keys: str) -> Dataset:
    query = Dataset()
    query.QueryRetrieveLevel = level
    for keyword, value in keys.items():
        setattr(query, keyword, value)
    return query


def _answers(node: DicomNode, responses: Iterator[tuple[Dataset, Dataset | None]]) -> list[Dataset]:
    found = []
    for status, answer in responses:
        if status.get("Status") in _PENDING and answer is not None:
            found.append(answer)
        else:
            _succeeded(node, status, "the search")
    return found


def _succeeded(node: DicomNode, status: Dataset, what: str) -> None:
    code = status.get("Status")
    if code is None:
        raise InputError(f"The archive {node.name} broke off; check the network and try again.")
    if code != _SUCCESS:
        said = str(status.get("ErrorComment") or "").strip()
        raise InputError(
            f"The archive {node.name} refused {what} (status {code:04X}{': ' + said if said else ''}); ask its "
            "administrator."
        )


@contextmanager
def _associated(
    node: DicomNode,
    contexts: Sequence[PresentationContext],
    roles: Sequence[object] = (),
    handlers: Sequence[tuple] = (),
) -> Iterator[Association]:
    entity = AE(ae_title=node.own_title)
    rejections: list[A_ASSOCIATE_RJ] = []

    def note_rejection(event: evt.Event) -> None:
        if isinstance(event.pdu, A_ASSOCIATE_RJ):
            rejections.append(event.pdu)

    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = entity.connection_timeout = node.timeout_s
    association = entity.associate(
        node.host,
        node.port,
        contexts=list(contexts),
        ae_title=node.title,
        ext_neg=list(roles),
        evt_handlers=[*handlers, (evt.EVT_PDU_RECV, note_rejection)],
        tls_args=_tls(node),
    )
    if not association.is_established:
        # An archive that rejects and hangs up at once may have done both before pynetdicom looks, which then says that
        # the connection is lost (``is_aborted``), not ``is_rejected``.
        if rejections:
            raise InputError(
                f"The archive {node.name} refused the connection; check both AE titles, and that it knows "
                f"'{node.own_title}'."
            )
        raise InputError(f"The archive {node.name} does not answer; check host, port, network and encryption.")
    try:
        yield association
    except BaseException:
        association.abort()
        raise
    association.release()


def _tls(node: DicomNode) -> tuple[ssl.SSLContext, str] | None:
    if not node.tls:
        return None
    try:
        return ssl.create_default_context(cafile=node.ca_file or None), node.host
    except (OSError, ssl.SSLError) as error:
        raise InputError(f"The file of certificate authorities '{node.ca_file}' cannot be read.") from error
