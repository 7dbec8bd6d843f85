"""NRRD, NIfTI and MetaImage: voxels keep their place and value, odd files are refused by name."""

from __future__ import annotations

import gzip
import struct
import tempfile
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from child_process import become_nobody, in_a_child, posix_only
from dicom_writer import write_series
from geometry import AXIS_ORDERS, grids, oblique_grid
from hypothesis import given, settings
from hypothesis import strategies as st

from SegmentationAILib.errors import InputError
from SegmentationAILib.files import WRITABLE, load, save
from SegmentationAILib.labels import LabelMap
from SegmentationAILib.terminology import LEFT_LUNG, RIGHT_LUNG
from SegmentationAILib.volume import LPS_FROM_RAS, Grid, Volume

RNG = np.random.default_rng(0)
GRID = oblique_grid(AXIS_ORDERS[13], angles_deg=(5, 10, 20), shape=(20, 30, 40))
HU = RNG.integers(-1000, 1000, GRID.shape).astype(np.int16)
READ_BY_ITK = (".nrrd", ".nii", ".nii.gz", ".mha")


def write_plain(path: Path, array: np.ndarray, *, compressed: bool, vector: bool = False) -> Path:
    """As another program writes it."""
    sitk.WriteImage(sitk.GetImageFromArray(array, isVector=vector), str(path), useCompression=compressed)
    return path


@given(
    grid=grids(),
    suffix=st.sampled_from(WRITABLE),
    dtype=st.sampled_from([np.int16, np.uint8, np.uint16, np.int32, np.float32, np.bool_, np.float16]),
    data=st.data(),
)
@settings(deadline=None, max_examples=100)
def test_saved_and_loaded_voxels_keep_their_place(grid, suffix, dtype, data):
    array = np.random.default_rng(1).integers(0, 2, grid.shape).astype(dtype)
    ijk = [data.draw(st.integers(0, n - 1)) for n in grid.shape[::-1]]
    if dtype is not np.bool_:
        array[tuple(ijk[::-1])] = 100
    with tempfile.TemporaryDirectory() as folder:
        volume = load(save(Volume(array, grid), Path(folder, f"a scan{suffix}")))
    assert volume.name == "a scan"
    assert np.array_equal(volume.array, array)
    assert np.abs(volume.grid.ijk(grid.ras(ijk)) - ijk).max() < 0.01
    assert volume.grid.same_as(grid, tolerance_mm=0.01)


@pytest.mark.parametrize("suffix", WRITABLE)
def test_a_sheared_grid_is_kept_or_refused(tmp_path, suffix):
    matrix = np.eye(4)
    matrix[0, 2] = 0.3
    volume = Volume(HU, Grid(HU.shape, matrix))
    if suffix.startswith(".nii"):
        with pytest.raises(InputError, match=r"NIfTI cannot hold .* choose a name that ends in .nrrd"):
            save(volume, tmp_path / f"x{suffix}")
        assert list(tmp_path.iterdir()) == []
    else:
        assert load(save(volume, tmp_path / f"x{suffix}")).grid.same_as(volume.grid)


def test_label_maps_are_saved_as_their_values(tmp_path):
    labels = LabelMap((HU > 0) + np.uint8(1) * (HU > 500), GRID, {1: RIGHT_LUNG, 2: LEFT_LUNG})
    volume = load(save(labels, tmp_path / "labels.nrrd"))
    assert np.issubdtype(volume.array.dtype, np.integer)
    assert np.array_equal(volume.array, labels.array)


@pytest.mark.parametrize(
    ("space", "to_ras"),
    [
        ("right-anterior-superior", np.eye(3)),
        ("left-posterior-superior", np.diag([-1, -1, 1])),
        ("left-anterior-superior", np.diag([-1, 1, 1])),
    ],
)
@pytest.mark.parametrize("endian", ["little", "big"])
def test_nrrd_by_hand_in_each_space(tmp_path, space, to_ras, endian):
    header = (
        f"NRRD0004\ntype: short\ndimension: 3\nspace: {space}\nsizes: 40 30 20\n"
        "space directions: (0,0.5,0) (0,0,2) (3,0,0)\nkinds: domain domain domain\n"
        f"endian: {endian}\nencoding: raw\nspace origin: (10,20,30)\n\n"
    )
    path = tmp_path / "x.nrrd"
    path.write_bytes(header.encode() + HU.astype(">i2" if endian == "big" else "<i2").tobytes())
    volume = load(path)
    assert np.array_equal(volume.array, HU)
    expected = to_ras @ np.array([[0, 0, 3, 10], [0.5, 0, 0, 20], [0, 2, 0, 30]])
    assert np.allclose(volume.ijk_to_ras[:3], expected)


