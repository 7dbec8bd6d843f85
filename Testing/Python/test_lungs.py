"""Lungs and airway without a network, on phantoms of every orientation."""

from __future__ import annotations

import json

import numpy as np
import pytest
from geometry import AXIS_ORDERS, oblique_box
from phantoms import DOME_TOP, LUNG_CENTRES, PhantomNodule, chest, slab_grid
from scipy import ndimage

from SegmentationAILib.airway import segment_airway
from SegmentationAILib.body import segment_body
from SegmentationAILib.engine.progress import CancelToken, Progress
from SegmentationAILib.errors import Cancelled, InputError
from SegmentationAILib.files import load
from SegmentationAILib.metrics import dice
from SegmentationAILib.organs import segment_lungs
from SegmentationAILib.preprocess import resample
from SegmentationAILib.terminology import AIRWAY, LEFT_LUNG, RIGHT_LUNG
from SegmentationAILib.volume import Grid, Volume

COARSE = 3.0


@pytest.fixture(scope="module")
def phantom():
    return chest(spacing=COARSE)


@pytest.fixture(scope="module")
def labels(phantom):
    return segment_lungs(phantom.volume, device="cpu")


def test_lungs_and_airway_of_a_chest(phantom, labels):
    assert dice(labels.mask(RIGHT_LUNG), phantom.right_lung) > 0.985
    assert dice(labels.mask(LEFT_LUNG), phantom.left_lung) > 0.985
    assert dice(labels.mask(AIRWAY), phantom.airway) > 0.8


def test_the_same_input_gives_the_same_labels(phantom, labels):
    assert np.array_equal(segment_lungs(phantom.volume, device="cpu").array, labels.array)


@pytest.mark.parametrize("order", AXIS_ORDERS[::9])
def test_left_is_the_patients_left_in_any_orientation(order):
    """Flips, permutations, oblique and anisotropic grids give the same anatomy in RAS."""
    grid = oblique_box(
        order, angles_deg=(4, -6, 10), spacing=(2.5, 3.0, 3.5), size_mm=(344, 240, 170), centre_ras=(0, 0, 30)
    )
    turned = chest(grid)
    labels = segment_lungs(turned.volume, device="cpu")
    right = grid.ras(np.argwhere(labels.mask(RIGHT_LUNG))[:, ::-1].mean(axis=0))
    left = grid.ras(np.argwhere(labels.mask(LEFT_LUNG))[:, ::-1].mean(axis=0))
    # R grows towards the patient's right.
    assert right[0] > 40
    assert left[0] < -40
    assert dice(labels.mask(RIGHT_LUNG), turned.right_lung) > 0.97
    assert dice(labels.mask(LEFT_LUNG), turned.left_lung) > 0.97


def test_lungs_that_touch_are_cut_apart():
    phantom = chest(slab_grid(2.0, bottom=0, height=110), touching=True, vessels=False)
    labels = segment_lungs(phantom.volume, device="cpu")
    assert dice(labels.mask(RIGHT_LUNG), phantom.right_lung) > 0.985
    assert dice(labels.mask(LEFT_LUNG), phantom.left_lung) > 0.985


def test_a_nodule_at_the_pleura_stays_inside():
    at_the_wall = PhantomNodule((126.0, 0.0, 0.0), 14.0)
    within = PhantomNodule((-80.0, 30.0, 20.0), 24.0)
    phantom = chest(slab_grid(2.0, bottom=-50, height=120), nodules=(at_the_wall, within))
    lungs = segment_lungs(phantom.volume, device="cpu")
    for nodule, share in ((at_the_wall, 0.7), (within, 1.0)):
        inside = ball(phantom.volume.grid, nodule)
        truth = phantom.right_lung | phantom.left_lung
        covered = (lungs.array > 0)[inside & truth].mean()
        assert covered >= share


def ball(grid, nodule):
    points = grid.ras(np.moveaxis(np.indices(grid.shape)[::-1], 0, -1))
    return np.linalg.norm(points - nodule.centre_ras, axis=-1) < nodule.diameter_mm / 2


def test_the_dome_of_the_diaphragm_is_not_lung(phantom, labels):
    grid = phantom.volume.grid
    for side in ("right", "left"):
        below = np.round(grid.ijk((LUNG_CENTRES[side][0], 0.0, DOME_TOP[side] - 15.0))).astype(int)
        assert labels.array[tuple(below[::-1])] == 0


@pytest.mark.parametrize("side", ["right", "left"])
def test_one_lung_only(side):
    phantom = chest(slab_grid(COARSE, bottom=-90, height=225), lungs=(side,))
    labels = segment_lungs(phantom.volume, device="cpu")
    kept, lost = (RIGHT_LUNG, LEFT_LUNG) if side == "right" else (LEFT_LUNG, RIGHT_LUNG)
    truth = phantom.right_lung if side == "right" else phantom.left_lung
    assert dice(labels.mask(kept), truth) > 0.97
    assert not labels.mask(lost).any()


