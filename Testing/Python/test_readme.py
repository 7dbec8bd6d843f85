"""The examples of the README for the nodules' logic, run as they stand on a synthetic chest."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import slicer
from nodule_scene import MISSED, chest_with_findings, with_prior

import LungNoduleAILib.analysis
import LungNoduleAILib.explanation.explain
from LungNoduleAILib import scene
from LungNoduleAILib.explanation import explain as explaining
from LungNoduleAILib.explanation.result import Explanation

ROOT = Path(__file__).resolve().parents[2]
BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
# Of the demo CT.
PLACE = "(-72.5, -77.2, -190.4)"


@pytest.fixture
def console(slicer_host, monkeypatch, tmp_path):
    """Slicer's console: runs code in one set of names, with the CTs of the README loaded."""
    slicer_host.load_module(ROOT / "LungNoduleAI" / "LungNoduleAI.py")
    current, prior = with_prior(monkeypatch)
    scene.ct_of(current).SetName("LungNodulesCT")
    scene.ct_of(prior).SetName("prior CT")
    found = chest_with_findings()[1]
    monkeypatch.setattr(LungNoduleAILib.analysis, "analyze", lambda volume, task, progress: found)
    monkeypatch.setattr(explaining, "explain", explain)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"slicer": slicer}
    return lambda code: exec(code, names)  # the README's own text


def explain(volume, lungs, nodule, *, device, progress):
    return Explanation(nodule.mask.occupancy - np.float32(0.5), nodule.mask.grid, ())


def test_examples_of_the_nodules_logic_run(console, tmp_path, capsys):
    first, second = (one for one in BLOCKS if "findings" in one and "analyze" not in one)
    console(first)
    names = {"nodules.csv", "nodules.json", "report.html", "report.pdf", "nodules-seg.dcm", "nodules-sr.dcm", "ct"}
    assert {path.name for path in (tmp_path / "report").iterdir()} == names
    assert PLACE in second
    console(second.replace(PLACE, str(MISSED.centre)))
    told = capsys.readouterr().out
    assert "Nodule 1 (prior 1)" in told
    assert "Nodule 3 of the current CT" in told
