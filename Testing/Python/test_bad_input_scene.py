"""Input that cannot be used leaves the scene as it was, through the modules' logics."""

from __future__ import annotations

import pytest
import slicer
from panels import ROOT
from test_bad_input import VOLUMES

from SegmentationAILib.errors import InputError
from SegmentationAILib.scene import add_volume

# A scene cannot hold these: an array without voxels, with four axes, of complex or truth values.
NOT_IN_A_SCENE = {"empty", "4-D", "complex", "a mask"}


@pytest.fixture(params=["LungNoduleAI", "SegmentationAI"])
def run(request, slicer_host):
    module = slicer_host.load_module(ROOT / request.param / f"{request.param}.py")
    logic = getattr(module, f"{request.param}Logic")()
    return logic.detect if request.param == "LungNoduleAI" else logic.segment


@pytest.mark.parametrize("name", [name for name in VOLUMES if name not in NOT_IN_A_SCENE])
def test_the_scene_stays_as_it_was(run, name):
    make, message = VOLUMES[name]
    volume = make()
    node = None if volume is None else add_volume(volume)
    before = [slicer.mrmlScene.GetNthNode(n).GetID() for n in range(slicer.mrmlScene.GetNumberOfNodes())]
    modified = None if node is None else node.GetImageData().GetMTime()
    with pytest.raises(InputError, match=message):
        run(node, device="cpu")
    assert [slicer.mrmlScene.GetNthNode(n).GetID() for n in range(slicer.mrmlScene.GetNumberOfNodes())] == before
    assert node is None or node.GetImageData().GetMTime() == modified
