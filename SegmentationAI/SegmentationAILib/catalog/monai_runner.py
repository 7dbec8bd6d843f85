"""Volume -> labels by a MONAI bundle, as MONAI's own workflow would."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from SegmentationAILib.catalog.monai_folder import Bundle
from SegmentationAILib.catalog.monai_grids import nearest, positions
from SegmentationAILib.catalog.monai_transforms import Image, Orient, Space, Step
from SegmentationAILib.engine.device import choose_device
from SegmentationAILib.engine.label_stream import LabelStream
from SegmentationAILib.engine.precision import inference_precision
from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.engine.sliding_window import FixedSteps, Runner, slide, sums_dtype
from SegmentationAILib.errors import InputError
from SegmentationAILib.preprocess import reorient
from SegmentationAILib.volume import Volume


@torch.inference_mode()
def segment(
    bundle: Bundle,
    volume: Volume,
    *,
    spacing: Sequence[float] | None = None,
    device: str = "auto",
    batch: int = 1,
    progress: Progress | None = None,
) -> NDArray:
    """The labels of a volume.

    Args:
        bundle: as ``read_bundle`` gives it.
        volume: HU for CT.
        spacing: mm along (i, j, k) of the bundle's grid, instead of what the bundle says.
        device: a torch device's name.
        batch: windows that the network reads at once.
        progress: told of each window; its token cancels between them.

    Returns:
        uint8 [k, j, i] on the volume's grid; 0 is background.

    Raises:
        InputError: the volume's axes are not at right angles, or there is no such device.
        Cancelled: the user cancelled.
    """
    progress = progress or Progress()
    if not volume.grid.is_orthogonal:
        raise InputError("The volume's axes are not at right angles; resample it to a regular grid first.")
    place = choose_device(device)
    progress(0.0, "Preparing the image")
    image = prepared(bundle.steps, volume, place, spacing)
    progress(0.04, "Running the model")
    shape = tuple(image.values.shape)
    windows = bundle.windows or FixedSteps(shape)
    toward = [step.toward for step in bundle.steps if isinstance(step, Orient)]
    home = volume.grid.canonical(toward[-1]) if toward else volume.grid
    places = nearest(image.grid, home) if bundle.back == "labels" else positions(image.grid, home)
    stream = LabelStream(shape, home.shape[::-1], bundle.classes, positions=places, device=place)

    def take(logits: torch.Tensor) -> None:
        stream.take(logits.float().softmax(dim=-1) if bundle.back == "probabilities" else logits)

    dtype = sums_dtype(shape, windows, bundle.classes)
    runner = Runner((bundle.network.to(place),), place, inference_precision(place), batch, dtype)
    slide(image.values[None], bundle.classes, windows, runner, take, progress=progress.part(0.04, 1.0))
    labels = stream.labels.permute(2, 1, 0).cpu().numpy()
    progress(1.0, "Done")
    return np.ascontiguousarray(reorient(labels, home, volume.grid))


def prepared(
    steps: Sequence[Step], volume: Volume, place: torch.device, spacing: Sequence[float] | None = None
) -> Image:
    """What the network reads.

    Args:
        steps: of the bundle.
        volume: with axes at right angles.
        place: where it is computed.
        spacing: mm along (i, j, k), instead of what the steps say.
    """
    array = np.ascontiguousarray(volume.array, dtype=np.float32)
    image = Image(torch.from_numpy(array).to(place).permute(2, 1, 0), volume.grid)
    for step in steps:
        other = spacing is not None and isinstance(step, Space)
        image = (Space(tuple(float(mm) for mm in spacing)) if other else step)(image)
    return Image(image.values.contiguous(), image.grid)
