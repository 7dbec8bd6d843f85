"""The main job from end to end: a CT file in; scene, segmentation, table and picture out."""

from __future__ import annotations

import csv
import os

import numpy as np
import pytest
import slicer
from click.testing import CliRunner
from geometry import AXIS_ORDERS, oblique_box
from phantoms import PhantomNodule, chest
from PIL import Image

from host import demo
from SegmentationAILib.files import save
from SegmentationAILib.scene import mask_from_segment, volume_from_node

PLANTED = (
    PhantomNodule(centre_ras=(70.0, 20.0, 20.0), diameter_mm=14.0),
    PhantomNodule(centre_ras=(-75.0, -15.0, -10.0), diameter_mm=10.0),
)
FILES = ("thoraxai.mrb", "thoraxai.seg.nrrd", "nodules.csv", "thoraxai.png")


@pytest.fixture(scope="module")
def ct(tmp_path_factory):
    """A chest with two nodules, its axes turned away from RAS, as a file."""
    grid = oblique_box(
        AXIS_ORDERS[11], angles_deg=(5, -4, 8), spacing=(2.0, 2.0, 2.0), size_mm=(340, 240, 100), centre_ras=(0, 0, 5)
    )
    path = tmp_path_factory.mktemp("ct") / "chest with two nodules.nrrd"
    save(chest(grid, nodules=PLANTED, seed=3).volume, path)
    return path


def nodules(path):
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def opengl_missing():
    return any(name in os.environ.get("THORAXAI_MISSING_LIBRARIES", "") for name in ("libEGL", "libGL"))


def run(ct, folder, mrml_session, *options):
    mrml_session.clear()
    return CliRunner().invoke(demo.main, ["--input", str(ct), "--output", str(folder), "--device", "cpu", *options])


@pytest.fixture(scope="module")
def made(ct, tmp_path_factory, mrml_session):
    """The folder of a run without OpenGL, and what it printed."""
    folder = tmp_path_factory.mktemp("without OpenGL")
    return folder, run(ct, folder, mrml_session, "--no-opengl")


@pytest.mark.parametrize("opengl", [False, True])
def test_demo_finds_the_planted_nodules_and_writes_everything(request, ct, tmp_path, mrml_session, opengl):
    if opengl and opengl_missing():
        pytest.skip("no OpenGL library on this machine")
    folder, result = (tmp_path, run(ct, tmp_path, mrml_session)) if opengl else request.getfixturevalue("made")
    assert result.exit_code == 0, result.output
    assert all(str(folder / name) in result.output and (folder / name).stat().st_size > 0 for name in FILES)
    found = nodules(folder / "nodules.csv")
    assert list(found[0])[:8] == ["id", "r", "a", "s", "mean_diameter_mm", "volume_mm3", "mean_hu", "score"]
    for planted, side in zip(PLANTED, ("right", "left"), strict=True):
        hits = [row for row in found if distance(row, planted.centre_ras) < 3.0]
        assert len(hits) == 1, result.output
        assert hits[0]["lung"] == side
        assert float(hits[0]["mean_diameter_mm"]) == pytest.approx(planted.diameter_mm, rel=0.2)
    picture = np.asarray(Image.open(folder / "thoraxai.png"))
    assert picture.shape[0] >= 900
    assert picture.shape[1] >= 900
    assert picture.std() > 20


def distance(row, ras):
    return float(np.linalg.norm([float(row[axis]) - value for axis, value in zip("ras", ras, strict=True)]))


def test_what_was_saved_loads_again_and_lies_on_the_ct(made, mrml_session):
    folder, _ = made
    first = nodules(folder / "nodules.csv")[0]
    mrml_session.clear()
    mrml_session.load_mrb(folder / "thoraxai.mrb")
    [volume_node] = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    [segmentation] = slicer.util.getNodesByClass("vtkMRMLSegmentationNode")
    [markups] = slicer.util.getNodesByClass("vtkMRMLMarkupsFiducialNode")
    [table] = [n for n in slicer.util.getNodesByClass("vtkMRMLTableNode") if n.GetAttribute("ThoraxAI.Task")]
    volume = volume_from_node(volume_node)
    centre = tuple(float(first[axis]) for axis in "ras")
    mask = mask_from_segment(segmentation, "nodule 1", volume.grid)
    centroid = volume.grid.ras(np.argwhere(mask)[:, ::-1].mean(axis=0))
    assert np.linalg.norm(centroid - centre) < 3.0
    assert volume.array[mask].mean() > -300
    assert np.allclose(markups.GetNthControlPointPositionWorld(0), centre, atol=0.02)
    assert markups.GetNthControlPointLabel(0) == "nodule 1"
    assert table.GetCellText(0, 0) == "1"
    for side in ("right lung", "left lung"):
        assert mask_from_segment(segmentation, side, volume.grid).sum() * volume.grid.voxel_volume > 300_000
    mrml_session.clear()
    loaded = mrml_session.load_segmentation(folder / "thoraxai.seg.nrrd")
    assert np.array_equal(mask_from_segment(loaded, segment_id(loaded, "nodule 1"), volume.grid), mask)


def segment_id(segmentation, name):
    return segmentation.GetSegmentation().GetSegmentIdBySegmentName(name)


def test_bad_input_is_one_sentence_and_writes_nothing(tmp_path):
    output = tmp_path / "results"
    (tmp_path / "empty").mkdir()
    result = CliRunner().invoke(demo.main, ["--input", str(tmp_path / "empty"), "--output", str(output)])
    assert result.exit_code == 2
    assert result.stderr.startswith("run.py demo: ")
    assert "Traceback" not in result.output
    assert len(result.stderr.strip().splitlines()) == 1
    assert not output.exists()
