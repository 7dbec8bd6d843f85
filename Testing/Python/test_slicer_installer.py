"""How the modules ask and install inside Slicer: the exact calls, with pip and PyTorchUtils recorded."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import pytest
import slicer

from SegmentationAILib import dependencies
from SegmentationAILib.errors import Cancelled, InputError


@pytest.fixture
def module(slicer_host):
    from SegmentationAILib import slicer_application  # noqa: PLC0415 - needs the host

    return slicer_application


@pytest.fixture
def calls() -> list[tuple]:
    return []


@pytest.fixture
def in_use(monkeypatch):
    """Slicer as a user runs it, not in its testing mode."""
    monkeypatch.setattr(slicer.app, "testingEnabled", lambda: False)


def fake_module(monkeypatch, name: str, **attributes) -> ModuleType:
    module = ModuleType(name)
    vars(module).update(attributes)
    monkeypatch.setitem(sys.modules, name, module)
    return module


@pytest.fixture
def pytorch_extension(monkeypatch, calls):
    class PyTorchUtilsLogic:
        def installTorch(
            self,
            askConfirmation=False,
            forceComputationBackend=None,
            torchVersionRequirement=None,
            torchvisionVersionRequirement=None,
        ):
            calls.append(("installTorch", askConfirmation, torchVersionRequirement))

    fake_module(monkeypatch, "PyTorchUtils", PyTorchUtilsLogic=PyTorchUtilsLogic)


def test_packages_go_through_slicers_own_installer(module, monkeypatch, calls):
    def pip_ensure(requirements, requester=None, prompt_install=True):
        calls.append((requirements, requester, prompt_install))

    packaging = fake_module(monkeypatch, "slicer.packaging", pip_ensure=pip_ensure)
    monkeypatch.setattr(slicer, "packaging", packaging, raising=False)
    module.SlicerInstaller().install_packages(("psutil>=5.9",))
    assert calls == [(["psutil>=5.9"], "ThoraxAI", False)]


def test_packages_go_through_pip_install_in_slicer_5_10(module, monkeypatch, calls):
    monkeypatch.setitem(sys.modules, "slicer.packaging", None)
    monkeypatch.delattr(slicer, "packaging", raising=False)
    monkeypatch.setattr(slicer.util, "pip_install", lambda requirements: calls.append(requirements), raising=False)
    module.SlicerInstaller().install_packages(("psutil>=5.9",))
    assert calls == [["psutil>=5.9"]]


def test_torch_goes_through_the_pytorch_extension(module, pytorch_extension, calls):
    module.SlicerInstaller().install_torch(">=2.5")
    assert calls == [("installTorch", False, ">=2.5")]


def test_pytorch_extension_with_other_argument_names_still_works(module, monkeypatch, calls):
    logic = SimpleNamespace(installTorch=lambda askConfirmation=True: calls.append(askConfirmation))
    fake_module(monkeypatch, "PyTorchUtils", PyTorchUtilsLogic=lambda: logic)
    module.SlicerInstaller().install_torch(">=2.5")
    assert calls == [False]


def test_missing_pytorch_extension_is_one_sentence(module, monkeypatch):
    monkeypatch.setitem(sys.modules, "PyTorchUtils", None)
    with pytest.raises(InputError, match="install it in the Extensions Manager, restart Slicer"):
        module.SlicerInstaller().install_torch(">=2.5")


def test_user_is_asked(module, in_use, monkeypatch, calls):
    def confirm(text, windowTitle=None):
        calls.append(text)
        return False

    monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", confirm)
    assert not module.SlicerInstaller().confirm("Install now?")
    assert calls == ["Install now?"]


def test_nothing_is_installed_in_testing_mode(module, monkeypatch, pytorch_extension, calls):
    monkeypatch.setattr(slicer.app, "testingEnabled", lambda: True)
    monkeypatch.setattr(dependencies, "torch_installed", lambda: False)
    with pytest.raises(Cancelled):
        module.install_dependencies()
    assert calls == []


def test_from_question_to_torch(module, in_use, monkeypatch, pytorch_extension, calls):
    """The whole way in one go: asked, installed, found."""
    monkeypatch.setattr(slicer.util, "confirmOkCancelDisplay", lambda text, windowTitle=None: True)
    monkeypatch.setattr(dependencies, "torch_installed", lambda: bool(calls))
    module.install_dependencies()
    assert [name for name, *_ in calls] == ["installTorch"]
