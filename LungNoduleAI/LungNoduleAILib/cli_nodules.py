"""``thoraxai detect``, ``compare`` and ``report``: nodules of a CT, what became of them, what is told of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from LungNoduleAILib.cli_output import one_line, progress_bar, say_notes
from LungNoduleAILib.cli_patient import patient_from, patient_options
from SegmentationAILib.engine.task import Task

if TYPE_CHECKING:
    from LungNoduleAILib.study import PriorScan, Scan

_FILE = click.Path(path_type=Path)
_FOLDER = click.Path(path_type=Path, file_okay=False)
# Those of analysis_result, which takes a while to import.
_NODULES = "nodules"
_BUILT_IN = (_NODULES, "nodules-baseline")
_READ, _FOUND = 0.05, 0.8
_device = click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda:0, mps")
_threshold = click.option(
    "--threshold", type=click.FloatRange(0, 1), help="Lowest score of a nodule  [default: the detector's]"
)
_model = click.option(
    "--model",
    "model_id",
    default=_NODULES,
    show_default=True,
    help="What detects: one of 'thoraxai models list' that detects, or a bundle by its name in MONAI's model zoo.",
)
_lobes = click.option(
    "--lobes",
    "lobes_by",
    default="",
    help="Id of an installed model that outlines the lungs' lobes.",
)
_days = click.option(
    "--days", type=click.FloatRange(0, min_open=True), help="Between the CTs  [default: by their dates]"
)
_prior_report = click.option(
    "--prior-report", type=_FILE, help="The prior CT's DICOM SR, or the folder of that and its SEG; saves detecting."
)


@click.command()
@click.argument("source", metavar="INPUT", type=_FILE)
@click.argument("output", type=_FOLDER)
@_model
@_lobes
@_device
@_threshold
@click.option("--report", "with_report", is_flag=True, help="Write report.html too.")
@patient_options
def detect(
    source: Path,
    output: Path,
    model_id: str,
    lobes_by: str,
    device: str,
    threshold: float | None,
    with_report: bool,
    **patient: Any,
) -> None:
    """Find the nodules of INPUT and write nodules.csv and labels.nrrd to the folder OUTPUT.

    INPUT is a DICOM folder or a NRRD, NIfTI or MHA file. In labels.nrrd, 1 is the right lung, 2 the
    left lung, 3 the airway and 100 + id a nodule. What is known of the patient goes into --report.
    """
    with one_line(), progress_bar() as progress:
        from LungNoduleAILib.layers import merged
        from LungNoduleAILib.report.export import write_report
        from LungNoduleAILib.study import open_scan, study_of, told_of
        from SegmentationAILib.files import save
        from SegmentationAILib.writing import check_writable

        check_writable(output)
        known = patient_from(patient)
        progress(0.0, "Reading")
        scan = open_scan(source)
        task = _task(model_id, device, threshold, lobes_by)
        notes = _notes(task, scan)
        study = study_of(scan, task, progress=progress.part(_READ, 0.9))
        progress(0.9, "Writing")
        content = told_of(study, known)
        output.mkdir(parents=True, exist_ok=True)
        save(merged(study.lungs, study.reading.nodules), output / "labels.nrrd")
        write_report(content, output, ("csv", "html") if with_report else ("csv",))
        progress(1.0, "Done")
    say_notes((*notes, *content.warnings))
    count = len(study.reading.entries)
    also = ", report.html" if with_report else ""
    click.echo(f"{_counted(count)}; nodules.csv{also} and labels.nrrd are in {output}")


@click.command()
@click.argument("current", type=_FILE)
@click.argument("prior", type=_FILE)
@click.argument("output", metavar="OUT", type=_FOLDER)
@_days
@_prior_report
@_model
@_lobes
@_device
@_threshold
def compare(
    current: Path,
    prior: Path,
    output: Path,
    days: float | None,
    prior_report: Path | None,
    model_id: str,
    lobes_by: str,
    device: str,
    threshold: float | None,
) -> None:
    """Say what became of the nodules since PRIOR, and write nodules.csv and follow-up.csv to the folder OUT.

    CURRENT and PRIOR are DICOM folders or NRRD, NIfTI or MHA files. A prior CT of another patient is
    refused by the patients' identifiers, which are never shown.
    """
    with one_line(), progress_bar() as progress:
        from LungNoduleAILib.followup.table import write_csv
        from LungNoduleAILib.guidelines.patient import Patient
        from LungNoduleAILib.report.export import write_report
        from LungNoduleAILib.study import open_scan, study_of, told_of
        from SegmentationAILib.writing import check_writable

        check_writable(output)
        progress(0.0, "Reading")
        scan = open_scan(current)
        earlier = _prior(scan, prior, prior_report, days)
        task = _task(model_id, device, threshold, lobes_by)
        notes = _notes(task, scan)
        study = study_of(scan, task, earlier, progress.part(_READ, 1.0))
        output.mkdir(parents=True, exist_ok=True)
        content = told_of(study, Patient())
        write_report(content, output, ("csv",))
        write_csv(study.follow_up, output / "follow-up.csv")
    say_notes((*notes, *content.warnings, *study.follow_up.warnings))
    for sentence in study.follow_up.sentences:
        click.echo(sentence)
    click.echo(f"{_counted(len(study.reading.entries))} now; nodules.csv and follow-up.csv are in {output}")


@click.command()
@click.argument("source", metavar="INPUT", type=_FILE)
@click.argument("output", metavar="OUT", type=_FOLDER)
@click.option("--prior", type=_FILE, help="An earlier CT of the same patient.")
@_days
@_prior_report
@_model
@_lobes
@_device
@_threshold
@click.option("--reject", "rejected", type=int, multiple=True, help="Number of a nodule to leave out.")
@click.option("--explain", is_flag=True, help="Show what speaks for each nodule, which takes a while.")
@click.option("--html", is_flag=True, help="report.html, the default.")
@click.option("--pdf", is_flag=True, help="report.pdf.")
@click.option("--json", is_flag=True, help="nodules.json.")
@click.option("--csv", is_flag=True, help="nodules.csv.")
@click.option("--seg", is_flag=True, help="nodules-seg.dcm, a DICOM segmentation.")
@click.option("--sr", is_flag=True, help="nodules-sr.dcm, a DICOM structured report by TID 1500.")
@patient_options
def report(
    source: Path,
    output: Path,
    prior: Path | None,
    days: float | None,
    prior_report: Path | None,
    model_id: str,
    lobes_by: str,
    device: str,
    threshold: float | None,
    rejected: tuple[int, ...],
    explain: bool,
    **options: Any,
) -> None:
    """Find the nodules of INPUT, compare them with those of a prior CT, and write reports to the folder OUT.

    INPUT is a DICOM folder or a NRRD, NIfTI or MHA file. SEG and SR refer to its DICOM images; for a
    file, the CT is written as DICOM too, in OUT/ct. What is known of the patient narrows what
    guidelines and risk models say; what is not is asked for in the report.
    """
    with one_line(), progress_bar() as progress:
        from LungNoduleAILib.report.export import FORMATS, write_report
        from LungNoduleAILib.study import open_scan, study_of, told_of
        from SegmentationAILib.errors import InputError
        from SegmentationAILib.writing import check_writable

        check_writable(output)
        if prior is None and (days is not None or prior_report is not None):
            raise InputError("--days and --prior-report are of a prior CT; give it by --prior.")
        known = patient_from(options)
        formats = [one for one in FORMATS if options[one]] or ["html"]
        progress(0.0, "Reading")
        scan = open_scan(source)
        earlier = None if prior is None else _prior(scan, prior, prior_report, days)
        task = _task(model_id, device, threshold, lobes_by)
        notes = _notes(task, scan)
        study = study_of(scan, task, earlier, progress.part(_READ, _FOUND))
        content = told_of(study, known, rejected, device if explain else None, progress.part(_FOUND, 0.95))
        written = write_report(content, output, formats, source=scan.folder, progress=progress.part(0.95, 1.0))
    say_notes((*notes, *content.warnings))
    names = ", ".join(path.name for path in written)
    click.echo(f"{_counted(len(content.kept))}; {names} {'is' if len(written) == 1 else 'are'} in {output}")


def _prior(scan: Scan, path: Path, report_path: Path | None, days: float | None) -> PriorScan:
    from LungNoduleAILib.study import open_prior

    earlier = open_prior(scan, path, report_path, days)
    if earlier.report is not None:
        say_notes(earlier.report.notes)
    return earlier


def _task(model_id: str, device: str, threshold: float | None, lobes_by: str) -> Task:
    from LungNoduleAILib.analysis_result import LOBES_OPTION
    from LungNoduleAILib.bundle_detection import bundle_called

    chosen = model_id if model_id in _BUILT_IN else bundle_called(model_id).id
    options = ({} if threshold is None else {"threshold": threshold}) | ({LOBES_OPTION: lobes_by} if lobes_by else {})
    return Task(chosen, options, device)


def _notes(task: Task, scan: Scan) -> tuple[str, ...]:
    """What there is to say of a bundle on this CT; of the built-in detector the report tells."""
    from SegmentationAILib import catalog

    if task.model in _BUILT_IN:
        return ()
    return tuple(catalog.warnings_for(catalog.entry(task.model), scan.volume))


def _counted(count: int) -> str:
    return f"{count} {'nodule' if count == 1 else 'nodules'}"
