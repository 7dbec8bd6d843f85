"""The built-in network: nodules are found, outlined and put on the right side, whatever the grid."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from geometry import AXIS_ORDERS, oblique_box
from phantoms import chest
from planted import PLANTED, hits

from LungNoduleAILib import detection
from LungNoduleAILib.analysis import analyze
from LungNoduleAILib.detection import Detector, ScoreScale, detect, outline, peaks, read_detector
from LungNoduleAILib.heat import HeatMap, heat_map
from LungNoduleAILib.network import NoduleNetwork, Widths, normalized
from LungNoduleAILib.report.table import rows
from LungNoduleAILib.search import SearchSpace, search_space, with_surface
from SegmentationAILib import resources
from SegmentationAILib.engine.progress import CancelToken, Progress
from SegmentationAILib.engine.task import Task
from SegmentationAILib.errors import Cancelled, InputError
from SegmentationAILib.volume import Grid


@pytest.fixture(scope="module")
def nodules(phantom, lungs):
    return detect(phantom.volume, lungs, device="cpu")


@pytest.mark.parametrize("planted", PLANTED, ids=lambda n: f"{n.diameter_mm:.0f} mm {n.hu:.0f} HU")
def test_planted_nodules_are_found_and_measured(nodules, planted):
    [found] = hits(nodules, planted)
    assert found.lung == ("right" if planted.centre_ras[0] > 0 else "left")
    # Voxels of 2 mm: of a ball of 8 mm each face is a quarter voxel from being another voxel.
    assert found.measurements.mean_diameter_mm == pytest.approx(
        planted.diameter_mm, rel=0.2 if planted.diameter_mm > 10 else 0.3
    )
    assert detection.THRESHOLD <= found.score <= 1.0


def test_ids_follow_the_score(nodules):
    assert [n.id for n in nodules] == list(range(1, len(nodules) + 1))
    scores = [n.score for n in nodules]
    assert scores == sorted(scores, reverse=True)


def test_threshold_limit_and_repetition(phantom, lungs, nodules, monkeypatch):
    heat = []
    monkeypatch.setattr(detection, "heat_map", lambda *arguments: heat.append(heat_map(*arguments)) or heat[0])
    again = detect(phantom.volume, lungs, device="cpu", threshold=nodules[1].score)
    assert rows(again) == rows(nodules[: len(again)])
    assert len(again) >= 2
    monkeypatch.setattr(detection, "heat_map", lambda *_: heat[0])
    assert len(detect(phantom.volume, lungs, device="cpu", max_nodules=2)) == 2


def test_found_at_the_same_place_on_an_oblique_grid():
    """Permuted, oblique, anisotropic; lungs segmented on the way."""
    grid = oblique_box(
        AXIS_ORDERS[26], angles_deg=(6, -5, 9), spacing=(1.6, 1.6, 2.5), size_mm=(340, 240, 100), centre_ras=(0, 0, 10)
    )
    turned = chest(grid, nodules=PLANTED[1:3], seed=5)
    findings = analyze(turned.volume, Task("nodules", device="cpu"))
    for planted in PLANTED[1:3]:
        [found] = hits(findings.nodules, planted)
        assert found.lung == ("right" if planted.centre_ras[0] > 0 else "left")
        assert found.measurements.mean_diameter_mm == pytest.approx(planted.diameter_mm, rel=0.2)


def test_an_unknown_detector_is_refused(phantom):
    with pytest.raises(InputError, match="no nodule detector 'other'; choose one of: nodules, nodules-baseline"):
        analyze(phantom.volume, Task("other"))


def test_cancelling_between_tiles(phantom, lungs, monkeypatch):
    monkeypatch.setattr("LungNoduleAILib.heat._TILE_VOXELS", 80 * 80 * 80)
    token = CancelToken()
    told = []

    def report(fraction, text):
        told.append(text)
        if told.count("Searching the lungs for nodules") == 2:
            token.cancel()

    with pytest.raises(Cancelled):
        detect(phantom.volume, lungs, device="cpu", progress=Progress(report, token))
    assert "Lungs searched" not in told


def test_a_missing_model_is_said(monkeypatch, phantom, lungs):
    monkeypatch.setattr(resources, "resource", lambda name: None)
    detection.built_in.cache_clear()
    try:
        with pytest.raises(InputError, match="built-in model 'nodules' is missing"):
            detect(phantom.volume, lungs, device="cpu")
    finally:
        detection.built_in.cache_clear()


def space(shape=(64, 80, 72), seed=0):
    rng = np.random.default_rng(seed)
    hu = rng.normal(-850, 30, shape).astype(np.float32)
    lungs = np.zeros(shape, dtype=bool)
    lungs[8:-8, 8:-8, 8:-8] = True
    return SearchSpace(hu, lungs, Grid(shape, np.diag([-1.0, -1.0, 1.0, 1.0])))


def test_tiles_give_what_the_whole_gives(monkeypatch):
    """Away from the tiles' margins the answer does not depend on how the lungs are cut."""
    torch.manual_seed(0)
    network = NoduleNetwork(Widths(8, 8, 8, 8)).eval()
    whole = heat_map(network, space((96, 80, 72)), "cpu", Progress())
    monkeypatch.setattr("LungNoduleAILib.heat._TILE_VOXELS", 80 * 80 * 80)
    cut = heat_map(network, space((96, 80, 72)), "cpu", Progress())
    np.testing.assert_allclose(cut.centre, whole.centre, atol=1e-3)
    np.testing.assert_allclose(cut.mask, whole.mask, atol=1e-3)


