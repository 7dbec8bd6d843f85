"""lungmask's networks: each slice cropped to the body, read at 256 × 256, patches cleaned, labels brought back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from lungmask_models import network, write_weights
from scipy import ndimage

from SegmentationAILib import catalog
from SegmentationAILib.catalog import running
from SegmentationAILib.catalog.lungmask_network import UNet, read_lungmask
from SegmentationAILib.catalog.lungmask_patches import cleaned
from SegmentationAILib.catalog.lungmask_runner import body_box, segment
from SegmentationAILib.engine.progress import CancelToken, Progress
from SegmentationAILib.errors import Cancelled, InputError
from SegmentationAILib.files import load
from SegmentationAILib.metrics import dice
from SegmentationAILib.preprocess import reorient
from SegmentationAILib.volume import Grid, Volume

LPS = np.diag([-1.0, -1.0, 2.0, 1.0])


def chest(side: int = 160, slices: int = 6) -> Volume:
    """A body with two lungs in air."""
    k, j, i = np.ogrid[0:slices, -1 : 1 : side * 1j, -1 : 1 : side * 1j]
    array = np.full((slices, side, side), -1000, dtype=np.int16)
    array[(i / 0.8) ** 2 + (j / 0.55) ** 2 + 0 * k < 1] = 40
    for centre in (-0.35, 0.35):
        array[((i - centre) / 0.25) ** 2 + (j / 0.4) ** 2 + 0.01 * k < 1] = -850
    noise = np.random.default_rng(0).normal(0, 15, array.shape)
    array = (array + ndimage.gaussian_filter(noise, (0, 1, 1)) * 3).astype(np.int16)
    return Volume(array, Grid(array.shape, LPS), "chest", "CT")


def small_slices(volume: Volume) -> np.ndarray:
    index = np.linspace(0, volume.shape[1] - 1, 256).round().astype(int)
    return volume.array[:2][:, index][:, :, index]


@pytest.fixture
def entry(tmp_path, monkeypatch):
    """The catalogue's model of three classes, with a small network instead of its own."""
    monkeypatch.setenv("THORAXAI_MODELS", str(tmp_path / "models"))
    known = catalog.entry("lungmask-r231")
    path = write_weights(tmp_path / known.settings["weights"], network(3, 0, small_slices(chest())))
    here = replace(known, files=[replace(known.files[0], size=None)])
    catalog.import_local(here, path)
    return here


def test_a_fetched_model_runs_in_any_orientation(entry):
    volume = chest()
    found = running.run(entry, volume, device="cpu")
    assert {one.name for one in found.structures.values()} == {"right lung", "left lung"}
    turn = np.array([[0, 0, -1, 159], [1, 0, 0, 0], [0, -1, 0, 5], [0, 0, 0, 1]], dtype=float)
    turned = Grid((160, 6, 160), LPS @ turn)
    stored = Volume(np.ascontiguousarray(reorient(volume.array, volume.grid, turned)), turned, "turned", "CT")
    again = running.run(entry, stored, device="cpu")
    np.testing.assert_array_equal(again.array, reorient(found.array, volume.grid, turned))
    one = running.run(entry, volume, structures=[entry.label_ids[2]], device="cpu")
    np.testing.assert_array_equal(one.array, np.where(found.array == 2, 2, 0))


def test_weights_are_read_as_tensors_and_must_be_the_models(tmp_path):
    slices = small_slices(chest())
    path = write_weights(tmp_path / "w.pth", network(3, 0, slices))
    assert read_lungmask(path, 3).last.out_channels == 3
    with pytest.raises(InputError, match="tells 3 classes apart and not 6"):
        read_lungmask(path, 6)
    state = torch.load(path, weights_only=True)
    torch.save({name: value for name, value in state.items() if "up_path" not in name}, path)
    with pytest.raises(InputError, match="do not fit its network"):
        read_lungmask(path, 3)
    torch.save({"weight": torch.zeros(3)}, path)
    with pytest.raises(InputError, match="not of lungmask's U-Net"):
        read_lungmask(path, 3)
    torch.save({"weight": Path("x")}, path)
    with pytest.raises(InputError, match="hold more than weights"):
        read_lungmask(path, 3)
    with pytest.raises(InputError, match=r"no weights 'gone\.pth'"):
        read_lungmask(tmp_path / "gone.pth", 3)


def test_it_can_be_cancelled(entry):
    token = CancelToken()

    def report(fraction: float, text: str) -> None:
        if fraction > 0.3:
            token.cancel()

    with pytest.raises(Cancelled):
        running.run(entry, chest(slices=12), device="cpu", progress=Progress(report, token))


