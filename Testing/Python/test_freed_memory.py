"""What is freed is kept while models run, and given back after."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

from SegmentationAILib.engine.freed_memory import freed_memory_kept

_BLOCK = 200 << 20
# In a process of its own, where nothing else was freed.
_MEASURE = f"""
import contextlib, resource
import psutil, torch
from SegmentationAILib.engine.freed_memory import freed_memory_kept

def cleared():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones({_BLOCK}, dtype=torch.uint8)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) * resource.getpagesize()

def resident():
    return psutil.Process().memory_info().rss

cleared()
before = resident()
with contextlib.suppress(KeyError), freed_memory_kept():
    each = [cleared() for _ in range(12)]
    print(sum(each[4:]), resident() - before)
    raise KeyError
print(resident() - before, cleared())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="Only glibc keeps memory when it is told to.")
def test_kept_blocks_are_used_again_and_given_back_even_after_an_error():
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    told = subprocess.run(
        [sys.executable, "-c", _MEASURE], env=environment, capture_output=True, text=True, check=True
    ).stdout.split()
    cleared, kept, left, cleared_after = map(int, told)
    assert cleared < 0.01 * _BLOCK
    assert 0.9 * _BLOCK < kept < 3.1 * _BLOCK
    assert left < 0.1 * _BLOCK
    assert cleared_after > 0.9 * _BLOCK


def test_other_systems_do_without(monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    with freed_memory_kept():
        pass
