"""What works on this computer and what does not, on one page, ready to paste into a forum post.

The page holds no patient data, no password and no user name. It is made without torch where torch is
not installed, and a check that fails itself becomes a line of the page.
"""

from __future__ import annotations

import enum
import hashlib
import importlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from SegmentationAILib import __version__
from SegmentationAILib.dependencies import installed_version, torch_installed
from SegmentationAILib.engine import cuda_driver
from SegmentationAILib.errors import InputError
from SegmentationAILib.resources import resource

PACKAGES = ("numpy", "scipy", "SimpleITK", "pydicom", "vtk", "psutil", "click", "nibabel", "highdicom")

GB = 1e9
# A chest CT of 512 x 512 x 600 voxels as float32 (0.6 GB) with the copies of one run took up to 4 GB.
MEMORY_NEEDED = 4 * GB
# torch with its CUDA libraries unpacks to about 5 GB; results and temporary files are small beside it.
DISK_NEEDED = 6 * GB
# Windows refuses paths of more than 260 characters unless long paths are on (MAX_PATH, Windows API);
# the longest path inside a torch 2.12 wheel has 150.
WINDOWS_PATH_LIMIT = 260
LONGEST_PATH_IN_TORCH = 150


class Status(enum.Enum):
    OK = "OK"
    WARN = "WARN"
    FAIL = "FAIL"


@dataclass(frozen=True)
class Line:
    """One finding; ``advice`` says what to do where it is not OK."""

    status: Status
    topic: str
    text: str
    advice: str = ""


@dataclass(frozen=True)
class SystemReport:
    """The findings, in the order of the page."""

    lines: tuple[Line, ...]

    @property
    def failed(self) -> bool:
        return any(line.status is Status.FAIL for line in self.lines)

    def to_text(self) -> str:
        """The page: a line per finding, what to do below it, and a verdict at the end."""
        width = max(len(line.topic) for line in self.lines)
        page = ["ThoraxAI system check", ""]
        for line in self.lines:
            page.append(f"{line.status.value:4}  {line.topic:{width}}  {line.text}")
            if line.advice:
                page.append(f"{'':{width + 8}}-> {line.advice}")
        page += ["", self._verdict()]
        return without_user_name("\n".join(page)) + "\n"

    def _verdict(self) -> str:
        failures = sum(line.status is Status.FAIL for line in self.lines)
        warnings = sum(line.status is Status.WARN for line in self.lines)
        if failures:
            return f"ThoraxAI cannot run yet: {_count(failures, 'failure')}, {_count(warnings, 'warning')}."
        return "ThoraxAI can run." if not warnings else f"ThoraxAI can run; {_count(warnings, 'warning')}."


def report(application: str = "none (command line)") -> SystemReport:
    """Check everything; takes a few seconds where torch is not imported yet.

    Args:
        application: name and version of the application that asks, such as "3D Slicer 5.12.3".
    """
    checks: tuple[tuple[str, Callable[[], Iterator[Line]]], ...] = (
        ("Versions", lambda: check_versions(application)),
        ("PyTorch", check_torch),
        ("GPU", check_gpus),
        ("Memory", check_memory),
        ("Disk", check_disk),
        ("Models", check_models),
        ("Network", check_network),
        ("Paths", check_paths),
        ("Packages", check_packages),
    )
    return SystemReport(tuple(line for topic, check in checks for line in _run(topic, check)))


def _run(topic: str, check: Callable[[], Iterator[Line]]) -> Iterator[Line]:
    try:
        yield from check()
    except Exception as error:
        yield Line(
            Status.WARN,
            topic,
            f"could not be checked: {type(error).__name__}: {error}",
            "paste this page into a post on discourse.slicer.org.",
        )


def check_versions(application: str) -> Iterator[Line]:
    yield Line(Status.OK, "ThoraxAI", __version__)
    yield Line(Status.OK, "Application", application)
    version = platform.python_version()
    if (3, 10) <= sys.version_info[:2] <= (3, 13):
        yield Line(Status.OK, "Python", version)
    else:
        yield Line(Status.FAIL, "Python", version, "use Python 3.10 to 3.13, or Slicer 5.10 or newer.")
    cores = os.cpu_count() or 1
    yield Line(Status.OK, "System", f"{platform.platform(terse=True)}, {platform.machine()}, {_count(cores, 'core')}")


