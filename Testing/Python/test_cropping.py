"""The box that a network sees, and how far from other structures its labels may lie."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from SegmentationAILib import catalog
from SegmentationAILib.catalog import running
from SegmentationAILib.catalog.cropping import surroundings
from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.labels import LabelMap
from SegmentationAILib.volume import Grid, Volume

IDS = {1: "heart", 2: "aorta", 3: "liver"}
HEART = {"structures": ["heart"], "margin_mm": [2, 3, 5]}
NEAR = {"within": {"structures": ["heart", "aorta"], "mm": 4}}


def found(array: np.ndarray, spacing=(1.0, 1.0, 2.0)) -> LabelMap:
    return LabelMap(array, Grid(array.shape, np.diag([*spacing, 1.0])), {})


def organs() -> np.ndarray:
    array = np.zeros((20, 30, 40), dtype=np.uint8)
    array[8:12, 10:14, 16:20] = 1
    array[2:18, 16, 18] = 2
    array[5:15, 0:4, 0:4] = 3
    return array


def test_the_box_has_its_margins_along_each_axis():
    window, within = surroundings(found(organs()), IDS, HEART)
    # 5 mm are three slices of 2 mm.
    assert window == (slice(5, 15), slice(7, 17), slice(14, 22))
    assert within is None


def test_what_is_not_there_crops_nothing():
    array = organs()
    array[array == 1] = 0
    window, _ = surroundings(found(array), IDS, HEART)
    assert organs()[window].shape == array.shape
    window, within = surroundings(found(np.zeros_like(array)), IDS, HEART | NEAR)
    assert (organs()[window].shape, within) == (array.shape, None)


boxes = st.tuples(*[st.tuples(st.integers(0, n - 2), st.integers(1, 6)) for n in (14, 16, 18)])


@given(boxes, boxes, st.floats(1, 9), st.tuples(*[st.integers(0, 4)] * 3))
def test_labels_stay_as_near_as_totalsegmentator_lets_them(first, second, mm, margin):
    """As many dilations by a voxel's faces as the mean spacing fits into the distance."""
    array = np.zeros((14, 16, 18), dtype=np.uint8)
    for value, box in ((2, second), (1, first)):
        array[tuple(slice(start, start + n) for start, n in box)] = value
    crop = {"structures": ["heart"], "margin_mm": margin, "within": {"structures": ["heart", "aorta"], "mm": mm}}
    window, within = surroundings(found(array), IDS, crop)
    steps = int(mm / (4 / 3))
    expected = ndimage.binary_dilation(array > 0, iterations=steps) if steps else array > 0
    np.testing.assert_array_equal(within, expected[window])


def test_the_heart_chambers_of_the_catalogue_stay_near_the_heart(monkeypatch):
    """What a network finds far from heart, aorta and vena cava goes."""
    entry = catalog.entry("totalsegmentator-heartchambers-highres")
    near = entry.settings["crop"]["within"]
    total = catalog.entry(entry.settings["crop"]["model"])
    assert set(near["structures"]) <= set(total.label_ids.values())
    assert near["mm"] == 10
    values = {name: value for value, name in total.label_ids.items()}
    rough = np.zeros((30, 40, 40), dtype=np.uint8)
    rough[10:20, 10:20, 10:20] = values["heart"]
    monkeypatch.setattr(running, "run", lambda *_, **__: found(rough, (5.0, 5.0, 5.0)))
    monkeypatch.setattr(running, "installed", lambda _: None)
    monkeypatch.setattr(running, "network_folder", lambda *_: None)
    monkeypatch.setattr(running, "read_nnunet", lambda *_, **__: None)
    # It sees one voxel more than the heart on each side, and two are near enough in a straight line.
    monkeypatch.setattr(running, "segment", lambda model, channels, *_, **__: np.full(channels.shape[1:], 3, np.uint8))
    volume = Volume(np.zeros(rough.shape, np.int16), found(rough, (5.0, 5.0, 5.0)).grid, "phantom", "CT")
    labels = running._by_nnunet(entry, volume, None, None, "cpu", Progress())
    expected = np.zeros(rough.shape, dtype=bool)
    expected[9:21, 9:21, 9:21] = True
    expected &= ndimage.binary_dilation(rough > 0, iterations=2)
    assert 0 < np.count_nonzero(expected) < 12**3
    np.testing.assert_array_equal(labels == 3, expected)
