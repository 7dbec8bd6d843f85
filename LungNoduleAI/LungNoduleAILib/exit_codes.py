"""What the command ``thoraxai`` tells a shell."""

from __future__ import annotations

EXIT_FAILED = 1
EXIT_BAD_INPUT = 2