def test_want_of_memory_changes_no_label(entry, monkeypatch):
    volume = chest()
    expected = running.run(entry, volume, device="cpu")
    forward, batches = UNet.forward, []

    def greedy(self: UNet, x: torch.Tensor) -> torch.Tensor:
        batches.append(len(x))
        if len(x) > 1:
            raise RuntimeError("CUDA out of memory.")
        return forward(self, x)

    monkeypatch.setattr(UNet, "forward", greedy)
    np.testing.assert_array_equal(running.run(entry, volume, device="cpu").array, expected.array)
    assert batches == [4, 2, *[1] * 6]


def test_the_box_is_the_bodys_without_the_table():
    volume = chest(side=256)
    slice_ = volume.array[0].copy()
    slice_[250:252, 30:220] = 200
    body = np.argwhere(volume.array[0] > -500)
    rows, columns = body_box(slice_)
    found = np.array([[rows.start, columns.start], [rows.stop - 1, columns.stop - 1]])
    assert np.abs(found - [body.min(0), body.max(0)]).max() <= 3
    assert body_box(np.full((60, 40), -1000)) == (slice(0, 60), slice(0, 40))


def test_a_patch_goes_to_the_neighbour_that_it_touches_most():
    labels = np.zeros((3, 12, 12), dtype=np.uint8)
    labels[:, :, :6], labels[:, :, 6:10] = 1, 2
    labels[1, 3:6, 5:7] = [[2, 2]] * 3  # joined to the large 2
    labels[1, 8:10, 2:4] = 2  # inside the 1
    labels[2, 0:2, 11] = 1  # two voxels vanish
    found = cleaned(labels)
    assert (found[1, 8:10, 2:4] == 1).all()
    assert (found[1, 3:6, 5] == 2).all()
    assert not found[2, 0:2, 11].any()


@settings(max_examples=40)
@given(arrays(np.uint8, (4, 9, 9), elements=st.integers(0, 3)))
def test_the_last_label_drawn_has_one_part_without_holes(labels):
    found = cleaned(labels)
    assert set(np.unique(found)) <= set(np.unique(labels)) | {0}
    last = found == max(1, found.max())
    assert ndimage.label(last, structure=np.ones((3, 3, 3)))[1] <= 1
    np.testing.assert_array_equal(ndimage.binary_fill_holes(last), last)


def test_a_single_slice_keeps_large_holes():
    labels = np.ones((1, 40, 40), dtype=np.uint8)
    labels[0, 2:6, 2:6], labels[0, 10:30, 10:30] = 0, 0
    found = cleaned(labels)
    assert found[0, 2:6, 2:6].all()
    assert not found[0, 10:30, 10:30].any()


@pytest.mark.parametrize("classes", [3, 6])
def test_labels_are_those_of_lungmask(tmp_path, monkeypatch, data_dir, classes):
    mask = pytest.importorskip("lungmask.mask", reason="lungmask is not installed")
    resunet = pytest.importorskip("lungmask.resunet")
    ct = load(data_dir / "LIDC-IDRI-0003" / "dicom")
    array = ct.array[::20]
    volume = Volume(array, Grid(array.shape, ct.grid.ijk_to_ras @ np.diag([1, 1, 20, 1])), "chest", "CT")
    ours = network(classes, classes, small_slices(volume), width=8, depth=5)
    theirs = resunet.UNet(1, classes, 5, 3, padding=True, batch_norm=True, up_mode="upsample").eval()
    theirs.load_state_dict(ours.state_dict(), strict=False)
    monkeypatch.setattr(mask, "get_model", lambda *_: theirs)
    expected = mask.LMInferer(force_cpu=True, tqdm_disable=True).apply(np.asarray(array))
    found = segment(ours, volume, device="cpu")
    assert (found == expected).mean() >= 0.9995
    # scipy's zoom leaves the last row or column of a box empty where rounding puts it past the last voxel's centre.
    for one, other, slice_ in zip(found, expected, np.clip(array, -1024, 600), strict=True):
        rows, columns = body_box(slice_)
        one[rows.stop - 1], other[rows.stop - 1] = 0, 0
        one[:, columns.stop - 1], other[:, columns.stop - 1] = 0, 0
    compared = 0
    for value in range(1, classes):
        if np.count_nonzero(expected == value) > 100:
            assert dice(found == value, expected == value) >= 0.999
            compared += 1
    assert compared >= 2
