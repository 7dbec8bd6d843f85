"""The command ``thoraxai``: nodules of a CT without Slicer, radiomics, evaluation, models, training, system check."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from LungNoduleAILib.cli_models import models
from LungNoduleAILib.cli_nodules import compare, detect, report
from LungNoduleAILib.cli_output import one_line
from LungNoduleAILib.cli_preprocess import preprocess
from LungNoduleAILib.cli_radiomics import radiomics
from LungNoduleAILib.cli_radiotherapy import rt
from LungNoduleAILib.cli_segment import segment
from LungNoduleAILib.cli_train import train
from LungNoduleAILib.exit_codes import EXIT_FAILED
from SegmentationAILib import __version__
from SegmentationAILib.engine.freed_memory import freed_memory_kept


@click.group()
@click.version_option(__version__, prog_name="thoraxai")
def main() -> None:
    """Find lung nodules in chest CT. For research, not for diagnosis or treatment."""
    click.get_current_context().with_resource(freed_memory_kept())


@main.command()
def doctor() -> None:
    """Print what works on this computer and what does not, ready to paste into a forum post."""
    from SegmentationAILib.system_check import report  # other commands do not need it

    page = report()
    click.echo(page.to_text(), nl=False)
    if page.failed:
        sys.exit(EXIT_FAILED)


@main.command()
@click.argument("candidates", type=click.Path(path_type=Path))
@click.argument("references", type=click.Path(path_type=Path))
@click.argument("output", metavar="OUT", type=click.Path(path_type=Path, file_okay=False))
@click.option("--excluded", type=click.Path(path_type=Path), help="CSV of findings neither right nor wrong")
@click.option("--series", type=click.Path(path_type=Path), help="The scans, one in a line  [default: those named]")
def evaluate(candidates: Path, references: Path, output: Path, excluded: Path | None, series: Path | None) -> None:
    """Count CANDIDATES against REFERENCES as LUNA16 does; write froc.json, froc.csv and froc.png to OUT.

    Both are CSV files with seriesuid, coordX, coordY and coordZ (mm); CANDIDATES with probability,
    REFERENCES with diameter_mm. A scan without marks or nodules counts only where --series lists it.
    """
    with one_line():
        click.echo(_evaluate(candidates, references, output, excluded, series))


main.add_command(detect)
main.add_command(compare)
main.add_command(report)
main.add_command(models)
main.add_command(preprocess)
main.add_command(radiomics)
main.add_command(rt)
main.add_command(segment)
main.add_command(train)


def _evaluate(candidates: Path, references: Path, output: Path, excluded: Path | None, series: Path | None) -> str:
    """The table as text; the files are written."""
    from LungNoduleAILib.evaluation import froc_report, luna16  # imports matplotlib
    from LungNoduleAILib.evaluation.froc import froc
    from SegmentationAILib.writing import check_writable

    check_writable(output)
    detections, counts = luna16.count(luna16.read(candidates, references, excluded, series))
    result = froc(detections)
    froc_report.write(result, counts, output)
    return froc_report.text(result, counts)
