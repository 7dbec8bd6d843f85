"""Key images show what lies where, on any grid; the map has each nodule at its place."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
from geometry import AXIS_ORDERS, oblique_grid
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.path import Path as Polygon
from report_cases import BALLS, LUNG_HU, TISSUE_HU, ball_nodule, character_of, chest_ct, explanation_of, points_of
from report_cases import whole_grid as chest_grid

from LungNoduleAILib.explanation.result import Explanation
from LungNoduleAILib.guidelines.findings import Kind
from LungNoduleAILib.nodule import NoduleMask
from LungNoduleAILib.report.lung_map import lung_map
from LungNoduleAILib.report.pictures import (
    AXES,
    AXIAL,
    CORONAL,
    OUTLINE,
    SAGITTAL,
    influence_picture,
    key_pictures,
    section,
    side_mm,
)
from LungNoduleAILib.report.svg import svg
from SegmentationAILib.labels import LabelMap
from SegmentationAILib.volume import Grid, Volume

CENTRE = (40.0, -25.0, 120.0)
# From the nodule, mm: to the patient's left, to the front, to the head.
MARKERS = ((-14.0, 0.0, 0.0), (0.0, 12.0, 0.0), (0.0, 0.0, 15.0))
# Where each is seen from the middle of each picture, (right, down); None where it lies out of the section.
SEEN = {
    "Axial": ((14, 0), (0, -12), None),
    "Coronal": ((14, 0), None, (0, -15)),
    "Sagittal": (None, (-12, 0), (0, -15)),
}


def marked_ct(grid: Grid) -> Volume:
    """A ball of 10 mm in lung with a marker of 4 mm on three sides."""
    points = points_of(grid)
    inside = np.linalg.norm(points - CENTRE, axis=-1) <= 5.0
    for offset in MARKERS:
        inside |= np.linalg.norm(points - np.add(CENTRE, offset), axis=-1) <= 2.5
    return Volume(np.where(inside, TISSUE_HU, LUNG_HU).astype(np.float32), grid, "marked", "CT")


def outline_of(picture) -> Polygon:
    (line,) = [line for line in picture.lines if line.colour == OUTLINE]
    assert line.closed
    return Polygon(line.points)


def area(points: np.ndarray) -> float:
    x, y = points.T
    return abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2


def brightness(picture, x: float, y: float) -> int:
    """Of the pixel at a place from the picture's middle, mm."""
    rows, columns = picture.pixels.shape[:2]
    return int(picture.pixels[int((y / picture.height + 0.5) * rows), int((x / picture.width + 0.5) * columns)].max())


@given(st.sampled_from(AXIS_ORDERS), st.tuples(*[st.floats(-180, 180)] * 3))
@settings(deadline=None, max_examples=12)
def test_the_outline_is_where_the_mask_is_and_the_patient_lies_as_radiologists_look_at_him(order, angles):
    grid = oblique_grid(order, angles_deg=angles, spacing=(1.0, 1.1, 1.3), shape=(44, 46, 48), centre_ras=CENTRE)
    nodule = ball_nodule(1, CENTRE, 10.0, grid, box_mm=0.8)
    for picture in key_pictures(marked_ct(grid), nodule):
        outline = outline_of(picture)
        assert np.allclose(np.ptp(outline.vertices, axis=0), 10.0, atol=0.5)
        assert area(outline.vertices) == pytest.approx(np.pi * 25, rel=0.03)
        assert outline.vertices.mean(axis=0) == pytest.approx((picture.width / 2,) * 2, abs=0.3)
        for seen in filter(None, SEEN[picture.title]):
            assert brightness(picture, *seen) > 150
            assert brightness(picture, *(-np.array(seen))) < 100
        assert brightness(picture, 0, 0) > 150
        assert brightness(picture, 7.5, 7.5) < 100


