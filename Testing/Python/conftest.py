"""Fixtures that all tests share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings
from model_server import ModelServer, model_server
from phantoms import ChestPhantom
from planted import lungs_of, planted_chest

from host.mrml import MrmlSession, start_mrml
from SegmentationAILib.engine.background import background
from SegmentationAILib.labels import LabelMap

ROOT = Path(__file__).resolve().parents[2]
# Processes beside each other share the cores.
_PROCESSES = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
if _PROCESSES > 1:
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // _PROCESSES))

# The same draws in each run, so that a failure is the change's and not the day's; long runs draw anew. None is timed.
settings.register_profile("same", deadline=None, derandomize=True)
settings.register_profile("new", deadline=None, print_blob=True)
settings.load_profile("same")

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


@pytest.fixture(scope="session", autouse=True)
def models_folder(tmp_path_factory) -> Path:
    """Nothing that tests fetch or note lands among the user's models."""
    folder = tmp_path_factory.mktemp("models")
    os.environ["THORAXAI_MODELS"] = str(folder)
    return folder


@pytest.fixture
def models(tmp_path, monkeypatch) -> Path:
    """An empty folder of the user's models, for one test."""
    monkeypatch.setenv("THORAXAI_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


@pytest.fixture
def direct(monkeypatch) -> None:
    """No proxy of this computer's, and no waiting before the next attempt to fetch."""
    from SegmentationAILib.catalog import download  # noqa: PLC0415 - needs pooch, which not all runs have

    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setattr(download, "_WAIT", 0.0)


@pytest.fixture
def server(direct) -> Iterator[ModelServer]:
    """A publisher of models on this computer."""
    with model_server() as running:
        yield running


@pytest.fixture(scope="session")
def phantom() -> ChestPhantom:
    """A chest with the nodules ``planted.PLANTED``."""
    return planted_chest()


@pytest.fixture(scope="session")
def lungs(phantom) -> LabelMap:
    """The phantom's lungs and airway as they were drawn."""
    return lungs_of(phantom)


@pytest.fixture
def one_thread():
    """Small networks are slower on many threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


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
    # What panels start is done when they have started it; tests of the worker process have one.
    background.in_process = True
    return host
