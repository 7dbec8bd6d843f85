"""The report as one HTML file: no other file, no script, readable aloud and on paper."""

from __future__ import annotations

import base64
from pathlib import Path

import jinja2

from LungNoduleAILib.report.content import ReportContent
from LungNoduleAILib.report.document import Block, unbroken
from LungNoduleAILib.report.picture import Picture
from LungNoduleAILib.report.svg import svg
from LungNoduleAILib.report.wording import document_of
from SegmentationAILib import __version__
from SegmentationAILib.errors import InputError
from SegmentationAILib.resources import resource
from SegmentationAILib.writing import atomic_write

TEMPLATE = "report.html.jinja"
_LIBRARY = Path(__file__).resolve().parents[1]


def write_html(content: ReportContent, path: str | Path) -> Path:
    """Write the report; the same content gives the same bytes.

    Raises:
        InputError: the folder cannot be written to, or the template was not installed.
    """
    path = Path(path)
    folder = resource("Report", _LIBRARY)
    if folder is None:
        raise InputError("The report's template is missing from this installation; install ThoraxAI again.")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder), autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.filters |= {"kind": _kind, "source": _source, "unbroken": unbroken}
    template = environment.get_template(TEMPLATE)
    with atomic_write(path) as partial:
        partial.write_text(template.render(document=document_of(content), version=__version__), encoding="utf-8")
    return path


def _kind(block: Block) -> str:
    return type(block).__name__


def _source(picture: Picture) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(svg(picture).encode()).decode()}"
