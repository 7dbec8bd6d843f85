"""What is loaded ahead of its import."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import weakref
from pathlib import Path

import pytest

from SegmentationAILib.engine.large_libraries import import_uncollected

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


@pytest.fixture
def collections():
    """Each that ran during the test."""
    told: list[str] = []

    def note(phase: str, _info: dict[str, int]) -> None:
        told.append(phase)

    gc.callbacks.append(note)
    yield told
    gc.callbacks.remove(note)


class Ring:
    """Refers to itself, so that only a search finds it when it is dropped."""

    def __init__(self) -> None:
        self.me = self


def test_an_import_is_not_interrupted_by_collections(tmp_path, monkeypatch, collections):
    """The module makes more objects than the collector lets pass; the next search of new objects passes them over."""
    (tmp_path / "many_objects.py").write_text("held = [[n] for n in range(200_000)]")
    monkeypatch.syspath_prepend(tmp_path)
    ring = Ring()
    dropped = weakref.ref(ring)
    collections.clear()
    import_uncollected("many_objects")
    assert collections == []
    assert gc.isenabled()
    assert len(gc.get_objects(generation=0)) + len(gc.get_objects(generation=1)) < 100_000
    kept = [[n] for n in range(200_000)]
    assert collections
    assert len(kept) == 200_000
    # What became garbage since is still found.
    del ring
    gc.collect()
    assert dropped() is None


def test_what_was_imported_is_left_alone(collections):
    collections.clear()
    young = [[n] for n in range(100)]
    import_uncollected("sys")
    assert any(one is young[0] for one in gc.get_objects(generation=0)) or collections


def test_a_failed_import_leaves_the_collector_as_it_was():
    with pytest.raises(ModuleNotFoundError):
        import_uncollected("a_module_that_is_nowhere")
    assert gc.isenabled()
    gc.disable()
    try:
        with pytest.raises(ModuleNotFoundError):
            import_uncollected("a_module_that_is_nowhere")
        assert not gc.isenabled()
    finally:
        gc.enable()
