"""SimpleITK filters on volumes, with progress and cancelling; arrays in, arrays of the same dtype out."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.errors import Cancelled, InputError
from SegmentationAILib.volume import Volume


def check_numbers(volume: Volume) -> None:
    """Refuse voxels that no filter can compute with.

    Raises:
        InputError: no voxels, not numbers, or NaN or infinite ones.
    """
    name = f"The volume '{volume.name}'" if volume.name else "The volume"
    if volume.array.size == 0 or volume.array.dtype.kind not in "iuf":
        raise InputError(f"{name} holds no numbers; choose another volume.")
    if volume.array.dtype.kind == "f" and not np.isfinite(volume.array).all():
        raise InputError(f"{name} has voxels that are not numbers (NaN or infinite); replace them, for example with 0.")


def itk_image(array: NDArray, volume: Volume) -> sitk.Image:
    """Float voxels with the volume's spacing; along its own axes, as no filter here asks where these point."""
    image = sitk.GetImageFromArray(np.ascontiguousarray(array, dtype=np.float32))
    image.SetSpacing(volume.spacing.tolist())
    return image


def execute(itk_filter: sitk.ImageFilter, image: sitk.Image, progress: Progress, text: str) -> NDArray[np.float32]:
    """What the filter makes of the image, [k, j, i].

    Raises:
        Cancelled: the user cancelled.
    """

    def report() -> None:
        try:
            progress(itk_filter.GetProgress(), text)
        except Cancelled:
            itk_filter.Abort()

    progress(0.0, text)
    itk_filter.AddCommand(sitk.sitkProgressEvent, report)
    try:
        result = itk_filter.Execute(image)
    except RuntimeError:
        if progress.cancel.cancelled:
            raise Cancelled from None
        raise
    finally:
        itk_filter.RemoveAllCommands()
    progress(1.0, text)
    return sitk.GetArrayFromImage(result)


def in_type_of(volume: Volume, array: NDArray) -> Volume:
    """The volume with other voxel values, in its own dtype."""
    return volume.with_array(as_dtype(array, volume.array.dtype))


def as_dtype(array: NDArray, dtype: np.dtype) -> NDArray:
    """In native byte order; rounded and kept within its limits where the dtype is of whole numbers."""
    dtype = dtype.newbyteorder("=")
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        array = np.clip(np.rint(array), limits.min, limits.max)
    return np.ascontiguousarray(array, dtype=dtype)