def test_letters_name_the_edges():
    volume, _ = chest_ct(chest_grid(), ())
    for plane, expected in ((AXIAL, "RLAP"), (CORONAL, "RLSI"), (SAGITTAL, "APSI")):
        labels = {label.text: label for label in section(volume, (60, 0, 0), 50.0, plane).labels}
        left, right, up, down = (labels[letter] for letter in expected)
        assert left.x < 10 < 40 < right.x
        assert up.y < 10 < 40 < down.y


@pytest.mark.parametrize(("side", "millimetres"), [(40.0, 10.0), (60.0, 10.0), (80.0, 20.0), (220.0, 50.0)])
def test_the_ruler_is_as_long_as_it_says(side, millimetres):
    volume, _ = chest_ct(chest_grid(), ())
    picture = section(volume, (60, 0, 0), side, AXIAL)
    assert f"{millimetres:.0f} mm" in [label.text for label in picture.labels]
    assert [float(np.ptp(line.points[:, 0])) for line in picture.lines] == [pytest.approx(millimetres)] * 2


def test_window_of_the_lung():
    grid = chest_grid()
    for hu, grey in ((-1350, 0), (-750, 102), (150, 255), (3000, 255), (-2000, 0)):
        flat = Volume(np.full(grid.shape, hu, np.int16), grid)
        assert np.unique(section(flat, (0, 0, 0), 40.0, AXIAL).pixels).tolist() == [grey]


def test_outside_the_ct_is_air():
    volume, _ = chest_ct(chest_grid(), ())
    assert section(volume, (500, 0, 0), 40.0, AXIAL).pixels.max() < 60


def test_a_section_shows_the_nodule_and_what_is_around_it():
    small, large = (ball_nodule(1, CENTRE, mm, chest_grid()) for mm in (4.0, 30.0))
    assert side_mm(small) == 40.0
    assert side_mm(large) == 60.0
    assert side_mm(small, large) == 60.0


def test_a_nodule_that_fills_no_voxel_to_a_half_is_shown_as_a_dashed_circle():
    grid = chest_grid()
    nodule = ball_nodule(1, BALLS[0][0], 4.0, grid)
    faint = replace(nodule, mask=NoduleMask(0.4 * nodule.mask.occupancy, nodule.mask.grid))
    volume, _ = chest_ct(grid, ())
    (circle,) = [line for line in key_pictures(volume, faint)[0].lines if line.colour == OUTLINE]
    assert circle.dashed
    assert np.ptp(circle.points[:, 0]) == pytest.approx(4.0, abs=0.1)


def test_axes_are_drawn_where_they_were_measured():
    grid = chest_grid()
    nodule = ball_nodule(1, BALLS[0][0], 18.0, grid)
    volume, _ = chest_ct(grid, (nodule,))
    character = character_of(nodule, Kind.SOLID, None)
    lengths = [
        [float(np.linalg.norm(np.ptp(line.points, axis=0))) for line in picture.lines if line.colour == AXES]
        for picture in key_pictures(volume, replace(nodule, character=character))
    ]
    assert lengths == [[pytest.approx(18.4), pytest.approx(17.6)], [], []]
    # Where the axes lie 4 mm higher, so does the section.
    higher = replace(
        character.axial,
        long_axis_ras=tuple((r, a, s + 4.0) for r, a, s in character.axial.long_axis_ras),
        short_axis_ras=tuple((r, a, s + 4.0) for r, a, s in character.axial.short_axis_ras),
    )
    axial = key_pictures(volume, replace(nodule, character=replace(character, axial=higher)))[0]
    assert len([line for line in axial.lines if line.colour == AXES]) == 2
    assert area(outline_of(axial).vertices) == pytest.approx(np.pi * (81 - 16), rel=0.03)


