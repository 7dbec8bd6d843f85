"""The extension as CMake packages it: nothing forgotten, nothing in the way, everything found once installed."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULES = ("SegmentationAI", "LungNoduleAI")
SHARED_FOLDERS = ("Demo", "Models")
LIBRARY_FOLDER = "lib/Slicer-5.12/qt-scripted-modules"
CMAKE = shutil.which("cmake")

# What an extension sees of Slicer's build system, reduced to copying, installing and recording.
FAKE_SLICER = {
    "SlicerConfig.cmake": f"""
set(Slicer_USE_FILE "${{CMAKE_CURRENT_LIST_DIR}}/UseSlicer.cmake")
set(Slicer_EXTENSION_GENERATE_CONFIG "${{CMAKE_CURRENT_LIST_DIR}}/GenerateConfig.cmake")
set(Slicer_EXTENSION_CPACK "${{CMAKE_CURRENT_LIST_DIR}}/CPack.cmake")
set(Slicer_QTSCRIPTEDMODULES_LIB_DIR "{LIBRARY_FOLDER}")
set(Slicer_INSTALL_QTSCRIPTEDMODULES_LIB_DIR "{LIBRARY_FOLDER}")
""",
    "UseSlicer.cmake": """
set(BUILD_TESTING ON)
macro(slicerMacroBuildScriptedModule)
  cmake_parse_arguments(MY "WITH_GENERIC_TESTS;WITH_SUBDIR;VERBOSE" "NAME" "SCRIPTS;RESOURCES" ${ARGN})
  if(MY_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "unknown keywords: ${MY_UNPARSED_ARGUMENTS}")
  endif()
  foreach(file ${MY_SCRIPTS} ${MY_RESOURCES})
    if(NOT EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/${file})
      message(FATAL_ERROR "given nonexistent file '${file}'")
    endif()
    get_filename_component(folder ${file} DIRECTORY)
    install(
      FILES ${file}
      DESTINATION ${Slicer_INSTALL_QTSCRIPTEDMODULES_LIB_DIR}/${folder}
      COMPONENT RuntimeLibraries
      )
    configure_file(${file} ${CMAKE_BINARY_DIR}/${Slicer_QTSCRIPTEDMODULES_LIB_DIR}/${file} COPYONLY)
  endforeach()
  file(APPEND ${CMAKE_BINARY_DIR}/record.txt "module ${MY_NAME} generic tests: ${MY_WITH_GENERIC_TESTS}\\n")
endmacro()
macro(slicer_add_python_unittest)
  cmake_parse_arguments(MY "" "SCRIPT" "" ${ARGN})
  file(APPEND ${CMAKE_BINARY_DIR}/record.txt "unittest ${MY_SCRIPT}\\n")
endmacro()
""",
    "GenerateConfig.cmake": """
foreach(name HOMEPAGE CATEGORY CONTRIBUTORS DESCRIPTION ICONURL SCREENSHOTURLS DEPENDS)
  file(APPEND ${CMAKE_BINARY_DIR}/record.txt "${name} ${EXTENSION_${name}}\\n")
