"""What is compared with what. Each side is a module-level function, so that it can be sent to a process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks import growth, margin_pairs, network_pairs, network_stages, surface_pairs
from benchmarks.measure import REPEATS
from LungNoduleAILib.baseline import HU_RANGE as BASELINE_HU
from LungNoduleAILib.candidates import DIAMETERS_MM, find_blobs
from LungNoduleAILib.search import SearchSpace, search_space
from SegmentationAILib.engine.device import choose_device
from SegmentationAILib.files import load
from SegmentationAILib.organs import segment_lungs
from SegmentationAILib.preprocess import resample
from SegmentationAILib.volume import LPS_FROM_RAS, Grid, Volume

DEMO_CT = Path(__file__).resolve().parents[2] / "Resources" / "Demo" / "LIDC-IDRI-0003.nrrd"
SHAPE = (140, 512, 512)
SPACING = (0.82, 0.82, 2.5)
STRUCTURES = 20
BLOBS = 50


@dataclass(frozen=True)
class Pair:
    """Two ways to do the same work on the same input.

    ``agreement`` maps both results to 0…1, 1 where they are the same.

    Attributes:
        needs: module that the rival needs, besides those of the lock file.
        repeats: of each side; the shortest counts.
        rival_bytes: that the rival takes at least; it does not run where there are not as many.
        stages: where our time goes, and what the limit is, of what ``prepare`` gives.
    """

    name: str
    rival: str
    prepare: Callable[[], Any]
    ours: Callable[[Any], Any]
    theirs: Callable[[Any], Any]
    agreement: Callable[[Any, Any], float]
    on_device: bool = False
    needs: str = ""
    repeats: int = REPEATS
    rival_bytes: int = 0
    stages: Callable[[Any], dict[str, Any]] | None = None


def ct_like() -> Volume:
    """A smooth random int16 volume of the size of a chest CT; its content does not matter to the time."""
    coarse = np.random.default_rng(0).uniform(-1000, 400, [n // 8 + 1 for n in SHAPE]).astype(np.float32)
    zoomed = ndimage.zoom(coarse, [n / c for n, c in zip(SHAPE, coarse.shape, strict=True)], order=1)
    matrix = LPS_FROM_RAS @ np.diag([*SPACING, 1.0])
    return Volume(zoomed.astype(np.int16), Grid(SHAPE, matrix), "bench", "CT")


def to_isotropic(volume: Volume) -> NDArray[np.float32]:
    return resample(volume.array, volume.grid, volume.grid.canonical().with_spacing(1.0), device="auto")


def to_isotropic_sitk(volume: Volume) -> NDArray[np.float32]:
    image = sitk.GetImageFromArray(volume.array)
    image.SetSpacing(SPACING)
    target = volume.grid.canonical().with_spacing(1.0)
    origin = [0.5 - 0.5 * s for s in SPACING]
    resampled = sitk.Resample(
        image,
        target.shape[::-1],
        sitk.Transform(),
        sitk.sitkLinear,
        origin,
        (1.0,) * 3,
        np.eye(3).ravel().tolist(),
        -1024.0,
        sitk.sitkFloat32,
    )
    return sitk.GetArrayFromImage(resampled)


def to_isotropic_scipy(volume: Volume) -> NDArray[np.float32]:
    target = volume.grid.canonical().with_spacing(1.0)
    matrix = volume.grid.ras_to_ijk @ target.ijk_to_ras
    scale, offset = np.diag(matrix)[:3][::-1], matrix[:3, 3][::-1]
    return ndimage.affine_transform(volume.array, scale, offset, target.shape, np.float32, order=1, mode="nearest")


def within_one_hu(ours: NDArray, theirs: NDArray) -> float:
    """Share of the voxels, those at the border apart, that agree to 1 HU."""
    inner = tuple(slice(3, -3) for _ in range(3))
    return float(np.mean(np.abs(ours[inner] - theirs[inner]) <= 1.0))


def lungs_at_1_mm() -> SearchSpace:
    """The demo CT's lungs, resampled and clamped as the baseline detector sees them."""
    volume = load(DEMO_CT)
    space = search_space(volume, segment_lungs(volume))
    return replace(space, hu=np.clip(space.hu, *BASELINE_HU))


