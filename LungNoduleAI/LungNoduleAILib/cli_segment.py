"""``thoraxai segment``: the structures of a model in a volume, as labels and a table of volumes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from LungNoduleAILib.cli_output import one_line, progress_bar, say_notes

if TYPE_CHECKING:
    from SegmentationAILib.engine.progress import Progress


@click.command()
@click.argument("source", metavar="INPUT", type=click.Path(path_type=Path))
@click.argument("output", type=click.Path(path_type=Path, file_okay=False))
@click.option("--model", "model_id", default="organs", show_default=True, help="One of 'thoraxai models list'.")
@click.option("--structure", "structures", multiple=True, help="Only this one; may be given several times.")
@click.option("--mirror", is_flag=True, help="Average over the flips that an nnU-Net model allows; much slower.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda:0, mps")
def segment(source: Path, output: Path, model_id: str, structures: tuple[str, ...], mirror: bool, device: str) -> None:
    """Find the structures of a model in INPUT and write labels.nrrd, structures.csv and model.json to OUTPUT.

    INPUT is a DICOM folder or a NRRD, NIfTI or MHA file. The model is built in or was fetched before.
    """
    with one_line(), progress_bar() as progress:
        count, notes = _segment(source, output, model_id, structures, mirror, device, progress)
    say_notes(notes)
    click.echo(f"{count} {'structure' if count == 1 else 'structures'}; labels.nrrd and structures.csv are in {output}")


def _segment(
    source: Path,
    output: Path,
    model_id: str,
    structures: tuple[str, ...],
    mirror: bool,
    device: str,
    progress: Progress,
) -> tuple[int, list[str]]:
    """The number of structures, and what there is to know of the model on this volume and of its run; all is made
    before anything is written.
    """
    import csv
    import json
    import time
    from dataclasses import replace

    from SegmentationAILib import catalog
    from SegmentationAILib.catalog.nnunet_runner import Options  # imports torch, which takes seconds
    from SegmentationAILib.catalog.running import run
    from SegmentationAILib.catalog.tasks import task_for
    from SegmentationAILib.files import load, save
    from SegmentationAILib.provenance import provenance_of
    from SegmentationAILib.writing import check_writable, written_together

    check_writable(output)
    entry = catalog.entry(model_id)
    progress(0.0, "Reading")
    volume = load(source)
    warnings = catalog.warnings_for(entry, volume)
    task = task_for(model_id, structures or None, device)
    task = replace(task, options={**task.options, "mirror": mirror})
    started = time.monotonic()
    found = run(
        entry,
        volume,
        structures=structures or None,
        options=Options(mirror=mirror),
        device=device,
        progress=progress.part(0.05, 0.95),
    )
    made = provenance_of(task, time.monotonic() - started, [*warnings, *progress.notes])
    progress(0.95, "Writing")
    with written_together(output) as folder:
        save(found, folder / "labels.nrrd")
        with (folder / "structures.csv").open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(["label", "id", "name", "volume_ml"])
            for value, structure in found.structures.items():
                volume_ml = round(found.volume_ml(structure), 2)
                writer.writerow([value, entry.label_ids[value], structure.name, volume_ml])
        (folder / "model.json").write_text(json.dumps(made.record, indent=2) + "\n", encoding="utf-8")
    progress(1.0, "Done")
    return len(found.structures), list(made.notes)
