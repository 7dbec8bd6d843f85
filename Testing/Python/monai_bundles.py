"""Small MONAI bundles, as the model zoo packs them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch

SEGRESNET = {
    "_target_": "SegResNet",
    "spatial_dims": 3,
    "in_channels": 1,
    "out_channels": 5,
    "init_filters": 8,
    "blocks_down": [1, 1],
    "blocks_up": [1],
    "dropout_prob": 0.2,
}
UNET = {
    "_target_": "monai.networks.nets.UNet",
    "spatial_dims": 3,
    "in_channels": 1,
    "out_channels": 5,
    "channels": [8, 16],
    "strides": [2],
    "num_res_units": 1,
    "norm": "batch",
}
DYNUNET = {
    "_target_": "monai.networks.nets.DynUNet",
    "spatial_dims": 3,
    "in_channels": 1,
    "out_channels": 5,
    "kernel_size": [3, 3, 3],
    "strides": [1, 2, 2],
    "upsample_kernel_size": [2, 2],
    "filters": [4, 8, 8],
}
SWIN = {
    "_target_": "SwinUNETR",
    "spatial_dims": 3,
    "in_channels": 1,
    "out_channels": 5,
    "feature_size": 12,
    "img_size": 96,
    "depths": [1, 1, 1, 1],
    "use_checkpoint": True,
}


def transform(name: str, **arguments: Any) -> dict[str, Any]:
    return {"_target_": name, "keys": "image", **arguments}


NONZERO = [transform("NormalizeIntensityd", nonzero=True), transform("ScaleIntensityd", minv=-1.0, maxv=1.0)]
RANGE = [transform("ScaleIntensityRanged", a_min=-1150, a_max=450, b_min=-2, b_max=2, clip=True)]


def inference(
    network: Mapping[str, Any] = SEGRESNET,
    *,
    intensity: list[dict[str, Any]] = NONZERO,
    labels_first: bool = True,
    window: int = 24,
    **inferer: Any,
) -> dict[str, Any]:
    """Contents of ``inference.json`` with the expressions of the whole-body bundle of the model zoo.

    Args:
        network: its definition.
        intensity: transforms of the voxel values.
        labels_first: take the highest class before the result goes back to the image, as the whole-body bundle does,
            or after it, as the spleen bundle does.
        window: side.
        inferer: arguments besides.
    """
    activations = {"_target_": "Activationsd", "keys": "pred", "softmax": True}
    highest = {"_target_": "AsDiscreted", "keys": "pred", "argmax": True}
    invert = {
        "_target_": "Invertd",
        "keys": "pred",
        "transform": "@preprocessing",
        "orig_keys": "@image_key",
        "nearest_interp": labels_first,
        "to_tensor": True,
    }
    made = {
        "displayable_configs": {"highres": True, "sw_overlap": 0.25, "sw_batch_size": 1},
        "imports": ["$import glob", "$import numpy", "$import os"],
        "bundle_root": ".",
        "image_key": "image",
        "output_dir": "$@bundle_root + '/eval'",
        "dataset_dir": "sampledata",
        "datalist": "$list(sorted(glob.glob(@dataset_dir + '/imagesTs/*.nii.gz')))",
        "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
        "pixdim": "$[1.5, 1.5, 1.5] if @displayable_configs#highres else [3.0, 3.0, 3.0]",
        "modelname": "$'model.pt' if @displayable_configs#highres else 'model_lowres.pt'",
        "network_def": dict(network),
        "network": "$@network_def.to(@device)",
        "preprocessing": {
            "_target_": "Compose",
            "transforms": [
                transform("LoadImaged"),
                transform("EnsureTyped"),
                transform("EnsureChannelFirstd"),
                {"_target_": "Orientationd", "keys": "@image_key", "axcodes": "RAS"},
                transform("Spacingd", pixdim="@pixdim", mode="bilinear"),
                *intensity,
            ],
        },
        "inferer": {
            "_target_": "SlidingWindowInferer",
            "roi_size": [window] * 3,
            "sw_batch_size": "@displayable_configs#sw_batch_size",
            "overlap": "@displayable_configs#sw_overlap",
            "device": "$torch.device('cpu')",
            **inferer,
        },
        "postprocessing": {
            "_target_": "Compose",
            "transforms": [
                activations,
                *([highest, invert] if labels_first else [invert, highest]),
                {"_target_": "SaveImaged", "keys": "pred", "output_dir": "@output_dir"},
            ],
        },
        "checkpointloader": {
            "_target_": "CheckpointLoader",
            "load_path": "$@bundle_root + '/models/' + @modelname",
            "load_dict": {"model": "@network"},
        },
        "initialize": ["$@checkpointloader(@evaluator)"],
        "run": ["$@evaluator.run()"],
    }
    return deepcopy(made)


def detection(
    window: tuple[int, int, int] = (512, 512, 192), mode: str = "constant", backbone: str = "resnet10"
) -> dict[str, Any]:
    """Contents of ``inference.json`` as the lung nodule bundle of the model zoo has them, with two classes."""
    resnet = f"$monai.networks.nets.resnet.{backbone}"
    network = "monai.apps.detection.networks.retinanet_network"
    return {
        "whether_raw_luna16": False,
        "whether_resampled_luna16": "$(not @whether_raw_luna16)",
        "imports": ["$import glob", "$import os"],
        "bundle_root": "./",
        "output_dir": "$@bundle_root + '/eval'",
        "device": "$torch.device('cpu')",
        "amp": True,
        "infer_patch_size": list(window),
        "anchor_generator": {
            "_target_": "monai.apps.detection.utils.anchor_utils.AnchorGeneratorWithAnchorShape",
            "feature_map_scales": [1, 2, 4],
            "base_anchor_shapes": [[6, 8, 4], [8, 6, 5], [10, 10, 6]],
        },
        "backbone": f"{resnet}(spatial_dims=3,n_input_channels=1,conv1_t_stride=[2,2,1],conv1_t_size=[7,7,7])",
        "feature_extractor": f"${network}.resnet_fpn_feature_extractor(@backbone,3,False,[1,2],None)",
        "network_def": {
            "_target_": "RetinaNet",
            "spatial_dims": 3,
            "num_classes": 2,
            "num_anchors": 3,
            "feature_extractor": "@feature_extractor",
            "size_divisible": [16, 16, 8],
        },
        "network": "$@network_def.to(@device)",
        "detector": {
            "_target_": "RetinaNetDetector",
            "network": "@network",
            "anchor_generator": "@anchor_generator",
            "debug": False,
        },
        "detector_ops": [
            "$@detector.set_target_keys(box_key='box', label_key='label')",
            "$@detector.set_box_selector_parameters(score_thresh=0.02,topk_candidates_per_level=1000,nms_thresh=0.22,"
            "detections_per_img=300)",
            "$@detector.set_sliding_window_inferer(roi_size=@infer_patch_size,overlap=0.25,sw_batch_size=1,"
            f"mode='{mode}',device='cpu')",
        ],
        "preprocessing": {
            "_target_": "Compose",
            "transforms": [
                transform("LoadImaged", meta_key_postfix="meta_dict", _disabled_="@whether_raw_luna16"),
                transform("LoadImaged", reader="itkreader", _disabled_="@whether_resampled_luna16"),
                transform("EnsureChannelFirstd", meta_key_postfix="meta_dict"),
                transform("Orientationd", axcodes="RAS"),
                transform("Spacingd", pixdim=[0.703125, 0.703125, 1.25], _disabled_="@whether_resampled_luna16"),
                transform("ScaleIntensityRanged", a_min=-1024.0, a_max=300.0, b_min=0.0, b_max=1.0, clip=True),
                transform("EnsureTyped"),
            ],
        },
        "postprocessing": {
            "_target_": "Compose",
            "transforms": [
                {
                    "_target_": "ClipBoxToImaged",
                    "box_keys": "box",
                    "label_keys": "label",
                    "box_ref_image_keys": "image",
                    "remove_empty": True,
                },
                {
                    "_target_": "AffineBoxToWorldCoordinated",
                    "box_keys": "box",
                    "box_ref_image_keys": "image",
                    "affine_lps_to_ras": False,
                },
                {"_target_": "ConvertBoxModed", "box_keys": "box", "src_mode": "xyzxyz", "dst_mode": "cccwhd"},
                {"_target_": "DeleteItemsd", "keys": ["image"]},
            ],
        },
        "evaluating": ["$@evaluator.run()"],
    }


def metadata(classes: int = 5) -> dict[str, Any]:
    """Contents of ``metadata.json``."""
    image = {"type": "image", "format": "hounsfield", "modality": "CT", "num_channels": 1}
    names = {"0": "background", **{str(n): f"structure {n}" for n in range(1, classes)}}
    pred = {"type": "image", "format": "segmentation", "num_channels": classes, "channel_def": names}
    return {"version": "0.1.0", "network_data_format": {"inputs": {"image": image}, "outputs": {"pred": pred}}}


def write_bundle(folder: Path, config: Mapping[str, Any], state: Any, held: Mapping[str, Any] | None = None) -> Path:
    """The bundle's folder; ``state`` is what ``model.pt`` holds."""
    home = folder / "phantom_segmentation"
    (home / "configs").mkdir(parents=True)
    (home / "models").mkdir()
    (home / "configs" / "inference.json").write_text(json.dumps(config))
    (home / "configs" / "metadata.json").write_text(json.dumps(held or metadata()))
    torch.save(state, home / "models" / "model.pt")
    return home
