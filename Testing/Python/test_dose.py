"""RTDOSE in: values in Gy at their place, or one sentence why not."""

from __future__ import annotations

import numpy as np
import pytest
from dose_writer import write_dose
from geometry import AXIS_ORDERS, oblique_grid

from SegmentationAILib.errors import InputError
from SegmentationAILib.preprocess import resample
from SegmentationAILib.radiotherapy.dose import read_dose
from SegmentationAILib.volume import LPS_FROM_RAS, Grid

AXIAL = Grid((5, 4, 6), LPS_FROM_RAS @ np.array([[2.5, 0, 0, -10], [0, 2.5, 0, 20], [0, 0, 3, -70], [0, 0, 0, 1]]))
GY = np.random.default_rng(0).uniform(0, 70, AXIAL.shape)
RIGHT_HANDED = [order for order in AXIS_ORDERS if np.linalg.det(oblique_grid(order).ijk_to_ras[:3, :3]) > 0]


@pytest.mark.parametrize("bits", [16, 32])
def test_values_and_place(tmp_path, bits):
    dose = read_dose(write_dose(tmp_path / "dose.dcm", GY, AXIAL, bits=bits))
    assert np.abs(dose.volume.array - GY).max() <= 70 / 2**bits + 1e-5
    assert dose.volume.grid.same_as(AXIAL)
    assert (dose.dose_type, dose.summation, dose.plan_uid) == ("PHYSICAL", "PLAN", "1.2.3.7")
    assert dose.volume.source.frame_of_reference_uid == "1.2.3.9"
    assert dose.volume.notes == ()


@pytest.mark.parametrize("order", RIGHT_HANDED)
def test_any_orientation(tmp_path, order):
    grid = oblique_grid(order, angles_deg=(7, -4, 12), shape=(5, 4, 6))
    dose = read_dose(write_dose(tmp_path / "dose.dcm", GY, grid))
    assert dose.volume.grid.same_as(grid, tolerance_mm=1e-4)
    assert np.allclose(dose.volume.array, GY, atol=1e-4)


def test_absolute_offsets(tmp_path):
    """PS3.3 C.8.8.3.2 b: patient z of each plane."""
    offsets = [-70.0 + 3 * k for k in range(5)]
    dose = read_dose(write_dose(tmp_path / "dose.dcm", GY, AXIAL, offsets=offsets))
    assert dose.volume.grid.same_as(AXIAL)


@pytest.mark.parametrize("absolute", [False, True])
def test_descending_offsets_are_turned_round(tmp_path, absolute):
    first = -70.0 + 12
    offsets = [first * absolute - 3 * k for k in range(5)]
    position = list(LPS_FROM_RAS[:3, :3] @ AXIAL.ras([0, 0, 4]))
    path = write_dose(tmp_path / "dose.dcm", GY[::-1], AXIAL, offsets=offsets, ImagePositionPatient=position)
    dose = read_dose(path)
    assert dose.volume.grid.same_as(AXIAL)
    assert np.allclose(dose.volume.array, GY, atol=1e-4)


def test_gaps_of_whole_multiples_are_filled_and_the_dose_between_planes_stays(tmp_path):
    planes = [0, 1, 2, 4, 7]
    dose = read_dose(write_dose(tmp_path / "dose.dcm", GY, AXIAL, offsets=[3.0 * k for k in planes]))
    assert dose.volume.shape[0] == 8
    assert np.allclose(dose.volume.array[planes], GY, atol=1e-4)
    assert np.allclose(dose.volume.array[3], (GY[2] + GY[3]) / 2, atol=1e-4)
    assert "3 planes" in dose.volume.notes[0]
    finer = dose.volume.grid.with_spacing([2.5, 2.5, 1.5])
    assert np.isfinite(resample(dose.volume.array, dose.volume.grid, finer, fill=np.nan)).all()


