"""Files that come with the extension: demo CT, built-in models."""

from __future__ import annotations

from pathlib import Path

from SegmentationAILib.errors import InputError

_LIBRARY = Path(__file__).resolve().parent


def resource(relative: str, library: Path = _LIBRARY) -> Path | None:
    """The file or folder of that name in a Resources folder, or None where it was not installed.

    An installed extension has one Resources folder, beside the modules' files; a source tree has one
    for each module and one at the root; a Python package has one inside the library.

    Args:
        library: folder of the module's library; the other module's where it asks for a file of its own.
    """
    for folder in (library.parent, library.parent.parent, library):
        path = folder / "Resources" / relative
        if path.exists():
            return path
    return None


def model_path(name: str) -> Path:
    """The weights of a built-in model.

    Raises:
        InputError: they were not installed.
    """
    weights = resource(f"Models/{name}.safetensors")
    if weights is None:
        raise InputError(f"The built-in model '{name}' is missing from this installation; install ThoraxAI again.")
    return weights