def blobs(space: SearchSpace) -> list[tuple[int, int, int]]:
    device = choose_device()
    hu, lungs = torch.from_numpy(space.hu).to(device), torch.from_numpy(space.lungs).to(device)
    return [candidate.ijk for candidate in find_blobs(hu, lungs, space.grid, limit=BLOBS)]


def blobs_scipy(space: SearchSpace) -> list[tuple[int, int, int]]:
    """The textbook way: Laplacian of Gaussian at each size, maxima over space and scale."""
    best = np.full(space.hu.shape, -np.inf, dtype=np.float32)
    for diameter in DIAMETERS_MM:
        sigma = diameter / (2 * np.sqrt(3))
        best = np.maximum(best, -(sigma**2) * ndimage.gaussian_laplace(space.hu, sigma))
    peaks = np.argwhere((best == ndimage.maximum_filter(best, 5)) & space.lungs)
    order = np.argsort(-best[tuple(peaks.T)])[: 10 * BLOBS]
    return [tuple(peak[::-1]) for peak in peaks[order].tolist()]


def found_by_both(ours: list, theirs: list) -> float:
    """Share of our candidates with one of the rival's within 6 mm."""
    gaps = np.linalg.norm(np.array(ours)[:, None] - np.array(theirs)[None], axis=-1).min(axis=1)
    return float((gaps <= 6.0).mean())


def scene_with_organs() -> tuple[Any, NDArray[np.uint8]]:
    """A scene with a CT and an array of 20 structures."""
    from host.mrml import start_mrml  # noqa: PLC0415 - makes the scene

    start_mrml()
    from SegmentationAILib.scene import add_volume  # noqa: PLC0415

    labels = np.zeros(SHAPE, dtype=np.uint8)
    for value in range(1, STRUCTURES + 1):
        labels[5 * value : 5 * value + 5, 100:400, 100:400] = value
    return add_volume(ct_like()), labels


def write_segments(data: tuple[Any, NDArray[np.uint8]]) -> list[int]:
    from SegmentationAILib.labels import LabelMap  # noqa: PLC0415
    from SegmentationAILib.scene import add_segmentation, volume_from_node  # noqa: PLC0415
    from SegmentationAILib.terminology import lung_nodule  # noqa: PLC0415

    node, labels = data
    structures = {value: lung_nodule(f"structure {value}", (1.0, 0.5, 0.0)) for value in range(1, STRUCTURES + 1)}
    return _voxels(add_segmentation([LabelMap(labels, volume_from_node(node).grid, structures)], node, "bench"), node)


def write_segments_one_by_one(data: tuple[Any, NDArray[np.uint8]]) -> list[int]:
    import slicer  # noqa: PLC0415

    node, labels = data
    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    segmentation.CreateDefaultDisplayNodes()
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(node)
    for value in range(1, STRUCTURES + 1):
        segment_id = segmentation.GetSegmentation().AddEmptySegment(f"structure {value}")
        slicer.util.updateSegmentBinaryLabelmapFromArray(
            (labels == value).astype(np.uint8), segmentation, segment_id, node
        )
    return _voxels(segmentation, node)


def _voxels(segmentation: Any, node: Any) -> list[int]:
    """Voxel count of the first and the last segment, then the node is removed again."""
    import slicer  # noqa: PLC0415

    ids = segmentation.GetSegmentation().GetSegmentIDs()
    counts = [int(slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, i, node).sum()) for i in (ids[0], ids[-1])]
    slicer.mrmlScene.RemoveNode(segmentation)
    return counts


def equal(ours: list[int], theirs: list[int]) -> float:
    return float(ours == theirs)


