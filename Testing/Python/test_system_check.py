"""The page on what works: every state of a computer that users ask about, and nothing private on it."""

from __future__ import annotations

import ctypes
import hashlib
import os
import subprocess
import sys
from pathlib import Path, PureWindowsPath
from types import SimpleNamespace

import pytest

from SegmentationAILib import system_check
from SegmentationAILib.engine import cuda_driver
from SegmentationAILib.engine.cuda_driver import CudaDriver, Gpu
from SegmentationAILib.errors import InputError
from SegmentationAILib.system_check import Line, Status, SystemReport

H200 = Gpu(0, "NVIDIA H200", 150_754_820_096, (9, 0))
DRIVER = CudaDriver((12, 8), (H200,))


def fake_torch(*, cuda="12.8", architectures=("sm_80", "sm_90"), available=True, free=100e9, mps=False):
    return SimpleNamespace(
        __version__="2.9.0",
        version=SimpleNamespace(cuda=cuda),
        backends=SimpleNamespace(mps=SimpleNamespace(is_available=lambda: mps)),
        cuda=SimpleNamespace(
            is_available=lambda: available,
            get_arch_list=lambda: list(architectures),
            mem_get_info=lambda index: (int(free), int(150e9)),
        ),
    )


def test_page_of_this_computer_has_every_topic():
    page = system_check.report("3D Slicer 5.12.3").to_text()
    for topic in (
        "ThoraxAI",
        "Application",
        "Python",
        "System",
        "PyTorch",
        "GPU",
        "Memory",
        "Disk",
        "Models",
        "Network",
    ):
        assert f"  {topic}" in page
    assert "3D Slicer 5.12.3" in page
    assert len(page.splitlines()) < 60


def test_page_is_made_without_torch():
    """In a Python that cannot find torch, from the first import on."""
    code = (
        "import importlib.abc, importlib.metadata, sys\n"
        "class NoTorch(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'torch': raise ModuleNotFoundError(name)\n"
        "import importlib.util\n"
        "find = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *rest: None if name == 'torch' else find(name, *rest)\n"
        "version = importlib.metadata.version\n"
        "def no_torch(name):\n"
        "    if name == 'torch': raise importlib.metadata.PackageNotFoundError(name)\n"
        "    return version(name)\n"
        "importlib.metadata.version = no_torch\n"
        "sys.meta_path.insert(0, NoTorch())\n"
        "from SegmentationAILib.system_check import report\n"
        "page = report()\n"
        "print(page.to_text())\n"
        "sys.exit(3 if page.failed else 0)\n"
    )
    folder = Path(system_check.__file__).parents[1]
    result = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    assert result.returncode == 3, result.stderr
    assert "FAIL  PyTorch" in result.stdout
    assert "not installed" in result.stdout
    assert "cannot run yet: 1 failure" in result.stdout


def test_half_installed_torch_fails_with_advice(monkeypatch):
    def half():
        raise InputError("PyTorch is only half installed; restart Slicer and install it again.")

    monkeypatch.setattr(system_check, "torch_installed", half)
    (line,) = system_check.check_torch()
    assert line.status is Status.FAIL
    assert line.advice == "restart Slicer and install it again."


def test_torch_that_cannot_be_loaded_fails_with_the_reason(monkeypatch):
    def broken(name):
        raise OSError("[WinError 126] c10.dll or one of its dependencies was not found")

    monkeypatch.setattr(system_check.importlib, "import_module", broken)
    monkeypatch.setattr(system_check, "torch_installed", lambda: True)
    (line,) = system_check.check_torch()
    assert line.status is Status.FAIL
    assert "c10.dll" in line.text