def test_nothing_is_sought_away_from_the_lungs():
    torch.manual_seed(0)
    found = heat_map(NoduleNetwork(Widths(8, 8, 8, 8)), space(), "cpu", Progress())
    beyond = ~with_surface(space().lungs, 2)
    assert (found.centre[beyond] == 0).all()
    assert (found.centre[~beyond] > 0).all()


def heat_with(*bumps, shape=(32, 32, 32)):
    centre = np.zeros(shape, dtype=np.float32)
    diameter = np.full(shape, 6.0, dtype=np.float32)
    mask = np.zeros(tuple(2 * n for n in shape), dtype=np.float32)
    for (k, j, i), height, size in bumps:
        centre[k, j, i], diameter[k, j, i] = height, size
        axes = np.ogrid[tuple(slice(0, n) for n in mask.shape)]
        far = sum((a - (2 * c + 0.5)) ** 2 for a, c in zip(axes, (k, j, i), strict=True)) ** 0.5
        mask = np.maximum(mask, np.clip(0.5 + size / 2 - far, 0, 1).astype(np.float32))
    return HeatMap(centre, diameter, mask)


def test_of_two_peaks_in_one_nodule_the_higher_stays():
    found = peaks(heat_with(((16, 16, 16), 0.9, 12.0), ((16, 16, 18), 0.6, 12.0), ((4, 4, 4), 0.3, 5.0)))
    assert [one.kji for one in found] == [(32.5, 32.5, 32.5), (8.5, 8.5, 8.5)]
    assert [one.heat for one in found] == pytest.approx([0.9, 0.3])


def test_an_outline_is_the_masks_part_at_the_peak():
    found = heat_with(((16, 16, 16), 0.9, 10.0), ((16, 16, 24), 0.8, 8.0))
    one = space((64, 64, 64))
    window, occupancy = outline(found, one, peaks(found)[0])
    inside = np.zeros((64, 64, 64), dtype=bool)
    inside[window] = occupancy >= 0.5
    assert np.count_nonzero(inside) == pytest.approx(np.pi / 6 * 10**3, rel=0.1)
    assert not inside[:, :, 44:].any()


def test_where_the_mask_is_empty_the_ct_is_outlined():
    one = space((64, 64, 64))
    axes = np.ogrid[tuple(slice(0, 64) for _ in range(3))]
    ball = sum((a - 32.5) ** 2 for a in axes) <= 4.0**2
    one.hu[ball] = 20.0
    found = heat_with(((16, 16, 16), 0.9, 8.0))
    window, occupancy = outline(HeatMap(found.centre, found.diameter_mm, 0 * found.mask), one, peaks(found)[0])
    inside = np.zeros((64, 64, 64), dtype=bool)
    inside[window] = occupancy >= 0.5
    assert np.count_nonzero(inside & ball) > 0.9 * np.count_nonzero(ball)


def test_the_scale_of_scores():
    assert ScoreScale().score(0.3) == pytest.approx(0.3)
    assert ScoreScale(2.0, -1.0).score(0.5) == pytest.approx(1 / (1 + np.e))
    assert 0 < ScoreScale().score(0.0) < ScoreScale().score(1.0) < 1


def test_what_the_network_reads():
    np.testing.assert_allclose(normalized(np.array([-2000.0, -1000.0, -300.0, 400.0, 3000.0])), [-1, -1, 0, 1, 1])
    hu = torch.tensor([-1000.0, 400.0])
    assert normalized(hu).tolist() == [-1.0, 1.0]


def test_the_built_in_model_is_small_and_whole():
    detector = detection.built_in()
    assert isinstance(detector, Detector)
    assert 1e6 <= sum(p.numel() for p in detector.network.parameters()) <= 6e6
    weights = detection.model_path("nodules")
    assert weights.stat().st_size <= 12e6
    assert read_detector(weights).scale == detector.scale


def test_the_search_space_is_the_lungs_box(phantom, lungs):
    box = search_space(phantom.volume, lungs, "cpu")
    assert box.grid.spacing == pytest.approx([1, 1, 1])
    assert box.lungs.any(axis=(1, 2)).sum() >= box.hu.shape[0] - 30
