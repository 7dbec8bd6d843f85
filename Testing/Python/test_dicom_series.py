"""Finding the CT series in a folder as hospitals hand them out."""

from __future__ import annotations

import shutil

import numpy as np
import pydicom
import pytest
from dicom_writer import Encoding, Identity, image, pattern, write_series

from SegmentationAILib.dicom_series import find_series
from SegmentationAILib.engine.progress import CancelToken, Progress
from SegmentationAILib.errors import Cancelled, InputError
from SegmentationAILib.files import load
from SegmentationAILib.volume import Grid

GRID = Grid((4, 40, 48), np.diag([-1.0, -1.0, 2.0, 1.0]))
HU = np.stack([pattern(), pattern()[::-1], pattern()[:, ::-1], pattern()[::-1, ::-1]])
RTSTRUCT = Identity(series_uid="1.2.9", modality="RTSTRUCT", sop_class="1.2.840.10008.5.1.4.1.1.481.3")
RTDOSE = Identity(series_uid="1.2.10", modality="RTDOSE", sop_class="1.2.840.10008.5.1.4.1.1.481.2")
SECONDARY_CAPTURE = Identity(series_uid="1.2.11", modality="CT", sop_class="1.2.840.10008.5.1.4.1.1.7")
DOSE_REPORT = Identity(series_uid="1.2.12", modality="SR", sop_class="1.2.840.10008.5.1.4.1.1.88.67")


def write_other(folder, identity, name):
    """An object that is not a slice, written like one, so that only its class tells."""
    pydicom.dcmwrite(folder / name, image(HU[0], GRID, 0, Encoding(), identity))


def test_clutter_is_passed_over(tmp_path):
    write_series(tmp_path / "disc" / "DICOM" / "P0001", HU, GRID)
    (tmp_path / "README.TXT").write_text("viewer")
    (tmp_path / "empty").touch()
    (tmp_path / "autorun.inf").write_bytes(b"\x08\x00")
    (tmp_path / "looks like a data set").write_bytes(b"\x08\x00\x05\x00" + bytes(300))
    (tmp_path / "picture.jpg").write_bytes(b"\xff\xd8" + bytes(500))
    (tmp_path / "DICOMDIR").write_bytes(bytes(128) + b"DICM" + b"\xff" * 50)
    directory = image(HU[0], GRID, 0, Encoding(), Identity(sop_class="1.2.840.10008.1.3.10"))
    del directory.SeriesInstanceUID
    pydicom.dcmwrite(tmp_path / "directory", directory)
    for n, identity in enumerate((RTSTRUCT, RTDOSE, SECONDARY_CAPTURE, DOSE_REPORT)):
        write_other(tmp_path, identity, f"{n}.dcm")
    write_other(tmp_path, Identity(series_uid="1.2.13"), "localizer.dcm")
    localizer = pydicom.dcmread(tmp_path / "localizer.dcm")
    localizer.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    localizer.ImageOrientationPatient = [0, 1, 0, 0, 0, -1]
    localizer.save_as(tmp_path / "localizer.dcm")
    volume = load(tmp_path)
    assert np.array_equal(volume.array, HU)
    assert volume.source.sop_instance_uids == tuple(f"1.2.3.4.{k}" for k in (1, 2, 3, 4))
    assert volume.source.series_instance_uid == "1.2.3.4"
    assert volume.source.study_instance_uid == "1.2.3"
    assert volume.source.frame_of_reference_uid == "1.2.3.9"
    assert volume.source.sop_class_uid == "1.2.840.10008.5.1.4.1.1.2"


def test_a_localizer_in_the_series_is_passed_over(tmp_path):
    def first_is_localizer(dataset, k):
        if k == 0:
            dataset.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
            dataset.ImageOrientationPatient = [0, 1, 0, 0, 0, -1]
            dataset.PixelSpacing = [2, 2]

    write_series(tmp_path, HU, GRID, edit=first_is_localizer)
    assert np.array_equal(load(tmp_path).array, HU[1:])


