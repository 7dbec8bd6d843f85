"""A section of a panel that is made when it is first unfolded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

import ctk


class Section(Protocol):
    """What stands behind a collapsible button."""

    def show(self) -> None:
        """Show what the parameter node says."""

    def close(self) -> None:
        """The panel goes away."""


S = TypeVar("S", bound=Section)


class FoldedSection(Generic[S]):
    """Makes a section, with all that it imports, when it is needed, so that opening the panel does not wait for it.

    Args:
        button: the section's; what lies behind it is not reached while it is collapsed.
        make: makes the section.
    """

    def __init__(self, button: ctk.ctkCollapsibleButton, make: Callable[[], S]) -> None:
        self._make = make
        self._section: S | None = None
        button.connect("contentsCollapsed(bool)", self._on_collapsed)

    @property
    def section(self) -> S:
        """The section, made now if it was not yet."""
        if self._section is None:
            self._section = self._make()
            self._section.show()
        return self._section

    @property
    def made(self) -> S | None:
        """The section; None as long as it was not needed."""
        return self._section

    def show(self, *, make: bool = False) -> None:
        """Show what the parameter node says, once there is something to show it; ``make``: also before."""
        if self._section is not None:
            self._section.show()
        elif make:
            _ = self.section

    def close(self) -> None:
        """The panel goes away."""
        if self._section is not None:
            self._section.close()

    def _on_collapsed(self, collapsed: bool) -> None:
        if not collapsed:
            _ = self.section
