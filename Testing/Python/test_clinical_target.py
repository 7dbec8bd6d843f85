"""CTV and cropping: growth of a known size, stopped where anatomy stops it, in whichever frame the CT comes."""

from __future__ import annotations

import numpy as np
import pytest
from geometry import AXIS_ORDERS, oblique_grid

from SegmentationAILib.errors import InputError
from SegmentationAILib.files import load
from SegmentationAILib.metrics import dice
from SegmentationAILib.radiotherapy.clinical_target import SPREADS, Barrier, clinical_target, crossed
from SegmentationAILib.radiotherapy.cropping import inside, outside
from SegmentationAILib.radiotherapy.margin_recipes import Margins
from SegmentationAILib.radiotherapy.rtstruct_reader import read_rtstruct
from SegmentationAILib.radiotherapy.rule_building import build
from SegmentationAILib.radiotherapy.rule_parser import parse_rule
from SegmentationAILib.radiotherapy.structure_set import Role, RTStructure, StructureSet
from SegmentationAILib.volume import Grid

RADIUS, MARGIN = 10.0, 8.0
# R, mm: the lung lies to the left of the wall, which is 6 mm thick; behind it is soft tissue.
WALL = (14.0, 20.0)


class Chest:
    """Lung, wall and a GTV beside it, drawn in RAS on any grid."""

    def __init__(self, grid: Grid) -> None:
        k, j, i = np.indices(grid.shape)
        self.grid = grid
        self.ras = grid.ras(np.stack([i, j, k], axis=-1))
        self.r = self.ras[..., 0]
        self.lung = self.r < WALL[0]
        self.wall = (self.r >= WALL[0]) & (self.r < WALL[1])
        self.gtv = self.ball((0, 0, 0), RADIUS)

    def ball(self, centre, radius) -> np.ndarray:
        return np.linalg.norm(self.ras - centre, axis=-1) <= radius

    def ml(self, mask) -> float:
        return mask.sum() * self.grid.voxel_volume / 1000

    def ctv(self, *barriers: Barrier, margin: float = MARGIN) -> np.ndarray:
        return clinical_target(self.gtv, self.grid.ijk_to_ras, Margins.isotropic(margin), barriers)


@pytest.fixture(scope="module", params=[0, 17, 41])
def chest(request) -> Chest:
    return Chest(oblique_grid(AXIS_ORDERS[request.param], spacing=(1, 1, 1), shape=(64, 64, 64), centre_ras=(0, 0, 0)))


def ball_ml(radius: float) -> float:
    return 4 / 3 * np.pi * radius**3 / 1000


def cap_ml(radius: float, height: float) -> float:
    return np.pi * height**2 * (3 * radius - height) / 3 / 1000


def test_without_barriers_a_ball_grows_to_a_ball(chest):
    assert chest.ml(chest.ctv()) == pytest.approx(ball_ml(RADIUS + MARGIN), rel=0.03)


def test_growth_stays_in_the_lung(chest):
    ctv = chest.ctv(Barrier("Lungs", chest.lung, encloses=True))
    grown = RADIUS + MARGIN
    # Voxels belong to the lung by their centres: the border is half a voxel beyond the last of them.
    border = chest.r[chest.lung].max() + 0.5
    assert not (ctv & ~chest.lung).any()
    assert chest.ml(ctv) == pytest.approx(ball_ml(grown) - cap_ml(grown, grown - border), rel=0.03)


def test_an_invaded_border_is_crossed(chest):
    free = chest.ctv()
    crossed_over = chest.ctv(Barrier("Lungs", chest.lung, invaded=True, encloses=True))
    assert np.array_equal(free, crossed_over)


def test_nothing_is_left_behind_a_wall(chest):
    """The growth reaches 4 mm beyond the wall, where it is not joined to the GTV."""
    ctv = chest.ctv(Barrier("Bone", chest.wall), margin=14)
    assert not (ctv & chest.wall).any()
    assert not (ctv & (chest.r >= WALL[1])).any()
    through = chest.ctv(Barrier("Bone", chest.wall, invaded=True), margin=14)
    assert (through & (chest.r >= WALL[1])).any()


