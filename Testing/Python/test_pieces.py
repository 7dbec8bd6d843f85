"""Pieces of a structure that a model's own program throws away are thrown away here."""

from __future__ import annotations

import numpy as np
import pytest
from nnunet_models import plans, write_model
from scipy import ndimage
from test_nnunet import CLASSES, our_network

from SegmentationAILib import catalog
from SegmentationAILib.catalog import running
from SegmentationAILib.catalog.pieces import keep_pieces
from SegmentationAILib.volume import Grid, Volume

TRUNK, LIMBS = 1, 2
BODY = {str(TRUNK): "largest", str(LIMBS): 50}


def phantom() -> np.ndarray:
    """Voxels of 5 mm: a trunk, and beside it what is kept of it and what is not."""
    labels = np.zeros((40, 60, 80), dtype=np.uint8)
    labels[:, 10:50, 20:60] = TRUNK
    labels[0:12, 10:20, 65:75] = TRUNK
    # 60 ml and 48 ml, then 1 ml that shares an edge with the 60 ml and no face.
    labels[20:36, 0:5, 0:6] = LIMBS
    labels[0:8, 52:60, 0:6] = LIMBS
    labels[36:38, 5:7, 0:2] = LIMBS
    return labels


def test_the_largest_trunk_and_large_limbs_stay():
    labels = phantom()
    keep_pieces(labels, BODY, voxel_ml=0.125)
    expected = np.zeros_like(labels)
    expected[:, 10:50, 20:60] = TRUNK
    expected[20:36, 0:5, 0:6] = LIMBS
    np.testing.assert_array_equal(labels, expected)


@pytest.mark.parametrize(("ml", "stays"), [(59.9, True), (60.0, False)])
def test_the_limit_itself_is_too_small(ml, stays):
    labels = phantom()
    keep_pieces(labels, {str(LIMBS): ml}, voxel_ml=0.125)
    assert bool(labels[20, 0, 0]) is stays
    assert labels[0, 10, 65] == TRUNK


def test_other_structures_and_a_volume_without_them_stay_as_they_are():
    labels = phantom()
    keep_pieces(labels, {}, voxel_ml=0.125)
    np.testing.assert_array_equal(labels, phantom())
    for held in (np.zeros((4, 4, 4), np.uint8), np.full((4, 4, 4), 3, np.uint8)):
        before = held.copy()
        keep_pieces(held, BODY, voxel_ml=1.0)
        np.testing.assert_array_equal(held, before)


def test_the_catalogues_body_keeps_what_totalsegmentator_keeps(tmp_path, monkeypatch):
    """Whatever the network finds: one trunk, and limbs of more than 50 ml."""
    monkeypatch.setenv("THORAXAI_MODELS", str(tmp_path / "models"))
    entry = catalog.entry("totalsegmentator-body")
    assert entry.settings["pieces"] == BODY
    assert [entry.label_ids[value] for value in (TRUNK, LIMBS)] == ["body_trunc", "body_extremities"]
    part = entry.settings["parts"][0]["folder"]
    home = write_model(tmp_path / "own", plans(), CLASSES, lambda fold: our_network(plans(), fold))
    target = tmp_path / "given" / part
    target.parent.mkdir(parents=True)
    home.rename(target)
    catalog.import_local(entry, tmp_path / "given")
    found = phantom()
    monkeypatch.setattr(running, "segment", lambda *_, **__: np.ascontiguousarray(found[:, :, ::-1]))
    array = np.full(found.shape, -1000, dtype=np.int16)
    volume = Volume(array, Grid(array.shape, np.diag([-5.0, 5.0, 5.0, 1.0])), "phantom", "CT")
    result = running.run(entry, volume, device="cpu")
    assert set(result.structures) == {TRUNK, LIMBS}
    assert ndimage.label(result.array == TRUNK)[1] == 1
    assert np.count_nonzero(result.array == LIMBS) * 0.125 == 60
    keep_pieces(found, BODY, voxel_ml=0.125)
    np.testing.assert_array_equal(result.array, found)
