"""A report in every form that was asked for, into one folder."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

from LungNoduleAILib.report.content import ReportContent
from LungNoduleAILib.report.html import write_html
from LungNoduleAILib.report.json_file import write_json
from LungNoduleAILib.report.pdf import write_pdf
from LungNoduleAILib.report.reported_table import write_report_csv
from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.errors import InputError
from SegmentationAILib.radiotherapy.ct_export import write_ct_series
from SegmentationAILib.writing import check_writable

# By name, the file; DICOM's refer to the CT's images.
FILES = {
    "csv": "nodules.csv",
    "json": "nodules.json",
    "html": "report.html",
    "pdf": "report.pdf",
    "seg": "nodules-seg.dcm",
    "sr": "nodules-sr.dcm",
}
FORMATS = tuple(FILES)
_OWN = {"csv": write_report_csv, "json": write_json, "html": write_html, "pdf": write_pdf}
# The CT, where it did not come from DICOM.
CT_FOLDER = "ct"


def check_formats(formats: Collection[str]) -> None:
    """Refuse what cannot be written.

    Raises:
        InputError: there is no format, or one that is not known.
    """
    unknown = [one for one in formats if one not in FORMATS]
    if unknown or not formats:
        raise InputError(f"There is no format '{', '.join(unknown)}'; choose among: {', '.join(FORMATS)}.")


def write_report(
    content: ReportContent,
    folder: str | Path,
    formats: Collection[str],
    *,
    source: str | Path | None = None,
    progress: Progress | None = None,
) -> list[Path]:
    """Write a report.

    Args:
        folder: is made where it is not there.
        formats: of ``FORMATS``.
        source: folder of the CT's DICOM files, to which SEG and SR refer; where the CT did not come from DICOM it
            is written to ``folder/ct`` first.
        progress: told of each file.

    Returns:
        the files, and the CT's folder where it was written.

    Raises:
        InputError: a format is not known, the folder cannot be written to, or highdicom is missing for DICOM.
        Cancelled: the user cancelled.
    """
    progress = progress or Progress()
    folder = Path(folder)
    check_formats(formats)
    # Without a nodule there is nothing to outline, and the SR says so.
    wanted = [one for one in FORMATS if one in formats and (one != "seg" or content.kept)]
    dicom = _dicom_writers() if {"seg", "sr"} & set(wanted) else None
    check_writable(folder)
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    if source is None and {"seg", "sr"} & set(wanted):
        source = _free_folder(folder / CT_FOLDER)
        progress(0.0, "Writing the CT as DICOM")
        made = write_ct_series(content.volume, source)
        content = replace(content, volume=replace(content.volume, source=made))
        written.append(source)
    seg = None
    for n, name in enumerate(wanted):
        progress(n / len(wanted), f"Writing {FILES[name]}")
        path = folder / FILES[name]
        if name == "seg":
            seg = dicom.write_seg(content, source, path)
        elif name == "sr":
            dicom.write_sr(content, source, path, seg=seg)
        else:
            _OWN[name](content, path)
        written.append(path)
    progress(1.0, "Report written")
    return written


def _dicom_writers() -> SimpleNamespace:
    """``write_seg`` and ``write_sr``; the other forms need no highdicom.

    Raises:
        InputError: highdicom is not installed.
    """
    try:
        from LungNoduleAILib.report.dicom_seg import write_seg  # noqa: PLC0415
        from LungNoduleAILib.report.dicom_sr import write_sr  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise InputError(
            f"DICOM SEG and SR need the package '{error.name}'; install it ('pip install highdicom'), or export the "
            "other forms."
        ) from error
    return SimpleNamespace(write_seg=write_seg, write_sr=write_sr)


def _free_folder(folder: Path) -> Path:
    """A folder of that name that holds nothing yet, so that no two series lie in one."""
    number = 1
    free = folder
    while free.exists() and any(free.iterdir()):
        number += 1
        free = folder.with_name(f"{folder.name}-{number}")
    return free