def test_one_barrier_invaded_the_other_not(chest):
    heart = chest.ras[..., 1] > 12
    ctv = chest.ctv(Barrier("Bone", chest.wall, invaded=True), Barrier("Heart", heart))
    assert (ctv & chest.wall).any()
    assert not (ctv & heart).any()


def test_a_wall_of_one_voxel_with_edges_only_does_not_leak():
    """A slanting wall of voxels that touch by edges: closed to faces, open to diagonals."""
    grid = Grid((20, 20, 20), np.eye(4))
    k, j, i = np.indices(grid.shape)
    gtv = (abs(k - 10) <= 1) & (abs(j - 5) <= 1) & (abs(i - 5) <= 1)
    wall = i + j == 19
    ctv = clinical_target(gtv, grid.ijk_to_ras, Margins.isotropic(15), [Barrier("Bone", wall)])
    assert not (ctv & (i + j >= 19)).any()
    assert (ctv & (i + j == 18)).any()


def test_the_gtv_is_kept_whole_even_inside_a_barrier(chest):
    """The GTV reaches into the wall by contour or by invasion; what is drawn stays."""
    gtv = chest.ball((8, 0, 0), RADIUS)
    ctv = clinical_target(gtv, chest.grid.ijk_to_ras, Margins.isotropic(MARGIN), [Barrier("Bone", chest.wall)])
    assert not (gtv & ~ctv).any()
    assert not (ctv & chest.wall & ~gtv).any()


def test_each_part_of_a_gtv_grows(chest):
    gtv = chest.ball((-20, 0, -15), 4) | chest.ball((-20, 0, 15), 4)
    ctv = clinical_target(gtv, chest.grid.ijk_to_ras, Margins.isotropic(3))
    assert chest.ml(ctv) == pytest.approx(2 * ball_ml(7), rel=0.06)


def test_barriers_that_the_gtv_reaches_into_are_named(chest):
    gtv = chest.ball((8, 0, 0), RADIUS)
    barriers = [
        Barrier("Lungs", chest.lung, encloses=True),
        Barrier("Bone", chest.wall),
        Barrier("Rib", chest.wall, invaded=True),
        Barrier("Heart", chest.ras[..., 1] > 12),
    ]
    assert crossed(gtv, barriers) == ("Lungs", "Bone")
    assert crossed(chest.gtv, barriers) == ()


def test_a_gap_between_gtv_and_lung_is_told_and_not_taken_for_a_finished_ctv(chest):
    """A lung drawn around the tumour leaves a rim that belongs to neither."""
    lung = chest.lung & ~chest.ball((0, 0, 0), RADIUS + 1.5)
    with pytest.raises(InputError, match="Nothing is left of the margin around the GTV, which Lungs close in"):
        chest.ctv(Barrier("Lungs", lung, encloses=True))
    touching = chest.lung & ~chest.gtv
    assert chest.ml(chest.ctv(Barrier("Lungs", touching, encloses=True))) > chest.ml(chest.gtv)
    assert np.array_equal(chest.ctv(Barrier("Lungs", lung, encloses=True), margin=0), chest.gtv)


def test_an_empty_gtv_has_an_empty_ctv(chest):
    nothing = np.zeros_like(chest.gtv)
    assert not clinical_target(nothing, chest.grid.ijk_to_ras, Margins.isotropic(5)).any()


def test_wrong_input_is_refused(chest):
    with pytest.raises(InputError, match="left margin of a CTV is negative"):
        clinical_target(chest.gtv, chest.grid.ijk_to_ras, Margins(left=-1, right=5))
    with pytest.raises(InputError, match="'Bone' is not on the grid"):
        chest.ctv(Barrier("Bone", chest.wall[1:]))


def test_published_spreads():
    """Giraud et al. 2000: 8 mm for adenocarcinoma, 6 mm for squamous cell carcinoma; SBRT: the CTV is the GTV."""
    assert SPREADS["adenocarcinoma"].margin_mm == 8
    assert SPREADS["squamous"].margin_mm == 6
    assert SPREADS["stereotactic"].margin_mm == 0
    assert all(one.source for one in SPREADS.values())


