"""What can go wrong in a way that the user can put right."""

from __future__ import annotations


class InputError(ValueError):
    """The input cannot be used.

    The message is one sentence for the user: what is wrong and what to do. It is raised before any
    work is done, so the scene and the files on disk are as they were.
    """


class Cancelled(Exception):
    """The user cancelled the run; nothing was written."""
