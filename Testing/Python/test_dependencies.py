"""What is installed into Slicer's Python, and what never is."""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlparse

import pytest

from SegmentationAILib import dependencies
from SegmentationAILib.errors import InputError
from SegmentationAILib.resources import resource


class RecordingInstaller:
    """Answers the question, writes down every call, and installs into the fake metadata."""

    def __init__(self, installed: set[str], *, agrees: bool = True, works: bool = True) -> None:
        self.installed = installed
        self.agrees = agrees
        self.works = works
        self.calls: list[tuple[str, object]] = []
        self.constraints: list[str] = []

    def confirm(self, question: str) -> bool:
        self.calls.append(("confirm", question))
        return self.agrees

    def install_packages(self, requirements):
        self._install("packages", list(requirements), "psutil")

    def install_torch(self, version: str) -> None:
        self._install("torch", version, "torch")

    def _install(self, kind: str, what: object, name: str) -> None:
        self.calls.append((kind, what))
        self.constraints.append(constraint_file().read_text())
        if self.works:
            self.installed.add(name)


def constraint_file() -> Path:
    path = unquote(urlparse(os.environ["PIP_CONSTRAINT"].split()[-1]).path)
    return Path(path)


@pytest.fixture
def installed(monkeypatch) -> set[str]:
    """Names of what this Python seems to hold, beside what Slicer ships."""
    names: set[str] = set()
    shipped = {"numpy": "2.4.6", "simpleitk": "2.5.5", "vtk": "9.6.0"}

    def version(name: str) -> str | None:
        return shipped.get(name) or ("99.0" if name in names else None)

    monkeypatch.setattr(dependencies, "installed_version", version)
    monkeypatch.setattr(dependencies, "torch_installed", lambda: "torch" in names)
    monkeypatch.delenv("PIP_CONSTRAINT", raising=False)
    return names


REQUIREMENTS = ["psutil>=5.9"]


