"""Image files to Volume, and back: DICOM series, NRRD, NIfTI and MetaImage."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from SegmentationAILib.dicom_series import Series, find_series, is_dicom, read_header
from SegmentationAILib.dicom_volume import read_series
from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.errors import InputError
from SegmentationAILib.file_integrity import is_whole
from SegmentationAILib.labels import LabelMap
from SegmentationAILib.volume import LPS_FROM_RAS, Grid, Volume
from SegmentationAILib.writing import atomic_write

__all__ = ["READERS", "WRITABLE", "load", "save", "to_itk"]

# By ending, the reader; ITK itself does not know all of them in capitals.
READERS = {
    ".nrrd": "NrrdImageIO",
    ".nhdr": "NrrdImageIO",
    ".nii": "NiftiImageIO",
    ".nii.gz": "NiftiImageIO",
    ".mha": "MetaImageIO",
    ".mhd": "MetaImageIO",
}
WRITABLE = (".nrrd", ".nii", ".nii.gz", ".mha")


def load(
    path: str | Path,
    *,
    series_uid: str | None = None,
    interpolate_missing: bool = False,
    progress: Progress = Progress(),  # noqa: B008 - immutable
) -> Volume:
    """Read an image.

    Args:
        path: a folder with a DICOM series (searched with its subfolders), a DICOM file (its series is
            taken from its folder), or a NRRD, NIfTI or MetaImage file.
        series_uid: which series of a DICOM folder, where it holds several.
        interpolate_missing: for DICOM, interpolate missing or unevenly spaced slices instead of
            refusing.
        progress: told of each slice.

    Raises:
        InputError: there is nothing to read, the file is damaged or not a 3-D image with one value
            per voxel, or the folder holds several series and ``series_uid`` does not name one.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"'{path}' does not exist; check the path.")
    if path.is_dir():
        series = _chosen(find_series(path, progress=progress.part(0.0, 0.3)), path, series_uid)
        return read_series(series, interpolate_missing=interpolate_missing, progress=progress.part(0.3, 1.0))
    if _suffix(path, READERS):
        return _load_image(path)
    try:
        dicom = is_dicom(path)
    except OSError as error:
        raise InputError(f"'{path.name}' cannot be read ({error.strerror}); check its permissions.") from error
    if not dicom:
        raise InputError(
            f"'{path.name}' is not an image that can be read; give a DICOM folder or a NRRD, NIfTI or MetaImage "
            f"file ({', '.join(READERS)})."
        )
    header = read_header(path)
    if header is None or not header.is_image:
        kind = "" if header is None else f" but {header.kind}"
        raise InputError(f"'{path.name}' holds no CT image{kind}; choose a file of the CT series.")
    wanted = series_uid or header.series_uid
    found = find_series(path.parent, recursive=False, progress=progress.part(0.0, 0.3))
    series = _chosen(found, path.parent, wanted)
    return read_series(series, interpolate_missing=interpolate_missing, progress=progress.part(0.3, 1.0))


def save(image: Volume | LabelMap, path: str | Path, *, compression_level: int = -1) -> Path:
    """Write NRRD, NIfTI or MetaImage by the path's ending, compressed, in one step.

    A label map is written as its label values. The file is whole or not there at all.

    Args:
        compression_level: 1 (quick) to 9 (small), -1 for the format's default.

    Raises:
        InputError: the ending is not one that can be written, the folder cannot be written to, the
            disk is full, or the grid cannot be held by the format (NIfTI has no sheared grids).
    """
    path = Path(path)
    suffix = _suffix(path, WRITABLE)
    if suffix is None:
        raise InputError(f"'{path.name}' cannot be written; choose a name that ends in {', '.join(WRITABLE)}.")
    if not image.grid.is_orthogonal and suffix.startswith(".nii"):
        raise InputError(
            "NIfTI cannot hold a grid whose axes are not at right angles; choose a name that ends in .nrrd."
        )
    itk_image = to_itk(image.array, image.grid)
    with atomic_write(path) as partial:
        try:
            sitk.WriteImage(itk_image, str(partial), useCompression=True, compressionLevel=compression_level)
        except RuntimeError as error:
            raise OSError("ITK could not write") from error
        if not is_whole(partial):
            raise OSError("the file is incomplete")
    return path


