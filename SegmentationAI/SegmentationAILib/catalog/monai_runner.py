"""Volume -> labels by a MONAI bundle, as MONAI's own workflow would."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from SegmentationAILib.catalog.monai_folder import Bundle
from SegmentationAILib.catalog.monai_grids import nearest, positions
from SegmentationAILib.catalog.monai_image import image_and_placing
from SegmentationAILib.catalog.monai_transforms import Image, Orient
from SegmentationAILib.engine.cpu_layers import fast_on_cpu
from SegmentationAILib.engine.label_stream import LabelStream
from SegmentationAILib.engine.linear_head import LinearHead, linear_head, without_last
from SegmentationAILib.engine.memory_plan import Placing, placing_for, with_less_memory
from SegmentationAILib.engine.precision import inference_precision
from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.engine.sliding_window import FixedSteps, Runner, slide, sums_bytes, sums_dtype
from SegmentationAILib.preprocess import reorient
from SegmentationAILib.volume import Grid, Volume

# Of the networks that end with a linear layer, its name.
_LAST_LAYERS = {"SegResNet": "conv_final.2.conv", "UNesT": "out.conv.conv"}


@torch.inference_mode()
def segment(
    bundle: Bundle,
    volume: Volume,
    *,
    spacing: Sequence[float] | None = None,
    device: str = "auto",
    batch: int | None = None,
    progress: Progress | None = None,
) -> NDArray:
    """The labels of a volume.

    Args:
        bundle: as ``read_bundle`` gives it.
        volume: HU for CT.
        spacing: mm along (i, j, k) of the bundle's grid, instead of what the bundle says.
        device: a torch device's name; where its memory ends, the CPU takes over part of the work or all.
        batch: windows that the network reads at once, at first; as many as fit into the memory if None.
        progress: told of each window, and of what is done otherwise for want of memory; its token cancels between
            windows.

    Returns:
        uint8 [k, j, i] on the volume's grid; 0 is background.

    Raises:
        InputError: the volume's axes are not at right angles, there is no such device, or the memory does not suffice
            even on the CPU.
        Cancelled: the user cancelled.
    """
    progress = progress or Progress()

    def plan(image: Image, place: torch.device) -> Placing:
        windows, (network, outputs, _) = _windows(bundle, image), _network(bundle, place)
        sums = sums_bytes(tuple(image.values.shape), windows, outputs)
        return placing_for(network, (1, *windows.side), sums, place, batch, progress)

    image, placing = image_and_placing(bundle.steps, volume, plan, spacing=spacing, device=device, progress=progress)
    home = _home(bundle, volume)
    labels = with_less_memory(lambda placed: _labels(bundle, image, home, placed, progress), placing, progress)
    progress(1.0, "Done")
    return np.ascontiguousarray(reorient(labels, home, volume.grid))


def _home(bundle: Bundle, volume: Volume) -> Grid:
    """The volume's grid in the orientation of the bundle."""
    toward = [step.toward for step in bundle.steps if isinstance(step, Orient)]
    return volume.grid.canonical(toward[-1]) if toward else volume.grid


def _windows(bundle: Bundle, image: Image) -> FixedSteps:
    return bundle.windows or FixedSteps(tuple(image.values.shape))


def _labels(bundle: Bundle, image: Image, home: Grid, placing: Placing, progress: Progress) -> NDArray:
    """[k, j, i] on the grid ``home``."""
    progress(0.04, "Running the model")
    shape, windows = tuple(image.values.shape), _windows(bundle, image)
    places = nearest(image.grid, home) if bundle.back == "labels" else positions(image.grid, home)
    stream = LabelStream(shape, home.shape[::-1], bundle.classes, positions=places, device=placing.sums)

    def take(logits: torch.Tensor) -> None:
        stream.take(logits.float().softmax(dim=-1) if bundle.back == "probabilities" else logits)

    network, outputs, head = _network(bundle, placing.device)
    dtype = sums_dtype(shape, windows, outputs)
    precision = inference_precision(placing.device)
    runner = Runner([network], placing.device, precision, placing.batch, dtype, placing.sums)
    channels = image.values[None].to(placing.device)
    slide(channels, outputs, windows, runner, take, head=head, progress=progress.part(0.04, 1.0))
    return stream.labels.permute(2, 1, 0).cpu().numpy()


def _network(bundle: Bundle, place: torch.device) -> tuple[torch.nn.Module, int, LinearHead | None]:
    """What reads the windows, the channels that it gives, and what makes logits of them, if they are not."""
    network, outputs, head = bundle.network.to(place), bundle.classes, None
    last = _LAST_LAYERS.get(type(network).__name__)
    if last is not None and (head := linear_head([network], last)) is not None:
        network, outputs = without_last(network, last), head.features
    return (fast_on_cpu(network) if place.type == "cpu" else network), outputs, head
