"""Stored values and HU: every transfer syntax, bit depth, sign, padding and photometric interpretation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_writer import (
    ENCODED_BY_ITK,
    NATIVE,
    Encoding,
    Identity,
    enhanced,
    enhanced_identity,
    image,
    pattern,
    write_series,
)
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, RLELossless

from SegmentationAILib.dicom_pixels import read_stored_values
from SegmentationAILib.errors import InputError
from SegmentationAILib.files import load
from SegmentationAILib.volume import Grid

COMPRESSED_FILES = sorted((Path(__file__).parents[1] / "data").glob("*.dcm"))
SYNTAXES = (*NATIVE, RLELossless, *ENCODED_BY_ITK)
# The axes of DICOM's own frame, so that arrays compare without reordering.
LPS_GRID = Grid((3, 40, 48), np.diag([-1.0, -1.0, 2.0, 1.0]))


def stack(plane: np.ndarray) -> np.ndarray:
    """Three slices that differ."""
    return np.stack([plane, plane[::-1], plane[:, ::-1]])


@pytest.mark.parametrize("bits", [16, 12])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda uid: uid.name)
def test_transfer_syntaxes(tmp_path, syntax, signed, bits):
    hu = stack(np.clip(pattern(), -1000, 2000))
    intercept = 0.0 if signed else -1024.0
    encoding = Encoding(syntax=syntax, signed=signed, bits_stored=bits, intercept=(intercept,))
    paths = write_series(tmp_path, hu, LPS_GRID, encoding=encoding)
    assert pydicom.dcmread(paths[0]).file_meta.TransferSyntaxUID == syntax
    volume = load(tmp_path)
    assert volume.array.dtype == np.int16
    assert np.array_equal(volume.array, hu)


@pytest.mark.parametrize("path", COMPRESSED_FILES, ids=lambda path: path.stem)
def test_files_of_other_encoders(path):
    header = pydicom.dcmread(path, stop_before_pixels=True)
    assert header.file_meta.TransferSyntaxUID.is_compressed
    values = read_stored_values(path).values[0]
    assert np.array_equal(values + int(header.RescaleIntercept), pattern())


def test_there_are_files_of_other_encoders():
    syntaxes = {pydicom.dcmread(path, stop_before_pixels=True).file_meta.TransferSyntaxUID for path in COMPRESSED_FILES}
    assert {uid.name for uid in syntaxes} == {
        "JPEG-LS Lossless Image Compression",
        "JPEG Lossless, Non-Hierarchical (Process 14)",
    }


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda uid: uid.name)
def test_multi_frame_ct_with_rescaling_per_frame(tmp_path, syntax):
    hu = stack(np.clip(pattern(), -1000, 2000))
    encoding = Encoding(syntax=syntax, slope=(1.0, 2.0, 0.5), intercept=(-1024.0, -1000.0, -2000.0))
    hu[1] = hu[1] // 2 * 2
    dataset = enhanced(hu, LPS_GRID, [2, 0, 1], encoding, enhanced_identity())
    pydicom.dcmwrite(tmp_path / "enhanced.dcm", dataset)
    volume = load(tmp_path)
    assert np.array_equal(volume.array, hu)
    assert volume.grid.same_as(LPS_GRID)
    assert volume.modality == "CT"
    assert volume.source.sop_instance_uids == ("1.2.3.4.1",) * 3


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(("bits", "high_bit"), [(12, 11), (12, 15), (14, 14), (16, 15)])
def test_bits_beyond_the_stored_ones_are_removed(tmp_path, signed, bits, high_bit):
    hu = stack(np.clip(pattern(), -1000, 2000))
    encoding = Encoding(
        signed=signed,
        bits_stored=bits,
        high_bit=high_bit,
        junk_in_high_bits=True,
        intercept=(0.0 if signed else -1024.0,),
    )
    write_series(tmp_path, hu, LPS_GRID, encoding=encoding)
    assert np.array_equal(load(tmp_path).array, hu)


def test_whole_hu_beyond_int16_and_fractions_are_float(tmp_path):
    hu = stack(pattern()).astype(np.float64)
    write_series(
        tmp_path / "fraction", hu, LPS_GRID, encoding=Encoding(slope=(1.0, 0.25), intercept=(-1024.0, -1000.5))
    )
    expected = hu.copy()
    expected[1] = np.round((hu[1] + 1000.5) / 0.25) * 0.25 - 1000.5
    fraction = load(tmp_path / "fraction").array
    assert fraction.dtype == np.float32
    assert np.array_equal(fraction, expected.astype(np.float32))
    hu[2, 5, 5] = 50000
    write_series(tmp_path / "metal", hu, LPS_GRID)
    metal = load(tmp_path / "metal").array
    assert metal.dtype == np.float32
    assert np.array_equal(metal, hu)


# PixelPaddingValue as written (VR, value), the raw word in the image, signed pixels, bits stored.
PADDINGS = {
    "GE": ("SS", -2000, 0xF830, True, 16),
    "GE with the wrong sign": ("US", 63536, 0xF830, True, 16),
    "12 bits padded with 63536": ("US", 63536, 0xF830, False, 12),
    "beyond int16": ("US", 65535, 0xFFFF, False, 16),
}


@pytest.mark.parametrize("case", PADDINGS.values(), ids=PADDINGS)
def test_padding_becomes_air(tmp_path, case):
    vr, value, word, signed, bits = case
    hu = stack(np.clip(pattern(), -900, 2000))
    outside = np.hypot(*(np.indices(hu.shape[1:]) - [[[20]], [[24]]])) > 19

    def pad(dataset, k):
        words = np.frombuffer(dataset.PixelData, "<u2").reshape(hu.shape[1:]).copy()
        words[outside] = word
        dataset.PixelData = words.tobytes()
        dataset.add_new("PixelPaddingValue", vr, value)

    encoding = Encoding(signed=signed, bits_stored=bits, intercept=(0.0 if signed else -1024.0,))
    write_series(tmp_path, hu, LPS_GRID, encoding=encoding, edit=pad)
    volume = load(tmp_path)
    assert volume.array.dtype == np.int16
    assert np.all(volume.array[:, outside] == -1024)
    assert np.array_equal(volume.array[:, ~outside], hu[:, ~outside])
    assert any("Padding" in note for note in volume.notes)


def test_padding_with_a_range(tmp_path):
    hu = stack(np.clip(pattern(), -900, 2000))
    hu[:, :, :5] = -1990
    hu[:, :, 2] = -2000

    def declare(dataset, k):
        dataset.add_new("PixelPaddingValue", "SS", -2000)
        dataset.add_new("PixelPaddingRangeLimit", "SS", -1990)

    write_series(tmp_path, hu, LPS_GRID, encoding=Encoding(signed=True, intercept=(0.0,)), edit=declare)
    volume = load(tmp_path)
    assert np.all(volume.array[:, :, :5] == -1024)
    assert np.array_equal(volume.array[:, :, 5:], hu[:, :, 5:])


def test_padding_value_that_tissue_has_too_is_air_only_from_the_edge(tmp_path):
    hu = np.full((3, 40, 48), 40)
    hu[:, :, :6] = 0
    hu[:, 20:24, 20:24] = 0

    def declare(dataset, k):
        dataset.add_new("PixelPaddingValue", "SS", 0)

    write_series(tmp_path, hu, LPS_GRID, encoding=Encoding(signed=True, intercept=(0.0,)), edit=declare)
    array = load(tmp_path).array
    assert np.all(array[:, :, :6] == -1024)
    assert np.all(array[:, 20:24, 20:24] == 0)


@pytest.mark.parametrize("signed", [False, True])
def test_monochrome1_leaves_hu_alone(tmp_path, signed):
    hu = stack(np.clip(pattern(), -900, 2000))
    hu[:, [0, -1]] = hu[:, :, [0, -1]] = -1000
    encoding = Encoding(photometric="MONOCHROME1", signed=signed, intercept=(0.0 if signed else -1024.0,))
    write_series(tmp_path, hu, LPS_GRID, encoding=encoding)
    volume = load(tmp_path)
    assert np.array_equal(volume.array, hu)
    assert volume.notes == ()


@pytest.mark.parametrize("signed", [False, True])
def test_monochrome1_stored_as_a_negative_is_turned_back(tmp_path, signed):
    hu = stack(np.clip(pattern(), -900, 2000))
    hu[:, [0, -1]] = hu[:, :, [0, -1]] = -1000
    intercept = 0 if signed else -1024
    sum_of_ends = -1 if signed else 4095
    negative = sum_of_ends - (hu - intercept) + intercept
    encoding = Encoding(photometric="MONOCHROME1", signed=signed, bits_stored=12, intercept=(float(intercept),))
    write_series(tmp_path, negative, LPS_GRID, encoding=encoding)
    volume = load(tmp_path)
    assert np.array_equal(volume.array, hu)
    assert any("negative" in note for note in volume.notes)


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda uid: uid.name)
@pytest.mark.filterwarnings("ignore:End of file reached")
@pytest.mark.parametrize("keep", [0.35, 0.6, 0.9])
def test_a_truncated_slice_is_refused_by_name(tmp_path, syntax, keep):
    """Cut anywhere: never read as if it were whole, never passed over as if it were not there."""
    hu = stack(np.clip(pattern(), -1000, 2000))
    paths = write_series(tmp_path, hu, LPS_GRID, encoding=Encoding(syntax=syntax))
    whole = paths[1].read_bytes()
    paths[1].write_bytes(whole[: int(keep * len(whole))])
    with pytest.raises(InputError, match=f"'{paths[1].name}' is damaged"):
        load(tmp_path)


def test_a_slice_cut_within_its_header_is_refused(tmp_path):
    paths = write_series(tmp_path, stack(pattern()), LPS_GRID)
    whole = paths[2].read_bytes()
    start_of_pixels = len(whole) - 2 * pattern().size
    for length in range(132, start_of_pixels, 7):
        paths[2].write_bytes(whole[:length])
        with pytest.raises(InputError, match=f"'{paths[2].name}' is damaged"):
            load(tmp_path)


def test_a_syntax_that_nothing_here_decodes_is_named(tmp_path):
    def claim_another(dataset, k):
        dataset.PixelData = pydicom.encaps.encapsulate([b"\xff\x4f\xff\x51" + bytes(100)])
        dataset["PixelData"].VR = "OB"
        dataset["PixelData"].is_undefined_length = True
        dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.102"

    write_series(tmp_path, stack(pattern()), LPS_GRID, edit=claim_another)
    with pytest.raises(InputError, match=r"MPEG-4 .* cannot be decoded here; export the series uncompressed"):
        load(tmp_path)


def test_a_file_without_pixels_is_refused(tmp_path):
    def drop(dataset, k):
        if k == 1:
            del dataset.PixelData

    paths = write_series(tmp_path, stack(pattern()), LPS_GRID, edit=drop)
    with pytest.raises(InputError, match=f"'{paths[1].name}' is damaged"):
        load(tmp_path)


def test_values_that_are_not_hu_are_refused(tmp_path):
    identity = Identity(extra={"RescaleType": "Z_EFF"})
    write_series(tmp_path, stack(pattern()), LPS_GRID, identity=identity)
    with pytest.raises(InputError, match="'Z_EFF', not Hounsfield units"):
        load(tmp_path)


def test_frames_that_are_not_there_are_refused(tmp_path):
    encoding = Encoding(syntax=JPEG2000Lossless)
    dataset = enhanced(stack(pattern()), LPS_GRID, [0, 1, 2], encoding, enhanced_identity())
    one = image(pattern(), LPS_GRID, 0, Encoding(syntax=ExplicitVRLittleEndian), Identity())
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.PixelData = one.PixelData
    dataset["PixelData"].VR = "OW"
    dataset["PixelData"].is_undefined_length = False
    pydicom.dcmwrite(tmp_path / "short.dcm", dataset)
    with pytest.raises(InputError, match=r"'short.dcm' is damaged"):
        load(tmp_path)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_more_frames_described_than_stored_are_refused(tmp_path, photometric):
    encoding = Encoding(photometric=photometric)
    dataset = enhanced(stack(pattern()), LPS_GRID, [0, 1, 2], encoding, enhanced_identity())
    dataset.NumberOfFrames = 1
    pydicom.dcmwrite(tmp_path / "short.dcm", dataset)
    with pytest.raises(InputError, match=r"'short.dcm' has fewer frames than its header says"):
        load(tmp_path)


def test_localizer_frames_are_left_out(tmp_path):
    dataset = enhanced(stack(pattern()), LPS_GRID, [2, 0, 1], Encoding(), enhanced_identity())
    localizer = pydicom.Dataset()
    localizer.FrameType = ["ORIGINAL", "PRIMARY", "LOCALIZER", "NONE"]
    dataset.PerFrameFunctionalGroupsSequence[1].CTImageFrameTypeSequence = pydicom.Sequence([localizer])
    pydicom.dcmwrite(tmp_path / "enhanced.dcm", dataset)
    assert np.array_equal(load(tmp_path).array, stack(pattern())[1:])
