"""Input that cannot be used gets one sentence, before any work; nothing is written and nothing changes."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from click.testing import CliRunner
from dicom_writer import Encoding, Identity, write_series
from geometry import AXIS_ORDERS, oblique_grid

from LungNoduleAILib import cli
from LungNoduleAILib.analysis import analyze
from LungNoduleAILib.exit_codes import EXIT_BAD_INPUT
from SegmentationAILib import phantom
from SegmentationAILib.checks import check_ct
from SegmentationAILib.errors import InputError
from SegmentationAILib.files import save
from SegmentationAILib.volume import Grid, Volume

CHEST = phantom.chest()
HU = CHEST.array


def chest(array: np.ndarray = HU, modality: str = "") -> Volume:
    """The phantom with other voxels, of no modality, as from a NRRD file."""
    return Volume(array, Grid(array.shape, CHEST.ijk_to_ras), "scan", modality)


def magnetic_resonance() -> np.ndarray:
    """Values as of a T1 image of the same body: dark lungs and air, bright fat, a broad spread."""
    noise = np.abs(np.random.default_rng(0).normal(0, 12, HU.shape))
    shading = np.linspace(0.5, 1.5, HU.shape[2])
    return (np.where(HU > -500, 420 * shading, 15) + noise).astype(np.int16)


def head() -> Volume:
    """Skull, brain and the air cells of nose and mastoid, in air."""
    grid = oblique_grid(AXIS_ORDERS[6], spacing=(2.0, 2.0, 2.0), shape=(110, 120, 100), centre_ras=(0, 0, 0))
    k, j, i = np.indices(grid.shape)
    points = grid.ras(np.stack([i, j, k], axis=-1))

    def ellipsoid(centre, radii):
        return (((points - centre) / radii) ** 2).sum(axis=-1) < 1

    hu = np.full(grid.shape, -1000.0)
    hu[ellipsoid((0, 0, 0), (78, 98, 90))] = 45
    hu[ellipsoid((0, 0, 0), (72, 92, 84))] = 900
    hu[ellipsoid((0, 0, 0), (66, 86, 78))] = 35
    for centre, radii in (((0, 60, -50), (14, 20, 22)), ((58, -10, -45), (6, 9, 9)), ((-58, -10, -45), (6, 9, 9))):
        hu[ellipsoid(centre, radii)] = -950
    hu += np.random.default_rng(0).normal(0, 10, grid.shape)
    return Volume(hu.astype(np.int16), grid, "scan", "CT")


def with_value(value: float) -> np.ndarray:
    array = HU.astype(np.float32)
    array[30, 30, 70] = value
    return array


def sheared() -> Volume:
    matrix = CHEST.ijk_to_ras.copy()
    matrix[1, 2] += 0.3
    return Volume(HU, Grid(HU.shape, matrix), "scan", "CT")


def spaced(i: float, j: float, k: float) -> Volume:
    return Volume(HU, Grid(HU.shape, np.diag([i, j, k, 1.0])), "scan", "CT")


VOLUMES: dict[str, tuple[Callable[[], Volume | None], str]] = {
    "no volume": (lambda: None, "No volume is selected; choose a CT volume."),
    "empty": (lambda: chest(HU[:0]), "The volume 'scan' has no voxels; load"),
    "one slice": (lambda: chest(HU[:1]), "has a single slice; choose a CT volume of the whole chest."),
    "few slices": (lambda: chest(HU[:, :7]), "has only 7 slices; choose"),
    "a thin slab": (lambda: chest(HU[:12]), "is only 30 mm thick; choose"),
    "4-D": (
        lambda: Volume(HU[None], Grid((1, *HU.shape), CHEST.ijk_to_ras), "scan"),
        r"has 4 dimensions \(a colour or 4-D",
    ),
    "MR by name": (lambda: chest(modality="MR"), "is MR, not CT; choose a CT volume."),
    "PET by name": (lambda: chest(modality="PT"), "is PT, not CT; choose a CT volume."),
    "MR by its values": (
        lambda: chest(magnetic_resonance()),
        "does not look like a CT of the chest in Hounsfield units",
    ),
    "NaN": (lambda: chest(with_value(np.nan)), r"has voxels that are not numbers \(NaN or infinite\); replace"),
    "infinite": (lambda: chest(with_value(-np.inf)), r"has voxels that are not numbers \(NaN or infinite\); replace"),
    "complex": (lambda: chest(HU.astype(np.complex64)), "does not hold numbers that can be Hounsfield units; choose"),
    "a mask": (lambda: chest(HU > -500), "does not hold numbers that can be Hounsfield units; choose"),
    "without offset": (
        lambda: chest((HU.astype(np.int32) + 1024).clip(0, 4095).astype(np.uint16)),
        r"is a CT stored without its offset .*; subtract 1024 from every voxel.",
    ),
    "without offset, said to be CT": (
        lambda: chest((HU.astype(np.int32) + 1024).clip(0, 4095).astype(np.int16), "CT"),
        r"is a CT stored without its offset .*; subtract 1024 from every voxel.",
    ),
    "offset subtracted twice": (lambda: chest(HU - 1024, "CT"), "does not look like a CT"),
    "constant": (lambda: chest(np.full(HU.shape, -1000, np.int16)), "has the value -1000 in every voxel; choose"),
    "8-bit window": (
        lambda: chest(((HU.astype(np.float32) + 1350) / 1500 * 255).clip(0, 255).astype(np.uint8)),
        "holds values of 0 to 255 instead of Hounsfield units",
    ),
    "scaled to 0…1": (
        lambda: chest((HU.astype(np.float32) + 1024) / 4095),
        "instead of Hounsfield units|does not look like",
    ),
    "labels": (lambda: chest((HU > -500).astype(np.uint8)), "holds values of 0 to 255 instead of Hounsfield units"),
    "abdomen without air": (lambda: chest(HU.clip(-50, None)), "does not look like a CT of the chest"),
    "tilted": (sheared, "has axes that are not at right angles, .*; resample"),
    "coarse": (lambda: spaced(2.5, 2.5, 12), "has voxels 12 mm apart, too coarse for nodules; choose"),
    "spacing in metres": (lambda: spaced(0.0025, 0.0025, 0.0025), "is only 0.15 mm thick; choose .* in mm"),
    "spacing in micrometres": (lambda: spaced(2500, 2500, 2500), "has voxels .* mm apart, .* in mm"),
    "a head": (head, "'scan' does not show the lungs; choose a chest CT"),
}


def is_one_sentence(text: str) -> bool:
    return text.endswith(".") and "\n" not in text and not re.search(r"\.\s+[A-Z]", text)


@pytest.mark.parametrize("name", [name for name in VOLUMES if name != "a head"])
def test_a_volume_that_is_no_chest_ct(name):
    make, message = VOLUMES[name]
    with pytest.raises(InputError, match=message) as error:
        check_ct(make())
    assert is_one_sentence(str(error.value))


@pytest.mark.parametrize("name", VOLUMES)
def test_an_analysis_says_the_same(name):
    make, message = VOLUMES[name]
    volume = make()
    before = None if volume is None else volume.array.copy()
    with pytest.raises(InputError, match=message) as error:
        analyze(volume)
    assert is_one_sentence(str(error.value))
    assert volume is None or np.array_equal(volume.array, before, equal_nan=volume.array.dtype.kind in "fc")


@pytest.mark.parametrize("modality", ["", "CT"])
@pytest.mark.parametrize("dtype", [np.int16, np.float32, np.float64, np.int32])
def test_a_chest_ct_passes(modality, dtype):
    check_ct(chest(HU.astype(dtype), modality))


@pytest.mark.parametrize("outside", [-1024, -2000, -2048, -3024])
def test_a_chest_ct_with_a_padded_field_of_view_passes(outside):
    array = HU.copy()
    across = np.hypot(*(np.indices(HU.shape[1:]) - [[[32]], [[48]]]))
    array[:, across > 46] = outside
    check_ct(chest(array))


def test_real_cts_pass(data_dir):
    from SegmentationAILib.files import load  # noqa: PLC0415

    paths = [data_dir / "LIDC-IDRI-0003" / "dicom", data_dir / "LUNG1-002" / "dicom"]
    paths += [*sorted(data_dir.glob("*/ct.nii.gz")), *sorted(data_dir.glob("totalsegmentator/*/ct.nii.gz"))]
    assert len(paths) >= 8
    for path in paths:
        check_ct(load(path))


def series(folder: Path, array: np.ndarray, **options: object) -> Path:
    """A few slices of ``array`` as DICOM."""
    write_series(folder, array, Grid(array.shape, np.diag([-2.0, -2.0, 4.0, 1.0])), **options)
    return folder


def image(path: Path, array: np.ndarray, *, vector: bool = False) -> Path:
    sitk.WriteImage(sitk.GetImageFromArray(array, isVector=vector), str(path))
    return path


def truncated(path: Path, keep: float = 0.6) -> Path:
    raw = path.read_bytes()
    path.write_bytes(raw[: int(keep * len(raw))])
    return path


SMALL = HU[::2, ::2, ::2].clip(-1024)


def two_series(folder: Path) -> Path:
    series(folder / "a", SMALL, identity=Identity("1.2.3.4", 3, "lung"))
    series(folder / "b", SMALL, identity=Identity("1.2.3.5", 4, "soft tissue"))
    return folder


def folder_with_text(folder: Path) -> Path:
    folder.mkdir()
    (folder / "notes.txt").write_text("no image here")
    return folder


def series_with_a_gap(folder: Path) -> Path:
    paths = write_series(folder, SMALL, Grid(SMALL.shape, np.diag([-2.0, -2.0, 4.0, 1.0])))
    paths[9].unlink()
    return folder


def truncated_series(folder: Path) -> Path:
    paths = write_series(folder, SMALL, Grid(SMALL.shape, np.diag([-2.0, -2.0, 4.0, 1.0])))
    truncated(paths[5])
    return folder


FILES: dict[str, tuple[Callable[[Path], Path], str]] = {
    "missing path": (lambda at: at / "nothing.nrrd", "does not exist; check the path."),
    "folder without image": (lambda at: folder_with_text(at / "in"), "holds no DICOM images; choose"),
    "two series": (lambda at: two_series(at / "in"), r"holds 2 series: 'CT lung 3' with 30 slices .*; choose one"),
    "slice missing": (lambda at: series_with_a_gap(at / "in"), "1 slice is missing .* between slices 9 and 10; export"),
    "truncated slice": (lambda at: truncated_series(at / "in"), "is damaged or was not copied whole; copy"),
    "MR series": (
        lambda at: series(
            at / "in",
            magnetic_resonance()[::2, ::2, ::2],
            identity=Identity(modality="MR", sop_class="1.2.840.10008.5.1.4.1.1.4"),
            encoding=Encoding(intercept=(0.0,)),
        ),
        "is MR, not CT; choose",
    ),
    "CT series without rescaling": (
        lambda at: series(
            at / "in",
            HU[::2, ::2, ::2].clip(-1024),
            edit=lambda dataset, k: (delattr(dataset, "RescaleSlope"), delattr(dataset, "RescaleIntercept")),
        ),
        "is a CT stored without its offset",
    ),
    "truncated NRRD": (lambda at: truncated(save(CHEST, at / "in.nrrd")), "is damaged, was not copied whole or"),
    "truncated NIfTI": (lambda at: truncated(save(CHEST, at / "in.nii")), "is damaged, was not copied whole or"),
    "truncated NIfTI, compressed": (lambda at: truncated(save(CHEST, at / "in.nii.gz")), "is damaged, was not"),
    "truncated MHA": (lambda at: truncated(save(CHEST, at / "in.mha")), "is damaged, was not copied whole or"),
    "colour": (
        lambda at: image(at / "in.nrrd", np.zeros((9, 9, 9, 3), np.uint8), vector=True),
        "has 3 values per voxel",
    ),
    "4-D": (
        lambda at: image(at / "in.nii.gz", np.zeros((3, 9, 9, 9), np.int16)),
        "is a 4-D image of 3 volumes; choose",
    ),
    "2-D": (lambda at: image(at / "in.mha", np.zeros((9, 9), np.int16)), "is a single 2-D image; choose"),
    "one slice": (lambda at: save(chest(HU[:1]), at / "in.nrrd"), "has a single slice; choose"),
    "NaN": (lambda at: save(chest(with_value(np.nan)), at / "in.nrrd"), "has voxels that are not numbers"),
    "a head": (lambda at: save(head(), at / "in.nrrd"), "does not show the lungs; choose"),
    "not an image": (
        lambda at: (at / "in.docx").write_text("x") and at / "in.docx",
        "is not an image that can be read",
    ),
}


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.filterwarnings("ignore:End of file reached")
def test_the_command_says_one_sentence_and_writes_nothing(tmp_path, name):
    make, message = FILES[name]
    inputs = tmp_path / "input"
    inputs.mkdir()
    source = make(inputs)
    before = contents(tmp_path)
    result = CliRunner().invoke(cli.main, ["detect", str(source), str(tmp_path / "out" / "new"), "--device", "cpu"])
    assert result.exit_code == EXIT_BAD_INPUT, result.output
    sentence = result.stderr.splitlines()[-1]
    assert re.search(message, sentence), sentence
    assert is_one_sentence(sentence)
    assert contents(tmp_path) == before
    assert not (tmp_path / "out").exists()


def test_an_output_folder_that_cannot_be_written_to_is_found_before_reading(tmp_path):
    (tmp_path / "file").write_text("in the way")
    source = save(CHEST, tmp_path / "in.nrrd")
    truncated(source)
    before = contents(tmp_path)
    result = CliRunner().invoke(cli.main, ["detect", str(source), str(tmp_path / "file" / "results")])
    assert result.exit_code == EXIT_BAD_INPUT
    assert "cannot be written to; choose another output folder." in result.stderr.splitlines()[-1]
    assert contents(tmp_path) == before
