"""Volume -> labels by a network of lungmask, slice by slice, as lungmask itself would.

Each axial slice is cropped to the body that it shows and resized to 256 × 256 for the network; the labels are
cleaned in these small slices, all together, and brought back.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from numpy.typing import NDArray
from scipy import ndimage

from SegmentationAILib.catalog.lungmask_network import UNet
from SegmentationAILib.catalog.lungmask_patches import cleaned
from SegmentationAILib.engine.device import choose_device
from SegmentationAILib.engine.memory_plan import CPU, Placing, with_less_memory
from SegmentationAILib.engine.precision import inference_precision
from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.preprocess import reorient
from SegmentationAILib.volume import Volume

# lungmask's figures: the window in HU, the slice that the network reads, the body's threshold and the slice that it is
# sought in, and how often its mask is eroded and dilated again.
_LOW, _HIGH = -1024, 600
_SIDE = 256
_BODY_HU, _BODY_SIDE, _OPENINGS = -500, 128, 2
# As many slices at once as lungmask takes on a GPU; on a CPU more than a few only take memory.
_GPU_BATCH, _CPU_BATCH = 20, 4
_CLEANING = 0.9
_EIGHT = np.ones((3, 3), dtype=bool)

Box = tuple[slice, slice]


@torch.inference_mode()
def segment(network: UNet, volume: Volume, *, device: str = "auto", progress: Progress | None = None) -> NDArray:
    """The labels of a volume.

    Args:
        network: as ``read_lungmask`` gives it.
        volume: HU.
        device: a torch device's name; where its memory ends, fewer slices are read at once, then by the CPU.
        progress: told of each batch of slices, and of want of memory; its token cancels between batches.

    Returns:
        uint8 [k, j, i] on the volume's grid; 0 is background.

    Raises:
        InputError: there is no such device, or the memory does not suffice even on the CPU.
        Cancelled: the user cancelled.
    """
    progress = progress or Progress()
    place = choose_device(device)
    batch = _CPU_BATCH if place.type == "cpu" else _GPU_BATCH
    grid = volume.grid.canonical("LPS")
    slices = reorient(volume.array, volume.grid, grid)
    small, boxes = with_less_memory(
        lambda placing: _read(network, slices, placing, progress.part(0.0, _CLEANING)),
        Placing(place, batch, CPU),
        progress,
    )
    progress(_CLEANING, "Removing small patches")
    small = cleaned(small, progress.part(_CLEANING, 1.0))
    labels = np.zeros(grid.shape, dtype=np.uint8)
    for label, one, box in zip(labels, small, boxes, strict=True):
        rows, columns = (_nearest(_SIDE, part.stop - part.start) for part in box)
        label[box] = one[np.ix_(rows, columns)]
    progress(1.0, "Done")
    return np.ascontiguousarray(reorient(labels, grid, volume.grid))


def _read(network: UNet, slices: NDArray, placing: Placing, progress: Progress) -> tuple[NDArray[np.uint8], list[Box]]:
    """Labels of the small slices [k, 256, 256], and where each was cropped."""
    place = placing.device
    layout = torch.contiguous_format if place.type == "cpu" else torch.channels_last
    network, precision = network.to(place, memory_format=layout), inference_precision(place)
    boxes: list[Box] = []
    small = np.empty((len(slices), _SIDE, _SIDE), dtype=np.uint8)
    for first in range(0, len(slices), placing.batch):
        progress(first / len(slices), "Running the model")
        part = np.clip(slices[first : first + placing.batch], _LOW, _HIGH)
        found = [body_box(one) for one in part]
        boxes += found
        image = torch.stack([_resized(one[box], place) for one, box in zip(part, found, strict=True)])
        image = (image[:, None] - _LOW) / (_HIGH - _LOW)
        with precision():
            logits = network(image)
        small[first : first + len(part)] = logits.argmax(dim=1).to(torch.uint8).cpu().numpy()
    return small, boxes


def body_box(hu: NDArray) -> Box:
    """The box of the body in a slice [j, i]; the whole slice where it shows none."""
    axes = [_nearest(n, _BODY_SIDE) for n in hu.shape]
    body = ndimage.binary_closing(hu[np.ix_(*axes)] > _BODY_HU)
    body = ndimage.binary_fill_holes(body, structure=_EIGHT)
    body = ndimage.binary_erosion(body, iterations=_OPENINGS)
    parts, count = ndimage.label(body)
    if not count:
        return slice(0, hu.shape[0]), slice(0, hu.shape[1])
    largest = parts == 1 + np.bincount(parts.ravel())[1:].argmax()
    body = ndimage.binary_dilation(largest, iterations=_OPENINGS)
    back = [_nearest(_BODY_SIDE, n) for n in hu.shape]
    # In slices of fewer voxels than the small one, rows that hold it together may be left out.
    [box, *_] = ndimage.find_objects(ndimage.label(body[np.ix_(*back)], structure=_EIGHT)[0])
    return box


def _resized(hu: NDArray, place: torch.device) -> torch.Tensor:
    """float32 [256, 256], interpolated between the centres of the outermost voxels; whole HU stay whole."""
    # In single precision, HU near a half would now and then be rounded another way; Apple's GPUs have no other.
    dtype = np.float32 if place.type == "mps" else np.float64
    image = torch.from_numpy(np.ascontiguousarray(hu, dtype=dtype)).to(place)
    resized = F.interpolate(image[None, None], (_SIDE, _SIDE), mode="bilinear", align_corners=True)[0, 0]
    if hu.dtype.kind != "f":
        # Halves go away from zero, as in scipy.
        resized = (resized.abs() + 0.5).floor() * resized.sign()
    return resized.float()


def _nearest(size: int, wanted: int) -> NDArray[np.intp]:
    """Indices of ``wanted`` voxels along an axis of ``size`` when the outermost centres lie on each other."""
    step = (size - 1) / (wanted - 1) if wanted > 1 else 0.0
    return np.floor(np.arange(wanted) * step + 0.5).astype(np.intp)