@pytest.mark.parametrize(("highest", "whole"), [(1.1, 1.0), (107.0, 100.0)])
def test_relative_doses_need_a_prescription(tmp_path, highest, whole):
    relative = GY / GY.max() * highest
    path = write_dose(tmp_path / "dose.dcm", relative, AXIAL, DoseUnits="RELATIVE")
    with pytest.raises(InputError, match=r"relative; give the prescribed dose in Gy\.$"):
        read_dose(path)
    dose = read_dose(path, prescription_gy=60.0)
    assert np.allclose(dose.volume.array, relative * 60 / whole, atol=1e-4)
    assert "60 Gy" in dose.volume.notes[0]


def test_relative_doses_that_are_neither_fraction_nor_percentage(tmp_path):
    path = write_dose(tmp_path / "dose.dcm", GY / GY.max() * 12, AXIAL, DoseUnits="RELATIVE")
    with pytest.raises(InputError, match="neither a fraction nor a percentage"):
        read_dose(path, prescription_gy=60.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"offsets": [0.0, 3.0, 6.0, 9.0, 13.1]}, "unevenly spaced"),
        ({"offsets": [0.0, 3.0, 6.0, 5.0, 12.0]}, "not in order"),
        ({"offsets": [0.0, 3.0, 3.0, 6.0, 9.0]}, "not in order"),
        ({"offsets": [0.0, 3.0, 6.0]}, "5 planes and places for 3"),
        ({"offsets": [5.0, 8.0, 11.0, 14.0, 17.0]}, "neither at 0 nor"),
        ({"GridFrameOffsetVector": None}, "where its planes lie"),
        ({"DoseType": "ERROR"}, "error of a dose"),
        ({"DoseUnits": None}, "in Gy"),
        ({"DoseGridScaling": None}, "what its values mean"),
        ({"ImagePositionPatient": None}, "where its doses lie"),
        ({"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}, "invalid image orientation"),
        ({"NumberOfFrames": 1}, "single plane"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.481.5", "Modality": "RTPLAN"}, "no dose but RTPLAN"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_sentence(tmp_path, change, message):
    with pytest.raises(InputError, match=message) as refused:
        read_dose(write_dose(tmp_path / "dose.dcm", GY, AXIAL, **change))
    assert str(refused.value).endswith(".")
    assert "\n" not in str(refused.value)


def test_a_damaged_file_and_another_file(tmp_path):
    whole = write_dose(tmp_path / "dose.dcm", GY, AXIAL).read_bytes()
    cut = tmp_path / "cut.dcm"
    cut.write_bytes(whole[:-100])
    with pytest.raises(InputError, match="damaged"):
        read_dose(cut)
    text = tmp_path / "text.dcm"
    text.write_text("no DICOM at all, but long enough to have room for a preamble" * 4)
    with pytest.raises(InputError, match="not a DICOM file"):
        read_dose(text)


def test_the_dose_of_a_beam_is_said_to_be_one(tmp_path):
    dose = read_dose(write_dose(tmp_path / "dose.dcm", GY, AXIAL, DoseSummationType="BEAM", DoseType="EFFECTIVE"))
    assert dose.summation == "BEAM"
    assert any("dose of a beam" in note for note in dose.volume.notes)
    assert any("biological effect" in note for note in dose.volume.notes)


def test_real_doses(data_dir):
    lung = read_dose(data_dir / "LUNG1-002" / "dicom" / "117.dcm")
    assert lung.volume.shape == (68, 63, 83)
    assert lung.volume.array.max() == pytest.approx(75.612, abs=1e-3)
    head = read_dose(data_dir / "rt" / "rtdose-head" / "rtdose.dcm")
    assert head.volume.spacing == pytest.approx([2.5, 2.5, 2.4], abs=1e-9)
    assert head.volume.array.max() == pytest.approx(20.16302, abs=1e-5)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("tag", [b"\x04\x30\x0a\x00", b"\x04\x30\x0c\x00", b"\x20\x00\x32\x00"])
def test_a_value_of_no_kind_is_told_as_damage(tmp_path, tag):
    path = write_dose(tmp_path / "dose.dcm", GY, AXIAL)
    content = path.read_bytes()
    place = content.index(tag, 132) + 4
    path.write_bytes(content[:place] + b"QI" + content[place + 2 :])
    with pytest.raises(InputError, match="damaged or was not copied whole; copy or export the dose again"):
        read_dose(path)
