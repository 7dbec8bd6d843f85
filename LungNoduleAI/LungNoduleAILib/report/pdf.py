"""The report as PDF on A4 pages, with what it is for and the page's number on each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

from reportlab.lib.pagesizes import A4
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    BaseDocTemplate,
    CondPageBreak,
    Flowable,
    Frame,
    KeepTogether,
    ListFlowable,
    ListItem,
    PageBreak,
    PageTemplate,
    Paragraph,
    Spacer,
)
from reportlab.platypus import Table as Grid

from LungNoduleAILib.report.content import ReportContent
from LungNoduleAILib.report.document import Block, Document, Pictures, Section, Sentences, Table, unbroken
from LungNoduleAILib.report.pdf_picture import PictureFlowable
from LungNoduleAILib.report.pdf_style import (
    BAND,
    BOLD,
    BOTTOM,
    GAP,
    INK,
    LONGEST_KEPT,
    MARGIN,
    PADDING,
    QUIET,
    RULE,
    STYLES,
    TEXT,
    TOP,
    WIDTH,
    binary_streams,
    register_fonts,
)
from LungNoduleAILib.report.wording import document_of
from SegmentationAILib import __version__
from SegmentationAILib.writing import atomic_write


def write_pdf(content: ReportContent, path: str | Path) -> Path:
    """Write the report; the same content gives the same bytes.

    Raises:
        InputError: the folder cannot be written to.
    """
    path = Path(path)
    register_fonts()
    document = document_of(content)
    with atomic_write(path) as partial, binary_streams():
        _Pages(str(partial), document).build(list(_story(document)), canvasmaker=_canvas_of(document))
    return path


class _Pages(BaseDocTemplate):
    """A4 pages, and an entry in the PDF's outline for each heading."""

    def __init__(self, path: str, document: Document) -> None:
        super().__init__(
            path,
            pagesize=A4,
            title=document.title,
            subject=document.use,
            author="",
            creator=f"ThoraxAI {__version__}",
            lang="en-GB",
            # No time and no random identifier of the file's own.
            invariant=1,
        )
        frame = Frame(MARGIN, BOTTOM, WIDTH, A4[1] - TOP - BOTTOM, 0, 0, 0, 0)
        self.addPageTemplates(PageTemplate("page", [frame]))

    def afterFlowable(self, flowable: Flowable) -> None:  # noqa: N802 - reportlab's name
        """Called by reportlab when something was put on a page."""
        entry = getattr(flowable, "outline_entry", None)
        if entry:
            key, title, level = entry
            self.canv.bookmarkPage(key)
            self.canv.addOutlineEntry(title, key, level, closed=level > 0)


def _canvas_of(document: Document) -> type[Canvas]:
    """A canvas that writes head and foot once it knows how many pages there are."""

    class Numbered(Canvas):
        def __init__(self, *arguments: object, **options: object) -> None:
            super().__init__(*arguments, **options)
            self._finished: list[dict] = []

        def showPage(self) -> None:  # noqa: N802 - reportlab's name
            self._finished.append(dict(self.__dict__))
            self._startPage()

        def save(self) -> None:
            for page in self._finished:
                self.__dict__.update(page)
                _head_and_foot(self, document, len(self._finished))
                super().showPage()
            super().save()

    return Numbered


def _head_and_foot(canvas: Canvas, document: Document, pages: int) -> None:
    top, bottom, right = A4[1] - 13 * mm, 11 * mm, A4[0] - MARGIN
    canvas.setFont(TEXT, 7.5)
    canvas.setFillColor(QUIET)
    canvas.drawString(MARGIN, top, document.title)
    canvas.drawRightString(right, top, document.use)
    canvas.drawString(MARGIN, bottom, f"{document.subtitle} ThoraxAI {__version__}.")
    canvas.drawRightString(right, bottom, f"page {canvas.getPageNumber()} of {pages}")
    canvas.setStrokeColor(RULE)
    canvas.setLineWidth(0.6)
    for y in (top - 2 * mm, bottom + 4 * mm):
        canvas.line(MARGIN, y, right, y)


def _shown(text: str) -> str:
    """Text as reportlab's paragraphs take it."""
    return escape(unbroken(text))


def _story(document: Document) -> Iterator[Flowable]:
    yield Paragraph(_shown(document.title), STYLES["title"])
    yield Spacer(0, 5)
    yield Paragraph(_shown(document.subtitle), STYLES["subtitle"])
    yield Paragraph(_shown(document.use), STYLES["use"])
    for section in document.sections:
        yield from _section(section, 0)