def test_two_series_are_listed_and_one_can_be_chosen(tmp_path):
    write_series(tmp_path / "b", HU, GRID, identity=Identity("1.2.3.5", 12, "lung kernel"))
    write_series(tmp_path / "a", HU[:3] + 7, GRID, identity=Identity("1.2.3.4", 3, "soft tissue"))
    with pytest.raises(InputError) as error:
        load(tmp_path)
    assert str(error.value) == (
        f"The folder '{tmp_path.name}' holds 2 series: 'CT soft tissue 3' with 3 slices (1.2.3.4); "
        "'CT lung kernel 12' with 4 slices (1.2.3.5); choose one with series_uid, or give a folder with one series."
    )
    assert np.array_equal(load(tmp_path, series_uid="1.2.3.4").array, HU[:3] + 7)
    assert np.array_equal(load(tmp_path / "b").array, HU)
    with pytest.raises(InputError, match=r"holds no series 1\.9; it has 'CT soft tissue 3'"):
        load(tmp_path, series_uid="1.9")


def test_a_file_stands_for_its_series_in_its_folder(tmp_path):
    paths = write_series(tmp_path, HU, GRID, identity=Identity("1.2.3.5", 12))
    write_series(tmp_path / "deeper", HU + 1, GRID, identity=Identity("1.2.3.5", 12))
    for path in write_series(tmp_path / "other", HU + 7, GRID, identity=Identity("1.2.3.4")):
        path.rename(tmp_path / f"other {path.name}")
    write_other(tmp_path, RTSTRUCT, "structures.dcm")
    volume = load(paths[3])
    assert volume.source.series_instance_uid == "1.2.3.5"
    assert np.array_equal(volume.array, HU)
    with pytest.raises(InputError, match=r"'structures.dcm' holds no CT image but RTSTRUCT"):
        load(tmp_path / "structures.dcm")


def test_a_folder_without_images_says_what_it_holds(tmp_path):
    with pytest.raises(InputError, match="holds no DICOM images; choose the folder"):
        load(tmp_path)
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(InputError, match="holds no DICOM images; choose the folder"):
        load(tmp_path)
    for n, identity in enumerate((RTSTRUCT, RTDOSE, RTDOSE)):
        write_other(tmp_path, identity, f"{n}.dcm")
    with pytest.raises(InputError, match=r"holds no CT images \(DICOM files there: 2 RTDOSE, 1 RTSTRUCT\)"):
        load(tmp_path)


def test_mr_is_read_as_mr(tmp_path):
    identity = Identity(modality="MR", sop_class="1.2.840.10008.5.1.4.1.1.4")
    write_series(tmp_path, HU, GRID, identity=identity, encoding=Encoding(intercept=(0.0,), signed=True))
    assert load(tmp_path).modality == "MR"


def test_no_patient_data_in_what_is_shown(tmp_path):
    write_series(tmp_path, HU, GRID)
    volume = load(tmp_path)
    assert volume.name == "CT chest 3"
    shown = " ".join([volume.name, *volume.notes, repr(find_series(tmp_path))])
    assert "Doe" not in shown
    assert "SECRET" not in shown


def test_missing_optional_attributes_are_tolerated(tmp_path):
    optional = (
        "StudyInstanceUID",
        "FrameOfReferenceUID",
        "PatientName",
        "PatientID",
        "SeriesNumber",
        "SeriesDescription",
        "InstanceNumber",
        "ImageType",
        "Modality",
        "SOPInstanceUID",
        "SOPClassUID",
    )

    def drop(dataset, k):
        for keyword in optional:
            if keyword in dataset:
                delattr(dataset, keyword)

    write_series(tmp_path, HU, GRID, edit=drop)
    volume = load(tmp_path)
    assert np.array_equal(volume.array, HU)
    assert volume.name == "CT"
    assert volume.modality == "CT"