def test_influence_is_orange_where_it_speaks_for_a_nodule_and_blue_against():
    grid = chest_grid()
    nodule = ball_nodule(1, BALLS[0][0], 18.0, grid)
    volume, _ = chest_ct(grid, (nodule,))
    pixels = influence_picture(volume, nodule, explanation_of(nodule)).pixels.astype(int)
    middle = len(pixels) // 2
    per_mm = len(pixels) / side_mm(nodule)
    red, _, blue = pixels[middle, middle]
    assert red > blue + 50
    red, _, blue = pixels[middle, middle + round(10.5 * per_mm)]
    assert blue > red + 30
    assert len(set(pixels[2, 2])) == 1
    # None at all: grey, and no division by zero.
    silent = influence_picture(
        volume, nodule, Explanation(np.zeros(nodule.mask.grid.shape, np.float32), nodule.mask.grid, ())
    )
    assert np.array_equal(silent.pixels[..., 0], silent.pixels[..., 2])


def on_other_axes(lungs: LabelMap, order: int) -> LabelMap:
    """The same lungs on a grid with other axes."""
    grid = oblique_grid(AXIS_ORDERS[order], spacing=(3.0,) * 3, shape=(90, 90, 90), centre_ras=(0.0, 0.0, 0.0))
    labels = np.zeros(grid.shape, np.uint8)
    for value, centre in ((1, (60.0, 0.0, 0.0)), (2, (-60.0, 0.0, 0.0))):
        labels[np.linalg.norm((points_of(grid) - centre) / (45.0, 60.0, 80.0), axis=-1) <= 1] = value
    return LabelMap(labels, grid, lungs.structures)


@pytest.mark.parametrize("order", [None, 11, 29])
def test_the_map_has_the_lungs_and_each_nodule_at_its_place(order):
    nodules = [ball_nodule(n, *ball, chest_grid()) for n, ball in enumerate(BALLS, start=1)]
    _, lungs = chest_ct(chest_grid(), ())
    front, below = lung_map(on_other_axes(lungs, order) if order is not None else lungs, nodules)
    for picture, radius in ((front, 80.0), (below, 60.0)):
        right, left = picture.lines[:2]
        assert right.points[:, 0].mean() < picture.width / 2 < left.points[:, 0].mean()
        assert area(right.points) == pytest.approx(np.pi * 45 * radius, rel=0.05)
        discs = picture.lines[2:]
        assert len(discs) == len(nodules)
        for nodule, disc in zip(nodules, discs, strict=True):
            r, a, s = nodule.centre_ras
            down = -s if picture is front else -a
            expected = (picture.width / 2 - r, picture.height / 2 + down)
            assert disc.points.mean(axis=0) == pytest.approx(expected, abs=2.5)


def test_numbers_cover_neither_each_other_nor_a_disc():
    nodules = [ball_nodule(n, (60.0 + 5 * n, 20.0, 30.0), 5.0, chest_grid()) for n in range(6)]
    _, lungs = chest_ct(chest_grid(), ())
    front, _ = lung_map(lungs, nodules)
    numbers = np.array([(label.x, label.y) for label in front.labels if label.text.isdigit()])
    discs = np.array([line.points.mean(axis=0) for line in front.lines[2:]])
    assert np.linalg.norm(numbers[:, None] - discs, axis=-1).min() > 6.0
    apart = np.linalg.norm(numbers[:, None] - numbers, axis=-1)[~np.eye(len(numbers), dtype=bool)]
    assert apart.min() > 9.0


def test_a_map_without_lungs_is_empty_but_there():
    _, lungs = chest_ct(chest_grid(), ())
    front, _ = lung_map(LabelMap(np.zeros_like(lungs.array), lungs.grid, lungs.structures), ())
    assert not front.lines
    assert "no nodule" in front.text


def test_svg_is_one_element_that_says_what_it_shows():
    nodule = ball_nodule(1, BALLS[0][0], 18.0, chest_grid())
    volume, _ = chest_ct(chest_grid(), (nodule,))
    picture = replace(key_pictures(volume, nodule)[0], text='A "picture" of <this> & that')
    root = ElementTree.fromstring(svg(picture))
    assert root.get("aria-label") == picture.text
    assert root.get("viewBox") == "0 0 50 50"
    tags = [child.tag.partition("}")[2] for child in root]
    assert tags == ["image", "polygon", *["polyline"] * 2, *["text"] * 5]
