"""Volume -> thoracic organs, by the built-in network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from SegmentationAILib import terminology
from SegmentationAILib.engine.device import choose_device
from SegmentationAILib.engine.model_folder import Model, read_model
from SegmentationAILib.engine.precision import inference_precision
from SegmentationAILib.engine.progress import Progress
from SegmentationAILib.engine.tiles import plan, read_padded
from SegmentationAILib.labels import LabelMap
from SegmentationAILib.organ_network import HU_RANGE, SPACING_MM, STRIDE, OrganNetwork, OrganWidths, network_input
from SegmentationAILib.preprocess import resample
from SegmentationAILib.resources import model_path
from SegmentationAILib.terminology import Structure
from SegmentationAILib.volume import Grid, Volume

AIR_HU = HU_RANGE[0]
# The network's classes and what they are; "background" and "body" are no structures of their own.
STRUCTURES: dict[str, Structure] = {
    "lung_right": terminology.RIGHT_LUNG,
    "lung_left": terminology.LEFT_LUNG,
    "airway": terminology.AIRWAY,
    "heart": terminology.HEART,
    "aorta": terminology.AORTA,
    "oesophagus": terminology.OESOPHAGUS,
    "spinal_cord": terminology.SPINAL_CORD,
    "bone": terminology.BONE,
    "liver": terminology.LIVER,
    "spleen": terminology.SPLEEN,
    "kidney": terminology.KIDNEYS,
    "stomach": terminology.STOMACH,
    "vena_cava": terminology.VENA_CAVA,
}
_ONE_PIECE = ("lung_right", "lung_left", "airway", "heart", "aorta", "spinal_cord", "liver", "spleen", "stomach")
_MARGIN = 32
_TILE_VOXELS = 6_000_000
# A structure of which less than this is in view is noise.
_SMALLEST_ML = 0.3


@dataclass(frozen=True, eq=False)
class OrganModel:
    """A network and what it is trusted with.

    Attributes:
        network: in evaluation mode.
        classes: name of each channel.
        shipped: the classes that are given to users; the others are too inaccurate.
    """

    network: OrganNetwork
    classes: Sequence[str]
    shipped: Sequence[str]

    @property
    def structures(self) -> dict[int, Structure]:
        """Label value -> structure, of what is shipped."""
        return {value: STRUCTURES[name] for value, name in enumerate(self.classes) if name in self.shipped}


@cache
def built_in() -> OrganModel:
    """The model that comes with the extension.

    Raises:
        InputError: its files are missing or damaged.
    """
    return read_organ_model(model_path("organs"))


def read_organ_model(path: Path) -> OrganModel:
    """A model from its files, such as a fine-tuned one.

    Args:
        path: stem, folder or either file, as ``read_model`` takes it.

    Raises:
        InputError: as ``read_model``.
    """
    model = read_model(path, "organs")
    known = [name for name in model.card.classes if name in STRUCTURES]
    return OrganModel(network_of(model).eval(), model.card.classes, model.card.training.get("shipped", known))


def network_of(model: Model) -> OrganNetwork:
    """The network of a model, with its weights.

    Raises:
        InputError: the weights fit no such network.
    """
    held = model.card.configuration
    network = OrganNetwork(OrganWidths(held["classes"], tuple(held["features"])))
    model.load_into(network)
    return network


def segment_organs(
    volume: Volume, *, device: str = "auto", progress: Progress | None = None, model: OrganModel | None = None
) -> LabelMap:
    """The organs of the chest and upper abdomen that the model is trusted with.

    Args:
        volume: CT, HU.
        device: where the network runs.
        progress: told of each stage; its token cancels between tiles.
        model: another than the built-in one.

    Returns:
        Labels on the volume's grid; a structure that the CT does not show is left out.

    Raises:
        InputError: there is no such device, or the built-in model is missing.
        Cancelled: the user cancelled.
    """
    progress = progress or Progress()
    model = model or built_in()
    progress(0.0, "Resampling the CT")
    grid = volume.grid.canonical().with_spacing(SPACING_MM)
    hu = resample(volume.array, volume.grid, grid, mode="area", fill=AIR_HU, device=device)
    shares = class_shares(model, np.asarray(hu, dtype=np.float32), device, progress.part(0.05, 0.75))
    _drop_islands(shares, model.classes)
    labels = _at_full_resolution(shares, grid, volume.grid, device, progress.part(0.75, 1.0))
    structures = {}
    for value, structure in model.structures.items():
        if np.count_nonzero(labels == value) * volume.grid.voxel_volume / 1000 >= _SMALLEST_ML:
            structures[value] = structure
    labels[~np.isin(labels, list(structures))] = 0
    progress(1.0, "Organs done")
    return LabelMap(labels, volume.grid, structures)


@torch.inference_mode()
def class_shares(model: OrganModel, hu: NDArray[np.float32], device: str, progress: Progress) -> NDArray[np.float16]:
    """Probability of each class, [classes, k, j, i], of a CT at ``SPACING_MM`` along L, P and S."""
    place = choose_device(device)
    network = model.network.to(place, memory_format=torch.channels_last_3d)
    precision = inference_precision(place)
    shares = np.zeros((len(model.classes), *hu.shape), dtype=np.float16)
    tiles = plan(hu.shape, most_voxels=_TILE_VOXELS, margin=_MARGIN, multiple=STRIDE)
    for n, tile in enumerate(tiles):
        progress(n / len(tiles), "Finding the organs")
        patch = torch.from_numpy(np.ascontiguousarray(read_padded(hu, tile.read, AIR_HU))).to(place)
        with precision():
            logits = network(network_input(patch)[None, None])[0]
        share = logits[(slice(None), *tile.inner)].float().softmax(dim=0)
        shares[(slice(None), *tile.keep)] = share.half().cpu().numpy()
    return shares


def _drop_islands(shares: NDArray[np.float16], classes: Sequence[str]) -> None:
    """Of an organ that is one piece only the largest piece keeps its share, in place."""
    winner = shares.argmax(axis=0)
    for value, name in enumerate(classes):
        pieces, count = ndimage.label(winner == value) if name in _ONE_PIECE else (None, 0)
        if count > 1:
            largest = pieces == np.bincount(pieces[pieces > 0]).argmax()
            shares[value][~ndimage.binary_dilation(largest, iterations=2)] = 0


def _at_full_resolution(
    shares: NDArray, source: Grid, target: Grid, device: str, progress: Progress
) -> NDArray[np.uint8]:
    """The class of the highest share at each voxel, one class at a time: memory does not grow with their number."""
    labels = np.zeros(target.shape, dtype=np.uint8)
    highest = np.full(target.shape, -1.0, dtype=np.float32)
    for value, share in enumerate(shares):
        progress(value / len(shares), "Drawing the organs at full resolution")
        here = resample(share.astype(np.float32), source, target, device=device)
        higher = here > highest
        labels[higher] = value
        np.maximum(highest, here, out=highest)
    return labels
