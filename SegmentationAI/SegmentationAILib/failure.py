"""What went wrong in an unexpected failure, in one sentence with what to do."""

from __future__ import annotations

import errno

from SegmentationAILib.engine.worker.errors import WorkerError

# Part of the error's type or text (lower case), and what it means; the first that fits is taken.
_CAUSES = (
    ("outofmemoryerror", "The GPU ran out of memory; close other programs that use it, or choose the device CPU."),
    ("memoryerror", "The computer ran out of memory; close other programs, or crop the volume to the chest."),
    ("can't allocate memory", "The computer ran out of memory; close other programs, or crop the volume to the chest."),
    ("no kernel image", "PyTorch has no code for this GPU; choose the device CPU, and see 'Check system'."),
    ("driver version is insufficient", "The NVIDIA driver is too old for this PyTorch; update it or choose the CPU."),
    ("cuda error", "The GPU failed; restart Slicer, or choose the device CPU, and see 'Check system'."),
)


def explain(error: BaseException) -> str:
    """One sentence for the user on any exception."""
    if isinstance(error, WorkerError):
        return str(error)
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return "The disk is full; free some space and try again."
    text = f"{type(error).__name__}: {error}"
    for sign, sentence in _CAUSES:
        if sign in text.lower():
            return sentence
    return f"Something unexpected went wrong ({text}); nothing was changed. The details help to report it."
