"""``thoraxai rt``: targets and organs at risk as RTSTRUCT, DVHs and goals, comparison, names."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from LungNoduleAILib.cli_output import one_line, progress_bar
from LungNoduleAILib.exit_codes import EXIT_BAD_INPUT
from SegmentationAILib.errors import InputError

if TYPE_CHECKING:
    from SegmentationAILib.engine.progress import Progress
    from SegmentationAILib.radiotherapy.structure_set import StructureSet
    from SegmentationAILib.radiotherapy.template import Template
    from SegmentationAILib.volume import Volume

_FILE = click.Path(path_type=Path)


@click.group()
def rt() -> None:
    """Contour for radiotherapy. For research, not for treatment."""


@rt.command()
@click.option("--folder", "folders", type=_FILE, multiple=True, help="Of your own protocols.")
def protocols(folders: tuple[Path, ...]) -> None:
    """List the protocols that 'contour' and 'dvh' take, and what is wrong with those that cannot be used."""
    from SegmentationAILib.radiotherapy.template import list_templates

    with one_line():
        held = list_templates(folders)
        for one in held.templates:
            dose = one.prescription
            click.echo(f"{one.path.stem:24} {one.name}: {dose.dose_gy:g} Gy in {dose.fractions}; {one.source}")
        for problem in held.problems:
            click.echo(f"thoraxai: {problem}", err=True)
        if held.problems:
            sys.exit(EXIT_BAD_INPUT)


@rt.command()
@click.argument("ct", metavar="CT", type=_FILE)
@click.argument("output", metavar="OUT", type=click.Path(path_type=Path, file_okay=False))
@click.option("--protocol", required=True, help="A name of 'thoraxai rt protocols', or your YAML file.")
@click.option("--mask", "masks", type=(str, _FILE), multiple=True, metavar="NAME FILE", help="A structure's mask.")
@click.option("--structures", type=_FILE, help="RTSTRUCT with structures that are there already.")
@click.option("--name", "names", type=(str, str), multiple=True, metavar="OLD NEW", help="Rename a structure.")
@click.option("--rename", is_flag=True, help="Structures that are there get TG-263 names where it is clear which.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda:0, mps")
def contour(
    ct: Path,
    output: Path,
    protocol: str,
    masks: tuple[tuple[str, Path], ...],
    structures: Path | None,
    names: tuple[tuple[str, str], ...],
    rename: bool,
    device: str,
) -> None:
    """Draw what PROTOCOL asks for on CT and write OUT/structures.dcm, an RTSTRUCT.

    CT is a DICOM folder or a NRRD, NIfTI or MHA file; for a file the CT is written as DICOM too, in
    OUT/ct. Give the tumour by --mask GTVp FILE (any image on the CT's grid; not 0 is the structure) or by
    --structures. Organs that a built-in method draws are drawn where they are not given.
    """
    with one_line(), progress_bar() as progress:
        told = _contour(ct, output, _template(protocol), masks, structures, names, rename, device, progress)
    for line in told:
        click.echo(line)


@rt.command()
@click.argument("ct", metavar="CT", type=_FILE)
@click.argument("structures", metavar="RTSTRUCT", type=_FILE)
@click.argument("dose", metavar="RTDOSE", type=_FILE)
@click.argument("output", metavar="OUT", type=click.Path(path_type=Path, file_okay=False))
@click.option("--protocol", help="Whose goals are evaluated.")
@click.option("--prescription", type=click.FloatRange(0, min_open=True), help="Gy  [default: the protocol's]")
def dvh(ct: Path, structures: Path, dose: Path, output: Path, protocol: str | None, prescription: float | None) -> None:
    """Write the DVHs of RTSTRUCT in RTDOSE, and a protocol's goals, to the folder OUT.

    CT is the series that the structures were drawn on.
    """
    with one_line(), progress_bar() as progress:
        from SegmentationAILib.files import load
        from SegmentationAILib.radiotherapy.dose import read_dose
        from SegmentationAILib.radiotherapy.evaluation import evaluate_dose, write_evaluation
        from SegmentationAILib.radiotherapy.rtstruct_reader import read_rtstruct
        from SegmentationAILib.writing import check_writable

        check_writable(output)
        template = _template(protocol) if protocol else None
        held = read_dose(dose, prescription_gy=prescription)
        held_set, notes = read_rtstruct(
            structures, load(ct, progress=progress.part(0.0, 0.2)), progress=progress.part(0.2, 0.5)
        )
        evaluation = evaluate_dose(
            held.volume, held_set, template, prescription_gy=prescription, progress=progress.part(0.5, 1.0)
        )
        written = write_evaluation(output, evaluation, held_set)
    for note in (*held.volume.notes, *notes, *evaluation.warnings):
        click.echo(note, err=True)
    for result in evaluation.results:
        value = "" if math.isnan(result.value) else f"  ({result.value:.4g})"
        click.echo(f"{result.verdict.value:20}{result.goal}{value}")
    click.echo(f"{', '.join(path.name for path in written)} are in {output}")


@rt.command()
@click.argument("ct", metavar="CT", type=_FILE)
@click.argument("reference", metavar="RTSTRUCT", type=_FILE)
@click.argument("test", metavar="OTHER", type=_FILE)
@click.argument("output", metavar="OUT", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--tolerance", type=click.FloatRange(0), default=2.0, show_default=True, help="Of the surface Dice, mm.")
def compare(ct: Path, reference: Path, test: Path, output: Path, tolerance: float) -> None:
    """Compare the structure set OTHER with RTSTRUCT, by name, and write the table OUT, a CSV file."""
    with one_line(), progress_bar() as progress:
        from SegmentationAILib.files import load
        from SegmentationAILib.radiotherapy.comparison_report import compare_structure_sets, write_comparison
        from SegmentationAILib.radiotherapy.rtstruct_reader import read_rtstruct

        volume = load(ct, progress=progress.part(0.0, 0.3))
        sets = [read_rtstruct(one, volume)[0] for one in (reference, test)]
        progress(0.6, "Comparing")
        comparison = compare_structure_sets(*sets, tolerance)
        write_comparison(output, comparison)
    click.echo(f"the table is {output}")


@rt.command()
@click.argument("structures", metavar="RTSTRUCT", type=_FILE)
def names(structures: Path) -> None:
    """Check the names in RTSTRUCT against AAPM TG-263 and propose right ones."""
    with one_line():
        from SegmentationAILib.radiotherapy.nomenclature import check_set
        from SegmentationAILib.radiotherapy.rtstruct_reader import structure_names

        findings = check_set(structure_names(structures))
        for finding in findings:
            click.echo(finding)
        if not findings:
            click.echo("All names follow AAPM TG-263.")


def _template(protocol: str) -> Template:
    """The protocol of that name, or in that file."""
    from SegmentationAILib.radiotherapy.template import list_templates, read_template

    if protocol.endswith((".yaml", ".yml")):
        return read_template(Path(protocol))
    held = list_templates().templates
    for one in held:
        if protocol.lower() in (one.path.stem.lower(), one.name.lower()):
            return one
    raise InputError(f"There is no protocol '{protocol}'; choose one of: {', '.join(one.path.stem for one in held)}.")


def _contour(
    ct: Path,
    output: Path,
    template: Template,
    masks: Sequence[tuple[str, Path]],
    structures: Path | None,
    names: Sequence[tuple[str, str]],
    rename: bool,
    device: str,
    progress: Progress,
) -> list[str]:
    """Sentences on what was written and what could not be."""
    from SegmentationAILib.checks import check_ct
    from SegmentationAILib.files import load
    from SegmentationAILib.radiotherapy import graph
    from SegmentationAILib.radiotherapy.ct_export import write_ct_series
    from SegmentationAILib.radiotherapy.drawing import draw_missing
    from SegmentationAILib.radiotherapy.naming import standardised
    from SegmentationAILib.radiotherapy.rtstruct_reader import read_rtstruct
    from SegmentationAILib.radiotherapy.rtstruct_writer import write_rtstruct
    from SegmentationAILib.radiotherapy.structure_set import StructureSet
    from SegmentationAILib.radiotherapy.template import apply
    from SegmentationAILib.writing import check_writable

    check_writable(output)
    volume = load(ct, progress=progress.part(0.0, 0.1))
    check_ct(volume)
    told: list[str] = []
    held = StructureSet(volume.grid, (), template.name, volume.source)
    if structures is not None:
        held, told = read_rtstruct(structures, volume)
    for old, new in names:
        held = graph.rename(held, old, new)
    if rename:
        renaming = standardised(held)
        held = renaming.structure_set
        told += [f"{old} is now {new}" for old, new in renaming.names.items()]
    held = _with_masks(held, template, volume, masks, load)
    drawn = draw_missing(template, held, volume, device=device, progress=progress.part(0.15, 0.7))
    progress(0.7, "Building what is derived")
    applied = apply(template, drawn)
    told += [f"not made: {one}" for one in applied.unbuilt] + [str(one) for one in applied.incomplete]
    result = applied.structure_set
    output.mkdir(parents=True, exist_ok=True)
    reference = ct
    if volume.source is None:
        reference = output / "ct"
        result = StructureSet(result.grid, result.structures, result.name, write_ct_series(volume, reference))
        told.append(f"the CT is in {reference}")
    path = write_rtstruct(result, reference, output / "structures.dcm", progress=progress.part(0.8, 1.0))
    told.append(f"{len(result.structures)} structures are in {path}")
    return told


def _with_masks(
    held: StructureSet,
    template: Template,
    volume: Volume,
    masks: Sequence[tuple[str, Path]],
    load: Callable[[Path], Volume],
) -> StructureSet:
    """The set with the user's masks, in the template's roles and colours where it has them.

    Raises:
        InputError: a mask cannot be read, is empty or is not on the CT's grid.
    """
    from SegmentationAILib.radiotherapy.structure_set import Origin, RTStructure, role_of_name

    known = {one.name.lower(): one for one in template.structures}
    for name, path in masks:
        mask = load(path)
        if not mask.grid.same_as(volume.grid, tolerance_mm=0.01):
            raise InputError(f"'{path.name}' is not on the CT's grid; resample it to the CT with nearest neighbours.")
        if not mask.array.any():
            raise InputError(f"'{path.name}' is empty; give the mask of {name}.")
        like = known.get(name.lower())
        role, colour = (like.role, like.colour) if like else (role_of_name(name), (1.0, 1.0, 0.0))
        held = held.with_structure(RTStructure(name, role, mask.array != 0, colour, Origin.MANUAL))
    return held
