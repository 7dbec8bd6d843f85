"""A picture in a PDF: its lines stay lines."""

from __future__ import annotations

from PIL import Image
from reportlab.lib.colors import HexColor
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Flowable

from LungNoduleAILib.report.picture import Label, Line, Picture
from LungNoduleAILib.report.svg import BASELINE, DASH, HALO

_FILLED, _STROKED = 0, 1


class PictureFlowable(Flowable):
    """A picture of a given width.

    Args:
        picture: what to draw.
        width: in points.
        font, bold_font: names that reportlab knows.
    """

    def __init__(self, picture: Picture, width: float, font: str, bold_font: str) -> None:
        super().__init__()
        self._picture = picture
        self._fonts = {False: font, True: bold_font}
        self.width = width
        self.height = width * picture.height / picture.width

    def wrap(self, *_available: float) -> tuple[float, float]:
        return self.width, self.height

    def draw(self) -> None:
        canvas, picture = self.canv, self._picture
        canvas.saveState()
        if picture.pixels is not None:
            image = ImageReader(Image.fromarray(picture.pixels))
            canvas.drawImage(image, 0, 0, self.width, self.height)
        # From here on in the picture's own unit, with y from below.
        canvas.scale(self.width / picture.width, self.width / picture.width)
        canvas.setLineJoin(1)
        for line in picture.lines:
            self._draw_line(canvas, line)
        for label in picture.labels:
            self._draw_label(canvas, label)
        canvas.restoreState()

    def _draw_line(self, canvas: Canvas, line: Line) -> None:
        path = canvas.beginPath()
        points = [(float(x), self._picture.height - float(y)) for x, y in line.points]
        path.moveTo(*points[0])
        for point in points[1:]:
            path.lineTo(*point)
        if line.closed:
            path.close()
        if line.colour:
            canvas.setStrokeColor(HexColor(line.colour))
            canvas.setLineWidth(line.width)
            canvas.setDash([DASH * line.width] if line.dashed else [])
        if line.fill:
            canvas.setFillColor(HexColor(line.fill))
        canvas.drawPath(path, stroke=int(bool(line.colour)), fill=int(bool(line.fill)))

    def _draw_label(self, canvas: Canvas, label: Label) -> None:
        font = self._fonts[label.bold]
        width = canvas.stringWidth(label.text, font, label.size)
        x = label.x - {"start": 0.0, "middle": 0.5, "end": 1.0}[label.anchor] * width
        y = self._picture.height - label.y - BASELINE * label.size
        canvas.setDash([])
        if label.behind:
            canvas.setStrokeColor(HexColor(label.behind))
            canvas.setLineWidth(HALO * label.size)
            self._write(canvas, label, font, x, y, _STROKED)
        canvas.setFillColor(HexColor(label.colour))
        self._write(canvas, label, font, x, y, _FILLED)

    @staticmethod
    def _write(canvas: Canvas, label: Label, font: str, x: float, y: float, mode: int) -> None:
        # The mode would last beyond the text.
        canvas.saveState()
        text = canvas.beginText(x, y)
        text.setFont(font, label.size)
        text.setTextRenderMode(mode)
        text.textOut(label.text)
        canvas.drawText(text)
        canvas.restoreState()
