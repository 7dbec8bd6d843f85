"""Similar nodules: the nearest come first, the shipped ones are whole and of the training part, the file is safe."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from LungNoduleAILib.appearance import FEATURES
from LungNoduleAILib.characterization import characterize
from LungNoduleAILib.explanation import similar
from LungNoduleAILib.explanation.similar import (
    PICTURE_SIDE,
    Gallery,
    distances,
    read_gallery,
    shipped_gallery,
    similar_nodules,
    write_gallery,
)
from LungNoduleAILib.nodule import NoduleMask
from LungNoduleAILib.training.lidc_nodules import read_nodules
from LungNoduleAILib.training.similar_nodules import figures, make_gallery
from LungNoduleAILib.training.split import read_split
from SegmentationAILib.errors import InputError
from SegmentationAILib.volume import Grid, Volume


def gallery(count=12, seed=0) -> Gallery:
    rng = np.random.default_rng(seed)
    return Gallery(
        look=rng.normal(size=(count, len(FEATURES))).astype(np.float32),
        name=np.array([f"LIDC-IDRI-{n:04d}, nodule 1" for n in range(count)]),
        readers=np.array(["solid, moderately suspicious"] * count),
        diameter_mm=np.linspace(4, 20, count).astype(np.float32),
        picture=rng.integers(0, 255, (count, PICTURE_SIDE, PICTURE_SIDE)).astype(np.uint8),
    )


@given(st.integers(0, 11), st.integers(1, 12))
def test_a_nodule_resembles_itself_most(index, count):
    held = gallery()
    found = held.nearest(held.look[index], count)
    assert len(found) == count
    assert found[0].name == held.name[index]
    assert found[0].distance == pytest.approx(0, abs=1e-6)
    assert [one.distance for one in found] == sorted(one.distance for one in found)
    np.testing.assert_array_equal(found[0].picture, held.picture[index])


def test_distances_are_in_deviations():
    among = np.zeros((2, len(FEATURES)), dtype=np.float32)
    among[0], among[1] = -10.0, 10.0
    assert distances(among, np.zeros(len(FEATURES), dtype=np.float32)) == pytest.approx([1, 1])
    # What is far off every nodule says no more than what lies four deviations off.
    assert distances(among, np.full(len(FEATURES), 1e6, dtype=np.float32)) == pytest.approx([5, 3])


def test_a_gallery_is_read_as_it_was_written(tmp_path):
    held = gallery()
    first, second = (write_gallery(held, tmp_path / name) for name in ("a.npz", "b.npz"))
    assert first.read_bytes() == second.read_bytes()
    again = read_gallery(first)
    for name in ("look", "name", "readers", "diameter_mm", "picture"):
        np.testing.assert_array_equal(getattr(again, name), getattr(held, name))


def test_a_damaged_or_dangerous_file_is_refused(tmp_path):
    whole = write_gallery(gallery(), tmp_path / "whole.npz").read_bytes()
    bad = {"cut": whole[: len(whole) // 2], "empty": b"", "text": b"no archive"}
    for name, content in bad.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match="missing or damaged"):
            read_gallery(tmp_path / name)
    np.savez(tmp_path / "pickled.npz", **{name: {1} for name in ("look", "name", "readers", "diameter_mm", "picture")})
    with pytest.raises(InputError, match="missing or damaged"):
        read_gallery(tmp_path / "pickled.npz")


def test_a_missing_file_is_said(monkeypatch):
    monkeypatch.setattr(similar, "resource", lambda name: None)
    shipped_gallery.cache_clear()
    try:
        with pytest.raises(InputError, match="missing or damaged; install"):
            shipped_gallery()
    finally:
        shipped_gallery.cache_clear()


def test_the_shipped_nodules_are_of_the_training_part():
    held = shipped_gallery()
    assert len(held.name) > 500
    assert len(set(held.name)) == len(held.name)
    assert {name.split(",")[0] for name in held.name} <= read_split()["patients"].train
    assert np.isfinite(held.look).all()
    assert ((held.diameter_mm > 2) & (held.diameter_mm < 60)).all()
    assert held.picture.shape == (len(held.name), PICTURE_SIDE, PICTURE_SIDE)
    assert held.picture.dtype == np.uint8
    # The nodule is in the middle, and not black.
    assert (held.picture[:, 20:28, 20:28].mean(axis=(1, 2)) > 30).all()


def ball_volume(diameter_mm, hu):
    grid = Grid((60, 60, 60), np.diag([-1.0, -1.0, 1.0, 1.0]))
    axes = np.ogrid[tuple(slice(0, 60) for _ in range(3))]
    far = sum((axis - 29.5) ** 2 for axis in axes) ** 0.5
    share = np.clip(diameter_mm / 2 - far + 0.5, 0, 1)
    noise = np.random.default_rng(0).normal(0, 15, grid.shape)
    volume = Volume((-860 + share * (hu + 860) + noise).astype(np.float32), grid, "ball", "CT")
    return volume, characterize(volume, tuple(grid.ras([29.5] * 3)), diameter_mm)[0]


@pytest.mark.parametrize("diameter_mm", [6.0, 20.0])
def test_similar_nodules_are_of_the_same_size_and_kind(diameter_mm):
    solid = similar_nodules(*ball_volume(diameter_mm, 30.0))
    assert np.median([one.diameter_mm for one in solid]) == pytest.approx(diameter_mm, rel=0.4)
    assert all(one.readers.startswith("solid") for one in solid)


def test_ground_glass_resembles_ground_glass():
    assert not any(one.readers.startswith("solid") for one in similar_nodules(*ball_volume(20.0, -600.0)))


def test_nothing_resembles_an_empty_mask():
    volume, mask = ball_volume(8.0, 30.0)
    with pytest.raises(InputError, match="mask is empty"):
        similar_nodules(volume, NoduleMask(0 * mask.occupancy, mask.grid))


@pytest.mark.slow
def test_the_recipe_makes_the_shipped_nodules_and_its_figures(data_dir):
    nodules = read_nodules(data_dir / "lidc-vois")
    parts = read_split()["patients"]
    training = [nodule for nodule in nodules if nodule.patient in parts.train]
    made, held = make_gallery(training), shipped_gallery()
    np.testing.assert_array_equal(made.name, held.name)
    np.testing.assert_allclose(made.look, held.look, rtol=1e-3, atol=1e-3)
    found = figures(training, [nodule for nodule in nodules if nodule.patient in parts.test])
    for by_rating in found.values():
        assert by_rating["malignancy"]["less"]["low"] > 0
        assert by_rating["texture"]["less"]["low"] > 0