@pytest.mark.parametrize("gap", [0.0, 3.0, 5.0])
def test_a_gap_is_kept_between_structures(chest, gap):
    ptv = chest.ball((0, 0, 0), 18)
    cut = outside(ptv, chest.wall, chest.grid.ijk_to_ras, gap)
    border = WALL[0] - gap
    assert np.array_equal(cut & (chest.r < border - 1), ptv & (chest.r < border - 1))
    assert not (cut & (chest.r >= border + 0.5)).any()
    assert outside(cut, chest.wall, chest.grid.ijk_to_ras, gap).sum() == cut.sum()


def test_skin_is_left_free_but_the_end_of_the_scan_is_no_skin(chest):
    """A cylinder along S, cut by the image: only its side is skin."""
    radius, depth = 25.0, 5.0
    external = np.linalg.norm(chest.ras[..., :2], axis=-1) <= radius
    ptv = np.abs(chest.ras[..., 0]) < 40
    cut = inside(ptv, external, chest.grid.ijk_to_ras, depth)
    length = chest.grid.shape[0]
    assert chest.ml(cut) == pytest.approx(np.pi * (radius - depth) ** 2 * length / 1000, rel=0.04)
    assert cut[chest.ras[..., 2] == chest.ras[..., 2].max()].any()
    assert np.array_equal(inside(ptv, external, chest.grid.ijk_to_ras), ptv & external)


def test_the_rule_says_the_same(chest):
    held = {"GTVp": chest.gtv, "Lungs": chest.lung, "Bone": chest.wall, "External": chest.r > -24}
    structures = StructureSet(chest.grid, tuple(RTStructure(name, Role.ORGAN, mask) for name, mask in held.items()))
    lungs = Barrier("Lungs", chest.lung, encloses=True)
    opened = Barrier("Lungs", chest.lung, invaded=True, encloses=True)
    bone = Barrier("Bone", chest.wall)
    for text, mask in (
        ("ctv(GTVp, 8, within=Lungs)", chest.ctv(lungs)),
        ("ctv(GTVp, 8, within=Lungs, barriers=Bone, invaded=lungs)", chest.ctv(opened, bone)),
        ("ctv(GTVp, 8, barriers=Bone, invaded=Bone)", chest.ctv()),
        ("ctv(GTVp, 8, within=Lungs + Bone)", chest.ctv(Barrier("both", chest.lung | chest.wall, encloses=True))),
        ("outside(GTVp + Lungs, Bone, gap=3)", outside(chest.lung, chest.wall, chest.grid.ijk_to_ras, 3)),
        ("inside(Lungs, External, gap=4)", inside(chest.lung, chest.r > -24, chest.grid.ijk_to_ras, 4)),
        ("intersection(GTVp, Lungs)", chest.gtv & chest.lung),
        ("union(GTVp, Bone) - Lungs & Bone", chest.gtv | chest.wall),
    ):
        assert np.array_equal(build(parse_rule(text), structures), mask), text


def test_sides_of_a_rule_are_the_patients():
    grid = oblique_grid(AXIS_ORDERS[3], spacing=(1, 1, 1), shape=(40, 40, 40), centre_ras=(0, 0, 0))
    chest = Chest(grid)
    structures = StructureSet(grid, (RTStructure("GTVp", Role.GTV, chest.ball((0, 0, 0), 5)),))
    grown = build(parse_rule("expand(GTVp, 2, left=8, superior=0)"), structures)
    low, high = chest.ras[grown].min(axis=0), chest.ras[grown].max(axis=0)
    assert low == pytest.approx((-13, -7, -7), abs=1)
    assert high == pytest.approx((7, 7, 5), abs=1)


def test_a_clinics_own_ctv_and_ptv(data_dir):
    """A planning case whose department took 5 mm from GTV to CTV and 10 mm from CTV to PTV, uncropped."""
    folder = data_dir / "LUNG1-002" / "dicom"
    clinic, _ = read_rtstruct(folder / "1.dcm", load(folder))
    for text, theirs in (('ctv("GTV-1", 5)', "CTV-1"), ('expand("CTV-1", 10)', "PTV-1")):
        assert dice(build(parse_rule(text), clinic), clinic[theirs].mask) > 0.98
    cropped = build(parse_rule('ctv("GTV-1", 5, within="Lung L" + "Lung R")'), clinic)
    lungs = clinic["Lung L"].mask | clinic["Lung R"].mask
    assert not (cropped & ~lungs & ~clinic["GTV-1"].mask).any()