def test_user_is_asked_once_and_only_what_is_missing_is_installed(installed, monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    installer = RecordingInstaller(installed)
    assert dependencies.install(REQUIREMENTS, installer)
    (asked, question), *calls = installer.calls
    assert asked == "confirm"
    assert "PyTorch and psutil" in question
    assert calls == [("packages", ["psutil>=5.9"]), ("torch", ">=2.5")]


def test_declining_leaves_everything_as_it_is(installed):
    installer = RecordingInstaller(installed, agrees=False)
    assert not dependencies.install(REQUIREMENTS, installer)
    assert [kind for kind, _ in installer.calls] == ["confirm"]
    assert "PIP_CONSTRAINT" not in os.environ


def test_nothing_is_asked_where_nothing_is_missing(installed):
    installed |= {"psutil", "torch"}
    installer = RecordingInstaller(installed)
    assert dependencies.install(REQUIREMENTS, installer)
    assert installer.calls == []
    dependencies.require(REQUIREMENTS)


def test_torch_alone_is_installed_where_the_packages_are_there(installed):
    installed.add("psutil")
    installer = RecordingInstaller(installed)
    dependencies.install(REQUIREMENTS, installer)
    assert [kind for kind, _ in installer.calls] == ["confirm", "torch"]
    assert "psutil" not in installer.calls[0][1]


def test_torch_on_windows_stays_below_the_version_with_too_long_paths(installed, monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    installer = RecordingInstaller(installed)
    dependencies.install(REQUIREMENTS, installer)
    assert ("torch", ">=2.5,<2.13") in installer.calls


def test_what_slicer_ships_is_pinned_while_pip_runs(installed):
    installer = RecordingInstaller(installed)
    dependencies.install(REQUIREMENTS, installer)
    for constraints in installer.constraints:
        assert constraints.splitlines() == ["numpy==2.4.6", "simpleitk==2.5.5", "vtk==9.6.0"]
    assert len(installer.constraints) == 2
    assert "PIP_CONSTRAINT" not in os.environ


def test_a_constraint_of_the_user_stays(installed, monkeypatch):
    monkeypatch.setenv("PIP_CONSTRAINT", "file:///site/constraints.txt")
    with dependencies.shipped_versions_pinned() as path:
        assert os.environ["PIP_CONSTRAINT"] == f"file:///site/constraints.txt {path.as_uri()}"
    assert os.environ["PIP_CONSTRAINT"] == "file:///site/constraints.txt"


def test_pip_itself_refuses_to_replace_what_is_pinned():
    """Real pip with the real pin: a requirement for another numpy has no solution."""
    version = importlib.metadata.version("numpy")
    with dependencies.shipped_versions_pinned():
        result = subprocess.run(
            [
                sys.executable,
                "-m",
                "pip",
                "install",
                "--dry-run",
                "--no-index",
                "--disable-pip-version-check",
                "numpy<1",
            ],
            capture_output=True,
            text=True,
            check=False,
        )
    assert result.returncode != 0
    assert re.search(rf"constraint.*numpy=={re.escape(version)}", result.stdout + result.stderr)


def test_failed_installation_says_what_is_still_missing(installed):
    installer = RecordingInstaller(installed, works=False)
    with pytest.raises(InputError, match="PyTorch and psutil could not be installed"):
        dependencies.install(REQUIREMENTS, installer)


def test_run_without_what_it_needs_is_refused(installed):
    with pytest.raises(InputError, match="PyTorch and psutil must be installed first"):
        dependencies.require(REQUIREMENTS)


@pytest.mark.parametrize("line", ["SimpleITK", "numpy>=2", "vtk==9.6", "scipy", "pydicom~=3.0", "NumPy"])
def test_requirements_that_name_what_slicer_ships_are_refused(tmp_path, line):
    path = tmp_path / "requirements.txt"
    path.write_text(f"psutil\n{line}\n")
    with pytest.raises(ValueError, match="comes with Slicer"):
        dependencies.read_requirements(path)


@pytest.mark.parametrize("line", ["torch", "torchvision>=0.20"])
def test_torch_never_comes_from_the_requirements(tmp_path, line):
    path = tmp_path / "requirements.txt"
    path.write_text(line)
    with pytest.raises(ValueError, match="through the PyTorch extension"):
        dependencies.read_requirements(path)


@pytest.mark.parametrize(
    "line", ["-r other.txt", "--index-url https://example.org", "tool @ https://example.org/t.whl"]
)
def test_requirements_hold_names_only(tmp_path, line):
    path = tmp_path / "requirements.txt"
    path.write_text(line)
    with pytest.raises(ValueError, match="only names and versions"):
        dependencies.read_requirements(path)


def test_requirements_of_the_extension_keep_the_rules():
    wanted = [
        *("filelock", "jinja2", "jsonschema", "platformdirs", "pooch"),
        *("psutil", "pynetdicom", "PyYAML", "reportlab", "safetensors"),
    ]
    lines = dependencies.read_requirements(resource("requirements.txt"))
    assert [line.partition(">=")[0] for line in lines] == wanted


class Spec:
    def __init__(self, origin: str | None) -> None:
        self.origin = origin


@pytest.mark.parametrize(
    ("spec", "version", "expected"),
    [
        (None, None, False),
        (Spec("torch/__init__.py"), "2.13.0", True),
        (Spec("torch/__init__.py"), "2.5.1+cu121", True),
        (Spec("torch/__init__.py"), "2.14.0.dev20261101", True),
    ],
)
def test_torch_is_whole_or_absent(monkeypatch, spec, version, expected):
    monkeypatch.setattr(dependencies.importlib.util, "find_spec", lambda name: spec)
    monkeypatch.setattr(dependencies, "installed_version", lambda name: version)
    assert dependencies.torch_installed() is expected


@pytest.mark.parametrize(
    ("spec", "version"),
    [(Spec(None), None), (Spec(None), "2.13.0"), (None, "2.13.0")],
    ids=["namespace package", "namespace package with metadata", "metadata alone"],
)
def test_half_installed_torch_says_what_to_do(monkeypatch, spec, version):
    monkeypatch.setattr(dependencies.importlib.util, "find_spec", lambda name: spec)
    monkeypatch.setattr(dependencies, "installed_version", lambda name: version)
    with pytest.raises(InputError, match="half installed; restart Slicer"):
        dependencies.torch_installed()


@pytest.mark.parametrize("version", ["2.4.1", "1.13.1+cu117"])
def test_torch_that_is_too_old_is_told_of(monkeypatch, version):
    monkeypatch.setattr(dependencies.importlib.util, "find_spec", lambda name: Spec("torch/__init__.py"))
    monkeypatch.setattr(dependencies, "installed_version", lambda name: version)
    with pytest.raises(InputError, match=rf"PyTorch {re.escape(version)} is too old, 2\.5 or newer is needed"):
        dependencies.torch_installed()


@pytest.mark.parametrize(("version", "missing"), [("5.8.1", True), ("5.9", False), ("7.0.0rc1", False)])
def test_a_package_that_is_too_old_is_installed_anew(monkeypatch, version, missing):
    monkeypatch.setattr(dependencies, "installed_version", lambda name: version)
    monkeypatch.setattr(dependencies, "torch_installed", lambda: True)
    assert dependencies.find_missing(REQUIREMENTS).packages == (tuple(REQUIREMENTS) if missing else ())


def test_looking_for_torch_does_not_import_it():
    code = (
        "import sys; from SegmentationAILib.dependencies import find_missing; "
        "find_missing(['psutil>=5.9']); sys.exit('torch' in sys.modules)"
    )
    folder = Path(dependencies.__file__).parents[1]
    assert subprocess.run([sys.executable, "-c", code], cwd=folder, check=False).returncode == 0
