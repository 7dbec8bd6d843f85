"""What is loaded ahead of its import."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

_SCRIPT = """
import sys
from pathlib import Path
from SegmentationAILib.engine.large_libraries import load_large_libraries
load_large_libraries()
loaded = Path("/proc/self/maps").read_text()
assert not {"torch", "SimpleITK"} & set(sys.modules)
assert "/libtorch_cpu.so" in loaded and "/_SimpleITK" in loaded
import SimpleITK, torch
assert float(torch.ones(3).sum()) == 3 and SimpleITK.Image(2, 2, SimpleITK.sitkUInt8).GetSize() == (2, 2)
load_large_libraries()
"""


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="reads from Linux's /proc what is loaded")
def test_libraries_are_there_before_their_import():
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", _SCRIPT], env=environment, check=True)
