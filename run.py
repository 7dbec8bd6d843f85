#!/usr/bin/env python3
"""Set everything up and run ThoraxAI without Slicer: demo, test, bench, screenshots.

Needs only Python 3.10-3.13; makes .venv beside this file on the first run and reuses it afterwards.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent
ENVIRONMENT = ROOT / ".venv"
LOCK = ROOT / "Testing" / "requirements.txt"
# What the bench compares with; kept apart, so that the project never runs on it unawares.
RIVALS_ENVIRONMENT = ROOT / ".venv-bench"
RIVALS = ROOT / "Testing" / "requirements-bench.txt"
# Apart from the lock file, because pip must choose between the CPU and the GPU build.
TORCH = "torch==2.13.0"
SUPPORTED = ((3, 10), (3, 13))

# What Qt's offscreen platform and VTK's offscreen rendering load, and the Debian package with it.
SYSTEM_LIBRARIES = {
    "libEGL.so.1": "libegl1",
    "libGL.so.1": "libgl1",
    "libX11.so.6": "libx11-6",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libdbus-1.so.3": "libdbus-1-3",
    "libfontconfig.so.1": "libfontconfig1",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libEGL_mesa.so.0": "libegl-mesa0",
}
GRAPHICS = ("libEGL.so.1", "libGL.so.1", "libX11.so.6")


class SetupError(Exception):
    """One sentence: what could not be set up, why, and what to do."""


def main() -> int:
    arguments = parse_arguments()
    try:
        missing = install_system_libraries()
        python = prepare_environment()
        if arguments.command == "bench":
            python = prepare_rivals(python)
    except SetupError as error:
        print(f"run.py: {error}", file=sys.stderr)
        return 1
    variables = environment_variables(missing)
    if arguments.command == "test":
        # The processes share the cores already; threads of each would only wait for one another.
        variables.setdefault("OMP_NUM_THREADS", "1")
    for command in command_lines(arguments, missing):
        if status := subprocess.call([python, *command], env=variables):
            return status
    return 0


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="run.py", description="Run ThoraxAI without Slicer.")
    commands = parser.add_subparsers(dest="command", required=True)
    demo = commands.add_parser("demo", help="find the nodules of a chest CT and draw them")
    demo.add_argument("--input", type=Path, help="DICOM folder, NRRD, NIfTI or MHA (default: the CT in Resources/Demo)")
    demo.add_argument("--output", type=Path, default=ROOT / "output", help="folder for the results (default: output)")
    demo.add_argument("--device", default="auto", help="auto, cpu, cuda:0, mps (default: auto)")
    test = commands.add_parser("test", help="run the tests, with coverage")
    test.add_argument("--all", action="store_true", help="also the tests that take long")
    test.add_argument("pytest", nargs=argparse.REMAINDER, help="passed on to pytest")
    bench = commands.add_parser("bench", help="measure against rivals in the same run; writes bench.json")
    bench.add_argument("--output", type=Path, default=ROOT / "output", help="folder for bench.json (default: output)")
    bench.add_argument("--only", default="", help="only pairs whose name or rival holds this text, or 'growth'")
    commands.add_parser("screenshots", help="draw both panels into Resources/Screenshots")
    return parser.parse_args()


def command_lines(arguments: argparse.Namespace, missing: list[str]) -> list[list[str]]:
    """What .venv's Python runs for the command, one after the other."""
    if arguments.command == "demo":
        command = ["-m", "host.demo", "--output", str(arguments.output), "--device", arguments.device]
        if arguments.input:
            command += ["--input", str(arguments.input)]
        if any(library in GRAPHICS for library in missing):
            command += ["--no-opengl"]
        return [command]
    if arguments.command == "test":
        lint = [["-m", "ruff", "check", str(ROOT)], ["-m", "ruff", "format", "--check", str(ROOT)]]
        markers = ["--hypothesis-profile=new"] if arguments.all else ["-m", "not slow"]
        coverage = [f"--cov={ROOT / folder}" for folder in ("SegmentationAI", "LungNoduleAI")]
        tests = arguments.pytest or [str(ROOT / "Testing" / "Python")]
        # A file's tests share what they made; more processes than this would fill a laptop's memory. In the order of
        # names: by the number of tests, the files of few tests that take long would come last, on one core.
        processes = ["-n", "auto", "--maxprocesses=4", "--dist=loadfile", "--no-loadscope-reorder"]
        pytest = ["-m", "pytest", f"--rootdir={ROOT}", f"-c={ROOT / 'pyproject.toml'}", *markers, *coverage, *processes]
        return [*lint, [*pytest, "--cov-report=term:skip-covered", *tests]]
    if arguments.command == "bench":
        return [["-m", "benchmarks", "--output", str(arguments.output), "--only", arguments.only]]
    return [["-m", "host.screenshots", "--output", str(ROOT / "Resources" / "Screenshots")]]


def environment_variables(missing: list[str]) -> dict[str, str]:
    variables = dict(os.environ)
    folders = [ROOT / "SegmentationAI", ROOT / "LungNoduleAI", ROOT / "Testing", ROOT / "Testing" / "Python"]
    variables["PYTHONPATH"] = os.pathsep.join(str(folder) for folder in folders)
    variables.setdefault("THORAXAI_DATA", str(ROOT.parent / "shared" / "data"))
    variables["THORAXAI_MISSING_LIBRARIES"] = " ".join(missing)
    variables["QT_QPA_PLATFORM"] = "offscreen"
    return variables