def check_torch() -> Iterator[Line]:
    """torch is installed and whole, new enough, and can be imported."""
    try:
        installed = torch_installed()
    except InputError as error:
        wrong, _, what_to_do = str(error).partition("; ")
        yield Line(Status.FAIL, "PyTorch", wrong, what_to_do)
        return
    if not installed:
        yield Line(
            Status.FAIL,
            "PyTorch",
            "not installed",
            "in Slicer, install the extension 'PyTorch' and start a run, which offers to install it; "
            "elsewhere: pip install torch.",
        )
        return
    try:
        torch = importlib.import_module("torch")
    except (ImportError, OSError) as error:
        yield Line(
            Status.FAIL,
            "PyTorch",
            f"{installed_version('torch')} is installed but cannot be loaded: {error}",
            "uninstall PyTorch in the module 'PyTorch Utils', restart Slicer and install it again.",
        )
        return
    yield Line(Status.OK, "PyTorch", f"{torch.__version__}, {_backend(torch)}")


def check_gpus() -> Iterator[Line]:
    """Each GPU against torch's build: driver, compute capability, free memory."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.backends.mps.is_available():
        yield Line(Status.OK, "GPU", "Apple GPU (mps), which shares the computer's memory")
        return
    driver = cuda_driver.query()
    if driver is None or not driver.gpus:
        yield Line(Status.OK, "GPU", "no NVIDIA GPU or driver found; the CPU is used, which is slower")
        return
    yield Line(Status.OK, "NVIDIA driver", f"{nvidia_driver_version() or 'version unknown'}, runs CUDA up to "
               f"{_dotted(driver.cuda)}")  # fmt: skip
    for gpu in driver.gpus:
        yield check_gpu(gpu, driver, torch)


def check_gpu(gpu: cuda_driver.Gpu, driver: cuda_driver.CudaDriver, torch: ModuleType | None) -> Line:
    """Whether torch, as it is built, can use this GPU with this driver."""
    topic = f"GPU {gpu.index}"
    text = f"{gpu.name}, {gpu.memory / GB:.0f} GB, compute capability {_dotted(gpu.capability)}"
    if torch is None:
        return Line(Status.OK, topic, text)
    if torch.version.cuda is None:
        return Line(
            Status.WARN,
            topic,
            f"{text}; not used, because PyTorch is built for the CPU only",
            "uninstall PyTorch in the module 'PyTorch Utils', restart Slicer and install it with a CUDA backend.",
        )
    if not cuda_driver.architecture_supported(gpu.capability, torch.cuda.get_arch_list()):
        return Line(
            Status.WARN,
            topic,
            f"{text}; this PyTorch has no code for it (it has {' '.join(torch.cuda.get_arch_list())})",
            "install another version of PyTorch in the module 'PyTorch Utils', or choose the device CPU.",
        )
    if not torch.cuda.is_available():
        return Line(
            Status.WARN,
            topic,
            f"{text}; PyTorch for CUDA {torch.version.cuda} cannot use it, the driver runs CUDA up to "
            f"{_dotted(driver.cuda)}",
            "update the NVIDIA driver, or install PyTorch for an older CUDA in the module 'PyTorch Utils'.",
        )
    free, _total = torch.cuda.mem_get_info(gpu.index)
    text = f"{text}, {free / GB:.1f} GB free"
    if free < MEMORY_NEEDED:
        return Line(Status.WARN, topic, text, "close programs that use the GPU, or choose the device CPU.")
    return Line(Status.OK, topic, text)


def nvidia_driver_version() -> str | None:
    """The driver's version as nvidia-smi tells it, or None."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    try:
        result = subprocess.run(
            [program, "--query-gpu=driver_version", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return (result.stdout.split() or [None])[0]


def check_memory() -> Iterator[Line]:
    if installed_version("psutil") is None:
        yield Line(Status.WARN, "Memory", "unknown, because psutil is not installed", "the first run offers to do so.")
        return
    memory = importlib.import_module("psutil").virtual_memory()
    text = f"{memory.total / GB:.1f} GB, {memory.available / GB:.1f} GB free"
    if memory.available < MEMORY_NEEDED:
        yield Line(Status.WARN, "Memory", text, "close other programs; a run needs up to 4 GB.")
    else:
        yield Line(Status.OK, "Memory", text)


def check_disk() -> Iterator[Line]:
    """Free space where temporary files, installed packages and models go."""
    places = {"temporary files": Path(tempfile.gettempdir()), "Python packages": Path(sys.prefix)}
    models = resource("Models")
    if models is not None:
        places["models"] = models
    for name, folder in places.items():
        free = shutil.disk_usage(folder).free
        text = f"{free / GB:.1f} GB free for {name} ({folder})"
        if free < DISK_NEEDED:
            yield Line(Status.WARN, "Disk", text, "free some space; PyTorch with GPU support needs 6 GB.")
        else:
            yield Line(Status.OK, "Disk", text)


def check_models() -> Iterator[Line]:
    """Built-in models and the start of their SHA-256."""
    folder = resource("Models")
    files = [path for path in sorted(folder.iterdir()) if path.suffix not in (".md", ".json")] if folder else []
    if not files:
        yield Line(Status.OK, "Models", "none built in yet; detection and lungs work without a trained model")
    for path in files:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        yield Line(Status.OK, "Models", f"{path.name}, {path.stat().st_size / 1e6:.1f} MB, sha256 {digest[:16]}")


def check_network() -> Iterator[Line]:
    """Whether a proxy is set; its address may hold a password and is not told."""
    kinds = [kind for kind in ("http", "https", "all") if any(os.environ.get(n) for n in _proxy_names(kind))]
    text = f"proxy set for {', '.join(kinds)}" if kinds else "no proxy set"
    yield Line(Status.OK, "Network", f"{text}; needed for installing only")


def check_paths() -> Iterator[Line]:
    """Folders whose names make Windows programs fail."""
    packages = Path(importlib.import_module("sysconfig").get_path("purelib"))
    places = {"packages": packages, "temporary files": Path(tempfile.gettempdir())}
    yield from windows_path_problems(places) if sys.platform == "win32" else ()
    yield Line(Status.OK, "Paths", f"Python in {sys.prefix}")


def windows_path_problems(places: dict[str, Path], long_paths: bool | None = None) -> Iterator[Line]:
    """A line for each folder that is too deep for torch's files or holds characters beyond ASCII."""
    for name, folder in places.items():
        if not str(folder).isascii():
            yield Line(
                Status.WARN,
                "Paths",
                f"the folder for {name} holds characters that some programs cannot read ({folder})",
                "install Slicer in a folder such as C:\\Slicer, and set the variables TEMP and TMP to C:\\Temp.",
            )
    long_paths = windows_long_paths_on() if long_paths is None else long_paths
    length = len(str(places["packages"]))
    if not long_paths and length + LONGEST_PATH_IN_TORCH > WINDOWS_PATH_LIMIT:
        yield Line(
            Status.WARN,
            "Paths",
            f"the folder for packages has {length} characters, and PyTorch's files add up to "
            f"{LONGEST_PATH_IN_TORCH}; Windows allows {WINDOWS_PATH_LIMIT}",
            "turn on long paths in Windows, or install Slicer in a short folder such as C:\\Slicer.",
        )


def windows_long_paths_on() -> bool:
    """The setting LongPathsEnabled of Windows 10 and newer."""
    import winreg  # noqa: PLC0415 - only Windows has it

    with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, r"SYSTEM\CurrentControlSet\Control\FileSystem") as key:
        return bool(winreg.QueryValueEx(key, "LongPathsEnabled")[0])


def check_packages() -> Iterator[Line]:
    versions = [f"{name} {version}" for name in PACKAGES if (version := installed_version(name))]
    yield Line(Status.OK, "Packages", ", ".join(versions))


def without_user_name(text: str) -> str:
    """The text with the home folder as ~ and the user's name elsewhere in paths as ~."""
    home = str(Path.home())
    if len(home) > 1:
        text = text.replace(home, "~")
    user = Path.home().name
    if user and user != "root":
        text = re.sub(rf"(?<=[\\/]){re.escape(user)}(?=[\\/)\s]|$)", "~", text, flags=re.IGNORECASE)
    return text


def _backend(torch: ModuleType) -> str:
    if torch.version.cuda:
        return f"built for CUDA {torch.version.cuda}"
    if getattr(torch.version, "hip", None):
        return f"built for ROCm {torch.version.hip}"
    return "with Apple GPU support" if torch.backends.mps.is_available() else "built for the CPU"


def _proxy_names(kind: str) -> tuple[str, str]:
    return f"{kind}_proxy", f"{kind.upper()}_PROXY"


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