endforeach()
""",
    "CPack.cmake": 'file(APPEND ${CMAKE_BINARY_DIR}/record.txt "packaged ${PROJECT_NAME}\\n")\n',
}


def listed(cmake_file: Path, variable: str, name: str = "") -> list[str]:
    """The entries of ``set(variable ...)`` with ${MODULE_NAME} put in."""
    found = re.search(rf"set\({variable}\s+(.*?)\)", cmake_file.read_text(), re.DOTALL)
    assert found, f"{cmake_file} sets no {variable}"
    return found.group(1).replace("${MODULE_NAME}", name).split()


def files_below(folder: Path, relative_to: Path, pattern: str = "*") -> list[str]:
    return sorted(
        path.relative_to(relative_to).as_posix()
        for path in folder.rglob(pattern)
        if path.is_file() and "__pycache__" not in path.parts
    )


@pytest.mark.parametrize("name", MODULES)
def test_scripts_listed_are_the_scripts_there(name):
    folder = ROOT / name
    assert sorted(listed(folder / "CMakeLists.txt", "MODULE_PYTHON_SCRIPTS", name)) == files_below(
        folder, folder, "*.py"
    )


@pytest.mark.parametrize("name", MODULES)
def test_resources_listed_are_the_resources_there(name):
    folder = ROOT / name
    resources = sorted(listed(folder / "CMakeLists.txt", "MODULE_PYTHON_RESOURCES", name))
    beside_code = [path for path in files_below(folder / f"{name}Lib", folder) if not path.endswith(".py")]
    assert resources == sorted([*files_below(folder / "Resources", folder), *beside_code])


def test_shared_resources_listed_are_those_read_at_run_time():
    there = [path for folder in SHARED_FOLDERS for path in files_below(ROOT / "Resources" / folder, ROOT)]
    there += [path for path in files_below(ROOT / "Resources", ROOT) if path == "Resources/catalog.json"]
    assert sorted(listed(ROOT / "CMakeLists.txt", "SHARED_RESOURCES")) == sorted(there)


def test_installed_files_do_not_overwrite_each_other():
    installed = listed(ROOT / "CMakeLists.txt", "SHARED_RESOURCES")
    for name in MODULES:
        for variable in ("MODULE_PYTHON_SCRIPTS", "MODULE_PYTHON_RESOURCES"):
            installed += listed(ROOT / name / "CMakeLists.txt", variable, name)
    assert len(installed) == len({path.lower() for path in installed})


@pytest.fixture(scope="module")
def build(tmp_path_factory) -> Path:
    """The extension configured, built and installed against a fake Slicer."""
    if CMAKE is None:
        pytest.skip("cmake is not on this machine")
    if not any(shutil.which(compiler) for compiler in ("cc", "gcc", "clang", "cl")):
        pytest.skip("project() needs a C compiler, and there is none on this machine")
    folder = tmp_path_factory.mktemp("extension build")
    slicer = folder / "slicer"
    slicer.mkdir()
    for file, text in FAKE_SLICER.items():
        (slicer / file).write_text(text)
    tree = folder / "build"
    run(CMAKE, "-S", ROOT, "-B", tree, f"-DSlicer_DIR={slicer}")
    run(CMAKE, "--build", tree)
    run(CMAKE, "--install", tree, "--prefix", folder / "installed", "--component", "RuntimeLibraries")
    return folder


def run(*command: object, **options: object) -> str:
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, **options)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_cmake_builds_both_modules_with_their_tests(build):
    record = (build / "build" / "record.txt").read_text().splitlines()
    for name in MODULES:
        assert f"module {name} generic tests: TRUE" in record
        assert f"unittest {name}.py" in record
    assert record[-1] == "packaged ThoraxAI"


def test_cmake_says_what_the_extensions_index_asks_for(build):
    record = dict(line.split(" ", 1) for line in (build / "build" / "record.txt").read_text().splitlines())
    assert record["HOMEPAGE"] == "https://github.com/ThoraxAI/SlicerThoraxAI"
    assert record["CATEGORY"] == "Segmentation"
    assert record["DEPENDS"] == "PyTorch"
    assert "not for diagnosis" in record["DESCRIPTION"]
    raw = "https://raw.githubusercontent.com/ThoraxAI/SlicerThoraxAI/main/"
    assert (ROOT / record["ICONURL"].removeprefix(raw)).is_file()
    assert all(url.startswith(raw) and url.endswith(".png") for url in record["SCREENSHOTURLS"].split())


def test_the_index_entry_agrees_with_cmake(build):
    """The entry that is submitted to Slicer's Extensions Index, by its schema v1.0.2."""
    text = (ROOT / "Resources" / "ExtensionsIndex" / "ThoraxAI.json").read_bytes()
    assert b"\r" not in text
    entry = json.loads(text)
    known = "$schema category scm_url scm_revision scm_type build_dependencies build_subdirectory enabled tier"
    assert set(entry) <= set(known.split())
    record = dict(line.split(" ", 1) for line in (build / "build" / "record.txt").read_text().splitlines())
    assert record["CATEGORY"] == entry["category"]
    assert record["DEPENDS"].split(";") == entry["build_dependencies"]
    assert record["HOMEPAGE"] == entry["scm_url"].removesuffix(".git")
    assert record["packaged"] == "ThoraxAI"
    assert entry["tier"] in range(1, 6)


@pytest.mark.parametrize("tree", ["build", "installed"])
def test_installed_tree_is_complete(build, tree):
    library = build / tree / LIBRARY_FOLDER
    expected = listed(ROOT / "CMakeLists.txt", "SHARED_RESOURCES")
    for name in MODULES:
        for variable in ("MODULE_PYTHON_SCRIPTS", "MODULE_PYTHON_RESOURCES"):
            expected += listed(ROOT / name / "CMakeLists.txt", variable, name)
    assert files_below(library, library) == sorted(expected)


def test_installed_library_finds_its_resources(build):
    library = build / "installed" / LIBRARY_FOLDER
    wanted = ["requirements.txt", "UI/LungNoduleAI.ui", "UI/SegmentationAI.ui"]
    wanted += [path.removeprefix("Resources/") for path in listed(ROOT / "CMakeLists.txt", "SHARED_RESOURCES")]
    code = f"from SegmentationAILib.resources import resource; print(*map(resource, {wanted!r}), sep='\\n')"
    found = run(sys.executable, "-B", "-c", code, cwd=library, env={"PYTHONPATH": str(library)}).splitlines()
    assert found == [str(library / "Resources" / path) for path in wanted]


def test_licence_is_apache_2():
    text = (ROOT / "LICENSE.txt").read_text()
    assert "Apache License" in text
    assert "Version 2.0, January 2004" in text


def test_icon_is_a_square_png_of_128():
    header = (ROOT / "Resources" / "ThoraxAI.png").read_bytes()[:24]
    assert header[:8] == b"\x89PNG\r\n\x1a\n"
    assert (int.from_bytes(header[16:20], "big"), int.from_bytes(header[20:24], "big")) == (128, 128)


def test_clone_stays_far_below_the_limit_of_the_extensions_index():
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    objects = run("git", "-C", ROOT, "cat-file", "--batch-all-objects", "--batch-check=%(objectsize:disk)")
    history = sum(map(int, objects.split()))
    tracked = run("git", "-C", ROOT, "ls-files", "-z").split("\0")
    checkout = sum((ROOT / path).stat().st_size for path in tracked if path and (ROOT / path).is_file())
    assert (history + checkout) / 1e6 < 100
