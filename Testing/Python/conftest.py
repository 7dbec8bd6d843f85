"""Fixtures that all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from host.mrml import MrmlSession, start_mrml

ROOT = Path(__file__).resolve().parents[2]
MISSING_LIBRARIES = os.environ.get("THORAXAI_MISSING_LIBRARIES", "")

if not MISSING_LIBRARIES:
    from host import boot

    # Test files import qt and the modules' files at their top, as Slicer lets them.
    boot.start()


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real CTs with ground truth."""
    folder = Path(os.environ.get("THORAXAI_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"the real CTs are not here ({folder}); set THORAXAI_DATA to their folder")
    return folder


@pytest.fixture(scope="session")
def mrml_session() -> MrmlSession:
    """A real MRML scene with Slicer's module logics, without Qt."""
    return start_mrml()


@pytest.fixture
def slicer_host():
    """The stand-in for the Slicer application, with an empty scene."""
    if MISSING_LIBRARIES:
        pytest.skip(f"Qt's system libraries are missing: {MISSING_LIBRARIES}")
    host = boot.start()
    host.clear_scene()
    host.make_views()
    return host
