"""Load large libraries from a side thread while a window goes on."""

from __future__ import annotations

import ctypes
import os
import sys
from importlib.util import find_spec
from pathlib import Path

# What an import spends tenths of a second on with Python's lock held.
_LARGE = {"torch": "lib/libtorch_cpu.*", "SimpleITK": "_SimpleITK*"}


def load_large_libraries() -> None:
    """Load what torch and SimpleITK are made of, without importing them.

    The system loads a library under Python's lock where an import asks for it, and without where a foreign call does
    (``ctypes``); the import then finds it loaded. Windows is left alone: torch itself loads its libraries so there.
    """
    if os.name != "posix":
        return
    load = ctypes.CDLL(None).dlopen
    load.argtypes, load.restype = (ctypes.c_char_p, ctypes.c_int), ctypes.c_void_p
    for package, pattern in _LARGE.items():
        if package in sys.modules:
            continue
        spec = find_spec(package)
        for folder in (spec and spec.submodule_search_locations) or ():
            for library in Path(folder).glob(pattern):
                # One that does not load is told by the import.
                load(os.fsencode(library), os.RTLD_NOW)