def nnunet(name: str, case: Callable[[], Any], shape: tuple[int, int, int], *, stages: bool = True) -> Pair:
    return Pair(
        f"{name}, {network_pairs.CLASSES} classes, {shape[2]}×{shape[1]}×{shape[0]}",
        "nnUNetPredictor",
        case,
        network_pairs.nnunet_ours,
        network_pairs.nnunet_theirs,
        network_pairs.same_labels,
        on_device=True,
        needs="nnunetv2",
        repeats=1,
        rival_bytes=network_pairs.rival_bytes(shape),
        stages=network_stages.nnunet if stages else None,
    )


def monai(name: str, case: Callable[[], Any], ours: Callable, theirs: Callable, agreement: Callable) -> Pair:
    return Pair(
        name, "MONAI's bundle workflow", case, ours, theirs, agreement, on_device=True, needs="monai", repeats=1
    )


NNUNETS = {"nnU-Net 1.5 mm": network_pairs.NNUNET_1_5_MM, "nnU-Net 3 mm": network_pairs.NNUNET_3_MM}
PART, WHOLE = (64, 399, 512), (300, 512, 512)
NETWORK_PAIRS = (
    *(
        nnunet(name, partial(network_pairs.nnunet_case, folder, (40, 0, 0), PART), PART)
        for name, folder in NNUNETS.items()
    ),
    *(nnunet(name, partial(growth.case, WHOLE, folder), WHOLE, stages=False) for name, folder in NNUNETS.items()),
    monai(
        "MONAI SegResNet 3 mm, 105 classes",
        partial(network_pairs.nnunet_case, network_pairs.BUNDLE_3_MM, (0, 0, 0), (140, 399, 512)),
        network_pairs.bundle_ours,
        network_pairs.bundle_theirs,
        network_pairs.same_labels,
    ),
    monai(
        "MONAI RetinaNet, 160×160×48",
        partial(network_pairs.nnunet_case, network_pairs.DETECTOR, (40, 100, 60), (48, 160, 160)),
        network_pairs.detector_ours,
        network_pairs.detector_theirs,
        network_pairs.same_boxes,
    ),
)

PAIRS = (
    *NETWORK_PAIRS,
    Pair(
        "CT to 1 mm isotropic",
        "SimpleITK Resample",
        ct_like,
        to_isotropic,
        to_isotropic_sitk,
        within_one_hu,
        on_device=True,
    ),
    Pair(
        "CT to 1 mm isotropic",
        "scipy.ndimage.affine_transform",
        ct_like,
        to_isotropic,
        to_isotropic_scipy,
        within_one_hu,
        on_device=True,
    ),
    Pair(
        "Blobs of 3 to 30 mm in the lungs",
        "scipy.ndimage.gaussian_laplace",
        lungs_at_1_mm,
        blobs,
        blobs_scipy,
        found_by_both,
        on_device=True,
    ),
    Pair(
        f"{STRUCTURES} structures to the scene",
        "slicer.util.updateSegmentBinaryLabelmapFromArray",
        scene_with_organs,
        write_segments,
        write_segments_one_by_one,
        equal,
    ),
    *(
        Pair(
            name, "DeepMind surface-distance", prepare, surface_pairs.ours, surface_pairs.deepminds, surface_pairs.equal
        )
        for name, prepare in (
            ("Surface distances of the lungs", surface_pairs.lungs),
            (f"Surface distances of {surface_pairs.ORGANS} organs", surface_pairs.organs),
            ("Surface distances of nodules", surface_pairs.small),
        )
    ),
    *(
        Pair(name, rival, prepare, margin_pairs.ours, theirs, margin_pairs.overlap)
        for name, prepare in (
            ("10 mm around a target", margin_pairs.target),
            ("10 mm around lungs", margin_pairs.lungs),
        )
        for rival, theirs in (
            ("SimpleITK SignedMaurerDistanceMap", margin_pairs.simpleitks),
            ("scipy.ndimage.distance_transform_edt", margin_pairs.scipys),
        )
    ),
)