def prepare_environment() -> Path:
    """The Python of .venv with everything installed; nothing is done when it is up to date."""
    python = ENVIRONMENT / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    stamp = ENVIRONMENT / "installed.txt"
    wanted = hashlib.sha256(LOCK.read_bytes() + TORCH.encode()).hexdigest() + f" {platform.python_version()}"
    if python.exists() and stamp.exists() and stamp.read_text() == wanted:
        return python
    check_python()
    print(f"Setting up {ENVIRONMENT} (once; about 1 GB) ...", flush=True)
    try:
        venv.create(ENVIRONMENT, with_pip=True, clear=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise SetupError(
            f"could not make {ENVIRONMENT} ({error}); on Debian and Ubuntu install the package python3-venv."
        ) from error
    install_packages(python)
    stamp.write_text(wanted)
    return python


def prepare_rivals(python: Path) -> Path:
    """The Python of .venv-bench: the rivals on top of .venv's packages; .venv's own where they cannot be had."""
    own = RIVALS_ENVIRONMENT / python.relative_to(ENVIRONMENT)
    stamp = RIVALS_ENVIRONMENT / "installed.txt"
    wanted = hashlib.sha256(RIVALS.read_bytes()).hexdigest() + " " + (ENVIRONMENT / "installed.txt").read_text()
    if own.exists() and stamp.exists() and stamp.read_text() == wanted:
        return own
    print(f"Setting up {RIVALS_ENVIRONMENT} with the bench's rivals (once; about 1 GB) ...", flush=True)
    try:
        venv.create(RIVALS_ENVIRONMENT, with_pip=True, clear=True)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"Without rivals: could not make {RIVALS_ENVIRONMENT} ({error}).", file=sys.stderr)
        return python
    (packages_of(own) / "thoraxai.pth").write_text(f"{packages_of(python)}\n", encoding="utf-8")
    if reason := pip(own, "-c", str(LOCK), "-r", str(RIVALS), TORCH):
        print(f"Without rivals: {reason} Their pairs are left out.", file=sys.stderr)
        return python
    stamp.write_text(wanted)
    return own


def packages_of(python: Path) -> Path:
    """Where an environment keeps its packages."""
    code = "import sysconfig; print(sysconfig.get_paths()['purelib'])"
    return Path(subprocess.run([python, "-c", code], stdout=subprocess.PIPE, text=True, check=True).stdout.strip())


def check_python() -> None:
    if not SUPPORTED[0] <= sys.version_info[:2] <= SUPPORTED[1]:
        raise SetupError(
            f"Python {platform.python_version()} is not supported; "
            "run this file with Python 3.10, 3.11, 3.12 or 3.13, for example 'python3.12 run.py demo'."
        )


def install_packages(python: Path) -> None:
    """Install the lock file; when that fails, find the package that fails and say why."""
    if pip(python, "-r", str(LOCK), TORCH) is None:
        return
    for line in LOCK.read_text().splitlines():
        requirement = line.strip()
        if requirement and not requirement.startswith("#") and (reason := pip(python, requirement)):
            raise SetupError(install_failure(requirement, reason))
    if reason := pip(python, TORCH):
        raise SetupError(install_failure(TORCH, reason))


def install_failure(requirement: str, reason: str) -> str:
    name = requirement.split(";", maxsplit=1)[0].strip()
    return f"could not install {name}: {reason} Mend that (network, proxy, disk space) and run the same command again."


def pip(python: Path, *requirements: str) -> str | None:
    """Install with pip; None when it worked, else pip's own reason."""
    result = subprocess.run(
        [python, "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--quiet", *requirements],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if result.returncode == 0:
        return None
    errors = [line.removeprefix("ERROR: ") for line in result.stderr.splitlines() if line.startswith("ERROR: ")]
    return (errors or result.stderr.strip().splitlines() or ["pip gave no reason."])[-1].strip()


def install_system_libraries() -> list[str]:
    """System libraries that Qt and VTK need and that are still missing after trying to install them."""
    missing = missing_libraries()
    if not missing:
        return []
    packages = sorted({SYSTEM_LIBRARIES[library] for library in missing})
    apt = shutil.which("apt-get")
    command = f"apt-get install -y --no-install-recommends {' '.join(packages)}"
    if apt and os.geteuid() == 0:
        print(f"Installing system libraries: {' '.join(packages)} ...", flush=True)
        for step in ([apt, "update", "-qq"], [apt, *command.split()[1:]]):
            subprocess.run(
                step,
                env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                check=False,
            )
        missing = missing_libraries()
    if missing:
        how = f"type: sudo {command}" if apt else f"install what holds {', '.join(missing)} with your system's packages"
        print(f"Qt and VTK cannot draw with OpenGL here: {', '.join(missing)} missing; {how}", file=sys.stderr)
    return missing


def missing_libraries() -> list[str]:
    return [name for name in SYSTEM_LIBRARIES if not loads(name)] if sys.platform == "linux" else []


def loads(library: str) -> bool:
    # A process of its own: a library once looked up and not found may stay unknown to this one.
    code = f"import ctypes; ctypes.CDLL({library!r})"
    return subprocess.run([sys.executable, "-c", code], stderr=subprocess.DEVNULL, check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
