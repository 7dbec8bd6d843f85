"""What the commands show: one line for what is wrong, a bar for what is under way."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import click

from LungNoduleAILib.exit_codes import EXIT_BAD_INPUT
from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.errors import InputError

_LABEL_WIDTH = 32


@contextmanager
def one_line() -> Iterator[None]:
    """What is wrong with the input in one line on stderr, and an exit code."""
    try:
        yield
    except InputError as problem:
        click.echo(f"thoraxai: {problem}", err=True)
        sys.exit(EXIT_BAD_INPUT)


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """A progress that moves click's bar on stderr and names the stage."""
    with click.progressbar(length=100, label=f"{'Starting':{_LABEL_WIDTH}}", file=sys.stderr) as bar:

        def report(fraction: float, text: str) -> None:
            bar.label = f"{text[:_LABEL_WIDTH]:{_LABEL_WIDTH}}"
            bar.update(round(100 * fraction) - bar.pos)

        yield Progress(report)


def say_notes(notes: Iterable[str]) -> None:
    """What a user should know of a run that went well, on stderr."""
    for one in notes:
        click.echo(f"Note: {one}", err=True)
