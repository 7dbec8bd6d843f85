"""What must be installed into Slicer's Python before the first run, and the rules for doing it.

Nothing is installed without asking, and nothing that Slicer ships is replaced. This file decides;
the ``Installer`` (``slicer_application``) does the asking and the installing.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from SegmentationAILib.errors import InputError
from SegmentationAILib.resources import resource

# Packages in Slicer's Python (SuperBuild/External_python-*.cmake, Slicer 5.10 to 5.13) that pip could
# replace on the way; a second copy breaks Slicer or another extension. pip, setuptools and wheel are
# left out: they only build packages, and torch sets its own limits to setuptools.
SHIPPED_BY_SLICER = (
    "certifi",
    "cryptography",
    "dcmqi",
    "dicomweb-client",
    "highdicom",
    "numpy",
    "packaging",
    "pillow",
    "pydicom",
    "requests",
    "scipy",
    "simpleitk",
    "typing-extensions",
    "urllib3",
    "vtk",
)

# safe_globals, with which checkpoints are read, came with 2.5.
TORCH = ">=2.5"
# The wheels of torch 2.13 hold paths that are too long for Slicer's default folder on Windows
# (WinError 206).
TORCH_ON_WINDOWS = ">=2.5,<2.13"


class Installer(Protocol):
    """What only the Slicer application can do."""

    def confirm(self, question: str) -> bool:
        """Ask the user; False where there is nobody to ask."""

    def install_packages(self, requirements: Sequence[str]) -> None:
        """Install with pip."""

    def install_torch(self, version: str) -> None:
        """Install torch of a version such as ``">=2.5"`` through the PyTorch extension.

        Raises:
            InputError: the PyTorch extension is missing.
        """


@dataclass(frozen=True)
class Missing:
    """What is to be installed."""

    packages: tuple[str, ...]
    torch: bool

    def __bool__(self) -> bool:
        return self.torch or bool(self.packages)

    @property
    def names(self) -> list[str]:
        return [*(["PyTorch"] if self.torch else []), *(_name(line) for line in self.packages)]


def requirements() -> list[str]:
    """Packages that both modules need and Slicer lacks."""
    return read_requirements(resource("requirements.txt"))


def read_requirements(path: Path) -> list[str]:
    """The lines of a requirements file, without comments.

    Raises:
        ValueError: a line names a package that Slicer ships, or torch, or is an option or an address.
    """
    lines = [line.split("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines()]
    requirements = [line for line in lines if line]
    for line in requirements:
        if line.startswith("-") or "@" in line:
            raise ValueError(f"{path.name}: only names and versions of packages are allowed, not '{line}'")
        if _name(line) in SHIPPED_BY_SLICER:
            raise ValueError(f"{path.name}: '{line}' comes with Slicer and must not be replaced")
        if _name(line) in ("torch", "torchvision"):
            raise ValueError(f"{path.name}: '{line}' must come through the PyTorch extension")
    return requirements


def find_missing(requirements: Sequence[str]) -> Missing:
    """What is not installed yet, or too old; looks at metadata only and imports nothing.

    Raises:
        InputError: torch is half installed, or too old.
    """
    packages = tuple(line for line in requirements if not _satisfied(line))
    return Missing(packages, torch=not torch_installed())


def torch_installed() -> bool:
    """Whether torch can be imported, without importing it.

    Raises:
        InputError: some of torch's files are there and others are not, as an installation that was
            broken off leaves it, or its version is too old.
    """
    spec = importlib.util.find_spec("torch")
    version = installed_version("torch")
    if (spec is not None and spec.origin is not None) and version is not None:
        # One that runs may serve other extensions too, so the user decides.
        if version not in SpecifierSet(TORCH, prereleases=True):
            raise InputError(
                f"PyTorch {version} is too old, {TORCH.removeprefix('>=')} or newer is needed; in Slicer, open the "
                "module 'PyTorch Utils', uninstall PyTorch there, restart, and start a run, which offers to install "
                "it; elsewhere: pip install --upgrade torch."
            )
        return True
    if spec is None and version is None:
        return False
    raise InputError(
        "PyTorch is only half installed; restart Slicer, open the module 'PyTorch Utils', "
        "uninstall PyTorch there, install it again and restart."
    )


def require(requirements: Sequence[str]) -> None:
    """Check that everything is installed.

    Raises:
        InputError: something is missing.
    """
    missing = find_missing(requirements)
    if missing:
        raise InputError(
            f"{_listed(missing.names)} must be installed first; open the module SegmentationAI or LungNoduleAI "
            "and start a run there, and it will offer to do so."
        )


def install(requirements: Sequence[str], installer: Installer) -> bool:
    """Install what is missing, after asking once.

    Returns:
        False when the user declined; nothing was changed then.

    Raises:
        InputError: it did not work; the message says why and what to do.
    """
    missing = find_missing(requirements)
    if not missing:
        return True
    size = " (a download of up to 3 GB with GPU support)" if missing.torch else ""
    question = (
        f"ThoraxAI needs {_listed(missing.names)}{size} in Slicer's Python. "
        "Nothing that comes with Slicer is changed. Install now?"
    )
    if not installer.confirm(question):
        return False
    with shipped_versions_pinned():
        if missing.packages:
            installer.install_packages(missing.packages)
        if missing.torch:
            installer.install_torch(TORCH_ON_WINDOWS if sys.platform == "win32" else TORCH)
    importlib.invalidate_caches()
    left = find_missing(requirements)
    if left:
        raise InputError(
            f"{_listed(left.names)} could not be installed; restart Slicer and try again, "
            "and if it fails again paste the text of 'Check system' and of Slicer's log into a forum post."
        )
    return True


@contextmanager
def shipped_versions_pinned() -> Iterator[Path]:
    """While this lasts, no pip of this process or its children can replace what Slicer ships.

    Every pip reads PIP_CONSTRAINT, also the one that the PyTorch extension calls.
    """
    versions = ((name, installed_version(name)) for name in SHIPPED_BY_SLICER)
    lines = [f"{name}=={version}\n" for name, version in versions if version]
    before = os.environ.get("PIP_CONSTRAINT")
    with tempfile.TemporaryDirectory(prefix="ThoraxAI-") as folder:
        path = Path(folder) / "constraints.txt"
        path.write_text("".join(lines), encoding="utf-8")
        # As an address, because pip splits the variable at blanks and a user's name may hold one.
        os.environ["PIP_CONSTRAINT"] = " ".join(filter(None, (before, path.as_uri())))
        try:
            yield path
        finally:
            if before is None:
                del os.environ["PIP_CONSTRAINT"]
            else:
                os.environ["PIP_CONSTRAINT"] = before


def installed_version(name: str) -> str | None:
    """The version of an installed distribution, or None."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _satisfied(line: str) -> bool:
    requirement = Requirement(line)
    version = installed_version(requirement.name)
    return version is not None and requirement.specifier.contains(version, prereleases=True)


def _name(requirement: str) -> str:
    """The package's name as pip compares names (PEP 503)."""
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    return re.sub(r"[-_.]+", "-", found.group() if found else requirement).lower()


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