def nifti(path: Path, *, sform: np.ndarray | None = None, slope: tuple[float, float] = (1, 0)) -> Path:
    """A NIfTI-1 file of ``HU``, with a 4×4 sform in RAS, or the qform alone."""
    write_plain(path, HU, compressed=False)
    raw = bytearray(path.read_bytes())
    raw[112:120] = struct.pack("<2f", *slope)
    raw[252:256] = struct.pack("<2h", 1, 0) if sform is None else struct.pack("<2h", 0, 1)
    if sform is not None:
        raw[280:328] = np.asarray(sform[:3], dtype="<f4").tobytes()
        raw[76:92] = struct.pack("<4f", 1.0, *np.linalg.norm(sform[:3, :3], axis=0))
    path.write_bytes(raw)
    return path


def test_nifti_slope_and_intercept_give_whole_hu(tmp_path):
    volume = load(nifti(tmp_path / "x.nii", slope=(2, -1024)))
    assert volume.array.dtype == np.int16
    assert np.array_equal(volume.array, HU * 2 - 1024)
    fraction = load(nifti(tmp_path / "y.nii", slope=(0.5, -0.25)))
    assert fraction.array.dtype == np.float32
    assert np.array_equal(fraction.array, HU * 0.5 - 0.25)


def test_nifti_sform_rounded_to_float_is_accepted_and_shear_refused(tmp_path):
    turned = oblique_grid(AXIS_ORDERS[0], angles_deg=(7, 3, -12), spacing=(0.7, 0.7, 1.3), shape=HU.shape)
    volume = load(nifti(tmp_path / "x.nii", sform=turned.ijk_to_ras))
    assert volume.grid.same_as(turned, tolerance_mm=0.01)
    sheared = turned.ijk_to_ras.copy()
    sheared[:3, 2] += [0.1, 0, 0]
    with pytest.raises(InputError, match=r"axes of 'y.nii' are not at right angles .*; resample it"):
        load(nifti(tmp_path / "y.nii", sform=sheared))


def test_nifti_with_the_qform_alone(tmp_path):
    assert np.allclose(load(nifti(tmp_path / "x.nii")).ijk_to_ras, LPS_FROM_RAS)


