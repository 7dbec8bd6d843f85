"""Boxes of lidc-vois as both networks' recipes read them."""

from __future__ import annotations

import csv
from dataclasses import replace

import numpy as np
import pytest
from test_ratings import drawn

from LungNoduleAILib.rating import RATINGS
from LungNoduleAILib.training import lidc, lidc_nodules
from LungNoduleAILib.training.lidc_vois import read_boxes
from SegmentationAILib.errors import InputError
from SegmentationAILib.files import save

# Patient, nodule, grades in the order of RATINGS, calcification as LIDC counts it.
ROWS = (("P2", 1, (5, 5, 1, 2, 4, 3), 6), ("P1", 7, (1, 3, 1, 1, 5, 4), 3), ("P3", 2, (2, 1, 1, 1, 1, 1), 6))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three nodules, the last without files."""
    folder = tmp_path_factory.mktemp("lidc-vois")
    for part in ("image", "mask"):
        (folder / part).mkdir()
    for n, (patient, nodule, _, _) in enumerate(ROWS[:2]):
        volume, mask = drawn(8.0 + 4 * n, slice_mm=2.0)
        outline = volume.with_array((mask.occupancy >= 0.5).astype(np.uint8))
        save(volume, folder / "image" / f"{patient}_R_{nodule}.nii.gz")
        save(outline, folder / "mask" / f"{patient}_R_{nodule}.nii.gz")
    write_table(folder)
    return folder


def write_table(folder):
    with (folder / "nodules.csv").open("w", newline="") as file:
        table = csv.writer(file)
        names = [f"{rating.capitalize()}_value" for rating in RATINGS]
        table.writerow(["patient_id", "nodule_id", *names, "Calcification_value"])
        table.writerows([patient, nodule, *grades, calcium] for patient, nodule, grades, calcium in ROWS)


def test_boxes_come_in_the_order_of_the_table_with_their_ratings(folder):
    boxes = list(read_boxes(folder))
    assert [(box.name, box.patient, box.calcified) for box in boxes] == [
        ("P2_R_1", "P2", False),
        ("P1_R_7", "P1", True),
    ]
    assert [tuple(box.ratings[rating] for rating in RATINGS) for box in boxes] == [row[2] for row in ROWS[:2]]
    volume, mask = drawn(8.0, slice_mm=2.0)
    np.testing.assert_array_equal(boxes[0].image.array, volume.array)
    np.testing.assert_array_equal(boxes[0].mask.array, mask.occupancy >= 0.5)


def test_both_recipes_read_the_same_nodules(folder):
    crops, rated = lidc.read_crops(folder), lidc_nodules.read_nodules(folder)
    assert [crop.name for crop in crops] == [nodule.name for nodule in rated]
    assert [crop.kind for crop in crops] == ["solid", "part-solid"]
    for crop, nodule in zip(crops, rated, strict=True):
        voxels = np.count_nonzero(nodule.mask.occupancy)
        assert crop.diameter_mm == pytest.approx(np.cbrt(6 / np.pi * voxels * nodule.mask.grid.voxel_volume))
        assert crop.texture == nodule.ratings[RATINGS.index("texture")]


@pytest.mark.parametrize("texture", range(1, 6))
def test_every_texture_is_of_a_kind(folder, texture):
    crop = replace(lidc.read_crops(folder)[0], texture=texture)
    assert crop.kind == {1: "ground glass", 5: "solid"}.get(texture, "part-solid")


def test_folder_without_a_table_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"holds no nodules\.csv; choose the folder lidc-vois"):
        list(read_boxes(tmp_path))


def test_table_without_any_files_is_refused(tmp_path):
    write_table(tmp_path)
    with pytest.raises(InputError, match="has its files in"):
        list(read_boxes(tmp_path))