@pytest.mark.parametrize("keyword", ["ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"])
def test_missing_geometry_is_refused(tmp_path, keyword):
    write_series(tmp_path, HU, GRID, edit=lambda dataset, k: delattr(dataset, keyword) if k == 1 else None)
    with pytest.raises(InputError, match="does not say where its images lie"):
        load(tmp_path)


@pytest.mark.parametrize("value", [[1.0, 2.0], ["abc", "1", "1"]])
@pytest.mark.filterwarnings("ignore:Invalid value for VR")
def test_nonsense_in_the_header_is_refused(tmp_path, value):
    paths = write_series(tmp_path, HU, GRID)
    raw = paths[1].read_bytes()
    old = next(part for part in (b"-0\\-0\\2 ", b"0\\0\\2 ", b"-0\\0\\2") if part in raw)
    new = "\\".join(map(str, value)).encode().ljust(len(old))[: len(old)]
    paths[1].write_bytes(raw.replace(old, new))
    with pytest.raises(InputError, match="is damaged"):
        load(tmp_path)


def test_data_sets_without_the_file_preamble(tmp_path):
    """As older archives export them: implicit little endian, no meta header."""
    paths = write_series(tmp_path, HU, GRID, encoding=Encoding(syntax="1.2.840.10008.1.2"))
    for path in paths:
        raw = path.read_bytes()
        start = raw.index(b"\x08\x00\x08\x00")
        path.write_bytes(raw[start:])
    assert np.array_equal(load(tmp_path).array, HU)


def test_folders_and_files_with_any_name(tmp_path):
    folder = tmp_path / "Röntgen – 胸部 CT" / "it's a scan"
    write_series(folder, HU, GRID, encoding=Encoding(syntax="1.2.840.10008.1.2.4.90"))
    for path in sorted(folder.iterdir()):
        path.rename(path.with_name(f"Schicht ü {path.name}.dcm"))
    assert np.array_equal(load(folder).array, HU)
    assert np.array_equal(load(next(iter(folder.iterdir()))).array, HU)


def test_cancelling_stops_the_reading(tmp_path):
    write_series(tmp_path, HU, GRID)
    for seen in ("Reading headers", "Reading slices"):
        token = CancelToken()

        def cancel(fraction, text, token=token, seen=seen):
            if text == seen:
                token.cancel()

        with pytest.raises(Cancelled):
            load(tmp_path, progress=Progress(cancel, token))


def test_progress_runs_from_0_to_1(tmp_path):
    write_series(tmp_path, HU, GRID)
    fractions = []
    load(tmp_path, progress=Progress(lambda fraction, text: fractions.append(fraction)))
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0


def test_file_order_and_copies_do_not_matter(tmp_path):
    paths = write_series(tmp_path / "one", HU, GRID)
    (tmp_path / "two").mkdir()
    for n, path in enumerate(reversed(paths)):
        shutil.copy(path, tmp_path / "two" / f"{n}")
    shutil.copy(paths[2], tmp_path / "two" / "copy")
    one, two = load(tmp_path / "one"), load(tmp_path / "two")
    assert np.array_equal(one.array, two.array)
    assert one.source == two.source
    assert one.grid.same_as(two.grid)
    assert two.notes == ("1 duplicate slice is left out.",)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("tag", [b"\x08\x00\x16\x00", b"\x08\x00\x60\x00", b"\x20\x00\x0e\x00", b"\x20\x00\x32\x00"])
def test_a_value_of_no_kind_is_told_as_damage(tmp_path, tag):
    write_series(tmp_path, HU[:1], GRID)
    [path] = tmp_path.iterdir()
    content = path.read_bytes()
    place = content.index(tag, 132) + 4
    path.write_bytes(content[:place] + b"QI" + content[place + 2 :])
    with pytest.raises(InputError, match="is damaged or was not copied whole; copy or export the series again"):
        find_series(tmp_path)