def _suffix(path: Path, among: Iterable[str]) -> str | None:
    return max((s for s in among if path.name.lower().endswith(s)), key=len, default=None)


def _chosen(found: list[Series], folder: Path, series_uid: str | None) -> Series:
    if series_uid is not None:
        for series in found:
            if series.uid == series_uid:
                return series
        raise InputError(f"The folder '{folder.name}' holds no series {series_uid}; it has {_listed(found)}.")
    if len(found) > 1:
        raise InputError(
            f"The folder '{folder.name}' holds {len(found)} series: {_listed(found)}; choose one with series_uid, "
            "or give a folder with one series."
        )
    return found[0]


def _listed(found: list[Series]) -> str:
    return "; ".join(f"'{s.name}' with {len(s.slices)} slices ({s.uid})" for s in found)


def _load_image(path: Path) -> Volume:
    try:
        whole = is_whole(path)
        reader = sitk.ImageFileReader()
        reader.SetImageIO(READERS[_suffix(path, READERS)])
        reader.SetFileName(str(path))
        reader.ReadImageInformation()
    except OSError as error:
        raise InputError(f"'{path.name}' cannot be read ({error.strerror}); check its permissions.") from error
    except RuntimeError as error:
        if "orthonormal" in str(error):
            raise InputError(
                f"The axes of '{path.name}' are not at right angles (its sform is sheared); resample it to a regular "
                "grid first, for example in Slicer with Resample Scalar Volume."
            ) from error
        raise _damaged(path) from error
    if not whole:
        raise _damaged(path)
    _check_kind(path, reader)
    try:
        image = reader.Execute()
    except RuntimeError as error:
        raise _damaged(path) from error
    if image.GetDimension() == 4:
        image = image[:, :, :, 0]
    name = path.name[: -len(_suffix(path, READERS))]
    array = _without_needless_bits(sitk.GetArrayFromImage(image))
    return Volume(array, Grid(array.shape, _ijk_to_ras(image)), name)


def _damaged(path: Path) -> InputError:
    return InputError(
        f"'{path.name}' is damaged, was not copied whole or is of a kind that cannot be read; copy it again, or save "
        "it as NRRD."
    )


def _check_kind(path: Path, reader: sitk.ImageFileReader) -> None:
    size = reader.GetSize()
    if reader.GetNumberOfComponents() != 1:
        raise InputError(
            f"'{path.name}' has {reader.GetNumberOfComponents()} values per voxel (a colour or vector image); "
            "choose a CT with one value per voxel."
        )
    if "complex" in sitk.GetPixelIDValueAsString(reader.GetPixelID()):
        raise InputError(f"'{path.name}' has complex values; choose a CT in Hounsfield units.")
    if len(size) < 3:
        raise InputError(f"'{path.name}' is a single 2-D image; choose a CT volume.")
    if len(size) > 4 or (len(size) == 4 and size[3] > 1):
        raise InputError(f"'{path.name}' is a 4-D image of {size[-1]} volumes; choose a file with one of them.")


def _ijk_to_ras(image: sitk.Image) -> NDArray[np.float64]:
    matrix = np.eye(4)
    matrix[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    matrix[:3, 3] = image.GetOrigin()
    return LPS_FROM_RAS @ matrix


def to_itk(array: NDArray, grid: Grid) -> sitk.Image:
    """``array`` [k, j, i] as an image in LPS mm."""
    if array.dtype == bool:
        array = array.astype(np.uint8)
    elif array.dtype == np.float16:
        array = array.astype(np.float32)
    image = sitk.GetImageFromArray(array)
    lps = LPS_FROM_RAS @ grid.ijk_to_ras
    image.SetSpacing(grid.spacing.tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    image.SetDirection((lps[:3, :3] / grid.spacing).ravel().tolist())
    return image


def _without_needless_bits(array: NDArray) -> NDArray:
    """Whole numbers that were stored as floats (as NIfTI with a slope reads) as int16, else float32."""
    if array.dtype.kind != "f":
        return array
    limits = np.iinfo(np.int16)
    if array.min(initial=0) >= limits.min and array.max(initial=0) <= limits.max:
        whole = array.astype(np.int16)
        if np.array_equal(whole, array):
            return whole
    return array.astype(np.float32, copy=False)
