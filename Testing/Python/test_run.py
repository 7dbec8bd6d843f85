"""run.py: what it says when something cannot be set up, and what it runs."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def run() -> ModuleType:
    spec = importlib.util.spec_from_file_location("run", ROOT / "run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_needs_nothing_but_the_standard_library(run):
    code = f"import runpy; runpy.run_path({str(ROOT / 'run.py')!r}, run_name='imported')"
    subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True)


def test_a_failed_install_names_the_package_and_why(run, tmp_path, monkeypatch):
    lock = tmp_path / "requirements.txt"
    lock.write_text("# made by hand\nno-such-package-anywhere==1.0 ; python_version >= '3.10'\n")
    monkeypatch.setattr(run, "LOCK", lock)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    with pytest.raises(run.SetupError, match=r"no-such-package-anywhere==1\.0: No matching distribution.*Mend that"):
        run.install_packages(Path(sys.executable))


@pytest.mark.parametrize("version", [(3, 9, 18), (3, 14, 0)])
def test_another_python_is_refused_with_what_to_do(run, monkeypatch, version):
    monkeypatch.setattr(run.sys, "version_info", version)
    with pytest.raises(run.SetupError, match=r"run this file with Python 3\.10"):
        run.check_python()


def test_an_up_to_date_environment_is_reused(run, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "ENVIRONMENT", tmp_path)
    python = tmp_path / ("Scripts/python.exe" if run.os.name == "nt" else "bin/python")
    python.parent.mkdir()
    python.touch()
    made = []
    monkeypatch.setattr(run, "install_packages", made.append)
    monkeypatch.setattr(run.venv, "create", lambda *args, **options: python.touch())
    assert run.prepare_environment() == python
    assert run.prepare_environment() == python
    assert made == [python]
    monkeypatch.setattr(run, "TORCH", "torch==0")
    run.prepare_environment()
    assert made == [python, python]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux leaves these libraries to its packages")
def test_missing_libraries_are_found_and_the_command_is_named(run, monkeypatch, capsys):
    monkeypatch.setattr(run, "SYSTEM_LIBRARIES", {"libno-such-thing.so.1": "libno-such-thing1"})
    monkeypatch.setattr(run.os, "geteuid", lambda: 1000)
    monkeypatch.setattr(run.shutil, "which", lambda name: "/usr/bin/apt-get")
    assert run.install_system_libraries() == ["libno-such-thing.so.1"]
    assert "type: sudo apt-get install -y --no-install-recommends libno-such-thing1" in capsys.readouterr().err


def test_without_opengl_the_demo_is_told(run, monkeypatch):
    monkeypatch.setattr(run.sys, "argv", ["run.py", "demo", "--input", "ct folder", "--output", "out"])
    arguments = run.parse_arguments()
    [with_gl] = run.command_lines(arguments, [])
    [without_gl] = run.command_lines(arguments, ["libEGL.so.1"])
    assert with_gl == ["-m", "host.demo", "--output", "out", "--device", "auto", "--input", "ct folder"]
    assert without_gl == [*with_gl, "--no-opengl"]


def test_ci_runs_the_tests_and_fails_with_them(tmp_path):
    """`.ci/run` ends with the status of `run.py test`."""
    (tmp_path / ".ci").mkdir()
    (tmp_path / ".ci" / "run").write_text((ROOT / ".ci" / "run").read_text())
    for status in (0, 3):
        (tmp_path / "run.py").write_text(f"import sys\nassert sys.argv[1:] == ['test']\nsys.exit({status})\n")
        assert subprocess.run(["sh", str(tmp_path / ".ci" / "run")], check=False).returncode == status
