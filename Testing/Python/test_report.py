"""A report says the same in all its forms, all that is known, and nothing that names the patient."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import jsonschema
import pytest
from pypdf import PdfReader
from report_cases import AT, NAME, SERIES, STUDY, bare_content, empty_content, full_content, sections, words
from reportlab.pdfbase.ttfonts import TTFont

from LungNoduleAILib.guidelines.answers import Range
from LungNoduleAILib.report import html as html_report
from LungNoduleAILib.report.content import ReportContent
from LungNoduleAILib.report.document import Document, Pictures
from LungNoduleAILib.report.html import write_html
from LungNoduleAILib.report.json_file import SCHEMA, write_json
from LungNoduleAILib.report.pdf import write_pdf
from LungNoduleAILib.report.pdf_style import FONTS
from LungNoduleAILib.report.reported_table import REPORTED_COLUMNS, write_report_csv
from LungNoduleAILib.report.table import COLUMNS
from LungNoduleAILib.report.wording import document_of
from LungNoduleAILib.review import Decision, Verdict
from SegmentationAILib.errors import InputError
from SegmentationAILib.resources import resource

CONTENTS = {"bare": bare_content, "full": full_content, "empty": empty_content}
WRITERS = {"html": write_html, "pdf": write_pdf, "json": write_json, "csv": write_report_csv}


@pytest.fixture(scope="module", params=CONTENTS)
def content(request) -> ReportContent:
    return CONTENTS[request.param]()


@pytest.fixture(scope="module")
def full() -> ReportContent:
    return full_content()


@pytest.fixture(scope="module")
def document(content) -> Document:
    return document_of(content)


@pytest.fixture(scope="module")
def files(content, tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("report")
    return {kind: write(content, folder / f"report.{kind}") for kind, write in WRITERS.items()}


def squeezed(text: str) -> str:
    """Without white space, which lines and pages break at will."""
    return re.sub(r"\s", "", text)


class Page(HTMLParser):
    """Tags with their attributes, and the text outside of styles; each tag that is opened is closed in order."""

    VOID = ("meta", "col", "br", "img")

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data * ("style" not in self.open)

    def all(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def page(files) -> Page:
    return Page(files["html"].read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def pdf(files) -> PdfReader:
    return PdfReader(files["pdf"])


def test_html_says_all_that_the_document_says(document, page):
    assert page.open == []
    text = squeezed(page.text)
    for part in words(document):
        assert squeezed(part) in text, part


def test_pdf_says_all_that_the_document_says(document, pdf):
    text = squeezed("".join(sheet.extract_text() for sheet in pdf.pages))
    # A sentence may go over a page, whose head and foot then stand between its words.
    for part in words(document):
        for word in part.split():
            assert squeezed(word) in text, part


def test_html_needs_no_other_file_and_no_script(page):
    assert not page.all("script")
    assert not page.all("link")
    assert all(image["src"].startswith("data:image/svg+xml;base64,") for image in page.all("img"))
    assert "http" not in page.text
    assert {"lang": "en-GB"} in page.all("html")


def test_html_can_be_read_aloud(document, page):
    pictures = [
        picture.text
        for section in sections(document)
        for block in section.blocks
        if isinstance(block, Pictures)
        for picture in block.pictures
    ]
    assert [image["alt"] for image in page.all("img")] == pictures
    assert all(len(text) > 20 for text in pictures)
    assert {header["scope"] for header in page.all("th")} == {"col", "row"}
    assert len(page.all("caption")) == len(page.all("table"))
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_links_lead_somewhere(content, page):
    keys = [one["id"] for one in page.all("section")]
    assert len(set(keys)) == len(keys)
    assert [one["href"] for one in page.all("a")] == [f"#nodule-{one.nodule.id}" for one in content.kept]
    assert {one["href"][1:] for one in page.all("a")} <= set(keys)


def test_each_pdf_page_says_what_it_is_for_and_its_number(document, pdf):
    use = document.use
    for number, sheet in enumerate(pdf.pages, start=1):
        text = sheet.extract_text()
        assert use in text
        assert f"page {number} of {len(pdf.pages)}" in text


def test_pdf_names_itself_its_language_and_its_parts(document, pdf):
    assert pdf.metadata.title == "Lung nodules on CT"
    assert pdf.trailer["/Root"]["/Lang"] == "en-GB"
    titles = [entry.title for entry in pdf.outline if not isinstance(entry, list)]
    assert titles == [section.title for section in document.sections]


def test_the_pdfs_font_has_every_letter(document):
    letters = set("".join(words(document)) + "ÄÖÜäöüßéø³²µ−≥≤°±×…")
    for name, file in FONTS.items():
        assert {letter for letter in letters if ord(letter) not in TTFont(name, file).face.charToGlyph} == set()


def test_the_patient_is_not_named(files, page, pdf):
    secrets = [*re.split(r"[\^ ]", NAME), STUDY, SERIES]
    told = {kind: path.read_text(encoding="utf-8") for kind, path in files.items() if kind != "pdf"}
    told["html text"] = page.text
    told["pdf"] = "".join(sheet.extract_text() for sheet in pdf.pages) + str(pdf.metadata)
    for secret in secrets:
        assert [kind for kind, text in told.items() if secret in text] == []


@pytest.mark.parametrize("kind", WRITERS)
def test_the_same_content_gives_the_same_bytes(content, files, kind, tmp_path):
    assert WRITERS[kind](content, tmp_path / "again").read_bytes() == files[kind].read_bytes()


def test_json_keeps_to_its_schema_and_says_the_same(content, document, files):
    schema = json.loads((resource("Report", Path(html_report.__file__).parents[1]) / SCHEMA).read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    data = json.loads(files["json"].read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(schema).validate(data)
    assert data["version"] == schema["properties"]["version"]["const"]
    assert [one["title"] for one in data["text"]] == [one.title for one in document.sections]
    assert [one["id"] for one in data["nodules"]] == [one.nodule.id for one in content.nodules]
    for told, one in zip(data["nodules"], content.nodules, strict=True):
        assert told["measurements"]["volume_mm3"] == pytest.approx(one.nodule.measurements.volume_mm3, abs=1e-6)
        assert told["assessment"]["brock"]["is_range"] == isinstance(one.assessment.brock, Range)
        assert told["tracking_uid"] == one.uid


def test_schema_refuses_what_it_does_not_know(files):
    schema = json.loads((resource("Report", Path(html_report.__file__).parents[1]) / SCHEMA).read_text())
    data = json.loads(files["json"].read_text(encoding="utf-8"))
    for wrong in ({"patient_name": "x"}, {"version": 2}, {"made_at": None}):
        assert not jsonschema.Draft202012Validator(schema).is_valid(data | wrong)


def test_table_extends_the_nodules_columns(full, tmp_path):
    names = [column.name for column in REPORTED_COLUMNS]
    assert names[: len(COLUMNS)] == [column.name for column in COLUMNS]
    assert len(set(names)) == len(names)
    with write_report_csv(full, tmp_path / "nodules.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    first, third = rows[0], rows[2]
    expected = {
        "mean_diameter_mm": "18.0", "volume_95_low_mm3": "2443", "volume_95_high_mm3": "3817",
        "solid_long_axis_mm": "7.1", "mass_mg": "3176", "lobe": "right upper", "zone": "upper",
        "pleura_distance_mm": "6.7", "spiculation_index": "0.37", "measured_kind": "part-solid", "lung_rads": "4X",
        "behaviour": "growing", "volume_change_fraction": "0.628", "decision": "accepted",
        "decided_at": AT.isoformat(), "outline_edited": "yes", "volume_comparable": "no", "tracking_uid": "2.25.1",
    }  # fmt: skip
    assert {name: first[name] for name in expected} == expected
    assert first["brock_probability_lowest"] == first["brock_probability_highest"]
    assert float(third["brock_probability_lowest"]) < float(third["brock_probability_highest"])
    assert third["lobe"] == third["solid_volume_mm3"] == third["doubling_time_days"] == ""
    assert rows[3]["decision"] == "rejected"


def test_text_is_text_and_no_markup(full, tmp_path):
    evil = replace(full, warnings=("<script>alert('a')</script> & <b>bold</b>",), follow_up=None)
    page = Page(write_html(evil, tmp_path / "report.html").read_text(encoding="utf-8"))
    assert not page.all("script")
    assert evil.warnings[0] in page.text
    text = "".join(sheet.extract_text() for sheet in PdfReader(write_pdf(evil, tmp_path / "report.pdf")).pages)
    assert squeezed(evil.warnings[0]) in squeezed(text)


def test_many_nodules_go_over_pages(full, tmp_path):
    one = full.nodules[3]
    many = tuple(
        replace(
            one,
            nodule=replace(one.nodule, id=n, character=None),
            explanation=None,
            decision=Decision(Verdict.REJECTED, AT),
        )
        for n in range(1, 90)
    )
    pdf = PdfReader(write_pdf(replace(full, nodules=many, follow_up=None), tmp_path / "report.pdf"))
    text = "".join(sheet.extract_text() for sheet in pdf.pages)
    assert text.count("Marks that the reader rejected") == 1
    # The header is repeated on each page that the table goes over.
    assert text.count("Detector's score") == 3


def test_a_missing_template_is_said(full, tmp_path, monkeypatch):
    monkeypatch.setattr(html_report, "resource", lambda *_arguments: None)
    with pytest.raises(InputError, match="template is missing"):
        write_html(full, tmp_path / "report.html")
    assert not list(tmp_path.iterdir())