@pytest.mark.parametrize("suffix", READ_BY_ITK)
def test_4d_colour_and_2d_are_refused_by_name(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    write_plain(path, np.zeros((3, 20, 30, 40), np.int16), compressed=False)
    with pytest.raises(InputError, match=rf"'x{suffix}' is a 4-D image of 3 volumes; choose"):
        load(path)
    write_plain(path, np.zeros((20, 30, 40, 3), np.uint8), compressed=False, vector=True)
    with pytest.raises(InputError, match=rf"'x{suffix}' has 3 values per voxel \(a colour or vector image\); choose"):
        load(path)
    write_plain(path, np.zeros((30, 40), np.int16), compressed=False)
    with pytest.raises(InputError, match=rf"'x{suffix}' is a single 2-D image; choose"):
        load(path)


@pytest.mark.parametrize("suffix", READ_BY_ITK)
def test_one_volume_in_a_4d_file_is_that_volume(tmp_path, suffix):
    volume = load(write_plain(tmp_path / f"x{suffix}", HU[None], compressed=False))
    assert np.array_equal(volume.array, HU)


def test_complex_values_are_refused(tmp_path):
    write_plain(tmp_path / "x.mha", np.zeros((20, 30, 40), np.complex64), compressed=False)
    with pytest.raises(InputError, match=r"'x.mha' has (complex values|2 values per voxel)"):
        load(tmp_path / "x.mha")


@pytest.mark.parametrize("suffix", READ_BY_ITK)
def test_any_name(tmp_path, suffix):
    path = tmp_path / "Röntgen – 胸部 CT" / f"it's a scan{suffix}"
    assert np.array_equal(load(save(Volume(HU, GRID), path)).array, HU)
    assert [p.name for p in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", [".NRRD", ".NII.GZ", ".NII", ".MHA"])
def test_endings_in_capitals(tmp_path, suffix):
    path = tmp_path / "SCAN"
    save(Volume(HU, GRID), path.with_suffix(suffix.lower()))
    path.with_suffix(suffix.lower()).rename(tmp_path / f"SCAN{suffix}")
    volume = load(tmp_path / f"SCAN{suffix}")
    assert np.array_equal(volume.array, HU)
    assert volume.name == "SCAN"


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("suffix", READ_BY_ITK)
@pytest.mark.parametrize("keep", [0.0, 0.001, 0.3, 0.999])
def test_a_truncated_file_is_refused(tmp_path, suffix, compressed, keep):
    path = write_plain(tmp_path / f"x{suffix}", HU, compressed=compressed)
    raw = path.read_bytes()
    path.write_bytes(raw[: int(keep * len(raw))])
    with pytest.raises(InputError, match=rf"'x{suffix}' is damaged, was not copied whole or"):
        load(path)


@pytest.mark.parametrize("suffix", [".nrrd", ".nii.gz", ".mha"])
@pytest.mark.parametrize("at", [0.2, 0.5, 0.9])
def test_a_corrupt_compressed_file_is_refused(tmp_path, suffix, at):
    path = write_plain(tmp_path / f"x{suffix}", HU, compressed=True)
    raw = bytearray(path.read_bytes())
    raw[int(at * len(raw))] ^= 0xFF
    path.write_bytes(raw)
    with pytest.raises(InputError, match="is damaged"):
        load(path)


@pytest.mark.parametrize(
    ("header", "data"), [(".mhd", ".raw"), (".mhd", ".zraw"), (".nhdr", ".raw"), (".nhdr", ".raw.gz")]
)
def test_headers_with_their_voxels_beside(tmp_path, header, data):
    path = write_plain(tmp_path / f"x{header}", HU, compressed="z" in data)
    assert np.array_equal(load(path).array, HU)
    beside = tmp_path / f"x{data}"
    beside.write_bytes(beside.read_bytes()[:-2000])
    with pytest.raises(InputError, match="is damaged"):
        load(path)
    beside.unlink()
    with pytest.raises(InputError, match=f"'x{header}'"):
        load(path)


@pytest.mark.parametrize("suffix", READ_BY_ITK)
def test_something_else_under_an_images_name_is_refused(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    for content in (b"<html>404</html>" * 50, RNG.bytes(5000), gzip.compress(b"nothing" * 200)):
        path.write_bytes(content)
        with pytest.raises(InputError, match="is damaged"):
            load(path)


def test_other_files_and_missing_paths_are_refused(tmp_path):
    (tmp_path / "report.pdf").write_bytes(b"%PDF" + bytes(500))
    with pytest.raises(InputError, match=r"'report.pdf' is not an image that can be read; give a DICOM folder"):
        load(tmp_path / "report.pdf")
    with pytest.raises(InputError, match="does not exist; check the path"):
        load(tmp_path / "nowhere.nrrd")


def test_nifti_2_is_refused(tmp_path):
    """ITK does not read it, and must not take it for NIfTI-1."""
    path = tmp_path / "x.nii"
    path.write_bytes(
        struct.pack("<i8s2h8q", 540, b"n+2\0\r\n\x1a\n", 4, 16, 3, 40, 30, 20, 1, 1, 1, 1).ljust(544, b"\0")
    )
    with pytest.raises(InputError, match=r"'x.nii' is .* of a kind that cannot be read"):
        load(path)


@posix_only
def test_files_that_may_not_be_read_are_refused_by_name():
    """A slice that cannot be read is not passed over, or the volume would have a hole."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        paths = write_series(Path(folder, "series"), HU, Grid(HU.shape, np.diag([-1.0, -1.0, 1.0, 1.0])))
        paths.append(save(Volume(HU, GRID), Path(folder, "x.nii.gz")))
        single = paths[0].rename(Path(folder, "single"))
        for path in (*paths[1:], single):
            path.chmod(0o644)
        for path in (paths[4], paths[-1], single):
            path.chmod(0)

        def work():
            become_nobody()
            for source, name in ((paths[4].parent, paths[4].name), (paths[-1], "x.nii.gz"), (single, "single")):
                with pytest.raises(InputError, match=f"'{name}' cannot be read .Permission denied.; check"):
                    load(source)

        in_a_child(work)