def _section(section: Section, level: int, above: tuple[Flowable, ...] = ()) -> Iterator[Flowable]:
    """A section's flowables; headings stay with what follows them."""
    if section.new_page:
        yield PageBreak()
    heading = Paragraph(f"<a name={quoteattr(section.key)}/>{_shown(section.title)}", STYLES[f"heading{level}"])
    heading.outline_entry = (section.key, section.title, level)
    above = (*above, heading)
    for block, following in zip_longest(section.blocks, section.blocks[1:]):
        if isinstance(following, Pictures) and isinstance(block, Sentences) and not block.listed:
            # What is said of pictures stays with them.
            above = (*above, *_sentences(block))
            continue
        yield from _block(block, above)
        above = ()
    for part in section.sections:
        yield from _section(part, level + 1, above)
        above = ()
    yield from above


def _block(block: Block, above: tuple[Flowable, ...]) -> Iterator[Flowable]:
    """A block under headings that stay with it, or with the beginning of what is too long to stay together."""
    if isinstance(block, Pictures):
        yield KeepTogether([*above, _pictures(block), Paragraph(_shown(block.caption), STYLES["caption"])])
    elif isinstance(block, Table):
        head = (*above, Paragraph(_shown(block.caption), STYLES["table caption"]))
        table = _table(block)
        if table.wrap(WIDTH, A4[1])[1] <= LONGEST_KEPT:
            yield KeepTogether([*head, table, Spacer(0, 6)])
        else:
            begin = _table(replace(block, rows=block.rows[:1], links=block.links[:1]))
            yield CondPageBreak(sum(_height(one) for one in (*head, begin)))
            yield from (*head, table, Spacer(0, 6))
    else:
        yield KeepTogether([*above, *_sentences(block)])


def _height(flowable: Flowable) -> float:
    return flowable.wrap(WIDTH, A4[1])[1] + flowable.getSpaceBefore() + flowable.getSpaceAfter()


def _sentences(block: Sentences) -> list[Flowable]:
    if not block.listed:
        return [Paragraph(_shown(" ".join(block.items)), STYLES[block.tone])]
    items = [ListItem(Paragraph(_shown(item), STYLES["item"]), bulletColor=QUIET) for item in block.items]
    bullets = {"bulletType": "bullet", "start": "•", "bulletFontName": TEXT, "bulletFontSize": 8.5}
    before = [Paragraph(_shown(block.before), STYLES[""])] if block.before else []
    return [*before, ListFlowable(items, leftIndent=12, **bullets)]


def _table(table: Table) -> Grid:
    widths = [WIDTH * width / sum(table.widths) for width in table.widths]
    titles = ["number title" if n in table.numbers else "column title" for n in range(len(widths))]
    styles = ["row title", *("number" if n in table.numbers else "cell" for n in range(1, len(widths)))]
    head = [Paragraph(_shown(title), STYLES[style]) for title, style in zip(table.header, titles, strict=True)]
    links = table.links or ("",) * len(table.rows)
    rows = [
        [Paragraph(_cell(cell, link * (n == 0)), STYLES[styles[n]]) for n, cell in enumerate(row)]
        for row, link in zip(table.rows, links, strict=True)
    ]
    return Grid(
        [head, *rows],
        widths,
        repeatRows=1,
        style=[
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ("VALIGN", (0, 0), (-1, 0), "BOTTOM"),
            ("BACKGROUND", (0, 0), (-1, 0), BAND),
            ("LINEBELOW", (0, 0), (-1, 0), 0.9, INK),
            ("LINEBELOW", (0, 1), (-1, -1), 0.4, RULE),
            ("LEFTPADDING", (0, 0), (-1, -1), PADDING),
            ("RIGHTPADDING", (0, 0), (-1, -1), PADDING),
            ("TOPPADDING", (0, 0), (-1, -1), 1.5),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 2.2),
        ],
    )


def _cell(text: str, link: str) -> str:
    shown = _shown(text).replace("\n", "<br/>")
    return f'<a href={quoteattr("#" + link)} color="#1f5fa8">{shown}</a>' if link else shown


def _pictures(block: Pictures) -> Grid:
    count = len(block.pictures)
    room = block.share * WIDTH - (count - 1) * GAP
    widths = [room * width / sum(block.widths) for width in block.widths]
    cells = []
    for n, (picture, width) in enumerate(zip(block.pictures, widths, strict=True)):
        cell: list[Flowable] = [
            Paragraph(_shown(picture.title), STYLES["picture title"]),
            Spacer(0, 3),
            PictureFlowable(picture, width, TEXT, BOLD),
        ]
        if block.notes:
            cell += [Spacer(0, 2), Paragraph(_shown(block.notes[n]), STYLES["caption"])]
        cells.append(cell)
    return Grid(
        [cells],
        [width + GAP for width in widths],
        hAlign="LEFT",
        style=[
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ("LEFTPADDING", (0, 0), (-1, -1), 0),
            ("RIGHTPADDING", (0, 0), (-1, -1), GAP),
            ("TOPPADDING", (0, 0), (-1, -1), 2),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 2),
        ],
    )