@pytest.mark.parametrize("part", ["upper", "lower"])
def test_part_of_the_lungs_in_the_field_of_view(phantom, part):
    middle = len(phantom.volume.array) // 2
    keep = slice(middle, None) if part == "upper" else slice(0, middle)
    cut = phantom.volume.array[keep]
    grid = phantom.volume.grid.crop((keep.start or 0, 0, 0), cut.shape)
    labels = segment_lungs(Volume(cut, grid, "part", "CT"), device="cpu")
    assert dice(labels.mask(RIGHT_LUNG), phantom.right_lung[keep]) > 0.96
    assert dice(labels.mask(LEFT_LUNG), phantom.left_lung[keep]) > 0.96


def test_a_crop_close_to_the_lungs(phantom):
    """Cropped CTs have no air around the body."""
    lungs = phantom.right_lung | phantom.left_lung
    box = ndimage.find_objects(lungs.astype(np.uint8))[0]
    box = tuple(slice(side.start - 4, side.stop + 4) for side in box)
    grid = phantom.volume.grid.crop([side.start for side in box], phantom.volume.array[box].shape)
    labels = segment_lungs(Volume(phantom.volume.array[box], grid, "crop", "CT"), device="cpu")
    assert dice(labels.mask(RIGHT_LUNG), phantom.right_lung[box]) > 0.97
    assert dice(labels.mask(LEFT_LUNG), phantom.left_lung[box]) > 0.97


def test_noise_of_a_sharp_kernel():
    phantom = chest(slab_grid(2.5, bottom=-40, height=120), noise_hu=90.0)
    labels = segment_lungs(phantom.volume, device="cpu")
    assert dice(labels.mask(RIGHT_LUNG), phantom.right_lung) > 0.97
    assert dice(labels.mask(LEFT_LUNG), phantom.left_lung) > 0.97


def test_bowel_gas_is_no_lung(phantom):
    hu = phantom.volume.array.copy()
    hu[ball(phantom.volume.grid, PhantomNodule((-70.0, 30.0, -130.0), 50.0))] = -1000
    labels = segment_lungs(phantom.volume.with_array(hu), device="cpu")
    assert dice(labels.mask(LEFT_LUNG), phantom.left_lung) > 0.98


@pytest.mark.parametrize("gas", [False, True])
def test_a_ct_without_lungs_is_refused(gas):
    phantom = chest(spacing=COARSE, lungs=(), vessels=False)
    hu = phantom.volume.array.copy()
    if gas:
        hu[ball(phantom.volume.grid, PhantomNodule((40.0, 20.0, -60.0), 95.0))] = -1000
    with pytest.raises(InputError, match=r"'phantom' does not show the lungs; choose a chest CT"):
        segment_lungs(phantom.volume.with_array(hu), device="cpu")


def test_a_leak_of_the_airway_is_noticed():
    """A hole in the trachea's wall into the lung: growing stops at the tube."""
    grid = slab_grid(2.0, bottom=10, height=120)
    phantom = chest(grid, vessels=False, noise_hu=5.0)
    hu = phantom.volume.array.copy()
    hole = PhantomNodule((14.0, -15.0, 70.0), 22.0)
    hu[ball(grid, hole)] = -870
    iso = grid.canonical().with_spacing(1.5)
    resampled = resample(hu, grid, iso, mode="area", fill=-1024)
    body = segment_body(resampled, 1.5)
    airway = segment_airway(resampled, body, 1.5)
    lung = resample(phantom.right_lung.astype(np.uint8), grid, iso, mode="nearest") > 0
    assert airway.any()
    assert np.count_nonzero(airway & ndimage.binary_erosion(lung, iterations=3)) * 1.5**3 < 2000


def test_no_trachea_in_the_field_of_view():
    empty = np.full((40, 60, 60), 40.0, dtype=np.float32)
    assert not segment_airway(empty, np.ones(empty.shape, dtype=bool), 1.5).any()


def test_cancelling_stops_between_stages(phantom):
    token = CancelToken()
    seen = []

    def report(fraction, text):
        seen.append((fraction, text))
        if fraction > 0.1:
            token.cancel()

    with pytest.raises(Cancelled):
        segment_lungs(phantom.volume, device="cpu", progress=Progress(report, token))
    assert len(seen) == 2


def test_dice():
    a = np.array([[True, True, False]])
    assert dice(a, a) == 1.0
    assert dice(a, ~a) == 0.0
    assert dice(a, np.array([[True, False, False]])) == pytest.approx(2 / 3)
    assert np.isnan(dice(np.zeros(3, bool), np.zeros(3, bool)))


def test_marked_nodules_of_a_real_ct_lie_inside(data_dir):
    folder = data_dir / "LIDC-IDRI-0314"
    volume, marks = load(folder / "ct.nii.gz"), load(folder / "nodules.nii.gz")
    labels = segment_lungs(volume, device="cpu")
    assert json.loads((folder / "nodules.json").read_text())["nodules"]
    assert marks.grid.same_as(volume.grid, tolerance_mm=0.01)
    assert (labels.array[marks.array > 0] > 0).mean() > 0.99
    for structure in (RIGHT_LUNG, LEFT_LUNG):
        assert 500 < labels.volume_ml(structure) < 4000


def test_grid_of_the_labels_is_the_volumes(phantom, labels):
    assert isinstance(labels.grid, Grid)
    assert labels.grid is phantom.volume.grid
    assert labels.array.dtype == np.uint8
