"""The baseline detector: planted nodules are found, measured and put on the right side, whatever the grid."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from geometry import AXIS_ORDERS, oblique_box
from phantoms import PhantomNodule, chest, slab_grid
from planted import PLANTED, hits

from LungNoduleAILib.analysis import analyze
from LungNoduleAILib.baseline import THRESHOLD, ScoredCandidate, _is_contrast_filled, detect
from LungNoduleAILib.layers import merged, nodule_layers
from LungNoduleAILib.report.table import COLUMNS, rows
from LungNoduleAILib.scoring import BASELINE, FEATURES
from SegmentationAILib.engine.progress import CancelToken, Progress
from SegmentationAILib.engine.task import Task
from SegmentationAILib.errors import Cancelled, InputError
from SegmentationAILib.organs import segment_lungs


@pytest.fixture(scope="module")
def nodules(phantom, lungs):
    return detect(phantom.volume, lungs, device="cpu")


@pytest.mark.parametrize("planted", PLANTED, ids=lambda n: f"{n.diameter_mm:.0f} mm {n.hu:.0f} HU")
def test_planted_nodules_are_found_and_measured(nodules, planted):
    [found] = hits(nodules, planted)
    assert found.lung == ("right" if planted.centre_ras[0] > 0 else "left")
    assert found.measurements.mean_diameter_mm == pytest.approx(planted.diameter_mm, rel=0.15)
    assert found.measurements.volume_mm3 == pytest.approx(planted.volume_mm3, rel=0.25)
    assert found.measurements.mean_hu == pytest.approx(planted.hu, abs=80)
    assert THRESHOLD <= found.score <= 1.0


def test_few_others(nodules):
    assert len(nodules) - len(PLANTED) <= 3


def test_ids_follow_the_score(nodules):
    assert [n.id for n in nodules] == list(range(1, len(nodules) + 1))
    scores = [n.score for n in nodules]
    assert scores == sorted(scores, reverse=True)


def test_threshold_and_limit(phantom, lungs, nodules):
    highest = nodules[0].score
    assert len(detect(phantom.volume, lungs, device="cpu", threshold=highest)) == 1
    assert len(detect(phantom.volume, lungs, device="cpu", max_nodules=2)) == 2


def test_the_same_input_gives_the_same_nodules(phantom, lungs, nodules):
    assert rows(detect(phantom.volume, lungs, device="cpu")) == rows(nodules)


@pytest.mark.parametrize("order", AXIS_ORDERS[3::23])
def test_found_at_the_same_place_on_any_grid(order):
    """Flipped, permuted, oblique, anisotropic; lungs segmented on the way."""
    grid = oblique_box(
        order, angles_deg=(6, -5, 9), spacing=(1.6, 1.6, 2.5), size_mm=(340, 240, 100), centre_ras=(0, 0, 10)
    )
    turned = chest(grid, nodules=PLANTED[1:3], seed=5)
    findings = analyze(turned.volume, Task("nodules-baseline", device="cpu"))
    for planted in PLANTED[1:3]:
        [found] = hits(findings.nodules, planted)
        assert found.lung == ("right" if planted.centre_ras[0] > 0 else "left")
        assert found.measurements.mean_diameter_mm == pytest.approx(planted.diameter_mm, rel=0.2)


def test_an_unknown_device_is_refused(phantom, lungs):
    with pytest.raises(InputError, match="There is no device 'cuda:99'"):
        detect(phantom.volume, lungs, device="cuda:99")


def test_cancelling(phantom, lungs):
    token = CancelToken()
    progress = Progress(lambda fraction, text: token.cancel() if fraction > 0.3 else None, token)
    with pytest.raises(Cancelled):
        detect(phantom.volume, lungs, device="cpu", progress=progress)


def test_progress_rises_to_one(phantom, lungs):
    seen = []
    detect(phantom.volume, lungs, device="cpu", progress=Progress(lambda fraction, text: seen.append(fraction)))
    assert seen == sorted(seen)
    assert seen[-1] == 1.0


def test_an_empty_chest_has_no_nodule():
    empty = chest(spacing=2.5, vessels=False)
    assert detect(empty.volume, segment_lungs(empty.volume, device="cpu"), device="cpu") == []


def test_masks_on_the_volumes_voxels(phantom, lungs, nodules):
    layers = nodule_layers(nodules, phantom.volume.grid)
    for nodule in nodules:
        [layer] = [one for one in layers if nodule.id in one.structures]
        drawn = np.count_nonzero(layer.array == nodule.id) * phantom.volume.grid.voxel_volume
        assert drawn == pytest.approx(nodule.measurements.volume_mm3, rel=0.3)
        assert layer.structures[nodule.id].name == f"nodule {nodule.id}"
    together = merged(lungs, nodules)
    assert {structure.name for structure in together.structures.values()} >= {"right lung", "left lung", "nodule 1"}
    assert set(np.unique(together.array)) <= {0, *together.structures}


def test_touching_nodules_go_to_different_layers(phantom, nodules):
    twice = [nodules[0], replace(nodules[0], id=2)]
    layers = nodule_layers(twice, phantom.volume.grid)
    assert [list(one.structures) for one in layers] == [[1], [2]]


def test_columns_of_the_table(nodules):
    assert [c.name for c in COLUMNS][:8] == ["id", "r", "a", "s", "mean_diameter_mm", "volume_mm3", "mean_hu", "score"]
    assert [c.name for c in COLUMNS][-4:] == ["kind", "suspicion_of_readers_1_to_5", "calcified", "ratings"]
    assert len(rows(nodules)[0]) == len(COLUMNS)


@pytest.mark.parametrize(
    ("mean_hu", "fill", "is_vessel"),
    [(280.0, 0.15, True), (280.0, 0.6, False), (40.0, 0.15, False)],
    ids=["fork full of contrast agent", "calcified nodule", "lobulated nodule"],
)
def test_vessels_full_of_contrast_agent_are_told_from_nodules(nodules, mean_hu, fill, is_vessel):
    measured = replace(nodules[0], measurements=replace(nodules[0].measurements, mean_hu=mean_hu))
    values = np.zeros(len(FEATURES))
    values[FEATURES.index("fill")] = fill
    assert _is_contrast_filled(measured, ScoredCandidate(None, None, None, values)) is is_vessel


def test_a_calcified_nodule_is_kept():
    stone = PhantomNodule((75.0, 0.0, 60.0), 12.0, hu=600.0)
    volume = chest(slab_grid(2.0, bottom=0, height=96), nodules=(stone,), vessels=False).volume
    [found] = hits(detect(volume, segment_lungs(volume, device="cpu"), device="cpu"), stone)
    assert found.measurements.mean_hu > 150


def test_the_model_has_a_weight_for_each_feature():
    assert len(FEATURES) == len(BASELINE.mean) == len(BASELINE.deviation) == len(BASELINE.weight)
    assert BASELINE.probability(np.array(BASELINE.mean)) == pytest.approx(1 / (1 + np.exp(-BASELINE.bias)))
