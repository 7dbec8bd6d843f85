"""Small nnU-Net model folders, as nnU-Net's training writes them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

PLAIN, RESIDUAL = "PlainConvUNet", "ResidualEncoderUNet"
CT = {"mean": -300.0, "std": 420.0, "percentile_00_5": -1000.0, "percentile_99_5": 400.0}


def architecture(kind: str = PLAIN, features: Sequence[int] = (4, 8, 16)) -> dict[str, Any]:
    """Entry "architecture" of a configuration in today's plans."""
    stages = len(features)
    return {
        "network_class_name": f"dynamic_network_architectures.architectures.unet.{kind}",
        "arch_kwargs": {
            "n_stages": stages,
            "features_per_stage": list(features),
            "conv_op": "torch.nn.modules.conv.Conv3d",
            "kernel_sizes": [[3, 3, 3]] * stages,
            "strides": [[1, 1, 1]] + [[2, 2, 2]] * (stages - 1),
            "n_conv_per_stage" if kind == PLAIN else "n_blocks_per_stage": [2] * stages,
            "n_conv_per_stage_decoder": [2] * (stages - 1),
            "conv_bias": True,
            "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
            "norm_op_kwargs": {"eps": 1e-5, "affine": True},
            "dropout_op": None,
            "dropout_op_kwargs": None,
            "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"inplace": True},
        },
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }


def plans(
    patch: Sequence[int] = (32, 32, 32),
    spacing: Sequence[float] = (1.5, 1.5, 1.5),
    transpose: Sequence[int] = (0, 1, 2),
    kind: str = PLAIN,
) -> dict[str, Any]:
    """Contents of ``plans.json``."""
    resampling = {"is_seg": False, "order_z": 0, "force_separate_z": None}
    configuration = {
        "data_identifier": "nnUNetPlans_3d_fullres",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": list(patch),
        "median_image_size_in_voxels": [100, 100, 100],
        "spacing": list(spacing),
        "normalization_schemes": ["CTNormalization"],
        "use_mask_for_norm": [False],
        "resampling_fn_data": "resample_data_or_seg_to_shape",
        "resampling_fn_seg": "resample_data_or_seg_to_shape",
        "resampling_fn_data_kwargs": {**resampling, "order": 3},
        "resampling_fn_seg_kwargs": {**resampling, "is_seg": True, "order": 1},
        "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
        "resampling_fn_probabilities_kwargs": {**resampling, "order": 1},
        "batch_dice": False,
        "architecture": architecture(kind),
    }
    return {
        "dataset_name": "Dataset001_Phantom",
        "plans_name": "nnUNetPlans",
        "original_median_spacing_after_transp": list(spacing),
        "original_median_shape_after_transp": [100, 100, 100],
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": list(transpose),
        "transpose_backward": np.argsort(transpose).tolist(),
        "configurations": {"3d_fullres": configuration},
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {"0": {"max": 1e3, "median": -200.0, "min": -1024.0, **CT}},
    }


def dataset(classes: int) -> dict[str, Any]:
    """Contents of ``dataset.json``."""
    labels = {"background": 0, **{f"structure {n}": n for n in range(1, classes)}}
    return {"channel_names": {"0": "CT"}, "labels": labels, "numTraining": 1, "file_ending": ".nii.gz"}


def checkpoint(network: torch.nn.Module, made_with: dict[str, Any], **other: Any) -> dict[str, Any]:
    """What nnU-Net's trainer saves, numpy numbers of its log included."""
    return {
        "network_weights": network.state_dict(),
        "optimizer_state": {},
        "grad_scaler_state": None,
        "logging": {"mean_fg_dice": [np.float64(0.5)], "ema_fg_dice": np.float32(0.5)},
        "_best_ema": np.float64(0.5),
        "current_epoch": 1,
        "init_args": {"plans": made_with, "configuration": "3d_fullres", "fold": 0, "device": torch.device("cpu")},
        "trainer_name": "nnUNetTrainer",
        "inference_allowed_mirroring_axes": (0, 1, 2),
        **other,
    }


def write_model(
    folder: Path, held: dict[str, Any], classes: int, build: Callable[[int], torch.nn.Module], folds: int = 1
) -> Path:
    """The model's folder; ``build`` makes the network of a fold."""
    home = folder / "Dataset001_Phantom" / "nnUNetTrainer__nnUNetPlans__3d_fullres"
    home.mkdir(parents=True)
    (home / "plans.json").write_text(json.dumps(held))
    (home / "dataset.json").write_text(json.dumps(dataset(classes)))
    for fold in range(folds):
        (home / f"fold_{fold}").mkdir()
        torch.save(checkpoint(build(fold), held), home / f"fold_{fold}" / "checkpoint_final.pth")
    return home


def taught(network: torch.nn.Module, classes: int, steps: int, seed: int) -> torch.nn.Module:
    """Taught to tell intensities apart, so that its logits have no ties, as those of random weights do.

    A voxel's class is the interval that its smoothed, scaled intensity lies in.
    """
    generator = torch.Generator().manual_seed(seed)
    smooth = torch.nn.AvgPool3d(5, 1, 2, count_include_pad=False)
    edges = torch.linspace(-0.8, 0.8, classes - 1)
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    for _ in range(steps):
        patch = torch.nn.functional.interpolate(
            torch.randn(2, 1, 8, 8, 8, generator=generator) * 1.2, size=(24, 24, 24), mode="trilinear"
        )
        found = network(patch)
        found = found[0] if isinstance(found, list | tuple) else found
        loss = torch.nn.functional.cross_entropy(found, torch.bucketize(smooth(patch)[:, 0], edges))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network.eval()