@pytest.mark.parametrize(
    ("torch", "status", "said"),
    [
        (fake_torch(), Status.OK, "100.0 GB free"),
        (fake_torch(free=1e9), Status.WARN, "1.0 GB free"),
        (fake_torch(cuda=None), Status.WARN, "built for the CPU only"),
        (fake_torch(architectures=("sm_50", "sm_86")), Status.WARN, "no code for it"),
        (fake_torch(available=False, cuda="13.0"), Status.WARN, "the driver runs CUDA up to 12.8"),
        (None, Status.OK, "151 GB"),
    ],
    ids=["fine", "little memory", "CPU build", "no code", "old driver", "no torch"],
)
def test_gpu_against_torch(torch, status, said):
    line = system_check.check_gpu(H200, DRIVER, torch)
    assert line.status is status
    assert said in line.text
    assert "NVIDIA H200" in line.text
    assert bool(line.advice) is (status is not Status.OK)


@pytest.mark.parametrize(
    ("capability", "built_for", "runs"),
    [
        ((9, 0), ["sm_80", "sm_90"], True),
        ((8, 6), ["sm_80"], True),
        ((8, 0), ["sm_86"], False),
        ((12, 0), ["sm_80", "sm_90"], False),
        ((12, 0), ["sm_90", "compute_90"], True),
        ((9, 0), ["sm_90a"], True),
        ((7, 5), [], False),
    ],
)
def test_compute_capability_against_architectures(capability, built_for, runs):
    assert cuda_driver.architecture_supported(capability, built_for) is runs


def test_without_a_driver_the_cpu_is_used(monkeypatch):
    monkeypatch.setattr(cuda_driver, "query", lambda: None)
    monkeypatch.setitem(sys.modules, "torch", fake_torch())
    (line,) = system_check.check_gpus()
    assert line.status is Status.OK
    assert "the CPU is used" in line.text


def test_apple_gpu_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", fake_torch(mps=True))
    (line,) = system_check.check_gpus()
    assert "Apple GPU" in line.text


def test_driver_and_each_gpu_have_a_line(monkeypatch):
    monkeypatch.setattr(cuda_driver, "query", lambda: DRIVER)
    monkeypatch.setattr(system_check, "nvidia_driver_version", lambda: "570.1")
    monkeypatch.setitem(sys.modules, "torch", fake_torch())
    driver, gpu = system_check.check_gpus()
    assert driver.text == "570.1, runs CUDA up to 12.8"
    assert gpu.topic == "GPU 0"


def test_nvidia_smi_tells_the_driver_version(monkeypatch, tmp_path):
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 570.124.06\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert system_check.nvidia_driver_version() == "570.124.06"
    program.write_text("#!/bin/sh\nexit 9\n")
    assert system_check.nvidia_driver_version() is None


@pytest.mark.parametrize(("available", "status"), [(1e9, Status.WARN), (32e9, Status.OK)])
def test_memory(monkeypatch, available, status):
    memory = SimpleNamespace(total=64e9, available=available)
    monkeypatch.setattr(
        system_check.importlib, "import_module", lambda name: SimpleNamespace(virtual_memory=lambda: memory)
    )
    (line,) = system_check.check_memory()
    assert line.status is status


def test_memory_is_unknown_without_psutil(monkeypatch):
    monkeypatch.setattr(system_check, "installed_version", lambda name: None)
    (line,) = system_check.check_memory()
    assert line.status is Status.WARN


@pytest.mark.parametrize(("free", "status"), [(1e9, Status.WARN), (500e9, Status.OK)])
def test_disk(monkeypatch, free, status):
    monkeypatch.setattr(system_check.shutil, "disk_usage", lambda folder: SimpleNamespace(free=free))
    assert {line.status for line in system_check.check_disk()} == {status}


def test_models_are_listed_with_their_hash(monkeypatch, tmp_path):
    (tmp_path / "nodules.pt").write_bytes(b"weights")
    (tmp_path / "nodules.md").write_text("model card")
    monkeypatch.setattr(system_check, "resource", lambda name: tmp_path)
    (line,) = system_check.check_models()
    assert line.text == f"nodules.pt, 0.0 MB, sha256 {hashlib.sha256(b'weights').hexdigest()[:16]}"


def test_without_models_the_page_says_so(monkeypatch):
    monkeypatch.setattr(system_check, "resource", lambda name: None)
    (line,) = system_check.check_models()
    assert "none built in yet" in line.text


