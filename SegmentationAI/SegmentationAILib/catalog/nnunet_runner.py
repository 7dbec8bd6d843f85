"""Volume -> labels by an nnU-Net model, as nnU-Net itself would, without its detours.

The voxels go to the device once and come back as labels: cropped, scaled, resized, read in overlapping
windows, and turned into labels slice by slice while the windows go on, so that the logits of the whole volume
are never held at once.

The crop is nnU-Net's own, to what is not 0, and no closer: cropping to the body would move every window and change
the mean and spread that some models scale by, and with them labels within the body. Windows that show only air are
left out instead, which moves nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from SegmentationAILib.catalog.nnunet_folder import Intensity, NnUNetModel, Plan
from SegmentationAILib.engine.cpu_layers import fast_on_cpu
from SegmentationAILib.engine.device import choose_device
from SegmentationAILib.engine.label_stream import LabelStream
from SegmentationAILib.engine.linear_head import LinearHead, SideBySide, linear_head, without_last
from SegmentationAILib.engine.memory_plan import Placing, placing_for, with_less_memory
from SegmentationAILib.engine.precision import inference_precision
from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.engine.resize import resize, separate_axis
from SegmentationAILib.engine.sliding_window import Runner, Windows, slide, sums_bytes, sums_dtype
from SegmentationAILib.errors import InputError

# Of a CT: where not one voxel of a window is denser, it shows air alone.
EMPTY_HU = -900.0
_STEP = 0.5


@dataclass(frozen=True)
class Options:
    """How a model is run.

    Attributes:
        step: share of a window's side between two windows at most; nnU-Net takes 0.5.
        mirror: average over the flips that the model allows, which takes 8 times as long for three axes.
        skip_air: leave out windows without a voxel above ``EMPTY_HU``; for CT only.
        batch: windows that the network reads at once, at first; as many as fit into the memory if None.
    """

    step: float = _STEP
    mirror: bool = False
    skip_air: bool = True
    batch: int | None = None


@torch.inference_mode()
def segment(
    model: NnUNetModel,
    channels: NDArray,
    spacing: tuple[float, float, float],
    options: Options | None = None,
    *,
    device: str = "auto",
    progress: Progress | None = None,
) -> NDArray:
    """The labels of an image.

    Args:
        model: as ``read_nnunet`` gives it.
        channels: [channel, k, j, i] in the orientation that the model was trained on; HU for CT.
        spacing: mm, along (k, j, i).
        options: how it is run.
        device: a torch device's name; where its memory ends, the CPU takes over part of the work or all.
        progress: told of each window, and of what is done otherwise for want of memory; its token cancels between
            windows.

    Returns:
        uint8 or int16 [k, j, i]: 0 is background, the values are those of ``model.plan.labels``.

    Raises:
        InputError: the image has another number of channels than the model reads, there is no such device, or the
            memory does not suffice even on the CPU.
        Cancelled: the user cancelled.
    """
    options, progress = options or Options(), progress or Progress()
    plan = model.plan
    if channels.ndim != 4 or len(channels) != len(plan.channels):
        raise InputError(
            f"The model reads {len(plan.channels)} channels and the image has {len(channels)}; choose as many volumes "
            "as the model's card names."
        )
    place = choose_device(device)
    progress(0.0, "Preparing the image")
    along = tuple(float(spacing[axis]) for axis in plan.transpose)
    shape = _resized_shape(along, plan, tuple(channels.shape[1 + axis] for axis in plan.transpose))
    windows = Windows(plan.patch, options.step, model.mirror if options.mirror else ())

    def planned(placing: Placing) -> Placing:
        [network, *_], outputs, _ = _networks(model, placing.device)
        read, sums = (len(channels), *plan.patch), sums_bytes(shape, windows, outputs)
        return placing_for(network, read, sums, placing.device, options.batch, progress)

    def attempt(placing: Placing) -> NDArray:
        return _on(model, channels, along, options, windows, placing, progress.part(0.02, 1.0))

    placing = with_less_memory(planned, Placing(place, 1, place), progress)
    labels = with_less_memory(attempt, placing, progress)
    progress(1.0, "Done")
    return labels


def _on(
    model: NnUNetModel,
    channels: NDArray,
    spacing: tuple[float, float, float],
    options: Options,
    windows: Windows,
    placing: Placing,
    progress: Progress,
) -> NDArray:
    plan = model.plan
    image = _upload(channels, placing.device).permute(0, *(axis + 1 for axis in plan.transpose))
    dtype = torch.uint8 if plan.classes <= 256 else torch.int16
    labels = torch.zeros(image.shape[1:], dtype=dtype, device=placing.sums)
    window = _nonzero(image)
    if window is not None:
        cropped = image[(slice(None), *window)]
        labels[window] = _labels(model, cropped, spacing, options, windows, placing, progress)
    back = np.argsort(plan.transpose)
    return labels.permute(*back.tolist()).contiguous().cpu().numpy()


def _labels(
    model: NnUNetModel,
    image: torch.Tensor,
    spacing: tuple[float, float, float],
    options: Options,
    windows: Windows,
    placing: Placing,
    progress: Progress,
) -> torch.Tensor:
    plan = model.plan
    original = tuple(image.shape[1:])
    shape = _resized_shape(spacing, plan, original)
    separate = separate_axis(np.array(spacing), np.array(plan.spacing))
    scaled = torch.stack([_scaled(part, held) for part, held in zip(image, plan.channels, strict=True)])
    resized = resize(scaled, shape, order=plan.data_order, separate=separate)
    del scaled
    progress(0.04, "Running the model")
    # The other way, nnU-Net looks at the model's spacing first; both orders name the same axis but for ties.
    backward = separate_axis(np.array(plan.spacing), np.array(spacing))
    stream = LabelStream(shape, original, plan.classes, separate=backward, device=placing.sums)
    networks, outputs, head = _networks(model, placing.device)
    dtype = sums_dtype(shape, windows, outputs)
    precision = inference_precision(placing.device)
    runner = Runner(networks, placing.device, precision, placing.batch, dtype, placing.sums)
    empty = _air(plan) if options.skip_air else None
    slide(resized, outputs, windows, runner, stream.take, head=head, empty=empty, progress=progress.part(0.04, 1.0))
    return stream.labels


def _networks(model: NnUNetModel, place: torch.device) -> tuple[list[torch.nn.Module], int, LinearHead | None]:
    """What reads the windows on a device, the channels it gives, and what makes logits of them if they are not."""
    networks = [network.to(place) for network in model.networks]
    last = networks[0].last_layer
    head = linear_head(networks, last)
    if head is not None:
        networks = [without_last(network, last) for network in networks]
    if place.type == "cpu":
        networks = [fast_on_cpu(network) for network in networks]
    if head is None:
        return networks, model.plan.classes, None
    return [networks[0] if len(networks) == 1 else SideBySide(networks)], head.features, head


def _resized_shape(
    spacing: tuple[float, float, float], plan: Plan, shape: tuple[int, int, int]
) -> tuple[int, int, int]:
    """Of an image of that shape, in the model's voxels."""
    return tuple(round(old / new * n) for old, new, n in zip(spacing, plan.spacing, shape, strict=True))


