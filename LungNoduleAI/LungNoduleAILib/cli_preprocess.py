"""``thoraxai preprocess``: a volume with less noise, more contrast, or other voxels."""

from __future__ import annotations

from pathlib import Path

import click

from LungNoduleAILib.cli_output import one_line, progress_bar
from SegmentationAILib.enhancement.operations import OPERATIONS, Parameter
from SegmentationAILib.errors import InputError


def _described(parameter: Parameter) -> str:
    unit = f" {parameter.unit}" if parameter.unit else ""
    return f"{parameter.name}={parameter.default}{unit}"


_LISTED = "\n\n".join(
    f"{one.name}: {one.hint} {one.values} {', '.join(map(_described, one.parameters))}" for one in OPERATIONS.values()
)


@click.command(help=f"Do an OPERATION to INPUT and write the volume OUTPUT, which is NRRD, NIfTI or MHA.\n\n{_LISTED}")
@click.argument("operation", type=click.Choice(list(OPERATIONS)))
@click.argument("source", metavar="INPUT", type=click.Path(path_type=Path))
@click.argument("output", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--set", "values", metavar="NAME=VALUE", multiple=True, help="A parameter; may be given several times.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda:0, mps; for what can use one.")
def preprocess(operation: str, source: Path, output: Path, values: tuple[str, ...], device: str) -> None:
    """The help is made of the operations."""
    with one_line(), progress_bar() as progress:
        from SegmentationAILib.enhancement.enhance import enhance
        from SegmentationAILib.enhancement.operations import checked
        from SegmentationAILib.files import load, save
        from SegmentationAILib.writing import check_writable

        parameters = dict(map(_value, values))
        checked(operation, parameters)
        check_writable(output.parent)
        volume = load(source, progress=progress.part(0.0, 0.1))
        made = enhance(volume, operation, parameters, progress.part(0.1, 0.95), device=device)
        save(made, output)
        progress(1.0, "Done")
    click.echo(f"the volume is {output}")


def _value(text: str) -> tuple[str, float | str]:
    name, separator, value = text.partition("=")
    if not separator:
        raise InputError(f"'{text}' is no parameter; write it as name=value, for example radius_mm=1.5.")
    try:
        return name, float(value)
    except ValueError:
        return name, value
