"""A report as titled sections of sentences, tables and pictures; every form that people read is made from it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from LungNoduleAILib.report.picture import Picture

_UNITS = "%|mm³|mm|mg|ml|HU|days|of 5|of 1"
_BESIDE_A_NUMBER = re.compile(rf"(?<=\d) (?=(?:{_UNITS})(?!\w))|(?<=[<>≥≤]) (?=\d)")


@dataclass(frozen=True)
class Sentences:
    """A paragraph, or a list.

    Attributes:
        items: sentences.
        listed: each in a line of its own.
        tone: "" plain, "lead" for what matters most, "warning" for what to beware of, "note" for what explains.
        before: a sentence that leads to a list.
    """

    items: tuple[str, ...]
    listed: bool = False
    tone: str = ""
    before: str = ""


@dataclass(frozen=True)
class Table:
    """A table; the first cell of a row is its heading.

    Attributes:
        caption: what the table holds.
        header: a title for each column.
        rows: cells as they are shown.
        widths: of the columns, relative to each other.
        numbers: indices of the columns whose cells are aligned to the right.
        links: key of the section that each row's heading leads to, "" for none; () where no row leads anywhere.
    """

    caption: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    widths: tuple[float, ...]
    numbers: tuple[int, ...] = ()
    links: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Pictures:
    """Pictures beside each other, with words below.

    Attributes:
        pictures: shown at one scale where they have no weights and their units are mm.
        notes: words below each picture, () for none.
        caption: words below all of them.
        share: of the page's width that they take together.
        weights: their widths relative to each other, () for those of the pictures' own units.
    """

    pictures: tuple[Picture, ...]
    caption: str
    notes: tuple[str, ...] = ()
    share: float = 1.0
    weights: tuple[float, ...] = ()

    @property
    def widths(self) -> tuple[float, ...]:
        """Of the pictures, relative to each other."""
        return self.weights or tuple(picture.width for picture in self.pictures)


Block = Sentences | Table | Pictures


@dataclass(frozen=True, eq=False)
class Section:
    """A titled part.

    Attributes:
        key: unique in the document, for links.
        new_page: begins a page where it is printed.
    """

    key: str
    title: str
    blocks: tuple[Block, ...] = ()
    sections: tuple[Section, ...] = ()
    new_page: bool = False


@dataclass(frozen=True, eq=False)
class Document:
    """A whole report.

    Attributes:
        title: of the report; ``subtitle``: when and of what it is made.
        use: what it is for and who decides, on each page.
        made_at: ISO 8601, for the file's own record.
    """

    title: str
    subtitle: str
    use: str
    made_at: str
    sections: tuple[Section, ...]


def unbroken(text: str) -> str:
    """The same with hard spaces where no line may end: between a number and its unit or its sign."""
    return _BESIDE_A_NUMBER.sub("\N{NO-BREAK SPACE}", text)