def _upload(channels: NDArray, place: torch.device) -> torch.Tensor:
    """On the device in as few bytes as the image has."""
    dtype = channels.dtype.newbyteorder("=")
    if channels.dtype.type in (np.bool_, np.uint16, np.uint32, np.uint64, np.float64):
        dtype = np.dtype(np.float32)
    array = np.ascontiguousarray(channels, dtype=dtype)
    return torch.from_numpy(array if array.flags.writeable else array.copy()).to(place)


def _nonzero(image: torch.Tensor) -> tuple[slice, slice, slice] | None:
    """The box of all voxels that are not 0 in some channel, which is all that nnU-Net looks at."""
    some = (image != 0).any(dim=0)
    window = []
    for axis in range(3):
        others = [n for n in range(3) if n != axis]
        at = torch.nonzero(some.any(dim=others[1]).any(dim=others[0]))
        if not len(at):
            return None
        window.append(slice(int(at[0]), int(at[-1]) + 1))
    return tuple(window)


def _scaled(channel: torch.Tensor, held: Intensity) -> torch.Tensor:
    """nnU-Net's normalisations."""
    values = channel.to(torch.float32)
    if held.scheme == "CTNormalization":
        return values.clamp(held.low, held.high).sub_(held.mean).div_(max(held.deviation, 1e-8))
    if held.scheme == "ZScoreNormalization":
        return (values - values.mean()) / max(float(values.std(correction=0)), 1e-8)
    if held.scheme == "RescaleTo01Normalization":
        values = values - values.min()
        return values / max(float(values.max()), 1e-8)
    return values


def _air(plan: Plan) -> Callable[[torch.Tensor], bool] | None:
    """Tells of a window [c, k, j, i] of the scaled CT whether it shows air alone; None where that cannot be told."""
    [held, *others] = plan.channels
    if others or held.scheme != "CTNormalization" or held.low >= EMPTY_HU:
        return None
    most = (EMPTY_HU - held.mean) / max(held.deviation, 1e-8)
    return lambda window: bool(window.max() <= most)
