"""Boxes of detection bundles become nodules by the same outlining and measuring as the built-in network's marks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from monai_bundles import detection, write_bundle
from planted import PLANTED, hits

from LungNoduleAILib import analysis, bundle_detection, collection
from LungNoduleAILib.characterization import nodule_of
from LungNoduleAILib.cli import main
from LungNoduleAILib.exit_codes import EXIT_BAD_INPUT
from SegmentationAILib import catalog
from SegmentationAILib.catalog import detecting
from SegmentationAILib.catalog.monai_detector import Detections
from SegmentationAILib.engine.task import Task
from SegmentationAILib.errors import InputError
from SegmentationAILib.files import save

ZOO = "lung_nodule_ct_detection"
ENTRY = "monai-lung-nodule-ct-detection"
# Beyond the chest wall, where a box finds no lung.
OUTSIDE = (0.0, 160.0, 0.0)


def boxes(*found: tuple[tuple[float, float, float], float, float, int]) -> Detections:
    """Of (centre, side in mm, score, class)."""
    centres, sides, scores, classes = zip(*found, strict=True)
    sizes = np.outer(sides, (1.1, 1.0, 0.9))
    return Detections(np.array(centres), sizes, np.eye(3), np.float32(scores), np.array(classes))


@pytest.fixture
def answer(monkeypatch):
    """The network sees all that was planted, one of it twice, and more that is no nodule."""
    scores = (0.9, 0.8, 0.7, 0.6)
    seen = [(one.centre_ras, one.diameter_mm, score, 0) for one, score in zip(PLANTED, scores, strict=True)]
    double = (tuple(np.add(PLANTED[1].centre_ras, 2.0)), 20.0, 0.75, 0)
    others = [(OUTSIDE, 10.0, 0.95, 0), (PLANTED[2].centre_ras, 14.0, 0.99, 1), (PLANTED[0].centre_ras, 8.0, 0.1, 0)]
    given = boxes(*sorted([*seen, double, *others], key=lambda one: -one[2]))
    monkeypatch.setattr(detecting, "run", lambda *_arguments, **_options: given)


def test_boxes_become_measured_nodules_once_each(answer, phantom, lungs):
    entry = catalog.entry(ENTRY)
    nodules = bundle_detection.detect(entry, phantom.volume, lungs, device="cpu")
    assert [round(one.score, 2) for one in nodules] == [0.9, 0.8, 0.7, 0.6]
    for planted in PLANTED:
        [found] = hits(nodules, planted)
        assert found.lung == ("right" if planted.centre_ras[0] > 0 else "left")
        assert found.measurements.mean_diameter_mm == pytest.approx(planted.diameter_mm, rel=0.3)
    best = bundle_detection.detect(entry, phantom.volume, lungs, device="cpu", threshold=0.65, max_nodules=2)
    assert [one.id for one in best] == [1, 2]
    assert len(bundle_detection.detect(entry, phantom.volume, lungs, device="cpu", threshold=0.65)) == 3


def test_an_outline_without_thickness_is_no_nodule(answer, phantom, lungs, monkeypatch):
    """Nothing could be said of it: guidelines ask for both axes."""

    def flat(*arguments):
        nodule = nodule_of(*arguments)
        if nodule.score < 0.85:
            return nodule
        return replace(nodule, measurements=replace(nodule.measurements, short_axis_mm=0.0))

    monkeypatch.setattr(collection, "nodule_of", flat)
    [nodule] = bundle_detection.detect(catalog.entry(ENTRY), phantom.volume, lungs, device="cpu", max_nodules=1)
    assert (nodule.id, round(nodule.score, 2)) == (1, 0.8)


def test_an_analysis_takes_a_bundle_for_a_detector(answer, phantom, monkeypatch):
    monkeypatch.setattr(analysis, "check_input", lambda *_: None)
    findings = analysis.analyze(phantom.volume, Task(ENTRY, {"max_nodules": 1}, "cpu"))
    assert findings.task.model == ENTRY
    [found] = findings.nodules
    assert found.ratings is not None
    assert found.character is not None


def test_what_is_not_there_is_told_before_any_work(phantom, monkeypatch, tmp_path):
    monkeypatch.setenv("THORAXAI_MODELS", str(tmp_path / "models"))
    monkeypatch.setattr(analysis, "segment_lungs", lambda *_, **__: pytest.fail("work began"))
    with pytest.raises(InputError, match=f"'{ENTRY}' is not installed; fetch it"):
        analysis.analyze(phantom.volume, Task(ENTRY, device="cpu"))
    path = save(phantom.volume, tmp_path / "ct.nrrd")
    for name, said in ((ZOO, "is not installed"), ("other", f"choose one of: {ENTRY}")):
        result = CliRunner().invoke(main, ["detect", str(path), str(tmp_path / "out"), "--model", name])
        assert result.exit_code == EXIT_BAD_INPUT
        assert said in result.output
    assert not (tmp_path / "out").exists()


def test_an_imported_bundle_detects_from_the_command_line(phantom, monkeypatch, tmp_path):
    """With random weights, whose boxes mean nothing: the whole way from the bundle's files to the table."""
    pytest.importorskip("monai", reason="monai is not installed")
    from test_monai_detection import lively  # noqa: PLC0415 - imports what monai needs

    from SegmentationAILib.catalog.monai_retinanet import read_detector  # noqa: PLC0415

    monkeypatch.setenv("THORAXAI_MODELS", str(tmp_path / "models"))
    config = detection((48, 48, 32))
    [spaced] = [one for one in config["preprocessing"]["transforms"] if one["_target_"] == "Spacingd"]
    spaced["pixdim"] = [8.0, 8.0, 8.0]
    with monkeypatch.context() as patch:
        patch.setattr("SegmentationAILib.catalog.monai_retinanet.fit", lambda *_: None)
        blank = write_bundle(tmp_path / "blank", config, {"none": torch.zeros(1)})
        weights = lively(read_detector(blank).network).state_dict()
    told = {"inputs": {"image": {"num_channels": 1, "modality": "CT"}}}
    told["outputs"] = {"pred": {"type": "object", "format": "dict"}}
    home = write_bundle(tmp_path, config, weights, {"task": "CT nodules of the lung", "network_data_format": told})
    own = catalog.import_local(None, home).name
    path = save(phantom.volume, tmp_path / "ct.nrrd")
    arguments = ["detect", str(path), str(tmp_path / "out"), "--model", own, "--threshold", "0.9", "--device", "cpu"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "out" / "nodules.csv").is_file()
