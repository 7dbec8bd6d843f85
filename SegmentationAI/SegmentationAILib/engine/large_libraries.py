"""Load large libraries from a side thread while a window goes on."""

from __future__ import annotations

import ctypes
import gc
import os
import sys
from importlib import import_module
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


def import_uncollected(module: str) -> None:
    """Import a module, unless it was before, without a search for garbage among the many objects that it makes.

    One search of all that torch's import makes takes a sixth of a second, in which Python's lock is held. What there is
    by the end of the import counts as old: nearly all of it stays until the process ends.
    """
    if module in sys.modules:
        return
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        import_module(module)
        # Taken out of all generations, and put back into the oldest.
        gc.freeze()
        gc.unfreeze()
    finally:
        if was_enabled:
            gc.enable()
