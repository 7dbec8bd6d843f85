"""The main job from end to end on a real CT, in a real MRML scene, without the Slicer application."""

from __future__ import annotations

import csv
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import numpy as np

from host.picture import LEVEL_HU, WINDOW_HU, draw
from LungNoduleAILib.analysis import NODULES, Findings, analyze
from LungNoduleAILib.layers import nodule_layers
from LungNoduleAILib.report.table import write_csv
from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.engine.task import Task
from SegmentationAILib.errors import InputError
from SegmentationAILib.files import load
from SegmentationAILib.volume import Volume
from SegmentationAILib.writing import check_writable

DEMO = Path(__file__).resolve().parents[2] / "Resources" / "Demo"
DEMO_CT = DEMO / "LIDC-IDRI-0003.nrrd"
REFERENCE = DEMO / "reference_nodules.csv"


class Stopwatch:
    """Seconds per stage, in order."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - start

    def __str__(self) -> str:
        stages = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in self.seconds.items())
        return f"{sum(self.seconds.values()):.1f} s: {stages}"


@click.command()
@click.option("--input", "source", type=click.Path(path_type=Path), default=DEMO_CT)
@click.option("--output", type=click.Path(path_type=Path), required=True)
@click.option("--device", default="auto")
@click.option("--no-opengl", is_flag=True, help="Draw the picture without OpenGL.")
def main(source: Path, output: Path, device: str, no_opengl: bool) -> None:
    """Find the nodules of a chest CT; write scene, segmentation, table and picture."""
    try:
        run(source, output, device, opengl=not no_opengl)
    except InputError as error:
        click.echo(f"run.py demo: {error}", err=True)
        sys.exit(2)


def run(source: Path, output: Path, device: str, *, opengl: bool) -> None:
    """Load, analyse, write; raises InputError before anything is written."""
    watch = Stopwatch()
    check_writable(output)
    with watch.stage("load"):
        volume = load(source)
    for note in volume.notes:
        click.echo(f"Note: {note}")
    with watch.stage("analyse"):
        findings = analyse_with_bar(volume, Task(NODULES, device=device))
    output.mkdir(parents=True, exist_ok=True)
    with watch.stage("scene"):
        files = write_scene(volume, findings, output, watch, opengl=opengl)
    print_table(findings)
    if source == DEMO_CT:
        print_reference(findings)
    click.echo(f"\nTook {watch}")
    for path in files:
        click.echo(f"  {path}")
    click.echo("For research use; not a medical device. The clinician decides.")


def analyse_with_bar(volume: Volume, task: Task) -> Findings:
    with click.progressbar(length=1000, label="Analysing", item_show_func=lambda text: text) as bar:

        def report(fraction: float, text: str) -> None:
            bar.update(round(fraction * 1000) - bar.pos, text)

        return analyze(volume, task, Progress(report))


def write_scene(volume: Volume, findings: Findings, output: Path, watch: Stopwatch, *, opengl: bool) -> list[Path]:
    """Show the findings in a scene and save scene, segmentation, CSV and picture; returns the paths."""
    from host.mrml import start_mrml  # noqa: PLC0415 - makes the scene that the next imports look for

    session = start_mrml()
    from LungNoduleAILib.scene_findings import show_findings  # noqa: PLC0415
    from SegmentationAILib.scene import add_volume  # noqa: PLC0415

    scene, segmentation, table, picture = (
        output / name for name in ("thoraxai.mrb", "thoraxai.seg.nrrd", "nodules.csv", "thoraxai.png")
    )
    node = add_volume(volume)
    nodes = show_findings(node, findings)
    write_csv(findings.nodules, table)
    session.save_node(nodes.segmentation, segmentation)
    session.save_mrb(scene)
    centre = findings.nodules[0].centre_ras if findings.nodules else lungs_centre(findings)
    if opengl:
        from host.views import FourUp  # noqa: PLC0415 - needs OpenGL

        nodes.segmentation.CreateClosedSurfaceRepresentation()
        views = FourUp(session.app)
        views.show(node, WINDOW_HU, LEVEL_HU)
        views.frame(lungs_centre(findings), lungs_width(findings) * 1.1)
        views.jump(centre)
        views.save(picture)
    else:
        layers = [findings.lungs, *nodule_layers(findings.nodules, findings.lungs.grid)]
        draw(volume, layers, centre, picture)
    return [scene, segmentation, table, picture]


def lungs_box(findings: Findings) -> np.ndarray:
    """[2, 3] lowest and highest RAS of the label map's content, mm."""
    occupied = [np.flatnonzero(findings.lungs.array.any(axis=axes))[[0, -1]] for axes in ((0, 1), (0, 2), (1, 2))]
    corners = np.array(np.meshgrid(*occupied)).reshape(3, -1).T
    ras = findings.lungs.grid.ras(corners)
    return np.stack([ras.min(axis=0), ras.max(axis=0)])


def lungs_centre(findings: Findings) -> tuple[float, float, float]:
    return tuple(lungs_box(findings).mean(axis=0))


def lungs_width(findings: Findings) -> float:
    """The larger of width, depth and height, mm."""
    low, high = lungs_box(findings)
    return float((high - low).max())


def print_table(findings: Findings) -> None:
    for value, structure in findings.lungs.structures.items():
        voxels = np.count_nonzero(findings.lungs.array == value)
        click.echo(f"{structure.name}: {voxels * findings.lungs.grid.voxel_volume / 1000:.0f} ml")
    click.echo(f"\n{len(findings.nodules)} nodule candidates")
    click.echo("  id  lung      R        A        S   mean diameter   volume   mean HU  score")
    for nodule in findings.nodules:
        measured = nodule.measurements
        r, a, s = nodule.centre_ras
        click.echo(
            f"{nodule.id:4d}  {nodule.lung:5s} {r:8.1f} {a:8.1f} {s:8.1f} {measured.mean_diameter_mm:9.1f} mm "
            f"{measured.volume_mm3:9.0f} mm³ {measured.mean_hu:7.0f}  {nodule.score:.2f}"
        )


def print_reference(findings: Findings) -> None:
    """Which of the radiologists' nodules of the demo CT are among the findings."""
    with REFERENCE.open(newline="", encoding="utf-8") as stream:
        marked = list(csv.DictReader(stream))
    click.echo("\nRadiologists' marks in this CT (LIDC-IDRI-0003)")
    for mark in marked:
        centre = np.array([float(mark[axis]) for axis in ("r", "a", "s")])
        radius = float(mark["diameter_mm"]) / 2
        hits = [n.id for n in findings.nodules if np.linalg.norm(np.array(n.centre_ras) - centre) <= radius]
        verdict = f"found as nodule {hits[0]}" if hits else "not found"
        click.echo(f"  {mark['diameter_mm']} mm by {mark['readers']} readers: {verdict}")


if __name__ == "__main__":
    main()