def test_proxy_is_told_without_its_address(monkeypatch):
    monkeypatch.setenv("https_proxy", "http://doctor:secret@proxy.example.org:3128")
    (line,) = system_check.check_network()
    assert "proxy set for" in line.text
    assert "secret" not in line.text
    assert "example" not in line.text


def test_long_and_non_ascii_windows_paths_are_found():
    deep = PureWindowsPath("C:/Users/x/AppData/Local/slicer.org") / ("n" * 90) / "Lib/site-packages"
    places = {"packages": deep, "temporary files": PureWindowsPath("C:/Users/Lékař/Temp")}
    lines = list(system_check.windows_path_problems(places, long_paths=False))
    assert [line.status for line in lines] == [Status.WARN, Status.WARN]
    assert "temporary files" in lines[0].text
    assert "Windows allows 260" in lines[1].text
    assert len(list(system_check.windows_path_problems(places, long_paths=True))) == 1


def test_user_name_is_not_on_the_page(monkeypatch):
    monkeypatch.setattr(Path, "home", lambda: Path("/home/jdoe"))
    text = system_check.without_user_name("in /home/jdoe/Slicer and C:\\Users\\JDoe\\x and /data/jdoe/y, by jdoesmith")
    assert text == "in ~/Slicer and C:\\Users\\~\\x and /data/~/y, by jdoesmith"


def test_check_that_fails_becomes_a_line(monkeypatch):
    def broken():
        raise RuntimeError("no such counter")
        yield

    monkeypatch.setattr(system_check, "check_disk", broken)
    page = system_check.report()
    assert "could not be checked: RuntimeError: no such counter" in page.to_text()
    assert not any(line.status is Status.FAIL and line.topic == "Disk" for line in page.lines)


@pytest.mark.parametrize(
    ("statuses", "verdict"),
    [
        ([Status.OK], "ThoraxAI can run."),
        ([Status.OK, Status.WARN], "ThoraxAI can run; 1 warning."),
        ([Status.FAIL, Status.WARN, Status.WARN], "ThoraxAI cannot run yet: 1 failure, 2 warnings."),
    ],
)
def test_verdict(statuses, verdict):
    page = SystemReport(tuple(Line(status, "Topic", "text", "do this") for status in statuses))
    assert page.to_text().splitlines()[-1] == verdict
    assert page.failed is (Status.FAIL in statuses)


class FakeCudaLibrary:
    """The driver's functions as ctypes calls them, for two GPUs."""

    NAMES = (b"NVIDIA A", b"NVIDIA B")

    def __init__(self, *, works: bool = True) -> None:
        self._works = works

    def cuInit(self, flags):
        return 0 if self._works else 100

    def cuDriverGetVersion(self, out):
        return self._set(out, ctypes.c_int, 12080)

    def cuDeviceGetCount(self, out):
        return self._set(out, ctypes.c_int, len(self.NAMES))

    def cuDeviceGet(self, out, index):
        return self._set(out, ctypes.c_int, index)

    def cuDeviceGetName(self, buffer, length, device):
        buffer.value = self.NAMES[device.value]
        return 0

    def cuDeviceTotalMem_v2(self, out, device):
        return self._set(out, ctypes.c_size_t, (device.value + 1) * 2**34)

    def cuDeviceGetAttribute(self, out, attribute, device):
        return self._set(out, ctypes.c_int, {75: 8, 76: 6}[attribute])

    @staticmethod
    def _set(out, kind, value):
        ctypes.cast(out, ctypes.POINTER(kind))[0] = value
        return 0


def test_driver_lists_gpus_in_torch_order():
    driver = cuda_driver.query(lambda name: FakeCudaLibrary())
    assert driver.cuda == (12, 8)
    assert [gpu.device for gpu in driver.gpus] == ["cuda:0", "cuda:1"]
    assert driver.gpus[1] == Gpu(1, "NVIDIA B", 2 * 2**34, (8, 6))


def test_no_driver_or_a_broken_one_is_none():
    def missing(name):
        raise OSError(name)

    assert cuda_driver.query(missing) is None
    assert cuda_driver.query(lambda name: FakeCudaLibrary(works=False)) is None
